// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile peer for the exchanges, for libFuzzer with AddressSanitizer.
 *
 * As ring_fuzz.c: the library's sources are compiled into this file with their atomic
 * loads replaced, and while a call runs, the input may change any word of the exchange
 * just before it is loaded. Here the peer is also at work while a call sleeps; time is
 * a counter, so waits cost none.
 *
 * The exchange's memory is one heap block of exactly its size. What is handed out has to
 * be inside a window or a box, and no call may run for longer than its deadline.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tamper.h"

#define __atomic_load_n(pointer, order) FUZZ_LOAD(pointer, order)

#include "../../lib/wait.c"
#undef TRIES
#define round_up exchange_round_up
#include "../../lib/exchange.c"
#undef round_up
#include "../../lib/exchange_turn.c"
#include "../../lib/exchange_box.c"
#include "../../lib/exchange_io.c"
#include "../../lib/exchange_reply.c"
#undef __atomic_load_n

#define HANDLES 4
#define BUFFER (5 * IPM_EXCHANGE_WINDOW_MIN)

/* --- time, and what the peer does meanwhile --- */

static int64_t fuzz_now;

int64_t ipm_sys_now(void)
{
	return ++fuzz_now;
}

static void scribble(uint64_t where, uint64_t bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		fuzz.memory[(where + i) % fuzz.control_size] = (unsigned char)(bytes >> i % 8 * 8);
}

int wait_sys_sleep(uint32_t *word, uint32_t value, int64_t ns)
{
	(void)word;
	(void)value;
	if (ns <= 0)
		abort();
	if (fuzz.rate && next_random() % 4 == 0)
		scribble(next_random(), next_random(), next_random() % 16);
	if (next_random() % 16 == 0)
		return -EINTR;
	if (next_random() % 4 == 0)
		return 0;
	fuzz_now += ns;
	return -ETIMEDOUT;
}

int wait_sys_wake(uint32_t *word, int count)
{
	(void)word;
	return count;
}

void wait_sys_block(sigset_t *old)
{
	sigemptyset(old);
}

void wait_sys_unblock(const sigset_t *old)
{
	(void)old;
}

bool wait_sys_signalled(const sigset_t *old)
{
	(void)old;
	return next_random() % 16 == 0;
}

static bool fuzz_alive(void *param, uint32_t slot, uint32_t generation)
{
	(void)param;
	if (slot >= IPM_RING_MAX_SLOTS)
		abort();
	return (next_random() ^ generation) % 4;
}

/* --- calls --- */

static void check_item(const ipm_exchange_item *item)
{
	const unsigned char *at = item->data;

	if (at < fuzz.memory || at > fuzz.memory + fuzz.memory_size ||
	    item->size > (size_t)(fuzz.memory + fuzz.memory_size - at) ||
	    (item->size > SMALL_MAX && item->size > IPM_EXCHANGE_WINDOW_MIN))
		abort();
}

/* Bytes are read and written like a user would, all of them. */
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

static ipm_exchange *attach(void)
{
	ipm_exchange_attach_options o = {
		.struct_size = sizeof(o),
		.roles = next_byte() % 4,
		.slot = next_byte() % 8,
		.generation = next_byte() % 4,
		.config = { .max_round_trips = next_byte() % 3 ? 3 : IPM_CHANNEL_NO_POLLS },
		.liveness = { fuzz_alive, NULL },
	};
	ipm_exchange *x = NULL;

	if (ipm_exchange_attach(NULL, &o, fuzz.memory, fuzz.memory_size, &x))
		return NULL;
	return x;
}

static void run(void)
{
	ipm_exchange *handles[HANDLES] = { NULL };
	ipm_exchange_item items[HANDLES];
	unsigned char *buffer = malloc(BUFFER);
	unsigned int calls = 0, i;

	if (!buffer)
		abort();
	memset(buffer, 0, BUFFER);
	memset(items, 0, sizeof(items));
	while (fuzz.size && calls++ < 500) {
		unsigned int which = next_byte() % HANDLES;
		ipm_exchange *x = handles[which];
		ipm_exchange_item *item = &items[which];
		int64_t deadline = next_byte() % 2 ? IPM_DEADLINE_NOW : fuzz_now + 50000000;
		size_t size = next_byte() * (next_byte() % 80u), got = 0;
		ipm_exchange_stats stats;
		ipm_result result;
		uint32_t flags;
		bool ready;

		if (size > BUFFER)
			size = BUFFER;
		switch (next_byte() % 22) {
		case 0:
			fuzz.rate = next_byte();
			break;
		case 1: {
			uint32_t where = next_word();

			scribble(where, next_word() | (uint64_t)next_word() << 32, next_byte() % 32);
			break;
		}
		case 2:
			ipm_exchange_detach(x);
			handles[which] = attach();
			memset(item, 0, sizeof(*item));
			break;
		case 3:
		case 4:
			ipm_exchange_publish_until(x, buffer, size, deadline);
			break;
		case 5:
		case 6:
			if (!ipm_exchange_consume_until(x, buffer, size, &got, &flags, deadline) &&
			    got > size)
				abort();
			break;
		case 7:
			if (!ipm_exchange_reserve(x, size, deadline, item)) {
				check_item(item);
				touch(item->data, item->size, true);
			}
			break;
		case 8:
			if (size < item->size)
				item->size = size;
			ipm_exchange_commit(x, item);
			break;
		case 9:
			ipm_exchange_discard(x, item);
			break;
		case 10:
			if (!ipm_exchange_peek(x, deadline, item)) {
				check_item(item);
				touch(item->data, item->size, false);
			}
			break;
		case 11:
			ipm_exchange_finish(x, item);
			break;
		case 12:
			ipm_exchange_ask(x, buffer, size, deadline);
			break;
		case 13:
			result = ipm_exchange_take_reply(x, buffer, size, &got, deadline);
			if (!result && got > size)
				abort();
			break;
		case 14:
			if (!ipm_exchange_peek_reply(x, deadline, item)) {
				check_item(item);
				touch(item->data, item->size, false);
			}
			break;
		case 15:
			ipm_exchange_reply(x, buffer, size, deadline);
			break;
		case 16:
			if (!ipm_exchange_reserve_reply(x, size, deadline, item)) {
				check_item(item);
				touch(item->data, item->size, true);
			}
			break;
		case 17:
			ipm_exchange_commit_ask(x, item);
			break;
		case 18:
			ipm_exchange_arm(x, (ipm_exchange_event)(size % 5), &ready);
			ipm_exchange_check(x, (ipm_exchange_event)(size % 5));
			ipm_exchange_get_stats(x, &stats);
			break;
		case 19:
			ipm_exchange_publish_try(x, buffer, size);
			break;
		case 20:
			if (!ipm_exchange_consume_try(x, buffer, size, &got, &flags) && got > size)
				abort();
			break;
		default:
			if (size % 2)
				ipm_exchange_cancel(x);
			else
				ipm_exchange_refuse(x);
		}
	}
	for (i = 0; i < HANDLES; i++)
		ipm_exchange_detach(handles[i]);
	free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ipm_exchange_options options = {
		.struct_size = sizeof(options), .window = IPM_EXCHANGE_WINDOW_MIN,
		.publish_bell = 1, .consume_bell = 2,
	};
	struct exchange_geometry g;
	size_t need;
	uint8_t shape;

	fuzz.data = data;
	fuzz.size = size;
	fuzz.rate = 0;
	fuzz_now = 1000000;
	shape = next_byte();
	fuzz.state = next_word() | (uint64_t)1 << 40;
	options.flags = shape & IPM_EXCHANGE_ONE_WAY;
	options.participants = 1 + (shape >> 1 & 7);
	if (ipm_exchange_footprint(&options, &need) || make_geometry(&options, &g))
		abort();
	fuzz.memory_size = need;
	fuzz.control_size = g.window_offset;
	if (posix_memalign((void **)&fuzz.memory, 64, need))
		abort();
	memset(fuzz.memory, 0, need);
	if (ipm_exchange_create(&options, fuzz.memory, need))
		abort();
	run();
	fuzz.rate = 0;
	free(fuzz.memory);
	return 0;
}
