// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile peer for the rings, for libFuzzer with AddressSanitizer.
 *
 * The input chooses the shape of a ring, every byte of its memory where it
 * likes, and the calls that are made. The library's sources are compiled into
 * this file with their atomic operations replaced: while a call runs, the input
 * may change any word of the ring just before it is loaded or swapped, as a peer
 * on another CPU would. So a value that is loaded twice, or used before it is
 * checked, is found, and every finding can be repeated.
 *
 * The ring's memory is one heap block of exactly its size, or for a doubled
 * ring a mapping between pages that fault. Each record that is handed out has
 * to be inside, and no larger than the ring allows.
 *
 * Some inputs are not hostile at all: then honest participants make their calls in
 * between the steps of each other's. See ring_fuzz_peers.h.
 *
 * The fast paths of ipm_ring.h are compiled here too, with the same loads.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tamper.h"

#define __atomic_load_n(pointer, order) FUZZ_LOAD(pointer, order)

#include "../../lib/ring.c"
#define round_up lane_round_up
#include "../../lib/ring_lane.c"
#undef round_up
#undef READER_PATIENCE
#undef FETCH_AHEAD
#include "../../lib/ring_lanes.c"
#define find_room mpmc_find_room
#define wait_for_burst mpmc_wait_for_burst
#define raise mpmc_raise
#include "../../lib/ring_mpmc.c"
#undef find_room
#undef wait_for_burst
#undef raise
#undef __atomic_load_n

#include <sys/mman.h>

#define HANDLES 4
#define RECORDS 8

static bool fuzz_alive(void *param, uint32_t slot, uint32_t generation)
{
	(void)param;
	if (slot >= IPM_RING_MAX_SLOTS)
		abort();
	return (next_random() ^ generation) % 4;
}

static void check_record(const ipm_ring *ring, const ipm_ring_record *record)
{
	const unsigned char *at = record->data;
	size_t size = fuzz.memory_size;
	ipm_ring_limits limits;

	if (ipm_ring_get_limits(ring, &limits))
		abort();
	if (ring->geometry.flags & IPM_RING_DOUBLED)
		size += limits.capacity;
	if (ring->m.cells && record->size && record->size <= CELL_PAYLOAD) {
		/* Beside its word, and nowhere else. */
		size = (size_t)(at - (const unsigned char *)ring->m.cells);
		if (at < (const unsigned char *)ring->m.cells ||
		    size / sizeof(struct ring_cell) >= ring->m.blocks ||
		    size % sizeof(struct ring_cell) != offsetof(struct ring_cell, payload))
			abort();
		return;
	}
	if (!record->size || record->size > limits.max_record ||
	    at < fuzz.memory + fuzz.control_size ||
	    at > fuzz.memory + size || record->size > (size_t)(fuzz.memory + size - at))
		abort();
}

/* Payload is read and written like a user would, all of it. */
static void touch(void *data, size_t size, bool write)
{
	unsigned char *at = data;
	volatile unsigned char sum = 0;
	size_t i;

	if (write) {
		memset(data, (int)next_random(), size);
		return;
	}
	for (i = 0; i < size; i++)
		sum = (unsigned char)(sum + at[i]);
}

static void scribble(void)
{
	size_t where = next_word(), size = next_byte() % 64 + 1, i;
	bool control = next_byte() & 1;
	size_t limit = control ? fuzz.control_size : fuzz.memory_size;

	for (i = 0; i < size; i++)
		fuzz.memory[(where + i) % limit] = next_byte();
}

static ipm_ring *attach(const ipm_ring_options *options)
{
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = next_byte() % 4,
		.flags = options->flags,
		.slot = next_byte() % 8,
		.generation = next_byte() % 4,
		.lease_records = next_byte() % 3,
		.liveness = { fuzz_alive, NULL },
	};
	ipm_ring *ring = NULL;

	if (ipm_ring_attach(NULL, &o, fuzz.memory, fuzz.memory_size, &ring))
		return NULL;
	return ring;
}

static void run(const ipm_ring_options *options)
{
	ipm_ring *handles[HANDLES] = { NULL };
	ipm_ring_record records[HANDLES][RECORDS];
	unsigned char *buffer = malloc(2048);
	unsigned int calls = 0, i;

	memset(records, 0, sizeof(records));
	if (!buffer)
		abort();
	while (fuzz.size && calls++ < 2000) {
		unsigned int which = next_byte() % HANDLES;
		ipm_ring *ring = handles[which];
		ipm_ring_record *record = &records[which][next_byte() % RECORDS];
		ipm_ring_span spans[3];
		ipm_ring_stats stats;
		ipm_ring_peers peers;
		size_t size, got = 0;
		uint64_t n;

		size = next_byte();
		size |= (size_t)(next_byte() & 7) << 8;
		if (size > 2048)
			size = 2048;
		switch (next_byte() % 20) {
		case 0:
			fuzz.rate = next_byte();
			break;
		case 1:
		case 2:
			scribble();
			break;
		case 3:
			ipm_ring_detach(ring);
			handles[which] = attach(options);
			memset(records[which], 0, sizeof(records[which]));
			break;
		case 4:
		case 5:
			ipm_ring_fast_write(ring, buffer, size);
			break;
		case 6:
			if (ring && !ipm_ring_reserve(ring, size, record)) {
				check_record(ring, record);
				touch(record->data, record->size, true);
			}
			break;
		case 7:
			if (ring && size && size < record->size)
				record->size = size;
			ipm_ring_commit(ring, record);
			break;
		case 8:
			ipm_ring_discard(ring, record);
			break;
		case 9:
		case 10:
			if (!ipm_ring_fast_read(ring, buffer, size, &got, NULL) &&
			    got > size)
				abort();
			break;
		case 11:
		case 12:
			if (ring && !ipm_ring_fast_peek(ring, record)) {
				check_record(ring, record);
				touch(record->data, record->size, false);
			}
			break;
		case 13:
		case 14:
			ipm_ring_fast_release(ring, record);
			break;
		case 15:
			ipm_ring_skip(ring);
			break;
		case 16:
			if (ring)
				ipm_ring_skip_force(ring, &n);
			break;
		case 17:
			ipm_ring_check(ring, &n);
			ipm_ring_recover(ring, next_byte() % 8, next_byte() % 4, &n);
			break;
		case 18:
			ipm_ring_get_stats(ring, &stats);
			ipm_ring_get_peers(ring, &peers);
			ipm_ring_yield(ring);
			break;
		default:
			for (i = 0; i < 3; i++)
				spans[i] = (ipm_ring_span){ buffer, size / (i + 1) };
			ipm_ring_write_batch(ring, spans, 3, &got);
			if (ring && !ipm_ring_peek_batch(ring, records[which], RECORDS,
							 &got)) {
				for (i = 0; i < got; i++) {
					check_record(ring, &records[which][i]);
					touch(records[which][i].data,
					      records[which][i].size, false);
				}
				ipm_ring_release_batch(ring, records[which], got);
			}
		}
	}
	for (i = 0; i < HANDLES; i++)
		ipm_ring_detach(handles[i]);
	free(buffer);
}

#include "ring_fuzz_peers.h"

/* Address space with a page that faults on either side, and in the middle the
 * ring and its data once more. */
static unsigned char *map_doubled(size_t size, size_t data_size)
{
	size_t page = page_size();
	unsigned char *space = mmap(NULL, size + data_size + 2 * page, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("ring_fuzz", MFD_CLOEXEC);

	if (space == MAP_FAILED || fd < 0 || ftruncate(fd, (off_t)size))
		abort();
	if (mmap(space + page, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, 0) == MAP_FAILED ||
	    mmap(space + page + size, data_size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, (off_t)(size - data_size)) == MAP_FAILED)
		abort();
	close(fd);
	return space + page;
}

static void unmap_doubled(unsigned char *memory, size_t size, size_t data_size)
{
	munmap(memory - page_size(), size + data_size + 2 * page_size());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ipm_ring_options options = { .struct_size = sizeof(options) };
	struct ring_geometry g;
	size_t need;
	uint8_t shape;

	fuzz.data = data;
	fuzz.size = size;
	fuzz.rate = 0;
	shape = next_byte();
	fuzz.state = next_word() | (uint64_t)1 << 40;
	options.kind = (ipm_ring_kind)(shape % 3 + 1);
	if (options.kind == IPM_RING_KIND_LANES)
		options.lanes = 1 + (shape >> 4 & 3);
	else if (shape & 0x80)
		options.flags = IPM_RING_DOUBLED;
	if (options.kind == IPM_RING_KIND_MPMC)
		options.participants = 2 + (shape >> 4 & 3);
	if (ipm_ring_footprint(&options, 256 + 64 * (next_byte() % 64), &need) ||
	    ring_make_geometry(&options, need, &g))
		abort();
	fuzz.memory_size = need;
	fuzz.control_size = g.data_offset;
	if (options.flags & IPM_RING_DOUBLED)
		fuzz.memory = map_doubled(g.size, g.data_size);
	else if (posix_memalign((void **)&fuzz.memory, 64, need))
		abort();
	memset(fuzz.memory, 0, need);
	if (ipm_ring_create(&options, fuzz.memory, need))
		abort();
	if (shape & 8)
		run_peers(&options);
	else
		run(&options);
	fuzz.rate = 0;
	if (options.flags & IPM_RING_DOUBLED)
		unmap_doubled(fuzz.memory, g.size, g.data_size);
	else
		free(fuzz.memory);
	return 0;
}
