/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of channels share: a channel in a memfd, with a table that says
 * who is alive, and processes that attach to it.
 */
#ifndef CHANNEL_TESTS_H
#define CHANNEL_TESTS_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ipm/ipm_channel.h>

#include "tap.h"

#define MS ((int64_t)1000000)

struct variant {
	const char *name;
	ipm_ring_kind kind;
	uint32_t flags;
};

static const struct variant variants[] = {
	{ "SPSC", IPM_RING_KIND_SPSC, 0 },
	{ "SPSC doubled", IPM_RING_KIND_SPSC, IPM_RING_DOUBLED },
	{ "MPMC", IPM_RING_KIND_MPMC, 0 },
	{ "LANES", IPM_RING_KIND_LANES, 0 },
};

#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

#define TABLE_SIZE 4096
#define TABLE_SLOTS 64

struct fixture {
	const struct variant *variant;
	ipm_channel_options options;
	ipm_channel_mapping map;
	void *table;
	int fd;
	/* This process in the table; a forked child has to join anew. */
	pid_t pid;
	ipm_participants *me;
	uint32_t slot, generation;
};

/* The test itself cannot go on. */
#define DIE(...)							\
	do {								\
		printf("Bail out! %s:%d: ", __FILE__, __LINE__);	\
		printf(__VA_ARGS__);					\
		printf("\n");						\
		fflush(stdout);						\
		exit(1);						\
	} while (0)

static inline int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void nap_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static inline void setup(struct fixture *f, const struct variant *v, size_t capacity)
{
	size_t size;

	memset(f, 0, sizeof(*f));
	f->variant = v;
	f->options.struct_size = sizeof(f->options);
	f->options.ring.struct_size = sizeof(f->options.ring);
	f->options.ring.kind = v->kind;
	f->options.ring.flags = v->flags;
	f->options.read_bell = 1;
	f->options.write_bell = 2;
	if (ipm_channel_footprint(&f->options, capacity, &size))
		DIE("footprint");
	f->fd = memfd_create("channel", MFD_CLOEXEC);
	if (f->fd < 0 || ftruncate(f->fd, (off_t)size))
		DIE("memfd");
	if (ipm_channel_map(f->fd, 0, size, &f->options, IPM_ACCESS_MODE_READ_WRITE, &f->map))
		DIE("map");
	/* Whatever was there before must not matter. */
	memset(f->map.memory, 0xa5, f->map.size);
	if (ipm_channel_create(&f->options, f->map.memory, f->map.size))
		DIE("create");
	f->table = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	if (f->table == MAP_FAILED || ipm_participants_create(f->table, TABLE_SIZE, TABLE_SLOTS))
		DIE("table");
}

static inline void teardown(struct fixture *f)
{
	if (f->pid == getpid())
		ipm_participants_leave(f->me);
	ipm_channel_unmap(&f->map);
	munmap(f->table, TABLE_SIZE);
	close(f->fd);
}

/* The place of this process in the table; joins when it is a new one. */
static inline ipm_participants *who_am_i(struct fixture *f, uint32_t *slot, uint32_t *generation)
{
	if (f->pid != getpid()) {
		if (ipm_participants_join(NULL, f->table, TABLE_SIZE, &f->me, &f->slot,
					  &f->generation))
			DIE("join");
		f->pid = getpid();
	}
	*slot = f->slot;
	*generation = f->generation;
	return f->me;
}

static inline ipm_channel_attach_options attach_options(struct fixture *f, uint32_t roles)
{
	ipm_channel_attach_options o = {
		.struct_size = sizeof(o),
		.roles = roles,
		.flags = f->options.ring.flags,
		/* Deaths are noticed soon, so that the tests are. */
		.config = { .start_sleep_ns = 1000000, .max_sleep_ns = 10000000 },
	};

	o.liveness.param = who_am_i(f, &o.slot, &o.generation);
	o.liveness.alive = ipm_participants_alive;
	return o;
}

static inline ipm_channel *attach_with(struct fixture *f, const ipm_channel_attach_options *o)
{
	ipm_channel *channel;
	ipm_result result = ipm_channel_attach(NULL, o, f->map.memory, f->map.size, &channel);

	if (result)
		DIE("attach: %s", ipm_result_to_str(result));
	return channel;
}

static inline ipm_channel *attach(struct fixture *f, uint32_t roles)
{
	ipm_channel_attach_options o = attach_options(f, roles);

	return attach_with(f, &o);
}

/* A child that dies with this process; 0 in the child. */
static inline pid_t child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		DIE("fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Exit status; 128 + N for signal N. */
static inline int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			DIE("waitpid");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What the kernel says that a process is doing: 'S' asleep, 'R', 't' ... */
static inline char state_of(pid_t pid)
{
	char path[64], text[512], *p;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = 0;
	p = strrchr(text, ')');
	return p && p[1] == ' ' ? p[2] : 0;
}

/* A message whose every byte follows from its number. */
static inline void fill(unsigned char *bytes, size_t size, uint64_t n)
{
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = (unsigned char)(n * 31 + i * 7 + (i >> 8));
	if (size >= sizeof(n))
		memcpy(bytes, &n, sizeof(n));
}

static inline bool filled(const void *data, size_t size, uint64_t n)
{
	const unsigned char *bytes = data;
	size_t i = 0;

	if (size >= sizeof(n)) {
		if (memcmp(bytes, &n, sizeof(n)))
			return false;
		i = sizeof(n);
	}
	for (; i < size; i++)
		if (bytes[i] != (unsigned char)(n * 31 + i * 7 + (i >> 8)))
			return false;
	return true;
}

#endif /* CHANNEL_TESTS_H */
