/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests that go through the library, beside ipm_test.h.
 */
#ifndef LIB_TEST_H
#define LIB_TEST_H

#include "ipm_test.h"

#include <ipm/ipm_error.h>

/* The result, with its name when it is another. */
#define ASSERT_RESULT(wanted, call)                                               \
	do {                                                                      \
		ipm_result result_got = (call);                                   \
		ASSERT_STREQ(ipm_result_to_str(wanted), ipm_result_to_str(result_got)); \
	} while (0)

#define ASSERT_OK(call)	ASSERT_RESULT(IPM_RESULT_SUCCESS, call)

#endif /* LIB_TEST_H */
