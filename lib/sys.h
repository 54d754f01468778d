/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that libipm makes for memory, in one object file: a test
 * that defines these functions itself gets its own kernel.
 *
 * What can fail returns a negative errno.
 */
#ifndef IPM_LIB_SYS_H
#define IPM_LIB_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define IPM_HIDDEN __attribute__((visibility("hidden")))

/** ipm_sys_open() - open(2), the file descriptor or a negative errno */
IPM_HIDDEN int ipm_sys_open(const char *path, int flags);

/** ipm_sys_close() - close(2); errors mean nothing to us */
IPM_HIDDEN void ipm_sys_close(int fd);

/** ipm_sys_dup3() - dup3(2) */
IPM_HIDDEN int ipm_sys_dup3(int fd, int number, int flags);

/** ipm_sys_fcntl() - fcntl(2) with a number as argument */
IPM_HIDDEN int ipm_sys_fcntl(int fd, int command, int argument);

/** ipm_sys_ioctl() - ioctl(2) */
IPM_HIDDEN int ipm_sys_ioctl(int fd, unsigned long command, void *argument);

/**
 * ipm_sys_is_anonymous() - whether a file has no type, as handles have none
 *
 * What others can make up answers for, such as files of FUSE, has a type.
 */
IPM_HIDDEN bool ipm_sys_is_anonymous(int fd);

/** ipm_sys_mmap() - mmap(2), the address in @map */
IPM_HIDDEN int ipm_sys_mmap(void **map, void *address, size_t length, int protection, int flags,
			    int fd, uint64_t offset);

/** ipm_sys_munmap() - munmap(2), which cannot fail for a mapping that is ours */
IPM_HIDDEN void ipm_sys_munmap(void *map, size_t length);

/** ipm_sys_move_map() - mremap(2): put the mapping @from in the place of @to */
IPM_HIDDEN int ipm_sys_move_map(void *from, size_t length, void *to);

/**
 * ipm_sys_copy() - copy bytes, one side of which is an address from a caller
 *
 * Return: 0, or -EFAULT if it cannot be read or written, as a system call would
 * say. Where the kernel does not offer that (process_vm_readv(2)), such an
 * address is a fault as anywhere in a library.
 */
IPM_HIDDEN int ipm_sys_copy(void *to, const void *from, size_t size);

/** ipm_sys_read() - read(2) */
IPM_HIDDEN ssize_t ipm_sys_read(int fd, void *buffer, size_t size);

/**
 * ipm_sys_wait_readable() - ppoll(2) for one file descriptor
 * @timeout_ns: nanoseconds, or negative for no end
 *
 * Return: 1 readable, 0 the time is over, or a negative errno.
 */
IPM_HIDDEN int ipm_sys_wait_readable(int fd, int64_t timeout_ns);

/** ipm_sys_sendmsg() - sendmsg(2) */
IPM_HIDDEN ssize_t ipm_sys_sendmsg(int fd, const struct msghdr *message, int flags);

/** ipm_sys_recvmsg() - recvmsg(2) */
IPM_HIDDEN ssize_t ipm_sys_recvmsg(int fd, struct msghdr *message, int flags);

/** ipm_sys_now() - CLOCK_MONOTONIC in nanoseconds */
IPM_HIDDEN int64_t ipm_sys_now(void);

#endif /* IPM_LIB_SYS_H */
