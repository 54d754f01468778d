// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm top: the busiest segments, again and again.
 *
 * On a terminal it takes the whole screen and listens to keys; else, or with --batch,
 * it prints one list after the other. The terminal is given back as it was, also when
 * a signal ends or stops the process.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

static const char help[] =
	"Usage: ipm top [OPTION...]\n"
	"Show the busiest segments, live. Keys: q quits; w, t, c, h, d, m, i and n sort by waits,\n"
	"time waited, claims, handles, deaths, memory, id and name; r reverses; space refreshes.\n\n"
	"  -d, --delay SECONDS    between two looks (2)\n"
	"  -c, --count NUMBER     end after so many\n"
	"  -s, --sort COLUMN      order by this column (WAITS/S)\n"
	"  -r, --reverse          smallest first\n"
	"      --rows NUMBER      print no more segments than this\n"
	"  -B, --batch            print lists one after the other, as if there were no terminal\n"
	LIST_HELP;

enum { ID, NAME, OWNER, SIZE, RESIDENT, HANDLES, CLAIMS, WAITERS, WAITS, WAITED, DEADLOCKS, DEATHS,
       DOUBTS };

static const struct column columns[] = {
	{ "ID", "number that the kernel gave it", COLUMN_RIGHT, 4 },
	{ "NAME", "name; or its key", COLUMN_SHRINKS, 10 },
	{ "OWNER", "owner", COLUMN_SHRINKS, 2 },
	{ "SIZE", "bytes", COLUMN_RIGHT, 3 },
	{ "RESIDENT", "bytes of pages that exist", COLUMN_RIGHT, 5 },
	{ "HANDLES", "open handles", COLUMN_RIGHT, 6 },
	{ "CLAIMS", "claims held", COLUMN_RIGHT, 7 },
	{ "WAITERS", "claims waited for", COLUMN_RIGHT, 7 },
	{ "WAITS/S", "claims that had to wait, each second", COLUMN_RIGHT, 9 },
	{ "WAIT%", "how long, in percent of the time; 200 is two waiters all the time", COLUMN_RIGHT,
	  8 },
	{ "DEADLOCKS", "claims refused because of a deadlock", COLUMN_RIGHT, 0 },
	{ "DEATHS", "processes that died with a claim", COLUMN_RIGHT, 1 },
	{ "DOUBTS", "ranges in doubt", COLUMN_RIGHT, 1 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct top {
	struct list_options list;
	ipm_monitor *monitor;
	struct watched now;
	struct watched before;
	int64_t time;
	int64_t time_before;
	int64_t delay;
	uint64_t count;
	uint64_t rows;
	size_t sort;
	bool reverse;
	bool batch;
};

static const struct {
	char key;
	size_t column;
} keys[] = {
	{ 'w', WAITS }, { 't', WAITED },   { 'c', CLAIMS }, { 'h', HANDLES },
	{ 'd', DEATHS }, { 'm', RESIDENT }, { 'i', ID },     { 'n', NAME },
};

static int64_t monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- the list --- */

static void add(struct table *table, const struct top *top, const ipm_monitor_segment *s)
{
	const ipm_monitor_segment *old = watched_segment(&top->before, s->id);
	double seconds = (double)(top->time - top->time_before) / 1e9;
	uint64_t waits = 0, wait_ns = 0;

	/* The number may be that of another segment by now. */
	if (old && old->create_time_ns == s->create_time_ns) {
		waits = s->waits - old->waits;
		wait_ns = s->wait_ns - old->wait_ns;
	}
	table_row(table);
	table_number(table, ID, s->id);
	table_segment(table, NAME, &top->now, s->id);
	table_text(table, OWNER, user_name(s->uid));
	table_size(table, SIZE, s->size);
	table_size(table, RESIDENT, s->resident);
	table_number(table, HANDLES, s->handles);
	table_number(table, CLAIMS, s->claims);
	table_number(table, WAITERS, s->waiters);
	if (s->waiters)
		table_colour(table, WAITERS, COLOUR_YELLOW);
	table_number(table, WAITS, seconds > 0 ? (uint64_t)((double)waits / seconds + 0.5) : 0);
	table_number(table, WAITED,
		     seconds > 0 ? (uint64_t)((double)wait_ns / seconds / 1e7 + 0.5) : 0);
	table_number(table, DEADLOCKS, s->deadlocks);
	table_number(table, DEATHS, s->deaths);
	table_number(table, DOUBTS, s->doubts);
	if (s->doubts)
		table_colour(table, DOUBTS, COLOUR_RED);
}

/* By name and number upwards, by everything else the largest first. */
static bool descending(const struct top *top)
{
	return (top->sort != NAME && top->sort != ID && top->sort != OWNER) != top->reverse;
}

static struct table *make_table(const struct top *top)
{
	struct table *table = table_new("segments", columns, COLUMNS, &top->list);
	size_t i;

	if (!table)
		return NULL;
	table_want(table, top->sort);
	for (i = 0; i < top->now.count; i++)
		add(table, top, &top->now.all[i]);
	table_sort(table, top->sort, descending(top));
	return table;
}

static void summary(const struct top *top, struct text *text)
{
	uint64_t handles = 0, claims = 0, waiters = 0, doubts = 0, resident = 0;
	char size[24], clock[16];
	time_t seconds = time(NULL);
	struct tm tm;
	size_t i;

	for (i = 0; i < top->now.count; i++) {
		const ipm_monitor_segment *s = &top->now.all[i];

		handles += s->handles;
		claims += s->claims;
		waiters += s->waiters;
		doubts += s->doubts;
		resident += s->resident;
	}
	format_size(size, sizeof(size), resident, false);
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&seconds, &tm));
	text_print(text, "ipm top %s  %zu segments, %s, %llu handles, %llu claims, %llu waiting, "
		   "%llu in doubt", clock, top->now.count, size, (unsigned long long)handles,
		   (unsigned long long)claims, (unsigned long long)waiters,
		   (unsigned long long)doubts);
}

static int look(struct top *top)
{
	watched_free(&top->before);
	top->before = top->now;
	top->time_before = top->time;
	top->now = (struct watched){ 0 };
	top->time = monotonic();
	return watch_segments(top->monitor, 0, &top->now);
}

/* --- the screen --- */

static struct termios saved;
static bool raw;
static volatile sig_atomic_t signalled, resized;

static void on_signal(int number)
{
	if (number == SIGWINCH || number == SIGCONT)
		resized = 1;
	else
		signalled = number;
}

static void screen_on(void)
{
	struct termios terminal;

	if (tcgetattr(0, &saved))
		return;
	terminal = saved;
	terminal.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	terminal.c_cc[VMIN] = 1;
	terminal.c_cc[VTIME] = 0;
	tcsetattr(0, TCSADRAIN, &terminal);
	raw = true;
	/* The other screen, no cursor. */
	fputs("\033[?1049h\033[?25l", stdout);
	fflush(stdout);
}

static void screen_off(void)
{
	if (!raw)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(0, TCSADRAIN, &saved);
	raw = false;
}

/* Every line is made in memory and then written at once: nothing flickers. */
static int draw(struct top *top)
{
	unsigned int width = terminal_width(1), height = terminal_height(1);
	struct text head = { 0 };
	struct table *table = make_table(top);
	char *buffer = NULL, *line, *next, *cut;
	size_t size = 0, rows = height > 3 ? height - 3 : 1;
	FILE *file = open_memstream(&buffer, &size);

	if (!table) {
		fclose(need(file));
		free(buffer);
		return STATUS_USAGE;
	}
	need(file);
	summary(top, &head);
	cut = text_cut(head.bytes, width ? width : 80);
	printf("\033[H%s\033[K\n\033[K\n", cut);
	free(cut);
	text_free(&head);
	/* The file has no terminal to ask. */
	if (top->list.when == COLOUR_AUTO && colours(stdout, COLOUR_AUTO))
		top->list.when = COLOUR_ALWAYS;
	table_print(table, file, width, top->rows && top->rows < rows ? top->rows : rows);
	fclose(file);
	for (line = buffer; line && *line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			break;
		*next++ = '\0';
		printf("%s\033[K%s", line, *next ? "\n" : "");
	}
	fputs("\033[J", stdout);
	fflush(stdout);
	free(buffer);
	table_free(table);
	return ferror(stdout) ? STATUS_FAILED : 0;
}

enum action { WAIT, REDRAW, REFRESH, QUIT };

static enum action on_key(struct top *top, char key)
{
	size_t i;

	if (key == 'q' || key == 'Q')
		return QUIT;
	if (key == 'r') {
		top->reverse = !top->reverse;
		return REDRAW;
	}
	if (key == ' ')
		return REFRESH;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].key == key) {
			top->sort = keys[i].column;
			return REDRAW;
		}
	}
	return WAIT;
}

/* Stops as the user asked, with the terminal as it was. */
static void stop(void)
{
	screen_off();
	raise(SIGSTOP);
	screen_on();
	signalled = 0;
}

/* Waits for a key, a signal or the time; signals get through only here. */
static enum action await_key(struct top *top, int64_t until, const sigset_t *unblocked)
{
	int64_t left = until - monotonic();
	struct timespec time = { left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0 };
	struct pollfd fd = { .fd = 0, .events = POLLIN };
	char key;
	int ready = ppoll(&fd, 1, &time, unblocked);

	if (signalled == SIGTSTP) {
		stop();
		return REDRAW;
	}
	if (signalled)
		return QUIT;
	if (resized) {
		resized = 0;
		return REDRAW;
	}
	if (!ready)
		return REFRESH;
	if (ready < 0)
		return errno == EINTR ? WAIT : QUIT;
	if (read(0, &key, 1) != 1)
		return QUIT;
	return on_key(top, key);
}

static int live(struct top *top)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH, SIGCONT };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t blocked, unblocked;
	enum action next = REFRESH;
	uint64_t looks = 0;
	size_t i;
	int status = 0;

	sigemptyset(&blocked);
	for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		sigaddset(&blocked, caught[i]);
		sigaction(caught[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &blocked, &unblocked);
	screen_on();
	while (!status && next != QUIT) {
		if (next == REFRESH) {
			status = look(top);
			looks++;
		}
		if (!status && next != WAIT)
			status = draw(top);
		if (!status && top->count && looks >= top->count)
			break;
		if (!status)
			next = await_key(top, top->time + top->delay, &unblocked);
	}
	screen_off();
	sigprocmask(SIG_SETMASK, &unblocked, NULL);
	if (signalled) {
		/* Dies of it, as everybody does. */
		signal(signalled, SIG_DFL);
		raise(signalled);
	}
	return status;
}

static int lists(struct top *top)
{
	uint64_t looks;
	int status = 0;

	for (looks = 0; !status && (!top->count || looks < top->count); looks++) {
		struct text head = { 0 };
		struct table *table;

		if (looks) {
			struct timespec time = { top->delay / 1000000000, top->delay % 1000000000 };

			while (nanosleep(&time, &time) && errno == EINTR)
				;
		}
		status = look(top);
		if (status)
			return status;
		table = make_table(top);
		if (!table)
			return STATUS_USAGE;
		if (top->list.json) {
			table_finish(table);
		} else {
			summary(top, &head);
			printf("%s%s\n", looks ? "\n" : "", head.bytes);
			table_print(table, stdout, terminal_width(1), top->rows ? top->rows : SIZE_MAX);
			text_free(&head);
		}
		table_free(table);
		if (flush_output())
			return STATUS_FAILED;
	}
	return status;
}

static int parse_count(const char *text, const char *what, uint64_t *count)
{
	int status = parse_size(text, what, count);

	return status || *count ? status : usage_error("%s has to be more than 0", what);
}

static int top_option(struct top *top, int option, const char **sort)
{
	int status;

	switch (option) {
	case 'd':
		status = parse_seconds(optarg, "the delay", &top->delay);
		if (!status && top->delay < 10000000)
			status = usage_error("the delay has to be 0.01 seconds or more");
		return status;
	case 'c':
		return parse_count(optarg, "the count", &top->count);
	case OPTION_ROWS:
		return parse_count(optarg, "the number of rows", &top->rows);
	case 's':
		*sort = optarg;
		return 0;
	case 'r':
		top->reverse = true;
		return 0;
	case 'B':
		top->batch = true;
		return 0;
	}
	return list_option(&top->list, option, optarg);
}

int command_top(int argc, char **argv)
{
	static const struct option names[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'c' },
		{ "sort", required_argument, NULL, 's' },
		{ "reverse", no_argument, NULL, 'r' },
		{ "rows", required_argument, NULL, OPTION_ROWS },
		{ "batch", no_argument, NULL, 'B' },
		LIST_NAMES,
		{ 0 },
	};
	static const struct options options = {
		"top", help, "d:c:s:rB" LIST_LETTERS, names, columns, COLUMNS,
	};
	struct top top = { .delay = 2000000000, .sort = WAITS };
	const char *sort = NULL;
	struct table *table;
	int option, status = 0, column = WAITS;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = top_option(&top, option, &sort);
	if (!status)
		status = option_arguments(argc, argv, 0, 0, "");
	if (status)
		return status;
	table = table_new("segments", columns, COLUMNS, &top.list);
	if (table && sort)
		column = table_column(table, sort);
	if (!table || column < 0) {
		table_free(table);
		return STATUS_USAGE;
	}
	table_free(table);
	top.sort = (size_t)column;
	status = watch_open(&top.monitor);
	if (status)
		return status;
	if (top.batch || top.list.json || !isatty(0) || !isatty(1))
		status = lists(&top);
	else
		status = live(&top);
	watched_free(&top.now);
	watched_free(&top.before);
	ipm_monitor_close(top.monitor);
	return status;
}
