// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Channels: sleeping and waking, on top of wait.c. See channel_done() in channel.h
 * for how a sleeper and who wakes it do not miss each other.
 */
#include "channel.h"

/* So many writes and reads without a wake-up, and the fences are left out. */
#define CALM 256u

/* --- fences --- */

void channel_go_fenceless(ipm_channel *ch)
{
	if (!ch->registered) {
		ch->calm = CALM;
		return;
	}
	ring_store(&ch->me->fenceless, 1);
	/*
	 * A sleeper that still read 0 set its bit before this fence, so the looks
	 * at it that come without fences will find it. Pairs with the fence in
	 * channel_fence().
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ch->fencing = false;
}

/* Fences again, as long as there is somebody to be woken now and then. */
static void go_fencing(ipm_channel *ch)
{
	ch->calm = CALM;
	if (ch->fencing || !ch->me)
		return;
	ch->fencing = true;
	/*
	 * A sleeper that reads this 0 sees all that was written before it without
	 * a fence. Pairs with the acquire in channel_fence().
	 */
	ring_store_release(&ch->me->fenceless, 0);
}

bool channel_fence(ipm_channel *ch)
{
	struct channel_entry *entries = channel_entries(ch);
	uint32_t i;

	/* Between the bit and the look at the ring; pairs with that in
	 * channel_done(), channel_go_fenceless() and ipm_channel_wake(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < ch->geometry.participants; i++) {
		if (&entries[i] == ch->me || !ring_load_acquire(&entries[i].fenceless) ||
		    !ring_load(&entries[i].owner))
			continue;
		ch->counts.barriers++;
		return wait_sys_barrier();
	}
	return true;
}

/* --- waking --- */

static void ring_bell(ipm_channel *ch, const struct channel_side *side)
{
	uint64_t bits = side == &ch->header->readers ? ch->geometry.read_bell :
						       ch->geometry.write_bell;

	if (!ch->bell || !bits)
		return;
	ch->counts.bells++;
	ch->bell(ch->bell_param, bits);
}

void channel_wake(ipm_channel *ch, struct channel_side *side, bool all)
{
	if (!(ring_load(&side->word) & (WORD_SLEEPS | WORD_ARMED)))
		return;
	go_fencing(ch);
	if (all ? wait_wake_all(&side->word, &ch->counts) : wait_wake_one(&side->word, &ch->counts))
		ring_bell(ch, side);
}

void channel_nudge_slow(ipm_channel *ch)
{
	struct channel_side *readers = &ch->header->readers;
	uint32_t nudge = ch->ring->nudge;

	ch->ring->nudge = 0;
	if (nudge & RING_NUDGE_WRITERS)
		channel_done(ch, &ch->header->writers);
	if (nudge & RING_NUDGE_READERS) {
		channel_done(ch, readers);
	} else if (nudge & RING_NUDGE_LEASE) {
		channel_settle(ch);
		if (ring_load(&readers->word) & (WORD_SLEEPS | WORD_ARMED) &&
		    lanes_have_record(ch->ring))
			channel_wake(ch, readers, true);
	}
}

/* --- sleeping --- */

struct channel_waiter {
	struct wait wait;	/* first */
	ipm_channel *ch;
	struct channel_side *side;
	uint32_t role;
	struct channel_call *call;
};

static struct channel_waiter *waiter_of(struct wait *wait)
{
	return (struct channel_waiter *)wait;
}

static ipm_result run_call(struct wait *wait)
{
	struct channel_waiter *w = waiter_of(wait);
	ipm_result result = w->call->run(w->ch, w->call);

	channel_nudge(w->ch);
	return result;
}

/* Whether there is a reason to give up: then the call is tried a last time. */
static ipm_result look_closed(struct wait *wait)
{
	struct channel_waiter *w = waiter_of(wait);
	ipm_result result;

	/* Pairs with the release in set_closed(): all messages are there. */
	if (!ring_load_acquire(&w->side->closed))
		return IPM_RESULT_ERR_WOULD_BLOCK;
	if (w->role == IPM_RING_PRODUCER)
		return IPM_RESULT_ERR_CLOSED;
	result = run_call(wait);
	return result == IPM_RESULT_ERR_WOULD_BLOCK ? IPM_RESULT_ERR_CLOSED : result;
}

static ipm_result look_dead(struct wait *wait)
{
	struct channel_waiter *w = waiter_of(wait);
	uint32_t other = w->role == IPM_RING_PRODUCER ? IPM_RING_CONSUMER : IPM_RING_PRODUCER;
	struct channel_census census = channel_count(w->ch, other);
	struct channel_census same = channel_count(w->ch, w->role);
	ipm_result result;

	if (!census.dead && !same.dead)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	/* Of whatever role: it may have had in hand what is waited for. */
	result = channel_recover(w->ch, NULL);
	if (result)
		return result;
	result = run_call(wait);
	if (result != IPM_RESULT_ERR_WOULD_BLOCK || census.alive || !census.dead)
		return result;
	return IPM_RESULT_ERR_PEER_DIED;
}

static bool fence(struct wait *wait)
{
	return channel_fence(waiter_of(wait)->ch);
}

ipm_result channel_wait(ipm_channel *ch, uint32_t role, struct channel_call *call, int64_t deadline)
{
	struct channel_waiter w = {
		.wait = {
			.config = &ch->config,
			.counts = &ch->counts,
			.habit = &ch->habit,
			.deadline = deadline,
			.alone = ch->ring->geometry.kind == IPM_RING_KIND_SPSC,
			.run = run_call,
			.look = look_closed,
			.look_dead = look_dead,
			.fence = fence,
		},
		.ch = ch,
		.side = role == IPM_RING_CONSUMER ? &ch->header->readers : &ch->header->writers,
		.role = role,
		.call = call,
	};
	ipm_result result;

	channel_nudge(ch);
	w.wait.word = &w.side->word;
	ch->counts.waits++;
	if (deadline == IPM_DEADLINE_NOW)
		return look_closed(&w.wait);
	result = wait_run(&w.wait);
	/* The wake-up was for one. There may be more than one message. */
	if (!result && w.wait.slept && !channel_wake_all(ch, w.side))
		channel_wake(ch, w.side, false);
	return result;
}
