// SPDX-License-Identifier: GPL-2.0
/*
 * A participant of a ring in a segment is killed at every instruction of what it
 * does, with the kernel's word on who is alive. Emulation is slow, so in each run
 * chance picks some of the instructions of one in PART of the scenarios; the seed
 * is printed. lib_ring_all.c takes all scenarios.
 *
 * vm: TIMEOUT=1500
 */
#include "module_participants.h"

#include <stdbool.h>

static ipm_memory *ring_segment;

static int ring_memory(size_t size)
{
	ipm_memory_create_options o = {
		.struct_size = sizeof(o), .size = size, .capacity = size,
		.access = IPM_ACCESS_MODE_READ_WRITE,
	};

	if (ipm_memory_create_ex(NULL, &o, &ring_segment)) {
		printf("Bail out! no segment\n");
		exit(1);
	}
	return ipm_memory_fd(ring_segment);
}

static void ring_memory_free(int fd)
{
	(void)fd;
	ipm_memory_close(ring_segment);
}

#define RING_KILL_MEMORY
#define main ring_kill_main
#include "../stress/ring_kill.c"
#undef main

#ifndef PART
#define PART "51"	/* one for each kind */
#endif

int main(void)
{
	char *argv[] = { (char *)"ring_kill", (char *)"-q", (char *)"-e", (char *)"16",
			 (char *)"-p", (char *)PART, NULL };

	return ring_kill_main(6, argv);
}
