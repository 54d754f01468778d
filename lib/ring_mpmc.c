// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Any number of producers and consumers, one order, and no instant at which
 * the death of one of them stops the others.
 *
 * The data area is an array of 64-byte blocks. A record takes whole blocks in
 * a row; a position counts blocks, so position / blocks is the lap and the
 * rest the index. Each block has a cell in an array of their own: a control
 * word, and 8 bytes beside it, for a record that needs no more. Cells do not
 * move, so no payload can be mistaken for a word, and word and payload of a
 * small record are in one line. The word of a record's first block holds all
 * that is known about it:
 *
 *	bits 63..61	state
 *	bits 60..41	length in bytes
 *	FREE, READY, AGAIN:
 *	bits 40..0	lap
 *	BUSY, CLAIMED, SKIPPED:
 *	bits 40..29	owner, an index into the table of participants
 *	bits 28..0	lap, its low 29 bits
 *
 * Steps, each one atomic operation:
 *
 *	(older lap)	-> BUSY		producer's compare-and-swap: reserves,
 *					and names owner and length at once
 *	BUSY		-> READY	its store: commits
 *	BUSY		-> FREE		its store: discards
 *	READY, AGAIN	-> CLAIMED	consumer's compare-and-swap
 *	CLAIMED		-> FREE		its store: releases
 *	BUSY		-> FREE		anybody's compare-and-swap, owner dead
 *	CLAIMED		-> AGAIN	anybody's compare-and-swap, owner dead:
 *					ready, to be delivered again
 *	BUSY		-> SKIPPED	consumer's compare-and-swap, forced
 *	SKIPPED		-> FREE		the owner's store, or when it is dead
 *	(older lap)	-> FREE		producer's compare-and-swap: a pad, where
 *					a record does not fit before the end
 *	(older lap)	-> READY	producer's compare-and-swap of word and
 *					payload: a whole record, in its cell
 *
 * Everybody walks from word to word by the lengths. A boundary is a position
 * at which a record starts or will start. Invariants:
 *
 * - head (header->head) is a boundary; every record before it is FREE for
 *   good. The tail is the first boundary whose word is of an older lap.
 *   head <= tail <= head + blocks. A producer that needs more room raises the
 *   head over FREE words, and reserves only after that; nobody lowers it.
 * - Walking from a boundary between head and tail, whoever sees a word of an
 *   older lap is at the tail at that moment, because the record that ends here
 *   was there and none begins here yet.
 * - A word of a newer lap says that the head has passed: the walk starts again
 *   from the head.
 * - header->tail is a hint: a boundary, raised now and then.
 * - Blocks inside a record keep the word of an older lap, for as long as no
 *   record begins there. Lest its lap seem to be new again, all words are
 *   written in every lap whose number is a multiple of REFRESH_LAPS: by the
 *   owner of the record, with FREE, the lap and length 0. So no word is older
 *   than REFRESH_LAPS + 1 laps.
 * - A handle may come back to a place after any time. The 29 bits of lap in an
 *   owned word count only if the head, loaded after the word, has not passed
 *   the place: then the lap is the place's or the one before.
 *
 * A compare-and-swap that was prepared long ago fails unless the word has the
 * same bits again. FREE and READY have 41 bits of lap: years at the speed of
 * this machine's caches. BUSY and CLAIMED are only swapped by others after the
 * death of the owner, and an index is given to a new participant only after
 * the whole ring was searched for what the dead one had, and while nobody is
 * about to finish something for that index: who is says so in its entry before
 * it looks who is dead.
 *
 * The reservation by one word that names the owner is this project's; the walk
 * over lengths and the lap in each cell are in the manner of D. Vyukov's
 * bounded MPMC queue.
 */
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <sched.h>

#include "ring.h"

enum state {
	FREE = 0,
	BUSY = 1,
	READY = 2,
	CLAIMED = 3,
	AGAIN = 4,
	SKIPPED = 5
};

#define BLOCK ((uint64_t)RING_LINE)
#define LENGTH_BITS 20
#define MAX_LENGTH (((uint64_t)1 << LENGTH_BITS) - 1)
#define LAP_BITS 41
#define LAP_MASK (((uint64_t)1 << LAP_BITS) - 1)
#define SHORT_LAP_BITS 29
#define SHORT_LAP_MASK (((uint64_t)1 << SHORT_LAP_BITS) - 1)
#define CELL_PAYLOAD sizeof(((struct ring_cell *)NULL)->payload)
#define REFRESH_LAPS ((uint64_t)1 << (SHORT_LAP_BITS - 2))

/* A consumer looks behind itself after that many records even if it is busy. */
#define LOOK_RECORDS 4096
/* After how many records the counters in shared memory follow. */
#define COUNT_RECORDS 32
/* How often a walk may be overtaken by the head before it gives up. */
#define MAX_RESTARTS 64
#define READER_PATIENCE 256
/* How often somebody who attaches lets others finish what they do for the dead. */
#define ENTER_TRIES 1000
/* Lines of a record that are fetched before they are needed, and how many
 * blocks ahead of its record a producer does that. */
#define FETCH_BLOCKS 64
#define FETCH_AHEAD 8
#define LONG_BURST 256
/* A consumer fetches so many blocks ahead once it has read so many records
 * without finding the ring empty. */
#define READ_AHEAD 8
#define STREAM_RECORDS 32
/* How long a producer lets another one pass. */
#define TAIL_PAUSES 16
/* How long a consumer leaves the line to who is about to commit there. */
#define BUSY_PAUSES 3
/* How long one that finds the ring full again lets consumers be, and how often. */
#define FULL_PAUSES 64
#define FULL_WAITS 8
/* Cells are fetched so far ahead, a line at a time. */
#define CELLS_PER_LINE (RING_LINE / sizeof(struct ring_cell))
#define FETCH_CELLS (4 * CELLS_PER_LINE)

static uint64_t word_make(enum state state, uint64_t length, uint64_t lap)
{
	return (uint64_t)state << 61 | length << 41 | (lap & LAP_MASK);
}

static uint64_t word_make_owned(enum state state, uint64_t length,
				uint32_t owner, uint64_t lap)
{
	return (uint64_t)state << 61 | length << 41 |
	       (uint64_t)owner << SHORT_LAP_BITS | (lap & SHORT_LAP_MASK);
}

static enum state word_state(uint64_t word)
{
	return (enum state)(word >> 61);
}

static uint64_t word_length(uint64_t word)
{
	return word >> 41 & MAX_LENGTH;
}

static uint32_t word_owner(uint64_t word)
{
	return word >> SHORT_LAP_BITS & IPM_RING_MAX_PARTICIPANTS;
}

static bool word_owned_by(uint64_t word, enum state state, uint32_t owner)
{
	return word_state(word) == state && word_owner(word) == owner;
}

static bool word_owned(uint64_t word)
{
	enum state state = word_state(word);

	return state == BUSY || state == CLAIMED || state == SKIPPED;
}

/* Below 0: the word is of a lap before @lap; 0: of this one. */
static int64_t word_age(uint64_t word, uint64_t lap)
{
	unsigned int shift = word_owned(word) ? 64 - SHORT_LAP_BITS : 64 - LAP_BITS;

	return (int64_t)((word << shift) - (lap << shift));
}

static uint64_t blocks_of(uint64_t length)
{
	return (length + BLOCK - 1) / BLOCK;
}

/* Where the payload is, of a record that is so long or was reserved for so much. */
static inline unsigned char *record_at(const struct mpmc *m, uint64_t index,
				       uint64_t length)
{
	return length <= CELL_PAYLOAD ? (unsigned char *)&m->cells[index].payload :
					m->data + index * BLOCK;
}

/* A boundary, with its lap and index at hand. */
struct place {
	uint64_t pos, lap, index;
};

static struct place place_at(const ipm_ring *ring, uint64_t pos)
{
	struct place p = { pos, pos / ring->m.blocks, pos % ring->m.blocks };

	return p;
}

static void place_advance(const ipm_ring *ring, struct place *p, uint64_t blocks)
{
	p->pos += blocks;
	p->index += blocks;
	if (p->index >= ring->m.blocks) {
		p->index -= ring->m.blocks;
		p->lap++;
	}
}

/* The blocks of a record of this lap, or 0 if the word makes no sense there. */
static uint64_t word_blocks(const ipm_ring *ring, uint64_t word, uint64_t index)
{
	uint64_t n = blocks_of(word_length(word));

	if (n > ring->m.max_blocks || word_state(word) > SKIPPED ||
	    (!ring_doubled(ring) && index + n > ring->m.blocks))
		return 0;
	return n;
}

uint64_t mpmc_max_record(uint64_t data_size)
{
	return data_size < MAX_LENGTH ? data_size : MAX_LENGTH;
}

struct ring_participant *mpmc_participants(const ipm_ring *ring)
{
	return (struct ring_participant *)(void *)
		((unsigned char *)ring->header + ring->geometry.participant_offset);
}

void mpmc_format(struct ring_header *header, const struct ring_geometry *g)
{
	/* Words are 0, which is FREE of lap 0: the first lap is 1. */
	header->head = g->data_size / BLOCK;
	header->tail = header->head;
}

/* A position out of shared memory that can be used without an overflow. */
static bool position_sane(uint64_t pos)
{
	return pos < (uint64_t)1 << 62;
}

static ipm_result load_head(const ipm_ring *ring, struct place *p)
{
	/* Pairs with the compare-and-swap in raise(): what was FREE then is
	 * seen to be, and those who freed it have read their payload. */
	uint64_t head = ring_load_acquire(&ring->header->head);

	if (!position_sane(head))
		return IPM_RESULT_ERR_CORRUPTED;
	*p = place_at(ring, head);
	return IPM_RESULT_SUCCESS;
}

/*
 * Owned words have few bits of lap. Who comes back to a place that it knew long
 * ago may take one for a word of that lap; but then the head has passed the
 * place. The word was loaded before this call.
 */
static bool place_stale(const ipm_ring *ring, const struct place *p)
{
	return ring_load_acquire(&ring->header->head) > p->pos;
}

/*
 * Raises head or tail hint, never lowers it. Each round that fails means that
 * another one raised it, or that somebody plays with the word.
 */
static bool raise(uint64_t *word, uint64_t to)
{
	uint64_t old = ring_load(word);
	unsigned int rounds;

	for (rounds = 0; old < to; rounds++) {
		if (ring_cas(word, &old, to))
			return true;
		if (rounds == MAX_RESTARTS)
			return false;
	}
	return true;
}

/* A record that begins in the lap before may reach into the one that counts. */
static bool refresh_due(uint64_t lap)
{
	return lap % REFRESH_LAPS == 0 || (lap + 1) % REFRESH_LAPS == 0;
}

/* All words of the record are written in some laps, see above. */
static void refresh(ipm_ring *ring, const struct place *p, uint64_t blocks)
{
	struct place q = *p;
	uint64_t i;

	if (!refresh_due(p->lap))
		return;
	for (i = 1; i < blocks; i++) {
		place_advance(ring, &q, 1);
		ring_store(&ring->m.cells[q.index].word, word_make(FREE, 0, q.lap));
	}
}

/* What recover_word() does once it knows that the owner is dead. */
static void finish_word(ipm_ring *ring, const struct place *p, uint64_t word,
			uint64_t *records)
{
	uint64_t *at = &ring->m.cells[p->index].word;
	uint64_t length = word_length(word), mine;
	enum state state = word_state(word);

	if (state == CLAIMED) {
		if (ring_cas(at, &word, word_make(AGAIN, length, p->lap)))
			++*records;
		return;
	}
	/* BUSY or SKIPPED. Take it over first: the words inside the record may
	 * only be written by somebody whom nobody can overtake. */
	mine = word_make_owned(state, length, ring->m.index, p->lap);
	if (!ring_cas(at, &word, mine))
		return;
	refresh(ring, p, blocks_of(length));
	/* Counted first: if this process dies here too, it may be counted
	 * again, but not forgotten. */
	if (state == BUSY) {
		ring_count(&ring->header->dropped, 1);
		++*records;
	}
	ring_store_release(at, word_make(FREE, length, p->lap));
}

/*
 * Finishes what a dead owner left undone. @word was loaded from the place
 * before this call, so that it belongs to who is in the table now, or to one
 * before: a new participant begins only after the table names it.
 *
 * Return: whether the word may have changed.
 */
static bool recover_word(ipm_ring *ring, const struct place *p, uint64_t word,
			 uint64_t *records)
{
	uint32_t index = word_owner(word);
	uint64_t owner;
	bool dead;

	if (index >= ring->geometry.participants)
		return false;
	/* From here on nobody gets that index, who could have the same word at
	 * the same place again. Pairs with the fence in is_recovered(). */
	ring_store(&ring->m.me->recovers, index + 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* Pairs with the release of who enters or leaves the table. */
	owner = ring_load_acquire(&mpmc_participants(ring)[index].owner);
	dead = !owner || ring_owner_dead(ring, owner);
	if (dead)
		finish_word(ring, p, word, records);
	/* After the word; pairs with the acquire in is_recovered(). */
	ring_store_release(&ring->m.me->recovers, 0);
	return dead;
}

/*
 * Was this word in the way when it was looked at the time before? Only then it is asked
 * whether its owner is alive: that may be a system call, and takes longer than most
 * have a record in hand. Whoever has found somebody dead asks at once about the rest.
 */
static bool stands_still(struct mpmc_still *still, const struct place *p, uint64_t word)
{
	if (still->pos == p->pos && still->word == word)
		return true;
	*still = (struct mpmc_still){ p->pos, word };
	return false;
}

/*
 * Gives back what this handle's index holds: when it detaches, and after it
 * took the index over from a dead participant. Others that found the dead one
 * in the table before may be at the same record, so it is made SKIPPED first:
 * from then on their compare-and-swap fails.
 */
static void clean_word(ipm_ring *ring, const struct place *p, uint64_t word,
		       bool dropped, uint64_t *records)
{
	uint64_t *at = &ring->m.cells[p->index].word;
	uint64_t length = word_length(word);
	enum state state = word_state(word);

	if (state == CLAIMED) {
		if (ring_cas(at, &word, word_make(AGAIN, length, p->lap)))
			++*records;
		return;
	}
	if (state == BUSY &&
	    !ring_cas(at, &word, word_make_owned(SKIPPED, length, ring->m.index,
						 p->lap)))
		return;
	refresh(ring, p, blocks_of(length));
	if (state == BUSY && dropped) {
		ring_count(&ring->header->dropped, 1);
		++*records;
	}
	ring_store_release(at, word_make(FREE, length, p->lap));
}

/*
 * Goes through all records and gives back what @index holds: that of a dead
 * participant, or this handle's own. *@left: not all of it, as somebody who is about
 * to take that place was taken for its owner.
 */
static ipm_result search_index(ipm_ring *ring, uint32_t index, bool dropped,
			       uint64_t *records, bool *left)
{
	unsigned int looks = 0;
	struct place p;
	ipm_result result = load_head(ring, &p);
	uint64_t end;

	if (result)
		return result;
	/* What it holds stops the head, so it lies less than a lap ahead. */
	end = p.pos + ring->m.blocks;
	while (!result) {
		uint64_t word = ring_load_acquire(&ring->m.cells[p.index].word);
		int64_t age = word_age(word, p.lap);
		uint64_t blocks;

		bool stale = word_owned(word) && place_stale(ring, &p);

		if ((age < 0 && !stale) || p.pos >= end)
			return IPM_RESULT_SUCCESS;
		if (age > 0 || stale) {
			uint64_t before = p.pos;

			/* Each record may be given back by another one, and overtaken.
			 * That brings the end nearer, too. */
			looks = 0;
			result = load_head(ring, &p);
			if (!result && p.pos <= before)
				result = IPM_RESULT_ERR_CORRUPTED;
			continue;
		}
		blocks = word_blocks(ring, word, p.index);
		if (!blocks)
			return IPM_RESULT_ERR_CORRUPTED;
		if (word_owned_by(word, BUSY, index) ||
		    word_owned_by(word, CLAIMED, index) ||
		    word_owned_by(word, SKIPPED, index)) {
			bool mine = index == ring->m.index;

			if (mine)
				clean_word(ring, &p, word, dropped, records);
			/* Somebody may have skipped it meanwhile, by force. */
			if (mine || recover_word(ring, &p, word, records)) {
				if (looks++ == MAX_RESTARTS)
					return IPM_RESULT_ERR_CORRUPTED;
				continue;
			}
			*left = true;
		}
		looks = 0;
		place_advance(ring, &p, blocks);
	}
	return result;
}

/*
 * Is somebody alive about to finish something for this index, which was taken
 * just now? What he found before would look as if it were the new owner's.
 */
static bool is_recovered(const ipm_ring *ring, uint32_t index)
{
	const struct ring_participant *table = mpmc_participants(ring);
	uint32_t i;

	/* Between the table and this; pairs with the fence in recover_word(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < ring->geometry.participants; i++) {
		uint64_t owner;

		/* Pairs with the release in recover_word(). */
		if (ring_load_acquire(&table[i].recovers) != index + 1)
			continue;
		owner = ring_load_acquire(&table[i].owner);
		if (i != index && owner && !ring_owner_dead(ring, owner))
			return true;
	}
	return false;
}

/*
 * Takes a place in the table: one that is free, or a dead participant's, which is
 * searched next: until then the table says so. *@wait tells that there is one which can
 * be had in a moment.
 */
static bool enter(ipm_ring *ring, bool dead, uint64_t owner, bool *wait)
{
	struct ring_participant *table = mpmc_participants(ring);
	uint32_t i;

	for (i = 0; i < ring->geometry.participants; i++) {
		uint64_t old = ring_load_acquire(&table[i].owner);

		if (dead ? !ring_owner_dead(ring, old) : old != 0)
			continue;
		/* Pairs with the acquire in recover_word(). */
		if (!ring_cas(&table[i].owner, &old, owner | (dead ? OWNER_ENTERING : 0)))
			continue;
		if (is_recovered(ring, i)) {
			/* As it was. */
			ring_store_release(&table[i].owner, old);
			*wait = true;
			continue;
		}
		ring_store(&table[i].recovers, 0);
		ring->m.index = i;
		ring->m.me = &table[i];
		return true;
	}
	return false;
}

/* As enter(); *@dead tells whose place it was. */
static bool enter_table(ipm_ring *ring, uint64_t owner, bool *dead)
{
	uint32_t tries;
	bool wait;

	for (tries = 0; tries < ENTER_TRIES; tries++) {
		wait = false;
		*dead = false;
		if (enter(ring, false, owner, &wait))
			return true;
		*dead = true;
		if (enter(ring, true, owner, &wait))
			return true;
		if (!wait)
			return false;
		sched_yield();
	}
	return false;
}

/* Where the walk to the tail starts when the handle's own place is too old. */
static ipm_result restart_tail(ipm_ring *ring)
{
	struct mpmc *m = &ring->m;
	uint64_t tail = ring_load_acquire(&ring->header->tail);
	struct place p;
	ipm_result result = load_head(ring, &p);

	if (result)
		return result;
	m->limit = p.pos + m->blocks;
	m->tail_hint = tail;
	/* The hint is of use when it is not older than the head. One that is
	 * out of reach nobody has written in good faith. */
	if (tail > p.pos) {
		/* The hint was loaded first, the head has only grown since. */
		if (tail - p.pos > m->blocks)
			return IPM_RESULT_ERR_CORRUPTED;
		p = place_at(ring, tail);
	}
	m->tail = p.pos;
	m->tail_lap = p.lap;
	m->tail_index = p.index;
	return IPM_RESULT_SUCCESS;
}

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#define THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define THREAD_SANITIZER 0
#endif

/*
 * Can this CPU compare and swap a whole cell? All but the first with 64 bits can.
 * ThreadSanitizer would not see it.
 */
static bool has_pairs(void)
{
#if defined(__x86_64__) && !THREAD_SANITIZER
	static unsigned int known;	/* 1: no, 2: yes; to ask takes long in a VM */
	unsigned int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
	unsigned int a, b, c, d;

	if (!answer) {
		answer = __get_cpuid(1, &a, &b, &c, &d) && c & bit_CMPXCHG16B ? 2 : 1;
		__atomic_store_n(&known, answer, __ATOMIC_RELAXED);
	}
	return answer == 2;
#else
	return false;
#endif
}

ipm_result mpmc_attach(ipm_ring *ring)
{
	uint64_t owner = ring->owner, ignored = 0;
	struct mpmc *m = &ring->m;
	ipm_result result;
	struct place p;
	bool dead, left;

	if (ring->roles & IPM_RING_PRODUCER)
		owner |= OWNER_PRODUCER;
	if (ring->roles & IPM_RING_CONSUMER)
		owner |= OWNER_CONSUMER;
	m->cells = (struct ring_cell *)(void *)((unsigned char *)ring->header +
						ring->geometry.cell_offset);
	m->data = ring_data_at(ring, 0);
	m->blocks = ring->geometry.data_size / BLOCK;
	m->pairs = has_pairs();
	m->max_blocks = blocks_of(ring->max_record);
	result = load_head(ring, &p);
	if (result)
		return result;
	m->head = p.pos;
	m->head_lap = p.lap;
	m->head_index = p.index;
	result = restart_tail(ring);
	if (result)
		return result;
	if (!enter_table(ring, owner, &dead))
		return IPM_RESULT_ERR_LIMIT;
	if (dead) {
		result = search_index(ring, m->index, true, &ignored, &left);
		/* Pairs with the acquire in recover_place(). */
		ring_store_release(&m->me->owner, owner);
		if (result) {
			/* Nobody can tell what the place still holds. */
			m->me = NULL;
			return result;
		}
	}
	m->written = ring_load(&m->me->written);
	m->read = ring_load(&m->me->read);
	m->burst = m->read;
	return IPM_RESULT_SUCCESS;
}

void mpmc_detach(ipm_ring *ring)
{
	struct mpmc *m = &ring->m;
	uint64_t ignored = 0;
	bool left;

	ring_store(&m->me->written, m->written);
	ring_store(&m->me->read, m->read);
	/* A ring in which one's own records cannot be found is spoilt; then the
	 * place stays taken until this process ends. */
	if ((m->reserved || m->in_hand) &&
	    search_index(ring, m->index, false, &ignored, &left))
		return;
	ring_store_release(&m->me->owner, 0);
}

/*
 * Raises the head over FREE words, up to @tail.
 *
 * Return: how far there is room now goes to m->limit.
 */
static ipm_result find_room(ipm_ring *ring, uint64_t tail)
{
	struct mpmc *m = &ring->m;
	bool look = ring_look_due(++m->full_polls);
	uint64_t start, records = 0, looks = m->blocks;
	bool dead = false;
	struct place p;
	ipm_result result = load_head(ring, &p);

	if (result)
		return result;
	start = p.pos;
	if (tail - start > m->blocks && start < tail)
		return IPM_RESULT_ERR_CORRUPTED;
	while (p.pos < tail) {
		/* Pairs with the release that made it FREE. */
		uint64_t word = ring_load_acquire(&m->cells[p.index].word);
		uint64_t blocks;

		if (word_age(word, p.lap))
			break;
		blocks = word_blocks(ring, word, p.index);
		if (!blocks)
			return IPM_RESULT_ERR_CORRUPTED;
		if (word_state(word) != FREE) {
			if (!look || word_state(word) == READY ||
			    word_state(word) == AGAIN ||
			    (!dead && !stands_still(&m->full, &p, word)) ||
			    !recover_word(ring, &p, word, &records))
				break;
			/* He may have left more; but nobody makes this go on for ever. */
			dead = true;
			look = --looks;
			continue;
		}
		place_advance(ring, &p, blocks);
	}
	/* Before anybody reserves there: see the invariants. */
	if (p.pos > start && !raise(&ring->header->head, p.pos))
		return IPM_RESULT_ERR_WOULD_BLOCK;
	m->limit = p.pos + m->blocks;
	return IPM_RESULT_SUCCESS;
}

static void fill_record(const ipm_ring *ring, ipm_ring_record *record,
			const struct place *p, uint64_t length)
{
	record->data = record_at(&ring->m, p->index, length);
	record->size = length;
	record->id = p->pos;
	record->flags = 0;
	record->lane = 0;
	record->priv[0] = p->index;
	record->priv[1] = p->lap;
}

/*
 * Lines that come from a consumer are fetched some time before they are needed:
 * the payload's FETCH_AHEAD blocks ahead, and each line of cells once. Not where
 * a consumer may still be at work.
 */
static inline void fetch_tail(const ipm_ring *ring, uint64_t size, uint64_t blocks)
{
	const struct mpmc *m = &ring->m;
	uint64_t first = m->tail_index + FETCH_AHEAD, last = first + blocks;

	if (m->tail + blocks + FETCH_CELLS > m->limit)
		return;
	if (m->tail_index % CELLS_PER_LINE < blocks)
		ring_fetch_for_writing((uintptr_t)&m->cells[m->tail_index + FETCH_CELLS]);
	if (size <= CELL_PAYLOAD)
		return;
	if (last > m->blocks)
		last = m->blocks;
	/* The first blocks of what is long are enough. */
	if (last > first + FETCH_BLOCKS)
		last = first + FETCH_BLOCKS;
	for (; first < last; first++)
		ring_fetch_for_writing((uintptr_t)(m->data + first * BLOCK));
}

static void pause_for(unsigned int pauses)
{
	while (pauses--)
		ring_pause();
}

/*
 * Another producer is at work at the tail at this moment. Two that go on side
 * by side take the line from each other for every record; one that waits lets
 * the other finish its burst.
 */
static void let_pass(void)
{
	pause_for(TAIL_PAUSES);
}

/*
 * The ring is full, and was when this handle looked before. Each look takes the lines
 * away from consumers that free them: a few times it gives them time for some more.
 */
static void let_read(const struct mpmc *m)
{
	if (m->full_polls >= 2 && m->full_polls < 2 + FULL_WAITS)
		pause_for(FULL_PAUSES);
}

static void set_tail(ipm_ring *ring, struct place *p, uint64_t blocks)
{
	place_advance(ring, p, blocks);
	ring->m.tail = p->pos;
	ring->m.tail_lap = p->lap;
	ring->m.tail_index = p->index;
}

static void set_head(struct mpmc *m, const struct place *p)
{
	m->head = p->pos;
	m->head_lap = p->lap;
	m->head_index = p->index;
}

/* Is there room at @p, and nothing else to be done: no lap ends, no words or hints
 * are due? */
static inline bool room_at_hand(const ipm_ring *ring, const struct place *p,
				uint64_t blocks)
{
	const struct mpmc *m = &ring->m;

	return p->pos + blocks <= m->limit &&
	       p->index + blocks + FETCH_CELLS < m->blocks && !refresh_due(p->lap) &&
	       p->pos - m->tail_hint < m->blocks / 8;
}

/*
 * Reserves where this handle believes the tail to be, if it is there, and there is
 * room at hand.
 * The same as a round of mpmc_reserve(), in fewer instructions.
 */
static inline bool reserve_quickly(ipm_ring *ring, size_t size, struct place *p)
{
	struct mpmc *m = &ring->m;
	uint64_t blocks = blocks_of(size), word, wanted;

	*p = (struct place){ m->tail, m->tail_lap, m->tail_index };
	if (size - 1 >= ring->max_record || !room_at_hand(ring, p, blocks))
		return false;
	fetch_tail(ring, size, blocks);
	wanted = word_make_owned(BUSY, size, m->index, p->lap);
	/* As in mpmc_reserve(). */
	word = ring_load_acquire(&m->cells[p->index].word);
	if (word_age(word, p->lap) >= 0 || word_state(word) != FREE ||
	    !ring_cas(&m->cells[p->index].word, &word, wanted))
		return false;
	m->full_polls = 0;
	m->reserved++;
	m->tail = p->pos + blocks;
	m->tail_index = p->index + blocks;
	return true;
}

ipm_result mpmc_reserve(ipm_ring *ring, size_t size, ipm_ring_record *record)
{
	struct mpmc *m = &ring->m;
	uint64_t steps = 4 * m->blocks, blocks;
	unsigned int restarts = 0, walks = 0, met = 0;
	struct place start;
	ipm_result result;

	if (!size)
		return IPM_RESULT_ERR_BAD_SIZE;
	if (size > ring->max_record)
		return IPM_RESULT_ERR_TOO_LARGE;
	blocks = blocks_of(size);
	if (reserve_quickly(ring, size, &start)) {
		fill_record(ring, record, &start, size);
		return IPM_RESULT_SUCCESS;
	}
	while (steps--) {
		struct place p = { m->tail, m->tail_lap, m->tail_index };
		/* Pairs with the compare-and-swap of who was here before. */
		uint64_t word = ring_load_acquire(&m->cells[p.index].word);
		int64_t age = word_age(word, p.lap);
		uint64_t need = blocks, wanted;

		if (age > 0 || (word_owned(word) && place_stale(ring, &p))) {
			if (restarts++ == MAX_RESTARTS)
				break;
			result = restart_tail(ring);
			if (result)
				return result;
			continue;
		}
		if (!age) {
			need = word_blocks(ring, word, p.index);
			if (!need)
				return IPM_RESULT_ERR_CORRUPTED;
			if (word_state(word) == BUSY && !met++)
				let_pass();
			goto next;
		}
		wanted = word_make_owned(BUSY, size, m->index, p.lap);
		if (!ring_doubled(ring) && p.index + blocks > m->blocks) {
			/* A pad: like a record that was read already. */
			need = m->blocks - p.index;
			wanted = refresh_due(p.lap) ?
				word_make_owned(SKIPPED, need * BLOCK, m->index, p.lap) :
				word_make(FREE, need * BLOCK, p.lap);
		}
		if (p.pos + need > m->limit) {
			/* Each one walks: who is overtaken that often, or made
			 * a fool of, comes back later. */
			if (walks++ == MAX_RESTARTS)
				break;
			result = find_room(ring, p.pos);
			if (result)
				return result;
			if (p.pos + need > m->limit) {
				let_read(m);
				break;
			}
			/* The word was loaded before there was room. */
			continue;
		}
		/* All before the head were FREE. */
		if (word_state(word) != FREE)
			return IPM_RESULT_ERR_CORRUPTED;
		if (!ring_cas(&m->cells[p.index].word, &word, wanted)) {
			if (!met++)
				let_pass();
			continue;
		}
		m->full_polls = 0;
		refresh(ring, &p, need);
		if (word_state(wanted) == SKIPPED)
			ring_store_release(&m->cells[p.index].word,
					   word_make(FREE, need * BLOCK, p.lap));
		if (p.pos - m->tail_hint >= m->blocks / 8) {
			raise(&ring->header->tail, p.pos);
			m->tail_hint = p.pos;
		}
		if (word_state(wanted) == BUSY) {
			fill_record(ring, record, &p, size);
			m->reserved++;
			set_tail(ring, &p, need);
			return IPM_RESULT_SUCCESS;
		}
next:
		set_tail(ring, &p, need);
	}
	return IPM_RESULT_ERR_WOULD_BLOCK;
}

/*
 * The place of a record that this handle owns in @state, and its word; else
 * the record is somebody else's by now, or was never handed out.
 */
static bool own_record(const ipm_ring *ring, const ipm_ring_record *record,
		       enum state state, struct place *p, uint64_t *word)
{
	p->pos = record->id;
	p->index = record->priv[0];
	p->lap = record->priv[1];
	if (p->index >= ring->m.blocks)
		return false;
	*word = ring_load(&ring->m.cells[p->index].word);
	return word_owned_by(*word, state, ring->m.index) &&
	       !word_age(*word, p->lap);
}

/* Ends a reservation that a consumer forcibly skipped. */
static bool end_skipped(ipm_ring *ring, const ipm_ring_record *record)
{
	struct place p;
	uint64_t word;

	if (!own_record(ring, record, SKIPPED, &p, &word))
		return false;
	ring_store_release(&ring->m.cells[p.index].word,
			   word_make(FREE, word_length(word), p.lap));
	ring->m.reserved--;
	return true;
}

static inline void count_written(struct mpmc *m)
{
	if (++m->written % COUNT_RECORDS == 0)
		ring_store(&m->me->written, m->written);
}

static inline void count_read(struct mpmc *m)
{
	if (++m->read % COUNT_RECORDS == 0)
		ring_store(&m->me->read, m->read);
}

ipm_result mpmc_commit(ipm_ring *ring, const ipm_ring_record *record)
{
	struct mpmc *m = &ring->m;
	uint64_t word, reserved, blocks;
	struct place p;

	if (!own_record(ring, record, BUSY, &p, &word))
		return end_skipped(ring, record) ? IPM_RESULT_ERR_REMOVED :
						   IPM_RESULT_ERR_NOT_LOCKED;
	if (!record->size || record->size > word_length(word))
		return IPM_RESULT_ERR_BAD_SIZE;
	reserved = blocks_of(word_length(word));
	blocks = blocks_of(record->size);
	if (blocks < reserved) {
		/* What is left over becomes a record that was read already.
		 * Nobody looks at it before the length below says so. */
		struct place rest = p;

		if (!word_blocks(ring, word, p.index))
			return IPM_RESULT_ERR_CORRUPTED;
		place_advance(ring, &rest, blocks);
		ring_store(&m->cells[rest.index].word,
			   word_make(FREE, (reserved - blocks) * BLOCK, rest.lap));
	}
	/* Readers go by the length that it has now. */
	if (record->size <= CELL_PAYLOAD && word_length(word) > CELL_PAYLOAD)
		memcpy(record_at(m, p.index, record->size), m->data + p.index * BLOCK,
		       record->size);
	m->reserved--;
	count_written(m);
	/* Publishes the payload; pairs with the acquire in scan(). */
	ring_store_release(&m->cells[p.index].word,
			   word_make(READY, record->size, p.lap));
	return IPM_RESULT_SUCCESS;
}

/*
 * Writes a record that fits into its cell, where reserve_quickly() would reserve
 * one, in one step: nobody sees it BUSY, and a consumer that polls does not take
 * the line away between two steps. The old payload is of no interest: if it
 * changes, so does the word.
 */
static inline bool write_at_once(ipm_ring *ring, const void *data, size_t size)
{
	struct mpmc *m = &ring->m;
	struct place p = { m->tail, m->tail_lap, m->tail_index };
	struct ring_cell *cell = &m->cells[p.index], old, wanted = { 0 };

	if (!m->pairs || size - 1 >= CELL_PAYLOAD || !room_at_hand(ring, &p, 1))
		return false;
	fetch_tail(ring, size, 1);
	wanted.word = word_make(READY, size, p.lap);
	ipm_ring_copy(&wanted.payload, data, size);
	/* As in mpmc_reserve(). */
	old.word = ring_load_acquire(&cell->word);
	old.payload = ring_load(&cell->payload);
	/* Publishes the payload; pairs with the acquire in scan(). */
	if (word_age(old.word, p.lap) >= 0 || word_state(old.word) != FREE ||
	    !ring_cas_pair(cell, old, wanted))
		return false;
	m->full_polls = 0;
	m->tail = p.pos + 1;
	m->tail_index = p.index + 1;
	count_written(m);
	return true;
}

ipm_result mpmc_write(ipm_ring *ring, const void *data, size_t size)
{
	struct mpmc *m = &ring->m;
	ipm_ring_record record;
	ipm_result result;
	struct place p;
	uint64_t *at;

	if (write_at_once(ring, data, size))
		return IPM_RESULT_SUCCESS;
	if (!reserve_quickly(ring, size, &p)) {
		result = mpmc_reserve(ring, size, &record);
		if (result)
			return result;
		memcpy(record.data, data, size);
		return mpmc_commit(ring, &record);
	}
	if (size <= IPM_RING_FAST_MAX)
		ipm_ring_copy(record_at(m, p.index, size), data, size);
	else
		memcpy(m->data + p.index * BLOCK, data, size);
	at = &m->cells[p.index].word;
	/* A consumer may have skipped it by force. */
	if (ring_load(at) != word_make_owned(BUSY, size, m->index, p.lap)) {
		fill_record(ring, &record, &p, size);
		return mpmc_commit(ring, &record);
	}
	m->reserved--;
	/* As in mpmc_commit(). */
	ring_store_release(at, word_make(READY, size, p.lap));
	count_written(m);
	return IPM_RESULT_SUCCESS;
}

ipm_result mpmc_discard(ipm_ring *ring, const ipm_ring_record *record)
{
	struct place p;
	uint64_t word;

	if (!own_record(ring, record, BUSY, &p, &word))
		return end_skipped(ring, record) ? IPM_RESULT_SUCCESS :
						   IPM_RESULT_ERR_NOT_LOCKED;
	ring->m.reserved--;
	ring_store_release(&ring->m.cells[p.index].word,
			   word_make(FREE, word_length(word), p.lap));
	return IPM_RESULT_SUCCESS;
}

static void leave_behind(struct mpmc *m, uint64_t pos)
{
	if (m->has_behind && m->behind <= pos)
		return;
	m->behind = pos;
	m->has_behind = true;
}

/* Before the compare-and-swap, which nothing overtakes. */
static void fetch_payload(const ipm_ring *ring, const struct place *p,
			  uint64_t length, uint64_t blocks)
{
	const unsigned char *at = ring->m.data + p->index * BLOCK;
	uint64_t i;

	if (length <= CELL_PAYLOAD)
		return;
	for (i = 0; i < blocks && i < FETCH_BLOCKS; i++)
		__builtin_prefetch(at + i * BLOCK);
}

/*
 * A consumer that is far behind the producers fetches what comes next; one that
 * is close would take the lines away from them. There are FETCH_CELLS blocks
 * before the end of the ring.
 */
static inline void fetch_head(const ipm_ring *ring, const struct place *p,
			      uint64_t length, uint64_t blocks)
{
	const struct mpmc *m = &ring->m;
	struct place ahead = { p->pos, p->lap, p->index + READ_AHEAD };

	if (m->read - m->burst < STREAM_RECORDS) {
		fetch_payload(ring, p, length, blocks);
		return;
	}
	fetch_payload(ring, &ahead, length, blocks);
	if (p->index % CELLS_PER_LINE < blocks)
		ring_fetch_for_writing((uintptr_t)&m->cells[p->index + FETCH_CELLS]);
}

/* Takes the record at this handle's head, in the simplest case; as scan(). */
static inline bool claim_quickly(ipm_ring *ring, struct place *p,
				 uint64_t capacity, uint64_t *length)
{
	struct mpmc *m = &ring->m;
	uint64_t word, blocks;

	*p = (struct place){ m->head, m->head_lap, m->head_index };
	word = ring_load_acquire(&m->cells[p->index].word);
	*length = word_length(word);
	blocks = blocks_of(*length);
	if (word != word_make(READY, *length, p->lap) ||
	    p->index + blocks + FETCH_CELLS >= m->blocks ||
	    *length > capacity || !blocks ||
	    (m->has_behind && ++m->since_look >= LOOK_RECORDS))
		return false;
	fetch_head(ring, p, *length, blocks);
	if (!ring_cas(&m->cells[p->index].word, &word,
		      word_make_owned(CLAIMED, *length, m->index, p->lap)))
		return false;
	m->empty_polls = 0;
	m->in_hand++;
	m->head = p->pos + blocks;
	m->head_index = p->index + blocks;
	return true;
}

/*
 * Takes the first record that is ready, from where this handle stopped last; with
 * @behind: from the oldest one that was stepped over since. With @look, whoever has
 * something on the way is asked whether he is still alive.
 */
static ipm_result scan(ipm_ring *ring, ipm_ring_record *record, bool behind, bool look)
{
	struct mpmc *m = &ring->m;
	struct place p = { m->head, m->head_lap, m->head_index };
	uint64_t steps = 4 * m->blocks, records = 0;
	unsigned int restarts = 0;
	bool dead = false;
	ipm_result result;

	if (behind && m->has_behind) {
		result = load_head(ring, &p);
		if (result)
			return result;
		if (m->behind > p.pos)
			p = place_at(ring, m->behind);
		m->has_behind = false;
	}
	while (steps--) {
		/* Pairs with the release that made it READY. */
		uint64_t word = ring_load_acquire(&m->cells[p.index].word);
		int64_t age = word_age(word, p.lap);
		uint64_t blocks;
		enum state state = word_state(word);

		bool stale = word_owned(word) && place_stale(ring, &p);

		if (age < 0 && !stale)
			return IPM_RESULT_ERR_WOULD_BLOCK;
		if (age > 0 || stale) {
			uint64_t before = p.pos;

			if (restarts++ == MAX_RESTARTS)
				break;
			/* Whoever reserved here had raised the head first. */
			result = load_head(ring, &p);
			if (!result && p.pos <= before)
				result = IPM_RESULT_ERR_CORRUPTED;
			if (result)
				return result;
			/* Where a forced skip has to look, if this is BUSY. */
			if (p.pos > m->head)
				set_head(m, &p);
			continue;
		}
		blocks = word_blocks(ring, word, p.index);
		if (!blocks)
			return IPM_RESULT_ERR_CORRUPTED;
		if (state == READY || state == AGAIN) {
			fetch_payload(ring, &p, word_length(word), blocks);
			if (!ring_cas(&m->cells[p.index].word, &word,
				      word_make_owned(CLAIMED, word_length(word),
						      m->index, p.lap)))
				continue;
			m->in_hand++;
			fill_record(ring, record, &p, word_length(word));
			if (state == AGAIN) {
				record->flags = IPM_RING_REDELIVERED;
				ring_count(&ring->header->redelivered, 1);
			}
			place_advance(ring, &p, blocks);
			if (p.pos < m->head)
				leave_behind(m, p.pos);
			else
				set_head(m, &p);
			return IPM_RESULT_SUCCESS;
		}
		if (state != FREE) {
			if (look &&
			    (state != BUSY || dead || stands_still(&m->empty, &p, word)) &&
			    recover_word(ring, &p, word, &records)) {
				dead = true;
				continue;
			}
			/* Nothing behind it may be taken before it. */
			if (state == BUSY) {
				pause_for(BUSY_PAUSES);
				break;
			}
			if (!word_owned_by(word, CLAIMED, m->index))
				leave_behind(m, p.pos);
		}
		place_advance(ring, &p, blocks);
		if (p.pos > m->head)
			set_head(m, &p);
	}
	/* It did not get to the end of what was stepped over. */
	if (p.pos < m->head)
		leave_behind(m, p.pos);
	return IPM_RESULT_ERR_WOULD_BLOCK;
}

/* As in ring_lane.c: lets a producer fill lines after a burst was drained. */
static bool wait_for_burst(struct mpmc *m)
{
	uint64_t burst = m->read - m->burst;

	if (!burst)
		return false;
	m->burst = m->read;
	/* A record takes a pause or two. Where so many pauses brought so few,
	 * no producer is streaming. */
	if (burst == 1 || burst * 4 < m->patience)
		m->patience /= 2;
	else if (burst < LONG_BURST && m->patience < READER_PATIENCE)
		m->patience = m->patience * 2 + 1;
	pause_for(m->patience);
	return m->patience != 0;
}

ipm_result mpmc_peek(ipm_ring *ring, ipm_ring_record *record)
{
	struct mpmc *m = &ring->m;
	bool behind = m->has_behind && ++m->since_look >= LOOK_RECORDS;
	ipm_result result;
	struct place p;
	uint64_t length;

	if (claim_quickly(ring, &p, ring->max_record, &length)) {
		fill_record(ring, record, &p, length);
		return IPM_RESULT_SUCCESS;
	}
	if (behind)
		m->since_look = 0;
	result = scan(ring, record, behind, behind);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK && wait_for_burst(m))
		result = scan(ring, record, false, false);
	/* Nothing further on: but what was stepped over may have been given back.
	 * Who is told that there is nothing may sleep until more is written. */
	if (result == IPM_RESULT_ERR_WOULD_BLOCK && m->has_behind)
		result = scan(ring, record, true, false);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK &&
	    ring_look_due(++m->empty_polls))
		result = scan(ring, record, true, true);
	if (!result)
		m->empty_polls = 0;
	return result;
}

ipm_result mpmc_release(ipm_ring *ring, const ipm_ring_record *record)
{
	struct mpmc *m = &ring->m;
	struct place p;
	uint64_t word;

	if (!own_record(ring, record, CLAIMED, &p, &word))
		return IPM_RESULT_ERR_NOT_LOCKED;
	m->in_hand--;
	count_read(m);
	/* After all reads of the payload; pairs with the acquire in
	 * find_room(). */
	ring_store_release(&m->cells[p.index].word,
			   word_make(FREE, word_length(word), p.lap));
	return IPM_RESULT_SUCCESS;
}

ipm_result mpmc_read(ipm_ring *ring, void *buffer, size_t capacity, size_t *size,
		     uint32_t *flags)
{
	struct mpmc *m = &ring->m;
	ipm_ring_record record;
	ipm_result result;
	struct place p;
	uint64_t length;

	if (capacity > ring->max_record)
		capacity = ring->max_record;
	if (!claim_quickly(ring, &p, capacity, &length)) {
		result = mpmc_peek(ring, &record);
		if (result)
			return result;
		*size = record.size;
		if (flags)
			*flags = record.flags;
		if (record.size > capacity) {
			mpmc_unpeek(ring, &record);
			return IPM_RESULT_ERR_TOO_SMALL;
		}
		memcpy(buffer, record.data, record.size);
		return mpmc_release(ring, &record);
	}
	if (length <= IPM_RING_FAST_MAX)
		ipm_ring_copy(buffer, record_at(m, p.index, length), length);
	else
		memcpy(buffer, m->data + p.index * BLOCK, length);
	*size = length;
	if (flags)
		*flags = 0;
	if (ring_load(&m->cells[p.index].word) !=
	    word_make_owned(CLAIMED, length, m->index, p.lap))
		return IPM_RESULT_ERR_NOT_LOCKED;
	m->in_hand--;
	count_read(m);
	/* As in mpmc_release(). */
	ring_store_release(&m->cells[p.index].word, word_make(FREE, length, p.lap));
	return IPM_RESULT_SUCCESS;
}

/* Gives a record back as it was; it has just been taken. */
void mpmc_unpeek(ipm_ring *ring, const ipm_ring_record *record)
{
	struct mpmc *m = &ring->m;
	bool again = record->flags & IPM_RING_REDELIVERED;
	struct place p;
	uint64_t word;

	if (!own_record(ring, record, CLAIMED, &p, &word))
		return;
	m->in_hand--;
	if (again)
		ring_count(&ring->header->redelivered, (uint64_t)-1);
	if (p.pos < m->head)
		set_head(m, &p);
	/* Or who looks behind itself goes on beyond it. */
	if (m->has_behind && m->behind > p.pos)
		m->behind = p.pos;
	ring_store_release(&m->cells[p.index].word,
			   word_make(again ? AGAIN : READY, word_length(word),
				     p.lap));
}

/* Takes the record that everybody waits for away from its living producer. */
ipm_result mpmc_skip_force(ipm_ring *ring, uint64_t *skipped)
{
	struct mpmc *m = &ring->m;
	struct place p = { m->head, m->head_lap, m->head_index };
	uint64_t word = ring_load_acquire(&m->cells[p.index].word);

	if (word_age(word, p.lap) || word_state(word) != BUSY ||
	    place_stale(ring, &p))
		return IPM_RESULT_ERR_WOULD_BLOCK;
	if (!word_blocks(ring, word, p.index))
		return IPM_RESULT_ERR_CORRUPTED;
	if (!ring_cas(&m->cells[p.index].word, &word,
		      word_make_owned(SKIPPED, word_length(word),
				      word_owner(word), p.lap)))
		return IPM_RESULT_ERR_WOULD_BLOCK;
	ring_count(&ring->header->skipped, 1);
	*skipped = 1;
	return IPM_RESULT_SUCCESS;
}

/*
 * Finishes what participant @owner left at place @i of the table, or whoever is dead
 * there, if 0.
 *
 * Return: whether to come again: somebody is about to take that place. He cleans it up,
 * or goes back; then the table names the dead one again.
 */
static bool recover_place(ipm_ring *ring, uint32_t i, uint64_t owner, uint64_t *records,
			  ipm_result *result)
{
	uint64_t *at = &mpmc_participants(ring)[i].owner;
	/* Pairs with the release in enter() and in mpmc_attach(). */
	uint64_t who = ring_load_acquire(at);
	bool entering = who & OWNER_ENTERING, left = false;
	ipm_result one;

	/* Whose place it was before somebody began to enter, nobody knows. */
	if (owner && !entering && ((who ^ owner) & (OWNER_USED | OWNER_IDENTITY)))
		return false;
	if (!ring_owner_dead(ring, who))
		return entering;
	one = search_index(ring, i, true, records, &left);
	if (one)
		*result = one;
	if (one || left)
		return !one;
	/* Nothing in the ring names the place any more. Pairs with the acquire in
	 * recover_word(). */
	ring_cas(at, &who, 0);
	return false;
}

ipm_result mpmc_recover(ipm_ring *ring, uint64_t owner, uint64_t *records)
{
	ipm_result result = IPM_RESULT_SUCCESS;
	uint32_t i, tries = 0;

	for (i = 0; i < ring->geometry.participants; i++)
		while (recover_place(ring, i, owner, records, &result) &&
		       tries++ < ENTER_TRIES)
			sched_yield();
	return result;
}

/* Bytes between head and tail that are not FREE, as far as a walk can tell. */
static uint64_t used_bytes(const ipm_ring *ring)
{
	const struct ring_cell *cells = (const struct ring_cell *)(const void *)
		((unsigned char *)ring->header + ring->geometry.cell_offset);
	uint64_t blocks = ring->geometry.data_size / BLOCK, used = 0, passed = 0;
	uint64_t head = ring_load_acquire(&ring->header->head);
	uint64_t index = head % blocks, lap = head / blocks;

	while (passed < blocks) {
		uint64_t word = ring_load(&cells[index].word);
		uint64_t n = blocks_of(word_length(word));

		/* One that reaches beyond a lap was written since the head was seen. */
		if (word_age(word, lap) || !n || n > blocks - passed)
			break;
		if (word_state(word) != FREE)
			used += n * BLOCK;
		passed += n;
		index += n;
		if (index >= blocks) {
			index %= blocks;
			lap++;
		}
	}
	return used;
}

ipm_result mpmc_stats(ipm_ring *ring, ipm_ring_stats *stats)
{
	const struct ring_participant *table = mpmc_participants(ring);
	uint32_t i;

	if (ring->m.me) {
		ring_store(&ring->m.me->written, ring->m.written);
		ring_store(&ring->m.me->read, ring->m.read);
	}
	for (i = 0; i < ring->geometry.participants; i++) {
		stats->written += ring_load(&table[i].written);
		stats->read += ring_load(&table[i].read);
	}
	stats->used = used_bytes(ring);
	return IPM_RESULT_SUCCESS;
}
