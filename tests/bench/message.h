/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What message_bench.c and the transports agree on. A transport moves messages between
 * processes, and waits when there is none or no room, in the manner that its authors
 * meant: to poll, to sleep, or both. Each is a file of its own, message_NAME.c, whose
 * state is static: a transport is made before the processes are forked, and then
 * opened by each of them.
 */
#ifndef IPM_BENCH_MESSAGE_H
#define IPM_BENCH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The number of a message is in its first bytes. */
#define MESSAGE_LEAST 8
#define MESSAGE_LARGEST ((size_t)4 << 20)

#define MESSAGE_NO_STREAM 1u	/* only request and reply */
#define MESSAGE_STREAM_ONLY 2u

/* Bytes of what keeps messages in shared memory, with all that each takes. */
static inline size_t message_capacity(size_t size)
{
	return size < 65536 ? 262144 : size == 65536 ? 16 * size : 4 * size;
}

/* One way: from the client to the server (0) or back (1). */
struct message_setup {
	size_t size;		/* of each message */
	int ways;		/* 1 or 2 */
	int writers, readers;	/* of way 0 */
	int id;			/* a number for names, different in each run */
};

struct message_transport {
	const char *name;
	enum report_role role;
	unsigned int flags;
	/* Before the fork. NULL, or why this cannot be done: the size, so many participants. */
	const char *(*make)(const struct message_setup *setup);
	/* In process @number (0, 1, ...), which sends on @out and receives on @in; -1: not. */
	void (*open)(const struct message_setup *setup, int number, int out, int in);
	void (*send)(const void *message, size_t size);
	void (*receive)(void *message, size_t size);
	void (*close)(void);	/* in each process; may be NULL */
	void (*remove)(void);	/* after all have ended; may be NULL */
	const pid_t *helper;	/* a process that serves all of them; may be NULL */
};

/* Each ends with a NULL name. */
extern const struct message_transport message_ipm[], message_system[], message_qb[], message_zmq[],
	message_boost[], message_iceoryx[];

/* Ends the process: a transport did not do what it must. */
void message_failed(const char *what);

/* Memory that all processes share, zeroed; the same for each run. */
void *message_memory(size_t size);

#ifdef __cplusplus
}
#endif

#endif /* IPM_BENCH_MESSAGE_H */
