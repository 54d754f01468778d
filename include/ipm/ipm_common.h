/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every part of libipm shares: version, export mark, the context with
 * the caller's callbacks, access modes.
 */
#ifndef IPM_COMMON_H
#define IPM_COMMON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the library that these headers belong to. */
#define IPM_VERSION_MAJOR 0
#define IPM_VERSION_MINOR 1
#define IPM_VERSION_PATCH 0
#define IPM_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define IPM_API __attribute__((visibility("default")))
#else
#define IPM_API
#endif

/** Bytes of the longest name, its terminating NUL included. */
#define IPM_MAX_NAME_LEN 256

/** Number of a claim, unique for the life of a segment. Never 0. */
typedef uint64_t ipm_id;

/**
 * A point in time until which a call may wait: nanoseconds of CLOCK_MONOTONIC,
 * as ipm_deadline_after() gives them, or one of these two. A call that would
 * wait answers %IPM_RESULT_ERR_TIMEOUT when its deadline has passed, and
 * %IPM_RESULT_ERR_WOULD_BLOCK if that was %IPM_DEADLINE_NOW.
 */
#define IPM_DEADLINE_NONE ((int64_t)0)	/* wait as long as it takes */
#define IPM_DEADLINE_NOW ((int64_t)1)	/* do not wait at all */

/** How memory is opened, and how a range is claimed. */
typedef enum ipm_access_mode {
	IPM_ACCESS_MODE_READ_ONLY = 0,
	IPM_ACCESS_MODE_READ_WRITE = 1
} ipm_access_mode;

/**
 * struct ipm_context - callbacks for messages and memory
 *
 * A NULL context, and each NULL callback in one, means the default: no
 * messages, malloc() and free(). An alloc_callback goes together with a
 * free_callback: give both or neither. The structure is copied by the calls
 * that take it.
 *
 * @report_callback: is told, in one sentence without a newline, of each error
 *	when it happens, with the place in libipm that found it; runs in the
 *	thread that made the call, and may not call libipm with the object that
 *	is being reported on. Not told of the answers that are no errors:
 *	%IPM_RESULT_ERR_WOULD_BLOCK, %IPM_RESULT_ERR_TIMEOUT and
 *	%IPM_RESULT_INTERRUPTED
 * @report_param: handed to @report_callback
 * @alloc_callback: like malloc(): @size bytes aligned for any object, or NULL
 * @alloc_param: handed to @alloc_callback
 * @free_callback: like free(); never called with NULL
 * @free_param: handed to @free_callback
 */
typedef struct ipm_context {
	void (*report_callback)(const char *msg, const char *file, int line,
				const char *function, void *param);
	void *report_param;
	void *(*alloc_callback)(void *alloc_param, size_t size);
	void *alloc_param;
	void (*free_callback)(void *free_param, void *ptr);
	void *free_param;
} ipm_context;

/**
 * ipm_version_string() - the version of the library that is linked
 *
 * Return: a static string such as "0.1.0". Safe in threads and in signal
 * handlers.
 */
IPM_API const char *ipm_version_string(void);

/**
 * ipm_deadline_after() - the deadline that lies some time ahead
 * @timeout_ns: nanoseconds from now; 0 and less mean %IPM_DEADLINE_NOW
 *
 * Return: a point of CLOCK_MONOTONIC in nanoseconds, INT64_MAX where the sum is
 * beyond the end of time. A deadline stays the same when a call is
 * made again after a signal, so nothing has to be computed anew. Safe in
 * threads and in signal handlers.
 */
IPM_API int64_t ipm_deadline_after(int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif /* IPM_COMMON_H */
