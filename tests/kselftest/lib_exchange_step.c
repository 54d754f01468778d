// SPDX-License-Identifier: GPL-2.0
/*
 * One of two who exchange is killed at every 101st instruction (emulation is slow), with
 * the kernel's word on who is alive.
 *
 * vm: TIMEOUT=600
 */
#include "module_participants.h"

#ifndef STRIDE
#define STRIDE 101
#endif
#include "../unit/exchange_step.c"
