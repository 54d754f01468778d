// SPDX-License-Identifier: GPL-2.0
/*
 * What memory processes take, see memory.h.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <mqueue.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"

#define MAX_PIPES 16

double memory_touched(pid_t pid)
{
	double all = 0, kib;
	char path[64], line[256];
	bool told = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Pss_Shmem: %lf", &kib) == 1)
			told = true;
		else if (sscanf(line, "Pss_Anon: %lf", &kib) != 1 &&
			 sscanf(line, "SwapPss: %lf", &kib) != 1)
			continue;
		all += kib;
	}
	fclose(file);
	return told ? all : -1;
}

struct pipes {
	ino_t seen[MAX_PIPES];	/* each has two ends */
	int nr;
};

static double bytes_behind(int fd, struct pipes *pipes)
{
	uint32_t socket_memory[SK_MEMINFO_VARS];
	socklen_t length = sizeof(socket_memory);
	struct mq_attr queue;
	struct stat about;
	int i, bytes;

	if (!getsockopt(fd, SOL_SOCKET, SO_MEMINFO, socket_memory, &length))
		return socket_memory[SK_MEMINFO_WMEM_ALLOC];
	if (!mq_getattr(fd, &queue))
		return (double)queue.mq_curmsgs * (double)queue.mq_msgsize;
	if (fstat(fd, &about) || !S_ISFIFO(about.st_mode) || ioctl(fd, FIONREAD, &bytes))
		return 0;
	for (i = 0; i < pipes->nr; i++)
		if (pipes->seen[i] == about.st_ino)
			return 0;
	if (pipes->nr < MAX_PIPES)
		pipes->seen[pipes->nr++] = about.st_ino;
	return bytes;
}

double memory_in_kernel(pid_t pid)
{
	struct pipes pipes = { 0 };
	struct dirent *entry;
	double bytes = 0;
	char path[64];
	int process, fd;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		return -1;
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (atoi(entry->d_name) <= STDERR_FILENO)
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0);
		if (fd < 0 && errno == EBADF)	/* just closed */
			continue;
		if (fd < 0) {
			bytes = -1;
			break;
		}
		bytes += bytes_behind(fd, &pipes);
		close(fd);
	}
	if (dir)
		closedir(dir);
	close(process);
	return dir && bytes >= 0 ? bytes / 1024 : -1;
}
