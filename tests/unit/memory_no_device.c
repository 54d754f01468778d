// SPDX-License-Identifier: GPL-2.0
/*
 * Without the module every call that needs it says what to do, and takes
 * nothing with it.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <ipm/ipm.h>

#include "tap.h"

static char message[1000];
static int reports;

static void report(const char *msg, const char *file, int line, const char *function, void *param)
{
	(void)file;
	(void)line;
	(void)function;
	snprintf(param, sizeof(message), "%s", msg);
	reports++;
}

static const ipm_context ctx = { .report_callback = report, .report_param = message };

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void check_message(void)
{
	CHECK_INT(reports, 1);
	CHECK(strstr(message, "/dev/ipm is missing: modprobe ipm"));
	message[0] = 0;
	reports = 0;
}

static void every_call_says_that_the_device_is_missing(void)
{
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	ipm_module_info info = { .struct_size = sizeof(info) };
	ipm_memory_details details = { .struct_size = sizeof(details) };
	ipm_memory *m = (ipm_memory *)&limits;
	int before = open_files();

	errno = 77;
	CHECK_RESULT(ipm_memory_create(&ctx, 1, "x", IPM_ACCESS_MODE_READ_WRITE, &m),
		     IPM_RESULT_ERR_NO_DEVICE);
	check_message();
	CHECK_RESULT(ipm_memory_open(&ctx, "x", IPM_ACCESS_MODE_READ_ONLY, &m),
		     IPM_RESULT_ERR_NO_DEVICE);
	check_message();
	CHECK_RESULT(ipm_memory_remove(&ctx, ipm_ref_key(1)), IPM_RESULT_ERR_NO_DEVICE);
	check_message();
	CHECK_RESULT(ipm_memory_get_details(&ctx, ipm_ref_id(1), &details),
		     IPM_RESULT_ERR_NO_DEVICE);
	check_message();
	CHECK_RESULT(ipm_memory_get_limits(&ctx, &limits), IPM_RESULT_ERR_NO_DEVICE);
	check_message();
	CHECK_RESULT(ipm_module_get_info(&ctx, &info), IPM_RESULT_ERR_NO_DEVICE);
	check_message();
	CHECK_RESULT(ipm_memory_open(NULL, "x", IPM_ACCESS_MODE_READ_ONLY, &m),
		     IPM_RESULT_ERR_NO_DEVICE);
	CHECK(m == (ipm_memory *)&limits);
	CHECK_INT(open_files(), before);
	CHECK_INT(errno, 77);
}

int main(void)
{
	if (!access("/dev/ipm", F_OK))
		return tap_skip("/dev/ipm exists here");
	RUN(every_call_says_that_the_device_is_missing);
	return tap_end();
}
