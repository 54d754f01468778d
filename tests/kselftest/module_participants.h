/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Puts the module in the place of the table of participants: a test of rings or
 * channels that was written for any shared memory includes this first, and then
 * learns from the kernel who it is and who is alive.
 */
#ifndef MODULE_PARTICIPANTS_H
#define MODULE_PARTICIPANTS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ipm/ipm.h>

/* The segment whose slots are used; a forked child makes a handle of its own. */
static ipm_memory *module_segment;

/* A participant: its handle on the segment, and what tells who is alive. */
struct module_participant {
	ipm_memory *memory;
	ipm_ring_liveness liveness;
};

static inline ipm_result module_create(void *table, size_t size, uint32_t count)
{
	ipm_memory_create_options o = {
		.struct_size = sizeof(o), .size = 4096, .capacity = 4096,
		.access = IPM_ACCESS_MODE_READ_WRITE,
	};

	(void)table;
	(void)size;
	(void)count;
	ipm_memory_close(module_segment);
	module_segment = NULL;
	return ipm_memory_create_ex(NULL, &o, &module_segment);
}

static inline ipm_result module_join(const ipm_context *context, void *table, size_t size,
				     ipm_participants **participant, uint32_t *slot,
				     uint32_t *generation)
{
	struct module_participant *p = calloc(1, sizeof(*p));
	ipm_result result;

	(void)context;
	(void)table;
	(void)size;
	if (!p)
		return IPM_RESULT_ERR_OUT_OF_MEMORY;
	result = ipm_memory_derive(module_segment, IPM_ACCESS_MODE_READ_WRITE, &p->memory);
	if (!result)
		result = ipm_memory_slot(p->memory, slot, generation);
	if (!result)
		result = ipm_memory_liveness(p->memory, &p->liveness);
	*participant = (ipm_participants *)p;
	return result;
}

static inline bool module_alive(void *param, uint32_t slot, uint32_t generation)
{
	struct module_participant *p = param;

	return p->liveness.alive(p->liveness.param, slot, generation);
}

static inline void module_leave(ipm_participants *participant)
{
	struct module_participant *p = (struct module_participant *)participant;

	if (!p)
		return;
	ipm_memory_slot_give(p->memory);
	ipm_memory_close(p->memory);
	free(p);
}

#define ipm_participants_create module_create
#define ipm_participants_join module_join
#define ipm_participants_alive module_alive
#define ipm_participants_leave module_leave

#endif /* MODULE_PARTICIPANTS_H */
