// SPDX-License-Identifier: GPL-2.0
/* The ring of libqb: chunks in shared memory, one writer, one reader, a semaphore. */
#include <stdio.h>

#include "message.h"

#if __has_include(<qb/qbrb.h>)
#include <errno.h>
#include <sched.h>
#include <qb/qbrb.h>

static qb_ringbuffer_t *made[2], *out_ring, *in_ring;

static const char *make(const struct message_setup *s)
{
	char name[32];
	int way;

	if (s->writers > 1 || s->readers > 1)
		return "for one writer and one reader";
	for (way = 0; way < s->ways; way++) {
		snprintf(name, sizeof(name), "ipm-bench-%d-%d", s->id, way);
		made[way] = qb_rb_open(name, message_capacity(s->size),
				       QB_RB_FLAG_CREATE | QB_RB_FLAG_SHARED_PROCESS, 0);
		if (!made[way])
			return "cannot make such a ring";
	}
	return NULL;
}

/* What was made before the fork is mapped in all. */
static void open_rings(const struct message_setup *s, int number, int out, int in)
{
	(void)s;
	(void)number;
	out_ring = out >= 0 ? made[out] : NULL;
	in_ring = in >= 0 ? made[in] : NULL;
}

static void send(const void *message, size_t size)
{
	ssize_t n;

	/* It does not wait for room. */
	while ((n = qb_rb_chunk_write(out_ring, message, size)) == -EAGAIN)
		sched_yield();
	if (n != (ssize_t)size)
		message_failed("qb_rb_chunk_write");
}

static void receive(void *message, size_t size)
{
	if (qb_rb_chunk_read(in_ring, message, size, -1) != (ssize_t)size)
		message_failed("qb_rb_chunk_read");
}

static void close_rings(void)
{
	int way;

	for (way = 0; way < 2; way++) {
		if (made[way])
			qb_rb_close(made[way]);
		made[way] = NULL;
	}
}

const struct message_transport message_qb[] = {
	{ "libqb ring", REPORT_RIVAL, 0, make, open_rings, send, receive, NULL, close_rings, NULL },
	{ 0 }
};
#else
static const char *absent(const struct message_setup *s)
{
	(void)s;
	return "the package libqb-dev is not installed";
}

const struct message_transport message_qb[] = {
	{ "libqb ring", REPORT_RIVAL, 0, absent, NULL, NULL, NULL, NULL, NULL, NULL },
	{ 0 }
};
#endif
