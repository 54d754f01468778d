/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Figures for the program "report": each row is appended, as a line of JSON, to the file
 * that $BENCH_ROWS names. Without it nothing is written. README.md tells what the fields
 * mean. Not for two processes at once: the one that measures also reports.
 */
#ifndef IPM_BENCH_REPORT_H
#define IPM_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

enum report_role {
	REPORT_IPM,	/* ours, on the rivals' terms */
	REPORT_VARIANT,	/* ours, on other terms: read in place, weaker order */
	REPORT_RIVAL,
	REPORT_LIMIT,	/* no rival, but what the machine can do at all */
};

/* What was measured. Texts may be NULL where there is nothing to say. */
struct report_case {
	const char *suite, *name;
	uint64_t size;
	const char *size_unit;		/* NULL: bytes */
	const char *participants;	/* producers x consumers */
	const char *metric;		/* NULL: throughput or round trip, by @higher */
	const char *unit;
	bool higher;			/* is better */
	bool best;			/* the least of the values counts, not the median */
	double line_ns;			/* bare round trip meanwhile, 0: not measured */
	int processes, cpus;		/* that they run on; 0: always enough */
	double buffer;			/* bytes of the subject's buffer, 0: not chosen by us */
	double held;			/* messages on the way at that time, 0: not measured */
};

#define REPORT_PERCENTILES 3		/* p50, p99, p99.9 */

/* From here on, other people's use of the CPUs goes to the rows that follow. */
void report_begin(void);

void report_row(const struct report_case *c, const char *subject, enum report_role role,
		const double *values, int count, const double *percentiles);

/* Why there is no figure. Also said in the terminal. */
void report_skip(const struct report_case *c, const char *subject, enum report_role role,
		 const char *reason);

/*
 * Sorts @samples and takes the percentiles of a row from them. Those that so few samples
 * do not tell are NAN, and left out of the row: p99 of less than 100, p99.9 of 1,000.
 */
void report_percentiles(double *samples, int count, double *percentiles);

/* Prints them, those that there are. */
void report_print_percentiles(const double *percentiles);

/* The median; sorts. */
double report_median(double *values, int count);

#endif /* IPM_BENCH_REPORT_H */
