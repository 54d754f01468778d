// SPDX-License-Identifier: GPL-2.0
/*
 * Who may open, change and remove a segment: as in System V IPC, owner or
 * creator, group, others, and CAP_IPC_OWNER above all.
 */
#include "ipm_test.h"

#include <linux/capability.h>

#define NAME	"test-permission"

#define CREATOR		1000
#define OWNER		1001
#define NOBODY		9998
#define CREATOR_GROUP	2000
#define GROUP		2001
#define NO_GROUP	9999

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].effective = caps >> (32 * i);
		data[i].permitted = data[i].effective;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Somebody: effective ids, one group beside the effective one, capabilities. */
struct person {
	const char *name;
	uid_t uid;
	gid_t gid;
	gid_t supplementary;
	uint64_t caps;
};

#define IPC_OWNER	(1ULL << CAP_IPC_OWNER)

static const struct person people[] = {
	{ "creator", CREATOR, NO_GROUP, NO_GROUP, 0 },
	{ "owner", OWNER, NO_GROUP, NO_GROUP, 0 },
	{ "owner, in the group", OWNER, GROUP, GROUP, 0 },
	{ "creator's group", NOBODY, CREATOR_GROUP, NO_GROUP, 0 },
	{ "group", NOBODY, GROUP, NO_GROUP, 0 },
	{ "supplementary group", NOBODY, NO_GROUP, GROUP, 0 },
	{ "others", NOBODY, NO_GROUP, NO_GROUP, 0 },
	{ "root without capabilities", 0, 0, 0, 0 },
	{ "root with all but one", 0, 0, 0, ((1ULL << (CAP_LAST_CAP + 1)) - 1) & ~IPC_OWNER },
	{ "others with CAP_IPC_OWNER", NOBODY, NO_GROUP, NO_GROUP, IPC_OWNER },
};

static void become_person(const struct person *p)
{
	CHECK(0, setgroups(1, &p->supplementary));
	CHECK(0, prctl(PR_SET_KEEPCAPS, 1));
	CHECK(0, setresgid(p->gid, p->gid, p->gid));
	CHECK(0, setresuid(p->uid, p->uid, p->uid));
	CHECK(0, set_caps(p->caps));
}

static bool owns(const struct person *p)
{
	return p->uid == CREATOR || p->uid == OWNER || p->caps & IPC_OWNER;
}

static bool may(const struct person *p, uint32_t mode, uint32_t access)
{
	uint32_t wanted = access == IPM_READ_WRITE ? 06 : 04;

	if (p->caps & IPC_OWNER)
		return true;
	if (p->uid == CREATOR || p->uid == OWNER)
		mode >>= 6;
	else if (p->gid == GROUP || p->gid == CREATOR_GROUP || p->supplementary == GROUP ||
		 p->supplementary == CREATOR_GROUP)
		mode >>= 3;
	return (mode & wanted) == wanted;
}

FIXTURE(permission)
{
	struct counts before;
	int dev;
	int fd;
};

/* Made by the creator, given to the owner and a group. */
static int make_given(int dev, struct ipm_ref ref, uint32_t mode)
{
	int pair[2], fd, status;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	status = IN_CHILD({
		CHECK(0, become(CREATOR, CREATOR_GROUP));
		fd = call_create(dev, ref, PAGE, 4 * PAGE, 0, IPM_READ_WRITE, mode, NULL);
		CHECK(1, fd >= 0);
		CHECK(0, call_set(fd, IPM_SET_UID | IPM_SET_GID, 0, OWNER, GROUP, 0));
		CHECK(0, send_fd(pair[0], fd));
	});
	fd = status ? -ECHILD : receive_fd(pair[1]);
	close(pair[0]);
	close(pair[1]);
	return fd;
}

FIXTURE_SETUP(permission)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_given(self->dev, ref_name(NAME), 0640);
	ASSERT_FD(self->fd);
}

FIXTURE_TEARDOWN(permission)
{
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

TEST_F(permission, ids)
{
	struct ipm_info info;

	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(OWNER, info.uid);
	EXPECT_EQ(GROUP, info.gid);
	EXPECT_EQ(CREATOR, info.cuid);
	EXPECT_EQ(CREATOR_GROUP, info.cgid);
	EXPECT_EQ(0640, info.mode);
}

/* Every mode, everybody, both kinds of access, by every way. */
TEST_F_TIMEOUT(permission, every_mode, 60)
{
	static uint32_t ids[64];
	static int fds[64];

	for (int i = 0; i < 64; i++) {
		uint32_t mode = (i & 060) << 3 | (i & 014) << 2 | (i & 03) << 1;
		struct ipm_info info;

		fds[i] = make_given(self->dev, ref_key(i + 1), mode);
		ASSERT_FD(fds[i]);
		ASSERT_EQ(0, call_info(fds[i], &info));
		ASSERT_EQ(mode, info.mode);
		ids[i] = info.ref.id;
	}
	for (size_t p = 0; p < ARRAY_LENGTH(people); p++) {
		ASSERT_EQ(0, IN_CHILD({
			const struct person *who = &people[p];

			become_person(who);
			for (int i = 0; i < 64; i++) {
				uint32_t mode = (i & 060) << 3 | (i & 014) << 2 | (i & 03) << 1;
				struct ipm_info info;

				for (uint32_t access = 0; access < 2; access++) {
					bool yes = may(who, mode, access);
					int fd = call_open(self->dev, ref_key(i + 1), access);

					if ((fd >= 0) != yes)
						note("%s, mode %o, access %u", who->name, mode,
						     access);
					CHECK(yes ? 1 : -EACCES, fd < 0 ? fd : 1);
					close(fd);
					fd = call_open(self->dev, ref_id(ids[i]), access);
					CHECK(yes ? 1 : -EACCES, fd < 0 ? fd : 1);
					close(fd);
					fd = call_create(self->dev, ref_key(i + 1), 1, 0, 0, access,
							 0666, NULL);
					CHECK(yes ? 1 : -EACCES, fd < 0 ? fd : 1);
					close(fd);
				}
				CHECK(may(who, mode, IPM_READ_ONLY) ? 0 : -EACCES,
				      call_info_by(self->dev, ref_key(i + 1), &info));
			}
		}));
	}
	for (int i = 0; i < 64; i++)
		close(fds[i]);
}

/* It is the effective user that counts. */
TEST_F(permission, effective_user)
{
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, setgroups(0, NULL));
		CHECK(0, setresgid(NO_GROUP, NO_GROUP, NO_GROUP));
		CHECK(0, setresuid(NOBODY, OWNER, NOBODY));
		CHECK(1, call_open(self->dev, ref_name(NAME), IPM_READ_WRITE) >= 0);
		CHECK(0, setresuid(OWNER, NOBODY, OWNER));
		CHECK(-EACCES, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
	}));
}

/* Changing, removing, naming and clearing: owner, creator, CAP_IPC_OWNER, whatever the mode. */
TEST_F_TIMEOUT(permission, owners_rights, 60)
{
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0666, 0, 0, 0));
	for (size_t p = 0; p < ARRAY_LENGTH(people); p++) {
		const struct person *who = &people[p];
		int expected = owns(who) ? 0 : -EPERM;
		int private = make_given(self->dev, ref_none(), 0666);
		int named = make_given(self->dev, ref_key(5), 0);
		struct ipm_info before, after;

		ASSERT_FD(private);
		ASSERT_FD(named);
		ASSERT_EQ(0, call_claim(private, 0, 10, READ, 0, NULL));
		ASSERT_EQ(0, call_info(private, &before));
		ASSERT_EQ(0, IN_CHILD({
			become_person(who);
			/* With a handle in hand, which gives no right to this. */
			CHECK(owns(who) ? 1 : -EPERM, call_clear_claims(private));
			CHECK(expected, call_set(private, IPM_SET_MODE, 0644, 0, 0, 0));
			CHECK(expected, call_set(private, IPM_SET_LIFETIME, 0, 0, 0, 0));
			CHECK(expected, call_link(private, ref_key(6)));
			CHECK(expected, call_remove(self->dev, ref_key(5)));
			CHECK(expected, call_remove(private, ref_none()));
		}));
		ASSERT_EQ(0, call_info(private, &after));
		if (expected) {
			ASSERT_EQ(0, memcmp(&before, &after, sizeof(after)));
		} else {
			ASSERT_EQ(0644, after.mode);
			ASSERT_EQ(IPM_STATE_REMOVED, after.state);
		}
		ASSERT_STATE(named, expected ? 0 : IPM_STATE_REMOVED);
		close(private);
		close(named);
	}
}

/* An owner gives it away: that was it, but for the creator. */
TEST_F(permission, given_away)
{
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(OWNER, NO_GROUP));
		CHECK(0, call_set(self->fd, IPM_SET_UID, 0, NOBODY, 0, 0));
		CHECK(-EPERM, call_set(self->fd, IPM_SET_UID, 0, OWNER, 0, 0));
		CHECK(-EACCES, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
		CHECK(-EPERM, call_remove(self->dev, ref_name(NAME)));
	}));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(CREATOR, NO_GROUP));
		CHECK(1, call_open(self->dev, ref_name(NAME), IPM_READ_WRITE) >= 0);
		CHECK(0, call_set(self->fd, IPM_SET_UID, 0, CREATOR, 0, 0));
	}));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(NOBODY, NO_GROUP));
		CHECK(-EPERM, call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0));
	}));
}

/* A handle is what it was when it was opened; only new ones ask again. */
TEST_F(permission, mode_of_yesterday)
{
	int opened[2], closed[2], status;
	char byte = 0;
	pid_t child;

	ASSERT_EQ(0, pipe(opened));
	ASSERT_EQ(0, pipe(closed));
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0666, 0, 0, 0));
	child = fork();
	if (!child) {
		int fd;
		char *map;

		close(closed[1]);
		CHECK(0, become(NOBODY, NO_GROUP));
		fd = call_open(self->dev, ref_name(NAME), IPM_READ_WRITE);
		CHECK(1, fd >= 0);
		CHECK(1, write(opened[1], &byte, 1));
		CHECK(1, read(closed[0], &byte, 1));
		CHECK(-EACCES, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
		map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(1, map != MAP_FAILED);
		map[0] = 1;
		CHECK(0, call_grow(fd, 2 * PAGE, 0));
		CHECK(0, call_claim(fd, 0, 1, WRITE, 0, NULL));
		CHECK(1, call_reopen(fd, IPM_READ_WRITE) >= 0);
		_exit(0);
	}
	close(opened[1]);
	ASSERT_EQ(1, read(opened[0], &byte, 1));
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0, 0, 0, 0));
	ASSERT_EQ(1, write(closed[1], &byte, 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
}

/* Passed over a socket, a handle gives its own access to somebody who could not open it. */
TEST_F(permission, passed_handle)
{
	int pair[2], reader = call_reopen(self->fd, IPM_READ_ONLY);

	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0, 0, 0, 0));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], self->fd));
	ASSERT_EQ(0, send_fd(pair[0], reader));
	close(reader);
	ASSERT_EQ(0, IN_CHILD({
		struct ipm_info info;
		int both[2];
		uint64_t id;

		close(self->fd);
		CHECK(0, become(NOBODY, NO_GROUP));
		both[0] = receive_fd(pair[1]);
		both[1] = receive_fd(pair[1]);
		CHECK(-EACCES, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
		CHECK(0, call_info(both[0], &info));
		CHECK(0, call_info(both[1], &info));
		CHECK(0, call_grow(both[0], 2 * PAGE, 0));
		CHECK(-EBADF, call_grow(both[1], 3 * PAGE, 0));
		CHECK(0, call_claim(both[0], 0, 10, WRITE, 0, &id));
		CHECK(-EAGAIN, call_claim(both[1], 0, 10, READ, IPM_CLAIM_TRY, NULL));
		CHECK(0, call_release(both[0], id));
		CHECK(0, call_claim(both[1], 0, 10, READ, IPM_CLAIM_TRY, NULL));
		CHECK(1, call_reopen(both[0], IPM_READ_ONLY) >= 0);
		CHECK(-EACCES, call_reopen(both[1], IPM_READ_WRITE));
		CHECK(-EPERM, call_set(both[0], IPM_SET_MODE, 0666, 0, 0, 0));
		CHECK(-EPERM, call_remove(both[0], ref_none()));
		CHECK(-EPERM, call_clear_claims(both[0]));
	}));
	close(pair[0]);
	close(pair[1]);
}

/* Removed, and looked for by id: the mode still counts. */
TEST_F(permission, removed)
{
	struct ipm_info info;

	ASSERT_EQ(0, call_info(self->fd, &info));
	ASSERT_EQ(0, call_remove(self->fd, ref_none()));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(NOBODY, NO_GROUP));
		CHECK(-EACCES, call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_id(info.ref.id),
						   IPM_OPEN_REMOVED, IPM_READ_ONLY, NULL));
		CHECK(-EIDRM, call_open(self->dev, ref_id(info.ref.id), IPM_READ_ONLY));
	}));
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(NOBODY, GROUP));
		CHECK(1, call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_id(info.ref.id),
					     IPM_OPEN_REMOVED, IPM_READ_ONLY, NULL) >= 0);
		CHECK(-EACCES, call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_id(info.ref.id),
						   IPM_OPEN_REMOVED, IPM_READ_WRITE, NULL));
	}));
}

/* In a user namespace of one's own one is root, but not here. */
TEST_F(permission, user_namespace)
{
	int status = IN_CHILD({
		struct ipm_info info;

		CHECK(0, become(NOBODY, NO_GROUP));
		if (unshare(CLONE_NEWUSER))
			_exit(77);
		CHECK(-EACCES, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
		CHECK(-EACCES, call_open(open_device(), ref_name(NAME), IPM_READ_ONLY));
		CHECK(-EPERM, call_remove(self->dev, ref_name(NAME)));
		CHECK(-EPERM, call_set(self->fd, IPM_SET_MODE, 0666, 0, 0, 0));
		CHECK(-EPERM, call_clear_claims(self->fd));
		/* Its ids are strangers here. */
		CHECK(0, call_info(self->fd, &info));
		CHECK(65534, info.uid);
		CHECK(65534, info.gid);
		CHECK(65534, info.cuid);
		CHECK(65534, info.cgid);
	});

	if (WEXITSTATUS(status) == 77)
		SKIP(return, "no user namespaces here");
	ASSERT_EQ(0, status);
}

/* An owner in a user namespace can name only those whom it maps. */
TEST_F(permission, set_in_user_namespace)
{
	int status = IN_CHILD({
		struct ipm_info info;
		char map[64];

		CHECK(0, become(OWNER, GROUP));
		if (unshare(CLONE_NEWUSER))
			_exit(77);
		/* The files under /proc/self belong to who may be inspected. */
		prctl(PR_SET_DUMPABLE, 1);
		snprintf(map, sizeof(map), "7 %d 1\n", OWNER);
		CHECK(0, write_text("/proc/self/uid_map", map));
		CHECK(0, call_info(self->fd, &info));
		CHECK(7, info.uid);
		CHECK(65534, info.cuid);
		CHECK(0, call_set(self->fd, IPM_SET_UID, 0, 7, 0, 0));
		CHECK(-EINVAL, call_set(self->fd, IPM_SET_UID, 0, OWNER, 0, 0));
		CHECK(-EINVAL, call_set(self->fd, IPM_SET_GID, 0, 0, GROUP, 0));
		CHECK(0, call_info(self->fd, &info));
		CHECK(7, info.uid);
	});

	if (WEXITSTATUS(status) == 77)
		SKIP(return, "no user namespaces here");
	ASSERT_EQ(0, status);
}

TEST_HARNESS_MAIN
