// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile peer for the table of participants, for libFuzzer with AddressSanitizer.
 *
 * The input chooses the bytes of the table, how much of it is mapped, and the calls;
 * while one runs, it may change any word just before it is loaded. No byte outside is
 * touched, no slot is given that the table has not, and who has joined is alive for
 * itself as long as its word says so. Whether processes live is asked of the real
 * kernel, with any pid.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tamper.h"

#define __atomic_load_n(pointer, order) FUZZ_LOAD(pointer, order)
#include "../../lib/ring_participants.c"
#undef __atomic_load_n

void *ring_alloc(const ipm_context *context, size_t size)
{
	(void)context;
	return malloc(size);
}

void ring_free(const ipm_context *context, void *memory)
{
	(void)context;
	free(memory);
}

#define HANDLES 4

static void scribble(void)
{
	size_t where = next_byte() % fuzz.memory_size / 8 * 8;
	uint64_t value = next_byte();

	switch (next_byte() % 4) {
	case 0:
		value = tampered(value);
		break;
	case 1:
		/* A process there is, of another start. */
		value = value << 32 | (uint64_t)next_byte() << PID_BITS | (uint64_t)getpid();
		break;
	case 2:
		value = value << 32 | (uint64_t)next_byte() << PID_BITS | 1;
		break;
	default:
		memcpy(&value, fuzz.memory + where, sizeof(value));
		value ^= (uint64_t)1 << next_byte() % 64;
	}
	memcpy(fuzz.memory + where, &value, sizeof(value));
}

static void call(ipm_participants **handles, uint32_t *slots, uint32_t *generations)
{
	unsigned int which = next_byte() % HANDLES;
	ipm_participants *p = handles[which];
	size_t size = fuzz.memory_size;
	uint32_t slot, generation;

	switch (next_byte() % 7) {
	case 0:
		fuzz.rate = next_byte();
		break;
	case 1:
	case 2:
		scribble();
		break;
	case 3:
		if (p)
			break;
		if (next_byte() % 4 == 0)
			size = next_byte() % (size + 1);
		if (ipm_participants_join(NULL, fuzz.memory, size, &handles[which], &slot,
					  &generation))
			break;
		if (slot >= IPM_RING_MAX_SLOTS || ipm_participants_footprint(slot + 1) > size)
			abort();
		slots[which] = slot;
		generations[which] = generation;
		break;
	case 4:
		ipm_participants_leave(p);
		handles[which] = NULL;
		break;
	case 5:
		if (p)
			ipm_participants_alive(p, next_byte() % 16, next_byte());
		if (p)
			ipm_participants_alive(p, (uint32_t)tampered(next_byte()), next_byte());
		break;
	default:
		if (p)
			ipm_participants_alive(p, slots[which], generations[which]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t slots[HANDLES] = { 0 }, generations[HANDLES] = { 0 }, count;
	ipm_participants *handles[HANDLES] = { NULL };
	unsigned int calls = 0, i;

	fuzz.data = data;
	fuzz.size = size;
	fuzz.rate = 0;
	count = 1 + next_byte() % 8;
	fuzz.state = next_word() | (uint64_t)1 << 40;
	fuzz.memory_size = ipm_participants_footprint(count);
	if (posix_memalign((void **)&fuzz.memory, IPM_RING_ALIGNMENT, fuzz.memory_size) ||
	    ipm_participants_create(fuzz.memory, fuzz.memory_size, count))
		abort();
	while (fuzz.size && calls++ < 200)
		call(handles, slots, generations);
	fuzz.rate = 0;
	for (i = 0; i < HANDLES; i++)
		ipm_participants_leave(handles[i]);
	free(fuzz.memory);
	return 0;
}
