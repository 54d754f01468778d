// SPDX-License-Identifier: GPL-2.0
/*
 * Exchanges against what else carries one item and brings an answer back: a pipe, a
 * UNIX socket, two semaphores with two copies (the scheme that exchanges take the place
 * of), plain copies with a flag, and Open MPI's shared memory, if exchange_mpi was built.
 *
 * Exchanges have their default settings, which poll for a moment and then sleep, and as a
 * variant they poll only; so do the semaphores.
 *
 * A client sends an item of each size and gets one of the same size back; each has a
 * buffer of its own, receives into it, and sends what it has received: bytes that
 * never changed would stay in the other's cache, and somebody who copies straight from
 * memory to memory would not have to fetch them. Two processes on two CPUs, all rivals
 * in turn, medians of the time for one request with its reply.
 *
 *	exchange_bench [-r] [runs]	-r: ask for a real-time priority
 *	exchange_bench -q		tries everything once, and measures nothing
 *	exchange_bench -s		only says that Open MPI is not there
 *
 * "passes" is one process that copies in and, when it is done, another that copies out,
 * and the same back: four plain passes of memcpy(), and no more than a flag between
 * them. "follow" does the same with both copying at once, as an exchange does, without
 * anything that makes an exchange safe.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ipm/ipm_exchange.h>

#include "place.h"
#include "report.h"
#include "ring_bench.h"

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)
#define WINDOW (4 * MIB)
#define LARGEST (64 * MIB)
#define MAX_RUNS 51

static const size_t sizes[] = { 8, KIB, 4 * KIB, 64 * KIB, MIB, 4 * MIB, 64 * MIB };

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static int cpus[2];
static bool priority;
static size_t size;
static unsigned char *data;	/* each process has its own */

struct shared {
	uint32_t ready;
	__attribute__((aligned(128))) uint64_t ping;
	__attribute__((aligned(128))) uint64_t pong;
	sem_t full[2], empty[2];
};

static struct shared *shared;
static unsigned char *windows[2];
static void *exchange_memory;
static size_t exchange_size;
static int pipes[2][2], sockets[2];

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "exchange_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map(size_t bytes, int flags)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static void await(uint64_t *word, uint64_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
		;
}

static void set(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* --- the bare round trip of a line --- */

static void line_serve(uint64_t n)
{
	await(&shared->ping, n);
	set(&shared->pong, n);
}

static void line_ask(uint64_t n)
{
	set(&shared->ping, n);
	await(&shared->pong, n);
}

/* --- plain copies --- */

/* Windows of plain copies are as large as the item, those of an exchange are not. */
static void passes_serve(uint64_t n)
{
	await(&shared->ping, n);
	memcpy(data, windows[0], size);
	memcpy(windows[1], data, size);
	set(&shared->pong, n);
}

static void passes_ask(uint64_t n)
{
	memcpy(windows[0], data, size);
	set(&shared->ping, n);
	await(&shared->pong, n);
	memcpy(data, windows[1], size);
}

#define STEP (32 * KIB)

static void follow_send(uint64_t *mark, unsigned char *to, uint64_t n)
{
	uint64_t base = (n - 1) * (LARGEST + 1);
	size_t at = 0, step;

	do {
		step = size - at < STEP ? size - at : STEP;
		memcpy(to + at, data + at, step);
		at += step;
		set(mark, base + at + 1);
	} while (at < size);
}

static void follow_receive(uint64_t *mark, const unsigned char *from, uint64_t n)
{
	uint64_t base = (n - 1) * (LARGEST + 1), seen;
	size_t at = 0;

	while (at < size) {
		while ((seen = __atomic_load_n(mark, __ATOMIC_ACQUIRE)) <= base + at + 1)
			;
		memcpy(data + at, from + at, seen - base - 1 - at);
		at = seen - base - 1;
	}
}

static void follow_serve(uint64_t n)
{
	follow_receive(&shared->ping, windows[0], n);
	follow_send(&shared->pong, windows[1], n);
}

static void follow_ask(uint64_t n)
{
	follow_send(&shared->ping, windows[0], n);
	follow_receive(&shared->pong, windows[1], n);
}

/* --- two semaphores for each direction, chunks of a window --- */

static bool spinning;

static void sem_take(sem_t *semaphore)
{
	while (spinning ? sem_trywait(semaphore) : sem_wait(semaphore))
		bench_pause();
}

static void sem_send(int way)
{
	size_t at = 0, step;

	do {
		step = size - at < WINDOW ? size - at : WINDOW;
		sem_take(&shared->empty[way]);
		memcpy(windows[way], data + at, step);
		sem_post(&shared->full[way]);
		at += step;
	} while (at < size);
}

static void sem_receive(int way)
{
	size_t at = 0, step;

	do {
		step = size - at < WINDOW ? size - at : WINDOW;
		sem_take(&shared->full[way]);
		memcpy(data + at, windows[way], step);
		sem_post(&shared->empty[way]);
		at += step;
	} while (at < size);
}

static void sem_serve(uint64_t n)
{
	(void)n;
	spinning = false;
	sem_receive(0);
	sem_send(1);
}

static void sem_ask(uint64_t n)
{
	(void)n;
	spinning = false;
	sem_send(0);
	sem_receive(1);
}

/* The same by who does not sleep, as Open MPI and a spinning exchange do not. */
static void spin_serve(uint64_t n)
{
	(void)n;
	spinning = true;
	sem_receive(0);
	sem_send(1);
}

static void spin_ask(uint64_t n)
{
	(void)n;
	spinning = true;
	sem_send(0);
	sem_receive(1);
}

/* --- pipes and sockets --- */

static void write_all(int fd)
{
	size_t at = 0;
	ssize_t n;

	for (; at < size; at += (size_t)n) {
		n = write(fd, data + at, size - at);
		if (n <= 0)
			die("write");
	}
}

static void read_all(int fd)
{
	size_t at = 0;
	ssize_t n;

	for (; at < size; at += (size_t)n) {
		n = read(fd, data + at, size - at);
		if (n <= 0)
			die("read");
	}
}

static void pipe_serve(uint64_t n)
{
	(void)n;
	read_all(pipes[0][0]);
	write_all(pipes[1][1]);
}

static void pipe_ask(uint64_t n)
{
	(void)n;
	write_all(pipes[0][1]);
	read_all(pipes[1][0]);
}

static void socket_serve(uint64_t n)
{
	(void)n;
	read_all(sockets[1]);
	write_all(sockets[1]);
}

static void socket_ask(uint64_t n)
{
	(void)n;
	write_all(sockets[0]);
	read_all(sockets[0]);
}

/* --- ours --- */

#define TABLE 65536
#define SPIN 1000000000		/* polls: never sleeps */

static ipm_exchange *exchange;
static ipm_participants *self;
static void *table;		/* who is alive */

static void open_exchange(uint32_t roles, uint32_t polls)
{
	ipm_exchange_attach_options o = {
		.struct_size = sizeof(o), .roles = roles,
		.config = { .max_round_trips = polls },
	};

	if (ipm_participants_join(NULL, table, TABLE, &self, &o.slot, &o.generation))
		die("cannot become a participant");
	o.liveness = (ipm_ring_liveness){ ipm_participants_alive, self };
	if (ipm_exchange_attach(NULL, &o, exchange_memory, exchange_size, &exchange))
		die("cannot attach to an exchange");
}

static void ipm_serve(uint64_t n)
{
	size_t got;

	(void)n;
	if (ipm_exchange_consume(exchange, data, LARGEST, &got, NULL) || got != size ||
	    ipm_exchange_reply(exchange, data, size, IPM_DEADLINE_NONE))
		die("the server");
}

static void ipm_ask(uint64_t n)
{
	size_t got;

	(void)n;
	if (ipm_exchange_request(exchange, data, size, data, LARGEST, &got, IPM_DEADLINE_NONE) ||
	    got != size)
		die("the client");
}

/* In place: nobody copies; a byte of each end is looked at. */
static void place_serve(uint64_t n)
{
	ipm_exchange_item item;

	(void)n;
	if (ipm_exchange_peek(exchange, IPM_DEADLINE_NONE, &item) ||
	    ((unsigned char *)item.data)[0] != (unsigned char)n ||
	    ipm_exchange_finish(exchange, &item) ||
	    ipm_exchange_reserve_reply(exchange, size, IPM_DEADLINE_NONE, &item))
		die("the server");
	((unsigned char *)item.data)[0] = (unsigned char)n;
	if (ipm_exchange_commit(exchange, &item))
		die("the server");
}

static void place_ask(uint64_t n)
{
	ipm_exchange_item item;

	if (ipm_exchange_reserve(exchange, size, IPM_DEADLINE_NONE, &item))
		die("the client");
	((unsigned char *)item.data)[0] = (unsigned char)n;
	if (ipm_exchange_commit_ask(exchange, &item) ||
	    ipm_exchange_peek_reply(exchange, IPM_DEADLINE_NONE, &item) ||
	    ((unsigned char *)item.data)[0] != (unsigned char)n ||
	    ipm_exchange_finish(exchange, &item))
		die("the client");
}

static const struct rival {
	const char *name;
	void (*serve)(uint64_t n);
	void (*ask)(uint64_t n);
	enum report_role role;
	bool copies;
	uint32_t polls;		/* of ours: 0 is what a program gets which asks for nothing */
} rivals[] = {
	{ "line", line_serve, line_ask, REPORT_LIMIT, false, 0 },
	{ "in place", place_serve, place_ask, REPORT_VARIANT, false, 0 },
	{ "exchange", ipm_serve, ipm_ask, REPORT_IPM, true, 0 },
	{ "exchange, spinning", ipm_serve, ipm_ask, REPORT_VARIANT, true, SPIN },
	{ "passes", passes_serve, passes_ask, REPORT_LIMIT, true, 0 },
	{ "follow", follow_serve, follow_ask, REPORT_LIMIT, true, 0 },
	{ "semaphores", sem_serve, sem_ask, REPORT_RIVAL, true, 0 },
	{ "semaphores, spinning", spin_serve, spin_ask, REPORT_RIVAL, true, 0 },
	{ "socket", socket_serve, socket_ask, REPORT_RIVAL, true, 0 },
	{ "pipe", pipe_serve, pipe_ask, REPORT_RIVAL, true, 0 },
};

static bool ours(const struct rival *rival)
{
	return rival->role == REPORT_IPM || rival->role == REPORT_VARIANT;
}

#define RIVALS (sizeof(rivals) / sizeof(rivals[0]))

static void make_exchange(void)
{
	ipm_exchange_options o = { .struct_size = sizeof(o) };

	if (ipm_exchange_footprint(&o, &exchange_size))
		die("footprint");
	if (!exchange_memory) {
		exchange_memory = map(exchange_size, MAP_SHARED);
		memset(exchange_memory, 0, exchange_size);
	}
	if (ipm_participants_create(table, TABLE, 2) ||
	    ipm_exchange_create(&o, exchange_memory, exchange_size))
		die("cannot make an exchange");
}

#define TRIPS_MAX 2000		/* in a run */

/* Nanoseconds of each round trip of one size. */
static struct samples {
	double *trips;
	int nr;
} samples[RIVALS];

/* Nanoseconds of one round trip, and of each of them into @s. */
static double run(const struct rival *rival, uint64_t rounds, struct samples *s)
{
	static uint64_t at[TRIPS_MAX + 1];
	double tick;
	uint64_t n, warm = rounds / 10 + 1;
	int64_t start;
	int status;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	for (n = 0; n < 2; n++) {
		sem_init(&shared->full[n], 1, 0);
		sem_init(&shared->empty[n], 1, 1);
	}
	if (ours(rival))
		make_exchange();
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	place_pin(cpus[!pid], priority);
	if (ours(rival))
		open_exchange(pid ? IPM_EXCHANGE_PUBLISHER : IPM_EXCHANGE_CONSUMER, rival->polls);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Pages of its own. */
		memset(data, 2, size);
		__atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
		for (n = 1; n <= warm + rounds; n++)
			rival->serve(n);
		_exit(0);
	}
	while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE))
		sched_yield();
	for (n = 1; n <= warm; n++)
		rival->ask(n);
	start = now();
	for (; n <= warm + rounds; n++) {
		at[n - warm - 1] = place_ticks();
		rival->ask(n);
	}
	at[rounds] = place_ticks();
	start = now() - start;
	tick = (double)start / (double)(at[rounds] - at[0]);
	for (n = 0; n < rounds; n++)
		s->trips[s->nr++] = (double)(at[n + 1] - at[n]) * tick;
	waitpid(pid, &status, 0);
	if (ours(rival)) {
		ipm_exchange_detach(exchange);
		ipm_participants_leave(self);
	}
	if (status)
		die("the other process");
	return (double)start / (double)rounds;
}

static void report(const struct report_case *c, double ns[][MAX_RUNS], int runs)
{
	double percentiles[REPORT_PERCENTILES];
	size_t r;

	for (r = 0; r < RIVALS; r++) {
		if (!ns[r][0]) {
			report_skip(c, rivals[r].name, rivals[r].role, "larger than a window");
			continue;
		}
		report_percentiles(samples[r].trips, samples[r].nr, percentiles);
		report_row(c, rivals[r].name, rivals[r].role, ns[r], runs, percentiles);
	}
}

/* Of a column. */
static int width(size_t r)
{
	return strlen(rivals[r].name) > 10 ? (int)strlen(rivals[r].name) : 10;
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && !strcmp(argv[1], "-q");
	double ns[RIVALS][MAX_RUNS], all[RIVALS];
	struct report_case c;
	int runs, i;
	size_t s, r;

	if (argc > 1 && !strcmp(argv[1], "-s")) {
		c = (struct report_case){
			.suite = "exchange", .name = "request and reply", .unit = "ns",
		};
		report_skip(&c, "Open MPI", REPORT_RIVAL,
			    "the packages openmpi-bin and libopenmpi-dev are not installed");
		return 4;
	}
	priority = argc > 1 && !strcmp(argv[1], "-r");
	runs = quick ? 1 : argc > 1 + priority ? atoi(argv[1 + priority]) : 9;
	if (runs < 1 || runs > MAX_RUNS) {
		fprintf(stderr, "usage: exchange_bench [-q] [-r] [runs, 1 to %d]\n", MAX_RUNS);
		return 2;
	}
	if (place_cpus(cpus, 2) < 2) {
		puts("skipped: needs two CPUs");
		return 4;
	}
	table = map(TABLE, MAP_SHARED);
	shared = map(sizeof(*shared), MAP_SHARED);
	windows[0] = map(LARGEST, MAP_SHARED);
	windows[1] = map(LARGEST, MAP_SHARED);
	data = map(LARGEST, MAP_PRIVATE);
	memset(windows[0], 1, LARGEST);
	memset(windows[1], 1, LARGEST);
	memset(data, 1, LARGEST);
	if (pipe(pipes[0]) || pipe(pipes[1]) || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		die("pipe");
	/* As much at once as the system lets anybody have. */
	fcntl(pipes[0][1], F_SETPIPE_SZ, 1 << 20);
	fcntl(pipes[1][1], F_SETPIPE_SZ, 1 << 20);
	printf("request and reply, microseconds; window 4 MiB; medians of %d\n%10s", runs, "bytes");
	for (r = 0; r < RIVALS; r++) {
		printf(" %10s", rivals[r].name);
		samples[r].trips = calloc((size_t)runs * TRIPS_MAX, sizeof(double));
		if (!samples[r].trips)
			die("calloc");
	}
	printf("   line is\n");
	for (s = 0; s < SIZES; s++) {
		uint64_t rounds = sizes[s] < 32 * KIB ? TRIPS_MAX : 64 * MIB / sizes[s] + 1;

		if (quick)
			rounds = 1;
		size = sizes[s];
		report_begin();
		for (r = 0; r < RIVALS; r++)
			samples[r].nr = 0;
		for (i = 0; i < runs; i++)
			for (r = 0; r < RIVALS; r++) {
				/* In place there is no more than a window. */
				if (ours(&rivals[r]) && !rivals[r].copies && size > WINDOW)
					ns[r][i] = 0;
				else
					ns[r][i] = run(&rivals[r], rivals[r].copies || quick ? rounds : TRIPS_MAX,
						       &samples[r]);
			}
		printf("%10zu", size);
		for (r = 0; r < RIVALS; r++) {
			all[r] = report_median(ns[r], runs) / 1e3;
			if (all[r] > 0)
				printf(" %*.2f", width(r), all[r]);
			else
				printf(" %*s", width(r), "-");
		}
		printf("   %s\n", place_name(all[0] * 1e3));
		fflush(stdout);
		c = (struct report_case){
			.suite = "exchange", .name = "request and reply", .size = size,
			.participants = "1x1", .unit = "ns", .line_ns = all[0] * 1e3,
		};
		report(&c, ns, runs);
	}
	return 0;
}
