// SPDX-License-Identifier: GPL-2.0
/*
 * hold SEGMENT read|write OFFSET LENGTH...: claims bytes, says what it has, and keeps them
 * until its input ends or it is killed. Says "waiting" first if others have them.
 */
#include <ipm/ipm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ipm_memory *memory;

static void claim(const char *mode, const char *offset, const char *length)
{
	ipm_memory_claim_options options = {
		.struct_size = sizeof(options),
		.offset = strtoull(offset, NULL, 0),
		.length = strtoull(length, NULL, 0),
		.access = strcmp(mode, "write") ? IPM_ACCESS_MODE_READ_ONLY :
						  IPM_ACCESS_MODE_READ_WRITE,
		.deadline = IPM_DEADLINE_NOW,
	};
	ipm_result result;
	ipm_id id;

	result = ipm_memory_claim(memory, &options, &id, NULL);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK) {
		puts("waiting");
		fflush(stdout);
		options.deadline = IPM_DEADLINE_NONE;
		result = ipm_memory_claim(memory, &options, &id, NULL);
	}
	printf("%s\n", result ? ipm_result_to_str(result) : "held");
	fflush(stdout);
	if (result)
		exit(1);
}

int main(int argc, char **argv)
{
	ipm_result result;
	char c;
	int i;

	if (argc < 2)
		return 2;
	result = ipm_memory_open(NULL, argv[1], IPM_ACCESS_MODE_READ_WRITE, &memory);
	if (result) {
		puts(ipm_result_to_str(result));
		return 1;
	}
	for (i = 2; i + 2 < argc; i += 3)
		claim(argv[i], argv[i + 1], argv[i + 2]);
	while (read(0, &c, 1) > 0)
		;
	ipm_memory_close(memory);
	return 0;
}
