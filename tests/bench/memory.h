/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What memory processes take, as far as the kernel lets it be seen. README.md tells what
 * is not.
 */
#ifndef IPM_BENCH_MEMORY_H
#define IPM_BENCH_MEMORY_H

#include <sys/types.h>

/*
 * KiB of private and shared memory that a process has touched, without files such as its
 * program; what several processes map is divided among them, so that their sum is right.
 * -1: the kernel does not tell.
 */
double memory_touched(pid_t pid);

/*
 * KiB that the kernel holds in the pipes, sockets and POSIX message queues which a process
 * has open, besides its standard files: of a pipe what is in it, of a socket what it has
 * sent and nobody has received, with what the kernel needs for that, of a queue its
 * messages. -1: the kernel does not let us look.
 */
double memory_in_kernel(pid_t pid);

#endif /* IPM_BENCH_MEMORY_H */
