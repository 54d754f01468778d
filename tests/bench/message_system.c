// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel offers by itself: pipes, UNIX sockets that keep messages apart, POSIX
 * message queues, and eventfd, which only wakes.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"

static int ends[2][2];	/* of each way: where to read, where to write */
static int fd_out, fd_in;
static mqd_t queue_out, queue_in;
static char names[2][32];

static void open_ends(const struct message_setup *s, int number, int out, int in)
{
	(void)s;
	(void)number;
	if (out >= 0)
		fd_out = ends[out][1];
	if (in >= 0)
		fd_in = ends[in][0];
}

static void remove_ends(void)
{
	int i, k;

	for (i = 0; i < 2; i++) {
		for (k = 0; k < 2; k++) {
			if (ends[i][k])
				close(ends[i][k]);
			ends[i][k] = 0;
		}
	}
}

/* --- pipes --- */

static const char *make_pipes(const struct message_setup *s)
{
	int way;

	/* Writes up to PIPE_BUF are whole; larger ones of several writers would mix. */
	if (s->size > 4096 && s->writers + s->readers > 2)
		return "larger than PIPE_BUF";
	for (way = 0; way < s->ways; way++) {
		if (pipe(ends[way]))
			message_failed("pipe");
		/* As much as anybody may have; less is well, too. */
		fcntl(ends[way][1], F_SETPIPE_SZ, 1 << 20);
	}
	return NULL;
}

static void pipe_send(const void *message, size_t size)
{
	size_t at = 0;
	ssize_t n;

	for (; at < size; at += (size_t)n) {
		n = write(fd_out, (const char *)message + at, size - at);
		if (n <= 0)
			message_failed("write");
	}
}

static void pipe_receive(void *message, size_t size)
{
	size_t at = 0;
	ssize_t n;

	for (; at < size; at += (size_t)n) {
		n = read(fd_in, (char *)message + at, size - at);
		if (n <= 0)
			message_failed("read");
	}
}

/* --- sockets --- */

static const char *make_sockets(const struct message_setup *s)
{
	int way, bytes = (int)(s->size < (1 << 17) ? 1 << 20 : 8 * s->size), got;
	socklen_t length = sizeof(got);

	for (way = 0; way < s->ways; way++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends[way]))
			message_failed("socketpair");
		/* As root, as much as is wanted. */
		if (setsockopt(ends[way][1], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
			setsockopt(ends[way][1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		if (getsockopt(ends[way][1], SOL_SOCKET, SO_SNDBUF, &got, &length) ||
		    (size_t)got < s->size + 4096)
			return "larger than what the system lets a socket hold (wmem_max)";
	}
	return NULL;
}

static void socket_send(const void *message, size_t size)
{
	if (send(fd_out, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		message_failed("send");
}

static void socket_receive(void *message, size_t size)
{
	if (recv(fd_in, message, size, 0) != (ssize_t)size)
		message_failed("recv");
}

/* --- POSIX message queues --- */

static const char *make_queues(const struct message_setup *s)
{
	struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = (long)s->size };
	int way;

	names[0][0] = '\0';
	for (way = 0; way < s->ways; way++) {
		mqd_t queue;

		snprintf(names[way], sizeof(names[way]), "/ipm-bench-%d-%d", s->id, way);
		queue = mq_open(names[way], O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
		if (queue == (mqd_t)-1) {
			names[way][0] = '\0';
			return errno == EINVAL || errno == EMFILE ?
				"larger than a queue may be (mqueue/msgsize_max, RLIMIT_MSGQUEUE)" :
				"the system has no message queues";
		}
		mq_close(queue);
	}
	return NULL;
}

static void open_queues(const struct message_setup *s, int number, int out, int in)
{
	(void)s;
	(void)number;
	if (out >= 0)
		queue_out = mq_open(names[out], O_WRONLY);
	if (in >= 0)
		queue_in = mq_open(names[in], O_RDONLY);
	if (queue_out == (mqd_t)-1 || queue_in == (mqd_t)-1)
		message_failed("mq_open");
}

static void queue_send(const void *message, size_t size)
{
	if (mq_send(queue_out, message, size, 0))
		message_failed("mq_send");
}

static void queue_receive(void *message, size_t size)
{
	if (mq_receive(queue_in, message, size, NULL) != (ssize_t)size)
		message_failed("mq_receive");
}

static void remove_queues(void)
{
	int way;

	for (way = 0; way < 2; way++) {
		if (names[way][0])
			mq_unlink(names[way]);
		names[way][0] = '\0';
	}
}

/* --- eventfd --- */

static const char *make_events(const struct message_setup *s)
{
	int way;

	if (s->size > 8)
		return "carries a number, no message";
	for (way = 0; way < s->ways; way++) {
		ends[way][0] = eventfd(0, 0);
		ends[way][1] = dup(ends[way][0]);
		if (ends[way][0] < 0 || ends[way][1] < 0)
			message_failed("eventfd");
	}
	return NULL;
}

/* Zero would wake nobody. */
static void event_send(const void *message, size_t size)
{
	uint64_t value = *(const uint64_t *)message + 1;

	if (write(fd_out, &value, size) != (ssize_t)size)
		message_failed("write");
}

static void event_receive(void *message, size_t size)
{
	uint64_t value;

	if (read(fd_in, &value, size) != (ssize_t)size)
		message_failed("read");
	*(uint64_t *)message = value - 1;
}

const struct message_transport message_system[] = {
	{ "pipe", REPORT_RIVAL, 0, make_pipes, open_ends, pipe_send, pipe_receive, NULL,
	  remove_ends, NULL },
	{ "UNIX seqpacket", REPORT_RIVAL, 0, make_sockets, open_ends, socket_send,
	  socket_receive, NULL, remove_ends, NULL },
	{ "POSIX mq", REPORT_RIVAL, 0, make_queues, open_queues, queue_send, queue_receive, NULL,
	  remove_queues, NULL },
	{ "eventfd (wakes only)", REPORT_RIVAL, MESSAGE_NO_STREAM, make_events, open_ends,
	  event_send, event_receive, NULL, remove_ends, NULL },
	{ 0 }
};
