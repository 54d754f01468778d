// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Exchanges: whose turn it is, the queue, and cleaning up after the dead.
 *
 * The queue is made of tickets: a number in the entry of each who waits, drawn from
 * a counter. The turn is taken by who has the smallest; there is nothing to be handed
 * over, so nothing can be lost between two hands. A bit in the turn's word keeps
 * newcomers from the short way while there are tickets. Who clears it has looked at
 * all of them, and every new ticket changes the word after it was written, so the
 * compare-and-swap fails for who looked too early.
 */
#include "exchange.h"

/* Looks at an item's line before the long way of waiting begins. */
#define SPINS 300

/* --- waiting --- */

struct exchange_waiter {
	struct wait wait;	/* first */
	ipm_exchange *x;
	int side;
	ipm_result (*run)(ipm_exchange *x, void *param);
	void *param;
};

static ipm_result run_waiter(struct wait *wait)
{
	struct exchange_waiter *w = (struct exchange_waiter *)wait;

	return w->run(w->x, w->param);
}

static ipm_result look_dead(struct wait *wait)
{
	struct exchange_waiter *w = (struct exchange_waiter *)wait;
	struct exchange_census other = exchange_count(w->x, !w->side);
	ipm_result result;

	result = exchange_recover(w->x);
	if (result)
		return result;
	result = run_waiter(wait);
	if (result != IPM_RESULT_ERR_WOULD_BLOCK || other.alive || !other.dead)
		return result;
	return IPM_RESULT_ERR_PEER_DIED;
}

static bool fence(struct wait *wait)
{
	(void)wait;
	exchange_fence();
	return true;
}

ipm_result exchange_await(ipm_exchange *x, int side, uint32_t *word,
			  ipm_result (*run)(ipm_exchange *x, void *param), void *param,
			  int64_t deadline)
{
	struct exchange_waiter w = {
		.wait = {
			.word = word ? word : &x->header->sides[side].word,
			.config = &x->config,
			.counts = &x->counts,
			.habit = &x->habit,
			.deadline = deadline,
			.alone = true,
			.run = run_waiter,
			.look_dead = look_dead,
			.fence = fence,
		},
		.x = x,
		.side = side,
		.run = run,
		.param = param,
	};
	uint32_t spins = x->config.max_round_trips ? SPINS : 0;
	ipm_result result = run(x, param);

	if (result != IPM_RESULT_ERR_WOULD_BLOCK || deadline == IPM_DEADLINE_NOW)
		return result;
	x->counts.waits++;
	/* A pause takes about as long as a line takes between two CPUs. */
	while (result == IPM_RESULT_ERR_WOULD_BLOCK && spins--)
		result = run(x, param);
	return result == IPM_RESULT_ERR_WOULD_BLOCK ? wait_run(&w.wait) : result;
}

void exchange_wake_slow(ipm_exchange *x, int side)
{
	uint64_t bits = x->geometry.bells[side];

	if (!wait_wake_all(&x->header->sides[side].word, &x->counts) || !x->bell || !bits)
		return;
	x->counts.bells++;
	x->bell(x->bell_param, bits);
}

/* --- the queue --- */

/*
 * Who is first of those that have a ticket; x->geometry.participants if nobody is.
 * The one at @except does not count.
 */
static uint32_t first_ticket(const ipm_exchange *x, int side, uint32_t except, uint64_t *ticket)
{
	uint32_t i, first = x->geometry.participants;
	uint64_t smallest = UINT64_MAX;

	for (i = 0; i < x->geometry.participants; i++) {
		/* Pairs with the release in enqueue(). */
		uint64_t t = ring_load_acquire(&x->entries[i].ticket[side]);

		if (!t || t >= smallest || i == except || !ring_load(&x->entries[i].owner))
			continue;
		smallest = t;
		first = i;
	}
	*ticket = smallest;
	return first;
}

/* Wakes the first of the queue; the dead are thrown out on the way. */
static void wake_first(ipm_exchange *x, int side)
{
	uint32_t tries, i;
	uint64_t ticket;

	for (tries = 0; tries < x->geometry.participants; tries++) {
		i = first_ticket(x, side, x->index, &ticket);
		if (i == x->geometry.participants ||
		    !(ring_load(&x->entries[i].word[side]) & WORD_SLEEPS))
			return;
		if (!exchange_dead(x, ring_load_acquire(&x->entries[i].owner))) {
			wait_wake_all(&x->entries[i].word[side], &x->counts);
			return;
		}
		ring_cas(&x->entries[i].ticket[side], &ticket, 0);
	}
}

static void enqueue(ipm_exchange *x, int side)
{
	struct exchange_turn *turn = &x->header->turns[side];
	uint64_t ticket = __atomic_add_fetch(&turn->next_ticket, 1, __ATOMIC_RELAXED);

	ring_store_release(&x->me->ticket[side], ticket);
	/* In this order: see the top. Pairs with the compare-and-swap in grab(). */
	__atomic_fetch_add(&turn->word, TURN_STEP, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&turn->word, TURN_QUEUED, __ATOMIC_SEQ_CST);
}

static void leave_queue(ipm_exchange *x, int side)
{
	ring_store_release(&x->me->ticket[side], 0);
	exchange_fence();
	/* A wake-up that was for this one is the next one's, or theirs who do not queue. */
	if (!(ring_load(&x->header->turns[side].word) & TURN_HOLDER)) {
		wake_first(x, side);
		exchange_wake(x, side);
	}
}

/* --- the turn --- */

static void got_it(ipm_exchange *x, int side)
{
	struct exchange_turn *turn = &x->header->turns[side];

	x->hands[side].held = true;
	/* A former holder's; it was dealt with. */
	ring_store(&turn->owed, 0);
}

/* Takes the turn if it is free, and nobody comes first. */
static ipm_result grab(ipm_exchange *x, void *param)
{
	int side = *(int *)param;
	struct exchange_turn *turn = &x->header->turns[side];
	uint64_t word = ring_load_acquire(&turn->word), next, ticket;
	uint64_t mine = ring_load(&x->me->ticket[side]);

	if (word & TURN_HOLDER)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	next = ((word & ~TURN_QUEUED) + TURN_STEP) | (x->index + 1);
	if (word & TURN_QUEUED) {
		uint32_t i = first_ticket(x, side, x->index, &ticket);

		if (i != x->geometry.participants) {
			if (!mine || ticket < mine) {
				if (mine || !exchange_dead(x, ring_load_acquire(
								      &x->entries[i].owner)))
					return IPM_RESULT_ERR_WOULD_BLOCK;
				/* Who does not wait cannot come back to see it. */
				ring_cas(&x->entries[i].ticket[side], &ticket, 0);
				return IPM_RESULT_ERR_WOULD_BLOCK;
			}
			next |= TURN_QUEUED;
		}
	}
	if (!ring_cas(&turn->word, &word, next))
		return IPM_RESULT_ERR_WOULD_BLOCK;
	ring_store_release(&x->me->ticket[side], 0);
	got_it(x, side);
	return IPM_RESULT_SUCCESS;
}

/* Others may have had it since: what is in the boxes now. */
static ipm_result look_around(ipm_exchange *x, int side)
{
	struct exchange_hand *hand = &x->hands[side];
	struct exchange_box *out = &x->header->boxes[side];

	hand->number = head_number(ring_load_acquire(&out->head));
	hand->seen = ring_load_acquire(&out->consumed);
	hand->eaten = ring_load_acquire(&x->header->boxes[!side].consumed);
	if (hand->seen == hand->number || hand->seen + 1 == hand->number)
		return IPM_RESULT_SUCCESS;
	exchange_give_turn(x, side);
	return IPM_RESULT_ERR_CORRUPTED;
}

static __attribute__((noinline)) ipm_result take_turn_slow(ipm_exchange *x, int side,
							    int64_t deadline)
{
	ipm_result result;
	uint32_t i;

	if (deadline == IPM_DEADLINE_NOW) {
		/* Past dead ones, if there are. */
		result = IPM_RESULT_ERR_WOULD_BLOCK;
		for (i = 0; result == IPM_RESULT_ERR_WOULD_BLOCK && i < 4; i++)
			result = grab(x, &side);
	} else {
		enqueue(x, side);
		result = exchange_await(x, side, &x->me->word[side], grab, &side, deadline);
		if (result)
			leave_queue(x, side);
	}
	return result ? result : look_around(x, side);
}

ipm_result exchange_take_turn(ipm_exchange *x, int side, int64_t deadline)
{
	struct exchange_turn *turn = &x->header->turns[side];
	uint64_t word = ring_load_acquire(&turn->word), old = word;

	if (word & (TURN_HOLDER | TURN_QUEUED) ||
	    !ring_cas(&turn->word, &word, (word + TURN_STEP) | (x->index + 1)))
		return take_turn_slow(x, side, deadline);
	got_it(x, side);
	return old == x->hands[side].left ? IPM_RESULT_SUCCESS : look_around(x, side);
}

ipm_result exchange_give_turn(ipm_exchange *x, int side)
{
	struct exchange_turn *turn = &x->header->turns[side];
	uint64_t word = ring_load(&turn->word), next;
	int tries = EXCHANGE_TRIES;

	x->hands[side].held = false;
	do {
		if ((word & TURN_HOLDER) != x->index + 1 || !tries--)
			return IPM_RESULT_ERR_CORRUPTED;
		next = (word & ~TURN_HOLDER) + TURN_STEP;
		/* After everything that was done with it; pairs with those that take
		 * it. */
	} while (!__atomic_compare_exchange_n(&turn->word, &word, next, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	x->hands[side].left = next;
	/* Pairs with the fence of the sleepers, for this and for what was done
	 * before. */
	exchange_fence_after_swap();
	if (__builtin_expect(next & TURN_QUEUED, 0))
		wake_first(x, side);
	exchange_wake(x, side);
	exchange_wake(x, !side);
	return IPM_RESULT_SUCCESS;
}

bool exchange_turn_free(const ipm_exchange *x, int side)
{
	uint64_t word = ring_load_acquire(&x->header->turns[side].word), ticket;

	if (word & TURN_HOLDER)
		return false;
	return !(word & TURN_QUEUED) ||
	       first_ticket(x, side, x->index, &ticket) == x->geometry.participants;
}

/* --- the dead --- */

void exchange_raise(uint64_t *mark, uint64_t value)
{
	uint64_t old = ring_load(mark);
	int tries = EXCHANGE_TRIES;

	while (old < value && tries-- && !ring_cas(mark, &old, value))
		;
}

/*
 * The reader is told that the writer of an item that is not complete is dead. Readers
 * mark it, too, so this takes until one of the marks says what became of it: when the
 * turn is free nobody comes to look again.
 */
static void abort_item(ipm_exchange *x, struct exchange_box *box, uint64_t number,
		       uint64_t aborted)
{
	int tries = EXCHANGE_TRIES;

	while ((aborted >> MARK_SHIFT < number ||
		aborted == (number << MARK_SHIFT | MARK_READ)) && tries--) {
		/* Pairs with the acquires in exchange_arrive(), writer_gone(), keep(). */
		if (ring_cas(&box->aborted, &aborted, number << MARK_SHIFT | MARK_DIED)) {
			ring_count(&x->header->dropped, 1);
			break;
		}
	}
}

/*
 * What the holder of a turn left, who is dead: see the top of exchange.h. Everybody
 * may do this at once, also one who fell asleep in the middle of it: as long as the
 * word was the same after the loads, what was loaded is the dead one's.
 */
static void recover_turn(ipm_exchange *x, int side, uint64_t word)
{
	struct exchange_turn *turn = &x->header->turns[side];
	struct exchange_box *out = &x->header->boxes[side];
	uint64_t begun = ring_load(&turn->begun), owed = ring_load(&turn->owed);
	uint64_t head = ring_load_acquire(&out->head), number = head_number(head);
	uint64_t size = ring_load(&out->size), written = ring_load(&out->written);
	uint64_t consumed = ring_load(&out->consumed), aborted = ring_load(&out->aborted);
	uint64_t requests = side == CLIENTS ? number :
					      ring_load(&x->header->boxes[REQUESTS].consumed);
	uint64_t zero = begun;

	/* The loads come before the look at the word; pairs with those that give the
	 * turn. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (ring_load(&turn->word) != word)
		return;
	if (begun == number + 1) {
		if (ring_cas(&turn->begun, &zero, 0))
			ring_count(&x->header->dropped, 1);
	} else if ((head & HEAD_KIND) == KIND_STREAM && consumed != number &&
		   (written < size || size > x->geometry.window)) {
		abort_item(x, out, number, aborted);
	}
	if (owed && owed <= requests)
		exchange_raise(&out->given_up, owed << MARK_SHIFT | MARK_DIED);
	if (!ring_cas(&turn->word, &word, (word & ~TURN_HOLDER) + TURN_STEP))
		return;
	exchange_fence();
	wake_first(x, side);
	exchange_wake(x, side);
	exchange_wake(x, !side);
}

ipm_result exchange_recover(ipm_exchange *x)
{
	uint32_t i;
	int side;

	for (side = 0; side < 2; side++) {
		uint64_t word = ring_load_acquire(&x->header->turns[side].word), owner;
		uint64_t holder = word & TURN_HOLDER;

		if (!holder || holder == x->index + 1)
			continue;
		if (holder > x->geometry.participants)
			return IPM_RESULT_ERR_CORRUPTED;
		owner = ring_load_acquire(&x->entries[holder - 1].owner);
		/* Nobody leaves without giving the turn back. */
		if (!(owner & OWNER_USED) || exchange_dead(x, owner))
			recover_turn(x, side, word);
	}
	for (i = 0; i < x->geometry.participants; i++) {
		uint64_t tickets[2] = { ring_load_acquire(&x->entries[i].ticket[0]),
					ring_load_acquire(&x->entries[i].ticket[1]) };
		uint64_t owner = ring_load_acquire(&x->entries[i].owner);

		if (!tickets[0] && !tickets[1])
			continue;
		if (!exchange_dead(x, owner))
			continue;
		/* No ticket is drawn twice, so this cannot be the next owner's. */
		for (side = 0; side < 2; side++)
			if (tickets[side] &&
			    ring_cas(&x->entries[i].ticket[side], &tickets[side], 0)) {
				/* Pairs with the fence of the sleepers. */
				exchange_fence_after_swap();
				wake_first(x, side);
				exchange_wake(x, side);
			}
	}
	return IPM_RESULT_SUCCESS;
}

void exchange_recover_place(ipm_exchange *x)
{
	int side, tries;

	for (side = 0; side < 2; side++) {
		/* Again if it has changed in between: others queue meanwhile. */
		for (tries = EXCHANGE_TRIES; tries; tries--) {
			/* Pairs with those that give the turn, as in recover_turn(). */
			uint64_t word = ring_load_acquire(&x->header->turns[side].word);

			if ((word & TURN_HOLDER) != x->index + 1)
				break;
			recover_turn(x, side, word);
		}
	}
}
