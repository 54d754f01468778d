/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for other processes: what channels and exchanges share.
 *
 * A word in shared memory stands for those who wait: two bits and a number that
 * changes with each wake-up, so that the kernel refuses to let anybody sleep who
 * decided to before it. The sleeper sets its bit and looks once more at what it
 * waits for; the other one changes that and then looks at the bit. A fence on each
 * side between the two keeps both from missing the other (an eventcount).
 *
 * What keeps a waiter from sleeping for ever, whatever the others do or do not do
 * to the words in shared memory: no sleep is longer than its own configuration
 * says, and after each it looks for itself. What keeps it from running for ever:
 * every turn of the loop looks at the deadline.
 *
 *   wait.c		the loop: poll, sleep, look who died
 *   wait_sys.c		the system calls
 */
#ifndef IPM_LIB_WAIT_H
#define IPM_LIB_WAIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <ipm/ipm_channel.h>

#define WORD_SLEEPS 1u		/* somebody sleeps, or is about to */
#define WORD_ARMED 2u		/* somebody wants the doorbell */
#define WORD_STEP 4u

/* What a handle has done; see struct ipm_channel_stats. */
struct wait_counts {
	uint64_t waits, sleeps, naps, wakes, bells, barriers;
};

/*
 * How long a handle polls beyond its setting, because its sleeps were so short lately
 * that a little more would have spared them.
 */
struct wait_habit {
	bool fixed;		/* no longer than the setting says */
	uint32_t poll_ns;
	uint32_t vain;		/* grows with waits that slept after the most of polling */
	uint32_t good;		/* waits in a row that did not, after some of it */
	uint32_t rest;		/* short sleeps to come before it is tried again */
	uint32_t next_rest;
};

/**
 * struct wait - one wait; the caller embeds it in what its callbacks need
 *
 * The callbacks return %IPM_RESULT_ERR_WOULD_BLOCK to go on, else how the wait ends.
 *
 * @word: what to sleep on
 * @config: how long
 * @counts: the handle's
 * @habit: the handle's
 * @deadline: until when; not %IPM_DEADLINE_NOW
 * @alone: nobody else relies on this word's sleep bit
 * @run: tries what is waited for
 * @look: a reason to give up that is cheap to see, or NULL
 * @look_dead: cleans up after the dead, and tries again; asks who is alive
 * @fence: between the sleep bit and the last look; false if there was none
 */
struct wait {
	uint32_t *word;
	const ipm_channel_config *config;
	struct wait_counts *counts;
	struct wait_habit *habit;
	int64_t deadline;
	bool alone;
	ipm_result (*run)(struct wait *w);
	ipm_result (*look)(struct wait *w);
	ipm_result (*look_dead)(struct wait *w);
	bool (*fence)(struct wait *w);

	/* wait.c's own. */
	uint64_t sleep_ns;
	uint32_t restless;	/* times in a row that the word let nobody sleep */
	bool slept;
	bool blocked;		/* signals are kept away */
	sigset_t old;		/* what was blocked before */
};

/**
 * wait_config_fill() - defaults for what is 0
 * @habit: of the handle that waits so
 *
 * Return: false if something is impossible.
 */
bool wait_config_fill(ipm_channel_config *config, struct wait_habit *habit);

/** wait_run() - wait; @w->slept says afterwards whether it slept */
ipm_result wait_run(struct wait *w);

/**
 * wait_wake_all() - wake everybody who sleeps on a word
 *
 * Return: whether somebody wants the doorbell; it is the caller's to ring, once.
 */
bool wait_wake_all(uint32_t *word, struct wait_counts *counts);

/** wait_wake_one() - wake one; the bit stays for the others. Returns the same. */
bool wait_wake_one(uint32_t *word, struct wait_counts *counts);

/* wait_sys.c */

/**
 * wait_sys_sleep() - futex wait on a word shared between processes
 * @word: what to sleep on, if it still is @value
 * @ns: how long at most
 *
 * Return: 0 woken up, or a negative errno: -EAGAIN it was another value,
 * -ETIMEDOUT, -EINTR.
 */
int wait_sys_sleep(uint32_t *word, uint32_t value, int64_t ns);

/** wait_sys_wake() - wake up to @count sleepers; how many there were */
int wait_sys_wake(uint32_t *word, int count);

/**
 * wait_sys_block() - keep signals away, but for those of the thread's own making
 * @old: receives what was blocked before
 */
void wait_sys_block(sigset_t *old);

/** wait_sys_unblock() - let signals in again; handlers run before it returns */
void wait_sys_unblock(const sigset_t *old);

/**
 * wait_sys_signalled() - whether a signal is kept away that has a handler
 * @old: as wait_sys_block() gave it
 *
 * Lets the others do what they do without one, such as stop or end the process.
 */
bool wait_sys_signalled(const sigset_t *old);

/** wait_sys_register() - let membarrier() of others reach this process */
bool wait_sys_register(void);

/** wait_sys_barrier() - a fence on every CPU that runs a registered process */
bool wait_sys_barrier(void);

#endif /* IPM_LIB_WAIT_H */
