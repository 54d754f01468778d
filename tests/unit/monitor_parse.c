// SPDX-License-Identifier: GPL-2.0
/*
 * What libipm-monitor makes of messages: right ones, and those that the module
 * never sends. Messages lie at the end of memory that is followed by nothing,
 * so that a byte read too many is found also without a sanitizer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/genetlink.h>

#include "../../lib/monitor/monitor.h"
#include "tap.h"

#define ROOM 8192

#define ok(condition, what) tap_check(!!(condition), __FILE__, __LINE__, what)

struct message {
	_Alignas(8) char bytes[ROOM];
	uint32_t size;
};

static ipm_monitor_range ranges[IPM_CLAIM_RANGES_MAX];
static char *end_of_memory;

static struct message message_new(uint8_t command, uint8_t version)
{
	struct message m = { .size = NLMSG_HDRLEN + GENL_HDRLEN };
	struct genlmsghdr genl = { .cmd = command, .version = version };

	memcpy(m.bytes + NLMSG_HDRLEN, &genl, sizeof(genl));
	return m;
}

static void add(struct message *m, uint16_t type, const void *data, uint16_t size)
{
	struct nlattr attr = { .nla_type = type, .nla_len = NLA_HDRLEN + size };

	memcpy(m->bytes + m->size, &attr, sizeof(attr));
	memcpy(m->bytes + m->size + NLA_HDRLEN, data, size);
	m->size += NLA_ALIGN(NLA_HDRLEN + size);
}

static void add_u32(struct message *m, uint16_t type, uint32_t value)
{
	add(m, type, &value, sizeof(value));
}

static void add_u64(struct message *m, uint16_t type, uint64_t value)
{
	add(m, type, &value, sizeof(value));
}

/* Parses it where nothing follows; netlink messages are aligned to 4 bytes. */
static bool parse(struct message *m, uint8_t command, union monitor_entry *entry)
{
	char *at = end_of_memory - NLMSG_ALIGN(m->size);
	struct nlmsghdr header = { .nlmsg_len = m->size };

	memcpy(m->bytes, &header, sizeof(header));
	memcpy(at, m->bytes, NLMSG_ALIGN(m->size));
	return monitor_parse((struct nlmsghdr *)at, command, entry, ranges);
}

static struct message claim_message(const struct ipm_range *range, size_t size)
{
	struct message m = message_new(IPM_NL_CMD_CLAIMS, 1);

	add_u32(&m, IPM_NL_A_SEGMENT, 7);
	add_u64(&m, IPM_NL_A_HANDLE, 8);
	add_u64(&m, IPM_NL_A_CLAIM, 9);
	if (range)
		add(&m, IPM_NL_A_RANGES, range, size);
	add_u64(&m, IPM_NL_A_AGE, 10);
	add_u32(&m, IPM_NL_A_USER, 1000);
	add_u32(&m, IPM_NL_A_PID, 11);
	add_u32(&m, IPM_NL_A_TID, 12);
	add(&m, IPM_NL_A_COMM, "name", 5);
	add_u32(&m, IPM_NL_A_RESULT, IPM_GRANT_IN_DOUBT);
	return m;
}

static void right_ones(void)
{
	struct ipm_range two[2] = {
		{ .offset = 1, .length = 2, .mode = IPM_CLAIM_READ },
		{ .offset = 100, .length = 3, .mode = IPM_CLAIM_WRITE },
	};
	struct message m = claim_message(two, sizeof(two));
	union monitor_entry entry;

	ok(parse(&m, IPM_NL_CMD_CLAIMS, &entry), "a claim");
	ok(entry.claim.segment == 7 && entry.claim.handle == 8 && entry.claim.id == 9 &&
	   entry.claim.age_ns == 10 && entry.claim.in_doubt, "its numbers");
	ok(!entry.claim.who.hidden && entry.claim.who.uid == 1000 && entry.claim.who.pid == 11 &&
	   entry.claim.who.tid == 12 && !strcmp(entry.claim.who.comm, "name"), "whose it is");
	ok(entry.claim.nr_ranges == 2 && entry.claim.ranges[0].offset == 1 &&
	   entry.claim.ranges[0].mode == IPM_ACCESS_MODE_READ_ONLY &&
	   entry.claim.ranges[1].length == 3 &&
	   entry.claim.ranges[1].mode == IPM_ACCESS_MODE_READ_WRITE, "its ranges");
	add(&m, IPM_NL_A_HIDDEN, "", 0);
	ok(parse(&m, IPM_NL_CMD_CLAIMS, &entry) && entry.claim.who.hidden &&
	   !entry.claim.who.pid && !*entry.claim.who.comm, "hidden");
	/* A later module has more to tell. */
	add_u64(&m, IPM_NL_A_MAX + 1, 1);
	add_u32(&m, 3000, 1);
	ok(parse(&m, IPM_NL_CMD_CLAIMS, &entry) && entry.claim.id == 9, "more than is known");

	m = message_new(IPM_NL_CMD_EVENT, 1);
	add_u32(&m, IPM_NL_A_EVENT, IPM_NL_EVENT_WAIT);
	add_u64(&m, IPM_NL_A_SEQ, 5);
	add_u64(&m, IPM_NL_A_TIME, 6);
	add_u32(&m, IPM_NL_A_SEGMENT, 7);
	add(&m, IPM_NL_A_RANGES, two, sizeof(two[0]));
	add_u64(&m, IPM_NL_A_COUNT, 2);
	ok(parse(&m, IPM_NL_CMD_EVENT, &entry), "an event");
	ok(entry.event.type == IPM_MONITOR_EVENT_WAIT && entry.event.seq == 5 &&
	   entry.event.time_ns == 6 && entry.event.nr_ranges == 2 &&
	   entry.event.range.length == 2 && !entry.event.count &&
	   entry.event.slot == IPM_MONITOR_NO_SLOT && !*entry.event.name, "what it says");
}

static void wrong_ranges(void)
{
	struct ipm_range range = { .offset = 1, .length = 2 };
	struct ipm_range many[IPM_CLAIM_RANGES_MAX + 1];
	union monitor_entry entry;
	struct message m;

	m = claim_message(NULL, 0);
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "no ranges");
	m = claim_message(&range, 0);
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "empty ranges");
	m = claim_message(&range, sizeof(range) - 1);
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "a range that is too short");
	for (size_t i = 0; i < IPM_CLAIM_RANGES_MAX + 1; i++)
		many[i] = range;
	m = claim_message(many, sizeof(range) + 8);
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "one and a third");
	m = claim_message(many, sizeof(many) - sizeof(range));
	ok(parse(&m, IPM_NL_CMD_CLAIMS, &entry) &&
	   entry.claim.nr_ranges == IPM_CLAIM_RANGES_MAX, "as many as there can be");
	m = claim_message(many, sizeof(many));
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "more than there can be");
	range.mode = 2;
	m = claim_message(&range, sizeof(range));
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "a mode that does not exist");
	range = (struct ipm_range) { .offset = 1, .length = 0 };
	m = claim_message(&range, sizeof(range));
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "a range of no bytes");
	range = (struct ipm_range) { .offset = UINT64_MAX, .length = 2 };
	m = claim_message(&range, sizeof(range));
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "one that overflows");
}

/* Every attribute with every wrong length. */
static void wrong_lengths(void)
{
	struct ipm_range range = { .offset = 1, .length = 2 };
	static const char zeros[100];
	int wrong = 0, all = 0;

	for (int type = IPM_NL_A_SEGMENT; type <= IPM_NL_A_MAX; type++) {
		if (type == IPM_NL_A_RANGES || type == IPM_NL_A_HIDDEN)
			continue;
		for (int size = 0; size < 20; size++) {
			struct message m = claim_message(&range, sizeof(range));
			union monitor_entry entry;
			bool text = type == IPM_NL_A_NAME || type == IPM_NL_A_COMM;

			add(&m, type, zeros, size);
			/* The right lengths are those that some message has. */
			if (parse(&m, IPM_NL_CMD_CLAIMS, &entry) &&
			    (text ? !size : size != 4 && size != 8)) {
				printf("# attribute %d is taken with %d bytes\n", type, size);
				wrong++;
			}
			all++;
		}
	}
	ok(!wrong && all > 1000, "attributes of a wrong length");
}

static void wrong_texts(void)
{
	struct ipm_range range = { .offset = 1, .length = 2 };
	struct message m = claim_message(&range, sizeof(range));
	union monitor_entry entry;
	char name[IPM_NAME_SIZE + 1];

	add(&m, IPM_NL_A_COMM, "name", 4);
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "a text without an end");
	memset(name, 'x', sizeof(name));
	name[IPM_NAME_SIZE] = '\0';
	m = claim_message(&range, sizeof(range));
	add(&m, IPM_NL_A_NAME, name, sizeof(name));
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "a name that is too long");
}

static void wrong_headers(void)
{
	struct ipm_range range = { .offset = 1, .length = 2 };
	struct message good = claim_message(&range, sizeof(range)), m;
	union monitor_entry entry;
	uint64_t seq;

	ok(!parse(&good, IPM_NL_CMD_WAITERS, &entry), "another command");
	m = good;
	((struct genlmsghdr *)(m.bytes + NLMSG_HDRLEN))->version = 0;
	ok(!parse(&m, IPM_NL_CMD_CLAIMS, &entry), "no version");
	for (m = good; m.size > NLMSG_HDRLEN; m.size--) {
		/* Behind the ranges is nothing that it cannot do without. */
		if (parse(&m, IPM_NL_CMD_CLAIMS, &entry) && m.size < 80)
			break;
	}
	ok(m.size == NLMSG_HDRLEN, "messages that are cut off");
	m = message_new(IPM_NL_CMD_SUBSCRIBE, 1);
	parse(&m, IPM_NL_CMD_CLAIMS, &entry);
	ok(!monitor_parse_subscribed((struct nlmsghdr *)(end_of_memory - NLMSG_ALIGN(m.size)),
				     &seq), "an answer without a number");
	m = message_new(IPM_NL_CMD_EVENT, 1);
	add_u32(&m, IPM_NL_A_EVENT, IPM_NL_EVENT_GONE);
	add_u64(&m, IPM_NL_A_TIME, 1);
	ok(!parse(&m, IPM_NL_CMD_EVENT, &entry), "an event without a number");
	add_u64(&m, IPM_NL_A_SEQ, 0);
	ok(!parse(&m, IPM_NL_CMD_EVENT, &entry), "an event of number 0");
	m = message_new(IPM_NL_CMD_EVENT, 1);
	add_u32(&m, IPM_NL_A_EVENT, IPM_NL_EVENT_LOST);
	add_u64(&m, IPM_NL_A_TIME, 1);
	add_u64(&m, IPM_NL_A_SEQ, 5);
	ok(!parse(&m, IPM_NL_CMD_EVENT, &entry), "none lost");
	add_u64(&m, IPM_NL_A_COUNT, 6);
	ok(!parse(&m, IPM_NL_CMD_EVENT, &entry), "more lost than there were");
	add_u64(&m, IPM_NL_A_COUNT, 5);
	ok(parse(&m, IPM_NL_CMD_EVENT, &entry) && entry.event.count == 5, "all lost");
	add(&m, IPM_NL_A_RANGES, &range, sizeof(range));
	ok(!parse(&m, IPM_NL_CMD_EVENT, &entry), "ranges lost");
}

/* What can be anything, is never more than was there. */
static void random_ones(void)
{
	unsigned int seed = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) :
					     (unsigned int)getpid();
	struct ipm_range range = { .offset = 1, .length = 2 };
	union monitor_entry entry;
	long taken = 0;

	printf("# SEED=%u repeats this\n", seed);
	for (int i = 0; i < 100000; i++) {
		uint8_t command = rand_r(&seed) % (IPM_NL_CMD_MAX + 2);
		struct message m = claim_message(&range, sizeof(range));

		((struct genlmsghdr *)(m.bytes + NLMSG_HDRLEN))->cmd = command;
		for (int n = rand_r(&seed) % 6; n; n--)
			add_u64(&m, rand_r(&seed) % (IPM_NL_A_MAX + 3), rand_r(&seed) % 3);
		for (int n = rand_r(&seed) % 4; n; n--)
			m.bytes[NLMSG_HDRLEN + rand_r(&seed) % (m.size - NLMSG_HDRLEN)] =
				rand_r(&seed);
		if (rand_r(&seed) % 4 == 0)
			m.size -= rand_r(&seed) % (m.size - NLMSG_HDRLEN);
		if (parse(&m, command, &entry)) {
			taken++;
			if (command == IPM_NL_CMD_CLAIMS)
				taken += strlen(entry.claim.who.comm) > 64;
		}
	}
	ok(taken > 100 && taken < 90000, "random ones");
}

static void errors(void)
{
	struct {
		struct nlmsghdr header;
		int error;
	} m = { .header.nlmsg_len = sizeof(m), .error = -ENOENT };

	ok(monitor_error(&m.header) == -ENOENT, "an error");
	m.error = 0;
	ok(monitor_error(&m.header) == 0, "no error");
	m.error = 5;
	ok(monitor_error(&m.header) == -EBADMSG, "an error that is none");
	m.error = -5000;
	ok(monitor_error(&m.header) == -EBADMSG, "one that is too large");
	m.header.nlmsg_len = sizeof(m) - 1;
	ok(monitor_error(&m.header) == -EBADMSG, "one that is cut off");
}

static void *no_memory(void *param, size_t size)
{
	int *left = param;

	return (*left)-- > 0 ? malloc(size) : NULL;
}

static void plain_free(void *param, void *ptr)
{
	(void)param;
	free(ptr);
}

static bool any_event(const ipm_monitor_event *event, void *param)
{
	(void)event;
	(void)param;
	return true;
}

/* Without the module. */
static void opening(void)
{
	ipm_monitor *monitor = NULL;
	ipm_context half = { .alloc_callback = no_memory };
	int left;
	ipm_context context = {
		.alloc_callback = no_memory, .alloc_param = &left, .free_callback = plain_free,
	};
	ipm_result result;

	ok(ipm_monitor_open(NULL, NULL) == IPM_RESULT_ERR_BAD_VALUE, "nowhere to put it");
	ok(ipm_monitor_open(&half, &monitor) == IPM_RESULT_ERR_BAD_VALUE, "half an allocator");
	for (int n = 0; n < 4; n++) {
		left = n;
		ok(ipm_monitor_open(&context, &monitor) == IPM_RESULT_ERR_OUT_OF_MEMORY,
		   "no memory");
	}
	result = ipm_monitor_open(NULL, &monitor);
	if (result == IPM_RESULT_SUCCESS) {
		printf("# the running kernel has the module\n");
		ipm_monitor_close(monitor);
	} else {
		ok(result == IPM_RESULT_ERR_NO_DEVICE && !monitor, "without the module");
	}
	ipm_monitor_close(NULL);
	ok(ipm_monitor_fd(NULL) == -1, "no file descriptor");
	ok(ipm_monitor_dispatch(NULL, 1, any_event, NULL) == IPM_RESULT_ERR_BAD_VALUE,
	   "nothing to dispatch");
	ok(ipm_monitor_segments(NULL, 0, NULL, NULL, NULL) == IPM_RESULT_ERR_BAD_VALUE &&
	   ipm_monitor_handles(NULL, 0, NULL, NULL, NULL) == IPM_RESULT_ERR_BAD_VALUE &&
	   ipm_monitor_claims(NULL, 0, NULL, NULL, NULL) == IPM_RESULT_ERR_BAD_VALUE &&
	   ipm_monitor_waiters(NULL, 0, NULL, NULL, NULL) == IPM_RESULT_ERR_BAD_VALUE &&
	   ipm_monitor_doubts(NULL, 0, NULL, NULL, NULL) == IPM_RESULT_ERR_BAD_VALUE &&
	   ipm_monitor_limits(NULL, NULL, NULL) == IPM_RESULT_ERR_BAD_VALUE, "no monitor");
}

int main(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	mprotect(map + ROOM, page, PROT_NONE);
	end_of_memory = map + ROOM;
	RUN(right_ones);
	RUN(wrong_ranges);
	RUN(wrong_lengths);
	RUN(wrong_texts);
	RUN(wrong_headers);
	RUN(random_ones);
	RUN(errors);
	RUN(opening);
	return tap_end();
}
