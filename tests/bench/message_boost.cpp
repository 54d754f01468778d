// SPDX-License-Identifier: GPL-2.0
/* The message_queue of Boost.Interprocess: copies under a mutex, waits on conditions. */
#include <cstdio>
#include <memory>

#include "message.h"

#if __has_include(<boost/interprocess/ipc/message_queue.hpp>)
#include <boost/interprocess/ipc/message_queue.hpp>

using boost::interprocess::message_queue;

static char names[2][32];
static std::unique_ptr<message_queue> made[2];
static message_queue *out_queue, *in_queue;

static const char *make(const struct message_setup *s)
{
	/* Each slot has a header, and a place in a list of those that are free. */
	size_t slots = message_capacity(s->size) / (s->size < 65536 ? s->size + 32 : s->size);

	for (int way = 0; way < s->ways; way++) {
		std::snprintf(names[way], sizeof(names[way]), "ipm-bench-%d-%d", s->id, way);
		try {
			made[way].reset(new message_queue(boost::interprocess::create_only,
							  names[way], slots, s->size));
		} catch (const boost::interprocess::interprocess_exception &) {
			return "cannot make such a queue";
		}
	}
	return nullptr;
}

/* What was made before the fork is mapped in all. */
static void open_queues(const struct message_setup *, int, int out, int in)
{
	out_queue = out >= 0 ? made[out].get() : nullptr;
	in_queue = in >= 0 ? made[in].get() : nullptr;
}

static void send(const void *message, size_t size)
{
	out_queue->send(message, size, 0);
}

static void receive(void *message, size_t size)
{
	message_queue::size_type got;
	unsigned int priority;

	in_queue->receive(message, size, got, priority);
	if (got != size)
		message_failed("Boost message_queue");
}

static void remove_queues()
{
	for (int way = 0; way < 2; way++) {
		if (made[way])
			message_queue::remove(names[way]);
		made[way].reset();
	}
}

extern "C" const struct message_transport message_boost[] = {
	{ "Boost message_queue", REPORT_RIVAL, 0, make, open_queues, send, receive, nullptr,
	  remove_queues, nullptr },
	{},
};
#else
static const char *absent(const struct message_setup *)
{
	return "the package libboost-dev is not installed";
}

extern "C" const struct message_transport message_boost[] = {
	{ "Boost message_queue", REPORT_RIVAL, 0, absent, nullptr, nullptr, nullptr, nullptr,
	  nullptr, nullptr },
	{},
};
#endif
