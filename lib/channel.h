/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of the channels:
 *
 *   channel.c          the shape of the memory, handles, who takes part
 *   channel_wait.c     sleeping and waking
 *   channel_io.c       writing and reading
 *   channel_map.c      mappings, doubled ones too
 *   channel_memory.c   channels in segments
 *
 * Shared memory, from the start:
 *
 *	struct channel_header
 *	struct channel_entry[]		who takes part
 *	ring				at header->ring_offset
 *
 * As in the rings, each value from shared memory is loaded once, into a local
 * variable, before it is looked at; the offsets and counts are checked at attach
 * and never read again.
 */
#ifndef IPM_LIB_CHANNEL_H
#define IPM_LIB_CHANNEL_H

#include "ring.h"

#include <ipm/ipm_channel.h>

#include "sys.h"
#include "wait.h"

#define CHANNEL_MAGIC 0x6e616863206d7069ull	/* "ipm chan" */
#define CHANNEL_VERSION 1u

/* The word of a side: see wait.h. */
struct channel_side {
	__attribute__((aligned(RING_SPREAD))) uint32_t word;
	/* A copy in both sides: who looks at the word has it in its cache. */
	uint32_t closed;
};

/*
 * One who takes part: an owner word of ring.h with its roles, 0 for nobody. One
 * that is dead stays until another takes its role over, so everybody who waits
 * for it gets to know.
 */
struct channel_entry {
	uint64_t owner;
	/* It writes and reads without fences: who wants to sleep has to see to it
	 * that its stores have come through. */
	uint32_t fenceless;
	uint32_t reserved;
};

struct channel_header {
	uint64_t magic;		/* stored last by the creator */
	uint32_t version;
	uint32_t participants;
	uint64_t ring_offset;
	uint64_t ring_size;
	uint64_t read_bell;
	uint64_t write_bell;
	struct channel_side readers;
	struct channel_side writers;
	__attribute__((aligned(RING_SPREAD))) unsigned char end[RING_SPREAD];
};

struct channel_geometry {
	uint32_t participants;
	uint64_t ring_offset;
	uint64_t ring_size;
	uint64_t read_bell;
	uint64_t write_bell;
};

struct ipm_channel {
	ipm_ring *ring;
	struct channel_header *header;
	struct channel_entry *me;
	bool fencing;		/* a fence comes after each write and read */
	bool registered;	/* the sleepers' membarrier() reaches this process */
	uint32_t calm;		/* writes and reads until the fences may go */
	uint32_t roles;
	uint64_t identity;	/* what this handle put into its entry */
	struct channel_geometry geometry;
	ipm_channel_config config;
	ipm_ring_liveness liveness;
	void (*bell)(void *param, uint64_t bits);
	void *bell_param;
	struct wait_counts counts;
	struct wait_habit habit;
	ipm_channel_mapping mapping;	/* made by attach, if any */
	ipm_context context;
};

static inline struct channel_entry *channel_entries(const ipm_channel *ch)
{
	return (struct channel_entry *)(void *)(ch->header + 1);
}

/** struct channel_call - something that is tried until it is done */
struct channel_call {
	ipm_result (*run)(ipm_channel *ch, struct channel_call *call);
	const void *in;
	void *out;
	size_t size;		/* bytes or records */
	size_t *result;
	uint32_t *flags;
	ipm_ring_record *record;
};

/* channel.c */

/** channel_read_header() - copy the shape out of shared memory and check it */
ipm_result channel_read_header(const void *memory, size_t size, struct channel_geometry *g);

/** channel_make_geometry() - the largest channel of that shape in @size bytes */
ipm_result channel_make_geometry(const ipm_channel_options *options, size_t size,
				 struct channel_geometry *g);

/** struct channel_census - who is there, besides the one who asks */
struct channel_census {
	uint32_t alive;
	uint32_t dead;
};

/** channel_count() - those who have one of @roles; asks who is alive */
struct channel_census channel_count(const ipm_channel *ch, uint32_t roles);

/** channel_recover() - clean the ring up after the dead, wake who it helps */
ipm_result channel_recover(ipm_channel *ch, uint64_t *records);

/* channel_wait.c */

/** channel_wait() - go on with a call that could not be done at once */
ipm_result channel_wait(ipm_channel *ch, uint32_t role, struct channel_call *call,
			int64_t deadline);

/** channel_wake() - wake one or all of a side, if anybody sleeps there */
void channel_wake(ipm_channel *ch, struct channel_side *side, bool all);

/** channel_wake_all() - whether all waiters of that side are to be woken, or one */
static inline bool channel_wake_all(const ipm_channel *ch, const struct channel_side *side)
{
	/*
	 * Any consumer can take any record of an MPMC ring. With lanes it has to
	 * be the one that has the lane; and a writer may need more room than
	 * there is while another does not.
	 */
	return ch->ring->geometry.kind != IPM_RING_KIND_MPMC || side != &ch->header->readers;
}

/** channel_fence() - let everybody else's stores so far be seen, before a sleep */
bool channel_fence(ipm_channel *ch);

/** channel_go_fenceless() - rely on the sleepers' membarrier() from now on */
void channel_go_fenceless(ipm_channel *ch);

/** channel_settle() - between a change of the ring and the look who waits for it */
static inline void channel_settle(ipm_channel *ch)
{
	if (ch->fencing) {
		/* Pairs with the fence in channel_fence(). */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!--ch->calm)
			channel_go_fenceless(ch);
	} else {
		/* Pairs with membarrier() in channel_fence(). */
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	}
}

/**
 * channel_done() - after each write and read: wake who waits for it
 * @side: those whom it may help
 *
 * The eventcount: the sleeper sets its bit and looks at the ring once more, this
 * one changes the ring and then looks at the bit. A fence on each side between the
 * two keeps both from missing the other. Nothing but a fence would be the whole
 * cost here, so a handle that has not had to wake anybody for a while leaves it to
 * the sleeper, who makes one run on every CPU with membarrier(). Source of the
 * idea: the asymmetric fences of folly and of liburcu.
 */
static inline void channel_done(ipm_channel *ch, struct channel_side *side)
{
	channel_settle(ch);
	if (__builtin_expect(ring_load(&side->word) & (WORD_SLEEPS | WORD_ARMED), 0))
		channel_wake(ch, side, channel_wake_all(ch, side));
}

/** channel_nudge_slow() - see channel_nudge() */
void channel_nudge_slow(ipm_channel *ch);

/** channel_nudge() - after a call of the ring's that may have helped others in passing */
static inline void channel_nudge(ipm_channel *ch)
{
	if (__builtin_expect(ch->ring->nudge, 0))
		channel_nudge_slow(ch);
}

#endif /* IPM_LIB_CHANNEL_H */
