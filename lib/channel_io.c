// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Channels: writing and reading. Each call is one of the ring's, tried at once and
 * then by channel_wait(); after it has succeeded, channel_done() wakes the others.
 */
#include "channel.h"

#define likely(x) __builtin_expect(!!(x), 1)

static inline ipm_result wrote(ipm_channel *ch, ipm_result result)
{
	if (likely(!result))
		channel_done(ch, &ch->header->readers);
	else if (result == IPM_RESULT_ERR_REMOVED)
		/* A reader had given the message up: there is room again. */
		channel_done(ch, &ch->header->writers);
	return result;
}

static inline ipm_result have_read(ipm_channel *ch, ipm_result result)
{
	if (likely(!result))
		channel_done(ch, &ch->header->writers);
	else if (result == IPM_RESULT_ERR_TOO_SMALL)
		/* Another one may have looked while this one had it. */
		channel_done(ch, &ch->header->readers);
	channel_nudge(ch);
	return result;
}

static inline bool writers_closed(const ipm_channel *ch)
{
	/* The line is that of the word that channel_done() looks at. */
	return __builtin_expect(ring_load(&ch->header->readers.closed) != 0, 0) &&
	       ch->roles & IPM_RING_PRODUCER;
}

/* --- writing --- */

static ipm_result run_write(ipm_channel *ch, struct channel_call *call)
{
	return ipm_ring_fast_write(ch->ring, call->in, call->size);
}

static __attribute__((noinline)) ipm_result write_wait(ipm_channel *ch, const void *data,
							size_t size, int64_t deadline)
{
	struct channel_call call = { .run = run_write, .in = data, .size = size };

	return wrote(ch, channel_wait(ch, IPM_RING_PRODUCER, &call, deadline));
}

static inline ipm_result write_until(ipm_channel *ch, const void *data, size_t size,
				     int64_t deadline)
{
	ipm_result result;

	if (!ch || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (writers_closed(ch))
		return IPM_RESULT_ERR_CLOSED;
	result = ipm_ring_fast_write(ch->ring, data, size);
	if (likely(result != IPM_RESULT_ERR_WOULD_BLOCK))
		return wrote(ch, result);
	return write_wait(ch, data, size, deadline);
}

IPM_API ipm_result ipm_channel_write_until(ipm_channel *channel, const void *data, size_t size,
					   int64_t deadline)
{
	return write_until(channel, data, size, deadline);
}

IPM_API ipm_result ipm_channel_write(ipm_channel *channel, const void *data, size_t size)
{
	return write_until(channel, data, size, IPM_DEADLINE_NONE);
}

IPM_API ipm_result ipm_channel_write_try(ipm_channel *channel, const void *data, size_t size)
{
	return write_until(channel, data, size, IPM_DEADLINE_NOW);
}

/* As many as there is room for; done when there is room for one. */
static ipm_result run_write_batch(ipm_channel *ch, struct channel_call *call)
{
	const ipm_ring_span *spans = call->in;
	size_t done = *call->result, n = 0;
	ipm_result result = ipm_ring_write_batch(ch->ring, spans + done, call->size - done, &n);

	*call->result = done + n;
	if (n && result == IPM_RESULT_ERR_WOULD_BLOCK)
		return IPM_RESULT_SUCCESS;
	return result;
}

IPM_API ipm_result ipm_channel_write_batch(ipm_channel *channel, const ipm_ring_span *spans,
					   size_t count, int64_t deadline, size_t *written)
{
	struct channel_call call = {
		.run = run_write_batch, .in = spans, .size = count, .result = written,
	};
	ipm_result result = IPM_RESULT_SUCCESS;

	if (!channel || !spans || !count || !written || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	*written = 0;
	while (!result && *written < count) {
		size_t before = *written;

		if (writers_closed(channel))
			return IPM_RESULT_ERR_CLOSED;
		result = run_write_batch(channel, &call);
		if (result == IPM_RESULT_ERR_WOULD_BLOCK)
			result = channel_wait(channel, IPM_RING_PRODUCER, &call, deadline);
		if (*written != before)
			channel_done(channel, &channel->header->readers);
	}
	return result;
}

static ipm_result run_reserve(ipm_channel *ch, struct channel_call *call)
{
	return ipm_ring_reserve(ch->ring, call->size, call->record);
}

IPM_API ipm_result ipm_channel_reserve(ipm_channel *channel, size_t size, int64_t deadline,
				       ipm_ring_record *record)
{
	struct channel_call call = { .run = run_reserve, .size = size, .record = record };
	ipm_result result;

	if (!channel || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (writers_closed(channel))
		return IPM_RESULT_ERR_CLOSED;
	result = ipm_ring_reserve(channel->ring, size, record);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = channel_wait(channel, IPM_RING_PRODUCER, &call, deadline);
	return result;
}

IPM_API ipm_result ipm_channel_commit(ipm_channel *channel, const ipm_ring_record *record)
{
	if (!channel)
		return IPM_RESULT_ERR_BAD_VALUE;
	return wrote(channel, ipm_ring_commit(channel->ring, record));
}

IPM_API ipm_result ipm_channel_discard(ipm_channel *channel, const ipm_ring_record *record)
{
	ipm_result result;

	if (!channel)
		return IPM_RESULT_ERR_BAD_VALUE;
	/* Readers may have waited behind it, writers for its room. */
	result = wrote(channel, ipm_ring_discard(channel->ring, record));
	return have_read(channel, result);
}

/* --- reading --- */

static ipm_result run_read(ipm_channel *ch, struct channel_call *call)
{
	return ipm_ring_fast_read(ch->ring, call->out, call->size, call->result, call->flags);
}

static __attribute__((noinline)) ipm_result read_wait(ipm_channel *ch, void *buffer,
						       size_t capacity, size_t *size,
						       uint32_t *flags, int64_t deadline)
{
	struct channel_call call = {
		.run = run_read, .out = buffer, .size = capacity, .result = size, .flags = flags,
	};

	return have_read(ch, channel_wait(ch, IPM_RING_CONSUMER, &call, deadline));
}

static inline ipm_result read_until(ipm_channel *ch, void *buffer, size_t capacity, size_t *size,
				    uint32_t *flags, int64_t deadline)
{
	ipm_result result;

	if (!ch || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ipm_ring_fast_read(ch->ring, buffer, capacity, size, flags);
	if (likely(result != IPM_RESULT_ERR_WOULD_BLOCK))
		return have_read(ch, result);
	return read_wait(ch, buffer, capacity, size, flags, deadline);
}

IPM_API ipm_result ipm_channel_read_until(ipm_channel *channel, void *buffer, size_t capacity,
					  size_t *size, uint32_t *flags, int64_t deadline)
{
	return read_until(channel, buffer, capacity, size, flags, deadline);
}

IPM_API ipm_result ipm_channel_read(ipm_channel *channel, void *buffer, size_t capacity,
				    size_t *size, uint32_t *flags)
{
	return read_until(channel, buffer, capacity, size, flags, IPM_DEADLINE_NONE);
}

IPM_API ipm_result ipm_channel_read_try(ipm_channel *channel, void *buffer, size_t capacity,
					size_t *size, uint32_t *flags)
{
	return read_until(channel, buffer, capacity, size, flags, IPM_DEADLINE_NOW);
}

static ipm_result run_peek(ipm_channel *ch, struct channel_call *call)
{
	return ipm_ring_fast_peek(ch->ring, call->record);
}

IPM_API ipm_result ipm_channel_peek(ipm_channel *channel, int64_t deadline, ipm_ring_record *record)
{
	struct channel_call call = { .run = run_peek, .record = record };
	ipm_result result;

	if (!channel || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ipm_ring_fast_peek(channel->ring, record);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = channel_wait(channel, IPM_RING_CONSUMER, &call, deadline);
	channel_nudge(channel);
	return result;
}

static ipm_result run_peek_batch(ipm_channel *ch, struct channel_call *call)
{
	return ipm_ring_peek_batch(ch->ring, call->record, call->size, call->result);
}

IPM_API ipm_result ipm_channel_peek_batch(ipm_channel *channel, ipm_ring_record *records,
					  size_t count, int64_t deadline, size_t *taken)
{
	struct channel_call call = {
		.run = run_peek_batch, .record = records, .size = count, .result = taken,
	};
	ipm_result result;

	if (!channel || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = run_peek_batch(channel, &call);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = channel_wait(channel, IPM_RING_CONSUMER, &call, deadline);
	channel_nudge(channel);
	return result;
}

IPM_API ipm_result ipm_channel_release(ipm_channel *channel, const ipm_ring_record *record)
{
	if (!channel)
		return IPM_RESULT_ERR_BAD_VALUE;
	return have_read(channel, ipm_ring_fast_release(channel->ring, record));
}

IPM_API ipm_result ipm_channel_release_batch(ipm_channel *channel, const ipm_ring_record *records,
					     size_t count)
{
	ipm_result result;

	if (!channel)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ipm_ring_release_batch(channel->ring, records, count);
	/* Some may have been released also when one could not be. */
	if (channel->roles & IPM_RING_CONSUMER)
		channel_done(channel, &channel->header->writers);
	channel_nudge(channel);
	return result;
}

/* --- without waiting in a call --- */

/* Is there something to take? */
static ipm_result readable(ipm_channel *ch)
{
	ipm_ring_record record;
	ipm_result result = ipm_ring_slow_peek(ch->ring, &record);

	if (result)
		return result;
	if (ch->ring->geometry.kind == IPM_RING_KIND_MPMC)
		mpmc_unpeek(ch->ring, &record);
	else
		lane_unpeek(ch->ring, &record);
	ipm_ring_yield(ch->ring);
	/* Another one may have looked while it was gone. */
	if (ch->ring->geometry.kind != IPM_RING_KIND_SPSC) {
		channel_done(ch, &ch->header->readers);
		ch->ring->nudge &= ~RING_NUDGE_LEASE;
	}
	return IPM_RESULT_SUCCESS;
}

static ipm_result writable(ipm_channel *ch, size_t size)
{
	ipm_ring_record record;
	ipm_result result = ipm_ring_reserve(ch->ring, size, &record);

	return result ? result : ipm_channel_discard(ch, &record);
}

static ipm_result run_readable(ipm_channel *ch, struct channel_call *call)
{
	(void)call;
	return readable(ch);
}

static ipm_result run_writable(ipm_channel *ch, struct channel_call *call)
{
	return writable(ch, call->size);
}

IPM_API ipm_result ipm_channel_check(ipm_channel *channel, uint32_t role)
{
	struct channel_call call = {
		.run = role == IPM_RING_CONSUMER ? run_readable : run_writable, .size = 1,
	};
	struct channel_census census;
	ipm_result result;

	if (!channel || (role != IPM_RING_CONSUMER && role != IPM_RING_PRODUCER))
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(channel->roles & role))
		return IPM_RESULT_ERR_BAD_ACCESS;
	result = channel_recover(channel, NULL);
	if (result)
		return result;
	if (role == IPM_RING_PRODUCER && writers_closed(channel))
		return IPM_RESULT_ERR_CLOSED;
	result = call.run(channel, &call);
	channel_nudge(channel);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = channel_wait(channel, role, &call, IPM_DEADLINE_NOW);
	if (result != IPM_RESULT_ERR_WOULD_BLOCK)
		return result == IPM_RESULT_ERR_ALREADY_LOCKED ? IPM_RESULT_SUCCESS : result;
	census = channel_count(channel, role ^ (IPM_RING_CONSUMER | IPM_RING_PRODUCER));
	return census.dead && !census.alive ? IPM_RESULT_ERR_PEER_DIED : IPM_RESULT_SUCCESS;
}

static ipm_result arm(ipm_channel *ch, struct channel_side *side, struct channel_call *call,
		      bool *ready)
{
	ipm_result result;

	__atomic_fetch_or(&side->word, WORD_ARMED, __ATOMIC_SEQ_CST);
	if (!channel_fence(ch))
		result = IPM_RESULT_ERR_NOT_SUPPORTED;
	else
		result = call->run(ch, call);
	channel_nudge(ch);
	/* Pairs with the release in set_closed(). */
	*ready = result != IPM_RESULT_ERR_WOULD_BLOCK || ring_load_acquire(&side->closed);
	if (*ready && ch->ring->geometry.kind == IPM_RING_KIND_SPSC)
		__atomic_fetch_and(&side->word, ~WORD_ARMED, __ATOMIC_RELAXED);
	return result == IPM_RESULT_ERR_WOULD_BLOCK ? IPM_RESULT_SUCCESS : result;
}

IPM_API ipm_result ipm_channel_arm_read(ipm_channel *channel, bool *ready)
{
	struct channel_call call = { .run = run_readable };

	if (!channel || !ready)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(channel->roles & IPM_RING_CONSUMER))
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (!channel->geometry.read_bell)
		return IPM_RESULT_ERR_NOT_SUPPORTED;
	return arm(channel, &channel->header->readers, &call, ready);
}

IPM_API ipm_result ipm_channel_arm_write(ipm_channel *channel, size_t size, bool *ready)
{
	struct channel_call call = { .run = run_writable, .size = size };

	if (!channel || !ready)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(channel->roles & IPM_RING_PRODUCER))
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (!channel->geometry.write_bell)
		return IPM_RESULT_ERR_NOT_SUPPORTED;
	return arm(channel, &channel->header->writers, &call, ready);
}
