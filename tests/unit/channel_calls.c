// SPDX-License-Identifier: GPL-2.0
/*
 * Channels in one process: every call of ipm_channel.h on every kind of ring, right
 * and wrong arguments, deadlines, the end, statistics, and words in shared memory
 * that a hostile peer has written.
 */
#include <sys/eventfd.h>
#include <poll.h>
#include <pthread.h>

#include "../../lib/channel.h"
#include "channel_tests.h"

static const struct variant *variant;

static void forms_of_write_and_read(void)
{
	unsigned char bytes[2000], got[2000];
	ipm_channel *w, *r;
	struct fixture f;
	uint64_t n;
	size_t size;
	uint32_t flags;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	for (n = 1; n <= 300; n++) {
		size_t want = 1 + n * 37 % 1000;

		fill(bytes, want, n);
		CHECK_RESULT(n % 3 == 0 ? ipm_channel_write(w, bytes, want) :
			     n % 3 == 1 ? ipm_channel_write_try(w, bytes, want) :
					  ipm_channel_write_until(w, bytes, want, now() + MS),
			     IPM_RESULT_SUCCESS);
		size = 0;
		flags = 9;
		CHECK_RESULT(n % 4 == 0 ? ipm_channel_read(r, got, sizeof(got), &size, &flags) :
			     n % 4 == 1 ? ipm_channel_read_try(r, got, sizeof(got), &size, &flags) :
					  ipm_channel_read_until(r, got, sizeof(got), &size, &flags,
								 now() + MS),
			     IPM_RESULT_SUCCESS);
		CHECK_INT(size, want);
		CHECK_INT(flags, 0);
		CHECK(filled(got, size, n));
	}
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
}

static void zero_copy(void)
{
	ipm_ring_record record, again;
	ipm_channel *w, *r;
	struct fixture f;
	uint64_t n;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	for (n = 1; n <= 300; n++) {
		size_t want = 8 + n * 37 % 1000;

		CHECK_RESULT(ipm_channel_reserve(w, want, now() + MS, &record), IPM_RESULT_SUCCESS);
		if (n % 5 == 0) {
			CHECK_RESULT(ipm_channel_discard(w, &record), IPM_RESULT_SUCCESS);
			CHECK_RESULT(ipm_channel_discard(w, &record), IPM_RESULT_ERR_NOT_LOCKED);
			CHECK_RESULT(ipm_channel_peek(r, IPM_DEADLINE_NOW, &again),
				     IPM_RESULT_ERR_WOULD_BLOCK);
			continue;
		}
		fill(record.data, want, n);
		CHECK_RESULT(ipm_channel_commit(w, &record), IPM_RESULT_SUCCESS);
		CHECK_RESULT(ipm_channel_commit(w, &record), IPM_RESULT_ERR_NOT_LOCKED);
		CHECK_RESULT(ipm_channel_peek(r, IPM_DEADLINE_NONE, &again), IPM_RESULT_SUCCESS);
		CHECK_INT(again.size, want);
		CHECK(filled(again.data, again.size, n));
		CHECK_RESULT(ipm_channel_release(r, &again), IPM_RESULT_SUCCESS);
		CHECK_RESULT(ipm_channel_release(r, &again), IPM_RESULT_ERR_NOT_LOCKED);
	}
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
}

static void batches(void)
{
	enum { COUNT = 40 };
	unsigned char bytes[COUNT][64];
	ipm_ring_span spans[COUNT];
	ipm_ring_record records[COUNT];
	size_t written, taken, n, done = 0;
	ipm_channel *w, *r;
	struct fixture f;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	for (n = 0; n < COUNT; n++) {
		fill(bytes[n], sizeof(bytes[n]), n);
		spans[n] = (ipm_ring_span){ bytes[n], sizeof(bytes[n]) };
	}
	written = 9;
	CHECK_RESULT(ipm_channel_write_batch(w, spans, COUNT, IPM_DEADLINE_NOW, &written),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(written, COUNT);
	while (done < COUNT) {
		taken = 0;
		CHECK_RESULT(ipm_channel_peek_batch(r, records, 7, IPM_DEADLINE_NOW, &taken),
			     IPM_RESULT_SUCCESS);
		if (!CHECK(taken > 0 && taken <= 7 && done + taken <= COUNT))
			break;
		for (n = 0; n < taken; n++)
			CHECK(filled(records[n].data, records[n].size, done + n));
		CHECK_RESULT(ipm_channel_release_batch(r, records, taken), IPM_RESULT_SUCCESS);
		done += taken;
	}
	CHECK_RESULT(ipm_channel_peek_batch(r, records, 7, IPM_DEADLINE_NOW, &taken),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(taken, 0);
	/* A batch that is more than fits tells how much went. */
	done = 0;
	do {
		written = 0;
		CHECK(ipm_channel_write_batch(w, spans, COUNT, now() + MS, &written) ==
			      (written == COUNT ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_TIMEOUT));
		done += written;
	} while (written == COUNT);
	for (n = 0; n < done; n++) {
		CHECK_RESULT(ipm_channel_peek(r, IPM_DEADLINE_NOW, &records[0]), IPM_RESULT_SUCCESS);
		CHECK(filled(records[0].data, records[0].size, n % COUNT));
		CHECK_RESULT(ipm_channel_release(r, &records[0]), IPM_RESULT_SUCCESS);
	}
	CHECK_RESULT(ipm_channel_peek(r, IPM_DEADLINE_NOW, &records[0]), IPM_RESULT_ERR_WOULD_BLOCK);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
}

/* Fills the channel; how many messages that took. */
static uint64_t stuff(ipm_channel *w, size_t size)
{
	unsigned char bytes[1000];
	uint64_t n = 0;

	fill(bytes, size, 0);
	while (!ipm_channel_write_try(w, bytes, size))
		n++;
	return n;
}

static void deadlines(void)
{
	unsigned char bytes[100];
	ipm_ring_record record;
	ipm_channel *w, *r;
	struct fixture f;
	int64_t start;
	size_t size;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	CHECK_RESULT(ipm_channel_read_try(r, bytes, sizeof(bytes), &size, NULL),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_channel_read_until(r, bytes, sizeof(bytes), &size, NULL, 2),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_RESULT(ipm_channel_read_until(r, bytes, sizeof(bytes), &size, NULL, -1),
		     IPM_RESULT_ERR_BAD_VALUE);
	start = now();
	CHECK_RESULT(ipm_channel_read_until(r, bytes, sizeof(bytes), &size, NULL, start + 30 * MS),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK(now() >= start + 30 * MS);
	start = now();
	CHECK_RESULT(ipm_channel_peek(r, start + 5 * MS, &record), IPM_RESULT_ERR_TIMEOUT);
	CHECK(now() >= start + 5 * MS);
	CHECK(stuff(w, 100) > 0);
	start = now();
	CHECK_RESULT(ipm_channel_write_until(w, bytes, 100, start + 30 * MS),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK(now() >= start + 30 * MS);
	CHECK_RESULT(ipm_channel_reserve(w, 100, now() + MS, &record), IPM_RESULT_ERR_TIMEOUT);
	CHECK_RESULT(ipm_channel_reserve(w, 100, IPM_DEADLINE_NOW, &record),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_channel_write_until(w, bytes, 100, -5), IPM_RESULT_ERR_BAD_VALUE);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
}

static void close_and_drain(void)
{
	unsigned char bytes[100];
	ipm_ring_record record;
	ipm_channel *w, *r, *observer;
	struct fixture f;
	size_t size;
	uint64_t n;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	observer = attach(&f, 0);
	for (n = 0; n < 3; n++) {
		fill(bytes, sizeof(bytes), n);
		CHECK_RESULT(ipm_channel_write(w, bytes, sizeof(bytes)), IPM_RESULT_SUCCESS);
	}
	CHECK_RESULT(ipm_channel_reserve(w, 100, IPM_DEADLINE_NOW, &record), IPM_RESULT_SUCCESS);
	fill(record.data, 100, 3);
	CHECK(!ipm_channel_is_closed(observer));
	CHECK_RESULT(ipm_channel_close(observer), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_close(w), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_close(w), IPM_RESULT_SUCCESS);
	CHECK(ipm_channel_is_closed(r) && ipm_channel_is_closed(observer));
	CHECK_RESULT(ipm_channel_commit(w, &record), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_write_try(w, bytes, 100), IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_reserve(w, 100, IPM_DEADLINE_NONE, &record), IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_check(w, IPM_RING_PRODUCER), IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_check(r, IPM_RING_CONSUMER), IPM_RESULT_SUCCESS);
	for (n = 0; n < 4; n++) {
		CHECK_RESULT(ipm_channel_read(r, bytes, sizeof(bytes), &size, NULL),
			     IPM_RESULT_SUCCESS);
		CHECK(filled(bytes, size, n));
	}
	CHECK_RESULT(ipm_channel_read(r, bytes, sizeof(bytes), &size, NULL), IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_read_try(r, bytes, sizeof(bytes), &size, NULL),
		     IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_peek(r, IPM_DEADLINE_NOW, &record), IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_check(r, IPM_RING_CONSUMER), IPM_RESULT_ERR_CLOSED);
	/* The reader opens it again, and closes it. */
	CHECK_RESULT(ipm_channel_reopen(r), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_close(r), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_ERR_CLOSED);
	CHECK_RESULT(ipm_channel_read(r, bytes, sizeof(bytes), &size, NULL), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_read(r, bytes, sizeof(bytes), &size, NULL), IPM_RESULT_ERR_CLOSED);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	ipm_channel_detach(observer);
	teardown(&f);
}

static void ring_the_eventfd(void *param, uint64_t bits)
{
	if (write(*(int *)param, &bits, sizeof(bits)) != sizeof(bits))
		DIE("eventfd");
}

/* Both bells of a handle ring the same eventfd. */
static ipm_channel *attach_with_bell(struct fixture *f, uint32_t roles, uint32_t lease, int *bell)
{
	ipm_channel_attach_options o = attach_options(f, roles);

	o.bell = ring_the_eventfd;
	o.bell_param = bell;
	o.lease_records = lease;
	return attach_with(f, &o);
}

static void armed_doorbells(void)
{
	struct pollfd poll_fd = { .events = POLLIN };
	unsigned char bytes[100] = { 1 };
	ipm_channel *w, *r;
	struct fixture f;
	uint64_t rung;
	size_t size;
	bool ready;
	int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	setup(&f, variant, 8192);
	w = attach_with_bell(&f, IPM_RING_PRODUCER, 0, &bell);
	r = attach_with_bell(&f, IPM_RING_CONSUMER, 0, &bell);
	poll_fd.fd = bell;

	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_SUCCESS);
	CHECK_INT(poll(&poll_fd, 1, 0), 0);
	ready = false;
	CHECK_RESULT(ipm_channel_arm_read(r, &ready), IPM_RESULT_SUCCESS);
	CHECK(ready);
	CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_SUCCESS);
	if (read(bell, &rung, sizeof(rung)) < 0)
		rung = 0;
	CHECK_RESULT(ipm_channel_arm_read(r, &ready), IPM_RESULT_SUCCESS);
	CHECK(!ready);
	CHECK_INT(poll(&poll_fd, 1, 0), 0);
	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_SUCCESS);
	CHECK_INT(poll(&poll_fd, 1, 0), 1);
	CHECK(read(bell, &rung, sizeof(rung)) == sizeof(rung));
	CHECK_INT(rung, 1);
	/* Once. */
	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_SUCCESS);
	CHECK_INT(poll(&poll_fd, 1, 0), 0);
	/* Writing. */
	CHECK_RESULT(ipm_channel_arm_write(w, 100, &ready), IPM_RESULT_SUCCESS);
	CHECK(ready);
	CHECK(stuff(w, 100) > 0);
	if (read(bell, &rung, sizeof(rung)) < 0)
		rung = 0;
	CHECK_RESULT(ipm_channel_arm_write(w, 100, &ready), IPM_RESULT_SUCCESS);
	CHECK(!ready);
	CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(poll(&poll_fd, 1, 0), 1);
	CHECK(read(bell, &rung, sizeof(rung)) == sizeof(rung));
	CHECK_INT(rung, 2);
	/* A closed channel is ready: there is something to be told. */
	while (!ipm_channel_read_try(r, bytes, 100, &size, NULL))
		;
	CHECK_RESULT(ipm_channel_arm_read(r, &ready), IPM_RESULT_SUCCESS);
	CHECK(!ready);
	CHECK_RESULT(ipm_channel_close(w), IPM_RESULT_SUCCESS);
	CHECK_INT(poll(&poll_fd, 1, 0), 1);
	CHECK_RESULT(ipm_channel_arm_read(r, &ready), IPM_RESULT_SUCCESS);
	CHECK(ready);
	CHECK_RESULT(ipm_channel_arm_write(r, 100, &ready), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_arm_read(w, &ready), IPM_RESULT_ERR_BAD_ACCESS);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);

	setup(&f, variant, 8192);
	f.options.read_bell = 0;
	f.options.write_bell = 0;
	CHECK_RESULT(ipm_channel_create(&f.options, f.map.memory, f.map.size), IPM_RESULT_SUCCESS);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	CHECK_RESULT(ipm_channel_arm_read(r, &ready), IPM_RESULT_ERR_NOT_SUPPORTED);
	CHECK_RESULT(ipm_channel_arm_write(w, 1, &ready), IPM_RESULT_ERR_NOT_SUPPORTED);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
	close(bell);
}

static void wrong_arguments(void)
{
	ipm_channel_options options;
	ipm_channel_attach_options o, good;
	unsigned char bytes[100] = { 0 };
	ipm_channel_mapping mapping = { 0 };
	ipm_ring_record record = { 0 };
	ipm_channel_stats stats;
	ipm_channel *w, *r, *c = NULL;
	ipm_ring_span span = { bytes, sizeof(bytes) };
	struct fixture f;
	size_t size;
	bool ready;
	uint32_t i;

	setup(&f, variant, 8192);
	/* Nothing of this touches the memory of the channel. */
	CHECK_RESULT(ipm_channel_footprint(NULL, 1, &size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_footprint(&f.options, 1, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_footprint(&f.options, 0, &size), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_RESULT(ipm_channel_footprint(&f.options, SIZE_MAX, &size), IPM_RESULT_ERR_BAD_SIZE);
	for (i = 0; i < 6; i++) {
		options = f.options;
		if (i == 0)
			options.struct_size--;
		else if (i == 1)
			options.ring.struct_size = 0;
		else if (i == 2)
			options.ring.kind = (ipm_ring_kind)7;
		else if (i == 3)
			options.participants = IPM_RING_MAX_SLOTS + 1;
		else if (i == 4)
			options.reserved = 1;
		else
			options.ring.flags = 0x80;
		CHECK_RESULT(ipm_channel_footprint(&options, 100, &size), IPM_RESULT_ERR_BAD_VALUE);
		CHECK_RESULT(ipm_channel_create(&options, f.map.memory, f.map.size),
			     IPM_RESULT_ERR_BAD_VALUE);
		CHECK_RESULT(ipm_channel_map(f.fd, 0, f.map.size, &options,
					     IPM_ACCESS_MODE_READ_WRITE, &mapping),
			     IPM_RESULT_ERR_BAD_VALUE);
	}
	CHECK_RESULT(ipm_channel_create(&f.options, NULL, 8192), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_create(&f.options, (char *)f.map.memory + 8, 4096),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_create(&f.options, f.map.memory, 0), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_channel_create(&f.options, f.map.memory, 600), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_channel_map(-1, 0, f.map.size, NULL, IPM_ACCESS_MODE_READ_WRITE, &mapping),
		     IPM_RESULT_ERR_INVALID_FD);
	CHECK_RESULT(ipm_channel_map(f.fd, 1, f.map.size, NULL, IPM_ACCESS_MODE_READ_WRITE,
				     &mapping), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_map(f.fd, 0, 0, NULL, IPM_ACCESS_MODE_READ_WRITE, &mapping),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_map(f.fd, 0, f.map.size, NULL, (ipm_access_mode)5, &mapping),
		     IPM_RESULT_ERR_BAD_VALUE);
	ipm_channel_unmap(NULL);
	ipm_channel_unmap(&mapping);

	good = attach_options(&f, IPM_RING_PRODUCER);
	for (i = 0; i < 9; i++) {
		o = good;
		if (i == 0)
			o.struct_size--;
		else if (i == 1)
			o.roles = 4;
		else if (i == 2)
			o.flags = 0x80;
		else if (i == 3)
			o.slot = IPM_RING_MAX_SLOTS;
		else if (i == 4)
			o.config.start_sleep_ns = o.config.max_sleep_ns + 1;
		else if (i == 5)
			o.config.max_sleep_ns = IPM_CHANNEL_SLEEP_MAX + 1;
		else if (i == 6)
			o.config.reserved = 1;
		else if (i == 7)
			o.reserved = 1;
		else
			o.config.start_sleep_ns = UINT64_MAX;
		CHECK_RESULT(ipm_channel_attach(NULL, &o, f.map.memory, f.map.size, &c),
			     IPM_RESULT_ERR_BAD_VALUE);
	}
	CHECK_RESULT(ipm_channel_attach(NULL, NULL, f.map.memory, f.map.size, &c),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_attach(NULL, &good, NULL, f.map.size, &c),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_attach(NULL, &good, (char *)f.map.memory + 8, f.map.size - 8, &c),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_attach(NULL, &good, f.map.memory, f.map.size, NULL),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_attach(NULL, &good, f.map.memory, 100, &c),
		     IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_channel_attach(NULL, &good, f.map.memory, f.map.size / 2, &c),
		     IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_channel_attach(NULL, &good, f.table, TABLE_SIZE, &c),
		     IPM_RESULT_ERR_BAD_INIT);
	CHECK_RESULT(ipm_channel_attach_memory(NULL, &good, NULL, 0, 0, &c),
		     IPM_RESULT_ERR_BAD_VALUE);

	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	CHECK_RESULT(ipm_channel_write(NULL, bytes, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_write(w, NULL, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_write(w, bytes, 0), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_RESULT(ipm_channel_write(w, bytes, (size_t)1 << 40), IPM_RESULT_ERR_TOO_LARGE);
	CHECK_RESULT(ipm_channel_write(w, bytes, SIZE_MAX), IPM_RESULT_ERR_TOO_LARGE);
	CHECK_RESULT(ipm_channel_write(r, bytes, 1), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_read(w, bytes, 100, &size, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_read(NULL, bytes, 100, &size, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_read(r, NULL, 100, &size, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_read(r, bytes, 100, NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_write_batch(w, NULL, 1, 0, &size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_write_batch(w, &span, 0, 0, &size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_write_batch(w, &span, 1, 0, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_reserve(w, 1, 0, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_commit(w, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_commit(NULL, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_commit(w, &record), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_channel_discard(w, &record), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_channel_discard(NULL, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_peek(r, 0, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_peek_batch(r, &record, 0, 0, &size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_peek_batch(r, NULL, 1, 0, &size), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_release(r, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_release(NULL, &record), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_release_batch(r, NULL, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_release_batch(NULL, &record, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_close(NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_reopen(NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_wake(NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_recover(NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_check(NULL, IPM_RING_CONSUMER), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_check(r, 3), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_check(r, IPM_RING_PRODUCER), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_arm_read(NULL, &ready), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_arm_read(r, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_arm_write(w, 1, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_get_stats(r, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_channel_get_stats(NULL, &stats), IPM_RESULT_ERR_BAD_VALUE);
	CHECK(!ipm_channel_ring(NULL) && ipm_channel_ring(r));
	CHECK(!ipm_channel_is_closed(NULL));
	ipm_channel_detach(NULL);
	/* A message too long for the buffer stays. */
	CHECK_RESULT(ipm_channel_write(w, bytes, 50), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_read(r, bytes, 49, &size, NULL), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_INT(size, 50);
	CHECK_RESULT(ipm_channel_read(r, bytes, 50, &size, NULL), IPM_RESULT_SUCCESS);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
}

/* Who only looks may have the memory read-only, and every call survives it. */
static void read_only_observer(void)
{
	unsigned char bytes[100] = { 0 };
	ipm_channel_attach_options o;
	ipm_channel_mapping map;
	ipm_channel_stats stats;
	ipm_ring_record record;
	ipm_channel *c, *w;
	struct fixture f;
	size_t size;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_map(f.fd, 0, f.map.size, NULL, IPM_ACCESS_MODE_READ_ONLY, &map),
		     IPM_RESULT_SUCCESS);
	o = attach_options(&f, 0);
	CHECK_RESULT(ipm_channel_attach(NULL, &o, map.memory, map.size, &c), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_get_stats(c, &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(stats.participants, 1);
	CHECK(stats.ring.used > 0 && !stats.closed);
	CHECK_RESULT(ipm_channel_write(c, bytes, 100), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_read(c, bytes, 100, &size, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_peek(c, 0, &record), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_reserve(c, 1, 0, &record), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK(ipm_channel_release_batch(c, &record, 0) != IPM_RESULT_ERR_CORRUPTED);
	CHECK_RESULT(ipm_channel_wake(c), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_recover(c, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_channel_reopen(c), IPM_RESULT_ERR_BAD_ACCESS);
	ipm_channel_detach(c);
	ipm_channel_unmap(&map);
	ipm_channel_detach(w);
	teardown(&f);
}

/* More handles than the channel was made for are refused, and places come back. */
static void participants(void)
{
	ipm_channel *all[64];
	ipm_channel_attach_options o;
	ipm_channel_stats stats;
	struct fixture f;
	uint32_t n = 0, i;
	ipm_channel *c;
	ipm_result result;

	if (variant->kind == IPM_RING_KIND_SPSC)
		return;
	setup(&f, variant, 8192);
	f.options.participants = 3;
	CHECK_RESULT(ipm_channel_create(&f.options, f.map.memory, f.map.size), IPM_RESULT_SUCCESS);
	o = attach_options(&f, IPM_RING_CONSUMER);
	while (n < 64 && !(result = ipm_channel_attach(NULL, &o, f.map.memory, f.map.size, &all[n])))
		n++;
	CHECK_INT(n, 3);
	CHECK_RESULT(result, IPM_RESULT_ERR_LIMIT);
	CHECK_RESULT(ipm_channel_get_stats(all[0], &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(stats.participants, 3);
	CHECK_INT(stats.dead, 0);
	ipm_channel_detach(all[1]);
	CHECK_RESULT(ipm_channel_attach(NULL, &o, f.map.memory, f.map.size, &c), IPM_RESULT_SUCCESS);
	all[1] = c;
	for (i = 0; i < n; i++)
		ipm_channel_detach(all[i]);
	teardown(&f);
}

/* A header that lies is refused, or at least does no harm. */
static void hostile_header(void)
{
	unsigned char *bytes, got[100];
	ipm_channel_attach_options o;
	struct fixture f;
	size_t i, size;
	int change;

	setup(&f, variant, 8192);
	o = attach_options(&f, IPM_RING_PRODUCER | IPM_RING_CONSUMER);
	bytes = f.map.memory;
	for (i = 0; i < sizeof(struct channel_header); i++) {
		for (change = 0; change < 3; change++) {
			static const unsigned char values[] = { 0xff, 0x80, 0x01 };
			ipm_channel *c;

			CHECK_RESULT(ipm_channel_create(&f.options, f.map.memory, f.map.size),
				     IPM_RESULT_SUCCESS);
			bytes[i] ^= values[change];
			if (ipm_channel_attach(NULL, &o, f.map.memory, f.map.size, &c))
				continue;
			if (!ipm_channel_write_try(c, "hello", 5))
				ipm_channel_read_try(c, got, sizeof(got), &size, NULL);
			ipm_channel_read_until(c, got, sizeof(got), &size, NULL, now() + 1000);
			ipm_channel_detach(c);
		}
	}
	teardown(&f);
}

/* Somebody plays with the words on which waiters sleep, while they do. */
static void *play(void *param)
{
	struct channel_header *header = param;
	uint32_t seed = 1;

	while (!ring_load(&header->end[0])) {
		seed = seed * 1664525 + 1013904223;
		ring_store(&header->readers.word, seed >> (seed & 7));
		ring_store(&header->writers.word, seed);
		/* Not for closed: that would be believed. */
		ring_store(&channel_entries(&(ipm_channel){ .header = header })[3].fenceless, seed);
	}
	return NULL;
}

static void hostile_words(void)
{
	struct channel_header *header;
	unsigned char bytes[100];
	ipm_channel *w, *r;
	struct fixture f;
	pthread_t thread;
	int64_t start;
	size_t size;
	uint64_t n;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	header = f.map.memory;
	if (pthread_create(&thread, NULL, play, header))
		DIE("thread");
	start = now();
	for (n = 0; n < 2000 && now() < start + 1000 * MS; n++) {
		fill(bytes, sizeof(bytes), n);
		CHECK_RESULT(ipm_channel_write_until(w, bytes, sizeof(bytes), now() + 1000 * MS),
			     IPM_RESULT_SUCCESS);
		CHECK_RESULT(ipm_channel_read_until(r, bytes, sizeof(bytes), &size, NULL,
						    now() + 1000 * MS), IPM_RESULT_SUCCESS);
		CHECK(filled(bytes, size, n));
	}
	for (n = 0; n < 20; n++) {
		start = now();
		CHECK_RESULT(ipm_channel_read_until(r, bytes, sizeof(bytes), &size, NULL,
						    start + 5 * MS), IPM_RESULT_ERR_TIMEOUT);
		/* It ends, on a busy machine not at once. */
		CHECK(now() < start + 30000 * MS);
	}
	ring_store(&header->end[0], 1);
	pthread_join(thread, NULL);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
}

static void statistics(void)
{
	ipm_channel_stats stats;
	unsigned char bytes[100] = { 0 };
	ipm_channel *w, *r;
	struct fixture f;
	size_t size;
	uint64_t waits = 0;

	setup(&f, variant, 8192);
	w = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	CHECK_RESULT(ipm_channel_write(w, bytes, 100), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_SUCCESS);
	/* On a busy machine one wait may be over before it has slept twice. */
	do {
		CHECK_RESULT(ipm_channel_read_until(r, bytes, 100, &size, NULL, now() + 5 * MS),
			     IPM_RESULT_ERR_TIMEOUT);
		CHECK_RESULT(ipm_channel_get_stats(r, &stats), IPM_RESULT_SUCCESS);
		CHECK_INT(stats.waits, ++waits);
	} while ((stats.sleeps < 2 || !stats.naps) && waits < 1000);
	CHECK_RESULT(ipm_channel_get_stats(w, &stats), IPM_RESULT_SUCCESS);
	CHECK_INT(stats.waits, 0);
	CHECK_INT(stats.wakes, 0);
	CHECK_INT(stats.participants, 2);
	CHECK_INT(stats.ring.written, 1);
	CHECK_RESULT(ipm_channel_get_stats(r, &stats), IPM_RESULT_SUCCESS);
	CHECK(stats.sleeps >= 2 && stats.naps >= 1);
	CHECK_INT(stats.ring.read, 1);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
}

/*
 * Two messages that do not fit one behind the other, by programs that only do something
 * when they are told: what a message leaves over at the end has to be passed first.
 */
static void room_is_told_of(void)
{
	static unsigned char bytes[65536];
	bool sent = false, came = false, ready;
	ipm_channel *w, *r;
	struct fixture f;
	uint64_t rung;
	size_t size, got;
	int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	setup(&f, variant, 8192);
	w = attach_with_bell(&f, IPM_RING_PRODUCER, 0, &bell);
	r = attach_with_bell(&f, IPM_RING_CONSUMER, 0, &bell);
	size = w->ring->geometry.data_size * 3 / 5;
	if (size > w->ring->max_record)
		size = w->ring->max_record;
	CHECK(size <= sizeof(bytes));
	CHECK_RESULT(ipm_channel_write_try(w, bytes, size), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_read_try(r, bytes, size, &got, NULL), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_arm_read(r, &ready), IPM_RESULT_SUCCESS);
	CHECK(!ready);
	while (!came) {
		bool told = false;

		if (!sent) {
			sent = !ipm_channel_write_try(w, bytes, size);
			if (!sent) {
				CHECK_RESULT(ipm_channel_arm_write(w, size, &ready),
					     IPM_RESULT_SUCCESS);
				told |= ready;
			}
		}
		told |= read(bell, &rung, sizeof(rung)) == sizeof(rung);
		came = !ipm_channel_read_try(r, bytes, size, &got, NULL);
		if (!came) {
			CHECK_RESULT(ipm_channel_arm_read(r, &ready), IPM_RESULT_SUCCESS);
			told |= ready;
		}
		if (!CHECK(told))
			break;
	}
	CHECK_INT(got, size);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&f);
	close(bell);
}

/* A lane that one consumer gives back with something in it is another's at once. */
static void a_lane_is_given_back(void)
{
	ipm_channel *w, *r, *other;
	unsigned char bytes[10] = { 1 };
	ipm_ring_record record;
	struct fixture f;
	uint64_t rung;
	size_t size;
	bool ready;
	int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (variant->kind != IPM_RING_KIND_LANES) {
		close(bell);
		return;
	}
	setup(&f, variant, 8192);
	w = attach_with_bell(&f, IPM_RING_PRODUCER, 0, &bell);
	r = attach_with_bell(&f, IPM_RING_CONSUMER, 1, &bell);
	other = attach_with_bell(&f, IPM_RING_CONSUMER, 1, &bell);
	CHECK_RESULT(ipm_channel_write(w, bytes, 10), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_write(w, bytes, 10), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_peek(r, IPM_DEADLINE_NOW, &record), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_arm_read(other, &ready), IPM_RESULT_SUCCESS);
	CHECK(!ready);
	CHECK(read(bell, &rung, sizeof(rung)) < 0);
	CHECK_RESULT(ipm_channel_release(r, &record), IPM_RESULT_SUCCESS);
	CHECK(read(bell, &rung, sizeof(rung)) == sizeof(rung));
	CHECK_RESULT(ipm_channel_read_try(other, bytes, 10, &size, NULL), IPM_RESULT_SUCCESS);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	ipm_channel_detach(other);
	teardown(&f);
	close(bell);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*test)(void);
	} tests[] = {
#define TEST(test) { #test, test }
		TEST(forms_of_write_and_read), TEST(zero_copy), TEST(batches), TEST(deadlines),
		TEST(close_and_drain), TEST(armed_doorbells), TEST(wrong_arguments),
		TEST(read_only_observer), TEST(participants), TEST(hostile_header),
		TEST(hostile_words), TEST(statistics), TEST(room_is_told_of),
		TEST(a_lane_is_given_back),
	};
	size_t i, v;

	for (v = 0; v < VARIANTS; v++) {
		variant = &variants[v];
		for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			char name[100];

			snprintf(name, sizeof(name), "%s: %s", variant->name, tests[i].name);
			tap_run(name, tests[i].test);
		}
	}
	return tap_end();
}
