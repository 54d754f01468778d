// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of results, see report.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "place.h"
#include "report.h"

static const char *const percentile_names[REPORT_PERCENTILES] = { "p50", "p99", "p99.9" };
static const char *const roles[] = { "ipm", "variant", "rival", "limit" };

/* --- who else used the CPUs --- */

static double begun, busy_before, own_before;

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

/* CPU seconds of this process and of its children that have ended. */
static double own_cpu(void)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return seconds(self.ru_utime) + seconds(self.ru_stime) + seconds(children.ru_utime) +
	       seconds(children.ru_stime);
}

/* CPU seconds of everybody, and those that the host took away. */
static double all_cpu(void)
{
	unsigned long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0, steal = 0;
	FILE *file = fopen("/proc/stat", "r");

	if (!file)
		return 0;
	if (fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu %llu", &user, &nice, &system, &irq,
		   &softirq, &steal) != 6)
		user = 0;
	fclose(file);
	return (double)(user + nice + system + irq + softirq + steal) /
	       (double)sysconf(_SC_CLK_TCK);
}

static double clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void report_begin(void)
{
	begun = clock_seconds();
	busy_before = all_cpu();
	own_before = own_cpu();
}

/* What others took since report_begin(), as a part of one CPU; -1: too short to tell. */
static double others(void)
{
	double spent = clock_seconds() - begun, share;

	if (!begun || spent < 0.5)
		return -1;
	share = (all_cpu() - busy_before - (own_cpu() - own_before)) / spent;
	return share > 0 ? share : 0;
}

/* --- rows --- */

static FILE *rows(void)
{
	const char *path = getenv("BENCH_ROWS");
	FILE *file;

	if (!path || !*path)
		return NULL;
	file = fopen(path, "a");
	if (!file)
		perror(path);
	return file;
}

static void put_text(FILE *file, const char *name, const char *text)
{
	fprintf(file, "\"%s\": \"", name);
	for (; text && *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		if ((unsigned char)*text >= ' ')
			fputc(*text, file);
	}
	fprintf(file, "\", ");
}

static void put_case(FILE *file, const struct report_case *c, const char *subject,
		     enum report_role role)
{
	fputc('{', file);
	put_text(file, "suite", c->suite);
	put_text(file, "case", c->name);
	fprintf(file, "\"size\": %llu, ", (unsigned long long)c->size);
	put_text(file, "size_unit", c->size_unit ? c->size_unit : "bytes");
	put_text(file, "participants", c->participants);
	put_text(file, "subject", subject);
	put_text(file, "role", roles[role]);
	put_text(file, "metric", c->metric ? c->metric : c->higher ? "throughput" : "round trip");
	put_text(file, "unit", c->unit);
	put_text(file, "better", c->higher ? "higher" : "lower");
	if (c->best)
		put_text(file, "statistic", "best");
	if (c->line_ns > 0) {
		put_text(file, "placement", place_name(c->line_ns));
		fprintf(file, "\"line_ns\": %.1f, ", c->line_ns);
	}
	if (c->processes)
		fprintf(file, "\"processes\": %d, \"cpus\": %d, ", c->processes, c->cpus);
	if (c->buffer > 0)
		fprintf(file, "\"buffer\": %.0f, ", c->buffer);
	if (c->held > 0)
		fprintf(file, "\"held\": %.8g, ", c->held);
}

void report_row(const struct report_case *c, const char *subject, enum report_role role,
		const double *values, int count, const double *percentiles)
{
	double share = others();
	FILE *file;
	int i = 0;

	if (!count) {
		report_skip(c, subject, role, "every run was disturbed");
		return;
	}
	file = rows();
	if (!file)
		return;
	put_case(file, c, subject, role);
	if (share >= 0)
		fprintf(file, "\"others\": %.3f, ", share);
	for (i = 0; percentiles && i < REPORT_PERCENTILES && !isnan(percentiles[i]); i++)
		fprintf(file, "%s\"%s\": %.4g", i ? ", " : "\"percentiles\": {",
			percentile_names[i], percentiles[i]);
	if (i)
		fprintf(file, "}, ");
	fprintf(file, "\"values\": [");
	for (i = 0; i < count; i++)
		fprintf(file, "%s%.8g", i ? ", " : "", values[i]);
	fprintf(file, "]}\n");
	if (fclose(file))
		perror("BENCH_ROWS");
}

void report_skip(const struct report_case *c, const char *subject, enum report_role role,
		 const char *reason)
{
	FILE *file = rows();

	printf("skipped: %s: %s\n", subject, reason);
	if (!file)
		return;
	put_case(file, c, subject, role);
	put_text(file, "skipped", reason);
	/* The last comma needs something behind it. */
	fprintf(file, "\"values\": []}\n");
	if (fclose(file))
		perror("BENCH_ROWS");
}

/* --- medians --- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void report_percentiles(double *samples, int count, double *percentiles)
{
	static const double parts[REPORT_PERCENTILES] = { 0.5, 0.99, 0.999 };
	static const int least[REPORT_PERCENTILES] = { 1, 100, 1000 };
	int i;

	qsort(samples, (size_t)count, sizeof(*samples), compare);
	for (i = 0; i < REPORT_PERCENTILES; i++)
		percentiles[i] = count >= least[i] ? samples[(int)((count - 1) * parts[i])] : NAN;
}

void report_print_percentiles(const double *percentiles)
{
	int i;

	for (i = 0; i < REPORT_PERCENTILES && !isnan(percentiles[i]); i++)
		printf("%s%s %.0f", i ? ", " : "   ", percentile_names[i], percentiles[i]);
}

double report_median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
