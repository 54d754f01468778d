/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings: lock-free queues of variable-size records in memory that the caller
 * provides, shared between processes, usable after the death of any of them.
 *
 * A ring is formatted once with ipm_ring_create() and then used through
 * handles, each from ipm_ring_attach(). A handle belongs to one thread at a
 * time; threads that work on the same ring attach one handle each. No call
 * waits for a peer, takes a lock or makes a system call, unless the liveness
 * callback does; what has to wait returns %IPM_RESULT_ERR_WOULD_BLOCK.
 * Waiting is the channel's work (ipm_channel.h).
 *
 * Everything in the ring's memory may be written by a hostile peer at any
 * time. It is read once, checked, and then used: a peer can spoil payload and
 * make calls return %IPM_RESULT_ERR_CORRUPTED, and nothing else. Payload that
 * is read in place (ipm_ring_peek()) may change while it is looked at; who
 * does not trust the peer copies it first (ipm_ring_read()).
 *
 * The calls are safe in signal handlers as far as the callbacks are, on a
 * handle that the interrupted code does not use. A forked child may not use
 * its parent's handles, not even to detach them: it attaches its own, with a
 * slot of its own.
 */
#ifndef IPM_RING_H
#define IPM_RING_H

#include <stdbool.h>
#include <string.h>

#include <ipm/ipm_common.h>
#include <ipm/ipm_error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Memory that is handed to a ring starts at a multiple of this, in bytes. */
#define IPM_RING_ALIGNMENT 64

/** Slots are smaller than this. */
#define IPM_RING_MAX_SLOTS 4096

/** What the field @participants of the options may be at most. */
#define IPM_RING_MAX_PARTICIPANTS 4095

/** How many lanes a ring may have at most. */
#define IPM_RING_MAX_LANES 1024

/** enum ipm_ring_kind - who writes, who reads, and in which order */
typedef enum ipm_ring_kind {
	/** One producer, one consumer, records in order. */
	IPM_RING_KIND_SPSC = 1,
	/** Any number of each; one order for all records, each of less than 1 MiB. */
	IPM_RING_KIND_MPMC = 2,
	/**
	 * Any number of each; the records of each producer stay in order
	 * among themselves, from attach to detach. A producer has a lane of
	 * its own, a consumer takes a lease on one lane after the other.
	 */
	IPM_RING_KIND_LANES = 3
} ipm_ring_kind;

/**
 * The data area of the ring is mapped twice in a row in each process, so
 * records may cross its end. Without it, a record that does not fit before the
 * end goes to the start, and the rest stays unused for that lap. Needs
 * ipm_ring_map(). Not for %IPM_RING_KIND_LANES.
 */
#define IPM_RING_DOUBLED 1u

/** The memory of the ring is mapped read-only: roles are refused. Only to attach. */
#define IPM_RING_READ_ONLY 2u

/**
 * struct ipm_ring_options - the shape of a ring
 *
 * Zero everything, set @struct_size and @kind, and what is wanted besides.
 *
 * @struct_size: sizeof(ipm_ring_options)
 * @kind: one of enum ipm_ring_kind
 * @flags: 0 or %IPM_RING_DOUBLED
 * @participants: MPMC: how many handles may be attached for reading or writing
 *	at once; 0 means 32
 * @lanes: LANES: how many producers may be attached at once; 0 means 8
 */
typedef struct ipm_ring_options {
	size_t struct_size;
	ipm_ring_kind kind;
	uint32_t flags;
	uint32_t participants;
	uint32_t lanes;
} ipm_ring_options;

/**
 * struct ipm_ring_limits - what a ring of some size can hold
 *
 * @capacity: bytes for records and their headers (of all lanes together)
 * @max_record: bytes of the largest record that fits when the ring is empty
 */
typedef struct ipm_ring_limits {
	size_t capacity;
	size_t max_record;
} ipm_ring_limits;

/**
 * struct ipm_ring_liveness - tells whether the owner of a slot still lives
 *
 * @alive: returns false once the handle that had @slot in @generation is gone
 *	for good, so that none of its instructions can run any more; true while
 *	it lives, and when in doubt. Called with numbers out of shared memory:
 *	any 32-bit values have to be survived. @slot is below
 *	%IPM_RING_MAX_SLOTS. May be called by any call on the ring.
 * @param: handed to @alive
 */
typedef struct ipm_ring_liveness {
	bool (*alive)(void *param, uint32_t slot, uint32_t generation);
	void *param;
} ipm_ring_liveness;

/** Attach to write records. */
#define IPM_RING_PRODUCER 1u
/** Attach to read records. */
#define IPM_RING_CONSUMER 2u

/**
 * struct ipm_ring_attach_options - how to use a ring
 *
 * @struct_size: sizeof(ipm_ring_attach_options)
 * @roles: %IPM_RING_PRODUCER, %IPM_RING_CONSUMER or both; 0 only observes
 *	(ipm_ring_get_stats(), ipm_ring_get_peers()), and is the one way to
 *	attach to memory that is mapped read-only
 * @flags: %IPM_RING_DOUBLED when the memory is mapped so, %IPM_RING_READ_ONLY when it
 *	is mapped so; else 0. Take it from struct ipm_ring_mapping: what the memory
 *	itself says, or said to others, may have been changed since it was mapped
 * @slot: number of this participant, below %IPM_RING_MAX_SLOTS
 * @generation: generation of @slot
 * @lease_records: LANES, consumer: after how many records a lane is given back
 *	for others; 0 leaves it to the library (an eighth of the lane). 1 gives
 *	it back after every record: slower, but no record waits behind one that
 *	this consumer is still busy with in its own code.
 * @liveness: who is alive; with a NULL @liveness.alive nobody ever counts as
 *	dead, and nothing is recovered
 */
typedef struct ipm_ring_attach_options {
	size_t struct_size;
	uint32_t roles;
	uint32_t flags;
	uint32_t slot;
	uint32_t generation;
	uint32_t lease_records;
	ipm_ring_liveness liveness;
} ipm_ring_attach_options;

/** A handle on a ring. */
typedef struct ipm_ring ipm_ring;

/**
 * The record was in the hands of a consumer that died (or detached) before it
 * released it: it may have been worked on already.
 */
#define IPM_RING_REDELIVERED 1u

/**
 * struct ipm_ring_record - a record in the ring's memory
 *
 * Filled in by ipm_ring_reserve() and ipm_ring_peek(); copied freely, owned by
 * the caller. @data points into the ring's memory and is valid until the
 * record is committed, discarded or released.
 *
 * @data: the payload; aligned to 8 bytes, from 512 bytes on to 64. What lies behind
 *	@size bytes of it is the ring's own
 * @size: bytes of payload
 * @id: number of the record, growing in the order of the ring (of the lane);
 *	not dense
 * @flags: %IPM_RING_REDELIVERED or 0
 * @lane: LANES: which lane; else 0
 * @priv: for the library
 */
typedef struct ipm_ring_record {
	void *data;
	size_t size;
	uint64_t id;
	uint32_t flags;
	uint32_t lane;
	uint64_t priv[2];
} ipm_ring_record;

/**
 * struct ipm_ring_span - bytes to be written as one record
 *
 * @data: first byte
 * @size: how many
 */
typedef struct ipm_ring_span {
	const void *data;
	size_t size;
} ipm_ring_span;

/**
 * struct ipm_ring_stats - what happened on a ring since it was created
 *
 * Written by many processes and read without stopping them: each field is
 * right at some moment of the call, not all at the same one. @written and
 * @read lag behind by what the other handles count privately (a few dozen
 * records each), and miss that much of a participant that died.
 *
 * @written: records committed
 * @read: records released
 * @dropped: half-written records of dead producers that were thrown away; one
 *	may be counted twice when who cleans up dies in that very instant
 * @redelivered: records handed out again because a consumer died
 * @skipped: records passed over by ipm_ring_skip() and ipm_ring_skip_force()
 * @used: bytes of @capacity in use
 * @capacity: bytes for records and their headers
 */
typedef struct ipm_ring_stats {
	uint64_t written;
	uint64_t read;
	uint64_t dropped;
	uint64_t redelivered;
	uint64_t skipped;
	uint64_t used;
	uint64_t capacity;
} ipm_ring_stats;

/**
 * struct ipm_ring_peers - who is attached
 *
 * The calling handle is counted too. A consumer of a LANES ring is counted
 * while it has a lane.
 *
 * @producers: attached and alive
 * @consumers: attached and alive
 * @dead_producers: died without detaching, and not recovered yet
 * @dead_consumers: likewise
 */
typedef struct ipm_ring_peers {
	uint32_t producers;
	uint32_t consumers;
	uint32_t dead_producers;
	uint32_t dead_consumers;
} ipm_ring_peers;

/**
 * ipm_ring_footprint() - how much memory a ring needs
 * @options: the shape
 * @capacity: bytes that records and their headers shall have at least, of one
 *	lane for LANES; any number, rounded up as needed
 * @size: where the number of bytes goes
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE for a NULL pointer or
 * an impossible option; %IPM_RESULT_ERR_BAD_SIZE if @capacity is 0 or beyond
 * what a ring can have (4 GiB per lane; MPMC 4 GiB), or if 32 bits cannot say how
 * much it is in all.
 */
IPM_API ipm_result ipm_ring_footprint(const ipm_ring_options *options,
				      size_t capacity, size_t *size);

/**
 * ipm_ring_record_space() - how much of the capacity a record takes
 * @options: the shape
 * @size: bytes of payload
 * @space: where the number of bytes goes, header and alignment included; a
 *	record that does not fit before the end of the ring wastes more
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_BAD_VALUE or
 * %IPM_RESULT_ERR_BAD_SIZE for a size of 0 or one that fits no ring.
 */
IPM_API ipm_result ipm_ring_record_space(const ipm_ring_options *options,
					 size_t size, size_t *space);

/**
 * ipm_ring_capacity() - what a ring in some memory can hold
 * @options: the shape
 * @size: bytes of memory
 * @limits: where the answer goes
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_BAD_VALUE, or
 * %IPM_RESULT_ERR_TOO_SMALL if no such ring fits into @size bytes.
 */
IPM_API ipm_result ipm_ring_capacity(const ipm_ring_options *options,
				     size_t size, ipm_ring_limits *limits);

/**
 * ipm_ring_create() - format memory as an empty ring
 * @options: the shape
 * @memory: where; aligned to %IPM_RING_ALIGNMENT, with %IPM_RING_DOUBLED to a
 *	page. Stays the caller's, and may be mapped at another address by every
 *	process.
 * @size: bytes of @memory (with %IPM_RING_DOUBLED without the second copy);
 *	need not be a power of two. All of it belongs to the ring.
 *
 * Nobody may use the memory during the call. A creator that dies half-way
 * leaves memory that ipm_ring_attach() refuses.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE for a NULL pointer,
 * misaligned memory or an impossible option; %IPM_RESULT_ERR_TOO_SMALL if no
 * such ring fits.
 */
IPM_API ipm_result ipm_ring_create(const ipm_ring_options *options,
				   void *memory, size_t size);

/**
 * ipm_ring_attach() - get a handle on a ring
 * @context: callbacks for the memory of the handle, or NULL
 * @options: roles and identity
 * @memory: the ring, at any address aligned as for ipm_ring_create()
 * @size: bytes of @memory; at least those that the ring was created with
 * @ring: where the handle goes; freed by ipm_ring_detach()
 *
 * Takes over the place of a participant that died, after cleaning up what it
 * left. The memory must stay mapped until ipm_ring_detach().
 *
 * Return: %IPM_RESULT_SUCCESS;
 * %IPM_RESULT_ERR_BAD_VALUE for a NULL pointer, misaligned memory or an
 * impossible option;
 * %IPM_RESULT_ERR_BAD_ACCESS for a role on memory that is mapped read-only, as
 * @options tells;
 * %IPM_RESULT_ERR_BAD_INIT if there is no ring, or one that is not finished;
 * %IPM_RESULT_ERR_VERSION if another layout version made it;
 * %IPM_RESULT_ERR_TOO_SMALL if @size is smaller than the ring;
 * %IPM_RESULT_ERR_CORRUPTED if its header contradicts itself;
 * %IPM_RESULT_ERR_NOT_SUPPORTED if the ring needs a doubled mapping and
 * @options does not promise one;
 * %IPM_RESULT_ERR_ALREADY_LOCKED if an SPSC ring has a live participant in
 * that role;
 * %IPM_RESULT_ERR_LIMIT if all places are taken by live participants;
 * %IPM_RESULT_ERR_OUT_OF_MEMORY.
 */
IPM_API ipm_result ipm_ring_attach(const ipm_context *context,
				   const ipm_ring_attach_options *options,
				   void *memory, size_t size, ipm_ring **ring);

/**
 * ipm_ring_detach() - give a handle back
 * @ring: the handle, or NULL
 *
 * A reservation is discarded; records that were peeked and not released are
 * delivered again. The ring itself stays.
 */
IPM_API void ipm_ring_detach(ipm_ring *ring);

/**
 * ipm_ring_get_limits() - what this ring can hold
 * @ring: any handle
 * @limits: where the answer goes
 *
 * Return: %IPM_RESULT_SUCCESS or %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_get_limits(const ipm_ring *ring,
				       ipm_ring_limits *limits);

/**
 * ipm_ring_reserve() - room for a record, to be filled in place
 * @ring: a producer's handle
 * @size: bytes of payload, 1 to max_record
 * @record: where the record goes
 *
 * Ends with ipm_ring_commit() or ipm_ring_discard(). SPSC and LANES: one
 * reservation at a time. MPMC: any number, in any order; consumers stop at one
 * that is neither committed nor discarded.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_WOULD_BLOCK when full;
 * %IPM_RESULT_ERR_BAD_SIZE for 0 bytes; %IPM_RESULT_ERR_TOO_LARGE for more
 * than can ever fit; %IPM_RESULT_ERR_ALREADY_LOCKED for a second reservation;
 * %IPM_RESULT_ERR_BAD_ACCESS if the handle is no producer;
 * %IPM_RESULT_ERR_CORRUPTED; %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_reserve(ipm_ring *ring, size_t size,
				    ipm_ring_record *record);

/**
 * ipm_ring_commit() - publish a reserved record
 * @ring: the handle that reserved it
 * @record: the record; its @size may have been made smaller, not 0
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_LOCKED if it is not
 * reserved by this handle (any more); %IPM_RESULT_ERR_REMOVED if a consumer
 * forcibly skipped it: it will not be delivered;
 * %IPM_RESULT_ERR_BAD_SIZE if @record->size is 0 or larger than reserved, the
 * reservation stays; %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_commit(ipm_ring *ring,
				   const ipm_ring_record *record);

/**
 * ipm_ring_discard() - give a reservation up
 * @ring: the handle that reserved it
 * @record: the record
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_NOT_LOCKED or
 * %IPM_RESULT_ERR_BAD_VALUE.
 */
IPM_API ipm_result ipm_ring_discard(ipm_ring *ring,
				    const ipm_ring_record *record);

/**
 * ipm_ring_write() - reserve, copy and commit in one
 * @ring: a producer's handle
 * @data: the payload
 * @size: its bytes
 *
 * Return: as ipm_ring_reserve().
 */
IPM_API ipm_result ipm_ring_write(ipm_ring *ring, const void *data,
				  size_t size);

/**
 * ipm_ring_write_batch() - write several records
 * @ring: a producer's handle
 * @spans: the payloads
 * @count: how many
 * @written: where the number of records that were written goes
 *
 * Each is a record of its own, published as soon as it is complete.
 *
 * Return: %IPM_RESULT_SUCCESS if all were written; else the result that
 * stopped it, as ipm_ring_reserve(), with @written telling how many went.
 */
IPM_API ipm_result ipm_ring_write_batch(ipm_ring *ring,
					const ipm_ring_span *spans,
					size_t count, size_t *written);

/**
 * ipm_ring_peek() - take the next record, to be read in place
 * @ring: a consumer's handle
 * @record: where the record goes
 *
 * The record is this consumer's until ipm_ring_release(). Another call takes
 * the next one. SPSC and LANES: released in the order in which they were
 * taken; LANES: a handle has records of one lane at a time, and says
 * %IPM_RESULT_ERR_WOULD_BLOCK when that lane has no more, until the records
 * in hand are released.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_WOULD_BLOCK when there is
 * nothing to take; %IPM_RESULT_ERR_BAD_ACCESS if the handle is no consumer;
 * %IPM_RESULT_ERR_CORRUPTED; %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_peek(ipm_ring *ring, ipm_ring_record *record);

/**
 * ipm_ring_release() - done with a record
 * @ring: the handle that took it
 * @record: the record
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_LOCKED if this handle does
 * not hold it (released already, or never taken); SPSC and LANES:
 * %IPM_RESULT_ERR_BAD_VALUE if an earlier one is still held, it stays held
 * then; %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_release(ipm_ring *ring,
				    const ipm_ring_record *record);

/**
 * ipm_ring_peek_batch() - take up to @count records
 * @ring: a consumer's handle
 * @records: where they go
 * @count: how many at most
 * @taken: where the number of records taken goes
 *
 * Return: %IPM_RESULT_SUCCESS if at least one was taken; else as
 * ipm_ring_peek(), with 0 in @taken.
 */
IPM_API ipm_result ipm_ring_peek_batch(ipm_ring *ring,
				       ipm_ring_record *records, size_t count,
				       size_t *taken);

/**
 * ipm_ring_release_batch() - done with several records
 * @ring: the handle that took them
 * @records: the records, in the order in which they were taken
 * @count: how many
 *
 * Return: %IPM_RESULT_SUCCESS if all were released; else what the first that
 * could not be released came to, as ipm_ring_release(); those before it are
 * released.
 */
IPM_API ipm_result ipm_ring_release_batch(ipm_ring *ring,
					  const ipm_ring_record *records,
					  size_t count);

/**
 * ipm_ring_read() - peek, copy and release in one
 * @ring: a consumer's handle
 * @buffer: where the payload goes
 * @capacity: bytes of @buffer
 * @size: where the bytes of the record go
 * @flags: where the flags of the record go, or NULL
 *
 * Return: as ipm_ring_peek(); %IPM_RESULT_ERR_TOO_SMALL if the record is
 * larger than @capacity: @size tells how large, and the record stays;
 * SPSC and LANES: %IPM_RESULT_ERR_ALREADY_LOCKED while records taken with
 * ipm_ring_peek() are not released.
 */
IPM_API ipm_result ipm_ring_read(ipm_ring *ring, void *buffer, size_t capacity,
				 size_t *size, uint32_t *flags);

/**
 * ipm_ring_skip() - pass over the next record without reading it
 * @ring: a consumer's handle
 *
 * Return: as ipm_ring_read().
 */
IPM_API ipm_result ipm_ring_skip(ipm_ring *ring);

/**
 * ipm_ring_skip_force() - get past whatever blocks the ring
 * @ring: a consumer's handle
 * @skipped: where the number of records or places given up goes, or NULL
 *
 * For a ring that no longer moves: passes over the next record if it is
 * readable; MPMC: takes a record away from a producer that lives but does not
 * finish (its commit tells it; a commit in that very instant may win, and the
 * record is then delivered late). When the ring says %IPM_RESULT_ERR_CORRUPTED,
 * everything that cannot be made sense of is given up: SPSC and LANES: all
 * records up to the newest; MPMC: the ring cannot be mended and has to be
 * created anew.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_WOULD_BLOCK when nothing is
 * there to skip; %IPM_RESULT_ERR_CORRUPTED; else as ipm_ring_read().
 */
IPM_API ipm_result ipm_ring_skip_force(ipm_ring *ring, uint64_t *skipped);

/**
 * ipm_ring_yield() - give the lane back that this consumer has on lease
 * @ring: a consumer's handle
 *
 * For a consumer that will not come back soon. Does nothing for other kinds,
 * and while records are in hand.
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_ALREADY_LOCKED while records
 * are in hand, %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_yield(ipm_ring *ring);

/**
 * ipm_ring_recover() - clean up after a dead participant
 * @ring: a handle with a role
 * @slot: the participant's slot
 * @generation: its generation
 * @records: where the number of records goes that were dropped or made ready
 *	for redelivery, or NULL
 *
 * Consumers and producers do this by themselves when they come upon what a
 * dead one left. This call does it at once and completely, so that the number
 * of the slot may be used again. Any number of callers may do it at once.
 *
 * Return: %IPM_RESULT_SUCCESS, also if it left nothing;
 * %IPM_RESULT_ERR_ALREADY_LOCKED if the participant is alive;
 * %IPM_RESULT_ERR_BAD_ACCESS if @ring only observes;
 * %IPM_RESULT_ERR_CORRUPTED; %IPM_RESULT_ERR_BAD_VALUE.
 */
IPM_API ipm_result ipm_ring_recover(ipm_ring *ring, uint32_t slot,
				    uint32_t generation, uint64_t *records);

/**
 * ipm_ring_check() - look for dead participants and clean up after them
 * @ring: a handle with a role
 * @records: where the number of records goes that were dropped or made ready
 *	for redelivery, or NULL
 *
 * As ipm_ring_recover() for every participant that is found dead. For a
 * waiter that was told of a death, or that wakes up to look.
 *
 * Return: as ipm_ring_recover().
 */
IPM_API ipm_result ipm_ring_check(ipm_ring *ring, uint64_t *records);

/**
 * ipm_ring_get_stats() - what happened on the ring
 * @ring: any handle
 * @stats: where the answer goes
 *
 * Return: %IPM_RESULT_SUCCESS, or %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_get_stats(ipm_ring *ring, ipm_ring_stats *stats);

/**
 * ipm_ring_get_peers() - who is attached, and who of them is dead
 * @ring: any handle
 * @peers: where the answer goes
 *
 * Return: %IPM_RESULT_SUCCESS, or %IPM_RESULT_ERR_BAD_VALUE for NULL.
 */
IPM_API ipm_result ipm_ring_get_peers(ipm_ring *ring, ipm_ring_peers *peers);

/**
 * struct ipm_ring_mapping - a mapping made by ipm_ring_map()
 *
 * @memory: for ipm_ring_create() and ipm_ring_attach()
 * @size: likewise
 * @mapped: bytes of address space, the second copy included
 * @flags: for struct ipm_ring_attach_options: %IPM_RING_DOUBLED if it is mapped so,
 *	%IPM_RING_READ_ONLY if it is mapped so
 */
typedef struct ipm_ring_mapping {
	void *memory;
	size_t size;
	size_t mapped;
	uint32_t flags;
} ipm_ring_mapping;

/**
 * ipm_ring_map() - map memory for a ring, doubled if its shape asks for that
 * @fd: memfd, IPM handle or other file that can be mapped shared
 * @offset: where in the file the ring starts, a multiple of the page size
 * @size: bytes of the ring, as for ipm_ring_create()
 * @options: the shape of the ring to be made; NULL for a ring that exists
 * @mode: read-write, or read-only to observe
 * @mapping: where the answer goes; undone by ipm_ring_unmap()
 *
 * Makes system calls. The file, or segment, must be that long already, and a file may
 * not be shortened (a memfd should be sealed with F_SEAL_SHRINK).
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE;
 * %IPM_RESULT_ERR_TOO_SMALL if no such ring fits into @size bytes, or the file ends
 * before the ring does;
 * %IPM_RESULT_ERR_INVALID_FD; %IPM_RESULT_ERR_ACCESS;
 * %IPM_RESULT_ERR_BAD_FS if the file cannot be mapped so;
 * %IPM_RESULT_ERR_OS_OUT_OF_MEMORY; for an existing ring also
 * %IPM_RESULT_ERR_BAD_INIT, %IPM_RESULT_ERR_VERSION and
 * %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_ring_map(int fd, uint64_t offset, size_t size,
				const ipm_ring_options *options,
				ipm_access_mode mode,
				ipm_ring_mapping *mapping);

/**
 * ipm_ring_unmap() - undo ipm_ring_map()
 * @mapping: the mapping; NULL does nothing. No handle may be attached to it.
 */
IPM_API void ipm_ring_unmap(ipm_ring_mapping *mapping);

/*
 * A table of participants in shared memory: slots, generations and liveness
 * for rings that do without the kernel module. Death is noticed through the
 * pid and the start time of the process, so the table serves processes of one
 * PID namespace.
 */

/** A handle on a table of participants. */
typedef struct ipm_participants ipm_participants;

/**
 * ipm_participants_footprint() - memory for a table
 * @count: how many participants at once, 1 to %IPM_RING_MAX_SLOTS
 *
 * Return: bytes, or 0 for an impossible @count.
 */
IPM_API size_t ipm_participants_footprint(uint32_t count);

/**
 * ipm_participants_create() - format memory as an empty table
 * @memory: where, aligned to %IPM_RING_ALIGNMENT
 * @size: bytes of @memory
 * @count: how many participants at once
 *
 * Nobody may use the memory during the call.
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_BAD_VALUE,
 * %IPM_RESULT_ERR_TOO_SMALL.
 */
IPM_API ipm_result ipm_participants_create(void *memory, size_t size,
					   uint32_t count);

/**
 * ipm_participants_join() - become a participant
 * @context: callbacks for the memory of the handle, or NULL
 * @memory: the table
 * @size: bytes of @memory
 * @table: where the handle goes; freed by ipm_participants_leave()
 * @slot: where the slot of the caller goes
 * @generation: where its generation goes
 *
 * The slot is the calling process's until ipm_participants_leave() or the
 * process's death. A forked child has to join on its own.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE;
 * %IPM_RESULT_ERR_BAD_INIT if there is no table; %IPM_RESULT_ERR_VERSION;
 * %IPM_RESULT_ERR_TOO_SMALL; %IPM_RESULT_ERR_LIMIT if every slot is taken by
 * a live process; %IPM_RESULT_ERR_OS_UNEXPECTED if /proc does not tell the
 * start time; %IPM_RESULT_ERR_OUT_OF_MEMORY.
 */
IPM_API ipm_result ipm_participants_join(const ipm_context *context,
					 void *memory, size_t size,
					 ipm_participants **table,
					 uint32_t *slot, uint32_t *generation);

/**
 * ipm_participants_leave() - stop being a participant
 * @table: the handle, or NULL
 *
 * Rings that use the slot have to be detached before.
 */
IPM_API void ipm_participants_leave(ipm_participants *table);

/**
 * ipm_participants_alive() - the callback for struct ipm_ring_liveness
 * @table: the ipm_participants handle
 * @slot: any number
 * @generation: any number
 *
 * Makes system calls. Safe in threads.
 *
 * Return: false if that participant left, or its process is dead; else true.
 */
IPM_API bool ipm_participants_alive(void *table, uint32_t slot,
				    uint32_t generation);

/*
 * The paths of write, read, peek and release that need no look at the other
 * side, for the compiler to put into the caller. They are part of the ABI of
 * this soname. IPM_RING_NO_INLINE leaves them out: every call then goes to
 * the library, and does the same.
 */

/** struct ipm_ring_fast - what a handle begins with; for the library only */
struct ipm_ring_fast {
	/* Producer: address of position 0 if there were no laps (it wraps), next position, how
	 * far it may go without a look, private and shared progress. */
	uintptr_t w_base;
	uint64_t w_pos;
	uint64_t w_limit;
	uint64_t *w_intent;
	uint64_t w_count;
	uint64_t w_reserved[3];
	/* Consumer: likewise; r_pos is taken up to, r_done released up to. */
	uintptr_t r_base;
	uint64_t r_pos;
	uint64_t r_limit;
	uint64_t r_done;
	uint64_t *r_shared;
	uint64_t r_count;
	uint32_t r_lane;
	uint32_t r_ahead;	/* how far ahead to fetch lines, in bytes */
};

/* Only ever inlined, so nothing of this name has to exist outside. */
#define IPM_RING_ALWAYS_INLINE \
	extern inline __attribute__((__gnu_inline__, __always_inline__))

#define IPM_RING_FAST_MAX 511u
#define IPM_RING_HDR_PRESENT 0x80000000u

IPM_API ipm_result ipm_ring_slow_write(ipm_ring *ring, const void *data,
				       size_t size);
IPM_API ipm_result ipm_ring_slow_peek(ipm_ring *ring, ipm_ring_record *record);
IPM_API ipm_result ipm_ring_slow_release(ipm_ring *ring,
					 const ipm_ring_record *record);
IPM_API ipm_result ipm_ring_slow_read(ipm_ring *ring, void *buffer,
				      size_t capacity, size_t *size,
				      uint32_t *flags);

/* Copies 1 to IPM_RING_FAST_MAX bytes: two moves that may overlap, by size. */
IPM_RING_ALWAYS_INLINE void ipm_ring_copy(void *to, const void *from, size_t size)
{
	unsigned char *t = (unsigned char *)to;
	const unsigned char *f = (const unsigned char *)from;

	if (__builtin_constant_p(size) || size > 64) {
		__builtin_memcpy(t, f, size);
	} else if (size >= 32) {
		unsigned char a[32], b[32];

		__builtin_memcpy(a, f, 32);
		__builtin_memcpy(b, f + size - 32, 32);
		__builtin_memcpy(t, a, 32);
		__builtin_memcpy(t + size - 32, b, 32);
	} else if (size >= 16) {
		unsigned char a[16], b[16];

		__builtin_memcpy(a, f, 16);
		__builtin_memcpy(b, f + size - 16, 16);
		__builtin_memcpy(t, a, 16);
		__builtin_memcpy(t + size - 16, b, 16);
	} else if (size >= 8) {
		uint64_t a, b;

		__builtin_memcpy(&a, f, 8);
		__builtin_memcpy(&b, f + size - 8, 8);
		__builtin_memcpy(t, &a, 8);
		__builtin_memcpy(t + size - 8, &b, 8);
	} else if (size >= 4) {
		uint32_t a, b;

		__builtin_memcpy(&a, f, 4);
		__builtin_memcpy(&b, f + size - 4, 4);
		__builtin_memcpy(t, &a, 4);
		__builtin_memcpy(t + size - 4, &b, 4);
	} else {
		unsigned char a = f[0], b = f[size / 2], c = f[size - 1];

		t[0] = a;
		t[size / 2] = b;
		t[size - 1] = c;
	}
}

/*
 * Where the next record is, is known only when this one's header has come, so
 * without help the lines would come one after the other. Fetching past the end
 * of the mapping does nothing.
 */
IPM_RING_ALWAYS_INLINE void ipm_ring_fetch(const struct ipm_ring_fast *f,
					   uint64_t pos, uint64_t next)
{
	uint64_t at;

	for (at = pos; at < next; at += 64)
		__builtin_prefetch((const void *)(f->r_base + (uintptr_t)at + f->r_ahead));
}

IPM_RING_ALWAYS_INLINE ipm_result ipm_ring_fast_write(ipm_ring *ring, const void *data,
					     size_t size)
{
	struct ipm_ring_fast *f = (struct ipm_ring_fast *)(void *)ring;
	uint64_t pos, next;

	if (__builtin_expect(!ring || size - 1 >= IPM_RING_FAST_MAX || !data, 0))
		return ipm_ring_slow_write(ring, data, size);
	pos = f->w_pos;
	next = pos + ((size + 15) & ~(size_t)7);
	if (__builtin_expect(next > f->w_limit, 0))
		return ipm_ring_slow_write(ring, data, size);
	/* Says "at work at pos" to whoever comes after this producer's death;
	 * the fence keeps the compiler from moving it behind the payload. */
	__atomic_store_n(f->w_intent, pos | 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	ipm_ring_copy((void *)(f->w_base + (uintptr_t)pos + 8), data, size);
	/* Publishes the record; pairs with the load in ipm_ring_fast_peek(). */
	__atomic_store_n((uint64_t *)(f->w_base + (uintptr_t)pos),
			 pos << 29 | IPM_RING_HDR_PRESENT | size, __ATOMIC_RELEASE);
	f->w_pos = next;
	f->w_count++;
	return IPM_RESULT_SUCCESS;
}

IPM_RING_ALWAYS_INLINE ipm_result ipm_ring_fast_peek(ipm_ring *ring,
					    ipm_ring_record *record)
{
	struct ipm_ring_fast *f = (struct ipm_ring_fast *)(void *)ring;
	uint64_t pos, size, next;

	if (__builtin_expect(!ring || !record, 0))
		return ipm_ring_slow_peek(ring, record);
	pos = f->r_pos;
	/* Pairs with the store that publishes in ipm_ring_fast_write(). What
	 * is left after taking away what must be there is the size; anything
	 * unexpected makes it too large. */
	size = __atomic_load_n((uint64_t *)(f->r_base + (uintptr_t)pos),
			       __ATOMIC_ACQUIRE) ^
	       (pos << 29 | IPM_RING_HDR_PRESENT);
	if (__builtin_expect(size - 1 >= IPM_RING_FAST_MAX, 0))
		return ipm_ring_slow_peek(ring, record);
	next = pos + ((size + 15) & ~(uint64_t)7);
	if (__builtin_expect(next > f->r_limit, 0))
		return ipm_ring_slow_peek(ring, record);
	/* Says "in hand" to whoever comes after this consumer's death. */
	__atomic_store_n(&f->r_shared[1], next, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	ipm_ring_fetch(f, pos, next);
	f->r_pos = next;
	record->data = (void *)(f->r_base + (uintptr_t)pos + 8);
	record->size = size;
	record->id = pos;
	record->flags = 0;
	record->lane = f->r_lane;
	record->priv[0] = next;
	return IPM_RESULT_SUCCESS;
}

IPM_RING_ALWAYS_INLINE ipm_result ipm_ring_fast_release(ipm_ring *ring,
					       const ipm_ring_record *record)
{
	struct ipm_ring_fast *f = (struct ipm_ring_fast *)(void *)ring;
	uint64_t next;

	if (__builtin_expect(!ring || !record || record->id != f->r_done ||
			     record->lane != f->r_lane, 0))
		return ipm_ring_slow_release(ring, record);
	next = record->priv[0];
	if (__builtin_expect(next - f->r_done > f->r_pos - f->r_done ||
			     next == f->r_done, 0))
		return ipm_ring_slow_release(ring, record);
	f->r_done = next;
	f->r_count++;
	/* After all reads of the payload; pairs with the producer's load when
	 * it finds the ring full. */
	__atomic_store_n(&f->r_shared[0], next, __ATOMIC_RELEASE);
	return IPM_RESULT_SUCCESS;
}

IPM_RING_ALWAYS_INLINE ipm_result ipm_ring_fast_read(ipm_ring *ring, void *buffer,
					    size_t capacity, size_t *size,
					    uint32_t *flags)
{
	struct ipm_ring_fast *f = (struct ipm_ring_fast *)(void *)ring;
	uint64_t pos, length, next;

	if (__builtin_expect(!ring || !buffer || !size, 0))
		return ipm_ring_slow_read(ring, buffer, capacity, size, flags);
	pos = f->r_pos;
	/* As in ipm_ring_fast_peek(). */
	length = __atomic_load_n((uint64_t *)(f->r_base + (uintptr_t)pos),
				 __ATOMIC_ACQUIRE) ^
		 (pos << 29 | IPM_RING_HDR_PRESENT);
	if (__builtin_expect(length - 1 >= IPM_RING_FAST_MAX ||
			     length > capacity || pos != f->r_done, 0))
		return ipm_ring_slow_read(ring, buffer, capacity, size, flags);
	next = pos + ((length + 15) & ~(uint64_t)7);
	if (__builtin_expect(next > f->r_limit, 0))
		return ipm_ring_slow_read(ring, buffer, capacity, size, flags);
	__atomic_store_n(&f->r_shared[1], next, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	ipm_ring_fetch(f, pos, next);
	f->r_pos = next;
	ipm_ring_copy(buffer, (const void *)(f->r_base + (uintptr_t)pos + 8),
		      length);
	f->r_done = next;
	f->r_count++;
	__atomic_store_n(&f->r_shared[0], next, __ATOMIC_RELEASE);
	*size = length;
	if (flags)
		*flags = 0;
	return IPM_RESULT_SUCCESS;
}

#ifndef IPM_RING_NO_INLINE
#define IPM_RING_EXTERN_INLINE extern inline __attribute__((__gnu_inline__))

IPM_RING_EXTERN_INLINE ipm_result ipm_ring_write(ipm_ring *ring,
						 const void *data, size_t size)
{
	return ipm_ring_fast_write(ring, data, size);
}

IPM_RING_EXTERN_INLINE ipm_result ipm_ring_peek(ipm_ring *ring,
						ipm_ring_record *record)
{
	return ipm_ring_fast_peek(ring, record);
}

IPM_RING_EXTERN_INLINE ipm_result ipm_ring_release(ipm_ring *ring,
						   const ipm_ring_record *record)
{
	return ipm_ring_fast_release(ring, record);
}

IPM_RING_EXTERN_INLINE ipm_result ipm_ring_read(ipm_ring *ring, void *buffer,
						size_t capacity, size_t *size,
						uint32_t *flags)
{
	return ipm_ring_fast_read(ring, buffer, capacity, size, flags);
}
#endif /* IPM_RING_NO_INLINE */

#ifdef __cplusplus
}
#endif

#endif /* IPM_RING_H */
