/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of the exchanges:
 *
 *   exchange.c         the shape of the memory, handles, who takes part
 *   exchange_turn.c    whose turn it is, the queue, cleaning up after the dead
 *   exchange_box.c     putting an item into a box and taking it out
 *   exchange_io.c      publish and consume
 *   exchange_reply.c   request and reply
 *   exchange_memory.c  exchanges in segments
 *
 * There are two sides, publishers (clients) and consumers (servers), and two boxes
 * for one item each: side S fills box S, and empties the other one. One of each side
 * has the turn; all others of that side stand in a queue. So a box has one writer
 * and one reader at any time, and its words need no more than ordered stores:
 *
 *	head		writer: number of the newest item, what kind it is. The one
 *			store that publishes
 *	consumed	reader: number of the last item that was taken. The box is
 *			empty when it is that of head
 *
 * An item is small (in the box itself, beside head), whole (in the window before it
 * is published) or streamed: published first, and then copied into the window while
 * the reader follows, up to the mark "written". What is larger than the window goes
 * round and round in it, and the reader says with "read" what may be overwritten.
 * The writer of such an item stays until the last byte was read, so a reader that
 * comes after a dead one can ask it to start over ("again", answered by "epoch").
 * A signal or the deadline may end that while the reader takes the last bytes: who is
 * first to mark the item in "aborted" decides, the writer that it is given up, or the
 * reader that it has all of it.
 *
 * Death. Everything that a side does is done by the one that has the turn, and the
 * turn's word names it from the compare-and-swap on that takes it. Whoever finds it
 * dead does what is left to do, with compare-and-swaps and with numbers that only
 * grow, so that it may be done twice, or late, or half, and gives the turn free:
 *
 *	begun is the next number	the item was not published: counted as dropped
 *	streamed and not complete	aborted = its number: the reader drops it
 *	a request without its reply	given_up = its number, in the box that the
 *					side fills
 *
 * What was published is left for the next consumer; "taken" tells that one whether
 * another had begun with it.
 *
 * Each value from shared memory is loaded once, into a local variable, and checked
 * before it is used.
 */
#ifndef IPM_LIB_EXCHANGE_H
#define IPM_LIB_EXCHANGE_H

#include "ring.h"

#include <ipm/ipm_exchange.h>

#include "sys.h"
#include "wait.h"

#define EXCHANGE_MAGIC 0x676e68637865706dull	/* "mpexchng" */
#define EXCHANGE_VERSION 2u

/* Sides, and the boxes that they fill. */
enum { CLIENTS = 0, SERVERS = 1 };
enum { REQUESTS = CLIENTS, REPLIES = SERVERS };

/* A turn's word: the holder's index + 1, and a number that each change makes new. */
#define TURN_HOLDER (((uint64_t)1 << 13) - 1)
#define TURN_QUEUED ((uint64_t)1 << 13)		/* take your place in the queue */
#define TURN_STEP ((uint64_t)1 << 14)

/* box->head: the item's number, and from the right: */
#define HEAD_KIND 3u
#define HEAD_REQUEST 4u			/* a reply is waited for */
#define HEAD_SHIFT 8

enum { KIND_SMALL = 1, KIND_WHOLE = 2, KIND_STREAM = 3 };

/* box->aborted, box->given_up: a number, and why. */
#define MARK_DIED 1u
#define MARK_READ 2u		/* aborted: it is not, the reader has all of it */
#define MARK_DONE (MARK_DIED | MARK_READ)	/* and the writer has left, knowing that */
#define MARK_SHIFT 2

/* Changes to a word by others, while one tries to change it: no more than there are
 * participants, unless somebody plays with it. */
#define EXCHANGE_TRIES 10000

/* Bytes of an item that lies beside head. */
#define SMALL_MAX 96u

/* Only the side's own look at it, unless somebody died. */
struct exchange_turn {
	__attribute__((aligned(RING_SPREAD))) uint64_t word;
	uint64_t begun;		/* number of the item that is being made */
	uint64_t taken;		/* number of the item that is being read */
	uint64_t owed;		/* number of the request that awaits its reply */
	uint64_t next_ticket;
};

/* Where the one that has the turn sleeps; the bell of all of the side. */
struct exchange_side {
	__attribute__((aligned(RING_SPREAD))) uint32_t word;
};

struct exchange_box {
	/* The writer's: the line that the reader polls, and its neighbour. */
	__attribute__((aligned(RING_SPREAD))) uint64_t head;
	uint64_t size;
	uint64_t ack;		/* a reply: number of the request; a request:
				 * number of the last reply that was taken */
	uint64_t given_up;	/* requests: up to this one nobody waits for the
				 * reply; replies: no reply comes up to this one */
	unsigned char small[SMALL_MAX];
	/* The writer's, for streamed items. */
	__attribute__((aligned(RING_SPREAD))) uint64_t written;
	uint64_t aborted;
	uint64_t epoch;
	/* The reader's. */
	__attribute__((aligned(RING_SPREAD))) uint64_t consumed;
	uint64_t read;
	uint64_t read_of;	/* number of the item that read is about */
	uint64_t again;
	uint64_t keeper;	/* owner word of who marks an item as read */
};

/* One who takes part: an owner word of ring.h with its roles, 0 for nobody. */
struct exchange_entry {
	__attribute__((aligned(RING_LINE))) uint64_t owner;
	uint64_t ticket[2];	/* place in the queue, 0 for none */
	uint32_t word[2];	/* where it sleeps there */
};

struct exchange_header {
	uint64_t magic;		/* stored last by the creator */
	uint32_t version;
	uint32_t flags;
	uint32_t participants;
	uint32_t reserved;
	uint64_t window;	/* bytes of each */
	uint64_t size;		/* of all */
	uint64_t publish_bell;
	uint64_t consume_bell;
	/* Rare events, counted by whoever causes them. */
	__attribute__((aligned(RING_SPREAD))) uint64_t dropped;
	uint64_t redelivered;
	struct exchange_side sides[2];
	struct exchange_turn turns[2];
	struct exchange_box boxes[2];
	__attribute__((aligned(RING_SPREAD))) unsigned char end[RING_SPREAD];
};

struct exchange_geometry {
	uint32_t flags;
	uint32_t participants;
	uint64_t window;
	uint64_t window_offset;	/* of the first; the other follows */
	uint64_t size;
	uint64_t bells[2];
};

/* What this handle knows of a side while it has the turn. */
struct exchange_hand {
	bool held;
	uint64_t left;		/* the turn's word when it was given back: if it is
				 * the same, all of this is still true */
	uint64_t number;	/* of the newest item in the box that it fills */
	uint64_t seen;		/* how far that box is known to be consumed */
	uint64_t eaten;		/* number of the last item taken from the other box */
};

enum exchange_lent { LENT_NOTHING, LENT_RESERVED, LENT_PEEKED };

struct ipm_exchange {
	struct exchange_header *header;
	struct exchange_entry *entries;
	struct exchange_entry *me;
	unsigned char *windows[2];
	uint32_t index;		/* of me */
	uint32_t roles;
	uint64_t identity;	/* what this handle put into its entry */
	struct exchange_geometry geometry;
	struct exchange_hand hands[2];
	/* Per side: an item that was reserved to be filled, or peeked. */
	struct {
		enum exchange_lent what;
		uint64_t number;
		uint64_t size;
		uint32_t head;	/* bits */
		uint32_t item;	/* flags for the caller */
	} lent[2];
	uint64_t asked;		/* the request whose reply this client awaits */
	uint64_t owes;		/* the request that this server has to answer */
	ipm_channel_config config;
	struct wait_counts counts;
	struct wait_habit habit;
	ipm_ring_liveness liveness;
	void (*bell)(void *param, uint64_t bits);
	void *bell_param;
	ipm_context context;
};

/* What is in a box. */
struct exchange_arrival {
	uint64_t number;
	uint64_t size;
	uint64_t ack;
	uint32_t head;		/* bits */
	uint32_t item;		/* flags for the caller */
};

/* For who is told that it is too large: 64-bit programs may send what 32 bits cannot say. */
static inline size_t exchange_size(uint64_t size)
{
	return size < SIZE_MAX ? (size_t)size : SIZE_MAX;
}

static inline uint64_t head_number(uint64_t head)
{
	return head >> HEAD_SHIFT;
}

/* Between a change and the look at who sleeps; pairs with that in wait.c's sleepers. */
static inline void exchange_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The same, where a compare-and-swap comes between the two already. */
static inline void exchange_fence_after_swap(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* exchange.c */

/** exchange_read_header() - copy the shape out of shared memory and check it */
ipm_result exchange_read_header(const void *memory, size_t size, struct exchange_geometry *g);

/** exchange_dead() - whether that owner died */
bool exchange_dead(const ipm_exchange *x, uint64_t owner);

struct exchange_census {
	uint32_t alive;
	uint32_t dead;
};

/** exchange_count() - those of a side, besides the one who asks */
struct exchange_census exchange_count(const ipm_exchange *x, int side);

/* exchange_turn.c */

/**
 * exchange_await() - try something until it is done
 * @x: the handle
 * @side: as which of its roles it waits
 * @word: where to sleep: NULL for the side's word, which is for who has the turn
 * @run: what to try
 * @param: for @run
 * @deadline: until when
 */
ipm_result exchange_await(ipm_exchange *x, int side, uint32_t *word,
			  ipm_result (*run)(ipm_exchange *x, void *param), void *param,
			  int64_t deadline);

/**
 * exchange_late() - whether a deadline has passed
 *
 * For loops that go on because of what the other side does, not because they wait.
 *
 * Return: %IPM_RESULT_SUCCESS it has not; %IPM_RESULT_ERR_TIMEOUT;
 * %IPM_RESULT_ERR_WOULD_BLOCK for %IPM_DEADLINE_NOW.
 */
static inline ipm_result exchange_late(int64_t deadline)
{
	if (deadline == IPM_DEADLINE_NONE)
		return IPM_RESULT_SUCCESS;
	if (deadline == IPM_DEADLINE_NOW)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	return ipm_sys_now() < deadline ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_TIMEOUT;
}

/** exchange_wake() - wake who waits on a side, if anybody does */
void exchange_wake_slow(ipm_exchange *x, int side);

static inline void exchange_wake(ipm_exchange *x, int side)
{
	if (__builtin_expect(ring_load(&x->header->sides[side].word) &
			     (WORD_SLEEPS | WORD_ARMED), 0))
		exchange_wake_slow(x, side);
}

/** exchange_take_turn() - wait for the turn of a side, and know what is in the boxes */
ipm_result exchange_take_turn(ipm_exchange *x, int side, int64_t deadline);

/** exchange_give_turn() - give it to the next, wake who waits for what was done */
ipm_result exchange_give_turn(ipm_exchange *x, int side);

/** exchange_turn_free() - whether a newcomer could have the turn */
bool exchange_turn_free(const ipm_exchange *x, int side);

/** exchange_recover() - do for the dead what they left undone */
ipm_result exchange_recover(ipm_exchange *x);

/**
 * exchange_recover_place() - the same for the one whose place this handle has just taken
 *
 * A turn that names the place is a dead one's: this handle has had none yet.
 */
void exchange_recover_place(ipm_exchange *x);

/** exchange_raise() - a mark that only grows */
void exchange_raise(uint64_t *mark, uint64_t value);

/* exchange_box.c */

/** exchange_wait_empty() - wait until the box that a side fills is empty */
ipm_result exchange_wait_empty(ipm_exchange *x, int side, int64_t deadline);

/** exchange_begin() - from here on an item is being made */
static inline void exchange_begin(ipm_exchange *x, int side)
{
	ring_store(&x->header->turns[side].begun, x->hands[side].number + 1);
	ring_kill_point();
}

/** exchange_set_head() - publish */
void exchange_set_head(ipm_exchange *x, int side, uint32_t head, uint64_t size);

/** exchange_send() - publish a copy in the empty box of a side */
ipm_result exchange_send(ipm_exchange *x, int side, uint32_t head, const void *data, size_t size,
			 int64_t deadline);

/**
 * exchange_arrive() - look for an item in the box that a side empties
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_WOULD_BLOCK or
 * %IPM_RESULT_ERR_CORRUPTED.
 */
ipm_result exchange_arrive(ipm_exchange *x, int side, struct exchange_arrival *a);

/**
 * exchange_wait_complete() - until all of an item is in the window
 *
 * Return: as exchange_receive(); %IPM_RESULT_ERR_TOO_LARGE it never will be.
 */
ipm_result exchange_wait_complete(ipm_exchange *x, int side, const struct exchange_arrival *a,
				  int64_t deadline);

/**
 * exchange_receive() - copy an item out; it stays in the box
 *
 * Return: %IPM_RESULT_SUCCESS; how a wait ends; %IPM_RESULT_ERR_PEER_DIED and
 * EXCHANGE_GONE its writer died or gave up, and the item was removed.
 */
ipm_result exchange_receive(ipm_exchange *x, int side, const struct exchange_arrival *a,
			    void *buffer, int64_t deadline);

/* Inside only: the writer took the item back. */
#define EXCHANGE_GONE IPM_RESULT_COUNT

/** exchange_eat() - an item is out of its box */
static inline void exchange_eat(ipm_exchange *x, int side, uint64_t number)
{
	/* After all reading; pairs with the acquire in exchange_box.c's empty(). */
	ring_store_release(&x->header->boxes[!side].consumed, number);
	x->hands[side].eaten = number;
}

/** exchange_where() - an item's bytes, if it is in one piece */
static inline unsigned char *exchange_where(const ipm_exchange *x, int box, uint32_t head)
{
	return (head & HEAD_KIND) == KIND_SMALL ? x->header->boxes[box].small : x->windows[box];
}

/* exchange_reply.c */

/** exchange_begin_asking() - the next item of this client is a request */
void exchange_begin_asking(ipm_exchange *x, uint64_t number);

/** exchange_reply_gone() - whether nobody waits for the reply that is owed, and why */
ipm_result exchange_reply_gone(const ipm_exchange *x);

/** exchange_refuse() - a server that leaves without an answer */
void exchange_refuse(ipm_exchange *x);

#endif /* IPM_LIB_EXCHANGE_H */
