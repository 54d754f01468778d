// SPDX-License-Identifier: GPL-2.0
/*
 * Segments belong to a network namespace: those of one container do not meet
 * those of another, and end with it.
 */
#include "ipm_test.h"

#define NAME	"test-namespace"

/* Exit status of a child that could not make a namespace. */
#define NO_NAMESPACE	77

FIXTURE(namespace)
{
	struct counts before;
	int dev;
};

FIXTURE_SETUP(namespace)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
}

FIXTURE_TEARDOWN(namespace)
{
	close(self->dev);
	/* A namespace ends a while after its last process. */
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

#define NEEDS_NAMESPACES()                                                    \
	do {                                                                  \
		if (IN_CHILD(_exit(unshare(CLONE_NEWNET) ? 1 : 0)))           \
			SKIP(return, "no network namespaces here");           \
	} while (0)

/* In a child: a namespace of its own, and its device. */
static int enter_namespace(void)
{
	int dev;

	if (unshare(CLONE_NEWNET))
		_exit(NO_NAMESPACE);
	dev = open_device();
	CHECK(1, dev >= 0);
	return dev;
}

static uint32_t id_of(int fd)
{
	struct ipm_info info;

	return call_info(fd, &info) ? 0 : info.ref.id;
}

/* Two containers with the same name do not meet. */
TEST_F(namespace, same_name)
{
	int fd = make_named(self->dev, NAME, PAGE, 0);
	int key = call_create(self->dev, ref_key(4), PAGE, 0, 0, IPM_READ_WRITE, 0666, NULL);
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	NEEDS_NAMESPACES();
	ASSERT_MAPPED(map);
	ASSERT_FD(key);
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0666, 0, 0, 0));
	strcpy(map, "outside");
	ASSERT_EQ(0, IN_CHILD({
		int dev = enter_namespace();
		struct ipm_create out;
		struct ipm_info info;
		int mine;
		char *inside;

		CHECK(-ENOENT, call_open(dev, ref_name(NAME), IPM_READ_ONLY));
		CHECK(-ENOENT, call_open(dev, ref_key(4), IPM_READ_ONLY));
		CHECK(-ENOENT, call_open(dev, ref_id(id_of(fd)), IPM_READ_ONLY));
		CHECK(-ENOENT, call_info_by(dev, ref_name(NAME), &info));
		CHECK(-ENOENT, call_remove(dev, ref_name(NAME)));
		mine = call_create(dev, ref_name(NAME), PAGE, 0, 0, IPM_READ_WRITE, 0600, &out);
		CHECK(1, mine >= 0);
		CHECK(1, out.created);
		inside = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mine, 0);
		CHECK(0, inside[0]);
		strcpy(inside, "inside");
		CHECK(0, call_remove(dev, ref_name(NAME)));
		/* Handles of both keep to their own. */
		CHECK(0, call_info(fd, &info));
		CHECK(0, info.state);
		CHECK(0, call_info(mine, &info));
		CHECK(IPM_STATE_REMOVED, info.state);
		CHECK(0, strcmp(map, "outside"));
	}));
	EXPECT_STREQ("outside", map);
	ASSERT_STATE(fd, 0);
	munmap(map, PAGE);
	close(fd);
	close(key);
}

/* A device that was opened outside stays the door to the outside. */
TEST_F(namespace, device_of_another)
{
	int fd = make_named(self->dev, NAME, PAGE, 0);

	NEEDS_NAMESPACES();
	ASSERT_FD(fd);
	ASSERT_EQ(0, IN_CHILD({
		int dev = enter_namespace();
		struct ipm_info info;
		int mine = make_named(dev, NAME, 2 * PAGE, 0);

		CHECK(1, mine >= 0);
		CHECK(0, call_info_by(self->dev, ref_name(NAME), &info));
		CHECK(PAGE, info.size);
		CHECK(0, call_info_by(dev, ref_name(NAME), &info));
		CHECK(2 * PAGE, info.size);
		/* A handle names segments of its own namespace. */
		CHECK(0, call_remove(fd, ref_name(NAME)));
		CHECK(0, call_info(mine, &info));
		CHECK(0, info.state);
		CHECK(0, call_info(fd, &info));
		CHECK(IPM_STATE_REMOVED, info.state);
	}));
	ASSERT_STATE(fd, IPM_STATE_REMOVED);
	close(fd);
}

/* Two that share a namespace share segments; one can enter it later. */
TEST_F(namespace, entered)
{
	int ready[2], done[2], status, ns;
	char path[64], byte = 0;
	pid_t child;

	NEEDS_NAMESPACES();
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(done));
	child = fork();
	if (!child) {
		int dev = enter_namespace();
		int fd = make_named(dev, NAME, PAGE, 0);

		close(done[1]);
		CHECK(1, fd >= 0);
		CHECK(1, write(ready[1], &byte, 1));
		CHECK(0, read(done[0], &byte, 1));
		_exit(0);
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	snprintf(path, sizeof(path), "/proc/%d/ns/net", child);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_FD(ns);
	ASSERT_EQ(-ENOENT, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
	ASSERT_EQ(0, IN_CHILD({
		/* The open device does not follow, a new one is of the new namespace. */
		CHECK(0, setns(ns, CLONE_NEWNET));
		CHECK(-ENOENT, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
		CHECK(1, call_open(open_device(), ref_name(NAME), IPM_READ_WRITE) >= 0);
	}));
	close(ns);
	close(done[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
}

/* What is persistent ends with its namespace. */
TEST_F(namespace, persistent_ends)
{
	NEEDS_NAMESPACES();
	ASSERT_EQ(0, IN_CHILD({
		int dev = enter_namespace();

		for (int i = 1; i <= 20; i++) {
			struct ipm_ref ref = i & 1 ? ref_key(i) : i & 2 ? ref_name(NAME) : ref_none();
			int fd = call_create(dev, ref, PAGE, 0, IPM_CREATE_PERSISTENT,
					     IPM_READ_WRITE, 0600, NULL);

			CHECK(1, fd >= 0);
			close(fd);
		}
	}));
	EXPECT_COUNTS_SOON(self->before);
}

/* A handle and a mapping that outlive the namespace go on working. */
TEST_F(namespace, handle_outlives)
{
	int pair[2], fd, again;
	struct ipm_info info;
	uint64_t id;
	char *map;

	NEEDS_NAMESPACES();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, IN_CHILD({
		int dev = enter_namespace();

		fd = call_create(dev, ref_name(NAME), PAGE, 4 * PAGE, IPM_CREATE_PERSISTENT,
				 IPM_READ_WRITE, 0600, NULL);
		CHECK(1, fd >= 0);
		CHECK(0, send_fd(pair[0], fd));
		/* This one tells when the namespace has ended. */
		CHECK(1, call_create(dev, ref_none(), PAGE, 0, IPM_CREATE_PERSISTENT,
				     IPM_READ_WRITE, 0600, NULL) >= 0);
	}));
	fd = receive_fd(pair[1]);
	ASSERT_FD(fd);
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(map);
	ASSERT_TRUE(wait_until(count_of("segments") == 1));

	ASSERT_EQ(0, call_info(fd, &info));
	EXPECT_EQ(IPM_STATE_PERSISTENT | IPM_STATE_REMOVED, info.state);
	EXPECT_EQ(-EIDRM, call_remove(fd, ref_none()));
	EXPECT_EQ(-EIDRM, call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, 1));
	EXPECT_EQ(-EIDRM, call_link(fd, ref_key(3)));
	EXPECT_EQ(-ENOENT, call_remove(fd, ref_name(NAME)));
	ASSERT_EQ(0, call_grow(fd, 2 * PAGE, 0));
	map[PAGE] = 1;
	again = call_reopen(fd, IPM_READ_WRITE);
	ASSERT_FD(again);
	ASSERT_EQ(0, call_claim(fd, 0, 10, WRITE, 0, &id));
	EXPECT_EQ(-EAGAIN, call_claim(again, 0, 10, READ, IPM_CLAIM_TRY, NULL));
	ASSERT_EQ(0, call_release(fd, id));
	ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0644, 0, 0, 0));
	close(fd);
	close(again);
	EXPECT_EQ(1, map[PAGE]);
	ASSERT_EQ(1, count_of("segments"));
	munmap(map, 4 * PAGE);
	ASSERT_COUNTS(self->before);
	close(pair[0]);
	close(pair[1]);
}

/* An open device keeps its namespace, as a socket does. */
TEST_F(namespace, device_outlives)
{
	int pair[2], dev, fd;

	NEEDS_NAMESPACES();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, IN_CHILD({
		dev = enter_namespace();
		CHECK(1, call_create(dev, ref_name(NAME), PAGE, 0, IPM_CREATE_PERSISTENT,
				     IPM_READ_WRITE, 0600, NULL) >= 0);
		CHECK(0, send_fd(pair[0], dev));
	}));
	dev = receive_fd(pair[1]);
	ASSERT_FD(dev);
	fd = call_open(dev, ref_name(NAME), IPM_READ_WRITE);
	ASSERT_FD(fd);
	close(fd);
	fd = call_create(dev, ref_key(1), PAGE, 0, IPM_CREATE_PERSISTENT, IPM_READ_WRITE, 0600,
			 NULL);
	ASSERT_FD(fd);
	close(fd);
	ASSERT_EQ(-ENOENT, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
	close(dev);
	close(pair[0]);
	close(pair[1]);
	EXPECT_COUNTS_SOON(self->before);
}

/* What ends with the namespace ends waits that asked for that. */
TEST_F(namespace, end_is_removal)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_UNTIL_REMOVED);
	int pair[2], fd, other;
	struct actor actor;
	uint64_t id;

	NEEDS_NAMESPACES();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, IN_CHILD({
		int dev = enter_namespace();

		CHECK(0, send_fd(pair[0], make_named(dev, NAME, PAGE, 0)));
		CHECK(0, send_fd(pair[0], dev));
	}));
	fd = receive_fd(pair[1]);
	other = call_reopen(fd, IPM_READ_WRITE);
	ASSERT_FD(other);
	ASSERT_EQ(0, actor_start(&actor, true));
	ASSERT_EQ(0, call_claim(fd, 0, 10, READ, 0, &id));
	ASSERT_WAITS_ARG(&actor, other, arg, 1);
	close(receive_fd(pair[1]));
	ASSERT_EQ(-EIDRM, actor_result(&actor));
	ASSERT_STATE(fd, IPM_STATE_REMOVED);
	ASSERT_CLAIMS(fd, 1, 0, 0);
	actor_stop(&actor);
	close(fd);
	close(other);
	close(pair[0]);
	close(pair[1]);
}

/* An unprivileged user makes a user namespace and a network namespace in it. */
#define AS_USER_WITH_NAMESPACES(uid, ...)                                     \
	IN_CHILD({                                                            \
		char map_[64];                                                \
		CHECK(0, become(uid, uid));                                   \
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))                    \
			_exit(NO_NAMESPACE);                                  \
		prctl(PR_SET_DUMPABLE, 1);                                    \
		snprintf(map_, sizeof(map_), "0 %d 1\n", uid);                \
		CHECK(0, write_text("/proc/self/uid_map", map_));             \
		__VA_ARGS__;                                                  \
	})

TEST_F(namespace, of_a_user)
{
	int status = AS_USER_WITH_NAMESPACES(1234, {
		int dev = open_device();
		struct ipm_info info;
		int fd = call_create(dev, ref_name(NAME), PAGE, 0, IPM_CREATE_PERSISTENT,
				     IPM_READ_WRITE, 0, NULL);

		CHECK(1, fd >= 0);
		CHECK(0, call_info(fd, &info));
		CHECK(0, info.uid);
		/* He is root there: CAP_IPC_OWNER opens what the mode does not. */
		CHECK(1, call_open(dev, ref_name(NAME), IPM_READ_WRITE) >= 0);
		CHECK(0, call_set(fd, IPM_SET_MODE, 0644, 0, 0, 0));
		/* Without it he is a user whom mode 0 keeps out. */
		CHECK(0, call_set(fd, IPM_SET_MODE, 0, 0, 0, 0));
		CHECK(0, IN_CHILD({
			if (unshare(CLONE_NEWUSER))
				_exit(0);
			CHECK(-EACCES, call_open(dev, ref_name(NAME), IPM_READ_ONLY));
		}));
		/* What is outside is as far away as ever. */
		CHECK(-ENOENT, call_open(self->dev, ref_name(NAME), IPM_READ_ONLY));
	});

	if (WEXITSTATUS(status) == NO_NAMESPACE)
		SKIP(return, "users may not make namespaces here");
	ASSERT_EQ(0, status);
}

/* Root of one user namespace is nobody to another one's segments. */
TEST_F(namespace, of_two_users)
{
	int pair[2], status;

	NEEDS_NAMESPACES();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	status = AS_USER_WITH_NAMESPACES(1234, {
		int dev = open_device();

		CHECK(1, call_create(dev, ref_name(NAME), PAGE, 0, IPM_CREATE_PERSISTENT,
				     IPM_READ_WRITE, 0600, NULL) >= 0);
		CHECK(0, send_fd(pair[0], dev));
	});
	if (WEXITSTATUS(status) == NO_NAMESPACE)
		SKIP(return, "users may not make namespaces here");
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, AS_USER_WITH_NAMESPACES(1235, {
		int dev = receive_fd(pair[1]);

		CHECK(-EACCES, call_open(dev, ref_name(NAME), IPM_READ_ONLY));
		CHECK(-EPERM, call_remove(dev, ref_name(NAME)));
		CHECK(1, make_named(dev, "mine", PAGE, 0) >= 0);
	}));
	close(pair[0]);
	close(pair[1]);
}

/* A user's limits hold for everybody in the user namespaces that he makes. */
TEST_F(namespace, limits)
{
	char limit[32];
	int status;

	NEEDS_NAMESPACES();
	read_text(PARAMETERS "max_segments", limit, sizeof(limit));
	ASSERT_EQ(0, write_text(PARAMETERS "max_segments", "3"));
	status = IN_CHILD({
		struct ipm_limits limits;
		int dev;

		CHECK(0, become(1234, 1234));
		CHECK(1, make_private(self->dev, PAGE, 0) >= 0);
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(NO_NAMESPACE);
		dev = open_device();
		CHECK(0, call_limits(dev, &limits));
		CHECK(1, limits.segments);
		CHECK(3, limits.segments_max);
		CHECK(1, make_private(dev, PAGE, 0) >= 0);
		/* One in the other does not help. */
		if (!unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
			dev = open_device();
			CHECK(1, make_private(dev, PAGE, 0) >= 0);
			CHECK(-ENOSPC, make_private(dev, PAGE, 0));
			CHECK(0, call_limits(dev, &limits));
			CHECK(3, limits.segments);
			CHECK(3 * PAGE, limits.bytes);
		}
	});
	ASSERT_EQ(0, write_text(PARAMETERS "max_segments", limit));
	if (WEXITSTATUS(status) == NO_NAMESPACE)
		SKIP(return, "users may not make namespaces here");
	ASSERT_EQ(0, status);
}

/* Namespaces end while others use what is in them. */
TEST_F_TIMEOUT(namespace, end_while_used, 120)
{
	NEEDS_NAMESPACES();
	for (int round = 0; round < 20; round++) {
		int pair[2], go[2], status, fd;
		pid_t user, child;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		ASSERT_EQ(0, pipe(go));
		child = fork();
		if (!child) {
			int dev = enter_namespace();
			char byte;

			close(go[1]);
			fd = call_create(dev, ref_none(), PAGE, 4 * PAGE, IPM_CREATE_PERSISTENT,
					 IPM_READ_WRITE, 0600, NULL);
			CHECK(0, send_fd(pair[0], fd));
			CHECK(0, read(go[0], &byte, 1));
			_exit(0);
		}
		close(go[0]);
		fd = receive_fd(pair[1]);
		ASSERT_FD(fd);
		user = fork();
		if (!user) {
			int linked = -EEXIST;

			close(go[1]);
			/* Until the namespace is gone. */
			while (linked == -EEXIST || linked == 0) {
				struct ipm_info info;
				int again = call_reopen(fd, IPM_READ_WRITE);

				CHECK(1, again >= 0);
				CHECK(0, call_info(again, &info));
				linked = call_link(again, ref_name(NAME));
				call_set(again, IPM_SET_LIFETIME, 0, 0, 0, 0);
				call_set(again, IPM_SET_LIFETIME, 0, 0, 0, 1);
				CHECK(0, call_claim(again, 0, 1, WRITE, 0, NULL));
				close(again);
			}
			CHECK(-EIDRM, linked);
			_exit(0);
		}
		close(fd);
		close(go[1]);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
		ASSERT_EQ(user, waitpid(user, &status, 0));
		ASSERT_EQ(0, status);
		close(pair[0]);
		close(pair[1]);
	}
}

TEST_HARNESS_MAIN
