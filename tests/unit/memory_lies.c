// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that lies: calls that fail with any errno, succeed without having done
 * anything, and return any numbers; a status page that changes to what it could
 * never show; memory that runs out. Whatever it says, the library does not crash,
 * touches no byte that it has not mapped, gives a result that there is, and
 * leaves nothing behind.
 *
 * The choices are made by a seed: IPM_SEED=number repeats them, without it there
 * are the same few each time. tests/fuzz/memory_fuzz.c makes them itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY

#define STEPS 4000
#define MEMORIES 4
#define SIZE 8192

static struct fake_context c;
static ipm_memory *m[MEMORIES];
static unsigned int lies, failures;
static bool huge;	/* the size that the status page shows */

#ifndef MEMORY_FUZZ
static uint64_t random_state;

static bool has_choices(void)
{
	return true;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}
#endif

static uint32_t below(uint32_t limit)
{
	return (uint32_t)((random_next() >> 32) * limit >> 32);
}

static uint64_t number(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 4095, 4096, 4097, SIZE - 1, SIZE, SIZE + 1, INT32_MAX, UINT32_MAX,
		1ULL << 32, 1ULL << 43, INT64_MAX, 1ULL << 63, UINT64_MAX - 4095, UINT64_MAX,
	};

	return below(3) ? values[below(sizeof(values) / sizeof(values[0]))] : random_next();
}

static void garble(void *bytes, size_t size)
{
	for (size_t i = 0; i + 4 <= size; i += 4) {
		uint32_t value = (uint32_t)number();

		if (!below(3))
			memcpy((char *)bytes + i, &value, 4);
	}
}

/* Sometimes the call is not made, and says anything. */
static bool lie(int fd, unsigned long command, void *argument, int *ret)
{
	(void)fd;
	/* What is not released is the fake's to complain of, so closes are honest. */
	if (below(3))
		return false;
	lies++;
	*ret = -(int)(1 + below(below(2) ? 40 : 4095));
	if (command == IPM_IOC_CREATE || command == IPM_IOC_OPEN || command == IPM_IOC_REOPEN)
		return true;
	if (below(2)) {
		*ret = below(4) ? 0 : (int)below(1000);
		/* Pointers in it are the caller's. */
		if (command == IPM_IOC_CLAIM) {
			struct ipm_claim *claim = argument;

			claim->id = number();
			claim->result = (uint32_t)number();
		} else if (command == IPM_IOC_DOUBT) {
			struct ipm_doubt *doubt = argument;

			doubt->nr_ranges = (uint32_t)number();
			doubt->total = (uint32_t)number();
		} else {
			garble(argument, _IOC_SIZE(command));
		}
	}
	return true;
}

/* What the status page shows, but for a size that a segment could have. */
static void garble_status(ipm_memory *memory, struct ipm_status *saved)
{
	struct ipm_status *s = fake_status(ipm_memory_get_id(memory));

	*saved = *s;
	garble(s, sizeof(*s));
	/* The kernel does not stop in the middle of a change. */
	s->sequence = saved->sequence;
	huge = below(2);
	s->size = huge ? UINT64_MAX - below(10000) : below(SIZE);
}

static bool is_result(ipm_result result)
{
	return (int)result >= 0 && result < IPM_RESULT_COUNT;
}

/* Any call with any argument. */
static ipm_result call(ipm_memory *memory)
{
	/* Mapped bytes that are not there are SIGBUS, and no library can help that. */
	uint64_t touch = huge ? (1ULL << 50) + number() % (1ULL << 60) : number();
	ipm_memory_claim_options claim = {
		.struct_size = sizeof(claim), .offset = number(), .length = number(),
		.access = (ipm_access_mode)below(3), .flags = below(2) ? IPM_MEMORY_ASYNC : 0,
		.deadline = below(2) ? IPM_DEADLINE_NOW : 1,
	};
	ipm_memory_details details = { .struct_size = sizeof(details) };
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	ipm_memory_status status = { .struct_size = sizeof(status) };
	ipm_module_info info = { .struct_size = sizeof(info) };
	ipm_memory_settings settings = { .struct_size = sizeof(settings), .what = below(16) };
	ipm_memory_doubt doubts[3];
	ipm_memory_event events[3];
	ipm_memory_slot_status state;
	struct ipm_ring_liveness live;
	char bytes[64];
	ipm_id id = below(40);
	uint32_t word;
	size_t count = 0;
	uint64_t at = number();

	switch (below(34)) {
	case 0:
		return ipm_memory_claim(memory, &claim, &id, &word);
	case 1:
		return ipm_memory_claim_region_try(memory, RW, below(SIZE), 1 + below(64), &id);
	case 2:
		return ipm_memory_convert(memory, id, (ipm_access_mode)below(2), 0, IPM_DEADLINE_NOW,
					  &word);
	case 3:
		return ipm_memory_release_region(memory, id);
	case 4:
		return ipm_memory_release_all(memory);
	case 5:
		return ipm_memory_remove_all_active_claims(memory);
	case 6:
		return ipm_memory_collect(memory, id, &word);
	case 7: {
		ipm_result result = ipm_memory_list_doubts(memory, at, below(2) ? 1 : number(), doubts,
							   3, &count);

		return result;
	}
	case 8:
		return ipm_memory_recovered(memory, at, number());
	case 9:
	case 10:
		return ipm_memory_read_until(memory, touch, bytes, below(sizeof(bytes) + 1), 1);
	case 11:
	case 12:
		return ipm_memory_write_until(memory, touch, bytes, below(sizeof(bytes) + 1), 1);
	case 13:
		return ipm_memory_grow(memory, number(), 0);
	case 14:
		return ipm_memory_sync(memory);
	case 15:
		return ipm_memory_change_access(memory, (ipm_access_mode)below(2));
	case 16:
		return ipm_memory_get_details(&c.ctx, ipm_ref_memory(memory), &details);
	case 17:
		return ipm_memory_get_limits(&c.ctx, &limits);
	case 18:
		return ipm_module_get_info(&c.ctx, &info);
	case 19:
		return ipm_memory_set(memory, &settings);
	case 20:
		return ipm_memory_link(memory, ipm_ref_key(7));
	case 21:
		return ipm_memory_slot(memory, &word, &word);
	case 22:
		return ipm_memory_slot_give(memory);
	case 23:
		return ipm_memory_slot_state(memory, (uint32_t)number(), &state, &word);
	case 24:
		return ipm_memory_reap(memory, (uint32_t)number(), 1);
	case 25:
		return ipm_memory_liveness(memory, &live);
	case 26:
		return ipm_memory_ring_bell(memory, number(), (uint32_t)number());
	case 27:
		return ipm_memory_subscribe(memory, number(), (uint32_t)number() & 0x70);
	case 28: {
		ipm_result result = ipm_memory_read_events(memory, events, 3, 1, &count);

		CHECK(result != IPM_RESULT_SUCCESS || count <= 3);
		return result;
	}
	case 29:
		return ipm_memory_get_status(memory, &status);
	case 30:
		ipm_memory_is_removed(memory);
		ipm_memory_deaths(memory);
		return IPM_RESULT_SUCCESS;
	case 31:
		ipm_memory_size(memory);
		ipm_memory_ref_count(memory);
		return IPM_RESULT_SUCCESS;
	case 32:
		ipm_memory_get_info(memory);
		return IPM_RESULT_SUCCESS;
	default:
		return ipm_memory_send(memory, -1, RO);
	}
}

static void make(ipm_memory **memory)
{
	ipm_memory_create_options o = {
		.struct_size = sizeof(o), .size = SIZE, .capacity = SIZE, .access = RW,
	};
	ipm_result result;

	*memory = NULL;
	switch (below(3)) {
	case 0:
		result = ipm_memory_create_ex(&c.ctx, &o, memory);
		break;
	case 1:
		result = ipm_memory_create(&c.ctx, SIZE, "lies", RW, memory);
		break;
	default:
		result = ipm_memory_open(&c.ctx, "lies", RO, memory);
	}
	CHECK(is_result(result) && (result == IPM_RESULT_SUCCESS) == (*memory != NULL));
	failures += result != IPM_RESULT_SUCCESS;
}

static void run(void)
{
	fake_context_init(&c);
	for (int step = 0; step < STEPS && has_choices() && !tap.failing; step++) {
		ipm_memory **memory = &m[below(MEMORIES)];
		struct ipm_status saved;
		bool garbled = false;

		ipm_result result;

		huge = false;
		fake_hook = lie;
		/* Now and then there is no memory either. */
		c.fail_at = below(8) ? 0 : c.allocations + 1;
		if (!*memory) {
			make(memory);
		} else if (!below(20)) {
			fake_hook = NULL;
			ipm_memory_close(*memory);
			*memory = NULL;
		} else {
			if (!below(3)) {
				garble_status(*memory, &saved);
				garbled = true;
			}
			result = call(*memory);
			CHECK(is_result(result));
			failures += result != IPM_RESULT_SUCCESS;
			if (garbled)
				*fake_status(ipm_memory_get_id(*memory)) = saved;
		}
		fake_hook = NULL;
	}
	for (int i = 0; i < MEMORIES; i++) {
		ipm_memory_close(m[i]);
		m[i] = NULL;
	}
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

#ifndef MEMORY_FUZZ
static void run_seed(uint64_t seed)
{
	random_state = seed;
	run();
	if (tap.failing)
		printf("# IPM_SEED=%#llx\n", (unsigned long long)seed);
}

static void whatever_it_says(void)
{
	const char *seed = getenv("IPM_SEED");

	if (seed) {
		run_seed(strtoull(seed, NULL, 0));
		return;
	}
	for (uint64_t i = 1; i <= 8; i++)
		run_seed(i * 0x9e3779b97f4a7c15ULL);
	printf("# %u lies, %u calls that failed\n", lies, failures);
	/* It did lie, and was not always believed. */
	CHECK(lies > 1000 && failures > 1000);
}

int main(void)
{
	RUN(whatever_it_says);
	return tap_end();
}
#endif
