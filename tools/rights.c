// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm chmod and ipm chown: who may use a segment.
 *
 * A handle is needed to change a segment, so its owner has to be able to read it.
 */
#include <string.h>

#include "tool.h"

static int change(const char *text, ipm_memory *memory, const ipm_memory_settings *settings)
{
	ipm_result result = ipm_memory_set(memory, settings);

	ipm_memory_close(memory);
	if (result == IPM_RESULT_ERR_BAD_VALUE)
		return complain(STATUS_FAILED, "this user or group does not exist in this user namespace");
	return result ? failed(text, result) : 0;
}

static const char chmod_help[] =
	"Usage: ipm chmod MODE SEGMENT...\n"
	"Change who may use segments: MODE is octal within 666, or as in chmod(1): g+r, o-rw,\n"
	"a=r,u+w. Who has a segment open keeps the access that he has.\n\n"
	"  -h, --help             print this\n";

int command_chmod(int argc, char **argv)
{
	static const struct option names[] = { { 0 } };
	/* '+': a mode such as -w is no option. */
	static const struct options options = {
		.name = "chmod",
		.help = chmod_help,
		.letters = "+",
		.names = names,
	};
	ipm_memory_settings settings = {
		.struct_size = sizeof(settings),
		.what = IPM_MEMORY_SET_MODE,
	};
	int status = 0, i;

	if (argc < 2 || !strchr("-", argv[1][0]) || !strchr("rw", argv[1][1])) {
		while (option_next(argc, argv, &options) != -1)
			;
	} else {
		optind = 1;
	}
	status = option_arguments(argc, argv, 2, -1, "MODE or SEGMENT");
	for (i = optind + 1; status != STATUS_USAGE && i < argc; i++) {
		ipm_memory_details details = { .struct_size = sizeof(details) };
		ipm_memory *memory;
		ipm_result result;
		int this = parse_mode(argv[optind], 0, &settings.mode);

		if (this)
			return this;
		this = open_segment(argv[i], IPM_ACCESS_MODE_READ_ONLY, IPM_MEMORY_NO_MAP, &memory);
		if (!this) {
			result = ipm_memory_get_details(NULL, ipm_ref_memory(memory), &details);
			if (result) {
				ipm_memory_close(memory);
				this = failed(argv[i], result);
			} else {
				parse_mode(argv[optind], details.mode, &settings.mode);
				this = change(argv[i], memory, &settings);
			}
		}
		if (this)
			status = this;
	}
	return status;
}

static const char chown_help[] =
	"Usage: ipm chown OWNER SEGMENT...\n"
	"Change the owner of segments: OWNER is USER, USER:GROUP, :GROUP, or USER: for the group\n"
	"of that user; names or numbers. The creator keeps all rights that he has.\n\n"
	"  -h, --help             print this\n";

int command_chown(int argc, char **argv)
{
	static const struct option names[] = { { 0 } };
	static const struct options options = {
		.name = "chown",
		.help = chown_help,
		.letters = "",
		.names = names,
	};
	ipm_memory_settings settings = { .struct_size = sizeof(settings) };
	bool has_uid, has_gid;
	int status, i;

	while (option_next(argc, argv, &options) != -1)
		;
	status = option_arguments(argc, argv, 2, -1, "OWNER or SEGMENT");
	if (!status)
		status = parse_owner(argv[optind], &settings.uid, &has_uid, &settings.gid, &has_gid);
	if (status)
		return status;
	settings.what = (has_uid ? IPM_MEMORY_SET_UID : 0) | (has_gid ? IPM_MEMORY_SET_GID : 0);
	for (i = optind + 1; i < argc; i++) {
		ipm_memory *memory;
		int this = open_segment(argv[i], IPM_ACCESS_MODE_READ_ONLY, IPM_MEMORY_NO_MAP, &memory);

		if (!this)
			this = change(argv[i], memory, &settings);
		if (this)
			status = this;
	}
	return status;
}
