// SPDX-License-Identifier: GPL-2.0
/*
 * Every call of libipm-monitor on a netlink family of the test's own: lists, events, what
 * the kernel refuses, signals in each system call, and memory that runs out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/genl/genl.h>
#include <netlink/socket.h>

#include <ipm/ipm_monitor.h>

#include "fake_malloc.h"
#include "fake_netlink.h"
#include "tap.h"

#define CHECK_OK(call) CHECK_RESULT(call, IPM_RESULT_SUCCESS)

#define ENTRIES 3

static ipm_monitor *monitor;

/* What callbacks have seen; they end the list or the call after @enough. */
static struct {
	unsigned int entries, events, enough;
	uint64_t lost, seq;
	uint32_t first;
} seen;

static bool count_entry(uint32_t id)
{
	if (!seen.entries++)
		seen.first = id;
	return seen.entries != seen.enough;
}

static bool on_segment(const ipm_monitor_segment *segment, void *param)
{
	CHECK(param == &seen && !strcmp(segment->name, "segment") && segment->capacity == 8192);
	return count_entry(segment->id);
}

static bool on_handle(const ipm_monitor_handle *handle, void *param)
{
	CHECK(param == &seen && handle->slot == 3 && !strcmp(handle->who.comm, "name"));
	return count_entry(handle->segment);
}

static bool on_claim(const ipm_monitor_claim *claim, void *param)
{
	CHECK(param == &seen && claim->nr_ranges == 1 && claim->ranges[0].offset == 100);
	return count_entry(claim->segment);
}

static bool on_waiter(const ipm_monitor_waiter *waiter, void *param)
{
	CHECK(param == &seen && waiter->convert && waiter->blocker.pid == 13);
	return count_entry(waiter->segment);
}

static bool on_doubt(const ipm_monitor_doubt *doubt, void *param)
{
	CHECK(param == &seen && doubt->length == 3 && doubt->pid == 11);
	return count_entry(doubt->segment);
}

static bool on_limit(const ipm_monitor_limit *limit, void *param)
{
	CHECK(param == &seen && limit->segments_max == 4096);
	return count_entry(limit->uid);
}

static bool on_event(const ipm_monitor_event *event, void *param)
{
	CHECK(param == &seen);
	/* In order, and each once. */
	CHECK(event->seq > seen.seq);
	seen.seq = event->seq;
	if (event->type == IPM_MONITOR_EVENT_LOST)
		seen.lost += event->count;
	else
		seen.events++;
	return seen.events + !!seen.lost != seen.enough;
}

/* --- the calls --- */

static uint32_t segment;
static bool exact;

static ipm_result do_segments(void)
{
	return ipm_monitor_segments(monitor, segment, on_segment, &seen, &exact);
}

static ipm_result do_handles(void)
{
	return ipm_monitor_handles(monitor, segment, on_handle, &seen, &exact);
}

static ipm_result do_claims(void)
{
	return ipm_monitor_claims(monitor, segment, on_claim, &seen, &exact);
}

static ipm_result do_waiters(void)
{
	return ipm_monitor_waiters(monitor, segment, on_waiter, &seen, &exact);
}

static ipm_result do_doubts(void)
{
	return ipm_monitor_doubts(monitor, segment, on_doubt, &seen, &exact);
}

static ipm_result do_limits(void)
{
	exact = true;
	return ipm_monitor_limits(monitor, on_limit, &seen);
}

static ipm_result (*const lists[])(void) = {
	do_segments, do_handles, do_claims, do_waiters, do_doubts, do_limits,
};

#define LISTS (sizeof(lists) / sizeof(lists[0]))

static ipm_result do_subscribe(void)
{
	return ipm_monitor_subscribe(monitor, IPM_MONITOR_ALL, 0);
}

static ipm_result do_dispatch(void)
{
	return ipm_monitor_dispatch(monitor, IPM_DEADLINE_NOW, on_event, &seen);
}

static void setup(void)
{
	fake_nl_reset();
	memset(&seen, 0, sizeof(seen));
	segment = 0;
	CHECK_OK(ipm_monitor_open(NULL, &monitor));
	fake_nl_entries = ENTRIES;
}

static void teardown(void)
{
	ipm_monitor_close(monitor);
	monitor = NULL;
}

/* A list as it should be. */
static void check_list(ipm_result (*list)(void))
{
	memset(&seen, 0, sizeof(seen));
	exact = false;
	CHECK_OK(list());
	CHECK_INT(seen.entries, ENTRIES);
	CHECK_INT(seen.first, 1);
	CHECK(exact);
}

/* --- lists --- */

static void every_list(void)
{
	size_t i;

	setup();
	for (i = 0; i < LISTS; i++) {
		check_list(lists[i]);
		/* The caller has seen enough. */
		memset(&seen, 0, sizeof(seen));
		seen.enough = 2;
		CHECK_OK(lists[i]());
		CHECK_INT(seen.entries, 2);
		segment = 7;
		check_list(lists[i]);
		segment = (uint32_t)INT32_MAX + 1;
		if (lists[i] != do_limits)
			CHECK_RESULT(lists[i](), IPM_RESULT_ERR_BAD_VALUE);
		segment = 0;
	}
	/* Who does not care whether it is exact. */
	CHECK_OK(ipm_monitor_segments(monitor, 0, on_segment, &seen, NULL));
	teardown();
}

static void what_changes_meanwhile(void)
{
	size_t i;

	setup();
	for (i = 0; i < LISTS; i++) {
		/* Once more, and then it is exact. */
		fake_nl_interrupted = 1;
		check_list(lists[i]);
		fake_nl_interrupted = 1000;
		memset(&seen, 0, sizeof(seen));
		CHECK_OK(lists[i]());
		CHECK_INT(seen.entries, ENTRIES);
		CHECK(!exact || lists[i] == do_limits);
		fake_nl_interrupted = 0;
	}
	teardown();
}

static void what_makes_no_sense(void)
{
	setup();
	fake_nl_first = 0;
	CHECK_RESULT(do_segments(), IPM_RESULT_ERR_VERSION);
	CHECK_INT(seen.entries, 0);
	fake_nl_first = 1;
	check_list(do_segments);
	teardown();
}

static void refusals(void)
{
	static const struct {
		int err;
		ipm_result list, subscribe;
	} cases[] = {
		{ ENOENT, IPM_RESULT_ERR_DOES_NOT_EXIST, IPM_RESULT_ERR_DOES_NOT_EXIST },
		{ EACCES, IPM_RESULT_ERR_ACCESS, IPM_RESULT_ERR_ACCESS },
		{ EOPNOTSUPP, IPM_RESULT_ERR_VERSION, IPM_RESULT_ERR_VERSION },
		{ ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ ENOSPC, IPM_RESULT_ERR_OUT_OF_MEMORY, IPM_RESULT_ERR_LIMIT },
	};
	size_t i, j;

	setup();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_nl_refusal = cases[i].err;
		for (j = 0; j < LISTS; j++)
			CHECK_RESULT(lists[j](), cases[i].list);
		CHECK_RESULT(do_subscribe(), cases[i].subscribe);
		CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_BAD_INIT);
		fake_nl_refusal = 0;
		CHECK_INT(seen.entries, 0);
		check_list(do_segments);
		memset(&seen, 0, sizeof(seen));
	}
	teardown();
	fake_nl_has_family = false;
	CHECK_RESULT(ipm_monitor_open(NULL, &monitor), IPM_RESULT_ERR_NO_DEVICE);
	CHECK(!monitor);
	fake_nl_reset();
}

/* --- events --- */

static void events(void)
{
	struct fake_nl_message foreign = fake_nl_new(IPM_NL_CMD_EVENT, 1);

	setup();
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_BAD_INIT);
	CHECK_RESULT(ipm_monitor_subscribe(monitor, 8, 0), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_monitor_dispatch(monitor, -1, on_event, &seen),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_OK(ipm_monitor_subscribe(monitor, IPM_MONITOR_LIFE, 7));
	CHECK(ipm_monitor_fd(monitor) >= 0);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_monitor_dispatch(monitor, 2, on_event, &seen), IPM_RESULT_ERR_TIMEOUT);
	fake_nl_event(IPM_NL_EVENT_CREATED);
	fake_nl_event(IPM_NL_EVENT_GROWN);
	CHECK_OK(ipm_monitor_dispatch(monitor, IPM_DEADLINE_NONE, on_event, &seen));
	CHECK_INT(seen.events, 2);
	CHECK_INT(seen.lost, 0);

	/* What another process sends is not the kernel's. */
	fake_nl_add_u32(&foreign, IPM_NL_A_EVENT, IPM_NL_EVENT_GONE);
	fake_nl_add_u64(&foreign, IPM_NL_A_SEQ, 3);
	fake_nl_add_u64(&foreign, IPM_NL_A_TIME, 1);
	fake_nl_send(&foreign, 4711);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_WOULD_BLOCK);
	/* What was seen before, and what is no event. */
	fake_nl_seq = 1;
	fake_nl_event(IPM_NL_EVENT_SET);
	foreign = fake_nl_new(IPM_NL_CMD_EVENT, 1);
	fake_nl_send(&foreign, 0);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(seen.events, 2);

	/* One at a time. */
	seen.enough = 3;
	fake_nl_event(IPM_NL_EVENT_REMOVED);
	fake_nl_event(IPM_NL_EVENT_GONE);
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.events, 3);
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.events, 4);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_WOULD_BLOCK);

	/* A new subscription begins anew. */
	fake_nl_event(IPM_NL_EVENT_GONE);
	CHECK_OK(do_subscribe());
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_OK(ipm_monitor_subscribe(monitor, 0, 0));
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_BAD_INIT);
	teardown();
}

/* Whose queue is full gets no answer at first, and subscribes anew all the same. */
static void subscribe_when_full(void)
{
	unsigned int i;

	setup();
	CHECK_OK(do_subscribe());
	for (i = 0; i < 3; i++) {
		fake_nl_event(IPM_NL_EVENT_CREATED);
		fake_nl_fail_read(ENOBUFS);
		fake_nl_full = i;
		CHECK_OK(do_subscribe());
		CHECK_INT(fake_nl_full, 0);
		seen.seq = 0;
		/* The former events are gone. */
		CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_WOULD_BLOCK);
		fake_nl_event(IPM_NL_EVENT_CREATED);
		CHECK_OK(do_dispatch());
		CHECK_INT(seen.events, i + 1);
		CHECK_INT(seen.lost, 0);
	}
	teardown();
}

static bool on_flood(const ipm_monitor_event *event, void *param)
{
	CHECK(on_event(event, param));
	fake_nl_event(IPM_NL_EVENT_CREATED);
	/* It should have ended long before. */
	return seen.events < 1000000;
}

/* Another one for each that is told: the call ends all the same. */
static void a_flood(void)
{
	const int64_t deadlines[] = { IPM_DEADLINE_NOW, ipm_deadline_after(20000000), 2 };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		setup();
		CHECK_OK(do_subscribe());
		fake_nl_event(IPM_NL_EVENT_CREATED);
		CHECK_OK(ipm_monitor_dispatch(monitor, deadlines[i], on_flood, &seen));
		CHECK(seen.events && seen.events < 1000000);
		CHECK_INT(seen.lost, 0);
		teardown();
	}
}

static void lost_events(void)
{
	setup();
	CHECK_OK(do_subscribe());
	/* A gap in the numbers. */
	fake_nl_event(IPM_NL_EVENT_CREATED);
	fake_nl_lose(5);
	fake_nl_event(IPM_NL_EVENT_GONE);
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.events, 2);
	CHECK_INT(seen.lost, 5);

	/* Who is told of the loss and has enough gets the event the next time. */
	fake_nl_lose(2);
	fake_nl_event(IPM_NL_EVENT_CREATED);
	seen.enough = 3;
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.events, 2);
	CHECK_INT(seen.lost, 7);
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.events, 3);

	/* An overrun, and then nothing more happens: the kernel is asked. */
	fake_nl_event(IPM_NL_EVENT_CREATED);
	fake_nl_lose(4);
	fake_nl_fail_read(ENOBUFS);
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.events, 4);
	CHECK_INT(seen.lost, 11);
	/* Nothing was lost after all. */
	fake_nl_fail_read(ENOBUFS);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(seen.lost, 11);
	fake_nl_fail_read(EIO);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_ERR_OS_UNEXPECTED);
	teardown();
}

/* --- each system call in turn --- */

/* How often @call was made to fail before it did not any more. */
static unsigned int fail_each_system_call(ipm_result (*call)(void), int err,
					  void (*check)(ipm_result result))
{
	unsigned int n, calls;

	for (n = 1; !tap.failing; n++) {
		ipm_result result;

		fake_nl_calls();
		memset(&seen, 0, sizeof(seen));
		fake_nl_fail(n, err);
		result = call();
		fake_nl_fail(0, 0);
		calls = fake_nl_calls();
		check(result);
		if (calls < n)
			break;
	}
	return n - 1;
}

static void whole_list(ipm_result result)
{
	CHECK_OK(result);
	CHECK_INT(seen.entries, ENTRIES);
}

static void all_or_nothing(ipm_result result)
{
	if (result) {
		CHECK_RESULT(result, IPM_RESULT_ERR_OS_UNEXPECTED);
		CHECK_INT(seen.entries, 0);
	} else {
		CHECK_INT(seen.entries, ENTRIES);
	}
}

static void good(ipm_result result)
{
	CHECK_OK(result);
}

static ipm_result do_open(void)
{
	ipm_monitor *other = NULL;
	ipm_result result = ipm_monitor_open(NULL, &other);

	CHECK(!result == !!other);
	ipm_monitor_close(other);
	return result;
}

static void a_signal_in_each_system_call(void)
{
	size_t i;

	setup();
	for (i = 0; i < LISTS; i++)
		CHECK(fail_each_system_call(lists[i], EINTR, whole_list) >= 2 + ENTRIES);
	CHECK(fail_each_system_call(do_subscribe, EINTR, good) >= 2);
	CHECK(fail_each_system_call(do_open, EINTR, good) >= 2);

	/* A wait ends; what was told before is not lost. */
	CHECK_OK(do_subscribe());
	memset(&seen, 0, sizeof(seen));
	fake_nl_fail(2, EINTR);
	CHECK_RESULT(ipm_monitor_dispatch(monitor, IPM_DEADLINE_NONE, on_event, &seen),
		     IPM_RESULT_INTERRUPTED);
	fake_nl_event(IPM_NL_EVENT_CREATED);
	fake_nl_fail(1, EINTR);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_INTERRUPTED);
	CHECK_INT(seen.events, 0);
	fake_nl_fail(2, EINTR);
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.events, 1);
	/* An overrun is remembered. */
	fake_nl_lose(3);
	fake_nl_fail_read(ENOBUFS);
	fake_nl_fail(2, EINTR);
	CHECK_RESULT(do_dispatch(), IPM_RESULT_INTERRUPTED);
	CHECK_OK(do_dispatch());
	CHECK_INT(seen.lost, 3);
	teardown();
}

static void an_error_in_each_system_call(void)
{
	size_t i;

	setup();
	for (i = 0; i < LISTS; i++) {
		fail_each_system_call(lists[i], EIO, all_or_nothing);
		check_list(lists[i]);
	}
	teardown();
}

/* --- memory --- */

static void fail_each_allocation(ipm_result (*call)(void), unsigned int least)
{
	long live = fake_malloc_live();
	ipm_result result = IPM_RESULT_SUCCESS;
	unsigned int n, failed = 0;

	fake_malloc_failures();
	for (n = 1; !tap.failing; n++) {
		memset(&seen, 0, sizeof(seen));
		fake_malloc_fail(n);
		result = call();
		fake_malloc_fail(0);
		CHECK_INT(fake_malloc_live(), live);
		if (!fake_malloc_failures())
			break;
		/* Ours or libnl's. */
		CHECK(result == IPM_RESULT_ERR_OUT_OF_MEMORY ||
		      result == IPM_RESULT_ERR_OS_OUT_OF_MEMORY);
		CHECK_INT(seen.entries, 0);
		failed++;
	}
	CHECK_OK(result);
	CHECK(failed >= least);
}

static void each_allocation(void)
{
	size_t i;

	setup();
	fail_each_allocation(do_open, 4);
	for (i = 0; i < LISTS; i++) {
		/* A piece for each message, and the end. */
		fail_each_allocation(lists[i], ENTRIES + 1);
		CHECK_INT(seen.entries, ENTRIES);
	}
	fail_each_allocation(do_subscribe, 0);
	/* Events are told without memory. */
	fake_malloc_fail_all(true);
	fake_nl_event(IPM_NL_EVENT_CREATED);
	memset(&seen, 0, sizeof(seen));
	CHECK_OK(do_dispatch());
	fake_malloc_fail_all(false);
	CHECK_INT(fake_malloc_failures(), 0);
	CHECK_INT(seen.events, 1);
	teardown();
}

int main(void)
{
	static char buffer[BUFSIZ];
	struct nl_sock *socket = nl_socket_alloc();
	int error = socket ? genl_connect(socket) : -1;

	nl_socket_free(socket);
	if (error)
		return tap_skip("this kernel has no generic netlink sockets");
	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	RUN(every_list);
	RUN(what_changes_meanwhile);
	RUN(what_makes_no_sense);
	RUN(refusals);
	RUN(events);
	RUN(lost_events);
	RUN(subscribe_when_full);
	RUN(a_flood);
	RUN(a_signal_in_each_system_call);
	RUN(an_error_in_each_system_call);
	RUN(each_allocation);
	return tap_end();
}
