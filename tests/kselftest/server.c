// SPDX-License-Identifier: GPL-2.0
/*
 * What the administrator of a shared server relies on: memory is charged to the
 * cgroup that touches it, a container that was given /dev/ipm keeps to itself and
 * leaves nothing when it is killed, and one user at his limits keeps nobody from
 * working.
 */
#include "ipm_test.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>

#define NAME	"test-server"
#define CGROUPS	"/sys/fs/cgroup"
#define MIB	(1L << 20)

/* Outside, root of a container with a user namespace is this user. */
#define CONTAINER_UID	100000

FIXTURE(server)
{
	struct counts before;
	int dev;
	char cgroups[2][64];
	char segments[32];
	char bytes[32];
};

FIXTURE_SETUP(server)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	for (int i = 0; i < 2; i++)
		snprintf(self->cgroups[i], sizeof(self->cgroups[i]), CGROUPS "/ipm-%d-%d",
			 getpid(), i);
	read_text(PARAMETERS "max_segments", self->segments, sizeof(self->segments));
	read_text(PARAMETERS "max_bytes", self->bytes, sizeof(self->bytes));
}

FIXTURE_TEARDOWN(server)
{
	EXPECT_EQ(0, write_text(PARAMETERS "max_segments", self->segments));
	EXPECT_EQ(0, write_text(PARAMETERS "max_bytes", self->bytes));
	close(self->dev);
	/* A namespace ends a while after its last process. */
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
	for (int i = 0; i < 2; i++) {
		if (!access(self->cgroups[i], F_OK))
			EXPECT_TRUE(wait_until(!rmdir(self->cgroups[i])));
	}
}

static unsigned int count_claims(int fd)
{
	struct ipm_info info;

	return call_info(fd, &info) ? 0 : info.claims;
}

static uint32_t state_of(int fd)
{
	struct ipm_info info;

	return call_info(fd, &info) ? 0 : info.state;
}

/* --- cgroups --- */

/* One number of a file of a cgroup: the first, or the one behind a name. */
static long long cgroup_read(const char *cgroup, const char *file, const char *name)
{
	char path[128], line[256];
	size_t length = name ? strlen(name) : 0;
	long long value = -1;
	FILE *lines;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	lines = fopen(path, "re");
	while (lines && value < 0 && fgets(line, sizeof(line), lines)) {
		if (!name)
			value = atoll(line);
		else if (!strncmp(line, name, length) && line[length] == ' ')
			value = atoll(line + length);
	}
	if (lines)
		fclose(lines);
	return value;
}

static int cgroup_write(const char *cgroup, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	return write_text(path, text);
}

/* Makes a cgroup that may have so many bytes and no swap; false: it cannot. */
static bool cgroup_make(const char *cgroup, long bytes)
{
	char text[32];

	if (mkdir(cgroup, 0755))
		return false;
	snprintf(text, sizeof(text), "%ld", bytes);
	if (cgroup_write(cgroup, "memory.max", text)) {
		rmdir(cgroup);
		return false;
	}
	/* There is none such where the kernel is without swap. */
	cgroup_write(cgroup, "memory.swap.max", "0");
	return true;
}

/* In a child. */
static void cgroup_enter(const char *cgroup)
{
	CHECK(0, cgroup_write(cgroup, "cgroup.procs", "0"));
}

#define NEEDS_CGROUP(number, bytes)                                                   \
	do {                                                                          \
		if (!cgroup_make(self->cgroups[number], bytes))                       \
			SKIP(return, "this kernel or machine has no memory cgroup");  \
	} while (0)

/* What the kernel has counted so far; it adds up what its CPUs counted every two seconds. */
#define ASSERT_CHARGED(least, number)                                                 \
	ASSERT_TRUE(wait_until((least) <= cgroup_read(self->cgroups[number], "memory.stat", \
						      "shmem")))

static void touch(volatile char *map, long bytes)
{
	for (long at = 0; at < bytes; at += PAGE)
		map[at]++;
}

/*
 * Whoever touches a page first pays for it, wherever the segment was made, and
 * however long it outlives him; who touches it later pays nothing.
 */
TEST_F_TIMEOUT(server, first_to_touch_pays, 120)
{
	int fd = make_private(self->dev, 4 * MIB, 16 * MIB);
	volatile char *map = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	NEEDS_CGROUP(0, 64 * MIB);
	NEEDS_CGROUP(1, 64 * MIB);
	ASSERT_FD(fd);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, IN_CHILD({
		cgroup_enter(self->cgroups[0]);
		touch(map, 4 * MIB);
	}));
	ASSERT_CHARGED(4 * MIB, 0);
	ASSERT_EQ(0, IN_CHILD({
		cgroup_enter(self->cgroups[1]);
		touch(map, 4 * MIB);
		CHECK(2, map[0]);
	}));
	/* The pages that came with growth are as any others. */
	ASSERT_EQ(0, call_grow(fd, 8 * MIB, 0));
	ASSERT_EQ(0, IN_CHILD({
		cgroup_enter(self->cgroups[1]);
		touch(map + 4 * MIB, 4 * MIB);
	}));
	ASSERT_CHARGED(4 * MIB, 1);
	EXPECT_GE(4 * MIB, cgroup_read(self->cgroups[0], "memory.stat", "shmem"));
	EXPECT_GE(4 * MIB, cgroup_read(self->cgroups[1], "memory.stat", "shmem"));
	munmap((void *)map, 16 * MIB);
	close(fd);
	/* Who is charged gets it back when the segment ends, if dead long since. */
	ASSERT_TRUE(wait_until(!cgroup_read(self->cgroups[0], "memory.stat", "shmem")));
	ASSERT_TRUE(wait_until(!cgroup_read(self->cgroups[1], "memory.stat", "shmem")));
}

/* Who touches more than his cgroup may have is killed, as with any death; nobody else is. */
TEST_F_TIMEOUT(server, killed_at_memory_max, 120)
{
	const long size = 64 * MIB;
	int fd = call_create(self->dev, ref_none(), size, 0, IPM_CREATE_NORESERVE, IPM_READ_WRITE,
			     0600, NULL);
	volatile char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct ipm_claim claim = claim_arg(0, PAGE, WRITE, 0);
	int status;

	NEEDS_CGROUP(0, 16 * MIB);
	ASSERT_FD(fd);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, IN_CHILD({
		cgroup_enter(self->cgroups[0]);
		touch(map, 4 * MIB);
	}));
	ASSERT_EQ(0, cgroup_read(self->cgroups[0], "memory.events", "oom_kill"));
	status = IN_CHILD({
		cgroup_enter(self->cgroups[0]);
		CHECK(0, call_claim(call_reopen(fd, IPM_READ_WRITE), 0, PAGE, WRITE, 0, NULL));
		touch(map, size);
	});
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(SIGKILL, WTERMSIG(status));
	ASSERT_EQ(1, cgroup_read(self->cgroups[0], "memory.events", "oom_kill"));
	EXPECT_GE(16 * MIB, cgroup_read(self->cgroups[0], "memory.current", NULL));
	/* The next one is told that the writer died. */
	ASSERT_EQ(0, call_claim_arg(fd, &claim));
	ASSERT_EQ((unsigned int)IPM_GRANT_IN_DOUBT, claim.result);
	/* Outside of the cgroup, the segment works as a whole. */
	touch(map, size);
	munmap((void *)map, size);
	close(fd);
}

/* The kernel's memory for claims is charged to who asks for them. */
TEST_F_TIMEOUT(server, claims_are_charged, 120)
{
	const int claims = 10000;
	int fd = make_private(self->dev, 4 * PAGE * claims, 0);
	int ready[2], done[2], status;
	long long before;
	pid_t child;
	char byte = 0;

	NEEDS_CGROUP(0, 64 * MIB);
	ASSERT_FD(fd);
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(done, O_CLOEXEC));
	before = cgroup_read(self->cgroups[0], "memory.stat", "slab");
	ASSERT_LE(0, before);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(done[1]);
		cgroup_enter(self->cgroups[0]);
		for (int i = 0; i < claims; i++)
			CHECK(0, call_claim(fd, i * 4 * PAGE, 1, READ, 0, NULL));
		CHECK(1, write(ready[1], &byte, 1));
		CHECK(0, read(done[0], &byte, 1));
		CHECK(claims, call_release_all(fd));
		_exit(0);
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	/* A claim has an owner, a range and its place in two orders. */
	EXPECT_TRUE(wait_until(cgroup_read(self->cgroups[0], "memory.stat", "slab") >=
			       before + claims * 64));
	close(done[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	close(ready[0]);
	close(done[0]);
	close(fd);
}

/* --- containers --- */

/* In the first process of a container: a root file system with nothing in it but /dev/ipm. */
static void enter_root(unsigned int device, bool user_namespace)
{
	CHECK(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(0, mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
	CHECK(0, mkdir("/mnt/dev", 0755));
	umask(0);
	if (user_namespace) {
		/* Its root may make no devices, and is given the file itself. */
		CHECK(0, mknod("/mnt/dev/ipm", S_IFREG | 0666, 0));
		CHECK(0, mount(DEVICE, "/mnt/dev/ipm", NULL, MS_BIND, NULL));
	} else {
		CHECK(0, mknod("/mnt/dev/ipm", S_IFCHR | 0666, device));
	}
	CHECK(0, chroot("/mnt"));
	CHECK(0, chdir("/"));
}

/*
 * Starts a container: namespaces of its own for mounts, processes, System V IPC and
 * host name, and those of @namespaces. 0: this is its first process. Otherwise its
 * number outside, or -errno.
 */
static pid_t start_container(unsigned long namespaces)
{
	const unsigned long all = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	bool user_namespace = namespaces & CLONE_NEWUSER;
	char path[64], map[64];
	struct stat device;
	pid_t first;

	if (stat(DEVICE, &device))
		return -errno;
	first = syscall(SYS_clone, all | namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
	if (first < 0)
		return -errno;
	if (first && user_namespace) {
		snprintf(map, sizeof(map), "0 %d 1000\n", CONTAINER_UID);
		snprintf(path, sizeof(path), "/proc/%d/gid_map", first);
		write_text(path, map);
		snprintf(path, sizeof(path), "/proc/%d/uid_map", first);
		write_text(path, map);
	}
	if (first)
		return first;
	if (user_namespace) {
		CHECK(1, wait_until(!setresuid(0, 0, 0)));
		CHECK(0, setresgid(0, 0, 0));
		CHECK(0, setgroups(0, NULL));
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_root(device.st_rdev, user_namespace);
	CHECK(1, getpid());
	return 0;
}

#define START_CONTAINER(namespaces)                                                   \
	({                                                                            \
		pid_t start_first = start_container(namespaces);                      \
		if (start_first < 0)                                                  \
			SKIP(return, "no containers here: %s", strerror(-start_first)); \
		start_first;                                                          \
	})

/* Runs statements as the first process of a container; 0 if all is well. */
#define IN_CONTAINER(namespaces, ...)                                                 \
	({                                                                            \
		pid_t in_container_first = START_CONTAINER(namespaces);               \
		int in_container_status = -1;                                         \
		if (!in_container_first) {                                            \
			__VA_ARGS__;                                                  \
			_exit(0);                                                     \
		}                                                                     \
		waitpid(in_container_first, &in_container_status, 0);                 \
		in_container_status;                                                  \
	})

/* With a network of its own, a container and the rest of the machine do not meet. */
TEST_F(server, container)
{
	int fd = make_named(self->dev, NAME, PAGE, 0);
	int counts = open(PARAMETERS "count_segments", O_RDONLY | O_CLOEXEC);
	long long segments = count_of("segments");
	struct ipm_info outer;

	ASSERT_FD(fd);
	ASSERT_FD(counts);
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0666, 0, 0, 0));
	ASSERT_EQ(0, call_info(fd, &outer));
	ASSERT_EQ(getpid(), outer.creator_pid);
	ASSERT_EQ(0, IN_CONTAINER(CLONE_NEWNET, {
		int dev = open_device();
		char text[32] = "";
		struct ipm_info info;
		int mine;

		CHECK(1, dev >= 0);
		CHECK(-ENOENT, call_open(dev, ref_name(NAME), IPM_READ_ONLY));
		CHECK(-ENOENT, call_open(dev, ref_id(outer.ref.id), IPM_READ_ONLY));
		CHECK(-ENOENT, call_remove(dev, ref_name(NAME)));
		/* The same name is free in here; and it ends with the container. */
		mine = call_create(dev, ref_name(NAME), PAGE, 0,
				   IPM_CREATE_PERSISTENT | IPM_CREATE_EXCLUSIVE, IPM_READ_WRITE,
				   0666, NULL);
		CHECK(1, mine >= 0);
		CHECK(0, call_info(mine, &info));
		CHECK(1, info.creator_pid);

		/* What was passed in stays what it is; processes outside have no number. */
		CHECK(1, call_open(self->dev, ref_name(NAME), IPM_READ_WRITE) >= 0);
		CHECK(0, call_claim(fd, 0, 1, WRITE, 0, NULL));
		CHECK(1, call_release_all(fd));
		CHECK(0, call_info(fd, &info));
		CHECK(0, info.creator_pid);

		/* The counts are of the whole machine. */
		CHECK(1, pread(counts, text, sizeof(text) - 1, 0) > 0);
		CHECK(segments + 1, atoll(text));
	}));
	/* Persistent or not. */
	ASSERT_TRUE(wait_until(count_of("segments") == segments));
	ASSERT_STATE(fd, 0);
	close(counts);
	close(fd);
}

/* One that shares the network shares the segments, as far as their modes permit. */
TEST_F(server, container_on_the_same_network)
{
	int open = make_named(self->dev, NAME, PAGE, 0);
	int closed = make_named(self->dev, NAME "-closed", PAGE, 0);
	struct ipm_info info;

	ASSERT_FD(open);
	ASSERT_FD(closed);
	ASSERT_EQ(0, call_set(open, IPM_SET_MODE, 0644, 0, 0, 0));
	ASSERT_EQ(0, IN_CONTAINER(0, {
		int dev = open_device();
		int fd;

		CHECK(1, dev >= 0);
		/* Without a user namespace, root in here is root. */
		CHECK(1, call_open(dev, ref_name(NAME "-closed"), IPM_READ_WRITE) >= 0);
		CHECK(0, become(1234, 1234));
		CHECK(-EACCES, call_open(dev, ref_name(NAME "-closed"), IPM_READ_ONLY));
		CHECK(-EACCES, call_open(dev, ref_name(NAME), IPM_READ_WRITE));
		fd = call_open(dev, ref_name(NAME), IPM_READ_ONLY);
		CHECK(1, fd >= 0);
		CHECK(0, call_info(fd, &info));
		CHECK(0, info.creator_pid);
	}));
	close(open);
	close(closed);
}

/* Root of a user namespace has no say over what was not made in it or below it. */
TEST_F(server, container_with_users_of_its_own)
{
	int open = make_named(self->dev, NAME, PAGE, 0);
	int closed = make_named(self->dev, NAME "-closed", PAGE, 0);
	struct ipm_info info;
	int pair[2], fd;

	ASSERT_FD(open);
	ASSERT_FD(closed);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, call_set(open, IPM_SET_MODE, 0644, 0, 0, 0));
	ASSERT_EQ(0, IN_CONTAINER(CLONE_NEWUSER, {
		int dev = open_device();

		CHECK(1, dev >= 0);
		CHECK(0, geteuid());
		CHECK(-EACCES, call_open(dev, ref_name(NAME "-closed"), IPM_READ_ONLY));
		CHECK(-EPERM, call_remove(dev, ref_name(NAME "-closed")));
		CHECK(-EACCES, call_open(dev, ref_name(NAME), IPM_READ_WRITE));
		CHECK(-EPERM, call_clear_claims(call_open(dev, ref_name(NAME), IPM_READ_ONLY)));
		CHECK(1, make_named(dev, NAME "-inside", PAGE, 0) >= 0);
	}));
	ASSERT_EQ(-ENOENT, call_info_by(self->dev, ref_name(NAME "-inside"), &info));
	/* With a network of its own, too, it has all rights over what is in it. */
	ASSERT_EQ(0, IN_CONTAINER(CLONE_NEWUSER | CLONE_NEWNET, {
		int dev = open_device();
		int mine = call_create(dev, ref_name("inside"), PAGE, 0, 0, IPM_READ_WRITE, 0600,
				       NULL);

		CHECK(1, mine >= 0);
		CHECK(0, IN_CHILD({
			CHECK(0, become(5, 5));
			CHECK(-EACCES, call_open(dev, ref_name("inside"), IPM_READ_ONLY));
			CHECK(1, call_create(dev, ref_name("of-5"), PAGE, 0, IPM_CREATE_PERSISTENT,
					     IPM_READ_WRITE, 0600, NULL) >= 0);
		}));
		CHECK(1, call_open(dev, ref_name("of-5"), IPM_READ_WRITE) >= 0);
		CHECK(0, send_fd(pair[1], mine));
	}));
	/* Seen from outside, it belongs to the user that its root is there. */
	fd = receive_fd(pair[0]);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(CONTAINER_UID, info.uid);
	EXPECT_EQ(CONTAINER_UID, info.cuid);
	close(fd);
	close(pair[0]);
	close(pair[1]);
	close(open);
	close(closed);
}

/* In a child of a container: claims one byte of each segment, and stays. */
static void hold_bytes(int first, int second, int at)
{
	CHECK(0, call_claim(call_reopen(first, IPM_READ_WRITE), at, 1, WRITE, 0, NULL));
	CHECK(0, call_claim(call_reopen(second, IPM_READ_WRITE), at, 1, WRITE, 0, NULL));
	for (;;)
		pause();
}

/* A container that is killed as a whole leaves no claims, no waiters and no segments. */
TEST_F_TIMEOUT(server, container_killed, 120)
{
	const unsigned int processes = 5;
	int fd = make_private(self->dev, PAGE, 0);
	int pair[2], inside, status;
	struct ipm_claim claim = claim_arg(0, processes, WRITE, IPM_CLAIM_TRY);
	struct ipm_info info;
	pid_t first;

	ASSERT_FD(fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	first = START_CONTAINER(CLONE_NEWNET);
	if (!first) {
		int dev = open_device();
		int mine = call_create(dev, ref_name("inside"), PAGE, 0, IPM_CREATE_PERSISTENT,
				       IPM_READ_WRITE, 0666, NULL);

		CHECK(1, mine >= 0);
		for (unsigned int i = 0; i <= processes; i++) {
			pid_t child = fork();

			CHECK(1, child >= 0);
			/* The last one waits for the byte of the first. */
			if (!child)
				hold_bytes(fd, mine, i % processes);
			if (i == processes - 1)
				CHECK(1, wait_until(count_claims(mine) == processes));
		}
		CHECK(1, wait_until(count_waiters(fd) == 1));
		CHECK(0, send_fd(pair[1], mine));
		for (;;)
			pause();
	}
	close(pair[1]);
	inside = receive_fd(pair[0]);
	ASSERT_LT(0, inside);
	ASSERT_EQ(0, call_info(inside, &info));
	EXPECT_EQ(first, info.creator_pid);
	ASSERT_CLAIMS(fd, processes, 1, 0);
	ASSERT_EQ(-EAGAIN, call_claim_arg(fd, &claim));

	ASSERT_EQ(0, kill(first, SIGKILL));
	ASSERT_EQ(first, waitpid(first, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	/* The kernel ends a container's first process after all others. */
	ASSERT_CLAIMS(fd, 0, 0, processes);
	ASSERT_CLAIMS(inside, 0, 0, processes);
	claim = claim_arg(0, processes, WRITE, IPM_CLAIM_TRY);
	ASSERT_EQ(0, call_claim_arg(fd, &claim));
	EXPECT_EQ((unsigned int)IPM_GRANT_IN_DOUBT, claim.result);
	/* Its segments are found by nobody any more, and end with our handle. */
	ASSERT_TRUE(wait_until(state_of(inside) & IPM_STATE_REMOVED));
	close(inside);
	close(pair[0]);
	close(fd);
}

/* --- limits --- */

/* All processes of a user together have his limits; others go on beside him. */
TEST_F(server, one_user_at_his_limits)
{
	ASSERT_EQ(0, write_text(PARAMETERS "max_bytes", "65536"));
	ASSERT_EQ(0, write_text(PARAMETERS "max_segments", "4"));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		CHECK(1, make_private(self->dev, 65536, 0) >= 0);
		/* Another process of his gains nothing, one of another user does. */
		CHECK(0, IN_CHILD(CHECK(-ENOSPC, make_private(self->dev, PAGE, 0))));
	}));
	ASSERT_EQ(0, IN_CHILD({
		int socket[2];
		pid_t greedy;
		char byte = 0;

		CHECK(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket));
		greedy = fork();
		CHECK(1, greedy >= 0);
		if (!greedy) {
			close(socket[0]);
			CHECK(0, become(1234, 1234));
			while (make_private(self->dev, PAGE, 0) >= 0)
				;
			CHECK(1, write(socket[1], &byte, 1));
			/* Until the other end is closed. */
			CHECK(0, read(socket[1], &byte, 1));
			_exit(0);
		}
		close(socket[1]);
		CHECK(1, read(socket[0], &byte, 1));
		CHECK(0, become(1235, 1235));
		for (int i = 0; i < 4; i++) {
			int fd = make_private(self->dev, 4 * PAGE, 0);

			CHECK(1, fd >= 0);
			CHECK(0, call_claim(fd, 0, 1, WRITE, 0, NULL));
		}
		CHECK(-ENOSPC, make_private(self->dev, PAGE, 0));
	}));
}

TEST_HARNESS_MAIN
