// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The caller's callbacks, deadlines, and structures that carry their size.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "sys.h"

const char *ipm_version_string(void)
{
	return IPM_VERSION_STRING;
}

int64_t ipm_deadline_after(int64_t timeout_ns)
{
	int64_t deadline;

	if (timeout_ns <= 0)
		return IPM_DEADLINE_NOW;
	if (__builtin_add_overflow(ipm_sys_now(), timeout_ns, &deadline))
		return INT64_MAX;
	return deadline;
}

bool ipm_context_copy(ipm_context *to, const ipm_context *from)
{
	if (!from) {
		memset(to, 0, sizeof(*to));
		return true;
	}
	*to = *from;
	return !to->alloc_callback == !to->free_callback;
}

void *ipm_context_alloc(const ipm_context *ctx, size_t size)
{
	void *ptr;

	if (ctx->alloc_callback)
		ptr = ctx->alloc_callback(ctx->alloc_param, size);
	else
		ptr = malloc(size);
	if (ptr)
		memset(ptr, 0, size);
	return ptr;
}

void ipm_context_free(const ipm_context *ctx, void *ptr)
{
	if (ctx->free_callback)
		ctx->free_callback(ctx->free_param, ptr);
	else
		free(ptr);
}

/* The answers that a caller asks for are no errors: nobody is told. */
static bool is_error(ipm_result result)
{
	return result != IPM_RESULT_ERR_WOULD_BLOCK && result != IPM_RESULT_ERR_TIMEOUT &&
	       result != IPM_RESULT_INTERRUPTED;
}

ipm_result ipm_report(const ipm_context *ctx, ipm_result result, int err, const char *file,
		      int line, const char *function, const char *format, ...)
{
	int saved = errno;
	char what[400], message[600];
	va_list args;

	if (!ctx || !ctx->report_callback || !is_error(result))
		return result;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (err)
		snprintf(message, sizeof(message), "%s: %s (errno %d)", what,
			 ipm_result_to_msg(result), err);
	else
		snprintf(message, sizeof(message), "%s: %s", what, ipm_result_to_msg(result));
	ctx->report_callback(message, file, line, function, ctx->report_param);
	errno = saved;
	return result;
}

/* More than any structure will have: a size beyond it was never set. */
#define STRUCT_SIZE_MAX 4096

static size_t size_of(const void *structure)
{
	size_t size;

	memcpy(&size, structure, sizeof(size));
	return size;
}

ipm_result ipm_take_options(void *to, size_t size, size_t smallest, const void *from)
{
	const unsigned char *bytes = from;
	size_t given, i;

	if (!from)
		return IPM_RESULT_ERR_BAD_VALUE;
	given = size_of(from);
	if (given < smallest || given > STRUCT_SIZE_MAX)
		return IPM_RESULT_ERR_BAD_VALUE;
	for (i = size; i < given; i++) {
		if (bytes[i])
			return IPM_RESULT_ERR_VERSION;
	}
	memset(to, 0, size);
	memcpy(to, from, given < size ? given : size);
	return IPM_RESULT_SUCCESS;
}

bool ipm_answer_fits(const void *to, size_t smallest)
{
	return to && size_of(to) >= smallest && size_of(to) <= STRUCT_SIZE_MAX;
}

void ipm_give_answer(void *to, const void *from, size_t size)
{
	size_t given = size_of(to);

	memset(to, 0, given);
	memcpy(to, from, given < size ? given : size);
	memcpy(to, &given, sizeof(given));
}
