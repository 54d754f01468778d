// SPDX-License-Identifier: GPL-2.0
/*
 * Rivals in C: two plain rings of fixed-size slots in the manner of the best
 * that there are, and those of Debian's packages that are installed.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "ring_bench.h"

#define LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

static uint64_t slots_for(size_t bytes, size_t size)
{
	uint64_t n = 2;

	while (n * 2 * size <= bytes)
		n *= 2;
	return n;
}

/*
 * One producer, one consumer, slots of one size, an index on a line of its own
 * for each side, and in each side a copy of the other's index (the design of
 * rigtorp's SPSCQueue and its kin).
 */
struct slots {
	_Alignas(128) uint64_t tail;
	_Alignas(128) uint64_t head;
	_Alignas(128) unsigned char data[];
};

struct slots_side {
	struct slots *s;
	uint64_t mask, mine, other;
};

static int slots_create(void *memory, size_t bytes, size_t size)
{
	(void)memory;
	(void)bytes;
	(void)size;
	return 0;
}

static void *slots_open(void *memory, size_t bytes, size_t size, unsigned int roles)
{
	struct slots_side *side = calloc(1, sizeof(*side));

	(void)roles;
	side->s = memory;
	side->mask = slots_for(bytes, size) - 1;
	return side;
}

BENCH_INLINE int slots_push(struct slots_side *side, const void *message, size_t size)
{
	struct slots *s = side->s;

	if (side->mine - side->other > side->mask) {
		side->other = LOAD(&s->head);
		if (side->mine - side->other > side->mask)
			return -1;
	}
	memcpy(s->data + (side->mine & side->mask) * size, message, size);
	STORE(&s->tail, ++side->mine);
	return 0;
}

BENCH_INLINE int slots_pop(struct slots_side *side, void *message, size_t size)
{
	struct slots *s = side->s;

	if (side->mine == side->other) {
		side->other = LOAD(&s->tail);
		if (side->mine == side->other)
			return -1;
	}
	memcpy(message, s->data + (side->mine & side->mask) * size, size);
	STORE(&s->head, ++side->mine);
	return 0;
}

BENCH_LOOPS(slots, struct slots_side, slots_push, slots_pop)

/*
 * Any number of each: a turn number in each slot, head and tail moved by
 * compare-and-swap (D. Vyukov's bounded queue; rigtorp's MPMCQueue is of the
 * same family). A participant that dies between taking a turn and giving it on
 * stops everybody.
 */
struct turns {
	_Alignas(128) uint64_t tail;
	_Alignas(128) uint64_t head;
	_Alignas(128) unsigned char data[];
};

struct turns_side {
	struct turns *t;
	uint64_t mask;
};

static size_t turn_stride(size_t size)
{
	return (size + 8 + 63) / 64 * 64;
}

BENCH_INLINE uint64_t *turn_at(struct turns_side *side, uint64_t i, size_t size)
{
	return (uint64_t *)(void *)(side->t->data + (i & side->mask) * turn_stride(size));
}

static void *turns_open(void *memory, size_t bytes, size_t size, unsigned int roles)
{
	struct turns_side *side = calloc(1, sizeof(*side));

	(void)roles;
	side->t = memory;
	side->mask = slots_for(bytes, turn_stride(size)) - 1;
	return side;
}

static int turns_create(void *memory, size_t bytes, size_t size)
{
	struct turns_side side = { memory, slots_for(bytes, turn_stride(size)) - 1 };
	uint64_t i;

	for (i = 0; i <= side.mask; i++)
		*turn_at(&side, i, size) = i;
	return 0;
}

BENCH_INLINE int turns_push(struct turns_side *side, const void *message, size_t size)
{
	uint64_t pos = __atomic_load_n(&side->t->tail, __ATOMIC_RELAXED);

	for (;;) {
		uint64_t *turn = turn_at(side, pos, size);
		int64_t difference = (int64_t)(LOAD(turn) - pos);

		if (difference < 0)
			return -1;
		if (difference > 0) {
			pos = __atomic_load_n(&side->t->tail, __ATOMIC_RELAXED);
			continue;
		}
		if (__atomic_compare_exchange_n(&side->t->tail, &pos, pos + 1, true,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			memcpy(turn + 1, message, size);
			STORE(turn, pos + 1);
			return 0;
		}
	}
}

BENCH_INLINE int turns_pop(struct turns_side *side, void *message, size_t size)
{
	uint64_t pos = __atomic_load_n(&side->t->head, __ATOMIC_RELAXED);

	for (;;) {
		uint64_t *turn = turn_at(side, pos, size);
		int64_t difference = (int64_t)(LOAD(turn) - pos - 1);

		if (difference < 0)
			return -1;
		if (difference > 0) {
			pos = __atomic_load_n(&side->t->head, __ATOMIC_RELAXED);
			continue;
		}
		if (__atomic_compare_exchange_n(&side->t->head, &pos, pos + 1, true,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			memcpy(message, turn + 1, size);
			STORE(turn, pos + side->mask + 1);
			return 0;
		}
	}
}

BENCH_LOOPS(turns, struct turns_side, turns_push, turns_pop)

#if __has_include(<ck_ring.h>)
#include <ck_ring.h>

struct message_8 { unsigned char bytes[8]; };
struct message_64 { unsigned char bytes[64]; };
struct message_256 { unsigned char bytes[256]; };
struct message_4096 { unsigned char bytes[4096]; };

CK_RING_PROTOTYPE(m8, message_8)
CK_RING_PROTOTYPE(m64, message_64)
CK_RING_PROTOTYPE(m256, message_256)
CK_RING_PROTOTYPE(m4096, message_4096)

struct ck {
	ck_ring_t ring;
	_Alignas(128) unsigned char data[];
};

static int ck_create(void *memory, size_t bytes, size_t size)
{
	struct ck *ck = memory;

	ck_ring_init(&ck->ring, (unsigned int)slots_for(bytes, size));
	return 0;
}

static void *ck_open(void *memory, size_t bytes, size_t size, unsigned int roles)
{
	struct ck **handle = malloc(sizeof(*handle));

	(void)bytes;
	(void)size;
	(void)roles;
	*handle = memory;
	return handle;
}

#define CK_CALL(name, n) \
	if (size == n) \
		return ck_ring_##name##_m##n(&(*ck)->ring, \
			(struct message_##n *)(void *)(*ck)->data, \
			(struct message_##n *)(uintptr_t)m) ? 0 : -1;

#define CK_PAIR(name, enqueue, dequeue) \
BENCH_INLINE int name##_push(struct ck **ck, const void *m, size_t size) \
{ \
	CK_CALL(enqueue, 8) CK_CALL(enqueue, 64) CK_CALL(enqueue, 256) CK_CALL(enqueue, 4096) \
	return -1; \
} \
BENCH_INLINE int name##_pop(struct ck **ck, void *m, size_t size) \
{ \
	CK_CALL(dequeue, 8) CK_CALL(dequeue, 64) CK_CALL(dequeue, 256) CK_CALL(dequeue, 4096) \
	return -1; \
} \
BENCH_LOOPS(name, struct ck *, name##_push, name##_pop)

CK_PAIR(ck_one, enqueue_spsc, dequeue_spsc)
CK_PAIR(ck_many, enqueue_mpmc, dequeue_mpmc)
#endif

#ifdef BENCH_DPDK
#include <rte_ring.h>
#include <rte_ring_elem.h>

static int dpdk_create(void *memory, size_t bytes, size_t size, unsigned int flags)
{
	return rte_ring_init(memory, "bench", (unsigned int)slots_for(bytes, size),
			     flags) ? -1 : 0;
}

static int dpdk_one_create(void *memory, size_t bytes, size_t size)
{
	return dpdk_create(memory, bytes, size, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int dpdk_many_create(void *memory, size_t bytes, size_t size)
{
	return dpdk_create(memory, bytes, size, 0);
}

static void *dpdk_open(void *memory, size_t bytes, size_t size, unsigned int roles)
{
	struct rte_ring **handle = malloc(sizeof(*handle));

	(void)bytes;
	(void)size;
	(void)roles;
	*handle = memory;
	return handle;
}

BENCH_INLINE int dpdk_one_push(struct rte_ring **r, const void *m, size_t size)
{
	return rte_ring_sp_enqueue_elem(*r, (void *)(uintptr_t)m, (unsigned int)size);
}

BENCH_INLINE int dpdk_one_pop(struct rte_ring **r, void *m, size_t size)
{
	return rte_ring_sc_dequeue_elem(*r, m, (unsigned int)size);
}

BENCH_INLINE int dpdk_many_push(struct rte_ring **r, const void *m, size_t size)
{
	return rte_ring_mp_enqueue_elem(*r, (void *)(uintptr_t)m, (unsigned int)size);
}

BENCH_INLINE int dpdk_many_pop(struct rte_ring **r, void *m, size_t size)
{
	return rte_ring_mc_dequeue_elem(*r, m, (unsigned int)size);
}

BENCH_LOOPS(dpdk_one, struct rte_ring *, dpdk_one_push, dpdk_one_pop)
BENCH_LOOPS(dpdk_many, struct rte_ring *, dpdk_many_push, dpdk_many_pop)
#endif

#define TRANSPORT(name, kinds, create, open, loops) \
	{ name, kinds, create, open, free, loops##_send, loops##_receive, \
	  loops##_try_send, loops##_try_receive }

static const struct bench_transport rivals[] = {
	TRANSPORT("fixed slots", BENCH_SPSC, slots_create, slots_open, slots),
	TRANSPORT("turns", BENCH_MPMC, turns_create, turns_open, turns),
#if __has_include(<ck_ring.h>)
	TRANSPORT("ck_ring", BENCH_SPSC, ck_create, ck_open, ck_one),
	TRANSPORT("ck_ring", BENCH_MPMC, ck_create, ck_open, ck_many),
#endif
#ifdef BENCH_DPDK
	TRANSPORT("DPDK", BENCH_SPSC, dpdk_one_create, dpdk_open, dpdk_one),
	TRANSPORT("DPDK", BENCH_MPMC, dpdk_many_create, dpdk_open, dpdk_many),
#endif
	{ 0 }
};

const struct bench_transport *const bench_rivals_c = rivals;
