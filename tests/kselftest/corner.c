// SPDX-License-Identifier: GPL-2.0
/*
 * Corners: what takes a certain order of things, or many of them, and is nobody
 * else's subject. tests/coverage-kmod tells what no test reaches.
 */
#include "module_test.h"
#include "netlink_test.h"

#include <sys/mman.h>

#define CAPACITY	(1UL << 20)

FIXTURE(corner)
{
	struct counts before;
	struct nl nl;
	struct actor p[2];
	int dev;
	int fd;
	int other;
	int third;
	uint32_t id;
};

FIXTURE_SETUP(corner)
{
	struct ipm_info info;

	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_named(self->dev, "corner", PAGE, CAPACITY);
	ASSERT_FD(self->fd);
	self->other = call_reopen(self->fd, IPM_READ_WRITE);
	ASSERT_FD(self->other);
	self->third = call_reopen(self->fd, IPM_READ_WRITE);
	ASSERT_FD(self->third);
	ASSERT_EQ(0, call_info(self->fd, &info));
	self->id = info.ref.id;
	ASSERT_EQ(0, nl_open(&self->nl));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, actor_start(&self->p[i], true));
}

FIXTURE_TEARDOWN(corner)
{
	write_text(PARAMETERS "wait_event_ms", "1000");
	for (int i = 0; i < 2; i++)
		actor_stop(&self->p[i]);
	nl_close(&self->nl);
	close(self->third);
	close(self->other);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

static int count_held(int fd)
{
	struct ipm_info info;

	return call_info(fd, &info) ? -1 : (int)info.claims;
}

/* Messages of a list, copied. */
#define MOST 300

struct list {
	int nr;
	struct nlmsghdr *message[MOST];
};

static void keep(struct nlmsghdr *header, void *data)
{
	struct list *list = data;

	if (list->nr == MOST)
		return;
	list->message[list->nr] = malloc(header->nlmsg_len);
	memcpy(list->message[list->nr++], header, header->nlmsg_len);
}

static void forget(struct list *list)
{
	while (list->nr)
		free(list->message[--list->nr]);
}

#define ASSERT_LIST(list, command, nr_)                                                     \
	do {                                                                                \
		forget(list);                                                               \
		ASSERT_EQ(nr_, nl_dump(&self->nl, command, self->id, keep, list));          \
		ASSERT_EQ(nr_, (list)->nr);                                                 \
	} while (0)

/* The next event of a socket that has subscribed. */
static struct nlmsghdr *next_event(struct nl *nl)
{
	struct pollfd p = { .fd = nl->fd, .events = POLLIN };

	if (poll(&p, 1, PATIENCE_MS) != 1 || nl_read(nl, 0) < (ssize_t)NLMSG_HDRLEN)
		return NULL;
	return (struct nlmsghdr *)nl->buffer;
}

/* Who waits behind somebody who waits as well is told so. */
TEST_F(corner, behind_one_that_waits)
{
	struct list list = { 0 };
	uint64_t reader, mine;

	ASSERT_EQ(0, call_claim(self->fd, 0, 8, READ, 0, &reader));
	ASSERT_WAITS(&self->p[0], self->other, 0, 8, WRITE, 1);
	ASSERT_WAITS(&self->p[1], self->third, 0, 8, READ, 2);
	ASSERT_LIST(&list, IPM_NL_CMD_WAITERS, 2);
	EXPECT_EQ(reader, nl_num(list.message[0], IPM_NL_A_BLOCKER_CLAIM));
	EXPECT_EQ(0, nl_num(list.message[0], IPM_NL_A_BLOCKER_FLAGS));
	EXPECT_EQ(nl_num(list.message[0], IPM_NL_A_CLAIM),
		  nl_num(list.message[1], IPM_NL_A_BLOCKER_CLAIM));
	EXPECT_EQ(IPM_NL_BLOCKER_WAITS, nl_num(list.message[1], IPM_NL_A_BLOCKER_FLAGS));
	EXPECT_EQ((uint64_t)self->p[0].pid, nl_num(list.message[1], IPM_NL_A_BLOCKER_TID));
	ASSERT_EQ(0, call_release(self->fd, reader));
	ASSERT_GRANTED(&self->p[0], IPM_GRANT_WAITED, &mine);
	ASSERT_EQ(0, call_release(self->other, mine));
	ASSERT_GRANTED(&self->p[1], IPM_GRANT_WAITED, &mine);
	ASSERT_EQ(0, call_release(self->third, mine));
	forget(&list);
}

/* A convert that waits stands in the way under the number of its claim, also in events. */
TEST_F(corner, behind_a_convert)
{
	struct list list = { 0 };
	uint64_t id[2], mine;
	struct nlmsghdr *m;
	struct nl hearer;

	ASSERT_EQ(0, write_text(PARAMETERS "wait_event_ms", "10"));
	ASSERT_EQ(0, nl_open(&hearer));
	ASSERT_EQ(0, nl_subscribe(&hearer, IPM_NL_GROUP_CLAIMS, self->id));
	ASSERT_EQ(0, call_claim(self->fd, 0, 8, READ, 0, &id[0]));
	ASSERT_EQ(0, actor_claim(&self->p[0], self->other, 0, 8, READ, 0, &id[1]));
	actor_give_convert(&self->p[0], self->other, id[1], WRITE, 0, 0);
	ASSERT_WAITING(&self->p[0], self->fd, 1);
	m = next_event(&hearer);
	ASSERT_NE(NULL, m);
	EXPECT_EQ(IPM_NL_EVENT_WAIT, nl_num(m, IPM_NL_A_EVENT));
	EXPECT_EQ(id[1], nl_num(m, IPM_NL_A_CLAIM));
	EXPECT_EQ(IPM_NL_WAIT_CONVERT, nl_num(m, IPM_NL_A_FLAGS));

	ASSERT_WAITS(&self->p[1], self->third, 0, 8, READ, 2);
	ASSERT_LIST(&list, IPM_NL_CMD_WAITERS, 2);
	EXPECT_EQ(id[1], nl_num(list.message[1], IPM_NL_A_BLOCKER_CLAIM));
	EXPECT_EQ(IPM_NL_BLOCKER_WAITS, nl_num(list.message[1], IPM_NL_A_BLOCKER_FLAGS));
	ASSERT_EQ(0, call_release(self->fd, id[0]));
	ASSERT_EQ(0, actor_result(&self->p[0]));
	ASSERT_EQ(0, call_release(self->other, id[1]));
	ASSERT_GRANTED(&self->p[1], IPM_GRANT_WAITED, &mine);
	ASSERT_EQ(0, call_release(self->third, mine));
	nl_close(&hearer);
	forget(&list);
}

/* The deadlock that an asynchronous claim in front would close is an event, too. */
TEST_F(corner, asynchronous_deadlock_is_told)
{
	struct ipm_range ranges[2] = {
		{ .offset = 0, .length = 10, .mode = READ }, { .offset = 20, .length = 10, .mode = READ },
	};
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	int fourth = call_reopen(self->fd, IPM_READ_WRITE);
	uint64_t id[3], mine;
	struct nlmsghdr *m;
	struct nl hearer;

	ASSERT_FD(fourth);
	/* Of the wait nothing is to be told, however long it takes. */
	ASSERT_EQ(0, write_text(PARAMETERS "wait_event_ms", "0"));
	ASSERT_EQ(0, call_claim(self->fd, 0, 10, READ, 0, &id[0]));
	ASSERT_EQ(0, actor_claim(&self->p[1], self->other, 0, 10, READ, 0, &id[1]));
	ASSERT_EQ(0, actor_claim(&self->p[0], self->third, 20, 10, WRITE, 0, &id[2]));
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = 2;
	ASSERT_WAITS_ARG(&self->p[1], fourth, arg, 1);
	ASSERT_EQ(0, nl_open(&hearer));
	ASSERT_EQ(0, nl_subscribe(&hearer, IPM_NL_GROUP_CLAIMS, 0));
	arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC);
	ASSERT_EQ(-EDEADLK, call_claim_arg(self->fd, &arg));
	m = next_event(&hearer);
	ASSERT_NE(NULL, m);
	EXPECT_EQ(IPM_NL_EVENT_DEADLOCK, nl_num(m, IPM_NL_A_EVENT));
	EXPECT_EQ(IPM_NL_WAIT_ASYNC, nl_num(m, IPM_NL_A_FLAGS));
	EXPECT_EQ(EDEADLK, nl_num(m, IPM_NL_A_ERROR));
	ASSERT_EQ(0, call_release(self->third, id[2]));
	ASSERT_GRANTED(&self->p[1], IPM_GRANT_WAITED, &mine);
	nl_close(&hearer);
	close(fourth);
}

/* Claims that are waited for are not among those that are held, also of one handle. */
TEST_F(corner, held_and_pending_of_one_handle)
{
	struct ipm_claim arg = claim_arg(0, 8, WRITE, IPM_CLAIM_ASYNC);
	struct list list = { 0 };
	uint64_t id[2];

	ASSERT_EQ(0, call_claim(self->fd, 0, 8, WRITE, 0, &id[0]));
	ASSERT_EQ(0, call_claim_arg(self->other, &arg));
	ASSERT_EQ(0, call_claim(self->other, 100, 8, WRITE, 0, &id[1]));
	ASSERT_LIST(&list, IPM_NL_CMD_CLAIMS, 2);
	EXPECT_EQ(id[0], nl_num(list.message[0], IPM_NL_A_CLAIM));
	EXPECT_EQ(id[1], nl_num(list.message[1], IPM_NL_A_CLAIM));
	ASSERT_LIST(&list, IPM_NL_CMD_WAITERS, 1);
	EXPECT_EQ(arg.id, nl_num(list.message[0], IPM_NL_A_CLAIM));
	ASSERT_EQ(2, call_release_all(self->other));
	ASSERT_EQ(1, call_release_all(self->fd));
	forget(&list);
}

/* A list finds the claims behind many handles that have none, and all of a long line. */
TEST_F_TIMEOUT(corner, many_handles_and_waits, 200)
{
	enum { HANDLES = 600, WAITS = 200 };
	struct list list = { 0 };
	int fds[HANDLES];
	uint64_t id, last = 0;

	for (int i = 0; i < HANDLES; i++) {
		fds[i] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(fds[i]);
	}
	ASSERT_EQ(0, call_claim(fds[HANDLES - 1], 0, 8, WRITE, 0, &id));
	ASSERT_LIST(&list, IPM_NL_CMD_CLAIMS, 1);
	EXPECT_EQ(id, nl_num(list.message[0], IPM_NL_A_CLAIM));
	for (int i = 0; i < WAITS; i++) {
		struct ipm_claim arg = claim_arg(0, 8, WRITE, IPM_CLAIM_ASYNC);

		ASSERT_EQ(0, call_claim_arg(fds[i], &arg));
		ASSERT_EQ(IPM_GRANT_PENDING, arg.result);
	}
	ASSERT_LIST(&list, IPM_NL_CMD_WAITERS, WAITS);
	for (int i = 0; i < WAITS; i++) {
		/* In their order, each once. */
		EXPECT_LT(last, nl_num(list.message[i], IPM_NL_A_CLAIM));
		last = nl_num(list.message[i], IPM_NL_A_CLAIM);
	}
	for (int i = 0; i < HANDLES; i++)
		close(fds[i]);
	ASSERT_LIST(&list, IPM_NL_CMD_WAITERS, 0);
	forget(&list);
}

/* A claim that a limit refuses does not release what it names; later it does. */
TEST_F(corner, limit_keeps_what_is_to_be_released)
{
	struct ipm_range ranges[4];
	struct ipm_claim arg = claim_arg(0, 0, 0, IPM_CLAIM_TRY);
	char former[32];
	uint64_t id;

	for (int i = 0; i < 4; i++)
		ranges[i] = (struct ipm_range) { .offset = 100 * i, .length = 10, .mode = WRITE };
	ASSERT_EQ(0, call_claim(self->fd, 1000, 8, WRITE, 0, &id));
	read_text(PARAMETERS "max_claims", former, sizeof(former));
	ASSERT_EQ(0, write_text(PARAMETERS "max_claims", "2"));
	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = 4;
	arg.release = (uintptr_t)&id;
	arg.nr_release = 1;
	EXPECT_EQ(-ENOSPC, call_claim_arg(self->fd, &arg));
	EXPECT_EQ(1, count_held(self->fd));
	/* It can still be named. */
	arg.nr_ranges = 2;
	EXPECT_EQ(0, call_claim_arg(self->fd, &arg));
	EXPECT_EQ(1, count_held(self->fd));
	EXPECT_EQ(-ENOENT, call_release(self->fd, id));
	EXPECT_EQ(0, write_text(PARAMETERS "max_claims", former));
	ASSERT_EQ(1, call_release_all(self->fd));
}

/* A result that cannot be written leaves no handle behind, also of one that existed. */
TEST_F(corner, create_of_one_that_exists_without_room_for_the_result)
{
	struct ipm_create *arg = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct counts before = read_counts();
	int fds = count_fds();

	ASSERT_NE(MAP_FAILED, arg);
	*arg = (struct ipm_create) { .ref = ref_name("corner"), .size = PAGE, .access = IPM_READ_WRITE };
	ASSERT_EQ(0, mprotect(arg, PAGE, PROT_READ));
	ASSERT_EQ(-1, ioctl(self->dev, IPM_IOC_CREATE, arg));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(fds, count_fds());
	EXPECT_COUNTS_SOON(before);
	munmap(arg, PAGE);
}

/* /proc tells the key of a segment that has one. */
TEST_F(corner, fdinfo_of_a_key)
{
	int fd = call_create(self->dev, ref_key(-77), PAGE, 0, IPM_CREATE_EXCLUSIVE, IPM_READ_WRITE,
			     0600, NULL);
	char path[64], text[1024];

	ASSERT_FD(fd);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	read_text(path, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "\nkey:\t-77\n"));
	EXPECT_EQ(NULL, strstr(text, "\nname:"));
	close(fd);
}

/* Entries of a list that is read with so much room; an own socket, or it has had more. */
static int dump_in(const struct nl *known, size_t room, uint8_t command)
{
	struct nl nl = *known;
	int ret;

	nl.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	nl.room = room;
	ret = nl_dump(&nl, command, 0, NULL, NULL);
	close(nl.fd);
	return ret;
}

/* One entry more than fits is told with the next read, wherever in it the room ends. */
TEST_F_TIMEOUT(corner, lists_in_any_room, 200)
{
	enum { MANY = 80, HELD = 20 };
	static const uint8_t commands[] = {
		IPM_NL_CMD_SEGMENTS, IPM_NL_CMD_HANDLES, IPM_NL_CMD_CLAIMS, IPM_NL_CMD_WAITERS,
		IPM_NL_CMD_DOUBTS, IPM_NL_CMD_LIMITS,
	};
	int nr[ARRAY_LENGTH(commands)], fds[MANY], all[MANY], status;
	char name[200];

	for (int i = 0; i < MANY; i++) {
		memset(name, 'n', sizeof(name));
		snprintf(name + i * 2, sizeof(name) - i * 2, "-%d", i);
		/* Of a user of its own: the real user is who is charged. */
		ASSERT_EQ(0, syscall(SYS_setresuid, 6000 + i, -1, -1));
		all[i] = make_named(self->dev, name, PAGE, 0);
		ASSERT_FD(all[i]);
		fds[i] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(fds[i]);
	}
	ASSERT_EQ(0, syscall(SYS_setresuid, 0, -1, -1));
	status = IN_CHILD({
		for (int i = 0; i < 4 * IPM_DOUBT_MAX; i++)
			CHECK(0, call_claim(all[i % 4], i / 4 * 32, 8, WRITE, 0, NULL));
		kill(getpid(), SIGKILL);
	});
	ASSERT_EQ(SIGKILL, WTERMSIG(status));
	for (int i = 0; i < MANY; i++) {
		for (int k = 0; k < 3; k++) {
			struct ipm_claim arg = claim_arg(8 * k, 8, WRITE,
							 i < HELD ? 0 : IPM_CLAIM_ASYNC);

			if (i < HELD)
				arg.offset += 32 * i;
			ASSERT_EQ(0, call_claim_arg(fds[i], &arg));
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		nr[i] = nl_dump(&self->nl, commands[i], 0, NULL, NULL);
		ASSERT_LE(HELD, nr[i]);
	}
	for (int more = 0; more < 400; more += 20) {
		for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
			/* One claim may have as many ranges as need twice as much. */
			int room = more + (commands[i] == IPM_NL_CMD_CLAIMS ||
					   commands[i] == IPM_NL_CMD_WAITERS ? 8192 : 4096);

			EXPECT_EQ(nr[i], dump_in(&self->nl, room, commands[i])) {
				note("command %d, %d bytes of room", commands[i], room);
			}
		}
	}
	for (int i = 0; i < MANY; i++) {
		close(fds[i]);
		close(all[i]);
	}
}

/* Events that come faster than they can be told share messages of any length, in order. */
TEST_F_TIMEOUT(corner, events_in_any_room, 200)
{
	enum { LISTENERS = 60, SEGMENTS = 150 };
	struct nl nl[LISTENERS];
	int n = 0, room = 8 << 20;
	uint64_t last = 0;
	ssize_t left;

	for (int i = 0; i < LISTENERS; i++) {
		ASSERT_EQ(0, nl_open(&nl[i]));
		ASSERT_EQ(0, nl_subscribe(&nl[i], IPM_NL_GROUP_LIFE, 0));
	}
	/* Nothing is to be lost in the one that is looked at. */
	ASSERT_EQ(0, setsockopt(nl[LISTENERS - 1].fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	for (int i = 0; i < SEGMENTS; i++) {
		char name[200];

		memset(name, 'e', sizeof(name));
		name[1 + i] = '\0';
		close(make_named(self->dev, name, PAGE, 0));
	}
	/* Created and gone, each once. */
	while (n < 2 * SEGMENTS) {
		struct pollfd p = { .fd = nl[LISTENERS - 1].fd, .events = POLLIN };
		struct nlmsghdr *m = (struct nlmsghdr *)nl[LISTENERS - 1].buffer;

		ASSERT_EQ(1, poll(&p, 1, PATIENCE_MS));
		left = nl_read(&nl[LISTENERS - 1], 0);
		ASSERT_LT(0, left);
		for (; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left), n++) {
			ASSERT_EQ(last + 1, nl_num(m, IPM_NL_A_SEQ));
			last++;
		}
	}
	EXPECT_EQ(2 * SEGMENTS, n);
	for (int i = 0; i < LISTENERS; i++)
		nl_close(&nl[i]);
}

/* What happens faster than it can be told is lost, and it is told how much that was. */
TEST_F_TIMEOUT(corner, more_than_can_be_told, 300)
{
	/* Many more than the module keeps, as telling may go on while this is held up. */
	enum { LISTENERS = 16, EVENTS = 20000 };
	uint64_t last = 0, lost = 0;
	struct nl nl[LISTENERS];
	int room = 64 << 20;

	/* Each event takes as many messages; only the last socket is looked at. */
	for (int i = 0; i < LISTENERS; i++) {
		ASSERT_EQ(0, nl_open(&nl[i]));
		ASSERT_EQ(0, nl_subscribe(&nl[i], IPM_NL_GROUP_LIFE, 0));
	}
	ASSERT_EQ(0, setsockopt(nl[LISTENERS - 1].fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	for (int i = 0; i < EVENTS; i++)
		ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, i % 2 ? 0600 : 0640, 0, 0, 0));
	while (last < EVENTS) {
		struct pollfd p = { .fd = nl[LISTENERS - 1].fd, .events = POLLIN };
		struct nlmsghdr *m = (struct nlmsghdr *)nl[LISTENERS - 1].buffer;
		ssize_t left;

		ASSERT_EQ(1, poll(&p, 1, PATIENCE_MS));
		left = nl_read(&nl[LISTENERS - 1], 0);
		ASSERT_LT(0, left);
		for (; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
			uint64_t count = 1;

			if (nl_num(m, IPM_NL_A_EVENT) == IPM_NL_EVENT_LOST) {
				count = nl_num(m, IPM_NL_A_COUNT);
				lost += count;
			}
			ASSERT_EQ(last + count, nl_num(m, IPM_NL_A_SEQ));
			last += count;
		}
	}
	EXPECT_EQ(EVENTS, last);
	EXPECT_LT(0, lost);
	for (int i = 0; i < LISTENERS; i++)
		nl_close(&nl[i]);
}

static volatile int loops;

static void *loop(void *data)
{
	for (;;)
		__atomic_fetch_add(&loops, 1, __ATOMIC_RELAXED);
	return data;
}

static void *claim_and_sleep(void *data)
{
	int *fds = data;

	/* A table of files of its own: it goes with this thread. */
	if (unshare(CLONE_FILES) || call_claim(fds[0], 0, 8, WRITE, 0, NULL))
		_exit(1);
	if (write(fds[1], "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

/*
 * A thread with files of its own may be through with them while others of the process,
 * which were killed as well, still run: the claims end when they have stopped.
 */
TEST_F_TIMEOUT(corner, files_go_before_other_threads, 200)
{
	for (int round = 0; round < 20; round++) {
		int ready[2];
		pid_t child;
		char byte;

		ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
		child = fork();
		if (!child) {
			int fds[2] = { self->fd, ready[1] };
			pthread_t thread;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (int i = 0; i < 8; i++)
				pthread_create(&thread, NULL, loop, NULL);
			pthread_create(&thread, NULL, claim_and_sleep, fds);
			loop(NULL);
		}
		ASSERT_LT(0, child);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		ASSERT_EQ(1, count_held(self->fd));
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, NULL, 0));
		ASSERT_EQ(0, count_held(self->fd));
		close(ready[0]);
		close(ready[1]);
	}
}

/* More users at once than one that ask for the first time, so that two make the same. */
static void *first_of_a_user(void *data)
{
	struct ipm_limits limits;
	int *go = data;

	while (!__atomic_load_n(go, __ATOMIC_ACQUIRE))
		;
	return (void *)(intptr_t)call_limits(go[1], &limits);
}

TEST_F_TIMEOUT(corner, two_threads_of_a_new_user, 200)
{
	for (int round = 0; round < 60; round++) {
		int status = IN_CHILD({
			int go[2] = { 0, self->dev };
			pthread_t thread;
			void *result;

			CHECK(0, become(5000 + round % 2, 5000));
			CHECK(0, pthread_create(&thread, NULL, first_of_a_user, go));
			__atomic_store_n(go, 1, __ATOMIC_RELEASE);
			CHECK(0, (intptr_t)first_of_a_user(go));
			CHECK(0, pthread_join(thread, &result));
			CHECK(0, (intptr_t)result);
		});

		ASSERT_EQ(0, status);
	}
}

/* Another thread gives away, between two looks, what this one asks for. */
static struct {
	int fd;
	uint64_t id;
	unsigned int turn, done;
	int result;
} shared;

static void *other_thread(void *data)
{
	for (unsigned int turn = 1;; turn++) {
		while (__atomic_load_n(&shared.turn, __ATOMIC_ACQUIRE) != turn)
			sched_yield();
		if (!shared.fd)
			return data;
		shared.result = call_release(shared.fd, shared.id);
		__atomic_store_n(&shared.done, turn, __ATOMIC_RELEASE);
	}
}

/* Convert, or collect, of a claim that another thread releases at the same time. */
TEST_F_TIMEOUT(corner, released_under_way, 200)
{
	enum { TURNS = 300 };
	pthread_t thread;
	int lost = 0;

	memset(&shared, 0, sizeof(shared));
	shared.fd = self->fd;
	ASSERT_EQ(0, pthread_create(&thread, NULL, other_thread, NULL));
	for (unsigned int turn = 1; turn <= TURNS; turn++) {
		struct ipm_claim arg = claim_arg(0, 8, READ, turn % 2 ? IPM_CLAIM_ASYNC : 0);
		int ret;

		ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
		shared.id = arg.id;
		__atomic_store_n(&shared.turn, turn, __ATOMIC_RELEASE);
		for (unsigned int spin = 0; spin < turn % 97 * 8; spin++)
			__asm__ volatile("pause");
		ret = turn % 2 ? call_collect(self->fd, arg.id, NULL) :
				 call_convert(self->fd, arg.id, WRITE, IPM_CLAIM_TRY, 0, NULL);
		while (__atomic_load_n(&shared.done, __ATOMIC_ACQUIRE) != turn)
			sched_yield();
		/* Whichever came first, it is gone, and nothing is left. */
		ASSERT_EQ(0, shared.result);
		ASSERT_EQ(true, ret == 0 || ret == -ENOENT) {
			note("result %d", ret);
		}
		lost += ret == -ENOENT;
		ASSERT_EQ(0, count_held(self->fd));
	}
	note("%d of %d were released before", lost, TURNS);
	shared.fd = 0;
	__atomic_store_n(&shared.turn, TURNS + 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* A socket that listens keeps no module, and is an ordinary one when the module has gone. */
TEST(module_goes_while_somebody_listens)
{
	const char *parameters = getenv("IPM_MODPARAMS");
	struct nl nl, again;
	int dev;

	ASSERT_EQ(0, nl_open(&nl));
	ASSERT_EQ(0, nl_subscribe(&nl, IPM_NL_GROUP_LIFE | IPM_NL_GROUP_CLAIMS, 0));
	ASSERT_EQ(0, unload_soon());
	EXPECT_LT(nl_dump(&nl, IPM_NL_CMD_SEGMENTS, 0, NULL, NULL), 0);
	ASSERT_EQ(0, load(parameters ? parameters : ""));
	/* Nobody subscribed to the one that is there now. */
	ASSERT_EQ(0, nl_open(&again));
	ASSERT_EQ(0, nl_subscribe(&again, IPM_NL_GROUP_LIFE, 0));
	dev = open_device();
	close(make_private(dev, PAGE, 0));
	close(dev);
	ASSERT_NE(NULL, next_event(&again));
	EXPECT_EQ(-EAGAIN, nl_read(&nl, MSG_DONTWAIT));
	nl_close(&again);
	nl_close(&nl);
}

TEST_HARNESS_MAIN
