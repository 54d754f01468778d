// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of a segment: how far they reach, what they may do, that a
 * read-only handle never becomes more, and the status page.
 */
#include "ipm_test.h"

#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <sys/time.h>
#include <sys/uio.h>

#define NAME	"test-map"

#define SIZE		(2 * PAGE)
#define CAPACITY	(8 * PAGE)

/*
 * Newer kernels refuse to execute what is in an anonymous inode before they ask
 * us, with an error of their own.
 */
static int no_exec(void)
{
	return errno == EPERM ? EPERM : EACCES;
}

FIXTURE(map)
{
	struct counts before;
	int dev;
	int fd;
	int reader;	/* a read-only handle */
};

FIXTURE_SETUP(map)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_named(self->dev, NAME, SIZE, CAPACITY);
	ASSERT_FD(self->fd);
	self->reader = call_reopen(self->fd, IPM_READ_ONLY);
	ASSERT_FD(self->reader);
}

FIXTURE_TEARDOWN(map)
{
	close(self->reader);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

static char *map(int fd, uint64_t offset, size_t length, int prot)
{
	return mmap(NULL, length, prot, MAP_SHARED, fd, offset);
}

#define READ_WRITE	(PROT_READ | PROT_WRITE)

#define ASSERT_NOT_MAPPED(error, address)                        \
	do {                                                     \
		errno = 0;                                       \
		ASSERT_EQ(MAP_FAILED, (void *)(address));        \
		ASSERT_EQ(error, errno);                         \
	} while (0)

/* The signal that a child dies of when it does this; 0 if it lives. */
#define SIGNAL_OF(...)                                                      \
	({                                                                  \
		int signal_of_status = IN_CHILD(__VA_ARGS__);               \
		WIFSIGNALED(signal_of_status) ? WTERMSIG(signal_of_status) : \
						 -WEXITSTATUS(signal_of_status); \
	})

static void touch(char *address)
{
	__atomic_store_n(address, 1, __ATOMIC_RELAXED);
}

static int look(char *address)
{
	return __atomic_load_n(address, __ATOMIC_RELAXED);
}

/* --- reach --- */

TEST_F(map, up_to_the_capacity)
{
	char *all = map(self->fd, 0, CAPACITY, READ_WRITE), *part;

	ASSERT_MAPPED(all);
	part = map(self->fd, CAPACITY - PAGE, PAGE, READ_WRITE);
	ASSERT_MAPPED(part);
	ASSERT_USE(self->fd, 2, 2, 0, 0, 0);
	munmap(part, PAGE);
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, 0, CAPACITY + 1, READ_WRITE));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, 0, CAPACITY + PAGE, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, PAGE, CAPACITY, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, CAPACITY, PAGE, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->reader, CAPACITY, PAGE, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, 1ULL << 40, PAGE, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, IPM_STATUS_OFFSET - PAGE, PAGE, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, IPM_STATUS_OFFSET - PAGE, 2 * PAGE, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, IPM_STATUS_OFFSET + PAGE, PAGE, PROT_READ));
	ASSERT_NOT_MAPPED(EINVAL, map(self->fd, 1ULL << 50, PAGE, PROT_READ));
	ASSERT_EQ(MAP_FAILED, (void *)map(self->fd, (1ULL << 63) - PAGE, PAGE, PROT_READ));
	ASSERT_EQ(MAP_FAILED, (void *)map(self->fd, -PAGE, PAGE, PROT_READ));
	ASSERT_EQ(MAP_FAILED, (void *)map(self->fd, -PAGE, 2 * PAGE, PROT_READ));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	munmap(all, CAPACITY);
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

/* A capacity that is no whole number of pages reaches to the end of its last page. */
TEST_F(map, odd_capacity)
{
	int fd = make_private(self->dev, 100, PAGE + 1);
	char *two;

	ASSERT_FD(fd);
	two = map(fd, 0, 2 * PAGE, READ_WRITE);
	ASSERT_MAPPED(two);
	ASSERT_NOT_MAPPED(EINVAL, map(fd, 0, 3 * PAGE, READ_WRITE));
	ASSERT_NOT_MAPPED(EINVAL, map(fd, 2 * PAGE, PAGE, READ_WRITE));
	touch(two + 99);
	EXPECT_EQ(SIGBUS, SIGNAL_OF(touch(two + PAGE)));
	ASSERT_EQ(0, call_grow(fd, PAGE + 1, 0));
	touch(two + PAGE);
	munmap(two, 2 * PAGE);
	close(fd);
}

TEST_F(map, greatest_capacity)
{
	int fd = make_private(self->dev, PAGE, IPM_CAPACITY_MAX);
	char *first, *last;

	ASSERT_FD(fd);
	first = map(fd, 0, PAGE, READ_WRITE);
	ASSERT_MAPPED(first);
	last = map(fd, IPM_CAPACITY_MAX - PAGE, PAGE, READ_WRITE);
	ASSERT_MAPPED(last);
	EXPECT_EQ(SIGBUS, SIGNAL_OF(touch(last)));
	ASSERT_NOT_MAPPED(EINVAL, map(fd, IPM_CAPACITY_MAX - PAGE, 2 * PAGE, READ_WRITE));
	touch(first);
	munmap(first, PAGE);
	munmap(last, PAGE);
	close(fd);
}

/* Beyond the size is address space without pages; growth by anybody puts pages there. */
TEST_F(map, growth_is_seen_through_an_old_mapping)
{
	char *address = map(self->fd, 0, CAPACITY, READ_WRITE);
	char *reader = map(self->reader, 0, CAPACITY, PROT_READ);
	int pair[2];

	ASSERT_MAPPED(address);
	ASSERT_MAPPED(reader);
	touch(address + SIZE - 1);
	EXPECT_EQ(SIGBUS, SIGNAL_OF(touch(address + SIZE)));
	EXPECT_EQ(SIGBUS, SIGNAL_OF(look(reader + SIZE)));
	EXPECT_EQ(SIGBUS, SIGNAL_OF(touch(address + CAPACITY - 1)));
	/* The kernel gets EFAULT where a process gets SIGBUS. */
	ASSERT_EQ(0, pipe(pair));
	ASSERT_EQ(-1, write(pair[1], address + SIZE, 1));
	EXPECT_EQ(EFAULT, errno);

	/* Another process lets it grow, through a handle of its own. */
	ASSERT_EQ(0, IN_CHILD({
		int fd = call_open(self->dev, ref_name(NAME), IPM_READ_WRITE);

		CHECK(0, call_grow(fd, 4 * PAGE, 0));
	}));
	EXPECT_EQ(0, look(reader + SIZE));
	touch(address + SIZE);
	touch(address + 4 * PAGE - 1);
	EXPECT_EQ(1, look(reader + SIZE));
	EXPECT_EQ(1, look(reader + 4 * PAGE - 1));
	EXPECT_EQ(SIGBUS, SIGNAL_OF(look(reader + 4 * PAGE)));
	ASSERT_EQ(0, IN_CHILD({
		int fd = call_open(self->dev, ref_name(NAME), IPM_READ_WRITE);

		CHECK(0, call_grow(fd, CAPACITY, IPM_GROW_PREALLOCATE));
	}));
	touch(address + CAPACITY - 1);
	EXPECT_EQ(1, look(reader + CAPACITY - 1));
	EXPECT_EQ(1, look(reader + SIZE - 1));
	munmap(address, CAPACITY);
	munmap(reader, CAPACITY);
}

/* While others grow it, whoever was told a size can touch all of it. */
TEST_F_TIMEOUT(map, growth_under_way, 60)
{
	const int steps = 256;
	int fd = make_private(self->dev, PAGE, (steps + 1) * PAGE);
	char *address = map(fd, 0, (steps + 1) * PAGE, READ_WRITE);
	pid_t child;
	int status;

	ASSERT_MAPPED(address);
	child = fork();
	if (!child) {
		struct ipm_info info = { };

		do {
			CHECK(0, call_info(fd, &info));
			touch(address + info.size - 1);
			CHECK(1, look(address + info.size - 1));
		} while (info.size < (steps + 1) * PAGE);
		_exit(0);
	}
	for (int i = 2; i <= steps + 1; i++) {
		ASSERT_EQ(0, call_grow(fd, i * PAGE, i & 1 ? IPM_GROW_PREALLOCATE : 0));
		if (!(i % 16))
			sched_yield();
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	munmap(address, (steps + 1) * PAGE);
	close(fd);
}

/* There is no way to make a segment smaller under its users. */
TEST_F(map, never_shrinks)
{
	char *address = map(self->fd, 0, CAPACITY, READ_WRITE);
	char path[64];

	ASSERT_MAPPED(address);
	memset(address, 'x', SIZE);
	EXPECT_EQ(-EINVAL, call_grow(self->fd, PAGE, 0));
	EXPECT_EQ(-1, ftruncate(self->fd, PAGE));
	EXPECT_EQ(-1, ftruncate(self->fd, 0));
	EXPECT_EQ(-1, fallocate(self->fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	EXPECT_EQ(-1, truncate(path, 0));
	EXPECT_EQ(-1, open(path, O_RDWR | O_TRUNC));
	ASSERT_SIZE(self->fd, SIZE);
	EXPECT_EQ('x', look(address + SIZE - 1));
	/* Throwing the bytes away is spoiling payload; the pages come back as zeros. */
	madvise(address, SIZE, MADV_REMOVE);
	ASSERT_SIZE(self->fd, SIZE);
	touch(address + SIZE - 1);
	munmap(address, CAPACITY);
}

/* --- what all mappings share --- */

TEST_F(map, one_memory)
{
	char *a = map(self->fd, 0, SIZE, READ_WRITE);
	char *b = map(self->reader, 0, SIZE, PROT_READ);
	char *private;

	ASSERT_MAPPED(a);
	ASSERT_MAPPED(b);
	ASSERT_EQ(0, IN_CHILD({
		int fd = call_open(self->dev, ref_name(NAME), IPM_READ_WRITE);
		char *c = map(fd, PAGE, PAGE, READ_WRITE);

		strcpy(c, "from a child");
	}));
	EXPECT_STREQ("from a child", a + PAGE);
	EXPECT_STREQ("from a child", b + PAGE);

	/* A private mapping keeps what it writes to itself. */
	private = mmap(NULL, SIZE, READ_WRITE, MAP_PRIVATE, self->fd, 0);
	if (private != MAP_FAILED) {
		EXPECT_STREQ("from a child", private + PAGE);
		strcpy(private + PAGE, "mine");
		munmap(private, SIZE);
	}
	EXPECT_STREQ("from a child", b + PAGE);

	/* Pages that are given back to the kernel are not lost. */
	EXPECT_EQ(0, madvise(a, SIZE, MADV_DONTNEED));
	EXPECT_STREQ("from a child", a + PAGE);
	EXPECT_EQ(0, msync(a, SIZE, MS_SYNC));
	EXPECT_EQ(0, mlock(a, SIZE));
	EXPECT_EQ(0, munlock(a, SIZE));
	munmap(a, SIZE);
	munmap(b, SIZE);
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

/* Sleeping and waking works on its words, across processes and kinds of handle. */
TEST_F(map, futex)
{
	int *word = (int *)map(self->fd, 0, SIZE, READ_WRITE);
	pid_t child;
	int status;

	ASSERT_MAPPED(word);
	child = fork();
	if (!child) {
		int fd = call_open(self->dev, ref_name(NAME), IPM_READ_ONLY);
		int *mine = (int *)map(fd, 0, SIZE, PROT_READ);

		while (!__atomic_load_n(mine, __ATOMIC_ACQUIRE))
			syscall(SYS_futex, mine, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(7);
	}
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	do
		syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	while (!waitpid(child, &status, WNOHANG));
	EXPECT_EQ(7, WEXITSTATUS(status));
	munmap(word, SIZE);
}

/* --- counting mappings --- */

TEST_F(map, count)
{
	char *address = map(self->fd, 0, CAPACITY, READ_WRITE), *moved;
	struct ipm_info info;
	int64_t start = now_ns(CLOCK_REALTIME);

	ASSERT_MAPPED(address);
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.maps);
	EXPECT_EQ(getpid(), info.last_pid);
	EXPECT_GE(now_ns(CLOCK_REALTIME), info.attach_time);
	EXPECT_EQ(0, info.detach_time);

	/* The end, the beginning, the middle of it. */
	ASSERT_EQ(0, munmap(address + 7 * PAGE, PAGE));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	ASSERT_EQ(0, munmap(address, PAGE));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	ASSERT_EQ(0, munmap(address + 3 * PAGE, PAGE));
	ASSERT_USE(self->fd, 2, 2, 0, 0, 0);
	ASSERT_EQ(0, munmap(address + PAGE, 2 * PAGE));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);

	/* What is left moves. */
	moved = mremap(address + 4 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       address + 64 * PAGE);
	ASSERT_MAPPED(moved);
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	/* Something else takes its place. */
	ASSERT_EQ(moved, mmap(moved, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			      -1, 0));
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(0, info.maps);
	EXPECT_LE(start, info.detach_time);
	EXPECT_GE(now_ns(CLOCK_REALTIME), info.detach_time);
	munmap(moved, 3 * PAGE);
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

/* One that goes on where another ends is counted, and given back, like any. */
TEST_F(map, count_of_neighbours)
{
	char *address = map(self->fd, 0, 2 * PAGE, READ_WRITE);

	ASSERT_MAPPED(address);
	ASSERT_EQ(0, munmap(address + PAGE, PAGE));
	ASSERT_EQ(address + PAGE, mmap(address + PAGE, PAGE, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, self->fd, PAGE));
	address[0] = 1;
	address[PAGE] = 2;
	ASSERT_EQ(0, munmap(address, 2 * PAGE));
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

TEST_F(map, count_in_children)
{
	char *address = map(self->fd, 0, CAPACITY, READ_WRITE);
	struct actor child = { };
	struct ipm_info info;

	ASSERT_MAPPED(address);
	ASSERT_EQ(0, actor_start(&child, false));
	ASSERT_USE(self->fd, 2, 2, 0, 0, 0);
	ASSERT_EQ(SIGKILL, actor_kill(&child));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	ASSERT_EQ(0, madvise(address, CAPACITY, MADV_DONTFORK));
	ASSERT_EQ(0, actor_start(&child, false));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	actor_stop(&child);

	/* A program that takes over takes no mapping with it. */
	ASSERT_EQ(0, madvise(address, CAPACITY, MADV_DOFORK));
	ASSERT_EQ(0, IN_CHILD({
		execl("/bin/true", "true", NULL);
		CHECK(0, errno);
	}));
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.maps);
	EXPECT_NE(getpid(), info.last_pid);
	munmap(address, CAPACITY);
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

/* Threads that share the memory map and unmap at once. */
TEST_F(map, count_race)
{
	pid_t pids[4];
	char *address = map(self->fd, 0, CAPACITY, READ_WRITE);

	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			for (int k = 0; k < 200; k++) {
				char *mine = map(k & 1 ? self->fd : self->reader, 0, CAPACITY,
						 PROT_READ);

				CHECK(0, look(mine));
				CHECK(0, munmap(mine + (k % 8) * PAGE, PAGE));
				CHECK(0, munmap(mine, CAPACITY));
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		ASSERT_EQ(0, status);
	}
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	munmap(address, CAPACITY);
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

/* --- read-only stays read-only --- */

FIXTURE(read_only)
{
	struct counts before;
	int dev;
	int fd;
	int reader;	/* what is mapped, from there: */
	uint64_t start;
	char *address;	/* read-write */
	char *map;	/* of the reader */
};

/* A handle, or the device that was opened for reading, which maps by number. */
FIXTURE_VARIANT(read_only)
{
	bool attach;
};

FIXTURE_VARIANT_ADD(read_only, handle)
{
	.attach = false,
};

FIXTURE_VARIANT_ADD(read_only, attached)
{
	.attach = true,
};

FIXTURE_SETUP(read_only)
{
	self->before = read_counts();
	self->dev = open_device();
	self->fd = make_named(self->dev, NAME, SIZE, CAPACITY);
	ASSERT_FD(self->fd);
	if (variant->attach) {
		struct ipm_info info;

		ASSERT_EQ(0, call_info(self->fd, &info));
		self->reader = open(DEVICE, O_RDONLY | O_CLOEXEC);
		self->start = IPM_ATTACH_OFFSET(info.ref.id);
	} else {
		self->reader = call_open(self->dev, ref_name(NAME), IPM_READ_ONLY);
	}
	ASSERT_FD(self->reader);
	self->address = map(self->fd, 0, SIZE, READ_WRITE);
	ASSERT_MAPPED(self->address);
	memset(self->address, 'r', SIZE);
	self->map = map(self->reader, self->start, SIZE, PROT_READ);
	ASSERT_MAPPED(self->map);
}

FIXTURE_TEARDOWN(read_only)
{
	/* Whatever was tried, not a byte has changed. */
	for (size_t i = 0; i < SIZE; i++) {
		if (self->address[i] != 'r') {
			EXPECT_EQ('r', self->address[i]);
			break;
		}
	}
	munmap(self->address, SIZE);
	munmap(self->map, SIZE);
	close(self->reader);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

TEST_F(read_only, mmap)
{
	ASSERT_NOT_MAPPED(EACCES, map(self->reader, self->start, SIZE, READ_WRITE));
	ASSERT_NOT_MAPPED(EACCES, map(self->reader, self->start, SIZE, PROT_WRITE));
	ASSERT_NOT_MAPPED(EACCES, map(self->reader, self->start + SIZE, CAPACITY - SIZE,
				      READ_WRITE));
	ASSERT_NOT_MAPPED(EACCES, map(self->reader, self->start, CAPACITY, READ_WRITE));
	EXPECT_EQ('r', look(self->map));
	EXPECT_EQ(SIGSEGV, SIGNAL_OF(touch(self->map)));
}

TEST_F(read_only, private_mapping)
{
	char *private = mmap(NULL, SIZE, READ_WRITE, MAP_PRIVATE, self->reader, self->start);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	if (private != MAP_FAILED) {
		touch(private);
		munmap(private, SIZE);
	} else {
		EXPECT_EQ(variant->attach ? EINVAL : EACCES, errno);
	}
	/* Forced writes go to a copy, if anywhere. */
	private = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, self->reader, self->start);
	EXPECT_EQ(variant->attach, private == MAP_FAILED);
	if (private != MAP_FAILED) {
		mprotect(private, SIZE, READ_WRITE);
		if (pwrite(mem, "x", 1, (uintptr_t)private) < 0)
			EXPECT_EQ(EIO, errno);
		munmap(private, SIZE);
	}
	close(mem);
}

TEST_F(read_only, mprotect)
{
	EXPECT_EQ(-1, mprotect(self->map, SIZE, READ_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->map, PAGE, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, mprotect(self->map, PAGE, PROT_NONE));
	EXPECT_EQ(-1, mprotect(self->map, PAGE, READ_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, mprotect(self->map, PAGE, PROT_READ));
	/* In a child too, and after it closed the handle. */
	ASSERT_EQ(0, IN_CHILD({
		close(self->reader);
		close(self->fd);
		CHECK(-1, mprotect(self->map, SIZE, READ_WRITE));
		CHECK(EACCES, errno);
	}));
}

/* The path by which a read-only mapping of a read-write file becomes writable. */
TEST_F(read_only, remap_file_pages)
{
	EXPECT_EQ(-1, syscall(SYS_remap_file_pages, self->map, PAGE, 0, 1, 0));
	/* EINVAL: an area of such a file is not a shared one. ENOSYS on kernels without it. */
	EXPECT_TRUE(errno == EINVAL || errno == EPERM || errno == ENOSYS);
	EXPECT_EQ('r', look(self->map));
	EXPECT_EQ(-1, mprotect(self->map, SIZE, READ_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->map, PAGE, READ_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(SIGSEGV, SIGNAL_OF(touch(self->map)));
	EXPECT_EQ(-1, syscall(SYS_remap_file_pages, self->map, PAGE, PROT_WRITE, 0, 0));
}

TEST_F(read_only, mremap)
{
	char *copy = mremap(self->map, 0, SIZE, MREMAP_MAYMOVE);
	char *moved;

	if (copy != MAP_FAILED) {
		EXPECT_EQ(-1, mprotect(copy, SIZE, READ_WRITE));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(SIGSEGV, SIGNAL_OF(touch(copy)));
		munmap(copy, SIZE);
	}
	moved = mremap(self->map, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
	if (moved != MAP_FAILED) {
		EXPECT_EQ(-1, mprotect(moved, 2 * SIZE, READ_WRITE));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(SIGSEGV, SIGNAL_OF(touch(moved)));
		munmap(moved, 2 * SIZE);
		self->map = map(self->reader, self->start, SIZE, PROT_READ);
	}
}

/* Growing the map with mremap() reaches no byte that mmap() does not. */
TEST_F(read_only, mremap_beyond_the_capacity)
{
	const size_t length = variant->attach ? SIZE : CAPACITY;
	char *all = map(self->reader, self->start, length, PROT_READ), *more;

	ASSERT_MAPPED(all);
	more = mremap(all, length, 2 * CAPACITY, MREMAP_MAYMOVE);
	if (more == MAP_FAILED) {
		munmap(all, length);
		return;
	}
	EXPECT_EQ(SIGBUS, SIGNAL_OF(look(more + CAPACITY)));
	ASSERT_EQ(0, call_grow(self->fd, CAPACITY, 0));
	EXPECT_EQ(SIGBUS, SIGNAL_OF(look(more + CAPACITY)));
	munmap(more, 2 * CAPACITY);
}

TEST_F(read_only, proc)
{
	char path[200];
	int mem;

	/* The handle cannot be opened a second time through /proc, as anything. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->reader);
	for (int flags = O_RDONLY; !variant->attach && flags <= O_RDWR; flags++) {
		EXPECT_EQ(-1, open(path, flags));
		EXPECT_EQ(ENXIO, errno);
	}
	/* The device can, by anybody, which gives no more rights than that one has. */
	if (variant->attach)
		ASSERT_EQ(0, IN_CHILD({
			int again;

			CHECK(0, become(1234, 1234));
			CHECK(0, prctl(PR_SET_DUMPABLE, 1));
			again = open(path, O_RDWR | O_CLOEXEC);
			CHECK(1, again >= 0);
			CHECK(1, map(again, self->start, SIZE, READ_WRITE) == MAP_FAILED);
			CHECK(EACCES, errno);
			CHECK(1, map(again, self->start, SIZE, PROT_READ) == MAP_FAILED);
			CHECK(EACCES, errno);
		}));
	EXPECT_EQ(0, fcntl(self->reader, F_SETFL, O_RDWR));
	EXPECT_EQ(-1, mprotect(self->map, PAGE, READ_WRITE));
	EXPECT_EQ(EACCES, errno);
	ASSERT_NOT_MAPPED(EACCES, map(self->reader, self->start, PAGE, READ_WRITE));

	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_FD(mem);
	EXPECT_EQ(-1, pwrite(mem, "x", 1, (uintptr_t)self->map));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, pwrite(mem, "x", 1, (uintptr_t)self->map + PAGE));
	EXPECT_EQ(EIO, errno);
	close(mem);

	/* Files of mappings are for who may inspect everything anyway. */
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)self->map,
		 (unsigned long)self->map + SIZE);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		CHECK(0, prctl(PR_SET_DUMPABLE, 1));
		CHECK(-1, open(path, O_RDWR));
		CHECK(EPERM, errno);
		CHECK(-1, open(path, O_RDONLY));
		CHECK(EPERM, errno);
		CHECK(-1, truncate(path, 0));
		CHECK(EPERM, errno);
	}));
}

TEST_F(read_only, process_vm_writev)
{
	char byte = 'x';
	struct iovec local = { &byte, 1 }, remote = { self->map, 1 };

	EXPECT_EQ(1, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ('r', byte);
	byte = 'x';
	EXPECT_EQ(-1, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* By way of a system call that writes. */
	EXPECT_EQ(-1, read(open("/dev/zero", O_RDONLY | O_CLOEXEC), self->map, 1));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(read_only, madvise)
{
	EXPECT_EQ(-1, madvise(self->map, SIZE, MADV_REMOVE));
	EXPECT_EQ(EACCES, errno);
	madvise(self->map, SIZE, MADV_DONTNEED);
	madvise(self->map, SIZE, MADV_FREE);
	EXPECT_EQ('r', look(self->map));
}

TEST_F(read_only, userfaultfd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	struct uffdio_copy copy;
	char *hole, page[PAGE];
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	/* A page that does not exist yet, and must not come from elsewhere. */
	ASSERT_EQ(0, call_grow(self->fd, SIZE + PAGE, 0));
	hole = map(self->reader, self->start, SIZE + PAGE, PROT_READ);
	ASSERT_MAPPED(hole);
	hole += SIZE;
	reg = (struct uffdio_register) {
		.range = { (uintptr_t)hole, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (!ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		memset(page, 'x', PAGE);
		copy = (struct uffdio_copy) {
			.dst = (uintptr_t)hole, .src = (uintptr_t)page, .len = PAGE,
		};
		EXPECT_EQ(-1, ioctl(uffd, UFFDIO_COPY, &copy));
	}
	close(uffd);
	EXPECT_EQ(0, look(hole));
	munmap(hole - SIZE, SIZE + PAGE);
}

/* Over a socket, to somebody less trusted: it is what it was. */
TEST_F(read_only, passed_on)
{
	int pair[2], second = variant->attach ? open(DEVICE, O_RDONLY | O_CLOEXEC) :
						 call_reopen(self->fd, IPM_READ_ONLY);

	ASSERT_FD(second);
	/* By number, it is the one who maps who needs the right to read. */
	if (variant->attach)
		ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0644, 0, 0, 0));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], second));
	close(second);
	ASSERT_EQ(0, IN_CHILD({
		int fd;
		char *mine;

		close(self->fd);
		CHECK(0, become(1234, 1234));
		fd = receive_fd(pair[1]);
		CHECK(1, fd >= 0);
		CHECK(1, map(fd, self->start, SIZE, READ_WRITE) == MAP_FAILED);
		CHECK(EACCES, errno);
		CHECK(-EACCES, call_open(self->dev, ref_name(NAME), IPM_READ_WRITE));
		mine = map(fd, self->start, SIZE, PROT_READ);
		CHECK(1, mine != MAP_FAILED);
		CHECK('r', mine[SIZE - 1]);
		CHECK(-1, mprotect(mine, SIZE, READ_WRITE));
		CHECK(EACCES, errno);
		if (variant->attach) {
			CHECK(-EPERM, call_remove(fd, ref_name(NAME)));
			CHECK(1, map(self->dev, self->start, SIZE, READ_WRITE) == MAP_FAILED);
			CHECK(EACCES, errno);
			_exit(0);
		}
		CHECK(-EACCES, call_reopen(fd, IPM_READ_WRITE));
		CHECK(-EBADF, call_grow(fd, CAPACITY, 0));
		CHECK(-EBADF, call_claim(fd, 0, 1, WRITE, 0, NULL));
		CHECK(-EBADF, call_recovered(fd, 0, 1));
		CHECK(-EPERM, call_set(fd, IPM_SET_MODE, 0666, 0, 0, 0));
		CHECK(-EPERM, call_remove(fd, ref_none()));
		second = call_reopen(fd, IPM_READ_ONLY);
		CHECK(1, second >= 0);
		CHECK(1, map(second, 0, SIZE, READ_WRITE) == MAP_FAILED);
		CHECK(EACCES, errno);
	}));
	close(pair[0]);
	close(pair[1]);
}

/* --- no execution --- */

TEST_F(map, not_executable)
{
	const int fds[] = { self->fd, self->reader };

	for (int i = 0; i < 2; i++) {
		char *address;

		ASSERT_NOT_MAPPED(no_exec(), map(fds[i], 0, PAGE, PROT_READ | PROT_EXEC));
		ASSERT_NOT_MAPPED(no_exec(), map(fds[i], 0, PAGE, PROT_EXEC));
		ASSERT_NOT_MAPPED(no_exec(), map(fds[i], 0, PAGE, READ_WRITE | PROT_EXEC));
		address = map(fds[i], 0, PAGE, PROT_READ);
		ASSERT_MAPPED(address);
		EXPECT_EQ(-1, mprotect(address, PAGE, PROT_READ | PROT_EXEC));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(-1, mprotect(address, PAGE, PROT_EXEC));
		EXPECT_EQ(EACCES, errno);
		munmap(address, PAGE);
	}
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

/* --- the status page --- */

static const struct ipm_status *map_status(int fd)
{
	return (void *)map(fd, IPM_STATUS_OFFSET, IPM_STATUS_SIZE, PROT_READ);
}

/* One picture of the fields that belong together. */
static struct ipm_status read_status(const struct ipm_status *page)
{
	struct ipm_status s;
	uint32_t before;

	do {
		before = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
		s.abi = __atomic_load_n(&page->abi, __ATOMIC_RELAXED);
		s.size = __atomic_load_n(&page->size, __ATOMIC_RELAXED);
		s.capacity = __atomic_load_n(&page->capacity, __ATOMIC_RELAXED);
		s.changes = __atomic_load_n(&page->changes, __ATOMIC_RELAXED);
		s.state = __atomic_load_n(&page->state, __ATOMIC_RELAXED);
		s.id = __atomic_load_n(&page->id, __ATOMIC_RELAXED);
		s.handles = __atomic_load_n(&page->handles, __ATOMIC_RELAXED);
		s.maps = __atomic_load_n(&page->maps, __ATOMIC_RELAXED);
		s.claims = __atomic_load_n(&page->claims, __ATOMIC_RELAXED);
		s.waiters = __atomic_load_n(&page->waiters, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		s.sequence = __atomic_load_n(&page->sequence, __ATOMIC_RELAXED);
	} while (before & 1 || before != s.sequence);
	return s;
}

/* The page says what INFO says. */
#define ASSERT_STATUS(page, fd)                                            \
	do {                                                               \
		struct ipm_info i_;                                        \
		struct ipm_status s_ = read_status(page);                  \
		ASSERT_EQ(0, call_info(fd, &i_));                          \
		ASSERT_EQ(IPM_ABI_VERSION, s_.abi);                        \
		ASSERT_EQ(i_.size, s_.size);                               \
		ASSERT_EQ(i_.capacity, s_.capacity);                       \
		ASSERT_EQ(i_.state, s_.state);                             \
		ASSERT_EQ(i_.ref.id, s_.id);                               \
		ASSERT_EQ(i_.handles, s_.handles);                         \
		ASSERT_EQ(i_.maps, s_.maps);                               \
		ASSERT_EQ(i_.claims, s_.claims);                           \
		ASSERT_EQ(i_.waiters, s_.waiters);                         \
	} while (0)

TEST_F(map, status_page)
{
	const struct ipm_status *page = map_status(self->reader), *second;
	struct ipm_status first, now;
	char *address;
	uint64_t id;

	ASSERT_MAPPED(page);
	ASSERT_STATUS(page, self->fd);
	first = read_status(page);
	EXPECT_EQ(2, first.handles);
	/* The rest of the page is for later versions. */
	for (size_t i = 0; i < ARRAY_LENGTH(page->reserved); i++)
		EXPECT_EQ(0, page->reserved[i]);
	for (size_t i = sizeof(first); i < IPM_STATUS_SIZE; i++)
		ASSERT_EQ(0, ((const char *)page)[i]);

	second = map_status(self->fd);
	ASSERT_MAPPED(second);
	ASSERT_EQ(0, call_grow(self->fd, SIZE + 1, 0));
	ASSERT_STATUS(page, self->fd);
	ASSERT_STATUS(second, self->fd);
	now = read_status(page);
	EXPECT_EQ(SIZE + 1, now.size);
	EXPECT_EQ(first.changes + 1, now.changes);
	EXPECT_EQ(first.sequence + 2, now.sequence);

	address = map(self->fd, 0, SIZE, PROT_READ);
	ASSERT_STATUS(page, self->fd);
	munmap(address, SIZE);
	ASSERT_EQ(0, call_claim(self->fd, 0, 1, WRITE, 0, &id));
	ASSERT_STATUS(page, self->fd);
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_STATUS(page, self->fd);
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0640, 0, 0, 0));
	ASSERT_STATUS(page, self->fd);
	EXPECT_EQ(first.changes + 2, read_status(page).changes);
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_LIFETIME, 0, 0, 0, 1));
	ASSERT_STATUS(page, self->fd);
	EXPECT_EQ(IPM_STATE_PERSISTENT, read_status(page).state);
	ASSERT_EQ(0, IN_CHILD(CHECK(0, call_claim(self->fd, 0, 10, WRITE, 0, NULL))));
	ASSERT_STATUS(page, self->fd);
	EXPECT_EQ(IPM_STATE_PERSISTENT | IPM_STATE_IN_DOUBT, read_status(page).state);
	ASSERT_EQ(0, call_remove(self->fd, ref_none()));
	ASSERT_STATUS(page, self->fd);
	EXPECT_EQ(first.changes + 4, read_status(page).changes);
	EXPECT_EQ(IPM_STATE_PERSISTENT | IPM_STATE_IN_DOUBT | IPM_STATE_REMOVED,
		  read_status(page).state);

	/* LINK is a change too. */
	munmap((void *)page, PAGE);
	{
		int fd = make_private(self->dev, PAGE, 0);

		page = map_status(fd);
		first = read_status(page);
		ASSERT_EQ(0, call_link(fd, ref_key(8)));
		EXPECT_EQ(first.changes + 1, read_status(page).changes);
		ASSERT_STATUS(page, fd);
		close(fd);
	}
	munmap((void *)page, PAGE);
	munmap((void *)second, PAGE);
}

/*
 * The kernel would map the pages anew without asking the handle: not counted, and free
 * to be made executable, also after the segment.
 */
TEST_F(map, remap_file_pages)
{
	char *mine = map(self->fd, 0, 2 * PAGE, READ_WRITE), *place;

	ASSERT_MAPPED(mine);
	mine[0] = 'a';
	mine[PAGE] = 'b';
	for (int at = 0; at < 2; at++) {
		for (int flags = 0; flags <= MAP_NONBLOCK; flags += MAP_NONBLOCK) {
			EXPECT_EQ(-1, syscall(SYS_remap_file_pages, mine, PAGE, 0, at, flags));
			EXPECT_TRUE(errno == EPERM || errno == ENOSYS);
		}
	}
	ASSERT_EQ(0, mlock(mine, 2 * PAGE));
	EXPECT_EQ(-1, syscall(SYS_remap_file_pages, mine, 2 * PAGE, 0, 0, 0));
	ASSERT_EQ(0, munlock(mine, 2 * PAGE));
	/* What was there stays as it was. */
	EXPECT_EQ('a', look(mine));
	EXPECT_EQ('b', look(mine + PAGE));
	EXPECT_EQ(-1, mprotect(mine, PAGE, PROT_READ | PROT_EXEC));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	/* And may be moved, also to a place that the caller names. */
	place = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(place);
	ASSERT_EQ(place, mremap(mine, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	EXPECT_EQ('b', look(place + PAGE));
	EXPECT_EQ(-1, mprotect(place, PAGE, PROT_READ | PROT_EXEC));
	ASSERT_USE(self->fd, 2, 1, 0, 0, 0);
	munmap(place, 2 * PAGE);
	ASSERT_USE(self->fd, 2, 0, 0, 0, 0);
}

TEST_F(map, status_page_rights)
{
	const int fds[] = { self->fd, self->reader };
	void *page;

	for (int i = 0; i < 2; i++) {
		ASSERT_NOT_MAPPED(EACCES, map(fds[i], IPM_STATUS_OFFSET, PAGE, READ_WRITE));
		ASSERT_NOT_MAPPED(EACCES, map(fds[i], IPM_STATUS_OFFSET, PAGE, PROT_WRITE));
		ASSERT_NOT_MAPPED(no_exec(), map(fds[i], IPM_STATUS_OFFSET, PAGE,
						 PROT_READ | PROT_EXEC));
		ASSERT_NOT_MAPPED(EINVAL, map(fds[i], IPM_STATUS_OFFSET, 2 * PAGE, PROT_READ));
		ASSERT_NOT_MAPPED(EINVAL, map(fds[i], IPM_STATUS_OFFSET + PAGE, PAGE, PROT_READ));
		page = map(fds[i], IPM_STATUS_OFFSET, PAGE, PROT_READ);
		ASSERT_MAPPED(page);
		EXPECT_EQ(-1, mprotect(page, PAGE, READ_WRITE));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(-1, mprotect(page, PAGE, PROT_READ | PROT_EXEC));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(MAP_FAILED, mremap(page, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
		EXPECT_EQ(-1, madvise(page, PAGE, MADV_REMOVE));
		EXPECT_EQ(-1, pwrite(open("/proc/self/mem", O_RDWR | O_CLOEXEC), "x", 1,
				     (uintptr_t)page));
		syscall(SYS_remap_file_pages, page, PAGE, 0, 0, 0);
		EXPECT_EQ(-1, mprotect(page, PAGE, READ_WRITE));
		EXPECT_EQ(SIGSEGV, SIGNAL_OF(touch(page)));
		munmap(page, PAGE);
	}
	/* A private copy, if there is one, is only that. */
	page = mmap(NULL, PAGE, READ_WRITE, MAP_PRIVATE, self->fd, IPM_STATUS_OFFSET);
	ASSERT_EQ(MAP_FAILED, page);
	ASSERT_EQ(EACCES, errno);
}

/* Another process sees growth with no call at all, and can use the new bytes. */
TEST_F_TIMEOUT(map, status_page_shows_growth, 60)
{
	char *address = map(self->fd, 0, CAPACITY, READ_WRITE);
	int ready[2], status;
	char byte = 0;
	pid_t child;

	ASSERT_MAPPED(address);
	ASSERT_EQ(0, pipe(ready));
	child = fork();
	if (!child) {
		const struct ipm_status *page = map_status(self->reader);
		char *mine = map(self->reader, 0, CAPACITY, PROT_READ);

		CHECK(SIZE, read_status(page).size);
		CHECK(1, write(ready[1], &byte, 1));
		for (uint64_t size = SIZE; size < CAPACITY; ) {
			uint64_t now = __atomic_load_n(&page->size, __ATOMIC_ACQUIRE);

			CHECK(1, now >= size);
			CHECK(0, look(mine + now - 1) & ~1);
			size = now;
		}
		_exit(0);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	for (uint64_t size = SIZE; size <= CAPACITY; size += PAGE / 4) {
		ASSERT_EQ(0, call_grow(self->fd, size, 0));
		touch(address + size - 1);
		sched_yield();
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	munmap(address, CAPACITY);
}

/* The page can be looked at when everything else is gone. */
TEST_F(map, status_page_outlives)
{
	int fd = make_private(self->dev, PAGE, 0);
	const struct ipm_status *page = map_status(fd);
	uint32_t id;

	ASSERT_MAPPED(page);
	id = read_status(page).id;
	close(fd);
	EXPECT_EQ(id, read_status(page).id);
	EXPECT_EQ(PAGE, read_status(page).size);
	ASSERT_EQ(0, IN_CHILD(CHECK(id, read_status(page).id)));
	munmap((void *)page, PAGE);
}

/*
 * What is done to the segment's pages, by who may do it, leaves the status page alone: a
 * growth that fails half-way, and one who makes a hole far behind the end.
 */
TEST_F_TIMEOUT(map, status_page_stays, 120)
{
	const uint64_t large = 256 << 20;
	const struct sigaction action = { .sa_handler = do_nothing };
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { 0 };
	const struct ipm_status *page;
	int fd = make_private(self->dev, PAGE, large);
	char *mine;
	int ret;

	ASSERT_FD(fd);
	page = map_status(fd);
	ASSERT_MAPPED(page);
	ASSERT_EQ(PAGE, read_status(page).size);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	ret = call_grow(fd, large, IPM_GROW_PREALLOCATE);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	ASSERT_EQ(-EINTR, ret);
	EXPECT_EQ(0, SIGNAL_OF((void)read_status(page)));

	mine = map(fd, 0, PAGE, READ_WRITE);
	ASSERT_MAPPED(mine);
	syscall(SYS_remap_file_pages, mine, PAGE, 0, IPM_STATUS_OFFSET / PAGE, 0);
	madvise(mine, PAGE, MADV_REMOVE);
	ASSERT_EQ(0, SIGNAL_OF((void)read_status(page)));
	EXPECT_EQ(PAGE, read_status(page).size);
	munmap(mine, PAGE);
	munmap((void *)page, PAGE);
	close(fd);
}

/* --- what /proc says about a handle --- */

/* Value of one line of fdinfo; NULL unless there is exactly one. */
static const char *fdinfo(int fd, const char *field, char *text, size_t size)
{
	char path[64], *line, *found = NULL;
	size_t n = strlen(field);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	read_text(path, text, size);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strncmp(line, field, n) || line[n] != ':')
			continue;
		if (found)
			return NULL;
		found = line + n + 1;
		found += strspn(found, " \t");
	}
	return found;
}

TEST_F(map, fdinfo)
{
	char text[4096], expected[64], path[64], link[64] = "";
	struct ipm_info info;
	int fd;

	ASSERT_EQ(0, call_info(self->fd, &info));
	snprintf(expected, sizeof(expected), "%u", info.ref.id);
	EXPECT_STREQ(expected, fdinfo(self->fd, "id", text, sizeof(text)) ?: "nothing");
	snprintf(expected, sizeof(expected), "%llu", info.size);
	EXPECT_STREQ(expected, fdinfo(self->fd, "size", text, sizeof(text)) ?: "nothing");
	snprintf(expected, sizeof(expected), "%llu", info.capacity);
	EXPECT_STREQ(expected, fdinfo(self->fd, "capacity", text, sizeof(text)) ?: "nothing");
	EXPECT_STREQ(NAME, fdinfo(self->fd, "name", text, sizeof(text)) ?: "nothing");

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	ASSERT_LT(0, readlink(path, link, sizeof(link) - 1));
	EXPECT_NE(NULL, strstr(link, "ipm"));

	/* A name cannot forge lines. */
	fd = make_named(self->dev, "two\nid:\t77\nsize:\t5", PAGE, 0);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &info));
	snprintf(expected, sizeof(expected), "%u", info.ref.id);
	EXPECT_STREQ(expected, fdinfo(fd, "id", text, sizeof(text)) ?: "several");
	EXPECT_STREQ("4096", fdinfo(fd, "size", text, sizeof(text)) ?: "several");
	close(fd);
	EXPECT_NE(NULL, fdinfo(self->reader, "id", text, sizeof(text)));
}

TEST_HARNESS_MAIN
