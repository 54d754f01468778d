/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A test program in TAP: main() calls tap_run() for each test and returns
 * tap_end(). A failed check says where and what, and the test goes on.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stdio.h>

struct tap {
	int tests;
	int failed;
	bool failing;
};

static struct tap tap;

#define TAP_SKIPPED 4	/* exit status of a program that could not test */

static inline bool tap_check(bool good, const char *file, int line, const char *what)
{
	if (!good) {
		printf("# %s:%d: %s\n", file, line, what);
		fflush(stdout);
		tap.failing = true;
	}
	return good;
}

/* CHECK(condition): true if it holds. */
#define CHECK(condition) tap_check(!!(condition), __FILE__, __LINE__, #condition)

/* CHECK_INT(a, b): they are equal; else prints both. */
#define CHECK_INT(a, b)								\
	({									\
		long long tap_a = (long long)(a), tap_b = (long long)(b);	\
		bool tap_same = CHECK(tap_a == tap_b && #a " is " #b);		\
										\
		if (!tap_same)							\
			printf("# %lld, not %lld\n", tap_a, tap_b);		\
		tap_same;							\
	})

/* CHECK_RESULT(call, result): what a call of libipm came to. */
#define CHECK_RESULT(call, wanted)						\
	({									\
		ipm_result tap_got = (call), tap_wanted = (wanted);		\
		bool tap_same = tap_check(tap_got == tap_wanted, __FILE__,	\
					  __LINE__, #call);			\
										\
		if (!tap_same)							\
			printf("# %s, not %s\n", ipm_result_to_str(tap_got),	\
			       ipm_result_to_str(tap_wanted));			\
		tap_same;							\
	})

static inline void tap_run(const char *name, void (*test)(void))
{
	tap.failing = false;
	test();
	tap.tests++;
	tap.failed += tap.failing;
	printf("%s %d - %s\n", tap.failing ? "not ok" : "ok", tap.tests, name);
	fflush(stdout);
}

/* RUN(test): tap_run() with the function's name. */
#define RUN(test) tap_run(#test, test)

static inline int tap_end(void)
{
	printf("1..%d\n", tap.tests);
	return tap.failed ? 1 : 0;
}

/* tap_skip(reason): the only thing a program prints that cannot test here. */
static inline int tap_skip(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	return TAP_SKIPPED;
}

#endif /* TAP_H */
