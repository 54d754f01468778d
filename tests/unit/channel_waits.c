// SPDX-License-Identifier: GPL-2.0
/*
 * Channels between processes: who waits is woken by a message, by room, by a close,
 * by a signal, by the death of the last one who could have answered; and by nothing
 * else.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#include "channel_tests.h"

static const struct variant *variant;

/* How a child ends that saw what it should. */
#define GOOD 0

#define EXPECT_RESULT(call, wanted)						\
	do {									\
		ipm_result expect_got = (call);					\
		if (expect_got != (wanted)) {					\
			printf("# %s:%d: in a child: %s: %s\n", __FILE__,	\
			       __LINE__, #call, ipm_result_to_str(expect_got));	\
			fflush(stdout);						\
			_exit(1);						\
		}								\
	} while (0)

#define EXPECT(condition)							\
	do {									\
		if (!(condition)) {						\
			printf("# %s:%d: in a child: not %s\n", __FILE__,	\
			       __LINE__, #condition);				\
			fflush(stdout);						\
			_exit(1);						\
		}								\
	} while (0)

/* Until a process sleeps in the kernel. */
static void until_asleep(pid_t pid)
{
	int64_t end = now() + 20000 * MS;

	do
		nap_ms(1);
	while (state_of(pid) != 'S' && now() < end);
	/* It may have been asleep elsewhere on the way. */
	nap_ms(20);
}

static void stream(struct fixture *f, uint32_t polls, uint64_t count)
{
	ipm_channel_attach_options o = attach_options(f, IPM_RING_CONSUMER);
	unsigned char bytes[300];
	ipm_channel *r;
	uint64_t n;
	size_t size;
	pid_t pid;

	o.config.max_round_trips = polls;
	pid = child();
	if (!pid) {
		o = attach_options(f, IPM_RING_PRODUCER);
		o.config.max_round_trips = polls;
		r = attach_with(f, &o);
		for (n = 0; n < count; n++) {
			fill(bytes, 8 + n % 200, n);
			EXPECT(!ipm_channel_write(r, bytes, 8 + n % 200));
		}
		EXPECT(!ipm_channel_close(r));
		ipm_channel_detach(r);
		_exit(GOOD);
	}
	r = attach_with(f, &o);
	for (n = 0; n < count; n++) {
		if (!CHECK_RESULT(ipm_channel_read(r, bytes, sizeof(bytes), &size, NULL),
				  IPM_RESULT_SUCCESS) ||
		    !CHECK(size == 8 + n % 200 && filled(bytes, size, n)))
			break;
	}
	CHECK_RESULT(ipm_channel_read(r, bytes, sizeof(bytes), &size, NULL), IPM_RESULT_ERR_CLOSED);
	CHECK_INT(reap(pid), GOOD);
	ipm_channel_detach(r);
}

/* Whether they sleep all the time or never, nothing is lost and nobody stays asleep. */
static void streams(void)
{
	static const uint32_t polls[] = { 0, 1, 10, IPM_CHANNEL_NO_POLLS };
	struct fixture f;
	size_t i;

	for (i = 0; i < sizeof(polls) / sizeof(polls[0]); i++) {
		setup(&f, variant, 4096);
		stream(&f, polls[i], 20000);
		teardown(&f);
	}
}

/*
 * A ping-pong in which every wait is a sleep, and a wake-up that was missed would
 * cost a nap of a minute. A busy computer may keep either side waiting for a second
 * or two, but not for that long.
 */
static void no_wake_up_is_missed(void)
{
	ipm_channel_attach_options o;
	struct fixture ping, pong;
	ipm_channel_stats stats;
	ipm_channel *r, *w;
	uint64_t n, got;
	int64_t start;
	size_t size;
	pid_t pid;

	setup(&ping, variant, 4096);
	setup(&pong, variant, 4096);
	pid = child();
	if (!pid) {
		o = attach_options(&ping, IPM_RING_CONSUMER);
		o.config = (ipm_channel_config){ .max_round_trips = IPM_CHANNEL_NO_POLLS,
						 .start_sleep_ns = IPM_CHANNEL_SLEEP_MAX };
		r = attach_with(&ping, &o);
		o = attach_options(&pong, IPM_RING_PRODUCER);
		w = attach_with(&pong, &o);
		for (n = 0; n < 3000; n++) {
			EXPECT(!ipm_channel_read(r, &got, sizeof(got), &size, NULL));
			EXPECT(got == n);
			EXPECT(!ipm_channel_write(w, &n, sizeof(n)));
		}
		EXPECT(!ipm_channel_get_stats(r, &stats));
		EXPECT(stats.sleeps > 0 && !stats.naps);
		_exit(GOOD);
	}
	o = attach_options(&pong, IPM_RING_CONSUMER);
	o.config = (ipm_channel_config){ .max_round_trips = IPM_CHANNEL_NO_POLLS,
					 .start_sleep_ns = IPM_CHANNEL_SLEEP_MAX };
	r = attach_with(&pong, &o);
	w = attach(&ping, IPM_RING_PRODUCER);
	for (n = 0; n < 3000; n++) {
		start = now();
		CHECK_RESULT(ipm_channel_write(w, &n, sizeof(n)), IPM_RESULT_SUCCESS);
		if (!CHECK_RESULT(ipm_channel_read(r, &got, sizeof(got), &size, NULL),
				  IPM_RESULT_SUCCESS))
			break;
		CHECK_INT(got, n);
		/* Whichever of the two overslept. */
		if (!CHECK(now() - start < (int64_t)IPM_CHANNEL_SLEEP_MAX / 2))
			break;
	}
	CHECK_RESULT(ipm_channel_get_stats(r, &stats), IPM_RESULT_SUCCESS);
	CHECK(stats.sleeps > 0);
	CHECK_INT(stats.naps, 0);
	CHECK_INT(reap(pid), GOOD);
	ipm_channel_detach(w);
	ipm_channel_detach(r);
	teardown(&ping);
	teardown(&pong);
}

static void nothing(int number)
{
	(void)number;
}

/*
 * A signal ends a wait, with and without SA_RESTART; the next call goes on. One that
 * comes before the child has fallen asleep does not count, so there are more of them.
 */
static void signals(void)
{
	static const int flags[] = { 0, SA_RESTART };
	struct sigaction action = { .sa_handler = nothing };
	unsigned char bytes[8];
	struct fixture f;
	ipm_channel *r, *w;
	ipm_result result;
	uint32_t *ended;
	size_t i, size;
	int64_t end;
	pid_t pid;

	ended = mmap(NULL, sizeof(*ended), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (ended == MAP_FAILED)
		DIE("mmap");
	for (i = 0; i < 2; i++) {
		__atomic_store_n(ended, 0, __ATOMIC_RELAXED);
		setup(&f, variant, 4096);
		action.sa_flags = flags[i];
		sigaction(SIGUSR1, &action, NULL);
		pid = child();
		if (!pid) {
			r = attach(&f, IPM_RING_CONSUMER);
			do {
				result = __atomic_load_n(ended, __ATOMIC_RELAXED) % 2 ?
					ipm_channel_read(r, bytes, 8, &size, NULL) :
					ipm_channel_read_until(r, bytes, 8, &size, NULL,
							       now() + 60000 * MS);
				if (result == IPM_RESULT_INTERRUPTED)
					__atomic_fetch_add(ended, 1, __ATOMIC_RELAXED);
			} while (result == IPM_RESULT_INTERRUPTED);
			EXPECT_RESULT(result, IPM_RESULT_SUCCESS);
			_exit(GOOD);
		}
		w = attach(&f, IPM_RING_PRODUCER);
		end = now() + 30000 * MS;
		while (__atomic_load_n(ended, __ATOMIC_RELAXED) < 4 && now() < end) {
			until_asleep(pid);
			kill(pid, SIGUSR1);
		}
		CHECK(__atomic_load_n(ended, __ATOMIC_RELAXED) >= 4);
		/* Stopped and going on is no signal that anybody handles. */
		nap_ms(50);
		kill(pid, SIGSTOP);
		nap_ms(20);
		kill(pid, SIGCONT);
		nap_ms(20);
		CHECK_RESULT(ipm_channel_write(w, "12345678", 8), IPM_RESULT_SUCCESS);
		CHECK_INT(reap(pid), GOOD);
		ipm_channel_detach(w);
		teardown(&f);
	}
	munmap(ended, sizeof(*ended));
}

/* Who waits for a message or for room hears of the close; messages come first. */
static void close_wakes(void)
{
	unsigned char bytes[100] = { 0 };
	struct fixture f;
	ipm_channel *r, *w;
	size_t size;
	pid_t pid;

	setup(&f, variant, 4096);
	pid = child();
	if (!pid) {
		r = attach(&f, IPM_RING_CONSUMER);
		EXPECT(ipm_channel_read(r, bytes, 100, &size, NULL) == IPM_RESULT_ERR_CLOSED);
		_exit(GOOD);
	}
	w = attach(&f, IPM_RING_PRODUCER);
	until_asleep(pid);
	CHECK_RESULT(ipm_channel_close(w), IPM_RESULT_SUCCESS);
	CHECK_INT(reap(pid), GOOD);
	ipm_channel_detach(w);
	teardown(&f);

	setup(&f, variant, 4096);
	pid = child();
	if (!pid) {
		w = attach(&f, IPM_RING_PRODUCER);
		while (!ipm_channel_write_try(w, bytes, 100))
			;
		EXPECT(ipm_channel_write(w, bytes, 100) == IPM_RESULT_ERR_CLOSED);
		_exit(GOOD);
	}
	r = attach(&f, IPM_RING_CONSUMER);
	until_asleep(pid);
	CHECK_RESULT(ipm_channel_close(r), IPM_RESULT_SUCCESS);
	CHECK_INT(reap(pid), GOOD);
	while (!ipm_channel_read_try(r, bytes, 100, &size, NULL))
		;
	CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_ERR_CLOSED);
	ipm_channel_detach(r);
	teardown(&f);
}

/* The writer is killed while the reader sleeps: what it wrote is read, then it is told. */
static void writer_dies(void)
{
	unsigned char bytes[100];
	struct fixture f;
	ipm_channel *r;
	pid_t pid;
	size_t size;
	int64_t start;
	int n, i;

	for (n = 0; n < 3; n++) {
		setup(&f, variant, 4096);
		pid = child();
		if (!pid) {
			ipm_channel *w = attach(&f, IPM_RING_PRODUCER);

			for (i = 0; i < n; i++) {
				fill(bytes, 100, (uint64_t)i);
				EXPECT(!ipm_channel_write(w, bytes, 100));
			}
			nap_ms(50);
			kill(getpid(), SIGKILL);
		}
		r = attach(&f, IPM_RING_CONSUMER);
		for (i = 0; i < n; i++) {
			CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL),
				     IPM_RESULT_SUCCESS);
			CHECK(filled(bytes, size, (uint64_t)i));
		}
		CHECK_RESULT(ipm_channel_read_until(r, bytes, 100, &size, NULL, now() + 20000 * MS),
			     IPM_RESULT_ERR_PEER_DIED);
		CHECK_INT(reap(pid), 128 + SIGKILL);
		/* It stays so, also for a deadline too short for a nap, and in check. */
		start = now();
		CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_ERR_PEER_DIED);
		CHECK_RESULT(ipm_channel_read_until(r, bytes, 100, &size, NULL, start + 1),
			     IPM_RESULT_ERR_PEER_DIED);
		CHECK_RESULT(ipm_channel_check(r, IPM_RING_CONSUMER), IPM_RESULT_ERR_PEER_DIED);
		CHECK_RESULT(ipm_channel_read_try(r, bytes, 100, &size, NULL),
			     IPM_RESULT_ERR_WOULD_BLOCK);
		/* A new one comes, and it is a channel again. */
		pid = child();
		if (!pid) {
			ipm_channel *w = attach(&f, IPM_RING_PRODUCER);

			nap_ms(30);
			EXPECT(!ipm_channel_write(w, "again", 5));
			ipm_channel_detach(w);
			_exit(GOOD);
		}
		start = now();
		while (ipm_channel_check(r, IPM_RING_CONSUMER) == IPM_RESULT_ERR_PEER_DIED &&
		       now() < start + 20000 * MS)
			nap_ms(1);
		CHECK_RESULT(ipm_channel_read_until(r, bytes, 100, &size, NULL, now() + 20000 * MS),
			     IPM_RESULT_SUCCESS);
		CHECK_INT(size, 5);
		CHECK_INT(reap(pid), GOOD);
		/* It left in good order: that is no death. */
		CHECK_RESULT(ipm_channel_read_until(r, bytes, 100, &size, NULL, now() + 30 * MS),
			     IPM_RESULT_ERR_TIMEOUT);
		CHECK_RESULT(ipm_channel_check(r, IPM_RING_CONSUMER), IPM_RESULT_SUCCESS);
		ipm_channel_detach(r);
		teardown(&f);
	}
}

/* The reader is killed while the writer waits for room. */
static void reader_dies(void)
{
	unsigned char bytes[8];
	ipm_ring_record record;
	struct fixture f;
	ipm_channel *r, *w;
	uint32_t flags;
	uint64_t n, full, taken = 0;
	pid_t pid;
	size_t size;

	/* Small messages fill it to the brim. */
	setup(&f, variant, 4096);
	w = attach(&f, IPM_RING_PRODUCER);
	for (full = 0; ; full++) {
		fill(bytes, 8, full);
		if (ipm_channel_write_try(w, bytes, 8))
			break;
	}
	pid = child();
	if (!pid) {
		r = attach(&f, IPM_RING_CONSUMER);
		/* It dies with one in hand. */
		EXPECT(!ipm_channel_peek(r, IPM_DEADLINE_NOW, &record));
		nap_ms(50);
		kill(getpid(), SIGKILL);
	}
	/* As soon as it is there, it counts as the one who died. */
	for (;;) {
		ipm_result result = ipm_channel_write_until(w, bytes, 8, now() + 20 * MS);

		if (result == IPM_RESULT_ERR_PEER_DIED)
			break;
		if (!CHECK_RESULT(result, IPM_RESULT_ERR_TIMEOUT))
			break;
	}
	CHECK_INT(reap(pid), 128 + SIGKILL);
	CHECK_RESULT(ipm_channel_check(w, IPM_RING_PRODUCER), IPM_RESULT_ERR_PEER_DIED);
	/* Who takes its place gets everything, the first one marked. */
	r = attach(&f, IPM_RING_CONSUMER);
	for (n = 0; !ipm_channel_read_try(r, bytes, 8, &size, &flags); n++) {
		CHECK(filled(bytes, size, n));
		CHECK_INT(flags, n ? 0 : IPM_RING_REDELIVERED);
		taken++;
	}
	CHECK_INT(taken, full);
	CHECK_RESULT(ipm_channel_check(w, IPM_RING_PRODUCER), IPM_RESULT_SUCCESS);
	ipm_channel_detach(r);
	ipm_channel_detach(w);
	teardown(&f);
}

/* As long as one lives who may answer, the death of another ends nothing. */
static void one_of_two_dies(void)
{
	unsigned char bytes[100];
	struct fixture f;
	pid_t first, second;
	int both_there[2];
	ipm_channel *r;
	size_t size;
	char byte;

	if (variant->kind == IPM_RING_KIND_SPSC)
		return;
	setup(&f, variant, 16384);
	if (pipe2(both_there, O_CLOEXEC))
		DIE("pipe");
	first = child();
	if (!first) {
		ipm_ring_record record;
		ipm_channel *w = attach(&f, IPM_RING_PRODUCER);

		/* In the middle of a message, which the others must get past. */
		EXPECT(!ipm_channel_reserve(w, 100, IPM_DEADLINE_NOW, &record));
		EXPECT(read(both_there[0], &byte, 1) == 1);
		nap_ms(30);
		kill(getpid(), SIGKILL);
	}
	second = child();
	if (!second) {
		ipm_channel *w = attach(&f, IPM_RING_PRODUCER);

		EXPECT(write(both_there[1], "", 1) == 1);
		nap_ms(200);
		EXPECT(!ipm_channel_write(w, "here", 4));
		nap_ms(50);
		kill(getpid(), SIGKILL);
	}
	r = attach(&f, IPM_RING_CONSUMER);
	CHECK_INT(reap(first), 128 + SIGKILL);
	CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(size, 4);
	CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_ERR_PEER_DIED);
	CHECK_INT(reap(second), 128 + SIGKILL);
	ipm_channel_detach(r);
	close(both_there[0]);
	close(both_there[1]);
	teardown(&f);
}

/* Everybody who waits is told, not only the one who cleaned up. */
static void all_waiters_are_told(void)
{
	enum { READERS = 3 };
	unsigned char bytes[100];
	pid_t pids[READERS], writer;
	struct fixture f;
	size_t size;
	int i;

	if (variant->kind == IPM_RING_KIND_SPSC)
		return;
	setup(&f, variant, 16384);
	writer = child();
	if (!writer) {
		ipm_channel *w = attach(&f, IPM_RING_PRODUCER);

		nap_ms(150);
		(void)w;
		kill(getpid(), SIGKILL);
	}
	for (i = 0; i < READERS; i++) {
		pids[i] = child();
		if (!pids[i]) {
			ipm_channel *r = attach(&f, IPM_RING_CONSUMER);

			EXPECT(ipm_channel_read(r, bytes, 100, &size, NULL) ==
			       IPM_RESULT_ERR_PEER_DIED);
			nap_ms(100);
			_exit(GOOD);
		}
	}
	CHECK_INT(reap(writer), 128 + SIGKILL);
	for (i = 0; i < READERS; i++)
		CHECK_INT(reap(pids[i]), GOOD);
	teardown(&f);
}

/* A reader that is killed while it sleeps harms nobody. */
static void sleeper_is_killed(void)
{
	unsigned char bytes[100];
	struct fixture f;
	ipm_channel *w, *r;
	size_t size;
	pid_t pid;
	int i;

	setup(&f, variant, 4096);
	w = attach(&f, IPM_RING_PRODUCER);
	for (i = 0; i < 5; i++) {
		pid = child();
		if (!pid) {
			r = attach(&f, IPM_RING_CONSUMER);
			ipm_channel_read(r, bytes, 100, &size, NULL);
			_exit(1);
		}
		until_asleep(pid);
		kill(pid, SIGKILL);
		CHECK_INT(reap(pid), 128 + SIGKILL);
		CHECK_RESULT(ipm_channel_write(w, "message", 7), IPM_RESULT_SUCCESS);
		r = attach(&f, IPM_RING_CONSUMER);
		CHECK_RESULT(ipm_channel_read(r, bytes, 100, &size, NULL), IPM_RESULT_SUCCESS);
		CHECK_INT(size, 7);
		ipm_channel_detach(r);
	}
	ipm_channel_detach(w);
	teardown(&f);
}

/* Several on each side, all asleep most of the time: each message once. */
static void many_to_many(void)
{
	enum { SIDES = 3, EACH = 2000 };
	struct counts {
		uint32_t seen[SIDES][EACH];
	} *counts;
	ipm_channel_attach_options o;
	pid_t writers[SIDES], readers[SIDES];
	struct fixture f;
	ipm_channel *c;
	uint64_t message;
	size_t size;
	uint32_t i, n;

	if (variant->kind == IPM_RING_KIND_SPSC)
		return;
	setup(&f, variant, 4096);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (counts == MAP_FAILED)
		DIE("mmap");
	for (i = 0; i < SIDES; i++) {
		readers[i] = child();
		if (readers[i])
			continue;
		o = attach_options(&f, IPM_RING_CONSUMER);
		o.config.max_round_trips = i ? 10 : IPM_CHANNEL_NO_POLLS;
		c = attach_with(&f, &o);
		for (;;) {
			ipm_result result = ipm_channel_read(c, &message, sizeof(message), &size,
							     NULL);

			if (result == IPM_RESULT_ERR_CLOSED)
				break;
			EXPECT(!result && size == 8);
			EXPECT(message >> 32 < SIDES && (uint32_t)message < EACH);
			__atomic_fetch_add(&counts->seen[message >> 32][(uint32_t)message], 1,
					   __ATOMIC_RELAXED);
		}
		ipm_channel_detach(c);
		_exit(GOOD);
	}
	for (i = 0; i < SIDES; i++) {
		writers[i] = child();
		if (writers[i])
			continue;
		o = attach_options(&f, IPM_RING_PRODUCER);
		o.config.max_round_trips = i ? 10 : IPM_CHANNEL_NO_POLLS;
		c = attach_with(&f, &o);
		for (n = 0; n < EACH; n++) {
			message = (uint64_t)i << 32 | n;
			EXPECT(!ipm_channel_write(c, &message, sizeof(message)));
			if (n % 100 == 0)
				nap_ms(1);
		}
		ipm_channel_detach(c);
		_exit(GOOD);
	}
	for (i = 0; i < SIDES; i++)
		CHECK_INT(reap(writers[i]), GOOD);
	c = attach(&f, IPM_RING_PRODUCER);
	ipm_channel_close(c);
	for (i = 0; i < SIDES; i++)
		CHECK_INT(reap(readers[i]), GOOD);
	for (i = 0; i < SIDES; i++)
		for (n = 0; n < EACH; n++)
			if (!CHECK_INT(counts->seen[i][n], 1))
				i = SIDES - 1, n = EACH;
	ipm_channel_detach(c);
	munmap(counts, sizeof(*counts));
	teardown(&f);
}

/* Threads of one process are participants like any other. */
struct thread {
	ipm_channel *channel;
	uint64_t count;
	bool good;
};

static void *write_all(void *param)
{
	struct thread *t = param;
	uint64_t n;

	for (n = 0; n < t->count; n++)
		if (ipm_channel_write(t->channel, &n, sizeof(n)))
			return NULL;
	t->good = !ipm_channel_close(t->channel);
	return NULL;
}

static void threads(void)
{
	struct thread t = { .count = 20000 };
	struct fixture f;
	pthread_t thread;
	uint64_t n, got;
	ipm_channel *r;
	size_t size;

	setup(&f, variant, 4096);
	t.channel = attach(&f, IPM_RING_PRODUCER);
	r = attach(&f, IPM_RING_CONSUMER);
	if (pthread_create(&thread, NULL, write_all, &t))
		DIE("thread");
	for (n = 0; n < t.count; n++)
		if (!CHECK_RESULT(ipm_channel_read(r, &got, sizeof(got), &size, NULL),
				  IPM_RESULT_SUCCESS) || !CHECK_INT(got, n))
			break;
	CHECK_RESULT(ipm_channel_read(r, &got, sizeof(got), &size, NULL), IPM_RESULT_ERR_CLOSED);
	pthread_join(thread, NULL);
	CHECK(t.good);
	ipm_channel_detach(t.channel);
	ipm_channel_detach(r);
	teardown(&f);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*test)(void);
	} tests[] = {
#define TEST(test) { #test, test }
		TEST(streams), TEST(no_wake_up_is_missed), TEST(signals), TEST(close_wakes),
		TEST(writer_dies), TEST(reader_dies), TEST(one_of_two_dies),
		TEST(all_waiters_are_told), TEST(sleeper_is_killed), TEST(many_to_many),
		TEST(threads),
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
