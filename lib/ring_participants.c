// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Slots and liveness without the kernel module: a table in shared memory that
 * names the process of each slot.
 *
 * A slot is taken by one compare-and-swap of its word, which names pid and
 * generation and so much of the process's start time that a later process with
 * the same pid is told apart at once in 1023 of 1024 cases; the full start time
 * follows in a word of its own. A slot is free when its word names no pid, or
 * a process that is dead. Its generation grows with each owner.
 *
 *	bits 63..32	generation
 *	bits 31..22	start time in clock ticks, low 10 bits
 *	bits 21..0	pid
 *
 * Dead is: no such pid; or a pidfd on it says that the whole process (all of
 * its threads) has exited; or the process was started at another time. The
 * pidfd is opened first and the start time is compared afterwards, so both are
 * of the same process.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <errno.h>

#include "ring.h"

#define TABLE_MAGIC 0x737472617069706dull	/* "mpiparts" */
#define TABLE_VERSION 1u

#define PID_BITS 22
#define PID_MASK (((uint64_t)1 << PID_BITS) - 1)
#define START_BITS 10
#define START_MASK (((uint64_t)1 << START_BITS) - 1)

struct table_slot {
	uint64_t owner;
	/* Start time in ticks, low 42 bits, above the generation's low 22: says
	 * which owner it is of. */
	uint64_t start;
};

struct table {
	uint64_t magic;
	uint32_t version;
	uint32_t count;
	__attribute__((aligned(RING_LINE))) struct table_slot slots[];
};

struct ipm_participants {
	struct table *table;
	uint32_t count;
	uint32_t slot;
	uint64_t owner;
	ipm_context context;
};

static uint64_t start_word(uint64_t start, uint32_t generation)
{
	return start << PID_BITS | (generation & PID_MASK);
}

/* Start time of a process in clock ticks since boot; 0 if it is not to be had. */
static uint64_t start_time(pid_t pid)
{
	char path[32], text[1024], *p;
	unsigned long long start = 0;
	ssize_t n;
	int fd, i;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* The name in field 2 may hold anything; field 3 follows the last ')'. */
	p = strrchr(text, ')');
	for (i = 2; p && i < 22; i++)
		p = strchr(p + 1, ' ');
	if (!p || sscanf(p, " %llu", &start) != 1)
		return 0;
	/* 0 means unknown; nothing but the first process starts at tick 0. */
	return start ? start : 1;
}

static bool process_dead(pid_t pid, uint64_t owner, uint64_t full)
{
	struct pollfd poll_fd = { .events = POLLIN };
	uint64_t start;
	bool dead;
	int fd;

	if (!pid)
		return true;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* The others: the pid is now that of a thread; since Linux 6.16 ENOENT. */
	if (fd < 0)
		return errno == ESRCH || errno == EINVAL || errno == ENOENT;
	poll_fd.fd = fd;
	dead = poll(&poll_fd, 1, 0) == 1;
	if (!dead) {
		start = start_time(pid);
		if (start && ((start ^ owner >> PID_BITS) & START_MASK))
			dead = true;
		else if (start && (full & PID_MASK) == (owner >> 32 & PID_MASK) &&
			 full >> PID_BITS != (start & UINT64_MAX >> PID_BITS))
			dead = true;
	}
	close(fd);
	return dead;
}

static bool slot_dead(struct table_slot *slot, uint64_t owner)
{
	return process_dead((pid_t)(owner & PID_MASK), owner,
			    ring_load_acquire(&slot->start));
}

IPM_API size_t ipm_participants_footprint(uint32_t count)
{
	if (!count || count > IPM_RING_MAX_SLOTS)
		return 0;
	return sizeof(struct table) + count * sizeof(struct table_slot);
}

IPM_API ipm_result ipm_participants_create(void *memory, size_t size,
					   uint32_t count)
{
	size_t need = ipm_participants_footprint(count);
	struct table *table = memory;

	if (!memory || (uintptr_t)memory % IPM_RING_ALIGNMENT || !need)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (size < need)
		return IPM_RESULT_ERR_TOO_SMALL;
	ring_store(&table->magic, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memset((unsigned char *)memory + sizeof(table->magic), 0,
	       need - sizeof(table->magic));
	table->version = TABLE_VERSION;
	table->count = count;
	/* Pairs with the acquire in ipm_participants_join(). */
	ring_store_release(&table->magic, TABLE_MAGIC);
	return IPM_RESULT_SUCCESS;
}

IPM_API ipm_result ipm_participants_join(const ipm_context *context, void *memory,
					 size_t size, ipm_participants **handle,
					 uint32_t *slot, uint32_t *generation)
{
	static const ipm_context defaults;
	struct table *table = memory;
	ipm_participants *p;
	uint64_t start;
	uint32_t count, i;

	if (!memory || (uintptr_t)memory % IPM_RING_ALIGNMENT || !handle || !slot ||
	    !generation)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!context)
		context = &defaults;
	if (!context->alloc_callback != !context->free_callback)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (size < sizeof(*table))
		return IPM_RESULT_ERR_TOO_SMALL;
	if (ring_load_acquire(&table->magic) != TABLE_MAGIC)
		return IPM_RESULT_ERR_BAD_INIT;
	if (ring_load(&table->version) != TABLE_VERSION)
		return IPM_RESULT_ERR_VERSION;
	count = ring_load(&table->count);
	if (!ipm_participants_footprint(count))
		return IPM_RESULT_ERR_CORRUPTED;
	if (size < ipm_participants_footprint(count))
		return IPM_RESULT_ERR_TOO_SMALL;
	start = start_time(getpid());
	if (!start)
		return IPM_RESULT_ERR_OS_UNEXPECTED;
	p = ring_alloc(context, sizeof(*p));
	if (!p)
		return IPM_RESULT_ERR_OUT_OF_MEMORY;
	for (i = 0; i < count; i++) {
		struct table_slot *s = &table->slots[i];
		uint64_t old = ring_load_acquire(&s->owner), mine;
		uint32_t next = (uint32_t)(old >> 32) + 1;

		if ((old & PID_MASK) && !slot_dead(s, old))
			continue;
		mine = (uint64_t)next << 32 | (start & START_MASK) << PID_BITS |
		       ((uint64_t)getpid() & PID_MASK);
		/* Pairs with the acquire in ipm_participants_alive(). */
		if (!ring_cas(&s->owner, &old, mine))
			continue;
		ring_store_release(&s->start, start_word(start, next));
		p->table = table;
		p->count = count;
		p->slot = i;
		p->owner = mine;
		p->context = *context;
		*handle = p;
		*slot = i;
		*generation = next;
		return IPM_RESULT_SUCCESS;
	}
	ring_free(context, p);
	return IPM_RESULT_ERR_LIMIT;
}

IPM_API void ipm_participants_leave(ipm_participants *p)
{
	uint64_t owner;

	if (!p)
		return;
	owner = p->owner;
	/* The generation stays, without a pid. A forked child that was handed a
	 * copy of the handle by accident cannot tell, so it may not call this. */
	ring_cas(&p->table->slots[p->slot].owner, &owner,
		 owner & ~(uint64_t)UINT32_MAX);
	ring_free(&p->context, p);
}

IPM_API bool ipm_participants_alive(void *param, uint32_t slot, uint32_t generation)
{
	const ipm_participants *p = param;
	uint64_t owner;

	if (slot >= p->count)
		return false;
	owner = ring_load_acquire(&p->table->slots[slot].owner);
	if (owner >> 32 != generation || !(owner & PID_MASK))
		return false;
	return owner == p->owner || !slot_dead(&p->table->slots[slot], owner);
}
