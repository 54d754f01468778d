/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Honest participants of a ring, in turns: whenever one of them is about to load, store
 * or swap a word of the ring, the input may let another one make a whole call first, and
 * another one within that; or may let the one at work die there. So one is stopped
 * between two of its steps while others go on, others overtake it, and it dies anywhere.
 *
 * What has to hold:
 *
 *  - no call finds the ring spoilt, and every result is one that its manual names;
 *  - a record is delivered whole, and only if it was committed or its producer died;
 *    once without the mark, and marked only after somebody left or died with records
 *    in hand;
 *  - a consumer sees the records of each life of a producer in order;
 *  - a last one who comes when all have left or died finds what is missing, and an
 *    empty ring that takes records again.
 */
#ifndef RING_FUZZ_PEERS_H
#define RING_FUZZ_PEERS_H

#include <setjmp.h>
#include <stdio.h>

#define PEERS 4
#define LAST PEERS		/* who cleans up */
#define PEER_HANDS 3
#define PEER_MEMORY 4
#define NUMBERS 1024
#define TURNS_PER_CALL 24
#define DEPTH 3

#define REQUIRE(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
		abort();						\
	}								\
} while (0)

enum fate { NOT_SENT, BEGUN, COMMITTED };

/* A record begins with it, and goes on with bytes that follow from it. */
struct label {
	uint32_t number, size;
};

struct peer {
	ipm_ring *ring;
	void *memory[PEER_MEMORY];	/* that its handle has */
	uint32_t roles, generation;
	bool busy;			/* in a call */
	bool takes;			/* in one that gives a record back on its own */
	uint32_t holds;			/* records in hand */
	ipm_ring_record in_hand[PEER_HANDS];
	bool writes;			/* has a reservation */
	ipm_ring_record reserved;
	uint32_t number;		/* of that reservation */
	uint32_t last[PEERS + 1], life[PEERS + 1];	/* seen from each producer */
};

static struct {
	const ipm_ring_options *options;
	struct peer peers[PEERS + 1];
	struct {
		unsigned char fate;
		unsigned char producer;
		uint32_t life;
		uint32_t plain, marked;		/* deliveries */
	} numbers[NUMBERS];
	uint32_t next;			/* number */
	uint64_t deaths, doubts;	/* doubts: deaths with something begun */
	uint64_t excuses;		/* records that may be gone */
	uint64_t unclean;		/* consumers that left or died with records */
	bool disordered;		/* a record was given back unread, or skipped by force */
	unsigned int turn_rate, death_rate;
	unsigned int turns, depth;
	struct peer *now;
	jmp_buf *death;
} peers;

static void *peer_alloc(void *param, size_t size)
{
	struct peer *me = param;
	unsigned int i;

	for (i = 0; i < PEER_MEMORY; i++)
		if (!me->memory[i])
			return me->memory[i] = malloc(size);
	abort();
}

static void peer_free(void *param, void *memory)
{
	struct peer *me = param;
	unsigned int i;

	for (i = 0; i < PEER_MEMORY; i++)
		if (me->memory[i] == memory)
			me->memory[i] = NULL;
	free(memory);
}

static bool peer_alive(void *param, uint32_t slot, uint32_t generation)
{
	(void)param;
	REQUIRE(slot <= LAST);
	return peers.peers[slot].generation == generation;
}

static unsigned char peer_byte(uint32_t number, size_t i)
{
	return (unsigned char)(number * 29 + i * 3 + 1);
}

static void peer_fill(unsigned char *at, uint32_t number, uint32_t size)
{
	struct label label = { number, size };
	size_t i;

	memcpy(at, &label, sizeof(label));
	for (i = sizeof(label); i < size; i++)
		at[i] = peer_byte(number, i);
}

/* A record was handed out to @me. */
static void peer_delivered(struct peer *me, const unsigned char *at, size_t size, uint32_t flags)
{
	struct label label;
	uint32_t n, from;
	size_t i;

	REQUIRE(size >= sizeof(label));
	memcpy(&label, at, sizeof(label));
	n = label.number;
	REQUIRE(n < peers.next && size == label.size);
	REQUIRE(peers.numbers[n].fate != NOT_SENT);
	for (i = sizeof(label); i < size; i++)
		REQUIRE(at[i] == peer_byte(n, i));
	if (flags & IPM_RING_REDELIVERED) {
		REQUIRE(peers.unclean);
		peers.numbers[n].marked++;
		return;
	}
	REQUIRE(!peers.numbers[n].plain && !peers.numbers[n].marked);
	peers.numbers[n].plain++;
	from = peers.numbers[n].producer;
	if (me->life[from] == peers.numbers[n].life)
		REQUIRE(n > me->last[from] || peers.disordered);
	me->life[from] = peers.numbers[n].life;
	me->last[from] = n;
}

static uint32_t peer_begin(struct peer *me)
{
	uint32_t n = peers.next++;

	peers.numbers[n].fate = BEGUN;
	peers.numbers[n].producer = (unsigned char)(me - peers.peers);
	peers.numbers[n].life = me->generation;
	return n;
}

/* @n was not sent after all; nobody can have seen it. */
static void peer_unsent(uint32_t n)
{
	REQUIRE(!peers.numbers[n].plain && !peers.numbers[n].marked);
	peers.numbers[n].fate = NOT_SENT;
}

static size_t peer_size(const struct peer *me, uint64_t choice)
{
	ipm_ring_limits limits;
	size_t size;

	ipm_ring_get_limits(me->ring, &limits);
	size = sizeof(struct label) + (choice >> 8) % (choice & 7 ? 120 : limits.max_record);
	return size < limits.max_record ? size : limits.max_record;
}

static void peer_attach(struct peer *me, uint64_t choice)
{
	ipm_context context = {
		.alloc_callback = peer_alloc, .alloc_param = me,
		.free_callback = peer_free, .free_param = me,
	};
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = 1 + choice % 3,
		.flags = peers.options->flags,
		.slot = (uint32_t)(me - peers.peers),
		.generation = me->generation,
		.lease_records = (choice >> 8) % 3,
		.liveness = { peer_alive, NULL },
	};
	ipm_ring *ring = NULL;
	ipm_result result = ipm_ring_attach(&context, &o, fuzz.memory, fuzz.memory_size, &ring);

	if (result) {
		REQUIRE(result == IPM_RESULT_ERR_LIMIT || result == IPM_RESULT_ERR_ALREADY_LOCKED);
		return;
	}
	me->ring = ring;
	me->roles = o.roles;
}

/* Nothing of its life is left but what is in the ring. */
static void peer_forget(struct peer *me)
{
	uint32_t generation = me->generation + 1;
	unsigned int i;

	for (i = 0; i < PEER_MEMORY; i++)
		free(me->memory[i]);
	memset(me, 0, sizeof(*me));
	me->generation = generation;
}

static void peer_detach(struct peer *me)
{
	/* A reservation that its owner leaves is given up. */
	if (me->holds)
		peers.unclean++;
	ipm_ring_detach(me->ring);
	if (me->writes)
		peer_unsent(me->number);
	peer_forget(me);
}

static void peer_died(struct peer *me)
{
	peers.deaths++;
	if (me->roles & IPM_RING_CONSUMER || !me->ring)
		peers.unclean++;
	if (me->takes)
		peers.excuses++;
	if (me->roles & IPM_RING_PRODUCER || !me->ring)
		peers.doubts++;
	peer_forget(me);
}

static void peer_write(struct peer *me, uint64_t choice)
{
	unsigned char bytes[8192];
	size_t size = peer_size(me, choice), written;
	ipm_ring_span span = { bytes, size };
	ipm_result result;
	uint32_t n;

	if (peers.next == NUMBERS)
		return;
	n = peer_begin(me);
	peer_fill(bytes, n, (uint32_t)size);
	result = choice & 64 ? ipm_ring_write_batch(me->ring, &span, 1, &written) :
			       ipm_ring_fast_write(me->ring, bytes, size);
	if (!result) {
		peers.numbers[n].fate = COMMITTED;
		return;
	}
	peer_unsent(n);
	REQUIRE(result == IPM_RESULT_ERR_WOULD_BLOCK || result == IPM_RESULT_ERR_BAD_ACCESS ||
		(result == IPM_RESULT_ERR_ALREADY_LOCKED && me->writes) ||
		(result == IPM_RESULT_ERR_REMOVED && peers.options->kind == IPM_RING_KIND_MPMC));
}

static void peer_reserve(struct peer *me, uint64_t choice)
{
	ipm_ring_record record;
	ipm_result result;

	if (me->writes || peers.next == NUMBERS)
		return;
	me->number = peer_begin(me);
	result = ipm_ring_reserve(me->ring, peer_size(me, choice), &record);
	if (result) {
		peer_unsent(me->number);
		REQUIRE(result == IPM_RESULT_ERR_WOULD_BLOCK ||
			result == IPM_RESULT_ERR_BAD_ACCESS);
		return;
	}
	check_record(me->ring, &record);
	/* Not all of it, perhaps. */
	if (choice & 16)
		record.size = sizeof(struct label) + (choice >> 40) %
				(record.size - sizeof(struct label) + 1);
	peer_fill(record.data, me->number, (uint32_t)record.size);
	me->reserved = record;
	me->writes = true;
}

static void peer_commit(struct peer *me, bool discard)
{
	ipm_result result;

	if (!me->writes)
		return;
	result = discard ? ipm_ring_discard(me->ring, &me->reserved) :
			   ipm_ring_commit(me->ring, &me->reserved);
	me->writes = false;
	if (!discard && !result) {
		peers.numbers[me->number].fate = COMMITTED;
		return;
	}
	peer_unsent(me->number);
	REQUIRE(!result || result == IPM_RESULT_ERR_REMOVED);
}

static void peer_read(struct peer *me, uint64_t choice)
{
	static unsigned char bytes[DEPTH][8192];
	unsigned char *buffer = bytes[peers.depth - 1];
	size_t capacity = choice & 15 ? sizeof(bytes[0]) : 7, size = 0;
	ipm_result result;
	uint32_t flags = 0;

	me->takes = true;
	result = ipm_ring_fast_read(me->ring, buffer, capacity, &size, &flags);
	me->takes = false;
	if (!result)
		peer_delivered(me, buffer, size, flags);
	else if (result == IPM_RESULT_ERR_TOO_SMALL)
		peers.disordered = true;
	else
		REQUIRE(result == IPM_RESULT_ERR_WOULD_BLOCK ||
			result == IPM_RESULT_ERR_BAD_ACCESS ||
			(result == IPM_RESULT_ERR_ALREADY_LOCKED && me->holds));
}

static void peer_peek(struct peer *me)
{
	size_t got = 0;
	ipm_result result;

	if (me->holds == PEER_HANDS)
		return;
	result = ipm_ring_peek_batch(me->ring, me->in_hand + me->holds, PEER_HANDS - me->holds,
				     &got);
	REQUIRE(!result || result == IPM_RESULT_ERR_WOULD_BLOCK ||
		result == IPM_RESULT_ERR_BAD_ACCESS);
	while (!result && got--) {
		const ipm_ring_record *record = &me->in_hand[me->holds++];

		check_record(me->ring, record);
		peer_delivered(me, record->data, record->size, record->flags);
	}
}

static void peer_release(struct peer *me, uint64_t choice)
{
	uint32_t which = peers.options->kind == IPM_RING_KIND_MPMC && me->holds ?
				 choice % me->holds : 0;
	ipm_ring_record record;

	if (!me->holds)
		return;
	record = me->in_hand[which];
	/* It is still whole, whatever others did meanwhile. */
	{
		const unsigned char *at = record.data;
		struct label label;
		size_t i;

		memcpy(&label, at, sizeof(label));
		REQUIRE(label.size == record.size);
		for (i = sizeof(label); i < record.size; i++)
			REQUIRE(at[i] == peer_byte(label.number, i));
	}
	REQUIRE(!ipm_ring_fast_release(me->ring, &record));
	me->holds--;
	memmove(me->in_hand + which, me->in_hand + which + 1,
		(me->holds - which) * sizeof(record));
	REQUIRE(ipm_ring_fast_release(me->ring, &record));
}

static void peer_skip(struct peer *me, bool force)
{
	uint64_t n = 0;
	ipm_result result;

	/* A commit in that very instant may win, and comes late. */
	if (force && peers.options->kind == IPM_RING_KIND_MPMC)
		peers.disordered = true;
	me->takes = true;
	result = force ? ipm_ring_skip_force(me->ring, &n) : ipm_ring_skip(me->ring);
	me->takes = false;
	if (!result)
		peers.excuses++;
	else
		REQUIRE(result == IPM_RESULT_ERR_WOULD_BLOCK ||
			result == IPM_RESULT_ERR_BAD_ACCESS ||
			(result == IPM_RESULT_ERR_ALREADY_LOCKED && me->holds));
}

static void peer_call(struct peer *me, uint64_t choice)
{
	ipm_ring_stats stats;
	ipm_ring_peers counts;
	ipm_result result;
	uint64_t n;

	if (!me->ring) {
		peer_attach(me, choice >> 8);
		return;
	}
	switch (choice % 24) {
	default:
		peer_write(me, choice >> 8);
		break;
	case 6:
	case 7:
		peer_reserve(me, choice >> 8);
		break;
	case 8:
	case 9:
		peer_commit(me, (choice >> 8) % 4 == 0);
		break;
	case 10:
	case 11:
	case 12:
		peer_read(me, choice >> 8);
		break;
	case 13:
	case 14:
		peer_peek(me);
		break;
	case 15:
	case 16:
	case 17:
		peer_release(me, choice >> 8);
		break;
	case 18:
		peer_skip(me, (choice >> 8) % 4 == 0);
		break;
	case 19:
		REQUIRE(!ipm_ring_check(me->ring, &n));
		break;
	case 20:
		REQUIRE(!ipm_ring_get_stats(me->ring, &stats));
		REQUIRE(stats.used <= stats.capacity);
		REQUIRE(!ipm_ring_get_peers(me->ring, &counts));
		break;
	case 21:
		result = ipm_ring_yield(me->ring);
		REQUIRE(!result || (result == IPM_RESULT_ERR_ALREADY_LOCKED && me->holds));
		break;
	case 22:
		if ((choice >> 8) % 4 == 0)
			peer_detach(me);
		break;
	case 23:
		if (peers.death_rate && (choice >> 8) % 4 == 0)
			longjmp(*peers.death, 1);
	}
}

/* One call, and perhaps the death of who makes it. */
static void peer_act(struct peer *me, uint64_t choice)
{
	struct peer *outer = peers.now;
	jmp_buf here, *outer_death = peers.death;

	peers.now = me;
	peers.death = &here;
	peers.depth++;
	me->busy = true;
	if (setjmp(here))
		peer_died(me);
	else
		peer_call(me, choice);
	me->busy = false;
	peers.depth--;
	peers.death = outer_death;
	peers.now = outer;
}

/* One step of somebody is about to be made. */
static void peers_between(void)
{
	uint64_t choice = next_random();
	struct peer *other;

	if (!peers.depth || choice % peers.turn_rate)
		return;
	choice = next_random();
	if (peers.death_rate && choice % peers.death_rate == 0)
		longjmp(*peers.death, 1);
	other = &peers.peers[(choice >> 16) % PEERS];
	if (peers.depth == DEPTH || other->busy || !peers.turns)
		return;
	peers.turns--;
	peer_act(other, next_random() >> 8);
}

/* All are gone. What has not come yet comes now. */
static void peers_end(void)
{
	struct peer *last = &peers.peers[LAST];
	unsigned char bytes[8192];
	unsigned int i, polls, sent = 0;
	ipm_ring_stats stats;
	uint64_t lost = 0, n;
	uint32_t flags;
	size_t size;

	fuzz.between = NULL;
	for (i = 0; i < PEERS; i++) {
		if (!peers.peers[i].ring)
			continue;
		if (peers.death_rate && next_random() % 2)
			peer_died(&peers.peers[i]);
		else
			peer_detach(&peers.peers[i]);
	}
	peer_attach(last, 2);
	REQUIRE(last->ring);
	REQUIRE(!ipm_ring_check(last->ring, &n));
	/* Who reads in order has to see all of it in order, but for what is marked. */
	for (polls = 0; polls < 100; polls++) {
		ipm_result result = ipm_ring_read(last->ring, bytes, sizeof(bytes), &size, &flags);

		REQUIRE(!result || result == IPM_RESULT_ERR_WOULD_BLOCK);
		if (result)
			continue;
		peer_delivered(last, bytes, size, flags);
		polls = 0;
	}
	for (n = 0; n < peers.next; n++)
		if (peers.numbers[n].fate == COMMITTED && !peers.numbers[n].plain &&
		    !peers.numbers[n].marked)
			lost++;
	REQUIRE(lost <= peers.excuses);
	REQUIRE(!ipm_ring_get_stats(last->ring, &stats));
	REQUIRE(!stats.used);
	/* One who dies while it counts may count twice. */
	REQUIRE(stats.dropped <= peers.doubts + peers.deaths);
	for (n = 0; n < 2; n++) {
		while (sent < 10000 && !ipm_ring_write(last->ring, bytes, 8))
			sent++;
		REQUIRE(sent && sent < 10000);
		while (!ipm_ring_read(last->ring, bytes, sizeof(bytes), &size, &flags))
			sent--;
		REQUIRE(!sent);
	}
	peer_detach(last);
}

static void run_peers(const ipm_ring_options *options)
{
	unsigned int calls = 0;

	memset(&peers, 0, sizeof(peers));
	peers.options = options;
	peers.turn_rate = 1 + next_byte() % 32;
	peers.death_rate = next_byte();
	for (calls = 0; calls <= LAST; calls++)
		peers.peers[calls].generation = 1;
	fuzz.between = peers_between;
	for (calls = 0; fuzz.size && calls < 1000; calls++) {
		uint64_t choice = next_byte();

		peers.turns = TURNS_PER_CALL;
		peer_act(&peers.peers[choice % PEERS],
			 (next_random() & ~(uint64_t)0xff) | next_byte());
	}
	peers_end();
}

#endif /* RING_FUZZ_PEERS_H */
