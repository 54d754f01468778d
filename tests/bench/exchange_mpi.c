// SPDX-License-Identifier: GPL-2.0
/*
 * The same as exchange_bench.c with Open MPI's shared memory:
 *
 *	mpirun -np 2 --bind-to core exchange_mpi [runs]
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"
#include "report.h"

#define LARGEST ((size_t)64 << 20)
#define MAX_RUNS 51
#define TRIPS_MAX 2000		/* in a run */

static uint64_t at[TRIPS_MAX + 1];

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 8, 1024, 4096, 65536, 1 << 20, 4 << 20, LARGEST };
	unsigned char *data = malloc(LARGEST);
	int runs = argc > 1 ? atoi(argv[1]) : 9, rank, i;
	double times[MAX_RUNS], line[MAX_RUNS], *trips = calloc(MAX_RUNS * TRIPS_MAX, sizeof(double));
	struct place_lines *lines;
	MPI_Win window;
	size_t s;

	if (!data || !trips || runs < 1 || runs > MAX_RUNS)
		return 2;
	memset(data, 1, LARGEST);
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Win_allocate_shared(rank ? 0 : 2 * sizeof(*lines), 1, MPI_INFO_NULL, MPI_COMM_WORLD,
				&lines, &window);
	if (rank) {
		MPI_Aint bytes;
		int unit;

		MPI_Win_shared_query(window, 0, &bytes, &unit, &lines);
	}
	/* Lines on lines of their own, wherever the window begins. */
	lines = (struct place_lines *)(((uintptr_t)lines + 127) / 128 * 128);
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		int size = (int)sizes[s];
		long rounds = size < 32768 ? TRIPS_MAX : 64 * (1L << 20) / size + 1, warm, n;
		double percentiles[REPORT_PERCENTILES];
		int nr_trips = 0;

		warm = rounds / 10 + 1;
		for (i = 0; i < runs; i++) {
			double start = 0, tick;

			line[i] = place_trip(lines, rank, true, 500);
			for (n = 0; n < warm + rounds; n++) {
				if (n == warm)
					start = MPI_Wtime();
				if (n >= warm)
					at[n - warm] = place_ticks();
				if (!rank) {
					MPI_Send(data, size, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
					MPI_Recv(data, size, MPI_BYTE, 1, 0, MPI_COMM_WORLD,
						 MPI_STATUS_IGNORE);
				} else {
					MPI_Recv(data, size, MPI_BYTE, 0, 0, MPI_COMM_WORLD,
						 MPI_STATUS_IGNORE);
					MPI_Send(data, size, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
				}
			}
			at[rounds] = place_ticks();
			times[i] = (MPI_Wtime() - start) / (double)rounds * 1e9;
			tick = times[i] * (double)rounds / (double)(at[rounds] - at[0]);
			for (n = 0; n < rounds; n++)
				trips[nr_trips++] = (double)(at[n + 1] - at[n]) * tick;
		}
		if (!rank) {
			const struct report_case c = {
				.suite = "exchange", .name = "request and reply", .size = sizes[s],
				.participants = "1x1", .unit = "ns",
				.line_ns = report_median(line, runs),
			};

			report_percentiles(trips, nr_trips, percentiles);
			report_row(&c, "Open MPI", REPORT_RIVAL, times, runs, percentiles);
			printf("%10zu %10.2f   Open MPI\n", sizes[s],
			       report_median(times, runs) / 1e3);
		}
	}
	MPI_Win_free(&window);
	MPI_Finalize();
	return 0;
}
