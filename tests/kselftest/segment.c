// SPDX-License-Identifier: GPL-2.0
/*
 * Segments: how they come to be, under which names, how long they live, how
 * they grow, and what stops them from doing so.
 */
#include "ipm_test.h"

#define NAME	"test-segment"
#define OTHER	"test-segment-2"

FIXTURE(segment)
{
	struct counts before;
	int dev;
};

FIXTURE_SETUP(segment)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
}

FIXTURE_TEARDOWN(segment)
{
	/* A failed test may have left these behind. */
	call_remove(self->dev, ref_name(NAME));
	call_remove(self->dev, ref_name(OTHER));
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

/* The segment can be found so, and is the one of this id. */
#define ASSERT_FOUND(ref_, id_)                                                   \
	do {                                                                     \
		struct ipm_info found_;                                          \
		ASSERT_EQ(0, call_info_by(self->dev, ref_, &found_));             \
		ASSERT_EQ((uint32_t)(id_), found_.ref.id);                       \
		int found_fd_ = call_open(self->dev, ref_, IPM_READ_ONLY);        \
		ASSERT_FD(found_fd_);                                            \
		ASSERT_EQ(0, call_info(found_fd_, &found_));                     \
		ASSERT_EQ((uint32_t)(id_), found_.ref.id);                       \
		close(found_fd_);                                                \
	} while (0)

#define ASSERT_NOT_FOUND(ref_, error)                                             \
	do {                                                                     \
		struct ipm_info found_;                                          \
		ASSERT_EQ(-(error), call_open(self->dev, ref_, IPM_READ_ONLY));   \
		ASSERT_EQ(-(error), call_open(self->dev, ref_, IPM_READ_WRITE));  \
		ASSERT_EQ(-(error), call_info_by(self->dev, ref_, &found_));      \
	} while (0)

static uint32_t id_of(int fd)
{
	struct ipm_info info;

	return call_info(fd, &info) ? 0 : info.ref.id;
}

/* --- creating --- */

TEST_F(segment, create)
{
	struct ipm_create out;
	struct ipm_info info;
	int64_t start = now_ns(CLOCK_REALTIME);
	int fd = call_create(self->dev, ref_name(NAME), 3 * PAGE, 10 * PAGE, 0, IPM_READ_WRITE,
			     0640, &out);

	ASSERT_FD(fd);
	EXPECT_EQ(3 * PAGE, out.size);
	EXPECT_EQ(10 * PAGE, out.capacity);
	EXPECT_EQ(1, out.created);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));

	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(IPM_BY_NAME, info.ref.by);
	EXPECT_STREQ(NAME, info.ref.name);
	EXPECT_EQ(0, info.ref.key);
	EXPECT_EQ(out.id, info.ref.id);
	EXPECT_EQ(0, info.state);
	EXPECT_EQ(3 * PAGE, info.size);
	EXPECT_EQ(10 * PAGE, info.capacity);
	EXPECT_EQ(0, info.resident);
	EXPECT_EQ(0640, info.mode);
	EXPECT_EQ(getuid(), info.uid);
	EXPECT_EQ(getgid(), info.gid);
	EXPECT_EQ(getuid(), info.cuid);
	EXPECT_EQ(getgid(), info.cgid);
	EXPECT_EQ(getpid(), info.creator_pid);
	EXPECT_EQ(0, info.last_pid);
	EXPECT_EQ(1, info.handles);
	EXPECT_EQ(0, info.maps + info.claims + info.waiters + info.doubts);
	EXPECT_LE(start, info.create_time);
	EXPECT_GE(now_ns(CLOCK_REALTIME), info.create_time);
	EXPECT_EQ(0, info.attach_time);
	EXPECT_EQ(0, info.detach_time);
	EXPECT_EQ(0, info.waits + info.wait_ns + info.deadlocks + info.deaths + info.doubt_events);
	ASSERT_FOUND(ref_name(NAME), out.id);
	ASSERT_FOUND(ref_id(out.id), out.id);
	ASSERT_NOT_FOUND(ref_name(OTHER), ENOENT);
	ASSERT_NOT_FOUND(ref_key(1), ENOENT);
	close(fd);
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_NOT_FOUND(ref_id(out.id), ENOENT);
	ASSERT_COUNTS(self->before);
}

/* Every way to ask gives the same answer. */
TEST_F(segment, info)
{
	struct ipm_info a, b;
	int fd = make_named(self->dev, NAME, 100, 2 * PAGE);
	int reader;

	ASSERT_FD(fd);
	reader = call_reopen(fd, IPM_READ_ONLY);
	ASSERT_FD(reader);
	ASSERT_EQ(0, call_info(fd, &a));
	EXPECT_EQ(2, a.handles);
	EXPECT_EQ(100, a.size);
	EXPECT_EQ(2 * PAGE, a.capacity);
	ASSERT_EQ(0, call_info(reader, &b));
	EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
	ASSERT_EQ(0, call_info_by(self->dev, ref_name(NAME), &b));
	EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
	ASSERT_EQ(0, call_info_by(self->dev, ref_id(a.ref.id), &b));
	EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
	close(reader);
	close(fd);

	fd = call_create(self->dev, ref_key(-7), 100, 0, 0, IPM_READ_WRITE, 0600, NULL);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &a));
	EXPECT_EQ(IPM_BY_KEY, a.ref.by);
	EXPECT_EQ(-7, a.ref.key);
	EXPECT_STREQ("", a.ref.name);
	ASSERT_EQ(0, call_info_by(self->dev, ref_key(-7), &b));
	EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
	close(fd);

	fd = make_private(self->dev, 100, 0);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &a));
	EXPECT_EQ(IPM_BY_NONE, a.ref.by);
	EXPECT_EQ(0, a.ref.key);
	EXPECT_STREQ("", a.ref.name);
	EXPECT_EQ(100, a.capacity);
	close(fd);
}

TEST_F(segment, names)
{
	char name[IPM_NAME_SIZE + 1];
	static const char *const good[] = {
		"a", "...", "..a", " ", "a b", "\xc3\xa4\xe2\x82\xac", "\xff\xfe", "tab\there",
		"line\nsize:\t1", "\x01\x7f", "%s%n", "-", "*",
	};
	static const char *const bad[] = { "", ".", "..", "/", "/a", "a/", "a/b", "a//b" };
	int fd;

	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		struct ipm_info info;

		fd = make_named(self->dev, good[i], PAGE, 0);
		ASSERT_FD(fd) {
			note("name %zu", i);
		}
		ASSERT_EQ(0, call_info(fd, &info));
		EXPECT_STREQ(good[i], info.ref.name);
		ASSERT_FOUND(ref_name(good[i]), info.ref.id);
		ASSERT_EQ(0, call_remove(self->dev, ref_name(good[i])));
		close(fd);
	}
	fd = make_private(self->dev, PAGE, 0);
	ASSERT_FD(fd);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		ASSERT_EQ(-EINVAL, make_named(self->dev, bad[i], PAGE, 0));
		ASSERT_EQ(-EINVAL, call_open(self->dev, ref_name(bad[i]), IPM_READ_ONLY));
		ASSERT_EQ(-EINVAL, call_remove(self->dev, ref_name(bad[i])));
		ASSERT_EQ(-EINVAL, call_link(fd, ref_name(bad[i])));
	}

	/* The longest name, and one that does not end. */
	memset(name, 'n', sizeof(name));
	name[IPM_NAME_SIZE - 1] = '\0';
	ASSERT_EQ(0, call_link(fd, ref_name(name)));
	ASSERT_FOUND(ref_name(name), id_of(fd));
	name[IPM_NAME_SIZE - 2] = '\0';
	ASSERT_NOT_FOUND(ref_name(name), ENOENT);
	close(fd);

	fd = make_private(self->dev, PAGE, 0);
	ASSERT_FD(fd);
	for (int slash = 0; slash < 2; slash++) {
		struct ipm_ref ref = ref_name("x");
		struct ipm_info info;

		memset(ref.name, 'x', sizeof(ref.name));
		if (slash)
			ref.name[IPM_NAME_SIZE - 1] = '/';
		EXPECT_EQ(-ENAMETOOLONG, call_create(self->dev, ref, PAGE, 0, 0, IPM_READ_WRITE,
						     0600, NULL));
		EXPECT_EQ(-ENAMETOOLONG, call_open(self->dev, ref, IPM_READ_ONLY));
		EXPECT_EQ(-ENAMETOOLONG, call_remove(self->dev, ref));
		EXPECT_EQ(-ENAMETOOLONG, call_info_by(self->dev, ref, &info));
		EXPECT_EQ(-ENAMETOOLONG, call_link(fd, ref));
	}
	ASSERT_USE(fd, 1, 0, 0, 0, 0);
	close(fd);
	ASSERT_COUNTS(self->before);
}

/* What stands behind the NUL of a name does not matter. */
TEST_F(segment, name_ends_at_nul)
{
	struct ipm_ref ref = ref_name(NAME);
	int fd = make_named(self->dev, NAME, PAGE, 0);

	ASSERT_FD(fd);
	for (int fill = 0; fill < 256; fill += 51) {
		memset(ref.name + sizeof(NAME), fill, sizeof(ref.name) - sizeof(NAME));
		ASSERT_FOUND(ref, id_of(fd));
	}
	/* Case and a byte more or less do. */
	ASSERT_NOT_FOUND(ref_name("Test-segment"), ENOENT);
	ASSERT_NOT_FOUND(ref_name("test-segmen"), ENOENT);
	ASSERT_NOT_FOUND(ref_name("test-segment "), ENOENT);
	close(fd);
}

TEST_F(segment, keys)
{
	static const int32_t keys[] = { 1, -1, INT32_MAX, INT32_MIN, 0x1234 };
	int fds[ARRAY_LENGTH(keys)], fd;

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		fds[i] = call_create(self->dev, ref_key(keys[i]), PAGE, 0, IPM_CREATE_EXCLUSIVE,
				     IPM_READ_WRITE, 0600, NULL);
		ASSERT_FD(fds[i]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		ASSERT_FOUND(ref_key(keys[i]), id_of(fds[i]));
		ASSERT_EQ(-EEXIST, call_create(self->dev, ref_key(keys[i]), PAGE, 0,
					       IPM_CREATE_EXCLUSIVE, IPM_READ_WRITE, 0600, NULL));
		close(fds[i]);
		ASSERT_NOT_FOUND(ref_key(keys[i]), ENOENT);
	}
	EXPECT_EQ(-EINVAL, call_create(self->dev, ref_key(0), PAGE, 0, 0, IPM_READ_WRITE, 0600,
				       NULL));
	EXPECT_EQ(-EINVAL, call_open(self->dev, ref_key(0), IPM_READ_ONLY));
	EXPECT_EQ(-EINVAL, call_remove(self->dev, ref_key(0)));
	/* A name that looks like a key is a name. */
	fd = make_named(self->dev, "4660", PAGE, 0);
	ASSERT_FD(fd);
	ASSERT_NOT_FOUND(ref_key(0x1234), ENOENT);
	close(fd);
	ASSERT_COUNTS(self->before);
}

TEST_F(segment, ids)
{
	enum { N = 300 };
	static int fds[N];
	static uint32_t ids[N];

	for (int i = 0; i < N; i++) {
		struct ipm_create out;

		fds[i] = call_create(self->dev, ref_none(), PAGE, 0, 0, IPM_READ_WRITE, 0600, &out);
		ASSERT_FD(fds[i]);
		ids[i] = out.id;
		for (int j = 0; j < i; j++)
			ASSERT_NE(ids[j], ids[i]);
	}
	for (int i = 0; i < N; i++) {
		ASSERT_FOUND(ref_id(ids[i]), ids[i]);
		close(fds[i]);
		ASSERT_NOT_FOUND(ref_id(ids[i]), ENOENT);
	}
	/* An id of the past does not come back at once to mean something else. */
	for (int i = 0; i < N; i++) {
		int fd = make_private(self->dev, PAGE, 0);

		ASSERT_FD(fd);
		ASSERT_NE(ids[N - 1], id_of(fd));
		close(fd);
	}
	ASSERT_NOT_FOUND(ref_id(0), EINVAL);
	ASSERT_NOT_FOUND(ref_id(0x7fffffff), ENOENT);
	ASSERT_NOT_FOUND(ref_id(0x80000000), ENOENT);
	ASSERT_NOT_FOUND(ref_id(0xffffffff), ENOENT);
}

TEST_F(segment, sizes)
{
	struct ipm_create out;
	static const struct {
		uint64_t size, capacity;
		int error;
	} bad[] = {
		{ 0, 0, EINVAL },
		{ 0, PAGE, EINVAL },
		{ 2, 1, EINVAL },
		{ PAGE + 1, PAGE, EINVAL },
		{ IPM_CAPACITY_MAX + 1, 0, EFBIG },
		{ PAGE, IPM_CAPACITY_MAX + 1, EFBIG },
		{ PAGE, 1ULL << 63, EFBIG },
		{ PAGE, -1ULL, EFBIG },
		{ PAGE, -4096ULL, EFBIG },
		{ 1ULL << 63, 0, EFBIG },
		{ (1ULL << 63) - 1, 0, EFBIG },
		{ -1ULL, 0, EFBIG },
		{ -1ULL, -1ULL, EFBIG },
		{ -4095ULL, 0, EFBIG },
	};
	static const struct {
		uint64_t size, capacity;
	} good[] = {
		{ 1, 0 }, { 1, 1 }, { 1, 2 }, { PAGE - 1, PAGE }, { PAGE + 1, PAGE + 1 },
		{ 1, IPM_CAPACITY_MAX }, { PAGE, IPM_CAPACITY_MAX - 1 },
		{ 123456789, 1ULL << 40 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		for (int named = 0; named < 2; named++) {
			ASSERT_EQ(-bad[i].error, call_create(self->dev, named ? ref_name(NAME) :
					ref_none(), bad[i].size, bad[i].capacity, 0,
					IPM_READ_WRITE, 0600, NULL)) {
				note("size %#llx, capacity %#llx",
				     (unsigned long long)bad[i].size,
				     (unsigned long long)bad[i].capacity);
			}
		}
	}
	ASSERT_COUNTS(self->before);
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		int fd = call_create(self->dev, ref_none(), good[i].size, good[i].capacity, 0,
				     IPM_READ_WRITE, 0600, &out);

		ASSERT_FD(fd) {
			note("size %#llx, capacity %#llx", (unsigned long long)good[i].size,
			     (unsigned long long)good[i].capacity);
		}
		EXPECT_EQ(good[i].size, out.size);
		EXPECT_EQ(good[i].capacity ?: good[i].size, out.capacity);
		ASSERT_SIZE(fd, good[i].size);
		close(fd);
	}
	ASSERT_COUNTS(self->before);
}

TEST_F(segment, bad_create)
{
	for (uint32_t mode = 0; mode < 010000; mode++) {
		int fd = call_create(self->dev, ref_none(), PAGE, 0, 0, IPM_READ_WRITE, mode, NULL);

		if (mode & ~0666) {
			ASSERT_EQ(-EINVAL, fd);
			continue;
		}
		ASSERT_FD(fd);
		close(fd);
	}
	for (int bit = 12; bit < 32; bit++)
		ASSERT_EQ(-EINVAL, call_create(self->dev, ref_none(), PAGE, 0, 0, IPM_READ_WRITE,
					       1U << bit, NULL));
	for (uint32_t access = 2; access; access <<= 1)
		ASSERT_EQ(-EINVAL, call_create(self->dev, ref_none(), PAGE, 0, 0, access, 0600,
					       NULL));
	ASSERT_EQ(-EINVAL, call_open(self->dev, ref_name(NAME), 2));
	ASSERT_COUNTS(self->before);
}

/* The umask has no say, as in System V IPC. */
TEST_F(segment, mode_ignores_umask)
{
	struct ipm_info info;
	int fd;

	umask(0777);
	fd = call_create(self->dev, ref_none(), PAGE, 0, 0, IPM_READ_WRITE, 0666, NULL);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(0666, info.mode);
	close(fd);
}

TEST_F(segment, open_existing)
{
	struct ipm_create out;
	struct ipm_open opened;
	int fd = make_named(self->dev, NAME, 3 * PAGE, 8 * PAGE);
	int again;
	uint32_t id = id_of(fd);

	ASSERT_FD(fd);
	ASSERT_EQ(-EEXIST, make_named(self->dev, NAME, PAGE, 0));
	ASSERT_EQ(-EEXIST, make_named(self->dev, NAME, 3 * PAGE, 8 * PAGE));

	/* A smaller size, the same, a larger. What a new one would get does not matter. */
	again = call_create(self->dev, ref_name(NAME), PAGE, 16 * PAGE,
			    IPM_CREATE_PERSISTENT | IPM_CREATE_PREALLOCATE, IPM_READ_WRITE, 0666,
			    &out);
	ASSERT_FD(again);
	EXPECT_EQ(0, out.created);
	EXPECT_EQ(id, out.id);
	EXPECT_EQ(3 * PAGE, out.size);
	EXPECT_EQ(8 * PAGE, out.capacity);
	ASSERT_USE(fd, 2, 0, 0, 0, 0);
	ASSERT_STATE(fd, 0);
	close(again);
	again = call_create(self->dev, ref_name(NAME), 3 * PAGE, 0, 0, IPM_READ_ONLY, 0, &out);
	ASSERT_FD(again);
	EXPECT_EQ(0, out.created);
	EXPECT_EQ(-EBADF, call_grow(again, 4 * PAGE, 0));
	close(again);
	EXPECT_EQ(-EINVAL, call_create(self->dev, ref_name(NAME), 3 * PAGE + 1, 0, 0,
				       IPM_READ_WRITE, 0600, NULL));
	EXPECT_EQ(-EINVAL, call_create(self->dev, ref_name(NAME), 0, 0, 0, IPM_READ_WRITE, 0600,
				       NULL));
	ASSERT_EQ(0, call_grow(fd, 4 * PAGE, 0));
	again = call_create(self->dev, ref_name(NAME), 4 * PAGE, 0, 0, IPM_READ_WRITE, 0, &out);
	ASSERT_FD(again);
	EXPECT_EQ(4 * PAGE, out.size);
	close(again);

	again = call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_name(NAME), 0, IPM_READ_ONLY,
				    &opened);
	ASSERT_FD(again);
	EXPECT_EQ(4 * PAGE, opened.size);
	EXPECT_EQ(8 * PAGE, opened.capacity);
	EXPECT_EQ(id, opened.id);
	EXPECT_EQ(FD_CLOEXEC, fcntl(again, F_GETFD));
	close(again);
	ASSERT_USE(fd, 1, 0, 0, 0, 0);
	close(fd);
}

TEST_F(segment, close_on_exec)
{
	int fd = call_create(self->dev, ref_name(NAME), PAGE, 0, IPM_CREATE_NO_CLOEXEC,
			     IPM_READ_WRITE, 0600, NULL);
	int open = call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_name(NAME), IPM_OPEN_NO_CLOEXEC,
				       IPM_READ_WRITE, NULL);
	int reopen = call_open_or_reopen(fd, IPM_IOC_REOPEN, ref_none(), IPM_OPEN_NO_CLOEXEC,
					 IPM_READ_WRITE, NULL);

	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, fcntl(open, F_GETFD));
	EXPECT_EQ(0, fcntl(reopen, F_GETFD));
	ASSERT_USE(fd, 3, 0, 0, 0, 0);
	close(fd);
	close(open);
	close(reopen);
}

/* Many at once ask for the same name: one makes it, the others get the same one. */
TEST_F_TIMEOUT(segment, create_race, 60)
{
	enum { N = 16 };
	struct {
		_Atomic int done, created;
		uint32_t ids[N];
	} *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_MAPPED(shared);
	for (int round = 0; round < 20; round++) {
		int start[2], end[2];
		pid_t pids[N];

		memset(shared, 0, sizeof(*shared));
		ASSERT_EQ(0, pipe(start));
		ASSERT_EQ(0, pipe(end));
		for (int i = 0; i < N; i++) {
			pids[i] = fork();
			if (!pids[i]) {
				struct ipm_create out;
				char byte;

				close(start[1]);
				close(end[1]);
				CHECK(0, read(start[0], &byte, 1));
				CHECK(1, call_create(self->dev, ref_name(NAME), PAGE, 0, 0,
						     IPM_READ_WRITE, 0600, &out) >= 0);
				shared->created += out.created;
				shared->ids[i] = out.id;
				shared->done++;
				/* Keep it until everybody has it. */
				CHECK(0, read(end[0], &byte, 1));
				_exit(0);
			}
		}
		close(start[0]);
		close(start[1]);
		ASSERT_TRUE(wait_until(shared->done == N));
		EXPECT_EQ(1, shared->created);
		for (int i = 1; i < N; i++)
			EXPECT_EQ(shared->ids[0], shared->ids[i]);
		close(end[0]);
		close(end[1]);
		for (int i = 0; i < N; i++) {
			int status;

			ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
			ASSERT_EQ(0, status);
		}
		ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
		ASSERT_COUNTS(self->before);
	}
}

/* --- names given later --- */

TEST_F(segment, link)
{
	int fd = make_private(self->dev, PAGE, 0), other = make_private(self->dev, PAGE, 0);
	struct ipm_info before, after;
	uint32_t id = id_of(fd);

	ASSERT_FD(fd);
	ASSERT_FD(other);
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_EQ(0, call_info(fd, &before));
	ASSERT_EQ(0, call_link(fd, ref_name(NAME)));
	ASSERT_EQ(0, call_info(fd, &after));
	EXPECT_EQ(IPM_BY_NAME, after.ref.by);
	EXPECT_STREQ(NAME, after.ref.name);
	EXPECT_EQ(id, after.ref.id);
	EXPECT_LT(before.change_time, after.change_time);
	ASSERT_FOUND(ref_name(NAME), id);

	/* It has a name now; the name is taken now. */
	EXPECT_EQ(-EEXIST, call_link(fd, ref_name(OTHER)));
	EXPECT_EQ(-EEXIST, call_link(fd, ref_name(NAME)));
	EXPECT_EQ(-EEXIST, call_link(fd, ref_key(5)));
	EXPECT_EQ(-EEXIST, call_link(other, ref_name(NAME)));
	ASSERT_NOT_FOUND(ref_name(OTHER), ENOENT);
	ASSERT_NOT_FOUND(ref_key(5), ENOENT);

	ASSERT_EQ(0, call_link(other, ref_key(5)));
	ASSERT_FOUND(ref_key(5), id_of(other));
	EXPECT_EQ(-EEXIST, call_link(other, ref_name(OTHER)));
	close(fd);
	close(other);
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_NOT_FOUND(ref_key(5), ENOENT);

	/* Removed before it ever had a name. */
	fd = make_private(self->dev, PAGE, 0);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_remove(fd, ref_none()));
	EXPECT_EQ(-EIDRM, call_link(fd, ref_name(NAME)));
	close(fd);
	ASSERT_COUNTS(self->before);
}

/* --- lifetime --- */

TEST_F(segment, volatile_ends_with_last_handle)
{
	int fd = make_named(self->dev, NAME, PAGE, 0);
	int second = call_open(self->dev, ref_name(NAME), IPM_READ_ONLY);
	int third = dup(fd);
	uint32_t id = id_of(fd);

	ASSERT_FD(second);
	ASSERT_USE(fd, 2, 0, 0, 0, 0);
	close(fd);
	ASSERT_FOUND(ref_name(NAME), id);
	close(second);
	ASSERT_FOUND(ref_name(NAME), id);
	ASSERT_USE(third, 1, 0, 0, 0, 0);
	close(third);
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_COUNTS(self->before);
}

TEST_F(segment, volatile_ends_with_last_mapping)
{
	int fd = make_named(self->dev, NAME, 2 * PAGE, 0);
	uint32_t id = id_of(fd);
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct ipm_info info;

	ASSERT_NE(MAP_FAILED, (void *)map);
	strcpy(map, "still here");
	ASSERT_USE(fd, 1, 1, 0, 0, 0);
	close(fd);
	ASSERT_EQ(0, call_info_by(self->dev, ref_name(NAME), &info));
	EXPECT_EQ(0, info.handles);
	EXPECT_EQ(1, info.maps);
	EXPECT_STREQ("still here", map);
	ASSERT_FOUND(ref_name(NAME), id);
	EXPECT_STREQ("still here", map);
	ASSERT_EQ(0, munmap(map, PAGE));
	ASSERT_FOUND(ref_id(id), id);
	ASSERT_EQ(0, munmap(map + PAGE, PAGE));
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_COUNTS(self->before);
}

TEST_F(segment, volatile_in_a_child)
{
	int fd = make_named(self->dev, NAME, PAGE, 0);
	uint32_t id = id_of(fd);
	struct actor child = { };
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	/* Its handle and its mapping are the child's too. */
	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_EQ(0, actor_start(&child, false));
	ASSERT_USE(fd, 1, 2, 0, 0, 0);
	close(fd);
	munmap(map, PAGE);
	ASSERT_FOUND(ref_name(NAME), id);
	ASSERT_EQ(0, actor_close(&child, fd));
	ASSERT_FOUND(ref_name(NAME), id);
	ASSERT_EQ(SIGKILL, actor_kill(&child));
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_COUNTS(self->before);

	/* A handle alone. */
	fd = make_named(self->dev, NAME, PAGE, 0);
	ASSERT_EQ(0, actor_start(&child, false));
	id = id_of(fd);
	close(fd);
	ASSERT_FOUND(ref_name(NAME), id);
	ASSERT_EQ(SIGKILL, actor_kill(&child));
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
}

TEST_F(segment, volatile_in_flight)
{
	int pair[2], fd = make_named(self->dev, NAME, PAGE, 0);
	uint32_t id = id_of(fd);
	struct actor sender = { };

	ASSERT_FD(fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], fd));
	close(fd);
	ASSERT_FOUND(ref_name(NAME), id);
	fd = receive_fd(pair[1]);
	ASSERT_FD(fd);
	EXPECT_EQ(id, id_of(fd));
	ASSERT_USE(fd, 1, 0, 0, 0, 0);
	ASSERT_EQ(0, actor_start(&sender, false));
	close(fd);
	ASSERT_EQ(SIGKILL, actor_kill(&sender));
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);

	/* The sender dies; what it sent is still on the way. */
	fd = make_named(self->dev, NAME, PAGE, 0);
	id = id_of(fd);
	ASSERT_EQ(0, IN_CHILD(CHECK(0, send_fd(pair[0], fd))));
	close(fd);
	ASSERT_FOUND(ref_name(NAME), id);

	/* Nobody will ever receive it. */
	close(pair[0]);
	close(pair[1]);
	EXPECT_COUNTS_SOON(self->before);
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
}

/* Two sockets that hold each other, and a handle: only the collector of sockets frees them. */
TEST_F(segment, volatile_in_flight_cycle)
{
	int pair[2], fd = make_named(self->dev, NAME, PAGE, 0);

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], fd));
	ASSERT_EQ(0, send_fd(pair[0], pair[0]));
	ASSERT_EQ(0, send_fd(pair[0], pair[1]));
	close(fd);
	close(pair[0]);
	close(pair[1]);
	/* It runs when some socket is closed. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	close(pair[0]);
	close(pair[1]);
	EXPECT_COUNTS_SOON(self->before);
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
}

TEST_F(segment, persistent)
{
	int fd = call_create(self->dev, ref_name(NAME), PAGE, 0,
			     IPM_CREATE_PERSISTENT | IPM_CREATE_EXCLUSIVE, IPM_READ_WRITE, 0600,
			     NULL);
	uint32_t id = id_of(fd);
	struct ipm_info info;
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_STATE(fd, IPM_STATE_PERSISTENT);
	strcpy(map, "what was written");
	close(fd);
	munmap(map, PAGE);
	ASSERT_EQ(0, call_info_by(self->dev, ref_name(NAME), &info));
	EXPECT_EQ(0, info.handles + info.maps);
	EXPECT_EQ(IPM_STATE_PERSISTENT, info.state);

	/* Made by somebody who is gone, found by somebody else. */
	fd = call_open(self->dev, ref_name(NAME), IPM_READ_ONLY);
	ASSERT_FD(fd);
	EXPECT_EQ(id, id_of(fd));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	EXPECT_STREQ("what was written", map);
	ASSERT_EQ(0, call_remove(self->dev, ref_name(NAME)));
	ASSERT_STATE(fd, IPM_STATE_PERSISTENT | IPM_STATE_REMOVED);
	munmap(map, PAGE);
	close(fd);
	ASSERT_NOT_FOUND(ref_id(id), ENOENT);
	ASSERT_COUNTS(self->before);

	/* Removed while nobody uses it: it ends at once. */
	fd = call_create(self->dev, ref_key(9), PAGE, 0, IPM_CREATE_PERSISTENT, IPM_READ_WRITE,
			 0600, NULL);
	close(fd);
	ASSERT_EQ(0, call_remove(self->dev, ref_key(9)));
	ASSERT_COUNTS(self->before);

	/* A private one lives on too, and its id leads to it. */
	fd = call_create(self->dev, ref_none(), PAGE, 0, IPM_CREATE_PERSISTENT, IPM_READ_WRITE,
			 0600, NULL);
	id = id_of(fd);
	close(fd);
	ASSERT_FOUND(ref_id(id), id);
	ASSERT_EQ(0, call_remove(self->dev, ref_id(id)));
	ASSERT_NOT_FOUND(ref_id(id), ENOENT);
	ASSERT_COUNTS(self->before);
}

TEST_F(segment, set_lifetime)
{
	int fd = make_named(self->dev, NAME, PAGE, 0);

	ASSERT_FD(fd);
	ASSERT_EQ(0, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 1));
	ASSERT_STATE(fd, IPM_STATE_PERSISTENT);
	close(fd);
	fd = call_open(self->dev, ref_name(NAME), IPM_READ_ONLY);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 0));
	ASSERT_STATE(fd, 0);
	ASSERT_EQ(0, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 0));
	close(fd);
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);

	fd = make_named(self->dev, NAME, PAGE, 0);
	ASSERT_EQ(0, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 1));
	ASSERT_EQ(0, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 1));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 2));
	ASSERT_EQ(0, call_remove(fd, ref_none()));
	EXPECT_EQ(-EIDRM, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 0));
	EXPECT_EQ(-EIDRM, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 1));
	EXPECT_EQ(-EIDRM, call_set(fd, IPM_SET_LIFETIME | IPM_SET_MODE, 0644, 0, 0, 1));
	close(fd);
	ASSERT_COUNTS(self->before);
}

/*
 * Whether a segment stays is decided by a SET in one process while another closes
 * it, removes it, or has hardly made it. Whoever comes first: one that is persistent
 * is there afterwards, one that is not has gone with its last user.
 */
#define RACE_ROUNDS	1500

/* Milliseconds after which one has had enough of them, and how many it has at least. */
#define RACE_MS		15000
#define RACE_LEAST	100

struct race {
	int dev;
	_Atomic int fd;		/* in the first process, which closes it in the end; or -1 */
	_Atomic uint32_t id;	/* of the segment */
	_Atomic int start;	/* a round that may begin; -1 if there is none any more */
	_Atomic int ended;	/* the last round that the other process has ended */
	_Atomic int result;	/* of it */
};

static int set_by_id(struct race *race, uint32_t persistent)
{
	struct ipm_set arg = {
		.what = IPM_SET_LIFETIME, .persistent = persistent, .id = race->id,
	};

	return checked_ioctl(race->dev, IPM_IOC_SET, &arg);
}

static int make_with_user(struct race *race)
{
	race->fd = make_named(race->dev, NAME, PAGE, 0);
	race->id = race->fd < 0 ? 0 : id_of(race->fd);
	return race->id ? 0 : -EBADMSG;
}

static int make_without_user(struct race *race)
{
	int ret = make_with_user(race);

	if (ret)
		return ret;
	ret = call_set(race->fd, IPM_SET_LIFETIME, 0, 0, 0, 1);
	close(race->fd);
	race->fd = -1;
	return ret;
}

static int make_nothing(struct race *race)
{
	race->fd = -1;
	race->id = 0;
	return 0;
}

static int race_close(struct race *race)
{
	int ret = close(race->fd);

	race->fd = -1;
	return ret;
}

static int race_remove(struct race *race)
{
	return call_remove(race->dev, ref_id(race->id));
}

static int race_set_volatile(struct race *race)
{
	return set_by_id(race, 0);
}

static int race_set_persistent(struct race *race)
{
	return set_by_id(race, 1);
}

static int race_create(struct race *race)
{
	struct ipm_create out;
	int fd = call_create(race->dev, ref_name(NAME), PAGE, 0, IPM_CREATE_PERSISTENT,
			     IPM_READ_WRITE, 0600, &out);

	if (fd < 0)
		return fd;
	race->id = out.id;
	return close(fd);
}

/* As soon as it has its name. */
static int race_find_and_set_volatile(struct race *race)
{
	int64_t end = in_ms(PATIENCE_MS);
	int fd, ret;

	do
		fd = call_open(race->dev, ref_name(NAME), IPM_READ_WRITE);
	while (fd == -ENOENT && in_ms(0) < end);
	if (fd < 0)
		return fd;
	ret = call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 0);
	close(fd);
	return ret;
}

/* What @first and @second may return beside 0; whether the segment is there then. */
enum { GONE = 1, STAYS = 2 };

static int stays_if_set(int first, int second)
{
	if (first || (second && second != -ENOENT))
		return 0;
	return second ? GONE : STAYS;
}

static int goes(int first, int second)
{
	if (first || (second && second != -ENOENT))
		return 0;
	return GONE;
}

/* The last one to say so is right, and nobody knows who that was. */
static int stays_if_last(int first, int second)
{
	if (first || (second && second != -ENOENT))
		return 0;
	return second ? GONE : GONE | STAYS;
}

/* Who is late does not find it, or finds it removed. */
static int goes_by_either(int first, int second)
{
	if ((first && first != -ENOENT && first != -EIDRM) || (second && second != -ENOENT) ||
	    (first && second))
		return 0;
	return GONE;
}

static const struct {
	const char *name;
	int (*make)(struct race *race);
	int (*first)(struct race *race);
	int (*second)(struct race *race);
	int (*after)(int first, int second);
} races[] = {
	{ "last close, SET persistent", make_with_user, race_close, race_set_persistent,
	  stays_if_set },
	{ "last close, SET volatile", make_with_user, race_close, race_set_volatile, goes },
	{ "SET volatile, SET persistent", make_without_user, race_set_volatile,
	  race_set_persistent, stays_if_last },
	{ "SET volatile twice", make_without_user, race_set_volatile, race_set_volatile,
	  goes_by_either },
	{ "SET volatile, REMOVE", make_without_user, race_set_volatile, race_remove,
	  goes_by_either },
	{ "SET persistent, REMOVE", make_with_user, race_set_persistent, race_remove,
	  goes_by_either },
	{ "CREATE persistent, SET volatile", make_nothing, race_create,
	  race_find_and_set_volatile, goes },
};

/* Nobody is always the first. */
static void race_wait(unsigned int *seed)
{
	for (int n = rand_r(seed) % 400; n; n--)
		__asm__ volatile("" : : : "memory");
}

static void race_second(struct race *race, int (*run)(struct race *race))
{
	unsigned int seed = getpid();

	for (int round = 1;; round++) {
		while (race->start != round) {
			if (race->start < 0)
				return;
			sched_yield();
		}
		race_wait(&seed);
		race->result = run(race);
		race->ended = round;
	}
}

TEST_F_TIMEOUT(segment, lifetime_race, 300)
{
	struct race *race = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				 -1, 0);
	unsigned int seed = getpid();

	ASSERT_MAPPED(race);
	for (size_t i = 0; i < ARRAY_LENGTH(races); i++) {
		int stayed = 0, late = 0, round = 0, status;
		int64_t enough = in_ms(RACE_MS);
		pid_t child;

		memset(race, 0, sizeof(*race));
		race->dev = self->dev;
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			race_second(race, races[i].second);
			_exit(0);
		}
		/* Where the processors have other things to do, each turn may take long. */
		while (round < RACE_ROUNDS && (round < RACE_LEAST || in_ms(0) < enough)) {
			struct ipm_info info;
			int first, found, after;

			round++;
			ASSERT_EQ(0, races[i].make(race));
			race->start = round;
			race_wait(&seed);
			first = races[i].first(race);
			ASSERT_TRUE(({
				int64_t end = in_ms(PATIENCE_MS);

				while (race->ended != round && in_ms(0) < end)
					sched_yield();
				race->ended == round;
			}));
			if (race->fd >= 0)
				close(race->fd);
			found = call_info_by(self->dev, ref_id(race->id), &info);
			after = races[i].after(first, race->result);
			ASSERT_NE(0, after & (found ? GONE : STAYS)) {
				note("%s: results %d and %d, and then INFO %d", races[i].name,
				     first, race->result, found);
			}
			late += first || race->result;
			if (found == -ENOENT)
				continue;
			ASSERT_EQ(0, found);
			stayed++;
			ASSERT_EQ(IPM_STATE_PERSISTENT, info.state);
			ASSERT_EQ(0, info.handles);
			ASSERT_EQ(0, call_remove(self->dev, ref_name(NAME)));
		}
		race->start = -1;
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
		EXPECT_COUNTS_SOON(self->before);
		note("%s: somebody was too late %d times, it stayed %d times, of %d", races[i].name,
		     late, stayed, round);
	}
	munmap(race, PAGE);
}

TEST_F(segment, set)
{
	int fd = make_named(self->dev, NAME, PAGE, 0);
	struct ipm_info before, after;

	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &before));
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0644, 0, 0, 0));
	ASSERT_EQ(0, call_info(fd, &after));
	EXPECT_EQ(0644, after.mode);
	EXPECT_LT(before.change_time, after.change_time);
	before.mode = after.mode;
	before.change_time = after.change_time;
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));

	ASSERT_EQ(0, call_set(fd, IPM_SET_UID | IPM_SET_GID, 0, 11, 22, 0));
	ASSERT_EQ(0, call_info(fd, &after));
	EXPECT_EQ(11, after.uid);
	EXPECT_EQ(22, after.gid);
	EXPECT_EQ(0, after.cuid);
	EXPECT_EQ(0, after.cgid);
	EXPECT_EQ(0644, after.mode);

	/* Nothing to change, an unknown thing, a field that is not meant, a bad value. */
	ASSERT_EQ(0, call_info(fd, &before));
	EXPECT_EQ(-EINVAL, call_set(fd, 0, 0, 0, 0, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, 16, 0, 0, 0, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_MODE, 0644, 1, 0, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_MODE, 0644, 0, 1, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_MODE, 0644, 0, 0, 1));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_UID, 0600, 0, 0, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_MODE, 01000, 0, 0, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_MODE, 0111, 0, 0, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_UID, 0, -1, 0, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_GID, 0, 0, -1, 0));
	EXPECT_EQ(-EINVAL, call_set(fd, IPM_SET_MODE | IPM_SET_UID, 0600, -1, 0, 0));
	ASSERT_EQ(0, call_info(fd, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));

	/* Its mode may change although nobody finds it any more. */
	ASSERT_EQ(0, call_remove(fd, ref_none()));
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0606, 0, 0, 0));
	ASSERT_EQ(0, call_info(fd, &after));
	EXPECT_EQ(0606, after.mode);
	close(fd);
	ASSERT_COUNTS(self->before);
}

/* --- removal --- */

TEST_F(segment, remove)
{
	int fd = make_named(self->dev, NAME, PAGE, 4 * PAGE), again, third;
	uint32_t id = id_of(fd);
	char *map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct ipm_info info;

	ASSERT_NE(MAP_FAILED, (void *)map);
	strcpy(map, "old");
	ASSERT_EQ(0, call_remove(self->dev, ref_name(NAME)));
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_NOT_FOUND(ref_id(id), EIDRM);
	EXPECT_EQ(-ENOENT, call_remove(self->dev, ref_name(NAME)));
	EXPECT_EQ(-EIDRM, call_remove(self->dev, ref_id(id)));
	EXPECT_EQ(-EIDRM, call_remove(fd, ref_none()));
	EXPECT_EQ(-EIDRM, call_link(fd, ref_name(NAME)));
	EXPECT_EQ(-EIDRM, call_link(fd, ref_key(3)));
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(IPM_STATE_REMOVED, info.state);
	EXPECT_EQ(id, info.ref.id);

	/* Another one of that name; the old one goes on for those who have it. */
	again = make_named(self->dev, NAME, PAGE, 0);
	ASSERT_FD(again);
	ASSERT_NE(id, id_of(again));
	ASSERT_FOUND(ref_name(NAME), id_of(again));
	ASSERT_EQ(0, call_grow(fd, 2 * PAGE, 0));
	strcpy(map + PAGE, "grown");
	EXPECT_STREQ("old", map);
	third = call_reopen(fd, IPM_READ_WRITE);
	ASSERT_FD(third);
	ASSERT_EQ(0, call_claim(third, 0, 10, WRITE, 0, NULL));
	EXPECT_EQ(-EAGAIN, call_claim(fd, 0, 10, WRITE, IPM_CLAIM_TRY, NULL));
	close(third);

	/* By id, if one insists; a name leads only to what is there. */
	EXPECT_EQ(-EINVAL, call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_name(NAME),
					       IPM_OPEN_REMOVED, IPM_READ_WRITE, NULL));
	EXPECT_EQ(-EIDRM, call_open(self->dev, ref_id(id), IPM_READ_WRITE));
	third = call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_id(id), IPM_OPEN_REMOVED,
				    IPM_READ_WRITE, NULL);
	ASSERT_FD(third);
	EXPECT_EQ(id, id_of(third));
	close(third);
	third = call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_id(id_of(again)), IPM_OPEN_REMOVED,
				    IPM_READ_WRITE, NULL);
	ASSERT_FD(third);
	close(third);

	munmap(map, PAGE);
	close(fd);
	/* The rest of the mapping keeps it. */
	ASSERT_NOT_FOUND(ref_id(id), EIDRM);
	EXPECT_STREQ("grown", map + PAGE);
	munmap(map + PAGE, 3 * PAGE);
	ASSERT_NOT_FOUND(ref_id(id), ENOENT);
	EXPECT_EQ(-ENOENT, call_remove(self->dev, ref_id(id)));
	EXPECT_EQ(-ENOENT, call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_id(id),
					       IPM_OPEN_REMOVED, IPM_READ_WRITE, NULL));

	/* On a handle, by every way to say which. */
	third = make_private(self->dev, PAGE, 0);
	ASSERT_EQ(0, call_remove(third, ref_name(NAME)));
	ASSERT_STATE(again, IPM_STATE_REMOVED);
	ASSERT_STATE(third, 0);
	ASSERT_EQ(0, call_remove(again, ref_id(id_of(third))));
	ASSERT_STATE(third, IPM_STATE_REMOVED);
	close(again);
	close(third);
	EXPECT_EQ(-ENOENT, call_remove(self->dev, ref_key(77)));
	EXPECT_EQ(-ENOENT, call_remove(self->dev, ref_id(0x7fffffff)));
	EXPECT_EQ(-EINVAL, call_remove(self->dev, ref_id(0)));
	ASSERT_COUNTS(self->before);
}

/* --- handles --- */

TEST_F(segment, reopen)
{
	struct ipm_open out;
	int fd = make_named(self->dev, NAME, PAGE, 2 * PAGE), reader, third;

	reader = call_open_or_reopen(fd, IPM_IOC_REOPEN, ref_none(), 0, IPM_READ_ONLY, &out);
	ASSERT_FD(reader);
	EXPECT_EQ(PAGE, out.size);
	EXPECT_EQ(2 * PAGE, out.capacity);
	EXPECT_EQ(id_of(fd), out.id);
	EXPECT_EQ(FD_CLOEXEC, fcntl(reader, F_GETFD));
	EXPECT_EQ(-EACCES, call_reopen(reader, IPM_READ_WRITE));
	EXPECT_EQ(-EINVAL, call_reopen(reader, 2));
	EXPECT_EQ(-EINVAL, call_reopen(fd, 2));
	third = call_reopen(reader, IPM_READ_ONLY);
	ASSERT_FD(third);
	ASSERT_USE(fd, 3, 0, 0, 0, 0);
	EXPECT_EQ(-EBADF, call_grow(third, 2 * PAGE, 0));
	EXPECT_EQ(-EBADF, call_claim(third, 0, 1, WRITE, 0, NULL));
	EXPECT_EQ(0, call_claim(third, 0, 1, READ, 0, NULL));
	close(third);
	third = call_reopen(fd, IPM_READ_WRITE);
	ASSERT_FD(third);
	ASSERT_EQ(0, call_grow(third, 2 * PAGE, 0));
	ASSERT_SIZE(reader, 2 * PAGE);
	close(third);
	close(reader);
	close(fd);
	ASSERT_COUNTS(self->before);
}

/* --- growth and memory --- */

TEST_F(segment, grow)
{
	int fd = make_private(self->dev, PAGE, 8 * PAGE);
	int reader = call_reopen(fd, IPM_READ_ONLY);
	char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct ipm_info info;
	int64_t start = now_ns(CLOCK_REALTIME);

	ASSERT_NE(MAP_FAILED, (void *)map);
	memset(map, 'x', PAGE);
	EXPECT_EQ(-EBADF, call_grow(reader, 2 * PAGE, 0));
	EXPECT_EQ(-EINVAL, call_grow(fd, PAGE - 1, 0));
	EXPECT_EQ(-EINVAL, call_grow(fd, 0, 0));
	EXPECT_EQ(-EFBIG, call_grow(fd, 8 * PAGE + 1, 0));
	EXPECT_EQ(-EFBIG, call_grow(fd, 1ULL << 63, 0));
	EXPECT_EQ(-EFBIG, call_grow(fd, -1ULL, 0));
	EXPECT_EQ(-EFBIG, call_grow(fd, -4095ULL, 0));
	ASSERT_SIZE(fd, PAGE);
	ASSERT_EQ(0, call_grow(fd, PAGE, 0));
	ASSERT_SIZE(fd, PAGE);

	ASSERT_EQ(0, call_grow(fd, 3 * PAGE, 0));
	ASSERT_EQ(0, call_info(reader, &info));
	EXPECT_EQ(3 * PAGE, info.size);
	EXPECT_EQ(PAGE, info.resident);
	EXPECT_LE(start, info.change_time);
	EXPECT_EQ('x', map[PAGE - 1]);
	for (size_t i = PAGE; i < 3 * PAGE; i++)
		ASSERT_EQ(0, map[i]);
	ASSERT_EQ(0, call_grow(fd, 3 * PAGE + 5, 0));
	ASSERT_SIZE(fd, 3 * PAGE + 5);
	map[3 * PAGE + 4] = 'y';
	ASSERT_EQ(0, call_grow(fd, 8 * PAGE, 0));
	EXPECT_EQ('y', map[3 * PAGE + 4]);
	EXPECT_EQ(0, map[8 * PAGE - 1]);
	EXPECT_EQ(-EFBIG, call_grow(fd, 8 * PAGE + 1, 0));
	EXPECT_EQ(-EINVAL, call_grow(fd, 7 * PAGE, 0));
	ASSERT_SIZE(fd, 8 * PAGE);
	munmap(map, 8 * PAGE);
	close(reader);
	close(fd);
}

/* Many grow at once: the size is the greatest that was asked for, and nobody shrinks it. */
TEST_F(segment, grow_race)
{
	enum { N = 8, PAGES = 512 };
	int fd = make_private(self->dev, PAGE, N * PAGES * PAGE);
	pid_t pids[N];

	for (int i = 0; i < N; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			uint64_t seen = 0;

			for (uint64_t k = 1; k <= PAGES; k++) {
				uint64_t size = (k * N + i) * PAGE;
				struct ipm_info info;
				int ret;

				if (size > N * PAGES * PAGE)
					break;
				ret = call_grow(fd, size, 0);
				CHECK(0, call_info(fd, &info));
				/* It is smaller only because somebody else was faster. */
				CHECK(1, ret == 0 || (ret == -EINVAL && info.size > size));
				CHECK(1, info.size >= size && info.size >= seen);
				seen = info.size;
			}
			_exit(0);
		}
	}
	for (int i = 0; i < N; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		ASSERT_EQ(0, status);
	}
	ASSERT_SIZE(fd, N * PAGES * PAGE);
	close(fd);
	ASSERT_COUNTS(self->before);
}

TEST_F(segment, preallocate)
{
	struct ipm_info info;
	int fd = call_create(self->dev, ref_none(), 8 * PAGE, 32 * PAGE, IPM_CREATE_PREALLOCATE,
			     IPM_READ_WRITE, 0600, NULL);

	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(IPM_STATE_PREALLOCATED, info.state);
	EXPECT_EQ(8 * PAGE, info.resident);
	/* It stays so when it grows. */
	ASSERT_EQ(0, call_grow(fd, 16 * PAGE, 0));
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(16 * PAGE, info.resident);
	ASSERT_EQ(0, call_grow(fd, 32 * PAGE, IPM_GROW_PREALLOCATE));
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(32 * PAGE, info.resident);
	close(fd);

	/* One that was not made so. */
	fd = make_private(self->dev, 8 * PAGE, 32 * PAGE);
	ASSERT_EQ(0, call_grow(fd, 16 * PAGE, IPM_GROW_PREALLOCATE));
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_LE(8 * PAGE, info.resident);
	close(fd);
	fd = call_create(self->dev, ref_none(), PAGE, 0, IPM_CREATE_NORESERVE, IPM_READ_WRITE, 0600,
			 NULL);
	ASSERT_STATE(fd, IPM_STATE_NORESERVE);
	close(fd);
	ASSERT_COUNTS(self->before);
}

/* What a machine cannot have is refused by the call, and costs nothing. */
TEST_F_TIMEOUT(segment, out_of_memory, 120)
{
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE;
	char limit[32];
	int fd;

	read_text(PARAMETERS "max_bytes", limit, sizeof(limit));
	write_text(PARAMETERS "max_bytes", "0x7fffffffffff");
	EXPECT_EQ(-ENOMEM, call_create(self->dev, ref_name(NAME), 4 * all, 0, 0, IPM_READ_WRITE,
				       0600, NULL));
	EXPECT_EQ(-ENOMEM, call_create(self->dev, ref_name(NAME), 4 * all, 0,
				       IPM_CREATE_PREALLOCATE, IPM_READ_WRITE, 0600, NULL));
	ASSERT_NOT_FOUND(ref_name(NAME), ENOENT);
	ASSERT_COUNTS(self->before);

	/* Without a reservation the size is only a number. */
	fd = call_create(self->dev, ref_name(NAME), 4 * all, 0, IPM_CREATE_NORESERVE,
			 IPM_READ_WRITE, 0600, NULL);
	ASSERT_FD(fd);
	close(fd);

	/* Growth that cannot be had changes nothing. */
	fd = make_private(self->dev, PAGE, 8 * all);
	ASSERT_FD(fd);
	EXPECT_EQ(-ENOMEM, call_grow(fd, 4 * all, 0));
	EXPECT_EQ(-ENOMEM, call_grow(fd, 4 * all, IPM_GROW_PREALLOCATE));
	ASSERT_SIZE(fd, PAGE);
	ASSERT_EQ(0, call_grow(fd, 2 * PAGE, 0));
	close(fd);
	EXPECT_EQ(0, write_text(PARAMETERS "max_bytes", limit));
	ASSERT_COUNTS(self->before);
}

static long long meminfo(const char *field)
{
	char text[8192], *line;
	size_t n = strlen(field);

	read_text("/proc/meminfo", text, sizeof(text));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strncmp(line, field, n) && line[n] == ':')
			return atoll(line + n + 1) << 10;
	}
	return -1;
}

/* What the kernel has promised to have: the same before and after, however a segment grew. */
TEST_F_TIMEOUT(segment, committed_memory, 200)
{
	const uint64_t size = 8 << 20;
	long long before = meminfo("Committed_AS"), with;

	for (int flags = 0; flags < 4; flags++) {
		for (int i = 0; i < 32; i++) {
			int fd = call_create(self->dev, ref_none(), PAGE, 4 * size,
					     flags & 1 ? IPM_CREATE_PREALLOCATE : 0,
					     IPM_READ_WRITE, 0600, NULL);

			ASSERT_FD(fd);
			ASSERT_EQ(0, call_grow(fd, size, flags & 2 ? IPM_GROW_PREALLOCATE : 0));
			with = meminfo("Committed_AS");
			EXPECT_LE(before + (long long)size - (1 << 20), with);
			close(fd);
		}
	}
	EXPECT_GE(4 << 20, llabs(meminfo("Committed_AS") - before));
}

#define CGROUP	"/sys/fs/cgroup/ipm-test"

static long long cgroup_value(const char *file, const char *field)
{
	char text[8192], path[200], *line;

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	read_text(path, text, sizeof(text));
	if (!field)
		return atoll(text);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		size_t n = strlen(field);

		if (!strncmp(line, field, n) && line[n] == ' ')
			return atoll(line + n);
	}
	return -1;
}

static long long kernel_memory(void)
{
	return cgroup_value("memory.stat", "slab") + cgroup_value("memory.stat", "vmalloc");
}

/* Pages and kernel memory are on the account of the memory cgroup of who makes them. */
TEST_F_TIMEOUT(segment, memory_cgroup, 120)
{
	const uint64_t size = 8 << 20;
	char pid[32], byte;
	int command[2], answer[2];
	long long kernel;
	pid_t child;

	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		SKIP(return, "no cgroup v2 here: %s", strerror(errno));
	if (access(CGROUP "/memory.max", W_OK)) {
		rmdir(CGROUP);
		SKIP(return, "this kernel or machine has no memory cgroup");
	}
	ASSERT_EQ(0, pipe(command));
	ASSERT_EQ(0, pipe(answer));
	child = fork();
	if (!child) {
		struct ipm_info info;
		int fd;
		char *map;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK(1, read(command[0], &byte, 1));
		fd = make_private(self->dev, size, 4 * size);
		CHECK(1, fd >= 0);
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		memset(map, 1, size);
		munmap(map, size);
		CHECK(1, write(answer[1], &byte, 1));

		/* Kernel memory of a thousand segments. */
		CHECK(1, read(command[0], &byte, 1));
		for (int i = 0; i < 500; i++)
			CHECK(1, make_private(self->dev, PAGE, 0) >= 0);
		CHECK(1, write(answer[1], &byte, 1));

		/* Past the limit: refused, and not killed for it. */
		CHECK(1, read(command[0], &byte, 1));
		CHECK(-ENOMEM, call_create(self->dev, ref_none(), 8 * size, 0,
					   IPM_CREATE_PREALLOCATE, IPM_READ_WRITE, 0600, NULL));
		CHECK(-ENOMEM, call_grow(fd, 4 * size, IPM_GROW_PREALLOCATE));
		CHECK(0, call_info(fd, &info));
		CHECK(size, info.size);
		CHECK(size, info.resident);
		CHECK(1, write(answer[1], &byte, 1));
		CHECK(1, read(command[0], &byte, 1));
		_exit(0);
	}
	/* So that its death is seen as an end of file. */
	close(command[0]);
	close(answer[1]);
	snprintf(pid, sizeof(pid), "%d", child);
	ASSERT_EQ(0, write_text(CGROUP "/cgroup.procs", pid));
	ASSERT_EQ(1, write(command[1], "", 1));
	ASSERT_EQ(1, read(answer[0], &byte, 1));
	/* What its CPUs counted the kernel may add up only two seconds later. */
	EXPECT_TRUE(wait_until((long long)size <= cgroup_value("memory.stat", "shmem")));
	EXPECT_LE((long long)size, cgroup_value("memory.current", NULL));

	kernel = kernel_memory();
	ASSERT_EQ(1, write(command[1], "", 1));
	ASSERT_EQ(1, read(answer[0], &byte, 1));
	EXPECT_TRUE(wait_until(kernel + 500 * 1000 <= kernel_memory()));

	ASSERT_EQ(0, write_text(CGROUP "/memory.max", "33554432"));
	ASSERT_EQ(1, write(command[1], "", 1));
	ASSERT_EQ(1, read(answer[0], &byte, 1));
	EXPECT_EQ(0, cgroup_value("memory.events", "oom_kill"));
	ASSERT_EQ(1, write(command[1], "", 1));
	{
		int status;

		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
	}
	ASSERT_TRUE(wait_until(!rmdir(CGROUP)));
	ASSERT_COUNTS(self->before);
}

/* A signal that says "too large" never comes: the call says so. */
TEST_F(segment, file_size_limit)
{
	ASSERT_EQ(0, IN_CHILD({
		struct rlimit limit = { 4 * PAGE, 4 * PAGE };
		int fd;

		CHECK(0, setrlimit(RLIMIT_FSIZE, &limit));
		CHECK(-EFBIG, make_named(self->dev, NAME, 4 * PAGE + 1, 0));
		CHECK(-EFBIG, call_create(self->dev, ref_none(), 5 * PAGE, 0,
					  IPM_CREATE_PREALLOCATE, IPM_READ_WRITE, 0600, NULL));
		CHECK(-ENOENT, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
		/* The capacity is only room. */
		fd = make_private(self->dev, 4 * PAGE, 100 * PAGE);
		CHECK(1, fd >= 0);
		CHECK(-EFBIG, call_grow(fd, 4 * PAGE + 1, 0));
		CHECK(-EFBIG, call_grow(fd, 4 * PAGE + 1, IPM_GROW_PREALLOCATE));
		CHECK(0, call_grow(fd, 4 * PAGE, 0));
		close(fd);
		fd = make_private(self->dev, PAGE, 100 * PAGE);
		CHECK(0, call_grow(fd, 4 * PAGE, 0));
	}));
	ASSERT_COUNTS(self->before);
}

/* A signal ends the allocation of many pages, and growth is undone. */
TEST_F_TIMEOUT(segment, grow_is_interrupted, 120)
{
	const uint64_t size = 64 << 20;
	struct actor actor;
	struct ipm_info info;
	int fd = -1, ret = 0, interrupted = 0;

	ASSERT_EQ(0, actor_start(&actor, true));
	for (int i = 0; i < 100 && !interrupted; i++) {
		fd = make_private(self->dev, PAGE, size);
		ASSERT_FD(fd);
		actor.order->fd = fd;
		actor.order->request = IPM_IOC_GROW;
		memset(actor.order->bytes, 0, sizeof(actor.order->bytes));
		((struct ipm_grow *)actor.order->bytes)->size = size;
		((struct ipm_grow *)actor.order->bytes)->flags = IPM_GROW_PREALLOCATE;
		actor_give(&actor, run_ioctl);
		/* Let it begin. */
		wait_until(call_info(fd, &info) || info.resident || actor_answered(&actor, 0));
		pthread_kill(actor.id, SIGUSR1);
		ret = actor_result(&actor);
		ASSERT_TRUE(ret == 0 || ret == -EINTR);
		ASSERT_EQ(0, call_info(fd, &info));
		EXPECT_EQ(ret ? PAGE : size, info.size);
		if (ret) {
			EXPECT_GE(PAGE, info.resident);
			interrupted++;
		}
		close(fd);
	}
	EXPECT_EQ(1, interrupted);
	actor_stop(&actor);
	ASSERT_COUNTS(self->before);
}

/* --- limits --- */

FIXTURE(limit)
{
	struct counts before;
	int dev;
	char segments[32];
	char handles[32];
	char claims[32];
	char bytes[32];
};

FIXTURE_SETUP(limit)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	read_text(PARAMETERS "max_segments", self->segments, sizeof(self->segments));
	read_text(PARAMETERS "max_handles", self->handles, sizeof(self->handles));
	read_text(PARAMETERS "max_claims", self->claims, sizeof(self->claims));
	read_text(PARAMETERS "max_bytes", self->bytes, sizeof(self->bytes));
}

FIXTURE_TEARDOWN(limit)
{
	EXPECT_EQ(0, write_text(PARAMETERS "max_segments", self->segments));
	EXPECT_EQ(0, write_text(PARAMETERS "max_handles", self->handles));
	EXPECT_EQ(0, write_text(PARAMETERS "max_claims", self->claims));
	EXPECT_EQ(0, write_text(PARAMETERS "max_bytes", self->bytes));
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

TEST_F(limit, segments)
{
	struct ipm_limits limits;
	int fds[3], fd;

	ASSERT_EQ(0, write_text(PARAMETERS "max_segments", "3"));
	for (int i = 0; i < 3; i++) {
		fds[i] = make_private(self->dev, PAGE, 0);
		ASSERT_FD(fds[i]);
	}
	ASSERT_EQ(-ENOSPC, make_private(self->dev, PAGE, 0));
	ASSERT_EQ(-ENOSPC, make_named(self->dev, NAME, PAGE, 0));
	ASSERT_EQ(-ENOENT, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	EXPECT_EQ(3, limits.segments);
	EXPECT_EQ(3, limits.segments_max);

	/* Another user has the same limit, and counts alone. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		for (int i = 0; i < 3; i++)
			CHECK(1, make_private(self->dev, PAGE, 0) >= 0);
		CHECK(-ENOSPC, make_private(self->dev, PAGE, 0));
	}));

	/* To open what exists is no creation. */
	ASSERT_EQ(0, call_link(fds[0], ref_name(NAME)));
	fd = call_create(self->dev, ref_name(NAME), PAGE, 0, 0, IPM_READ_WRITE, 0600, NULL);
	ASSERT_FD(fd);
	close(fd);

	/* A removed one that is still used counts, until it is gone. */
	ASSERT_EQ(0, call_remove(fds[0], ref_none()));
	ASSERT_EQ(-ENOSPC, make_private(self->dev, PAGE, 0));
	close(fds[0]);
	fds[0] = make_private(self->dev, PAGE, 0);
	ASSERT_FD(fds[0]);

	/* Below what there is: what exists stays. */
	ASSERT_EQ(0, write_text(PARAMETERS "max_segments", "1"));
	ASSERT_USE(fds[1], 1, 0, 0, 0, 0);
	close(fds[0]);
	ASSERT_EQ(-ENOSPC, make_private(self->dev, PAGE, 0));
	close(fds[1]);
	ASSERT_EQ(-ENOSPC, make_private(self->dev, PAGE, 0));
	close(fds[2]);
	fd = make_private(self->dev, PAGE, 0);
	ASSERT_FD(fd);
	close(fd);
	ASSERT_EQ(0, write_text(PARAMETERS "max_segments", "0"));
	ASSERT_EQ(-ENOSPC, make_private(self->dev, PAGE, 0));
	ASSERT_COUNTS(self->before);
}

TEST_F(limit, handles)
{
	int fd = make_named(self->dev, NAME, PAGE, 0), second, third;
	struct ipm_limits limits;
	struct counts counts;

	ASSERT_FD(fd);
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0666, 0, 0, 0));
	ASSERT_EQ(0, write_text(PARAMETERS "max_handles", "2"));
	second = call_reopen(fd, IPM_READ_ONLY);
	ASSERT_FD(second);
	counts = read_counts();
	ASSERT_EQ(-ENOSPC, call_reopen(fd, IPM_READ_ONLY));
	ASSERT_EQ(-ENOSPC, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
	ASSERT_EQ(-ENOSPC, make_private(self->dev, PAGE, 0));
	ASSERT_EQ(-ENOSPC, call_create(self->dev, ref_name(NAME), PAGE, 0, 0, IPM_READ_ONLY, 0600,
				       NULL));
	ASSERT_COUNTS(counts);
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	EXPECT_EQ(2, limits.handles);
	EXPECT_EQ(2, limits.handles_max);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		CHECK(1, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY) >= 0);
		CHECK(1, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY) >= 0);
		CHECK(-ENOSPC, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
	}));
	/* A copy of the number is not another handle. */
	third = dup(fd);
	ASSERT_FD(third);
	close(third);
	ASSERT_EQ(-ENOSPC, call_reopen(fd, IPM_READ_ONLY));
	close(second);
	second = call_reopen(fd, IPM_READ_ONLY);
	ASSERT_FD(second);
	close(second);
	close(fd);
	ASSERT_COUNTS(self->before);
}

TEST_F(limit, claims)
{
	int fd = make_private(self->dev, PAGE, 0);
	int other = call_reopen(fd, IPM_READ_WRITE);
	struct ipm_range ranges[3];
	struct ipm_limits limits;
	struct ipm_claim arg;
	struct actor actor;
	uint64_t ids[4], id;

	ASSERT_FD(other);
	ASSERT_EQ(0, actor_start(&actor, true));
	ASSERT_EQ(0, write_text(PARAMETERS "max_claims", "4"));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, call_claim(fd, i * 10, 10, WRITE, 0, &ids[i]));
	ASSERT_WAITS(&actor, other, 0, 10, WRITE, 1);
	/* One that waits counts. */
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	EXPECT_EQ(4, limits.claims);
	EXPECT_EQ(4, limits.claims_max);
	ASSERT_EQ(-ENOSPC, call_claim(fd, 100, 10, WRITE, 0, NULL));
	ASSERT_EQ(-ENOSPC, call_claim(fd, 100, 10, READ, IPM_CLAIM_TRY, NULL));
	ASSERT_EQ(-ENOSPC, call_claim(other, 0, 10, WRITE, IPM_CLAIM_ASYNC, NULL));
	ASSERT_CLAIMS(fd, 3, 1, 0);
	ASSERT_EQ(0, call_release(fd, ids[0]));
	ASSERT_GRANTED(&actor, IPM_GRANT_WAITED, &id);
	ASSERT_EQ(0, call_claim(fd, 50, 10, WRITE, 0, &ids[0]));
	ASSERT_EQ(-ENOSPC, call_claim(fd, 100, 10, WRITE, 0, NULL));

	/* Releasing in the same call makes room. */
	arg = claim_arg(100, 10, WRITE, 0);
	arg.release = (uintptr_t)&ids[1];
	arg.nr_release = 1;
	ASSERT_EQ(0, call_claim_arg(fd, &arg));
	ASSERT_CLAIMS(fd, 4, 0, 0);
	ASSERT_EQ(0, call_release(fd, arg.id));
	ASSERT_EQ(0, call_release(fd, ids[0]));

	/* Each range counts; all together or not at all. */
	for (int i = 0; i < 3; i++)
		ranges[i] = (struct ipm_range) { .offset = 200 + i * 10, .length = 1, .mode = READ };
	ASSERT_CLAIMS(fd, 2, 0, 0);
	arg = claim_arg(0, 0, 0, 0);
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = 3;
	ASSERT_EQ(-ENOSPC, call_claim_arg(fd, &arg));
	ASSERT_CLAIMS(fd, 2, 0, 0);
	ASSERT_EQ(0, write_text(PARAMETERS "max_claims", "5"));
	ASSERT_EQ(0, call_claim_arg(fd, &arg));
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	EXPECT_EQ(5, limits.claims);
	ASSERT_CLAIMS(fd, 3, 0, 0);
	ASSERT_EQ(0, call_release(fd, arg.id));
	ASSERT_EQ(1, call_release_all(fd));
	actor_stop(&actor);
	close(fd);
	close(other);
	ASSERT_COUNTS(self->before);
}

TEST_F(limit, bytes)
{
	int fd, second;
	struct ipm_limits limits;

	ASSERT_EQ(0, write_text(PARAMETERS "max_bytes", "65536"));
	ASSERT_EQ(-ENOSPC, make_private(self->dev, 65537, 0));
	ASSERT_EQ(-ENOSPC, call_create(self->dev, ref_none(), 1 << 30, 0, IPM_CREATE_PREALLOCATE,
				       IPM_READ_WRITE, 0600, NULL));
	ASSERT_EQ(-ENOSPC, call_create(self->dev, ref_none(), 1 << 30, 0, IPM_CREATE_NORESERVE,
				       IPM_READ_WRITE, 0600, NULL));
	ASSERT_COUNTS(self->before);
	/* The capacity does not count, the size does. */
	fd = make_private(self->dev, 40960, 1 << 20);
	ASSERT_FD(fd);
	ASSERT_EQ(-ENOSPC, make_private(self->dev, 65536 - 40960 + 1, 0));
	second = make_private(self->dev, 4096, 1 << 20);
	ASSERT_FD(second);
	ASSERT_EQ(-ENOSPC, call_grow(fd, 65536 - 4096 + 1, 0));
	ASSERT_EQ(-ENOSPC, call_grow(fd, 65536 - 4096 + 1, IPM_GROW_PREALLOCATE));
	ASSERT_SIZE(fd, 40960);
	ASSERT_EQ(0, call_grow(fd, 65536 - 4096, 0));
	ASSERT_EQ(-ENOSPC, call_grow(second, 4097, 0));
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	EXPECT_EQ(65536, limits.bytes);
	EXPECT_EQ(65536, limits.bytes_max);

	/* On the account of who made it, whoever lets it grow. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		CHECK(-ENOSPC, call_grow(second, 4097, 0));
		CHECK(1, make_private(self->dev, 65536, 0) >= 0);
		CHECK(-ENOSPC, make_private(self->dev, 1, 0));
	}));
	close(fd);
	ASSERT_EQ(0, call_grow(second, 65536, 0));
	close(second);
	ASSERT_COUNTS(self->before);
}

/* A limit that is no number is refused. */
TEST_F(limit, bad_values)
{
	char now[32];

	EXPECT_EQ(-EINVAL, write_text(PARAMETERS "max_segments", "many"));
	EXPECT_GT(0, write_text(PARAMETERS "max_handles", "-1"));
	EXPECT_EQ(-EINVAL, write_text(PARAMETERS "max_bytes", "1 2"));
	EXPECT_STREQ(self->segments, read_text(PARAMETERS "max_segments", now, sizeof(now)));
	EXPECT_STREQ(self->handles, read_text(PARAMETERS "max_handles", now, sizeof(now)));
	EXPECT_STREQ(self->bytes, read_text(PARAMETERS "max_bytes", now, sizeof(now)));
	/* The counts are read-only, also to root. */
	EXPECT_NE(0, access(PARAMETERS "count_segments", F_OK) ? 0 :
		     write_text(PARAMETERS "count_segments", "1"));
	ASSERT_COUNTS(self->before);
}

TEST_HARNESS_MAIN
