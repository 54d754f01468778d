// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm claims: who holds which bytes, who waits for them, which are in doubt; as a table,
 * or as a map of the segment's bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const char help[] =
	"Usage: ipm claims [OPTION...] [SEGMENT...]\n"
	"       ipm claims --map [OPTION...] SEGMENT\n"
	"List claims that are held and waited for, and bytes in doubt: one line for each range.\n"
	"With --map, draw the bytes of one segment, and who has them. Who other users are is told\n"
	"to the owner of the segment and to root.\n\n"
	"  -m, --map              draw a map\n"
	LIST_HELP;

enum {
	ID, NAME, STATE, MODE, OFFSET, LENGTH, SINCE, USER, PID, COMMAND, BLOCKER, TID, CLAIM, HANDLE,
};

static const struct column columns[] = {
	{ "ID", "number of the segment", COLUMN_RIGHT, 4 },
	{ "NAME", "name of the segment; or its key", COLUMN_SHRINKS, 5 },
	{ "STATE", "held, waits, converts (holds it to read, waits to write), async, doubt", 0, 9 },
	{ "MODE", "read or write", 0, 6 },
	{ "OFFSET", "first byte", COLUMN_RIGHT, 8 },
	{ "LENGTH", "bytes", COLUMN_RIGHT, 8 },
	{ "SINCE", "how long it is held or waited for, or in doubt", COLUMN_RIGHT, 3 },
	{ "USER", "user", COLUMN_SHRINKS, 1 },
	{ "PID", "process; of bytes in doubt the one that died", COLUMN_RIGHT, 7 },
	{ "COMMAND", "its command", COLUMN_SHRINKS, 2 },
	{ "BLOCKER", "a process that is in the way of one that waits", COLUMN_RIGHT, 3 },
	{ "TID", "thread", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "CLAIM", "number of the claim", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "HANDLE", "number of the handle", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct claims {
	struct table *table;
	struct watched watched;
	struct map *map;
};

/* --- the map --- */

enum mark { MARK_FREE, MARK_READ, MARK_WRITE, MARK_WAIT, MARK_DOUBT, MARKS };

#define MAP_ROWS 16

/**
 * struct map - the bytes of a segment, divided into cells
 * @size: bytes of the segment
 * @end: bytes that the map covers: claims may lie beyond the size
 * @unit: bytes of a cell, a power of two
 * @columns: cells of a line
 * @cells: for each cell a bit 1 << enum mark for each kind of thing in it
 * @count: cells
 */
struct map {
	uint64_t size;
	uint64_t end;
	uint64_t unit;
	unsigned int columns;
	unsigned char *cells;
	size_t count;
};

static void map_mark(struct map *map, uint64_t offset, uint64_t length, enum mark mark)
{
	uint64_t first = offset / map->unit, last = (offset + length - 1) / map->unit, i;

	if (!length || offset >= map->end)
		return;
	if (last >= map->count)
		last = map->count - 1;
	for (i = first; i <= last; i++)
		map->cells[i] |= (unsigned char)(1U << mark);
}

static void map_setup(struct map *map)
{
	unsigned int width = terminal_width(1);

	if (!width)
		width = 80;
	/* An offset of up to 13 digits, a space, the cells. */
	map->columns = width > 30 ? (width - 16) / 8 * 8 : 8;
	map->unit = 1;
	while (map->unit < 1ULL << 62 && map->unit * map->columns * MAP_ROWS < map->end)
		map->unit *= 2;
	map->count = (size_t)((map->end + map->unit - 1) / map->unit);
	map->cells = need(calloc(map->count + 1, 1));
}

static const struct {
	char letter;
	enum colour colour;
	const char *what;
} marks[MARKS] = {
	[MARK_FREE] = { '.', COLOUR_DIM, "free" },
	[MARK_READ] = { 'r', COLOUR_GREEN, "claimed to read" },
	[MARK_WRITE] = { 'W', COLOUR_RED, "to write" },
	[MARK_WAIT] = { '*', COLOUR_YELLOW, "and waited for" },
	[MARK_DOUBT] = { '!', COLOUR_CYAN, "in doubt" },
};

/* Where a cell holds several things, the one that somebody should look at. */
static enum mark cell_mark(unsigned char cell)
{
	static const enum mark order[] = { MARK_DOUBT, MARK_WAIT, MARK_WRITE, MARK_READ };
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (cell & (1U << order[i]))
			return order[i];
	}
	return MARK_FREE;
}

static void map_print(const struct map *map, const char *label, enum colour_when when)
{
	bool colour = colours(stdout, when);
	char unit[24], size[24], *safe = text_safe(label);
	size_t i, mark;

	format_size(unit, sizeof(unit), map->unit, false);
	format_size(size, sizeof(size), map->size, false);
	printf("%s: %s, %s each\n", safe, size, unit);
	free(safe);
	for (i = 0; i < map->count; i++) {
		enum mark m = cell_mark(map->cells[i]);
		bool beyond = i * map->unit >= map->size;

		if (i % map->columns == 0)
			printf("%s%13llu  ", i ? "\n" : "", (unsigned long long)(i * map->unit));
		if (colour)
			fputs(colour_on(marks[m].colour), stdout);
		putchar(m == MARK_FREE && beyond ? '_' : marks[m].letter);
		if (colour)
			fputs(COLOUR_OFF, stdout);
	}
	putchar('\n');
	for (mark = 0; mark < MARKS; mark++)
		printf("%s%c %s", mark ? "  " : "", marks[mark].letter, marks[mark].what);
	printf("%s\n", map->end > map->size ? "  _ beyond the size" : "");
}

/* --- what there is --- */

static void add_range(struct claims *c, uint32_t segment, const ipm_monitor_range *range,
		      const char *state, enum mark mark)
{
	struct table *table = c->table;

	if (c->map) {
		map_mark(c->map, range->offset, range->length, mark);
		return;
	}
	table_row(table);
	table_number(table, ID, segment);
	table_segment(table, NAME, &c->watched, segment);
	table_word(table, STATE, state);
	table_colour(table, STATE, marks[mark].colour);
	table_number(table, OFFSET, range->offset);
	table_size(table, LENGTH, range->length);
}

static void add_who(struct claims *c, const ipm_monitor_who *who, ipm_access_mode mode,
		    uint64_t ns, ipm_id claim, uint64_t handle)
{
	static const size_t places[4] = { USER, PID, TID, COMMAND };

	if (c->map)
		return;
	table_who(c->table, who, places);
	table_word(c->table, MODE, mode == IPM_ACCESS_MODE_READ_WRITE ? "write" : "read");
	table_duration(c->table, SINCE, ns < INT64_MAX ? (int64_t)ns : INT64_MAX);
	table_number(c->table, CLAIM, claim);
	table_number(c->table, HANDLE, handle);
}

static bool add_claim(const ipm_monitor_claim *claim, void *param)
{
	struct claims *c = param;
	size_t i;

	for (i = 0; i < claim->nr_ranges; i++) {
		const ipm_monitor_range *range = &claim->ranges[i];
		bool writes = range->mode == IPM_ACCESS_MODE_READ_WRITE;

		add_range(c, claim->segment, range, "held", writes ? MARK_WRITE : MARK_READ);
		add_who(c, &claim->who, range->mode, claim->age_ns, claim->id, claim->handle);
	}
	return true;
}

static bool add_waiter(const ipm_monitor_waiter *waiter, void *param)
{
	const char *state = waiter->convert ? "converts" : waiter->async ? "async" : "waits";
	struct claims *c = param;
	size_t i;

	for (i = 0; i < waiter->nr_ranges; i++) {
		const ipm_monitor_range *range = &waiter->ranges[i];

		add_range(c, waiter->segment, range, state, MARK_WAIT);
		add_who(c, &waiter->who, range->mode, waiter->waited_ns, waiter->id, waiter->handle);
		if (!c->map && waiter->blocker.claim && waiter->blocker.pid)
			table_signed(c->table, BLOCKER, waiter->blocker.pid);
	}
	return true;
}

static bool add_doubt(const ipm_monitor_doubt *doubt, void *param)
{
	ipm_monitor_range range = { doubt->offset, doubt->length, IPM_ACCESS_MODE_READ_WRITE };
	struct claims *c = param;

	add_range(c, doubt->segment, &range, "doubt", MARK_DOUBT);
	if (c->map)
		return true;
	table_word(c->table, MODE, "write");
	table_duration(c->table, SINCE, now_realtime() - doubt->time_ns);
	if (doubt->pid)
		table_signed(c->table, PID, doubt->pid);
	return true;
}

static ipm_result list_all(ipm_monitor *monitor, uint32_t id, struct claims *c, bool *exact)
{
	bool claims = true, waiters = true, doubts = true;
	ipm_result result;

	result = ipm_monitor_claims(monitor, id, add_claim, c, &claims);
	if (!result)
		result = ipm_monitor_waiters(monitor, id, add_waiter, c, &waiters);
	if (!result)
		result = ipm_monitor_doubts(monitor, id, add_doubt, c, &doubts);
	*exact &= claims && waiters && doubts;
	return result;
}

static int list(ipm_monitor *monitor, struct table *table, const char *text, uint32_t id,
		bool *exact)
{
	struct claims c = { .table = table };
	ipm_result result;
	int status = watch_segments(monitor, id, &c.watched);

	if (status)
		return status;
	result = list_all(monitor, id, &c, exact);
	watched_free(&c.watched);
	return result ? watch_failed(text, result) : 0;
}

/* How far claims reach. */
static bool reach_claim(const ipm_monitor_claim *claim, void *param)
{
	const ipm_monitor_range *last = &claim->ranges[claim->nr_ranges - 1];
	uint64_t *end = param;

	if (last->offset + last->length > *end)
		*end = last->offset + last->length;
	return true;
}

static int draw(ipm_monitor *monitor, const char *text, uint32_t id, enum colour_when when,
		bool *exact)
{
	struct map map = { 0 };
	struct claims c = { .map = &map };
	ipm_result result;
	int status = watch_segments(monitor, id, &c.watched);

	if (status)
		return status;
	if (c.watched.count) {
		const ipm_monitor_segment *segment = &c.watched.all[0];

		map.size = map.end = segment->size;
		result = ipm_monitor_claims(monitor, id, reach_claim, &map.end, NULL);
		if (map.end > segment->capacity)
			map.end = segment->capacity > map.size ? segment->capacity : map.size;
		map_setup(&map);
		if (!result)
			result = list_all(monitor, id, &c, exact);
		if (!result)
			map_print(&map, c.watched.labels[0], when);
		free(map.cells);
	} else {
		result = IPM_RESULT_ERR_DOES_NOT_EXIST;
	}
	watched_free(&c.watched);
	return result ? watch_failed(text, result) : 0;
}

int command_claims(int argc, char **argv)
{
	static const struct option names[] = {
		{ "map", no_argument, NULL, 'm' },
		LIST_NAMES,
		{ 0 },
	};
	static const struct options options = {
		"claims", help, "m" LIST_LETTERS, names, columns, COLUMNS,
	};
	struct list_options listing = { 0 };
	struct table *table = NULL;
	ipm_monitor *monitor;
	bool map = false, exact = true;
	int option, status = 0, i;

	while (!status && (option = option_next(argc, argv, &options)) != -1) {
		if (option == 'm')
			map = true;
		else
			status = list_option(&listing, option, optarg);
	}
	if (!status && map)
		status = option_arguments(argc, argv, 1, 1, "SEGMENT");
	if (!status && map && listing.json)
		status = usage_error("a map cannot be drawn in JSON");
	if (status)
		return status;
	if (!map) {
		table = table_new("claims", columns, COLUMNS, &listing);
		if (!table)
			return STATUS_USAGE;
	}
	status = watch_open(&monitor);
	if (status) {
		table_free(table);
		return status;
	}
	if (optind == argc)
		status = list(monitor, table, NULL, 0, &exact);
	for (i = optind; i < argc; i++) {
		uint32_t id;
		int this = watch_find(argv[i], &id);

		if (!this)
			this = map ? draw(monitor, argv[i], id, listing.when, &exact) :
				     list(monitor, table, argv[i], id, &exact);
		if (this)
			status = this;
	}
	ipm_monitor_close(monitor);
	if (table)
		table_finish(table);
	watch_inexact(exact);
	table_free(table);
	return status;
}
