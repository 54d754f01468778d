// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Exchanges: publish and consume, with copies and in place.
 */
#include "exchange.h"

/* --- publishing --- */

static ipm_result may_publish(const ipm_exchange *x, int64_t deadline)
{
	if (!x || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(x->roles & IPM_EXCHANGE_PUBLISHER))
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (x->asked || x->lent[CLIENTS].what != LENT_NOTHING)
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	return IPM_RESULT_SUCCESS;
}

/* Publishes, and keeps the turn. */
static ipm_result publish(ipm_exchange *x, uint32_t head, const void *data, size_t size,
			  int64_t deadline)
{
	ipm_result result = may_publish(x, deadline);

	if (result)
		return result;
	if (!data && size)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (size > x->geometry.window && deadline == IPM_DEADLINE_NOW)
		return IPM_RESULT_ERR_TOO_LARGE;
	result = exchange_take_turn(x, CLIENTS, deadline);
	if (result)
		return result;
	result = exchange_wait_empty(x, CLIENTS, deadline);
	if (!result && head)
		exchange_begin_asking(x, x->hands[CLIENTS].number + 1);
	if (!result)
		result = exchange_send(x, CLIENTS, head, data, size, deadline);
	if (result)
		exchange_give_turn(x, CLIENTS);
	return result;
}

static ipm_result publish_until(ipm_exchange *x, const void *data, size_t size, int64_t deadline)
{
	ipm_result result = publish(x, 0, data, size, deadline);

	return result ? result : exchange_give_turn(x, CLIENTS);
}

IPM_API ipm_result ipm_exchange_publish_until(ipm_exchange *exchange, const void *data, size_t size,
					      int64_t deadline)
{
	return publish_until(exchange, data, size, deadline);
}

IPM_API ipm_result ipm_exchange_publish(ipm_exchange *exchange, const void *data, size_t size)
{
	return publish_until(exchange, data, size, IPM_DEADLINE_NONE);
}

IPM_API ipm_result ipm_exchange_publish_try(ipm_exchange *exchange, const void *data, size_t size)
{
	return publish_until(exchange, data, size, IPM_DEADLINE_NOW);
}

IPM_API ipm_result ipm_exchange_ask(ipm_exchange *exchange, const void *data, size_t size,
				    int64_t deadline)
{
	ipm_result result;

	if (exchange && exchange->geometry.flags & IPM_EXCHANGE_ONE_WAY)
		return IPM_RESULT_ERR_NOT_SUPPORTED;
	result = publish(exchange, HEAD_REQUEST, data, size, deadline);
	if (result)
		return result;
	exchange->asked = exchange->hands[CLIENTS].number;
	exchange_fence();
	exchange_wake(exchange, SERVERS);
	return IPM_RESULT_SUCCESS;
}

/* Room in the empty box of a side that has the turn. */
static void lend_room(ipm_exchange *x, int side, size_t size, ipm_exchange_item *item)
{
	uint32_t kind = size <= SMALL_MAX ? KIND_SMALL : KIND_WHOLE;

	exchange_begin(x, side);
	x->lent[side].what = LENT_RESERVED;
	x->lent[side].number = x->hands[side].number + 1;
	x->lent[side].size = size;
	x->lent[side].head = kind;
	*item = (ipm_exchange_item){
		.data = exchange_where(x, side, kind), .size = size,
		.number = x->lent[side].number, .priv = (uint32_t)side,
	};
}

IPM_API ipm_result ipm_exchange_reserve(ipm_exchange *exchange, size_t size, int64_t deadline,
					ipm_exchange_item *item)
{
	ipm_result result = may_publish(exchange, deadline);

	if (result)
		return result;
	if (!item)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (size > exchange->geometry.window)
		return IPM_RESULT_ERR_TOO_LARGE;
	result = exchange_take_turn(exchange, CLIENTS, deadline);
	if (result)
		return result;
	result = exchange_wait_empty(exchange, CLIENTS, deadline);
	if (result) {
		exchange_give_turn(exchange, CLIENTS);
		return result;
	}
	lend_room(exchange, CLIENTS, size, item);
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_exchange_reserve_reply(ipm_exchange *exchange, size_t size,
					      int64_t deadline, ipm_exchange_item *item)
{
	ipm_result result;

	if (!exchange || !item || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!exchange->owes)
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (exchange->lent[SERVERS].what != LENT_NOTHING)
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	if (size > exchange->geometry.window)
		return IPM_RESULT_ERR_TOO_LARGE;
	result = exchange_reply_gone(exchange);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = exchange_wait_empty(exchange, SERVERS, deadline);
	if (!result)
		lend_room(exchange, SERVERS, size, item);
	else if (exchange_reply_gone(exchange) != IPM_RESULT_ERR_WOULD_BLOCK)
		exchange_refuse(exchange);
	return result;
}

/* Whether that is what was reserved, or peeked. */
static bool is_lent(const ipm_exchange *x, const ipm_exchange_item *item, enum exchange_lent what)
{
	return item->priv < 2 && x->lent[item->priv].what == what &&
	       x->lent[item->priv].number == item->number;
}

static ipm_result commit(ipm_exchange *x, const ipm_exchange_item *item, uint32_t request)
{
	int side;

	if (!x || !item)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!is_lent(x, item, LENT_RESERVED))
		return IPM_RESULT_ERR_NOT_LOCKED;
	side = (int)item->priv;
	if (item->size > x->lent[side].size)
		return IPM_RESULT_ERR_BAD_SIZE;
	x->lent[side].what = LENT_NOTHING;
	if (request)
		exchange_begin_asking(x, item->number);
	exchange_set_head(x, side, x->lent[side].head | request, item->size);
	if (request) {
		x->asked = item->number;
		exchange_fence();
		exchange_wake(x, SERVERS);
		return IPM_RESULT_SUCCESS;
	}
	if (side == SERVERS) {
		x->owes = 0;
		ring_kill_point();
		ring_store(&x->header->turns[SERVERS].owed, 0);
	}
	return exchange_give_turn(x, side);
}

IPM_API ipm_result ipm_exchange_commit(ipm_exchange *exchange, const ipm_exchange_item *item)
{
	return commit(exchange, item, 0);
}

IPM_API ipm_result ipm_exchange_commit_ask(ipm_exchange *exchange, const ipm_exchange_item *item)
{
	if (exchange && item && item->priv != CLIENTS)
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (exchange && exchange->geometry.flags & IPM_EXCHANGE_ONE_WAY)
		return IPM_RESULT_ERR_NOT_SUPPORTED;
	return commit(exchange, item, HEAD_REQUEST);
}

IPM_API ipm_result ipm_exchange_discard(ipm_exchange *exchange, const ipm_exchange_item *item)
{
	int side;

	if (!exchange || !item)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!is_lent(exchange, item, LENT_RESERVED))
		return IPM_RESULT_ERR_NOT_LOCKED;
	side = (int)item->priv;
	exchange->lent[side].what = LENT_NOTHING;
	ring_store(&exchange->header->turns[side].begun, 0);
	ring_kill_point();
	/* The reply is still owed: another one can be made. */
	return side == SERVERS ? IPM_RESULT_SUCCESS : exchange_give_turn(exchange, side);
}

/* --- consuming --- */

static ipm_result arrived(ipm_exchange *x, void *param)
{
	return exchange_arrive(x, SERVERS, param);
}

static ipm_result may_consume(const ipm_exchange *x, int64_t deadline)
{
	if (!x || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!(x->roles & IPM_EXCHANGE_CONSUMER))
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (x->owes || x->lent[SERVERS].what != LENT_NOTHING)
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	return IPM_RESULT_SUCCESS;
}

/* A request is out of its box, or any other item: keeps the turn for its reply. */
static ipm_result consumed(ipm_exchange *x, uint64_t number, uint64_t size, uint32_t item)
{
	if (item & IPM_EXCHANGE_REDELIVERED)
		ring_count(&x->header->redelivered, 1);
	if (!(item & IPM_EXCHANGE_REQUEST)) {
		exchange_eat(x, SERVERS, number);
		return exchange_give_turn(x, SERVERS);
	}
	/* Before it is consumed: from then on the client waits for nothing else. */
	ring_store(&x->header->turns[SERVERS].owed, number);
	ring_kill_point();
	exchange_eat(x, SERVERS, number);
	x->owes = number;
	if (size > x->geometry.window) {
		exchange_fence();
		exchange_wake(x, CLIENTS);
	}
	return IPM_RESULT_SUCCESS;
}

static ipm_result consume_with_turn(ipm_exchange *x, struct exchange_arrival *a, void *buffer,
				    size_t capacity, int64_t deadline)
{
	ipm_result result;

	do {
		result = exchange_await(x, SERVERS, NULL, arrived, a, deadline);
		if (result)
			return result;
		if (a->size > capacity)
			return IPM_RESULT_ERR_TOO_SMALL;
		if (deadline == IPM_DEADLINE_NOW)
			result = exchange_wait_complete(x, SERVERS, a, deadline);
		if (!result)
			result = exchange_receive(x, SERVERS, a, buffer, deadline);
	} while (result == EXCHANGE_GONE && !(result = exchange_late(deadline)));
	return result;
}

static ipm_result consume_until(ipm_exchange *x, void *buffer, size_t capacity, size_t *size,
				uint32_t *flags, int64_t deadline)
{
	struct exchange_arrival a;
	ipm_result result = may_consume(x, deadline);

	if (result)
		return result;
	if ((!buffer && capacity) || !size)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = exchange_take_turn(x, SERVERS, deadline);
	if (result)
		return result;
	result = consume_with_turn(x, &a, buffer, capacity, deadline);
	if (!result || result == IPM_RESULT_ERR_TOO_SMALL || result == IPM_RESULT_ERR_TOO_LARGE)
		*size = exchange_size(a.size);
	if (result) {
		exchange_give_turn(x, SERVERS);
		return result;
	}
	if (flags)
		*flags = a.item;
	return consumed(x, a.number, a.size, a.item);
}

IPM_API ipm_result ipm_exchange_consume_until(ipm_exchange *exchange, void *buffer,
					      size_t capacity, size_t *size, uint32_t *flags,
					      int64_t deadline)
{
	return consume_until(exchange, buffer, capacity, size, flags, deadline);
}

IPM_API ipm_result ipm_exchange_consume(ipm_exchange *exchange, void *buffer, size_t capacity,
					size_t *size, uint32_t *flags)
{
	return consume_until(exchange, buffer, capacity, size, flags, IPM_DEADLINE_NONE);
}

IPM_API ipm_result ipm_exchange_consume_try(ipm_exchange *exchange, void *buffer, size_t capacity,
					    size_t *size, uint32_t *flags)
{
	return consume_until(exchange, buffer, capacity, size, flags, IPM_DEADLINE_NOW);
}

IPM_API ipm_result ipm_exchange_peek(ipm_exchange *exchange, int64_t deadline,
				     ipm_exchange_item *item)
{
	struct exchange_arrival a;
	ipm_result result = may_consume(exchange, deadline);

	if (result)
		return result;
	if (!item)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = exchange_take_turn(exchange, SERVERS, deadline);
	if (result)
		return result;
	do {
		result = exchange_await(exchange, SERVERS, NULL, arrived, &a, deadline);
		if (!result)
			result = exchange_wait_complete(exchange, SERVERS, &a, deadline);
	} while (result == EXCHANGE_GONE && !(result = exchange_late(deadline)));
	if (result == IPM_RESULT_ERR_TOO_LARGE)
		item->size = exchange_size(a.size);
	if (result) {
		exchange_give_turn(exchange, SERVERS);
		return result;
	}
	ring_store(&exchange->header->turns[SERVERS].taken, a.number);
	ring_kill_point();
	exchange->lent[SERVERS].what = LENT_PEEKED;
	exchange->lent[SERVERS].number = a.number;
	exchange->lent[SERVERS].size = a.size;
	exchange->lent[SERVERS].item = a.item;
	*item = (ipm_exchange_item){
		.data = exchange_where(exchange, REQUESTS, a.head), .size = a.size,
		.number = a.number, .flags = a.item, .priv = SERVERS,
	};
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_exchange_finish(ipm_exchange *exchange, const ipm_exchange_item *item)
{
	uint32_t side;

	if (!exchange || !item)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!is_lent(exchange, item, LENT_PEEKED))
		return IPM_RESULT_ERR_NOT_LOCKED;
	side = item->priv;
	exchange->lent[side].what = LENT_NOTHING;
	if (side == SERVERS)
		return consumed(exchange, item->number, exchange->lent[side].size,
				exchange->lent[side].item);
	exchange_eat(exchange, CLIENTS, item->number);
	exchange->asked = 0;
	return exchange_give_turn(exchange, CLIENTS);
}
