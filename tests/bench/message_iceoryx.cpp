// SPDX-License-Identifier: GPL-2.0
/*
 * iceoryx: memory is loaned, filled, and handed over without a copy in between; here it is
 * copied in and out as by the others. Its daemon runs as long as the benchmark does. The
 * reader polls, and the writer waits for a slow reader.
 */
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"

#if __has_include(<iceoryx_posh/popo/untyped_publisher.hpp>)
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>

static pid_t daemon_pid, starter;
static std::unique_ptr<iox::popo::UntypedPublisher> publisher;
static std::unique_ptr<iox::popo::UntypedSubscriber> subscriber;

static void stop_daemon()
{
	/* Those that were forked end, too. */
	if (daemon_pid <= 0 || getpid() != starter)
		return;
	kill(daemon_pid, SIGTERM);
	waitpid(daemon_pid, nullptr, 0);
	daemon_pid = 0;
}

/* Once; it says "RouDi is ready for clients" when it is. */
static const char *make(const struct message_setup *s)
{
	char text[4096];
	size_t length = 0;
	ssize_t n;
	int out[2];

	if (s->readers > 1)
		return "each of several readers would get every message";
	/* The largest chunk of the default pools is 4 MiB, its header included. */
	if (s->size >= MESSAGE_LARGEST)
		return "larger than the largest chunk of its default pools";
	if (daemon_pid)
		return daemon_pid > 0 ? nullptr : "iox-roudi does not start (package iceoryx)";
	if (pipe(out))
		message_failed("pipe");
	starter = getpid();
	daemon_pid = fork();
	if (!daemon_pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(out[0]);
		execlp("iox-roudi", "iox-roudi", "--monitoring-mode", "off", nullptr);
		_exit(127);
	}
	close(out[1]);
	while ((n = read(out[0], text + length, sizeof(text) - 1 - length)) > 0) {
		length += static_cast<size_t>(n);
		text[length] = '\0';
		if (std::strstr(text, "ready for clients")) {
			std::atexit(stop_daemon);
			/* It keeps the other end; what it still says fits into the pipe. */
			return nullptr;
		}
	}
	waitpid(daemon_pid, nullptr, 0);
	daemon_pid = -1;
	return "iox-roudi does not start (package iceoryx)";
}

static iox::capro::ServiceDescription way_of(const struct message_setup *s, int way)
{
	using text = iox::capro::IdString_t;

	return { text("ipm"), text(iox::cxx::TruncateToCapacity, std::to_string(s->id)),
		 text(iox::cxx::TruncateToCapacity, std::to_string(way)) };
}

static void open_ports(const struct message_setup *s, int number, int out, int in)
{
	std::string name = "bench-" + std::to_string(s->id) + "-" + std::to_string(number);
	iox::popo::PublisherOptions give;
	iox::popo::SubscriberOptions take;

	iox::log::LogManager::GetLogManager().SetDefaultLogLevel(
		iox::log::LogLevel::kError, iox::log::LogLevelOutput::kHideLogLevel);
	iox::runtime::PoshRuntime::initRuntime({ iox::cxx::TruncateToCapacity, name });
	give.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
	take.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
	take.queueCapacity = 16;
	if (in >= 0)
		subscriber.reset(new iox::popo::UntypedSubscriber(way_of(s, in), take));
	if (out >= 0) {
		publisher.reset(new iox::popo::UntypedPublisher(way_of(s, out), give));
		while (!publisher->hasSubscribers())
			usleep(100);
	}
	while (subscriber && subscriber->getSubscriptionState() != iox::SubscribeState::SUBSCRIBED)
		usleep(100);
}

static void send(const void *message, size_t size)
{
	publisher->loan(static_cast<uint32_t>(size))
		.and_then([&](auto &payload) {
			std::memcpy(payload, message, size);
			publisher->publish(payload);
		})
		.or_else([](auto &) { message_failed("iceoryx loan"); });
}

static void receive(void *message, size_t size)
{
	bool done = false;

	while (!done)
		subscriber->take().and_then([&](auto &payload) {
			std::memcpy(message, payload, size);
			subscriber->release(payload);
			done = true;
		});
}

static void close_ports()
{
	publisher.reset();
	subscriber.reset();
}

extern "C" const struct message_transport message_iceoryx[] = {
	{ "iceoryx", REPORT_RIVAL, 0, make, open_ports, send, receive, close_ports, nullptr,
	  &daemon_pid },
	{},
};
#else
static const char *absent(const struct message_setup *)
{
	return "the packages libiceoryx-posh-dev and iceoryx are not installed";
}

extern "C" const struct message_transport message_iceoryx[] = {
	{ "iceoryx", REPORT_RIVAL, 0, absent, nullptr, nullptr, nullptr, nullptr, nullptr,
	  nullptr },
	{},
};
#endif
