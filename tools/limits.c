// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipm limits: what a user may have, and has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define PARAMETERS "/sys/module/ipm/parameters/"

static const char help[] =
	"Usage: ipm limits [OPTION...] [RESOURCE=NUMBER...]\n"
	"Print what you may have, and have: segments that you created, handles that you have\n"
	"open, claims that you hold or wait for, and bytes of your segments. The limits are the\n"
	"same for every user. With RESOURCE=NUMBER root changes one, until the module is loaded\n"
	"again; bytes=0 means as much as the machine has memory.\n\n"
	"  -a, --all              for root: all users who have something\n"
	LIST_HELP;

enum { USER, RESOURCE, USED, LIMIT, PERCENT, PARAMETER };

static const struct column columns[] = {
	{ "USER", "whose, with --all", COLUMN_EXTRA | COLUMN_SHRINKS, 9 },
	{ "RESOURCE", "segments, handles, claims or bytes", 0, 9 },
	{ "USED", "how much you have", COLUMN_RIGHT, 8 },
	{ "LIMIT", "how much you may have", COLUMN_RIGHT, 7 },
	{ "USE%", "the one in percent of the other", COLUMN_RIGHT, 6 },
	{ "PARAMETER", "the parameter of the module", COLUMN_EXTRA, 5 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char *const resources[] = { "segments", "handles", "claims", "bytes" };

/* RESOURCE=NUMBER */
static int change(const char *text)
{
	const char *equals = strchr(text, '=');
	char path[64], *safe;
	uint64_t value;
	FILE *file;
	size_t i;
	int status;

	for (i = 0; equals && i < 4; i++) {
		if (strlen(resources[i]) == (size_t)(equals - text) &&
		    !strncmp(text, resources[i], strlen(resources[i])))
			break;
	}
	if (!equals || i == 4) {
		safe = text_safe(text);
		usage_error("\"%s\" is not segments=, handles=, claims= or bytes=NUMBER", safe);
		free(safe);
		return STATUS_USAGE;
	}
	status = parse_size(equals + 1, "the limit", &value);
	if (status)
		return status;
	snprintf(path, sizeof(path), PARAMETERS "max_%s", resources[i]);
	file = fopen(path, "w");
	if (file && fprintf(file, "%llu\n", (unsigned long long)value) > 0 && !fclose(file))
		return STATUS_OK;
	if (errno == EACCES || errno == EPERM || errno == EROFS)
		return complain(STATUS_RIGHTS, "only root may change limits; try again as root");
	if (errno == ENOENT)
		return failed(NULL, IPM_RESULT_ERR_NO_DEVICE);
	return complain(STATUS_FAILED, "%s could not be written: %s", path, strerror(errno));
}

static void add(struct table *table, uint32_t uid, size_t which, uint64_t used, uint64_t limit)
{
	/* Lowering a limit takes nothing away, so there may be more than 100. */
	double percent = limit ? (double)used * 100 / (double)limit : used ? 100 : 0;
	char parameter[32];

	table_row(table);
	table_text(table, USER, user_name(uid));
	table_word(table, RESOURCE, resources[which]);
	if (which == 3) {
		table_size(table, USED, used);
		table_size(table, LIMIT, limit);
	} else {
		table_number(table, USED, used);
		table_number(table, LIMIT, limit);
	}
	table_number(table, PERCENT, (uint64_t)(percent + 0.5));
	table_colour(table, PERCENT,
		     percent >= 90 ? COLOUR_RED : percent >= 70 ? COLOUR_YELLOW : COLOUR_NONE);
	snprintf(parameter, sizeof(parameter), "max_%s", resources[which]);
	table_word(table, PARAMETER, parameter);
}

static void add_all(struct table *table, const ipm_monitor_limit *l)
{
	add(table, l->uid, 0, l->segments, l->segments_max);
	add(table, l->uid, 1, l->handles, l->handles_max);
	add(table, l->uid, 2, l->claims, l->claims_max);
	add(table, l->uid, 3, l->bytes, l->bytes_max);
}

static bool add_user(const ipm_monitor_limit *limit, void *param)
{
	add_all(param, limit);
	return true;
}

static int all_users(struct table *table)
{
	ipm_monitor *monitor;
	ipm_result result;
	int status = watch_open(&monitor);

	if (status)
		return status;
	result = ipm_monitor_limits(monitor, add_user, table);
	ipm_monitor_close(monitor);
	return result ? watch_failed(NULL, result) : 0;
}

static int this_user(struct table *table)
{
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	ipm_result result = ipm_memory_get_limits(NULL, &limits);

	if (result)
		return failed(NULL, result);
	add_all(table, &(ipm_monitor_limit){
		.uid = geteuid(),
		.segments_max = limits.segments_max, .segments = limits.segments,
		.handles_max = limits.handles_max, .handles = limits.handles,
		.claims_max = limits.claims_max, .claims = limits.claims,
		.bytes_max = limits.bytes_max, .bytes = limits.bytes,
	});
	return 0;
}

int command_limits(int argc, char **argv)
{
	static const struct option names[] = {
		{ "all", no_argument, NULL, 'a' },
		LIST_NAMES,
		{ 0 },
	};
	static const struct options options = {
		"limits", help, "a" LIST_LETTERS, names, columns, COLUMNS,
	};
	struct list_options list = { 0 };
	struct table *table;
	bool all = false;
	int option, status = 0, i;

	while (!status && (option = option_next(argc, argv, &options)) != -1) {
		if (option == 'a')
			all = true;
		else
			status = list_option(&list, option, optarg);
	}
	for (i = optind; !status && i < argc; i++)
		status = change(argv[i]);
	if (status || optind < argc)
		return status;
	if (all && !list.columns && !list.json)
		list.columns = "USER,RESOURCE,USED,LIMIT,USE%";
	table = table_new("limits", columns, COLUMNS, &list);
	if (!table)
		return STATUS_USAGE;
	status = all ? all_users(table) : this_user(table);
	if (!status)
		table_finish(table);
	table_free(table);
	return status;
}
