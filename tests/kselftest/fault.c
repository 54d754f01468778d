// SPDX-License-Identifier: GPL-2.0
/*
 * What happens when the kernel runs out of memory, or cannot copy, in the
 * middle of a call: for n = 1, 2, ... the nth place in the call where that can
 * happen fails, until the call has no nth one. However it fails, it returns an
 * error that the ABI header names, and nothing has changed: not the segment,
 * not who holds and waits, not what is charged, not a file descriptor or a
 * mapping. Where it gets through, it has done all that it should. Who listens
 * hears of what was done, is told how much he missed, and hears nothing of what
 * was not done. A list is whole, or its reader is told that it is not.
 *
 * The kernel's fault injection does it, through /proc/thread-self/fail-nth. A
 * kernel without it skips these tests.
 *
 * Each call is tried twice with each n: once nothing else fails, and once from the nth
 * place on no allocation succeeds any more, so that what is tried instead of one fails,
 * too. IPM_STRIDE=k tries every kth n only, not the same ones of each call, and once.
 *
 * vm: TIMEOUT=3000
 */
#include "module_test.h"
#include "netlink_test.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define NAME		"test-fault"
#define OTHER_NAME	"test-fault-other"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define FAIL_ON		"/proc/thread-self/make-it-fail"
#define DEBUGFS		"/sys/kernel/debug/"
#define SIZE		(2 * PAGE)
#define CAPACITY	(64 * PAGE)

/* More places than any call has. */
#define STEPS_MAX	4000

/* Bytes for one read of netlink: what fills the first two messages of a list. */
#define ROOM		8192

#define ALL_GROUPS	(IPM_NL_GROUP_LIFE | IPM_NL_GROUP_CLAIMS | IPM_NL_GROUP_DEATHS)

/*
 * Without restartable sequences: for those the kernel writes into a thread's memory when
 * it was interrupted, and kills who has none for it, such as for the copy of a page that
 * a fork shared.
 */
__attribute__((constructor)) static void without_rseq(int argc, char **argv)
{
	static const char name[] = "GLIBC_TUNABLES", off[] = "glibc.pthread.rseq=0";
	const char *value = getenv(name);

	(void)argc;
	if (value && !strcmp(value, off))
		return;
	setenv(name, off, 1);
	execv("/proc/self/exe", argv);
	abort();
}

/* Since Linux 5.14; not every libc has it. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

/* --- faults --- */

static int fail_nth = -1, fail_on = -1;

/* The nth place is not the only one that fails, but the first. */
static bool from_on;

/* What is to fail. Nothing else counts @times down. */
static const struct {
	const char *name;
	const char *times;
} kinds[] = {
	{ "slab", DEBUGFS "failslab/times" },
	{ "page", DEBUGFS "fail_page_alloc/times" },
	{ "copy", DEBUGFS "fail_usercopy/times" },
};

#define KINDS	ARRAY_LENGTH(kinds)

/*
 * As often they may fail in one call: who tries again and again, such as a page fault,
 * is through then.
 */
#define TIMES	200

/* How often they have failed. */
static unsigned int injected[KINDS];

static const struct {
	const char *path;
	const char *value;
} settings[] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_usercopy/verbose", "0" },
	/* For a task that says so, where no nth place is to come. A copy can always be made. */
	{ DEBUGFS "failslab/task-filter", "Y" },
	{ DEBUGFS "failslab/probability", "100" },
	{ DEBUGFS "fail_page_alloc/task-filter", "Y" },
	{ DEBUGFS "fail_page_alloc/probability", "100" },
};

/* NULL, or why no faults can be had. */
static const char *faults_setup(void)
{
	static char why[200];

	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(settings); i++) {
		if (write_text(settings[i].path, settings[i].value)) {
			snprintf(why, sizeof(why), "this kernel injects no faults: no %s",
				 settings[i].path);
			return why;
		}
	}
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	fail_on = open(FAIL_ON, O_RDWR | O_CLOEXEC);
	return fail_nth < 0 || fail_on < 0 ? "this kernel injects no faults: no " FAIL_NTH : NULL;
}

/* Every how manyth n is tried. */
static unsigned int stride(void)
{
	const char *text = getenv("IPM_STRIDE");

	return text && atoi(text) > 0 ? atoi(text) : 1;
}

/* The nth place from here fails. */
static void arm(unsigned int nth)
{
	char text[16];
	/* To say that more is to fail is a copy: the first place. */
	int length = snprintf(text, sizeof(text), "%u", nth + from_on);

	if (pwrite(fail_nth, text, length, 0) != length ||
	    (from_on && pwrite(fail_on, "1", 1, 0) != 1))
		abort();
}

/* The same in a child, which needs the file anew. */
static void arm_child(unsigned int nth)
{
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	arm(nth);
}

/* More than there are ever. */
#define NEVER	100000000U

/* How many places have been passed since arm(NEVER). */
static unsigned int places(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 1)
		abort();
	return NEVER - atoi(text);
}

/* No more faults. Returns whether there was an nth place. */
static bool disarm(void)
{
	char text[16] = "";
	ssize_t length = pread(fail_nth, text, sizeof(text) - 1, 0);
	bool came = length > 0 && atoi(text) == 0;

	/* To read and to write are copies, too: they may be the nth. */
	while (from_on && pwrite(fail_on, "0", 1, 0) != 1)
		;
	while (pwrite(fail_nth, "0", 1, 0) != 1)
		;
	return came;
}

static int let_fail(void)
{
	int ret = 0;

	for (size_t i = 0; i < KINDS; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%u", TIMES);
		ret |= write_text(kinds[i].times, text);
	}
	return ret;
}

static void count_failed(void)
{
	for (size_t i = 0; i < KINDS; i++) {
		char text[32];

		injected[i] += TIMES - atoi(read_text(kinds[i].times, text, sizeof(text)));
	}
}

/* --- the world in which one call is made --- */

struct world;

/*
 * @prepare makes what the call needs. @expected is what it returns without a
 * fault, and @errors are those it may return with one, beside ENOMEM and EFAULT.
 *
 * Where the result can only be told when it is too late to undo, @done says of
 * a call that failed with EFAULT whether it was done. It tried before whether
 * the result can be told; so this happens to those who take their memory away
 * during the call.
 *
 * @stranger: a user calls whom the module does not know, and has to get to know.
 * @loses: another part of the kernel may drop the file while it fails.
 * @touches: a page may be there although it could not be mapped.
 * @splits: a mapping may be in parts although they all stayed.
 * @moment: what was done and undone was there for a moment, and may be told.
 * @after: what has to hold after it with that result, and no fault any more.
 * @request: the ioctl that it tries.
 * @command: that of netlink, and whether for the one segment @only.
 */
struct step {
	const char *name;
	int (*prepare)(struct world *w);
	int (*run)(struct world *w);
	int expected;
	int errors[2];
	bool (*done)(struct world *w);
	bool (*after)(struct world *w, int ret);
	unsigned long request;
	uint8_t command;
	bool only;
	bool stranger;
	bool loses;
	bool touches;
	bool splits;
	bool moment;
};

/* What a list has, but for what changes with time. */
struct digest {
	int nr;
	uint64_t hash;
};

struct world {
	const struct step *step;
	int dev;
	int fd;		/* read-write, its claims are those of the tests */
	int other;	/* another handle */
	int reader;	/* a third, read-only */
	int pair[2];
	uint64_t ids[4];
	pid_t child;
	void *map;
	size_t mapped;
	int had;	/* a file descriptor from before the call, */
	int got;	/* and one that it returned; or -1 */
	int more[48];	/* handles that make a list long */
	int nr_more;
	uint32_t id;	/* of the segment */
	uint32_t slot;	/* of the other handle */
	struct nl ear;	/* hears events */
	struct nl nl;	/* asks */
	struct digest list;
	char bytes[4096];
};

/* The family's number. */
static uint16_t family;

static int open_netlink(struct nl *nl)
{
	/* Nothing that fails is to become a wait for ever. */
	const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	int ret = nl_socket(nl, ROOM);

	nl->family = family;
	if (!ret && setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		ret = -errno;
	return ret;
}

static void world_make(struct __test_metadata *_metadata, struct world *w)
{
	struct ipm_info info;

	memset(w, 0, sizeof(*w));
	w->had = -1;
	w->got = -1;
	w->nl.fd = -1;
	w->ear.fd = -1;
	w->dev = open_device();
	ASSERT_FD(w->dev);
	w->fd = make_named(w->dev, NAME, SIZE, CAPACITY);
	ASSERT_FD(w->fd);
	ASSERT_EQ(0, call_info(w->fd, &info));
	w->id = info.ref.id;
	w->other = call_open(w->dev, ref_name(NAME), IPM_READ_WRITE);
	ASSERT_FD(w->other);
	w->reader = call_reopen(w->fd, IPM_READ_ONLY);
	ASSERT_FD(w->reader);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->pair));
}

static void world_end(struct world *w)
{
	struct ipm_mapping map = { 0 };

	if (w->child > 0)
		waitpid(w->child, NULL, 0);
	if (w->map)
		munmap(w->map, w->mapped);
	/* One that was moved may be at its old place, too, when that could not be unmapped. */
	while (!checked_ioctl(w->dev, IPM_IOC_MAPPING, &map)) {
		munmap((void *)(uintptr_t)map.address, map.length);
		map = (struct ipm_mapping) { 0 };
	}
	if (w->had >= 0)
		close(w->had);
	if (w->got >= 0)
		close(w->got);
	while (w->nr_more)
		close(w->more[--w->nr_more]);
	if (w->nl.fd >= 0)
		nl_close(&w->nl);
	if (w->ear.fd >= 0)
		nl_close(&w->ear);
	call_remove(w->dev, ref_name(OTHER_NAME));
	/* It may have become persistent. */
	call_remove(w->fd, ref_none());
	close(w->pair[0]);
	close(w->pair[1]);
	close(w->reader);
	close(w->other);
	close(w->fd);
	close(w->dev);
}

static int count_our_maps(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[600];
	int n = 0;

	while (file && fgets(line, sizeof(line), file))
		n += !!strstr(line, "ipm");
	if (file)
		fclose(file);
	return n;
}

/* All that can be seen of it. */
struct state {
	struct counts counts;
	struct ipm_limits limits;
	struct ipm_info info;
	struct ipm_doubt_range doubts[8];
	int doubt_entries;
	int by_other_name;
	int fds;
	int maps;
	short revents[3];
	char fdinfo[3][2048];
};

static void fdinfo_of(int fd, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	read_text(path, text, size);
}

static void look(struct __test_metadata *_metadata, struct world *w, struct state *s)
{
	int fds[] = { w->fd, w->other, w->reader };
	struct ipm_info other;

	memset(s, 0, sizeof(*s));
	s->counts = read_counts();
	ASSERT_EQ(0, call_limits(w->dev, &s->limits));
	ASSERT_EQ(0, call_info(w->fd, &s->info));
	/* A mapping that was made and taken back was there for a moment. */
	s->info.attach_time = 0;
	s->info.detach_time = 0;
	s->info.last_pid = 0;
	s->info.waits = 0;
	s->info.wait_ns = 0;
	if (w->step->touches)
		s->info.resident = 0;
	s->doubt_entries = call_doubt(w->fd, 0, 0, s->doubts, 8);
	s->by_other_name = call_info_by(w->dev, ref_name(OTHER_NAME), &other);
	s->fds = count_fds();
	s->maps = count_our_maps();
	if (w->step->splits) {
		/* As many as there are. */
		ASSERT_EQ((uint32_t)s->maps, s->info.maps);
		ASSERT_EQ(s->maps, count_of("maps"));
		memset(&s->counts, 0, sizeof(s->counts));
		s->info.maps = 0;
		s->maps = 0;
	}
	for (int i = 0; i < 3; i++) {
		struct pollfd p = { .fd = fds[i], .events = POLLIN };

		ASSERT_LE(0, poll(&p, 1, 0));
		s->revents[i] = p.revents;
		fdinfo_of(fds[i], s->fdinfo[i], sizeof(s->fdinfo[i]));
	}
}

/* Says in which part two states differ, if they do. */
static bool same(const struct state *a, const struct state *b)
{
	const char *what = NULL;

	if (memcmp(&a->counts, &b->counts, sizeof(a->counts)))
		what = "counts";
	else if (memcmp(&a->limits, &b->limits, sizeof(a->limits)))
		what = "limits";
	else if (memcmp(&a->info, &b->info, sizeof(a->info)))
		what = "info";
	else if (a->doubt_entries != b->doubt_entries ||
		 memcmp(a->doubts, b->doubts, sizeof(a->doubts)))
		what = "bytes in doubt";
	else if (a->by_other_name != b->by_other_name)
		what = "other segment";
	else if (a->fds != b->fds)
		what = "file descriptors";
	else if (a->maps != b->maps)
		what = "mappings";
	else if (memcmp(a->revents, b->revents, sizeof(a->revents)))
		what = "events";
	else if (memcmp(a->fdinfo, b->fdinfo, sizeof(a->fdinfo)))
		what = "fdinfo";
	if (what)
		note("%s changed", what);
	return !what;
}

/* The status page agrees with what INFO tells. */
static void status_agrees(struct __test_metadata *_metadata, struct world *w)
{
	const struct ipm_status *status = mmap(NULL, IPM_STATUS_SIZE, PROT_READ, MAP_SHARED, w->fd,
					       IPM_STATUS_OFFSET);
	struct ipm_info info;

	ASSERT_MAPPED(status);
	ASSERT_EQ(0, call_info(w->fd, &info));
	ASSERT_EQ(info.size, status->size);
	ASSERT_EQ(info.capacity, status->capacity);
	ASSERT_EQ(info.state, status->state);
	ASSERT_EQ(info.handles, status->handles);
	ASSERT_EQ(info.maps, status->maps);
	ASSERT_EQ(info.claims, status->claims);
	ASSERT_EQ(info.waiters, status->waiters);
	ASSERT_EQ(0, status->sequence & 1);
	ASSERT_EQ(0, munmap((void *)status, IPM_STATUS_SIZE));
}

/* --- what is heard of a call --- */

/* A segment whose only use is that something happens to it. */
static int bell = -1;
static uint32_t bell_id;

struct heard {
	unsigned int told;	/* events */
	unsigned int lost;	/* events that were not told, and it was said how many */
	unsigned int numbers;	/* of both, as their numbers have it */
};

struct hearing {
	struct heard *heard;
	bool rang;
};

static void hear_event(struct hearing *h, struct nlmsghdr *m)
{
	uint64_t event = nl_num(m, IPM_NL_A_EVENT);

	if (event == IPM_NL_EVENT_LOST)
		h->heard->lost += nl_num(m, IPM_NL_A_COUNT);
	else if (event == IPM_NL_EVENT_SET && nl_num(m, IPM_NL_A_SEGMENT) == bell_id)
		h->rang = true;
	else
		h->heard->told++;
}

/* Reads events until the bell, or with @answer the answer to a request, has come. */
static int hear_until(struct nl *nl, struct hearing *h, bool answer)
{
	for (;;) {
		ssize_t left = nl_read(nl, 0);
		struct nlmsghdr *m = (struct nlmsghdr *)nl->buffer;

		if (left < 0)
			return left;
		for (; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
			if (answer && m->nlmsg_seq == nl->seq) {
				/* Of its own number. */
				h->heard->numbers = nl_num(m, IPM_NL_A_SEQ);
				return 0;
			}
			hear_event(h, m);
		}
		if (!answer && h->rang)
			return 0;
	}
}

/*
 * All that was told so far. What was lost may be told after the bell, but is
 * counted by then.
 */
static int hear_all(struct nl *nl, struct heard *heard)
{
	struct request r = request_new(nl->family, 0, IPM_NL_CMD_SUBSCRIBE, IPM_NL_VERSION);
	struct hearing h = { .heard = heard };
	int ret;

	memset(heard, 0, sizeof(*heard));
	ret = call_set(bell, IPM_SET_MODE, 0600, 0, 0, 0);
	if (!ret)
		ret = hear_until(nl, &h, false);
	if (!ret)
		ret = nl_send(nl, &r);
	if (!ret)
		ret = hear_until(nl, &h, true);
	/* The bell has one, too. */
	heard->numbers--;
	return ret;
}

/* --- the calls --- */

/* The prepared claims: four of one byte each, of @fd, the last a reader's. */
static int have_claims(struct world *w)
{
	for (int i = 0; i < 4; i++) {
		int ret = call_claim(w->fd, 10 * i, 1, i < 3 ? WRITE : READ, 0, &w->ids[i]);

		if (ret)
			return ret;
	}
	return 0;
}

static int have_other_claim(struct world *w)
{
	return call_claim(w->other, 0, 100, WRITE, 0, &w->ids[0]);
}

static int have_pending(struct world *w)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC);
	int ret = have_other_claim(w);

	arg.cookie = 7;
	if (!ret)
		ret = call_claim_arg(w->fd, &arg);
	w->ids[1] = arg.id;
	return ret;
}

static int have_granted(struct world *w)
{
	int ret = have_pending(w);

	return ret ? ret : call_release(w->other, w->ids[0]);
}

static int have_private(struct world *w)
{
	w->had = make_private(w->dev, PAGE, PAGE);
	return w->had < 0 ? w->had : 0;
}

static int have_other_segment(struct world *w)
{
	w->had = make_named(w->dev, OTHER_NAME, PAGE, PAGE);
	return w->had < 0 ? w->had : 0;
}

static int have_doubt(struct world *w)
{
	int status = IN_CHILD({
		CHECK(0, call_claim(w->other, 0, 10, WRITE, 0, NULL));
		CHECK(0, call_claim(w->other, 20, 10, WRITE, 0, NULL));
	});

	return status ? -ECHILD : call_claim(w->fd, 0, 100, WRITE, 0, &w->ids[0]);
}

static int have_slot(struct world *w)
{
	return call_slot(w->fd, 0, NULL, NULL);
}

static int have_dead_slot(struct world *w)
{
	int fd = call_reopen(w->fd, IPM_READ_WRITE), ret = call_slot(fd, 0, NULL, NULL);

	close(fd);
	return fd < 0 ? fd : ret;
}

static int have_subscription(struct world *w)
{
	return call_subscribe(w->other, ~0ULL, IPM_HEAR_CHANGED);
}

static int have_bell(struct world *w)
{
	int ret = have_subscription(w);

	return ret ? ret : call_ring(w->fd, 5, 0, 0);
}

static int have_slot_bell(struct world *w)
{
	int ret = have_subscription(w);

	return ret ? ret : call_slot(w->other, 0, &w->slot, NULL);
}

static int have_one_doubt(struct world *w)
{
	return IN_CHILD(CHECK(0, call_claim(w->other, 0, 10, WRITE, 0, NULL))) ? -ECHILD : 0;
}

static int have_no_wait(struct world *w)
{
	return fcntl(w->fd, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static int have_epoll(struct world *w)
{
	w->had = epoll_create1(EPOLL_CLOEXEC);
	return w->had < 0 ? -errno : 0;
}

static int have_reading_device(struct world *w)
{
	w->had = open(DEVICE, O_RDONLY | O_CLOEXEC);
	return w->had < 0 ? -errno : 0;
}

static int have_untouched_map(struct world *w)
{
	w->mapped = PAGE;
	w->map = mmap(NULL, w->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	return w->map == MAP_FAILED ? -errno : 0;
}

static int have_untouched_status(struct world *w)
{
	w->mapped = IPM_STATUS_SLOTS_SIZE;
	w->map = mmap(NULL, w->mapped, PROT_READ, MAP_SHARED, w->fd, IPM_STATUS_OFFSET);
	return w->map == MAP_FAILED ? -errno : 0;
}

static int have_map(struct world *w)
{
	w->mapped = 4 * PAGE;
	w->map = mmap(NULL, w->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	if (w->map == MAP_FAILED)
		return -errno;
	memset(w->map, 1, SIZE);
	return 0;
}

static int have_message(struct world *w)
{
	int fd = call_reopen(w->fd, IPM_READ_WRITE), ret = send_fd(w->pair[0], fd);

	close(fd);
	return fd < 0 ? fd : ret;
}

static void digest_message(struct nlmsghdr *m, void *data)
{
	char *at = (char *)NLMSG_DATA(m) + GENL_HDRLEN, *end = (char *)m + m->nlmsg_len;
	struct digest *list = data;

	list->nr++;
	while (end - at >= NLA_HDRLEN) {
		struct nlattr *attr = (struct nlattr *)at;
		char *bytes = at;

		at += NLA_ALIGN(attr->nla_len);
		/* The second is that of the bell. */
		if (attr->nla_type == IPM_NL_A_AGE || attr->nla_type == IPM_NL_A_CHANGE_TIME)
			continue;
		for (; bytes < at; bytes++)
			list->hash = (list->hash ^ (unsigned char)*bytes) * 0x100000001b3ULL;
	}
}

/* Asks for the list of the step. */
static int get_list(struct world *w, struct digest *list);

/* The list that is asked for, as it is. */
static int have_list(struct world *w)
{
	int ret = open_netlink(&w->nl);

	if (!ret)
		ret = get_list(w, &w->list);
	return ret < 0 ? ret : 0;
}

static int have_segments(struct world *w)
{
	while (w->nr_more < 30) {
		int fd = make_private(w->dev, PAGE, 0);

		if (fd < 0)
			return fd;
		w->more[w->nr_more++] = fd;
	}
	return have_list(w);
}

static int have_handles(struct world *w)
{
	while (w->nr_more < (int)ARRAY_LENGTH(w->more)) {
		int fd = call_reopen(w->fd, IPM_READ_ONLY);

		if (fd < 0)
			return fd;
		w->more[w->nr_more++] = fd;
	}
	return have_list(w);
}

static int have_many_claims(struct world *w)
{
	int ret = 0;

	for (int i = 0; i < 100 && !ret; i++)
		ret = call_claim(w->fd, 10 * i, 1, WRITE, 0, NULL);
	return ret ? ret : have_list(w);
}

static int have_many_waiters(struct world *w)
{
	int ret = call_claim(w->fd, 0, 1000, WRITE, 0, NULL);

	for (int i = 0; i < 80 && !ret; i++)
		ret = call_claim(w->other, 10 * i, 1, WRITE, IPM_CLAIM_ASYNC, NULL);
	return ret ? ret : have_list(w);
}

static int have_many_doubts(struct world *w)
{
	int status = IN_CHILD({
		for (int i = 0; i < IPM_DOUBT_MAX; i++)
			CHECK(0, call_claim(w->other, 20 * i, 10, WRITE, 0, NULL));
	});

	return status ? -ECHILD : have_list(w);
}

static int have_socket(struct world *w)
{
	return open_netlink(&w->nl);
}

static int have_listener(struct world *w)
{
	int ret = open_netlink(&w->nl);

	return ret ? ret : (int)nl_subscribe(&w->nl, IPM_NL_GROUP_DEATHS, w->id);
}

static int keep_fd(struct world *w, int fd)
{
	if (fd < 0)
		return fd;
	w->got = fd;
	return 0;
}

static int run_open_device(struct world *w)
{
	return keep_fd(w, open_device());
}

static int run_close_device(struct world *w)
{
	int ret = close(w->had) ? -errno : 0;

	w->had = -1;
	return ret;
}

static int run_version(struct world *w)
{
	struct ipm_version version;

	return call_version(w->fd, &version);
}

static int run_limits(struct world *w)
{
	struct ipm_limits limits;

	return call_limits(w->dev, &limits);
}

static int run_create_name(struct world *w)
{
	return keep_fd(w, call_create(w->dev, ref_name(OTHER_NAME), PAGE, 4 * PAGE, 0,
				      IPM_READ_WRITE, 0600, NULL));
}

static int run_create_reader(struct world *w)
{
	return keep_fd(w, call_create(w->dev, ref_name(OTHER_NAME), PAGE, 0,
				      IPM_CREATE_PERSISTENT | IPM_CREATE_NORESERVE, IPM_READ_ONLY,
				      0600, NULL));
}

static int run_create_key(struct world *w)
{
	return keep_fd(w, call_create(w->dev, ref_key(77), PAGE, 0, IPM_CREATE_EXCLUSIVE,
				      IPM_READ_WRITE, 0600, NULL));
}

static int run_create_pages(struct world *w)
{
	return keep_fd(w, call_create(w->dev, ref_none(), 3 * PAGE, 0, IPM_CREATE_PREALLOCATE,
				      IPM_READ_WRITE, 0600, NULL));
}

static int run_create_empty(struct world *w)
{
	return keep_fd(w, call_create(w->dev, ref_none(), 0, PAGE,
				      IPM_CREATE_EMPTY | IPM_CREATE_NO_CLOEXEC, IPM_READ_WRITE,
				      0600, NULL));
}

static int run_create_opens(struct world *w)
{
	return keep_fd(w, call_create(w->dev, ref_name(NAME), 1, 0, 0, IPM_READ_ONLY, 0600, NULL));
}

static int run_open(struct world *w)
{
	return keep_fd(w, call_open(w->dev, ref_name(NAME), IPM_READ_WRITE));
}

static int run_open_id(struct world *w)
{
	return keep_fd(w, call_open_or_reopen(w->dev, IPM_IOC_OPEN, ref_id(w->id),
					      IPM_OPEN_REMOVED, IPM_READ_ONLY, NULL));
}

static int run_reopen(struct world *w)
{
	return keep_fd(w, call_reopen(w->fd, IPM_READ_WRITE));
}

/* The segment's first reader has a file opened for it. */
static int run_first_reader(struct world *w)
{
	return keep_fd(w, call_open(w->dev, ref_name(OTHER_NAME), IPM_READ_ONLY));
}

static int run_remove(struct world *w)
{
	return call_remove(w->dev, ref_name(OTHER_NAME));
}

static int run_remove_own(struct world *w)
{
	return call_remove(w->fd, ref_none());
}

static int run_info(struct world *w)
{
	struct ipm_info info;

	return call_info_by(w->dev, ref_name(NAME), &info);
}

static int run_info_handle(struct world *w)
{
	struct ipm_info info;

	return call_info(w->reader, &info);
}

static int info_flags(struct world *w, uint32_t flags)
{
	struct ipm_info info;

	memset(&info, POISON, sizeof(info));
	info.ref = ref_id(w->id);
	info.flags = flags;
	info.reserved = 0;
	return checked_ioctl(w->dev, IPM_IOC_INFO, &info);
}

static int run_info_next(struct world *w)
{
	return info_flags(w, IPM_INFO_NEXT | IPM_INFO_REMOVED);
}

static int run_info_find(struct world *w)
{
	return info_flags(w, IPM_INFO_FIND | IPM_INFO_READ);
}

static int run_mapping(struct world *w)
{
	struct ipm_mapping m = { .address = (uintptr_t)w->map };
	int ret = checked_ioctl(w->dev, IPM_IOC_MAPPING, &m);

	return ret ? ret : m.id == w->id && m.length == w->mapped ? 0 : -EBADMSG;
}

static int run_link(struct world *w)
{
	return call_link(w->had, ref_name(OTHER_NAME));
}

static int run_link_key(struct world *w)
{
	return call_link(w->had, ref_key(78));
}

static int run_set(struct world *w)
{
	return call_set(w->fd, IPM_SET_MODE | IPM_SET_UID | IPM_SET_GID, 0640, 5, 6, 0);
}

static int run_set_id(struct world *w)
{
	struct ipm_set arg = { .what = IPM_SET_MODE, .mode = 0640, .id = w->id };

	return checked_ioctl(w->dev, IPM_IOC_SET, &arg);
}

static int run_set_lifetime(struct world *w)
{
	return call_set(w->fd, IPM_SET_LIFETIME, 0, 0, 0, 1);
}

static int run_grow(struct world *w)
{
	return call_grow(w->fd, 8 * PAGE, 0);
}

static int run_grow_pages(struct world *w)
{
	return call_grow(w->fd, 8 * PAGE, IPM_GROW_PREALLOCATE);
}

static int run_claim(struct world *w)
{
	return call_claim(w->fd, 0, 100, WRITE, 0, NULL);
}

static int claim_ranges(struct world *w, uint32_t nr)
{
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	struct ipm_range ranges[IPM_CLAIM_RANGES_MAX];

	for (uint32_t i = 0; i < nr; i++)
		ranges[i] = (struct ipm_range) { .offset = 2 * i, .length = 1, .mode = i & 1 };
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = nr;
	return call_claim_arg(w->fd, &arg);
}

static int run_claim_two(struct world *w)
{
	return claim_ranges(w, 2);
}

static int run_claim_most(struct world *w)
{
	return claim_ranges(w, IPM_CLAIM_RANGES_MAX);
}

static int run_claim_async(struct world *w)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC | IPM_CLAIM_DEADLINE);

	arg.deadline = in_ms(600000);
	return call_claim_arg(w->fd, &arg);
}

static int run_claim_waits(struct world *w)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_DEADLINE | IPM_CLAIM_NO_DEADLOCK);

	arg.deadline = in_ms(2);
	return call_claim_arg(w->fd, &arg);
}

static int run_claim_deadlock(struct world *w)
{
	return call_claim(w->fd, 0, 10, WRITE, 0, NULL);
}

static int run_claim_try(struct world *w)
{
	return call_claim(w->fd, 0, 10, READ, IPM_CLAIM_TRY, NULL);
}

static int run_claim_release(struct world *w)
{
	struct ipm_claim arg = claim_arg(1000, 10, WRITE, 0);

	arg.release = (uintptr_t)w->ids;
	arg.nr_release = 4;
	return call_claim_arg(w->fd, &arg);
}

static bool claims_changed(struct world *w)
{
	struct ipm_info info;

	/* The old ones were released, the new one could not be told and was, too. */
	return !call_info(w->fd, &info) && !info.claims;
}

static int run_convert_up(struct world *w)
{
	return call_convert(w->fd, w->ids[3], WRITE, 0, 0, NULL);
}

static bool converted_up(struct world *w)
{
	uint64_t id = 0;
	bool writes = call_claim(w->other, 30, 1, READ, IPM_CLAIM_TRY, &id) == -EAGAIN;

	if (!writes)
		call_release(w->other, id);
	return writes;
}

static int run_convert_down(struct world *w)
{
	return call_convert(w->fd, w->ids[0], READ, 0, 0, NULL);
}

static bool converted_down(struct world *w)
{
	uint64_t id = 0;
	bool reads = call_claim(w->other, 0, 1, READ, IPM_CLAIM_TRY, &id) == 0;

	if (reads)
		call_release(w->other, id);
	return reads;
}

static int run_release(struct world *w)
{
	return call_release(w->fd, w->ids[0]);
}

static int run_cancel(struct world *w)
{
	return call_release(w->fd, w->ids[1]);
}

static int run_release_all(struct world *w)
{
	int ret = call_release_all(w->fd);

	return ret == 4 ? 0 : ret;
}

static int run_clear(struct world *w)
{
	int ret = call_clear_claims(w->other);

	return ret == 4 ? 0 : ret;
}

static int run_collect(struct world *w)
{
	return call_collect(w->fd, w->ids[1], NULL);
}

static int run_doubt(struct world *w)
{
	struct ipm_doubt_range list[8];
	int ret = call_doubt(w->fd, 0, 0, list, 8);

	return ret == 2 ? 0 : ret;
}

static int run_recovered(struct world *w)
{
	return call_recovered(w->fd, 2, 3);
}

static int run_slot(struct world *w)
{
	return call_slot(w->fd, 0, NULL, NULL);
}

static int run_slot_give(struct world *w)
{
	return call_slot(w->fd, IPM_SLOT_GIVE, NULL, NULL);
}

static int run_reap(struct world *w)
{
	return call_reap(w->fd, 0, 1);
}

static int run_ring(struct world *w)
{
	return call_ring(w->fd, 5, 0, 0);
}

static int run_ring_slot(struct world *w)
{
	return call_ring(w->fd, 5, IPM_BELL_SLOT, w->slot);
}

static int run_subscribe(struct world *w)
{
	return call_subscribe(w->fd, 5, IPM_HEAR_DEATH);
}

static int read_events(int fd, int nr)
{
	struct ipm_event events[3];
	ssize_t ret = read(fd, events, sizeof(events));

	return ret < 0 ? -errno : ret == nr * (ssize_t)sizeof(events[0]) ? 0 : -EBADMSG;
}

static int run_read_bell(struct world *w)
{
	return read_events(w->other, 1);
}

static int run_read_claim(struct world *w)
{
	return read_events(w->fd, 1);
}

static int run_read_nothing(struct world *w)
{
	return read_events(w->fd, 0);
}

static int run_epoll(struct world *w)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(w->had, EPOLL_CTL_ADD, w->fd, &event) ? -errno : 0;
}

static int run_poll(struct world *w)
{
	struct pollfd p[2] = {
		{ .fd = w->fd, .events = POLLIN }, { .fd = w->other, .events = POLLIN },
	};
	int ret = poll(p, 2, 0);

	return ret < 0 ? -errno : ret == 1 ? 0 : -EBADMSG;
}

static int run_fdinfo(struct world *w)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	w->got = fd;
	return read(fd, w->bytes, sizeof(w->bytes)) < 0 ? -errno : 0;
}

static int keep_map(struct world *w, void *map, size_t size)
{
	if (map == MAP_FAILED)
		return -errno;
	w->map = map;
	w->mapped = size;
	return 0;
}

static int run_mmap(struct world *w)
{
	return keep_map(w, mmap(NULL, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0),
			CAPACITY);
}

static int run_mmap_reader(struct world *w)
{
	return keep_map(w, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, w->reader, 0), PAGE);
}

static int run_mmap_private(struct world *w)
{
	return keep_map(w, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, w->reader, 0),
			PAGE);
}

static int run_mmap_status(struct world *w)
{
	return keep_map(w, mmap(NULL, IPM_STATUS_SIZE, PROT_READ, MAP_SHARED, w->fd,
				IPM_STATUS_OFFSET), IPM_STATUS_SIZE);
}

static int run_mmap_slots(struct world *w)
{
	return keep_map(w, mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ, MAP_SHARED, w->fd,
				IPM_STATUS_OFFSET), IPM_STATUS_SLOTS_SIZE);
}

static int run_attach(struct world *w)
{
	return keep_map(w, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->dev,
				IPM_ATTACH_OFFSET(w->id)), SIZE);
}

static int run_attach_reader(struct world *w)
{
	return keep_map(w, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, w->had,
				IPM_ATTACH_OFFSET(w->id)), PAGE);
}

static int run_touch(struct world *w)
{
	return madvise(w->map, PAGE, MADV_POPULATE_WRITE) ? -errno : 0;
}

static int run_touch_status(struct world *w)
{
	return madvise(w->map, w->mapped, MADV_POPULATE_READ) ? -errno : 0;
}

/* Half of a mapping gets other rights: there are two then. */
static int run_mprotect(struct world *w)
{
	return mprotect(w->map, PAGE, PROT_READ) ? -errno : 0;
}

static int run_munmap_middle(struct world *w)
{
	return munmap((char *)w->map + PAGE, PAGE) ? -errno : 0;
}

static int run_mremap(struct world *w)
{
	void *map = mremap(w->map, w->mapped, 2 * w->mapped, MREMAP_MAYMOVE);

	return keep_map(w, map, 2 * w->mapped);
}

static int run_munmap(struct world *w)
{
	int ret = munmap(w->map, w->mapped) ? -errno : 0;

	if (!ret)
		w->map = NULL;
	return ret;
}

static int run_fork(struct world *w)
{
	w->child = fork();
	if (!w->child)
		_exit(0);
	return w->child < 0 ? -errno : 0;
}

static int run_send(struct world *w)
{
	return send_fd(w->pair[0], w->other);
}

static int run_receive(struct world *w)
{
	return keep_fd(w, receive_fd(w->pair[1]));
}

static int run_dup(struct world *w)
{
	return keep_fd(w, fcntl(w->fd, F_DUPFD_CLOEXEC, 200) < 0 ? -errno : 200);
}

/* The list is the same as before: nothing has changed. */
static int run_list(struct world *w)
{
	struct digest list;
	int ret = get_list(w, &list);

	if (ret < 0)
		return ret;
	if (list.nr != w->list.nr || list.hash != w->list.hash || w->nl.interrupted) {
		note("%d entries instead of %d%s", list.nr, w->list.nr,
		     w->nl.interrupted ? ", interrupted" : "");
		return -EBADMSG;
	}
	return 0;
}

/*
 * And it is again with the same socket. The kernel keeps a list for whose next part
 * it had no memory: it refuses the next request, and goes on when that is read.
 */
static bool list_again(struct world *w, int ret)
{
	(void)ret;
	for (int i = 0; i < 3; i++) {
		ssize_t size;

		do
			size = nl_read(&w->nl, MSG_DONTWAIT);
		while (size > 0 || size == -ENOBUFS);
		if (size != -EAGAIN)
			return false;
		ret = run_list(w);
		if (ret != -EBUSY)
			break;
	}
	if (ret)
		note("the next list: %d", ret);
	return !ret;
}

static int run_subscribe_first(struct world *w)
{
	return nl_subscribe(&w->nl, IPM_NL_GROUP_LIFE, 0);
}

static int run_subscribe_end(struct world *w)
{
	return nl_subscribe(&w->nl, 0, 0);
}

static void learn_groups(struct nlmsghdr *header, void *data)
{
	*(uint32_t *)data = nl_num(header, IPM_NL_A_GROUPS);
}

/*
 * The socket is subscribed as before, or as asked for: that only if the call got
 * through, or the answer was lost on its way to the reader, who then is told so.
 */
static bool subscribed(struct world *w, int ret, uint32_t before, uint32_t asked)
{
	struct request r = request_new(family, 0, IPM_NL_CMD_SUBSCRIBE, IPM_NL_VERSION);
	bool lost = ret && w->nl.sent && !w->nl.answered;
	uint32_t groups = UINT32_MAX;
	struct heard heard;

	while (nl_read(&w->nl, MSG_DONTWAIT) != -EAGAIN)
		;
	if (nl_send(&w->nl, &r) || nl_answers(&w->nl, learn_groups, &groups, true) != 1)
		return false;
	if (!(groups == before && (ret || before == asked)) &&
	    !(groups == asked && (!ret || lost))) {
		note("groups %#x after %d, before %#x, asked %#x, %s", groups, ret, before, asked,
		     lost ? "without an answer" : "answered");
		return false;
	}
	/* Now it gets through, and events come. */
	return nl_subscribe(&w->nl, IPM_NL_GROUP_LIFE, 0) >= 0 && !hear_all(&w->nl, &heard);
}

static bool subscribed_first(struct world *w, int ret)
{
	return subscribed(w, ret, 0, IPM_NL_GROUP_LIFE);
}

static bool subscribed_again(struct world *w, int ret)
{
	return subscribed(w, ret, IPM_NL_GROUP_DEATHS, IPM_NL_GROUP_LIFE);
}

static bool subscribed_no_more(struct world *w, int ret)
{
	return subscribed(w, ret, IPM_NL_GROUP_DEATHS, 0);
}

static int run_last_close(struct world *w)
{
	int ret = close(w->had) ? -errno : 0;

	w->had = -1;
	return ret;
}

static const struct step steps[] = {
	{ .name = "open of the device", .run = run_open_device },
	{ .name = "close of the device", .prepare = have_reading_device, .run = run_close_device },
	{ .name = "VERSION", .request = IPM_IOC_VERSION, .run = run_version },
	{ .name = "LIMITS", .request = IPM_IOC_LIMITS, .run = run_limits },
	{ .name = "LIMITS of a stranger", .stranger = true, .run = run_limits },
	{ .name = "CREATE by name", .request = IPM_IOC_CREATE, .run = run_create_name },
	{ .name = "CREATE for a reader", .run = run_create_reader },
	{ .name = "CREATE by key", .run = run_create_key },
	{ .name = "CREATE with pages", .run = run_create_pages },
	{ .name = "CREATE of nothing", .run = run_create_empty },
	{ .name = "CREATE of a stranger", .stranger = true, .run = run_create_name },
	{ .name = "CREATE that opens", .run = run_create_opens },
	{ .name = "OPEN", .request = IPM_IOC_OPEN, .run = run_open },
	{ .name = "OPEN by id", .run = run_open_id },
	{ .name = "OPEN of a stranger", .stranger = true, .run = run_open },
	{ .name = "OPEN of the first reader", .prepare = have_other_segment,
	  .run = run_first_reader },
	{ .name = "REOPEN", .request = IPM_IOC_REOPEN, .run = run_reopen },
	{ .name = "REMOVE by name", .request = IPM_IOC_REMOVE, .prepare = have_other_segment,
	  .run = run_remove },
	{ .name = "REMOVE by handle", .prepare = have_claims, .run = run_remove_own },
	{ .name = "INFO", .request = IPM_IOC_INFO, .run = run_info },
	{ .name = "INFO of a handle", .run = run_info_handle },
	{ .name = "INFO of the next", .run = run_info_next },
	{ .name = "INFO that finds", .run = run_info_find },
	{ .name = "MAPPING", .request = IPM_IOC_MAPPING, .prepare = have_map,
	  .run = run_mapping },
	{ .name = "LINK by name", .request = IPM_IOC_LINK, .prepare = have_private,
	  .run = run_link },
	{ .name = "LINK by key", .prepare = have_private, .run = run_link_key },
	{ .name = "SET", .request = IPM_IOC_SET, .run = run_set },
	{ .name = "SET by id", .run = run_set_id },
	{ .name = "SET of the lifetime", .run = run_set_lifetime },
	{ .name = "GROW", .request = IPM_IOC_GROW, .run = run_grow },
	{ .name = "GROW with pages", .run = run_grow_pages },
	{ .name = "CLAIM", .request = IPM_IOC_CLAIM, .run = run_claim },
	{ .name = "CLAIM of two ranges", .run = run_claim_two },
	{ .name = "CLAIM of most ranges", .run = run_claim_most },
	{ .name = "CLAIM of bytes in doubt", .prepare = have_one_doubt, .run = run_claim,
	  .moment = true },
	{ .name = "CLAIM that is asynchronous", .run = run_claim_async },
	{ .name = "CLAIM that is pending", .prepare = have_other_claim, .run = run_claim_async },
	{ .name = "CLAIM that waits", .prepare = have_other_claim, .run = run_claim_waits,
	  .expected = -ETIMEDOUT },
	{ .name = "CLAIM that would be a deadlock", .prepare = have_other_claim,
	  .run = run_claim_deadlock, .expected = -EDEADLK },
	{ .name = "CLAIM that tries", .prepare = have_other_claim, .run = run_claim_try,
	  .expected = -EAGAIN },
	{ .name = "CLAIM that releases", .prepare = have_claims, .run = run_claim_release,
	  .done = claims_changed },
	{ .name = "CONVERT to write", .request = IPM_IOC_CONVERT, .prepare = have_claims,
	  .run = run_convert_up, .done = converted_up },
	{ .name = "CONVERT to read", .prepare = have_claims, .run = run_convert_down,
	  .done = converted_down },
	{ .name = "RELEASE", .request = IPM_IOC_RELEASE, .prepare = have_claims,
	  .run = run_release },
	{ .name = "RELEASE of a pending claim", .prepare = have_pending, .run = run_cancel },
	{ .name = "RELEASE_ALL", .request = IPM_IOC_RELEASE_ALL, .prepare = have_claims,
	  .run = run_release_all, .done = claims_changed },
	{ .name = "CLEAR_CLAIMS", .request = IPM_IOC_CLEAR_CLAIMS, .prepare = have_claims,
	  .run = run_clear, .done = claims_changed },
	{ .name = "COLLECT", .request = IPM_IOC_COLLECT, .prepare = have_granted,
	  .run = run_collect },
	{ .name = "DOUBT", .request = IPM_IOC_DOUBT, .prepare = have_doubt, .run = run_doubt },
	{ .name = "RECOVERED", .request = IPM_IOC_RECOVERED, .prepare = have_doubt,
	  .run = run_recovered },
	{ .name = "SLOT", .request = IPM_IOC_SLOT, .run = run_slot },
	{ .name = "SLOT that gives", .prepare = have_slot, .run = run_slot_give },
	{ .name = "REAP", .request = IPM_IOC_REAP, .prepare = have_dead_slot, .run = run_reap },
	{ .name = "RING", .request = IPM_IOC_RING, .prepare = have_subscription,
	  .run = run_ring },
	{ .name = "RING of a slot", .prepare = have_slot_bell, .run = run_ring_slot },
	{ .name = "SUBSCRIBE", .request = IPM_IOC_SUBSCRIBE, .run = run_subscribe },
	{ .name = "read of a bell", .prepare = have_bell, .run = run_read_bell },
	{ .name = "read of a claim", .prepare = have_granted, .run = run_read_claim },
	{ .name = "read of nothing", .prepare = have_no_wait, .run = run_read_nothing,
	  .expected = -EAGAIN },
	{ .name = "poll", .prepare = have_bell, .run = run_poll },
	{ .name = "epoll", .prepare = have_epoll, .run = run_epoll },
	{ .name = "fdinfo", .prepare = have_claims, .run = run_fdinfo, .loses = true },
	{ .name = "mmap", .run = run_mmap },
	{ .name = "mmap of a reader", .run = run_mmap_reader },
	{ .name = "mmap of one's own copy", .run = run_mmap_private },
	{ .name = "mmap of the status page", .run = run_mmap_status },
	{ .name = "mmap of the slots", .run = run_mmap_slots },
	{ .name = "mmap of the device", .run = run_attach },
	{ .name = "mmap of the device by a reader", .prepare = have_reading_device,
	  .run = run_attach_reader },
	{ .name = "touching a page", .prepare = have_untouched_map, .run = run_touch,
	  .touches = true },
	{ .name = "touching the status page", .prepare = have_untouched_status,
	  .run = run_touch_status },
	{ .name = "mprotect of a part", .prepare = have_map, .run = run_mprotect },
	{ .name = "munmap of a part", .prepare = have_map, .run = run_munmap_middle,
	  .splits = true },
	{ .name = "mremap", .prepare = have_map, .run = run_mremap },
	{ .name = "munmap", .prepare = have_map, .run = run_munmap },
	{ .name = "fork with a mapping", .prepare = have_map, .run = run_fork,
	  .errors = { EAGAIN } },
	{ .name = "sending a handle", .run = run_send, .errors = { ENOBUFS } },
	{ .name = "receiving a handle", .prepare = have_message, .run = run_receive,
	  .errors = { ENOBUFS, ENOMSG }, .loses = true },
	{ .name = "dup", .run = run_dup, .errors = { EMFILE } },
	{ .name = "close", .prepare = have_other_segment, .run = run_last_close },
#define LIST(name_, command_, only_, prepare_)						\
	{ .name = name_, .command = IPM_NL_CMD_##command_, .only = only_,		\
	  .prepare = prepare_, .run = run_list, .errors = { ENOBUFS }, .after = list_again }
	LIST("list of segments", SEGMENTS, false, have_segments),
	LIST("list of one segment", SEGMENTS, true, have_segments),
	LIST("list of handles", HANDLES, false, have_handles),
	LIST("list of a segment's handles", HANDLES, true, have_handles),
	LIST("list of claims", CLAIMS, false, have_many_claims),
	LIST("list of a segment's claims", CLAIMS, true, have_many_claims),
	LIST("list of waiters", WAITERS, false, have_many_waiters),
	LIST("list of a segment's waiters", WAITERS, true, have_many_waiters),
	LIST("list of doubts", DOUBTS, false, have_many_doubts),
	LIST("list of a segment's doubts", DOUBTS, true, have_many_doubts),
	LIST("list of limits", LIMITS, false, have_list),
#undef LIST
#define LISTEN(name_, prepare_, run_, after_)						\
	{ .name = name_, .command = IPM_NL_CMD_SUBSCRIBE, .prepare = prepare_,		\
	  .run = run_, .errors = { ENOBUFS }, .after = after_ }
	LISTEN("listening", have_socket, run_subscribe_first, subscribed_first),
	LISTEN("listening to something else", have_listener, run_subscribe_first,
	       subscribed_again),
	LISTEN("listening no more", have_listener, run_subscribe_end, subscribed_no_more),
	{ .name = "listening of a stranger", .stranger = true, .prepare = have_socket,
	  .run = run_subscribe_first, .errors = { ENOBUFS }, .after = subscribed_first },
#undef LISTEN
};

static int get_list(struct world *w, struct digest *list)
{
	*list = (struct digest) { .hash = 0xcbf29ce484222325ULL };
	return nl_dump(&w->nl, w->step->command, w->step->only ? w->id : 0, digest_message, list);
}

FIXTURE(fault)
{
	struct counts before;
	struct counts with_bell;
	const char *skip;	/* why there can be no test, or NULL */
};

FIXTURE_SETUP(fault)
{
	int dev = open_device();
	struct ipm_info info;
	struct nl nl;

	self->skip = faults_setup();
	self->before = read_counts();
	bell = make_private(dev, PAGE, 0);
	ASSERT_EQ(0, call_info(bell, &info));
	bell_id = info.ref.id;
	close(dev);
	ASSERT_EQ(0, nl_open(&nl));
	family = nl.family;
	nl_close(&nl);
	self->with_bell = read_counts();
}

FIXTURE_TEARDOWN(fault)
{
	if (fail_nth >= 0)
		close(fail_nth);
	if (fail_on >= 0)
		close(fail_on);
	close(bell);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

/* How many events the call of a step makes when nothing fails; how many were lost. */
static unsigned int events, missed;

/* One call with its nth fault. Returns whether it had as many. */
static bool try_step(struct __test_metadata *_metadata, const struct step *step, unsigned int nth)
{
	static struct state before, after;
	static uid_t stranger = 40000;
	struct heard heard;
	struct world w;
	bool came, done;
	int ret;

	world_make(_metadata, &w);
	w.step = step;
	if (step->prepare)
		ASSERT_EQ(0, step->prepare(&w));
	ASSERT_EQ(0, open_netlink(&w.ear));
	ASSERT_EQ(0, nl_subscribe(&w.ear, ALL_GROUPS, 0));
	look(_metadata, &w, &before);
	ASSERT_EQ(0, let_fail());
	if (step->stranger)
		ASSERT_EQ(0, setreuid(++stranger, 0));
	arm(nth);
	ret = step->run(&w);
	came = disarm();
	ASSERT_EQ(0, setresuid(0, 0, 0));
	count_failed();
	done = ret == step->expected;
	ASSERT_EQ(0, hear_all(&w.ear, &heard));
	if (!came && done)
		events = heard.numbers;
	if (!done) {
		EXPECT_TRUE(came) {
			note("%s: %d without a fault", step->name, ret);
		}
		EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT ||
			    (ret && (ret == -step->errors[0] || ret == -step->errors[1]))) {
			note("%s: fault %u gave %d", step->name, nth, ret);
		}
		look(_metadata, &w, &after);
		if (step->done && ret == -EFAULT && step->done(&w)) {
			done = true;
		} else if (!step->loses) {
			EXPECT_TRUE(same(&before, &after)) {
				note("%s: fault %u gave %d", step->name, nth, ret);
			}
		}
	}
	/* What was done was told, or that something was missed. */
	EXPECT_TRUE(heard.numbers == (done || (step->moment && heard.numbers) ? events : 0) &&
		    heard.numbers == heard.told + heard.lost && (came || !heard.lost)) {
		note("%s: fault %u gave %d: %u events told, %u lost, numbered up to %u, of %u",
		     step->name, nth, ret, heard.told, heard.lost, heard.numbers, events);
	}
	missed += heard.lost;
	if (step->after)
		EXPECT_TRUE(step->after(&w, ret)) {
			note("%s: fault %u gave %d", step->name, nth, ret);
		}
	status_agrees(_metadata, &w);
	world_end(&w);
	return came;
}

/* Every @every-th fault of a call, from the @nth on. Returns how many there were. */
static unsigned int try_faults(struct __test_metadata *_metadata, const struct step *step,
			       unsigned int nth, unsigned int every)
{
	unsigned int faults = 0;

	while (try_step(_metadata, step, nth)) {
		faults++;
		nth += every;
		if (nth > STEPS_MAX)
			break;
		/* Every other one, so that both are there. */
		if (every > 1)
			from_on = !from_on;
	}
	EXPECT_GE(STEPS_MAX, nth);
	return faults;
}

TEST_F_TIMEOUT(fault, in_every_call, 2000)
{
	unsigned int total = 0, every = stride();
	int64_t start = now_ns(CLOCK_MONOTONIC);

	if (self->skip)
		SKIP(return, "%s", self->skip);
	missed = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
		unsigned int faults;

		/* Once without: lists that the kernel makes at first use. */
		from_on = false;
		try_step(_metadata, &steps[i], STEPS_MAX);
		from_on = every > 1 && i & 1;
		faults = try_faults(_metadata, &steps[i], 1 + i % every, every);
		if (every == 1) {
			from_on = true;
			faults += try_faults(_metadata, &steps[i], 1, 1);
		}
		from_on = false;
		note("%s: %u faults, %u events", steps[i].name, faults, events);
		total += faults;
		ASSERT_TRUE(wait_until(!strcmp(self->with_bell.text, read_counts().text))) {
			note("%s left something: %s", steps[i].name, read_counts().text);
		}
	}
	note("%zu calls, %u faults (%u of slabs, %u of pages, %u of copies failed), %u events lost and told so, in %lld s",
	     ARRAY_LENGTH(steps), total, injected[0], injected[1], injected[2], missed,
	     (long long)((now_ns(CLOCK_MONOTONIC) - start) / 1000000000));
	/* Each ioctl copies its argument at least. */
	ASSERT_LE(ARRAY_LENGTH(steps) / every, total);
	/* Few calls can lose one. */
	if (every == 1)
		EXPECT_LT(0, missed);
	for (size_t i = 0; i < KINDS; i++) {
		EXPECT_LT(0, injected[i]) {
			note("no %s failed", kinds[i].name);
		}
	}
}

/* The table above has every ioctl that the module knows, and every command. */
TEST_F(fault, no_call_forgotten)
{
	static const unsigned int directions[] = {
		_IOC_NONE, _IOC_READ, _IOC_WRITE, _IOC_READ | _IOC_WRITE,
	};
	int dev = open_device(), fd = make_private(dev, PAGE, 0), known = 0;

	ASSERT_FD(fd);
	for (unsigned int i = 0; i < 4 * 256; i++) {
		/* Of a size that nothing has: it is known or not, and never does anything. */
		unsigned long request = _IOC(directions[i / 256], IPM_IOC_MAGIC, i % 256, 0);
		bool found = false;

		if (ioctl(dev, request, NULL) < 0 && errno == ENOTTY &&
		    ioctl(fd, request, NULL) < 0 && errno == ENOTTY)
			continue;
		known++;
		for (size_t k = 0; k < ARRAY_LENGTH(steps); k++)
			found |= _IOC_NR(steps[k].request) == i % 256 && steps[k].request;
		EXPECT_TRUE(found) {
			note("ioctl %#x has no step", i % 256);
		}
	}
	EXPECT_EQ((int)ARRAY_LENGTH(calls), known);
	for (unsigned int command = 1; command <= IPM_NL_CMD_MAX; command++) {
		int plain = 0, only = 0;

		if (command == IPM_NL_CMD_EVENT)
			continue;
		for (size_t k = 0; k < ARRAY_LENGTH(steps); k++) {
			plain += steps[k].command == command && !steps[k].only;
			only += steps[k].command == command && steps[k].only;
		}
		EXPECT_LE(1, plain) {
			note("command %u has no step", command);
		}
		EXPECT_EQ(command <= IPM_NL_CMD_DOUBTS, only);
	}
	close(fd);
	close(dev);
}

/* --- those who tell --- */

/* The kernel's threads that may have to tell events get their nth fault; 0 for none. */
static int arm_workers(unsigned int nth)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[600], text[16];
	int workers = 0;

	snprintf(text, sizeof(text), "%u", nth);
	while (dir && (entry = readdir(dir))) {
		char comm[64];

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (strncmp(read_text(path, comm, sizeof(comm)), "kworker/u", 9))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task/%s/fail-nth", entry->d_name,
			 entry->d_name);
		workers += !write_text(path, text);
	}
	if (dir)
		closedir(dir);
	return workers;
}

/* Adds what was told to @heard; whether the last number is this one. */
static bool numbered(struct nl *nl, struct heard *heard, unsigned int numbers)
{
	struct request r = request_new(nl->family, 0, IPM_NL_CMD_SUBSCRIBE, IPM_NL_VERSION);
	struct hearing h = { .heard = heard };

	return !nl_send(nl, &r) && !hear_until(nl, &h, true) && heard->numbers == numbers;
}

/*
 * Without memory for a message it is lost, and its number is missing. The next one
 * is told, and what happened has happened.
 */
TEST_F_TIMEOUT(fault, in_the_telling, 300)
{
	enum { ROUNDS = 60, EVENTS = 5 };
	int fd, dev, short_rounds = 0, rounds = stride() > 1 ? ROUNDS / 5 : ROUNDS;
	struct heard heard = { 0 };
	struct nl ear;

	if (self->skip)
		SKIP(return, "%s", self->skip);
	dev = open_device();
	fd = make_private(dev, PAGE, 0);
	ASSERT_FD(fd);
	ASSERT_EQ(0, open_netlink(&ear));
	ASSERT_EQ(0, nl_subscribe(&ear, ALL_GROUPS, 0));
	for (int round = 1; round <= rounds; round++) {
		heard.told = 0;
		ASSERT_LE(1, arm_workers(1 + round % 6));
		for (int i = 0; i < EVENTS; i++)
			ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0600, 0, 0, 0));
		ASSERT_TRUE(wait_until(numbered(&ear, &heard, round * EVENTS))) {
			note("round %d: %u numbers", round, heard.numbers);
		}
		arm_workers(0);
		ASSERT_EQ(0, heard.lost);
		ASSERT_LE(heard.told, EVENTS);
		short_rounds += heard.told < EVENTS;
	}
	note("%d of %d times some were lost", short_rounds, rounds);
	EXPECT_LT(0, short_rounds);
	EXPECT_GT(rounds, short_rounds);
	/* The same socket goes on. */
	ASSERT_EQ(0, hear_all(&ear, &heard));
	EXPECT_EQ(0, heard.told);
	EXPECT_EQ(rounds * EVENTS, heard.numbers);
	nl_close(&ear);
	close(fd);
	close(dev);
}

/*
 * A writer dies, and while the kernel clears up after it something fails: every
 * byte that it was writing is in doubt all the same, and nothing is left.
 */
TEST_F_TIMEOUT(fault, in_a_death, 300)
{
	/* More claims than the segment itself has room for; more steps than faults. */
	enum { CLAIMS = 12, STEPS = 40 };
	int dev, n = 0, poor = 0;

	if (self->skip)
		SKIP(return, "%s", self->skip);
	dev = open_device();
	ASSERT_FD(dev);
	for (int nth = 1; nth <= STEPS; nth++) {
		struct ipm_doubt_range list[IPM_DOUBT_MAX];
		int fd = make_private(dev, PAGE, PAGE), pipes[2], status;
		char byte = 0;
		pid_t child;

		ASSERT_FD(fd);
		ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
		child = fork();
		if (!child) {
			for (int i = 0; i < CLAIMS; i++)
				CHECK(0, call_claim(fd, 100 * i, 10, WRITE, 0, NULL));
			CHECK(0, call_slot(fd, 0, NULL, NULL));
			arm_child(nth);
			syscall(SYS_exit_group, 0);
		}
		close(pipes[1]);
		ASSERT_EQ(0, read(pipes[0], &byte, 1));
		close(pipes[0]);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
		ASSERT_CLAIMS(fd, 0, 0, call_doubt(fd, 0, 0, NULL, 0));
		n = call_doubt(fd, 0, 0, list, IPM_DOUBT_MAX);
		ASSERT_LE(1, n);
		for (int i = 0; i < CLAIMS; i++) {
			bool found = false;

			for (int k = 0; k < n; k++)
				found |= list[k].offset <= 100ULL * i &&
					 list[k].offset + list[k].length >= 100ULL * i + 10;
			ASSERT_TRUE(found) {
				note("fault %d: claim %d left no doubt", nth, i);
			}
		}
		poor += n < CLAIMS;
		close(fd);
	}
	/* The list's memory was refused some time, and not at the last. */
	ASSERT_LE(1, poor);
	ASSERT_EQ(CLAIMS, n);
	close(dev);
	EXPECT_COUNTS_SOON(self->with_bell);
}

/* --- the module, and its part of a namespace --- */

/* The last steps of what the kernel does are those of the module. */
#define LAST_STEPS	80

/* Exit status of a child that could not make a namespace. */
#define NO_NAMESPACE	77

FIXTURE(start)
{
	struct counts before;
	const char *skip;
};

FIXTURE_SETUP(start)
{
	self->skip = faults_setup();
	self->before = read_counts();
}

FIXTURE_TEARDOWN(start)
{
	if (fail_nth >= 0)
		close(fail_nth);
	if (fail_on >= 0)
		close(fail_on);
	if (!is_loaded())
		EXPECT_EQ(0, load(""));
	EXPECT_COUNTS_SOON(self->before);
}

/* The module is loaded, or nothing is left of it. */
TEST_F_TIMEOUT(start, of_the_module, 600)
{
	unsigned int total, failed = 0, every = stride();
	char line[4096];

	if (self->skip)
		SKIP(return, "%s", self->skip);
	/* Would be taken for the module's: sysfs_slab_add() keeps a name when it fails. */
	if (strstr(read_text("/proc/cmdline", line, sizeof(line)), "kmemleak=on"))
		SKIP(return, "with kmemleak on: the kernel itself leaks here");
	ASSERT_EQ(0, unload_soon());
	arm(NEVER);
	ASSERT_EQ(0, load(""));
	total = places();
	disarm();
	for (unsigned int nth = total + 10; nth > total - LAST_STEPS; nth -= every) {
		int ret;

		ASSERT_EQ(0, unload_soon());
		arm(nth);
		ret = load("");
		disarm();
		if (ret) {
			failed++;
			EXPECT_EQ(-ENOMEM, ret) {
				note("fault %u of %u", nth, total);
			}
			ASSERT_FALSE(is_loaded());
			ASSERT_EQ(-1, access(DEVICE, F_OK));
			ASSERT_EQ(0, load(""));
		}
		ASSERT_EQ(0, close(open_device()));
	}
	note("%u of the last %d faults of %u made loading fail", failed, LAST_STEPS, total);
	EXPECT_LE(20 / every, failed);
}

/*
 * What a fault does to a process that makes a network namespace: 1 if it got none.
 * Others have a part in it, too, some of which say ENOBUFS.
 */
static int new_namespace(unsigned int nth, unsigned int *passed)
{
	int status = IN_CHILD({
		int ret;

		close(fail_nth);
		arm_child(nth);
		ret = unshare(CLONE_NEWNET) ? -errno : 0;
		*passed = nth == NEVER ? places() : 0;
		disarm();
		if (ret == -ENOMEM || ret == -ENOBUFS)
			_exit(NO_NAMESPACE);
		CHECK(0, ret);
		/* It is as good as any. */
		CHECK(1, make_private(open_device(), PAGE, 0) >= 0);
	});

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACE)
		return 1;
	return status ? -ECHILD : 0;
}

TEST_F_TIMEOUT(start, of_a_namespace, 600)
{
	unsigned int *total = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int failed = 0, last, every = stride();

	if (self->skip)
		SKIP(return, "%s", self->skip);
	ASSERT_MAPPED(total);
	/* Once without: what the kernel makes at first use. */
	ASSERT_EQ(0, new_namespace(NEVER, total));
	ASSERT_EQ(0, new_namespace(NEVER, total));
	last = *total;
	for (unsigned int nth = last + 5; nth > every && nth + LAST_STEPS > last; nth -= every) {
		int ret = new_namespace(nth, total);

		ASSERT_TRUE(ret == 0 || ret == 1) {
			note("fault %u of %u: %d", nth, last, ret);
		}
		failed += ret;
	}
	note("%u of the last %d faults of %u refused a namespace", failed, LAST_STEPS, last);
	EXPECT_LE(1, failed);
	munmap(total, PAGE);
}

TEST_HARNESS_MAIN
