// SPDX-License-Identifier: GPL-2.0
/*
 * Where processes run, see place.h.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "place.h"

#define WARM_UP 50
#define BATCHES 8

const char *place_name(double line_ns)
{
	return line_ns < PLACE_NEAR_LIMIT ? "near" : "far";
}

int place_cpus(int *cpus, int nr)
{
	int i, found = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set)) {
		perror("sched_getaffinity");
		exit(1);
	}
	for (i = 0; i < CPU_SETSIZE && found < nr; i++)
		if (CPU_ISSET(i, &set))
			cpus[found++] = i;
	return found;
}

void place_pin(int cpu, bool priority)
{
	struct sched_param param = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
	if (priority && sched_setscheduler(0, SCHED_FIFO, &param))
		perror("sched_setscheduler");
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double place_trip(struct place_lines *lines, int me, bool two, int rounds)
{
	static uint64_t number;
	double start = 0;
	int i;

	for (i = 0; i < rounds + WARM_UP; i++) {
		uint64_t *to = two && me ? &lines->other : &lines->line;
		uint64_t *from = two && !me ? &lines->other : &lines->line;

		if (i == WARM_UP)
			start = now();
		number += 2;
		if (!me) {
			__atomic_store_n(to, number, __ATOMIC_RELEASE);
			while (__atomic_load_n(from, __ATOMIC_ACQUIRE) !=
			       (two ? number : number + 1))
				;
		} else {
			while (__atomic_load_n(from, __ATOMIC_ACQUIRE) != number)
				;
			__atomic_store_n(to, two ? number : number + 1,
					 __ATOMIC_RELEASE);
		}
	}
	return (now() - start) / rounds;
}

double place_line(const int cpus[2])
{
	struct place_lines *lines;
	double ns = 0, batch;
	cpu_set_t before;
	pid_t pid;
	int i;

	lines = mmap(NULL, sizeof(*lines), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (lines == MAP_FAILED || sched_getaffinity(0, sizeof(before), &before)) {
		perror("place_line");
		exit(1);
	}
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	place_pin(cpus[!pid], false);
	/* Who is taken off its CPU is not far away. */
	for (i = 0; i < BATCHES; i++) {
		batch = place_trip(lines, !pid, true, 500);
		if (!i || batch < ns)
			ns = batch;
	}
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	if (sched_setaffinity(0, sizeof(before), &before))
		perror("sched_setaffinity");
	munmap(lines, sizeof(*lines));
	return ns;
}
