// SPDX-License-Identifier: GPL-2.0
/*
 * The tests of exchanges between processes, with the kernel's word on who is alive.
 *
 * vm: TIMEOUT=600
 */
#include "module_participants.h"

/* Emulation is slow. */
#define SCALE 10
#define LARGEST (64 * MIB + 17)
#include "../unit/exchange_waits.c"
