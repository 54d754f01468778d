/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What ring_bench.c and the rivals agree on. A transport is made in shared
 * memory, opened by each process, and then moves numbered messages of one of a
 * few constant sizes: the loops are stamped out for each size, so that every
 * transport may be inlined as its authors meant it.
 */
#ifndef IPM_RING_BENCH_H
#define IPM_RING_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of messages are 8, 64, 256 and 4096 bytes. */
#define BENCH_MAX_SIZE 4096

#define BENCH_SPSC 1u	/* send() and receive() work with one of each */
#define BENCH_MPMC 2u	/* try_send() and try_receive() with any number */
#define BENCH_OURS 4u
#define BENCH_VARIANT 8u	/* ours on other terms: in place, or in weaker order */

#define BENCH_PRODUCER 1u
#define BENCH_CONSUMER 2u

#define BENCH_MEMORY(bytes) (4 * (bytes) + 131072)

struct bench_transport {
	const char *name;
	unsigned int kinds;
	/*
	 * Makes room for @bytes of messages, and what headers they need in this ring, in
	 * zeroed memory of BENCH_MEMORY(@bytes). Returns 0, or -1 if it cannot.
	 */
	int (*create)(void *memory, size_t bytes, size_t size);
	void *(*open)(void *memory, size_t bytes, size_t size, unsigned int roles);
	void (*close)(void *handle);
	/* Sends @count messages that begin with the numbers @first, ... */
	void (*send)(void *handle, size_t size, uint64_t first, uint64_t count);
	/* Receives as many, and copies each. Returns 0 if the numbers fit. */
	int (*receive)(void *handle, size_t size, uint64_t first, uint64_t count);
	/* One message; 0, or -1 if full or empty. */
	int (*try_send)(void *handle, size_t size, const void *message);
	int (*try_receive)(void *handle, size_t size, void *message);
};

/* Ends with a NULL name. */
extern const struct bench_transport *const bench_rivals_c;
extern const struct bench_transport *const bench_rivals_boost;

#define BENCH_INLINE static inline __attribute__((__always_inline__))

static inline void bench_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/* Keeps the compiler from leaving out a copy that nobody looks at. */
#define bench_use(pointer) __asm__ __volatile__("" : : "r"(pointer) : "memory")

/*
 * BENCH_LOOPS(name, type, push, pop) stamps out name_send(), name_receive(),
 * name_try_send() and name_try_receive() from push(handle, message, size) and
 * pop(handle, message, size), which return 0 when they did it.
 */
#define BENCH_TRY(name, type, push, pop, n) \
	if (size == n) \
		return name((type *)handle, message, n);

#define BENCH_SEND_LOOP(type, push, n) \
	if (size == n) { \
		for (; count; count--, first++) { \
			memcpy(bytes, &first, 8); \
			while (push((type *)handle, bytes, n)) \
				bench_pause(); \
		} \
	}

#define BENCH_RECEIVE_LOOP(type, pop, n) \
	if (size == n) { \
		for (; count; count--, first++) { \
			uint64_t number; \
			while (pop((type *)handle, bytes, n)) \
				; \
			bench_use(bytes); \
			memcpy(&number, bytes, 8); \
			wrong |= number ^ first; \
		} \
	}

#define BENCH_LOOPS(name, type, push, pop) \
static void name##_send(void *handle, size_t size, uint64_t first, uint64_t count) \
{ \
	/* Not filled by each call: round trips make one for each message. */ \
	static unsigned char bytes[BENCH_MAX_SIZE] = { 1, 2, 3 }; \
	BENCH_SEND_LOOP(type, push, 8) \
	BENCH_SEND_LOOP(type, push, 64) \
	BENCH_SEND_LOOP(type, push, 256) \
	BENCH_SEND_LOOP(type, push, 4096) \
} \
static int name##_receive(void *handle, size_t size, uint64_t first, uint64_t count) \
{ \
	unsigned char bytes[BENCH_MAX_SIZE]; \
	uint64_t wrong = 0; \
	BENCH_RECEIVE_LOOP(type, pop, 8) \
	BENCH_RECEIVE_LOOP(type, pop, 64) \
	BENCH_RECEIVE_LOOP(type, pop, 256) \
	BENCH_RECEIVE_LOOP(type, pop, 4096) \
	return wrong ? -1 : 0; \
} \
static int name##_try_send(void *handle, size_t size, const void *message) \
{ \
	BENCH_TRY(push, type, push, pop, 8) \
	BENCH_TRY(push, type, push, pop, 64) \
	BENCH_TRY(push, type, push, pop, 256) \
	BENCH_TRY(push, type, push, pop, 4096) \
	return -1; \
} \
static int name##_try_receive(void *handle, size_t size, void *message) \
{ \
	BENCH_TRY(pop, type, push, pop, 8) \
	BENCH_TRY(pop, type, push, pop, 64) \
	BENCH_TRY(pop, type, push, pop, 256) \
	BENCH_TRY(pop, type, push, pop, 4096) \
	return -1; \
}

#ifdef __cplusplus
}
#endif

#endif /* IPM_RING_BENCH_H */
