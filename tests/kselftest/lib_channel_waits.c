// SPDX-License-Identifier: GPL-2.0
/*
 * The tests of channels between processes, with the kernel's word on who is alive.
 */
#include "module_participants.h"
#include "../unit/channel_waits.c"
