// SPDX-License-Identifier: GPL-2.0
/*
 * The SysV view, beside the system's own calls: each test runs on both, so what
 * it expects is what the kernel does.
 */
#include "ipm_test.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include <ipm/ipm.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

#define KEY	0x1f00ba5
#define BAD	((void *)-1)
#define NOBODY	65534

/* The time to the moment; time() may be a tick behind. */
static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static int system_get(int32_t key, size_t size, int flags)
{
	return shmget(key, size, flags);
}

FIXTURE(sysv)
{
	struct counts before;
	int (*get)(int32_t key, size_t size, int flags);
	void *(*at)(int id, const void *address, int flags);
	int (*dt)(const void *address);
	int (*ctl)(int id, int cmd, struct shmid_ds *buf);
};

FIXTURE_VARIANT(sysv)
{
	bool ipm;
};

FIXTURE_VARIANT_ADD(sysv, system) { .ipm = false };
FIXTURE_VARIANT_ADD(sysv, ipm) { .ipm = true };

FIXTURE_SETUP(sysv)
{
	struct shmid_ds ds;

	self->before = read_counts();
	self->get = variant->ipm ? ipm_shmget : system_get;
	self->at = variant->ipm ? ipm_shmat : shmat;
	self->dt = variant->ipm ? ipm_shmdt : shmdt;
	self->ctl = variant->ipm ? ipm_shmctl : shmctl;
	if (!variant->ipm && shmctl(0, SHM_INFO, &ds) < 0 && errno == ENOSYS)
		SKIP(return, "this kernel has no System V shared memory of its own");
}

FIXTURE_TEARDOWN(sysv)
{
	EXPECT_COUNTS_SOON(self->before);
}

/* The call fails with this errno. */
#define ASSERT_ERRNO(error, call)                                       \
	do {                                                            \
		errno = 0;                                              \
		ASSERT_EQ(-1, (long)(call));                            \
		ASSERT_EQ(error, errno) note("%s", #call);              \
	} while (0)

#define CHECK_ERRNO(error, call)                                        \
	do {                                                            \
		errno = 0;                                              \
		CHECK(-1, (long)(call));                                \
		CHECK(error, errno);                                    \
	} while (0)

#define ASSERT_NATTCH(id, n)                                            \
	do {                                                            \
		struct shmid_ds ds_;                                    \
		ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds_));            \
		ASSERT_EQ((shmatt_t)(n), ds_.shm_nattch);               \
	} while (0)

TEST_F(sysv, get)
{
	int id, other;

	ASSERT_ERRNO(ENOENT, self->get(KEY, 0, 0));
	ASSERT_ERRNO(ENOENT, self->get(KEY, 100, IPC_EXCL | 0600));
	ASSERT_ERRNO(EINVAL, self->get(KEY, 0, IPC_CREAT | 0600));
	ASSERT_ERRNO(EINVAL, self->get(KEY, 0, IPC_CREAT | IPC_EXCL | 0600));
	ASSERT_ERRNO(EINVAL, self->get(IPC_PRIVATE, 0, 0600));
	/* In 32 bits, it is a size that there may be. */
	if (sizeof(size_t) == 8) {
		ASSERT_ERRNO(EINVAL, self->get(KEY, SIZE_MAX, IPC_CREAT | 0600));
		ASSERT_ERRNO(EINVAL, self->get(IPC_PRIVATE, SIZE_MAX, 0600));
	}

	id = self->get(KEY, 5000, IPC_CREAT | IPC_EXCL | 0600);
	ASSERT_LE(0, id);
	ASSERT_EQ(id, self->get(KEY, 0, 0));
	ASSERT_EQ(id, self->get(KEY, 0, 0600));
	ASSERT_EQ(id, self->get(KEY, 5000, IPC_CREAT | 0600));
	ASSERT_EQ(id, self->get(KEY, 1, IPC_EXCL));
	ASSERT_ERRNO(EINVAL, self->get(KEY, 5001, 0600));
	/* In 32 bits, it is a size that there may be. */
	if (sizeof(size_t) == 8)
		ASSERT_ERRNO(EINVAL, self->get(KEY, SIZE_MAX, IPC_CREAT | 0600));
	ASSERT_ERRNO(EEXIST, self->get(KEY, 5000, IPC_CREAT | IPC_EXCL | 0600));
	ASSERT_ERRNO(EEXIST, self->get(KEY, 0, IPC_CREAT | IPC_EXCL | 0600));
	ASSERT_ERRNO(EEXIST, self->get(KEY, 6000, IPC_CREAT | IPC_EXCL));

	other = self->get(IPC_PRIVATE, 100, 0600);
	ASSERT_LE(0, other);
	ASSERT_NE(id, other);
	ASSERT_EQ(0, self->ctl(other, IPC_RMID, NULL));
	/* A negative key is a key. */
	other = self->get(-5, 100, IPC_CREAT | 0600);
	ASSERT_LE(0, other);
	ASSERT_EQ(other, self->get(-5, 100, 0600));
	ASSERT_EQ(0, self->ctl(other, IPC_RMID, NULL));
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
	ASSERT_ERRNO(ENOENT, self->get(KEY, 0, 0));
}

/* What a mode lets others do, and what comes first when two things are wrong. */
TEST_F_TIMEOUT(sysv, rights, 120)
{
	static const struct {
		int mode, flags, result;
	} rights[] = {
		{ 0600, 0000, 0 },
		{ 0600, 0400, EACCES },
		{ 0600, 0040, EACCES },
		{ 0604, 0400, 0 },
		{ 0604, 0600, EACCES },
		{ 0604, 0200, EACCES },
		{ 0604, 0002, EACCES },
		{ 0602, 0200, 0 },
		{ 0602, 0400, EACCES },
		{ 0606, 0666, 0 },
		{ 0666, 0600, 0 },
	};
	int id = self->get(KEY, 100, IPC_CREAT | 0600);
	struct shmid_ds ds;

	ASSERT_LE(0, id);
	for (size_t i = 0; i < ARRAY_LENGTH(rights); i++) {
		ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
		ds.shm_perm.mode = rights[i].mode;
		ASSERT_EQ(0, self->ctl(id, IPC_SET, &ds));
		ASSERT_EQ(0, IN_CHILD({
			bool r = rights[i].mode & 4, w = r && rights[i].mode & 2;
			void *map;

			CHECK(0, become(NOBODY, NOBODY));
			if (rights[i].result)
				CHECK_ERRNO(rights[i].result, self->get(KEY, 0, rights[i].flags));
			else
				CHECK(id, self->get(KEY, 0, rights[i].flags));
			CHECK_ERRNO(EINVAL, self->get(KEY, 101, rights[i].flags));
			CHECK_ERRNO(EEXIST, self->get(KEY, 1, IPC_CREAT | IPC_EXCL | 0600));
			map = self->at(id, NULL, SHM_RDONLY);
			CHECK(r, map != BAD);
			CHECK(r ? 0 : EACCES, map == BAD ? errno : self->dt(map));
			map = self->at(id, NULL, 0);
			CHECK(w, map != BAD);
			CHECK(w ? 0 : EACCES, map == BAD ? errno : self->dt(map));
			CHECK(r ? 0 : -1, self->ctl(id, IPC_STAT, &ds));
			CHECK_ERRNO(EPERM, self->ctl(id, IPC_SET, &ds));
			CHECK_ERRNO(EPERM, self->ctl(id, IPC_RMID, NULL));
			if (!r)
				CHECK_ERRNO(EACCES, self->ctl(id, IPC_STAT, &ds));
		}));
	}
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
}

/* The owner may not read, but may change that. */
TEST_F(sysv, owner_of_what_nobody_may_read)
{
	ASSERT_EQ(0, IN_CHILD({
		struct shmid_ds ds = { .shm_perm = { .uid = NOBODY, .gid = NOBODY, .mode = 0400 } };
		int id;

		CHECK(0, become(NOBODY, NOBODY));
		id = self->get(IPC_PRIVATE, 100, 0);
		CHECK(1, id >= 0);
		CHECK_ERRNO(EACCES, self->ctl(id, IPC_STAT, &ds));
		CHECK_ERRNO(EACCES, self->at(id, NULL, SHM_RDONLY));
		ds = (struct shmid_ds) { .shm_perm = { .uid = NOBODY, .gid = NOBODY, .mode = 0400 } };
		CHECK(0, self->ctl(id, IPC_SET, &ds));
		CHECK(0, self->ctl(id, IPC_STAT, &ds));
		CHECK(0400, ds.shm_perm.mode);
		CHECK(0, self->ctl(id, IPC_RMID, NULL));
	}));
}

TEST_F(sysv, what_stat_tells)
{
	time_t begin = time(NULL), attached;
	struct shmid_ds ds, set;
	pid_t child;
	void *map;
	int id;

	id = self->get(KEY, 5000, IPC_CREAT | 0640);
	ASSERT_LE(0, id);
	memset(&ds, POISON, sizeof(ds));
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_EQ(KEY, ds.shm_perm.__key);
	EXPECT_EQ(geteuid(), ds.shm_perm.uid);
	EXPECT_EQ(geteuid(), ds.shm_perm.cuid);
	EXPECT_EQ(getegid(), ds.shm_perm.gid);
	EXPECT_EQ(getegid(), ds.shm_perm.cgid);
	EXPECT_EQ(0640, ds.shm_perm.mode);
	EXPECT_EQ(5000, ds.shm_segsz);
	EXPECT_EQ(0, ds.shm_atime);
	EXPECT_EQ(0, ds.shm_dtime);
	EXPECT_LE(begin, ds.shm_ctime);
	EXPECT_GE(seconds(), ds.shm_ctime);
	EXPECT_EQ(getpid(), ds.shm_cpid);
	EXPECT_EQ(0, ds.shm_lpid);
	EXPECT_EQ(0, ds.shm_nattch);

	attached = time(NULL);
	map = self->at(id, NULL, 0);
	ASSERT_NE(BAD, map);
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_LE(attached, ds.shm_atime);
	EXPECT_GE(seconds(), ds.shm_atime);
	EXPECT_EQ(0, ds.shm_dtime);
	EXPECT_EQ(getpid(), ds.shm_lpid);
	EXPECT_EQ(1, ds.shm_nattch);

	/* A fork attaches in the name of the parent; the end of the child detaches. */
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_EQ(2, ds.shm_nattch);
	EXPECT_EQ(getpid(), ds.shm_lpid);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_EQ(1, ds.shm_nattch);
	EXPECT_EQ(child, ds.shm_lpid);
	EXPECT_LE(attached, ds.shm_dtime);
	EXPECT_GE(seconds(), ds.shm_dtime);

	/* SET takes user, group and nine bits of the mode, and nothing else. */
	memset(&set, POISON, sizeof(set));
	set.shm_perm.uid = NOBODY;
	set.shm_perm.gid = NOBODY - 1;
	set.shm_perm.mode = 0604 | SHM_DEST;
	ASSERT_EQ(0, self->ctl(id, IPC_SET, &set));
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_EQ(NOBODY, ds.shm_perm.uid);
	EXPECT_EQ(NOBODY - 1, ds.shm_perm.gid);
	EXPECT_EQ(geteuid(), ds.shm_perm.cuid);
	EXPECT_EQ(getegid(), ds.shm_perm.cgid);
	EXPECT_EQ(0604, ds.shm_perm.mode);
	EXPECT_EQ(5000, ds.shm_segsz);
	EXPECT_EQ(KEY, ds.shm_perm.__key);
	EXPECT_LE(begin, ds.shm_ctime);
	EXPECT_EQ(1, ds.shm_nattch);

	ASSERT_EQ(0, self->dt(map));
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_EQ(0, ds.shm_nattch);
	EXPECT_EQ(getpid(), ds.shm_lpid);
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
}

TEST_F_TIMEOUT(sysv, attach, 120)
{
	int id = self->get(IPC_PRIVATE, 5000, 0600), status;
	char *one, *two, *place;

	ASSERT_LE(0, id);
	one = self->at(id, NULL, 0);
	ASSERT_NE(BAD, (void *)one);
	ASSERT_EQ(0, (uintptr_t)one % PAGE);
	/* Zeros, and whole pages. */
	ASSERT_EQ(0, one[0] | one[4999] | one[2 * PAGE - 1]);
	one[0] = 'a';
	one[2 * PAGE - 1] = 'z';
	two = self->at(id, NULL, SHM_RDONLY);
	ASSERT_NE(BAD, (void *)two);
	ASSERT_NE(one, two);
	ASSERT_EQ('a', two[0]);
	ASSERT_EQ('z', two[2 * PAGE - 1]);
	ASSERT_NATTCH(id, 2);
	/* Read-only it stays. */
	ASSERT_EQ(-1, mprotect(two, PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(EACCES, errno);
	status = IN_CHILD(signal(SIGSEGV, SIG_DFL); ((volatile char *)two)[0] = 'b');
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(SIGSEGV, WTERMSIG(status));
	ASSERT_EQ(0, self->dt(two));

	/* Where the caller wants it. */
	place = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(place);
	ASSERT_ERRNO(EINVAL, self->at(id, place, 0));
	ASSERT_ERRNO(EINVAL, self->at(id, place + 7 * PAGE, 0));
	ASSERT_EQ(0, munmap(place + 2 * PAGE, 3 * PAGE));
	ASSERT_ERRNO(EINVAL, self->at(id, place + PAGE, 0));
	ASSERT_ERRNO(EINVAL, self->at(id, place + 4 * PAGE, 0));
	ASSERT_ERRNO(EINVAL, self->at(id, place + 2 * PAGE + 1, 0));
	ASSERT_EQ(place + 2 * PAGE, self->at(id, place + 2 * PAGE, 0));
	ASSERT_EQ('a', place[2 * PAGE]);
	ASSERT_EQ(0, self->dt(place + 2 * PAGE));
	ASSERT_EQ(place + 2 * PAGE, self->at(id, place + 2 * PAGE + 1000, SHM_RND));
	ASSERT_EQ(0, self->dt(place + 2 * PAGE));
	/* In the place of something else. */
	ASSERT_ERRNO(EINVAL, self->at(id, NULL, SHM_REMAP));
	ASSERT_ERRNO(EINVAL, self->at(id, (void *)5, SHM_REMAP | SHM_RND));
	ASSERT_ERRNO(sizeof(void *) == 8 ? EINVAL : ENOMEM, self->at(id, (void *)-PAGE, 0));
	ASSERT_EQ(place, self->at(id, place, SHM_REMAP));
	ASSERT_EQ('a', place[0]);
	ASSERT_NATTCH(id, 2);
	ASSERT_EQ(place, self->at(id, place, SHM_REMAP | SHM_RDONLY));
	ASSERT_NATTCH(id, 2);
	ASSERT_EQ(0, self->dt(place));
	ASSERT_EQ(0, munmap(place, 8 * PAGE));

	ASSERT_ERRNO(EINVAL, self->at(-1, NULL, 0));
	ASSERT_ERRNO(EINVAL, self->at(INT32_MAX, NULL, 0));
	ASSERT_ERRNO(EINVAL, self->dt(one + 1));
	ASSERT_ERRNO(EINVAL, self->dt(one + PAGE));
	ASSERT_ERRNO(EINVAL, self->dt(NULL));
	ASSERT_ERRNO(EINVAL, self->dt((void *)-PAGE));
	ASSERT_NATTCH(id, 1);
	ASSERT_EQ(0, self->dt(one));
	ASSERT_ERRNO(EINVAL, self->dt(one));
	ASSERT_NATTCH(id, 0);
	/* Mode 0600 allows nobody to execute, not even root. */
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(NOBODY, NOBODY));
		CHECK_ERRNO(EACCES, self->at(id, NULL, SHM_EXEC));
	}));
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
	ASSERT_ERRNO(EINVAL, self->at(id, NULL, 0));
}

/* A removed segment ends with its last user and can be attached until then. */
TEST_F(sysv, removed)
{
	int id = self->get(KEY, 100, IPC_CREAT | 0600), other;
	struct shmid_ds ds;
	char *map, *again;

	ASSERT_LE(0, id);
	map = self->at(id, NULL, 0);
	ASSERT_NE(BAD, (void *)map);
	map[0] = 'x';
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
	ASSERT_ERRNO(ENOENT, self->get(KEY, 0, 0));
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_EQ(0600 | SHM_DEST, ds.shm_perm.mode);
	EXPECT_EQ(IPC_PRIVATE, ds.shm_perm.__key);
	EXPECT_EQ(1, ds.shm_nattch);
	again = self->at(id, NULL, 0);
	ASSERT_NE(BAD, (void *)again);
	EXPECT_EQ('x', again[0]);
	ASSERT_NATTCH(id, 2);
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
	ds.shm_perm.mode = 0644;
	ASSERT_EQ(0, self->ctl(id, IPC_SET, &ds));
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	EXPECT_EQ(0644 | SHM_DEST, ds.shm_perm.mode);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(NOBODY, NOBODY));
		CHECK_ERRNO(EPERM, self->ctl(id, IPC_RMID, NULL));
	}));

	/* The key leads to another one. */
	other = self->get(KEY, 100, IPC_CREAT | IPC_EXCL | 0600);
	ASSERT_LE(0, other);
	ASSERT_NE(id, other);
	ASSERT_EQ(0, self->ctl(other, IPC_RMID, NULL));
	ASSERT_ERRNO(EINVAL, self->ctl(other, IPC_STAT, &ds));

	ASSERT_EQ(0, self->dt(map));
	ASSERT_NATTCH(id, 1);
	ASSERT_EQ(0, self->dt(again));
	ASSERT_ERRNO(EINVAL, self->ctl(id, IPC_STAT, &ds));
	ASSERT_ERRNO(EINVAL, self->ctl(id, IPC_RMID, NULL));
	ASSERT_ERRNO(EINVAL, self->ctl(id, IPC_SET, &ds));
	ASSERT_ERRNO(EINVAL, self->at(id, NULL, 0));
}

/* Each part of an attachment counts; detaching takes all that is left of it. */
TEST_F_TIMEOUT(sysv, in_parts, 120)
{
	int id = self->get(IPC_PRIVATE, 8 * PAGE, 0600);
	int other = self->get(IPC_PRIVATE, PAGE, 0600);
	char *map, *hole, *moved;

	ASSERT_LE(0, id);
	ASSERT_LE(0, other);
	map = self->at(id, NULL, 0);
	ASSERT_NE(BAD, (void *)map);
	ASSERT_EQ(0, munmap(map + 2 * PAGE, PAGE));
	ASSERT_NATTCH(id, 2);
	ASSERT_EQ(0, mprotect(map + 4 * PAGE, PAGE, PROT_READ));
	ASSERT_NATTCH(id, 4);
	ASSERT_EQ(0, munmap(map + 7 * PAGE, PAGE));
	ASSERT_NATTCH(id, 4);
	/* What took the place of parts is not its. */
	hole = mmap(map + 7 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0);
	ASSERT_EQ(map + 7 * PAGE, hole);
	ASSERT_EQ(map + 2 * PAGE, self->at(other, map + 2 * PAGE, 0));
	ASSERT_EQ(0, self->dt(map));
	ASSERT_NATTCH(id, 0);
	ASSERT_NATTCH(other, 1);
	ASSERT_EQ(0, hole[0]);
	ASSERT_EQ(0, munmap(hole, PAGE));
	ASSERT_EQ(0, self->dt(map + 2 * PAGE));

	/* Without its beginning. */
	map = self->at(id, NULL, 0);
	ASSERT_EQ(0, munmap(map, PAGE));
	ASSERT_NATTCH(id, 1);
	ASSERT_EQ(0, self->dt(map));
	ASSERT_NATTCH(id, 0);

	/* Elsewhere. */
	map = self->at(id, NULL, 0);
	hole = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(hole);
	moved = mremap(map, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, hole);
	ASSERT_EQ(hole, moved);
	ASSERT_ERRNO(EINVAL, self->dt(map));
	ASSERT_NATTCH(id, 1);
	ASSERT_EQ(0, self->dt(moved));
	ASSERT_NATTCH(id, 0);

	/* Two attachments side by side are two. */
	map = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(map, self->at(id, map, SHM_REMAP));
	ASSERT_EQ(map + 8 * PAGE, self->at(id, map + 8 * PAGE, SHM_REMAP));
	ASSERT_NATTCH(id, 2);
	ASSERT_EQ(0, self->dt(map));
	ASSERT_NATTCH(id, 1);
	ASSERT_EQ(0, self->dt(map + 8 * PAGE));
	ASSERT_NATTCH(id, 0);
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
	ASSERT_EQ(0, self->ctl(other, IPC_RMID, NULL));
}

/* exec and every kind of death detach. */
TEST_F_TIMEOUT(sysv, exec_and_death, 120)
{
	int id = self->get(IPC_PRIVATE, 4 * PAGE, 0600), ready[2], input[2], status;
	pid_t children[10];
	struct shmid_ds ds;
	char byte, *map;

	ASSERT_LE(0, id);
	ASSERT_EQ(0, pipe(ready));
	for (int i = 0; i < 10; i++) {
		children[i] = fork();
		if (!children[i]) {
			for (int n = 0; n <= i; n++)
				self->at(id, NULL, n & 1 ? SHM_RDONLY : 0);
			munmap((char *)self->at(id, NULL, 0) + PAGE, PAGE);
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			pause();
		}
	}
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_NATTCH(id, 55 + 20);
	for (int i = 9, left = 75; i >= 0; i--) {
		ASSERT_EQ(0, kill(children[i], i & 1 ? SIGKILL : SIGTERM));
		ASSERT_EQ(children[i], waitpid(children[i], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		left -= i + 3;
		ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
		ASSERT_EQ((shmatt_t)left, ds.shm_nattch);
		ASSERT_EQ(children[i], ds.shm_lpid);
	}

	map = self->at(id, NULL, 0);
	ASSERT_NE(BAD, (void *)map);
	ASSERT_EQ(0, pipe(input));
	ASSERT_EQ(0, fcntl(ready[1], F_SETFD, FD_CLOEXEC));
	children[0] = fork();
	if (!children[0]) {
		dup2(input[0], 0);
		close(input[1]);
		execl("/bin/cat", "cat", NULL);
		_exit(1);
	}
	close(ready[1]);
	/* Its end is closed by exec. */
	ASSERT_EQ(0, read(ready[0], &byte, 1));
	ASSERT_NATTCH(id, 1);
	close(input[1]);
	ASSERT_EQ(children[0], waitpid(children[0], &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_NATTCH(id, 1);
	ASSERT_EQ(0, self->dt(map));
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
	close(ready[0]);
	close(input[0]);
}

TEST_F(sysv, bad_control)
{
	int id = self->get(IPC_PRIVATE, 100, 0600);
	struct shmid_ds ds;
	int status;

	ASSERT_LE(0, id);
	ASSERT_EQ(0, self->ctl(id, IPC_STAT, &ds));
	ASSERT_ERRNO(EINVAL, self->ctl(id, 99, &ds));
	ASSERT_ERRNO(EINVAL, self->ctl(id, -1, &ds));
	ASSERT_ERRNO(EINVAL, self->ctl(-1, IPC_STAT, &ds));
	ASSERT_ERRNO(EINVAL, self->ctl(-1, IPC_RMID, NULL));
	ASSERT_ERRNO(EINVAL, self->ctl(INT32_MAX, IPC_STAT, &ds));
	ASSERT_ERRNO(EINVAL, self->ctl(INT32_MAX, IPC_SET, &ds));
	ASSERT_ERRNO(EINVAL, self->ctl(INT32_MAX, IPC_RMID, NULL));
	ASSERT_ERRNO(EINVAL, self->ctl(INT32_MAX, SHM_STAT, &ds));
	ds.shm_perm.uid = -1;
	ASSERT_ERRNO(EINVAL, self->ctl(id, IPC_SET, &ds));
	ds.shm_perm.uid = 0;
	ds.shm_perm.gid = -1;
	ASSERT_ERRNO(EINVAL, self->ctl(id, IPC_SET, &ds));
	/* Without process_vm_readv() the library cannot tell. */
	status = IN_CHILD({
		signal(SIGSEGV, SIG_DFL);
		CHECK_ERRNO(EFAULT, self->ctl(id, IPC_STAT, (void *)8));
		CHECK_ERRNO(EFAULT, self->ctl(id, IPC_SET, (void *)8));
		CHECK_ERRNO(EFAULT, self->ctl(id, IPC_INFO, (void *)8));
		CHECK_ERRNO(EFAULT, self->ctl(id, SHM_INFO, NULL));
	});
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
	if (status && syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0) < 0)
		SKIP(return, "this kernel has no process_vm_readv()");
	/* In 32 bits, the C library's own translates the structure without looking. */
	if (sizeof(long) == 8 || self->ctl != shmctl)
		ASSERT_EQ(0, status);
}

TEST_F_TIMEOUT(sysv, lists, 120)
{
	struct shm_info before, after;
	struct shminfo limits;
	int ids[5], highest, nr, order = -1;
	struct shmid_ds ds;
	char *map;

	ASSERT_LE(0, self->ctl(0, SHM_INFO, (void *)&before));
	for (int i = 0; i < 5; i++) {
		ids[i] = self->get(IPC_PRIVATE, 3 * PAGE - 5, i == 3 ? 0600 : 0644);
		ASSERT_LE(0, ids[i]);
	}
	map = self->at(ids[1], NULL, 0);
	ASSERT_NE(BAD, (void *)map);
	map[0] = 1;
	map[2 * PAGE] = 1;
	ASSERT_EQ(0, self->ctl(ids[1], IPC_RMID, NULL));

	highest = self->ctl(0, SHM_INFO, (void *)&after);
	ASSERT_LE(4, highest);
	EXPECT_EQ(before.used_ids + 5, after.used_ids);
	EXPECT_EQ(before.shm_tot + 15, after.shm_tot);
	EXPECT_EQ(before.shm_rss + 2, after.shm_rss);
	ASSERT_EQ(highest, self->ctl(0, IPC_INFO, (void *)&limits));
	EXPECT_EQ(1, limits.shmmin);
	EXPECT_LE(sizeof(long) == 8 ? 1ULL << 40 : 1ULL << 30, limits.shmmax);
	EXPECT_LE(1024, limits.shmmni);
	EXPECT_LE(1 << 10, limits.shmall);

	/* Each index leads to one segment or to none, each segment has one. */
	for (int any = 0; any < 2; any++) {
		for (int i = 0; i < 5; i++) {
			nr = 0;
			for (int index = 0; index <= highest; index++) {
				int id = self->ctl(index, any ? SHM_STAT_ANY : SHM_STAT, &ds);

				if (id < 0)
					ASSERT_EQ(EINVAL, errno);
				if (id != ids[i])
					continue;
				nr++;
				order = index;
				EXPECT_EQ(3 * PAGE - 5, ds.shm_segsz);
				EXPECT_EQ(i == 1 ? 0644 | SHM_DEST : i == 3 ? 0600 : 0644,
					  ds.shm_perm.mode);
			}
			ASSERT_EQ(1, nr);
			ASSERT_EQ(ids[i], self->ctl(order, SHM_STAT, &ds));
		}
	}
	ASSERT_ERRNO(EINVAL, self->ctl(highest + 1, SHM_STAT, &ds));
	ASSERT_EQ(0, self->dt(map));
	for (int i = 0; i < 5; i++) {
		if (i != 1)
			ASSERT_EQ(0, self->ctl(ids[i], IPC_RMID, NULL));
	}
	ASSERT_LE(0, self->ctl(0, SHM_INFO, (void *)&after));
	EXPECT_EQ(before.used_ids, after.used_ids);
	EXPECT_EQ(before.shm_tot, after.shm_tot);
}

TEST_F(sysv, limits)
{
	const char *file = variant->ipm ? PARAMETERS "max_segments" : "/proc/sys/kernel/shmmni";
	const struct rlimit little = { 64UL << 20, 64UL << 20 };
	char old[32];
	int id;

	/* Address space. */
	id = self->get(IPC_PRIVATE, 256UL << 20, 0600);
	ASSERT_LE(0, id);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, setrlimit(RLIMIT_AS, &little));
		CHECK_ERRNO(ENOMEM, self->at(id, NULL, 0));
	}));
	ASSERT_NATTCH(id, 0);
	/* Segments. */
	read_text(file, old, sizeof(old));
	ASSERT_EQ(0, write_text(file, "1"));
	errno = 0;
	EXPECT_EQ(-1, self->get(IPC_PRIVATE, 100, 0600));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(-1, self->get(KEY, 100, IPC_CREAT | 0600));
	EXPECT_EQ(ENOSPC, errno);
	ASSERT_EQ(0, write_text(file, old));
	ASSERT_EQ(0, self->ctl(id, IPC_RMID, NULL));
}

struct racer {
	FIXTURE_DATA(sysv) *calls;
	int32_t key;
	int made, found, wrong;
};

/* Gets, attaches, detaches and removes, while others do so. */
static void *race(void *data)
{
	struct racer *r = data;

	for (int i = 0; i < 60; i++) {
		int id = r->calls->get(r->key, 100, IPC_CREAT | 0600);
		char *map;

		if (id < 0) {
			note("get: %s", strerror(errno));
			r->wrong++;
			continue;
		}
		map = r->calls->at(id, NULL, 0);
		if (map != BAD) {
			r->found++;
			map[50] = 1;
			r->wrong += r->calls->dt(map) != 0;
		} else if (errno != EINVAL && errno != EIDRM) {
			note("at: %s", strerror(errno));
			r->wrong++;
		}
		if (!r->calls->ctl(id, IPC_RMID, NULL)) {
			r->made++;
		} else if (errno != EINVAL && errno != EIDRM) {
			note("rmid: %s", strerror(errno));
			r->wrong++;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(sysv, threads, 180)
{
	struct racer racers[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		racers[i] = (struct racer) { .calls = self, .key = KEY + i / 2 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, race, &racers[i]));
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, racers[i].wrong);
	}
	/* Of two with the same key one may lose every race. */
	for (int i = 0; i < 4; i += 2) {
		EXPECT_LT(0, racers[i].made + racers[i + 1].made);
		EXPECT_LT(0, racers[i].found + racers[i + 1].found);
	}
	ASSERT_ERRNO(ENOENT, self->get(KEY, 0, 0));
	ASSERT_ERRNO(ENOENT, self->get(KEY + 1, 0, 0));
}

/* --- what only IPM has --- */

FIXTURE(view)
{
	struct counts before;
};

FIXTURE_SETUP(view)
{
	self->before = read_counts();
}

FIXTURE_TEARDOWN(view)
{
	EXPECT_COUNTS_SOON(self->before);
}

TEST_F(view, number_of_an_address)
{
	int id = ipm_shmget(IPC_PRIVATE, 3 * PAGE, 0600);
	char *map, *mine;

	ASSERT_LT(0, id);
	mine = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map = ipm_shmat(id, NULL, 0);
	ASSERT_NE(BAD, (void *)map);
	EXPECT_EQ(id, ipm_shmid(map));
	EXPECT_EQ(id, ipm_shmid(map + 3 * PAGE - 1));
	ASSERT_ERRNO(EINVAL, ipm_shmid(mine));
	ASSERT_ERRNO(EINVAL, ipm_shmid(NULL));
	ASSERT_EQ(0, ipm_shmctl(id, IPC_RMID, NULL));
	EXPECT_EQ(id, ipm_shmid(map + 1));
	ASSERT_EQ(0, ipm_shmdt(map));
	ASSERT_ERRNO(EINVAL, ipm_shmid(map));
	munmap(mine, PAGE);
}

/* The same segments by name, key and number, for both kinds of calls. */
TEST_F(view, name_key_and_number)
{
	ipm_shm_info info = { .struct_size = sizeof(info) };
	ipm_shared_memory *named, *keyed, *again;
	time_t begin = time(NULL);
	char *map;
	int id;

	ASSERT_EQ(0, ipm_shared_memory_create(NULL, ipm_ref_name("/view"), 5000, 0640, false,
					      &named));
	id = ipm_shared_memory_id(named);
	strcpy(ipm_shared_memory_pointer(named), "hello");
	ASSERT_EQ(5000, ipm_shared_memory_size(named));
	map = ipm_shmat(id, NULL, SHM_RDONLY);
	ASSERT_NE(BAD, (void *)map);
	ASSERT_STREQ("hello", map);
	ASSERT_EQ(id, ipm_shminfo(ipm_ref_name("view"), &info));
	EXPECT_EQ(id, info.id);
	EXPECT_EQ(0, info.key);
	EXPECT_EQ(5000, info.size);
	EXPECT_EQ(0640, info.mode);
	EXPECT_EQ(false, info.removed);
	EXPECT_EQ(geteuid(), info.uid);
	EXPECT_EQ(geteuid(), info.cuid);
	EXPECT_EQ(getegid(), info.gid);
	EXPECT_EQ(getegid(), info.cgid);
	EXPECT_EQ(getpid(), info.cpid);
	EXPECT_EQ(getpid(), info.lpid);
	EXPECT_EQ(2, info.nattch);
	EXPECT_LE(begin, info.atime);
	EXPECT_EQ(0, info.dtime);
	EXPECT_LE(begin, info.ctime);
	EXPECT_GE(seconds(), info.ctime);
	ASSERT_EQ(0, ipm_shmdt(map));

	/* It stays, and is removed by name. */
	ipm_shared_memory_close(named);
	ASSERT_EQ(IPM_RESULT_ERR_EXISTS, ipm_shared_memory_create(NULL, ipm_ref_name("/view"), 1, 0,
								   false, &again));
	ASSERT_EQ(0, ipm_shared_memory_open(NULL, ipm_ref_name("/view"), true, &named));
	ASSERT_STREQ("hello", ipm_shared_memory_pointer(named));
	ASSERT_EQ(IPM_ACCESS_MODE_READ_ONLY, ipm_memory_get_info(named).memory_access_mode);
	ASSERT_EQ(id, ipm_shmcfg(ipm_ref_name("/view"), 0755));
	ASSERT_EQ(id, ipm_shminfo(ipm_ref_id(id), &info));
	EXPECT_EQ(0644, info.mode);
	EXPECT_NE(0, info.dtime);
	ASSERT_EQ(0, ipm_shmrm(ipm_ref_name("/view")));
	ASSERT_ERRNO(ENOENT, ipm_shmrm(ipm_ref_name("/view")));
	ASSERT_ERRNO(ENOENT, ipm_shminfo(ipm_ref_name("/view"), &info));
	ASSERT_ERRNO(EIDRM, ipm_shmrm(ipm_ref_id(id)));
	ASSERT_EQ(id, ipm_shminfo(ipm_ref_id(id), &info));
	EXPECT_TRUE(info.removed);
	ipm_shared_memory_close(named);
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_id(id), &info));
	ASSERT_ERRNO(EINVAL, ipm_shmrm(ipm_ref_id(id)));

	/* By key, gone with its last user. */
	ASSERT_EQ(0, ipm_shared_memory_create(NULL, ipm_ref_key(KEY), 100, 0, true, &keyed));
	id = ipm_shmget(KEY, 100, 0600);
	ASSERT_EQ(ipm_shared_memory_id(keyed), id);
	ASSERT_EQ(id, ipm_shminfo(ipm_ref_key(KEY), &info));
	EXPECT_EQ(KEY, info.key);
	EXPECT_EQ(0600, info.mode);
	ASSERT_EQ(0, ipm_shared_memory_open(NULL, ipm_ref_id(id), false, &again));
	strcpy(ipm_shared_memory_pointer(again), "world");
	EXPECT_STREQ("world", ipm_shared_memory_pointer(keyed));
	ipm_shared_memory_close(again);
	ipm_shared_memory_close(keyed);
	ASSERT_ERRNO(ENOENT, ipm_shmget(KEY, 0, 0));

	/* Private, and removed by object; the other way round by number. */
	ASSERT_EQ(0, ipm_shared_memory_create(NULL, ipm_ref_key(IPC_PRIVATE), 100, 0600, false,
					      &keyed));
	ASSERT_EQ(0, ipm_shared_memory_remove(NULL, ipm_ref_memory(keyed)));
	ASSERT_EQ(IPM_RESULT_ERR_REMOVED,
		  ipm_shared_memory_open(NULL, ipm_ref_id(ipm_shared_memory_id(keyed)), false,
					 &again));
	ipm_shared_memory_close(keyed);
	id = ipm_shmget(KEY, 100, IPC_CREAT | 0600);
	ASSERT_EQ(0, ipm_shared_memory_open(NULL, ipm_ref_key(KEY), false, &keyed));
	ASSERT_EQ(0, ipm_shared_memory_remove(NULL, ipm_ref_id(id)));
	ipm_shared_memory_close(keyed);
	id = ipm_shmget(KEY, 100, IPC_CREAT | 0600);
	ASSERT_EQ(id, ipm_shmcfg(ipm_ref_key(KEY), 0));
	ASSERT_EQ(0, ipm_shmrm(ipm_ref_key(KEY)));
}

TEST_F(view, bad_arguments)
{
	ipm_shm_info info = { .struct_size = sizeof(info) - 1 };
	ipm_shared_memory *memory;
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_key(KEY), NULL));
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_key(KEY), &info));
	info.struct_size = sizeof(info);
	ASSERT_ERRNO(ENOENT, ipm_shminfo(ipm_ref_key(KEY), &info));
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_private(), &info));
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_key(0), &info));
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_id(0), &info));
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_id(-1), &info));
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_name(""), &info));
	ASSERT_ERRNO(EINVAL, ipm_shminfo(ipm_ref_fd(0), &info));
	ASSERT_ERRNO(ENAMETOOLONG, ipm_shminfo(ipm_ref_name(name), &info));
	ASSERT_ERRNO(ENAMETOOLONG, ipm_shmrm(ipm_ref_name(name)));
	ASSERT_ERRNO(EINVAL, ipm_shmrm(ipm_ref_id(INT32_MAX)));
	ASSERT_ERRNO(ENOENT, ipm_shmcfg(ipm_ref_key(KEY), 0600));
	ASSERT_ERRNO(EINVAL, ipm_shmcfg(ipm_ref_key(KEY), 01600));
	ASSERT_ERRNO(EINVAL, ipm_shmget(KEY, PAGE, IPC_CREAT | SHM_HUGETLB | 0600));
	ASSERT_ERRNO(EINVAL, ipm_shmctl(1, SHM_LOCK, NULL));
	ASSERT_ERRNO(EINVAL, ipm_shmat(0, NULL, 0));
	ASSERT_EQ(IPM_RESULT_ERR_BAD_SIZE,
		  ipm_shared_memory_create(NULL, ipm_ref_key(KEY), 0, 0600, true, &memory));
	ASSERT_EQ(IPM_RESULT_ERR_BAD_VALUE,
		  ipm_shared_memory_create(NULL, ipm_ref_key(KEY), 1, 01600, true, &memory));
	ASSERT_EQ(IPM_RESULT_ERR_BAD_VALUE,
		  ipm_shared_memory_create(NULL, ipm_ref_key(KEY), 1, 0600, true, NULL));
	ASSERT_EQ(IPM_RESULT_ERR_DOES_NOT_EXIST,
		  ipm_shared_memory_open(NULL, ipm_ref_key(KEY), true, &memory));

	/* Without a file descriptor. */
	ASSERT_EQ(0, IN_CHILD({
		const struct rlimit none = { 0, 0 };
		int id = ipm_shmget(KEY, 100, IPC_CREAT | 0600);

		CHECK(0, setrlimit(RLIMIT_NOFILE, &none));
		CHECK_ERRNO(EMFILE, ipm_shmget(KEY, 100, 0600));
		CHECK_ERRNO(ENOMEM, ipm_shmat(id, NULL, 0));
		CHECK_ERRNO(EMFILE, ipm_shmctl(id, IPC_RMID, NULL));
	}));
	ASSERT_EQ(0, ipm_shmrm(ipm_ref_key(KEY)));
}

/* Somebody else's segments do not show in lists. */
TEST_F(view, lists_show_what_may_be_read)
{
	int mine = ipm_shmget(IPC_PRIVATE, 100, 0600), all = ipm_shmget(IPC_PRIVATE, 100, 0644);

	ASSERT_LT(0, mine);
	ASSERT_LT(0, all);
	ASSERT_EQ(0, IN_CHILD({
		struct shm_info info;
		struct shmid_ds ds;

		CHECK(0, become(NOBODY, NOBODY));
		CHECK(0, ipm_shmctl(0, SHM_INFO, (void *)&info));
		CHECK(1, info.used_ids);
		CHECK(all, ipm_shmctl(0, SHM_STAT, &ds));
		CHECK(all, ipm_shmctl(0, SHM_STAT_ANY, &ds));
		CHECK_ERRNO(EINVAL, ipm_shmctl(1, SHM_STAT_ANY, &ds));
	}));
	ASSERT_EQ(0, ipm_shmctl(mine, IPC_RMID, NULL));
	ASSERT_EQ(0, ipm_shmctl(all, IPC_RMID, NULL));
}

/* A walk meets each segment once, although others come and go. */
TEST_F(view, a_walk_while_segments_go)
{
	struct shmid_ds ds;
	int ids[6];

	for (int i = 0; i < 6; i++) {
		ids[i] = ipm_shmget(IPC_PRIVATE, 100, 0600);
		ASSERT_LT(0, ids[i]);
	}
	ASSERT_EQ(ids[0], ipm_shmctl(0, SHM_STAT, &ds));
	ASSERT_EQ(ids[1], ipm_shmctl(1, SHM_STAT, &ds));
	ASSERT_EQ(0, ipm_shmctl(ids[0], IPC_RMID, NULL));
	ASSERT_EQ(0, ipm_shmctl(ids[3], IPC_RMID, NULL));
	ASSERT_EQ(ids[2], ipm_shmctl(2, SHM_STAT, &ds));
	ASSERT_EQ(ids[4], ipm_shmctl(3, SHM_STAT, &ds));
	ASSERT_EQ(ids[5], ipm_shmctl(4, SHM_STAT, &ds));
	ASSERT_ERRNO(EINVAL, ipm_shmctl(5, SHM_STAT, &ds));
	ASSERT_EQ(ids[1], ipm_shmctl(0, SHM_STAT, &ds));
	ASSERT_EQ(ids[4], ipm_shmctl(2, SHM_STAT, &ds));
	ASSERT_EQ(ids[2], ipm_shmctl(1, SHM_STAT, &ds));
	for (int i = 0; i < 6; i++) {
		if (i != 0 && i != 3)
			ASSERT_EQ(0, ipm_shmctl(ids[i], IPC_RMID, NULL));
	}
}

TEST_HARNESS_MAIN
