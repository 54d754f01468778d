// SPDX-License-Identifier: GPL-2.0
/*
 * The one who wakes is killed at one in 40 instructions, by chance (emulation is
 * slow; the seed is printed), with the kernel's word on who is alive.
 *
 * vm: TIMEOUT=600
 */
#include "module_participants.h"

#ifndef STRIDE
#define STRIDE 40
#endif
#include "../unit/channel_step.c"
