// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipm create and ipm grow: segments and their sizes. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const char create_help[] =
	"Usage: ipm create [OPTION...] --size SIZE [SEGMENT]\n"
	"Make a segment, filled with zeros, that stays until it is removed. Prints its id, as\n"
	"id:NUMBER, which names the segment in every other command. Without SEGMENT it has no\n"
	"name and no key.\n\n"
	"  -s, --size SIZE        bytes; 4096, 64K, 1.5M\n"
	"  -c, --capacity SIZE    bytes that it may grow to (the size)\n"
	"  -m, --mode MODE        who may use it: 640, or g+r (600)\n"
	"  -e, --exist-ok         it may exist already, and is left as it is\n"
	"      --preallocate      take all pages now\n"
	"      --noreserve        reserve no memory: touching a page may fail later\n"
	"  -h, --help             print this\n";

int command_create(int argc, char **argv)
{
	static const struct option names[] = {
		{ "size", required_argument, NULL, 's' },
		{ "capacity", required_argument, NULL, 'c' },
		{ "mode", required_argument, NULL, 'm' },
		{ "exist-ok", no_argument, NULL, 'e' },
		{ "preallocate", no_argument, NULL, OPTION_PREALLOCATE },
		{ "noreserve", no_argument, NULL, OPTION_NORESERVE },
		{ 0 },
	};
	static const struct options options = {
		.name = "create",
		.help = create_help,
		.letters = "s:c:m:e",
		.names = names,
	};
	ipm_memory_create_options create = {
		.struct_size = sizeof(create),
		.ref = ipm_ref_private(),
		.mode = 0600,
		.access = IPM_ACCESS_MODE_READ_ONLY,
		.flags = IPM_MEMORY_EXCLUSIVE | IPM_MEMORY_PERSISTENT | IPM_MEMORY_NO_MAP,
	};
	bool sized = false;
	int option, status = 0;
	ipm_memory *memory;
	ipm_result result;

	while (!status && (option = option_next(argc, argv, &options)) != -1) {
		if (option == 's') {
			sized = true;
			status = parse_size(optarg, "the size", &create.size);
		} else if (option == 'c') {
			status = parse_size(optarg, "the capacity", &create.capacity);
		} else if (option == 'm') {
			status = parse_mode(optarg, 0600, &create.mode);
			if (!status && !create.mode)
				status = usage_error("a segment that nobody may use cannot be made; "
						     "use \"ipm chmod\" afterwards");
		} else if (option == 'e') {
			create.flags &= ~IPM_MEMORY_EXCLUSIVE;
		} else if (option == OPTION_PREALLOCATE) {
			create.flags |= IPM_MEMORY_PREALLOCATE;
		} else {
			create.flags |= IPM_MEMORY_NORESERVE;
		}
	}
	if (!status)
		status = option_arguments(argc, argv, 0, 1, "SEGMENT");
	if (!status && !sized)
		status = usage_error("--size is missing");
	if (!status && optind < argc)
		status = parse_segment(argv[optind], &create.ref);
	if (status)
		return status;
	if (create.ref.by == IPM_MEMORY_BY_ID)
		return usage_error("the kernel chooses the id; give a name, a key, or nothing");
	if (!create.capacity)
		create.capacity = create.size;
	if (create.capacity < create.size)
		return usage_error("the capacity is smaller than the size");
	result = ipm_memory_create_ex(NULL, &create, &memory);
	if (result)
		return failed(optind < argc ? argv[optind] : NULL, result);
	printf("id:%u\n", ipm_memory_get_id(memory));
	ipm_memory_close(memory);
	return STATUS_OK;
}

static const char grow_help[] =
	"Usage: ipm grow [OPTION...] SEGMENT SIZE\n"
	"Make a segment larger; +SIZE adds to what it has. Everybody who uses it sees the new\n"
	"bytes at once. Segments never shrink.\n\n"
	"      --preallocate      take the new pages now\n"
	"  -h, --help             print this\n";

int command_grow(int argc, char **argv)
{
	static const struct option names[] = {
		{ "preallocate", no_argument, NULL, OPTION_PREALLOCATE },
		{ 0 },
	};
	static const struct options options = {
		.name = "grow",
		.help = grow_help,
		.letters = "",
		.names = names,
	};
	uint32_t flags = 0;
	uint64_t size;
	ipm_memory *memory;
	ipm_result result;
	const char *text;
	bool adds;
	int status;

	while (option_next(argc, argv, &options) != -1)
		flags |= IPM_MEMORY_PREALLOCATE;
	status = option_arguments(argc, argv, 2, 2, "SEGMENT or SIZE");
	if (status)
		return status;
	text = argv[optind + 1];
	adds = *text == '+';
	status = parse_size(text + adds, "the size", &size);
	if (!status)
		status = open_segment(argv[optind], IPM_ACCESS_MODE_READ_WRITE, IPM_MEMORY_NO_MAP,
				      &memory);
	if (status)
		return status;
	if (adds && __builtin_add_overflow(size, ipm_memory_size(memory), &size))
		size = UINT64_MAX;
	result = ipm_memory_grow(memory, size, flags);
	ipm_memory_close(memory);
	return result ? failed(argv[optind], result) : STATUS_OK;
}
