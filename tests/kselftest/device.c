// SPDX-License-Identifier: GPL-2.0
/*
 * The device itself: version and limits, and every ioctl with everything wrong
 * that can be wrong with its argument. A refused call changes nothing: before
 * and after it, a picture of all state that a user can see is the same.
 */
#include "ipm_test.h"

#include <sys/stat.h>

#define KEY	0x49504d

/* What each ioctl gets when nothing is wrong with it. */
union argument {
	struct ipm_version version;
	struct ipm_limits limits;
	struct ipm_create create;
	struct ipm_open open;
	struct ipm_remove remove;
	struct ipm_info info;
	struct ipm_link link;
	struct ipm_set set;
	struct ipm_grow grow;
	struct ipm_claim claim;
	struct ipm_convert convert;
	struct ipm_release release;
	struct ipm_release_all release_all;
	struct ipm_collect collect;
	struct ipm_doubt doubt;
	struct ipm_recovered recovered;
	struct ipm_slot slot;
	struct ipm_reap reap;
	struct ipm_bell bell;
	struct ipm_subscribe subscribe;
	struct ipm_mapping mapping;
	char bytes[1024];
};

/*
 * A world with something of everything: a named segment in which two handles
 * hold claims and one asynchronous claim waits, some bytes are in doubt and a
 * slot is dead; and a private segment.
 */
struct world {
	int dev;
	int handle;		/* of the named segment */
	int other;		/* another handle of it */
	int private;
	uint64_t id;		/* claim of @handle: read [0, 100) */
	uint64_t pending;	/* claim of @handle: write [200, 300), behind @other */
	uint64_t granted;	/* asynchronous claim of @handle that was granted */
	uint32_t slot;		/* a dead one */
	uint32_t generation;
	const char *status;	/* of the named segment */
	uint32_t number;	/* of the named segment */
	void *mapped;		/* a page of a third segment */
	struct ipm_range *ranges;
	uint64_t *release;
	struct ipm_doubt_range *doubts;
};

struct picture {
	struct ipm_limits limits;
	struct ipm_info info[2];
	int exists;
	int fds;
	int readable;
	struct counts counts;
	char status[IPM_STATUS_SLOTS_SIZE] __attribute__((aligned(8)));
};

#define NAME	"test-device"

/* The child cannot tell: it was told before it died. */
static void find_dead_slot(struct world *w)
{
	const uint32_t *slots = (const uint32_t *)(w->status + IPM_STATUS_SLOTS);

	while (w->slot < IPM_SLOTS_MAX && IPM_SLOT_STATE(slots[w->slot]) != IPM_SLOT_DEAD)
		w->slot++;
	if (w->slot < IPM_SLOTS_MAX)
		w->generation = IPM_SLOT_GENERATION(slots[w->slot]);
}

static void make_world(struct __test_metadata *_metadata, struct world *w)
{
	struct ipm_claim arg;
	struct ipm_info info;
	uint64_t id;
	int fd;

	memset(w, 0, sizeof(*w));
	w->dev = open_device();
	ASSERT_FD(w->dev);
	w->handle = make_named(w->dev, NAME, 2 * PAGE, 4 * PAGE);
	ASSERT_FD(w->handle);
	w->other = call_reopen(w->handle, IPM_READ_WRITE);
	ASSERT_FD(w->other);
	w->private = make_private(w->dev, PAGE, 0);
	ASSERT_FD(w->private);
	w->ranges = calloc(4, sizeof(*w->ranges));
	w->release = calloc(4, sizeof(*w->release));
	w->doubts = calloc(4, sizeof(*w->doubts));

	w->status = mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ, MAP_SHARED, w->handle,
			 IPM_STATUS_OFFSET);
	ASSERT_NE(MAP_FAILED, (void *)w->status);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, call_claim(w->handle, 1000, 24, WRITE, 0, NULL));
		CHECK(0, call_slot(w->other, 0, NULL, NULL));
	}));
	find_dead_slot(w);
	ASSERT_EQ(0, call_info(w->handle, &info));
	w->number = info.ref.id;
	fd = make_private(w->dev, PAGE, 0);
	ASSERT_FD(fd);
	w->mapped = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(w->mapped);
	close(fd);
	ASSERT_EQ(0, call_claim(w->handle, 0, 100, READ, 0, &w->id));
	ASSERT_EQ(0, call_claim(w->handle, 1000, 100, WRITE, 0, &id));
	ASSERT_EQ(0, call_claim(w->other, 200, 100, READ, 0, NULL));
	arg = claim_arg(200, 100, WRITE, IPM_CLAIM_ASYNC);
	ASSERT_EQ(0, call_claim_arg(w->handle, &arg));
	ASSERT_EQ(IPM_GRANT_PENDING, arg.result);
	w->pending = arg.id;
	ASSERT_EQ(0, call_claim(w->other, 400, 100, WRITE, 0, &id));
	arg = claim_arg(400, 100, WRITE, IPM_CLAIM_ASYNC);
	ASSERT_EQ(0, call_claim_arg(w->handle, &arg));
	w->granted = arg.id;
	ASSERT_EQ(0, call_release(w->other, id));
	ASSERT_USE(w->handle, 2, 0, 4, 1, 1);
}

static void drop_world(struct world *w)
{
	close(w->handle);
	close(w->other);
	close(w->private);
	close(w->dev);
	munmap((void *)w->status, IPM_STATUS_SLOTS_SIZE);
	munmap(w->mapped, PAGE);
	free(w->ranges);
	free(w->release);
	free(w->doubts);
}

static struct picture take_picture(struct __test_metadata *_metadata, struct world *w)
{
	struct pollfd p = { .fd = w->handle, .events = POLLIN };
	struct picture picture;
	uint32_t *slots;

	memset(&picture, 0, sizeof(picture));
	ASSERT_EQ(0, call_limits(w->dev, &picture.limits));
	ASSERT_EQ(0, call_info(w->handle, &picture.info[0]));
	ASSERT_EQ(0, call_info(w->private, &picture.info[1]));
	/* What was undone may have waited. */
	for (int i = 0; i < 2; i++)
		picture.info[i].waits = picture.info[i].wait_ns = 0;
	picture.exists = call_open(w->dev, ref_key(KEY), IPM_READ_ONLY);
	picture.readable = poll(&p, 1, 0);
	picture.fds = count_fds();
	picture.counts = read_counts();
	memcpy(picture.status, w->status, sizeof(picture.status));
	/* A slot that was taken and given back has another generation. */
	slots = (uint32_t *)(picture.status + IPM_STATUS_SLOTS);
	for (int i = 0; i < IPM_SLOTS_MAX; i++) {
		if (IPM_SLOT_STATE(slots[i]) == IPM_SLOT_FREE)
			slots[i] = 0;
	}
	return picture;
}

/* What was called last. */
static const char *called = "nothing";

/* Says which bytes of two pictures differ. */
static bool same(const char *what, const void *before, const void *after, size_t size)
{
	const unsigned char *a = before, *b = after;

	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i]) {
			note("after %s byte %zu of %s was %#x and is %#x", called, i, what, a[i],
			     b[i]);
			return false;
		}
	}
	return true;
}

#define ASSERT_UNCHANGED(w, before)                                                    \
	do {                                                                           \
		struct picture after_ = take_picture(_metadata, w);                    \
		ASSERT_TRUE(same("LIMITS", &(before)->limits, &after_.limits,          \
				 sizeof(after_.limits)));                              \
		ASSERT_TRUE(same("INFO", &(before)->info[0], &after_.info[0],          \
				 sizeof(after_.info[0])));                             \
		ASSERT_TRUE(same("the other INFO", &(before)->info[1], &after_.info[1], \
				 sizeof(after_.info[1])));                             \
		ASSERT_EQ((before)->exists, after_.exists);                            \
		ASSERT_EQ((before)->readable, after_.readable);                        \
		ASSERT_EQ((before)->fds, after_.fds);                                  \
		ASSERT_STREQ((before)->counts.text, after_.counts.text);               \
		ASSERT_TRUE(same("the status", (before)->status, after_.status,        \
				 sizeof(after_.status)));                              \
	} while (0)

/* --- one row for each ioctl and the things that it is called on --- */

#define NO_FIELD	((size_t)-1)

static int device_fd(struct world *w)
{
	return w->dev;
}

static int handle_fd(struct world *w)
{
	return w->handle;
}

static int private_fd(struct world *w)
{
	return w->private;
}

static void fill_version(struct world *w, union argument *arg)
{
	(void)w;
	arg->version.flags = 0;
	arg->version.reserved = 0;
}

static void fill_limits(struct world *w, union argument *arg)
{
	(void)w;
	arg->limits.flags = 0;
	arg->limits.reserved = 0;
}

static void fill_create(struct world *w, union argument *arg)
{
	(void)w;
	arg->create.ref = ref_key(KEY);
	arg->create.size = PAGE;
	arg->create.capacity = 0;
	arg->create.flags = 0;
	arg->create.access = IPM_READ_WRITE;
	arg->create.mode = 0600;
	arg->create.reserved = 0;
}

static void fill_open(struct world *w, union argument *arg)
{
	(void)w;
	arg->open.ref = ref_name(NAME);
	arg->open.flags = 0;
	arg->open.access = IPM_READ_WRITE;
	arg->open.reserved = 0;
}

static void fill_remove(struct world *w, union argument *arg)
{
	(void)w;
	arg->remove.ref = ref_name(NAME);
	arg->remove.flags = 0;
	arg->remove.reserved = 0;
}

static void fill_info(struct world *w, union argument *arg)
{
	(void)w;
	arg->info.ref = ref_name(NAME);
	arg->info.flags = 0;
	arg->info.reserved = 0;
}

static void fill_info_handle(struct world *w, union argument *arg)
{
	fill_info(w, arg);
	arg->info.ref = ref_none();
}

static void fill_link(struct world *w, union argument *arg)
{
	(void)w;
	arg->link.ref = ref_key(KEY);
	arg->link.flags = 0;
	arg->link.reserved = 0;
}

static void fill_set(struct world *w, union argument *arg)
{
	(void)w;
	arg->set = (struct ipm_set) { .what = IPM_SET_MODE, .mode = 0644 };
}

static void fill_set_device(struct world *w, union argument *arg)
{
	fill_set(w, arg);
	arg->set.id = w->number;
}

static void fill_mapping(struct world *w, union argument *arg)
{
	arg->mapping = (struct ipm_mapping) { .address = (uintptr_t)w->mapped };
}

static void fill_grow(struct world *w, union argument *arg)
{
	(void)w;
	arg->grow = (struct ipm_grow) { .size = 3 * PAGE };
}

static void fill_reopen(struct world *w, union argument *arg)
{
	fill_open(w, arg);
	arg->open.ref = ref_none();
}

static void fill_claim(struct world *w, union argument *arg)
{
	(void)w;
	arg->claim = claim_arg(2000, 100, WRITE, 0);
}

static void fill_claim_ranges(struct world *w, union argument *arg)
{
	w->ranges[0] = (struct ipm_range) { .offset = 3000, .length = 10, .mode = WRITE };
	w->ranges[1] = (struct ipm_range) { .offset = 2000, .length = 10, .mode = READ };
	w->release[0] = w->id;
	arg->claim = claim_arg(0, 0, 0, 0);
	arg->claim.ranges = (uintptr_t)w->ranges;
	arg->claim.nr_ranges = 2;
	arg->claim.release = (uintptr_t)w->release;
	arg->claim.nr_release = 1;
}

static void fill_claim_async(struct world *w, union argument *arg)
{
	(void)w;
	arg->claim = claim_arg(200, 100, WRITE, IPM_CLAIM_ASYNC);
}

static void fill_convert(struct world *w, union argument *arg)
{
	arg->convert = (struct ipm_convert) {
		.id = w->id, .mode = WRITE, .result = POISON32,
	};
}

static void fill_release(struct world *w, union argument *arg)
{
	arg->release = (struct ipm_release) { .id = w->id };
}

static void fill_release_all(struct world *w, union argument *arg)
{
	(void)w;
	arg->release_all = (struct ipm_release_all) { .released = POISON32 };
}

static void fill_collect(struct world *w, union argument *arg)
{
	arg->collect = (struct ipm_collect) { .id = w->granted, .result = POISON32 };
}

static void fill_doubt(struct world *w, union argument *arg)
{
	arg->doubt = (struct ipm_doubt) {
		.ranges = (uintptr_t)w->doubts, .nr_ranges = 4, .total = POISON32,
	};
}

static void fill_recovered(struct world *w, union argument *arg)
{
	(void)w;
	arg->recovered = (struct ipm_recovered) { .offset = 1000, .length = 24 };
}

static void fill_slot(struct world *w, union argument *arg)
{
	(void)w;
	arg->slot = (struct ipm_slot) { .slot = POISON32, .generation = POISON32 };
}

static void fill_reap(struct world *w, union argument *arg)
{
	arg->reap = (struct ipm_reap) { .slot = w->slot, .generation = w->generation };
}

static void fill_ring(struct world *w, union argument *arg)
{
	(void)w;
	arg->bell = (struct ipm_bell) { .bits = 1 };
}

static void fill_subscribe(struct world *w, union argument *arg)
{
	(void)w;
	arg->subscribe = (struct ipm_subscribe) { .bits = 1, .events = IPM_HEAR_REMOVED };
}

struct row {
	const char *name;
	unsigned long request;
	int (*fd)(struct world *w);
	void (*fill)(struct world *w, union argument *arg);
	size_t flags;		/* where the word of flags is */
	uint32_t known;		/* flags that there are, or that are not to be tried */
	size_t reserved[2];
	bool writes;		/* it has results */
};

#define AT(type, member)	offsetof(struct type, member)
#define NONE			{ NO_FIELD, NO_FIELD }

static const struct row rows[] = {
	{ "VERSION", IPM_IOC_VERSION, device_fd, fill_version, AT(ipm_version, flags), 0,
	  { AT(ipm_version, reserved), NO_FIELD }, 1 },
	{ "VERSION of a handle", IPM_IOC_VERSION, handle_fd, fill_version, AT(ipm_version, flags),
	  0, { AT(ipm_version, reserved), NO_FIELD }, 1 },
	{ "LIMITS", IPM_IOC_LIMITS, device_fd, fill_limits, AT(ipm_limits, flags), 0,
	  { AT(ipm_limits, reserved), NO_FIELD }, 1 },
	{ "CREATE", IPM_IOC_CREATE, device_fd, fill_create, AT(ipm_create, flags),
	  IPM_CREATE_EXCLUSIVE | IPM_CREATE_PERSISTENT | IPM_CREATE_PREALLOCATE |
		  IPM_CREATE_NORESERVE | IPM_CREATE_NO_CLOEXEC | IPM_CREATE_EMPTY,
	  { AT(ipm_create, reserved), AT(ipm_create, ref.reserved) }, 1 },
	{ "OPEN", IPM_IOC_OPEN, device_fd, fill_open, AT(ipm_open, flags),
	  IPM_OPEN_NO_CLOEXEC | IPM_OPEN_REMOVED,
	  { AT(ipm_open, reserved), AT(ipm_open, ref.reserved) }, 1 },
	{ "REMOVE", IPM_IOC_REMOVE, device_fd, fill_remove, AT(ipm_remove, flags), 0,
	  { AT(ipm_remove, reserved), AT(ipm_remove, ref.reserved) }, 0 },
	{ "REMOVE on a handle", IPM_IOC_REMOVE, handle_fd, fill_remove, AT(ipm_remove, flags), 0,
	  { AT(ipm_remove, reserved), AT(ipm_remove, ref.reserved) }, 0 },
	{ "INFO", IPM_IOC_INFO, device_fd, fill_info, AT(ipm_info, flags), IPM_INFO_FIND,
	  { AT(ipm_info, reserved), AT(ipm_info, ref.reserved) }, 1 },
	{ "INFO of a handle", IPM_IOC_INFO, handle_fd, fill_info_handle, AT(ipm_info, flags), 0,
	  { AT(ipm_info, reserved), AT(ipm_info, ref.reserved) }, 1 },
	{ "LINK", IPM_IOC_LINK, private_fd, fill_link, AT(ipm_link, flags), 0,
	  { AT(ipm_link, reserved), AT(ipm_link, ref.reserved) }, 0 },
	{ "SET", IPM_IOC_SET, handle_fd, fill_set, AT(ipm_set, what),
	  IPM_SET_MODE | IPM_SET_UID | IPM_SET_GID | IPM_SET_LIFETIME,
	  { AT(ipm_set, id), NO_FIELD }, 0 },
	{ "SET on the device", IPM_IOC_SET, device_fd, fill_set_device, AT(ipm_set, what),
	  IPM_SET_MODE | IPM_SET_UID | IPM_SET_GID | IPM_SET_LIFETIME, NONE, 0 },
	{ "MAPPING", IPM_IOC_MAPPING, device_fd, fill_mapping, AT(ipm_mapping, flags), 0,
	  { AT(ipm_mapping, id), AT(ipm_mapping, size) }, 1 },
	{ "GROW", IPM_IOC_GROW, handle_fd, fill_grow, AT(ipm_grow, flags), IPM_GROW_PREALLOCATE,
	  { AT(ipm_grow, reserved), NO_FIELD }, 1 },
	{ "REOPEN", IPM_IOC_REOPEN, handle_fd, fill_reopen, AT(ipm_open, flags),
	  IPM_OPEN_NO_CLOEXEC | IPM_OPEN_REMOVED,
	  { AT(ipm_open, reserved), AT(ipm_open, ref.reserved) }, 1 },
	{ "CLAIM", IPM_IOC_CLAIM, handle_fd, fill_claim, AT(ipm_claim, flags),
	  IPM_CLAIM_TRY | IPM_CLAIM_DEADLINE | IPM_CLAIM_NO_DEADLOCK | IPM_CLAIM_UNTIL_REMOVED |
		  IPM_CLAIM_ASYNC,
	  { AT(ipm_claim, reserved), NO_FIELD }, 1 },
	{ "CLAIM of ranges", IPM_IOC_CLAIM, handle_fd, fill_claim_ranges, AT(ipm_claim, flags),
	  IPM_CLAIM_TRY | IPM_CLAIM_DEADLINE | IPM_CLAIM_NO_DEADLOCK | IPM_CLAIM_UNTIL_REMOVED |
		  IPM_CLAIM_ASYNC,
	  { AT(ipm_claim, reserved), NO_FIELD }, 1 },
	{ "CLAIM for later", IPM_IOC_CLAIM, handle_fd, fill_claim_async, AT(ipm_claim, flags),
	  IPM_CLAIM_TRY | IPM_CLAIM_DEADLINE | IPM_CLAIM_NO_DEADLOCK | IPM_CLAIM_UNTIL_REMOVED |
		  IPM_CLAIM_ASYNC,
	  { AT(ipm_claim, reserved), NO_FIELD }, 1 },
	{ "CONVERT", IPM_IOC_CONVERT, handle_fd, fill_convert, AT(ipm_convert, flags),
	  IPM_CLAIM_TRY | IPM_CLAIM_DEADLINE | IPM_CLAIM_NO_DEADLOCK | IPM_CLAIM_UNTIL_REMOVED,
	  { AT(ipm_convert, reserved), NO_FIELD }, 1 },
	{ "RELEASE", IPM_IOC_RELEASE, handle_fd, fill_release, AT(ipm_release, flags), 0,
	  { AT(ipm_release, reserved), NO_FIELD }, 0 },
	{ "RELEASE_ALL", IPM_IOC_RELEASE_ALL, handle_fd, fill_release_all,
	  AT(ipm_release_all, flags), 0, NONE, 1 },
	{ "CLEAR_CLAIMS", IPM_IOC_CLEAR_CLAIMS, handle_fd, fill_release_all,
	  AT(ipm_release_all, flags), 0, NONE, 1 },
	{ "COLLECT", IPM_IOC_COLLECT, handle_fd, fill_collect, AT(ipm_collect, flags), 0, NONE, 1 },
	{ "DOUBT", IPM_IOC_DOUBT, handle_fd, fill_doubt, NO_FIELD, 0, NONE, 1 },
	{ "RECOVERED", IPM_IOC_RECOVERED, handle_fd, fill_recovered, AT(ipm_recovered, flags), 0,
	  { AT(ipm_recovered, reserved), NO_FIELD }, 0 },
	{ "SLOT", IPM_IOC_SLOT, handle_fd, fill_slot, AT(ipm_slot, flags), IPM_SLOT_GIVE,
	  { AT(ipm_slot, reserved), NO_FIELD }, 1 },
	{ "REAP", IPM_IOC_REAP, handle_fd, fill_reap, AT(ipm_reap, flags), 0,
	  { AT(ipm_reap, reserved), NO_FIELD }, 0 },
	{ "RING", IPM_IOC_RING, handle_fd, fill_ring, AT(ipm_bell, flags), IPM_BELL_SLOT,
	  { AT(ipm_bell, slot), NO_FIELD }, 0 },
	{ "SUBSCRIBE", IPM_IOC_SUBSCRIBE, handle_fd, fill_subscribe, AT(ipm_subscribe, flags), 0,
	  NONE, 0 },
	{ "SUBSCRIBE to events", IPM_IOC_SUBSCRIBE, handle_fd, fill_subscribe,
	  AT(ipm_subscribe, events), IPM_HEAR_DEATH | IPM_HEAR_CHANGED | IPM_HEAR_REMOVED, NONE, 0 },
};

/* The argument of this row when all is well, the rest of it filled with a pattern. */
static union argument argument_of(const struct row *row, struct world *w)
{
	union argument arg;

	memset(&arg, POISON, sizeof(arg));
	row->fill(w, &arg);
	return arg;
}

static unsigned long resized(unsigned long request, size_t size)
{
	return _IOC(_IOC_DIR(request), _IOC_TYPE(request), _IOC_NR(request), size);
}

static int call_raw(int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

/* Two pages, and a third one that is not there. */
static char *pages_before_a_hole(void)
{
	char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	munmap(pages + 2 * PAGE, PAGE);
	return pages;
}

#define for_each_row(row)	for (row = rows; row < rows + ARRAY_LENGTH(rows); row++)

FIXTURE(device)
{
	struct counts before;
	struct world w;
	struct picture picture;
};

FIXTURE_SETUP(device)
{
	self->before = read_counts();
	make_world(_metadata, &self->w);
	if (_metadata->passed)
		self->picture = take_picture(_metadata, &self->w);
}

FIXTURE_TEARDOWN(device)
{
	drop_world(&self->w);
	EXPECT_COUNTS_SOON(self->before);
}

#define ASSERT_REFUSED(row, error, fd, request, arg)                                       \
	do {                                                                               \
		called = (row)->name;                                                      \
		ASSERT_EQ(-(error), call_raw(fd, request, arg)) {                          \
			note("this was %s, request %#lx", called, (unsigned long)(request)); \
		}                                                                          \
		ASSERT_UNCHANGED(&self->w, &self->picture);                                \
	} while (0)

TEST_F(device, version)
{
	struct ipm_version v, of_handle;
	char loaded[64];

	ASSERT_EQ(0, call_version(self->w.dev, &v));
	EXPECT_EQ(0, v.flags);
	EXPECT_EQ(IPM_ABI_VERSION, v.abi);
	EXPECT_EQ(IPM_FEATURE_CLAIMS | IPM_FEATURE_CONVERT | IPM_FEATURE_RANGES |
			  IPM_FEATURE_ASYNC | IPM_FEATURE_DEADLOCK | IPM_FEATURE_DOUBT |
			  IPM_FEATURE_STATUS | IPM_FEATURE_SLOTS | IPM_FEATURE_DOORBELL |
			  IPM_FEATURE_NETLINK | IPM_FEATURE_SYSV,
		  v.features);
	EXPECT_EQ(IPM_CAPACITY_MAX, v.capacity_max);
	EXPECT_EQ(IPM_NAME_SIZE, v.name_size);
	EXPECT_EQ(IPM_CLAIM_RANGES_MAX, v.ranges_max);
	EXPECT_EQ(IPM_CLAIM_RELEASES_MAX, v.releases_max);
	EXPECT_EQ(IPM_DOUBT_MAX, v.doubt_max);
	EXPECT_EQ(IPM_SLOTS_MAX, v.slots_max);
	for (size_t i = strnlen(v.release, sizeof(v.release)); i < sizeof(v.release); i++)
		EXPECT_EQ(0, v.release[i]);
	EXPECT_EQ(0, v.release[sizeof(v.release) - 1]);
	EXPECT_STREQ(read_text("/sys/module/ipm/version", loaded, sizeof(loaded)), v.release);

	ASSERT_EQ(0, call_version(self->w.handle, &of_handle));
	EXPECT_EQ(0, memcmp(&v, &of_handle, sizeof(v)));
	ASSERT_UNCHANGED(&self->w, &self->picture);
}

static long long parameter(const char *name)
{
	char path[300], value[32];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return *read_text(path, value, sizeof(value)) ? atoll(value) : -1;
}

TEST_F(device, limits)
{
	struct ipm_limits l, m;
	int fd;

	ASSERT_EQ(0, call_limits(self->w.dev, &l));
	EXPECT_EQ((uint64_t)parameter("max_segments"), l.segments_max);
	EXPECT_EQ((uint64_t)parameter("max_handles"), l.handles_max);
	EXPECT_EQ((uint64_t)parameter("max_claims"), l.claims_max);
	/* 0 stands for the machine's memory. */
	EXPECT_EQ(parameter("max_bytes") ? (uint64_t)parameter("max_bytes") :
					   sysconf(_SC_PHYS_PAGES) * PAGE, l.bytes_max);

	/* What the world is made of. */
	EXPECT_EQ(3, l.segments);
	EXPECT_EQ(3, l.handles);
	EXPECT_EQ(5, l.claims);
	EXPECT_EQ(4 * PAGE, l.bytes);

	fd = make_private(self->w.dev, 7 * PAGE, 0);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_claim(fd, 0, 10, READ, 0, NULL));
	ASSERT_EQ(0, call_claim(fd, 0, 10, WRITE, 0, NULL));
	ASSERT_EQ(0, call_limits(self->w.dev, &m));
	EXPECT_EQ(l.segments + 1, m.segments);
	EXPECT_EQ(l.handles + 1, m.handles);
	EXPECT_EQ(l.claims + 2, m.claims);
	EXPECT_EQ(l.bytes + 7 * PAGE, m.bytes);
	close(fd);
	ASSERT_UNCHANGED(&self->w, &self->picture);

	/* Growth counts, and goes with the segment. */
	fd = make_private(self->w.dev, PAGE, 8 * PAGE);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_grow(fd, 8 * PAGE, 0));
	ASSERT_EQ(0, call_limits(self->w.dev, &m));
	EXPECT_EQ(l.bytes + 8 * PAGE, m.bytes);
	close(fd);
	ASSERT_UNCHANGED(&self->w, &self->picture);

	/* Counts are those of the caller. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		CHECK(0, call_limits(self->w.dev, &m));
		CHECK(0, m.segments + m.handles + m.claims + m.bytes);
		CHECK(l.segments_max, m.segments_max);
	}));
}

TEST_F(device, wrong_kind_of_file)
{
	const struct row *row;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int path = open(DEVICE, O_PATH | O_CLOEXEC);
	int memory = memfd_create("test", MFD_CLOEXEC);
	union argument arg;

	ASSERT_FD(null);
	ASSERT_FD(path);
	ASSERT_FD(memory);
	self->picture = take_picture(_metadata, &self->w);
	for_each_row(row) {
		arg = argument_of(row, &self->w);
		ASSERT_REFUSED(row, ENOTTY, null, row->request, &arg);
		ASSERT_REFUSED(row, ENOTTY, memory, row->request, &arg);
		ASSERT_REFUSED(row, EBADF, path, row->request, &arg);
		ASSERT_REFUSED(row, EBADF, -1, row->request, &arg);
		ASSERT_REFUSED(row, EBADF, 987, row->request, &arg);
		switch (row->request) {
		case IPM_IOC_VERSION:
		case IPM_IOC_REMOVE:
		case IPM_IOC_INFO:
		case IPM_IOC_SET:
			break;
		default:
			ASSERT_REFUSED(row, ENOTTY,
				       row->fd == device_fd ? self->w.handle : self->w.dev,
				       row->request, &arg);
		}
	}
	close(null);
	close(path);
	close(memory);
}

TEST_F(device, unknown_request)
{
	union argument arg;
	const struct row row = { .name = "unknown" };

	memset(&arg, 0, sizeof(arg));
	for (unsigned int nr = 0; nr < 256; nr++) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
			known |= _IOC_NR(rows[i].request) == nr;
		if (known)
			continue;
		ASSERT_REFUSED(&row, ENOTTY, self->w.dev, _IOC(3, IPM_IOC_MAGIC, nr, 64), &arg);
		ASSERT_REFUSED(&row, ENOTTY, self->w.handle, _IOC(3, IPM_IOC_MAGIC, nr, 64), &arg);
	}
	/* Another driver's letter. */
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		unsigned long request = _IOC(_IOC_DIR(rows[i].request), IPM_IOC_MAGIC ^ 1,
					     _IOC_NR(rows[i].request), _IOC_SIZE(rows[i].request));

		arg = argument_of(&rows[i], &self->w);
		ASSERT_REFUSED(&rows[i], ENOTTY, rows[i].fd(&self->w), request, &arg);
	}
}

TEST_F_TIMEOUT(device, wrong_size, 120)
{
	const struct row *row;

	for_each_row(row) {
		size_t size = _IOC_SIZE(row->request);
		union argument arg = argument_of(row, &self->w), copy = arg;

		for (size_t wrong = 0; wrong < size; wrong++) {
			ASSERT_EQ(-EINVAL, call_raw(row->fd(&self->w),
						    resized(row->request, wrong), &arg)) {
				note("this was %s with %zu bytes", row->name, wrong);
			}
		}
		ASSERT_UNCHANGED(&self->w, &self->picture);

		/* Longer, and the kernel does not know what the tail means. */
		for (size_t wrong = size + 1; wrong < sizeof(arg); wrong += 1 + wrong / 9) {
			memset(arg.bytes + size, 0, sizeof(arg) - size);
			arg.bytes[wrong - 1] = 1;
			ASSERT_EQ(-E2BIG, call_raw(row->fd(&self->w),
						   resized(row->request, wrong), &arg)) {
				note("this was %s with %zu bytes", row->name, wrong);
			}
		}
		ASSERT_EQ(0, memcmp(&arg, &copy, size));
		ASSERT_UNCHANGED(&self->w, &self->picture);
	}
}

/* The same call, with zeros behind what this kernel knows: as if they were not there. */
TEST_F_TIMEOUT(device, longer_by_zeros, 120)
{
	const struct row *row;

	for_each_row(row) {
		size_t size = _IOC_SIZE(row->request);

		for (int more = 1; more <= 64; more *= 8) {
			struct world w;
			union argument arg;
			int ret;

			drop_world(&self->w);
			make_world(_metadata, &w);
			self->w = w;
			arg = argument_of(row, &w);
			memset(arg.bytes + size, 0, sizeof(arg) - size);
			ret = call_raw(row->fd(&w), resized(row->request, size + more), &arg);
			ASSERT_LE(0, ret) {
				note("this was %s with %d bytes more", row->name, more);
			}
			for (size_t i = size; i < sizeof(arg); i++)
				ASSERT_EQ(0, arg.bytes[i]);
			if (row->request == IPM_IOC_CREATE || row->request == IPM_IOC_OPEN ||
			    row->request == IPM_IOC_REOPEN)
				close(ret);
			else
				ASSERT_EQ(0, ret);
		}
	}
}

TEST_F_TIMEOUT(device, unknown_flags, 60)
{
	const struct row *row;

	for_each_row(row) {
		if (row->flags == NO_FIELD)
			continue;
		for (int bit = 0; bit < 32; bit++) {
			union argument arg = argument_of(row, &self->w);
			uint32_t flags;

			if (row->known & 1U << bit)
				continue;
			memcpy(&flags, arg.bytes + row->flags, sizeof(flags));
			flags |= 1U << bit;
			memcpy(arg.bytes + row->flags, &flags, sizeof(flags));
			ASSERT_REFUSED(row, EINVAL, row->fd(&self->w), row->request, &arg);
		}
	}
}

TEST_F(device, reserved_fields)
{
	const struct row *row;

	for_each_row(row) {
		for (int i = 0; i < 2; i++) {
			for (uint32_t value = 1; value; value <<= 31) {
				union argument arg = argument_of(row, &self->w);

				if (row->reserved[i] == NO_FIELD)
					continue;
				memcpy(arg.bytes + row->reserved[i], &value, sizeof(value));
				ASSERT_REFUSED(row, EINVAL, row->fd(&self->w), row->request, &arg);
			}
		}
	}
	for (int i = 0; i < 2; i++) {
		union argument arg;

		memset(&arg, POISON, sizeof(arg));
		fill_claim_ranges(&self->w, &arg);
		self->w.ranges[i].reserved = 1;
		ASSERT_EQ(-EINVAL, call_raw(self->w.handle, IPM_IOC_CLAIM, &arg));
		ASSERT_UNCHANGED(&self->w, &self->picture);
	}
}

/* A field of a reference that is not meant has to be 0, and by has to be known. */
TEST_F(device, references)
{
	static const unsigned long requests[] = {
		IPM_IOC_CREATE, IPM_IOC_OPEN, IPM_IOC_REMOVE, IPM_IOC_INFO, IPM_IOC_LINK,
		IPM_IOC_REOPEN,
	};
	struct ipm_ref bad[16];
	size_t n = 0;

	for (uint32_t by = 4; by; by <<= 9)
		bad[n] = ref_none(), bad[n++].by = by;
	bad[n] = ref_none(), bad[n++].key = 1;
	bad[n] = ref_none(), bad[n++].id = 1;
	bad[n] = ref_none(), bad[n++].name[0] = 'x';
	bad[n] = ref_name(NAME), bad[n++].key = 1;
	bad[n] = ref_name(NAME), bad[n++].id = 1;
	bad[n] = ref_key(KEY), bad[n++].id = 1;
	bad[n] = ref_key(KEY), bad[n++].name[0] = 'x';
	bad[n] = ref_id(1), bad[n++].key = 1;
	bad[n] = ref_id(1), bad[n++].name[0] = 'x';
	ASSERT_LE(n, ARRAY_LENGTH(bad));

	for (size_t r = 0; r < ARRAY_LENGTH(requests); r++) {
		const struct row *row = rows;

		while (row->request != requests[r])
			row++;
		for (size_t i = 0; i < n; i++) {
			union argument arg = argument_of(row, &self->w);

			/* The reference is the first member wherever there is one. */
			memcpy(&arg, &bad[i], sizeof(bad[i]));
			ASSERT_REFUSED(row, EINVAL, row->fd(&self->w), row->request, &arg);
		}
	}

	/* Ways of naming that a call does not take. */
	EXPECT_EQ(-EINVAL, call_open(self->w.dev, ref_none(), IPM_READ_ONLY));
	EXPECT_EQ(-EINVAL, call_remove(self->w.dev, ref_none()));
	EXPECT_EQ(-EINVAL, call_link(self->w.private, ref_none()));
	EXPECT_EQ(-EINVAL, call_link(self->w.private, ref_id(1)));
	EXPECT_EQ(-EINVAL, call_create(self->w.dev, ref_id(1), PAGE, 0, 0, IPM_READ_WRITE, 0600,
				       NULL));
	EXPECT_EQ(-EINVAL, call_open_or_reopen(self->w.handle, IPM_IOC_REOPEN, ref_name(NAME), 0,
					       IPM_READ_WRITE, NULL));
	ASSERT_UNCHANGED(&self->w, &self->picture);
}

TEST_F_TIMEOUT(device, bad_pointers, 60)
{
	char *pages = pages_before_a_hole();
	const struct row *row;

	ASSERT_NE(NULL, pages);
	for_each_row(row) {
		size_t size = _IOC_SIZE(row->request);
		union argument arg = argument_of(row, &self->w);
		int fd = row->fd(&self->w);

		ASSERT_REFUSED(row, EFAULT, fd, row->request, NULL);
		ASSERT_REFUSED(row, EFAULT, fd, row->request, (void *)8);
		ASSERT_REFUSED(row, EFAULT, fd, row->request, pages + 2 * PAGE);
		ASSERT_REFUSED(row, EFAULT, fd, row->request, (void *)0xffffffff81000000);
		ASSERT_REFUSED(row, EFAULT, fd, row->request, (void *)-4096L);
		ASSERT_REFUSED(row, EFAULT, fd, row->request, (void *)0x8000000000000000);
		/* The last byte, and the last but one, lie in the hole. */
		memcpy(pages + 2 * PAGE - size + 1, &arg, size - 1);
		ASSERT_REFUSED(row, EFAULT, fd, row->request, pages + 2 * PAGE - size + 1);
		memcpy(pages + 2 * PAGE - 8, &arg, 8);
		if (size > 8)
			ASSERT_REFUSED(row, EFAULT, fd, row->request, pages + 2 * PAGE - 8);
	}
	munmap(pages, 2 * PAGE);
}

/* The argument can be read, but not written: the call is undone. */
TEST_F(device, read_only_memory)
{
	char *pages = pages_before_a_hole();
	const struct row *row;

	ASSERT_NE(NULL, pages);
	for_each_row(row) {
		union argument arg = argument_of(row, &self->w);

		if (!row->writes)
			continue;
		memcpy(pages, &arg, _IOC_SIZE(row->request));
		ASSERT_EQ(0, mprotect(pages, PAGE, PROT_READ));
		ASSERT_REFUSED(row, EFAULT, row->fd(&self->w), row->request, pages);
		ASSERT_EQ(0, mprotect(pages, PAGE, PROT_READ | PROT_WRITE));
		ASSERT_EQ(0, memcmp(pages, &arg, _IOC_SIZE(row->request)));
	}
	munmap(pages, 2 * PAGE);
}

/* Arguments need no alignment. */
TEST_F(device, misaligned)
{
	const struct row *row;
	union argument aligned[2];
	struct ipm_ref none;

	for_each_row(row) {
		char *bytes = (char *)aligned + 3;
		struct world w;
		union argument arg;
		int ret;

		drop_world(&self->w);
		make_world(_metadata, &w);
		self->w = w;
		arg = argument_of(row, &w);
		memcpy(bytes, &arg, _IOC_SIZE(row->request));
		ret = call_raw(row->fd(&w), row->request, bytes);
		ASSERT_LE(0, ret) {
			note("this was %s", row->name);
		}
		if (ret)
			close(ret);
	}

	/* The device and handles do not mix up arguments that lie in the segment itself. */
	{
		char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->w.private, 0);
		struct ipm_info *info = (struct ipm_info *)(map + 1);

		ASSERT_NE(MAP_FAILED, (void *)map);
		none = ref_none();
		memcpy(&info->ref, &none, sizeof(none));
		memset(&info->flags, 0, sizeof(info->flags));
		memset(&info->reserved, 0, sizeof(info->reserved));
		ASSERT_EQ(0, call_raw(self->w.private, IPM_IOC_INFO, info));
		munmap(map, PAGE);
	}
}

/* Pointers inside the argument. */
TEST_F(device, bad_inner_pointers)
{
	char *pages = pages_before_a_hole();
	struct ipm_claim claim;
	struct ipm_doubt doubt;
	const struct row row = { .name = "an inner pointer" };
	union argument arg;
	const uint64_t wrong[] = {
		0, 8, (uintptr_t)pages + 2 * PAGE, (uintptr_t)pages + 2 * PAGE - sizeof(struct ipm_range),
		0xffffffff81000000, -4096ULL, 0x8000000000000000, (uintptr_t)pages + 2 * PAGE - 8,
	};

	ASSERT_NE(NULL, pages);
	fill_claim_ranges(&self->w, &arg);
	memcpy(pages + 2 * PAGE - sizeof(struct ipm_range), self->w.ranges, sizeof(struct ipm_range));
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		claim = arg.claim;
		claim.ranges = wrong[i];
		ASSERT_REFUSED(&row, EFAULT, self->w.handle, IPM_IOC_CLAIM, &claim);
	}
	memcpy(pages + 2 * PAGE - 8, self->w.release, 8);
	for (size_t i = 0; i < ARRAY_LENGTH(wrong) - 1; i++) {
		claim = arg.claim;
		claim.release = wrong[i];
		claim.nr_release = 4;
		ASSERT_REFUSED(&row, EFAULT, self->w.handle, IPM_IOC_CLAIM, &claim);
	}

	/* A pointer without a count is an unknown wish. */
	claim = arg.claim;
	claim.nr_ranges = 0;
	ASSERT_REFUSED(&row, EINVAL, self->w.handle, IPM_IOC_CLAIM, &claim);
	claim = arg.claim;
	claim.nr_release = 0;
	ASSERT_REFUSED(&row, EINVAL, self->w.handle, IPM_IOC_CLAIM, &claim);
	claim = arg.claim;
	claim.offset = 1;
	ASSERT_REFUSED(&row, EINVAL, self->w.handle, IPM_IOC_CLAIM, &claim);
	claim = arg.claim;
	claim.length = 1;
	ASSERT_REFUSED(&row, EINVAL, self->w.handle, IPM_IOC_CLAIM, &claim);
	claim = arg.claim;
	claim.mode = 1;
	ASSERT_REFUSED(&row, EINVAL, self->w.handle, IPM_IOC_CLAIM, &claim);
	claim = arg.claim;
	claim.deadline = 1;
	ASSERT_REFUSED(&row, EINVAL, self->w.handle, IPM_IOC_CLAIM, &claim);

	fill_doubt(&self->w, &arg);
	for (size_t i = 0; i < ARRAY_LENGTH(wrong) - 1; i++) {
		doubt = arg.doubt;
		doubt.ranges = wrong[i];
		/* There is one entry; it must not fit before the hole. */
		if (i == 3)
			doubt.ranges += 8;
		ASSERT_REFUSED(&row, EFAULT, self->w.handle, IPM_IOC_DOUBT, &doubt);
	}
	ASSERT_EQ(0, mprotect(pages, PAGE, PROT_READ));
	doubt = arg.doubt;
	doubt.ranges = (uintptr_t)pages;
	ASSERT_REFUSED(&row, EFAULT, self->w.handle, IPM_IOC_DOUBT, &doubt);
	doubt = arg.doubt;
	doubt.nr_ranges = 0;
	ASSERT_REFUSED(&row, EINVAL, self->w.handle, IPM_IOC_DOUBT, &doubt);
	munmap(pages, 2 * PAGE);
}

/* No file descriptor left: nothing was made. */
TEST_F(device, no_file_descriptor)
{
	const struct row row = { .name = "no file descriptor" };
	struct rlimit limit, few;
	union argument arg;
	int fd;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	fd = dup(0);
	close(fd);
	few = limit;
	few.rlim_cur = fd;
	for (int i = 0; i < 3; i++) {
		static const unsigned long requests[] = {
			IPM_IOC_CREATE, IPM_IOC_OPEN, IPM_IOC_REOPEN
		};
		const struct row *r = rows;
		int ret;

		while (r->request != requests[i])
			r++;
		arg = argument_of(r, &self->w);
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
		ret = call_raw(r->fd(&self->w), r->request, &arg);
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
		ASSERT_EQ(-EMFILE, ret);
		ASSERT_UNCHANGED(&self->w, &self->picture);
	}
	arg = argument_of(&rows[0], &self->w);
	ASSERT_REFUSED(&row, ENOTTY, self->w.dev, IPM_IOC_CLAIM, &arg);
}

/* What files can do and these cannot. */
TEST_F(device, other_file_operations)
{
	char byte = 0;
	struct stat status;

	EXPECT_EQ(-1, write(self->w.handle, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->w.dev, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(self->w.dev, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ftruncate(self->w.handle, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ftruncate(self->w.handle, 16 * PAGE));
	EXPECT_EQ(-1, fallocate(self->w.handle, 0, 0, 16 * PAGE));
	EXPECT_EQ(-1, fallocate(self->w.handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	EXPECT_EQ(-1, fcntl(self->w.handle, F_ADD_SEALS, F_SEAL_GROW));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->w.dev, 0));
	EXPECT_EQ(0, fstat(self->w.handle, &status));
	ASSERT_UNCHANGED(&self->w, &self->picture);
}

TEST(device_node)
{
	struct stat status;
	int fd;

	ASSERT_EQ(0, stat(DEVICE, &status));
	EXPECT_EQ(S_IFCHR | 0666, status.st_mode);

	/* The right to the device is the right to ask; segments have their own. */
	fd = open(DEVICE, O_RDONLY | O_CLOEXEC);
	ASSERT_FD(fd);
	close(fd);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		fd = open_device();
		CHECK(1, fd >= 0);
		CHECK(1, make_private(fd, PAGE, 0) >= 0);
	}));
}

TEST_HARNESS_MAIN
