// SPDX-License-Identifier: GPL-2.0
/*
 * What is left of the dead: claims end with the process that took them, and
 * what a writer may have left half written is in doubt until somebody says
 * that it is good again.
 *
 * waitpid() returns after the kernel has cleaned up behind a process, so that
 * nothing here has to wait for it.
 */
#include "ipm_test.h"

#include <sys/syscall.h>

#define CAPACITY	(1UL << 20)
#define PROCESSES	8

/* Process i uses handle i; the test looks through @fd and claims through @mine. */
FIXTURE(death)
{
	struct counts before;
	int dev;
	int fd;
	int mine;
	int h[PROCESSES];
	struct actor p[PROCESSES];
};

FIXTURE_SETUP(death)
{
	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_private(self->dev, PAGE, CAPACITY);
	ASSERT_FD(self->fd);
	self->mine = call_reopen(self->fd, IPM_READ_WRITE);
	ASSERT_FD(self->mine);
	for (int i = 0; i < PROCESSES; i++) {
		self->h[i] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(self->h[i]);
	}
	for (int i = 0; i < PROCESSES; i++)
		ASSERT_EQ(0, actor_start(&self->p[i], false));
}

FIXTURE_TEARDOWN(death)
{
	for (int i = 0; i < PROCESSES; i++) {
		actor_stop(&self->p[i]);
		close(self->h[i]);
	}
	close(self->mine);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

#define GET(i, offset, length, mode, id)                                               \
	do {                                                                           \
		ASSERT_EQ(0, actor_claim(&self->p[i], self->h[i], offset, length, mode, 0, \
					 id));                                         \
		ASSERT_EQ(0, self->p[i].order->claim.result);                          \
	} while (0)

#define WAIT(i, offset, length, mode, waiters)                                         \
	ASSERT_WAITS(&self->p[i], self->h[i], offset, length, mode, waiters)

#define GRANTED(i, id)		ASSERT_GRANTED(&self->p[i], IPM_GRANT_WAITED, id)

#define GRANTED_IN_DOUBT(i, id)                                                        \
	ASSERT_GRANTED(&self->p[i], IPM_GRANT_WAITED | IPM_GRANT_IN_DOUBT, id)

#define RELEASE(i, id)		ASSERT_EQ(0, actor_release(&self->p[i], self->h[i], id))

/* Kills process @i, and gives the number that it had. */
#define KILL(i)                                                                        \
	({                                                                             \
		pid_t kill_pid = self->p[i].pid;                                       \
		ASSERT_EQ(SIGKILL, actor_kill(&self->p[i]));                           \
		kill_pid;                                                              \
	})

/* The test claims through its own handle, gets it at once with this result, and gives it back. */
#define ASSERT_CLAIM_GIVES(result_, offset_, length_, mode_)                           \
	do {                                                                           \
		struct ipm_claim arg_ = claim_arg(offset_, length_, mode_, IPM_CLAIM_TRY); \
		ASSERT_EQ(0, call_claim_arg(self->mine, &arg_));                       \
		ASSERT_EQ((uint32_t)(result_), arg_.result);                           \
		ASSERT_EQ(0, call_release(self->mine, arg_.id));                       \
	} while (0)

struct doubt {
	uint64_t offset;
	uint64_t length;
	pid_t pid;
};

/* The list of bytes in doubt is this. */
#define ASSERT_DOUBT(...)                                                              \
	do {                                                                           \
		const struct doubt wanted_[] = { __VA_ARGS__ };                        \
		int n_ = ARRAY_LENGTH(wanted_);                                        \
		struct ipm_doubt_range list_[IPM_DOUBT_MAX];                           \
		int64_t now_ = now_ns(CLOCK_REALTIME);                                 \
		ASSERT_EQ(n_, call_doubt(self->fd, 0, 0, list_, IPM_DOUBT_MAX));       \
		for (int i_ = 0; i_ < n_; i_++) {                                      \
			ASSERT_EQ(wanted_[i_].offset, list_[i_].offset);               \
			ASSERT_EQ(wanted_[i_].length, list_[i_].length);               \
			ASSERT_EQ(wanted_[i_].pid, list_[i_].pid);                     \
			ASSERT_EQ(0, list_[i_].flags);                                 \
			ASSERT_GE(now_, list_[i_].time);                               \
			ASSERT_LE(now_ - 600 * 1000000000LL, list_[i_].time);          \
		}                                                                      \
		ASSERT_STATE(self->fd, n_ ? IPM_STATE_IN_DOUBT : 0);                   \
	} while (0)

#define ASSERT_NO_DOUBT()                                                              \
	do {                                                                           \
		ASSERT_EQ(0, call_doubt(self->fd, 0, 0, NULL, 0));                     \
		ASSERT_STATE(self->fd, 0);                                             \
	} while (0)

/* Under a write claim of the test's own, these bytes are declared good. */
#define RECOVER(offset_, length_)                                                      \
	do {                                                                           \
		uint64_t recover_id_;                                                  \
		ASSERT_EQ(0, call_claim(self->mine, offset_, length_, WRITE, 0, &recover_id_)); \
		ASSERT_EQ(0, call_recovered(self->mine, offset_, length_));            \
		ASSERT_EQ(0, call_release(self->mine, recover_id_));                   \
	} while (0)

/* --- the waiter gets in --- */

TEST_F(death, reader_killed)
{
	uint64_t id;

	GET(0, 0, 100, READ, &id);
	WAIT(1, 50, 100, WRITE, 1);
	KILL(0);
	GRANTED(1, &id);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_NO_DOUBT();
	RELEASE(1, id);
}

TEST_F(death, writer_killed)
{
	struct ipm_info info;
	uint64_t id;
	pid_t pid;

	GET(0, 0, 100, WRITE, &id);
	GET(0, 200, 100, READ, &id);
	WAIT(1, 50, 100, WRITE, 1);
	WAIT(2, 200, 100, WRITE, 2);
	pid = KILL(0);
	GRANTED_IN_DOUBT(1, &id);
	RELEASE(1, id);
	GRANTED(2, &id);
	RELEASE(2, id);
	ASSERT_DOUBT({ 0, 100, pid });
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.deaths);
	EXPECT_EQ(1, info.doubt_events);
	EXPECT_EQ(1, info.doubts);
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
}

/* A child that still has the file descriptor does not keep its parent's claims. */
static int run_fork(struct actor_order *order)
{
	pid_t pid = fork();

	if (!pid) {
		/* Until it is killed. */
		for (;;)
			pause();
	}
	order->value = pid;
	return pid < 0 ? -errno : 0;
}

TEST_F(death, parent_killed_whose_child_has_the_handle)
{
	uint64_t id;
	pid_t child, pid;

	/* The grandchild becomes ours when its parent dies. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	GET(0, 0, 10, WRITE, &id);
	GET(0, 20, 10, READ, &id);
	ASSERT_EQ(0, actor_do(&self->p[0], run_fork));
	child = self->p[0].order->value;
	WAIT(1, 0, 30, WRITE, 1);
	pid = KILL(0);
	GRANTED_IN_DOUBT(1, &id);
	ASSERT_EQ(0, kill(child, 0));
	ASSERT_DOUBT({ 0, 10, pid });
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	ASSERT_DOUBT({ 0, 10, pid });
	RELEASE(1, id);
}

/* The other way round: what the living parent took is its own. */
static int run_fork_and_wait(struct actor_order *order)
{
	pid_t pid = fork();
	int status;

	(void)order;
	if (!pid)
		_exit(0);
	return waitpid(pid, &status, 0) == pid ? status : -ECHILD;
}

TEST_F(death, child_dies_and_parent_lives)
{
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	ASSERT_EQ(0, actor_do(&self->p[0], run_fork_and_wait));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_EQ(-EAGAIN, call_claim(self->mine, 0, 1, READ, IPM_CLAIM_TRY, NULL));
	RELEASE(0, id);
	ASSERT_NO_DOUBT();
}

/* Two processes took claims with one handle: those of the dead one end, no others. */
TEST_F(death, handle_shared_by_two)
{
	uint64_t mine, id;
	pid_t pid;

	ASSERT_EQ(0, actor_claim(&self->p[0], self->h[7], 0, 10, WRITE, 0, &id));
	ASSERT_EQ(0, actor_claim(&self->p[1], self->h[7], 10, 10, WRITE, 0, &mine));
	ASSERT_EQ(0, actor_claim(&self->p[1], self->h[7], 0, 5, READ, 0, &id));
	pid = KILL(0);
	ASSERT_CLAIMS(self->fd, 2, 0, 1);
	ASSERT_EQ(0, actor_release(&self->p[1], self->h[7], mine));
	ASSERT_EQ(0, actor_release(&self->p[1], self->h[7], id));
	ASSERT_DOUBT({ 0, 10, pid });
}

/* --- ends that are none, and ends that are clean --- */

TEST_F(death, closing_is_clean)
{
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	/* All others that have it give it up, the one that claimed comes last. */
	close(self->h[0]);
	for (int i = 1; i < PROCESSES; i++)
		ASSERT_EQ(0, actor_close(&self->p[i], self->h[0]));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	WAIT(1, 0, 10, WRITE, 1);
	ASSERT_EQ(0, actor_close(&self->p[0], self->h[0]));
	GRANTED(1, &id);
	RELEASE(1, id);
	ASSERT_NO_DOUBT();
}

/* Exit without a word is a death, as the work was not finished. */
static int run_exit(struct actor_order *order)
{
	exit(order->value);
}

TEST_F(death, exit_is_a_death)
{
	uint64_t id;
	pid_t pid = self->p[0].pid;
	int status;

	GET(0, 0, 10, WRITE, &id);
	self->p[0].order->value = 0;
	actor_give(&self->p[0], run_exit);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	actor_forget(&self->p[0]);
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
	ASSERT_DOUBT({ 0, 10, pid });
}

/* One that has released leaves nothing. */
TEST_F(death, nothing_held)
{
	struct ipm_info info;
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	RELEASE(0, id);
	KILL(0);
	ASSERT_NO_DOUBT();
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(0, info.deaths + info.doubt_events);
}

/* A thread is not its process. */
static void *claim_in_thread(void *data)
{
	struct actor_order *order = data;

	order->result = call_claim(order->fd, order->claim.offset, order->claim.length, WRITE, 0,
				   &order->release[0]);
	return NULL;
}

static int run_thread(struct actor_order *order)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, claim_in_thread, order))
		return -EAGAIN;
	pthread_join(thread, NULL);
	return order->result;
}

TEST_F(death, thread_ends)
{
	uint64_t id;
	pid_t pid;

	for (int round = 0; round < 2; round++) {
		self->p[0].order->fd = self->h[0];
		self->p[0].order->claim = claim_arg(round * 20, 10, WRITE, 0);
		ASSERT_EQ(0, actor_do(&self->p[0], run_thread));
		id = self->p[0].order->release[0];
		ASSERT_CLAIMS(self->fd, 1, 0, 0);
		if (!round)
			RELEASE(0, id);
	}
	ASSERT_NO_DOUBT();
	/* Its process dies later: that is when the claim ends. */
	pid = KILL(0);
	ASSERT_DOUBT({ 20, 10, pid });
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
}

/* The first thread ends and others go on: the process lives. */
static int first_thread_fd;
static int first_thread_pipe;

static void *outlive_first_thread(void *data)
{
	char byte;

	(void)data;
	/* Until the test closes its end. */
	CHECK(0, read(first_thread_pipe, &byte, 1));
	_exit(0);
}

TEST_F(death, first_thread_ends)
{
	int gate[2], status;
	char path[64], text[300];
	pthread_t thread;
	pid_t pid;

	ASSERT_EQ(0, pipe(gate));
	pid = fork();
	if (!pid) {
		close(gate[1]);
		first_thread_fd = self->h[0];
		first_thread_pipe = gate[0];
		CHECK(0, call_claim(first_thread_fd, 0, 10, WRITE, 0, NULL));
		CHECK(0, pthread_create(&thread, NULL, outlive_first_thread, NULL));
		pthread_exit(NULL);
	}
	close(gate[0]);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	ASSERT_TRUE(wait_until(strstr(read_text(path, text, sizeof(text)), ") Z ")));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_NO_DOUBT();
	close(gate[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
	ASSERT_DOUBT({ 0, 10, pid });
}

/* Killed while all of its threads are busy. */
TEST_F_TIMEOUT(death, many_threads_killed, 60)
{
	for (int round = 0; round < 10; round++) {
		pid_t pid = fork();

		if (!pid) {
			struct actor threads[4];

			for (int i = 0; i < 4; i++) {
				CHECK(0, actor_start(&threads[i], true));
				CHECK(0, actor_claim(&threads[i], self->h[0], i * 10, 5, WRITE, 0,
						     NULL));
			}
			/* Two more, of which one waits for the other. */
			CHECK(0, actor_claim(&threads[0], self->h[1], 100, 5, READ, 0, NULL));
			actor_give_claim(&threads[1], self->h[2], claim_arg(100, 5, WRITE, 0));
			for (;;)
				pause();
		}
		ASSERT_TRUE(wait_until(count_waiters(self->fd) == 1));
		ASSERT_CLAIMS(self->fd, 5, 1, 0);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		ASSERT_DOUBT({ 0, 5, pid }, { 10, 5, pid }, { 20, 5, pid }, { 30, 5, pid });
		ASSERT_CLAIMS(self->fd, 0, 0, 4);
		RECOVER(0, 100);
	}
}

/*
 * A process that claims through @fd and then becomes another program, which
 * lives until @go is closed. It waits for a byte from there before it does so.
 */
static pid_t fork_and_exec(int fd, int go[2])
{
	int claimed[2];
	char byte = 0;
	pid_t pid;

	if (pipe(go) || pipe(claimed))
		return -errno;
	pid = fork();
	if (!pid) {
		close(go[1]);
		CHECK(0, call_claim(fd, 0, 10, WRITE, 0, NULL));
		CHECK(1, write(claimed[1], &byte, 1));
		CHECK(1, read(go[0], &byte, 1));
		dup2(go[0], 0);
		execl("/bin/sh", "sh", "-c", "read line", NULL);
		_exit(1);
	}
	close(go[0]);
	close(claimed[1]);
	if (read(claimed[0], &byte, 1) != 1)
		pid = -ECHILD;
	close(claimed[0]);
	return pid;
}

/* A handle that exec closes is closed, not orphaned: its claims end, nothing is in doubt. */
/*
 * A process closes each of its file descriptors when it dies, and has to look for
 * its claims only once, however many others hold.
 */
TEST_F_TIMEOUT(death, many_descriptors, 300)
{
	enum { CLAIMS = 10000, COPIES = 10000 };
	const struct rlimit many = { COPIES + 200, COPIES + 200 };
	int64_t claims, death;
	int copied[2];
	pid_t pid;
	char byte;

	claims = -in_ms(0);
	for (int i = 0; i < CLAIMS; i++)
		ASSERT_EQ(0, call_claim(self->mine, 2 * i, 1, WRITE, 0, NULL));
	claims += in_ms(0);
	ASSERT_EQ(0, pipe(copied));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int n = setrlimit(RLIMIT_NOFILE, &many) ? COPIES : 0;

		for (; n < COPIES && dup(self->mine) >= 0; n++)
			;
		if (call_claim(self->mine, 2 * CLAIMS, 1, WRITE, 0, NULL))
			_exit(1);
		if (n == COPIES && write(copied[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(copied[1]);
	ASSERT_EQ(1, read(copied[0], &byte, 1));
	ASSERT_CLAIMS(self->fd, CLAIMS + 1, 0, 0);
	death = -in_ms(0);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	death += in_ms(0);
	TH_LOG("it died in %lld us, %d claims took %lld us", (long long)death / 1000, CLAIMS,
	       (long long)claims / 1000);
	EXPECT_LT(death, 4 * claims);
	ASSERT_DOUBT({ 2 * CLAIMS, 1, pid });
	ASSERT_CLAIMS(self->fd, CLAIMS, 0, 1);
	ASSERT_EQ(CLAIMS, call_release_all(self->mine));
	close(copied[0]);
}

TEST_F(death, exec_closes)
{
	int fd = call_reopen(self->fd, IPM_READ_WRITE), go[2], status;
	uint64_t id;
	pid_t pid;

	ASSERT_FD(fd);
	pid = fork_and_exec(fd, go);
	ASSERT_LT(0, pid);
	close(fd);
	WAIT(1, 0, 10, WRITE, 1);
	ASSERT_EQ(1, write(go[1], "", 1));
	GRANTED(1, &id);
	ASSERT_EQ(0, kill(pid, 0));
	ASSERT_NO_DOUBT();
	close(go[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	RELEASE(1, id);
	ASSERT_NO_DOUBT();
}

/* One that goes through exec is the new program's, claims and all. */
TEST_F(death, exec_keeps)
{
	int fd = call_open_or_reopen(self->fd, IPM_IOC_REOPEN, ref_none(), IPM_OPEN_NO_CLOEXEC,
				     IPM_READ_WRITE, NULL);
	char path[64], text[64];
	int go[2], status;
	pid_t pid;

	ASSERT_FD(fd);
	pid = fork_and_exec(fd, go);
	ASSERT_LT(0, pid);
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_TRUE(wait_until(!strcmp(read_text(path, text, sizeof(text)), "sh")));
	ASSERT_EQ(-EAGAIN, call_claim(self->mine, 0, 1, READ, IPM_CLAIM_TRY, NULL));
	ASSERT_NO_DOUBT();
	close(go[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_DOUBT({ 0, 10, pid });
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
}

/* The handle is on its way to somebody when the sender dies. */
TEST_F(death, in_flight)
{
	int pair[2], fd = call_reopen(self->fd, IPM_READ_WRITE);
	uint64_t id;
	pid_t pid;

	ASSERT_FD(fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	if (!pid) {
		CHECK(0, call_claim(fd, 0, 10, WRITE, 0, NULL));
		CHECK(0, call_claim(fd, 20, 10, READ, 0, NULL));
		CHECK(0, send_fd(pair[0], fd));
		raise(SIGKILL);
	}
	close(fd);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
	ASSERT_DOUBT({ 0, 10, pid });
	/* Who receives it has a handle without claims. */
	fd = receive_fd(pair[1]);
	ASSERT_FD(fd);
	ASSERT_EQ(0, call_release_all(fd));
	ASSERT_EQ(0, call_claim(fd, 0, 10, WRITE, 0, &id));
	ASSERT_EQ(0, close(fd));
	ASSERT_DOUBT({ 0, 10, pid });
	close(pair[0]);
	close(pair[1]);
}

/*
 * Processes that share their table of files and are no threads: the kernel
 * tells the module nothing when one dies, its claims end with the last close.
 */
static int run_clone_files(struct actor_order *order)
{
	/* With a memory of its own the child needs no stack. */
	pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	int status;

	if (!pid) {
		CHECK(0, call_claim(order->fd, 0, 10, WRITE, 0, NULL));
		_exit(0);
	}
	order->value = pid;
	return waitpid(pid, &status, 0) == pid ? status : -ECHILD;
}

TEST_F(death, shared_table_of_files)
{
	uint64_t id;
	pid_t pid;

	self->p[0].order->fd = self->h[0];
	ASSERT_EQ(0, actor_do(&self->p[0], run_clone_files));
	pid = self->p[0].order->value;
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	WAIT(1, 0, 10, READ, 1);
	for (int i = 1; i < PROCESSES; i++) {
		if (i != 1)
			ASSERT_EQ(0, actor_close(&self->p[i], self->h[0]));
	}
	close(self->h[0]);
	actor_stop(&self->p[0]);
	/* Process 1 has it too. */
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	KILL(1);
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
	/* The writer is dead, and it was not clean. */
	ASSERT_DOUBT({ 0, 10, pid });
	ASSERT_EQ(0, call_claim(self->mine, 0, 10, READ, 0, &id));
}

/* --- those who wait --- */

/* A killed waiter leaves no trace, wherever it stood. */
TEST_F(death, waiter_killed)
{
	uint64_t id[PROCESSES];

	GET(0, 0, 10, READ, &id[0]);
	WAIT(1, 0, 10, WRITE, 1);
	WAIT(2, 0, 10, READ, 2);
	WAIT(3, 0, 10, WRITE, 3);
	WAIT(4, 0, 10, READ, 4);
	/* The one that all others stand behind. */
	KILL(1);
	GRANTED(2, &id[2]);
	ASSERT_CLAIMS(self->fd, 2, 2, 0);
	/* The last one. */
	KILL(4);
	ASSERT_CLAIMS(self->fd, 2, 1, 0);
	RELEASE(0, id[0]);
	RELEASE(2, id[2]);
	GRANTED(3, &id[3]);
	RELEASE(3, id[3]);
	ASSERT_CLAIMS(self->fd, 0, 0, 0);
	ASSERT_NO_DOUBT();
}

/* An upgrade under way, an asynchronous claim under way. */
TEST_F(death, waiter_of_another_kind_killed)
{
	struct ipm_claim arg;
	uint64_t id[3];

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	actor_give_convert(&self->p[0], self->h[0], id[0], WRITE, 0, 0);
	ASSERT_WAITING(&self->p[0], self->fd, 1);
	WAIT(2, 0, 10, READ, 2);
	KILL(0);
	GRANTED(2, &id[2]);
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	/* It had only read. */
	ASSERT_NO_DOUBT();
	RELEASE(1, id[1]);
	RELEASE(2, id[2]);

	GET(1, 0, 10, WRITE, &id[1]);
	arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC);
	actor_give_claim(&self->p[3], self->h[3], arg);
	ASSERT_EQ(0, actor_result(&self->p[3]));
	ASSERT_EQ(IPM_GRANT_PENDING, self->p[3].order->claim.result);
	WAIT(2, 0, 10, READ, 2);
	KILL(3);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	RELEASE(1, id[1]);
	GRANTED(2, &id[2]);
	RELEASE(2, id[2]);
	ASSERT_NO_DOUBT();

	/* Granted, never collected, and for writing: it may have begun to write. */
	GET(1, 0, 10, WRITE, &id[1]);
	actor_give_claim(&self->p[4], self->h[4], arg);
	ASSERT_EQ(0, actor_result(&self->p[4]));
	RELEASE(1, id[1]);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	id[0] = KILL(4);
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
	ASSERT_DOUBT({ 0, 10, id[0] });
}

/* Many wait for one that is killed: they get in one after the other, in their order. */
TEST_F_TIMEOUT(death, sixty_four_waiters, 120)
{
	enum { N = 64 };
	static struct actor a[N];
	static int h[N];
	uint64_t id;

	for (int i = 0; i < N; i++) {
		h[i] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(h[i]);
	}
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, actor_start(&a[i], false));
	GET(0, 0, 10, WRITE, &id);
	for (int i = 0; i < N; i++)
		ASSERT_WAITS(&a[i], h[i], 0, 10, WRITE, i + 1);
	KILL(0);
	for (int i = 0; i < N; i++) {
		ASSERT_GRANTED(&a[i], IPM_GRANT_WAITED | IPM_GRANT_IN_DOUBT, &id);
		for (int k = i + 1; k < N; k++)
			ASSERT_EQ(0, actor_answered(&a[k], 0));
		ASSERT_CLAIMS(self->fd, 1, N - 1 - i, 1);
		/* Every other one dies in turn. */
		if (i & 1) {
			ASSERT_EQ(SIGKILL, actor_kill(&a[i]));
		} else {
			ASSERT_EQ(0, actor_release(&a[i], h[i], id));
		}
	}
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
	for (int i = 0; i < N; i++) {
		actor_stop(&a[i]);
		close(h[i]);
	}
}

/* Holder and waiters are killed all at once. */
TEST_F_TIMEOUT(death, all_killed, 60)
{
	for (int round = 0; round < 5; round++) {
		struct actor p[PROCESSES];
		uint64_t id;

		for (int i = 0; i < PROCESSES; i++)
			ASSERT_EQ(0, actor_start(&p[i], false));
		ASSERT_EQ(0, actor_claim(&p[0], self->h[0], 0, 10, WRITE, 0, &id));
		for (int i = 1; i < PROCESSES; i++)
			ASSERT_WAITS(&p[i], self->h[i], 0, 10, i & 1, i);
		for (int i = 0; i < PROCESSES; i++)
			kill(p[i].pid, SIGKILL);
		for (int i = PROCESSES - 1; i >= 0; i--)
			actor_kill(&p[i]);
		ASSERT_CLAIMS(self->fd, 0, 0, 1);
		RECOVER(0, 10);
		ASSERT_NO_DOUBT();
	}
}

/* --- bytes in doubt --- */

/* Process @i dies with a write claim on these bytes; its number. */
#define DIE_WRITING(i, offset, length)                                                 \
	({                                                                             \
		uint64_t die_id_;                                                      \
		GET(i, offset, length, WRITE, &die_id_);                               \
		KILL(i);                                                               \
	})

TEST_F(death, doubt_is_told_until_recovered)
{
	struct ipm_doubt_range list[4];
	struct ipm_info info;
	uint64_t id;
	pid_t pid = DIE_WRITING(0, 100, 100);

	/* Each later grant that overlaps tells, whoever it is, however often. */
	for (int round = 0; round < 2; round++) {
		for (int mode = 0; mode < 2; mode++) {
			ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, 100, 100, mode);
			ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, 199, 1, mode);
			ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, 0, 101, mode);
			ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, 0, CAPACITY, mode);
			ASSERT_CLAIM_GIVES(0, 0, 100, mode);
			ASSERT_CLAIM_GIVES(0, 200, 1, mode);
		}
	}

	/* The list, whole and in part. */
	ASSERT_EQ(1, call_doubt(self->fd, 0, 0, list, 4));
	EXPECT_EQ(100, list[0].offset);
	EXPECT_EQ(100, list[0].length);
	EXPECT_EQ(pid, list[0].pid);
	EXPECT_EQ(1, call_doubt(self->fd, 199, 1, list, 4));
	EXPECT_EQ(0, call_doubt(self->fd, 200, 1, list, 4));
	EXPECT_EQ(0, call_doubt(self->fd, 0, 100, list, 4));
	EXPECT_EQ(1, call_doubt(self->fd, 0, 101, list, 4));
	EXPECT_EQ(100, list[0].offset);
	EXPECT_EQ(1, call_doubt(self->fd, 0, 0, NULL, 0));
	EXPECT_EQ(-EINVAL, call_doubt(self->fd, 5, 0, list, 4));
	EXPECT_EQ(-EOVERFLOW, call_doubt(self->fd, -1ULL, 2, list, 4));
	EXPECT_EQ(-EFBIG, call_doubt(self->fd, CAPACITY, 1, list, 4));
	{
		struct ipm_doubt_range many[IPM_DOUBT_MAX + 1];

		EXPECT_EQ(-EINVAL, call_doubt(self->fd, 0, 0, many, IPM_DOUBT_MAX + 1));
		EXPECT_EQ(1, call_doubt(self->fd, 0, 0, many, IPM_DOUBT_MAX));
	}

	/* Converting tells as well. */
	ASSERT_EQ(0, call_claim(self->mine, 150, 10, READ, 0, &id));
	{
		uint32_t result;

		ASSERT_EQ(0, call_convert(self->mine, id, WRITE, 0, 0, &result));
		EXPECT_EQ(IPM_GRANT_IN_DOUBT, result);
	}
	ASSERT_EQ(0, call_recovered(self->mine, 150, 10));
	ASSERT_EQ(0, call_release(self->mine, id));
	ASSERT_DOUBT({ 100, 50, pid }, { 160, 40, pid });
	ASSERT_CLAIM_GIVES(0, 150, 10, READ);
	ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, 149, 2, READ);
	RECOVER(100, 100);
	ASSERT_NO_DOUBT();
	ASSERT_CLAIM_GIVES(0, 100, 100, READ);
	/* What has happened is not forgotten. */
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.deaths);
	EXPECT_EQ(1, info.doubt_events);
	EXPECT_EQ(0, info.doubts);
}

TEST_F(death, recovered_needs_a_write_claim)
{
	int reader = call_reopen(self->fd, IPM_READ_ONLY);
	uint64_t id, second;
	pid_t pid = DIE_WRITING(0, 100, 100);

	EXPECT_EQ(-EACCES, call_recovered(self->mine, 100, 100));
	ASSERT_EQ(0, call_claim(self->mine, 100, 100, READ, 0, &id));
	EXPECT_EQ(-EACCES, call_recovered(self->mine, 100, 100));
	ASSERT_EQ(0, call_release(self->mine, id));

	/* Too little, two halves, another handle's. */
	ASSERT_EQ(0, call_claim(self->mine, 100, 50, WRITE, 0, &id));
	ASSERT_EQ(0, call_claim(self->mine, 150, 50, WRITE, 0, &second));
	EXPECT_EQ(-EACCES, call_recovered(self->mine, 100, 100));
	EXPECT_EQ(-EACCES, call_recovered(self->mine, 100, 51));
	EXPECT_EQ(-EACCES, call_recovered(self->mine, 99, 2));
	EXPECT_EQ(-EACCES, call_recovered(self->fd, 100, 10));
	EXPECT_EQ(-EACCES, call_recovered(self->mine, 0, CAPACITY));
	EXPECT_EQ(-EBADF, call_recovered(reader, 100, 10));
	EXPECT_EQ(-EINVAL, call_recovered(self->mine, 100, 0));
	EXPECT_EQ(-EOVERFLOW, call_recovered(self->mine, -1ULL, 2));
	EXPECT_EQ(-EFBIG, call_recovered(self->mine, CAPACITY, 1));
	EXPECT_EQ(-EFBIG, call_recovered(self->mine, 100, CAPACITY));
	ASSERT_DOUBT({ 100, 100, pid });

	/* Part of one claim is enough, and what was never in doubt is good anyway. */
	EXPECT_EQ(0, call_recovered(self->mine, 110, 20));
	EXPECT_EQ(0, call_recovered(self->mine, 110, 20));
	ASSERT_DOUBT({ 100, 10, pid }, { 130, 70, pid });
	EXPECT_EQ(0, call_recovered(self->mine, 150, 50));
	ASSERT_DOUBT({ 100, 10, pid }, { 130, 20, pid });
	EXPECT_EQ(0, call_recovered(self->mine, 100, 50));
	ASSERT_NO_DOUBT();
	close(reader);
}

/* Ranges of one death that touch are one; those of two deaths are kept apart. */
TEST_F(death, doubt_of_several)
{
	uint64_t id;
	pid_t a, b;

	GET(0, 0, 10, WRITE, &id);
	GET(0, 10, 10, WRITE, &id);
	GET(0, 15, 15, WRITE, &id);
	GET(0, 50, 10, WRITE, &id);
	a = KILL(0);
	ASSERT_DOUBT({ 0, 30, a }, { 50, 10, a });
	b = DIE_WRITING(1, 30, 10);
	ASSERT_DOUBT({ 0, 30, a }, { 30, 10, b }, { 50, 10, a });

	/* The later death is the one to know of, where both were. */
	ASSERT_EQ(0, actor_claim(&self->p[2], self->h[2], 20, 35, WRITE, 0, &id));
	ASSERT_EQ(IPM_GRANT_IN_DOUBT, self->p[2].order->claim.result);
	RECOVER(0, 10);
	b = KILL(2);
	ASSERT_DOUBT({ 10, 10, a }, { 20, 35, b }, { 55, 5, a });
	RECOVER(0, 100);
	ASSERT_NO_DOUBT();
}

/* All ranges of a claim for writing, and none for reading. */
TEST_F(death, doubt_of_ranges)
{
	struct ipm_range r[4] = {
		{ .offset = 300, .length = 10, .mode = WRITE },
		{ .offset = 100, .length = 10, .mode = WRITE },
		{ .offset = 200, .length = 10, .mode = READ },
		{ .offset = 110, .length = 10, .mode = WRITE },
	};
	struct ipm_claim arg = claim_arg(0, 0, 0, 0);
	uint64_t id;
	pid_t pid;

	arg.ranges = (uintptr_t)r;
	arg.nr_ranges = 4;
	actor_give_claim(&self->p[0], self->h[0], arg);
	ASSERT_EQ(0, actor_result(&self->p[0]));
	pid = KILL(0);
	ASSERT_DOUBT({ 100, 20, pid }, { 300, 10, pid });
	/* The flag for a request of several ranges, one of which is touched. */
	r[0].offset = 305;
	r[1].offset = 0;
	r[3].offset = 50;
	actor_give_claim(&self->p[1], self->h[1], arg);
	ASSERT_EQ(0, actor_result(&self->p[1]));
	EXPECT_EQ(IPM_GRANT_IN_DOUBT, self->p[1].order->claim.result);
	RELEASE(1, self->p[1].order->claim.id);

	/* Converted to read before the end: nothing. Converted to write: all of it. */
	GET(2, 400, 10, WRITE, &id);
	ASSERT_EQ(0, call_convert(self->h[2], id, READ, 0, 0, NULL));
	KILL(2);
	ASSERT_DOUBT({ 100, 20, pid }, { 300, 10, pid });
	GET(3, 400, 10, READ, &id);
	actor_give_convert(&self->p[3], self->h[3], id, WRITE, 0, 0);
	ASSERT_EQ(0, actor_result(&self->p[3]));
	id = KILL(3);
	ASSERT_DOUBT({ 100, 20, pid }, { 300, 10, pid }, { 400, 10, id });
}

/* A claim is that of the process that took it, also when another one converted it. */
TEST_F(death, claim_that_another_process_converted)
{
	uint64_t id;
	pid_t pid;

	GET(0, 0, 10, READ, &id);
	actor_give_convert(&self->p[1], self->h[0], id, WRITE, 0, 0);
	ASSERT_EQ(0, actor_result(&self->p[1]));
	KILL(1);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	pid = KILL(0);
	ASSERT_CLAIMS(self->fd, 0, 0, 1);
	ASSERT_DOUBT({ 0, 10, pid });
}

/* The list is bounded. When it is full it says too much, but never too little. */
TEST_F_TIMEOUT(death, doubt_is_bounded, 60)
{
	enum { N = 200 };
	struct ipm_doubt_range list[IPM_DOUBT_MAX];
	int total, merged = 0;
	uint64_t id;

	/* Claims at growing distances, all of one death. */
	for (int i = 0; i < N; i++)
		GET(0, i * i * 20, 10, WRITE, &id);
	KILL(0);
	total = call_doubt(self->fd, 0, 0, list, IPM_DOUBT_MAX);
	ASSERT_LE(IPM_DOUBT_MAX / 2, total);
	ASSERT_GE(IPM_DOUBT_MAX, total);
	for (int i = 0; i < N; i++) {
		bool found = false;

		for (int k = 0; k < total; k++)
			found |= list[k].offset <= (uint64_t)i * i * 20 &&
				 list[k].offset + list[k].length >= (uint64_t)i * i * 20 + 10;
		ASSERT_TRUE(found);
		ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, i * i * 20, 10, READ);
		ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, i * i * 20 + 9, 1, WRITE);
	}
	for (int k = 0; k < total; k++)
		merged += !!(list[k].flags & IPM_DOUBT_MERGED);
	EXPECT_LT(0, merged);
	ASSERT_CLAIM_GIVES(0, N * N * 20, 1000, WRITE);

	/* In the middle of a full list: what is not recovered stays. */
	ASSERT_EQ(0, call_claim(self->mine, 0, CAPACITY, WRITE, 0, &id));
	for (int i = 0; i < N; i += 2)
		ASSERT_EQ(0, call_recovered(self->mine, i * i * 20 + 2, 5));
	total = call_doubt(self->fd, 0, 0, list, IPM_DOUBT_MAX);
	ASSERT_GE(IPM_DOUBT_MAX, total);
	ASSERT_EQ(0, call_release(self->mine, id));
	for (int i = 1; i < N; i += 2)
		ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, i * i * 20, 10, READ);
	for (int i = 0; i < N; i++)
		ASSERT_CLAIM_GIVES(IPM_GRANT_IN_DOUBT, i * i * 20, 2, READ);

	RECOVER(0, CAPACITY);
	ASSERT_NO_DOUBT();
}

/* A list that is asked for with too little room. */
TEST_F(death, doubt_in_parts)
{
	struct ipm_doubt_range list[5];
	uint64_t id;

	for (int i = 0; i < 10; i++)
		GET(0, i * 100, 10, WRITE, &id);
	KILL(0);
	memset(list, POISON, sizeof(list));
	ASSERT_EQ(10, call_doubt(self->fd, 0, 0, list, 3));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(i * 100U, list[i].offset);
	EXPECT_EQ(POISON64, list[3].offset);
	/* From where the last answer ended. */
	ASSERT_EQ(7, call_doubt(self->fd, 300, CAPACITY - 300, list, 5));
	EXPECT_EQ(300, list[0].offset);
	ASSERT_EQ(3, call_doubt(self->fd, 209, 192, list, 5));
	EXPECT_EQ(200, list[0].offset);
	EXPECT_EQ(400, list[2].offset);
}

/* Who it was, as seen from another pid namespace: not at all. */
TEST_F(death, doubt_from_another_pid_namespace)
{
	struct ipm_doubt_range list[2];
	pid_t pid = DIE_WRITING(0, 0, 10);
	int status;
	pid_t child;

	ASSERT_DOUBT({ 0, 10, pid });
	child = fork();
	if (!child) {
		struct ipm_info info;

		if (unshare(CLONE_NEWPID))
			_exit(77);
		CHECK(0, IN_CHILD({
			CHECK(1, call_doubt(self->fd, 0, 0, list, 2));
			CHECK(0, list[0].pid);
			CHECK(0, call_info(self->fd, &info));
			CHECK(0, info.creator_pid);
			/* Its own dead have numbers here. */
			CHECK(0, IN_CHILD(CHECK(0, call_claim(self->mine, 100, 1, WRITE, 0, NULL))));
			CHECK(2, call_doubt(self->fd, 0, 0, list, 2));
			CHECK(2, list[1].pid);
		}));
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	if (WEXITSTATUS(status) == 77)
		SKIP(return, "no pid namespaces here");
	ASSERT_EQ(0, status);
}

/* The segment goes on without its creator; with the last one it ends, doubts and all. */
TEST_F(death, all_users_die)
{
	int fd = make_named(self->dev, "test-death", PAGE, 0);
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct actor p[2];
	struct counts counts;

	ASSERT_NE(MAP_FAILED, (void *)map);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, actor_start(&p[i], false));
		ASSERT_EQ(0, actor_claim(&p[i], fd, i * 10, 10, WRITE, 0, NULL));
	}
	munmap(map, PAGE);
	close(fd);
	counts = read_counts();
	actor_kill(&p[0]);
	fd = call_open(self->dev, ref_name("test-death"), IPM_READ_WRITE);
	ASSERT_FD(fd);
	ASSERT_CLAIMS(fd, 1, 0, 1);
	close(fd);
	actor_kill(&p[1]);
	ASSERT_EQ(-ENOENT, call_open(self->dev, ref_name("test-death"), IPM_READ_WRITE));
	ASSERT_STRNE(counts.text, read_counts().text);
}

TEST_HARNESS_MAIN
