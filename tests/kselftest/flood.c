// SPDX-License-Identifier: GPL-2.0
/*
 * One user tries to keep others from hearing what happens: with more events than the
 * kernel keeps, with sockets that hear and are never read, with lists that are begun
 * and never read to their end. Another one hears of all that happens to his segments,
 * and has his lists.
 *
 * One CPU: then events are told when those who make them have nothing to do.
 *
 * vm: SMP=1 TIMEOUT=600
 */
#include "netlink_test.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define FLOODER		4101
#define VICTIM		4102
#define LISTENERS	128	/* that one user may have */
#define QUEUE		8192	/* events of one user's segments that wait to be told */
#define RT_RUNTIME	"/proc/sys/kernel/sched_rt_runtime_us"

FIXTURE(flood)
{
	struct counts before;
	char runtime[32];
	int dev;
};

FIXTURE_SETUP(flood)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	read_text(RT_RUNTIME, self->runtime, sizeof(self->runtime));
}

FIXTURE_TEARDOWN(flood)
{
	write_text(RT_RUNTIME, self->runtime);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

/* A socket that belongs to a user, who subscribed; it is handed to us to look at. */
static int listener_of(uid_t uid, struct nl *nl)
{
	int pair[2], status;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	status = IN_CHILD({
		CHECK(0, become(uid, uid));
		CHECK(0, nl_open(nl));
		CHECK(0, nl_subscribe(nl, IPM_NL_GROUP_LIFE, 0));
		CHECK(0, send_fd(pair[1], nl->fd));
	});
	memset(nl, 0, sizeof(*nl));
	nl->fd = status ? -1 : receive_fd(pair[0]);
	nl->room = NL_BUFFER;
	nl->buffer = malloc(NL_BUFFER);
	close(pair[0]);
	close(pair[1]);
	return nl->fd;
}

/* While these run, nothing else does. */
static int come_first(bool first)
{
	const struct sched_param priority = { .sched_priority = first };

	return sched_setscheduler(0, first ? SCHED_FIFO : SCHED_OTHER, &priority) ? -errno : 0;
}

/* Makes, changes and ends a segment: so many events, and two. Runs in a child. */
static void make_events(int dev, uid_t uid, int events)
{
	int fd;

	CHECK(0, become(uid, uid));
	fd = make_private(dev, PAGE, PAGE);
	CHECK(1, fd >= 0);
	for (int i = 0; i < events; i++)
		CHECK(0, call_set(fd, IPM_SET_MODE, 0600, 0, 0, 0));
	close(fd);
}

/* What a listener has heard, which has to come without a gap. */
struct heard {
	uint64_t seq;
	uint64_t events;
	uint64_t gone;
	uint64_t lost;
	bool overrun;
};

/* Reads until a segment has ended, and then what is there. */
static int hear_all(struct nl *nl, struct heard *heard, uint64_t gone)
{
	for (;;) {
		struct pollfd p = { .fd = nl->fd, .events = POLLIN };
		struct nlmsghdr *m = (struct nlmsghdr *)nl->buffer;
		ssize_t size;

		if (poll(&p, 1, heard->gone < gone ? PATIENCE_MS : 0) != 1)
			return heard->gone < gone ? -ETIME : 0;
		size = nl_read(nl, 0);
		if (size == -ENOBUFS)
			heard->overrun = true;
		if (size < 0 && size != -ENOBUFS)
			return size;
		for (; size > 0 && NLMSG_OK(m, size); m = NLMSG_NEXT(m, size)) {
			uint64_t lost = 0;

			switch (nl_num(m, IPM_NL_A_EVENT)) {
			case IPM_NL_EVENT_LOST:
				lost = nl_num(m, IPM_NL_A_COUNT);
				break;
			case IPM_NL_EVENT_GONE:
				heard->gone++;
				/* fall through */
			default:
				heard->events++;
				heard->seq++;
			}
			heard->lost += lost;
			heard->seq += lost;
			if (nl_num(m, IPM_NL_A_SEQ) != heard->seq && !heard->overrun) {
				note("number %llu, expected %llu",
				     (unsigned long long)nl_num(m, IPM_NL_A_SEQ),
				     (unsigned long long)heard->seq);
				return -EBADMSG;
			}
		}
	}
}

/* More events of one user than are kept cost another none of his. */
TEST_F_TIMEOUT(flood, of_events, 500)
{
	const int flood = QUEUE + 1000, few = 100;
	struct heard heard = { 0 };
	uint64_t round;
	struct nl nl, deaf;

	ASSERT_FD(listener_of(VICTIM, &nl));
	ASSERT_FD(listener_of(FLOODER, &deaf));
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));
	ASSERT_EQ(0, write_text(RT_RUNTIME, "-1"));
	/* They have to wait for nothing; if they do, some is told meanwhile. */
	for (round = 0; !heard.lost && round < 20; round++) {
		ASSERT_EQ(0, come_first(true));
		ASSERT_EQ(0, IN_CHILD({ make_events(self->dev, FLOODER, flood); }));
		ASSERT_EQ(0, IN_CHILD({ make_events(self->dev, VICTIM, few); }));
		ASSERT_EQ(0, come_first(false));
		ASSERT_EQ(0, hear_all(&nl, &heard, 2 * round + 1));
		/* What was lost is told when all else was, and before what comes then. */
		ASSERT_EQ(0, IN_CHILD({ make_events(self->dev, VICTIM, 0); }));
		ASSERT_EQ(0, hear_all(&nl, &heard, 2 * round + 2));
		ASSERT_EQ(false, heard.overrun);
		ASSERT_EQ((round + 1) * (few + 4), heard.events);
	}
	note("%llu of %llu events of the flood were lost", (unsigned long long)heard.lost,
	     (unsigned long long)round * (flood + 2));
	EXPECT_LT(0, heard.lost);
	EXPECT_LE(heard.lost, round * (flood + 2 - QUEUE));
	nl_close(&nl);
	nl_close(&deaf);
}

#define SOCKETS		300
#define SEGMENTS	100

/* All that a user may have of sockets that hear and lists that are not read. */
static void exhaust(int dev, int full, int done)
{
	const struct rlimit files = { 4096, 4096 };
	struct nl nl, half;
	int fd, status;
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(0, setrlimit(RLIMIT_NOFILE, &files));
	CHECK(0, become(FLOODER, FLOODER));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < SEGMENTS; i++)
		CHECK(1, make_private(dev, PAGE, PAGE) >= 0);
	for (int i = 0; i < LISTENERS; i++) {
		CHECK(0, nl_open(&nl));
		CHECK(0, nl_subscribe(&nl, IPM_NL_GROUP_LIFE, 0));
	}
	CHECK(0, nl_open(&nl));
	CHECK(-ENOSPC, nl_subscribe(&nl, IPM_NL_GROUP_LIFE, 0));
	/* Nor in a namespace of his own. */
	status = IN_CHILD({
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(77);
		CHECK(0, nl_open(&nl));
		CHECK(-ENOSPC, nl_subscribe(&nl, IPM_NL_GROUP_LIFE, 0));
	});
	if (WEXITSTATUS(status) == 77)
		note("users may not make namespaces here");
	else
		CHECK(0, status);
	for (int i = 0; i < SOCKETS; i++) {
		struct request r;

		CHECK(0, nl_open_room(&half, 2048));
		half.room = NL_BUFFER;
		r = request_new(half.family, NLM_F_DUMP, IPM_NL_CMD_SEGMENTS, IPM_NL_VERSION);
		CHECK(0, nl_send(&half, &r));
		/* The first part; the rest stays where it is. */
		if (i & 1)
			CHECK(1, nl_read(&half, 0) > 0);
		/* And of the sockets that hear. */
		if (i & 2)
			CHECK(0, nl_send(&nl, &r));
		free(half.buffer);
	}
	fd = make_private(dev, PAGE, PAGE);
	for (int i = 0; i < 500; i++)
		CHECK(0, call_set(fd, IPM_SET_MODE, 0600, 0, 0, 0));
	CHECK(1, write(full, &byte, 1));
	CHECK(0, read(done, &byte, 1));
	_exit(0);
}

static void own_segments(struct nlmsghdr *m, void *data)
{
	if (nl_num(m, IPM_NL_A_UID) == VICTIM)
		++*(int *)data;
}

/* Sockets that are not read, as many as there may be, are nothing to others. */
TEST_F_TIMEOUT(flood, of_sockets, 500)
{
	struct heard heard = { 0 };
	int full[2], done[2], status;
	struct nl nl;
	char byte;
	pid_t pid;

	ASSERT_FD(listener_of(VICTIM, &nl));
	ASSERT_EQ(0, pipe2(full, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(done, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(full[0]);
		close(done[1]);
		exhaust(self->dev, full[1], done[0]);
	}
	close(full[1]);
	close(done[0]);
	ASSERT_EQ(1, read(full[0], &byte, 1));

	ASSERT_EQ(0, IN_CHILD({ make_events(self->dev, VICTIM, 200); }));
	ASSERT_EQ(0, hear_all(&nl, &heard, 1));
	EXPECT_EQ(false, heard.overrun);
	EXPECT_EQ(0, heard.lost);
	EXPECT_EQ(202, heard.events);
	ASSERT_EQ(0, IN_CHILD({
		int fds[3];
		int seen = 0;
		struct nl mine;

		CHECK(0, become(VICTIM, VICTIM));
		for (int i = 0; i < 3; i++)
			fds[i] = make_private(self->dev, PAGE, PAGE);
		CHECK(0, nl_open(&mine));
		CHECK(3, nl_dump(&mine, IPM_NL_CMD_SEGMENTS, 0, own_segments, &seen));
		CHECK(3, seen);
		CHECK(1, nl_dump(&mine, IPM_NL_CMD_LIMITS, 0, NULL, NULL));
		for (int i = 0; i < LISTENERS - 1; i++) {
			CHECK(0, nl_subscribe(&mine, IPM_NL_GROUP_LIFE, 0));
			CHECK(0, nl_open(&mine));
		}
		close(fds[0]);
	}));

	/* His death gives all of it back. */
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, IN_CHILD({
		struct nl mine;

		CHECK(0, become(FLOODER, FLOODER));
		CHECK(0, nl_open(&mine));
		CHECK(1, wait_until(nl_subscribe(&mine, IPM_NL_GROUP_LIFE, 0) == 0));
		CHECK(0, nl_dump(&mine, IPM_NL_CMD_SEGMENTS, 0, NULL, NULL));
	}));
	nl_close(&nl);
	close(full[0]);
	close(done[1]);
}

TEST_HARNESS_MAIN
