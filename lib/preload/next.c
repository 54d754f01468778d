// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The functions behind ours, the settings, and the log.
 *
 *   IPM_PRELOAD_LOG=FILE	a line for what was served and what was not
 *   IPM_PRELOAD_VOLATILE=1	what shm_open() makes ends with its last user
 *
 * Both are read once, before the program runs: some programs write over their
 * environment.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"

#define PRELOAD_NAME(name) #name,
static const char *const names[] = { PRELOAD_FUNCTIONS(PRELOAD_NAME) };

static _Atomic(void *) functions[PRELOAD_COUNT];
static char log_path[PATH_MAX];
static bool is_volatile;

void *preload_next(enum preload_function function)
{
	void *found = atomic_load_explicit(&functions[function], memory_order_relaxed);

	/* Only before our constructor has run, for a constructor of another library. */
	if (!found) {
		found = dlsym(RTLD_NEXT, names[function]);
		atomic_store_explicit(&functions[function], found, memory_order_relaxed);
	}
	return found;
}

bool preload_volatile(void)
{
	return is_volatile;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = secure_getenv("IPM_PRELOAD_LOG");
	const char *setting = secure_getenv("IPM_PRELOAD_VOLATILE");
	int i;

	for (i = 0; i < PRELOAD_COUNT; i++)
		preload_next(i);
	if (path && strlen(path) < sizeof(log_path))
		strcpy(log_path, path);
	is_volatile = setting && !strcmp(setting, "1");
}

void preload_log(const char *format, ...)
{
	int saved = errno, fd, length, more;
	char line[500];
	va_list args;

	if (!log_path[0])
		return;
	length = snprintf(line, sizeof(line), "%d %.64s: ", (int)getpid(),
			  program_invocation_short_name);
	va_start(args, format);
	more = vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, args);
	va_end(args);
	if (more < 0)
		more = 0;
	length += more;
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length] = '\n';
	/* Opened each time: a program may close what it does not know. */
	fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd >= 0) {
		/* One write, so lines of several processes do not mix. */
		if (write(fd, line, (size_t)length + 1) < 0)
			line[0] = '\0';	/* nobody to tell */
		close(fd);
	}
	errno = saved;
}
