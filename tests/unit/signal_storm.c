// SPDX-License-Identifier: GPL-2.0
/*
 * Channels and exchanges whose users get a signal every few hundred microseconds, with a
 * handler and without SA_RESTART. Calls are interrupted all the time and called again;
 * what arrives is whole, in order, and each once.
 */
#include <sys/time.h>

#include "exchange_tests.h"

#define WINDOW (4 * KIB)
#define LAST UINT64_MAX		/* number of the message that ends it */
#define ENOUGH 20		/* waits that a signal has to end, of each side */
#define SECOND (1000 * MS)

/* What the processes tell the test. */
struct told {
	uint64_t interrupted[2];
	uint64_t messages;
};

static struct told *told;
static const struct variant *variant;

static void nothing(int number)
{
	(void)number;
}

static void signals_every(suseconds_t us)
{
	const struct itimerval often = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &often, NULL);
}

static void storm(void)
{
	const struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGALRM, &action, NULL);
	signals_every(300);
}

/*
 * Whether to call again. What takes several wake-ups needs a while without a signal, and
 * on a busy machine a longer one: signals become rarer until it is done.
 */
static bool again(ipm_result result, int side)
{
	static suseconds_t period = 300;

	if (result != IPM_RESULT_INTERRUPTED) {
		if (period != 300)
			signals_every(period = 300);
		return false;
	}
	__atomic_fetch_add(&told->interrupted[side], 1, __ATOMIC_RELAXED);
	if (period < 500000)
		signals_every(period *= 2);
	return true;
}

#define EXPECT_AFTER_SIGNALS(side, call)				\
	do {								\
		ipm_result after_signals;				\
									\
		do							\
			after_signals = (call);				\
		while (again(after_signals, side));			\
		EXPECT_OK(after_signals);				\
	} while (0)

/* A second, and longer where signals came to nothing. */
static bool is_over(int64_t start)
{
	int64_t time = now() - start;

	return time > 20 * SECOND ||
	       (time > SECOND && __atomic_load_n(&told->interrupted[0], __ATOMIC_RELAXED) > ENOUGH &&
		__atomic_load_n(&told->interrupted[1], __ATOMIC_RELAXED) > ENOUGH);
}

static void begin(void)
{
	memset(told, 0, sizeof(*told));
}

static void check_told(void)
{
	printf("# %llu messages, %llu and %llu waits ended by a signal\n",
	       (unsigned long long)told->messages, (unsigned long long)told->interrupted[0],
	       (unsigned long long)told->interrupted[1]);
	CHECK(told->interrupted[0] > ENOUGH && told->interrupted[1] > ENOUGH);
	CHECK(told->messages > 2 * ENOUGH);
}

/* Messages of many sizes; now and then who writes or reads is slow, so the other waits. */
static size_t size_of(uint64_t n)
{
	return 8 + n * 37 % 700;
}

static void be_slow(uint64_t n, unsigned int which)
{
	const struct timespec time = { .tv_nsec = MS };

	/* A signal ends it, too. */
	if (n / 8 % 2 == which)
		nanosleep(&time, NULL);
}

static void write_all(ipm_channel *w)
{
	unsigned char bytes[1024];
	int64_t start = now();
	uint64_t n = 0, last = LAST;

	while (!is_over(start)) {
		fill(bytes, size_of(n), n);
		EXPECT_AFTER_SIGNALS(0, ipm_channel_write(w, bytes, size_of(n)));
		be_slow(n++, 0);
	}
	EXPECT_AFTER_SIGNALS(0, ipm_channel_write(w, &last, sizeof(last)));
}

static void read_all(ipm_channel *r)
{
	unsigned char bytes[1024];
	uint64_t n, number;
	uint32_t flags;
	size_t size;

	for (n = 0;; n++) {
		EXPECT_AFTER_SIGNALS(1, ipm_channel_read(r, bytes, sizeof(bytes), &size, &flags));
		memcpy(&number, bytes, sizeof(number));
		if (number == LAST)
			break;
		EXPECT(size == size_of(n) && filled(bytes, size, n) && !flags);
		be_slow(n, 1);
	}
	told->messages = n;
}

static void channels(void)
{
	pid_t writer, reader;
	struct fixture f;

	begin();
	setup(&f, variant, 4096);
	writer = child();
	if (!writer) {
		ipm_channel *w = attach(&f, IPM_RING_PRODUCER);

		storm();
		write_all(w);
		_exit(GOOD);
	}
	reader = child();
	if (!reader) {
		ipm_channel *r = attach(&f, IPM_RING_CONSUMER);

		storm();
		read_all(r);
		_exit(GOOD);
	}
	/* The writer leaves without a word when it is done: not before the reader. */
	CHECK_INT(reap(reader), GOOD);
	CHECK_INT(reap(writer), GOOD);
	check_told();
	teardown(&f);
}

/* Items of any size: some, and some replies, go through the window in pieces. */
static size_t item_size(uint64_t n)
{
	return n % 16 == 15 || n % 32 == 2 ? 3 * WINDOW + 5 : size_of(n);
}

static void publish_all(ipm_exchange *p)
{
	static unsigned char bytes[4 * WINDOW], reply[4 * WINDOW];
	int64_t start = now();
	uint64_t n = 0, last = LAST;
	size_t size;

	while (!is_over(start)) {
		fill(bytes, item_size(n), n);
		if (n % 2) {
			EXPECT_AFTER_SIGNALS(0, ipm_exchange_publish(p, bytes, item_size(n)));
		} else {
			EXPECT_AFTER_SIGNALS(0, ipm_exchange_ask(p, bytes, item_size(n),
								 IPM_DEADLINE_NONE));
			EXPECT_AFTER_SIGNALS(0, ipm_exchange_take_reply(p, reply, sizeof(reply),
									&size,
									IPM_DEADLINE_NONE));
			EXPECT(size == item_size(n + 1) && filled(reply, size, n + 1));
		}
		be_slow(n++, 0);
	}
	EXPECT_AFTER_SIGNALS(0, ipm_exchange_publish(p, &last, sizeof(last)));
}

static void consume_all(ipm_exchange *s)
{
	static unsigned char bytes[4 * WINDOW];
	uint64_t n, number;
	uint32_t flags;
	size_t size;

	for (n = 0;; n++) {
		EXPECT_AFTER_SIGNALS(1, ipm_exchange_consume(s, bytes, sizeof(bytes), &size,
							     &flags));
		memcpy(&number, bytes, sizeof(number));
		if (number == LAST)
			break;
		EXPECT(size == item_size(n) && filled(bytes, size, n));
		EXPECT(!(flags & IPM_EXCHANGE_REDELIVERED));
		if (n % 2 == 0) {
			fill(bytes, item_size(n + 1), n + 1);
			EXPECT_AFTER_SIGNALS(1, ipm_exchange_reply(s, bytes, item_size(n + 1),
								   IPM_DEADLINE_NONE));
		}
		be_slow(n, 1);
	}
	told->messages = n;
}

static void exchanges(void)
{
	pid_t publisher, consumer;
	struct place p;

	begin();
	make_place(&p, WINDOW, 0);
	consumer = child();
	if (!consumer) {
		ipm_exchange *s = enter(&p, CONSUMER);

		storm();
		consume_all(s);
		_exit(GOOD);
	}
	publisher = child();
	if (!publisher) {
		ipm_exchange *x = enter(&p, PUBLISHER);

		storm();
		publish_all(x);
		_exit(GOOD);
	}
	CHECK_INT(reap(consumer), GOOD);
	CHECK_INT(reap(publisher), GOOD);
	check_told();
	unmake_place(&p);
}

int main(void)
{
	size_t v;

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		return 1;
	for (v = 0; v < VARIANTS; v++) {
		variant = &variants[v];
		printf("# %s\n", variant->name);
		RUN(channels);
	}
	RUN(exchanges);
	return tap_end();
}
