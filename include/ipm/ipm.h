/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All of libipm: shared memory that survives the crash of its users.
 */
#ifndef IPM_H
#define IPM_H

#include <ipm/ipm_channel.h>
#include <ipm/ipm_common.h>
#include <ipm/ipm_error.h>
#include <ipm/ipm_exchange.h>
#include <ipm/ipm_memory.h>
#include <ipm/ipm_ring.h>
#include <ipm/ipm_sysv.h>

#endif /* IPM_H */
