/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a process of a storm does: anything at all, with segments that it shares
 * with the others, until it is killed.
 */
#ifndef STORM_H
#define STORM_H

#include "ipm_test.h"

#include <sys/un.h>

#define SEGMENTS	6
#define CAPACITY	(64 * PAGE)

/* Memory that the kernel may hold back in its own lists: bytes. */
#define SLACK		(512 << 10)

static uint64_t random_state;

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static uint32_t random_below(uint32_t limit)
{
	return (random_next() >> 32) * limit >> 32;
}

static struct ipm_ref random_ref(void)
{
	char name[32];
	uint32_t i = random_below(SEGMENTS);

	if (i & 1)
		return ref_key(1000 + i);
	snprintf(name, sizeof(name), "storm-%u", i);
	return ref_name(name);
}

/* --- one of the thousand --- */

struct victim {
	int dev;
	int fds[4];
	char *maps[4];
	uint64_t sizes[4];	/* of the segments mapped, at that time */
	bool writable[4];
	int pair[2];
	uint64_t ids[8];
};

static uint32_t random_flags(void)
{
	static const uint32_t flags[] = {
		0, IPM_CLAIM_TRY, IPM_CLAIM_DEADLINE, IPM_CLAIM_ASYNC, IPM_CLAIM_UNTIL_REMOVED,
		IPM_CLAIM_ASYNC | IPM_CLAIM_DEADLINE, IPM_CLAIM_NO_DEADLOCK | IPM_CLAIM_DEADLINE,
	};

	return flags[random_below(ARRAY_LENGTH(flags))];
}

static void claim_something(struct victim *v, int fd)
{
	struct ipm_claim arg = claim_arg(random_below(2000), 1 + random_below(500),
					 random_below(3) == 0, random_flags());
	struct ipm_range ranges[4];
	uint32_t slot = random_below(ARRAY_LENGTH(v->ids));

	if (arg.flags & IPM_CLAIM_DEADLINE)
		arg.deadline = in_ms(random_below(10));
	if (random_below(4) == 0) {
		arg.nr_ranges = 1 + random_below(4);
		for (uint32_t i = 0; i < arg.nr_ranges; i++)
			ranges[i] = (struct ipm_range) {
				.offset = i * 1000 + random_below(500),
				.length = 1 + random_below(500), .mode = random_below(2),
			};
		arg.ranges = (uintptr_t)ranges;
		arg.offset = arg.length = arg.mode = 0;
	}
	if (random_below(4) == 0) {
		arg.release = (uintptr_t)&v->ids[random_below(ARRAY_LENGTH(v->ids))];
		arg.nr_release = 1;
	}
	if (!call_claim_arg(fd, &arg))
		v->ids[slot] = arg.id;
}

static void map_something(struct victim *v, int i)
{
	struct ipm_info info;
	char *map;

	if (v->maps[i]) {
		munmap(v->maps[i], CAPACITY);
		v->maps[i] = NULL;
		return;
	}
	map = mmap(NULL, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED, v->fds[i], 0);
	v->writable[i] = map != MAP_FAILED;
	if (!v->writable[i])
		map = mmap(NULL, CAPACITY, PROT_READ, MAP_SHARED, v->fds[i], 0);
	if (map == MAP_FAILED || call_info(v->fds[i], &info))
		return;
	v->maps[i] = map;
	v->sizes[i] = info.size;
}

/* All bytes that it was told of are there, whatever happened to the handle since. */
static void touch_something(struct victim *v, int i)
{
	for (uint64_t at = 0; v->maps[i] && at < v->sizes[i]; at += PAGE) {
		if (v->writable[i])
			__atomic_store_n(v->maps[i] + at, 1, __ATOMIC_RELAXED);
		else
			__atomic_load_n(v->maps[i] + at, __ATOMIC_RELAXED);
	}
}

static void hear_something(struct victim *v, int fd)
{
	struct ipm_event events[4];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint32_t slot, generation;

	switch (random_below(6)) {
	case 0:
		call_subscribe(fd, random_next(), IPM_HEAR_DEATH | IPM_HEAR_CHANGED);
		break;
	case 1:
		call_ring(fd, random_next() | 1, 0, 0);
		break;
	case 2:
		call_slot(fd, 0, &slot, &generation);
		break;
	case 3:
		call_reap(fd, random_below(64), 1 + random_below(8));
		break;
	case 4:
		call_collect(fd, v->ids[random_below(ARRAY_LENGTH(v->ids))], NULL);
		break;
	default:
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (poll(&p, 1, random_below(3)) == 1 && read(fd, events, sizeof(events)) > 0)
			v->ids[0] = events[0].id;
	}
}

static void do_something(struct victim *v)
{
	int i = random_below(ARRAY_LENGTH(v->fds)), fd = v->fds[i], got;
	uint64_t id = v->ids[random_below(ARRAY_LENGTH(v->ids))];

	if (fd < 0) {
		v->fds[i] = call_create(v->dev, random_ref(), 1 + random_below(4 * PAGE), CAPACITY,
					random_below(8) ? 0 : IPM_CREATE_PREALLOCATE,
					IPM_READ_WRITE, 0600, NULL);
		return;
	}
	switch (random_below(20)) {
	case 0:
		close(fd);
		v->fds[i] = -1;
		break;
	case 1:
		close(fd);
		v->fds[i] = call_open(v->dev, random_ref(), random_below(2));
		break;
	case 2:
		got = call_reopen(fd, random_below(2));
		close(v->fds[(i + 1) % 4]);
		v->fds[(i + 1) % 4] = got;
		break;
	case 3:
		call_grow(fd, random_below(CAPACITY), random_below(4) == 0);
		break;
	case 4:
		/* Rarely, or nothing would ever be shared. */
		if (random_below(10) == 0)
			call_remove(fd, ref_none());
		break;
	case 5:
		call_release(fd, id);
		break;
	case 6:
		call_convert(fd, id, random_below(2), random_below(2) ? IPM_CLAIM_TRY : 0, 0,
			     NULL);
		break;
	case 7:
		call_release_all(fd);
		break;
	case 8:
		if (random_below(10) == 0)
			call_clear_claims(fd);
		break;
	case 9:
		call_recovered(fd, random_below(2000), 1 + random_below(100));
		break;
	case 10:
	case 11:
		map_something(v, i);
		break;
	case 12:
		touch_something(v, i);
		break;
	case 13:
		/* Left lying in the socket, or taken out again. */
		send_fd(v->pair[0], fd);
		break;
	case 14:
		got = receive_fd(v->pair[1]);
		if (got >= 0) {
			close(fd);
			v->fds[i] = got;
		}
		break;
	case 15:
	case 16:
		hear_something(v, fd);
		break;
	default:
		claim_something(v, fd);
	}
}

/* --- what is left --- */

static long long meminfo(const char *field)
{
	char text[8192], *line;
	size_t n = strlen(field);

	/* The counters of each CPU are added up when this is touched. */
	write_text("/proc/sys/vm/stat_refresh", "1");
	read_text("/proc/meminfo", text, sizeof(text));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strncmp(line, field, n) && line[n] == ':')
			return atoll(line + n + 1) << 10;
	}
	return -1;
}

#endif /* STORM_H */
