// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The system calls that libipm makes for memory. See sys.h.
 */
/* The status page lies at 2^43: beyond a 32-bit off_t. */
#define _FILE_OFFSET_BITS 64

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Callers of libipm do not expect it to change errno. */
#define NEGATIVE_ERRNO(call)				\
	({						\
		int saved = errno;			\
		__typeof__(call) value = (call);	\
							\
		if (value == -1)			\
			value = -errno;			\
		errno = saved;				\
		value;					\
	})

int ipm_sys_open(const char *path, int flags)
{
	return NEGATIVE_ERRNO(open(path, flags));
}

void ipm_sys_close(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

int ipm_sys_dup3(int fd, int number, int flags)
{
	return NEGATIVE_ERRNO(dup3(fd, number, flags));
}

int ipm_sys_fcntl(int fd, int command, int argument)
{
	return NEGATIVE_ERRNO(fcntl(fd, command, argument));
}

int ipm_sys_ioctl(int fd, unsigned long command, void *argument)
{
	return NEGATIVE_ERRNO(ioctl(fd, command, argument));
}

bool ipm_sys_is_anonymous(int fd)
{
	struct statx st;

	/* Not fstat(): libipm-preload.so makes files of handles there. */
	return !NEGATIVE_ERRNO(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st)) &&
	       !(st.stx_mode & S_IFMT);
}

int ipm_sys_mmap(void **map, void *address, size_t length, int protection, int flags, int fd,
		 uint64_t offset)
{
	int saved = errno;
	void *new = mmap(address, length, protection, flags, fd, (off_t)offset);
	int err = 0;

	if (new == MAP_FAILED)
		err = -errno;
	else
		*map = new;
	errno = saved;
	return err;
}

void ipm_sys_munmap(void *map, size_t length)
{
	int saved = errno;

	munmap(map, length);
	errno = saved;
}

int ipm_sys_move_map(void *from, size_t length, void *to)
{
	int saved = errno;
	int err = 0;

	if (mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		err = -errno;
	errno = saved;
	return err;
}

int ipm_sys_copy(void *to, const void *from, size_t size)
{
	struct iovec local = { .iov_base = to, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)from, .iov_len = size };
	ssize_t ret = NEGATIVE_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));

	if (ret == (ssize_t)size)
		return 0;
	if (ret >= 0 || ret == -EFAULT)
		return -EFAULT;
	memcpy(to, from, size);
	return 0;
}

ssize_t ipm_sys_read(int fd, void *buffer, size_t size)
{
	return NEGATIVE_ERRNO(read(fd, buffer, size));
}

int ipm_sys_wait_readable(int fd, int64_t timeout_ns)
{
	struct pollfd poll = { .fd = fd, .events = POLLIN };
	struct timespec time = {
		.tv_sec = (time_t)(timeout_ns / 1000000000),
		.tv_nsec = (long)(timeout_ns % 1000000000),
	};

	return NEGATIVE_ERRNO(ppoll(&poll, 1, timeout_ns < 0 ? NULL : &time, NULL));
}

ssize_t ipm_sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return NEGATIVE_ERRNO(sendmsg(fd, message, flags));
}

ssize_t ipm_sys_recvmsg(int fd, struct msghdr *message, int flags)
{
	return NEGATIVE_ERRNO(recvmsg(fd, message, flags));
}

int64_t ipm_sys_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
