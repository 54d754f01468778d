// SPDX-License-Identifier: GPL-2.0
/*
 * Finding segments otherwise than by opening them: the flags of INFO, the
 * mappings of an address space, SET by id; and segments that begin empty.
 * What the SysV view stands on.
 */
#include "ipm_test.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define NAME	"test-find"
#define KEY	0x5eed

FIXTURE(find)
{
	struct counts before;
	int dev;
};

FIXTURE_SETUP(find)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
}

FIXTURE_TEARDOWN(find)
{
	close(self->dev);
	EXPECT_COUNTS_SOON(self->before);
}

static int make(int dev, struct ipm_ref ref, uint64_t size, uint32_t flags, uint32_t mode,
		uint32_t *id)
{
	struct ipm_create out;
	int fd = call_create(dev, ref, size, 8 * PAGE, flags, IPM_READ_WRITE, mode, &out);

	*id = out.id;
	return fd;
}

/* FIND tells four things and needs no right but those that it is asked to check. */
TEST_F(find, without_a_right)
{
	static const struct {
		uint32_t mode, flags;
		int result;
	} rights[] = {
		{ 0000, 0, 0 },
		{ 0000, IPM_INFO_READ, -EACCES },
		{ 0000, IPM_INFO_WRITE, -EACCES },
		{ 0440, IPM_INFO_READ, 0 },
		{ 0444, IPM_INFO_WRITE, -EACCES },
		{ 0444, IPM_INFO_READ | IPM_INFO_WRITE, -EACCES },
		{ 0222, IPM_INFO_READ, -EACCES },
		{ 0222, IPM_INFO_WRITE, 0 },
		{ 0666, IPM_INFO_READ | IPM_INFO_WRITE, 0 },
		{ 0660, IPM_INFO_READ | IPM_INFO_WRITE, 0 },
		{ 0606, IPM_INFO_READ | IPM_INFO_WRITE, -EACCES },
	};
	uint32_t id;
	int fd;

	fd = make(self->dev, ref_key(KEY), 100, IPM_CREATE_EXCLUSIVE, 0, &id);
	ASSERT_FD(fd);
	ASSERT_EQ(0, IN_CHILD({
		struct ipm_info info;

		/* The segment's group: root's. */
		CHECK(0, become(65534, 0));
		for (size_t i = 0; i < ARRAY_LENGTH(rights); i++) {
			CHECK(0, kill(getpid(), 0));
			CHECK(-EPERM, call_set_by(self->dev, id, IPM_SET_MODE, 0666, 0));
		}
		CHECK(-EACCES, call_info_by(self->dev, ref_key(KEY), &info));
	}));
	for (size_t i = 0; i < ARRAY_LENGTH(rights); i++) {
		ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, rights[i].mode, 0, 0, 0));
		ASSERT_EQ(0, IN_CHILD({
			struct ipm_info info;

			CHECK(0, become(65534, 0));
			CHECK(rights[i].result, call_info_flags(self->dev, ref_key(KEY),
								IPM_INFO_FIND | rights[i].flags,
								&info));
			CHECK(rights[i].result, call_info_flags(self->dev, ref_id(id),
								IPM_INFO_FIND | rights[i].flags,
								&info));
			if (!rights[i].result) {
				struct ipm_info want = {
					.ref.id = id,
					.flags = IPM_INFO_FIND | rights[i].flags,
					.size = 100,
					.capacity = 8 * PAGE,
				};

				CHECK(0, memcmp(&want, &info, sizeof(info)));
			}
		}));
	}
	close(fd);
}

TEST_F(find, flags_that_do_not_fit)
{
	static const struct {
		bool by_id;
		uint32_t flags;
	} bad[] = {
		{ false, IPM_INFO_REMOVED },
		{ false, IPM_INFO_NEXT },
		{ false, IPM_INFO_REMOVED | IPM_INFO_FIND },
		{ true, IPM_INFO_READ },
		{ true, IPM_INFO_WRITE },
		{ true, IPM_INFO_NEXT | IPM_INFO_READ },
		{ true, IPM_INFO_NEXT | IPM_INFO_FIND },
		{ true, IPM_INFO_NEXT | IPM_INFO_FIND | IPM_INFO_READ },
		{ true, IPM_INFO_WRITE << 1 },
	};
	struct ipm_info info;
	uint32_t id;
	int fd = make(self->dev, ref_name(NAME), PAGE, 0, 0600, &id);

	ASSERT_FD(fd);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		EXPECT_EQ(-EINVAL, call_info_flags(self->dev, bad[i].by_id ? ref_id(id) :
									   ref_name(NAME),
						   bad[i].flags, &info));
	for (int bit = 0; bit < 5; bit++)
		EXPECT_EQ(-EINVAL, call_info_flags(fd, ref_none(), 1U << bit, &info));
	EXPECT_EQ(-ENOENT, call_info_flags(self->dev, ref_name("no-such"), IPM_INFO_FIND, &info));
	close(fd);
}

TEST_F(find, one_that_was_removed)
{
	struct ipm_info info;
	int64_t changed;
	uint32_t id;
	int fd = make(self->dev, ref_key(KEY), PAGE, IPM_CREATE_PERSISTENT, 0600, &id);

	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &info));
	changed = info.change_time;
	ASSERT_EQ(0, call_remove(self->dev, ref_id(id)));
	EXPECT_EQ(-EIDRM, call_info_by(self->dev, ref_id(id), &info));
	EXPECT_EQ(-EIDRM, call_info_flags(self->dev, ref_id(id), IPM_INFO_FIND, &info));
	EXPECT_EQ(-ENOENT, call_info_flags(self->dev, ref_key(KEY), IPM_INFO_FIND, &info));
	ASSERT_EQ(0, call_info_flags(self->dev, ref_id(id), IPM_INFO_REMOVED, &info));
	EXPECT_EQ(id, info.ref.id);
	EXPECT_EQ(IPM_STATE_REMOVED | IPM_STATE_PERSISTENT, info.state);
	/* Removing is no change of what it is. */
	EXPECT_EQ(changed, info.change_time);
	ASSERT_EQ(0, call_info_flags(self->dev, ref_id(id), IPM_INFO_REMOVED | IPM_INFO_FIND,
				     &info));
	EXPECT_EQ(id, info.ref.id);

	/* Who may not remove it learns no more than that. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(65534, 65534));
		CHECK(-EPERM, call_remove(self->dev, ref_id(id)));
	}));
	EXPECT_EQ(-EIDRM, call_remove(self->dev, ref_id(id)));
	close(fd);
	EXPECT_EQ(-ENOENT, call_info_flags(self->dev, ref_id(id), IPM_INFO_REMOVED, &info));
}

/* NEXT walks over all that the caller may read, in order, each once. */
TEST_F(find, one_after_the_other)
{
	uint32_t ids[6], seen[6], nr = 0;
	struct ipm_info info;
	int fds[6];

	for (int i = 0; i < 6; i++) {
		fds[i] = make(self->dev, ref_none(), PAGE, 0, i == 2 ? 0 : 0644, &ids[i]);
		ASSERT_FD(fds[i]);
	}
	ASSERT_EQ(0, call_remove(fds[4], ref_none()));
	for (uint32_t id = 1; !call_info_flags(self->dev, ref_id(id), IPM_INFO_NEXT, &info);
	     id = info.ref.id + 1) {
		ASSERT_LE(id, info.ref.id);
		ASSERT_GT(6, nr);
		seen[nr++] = info.ref.id;
	}
	ASSERT_EQ(5, nr);
	for (int i = 0, k = 0; i < 6; i++) {
		if (i != 4)
			EXPECT_EQ(ids[i], seen[k++]);
	}
	/* One that was removed only when asked for. */
	ASSERT_EQ(0, call_info_flags(self->dev, ref_id(ids[4]), IPM_INFO_NEXT, &info));
	EXPECT_EQ(ids[5], info.ref.id);
	ASSERT_EQ(0, call_info_flags(self->dev, ref_id(ids[4]), IPM_INFO_NEXT | IPM_INFO_REMOVED,
				     &info));
	EXPECT_EQ(ids[4], info.ref.id);
	EXPECT_EQ(-ENOENT, call_info_flags(self->dev, ref_id(INT32_MAX), IPM_INFO_NEXT, &info));
	EXPECT_EQ(-ENOENT, call_info_flags(self->dev, ref_id(UINT32_MAX), IPM_INFO_NEXT, &info));

	/* Somebody else passes by what he may not read. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(65534, 65534));
		CHECK(0, call_info_flags(self->dev, ref_id(ids[2]), IPM_INFO_NEXT, &info));
		CHECK(ids[3], info.ref.id);
	}));
	for (int i = 0; i < 6; i++)
		close(fds[i]);
}

/* What is where in an address space: also after a part was unmapped or protected. */
TEST_F(find, mappings)
{
	struct ipm_mapping m;
	uint32_t id;
	int fd = make(self->dev, ref_none(), 5 * PAGE, 0, 0600, &id);
	char *place, *map, *status;

	ASSERT_FD(fd);
	EXPECT_EQ(-ENOENT, call_mapping(self->dev, NULL, &m));
	EXPECT_EQ(-ENOENT, call_mapping(self->dev, (void *)-1UL, &m));
	place = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(place);
	map = place + 4 * PAGE;
	ASSERT_EQ(map, mmap(map, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
	status = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, IPM_STATUS_OFFSET);
	ASSERT_MAPPED(status);

	for (char *from = place; from < map + 5 * PAGE; from += PAGE - 1) {
		ASSERT_EQ(0, call_mapping(self->dev, from, &m));
		ASSERT_EQ((uintptr_t)map, m.address);
		ASSERT_EQ(5 * PAGE, m.length);
		ASSERT_EQ(0, m.offset);
		ASSERT_EQ(5 * PAGE, m.size);
		ASSERT_EQ(id, m.id);
	}
	/* The status page is none. */
	EXPECT_EQ(-ENOENT, call_mapping(self->dev, map + 5 * PAGE, &m));

	ASSERT_EQ(0, munmap(map + PAGE, PAGE));
	ASSERT_EQ(0, mprotect(map + 3 * PAGE, PAGE, PROT_READ));
	ASSERT_USE(fd, 1, 4, 0, 0, 0);
	ASSERT_EQ(0, call_mapping(self->dev, map, &m));
	EXPECT_EQ((uintptr_t)map, m.address);
	EXPECT_EQ(PAGE, m.length);
	ASSERT_EQ(0, call_mapping(self->dev, map + PAGE, &m));
	EXPECT_EQ((uintptr_t)map + 2 * PAGE, m.address);
	EXPECT_EQ(PAGE, m.length);
	EXPECT_EQ(2 * PAGE, m.offset);
	ASSERT_EQ(0, call_mapping(self->dev, map + 4 * PAGE, &m));
	EXPECT_EQ((uintptr_t)map + 4 * PAGE, m.address);
	EXPECT_EQ(4 * PAGE, m.offset);

	/* It is still a segment's when nothing but the mapping is left of it. */
	ASSERT_EQ(0, call_remove(fd, ref_none()));
	close(fd);
	ASSERT_EQ(0, call_mapping(self->dev, map, &m));
	EXPECT_EQ(id, m.id);
	ASSERT_EQ(0, munmap(place, 16 * PAGE));
	ASSERT_EQ(0, munmap(status, PAGE));
	EXPECT_EQ(-ENOENT, call_mapping(self->dev, NULL, &m));
}

/* Mapped by its number, without a handle; the access is the device's. */
TEST_F(find, attached)
{
	int reader = open(DEVICE, O_RDONLY | O_CLOEXEC);
	struct counts counts;
	uint32_t id;
	int fd = make(self->dev, ref_key(KEY), PAGE + 100, 0, 0640, &id);
	char *map, *read_only;

	ASSERT_FD(reader);
	ASSERT_FD(fd);
	counts = read_counts();
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->dev,
		   IPM_ATTACH_OFFSET(id));
	ASSERT_MAPPED(map);
	map[PAGE + 99] = 'x';
	read_only = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, reader, IPM_ATTACH_OFFSET(id));
	ASSERT_MAPPED(read_only);
	EXPECT_EQ('x', read_only[PAGE + 99]);
	ASSERT_USE(fd, 1, 2, 0, 0, 0);
	/* Read-only it stays, on the ways that are known. */
	EXPECT_EQ(-1, mprotect(read_only, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	if (!syscall(SYS_remap_file_pages, read_only, PAGE, 0, 1, 0)) {
		EXPECT_EQ(-1, mprotect(read_only, PAGE, PROT_READ | PROT_WRITE));
		EXPECT_EQ(EACCES, errno);
	}
	EXPECT_EQ(-1, mprotect(map, PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET(id)));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET(id)));
	EXPECT_EQ(EACCES, errno);
	/* Neither private, nor elsewhere, nor more than there is. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader,
				   IPM_ATTACH_OFFSET(id)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET(id) + PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, IPM_STATUS_OFFSET));
	EXPECT_EQ(IPM_STATUS_OFFSET >> IPM_ATTACH_SHIFT > INT32_MAX ? EINVAL : ENOENT, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET(id)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET(INT32_MAX)));
	/* A program of 32 bits has no offsets beyond 16 TiB, which is number 2^28. */
	EXPECT_EQ(sizeof(long) == 8 ? ENOENT : EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET((1 << 28) - 1)));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET(UINT32_MAX)));
	EXPECT_EQ(EINVAL, errno);
	/* The group may read, others nothing: it is who maps that counts. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(65534, 0));
		CHECK(0, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, IPM_ATTACH_OFFSET(id)) ==
				 MAP_FAILED);
		CHECK(1, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->dev,
			      IPM_ATTACH_OFFSET(id)) == MAP_FAILED);
		CHECK(EACCES, errno);
	}));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(65534, 65534));
		CHECK(1, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, IPM_ATTACH_OFFSET(id)) ==
				 MAP_FAILED);
		CHECK(EACCES, errno);
	}));
	ASSERT_EQ(0, munmap(map, 2 * PAGE));
	ASSERT_EQ(0, munmap(read_only, 2 * PAGE));
	ASSERT_USE(fd, 1, 0, 0, 0, 0);
	ASSERT_COUNTS(counts);

	/* A removed one too, and the mapping alone keeps it. */
	ASSERT_EQ(0, call_remove(fd, ref_none()));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->dev,
		   IPM_ATTACH_OFFSET(id));
	ASSERT_MAPPED(map);
	close(fd);
	map[0] = 1;
	ASSERT_EQ(0, munmap(map, PAGE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader,
				   IPM_ATTACH_OFFSET(id)));
	EXPECT_EQ(ENOENT, errno);
	close(reader);
}

/* A segment of another namespace is mapped, but has no number here. */
TEST_F(find, a_mapping_of_another_namespace)
{
	uint32_t id;
	int fd = make(self->dev, ref_none(), PAGE, 0, 0600, &id);

	ASSERT_FD(fd);
	ASSERT_EQ(0, IN_CHILD({
		struct ipm_mapping m;
		void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		int dev;

		CHECK(0, unshare(CLONE_NEWNET));
		dev = open_device();
		CHECK(1, dev >= 0);
		CHECK(0, call_mapping(dev, map, &m));
		CHECK((uintptr_t)map, m.address);
		CHECK(0, m.id);
		CHECK(0, call_mapping(self->dev, map, &m));
		CHECK(id, m.id);
	}));
	close(fd);
}

/* The owner needs no right to read to change what nobody may read. */
TEST_F(find, set_by_id)
{
	struct ipm_info info;
	uint32_t id;
	int fd = make(self->dev, ref_key(KEY), PAGE, IPM_CREATE_PERSISTENT, 0600, &id);

	ASSERT_FD(fd);
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE | IPM_SET_UID, 0, 65534, 0, 0));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(65534, 65534));
		CHECK(-EACCES, call_open(self->dev, ref_id(id), IPM_READ_ONLY));
		CHECK(0, call_set_by(self->dev, id, IPM_SET_MODE, 0600, 0));
		CHECK(0, call_info_by(self->dev, ref_id(id), &info));
		CHECK(0600, info.mode);
		CHECK(-EINVAL, call_set_by(self->dev, id, IPM_SET_MODE, 0700, 0));
		CHECK(-EINVAL, call_set_by(self->dev, id, 0, 0, 0));
		CHECK(-EINVAL, call_set_by(self->dev, 0, IPM_SET_MODE, 0600, 0));
	}));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(65533, 65533));
		CHECK(-EPERM, call_set_by(self->dev, id, IPM_SET_MODE, 0666, 0));
	}));
	EXPECT_EQ(-ENOENT, call_set_by(self->dev, INT32_MAX, IPM_SET_MODE, 0600, 0));
	EXPECT_EQ(-ENOENT, call_set_by(self->dev, UINT32_MAX, IPM_SET_MODE, 0600, 0));
	/* On a handle, it is the handle's. */
	EXPECT_EQ(-EINVAL, call_set_by(fd, id, IPM_SET_MODE, 0600, 0));

	ASSERT_EQ(0, call_remove(fd, ref_none()));
	ASSERT_EQ(0, call_set_by(self->dev, id, IPM_SET_MODE, 0640, 0));
	EXPECT_EQ(-EIDRM, call_set_by(self->dev, id, IPM_SET_LIFETIME, 0, 1));
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(0640, info.mode);
	close(fd);

	/* The last use of one that is persistent no more. */
	fd = make(self->dev, ref_key(KEY), PAGE, IPM_CREATE_PERSISTENT, 0600, &id);
	ASSERT_FD(fd);
	close(fd);
	ASSERT_EQ(0, call_set_by(self->dev, id, IPM_SET_LIFETIME, 0, 0));
	EXPECT_EQ(-ENOENT, call_info_by(self->dev, ref_id(id), &info));
}

/* A segment that begins with nothing, as files do. */
TEST_F(find, empty)
{
	struct ipm_limits limits;
	uint64_t bytes;
	uint32_t id;
	char *map;
	int fd;

	ASSERT_EQ(0, call_limits(self->dev, &limits));
	bytes = limits.bytes;
	EXPECT_EQ(-EINVAL, make(self->dev, ref_name(NAME), 0, 0, 0600, &id));
	fd = make(self->dev, ref_name(NAME), 0, IPM_CREATE_EMPTY, 0600, &id);
	ASSERT_FD(fd);
	ASSERT_SIZE(fd, 0);
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	EXPECT_EQ(bytes, limits.bytes);
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, call_grow(fd, 0, 0));
	ASSERT_EQ(0, call_grow(fd, PAGE + 1, 0));
	map[0] = 1;
	map[PAGE] = 2;
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	EXPECT_EQ(bytes + 2 * PAGE, limits.bytes);
	EXPECT_EQ(-EINVAL, call_grow(fd, 0, 0));
	ASSERT_EQ(0, munmap(map, 2 * PAGE));
	close(fd);

	fd = make(self->dev, ref_name(NAME), 0,
		  IPM_CREATE_EMPTY | IPM_CREATE_PREALLOCATE | IPM_CREATE_EXCLUSIVE, 0600, &id);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_grow(fd, 3 * PAGE, 0));
	/* One that exists is opened, whatever its size. */
	ASSERT_FD(make(self->dev, ref_name(NAME), 0, IPM_CREATE_EMPTY, 0600, &id));
	close(fd + 1);
	close(fd);

	/* Without a capacity it stays empty. */
	fd = call_create(self->dev, ref_none(), 0, 0, IPM_CREATE_EMPTY, IPM_READ_WRITE, 0600,
			 NULL);
	ASSERT_FD(fd);
	EXPECT_EQ(-EFBIG, call_grow(fd, 1, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

TEST_HARNESS_MAIN
