// SPDX-License-Identifier: GPL-2.0
/*
 * What happens when the kernel runs out of memory, or cannot copy, in the
 * middle of a call: for n = 1, 2, ... the nth place in the call where that can
 * happen fails, until the call has no nth one. However it fails, it returns an
 * error that the ABI header names, and nothing has changed: not the segment,
 * not who holds and waits, not what is charged, not a file descriptor or a
 * mapping. Where it gets through, it has done all that it should.
 *
 * The kernel's fault injection does it, through /proc/thread-self/fail-nth. A
 * kernel without it skips these tests.
 *
 * vm: TIMEOUT=900
 */
#include "ipm_test.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define NAME		"test-fault"
#define OTHER_NAME	"test-fault-other"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug/"
#define SIZE		(2 * PAGE)
#define CAPACITY	(64 * PAGE)

/* More places than any call has. */
#define STEPS_MAX	4000

/* --- faults --- */

static int fail_nth = -1;

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
	return fail_nth < 0 ? "this kernel injects no faults: no " FAIL_NTH : NULL;
}

/* The nth place from here fails. */
static void arm(unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fail_nth, text, length, 0) != length)
		abort();
}

/* No more faults. Returns whether there was an nth place. */
static bool disarm(void)
{
	char text[16] = "";
	ssize_t length = pread(fail_nth, text, sizeof(text) - 1, 0);
	bool came = length > 0 && atoi(text) == 0;

	/* To read and to write are copies, too: they may be the nth. */
	while (pwrite(fail_nth, "0", 1, 0) != 1)
		;
	return came;
}

/* --- the world in which one call is made --- */

struct world {
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
	char bytes[4096];
};

static void world_make(struct __test_metadata *_metadata, struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->had = -1;
	w->got = -1;
	w->dev = open_device();
	ASSERT_FD(w->dev);
	w->fd = make_named(w->dev, NAME, SIZE, CAPACITY);
	ASSERT_FD(w->fd);
	w->other = call_open(w->dev, ref_name(NAME), IPM_READ_WRITE);
	ASSERT_FD(w->other);
	w->reader = call_reopen(w->fd, IPM_READ_ONLY);
	ASSERT_FD(w->reader);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->pair));
}

static void world_end(struct world *w)
{
	if (w->child > 0)
		waitpid(w->child, NULL, 0);
	if (w->map)
		munmap(w->map, w->mapped);
	if (w->had >= 0)
		close(w->had);
	if (w->got >= 0)
		close(w->got);
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
	s->doubt_entries = call_doubt(w->fd, 0, 0, s->doubts, 8);
	s->by_other_name = call_info_by(w->dev, ref_name(OTHER_NAME), &other);
	s->fds = count_fds();
	s->maps = count_our_maps();
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
	else if (a->doubt_entries != b->doubt_entries || memcmp(a->doubts, b->doubts, sizeof(a->doubts)))
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

static int run_create_opens(struct world *w)
{
	return keep_fd(w, call_create(w->dev, ref_name(NAME), 1, 0, 0, IPM_READ_ONLY, 0600, NULL));
}

static int run_open(struct world *w)
{
	return keep_fd(w, call_open(w->dev, ref_name(NAME), IPM_READ_WRITE));
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

static int run_poll(struct world *w)
{
	struct pollfd p[2] = { { .fd = w->fd, .events = POLLIN }, { .fd = w->other, .events = POLLIN } };
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
	return keep_map(w, mmap(NULL, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0), CAPACITY);
}

static int run_mmap_reader(struct world *w)
{
	return keep_map(w, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, w->reader, 0), PAGE);
}

static int run_mmap_private(struct world *w)
{
	return keep_map(w, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, w->reader, 0), PAGE);
}

static int run_mmap_status(struct world *w)
{
	return keep_map(w, mmap(NULL, IPM_STATUS_SIZE, PROT_READ, MAP_SHARED, w->fd, IPM_STATUS_OFFSET),
			IPM_STATUS_SIZE);
}

static int run_mmap_slots(struct world *w)
{
	return keep_map(w, mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ, MAP_SHARED, w->fd,
				IPM_STATUS_OFFSET), IPM_STATUS_SLOTS_SIZE);
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

static int run_last_close(struct world *w)
{
	int ret = close(w->had) ? -errno : 0;

	w->had = -1;
	return ret;
}

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
 */
static const struct step {
	const char *name;
	int (*prepare)(struct world *w);
	int (*run)(struct world *w);
	int expected;
	int errors[2];
	bool (*done)(struct world *w);
	bool stranger;
	bool loses;
} steps[] = {
	{ .name = "open of the device", .run = run_open_device },
	{ .name = "VERSION", .run = run_version },
	{ .name = "LIMITS", .run = run_limits },
	{ .name = "LIMITS of a stranger", .stranger = true, .run = run_limits },
	{ .name = "CREATE by name", .run = run_create_name },
	{ .name = "CREATE for a reader", .run = run_create_reader },
	{ .name = "CREATE by key", .run = run_create_key },
	{ .name = "CREATE with pages", .run = run_create_pages },
	{ .name = "CREATE of a stranger", .stranger = true, .run = run_create_name },
	{ .name = "CREATE that opens", .run = run_create_opens },
	{ .name = "OPEN", .run = run_open },
	{ .name = "OPEN of a stranger", .stranger = true, .run = run_open },
	{ .name = "OPEN of the first reader", .prepare = have_other_segment,
	  .run = run_first_reader },
	{ .name = "REOPEN", .run = run_reopen },
	{ .name = "REMOVE by name", .prepare = have_other_segment, .run = run_remove },
	{ .name = "REMOVE by handle", .prepare = have_claims, .run = run_remove_own },
	{ .name = "INFO", .run = run_info },
	{ .name = "LINK by name", .prepare = have_private, .run = run_link },
	{ .name = "LINK by key", .prepare = have_private, .run = run_link_key },
	{ .name = "SET", .run = run_set },
	{ .name = "SET of the lifetime", .run = run_set_lifetime },
	{ .name = "GROW", .run = run_grow },
	{ .name = "GROW with pages", .run = run_grow_pages },
	{ .name = "CLAIM", .run = run_claim },
	{ .name = "CLAIM of two ranges", .run = run_claim_two },
	{ .name = "CLAIM of most ranges", .run = run_claim_most },
	{ .name = "CLAIM that is asynchronous", .run = run_claim_async },
	{ .name = "CLAIM that is pending", .prepare = have_other_claim, .run = run_claim_async },
	{ .name = "CLAIM that waits", .prepare = have_other_claim, .run = run_claim_waits,
	  .expected = -ETIMEDOUT },
	{ .name = "CLAIM that would be a deadlock", .prepare = have_other_claim, .run = run_claim_deadlock,
	  .expected = -EDEADLK },
	{ .name = "CLAIM that tries", .prepare = have_other_claim, .run = run_claim_try,
	  .expected = -EAGAIN },
	{ .name = "CLAIM that releases", .prepare = have_claims, .run = run_claim_release,
	  .done = claims_changed },
	{ .name = "CONVERT to write", .prepare = have_claims, .run = run_convert_up,
	  .done = converted_up },
	{ .name = "CONVERT to read", .prepare = have_claims, .run = run_convert_down,
	  .done = converted_down },
	{ .name = "RELEASE", .prepare = have_claims, .run = run_release },
	{ .name = "RELEASE of a pending claim", .prepare = have_pending, .run = run_cancel },
	{ .name = "RELEASE_ALL", .prepare = have_claims, .run = run_release_all,
	  .done = claims_changed },
	{ .name = "CLEAR_CLAIMS", .prepare = have_claims, .run = run_clear,
	  .done = claims_changed },
	{ .name = "COLLECT", .prepare = have_granted, .run = run_collect },
	{ .name = "DOUBT", .prepare = have_doubt, .run = run_doubt },
	{ .name = "RECOVERED", .prepare = have_doubt, .run = run_recovered },
	{ .name = "SLOT", .run = run_slot },
	{ .name = "SLOT that gives", .prepare = have_slot, .run = run_slot_give },
	{ .name = "REAP", .prepare = have_dead_slot, .run = run_reap },
	{ .name = "RING", .prepare = have_subscription, .run = run_ring },
	{ .name = "SUBSCRIBE", .run = run_subscribe },
	{ .name = "read of a bell", .prepare = have_bell, .run = run_read_bell },
	{ .name = "read of a claim", .prepare = have_granted, .run = run_read_claim },
	{ .name = "poll", .prepare = have_bell, .run = run_poll },
	{ .name = "fdinfo", .prepare = have_claims, .run = run_fdinfo, .loses = true },
	{ .name = "mmap", .run = run_mmap },
	{ .name = "mmap of a reader", .run = run_mmap_reader },
	{ .name = "mmap of one's own copy", .run = run_mmap_private },
	{ .name = "mmap of the status page", .run = run_mmap_status },
	{ .name = "mmap of the slots", .run = run_mmap_slots },
	{ .name = "mprotect of a part", .prepare = have_map, .run = run_mprotect },
	{ .name = "munmap of a part", .prepare = have_map, .run = run_munmap_middle },
	{ .name = "mremap", .prepare = have_map, .run = run_mremap },
	{ .name = "munmap", .prepare = have_map, .run = run_munmap },
	{ .name = "fork with a mapping", .prepare = have_map, .run = run_fork,
	  .errors = { EAGAIN } },
	{ .name = "sending a handle", .run = run_send, .errors = { ENOBUFS } },
	{ .name = "receiving a handle", .prepare = have_message, .run = run_receive, .errors = { ENOBUFS, ENOMSG },
	  .loses = true },
	{ .name = "dup", .run = run_dup, .errors = { EMFILE } },
	{ .name = "close", .prepare = have_other_segment, .run = run_last_close },
};

FIXTURE(fault)
{
	struct counts before;
	const char *skip;	/* why there can be no test, or NULL */
};

FIXTURE_SETUP(fault)
{
	self->skip = faults_setup();
	self->before = read_counts();
}

FIXTURE_TEARDOWN(fault)
{
	if (fail_nth >= 0)
		close(fail_nth);
}

/* One call with its nth fault. Returns whether it had as many. */
static bool try_step(struct __test_metadata *_metadata, const struct step *step, unsigned int nth)
{
	static struct state before, after;
	static uid_t stranger = 40000;
	struct world w;
	int ret;
	bool came;

	world_make(_metadata, &w);
	if (step->prepare)
		ASSERT_EQ(0, step->prepare(&w));
	look(_metadata, &w, &before);
	if (step->stranger)
		ASSERT_EQ(0, setreuid(++stranger, 0));
	arm(nth);
	ret = step->run(&w);
	came = disarm();
	ASSERT_EQ(0, setresuid(0, 0, 0));
	if (ret != step->expected) {
		EXPECT_TRUE(came) {
			note("%s: %d without a fault", step->name, ret);
		}
		EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT ||
			    (ret && (ret == -step->errors[0] || ret == -step->errors[1]))) {
			note("%s: fault %u gave %d", step->name, nth, ret);
		}
		look(_metadata, &w, &after);
		if (!step->loses && !(step->done && ret == -EFAULT && step->done(&w))) {
			EXPECT_TRUE(same(&before, &after)) {
				note("%s: fault %u gave %d", step->name, nth, ret);
			}
		}
	}
	status_agrees(_metadata, &w);
	world_end(&w);
	return came;
}

TEST_F_TIMEOUT(fault, in_every_call, 800)
{
	unsigned int total = 0;

	if (self->skip)
		SKIP(return, "%s", self->skip);
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
		unsigned int nth = 1;

		/* Once without: lists that the kernel makes at first use. */
		try_step(_metadata, &steps[i], STEPS_MAX);
		while (try_step(_metadata, &steps[i], nth)) {
			nth++;
			ASSERT_GT(STEPS_MAX, nth);
		}
		note("%s: %u faults", steps[i].name, nth - 1);
		total += nth - 1;
		ASSERT_TRUE(wait_until(!strcmp(self->before.text, read_counts().text))) {
			note("%s left something: %s", steps[i].name, read_counts().text);
		}
	}
	note("%zu calls, %u faults", ARRAY_LENGTH(steps), total);
	/* Each ioctl copies its argument at least. */
	ASSERT_LE(ARRAY_LENGTH(steps), total);
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
			fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
			arm(nth);
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
	EXPECT_COUNTS_SOON(self->before);
}

TEST_HARNESS_MAIN
