// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm cat and ipm put: bytes out of a segment and into it, as one value.
 *
 * No claim is held while the other end of a pipe thinks: what is put is read first,
 * and what is printed is copied first, up to COPY_MAX. More than that is printed
 * straight from the segment, while the claim is held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tool.h"

#define COPY_MAX (64ULL << 20)

struct range {
	uint64_t offset;
	uint64_t length;
	bool has_length;
	int64_t deadline;
};

static const struct option range_names[] = {
	{ "offset", required_argument, NULL, OPTION_OFFSET },
	{ "length", required_argument, NULL, OPTION_LENGTH },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ 0 },
};

static int range_option(struct range *range, int option)
{
	int64_t ns;
	int status;

	switch (option) {
	case OPTION_OFFSET:
		return parse_size(optarg, "the offset", &range->offset);
	case OPTION_LENGTH:
		range->has_length = true;
		return parse_size(optarg, "the length", &range->length);
	}
	status = parse_seconds(optarg, "the time", &ns);
	if (!status)
		range->deadline = ipm_deadline_after(ns);
	return status;
}

static int beyond(uint64_t size)
{
	return complain(STATUS_FAILED, "these bytes go past the end of the segment, which has %llu",
			(unsigned long long)size);
}

static int write_all(const char *bytes, uint64_t length)
{
	while (length) {
		ssize_t wrote = write(1, bytes, length < (1U << 30) ? length : 1U << 30);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0) {
			/* Who closed the pipe has seen enough. */
			if (errno == EPIPE)
				return STATUS_FAILED;
			return complain(STATUS_FAILED, "the output could not be written: %s",
					strerror(errno));
		}
		bytes += wrote;
		length -= (uint64_t)wrote;
	}
	return STATUS_OK;
}

static int in_doubt(const char *text)
{
	char *safe = text_safe(text);

	complain(STATUS_DOUBT,
		 "%s: a writer died in the middle of these bytes; \"ipm recover --list\" shows which", safe);
	free(safe);
	return STATUS_DOUBT;
}

/* Straight from the segment, under the claim. */
static int print_held(const char *text, ipm_memory *memory, const struct range *range)
{
	ipm_memory_claim_options claim = {
		.struct_size = sizeof(claim),
		.offset = range->offset,
		.length = range->length,
		.access = IPM_ACCESS_MODE_READ_ONLY,
		.deadline = range->deadline,
	};
	uint32_t granted;
	ipm_result result;
	ipm_id id;
	int status;

	result = ipm_memory_claim(memory, &claim, &id, &granted);
	if (result)
		return failed(text, result);
	status = write_all((const char *)ipm_memory_pointer(memory) + range->offset, range->length);
	ipm_memory_release_region(memory, id);
	if (!status && (granted & IPM_MEMORY_GRANT_IN_DOUBT))
		return in_doubt(text);
	return status;
}

static int print_copy(const char *text, ipm_memory *memory, const struct range *range)
{
	char *copy = need(malloc(range->length));
	ipm_result result;
	int status;

	result = ipm_memory_read_until(memory, range->offset, copy, range->length, range->deadline);
	if (result && result != IPM_RESULT_ERR_IN_DOUBT) {
		free(copy);
		return failed(text, result);
	}
	status = write_all(copy, range->length);
	free(copy);
	return !status && result ? in_doubt(text) : status;
}

static const char cat_help[] =
	"Usage: ipm cat [OPTION...] SEGMENT\n"
	"Print the bytes of a segment, as they were in one moment in which nobody had claimed\n"
	"them for writing. Exit status 7 tells that a writer died in the middle of them.\n\n"
	"      --offset BYTES     from this byte on (0)\n"
	"      --length BYTES     so many (to the end)\n"
	"      --timeout SECONDS  how long to wait for writers (for ever)\n"
	"  -h, --help             print this\n";

int command_cat(int argc, char **argv)
{
	static const struct options options = {
		.name = "cat",
		.help = cat_help,
		.letters = "",
		.names = range_names,
	};
	struct range range = { .deadline = IPM_DEADLINE_NONE };
	ipm_memory *memory;
	uint64_t size;
	int option, status = 0;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = range_option(&range, option);
	if (!status)
		status = option_arguments(argc, argv, 1, 1, "SEGMENT");
	if (!status)
		status = open_segment(argv[optind], IPM_ACCESS_MODE_READ_ONLY, 0, &memory);
	if (status)
		return status;
	size = ipm_memory_size(memory);
	if (!range.has_length && range.offset <= size)
		range.length = size - range.offset;
	if (range.offset > size || range.length > size - range.offset)
		status = beyond(size);
	else if (!range.length)
		status = STATUS_OK;
	else if (range.length > COPY_MAX)
		status = print_held(argv[optind], memory, &range);
	else
		status = print_copy(argv[optind], memory, &range);
	ipm_memory_close(memory);
	return status;
}

/* Reads standard input to its end, but no more than @most and one byte. */
static int read_all(uint64_t most, struct text *input)
{
	for (;;) {
		ssize_t got;

		if (input->room - input->length < 65536) {
			input->room = input->room ? input->room * 2 : 1 << 17;
			input->bytes = need(realloc(input->bytes, input->room));
		}
		got = read(0, input->bytes + input->length, input->room - input->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return complain(STATUS_FAILED, "the input could not be read: %s", strerror(errno));
		if (!got)
			return STATUS_OK;
		input->length += (size_t)got;
		if (input->length > most)
			return complain(STATUS_FAILED,
					"the input is longer than the %llu bytes that there are for it, "
					"nothing was written; \"ipm grow\" makes room",
					(unsigned long long)most);
	}
}

static const char put_help[] =
	"Usage: ipm put [OPTION...] SEGMENT\n"
	"Write standard input into a segment, as one value: nobody who claims the bytes ever\n"
	"sees half of it. Reads all of the input first; nothing is written if there is no room\n"
	"for it. Bytes that were in doubt are good again where they were overwritten.\n\n"
	"      --offset BYTES     from this byte on (0)\n"
	"      --length BYTES     refuse more input than this (to the end of the segment)\n"
	"      --timeout SECONDS  how long to wait for others (for ever)\n"
	"  -h, --help             print this\n";

int command_put(int argc, char **argv)
{
	static const struct options options = {
		.name = "put",
		.help = put_help,
		.letters = "",
		.names = range_names,
	};
	struct range range = { .deadline = IPM_DEADLINE_NONE };
	struct text input = { 0 };
	ipm_memory *memory;
	ipm_result result;
	uint64_t size;
	int option, status = 0;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = range_option(&range, option);
	if (!status)
		status = option_arguments(argc, argv, 1, 1, "SEGMENT");
	if (!status)
		status = open_segment(argv[optind], IPM_ACCESS_MODE_READ_WRITE, 0, &memory);
	if (status)
		return status;
	size = ipm_memory_size(memory);
	if (range.offset > size || (range.has_length && range.length > size - range.offset))
		status = beyond(size);
	else
		status = read_all(range.has_length ? range.length : size - range.offset, &input);
	if (!status && input.length) {
		result = ipm_memory_write_until(memory, range.offset, input.bytes, input.length,
						range.deadline);
		if (result)
			status = failed(argv[optind], result);
	}
	text_free(&input);
	ipm_memory_close(memory);
	return status;
}
