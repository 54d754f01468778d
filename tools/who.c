// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipm who: the handles that are open. */
#include <stdlib.h>

#include "tool.h"

static const char help[] =
	"Usage: ipm who [OPTION...] [SEGMENT...]\n"
	"List who has segments open: each handle, with the process that opened it. Others may\n"
	"share it, by fork or because it was passed on. Who other users are is told to the owner\n"
	"of the segment and to root; \"-\" means that you are not told, or cannot see the process.\n\n"
	LIST_HELP;

enum { ID, NAME, USER, PID, COMMAND, ACCESS, SLOT, MAPPED, CLAIMS, HANDLE };

static const struct column columns[] = {
	{ "ID", "number of the segment", COLUMN_RIGHT, 7 },
	{ "NAME", "name of the segment; or its key", COLUMN_SHRINKS, 8 },
	{ "USER", "user who opened the handle", COLUMN_SHRINKS, 5 },
	{ "PID", "process that opened the handle", COLUMN_RIGHT, 9 },
	{ "COMMAND", "its command", COLUMN_SHRINKS, 6 },
	{ "ACCESS", "r or rw", 0, 4 },
	{ "SLOT", "slot, for rings and channels", COLUMN_RIGHT, 1 },
	{ "MAPPED", "mappings made through the handle", COLUMN_RIGHT, 2 },
	{ "CLAIMS", "claims held, or asked for and waited for by nobody", COLUMN_RIGHT, 3 },
	{ "HANDLE", "number of the handle", COLUMN_EXTRA | COLUMN_RIGHT, 0 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct who {
	struct table *table;
	struct watched watched;
};

static bool add(const ipm_monitor_handle *handle, void *param)
{
	static const size_t places[4] = { USER, PID, SIZE_MAX, COMMAND };
	struct who *who = param;
	struct table *table = who->table;

	table_row(table);
	table_number(table, ID, handle->segment);
	table_segment(table, NAME, &who->watched, handle->segment);
	table_who(table, &handle->who, places);
	table_word(table, ACCESS, handle->access == IPM_ACCESS_MODE_READ_WRITE ? "rw" : "r");
	if (handle->slot != IPM_MONITOR_NO_SLOT)
		table_number(table, SLOT, handle->slot);
	table_number(table, MAPPED, handle->mapped);
	table_number(table, CLAIMS, handle->claims);
	table_number(table, HANDLE, handle->id);
	return true;
}

static int list(ipm_monitor *monitor, struct table *table, const char *text, uint32_t id,
		bool *exact)
{
	struct who who = { .table = table };
	ipm_result result;
	bool this = true;
	int status = watch_segments(monitor, id, &who.watched);

	if (status)
		return status;
	result = ipm_monitor_handles(monitor, id, add, &who, &this);
	*exact &= this;
	watched_free(&who.watched);
	return result ? watch_failed(text, result) : 0;
}

int command_who(int argc, char **argv)
{
	static const struct option names[] = { LIST_NAMES, { 0 } };
	static const struct options options = {
		"who", help, LIST_LETTERS, names, columns, COLUMNS,
	};
	struct list_options listing = { 0 };
	struct table *table;
	ipm_monitor *monitor;
	bool exact = true;
	int option, status = 0, i;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = list_option(&listing, option, optarg);
	if (status)
		return status;
	table = table_new("handles", columns, COLUMNS, &listing);
	if (!table)
		return STATUS_USAGE;
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
			this = list(monitor, table, argv[i], id, &exact);
		if (this)
			status = this;
	}
	ipm_monitor_close(monitor);
	table_finish(table);
	watch_inexact(exact);
	table_free(table);
	return status;
}
