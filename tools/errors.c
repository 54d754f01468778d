// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Errors: one sentence that says what happened and what to do, and the exit status
 * that belongs to it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

const char *command_name;

/**
 * complain() - say what went wrong
 * @status: what to return
 * @format: the sentence; text of strangers in it has to be safe
 *
 * Return: @status.
 */
int complain(int status, const char *format, ...)
{
	va_list args;

	/* What was printed before it belongs before it. */
	fflush(stdout);
	progress_break();
	flockfile(stderr);
	fprintf(stderr, "ipm%s%s: ", command_name ? " " : "", command_name ? command_name : "");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	funlockfile(stderr);
	return status;
}

struct advice {
	ipm_result result;
	int status;
	const char *sentence;
};

static const struct advice advices[] = {
	{ IPM_RESULT_ERR_NO_DEVICE, STATUS_MODULE,
	  "the module is not loaded; load it with \"modprobe ipm\" as root, or see \"ipm doctor\"" },
	{ IPM_RESULT_ERR_VERSION, STATUS_MODULE,
	  "module and library do not fit together; \"ipm doctor\" shows their versions" },
	{ IPM_RESULT_ERR_ACCESS, STATUS_RIGHTS,
	  "you have no right to use it so; its owner can give it with \"ipm chmod\"" },
	{ IPM_RESULT_ERR_NOT_OWNER, STATUS_RIGHTS,
	  "only its owner, its creator or root may do this; \"ipm info\" shows who that is" },
	{ IPM_RESULT_ERR_DOES_NOT_EXIST, STATUS_MISSING,
	  "there is no such segment; \"ipm ls\" lists those that you can see" },
	{ IPM_RESULT_ERR_REMOVED, STATUS_MISSING,
	  "it was removed, and ends when those who still use it end; \"ipm who\" shows them" },
	{ IPM_RESULT_ERR_BAD_ID, STATUS_MISSING,
	  "no segment can have this id; \"ipm ls\" shows the ids" },
	{ IPM_RESULT_ERR_EXISTS, STATUS_FAILED,
	  "this name or key is taken; choose another, or remove that segment with \"ipm rm\"" },
	{ IPM_RESULT_ERR_BAD_VALUE, STATUS_USAGE,
	  "no segment can be called that: a name has 1 to 255 bytes, no '/' inside, and is not "
	  "\".\" or \"..\"" },
	{ IPM_RESULT_ERR_NAME_TOO_LONG, STATUS_USAGE,
	  "this name is too long; use at most 255 bytes" },
	{ IPM_RESULT_ERR_BAD_SIZE, STATUS_FAILED,
	  "this size is not possible; it must not be 0, smaller than the segment is, or beyond its "
	  "capacity (\"ipm info\") or the limit of file sizes (\"ulimit -f\")" },
	{ IPM_RESULT_ERR_LIMIT, STATUS_FAILED,
	  "a limit is reached; \"ipm limits\" shows all of them" },
	{ IPM_RESULT_ERR_OS_OUT_OF_MEMORY, STATUS_FAILED,
	  "the system has no memory left for it; take less, or free some" },
	{ IPM_RESULT_ERR_WOULD_BLOCK, STATUS_BUSY,
	  "somebody else holds it; \"ipm claims\" shows who" },
	{ IPM_RESULT_ERR_TIMEOUT, STATUS_BUSY,
	  "somebody else held it until the time was over; \"ipm claims\" shows who" },
	{ IPM_RESULT_ERR_DEADLOCK, STATUS_BUSY,
	  "waiting for it would never end; \"ipm claims\" shows who waits for whom" },
	{ IPM_RESULT_ERR_MAX_FDS, STATUS_FAILED,
	  "this process may not open more files; raise \"ulimit -n\"" },
	{ IPM_RESULT_ERR_MAX_FDS_SYS, STATUS_FAILED,
	  "the system may not open more files; raise the sysctl fs.file-max" },
	{ IPM_RESULT_INTERRUPTED, STATUS_FAILED, "a signal ended the wait" },
};

/**
 * failed() - say that a call of libipm failed, and what to do
 * @segment: the segment as the user wrote it, or NULL
 * @result: what the call returned
 *
 * Return: the exit status.
 */
int failed(const char *segment, ipm_result result)
{
	char *safe = segment ? text_safe(segment) : NULL;
	const char *sentence = ipm_result_to_msg(result);
	int status = STATUS_FAILED;
	size_t i;

	for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (advices[i].result == result) {
			sentence = advices[i].sentence;
			status = advices[i].status;
		}
	}
	if (result == IPM_RESULT_ERR_ACCESS && access("/dev/ipm", R_OK | W_OK))
		sentence = "you may not open /dev/ipm; as root: chmod 666 /dev/ipm, or "
			   "see \"ipm doctor\"";
	complain(status, "%s%s%s", safe ? safe : "", safe ? ": " : "", sentence);
	free(safe);
	return status;
}

/**
 * flush_output() - let what was printed arrive now
 *
 * Return: 0, or %STATUS_FAILED after a complaint, but for a closed pipe.
 */
int flush_output(void)
{
	if (!fflush(stdout))
		return 0;
	if (errno != EPIPE)
		complain(STATUS_FAILED, "the output could not be written: %s", strerror(errno));
	return STATUS_FAILED;
}

/**
 * close_output() - see to it that what was printed has arrived
 * @status: the status so far
 *
 * A closed pipe is no error that anybody wants to read about: who closed it has
 * seen enough.
 *
 * Return: @status, or %STATUS_FAILED if the output is not complete.
 */
int close_output(int status)
{
	bool bad = ferror(stdout);

	errno = 0;
	if (fclose(stdout) && errno != EBADF)
		bad = true;
	if (!bad)
		return status;
	if (errno != EPIPE && errno)
		complain(STATUS_FAILED, "the output could not be written: %s", strerror(errno));
	return status ? status : STATUS_FAILED;
}
