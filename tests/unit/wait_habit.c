// SPDX-License-Identifier: GPL-2.0
/*
 * How long a handle polls before it sleeps, by what it has learned, in a time of the
 * test's own: a poll takes 50 ns, to fall asleep and to be woken up 30 us.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/ring.h"
#include "../../lib/sys.h"
#include "../../lib/wait.h"
#include "tap.h"

#define POLL_NS 50
#define WAKE_NS 30000
#define US 1000

static int64_t now;
static int64_t event;		/* when what is waited for comes */
static int64_t work;		/* or how long after this one sleeps; 0: not so */
static bool signalled;		/* a sleep ends with a signal, after a millisecond */
static uint64_t polls;

int64_t ipm_sys_now(void)
{
	return now;
}

int wait_sys_sleep(uint32_t *word, uint32_t value, int64_t ns)
{
	(void)word;
	(void)value;
	if (signalled) {
		now += 1000 * US;
		return -EINTR;
	}
	if (work)
		event = now + work;
	if (event - now > ns) {
		now += ns + WAKE_NS;
		return -ETIMEDOUT;
	}
	if (event > now)
		now = event;
	now += WAKE_NS;
	return 0;
}

int wait_sys_wake(uint32_t *word, int count)
{
	(void)word;
	(void)count;
	return 0;
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
	return false;
}

static ipm_result run(struct wait *w)
{
	(void)w;
	polls++;
	now += POLL_NS;
	return now >= event ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_WOULD_BLOCK;
}

static ipm_result nobody_died(struct wait *w)
{
	(void)w;
	return IPM_RESULT_ERR_WOULD_BLOCK;
}

static bool fence(struct wait *w)
{
	(void)w;
	return true;
}

static ipm_channel_config config;
static struct wait_habit habit;
static struct wait_counts counts;

static void begin(uint32_t setting)
{
	memset(&counts, 0, sizeof(counts));
	config = (ipm_channel_config){ .max_round_trips = setting };
	CHECK(wait_config_fill(&config, &habit));
	/* As on a machine with several CPUs. */
	if (!setting) {
		config.max_round_trips = 500;
		habit.fixed = false;
	}
	now = 1;
	work = 0;
}

/* Waits for something that comes after @ns, so many times. Returns how often it slept. */
static uint64_t waits(unsigned int times, int64_t ns)
{
	uint64_t before = counts.sleeps;

	polls = 0;
	while (times--) {
		uint32_t word = 0;
		struct wait w = {
			.word = &word, .config = &config, .counts = &counts, .habit = &habit,
			.deadline = IPM_DEADLINE_NONE, .alone = true,
			.run = run, .look_dead = nobody_died, .fence = fence,
		};

		event = work ? INT64_MAX : now + ns;
		CHECK_INT(wait_run(&w), IPM_RESULT_SUCCESS);
	}
	return counts.sleeps - before;
}

static void test_settings(void)
{
	bool many = sysconf(_SC_NPROCESSORS_ONLN) > 1;

	memset(&config, 0, sizeof(config));
	CHECK(wait_config_fill(&config, &habit));
	CHECK_INT(config.max_round_trips, many ? 500 : 0);
	CHECK_INT(habit.fixed, !many);
	/* Who says how often means it. */
	begin(100);
	CHECK_INT(waits(1000, 60 * US), 1000);
	CHECK_INT(polls, 102 * 1000);
	begin(IPM_CHANNEL_NO_POLLS);
	CHECK_INT(waits(1000, 60 * US), 1000);
	CHECK_INT(polls, 2 * 1000);
	begin(UINT32_MAX - 1);
	CHECK_INT(waits(10, 60 * US), 0);
}

/* A little more polling spares the sleeps. */
static void test_short(void)
{
	int64_t start;

	begin(0);
	CHECK(waits(10, 60 * US) <= 4);
	start = now;
	CHECK_INT(waits(1000, 60 * US), 0);
	CHECK(now - start <= 1000 * 61 * US);
	/* What comes before that was never slept for. */
	begin(0);
	CHECK_INT(waits(1000, 20 * US), 0);
	CHECK_INT(habit.poll_ns, 0);
}

/* Long sleeps cost no more polls than the setting says, and end the habit. */
static void test_long(void)
{
	begin(0);
	waits(1000, 5000 * US);
	CHECK(polls <= 1000 * 520);
	waits(100, 60 * US);
	CHECK(habit.poll_ns > 0);
	waits(4, 5000 * US);
	CHECK_INT(habit.poll_ns, 0);
	/* And it comes back. */
	waits(10, 60 * US);
	CHECK_INT(waits(1000, 60 * US), 0);
}

/* Now and then one that is too long changes nothing. */
static void test_outliers(void)
{
	uint64_t slept = 0;
	int i;

	begin(0);
	waits(10, 90 * US);
	for (i = 0; i < 1000; i++) {
		slept += waits(9, 90 * US);
		waits(1, i % 2 ? 140 * US : 500 * US);
	}
	CHECK(slept <= 9000 / 8);
}

/* Where the other one runs only while this one sleeps, polling is in vain. */
static void test_one_cpu(void)
{
	int i;

	begin(0);
	work = 10 * US;
	CHECK_INT(waits(10000, 0), 10000);
	CHECK(polls <= 10000 * 520);
	/* Even seldom. */
	CHECK_INT(waits(100000, 0), 100000);
	CHECK(polls <= 100000 * 510);
	/* When that is over, it is found out some time. */
	work = 0;
	for (i = 0; i < 100 && waits(100, 60 * US); i++)
		;
	CHECK(i < 50);
}

/* Waits that end so, for something that does not come. Returns how often it polled. */
static uint64_t waits_in_vain(unsigned int times, int64_t limit, ipm_result expected)
{
	polls = 0;
	signalled = expected == IPM_RESULT_INTERRUPTED;
	while (times--) {
		uint32_t word = 0;
		struct wait w = {
			.word = &word, .config = &config, .counts = &counts, .habit = &habit,
			.deadline = now + limit, .alone = true,
			.run = run, .look_dead = nobody_died, .fence = fence,
		};

		event = INT64_MAX;
		CHECK_INT(wait_run(&w), expected);
	}
	signalled = false;
	return polls;
}

/* Who looks now and then, or is interrupted, while nothing comes, does not poll for it. */
static void test_in_vain(void)
{
	static const int64_t limits[] = { 50 * US, 100 * US, 200 * US, 1000 * US };
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		begin(0);
		waits(10, 90 * US);
		CHECK(habit.poll_ns > 0);
		CHECK(waits_in_vain(1000, limits[i], IPM_RESULT_ERR_TIMEOUT) <= 1000 * 510);
		/* Nor is it forgotten because of one. */
		CHECK_INT(waits(10, 90 * US) <= 3, true);
		waits_in_vain(1, limits[i], IPM_RESULT_ERR_TIMEOUT);
		CHECK(waits(10, 90 * US) <= 1);
	}
	begin(0);
	waits(10, 90 * US);
	CHECK(waits_in_vain(1000, 5000 * US, IPM_RESULT_INTERRUPTED) <= 1000 * 510);
}

/* One CPU, and now and then this one is preempted while it polls, which looks like luck. */
static void test_preempted(void)
{
	uint64_t sum = 0;
	int i;

	begin(0);
	for (i = 0; i < 20000; i++) {
		work = i % 8 ? 10 * US : 0;
		waits(1, 40 * US);
		sum += polls;
	}
	CHECK(sum <= 20000 * 550);
}

int main(void)
{
	tap_run("settings", test_settings);
	tap_run("short waits are polled for", test_short);
	tap_run("long waits are slept through", test_long);
	tap_run("long waits among short ones", test_outliers);
	tap_run("both sides on one CPU", test_one_cpu);
	tap_run("waits that come to nothing", test_in_vain);
	tap_run("preempted while it polls", test_preempted);
	return tap_end();
}
