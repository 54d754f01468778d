// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family, message by message: what it answers to requests
 * that nobody should make, whether its lists are those of what there is, whom it
 * shows what, and that it tells of everything that happens.
 *
 * vm: TIMEOUT=600
 */
#include "netlink_test.h"

#include <sys/wait.h>

#define CAPACITY	(1UL << 24)
#define STRANGER	1000

FIXTURE(netlink)
{
	struct counts before;
	struct nl nl;
	int dev;
	int fd;
	uint32_t id;
};

FIXTURE_SETUP(netlink)
{
	struct ipm_info info;

	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_named(self->dev, "netlink", PAGE, CAPACITY);
	ASSERT_FD(self->fd);
	ASSERT_EQ(0, call_info(self->fd, &info));
	self->id = info.ref.id;
	ASSERT_EQ(0, nl_open(&self->nl));
}

FIXTURE_TEARDOWN(netlink)
{
	write_text(PARAMETERS "wait_event_ms", "1000");
	nl_close(&self->nl);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

static uint32_t id_of(int fd)
{
	struct ipm_info info;

	return call_info(fd, &info) ? 0 : info.ref.id;
}

/* --- messages --- */

/* The family is there, in every network namespace. */
TEST_F(netlink, family)
{
	EXPECT_EQ(IPM_NL_VERSION, self->nl.version);
	EXPECT_LT(0, self->nl.family);
	ASSERT_EQ(0, IN_CHILD({
		struct nl nl;

		CHECK(0, unshare(CLONE_NEWNET));
		CHECK(0, nl_open(&nl));
		CHECK(self->nl.family, nl.family);
		CHECK(0, nl_dump(&nl, IPM_NL_CMD_SEGMENTS, 0, NULL, NULL));
		CHECK(-ENOENT, nl_dump(&nl, IPM_NL_CMD_CLAIMS, self->id, NULL, NULL));
	}));
}

/* What the answer is to a dump with one attribute. */
#define ASK(type, data, size)                                                              \
	({                                                                                 \
		struct request ask_r = request_new(self->nl.family, NLM_F_DUMP,            \
						   IPM_NL_CMD_CLAIMS, IPM_NL_VERSION);     \
		request_attr(&ask_r, type, data, size);                                    \
		nl_ask(&self->nl, &ask_r);                                                 \
	})

/* Requests of a wrong form are refused, and the socket goes on. */
TEST_F(netlink, malformed)
{
	struct nl *nl = &self->nl;
	uint64_t wide = self->id;
	uint32_t id = self->id, zero = 0, none = INT32_MAX;
	struct request r;
	char deep[400];

	/* As it should be. */
	ASSERT_EQ(0, ASK(IPM_NL_A_SEGMENT, &id, 4));

	EXPECT_EQ(-ERANGE, ASK(IPM_NL_A_SEGMENT, &zero, 4));
	EXPECT_EQ(-ENOENT, ASK(IPM_NL_A_SEGMENT, &none, 4));
	none = UINT32_MAX;
	EXPECT_EQ(-ENOENT, ASK(IPM_NL_A_SEGMENT, &none, 4));
	/* Too short, too long, empty. */
	EXPECT_GT(0, ASK(IPM_NL_A_SEGMENT, &id, 3));
	EXPECT_GT(0, ASK(IPM_NL_A_SEGMENT, &id, 2));
	EXPECT_GT(0, ASK(IPM_NL_A_SEGMENT, &id, 0));
	EXPECT_GT(0, ASK(IPM_NL_A_SEGMENT, &wide, 8));
	/* Attributes that nobody knows, or that this command does not take. */
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_UNSPEC, &id, 4));
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_PAD, &id, 4));
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_NAME, "name", 5));
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_GROUPS, &id, 4));
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_MAX + 1, &id, 4));
	EXPECT_EQ(-EINVAL, ASK(0x3fff, &id, 4));
	/* A number that says it is a nest, and nests in nests. */
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_SEGMENT | NLA_F_NESTED, &id, 4));
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_SEGMENT | NLA_F_NET_BYTEORDER | NLA_F_NESTED, &id, 4));
	for (size_t at = 0; at < sizeof(deep); at += NLA_HDRLEN) {
		struct nlattr attr = {
			.nla_len = sizeof(deep) - at,
			.nla_type = IPM_NL_A_RANGES | NLA_F_NESTED,
		};

		memcpy(deep + at, &attr, sizeof(attr));
	}
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_SEGMENT | NLA_F_NESTED, deep, sizeof(deep)));
	EXPECT_EQ(-EINVAL, ASK(IPM_NL_A_RANGES | NLA_F_NESTED, deep, sizeof(deep)));
	/* LIMITS takes none. */
	r = request_new(nl->family, NLM_F_DUMP, IPM_NL_CMD_LIMITS, IPM_NL_VERSION);
	request_u32(&r, IPM_NL_A_SEGMENT, id);
	EXPECT_EQ(-EINVAL, nl_ask(nl, &r));
	r = request_new(nl->family, NLM_F_DUMP, IPM_NL_CMD_LIMITS, IPM_NL_VERSION);
	request_attr(&r, IPM_NL_A_PAD, "", 0);
	EXPECT_EQ(-EINVAL, nl_ask(nl, &r));

	/* An attribute that is longer than the message; and something behind the last. */
	r = request_new(nl->family, NLM_F_DUMP, IPM_NL_CMD_CLAIMS, IPM_NL_VERSION);
	request_u32(&r, IPM_NL_A_SEGMENT, id);
	((struct nlattr *)(r.bytes + NLMSG_LENGTH(GENL_HDRLEN)))->nla_len = 200;
	EXPECT_EQ(-EINVAL, nl_ask(nl, &r));
	r = request_new(nl->family, NLM_F_DUMP, IPM_NL_CMD_CLAIMS, IPM_NL_VERSION);
	request_u32(&r, IPM_NL_A_SEGMENT, id);
	r.header.nlmsg_len += 2;
	EXPECT_EQ(-EINVAL, nl_ask(nl, &r));
	/* No header of the family, or half of one. */
	r = request_new(nl->family, NLM_F_DUMP, IPM_NL_CMD_CLAIMS, IPM_NL_VERSION);
	r.header.nlmsg_len = NLMSG_LENGTH(0);
	EXPECT_GT(0, nl_ask(nl, &r));
	r.header.nlmsg_len = NLMSG_LENGTH(2);
	EXPECT_GT(0, nl_ask(nl, &r));

	/* Versions, commands and flags. */
	for (unsigned int version = 0; version < 256; version += version < 3 ? 1 : 36) {
		bool known = version >= 1 && version <= IPM_NL_VERSION;

		r = request_new(nl->family, NLM_F_DUMP, IPM_NL_CMD_CLAIMS, version);
		EXPECT_EQ(known ? 0 : -EOPNOTSUPP, nl_ask(nl, &r));
		r = request_new(nl->family, 0, IPM_NL_CMD_SUBSCRIBE, version);
		EXPECT_EQ(known ? 1 : -EOPNOTSUPP, nl_ask(nl, &r));
	}
	for (unsigned int command = 0; command < 256; command++) {
		r = request_new(nl->family, 0, command, IPM_NL_VERSION);
		EXPECT_EQ(command == IPM_NL_CMD_SUBSCRIBE ? 1 : -EOPNOTSUPP, nl_ask(nl, &r));
		if (command >= IPM_NL_CMD_SEGMENTS && command <= IPM_NL_CMD_LIMITS)
			continue;
		r = request_new(nl->family, NLM_F_DUMP, command, IPM_NL_VERSION);
		EXPECT_EQ(-EOPNOTSUPP, nl_ask(nl, &r));
	}
	/* Subscriptions. */
	EXPECT_GT(0, nl_subscribe(nl, 8, 0));
	EXPECT_GT(0, nl_subscribe(nl, UINT32_MAX, 0));
	r = request_new(nl->family, 0, IPM_NL_CMD_SUBSCRIBE, IPM_NL_VERSION);
	request_u32(&r, IPM_NL_A_SEGMENT, id);
	EXPECT_EQ(-EINVAL, nl_ask(nl, &r));

	EXPECT_EQ(1, nl_dump(nl, IPM_NL_CMD_SEGMENTS, id, NULL, NULL));
}

/* Thousands of messages that were right and have a few wrong bytes. */
TEST_F_TIMEOUT(netlink, random, 120)
{
	unsigned int seed = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) :
					     (unsigned int)now_ns(CLOCK_REALTIME);
	struct nl *nl = &self->nl;
	struct request r;

	note("SEED=%u repeats this", seed);
	for (int i = 0; i < 5000; i++) {
		r = request_new(nl->family, rand_r(&seed) % 4 ? NLM_F_DUMP : 0,
				rand_r(&seed) % (IPM_NL_CMD_MAX + 2), IPM_NL_VERSION);
		for (int n = rand_r(&seed) % 3; n; n--)
			request_u32(&r, rand_r(&seed) % (IPM_NL_A_MAX + 2),
				    rand_r(&seed) % 2 ? self->id : (uint32_t)rand_r(&seed) % 8);
		/* From the header of the family on: it is meant to get there. */
		for (int n = rand_r(&seed) % 4; n; n--)
			r.bytes[NLMSG_LENGTH(0) +
				rand_r(&seed) % (r.header.nlmsg_len - NLMSG_LENGTH(0))] =
					rand_r(&seed);
		/* What is shorter than a header is never answered. */
		if (!(rand_r(&seed) % 8))
			r.header.nlmsg_len -= rand_r(&seed) % (GENL_HDRLEN + 1);
		nl_ask(nl, &r);
	}
	/* One of them may have subscribed. */
	ASSERT_LE(0, nl_subscribe(nl, 0, 0));
	ASSERT_EQ(1, nl_dump(nl, IPM_NL_CMD_SEGMENTS, self->id, NULL, NULL));
}

/* --- lists --- */

#define LIST_MAX 512

/* The messages of a list, copied. */
struct list {
	int nr;
	struct nlmsghdr *message[LIST_MAX];
};

static void list_add(struct nlmsghdr *header, void *data)
{
	struct list *list = data;

	if (list->nr == LIST_MAX)
		return;
	list->message[list->nr] = malloc(header->nlmsg_len);
	memcpy(list->message[list->nr++], header, header->nlmsg_len);
}

static int list_get(struct nl *nl, uint8_t command, uint32_t segment, struct list *list)
{
	list->nr = 0;
	return nl_dump(nl, command, segment, list_add, list);
}

static void list_free(struct list *list)
{
	while (list->nr)
		free(list->message[--list->nr]);
}

#define ASSERT_LIST(command, nr_)                                                         \
	do {                                                                              \
		list_free(&list);                                                         \
		ASSERT_EQ(nr_, list_get(&self->nl, command, self->id, &list));            \
		ASSERT_EQ(nr_, list.nr);                                                  \
		ASSERT_EQ(false, self->nl.interrupted);                                   \
		for (int list_i = 0; list_i < list.nr; list_i++)                          \
			ASSERT_EQ(self->id, nl_num(list.message[list_i], IPM_NL_A_SEGMENT)); \
	} while (0)

/* A segment is told as INFO tells it. */
TEST_F(netlink, segments)
{
	int key = call_create(self->dev, ref_key(-7), 3 * PAGE, 0, IPM_CREATE_PERSISTENT,
			      IPM_READ_WRITE, 0640, NULL);
	int none = make_private(self->dev, PAGE, 0);
	struct list list = { 0 };
	uint32_t ids[3] = { self->id, id_of(key), id_of(none) };
	int fds[3] = { self->fd, key, none };

	ASSERT_EQ(0, call_remove(none, ref_none()));
	ASSERT_EQ(3, list_get(&self->nl, IPM_NL_CMD_SEGMENTS, 0, &list));
	for (int i = 0; i < 3; i++) {
		struct nlmsghdr *m = list.message[i];
		struct ipm_info info;

		ASSERT_EQ(0, call_info(fds[i], &info));
		EXPECT_EQ(ids[i], nl_num(m, IPM_NL_A_SEGMENT));
		EXPECT_EQ(info.ref.by == IPM_BY_NAME, nl_has(m, IPM_NL_A_NAME));
		EXPECT_STREQ(info.ref.name, nl_text(m, IPM_NL_A_NAME));
		EXPECT_EQ(info.ref.by == IPM_BY_KEY, nl_has(m, IPM_NL_A_KEY));
		if (info.ref.by == IPM_BY_KEY)
			EXPECT_EQ((uint32_t)info.ref.key, nl_num(m, IPM_NL_A_KEY));
		EXPECT_EQ(info.state, nl_num(m, IPM_NL_A_STATE));
		EXPECT_EQ(info.size, nl_num(m, IPM_NL_A_SIZE));
		EXPECT_EQ(info.capacity, nl_num(m, IPM_NL_A_CAPACITY));
		EXPECT_EQ(info.resident, nl_num(m, IPM_NL_A_RESIDENT));
		EXPECT_EQ(info.mode, nl_num(m, IPM_NL_A_MODE));
		EXPECT_EQ(info.uid, nl_num(m, IPM_NL_A_UID));
		EXPECT_EQ(info.gid, nl_num(m, IPM_NL_A_GID));
		EXPECT_EQ(info.cuid, nl_num(m, IPM_NL_A_CUID));
		EXPECT_EQ(info.cgid, nl_num(m, IPM_NL_A_CGID));
		EXPECT_EQ((uint32_t)info.creator_pid, nl_num(m, IPM_NL_A_CREATOR_PID));
		EXPECT_EQ((uint32_t)info.last_pid, nl_num(m, IPM_NL_A_LAST_PID));
		EXPECT_EQ(info.handles, nl_num(m, IPM_NL_A_HANDLES));
		EXPECT_EQ(info.maps, nl_num(m, IPM_NL_A_MAPS));
		EXPECT_EQ(info.claims, nl_num(m, IPM_NL_A_CLAIMS));
		EXPECT_EQ(info.waiters, nl_num(m, IPM_NL_A_WAITERS));
		EXPECT_EQ(info.doubts, nl_num(m, IPM_NL_A_DOUBTS));
		EXPECT_EQ((uint64_t)info.create_time, nl_num(m, IPM_NL_A_CREATE_TIME));
		EXPECT_EQ((uint64_t)info.change_time, nl_num(m, IPM_NL_A_CHANGE_TIME));
		EXPECT_EQ((uint64_t)info.attach_time, nl_num(m, IPM_NL_A_ATTACH_TIME));
		EXPECT_EQ((uint64_t)info.detach_time, nl_num(m, IPM_NL_A_DETACH_TIME));
		EXPECT_EQ(info.waits, nl_num(m, IPM_NL_A_WAITS));
		EXPECT_EQ(info.wait_ns, nl_num(m, IPM_NL_A_WAIT_NS));
		EXPECT_EQ(info.deadlocks, nl_num(m, IPM_NL_A_DEADLOCKS));
		EXPECT_EQ(info.deaths, nl_num(m, IPM_NL_A_DEATHS));
		EXPECT_EQ(info.doubt_events, nl_num(m, IPM_NL_A_DOUBT_EVENTS));
	}
	list_free(&list);
	/* One by its id, also when it was removed. */
	EXPECT_EQ(1, list_get(&self->nl, IPM_NL_CMD_SEGMENTS, ids[2], &list));
	EXPECT_EQ(IPM_STATE_REMOVED, nl_num(list.message[0], IPM_NL_A_STATE));
	list_free(&list);
	ASSERT_EQ(0, call_remove(key, ref_none()));
	close(key);
	close(none);
	EXPECT_EQ(-ENOENT, nl_dump(&self->nl, IPM_NL_CMD_SEGMENTS, ids[1], NULL, NULL));
}

/* Handles: who opened them, how, what is mapped through them, which slot they have. */
TEST_F(netlink, handles)
{
	struct list list = { 0 };
	struct actor p;
	char comm[17] = "";
	void *one, *two;
	uint32_t slot;
	int ro;

	prctl(PR_GET_NAME, comm);
	ASSERT_LIST(IPM_NL_CMD_HANDLES, 1);
	EXPECT_EQ(IPM_READ_WRITE, nl_num(list.message[0], IPM_NL_A_ACCESS));
	EXPECT_EQ((uint64_t)getpid(), nl_num(list.message[0], IPM_NL_A_PID));
	EXPECT_EQ(0, nl_num(list.message[0], IPM_NL_A_USER));
	EXPECT_STREQ(comm, nl_text(list.message[0], IPM_NL_A_COMM));
	EXPECT_EQ(0, nl_num(list.message[0], IPM_NL_A_MAPPED));
	EXPECT_EQ(false, nl_has(list.message[0], IPM_NL_A_SLOT));
	EXPECT_EQ(false, nl_has(list.message[0], IPM_NL_A_HIDDEN));

	ro = call_reopen(self->fd, IPM_READ_ONLY);
	one = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	two = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_MAPPED(one);
	ASSERT_MAPPED(two);
	ASSERT_EQ(0, call_slot(self->fd, 0, &slot, NULL));
	ASSERT_EQ(0, call_claim(ro, 0, 1, READ, 0, NULL));
	ASSERT_LIST(IPM_NL_CMD_HANDLES, 2);
	EXPECT_EQ(1, nl_num(list.message[0], IPM_NL_A_MAPPED));
	EXPECT_EQ(slot, nl_num(list.message[0], IPM_NL_A_SLOT));
	EXPECT_EQ(0, nl_num(list.message[0], IPM_NL_A_CLAIMS));
	EXPECT_EQ(IPM_READ_ONLY, nl_num(list.message[1], IPM_NL_A_ACCESS));
	EXPECT_EQ(1, nl_num(list.message[1], IPM_NL_A_MAPPED));
	EXPECT_EQ(1, nl_num(list.message[1], IPM_NL_A_CLAIMS));
	EXPECT_LT(nl_num(list.message[0], IPM_NL_A_HANDLE),
		  nl_num(list.message[1], IPM_NL_A_HANDLE));

	/* A child's mappings count too, and go with it. */
	ASSERT_EQ(0, actor_start(&p, false));
	ASSERT_LIST(IPM_NL_CMD_HANDLES, 2);
	EXPECT_EQ(2, nl_num(list.message[0], IPM_NL_A_MAPPED));
	ASSERT_EQ(SIGKILL, actor_kill(&p));
	ASSERT_LIST(IPM_NL_CMD_HANDLES, 2);
	EXPECT_EQ(1, nl_num(list.message[0], IPM_NL_A_MAPPED));
	/* A mapping that is cut in two is two; its handle may go first. */
	munmap(one, PAGE);
	close(ro);
	ASSERT_LIST(IPM_NL_CMD_HANDLES, 1);
	EXPECT_EQ(0, nl_num(list.message[0], IPM_NL_A_MAPPED));
	munmap(two, PAGE);
	list_free(&list);
}

/* Claims, and waits with what is in their way. */
TEST_F(netlink, claims_and_waiters)
{
	struct ipm_range ranges[3] = {
		{ .offset = 900, .length = 100, .mode = WRITE },
		{ .offset = 100, .length = 10, .mode = READ },
		{ .offset = 500, .length = 1, .mode = WRITE },
	};
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	struct list list = { 0 };
	struct ipm_range seen[3];
	int other = call_reopen(self->fd, IPM_READ_WRITE), async, async_id = 0;
	uint64_t first, second, id, handle[2];
	struct actor p[2];
	size_t size = 0;
	void *data;

	ASSERT_FD(other);
	async = call_reopen(self->fd, IPM_READ_WRITE);
	ASSERT_FD(async);
	ASSERT_LIST(IPM_NL_CMD_CLAIMS, 0);
	ASSERT_LIST(IPM_NL_CMD_WAITERS, 0);
	ASSERT_LIST(IPM_NL_CMD_HANDLES, 3);
	handle[0] = nl_num(list.message[0], IPM_NL_A_HANDLE);
	handle[1] = nl_num(list.message[1], IPM_NL_A_HANDLE);

	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = 3;
	ASSERT_EQ(0, call_claim_arg(other, &arg));
	second = arg.id;
	ASSERT_EQ(0, call_claim(self->fd, 200, 50, READ, 0, &first));
	ASSERT_LIST(IPM_NL_CMD_CLAIMS, 2);
	/* By handle, then by number. */
	EXPECT_EQ(first, nl_num(list.message[0], IPM_NL_A_CLAIM));
	EXPECT_EQ(handle[0], nl_num(list.message[0], IPM_NL_A_HANDLE));
	EXPECT_EQ(200, nl_range(list.message[0]).offset);
	EXPECT_EQ(50, nl_range(list.message[0]).length);
	EXPECT_EQ(READ, nl_range(list.message[0]).mode);
	EXPECT_EQ((uint64_t)getpid(), nl_num(list.message[0], IPM_NL_A_PID));
	EXPECT_EQ((uint64_t)gettid(), nl_num(list.message[0], IPM_NL_A_TID));
	EXPECT_EQ(0, nl_num(list.message[0], IPM_NL_A_RESULT));
	EXPECT_EQ(second, nl_num(list.message[1], IPM_NL_A_CLAIM));
	EXPECT_EQ(handle[1], nl_num(list.message[1], IPM_NL_A_HANDLE));
	data = nl_attr(list.message[1], IPM_NL_A_RANGES, &size);
	ASSERT_EQ(sizeof(seen), size);
	memcpy(seen, data, size);
	EXPECT_EQ(100, seen[0].offset);
	EXPECT_EQ(READ, seen[0].mode);
	EXPECT_EQ(500, seen[1].offset);
	EXPECT_EQ(900, seen[2].offset);
	EXPECT_EQ(100, seen[2].length);
	EXPECT_EQ(WRITE, seen[2].mode);

	/* A thread that waits for the holder, one behind it, and an asynchronous one. */
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, actor_start(&p[i], false));
	ASSERT_WAITS(&p[0], self->fd, 950, 1, READ, 1);
	arg = claim_arg(950, 1, WRITE, IPM_CLAIM_ASYNC);
	ASSERT_EQ(0, call_claim_arg(async, &arg));
	async_id = arg.id;
	/* A convert waits for the reader at 200. */
	ASSERT_EQ(0, call_claim(other, 200, 50, READ, 0, &id));
	actor_give_convert(&p[1], other, id, WRITE, 0, 0);
	ASSERT_WAITING(&p[1], self->fd, 3);

	ASSERT_LIST(IPM_NL_CMD_WAITERS, 3);
	/* The convert stands in front. */
	EXPECT_EQ(id, nl_num(list.message[0], IPM_NL_A_CLAIM));
	EXPECT_EQ(IPM_NL_WAIT_CONVERT, nl_num(list.message[0], IPM_NL_A_FLAGS));
	EXPECT_EQ(WRITE, nl_range(list.message[0]).mode);
	EXPECT_EQ((uint64_t)p[1].pid, nl_num(list.message[0], IPM_NL_A_PID));
	EXPECT_EQ(first, nl_num(list.message[0], IPM_NL_A_BLOCKER_CLAIM));
	EXPECT_EQ(handle[0], nl_num(list.message[0], IPM_NL_A_BLOCKER_HANDLE));
	EXPECT_EQ(0, nl_num(list.message[0], IPM_NL_A_BLOCKER_FLAGS));
	EXPECT_EQ((uint64_t)getpid(), nl_num(list.message[0], IPM_NL_A_BLOCKER_PID));
	EXPECT_EQ((uint64_t)gettid(), nl_num(list.message[0], IPM_NL_A_BLOCKER_TID));
	EXPECT_EQ(0, nl_num(list.message[1], IPM_NL_A_FLAGS));
	EXPECT_EQ(950, nl_range(list.message[1]).offset);
	EXPECT_EQ((uint64_t)p[0].pid, nl_num(list.message[1], IPM_NL_A_PID));
	EXPECT_EQ(second, nl_num(list.message[1], IPM_NL_A_BLOCKER_CLAIM));
	EXPECT_EQ(IPM_NL_WAIT_ASYNC, nl_num(list.message[2], IPM_NL_A_FLAGS));
	EXPECT_EQ((uint64_t)async_id, nl_num(list.message[2], IPM_NL_A_CLAIM));
	EXPECT_EQ(second, nl_num(list.message[2], IPM_NL_A_BLOCKER_CLAIM));

	/* Without the holder the reader has it, and the writer waits for the reader. */
	ASSERT_EQ(0, call_release(other, second));
	ASSERT_EQ(0, actor_result(&p[0]));
	ASSERT_LIST(IPM_NL_CMD_WAITERS, 2);
	EXPECT_EQ(p[0].order->claim.id, nl_num(list.message[1], IPM_NL_A_BLOCKER_CLAIM));
	EXPECT_EQ((uint64_t)p[0].pid, nl_num(list.message[1], IPM_NL_A_BLOCKER_PID));
	ASSERT_EQ(0, call_release(self->fd, first));
	ASSERT_EQ(0, actor_result(&p[1]));
	ASSERT_EQ(0, call_release(self->fd, p[0].order->claim.id));
	ASSERT_LIST(IPM_NL_CMD_WAITERS, 0);
	list_free(&list);
	for (int i = 0; i < 2; i++)
		actor_stop(&p[i]);
	close(other);
	close(async);
}

/* Doubts are told as DOUBT tells them, and the counters of the segment are right. */
TEST_F(netlink, doubts_and_counters)
{
	struct ipm_range ranges[2] = {
		{ .offset = 0, .length = 10, .mode = WRITE },
		{ .offset = 100, .length = 10, .mode = WRITE },
	};
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	struct ipm_doubt_range doubt[4];
	struct list list = { 0 };
	struct ipm_info info;
	struct actor p;
	int second;
	pid_t pid;

	ASSERT_LIST(IPM_NL_CMD_DOUBTS, 0);
	/* One process with two handles dies: one death, two claims to write. */
	second = call_reopen(self->fd, IPM_READ_WRITE);
	ASSERT_FD(second);
	ASSERT_EQ(0, actor_start(&p, false));
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = 2;
	actor_give_claim(&p, self->fd, arg);
	ASSERT_EQ(0, actor_result(&p));
	ASSERT_EQ(0, actor_claim(&p, second, 50, 10, WRITE, 0, NULL));
	ASSERT_EQ(0, actor_claim(&p, second, 70, 10, READ, 0, NULL));
	pid = p.pid;
	ASSERT_EQ(SIGKILL, actor_kill(&p));
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.deaths);
	EXPECT_EQ(2, info.doubt_events);
	EXPECT_EQ(3, info.doubts);
	EXPECT_EQ(0, info.waits);
	EXPECT_EQ(0, info.deadlocks);
	ASSERT_EQ(3, call_doubt(self->fd, 0, 0, doubt, 4));
	ASSERT_LIST(IPM_NL_CMD_DOUBTS, 3);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(doubt[i].offset, nl_num(list.message[i], IPM_NL_A_OFFSET));
		EXPECT_EQ(doubt[i].length, nl_num(list.message[i], IPM_NL_A_LENGTH));
		EXPECT_EQ((uint64_t)doubt[i].time, nl_num(list.message[i], IPM_NL_A_TIME));
		EXPECT_EQ(doubt[i].flags, nl_num(list.message[i], IPM_NL_A_FLAGS));
		EXPECT_EQ((uint64_t)pid, nl_num(list.message[i], IPM_NL_A_PID));
	}
	/* A claim on them is told so. */
	ASSERT_EQ(0, call_claim(self->fd, 0, 200, WRITE, 0, NULL));
	ASSERT_LIST(IPM_NL_CMD_CLAIMS, 1);
	EXPECT_EQ(IPM_GRANT_IN_DOUBT, nl_num(list.message[0], IPM_NL_A_RESULT));
	ASSERT_EQ(0, call_recovered(self->fd, 0, 200));
	ASSERT_LIST(IPM_NL_CMD_DOUBTS, 0);

	/* A second death that only read, and one that held nothing. */
	ASSERT_EQ(0, actor_start(&p, false));
	ASSERT_EQ(0, actor_claim(&p, second, 1000, 10, READ, 0, NULL));
	ASSERT_EQ(SIGKILL, actor_kill(&p));
	ASSERT_EQ(0, actor_start(&p, false));
	ASSERT_EQ(SIGKILL, actor_kill(&p));
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(2, info.deaths);
	EXPECT_EQ(2, info.doubt_events);

	/* One wait that is granted, and how long it took. */
	ASSERT_EQ(0, actor_start(&p, false));
	ASSERT_WAITS(&p, second, 0, 1, READ, 1);
	nap();
	ASSERT_EQ(1, call_release_all(self->fd));
	ASSERT_EQ(0, actor_result(&p));
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.waits);
	EXPECT_LE(1000000, info.wait_ns);
	EXPECT_EQ(0, info.deadlocks);
	actor_stop(&p);
	close(second);
	list_free(&list);
}

/* Limits are those of LIMITS; root sees those of others too. */
static void find_limits(struct nlmsghdr *header, void *data)
{
	struct nlmsghdr **found = data;

	if (nl_num(header, IPM_NL_A_UID) == STRANGER)
		list_add(header, found[0] ? NULL : (void *)found[1]);
}

TEST_F(netlink, limits)
{
	struct list all = { 0 }, others = { 0 };
	void *find[2] = { NULL, &others };
	struct ipm_limits limits;
	struct nlmsghdr *m;
	int users;

	ASSERT_EQ(0, call_limits(self->dev, &limits));
	ASSERT_LE(1, list_get(&self->nl, IPM_NL_CMD_LIMITS, 0, &all));
	m = all.message[0];
	EXPECT_EQ(0, nl_num(m, IPM_NL_A_UID));
	EXPECT_EQ(limits.segments_max, nl_num(m, IPM_NL_A_SEGMENTS_MAX));
	EXPECT_EQ(limits.segments, nl_num(m, IPM_NL_A_NR_SEGMENTS));
	EXPECT_EQ(limits.handles_max, nl_num(m, IPM_NL_A_HANDLES_MAX));
	EXPECT_EQ(limits.handles, nl_num(m, IPM_NL_A_HANDLES));
	EXPECT_EQ(limits.claims_max, nl_num(m, IPM_NL_A_CLAIMS_MAX));
	EXPECT_EQ(limits.claims, nl_num(m, IPM_NL_A_CLAIMS));
	EXPECT_EQ(limits.bytes_max, nl_num(m, IPM_NL_A_BYTES_MAX));
	EXPECT_EQ(limits.bytes, nl_num(m, IPM_NL_A_BYTES));
	list_free(&all);

	/* A stranger with something sees himself alone; we see him. */
	ASSERT_EQ(0, IN_CHILD({
		struct nl nl;
		int dev;

		CHECK(0, become(STRANGER, STRANGER));
		dev = open_device();
		CHECK(1, make_private(dev, PAGE, 0) >= 0);
		CHECK(0, nl_open(&nl));
		CHECK(1, list_get(&nl, IPM_NL_CMD_LIMITS, 0, &all));
		CHECK(STRANGER, nl_num(all.message[0], IPM_NL_A_UID));
		CHECK(1, nl_num(all.message[0], IPM_NL_A_NR_SEGMENTS));
		CHECK(PAGE, nl_num(all.message[0], IPM_NL_A_BYTES));
		users = nl_dump(&self->nl, IPM_NL_CMD_LIMITS, 0, find_limits, find);
		CHECK(1, users >= 2);
		CHECK(1, others.nr);
		CHECK(1, nl_num(others.message[0], IPM_NL_A_NR_SEGMENTS));
	}));
}

/* --- rights --- */

/* Nobody is shown what he could not open, nor who has what of others. */
TEST_F(netlink, rights)
{
	int open = call_create(self->dev, ref_name("open"), PAGE, PAGE, 0, IPM_READ_WRITE, 0644,
			       NULL);
	int group = call_create(self->dev, ref_name("group"), PAGE, PAGE, 0, IPM_READ_WRITE, 0640,
				NULL);
	struct list list = { 0 };
	uint32_t id = id_of(open);

	ASSERT_FD(open);
	ASSERT_FD(group);
	ASSERT_EQ(0, call_claim(open, 0, 10, WRITE, 0, NULL));
	ASSERT_EQ(0, IN_CHILD({
		struct nl nl;
		struct nl own;
		uint32_t mine;
		int dev;
		int fd;
		int theirs;

		CHECK(0, become(STRANGER, STRANGER));
		CHECK(0, nl_open(&nl));
		CHECK(1, list_get(&nl, IPM_NL_CMD_SEGMENTS, 0, &list));
		CHECK(id, nl_num(list.message[0], IPM_NL_A_SEGMENT));
		CHECK(-EACCES, nl_dump(&nl, IPM_NL_CMD_SEGMENTS, self->id, NULL, NULL));
		CHECK(-EACCES, nl_dump(&nl, IPM_NL_CMD_CLAIMS, id_of(group), NULL, NULL));
		list_free(&list);
		/* What others have: that, but not who. */
		CHECK(1, list_get(&nl, IPM_NL_CMD_HANDLES, 0, &list));
		CHECK(1, nl_has(list.message[0], IPM_NL_A_HIDDEN));
		CHECK(0, nl_has(list.message[0], IPM_NL_A_PID));
		CHECK(0, nl_has(list.message[0], IPM_NL_A_USER));
		CHECK(0, nl_has(list.message[0], IPM_NL_A_COMM));
		list_free(&list);
		CHECK(1, list_get(&nl, IPM_NL_CMD_CLAIMS, 0, &list));
		CHECK(1, nl_has(list.message[0], IPM_NL_A_HIDDEN));
		CHECK(0, nl_has(list.message[0], IPM_NL_A_PID));
		CHECK(0, nl_has(list.message[0], IPM_NL_A_TID));
		CHECK(10, nl_range(list.message[0]).length);
		list_free(&list);
		/* One's own among them. */
		dev = open_device();
		fd = call_open(dev, ref_name("open"), IPM_READ_ONLY);
		CHECK(1, fd >= 0);
		CHECK(0, call_claim(fd, 20, 10, READ, 0, NULL));
		CHECK(2, list_get(&nl, IPM_NL_CMD_CLAIMS, id, &list));
		CHECK(1, nl_has(list.message[0], IPM_NL_A_HIDDEN));
		CHECK(0, nl_has(list.message[1], IPM_NL_A_HIDDEN));
		CHECK(getpid(), nl_num(list.message[1], IPM_NL_A_PID));
		list_free(&list);
		/* A wait for another's claim: not for whose. */
		{
			struct ipm_claim arg = claim_arg(0, 1, READ, IPM_CLAIM_ASYNC);

			CHECK(0, call_claim_arg(fd, &arg));
		}
		CHECK(1, list_get(&nl, IPM_NL_CMD_WAITERS, id, &list));
		CHECK(0, nl_has(list.message[0], IPM_NL_A_HIDDEN));
		CHECK(IPM_NL_BLOCKER_HIDDEN, nl_num(list.message[0], IPM_NL_A_BLOCKER_FLAGS));
		CHECK(0, nl_has(list.message[0], IPM_NL_A_BLOCKER_PID));
		list_free(&list);
		/* The owner of a segment sees who uses it. */
		theirs = call_create(dev, ref_name("theirs"), PAGE, 0, 0, IPM_READ_WRITE, 0666,
				     NULL);
		CHECK(1, theirs >= 0);
		mine = id_of(theirs);
		CHECK(1, call_open(self->dev, ref_name("theirs"), IPM_READ_WRITE) >= 0);
		CHECK(2, list_get(&nl, IPM_NL_CMD_HANDLES, mine, &list));
		CHECK(0, nl_has(list.message[1], IPM_NL_A_HIDDEN));
		CHECK(getpid(), nl_num(list.message[1], IPM_NL_A_PID));
		list_free(&list);
		/* A socket shows what its opener may see, whoever uses it. */
		CHECK(0, nl_dump(&self->nl, IPM_NL_CMD_CLAIMS, self->id, NULL, NULL));
		(void)own;
	}));
	/* And one that a stranger opened shows root no more than him. */
	{
		int pair[2], status;
		struct nl nl = { .room = NL_BUFFER, .buffer = malloc(NL_BUFFER),
				 .family = self->nl.family };

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		status = IN_CHILD({
			struct nl mine;

			CHECK(0, become(STRANGER, STRANGER));
			CHECK(0, nl_open(&mine));
			CHECK(0, send_fd(pair[1], mine.fd));
		});
		ASSERT_EQ(0, status);
		nl.fd = receive_fd(pair[0]);
		ASSERT_FD(nl.fd);
		nl.seq = 1000;
		EXPECT_EQ(-EACCES, nl_dump(&nl, IPM_NL_CMD_SEGMENTS, self->id, NULL, NULL));
		EXPECT_EQ(1, nl_dump(&nl, IPM_NL_CMD_SEGMENTS, 0, NULL, NULL));
		nl_close(&nl);
		close(pair[0]);
		close(pair[1]);
	}
	close(open);
	close(group);
}

/* Who has root in a user namespace of his own sees no more of the network outside it. */
TEST_F(netlink, user_namespace)
{
	struct list list = { 0 };
	int open = call_create(self->dev, ref_name("open"), PAGE, PAGE, 0, IPM_READ_WRITE, 0644,
			       NULL);

	ASSERT_FD(open);
	if (IN_CHILD({ become(STRANGER, STRANGER); _exit(unshare(CLONE_NEWUSER) ? 1 : 0); }))
		SKIP(return, "no user namespaces here");
	ASSERT_EQ(0, IN_CHILD({
		struct nl nl;

		CHECK(0, become(STRANGER, STRANGER));
		prctl(PR_SET_DUMPABLE, 1);
		CHECK(0, unshare(CLONE_NEWUSER));
		CHECK(0, write_text("/proc/self/setgroups", "deny"));
		CHECK(0, write_text("/proc/self/uid_map", "0 1000 1"));
		CHECK(0, nl_open(&nl));
		CHECK(1, list_get(&nl, IPM_NL_CMD_HANDLES, 0, &list));
		CHECK(1, nl_has(list.message[0], IPM_NL_A_HIDDEN));
		list_free(&list);
		CHECK(1, list_get(&nl, IPM_NL_CMD_SEGMENTS, 0, &list));
		/* The owner is nobody that it knows. */
		CHECK(65534, nl_num(list.message[0], IPM_NL_A_UID));
		list_free(&list);
		CHECK(1, nl_dump(&nl, IPM_NL_CMD_LIMITS, 0, NULL, NULL));
		/* In a network of its own it is the master. */
		CHECK(0, unshare(CLONE_NEWNET));
		CHECK(0, nl_open(&nl));
		CHECK(0, nl_dump(&nl, IPM_NL_CMD_SEGMENTS, 0, NULL, NULL));
		CHECK(1, make_private(open_device(), PAGE, 0) >= 0);
		CHECK(1, list_get(&nl, IPM_NL_CMD_HANDLES, 0, &list));
		CHECK(0, nl_num(list.message[0], IPM_NL_A_USER));
		CHECK(getpid(), nl_num(list.message[0], IPM_NL_A_PID));
	}));
	close(open);
}

/* Process ids are those of the reader's pid namespace. */
TEST_F(netlink, pid_namespace)
{
	ASSERT_EQ(0, call_claim(self->fd, 0, 1, WRITE, 0, NULL));
	ASSERT_EQ(0, IN_CHILD({
		int status;
		pid_t pid;

		CHECK(0, unshare(CLONE_NEWPID));
		pid = fork();
		if (!pid) {
			struct list list = { 0 };
			struct nl nl;

			CHECK(0, nl_open(&nl));
			CHECK(1, list_get(&nl, IPM_NL_CMD_CLAIMS, self->id, &list));
			CHECK(0, nl_num(list.message[0], IPM_NL_A_PID));
			CHECK(0, nl_num(list.message[0], IPM_NL_A_TID));
			CHECK(0, nl_has(list.message[0], IPM_NL_A_COMM));
			list_free(&list);
			CHECK(0, call_claim(self->fd, 10, 1, WRITE, 0, NULL));
			CHECK(2, list_get(&nl, IPM_NL_CMD_CLAIMS, self->id, &list));
			CHECK(1, nl_num(list.message[1], IPM_NL_A_PID));
			_exit(0);
		}
		CHECK(pid, waitpid(pid, &status, 0));
		CHECK(0, status);
	}));
}

/* --- lists that are long, or change --- */

static void count_ids(struct nlmsghdr *header, void *data)
{
	uint64_t id = nl_num(header, IPM_NL_A_CLAIM);
	unsigned char *seen = data;

	if (id < 200000 && seen[id] < 255)
		seen[id]++;
}

/* Claims of the long test, unless IPM_MANY says how many. */
#define MANY "100000"

/*
 * Handles and claims of a dead process keep its number. Another that has the same one
 * now is not taken for it: its name is not told there.
 */
TEST_F(netlink, number_of_a_dead_process)
{
	struct list list = { 0 };
	int pipes[2][2], status, fd;
	pid_t dead, next;
	uint64_t id;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pipe2(pipes[i], O_CLOEXEC));
	/* It shares the table of files, which is not closed when it dies. */
	dead = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	ASSERT_LE(0, dead);
	if (!dead) {
		prctl(PR_SET_NAME, "dead");
		fd = call_reopen(self->fd, IPM_READ_WRITE);
		CHECK(1, fd >= 0);
		CHECK(0, call_claim(fd, 0, 10, WRITE, 0, NULL));
		CHECK(sizeof(fd), write(pipes[0][1], &fd, sizeof(fd)));
		syscall(SYS_exit_group, 0);
	}
	ASSERT_EQ(dead, waitpid(dead, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(sizeof(fd), read(pipes[0][0], &fd, sizeof(fd)));
	next = fork_with_pid(dead);
	if (next < 0) {
		close(fd);
		SKIP(return, "a process with a number of one's choice: %s", strerror(errno));
	}
	if (!next) {
		int own = call_reopen(self->fd, IPM_READ_WRITE);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "living");
		CHECK(dead, getpid());
		CHECK(0, call_claim(own, 100, 10, WRITE, 0, NULL));
		CHECK(0, call_claim(own, 0, 1, READ, IPM_CLAIM_ASYNC, &id));
		CHECK(1, write(pipes[0][1], "", 1));
		close(pipes[1][1]);
		CHECK(0, read(pipes[1][0], &status, 1));
		_exit(0);
	}
	ASSERT_EQ(1, read(pipes[0][0], &status, 1));

	ASSERT_LIST(IPM_NL_CMD_HANDLES, 3);
	EXPECT_EQ((uint64_t)dead, nl_num(list.message[1], IPM_NL_A_PID));
	EXPECT_EQ(false, nl_has(list.message[1], IPM_NL_A_COMM));
	EXPECT_EQ((uint64_t)dead, nl_num(list.message[2], IPM_NL_A_PID));
	EXPECT_STREQ("living", nl_text(list.message[2], IPM_NL_A_COMM));
	ASSERT_LIST(IPM_NL_CMD_CLAIMS, 2);
	EXPECT_EQ(0, nl_range(list.message[0]).offset);
	EXPECT_EQ((uint64_t)dead, nl_num(list.message[0], IPM_NL_A_PID));
	EXPECT_EQ((uint64_t)dead, nl_num(list.message[0], IPM_NL_A_TID));
	EXPECT_EQ(false, nl_has(list.message[0], IPM_NL_A_COMM));
	EXPECT_STREQ("living", nl_text(list.message[1], IPM_NL_A_COMM));
	ASSERT_LIST(IPM_NL_CMD_WAITERS, 1);
	EXPECT_STREQ("living", nl_text(list.message[0], IPM_NL_A_COMM));
	EXPECT_EQ((uint64_t)dead, nl_num(list.message[0], IPM_NL_A_BLOCKER_PID));

	/* What it leaves is its own; the other's is still held. */
	close(pipes[1][1]);
	ASSERT_EQ(next, waitpid(next, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_LIST(IPM_NL_CMD_CLAIMS, 1);
	EXPECT_EQ(0, nl_range(list.message[0]).offset);
	ASSERT_LIST(IPM_NL_CMD_DOUBTS, 1);
	EXPECT_EQ(100, nl_num(list.message[0], IPM_NL_A_OFFSET));
	EXPECT_EQ((uint64_t)dead, nl_num(list.message[0], IPM_NL_A_PID));
	EXPECT_EQ(false, nl_has(list.message[0], IPM_NL_A_COMM));
	list_free(&list);
	close(fd);
	close(pipes[0][0]);
	close(pipes[0][1]);
	close(pipes[1][0]);
}

/* Many claims are all told, each once, and a read has many of them. */
TEST_F_TIMEOUT(netlink, many_claims, 400)
{
	int many = atoi(getenv("IPM_MANY") ?: MANY);
	unsigned char *seen = calloc(1, 200000);
	unsigned int reads[2];
	uint64_t id;
	int n = 0;

	for (int part = 0; part < 2; part++) {
		int until = part ? many : many / 10;
		int64_t start;

		for (; n < until; n++) {
			ASSERT_EQ(0, call_claim(self->fd, n * 100UL, 50, n % 2, 0, &id));
			ASSERT_LT(id, 200000);
		}
		memset(seen, 0, 200000);
		start = now_ns(CLOCK_MONOTONIC);
		ASSERT_EQ(until, nl_dump(&self->nl, IPM_NL_CMD_CLAIMS, self->id, count_ids, seen));
		note("%d claims in %lld us, %u reads", until,
		     (long long)(now_ns(CLOCK_MONOTONIC) - start) / 1000, self->nl.reads);
		EXPECT_EQ(false, self->nl.interrupted);
		for (int i = 1; i <= until; i++)
			ASSERT_EQ(1, seen[i]);
		reads[part] = self->nl.reads;
	}
	/* Ten times as many in ten times the reads, and a few. */
	EXPECT_LE(reads[1], 11 * reads[0]);
	ASSERT_EQ(many, call_release_all(self->fd));
	free(seen);
}

/* The end of one segment's claims is not that of the next one's. */
TEST_F(netlink, claims_of_two_segments)
{
	unsigned char *seen = calloc(1, 200000);
	int other = call_create(self->dev, ref_none(), PAGE, CAPACITY, 0, IPM_READ_WRITE, 0600,
				NULL);

	ASSERT_FD(other);
	ASSERT_EQ(0, call_claim(self->fd, 0, 50, READ, 0, NULL));
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(0, call_claim(other, i * 10, 5, READ, 0, NULL));
	EXPECT_EQ(101, nl_dump(&self->nl, IPM_NL_CMD_CLAIMS, 0, count_ids, seen));
	EXPECT_EQ(false, self->nl.interrupted);
	ASSERT_EQ(1, call_release_all(self->fd));
	close(other);
	free(seen);
}

/* A list that is half read goes on behind what was removed meanwhile. */
TEST_F(netlink, removed_under_way)
{
	struct request r = request_new(self->nl.family, NLM_F_DUMP, IPM_NL_CMD_CLAIMS,
				       IPM_NL_VERSION);
	unsigned char *seen = calloc(1, 200000);
	int handles[10], kept = 0;
	ssize_t size, left;
	uint64_t last = 0;
	uint64_t ids[10][400];

	for (int h = 0; h < 10; h++) {
		handles[h] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(handles[h]);
		for (int i = 0; i < 400; i++)
			ASSERT_EQ(0, call_claim(handles[h], (h * 400UL + i) * 10, 5, WRITE, 0,
						&ids[h][i]));
	}
	request_u32(&r, IPM_NL_A_SEGMENT, self->id);
	ASSERT_EQ(0, nl_send(&self->nl, &r));
	size = nl_read(&self->nl, 0);
	ASSERT_LT(0, size);
	left = size;
	for (struct nlmsghdr *m = (void *)self->nl.buffer; NLMSG_OK(m, left);
	     m = NLMSG_NEXT(m, left)) {
		count_ids(m, seen);
		last = nl_num(m, IPM_NL_A_CLAIM);
	}
	ASSERT_GT(ids[5][0], last) {
		note("the first read has too much");
	}
	/* All of the first six handles, where it stands too. */
	for (int h = 0; h < 6; h++)
		ASSERT_EQ(0, close(handles[h]));
	ASSERT_LT(0, nl_answers(&self->nl, count_ids, seen, false));
	EXPECT_EQ(true, self->nl.interrupted);
	for (int h = 6; h < 10; h++) {
		for (int i = 0; i < 400; i++)
			kept += seen[ids[h][i]] == 1;
	}
	EXPECT_EQ(1600, kept);
	for (int i = 0; i < 200000; i++)
		ASSERT_LE(seen[i], 1);
	for (int h = 6; h < 10; h++)
		close(handles[h]);
	free(seen);
	/* Asked again nothing has changed. */
	ASSERT_EQ(0, nl_dump(&self->nl, IPM_NL_CMD_CLAIMS, self->id, NULL, NULL));
	EXPECT_EQ(false, self->nl.interrupted);
}

/* A segment that ends while its list is read; a dump that nobody reads to its end. */
TEST_F(netlink, ended_under_way)
{
	struct request r = request_new(self->nl.family, NLM_F_DUMP, IPM_NL_CMD_CLAIMS,
				       IPM_NL_VERSION);
	int fd = make_private(self->dev, PAGE, CAPACITY);
	uint32_t id = id_of(fd);
	struct nl other;

	for (int i = 0; i < 2000; i++)
		ASSERT_EQ(0, call_claim(fd, i * 10, 5, READ, 0, NULL));
	ASSERT_EQ(0, nl_open(&other));
	request_u32(&r, IPM_NL_A_SEGMENT, id);
	ASSERT_EQ(0, nl_send(&self->nl, &r));
	ASSERT_EQ(0, nl_send(&other, &r));
	ASSERT_LT(0, nl_read(&self->nl, 0));
	close(fd);
	ASSERT_LE(0, nl_answers(&self->nl, NULL, NULL, false));
	EXPECT_EQ(true, self->nl.interrupted);
	EXPECT_EQ(-ENOENT, nl_dump(&self->nl, IPM_NL_CMD_CLAIMS, id, NULL, NULL));
	nl_close(&other);
}

static void check_order(struct nlmsghdr *header, void *data)
{
	uint64_t *state = data, id = nl_num(header, IPM_NL_A_SEGMENT);
	const char *name = nl_text(header, IPM_NL_A_NAME);

	if (id <= state[0])
		state[1]++;
	state[0] = id;
	if (!strncmp(name, "stays-", 6))
		state[2]++;
}

/* Segments come and go in several processes: those that stay are in every list, once. */
TEST_F_TIMEOUT(netlink, changing, 200)
{
	const int stays = 60, dumps = 100;
	int fds[60], flagged = 0, made = 0;
	pid_t pids[3];
	char name[32];

	for (int i = 0; i < stays; i++) {
		snprintf(name, sizeof(name), "stays-%d", i);
		fds[i] = make_named(self->dev, name, PAGE, 0);
		ASSERT_FD(fds[i]);
	}
	for (int p = 0; p < 3; p++) {
		pids[p] = fork();
		if (!pids[p]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (unsigned int i = 0;; i++) {
				char mine[32];
				int fd;

				snprintf(mine, sizeof(mine), "goes-%d-%u", p, i % 7);
				fd = make_named(self->dev, mine, PAGE, CAPACITY);
				if (fd < 0 || call_claim(fd, 0, 1, WRITE, 0, NULL))
					_exit(1);
				if (i % 2)
					call_remove(fd, ref_none());
				close(fd);
			}
		}
	}
	/* And on, if the others hardly ran meanwhile. */
	for (int i = 0; i < dumps || (!flagged && i < 100 * dumps); i++, made++) {
		uint64_t state[3] = { 0, 0, 0 };

		ASSERT_LT(stays, nl_dump(&self->nl, IPM_NL_CMD_SEGMENTS, 0, check_order, state));
		ASSERT_EQ(0, state[1]);
		ASSERT_EQ((uint64_t)stays, state[2]);
		flagged += self->nl.interrupted;
		ASSERT_LE(0, nl_dump(&self->nl, IPM_NL_CMD_HANDLES, 0, NULL, NULL));
		ASSERT_LE(0, nl_dump(&self->nl, IPM_NL_CMD_CLAIMS, 0, NULL, NULL));
	}
	for (int p = 0; p < 3; p++) {
		int status;

		kill(pids[p], SIGKILL);
		waitpid(pids[p], &status, 0);
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	}
	note("%d of %d lists changed while they were made", flagged, made);
	EXPECT_LT(0, flagged);
	for (int i = 0; i < stays; i++)
		close(fds[i]);
	ASSERT_EQ(1, nl_dump(&self->nl, IPM_NL_CMD_SEGMENTS, 0, NULL, NULL));
	EXPECT_EQ(false, self->nl.interrupted);
}

/* A reader whose buffer is too small loses that, is told so, and may go on. */
TEST_F(netlink, small_buffer)
{
	struct ipm_range ranges[IPM_CLAIM_RANGES_MAX];
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	struct list list = { 0 };
	size_t size = 0;
	int ret, cut = 0;

	for (int i = 0; i < IPM_CLAIM_RANGES_MAX; i++)
		ranges[i] = (struct ipm_range) { .offset = i * 10, .length = 5, .mode = READ };
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = IPM_CLAIM_RANGES_MAX;
	for (int i = 0; i < 20; i++)
		ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
	self->nl.room = 500;
	ret = nl_dump(&self->nl, IPM_NL_CMD_CLAIMS, self->id, NULL, NULL);
	EXPECT_EQ(-EMSGSIZE, ret);
	/* The rest of it is still to come. */
	while (cut < 100 && (ret = nl_answers(&self->nl, NULL, NULL, false)) == -EMSGSIZE)
		cut++;
	EXPECT_LE(0, ret);
	EXPECT_LT(0, cut);
	self->nl.room = NL_BUFFER;
	/* The largest claim there can be is one message. */
	ASSERT_EQ(20, list_get(&self->nl, IPM_NL_CMD_CLAIMS, self->id, &list));
	nl_attr(list.message[19], IPM_NL_A_RANGES, &size);
	EXPECT_EQ(sizeof(ranges), size);
	list_free(&list);
}

/* The largest claim and wait there can be, in the first list that a socket asks for. */
TEST_F(netlink, large_first)
{
	struct ipm_range ranges[IPM_CLAIM_RANGES_MAX];
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	int other = call_reopen(self->fd, IPM_READ_WRITE);
	static const uint8_t commands[] = { IPM_NL_CMD_CLAIMS, IPM_NL_CMD_WAITERS };

	ASSERT_FD(other);
	for (int i = 0; i < IPM_CLAIM_RANGES_MAX; i++)
		ranges[i] = (struct ipm_range) { .offset = i * 10, .length = 5, .mode = WRITE };
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = IPM_CLAIM_RANGES_MAX;
	ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
	arg.flags = IPM_CLAIM_ASYNC;
	ASSERT_EQ(0, call_claim_arg(other, &arg));
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		struct nl nl;

		/* It has read no more than the answer that names the family. */
		ASSERT_EQ(0, nl_open_room(&nl, 2048));
		nl.room = NL_BUFFER;
		EXPECT_EQ(1, nl_dump(&nl, commands[i], self->id, NULL, NULL));
		nl_close(&nl);
	}
	close(other);
}

/* --- events --- */

/* The next event of a socket, which is to come soon; NULL if it does not. */
struct hearer {
	struct nl nl;
	struct nlmsghdr *next;
	ssize_t left;
	uint64_t seq;
};

static struct nlmsghdr *hear(struct hearer *h, int ms)
{
	struct nlmsghdr *m;

	if (!h->left) {
		struct pollfd p = { .fd = h->nl.fd, .events = POLLIN };

		if (poll(&p, 1, ms) != 1)
			return NULL;
		h->left = nl_read(&h->nl, 0);
		if (h->left < 0) {
			note("reading events: %zd", h->left);
			h->left = 0;
			return NULL;
		}
		h->next = (struct nlmsghdr *)h->nl.buffer;
	}
	if (!NLMSG_OK(h->next, h->left)) {
		note("%zd bytes that are no message", h->left);
		return NULL;
	}
	m = h->next;
	h->next = NLMSG_NEXT(m, h->left);
	h->seq++;
	if (m->nlmsg_type != h->nl.family || nl_num(m, IPM_NL_A_SEQ) != h->seq) {
		note("type %u, number %llu, expected %llu", m->nlmsg_type,
		     (unsigned long long)nl_num(m, IPM_NL_A_SEQ), (unsigned long long)h->seq);
		return NULL;
	}
	return m;
}

/* The next event is of this type and segment. */
#define ASSERT_EVENT(h, event_, segment_)                                                 \
	({                                                                                \
		struct nlmsghdr *event_m = hear(h, PATIENCE_MS);                          \
		ASSERT_NE(NULL, event_m);                                                 \
		ASSERT_EQ(event_, nl_num(event_m, IPM_NL_A_EVENT));                       \
		ASSERT_EQ(segment_, nl_num(event_m, IPM_NL_A_SEGMENT));                   \
		event_m;                                                                  \
	})

#define ASSERT_HEARS(h, groups, segment)                                                  \
	do {                                                                              \
		memset(h, 0, sizeof(*(h)));                                               \
		ASSERT_EQ(0, nl_open(&(h)->nl));                                          \
		ASSERT_EQ(0, nl_subscribe(&(h)->nl, groups, segment));                    \
	} while (0)

/* Nothing is to be heard: what comes next is what this test makes happen. */
#define ASSERT_SILENCE(h)                                                                 \
	do {                                                                              \
		int silence_fd = make_private(self->dev, PAGE, 0);                        \
		uint32_t silence_id = id_of(silence_fd);                                  \
		ASSERT_EVENT(h, IPM_NL_EVENT_CREATED, silence_id);                        \
		close(silence_fd);                                                        \
		ASSERT_EVENT(h, IPM_NL_EVENT_GONE, silence_id);                           \
	} while (0)

/* The life of a segment. */
TEST_F(netlink, life)
{
	struct nlmsghdr *m;
	struct hearer h;
	char comm[17] = "";
	uint32_t id;
	int fd;

	prctl(PR_GET_NAME, comm);
	ASSERT_HEARS(&h, IPM_NL_GROUP_LIFE, 0);
	fd = call_create(self->dev, ref_none(), PAGE, 2 * PAGE, 0, IPM_READ_WRITE, 0600, NULL);
	ASSERT_FD(fd);
	id = id_of(fd);
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_CREATED, id);
	EXPECT_EQ(PAGE, nl_num(m, IPM_NL_A_SIZE));
	EXPECT_EQ(2 * PAGE, nl_num(m, IPM_NL_A_CAPACITY));
	EXPECT_EQ(0600, nl_num(m, IPM_NL_A_MODE));
	EXPECT_EQ(0, nl_num(m, IPM_NL_A_UID));
	EXPECT_EQ((uint64_t)getpid(), nl_num(m, IPM_NL_A_PID));
	EXPECT_EQ((uint64_t)gettid(), nl_num(m, IPM_NL_A_TID));
	EXPECT_STREQ(comm, nl_text(m, IPM_NL_A_COMM));
	EXPECT_EQ(false, nl_has(m, IPM_NL_A_NAME));
	ASSERT_EQ(0, call_link(fd, ref_name("linked")));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_LINKED, id);
	EXPECT_STREQ("linked", nl_text(m, IPM_NL_A_NAME));
	ASSERT_EQ(0, call_grow(fd, 2 * PAGE, 0));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_GROWN, id);
	EXPECT_EQ(2 * PAGE, nl_num(m, IPM_NL_A_SIZE));
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE | IPM_SET_UID, 0640, STRANGER, 0, 0));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_SET, id);
	EXPECT_EQ(0640, nl_num(m, IPM_NL_A_MODE));
	EXPECT_EQ(STRANGER, nl_num(m, IPM_NL_A_UID));
	EXPECT_EQ(0, nl_num(m, IPM_NL_A_USER));
	/* What fails is no event. */
	ASSERT_EQ(-EFBIG, call_grow(fd, 3 * PAGE, 0));
	ASSERT_EQ(-EEXIST, call_create(self->dev, ref_name("linked"), PAGE, 0, IPM_CREATE_EXCLUSIVE,
				       IPM_READ_WRITE, 0600, NULL));
	ASSERT_EQ(0, call_remove(fd, ref_none()));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_REMOVED, id);
	EXPECT_STREQ("linked", nl_text(m, IPM_NL_A_NAME));
	close(fd);
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_GONE, id);
	EXPECT_STREQ("linked", nl_text(m, IPM_NL_A_NAME));

	/* Unsubscribed, and subscribed to another segment. */
	ASSERT_EQ(0, nl_subscribe(&h.nl, 0, 0));
	close(make_private(self->dev, PAGE, 0));
	ASSERT_EQ(0, nl_subscribe(&h.nl, IPM_NL_GROUP_LIFE, self->id));
	h.seq = 0;
	close(make_private(self->dev, PAGE, 0));
	ASSERT_EQ(0, call_grow(self->fd, 2 * PAGE, 0));
	ASSERT_EVENT(&h, IPM_NL_EVENT_GROWN, self->id);
	nl_close(&h.nl);
}

/* Waits that take long, deadlocks and doubt. */
TEST_F(netlink, claims_events)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE);
	struct ipm_claim arg;
	struct nlmsghdr *m;
	struct actor p;
	struct hearer h;
	uint64_t id, handle;

	ASSERT_FD(other);
	ASSERT_EQ(0, write_text(PARAMETERS "wait_event_ms", "20"));
	ASSERT_EQ(0, actor_start(&p, false));
	ASSERT_HEARS(&h, IPM_NL_GROUP_CLAIMS, 0);
	ASSERT_EQ(0, call_claim(self->fd, 100, 50, WRITE, 0, &id));
	/* It is told while it waits, and when it ends. */
	ASSERT_WAITS(&p, other, 120, 5, READ, 1);
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_WAIT, self->id);
	EXPECT_EQ(120, nl_range(m).offset);
	EXPECT_EQ(5, nl_range(m).length);
	EXPECT_EQ(READ, nl_range(m).mode);
	EXPECT_EQ(1, nl_num(m, IPM_NL_A_COUNT));
	EXPECT_EQ((uint64_t)p.pid, nl_num(m, IPM_NL_A_PID));
	EXPECT_LE(20000000, nl_num(m, IPM_NL_A_AGE));
	EXPECT_EQ(0, nl_num(m, IPM_NL_A_FLAGS));
	handle = nl_num(m, IPM_NL_A_HANDLE);
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_EQ(0, actor_result(&p));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_WAIT_END, self->id);
	EXPECT_EQ(0, nl_num(m, IPM_NL_A_ERROR));
	EXPECT_EQ(p.order->claim.id, nl_num(m, IPM_NL_A_CLAIM));
	EXPECT_EQ(handle, nl_num(m, IPM_NL_A_HANDLE));
	EXPECT_LE(20000000, nl_num(m, IPM_NL_A_AGE));
	ASSERT_EQ(0, actor_release(&p, other, p.order->claim.id));

	/* An asynchronous one, with a deadline that comes after. */
	ASSERT_EQ(0, call_claim(self->fd, 100, 50, WRITE, 0, &id));
	arg = claim_arg(100, 1, WRITE, IPM_CLAIM_ASYNC | IPM_CLAIM_DEADLINE);
	arg.deadline = in_ms(1000);
	ASSERT_EQ(0, call_claim_arg(other, &arg));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_WAIT, self->id);
	EXPECT_EQ(IPM_NL_WAIT_ASYNC, nl_num(m, IPM_NL_A_FLAGS));
	EXPECT_EQ(arg.id, nl_num(m, IPM_NL_A_CLAIM));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_WAIT_END, self->id);
	EXPECT_EQ(ETIMEDOUT, nl_num(m, IPM_NL_A_ERROR));
	ASSERT_EQ(-ETIMEDOUT, call_collect(other, arg.id, NULL));
	/* One without a deadline, which is cancelled. */
	arg = claim_arg(100, 1, WRITE, IPM_CLAIM_ASYNC);
	ASSERT_EQ(0, call_claim_arg(other, &arg));
	ASSERT_EVENT(&h, IPM_NL_EVENT_WAIT, self->id);
	ASSERT_EQ(0, call_release(other, arg.id));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_WAIT_END, self->id);
	EXPECT_EQ(ECANCELED, nl_num(m, IPM_NL_A_ERROR));

	/* A deadlock with one's own other handle. */
	ASSERT_EQ(-EDEADLK, call_claim(other, 100, 1, WRITE, 0, NULL));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_DEADLOCK, self->id);
	EXPECT_EQ((uint64_t)getpid(), nl_num(m, IPM_NL_A_PID));
	EXPECT_EQ(100, nl_range(m).offset);
	EXPECT_EQ(EDEADLK, nl_num(m, IPM_NL_A_ERROR));
	ASSERT_EQ(0, call_release(self->fd, id));

	/* Bytes in doubt that somebody gets. */
	ASSERT_EQ(0, actor_claim(&p, other, 0, 10, WRITE, 0, NULL));
	ASSERT_EQ(SIGKILL, actor_kill(&p));
	ASSERT_EQ(0, call_claim(self->fd, 0, 5, READ, 0, &id));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_DOUBT, self->id);
	EXPECT_EQ(id, nl_num(m, IPM_NL_A_CLAIM));
	EXPECT_EQ((uint64_t)getpid(), nl_num(m, IPM_NL_A_PID));
	nl_close(&h.nl);
	close(other);
}

/* Deaths, of claims and of slots. */
TEST_F(netlink, deaths_events)
{
	struct nlmsghdr *m;
	struct hearer h;
	struct actor p;
	uint32_t slot;
	pid_t pid;

	ASSERT_HEARS(&h, IPM_NL_GROUP_DEATHS, 0);
	ASSERT_EQ(0, actor_start(&p, false));
	pid = p.pid;
	ASSERT_EQ(0, actor_claim(&p, self->fd, 0, 10, WRITE, 0, NULL));
	ASSERT_EQ(0, actor_claim(&p, self->fd, 50, 10, READ, 0, NULL));
	p.order->fd = self->fd;
	p.order->request = IPM_IOC_SLOT;
	memcpy(p.order->bytes, &(struct ipm_slot) { .flags = 0 }, sizeof(struct ipm_slot));
	ASSERT_EQ(0, actor_do(&p, run_ioctl));
	slot = ((struct ipm_slot *)p.order->bytes)->slot;
	ASSERT_EQ(SIGKILL, actor_kill(&p));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_DEATH, self->id);
	EXPECT_EQ((uint64_t)pid, nl_num(m, IPM_NL_A_PID));
	EXPECT_EQ(2, nl_num(m, IPM_NL_A_COUNT));
	EXPECT_EQ(1, nl_num(m, IPM_NL_A_DOUBTS));
	m = ASSERT_EVENT(&h, IPM_NL_EVENT_SLOT_DEATH, self->id);
	EXPECT_EQ((uint64_t)pid, nl_num(m, IPM_NL_A_PID));
	EXPECT_EQ(slot, nl_num(m, IPM_NL_A_SLOT));
	nl_close(&h.nl);
}

/* Events of others: those that one could open, without who it was. */
TEST_F(netlink, events_rights)
{
	struct hearer h, stranger;
	int pair[2], fd, secret;
	uint32_t id, secret_id;
	struct nlmsghdr *m;

	/* The socket of a stranger, who subscribes and hands it to us to look at. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, IN_CHILD({
		struct nl mine;

		CHECK(0, become(STRANGER, STRANGER));
		CHECK(0, nl_open(&mine));
		CHECK(0, nl_subscribe(&mine, IPM_NL_GROUP_LIFE, 0));
		CHECK(0, send_fd(pair[1], mine.fd));
	}));
	memset(&stranger, 0, sizeof(stranger));
	stranger.nl = (struct nl) { .room = NL_BUFFER, .buffer = malloc(NL_BUFFER),
				    .family = self->nl.family, .fd = receive_fd(pair[0]) };
	ASSERT_FD(stranger.nl.fd);
	ASSERT_HEARS(&h, IPM_NL_GROUP_LIFE, 0);
	secret = make_private(self->dev, PAGE, 0);
	secret_id = id_of(secret);
	fd = call_create(self->dev, ref_name("open"), PAGE, 0, 0, IPM_READ_WRITE, 0644, NULL);
	id = id_of(fd);
	ASSERT_EVENT(&h, IPM_NL_EVENT_CREATED, secret_id);
	ASSERT_EVENT(&h, IPM_NL_EVENT_CREATED, id);
	m = ASSERT_EVENT(&stranger, IPM_NL_EVENT_CREATED, id);
	EXPECT_EQ(true, nl_has(m, IPM_NL_A_HIDDEN));
	EXPECT_EQ(false, nl_has(m, IPM_NL_A_PID));
	EXPECT_EQ(false, nl_has(m, IPM_NL_A_USER));
	EXPECT_EQ(false, nl_has(m, IPM_NL_A_COMM));
	/* Once it is closed to him he hears nothing. */
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0600, 0, 0, 0));
	ASSERT_EVENT(&h, IPM_NL_EVENT_SET, id);
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0604, 0, 0, 0));
	ASSERT_EVENT(&h, IPM_NL_EVENT_SET, id);
	m = ASSERT_EVENT(&stranger, IPM_NL_EVENT_SET, id);
	EXPECT_EQ(0604, nl_num(m, IPM_NL_A_MODE));
	close(fd);
	close(secret);
	ASSERT_EVENT(&stranger, IPM_NL_EVENT_GONE, id);
	/* Other namespaces are not heard of. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, unshare(CLONE_NEWNET));
		CHECK(1, make_private(open_device(), PAGE, 0) >= 0);
	}));
	ASSERT_EVENT(&h, IPM_NL_EVENT_GONE, id);
	ASSERT_EVENT(&h, IPM_NL_EVENT_GONE, secret_id);
	ASSERT_SILENCE(&h);
	nl_close(&h.nl);
	nl_close(&stranger.nl);
	close(pair[0]);
	close(pair[1]);
}

/* Who does not read loses events, is told so, and can count them. */
TEST_F(netlink, overrun)
{
	const uint64_t events = 5000;
	struct pollfd p = { 0 };
	struct hearer h;
	uint64_t seen = 0, last = 0, told = 0;
	int small = 4096;
	ssize_t size;
	bool overrun = false;

	ASSERT_HEARS(&h, IPM_NL_GROUP_LIFE, 0);
	ASSERT_EQ(0, setsockopt(h.nl.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	/* The operations are none the worse for it. */
	for (uint64_t i = 0; i < events; i++)
		ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0));
	/* They may all be told of late, and must not be read as fast as that. */
	p.fd = h.nl.fd;
	ASSERT_TRUE(wait_until(poll(&p, 1, 0) == 1 && p.revents & POLLERR));
	/* How many there were; asked until the last of them was counted. */
	for (;;) {
		struct request r = request_new(h.nl.family, 0, IPM_NL_CMD_SUBSCRIBE,
					       IPM_NL_VERSION);

		while ((size = nl_read(&h.nl, MSG_DONTWAIT)) != -EAGAIN) {
			struct nlmsghdr *m = (struct nlmsghdr *)h.nl.buffer;

			if (size == -ENOBUFS) {
				overrun = true;
				continue;
			}
			ASSERT_LT(0, size);
			for (; NLMSG_OK(m, size); m = NLMSG_NEXT(m, size)) {
				uint64_t seq = nl_num(m, IPM_NL_A_SEQ);
				struct genlmsghdr *genl = NLMSG_DATA(m);

				if (genl->cmd == IPM_NL_CMD_SUBSCRIBE) {
					ASSERT_LE(last, seq);
					told = seq;
				} else {
					ASSERT_LT(last, seq);
					last = seq;
					seen++;
				}
			}
		}
		if (told == events)
			break;
		nap();
		ASSERT_EQ(0, nl_send(&h.nl, &r));
	}
	EXPECT_EQ(true, overrun);
	EXPECT_LT(0, seen);
	EXPECT_LT(seen, events);
	note("%llu of %llu events did not fit", (unsigned long long)(events - seen),
	     (unsigned long long)events);
	nl_close(&h.nl);
}

/* A user may have so many listeners, and they go with their sockets. */
TEST_F(netlink, many_listeners)
{
	struct nl nl[130];
	int most = 0;

	for (int round = 0; round < 3; round++) {
		int n = 0;

		for (; n < 130; n++) {
			int64_t ret;

			ASSERT_EQ(0, nl_open(&nl[n]));
			/* While one of those before is being told something it stays. */
			wait_until((ret = nl_subscribe(&nl[n], IPM_NL_GROUP_LIFE, 0)) != -ENOSPC ||
				   n == 128);
			if (ret == -ENOSPC)
				break;
		}
		ASSERT_EQ(128, n);
		/* Others have their own. */
		if (!round)
			ASSERT_EQ(0, IN_CHILD({
				struct nl mine;

				CHECK(0, become(STRANGER, STRANGER));
				CHECK(0, nl_open(&mine));
				CHECK(0, nl_subscribe(&mine, IPM_NL_GROUP_LIFE, 0));
			}));
		/* A second subscription of the same socket is no second listener. */
		ASSERT_EQ(0, nl_subscribe(&nl[0], IPM_NL_GROUP_DEATHS, 0));
		close(make_private(self->dev, PAGE, 0));
		for (int i = 0; i <= n; i++)
			nl_close(&nl[i]);
		most = n;
	}
	EXPECT_EQ(128, most);
}

TEST_HARNESS_MAIN
