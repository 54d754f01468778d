/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading and unloading the module itself: the one in the project's directory, or
 * that of IPM_MODULE.
 */
#ifndef MODULE_TEST_H
#define MODULE_TEST_H

#include "ipm_test.h"

#include <sys/utsname.h>

static inline const char *module_path(void)
{
	static char path[300];
	const char *given = getenv("IPM_MODULE");
	struct utsname kernel;

	uname(&kernel);
	if (given)
		snprintf(path, sizeof(path), "%s", given);
	else
		snprintf(path, sizeof(path), "build/kmod/%s/ipm.ko", kernel.release);
	return path;
}

static inline int load(const char *parameters)
{
	int fd = open(module_path(), O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}

static inline int unload(void)
{
	return syscall(SYS_delete_module, "ipm", O_NONBLOCK) ? -errno : 0;
}

/* Who was killed a moment ago gives up the module when its last file is closed. */
static inline int unload_soon(void)
{
	int ret = -EINVAL;

	wait_until((ret = unload()) != -EWOULDBLOCK);
	return ret;
}

static inline bool is_loaded(void)
{
	char text[64];

	return !strcmp(read_text("/sys/module/ipm/initstate", text, sizeof(text)), "live");
}

#endif /* MODULE_TEST_H */
