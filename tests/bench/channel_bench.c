// SPDX-License-Identifier: GPL-2.0
/*
 * Channels against what they are made of: a wake-up against a bare futex pair, a
 * busy channel against the bare ring. Two processes on two CPUs, both rivals in turn,
 * medians.
 *
 *	channel_bench [runs]
 *	channel_bench -q	tries everything once with few messages, and measures nothing
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ipm/ipm_channel.h>

#include "place.h"
#include "report.h"
#include "ring_bench.h"

#define MAX_RUNS 101
#define RING_BYTES 65536
#define AREA (1 << 20)

static bool quick;
static int cpus[2] = { 0, 0 };
static uint32_t wake_rounds = 20000, trip_rounds = 200000, messages = 4000000;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "channel_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/* Two directions, whatever they are made of. */
struct pair {
	void *memory[2];
	uint32_t *start;
	void *table;	/* who is alive */
};

#define TABLE 65536

static ipm_participants *self;
static uint32_t slot, generation;

static void join(struct pair *p)
{
	if (ipm_participants_join(NULL, p->table, TABLE, &self, &slot, &generation))
		die("cannot become a participant");
}

/* Runs @echo in a child and @drive here; nanoseconds of @drive. */
static int64_t run(struct pair *p, void (*echo)(struct pair *), int64_t (*drive)(struct pair *))
{
	int64_t ns;
	int status;
	pid_t pid;

	*p->start = 0;
	if (ipm_participants_create(p->table, TABLE, 2))
		die("cannot make a table of participants");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		place_pin(cpus[1], false);
		join(p);
		echo(p);
		_exit(0);
	}
	place_pin(cpus[0], false);
	join(p);
	ns = drive(p);
	waitpid(pid, &status, 0);
	ipm_participants_leave(self);
	if (status)
		die("the other process");
	return ns;
}

static void ready(struct pair *p)
{
	__atomic_store_n(p->start, 1, __ATOMIC_RELEASE);
}

static void until_ready(struct pair *p)
{
	while (!__atomic_load_n(p->start, __ATOMIC_ACQUIRE))
		sched_yield();
}

/* --- single trips --- */

#define TIMED 20000		/* of each run, those that are timed one by one */

static uint64_t at[TIMED + 1];

/* Nanoseconds of each in all runs; and where those of the next run go. */
static struct samples {
	double *trips;
	int nr;
} bare_trips, our_trips, *into;

static void make_samples(struct samples *samples, int runs)
{
	samples->trips = calloc((size_t)runs * TIMED, sizeof(double));
	if (!samples->trips)
		die("calloc");
}

static void clock_trip(uint32_t i)
{
	if (i <= TIMED)
		at[i] = place_ticks();
}

/* After @count trips that took @ns; a tick is as long as they say. */
static void keep_trips(uint32_t count, int64_t ns, uint64_t ticks)
{
	double tick = (double)ns / (double)ticks;
	uint32_t i;

	for (i = 0; i + 1 < count && i < TIMED; i++)
		into->trips[into->nr++] = (double)(at[i + 1] - at[i]) * tick;
}

/* --- bare futexes --- */

static void futex_wait(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_await(uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != value)
		futex_wait(word, seen);
}

static void futex_echo(struct pair *p)
{
	uint32_t i;

	ready(p);
	for (i = 1; i <= wake_rounds; i++) {
		futex_await(p->memory[0], i);
		futex_set(p->memory[1], i);
	}
}

static int64_t futex_drive(struct pair *p)
{
	int64_t start;
	uint32_t i;

	until_ready(p);
	start = now();
	for (i = 1; i <= wake_rounds; i++) {
		clock_trip(i - 1);
		futex_set(p->memory[0], i);
		futex_await(p->memory[1], i);
	}
	start = now() - start;
	keep_trips(wake_rounds, start, place_ticks() - at[0]);
	return start;
}

/* --- channels --- */

static uint32_t polls;
static ipm_ring_kind kind;

static void make_channel(void *memory)
{
	ipm_channel_options o = {
		.struct_size = sizeof(o),
		.ring = { .struct_size = sizeof(o.ring), .kind = kind },
	};
	size_t size;

	if (ipm_channel_footprint(&o, RING_BYTES, &size) || size > AREA ||
	    ipm_channel_create(&o, memory, size))
		die("cannot make a channel");
}

static ipm_channel *open_channel(void *memory, uint32_t roles)
{
	ipm_channel_attach_options o = {
		.struct_size = sizeof(o), .roles = roles, .slot = slot, .generation = generation,
		.liveness = { ipm_participants_alive, self },
		/* Naps would only hide a wake-up that was missed. */
		.config = { .max_round_trips = polls, .start_sleep_ns = 1000000000 },
	};
	ipm_channel *channel;

	if (ipm_channel_attach(NULL, &o, memory, AREA, &channel))
		die("cannot attach to a channel");
	return channel;
}

static uint32_t rounds;

static void channel_echo(struct pair *p)
{
	ipm_channel *in = open_channel(p->memory[0], IPM_RING_CONSUMER);
	ipm_channel *out = open_channel(p->memory[1], IPM_RING_PRODUCER);
	uint64_t message;
	size_t size;
	uint32_t i;

	ready(p);
	for (i = 0; i < rounds; i++)
		if (ipm_channel_read(in, &message, sizeof(message), &size, NULL) ||
		    ipm_channel_write(out, &message, sizeof(message)))
			_exit(1);
}

static int64_t channel_drive(struct pair *p)
{
	ipm_channel *out = open_channel(p->memory[0], IPM_RING_PRODUCER);
	ipm_channel *in = open_channel(p->memory[1], IPM_RING_CONSUMER);
	uint64_t message, i;
	int64_t start;
	size_t size;

	until_ready(p);
	start = now();
	for (i = 0; i < rounds; i++) {
		clock_trip((uint32_t)i);
		if (ipm_channel_write(out, &i, sizeof(i)) ||
		    ipm_channel_read(in, &message, sizeof(message), &size, NULL) || message != i)
			die("a message is wrong");
	}
	start = now() - start;
	keep_trips(rounds, start, place_ticks() - at[0]);
	ipm_channel_detach(in);
	ipm_channel_detach(out);
	return start;
}

static size_t message_size;

static void channel_stream(struct pair *p)
{
	ipm_channel *out = open_channel(p->memory[0], IPM_RING_PRODUCER);
	unsigned char message[4096] = { 1 };
	uint64_t i;

	ready(p);
	for (i = 0; i < messages; i++)
		if (ipm_channel_write(out, message, message_size))
			_exit(1);
}

static int64_t channel_drain(struct pair *p)
{
	ipm_channel *in = open_channel(p->memory[0], IPM_RING_CONSUMER);
	unsigned char message[4096];
	int64_t start;
	uint64_t i;
	size_t size;

	until_ready(p);
	start = now();
	for (i = 0; i < messages; i++)
		if (ipm_channel_read(in, message, sizeof(message), &size, NULL))
			die("a message is missing");
	start = now() - start;
	ipm_channel_detach(in);
	return start;
}

/* --- the bare ring, polled --- */

static void make_ring(void *memory)
{
	ipm_ring_options o = { .struct_size = sizeof(o), .kind = kind };
	size_t size;

	if (ipm_ring_footprint(&o, RING_BYTES, &size) || size > AREA ||
	    ipm_ring_create(&o, memory, size))
		die("cannot make a ring");
}

static ipm_ring *open_ring(void *memory, uint32_t roles)
{
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o), .roles = roles, .slot = slot, .generation = generation,
		.liveness = { ipm_participants_alive, self },
	};
	ipm_ring *ring;

	if (ipm_ring_attach(NULL, &o, memory, AREA, &ring))
		die("cannot attach to a ring");
	return ring;
}

static void ring_stream(struct pair *p)
{
	ipm_ring *out = open_ring(p->memory[0], IPM_RING_PRODUCER);
	unsigned char message[4096] = { 1 };
	uint64_t i;

	ready(p);
	for (i = 0; i < messages; i++)
		while (ipm_ring_write(out, message, message_size))
			bench_pause();
}

static int64_t ring_drain(struct pair *p)
{
	ipm_ring *in = open_ring(p->memory[0], IPM_RING_CONSUMER);
	unsigned char message[4096];
	int64_t start;
	uint64_t i;
	size_t size;

	until_ready(p);
	start = now();
	for (i = 0; i < messages; i++)
		while (ipm_ring_read(in, message, sizeof(message), &size, NULL))
			bench_pause();
	start = now() - start;
	ipm_ring_detach(in);
	return start;
}

/* --- medians --- */

static double lines[MAX_RUNS];

/* Before each run: near or far may change any time. */
static void look(struct pair *p, int i)
{
	(void)p;
	if (!i)
		report_begin();
	lines[i] = quick ? 0 : place_line(cpus);
}

static struct report_case about(const char *name, size_t size, bool higher, int runs)
{
	return (struct report_case){
		.suite = "channel", .name = name, .size = size, .participants = "1x1",
		.unit = higher ? "million/s" : "ns", .higher = higher,
		.line_ns = report_median(lines, runs),
	};
}

/* A row with what the single trips tell. */
static void report_trips(const struct report_case *c, const char *subject, enum report_role role,
			 const double *values, int runs, struct samples *samples)
{
	double percentiles[REPORT_PERCENTILES];

	report_percentiles(samples->trips, samples->nr, percentiles);
	report_row(c, subject, role, values, runs, percentiles);
	printf("  %-12s", subject);
	report_print_percentiles(percentiles);
	printf("\n");
}

static void bench_wake(struct pair *p, int runs)
{
	double bare[MAX_RUNS], ours[MAX_RUNS], ratio[MAX_RUNS];
	struct report_case c;
	int i;

	bare_trips.nr = our_trips.nr = 0;
	polls = IPM_CHANNEL_NO_POLLS;
	rounds = wake_rounds;
	for (i = 0; i < runs; i++) {
		look(p, i);
		memset(p->memory[0], 0, 64);
		memset(p->memory[1], 0, 64);
		into = &bare_trips;
		bare[i] = (double)run(p, futex_echo, futex_drive) / wake_rounds;
		make_channel(p->memory[0]);
		make_channel(p->memory[1]);
		into = &our_trips;
		ours[i] = (double)run(p, channel_echo, channel_drive) / wake_rounds;
		ratio[i] = ours[i] / bare[i];
	}
	printf("wake-up round trip, both asleep: futex pair %.0f ns, channel %.0f ns, ratio %.2f\n",
	       report_median(bare, runs), report_median(ours, runs), report_median(ratio, runs));
	c = about("wake-up round trip, both asleep", 4, false, runs);
	report_trips(&c, "ipm channel", REPORT_IPM, ours, runs, &our_trips);
	report_trips(&c, "futex pair", REPORT_LIMIT, bare, runs, &bare_trips);
}

static void bench_round_trip(struct pair *p, int runs)
{
	double ours[MAX_RUNS];
	struct report_case c;
	int i;

	our_trips.nr = 0;
	into = &our_trips;
	polls = 1000000000;
	rounds = trip_rounds;
	for (i = 0; i < runs; i++) {
		look(p, i);
		make_channel(p->memory[0]);
		make_channel(p->memory[1]);
		ours[i] = (double)run(p, channel_echo, channel_drive) / trip_rounds;
	}
	printf("round trip, both awake: channel %.0f ns\n", report_median(ours, runs));
	c = about("round trip, both awake", 8, false, runs);
	report_trips(&c, "ipm channel", REPORT_IPM, ours, runs, &our_trips);
	report_row(&c, "line", REPORT_LIMIT, lines, runs, NULL);
}

static void bench_stream(struct pair *p, int runs, size_t size)
{
	double bare[MAX_RUNS], ours[MAX_RUNS], ratio[MAX_RUNS];
	const uint32_t all = messages;
	struct report_case c;
	int i;

	message_size = size;
	messages = size < 4096 || quick ? all : all / 8;
	/* Polling as long as it takes, as the bare ring does. */
	polls = 1000000000;
	for (i = 0; i < runs; i++) {
		look(p, i);
		make_ring(p->memory[0]);
		bare[i] = messages * 1e3 / (double)run(p, ring_stream, ring_drain);
		make_channel(p->memory[0]);
		ours[i] = messages * 1e3 / (double)run(p, channel_stream, channel_drain);
		ratio[i] = ours[i] / bare[i];
	}
	printf("%s, %4zu bytes, million a second: ring %.1f, channel %.1f, ratio %.2f\n",
	       kind == IPM_RING_KIND_SPSC ? "SPSC" : "MPMC", size, report_median(bare, runs),
	       report_median(ours, runs), report_median(ratio, runs));
	c = about(kind == IPM_RING_KIND_SPSC ? "stream, both awake" : "stream, both awake, MPMC", size,
		  true, runs);
	report_row(&c, "ipm channel", REPORT_IPM, ours, runs, NULL);
	report_row(&c, "ipm ring, polled", REPORT_VARIANT, bare, runs, NULL);
	messages = all;
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 8, 64, 256, 4096 };
	int runs, i;
	struct pair p;

	quick = argc > 1 && !strcmp(argv[1], "-q");
	runs = quick ? 1 : argc > 1 ? atoi(argv[1]) : 9;
	if (quick)
		wake_rounds = trip_rounds = messages = 100;
	if (runs < 1 || runs > MAX_RUNS) {
		fprintf(stderr, "usage: channel_bench [-q | runs, 1 to %d]\n", MAX_RUNS);
		return 2;
	}
	if (place_cpus(cpus, 2) < 2) {
		puts("skipped: needs two CPUs");
		return 4;
	}
	make_samples(&bare_trips, runs);
	make_samples(&our_trips, runs);
	p.memory[0] = shared(AREA);
	p.memory[1] = shared(AREA);
	p.start = shared(4096);
	p.table = shared(TABLE);
	kind = IPM_RING_KIND_SPSC;
	bench_wake(&p, runs);
	bench_round_trip(&p, runs);
	for (i = 0; i < 4; i++)
		bench_stream(&p, runs, sizes[i]);
	kind = IPM_RING_KIND_MPMC;
	for (i = 0; i < 4; i++)
		bench_stream(&p, runs, sizes[i]);
	return 0;
}
