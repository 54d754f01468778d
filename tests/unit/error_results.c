// SPDX-License-Identifier: GPL-2.0
/*
 * Results: each has its number, its name and a sentence of its own, and no
 * value, however wrong, gives anything but a string.
 */
#include <limits.h>
#include <string.h>

#include <ipm/ipm.h>

#include "tap.h"

/* The numbers are ABI. */
static const struct {
	ipm_result result;
	int number;
	const char *name;
} results[] = {
	{ IPM_RESULT_SUCCESS, 0, "IPM_RESULT_SUCCESS" },
	{ IPM_RESULT_ERR_ACCESS, 1, "IPM_RESULT_ERR_ACCESS" },
	{ IPM_RESULT_ERR_EXISTS, 2, "IPM_RESULT_ERR_EXISTS" },
	{ IPM_RESULT_ERR_BAD_VALUE, 3, "IPM_RESULT_ERR_BAD_VALUE" },
	{ IPM_RESULT_ERR_MAX_FDS, 4, "IPM_RESULT_ERR_MAX_FDS" },
	{ IPM_RESULT_ERR_NAME_TOO_LONG, 5, "IPM_RESULT_ERR_NAME_TOO_LONG" },
	{ IPM_RESULT_ERR_MAX_FDS_SYS, 6, "IPM_RESULT_ERR_MAX_FDS_SYS" },
	{ IPM_RESULT_ERR_INVALID_FD, 7, "IPM_RESULT_ERR_INVALID_FD" },
	{ IPM_RESULT_ERR_BAD_FS, 8, "IPM_RESULT_ERR_BAD_FS" },
	{ IPM_RESULT_ERR_OS_OUT_OF_MEMORY, 9, "IPM_RESULT_ERR_OS_OUT_OF_MEMORY" },
	{ IPM_RESULT_ERR_OS_UNEXPECTED, 10, "IPM_RESULT_ERR_OS_UNEXPECTED" },
	{ IPM_RESULT_ERR_BAD_ID, 11, "IPM_RESULT_ERR_BAD_ID" },
	{ IPM_RESULT_ERR_BAD_SIZE, 12, "IPM_RESULT_ERR_BAD_SIZE" },
	{ IPM_RESULT_ERR_NO_SEM, 13, "IPM_RESULT_ERR_NO_SEM" },
	{ IPM_RESULT_ERR_NO_SEM_WAIT, 14, "IPM_RESULT_ERR_NO_SEM_WAIT" },
	{ IPM_RESULT_ERR_ALREADY_LOCKED, 15, "IPM_RESULT_ERR_ALREADY_LOCKED" },
	{ IPM_RESULT_ERR_NOT_LOCKED, 16, "IPM_RESULT_ERR_NOT_LOCKED" },
	{ IPM_RESULT_ERR_LIST_SIZE_MISMATCH, 17, "IPM_RESULT_ERR_LIST_SIZE_MISMATCH" },
	{ IPM_RESULT_ERR_INVALID_CLAIM, 18, "IPM_RESULT_ERR_INVALID_CLAIM" },
	{ IPM_RESULT_ERR_BAD_INIT, 19, "IPM_RESULT_ERR_BAD_INIT" },
	{ IPM_RESULT_ERR_DEADLOCK, 20, "IPM_RESULT_ERR_DEADLOCK" },
	{ IPM_RESULT_INTERRUPTED, 21, "IPM_RESULT_INTERRUPTED" },
	{ IPM_RESULT_ERR_BAD_ACCESS, 22, "IPM_RESULT_ERR_BAD_ACCESS" },
	{ IPM_RESULT_ERR_DOES_NOT_EXIST, 23, "IPM_RESULT_ERR_DOES_NOT_EXIST" },
	{ IPM_RESULT_ERR_NO_DEVICE, 24, "IPM_RESULT_ERR_NO_DEVICE" },
	{ IPM_RESULT_ERR_WOULD_BLOCK, 25, "IPM_RESULT_ERR_WOULD_BLOCK" },
	{ IPM_RESULT_ERR_TIMEOUT, 26, "IPM_RESULT_ERR_TIMEOUT" },
	{ IPM_RESULT_ERR_PEER_DIED, 27, "IPM_RESULT_ERR_PEER_DIED" },
	{ IPM_RESULT_ERR_CORRUPTED, 28, "IPM_RESULT_ERR_CORRUPTED" },
	{ IPM_RESULT_ERR_TOO_LARGE, 29, "IPM_RESULT_ERR_TOO_LARGE" },
	{ IPM_RESULT_ERR_LIMIT, 30, "IPM_RESULT_ERR_LIMIT" },
	{ IPM_RESULT_ERR_REMOVED, 31, "IPM_RESULT_ERR_REMOVED" },
	{ IPM_RESULT_ERR_OUT_OF_MEMORY, 32, "IPM_RESULT_ERR_OUT_OF_MEMORY" },
	{ IPM_RESULT_ERR_NOT_OWNER, 33, "IPM_RESULT_ERR_NOT_OWNER" },
	{ IPM_RESULT_ERR_VERSION, 34, "IPM_RESULT_ERR_VERSION" },
	{ IPM_RESULT_ERR_CLOSED, 35, "IPM_RESULT_ERR_CLOSED" },
	{ IPM_RESULT_ERR_NOT_SUPPORTED, 36, "IPM_RESULT_ERR_NOT_SUPPORTED" },
	{ IPM_RESULT_ERR_TOO_SMALL, 37, "IPM_RESULT_ERR_TOO_SMALL" },
	{ IPM_RESULT_ERR_IN_DOUBT, 38, "IPM_RESULT_ERR_IN_DOUBT" },
};

static void every_result_has_number_and_name(void)
{
	size_t i;

	CHECK_INT(sizeof(results) / sizeof(results[0]), IPM_RESULT_COUNT);
	for (i = 0; i < IPM_RESULT_COUNT; i++) {
		CHECK_INT(results[i].result, i);
		CHECK_INT(results[i].number, i);
		CHECK(!strcmp(ipm_result_to_str(results[i].result), results[i].name));
	}
}

static void every_sentence_is_its_own(void)
{
	const char *a, *b;
	int i, j;

	for (i = 0; i < IPM_RESULT_COUNT; i++) {
		a = ipm_result_to_msg((ipm_result)i);
		CHECK(strlen(a) > 5 && strlen(a) < 100 && !strchr(a, '\n'));
		for (j = 0; j < i; j++) {
			b = ipm_result_to_msg((ipm_result)j);
			CHECK(strcmp(a, b) != 0);
		}
	}
}

static void the_former_library_said_so(void)
{
	CHECK(!strcmp(ipm_result_str(IPM_RESULT_ERR_BAD_VALUE), "IPM_RESULT_ERR_BAD_VALUE"));
	CHECK(!strcmp(ipm_result_msg(IPM_RESULT_ERR_BAD_VALUE), "Parameter had an invalid value"));
}

static void both_spellings_are_the_same(void)
{
	int i;

	for (i = -1; i <= IPM_RESULT_COUNT; i++) {
		CHECK(ipm_result_str((ipm_result)i) == ipm_result_to_str((ipm_result)i));
		CHECK(ipm_result_msg((ipm_result)i) == ipm_result_to_msg((ipm_result)i));
	}
}

static void a_wrong_value_is_a_string_too(void)
{
	static const int wrong[] = { -1, IPM_RESULT_COUNT, 1000, INT_MAX, INT_MIN };
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(!strcmp(ipm_result_to_str((ipm_result)wrong[i]), "IPM_RESULT_UNKNOWN"));
		CHECK(!strcmp(ipm_result_to_msg((ipm_result)wrong[i]), "Unknown result"));
	}
}

static void versions_agree(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", IPM_VERSION_MAJOR, IPM_VERSION_MINOR,
		 IPM_VERSION_PATCH);
	CHECK(!strcmp(text, IPM_VERSION_STRING));
	CHECK(!strcmp(ipm_version_string(), IPM_VERSION_STRING));
}

static void deadlines_do_not_overflow(void)
{
	int64_t before, after;

	CHECK_INT(ipm_deadline_after(0), IPM_DEADLINE_NOW);
	CHECK_INT(ipm_deadline_after(-5), IPM_DEADLINE_NOW);
	CHECK_INT(ipm_deadline_after(INT64_MIN), IPM_DEADLINE_NOW);
	CHECK_INT(ipm_deadline_after(INT64_MAX), INT64_MAX);
	before = ipm_deadline_after(1);
	after = ipm_deadline_after(1000000000);
	CHECK(before > 1 && after >= before + 999999999);
}

int main(void)
{
	RUN(every_result_has_number_and_name);
	RUN(every_sentence_is_its_own);
	RUN(the_former_library_said_so);
	RUN(both_spellings_are_the_same);
	RUN(a_wrong_value_is_a_string_too);
	RUN(versions_agree);
	RUN(deadlines_do_not_overflow);
	return tap_end();
}
