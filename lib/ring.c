// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rings: the shape of the memory, handles, and the calls that are the same for
 * all kinds. The kinds are in ring_lane.c, ring_lanes.c and ring_mpmc.c.
 */
#include <stdlib.h>
#include <unistd.h>

#include "ring.h"

#define DEFAULT_PARTICIPANTS 32
#define DEFAULT_LANES 8

#define BLOCK_SIZE ((uint64_t)RING_LINE)

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

void *ring_alloc(const ipm_context *context, size_t size)
{
	void *memory = context->alloc_callback ?
			       context->alloc_callback(context->alloc_param, size) :
			       malloc(size);

	if (memory)
		memset(memory, 0, size);
	return memory;
}

void ring_free(const ipm_context *context, void *memory)
{
	if (!memory)
		return;
	if (context->free_callback)
		context->free_callback(context->free_param, memory);
	else
		free(memory);
}

void ring_count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* A word that no ipm_ring_attach() writes counts as alive: nothing is taken
 * from anybody because of it. */
bool ring_owner_dead(const ipm_ring *ring, uint64_t owner)
{
	uint32_t slot = (uint32_t)(owner >> 32) & (IPM_RING_MAX_SLOTS - 1);

	if (!(owner & OWNER_USED) || !ring->liveness.alive ||
	    (ring->roles && !((owner ^ ring->owner) & OWNER_IDENTITY)))
		return false;
	return !ring->liveness.alive(ring->liveness.param, slot, (uint32_t)owner);
}

static ipm_result check_options(const ipm_ring_options *options)
{
	if (!options || options->struct_size != sizeof(*options) ||
	    (options->flags & ~IPM_RING_DOUBLED))
		return IPM_RESULT_ERR_BAD_VALUE;
	switch (options->kind) {
	case IPM_RING_KIND_SPSC:
		if (options->participants || options->lanes)
			return IPM_RESULT_ERR_BAD_VALUE;
		return IPM_RESULT_SUCCESS;
	case IPM_RING_KIND_MPMC:
		if (options->participants > IPM_RING_MAX_PARTICIPANTS ||
		    options->lanes)
			return IPM_RESULT_ERR_BAD_VALUE;
		return IPM_RESULT_SUCCESS;
	case IPM_RING_KIND_LANES:
		if (options->lanes > IPM_RING_MAX_LANES || options->participants ||
		    options->flags)
			return IPM_RESULT_ERR_BAD_VALUE;
		return IPM_RESULT_SUCCESS;
	}
	return IPM_RESULT_ERR_BAD_VALUE;
}

/* Everything but the sizes and offsets that depend on the memory. */
static uint64_t start_geometry(const ipm_ring_options *options,
			       struct ring_geometry *g)
{
	uint64_t offset = sizeof(struct ring_header);

	memset(g, 0, sizeof(*g));
	g->kind = options->kind;
	g->flags = options->flags;
	if (options->kind == IPM_RING_KIND_MPMC) {
		g->participants = options->participants ? options->participants :
							  DEFAULT_PARTICIPANTS;
		g->participant_offset = offset;
		offset += g->participants * sizeof(struct ring_participant);
		g->cell_offset = offset;
	} else {
		g->lanes = options->kind == IPM_RING_KIND_SPSC ? 1 :
			   options->lanes ? options->lanes : DEFAULT_LANES;
		g->lane_offset = offset;
		offset += g->lanes * sizeof(struct ring_lane);
	}
	return offset;
}

/* Sizes and offsets for a data area (of one lane) of @data bytes. */
static void finish_geometry(struct ring_geometry *g, uint64_t offset,
			    uint64_t data)
{
	uint64_t unit = g->flags & IPM_RING_DOUBLED ? page_size() : RING_SPREAD;

	g->data_size = data;
	if (g->kind == IPM_RING_KIND_MPMC)
		offset += data / BLOCK_SIZE * sizeof(struct ring_cell);
	g->data_offset = round_up(offset, unit);
	g->size = g->data_offset + data * (g->lanes ? g->lanes : 1);
}

static uint64_t data_unit(const struct ring_geometry *g)
{
	return g->flags & IPM_RING_DOUBLED ? page_size() : RING_LINE;
}

static uint64_t data_minimum(const struct ring_geometry *g)
{
	return g->kind == IPM_RING_KIND_MPMC ? MPMC_MIN_BLOCKS * BLOCK_SIZE :
					       RING_MIN_LANE;
}

/* The largest ring of that shape in @size bytes. */
ipm_result ring_make_geometry(const ipm_ring_options *options, size_t size,
			      struct ring_geometry *g)
{
	uint64_t offset, unit, data;
	ipm_result result = check_options(options);

	if (result)
		return result;
	offset = start_geometry(options, g);
	if (size <= offset)
		return IPM_RESULT_ERR_TOO_SMALL;
	unit = data_unit(g);
	data = (size - offset) / (g->lanes ? g->lanes : 1);
	if (g->kind == IPM_RING_KIND_MPMC)
		data = data / (BLOCK_SIZE + sizeof(struct ring_cell)) * BLOCK_SIZE;
	if (data > RING_MAX_DATA)
		data = RING_MAX_DATA;
	for (data = data / unit * unit; data >= data_minimum(g); data -= unit) {
		finish_geometry(g, offset, data);
		if (g->size <= size)
			return IPM_RESULT_SUCCESS;
	}
	return IPM_RESULT_ERR_TOO_SMALL;
}

/* Does a geometry out of shared memory hold together? */
ipm_result ring_check_geometry(const struct ring_geometry *g, size_t size)
{
	ipm_ring_options options = {
		.struct_size = sizeof(options),
		.kind = (ipm_ring_kind)g->kind,
		.flags = g->flags,
		.participants = g->participants,
		.lanes = g->lanes,
	};
	struct ring_geometry want;
	uint64_t offset;

	if (g->kind == IPM_RING_KIND_SPSC)
		options.lanes = 0;
	if (check_options(&options))
		return IPM_RESULT_ERR_CORRUPTED;
	offset = start_geometry(&options, &want);
	if (g->data_size > RING_MAX_DATA || g->data_size < data_minimum(&want) ||
	    g->data_size % data_unit(&want))
		return IPM_RESULT_ERR_CORRUPTED;
	finish_geometry(&want, offset, g->data_size);
	if (memcmp(&want, g, sizeof(want)))
		return IPM_RESULT_ERR_CORRUPTED;
	return g->size <= size ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_TOO_SMALL;
}

static uint64_t max_record(const struct ring_geometry *g)
{
	return g->kind == IPM_RING_KIND_MPMC ? mpmc_max_record(g->data_size) :
					       lane_max_record(g->data_size);
}

IPM_API ipm_result ipm_ring_footprint(const ipm_ring_options *options,
				      size_t capacity, size_t *size)
{
	struct ring_geometry g;
	ipm_result result = check_options(options);
	uint64_t offset, data;

	if (result)
		return result;
	if (!size)
		return IPM_RESULT_ERR_BAD_VALUE;
	offset = start_geometry(options, &g);
	if (!capacity || capacity > RING_MAX_DATA)
		return IPM_RESULT_ERR_BAD_SIZE;
	data = capacity < data_minimum(&g) ? data_minimum(&g) : capacity;
	data = round_up(data, data_unit(&g));
	finish_geometry(&g, offset, data);
	return ring_size_out(g.size, size);
}

IPM_API ipm_result ipm_ring_record_space(const ipm_ring_options *options,
					 size_t size, size_t *space)
{
	ipm_result result = check_options(options);

	if (result)
		return result;
	if (!space)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (options->kind == IPM_RING_KIND_MPMC) {
		if (!size || size > mpmc_max_record(RING_MAX_DATA))
			return IPM_RESULT_ERR_BAD_SIZE;
		return ring_size_out(round_up(size, BLOCK_SIZE), space);
	}
	if (!size || size > lane_max_record(RING_MAX_DATA))
		return IPM_RESULT_ERR_BAD_SIZE;
	return ring_size_out(lane_record_space(size), space);
}

static void fill_limits(const struct ring_geometry *g, ipm_ring_limits *limits)
{
	limits->capacity = g->data_size * (g->lanes ? g->lanes : 1);
	limits->max_record = max_record(g);
}

IPM_API ipm_result ipm_ring_capacity(const ipm_ring_options *options,
				     size_t size, ipm_ring_limits *limits)
{
	struct ring_geometry g;
	ipm_result result = ring_make_geometry(options, size, &g);

	if (result)
		return result;
	if (!limits)
		return IPM_RESULT_ERR_BAD_VALUE;
	fill_limits(&g, limits);
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_ring_create(const ipm_ring_options *options,
				   void *memory, size_t size)
{
	struct ring_header *header = memory;
	struct ring_geometry g;
	ipm_result result;
	uint32_t i;

	if (!options || !memory || (uintptr_t)memory % IPM_RING_ALIGNMENT ||
	    ((options->flags & IPM_RING_DOUBLED) &&
	     (uintptr_t)memory % page_size()))
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ring_make_geometry(options, size, &g);
	if (result)
		return result;
	ring_store(&header->magic, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memset((unsigned char *)memory + sizeof(header->magic), 0,
	       g.data_offset - sizeof(header->magic));
	/* The first word of a lane is where its consumer looks first. */
	for (i = 0; i < g.lanes; i++)
		memset((unsigned char *)memory + g.data_offset + i * g.data_size,
		       0, sizeof(uint64_t));
	header->version = RING_VERSION;
	header->geometry = g;
	if (g.kind == IPM_RING_KIND_MPMC)
		mpmc_format(header, &g);
	/* Pairs with the acquire in ring_read_header(). */
	ring_store_release(&header->magic, RING_MAGIC);
	return IPM_RESULT_SUCCESS;
}

/* Copies the header out of shared memory, and checks the copy. */
ipm_result ring_read_header(const void *memory, size_t size,
			    struct ring_geometry *g)
{
	const struct ring_header *header = memory;

	if (size < sizeof(*header))
		return IPM_RESULT_ERR_TOO_SMALL;
	/* Pairs with the release in ipm_ring_create(). */
	if (ring_load_acquire(&header->magic) != RING_MAGIC)
		return IPM_RESULT_ERR_BAD_INIT;
	if (ring_load(&header->version) != RING_VERSION)
		return IPM_RESULT_ERR_VERSION;
	g->kind = ring_load(&header->geometry.kind);
	g->flags = ring_load(&header->geometry.flags);
	g->lanes = ring_load(&header->geometry.lanes);
	g->participants = ring_load(&header->geometry.participants);
	g->size = ring_load(&header->geometry.size);
	g->lane_offset = ring_load(&header->geometry.lane_offset);
	g->participant_offset = ring_load(&header->geometry.participant_offset);
	g->cell_offset = ring_load(&header->geometry.cell_offset);
	g->data_offset = ring_load(&header->geometry.data_offset);
	g->data_size = ring_load(&header->geometry.data_size);
	return ring_check_geometry(g, size);
}

/* The fast paths of a side that is not in use find nothing to do. */
static void close_fast(ipm_ring *ring)
{
	ring->fast.w_base = (uintptr_t)&ring->nothing;
	ring->fast.r_base = (uintptr_t)&ring->nothing;
	ring->fast.r_done = UINT64_MAX;
	ring->fast.r_lane = UINT32_MAX;
}

static ipm_result spsc_attach(ipm_ring *ring)
{
	struct ring_lane *lane = ring_lane_at(ring, 0);
	ipm_result result;

	if (ring->roles & IPM_RING_PRODUCER) {
		result = lane_take_owner(ring, &lane->producer);
		if (result)
			return result;
		result = lane_open_writer(ring, 0);
		if (result) {
			ring_store_release(&lane->producer, 0);
			return result;
		}
	}
	if (ring->roles & IPM_RING_CONSUMER) {
		result = lane_take_owner(ring, &lane->consumer);
		if (!result) {
			result = lane_open_reader(ring, 0);
			if (result)
				ring_store_release(&lane->consumer, 0);
		}
		if (result && ring->w.lane)
			lane_close_writer(ring);
	}
	return result;
}

IPM_API ipm_result ipm_ring_attach(const ipm_context *context,
				   const ipm_ring_attach_options *options,
				   void *memory, size_t size, ipm_ring **ring)
{
	static const ipm_context defaults;
	struct ring_geometry g;
	ipm_result result;
	ipm_ring *r;

	if (!options || options->struct_size != sizeof(*options) || !memory ||
	    !ring || (uintptr_t)memory % IPM_RING_ALIGNMENT ||
	    (options->roles & ~(IPM_RING_PRODUCER | IPM_RING_CONSUMER)) ||
	    (options->flags & ~(IPM_RING_DOUBLED | IPM_RING_READ_ONLY)) ||
	    options->slot >= IPM_RING_MAX_SLOTS)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!context)
		context = &defaults;
	if (!context->alloc_callback != !context->free_callback)
		return IPM_RESULT_ERR_BAD_VALUE;
	if ((options->flags & IPM_RING_READ_ONLY) && options->roles)
		return IPM_RESULT_ERR_BAD_ACCESS;
	result = ring_read_header(memory, size, &g);
	if (result)
		return result;
	if ((g.flags & IPM_RING_DOUBLED) && !(options->flags & IPM_RING_DOUBLED) &&
	    options->roles)
		return IPM_RESULT_ERR_NOT_SUPPORTED;
	r = ring_alloc(context, sizeof(*r));
	if (!r)
		return IPM_RESULT_ERR_OUT_OF_MEMORY;
	r->header = memory;
	r->geometry = g;
	r->max_record = max_record(&g);
	r->roles = options->roles;
	r->lease_records = options->lease_records;
	r->owner = owner_make(options->slot, options->generation);
	r->liveness = options->liveness;
	r->context = *context;
	close_fast(r);
	if (!r->roles)
		result = IPM_RESULT_SUCCESS;
	else if (g.kind == IPM_RING_KIND_SPSC)
		result = spsc_attach(r);
	else if (g.kind == IPM_RING_KIND_LANES)
		result = lanes_attach(r);
	else
		result = mpmc_attach(r);
	if (result) {
		ring_free(context, r);
		return result;
	}
	*ring = r;
	return IPM_RESULT_SUCCESS;
}

IPM_API void ipm_ring_detach(ipm_ring *ring)
{
	if (!ring)
		return;
	if (ring->w.lane)
		lane_close_writer(ring);
	if (ring->r.lane)
		lane_close_reader(ring);
	if (ring->m.me)
		mpmc_detach(ring);
	ring_free(&ring->context, ring->bad_lanes);
	ring_free(&ring->context, ring);
}

IPM_API ipm_result ipm_ring_get_limits(const ipm_ring *ring,
				       ipm_ring_limits *limits)
{
	if (!ring || !limits)
		return IPM_RESULT_ERR_BAD_VALUE;
	fill_limits(&ring->geometry, limits);
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_ring_reserve(ipm_ring *ring, size_t size,
				    ipm_ring_record *record)
{
	if (!ring || !record)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(ring->roles & IPM_RING_PRODUCER))
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (ring->geometry.kind == IPM_RING_KIND_MPMC)
		return mpmc_reserve(ring, size, record);
	return lane_reserve(ring, size, record);
}

IPM_API ipm_result ipm_ring_commit(ipm_ring *ring,
				   const ipm_ring_record *record)
{
	if (!ring || !record)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(ring->roles & IPM_RING_PRODUCER))
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (ring->geometry.kind == IPM_RING_KIND_MPMC)
		return mpmc_commit(ring, record);
	return lane_commit(ring, record);
}

IPM_API ipm_result ipm_ring_discard(ipm_ring *ring,
				    const ipm_ring_record *record)
{
	if (!ring || !record)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(ring->roles & IPM_RING_PRODUCER))
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (ring->geometry.kind == IPM_RING_KIND_MPMC)
		return mpmc_discard(ring, record);
	return lane_discard(ring, record);
}

IPM_API ipm_result ipm_ring_slow_write(ipm_ring *ring, const void *data,
				       size_t size)
{
	ipm_ring_record record;
	ipm_result result;

	if (!data)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (ring && ring->geometry.kind == IPM_RING_KIND_MPMC &&
	    (ring->roles & IPM_RING_PRODUCER))
		return mpmc_write(ring, data, size);
	result = ipm_ring_reserve(ring, size, &record);
	if (result)
		return result;
	memcpy(record.data, data, size);
	return ipm_ring_commit(ring, &record);
}

IPM_API ipm_result ipm_ring_write(ipm_ring *ring, const void *data, size_t size)
{
	return ipm_ring_fast_write(ring, data, size);
}

IPM_API ipm_result ipm_ring_write_batch(ipm_ring *ring,
					const ipm_ring_span *spans,
					size_t count, size_t *written)
{
	ipm_result result = IPM_RESULT_SUCCESS;
	size_t i;

	if (!ring || !written || (count && !spans))
		return IPM_RESULT_ERR_BAD_VALUE;
	for (i = 0; i < count; i++) {
		result = ipm_ring_fast_write(ring, spans[i].data, spans[i].size);
		if (result)
			break;
	}
	*written = i;
	return result;
}

IPM_API ipm_result ipm_ring_slow_peek(ipm_ring *ring, ipm_ring_record *record)
{
	if (!ring || !record)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(ring->roles & IPM_RING_CONSUMER))
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (ring->geometry.kind == IPM_RING_KIND_SPSC)
		return lane_peek(ring, record);
	if (ring->geometry.kind == IPM_RING_KIND_LANES)
		return lanes_peek(ring, record);
	return mpmc_peek(ring, record);
}

IPM_API ipm_result ipm_ring_peek(ipm_ring *ring, ipm_ring_record *record)
{
	return ipm_ring_fast_peek(ring, record);
}

IPM_API ipm_result ipm_ring_slow_release(ipm_ring *ring,
					 const ipm_ring_record *record)
{
	if (!ring || !record)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(ring->roles & IPM_RING_CONSUMER))
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (ring->geometry.kind == IPM_RING_KIND_MPMC)
		return mpmc_release(ring, record);
	if (!ring->r.lane)
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (ring->geometry.kind == IPM_RING_KIND_LANES)
		return lanes_release(ring, record);
	return lane_release(ring, record);
}

IPM_API ipm_result ipm_ring_release(ipm_ring *ring,
				    const ipm_ring_record *record)
{
	return ipm_ring_fast_release(ring, record);
}

IPM_API ipm_result ipm_ring_peek_batch(ipm_ring *ring, ipm_ring_record *records,
				       size_t count, size_t *taken)
{
	ipm_result result = IPM_RESULT_ERR_BAD_VALUE;
	size_t i;

	if (!ring || !records || !count || !taken)
		return IPM_RESULT_ERR_BAD_VALUE;
	for (i = 0; i < count; i++) {
		result = ipm_ring_fast_peek(ring, &records[i]);
		if (result)
			break;
	}
	*taken = i;
	return i ? IPM_RESULT_SUCCESS : result;
}

IPM_API ipm_result ipm_ring_release_batch(ipm_ring *ring,
					  const ipm_ring_record *records,
					  size_t count)
{
	ipm_result result = IPM_RESULT_SUCCESS;
	size_t i;

	if (!ring || (count && !records))
		return IPM_RESULT_ERR_BAD_VALUE;
	for (i = 0; i < count && !result; i++)
		result = ipm_ring_fast_release(ring, &records[i]);
	return result;
}

/* Takes a record for a call that finishes with it before it returns. */
static ipm_result take_one(ipm_ring *ring, ipm_ring_record *record)
{
	if (ring->geometry.kind != IPM_RING_KIND_MPMC && ring->r.lane &&
	    lane_in_hand(ring))
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	return ipm_ring_slow_peek(ring, record);
}

IPM_API ipm_result ipm_ring_slow_read(ipm_ring *ring, void *buffer,
				      size_t capacity, size_t *size,
				      uint32_t *flags)
{
	ipm_ring_record record;
	ipm_result result;

	if (!ring || !buffer || !size)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (ring->geometry.kind == IPM_RING_KIND_MPMC &&
	    (ring->roles & IPM_RING_CONSUMER))
		return mpmc_read(ring, buffer, capacity, size, flags);
	result = take_one(ring, &record);
	if (result)
		return result;
	*size = record.size;
	if (flags)
		*flags = record.flags;
	if (record.size > capacity) {
		if (ring->geometry.kind == IPM_RING_KIND_MPMC)
			mpmc_unpeek(ring, &record);
		else
			lane_unpeek(ring, &record);
		return IPM_RESULT_ERR_TOO_SMALL;
	}
	memcpy(buffer, record.data, record.size);
	return ipm_ring_fast_release(ring, &record);
}

IPM_API ipm_result ipm_ring_read(ipm_ring *ring, void *buffer, size_t capacity,
				 size_t *size, uint32_t *flags)
{
	return ipm_ring_fast_read(ring, buffer, capacity, size, flags);
}

IPM_API ipm_result ipm_ring_skip(ipm_ring *ring)
{
	ipm_ring_record record;
	ipm_result result;

	if (!ring)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = take_one(ring, &record);
	if (result)
		return result;
	ring_count(&ring->header->skipped, 1);
	return ipm_ring_fast_release(ring, &record);
}

IPM_API ipm_result ipm_ring_skip_force(ipm_ring *ring, uint64_t *skipped)
{
	ipm_result result = ipm_ring_skip(ring);
	uint64_t n = 1;

	if (result == IPM_RESULT_ERR_WOULD_BLOCK &&
	    ring->geometry.kind == IPM_RING_KIND_MPMC)
		result = mpmc_skip_force(ring, &n);
	else if (result == IPM_RESULT_ERR_CORRUPTED &&
		 ring->geometry.kind == IPM_RING_KIND_SPSC)
		result = lane_resync(ring, &n);
	else if ((result == IPM_RESULT_ERR_CORRUPTED ||
		  result == IPM_RESULT_ERR_WOULD_BLOCK) &&
		 ring->geometry.kind == IPM_RING_KIND_LANES)
		result = lanes_skip_force(ring, &n);
	if (!result && skipped)
		*skipped = n;
	return result;
}

IPM_API ipm_result ipm_ring_yield(ipm_ring *ring)
{
	if (!ring)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (ring->geometry.kind != IPM_RING_KIND_LANES || !ring->r.lane)
		return IPM_RESULT_SUCCESS;
	if (lane_in_hand(ring))
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	lane_close_reader(ring);
	return IPM_RESULT_SUCCESS;
}

static bool same_identity(uint64_t a, uint64_t b)
{
	return (a & OWNER_USED) && !((a ^ b) & OWNER_IDENTITY);
}

/* @owner: only this one, or 0 for all that are dead. */
static ipm_result recover(ipm_ring *ring, uint64_t owner, uint64_t *records)
{
	ipm_result result = IPM_RESULT_SUCCESS, one;
	uint32_t i;

	if (ring->geometry.kind == IPM_RING_KIND_MPMC)
		return mpmc_recover(ring, owner, records);
	for (i = 0; i < ring->geometry.lanes; i++) {
		struct ring_lane *lane = ring_lane_at(ring, i);
		uint64_t who = ring_load_acquire(&lane->producer);

		if ((!owner || same_identity(who, owner)) &&
		    ring_owner_dead(ring, who)) {
			one = lane_recover_producer(ring, i, who, records);
			if (one)
				result = one;
		}
		who = ring_load_acquire(&lane->consumer);
		if ((!owner || same_identity(who, owner)) &&
		    ring_owner_dead(ring, who))
			lane_recover_consumer(ring, i, who, records);
	}
	return result;
}

IPM_API ipm_result ipm_ring_recover(ipm_ring *ring, uint32_t slot,
				    uint32_t generation, uint64_t *records)
{
	uint64_t n = 0;
	ipm_result result;

	if (!ring || slot >= IPM_RING_MAX_SLOTS)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!ring->roles)
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (!ring_owner_dead(ring, owner_make(slot, generation)))
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	result = recover(ring, owner_make(slot, generation), &n);
	if (records)
		*records = n;
	return result;
}

IPM_API ipm_result ipm_ring_check(ipm_ring *ring, uint64_t *records)
{
	uint64_t n = 0;
	ipm_result result;

	if (!ring)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!ring->roles)
		return IPM_RESULT_ERR_BAD_ACCESS;
	result = recover(ring, 0, &n);
	if (records)
		*records = n;
	return result;
}

/* Brings what this handle counts privately into the shared memory. */
static void flush_counts(ipm_ring *ring)
{
	if (ring->w.lane)
		ring_store(&ring->w.lane->written, ring->fast.w_count);
	if (ring->r.lane)
		ring_store(&ring->r.lane->read, ring->fast.r_count);
}

IPM_API ipm_result ipm_ring_get_stats(ipm_ring *ring, ipm_ring_stats *stats)
{
	struct ring_header *header;
	ipm_ring_limits limits;
	uint32_t i;

	if (!ring || !stats)
		return IPM_RESULT_ERR_BAD_VALUE;
	header = ring->header;
	flush_counts(ring);
	fill_limits(&ring->geometry, &limits);
	memset(stats, 0, sizeof(*stats));
	stats->capacity = limits.capacity;
	stats->dropped = ring_load(&header->dropped);
	stats->redelivered = ring_load(&header->redelivered);
	stats->skipped = ring_load(&header->skipped);
	if (ring->geometry.kind == IPM_RING_KIND_MPMC)
		return mpmc_stats(ring, stats);
	for (i = 0; i < ring->geometry.lanes; i++) {
		struct ring_lane *lane = ring_lane_at(ring, i);

		stats->written += ring_load(&lane->written);
		stats->read += ring_load(&lane->read);
		stats->used += lane_used(ring, i);
	}
	return IPM_RESULT_SUCCESS;
}

static void count_peer(const ipm_ring *ring, uint64_t owner, uint32_t *alive,
		       uint32_t *dead)
{
	if (!(owner & OWNER_USED))
		return;
	if (ring_owner_dead(ring, owner))
		++*dead;
	else
		++*alive;
}

IPM_API ipm_result ipm_ring_get_peers(ipm_ring *ring, ipm_ring_peers *peers)
{
	uint32_t i;

	if (!ring || !peers)
		return IPM_RESULT_ERR_BAD_VALUE;
	memset(peers, 0, sizeof(*peers));
	for (i = 0; i < ring->geometry.lanes; i++) {
		struct ring_lane *lane = ring_lane_at(ring, i);

		count_peer(ring, ring_load(&lane->producer), &peers->producers,
			   &peers->dead_producers);
		count_peer(ring, ring_load(&lane->consumer), &peers->consumers,
			   &peers->dead_consumers);
	}
	for (i = 0; i < ring->geometry.participants; i++) {
		uint64_t owner = ring_load(&mpmc_participants(ring)[i].owner);

		if (owner & OWNER_PRODUCER)
			count_peer(ring, owner, &peers->producers,
				   &peers->dead_producers);
		if (owner & OWNER_CONSUMER)
			count_peer(ring, owner, &peers->consumers,
				   &peers->dead_consumers);
	}
	return IPM_RESULT_SUCCESS;
}
