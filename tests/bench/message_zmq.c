// SPDX-License-Identifier: GPL-2.0
/* ZeroMQ between processes: PUSH to PULL over ipc. */
#include <stdio.h>

#include "message.h"

#if __has_include(<zmq.h>)
#include <zmq.h>

static void *context, *out_socket, *in_socket;

static const char *make(const struct message_setup *s)
{
	return s->readers > 1 ?
		"several readers would be dealt messages in turn, and not take them as they can" :
		NULL;
}

/* The reader binds, as there may be several writers. */
static void *open_socket(const struct message_setup *s, int way, int type)
{
	void *socket = zmq_socket(context, type);
	char address[64];

	snprintf(address, sizeof(address), "ipc://@ipm-bench-%d-%d", s->id, way);
	if (!socket || (type == ZMQ_PULL ? zmq_bind(socket, address) : zmq_connect(socket, address)))
		message_failed("zmq socket");
	return socket;
}

static void open_sockets(const struct message_setup *s, int number, int out, int in)
{
	(void)number;
	context = zmq_ctx_new();
	if (!context)
		message_failed("zmq_ctx_new");
	out_socket = out >= 0 ? open_socket(s, out, ZMQ_PUSH) : NULL;
	in_socket = in >= 0 ? open_socket(s, in, ZMQ_PULL) : NULL;
}

static void send(const void *message, size_t size)
{
	if (zmq_send(out_socket, message, size, 0) != (int)size)
		message_failed("zmq_send");
}

static void receive(void *message, size_t size)
{
	if (zmq_recv(in_socket, message, size, 0) != (int)size)
		message_failed("zmq_recv");
}

static void close_sockets(void)
{
	if (out_socket)
		zmq_close(out_socket);
	if (in_socket)
		zmq_close(in_socket);
	zmq_ctx_term(context);
}

const struct message_transport message_zmq[] = {
	{ "ZeroMQ ipc", REPORT_RIVAL, 0, make, open_sockets, send, receive, close_sockets, NULL,
	  NULL },
	{ 0 }
};
#else
static const char *absent(const struct message_setup *s)
{
	(void)s;
	return "the package libzmq3-dev is not installed";
}

const struct message_transport message_zmq[] = {
	{ "ZeroMQ ipc", REPORT_RIVAL, 0, absent, NULL, NULL, NULL, NULL, NULL, NULL },
	{ 0 }
};
#endif
