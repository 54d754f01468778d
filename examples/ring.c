// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A ring in ordinary shared memory, without the module: records go in and come out in
 * order, and nothing ever waits.
 * Build: cc ring.c $(pkg-config --cflags --libs libipm)
 */
#include <ipm/ipm_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void check(ipm_result result, const char *what)
{
	if (result != IPM_RESULT_SUCCESS) {
		fprintf(stderr, "%s: %s\n", what, ipm_result_to_msg(result));
		exit(1);
	}
}

int main(void)
{
	ipm_ring_options options = {
		.struct_size = sizeof(options),
		.kind = IPM_RING_KIND_MPMC,
	};
	ipm_ring_attach_options both = {
		.struct_size = sizeof(both),
		.roles = IPM_RING_PRODUCER | IPM_RING_CONSUMER,
		.generation = 1,
	};
	ipm_ring_record record;
	ipm_result result;
	ipm_ring *ring;
	void *memory;
	size_t size;
	int i;

	check(ipm_ring_footprint(&options, 4096, &size), "footprint");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	check(ipm_ring_create(&options, memory, size), "create");
	check(ipm_ring_attach(NULL, &both, memory, size, &ring), "attach");
	for (i = 0; i < 3; i++)
		check(ipm_ring_write(ring, &i, sizeof(i)), "write");
	/* Read in place, until there is nothing more. */
	while (!(result = ipm_ring_peek(ring, &record))) {
		printf("%d\n", *(int *)record.data);
		check(ipm_ring_release(ring, &record), "release");
	}
	if (result != IPM_RESULT_ERR_WOULD_BLOCK)
		check(result, "peek");
	ipm_ring_detach(ring);
	return 0;
}
