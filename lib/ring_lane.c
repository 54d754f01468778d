// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One producer, one consumer: the SPSC kind, and each lane of the LANES kind.
 *
 * Positions count bytes since the ring was made, in multiples of 8; a position
 * modulo the size of the data is an offset. A record is a header of 8 bytes
 * and its payload, rounded up to 8:
 *
 *	bits 63..32	position / 8, low 32 bits
 *	bit  31		present
 *	bit  30		pad: no record, the rest up to the end of the lap
 *	bit  29		the payload begins at the next multiple of 64
 *	bits 28..0	bytes of payload
 *
 * The header is the flag that publishes the record, so a small message costs
 * the consumer one cache miss and not two. The idea of a header that doubles
 * as flag is that of Aeron's and of the BPF ring buffer's records.
 *
 * Invariants, at every instruction of both sides:
 *
 * - The word behind the newest record is zero. The producer clears ahead of
 *   itself in large steps, and never publishes a header whose end it has not
 *   cleared; so one word of the ring always stays unused.
 * - The producer writes only from the tail to the consumer's head.
 * - lane->intent is the position of the record that was begun last, with bit 0
 *   set while a reservation may be under way. What is published there decides
 *   whether the record exists, so a dead producer's tail is known. It is stored
 *   before anything is cleared for the next record: what is cleared may be the
 *   header of the last one, a lap ahead, if that was long and has been read.
 * - lane->cursor is how far the consumer has released, lane->taken how far it
 *   has handed out. They are equal when nothing is in hand. Records between
 *   them are delivered again after the consumer's death.
 * - lane->head <= lane->cursor; the consumer raises it rarely, because the
 *   producer reads it. The cursor is exact, changes with every record, and the
 *   producer looks at it only when the ring seems full.
 *
 * A side belongs to who stands in lane->producer or lane->consumer; all other
 * words of the side are written by that one only.
 */
#include "ring.h"

#define HDR_PRESENT ((uint64_t)IPM_RING_HDR_PRESENT)
#define HDR_PAD ((uint64_t)1 << 30)
#define HDR_LINE ((uint64_t)1 << 29)
#define HDR_LENGTH (HDR_LINE - 1)

/* From here on payload starts on a line of its own: wide copies are faster. */
#define LINE_SIZE (IPM_RING_FAST_MAX + 1)

/*
 * How far the producer clears ahead, in bytes; not more than a sixteenth of the
 * ring. The lines of the next step are fetched for writing at the same time.
 */
#define CLEAR_SMALL 4096
#define CLEAR_LARGE 64
#define CLEAR_PART 16

/* Payload up to here is fetched for writing before it is written. */
#define FETCH_PAYLOAD 4096

/* A consumer that drains more than this at a time fetches so far ahead. */
#define FETCH_BURST 2048
#define FETCH_AHEAD 512

/*
 * Most pauses that a side waits for the other one to get on with its work. A
 * consumer waits longer while it drains less than 1/BURST_UP of the ring at a
 * time, and shorter when it is more than 1/BURST_DOWN.
 */
#define WRITER_PATIENCE 128
#define READER_PATIENCE 128
#define BURST_UP 8
#define BURST_DOWN 2

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) & ~(to - 1);
}

static uint64_t header_make(uint64_t pos, uint64_t flags, uint64_t length)
{
	return pos << 29 | HDR_PRESENT | flags | length;
}

static uint64_t payload_at(uint64_t pos, uint64_t flags)
{
	return flags & HDR_LINE ? round_up(pos + 8, RING_LINE) : pos + 8;
}

/* A base is an address that may wrap around, so that base + position fits. */
static uint64_t *word_at(uintptr_t base, uint64_t pos)
{
	return (uint64_t *)(base + (uintptr_t)pos);
}

/* Room for the header, the unused word, and the gap in front of a line. */
uint64_t lane_max_record(uint64_t data_size)
{
	uint64_t max = data_size - 2 * RING_LINE;

	return max > HDR_LENGTH ? HDR_LENGTH : max;
}

uint64_t lane_record_space(uint64_t size)
{
	return size >= LINE_SIZE ? RING_LINE + round_up(size, RING_LINE) :
				   8 + round_up(size, 8);
}

/*
 * What a header at @pos says, if it is one that a correct producer can have
 * written: @end is where the next one stands.
 */
static bool header_parse(const ipm_ring *ring, uint64_t header, uint64_t pos,
			 uint64_t lap_end, uint64_t *flags, uint64_t *length,
			 uint64_t *end)
{
	uint64_t rest = header ^ header_make(pos, 0, 0);

	if (rest >= HDR_PRESENT)
		return false;
	*flags = rest & (HDR_PAD | HDR_LINE);
	*length = rest & HDR_LENGTH;
	if (*flags & HDR_PAD) {
		*end = lap_end;
		return *flags == HDR_PAD && !ring_doubled(ring) &&
		       pos + 8 + *length == lap_end;
	}
	*end = round_up(payload_at(pos, *flags) + *length, 8);
	return *length && *length <= ring->max_record &&
	       (ring_doubled(ring) || *end <= lap_end);
}

ipm_result lane_take_owner(ipm_ring *ring, uint64_t *word)
{
	uint64_t old = ring_load_acquire(word);

	if (old && !ring_owner_dead(ring, old))
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	/* Acquire: all that the former owner stored is seen. Pairs with the
	 * release when it gave the side back; a dead one stores no more. */
	if (!ring_cas(word, &old, ring->owner))
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	return IPM_RESULT_SUCCESS;
}

/*
 * The tail of a lane that has no living producer but the caller: begins at the
 * record that was begun last and passes over what is published.
 */
static ipm_result find_tail(const ipm_ring *ring, uint32_t i, uint64_t *tail,
			    uint64_t *cursor, bool *torn)
{
	uint64_t size = ring->geometry.data_size;
	struct ring_lane *lane = ring_lane_at(ring, i);
	uint64_t intent = ring_load(&lane->intent);
	/* Not the head: the producer may have used what the cursor gave. */
	uint64_t done = ring_load_acquire(&lane->cursor);
	uint64_t pos = intent & ~(uint64_t)7;
	unsigned int steps;

	/* The record at the intent may have been published and read since. */
	if ((intent & 6) || (done & 7) || pos > INT64_MAX ||
	    pos + size - done > 2 * size - 8)
		return IPM_RESULT_ERR_CORRUPTED;
	for (steps = 0; steps < 3; steps++) {
		uint64_t lap_end = (pos / size + 1) * size;
		uint64_t header = ring_load_acquire(
			word_at((uintptr_t)ring_data_at(ring, i), pos % size));
		uint64_t flags, length, end;

		if (!header)
			break;
		if (!header_parse(ring, header, pos, lap_end, &flags, &length,
				  &end))
			return IPM_RESULT_ERR_CORRUPTED;
		pos = end;
	}
	if (steps == 3 || pos - done > size - 8)
		return IPM_RESULT_ERR_CORRUPTED;
	*tail = pos;
	*cursor = done;
	*torn = (intent & 1) && pos == (intent & ~(uint64_t)7);
	return IPM_RESULT_SUCCESS;
}

/* Zeroes from w->cleared to @to, which is free space. */
static void clear_to(ipm_ring *ring, uint64_t to)
{
	struct lane_writer *w = &ring->w;
	uint64_t size = ring->geometry.data_size;

	while (w->cleared < to) {
		uintptr_t at = ring->fast.w_base + (uintptr_t)w->cleared;
		uint64_t n = to - w->cleared;

		if (w->cleared >= w->lap_end)
			at -= size;
		else if (n > w->lap_end - w->cleared)
			n = w->lap_end - w->cleared;
		__builtin_memset((void *)at, 0, n);
		w->cleared += n;
	}
}

static void set_limit(ipm_ring *ring)
{
	struct lane_writer *w = &ring->w;
	uint64_t limit = w->cleared - 8;

	ring->fast.w_limit = limit < w->lap_end ? limit : w->lap_end;
}

/*
 * Makes [@end, @end + 8) zero, and some more. What is between here and @end is
 * going to be payload and may stay as it is.
 */
static void clear_ahead(ipm_ring *ring, uint64_t end, uint64_t ahead)
{
	struct lane_writer *w = &ring->w;
	uint64_t to, limit = w->head + ring->geometry.data_size;
	uint64_t part = ring->geometry.data_size / CLEAR_PART & ~(uint64_t)(RING_LINE - 1);

	if (w->cleared >= end + 8)
		return;
	if (w->cleared < end)
		w->cleared = end;
	if (ahead > part)
		ahead = part;
	to = round_up(end + 8, RING_LINE) + ahead;
	clear_to(ring, to < limit ? to : limit);
	/* The lines that will be cleared next time come meanwhile. */
	if (w->cleared < w->lap_end) {
		uint64_t at = w->cleared, most = at + ahead;

		if (most > limit)
			most = limit;
		if (most > w->lap_end)
			most = w->lap_end;
		for (; at < most; at += RING_LINE)
			ring_fetch_for_writing(ring->fast.w_base + (uintptr_t)at);
	}
}

static void next_lap(ipm_ring *ring)
{
	ring->fast.w_base -= ring->geometry.data_size;
	ring->w.lap_end += ring->geometry.data_size;
}

ipm_result lane_open_writer(ipm_ring *ring, uint32_t i)
{
	uint64_t size = ring->geometry.data_size;
	struct lane_writer *w = &ring->w;
	struct ring_lane *lane = ring_lane_at(ring, i);
	uint64_t tail, cursor;
	ipm_result result;
	bool torn;

	result = find_tail(ring, i, &tail, &cursor, &torn);
	if (result)
		return result;
	w->lane = lane;
	w->data = ring_data_at(ring, i);
	w->lap_end = (tail / size + 1) * size;
	w->head = cursor;
	w->reserved = 0;
	w->patience = 0;
	ring->fast.w_base = (uintptr_t)w->data - (uintptr_t)(tail / size * size);
	ring->fast.w_pos = tail;
	ring->fast.w_intent = &lane->intent;
	ring->fast.w_count = ring_load(&lane->written);

	/* Counted before it is forgotten: once too often rather than never. */
	if (torn)
		ring_count(&ring->header->dropped, 1);
	ring_store(&lane->intent, tail);
	ring_kill_point();
	/* The former producer's payload may stand behind the tail. The word at
	 * the tail is zero, and the consumer may be looking at it. */
	w->cleared = tail + 8;
	clear_ahead(ring, tail + 8, CLEAR_SMALL);
	set_limit(ring);
	return IPM_RESULT_SUCCESS;
}

void lane_close_writer(ipm_ring *ring)
{
	struct lane_writer *w = &ring->w;

	ring_store(&w->lane->written, ring->fast.w_count);
	ring_store(&w->lane->intent, ring->fast.w_pos);
	ring->fast.w_limit = 0;
	/* Pairs with the acquire in lane_take_owner(). */
	ring_store_release(&w->lane->producer, 0);
	w->lane = NULL;
}

/* Uses a head or cursor out of shared memory, if it can be one. */
static bool take_head(ipm_ring *ring, uint64_t head)
{
	struct lane_writer *w = &ring->w;

	if ((head & 7) || head > ring->fast.w_pos)
		return false;
	/* The published head may be older than a cursor that was taken. */
	if (head > w->head)
		w->head = head;
	return true;
}

/*
 * Is [tail, @end) free, and the word behind it? The head is published rarely,
 * so before the ring counts as full the exact cursor is asked. That takes the
 * consumer's hottest line away from it: with a consumer that is at work the
 * producer waits for the published head a little, and learns how long from
 * what the cursor then gives.
 */
static ipm_result find_room(ipm_ring *ring, uint64_t end)
{
	uint64_t size = ring->geometry.data_size;
	struct lane_writer *w = &ring->w;
	uint64_t before = w->head;
	uint32_t i;

	if (end + 8 - w->head <= size)
		return IPM_RESULT_SUCCESS;
	for (i = 0; ; i++) {
		/* Pairs with the release in publish_head(): the consumer's
		 * reads are done before its space is written again. */
		if (!take_head(ring, ring_load_acquire(&w->lane->head)))
			return IPM_RESULT_ERR_CORRUPTED;
		if (end + 8 - w->head <= size)
			return IPM_RESULT_SUCCESS;
		if (i >= w->patience)
			break;
		ring_pause();
	}
	/* Pairs with the release in ipm_ring_fast_release(). */
	if (!take_head(ring, ring_load_acquire(&w->lane->cursor)))
		return IPM_RESULT_ERR_CORRUPTED;
	if (w->head == before)
		w->patience /= 2;
	else if (w->head - before < size / 16 && w->patience < WRITER_PATIENCE)
		w->patience = w->patience * 2 + 1;
	return end + 8 - w->head <= size ? IPM_RESULT_SUCCESS :
					   IPM_RESULT_ERR_WOULD_BLOCK;
}

ipm_result lane_reserve(ipm_ring *ring, size_t size, ipm_ring_record *record)
{
	struct ipm_ring_fast *f = &ring->fast;
	struct lane_writer *w = &ring->w;
	uint64_t flags = size >= LINE_SIZE ? HDR_LINE : 0;
	uint64_t payload, end, at;
	ipm_result result;

	if (!size)
		return IPM_RESULT_ERR_BAD_SIZE;
	if (size > ring->max_record)
		return IPM_RESULT_ERR_TOO_LARGE;
	if (w->reserved)
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	for (;;) {
		if (f->w_pos >= w->lap_end)
			next_lap(ring);
		payload = payload_at(f->w_pos, flags);
		end = round_up(payload + size, 8);
		if (ring_doubled(ring) || end <= w->lap_end)
			break;
		/* Does not fit before the end: pad. A pad is complete at once,
		 * so the intent has no bit set. */
		result = find_room(ring, w->lap_end);
		if (result)
			return result;
		ring_store(&w->lane->intent, f->w_pos);
		ring_kill_point();
		clear_ahead(ring, w->lap_end, CLEAR_SMALL);
		ring_store_release(word_at(f->w_base, f->w_pos),
				   header_make(f->w_pos, HDR_PAD,
					       w->lap_end - f->w_pos - 8));
		ring->nudge |= RING_NUDGE_READERS;
		f->w_pos = w->lap_end;
		next_lap(ring);
		set_limit(ring);
	}
	result = find_room(ring, end);
	if (result) {
		set_limit(ring);
		return result;
	}
	ring_store(&w->lane->intent, f->w_pos | 1);
	ring_kill_point();
	clear_ahead(ring, end, size >= 1024 ? CLEAR_LARGE : CLEAR_SMALL);
	ring_store(&w->lane->written, f->w_count);
	w->reserved = end;
	w->payload = payload;
	f->w_limit = 0;
	for (at = payload; size >= LINE_SIZE && at < end && at < payload + FETCH_PAYLOAD;
	     at += RING_LINE)
		ring_fetch_for_writing(f->w_base + (uintptr_t)at);
	record->data = (void *)(f->w_base + (uintptr_t)payload);
	record->size = size;
	record->id = f->w_pos;
	record->flags = 0;
	record->lane = ring->w_lane;
	record->priv[0] = 0;
	record->priv[1] = 0;
	return IPM_RESULT_SUCCESS;
}

static bool is_reserved(const ipm_ring *ring, const ipm_ring_record *record)
{
	return ring->w.reserved && record->id == ring->fast.w_pos &&
	       record->lane == ring->w_lane;
}

ipm_result lane_commit(ipm_ring *ring, const ipm_ring_record *record)
{
	struct ipm_ring_fast *f = &ring->fast;
	struct lane_writer *w = &ring->w;
	uint64_t size = record->size, pos = f->w_pos, end;

	if (!is_reserved(ring, record))
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (!size || size > ring->max_record ||
	    round_up(w->payload + size, 8) > w->reserved)
		return IPM_RESULT_ERR_BAD_SIZE;
	end = round_up(w->payload + size, 8);
	if (end < w->reserved) {
		/* Payload may stand where the next header will. */
		w->cleared = end;
		clear_ahead(ring, end, CLEAR_LARGE);
	}
	w->reserved = 0;
	/* Publishes payload and the cleared word behind it; pairs with the
	 * acquire in lane_peek() and ipm_ring_fast_peek(). */
	ring_store_release(word_at(f->w_base, pos),
			   header_make(pos, w->payload != pos + 8 ? HDR_LINE : 0,
				       size));
	f->w_pos = end;
	f->w_count++;
	set_limit(ring);
	return IPM_RESULT_SUCCESS;
}

ipm_result lane_discard(ipm_ring *ring, const ipm_ring_record *record)
{
	struct lane_writer *w = &ring->w;

	if (!is_reserved(ring, record))
		return IPM_RESULT_ERR_NOT_LOCKED;
	ring_store(&w->lane->intent, ring->fast.w_pos);
	w->reserved = 0;
	w->cleared = ring->fast.w_pos + 8;
	clear_ahead(ring, ring->fast.w_pos + 8, CLEAR_LARGE);
	set_limit(ring);
	return IPM_RESULT_SUCCESS;
}

static void publish_head(ipm_ring *ring)
{
	struct lane_reader *r = &ring->r;

	if (r->published == ring->fast.r_done)
		return;
	r->published = ring->fast.r_done;
	ring_store(&r->lane->read, ring->fast.r_count);
	/* Pairs with the acquire in find_room(). */
	ring_store_release(&r->lane->head, r->published);
}

/* Until where the fast path may go without coming here. */
static void set_read_limit(ipm_ring *ring)
{
	struct lane_reader *r = &ring->r;
	uint64_t limit = r->published + ring->geometry.data_size / 8;

	if (r->redeliver > ring->fast.r_pos)
		limit = ring->fast.r_pos;
	/* A record that ends with the lap is taken here, where the next place
	 * to look at is brought back to the start. */
	if (limit > r->lap_end - 8)
		limit = r->lap_end - 8;
	ring->fast.r_limit = limit;
}

ipm_result lane_open_reader(ipm_ring *ring, uint32_t i)
{
	uint64_t size = ring->geometry.data_size;
	struct ring_lane *lane = ring_lane_at(ring, i);
	struct lane_reader *r = &ring->r;
	uint64_t cursor = ring_load(&lane->cursor);
	uint64_t taken = ring_load(&lane->taken);

	if ((cursor & 7) || (taken & 7) || cursor > INT64_MAX ||
	    taken - cursor > size)
		return IPM_RESULT_ERR_CORRUPTED;
	r->lane = lane;
	r->index = i;
	r->data = ring_data_at(ring, i);
	r->lap_end = (cursor / size + 1) * size;
	r->redeliver = taken;
	r->pad_end = 0;
	r->published = ring_load(&lane->head);
	ring->fast.r_base = (uintptr_t)r->data - (uintptr_t)(cursor / size * size);
	ring->fast.r_pos = cursor;
	ring->fast.r_done = cursor;
	ring->fast.r_shared = &lane->cursor;
	ring->fast.r_count = ring_load(&lane->read);
	ring->fast.r_lane = i;
	r->burst = cursor;
	r->burst_count = ring->fast.r_count;
	publish_head(ring);
	set_read_limit(ring);
	return IPM_RESULT_SUCCESS;
}

void lane_close_reader(ipm_ring *ring)
{
	struct lane_reader *r = &ring->r;
	struct ipm_ring_fast *f = &ring->fast;

	publish_head(ring);
	ring_store(&r->lane->read, f->r_count);
	f->r_base = (uintptr_t)&ring->nothing;
	f->r_pos = 0;
	f->r_limit = 0;
	f->r_done = UINT64_MAX;
	f->r_lane = UINT32_MAX;
	/* Pairs with the acquire in lane_take_owner(). */
	ring_store_release(&r->lane->consumer, 0);
	r->lane = NULL;
	ring->nudge |= RING_NUDGE_LEASE;
}

/*
 * Records up to @to are in hand. What a dead consumer had in hand stays marked
 * for the next one.
 */
static void store_taken(ipm_ring *ring, uint64_t to)
{
	struct lane_reader *r = &ring->r;

	ring_store(&r->lane->taken, to > r->redeliver ? to : r->redeliver);
	ring_kill_point();
}

/* A pad counts as released with the record before it. */
static void pass_pad(ipm_ring *ring)
{
	struct lane_reader *r = &ring->r;

	if (!r->pad_end || ring->fast.r_done != r->pad)
		return;
	ring->fast.r_done = r->pad_end;
	if (ring->fast.r_done == ring->fast.r_pos)
		store_taken(ring, r->pad_end);
	ring_store_release(&r->lane->cursor, r->pad_end);
	r->pad_end = 0;
	ring->nudge |= RING_NUDGE_WRITERS;
}

/*
 * The ring is drained. Polling at once would take the line away from a
 * producer that is filling it, so a consumer that drains short bursts waits a
 * little, and learns how long. A ping-pong has bursts of one and never waits.
 */
static bool wait_for_burst(ipm_ring *ring, uint64_t *word)
{
	struct lane_reader *r = &ring->r;
	uint64_t size = ring->geometry.data_size;
	uint64_t burst = ring->fast.r_pos - r->burst;
	bool one = ring->fast.r_count == r->burst_count + 1;
	uint32_t i;

	if (!burst)
		return false;
	r->burst = ring->fast.r_pos;
	r->burst_count = ring->fast.r_count;
	ring->fast.r_ahead = burst >= FETCH_BURST ? FETCH_AHEAD : 0;
	if (one || burst > size / BURST_DOWN)
		r->patience /= 2;
	else if (burst < size / BURST_UP && r->patience < READER_PATIENCE)
		r->patience = r->patience * 2 + 1;
	if (!r->patience)
		return false;
	for (i = 0; i < r->patience; i++)
		ring_pause();
	return ring_load(word) != 0;
}

/* At all times the word at r_pos is in the ring: the fast paths look at it. */
static void move_reader(ipm_ring *ring, uint64_t pos)
{
	uint64_t size = ring->geometry.data_size;
	struct lane_reader *r = &ring->r;

	ring->fast.r_pos = pos;
	if (pos >= r->lap_end) {
		ring->fast.r_base -= size;
		r->lap_end += size;
	} else if (pos < r->lap_end - size) {
		ring->fast.r_base += size;
		r->lap_end -= size;
	}
}

ipm_result lane_peek(ipm_ring *ring, ipm_ring_record *record)
{
	struct ipm_ring_fast *f = &ring->fast;
	struct lane_reader *r = &ring->r;
	uint64_t size = ring->geometry.data_size;
	unsigned int pads;

	/* Two pads in a row are impossible: each ends a lap. */
	for (pads = 0; pads < 2; ) {
		uint64_t pos = f->r_pos, header, flags, length, end;

		pass_pad(ring);
		/* Pairs with the release that publishes the record. */
		header = ring_load_acquire(word_at(f->r_base, pos));
		if (!header) {
			/* Who polls both lines of a record has them come at once. In
			 * a stream they are left to the producer. */
			if (!r->patience)
				__builtin_prefetch((const char *)word_at(f->r_base, pos) +
						   RING_LINE);
			publish_head(ring);
			set_read_limit(ring);
			if (wait_for_burst(ring, word_at(f->r_base, pos)))
				continue;
			return IPM_RESULT_ERR_WOULD_BLOCK;
		}
		if (f->r_done - r->published >= size / 8)
			publish_head(ring);
		if (!header_parse(ring, header, pos, r->lap_end, &flags,
				  &length, &end) ||
		    end - f->r_done > size)
			return IPM_RESULT_ERR_CORRUPTED;
		if (flags & HDR_PAD) {
			if (r->pad_end)
				return IPM_RESULT_ERR_CORRUPTED;
			r->pad = pos;
			r->pad_end = end;
			move_reader(ring, end);
			pads++;
			continue;
		}
		store_taken(ring, end);
		record->flags = 0;
		if (pos < r->redeliver) {
			record->flags = IPM_RING_REDELIVERED;
			ring_count(&ring->header->redelivered, 1);
		}
		record->data = (void *)(f->r_base + (uintptr_t)payload_at(pos, flags));
		move_reader(ring, end);
		record->size = length;
		record->id = pos;
		record->lane = r->index;
		record->priv[0] = end;
		record->priv[1] = 0;
		set_read_limit(ring);
		return IPM_RESULT_SUCCESS;
	}
	return IPM_RESULT_ERR_CORRUPTED;
}

/* Takes back the lane_peek() that gave @record, the newest one in hand. */
void lane_unpeek(ipm_ring *ring, const ipm_ring_record *record)
{
	if (record->flags & IPM_RING_REDELIVERED)
		ring_count(&ring->header->redelivered, (uint64_t)-1);
	store_taken(ring, record->id);
	move_reader(ring, record->id);
	set_read_limit(ring);
}

ipm_result lane_release(ipm_ring *ring, const ipm_ring_record *record)
{
	struct ipm_ring_fast *f = &ring->fast;
	struct lane_reader *r = &ring->r;
	uint64_t end = record->priv[0];

	if (record->lane != r->index)
		return IPM_RESULT_ERR_NOT_LOCKED;
	pass_pad(ring);
	if (record->id != f->r_done)
		return record->id > f->r_done && record->id < f->r_pos ?
			IPM_RESULT_ERR_BAD_VALUE : IPM_RESULT_ERR_NOT_LOCKED;
	if (end <= f->r_done || end > f->r_pos)
		return IPM_RESULT_ERR_NOT_LOCKED;
	f->r_done = end;
	f->r_count++;
	/* As in ipm_ring_fast_release(). */
	ring_store_release(&r->lane->cursor, end);
	pass_pad(ring);
	return IPM_RESULT_SUCCESS;
}

/*
 * The consumer's way out of a lane whose records make no sense: on to the
 * record that the producer began last.
 */
ipm_result lane_resync(ipm_ring *ring, uint64_t *skipped)
{
	struct ipm_ring_fast *f = &ring->fast;
	struct lane_reader *r = &ring->r;
	uint64_t size = ring->geometry.data_size;
	uint64_t to = ring_load_acquire(&r->lane->intent) & ~(uint64_t)7;

	if (lane_in_hand(ring))
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	if (to == f->r_pos || to - f->r_pos > size || to > INT64_MAX)
		return IPM_RESULT_ERR_CORRUPTED;
	r->pad_end = 0;
	r->lap_end = (to / size + 1) * size;
	f->r_base = (uintptr_t)r->data - (uintptr_t)(to / size * size);
	f->r_pos = to;
	f->r_done = to;
	r->redeliver = to;
	store_taken(ring, to);
	ring_store_release(&r->lane->cursor, to);
	publish_head(ring);
	set_read_limit(ring);
	*skipped = 1;
	return IPM_RESULT_SUCCESS;
}

/* Bytes between the consumer and the newest record, as seen by anybody. */
uint64_t lane_used(const ipm_ring *ring, uint32_t i)
{
	uint64_t size = ring->geometry.data_size;
	struct ring_lane *lane = ring_lane_at(ring, i);
	uint64_t cursor = ring_load_acquire(&lane->cursor);
	uint64_t pos = ring_load_acquire(&lane->intent) & ~(uint64_t)7;
	uint64_t flags, length, end, used;

	if (header_parse(ring, ring_load_acquire(word_at((uintptr_t)ring_data_at(ring, i),
							 pos % size)),
			 pos, (pos / size + 1) * size, &flags, &length, &end))
		pos = end;
	/* The two were not loaded at the same time. */
	used = pos - cursor;
	return used <= size ? used : 0;
}

bool lane_in_hand(ipm_ring *ring)
{
	pass_pad(ring);
	return ring->fast.r_pos != ring->fast.r_done;
}

/*
 * A look from outside, to see whether a lease is worth its while: the word may
 * be payload by now. So whatever it says is only a reason to look properly, and
 * the thread sanitizer need not know of it.
 */
__attribute__((no_sanitize("thread")))
bool lane_has_record(const ipm_ring *ring, uint32_t i)
{
	struct ring_lane *lane = ring_lane_at(ring, i);
	uint64_t cursor = ring_load_acquire(&lane->cursor) & ~(uint64_t)7;

	return ring_load(word_at((uintptr_t)ring_data_at(ring, i),
				 cursor % ring->geometry.data_size)) != 0;
}

ipm_result lane_recover_producer(ipm_ring *ring, uint32_t i, uint64_t owner,
				 uint64_t *records)
{
	struct ring_lane *lane = ring_lane_at(ring, i);
	ipm_result result;
	uint64_t tail, cursor;
	bool torn;

	if (!ring_cas(&lane->producer, &owner, ring->owner))
		return IPM_RESULT_SUCCESS;
	result = find_tail(ring, i, &tail, &cursor, &torn);
	if (!result) {
		if (torn) {
			ring_count(&ring->header->dropped, 1);
			++*records;
		}
		ring_store(&lane->intent, tail);
	}
	ring_store_release(&lane->producer, 0);
	return result;
}

ipm_result lane_recover_consumer(ipm_ring *ring, uint32_t i, uint64_t owner,
				 uint64_t *records)
{
	struct ring_lane *lane = ring_lane_at(ring, i);
	uint64_t cursor, taken;

	if (!ring_cas(&lane->consumer, &owner, ring->owner))
		return IPM_RESULT_SUCCESS;
	cursor = ring_load(&lane->cursor);
	taken = ring_load(&lane->taken);
	/* How many records are in between the next consumer will find. */
	if (taken != cursor)
		++*records;
	ring_store_release(&lane->head, cursor);
	ring_store_release(&lane->consumer, 0);
	ring->nudge |= RING_NUDGE_LEASE;
	return IPM_RESULT_SUCCESS;
}
