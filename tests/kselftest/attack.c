// SPDX-License-Identifier: GPL-2.0
/*
 * What somebody without rights can try who may open /dev/ipm, and perhaps was
 * handed a read-only handle: to write, to disturb the claims and the events of
 * others, to read what the kernel or another user left in memory, to use up
 * what there is, and to be taken for a process that is dead.
 *
 * The simplest ways of writing are in map.c, who may open what is in
 * permission.c, namespaces are in namespace.c.
 */
#include "ipm_test.h"

#include <linux/futex.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define NAME		"test-attack"
#define SIZE		(2 * PAGE)
#define CAPACITY	(16 * PAGE)
#define ATTACKER	4001
#define VICTIM		4002

FIXTURE(attack)
{
	struct counts before;
	int dev;
	int fd;		/* the owner's */
	int reader;	/* what the attacker was handed */
	char *map;	/* the owner's */
	char *mine;	/* the attacker's */
};

FIXTURE_SETUP(attack)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_named(self->dev, NAME, SIZE, CAPACITY);
	ASSERT_FD(self->fd);
	self->reader = call_reopen(self->fd, IPM_READ_ONLY);
	ASSERT_FD(self->reader);
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(self->map);
	memset(self->map, 'o', SIZE);
	self->mine = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->reader, 0);
	ASSERT_MAPPED(self->mine);
}

FIXTURE_TEARDOWN(attack)
{
	for (size_t i = 0; i < SIZE; i++) {
		if (self->map[i] != 'o') {
			EXPECT_EQ('o', self->map[i]);
			break;
		}
	}
	munmap(self->map, SIZE);
	munmap(self->mine, SIZE);
	close(self->reader);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

/*
 * The process is the attacker from now on. It may still look at itself, and has what
 * it was handed; what the owner has open beside that is not used any more.
 */
static int be_the_attacker(void)
{
	int ret = become(ATTACKER, ATTACKER);

	return ret || !prctl(PR_SET_DUMPABLE, 1) ? ret : -errno;
}

#define EXPECT_REFUSED(error, call)             \
	do {                                    \
		errno = 0;                      \
		EXPECT_EQ(-1, (long)(call));    \
		EXPECT_EQ(error, errno);        \
	} while (0)

/* --- to write --- */

/* Its pages go into a pipe; what is written to the pipe does not go into its pages. */
TEST_F(attack, pages_in_a_pipe)
{
	struct iovec part = { self->mine, 100 };
	char text[100];
	int pipes[2];

	ASSERT_EQ(0, be_the_attacker());
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	ASSERT_EQ(100, vmsplice(pipes[1], &part, 1, 0));
	ASSERT_EQ(10, write(pipes[1], "xxxxxxxxxx", 10));
	ASSERT_EQ(100, read(pipes[0], text, 100));
	EXPECT_EQ('o', text[99]);
	/* As a gift, too. */
	part = (struct iovec) { self->mine, PAGE };
	if (vmsplice(pipes[1], &part, 1, SPLICE_F_GIFT) > 0)
		ASSERT_LE(0, write(pipes[1], "xxxxxxxxxx", 10));
	close(pipes[0]);
	close(pipes[1]);
}

/* Neither file of a handle takes data by any way that moves it between files. */
TEST_F(attack, data_into_the_file)
{
	int pipes[2], zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	const int fds[] = { self->fd, self->reader };

	ASSERT_FD(zero);
	ASSERT_EQ(0, be_the_attacker());
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	ASSERT_EQ(4, write(pipes[1], "xxxx", 4));
	for (int i = 0; i < 2; i++) {
		struct iovec part = { "xxxx", 4 };

		/* A reader's is refused for that; the owner's has no such operation. */
		const int error = fds[i] == self->reader ? EBADF : EINVAL;

		EXPECT_REFUSED(error, splice(pipes[0], NULL, fds[i], NULL, 4, 0));
		EXPECT_REFUSED(error, sendfile(fds[i], zero, NULL, 4));
		EXPECT_REFUSED(error, write(fds[i], "xxxx", 4));
		EXPECT_REFUSED(ESPIPE, pwrite(fds[i], "xxxx", 4, 0));
		EXPECT_REFUSED(ESPIPE, pwritev2(fds[i], &part, 1, 0, 0));
		EXPECT_REFUSED(EINVAL, copy_file_range(zero, NULL, fds[i], NULL, 4, 0));
		EXPECT_REFUSED(EINVAL, splice(fds[i], NULL, pipes[1], NULL, 4, 0));
	}
	close(zero);
	close(pipes[0]);
	close(pipes[1]);
}

/* The kernel is asked to write there on one's behalf. */
TEST_F(attack, kernel_writes)
{
	struct timespec *time = (void *)self->mine;
	uint32_t word = 0;
	int fds[2];

	ASSERT_EQ(0, be_the_attacker());
	EXPECT_REFUSED(EFAULT, pipe((int *)self->mine));
	EXPECT_REFUSED(EFAULT, syscall(SYS_clock_gettime, CLOCK_BOOTTIME, time));
	EXPECT_REFUSED(EFAULT, syscall(SYS_futex, &word, FUTEX_WAKE_OP, 1, 1, self->mine,
				       FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 0)));
	EXPECT_REFUSED(EFAULT, syscall(SYS_futex, self->mine, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	ASSERT_EQ(4, send(fds[0], "xxxx", 4, 0));
	EXPECT_REFUSED(EFAULT, recv(fds[1], self->mine, 4, 0));
	close(fds[0]);
	close(fds[1]);
	/* By the module itself. */
	EXPECT_REFUSED(EINVAL, ioctl(self->dev, IPM_IOC_LIMITS, self->mine));
	EXPECT_REFUSED(EINVAL, read(self->reader, self->mine, sizeof(struct ipm_event) - 1));
}

/* The module's own results, where the argument that is read before is good. */
TEST_F(attack, results_into_the_pages)
{
	struct ipm_limits limits = {};
	struct ipm_doubt doubt = { .ranges = (uintptr_t)self->mine, .nr_ranges = 1 };
	struct ipm_subscribe hear = { .events = IPM_HEAR_CHANGED };

	/* The owner writes what would be a good argument, and takes it away again. */
	memcpy(self->map, &limits, sizeof(limits));
	ASSERT_EQ(0, call_subscribe(self->reader, 0, hear.events));
	ASSERT_EQ(0, call_grow(self->fd, SIZE + 1, 0));
	ASSERT_EQ(0, IN_CHILD({ CHECK(0, call_claim(self->fd, 0, 10, WRITE, 0, NULL)); }));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, be_the_attacker());
		CHECK(-1, ioctl(self->dev, IPM_IOC_LIMITS, self->mine));
		CHECK(EFAULT, errno);
		CHECK(-1, ioctl(self->reader, IPM_IOC_DOUBT, &doubt));
		CHECK(EFAULT, errno);
		CHECK(-1, read(self->reader, self->mine, sizeof(struct ipm_event)));
		CHECK(EFAULT, errno);
	}));
	for (size_t i = 0; i < sizeof(limits); i++)
		ASSERT_EQ(0, self->map[i]);
	memset(self->map, 'o', sizeof(limits));
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

TEST_F(attack, advice)
{
	static const int advice[] = {
		MADV_POPULATE_WRITE, MADV_REMOVE, MADV_FREE, MADV_DONTNEED, MADV_HUGEPAGE,
		MADV_MERGEABLE, MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED,
	};

	ASSERT_EQ(0, be_the_attacker());
	EXPECT_REFUSED(EINVAL, madvise(self->mine, SIZE, MADV_POPULATE_WRITE));
	EXPECT_REFUSED(EACCES, madvise(self->mine, SIZE, MADV_REMOVE));
	for (size_t i = 0; i < ARRAY_LENGTH(advice); i++) {
		madvise(self->mine, SIZE, advice[i]);
		EXPECT_EQ('o', *(volatile char *)self->mine);
		EXPECT_EQ('o', self->map[SIZE - 1]);
	}
}

/* Pages that are registered with io_uring are pinned for writing. */
TEST_F(attack, io_uring)
{
	struct io_uring_params params = {};
	struct iovec part = { self->mine, PAGE };
	int ring;

	ASSERT_EQ(0, be_the_attacker());
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		SKIP(return, "io_uring: %s", strerror(errno));
	EXPECT_REFUSED(EFAULT, syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &part,
				       1));
	close(ring);
}

/* A parent that traces its child, or writes to its memory, forces nothing either. */
TEST_F(attack, traced_child)
{
	char path[64], byte = 'x';
	struct iovec local = { &byte, 1 }, remote = { self->mine, 1 };
	int status, mem;
	pid_t child;

	ASSERT_EQ(0, be_the_attacker());
	child = fork();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ('o', (char)ptrace(PTRACE_PEEKDATA, child, self->mine, NULL));
	EXPECT_REFUSED(EIO, ptrace(PTRACE_POKEDATA, child, self->mine, NULL));
	EXPECT_REFUSED(EFAULT, process_vm_writev(child, &local, 1, &remote, 1, 0));
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	mem = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_FD(mem);
	EXPECT_REFUSED(EIO, pwrite(mem, "x", 1, (uintptr_t)self->mine));
	close(mem);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A number that names the file again, in another table or by another name. */
TEST_F(attack, the_file_again)
{
	char path[64], link[64];
	int pid, again;

	ASSERT_EQ(0, be_the_attacker());
	pid = syscall(SYS_pidfd_open, getpid(), 0);
	ASSERT_FD(pid);
	again = syscall(SYS_pidfd_getfd, pid, self->reader, 0);
	ASSERT_FD(again);
	EXPECT_EQ(-EBADF, call_grow(again, CAPACITY, 0));
	EXPECT_EQ(-EACCES, call_reopen(again, IPM_READ_WRITE));
	EXPECT_REFUSED(EACCES, mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, again, 0));
	close(again);
	close(pid);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), self->reader);
	ASSERT_LT(0, readlink(path, link, sizeof(link)));
	/* Its mode is for root only, and it would not open for root: ENXIO. */
	for (int flags = O_RDONLY; flags <= O_RDWR; flags++)
		EXPECT_REFUSED(EACCES, open(path, flags | O_CLOEXEC));
	again = open(path, O_PATH | O_CLOEXEC);
	ASSERT_FD(again);
	EXPECT_REFUSED(EBADF, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, again, 0));
	EXPECT_REFUSED(EBADF, ioctl(again, IPM_IOC_RELEASE_ALL, link));
	EXPECT_REFUSED(ENOENT, openat(again, "", O_RDWR));
	close(again);
	EXPECT_REFUSED(ENOENT, linkat(self->reader, "", AT_FDCWD, "/tmp/ipm-attack",
				      AT_EMPTY_PATH));
	EXPECT_REFUSED(EXDEV, linkat(AT_FDCWD, path, AT_FDCWD, "/tmp/ipm-attack",
				     AT_SYMLINK_FOLLOW));
	/* Newer kernels take the inode for a file, whose mode is for root only. */
	EXPECT_EQ(-1, truncate(path, 0));
	EXPECT_TRUE(errno == EINVAL || errno == EACCES);
}

/* The program that a read-only handle is handed to by exec. */
static int after_exec(int fd)
{
	char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED || map[0] != 'o')
		return 1;
	if (mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED ||
	    errno != EACCES)
		return 2;
	if (!mprotect(map, PAGE, PROT_READ | PROT_WRITE) || errno != EACCES)
		return 3;
	if (call_reopen(fd, IPM_READ_WRITE) != -EACCES)
		return 4;
	if (call_grow(fd, CAPACITY, 0) != -EBADF)
		return 5;
	if (getuid() != ATTACKER)
		return 6;
	return 0;
}

TEST_F(attack, exec)
{
	char number[16];
	int fd = call_open_or_reopen(self->fd, IPM_IOC_REOPEN, ref_none(), IPM_OPEN_NO_CLOEXEC,
				     IPM_READ_ONLY, NULL);

	ASSERT_FD(fd);
	snprintf(number, sizeof(number), "%d", fd);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(ATTACKER, ATTACKER));
		setenv("IPM_AFTER_EXEC", number, 1);
		execl("/proc/self/exe", "attack", (char *)NULL);
		_exit(100);
	}));
	close(fd);
}

/* --- to disturb --- */

/* Ids of claims are numbers that anybody can guess. They mean nothing to another handle. */
TEST_F(attack, guessed_claims)
{
	struct ipm_info before, after;
	struct actor waiter;
	uint64_t id;
	int other = call_reopen(self->fd, IPM_READ_WRITE);

	ASSERT_FD(other);
	ASSERT_EQ(0, actor_start(&waiter, true));
	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, &id));
	ASSERT_WAITS(&waiter, other, 0, 10, READ, 1);
	ASSERT_EQ(0, call_claim(other, 100, 10, WRITE, IPM_CLAIM_ASYNC, NULL));
	ASSERT_EQ(0, call_info(self->fd, &before));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(ATTACKER, ATTACKER));
		for (uint64_t guess = 0; guess < 1000; guess++) {
			struct ipm_claim arg = claim_arg(500, 1, READ, 0);

			arg.release = (uintptr_t)&guess;
			arg.nr_release = 1;
			CHECK(-ENOENT, call_release(self->reader, guess));
			CHECK(-ENOENT, call_collect(self->reader, guess, NULL));
			CHECK(-ENOENT, call_convert(self->reader, guess, READ, 0, 0, NULL));
			CHECK(-ENOENT, call_claim_arg(self->reader, &arg));
		}
		CHECK(0, call_release_all(self->reader));
		CHECK(-EPERM, call_clear_claims(self->reader));
		CHECK(-EBADF, call_recovered(self->reader, 0, 10));
	}));
	ASSERT_EQ(0, call_info(self->fd, &after));
	/* The child had our mappings, and they ended with it. */
	after.attach_time = before.attach_time;
	after.detach_time = before.detach_time;
	after.last_pid = before.last_pid;
	ASSERT_EQ(0, memcmp(&before, &after, sizeof(after)));
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_GRANTED(&waiter, IPM_GRANT_WAITED, &id);
	actor_stop(&waiter);
	close(other);
}

/* A reader gets none of the others' events, rings none of their bells, ends none of their slots. */
TEST_F(attack, events_of_others)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE);
	uint32_t slot, generation;
	struct ipm_event event;

	ASSERT_EQ(0, call_subscribe(self->fd, ~0ULL, IPM_HEAR_DEATH | IPM_HEAR_CHANGED));
	ASSERT_EQ(0, call_slot(self->fd, 0, &slot, &generation));
	ASSERT_EQ(0, call_ring(other, 6, 0, 0));
	ASSERT_EQ(0, fcntl(self->reader, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(ATTACKER, ATTACKER));
		CHECK(-1, read(self->reader, &event, sizeof(event)));
		CHECK(EAGAIN, errno);
		CHECK(-EBADF, call_ring(self->reader, 1, 0, 0));
		CHECK(-EBADF, call_slot(self->reader, 0, NULL, NULL));
		CHECK(-EBADF, call_reap(self->reader, slot, generation));
		CHECK(0, call_subscribe(self->reader, ~0ULL, IPM_HEAR_DEATH));
		CHECK(0, call_subscribe(self->reader, 0, 0));
	}));
	memset(&event, POISON, sizeof(event));
	ASSERT_EQ(sizeof(event), read(self->fd, &event, sizeof(event)));
	EXPECT_EQ(IPM_EVENT_BELL, event.type);
	EXPECT_EQ(6, event.cookie);
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_REFUSED(EAGAIN, read(self->fd, &event, sizeof(event)));
	ASSERT_EQ(0, call_slot(self->fd, IPM_SLOT_GIVE, NULL, NULL));
	close(other);
}

/* What others do with the segment is not told to who may not look at them. */
TEST_F(attack, fdinfo_of_others)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getpid(), self->fd);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(ATTACKER, ATTACKER));
		CHECK(-1, open(path, O_RDONLY));
		CHECK(EACCES, errno);
	}));
}

/* Root in a namespace of one's own, and the parameters of the module. */
TEST_F(attack, parameters)
{
	static const char *const names[] = {
		"max_segments", "max_handles", "max_claims", "max_bytes",
	};
	int status = IN_CHILD({
		char path[200];

		CHECK(0, become(ATTACKER, ATTACKER));
		for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
			snprintf(path, sizeof(path), PARAMETERS "%s", names[i]);
			CHECK(-EACCES, write_text(path, "1"));
		}
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(77);
		for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
			snprintf(path, sizeof(path), PARAMETERS "%s", names[i]);
			CHECK(-EACCES, write_text(path, "1"));
		}
	});

	if (WEXITSTATUS(status) == 77)
		SKIP(return, "users may not make namespaces here");
	ASSERT_EQ(0, status);
}

/* --- to read what was left --- */

/* Pages of a new segment, and those that it grows by, are zero, whatever was there before. */
TEST_F(attack, pages_of_others)
{
	enum { PAGES = 512 };
	int fd = make_private(self->dev, PAGES * PAGE, PAGES * PAGE);
	char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_MAPPED(map);
	memset(map, POISON, PAGES * PAGE);
	munmap(map, PAGES * PAGE);
	close(fd);
	ASSERT_EQ(0, IN_CHILD({
		uint64_t *words;

		CHECK(0, become(ATTACKER, ATTACKER));
		fd = call_create(self->dev, ref_none(), PAGE, PAGES * PAGE, IPM_CREATE_PREALLOCATE,
				 IPM_READ_WRITE, 0600, NULL);
		CHECK(1, fd >= 0);
		CHECK(0, call_grow(fd, PAGES * PAGE, 0));
		words = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
		CHECK(1, words != MAP_FAILED);
		for (size_t i = 0; i < PAGES * PAGE / sizeof(*words); i++)
			CHECK(0, words[i]);
	}));
}

/* Of the status page all that has no meaning is zero. */
TEST_F(attack, rest_of_the_status_page)
{
	const uint8_t *page;
	uint32_t slot, generation;

	ASSERT_EQ(0, call_slot(self->fd, 0, &slot, &generation));
	page = mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ, MAP_SHARED, self->reader,
		    IPM_STATUS_OFFSET);
	ASSERT_MAPPED(page);
	for (size_t i = sizeof(struct ipm_status); i < IPM_STATUS_SLOTS; i++)
		ASSERT_EQ(0, page[i]);
	for (size_t i = 0; i < sizeof(((struct ipm_status *)0)->reserved); i++)
		ASSERT_EQ(0, page[offsetof(struct ipm_status, reserved) + i]);
	for (size_t i = IPM_STATUS_SLOTS + 4 * (slot + 1); i < IPM_STATUS_SLOTS_SIZE; i++)
		ASSERT_EQ(0, page[i]);
	munmap((void *)page, IPM_STATUS_SLOTS_SIZE);
	ASSERT_EQ(0, call_slot(self->fd, IPM_SLOT_GIVE, NULL, NULL));
}

/* Nothing is written beside what is returned: behind events, behind a list, behind a structure. */
TEST_F(attack, tails)
{
	struct ipm_event events[3];
	struct ipm_doubt_range list[3];
	struct ipm_doubt doubt = { .ranges = (uintptr_t)list, .nr_ranges = 3 };
	struct { struct ipm_version version; uint8_t tail[64]; } longer;
	const uint8_t *bytes;

	ASSERT_EQ(0, IN_CHILD({ CHECK(0, call_claim(self->fd, 0, 10, WRITE, 0, NULL)); }));
	memset(list, POISON, sizeof(list));
	ASSERT_EQ(0, checked_ioctl(self->fd, IPM_IOC_DOUBT, &doubt));
	ASSERT_EQ(1, doubt.nr_ranges);
	bytes = (void *)&list[1];
	for (size_t i = 0; i < 2 * sizeof(list[0]); i++)
		ASSERT_EQ(POISON, bytes[i]);

	ASSERT_EQ(0, call_subscribe(self->fd, 0, IPM_HEAR_CHANGED));
	ASSERT_EQ(0, call_grow(self->fd, SIZE + 1, 0));
	memset(events, POISON, sizeof(events));
	ASSERT_EQ(sizeof(events[0]), read(self->fd, events, sizeof(events)));
	EXPECT_EQ(IPM_EVENT_CHANGED, events[0].type);
	EXPECT_EQ(0, events[0].error);
	EXPECT_EQ(0, events[0].id);
	EXPECT_EQ(0, events[0].cookie);
	EXPECT_EQ(0, events[0].result);
	EXPECT_EQ(0, events[0].reserved);
	bytes = (void *)&events[1];
	for (size_t i = 0; i < 2 * sizeof(events[0]); i++)
		ASSERT_EQ(POISON, bytes[i]);

	/* A caller's longer structure ends in zeros, and they stay. */
	memset(&longer, POISON, sizeof(longer));
	longer.version.flags = 0;
	longer.version.reserved = 0;
	memset(longer.tail, 0, sizeof(longer.tail));
	ASSERT_EQ(0, ioctl(self->dev, _IOC(_IOC_READ | _IOC_WRITE, IPM_IOC_MAGIC, 0, sizeof(longer)),
			   &longer));
	for (size_t i = 0; i < sizeof(longer.tail); i++)
		ASSERT_EQ(0, longer.tail[i]);
	for (size_t i = strlen(longer.version.release); i < sizeof(longer.version.release); i++)
		ASSERT_EQ(0, longer.version.release[i]);
}

/* --- to use up --- */

static void limit_everybody(const char *name, const char *value, char *former, size_t size)
{
	char path[200];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	if (former)
		read_text(path, former, size);
	write_text(path, value);
}

/* One user has all that he may have, of everything; another goes on as if he were not there. */
TEST_F_TIMEOUT(attack, one_takes_all, 120)
{
	static const struct { const char *name, *value; } limits[] = {
		{ "max_segments", "300" }, { "max_handles", "1500" }, { "max_claims", "2000" },
		{ "max_bytes", "16777216" },
	};
	char former[4][32], byte = 0;
	int full[2], done[2], status;
	struct rlimit files = { 8192, 8192 };
	pid_t attacker;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	for (int i = 0; i < 4; i++)
		limit_everybody(limits[i].name, limits[i].value, former[i], sizeof(former[i]));
	ASSERT_EQ(0, pipe(full));
	ASSERT_EQ(0, pipe(done));
	attacker = fork();
	if (!attacker) {
		int fd = -1;
		int got, n;
		struct ipm_limits have;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(done[1]);
		CHECK(0, become(ATTACKER, ATTACKER));
		for (n = 0; (got = make_private(self->dev, PAGE, PAGE)) >= 0; n++)
			fd = got;
		CHECK(300, n);
		CHECK(-ENOSPC, got);
		/* Handles, each with a slot, a subscription and claims that wait. */
		CHECK(0, call_claim(fd, 0, 1, WRITE, 0, NULL));
		while ((got = call_reopen(fd, IPM_READ_WRITE)) >= 0) {
			call_slot(got, 0, NULL, NULL);
			call_subscribe(got, ~0ULL, IPM_HEAR_DEATH | IPM_HEAR_CHANGED);
			call_claim(got, 0, 1, WRITE, IPM_CLAIM_ASYNC, NULL);
		}
		CHECK(-ENOSPC, got);
		for (n = 0; !(got = call_claim(fd, 0, 1, READ, 0, NULL)); n++)
			;
		CHECK(-ENOSPC, got);
		/* Ids that only he could hold are not to be had; names neither. */
		CHECK(-ENOSPC, make_named(self->dev, "test-attack-more", PAGE, PAGE));
		CHECK(0, call_limits(self->dev, &have));
		CHECK(300, have.segments);
		CHECK(1500, have.handles);
		CHECK(2000, have.claims);
		CHECK(1, write(full[1], &byte, 1));
		CHECK(0, read(done[0], &byte, 1));
		_exit(0);
	}
	close(full[1]);
	close(done[0]);
	ASSERT_EQ(1, read(full[0], &byte, 1));
	ASSERT_EQ(0, IN_CHILD({
		struct ipm_event event;
		struct ipm_limits have;
		char *map;
		int fd;
		int other;
		uint64_t id;

		CHECK(0, become(VICTIM, VICTIM));
		fd = make_named(self->dev, "test-attack-victim", PAGE, 4 * PAGE);
		CHECK(1, fd >= 0);
		other = call_open(self->dev, ref_name("test-attack-victim"), IPM_READ_WRITE);
		CHECK(1, other >= 0);
		map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(1, map != MAP_FAILED);
		CHECK(0, call_grow(fd, 4 * PAGE, IPM_GROW_PREALLOCATE));
		map[4 * PAGE - 1] = 1;
		CHECK(0, call_claim(fd, 0, 10, WRITE, 0, &id));
		CHECK(0, call_claim(other, 0, 10, WRITE, IPM_CLAIM_ASYNC, NULL));
		CHECK(0, call_release(fd, id));
		CHECK(sizeof(event), read(other, &event, sizeof(event)));
		CHECK(IPM_EVENT_CLAIM, event.type);
		CHECK(0, call_slot(fd, 0, NULL, NULL));
		CHECK(0, call_subscribe(fd, 1, 0));
		CHECK(0, call_ring(other, 1, 0, 0));
		CHECK(sizeof(event), read(fd, &event, sizeof(event)));
		CHECK(IPM_EVENT_BELL, event.type);
		CHECK(0, call_limits(self->dev, &have));
		CHECK(1, have.segments);
		CHECK(2, have.handles);
		CHECK(1, have.claims);
		CHECK(4 * PAGE, have.bytes);
	}));
	/* And his death gives all of it back. */
	ASSERT_EQ(0, kill(attacker, SIGKILL));
	ASSERT_EQ(attacker, waitpid(attacker, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_USE(self->fd, 2, 2, 0, 0, 0);
	ASSERT_EQ(0, IN_CHILD({
		struct ipm_limits have;

		CHECK(0, become(ATTACKER, ATTACKER));
		CHECK(1, wait_until(!call_limits(self->dev, &have) && !have.segments &&
				    !have.handles && !have.claims && !have.bytes));
	}));
	for (int i = 0; i < 4; i++)
		limit_everybody(limits[i].name, former[i], NULL, 0);
	close(full[0]);
	close(done[1]);
}

/* --- to be taken for another --- */

/*
 * A process that shares its table of files with another dies without the kernel
 * closing them: its claim and its slot stay with its number. Another process gets
 * the same number. It is not the one that took them.
 */
TEST_F(attack, number_of_a_dead_process)
{
	int pipes[2], status, fd = call_reopen(self->fd, IPM_READ_WRITE);
	struct ipm_doubt_range list[2];
	uint64_t id[2] = {};
	pid_t dead, next;

	ASSERT_FD(fd);
	ASSERT_EQ(0, pipe(pipes));
	dead = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	ASSERT_LE(0, dead);
	if (!dead) {
		CHECK(0, call_claim(fd, 0, 10, WRITE, 0, &id[0]));
		CHECK(0, call_slot(fd, 0, NULL, NULL));
		CHECK(sizeof(id[0]), write(pipes[1], &id[0], sizeof(id[0])));
		syscall(SYS_exit_group, 0);
	}
	ASSERT_EQ(dead, waitpid(dead, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(sizeof(id[0]), read(pipes[0], &id[0], sizeof(id[0])));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);

	next = fork_with_pid(dead);
	if (next < 0) {
		close(fd);
		SKIP(return, "a process with a number of one's choice: %s", strerror(errno));
	}
	if (!next) {
		CHECK(dead, getpid());
		CHECK(-EBUSY, call_slot(fd, 0, NULL, NULL));
		CHECK(-EBUSY, call_slot(fd, IPM_SLOT_GIVE, NULL, NULL));
		CHECK(0, call_claim(fd, 100, 10, WRITE, 0, &id[1]));
		/* It dies with a claim of its own, and only that is in doubt. */
		_exit(0);
	}
	ASSERT_EQ(next, waitpid(next, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_CLAIMS(self->fd, 1, 0, 1);
	ASSERT_EQ(1, call_doubt(self->fd, 0, 0, list, 2));
	ASSERT_EQ(100, list[0].offset);
	/* It went to another process, and this one has the handle: it may release. */
	ASSERT_EQ(0, call_release(fd, id[0]));
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

/*
 * Threads wait for each other by what they are, not by their numbers: who has that of
 * the dead one that took what he waits for does not wait for himself.
 */
TEST_F(attack, waits_for_a_dead_number)
{
	int pipes[2], status, fd = call_reopen(self->fd, IPM_READ_WRITE);
	int other = call_reopen(self->fd, IPM_READ_WRITE);
	uint64_t id[2];
	pid_t dead, next;

	ASSERT_FD(fd);
	ASSERT_FD(other);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	dead = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	ASSERT_LE(0, dead);
	if (!dead) {
		CHECK(0, call_claim(fd, 0, 10, WRITE, 0, &id[0]));
		CHECK(sizeof(id[0]), write(pipes[1], &id[0], sizeof(id[0])));
		syscall(SYS_exit_group, 0);
	}
	ASSERT_EQ(dead, waitpid(dead, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(sizeof(id[0]), read(pipes[0], &id[0], sizeof(id[0])));
	next = fork_with_pid(dead);
	if (next < 0) {
		close(fd);
		close(other);
		SKIP(return, "a process with a number of one's choice: %s", strerror(errno));
	}
	if (!next) {
		CHECK(dead, getpid());
		/* Of the handle that the dead one had, it would be its own. */
		CHECK(0, call_claim(other, 0, 10, WRITE, 0, &id[1]));
		CHECK(0, call_release(other, id[1]));
		_exit(0);
	}
	EXPECT_TRUE(wait_until(count_waiters(self->fd) == 1));
	ASSERT_EQ(0, call_release(fd, id[0]));
	ASSERT_EQ(next, waitpid(next, &status, 0));
	ASSERT_EQ(0, status);
	close(fd);
	close(other);
	close(pipes[0]);
	close(pipes[1]);
}

/* What two left who had the same number are two deaths and two ranges, side by side. */
TEST_F(attack, doubts_of_one_number)
{
	struct ipm_doubt_range list[3];
	struct ipm_info info;
	pid_t dead, next;
	int status;

	dead = fork();
	ASSERT_LE(0, dead);
	if (!dead) {
		CHECK(0, call_claim(self->fd, 0, 10, WRITE, 0, NULL));
		_exit(0);
	}
	ASSERT_EQ(dead, waitpid(dead, &status, 0));
	ASSERT_EQ(0, status);
	next = fork_with_pid(dead);
	if (next < 0)
		SKIP(return, "a process with a number of one's choice: %s", strerror(errno));
	if (!next) {
		CHECK(dead, getpid());
		CHECK(0, call_claim(self->fd, 10, 10, WRITE, 0, NULL));
		_exit(0);
	}
	ASSERT_EQ(next, waitpid(next, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(2, call_doubt(self->fd, 0, 0, list, 3));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(10 * (unsigned int)i, list[i].offset);
		EXPECT_EQ(10, list[i].length);
		EXPECT_EQ(dead, list[i].pid);
		EXPECT_EQ(0, list[i].flags);
	}
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(2, info.deaths);
}

static void __attribute__((constructor)) maybe_after_exec(void)
{
	const char *fd = getenv("IPM_AFTER_EXEC");

	if (fd)
		_exit(after_exec(atoi(fd)));
}

TEST_HARNESS_MAIN
