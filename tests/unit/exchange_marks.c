// SPDX-License-Identifier: GPL-2.0
/*
 * Who has an item that is larger than the window, when its writer gives up, its reader
 * dies, and somebody cleans up at the same moment. The moments are made here: the other
 * one's stores by hand, and its death in the answer of the callback that is asked whether
 * it lives. tests/models/exchange.pml tries all the others.
 */
#include <pthread.h>

#include "../../lib/exchange.h"
#include "exchange_tests.h"

#define WINDOW (4 * KIB)
#define LARGE (3 * WINDOW)
#define OTHER 40u		/* slot of the one whose part is played */
#define MARK(why) ((uint64_t)1 << MARK_SHIFT | (why))

static unsigned char bytes[LARGE], got[LARGE];

/* What the other one did before it died, or that it has not. */
static enum { LIVES, DEAD, TAKES_AND_DIES } other;

static struct exchange_header *header;

static bool alive(void *param, uint32_t slot, uint32_t generation)
{
	(void)param;
	(void)generation;
	if (slot != OTHER || other == LIVES)
		return true;
	if (other == TAKES_AND_DIES)
		ring_store_release(&header->boxes[REQUESTS].consumed, 1);
	return false;
}

static ipm_exchange *enter_marked(struct place *p, uint32_t roles)
{
	ipm_exchange_attach_options o = exchange_options(p, roles);

	o.liveness.alive = alive;
	header = p->memory;
	return enter_with(p, &o);
}

/* The other one has read item 1 to its end, and says so. */
static void mark_as_read(void)
{
	struct exchange_box *box = &header->boxes[REQUESTS];

	ring_store(&box->keeper, owner_make(OTHER, 1) | OWNER_CONSUMER);
	ring_store_release(&box->aborted, MARK(MARK_READ));
}

/* A writer's deadline passes when a reader has everything, but is not done with it. */
static void a_writer_leaves_what_was_read(void)
{
	static const struct {
		const char *name;
		int other;
		ipm_result result;
		uint64_t mark;
	} cases[] = {
		{ "the reader lives", LIVES, IPM_RESULT_SUCCESS, MARK(MARK_DONE) },
		{ "it died with it", DEAD, IPM_RESULT_ERR_TIMEOUT, MARK(0) },
		{ "it took it, and died", TAKES_AND_DIES, IPM_RESULT_SUCCESS, MARK(MARK_DONE) },
	};
	struct place p;
	ipm_exchange *x;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		printf("# %s\n", cases[i].name);
		make_place(&p, WINDOW, 0);
		x = enter_marked(&p, PUBLISHER);
		mark_as_read();
		other = cases[i].other;
		CHECK_RESULT(ipm_exchange_publish_until(x, bytes, LARGE, now() + 10 * MS),
			     cases[i].result);
		CHECK_INT(ring_load(&header->boxes[REQUESTS].aborted), cases[i].mark);
		CHECK(!(ring_load(&header->turns[CLIENTS].word) & TURN_HOLDER));
		ipm_exchange_detach(x);
		unmake_place(&p);
	}
	other = LIVES;
}

/* Item 1 is there, and the one who made it is gone with what @mark says. */
static void leave_item(uint32_t request, uint64_t mark)
{
	struct exchange_box *box = &header->boxes[REQUESTS];

	ring_store(&box->size, LARGE);
	ring_store(&box->written, LARGE);
	ring_store(&box->read_of, 1);
	ring_store(&box->read, LARGE);
	ring_store(&box->aborted, mark);
	ring_store_release(&box->head, (uint64_t)1 << HEAD_SHIFT | request | KIND_STREAM);
}

/* Its writer has left it to a reader who died: nobody can answer, and this is told. */
static void a_request_that_went_with_its_server(void)
{
	struct place p;
	ipm_exchange *x;
	size_t size;

	make_place(&p, WINDOW, 0);
	x = enter_marked(&p, CONSUMER);
	leave_item(HEAD_REQUEST, MARK(MARK_DONE));
	CHECK_RESULT(ipm_exchange_consume_until(x, got, LARGE, &size, NULL, now() + 10 * MS),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_INT(ring_load(&header->boxes[REQUESTS].consumed), 1);
	CHECK_INT(ring_load(&header->boxes[REPLIES].given_up), MARK(MARK_DIED));
	CHECK_INT(stats_of(x).dropped, 1);
	ipm_exchange_detach(x);

	/* What awaits no reply is only dropped. */
	unmake_place(&p);
	make_place(&p, WINDOW, 0);
	x = enter_marked(&p, CONSUMER);
	leave_item(0, MARK(MARK_DONE));
	CHECK_RESULT(ipm_exchange_consume_until(x, got, LARGE, &size, NULL, now() + 10 * MS),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_INT(ring_load(&header->boxes[REPLIES].given_up), 0);
	CHECK_INT(stats_of(x).dropped, 1);
	ipm_exchange_detach(x);
	unmake_place(&p);
}

/*
 * A reader died after it had everything, and its writer died, too: the reader who comes
 * next takes the mark back, and whoever cleans up after the writer, before that or after,
 * leaves the item to be dropped.
 */
static void a_mark_is_taken_back(void)
{
	const uint64_t marks[] = { MARK(MARK_READ), MARK(MARK_DIED) };
	ipm_exchange *x;
	struct place p;
	size_t i, size;

	for (i = 0; i < 2; i++) {
		make_place(&p, WINDOW, 0);
		x = enter_marked(&p, CONSUMER);
		leave_item(0, marks[i]);
		ring_store(&header->turns[CLIENTS].begun, 1);
		/* The writer has the turn still: participant 15, who is nobody now. */
		ring_store_release(&header->turns[CLIENTS].word, TURN_STEP | 16);
		CHECK_RESULT(ipm_exchange_consume_until(x, got, LARGE, &size, NULL,
							now() + (i ? 10 : 30000) * MS),
			     i ? IPM_RESULT_ERR_TIMEOUT : IPM_RESULT_ERR_PEER_DIED);
		CHECK_INT(ring_load(&header->boxes[REQUESTS].aborted), MARK(MARK_DIED));
		CHECK_INT(ring_load(&header->boxes[REQUESTS].consumed), 1);
		CHECK_INT(ring_load(&header->turns[SERVERS].word) & TURN_HOLDER, 0);
		CHECK_INT(ring_load(&header->turns[CLIENTS].word) & TURN_HOLDER, 0);
		/* Marked here, or by the one before. */
		CHECK_INT(stats_of(x).dropped, 1 - i);
		ipm_exchange_detach(x);
		unmake_place(&p);
	}
}

static void *publish_large(void *x)
{
	CHECK_OK(ipm_exchange_publish_until(x, bytes, LARGE, now() + 30000 * MS));
	return NULL;
}

/* One who cleans up comes late, and marks a former item: the next one is kept all the same. */
static void a_late_mark_is_another_items(void)
{
	ipm_exchange *x, *y;
	pthread_t thread;
	struct place p;
	size_t size;

	make_place(&p, WINDOW, 0);
	x = enter_marked(&p, PUBLISHER);
	y = enter_marked(&p, CONSUMER);
	CHECK_OK(ipm_exchange_publish(x, "1", 1));
	CHECK_OK(ipm_exchange_consume(y, got, LARGE, &size, NULL));
	ring_store(&header->boxes[REQUESTS].aborted, MARK(MARK_DIED));
	if (pthread_create(&thread, NULL, publish_large, x))
		DIE("thread");
	CHECK_OK(ipm_exchange_consume_until(y, got, LARGE, &size, NULL, now() + 30000 * MS));
	pthread_join(thread, NULL);
	CHECK_INT(size, LARGE);
	CHECK(filled(got, LARGE, 7));
	CHECK_INT(ring_load(&header->boxes[REQUESTS].aborted),
		  (uint64_t)2 << MARK_SHIFT | MARK_READ);
	CHECK_INT(stats_of(x).dropped, 0);
	ipm_exchange_detach(y);
	ipm_exchange_detach(x);
	unmake_place(&p);
}

static bool takes_a_turn;

/* While the turn of the servers is looked at, which is the other's: that of the clients. */
static bool late_turn(void *param, uint32_t slot, uint32_t generation)
{
	(void)param;
	(void)generation;
	if (slot == OTHER && takes_a_turn) {
		takes_a_turn = false;
		ring_store(&header->turns[CLIENTS].word, TURN_STEP | 1);
	}
	return slot != OTHER;
}

/* Whoever takes the place of a dead one does not inherit its turn, however late it was seen. */
static void a_place_without_its_turn(void)
{
	ipm_exchange_attach_options o;
	ipm_exchange *x, *y;
	struct place p;
	size_t size;

	make_place(&p, WINDOW, 0);
	o = exchange_options(&p, PUBLISHER);
	o.liveness.alive = late_turn;
	header = p.memory;
	ring_store(&((struct exchange_entry *)(void *)(header + 1))[5].owner,
		   owner_make(OTHER, 1) | OWNER_CONSUMER);
	ring_store(&header->turns[SERVERS].word, TURN_STEP | 6);
	takes_a_turn = true;
	x = enter_with(&p, &o);
	CHECK(!takes_a_turn);
	CHECK_INT(x->index, 0);
	CHECK_INT(ring_load(&header->turns[CLIENTS].word) & TURN_HOLDER, 0);
	CHECK_OK(ipm_exchange_publish_try(x, "1", 1));
	y = enter_marked(&p, CONSUMER);
	CHECK_OK(ipm_exchange_consume_try(y, got, LARGE, &size, NULL));
	ipm_exchange_detach(y);
	ipm_exchange_detach(x);
	unmake_place(&p);
}

/* It comes from a 64-bit program: 32 bits cannot say how large it is, but that it is. */
static void a_size_of_64_bits(void)
{
	ipm_exchange_item item = { 0 };
	struct place p;
	ipm_exchange *x;
	size_t size;

	make_place(&p, WINDOW, 0);
	x = enter_marked(&p, CONSUMER);
	leave_item(0, 0);
	ring_store(&header->boxes[REQUESTS].size, ((uint64_t)1 << 32) + 16);
	size = 0;
	CHECK_RESULT(ipm_exchange_consume_until(x, got, LARGE, &size, NULL, now() + 10 * MS),
		     IPM_RESULT_ERR_TOO_SMALL);
	CHECK(size > UINT32_MAX - 1u);
	size = 0;
	CHECK_RESULT(ipm_exchange_consume_try(x, got, LARGE, &size, NULL),
		     IPM_RESULT_ERR_TOO_SMALL);
	CHECK(size > UINT32_MAX - 1u);
	CHECK_RESULT(ipm_exchange_peek(x, IPM_DEADLINE_NOW, &item), IPM_RESULT_ERR_TOO_LARGE);
	CHECK(item.size > UINT32_MAX - 1u);
	ipm_exchange_detach(x);
	unmake_place(&p);
}

int main(void)
{
	fill(bytes, LARGE, 7);
	RUN(a_writer_leaves_what_was_read);
	RUN(a_request_that_went_with_its_server);
	RUN(a_mark_is_taken_back);
	RUN(a_late_mark_is_another_items);
	RUN(a_place_without_its_turn);
	RUN(a_size_of_64_bits);
	return tap_end();
}
