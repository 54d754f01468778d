// SPDX-License-Identifier: GPL-2.0
/*
 * Rings against their rivals: throughput with one producer and one consumer,
 * round trips, and many-to-many, in two processes pinned to two CPUs.
 *
 *	ring_bench [-q] [-r] [-n runs] [-b bytes of ring] [-s] [-m] [-z size]
 *		-q	tries everything once with few messages, and measures nothing
 *		-r	real-time priority (needs the right): for a busy machine
 *		-s	only one producer and one consumer
 *		-m	only MPMC rings
 *		-z	only throughput with messages of this size; with -m, of MPMC rings
 *
 * All transports run in the same two processes, in turn, in short pieces, so
 * that what disturbs one disturbs all. A piece during which either process was
 * taken off its CPU is thrown away. Printed are medians, quartiles, and ratios
 * to the best rival. Beside each block stands the round trip of a bare cache
 * line at that moment: virtual CPUs move between "near" and "far" (place.h).
 */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <ipm/ipm_ring.h>

#include "place.h"
#include "report.h"
#include "ring_bench.h"

#define MAX_TRANSPORTS 24
#define MAX_RUNS 101
#define ROUND_TRIPS 400

/* Rivals get the size that suits most of them best. */
#define RIVAL_BYTES 65536

static size_t ring_bytes = 262144;
static int runs = 15;
static bool quick;

/* --- our own --- */

static int ipm_create(void *memory, size_t bytes, ipm_ring_kind kind)
{
	ipm_ring_options o = { .struct_size = sizeof(o), .kind = kind };
	size_t size;

	/* Lanes: the same memory for each producer as the others have in all. */
	if (kind == IPM_RING_KIND_LANES)
		o.lanes = 2;
	if (ipm_ring_footprint(&o, ring_bytes, &size) || size > bytes)
		return -1;
	return ipm_ring_create(&o, memory, size) ? -1 : 0;
}

static int spsc_create(void *memory, size_t bytes, size_t size)
{
	(void)size;
	return ipm_create(memory, bytes, IPM_RING_KIND_SPSC);
}

static int mpmc_create(void *memory, size_t bytes, size_t size)
{
	(void)size;
	return ipm_create(memory, bytes, IPM_RING_KIND_MPMC);
}

static int lanes_create(void *memory, size_t bytes, size_t size)
{
	(void)size;
	return ipm_create(memory, bytes, IPM_RING_KIND_LANES);
}

static bool ipm_alive(void *param, uint32_t slot, uint32_t generation)
{
	(void)param;
	(void)slot;
	(void)generation;
	return true;
}

static void *ipm_open(void *memory, size_t bytes, size_t size, unsigned int roles)
{
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = (roles & BENCH_PRODUCER ? IPM_RING_PRODUCER : 0) |
			 (roles & BENCH_CONSUMER ? IPM_RING_CONSUMER : 0),
		.slot = (uint32_t)getpid() % IPM_RING_MAX_SLOTS,
		.liveness = { ipm_alive, NULL },
	};
	ipm_ring *ring = NULL;

	(void)size;
	if (ipm_ring_attach(NULL, &o, memory, bytes, &ring))
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

/* --- the two processes --- */

struct shared {
	_Alignas(128) uint64_t phase[2];
	_Alignas(128) uint64_t disturbed[2];
	_Alignas(128) uint64_t received[2];
	struct place_lines lines;
};

static struct shared *shared;
static int cpus[2];
static int me;			/* 0 or 1 */
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

/* Both processes are here at the same time, and running. */
static void meet(void)
{
	unsigned int spins = 0;

	__atomic_store_n(&shared->phase[me], ++phase, __ATOMIC_RELEASE);
	while (__atomic_load_n(&shared->phase[!me], __ATOMIC_ACQUIRE) < phase) {
		bench_pause();
		if (++spins % 4096 == 0)
			sched_yield();
	}
}

static uint64_t switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_nivcsw;
}

/* Was one of us off its CPU since @before? Both get the same answer. */
static bool disturbed(uint64_t before)
{
	bool result;

	shared->disturbed[me] = switches() - before;
	meet();
	result = shared->disturbed[0] || shared->disturbed[1];
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

static uint64_t messages_per_piece(size_t size)
{
	if (quick)
		return 40;
	return size >= 4096 ? 400 : size >= 256 ? 4000 : size >= 64 ? 8000 : 30000;
}

struct lane_of_bench {
	const struct bench_transport *t;
	void *handle, *back;	/* our ends of the ring(s) */
	void *memory[2];
	uint64_t first;
	struct result result;
	double *trips;		/* nanoseconds of each */
	int nr_trips;
};

static struct lane_of_bench list[MAX_TRANSPORTS];
static int list_count;

static void choose(unsigned int kind, size_t size)
{
	const struct bench_transport *const sources[] = { ours, bench_rivals_c,
							  bench_rivals_boost };
	const struct bench_transport *t;
	size_t s, bytes;

	list_count = 0;
	for (s = 0; s < 3; s++) {
		for (t = sources[s]; t->name; t++) {
			struct lane_of_bench *l = &list[list_count];

			if (!(t->kinds & kind) || list_count == MAX_TRANSPORTS)
				continue;
			memset(l, 0, sizeof(*l));
			l->t = t;
			l->first = 1;
			l->trips = calloc(MAX_RUNS * ROUND_TRIPS, sizeof(double));
			if (!l->trips) {
				perror("ring_bench");
				exit(1);
			}
			l->memory[0] = map_shared(4 * ring_bytes + 131072);
			l->memory[1] = map_shared(4 * ring_bytes + 131072);
			bytes = t->kinds & BENCH_OURS ? 4 * ring_bytes + 131072 : RIVAL_BYTES;
			if (t->create(l->memory[0], bytes, size) ||
			    t->create(l->memory[1], bytes, size)) {
				printf("skipped: %s cannot make such a ring\n", t->name);
				free(l->trips);
				continue;
			}
			list_count++;
		}
	}
}

static void forget(void)
{
	int i;

	for (i = 0; i < list_count; i++) {
		munmap(list[i].memory[0], 4 * ring_bytes + 131072);
		munmap(list[i].memory[1], 4 * ring_bytes + 131072);
		free(list[i].trips);
	}
}

/* Who does what where both processes use one ring; 0: one ring each way. */
static unsigned int roles[2];

static void open_all(size_t size)
{
	bool one_ring = roles[0];
	int i;

	for (i = 0; i < list_count; i++) {
		struct lane_of_bench *l = &list[i];
		unsigned int first = one_ring ? roles[me] : me ? BENCH_CONSUMER : BENCH_PRODUCER;
		unsigned int second = me ? BENCH_PRODUCER : BENCH_CONSUMER;
		size_t bytes = l->t->kinds & BENCH_OURS ? 4 * ring_bytes + 131072 : RIVAL_BYTES;

		l->handle = l->t->open(l->memory[0], bytes, size, first);
		l->back = one_ring ? NULL : l->t->open(l->memory[1], bytes, size, second);
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

/* All in one ring; each process writes, reads, or does both. */
static void piece_mixed(struct lane_of_bench *l, size_t size)
{
	bool two = roles[0] & roles[1] & BENCH_PRODUCER;
	uint64_t all = messages_per_piece(size), sent = 0, got = 0, before;
	uint64_t n = roles[me] & BENCH_PRODUCER ? two ? all / 2 : all : 0;
	unsigned char out[BENCH_MAX_SIZE] = { 1 }, in[BENCH_MAX_SIZE];
	double start;

	shared->received[me] = 0;
	meet();
	before = switches();
	start = now();
	for (;;) {
		int k;

		for (k = 0; k < 8 && sent < n; k++) {
			memcpy(out, &sent, 8);
			if (l->t->try_send(l->handle, size, out))
				break;
			sent++;
		}
		for (k = 0; k < 8; k++) {
			if (!(roles[me] & BENCH_CONSUMER) ||
			    l->t->try_receive(l->handle, size, in))
				break;
			bench_use(in);
			got++;
		}
		if (k < 8) {
			__atomic_store_n(&shared->received[me], got, __ATOMIC_RELAXED);
			if (sent == n &&
			    got + __atomic_load_n(&shared->received[!me],
						  __ATOMIC_RELAXED) >= all)
				break;
		}
	}
	start = now() - start;
	if (!disturbed(before))
		add(&l->result, (double)all / start * 1e-6);
}

static void report_block(const struct report_case *c, struct result *two)
{
	double percentiles[REPORT_PERCENTILES];
	int i;

	for (i = 0; i < list_count; i++) {
		struct lane_of_bench *l = &list[i];
		unsigned int kinds = l->t->kinds;
		enum report_role role = !(kinds & BENCH_OURS) ? REPORT_RIVAL :
					kinds & BENCH_VARIANT ? REPORT_VARIANT : REPORT_IPM;

		if (l->nr_trips)
			report_percentiles(l->trips, l->nr_trips, percentiles);
		report_row(c, l->t->name, role, l->result.values, l->result.count,
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

		if (list[i].t->kinds & BENCH_OURS || !m)
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

		printf("  %-26s %8.1f   (%.1f to %.1f, %d pieces)", list[i].t->name, m,
		       quantile(r, 25), quantile(r, 75), r->count);
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

/* @roles_0, @roles_1: who does what in one ring; 0: one ring each way. */
static void block(const char *what, unsigned int kind, size_t size, unsigned int roles_0,
		  unsigned int roles_1, piece_function *piece, bool higher)
{
	static const char *const participants[] = { "1x1", "1x2", "2x1", "2x2" };
	unsigned int both = roles_0 & roles_1;
	struct report_case c = {
		.suite = "ring", .name = what, .size = size, .higher = higher,
		.unit = higher ? "million/s" : "ns",
		.participants = participants[(both & BENCH_PRODUCER) * 2 + !!(both & BENCH_CONSUMER)],
	};
	struct result bare = { .count = 0 }, two = { .count = 0 };
	int run, i, rounds;
	pid_t pid;

	report_begin();
	roles[0] = roles_0;
	roles[1] = roles_1;
	memset(shared, 0, sizeof(*shared));
	phase = 0;
	choose(kind, size);
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("ring_bench: fork");
		exit(1);
	}
	me = pid ? 1 : 0;
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	place_pin(cpus[me], priority);
	open_all(size);
	/* Some pieces are thrown away: go on until there are enough. */
	for (run = 0, rounds = 0; run < runs && rounds < 4 * runs; rounds++) {
		uint64_t before;
		double line;

		meet();
		before = switches();
		line = place_trip(&shared->lines, me, false, ROUND_TRIPS);
		if (!disturbed(before))
			add(&bare, line);
		meet();
		before = switches();
		line = place_trip(&shared->lines, me, true, ROUND_TRIPS);
		if (!disturbed(before))
			add(&two, line);
		run = MAX_RUNS;
		for (i = 0; i < list_count; i++) {
			piece(&list[i], size);
			if (list[i].result.count < run)
				run = list[i].result.count;
		}
		/* Others want to run too. */
		usleep(2000);
	}
	if (!pid)
		_exit(0);
	for (i = 0; i < list_count; i++)
		list[i].t->close(list[i].handle);
	waitpid(pid, NULL, 0);
	c.line_ns = quantile(&two, 50);
	print_block(&c, &two, &bare);
	report_block(&c, &two);
	forget();
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
	/* Two processes are three or four participants, so that none shares a CPU. */
	static const unsigned int many[3][2] = {
		{ BENCH_PRODUCER, BENCH_PRODUCER | BENCH_CONSUMER },
		{ BENCH_PRODUCER | BENCH_CONSUMER, BENCH_CONSUMER },
		{ BENCH_PRODUCER | BENCH_CONSUMER, BENCH_PRODUCER | BENCH_CONSUMER },
	};
	bool spsc_only = false, mpmc_only = false;
	int option;
	size_t i, j, only = 0;

	while ((option = getopt(argc, argv, "qrsmn:b:z:")) != -1) {
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
		case 'n':
			runs = atoi(optarg);
			break;
		case 'b':
			ring_bytes = strtoul(optarg, NULL, 0);
			break;
		case 'z':
			only = strtoul(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (runs < 1 || runs > MAX_RUNS || ring_bytes < 16384)
		return 2;
	if (place_cpus(cpus, 2) < 2) {
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
	printf("rings of %zu bytes (rivals: %d); millions of messages per second, nanoseconds per round trip\n",
	       ring_bytes, RIVAL_BYTES);
	for (i = 0; i < 4 && !mpmc_only; i++)
		if (!only || only == sizes[i])
			block("stream", BENCH_SPSC, sizes[i], 0, 0, piece_stream, true);
	if (only && !mpmc_only)
		return 0;
	for (i = 0; i < 2 && !mpmc_only; i++)
		block("round trip", BENCH_SPSC, sizes[i], 0, 0, piece_round_trip, false);
	if (spsc_only)
		return 0;
	for (i = 0; i < 4; i++) {
		if (only && only != sizes[i])
			continue;
		block("stream, MPMC rings", BENCH_MPMC, sizes[i], 0, 0, piece_stream, true);
		for (j = 0; j < 3; j++)
			block("stream, MPMC rings", BENCH_MPMC, sizes[i], many[j][0], many[j][1],
			      piece_mixed, true);
	}
	for (i = 0; i < 2 && !only; i++)
		block("round trip, MPMC rings", BENCH_MPMC, sizes[i], 0, 0, piece_round_trip,
		      false);
	return 0;
}
