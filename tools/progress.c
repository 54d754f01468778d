// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Progress: one line on a terminal that says how much, how fast, and how long yet.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define INTERVAL_NS 200000000LL
#define BAR 20

/* A line is on the terminal that has no end yet. */
static bool line_open;

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/**
 * progress_start() - begin
 * @progress: receives the state
 * @label: what it is about, safe to show; has to stay
 * @on: whether to draw at all
 * @total: bytes expected, 0 if unknown
 */
void progress_start(struct progress *progress, const char *label, bool on, uint64_t total)
{
	*progress = (struct progress){ .on = on, .total = total, .label = label };
	progress->start = progress->window_start = now();
	progress->next = progress->start + INTERVAL_NS;
	progress->colour = colours(stderr, COLOUR_AUTO);
}

/* Draws a line over the last one, no wider than the terminal. */
static void draw(const char *line)
{
	unsigned int width = terminal_width(2);
	char *cut = width > 1 ? text_cut(line, width - 1) : need(strdup(line));

	fprintf(stderr, "\r%s\033[K", cut);
	fflush(stderr);
	line_open = true;
	free(cut);
}

static void add_bar(struct text *line, const struct progress *progress)
{
	unsigned int percent = progress->done >= progress->total ?
				       100 :
				       (unsigned int)((double)progress->done * 100 /
						      (double)progress->total);
	unsigned int filled = percent * BAR / 100, i;

	text_add(line, "  [", 3);
	for (i = 0; i < BAR; i++)
		text_add(line, i < filled ? "#" : " ", 1);
	text_print(line, "] %3u%%", percent);
}

static void show(struct progress *progress, int64_t time, double rate)
{
	char size[24], speed[24], age[24];
	struct text line = { 0 };
	int64_t elapsed = (time - progress->start) / 1000000000;

	format_size(size, sizeof(size), progress->done, false);
	format_size(speed, sizeof(speed), rate < 1e18 ? (uint64_t)rate : 0, false);
	text_print(&line, "%6s  %lld:%02lld:%02lld  %6s/s", size, (long long)elapsed / 3600,
		   (long long)elapsed / 60 % 60, (long long)elapsed % 60, speed);
	if (progress->total) {
		add_bar(&line, progress);
		if (rate >= 1 && progress->done < progress->total) {
			double left = (double)(progress->total - progress->done) / rate;

			format_age(age, sizeof(age), left < 9e9 ? (int64_t)(left * 1e9) : INT64_MAX);
			text_print(&line, "  ETA %s", age);
		}
	}
	draw(line.bytes);
	text_free(&line);
}

/** progress_add() - so many bytes more; draws now and then */
void progress_add(struct progress *progress, uint64_t bytes)
{
	int64_t time;
	double rate;

	progress->done += bytes;
	if (!progress->on)
		return;
	time = now();
	if (time < progress->next)
		return;
	/* The rate of now, smoothed. */
	rate = (double)(progress->done - progress->window_done) * 1e9 /
	       (double)(time - progress->window_start);
	progress->rate = progress->rate > 0 ? progress->rate * 0.7 + rate * 0.3 : rate;
	progress->window_start = time;
	progress->window_done = progress->done;
	progress->next = time + INTERVAL_NS;
	show(progress, time, progress->rate);
}

/** progress_note() - say what is being waited for */
void progress_note(struct progress *progress, const char *what)
{
	if (progress->on)
		draw(what);
}

/** progress_end() - the last line, with the average */
void progress_end(struct progress *progress)
{
	int64_t time = now();

	if (!progress->on)
		return;
	show(progress, time,
	     (double)progress->done * 1e9 / (double)(time > progress->start ? time - progress->start : 1));
	progress_break();
}

/** progress_break() - go to the next line, if need be, before something else is said */
void progress_break(void)
{
	if (line_open)
		fputc('\n', stderr);
	line_open = false;
}
