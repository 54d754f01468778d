// SPDX-License-Identifier: GPL-2.0
/*
 * Rings in one process: every call of ipm_ring.h on every kind, with and
 * without a doubled mapping, right and wrong arguments, wrap-around, and what
 * a dead participant leaves, with death played by a liveness callback.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ipm/ipm_channel.h>
#include <ipm/ipm_ring.h>

#include "../../lib/ring.h"
#include "tap.h"

/* A ring in a memfd, mapped as its shape asks. */
struct fixture {
	ipm_ring_options options;
	ipm_ring_mapping map;
	int fd;
	size_t size;
};

/* Generation of each slot; an older one is dead. */
static uint32_t generations[IPM_RING_MAX_SLOTS];

/* Ends the program when the test itself cannot go on. */
#define DIE(...) do {							\
	printf("Bail out! %s:%d: ", __FILE__, __LINE__);		\
	printf(__VA_ARGS__);						\
	printf("\n");							\
	fflush(stdout);							\
	exit(1);							\
} while (0)

static bool test_alive(void *param, uint32_t slot, uint32_t generation)
{
	(void)param;
	return generations[slot] == generation;
}

struct variant {
	const char *name;
	ipm_ring_kind kind;
	uint32_t flags;
};

static const struct variant variants[] = {
	{ "SPSC", IPM_RING_KIND_SPSC, 0 },
	{ "SPSC doubled", IPM_RING_KIND_SPSC, IPM_RING_DOUBLED },
	{ "MPMC", IPM_RING_KIND_MPMC, 0 },
	{ "MPMC doubled", IPM_RING_KIND_MPMC, IPM_RING_DOUBLED },
	{ "LANES", IPM_RING_KIND_LANES, 0 },
};

/* What the test that runs is about. */
static const struct variant *variant;

#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

static ipm_ring_options shape(const struct variant *v)
{
	ipm_ring_options o = {
		.struct_size = sizeof(o),
		.kind = v->kind,
		.flags = v->flags,
		.lanes = v->kind == IPM_RING_KIND_LANES ? 2 : 0,
		.participants = v->kind == IPM_RING_KIND_MPMC ? 4 : 0,
	};
	return o;
}

static void setup(struct fixture *f, const struct variant *v, size_t capacity)
{
	memset(f, 0, sizeof(*f));
	f->options = shape(v);
	if (ipm_ring_footprint(&f->options, capacity, &f->size))
		DIE("footprint");
	f->fd = memfd_create("ring_test", MFD_CLOEXEC);
	if (f->fd < 0 || ftruncate(f->fd, (off_t)f->size))
		DIE("memfd");
	if (ipm_ring_map(f->fd, 0, f->size, &f->options, IPM_ACCESS_MODE_READ_WRITE,
			 &f->map))
		DIE("map");
	/* Whatever was there before must not matter. */
	memset(f->map.memory, 0xa5, f->map.size);
	if (ipm_ring_create(&f->options, f->map.memory, f->map.size))
		DIE("create");
}

static void teardown(struct fixture *f)
{
	ipm_ring_unmap(&f->map);
	close(f->fd);
}

static ipm_result try_attach(struct fixture *f, uint32_t roles, uint32_t slot,
			     ipm_ring **ring)
{
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = roles,
		.flags = f->options.flags,
		.slot = slot,
		.generation = generations[slot],
		.liveness = { test_alive, NULL },
	};

	*ring = NULL;
	return ipm_ring_attach(NULL, &o, f->map.memory, f->map.size, ring);
}

static ipm_ring *attach(struct fixture *f, uint32_t roles, uint32_t slot)
{
	ipm_ring *ring;
	ipm_result result = try_attach(f, roles, slot, &ring);

	if (result)
		DIE("attach: %s", ipm_result_to_str(result));
	return ring;
}

/* The handle of a participant that died: nothing of it runs any more. */
static void die(ipm_ring *ring, uint32_t slot)
{
	generations[slot]++;
	free(ring);
}

static void die_consumer(ipm_ring *ring, uint32_t slot)
{
	free(ring->bad_lanes);
	die(ring, slot);
}

static void fill(unsigned char *bytes, size_t size, uint64_t n)
{
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = (unsigned char)(n * 31 + i * 7 + (i >> 8));
}

static bool filled(const void *data, size_t size, uint64_t n)
{
	const unsigned char *bytes = data;
	size_t i;

	for (i = 0; i < size; i++)
		if (bytes[i] != (unsigned char)(n * 31 + i * 7 + (i >> 8)))
			return false;
	return true;
}

static ipm_result put(ipm_ring *ring, size_t size, uint64_t n)
{
	unsigned char bytes[20000];

	fill(bytes, size, n);
	return ipm_ring_write(ring, bytes, size);
}

static ipm_result get(ipm_ring *ring, size_t size, uint64_t n, uint32_t *flags)
{
	unsigned char bytes[20000];
	size_t got = 0;
	ipm_result result = ipm_ring_read(ring, bytes, sizeof(bytes), &got, flags);

	if (!result) {
		CHECK_INT(got, size);
		CHECK(filled(bytes, size, n));
	}
	return result;
}

static size_t size_of(uint64_t n)
{
	static const size_t sizes[] = { 1, 8, 7, 64, 56, 200, 511, 512, 513, 1500,
					3, 16, 24, 33, 65, 128, 100, 2000 };

	return sizes[n % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void test_order(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring *w, *r;
	uint64_t sent = 0, received = 0, round;
	ipm_ring_stats stats;

	setup(&f, v, 12345);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	for (round = 0; round < 3000; round++) {
		uint64_t n = round % 37;

		while (n-- && !put(w, size_of(sent), sent))
			sent++;
		n = round % 41;
		while (n-- && !get(r, size_of(received), received, NULL))
			received++;
	}
	while (!get(r, size_of(received), received, NULL))
		received++;
	CHECK_INT(received, sent);
	CHECK(sent > 10000);
	CHECK_INT(ipm_ring_get_stats(w, &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_get_stats(r, &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(stats.written, sent);
	CHECK_INT(stats.read, sent);
	CHECK_INT(stats.used, 0);
	CHECK_INT(stats.dropped, 0);
	CHECK_INT(stats.redelivered, 0);
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

/* How many records of @size go into the ring as it is. */
static uint64_t fill_up(ipm_ring *w, size_t size, uint64_t n)
{
	uint64_t count = 0;

	while (!put(w, size, n + count))
		count++;
	CHECK_INT(put(w, size, 0), IPM_RESULT_ERR_WOULD_BLOCK);
	return count;
}

static void drain(ipm_ring *r, size_t size, uint64_t n, uint64_t count)
{
	while (count--)
		CHECK_INT(get(r, size, n++, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(get(r, size, 0, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
}

static void test_full(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring *w, *r;
	ipm_ring_limits limits;
	size_t space;
	uint64_t want, got, i;

	setup(&f, v, 20000);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	CHECK_INT(ipm_ring_get_limits(w, &limits), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_record_space(&f.options, 50, &space), IPM_RESULT_SUCCESS);
	want = limits.capacity / (v->kind == IPM_RING_KIND_LANES ? 2 : 1) / space;
	for (i = 0; i < 20; i++) {
		got = fill_up(w, 50, i);
		/* One word stays unused, and where the lap ends there may be a
		 * pad. */
		CHECK(got >= want - 2 && got <= want);
		/* One goes out, one goes in, at once. */
		CHECK_INT(get(r, 50, i, NULL), IPM_RESULT_SUCCESS);
		if (v->kind == IPM_RING_KIND_MPMC || (v->flags & IPM_RING_DOUBLED)) {
			CHECK_INT(put(w, 50, i + got), IPM_RESULT_SUCCESS);
			drain(r, 50, i + 1, got);
		} else {
			drain(r, 50, i + 1, got - 1);
		}
	}
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_largest(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record record;
	ipm_ring *w, *r;
	ipm_ring_limits limits;
	unsigned int i, k;

	setup(&f, v, 16384);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	CHECK_INT(ipm_ring_get_limits(r, &limits), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w, 0, 0), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(ipm_ring_reserve(w, 0, &record), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(ipm_ring_reserve(w, limits.max_record + 1, &record),
		 IPM_RESULT_ERR_TOO_LARGE);
	CHECK_INT(ipm_ring_reserve(w, SIZE_MAX, &record), IPM_RESULT_ERR_TOO_LARGE);
	for (i = 0; i < 50; i++) {
		/* From every place in the ring, after it was emptied. */
		for (k = 0; k < i; k++) {
			CHECK_INT(put(w, 60, k), IPM_RESULT_SUCCESS);
			CHECK_INT(get(r, 60, k, NULL), IPM_RESULT_SUCCESS);
		}
		for (k = 0; k < 3; k++) {
			ipm_result result = put(w, limits.max_record, i);

			if (!result)
				break;
			/* A pad has to be passed first. */
			CHECK_INT(result, IPM_RESULT_ERR_WOULD_BLOCK);
			CHECK_INT(ipm_ring_peek(r, &record), IPM_RESULT_ERR_WOULD_BLOCK);
		}
		CHECK(k < 3);
		CHECK_INT(ipm_ring_peek(r, &record), IPM_RESULT_SUCCESS);
		CHECK_INT(record.size, limits.max_record);
		CHECK(filled(record.data, record.size, i));
		CHECK_INT((uintptr_t)record.data % 64, 0);
		CHECK_INT(ipm_ring_release(r, &record), IPM_RESULT_SUCCESS);
	}
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_reserve(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record a, b, c;
	ipm_ring *w, *r;
	uint64_t i;

	setup(&f, v, 8192);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	for (i = 0; i < 500; i++) {
		size_t size = size_of(i), less = size > 8 ? size / 3 : size;

		CHECK_INT(ipm_ring_reserve(w, size, &a), IPM_RESULT_SUCCESS);
		memset(a.data, 0xff, size);
		CHECK_INT(ipm_ring_peek(r, &b), IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_INT(ipm_ring_discard(w, &a), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_discard(w, &a), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_INT(ipm_ring_peek(r, &b), IPM_RESULT_ERR_WOULD_BLOCK);

		CHECK_INT(ipm_ring_reserve(w, size, &a), IPM_RESULT_SUCCESS);
		memset(a.data, 0xff, size);
		fill(a.data, less, i);
		c = a;
		c.size = 0;
		CHECK_INT(ipm_ring_commit(w, &c), IPM_RESULT_ERR_BAD_SIZE);
		c.size = size + 64;
		CHECK_INT(ipm_ring_commit(w, &c), IPM_RESULT_ERR_BAD_SIZE);
		c.size = SIZE_MAX - 3;
		CHECK_INT(ipm_ring_commit(w, &c), IPM_RESULT_ERR_BAD_SIZE);
		a.size = less;
		CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_INT(put(w, 40, i), IPM_RESULT_SUCCESS);

		CHECK_INT(get(r, less, i, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 40, i, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_peek(r, &b), IPM_RESULT_ERR_WOULD_BLOCK);
	}
	/* Two reservations at once. */
	CHECK_INT(ipm_ring_reserve(w, 30, &a), IPM_RESULT_SUCCESS);
	if (v->kind == IPM_RING_KIND_MPMC) {
		CHECK_INT(ipm_ring_reserve(w, 30, &b), IPM_RESULT_SUCCESS);
		fill(a.data, 30, 1);
		fill(b.data, 30, 2);
		CHECK_INT(ipm_ring_commit(w, &b), IPM_RESULT_SUCCESS);
		/* Strict order: the first one comes first. */
		CHECK_INT(ipm_ring_peek(r, &c), IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 30, 1, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 30, 2, NULL), IPM_RESULT_SUCCESS);
	} else {
		CHECK_INT(ipm_ring_reserve(w, 30, &b), IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_INT(put(w, 30, 0), IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_INT(ipm_ring_discard(w, &a), IPM_RESULT_SUCCESS);
	}
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_release(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record a[5], x;
	ipm_ring *w, *r;
	size_t got;
	uint64_t i, round;
	char buffer[100];

	setup(&f, v, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 5; i++)
			CHECK_INT(put(w, 20 + i, i), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_peek_batch(r, a, 5, &got), IPM_RESULT_SUCCESS);
		CHECK_INT(got, 5);
		for (i = 0; i < 5; i++) {
			CHECK_INT(a[i].size, 20 + i);
			CHECK(filled(a[i].data, a[i].size, i));
			CHECK(!i || a[i].id > a[i - 1].id);
		}
		CHECK_INT(ipm_ring_peek_batch(r, &x, 1, &got),
			 IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_INT(got, 0);
		if (v->kind == IPM_RING_KIND_MPMC) {
			CHECK_INT(ipm_ring_release(r, &a[3]), IPM_RESULT_SUCCESS);
			CHECK_INT(ipm_ring_release(r, &a[0]), IPM_RESULT_SUCCESS);
			CHECK_INT(ipm_ring_release(r, &a[3]), IPM_RESULT_ERR_NOT_LOCKED);
			CHECK_INT(ipm_ring_release(r, &a[1]), IPM_RESULT_SUCCESS);
			CHECK_INT(ipm_ring_release_batch(r, &a[4], 1),
				 IPM_RESULT_SUCCESS);
			CHECK_INT(ipm_ring_release(r, &a[2]), IPM_RESULT_SUCCESS);
		} else {
			CHECK_INT(ipm_ring_release(r, &a[3]), IPM_RESULT_ERR_BAD_VALUE);
			CHECK_INT(ipm_ring_read(r, buffer, 100, &got, NULL),
				 IPM_RESULT_ERR_ALREADY_LOCKED);
			CHECK_INT(ipm_ring_skip(r), IPM_RESULT_ERR_ALREADY_LOCKED);
			CHECK_INT(ipm_ring_release(r, &a[0]), IPM_RESULT_SUCCESS);
			CHECK_INT(ipm_ring_release(r, &a[0]), IPM_RESULT_ERR_NOT_LOCKED);
			CHECK_INT(ipm_ring_release_batch(r, &a[1], 4),
				 IPM_RESULT_SUCCESS);
		}
		CHECK_INT(ipm_ring_release(r, &a[4]), IPM_RESULT_ERR_NOT_LOCKED);
		x = a[0];
		x.priv[0] = UINT64_MAX;
		CHECK_INT(ipm_ring_release(r, &x), IPM_RESULT_ERR_NOT_LOCKED);
		x.id = UINT64_MAX;
		CHECK_INT(ipm_ring_release(r, &x), IPM_RESULT_ERR_NOT_LOCKED);
	}
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_read(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring *w, *r;
	ipm_ring_stats stats;
	char buffer[600];
	size_t got;
	uint64_t skipped;

	setup(&f, v, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	CHECK_INT(ipm_ring_skip(r), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(ipm_ring_skip_force(r, &skipped), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(put(w, 600, 1), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w, 40, 2), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w, 40, 3), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_read(r, buffer, 599, &got, NULL), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(got, 600);
	CHECK_INT(ipm_ring_read(r, buffer, 0, &got, NULL), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(ipm_ring_read(r, buffer, 600, &got, NULL), IPM_RESULT_SUCCESS);
	CHECK(filled(buffer, 600, 1));
	CHECK_INT(ipm_ring_read(r, buffer, 39, &got, NULL), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(got, 40);
	CHECK_INT(ipm_ring_skip(r), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_skip_force(r, &skipped), IPM_RESULT_SUCCESS);
	CHECK_INT(skipped, 1);
	CHECK_INT(ipm_ring_skip(r), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(ipm_ring_get_stats(r, &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(stats.skipped, 2);
	CHECK_INT(stats.redelivered, 0);
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_batch(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_span spans[300];
	ipm_ring *w, *r;
	unsigned char bytes[300];
	size_t i, written, round, expected = 0;

	setup(&f, v, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	fill(bytes, sizeof(bytes), 9);
	for (i = 0; i < 300; i++)
		spans[i] = (ipm_ring_span){ bytes, i + 1 };
	for (round = 0; round < 50; round++) {
		CHECK_INT(ipm_ring_write_batch(w, spans, 300, &written),
			 IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK(written > 20 && written < 300);
		for (i = 0; i < written; i++)
			CHECK_INT(get(r, i + 1, 9, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 1, 9, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
		expected += written;
		CHECK_INT(ipm_ring_write_batch(w, spans, 5, &written),
			 IPM_RESULT_SUCCESS);
		CHECK_INT(written, 5);
		for (i = 0; i < 5; i++)
			CHECK_INT(get(r, i + 1, 9, NULL), IPM_RESULT_SUCCESS);
	}
	spans[1].size = 0;
	CHECK_INT(ipm_ring_write_batch(w, spans, 5, &written), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(written, 1);
	CHECK_INT(ipm_ring_write_batch(w, spans, 0, &written), IPM_RESULT_SUCCESS);
	CHECK_INT(written, 0);
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_roles(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record record;
	ipm_ring_peers peers;
	ipm_ring_stats stats;
	ipm_ring_mapping map;
	ipm_ring *w, *r, *x, *y, *z;
	char buffer[64];
	size_t got;

	setup(&f, v, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	CHECK_INT(put(w, 10, 0), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w, 10, 1), IPM_RESULT_SUCCESS);
	CHECK_INT(put(r, 10, 0), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_reserve(r, 10, &record), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_peek(w, &record), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_skip(w), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(get(w, 10, 0, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_peek(r, &record), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_release(w, &record), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_INT(ipm_ring_commit(r, &record), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_INT(ipm_ring_discard(r, &record), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_INT(ipm_ring_get_peers(w, &peers), IPM_RESULT_SUCCESS);
	CHECK_INT(peers.producers, 1);
	CHECK_INT(peers.consumers, 1);
	CHECK_INT(peers.dead_producers + peers.dead_consumers, 0);
	CHECK_INT(ipm_ring_release(r, &record), IPM_RESULT_SUCCESS);
	if (v->kind == IPM_RING_KIND_SPSC) {
		CHECK_INT(try_attach(&f, IPM_RING_PRODUCER, 3, &x),
			 IPM_RESULT_ERR_ALREADY_LOCKED);
		CHECK_INT(try_attach(&f, IPM_RING_CONSUMER, 3, &x),
			 IPM_RESULT_ERR_ALREADY_LOCKED);
	} else {
		/* Two lanes, or four participants. */
		x = attach(&f, IPM_RING_PRODUCER | IPM_RING_CONSUMER, 3);
		if (v->kind == IPM_RING_KIND_MPMC) {
			y = attach(&f, IPM_RING_CONSUMER, 4);
			CHECK_INT(try_attach(&f, IPM_RING_CONSUMER, 5, &z),
				 IPM_RESULT_ERR_LIMIT);
			ipm_ring_detach(y);
		} else {
			CHECK_INT(try_attach(&f, IPM_RING_PRODUCER, 5, &y),
				 IPM_RESULT_ERR_LIMIT);
		}
		CHECK_INT(put(x, 10, 7), IPM_RESULT_SUCCESS);
		ipm_ring_detach(x);
	}
	/* A read-only mapping: only look. */
	if (ipm_ring_map(f.fd, 0, f.size, NULL, IPM_ACCESS_MODE_READ_ONLY, &map))
		DIE("map read-only");
	{
		ipm_ring_attach_options o = { .struct_size = sizeof(o) };

		CHECK(map.flags & IPM_RING_READ_ONLY);
		o.flags = map.flags;
		for (o.roles = 1; o.roles <= 3; o.roles++)
			CHECK_INT(ipm_ring_attach(NULL, &o, map.memory, map.size, &x),
				  IPM_RESULT_ERR_BAD_ACCESS);
		o.roles = 0;
		CHECK_INT(ipm_ring_attach(NULL, &o, map.memory, map.size, &x),
			 IPM_RESULT_SUCCESS);
	}
	CHECK_INT(ipm_ring_get_stats(x, &stats), IPM_RESULT_SUCCESS);
	CHECK(stats.used > 0);
	CHECK_INT(ipm_ring_get_peers(x, &peers), IPM_RESULT_SUCCESS);
	CHECK_INT(peers.producers, 1);
	CHECK_INT(put(x, 10, 0), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_reserve(x, 10, &record), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_peek(x, &record), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_read(x, buffer, 64, &got, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_skip(x), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_skip_force(x, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_release(x, &record), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_INT(ipm_ring_recover(x, 3, 1, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_INT(ipm_ring_check(x, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	ipm_ring_detach(x);
	ipm_ring_unmap(&map);
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_arguments(void)
{
	const struct variant *v = variant;
	ipm_ring_attach_options a = { .struct_size = sizeof(a), .roles = 3 };
	ipm_ring_options o;
	ipm_ring_limits limits;
	struct fixture f;
	ipm_ring_record record;
	ipm_ring *x;
	char buffer[8];
	size_t size;

	setup(&f, v, 4096);
	a.flags = f.options.flags;
	CHECK_INT(ipm_ring_footprint(NULL, 10, &size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_footprint(&f.options, 10, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_footprint(&f.options, 0, &size), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(ipm_ring_footprint(&f.options, SIZE_MAX, &size),
		 IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(ipm_ring_record_space(&f.options, 0, &size), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(ipm_ring_record_space(&f.options, SIZE_MAX, &size),
		 IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(ipm_ring_capacity(&f.options, 100, &limits),
		 IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(ipm_ring_capacity(&f.options, 0, &limits), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(ipm_ring_capacity(&f.options, f.size, NULL),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_capacity(&f.options, f.size, &limits), IPM_RESULT_SUCCESS);
	CHECK(limits.capacity >= 4096);
	/* Every size of memory: a ring that fits, or a plain no. */
	for (size = 0; size < 3 * f.size; size += 61) {
		ipm_result result = ipm_ring_capacity(&f.options, size, &limits);

		if (result == IPM_RESULT_SUCCESS)
			CHECK(limits.capacity < size && limits.max_record <= limits.capacity);
		else
			CHECK_INT(result, IPM_RESULT_ERR_TOO_SMALL);
	}
	o = f.options;
	o.struct_size--;
	CHECK_INT(ipm_ring_create(&o, f.map.memory, f.size), IPM_RESULT_ERR_BAD_VALUE);
	o = f.options;
	o.kind = (ipm_ring_kind)77;
	CHECK_INT(ipm_ring_create(&o, f.map.memory, f.size), IPM_RESULT_ERR_BAD_VALUE);
	o = f.options;
	o.flags |= 4;
	CHECK_INT(ipm_ring_create(&o, f.map.memory, f.size), IPM_RESULT_ERR_BAD_VALUE);
	o = f.options;
	o.lanes = o.participants = 5000;
	CHECK_INT(ipm_ring_create(&o, f.map.memory, f.size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_create(&f.options, NULL, f.size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_create(&f.options, (char *)f.map.memory + 8, f.size - 8),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_create(&f.options, f.map.memory, 200),
		 IPM_RESULT_ERR_TOO_SMALL);

	CHECK_INT(ipm_ring_attach(NULL, NULL, f.map.memory, f.size, &x),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_attach(NULL, &a, NULL, f.size, &x), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_attach(NULL, &a, f.map.memory, f.size, NULL),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_attach(NULL, &a, (char *)f.map.memory + 4, f.size, &x),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_attach(NULL, &a, f.map.memory, 100, &x),
		 IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(ipm_ring_attach(NULL, &a, f.map.memory,
				 ((struct ring_header *)f.map.memory)->geometry.size - 1,
				 &x), IPM_RESULT_ERR_TOO_SMALL);
	a.roles = 4;
	CHECK_INT(ipm_ring_attach(NULL, &a, f.map.memory, f.size, &x),
		 IPM_RESULT_ERR_BAD_VALUE);
	a.roles = 3;
	a.slot = IPM_RING_MAX_SLOTS;
	CHECK_INT(ipm_ring_attach(NULL, &a, f.map.memory, f.size, &x),
		 IPM_RESULT_ERR_BAD_VALUE);
	a.slot = 0;
	a.struct_size = 3;
	CHECK_INT(ipm_ring_attach(NULL, &a, f.map.memory, f.size, &x),
		 IPM_RESULT_ERR_BAD_VALUE);
	a.struct_size = sizeof(a);
	if (f.options.flags & IPM_RING_DOUBLED) {
		a.flags = 0;
		CHECK_INT(ipm_ring_attach(NULL, &a, f.map.memory, f.size, &x),
			 IPM_RESULT_ERR_NOT_SUPPORTED);
		a.flags = IPM_RING_DOUBLED;
	}

	CHECK_INT(ipm_ring_write(NULL, buffer, 8), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_reserve(NULL, 8, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_commit(NULL, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_discard(NULL, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_peek(NULL, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_release(NULL, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_read(NULL, buffer, 8, &size, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_skip(NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_yield(NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_get_stats(NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_get_peers(NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_get_limits(NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_recover(NULL, 0, 0, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_check(NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	ipm_ring_detach(NULL);
	x = attach(&f, 3, 1);
	CHECK_INT(ipm_ring_write(x, NULL, 8), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_reserve(x, 8, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_commit(x, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_discard(x, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_peek(x, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_release(x, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_read(x, NULL, 8, &size, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_read(x, buffer, 8, NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_recover(x, IPM_RING_MAX_SLOTS, 0, NULL),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_recover(x, 1, generations[1], NULL), IPM_RESULT_ERR_ALREADY_LOCKED);
	ipm_ring_detach(x);
	teardown(&f);
}

static void test_header(void)
{
	const struct variant *v = variant;
	struct ring_header *header, saved;
	struct fixture f;
	unsigned char *bytes;
	ipm_ring *x;
	size_t i;

	setup(&f, v, 4096);
	header = f.map.memory;
	saved = *header;
	header->magic++;
	CHECK_INT(try_attach(&f, 3, 1, &x), IPM_RESULT_ERR_BAD_INIT);
	header->magic = 0;
	CHECK_INT(try_attach(&f, 3, 1, &x), IPM_RESULT_ERR_BAD_INIT);
	*header = saved;
	header->version++;
	CHECK_INT(try_attach(&f, 3, 1, &x), IPM_RESULT_ERR_VERSION);
	/* Any bit of the geometry that lies is found out. (A ring of one lane
	 * may as well be called SPSC or LANES.) */
	bytes = (unsigned char *)&header->geometry;
	for (i = offsetof(struct ring_geometry, flags); i < sizeof(header->geometry); i++) {
		unsigned int bit;

		for (bit = 0; bit < 8; bit++) {
			ipm_result result;

			*header = saved;
			bytes[i] ^= (unsigned char)(1 << bit);
			result = try_attach(&f, 3, 1, &x);
			CHECK(result == IPM_RESULT_ERR_CORRUPTED ||
			      result == IPM_RESULT_ERR_TOO_SMALL);
		}
	}
	*header = saved;
	x = attach(&f, 3, 1);
	ipm_ring_detach(x);
	teardown(&f);
}

static void test_dead_producer(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record record;
	ipm_ring_peers peers;
	ipm_ring_stats stats;
	uint32_t left;
	ipm_ring *w, *r;
	uint64_t i, n = 0, dropped = 0, full;

	setup(&f, v, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	full = fill_up(w, 100, 0);
	drain(r, 100, 0, full);
	ipm_ring_detach(w);
	for (i = 0; i < 300; i++) {
		uint32_t slot = 10 + i % 2;
		uint64_t records = 99;

		w = attach(&f, IPM_RING_PRODUCER, slot);
		CHECK_INT(put(w, 33, n), IPM_RESULT_SUCCESS);
		if (i % 3) {
			CHECK_INT(ipm_ring_reserve(w, size_of(i), &record),
				 IPM_RESULT_SUCCESS);
			memset(record.data, 0xff, size_of(i));
			dropped++;
		}
		die(w, slot);
		if (v->kind != IPM_RING_KIND_MPMC || i % 2) {
			CHECK_INT(ipm_ring_get_peers(r, &peers), IPM_RESULT_SUCCESS);
			CHECK(peers.dead_producers >= 1);
			left = i % 5 == 1 ? 0 : peers.dead_producers - 1;
			CHECK_INT(peers.producers, 0);
			if (i % 5 == 1)
				CHECK_INT(ipm_ring_check(r, &records), IPM_RESULT_SUCCESS);
			else
				CHECK_INT(ipm_ring_recover(r, slot, generations[slot] - 1,
							  &records),
					 IPM_RESULT_SUCCESS);
			CHECK_INT(records, i % 3 != 0);
			CHECK_INT(ipm_ring_get_peers(r, &peers), IPM_RESULT_SUCCESS);
			CHECK_INT(peers.dead_producers, left);
			CHECK_INT(ipm_ring_recover(r, slot, generations[slot] - 1,
							  &records),
				 IPM_RESULT_SUCCESS);
			CHECK_INT(records, 0);
		}
		w = attach(&f, IPM_RING_PRODUCER, 1);
		CHECK_INT(put(w, 44, n + 1), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 33, n, NULL), IPM_RESULT_SUCCESS);
		/* By itself, after some polls, if nobody asked. */
		{
			ipm_result result;
			unsigned int polls = 0;

			while ((result = get(r, 44, n + 1, NULL)) ==
			       IPM_RESULT_ERR_WOULD_BLOCK && polls < 5000)
				polls++;
			CHECK_INT(result, IPM_RESULT_SUCCESS);
		}
		ipm_ring_detach(w);
		n += 2;
	}
	CHECK_INT(ipm_ring_get_stats(r, &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(stats.dropped, dropped);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	i = fill_up(w, 100, 0);
	CHECK(i >= full - 1);
	drain(r, 100, 0, i);
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_dead_consumer(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record record;
	ipm_ring_stats stats;
	ipm_ring *w, *r;
	uint64_t i, n = 0, again = 0, full;
	uint32_t flags;

	setup(&f, v, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	full = fill_up(w, 100, 0);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	drain(r, 100, 0, full);
	ipm_ring_detach(r);
	for (i = 0; i < 300; i++) {
		uint64_t k, take = i % 4, polls;

		r = attach(&f, IPM_RING_CONSUMER, 5);
		for (k = 0; k < 6; k++)
			CHECK_INT(put(w, 30 + k, n + k), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 30, n, NULL), IPM_RESULT_SUCCESS);
		for (k = 0; k < take; k++)
			CHECK_INT(ipm_ring_peek(r, &record), IPM_RESULT_SUCCESS);
		die_consumer(r, 5);
		r = attach(&f, IPM_RING_CONSUMER, 2);
		if (i % 2) {
			uint64_t records;

			CHECK_INT(ipm_ring_recover(r, 5, generations[5] - 1, &records),
				 IPM_RESULT_SUCCESS);
		}
		for (k = 1; k < 6; k++) {
			ipm_result result;
			uint64_t j = k;

			/* Without being asked, MPMC finds them when the rest
			 * has been read. */
			if (v->kind == IPM_RING_KIND_MPMC && !(i % 2))
				j = k < 6 - take ? k + take : k - (5 - take);
			polls = 0;
			while ((result = get(r, 30 + j, n + j, &flags)) ==
			       IPM_RESULT_ERR_WOULD_BLOCK && polls < 5000)
				polls++;
			CHECK_INT(result, IPM_RESULT_SUCCESS);
			CHECK_INT(flags, j <= take ? IPM_RING_REDELIVERED : 0);
		}
		CHECK_INT(get(r, 1, 0, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
		again += take;
		n += 6;
		ipm_ring_detach(r);
	}
	r = attach(&f, IPM_RING_CONSUMER, 2);
	CHECK_INT(ipm_ring_get_stats(r, &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(stats.redelivered, again);
	CHECK_INT(stats.dropped, 0);
	i = fill_up(w, 100, 0);
	CHECK(i >= full - 1);
	drain(r, 100, 0, i);
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

/* A detached consumer's records come again; a detached producer's go away. */
static void test_detach(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record record;
	ipm_ring *w, *r;
	uint32_t flags;
	unsigned int i;

	setup(&f, v, 4096);
	for (i = 0; i < 100; i++) {
		w = attach(&f, IPM_RING_PRODUCER, 1);
		r = attach(&f, IPM_RING_CONSUMER, 2);
		CHECK_INT(put(w, 77, i), IPM_RESULT_SUCCESS);
		CHECK_INT(put(w, 78, i), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_reserve(w, size_of(i), &record), IPM_RESULT_SUCCESS);
		memset(record.data, 0xee, size_of(i));
		CHECK_INT(ipm_ring_peek(r, &record), IPM_RESULT_SUCCESS);
		ipm_ring_detach(w);
		ipm_ring_detach(r);
		r = attach(&f, IPM_RING_CONSUMER, 3);
		CHECK_INT(get(r, 77, i, &flags), IPM_RESULT_SUCCESS);
		CHECK_INT(flags, IPM_RING_REDELIVERED);
		CHECK_INT(get(r, 78, i, &flags), IPM_RESULT_SUCCESS);
		CHECK_INT(flags, 0);
		CHECK_INT(get(r, 1, i, &flags), IPM_RESULT_ERR_WOULD_BLOCK);
		ipm_ring_detach(r);
	}
	teardown(&f);
}

/*
 * MPMC: a record that another consumer had in hand comes back, by its detaching or its
 * death: who has gone on beyond it long ago gets it at once, not some polls later. A
 * consumer that was woken for it polls once before it sleeps again.
 */
static void test_given_back(void)
{
	unsigned int how, polls;

	for (how = 0; how < 2; how++) {
		struct fixture f;
		ipm_ring_record record;
		ipm_ring *w, *first, *second;
		uint64_t records = 0;
		uint32_t flags;

		setup(&f, variant, 4096);
		w = attach(&f, IPM_RING_PRODUCER, 1);
		first = attach(&f, IPM_RING_CONSUMER, 2);
		second = attach(&f, IPM_RING_CONSUMER, 3);
		CHECK_INT(put(w, 77, 1), IPM_RESULT_SUCCESS);
		CHECK_INT(put(w, 78, 2), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_peek(first, &record), IPM_RESULT_SUCCESS);
		CHECK_INT(get(second, 78, 2, NULL), IPM_RESULT_SUCCESS);
		for (polls = 0; polls < 600; polls++)
			if (!CHECK_INT(get(second, 1, 0, NULL), IPM_RESULT_ERR_WOULD_BLOCK))
				break;
		if (how) {
			uint32_t generation = generations[2];

			die(first, 2);
			CHECK_INT(ipm_ring_recover(w, 2, generation, &records),
				  IPM_RESULT_SUCCESS);
			CHECK_INT(records, 1);
		} else {
			ipm_ring_detach(first);
		}
		CHECK_INT(get(second, 77, 1, &flags), IPM_RESULT_SUCCESS);
		CHECK_INT(flags, IPM_RING_REDELIVERED);
		CHECK_INT(get(second, 1, 0, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
		ipm_ring_detach(w);
		ipm_ring_detach(second);
		teardown(&f);
	}
}

/* MPMC: what came back and did not fit is not forgotten, however often one asks. */
static void test_given_back_too_large(void)
{
	unsigned char small[4];
	struct fixture f;
	ipm_ring_record record;
	ipm_ring *w, *first, *second;
	unsigned int polls;
	size_t got;

	setup(&f, variant, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	first = attach(&f, IPM_RING_CONSUMER, 2);
	second = attach(&f, IPM_RING_CONSUMER, 3);
	CHECK_INT(put(w, 77, 1), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w, 78, 2), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_peek(first, &record), IPM_RESULT_SUCCESS);
	CHECK_INT(get(second, 78, 2, NULL), IPM_RESULT_SUCCESS);
	ipm_ring_detach(first);
	CHECK_INT(put(w, 79, 3), IPM_RESULT_SUCCESS);
	for (polls = 0; polls < 10000; polls++)
		if (!CHECK_INT(ipm_ring_read(second, small, sizeof(small), &got, NULL),
			       IPM_RESULT_ERR_TOO_SMALL))
			break;
	CHECK_INT(get(second, 77, 1, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(get(second, 79, 3, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(get(second, 1, 0, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
	ipm_ring_detach(w);
	ipm_ring_detach(second);
	teardown(&f);
}

/* MPMC: all that a dead producer left is found as soon as one of it is. */
static void test_many_reservations_of_the_dead(void)
{
	unsigned int consumer, polls, i;

	for (consumer = 0; consumer < 2; consumer++) {
		ipm_result result = IPM_RESULT_ERR_WOULD_BLOCK;
		struct fixture f;
		ipm_ring_record record;
		ipm_ring *dead, *w, *r;

		setup(&f, variant, 4096);
		dead = attach(&f, IPM_RING_PRODUCER, 1);
		w = attach(&f, IPM_RING_PRODUCER, 2);
		r = attach(&f, IPM_RING_CONSUMER, 3);
		for (i = 0; i < 10; i++)
			CHECK_INT(ipm_ring_reserve(dead, 77, &record), IPM_RESULT_SUCCESS);
		if (consumer)
			CHECK_INT(put(w, 78, 1), IPM_RESULT_SUCCESS);
		else
			while (!put(w, 78, 1))
				;
		die(dead, 1);
		for (polls = 0; polls < 64 && result == IPM_RESULT_ERR_WOULD_BLOCK; polls++)
			result = consumer ? get(r, 78, 1, NULL) : put(w, 78, 1);
		CHECK_INT(result, IPM_RESULT_SUCCESS);
		ipm_ring_detach(w);
		ipm_ring_detach(r);
		teardown(&f);
	}
}

/*
 * MPMC: a place in the table is not given away while somebody alive is about to finish
 * something for whom it belonged to: the new owner's words could look the same.
 */
static void test_place_in_recovery(void)
{
	struct ring_participant *table;
	struct fixture f;
	ipm_ring *w, *r, *third, *fourth, *late;

	setup(&f, variant, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	table = mpmc_participants(w);
	/* As if w had been stopped in the middle, for the place that is free next. */
	table[w->m.index].recovers = 2 + 1;
	third = attach(&f, IPM_RING_CONSUMER, 3);
	CHECK_INT(third->m.index, 3);
	CHECK_INT(try_attach(&f, IPM_RING_CONSUMER, 4, &late), IPM_RESULT_ERR_LIMIT);
	CHECK_INT(table[2].owner, 0);
	/* A dead one's place, likewise. */
	table[w->m.index].recovers = 3 + 1;
	die(third, 3);
	fourth = attach(&f, IPM_RING_CONSUMER, 4);
	CHECK_INT(fourth->m.index, 2);
	CHECK_INT(try_attach(&f, IPM_RING_CONSUMER, 5, &late), IPM_RESULT_ERR_LIMIT);
	CHECK(table[3].owner != 0);
	/* It went on. */
	table[w->m.index].recovers = 0;
	late = attach(&f, IPM_RING_CONSUMER, 5);
	CHECK_INT(late->m.index, 3);
	ipm_ring_detach(late);
	/* What a dead one was about to do, nobody does. */
	table[w->m.index].recovers = 3 + 1;
	die(w, 1);
	late = attach(&f, IPM_RING_CONSUMER, 5);
	CHECK_INT(late->m.index, 3);
	ipm_ring_detach(late);
	ipm_ring_detach(fourth);
	ipm_ring_detach(r);
	teardown(&f);
}

static struct ring_participant *entered;
static uint64_t who_was_there;
static unsigned int asked;

/* Somebody (5) takes the place of a dead one (3), and puts back what was there. */
static bool half_entered(void *param, uint32_t slot, uint32_t generation)
{
	/* The call asks first, and then the walk through the table. */
	if (slot == 3 && ++asked == 2) {
		who_was_there = entered->owner;
		entered->owner = owner_make(5, 1) | OWNER_CONSUMER;
	} else if (slot == 5) {
		entered->owner = who_was_there;
		return true;
	}
	return test_alive(param, slot, generation);
}

/* MPMC: what a dead one has in hand is not forgotten for that. */
static void test_half_entered(void)
{
	ipm_ring_record record;
	uint64_t records = 0;
	ipm_ring *w, *r, *x;
	struct fixture f;

	setup(&f, variant, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	x = attach(&f, IPM_RING_CONSUMER, 3);
	entered = &mpmc_participants(w)[x->m.index];
	CHECK_INT(put(w, 100, 1), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_peek(x, &record), IPM_RESULT_SUCCESS);
	die(x, 3);
	r->liveness.alive = half_entered;
	asked = 0;
	CHECK_INT(ipm_ring_recover(r, 3, generations[3] - 1, &records), IPM_RESULT_SUCCESS);
	CHECK(asked > 2);
	CHECK_INT(records, 1);
	CHECK_INT(entered->owner, 0);
	CHECK_INT(ipm_ring_peek(r, &record), IPM_RESULT_SUCCESS);
	CHECK_INT(record.flags, IPM_RING_REDELIVERED);
	CHECK_INT(ipm_ring_release(r, &record), IPM_RESULT_SUCCESS);
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

/* What becomes of the one who takes the place. */
enum entering {
	GOES_BACK,
	DIES,
	HAS_ENTERED
};

static enum entering entering;
static unsigned int comes, seen;

/* As half_entered(), from the @comes-th time on, and still when he is seen first. */
static bool entering_slowly(void *param, uint32_t slot, uint32_t generation)
{
	if (slot == 3 && ++asked == comes) {
		who_was_there = entered->owner;
		entered->owner = owner_make(5, 1) | OWNER_CONSUMER | OWNER_ENTERING;
	} else if (slot == 5) {
		if (++seen == 2 && entering == GOES_BACK)
			entered->owner = who_was_there;
		else if (seen == 2 && entering == HAS_ENTERED)
			entered->owner &= ~OWNER_ENTERING;
		return seen <= 2 || entering != DIES;
	}
	return test_alive(param, slot, generation);
}

/* MPMC: who recovers a dead one waits for who is about to take that one's place. */
static void test_entering(void)
{
	ipm_ring *w, *r, *x, *others[3];
	ipm_ring_record record;
	struct fixture f;
	uint64_t records;
	unsigned int i;

	for (comes = 1; comes <= 2; comes++)
		for (entering = GOES_BACK; entering <= HAS_ENTERED; entering++) {
			setup(&f, variant, 4096);
			w = attach(&f, IPM_RING_PRODUCER, 1);
			r = attach(&f, IPM_RING_CONSUMER, 2);
			x = attach(&f, IPM_RING_CONSUMER, 3);
			entered = &mpmc_participants(w)[x->m.index];
			CHECK_INT(put(w, 100, 1), IPM_RESULT_SUCCESS);
			CHECK_INT(ipm_ring_peek(x, &record), IPM_RESULT_SUCCESS);
			die(x, 3);
			r->liveness.alive = entering_slowly;
			asked = seen = 0;
			records = 0;
			CHECK_INT(ipm_ring_recover(r, 3, generations[3] - 1, &records),
				  IPM_RESULT_SUCCESS);
			CHECK(seen >= 2);
			CHECK_INT(records, entering != HAS_ENTERED);
			if (entering != HAS_ENTERED)
				CHECK_INT(entered->owner, 0);
			else
				CHECK_INT(entered->owner, owner_make(5, 1) | OWNER_CONSUMER);
			ipm_ring_detach(w);
			ipm_ring_detach(r);
			teardown(&f);
		}
	/* Who has entered says so. */
	setup(&f, variant, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	for (i = 0; i < 3; i++)
		others[i] = attach(&f, IPM_RING_CONSUMER, 2);
	die(w, 1);
	x = attach(&f, IPM_RING_CONSUMER, 4);
	CHECK_INT(x->m.index, 0);
	CHECK_INT(mpmc_participants(x)[0].owner, x->owner | OWNER_CONSUMER);
	ipm_ring_detach(x);
	for (i = 0; i < 3; i++)
		ipm_ring_detach(others[i]);
	teardown(&f);
}

static ipm_ring *skipper;

/* While somebody learns that 1 is dead, a consumer skips by force what 1 had begun. */
static bool skipped_meanwhile(void *param, uint32_t slot, uint32_t generation)
{
	uint64_t skipped = 0;

	/* The call asks first, then the walk through the table, then for what was found. */
	if (slot == 1 && ++asked == 3)
		CHECK_INT(ipm_ring_skip_force(skipper, &skipped), IPM_RESULT_SUCCESS);
	return test_alive(param, slot, generation);
}

/* MPMC: it is not left to who gets the dead one's place in the table next. */
static void test_skipped_in_recovery(void)
{
	ipm_ring_record record;
	ipm_ring *w, *r, *late;
	uint64_t records = 0;
	struct fixture f;
	unsigned int i;

	setup(&f, variant, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	skipper = attach(&f, IPM_RING_CONSUMER, 3);
	CHECK_INT(ipm_ring_reserve(w, 100, &record), IPM_RESULT_SUCCESS);
	die(w, 1);
	r->liveness.alive = skipped_meanwhile;
	asked = 0;
	CHECK_INT(ipm_ring_recover(r, 1, generations[1] - 1, &records), IPM_RESULT_SUCCESS);
	CHECK(asked >= 3);
	late = attach(&f, IPM_RING_PRODUCER, 4);
	CHECK_INT(late->m.index, 0);
	for (i = 0; i < 1000; i++) {
		CHECK_INT(put(late, 100, i), IPM_RESULT_SUCCESS);
		if (!CHECK_INT(get(r, 100, i, NULL), IPM_RESULT_SUCCESS))
			break;
	}
	ipm_ring_detach(late);
	ipm_ring_detach(skipper);
	ipm_ring_detach(r);
	teardown(&f);
}

static struct ring_cell *cells_of(const struct fixture *f)
{
	struct ring_header *header = f->map.memory;

	return (struct ring_cell *)((unsigned char *)header + header->geometry.cell_offset);
}

static ipm_ring *pursuer;
static struct ring_cell *overtaken;

/*
 * While somebody learns that 1 is dead, another one that does the same gives the record
 * back before him, and a producer that waits for room takes it: the head is beyond it.
 */
static bool overtaken_meanwhile(void *param, uint32_t slot, uint32_t generation)
{
	/* The call asks first, then the walk through the table, then for each record. */
	if (slot == 1 && ++asked > 2) {
		overtaken->word &= (((uint64_t)1 << 20) - 1) << 41;
		overtaken->word |= 1;
		overtaken++;
		CHECK_INT(put(pursuer, 64, asked), IPM_RESULT_SUCCESS);
	}
	return test_alive(param, slot, generation);
}

/* MPMC: two at once clean up after the dead, and their room is wanted. */
static void test_overtaken_in_recovery(void)
{
	enum { HELD = 100 };
	uint64_t records = 0;
	ipm_ring_record record;
	struct fixture f;
	ipm_ring *w, *r;
	unsigned int i;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	pursuer = attach(&f, IPM_RING_PRODUCER, 3);
	for (i = 0; i < HELD; i++)
		CHECK_INT(ipm_ring_reserve(w, 64, &record), IPM_RESULT_SUCCESS);
	while (!put(pursuer, 64, i))
		i++;
	die(w, 1);
	r->liveness.alive = overtaken_meanwhile;
	overtaken = cells_of(&f);
	asked = 0;
	CHECK_INT(ipm_ring_recover(r, 1, generations[1] - 1, &records), IPM_RESULT_SUCCESS);
	CHECK_INT(asked, 2 + HELD);
	CHECK(!mpmc_participants(r)[0].owner);
	ipm_ring_detach(pursuer);
	ipm_ring_detach(r);
	teardown(&f);
}

/* MPMC: laps around the numbers at which tags wrap or words are refreshed. */
static void test_laps(void)
{
	const struct variant *v = variant;
	static const uint64_t starts[] = {
		((uint64_t)1 << 27) - 3, ((uint64_t)1 << 28) - 3,
		((uint64_t)1 << 29) - 3, ((uint64_t)1 << 32) - 3,
		((uint64_t)3 << 27) - 3,
	};
	unsigned int k;

	for (k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
		struct fixture f;
		struct ring_header *header;
		ipm_ring_record record;
		uint64_t blocks, i, sent = 0, received = 0, dropped = 0;
		struct ring_cell *cells;
		ipm_ring_stats stats;
		ipm_ring *w, *r;

		setup(&f, v, 4096);
		header = f.map.memory;
		blocks = header->geometry.data_size / 64;
		cells = cells_of(&f);
		for (i = 0; i < blocks; i++)
			cells[i].word = starts[k] - 1;
		header->head = header->tail = starts[k] * blocks;
		w = attach(&f, IPM_RING_PRODUCER, 1);
		r = attach(&f, IPM_RING_CONSUMER, 2);
		for (i = 0; i < 2000; i++) {
			while (!put(w, 50 + sent % 1000, sent))
				sent++;
			if (i % 7 == 0) {
				/* Somebody else dies with a reservation. */
				ipm_ring *x = attach(&f, IPM_RING_PRODUCER, 9);

				while (i % 3 && received + 3 < sent &&
				       !get(r, 50 + received % 1000, received, NULL))
					received++;
				if (!ipm_ring_reserve(x, 300, &record)) {
					memset(record.data, 0xff, 300);
					dropped++;
				}
				die(x, 9);
				CHECK_INT(ipm_ring_recover(r, 9, generations[9] - 1, NULL),
					 IPM_RESULT_SUCCESS);
			}
			while (!get(r, 50 + received % 1000, received, NULL))
				received++;
			CHECK_INT(received, sent);
		}
		CHECK(header->head / blocks > starts[k] + 10);
		CHECK_INT(ipm_ring_get_stats(r, &stats), IPM_RESULT_SUCCESS);
		CHECK_INT(stats.dropped, dropped);
		CHECK(dropped > 100);
		ipm_ring_detach(w);
		ipm_ring_detach(r);
		teardown(&f);
	}
}

/*
 * MPMC: a handle that was idle for so many laps that the short numbers in the
 * words are the same again, or seem to be older.
 */
static void test_idle(void)
{
	static const uint64_t jumps[] = {
		((uint64_t)1 << 28) - 1, (uint64_t)1 << 28, ((uint64_t)1 << 28) + 1,
		((uint64_t)1 << 29) - 1, (uint64_t)1 << 29, ((uint64_t)1 << 29) + 1,
		(uint64_t)3 << 29,
	};
	const struct variant *v = variant;
	unsigned int k;

	for (k = 0; k < 2 * sizeof(jumps) / sizeof(jumps[0]); k++) {
		struct fixture f;
		struct ring_header *header;
		ipm_ring_record record;
		struct ring_cell *cells;
		uint64_t blocks, i, sent = 0;
		ipm_ring *idle, *w;

		setup(&f, v, 4096);
		header = f.map.memory;
		blocks = header->geometry.data_size / 64;
		cells = cells_of(&f);
		idle = attach(&f, IPM_RING_PRODUCER | IPM_RING_CONSUMER, 1);
		for (i = 0; i < 5; i++) {
			CHECK_INT(put(idle, 100, i), IPM_RESULT_SUCCESS);
			CHECK_INT(get(idle, 100, i, NULL), IPM_RESULT_SUCCESS);
		}
		/* The others went on. */
		for (i = 0; i < blocks; i++)
			cells[i].word = jumps[k / 2];
		header->head = header->tail = (jumps[k / 2] + 1) * blocks;
		w = attach(&f, IPM_RING_PRODUCER, 2);
		if (k & 1) {
			/* An owned word where the idle one looks first. */
			for (i = 0; i < 5; i++)
				CHECK_INT(put(w, 100, i), IPM_RESULT_SUCCESS);
			CHECK_INT(ipm_ring_reserve(w, 130, &record), IPM_RESULT_SUCCESS);
			CHECK_INT(put(idle, 70, 7), IPM_RESULT_SUCCESS);
			for (i = 0; i < 5; i++)
				CHECK_INT(get(idle, 100, i, NULL), IPM_RESULT_SUCCESS);
			CHECK_INT(get(idle, 1, 0, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
			CHECK_INT(ipm_ring_discard(w, &record), IPM_RESULT_SUCCESS);
			CHECK_INT(get(idle, 70, 7, NULL), IPM_RESULT_SUCCESS);
		} else {
			while (!put(w, 130, sent))
				sent++;
			CHECK_INT(put(idle, 130, 1), IPM_RESULT_ERR_WOULD_BLOCK);
			for (i = 0; i < sent; i++)
				CHECK_INT(get(idle, 130, i, NULL), IPM_RESULT_SUCCESS);
		}
		CHECK_INT(put(idle, 70, 1), IPM_RESULT_SUCCESS);
		CHECK_INT(put(w, 71, 2), IPM_RESULT_SUCCESS);
		CHECK_INT(get(idle, 70, 1, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(get(idle, 71, 2, NULL), IPM_RESULT_SUCCESS);
		ipm_ring_detach(w);
		ipm_ring_detach(idle);
		teardown(&f);
	}
}

/* SPSC and LANES: positions where the 32 bits in the header wrap. */
static void test_positions(void)
{
	const struct variant *v = variant;
	static const uint64_t starts[] = {
		((uint64_t)1 << 32) - 1024, ((uint64_t)1 << 35) - 1024,
		((uint64_t)1 << 36) - 1024,
	};
	unsigned int k;

	for (k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
		struct fixture f;
		struct ring_header *header;
		struct ring_lane *lane;
		uint64_t size, i, sent = 0, received = 0;
		ipm_ring *w, *r;

		setup(&f, v, 4096);
		header = f.map.memory;
		size = header->geometry.data_size;
		lane = (struct ring_lane *)((unsigned char *)f.map.memory +
					    header->geometry.lane_offset);
		lane->intent = lane->cursor = lane->taken = lane->head = starts[k];
		memset((unsigned char *)f.map.memory + header->geometry.data_offset +
			       starts[k] % size, 0, 8);
		w = attach(&f, IPM_RING_PRODUCER, 1);
		r = attach(&f, IPM_RING_CONSUMER, 2);
		for (i = 0; i < 500; i++) {
			while (!put(w, 1 + sent % 1000, sent))
				sent++;
			while (!get(r, 1 + received % 1000, received, NULL))
				received++;
			CHECK_INT(received, sent);
		}
		CHECK(lane->cursor > starts[k] + 10 * size);
		ipm_ring_detach(w);
		ipm_ring_detach(r);
		teardown(&f);
	}
}

static void test_spoilt(void)
{
	const struct variant *v = variant;
	struct fixture f;
	struct ring_header *header;
	unsigned char *data;
	ipm_ring *w, *r;
	uint64_t skipped = 0;
	char buffer[100];
	size_t got;

	setup(&f, v, 4096);
	header = f.map.memory;
	data = (unsigned char *)f.map.memory + header->geometry.data_offset;
	w = attach(&f, IPM_RING_PRODUCER, 1);
	r = attach(&f, IPM_RING_CONSUMER, 2);
	CHECK_INT(put(w, 40, 1), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w, 40, 2), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w, 40, 3), IPM_RESULT_SUCCESS);
	if (v->kind == IPM_RING_KIND_MPMC) {
		cells_of(&f)[0].word |= (uint64_t)0xfffff << 41;
		CHECK_INT(ipm_ring_read(r, buffer, 100, &got, NULL),
			 IPM_RESULT_ERR_CORRUPTED);
		CHECK_INT(ipm_ring_skip_force(r, &skipped), IPM_RESULT_ERR_CORRUPTED);
	} else {
		data[7] ^= 0x80;
		CHECK_INT(ipm_ring_read(r, buffer, 100, &got, NULL),
			 IPM_RESULT_ERR_CORRUPTED);
		/* A lane that is known to be spoilt is left alone. */
		CHECK_INT(ipm_ring_read(r, buffer, 100, &got, NULL),
			 v->kind == IPM_RING_KIND_LANES ? IPM_RESULT_ERR_WOULD_BLOCK :
							  IPM_RESULT_ERR_CORRUPTED);
		CHECK_INT(ipm_ring_skip_force(r, &skipped), IPM_RESULT_SUCCESS);
		CHECK_INT(skipped, 1);
		CHECK_INT(get(r, 40, 3, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(put(w, 40, 4), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 40, 4, NULL), IPM_RESULT_SUCCESS);
	}
	ipm_ring_detach(w);
	ipm_ring_detach(r);
	teardown(&f);
}

/* MPMC: the record that everybody waits for is taken from a living producer. */
/* By a consumer who was idle while others used the ring for laps, wherever the head is. */
static void test_forced_skip_idle(void)
{
	const struct variant *v = variant;
	unsigned int laps, i;

	for (laps = 64; laps < 200; laps++) {
		uint64_t skipped = 0;
		ipm_ring *w, *x, *r;
		struct fixture f;
		ipm_ring_record a;

		setup(&f, v, 4096);
		w = attach(&f, IPM_RING_PRODUCER, 1);
		x = attach(&f, IPM_RING_PRODUCER | IPM_RING_CONSUMER, 2);
		r = attach(&f, IPM_RING_CONSUMER, 3);
		for (i = 0; i < laps; i++) {
			CHECK_INT(put(x, 50, i), IPM_RESULT_SUCCESS);
			CHECK_INT(get(x, 50, i, NULL), IPM_RESULT_SUCCESS);
		}
		CHECK_INT(ipm_ring_reserve(w, 50, &a), IPM_RESULT_SUCCESS);
		CHECK_INT(put(x, 50, 7), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 50, 7, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_INT(ipm_ring_skip_force(r, &skipped), IPM_RESULT_SUCCESS);
		CHECK_INT(get(r, 50, 7, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_ERR_REMOVED);
		ipm_ring_detach(w);
		ipm_ring_detach(x);
		ipm_ring_detach(r);
		teardown(&f);
	}
}

static void test_forced_skip(void)
{
	const struct variant *v = variant;
	struct fixture f;
	ipm_ring_record a, b;
	ipm_ring *w, *x, *r;
	uint64_t skipped = 0;
	unsigned int i;

	setup(&f, v, 4096);
	w = attach(&f, IPM_RING_PRODUCER, 1);
	x = attach(&f, IPM_RING_PRODUCER, 2);
	r = attach(&f, IPM_RING_CONSUMER, 3);
	for (i = 0; i < 200; i++) {
		CHECK_INT(ipm_ring_reserve(w, 100, &a), IPM_RESULT_SUCCESS);
		CHECK_INT(put(x, 50, i), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_ring_peek(r, &b), IPM_RESULT_ERR_WOULD_BLOCK);
		CHECK_INT(ipm_ring_skip_force(r, &skipped), IPM_RESULT_SUCCESS);
		CHECK_INT(skipped, 1);
		CHECK_INT(get(r, 50, i, NULL), IPM_RESULT_SUCCESS);
		if (i % 3 == 0) {
			CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_ERR_REMOVED);
		} else if (i % 3 == 1) {
			CHECK_INT(ipm_ring_discard(w, &a), IPM_RESULT_SUCCESS);
		} else {
			/* The commit that won in the same instant. */
			struct ring_cell *cells = cells_of(&f);
			unsigned int polls = 0;

			fill(a.data, 100, i);
			cells[a.priv[0]].word = (uint64_t)2 << 61 | (uint64_t)100 << 41 |
						a.priv[1];
			w->m.reserved--;
			while (get(r, 100, i, NULL) == IPM_RESULT_ERR_WOULD_BLOCK &&
			       polls++ < 5000)
				;
			CHECK(polls < 5000);
		}
		CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_INT(ipm_ring_peek(r, &b), IPM_RESULT_ERR_WOULD_BLOCK);
	}
	ipm_ring_detach(w);
	ipm_ring_detach(x);
	ipm_ring_detach(r);
	teardown(&f);
}

static void test_lanes(void)
{
	static const struct variant v = { "LANES", IPM_RING_KIND_LANES, 0 };
	struct fixture f;
	ipm_ring_record a, b, c;
	ipm_ring *w1, *w2, *r1, *r2;
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = IPM_RING_CONSUMER,
		.slot = 7,
		.lease_records = 1,
	};

	setup(&f, &v, 4096);
	w1 = attach(&f, IPM_RING_PRODUCER, 1);
	w2 = attach(&f, IPM_RING_PRODUCER, 2);
	r1 = attach(&f, IPM_RING_CONSUMER, 3);
	r2 = attach(&f, IPM_RING_CONSUMER, 4);
	CHECK_INT(put(w1, 10, 1), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w1, 10, 2), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_peek(r1, &a), IPM_RESULT_SUCCESS);
	CHECK(filled(a.data, 10, 1));
	/* The lane is r1's. */
	CHECK_INT(ipm_ring_peek(r2, &b), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(ipm_ring_yield(r1), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_INT(put(w2, 10, 3), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_peek(r2, &b), IPM_RESULT_SUCCESS);
	CHECK(filled(b.data, 10, 3));
	CHECK(a.lane != b.lane);
	CHECK_INT(ipm_ring_release(r1, &b), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_INT(ipm_ring_release(r2, &a), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_INT(ipm_ring_release(r1, &a), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_release(r2, &b), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_yield(r1), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_yield(r1), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_peek(r2, &c), IPM_RESULT_SUCCESS);
	CHECK(filled(c.data, 10, 2));
	CHECK_INT(ipm_ring_release(r2, &c), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_yield(r2), IPM_RESULT_SUCCESS);
	ipm_ring_detach(r2);
	/* A lease of one record: the next one is anybody's. */
	CHECK_INT(ipm_ring_attach(NULL, &o, f.map.memory, f.map.size, &r2),
		 IPM_RESULT_SUCCESS);
	CHECK_INT(put(w1, 10, 4), IPM_RESULT_SUCCESS);
	CHECK_INT(put(w1, 10, 5), IPM_RESULT_SUCCESS);
	CHECK_INT(get(r2, 10, 4, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(get(r1, 10, 5, NULL), IPM_RESULT_SUCCESS);
	/* A dead consumer's lane is free again. */
	CHECK_INT(put(w1, 10, 6), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_peek(r1, &a), IPM_RESULT_SUCCESS);
	die_consumer(r1, 3);
	r1 = attach(&f, IPM_RING_CONSUMER, 8);
	{
		unsigned int polls = 0;
		uint32_t flags = 0;

		while (get(r1, 10, 6, &flags) == IPM_RESULT_ERR_WOULD_BLOCK &&
		       polls++ < 5000)
			;
		CHECK(polls < 5000);
		CHECK_INT(flags, IPM_RING_REDELIVERED);
	}
	ipm_ring_detach(r1);
	ipm_ring_detach(r2);
	ipm_ring_detach(w1);
	ipm_ring_detach(w2);
	teardown(&f);
}

static unsigned int allocations;

static void *failing_alloc(void *param, size_t size)
{
	unsigned int *left = param;

	if (!*left)
		return NULL;
	--*left;
	allocations++;
	return malloc(size);
}

static void counting_free(void *param, void *memory)
{
	(void)param;
	allocations--;
	free(memory);
}

static void test_memory(void)
{
	const struct variant *v = variant;
	struct fixture f;
	unsigned int left, budget;
	ipm_context context = {
		.alloc_callback = failing_alloc,
		.alloc_param = &left,
		.free_callback = counting_free,
	};
	ipm_ring_attach_options o = { .struct_size = sizeof(o), .roles = 3 };
	ipm_result result = IPM_RESULT_ERR_OUT_OF_MEMORY;
	ipm_ring *x;

	setup(&f, v, 4096);
	o.flags = f.options.flags;
	for (budget = 0; result && budget < 10; budget++) {
		left = budget;
		result = ipm_ring_attach(&context, &o, f.map.memory, f.map.size, &x);
		CHECK(result == IPM_RESULT_SUCCESS ||
		      result == IPM_RESULT_ERR_OUT_OF_MEMORY);
		if (result)
			CHECK_INT(allocations, 0);
	}
	CHECK_INT(result, IPM_RESULT_SUCCESS);
	CHECK_INT(put(x, 10, 1), IPM_RESULT_SUCCESS);
	CHECK_INT(get(x, 10, 1, NULL), IPM_RESULT_SUCCESS);
	ipm_ring_detach(x);
	CHECK_INT(allocations, 0);
	context.free_callback = NULL;
	CHECK_INT(ipm_ring_attach(&context, &o, f.map.memory, f.map.size, &x),
		 IPM_RESULT_ERR_BAD_VALUE);
	teardown(&f);
}

static void test_map(void)
{
	static const struct variant v = { "", IPM_RING_KIND_SPSC, IPM_RING_DOUBLED };
	ipm_ring_options o = shape(&v);
	ipm_ring_mapping map = { 0 };
	struct fixture f;
	int fd;

	setup(&f, &v, 4096);
	CHECK_INT(ipm_ring_map(-1, 0, f.size, &o, IPM_ACCESS_MODE_READ_WRITE, &map),
		 IPM_RESULT_ERR_INVALID_FD);
	CHECK_INT(ipm_ring_map(f.fd, 1, f.size, &o, IPM_ACCESS_MODE_READ_WRITE, &map),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_map(f.fd, 0, f.size, &o, (ipm_access_mode)5, &map),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_map(f.fd, 0, 0, &o, IPM_ACCESS_MODE_READ_WRITE, &map),
		 IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_ring_map(f.fd, 0, 100, &o, IPM_ACCESS_MODE_READ_WRITE, &map),
		 IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(ipm_ring_map(f.fd, 0, f.size, &o, IPM_ACCESS_MODE_READ_WRITE, NULL),
		 IPM_RESULT_ERR_BAD_VALUE);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	CHECK_INT(ipm_ring_map(fd, 0, f.size, &o, IPM_ACCESS_MODE_READ_WRITE, &map),
		 IPM_RESULT_ERR_ACCESS);
	CHECK_INT(ipm_ring_map(fd, 0, f.size, NULL, IPM_ACCESS_MODE_READ_ONLY, &map),
		 IPM_RESULT_ERR_BAD_INIT);
	close(fd);
	CHECK_INT(ipm_ring_map(f.fd, 0, f.size, NULL, IPM_ACCESS_MODE_READ_WRITE, &map),
		 IPM_RESULT_SUCCESS);
	CHECK_INT(map.size, f.map.size);
	CHECK_INT(map.mapped, f.map.mapped);
	CHECK(map.memory != f.map.memory);
	ipm_ring_unmap(&map);
	CHECK(!map.memory);
	ipm_ring_unmap(&map);
	ipm_ring_unmap(NULL);
	teardown(&f);
}

/*
 * A process may map the ring where it likes, and twice: one writes at one address, the
 * other reads at another, and the other way round, over several laps and their ends.
 */
static void test_two_addresses(void)
{
	const struct variant *v = variant;
	struct fixture f, other;
	unsigned int i, side;
	ipm_ring_record a, b;
	ipm_ring *w, *r;

	setup(&f, v, 4096);
	other = f;
	if (ipm_ring_map(f.fd, 0, f.size, NULL, IPM_ACCESS_MODE_READ_WRITE, &other.map))
		DIE("map");
	CHECK(other.map.memory != f.map.memory);
	for (side = 0; side < 2; side++) {
		struct fixture *here = side ? &other : &f, *there = side ? &f : &other;

		w = attach(here, IPM_RING_PRODUCER, 1);
		r = attach(there, IPM_RING_CONSUMER, 2);
		for (i = 0; i < 300; i++) {
			size_t size = size_of(i) % 1500 + 1;
			const unsigned char *at;

			CHECK_INT(ipm_ring_reserve(w, size, &a), IPM_RESULT_SUCCESS);
			at = a.data;
			CHECK(at >= (unsigned char *)here->map.memory &&
			      at + size <= (unsigned char *)here->map.memory + here->map.mapped);
			fill(a.data, size, i);
			CHECK_INT(ipm_ring_commit(w, &a), IPM_RESULT_SUCCESS);
			if (!CHECK_INT(ipm_ring_peek(r, &b), IPM_RESULT_SUCCESS))
				break;
			at = b.data;
			CHECK(at >= (unsigned char *)there->map.memory &&
			      at + size <= (unsigned char *)there->map.memory + there->map.mapped);
			CHECK_INT(b.size, size);
			CHECK(filled(b.data, size, i));
			CHECK_INT(ipm_ring_release(r, &b), IPM_RESULT_SUCCESS);
			CHECK_INT(put(w, 20, i), IPM_RESULT_SUCCESS);
			CHECK_INT(get(r, 20, i, NULL), IPM_RESULT_SUCCESS);
		}
		/* What is left here is found there. */
		CHECK_INT(put(w, 700, side), IPM_RESULT_SUCCESS);
		ipm_ring_detach(w);
		ipm_ring_detach(r);
		r = attach(here, IPM_RING_CONSUMER, 2);
		CHECK_INT(get(r, 700, side, NULL), IPM_RESULT_SUCCESS);
		ipm_ring_detach(r);
	}
	ipm_ring_unmap(&other.map);
	teardown(&f);
}

/* Files that end before the ring does, or before it begins. */
static void test_short_file(void)
{
	const struct variant *v = variant;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	ipm_ring_mapping map;
	struct fixture f;
	size_t size;
	int fd;

	setup(&f, v, 4 * page);
	fd = memfd_create("ring_test", MFD_CLOEXEC);
	CHECK(fd >= 0);
	/* One that is empty, then one that holds more and more of a ring. */
	for (size = 0; size < f.map.size; size += 100) {
		bool there = f.map.size <= (size + page - 1) / page * page;
		ipm_result result;

		if (size && pwrite(fd, (char *)f.map.memory + size - 100, 100,
				   (off_t)size - 100) != 100)
			DIE("pwrite");
		result = ipm_ring_map(fd, 0, f.size, NULL, IPM_ACCESS_MODE_READ_ONLY, &map);
		CHECK_INT(result, there ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_TOO_SMALL);
		if (!result)
			ipm_ring_unmap(&map);
		result = ipm_ring_map(fd, 0, f.size, &f.options, IPM_ACCESS_MODE_READ_WRITE, &map);
		CHECK_INT(result, there ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_TOO_SMALL);
		if (!result)
			ipm_ring_unmap(&map);
	}
	CHECK_INT(ipm_ring_map(f.fd, page * 1000, f.size, NULL, IPM_ACCESS_MODE_READ_ONLY, &map),
		  IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(ipm_ring_map(f.fd, INT64_MAX / page * page, f.size, NULL,
			       IPM_ACCESS_MODE_READ_ONLY, &map), IPM_RESULT_ERR_TOO_SMALL);
	/* The file may be shorter than what is asked for, if the ring is there. */
	CHECK_INT(ipm_ring_map(f.fd, 0, f.size + 10 * page, NULL, IPM_ACCESS_MODE_READ_ONLY, &map),
		  IPM_RESULT_SUCCESS);
	ipm_ring_unmap(&map);
	close(fd);
	teardown(&f);
}

/* Channels are mapped by the same rules. */
static void test_channel_map(void)
{
	static const uint32_t flags[] = { 0, IPM_RING_DOUBLED };
	ipm_channel_options o = { .struct_size = sizeof(o) };
	ipm_channel_attach_options a = { .struct_size = sizeof(a) };
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	ipm_channel_mapping map;
	ipm_channel *channel;
	size_t i, size, left;
	int fd;

	for (i = 0; i < 2; i++) {
		o.ring = (ipm_ring_options){ .struct_size = sizeof(o.ring),
					     .kind = IPM_RING_KIND_MPMC, .flags = flags[i] };
		CHECK_INT(ipm_channel_footprint(&o, 4 * page, &size), IPM_RESULT_SUCCESS);
		fd = memfd_create("ring_test", MFD_CLOEXEC);
		CHECK(fd >= 0);
		CHECK_INT(ipm_channel_map(fd, 0, size, NULL, IPM_ACCESS_MODE_READ_ONLY, &map),
			  IPM_RESULT_ERR_TOO_SMALL);
		CHECK_INT(ipm_channel_map(fd, 0, size, &o, IPM_ACCESS_MODE_READ_WRITE, &map),
			  IPM_RESULT_ERR_TOO_SMALL);
		CHECK(!ftruncate(fd, (off_t)size));
		CHECK_INT(ipm_channel_map(fd, 0, size, &o, IPM_ACCESS_MODE_READ_WRITE, &map),
			  IPM_RESULT_SUCCESS);
		CHECK_INT(map.flags, flags[i]);
		CHECK_INT(ipm_channel_create(&o, map.memory, map.size), IPM_RESULT_SUCCESS);
		ipm_channel_unmap(&map);
		CHECK_INT(ipm_channel_map(fd, 0, size, NULL, IPM_ACCESS_MODE_READ_ONLY, &map),
			  IPM_RESULT_SUCCESS);
		CHECK_INT(map.flags, flags[i] | IPM_RING_READ_ONLY);
		a.flags = map.flags;
		for (a.roles = 1; a.roles <= 3; a.roles++)
			CHECK_INT(ipm_channel_attach(NULL, &a, map.memory, map.size, &channel),
				  IPM_RESULT_ERR_BAD_ACCESS);
		a.roles = 0;
		CHECK_INT(ipm_channel_attach(NULL, &a, map.memory, map.size, &channel),
			  IPM_RESULT_SUCCESS);
		ipm_channel_detach(channel);
		ipm_channel_unmap(&map);
		for (left = 0; left < size - page; left += page) {
			CHECK(!ftruncate(fd, (off_t)left));
			CHECK_INT(ipm_channel_map(fd, 0, size, NULL, IPM_ACCESS_MODE_READ_ONLY,
						  &map),
				  left ? IPM_RESULT_ERR_BAD_INIT : IPM_RESULT_ERR_TOO_SMALL);
		}
		close(fd);
	}
}

/*
 * A peer changes the shape after the ring was mapped: what then fits, with its
 * copy, has to be inside of the mapping.
 */
static void test_shape_changes(void)
{
	ipm_ring_options small = {
		.struct_size = sizeof(small), .kind = IPM_RING_KIND_MPMC,
		.flags = IPM_RING_DOUBLED, .participants = IPM_RING_MAX_PARTICIPANTS,
	}, large = small;
	ipm_ring_attach_options a = { .struct_size = sizeof(a), .roles = 3 };
	ipm_ring_mapping map;
	ipm_ring_limits limits;
	ipm_ring_record record;
	unsigned int laps, crossed = 0;
	ipm_ring *ring;
	size_t size;
	int fd;

	large.participants = 1;
	CHECK_INT(ipm_ring_footprint(&small, 4096, &size), IPM_RESULT_SUCCESS);
	fd = memfd_create("ring_test", MFD_CLOEXEC);
	CHECK(fd >= 0 && !ftruncate(fd, (off_t)size));
	CHECK_INT(ipm_ring_map(fd, 0, size, &small, IPM_ACCESS_MODE_READ_WRITE, &map),
		  IPM_RESULT_SUCCESS);
	CHECK_INT(map.flags, IPM_RING_DOUBLED);
	CHECK_INT(ipm_ring_create(&small, map.memory, map.size), IPM_RESULT_SUCCESS);
	ipm_ring_unmap(&map);
	CHECK_INT(ipm_ring_map(fd, 0, size, NULL, IPM_ACCESS_MODE_READ_WRITE, &map),
		  IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_create(&large, map.memory, map.size), IPM_RESULT_SUCCESS);
	a.flags = map.flags;
	CHECK_INT(ipm_ring_attach(NULL, &a, map.memory, map.size, &ring), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_get_limits(ring, &limits), IPM_RESULT_SUCCESS);
	CHECK(limits.max_record > 10 * 4096);
	for (laps = 0; laps < 8; laps++) {
		unsigned char *end;

		if (ipm_ring_reserve(ring, limits.max_record - 4096 * laps, &record))
			break;
		end = (unsigned char *)record.data + record.size;
		if (!CHECK(end <= (unsigned char *)map.memory + map.mapped))
			break;
		crossed += end > (unsigned char *)map.memory + map.size;
		/* What is behind the end is not what it should be, so this may
		 * spoil the ring. */
		memset(record.data, 0xff, record.size);
		if (ipm_ring_commit(ring, &record) || ipm_ring_skip(ring))
			break;
	}
	CHECK(crossed > 0);
	ipm_ring_detach(ring);
	ipm_ring_unmap(&map);

	/* Likewise one that was not mapped twice. */
	small.flags = 0;
	CHECK_INT(ipm_ring_map(fd, 0, size, &small, IPM_ACCESS_MODE_READ_WRITE, &map),
		  IPM_RESULT_SUCCESS);
	CHECK_INT(map.flags, 0);
	CHECK_INT(ipm_ring_create(&large, map.memory, map.size), IPM_RESULT_SUCCESS);
	a.flags = map.flags;
	CHECK_INT(ipm_ring_attach(NULL, &a, map.memory, map.size, &ring),
		  IPM_RESULT_ERR_NOT_SUPPORTED);
	ipm_ring_unmap(&map);
	close(fd);
}

enum { ALL, MPMC, LANE };

static const struct {
	const char *name;
	void (*test)(void);
	int kinds;
} tests[] = {
	{ "mixed sizes stay in order over many laps", test_order, ALL },
	{ "holds its whole capacity, every time", test_full, ALL },
	{ "the largest record fits whenever the ring is empty", test_largest, ALL },
	{ "reserve, shrink, commit, discard", test_reserve, ALL },
	{ "release in order, out of order, twice", test_release, ALL },
	{ "read into small buffers, skip", test_read, ALL },
	{ "batches", test_batch, ALL },
	{ "roles, read-only attach, no place left", test_roles, ALL },
	{ "wrong arguments", test_arguments, ALL },
	{ "headers that lie", test_header, ALL },
	{ "half-written records of dead producers are dropped and counted", test_dead_producer, ALL },
	{ "what a dead consumer had in hand is delivered again, marked", test_dead_consumer, ALL },
	{ "detach with a reservation and a record in hand", test_detach, ALL },
	{ "spoilt records, and the way out", test_spoilt, ALL },
	{ "memory of the handle", test_memory, ALL },
	{ "files that are too short", test_short_file, ALL },
	{ "mapped at two addresses", test_two_addresses, ALL },
	{ "a record that comes back is seen at once", test_given_back, MPMC },
	{ "and is not lost if it does not fit", test_given_back_too_large, MPMC },
	{ "many reservations of the dead", test_many_reservations_of_the_dead, MPMC },
	{ "no place in the table that is being recovered", test_place_in_recovery, MPMC },
	{ "a place that somebody began to take", test_half_entered, MPMC },
	{ "a place that somebody is about to take is waited for", test_entering, MPMC },
	{ "a forced skip while a dead one's records are searched", test_skipped_in_recovery, MPMC },
	{ "overtaken where a dead one's records are searched", test_overtaken_in_recovery, MPMC },
	{ "laps where the numbers in the words wrap", test_laps, MPMC },
	{ "a handle that was idle for very long", test_idle, MPMC },
	{ "forced skip of a living producer's record", test_forced_skip, MPMC },
	{ "forced skip by a consumer that was idle", test_forced_skip_idle, MPMC },
	{ "positions where the number in the header wraps", test_positions, LANE },
};

int main(void)
{
	char name[200];
	size_t i, k;

	for (i = 0; i < VARIANTS; i++) {
		int kind = variants[i].kind == IPM_RING_KIND_MPMC ? MPMC : LANE;

		variant = &variants[i];
		for (k = 0; k < sizeof(tests) / sizeof(tests[0]); k++) {
			if (tests[k].kinds != ALL && tests[k].kinds != kind)
				continue;
			snprintf(name, sizeof(name), "%s: %s", variant->name,
				 tests[k].name);
			tap_run(name, tests[k].test);
		}
	}
	tap_run("LANES: leases", test_lanes);
	tap_run("mappings", test_map);
	tap_run("mappings of channels", test_channel_map);
	tap_run("a shape that changes after it was mapped", test_shape_changes);
	return tap_end();
}
