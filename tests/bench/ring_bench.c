// SPDX-License-Identifier: GPL-2.0
/*
 * Rings against their rivals: throughput with one producer and one consumer,
 * round trips, and many-to-many, in processes pinned to a CPU each.
 *
 *	ring_bench [-q] [-r] [-n runs] [-b bytes] [-p] [-s] [-m] [-t] [-z size]
 *		-q	tries everything once with few messages, and measures nothing
 *		-r	real-time priority (needs the right): for a busy machine
 *		-s	only one producer and one consumer
 *		-m	only MPMC rings
 *		-b	rings of this size for all
 *		-p	a process for each producer and consumer, also on fewer CPUs
 *		-t	only round trips
 *		-z	only throughput with messages of this size; with -m, of MPMC rings
 *
 * Where there are fewer CPUs than producers and consumers, two processes are all of
 * them, and each writes or reads or does both: then nobody waits for a CPU, but with
 * lanes a process may read what it has written itself. It stands beside the case.
 *
 * Each transport is tried with rings of 32, 64 and 256 KiB, and measured with the one
 * that is the best for it in that case.
 *
 * All transports run in the same processes, in turn, in short pieces, so
 * that what disturbs one disturbs all. A piece during which either process was
 * taken off its CPU is thrown away. Printed are medians, quartiles, and ratios
 * to the best rival. Beside each block stands the round trip of a bare cache
 * line at that moment: virtual CPUs move between "near" and "far" (place.h).
 */
#include <linux/perf_event.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <ipm/ipm_ring.h>

#include "place.h"
#include "report.h"
#include "ring_bench.h"

#define MAX_TRANSPORTS 64
#define MAX_RUNS 101
#define MAX_PROCESSES 4
#define ROUND_TRIPS 400
#define WRITES 8u		/* at once, where processes read and write */
#define LIMIT 6.0		/* seconds of a case, on a machine that is not quiet */
#define TRIES 3			/* pieces with each size of ring, before the best is chosen */

static size_t buffers[3] = { 32768, 65536, 262144 };
static size_t nr_buffers = 3;
static int runs = 15;
static bool quick;

/* --- our own --- */

#define LANES 2

/* @message: bytes that a record of it must be able to have. */
static int ipm_create(void *memory, size_t bytes, size_t message, ipm_ring_kind kind)
{
	ipm_ring_options o = { .struct_size = sizeof(o), .kind = kind };
	ipm_ring_limits limits;
	size_t size;

	/* All lanes together take what the others have. */
	if (kind == IPM_RING_KIND_LANES)
		o.lanes = LANES;
	if (ipm_ring_footprint(&o, o.lanes ? bytes / LANES : bytes, &size) ||
	    size > BENCH_MEMORY(bytes) || ipm_ring_capacity(&o, size, &limits) ||
	    limits.max_record < message)
		return -1;
	return ipm_ring_create(&o, memory, size) ? -1 : 0;
}

static int spsc_create(void *memory, size_t bytes, size_t size)
{
	return ipm_create(memory, bytes, size, IPM_RING_KIND_SPSC);
}

static int mpmc_create(void *memory, size_t bytes, size_t size)
{
	return ipm_create(memory, bytes, size, IPM_RING_KIND_MPMC);
}

static int lanes_create(void *memory, size_t bytes, size_t size)
{
	return ipm_create(memory, bytes, size, IPM_RING_KIND_LANES);
}

/* This process's place in the table that tells who is alive. */
static ipm_participants *self;
static uint32_t slot, generation;

static void *ipm_open(void *memory, size_t bytes, size_t size, unsigned int roles)
{
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = (roles & BENCH_PRODUCER ? IPM_RING_PRODUCER : 0) |
			 (roles & BENCH_CONSUMER ? IPM_RING_CONSUMER : 0),
		.slot = slot,
		.generation = generation,
		.liveness = { ipm_participants_alive, self },
	};
	ipm_ring *ring = NULL;

	(void)size;
	if (ipm_ring_attach(NULL, &o, memory, BENCH_MEMORY(bytes), &ring))
		return NULL;
	return ring;
}

static void ipm_close(void *ring)
{
	ipm_ring_detach(ring);
}

BENCH_INLINE int ipm_push(ipm_ring *ring, const void *message, size_t size)
{
	return ipm_ring_write(ring, message, size) ? -1 : 0;
}

BENCH_INLINE int ipm_pop(ipm_ring *ring, void *message, size_t size)
{
	size_t got;

	return ipm_ring_read(ring, message, size, &got, NULL) ? -1 : 0;
}

/* In place: the bytes are written into and read from the ring itself. */
BENCH_INLINE int zero_pop(ipm_ring *ring, void *message, size_t size)
{
	ipm_ring_record record;

	(void)size;
	if (ipm_ring_peek(ring, &record))
		return -1;
	memcpy(message, record.data, 8);
	return ipm_ring_release(ring, &record) ? -1 : 0;
}

BENCH_LOOPS(ipm, ipm_ring, ipm_push, ipm_pop)
BENCH_LOOPS(zero, ipm_ring, ipm_push, zero_pop)

#define OURS(name, kinds, create, loops) \
	{ name, (kinds) | BENCH_OURS, create, ipm_open, ipm_close, loops##_send, \
	  loops##_receive, loops##_try_send, loops##_try_receive }

static const struct bench_transport ours[] = {
	OURS("ipm SPSC", BENCH_SPSC, spsc_create, ipm),
	OURS("ipm SPSC, read in place", BENCH_SPSC | BENCH_VARIANT, spsc_create, zero),
	OURS("ipm MPMC", BENCH_MPMC, mpmc_create, ipm),
	OURS("ipm lanes", BENCH_MPMC | BENCH_VARIANT, lanes_create, ipm),
	{ 0 }
};

/* --- the processes --- */

struct line {
	_Alignas(128) uint64_t value;
};

static struct shared {
	struct line phase[MAX_PROCESSES];
	struct line disturbed[MAX_PROCESSES];
	struct line received[MAX_PROCESSES];
	bool dropped[MAX_TRANSPORTS];
	bool over;
	struct place_lines lines;
	_Alignas(128) unsigned char participants[65536];
} *shared;

static int cpus[MAX_PROCESSES], nr_cpus;
static int nr_processes;
static int me;			/* 0, 1, ...; the last one was there before, and reports */
static bool separate;
static bool priority;
static uint64_t phase;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *map_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("ring_bench: mmap");
		exit(1);
	}
	return memory;
}

/* All processes are here at the same time, and, if there are CPUs for them, running. */
static void meet(void)
{
	unsigned int spins = 0;
	int i;

	__atomic_store_n(&shared->phase[me].value, ++phase, __ATOMIC_RELEASE);
	for (i = 0; i < nr_processes; i++) {
		while (__atomic_load_n(&shared->phase[i].value, __ATOMIC_ACQUIRE) < phase) {
			bench_pause();
			if (++spins % (nr_processes > nr_cpus ? 64 : 4096) == 0)
				sched_yield();
		}
	}
}

static uint64_t switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_nivcsw;
}

/* Was one of us off its CPU since @before? All get the same answer. */
static bool disturbed(uint64_t before)
{
	bool result = false;
	int i;

	shared->disturbed[me].value = switches() - before;
	meet();
	/* Where they share CPUs, they have to. */
	for (i = 0; i < nr_processes && nr_processes <= nr_cpus && !quick; i++)
		result = result || shared->disturbed[i].value;
	meet();
	return result;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct result {
	double values[MAX_RUNS];
	int count;
};

static void add(struct result *r, double value)
{
	if (r->count < MAX_RUNS)
		r->values[r->count++] = value;
}

static double quantile(struct result *r, int percent)
{
	if (!r->count)
		return 0;
	qsort(r->values, (size_t)r->count, sizeof(double), compare);
	return r->values[(r->count - 1) * percent / 100];
}

/* Several times what the largest ring holds, so that nobody can run ahead of the other. */
static uint64_t messages_per_piece(size_t size)
{
	if (quick)
		return 40;
	return size >= 4096 ? 512 : size >= 256 ? 8192 : size >= 64 ? 16384 : 98304;
}

struct lane_of_bench {
	const struct bench_transport *t;
	size_t bytes;		/* of the ring */
	bool dropped;		/* another size is better */
	void *handle, *back;	/* our ends of the ring(s) */
	void *memory[2];
	uint64_t first;
	struct result result;
	double *trips;		/* nanoseconds of each */
	int nr_trips;
};

static struct lane_of_bench list[MAX_TRANSPORTS];
static int list_count;

static void add_transport(const struct bench_transport *t, size_t bytes, size_t size)
{
	struct lane_of_bench *l = &list[list_count];
	int i;

	memset(l, 0, sizeof(*l));
	l->t = t;
	l->bytes = bytes;
	l->first = 1;
	l->trips = calloc(MAX_RUNS * ROUND_TRIPS, sizeof(double));
	if (!l->trips) {
		perror("ring_bench");
		exit(1);
	}
	for (i = 0; i < 2; i++)
		l->memory[i] = map_shared(BENCH_MEMORY(bytes));
	if (!t->create(l->memory[0], bytes, size) && !t->create(l->memory[1], bytes, size)) {
		list_count++;
		return;
	}
	for (i = 0; i < 2; i++)
		munmap(l->memory[i], BENCH_MEMORY(bytes));
	free(l->trips);
}

static bool listed(const char *name)
{
	int i;

	for (i = 0; i < list_count; i++)
		if (!strcmp(list[i].t->name, name))
			return true;
	return false;
}

static void choose(unsigned int kind, size_t size)
{
	const struct bench_transport *const sources[] = { ours, bench_rivals_c,
							  bench_rivals_boost };
	const struct bench_transport *t;
	/* Only to try it, all sizes of rings in one case are enough. */
	bool few = quick && size != 8;
	size_t s, i;

	list_count = 0;
	for (s = 0; s < 3; s++)
		for (t = sources[s]; t->name; t++)
			for (i = 0; i < nr_buffers && t->kinds & kind; i++)
				if (list_count < MAX_TRANSPORTS && (!few || i == nr_buffers - 1))
					add_transport(t, buffers[i], size);
	for (s = 0; s < 3; s++)
		for (t = sources[s]; t->name; t++)
			if (t->kinds & kind && !listed(t->name))
				printf("skipped: %s cannot make such a ring\n", t->name);
}

/* Of the rings that a transport was tried with, only the best remains. */
static void keep_best(bool higher)
{
	int i, k;

	for (i = 0; i < list_count && me == nr_processes - 1; i++) {
		for (k = 0; k < list_count && !shared->dropped[i]; k++) {
			double mine = quantile(&list[i].result, 50);
			double its = quantile(&list[k].result, 50);

			if (k != i && !shared->dropped[k] &&
			    !strcmp(list[i].t->name, list[k].t->name))
				shared->dropped[i] = !mine || (its == mine && k < i) ||
						     (its && (higher ? its > mine : its < mine));
		}
	}
	meet();
	for (i = 0; i < list_count; i++)
		list[i].dropped = shared->dropped[i];
}

static void forget(void)
{
	int i, k;

	for (i = 0; i < list_count; i++) {
		for (k = 0; k < 2; k++)
			munmap(list[i].memory[k], BENCH_MEMORY(list[i].bytes));
		free(list[i].trips);
	}
}

/* Who does what where all processes use one ring; 0: one ring each way. */
static unsigned int roles[MAX_PROCESSES];

static void make_participants(void)
{
	if (ipm_participants_create(shared->participants, sizeof(shared->participants),
				    MAX_PROCESSES)) {
		fprintf(stderr, "ring_bench: cannot make a table of participants\n");
		exit(1);
	}
}

static void join(void)
{
	if (ipm_participants_join(NULL, shared->participants, sizeof(shared->participants), &self,
				  &slot, &generation)) {
		fprintf(stderr, "ring_bench: cannot become a participant\n");
		exit(1);
	}
}

static void open_all(size_t size)
{
	bool one_ring = roles[0];
	int i;

	join();
	for (i = 0; i < list_count; i++) {
		struct lane_of_bench *l = &list[i];
		unsigned int first = one_ring ? roles[me] : me ? BENCH_CONSUMER : BENCH_PRODUCER;
		unsigned int second = me ? BENCH_PRODUCER : BENCH_CONSUMER;

		l->handle = l->t->open(l->memory[0], l->bytes, size, first);
		l->back = one_ring ? NULL : l->t->open(l->memory[1], l->bytes, size, second);
		if (!l->handle || (!l->back && !one_ring)) {
			fprintf(stderr, "ring_bench: %s cannot be opened\n", l->t->name);
			exit(1);
		}
	}
}

/* Million messages per second, one way, from process 0 to process 1. */
static void piece_stream(struct lane_of_bench *l, size_t size)
{
	uint64_t n = messages_per_piece(size), before;
	double start;
	int wrong = 0;

	meet();
	before = switches();
	start = now();
	if (me)
		wrong = l->t->receive(l->handle, size, l->first, n);
	else
		l->t->send(l->handle, size, l->first, n);
	start = now() - start;
	l->first += n;
	if (wrong) {
		fprintf(stderr, "ring_bench: %s delivered a wrong message\n", l->t->name);
		exit(1);
	}
	if (!disturbed(before))
		add(&l->result, (double)n / start * 1e-6);
}

/* Nanoseconds of a round trip of one message each way. */
static void piece_round_trip(struct lane_of_bench *l, size_t size)
{
	uint64_t before, at[ROUND_TRIPS];
	double start = 0, tick;
	int i;

	meet();
	before = switches();
	for (i = 0; i < ROUND_TRIPS + 50; i++) {
		if (i == 50)
			start = now();
		if (i >= 50)
			at[i - 50] = place_ticks();
		if (!me)
			l->t->send(l->handle, size, l->first, 1);
		if (me ? l->t->receive(l->handle, size, l->first, 1) :
			 l->t->receive(l->back, size, l->first, 1)) {
			fprintf(stderr, "ring_bench: %s: wrong message\n", l->t->name);
			exit(1);
		}
		if (me)
			l->t->send(l->back, size, l->first, 1);
		l->first++;
	}
	tick = (double)(place_ticks() - at[0]);
	start = (now() - start) / ROUND_TRIPS * 1e9;
	tick = start * ROUND_TRIPS / tick;
	if (disturbed(before) || l->result.count == MAX_RUNS)
		return;
	add(&l->result, start);
	for (i = 1; i < ROUND_TRIPS; i++)
		l->trips[l->nr_trips++] = (double)(at[i] - at[i - 1]) * tick;
}

static uint64_t all_received(void)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < nr_processes; i++)
		sum += __atomic_load_n(&shared->received[i].value, __ATOMIC_RELAXED);
	return sum;
}

static unsigned int count_roles(unsigned int role)
{
	unsigned int count = 0;
	int i;

	for (i = 0; i < nr_processes; i++)
		count += !!(roles[i] & role);
	return count;
}

/* All in one ring; each process writes, reads, or does both. */
static void piece_mixed(struct lane_of_bench *l, size_t size)
{
	uint64_t all = messages_per_piece(size), sent = 0, got = 0, before;
	unsigned int producers = count_roles(BENCH_PRODUCER);
	/* As many as are written meanwhile: neither full nor empty by what we do. */
	unsigned int reads = WRITES * producers / count_roles(BENCH_CONSUMER), k;
	uint64_t n = roles[me] & BENCH_PRODUCER ? all / producers : 0;
	unsigned char out[BENCH_MAX_SIZE] = { 1 }, in[BENCH_MAX_SIZE];
	double start;

	shared->received[me].value = 0;
	meet();
	before = switches();
	start = now();
	for (;;) {
		for (k = 0; k < WRITES && sent < n; k++) {
			memcpy(out, &sent, 8);
			if (l->t->try_send(l->handle, size, out))
				break;
			sent++;
		}
		for (k = 0; k < reads; k++) {
			if (!(roles[me] & BENCH_CONSUMER) ||
			    l->t->try_receive(l->handle, size, in))
				break;
			bench_use(in);
			got++;
		}
		if (k < reads) {
			__atomic_store_n(&shared->received[me].value, got, __ATOMIC_RELAXED);
			if (sent == n && all_received() >= all)
				break;
			if (nr_processes > nr_cpus)
				sched_yield();
		}
	}
	start = now() - start;
	if (!disturbed(before))
		add(&l->result, (double)all / start * 1e-6);
}

static enum report_role role_of(const struct bench_transport *t)
{
	return !(t->kinds & BENCH_OURS) ? REPORT_RIVAL :
	       t->kinds & BENCH_VARIANT ? REPORT_VARIANT : REPORT_IPM;
}

static void report_block(const struct report_case *c, struct result *two)
{
	double percentiles[REPORT_PERCENTILES];
	int i;

	for (i = 0; i < list_count; i++) {
		struct lane_of_bench *l = &list[i];
		struct report_case one = *c;

		if (l->dropped)
			continue;
		one.buffer = (double)l->bytes;
		if (l->nr_trips)
			report_percentiles(l->trips, l->nr_trips, percentiles);
		report_row(&one, l->t->name, role_of(l->t), l->result.values, l->result.count,
			   l->nr_trips ? percentiles : NULL);
	}
	if (!c->higher)
		report_row(c, "bare, a line each way", REPORT_LIMIT, two->values, two->count, NULL);
}

static void print_block(const struct report_case *c, struct result *two, struct result *bare)
{
	const char *best_name = "";
	double best = 0;
	int i;

	for (i = 0; i < list_count; i++) {
		double m = quantile(&list[i].result, 50);

		if (list[i].t->kinds & BENCH_OURS || list[i].dropped || !m)
			continue;
		if (!best || (c->higher ? m > best : m < best)) {
			best = m;
			best_name = list[i].t->name;
		}
	}
	printf("\n%s, %s, %zu bytes (%s: bare round trip %.0f ns)\n", c->name, c->participants,
	       (size_t)c->size, place_name(c->line_ns), c->line_ns);
	for (i = 0; i < list_count; i++) {
		struct result *r = &list[i].result;
		double m = quantile(r, 50);

		if (list[i].dropped)
			continue;
		printf("  %-26s %8.1f   (%.1f to %.1f, %d pieces), %zu KiB", list[i].t->name, m,
		       quantile(r, 25), quantile(r, 75), r->count, list[i].bytes / 1024);
		if (list[i].t->kinds & BENCH_OURS && best)
			printf("   %.2f of %s", m / best, best_name);
		printf("\n");
	}
	if (!c->higher)
		printf("  %-26s %8.1f   (one line for both ways: %.1f)\n",
		       "bare, a line each way", quantile(two, 50), quantile(bare, 50));
	fflush(stdout);
}

typedef void piece_function(struct lane_of_bench *l, size_t size);

/* Rounds of pieces, until each transport that is not dropped has enough of them. */
static void rounds(struct result *bare, struct result *two, piece_function *piece, size_t size,
		   int enough)
{
	int i, round, least = 0;
	double line, start = now();
	uint64_t before;

	/* Some pieces are thrown away; where nearly all are, those that there are must do. */
	for (round = 0; least < enough && round < 4 * enough && !shared->over; round++) {
		for (i = 0; i < 2 && !quick; i++) {
			meet();
			before = switches();
			line = 0;
			if (!me || me == nr_processes - 1)
				line = place_trip(&shared->lines, !!me, i, ROUND_TRIPS);
			if (!disturbed(before))
				add(i ? two : bare, line);
		}
		least = MAX_RUNS;
		for (i = 0; i < list_count; i++) {
			if (list[i].dropped)
				continue;
			piece(&list[i], size);
			if (list[i].result.count < least)
				least = list[i].result.count;
		}
		/* Others want to run too. */
		usleep(2000);
		if (me == nr_processes - 1)
			shared->over = now() - start > LIMIT;
		meet();
	}
	meet();
	shared->over = false;
}

/* Processes 0 to @nr - 1; only the last one returns true. */
static bool start_processes(int nr)
{
	nr_processes = nr;
	fflush(stdout);
	for (me = 0; me < nr - 1; me++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("ring_bench: fork");
			exit(1);
		}
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			return false;
		}
	}
	return true;
}

/* @wanted: who does what in one ring; NULL: one ring each way, and two processes. */
static void block(const char *what, unsigned int kind, size_t size, const unsigned int *wanted,
		  int nr, const char *participants, piece_function *piece, bool higher)
{
	struct report_case c = {
		.suite = "ring", .name = what, .size = size, .higher = higher,
		.unit = higher ? "million/s" : "ns", .participants = participants,
		.processes = nr, .cpus = nr_cpus,
	};
	struct result bare = { .count = 0 }, two = { .count = 0 };
	bool last;
	int i;

	report_begin();
	memset(roles, 0, sizeof(roles));
	memset(shared, 0, sizeof(*shared));
	if (wanted)
		memcpy(roles, wanted, (size_t)nr * sizeof(*wanted));
	make_participants();
	phase = 0;
	choose(kind, size);
	last = start_processes(nr);
	place_pin(cpus[me % nr_cpus], priority && nr <= nr_cpus);
	open_all(size);
	if (nr_buffers > 1) {
		rounds(&bare, &two, piece, size, quick ? 1 : TRIES);
		keep_best(higher);
	}
	if (!quick || nr_buffers == 1)
		rounds(&bare, &two, piece, size, runs);
	if (!last)
		_exit(0);
	for (i = 0; i < list_count; i++) {
		list[i].t->close(list[i].handle);
		if (list[i].back)
			list[i].t->close(list[i].back);
	}
	while (wait(NULL) > 0)
		continue;
	ipm_participants_leave(self);
	c.line_ns = quantile(&two, 50);
	print_block(&c, &two, &bare);
	report_block(&c, &two);
	forget();
}

static void stream(const char *what, unsigned int kind, size_t size)
{
	block(what, kind, size, NULL, 2, "1x1", piece_stream, true);
}

static void round_trip(const char *what, unsigned int kind, size_t size)
{
	block(what, kind, size, NULL, 2, "1x1", piece_round_trip, false);
}

/* @one_each: a process for each producer and consumer; else two are all of them. */
static void many(int producers, int consumers, bool one_each, size_t size)
{
	unsigned int wanted[MAX_PROCESSES] = {
		BENCH_PRODUCER | (consumers > 1 ? BENCH_CONSUMER : 0),
		BENCH_CONSUMER | (producers > 1 ? BENCH_PRODUCER : 0),
	};
	char participants[32];
	int i;

	snprintf(participants, sizeof(participants), "%dx%d%s", producers, consumers,
		 one_each ? "" : " in 2 processes");
	for (i = 0; i < producers + consumers && one_each; i++)
		wanted[i] = i < producers ? BENCH_PRODUCER : BENCH_CONSUMER;
	block("stream, MPMC rings", BENCH_MPMC, size, wanted, one_each ? producers + consumers : 2,
	      participants, piece_mixed, true);
}

static void many_block(int producers, int consumers, size_t size)
{
	bool room = separate || nr_cpus >= producers + consumers;

	if (room || quick)
		many(producers, consumers, true, size);
	if (!room || quick)
		many(producers, consumers, false, size);
}

/* What a ring takes besides the payload, when it holds 1 MiB in records of 256 bytes. */
static void print_overhead(void)
{
	static const char *const names[] = { "SPSC", "MPMC", "lanes, for one producer" };
	struct report_case c = {
		.suite = "ring", .name = "memory besides 1 MiB in records", .size = 256,
		.metric = "memory", .unit = "bytes",
	};
	double besides;
	const size_t payload = 1 << 20, size = 256;
	ipm_ring_options o = { .struct_size = sizeof(o) };
	size_t i, space, bytes;

	for (i = 0; i < 3; i++) {
		o.kind = (ipm_ring_kind)(IPM_RING_KIND_SPSC + i);
		o.lanes = o.kind == IPM_RING_KIND_LANES ? 1 : 0;
		if (ipm_ring_record_space(&o, size, &space) ||
		    ipm_ring_footprint(&o, payload / size * space + 8, &bytes))
			continue;
		printf("memory of 1 MiB in records of %zu bytes, %s: %zu bytes besides (%.2f %%)\n",
		       size, names[i], bytes - payload,
		       100.0 * (double)(bytes - payload) / (double)payload);
		besides = (double)(bytes - payload);
		report_row(&c, names[i], REPORT_IPM, &besides, 1, NULL);
	}
}

/* --- instructions --- */

#define PAIRS 20000
#define COUNTS 5

/* What this process does outside the kernel; -1: the machine does not tell. */
static int open_counter(void)
{
	struct perf_event_attr about = {
		.type = PERF_TYPE_HARDWARE, .size = sizeof(about),
		.config = PERF_COUNT_HW_INSTRUCTIONS, .exclude_kernel = 1, .exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &about, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static double read_counter(int counter)
{
	uint64_t value = 0;

	if (read(counter, &value, sizeof(value)) != sizeof(value)) {
		perror("ring_bench: perf_event");
		exit(1);
	}
	return (double)value;
}

/* Of a message that one process writes and then reads, through @l. */
static double count_pairs(struct lane_of_bench *l, int counter, size_t size)
{
	unsigned char message[BENCH_MAX_SIZE] = { 1 };
	double before = read_counter(counter);
	int i;

	for (i = 0; i < PAIRS; i++) {
		if (l->t->try_send(l->handle, size, message) ||
		    l->t->try_receive(l->back, size, message)) {
			fprintf(stderr, "ring_bench: %s: full or empty\n", l->t->name);
			exit(1);
		}
	}
	return (read_counter(counter) - before) / PAIRS;
}

static void print_instructions(const char *what, unsigned int kind, size_t size)
{
	struct report_case c = {
		.suite = "ring", .name = what, .size = size, .metric = "cost",
		.unit = "instructions", .best = true,
	};
	int counter = open_counter(), i, k;

	if (counter < 0) {
		report_skip(&c, "all", REPORT_IPM,
			    "this machine does not count a program's instructions (perf_event)");
		return;
	}
	report_begin();
	make_participants();
	join();
	choose(kind, size);
	printf("\n%s, %zu bytes, instructions\n", what, size);
	for (i = 0; i < list_count; i++) {
		struct lane_of_bench *l = &list[i];
		struct report_case one = c;

		/* Which size of ring does not matter. */
		if (l->bytes != buffers[nr_buffers - 1])
			continue;
		l->handle = l->t->open(l->memory[0], l->bytes, size, BENCH_PRODUCER);
		l->back = l->t->open(l->memory[0], l->bytes, size, BENCH_CONSUMER);
		if (!l->handle || !l->back) {
			fprintf(stderr, "ring_bench: %s cannot be opened\n", l->t->name);
			exit(1);
		}
		for (k = 0; k < COUNTS; k++)
			add(&l->result, count_pairs(l, counter, size));
		one.buffer = (double)l->bytes;
		report_row(&one, l->t->name, role_of(l->t), l->result.values, l->result.count, NULL);
		printf("  %-26s %8.1f\n", l->t->name, quantile(&l->result, 0));
		l->t->close(l->back);
		l->t->close(l->handle);
	}
	forget();
	ipm_participants_leave(self);
	close(counter);
}

static void __attribute__((unused)) skip(const char *rival, const char *reason)
{
	const struct report_case c = {
		.suite = "ring", .name = "all", .unit = "million/s", .higher = true,
	};

	report_skip(&c, rival, REPORT_RIVAL, reason);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 8, 64, 256, 4096 };
	bool spsc_only = false, mpmc_only = false, trips_only = false;
	int option;
	size_t i, only = 0;

	while ((option = getopt(argc, argv, "qrpsmtn:b:z:")) != -1) {
		switch (option) {
		case 'q':
			quick = true;
			runs = 1;
			break;
		case 'r':
			priority = true;
			break;
		case 's':
			spsc_only = true;
			break;
		case 'm':
			mpmc_only = true;
			break;
		case 't':
			trips_only = true;
			break;
		case 'n':
			runs = atoi(optarg);
			break;
		case 'b':
			buffers[0] = strtoul(optarg, NULL, 0);
			nr_buffers = 1;
			break;
		case 'p':
			separate = true;
			break;
		case 'z':
			only = strtoul(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (runs < 1 || runs > MAX_RUNS - TRIES || buffers[0] < 16384 || (trips_only && only))
		return 2;
	nr_cpus = place_cpus(cpus, MAX_PROCESSES);
	if (nr_cpus < 2) {
		printf("skipped: two CPUs are needed\n");
		return 4;
	}
#if !__has_include(<ck_ring.h>)
	skip("ck_ring", "the package libck-dev is not installed");
#endif
#ifndef BENCH_DPDK
	skip("DPDK", "the package libdpdk-dev is not installed");
#endif
	if (!bench_rivals_boost->name)
		skip("Boost", "the package libboost-dev is not installed");
	print_overhead();
	shared = map_shared(sizeof(*shared));
	for (i = 0; i < 4; i++) {
		if (only && only != sizes[i])
			continue;
		if (!mpmc_only)
			print_instructions("written and read by one process", BENCH_SPSC, sizes[i]);
		if (!spsc_only)
			print_instructions("written and read by one process, MPMC rings",
					   BENCH_MPMC, sizes[i]);
	}
	printf("rings of the size that is best for each; millions of messages per second, "
	       "nanoseconds per round trip\n");
	for (i = 0; i < 4 && !mpmc_only && !trips_only; i++)
		if (!only || only == sizes[i])
			stream("stream", BENCH_SPSC, sizes[i]);
	if (only && !mpmc_only)
		return 0;
	for (i = 0; i < 2 && !mpmc_only; i++)
		round_trip("round trip", BENCH_SPSC, sizes[i]);
	if (spsc_only)
		return 0;
	for (i = 0; i < 4 && !trips_only; i++) {
		if (only && only != sizes[i])
			continue;
		stream("stream, MPMC rings", BENCH_MPMC, sizes[i]);
		many_block(2, 1, sizes[i]);
		many_block(1, 2, sizes[i]);
		many_block(2, 2, sizes[i]);
	}
	for (i = 0; i < 2 && !only; i++)
		round_trip("round trip, MPMC rings", BENCH_MPMC, sizes[i]);
	return 0;
}
