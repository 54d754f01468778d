/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An allocator of the C library that fails on demand.
 *
 * Without a sanitizer it stands in the place of malloc() for all of the process, the
 * libraries it is linked with included. A sanitizer has that place itself: there the
 * linker hands it the calls of what is linked statically (FAKE_MALLOC_LDFLAGS in build.mk).
 */
#ifndef FAKE_MALLOC_H
#define FAKE_MALLOC_H

#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAKE_MALLOC_IS_WHOLE false
#else
#define FAKE_MALLOC_IS_WHOLE true	/* sees what other libraries allocate, too */
#endif

/* The @nth allocation from now on fails, 1 is the next; 0: none does. */
void fake_malloc_fail(unsigned int nth);

/* All allocations fail from now on, or none. */
void fake_malloc_fail_all(bool fail);

/* How many have failed since the last call of this function. */
unsigned int fake_malloc_failures(void);

/* Allocations that were not freed. */
long fake_malloc_live(void);

#endif /* FAKE_MALLOC_H */
