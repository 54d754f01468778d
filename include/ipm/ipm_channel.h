/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels: rings that wait. Writing waits for room, reading waits for a
 * message, each until a deadline, and not at all while there is something to
 * do: as long as neither side sleeps, no call enters the kernel.
 *
 * A channel lies in memory that the caller provides: a segment (ipm_memory.h,
 * with ipm_channel_attach_memory()) or any other shared mapping. It is formatted
 * once with ipm_channel_create() and used through handles, each from
 * ipm_channel_attach(). A handle belongs to one thread at a time; a forked child
 * attaches its own.
 *
 * Waiting. A call that cannot go on polls for a while, then sleeps on a futex in
 * the shared memory until the other side wakes it. No sleep is longer than
 * @max_sleep_ns of struct ipm_channel_config: after each the waiter looks again
 * for itself, so it comes to no harm when its peer dies between a message and
 * the wake-up, or is hostile. A wait ends when
 *
 *	it is done			%IPM_RESULT_SUCCESS
 *	the deadline passes		%IPM_RESULT_ERR_TIMEOUT, or
 *					%IPM_RESULT_ERR_WOULD_BLOCK if that is
 *					%IPM_DEADLINE_NOW
 *	a signal handler has run	%IPM_RESULT_INTERRUPTED; nothing has
 *					happened, call again
 *	somebody closed the channel	%IPM_RESULT_ERR_CLOSED
 *	everybody who could have	%IPM_RESULT_ERR_PEER_DIED; until somebody
 *	answered is dead		new attaches, every wait ends so
 *
 * Nobody on the other side yet, or nobody any more after an orderly detach, is
 * no reason to end a wait. Messages that are there are delivered first: CLOSED
 * and PEER_DIED come after the last one.
 *
 * A signal ends the first sleep at once and later ones within @max_sleep_ns; until
 * then its handler is held back. One that arrives before the first sleep has ended,
 * but not during it, runs its handler and does not end the wait, as with any call
 * that waits.
 *
 * Every call that takes a channel returns %IPM_RESULT_ERR_BAD_VALUE for NULL, and
 * for a negative deadline.
 */
#ifndef IPM_CHANNEL_H
#define IPM_CHANNEL_H

#include <ipm/ipm_ring.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A handle on a channel. */
typedef struct ipm_channel ipm_channel;

/**
 * struct ipm_channel_options - the shape of a channel
 *
 * Zero everything, set both struct_size and the ring's kind, and what is wanted
 * besides.
 *
 * @struct_size: sizeof(ipm_channel_options)
 * @ring: the ring inside
 * @participants: how many handles may be attached to write or read at once; 0
 *	means 4 for SPSC, as many as the ring for MPMC, and for LANES 32 more than
 *	there are lanes. At most %IPM_RING_MAX_SLOTS
 * @reserved: 0
 * @read_bell: doorbell bits that are rung for a reader that asked for it with
 *	ipm_channel_arm_read(); 0 if nobody will
 * @write_bell: likewise for writers. Channels in one segment that are waited for
 *	together take different bits
 */
typedef struct ipm_channel_options {
	size_t struct_size;
	ipm_ring_options ring;
	uint32_t participants;
	uint32_t reserved;
	uint64_t read_bell;
	uint64_t write_bell;
} ipm_channel_options;

/** Instead of a number of polls: do not poll, sleep at once. */
#define IPM_CHANNEL_NO_POLLS UINT32_MAX

/** What no setting of @max_sleep_ns may exceed: a minute. */
#define IPM_CHANNEL_SLEEP_MAX ((uint64_t)60000000000)

/**
 * struct ipm_channel_config - how a handle waits
 *
 * @max_round_trips: how often to poll before sleeping; %IPM_CHANNEL_NO_POLLS. 0
 *	leaves it to the handle: 500 times, and as long as its sleeps turn out to be
 *	short, up to 0.1 ms more; not at all on a machine with one CPU
 * @start_sleep_ns: longest first sleep, in nanoseconds; each further one of the
 *	same wait may be twice as long. 0 means 1 ms. This is how soon a death is
 *	noticed
 * @max_sleep_ns: where the doubling ends; 0 means 100 ms, or @start_sleep_ns if
 *	that is more
 *
 * A wake-up ends any sleep at once; the limits matter only for what nobody wakes
 * for.
 */
typedef struct ipm_channel_config {
	uint32_t max_round_trips;
	uint32_t reserved;
	uint64_t start_sleep_ns;
	uint64_t max_sleep_ns;
} ipm_channel_config;

/**
 * struct ipm_channel_attach_options - how to use a channel
 *
 * @struct_size: sizeof(ipm_channel_attach_options)
 * @roles: %IPM_RING_PRODUCER to write, %IPM_RING_CONSUMER to read, or both; 0
 *	only observes, and is the one way for memory that is mapped read-only
 * @flags: those of struct ipm_channel_mapping when the memory was mapped by
 *	ipm_channel_map(); else 0
 * @slot: as in struct ipm_ring_attach_options
 * @generation: likewise
 * @lease_records: likewise
 * @reserved: 0
 * @config: zeros for the defaults
 * @liveness: who is alive; without it no death is ever noticed
 * @bell: rings doorbell bits (see struct ipm_channel_options), in the thread that
 *	wrote or read, such as by writing to an eventfd; NULL if this handle cannot.
 *	Then no other handle should wait in epoll for this one
 * @bell_param: handed to @bell
 */
typedef struct ipm_channel_attach_options {
	size_t struct_size;
	uint32_t roles;
	uint32_t flags;
	uint32_t slot;
	uint32_t generation;
	uint32_t lease_records;
	uint32_t reserved;
	ipm_channel_config config;
	ipm_ring_liveness liveness;
	void (*bell)(void *param, uint64_t bits);
	void *bell_param;
} ipm_channel_attach_options;

/**
 * struct ipm_channel_stats - what a channel and this handle have done
 *
 * @ring: as ipm_ring_get_stats()
 * @waits: calls of this handle that could not go on at once
 * @sleeps: how often it fell asleep, as are
 * @naps: ... until nothing but the limit of the sleep ended it,
 * @wakes: how often it woke the other side,
 * @bells: how often it rang the doorbell, and
 * @barriers: how often it made the other CPUs pay for a fence before a sleep
 * @participants: handles attached and alive
 * @dead: died without detaching, and not replaced yet
 * @closed: whether the channel is closed
 */
typedef struct ipm_channel_stats {
	ipm_ring_stats ring;
	uint64_t waits;
	uint64_t sleeps;
	uint64_t naps;
	uint64_t wakes;
	uint64_t bells;
	uint64_t barriers;
	uint32_t participants;
	uint32_t dead;
	bool closed;
} ipm_channel_stats;

/**
 * ipm_channel_footprint() - how much memory a channel needs
 * @options: the shape
 * @capacity: as in ipm_ring_footprint()
 * @size: where the number of bytes goes
 *
 * Return: as ipm_ring_footprint().
 */
IPM_API ipm_result ipm_channel_footprint(const ipm_channel_options *options, size_t capacity,
					 size_t *size);

/**
 * ipm_channel_create() - format memory as an empty channel
 * @options: the shape
 * @memory: where; aligned to %IPM_RING_ALIGNMENT, with %IPM_RING_DOUBLED to a page
 * @size: bytes of @memory; all of it belongs to the channel
 *
 * Nobody may use the memory during the call. A creator that dies half-way leaves
 * memory that ipm_channel_attach() refuses.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE for a NULL pointer,
 * misaligned memory or an impossible option; %IPM_RESULT_ERR_TOO_SMALL.
 */
IPM_API ipm_result ipm_channel_create(const ipm_channel_options *options, void *memory,
				      size_t size);

/**
 * ipm_channel_attach() - get a handle on a channel
 * @context: callbacks for the memory of the handle, or NULL
 * @options: roles and identity
 * @memory: the channel, at any address aligned as for ipm_channel_create(); has to
 *	stay mapped until ipm_channel_detach()
 * @size: bytes of @memory; at least those that the channel was created with
 * @channel: where the handle goes; freed by ipm_channel_detach()
 *
 * Takes over the place of one who died in the same role, after cleaning up what
 * it left.
 *
 * Return: as ipm_ring_attach(); %IPM_RESULT_ERR_LIMIT also if there are as many
 * participants as the channel was made for.
 */
IPM_API ipm_result ipm_channel_attach(const ipm_context *context,
				      const ipm_channel_attach_options *options, void *memory,
				      size_t size, ipm_channel **channel);

struct ipm_memory;

/**
 * ipm_channel_attach_memory() - get a handle on a channel in a segment
 * @context: callbacks for the memory of the handle, or NULL
 * @options: roles and configuration; @slot, @generation, @liveness and @bell are 0
 *	and come from the kernel
 * @memory: a handle on the segment, with a mapping; read-only for roles 0. Has to
 *	stay open until ipm_channel_detach(). Its slot says who this participant is
 * @offset: bytes from the start of the segment, a multiple of %IPM_RING_ALIGNMENT;
 *	of the page size for a ring with %IPM_RING_DOUBLED
 * @size: bytes of the channel; 0 for all to the end of the segment
 * @channel: where the handle goes; freed by ipm_channel_detach()
 *
 * Doorbells reach other handles than the one that rings: both sides, in one
 * process too, have an ipm_memory each.
 *
 * Return: as ipm_channel_attach() and ipm_memory_slot();
 * %IPM_RESULT_ERR_BAD_VALUE if the range is not inside the segment;
 * %IPM_RESULT_ERR_BAD_INIT also without a mapping.
 */
IPM_API ipm_result ipm_channel_attach_memory(const ipm_context *context,
					     const ipm_channel_attach_options *options,
					     struct ipm_memory *memory, uint64_t offset,
					     size_t size, ipm_channel **channel);

/**
 * ipm_channel_detach() - give a handle back
 * @channel: the handle, or NULL
 *
 * As ipm_ring_detach(). Others are not told; ipm_channel_close() tells them.
 */
IPM_API void ipm_channel_detach(ipm_channel *channel);

/* ------------------------------------------------------------------------ */
/* Writing                                                                  */
/* ------------------------------------------------------------------------ */

/**
 * ipm_channel_write_until() - write a message, wait for room until a deadline
 * @channel: a producer's handle
 * @data: the message
 * @size: its bytes
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: %IPM_RESULT_SUCCESS; how a wait ends, see above;
 * %IPM_RESULT_ERR_BAD_SIZE for 0 bytes; %IPM_RESULT_ERR_TOO_LARGE for more than
 * ever fits; %IPM_RESULT_ERR_BAD_ACCESS if the handle is no producer;
 * %IPM_RESULT_ERR_ALREADY_LOCKED as ipm_ring_reserve();
 * %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_channel_write_until(ipm_channel *channel, const void *data, size_t size,
					   int64_t deadline);

/** ipm_channel_write() - ipm_channel_write_until() with %IPM_DEADLINE_NONE */
IPM_API ipm_result ipm_channel_write(ipm_channel *channel, const void *data, size_t size);

/** ipm_channel_write_try() - ipm_channel_write_until() with %IPM_DEADLINE_NOW */
IPM_API ipm_result ipm_channel_write_try(ipm_channel *channel, const void *data, size_t size);

/**
 * ipm_channel_write_batch() - write several messages
 * @channel: a producer's handle
 * @spans: the messages
 * @count: how many
 * @deadline: until when to wait for room for the last
 * @written: where the number of those goes that were written, also when not all
 *	were
 *
 * Return: %IPM_RESULT_SUCCESS all were written; else as
 * ipm_channel_write_until().
 */
IPM_API ipm_result ipm_channel_write_batch(ipm_channel *channel, const ipm_ring_span *spans,
					   size_t count, int64_t deadline, size_t *written);

/**
 * ipm_channel_reserve() - room for a message, to be filled in place
 * @channel: a producer's handle
 * @size: its bytes
 * @deadline: see %IPM_DEADLINE_NONE
 * @record: where the room goes; ends with ipm_channel_commit() or _discard()
 *
 * Return: as ipm_channel_write_until().
 */
IPM_API ipm_result ipm_channel_reserve(ipm_channel *channel, size_t size, int64_t deadline,
				       ipm_ring_record *record);

/**
 * ipm_channel_commit() - publish it; as ipm_ring_commit()
 *
 * Also works when the channel was closed in between.
 */
IPM_API ipm_result ipm_channel_commit(ipm_channel *channel, const ipm_ring_record *record);

/** ipm_channel_discard() - give it up; as ipm_ring_discard() */
IPM_API ipm_result ipm_channel_discard(ipm_channel *channel, const ipm_ring_record *record);

/* ------------------------------------------------------------------------ */
/* Reading                                                                  */
/* ------------------------------------------------------------------------ */

/**
 * ipm_channel_read_until() - read a message, wait for one until a deadline
 * @channel: a consumer's handle
 * @buffer: where the message goes
 * @capacity: bytes of @buffer
 * @size: where its bytes go
 * @flags: where %IPM_RING_REDELIVERED or 0 goes, or NULL
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: %IPM_RESULT_SUCCESS; how a wait ends, see above;
 * %IPM_RESULT_ERR_TOO_SMALL the message stays, and @size tells its bytes;
 * %IPM_RESULT_ERR_BAD_ACCESS if the handle is no consumer;
 * %IPM_RESULT_ERR_ALREADY_LOCKED as ipm_ring_read(); %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_channel_read_until(ipm_channel *channel, void *buffer, size_t capacity,
					  size_t *size, uint32_t *flags, int64_t deadline);

/** ipm_channel_read() - ipm_channel_read_until() with %IPM_DEADLINE_NONE */
IPM_API ipm_result ipm_channel_read(ipm_channel *channel, void *buffer, size_t capacity,
				    size_t *size, uint32_t *flags);

/** ipm_channel_read_try() - ipm_channel_read_until() with %IPM_DEADLINE_NOW */
IPM_API ipm_result ipm_channel_read_try(ipm_channel *channel, void *buffer, size_t capacity,
					size_t *size, uint32_t *flags);

/**
 * ipm_channel_peek() - take the next message, to be read in place
 * @channel: a consumer's handle
 * @deadline: see %IPM_DEADLINE_NONE
 * @record: where the message goes; ends with ipm_channel_release()
 *
 * Return: as ipm_channel_read_until(); waiting for another message while the ring
 * holds nothing but what this handle has in hand is the caller's mistake, and
 * ends with the deadline.
 */
IPM_API ipm_result ipm_channel_peek(ipm_channel *channel, int64_t deadline,
				    ipm_ring_record *record);

/**
 * ipm_channel_peek_batch() - take up to @count messages, wait for the first
 * @channel: a consumer's handle
 * @records: where they go
 * @count: how many at most, not 0
 * @deadline: until when to wait for the first
 * @taken: where their number goes
 *
 * Return: as ipm_channel_peek(), with 0 in @taken if it failed.
 */
IPM_API ipm_result ipm_channel_peek_batch(ipm_channel *channel, ipm_ring_record *records,
					  size_t count, int64_t deadline, size_t *taken);

/** ipm_channel_release() - done with a message; as ipm_ring_release() */
IPM_API ipm_result ipm_channel_release(ipm_channel *channel, const ipm_ring_record *record);

/** ipm_channel_release_batch() - as ipm_ring_release_batch() */
IPM_API ipm_result ipm_channel_release_batch(ipm_channel *channel, const ipm_ring_record *records,
					     size_t count);

/* ------------------------------------------------------------------------ */
/* The end                                                                  */
/* ------------------------------------------------------------------------ */

/**
 * ipm_channel_close() - no more messages
 * @channel: a handle with a role
 *
 * For everybody, from either side: writing is refused with
 * %IPM_RESULT_ERR_CLOSED at once, also for who waits for room; reading goes on
 * until nothing is left, and then ends with %IPM_RESULT_ERR_CLOSED. A message
 * that another producer is writing in this very moment may come after that.
 *
 * Return: %IPM_RESULT_SUCCESS, also if it was closed;
 * %IPM_RESULT_ERR_BAD_ACCESS if the handle only observes.
 */
IPM_API ipm_result ipm_channel_close(ipm_channel *channel);

/**
 * ipm_channel_reopen() - messages again
 * @channel: a handle with a role
 *
 * Return: as ipm_channel_close().
 */
IPM_API ipm_result ipm_channel_reopen(ipm_channel *channel);

/** ipm_channel_is_closed() - whether somebody closed it; false for NULL */
IPM_API bool ipm_channel_is_closed(const ipm_channel *channel);

/**
 * ipm_channel_check() - whether waiting makes sense
 * @channel: a handle with @role
 * @role: %IPM_RING_CONSUMER for reading or %IPM_RING_PRODUCER for writing
 *
 * For who does not wait in a call: after an event of a death
 * (%IPM_MEMORY_EVENT_DEATH), or now and then. Cleans up after the dead.
 *
 * Return: %IPM_RESULT_SUCCESS there is a message, or somebody may still write one
 * (there is room, or somebody may make some); %IPM_RESULT_ERR_CLOSED;
 * %IPM_RESULT_ERR_PEER_DIED; %IPM_RESULT_ERR_BAD_ACCESS;
 * %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_channel_check(ipm_channel *channel, uint32_t role);

/**
 * ipm_channel_recover() - clean up after all who died
 * @channel: a handle with a role
 * @records: where the number of records goes that were dropped or made ready for
 *	redelivery, or NULL
 *
 * As ipm_ring_check(). When every channel of a segment was recovered, its dead
 * slots may be reaped (ipm_memory_reap()).
 *
 * Return: as ipm_ring_check().
 */
IPM_API ipm_result ipm_channel_recover(ipm_channel *channel, uint64_t *records);

/* ------------------------------------------------------------------------ */
/* Waiting in epoll                                                         */
/* ------------------------------------------------------------------------ */

/**
 * ipm_channel_arm_read() - ask for the doorbell when there is a message
 * @channel: a consumer's handle
 * @ready: receives whether there is one already, or the channel is closed; then
 *	nothing was asked for
 *
 * A loop reads until %IPM_RESULT_ERR_WOULD_BLOCK, calls this, starts over if
 * @ready, and else waits for its file descriptors. The bell rings once. In a
 * segment, ipm_memory_fd() hears it after ipm_memory_subscribe() to the channel's
 * @read_bell and to %IPM_MEMORY_HEAR_DEATH, by which it also hears of a writer
 * that died before it could ring. Elsewhere it is what the other side's @bell
 * callback does: an eventfd that both have is the usual choice.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_SUPPORTED the channel was made
 * without a @read_bell, or this process is not allowed to call membarrier(2);
 * %IPM_RESULT_ERR_BAD_ACCESS no consumer;
 * %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_channel_arm_read(ipm_channel *channel, bool *ready);

/**
 * ipm_channel_arm_write() - ask for the doorbell when there may be room
 * @channel: a producer's handle
 * @size: bytes of the message that is to be written
 * @ready: receives whether there is room already, or the channel is closed
 *
 * Return: as ipm_channel_arm_read(), and as ipm_ring_reserve() for @size.
 */
IPM_API ipm_result ipm_channel_arm_write(ipm_channel *channel, size_t size, bool *ready);

/* ------------------------------------------------------------------------ */
/* Looking                                                                  */
/* ------------------------------------------------------------------------ */

/**
 * ipm_channel_ring() - the ring of a channel
 * @channel: the handle
 *
 * For ipm_ring_get_limits(), ipm_ring_get_peers(), ipm_ring_skip() and others. Who
 * changes something through it calls ipm_channel_wake() afterwards.
 *
 * Return: the handle's ring, which stays the channel's; NULL for NULL.
 */
IPM_API ipm_ring *ipm_channel_ring(ipm_channel *channel);

/**
 * ipm_channel_wake() - let everybody who sleeps look again
 * @channel: a handle with a role
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_BAD_ACCESS if it only observes.
 */
IPM_API ipm_result ipm_channel_wake(ipm_channel *channel);

/**
 * ipm_channel_get_stats() - what a channel and this handle have done
 * @channel: any handle
 * @stats: where the answer goes
 *
 * Return: %IPM_RESULT_SUCCESS.
 */
IPM_API ipm_result ipm_channel_get_stats(ipm_channel *channel, ipm_channel_stats *stats);

/**
 * struct ipm_channel_mapping - a mapping made by ipm_channel_map()
 *
 * @memory: for ipm_channel_create() and ipm_channel_attach()
 * @size: likewise
 * @mapped: bytes of address space, the second copy included
 * @flags: for struct ipm_channel_attach_options: %IPM_RING_DOUBLED if it is mapped so,
 *	%IPM_RING_READ_ONLY if it is mapped so
 */
typedef struct ipm_channel_mapping {
	void *memory;
	size_t size;
	size_t mapped;
	uint32_t flags;
} ipm_channel_mapping;

/**
 * ipm_channel_map() - map memory for a channel, doubled if its ring asks for that
 * @fd: memfd, IPM handle or other file that can be mapped shared
 * @offset: where in the file the channel starts, a multiple of the page size
 * @size: bytes of the channel, as for ipm_channel_create()
 * @options: the shape of the channel to be made; NULL for one that exists
 * @mode: read-write, or read-only to observe
 * @mapping: where the answer goes; undone by ipm_channel_unmap()
 *
 * Return: as ipm_ring_map().
 */
IPM_API ipm_result ipm_channel_map(int fd, uint64_t offset, size_t size,
				   const ipm_channel_options *options, ipm_access_mode mode,
				   ipm_channel_mapping *mapping);

/**
 * ipm_channel_unmap() - undo ipm_channel_map()
 * @mapping: the mapping; NULL does nothing. No handle may be attached to it.
 */
IPM_API void ipm_channel_unmap(ipm_channel_mapping *mapping);

#ifdef __cplusplus
}
#endif

#endif /* IPM_CHANNEL_H */
