// SPDX-License-Identifier: GPL-2.0
/*
 * As lib_ring.c, all of its scenarios: run by hand, for it takes long.
 *
 * vm: TIMEOUT=7200
 */
#define PART "1"
#include "lib_ring.c"
