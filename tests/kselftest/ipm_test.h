/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of /dev/ipm share.
 *
 * They use the ABI as it is, without libipm: every call is made by a function
 * call_*(), which fills the argument with a pattern first, sets what goes in,
 * and checks afterwards that the kernel wrote what it must write and nothing
 * else. These functions return what the ioctl returned, or -errno.
 *
 * Whoever has to wait in the kernel does so in an actor: a thread or a process
 * of its own that takes orders.
 */
#ifndef IPM_TEST_H
#define IPM_TEST_H

/* The harness would define it too late. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <unistd.h>

/* A test has $IPM_PATIENCE times as long: a kernel that checks itself needs more. */
static inline unsigned int patient(unsigned int seconds)
{
	const char *patience = getenv("IPM_PATIENCE");

	return patience ? seconds * (unsigned int)atoi(patience) : seconds;
}

#define alarm(seconds) alarm(patient(seconds))
#include "kselftest_harness.h"
#undef alarm

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/ipm.h>
#include <linux/sched.h>

#define DEVICE		"/dev/ipm"
#define PARAMETERS	"/sys/module/ipm/parameters/"
#define PAGE		4096UL
#define POISON		0xcc
#define POISON32	0xccccccccU
#define POISON64	0xccccccccccccccccULL

#define READ		IPM_CLAIM_READ
#define WRITE		IPM_CLAIM_WRITE

/* A wait for something that must happen ends with a failed test, not with a hang. */
#define PATIENCE_MS	60000

#define ARRAY_LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

#define note(fmt, ...)	fprintf(stderr, "# %s:%d: " fmt "\n", __FILE__, __LINE__, ##__VA_ARGS__)

/* --- time --- */

static inline int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* An absolute deadline @ms milliseconds from now. */
static inline int64_t in_ms(int64_t ms)
{
	return now_ns(CLOCK_MONOTONIC) + ms * 1000000;
}

static inline void nap(void)
{
	const struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
}

/* Waits until @condition holds; its value is whether it does. */
#define wait_until(condition)                                                       \
	({                                                                          \
		int64_t wait_until_end = in_ms(PATIENCE_MS);                        \
		bool wait_until_done;                                               \
		while (!(wait_until_done = (condition)) && in_ms(0) < wait_until_end) \
			nap();                                                      \
		wait_until_done;                                                    \
	})

/* --- the module's own counts --- */

struct counts {
	char text[512];
};

/* Text of one file, without its last newline; "" if it cannot be read. */
static inline const char *read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	if (length > 0 && text[length - 1] == '\n')
		length--;
	text[length > 0 ? length : 0] = '\0';
	return text;
}

static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
	ssize_t length = fd < 0 ? -1 : write(fd, text, strlen(text));
	int error = errno;

	if (fd >= 0)
		close(fd);
	return length < 0 ? -error : 0;
}

static inline int only_counts(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "count_", 6);
}

/* Every count_* that the module shows, as one line. */
static inline struct counts read_counts(void)
{
	struct dirent **list;
	struct counts counts = { "" };
	char path[300], value[32];
	int n = scandir(PARAMETERS, &list, only_counts, alphasort);
	size_t used = 0;

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), PARAMETERS "%s", list[i]->d_name);
		read_text(path, value, sizeof(value));
		used += snprintf(counts.text + used, sizeof(counts.text) - used, "%s=%s ",
				 list[i]->d_name + 6, value);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return counts;
}

/* One count_* of the module, -1 if there is none of that name. */
static inline long long count_of(const char *name)
{
	char path[300], value[32];

	snprintf(path, sizeof(path), PARAMETERS "count_%s", name);
	return *read_text(path, value, sizeof(value)) ? atoll(value) : -1;
}

/* Nothing is left of what the test did. Ends of namespaces and sockets may take a moment. */
#define ASSERT_COUNTS(before)                                                  \
	do {                                                                   \
		struct counts counts_now = read_counts();                      \
		ASSERT_NE('\0', counts_now.text[0]);                           \
		ASSERT_STREQ((before).text, counts_now.text);                  \
	} while (0)

#define EXPECT_COUNTS_SOON(before)                                             \
	do {                                                                   \
		struct counts counts_now;                                      \
		wait_until((counts_now = read_counts(),                        \
			    !strcmp((before).text, counts_now.text)));         \
		EXPECT_NE('\0', counts_now.text[0]);                           \
		EXPECT_STREQ((before).text, counts_now.text);                  \
	} while (0)

/* Is this symbol part of the kernel? */
static inline bool kernel_has(const char *symbol)
{
	char command[100];

	snprintf(command, sizeof(command), "grep -qw %s /proc/kallsyms", symbol);
	return !system(command);
}

/* Open file descriptors of this process. */
static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* --- the calls --- */

struct span {
	size_t offset;
	size_t size;
};

#define SPAN(type, member)	{ offsetof(struct type, member), sizeof(((struct type *)0)->member) }

/* Bytes from member @first to the end of member @last. */
#define SPAN_TO(type, first, last)                                                          \
	{ offsetof(struct type, first),                                                     \
	  offsetof(struct type, last) + sizeof(((struct type *)0)->last) -                  \
		  offsetof(struct type, first) }

/* What each call writes when it succeeds. */
static const struct call {
	const char *name;
	unsigned long request;
	struct span out[4];
} calls[] = {
	{ "VERSION", IPM_IOC_VERSION, { SPAN_TO(ipm_version, abi, slots_max), SPAN(ipm_version, release) } },
	{ "LIMITS", IPM_IOC_LIMITS, { SPAN_TO(ipm_limits, segments_max, bytes) } },
	{ "CREATE", IPM_IOC_CREATE,
	  { SPAN_TO(ipm_create, size, capacity), SPAN_TO(ipm_create, id, created) } },
	{ "OPEN", IPM_IOC_OPEN, { SPAN_TO(ipm_open, size, id) } },
	{ "REMOVE", IPM_IOC_REMOVE, {} },
	{ "INFO", IPM_IOC_INFO, { SPAN(ipm_info, ref), SPAN_TO(ipm_info, state, doubt_events) } },
	{ "MAPPING", IPM_IOC_MAPPING, { SPAN_TO(ipm_mapping, address, size), SPAN(ipm_mapping, id) } },
	{ "LINK", IPM_IOC_LINK, {} },
	{ "SET", IPM_IOC_SET, {} },
	{ "GROW", IPM_IOC_GROW, { SPAN(ipm_grow, size) } },
	{ "REOPEN", IPM_IOC_REOPEN, { SPAN_TO(ipm_open, size, id) } },
	{ "CLAIM", IPM_IOC_CLAIM, { SPAN_TO(ipm_claim, id, result) } },
	{ "CONVERT", IPM_IOC_CONVERT, { SPAN(ipm_convert, result) } },
	{ "RELEASE", IPM_IOC_RELEASE, {} },
	{ "RELEASE_ALL", IPM_IOC_RELEASE_ALL, { SPAN(ipm_release_all, released) } },
	{ "CLEAR_CLAIMS", IPM_IOC_CLEAR_CLAIMS, { SPAN(ipm_release_all, released) } },
	{ "COLLECT", IPM_IOC_COLLECT, { SPAN(ipm_collect, result) } },
	{ "DOUBT", IPM_IOC_DOUBT, { SPAN_TO(ipm_doubt, nr_ranges, total) } },
	{ "RECOVERED", IPM_IOC_RECOVERED, {} },
	{ "SLOT", IPM_IOC_SLOT, { SPAN_TO(ipm_slot, slot, generation) } },
	{ "REAP", IPM_IOC_REAP, {} },
	{ "RING", IPM_IOC_RING, {} },
	{ "SUBSCRIBE", IPM_IOC_SUBSCRIBE, {} },
};

static inline const struct call *find_call(unsigned long request)
{
	for (size_t i = 0; i < ARRAY_LENGTH(calls); i++) {
		if (calls[i].request == request)
			return &calls[i];
	}
	return NULL;
}

/* A process of which nobody looks at the results ends when they are wrong. */
static bool wrong_results_are_fatal;

static inline int wrong_result(void)
{
	if (wrong_results_are_fatal)
		_exit(1);
	return -EBADMSG;
}

/* What a program does before each of the module's ioctls, and with what it returned. */
static void (*before_call)(void);
static bool (*good_results)(const struct call *call, const void *arg);

/*
 * The ioctl, with a check of which bytes of the argument it wrote: none but its
 * results. When it fails, a result may have become 0, which is to say nothing,
 * and a field that goes in as well is as it was. -EBADMSG tells a violation.
 */
static inline int checked_ioctl(int fd, unsigned long request, void *arg)
{
	const struct call *call = find_call(request);
	size_t size = _IOC_SIZE(request);
	unsigned char before[1024], *after = arg;
	int ret;

	memcpy(before, arg, size);
	if (before_call)
		before_call();
	ret = ioctl(fd, request, arg);
	if (ret < 0)
		ret = -errno;
	for (size_t i = 0; i < size; i++) {
		bool out = false;

		for (int s = 0; ret >= 0 && s < 4; s++)
			out |= i - call->out[s].offset < call->out[s].size;
		if (ret < 0)
			out = before[i] == POISON && !after[i];
		if (!out && before[i] != after[i]) {
			note("%s, result %d, changed byte %zu of its argument from %#x to %#x",
			     call->name, ret, i, before[i], after[i]);
			return wrong_result();
		}
	}
	if (ret >= 0 && good_results && !good_results(call, arg))
		return wrong_result();
	return ret;
}

static inline int open_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The bytes behind the name's NUL, and those of a name that is not meant, are rubbish. */
static inline struct ipm_ref ref_none(void)
{
	struct ipm_ref ref;

	memset(&ref, POISON, sizeof(ref));
	ref.by = IPM_BY_NONE;
	ref.key = 0;
	ref.id = 0;
	ref.reserved = 0;
	ref.name[0] = '\0';
	return ref;
}

static inline struct ipm_ref ref_name(const char *name)
{
	struct ipm_ref ref = ref_none();

	ref.by = IPM_BY_NAME;
	snprintf(ref.name, sizeof(ref.name), "%s", name);
	return ref;
}

static inline struct ipm_ref ref_key(int32_t key)
{
	struct ipm_ref ref = ref_none();

	ref.by = IPM_BY_KEY;
	ref.key = key;
	return ref;
}

static inline struct ipm_ref ref_id(uint32_t id)
{
	struct ipm_ref ref = ref_none();

	ref.by = IPM_BY_ID;
	ref.id = id;
	return ref;
}

static inline int call_version(int fd, struct ipm_version *out)
{
	memset(out, POISON, sizeof(*out));
	out->flags = 0;
	out->reserved = 0;
	return checked_ioctl(fd, IPM_IOC_VERSION, out);
}

static inline int call_limits(int dev, struct ipm_limits *out)
{
	memset(out, POISON, sizeof(*out));
	out->flags = 0;
	out->reserved = 0;
	return checked_ioctl(dev, IPM_IOC_LIMITS, out);
}

static inline int call_create(int dev, struct ipm_ref ref, uint64_t size, uint64_t capacity,
			      uint32_t flags, uint32_t access, uint32_t mode,
			      struct ipm_create *out)
{
	struct ipm_create arg;
	int ret;

	memset(&arg, POISON, sizeof(arg));
	arg.ref = ref;
	arg.size = size;
	arg.capacity = capacity;
	arg.flags = flags;
	arg.access = access;
	arg.mode = mode;
	arg.reserved = 0;
	ret = checked_ioctl(dev, IPM_IOC_CREATE, &arg);
	if (ret >= 0 && (arg.id < 1 || arg.id > INT32_MAX || arg.created > 1 || arg.size < size ||
			 arg.capacity < arg.size)) {
		note("CREATE: id %u, created %u, size %llu, capacity %llu", arg.id, arg.created,
		     arg.size, arg.capacity);
		ret = wrong_result();
	}
	if (out)
		*out = arg;
	return ret;
}

/* A private segment, read-write, mode 0600. */
static inline int make_private(int dev, uint64_t size, uint64_t capacity)
{
	return call_create(dev, ref_none(), size, capacity, 0, IPM_READ_WRITE, 0600, NULL);
}

/* A new segment with a name, read-write, mode 0600. */
static inline int make_named(int dev, const char *name, uint64_t size, uint64_t capacity)
{
	return call_create(dev, ref_name(name), size, capacity, IPM_CREATE_EXCLUSIVE,
			   IPM_READ_WRITE, 0600, NULL);
}

static inline int call_open_or_reopen(int fd, unsigned long request, struct ipm_ref ref,
				      uint32_t flags, uint32_t access, struct ipm_open *out)
{
	struct ipm_open arg;
	int ret;

	memset(&arg, POISON, sizeof(arg));
	arg.ref = ref;
	arg.flags = flags;
	arg.access = access;
	arg.reserved = 0;
	ret = checked_ioctl(fd, request, &arg);
	if (ret >= 0 && (arg.id < 1 || arg.id > INT32_MAX || arg.capacity < arg.size)) {
		note("OPEN: id %u, size %llu, capacity %llu", arg.id, arg.size, arg.capacity);
		ret = wrong_result();
	}
	if (out)
		*out = arg;
	return ret;
}

static inline int call_open(int dev, struct ipm_ref ref, uint32_t access)
{
	return call_open_or_reopen(dev, IPM_IOC_OPEN, ref, 0, access, NULL);
}

static inline int call_reopen(int fd, uint32_t access)
{
	return call_open_or_reopen(fd, IPM_IOC_REOPEN, ref_none(), 0, access, NULL);
}

static inline int call_remove(int fd, struct ipm_ref ref)
{
	struct ipm_remove arg = { .ref = ref };

	return checked_ioctl(fd, IPM_IOC_REMOVE, &arg);
}

static inline int call_link(int fd, struct ipm_ref ref)
{
	struct ipm_link arg = { .ref = ref };

	return checked_ioctl(fd, IPM_IOC_LINK, &arg);
}

static inline int call_info_by(int fd, struct ipm_ref ref, struct ipm_info *out)
{
	int ret;

	memset(out, POISON, sizeof(*out));
	out->ref = ref;
	out->flags = 0;
	out->reserved = 0;
	ret = checked_ioctl(fd, IPM_IOC_INFO, out);
	if (!ret) {
		size_t length = strnlen(out->ref.name, IPM_NAME_SIZE);

		for (size_t i = length; i < IPM_NAME_SIZE; i++) {
			if (out->ref.name[i]) {
				note("INFO: byte %zu of the name is %#x", i, out->ref.name[i]);
				return wrong_result();
			}
		}
		if (length == IPM_NAME_SIZE || out->ref.reserved || out->ref.id < 1 ||
		    out->ref.id > INT32_MAX)
			return wrong_result();
	}
	return ret;
}

static inline int call_info(int fd, struct ipm_info *out)
{
	return call_info_by(fd, ref_none(), out);
}

static inline int call_set(int fd, uint32_t what, uint32_t mode, uint32_t uid, uint32_t gid,
			   uint32_t persistent)
{
	struct ipm_set arg = {
		.what = what, .mode = mode, .uid = uid, .gid = gid, .persistent = persistent,
	};

	return checked_ioctl(fd, IPM_IOC_SET, &arg);
}

static inline int call_info_flags(int fd, struct ipm_ref ref, uint32_t flags, struct ipm_info *out)
{
	memset(out, POISON, sizeof(*out));
	out->ref = ref;
	out->flags = flags;
	out->reserved = 0;
	return checked_ioctl(fd, IPM_IOC_INFO, out);
}

static inline int call_mapping(int dev, const void *address, struct ipm_mapping *out)
{
	*out = (struct ipm_mapping) { .address = (uintptr_t)address };
	return checked_ioctl(dev, IPM_IOC_MAPPING, out);
}

static inline int call_set_by(int dev, uint32_t id, uint32_t what, uint32_t mode, uint32_t persistent)
{
	struct ipm_set arg = { .what = what, .mode = mode, .persistent = persistent, .id = id };

	return checked_ioctl(dev, IPM_IOC_SET, &arg);
}

static inline int call_grow(int fd, uint64_t size, uint32_t flags)
{
	struct ipm_grow arg = { .size = size, .flags = flags };
	int ret = checked_ioctl(fd, IPM_IOC_GROW, &arg);

	if (!ret && arg.size < size)
		ret = wrong_result();
	return ret;
}

static inline struct ipm_claim claim_arg(uint64_t offset, uint64_t length, uint32_t mode,
					 uint32_t flags)
{
	struct ipm_claim arg = {
		.offset = offset, .length = length, .mode = mode, .flags = flags,
		.id = POISON64, .result = POISON32,
	};

	return arg;
}

/* Makes the claim and checks the form of its results. */
static inline int call_claim_arg(int fd, struct ipm_claim *arg)
{
	const uint32_t known = IPM_GRANT_IN_DOUBT | IPM_GRANT_PENDING | IPM_GRANT_WAITED;
	int ret = checked_ioctl(fd, IPM_IOC_CLAIM, arg);

	if (!ret && (!arg->id || arg->id == POISON64 || arg->result & ~known)) {
		note("CLAIM: id %llu, result %#x", arg->id, arg->result);
		ret = wrong_result();
	}
	return ret;
}

static inline int call_claim(int fd, uint64_t offset, uint64_t length, uint32_t mode,
			     uint32_t flags, uint64_t *id)
{
	struct ipm_claim arg = claim_arg(offset, length, mode, flags);
	int ret = call_claim_arg(fd, &arg);

	if (id && !ret)
		*id = arg.id;
	return ret;
}

static inline int call_convert(int fd, uint64_t id, uint32_t mode, uint32_t flags,
			       int64_t deadline, uint32_t *result)
{
	struct ipm_convert arg = {
		.id = id, .mode = mode, .flags = flags, .deadline = deadline, .result = POISON32,
	};
	int ret = checked_ioctl(fd, IPM_IOC_CONVERT, &arg);

	if (!ret && arg.result & ~(IPM_GRANT_IN_DOUBT | IPM_GRANT_WAITED))
		ret = wrong_result();
	if (result)
		*result = arg.result;
	return ret;
}

static inline int call_release(int fd, uint64_t id)
{
	struct ipm_release arg = { .id = id };

	return checked_ioctl(fd, IPM_IOC_RELEASE, &arg);
}

/* How many claims were released, or -errno. */
static inline int call_release_all(int fd)
{
	struct ipm_release_all arg = { .released = POISON32 };
	int ret = checked_ioctl(fd, IPM_IOC_RELEASE_ALL, &arg);

	return ret ? ret : (int)arg.released;
}

static inline int call_clear_claims(int fd)
{
	struct ipm_release_all arg = { .released = POISON32 };
	int ret = checked_ioctl(fd, IPM_IOC_CLEAR_CLAIMS, &arg);

	return ret ? ret : (int)arg.released;
}

static inline int call_collect(int fd, uint64_t id, uint32_t *result)
{
	struct ipm_collect arg = { .id = id, .result = POISON32 };
	int ret = checked_ioctl(fd, IPM_IOC_COLLECT, &arg);

	if (!ret && arg.result & ~(IPM_GRANT_IN_DOUBT | IPM_GRANT_WAITED))
		ret = wrong_result();
	if (result)
		*result = arg.result;
	return ret;
}

/* How many entries there are; up to @room of them are in @list. -errno if it fails. */
static inline int call_doubt(int fd, uint64_t offset, uint64_t length,
			     struct ipm_doubt_range *list, uint32_t room)
{
	struct ipm_doubt arg = {
		.offset = offset, .length = length, .ranges = (uintptr_t)list, .nr_ranges = room,
		.total = POISON32,
	};
	int ret;

	if (list)
		memset(list, POISON, room * sizeof(*list));
	ret = checked_ioctl(fd, IPM_IOC_DOUBT, &arg);
	if (ret)
		return ret;
	if (arg.nr_ranges != (arg.total < room ? arg.total : room) || arg.total > IPM_DOUBT_MAX) {
		note("DOUBT: %u of %u entries, room for %u", arg.nr_ranges, arg.total, room);
		return wrong_result();
	}
	for (uint32_t i = 0; i < arg.nr_ranges; i++) {
		if (!list[i].length || list[i].flags & ~IPM_DOUBT_MERGED ||
		    (i && list[i].offset < list[i - 1].offset + list[i - 1].length)) {
			note("DOUBT: entry %u: offset %llu, length %llu, flags %#x", i,
			     list[i].offset, list[i].length, list[i].flags);
			return wrong_result();
		}
	}
	return arg.total;
}

static inline int call_recovered(int fd, uint64_t offset, uint64_t length)
{
	struct ipm_recovered arg = { .offset = offset, .length = length };

	return checked_ioctl(fd, IPM_IOC_RECOVERED, &arg);
}

static inline int call_slot(int fd, uint32_t flags, uint32_t *slot, uint32_t *generation)
{
	struct ipm_slot arg = { .flags = flags, .slot = POISON32, .generation = POISON32 };
	int ret = checked_ioctl(fd, IPM_IOC_SLOT, &arg);

	if (!ret && (arg.slot >= IPM_SLOTS_MAX || !arg.generation || arg.generation >> 30)) {
		note("SLOT: slot %u, generation %u", arg.slot, arg.generation);
		ret = wrong_result();
	}
	if (!ret && slot)
		*slot = arg.slot;
	if (!ret && generation)
		*generation = arg.generation;
	return ret;
}

static inline int call_reap(int fd, uint32_t slot, uint32_t generation)
{
	struct ipm_reap arg = { .slot = slot, .generation = generation };

	return checked_ioctl(fd, IPM_IOC_REAP, &arg);
}

static inline int call_ring(int fd, uint64_t bits, uint32_t flags, uint32_t slot)
{
	struct ipm_bell arg = { .bits = bits, .flags = flags, .slot = slot };

	return checked_ioctl(fd, IPM_IOC_RING, &arg);
}

static inline int call_subscribe(int fd, uint64_t bits, uint32_t events)
{
	struct ipm_subscribe arg = { .bits = bits, .events = events };

	return checked_ioctl(fd, IPM_IOC_SUBSCRIBE, &arg);
}

/* --- statements about a segment --- */

/* Who uses the segment of @fd, all of it. */
#define ASSERT_USE(fd, handles_, maps_, claims_, waiters_, doubts_)  \
	do {                                                         \
		struct ipm_info use_;                                \
		ASSERT_EQ(0, call_info(fd, &use_));                  \
		ASSERT_EQ((unsigned int)(handles_), use_.handles);   \
		ASSERT_EQ((unsigned int)(maps_), use_.maps);         \
		ASSERT_EQ((unsigned int)(claims_), use_.claims);     \
		ASSERT_EQ((unsigned int)(waiters_), use_.waiters);   \
		ASSERT_EQ((unsigned int)(doubts_), use_.doubts);     \
	} while (0)

/* Claims on the segment of @fd: how many are held, waited for, in doubt. */
#define ASSERT_CLAIMS(fd, claims_, waiters_, doubts_)                \
	do {                                                         \
		struct ipm_info use_;                                \
		ASSERT_EQ(0, call_info(fd, &use_));                  \
		ASSERT_EQ((unsigned int)(claims_), use_.claims);     \
		ASSERT_EQ((unsigned int)(waiters_), use_.waiters);   \
		ASSERT_EQ((unsigned int)(doubts_), use_.doubts);     \
	} while (0)

#define ASSERT_STATE(fd, state_)                                     \
	do {                                                         \
		struct ipm_info use_;                                \
		ASSERT_EQ(0, call_info(fd, &use_));                  \
		ASSERT_EQ((unsigned int)(state_), use_.state);       \
	} while (0)

#define ASSERT_SIZE(fd, size_)                                       \
	do {                                                         \
		struct ipm_info use_;                                \
		ASSERT_EQ(0, call_info(fd, &use_));                  \
		ASSERT_EQ((uint64_t)(size_), use_.size);             \
	} while (0)

#define ASSERT_FD(fd)		ASSERT_LE(0, fd)
#define ASSERT_MAPPED(address)	ASSERT_NE(MAP_FAILED, (void *)(address))

static inline unsigned int count_waiters(int fd)
{
	struct ipm_info info;

	return call_info(fd, &info) ? UINT32_MAX : info.waiters;
}

/* --- actors --- */

struct actor_order {
	int (*run)(struct actor_order *order);	/* NULL: come to an end */
	int result;
	int fd;
	unsigned long request;
	union {
		char bytes[sizeof(struct ipm_info)];
		struct ipm_claim claim;
		struct ipm_convert convert;
		struct ipm_open open;
		struct ipm_create create;
		uint64_t value;
		void *pointer;
	};
	struct ipm_range ranges[IPM_CLAIM_RANGES_MAX];
	uint64_t release[IPM_CLAIM_RELEASES_MAX];
};

struct actor {
	bool running;
	bool busy;		/* has an order whose result nobody took yet */
	bool thread;
	pthread_t id;
	pid_t pid;		/* of the process, or of the thread as gettid() */
	int orders[2];
	int results[2];
	struct actor_order *order;	/* shared memory, also with a process */
};

/* Runs in the actor. A thread that is to end without a word returns from here. */
static inline void *actor_loop(void *data)
{
	struct actor *actor = data;
	char byte = 0;

	actor->order->result = gettid();
	if (write(actor->results[1], &byte, 1) != 1)
		return NULL;
	for (;;) {
		ssize_t ret = read(actor->orders[0], &byte, 1);

		/* A signal may come when the wait that it was meant for is over. */
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret != 1 || !actor->order->run)
			break;
		actor->order->result = actor->order->run(actor->order);
		if (write(actor->results[1], &byte, 1) != 1)
			break;
	}
	return NULL;
}

/* 1 once the actor has answered; 0 if it has not within @ms; -1 if it never will. */
static inline int actor_answered(struct actor *actor, int ms)
{
	struct pollfd p = { .fd = actor->results[0], .events = POLLIN };
	int ret;

	do
		ret = poll(&p, 1, ms);
	while (ret < 0 && errno == EINTR);
	return ret == 1 ? (p.revents & POLLIN ? 1 : -1) : 0;
}

/* Result of the actor's order, for which it waits; -ETIME if there is none for long. */
static inline int actor_result(struct actor *actor)
{
	char byte;

	if (!actor->busy || actor_answered(actor, PATIENCE_MS) != 1 ||
	    read(actor->results[0], &byte, 1) != 1)
		return -ETIME;
	actor->busy = false;
	return actor->order->result;
}

static inline void do_nothing(int number)
{
	(void)number;
}

static inline int actor_start(struct actor *actor, bool thread)
{
	/* Without SA_RESTART: a signal ends every wait. */
	const struct sigaction action = { .sa_handler = do_nothing };

	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	memset(actor, 0, sizeof(*actor));
	actor->thread = thread;
	actor->order = mmap(NULL, sizeof(*actor->order), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (actor->order == MAP_FAILED)
		return -errno;
	if (pipe2(actor->orders, O_CLOEXEC) || pipe2(actor->results, O_CLOEXEC))
		return -errno;
	if (thread) {
		int error = pthread_create(&actor->id, NULL, actor_loop, actor);

		if (error)
			return -error;
	} else {
		actor->pid = fork();
		if (actor->pid < 0)
			return -errno;
		if (!actor->pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(actor->orders[1]);
			close(actor->results[0]);
			actor_loop(actor);
			_exit(0);
		}
		close(actor->orders[0]);
		close(actor->results[1]);
	}
	actor->running = true;
	actor->busy = true;
	actor->pid = actor_result(actor);
	return actor->pid < 0 ? actor->pid : 0;
}

/* Gives an order, which is filled in already, and does not wait. */
static inline void actor_give(struct actor *actor, int (*run)(struct actor_order *order))
{
	char byte = 0;

	actor->order->run = run;
	actor->busy = true;
	if (write(actor->orders[1], &byte, 1) != 1)
		note("the actor is gone");
}

/* Lets the actor run @run and returns what that returned. */
static inline int actor_do(struct actor *actor, int (*run)(struct actor_order *order))
{
	actor_give(actor, run);
	return actor_result(actor);
}

/* Has the actor come to its end, or forgets one that was killed. */
static inline void actor_forget(struct actor *actor)
{
	/* Only the ends that are ours are still open. */
	close(actor->orders[1]);
	close(actor->results[0]);
	if (actor->thread) {
		close(actor->orders[0]);
		close(actor->results[1]);
	}
	munmap(actor->order, sizeof(*actor->order));
	actor->running = false;
}

/* Ends the actor. It only waits in the kernel still if the test has failed. */
static inline void actor_stop(struct actor *actor)
{
	if (!actor->running)
		return;
	while (actor->busy && !actor_answered(actor, 0)) {
		if (actor->thread)
			pthread_kill(actor->id, SIGUSR1);
		else
			kill(actor->pid, SIGKILL);
		nap();
	}
	actor_give(actor, NULL);
	if (actor->thread)
		pthread_join(actor->id, NULL);
	else
		waitpid(actor->pid, NULL, 0);
	actor_forget(actor);
}

/* When this returns the kernel has cleaned up after the process. */
static inline int actor_kill(struct actor *actor)
{
	int status = -1;

	kill(actor->pid, SIGKILL);
	waitpid(actor->pid, &status, 0);
	actor_forget(actor);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static inline int run_ioctl(struct actor_order *order)
{
	if (order->request == IPM_IOC_CLAIM)
		return call_claim_arg(order->fd, &order->claim);
	return checked_ioctl(order->fd, order->request, order->bytes);
}

static inline int run_close(struct actor_order *order)
{
	return close(order->fd) ? -errno : 0;
}

static inline int actor_close(struct actor *actor, int fd)
{
	actor->order->fd = fd;
	return actor_do(actor, run_close);
}

/* Lets the actor make a claim, and does not wait. */
static inline void actor_give_claim(struct actor *actor, int fd, struct ipm_claim arg)
{
	actor->order->fd = fd;
	actor->order->request = IPM_IOC_CLAIM;
	if (arg.nr_ranges) {
		memcpy(actor->order->ranges, (void *)(uintptr_t)arg.ranges,
		       arg.nr_ranges * sizeof(struct ipm_range));
		arg.ranges = (uintptr_t)actor->order->ranges;
	}
	if (arg.nr_release) {
		memcpy(actor->order->release, (void *)(uintptr_t)arg.release,
		       arg.nr_release * sizeof(uint64_t));
		arg.release = (uintptr_t)actor->order->release;
	}
	actor->order->claim = arg;
	actor_give(actor, run_ioctl);
}

static inline int actor_claim(struct actor *actor, int fd, uint64_t offset, uint64_t length,
			      uint32_t mode, uint32_t flags, uint64_t *id)
{
	int ret;

	actor_give_claim(actor, fd, claim_arg(offset, length, mode, flags));
	ret = actor_result(actor);
	if (!ret && id)
		*id = actor->order->claim.id;
	return ret;
}

static inline void actor_give_convert(struct actor *actor, int fd, uint64_t id, uint32_t mode,
				      uint32_t flags, int64_t deadline)
{
	actor->order->fd = fd;
	actor->order->request = IPM_IOC_CONVERT;
	actor->order->convert = (struct ipm_convert) {
		.id = id, .mode = mode, .flags = flags, .deadline = deadline, .result = POISON32,
	};
	actor_give(actor, run_ioctl);
}

static inline int actor_release(struct actor *actor, int fd, uint64_t id)
{
	struct ipm_release arg = { .id = id };

	actor->order->fd = fd;
	actor->order->request = IPM_IOC_RELEASE;
	memcpy(actor->order->bytes, &arg, sizeof(arg));
	return actor_do(actor, run_ioctl);
}

/*
 * The actor makes this claim and has to wait; it is then the last of
 * @waiters_ that wait on the segment.
 */
#define ASSERT_WAITS(actor, fd_, offset_, length_, mode_, waiters_)                             \
	ASSERT_WAITS_ARG(actor, fd_, claim_arg(offset_, length_, mode_, 0), waiters_)

#define ASSERT_WAITS_ARG(actor, fd_, arg_, waiters_)                                            \
	do {                                                                                    \
		actor_give_claim(actor, fd_, arg_);                                             \
		ASSERT_WAITING(actor, fd_, waiters_);                                           \
	} while (0)

#define ASSERT_WAITING(actor, fd_, waiters_)                                                    \
	do {                                                                                    \
		unsigned int wanted_ = (waiters_);                                              \
		wait_until(count_waiters(fd_) >= wanted_ || actor_answered(actor, 0));          \
		ASSERT_EQ(0, actor_answered(actor, 0)) {                                        \
			note("it did not wait, result %d", (actor)->order->result);             \
		}                                                                               \
		ASSERT_EQ(wanted_, count_waiters(fd_));                                         \
	} while (0)

/* The claim that the actor waited for is granted with this result; @id gets its number. */
#define ASSERT_GRANTED(actor, result_, id_)                                                     \
	do {                                                                                    \
		ASSERT_EQ(0, actor_result(actor));                                              \
		ASSERT_EQ((unsigned int)(result_), (actor)->order->claim.result);               \
		*(id_) = (actor)->order->claim.id;                                              \
	} while (0)

/* --- who one is --- */

/* Gives up root for good; capabilities go with it. */
static inline int become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

/* Runs statements in a child process; its exit status is 0 if all is well. */
#define IN_CHILD(...)                                                         \
	({                                                                    \
		pid_t in_child_pid = fork();                                  \
		int in_child_status = -1;                                     \
		if (!in_child_pid) {                                          \
			prctl(PR_SET_PDEATHSIG, SIGKILL);                     \
			__VA_ARGS__;                                          \
			_exit(0);                                             \
		}                                                             \
		waitpid(in_child_pid, &in_child_status, 0);                   \
		in_child_status;                                              \
	})

/* A process with a number that is free, -1 if that is not allowed or not possible. */
static inline pid_t fork_with_pid(pid_t wanted)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&wanted, .set_tid_size = 1,
	};

	return syscall(SYS_clone3, &args, sizeof(args));
}

/* In a child: leaves with a message when something is not as expected. */
#define CHECK(expected, seen)                                                            \
	do {                                                                             \
		long long check_expected = (expected), check_seen = (seen);              \
		if (check_expected != check_seen) {                                      \
			note("in a child: expected %s (%lld), %s is %lld", #expected,    \
			     check_expected, #seen, check_seen);                         \
			_exit(1);                                                        \
		}                                                                        \
	} while (0)

/* --- file descriptors over a socket --- */

static inline int send_fd(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -errno;
}

static inline int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -ENOMSG;
	memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

#endif /* IPM_TEST_H */
