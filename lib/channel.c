// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Channels: the shape of the memory, handles, and who takes part.
 */
#include <unistd.h>

#include "channel.h"

#define SPSC_PARTICIPANTS 4u
#define MORE_THAN_LANES 32u

#define ROLES (IPM_RING_PRODUCER | IPM_RING_CONSUMER)

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

/* --- the shape --- */

static uint64_t ring_offset(uint32_t participants, uint32_t ring_flags)
{
	uint64_t unit = ring_flags & IPM_RING_DOUBLED ? (uint64_t)sysconf(_SC_PAGESIZE) :
							RING_SPREAD;

	return round_up(sizeof(struct channel_header) +
			participants * sizeof(struct channel_entry), unit);
}

static ipm_result start_geometry(const ipm_channel_options *options, struct channel_geometry *g)
{
	const ipm_ring_options *ring;

	if (!options || options->struct_size != sizeof(*options) || options->reserved ||
	    options->participants > IPM_RING_MAX_SLOTS)
		return IPM_RESULT_ERR_BAD_VALUE;
	ring = &options->ring;
	memset(g, 0, sizeof(*g));
	g->participants = options->participants;
	if (!g->participants) {
		struct ring_geometry shape;
		ipm_result result = ring_make_geometry(ring, SIZE_MAX, &shape);

		if (result)
			return result;
		if (shape.kind == IPM_RING_KIND_SPSC)
			g->participants = SPSC_PARTICIPANTS;
		else if (shape.kind == IPM_RING_KIND_MPMC)
			g->participants = shape.participants;
		else
			g->participants = shape.lanes + MORE_THAN_LANES;
	}
	g->ring_offset = ring_offset(g->participants, ring->flags);
	g->read_bell = options->read_bell;
	g->write_bell = options->write_bell;
	return IPM_RESULT_SUCCESS;
}

ipm_result channel_make_geometry(const ipm_channel_options *options, size_t size,
				 struct channel_geometry *g)
{
	struct ring_geometry ring;
	ipm_result result = start_geometry(options, g);

	if (result)
		return result;
	if (size <= g->ring_offset)
		return IPM_RESULT_ERR_TOO_SMALL;
	g->ring_size = size - g->ring_offset;
	return ring_make_geometry(&options->ring, g->ring_size, &ring);
}

IPM_API ipm_result ipm_channel_footprint(const ipm_channel_options *options, size_t capacity,
					 size_t *size)
{
	struct channel_geometry g;
	size_t ring_size;
	ipm_result result = start_geometry(options, &g);

	if (result)
		return result;
	if (!size)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ipm_ring_footprint(&options->ring, capacity, &ring_size);
	if (!result)
		result = ring_size_out(g.ring_offset + ring_size, size);
	return result;
}

IPM_API ipm_result ipm_channel_create(const ipm_channel_options *options, void *memory, size_t size)
{
	struct channel_header *header = memory;
	struct channel_geometry g;
	ipm_result result;

	if (!memory || (uintptr_t)memory % IPM_RING_ALIGNMENT)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = channel_make_geometry(options, size, &g);
	if (result)
		return result;
	if ((options->ring.flags & IPM_RING_DOUBLED) &&
	    (uintptr_t)memory % (uintptr_t)sysconf(_SC_PAGESIZE))
		return IPM_RESULT_ERR_BAD_VALUE;
	ring_store(&header->magic, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memset((unsigned char *)memory + sizeof(header->magic), 0,
	       g.ring_offset - sizeof(header->magic));
	header->version = CHANNEL_VERSION;
	header->participants = g.participants;
	header->ring_offset = g.ring_offset;
	header->ring_size = g.ring_size;
	header->read_bell = g.read_bell;
	header->write_bell = g.write_bell;
	result = ipm_ring_create(&options->ring, (unsigned char *)memory + g.ring_offset,
				 g.ring_size);
	if (result)
		return result;
	/* Pairs with the acquire in channel_read_header(). */
	ring_store_release(&header->magic, CHANNEL_MAGIC);
	return IPM_RESULT_SUCCESS;
}

ipm_result channel_read_header(const void *memory, size_t size, struct channel_geometry *g)
{
	const struct channel_header *header = memory;

	if (size < sizeof(*header))
		return IPM_RESULT_ERR_TOO_SMALL;
	/* Pairs with the release in ipm_channel_create(). */
	if (ring_load_acquire(&header->magic) != CHANNEL_MAGIC)
		return IPM_RESULT_ERR_BAD_INIT;
	if (ring_load(&header->version) != CHANNEL_VERSION)
		return IPM_RESULT_ERR_VERSION;
	g->participants = ring_load(&header->participants);
	g->ring_offset = ring_load(&header->ring_offset);
	g->ring_size = ring_load(&header->ring_size);
	g->read_bell = ring_load(&header->read_bell);
	g->write_bell = ring_load(&header->write_bell);
	if (!g->participants || g->participants > IPM_RING_MAX_SLOTS ||
	    (g->ring_offset != ring_offset(g->participants, 0) &&
	     g->ring_offset != ring_offset(g->participants, IPM_RING_DOUBLED)) ||
	    !g->ring_size || g->ring_size > SIZE_MAX - g->ring_offset)
		return IPM_RESULT_ERR_CORRUPTED;
	return g->ring_offset + g->ring_size <= size ? IPM_RESULT_SUCCESS :
						       IPM_RESULT_ERR_TOO_SMALL;
}

/* --- who takes part --- */

static bool is_dead(const ipm_channel *ch, uint64_t owner)
{
	uint32_t slot = (uint32_t)(owner >> 32) & (IPM_RING_MAX_SLOTS - 1);

	return ch->liveness.alive && (owner & OWNER_USED) &&
	       !ch->liveness.alive(ch->liveness.param, slot, (uint32_t)owner);
}

static uint64_t role_bits(uint32_t roles)
{
	return (roles & IPM_RING_PRODUCER ? OWNER_PRODUCER : 0) |
	       (roles & IPM_RING_CONSUMER ? OWNER_CONSUMER : 0);
}

struct channel_census channel_count(const ipm_channel *ch, uint32_t roles)
{
	struct channel_entry *entries = channel_entries(ch);
	struct channel_census census = { 0 };
	uint64_t bits = role_bits(roles);
	uint32_t i;

	for (i = 0; i < ch->geometry.participants; i++) {
		uint64_t owner = ring_load_acquire(&entries[i].owner);

		if (!(owner & bits) || &entries[i] == ch->me)
			continue;
		if (is_dead(ch, owner))
			census.dead++;
		else
			census.alive++;
	}
	return census;
}

ipm_result channel_recover(ipm_channel *ch, uint64_t *records)
{
	uint64_t n = 0;
	ipm_result result = ipm_ring_check(ch->ring, &n);

	if (records)
		*records = n;
	if (n) {
		/* A record to be delivered again, or room. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		channel_wake(ch, &ch->header->readers, true);
		channel_wake(ch, &ch->header->writers, true);
	}
	channel_nudge(ch);
	return result;
}

/*
 * The dead have somebody in their place now: who waits from here on waits for
 * the new one. Their leavings in the ring were cleaned up before.
 */
static void forget_dead(ipm_channel *ch)
{
	struct channel_entry *entries = channel_entries(ch);
	uint64_t bits = role_bits(ch->roles);
	uint32_t i;

	for (i = 0; i < ch->geometry.participants; i++) {
		uint64_t owner = ring_load_acquire(&entries[i].owner), left;

		if (&entries[i] == ch->me || !(owner & bits) || !is_dead(ch, owner))
			continue;
		left = owner & ~bits;
		ring_cas(&entries[i].owner, &owner,
			 left & (OWNER_PRODUCER | OWNER_CONSUMER) ? left : 0);
	}
}

static ipm_result take_entry(ipm_channel *ch, uint64_t identity)
{
	struct channel_entry *entries = channel_entries(ch);
	uint64_t mine = identity | role_bits(ch->roles);
	uint32_t i, pass;

	/* Free ones first: what a dead one has to tell is told as long as it can. */
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < ch->geometry.participants; i++) {
			uint64_t owner = ring_load_acquire(&entries[i].owner);

			if ((owner & OWNER_USED) && !(pass && is_dead(ch, owner)))
				continue;
			/* Pairs with the acquire in channel_count(). */
			if (!ring_cas(&entries[i].owner, &owner, mine))
				continue;
			ring_store(&entries[i].fenceless, 0);
			ch->me = &entries[i];
			ch->identity = mine;
			return IPM_RESULT_SUCCESS;
		}
	}
	return IPM_RESULT_ERR_LIMIT;
}

/* --- handles --- */

static ipm_result check_attach(const ipm_context *context,
			       const ipm_channel_attach_options *options, const void *memory,
			       ipm_channel **channel)
{
	if (!options || options->struct_size != sizeof(*options) || options->reserved ||
	    (options->roles & ~ROLES) ||
	    (options->flags & ~(IPM_RING_DOUBLED | IPM_RING_READ_ONLY)) ||
	    options->slot >= IPM_RING_MAX_SLOTS || !memory || !channel ||
	    (uintptr_t)memory % IPM_RING_ALIGNMENT)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (context && !context->alloc_callback != !context->free_callback)
		return IPM_RESULT_ERR_BAD_VALUE;
	if ((options->flags & IPM_RING_READ_ONLY) && options->roles)
		return IPM_RESULT_ERR_BAD_ACCESS;
	return IPM_RESULT_SUCCESS;
}

static ipm_result attach_ring(ipm_channel *ch, const ipm_channel_attach_options *options)
{
	ipm_ring_attach_options ring = {
		.struct_size = sizeof(ring),
		.roles = options->roles,
		.flags = options->flags,
		.slot = options->slot,
		.generation = options->generation,
		.lease_records = options->lease_records,
		.liveness = options->liveness,
	};

	return ipm_ring_attach(&ch->context, &ring,
			       (unsigned char *)ch->header + ch->geometry.ring_offset,
			       ch->geometry.ring_size, &ch->ring);
}

IPM_API ipm_result ipm_channel_attach(const ipm_context *context,
				      const ipm_channel_attach_options *options, void *memory,
				      size_t size, ipm_channel **channel)
{
	static const ipm_context defaults;
	struct channel_geometry g;
	ipm_channel_config config;
	struct wait_habit habit;
	ipm_result result;
	ipm_channel *ch;

	result = check_attach(context, options, memory, channel);
	if (result)
		return result;
	config = options->config;
	if (!wait_config_fill(&config, &habit))
		return IPM_RESULT_ERR_BAD_VALUE;
	result = channel_read_header(memory, size, &g);
	if (result)
		return result;
	if (!context)
		context = &defaults;
	ch = ring_alloc(context, sizeof(*ch));
	if (!ch)
		return IPM_RESULT_ERR_OUT_OF_MEMORY;
	ch->header = memory;
	ch->geometry = g;
	ch->config = config;
	ch->habit = habit;
	ch->roles = options->roles;
	ch->liveness = options->liveness;
	ch->bell = options->bell;
	ch->bell_param = options->bell_param;
	ch->context = *context;
	ch->fencing = true;
	ch->calm = UINT32_MAX;
	result = attach_ring(ch, options);
	if (result)
		goto err_free;
	if (ch->roles) {
		ch->registered = wait_sys_register();
		if (ch->registered)
			ch->calm = 1;
		result = take_entry(ch, owner_make(options->slot, options->generation));
		if (result)
			goto err_detach;
		/* Errors show again where the ring is used. */
		channel_recover(ch, NULL);
		forget_dead(ch);
		/* To attach to the ring may have freed what a dead one had. */
		ipm_channel_wake(ch);
	}
	*channel = ch;
	return IPM_RESULT_SUCCESS;

err_detach:
	ipm_ring_detach(ch->ring);
err_free:
	ring_free(context, ch);
	return result;
}

IPM_API void ipm_channel_detach(ipm_channel *channel)
{
	ipm_channel_mapping mapping;

	if (!channel)
		return;
	mapping = channel->mapping;
	/* Records in hand go to others, a reservation that held them up is gone. */
	ipm_ring_detach(channel->ring);
	if (channel->roles) {
		uint64_t owner = channel->identity;

		ring_cas(&channel->me->owner, &owner, 0);
		ipm_channel_wake(channel);
	}
	ring_free(&channel->context, channel);
	ipm_channel_unmap(&mapping);
}

/* --- the end --- */

static ipm_result set_closed(ipm_channel *ch, uint32_t closed)
{
	if (!ch)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!ch->roles)
		return IPM_RESULT_ERR_BAD_ACCESS;
	/* After everything that this handle has written; pairs with the acquire
	 * in channel_wait(). */
	ring_store_release(&ch->header->readers.closed, closed);
	ring_store_release(&ch->header->writers.closed, closed);
	return ipm_channel_wake(ch);
}

IPM_API ipm_result ipm_channel_close(ipm_channel *channel)
{
	return set_closed(channel, 1);
}

IPM_API ipm_result ipm_channel_reopen(ipm_channel *channel)
{
	return set_closed(channel, 0);
}

IPM_API bool ipm_channel_is_closed(const ipm_channel *channel)
{
	return channel && ring_load(&channel->header->readers.closed);
}

IPM_API ipm_result ipm_channel_wake(ipm_channel *channel)
{
	if (!channel)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!channel->roles)
		return IPM_RESULT_ERR_BAD_ACCESS;
	/* Pairs with the fence in channel_fence(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	channel_wake(channel, &channel->header->readers, true);
	channel_wake(channel, &channel->header->writers, true);
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_channel_recover(ipm_channel *channel, uint64_t *records)
{
	if (!channel)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!channel->roles)
		return IPM_RESULT_ERR_BAD_ACCESS;
	return channel_recover(channel, records);
}

/* --- looking --- */

IPM_API ipm_ring *ipm_channel_ring(ipm_channel *channel)
{
	return channel ? channel->ring : NULL;
}

IPM_API ipm_result ipm_channel_get_stats(ipm_channel *channel, ipm_channel_stats *stats)
{
	struct channel_census census;

	if (!channel || !stats)
		return IPM_RESULT_ERR_BAD_VALUE;
	memset(stats, 0, sizeof(*stats));
	census = channel_count(channel, ROLES);
	stats->waits = channel->counts.waits;
	stats->sleeps = channel->counts.sleeps;
	stats->naps = channel->counts.naps;
	stats->wakes = channel->counts.wakes;
	stats->bells = channel->counts.bells;
	stats->barriers = channel->counts.barriers;
	stats->participants = census.alive + (channel->me ? 1 : 0);
	stats->dead = census.dead;
	stats->closed = ipm_channel_is_closed(channel);
	return ipm_ring_get_stats(channel->ring, &stats->ring);
}
