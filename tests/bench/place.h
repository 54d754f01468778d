/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where processes run, and how far that is from each other. Two virtual CPUs sit
 * on one core, side by side, or at both ends of the machine, and the host moves them: that
 * alone changes a round trip several times over. So each result carries the round
 * trip of a bare cache line at that time.
 */
#ifndef IPM_BENCH_PLACE_H
#define IPM_BENCH_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A clock that costs little; its unit is found by comparing it with another. */
static inline uint64_t place_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
#endif
}

/*
 * Nanoseconds of a bare round trip with a line for each way, above which two CPUs
 * are far from each other.
 */
#define PLACE_NEAR_LIMIT 300

/* "near" or "far". */
const char *place_name(double line_ns);

/* The first @nr CPUs that we may use; returns how many there are. */
int place_cpus(int *cpus, int nr);

/* Keeps this process on a CPU, if wanted with a real-time priority. */
void place_pin(int cpu, bool priority);

struct place_lines {
	__attribute__((aligned(128))) uint64_t line;
	__attribute__((aligned(128))) uint64_t other;
};

/*
 * Nanoseconds of one round trip between two processes that call this at the same time,
 * with @me 0 and 1; over one line for both ways, or one for each.
 */
double place_trip(struct place_lines *lines, int me, bool two, int rounds);

/* The same with a line for each way, and a child for this moment on the second CPU. */
double place_line(const int cpus[2]);

#endif /* IPM_BENCH_PLACE_H */
