// SPDX-License-Identifier: GPL-2.0
/*
 * Channels and exchanges for message_bench, with the settings that a program gets which
 * asks for none.
 */
#include <stdio.h>
#include <stdint.h>

#include <ipm/ipm_channel.h>
#include <ipm/ipm_exchange.h>

#include "message.h"

static unsigned char *memory;
static size_t area;		/* of one way */
static ipm_channel *channel[2];	/* out, in */
static ipm_exchange *exchange;
static int me;

/* Who is alive, as a program without the module finds it out; at the start of the memory. */
#define TABLE 65536
#define PARTICIPANTS_MAX 16
static ipm_participants *self;
static uint32_t slot, generation;

static void must(ipm_result result)
{
	if (result == IPM_RESULT_SUCCESS)
		return;
	fprintf(stderr, "message_bench: %s\n", ipm_result_to_msg(result));
	message_failed("ipm");
}

/* The memory of all ways, @bytes, behind a table of participants. */
static ipm_result make_memory(size_t bytes)
{
	unsigned char *all = message_memory(TABLE + bytes);

	memory = all + TABLE;
	return ipm_participants_create(all, TABLE, PARTICIPANTS_MAX);
}

static void join(void)
{
	must(ipm_participants_join(NULL, memory - TABLE, TABLE, &self, &slot, &generation));
}

/* --- channels --- */

static const char *make_channels(const struct message_setup *s, ipm_ring_kind kind)
{
	ipm_channel_options o = {
		.struct_size = sizeof(o),
		.ring = { .struct_size = sizeof(o.ring), .kind = kind },
	};
	size_t capacity = message_capacity(s->size);
	ipm_ring_limits limits;
	ipm_result result;
	int way;

	/* All lanes together take what the others have. */
	if (kind == IPM_RING_KIND_LANES) {
		o.ring.lanes = (uint32_t)s->writers;
		capacity /= o.ring.lanes;
	}
	result = ipm_channel_footprint(&o, capacity, &area);
	if (result)
		return ipm_result_to_msg(result);
	area = (area + 4095) / 4096 * 4096;
	result = ipm_ring_capacity(&o.ring, area, &limits);
	if (result)
		return ipm_result_to_msg(result);
	if (limits.max_record < s->size)
		return "larger than records of such a ring may be";
	result = make_memory(area * (size_t)s->ways);
	if (result)
		return ipm_result_to_msg(result);
	for (way = 0; way < s->ways; way++) {
		result = ipm_channel_create(&o, memory + (size_t)way * area, area);
		if (result)
			return ipm_result_to_msg(result);
	}
	return NULL;
}

static const char *make_spsc(const struct message_setup *s)
{
	if (s->writers > 1 || s->readers > 1)
		return "for one writer and one reader";
	return make_channels(s, IPM_RING_KIND_SPSC);
}

static const char *make_mpmc(const struct message_setup *s)
{
	return make_channels(s, IPM_RING_KIND_MPMC);
}

static const char *make_lanes(const struct message_setup *s)
{
	return make_channels(s, IPM_RING_KIND_LANES);
}

static void attach_channel(int way, uint32_t roles, ipm_channel **made)
{
	ipm_channel_attach_options o = {
		.struct_size = sizeof(o), .roles = roles, .slot = slot, .generation = generation,
		.liveness = { ipm_participants_alive, self },
	};

	if (way >= 0)
		must(ipm_channel_attach(NULL, &o, memory + (size_t)way * area, area, made));
}

static void open_channels(const struct message_setup *s, int number, int out, int in)
{
	(void)s;
	(void)number;
	join();
	attach_channel(out, IPM_RING_PRODUCER, &channel[0]);
	attach_channel(in, IPM_RING_CONSUMER, &channel[1]);
}

static void channel_send(const void *message, size_t size)
{
	must(ipm_channel_write(channel[0], message, size));
}

static void channel_receive(void *message, size_t size)
{
	size_t got;

	must(ipm_channel_read(channel[1], message, size, &got, NULL));
	if (got != size)
		message_failed("another size");
}

static void close_channels(void)
{
	int i;

	for (i = 0; i < 2; i++)
		if (channel[i])
			ipm_channel_detach(channel[i]);
	ipm_participants_leave(self);
}

/* --- exchanges: the client asks, the server replies --- */

static const char *make_exchange(const struct message_setup *s)
{
	ipm_exchange_options o = { .struct_size = sizeof(o) };
	ipm_result result = ipm_exchange_footprint(&o, &area);

	(void)s;
	if (!result) {
		result = make_memory(area);
		if (!result)
			result = ipm_exchange_create(&o, memory, area);
	}
	return result ? ipm_result_to_msg(result) : NULL;
}

static void open_exchange(const struct message_setup *s, int number, int out, int in)
{
	ipm_exchange_attach_options o = {
		.struct_size = sizeof(o),
		.roles = number ? IPM_EXCHANGE_CONSUMER : IPM_EXCHANGE_PUBLISHER,
	};

	(void)s;
	(void)out;
	(void)in;
	me = number;
	join();
	o.slot = slot;
	o.generation = generation;
	o.liveness = (ipm_ring_liveness){ ipm_participants_alive, self };
	must(ipm_exchange_attach(NULL, &o, memory, area, &exchange));
}

static void exchange_send(const void *message, size_t size)
{
	if (me)
		must(ipm_exchange_reply(exchange, message, size, IPM_DEADLINE_NONE));
	else
		must(ipm_exchange_ask(exchange, message, size, IPM_DEADLINE_NONE));
}

static void exchange_receive(void *message, size_t size)
{
	size_t got;

	if (me)
		must(ipm_exchange_consume(exchange, message, size, &got, NULL));
	else
		must(ipm_exchange_take_reply(exchange, message, size, &got, IPM_DEADLINE_NONE));
	if (got != size)
		message_failed("another size");
}

static void close_exchange(void)
{
	ipm_exchange_detach(exchange);
	ipm_participants_leave(self);
}

const struct message_transport message_ipm[] = {
	{ "ipm channel SPSC", REPORT_IPM, 0, make_spsc, open_channels, channel_send,
	  channel_receive, close_channels, NULL, NULL },
	{ "ipm channel MPMC", REPORT_IPM, 0, make_mpmc, open_channels, channel_send,
	  channel_receive, close_channels, NULL, NULL },
	{ "ipm channel lanes", REPORT_VARIANT, MESSAGE_STREAM_ONLY, make_lanes, open_channels,
	  channel_send, channel_receive, close_channels, NULL, NULL },
	{ "ipm exchange", REPORT_IPM, MESSAGE_NO_STREAM, make_exchange, open_exchange,
	  exchange_send, exchange_receive, close_exchange, NULL, NULL },
	{ 0 }
};
