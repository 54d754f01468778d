/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libipm share: contexts, reports, structures that carry
 * their size.
 */
#ifndef IPM_LIB_INTERNAL_H
#define IPM_LIB_INTERNAL_H

#include <stdbool.h>

#include <ipm/ipm_common.h>
#include <ipm/ipm_error.h>

#include "sys.h"

/**
 * ipm_context_copy() - a checked copy of the caller's context
 * @to: receives it; all NULL for a NULL @from
 * @from: the caller's
 *
 * Return: false if only one of alloc_callback and free_callback is set.
 */
IPM_HIDDEN bool ipm_context_copy(ipm_context *to, const ipm_context *from);

/** ipm_context_alloc() - zeroed memory from the context's allocator, or NULL */
IPM_HIDDEN void *ipm_context_alloc(const ipm_context *ctx, size_t size);

/** ipm_context_free() - give it back */
IPM_HIDDEN void ipm_context_free(const ipm_context *ctx, void *ptr);

/**
 * ipm_report() - tell the report callback, if there is one
 * @ctx: context or NULL
 * @result: what the call is going to return; its message follows @format
 * @err: the errno behind it, or 0
 * @format: what was tried, such as "cannot open \"x\""
 *
 * Return: @result.
 */
IPM_HIDDEN ipm_result ipm_report(const ipm_context *ctx, ipm_result result, int err,
				 const char *file, int line, const char *function,
				 const char *format, ...)
	__attribute__((format(printf, 7, 8)));

/*
 * ipm_fail(ctx, result, format, ...): report and evaluate to result. Does not
 * evaluate its arguments more than once, and formats only if somebody listens.
 */
#define ipm_fail(ctx, result, ...) \
	ipm_report(ctx, result, 0, __FILE__, __LINE__, __func__, __VA_ARGS__)

/* ipm_fail_errno(ctx, result, err, format, ...): the same with an errno. */
#define ipm_fail_errno(ctx, result, err, ...) \
	ipm_report(ctx, result, err, __FILE__, __LINE__, __func__, __VA_ARGS__)

/** ipm_result_of_errno() - what an errno means where no call says otherwise */
IPM_HIDDEN ipm_result ipm_result_of_errno(int err);

/**
 * ipm_take_options() - copy a structure that carries its size from the caller
 * @to: receives it, what the caller's did not have zeroed
 * @size: sizeof(*to)
 * @smallest: its size in the first version
 * @from: the caller's; its first member is a size_t, the size
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE NULL or too small;
 * %IPM_RESULT_ERR_VERSION something is set that this library does not know.
 */
IPM_HIDDEN ipm_result ipm_take_options(void *to, size_t size, size_t smallest, const void *from);

/**
 * ipm_give_answer() - copy a structure that carries its size to the caller
 * @to: the caller's; its first member is a size_t, its size, and is kept
 * @from: the answer
 * @size: sizeof(*from)
 *
 * What the caller's has beyond @size is zeroed. The caller has made sure of
 * ipm_answer_fits().
 */
IPM_HIDDEN void ipm_give_answer(void *to, const void *from, size_t size);

/** ipm_answer_fits() - whether the caller's structure is one that ever was */
IPM_HIDDEN bool ipm_answer_fits(const void *to, size_t smallest);

#endif /* IPM_LIB_INTERNAL_H */
