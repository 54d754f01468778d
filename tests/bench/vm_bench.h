/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the benchmarks of /dev/ipm share. They run in a virtual machine that
 * counts instructions (ICOUNT=1): there the time stamp counter goes up by one
 * with each instruction, whether of the program or of the kernel, and figures
 * repeat where times would not. A "rep" instruction counts once for each byte
 * or word that it moves, so clearing and copying weigh more than they should.
 *
 * A figure is the best of several rounds, since interrupts only ever add. In
 * each round all that are to be compared are measured one after the other.
 */
#ifndef IPM_VM_BENCH_H
#define IPM_VM_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/ipm.h>

#include "report.h"

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define ROUNDS 5
/* Instructions that one measurement takes, more or less. */
#define EFFORT 3000000

#define FIGURES_MAX 256
#define TARGETS_MAX 64

static inline void bench_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

/* The value of a call that must not fail. */
#define must(call)                           \
	({                                   \
		long must_value = (call);    \
		if (must_value < 0)          \
			bench_die(#call);    \
		must_value;                  \
	})

static inline uint64_t instructions(void)
{
	return __builtin_ia32_rdtsc();
}

/* --- what was found --- */

struct bench_figure {
	char *section;
	char *name;
	const char *unit;
	double value;
};

struct bench_target {
	char *name;
	double value;
	double limit;
	bool aim;	/* wished for, not required */
};

static struct {
	const char *program;
	const char *json;
	char **parts;	/* NULL-terminated */
	char kernel[80];
	char *section;
	unsigned int nr_figures;
	unsigned int nr_targets;
	struct bench_figure figures[FIGURES_MAX];
	struct bench_target targets[TARGETS_MAX];
} bench;

/* Until the program ends. */
static inline char *copy(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		bench_die("strdup");
	return copied;
}

/* Begins a table. */
static inline void section(const char *name)
{
	bench.section = copy(name);
	printf("\n%s\n", name);
	fflush(stdout);
}

static inline void note_figure(const char *name, const char *unit, double value)
{
	struct bench_figure *figure = &bench.figures[bench.nr_figures];

	if (bench.nr_figures++ == FIGURES_MAX) {
		fprintf(stderr, "more than %d figures\n", FIGURES_MAX);
		exit(2);
	}
	figure->section = bench.section;
	figure->name = copy(name);
	figure->unit = unit;
	figure->value = value;
}

/*
 * A row for "report": a subject, what it is to us, and for how many (0: it is not about
 * a number). Texts of the section are the case.
 */
static inline void row_of(const char *subject, enum report_role role, uint64_t size,
			  const char *size_unit, const char *unit, const double *values, int count)
{
	const char *name = strrchr(bench.program, '/');
	const struct report_case c = {
		.suite = name ? name + 1 : bench.program, .name = bench.section, .size = size,
		.size_unit = size_unit, .unit = unit, .best = true,
		.metric = strcmp(unit, "bytes") ? "cost" : "memory",
	};

	report_row(&c, subject, role, values, count, NULL);
}

static inline void row(const char *subject, enum report_role role, uint64_t size,
		       const char *size_unit, double value)
{
	row_of(subject, role, size, size_unit, "instructions", &value, 1);
}

static inline void memory_row(const char *subject, enum report_role role, double bytes)
{
	row_of(subject, role, 0, NULL, "bytes", &bytes, 1);
}

/* A line of a table; @ratio is to what the table is about, 0 for none. */
static inline void figure(const char *name, const char *unit, double value, double ratio)
{
	note_figure(name, unit, value);
	printf("  %-56s %12.0f", name, value);
	if (ratio)
		printf("  %7.3f", ratio);
	printf("\n");
	fflush(stdout);
}

static inline void judge(const char *name, double value, double limit, bool aim)
{
	struct bench_target *target = &bench.targets[bench.nr_targets];

	if (bench.nr_targets++ == TARGETS_MAX) {
		fprintf(stderr, "more than %d targets\n", TARGETS_MAX);
		exit(2);
	}
	target->name = copy(name);
	target->value = value;
	target->limit = limit;
	target->aim = aim;
}

/* What must not be more than @limit. */
static inline void target(const char *name, double value, double limit)
{
	judge(name, value, limit, false);
}

/* What should not be more than @limit. */
static inline void aim(const char *name, double value, double limit)
{
	judge(name, value, limit, true);
}

/* --- how it is measured --- */

/*
 * Does the counter count instructions? A loop of two must take two, and what
 * the timer's interrupts add in some of the tries.
 */
static inline bool counts_instructions(void)
{
	uint64_t best = UINT64_MAX;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t turns = 1000000, begin = instructions(), spent;

		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(turns) : : "cc");
		spent = instructions() - begin;
		if (spent < best)
			best = spent;
	}
	return best >= 2000000 && best < 2020000;
}

/* Something to be measured: @run does it once with @arg. */
struct bench_case {
	const char *name;
	void (*run)(void *arg);
	void *arg;
	enum report_role role;
	double best;		/* instructions */
	double rounds[ROUNDS];
	unsigned int times;	/* in one round, 0: as many as fit */
};

static inline double measure_round(struct bench_case *c)
{
	uint64_t begin, spent;
	unsigned int i;

	if (!c->times) {
		begin = instructions();
		c->run(c->arg);
		spent = instructions() - begin;
		c->times = spent > EFFORT / 3 ? 3 : EFFORT / spent;
	}
	begin = instructions();
	for (i = 0; i < c->times; i++)
		c->run(c->arg);
	return (double)(instructions() - begin) / c->times;
}

/* Measures all of these, each in each round. */
static inline void measure(struct bench_case *cases, unsigned int nr)
{
	unsigned int i, round;

	for (i = 0; i < nr; i++) {
		cases[i].best = INFINITY;
		cases[i].run(cases[i].arg);
	}
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < nr; i++) {
			cases[i].rounds[round] = measure_round(&cases[i]);
			cases[i].best = fmin(cases[i].best, cases[i].rounds[round]);
		}
	}
}

/* The lines of a table of instructions, with ratios to its line @base. */
static inline void show(const struct bench_case *cases, unsigned int nr, unsigned int base)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		figure(cases[i].name, "instructions", cases[i].best,
		       cases[i].best / cases[base].best);
		row_of(cases[i].name, cases[i].role, 0, NULL, "instructions", cases[i].rounds,
		       ROUNDS);
	}
}

/* --- begin and end --- */

/* Is the kernel of this version, or of another? */
static inline bool kernel_is(const char *version)
{
	size_t length = strlen(version);

	return !strncmp(bench.kernel, version, length) && bench.kernel[length] == '.';
}

/* A part of a benchmark, by the name under which it can be run alone. */
struct bench_part {
	const char *name;
	void (*run)(void);
};

/* That the rows are of this kernel, and not of the one outside. */
static inline void name_kernel(void)
{
	const char *path = getenv("BENCH_ROWS");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	fprintf(file, "{\"run\": {\"kernel\": \"%s\"}}\n", bench.kernel);
	if (fclose(file))
		bench_die(path);
}

/* Arguments: [-j FILE], where the figures go as JSON; parts, all if none. */
static inline void bench_begin(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	struct utsname kernel;
	int option;

	bench.program = argv[0];
	while ((option = getopt(argc, argv, "j:")) != -1) {
		if (option != 'j') {
			fprintf(stderr, "usage: %s [-j FILE] [PART]...\n", argv[0]);
			exit(2);
		}
		bench.json = optarg;
	}
	if (!counts_instructions()) {
		printf("skipped: %s: this machine does not count instructions; use\n"
		       "\tmake bench-vm\n", argv[0]);
		exit(4);
	}
	bench.parts = argv + optind;
	must(uname(&kernel));
	snprintf(bench.kernel, sizeof(bench.kernel), "%s", kernel.release);
	must(setrlimit(RLIMIT_NOFILE, &files));
	name_kernel();
	printf("\n%s, Linux %s\n", strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0],
	       bench.kernel);
}

static inline void bench_run(const struct bench_part *parts, unsigned int nr)
{
	unsigned int i;
	char **part;

	for (i = 0; i < nr; i++) {
		for (part = bench.parts; *part && strcmp(*part, parts[i].name); part++)
			continue;
		if (*part || !bench.parts[0])
			parts[i].run();
	}
}

static inline void write_json(unsigned int failed)
{
	FILE *file = fopen(bench.json, "w");
	unsigned int i;

	if (!file)
		bench_die(bench.json);
	fprintf(file, "{\n\"kernel\": \"%s\",\n\"failed\": %u,\n\"figures\": [", bench.kernel, failed);
	for (i = 0; i < bench.nr_figures; i++) {
		const struct bench_figure *f = &bench.figures[i];

		fprintf(file,
			"%s\n{\"section\": \"%s\", \"name\": \"%s\", \"unit\": \"%s\", \"value\": %.4f}",
			i ? "," : "", f->section, f->name, f->unit, f->value);
	}
	fprintf(file, "\n],\n\"targets\": [");
	for (i = 0; i < bench.nr_targets; i++) {
		const struct bench_target *t = &bench.targets[i];

		fprintf(file,
			"%s\n{\"name\": \"%s\", \"value\": %.4f, \"limit\": %.4f, \"required\": %s, \"met\": %s}",
			i ? "," : "", t->name, t->value, t->limit, t->aim ? "false" : "true",
			t->value <= t->limit ? "true" : "false");
	}
	fprintf(file, "\n]\n}\n");
	if (fclose(file))
		bench_die(bench.json);
}

/* Prints what was met and what was not; the exit status of the program. */
static inline int bench_end(void)
{
	unsigned int i, failed = 0;

	printf("\ntargets (ratios unless a unit is named)\n");
	for (i = 0; i < bench.nr_targets; i++) {
		const struct bench_target *t = &bench.targets[i];
		bool met = t->value <= t->limit;

		printf("  %-4s %-72s %8.3f, at most %g\n",
		       met ? "PASS" : t->aim ? "MISS" : "FAIL", t->name, t->value, t->limit);
		failed += !met && !t->aim;
	}
	if (bench.json)
		write_json(failed);
	return failed ? 1 : 0;
}

/*
 * Bytes of all kernel objects, as whole pages. Those that wait for an RCU
 * grace period to be freed are given the time.
 */
static inline double slab_bytes(void)
{
	char line[512];
	double sum = 0;
	FILE *file;

	must(usleep(200000));
	file = fopen("/proc/slabinfo", "r");
	if (!file)
		bench_die("/proc/slabinfo");
	while (fgets(line, sizeof(line), file)) {
		unsigned long pages, slabs;

		/* name <objects> : tunables ... : slabdata active slabs sharedavail */
		if (sscanf(line, "%*s %*u %*u %*u %*u %lu : tunables %*u %*u %*u : slabdata %*u %lu",
			   &pages, &slabs) == 2)
			sum += (double)pages * slabs * 4096;
	}
	fclose(file);
	return sum;
}

/*
 * Kernel memory of each of @nr things that @make makes, in bytes. What it returns is
 * closed, and then @forget, which may be NULL, gets rid of what is left.
 */
static inline double bytes_of_each(unsigned int nr, int (*make)(unsigned int i),
				   void (*forget)(unsigned int i))
{
	/* So that the table of file descriptors does not grow meanwhile. */
	int last = must(fcntl(0, F_DUPFD, 60000)), *fds = calloc(nr, sizeof(int));
	double before, each;
	unsigned int i;

	if (!fds)
		bench_die("calloc");
	before = slab_bytes();
	for (i = 0; i < nr; i++)
		fds[i] = make(i);
	each = (slab_bytes() - before) / nr;
	for (i = 0; i < nr; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		if (forget)
			forget(i);
	}
	free(fds);
	close(last);
	return each;
}

/* --- /dev/ipm --- */

static inline int open_device(void)
{
	return must(open("/dev/ipm", O_RDWR | O_CLOEXEC));
}

/* A private segment of one page that can grow to @capacity bytes. */
static inline int create_segment(int device, uint64_t capacity)
{
	struct ipm_create create = {
		.size = 4096,
		.capacity = capacity,
		.access = IPM_READ_WRITE,
		.mode = 0600,
	};

	return must(ioctl(device, IPM_IOC_CREATE, &create));
}

/* Another handle. */
static inline int reopen_segment(int handle)
{
	struct ipm_open again = { .access = IPM_READ_WRITE };

	return must(ioctl(handle, IPM_IOC_REOPEN, &again));
}

static inline uint64_t claim_bytes(int handle, uint64_t offset, uint64_t length, uint32_t mode,
				   uint32_t flags)
{
	struct ipm_claim claim = {
		.offset = offset,
		.length = length,
		.mode = mode,
		.flags = flags,
	};

	must(ioctl(handle, IPM_IOC_CLAIM, &claim));
	return claim.id;
}

static inline void release_claim(int handle, uint64_t id)
{
	struct ipm_release release = { .id = id };

	must(ioctl(handle, IPM_IOC_RELEASE, &release));
}

#endif /* IPM_VM_BENCH_H */
