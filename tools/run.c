// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipm run: a program with libipm-preload in front of the C library. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define LIBRARY "libipm-preload.so"

/* As env(1) and nohup(1) have it. */
#define STATUS_CANNOT_RUN 126
#define STATUS_NOT_FOUND 127

static const char help[] =
	"Usage: ipm run [OPTION...] PROGRAM [ARGUMENT...]\n"
	"Run a program whose shared memory (shmget and its family, shm_open) then lies in IPM\n"
	"segments, without changing the program. The exit status is the program's; 127 if it was\n"
	"not found, 126 if it could not be run.\n\n"
	"  -l, --log FILE         add a line to FILE for each segment, and for what was left to the\n"
	"                         system\n"
	"  -v, --volatile         what shm_open makes ends with its last user, without shm_unlink\n"
	"  -p, --print            only print the library that would be loaded first\n"
	"  -h, --help             print this\n";

/* Next to this program where it was built or installed, else where it was meant to be. */
static char *find_library(void)
{
	static const char *const beside[] = { "lib", "lib/ipm" };
	char self[PATH_MAX], *slash, *path = NULL;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t i;

	if (length > 0) {
		self[length] = '\0';
		for (i = 0; i < 2; i++) {
			slash = strrchr(self, '/');
			if (slash)
				*slash = '\0';
		}
		for (i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
			if (asprintf(&path, "%s/%s/" LIBRARY, self, beside[i]) < 0)
				need(NULL);
			if (!access(path, R_OK))
				return path;
			free(path);
		}
	}
	path = need(strdup(IPM_LIBDIR "/ipm/" LIBRARY));
	if (!access(path, R_OK))
		return path;
	free(path);
	return NULL;
}

/* The program may change its directory. */
static int set_log(const char *file)
{
	char here[PATH_MAX], *path = NULL;

	if (*file == '/')
		return setenv("IPM_PRELOAD_LOG", file, 1) ? STATUS_FAILED : 0;
	if (!getcwd(here, sizeof(here)))
		return complain(STATUS_FAILED, "the current directory is not known: %s; give the whole "
				"path", strerror(errno));
	if (asprintf(&path, "%s/%s", here, file) < 0 || setenv("IPM_PRELOAD_LOG", path, 1))
		need(NULL);
	free(path);
	return 0;
}

int command_run(int argc, char **argv)
{
	static const struct option names[] = {
		{ "log", required_argument, NULL, 'l' },
		{ "volatile", no_argument, NULL, 'v' },
		{ "print", no_argument, NULL, 'p' },
		{ 0 },
	};
	/* '+': what follows the program is the program's. */
	static const struct options options = {
		.name = "run",
		.help = help,
		.letters = "+l:vp",
		.names = names,
	};
	const char *old = getenv("LD_PRELOAD");
	char *library, *preload = NULL, *safe;
	bool print = false;
	int option, status = 0;

	while (!status && (option = option_next(argc, argv, &options)) != -1) {
		if (option == 'l')
			status = set_log(optarg);
		else if (option == 'v')
			setenv("IPM_PRELOAD_VOLATILE", "1", 1);
		else
			print = true;
	}
	if (status)
		return status;
	status = print ? 0 : option_arguments(argc, argv, 1, -1, "PROGRAM");
	if (status)
		return status;
	library = find_library();
	if (!library)
		return complain(STATUS_FAILED,
				LIBRARY " is neither beside this program nor in " IPM_LIBDIR
				"/ipm; install IPM again");
	if (print) {
		puts(library);
		free(library);
		return STATUS_OK;
	}
	/* The loader divides the list at spaces and colons. */
	if (strpbrk(library, " :"))
		return complain(STATUS_FAILED, "the loader cannot find a library in a directory whose "
				"name has a space or colon; install IPM elsewhere");
	if (asprintf(&preload, "%s%s%s", library, old && *old ? ":" : "", old ? old : "") < 0 ||
	    setenv("LD_PRELOAD", preload, 1))
		need(NULL);
	if (access("/dev/ipm", F_OK))
		complain(0, "the module is not loaded, so the system's own shared memory is used; load it "
			 "with \"modprobe ipm\" as root");
	fflush(stdout);
	execvp(argv[optind], &argv[optind]);
	status = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
	safe = text_safe(argv[optind]);
	complain(status, "\"%s\" could not be run: %s", safe, strerror(errno));
	free(safe);
	free(preload);
	free(library);
	return status;
}
