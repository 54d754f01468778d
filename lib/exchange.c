// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Exchanges: the shape of the memory, handles, and who takes part.
 */
#include "exchange.h"

#define DEFAULT_WINDOW ((size_t)4 << 20)
#define DEFAULT_PARTICIPANTS 32u

/* Windows start on a page, so that items in place can be handed on. */
#define WINDOW_ALIGNMENT 4096u

#define ROLES (IPM_EXCHANGE_PUBLISHER | IPM_EXCHANGE_CONSUMER)

/* --- the shape --- */

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static void set_size(struct exchange_geometry *g)
{
	g->window_offset = round_up(sizeof(struct exchange_header) +
				    g->participants * sizeof(struct exchange_entry),
				    WINDOW_ALIGNMENT);
	g->size = g->window_offset + g->window * (g->flags & IPM_EXCHANGE_ONE_WAY ? 1 : 2);
}

static ipm_result make_geometry(const ipm_exchange_options *options, struct exchange_geometry *g)
{
	if (!options || options->struct_size != sizeof(*options) ||
	    (options->flags & ~IPM_EXCHANGE_ONE_WAY) ||
	    options->participants > IPM_RING_MAX_SLOTS)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (options->window && (options->window < IPM_EXCHANGE_WINDOW_MIN ||
				options->window > IPM_EXCHANGE_WINDOW_MAX))
		return IPM_RESULT_ERR_BAD_SIZE;
	memset(g, 0, sizeof(*g));
	g->flags = options->flags;
	g->participants = options->participants ? options->participants : DEFAULT_PARTICIPANTS;
	g->window = round_up(options->window ? options->window : DEFAULT_WINDOW,
			     WINDOW_ALIGNMENT);
	g->bells[CLIENTS] = options->publish_bell;
	g->bells[SERVERS] = options->consume_bell;
	set_size(g);
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_exchange_footprint(const ipm_exchange_options *options, size_t *size)
{
	struct exchange_geometry g;
	ipm_result result = make_geometry(options, &g);

	if (!result && !size)
		result = IPM_RESULT_ERR_BAD_VALUE;
	if (!result)
		result = ring_size_out(g.size, size);
	return result;
}

IPM_API ipm_result ipm_exchange_create(const ipm_exchange_options *options, void *memory,
				       size_t size)
{
	struct exchange_header *header = memory;
	struct exchange_geometry g;
	ipm_result result = make_geometry(options, &g);

	if (result)
		return result;
	if (!memory || (uintptr_t)memory % IPM_RING_ALIGNMENT)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (size < g.size)
		return IPM_RESULT_ERR_TOO_SMALL;
	ring_store(&header->magic, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memset((unsigned char *)memory + sizeof(header->magic), 0,
	       g.window_offset - sizeof(header->magic));
	header->version = EXCHANGE_VERSION;
	header->flags = g.flags;
	header->participants = g.participants;
	header->window = g.window;
	header->size = g.size;
	header->publish_bell = g.bells[CLIENTS];
	header->consume_bell = g.bells[SERVERS];
	/* Pairs with the acquire in exchange_read_header(). */
	ring_store_release(&header->magic, EXCHANGE_MAGIC);
	return IPM_RESULT_SUCCESS;
}

ipm_result exchange_read_header(const void *memory, size_t size, struct exchange_geometry *g)
{
	const struct exchange_header *header = memory;
	uint64_t all;

	if (size < sizeof(*header))
		return IPM_RESULT_ERR_TOO_SMALL;
	/* Pairs with the release in ipm_exchange_create(). */
	if (ring_load_acquire(&header->magic) != EXCHANGE_MAGIC)
		return IPM_RESULT_ERR_BAD_INIT;
	if (ring_load(&header->version) != EXCHANGE_VERSION)
		return IPM_RESULT_ERR_VERSION;
	g->flags = ring_load(&header->flags);
	g->participants = ring_load(&header->participants);
	g->window = ring_load(&header->window);
	all = ring_load(&header->size);
	g->bells[CLIENTS] = ring_load(&header->publish_bell);
	g->bells[SERVERS] = ring_load(&header->consume_bell);
	if ((g->flags & ~IPM_EXCHANGE_ONE_WAY) || !g->participants ||
	    g->participants > IPM_RING_MAX_SLOTS || g->window < IPM_EXCHANGE_WINDOW_MIN ||
	    g->window > IPM_EXCHANGE_WINDOW_MAX || g->window % WINDOW_ALIGNMENT)
		return IPM_RESULT_ERR_CORRUPTED;
	set_size(g);
	if (all != g->size)
		return IPM_RESULT_ERR_CORRUPTED;
	return g->size <= size ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_TOO_SMALL;
}

/* --- who takes part --- */

static uint64_t role_bits(uint32_t roles)
{
	return (roles & IPM_EXCHANGE_PUBLISHER ? OWNER_PRODUCER : 0) |
	       (roles & IPM_EXCHANGE_CONSUMER ? OWNER_CONSUMER : 0);
}

bool exchange_dead(const ipm_exchange *x, uint64_t owner)
{
	uint32_t slot = (uint32_t)(owner >> 32) & (IPM_RING_MAX_SLOTS - 1);

	return x->liveness.alive && (owner & OWNER_USED) &&
	       !x->liveness.alive(x->liveness.param, slot, (uint32_t)owner);
}

struct exchange_census exchange_count(const ipm_exchange *x, int side)
{
	uint64_t bit = side == CLIENTS ? OWNER_PRODUCER : OWNER_CONSUMER;
	struct exchange_census census = { 0 };
	uint32_t i;

	for (i = 0; i < x->geometry.participants; i++) {
		uint64_t owner = ring_load_acquire(&x->entries[i].owner);

		if (!(owner & bit) || &x->entries[i] == x->me)
			continue;
		if (exchange_dead(x, owner))
			census.dead++;
		else
			census.alive++;
	}
	return census;
}

/*
 * The dead have somebody in their place now: who waits from here on waits for the
 * new one. Their leavings were cleaned up before.
 */
static void forget_dead(ipm_exchange *x)
{
	uint64_t bits = role_bits(x->roles);
	uint32_t i;

	for (i = 0; i < x->geometry.participants; i++) {
		uint64_t owner = ring_load_acquire(&x->entries[i].owner), left;

		if (&x->entries[i] == x->me || !(owner & bits) || !exchange_dead(x, owner))
			continue;
		/* It may have died since: no turn may name an entry that is free. */
		exchange_recover(x);
		left = owner & ~bits;
		ring_cas(&x->entries[i].owner, &owner,
			 left & (OWNER_PRODUCER | OWNER_CONSUMER) ? left : 0);
	}
}

static ipm_result take_entry(ipm_exchange *x)
{
	uint32_t i, pass;

	/* Free ones first: what a dead one has to tell is told as long as it can. */
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < x->geometry.participants; i++) {
			struct exchange_entry *entry = &x->entries[i];
			uint64_t owner = ring_load_acquire(&entry->owner);

			if ((owner & OWNER_USED) && !(pass && exchange_dead(x, owner)))
				continue;
			/* No turn may name it any more, as it would name this one. */
			if (pass)
				exchange_recover(x);
			/* Pairs with the acquire in exchange_count(). */
			if (!ring_cas(&entry->owner, &owner, x->identity))
				continue;
			ring_store(&entry->ticket[CLIENTS], 0);
			ring_store(&entry->ticket[SERVERS], 0);
			x->me = entry;
			x->index = i;
			exchange_recover_place(x);
			return IPM_RESULT_SUCCESS;
		}
	}
	return IPM_RESULT_ERR_LIMIT;
}

/* --- handles --- */

static ipm_result check_attach(const ipm_context *context,
			       const ipm_exchange_attach_options *options, const void *memory,
			       ipm_exchange **exchange)
{
	if (!options || options->struct_size != sizeof(*options) || options->reserved ||
	    (options->roles & ~ROLES) || options->slot >= IPM_RING_MAX_SLOTS || !memory ||
	    !exchange || (uintptr_t)memory % IPM_RING_ALIGNMENT)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (context && !context->alloc_callback != !context->free_callback)
		return IPM_RESULT_ERR_BAD_VALUE;
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_exchange_attach(const ipm_context *context,
				       const ipm_exchange_attach_options *options, void *memory,
				       size_t size, ipm_exchange **exchange)
{
	static const ipm_context defaults;
	struct exchange_geometry g;
	ipm_channel_config config;
	struct wait_habit habit;
	ipm_result result;
	ipm_exchange *x;

	result = check_attach(context, options, memory, exchange);
	if (result)
		return result;
	config = options->config;
	if (!wait_config_fill(&config, &habit))
		return IPM_RESULT_ERR_BAD_VALUE;
	result = exchange_read_header(memory, size, &g);
	if (result)
		return result;
	if (!context)
		context = &defaults;
	x = ring_alloc(context, sizeof(*x));
	if (!x)
		return IPM_RESULT_ERR_OUT_OF_MEMORY;
	x->header = memory;
	x->entries = (struct exchange_entry *)(void *)(x->header + 1);
	x->windows[REQUESTS] = (unsigned char *)memory + g.window_offset;
	x->windows[REPLIES] = x->windows[REQUESTS] +
			      (g.flags & IPM_EXCHANGE_ONE_WAY ? 0 : g.window);
	x->geometry = g;
	x->config = config;
	x->habit = habit;
	x->roles = options->roles;
	x->identity = owner_make(options->slot, options->generation) | role_bits(x->roles);
	x->liveness = options->liveness;
	x->bell = options->bell;
	x->bell_param = options->bell_param;
	x->context = *context;
	/* No turn's word can be that: it names a holder that nobody has. */
	x->hands[CLIENTS].left = UINT64_MAX;
	x->hands[SERVERS].left = UINT64_MAX;
	x->index = UINT32_MAX - 1;
	if (x->roles) {
		result = exchange_recover(x);
		if (!result)
			result = take_entry(x);
		if (result) {
			ring_free(context, x);
			return result;
		}
		forget_dead(x);
	}
	*exchange = x;
	return IPM_RESULT_SUCCESS;
}

/* Gives everything back that this handle has in hand. */
static void let_go(ipm_exchange *x)
{
	int side;

	for (side = 0; side < 2; side++) {
		if (x->lent[side].what == LENT_RESERVED)
			ring_store(&x->header->turns[side].begun, 0);
		x->lent[side].what = LENT_NOTHING;
	}
	ring_kill_point();
	if (x->asked)
		ipm_exchange_cancel(x);
	if (x->owes)
		exchange_refuse(x);
	for (side = 0; side < 2; side++)
		if (x->hands[side].held)
			exchange_give_turn(x, side);
}

IPM_API void ipm_exchange_detach(ipm_exchange *exchange)
{
	uint64_t owner;

	if (!exchange)
		return;
	if (exchange->roles) {
		let_go(exchange);
		owner = exchange->identity;
		ring_cas(&exchange->me->owner, &owner, 0);
		exchange_fence();
		exchange_wake(exchange, CLIENTS);
		exchange_wake(exchange, SERVERS);
	}
	ring_free(&exchange->context, exchange);
}

/* --- without waiting in a call --- */

/* Whether that is possible now, as far as it can be seen without having the turn. */
static ipm_result possible(ipm_exchange *x, ipm_exchange_event event)
{
	struct exchange_box *box = &x->header->boxes[event == IPM_EXCHANGE_REPLY ? REPLIES :
									       REQUESTS];
	uint64_t head = ring_load_acquire(&box->head), number = head_number(head);
	uint64_t consumed = ring_load_acquire(&box->consumed);
	uint64_t size = ring_load(&box->size);

	if (number != consumed && number != consumed + 1)
		/* Another item came in between, if nobody has spoiled them. */
		return IPM_RESULT_SUCCESS;
	if (event == IPM_EXCHANGE_PUBLISH)
		return number == consumed && exchange_turn_free(x, CLIENTS) ?
			       IPM_RESULT_SUCCESS : IPM_RESULT_ERR_WOULD_BLOCK;
	if (event == IPM_EXCHANGE_REPLY &&
	    ring_load_acquire(&box->given_up) >> MARK_SHIFT >= x->asked)
		return IPM_RESULT_SUCCESS;
	if (number == consumed || (event == IPM_EXCHANGE_CONSUME && !exchange_turn_free(x, SERVERS)))
		return IPM_RESULT_ERR_WOULD_BLOCK;
	/* What does not fit the window needs a call that waits. */
	if ((head & HEAD_KIND) == KIND_STREAM && size <= x->geometry.window &&
	    ring_load_acquire(&box->written) < size &&
	    ring_load_acquire(&box->aborted) >> MARK_SHIFT < number)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	return IPM_RESULT_SUCCESS;
}

static ipm_result may_wait_for(const ipm_exchange *x, ipm_exchange_event event)
{
	if (!x)
		return IPM_RESULT_ERR_BAD_VALUE;
	switch (event) {
	case IPM_EXCHANGE_PUBLISH:
		return x->roles & IPM_EXCHANGE_PUBLISHER ? IPM_RESULT_SUCCESS :
							   IPM_RESULT_ERR_BAD_ACCESS;
	case IPM_EXCHANGE_CONSUME:
		return x->roles & IPM_EXCHANGE_CONSUMER ? IPM_RESULT_SUCCESS :
							  IPM_RESULT_ERR_BAD_ACCESS;
	case IPM_EXCHANGE_REPLY:
		return x->asked ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_NOT_LOCKED;
	}
	return IPM_RESULT_ERR_BAD_VALUE;
}

IPM_API ipm_result ipm_exchange_arm(ipm_exchange *exchange, ipm_exchange_event event, bool *ready)
{
	int side = event == IPM_EXCHANGE_CONSUME ? SERVERS : CLIENTS;
	ipm_result result = may_wait_for(exchange, event);

	if (result)
		return result;
	if (!ready)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!exchange->geometry.bells[side])
		return IPM_RESULT_ERR_NOT_SUPPORTED;
	__atomic_fetch_or(&exchange->header->sides[side].word, WORD_ARMED, __ATOMIC_SEQ_CST);
	/* Between the bit and the look; pairs with the fences before exchange_wake(). */
	exchange_fence();
	result = possible(exchange, event);
	*ready = result != IPM_RESULT_ERR_WOULD_BLOCK;
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_exchange_check(ipm_exchange *exchange, ipm_exchange_event event)
{
	ipm_result result = may_wait_for(exchange, event);
	struct exchange_census other;

	if (result)
		return result;
	other = exchange_count(exchange, event == IPM_EXCHANGE_CONSUME ? CLIENTS : SERVERS);
	result = exchange_recover(exchange);
	if (result)
		return result;
	if (possible(exchange, event) == IPM_RESULT_SUCCESS || other.alive || !other.dead)
		return IPM_RESULT_SUCCESS;
	return IPM_RESULT_ERR_PEER_DIED;
}

/* --- looking --- */

IPM_API ipm_result ipm_exchange_get_stats(ipm_exchange *exchange, ipm_exchange_stats *stats)
{
	struct exchange_census clients, servers;
	uint32_t i;

	if (!exchange || !stats)
		return IPM_RESULT_ERR_BAD_VALUE;
	memset(stats, 0, sizeof(*stats));
	clients = exchange_count(exchange, CLIENTS);
	servers = exchange_count(exchange, SERVERS);
	stats->window = exchange->geometry.window;
	stats->published = head_number(ring_load(&exchange->header->boxes[REQUESTS].head));
	stats->consumed = ring_load(&exchange->header->boxes[REQUESTS].consumed);
	stats->replied = head_number(ring_load(&exchange->header->boxes[REPLIES].head));
	stats->dropped = ring_load(&exchange->header->dropped);
	stats->redelivered = ring_load(&exchange->header->redelivered);
	stats->waits = exchange->counts.waits;
	stats->sleeps = exchange->counts.sleeps;
	stats->naps = exchange->counts.naps;
	stats->wakes = exchange->counts.wakes;
	stats->bells = exchange->counts.bells;
	stats->publishers = clients.alive + !!(exchange->roles & IPM_EXCHANGE_PUBLISHER);
	stats->consumers = servers.alive + !!(exchange->roles & IPM_EXCHANGE_CONSUMER);
	stats->dead = clients.dead + servers.dead;
	for (i = 0; i < exchange->geometry.participants; i++)
		stats->queued += ring_load(&exchange->entries[i].ticket[CLIENTS]) ||
				 ring_load(&exchange->entries[i].ticket[SERVERS]);
	return IPM_RESULT_SUCCESS;
}
