// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm: see, follow and repair the shared memory of a machine. See ipm(8).
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const struct command commands[] = {
	{ "ls", "Looking", "list segments", command_ls },
	{ "info", "Looking", "all that is known about a segment", command_info },
	{ "claims", "Looking", "who holds which bytes, who waits; or a map of them", command_claims },
	{ "who", "Looking", "which processes use segments", command_who },
	{ "top", "Looking", "the busiest segments, live", command_top },
	{ "monitor", "Looking", "what happens, line by line", command_monitor },
	{ "limits", "Looking", "limits and how much of them is used", command_limits },
	{ "doctor", "Looking", "find out what is wrong with an installation", command_doctor },
	{ "create", "Segments", "make a segment that stays until it is removed", command_create },
	{ "grow", "Segments", "make a segment larger", command_grow },
	{ "rm", "Segments", "remove segments", command_rm },
	{ "chmod", "Segments", "change who may use a segment", command_chmod },
	{ "chown", "Segments", "change the owner of a segment", command_chown },
	{ "recover", "Repairing", "declare bytes good that a dead writer left in doubt",
	  command_recover },
	{ "clear-claims", "Repairing", "end all claims on a segment", command_clear_claims },
	{ "cat", "Bytes", "print the bytes of a segment", command_cat },
	{ "put", "Bytes", "write standard input into a segment", command_put },
	{ "send", "Bytes", "send standard input to \"ipm recv\"", command_send },
	{ "recv", "Bytes", "print what \"ipm send\" sends", command_recv },
	{ "run", "Programs", "run a program with its System V shared memory in IPM", command_run },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(void)
{
	const char *group = "";
	size_t i;

	printf("Usage: ipm COMMAND [OPTION...] [ARGUMENT...]\n"
	       "Shared memory that survives the crash of its users: see, follow and repair it.\n");
	for (i = 0; i < COMMANDS; i++) {
		if (strcmp(group, commands[i].group)) {
			group = commands[i].group;
			printf("\n%s:\n", group);
		}
		printf("  %-14s%s\n", commands[i].name, commands[i].summary);
	}
	printf("\nA segment is named by NAME, key:NUMBER, id:NUMBER or #NUMBER; name:NAME is for names\n"
	       "that look like one of the others.\n\n"
	       "\"ipm COMMAND --help\" tells about a command, \"man ipm-COMMAND\" more, \"man 8 ipm\" about\n"
	       "all of them: exit statuses, files, security.\n");
}

/*
 * What is closed of standard input, output and error is taken, the wrong way round: so
 * that no segment gets one of their numbers, and using them fails as if they were closed.
 */
static void take_standard_files(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			exit(STATUS_FAILED);
	}
}

int main(int argc, char **argv)
{
	size_t i;
	char *safe;

	take_standard_files();
	setlocale(LC_ALL, "");
	/* Numbers are written with a point everywhere: JSON, sizes. */
	setlocale(LC_NUMERIC, "C");
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		if (argc < 2) {
			complain(STATUS_USAGE, "a command is missing; \"ipm --help\" lists them");
			return STATUS_USAGE;
		}
		help();
		return close_output(STATUS_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("ipm %s (libipm %s)\n", IPM_VERSION_STRING, ipm_version_string());
		return close_output(STATUS_OK);
	}
	for (i = 0; i < COMMANDS; i++) {
		if (!strcmp(argv[1], commands[i].name)) {
			command_name = commands[i].name;
			return close_output(commands[i].run(argc - 1, argv + 1));
		}
	}
	safe = text_safe(argv[1]);
	complain(STATUS_USAGE, "\"%s\" is no command; \"ipm --help\" lists them", safe);
	free(safe);
	return STATUS_USAGE;
}
