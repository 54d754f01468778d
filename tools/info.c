// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipm info: all that the kernel knows about a segment. */
#include <stdlib.h>

#include "tool.h"

static const char help[] =
	"Usage: ipm info [OPTION...] SEGMENT...\n"
	"Print all that is known about segments, one line for each fact. Needs the right to\n"
	"read them.\n\n"
	LIST_HELP;

enum {
	ID, NAME, KEY, STATE, SIZE, CAPACITY, RESIDENT, MODE, OWNER, GROUP, CREATOR, CGROUP, CPID,
	LPID, HANDLES, MAPS, CLAIMS, WAITERS, DOUBTS, CREATED, CHANGED, ATTACHED, DETACHED, WAITS,
	WAITED, DEADLOCKS, DEATHS, DOUBTED, UID, GID,
};

static const struct column columns[] = {
	{ "ID", "number that the kernel gave it", 0, 0 },
	{ "NAME", "name", 0, 0 },
	{ "KEY", "key", 0, 0 },
	{ "STATE", "persistent, removed, in-doubt, preallocated, noreserve", 0, 0 },
	{ "SIZE", "bytes", 0, 0 },
	{ "CAPACITY", "bytes that it may grow to", 0, 0 },
	{ "RESIDENT", "bytes of pages that exist", 0, 0 },
	{ "MODE", "who may read and write it", 0, 0 },
	{ "OWNER", "owner", 0, 0 },
	{ "GROUP", "group", 0, 0 },
	{ "CREATOR", "who created it", 0, 0 },
	{ "CGROUP", "group of the creator", 0, 0 },
	{ "CPID", "process that created it", 0, 0 },
	{ "LPID", "process that last mapped or unmapped it", 0, 0 },
	{ "HANDLES", "open handles", 0, 0 },
	{ "MAPS", "mappings", 0, 0 },
	{ "CLAIMS", "claims held", 0, 0 },
	{ "WAITERS", "claims waited for", 0, 0 },
	{ "DOUBTS", "ranges in doubt", 0, 0 },
	{ "CREATED", "how long ago it was created", 0, 0 },
	{ "CHANGED", "how long ago it grew, or its rights were changed", 0, 0 },
	{ "ATTACHED", "how long ago it was last mapped", 0, 0 },
	{ "DETACHED", "how long ago a mapping last ended", 0, 0 },
	{ "WAITS", "how many claims have waited", 0, 0 },
	{ "WAITED", "how long, all together", 0, 0 },
	{ "DEADLOCKS", "claims refused because of a deadlock", 0, 0 },
	{ "DEATHS", "processes that died with a claim", 0, 0 },
	{ "DOUBTED", "write claims that ended by death", 0, 0 },
	{ "UID", "owner, as a number", COLUMN_EXTRA, 0 },
	{ "GID", "group, as a number", COLUMN_EXTRA, 0 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void add_state(struct table *table, uint32_t state)
{
	struct text text = { 0 };

	state_words(&text, state);
	table_word(table, STATE, text.bytes);
	if (state & (IPM_MEMORY_STATE_IN_DOUBT | IPM_MEMORY_STATE_REMOVED))
		table_colour(table, STATE, COLOUR_RED);
	text_free(&text);
}

static void add_pid(struct table *table, size_t column, int32_t pid)
{
	if (pid)
		table_signed(table, column, pid);
	else
		table_none(table, column);
}

static void add_identity(struct table *table, const ipm_memory_details *d)
{
	char mode[10];

	table_number(table, ID, d->id);
	if (d->by == IPM_MEMORY_BY_NAME)
		table_text(table, NAME, d->name);
	if (d->by == IPM_MEMORY_BY_KEY)
		table_signed(table, KEY, d->key);
	add_state(table, d->state);
	format_mode(mode, d->mode);
	table_word(table, MODE, mode);
	table_text(table, OWNER, user_name(d->uid));
	table_text(table, GROUP, group_name(d->gid));
	table_text(table, CREATOR, user_name(d->cuid));
	table_text(table, CGROUP, group_name(d->cgid));
	table_number(table, UID, d->uid);
	table_number(table, GID, d->gid);
	add_pid(table, CPID, d->creator_pid);
	add_pid(table, LPID, d->last_pid);
}

static void add(struct table *table, const ipm_memory_details *d)
{
	table_row(table);
	add_identity(table, d);
	table_size(table, SIZE, d->size);
	table_size(table, CAPACITY, d->capacity);
	table_size(table, RESIDENT, d->resident);
	table_number(table, HANDLES, d->handles);
	table_number(table, MAPS, d->maps);
	table_number(table, CLAIMS, d->claims);
	table_number(table, WAITERS, d->waiters);
	table_number(table, DOUBTS, d->doubts);
	if (d->doubts)
		table_colour(table, DOUBTS, COLOUR_RED);
	table_age(table, CREATED, d->create_time);
	table_age(table, CHANGED, d->change_time);
	table_age(table, ATTACHED, d->attach_time);
	table_age(table, DETACHED, d->detach_time);
	table_number(table, WAITS, d->waits);
	table_duration(table, WAITED, (int64_t)d->wait_ns);
	table_number(table, DEADLOCKS, d->deadlocks);
	table_number(table, DEATHS, d->deaths);
	table_number(table, DOUBTED, d->doubt_events);
}

/* By id also what was removed and is still in use: that asks a handle. */
static int ask(const char *text, ipm_memory_details *details)
{
	ipm_memory_ref ref;
	ipm_memory *memory;
	ipm_result result;
	int status = parse_segment(text, &ref);

	if (status)
		return status;
	result = ipm_memory_get_details(NULL, ref, details);
	if (result != IPM_RESULT_ERR_REMOVED)
		return result ? failed(text, result) : 0;
	status = open_segment(text, IPM_ACCESS_MODE_READ_ONLY, IPM_MEMORY_NO_MAP, &memory);
	if (status)
		return status;
	result = ipm_memory_get_details(NULL, ipm_ref_memory(memory), details);
	/* Our own does not count. */
	if (!result && details->handles)
		details->handles--;
	ipm_memory_close(memory);
	return result ? failed(text, result) : 0;
}

int command_info(int argc, char **argv)
{
	static const struct option names[] = { LIST_NAMES, { 0 } };
	static const struct options options = {
		"info", help, LIST_LETTERS, names, columns, COLUMNS,
	};
	struct list_options list = { 0 };
	struct table *table;
	int option, status = 0, i;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = list_option(&list, option, optarg);
	if (!status)
		status = option_arguments(argc, argv, 1, -1, "SEGMENT");
	if (status)
		return status;
	table = table_new("segments", columns, COLUMNS, &list);
	if (!table)
		return STATUS_USAGE;
	for (i = optind; i < argc; i++) {
		ipm_memory_details details = { .struct_size = sizeof(details) };
		int this = ask(argv[i], &details);

		if (this)
			status = this;
		else
			add(table, &details);
	}
	if (list.json)
		table_finish(table);
	else
		table_lines(table, stdout);
	table_free(table);
	return status;
}
