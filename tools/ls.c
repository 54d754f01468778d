// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipm ls: the segments of this network namespace that the caller may read. */
#include <stdlib.h>

#include "tool.h"

static const char help[] =
	"Usage: ipm ls [OPTION...] [SEGMENT...]\n"
	"List segments: those that you could open for reading, in this network namespace.\n\n"
	"  -s, --sort COLUMN      order by this column (ID)\n"
	"  -r, --reverse          in the opposite order\n"
	LIST_HELP;

enum {
	ID, NAME, MODE, OWNER, SIZE, RESIDENT, HANDLES, CLAIMS, WAITERS, STATE, CREATED, KEY,
	CAPACITY, MAPS, DOUBTS, GROUP, CREATOR, CPID, LPID, CHANGED, ATTACHED, DETACHED, WAITS,
	WAITED, DEADLOCKS, DEATHS, DOUBTED,
};

static const struct column columns[] = {
	{ "ID", "number that the kernel gave it", COLUMN_RIGHT, 9 },
	{ "NAME", "name; or its key; - if it has neither", COLUMN_SHRINKS, 10 },
	{ "MODE", "who may read and write it", 0, 3 },
	{ "OWNER", "owner", COLUMN_SHRINKS, 5 },
	{ "SIZE", "bytes", COLUMN_RIGHT, 8 },
	{ "RESIDENT", "bytes of pages that exist", COLUMN_RIGHT, 2 },
	{ "HANDLES", "open handles", COLUMN_RIGHT, 6 },
	{ "CLAIMS", "claims held", COLUMN_RIGHT, 7 },
	{ "WAITERS", "claims waited for", COLUMN_RIGHT, 6 },
	{ "STATE", "persistent or volatile, removed, in-doubt, preallocated, noreserve", 0, 4 },
	{ "CREATED", "how long ago it was created", COLUMN_RIGHT, 1 },
	{ "KEY", "key", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "CAPACITY", "bytes that it may grow to", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "MAPS", "mappings", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "DOUBTS", "ranges in doubt", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "GROUP", "group", COLUMN_EXTRA, 0 },
	{ "CREATOR", "who created it", COLUMN_EXTRA, 0 },
	{ "CPID", "process that created it", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "LPID", "process that last mapped or unmapped it", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "CHANGED", "how long ago it grew, or its rights were changed",
	  COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "ATTACHED", "how long ago it was last mapped", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "DETACHED", "how long ago a mapping last ended", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "WAITS", "how many claims have waited", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "WAITED", "how long, all together", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "DEADLOCKS", "claims refused because of a deadlock", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "DEATHS", "processes that died with a claim", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
	{ "DOUBTED", "write claims that ended by death", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void add_counts(struct table *table, const ipm_monitor_segment *s)
{
	table_number(table, HANDLES, s->handles);
	table_number(table, CLAIMS, s->claims);
	table_number(table, WAITERS, s->waiters);
	if (s->waiters)
		table_colour(table, WAITERS, COLOUR_YELLOW);
	table_number(table, MAPS, s->maps);
	table_number(table, DOUBTS, s->doubts);
	table_number(table, WAITS, s->waits);
	table_duration(table, WAITED, (int64_t)s->wait_ns);
	table_number(table, DEADLOCKS, s->deadlocks);
	table_number(table, DEATHS, s->deaths);
	table_number(table, DOUBTED, s->doubt_events);
	if (s->creator_pid)
		table_signed(table, CPID, s->creator_pid);
	if (s->last_pid)
		table_signed(table, LPID, s->last_pid);
}

static void add(struct table *table, const struct watched *watched, const ipm_monitor_segment *s)
{
	struct text state = { 0 };
	char mode[10];

	table_row(table);
	table_number(table, ID, s->id);
	table_segment(table, NAME, watched, s->id);
	if (s->key)
		table_signed(table, KEY, s->key);
	format_mode(mode, s->mode);
	table_word(table, MODE, mode);
	table_text(table, OWNER, user_name(s->uid));
	table_text(table, GROUP, group_name(s->gid));
	table_text(table, CREATOR, user_name(s->cuid));
	state_words(&state, s->state);
	table_word(table, STATE, state.bytes);
	if (s->state & (IPM_MONITOR_REMOVED | IPM_MONITOR_IN_DOUBT))
		table_colour(table, STATE, COLOUR_RED);
	text_free(&state);
	table_size(table, SIZE, s->size);
	table_size(table, CAPACITY, s->capacity);
	table_size(table, RESIDENT, s->resident);
	table_age(table, CREATED, s->create_time_ns);
	table_age(table, CHANGED, s->change_time_ns);
	table_age(table, ATTACHED, s->attach_time_ns);
	table_age(table, DETACHED, s->detach_time_ns);
	add_counts(table, s);
}

static int list(ipm_monitor *monitor, struct table *table, uint32_t id, bool *exact)
{
	struct watched watched;
	int status = watch_segments(monitor, id, &watched);
	size_t i;

	if (status)
		return status;
	for (i = 0; i < watched.count; i++)
		add(table, &watched, &watched.all[i]);
	*exact &= watched.exact;
	watched_free(&watched);
	return 0;
}

int command_ls(int argc, char **argv)
{
	static const struct option names[] = {
		{ "sort", required_argument, NULL, 's' },
		{ "reverse", no_argument, NULL, 'r' },
		LIST_NAMES,
		{ 0 },
	};
	static const struct options options = {
		"ls", help, "s:r" LIST_LETTERS, names, columns, COLUMNS,
	};
	struct list_options listing = { 0 };
	const char *sort = NULL;
	struct table *table;
	ipm_monitor *monitor;
	bool reverse = false, exact = true;
	int option, status = 0, column = ID, i;

	while (!status && (option = option_next(argc, argv, &options)) != -1) {
		if (option == 's')
			sort = optarg;
		else if (option == 'r')
			reverse = true;
		else
			status = list_option(&listing, option, optarg);
	}
	if (status)
		return status;
	table = table_new("segments", columns, COLUMNS, &listing);
	if (table && sort)
		column = table_column(table, sort);
	if (!table || column < 0) {
		table_free(table);
		return STATUS_USAGE;
	}
	table_want(table, (size_t)column);
	status = watch_open(&monitor);
	if (status) {
		table_free(table);
		return status;
	}
	if (optind == argc)
		status = list(monitor, table, 0, &exact);
	for (i = optind; i < argc; i++) {
		uint32_t id;
		int this = watch_find(argv[i], &id);

		if (!this)
			this = list(monitor, table, id, &exact);
		if (this)
			status = this;
	}
	ipm_monitor_close(monitor);
	if (sort || reverse)
		table_sort(table, (size_t)column, reverse);
	table_finish(table);
	watch_inexact(exact);
	table_free(table);
	return status;
}
