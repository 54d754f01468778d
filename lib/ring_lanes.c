// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lanes: an SPSC ring for each producer, read by any number of consumers. A
 * consumer takes a lease on a lane by a compare-and-swap of lane->consumer,
 * reads a while, and gives it back by a store. Nobody ever waits for a lane:
 * one that another consumer has is passed over.
 *
 * header->tail is how many lanes were ever in use, so that consumers need not
 * look at the rest.
 */
#include "ring.h"

/* How many leases a consumer takes until it asks whether the others live. */
#define LEASES_PER_LOOK 256

static bool is_bad(const ipm_ring *ring, uint32_t i)
{
	return ring->bad_lanes && (ring->bad_lanes[i / 64] >> i % 64 & 1);
}

static void mark_bad(ipm_ring *ring, uint32_t i)
{
	if (ring->bad_lanes)
		ring->bad_lanes[i / 64] |= (uint64_t)1 << i % 64;
}

static void raise_used(ipm_ring *ring, uint64_t used)
{
	uint64_t *word = &ring->header->tail;
	uint64_t old = ring_load(word);
	unsigned int rounds = 0;

	/* Others raise it at most once each. Pairs with the load in
	 * lanes_used(). */
	while (old < used && !ring_cas(word, &old, used) &&
	       rounds++ < IPM_RING_MAX_LANES)
		;
}

static uint32_t lanes_used(const ipm_ring *ring)
{
	uint64_t used = ring_load_acquire(&ring->header->tail);

	return used < ring->geometry.lanes ? (uint32_t)used : ring->geometry.lanes;
}

static ipm_result attach_producer(ipm_ring *ring)
{
	ipm_result result = IPM_RESULT_ERR_LIMIT;
	uint32_t i;

	for (i = 0; i < ring->geometry.lanes; i++) {
		struct ring_lane *lane = ring_lane_at(ring, i);

		if (lane_take_owner(ring, &lane->producer))
			continue;
		result = lane_open_writer(ring, i);
		if (!result) {
			ring->w_lane = i;
			raise_used(ring, i + 1);
			return result;
		}
		/* Spoilt, and of no use to anybody before it is resynced. */
		ring_store_release(&lane->producer, 0);
	}
	return result;
}

ipm_result lanes_attach(ipm_ring *ring)
{
	uint64_t ignored = 0;
	uint32_t i;

	if (ring->roles & IPM_RING_CONSUMER) {
		ring->bad_lanes = ring_alloc(&ring->context,
					     (ring->geometry.lanes + 63) / 64 *
						     sizeof(uint64_t));
		if (!ring->bad_lanes)
			return IPM_RESULT_ERR_OUT_OF_MEMORY;
	}
	if (ring->roles & IPM_RING_PRODUCER) {
		ipm_result result = attach_producer(ring);

		if (result) {
			ring_free(&ring->context, ring->bad_lanes);
			return result;
		}
	}
	/* What dead consumers left on lease is free at once. */
	for (i = 0; (ring->roles & IPM_RING_CONSUMER) && i < lanes_used(ring); i++) {
		uint64_t who = ring_load_acquire(&ring_lane_at(ring, i)->consumer);

		if (ring_owner_dead(ring, who))
			lane_recover_consumer(ring, i, who, &ignored);
	}
	return IPM_RESULT_SUCCESS;
}

/*
 * Is there something to read in a lane that nobody has? Only a hint: whoever takes or
 * gives back a lane meanwhile looks, or tells, himself.
 */
bool lanes_have_record(const ipm_ring *ring)
{
	uint32_t i, used = lanes_used(ring);

	for (i = 0; i < used; i++)
		if (!is_bad(ring, i) && lane_has_record(ring, i) &&
		    !ring_load(&ring_lane_at(ring, i)->consumer))
			return true;
	return false;
}

static bool lease_used_up(const ipm_ring *ring)
{
	if (ring->lease_records)
		return ring->leased >= ring->lease_records;
	return ring->fast.r_pos - ring->lease_start >= ring->geometry.data_size / 8;
}

/* One record of the lane on lease. */
static ipm_result peek_leased(ipm_ring *ring, ipm_ring_record *record)
{
	ipm_result result = lane_peek(ring, record);

	if (result == IPM_RESULT_ERR_CORRUPTED)
		mark_bad(ring, ring->r.index);
	if (result)
		return result;
	ring->leased++;
	if (ring->lease_records) {
		/* Records are counted: keep off the fast paths. */
		ring->fast.r_limit = ring->fast.r_pos;
		ring->fast.r_lane = UINT32_MAX;
	}
	return IPM_RESULT_SUCCESS;
}

ipm_result lanes_yield(ipm_ring *ring)
{
	if (!ring->r.lane)
		return IPM_RESULT_SUCCESS;
	if (lane_in_hand(ring))
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	ring->next_lane = ring->r.index + 1;
	lane_close_reader(ring);
	return IPM_RESULT_SUCCESS;
}

static bool take_lease(ipm_ring *ring, uint32_t i, bool look)
{
	uint64_t *word = &ring_lane_at(ring, i)->consumer;
	uint64_t old = ring_load(word);

	if (old && !(look && ring_owner_dead(ring, old)))
		return false;
	/* As in lane_take_owner(). */
	return ring_cas(word, &old, ring->owner);
}

ipm_result lanes_peek(ipm_ring *ring, ipm_ring_record *record)
{
	uint32_t used, k, i;
	ipm_result result;
	bool look;

	if (ring->r.lane) {
		if (!lease_used_up(ring) || lane_in_hand(ring)) {
			result = peek_leased(ring, record);
			if (!result)
				return result;
			if (result == IPM_RESULT_ERR_CORRUPTED) {
				lanes_yield(ring);
				return result;
			}
		}
		if (lanes_yield(ring))
			return IPM_RESULT_ERR_WOULD_BLOCK;
	}
	used = lanes_used(ring);
	/* A lane whose consumer died must not wait until all others are empty. */
	look = ring_look_due(++ring->empty_polls) ||
	       ++ring->leases % LEASES_PER_LOOK == 0;
	i = ring->next_lane;
	for (k = 0; k < used; k++, i++) {
		if (i >= used)
			i = 0;
		if (is_bad(ring, i) || !lane_has_record(ring, i) ||
		    !take_lease(ring, i, look))
			continue;
		result = lane_open_reader(ring, i);
		if (result) {
			mark_bad(ring, i);
			ring_store_release(&ring_lane_at(ring, i)->consumer, 0);
			return result;
		}
		ring->leased = 0;
		ring->lease_start = ring->fast.r_pos;
		result = peek_leased(ring, record);
		if (!result) {
			ring->empty_polls = 0;
			return result;
		}
		lanes_yield(ring);
		if (result == IPM_RESULT_ERR_CORRUPTED)
			return result;
	}
	return IPM_RESULT_ERR_WOULD_BLOCK;
}

ipm_result lanes_release(ipm_ring *ring, const ipm_ring_record *record)
{
	ipm_result result = lane_release(ring, record);

	if (!result && ring->lease_records && lease_used_up(ring))
		lanes_yield(ring);
	return result;
}

/* Gives the lanes that were found spoilt a new start, if there are any. */
ipm_result lanes_skip_force(ipm_ring *ring, uint64_t *skipped)
{
	ipm_result result = IPM_RESULT_ERR_WOULD_BLOCK;
	uint32_t i;

	*skipped = 0;
	for (i = 0; i < ring->geometry.lanes; i++) {
		uint64_t n = 0;

		if (!is_bad(ring, i) || ring->r.lane)
			continue;
		if (!*skipped)
			result = IPM_RESULT_ERR_CORRUPTED;
		if (!take_lease(ring, i, true))
			continue;
		if (!lane_open_reader(ring, i)) {
			if (!lane_resync(ring, &n)) {
				ring->bad_lanes[i / 64] &= ~((uint64_t)1 << i % 64);
				*skipped += n;
				result = IPM_RESULT_SUCCESS;
			}
			lane_close_reader(ring);
		} else {
			ring_store_release(&ring_lane_at(ring, i)->consumer, 0);
		}
	}
	return result;
}
