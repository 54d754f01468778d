// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing of what was in memory before is in what the module hands out: results of
 * ioctls, events, ranges in doubt, messages of netlink and their attributes. What has
 * no meaning is zero, and nowhere is a run of the bytes that stale memory is full of.
 *
 * So that it is full of them: the slab allocator poisons what is freed (slub_debug=P,
 * which also keeps it from clearing what it gives out), and before each call this
 * program has the kernel copy a pattern of its own to its heap and its stack, and give
 * it up. Kernels that clear the variables of functions hide what those leave behind;
 * then a module whose compiler fills them shows it:
 *
 *	MODULE_SUFFIX=-pattern MODULE_MAKEFLAGS=KCFLAGS=-ftrivial-auto-var-init=pattern \
 *		tests/vm/run-kselftests build/tests/kselftest/stale
 *
 * One CPU: what is freed is what is given out next.
 *
 * vm: SMP=1 APPEND=slub_debug=P TIMEOUT=600
 */
#include "netlink_test.h"

#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define NAME		"stale"
#define SIZE		(2 * PAGE)
#define CAPACITY	(16 * PAGE)
#define STRANGER	4301
#define SPRAY		0xa7

/* So many equal bytes are no accident. */
#define RUN		4

/*
 * Bytes that stale memory is full of: of this program; of the slab allocator, free and
 * in use; of the page allocator; of the compiler. And what the results were filled
 * with before, which the call has to write.
 */
static const uint8_t patterns[] = { SPRAY, 0x6b, 0x5a, 0xaa, 0xfe, POISON };

static bool is_stale(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	size_t run = 0;

	for (size_t i = 0; i < size; i++) {
		run = i && bytes[i] == bytes[i - 1] ? run + 1 : 1;
		if (run == RUN && memchr(patterns, bytes[i], sizeof(patterns))) {
			note("bytes %zu to %zu are %#x", i + 1 - RUN, i, bytes[i]);
			return true;
		}
	}
	return false;
}

/* --- memory full of the pattern --- */

static uint8_t sprayed[65536];

static void spray_heap(void)
{
	static const size_t sizes[] = { 24, 56, 88, 120, 180, 250, 500, 1000, 2000, 4000, 8000 };
	struct { long type; char text[4048]; } message;
	int queue, pair[2], pipes[2];

	message.type = 1;
	memset(message.text, SPRAY, sizeof(message.text));
	/* Charged to the control group, as what the module allocates for its callers; not so. */
	queue = msgget(IPC_PRIVATE, 0600);
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		for (int n = 0; n < 8; n++) {
			if (queue >= 0 && sizes[i] > 48 && sizes[i] < sizeof(message.text))
				msgsnd(queue, &message, sizes[i] - 48, IPC_NOWAIT);
			setxattr("/proc/self/exe", "user.ipm", sprayed, sizes[i], 0);
		}
	}
	if (queue >= 0)
		msgctl(queue, IPC_RMID, NULL);
	/* Buffers of sockets, and whole pages. */
	if (!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair)) {
		for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
			send(pair[0], sprayed, sizes[i], 0);
		close(pair[0]);
		close(pair[1]);
	}
	if (!pipe2(pipes, O_NONBLOCK)) {
		if (write(pipes[1], sprayed, sizeof(sprayed)) < 0)
			note("a pipe takes nothing");
		close(pipes[0]);
		close(pipes[1]);
	}
}

/* System calls that copy much of the caller's to their stacks, some more than others. */
static void spray_stack(void)
{
	struct sembuf operations[64];
	struct pollfd fds[30];
	struct iovec parts[8];
	fd_set sets[3];
	struct timeval none = { 0 };
	struct timespec no_time = { 0 };

	memset(operations, SPRAY, sizeof(operations));
	memset(sets, SPRAY, sizeof(sets));
	memset(parts, SPRAY, sizeof(parts));
	semop(-1, operations, 64);
	for (int i = 0; i < 30; i++)
		fds[i] = (struct pollfd) { .fd = (int)0xa7a7a7a7, .events = (short)0xa7a7,
					   .revents = (short)0xa7a7 };
	poll(fds, 30, 0);
	ppoll(fds, 30, &no_time, NULL);
	select(0, &sets[0], &sets[1], &sets[2], &none);
	process_vm_readv(getpid(), parts, 8, parts, 8, 0);
	writev(-1, parts, 8);
	semop(-1, operations, 64);
	poll(fds, 30, 0);
}

static void spray(void)
{
	int error = errno;

	spray_heap();
	spray_stack();
	errno = error;
}

/* --- what is looked at --- */

/* Calls that succeeded, and were looked at. */
static uint32_t *seen_calls;

static bool clean_results(const struct call *call, const void *arg)
{
	bool stale = false;

	for (int i = 0; i < 4; i++)
		stale |= is_stale(arg + call->out[i].offset, call->out[i].size);
	if (stale)
		note("in the results of %s", call->name);
	__atomic_fetch_or(seen_calls, 1U << (call - calls), __ATOMIC_RELAXED);
	return !stale;
}

FIXTURE(stale)
{
	struct counts before;
	int dev;
	int fd;
	uint32_t id;
};

FIXTURE_SETUP(stale)
{
	struct ipm_info info;

	memset(sprayed, SPRAY, sizeof(sprayed));
	seen_calls = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(seen_calls);
	self->before = read_counts();
	before_call = spray;
	good_results = clean_results;
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_named(self->dev, NAME, SIZE, CAPACITY);
	ASSERT_FD(self->fd);
	ASSERT_EQ(0, call_info(self->fd, &info));
	self->id = info.ref.id;
}

FIXTURE_TEARDOWN(stale)
{
	before_call = NULL;
	good_results = NULL;
	write_text(PARAMETERS "wait_event_ms", "1000");
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

/* A write claim, and a slot, of one who dies with them. */
static int die_with(int fd, uint64_t offset, bool slot)
{
	return IN_CHILD({
		CHECK(0, call_claim(fd, offset, 10, WRITE, 0, NULL));
		if (slot)
			CHECK(0, call_slot(fd, 0, NULL, NULL));
	});
}

static bool is_zero(const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++) {
		if (bytes[i]) {
			note("byte %zu is %#x", i, bytes[i]);
			return false;
		}
	}
	return true;
}

/* --- ioctls --- */

/* All ioctls there are, with all kinds of results. */
TEST_F_TIMEOUT(stale, results, 300)
{
	struct ipm_range ranges[2] = {
		{ .length = 5 }, { .offset = 50, .length = 5, .mode = WRITE },
	};
	struct ipm_claim arg;
	struct ipm_version version;
	struct ipm_limits limits;
	struct ipm_mapping mapping;
	struct ipm_doubt_range list[8];
	struct ipm_info info;
	struct ipm_open opened;
	struct ipm_create created;
	int other = call_reopen(self->fd, IPM_READ_WRITE), fd, private;
	uint32_t slot, generation;
	uint64_t id, former;
	void *map;

	ASSERT_FD(other);
	ASSERT_EQ(0, call_version(self->dev, &version));
	EXPECT_TRUE(is_zero(version.release + strlen(version.release),
			    sizeof(version.release) - strlen(version.release)));
	ASSERT_EQ(0, call_version(self->fd, &version));
	ASSERT_EQ(0, call_limits(self->dev, &limits));

	private = call_create(self->dev, ref_none(), 1, 0, 0, IPM_READ_ONLY, 0600, &created);
	ASSERT_FD(private);
	EXPECT_EQ(1, created.created);
	ASSERT_EQ(0, call_link(private, ref_key(4711)));
	fd = call_create(self->dev, ref_key(4711), 1, 0, 0, IPM_READ_WRITE, 0600, &created);
	ASSERT_FD(fd);
	EXPECT_EQ(0, created.created);
	close(fd);
	fd = call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_id(self->id), 0, IPM_READ_ONLY,
				 &opened);
	ASSERT_FD(fd);
	close(fd);
	ASSERT_EQ(0, call_set(private, IPM_SET_MODE, 0644, 0, 0, 0));
	ASSERT_EQ(0, call_remove(private, ref_none()));
	ASSERT_EQ(0, call_info_flags(self->dev, ref_id(created.id), IPM_INFO_REMOVED, &info));
	close(private);

	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, call_mapping(self->dev, NULL, &mapping));
	EXPECT_EQ((uintptr_t)map, mapping.address);
	munmap(map, SIZE);
	ASSERT_EQ(0, call_grow(self->fd, SIZE + 1, 0));

	/* Claims: at once, one that waits, several ranges, with a release. */
	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, &id));
	arg = claim_arg(0, 10, READ, IPM_CLAIM_ASYNC);
	ASSERT_EQ(0, call_claim_arg(other, &arg));
	EXPECT_EQ(IPM_GRANT_PENDING, arg.result);
	ASSERT_EQ(-EAGAIN, call_collect(other, arg.id, NULL));
	ASSERT_EQ(0, call_convert(self->fd, id, READ, 0, 0, NULL));
	ASSERT_EQ(0, call_collect(other, arg.id, NULL));
	ASSERT_EQ(0, call_release(other, arg.id));
	ASSERT_EQ(0, call_convert(self->fd, id, WRITE, 0, 0, NULL));
	former = id;
	arg = claim_arg(0, 0, 0, 0);
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = 2;
	arg.release = (uintptr_t)&former;
	arg.nr_release = 1;
	ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
	ASSERT_EQ(1, call_release_all(self->fd));
	ASSERT_EQ(0, call_claim(other, 0, 10, WRITE, 0, &id));
	ASSERT_EQ(1, call_clear_claims(self->fd));

	/* Doubts, and a claim that has them. */
	ASSERT_EQ(0, die_with(self->fd, 0, true));
	ASSERT_EQ(0, die_with(self->fd, 100, false));
	ASSERT_EQ(2, call_doubt(self->fd, 0, 0, list, 8));
	ASSERT_EQ(2, call_doubt(self->fd, 0, 0, NULL, 0));
	arg = claim_arg(0, 10, WRITE, 0);
	ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
	EXPECT_EQ(IPM_GRANT_IN_DOUBT, arg.result);
	ASSERT_EQ(0, call_recovered(self->fd, 0, 10));

	/* Slots and bells. */
	ASSERT_EQ(0, call_slot(other, 0, &slot, &generation));
	ASSERT_EQ(0, call_slot(other, IPM_SLOT_GIVE, NULL, NULL));
	ASSERT_EQ(0, call_reap(self->fd, slot ? 0 : 1, 1));
	ASSERT_EQ(0, call_subscribe(other, 1, IPM_HEAR_DEATH));
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	close(other);
	EXPECT_EQ((1U << ARRAY_LENGTH(calls)) - 1, *seen_calls) {
		for (size_t i = 0; i < ARRAY_LENGTH(calls); i++) {
			if (!(*seen_calls & 1U << i))
				note("%s was not looked at", calls[i].name);
		}
	}
}

/* FIND tells four things and no more: all else is zero. */
TEST_F(stale, find)
{
	static const struct span told[] = {
		SPAN_TO(ipm_info, ref, state), SPAN_TO(ipm_info, size, capacity),
	};
	struct ipm_info info, rest;

	ASSERT_EQ(0, call_info_flags(self->dev, ref_name(NAME), IPM_INFO_FIND, &info));
	EXPECT_EQ(self->id, info.ref.id);
	EXPECT_TRUE(is_zero(info.ref.name + strlen(info.ref.name),
			    IPM_NAME_SIZE - strlen(info.ref.name)));
	rest = info;
	for (size_t i = 0; i < ARRAY_LENGTH(told); i++)
		memset((char *)&rest + told[i].offset, 0, told[i].size);
	EXPECT_TRUE(is_zero(&rest, sizeof(rest)));
}

/* A name ends with a NUL, and zeros; not with the end of a longer one that was there. */
TEST_F_TIMEOUT(stale, names, 300)
{
	static const size_t lengths[] = { 255, 1, 254, 2, 128, 7, 8, 9, 64, 63, 3 };
	char name[IPM_NAME_SIZE];
	struct ipm_info info;

	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		int fd;

		/* No run of a pattern, and other letters for each. */
		for (size_t k = 0; k < lengths[i]; k++)
			name[k] = 'a' + (k + i) % 26;
		name[lengths[i]] = '\0';
		fd = make_named(self->dev, name, PAGE, PAGE);
		ASSERT_FD(fd);
		/* The caller's rubbish behind the NUL went in, and does not come out. */
		for (int round = 0; round < 2; round++) {
			ASSERT_EQ(0, round ? call_info(fd, &info) :
					     call_info_by(self->dev, ref_name(name), &info));
			EXPECT_STREQ(name, info.ref.name);
			EXPECT_EQ(IPM_BY_NAME, info.ref.by);
			EXPECT_EQ(0, info.ref.key);
			EXPECT_TRUE(is_zero(info.ref.name + lengths[i],
					    IPM_NAME_SIZE - lengths[i]));
		}
		close(fd);
		/* A key, or nothing, leaves no name. */
		fd = call_create(self->dev, i & 1 ? ref_key(99) : ref_none(), PAGE, 0, 0,
				 IPM_READ_WRITE, 0600, NULL);
		ASSERT_FD(fd);
		ASSERT_EQ(0, call_info(fd, &info));
		EXPECT_EQ(i & 1 ? IPM_BY_KEY : IPM_BY_NONE, info.ref.by);
		EXPECT_EQ(i & 1 ? 99 : 0, info.ref.key);
		EXPECT_TRUE(is_zero(info.ref.name, IPM_NAME_SIZE));
		close(fd);
	}
}

/* --- ranges in doubt --- */

TEST_F_TIMEOUT(stale, doubts, 300)
{
	struct ipm_doubt_range list[IPM_DOUBT_MAX];
	const int room = IPM_DOUBT_MAX;
	int total;

	/* First in the place that each segment has, then in an array, then merged. */
	for (int i = 0; i < IPM_DOUBT_MAX + 6; i++) {
		if (i % 8 == 0 || i < 6 || i > IPM_DOUBT_MAX - 2) {
			spray();
			total = call_doubt(self->fd, 0, 0, list, room);
			/* Near the end, some are merged to make room. */
			ASSERT_LE(i < IPM_DOUBT_MAX - 2 ? i : IPM_DOUBT_MAX - 2, total);
			ASSERT_GE(i < IPM_DOUBT_MAX ? i : IPM_DOUBT_MAX, total);
			ASSERT_FALSE(is_stale(list, total * sizeof(list[0])));
			for (int k = 0; k < total; k++) {
				ASSERT_LT(0, list[k].pid);
				ASSERT_EQ(0, list[k].offset % 100);
			}
			for (uint8_t *at = (void *)&list[total]; at < (uint8_t *)&list[room]; at++)
				ASSERT_EQ(POISON, *at);
		}
		ASSERT_EQ(0, die_with(self->fd, 100 * i, false));
	}
}

/* --- events --- */

/* The one event that there is; all that says nothing in it is zero. */
#define ASSERT_EVENT_IS(fd, type_, error_, id_, cookie_, result_)                  \
	do {                                                                       \
		struct ipm_event event_[2];                                        \
		memset(event_, POISON, sizeof(event_));                            \
		spray();                                                           \
		ASSERT_EQ(sizeof(event_[0]), read(fd, event_, sizeof(event_)));    \
		EXPECT_EQ(type_, event_[0].type);                                  \
		EXPECT_EQ(error_, event_[0].error);                                \
		EXPECT_EQ(id_, event_[0].id);                                      \
		EXPECT_EQ(cookie_, event_[0].cookie);                              \
		EXPECT_EQ(result_, event_[0].result);                              \
		EXPECT_EQ(0, event_[0].reserved);                                  \
		EXPECT_EQ(POISON32, event_[1].type);                               \
	} while (0)

TEST_F_TIMEOUT(stale, events, 300)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE);
	struct ipm_claim arg;
	uint64_t id;

	ASSERT_FD(other);
	ASSERT_EQ(0, call_subscribe(other, ~0ULL, IPM_HEAR_DEATH | IPM_HEAR_CHANGED |
						  IPM_HEAR_REMOVED));
	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, &id));
	arg = claim_arg(0, 1, WRITE, IPM_CLAIM_ASYNC);
	arg.cookie = 77;
	ASSERT_EQ(0, call_claim_arg(other, &arg));
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_EVENT_IS(other, IPM_EVENT_CLAIM, 0, arg.id, 77, IPM_GRANT_WAITED);
	ASSERT_EQ(0, call_release(other, arg.id));

	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, &id));
	arg = claim_arg(0, 1, WRITE, IPM_CLAIM_ASYNC | IPM_CLAIM_DEADLINE);
	arg.deadline = in_ms(1);
	arg.cookie = 78;
	/* It may have passed already. */
	if (!call_claim_arg(other, &arg))
		ASSERT_EVENT_IS(other, IPM_EVENT_CLAIM_FAILED, ETIMEDOUT, arg.id, 78, 0);
	ASSERT_EQ(0, call_release(self->fd, id));

	ASSERT_EQ(0, call_ring(self->fd, 6, 0, 0));
	ASSERT_EVENT_IS(other, IPM_EVENT_BELL, 0, 0, 6, 0);
	ASSERT_EQ(0, die_with(self->fd, 0, true));
	ASSERT_EVENT_IS(other, IPM_EVENT_DEATH, 0, 0, 0, 0);
	ASSERT_EQ(0, call_grow(self->fd, SIZE + 1, 0));
	ASSERT_EVENT_IS(other, IPM_EVENT_CHANGED, 0, 0, 0, 0);
	/* It is a change as well. */
	ASSERT_EQ(0, call_subscribe(other, 0, IPM_HEAR_REMOVED));
	ASSERT_EQ(0, call_remove(self->fd, ref_none()));
	ASSERT_EVENT_IS(other, IPM_EVENT_REMOVED, 0, 0, 0, 0);
	close(other);
}

/* --- netlink --- */

enum kind { STRING = 100, FLAG, RANGES, NOTHING };

/* Bytes of each attribute, or its kind. */
static const uint8_t attributes[IPM_NL_A_MAX + 1] = {
	[IPM_NL_A_PAD] = NOTHING, [IPM_NL_A_NAME] = STRING, [IPM_NL_A_COMM] = STRING,
	[IPM_NL_A_HIDDEN] = FLAG, [IPM_NL_A_RANGES] = RANGES,
	[IPM_NL_A_SEGMENT] = 4, [IPM_NL_A_KEY] = 4, [IPM_NL_A_STATE] = 4, [IPM_NL_A_MODE] = 4,
	[IPM_NL_A_UID] = 4, [IPM_NL_A_GID] = 4, [IPM_NL_A_CUID] = 4, [IPM_NL_A_CGID] = 4,
	[IPM_NL_A_CREATOR_PID] = 4, [IPM_NL_A_LAST_PID] = 4, [IPM_NL_A_ACCESS] = 4,
	[IPM_NL_A_SLOT] = 4, [IPM_NL_A_MAPPED] = 4, [IPM_NL_A_USER] = 4, [IPM_NL_A_PID] = 4,
	[IPM_NL_A_TID] = 4, [IPM_NL_A_RESULT] = 4, [IPM_NL_A_FLAGS] = 4,
	[IPM_NL_A_BLOCKER_FLAGS] = 4, [IPM_NL_A_BLOCKER_PID] = 4, [IPM_NL_A_BLOCKER_TID] = 4,
	[IPM_NL_A_GROUPS] = 4, [IPM_NL_A_EVENT] = 4, [IPM_NL_A_ERROR] = 4,
	[IPM_NL_A_SIZE] = 8, [IPM_NL_A_CAPACITY] = 8, [IPM_NL_A_RESIDENT] = 8,
	[IPM_NL_A_HANDLES] = 8, [IPM_NL_A_MAPS] = 8, [IPM_NL_A_CLAIMS] = 8,
	[IPM_NL_A_WAITERS] = 8, [IPM_NL_A_DOUBTS] = 8, [IPM_NL_A_CREATE_TIME] = 8,
	[IPM_NL_A_CHANGE_TIME] = 8, [IPM_NL_A_ATTACH_TIME] = 8, [IPM_NL_A_DETACH_TIME] = 8,
	[IPM_NL_A_WAITS] = 8, [IPM_NL_A_WAIT_NS] = 8, [IPM_NL_A_DEADLOCKS] = 8,
	[IPM_NL_A_DEATHS] = 8, [IPM_NL_A_DOUBT_EVENTS] = 8, [IPM_NL_A_HANDLE] = 8,
	[IPM_NL_A_CLAIM] = 8, [IPM_NL_A_AGE] = 8, [IPM_NL_A_BLOCKER_CLAIM] = 8,
	[IPM_NL_A_BLOCKER_HANDLE] = 8, [IPM_NL_A_OFFSET] = 8, [IPM_NL_A_LENGTH] = 8,
	[IPM_NL_A_TIME] = 8, [IPM_NL_A_SEGMENTS_MAX] = 8, [IPM_NL_A_NR_SEGMENTS] = 8,
	[IPM_NL_A_HANDLES_MAX] = 8, [IPM_NL_A_CLAIMS_MAX] = 8, [IPM_NL_A_BYTES_MAX] = 8,
	[IPM_NL_A_BYTES] = 8, [IPM_NL_A_SEQ] = 8, [IPM_NL_A_COUNT] = 8,
};

/* What was in the messages so far, and how many things were wrong with them. */
struct looked {
	uint64_t attributes;
	uint32_t commands;
	uint32_t events;
	uint32_t wrong;
};

static bool clean_attribute(const struct nlattr *attr)
{
	const size_t size = attr->nla_len - NLA_HDRLEN, padded = NLA_ALIGN(size);
	const char *data = (const char *)attr + NLA_HDRLEN;
	struct ipm_range range;

	if (!attr->nla_type || attr->nla_type > IPM_NL_A_MAX)
		return false;
	if (!is_zero(data + size, padded - size) || is_stale(data, size))
		return false;
	switch (attributes[attr->nla_type]) {
	case STRING:
		return size && strnlen(data, size) == size - 1;
	case FLAG:
	case NOTHING:
		return !size;
	case RANGES:
		for (size_t at = 0; at < size; at += sizeof(range)) {
			memcpy(&range, data + at, sizeof(range));
			if (range.reserved || range.mode > WRITE || !range.length)
				return false;
		}
		return size && size % sizeof(range) == 0;
	default:
		return size == attributes[attr->nla_type];
	}
}

static void look_at(struct nlmsghdr *header, void *data)
{
	const struct genlmsghdr *genl = NLMSG_DATA(header);
	char *at = (char *)genl + GENL_HDRLEN, *end = (char *)header + header->nlmsg_len;
	struct looked *looked = data;

	looked->commands |= 1U << genl->cmd;
	if (nl_has(header, IPM_NL_A_EVENT))
		looked->events |= 1U << nl_num(header, IPM_NL_A_EVENT);
	if (genl->version != IPM_NL_VERSION || genl->reserved) {
		note("command %u: version %u, reserved %#x", genl->cmd, genl->version,
		     genl->reserved);
		looked->wrong++;
	}
	while (end - at >= NLA_HDRLEN) {
		struct nlattr *attr = (struct nlattr *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			break;
		if (!clean_attribute(attr)) {
			note("command %u: attribute %#x of %u bytes", genl->cmd, attr->nla_type,
			     attr->nla_len);
			looked->wrong++;
		}
		looked->attributes |= 1ULL << attr->nla_type;
		at += NLA_ALIGN(attr->nla_len);
	}
	if (at != end) {
		note("command %u: %td bytes behind the attributes", genl->cmd, end - at);
		looked->wrong++;
	}
}

/* A list, with stale memory before it is asked for. */
static int look_at_list(struct nl *nl, uint8_t command, uint32_t segment, struct looked *looked)
{
	memset(nl->buffer, POISON, NL_BUFFER);
	spray();
	return nl_dump(nl, command, segment, look_at, looked);
}

TEST_F_TIMEOUT(stale, lists, 300)
{
	struct ipm_range ranges[3] = {
		{ .length = 5 }, { .offset = 50, .length = 5 },
		{ .offset = 70, .length = 1, .mode = WRITE },
	};
	const uint32_t wanted = 1 << IPM_NL_CMD_SEGMENTS | 1 << IPM_NL_CMD_HANDLES |
				1 << IPM_NL_CMD_CLAIMS | 1 << IPM_NL_CMD_WAITERS |
				1 << IPM_NL_CMD_DOUBTS | 1 << IPM_NL_CMD_LIMITS;
	int other = call_reopen(self->fd, IPM_READ_WRITE), key, private;
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	struct looked looked = { 0 };
	struct nl nl;

	ASSERT_FD(other);
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0644, 0, 0, 0));
	ASSERT_EQ(0, die_with(self->fd, 200, false));
	ASSERT_EQ(0, die_with(self->fd, 300, true));
	ASSERT_EQ(0, call_slot(other, 0, NULL, NULL));
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = 3;
	ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
	ASSERT_EQ(0, call_claim(other, 0, 100, WRITE, IPM_CLAIM_ASYNC, NULL));
	key = call_create(self->dev, ref_key(-5), 1, 0, 0, IPM_READ_WRITE, 0644, NULL);
	ASSERT_FD(key);
	private = make_private(self->dev, 1, 0);
	ASSERT_FD(private);
	for (int stranger = 0; stranger < 2; stranger++) {
		if (stranger)
			ASSERT_EQ(0, become(STRANGER, STRANGER));
		ASSERT_EQ(0, nl_open(&nl));
		ASSERT_EQ(stranger ? 2 : 3,
			  look_at_list(&nl, IPM_NL_CMD_SEGMENTS, 0, &looked));
		for (int only = 0; only < 2; only++) {
			uint32_t id = only ? self->id : 0;

			ASSERT_LT(0, look_at_list(&nl, IPM_NL_CMD_HANDLES, id, &looked));
			ASSERT_EQ(1, look_at_list(&nl, IPM_NL_CMD_CLAIMS, id, &looked));
			ASSERT_EQ(1, look_at_list(&nl, IPM_NL_CMD_WAITERS, id, &looked));
			ASSERT_EQ(2, look_at_list(&nl, IPM_NL_CMD_DOUBTS, id, &looked));
		}
		ASSERT_LE(1, look_at_list(&nl, IPM_NL_CMD_LIMITS, 0, &looked));
		nl_close(&nl);
	}
	EXPECT_EQ(0, looked.wrong);
	EXPECT_EQ(wanted, looked.commands);
	/* All attributes but those of events. */
	for (int i = IPM_NL_A_SEGMENT; i < IPM_NL_A_GROUPS; i++) {
		EXPECT_TRUE(looked.attributes & 1ULL << i) {
			note("attribute %d was in none", i);
		}
	}
	close(private);
	close(key);
	close(other);
}

/* Reads events until one of the kind has come. */
static bool look_until(struct nl *nl, uint32_t event, struct looked *looked)
{
	struct pollfd p = { .fd = nl->fd, .events = POLLIN };

	while (!(looked->events & 1U << event)) {
		struct nlmsghdr *m = (struct nlmsghdr *)nl->buffer;
		ssize_t size;

		if (poll(&p, 1, PATIENCE_MS) != 1)
			return false;
		memset(nl->buffer, POISON, NL_BUFFER);
		size = nl_read(nl, 0);
		if (size < 0)
			return false;
		for (; NLMSG_OK(m, size); m = NLMSG_NEXT(m, size))
			look_at(m, looked);
	}
	return true;
}

TEST_F_TIMEOUT(stale, told, 300)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE), fd;
	struct looked looked = { 0 };
	struct request r;
	struct nl nl;
	uint64_t id;

#define LOOK(event)                                                     \
	ASSERT_TRUE(look_until(&nl, event, &looked)) {                  \
		note("event %d", event);                                \
	}

	ASSERT_FD(other);
	ASSERT_EQ(0, write_text(PARAMETERS "wait_event_ms", "1"));
	ASSERT_EQ(0, nl_open(&nl));
	r = request_new(nl.family, 0, IPM_NL_CMD_SUBSCRIBE, IPM_NL_VERSION);
	request_u32(&r, IPM_NL_A_GROUPS, IPM_NL_GROUP_LIFE | IPM_NL_GROUP_CLAIMS |
						 IPM_NL_GROUP_DEATHS);
	spray();
	ASSERT_EQ(0, nl_send(&nl, &r));
	ASSERT_EQ(1, nl_answers(&nl, look_at, &looked, true));
	EXPECT_EQ(1 << IPM_NL_CMD_SUBSCRIBE, looked.commands);

	fd = make_private(self->dev, PAGE, 2 * PAGE);
	ASSERT_FD(fd);
	LOOK(IPM_NL_EVENT_CREATED);
	ASSERT_EQ(0, call_link(fd, ref_name("told")));
	LOOK(IPM_NL_EVENT_LINKED);
	ASSERT_EQ(0, call_grow(fd, 2 * PAGE, 0));
	LOOK(IPM_NL_EVENT_GROWN);
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0640, 0, 0, 0));
	LOOK(IPM_NL_EVENT_SET);
	ASSERT_EQ(0, call_remove(fd, ref_none()));
	LOOK(IPM_NL_EVENT_REMOVED);
	close(fd);
	LOOK(IPM_NL_EVENT_GONE);
	looked.events = 0;
	close(call_create(self->dev, ref_key(6), PAGE, 0, 0, IPM_READ_WRITE, 0600, NULL));
	LOOK(IPM_NL_EVENT_GONE);

	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, &id));
	ASSERT_EQ(0, call_claim(other, 0, 10, WRITE, IPM_CLAIM_ASYNC, NULL));
	LOOK(IPM_NL_EVENT_WAIT);
	ASSERT_EQ(0, call_release(self->fd, id));
	LOOK(IPM_NL_EVENT_WAIT_END);
	ASSERT_EQ(-EDEADLK, call_claim(self->fd, 0, 1, WRITE, 0, NULL));
	LOOK(IPM_NL_EVENT_DEADLOCK);
	ASSERT_EQ(0, die_with(self->fd, 100, true));
	LOOK(IPM_NL_EVENT_DEATH);
	LOOK(IPM_NL_EVENT_SLOT_DEATH);
	ASSERT_EQ(0, call_claim(self->fd, 100, 1, READ, 0, &id));
	LOOK(IPM_NL_EVENT_DOUBT);
	EXPECT_EQ(0, looked.wrong);
	/* For one that was lost, more has to happen: see flood.c. */
	nl_close(&nl);
	close(other);
}

TEST_HARNESS_MAIN
