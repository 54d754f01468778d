// SPDX-License-Identifier: GPL-2.0
/*
 * The allocator of fake_malloc.h, on the one that is there.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_malloc.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Calls of NAME arrive at __wrap_NAME; NAME itself is __real_NAME. */
#define OURS(name) __wrap_##name
#define THEIRS(name) __real_##name
#else
#define OURS(name) name
#define THEIRS(name) __libc_##name
#endif

void *THEIRS(malloc)(size_t size);
void *THEIRS(calloc)(size_t count, size_t size);
void *THEIRS(realloc)(void *old, size_t size);
void THEIRS(free)(void *memory);

void *OURS(malloc)(size_t size);
void *OURS(calloc)(size_t count, size_t size);
void *OURS(realloc)(void *old, size_t size);
void OURS(free)(void *memory);

static unsigned int countdown;
static unsigned int failures;
static bool fail_all;
static long live;

/* Threads of the test and of the C library allocate, too. */
static bool fails(void)
{
	unsigned int left = __atomic_load_n(&countdown, __ATOMIC_SEQ_CST);

	while (left && !__atomic_compare_exchange_n(&countdown, &left, left - 1, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	if (left != 1 && !__atomic_load_n(&fail_all, __ATOMIC_SEQ_CST))
		return false;
	__atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST);
	errno = ENOMEM;
	return true;
}

static void *counted(void *memory)
{
	if (memory)
		__atomic_fetch_add(&live, 1, __ATOMIC_SEQ_CST);
	return memory;
}

void *OURS(malloc)(size_t size)
{
	return fails() ? NULL : counted(THEIRS(malloc)(size));
}

void *OURS(calloc)(size_t count, size_t size)
{
	return fails() ? NULL : counted(THEIRS(calloc)(count, size));
}

void *OURS(realloc)(void *old, size_t size)
{
	void *new;

	if (fails())
		return NULL;
	new = THEIRS(realloc)(old, size);
	if (!old)
		counted(new);
	return new;
}

void OURS(free)(void *memory)
{
	if (memory)
		__atomic_fetch_sub(&live, 1, __ATOMIC_SEQ_CST);
	THEIRS(free)(memory);
}

/* What the C library allocates for its callers, where that is not seen. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
int __real_vasprintf(char **text, const char *format, va_list args);
FILE *__real_open_memstream(char **bytes, size_t *size);

char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
int __wrap_vasprintf(char **text, const char *format, va_list args);
int __wrap_asprintf(char **text, const char *format, ...);
FILE *__wrap_open_memstream(char **bytes, size_t *size);

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : counted(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size)
{
	return fails() ? NULL : counted(__real_strndup(text, size));
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	void *new;

	if (fails())
		return NULL;
	new = __real_reallocarray(old, count, size);
	if (!old)
		counted(new);
	return new;
}

int __wrap_vasprintf(char **text, const char *format, va_list args)
{
	int length;

	if (fails())
		return -1;
	length = __real_vasprintf(text, format, args);
	if (length >= 0)
		counted(*text);
	return length;
}

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = __wrap_vasprintf(text, format, args);
	va_end(args);
	return length;
}

FILE *__wrap_open_memstream(char **bytes, size_t *size)
{
	return fails() ? NULL : __real_open_memstream(bytes, size);
}
#endif

void fake_malloc_fail(unsigned int nth)
{
	__atomic_store_n(&countdown, nth, __ATOMIC_SEQ_CST);
}

void fake_malloc_fail_all(bool fail)
{
	__atomic_store_n(&fail_all, fail, __ATOMIC_SEQ_CST);
}

unsigned int fake_malloc_failures(void)
{
	return __atomic_exchange_n(&failures, 0, __ATOMIC_SEQ_CST);
}

long fake_malloc_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_SEQ_CST);
}
