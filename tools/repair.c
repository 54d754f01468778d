// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm recover and ipm clear-claims: what an administrator does after a crash, or
 * against a program that hangs.
 */
#include <string.h>

#include "tool.h"

static const char recover_help[] =
	"Usage: ipm recover [OPTION...] SEGMENT\n"
	"Declare bytes good that a dead writer left in doubt: whoever claims them is then no\n"
	"longer told. Do that when you know that they are, or have put them right (\"ipm put\"\n"
	"does both). Waits until nobody else has claimed them.\n\n"
	"  -l, --list             only print what is in doubt\n"
	"      --zero             fill with zeros first\n"
	"      --offset BYTES     only what overlaps the bytes from here (0)\n"
	"      --length BYTES     so many (to the end)\n"
	"      --timeout SECONDS  how long to wait for others (for ever)\n"
	LIST_HELP;

enum { OFFSET, LENGTH, PID, DIED, MERGED };

static const struct column doubt_columns[] = {
	{ "OFFSET", "first byte", COLUMN_RIGHT, 9 },
	{ "LENGTH", "how many bytes", COLUMN_RIGHT, 8 },
	{ "PID", "the process that died; - if it is not visible here", COLUMN_RIGHT, 7 },
	{ "DIED", "how long ago", COLUMN_RIGHT, 6 },
	{ "MERGED", "whether it covers several deaths, or bytes between them", 0, 5 },
};

#define DOUBT_COLUMNS (sizeof(doubt_columns) / sizeof(doubt_columns[0]))

struct recover {
	uint64_t offset;
	uint64_t length;
	int64_t deadline;
	bool list_only;
	bool zero;
	struct list_options list;
};

static int list_doubts(const struct recover *r, const ipm_memory_doubt *doubts, size_t count)
{
	struct table *table = table_new("doubts", doubt_columns, DOUBT_COLUMNS, &r->list);
	size_t i;

	if (!table)
		return STATUS_USAGE;
	for (i = 0; i < count; i++) {
		table_row(table);
		table_number(table, OFFSET, doubts[i].offset);
		table_size(table, LENGTH, doubts[i].length);
		if (doubts[i].pid)
			table_signed(table, PID, doubts[i].pid);
		else
			table_none(table, PID);
		table_age(table, DIED, doubts[i].time);
		table_flag(table, MERGED, doubts[i].flags & IPM_MEMORY_DOUBT_MERGED);
	}
	table_finish(table);
	table_free(table);
	return STATUS_OK;
}

/* Bytes beyond the size have no pages to be filled. */
static void fill(ipm_memory *memory, const ipm_memory_doubt *doubt)
{
	uint64_t size = ipm_memory_size(memory), length = doubt->length;

	if (doubt->offset >= size)
		return;
	if (length > size - doubt->offset)
		length = size - doubt->offset;
	memset((char *)ipm_memory_pointer(memory) + doubt->offset, 0, length);
}

static ipm_result recover_one(const struct recover *r, ipm_memory *memory,
			      const ipm_memory_doubt *doubt)
{
	ipm_memory_claim_options claim = {
		.struct_size = sizeof(claim),
		.offset = doubt->offset,
		.length = doubt->length,
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.deadline = r->deadline,
	};
	ipm_result result;
	ipm_id id;

	result = ipm_memory_claim(memory, &claim, &id, NULL);
	if (result)
		return result;
	if (r->zero)
		fill(memory, doubt);
	result = ipm_memory_recovered(memory, doubt->offset, doubt->length);
	ipm_memory_release_region(memory, id);
	return result;
}

static int recover_all(const struct recover *r, const char *text, ipm_memory *memory,
		       const ipm_memory_doubt *doubts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		ipm_result result = recover_one(r, memory, &doubts[i]);
		char length[24];

		if (result)
			return failed(text, result);
		format_size(length, sizeof(length), doubts[i].length, r->list.bytes);
		printf("recovered %s at %llu%s\n", length, (unsigned long long)doubts[i].offset,
		       r->zero ? ", now zeros" : "");
	}
	if (!count)
		printf("nothing is in doubt\n");
	return STATUS_OK;
}

static int recover_option(struct recover *r, int option)
{
	int64_t ns;
	int status;

	switch (option) {
	case 'l':
		r->list_only = true;
		return 0;
	case OPTION_ZERO:
		r->zero = true;
		return 0;
	case OPTION_OFFSET:
		return parse_size(optarg, "the offset", &r->offset);
	case OPTION_LENGTH:
		status = parse_size(optarg, "the length", &r->length);
		if (!status && !r->length)
			status = usage_error("a length of 0 means nothing");
		return status;
	case OPTION_TIMEOUT:
		status = parse_seconds(optarg, "the time", &ns);
		if (!status)
			r->deadline = ipm_deadline_after(ns);
		return status;
	}
	return list_option(&r->list, option, optarg);
}

int command_recover(int argc, char **argv)
{
	static const struct option names[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "zero", no_argument, NULL, OPTION_ZERO },
		{ "offset", required_argument, NULL, OPTION_OFFSET },
		{ "length", required_argument, NULL, OPTION_LENGTH },
		{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
		LIST_NAMES,
		{ 0 },
	};
	static const struct options options = {
		.name = "recover",
		.help = recover_help,
		.letters = "l" LIST_LETTERS,
		.names = names,
	};
	ipm_memory_doubt doubts[IPM_MEMORY_MAX_DOUBTS];
	struct recover r = { .deadline = IPM_DEADLINE_NONE };
	ipm_memory *memory;
	ipm_result result;
	size_t count;
	int option, status = 0;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = recover_option(&r, option);
	if (!status)
		status = option_arguments(argc, argv, 1, 1, "SEGMENT");
	if (!status && r.list.json && !r.list_only)
		status = usage_error("--json goes together with --list");
	if (!status)
		status = open_segment(argv[optind],
				      r.list_only ? IPM_ACCESS_MODE_READ_ONLY :
						    IPM_ACCESS_MODE_READ_WRITE,
				      r.zero && !r.list_only ? 0 : IPM_MEMORY_NO_MAP, &memory);
	if (status)
		return status;
	/* 0 is the whole segment, but only from the start. */
	if (!r.length && r.offset < ipm_memory_capacity(memory))
		r.length = r.offset ? ipm_memory_capacity(memory) - r.offset : 0;
	result = ipm_memory_list_doubts(memory, r.offset, r.length, doubts, IPM_MEMORY_MAX_DOUBTS,
					&count);
	if (result == IPM_RESULT_ERR_BAD_VALUE || result == IPM_RESULT_ERR_BAD_SIZE)
		status = complain(STATUS_FAILED, "these bytes go past the end of the segment; \"ipm info\" "
				  "shows its size");
	else if (result)
		status = failed(argv[optind], result);
	else if (r.list_only)
		status = list_doubts(&r, doubts, count);
	else
		status = recover_all(&r, argv[optind], memory, doubts, count);
	ipm_memory_close(memory);
	return status;
}

static const char clear_help[] =
	"Usage: ipm clear-claims SEGMENT\n"
	"End every claim on a segment, whoever holds it, and let those go on who wait. For\n"
	"breaking into a program that hangs: its holder learns of it only when it releases.\n"
	"Claims of dead processes need no such help. Prints how many there were.\n\n"
	"  -h, --help             print this\n";

int command_clear_claims(int argc, char **argv)
{
	static const struct option names[] = { { 0 } };
	static const struct options options = {
		.name = "clear-claims",
		.help = clear_help,
		.letters = "",
		.names = names,
	};
	ipm_memory_details details = { .struct_size = sizeof(details) };
	ipm_memory *memory;
	ipm_result result;
	int status;

	while (option_next(argc, argv, &options) != -1)
		;
	status = option_arguments(argc, argv, 1, 1, "SEGMENT");
	if (!status)
		status = open_segment(argv[optind], IPM_ACCESS_MODE_READ_ONLY, IPM_MEMORY_NO_MAP,
				      &memory);
	if (status)
		return status;
	result = ipm_memory_get_details(NULL, ipm_ref_memory(memory), &details);
	if (!result)
		result = ipm_memory_remove_all_active_claims(memory);
	ipm_memory_close(memory);
	if (result)
		return failed(argv[optind], result);
	printf("%u claim%s ended\n", details.claims, details.claims == 1 ? "" : "s");
	return STATUS_OK;
}
