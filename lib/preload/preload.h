/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libipm-preload.so: takes the shared memory of unmodified programs to IPM.
 * Loaded with LD_PRELOAD, it stands in front of the C library:
 *
 *   sysv.c    shmget() and its family
 *   posix.c   shm_open(), shm_unlink(), and what is done with its file
 *	       descriptors
 *   next.c    the functions behind ours, and the log
 *
 * It keeps nothing: which segment a number, an address or a file descriptor
 * means, the kernel knows. So it cannot be confused by fork(), by a file
 * descriptor that was copied, passed on or closed behind its back, or by a
 * signal handler; and threads need no lock. The functions of the C library that
 * may be called in signal handlers still may: the log alone formats text.
 *
 * What IPM cannot do gets the C library's own function, and a line in the log.
 */
#ifndef IPM_PRELOAD_H
#define IPM_PRELOAD_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys.h"

#define PRELOAD_API __attribute__((visibility("default")))

/* Those of old programs, for which there is no declaration any more. */
int __fxstat(int version, int fd, struct stat *st);
int __fxstat64(int version, int fd, struct stat64 *st);

/* Every function that we stand in front of. */
#define PRELOAD_FUNCTIONS(each)						\
	each(shmget) each(shmat) each(shmdt) each(shmctl)		\
	each(shm_open) each(shm_unlink)					\
	each(ftruncate) each(ftruncate64)				\
	each(fstat) each(fstat64) each(__fxstat) each(__fxstat64)	\
	each(fchmod) each(fchown)					\
	each(fallocate) each(fallocate64)				\
	each(posix_fallocate) each(posix_fallocate64)

#define PRELOAD_NUMBER(name) PRELOAD_##name,
enum preload_function { PRELOAD_FUNCTIONS(PRELOAD_NUMBER) PRELOAD_COUNT };

/** preload_next() - the function behind ours; never NULL for one that is called */
IPM_HIDDEN void *preload_next(enum preload_function function);

/* NEXT(name)(arguments): what the program would have called without us. */
#define NEXT(name) ((__typeof__(&name))preload_next(PRELOAD_##name))

/** preload_log() - a line for the log, if one was asked for; keeps errno */
IPM_HIDDEN __attribute__((format(printf, 1, 2))) void preload_log(const char *format, ...);

/** preload_volatile() - whether what shm_open() makes ends with its last user */
IPM_HIDDEN bool preload_volatile(void);

#endif /* IPM_PRELOAD_H */
