// SPDX-License-Identifier: GPL-2.0
/*
 * libipm-preload.so in front of the C library: the calls of this very program,
 * beside the C library's own, which are found in the library itself. What both
 * have to do alike is tested on both.
 */
#include "ipm_test.h"

#include <dlfcn.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <ipm/ipm.h>

#define LIBRARY	"build/lib/libipm-preload.so"
#define NAME	"/test-preload"
#define KEY	0x9a7e
#define BAD	((void *)-1)
#define BIT	0x40000000
#define NOBODY	65534

int __fxstat(int version, int fd, struct stat *st);

/* In front of everything: the library is there when the program starts, or never. */
__attribute__((constructor)) static void with_the_library(int argc, char **argv)
{
	(void)argc;
	if (getenv("LD_PRELOAD"))
		return;
	setenv("LD_PRELOAD", LIBRARY, 1);
	execv("/proc/self/exe", argv);
	_exit(1);
}

FIXTURE(posix)
{
	struct counts before;
	int (*open)(const char *name, int flags, mode_t mode);
	int (*unlink)(const char *name);
	int (*truncate)(int fd, off_t size);
	int (*stat)(int fd, struct stat *st);
	int (*chmod)(int fd, mode_t mode);
	int (*chown)(int fd, uid_t uid, gid_t gid);
	int (*allocate)(int fd, off_t offset, off_t length);
};

FIXTURE_VARIANT(posix)
{
	bool ipm;
};

FIXTURE_VARIANT_ADD(posix, system) { .ipm = false };
FIXTURE_VARIANT_ADD(posix, ipm) { .ipm = true };

#define FIND(name) ((__typeof__(&name))dlsym(library, #name))

FIXTURE_SETUP(posix)
{
	void *library = dlopen(variant->ipm ? LIBRARY : "libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	ASSERT_NE(NULL, library);
	self->before = read_counts();
	self->open = FIND(shm_open);
	self->unlink = FIND(shm_unlink);
	self->truncate = FIND(ftruncate);
	self->stat = FIND(fstat);
	self->chmod = FIND(fchmod);
	self->chown = FIND(fchown);
	self->allocate = FIND(posix_fallocate);
	/* It really is in front. */
	if (variant->ipm) {
		ASSERT_EQ((void *)shm_open, (void *)self->open);
		ASSERT_EQ((void *)fstat, (void *)self->stat);
	} else {
		ASSERT_NE((void *)shm_open, (void *)self->open);
	}
}

FIXTURE_TEARDOWN(posix)
{
	EXPECT_COUNTS_SOON(self->before);
}

#define ASSERT_ERRNO(error, call)                                       \
	do {                                                            \
		errno = 0;                                              \
		ASSERT_EQ(-1, (long)(call));                            \
		ASSERT_EQ(error, errno) note("%s", #call);              \
	} while (0)

/* How many segments there are more than before. */
static long long segments_since(const struct counts *before)
{
	const char *at = strstr(before->text, "segments=");

	return count_of("segments") - atoll(at + strlen("segments="));
}

TEST_F(posix, life)
{
	struct stat st;
	char *map, *all;
	int fd, copy;

	ASSERT_ERRNO(ENOENT, self->open(NAME, O_RDWR, 0));
	ASSERT_ERRNO(ENOENT, self->unlink(NAME));
	fd = self->open(NAME, O_RDWR | O_CREAT | O_EXCL, 0640);
	ASSERT_FD(fd);
	ASSERT_EQ(variant->ipm, segments_since(&self->before));
	ASSERT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	ASSERT_ERRNO(EEXIST, self->open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600));

	memset(&st, POISON, sizeof(st));
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ((mode_t)(S_IFREG | 0640), st.st_mode);
	EXPECT_EQ(geteuid(), st.st_uid);
	EXPECT_EQ(getegid(), st.st_gid);
	EXPECT_EQ(1, st.st_nlink);
	EXPECT_EQ(0, st.st_blocks);
	EXPECT_LE(time(NULL) - 100, st.st_mtime);
	EXPECT_LE(time(NULL) - 100, st.st_ctime);

	ASSERT_EQ(0, self->truncate(fd, 0));
	ASSERT_EQ(0, self->truncate(fd, 5000));
	map = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, map[0] | map[4999]);
	map[4999] = 'x';
	/* Another file descriptor, under another spelling of the name. */
	copy = self->open("///test-preload", O_RDWR, 0);
	ASSERT_FD(copy);
	ASSERT_EQ(0, self->stat(copy, &st));
	EXPECT_EQ(5000, st.st_size);
	EXPECT_EQ(16, st.st_blocks);
	ASSERT_EQ(0, self->truncate(copy, 20000));
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ(20000, st.st_size);
	all = mmap(NULL, 20000, PROT_READ, MAP_SHARED, copy, 0);
	ASSERT_MAPPED(all);
	EXPECT_EQ('x', all[4999]);
	EXPECT_EQ(0, all[19999]);
	close(copy);
	/* O_CREAT opens what is there, and leaves its mode. */
	copy = self->open(NAME, O_RDWR | O_CREAT, 0666);
	ASSERT_FD(copy);
	ASSERT_EQ(0, self->stat(copy, &st));
	EXPECT_EQ(20000, st.st_size);
	EXPECT_EQ((mode_t)(S_IFREG | 0640), st.st_mode);
	close(copy);

	ASSERT_EQ(0, self->unlink(NAME));
	ASSERT_ERRNO(ENOENT, self->unlink(NAME));
	ASSERT_ERRNO(ENOENT, self->open(NAME, O_RDONLY, 0));
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ('x', map[4999]);
	ASSERT_EQ(0, self->truncate(fd, 30000));
	close(fd);
	EXPECT_EQ('x', all[4999]);
	munmap(map, 5000);
	munmap(all, 20000);
}

/* Copies of all kinds mean the same segment. */
TEST_F(posix, copies)
{
	int fd = self->open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600), copy, pair[2];
	struct stat st;
	ino_t inode;
	char *map;

	ASSERT_FD(fd);
	ASSERT_EQ(0, self->stat(fd, &st));
	inode = st.st_ino;
	copy = dup(fd);
	ASSERT_EQ(0, self->truncate(copy, PAGE));
	close(fd);
	ASSERT_EQ(200, dup2(copy, 200));
	ASSERT_EQ(0, self->truncate(200, 2 * PAGE));
	close(copy);
	ASSERT_EQ(201, dup3(200, 201, O_CLOEXEC));
	close(200);
	copy = fcntl(201, F_DUPFD_CLOEXEC, 300);
	ASSERT_LE(300, copy);
	close(201);
	ASSERT_EQ(0, self->truncate(copy, 3 * PAGE));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], copy));
	close(copy);
	copy = receive_fd(pair[1]);
	ASSERT_FD(copy);
	ASSERT_EQ(0, self->stat(copy, &st));
	EXPECT_EQ(inode, st.st_ino);
	EXPECT_EQ((off_t)(3 * PAGE), st.st_size);
	map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, self->truncate(copy, 4 * PAGE));
		map[5] = 'c';
	}));
	EXPECT_EQ('c', map[5]);
	ASSERT_EQ(0, self->stat(copy, &st));
	EXPECT_EQ((off_t)(4 * PAGE), st.st_size);
	/* exec does not inherit it. */
	ASSERT_EQ(0, IN_CHILD({
		char test[64];

		snprintf(test, sizeof(test), "test ! -e /proc/self/fd/%d", copy);
		execl("/bin/sh", "sh", "-c", test, NULL);
		_exit(1);
	}));
	munmap(map, 3 * PAGE);
	close(copy);
	close(pair[0]);
	close(pair[1]);
	ASSERT_EQ(0, self->unlink(NAME));
}

TEST_F(posix, read_only)
{
	int fd = self->open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600), reader;
	char *map;

	ASSERT_FD(fd);
	ASSERT_EQ(0, self->truncate(fd, 100));
	reader = self->open(NAME, O_RDONLY, 0);
	ASSERT_FD(reader);
	ASSERT_EQ(O_RDONLY, fcntl(reader, F_GETFL) & O_ACCMODE);
	ASSERT_ERRNO(EINVAL, self->truncate(reader, 200));
	ASSERT_EQ(EBADF, self->allocate(reader, 0, 50));
	ASSERT_EQ(EBADF, self->allocate(reader, 0, 5000));
	ASSERT_ERRNO(EACCES, mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0));
	map = mmap(NULL, 100, PROT_READ, MAP_SHARED, reader, 0);
	ASSERT_MAPPED(map);
	ASSERT_ERRNO(EACCES, mprotect(map, 100, PROT_READ | PROT_WRITE));
	munmap(map, 100);
	/* A private copy may be written. */
	map = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
	ASSERT_MAPPED(map);
	map[0] = 1;
	munmap(map, 100);
	close(reader);
	close(fd);
	ASSERT_EQ(0, self->unlink(NAME));
}

TEST_F(posix, rights)
{
	mode_t mask = umask(027);
	int fd = self->open(NAME, O_RDWR | O_CREAT | O_EXCL, 0666);
	struct stat st;

	umask(mask);
	ASSERT_FD(fd);
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ((mode_t)(S_IFREG | 0640), st.st_mode);
	ASSERT_EQ(0, IN_CHILD({
		int mine;

		CHECK(0, become(NOBODY, NOBODY));
		mine = self->open(NAME, O_RDONLY, 0);
		CHECK(-1, mine);
		CHECK(EACCES, errno);
		mine = self->open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
		CHECK(-1, mine);
		CHECK(EEXIST, errno);
		CHECK(-1, self->chmod(fd, 0666));
		CHECK(EPERM, errno);
	}));
	ASSERT_EQ(0, self->chmod(fd, 0604));
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ((mode_t)(S_IFREG | 0604), st.st_mode);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(NOBODY, NOBODY));
		CHECK(1, self->open(NAME, O_RDONLY, 0) >= 0);
		CHECK(-1, self->open(NAME, O_RDWR, 0));
		CHECK(EACCES, errno);
	}));
	ASSERT_EQ(0, self->chown(fd, NOBODY, -1));
	ASSERT_EQ(0, self->chown(fd, -1, NOBODY - 1));
	ASSERT_EQ(0, self->chown(fd, -1, -1));
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ(NOBODY, st.st_uid);
	EXPECT_EQ(NOBODY - 1, st.st_gid);
	close(fd);
	ASSERT_EQ(0, self->unlink(NAME));
}

TEST_F(posix, allocate)
{
	int fd = self->open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
	struct stat st;

	ASSERT_FD(fd);
	ASSERT_EQ(EINVAL, self->allocate(fd, 0, 0));
	ASSERT_EQ(EINVAL, self->allocate(fd, -1, 10));
	ASSERT_EQ(EINVAL, self->allocate(fd, 0, -10));
	ASSERT_EQ(0, self->truncate(fd, 4 * PAGE));
	ASSERT_EQ(0, self->allocate(fd, PAGE + 5, 100));
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ((off_t)(4 * PAGE), st.st_size);
	EXPECT_EQ(8, st.st_blocks);
	ASSERT_EQ(0, self->allocate(fd, 0, 6 * PAGE));
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ((off_t)(6 * PAGE), st.st_size);
	EXPECT_EQ(48, st.st_blocks);
	close(fd);
	ASSERT_EQ(0, self->unlink(NAME));
}

/* What was left by a crash begins anew with O_TRUNC. */
TEST_F(posix, truncated)
{
	int fd = self->open(NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct stat st;
	char *map;

	ASSERT_FD(fd);
	ASSERT_EQ(0, self->truncate(fd, 5000));
	map = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(map);
	map[0] = 'x';
	munmap(map, 5000);
	close(fd);
	fd = self->open(NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ASSERT_FD(fd);
	ASSERT_EQ(0, self->stat(fd, &st));
	EXPECT_EQ(0, st.st_size);
	ASSERT_EQ(0, self->truncate(fd, 100));
	map = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(map);
	EXPECT_EQ(0, map[0]);
	map[0] = 'x';
	munmap(map, 100);
	ASSERT_EQ(0, self->chmod(fd, 0640));
	close(fd);
	/* What is there, without O_CREAT; its mode stays, whatever is said. */
	for (int flags = 0; flags <= O_CREAT; flags += O_CREAT) {
		fd = self->open(NAME, O_RDWR | O_TRUNC | flags, 0);
		ASSERT_FD(fd);
		ASSERT_EQ(0, self->stat(fd, &st));
		EXPECT_EQ(0, st.st_size);
		EXPECT_EQ(0640, st.st_mode & 0777);
		ASSERT_EQ(0, self->truncate(fd, 100));
		close(fd);
	}
	ASSERT_EQ(0, self->unlink(NAME));
	ASSERT_ERRNO(ENOENT, self->open(NAME, O_RDWR | O_TRUNC, 0600));
}

TEST_F(posix, bad_names_and_descriptors)
{
	char name[300];
	struct stat st;
	int pipes[2];

	memset(name, 'n', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = 0;
	/* The standard has ENAMETOOLONG, the C library not always. */
	ASSERT_EQ(-1, self->open(name, O_RDWR | O_CREAT, 0600));
	ASSERT_TRUE(errno == ENAMETOOLONG || errno == EINVAL);
	ASSERT_ERRNO(EINVAL, self->open("/", O_RDWR | O_CREAT, 0600));
	ASSERT_ERRNO(EINVAL, self->open("", O_RDWR | O_CREAT, 0600));
	ASSERT_ERRNO(EINVAL, self->open("/a/b", O_RDWR | O_CREAT, 0600));
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_ERRNO(EINVAL, self->truncate(pipes[1], 5));
	ASSERT_ERRNO(EBADF, self->truncate(999, 5));
	ASSERT_ERRNO(EBADF, self->stat(999, &st));
	ASSERT_ERRNO(EBADF, self->chmod(999, 0600));
	ASSERT_ERRNO(EBADF, self->chown(999, 0, 0));
	ASSERT_EQ(EBADF, self->allocate(999, 0, 1));
	ASSERT_EQ(ESPIPE, self->allocate(pipes[1], 0, 1));
	ASSERT_EQ(0, self->stat(pipes[0], &st));
	EXPECT_TRUE(S_ISFIFO(st.st_mode));
	close(pipes[0]);
	close(pipes[1]);
}

/* --- what is particular to IPM --- */

FIXTURE(preload)
{
	struct counts before;
};

FIXTURE_SETUP(preload)
{
	self->before = read_counts();
}

FIXTURE_TEARDOWN(preload)
{
	EXPECT_COUNTS_SOON(self->before);
}

TEST_F(preload, what_ipm_cannot_do)
{
	int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600), other;
	struct stat st;
	char bytes[100];

	ASSERT_FD(fd);
	ASSERT_EQ(0, ftruncate(fd, 5000));
	ASSERT_ERRNO(EINVAL, ftruncate(fd, 4999));
	ASSERT_ERRNO(EINVAL, ftruncate(fd, -1));
	ASSERT_ERRNO(EFBIG, ftruncate(fd, (1LL << 40) + 1));
	ASSERT_ERRNO(EINVAL, shm_open(NAME, O_RDWR | O_TRUNC, 0));
	ASSERT_ERRNO(EOPNOTSUPP, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10));
	ASSERT_ERRNO(EAGAIN, read(fd, bytes, sizeof(bytes)));
	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(5000, st.st_size);
	/* Old programs and those with 64 in the name. */
	struct stat64 st64;
	ASSERT_EQ(0, fstat64(fd, &st64));
	ASSERT_EQ(0, memcmp(&st, &st64, sizeof(st)));
	memset(&st, POISON, sizeof(st));
	ASSERT_EQ(0, __fxstat(1, fd, &st));
	ASSERT_EQ(5000, st.st_size);
	ASSERT_EQ(0, ftruncate64(fd, 6000));
	ASSERT_EQ(0, posix_fallocate64(fd, 0, 7000));
	ASSERT_EQ(0, fallocate64(fd, 0, 0, 8000));
	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(8000, st.st_size);

	/* The library of IPM sees what it is. */
	ipm_memory *memory;
	ASSERT_EQ(0, ipm_memory_from_fd(NULL, fd, IPM_ACCESS_MODE_READ_ONLY, &memory));
	ASSERT_EQ(8000, ipm_memory_size(memory));
	ipm_memory_close(memory);
	ASSERT_EQ(0, ipm_memory_open(NULL, "test-preload", IPM_ACCESS_MODE_READ_WRITE, &memory));
	ipm_memory_close(memory);

	/* Other files without a type are none of ours, and stay what they are. */
	other = open_device();
	ASSERT_EQ(0, fstat(other, &st));
	ASSERT_TRUE(S_ISCHR(st.st_mode));
	close(other);
	other = memfd_create("test", 0);
	ASSERT_EQ(0, ftruncate(other, 100));
	ASSERT_EQ(0, ftruncate(other, 50));
	ASSERT_EQ(0, fstat(other, &st));
	ASSERT_EQ(50, st.st_size);
	close(other);
	close(fd);
	ASSERT_EQ(0, shm_unlink(NAME));
}

/* Numbers carry a bit; those without it, and keys that it knows, are the system's. */
TEST_F(preload, system_and_ipm)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	int (*system_get)(key_t key, size_t size, int flags) = dlsym(libc, "shmget");
	int theirs, ours, fd;
	struct shmid_ds ds;
	char *map;

	ASSERT_NE(NULL, libc);
	theirs = system_get(KEY, 100, IPC_CREAT | IPC_EXCL | 0600);
	ASSERT_LE(0, theirs);
	ASSERT_EQ(0, theirs & BIT);
	ASSERT_EQ(theirs, shmget(KEY, 100, IPC_CREAT | 0600));
	ASSERT_ERRNO(EEXIST, shmget(KEY, 100, IPC_CREAT | IPC_EXCL | 0600));
	map = shmat(theirs, NULL, 0);
	ASSERT_NE(BAD, (void *)map);
	ASSERT_EQ(0, shmctl(theirs, IPC_STAT, &ds));
	EXPECT_EQ(1, ds.shm_nattch);
	ASSERT_EQ(0, shmdt(map));
	ASSERT_EQ(0, segments_since(&self->before));
	ASSERT_EQ(0, shmctl(theirs, IPC_RMID, NULL));

	ours = shmget(KEY, 100, IPC_CREAT | IPC_EXCL | 0600);
	ASSERT_EQ(BIT, ours & BIT);
	ASSERT_EQ(1, segments_since(&self->before));
	ASSERT_EQ(ours, shmget(KEY, 100, IPC_CREAT | 0600));
	ASSERT_EQ(ours & ~BIT, ipm_shmget(KEY, 0, 0));
	ASSERT_ERRNO(EEXIST, shmget(KEY, 100, IPC_CREAT | IPC_EXCL | 0600));
	ASSERT_ERRNO(EEXIST, shmget(KEY, 200, IPC_CREAT | IPC_EXCL | 0600));
	ASSERT_ERRNO(EINVAL, shmget(KEY, 200, 0600));
	ASSERT_ERRNO(ENOENT, shmget(KEY + 1, 200, 0600));
	ASSERT_ERRNO(EINVAL, shmget(KEY + 1, 0, IPC_CREAT | 0600));
	map = shmat(ours, NULL, 0);
	ASSERT_NE(BAD, (void *)map);
	ASSERT_EQ(0, shmctl(ours, IPC_STAT, &ds));
	EXPECT_EQ(1, ds.shm_nattch);
	ASSERT_EQ(ours, shmctl(shmctl(0, SHM_INFO, (void *)&ds), SHM_STAT, &ds));
	ASSERT_ERRNO(EINVAL, shmctl(ours, SHM_LOCK, NULL));
	ASSERT_ERRNO(EINVAL, shmat(ours + 1, NULL, 0));
	ASSERT_ERRNO(EINVAL, shmat(ours, map + 1, 0));
	ASSERT_ERRNO(EINVAL, shmctl(ours + 1, IPC_STAT, &ds));
	ASSERT_ERRNO(EINVAL, shmctl(-1, IPC_STAT, &ds));
	ASSERT_EQ(0, shmctl(ours, IPC_RMID, NULL));
	ASSERT_EQ(0, shmdt(map));
	ASSERT_ERRNO(EINVAL, shmdt(map));

	/* Huge pages are the system's, if it has any. */
	theirs = shmget(IPC_PRIVATE, 2 << 20, IPC_CREAT | SHM_HUGETLB | 0600);
	ASSERT_EQ(0, segments_since(&self->before));
	if (theirs >= 0)
		ASSERT_EQ(0, shmctl(theirs, IPC_RMID, NULL));

	/* A name of the system's. */
	fd = open("/dev/shm/test-preload", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ASSERT_FD(fd);
	close(fd);
	ASSERT_ERRNO(EEXIST, shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600));
	fd = shm_open(NAME, O_RDWR | O_CREAT, 0600);
	ASSERT_FD(fd);
	ASSERT_EQ(0, segments_since(&self->before));
	ASSERT_EQ(0, ftruncate(fd, 100));
	ASSERT_EQ(0, ftruncate(fd, 10));
	close(fd);
	ASSERT_EQ(0, shm_unlink(NAME));
	ASSERT_ERRNO(ENOENT, shm_unlink(NAME));
}

static void *open_and_close(void *data)
{
	int *wrong = data;

	for (int i = 0; i < 50; i++) {
		int fd = shm_open(NAME, O_RDWR | O_CREAT, 0600);
		struct stat st;

		if (fd < 0) {
			note("shm_open: %s", strerror(errno));
			++*wrong;
			continue;
		}
		/* Another one may have grown it meanwhile. */
		if (ftruncate(fd, PAGE) || fstat(fd, &st) || st.st_size != (off_t)PAGE) {
			note("size: %s", strerror(errno));
			++*wrong;
		}
		close(fd);
		if (shm_unlink(NAME) && errno != ENOENT) {
			note("shm_unlink: %s", strerror(errno));
			++*wrong;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(preload, threads, 180)
{
	int wrong[4] = { 0 };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, open_and_close, &wrong[i]));
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, wrong[i]);
	}
	ASSERT_ERRNO(ENOENT, shm_unlink(NAME));
}

/* errno stays as it was where the call succeeded. */
TEST_F(preload, errno_is_kept)
{
	struct stat st;
	void *map;
	int fd, id;

	errno = 4321;
	id = shmget(KEY, 100, IPC_CREAT | 0600);
	ASSERT_EQ(4321, errno);
	map = shmat(id, NULL, 0);
	ASSERT_EQ(4321, errno);
	ASSERT_EQ(0, shmdt(map));
	ASSERT_EQ(0, shmctl(id, IPC_RMID, NULL));
	ASSERT_EQ(4321, errno);
	fd = shm_open(NAME, O_RDWR | O_CREAT, 0600);
	ASSERT_FD(fd);
	ASSERT_EQ(0, ftruncate(fd, 100));
	ASSERT_EQ(0, posix_fallocate(fd, 0, 200));
	ASSERT_EQ(0, fallocate(fd, 0, 0, 300));
	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(0, fchmod(fd, 0600));
	ASSERT_EQ(0, fchown(fd, 0, 0));
	ASSERT_EQ(0, shm_unlink(NAME));
	ASSERT_EQ(4321, errno);
	close(fd);
}

TEST_HARNESS_MAIN
