/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of the rings: the layout of the shared memory, the handle, and what
 * the kinds offer to ring.c.
 *
 * Shared memory, from the start (all offsets are in the header):
 *
 *	struct ring_header
 *	struct ring_lane[]		SPSC: one; LANES: one per producer
 *	struct ring_participant[]	MPMC only
 *	struct ring_cell[]		MPMC only, one per block
 *	data				lanes * data_size bytes
 *
 * Nothing in it is an address, so every process may map it elsewhere.
 *
 * Every word that more than one process touches is used with the atomics
 * below, and each value from shared memory is loaded once, into a local
 * variable, before it is looked at.
 */
#ifndef IPM_LIB_RING_H
#define IPM_LIB_RING_H

#define IPM_RING_NO_INLINE
#include <ipm/ipm_ring.h>

#define RING_MAGIC 0x676e69722d6d7069ull	/* "ipm-ring" */
#define RING_VERSION 2u

#define RING_LINE 64
/* What two CPUs write is this far apart: CPUs fetch lines in pairs. */
#define RING_SPREAD 128

#define RING_MAX_DATA ((uint64_t)1 << 32)
#define RING_MIN_LANE ((uint64_t)256)
#define MPMC_MIN_BLOCKS 64u

#define ring_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define ring_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define ring_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ring_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* Keeps the compiler from reordering: a process that is killed between two
 * instructions has done everything before the point, nothing behind it. */
#define ring_kill_point() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static inline bool ring_cas(uint64_t *word, uint64_t *expected, uint64_t wanted)
{
	return __atomic_compare_exchange_n(word, expected, wanted, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline void ring_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Gets a line for writing, before it is needed. */
static inline void ring_fetch_for_writing(uintptr_t at)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)at));
#else
	__builtin_prefetch((const void *)at, 1);
#endif
}

/*
 * An owner: a participant's slot and generation in one word, so that it is
 * taken, and taken over, by one compare-and-swap. 0 is nobody.
 */
#define OWNER_USED ((uint64_t)1 << 63)
#define OWNER_PRODUCER ((uint64_t)1 << 62)
#define OWNER_CONSUMER ((uint64_t)1 << 61)
/* MPMC: has taken a dead one's place, and may yet give it back as it was. */
#define OWNER_ENTERING ((uint64_t)1 << 60)
#define OWNER_IDENTITY (((uint64_t)(IPM_RING_MAX_SLOTS - 1) << 32) | 0xffffffffu)

static inline uint64_t owner_make(uint32_t slot, uint32_t generation)
{
	return OWNER_USED | (uint64_t)slot << 32 | generation;
}

/* Fixed once the ring is created; read once, at attach. */
struct ring_geometry {
	uint32_t kind;
	uint32_t flags;
	uint32_t lanes;
	uint32_t participants;
	uint64_t size;		/* bytes that are used, from the header on */
	uint64_t lane_offset;
	uint64_t participant_offset;
	uint64_t cell_offset;
	uint64_t data_offset;
	uint64_t data_size;	/* of one lane */
};

struct ring_header {
	uint64_t magic;		/* stored last by the creator */
	uint32_t version;
	uint32_t reserved;
	struct ring_geometry geometry;

	/* Rare events, counted by whoever causes them. */
	__attribute__((aligned(RING_SPREAD))) uint64_t dropped;
	uint64_t redelivered;
	uint64_t skipped;

	/* MPMC: see ring_mpmc.c. */
	__attribute__((aligned(RING_SPREAD))) uint64_t head;
	__attribute__((aligned(RING_SPREAD))) uint64_t tail;
	__attribute__((aligned(RING_SPREAD))) unsigned char end[RING_SPREAD];
};

/*
 * One SPSC ring. See ring_lane.c for what the words mean and who may write
 * them.
 */
struct ring_lane {
	/* The producer's. */
	__attribute__((aligned(RING_SPREAD))) uint64_t intent;
	uint64_t written;
	/* The consumer's, read by the producer only when the ring is full. */
	__attribute__((aligned(RING_SPREAD))) uint64_t cursor;
	uint64_t taken;
	uint64_t read;
	/* The consumer's, for the producer. */
	__attribute__((aligned(RING_SPREAD))) uint64_t head;
	/* Who is who. */
	__attribute__((aligned(RING_SPREAD))) uint64_t producer;
	uint64_t consumer;
};

/* MPMC: who may own a record; the index into the table is in control words. */
struct ring_participant {
	__attribute__((aligned(RING_LINE))) uint64_t owner;
	uint64_t written;	/* by the owner only, now and then */
	uint64_t read;
	uint64_t recovers;	/* index, plus 1, of whom it finishes something */
};

/* MPMC: see ring_mpmc.c. */
struct ring_cell {
	__attribute__((aligned(16))) uint64_t word;
	uint64_t payload;
};

/* As ring_cas(), for a whole cell; only where m.pairs says that it can be done. */
static inline bool ring_cas_pair(struct ring_cell *cell, struct ring_cell old,
				 struct ring_cell wanted)
{
#if defined(__x86_64__)
	bool done;

	__asm__ __volatile__("lock cmpxchg16b %1"
			     : "=@ccz"(done), "+m"(*cell), "+a"(old.word), "+d"(old.payload)
			     : "b"(wanted.word), "c"(wanted.payload)
			     : "memory");
	return done;
#else
	(void)cell;
	(void)old;
	(void)wanted;
	return false;
#endif
}

/* The producer's end of a lane. */
struct lane_writer {
	struct ring_lane *lane;
	unsigned char *data;
	uint64_t lap_end;	/* position where this lap ends */
	uint64_t cleared;	/* zero from the tail to here */
	uint64_t head;		/* newest head that was seen */
	uint64_t reserved;	/* end of the reservation, 0 if there is none */
	uint64_t payload;	/* where its payload starts */
	uint32_t patience;
};

/* The consumer's end of a lane. */
struct lane_reader {
	struct ring_lane *lane;
	uint32_t index;
	unsigned char *data;
	uint64_t lap_end;
	uint64_t published;	/* what lane->head was set to */
	uint64_t redeliver;	/* up to here a dead one may have read */
	uint64_t pad;		/* a pad that was passed while records before it
				 * are in hand: from here ... */
	uint64_t pad_end;	/* ... to here; 0 if there is none */
	uint64_t burst;		/* fast.r_pos when the ring was last empty */
	uint64_t burst_count;	/* and fast.r_count */
	uint32_t patience;
};

/* MPMC: a word in somebody's way, and where it is. */
struct mpmc_still {
	uint64_t pos, word;
};

struct mpmc {
	struct ring_cell *cells;
	unsigned char *data;
	struct ring_participant *me;
	uint32_t index;		/* of me */
	uint64_t blocks;
	uint64_t max_blocks;
	bool pairs;		/* this CPU can compare and swap a whole cell */
	uint64_t written, read;

	/* Producer: where to look for the tail, and how far there is room. */
	uint64_t tail, tail_lap, tail_index;
	uint64_t tail_hint;	/* what header->tail was seen or set to */
	uint64_t limit;
	uint32_t full_polls;
	struct mpmc_still full;	/* what was in the way when it last looked */
	uint32_t reserved;	/* reservations that are open */

	/* Consumer: the first record that may not be taken yet. */
	uint64_t head, head_lap, head_index;
	uint64_t behind;	/* oldest record that was stepped over while
				 * another one had it, if there is one */
	bool has_behind;
	uint32_t in_hand;
	uint32_t empty_polls;
	struct mpmc_still empty;
	uint32_t since_look;
	uint64_t burst;
	uint32_t patience;
};

/* ring->nudge: what others may wait for, though the call has not done what it was to. */
#define RING_NUDGE_READERS 1u	/* a pad, and what follows needs its room */
#define RING_NUDGE_WRITERS 2u	/* a pad was passed: there is room */
#define RING_NUDGE_LEASE 4u	/* a lane was given back */

struct ipm_ring {
	struct ipm_ring_fast fast;
	uint32_t nudge;		/* for the channel, which takes it away */
	struct ring_header *header;
	struct ring_geometry geometry;
	uint64_t max_record;
	uint32_t roles;
	uint32_t lease_records;
	uint64_t owner;
	ipm_ring_liveness liveness;
	ipm_context context;

	struct lane_writer w;
	struct lane_reader r;
	uint32_t w_lane;	/* index */
	uint32_t next_lane;	/* LANES: where to look first */
	uint32_t leased;	/* LANES: records since the lease was taken */
	uint32_t leases;	/* LANES: that were looked for */
	uint32_t empty_polls;	/* LANES: since anything was found */
	uint64_t lease_start;	/* LANES: position */
	uint64_t *bad_lanes;	/* LANES: bit set, lane is corrupted */
	struct mpmc m;

	uint64_t nothing;	/* what the fast paths read when they may not */
};

static inline bool ring_doubled(const ipm_ring *ring)
{
	return ring->geometry.flags & IPM_RING_DOUBLED;
}

static inline struct ring_lane *ring_lane_at(const ipm_ring *ring, uint32_t i)
{
	return (struct ring_lane *)(void *)((unsigned char *)ring->header +
					    ring->geometry.lane_offset) + i;
}

static inline unsigned char *ring_data_at(const ipm_ring *ring, uint32_t i)
{
	return (unsigned char *)ring->header + ring->geometry.data_offset +
	       (uint64_t)i * ring->geometry.data_size;
}

/* ring.c */
bool ring_owner_dead(const ipm_ring *ring, uint64_t owner);
void ring_count(uint64_t *counter, uint64_t n);
ipm_result ring_check_geometry(const struct ring_geometry *g, size_t size);
ipm_result ring_read_header(const void *memory, size_t size,
			    struct ring_geometry *g);
ipm_result ring_make_geometry(const ipm_ring_options *options, size_t size,
			      struct ring_geometry *g);
void *ring_alloc(const ipm_context *context, size_t size);
void ring_free(const ipm_context *context, void *memory);

/* ring_map.c */
ipm_result ring_map_result(void);
ipm_result ring_map_room(int fd, uint64_t offset, size_t size, size_t *room);
ipm_result ring_map_doubled(int fd, uint64_t offset, int prot, size_t size,
			    size_t data_size, void **memory);

/* ring_lanes.c */
bool lanes_have_record(const ipm_ring *ring);

/* ring_lane.c */
uint64_t lane_max_record(uint64_t data_size);
uint64_t lane_record_space(uint64_t size);
ipm_result lane_open_writer(ipm_ring *ring, uint32_t i);
void lane_close_writer(ipm_ring *ring);
ipm_result lane_reserve(ipm_ring *ring, size_t size, ipm_ring_record *record);
ipm_result lane_commit(ipm_ring *ring, const ipm_ring_record *record);
ipm_result lane_discard(ipm_ring *ring, const ipm_ring_record *record);
ipm_result lane_open_reader(ipm_ring *ring, uint32_t i);
void lane_close_reader(ipm_ring *ring);
ipm_result lane_peek(ipm_ring *ring, ipm_ring_record *record);
ipm_result lane_release(ipm_ring *ring, const ipm_ring_record *record);
ipm_result lane_resync(ipm_ring *ring, uint64_t *skipped);
void lane_unpeek(ipm_ring *ring, const ipm_ring_record *record);
ipm_result lane_take_owner(ipm_ring *ring, uint64_t *word);
uint64_t lane_used(const ipm_ring *ring, uint32_t i);
bool lane_in_hand(ipm_ring *ring);
bool lane_has_record(const ipm_ring *ring, uint32_t i);
ipm_result lane_recover_producer(ipm_ring *ring, uint32_t i, uint64_t owner,
				 uint64_t *records);
ipm_result lane_recover_consumer(ipm_ring *ring, uint32_t i, uint64_t owner,
				 uint64_t *records);

/* ring_lanes.c */
ipm_result lanes_attach(ipm_ring *ring);
void lanes_detach(ipm_ring *ring);
ipm_result lanes_peek(ipm_ring *ring, ipm_ring_record *record);
ipm_result lanes_release(ipm_ring *ring, const ipm_ring_record *record);
ipm_result lanes_yield(ipm_ring *ring);
ipm_result lanes_skip_force(ipm_ring *ring, uint64_t *skipped);

/* ring_mpmc.c */
uint64_t mpmc_max_record(uint64_t data_size);
void mpmc_format(struct ring_header *header, const struct ring_geometry *g);
struct ring_participant *mpmc_participants(const ipm_ring *ring);
ipm_result mpmc_attach(ipm_ring *ring);
void mpmc_detach(ipm_ring *ring);
ipm_result mpmc_reserve(ipm_ring *ring, size_t size, ipm_ring_record *record);
ipm_result mpmc_commit(ipm_ring *ring, const ipm_ring_record *record);
ipm_result mpmc_write(ipm_ring *ring, const void *data, size_t size);
ipm_result mpmc_discard(ipm_ring *ring, const ipm_ring_record *record);
ipm_result mpmc_peek(ipm_ring *ring, ipm_ring_record *record);
ipm_result mpmc_release(ipm_ring *ring, const ipm_ring_record *record);
ipm_result mpmc_read(ipm_ring *ring, void *buffer, size_t capacity, size_t *size,
		     uint32_t *flags);
void mpmc_unpeek(ipm_ring *ring, const ipm_ring_record *record);
ipm_result mpmc_skip_force(ipm_ring *ring, uint64_t *skipped);
ipm_result mpmc_recover(ipm_ring *ring, uint64_t owner, uint64_t *records);
ipm_result mpmc_stats(ipm_ring *ring, ipm_ring_stats *stats);

/* A size for the caller, unless this machine has no such sizes (32 bits). */
static inline ipm_result ring_size_out(uint64_t bytes, size_t *size)
{
	if ((size_t)bytes != bytes)
		return IPM_RESULT_ERR_BAD_SIZE;
	*size = (size_t)bytes;
	return IPM_RESULT_SUCCESS;
}

/* Polls that found nothing: at which of them is it time to ask who is alive? */
static inline bool ring_look_due(uint32_t polls)
{
	return polls >= 16 && (!(polls & (polls - 1)) || polls % 1024 == 0);
}

#endif /* IPM_LIB_RING_H */
