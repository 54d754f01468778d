// SPDX-License-Identifier: GPL-2.0
/*
 * What libipm-monitor makes of messages, for libFuzzer with AddressSanitizer.
 *
 * The input chooses what each read of a netlink socket gives: errors, and messages of
 * any header and any attributes, most of them nearly right. Lists are asked for and
 * events waited for; what lies behind a message is not to be touched, and what a
 * callback gets is whole.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "tamper.h"

#include "../../lib/monitor/monitor.h"

/* The functions that meet the kernel are those below. */
#define monitor_read kernel_read
#define monitor_request kernel_request
#include "../../lib/monitor/monitor.c"
#undef monitor_read
#undef monitor_request
#include "../../lib/monitor/parse.c"
#define text monitor_text
#define drain list_drain
#define deliver list_deliver
#include "../../lib/monitor/list.c"
#undef drain
#undef deliver
#include "../../lib/monitor/event.c"

#define FAMILY 30

static uint32_t request_number;
static uint8_t list_command;
static int64_t clock_ns;
static unsigned int reads;

int64_t ipm_sys_now(void)
{
	return clock_ns += 1000000;
}

int ipm_sys_wait_readable(int fd, int64_t timeout_ns)
{
	static const int results[] = { 0, 1, 1, 1, -EINTR, -ENOMEM };

	(void)fd;
	if (timeout_ns > 0)
		clock_ns += timeout_ns;
	/* Nothing comes any more. */
	return fuzz.size ? results[next_byte() % 6] : -ENOMEM;
}

int monitor_request(ipm_monitor *monitor, struct nl_sock *socket, uint8_t command, int flags,
		    uint32_t segment, const uint32_t *groups, uint32_t *seq)
{
	(void)monitor;
	(void)socket;
	(void)flags;
	(void)segment;
	(void)groups;
	list_command = command;
	request_number++;
	if (seq)
		*seq = request_number;
	return next_byte() % 32 == 31 ? -ENOMEM : 0;
}

/* --- messages --- */

struct out {
	char *bytes;
	size_t size;
	size_t room;
};

static void put(struct out *out, const void *bytes, size_t size, size_t aligned)
{
	if (out->size + aligned > out->room)
		return;
	memset(out->bytes + out->size, 0, aligned);
	memcpy(out->bytes + out->size, bytes, size);
	out->size += aligned;
}

/* With any bytes, or with what makes sense: small numbers, short texts, ranges. */
static void put_attribute(struct out *out, int type, size_t size, bool any)
{
	struct nlattr attr = { .nla_type = (uint16_t)type };
	unsigned char data[2 * IPM_NAME_SIZE] = { 0 };
	struct ipm_range range = { 0 };
	size_t i;

	if (size > sizeof(data))
		size = sizeof(data);
	if (any) {
		for (i = 0; i < size; i++)
			data[i] = next_byte();
	} else if (type == IPM_NL_A_RANGES) {
		for (i = 0; i + sizeof(range) <= size; i += sizeof(range)) {
			range.offset = next_random() % 1000;
			range.length = 1 + next_random() % 1000;
			range.mode = next_random() % 2;
			memcpy(data + i, &range, sizeof(range));
		}
	} else if (size) {
		data[0] = (unsigned char)(1 + next_random() % 16);
	}
	attr.nla_len = (uint16_t)(NLA_HDRLEN + size);
	if (any && next_byte() % 64 == 63)
		attr.nla_len = (uint16_t)next_word();
	put(out, &attr, sizeof(attr), NLA_HDRLEN);
	put(out, data, size, NLA_ALIGN(size));
}

static size_t right_size(int type)
{
	if (type == IPM_NL_A_RANGES)
		return sizeof(struct ipm_range) * (1 + next_random() % 3);
	if (type > IPM_NL_A_MAX || !policy[type].minlen)
		return 0;
	return policy[type].minlen + (policy[type].maxlen == policy[type].minlen ? 0 : 3);
}

static void put_message(struct out *out)
{
	struct genlmsghdr genl = { .cmd = list_command, .version = 1 };
	struct nlmsghdr header = {
		.nlmsg_type = FAMILY, .nlmsg_seq = request_number, .nlmsg_flags = NLM_F_MULTI,
	};
	uint8_t shape = next_byte();
	size_t begin = out->size;
	int type, error, count;

	if (shape % 16 == 0)
		header.nlmsg_type = NLMSG_DONE;
	else if (shape % 16 == 1)
		header.nlmsg_type = NLMSG_ERROR;
	else if (shape % 16 == 2)
		header.nlmsg_type = (uint16_t)next_word();
	if (shape % 32 == 31)
		header.nlmsg_seq = next_byte();
	if (shape % 64 == 60)
		header.nlmsg_flags |= NLM_F_DUMP_INTR;
	put(out, &header, sizeof(header), NLMSG_HDRLEN);
	if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
		error = next_byte() % 4 ? 0 : (int)next_word();
		put(out, &error, sizeof(error), sizeof(error));
	} else {
		if (next_byte() % 4 == 0)
			genl.cmd = next_byte() % (IPM_NL_CMD_MAX + 2);
		if (next_byte() % 32 == 31)
			genl.version = next_byte();
		put(out, &genl, sizeof(genl), GENL_HDRLEN);
		/* All there are, but for a few now and then, or some. */
		if (next_byte() % 4) {
			for (type = 1; type <= IPM_NL_A_MAX; type++) {
				if (type != IPM_NL_A_HIDDEN && next_random() % 256)
					put_attribute(out, type, right_size(type), false);
			}
		}
		for (count = next_byte() % 8; count > 4; count--) {
			type = next_byte() % (IPM_NL_A_MAX + 3);
			put_attribute(out, type, next_byte() % 4 ? right_size(type) : next_byte(),
				      true);
		}
	}
	header.nlmsg_len = (uint32_t)(out->size - begin);
	if (next_byte() % 64 == 63)
		header.nlmsg_len = next_word() >> next_byte() % 32;
	if (out->size - begin >= sizeof(header))
		memcpy(out->bytes + begin, &header, sizeof(header));
}

/* What follows what was read is poison, until the next read. */
ssize_t monitor_read(struct nl_sock *socket, void *buffer, int flags)
{
	static const int errors[] = { -EAGAIN, -EAGAIN, -EINTR, -ENOBUFS, -EMSGSIZE, -ENOMEM };
	struct out out = { .bytes = buffer, .room = MONITOR_BUFFER };
	uint8_t choice = next_byte();
	int count;

	(void)socket;
	(void)flags;
	ASAN_UNPOISON_MEMORY_REGION(buffer, MONITOR_BUFFER);
	clock_ns += 1000000;
	if (!fuzz.size || ++reads > 200)
		return flags & MSG_DONTWAIT ? -EAGAIN : -ENOMEM;
	if (choice % 4 == 0)
		return errors[next_byte() % 6];
	for (count = 1 + choice % 5; count; count--)
		put_message(&out);
	/* Cut off somewhere. */
	if (next_byte() % 32 == 31)
		out.size -= next_byte() % (out.size + 1);
	ASAN_POISON_MEMORY_REGION(out.bytes + out.size, MONITOR_BUFFER - out.size);
	return (ssize_t)out.size;
}

/* --- what the caller gets --- */

static size_t sum;

static void read_ranges(const ipm_monitor_range *ranges, size_t nr)
{
	if (!nr || nr > IPM_CLAIM_RANGES_MAX)
		abort();
	for (size_t i = 0; i < nr; i++) {
		if (!ranges[i].length || ranges[i].offset + ranges[i].length < ranges[i].offset ||
		    (unsigned int)ranges[i].mode > IPM_ACCESS_MODE_READ_WRITE)
			abort();
	}
}

static bool on_segment(const ipm_monitor_segment *segment, void *param)
{
	(void)param;
	sum += strlen(segment->name);
	return next_byte() % 16;
}

static bool on_handle(const ipm_monitor_handle *handle, void *param)
{
	(void)param;
	sum += strlen(handle->who.comm);
	return next_byte() % 16;
}

static bool on_claim(const ipm_monitor_claim *claim, void *param)
{
	(void)param;
	sum += strlen(claim->who.comm);
	read_ranges(claim->ranges, claim->nr_ranges);
	return next_byte() % 16;
}

static bool on_waiter(const ipm_monitor_waiter *waiter, void *param)
{
	(void)param;
	sum += strlen(waiter->who.comm);
	read_ranges(waiter->ranges, waiter->nr_ranges);
	return next_byte() % 16;
}

static bool on_doubt(const ipm_monitor_doubt *doubt, void *param)
{
	(void)param;
	sum += doubt->length;
	return next_byte() % 16;
}

static bool on_limit(const ipm_monitor_limit *limit, void *param)
{
	(void)param;
	sum += limit->uid;
	return next_byte() % 16;
}

static uint64_t last_seq;

static bool on_event(const ipm_monitor_event *event, void *param)
{
	(void)param;
	sum += strlen(event->name) + strlen(event->who.comm);
	/* None twice, and none out of turn. */
	if (event->seq <= last_seq)
		abort();
	last_seq = event->seq;
	return next_byte() % 16;
}

static void step(ipm_monitor *monitor)
{
	uint32_t segment = next_byte() % 4;
	bool exact;

	reads = 0;
	switch (next_byte() % 8) {
	case 0:
		ipm_monitor_segments(monitor, segment, on_segment, NULL, &exact);
		break;
	case 1:
		ipm_monitor_handles(monitor, segment, on_handle, NULL, &exact);
		break;
	case 2:
		ipm_monitor_claims(monitor, segment, on_claim, NULL, &exact);
		break;
	case 3:
		ipm_monitor_waiters(monitor, segment, on_waiter, NULL, &exact);
		break;
	case 4:
		ipm_monitor_doubts(monitor, segment, on_doubt, NULL, &exact);
		break;
	case 5:
		ipm_monitor_limits(monitor, on_limit, NULL);
		break;
	case 6:
		ASAN_UNPOISON_MEMORY_REGION(monitor->pending, MONITOR_BUFFER);
		list_command = IPM_NL_CMD_SUBSCRIBE;
		if (!ipm_monitor_subscribe(monitor, IPM_MONITOR_ALL, segment))
			last_seq = monitor->seq;
		break;
	default:
		list_command = IPM_NL_CMD_EVENT;
		ipm_monitor_dispatch(monitor, next_byte() % 2 ? IPM_DEADLINE_NOW :
				     ipm_deadline_after(next_byte() * 1000000), on_event, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nl_sock *socket;
	static void *buffer, *pending;
	ipm_monitor_range ranges[IPM_CLAIM_RANGES_MAX];
	ipm_monitor monitor = { .family = FAMILY, .ranges = ranges };
	unsigned int calls = 0;

	if (!buffer) {
		buffer = malloc(MONITOR_BUFFER);
		pending = malloc(MONITOR_BUFFER);
		/* Not connected: nobody asks for more than its number. */
		socket = nl_socket_alloc();
	}
	if (!buffer || !pending || !socket || !ipm_context_copy(&monitor.ctx, NULL))
		abort();
	fuzz.data = data;
	fuzz.size = size;
	fuzz.rate = 0;
	fuzz.state = next_word() | (uint64_t)1 << 40;
	monitor.buffer = buffer;
	monitor.pending = pending;
	monitor.at = pending;
	monitor.groups = IPM_MONITOR_ALL;
	monitor.lists = socket;
	monitor.events = socket;
	request_number = 0;
	last_seq = 0;
	clock_ns = 1000000000;
	while (fuzz.size && calls++ < 100)
		step(&monitor);
	ASAN_UNPOISON_MEMORY_REGION(buffer, MONITOR_BUFFER);
	ASAN_UNPOISON_MEMORY_REGION(pending, MONITOR_BUFFER);
	return 0;
}
