// SPDX-License-Identifier: GPL-2.0
/*
 * Exchanges in one thread: every call, every wrong argument, every size, and what is
 * refused.
 */
#include <poll.h>
#include <sys/eventfd.h>

#include "exchange_tests.h"

#define WINDOW (64 * KIB)

static void shapes(void)
{
	ipm_exchange_options o = { .struct_size = sizeof(o) };
	size_t size = 0, both;
	void *memory;

	CHECK_RESULT(ipm_exchange_footprint(NULL, &size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_footprint(&o, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_OK(ipm_exchange_footprint(&o, &both));
	CHECK(both > 8 * MIB && both < 8 * MIB + 16 * KIB);
	o.flags = IPM_EXCHANGE_ONE_WAY;
	CHECK_OK(ipm_exchange_footprint(&o, &size));
	CHECK_INT(both - size, 4 * MIB);
	o.flags = 2;
	CHECK_RESULT(ipm_exchange_footprint(&o, &size), IPM_RESULT_ERR_BAD_VALUE);
	o.flags = 0;
	o.participants = IPM_RING_MAX_SLOTS + 1;
	CHECK_RESULT(ipm_exchange_footprint(&o, &size), IPM_RESULT_ERR_BAD_VALUE);
	o.participants = IPM_RING_MAX_SLOTS;
	CHECK_OK(ipm_exchange_footprint(&o, &size));
	o.window = IPM_EXCHANGE_WINDOW_MIN - 1;
	CHECK_RESULT(ipm_exchange_footprint(&o, &size), IPM_RESULT_ERR_BAD_SIZE);
	o.window = IPM_EXCHANGE_WINDOW_MAX + 1;
	CHECK_RESULT(ipm_exchange_footprint(&o, &size), IPM_RESULT_ERR_BAD_SIZE);
	o.window = SIZE_MAX;
	CHECK_RESULT(ipm_exchange_footprint(&o, &size), IPM_RESULT_ERR_BAD_SIZE);
	o.window = 4097;
	CHECK_OK(ipm_exchange_footprint(&o, &size));
	o.struct_size--;
	CHECK_RESULT(ipm_exchange_footprint(&o, &size), IPM_RESULT_ERR_BAD_VALUE);
	o.struct_size++;
	memory = mmap(NULL, size + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		DIE("mmap");
	CHECK_RESULT(ipm_exchange_create(&o, NULL, size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_create(NULL, memory, size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_create(&o, (char *)memory + 8, size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_create(&o, memory, size - 1), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_exchange_create(&o, memory, 0), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_OK(ipm_exchange_create(&o, memory, size));
	munmap(memory, size + 64);
}

static void attaching(void)
{
	ipm_exchange_attach_options o, wrong;
	ipm_exchange *x[17];
	struct place p;
	uint64_t *words;
	int i;

	make_place(&p, WINDOW, 0);
	o = exchange_options(&p, PUBLISHER);
	words = p.memory;
	CHECK_RESULT(ipm_exchange_attach(NULL, NULL, p.memory, p.size, x), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_attach(NULL, &o, NULL, p.size, x), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_attach(NULL, &o, p.memory, p.size, NULL),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_attach(NULL, &o, words + 1, p.size, x), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_attach(NULL, &o, p.memory, p.size - 1, x),
		     IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_exchange_attach(NULL, &o, p.memory, 100, x), IPM_RESULT_ERR_TOO_SMALL);
	wrong = o, wrong.struct_size++;
	CHECK_RESULT(ipm_exchange_attach(NULL, &wrong, p.memory, p.size, x),
		     IPM_RESULT_ERR_BAD_VALUE);
	wrong = o, wrong.roles = 4;
	CHECK_RESULT(ipm_exchange_attach(NULL, &wrong, p.memory, p.size, x),
		     IPM_RESULT_ERR_BAD_VALUE);
	wrong = o, wrong.reserved = 1;
	CHECK_RESULT(ipm_exchange_attach(NULL, &wrong, p.memory, p.size, x),
		     IPM_RESULT_ERR_BAD_VALUE);
	wrong = o, wrong.slot = IPM_RING_MAX_SLOTS;
	CHECK_RESULT(ipm_exchange_attach(NULL, &wrong, p.memory, p.size, x),
		     IPM_RESULT_ERR_BAD_VALUE);
	wrong = o, wrong.config.max_sleep_ns = IPM_CHANNEL_SLEEP_MAX + 1;
	CHECK_RESULT(ipm_exchange_attach(NULL, &wrong, p.memory, p.size, x),
		     IPM_RESULT_ERR_BAD_VALUE);
	/* What is no exchange, or a strange one. */
	for (i = 0; i < 6; i++) {
		static const ipm_result results[] = {
			IPM_RESULT_ERR_BAD_INIT, IPM_RESULT_ERR_VERSION, IPM_RESULT_ERR_CORRUPTED,
			IPM_RESULT_ERR_CORRUPTED, IPM_RESULT_ERR_CORRUPTED, IPM_RESULT_SUCCESS,
		};
		uint64_t saved = words[i];

		words[i] ^= 1ULL << 4;
		CHECK_RESULT(ipm_exchange_attach(NULL, &o, p.memory, p.size, x), results[i]);
		words[i] = saved;
		if (i == 5)
			ipm_exchange_detach(x[0]);
	}
	for (i = 0; i < 16; i++)
		CHECK_OK(ipm_exchange_attach(NULL, &o, p.memory, p.size, &x[i]));
	CHECK_RESULT(ipm_exchange_attach(NULL, &o, p.memory, p.size, &x[16]), IPM_RESULT_ERR_LIMIT);
	CHECK_INT(stats_of(x[3]).publishers, 16);
	ipm_exchange_detach(x[0]);
	CHECK_OK(ipm_exchange_attach(NULL, &o, p.memory, p.size, &x[0]));
	for (i = 0; i < 16; i++)
		ipm_exchange_detach(x[i]);
	ipm_exchange_detach(NULL);
	unmake_place(&p);
}

/* Read-only memory can be looked at, and nothing else. */
static void observing(void)
{
	ipm_exchange *x, *observer;
	ipm_exchange_item item = { 0 };
	struct place p;
	char bytes[8];
	size_t size;
	bool ready;

	make_place(&p, WINDOW, 0);
	x = enter(&p, PUBLISHER);
	CHECK_OK(ipm_exchange_publish(x, "12345678", 8));
	ipm_exchange_detach(x);
	if (mprotect(p.memory, p.size, PROT_READ))
		DIE("mprotect");
	observer = enter(&p, 0);
	CHECK_INT(stats_of(observer).published, 1);
	CHECK_INT(stats_of(observer).consumed, 0);
	CHECK_RESULT(ipm_exchange_publish(observer, "x", 1), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_consume(observer, bytes, 8, &size, NULL),
		     IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_request(observer, "x", 1, bytes, 8, &size, IPM_DEADLINE_NONE),
		     IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_reserve(observer, 1, IPM_DEADLINE_NOW, &item),
		     IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_peek(observer, IPM_DEADLINE_NOW, &item),
		     IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_reply(observer, "x", 1, IPM_DEADLINE_NOW),
		     IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_exchange_refuse(observer), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_exchange_cancel(observer), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_exchange_commit(observer, &item), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_exchange_finish(observer, &item), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_exchange_arm(observer, IPM_EXCHANGE_CONSUME, &ready),
		     IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_check(observer, IPM_EXCHANGE_PUBLISH),
		     IPM_RESULT_ERR_BAD_ACCESS);
	ipm_exchange_detach(observer);
	unmake_place(&p);
}

/* Nothing comes back but the bytes that were published; strictly one after the other. */
static void sizes(void)
{
	static const size_t all[] = {
		0, 1, 7, 8, 9, 31, 32, 33, 95, 96, 97, 128, 4095, 4096, 4097, 8191, 8192, 8193,
		16384, 16385, 32768, 40000, 65535, 65536,
	};
	unsigned char *in = malloc(2 * WINDOW), *out = malloc(2 * WINDOW);
	struct place p;
	ipm_exchange *w, *r;
	size_t i, size;
	uint32_t flags;
	int round;

	if (!in || !out)
		DIE("malloc");
	make_place(&p, WINDOW, IPM_EXCHANGE_ONE_WAY);
	w = enter(&p, PUBLISHER);
	r = enter(&p, CONSUMER);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
			fill(in, all[i], i);
			memset(out, 0x5a, 2 * WINDOW);
			CHECK_RESULT(ipm_exchange_consume_try(r, out, WINDOW, &size, &flags),
				     IPM_RESULT_ERR_WOULD_BLOCK);
			CHECK_OK(ipm_exchange_publish(w, in, all[i]));
			CHECK_RESULT(ipm_exchange_publish_try(w, "next", 4),
				     IPM_RESULT_ERR_WOULD_BLOCK);
			if (all[i]) {
				size = 0;
				CHECK_RESULT(ipm_exchange_consume(r, out, all[i] - 1, &size, &flags),
					     IPM_RESULT_ERR_TOO_SMALL);
				CHECK_INT(size, all[i]);
			}
			size = 77;
			flags = 77;
			CHECK_OK(ipm_exchange_consume(r, all[i] ? out : NULL, all[i], &size,
						      &flags));
			CHECK_INT(size, all[i]);
			CHECK_INT(flags, 0);
			CHECK(!memcmp(in, out, all[i]));
			CHECK(out[all[i]] == 0x5a);
		}
	}
	/* What is larger than the window needs somebody who reads at the same time. */
	CHECK_RESULT(ipm_exchange_publish_try(w, in, WINDOW + 1), IPM_RESULT_ERR_TOO_LARGE);
	CHECK_RESULT(ipm_exchange_publish_until(w, in, WINDOW + 1, now() + 10 * MS),
		     IPM_RESULT_ERR_TIMEOUT);
	/* It did not happen. */
	CHECK_RESULT(ipm_exchange_consume_try(r, out, 2 * WINDOW, &size, &flags),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_OK(ipm_exchange_publish_try(w, "again", 5));
	CHECK_OK(ipm_exchange_consume_try(r, out, WINDOW, &size, &flags));
	CHECK_INT(size, 5);
	CHECK_INT(flags, 0);
	CHECK_RESULT(ipm_exchange_publish(w, NULL, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_publish_until(w, in, 1, -1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_publish(NULL, in, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_consume(r, NULL, 1, &size, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_consume(r, out, 1, NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_consume_until(r, out, 1, &size, NULL, -1),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_consume(NULL, out, 1, &size, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_publish(r, in, 1), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_consume(w, out, 1, &size, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_exchange_ask(w, in, 1, IPM_DEADLINE_NONE), IPM_RESULT_ERR_NOT_SUPPORTED);
	CHECK_RESULT(ipm_exchange_consume_until(r, out, 1, &size, NULL, now() + 5 * MS),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_OK(ipm_exchange_publish(w, "1", 1));
	CHECK_RESULT(ipm_exchange_publish_until(w, "2", 1, now() + 5 * MS), IPM_RESULT_ERR_TIMEOUT);
	CHECK_INT(stats_of(r).dropped, 0);
	CHECK_INT(stats_of(r).redelivered, 0);
	ipm_exchange_detach(w);
	/* It outlives its publisher. */
	CHECK_OK(ipm_exchange_consume(r, out, 1, &size, &flags));
	CHECK(size == 1 && out[0] == '1');
	ipm_exchange_detach(r);
	unmake_place(&p);
	free(in);
	free(out);
}

static void in_place(void)
{
	ipm_exchange_item item, other;
	struct place p;
	ipm_exchange *w, *r;
	unsigned char byte;
	uint32_t flags;
	size_t size;

	make_place(&p, WINDOW, 0);
	w = enter(&p, PUBLISHER);
	r = enter(&p, CONSUMER);
	CHECK_RESULT(ipm_exchange_reserve(w, WINDOW + 1, IPM_DEADLINE_NONE, &item),
		     IPM_RESULT_ERR_TOO_LARGE);
	CHECK_RESULT(ipm_exchange_reserve(w, 1, IPM_DEADLINE_NONE, NULL), IPM_RESULT_ERR_BAD_VALUE);
	for (size = 0; size <= WINDOW; size = size * 2 + 5) {
		CHECK_OK(ipm_exchange_reserve(w, size, IPM_DEADLINE_NONE, &item));
		CHECK_INT(item.size, size);
		CHECK_INT((uintptr_t)item.data % (size > 96 ? 64 : 8), 0);
		CHECK((char *)item.data >= (char *)p.memory &&
		      (char *)item.data + size <= (char *)p.memory + p.size);
		fill(item.data, size, size);
		CHECK_RESULT(ipm_exchange_publish(w, "x", 1), IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_RESULT(ipm_exchange_reserve(w, 1, IPM_DEADLINE_NONE, &other),
			     IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_RESULT(ipm_exchange_peek(r, IPM_DEADLINE_NOW, &other),
			     IPM_RESULT_ERR_WOULD_BLOCK);
		other = item;
		other.size++;
		CHECK_RESULT(ipm_exchange_commit(w, &other), IPM_RESULT_ERR_BAD_SIZE);
		CHECK_RESULT(ipm_exchange_finish(w, &item), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_OK(ipm_exchange_commit(w, &item));
		CHECK_RESULT(ipm_exchange_commit(w, &item), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_RESULT(ipm_exchange_discard(w, &item), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_OK(ipm_exchange_peek(r, IPM_DEADLINE_NONE, &other));
		CHECK_INT(other.size, size);
		CHECK(other.data == item.data);
		CHECK_INT(other.flags, 0);
		CHECK(filled(other.data, size, size));
		/* Not consumed before it is finished. */
		CHECK_RESULT(ipm_exchange_publish_try(w, "x", 1), IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_RESULT(ipm_exchange_peek(r, IPM_DEADLINE_NOW, &other),
			     IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_RESULT(ipm_exchange_consume(r, &byte, 1, &size, NULL),
			     IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_OK(ipm_exchange_finish(r, &other));
		CHECK_RESULT(ipm_exchange_finish(r, &other), IPM_RESULT_ERR_NOT_LOCKED);
	}
	/* Less than was reserved. */
	CHECK_OK(ipm_exchange_reserve(w, 1000, IPM_DEADLINE_NONE, &item));
	item.size = 3;
	memcpy(item.data, "abc", 3);
	CHECK_OK(ipm_exchange_commit(w, &item));
	CHECK_OK(ipm_exchange_peek(r, IPM_DEADLINE_NONE, &other));
	CHECK(other.size == 3 && !memcmp(other.data, "abc", 3));
	CHECK_OK(ipm_exchange_finish(r, &other));
	/* Given up, in both ways: nothing was published, or dropped. */
	CHECK_OK(ipm_exchange_reserve(w, 1000, IPM_DEADLINE_NONE, &item));
	CHECK_OK(ipm_exchange_discard(w, &item));
	CHECK_OK(ipm_exchange_reserve(w, 10, IPM_DEADLINE_NONE, &item));
	ipm_exchange_detach(w);
	CHECK_RESULT(ipm_exchange_consume_try(r, &byte, 1, &size, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(stats_of(r).dropped, 0);
	/* Left while it had it: the next one is told. */
	w = enter(&p, PUBLISHER);
	CHECK_OK(ipm_exchange_publish(w, "y", 1));
	CHECK_OK(ipm_exchange_peek(r, IPM_DEADLINE_NONE, &item));
	ipm_exchange_detach(r);
	r = enter(&p, CONSUMER);
	CHECK_OK(ipm_exchange_consume(r, &byte, 1, &size, &flags));
	CHECK_INT(flags, IPM_EXCHANGE_REDELIVERED);
	CHECK_INT(stats_of(r).redelivered, 1);
	CHECK_OK(ipm_exchange_publish(w, "z", 1));
	CHECK_OK(ipm_exchange_consume(r, &byte, 1, &size, &flags));
	CHECK_INT(flags, 0);
	ipm_exchange_detach(w);
	ipm_exchange_detach(r);
	unmake_place(&p);
}

static void replies(void)
{
	static const size_t all[] = { 0, 1, 96, 97, 5000, 8193, WINDOW };
	ipm_exchange_item item, other;
	struct place p;
	ipm_exchange *c, *c2, *s;
	unsigned char *bytes = malloc(WINDOW), *got = malloc(WINDOW);
	uint32_t flags;
	size_t i, size;

	if (!bytes || !got)
		DIE("malloc");
	make_place(&p, WINDOW, 0);
	c = enter(&p, PUBLISHER);
	c2 = enter(&p, PUBLISHER);
	s = enter(&p, CONSUMER);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		fill(bytes, all[i], i);
		CHECK_OK(ipm_exchange_ask(c, bytes, all[i], IPM_DEADLINE_NONE));
		CHECK_RESULT(ipm_exchange_ask(c, bytes, 1, IPM_DEADLINE_NONE),
			     IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_RESULT(ipm_exchange_publish(c, bytes, 1), IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_RESULT(ipm_exchange_take_reply(c, got, WINDOW, &size, IPM_DEADLINE_NOW),
			     IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_RESULT(ipm_exchange_take_reply(c, got, WINDOW, &size, now() + MS),
			     IPM_RESULT_ERR_TIMEOUT);
		CHECK_RESULT(ipm_exchange_publish_try(c2, "x", 1), IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_OK(ipm_exchange_consume(s, got, WINDOW, &size, &flags));
		CHECK_INT(flags, IPM_EXCHANGE_REQUEST);
		CHECK(size == all[i] && filled(got, size, i));
		/* Consumed, but the turn is the client's until it has its reply. */
		CHECK_RESULT(ipm_exchange_publish_try(c2, "x", 1), IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_RESULT(ipm_exchange_consume(s, got, WINDOW, &size, &flags),
			     IPM_RESULT_ERR_ALREADY_LOCKED);
		fill(bytes, all[i], i + 100);
		CHECK_RESULT(ipm_exchange_reply(s, NULL, 1, IPM_DEADLINE_NONE),
			     IPM_RESULT_ERR_BAD_VALUE);
		CHECK_RESULT(ipm_exchange_reply(s, bytes, WINDOW + 1, IPM_DEADLINE_NOW),
			     IPM_RESULT_ERR_TOO_LARGE);
		CHECK_OK(ipm_exchange_reply(s, bytes, all[i], IPM_DEADLINE_NONE));
		CHECK_RESULT(ipm_exchange_reply(s, bytes, all[i], IPM_DEADLINE_NONE),
			     IPM_RESULT_ERR_NOT_LOCKED);
		if (all[i]) {
			CHECK_RESULT(ipm_exchange_take_reply(c, got, all[i] - 1, &size,
							     IPM_DEADLINE_NONE),
				     IPM_RESULT_ERR_TOO_SMALL);
			CHECK_INT(size, all[i]);
		}
		CHECK_OK(ipm_exchange_take_reply(c, got, all[i], &size, IPM_DEADLINE_NOW));
		CHECK(size == all[i] && filled(got, size, i + 100));
		CHECK_RESULT(ipm_exchange_take_reply(c, got, WINDOW, &size, IPM_DEADLINE_NOW),
			     IPM_RESULT_ERR_NOT_LOCKED);
	}
	/* In place, all four. */
	CHECK_OK(ipm_exchange_reserve(c, 500, IPM_DEADLINE_NONE, &item));
	memset(item.data, 1, 500);
	CHECK_OK(ipm_exchange_commit_ask(c, &item));
	CHECK_OK(ipm_exchange_peek(s, IPM_DEADLINE_NONE, &item));
	CHECK(item.flags == IPM_EXCHANGE_REQUEST && item.size == 500);
	CHECK_RESULT(ipm_exchange_reserve_reply(s, 1, IPM_DEADLINE_NONE, &other),
		     IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_OK(ipm_exchange_finish(s, &item));
	CHECK_OK(ipm_exchange_reserve_reply(s, 600, IPM_DEADLINE_NONE, &other));
	CHECK_RESULT(ipm_exchange_reply(s, "x", 1, IPM_DEADLINE_NONE), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_RESULT(ipm_exchange_refuse(s), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_OK(ipm_exchange_discard(s, &other));
	CHECK_OK(ipm_exchange_reserve_reply(s, 600, IPM_DEADLINE_NONE, &other));
	memset(other.data, 2, 600);
	CHECK_RESULT(ipm_exchange_commit_ask(s, &other), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_OK(ipm_exchange_commit(s, &other));
	CHECK_OK(ipm_exchange_peek_reply(c, IPM_DEADLINE_NONE, &item));
	CHECK(item.size == 600 && ((char *)item.data)[599] == 2);
	CHECK_RESULT(ipm_exchange_take_reply(c, got, WINDOW, &size, IPM_DEADLINE_NOW),
		     IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_OK(ipm_exchange_finish(c, &item));
	/* Refused, or left. */
	CHECK_OK(ipm_exchange_ask(c, "1", 1, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_consume(s, got, WINDOW, &size, &flags));
	CHECK_OK(ipm_exchange_refuse(s));
	CHECK_RESULT(ipm_exchange_take_reply(c, got, WINDOW, &size, IPM_DEADLINE_NONE),
		     IPM_RESULT_ERR_CLOSED);
	CHECK_OK(ipm_exchange_ask(c, "2", 1, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_consume(s, got, WINDOW, &size, &flags));
	ipm_exchange_detach(s);
	CHECK_RESULT(ipm_exchange_take_reply(c, got, WINDOW, &size, IPM_DEADLINE_NONE),
		     IPM_RESULT_ERR_CLOSED);
	s = enter(&p, CONSUMER);
	/* Cancelled before a server has it: it never sees it. */
	CHECK_OK(ipm_exchange_ask(c, "3", 1, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_cancel(c));
	CHECK_RESULT(ipm_exchange_consume_try(s, got, WINDOW, &size, &flags),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(stats_of(s).dropped, 1);
	/* While it has it: the reply goes nowhere. */
	CHECK_OK(ipm_exchange_ask(c, "4", 1, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_consume_try(s, got, WINDOW, &size, &flags));
	CHECK_OK(ipm_exchange_cancel(c));
	CHECK_RESULT(ipm_exchange_reply(s, "r4", 2, IPM_DEADLINE_NONE), IPM_RESULT_ERR_REMOVED);
	/* After the reply: another client must not get it. */
	CHECK_OK(ipm_exchange_ask(c, "5", 1, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_consume_try(s, got, WINDOW, &size, &flags));
	CHECK_OK(ipm_exchange_reply(s, "r5", 2, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_cancel(c));
	CHECK_OK(ipm_exchange_ask(c2, "6", 1, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_consume_try(s, got, WINDOW, &size, &flags));
	CHECK_RESULT(ipm_exchange_take_reply(c2, got, WINDOW, &size, IPM_DEADLINE_NOW),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_OK(ipm_exchange_reply(s, "r6!", 3, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_take_reply(c2, got, WINDOW, &size, IPM_DEADLINE_NOW));
	CHECK(size == 3 && !memcmp(got, "r6!", 3));
	CHECK_INT(stats_of(s).dropped, 2);
	/* A request that times out is cancelled. */
	CHECK_RESULT(ipm_exchange_request(c, "7", 1, got, WINDOW, &size, now() + 5 * MS),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_RESULT(ipm_exchange_request(c, "7", 1, got, WINDOW, &size, IPM_DEADLINE_NOW),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_consume_try(s, got, WINDOW, &size, &flags),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	/* An item beside requests. */
	CHECK_OK(ipm_exchange_publish(c, "8", 1));
	CHECK_OK(ipm_exchange_consume_try(s, got, WINDOW, &size, &flags));
	CHECK_INT(flags, 0);
	CHECK_RESULT(ipm_exchange_reply(s, "x", 1, IPM_DEADLINE_NONE), IPM_RESULT_ERR_NOT_LOCKED);
	ipm_exchange_detach(c);
	ipm_exchange_detach(c2);
	ipm_exchange_detach(s);
	unmake_place(&p);
	free(bytes);
	free(got);
}

static void ring_bell(void *param, uint64_t bits)
{
	uint64_t one = 1;

	if (write(((int *)param)[bits == 2], &one, sizeof(one)) != sizeof(one))
		DIE("eventfd");
}

static bool rung(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static void doorbells(void)
{
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	ipm_exchange_attach_options o;
	ipm_exchange *c, *s, *c2;
	struct place p;
	char got[8];
	size_t size;
	bool ready;

	make_place(&p, WINDOW, 0);
	o = exchange_options(&p, PUBLISHER);
	o.bell = ring_bell;
	o.bell_param = fds;
	c = enter_with(&p, &o);
	c2 = enter_with(&p, &o);
	o.roles = CONSUMER;
	s = enter_with(&p, &o);
	CHECK_RESULT(ipm_exchange_arm(s, IPM_EXCHANGE_CONSUME, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_arm(s, (ipm_exchange_event)9, &ready), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_exchange_arm(c, IPM_EXCHANGE_REPLY, &ready), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_OK(ipm_exchange_arm(s, IPM_EXCHANGE_CONSUME, &ready));
	CHECK(!ready && !rung(fds[1]));
	CHECK_OK(ipm_exchange_publish(c, "1", 1));
	CHECK(rung(fds[1]) && !rung(fds[0]));
	CHECK_OK(ipm_exchange_arm(s, IPM_EXCHANGE_CONSUME, &ready));
	CHECK(ready);
	CHECK_OK(ipm_exchange_arm(c, IPM_EXCHANGE_PUBLISH, &ready));
	CHECK(!ready);
	CHECK_OK(ipm_exchange_consume_try(s, got, 8, &size, NULL));
	CHECK(rung(fds[0]));
	CHECK_OK(ipm_exchange_arm(c, IPM_EXCHANGE_PUBLISH, &ready));
	CHECK(ready);
	/* A reply. */
	CHECK_OK(ipm_exchange_ask(c, "2", 1, IPM_DEADLINE_NOW));
	CHECK(rung(fds[1]));
	rung(fds[0]);
	CHECK_OK(ipm_exchange_arm(c, IPM_EXCHANGE_REPLY, &ready));
	CHECK(!ready);
	CHECK_OK(ipm_exchange_consume_try(s, got, 8, &size, NULL));
	rung(fds[0]);
	CHECK_OK(ipm_exchange_arm(c, IPM_EXCHANGE_REPLY, &ready));
	CHECK(!ready);
	CHECK_OK(ipm_exchange_reply(s, "3", 1, IPM_DEADLINE_NOW));
	CHECK(rung(fds[0]));
	CHECK_OK(ipm_exchange_arm(c, IPM_EXCHANGE_REPLY, &ready));
	CHECK(ready);
	/* The turn of another publisher, until it gives it back. */
	CHECK_OK(ipm_exchange_arm(c2, IPM_EXCHANGE_PUBLISH, &ready));
	CHECK(!ready);
	rung(fds[0]);
	CHECK_OK(ipm_exchange_take_reply(c, got, 8, &size, IPM_DEADLINE_NOW));
	CHECK(rung(fds[0]));
	CHECK_OK(ipm_exchange_arm(c2, IPM_EXCHANGE_PUBLISH, &ready));
	CHECK(ready);
	CHECK_OK(ipm_exchange_check(c, IPM_EXCHANGE_PUBLISH));
	CHECK_OK(ipm_exchange_check(s, IPM_EXCHANGE_CONSUME));
	ipm_exchange_detach(c);
	ipm_exchange_detach(c2);
	ipm_exchange_detach(s);
	unmake_place(&p);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	RUN(shapes);
	RUN(attaching);
	RUN(observing);
	RUN(sizes);
	RUN(in_place);
	RUN(replies);
	RUN(doorbells);
	return tap_end();
}
