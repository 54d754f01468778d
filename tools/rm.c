// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipm rm: segments lose their names. */
#include "tool.h"

static const char help[] =
	"Usage: ipm rm [OPTION...] SEGMENT...\n"
	"Remove segments. Name and key are free at once; who has a segment open keeps it, and it\n"
	"ends with the last of them. Goes on after a segment that could not be removed.\n\n"
	"  -f, --force            a segment that is not there is no error\n"
	"  -h, --help             print this\n";

int command_rm(int argc, char **argv)
{
	static const struct option names[] = {
		{ "force", no_argument, NULL, 'f' },
		{ 0 },
	};
	static const struct options options = {
		.name = "rm",
		.help = help,
		.letters = "f",
		.names = names,
	};
	bool force = false;
	int status, i;

	while (option_next(argc, argv, &options) != -1)
		force = true;
	status = option_arguments(argc, argv, 1, -1, "SEGMENT");
	for (i = optind; status != STATUS_USAGE && i < argc; i++) {
		ipm_memory_ref ref;
		ipm_result result;
		int this = parse_segment(argv[i], &ref);

		if (!this) {
			result = ipm_memory_remove(NULL, ref);
			if (result && !(force && (result == IPM_RESULT_ERR_DOES_NOT_EXIST ||
						  result == IPM_RESULT_ERR_REMOVED)))
				this = failed(argv[i], result);
		}
		if (this)
			status = this;
	}
	return status;
}
