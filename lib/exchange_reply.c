// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Exchanges: request and reply. A client keeps its turn from the request until it has
 * the reply, a server from the request until it has replied, so between these two
 * nobody else comes.
 *
 * A client that gives up, or dies, says so with a mark; what it leaves is the request
 * in its box, which the next server drops, or a reply that still comes, which the
 * next client drops: it names the request that it answers.
 */
#include "exchange.h"

/* --- the client --- */

/* After the answer, or without one. */
static ipm_result end_asking(ipm_exchange *x, bool answered)
{
	if (!answered)
		exchange_raise(&x->header->boxes[REQUESTS].given_up, x->asked << MARK_SHIFT);
	x->asked = 0;
	return exchange_give_turn(x, CLIENTS);
}

/* To somebody who does not wait any more. */
static void drop_reply(ipm_exchange *x, uint64_t number)
{
	exchange_eat(x, CLIENTS, number);
	ring_count(&x->header->dropped, 1);
	exchange_fence();
	exchange_wake(x, SERVERS);
}

void exchange_begin_asking(ipm_exchange *x, uint64_t number)
{
	struct exchange_arrival a;

	/* Out of the way of the reply that is to come. */
	if (exchange_arrive(x, CLIENTS, &a) == IPM_RESULT_SUCCESS)
		drop_reply(x, a.number);
	ring_store(&x->header->turns[CLIENTS].owed, number);
	ring_kill_point();
}

static ipm_result reply_arrived(ipm_exchange *x, void *param)
{
	struct exchange_arrival *a = param;
	struct exchange_box *box = &x->header->boxes[REPLIES];
	ipm_result result = exchange_arrive(x, CLIENTS, a);
	uint64_t given_up;

	if (result == IPM_RESULT_ERR_WOULD_BLOCK) {
		/* Pairs with the compare-and-swap in exchange_raise(). */
		given_up = ring_load_acquire(&box->given_up);
		if (given_up >> MARK_SHIFT < x->asked)
			return result;
		/* The reply may have come before its server died. */
		result = exchange_arrive(x, CLIENTS, a);
		if (result == IPM_RESULT_ERR_WOULD_BLOCK)
			return given_up & MARK_DIED ? IPM_RESULT_ERR_PEER_DIED :
						      IPM_RESULT_ERR_CLOSED;
	}
	if (result)
		return result;
	if (a->ack == x->asked) {
		/* So it was consumed: no need to fetch the line that says so. */
		x->hands[CLIENTS].seen = x->asked;
		return IPM_RESULT_SUCCESS;
	}
	drop_reply(x, a->number);
	return IPM_RESULT_ERR_WOULD_BLOCK;
}

static ipm_result may_take(const ipm_exchange *x, int64_t deadline)
{
	if (!x || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (x->lent[CLIENTS].what != LENT_NOTHING)
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	return x->asked ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_NOT_LOCKED;
}

/* Whether the reply can still be had in another call. */
static bool goes_on(ipm_result result)
{
	return result == IPM_RESULT_ERR_WOULD_BLOCK || result == IPM_RESULT_ERR_TIMEOUT ||
	       result == IPM_RESULT_INTERRUPTED || result == IPM_RESULT_ERR_TOO_SMALL ||
	       result == IPM_RESULT_ERR_TOO_LARGE;
}

static ipm_result take_reply(ipm_exchange *x, void *buffer, size_t capacity, size_t *size,
			     int64_t deadline)
{
	struct exchange_arrival a;
	ipm_result result;

	do {
		result = exchange_await(x, CLIENTS, NULL, reply_arrived, &a, deadline);
		if (!result && a.size > capacity) {
			*size = exchange_size(a.size);
			return IPM_RESULT_ERR_TOO_SMALL;
		}
		if (!result && deadline == IPM_DEADLINE_NOW) {
			*size = a.size;
			result = exchange_wait_complete(x, CLIENTS, &a, deadline);
		}
		if (!result)
			result = exchange_receive(x, CLIENTS, &a, buffer, deadline);
		/* Its server gave it up, and may try again. */
	} while (result == EXCHANGE_GONE && !(result = exchange_late(deadline)));
	if (!result) {
		*size = a.size;
		exchange_eat(x, CLIENTS, a.number);
		return end_asking(x, true);
	}
	if (!goes_on(result))
		end_asking(x, false);
	return result;
}

IPM_API ipm_result ipm_exchange_take_reply(ipm_exchange *exchange, void *buffer, size_t capacity,
					   size_t *size, int64_t deadline)
{
	ipm_result result = may_take(exchange, deadline);

	if (result)
		return result;
	if ((!buffer && capacity) || !size)
		return IPM_RESULT_ERR_BAD_VALUE;
	return take_reply(exchange, buffer, capacity, size, deadline);
}

IPM_API ipm_result ipm_exchange_peek_reply(ipm_exchange *exchange, int64_t deadline,
					   ipm_exchange_item *item)
{
	struct exchange_arrival a;
	ipm_result result = may_take(exchange, deadline);

	if (result)
		return result;
	if (!item)
		return IPM_RESULT_ERR_BAD_VALUE;
	do {
		result = exchange_await(exchange, CLIENTS, NULL, reply_arrived, &a, deadline);
		if (!result)
			result = exchange_wait_complete(exchange, CLIENTS, &a, deadline);
	} while (result == EXCHANGE_GONE && !(result = exchange_late(deadline)));
	if (result == IPM_RESULT_ERR_TOO_LARGE)
		item->size = exchange_size(a.size);
	if (result) {
		if (!goes_on(result))
			end_asking(exchange, false);
		return result;
	}
	exchange->lent[CLIENTS].what = LENT_PEEKED;
	exchange->lent[CLIENTS].number = a.number;
	exchange->lent[CLIENTS].size = a.size;
	*item = (ipm_exchange_item){
		.data = exchange_where(exchange, REPLIES, a.head), .size = a.size,
		.number = a.number, .priv = CLIENTS,
	};
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_exchange_cancel(ipm_exchange *exchange)
{
	if (!exchange)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!exchange->asked)
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (exchange->lent[CLIENTS].what != LENT_NOTHING) {
		ipm_exchange_item item = { .number = exchange->lent[CLIENTS].number,
					   .priv = CLIENTS };

		return ipm_exchange_finish(exchange, &item);
	}
	return end_asking(exchange, false);
}

IPM_API ipm_result ipm_exchange_request(ipm_exchange *exchange, const void *data, size_t size,
					void *buffer, size_t capacity, size_t *reply_size,
					int64_t deadline)
{
	ipm_result result;

	if ((!buffer && capacity) || !reply_size || deadline == IPM_DEADLINE_NOW)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ipm_exchange_ask(exchange, data, size, deadline);
	if (result)
		return result;
	result = take_reply(exchange, buffer, capacity, reply_size, deadline);
	if (exchange->asked && result != IPM_RESULT_ERR_TOO_SMALL)
		end_asking(exchange, false);
	return result;
}

/* --- the server --- */

ipm_result exchange_reply_gone(const ipm_exchange *x)
{
	/* Pairs with the compare-and-swap in exchange_raise(). */
	uint64_t given_up = ring_load_acquire(&x->header->boxes[REQUESTS].given_up);

	if (given_up >> MARK_SHIFT < x->owes)
		return IPM_RESULT_ERR_WOULD_BLOCK;
	return given_up & MARK_DIED ? IPM_RESULT_ERR_PEER_DIED : IPM_RESULT_ERR_REMOVED;
}

static ipm_result paid(ipm_exchange *x)
{
	x->owes = 0;
	/* After the reply is there, or nobody wants it. */
	ring_kill_point();
	ring_store_release(&x->header->turns[SERVERS].owed, 0);
	return exchange_give_turn(x, SERVERS);
}

void exchange_refuse(ipm_exchange *x)
{
	exchange_raise(&x->header->boxes[REPLIES].given_up, x->owes << MARK_SHIFT);
	paid(x);
}

IPM_API ipm_result ipm_exchange_reply(ipm_exchange *exchange, const void *data, size_t size,
				      int64_t deadline)
{
	ipm_result result;

	if (!exchange || (!data && size) || deadline < 0)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!exchange->owes)
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (exchange->lent[SERVERS].what != LENT_NOTHING)
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	if (size > exchange->geometry.window && deadline == IPM_DEADLINE_NOW)
		return IPM_RESULT_ERR_TOO_LARGE;
	result = exchange_reply_gone(exchange);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		result = exchange_wait_empty(exchange, SERVERS, deadline);
	if (!result)
		result = exchange_send(exchange, SERVERS, 0, data, size, deadline);
	if (!result)
		return paid(exchange);
	if (result != IPM_RESULT_ERR_WOULD_BLOCK && result != IPM_RESULT_ERR_TIMEOUT &&
	    result != IPM_RESULT_INTERRUPTED)
		exchange_refuse(exchange);
	return result;
}

IPM_API ipm_result ipm_exchange_refuse(ipm_exchange *exchange)
{
	if (!exchange)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!exchange->owes)
		return IPM_RESULT_ERR_NOT_LOCKED;
	if (exchange->lent[SERVERS].what != LENT_NOTHING)
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	exchange_refuse(exchange);
	return IPM_RESULT_SUCCESS;
}
