// SPDX-License-Identifier: GPL-2.0
/*
 * Claims: short and rich calls, events, bytes in doubt, whole values.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY
#define MS 1000000LL

static struct fake_context c;
static ipm_memory *a, *b;

/* Two handles on one segment of 1000 bytes. */
static void setup(void)
{
	fake_context_init(&c);
	CHECK_RESULT(ipm_memory_create(&c.ctx, 1000, "claims", RW, &a), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_open(&c.ctx, "claims", RW, &b), IPM_RESULT_SUCCESS);
}

static void teardown(void)
{
	ipm_memory_close(a);
	ipm_memory_close(b);
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

static size_t active(ipm_memory *m)
{
	return ipm_memory_get_info(m).active_claims;
}

static void claims_of_one_handle_may_overlap(void)
{
	ipm_id one, two;

	setup();
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 16, 16, &one), IPM_RESULT_SUCCESS);
	CHECK_INT(active(a), 1);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 24, 16, &two), IPM_RESULT_SUCCESS);
	CHECK(one != two);
	CHECK_INT(active(a), 2);
	CHECK_INT(active(b), 0);
	CHECK_RESULT(ipm_memory_release_region(a, two), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_release_region(a, two), IPM_RESULT_ERR_INVALID_CLAIM);
	CHECK_RESULT(ipm_memory_release_region(b, one), IPM_RESULT_ERR_INVALID_CLAIM);
	CHECK_RESULT(ipm_memory_release_region(a, 0), IPM_RESULT_ERR_INVALID_CLAIM);
	CHECK_INT(active(a), 1);
	CHECK_RESULT(ipm_memory_release_region(a, one), IPM_RESULT_SUCCESS);
	CHECK_INT(active(a), 0);
	teardown();
}

static void ranges_are_checked_against_the_size(void)
{
	ipm_id id = 4711;

	setup();
	CHECK_INT(ipm_memory_size(a), 1000);
	fake_calls();
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 0, &id), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 1001, &id), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 1000, 1, &id), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 1001, 1, &id), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 1, SIZE_MAX, &id), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, SIZE_MAX, 1, &id), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, SIZE_MAX, SIZE_MAX, &id),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, (ipm_access_mode)-1, 0, 1, &id),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 1, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim_region_until(a, RW, 0, 1, -1, &id),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(c.reports, 10);
	CHECK_INT(id, 4711);
	CHECK_INT(fake_calls(), 0);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 1000, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 999, 1, &id), IPM_RESULT_SUCCESS);
	teardown();
}

static void who_does_not_wait_is_told(void)
{
	ipm_id id, other;

	setup();
	CHECK_RESULT(ipm_memory_claim_region(a, RO, 0, 10, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region_try(b, RO, 5, 10, &other), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region_try(b, RW, 9, 1, &other), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_claim_region_try(b, RW, 10, 1, &other), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region_until(b, RW, 0, 1, ipm_deadline_after(5 * MS), &other),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_RESULT(ipm_memory_claim_region_until(b, RW, 0, 1, IPM_DEADLINE_NOW, &other),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_claim_region_until(b, RW, 0, 1, 2, &other),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_INT(active(b), 2);
	/* Answers are no errors: nobody was told. */
	CHECK_INT(c.reports, 0);
	teardown();
}

static void several_ranges_and_a_release_in_one(void)
{
	ipm_memory_range ranges[3] = {
		{ .offset = 500, .length = 10, .access = RW },
		{ .offset = 0, .length = 10, .access = RO },
		{ .offset = 1500, .length = 10, .access = RW },	/* beyond the size */
	};
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .ranges = ranges,
				       .nr_ranges = 3 };
	ipm_id id, other, old[2];
	uint32_t granted = 99;

	setup();
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, &granted), IPM_RESULT_SUCCESS);
	CHECK_INT(granted, 0);
	CHECK_INT(active(a), 1);
	CHECK_RESULT(ipm_memory_claim_region_try(b, RO, 505, 1, &other),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_claim_region_try(b, RO, 5, 1, &other), IPM_RESULT_SUCCESS);

	/* Release and claim in one; then with a claim that is not granted. */
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 900, 1, &old[1]), IPM_RESULT_SUCCESS);
	old[0] = id;
	o = (ipm_memory_claim_options){ .struct_size = sizeof(o), .offset = 600, .length = 1,
					.access = RW, .release = old, .nr_release = 2 };
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(active(a), 1);
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_ERR_INVALID_CLAIM);
	CHECK_INT(active(a), 1);
	old[0] = id;
	o.nr_release = 1;
	o.offset = 5;
	o.deadline = IPM_DEADLINE_NOW;
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(active(a), 1);
	o.deadline = 2;		/* long past: it did not wait */
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_ERR_TIMEOUT);
	CHECK_INT(active(a), 1);
	o.deadline = ipm_deadline_after(1000 * MS);	/* it waited, on a slow machine too */
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_ERR_TIMEOUT);
	CHECK_INT(active(a), 0);
	CHECK_INT(fake_claims(ipm_memory_get_id(a)), 1);
	teardown();
}

static void lists_are_checked(void)
{
	static ipm_memory_range many[IPM_MEMORY_MAX_RANGES + 1];
	static ipm_id ids[IPM_MEMORY_MAX_RANGES + 1];
	const ipm_memory_claim_options good = { .struct_size = sizeof(good), .length = 1 };
	ipm_memory_claim_options o;
	ipm_id id;

	setup();
	fake_calls();
	CHECK_RESULT(ipm_memory_claim(a, NULL, &id, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_claim(a, &good, NULL, NULL), IPM_RESULT_ERR_BAD_VALUE);
#define BAD(assignments)						\
	do {								\
		o = good;						\
		assignments;						\
		CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_ERR_BAD_VALUE); \
	} while (0)
	BAD(o.struct_size = 8);
	BAD(o.nr_ranges = 1);
	BAD(o.ranges = many);
	BAD(o.ranges = many; o.nr_ranges = IPM_MEMORY_MAX_RANGES + 1);
	BAD(o.ranges = many; o.nr_ranges = (size_t)1 << 32);
	BAD(o.nr_release = 1);
	BAD(o.release = ids);
	BAD(o.release = ids; o.nr_release = IPM_MEMORY_MAX_RANGES + 1);
	BAD(o.flags = 1);
	BAD(o.flags = 1u << 5);
	BAD(o.access = (ipm_access_mode)2);
	BAD(o.deadline = -1);
#undef BAD
	CHECK_INT(fake_calls(), 0);
	/* What only the kernel knows. */
	o = good;
	o.offset = UINT64_MAX;
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_ERR_BAD_VALUE);
	o.offset = ipm_memory_capacity(a);
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(active(a), 0);
	teardown();
}

static void a_read_only_handle_claims_to_read(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 1, .access = RW };
	ipm_memory *ro;
	ipm_id id;

	setup();
	CHECK_RESULT(ipm_memory_derive(a, RO, &ro), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(ro, RW, 0, 1, &id), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_claim(ro, &o, &id, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_claim_region(ro, RO, 0, 1, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_convert(ro, id, RW, 0, 0, NULL), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_recovered(ro, 0, 1), IPM_RESULT_ERR_BAD_ACCESS);
	ipm_memory_close(ro);
	teardown();
}

static void convert_up_and_down(void)
{
	ipm_id mine, theirs;
	uint32_t granted = 99;

	setup();
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 10, &mine), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_convert(a, mine, RO, 0, IPM_DEADLINE_NONE, &granted),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(granted, 0);
	CHECK_RESULT(ipm_memory_claim_region_try(b, RO, 0, 10, &theirs), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_convert(a, mine, RW, 0, IPM_DEADLINE_NOW, NULL),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_convert(a, mine, RW, 0, IPM_DEADLINE_NONE, NULL),
		     IPM_RESULT_ERR_DEADLOCK);
	CHECK_RESULT(ipm_memory_convert(b, mine, RW, 0, IPM_DEADLINE_NONE, NULL),
		     IPM_RESULT_ERR_INVALID_CLAIM);
	CHECK_RESULT(ipm_memory_convert(a, mine, (ipm_access_mode)3, 0, 0, NULL),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_convert(a, mine, RW, IPM_MEMORY_ASYNC, 0, NULL),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_convert(a, mine, RW, 0, -1, NULL), IPM_RESULT_ERR_BAD_VALUE);
	fake_fail_ioctl(IPM_IOC_CONVERT, EBUSY);
	CHECK_RESULT(ipm_memory_convert(a, mine, RW, 0, 0, NULL), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_RESULT(ipm_memory_release_region(b, theirs), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_convert(a, mine, RW, 0, IPM_DEADLINE_NONE, NULL),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(active(a), 1);
	teardown();
}

static void asynchronous_claims_are_heard_of(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 10, .access = RW,
				       .flags = IPM_MEMORY_ASYNC, .cookie = 77 };
	ipm_memory_event events[20];
	ipm_id held, id, second;
	uint32_t granted;
	size_t count = 99;

	setup();
	CHECK_RESULT(ipm_memory_read_events(b, events, 20, IPM_DEADLINE_NOW, &count),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(count, 99);
	CHECK_RESULT(ipm_memory_read_events(b, events, 20, ipm_deadline_after(2 * MS), &count),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 10, &held), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim(b, &o, &id, &granted), IPM_RESULT_SUCCESS);
	CHECK_INT(granted, IPM_MEMORY_GRANT_PENDING);
	CHECK_INT(active(b), 1);
	CHECK_RESULT(ipm_memory_collect(b, id, &granted), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_release_region(a, held), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_read_events(b, events, 20, IPM_DEADLINE_NONE, &count),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(count, 1);
	CHECK_INT(events[0].type, IPM_MEMORY_EVENT_CLAIM);
	CHECK_INT(events[0].result, IPM_RESULT_SUCCESS);
	CHECK_INT(events[0].claim_id, id);
	CHECK_INT(events[0].cookie, 77);
	CHECK_INT(events[0].granted, IPM_MEMORY_GRANT_WAITED);
	CHECK_INT(active(b), 1);
	CHECK_RESULT(ipm_memory_release_region(b, id), IPM_RESULT_SUCCESS);

	/* Collected instead; cancelled; ended by removal. */
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 10, &held), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim(b, &o, &id, NULL), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_release_region(b, id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_collect(b, id, NULL), IPM_RESULT_ERR_INVALID_CLAIM);
	CHECK_INT(active(b), 0);
	o.flags |= IPM_MEMORY_UNTIL_REMOVED;
	CHECK_RESULT(ipm_memory_claim(b, &o, &id, NULL), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim(b, &o, &second, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(active(b), 2);
	fake_remove(ipm_memory_get_id(b));
	CHECK_RESULT(ipm_memory_collect(b, id, NULL), IPM_RESULT_ERR_REMOVED);
	CHECK_INT(active(b), 1);
	CHECK_RESULT(ipm_memory_read_events(b, events, 1, IPM_DEADLINE_NONE, &count),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(count, 1);
	CHECK_INT(events[0].result, IPM_RESULT_ERR_REMOVED);
	CHECK_INT(events[0].claim_id, second);
	CHECK_INT(active(b), 0);
	CHECK_RESULT(ipm_memory_claim_region(b, RO, 20, 1, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_collect(b, id, &granted), IPM_RESULT_SUCCESS);
	CHECK_INT(granted, 0);
	teardown();
}

static void events_are_checked(void)
{
	ipm_memory_event event;
	size_t count;

	setup();
	CHECK_RESULT(ipm_memory_read_events(a, NULL, 1, 0, &count), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 0, 0, &count), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, 0, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, -1, &count), IPM_RESULT_ERR_BAD_VALUE);
	fake_fail(FAKE_FCNTL, 1, EBADF);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, 0, &count), IPM_RESULT_ERR_INVALID_FD);
	fake_fail(FAKE_FCNTL, 2, EBADF);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, 0, &count), IPM_RESULT_ERR_INVALID_FD);
	fake_fail(FAKE_READ, 1, EINVAL);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, 0, &count), IPM_RESULT_ERR_INVALID_FD);
	/* A read that returns 0 or 1 bytes is no event: fake errnos below zero. */
	fake_fail(FAKE_READ, 1, -1);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, 0, &count),
		     IPM_RESULT_ERR_OS_UNEXPECTED);
	fake_fail(FAKE_READ, 1, -4000);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, 0, &count),
		     IPM_RESULT_ERR_OS_UNEXPECTED);
	fake_fail(FAKE_WAIT, 1, EINTR);
	CHECK_RESULT(ipm_memory_read_events(a, &event, 1, 0, &count), IPM_RESULT_INTERRUPTED);
	teardown();
}

static void release_all_ends_ones_own(void)
{
	ipm_id id;
	int i;

	setup();
	for (i = 0; i < 5; i++)
		CHECK_RESULT(ipm_memory_claim_region(a, RO, i, 10, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(b, RO, 0, 10, &id), IPM_RESULT_SUCCESS);
	CHECK_INT(active(a), 5);
	CHECK_RESULT(ipm_memory_release_all(a), IPM_RESULT_SUCCESS);
	CHECK_INT(active(a), 0);
	CHECK_INT(active(b), 1);
	CHECK_RESULT(ipm_memory_release_all(a), IPM_RESULT_SUCCESS);
	teardown();
}

static void what_somebody_cleared_is_gone(void)
{
	ipm_id mine, theirs;

	setup();
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 10, &mine), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(b, RW, 20, 10, &theirs), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_remove_all_active_claims(a), IPM_RESULT_SUCCESS);
	CHECK_INT(active(a), 0);
	CHECK_INT(active(b), 0);
	CHECK_RESULT(ipm_memory_release_region(b, theirs), IPM_RESULT_ERR_INVALID_CLAIM);
	CHECK_RESULT(ipm_memory_convert(a, mine, RO, 0, 0, NULL), IPM_RESULT_ERR_INVALID_CLAIM);
	/* A claim that is gone does not keep the access from being changed. */
	CHECK_RESULT(ipm_memory_change_access(a, RO), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(b, RW, 0, 10, &theirs), IPM_RESULT_SUCCESS);
	CHECK_INT(active(b), 1);
	fake_fail_ioctl(IPM_IOC_CLEAR_CLAIMS, EPERM);
	CHECK_RESULT(ipm_memory_remove_all_active_claims(a), IPM_RESULT_ERR_NOT_OWNER);
	CHECK_INT(active(b), 1);
	teardown();
}

static void bytes_in_doubt_are_listed_and_recovered(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .offset = 5, .length = 10,
				       .access = RW };
	ipm_memory_doubt doubts[4];
	uint32_t granted;
	size_t total = 99;
	ipm_id id;

	setup();
	fake_doubt(ipm_memory_get_id(a), 0, 10, 123);
	fake_doubt(ipm_memory_get_id(a), 500, 10, 124);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 0, doubts, 4, &total), IPM_RESULT_SUCCESS);
	CHECK_INT(total, 2);
	CHECK_INT(doubts[0].offset, 0);
	CHECK_INT(doubts[0].length, 10);
	CHECK_INT(doubts[0].pid, 123);
	CHECK_INT(doubts[1].pid, 124);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 100, doubts, SIZE_MAX, &total),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(total, 1);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 0, doubts, 1, &total), IPM_RESULT_SUCCESS);
	CHECK_INT(total, 2);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 0, NULL, 0, &total), IPM_RESULT_SUCCESS);
	CHECK_INT(total, 2);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 0, NULL, 1, &total), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 0, doubts, 1, NULL), IPM_RESULT_ERR_BAD_VALUE);

	CHECK_RESULT(ipm_memory_recovered(a, 0, 10), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK_RESULT(ipm_memory_claim(a, &o, &id, &granted), IPM_RESULT_SUCCESS);
	CHECK_INT(granted, IPM_MEMORY_GRANT_IN_DOUBT);
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 0, 10, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_recovered(a, 0, 10), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 0, doubts, 4, &total), IPM_RESULT_SUCCESS);
	CHECK_INT(total, 1);
	teardown();
}

static void whole_values(void)
{
	char text[16] = "before";
	size_t total;
	ipm_id id;

	setup();
	CHECK_RESULT(ipm_memory_write(a, 990, "0123456789", 10), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_read(b, 990, text, 10), IPM_RESULT_SUCCESS);
	CHECK(!memcmp(text, "0123456789", 10));
	CHECK_RESULT(ipm_memory_read(b, 991, text, 10), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_write(b, 0, text, 0), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_write(b, 0, NULL, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_read(b, 0, NULL, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_write(b, SIZE_MAX, text, 2), IPM_RESULT_ERR_BAD_VALUE);

	/* Somebody holds it. */
	strcpy(text, "before");
	CHECK_RESULT(ipm_memory_claim_region(a, RW, 995, 1, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_read_until(b, 990, text, 10, IPM_DEADLINE_NOW),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_read_until(b, 990, text, 10, ipm_deadline_after(MS)),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_RESULT(ipm_memory_write_until(b, 990, text, 6, ipm_deadline_after(MS)),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_RESULT(ipm_memory_write_until(b, 990, text, 6, -7), IPM_RESULT_ERR_BAD_VALUE);
	CHECK(!strcmp(text, "before"));
	/* But its own handle reads and writes inside its claim. */
	CHECK_RESULT(ipm_memory_read(a, 990, text, 10), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_release_region(a, id), IPM_RESULT_SUCCESS);

	/* A writer died: said, until somebody wrote it anew. */
	fake_doubt(ipm_memory_get_id(a), 992, 2, 99);
	memset(text, 0, sizeof(text));
	CHECK_RESULT(ipm_memory_read(b, 990, text, 10), IPM_RESULT_ERR_IN_DOUBT);
	CHECK(!memcmp(text, "0123456789", 10));
	CHECK_RESULT(ipm_memory_read(b, 994, text, 5), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_write(b, 990, "abcdefghij", 10), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_read(a, 990, text, 10), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_list_doubts(a, 0, 0, NULL, 0, &total), IPM_RESULT_SUCCESS);
	CHECK_INT(total, 0);
	CHECK_INT(fake_claims(ipm_memory_get_id(a)), 0);
	CHECK_INT(active(a) + active(b), 0);
	teardown();
}

static void slots_tell_who_is_alive(void)
{
	ipm_memory_slot_status state;
	struct ipm_ring_liveness live;
	uint32_t slot, generation, other, seen;
	ipm_memory *ro, *gone;

	setup();
	CHECK_RESULT(ipm_memory_liveness(a, &live), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_slot(a, &slot, &generation), IPM_RESULT_SUCCESS);
	CHECK(generation > 0 && slot < IPM_MEMORY_MAX_SLOTS);
	CHECK_RESULT(ipm_memory_slot(a, &other, &seen), IPM_RESULT_SUCCESS);
	CHECK(other == slot && seen == generation);
	CHECK(live.alive(live.param, slot, generation));
	CHECK(!live.alive(live.param, slot, generation + 1));
	CHECK(!live.alive(live.param, slot + 1, generation));
	CHECK(!live.alive(live.param, UINT32_MAX, generation));
	CHECK(!live.alive(live.param, IPM_MEMORY_MAX_SLOTS, 0));
	CHECK_RESULT(ipm_memory_slot_state(b, slot, &state, &seen), IPM_RESULT_SUCCESS);
	CHECK(state == IPM_MEMORY_SLOT_ALIVE && seen == generation);
	CHECK_RESULT(ipm_memory_slot_state(b, slot, &state, NULL), IPM_RESULT_SUCCESS);

	/* A slot would be left behind by a change of access. */
	CHECK_RESULT(ipm_memory_change_access(a, RO), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_RESULT(ipm_memory_slot_give(a), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_slot_give(a), IPM_RESULT_ERR_NOT_LOCKED);
	CHECK(!live.alive(live.param, slot, generation));
	CHECK_RESULT(ipm_memory_change_access(a, RO), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_slot(a, &slot, &generation), IPM_RESULT_ERR_BAD_ACCESS);

	/* One that dies is dead until it is reaped. */
	CHECK_RESULT(ipm_memory_derive(b, RW, &gone), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_slot(gone, &slot, &generation), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_reap(b, slot, generation), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_INT(ipm_memory_deaths(b), 0);
	ipm_memory_close(gone);
	CHECK_INT(ipm_memory_deaths(b), 1);
	CHECK(!live.alive(live.param, slot, generation));
	CHECK_RESULT(ipm_memory_slot_state(b, slot, &state, &seen), IPM_RESULT_SUCCESS);
	CHECK_INT(state, IPM_MEMORY_SLOT_DEAD);
	CHECK_RESULT(ipm_memory_reap(b, slot, generation + 1), IPM_RESULT_ERR_DOES_NOT_EXIST);
	CHECK_RESULT(ipm_memory_reap(b, UINT32_MAX, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_derive(b, RO, &ro), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_reap(ro, slot, generation), IPM_RESULT_ERR_BAD_ACCESS);
	ipm_memory_close(ro);
	CHECK_RESULT(ipm_memory_reap(b, slot, generation), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_reap(b, slot, generation), IPM_RESULT_ERR_DOES_NOT_EXIST);

	CHECK_RESULT(ipm_memory_slot(b, NULL, &generation), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_slot(b, &slot, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_slot_state(b, IPM_MEMORY_MAX_SLOTS, &state, &seen),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_slot_state(b, 0, NULL, &seen), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_liveness(b, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(ipm_memory_deaths(NULL), 0);
	teardown();
}

static void slots_that_cannot_be_mapped(void)
{
	struct ipm_ring_liveness live;
	ipm_memory_slot_status state;

	setup();
	fake_fail(FAKE_MMAP_STATUS, 1, ENOMEM);
	CHECK_RESULT(ipm_memory_liveness(a, &live), IPM_RESULT_ERR_OS_OUT_OF_MEMORY);
	fake_fail(FAKE_MMAP_STATUS, 1, EINVAL);
	CHECK_RESULT(ipm_memory_slot_state(a, 0, &state, NULL), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_liveness(a, &live), IPM_RESULT_SUCCESS);
	teardown();
}

static void bells_and_other_events(void)
{
	ipm_memory_event events[5];
	uint32_t slot, generation;
	size_t count;

	setup();
	CHECK_RESULT(ipm_memory_ring_bell(a, 0, IPM_MEMORY_ALL_SLOTS), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_ring_bell(a, 1, IPM_MEMORY_MAX_SLOTS), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_subscribe(b, 1, 1), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_ring_bell(a, 6, IPM_MEMORY_ALL_SLOTS), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_subscribe(b, 5, IPM_MEMORY_HEAR_CHANGED | IPM_MEMORY_HEAR_REMOVED),
		     IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_read_events(b, events, 5, IPM_DEADLINE_NOW, &count),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_ring_bell(a, 7, IPM_MEMORY_ALL_SLOTS), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_read_events(b, events, 5, IPM_DEADLINE_NONE, &count),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(count, 1);
	CHECK_INT(events[0].type, IPM_MEMORY_EVENT_BELL);
	CHECK_INT(events[0].cookie, 5);
	CHECK_INT(events[0].claim_id, 0);
	CHECK_INT(events[0].result, IPM_RESULT_SUCCESS);

	CHECK_RESULT(ipm_memory_ring_bell(a, 1, 3), IPM_RESULT_ERR_DOES_NOT_EXIST);
	CHECK_RESULT(ipm_memory_slot(b, &slot, &generation), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_ring_bell(a, 1, slot), IPM_RESULT_SUCCESS);
	fake_grow(ipm_memory_get_id(a), 2000);
	fake_remove(ipm_memory_get_id(a));
	CHECK_RESULT(ipm_memory_read_events(b, events, 5, IPM_DEADLINE_NOW, &count),
		     IPM_RESULT_SUCCESS);
	CHECK_INT(count, 3);
	CHECK_INT(events[0].type, IPM_MEMORY_EVENT_BELL);
	CHECK_INT(events[1].type, IPM_MEMORY_EVENT_CHANGED);
	CHECK_INT(events[2].type, IPM_MEMORY_EVENT_REMOVED);
	teardown();
}

/* The status page says how much there is; more than is mapped is not touched. */
static void a_status_page_that_lies_does_no_harm(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 4096,
					.capacity = 4096 };
	struct ipm_status *page;
	ipm_memory *m;
	char byte;

	fake_context_init(&c);
	o.ref = ipm_ref_private();
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	page = fake_status(ipm_memory_get_id(m));
	page->size = 1 << 20;
	CHECK_RESULT(ipm_memory_read(m, 5000, &byte, 1), IPM_RESULT_ERR_BAD_INIT);
	page->size = UINT64_MAX;
	CHECK_RESULT(ipm_memory_read(m, 5000, &byte, 1), IPM_RESULT_ERR_BAD_INIT);
	CHECK_RESULT(ipm_memory_sync(m), IPM_RESULT_SUCCESS);
	page->size = 4096;
	CHECK_RESULT(ipm_memory_read(m, 4095, &byte, 1), IPM_RESULT_SUCCESS);
	ipm_memory_close(m);
	CHECK(fake_is_clean());
}

int main(void)
{
	RUN(claims_of_one_handle_may_overlap);
	RUN(ranges_are_checked_against_the_size);
	RUN(who_does_not_wait_is_told);
	RUN(several_ranges_and_a_release_in_one);
	RUN(lists_are_checked);
	RUN(a_read_only_handle_claims_to_read);
	RUN(convert_up_and_down);
	RUN(asynchronous_claims_are_heard_of);
	RUN(events_are_checked);
	RUN(release_all_ends_ones_own);
	RUN(what_somebody_cleared_is_gone);
	RUN(bytes_in_doubt_are_listed_and_recovered);
	RUN(whole_values);
	RUN(slots_tell_who_is_alive);
	RUN(slots_that_cannot_be_mapped);
	RUN(bells_and_other_events);
	RUN(a_status_page_that_lies_does_no_harm);
	return tap_end();
}
