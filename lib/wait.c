// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Waiting: poll, sleep, look who died. See wait.h.
 *
 * Signals. The first sleep of a wait ends with one. If it ends by its own limit,
 * more sleeps follow, and a signal that came in between would run its handler and
 * the wait would not know. So signals are kept away from then on, and looked for
 * after each sleep: none is missed, and none waits longer than a sleep may last.
 */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "ring.h"
#include "sys.h"
#include "wait.h"

#define DEFAULT_POLLS 500u
#define DEFAULT_START_SLEEP_NS 1000000u
#define DEFAULT_MAX_SLEEP_NS 100000000u

/* How long to sleep at most if no fence could be had. */
#define UNFENCED_SLEEP_NS 1000000u

/* How often to try what only another's success can prevent. */
#define TRIES 64

/* How long to sleep where somebody seems to play with the word. */
#define RESTLESS_SLEEP_NS 100000u

/* Polls between two looks at the clock, and at who is alive. */
#define POLLS_CLOCK 64u
#define POLLS_LIVENESS 4096u

/*
 * Falling asleep and being woken up takes some ten microseconds. Where sleeps turn out
 * to be short, a handle polls longer before the next ones, in steps that double, as the
 * kernel does for virtual CPUs (Documentation/virt/kvm/halt-polling.rst); where they are
 * long, or the deadline comes first, it goes back. Polling that mostly comes to nothing
 * is given up for some time, and each time for longer, until it was of use many times in
 * a row: where both sides share a CPU it is so now and then, when this one is preempted.
 */
#define HABIT_FIRST_NS 25000u
#define HABIT_MOST_NS 100000u
#define HABIT_VAIN 32u
#define HABIT_VAIN_STEP 4u
#define HABIT_GOOD 64u
#define HABIT_FIRST_REST 64u
#define HABIT_MOST_REST 4096u

bool wait_config_fill(ipm_channel_config *config, struct wait_habit *habit)
{
	if (config->reserved || config->start_sleep_ns > IPM_CHANNEL_SLEEP_MAX ||
	    config->max_sleep_ns > IPM_CHANNEL_SLEEP_MAX)
		return false;
	if (!config->start_sleep_ns) {
		config->start_sleep_ns = DEFAULT_START_SLEEP_NS;
		if (config->max_sleep_ns && config->max_sleep_ns < config->start_sleep_ns)
			config->start_sleep_ns = config->max_sleep_ns;
	}
	if (!config->max_sleep_ns)
		config->max_sleep_ns = config->start_sleep_ns > DEFAULT_MAX_SLEEP_NS ?
					       config->start_sleep_ns : DEFAULT_MAX_SLEEP_NS;
	*habit = (struct wait_habit){ .next_rest = HABIT_FIRST_REST };
	habit->fixed = config->max_round_trips;
	if (!config->max_round_trips)
		/* On one CPU, nobody can do anything while this one polls. */
		config->max_round_trips = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? DEFAULT_POLLS : 0;
	else if (config->max_round_trips == IPM_CHANNEL_NO_POLLS)
		config->max_round_trips = 0;
	habit->fixed |= !config->max_round_trips;
	return config->start_sleep_ns <= config->max_sleep_ns;
}

/* A wait was over before it slept, but not before it polled longer than the setting says. */
static void learn_good(struct wait_habit *habit)
{
	if (habit->vain)
		habit->vain--;
	if (habit->good < HABIT_GOOD && ++habit->good == HABIT_GOOD)
		habit->next_rest = HABIT_FIRST_REST;
}

/* A wait slept, and was over so long after the polls. */
static void learn(struct wait_habit *habit, int64_t ns)
{
	if (habit->fixed)
		return;
	if (ns >= HABIT_MOST_NS) {
		habit->poll_ns = habit->poll_ns > HABIT_FIRST_NS ? habit->poll_ns / 2 : 0;
		return;
	}
	habit->good = 0;
	if (habit->rest) {
		habit->rest--;
	} else if (habit->poll_ns < HABIT_MOST_NS) {
		habit->poll_ns = habit->poll_ns ? habit->poll_ns * 2 : HABIT_FIRST_NS;
	} else {
		habit->vain += HABIT_VAIN_STEP;
		if (habit->vain < HABIT_VAIN)
			return;
		habit->vain = 0;
		habit->poll_ns = 0;
		habit->rest = habit->next_rest;
		if (habit->next_rest < HABIT_MOST_REST)
			habit->next_rest *= 2;
	}
}

/* What a wait says that was over, this way, so long after the polls. */
static void learn_end(const struct wait *w, ipm_result result, int64_t ns)
{
	if (result == IPM_RESULT_SUCCESS && w->slept)
		learn(w->habit, ns);
	/* What would have ended it was still to come. */
	else if (result == IPM_RESULT_ERR_TIMEOUT ||
		 (result == IPM_RESULT_INTERRUPTED && ns >= HABIT_MOST_NS))
		learn(w->habit, HABIT_MOST_NS);
}

/* --- waking --- */

bool wait_wake_all(uint32_t *at, struct wait_counts *counts)
{
	uint32_t word = ring_load(at), next;
	int tries = TRIES;

	do {
		if (!(word & (WORD_SLEEPS | WORD_ARMED)))
			return false;
		next = (word & ~(WORD_SLEEPS | WORD_ARMED)) + WORD_STEP;
		/* Others change the word too, each time for a reason, but not for
		 * ever: unless somebody plays with it. Then wake without. */
	} while (!__atomic_compare_exchange_n(at, &word, next, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED) && --tries);
	if (word & WORD_SLEEPS) {
		counts->wakes++;
		wait_sys_wake(at, INT_MAX);
	}
	return word & WORD_ARMED;
}

/*
 * One of several. The bit stays for the others, until a wake-up finds nobody; a
 * sleeper that has set the bit but does not sleep yet is kept from it by the step.
 */
bool wait_wake_one(uint32_t *at, struct wait_counts *counts)
{
	uint32_t word = __atomic_add_fetch(at, WORD_STEP, __ATOMIC_SEQ_CST);

	if (word & WORD_SLEEPS) {
		counts->wakes++;
		if (!wait_sys_wake(at, 1)) {
			uint32_t expected = word, next = (word & ~WORD_SLEEPS) + WORD_STEP;

			/*
			 * One may have fallen asleep since, with the bit that there was, or
			 * be about to: the step keeps that one awake also when another sets
			 * the bit again.
			 */
			if (__atomic_compare_exchange_n(at, &expected, next, false,
							__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
				wait_sys_wake(at, INT_MAX);
		}
	}
	if (!(word & WORD_ARMED))
		return false;
	__atomic_fetch_and(at, ~WORD_ARMED, __ATOMIC_SEQ_CST);
	return true;
}

/* --- sleeping --- */

static bool passed(int64_t deadline)
{
	return deadline != IPM_DEADLINE_NONE && ipm_sys_now() >= deadline;
}

static ipm_result look(struct wait *w)
{
	return w->look ? w->look(w) : IPM_RESULT_ERR_WOULD_BLOCK;
}

/* Is it time for the @i-th poll? *@until: end of what is a habit. */
static bool polls_on(const struct wait *w, uint32_t i, int64_t *until)
{
	uint32_t setting = w->config->max_round_trips;

	if (i <= setting)
		return true;
	if (!w->habit->poll_ns)
		return false;
	if (i == setting + 1)
		*until = ipm_sys_now() + w->habit->poll_ns;
	return i % POLLS_CLOCK || ipm_sys_now() < *until;
}

static ipm_result poll(struct wait *w)
{
	int64_t until = 0;
	ipm_result result;
	uint32_t i;

	for (i = 1; polls_on(w, i, &until); i++) {
		ring_pause();
		result = w->run(w);
		if (result == IPM_RESULT_SUCCESS && until)
			learn_good(w->habit);
		if (result != IPM_RESULT_ERR_WOULD_BLOCK)
			return result;
		if (i % POLLS_CLOCK)
			continue;
		if (passed(w->deadline))
			break;
		result = look(w);
		if (result == IPM_RESULT_ERR_WOULD_BLOCK && i % POLLS_LIVENESS == 0)
			result = w->look_dead(w);
		if (result != IPM_RESULT_ERR_WOULD_BLOCK)
			return result;
	}
	return IPM_RESULT_ERR_WOULD_BLOCK;
}

/*
 * Takes the bit back that this handle has set for nothing. Only where nobody else
 * can rely on it.
 */
static void withdraw(struct wait *w, uint32_t word)
{
	if (w->alone)
		__atomic_compare_exchange_n(w->word, &word, word & ~WORD_SLEEPS, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* How long the next sleep may be; 0 or less: the deadline has passed. */
static int64_t sleep_limit(const struct wait *w, uint64_t limit)
{
	int64_t left;

	if (w->deadline == IPM_DEADLINE_NONE)
		return (int64_t)limit;
	left = w->deadline - ipm_sys_now();
	return left < (int64_t)limit ? left : (int64_t)limit;
}

static void keep_signals_away(struct wait *w)
{
	if (w->blocked)
		return;
	wait_sys_block(&w->old);
	w->blocked = true;
}

/*
 * The word has changed before this one could sleep on it, or it was woken up, and there
 * is nothing. That happens; but whoever does it all the time shall keep nobody from
 * seeing signals and deaths: then a sleep follows that nobody can end.
 */
static ipm_result slept_in_vain(struct wait *w)
{
	uint32_t still = 0;
	ipm_result result;
	int64_t limit;

	if (++w->restless < TRIES)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	w->restless = 0;
	limit = sleep_limit(w, RESTLESS_SLEEP_NS);
	if (limit <= 0)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	if ((w->blocked && wait_sys_signalled(&w->old)) ||
	    wait_sys_sleep(&still, still, limit) == -EINTR)
		return IPM_RESULT_INTERRUPTED;
	keep_signals_away(w);
	result = look(w);
	return result == IPM_RESULT_ERR_WOULD_BLOCK ? w->look_dead(w) : result;
}

/* One sleep, with all that has to be looked at before. */
static ipm_result doze(struct wait *w)
{
	uint32_t word = ring_load(w->word), announced = word | WORD_SLEEPS;
	int64_t limit = (int64_t)w->sleep_ns;
	ipm_result result;
	int ret;

	if (word != announced &&
	    !__atomic_compare_exchange_n(w->word, &word, announced, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED)) {
		result = w->run(w);
		return result == IPM_RESULT_ERR_WOULD_BLOCK ? slept_in_vain(w) : result;
	}
	if (!w->fence(w) && limit > UNFENCED_SLEEP_NS)
		limit = UNFENCED_SLEEP_NS;
	result = w->run(w);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = look(w);
	if (result != IPM_RESULT_ERR_WOULD_BLOCK) {
		withdraw(w, announced);
		return result;
	}
	limit = sleep_limit(w, limit);
	if (limit <= 0) {
		withdraw(w, announced);
		return IPM_RESULT_ERR_WOULD_BLOCK;
	}
	if (w->blocked && wait_sys_signalled(&w->old)) {
		withdraw(w, announced);
		return IPM_RESULT_INTERRUPTED;
	}
	w->counts->sleeps++;
	w->slept = true;
	ret = wait_sys_sleep(w->word, announced, limit);
	if (ret == -EINTR) {
		withdraw(w, announced);
		return IPM_RESULT_INTERRUPTED;
	}
	result = w->run(w);
	if (result != IPM_RESULT_ERR_WOULD_BLOCK)
		return result;
	if (ret != -ETIMEDOUT)
		return slept_in_vain(w);
	w->restless = 0;
	w->counts->naps++;
	keep_signals_away(w);
	w->sleep_ns = w->sleep_ns * 2 < w->config->max_sleep_ns ? w->sleep_ns * 2 :
								 w->config->max_sleep_ns;
	result = w->look_dead(w);
	if (result != IPM_RESULT_ERR_WOULD_BLOCK)
		withdraw(w, announced);
	return result;
}

ipm_result wait_run(struct wait *w)
{
	ipm_result result = look(w);
	int64_t begin = 0;

	w->sleep_ns = w->config->start_sleep_ns;
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = poll(w);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		begin = ipm_sys_now();
	while (result == IPM_RESULT_ERR_WOULD_BLOCK) {
		if (passed(w->deadline)) {
			/* The last chance to tell a death from mere silence. */
			result = w->look_dead(w);
			if (result == IPM_RESULT_ERR_WOULD_BLOCK)
				result = IPM_RESULT_ERR_TIMEOUT;
			break;
		}
		result = doze(w);
	}
	if (begin)
		learn_end(w, result, ipm_sys_now() - begin);
	if (w->blocked)
		wait_sys_unblock(&w->old);
	return result;
}
