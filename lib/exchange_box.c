// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Exchanges: putting an item into a box and taking it out. See the top of
 * exchange.h for what the words mean.
 */
#include "exchange.h"

/* Items up to this are copied into the window before they are published: starting
 * together would save less than it costs. */
#define WHOLE_MAX 8192u

/* How often a streamed item's marks move. */
#define CHUNK 32768u

/* A smaller start lets the reader begin sooner. */
#define FIRST_CHUNK 8192u

/* How often a reader may want an item from the start before it got any of it. */
#define RESTARTS 10000

/* Inside only: the reader wants the item once more. */
#define AGAIN IPM_RESULT_COUNT

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Both sides of a small window have to find something to do. */
static uint64_t chunk_of(uint64_t window)
{
	return smaller(CHUNK, window / 4);
}

/* What box->aborted says of an item. */
static bool gives_up(uint64_t mark, uint64_t number)
{
	return mark >> MARK_SHIFT >= number && mark != (number << MARK_SHIFT | MARK_READ);
}

/* --- the writer --- */

static ipm_result empty(ipm_exchange *x, void *param)
{
	int side = *(int *)param;
	struct exchange_hand *hand = &x->hands[side];
	uint64_t consumed;

	if (hand->seen == hand->number)
		return IPM_RESULT_SUCCESS;
	/* Pairs with the release in exchange_eat(): the reader is done with it. */
	consumed = ring_load_acquire(&x->header->boxes[side].consumed);
	if (consumed == hand->number) {
		hand->seen = consumed;
		return IPM_RESULT_SUCCESS;
	}
	if (consumed + 1 != hand->number)
		return IPM_RESULT_ERR_CORRUPTED;
	return side == SERVERS ? exchange_reply_gone(x) : IPM_RESULT_ERR_WOULD_BLOCK;
}

ipm_result exchange_wait_empty(ipm_exchange *x, int side, int64_t deadline)
{
	struct exchange_hand *hand = &x->hands[side];

	if (hand->seen == hand->number)
		return IPM_RESULT_SUCCESS;
	return exchange_await(x, side, NULL, empty, &side, deadline);
}

void exchange_set_head(ipm_exchange *x, int side, uint32_t head, uint64_t size)
{
	struct exchange_box *box = &x->header->boxes[side];
	uint64_t number = x->hands[side].number + 1;

	ring_store(&box->size, size);
	ring_store(&box->ack, side == CLIENTS ? x->hands[CLIENTS].eaten : x->owes);
	/* All of the item is before it; pairs with the acquire in exchange_arrive(). */
	ring_store_release(&box->head, number << HEAD_SHIFT | head);
	x->hands[side].number = number;
}

struct stream {
	int side;
	uint64_t size;
	uint64_t at;
	uint64_t want;
	uint64_t epoch;
};

/* What ends the writing of an item that is larger than the window. */
static ipm_result interrupted(ipm_exchange *x, const struct stream *s)
{
	struct exchange_box *box = &x->header->boxes[s->side];

	/* Pairs with the release in start_over(): the mark "read" is 0. */
	if (ring_load_acquire(&box->again) != s->epoch)
		return AGAIN;
	if (ring_load_acquire(&box->consumed) == x->hands[s->side].number)
		return IPM_RESULT_SUCCESS;
	return s->side == SERVERS ? exchange_reply_gone(x) : IPM_RESULT_ERR_WOULD_BLOCK;
}

/* Room for as much as is to be written next. */
static ipm_result room(ipm_exchange *x, void *param)
{
	struct stream *s = param;
	struct exchange_box *box = &x->header->boxes[s->side];
	ipm_result result = interrupted(x, s);
	uint64_t read = 0;

	if (result != IPM_RESULT_ERR_WOULD_BLOCK)
		/* Whoever took it away did not read all of it. */
		return result ? result : IPM_RESULT_ERR_REMOVED;
	/* Pairs with the releases in begin_reading() and read_on(). */
	if (ring_load_acquire(&box->read_of) == x->hands[s->side].number)
		read = ring_load_acquire(&box->read);
	if (read > s->at)
		return IPM_RESULT_ERR_CORRUPTED;
	return s->at - read + s->want <= x->geometry.window ? IPM_RESULT_SUCCESS :
							      IPM_RESULT_ERR_WOULD_BLOCK;
}

static ipm_result all_read(ipm_exchange *x, void *param)
{
	return interrupted(x, param);
}

static ipm_result write_on(ipm_exchange *x, struct stream *s, const unsigned char *data,
			   int64_t deadline)
{
	struct exchange_box *box = &x->header->boxes[s->side];
	uint64_t window = x->geometry.window, chunk = chunk_of(window);
	bool large = s->size > window;
	ipm_result result;

	while (s->at < s->size) {
		uint64_t offset = s->at % window;

		s->want = smaller(s->at ? chunk : smaller(chunk, FIRST_CHUNK),
				  smaller(s->size - s->at, window - offset));
		if (large) {
			result = exchange_await(x, s->side, NULL, room, s, deadline);
			if (result)
				return result;
		}
		memcpy(x->windows[s->side] + offset, data + s->at, s->want);
		s->at += s->want;
		/* After the bytes; pairs with the acquire in more(). */
		ring_store_release(&box->written, s->at);
		exchange_fence();
		exchange_wake(x, !s->side);
	}
	return large ? exchange_await(x, s->side, NULL, all_read, s, deadline) :
		       IPM_RESULT_SUCCESS;
}

/*
 * Something has ended the writing of an item that is larger than the window. If that was a
 * signal or the deadline, and the reader has all of it by now, it is published; the
 * reader takes it out of the box in a moment, if it lives.
 */
static ipm_result give_up(ipm_exchange *x, int side, ipm_result result)
{
	struct exchange_box *box = &x->header->boxes[side];
	uint64_t mine = x->hands[side].number << MARK_SHIFT, kept = mine | MARK_READ;
	bool waited = result == IPM_RESULT_INTERRUPTED || result == IPM_RESULT_ERR_TIMEOUT;

	exchange_raise(&box->aborted, mine);
	/* Pairs with the swap in keep(): whose mark it is. */
	if (ring_load_acquire(&box->aborted) == kept && waited &&
	    exchange_dead(x, ring_load(&box->keeper)))
		/* It may have got away with it before it died: pairs with the release in
		 * exchange_eat(). */
		waited = ring_load_acquire(&box->consumed) == x->hands[side].number;
	if (ring_cas(&box->aborted, &kept, waited ? mine | MARK_DONE : mine) && waited)
		return IPM_RESULT_SUCCESS;
	/* Whoever comes after a dead reader takes its mark back. */
	exchange_raise(&box->aborted, mine);
	/* The reader takes it out of the box, and forgets it. */
	exchange_fence();
	exchange_wake(x, !side);
	return result;
}

static ipm_result send_stream(ipm_exchange *x, int side, uint32_t head, const void *data,
			      uint64_t size, int64_t deadline)
{
	struct exchange_box *box = &x->header->boxes[side];
	struct stream s = { .side = side, .size = size };
	unsigned int restarts = 0;
	ipm_result result;

	ring_store(&box->written, 0);
	s.epoch = ring_load_acquire(&box->again);
	ring_store(&box->epoch, s.epoch);
	exchange_set_head(x, side, head | KIND_STREAM, size);
	exchange_fence();
	exchange_wake(x, !side);
	while ((result = write_on(x, &s, data, deadline)) == AGAIN) {
		restarts = s.at ? 0 : restarts + 1;
		result = restarts > RESTARTS ? IPM_RESULT_ERR_CORRUPTED : exchange_late(deadline);
		if (result)
			break;
		s.at = 0;
		s.epoch = ring_load_acquire(&box->again);
		ring_store(&box->written, 0);
		/* After written; pairs with the acquire in started_over(). */
		ring_store_release(&box->epoch, s.epoch);
		exchange_fence();
		exchange_wake(x, !side);
	}
	if (result)
		return give_up(x, side, result);
	if (size > x->geometry.window)
		x->hands[side].seen = x->hands[side].number;
	return IPM_RESULT_SUCCESS;
}

ipm_result exchange_send(ipm_exchange *x, int side, uint32_t head, const void *data, size_t size,
			 int64_t deadline)
{
	exchange_begin(x, side);
	if (size > WHOLE_MAX || size > x->geometry.window)
		return send_stream(x, side, head, data, size, deadline);
	head |= size <= SMALL_MAX ? KIND_SMALL : KIND_WHOLE;
	if (size)
		memcpy(exchange_where(x, side, head), data, size);
	exchange_set_head(x, side, head, size);
	return IPM_RESULT_SUCCESS;
}

/* --- the reader --- */

/* An item that its writer, or who waited for it, has given up. */
static void drop(ipm_exchange *x, int side, uint64_t number)
{
	exchange_eat(x, side, number);
	exchange_fence();
	exchange_wake(x, !side);
}

/*
 * Drops the item that a reader finds marked as @aborted. Where its writer left because
 * another reader had it, that one died before it took it out: nobody answers it.
 */
static void drop_aborted(ipm_exchange *x, int side, const struct exchange_arrival *a,
			 uint64_t aborted)
{
	if (aborted == (a->number << MARK_SHIFT | MARK_DONE)) {
		ring_count(&x->header->dropped, 1);
		/* Before the item is gone: whoever dies in between leaves it to the next. */
		if (side == SERVERS && a->head & HEAD_REQUEST)
			exchange_raise(&x->header->boxes[REPLIES].given_up,
				       a->number << MARK_SHIFT | MARK_DIED);
	}
	drop(x, side, a->number);
}

ipm_result exchange_arrive(ipm_exchange *x, int side, struct exchange_arrival *a)
{
	struct exchange_box *box = &x->header->boxes[!side];
	/* Pairs with the release in exchange_set_head(). */
	uint64_t head = ring_load_acquire(&box->head);
	uint64_t eaten = x->hands[side].eaten, aborted;

	a->number = head_number(head);
	if (a->number == eaten)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	if (a->number != eaten + 1)
		return IPM_RESULT_ERR_CORRUPTED;
	a->head = head & (HEAD_KIND | HEAD_REQUEST);
	a->size = ring_load(&box->size);
	a->ack = ring_load(&box->ack);
	a->item = 0;
	switch (head & HEAD_KIND) {
	case KIND_SMALL:
		if (a->size > SMALL_MAX)
			return IPM_RESULT_ERR_CORRUPTED;
		break;
	case KIND_WHOLE:
		if (a->size > x->geometry.window)
			return IPM_RESULT_ERR_CORRUPTED;
		break;
	case KIND_STREAM:
		/* Pairs with the swaps of give_up() and abort_item(). */
		aborted = ring_load_acquire(&box->aborted);
		if (!gives_up(aborted, a->number))
			break;
		drop_aborted(x, side, a, aborted);
		return IPM_RESULT_ERR_WOULD_BLOCK;
	default:
		return IPM_RESULT_ERR_CORRUPTED;
	}
	if (side == CLIENTS)
		return IPM_RESULT_SUCCESS;
	if (head & HEAD_REQUEST) {
		if (x->geometry.flags & IPM_EXCHANGE_ONE_WAY)
			return IPM_RESULT_ERR_CORRUPTED;
		if (ring_load_acquire(&box->given_up) >> MARK_SHIFT >= a->number) {
			ring_count(&x->header->dropped, 1);
			drop(x, side, a->number);
			return IPM_RESULT_ERR_WOULD_BLOCK;
		}
		a->item |= IPM_EXCHANGE_REQUEST;
	}
	if (ring_load(&x->header->turns[SERVERS].taken) == a->number)
		a->item |= IPM_EXCHANGE_REDELIVERED;
	/* The client says how far it has read: no need to fetch its line for that. */
	if (a->ack == x->hands[SERVERS].number)
		x->hands[SERVERS].seen = a->ack;
	return IPM_RESULT_SUCCESS;
}

struct reading {
	int side;
	const struct exchange_arrival *a;
	uint64_t at;
	uint64_t written;
	uint64_t epoch;
};

static ipm_result writer_left(ipm_exchange *x, const struct reading *r, uint64_t aborted)
{
	drop_aborted(x, r->side, r->a, aborted);
	return (aborted & MARK_DONE) == MARK_DIED ? IPM_RESULT_ERR_PEER_DIED : EXCHANGE_GONE;
}

static ipm_result writer_gone(ipm_exchange *x, const struct reading *r)
{
	/* Pairs with the swaps of give_up() and abort_item(). */
	uint64_t aborted = ring_load_acquire(&x->header->boxes[!r->side].aborted);

	return gives_up(aborted, r->a->number) ? writer_left(x, r, aborted) :
						 IPM_RESULT_ERR_WOULD_BLOCK;
}

/* More of a streamed item than was read. */
static ipm_result more(ipm_exchange *x, void *param)
{
	struct reading *r = param;
	/* Pairs with the release in write_on(). */
	uint64_t written = ring_load_acquire(&x->header->boxes[!r->side].written);

	if (written < r->at || written > r->a->size || written - r->at > x->geometry.window)
		return IPM_RESULT_ERR_CORRUPTED;
	r->written = written;
	if (written > r->at || written == r->a->size)
		return IPM_RESULT_SUCCESS;
	return writer_gone(x, r);
}

static ipm_result complete(ipm_exchange *x, void *param)
{
	struct reading *r = param;
	uint64_t written = ring_load_acquire(&x->header->boxes[!r->side].written);

	if (written > r->a->size)
		return IPM_RESULT_ERR_CORRUPTED;
	return written == r->a->size ? IPM_RESULT_SUCCESS : writer_gone(x, r);
}

ipm_result exchange_wait_complete(ipm_exchange *x, int side, const struct exchange_arrival *a,
				  int64_t deadline)
{
	struct reading r = { .side = side, .a = a };

	if ((a->head & HEAD_KIND) != KIND_STREAM)
		return IPM_RESULT_SUCCESS;
	if (a->size > x->geometry.window)
		return IPM_RESULT_ERR_TOO_LARGE;
	return exchange_await(x, side, NULL, complete, &r, deadline);
}

static ipm_result started_over(ipm_exchange *x, void *param)
{
	struct reading *r = param;

	/* Pairs with the release in send_stream(): written is from 0 again. */
	if (ring_load_acquire(&x->header->boxes[!r->side].epoch) == r->epoch)
		return IPM_RESULT_SUCCESS;
	return writer_gone(x, r);
}

/* The first byte of an item that is larger than the window has to be there still. */
static ipm_result begin_reading(ipm_exchange *x, struct reading *r, int64_t deadline)
{
	struct exchange_box *box = &x->header->boxes[!r->side];
	uint64_t kept = r->a->number << MARK_SHIFT | MARK_READ;

	if (ring_load(&box->read_of) != r->a->number) {
		ring_store(&box->read, 0);
		/* Pairs with the acquire in room(). */
		ring_store_release(&box->read_of, r->a->number);
		return IPM_RESULT_SUCCESS;
	}
	/* Another one has begun with it; what it read may have been overwritten. It is
	 * dead, and what it had is not: before the writer hears of this one. */
	ring_cas(&box->aborted, &kept, (r->a->number - 1) << MARK_SHIFT);
	ring_store(&box->read, 0);
	r->epoch = ring_load(&box->again) + 1;
	/* Pairs with the acquire in interrupted(). */
	ring_store_release(&box->again, r->epoch);
	exchange_fence();
	exchange_wake(x, !r->side);
	return exchange_await(x, r->side, NULL, started_over, r, deadline);
}

/* All of it was read: it is the reader's, unless the writer gave it up before. */
static ipm_result keep(ipm_exchange *x, const struct reading *r)
{
	struct exchange_box *box = &x->header->boxes[!r->side];
	uint64_t mark = ring_load_acquire(&box->aborted), number = r->a->number;
	int tries = EXCHANGE_TRIES;

	ring_store(&box->keeper, x->identity);
	while (mark >> MARK_SHIFT < number) {
		/* Who cleans up may be late, and mark a former item once. */
		if (!tries--)
			return IPM_RESULT_ERR_CORRUPTED;
		/* Pairs with the loads in give_up(), which tell of the keeper, too. */
		if (ring_cas(&box->aborted, &mark, number << MARK_SHIFT | MARK_READ))
			return IPM_RESULT_SUCCESS;
	}
	return gives_up(mark, number) ? writer_left(x, r, mark) : IPM_RESULT_SUCCESS;
}

static ipm_result read_stream(ipm_exchange *x, int side, const struct exchange_arrival *a,
			      unsigned char *buffer, int64_t deadline)
{
	struct exchange_box *box = &x->header->boxes[!side];
	struct reading r = { .side = side, .a = a };
	uint64_t window = x->geometry.window, chunk = chunk_of(window);
	bool large = a->size > window;
	ipm_result result = IPM_RESULT_SUCCESS;

	if (large)
		result = begin_reading(x, &r, deadline);
	while (!result && r.at < a->size) {
		result = exchange_await(x, side, NULL, more, &r, deadline);
		/* A copy may take its time, but not who feeds it byte by byte. */
		if (!result && r.written - r.at < chunk && r.written < a->size)
			result = exchange_late(deadline);
		while (!result && r.at < r.written) {
			uint64_t offset = r.at % window;
			uint64_t n = smaller(smaller(r.written - r.at, chunk), window - offset);

			memcpy(buffer + r.at, x->windows[!side] + offset, n);
			r.at += n;
			if (!large)
				continue;
			/* After the bytes were read; pairs with the acquire in room(). */
			ring_store_release(&box->read, r.at);
			exchange_fence();
			exchange_wake(x, !side);
		}
	}
	return large && !result ? keep(x, &r) : result;
}

ipm_result exchange_receive(ipm_exchange *x, int side, const struct exchange_arrival *a,
			    void *buffer, int64_t deadline)
{
	struct exchange_turn *turn = &x->header->turns[side];
	ipm_result result;

	ring_store(&turn->taken, a->number);
	ring_kill_point();
	if ((a->head & HEAD_KIND) == KIND_STREAM) {
		result = read_stream(x, side, a, buffer, deadline);
		if (result && result != IPM_RESULT_ERR_PEER_DIED && result != EXCHANGE_GONE)
			/* It is still there, and nobody died. */
			ring_store(&turn->taken, 0);
		return result;
	}
	if (a->size)
		memcpy(buffer, exchange_where(x, !side, a->head), a->size);
	return IPM_RESULT_SUCCESS;
}
