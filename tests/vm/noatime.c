// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded into virtiofsd when its user is not root. overlayfs opens the files below
 * with O_NOATIME, which is only allowed to their owner; do without it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>

static int call_openat(int dir, const char *path, int flags, mode_t mode)
{
	static int (*next)(int dir, const char *path, int flags, ...);

	if (!next)
		next = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
	return next(dir, path, flags & ~O_NOATIME, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_list arguments;

		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return call_openat(dir, path, flags, mode);
}

/* What openat() without a mode becomes in a program built with _FORTIFY_SOURCE. */
int __openat64_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags)
{
	return call_openat(dir, path, flags, 0);
}
