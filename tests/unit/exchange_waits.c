// SPDX-License-Identifier: GPL-2.0
/*
 * Exchanges between processes: strict turns, whatever the sizes; who waits is served
 * in the order of arrival, and is woken by what it waits for, by a signal, by the
 * death of who could have answered; what a dead one leaves.
 */
#include <pthread.h>
#include <sched.h>

#include "exchange_tests.h"

#define WINDOW (64 * KIB)

/* Where everything is slow, so many times less of it. */
#ifndef SCALE
#define SCALE 1
#endif

/* Polls never, rarely, and as long as by default. */
static const uint32_t polls[] = { IPM_CHANNEL_NO_POLLS, 1, 0 };

#define POLLS (sizeof(polls) / sizeof(polls[0]))

static ipm_exchange *enter_polling(struct place *p, uint32_t roles, uint32_t how)
{
	ipm_exchange_attach_options o = exchange_options(p, roles);

	o.config.max_round_trips = how;
	return enter_with(p, &o);
}

/* Sizes around everything that makes a difference, most of them small. */
static size_t size_of(uint64_t n, size_t most)
{
	static const size_t all[] = { 0, 1, 96, 97, 8192, 8193, 30000, WINDOW, WINDOW + 1,
				      3 * WINDOW, 10 * WINDOW + 777 };
	size_t size = n % 5 ? n % 200 : all[n / 5 % (sizeof(all) / sizeof(all[0]))];

	return size < most ? size : most;
}

static void all_sizes(size_t window)
{
	enum { COUNT = 2000 / SCALE };
	unsigned char *bytes = malloc(11 * WINDOW);
	struct place p;
	ipm_exchange *x;
	uint64_t n;
	size_t i, size;
	pid_t pid;

	if (!bytes)
		DIE("malloc");
	for (i = 0; i < POLLS; i++) {
		make_place(&p, window, IPM_EXCHANGE_ONE_WAY);
		pid = child();
		if (!pid) {
			x = enter_polling(&p, PUBLISHER, polls[i]);
			for (n = 0; n < COUNT; n++) {
				size = size_of(n, 11 * WINDOW);
				fill(bytes, size, n);
				EXPECT_OK(ipm_exchange_publish(x, bytes, size));
			}
			ipm_exchange_detach(x);
			_exit(GOOD);
		}
		x = enter_polling(&p, CONSUMER, polls[i]);
		for (n = 0; n < COUNT; n++)
			if (!CHECK_OK(ipm_exchange_consume(x, bytes, 11 * WINDOW, &size, NULL)) ||
			    !CHECK_INT(size, size_of(n, 11 * WINDOW)) ||
			    !CHECK(filled(bytes, size, n)))
				break;
		CHECK_INT(reap(pid), GOOD);
		CHECK_INT(stats_of(x).dropped, 0);
		CHECK_INT(stats_of(x).redelivered, 0);
		CHECK_INT(stats_of(x).consumed, COUNT);
		ipm_exchange_detach(x);
		unmake_place(&p);
	}
	free(bytes);
}

static void one_after_the_other(void)
{
	all_sizes(WINDOW);
}

/* What would be sent as a whole elsewhere is larger than this window. */
static void through_the_smallest_window(void)
{
	all_sizes(IPM_EXCHANGE_WINDOW_MIN);
}

/* Every reply is that to one's own request, with several clients and servers. */
static void requests(void)
{
	enum { CLIENTS = 3, SERVERS = 2, EACH = 300 / SCALE };
	unsigned char *bytes = malloc(11 * WINDOW);
	pid_t clients[CLIENTS], servers[SERVERS];
	struct place p;
	ipm_exchange *x;
	uint64_t n, number;
	size_t i, k, size, want;
	uint32_t flags;

	if (!bytes)
		DIE("malloc");
	for (k = 0; k < POLLS; k++) {
		make_place(&p, WINDOW, 0);
		for (i = 0; i < SERVERS; i++) {
			servers[i] = child();
			if (servers[i])
				continue;
			x = enter_polling(&p, CONSUMER, polls[k]);
			for (;;) {
				EXPECT_OK(ipm_exchange_consume(x, bytes, 11 * WINDOW, &size, &flags));
				EXPECT(flags == IPM_EXCHANGE_REQUEST && size >= 8);
				memcpy(&number, bytes, 8);
				EXPECT(filled(bytes, size, number));
				if (number == UINT64_MAX) {
					EXPECT_OK(ipm_exchange_reply(x, "bye", 3, IPM_DEADLINE_NONE));
					ipm_exchange_detach(x);
					_exit(GOOD);
				}
				want = 8 + size_of(number * 7, 10 * WINDOW);
				fill(bytes, want, ~number);
				EXPECT_OK(ipm_exchange_reply(x, bytes, want, IPM_DEADLINE_NONE));
			}
		}
		for (i = 0; i < CLIENTS; i++) {
			clients[i] = child();
			if (clients[i])
				continue;
			x = enter_polling(&p, PUBLISHER, polls[k]);
			for (n = 0; n < EACH; n++) {
				number = n * 100 + i;
				want = 8 + size_of(n, 10 * WINDOW);
				fill(bytes, want, number);
				EXPECT_OK(ipm_exchange_request(x, bytes, want, bytes, 11 * WINDOW,
							       &size, IPM_DEADLINE_NONE));
				EXPECT(size == 8 + size_of(number * 7, 10 * WINDOW));
				EXPECT(filled(bytes, size, ~number));
			}
			ipm_exchange_detach(x);
			_exit(GOOD);
		}
		for (i = 0; i < CLIENTS; i++)
			CHECK_INT(reap(clients[i]), GOOD);
		x = enter(&p, PUBLISHER);
		for (i = 0; i < SERVERS; i++) {
			fill(bytes, 8, UINT64_MAX);
			CHECK_OK(ipm_exchange_request(x, bytes, 8, bytes, 8, &size,
						      IPM_DEADLINE_NONE));
		}
		for (i = 0; i < SERVERS; i++)
			CHECK_INT(reap(servers[i]), GOOD);
		CHECK_INT(stats_of(x).dropped, 0);
		CHECK_INT(stats_of(x).queued, 0);
		ipm_exchange_detach(x);
		unmake_place(&p);
	}
	free(bytes);
}

/*
 * A ping-pong in which every wait is a sleep, and a wake-up that was missed would cost a
 * nap of a minute. A busy computer may keep either side waiting for a second or two.
 */
static void no_wake_up_is_missed(void)
{
	enum { ROUNDS = 3000 / SCALE };
	ipm_exchange_attach_options o;
	struct place p;
	ipm_exchange *x;
	uint64_t n, got;
	int64_t start;
	size_t size;
	pid_t pid;

	make_place(&p, WINDOW, 0);
	pid = child();
	o = exchange_options(&p, pid ? PUBLISHER : CONSUMER);
	o.config = (ipm_channel_config){ .max_round_trips = IPM_CHANNEL_NO_POLLS,
					 .start_sleep_ns = IPM_CHANNEL_SLEEP_MAX };
	x = enter_with(&p, &o);
	if (!pid) {
		for (n = 0; n < ROUNDS; n++) {
			EXPECT_OK(ipm_exchange_consume(x, &got, 8, &size, NULL));
			EXPECT(got == n);
			EXPECT_OK(ipm_exchange_reply(x, &n, 8, IPM_DEADLINE_NONE));
		}
		EXPECT(stats_of(x).sleeps > 0 && !stats_of(x).naps);
		ipm_exchange_detach(x);
		_exit(GOOD);
	}
	for (n = 0; n < ROUNDS; n++) {
		start = now();
		if (!CHECK_OK(ipm_exchange_request(x, &n, 8, &got, 8, &size, IPM_DEADLINE_NONE)) ||
		    !CHECK_INT(got, n))
			break;
		/* Whichever of the two overslept. */
		if (!CHECK(now() - start < (int64_t)IPM_CHANNEL_SLEEP_MAX / 2))
			break;
	}
	CHECK(stats_of(x).sleeps > 0);
	CHECK_INT(stats_of(x).naps, 0);
	CHECK_INT(reap(pid), GOOD);
	ipm_exchange_detach(x);
	unmake_place(&p);
}

/* Those who wait for their turn get it in the order in which they came. */
static void order_of_arrival(void)
{
	enum { WAITERS = 6 };
	ipm_exchange *r, *w;
	pid_t pids[WAITERS];
	struct place p;
	unsigned char byte;
	int64_t end;
	size_t size;
	int i, round;

	for (round = 0; round < 3; round++) {
		make_place(&p, WINDOW, 0);
		w = enter(&p, PUBLISHER);
		r = enter(&p, CONSUMER);
		CHECK_OK(ipm_exchange_publish(w, "\xff", 1));
		for (i = 0; i < WAITERS; i++) {
			pids[i] = child();
			if (!pids[i]) {
				unsigned char mine = (unsigned char)i;
				ipm_exchange *x = enter_polling(&p, PUBLISHER, polls[round]);
				ipm_result result = ipm_exchange_publish_until(x, &mine, 1,
					now() + 60000 * MS);

				EXPECT_OK(result);
				ipm_exchange_detach(x);
				_exit(GOOD);
			}
			/* The first has the turn and waits for the box, the others queue. */
			end = now() + 20000 * MS;
			while ((int)stats_of(r).queued < i && now() < end)
				sched_yield();
			while (!i && state_of(pids[0]) != 'S' && now() < end)
				sched_yield();
		}
		CHECK_INT(stats_of(r).queued, WAITERS - 1);
		CHECK_RESULT(ipm_exchange_publish_try(w, "x", 1), IPM_RESULT_ERR_WOULD_BLOCK);
		/* One of them dies in the queue: the others do not wait for it. */
		kill(pids[3], SIGKILL);
		CHECK_INT(reap(pids[3]), 128 + SIGKILL);
		CHECK_OK(ipm_exchange_consume(r, &byte, 1, &size, NULL));
		CHECK_INT(byte, 255);
		for (i = 0; i < WAITERS; i++) {
			if (i == 3)
				continue;
			CHECK_OK(ipm_exchange_consume(r, &byte, 1, &size, NULL));
			CHECK_INT(byte, i);
			CHECK_INT(reap(pids[i]), GOOD);
		}
		CHECK_INT(stats_of(r).queued, 0);
		CHECK_OK(ipm_exchange_publish_try(w, "x", 1));
		ipm_exchange_detach(w);
		ipm_exchange_detach(r);
		unmake_place(&p);
	}
}

/* Large items of several publishers come one by one, never mixed. */
static void never_mixed(void)
{
	enum { PUBLISHERS = 3, EACH = 30 / SCALE };
	unsigned char *bytes = malloc(4 * WINDOW);
	uint64_t next[PUBLISHERS] = { 0 }, number;
	pid_t pids[PUBLISHERS];
	struct place p;
	ipm_exchange *x;
	uint64_t n;
	size_t size;
	int i;

	if (!bytes)
		DIE("malloc");
	make_place(&p, WINDOW, IPM_EXCHANGE_ONE_WAY);
	for (i = 0; i < PUBLISHERS; i++) {
		pids[i] = child();
		if (pids[i])
			continue;
		x = enter_polling(&p, PUBLISHER, polls[i]);
		for (n = 0; n < EACH; n++) {
			fill(bytes, 3 * WINDOW + n, n << 8 | (uint64_t)i);
			EXPECT_OK(ipm_exchange_publish(x, bytes, 3 * WINDOW + n));
		}
		ipm_exchange_detach(x);
		_exit(GOOD);
	}
	x = enter(&p, CONSUMER);
	for (n = 0; n < PUBLISHERS * EACH; n++) {
		if (!CHECK_OK(ipm_exchange_consume(x, bytes, 4 * WINDOW, &size, NULL)))
			break;
		memcpy(&number, bytes, 8);
		if (!CHECK((number & 255) < PUBLISHERS) ||
		    !CHECK_INT(number >> 8, next[number & 255]++) ||
		    !CHECK(filled(bytes, size, number)) ||
		    !CHECK_INT(size, 3 * WINDOW + (number >> 8)))
			break;
	}
	for (i = 0; i < PUBLISHERS; i++)
		CHECK_INT(reap(pids[i]), GOOD);
	ipm_exchange_detach(x);
	unmake_place(&p);
	free(bytes);
}

static void nothing(int number)
{
	(void)number;
}

/* Every kind of wait ends with a signal, and then nothing has happened. */
static void signals(void)
{
	enum { CONSUMING, PUBLISHING, LARGE, QUEUED, REPLY, KINDS };
	struct sigaction action = { .sa_handler = nothing };
	unsigned char *bytes = calloc(1, 4 * WINDOW);
	uint32_t *ended;
	struct place p;
	int kind;

	ended = mmap(NULL, sizeof(*ended), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (ended == MAP_FAILED || !bytes)
		DIE("mmap");
	sigaction(SIGUSR1, &action, NULL);
	for (kind = 0; kind < KINDS; kind++) {
		ipm_exchange *w, *r, *x;
		int64_t end = now() + 30000 * MS;
		uint32_t flags;
		size_t size;
		pid_t pid;

		make_place(&p, WINDOW, 0);
		w = enter(&p, PUBLISHER);
		r = enter(&p, CONSUMER);
		__atomic_store_n(ended, 0, __ATOMIC_RELAXED);
		if (kind == PUBLISHING)
			CHECK_OK(ipm_exchange_publish(w, "former", 6));
		if (kind == QUEUED)
			CHECK_OK(ipm_exchange_ask(w, "former", 6, IPM_DEADLINE_NONE));
		pid = child();
		if (!pid) {
			ipm_result result;

			x = enter(&p, kind == CONSUMING ? CONSUMER : PUBLISHER);
			if (kind == REPLY)
				EXPECT_OK(ipm_exchange_ask(x, "what?", 5, IPM_DEADLINE_NONE));
			fill(bytes, 3 * WINDOW, 9);
			do {
				if (kind == CONSUMING)
					result = ipm_exchange_consume(x, bytes, WINDOW, &size, NULL);
				else if (kind == REPLY)
					result = ipm_exchange_take_reply(x, bytes, WINDOW, &size,
									 IPM_DEADLINE_NONE);
				else
					result = ipm_exchange_publish(x, bytes, kind == LARGE ?
								      3 * WINDOW : 20);
				if (result == IPM_RESULT_INTERRUPTED)
					__atomic_fetch_add(ended, 1, __ATOMIC_RELAXED);
			} while (result == IPM_RESULT_INTERRUPTED);
			EXPECT_OK(result);
			_exit(GOOD);
		}
		while (__atomic_load_n(ended, __ATOMIC_RELAXED) < 3 && now() < end) {
			until_asleep(pid);
			kill(pid, SIGUSR1);
		}
		CHECK(__atomic_load_n(ended, __ATOMIC_RELAXED) >= 3);
		if (kind == CONSUMING) {
			CHECK_OK(ipm_exchange_publish(w, "12345678", 8));
		} else {
			if (kind == PUBLISHING || kind == QUEUED) {
				CHECK_OK(ipm_exchange_consume(r, bytes, WINDOW, &size, &flags));
				CHECK_INT(size, 6);
				if (kind == QUEUED) {
					CHECK_OK(ipm_exchange_reply(r, "r", 1, IPM_DEADLINE_NONE));
					CHECK_OK(ipm_exchange_take_reply(w, bytes, 9, &size,
									 IPM_DEADLINE_NONE));
				}
			}
			CHECK_OK(ipm_exchange_consume(r, bytes, 4 * WINDOW, &size, &flags));
			CHECK_INT(size, kind == LARGE ? 3 * WINDOW : kind == REPLY ? 5 : 20);
			if (kind != REPLY)
				CHECK(filled(bytes, size, 9));
			else
				CHECK_OK(ipm_exchange_reply(r, "this", 4, IPM_DEADLINE_NONE));
		}
		CHECK_INT(reap(pid), GOOD);
		ipm_exchange_detach(w);
		ipm_exchange_detach(r);
		unmake_place(&p);
	}
	munmap(ended, sizeof(*ended));
	free(bytes);
}

/* A consumer that gives up in the middle of a large item leaves all of it. */
static void interrupted_in_the_middle(void)
{
	unsigned char *bytes = malloc(6 * WINDOW);
	ipm_exchange *r;
	struct place p;
	uint32_t flags = 99;
	size_t size = 0;
	pid_t pid;
	int i;

	if (!bytes)
		DIE("malloc");
	make_place(&p, WINDOW, IPM_EXCHANGE_ONE_WAY);
	pid = child();
	if (!pid) {
		ipm_exchange *w = enter(&p, PUBLISHER);

		fill(bytes, 5 * WINDOW, 3);
		EXPECT_OK(ipm_exchange_publish(w, bytes, 5 * WINDOW));
		ipm_exchange_detach(w);
		_exit(GOOD);
	}
	r = enter(&p, CONSUMER);
	while (!stats_of(r).published)
		sched_yield();
	/* Stopped, the publisher does not go on, and the consumer runs out of time. */
	for (i = 0; i < 20; i++) {
		ipm_result result;

		kill(pid, SIGSTOP);
		result = ipm_exchange_consume_until(r, bytes, 6 * WINDOW, &size, &flags,
						    now() + 2 * MS);
		kill(pid, SIGCONT);
		if (!CHECK(result == IPM_RESULT_ERR_TIMEOUT || !result))
			printf("# %s\n", ipm_result_to_str(result));
		if (!result)
			break;
		CHECK_RESULT(ipm_exchange_consume_try(r, bytes, 6 * WINDOW, &size, &flags),
			     IPM_RESULT_ERR_TOO_LARGE);
		CHECK_INT(size, 5 * WINDOW);
	}
	if (i == 20)
		CHECK_OK(ipm_exchange_consume(r, bytes, 6 * WINDOW, &size, &flags));
	CHECK_INT(size, 5 * WINDOW);
	CHECK(filled(bytes, size, 3));
	CHECK_INT(flags, 0);
	CHECK_INT(reap(pid), GOOD);
	ipm_exchange_detach(r);
	unmake_place(&p);
	free(bytes);
}

/* The publisher is killed while the consumer waits, or in the middle of an item. */
static void publisher_dies(void)
{
	unsigned char *bytes = calloc(1, 6 * WINDOW);
	ipm_exchange_item item;
	ipm_exchange *r, *x;
	struct place p;
	size_t size = 0;
	pid_t pid;
	int how;

	if (!bytes)
		DIE("malloc");
	for (how = 0; how < 4; how++) {
		make_place(&p, WINDOW, 0);
		r = enter(&p, CONSUMER);
		pid = child();
		if (!pid) {
			x = enter(&p, PUBLISHER);
			if (how == 1)
				EXPECT_OK(ipm_exchange_reserve(x, 9, IPM_DEADLINE_NONE, &item));
			if (how == 2)
				EXPECT_OK(ipm_exchange_publish(x, "last words", 10));
			if (how == 3)
				ipm_exchange_publish(x, bytes, 6 * WINDOW);
			nap_ms(20);
			kill(getpid(), SIGKILL);
		}
		if (how == 3) {
			/* It cannot end: the consumer comes after it was killed. */
			while (!stats_of(r).published)
				sched_yield();
			kill(pid, SIGKILL);
			CHECK_INT(reap(pid), 128 + SIGKILL);
		}
		if (how == 2) {
			CHECK_OK(ipm_exchange_consume(r, bytes, WINDOW, &size, NULL));
			CHECK(size == 10 && !memcmp(bytes, "last words", 10));
		}
		CHECK_RESULT(ipm_exchange_consume_until(r, bytes, 6 * WINDOW, &size, NULL,
							now() + 20000 * MS),
			     IPM_RESULT_ERR_PEER_DIED);
		if (how != 3)
			CHECK_INT(reap(pid), 128 + SIGKILL);
		CHECK_INT(stats_of(r).dropped, how == 1 || how == 3);
		/* It stays so, until somebody comes. */
		CHECK_RESULT(ipm_exchange_consume(r, bytes, WINDOW, &size, NULL),
			     IPM_RESULT_ERR_PEER_DIED);
		CHECK_RESULT(ipm_exchange_check(r, IPM_EXCHANGE_CONSUME), IPM_RESULT_ERR_PEER_DIED);
		x = enter(&p, PUBLISHER);
		CHECK_OK(ipm_exchange_check(r, IPM_EXCHANGE_CONSUME));
		CHECK_RESULT(ipm_exchange_consume_until(r, bytes, WINDOW, &size, NULL,
							now() + 5 * MS), IPM_RESULT_ERR_TIMEOUT);
		CHECK_OK(ipm_exchange_publish(x, "again", 5));
		CHECK_OK(ipm_exchange_consume(r, bytes, WINDOW, &size, NULL));
		CHECK_INT(size, 5);
		ipm_exchange_detach(x);
		ipm_exchange_detach(r);
		unmake_place(&p);
	}
	free(bytes);
}

/* The consumer is killed with an item in its hands: the next gets it, marked. */
static void consumer_dies(void)
{
	unsigned char *bytes = calloc(1, 6 * WINDOW);
	ipm_exchange_item item;
	ipm_exchange *r, *w;
	struct place p;
	uint32_t flags;
	size_t size;
	pid_t pid;

	if (!bytes)
		DIE("malloc");
	make_place(&p, WINDOW, 0);
	w = enter(&p, PUBLISHER);
	fill(bytes, WINDOW, 5);
	CHECK_OK(ipm_exchange_publish(w, bytes, WINDOW));
	pid = child();
	if (!pid) {
		r = enter(&p, CONSUMER);
		EXPECT_OK(ipm_exchange_peek(r, IPM_DEADLINE_NONE, &item));
		nap_ms(20);
		kill(getpid(), SIGKILL);
	}
	for (;;) {
		/* As soon as it is there, it counts as the one who died. */
		ipm_result result = ipm_exchange_publish_until(w, "next", 4, now() + 20 * MS);

		if (result == IPM_RESULT_ERR_PEER_DIED)
			break;
		if (!CHECK_RESULT(result, IPM_RESULT_ERR_TIMEOUT))
			break;
	}
	CHECK_INT(reap(pid), 128 + SIGKILL);
	CHECK_RESULT(ipm_exchange_check(w, IPM_EXCHANGE_PUBLISH), IPM_RESULT_ERR_PEER_DIED);
	r = enter(&p, CONSUMER);
	memset(bytes, 0, WINDOW);
	CHECK_OK(ipm_exchange_consume(r, bytes, WINDOW, &size, &flags));
	CHECK_INT(flags, IPM_EXCHANGE_REDELIVERED);
	CHECK(size == WINDOW && filled(bytes, size, 5));
	CHECK_INT(stats_of(r).redelivered, 1);
	CHECK_OK(ipm_exchange_publish(w, "next", 4));
	CHECK_OK(ipm_exchange_consume(r, bytes, WINDOW, &size, &flags));
	CHECK_INT(flags, 0);
	ipm_exchange_detach(r);
	ipm_exchange_detach(w);
	unmake_place(&p);
	free(bytes);
}

static void die_there(int signal)
{
	(void)signal;
	kill(getpid(), SIGKILL);
}

/*
 * A consumer that is killed in the middle of an item: where it would put the second
 * half, there is no memory.
 */
static void consume_half(struct place *p, size_t size)
{
	struct sigaction action = { .sa_handler = die_there };
	unsigned char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ipm_exchange *r = enter(p, CONSUMER);
	size_t got;

	EXPECT(bytes != MAP_FAILED);
	EXPECT(!mprotect(bytes + size / 2, size - size / 2, PROT_NONE));
	EXPECT(!sigaction(SIGSEGV, &action, NULL) && !sigaction(SIGBUS, &action, NULL));
	ipm_exchange_consume(r, bytes, size, &got, NULL);
	_exit(1);
}

/*
 * In the middle of an item that is larger than the window: the publisher is told,
 * or another consumer, who is there already, gets all of it.
 */
static void consumer_of_a_large_item_dies(void)
{
	enum { SIZE = 400 / SCALE * WINDOW };
	unsigned char *bytes = malloc(SIZE);
	ipm_exchange *r;
	struct place p;
	uint32_t flags;
	size_t size;
	pid_t pid, first;
	int another;

	if (!bytes)
		DIE("malloc");
	for (another = 0; another < 2; another++) {
		make_place(&p, WINDOW, 0);
		r = enter(&p, another ? CONSUMER : 0);
		first = child();
		if (!first)
			consume_half(&p, SIZE);
		/* Before there is a consumer, nobody's death ends a publisher's wait. */
		while (stats_of(r).consumers != 1u + another)
			sched_yield();
		pid = child();
		if (!pid) {
			ipm_exchange *w = enter(&p, PUBLISHER);
			ipm_result result;

			fill(bytes, SIZE, 8);
			result = ipm_exchange_publish(w, bytes, SIZE);
			EXPECT(result == (another ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_PEER_DIED));
			_exit(GOOD);
		}
		CHECK_INT(reap(first), 128 + SIGKILL);
		if (another) {
			CHECK_OK(ipm_exchange_consume_until(r, bytes, SIZE, &size, &flags,
							    now() + 20000 * MS));
			CHECK_INT(flags, IPM_EXCHANGE_REDELIVERED);
			CHECK(size == SIZE && filled(bytes, size, 8));
		}
		CHECK_INT(reap(pid), GOOD);
		CHECK_INT(stats_of(r).redelivered, another);
		ipm_exchange_detach(r);
		unmake_place(&p);
	}
	free(bytes);
}

/* A server dies before, while and after it has the request; a client likewise. */
static void half_of_a_request_dies(void)
{
	static unsigned char large[2 * WINDOW];
	ipm_exchange *c, *s, *s2;
	unsigned char got[100];
	struct place p;
	uint32_t flags;
	size_t size;
	pid_t pid;
	int how;

	for (how = 0; how < 3; how++) {
		make_place(&p, WINDOW, 0);
		c = enter(&p, PUBLISHER);
		pid = child();
		if (!pid) {
			ipm_exchange_item item;

			s = enter(&p, CONSUMER);
			if (how == 1)
				EXPECT_OK(ipm_exchange_peek(s, IPM_DEADLINE_NONE, &item));
			if (how == 2)
				EXPECT_OK(ipm_exchange_consume(s, got, 100, &size, NULL));
			if (how == 0)
				nap_ms(20);
			kill(getpid(), SIGKILL);
		}
		while (stats_of(c).consumers + stats_of(c).dead == 0)
			sched_yield();
		/* Another server is there, but it cannot know what the first one did. */
		s2 = enter(&p, CONSUMER);
		if (how == 2) {
			CHECK_RESULT(ipm_exchange_request(c, "ping", 4, got, 100, &size,
							  now() + 20000 * MS),
				     IPM_RESULT_ERR_PEER_DIED);
		} else {
			CHECK_OK(ipm_exchange_ask(c, "ping", 4, IPM_DEADLINE_NONE));
			CHECK_INT(reap(pid), 128 + SIGKILL);
			CHECK_OK(ipm_exchange_consume(s2, got, 100, &size, &flags));
			CHECK_INT(flags, IPM_EXCHANGE_REQUEST |
				  (how ? IPM_EXCHANGE_REDELIVERED : 0));
			CHECK_OK(ipm_exchange_reply(s2, "pong", 4, IPM_DEADLINE_NONE));
			CHECK_OK(ipm_exchange_take_reply(c, got, 100, &size, IPM_DEADLINE_NONE));
			CHECK(size == 4 && !memcmp(got, "pong", 4));
		}
		if (how == 2)
			CHECK_INT(reap(pid), 128 + SIGKILL);
		CHECK_OK(ipm_exchange_ask(c, "ping", 4, IPM_DEADLINE_NONE));
		CHECK_OK(ipm_exchange_consume(s2, got, 100, &size, &flags));
		CHECK_OK(ipm_exchange_reply(s2, "pong", 4, IPM_DEADLINE_NONE));
		CHECK_OK(ipm_exchange_take_reply(c, got, 100, &size, IPM_DEADLINE_NONE));
		ipm_exchange_detach(s2);
		ipm_exchange_detach(c);
		unmake_place(&p);
	}
	/* The client. */
	for (how = 0; how < 2; how++) {
		make_place(&p, WINDOW, 0);
		s = enter(&p, CONSUMER);
		pid = child();
		if (!pid) {
			c = enter(&p, PUBLISHER);
			EXPECT_OK(ipm_exchange_ask(c, "ping", 4, IPM_DEADLINE_NONE));
			kill(getpid(), how ? SIGSTOP : SIGKILL);
		}
		if (how) {
			CHECK_OK(ipm_exchange_consume(s, got, 100, &size, &flags));
			kill(pid, SIGKILL);
			CHECK_INT(reap(pid), 128 + SIGKILL);
			/* Nobody reads this: it has to be told. */
			CHECK_RESULT(ipm_exchange_reply(s, large, sizeof(large),
							now() + 20000 * MS),
				     IPM_RESULT_ERR_PEER_DIED);
		} else {
			CHECK_INT(reap(pid), 128 + SIGKILL);
			CHECK_RESULT(ipm_exchange_check(s, IPM_EXCHANGE_CONSUME),
				     IPM_RESULT_SUCCESS);
		}
		CHECK_RESULT(ipm_exchange_consume_until(s, got, 100, &size, &flags,
							now() + 20000 * MS),
			     IPM_RESULT_ERR_PEER_DIED);
		c = enter(&p, PUBLISHER);
		CHECK_OK(ipm_exchange_ask(c, "ping", 4, IPM_DEADLINE_NONE));
		CHECK_OK(ipm_exchange_consume(s, got, 100, &size, &flags));
		CHECK_OK(ipm_exchange_reply(s, "pong", 4, IPM_DEADLINE_NONE));
		CHECK_OK(ipm_exchange_take_reply(c, got, 100, &size, IPM_DEADLINE_NONE));
		CHECK(size == 4 && !memcmp(got, "pong", 4));
		ipm_exchange_detach(c);
		ipm_exchange_detach(s);
		unmake_place(&p);
	}
}

#if !defined(LARGEST) && defined(__SANITIZE_THREAD__)
/* It looks at every byte that is copied. */
#define LARGEST (64 * MIB + 17)
#elif !defined(LARGEST)
#define LARGEST (4096 * MIB + 3 * MIB + 17)
#endif

/* More than 4 GiB, through address space that is mostly the same few pages. */
static void many_gigabytes(void)
{
	const size_t piece = 64 * MIB, total = LARGEST;
	int fd = memfd_create("large", MFD_CLOEXEC);
	unsigned char *bytes;
	struct place p;
	ipm_exchange *x;
	size_t i, size = 0;
	pid_t pid;

	if (fd < 0 || ftruncate(fd, (off_t)piece))
		DIE("memfd");
	bytes = mmap(NULL, total + piece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	if (bytes == MAP_FAILED)
		DIE("mmap");
	make_place(&p, 0, IPM_EXCHANGE_ONE_WAY);
	pid = child();
	/* Each process has pages of its own. */
	if (pid) {
		fd = memfd_create("large", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, (off_t)piece))
			DIE("memfd");
	}
	for (i = 0; i < total; i += piece)
		if (mmap(bytes + i, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
			DIE("mmap");
	if (!pid) {
		x = enter(&p, PUBLISHER);
		for (i = 0; i < piece; i++)
			bytes[i] = (unsigned char)(i * 7 + (i >> 13));
		EXPECT_OK(ipm_exchange_publish(x, bytes, total));
		ipm_exchange_detach(x);
		_exit(GOOD);
	}
	x = enter(&p, CONSUMER);
	CHECK_OK(ipm_exchange_consume(x, bytes, total, &size, NULL));
	CHECK(size == total);
	for (i = 0; i < piece && bytes[i] == (unsigned char)(i * 7 + (i >> 13)); i++)
		;
	CHECK_INT(i, piece);
	CHECK_INT(reap(pid), GOOD);
	ipm_exchange_detach(x);
	unmake_place(&p);
	munmap(bytes, total + piece);
	close(fd);
}

/* Threads of one process are participants like any other. */
struct thread {
	ipm_exchange *x;
	uint64_t count;
	bool good;
};

static void *serve(void *param)
{
	unsigned char *bytes = malloc(4 * WINDOW);
	struct thread *t = param;
	uint64_t n;
	size_t size;

	for (n = 0; bytes && n < t->count; n++)
		if (ipm_exchange_consume(t->x, bytes, 4 * WINDOW, &size, NULL) ||
		    !filled(bytes, size, n) ||
		    ipm_exchange_reply(t->x, bytes, size, IPM_DEADLINE_NONE))
			return NULL;
	free(bytes);
	t->good = true;
	return NULL;
}

static void threads(void)
{
	unsigned char *bytes = malloc(4 * WINDOW), *got = malloc(4 * WINDOW);
	struct thread t = { .count = 2000 / SCALE };
	struct place p;
	pthread_t thread;
	ipm_exchange *x;
	uint64_t n;
	size_t size, want;

	if (!bytes || !got)
		DIE("malloc");
	make_place(&p, WINDOW, 0);
	t.x = enter(&p, CONSUMER);
	x = enter(&p, PUBLISHER);
	if (pthread_create(&thread, NULL, serve, &t))
		DIE("thread");
	for (n = 0; n < t.count; n++) {
		want = size_of(n, 3 * WINDOW);
		fill(bytes, want, n);
		if (!CHECK_OK(ipm_exchange_request(x, bytes, want, got, 4 * WINDOW, &size,
						   IPM_DEADLINE_NONE)) ||
		    !CHECK(size == want && filled(got, size, n)))
			break;
	}
	pthread_join(thread, NULL);
	CHECK(t.good);
	ipm_exchange_detach(t.x);
	ipm_exchange_detach(x);
	unmake_place(&p);
	free(bytes);
	free(got);
}

int main(void)
{
	RUN(one_after_the_other);
	RUN(through_the_smallest_window);
	RUN(requests);
	RUN(no_wake_up_is_missed);
	RUN(order_of_arrival);
	RUN(never_mixed);
	RUN(signals);
	RUN(interrupted_in_the_middle);
	RUN(publisher_dies);
	RUN(consumer_dies);
	RUN(consumer_of_a_large_item_dies);
	RUN(half_of_a_request_dies);
	RUN(many_gigabytes);
	RUN(threads);
	return tap_end();
}
