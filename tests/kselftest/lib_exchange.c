// SPDX-License-Identifier: GPL-2.0
/*
 * Exchanges of libipm on the real module: in segments, with doorbells in an epoll loop,
 * and peers that are killed.
 */
#include "lib_test.h"

#include <sys/epoll.h>

#include <ipm/ipm.h>

#define RW	IPM_ACCESS_MODE_READ_WRITE
#define RO	IPM_ACCESS_MODE_READ_ONLY
#define MS	1000000LL

#define WINDOW	65536
#define OFFSET	4096

/* In a child. */
#define CHECK_OK(call)	CHECK(IPM_RESULT_SUCCESS, call)

FIXTURE(exchange)
{
	struct counts before;
	ipm_memory *memory;
	size_t size;
};

FIXTURE_SETUP(exchange)
{
	ipm_exchange_options shape = {
		.struct_size = sizeof(shape), .window = WINDOW, .publish_bell = 1, .consume_bell = 2,
	};
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW };

	self->before = read_counts();
	ASSERT_OK(ipm_exchange_footprint(&shape, &self->size));
	o.size = o.capacity = OFFSET + self->size;
	ASSERT_OK(ipm_memory_create_ex(NULL, &o, &self->memory));
	ASSERT_OK(ipm_exchange_create(&shape, (char *)ipm_memory_pointer(self->memory) + OFFSET,
				      self->size));
}

FIXTURE_TEARDOWN(exchange)
{
	ipm_memory_close(self->memory);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

static ipm_result enter(ipm_memory *memory, uint32_t roles, ipm_exchange **x)
{
	ipm_exchange_attach_options o = {
		.struct_size = sizeof(o), .roles = roles,
		.config = { .start_sleep_ns = MS, .max_sleep_ns = 10 * MS },
	};

	return ipm_exchange_attach_memory(NULL, &o, memory, OFFSET, 0, x);
}

TEST_F(exchange, attach)
{
	ipm_exchange_attach_options o = { .struct_size = sizeof(o), .roles = IPM_EXCHANGE_PUBLISHER };
	ipm_exchange *x, *observer;
	ipm_exchange_stats stats;
	ipm_memory *reader, *unmapped;
	ipm_memory_open_options open = {
		.struct_size = sizeof(open), .access = RW, .flags = IPM_MEMORY_NO_MAP,
		.ref = { .by = IPM_MEMORY_BY_FD, .fd = ipm_memory_fd(self->memory) },
	};

	ASSERT_OK(ipm_memory_derive(self->memory, RO, &reader));
	ASSERT_OK(ipm_memory_open_ex(NULL, &open, &unmapped));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_exchange_attach_memory(NULL, NULL, self->memory, OFFSET, 0, &x));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_exchange_attach_memory(NULL, &o, NULL, OFFSET, 0, &x));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_exchange_attach_memory(NULL, &o, self->memory, OFFSET, 0, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_exchange_attach_memory(NULL, &o, self->memory, OFFSET + 1, 0, &x));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_exchange_attach_memory(NULL, &o, self->memory, UINT64_MAX - 63, 64, &x));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_exchange_attach_memory(NULL, &o, self->memory, OFFSET, self->size + 1,
						 &x));
	ASSERT_RESULT(IPM_RESULT_ERR_TOO_SMALL,
		      ipm_exchange_attach_memory(NULL, &o, self->memory, OFFSET, self->size - 1,
						 &x));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_INIT,
		      ipm_exchange_attach_memory(NULL, &o, self->memory, 0, 0, &x));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_INIT,
		      ipm_exchange_attach_memory(NULL, &o, unmapped, OFFSET, 0, &x));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS,
		      ipm_exchange_attach_memory(NULL, &o, reader, OFFSET, 0, &x));
	o.slot = 1;
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_exchange_attach_memory(NULL, &o, self->memory, OFFSET, 0, &x));
	o.slot = 0;
	ASSERT_OK(ipm_exchange_attach_memory(NULL, &o, self->memory, OFFSET, self->size, &x));
	o.roles = 0;
	ASSERT_OK(ipm_exchange_attach_memory(NULL, &o, reader, OFFSET, 0, &observer));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_exchange_publish(observer, "x", 1));
	ASSERT_OK(ipm_exchange_publish(x, "x", 1));
	ASSERT_OK(ipm_exchange_get_stats(observer, &stats));
	ASSERT_EQ(1U, stats.published);
	ASSERT_EQ(1U, stats.publishers);
	ipm_exchange_detach(observer);
	ipm_exchange_detach(x);
	ipm_memory_close(unmapped);
	ipm_memory_close(reader);
}

#define REQUESTS 100

/* Asks and checks the replies; the second client dies with a request on its way. */
static void client(ipm_memory *memory, int which)
{
	static char request[3 * WINDOW], reply[3 * WINDOW];
	ipm_memory *mine;
	ipm_exchange *x;
	size_t size, n, i;

	CHECK_OK(ipm_memory_derive(memory, RW, &mine));
	CHECK_OK(enter(mine, IPM_EXCHANGE_PUBLISHER, &x));
	for (i = 0; i < REQUESTS; i++) {
		size = i % 10 ? i : 1000 * i;
		memset(request, (int)(i + 100 * (size_t)which), size);
		CHECK_OK(ipm_exchange_request(x, request, size, reply, sizeof(reply), &n,
					      IPM_DEADLINE_NONE));
		CHECK(true, n == size);
		CHECK(0, memcmp(request, reply, size));
	}
	if (which == 1) {
		CHECK_OK(ipm_exchange_ask(x, "?", 1, IPM_DEADLINE_NONE));
		kill(getpid(), SIGKILL);
	}
	ipm_exchange_detach(x);
	CHECK_OK(ipm_memory_slot_give(mine));
	_exit(0);
}

/* Echoes what is there, and asks to be rung for the next. */
static ipm_result serve(ipm_exchange *x, int *served)
{
	static char bytes[3 * WINDOW];
	ipm_result result;
	uint32_t flags;
	size_t size;
	bool ready;

	for (;;) {
		result = ipm_exchange_consume_try(x, bytes, sizeof(bytes), &size, &flags);
		/* Larger than the window: that takes a call that waits. */
		if (result == IPM_RESULT_ERR_TOO_LARGE)
			result = ipm_exchange_consume_until(x, bytes, sizeof(bytes), &size, &flags,
							    in_ms(PATIENCE_MS));
		if (!result) {
			if (!(flags & IPM_EXCHANGE_REQUEST))
				return IPM_RESULT_ERR_OS_UNEXPECTED;
			result = ipm_exchange_reply(x, bytes, size, in_ms(PATIENCE_MS));
			if (result && result != IPM_RESULT_ERR_PEER_DIED)
				return result;
			*served += !result;
			continue;
		}
		if (result != IPM_RESULT_ERR_WOULD_BLOCK)
			return result;
		result = ipm_exchange_arm(x, IPM_EXCHANGE_CONSUME, &ready);
		if (result || !ready)
			return result;
	}
}

TEST_F_TIMEOUT(exchange, server_in_an_epoll_loop, 120)
{
	struct epoll_event event = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC), served = 0, left = 2, status;
	int64_t end = in_ms(PATIENCE_MS);
	pid_t pids[2];
	ipm_exchange *x;

	ASSERT_EQ(0, epoll_ctl(set, EPOLL_CTL_ADD, ipm_memory_fd(self->memory), &event));
	ASSERT_OK(ipm_memory_subscribe(self->memory, 2, IPM_MEMORY_HEAR_DEATH));
	ASSERT_OK(enter(self->memory, IPM_EXCHANGE_CONSUMER, &x));
	ASSERT_OK(serve(x, &served));
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			client(self->memory, i);
		}
	}
	while (left && now_ns(CLOCK_MONOTONIC) < end) {
		ipm_memory_event events[8];
		size_t count;

		/* The one that ends in good order rings nothing: look now and then. */
		epoll_wait(set, &event, 1, 20);
		if (!ipm_memory_read_events(self->memory, events, 8, IPM_DEADLINE_NOW, &count))
			for (size_t i = 0; i < count; i++)
				if (events[i].type == IPM_MEMORY_EVENT_DEATH)
					ipm_exchange_check(x, IPM_EXCHANGE_CONSUME);
		ASSERT_OK(serve(x, &served));
		for (int i = 0; i < 2; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			ASSERT_EQ(i ? SIGKILL : 0, status);
			pids[i] = 0;
			left--;
		}
	}
	ASSERT_EQ(0, left);
	ASSERT_LE(2 * REQUESTS, served);
	ASSERT_RESULT(IPM_RESULT_ERR_PEER_DIED, ipm_exchange_check(x, IPM_EXCHANGE_CONSUME));
	ipm_exchange_detach(x);
	close(set);
}

/* A server is killed while its client sleeps; the next one takes over. */
TEST_F(exchange, server_is_killed)
{
	ipm_exchange *x, *s;
	ipm_exchange_stats stats;
	ipm_memory *other;
	char got[16];
	uint32_t flags;
	size_t size;
	pid_t pid;

	ASSERT_OK(enter(self->memory, IPM_EXCHANGE_PUBLISHER, &x));
	pid = fork();
	if (!pid) {
		ipm_memory *mine;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK_OK(ipm_memory_derive(self->memory, RW, &mine));
		CHECK_OK(enter(mine, IPM_EXCHANGE_CONSUMER, &s));
		CHECK_OK(ipm_exchange_consume(s, got, sizeof(got), &size, &flags));
		nap();
		kill(getpid(), SIGKILL);
	}
	ASSERT_RESULT(IPM_RESULT_ERR_PEER_DIED,
		      ipm_exchange_request(x, "ping", 4, got, sizeof(got), &size, in_ms(PATIENCE_MS)));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_OK(ipm_memory_derive(self->memory, RW, &other));
	ASSERT_OK(enter(other, IPM_EXCHANGE_CONSUMER, &s));
	ASSERT_OK(ipm_exchange_ask(x, "ping", 4, IPM_DEADLINE_NOW));
	ASSERT_OK(ipm_exchange_consume(s, got, sizeof(got), &size, &flags));
	ASSERT_EQ((uint32_t)IPM_EXCHANGE_REQUEST, flags);
	ASSERT_OK(ipm_exchange_reply(s, "pong", 4, IPM_DEADLINE_NOW));
	ASSERT_OK(ipm_exchange_take_reply(x, got, sizeof(got), &size, IPM_DEADLINE_NOW));
	ASSERT_EQ(4U, size);
	ASSERT_OK(ipm_exchange_get_stats(x, &stats));
	ASSERT_EQ(0U, stats.dead);
	ipm_exchange_detach(s);
	ipm_exchange_detach(x);
	ipm_memory_close(other);
}

TEST_HARNESS_MAIN
