// SPDX-License-Identifier: GPL-2.0
/*
 * A wait whose word lets nobody sleep: a peer changes it all the time, or wakes who
 * sleeps on it for nothing. Signals, deaths and deadlines end such a wait, too. Time and
 * system calls are the test's own.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "../../lib/ring.h"
#include "../../lib/sys.h"
#include "../../lib/wait.h"
#include "tap.h"

/* More than any of these waits may try. */
#define MOST 100000

static int64_t now;
static uint32_t word;
static bool changes, wakes;	/* what the peer does */
static bool signal_comes;	/* while it sleeps where nobody can wake it, */
static bool signal_kept;	/* or in between, when signals are kept away */
static bool blocked, dead, closed;
static unsigned int runs, looks;

int64_t ipm_sys_now(void)
{
	return now;
}

int wait_sys_sleep(uint32_t *at, uint32_t value, int64_t ns)
{
	now += 1000;
	if (*at != value)
		return -EAGAIN;
	if (at == &word && wakes)
		return 0;
	now += ns;
	return signal_comes ? -EINTR : -ETIMEDOUT;
}

int wait_sys_wake(uint32_t *at, int count)
{
	(void)at;
	(void)count;
	return 0;
}

void wait_sys_block(sigset_t *old)
{
	sigemptyset(old);
	CHECK(!blocked);
	blocked = true;
}

void wait_sys_unblock(const sigset_t *old)
{
	(void)old;
	CHECK(blocked);
	blocked = false;
}

bool wait_sys_signalled(const sigset_t *old)
{
	(void)old;
	CHECK(blocked);
	return signal_kept;
}

/* Nothing comes. */
static ipm_result run(struct wait *w)
{
	(void)w;
	return ++runs < MOST ? IPM_RESULT_ERR_WOULD_BLOCK : IPM_RESULT_SUCCESS;
}

static ipm_result look(struct wait *w)
{
	(void)w;
	/* Not at the beginning. */
	return closed && runs > 10 ? IPM_RESULT_ERR_REMOVED : IPM_RESULT_ERR_WOULD_BLOCK;
}

static ipm_result look_dead(struct wait *w)
{
	(void)w;
	looks++;
	return dead ? IPM_RESULT_ERR_PEER_DIED : IPM_RESULT_ERR_WOULD_BLOCK;
}

static bool fence(struct wait *w)
{
	(void)w;
	if (changes)
		word += WORD_STEP;
	return true;
}

static ipm_result wait_until(int64_t deadline)
{
	ipm_channel_config config = { .max_round_trips = IPM_CHANNEL_NO_POLLS };
	struct wait_counts counts = { 0 };
	struct wait_habit habit;
	struct wait w = {
		.word = &word, .config = &config, .counts = &counts, .habit = &habit,
		.deadline = deadline, .run = run, .look = look, .look_dead = look_dead, .fence = fence,
	};
	ipm_result result;

	CHECK(wait_config_fill(&config, &habit));
	now = 1;
	runs = 0;
	looks = 0;
	result = wait_run(&w);
	CHECK(!blocked);
	return result;
}

static void check_all(void)
{
	signal_comes = true;
	CHECK_INT(wait_until(IPM_DEADLINE_NONE), IPM_RESULT_INTERRUPTED);
	signal_comes = false;
	signal_kept = true;
	CHECK_INT(wait_until(IPM_DEADLINE_NONE), IPM_RESULT_INTERRUPTED);
	signal_kept = false;
	dead = true;
	CHECK_INT(wait_until(IPM_DEADLINE_NONE), IPM_RESULT_ERR_PEER_DIED);
	dead = false;
	closed = true;
	CHECK_INT(wait_until(IPM_DEADLINE_NONE), IPM_RESULT_ERR_REMOVED);
	closed = false;
	CHECK_INT(wait_until(3000000), IPM_RESULT_ERR_TIMEOUT);
	CHECK(looks > 1);
	CHECK(now >= 3000000 && now < 4000000);
}

static void test_changes(void)
{
	changes = true;
	check_all();
	changes = false;
}

static void test_wakes(void)
{
	wakes = true;
	check_all();
	wakes = false;
}

int main(void)
{
	tap_run("a word that changes all the time", test_changes);
	tap_run("wake-ups for nothing", test_wakes);
	return tap_end();
}
