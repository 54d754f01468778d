// SPDX-License-Identifier: GPL-2.0
/*
 * Claims of the living: who waits for whom, in which order they are granted,
 * what ends a wait, and which waits are refused because they would never end.
 * What happens when somebody dies is in death.c.
 */
#include "ipm_test.h"

#include <sys/epoll.h>

#define CAPACITY	(1UL << 20)
#define ACTORS		8

/*
 * A segment with one handle for each actor, who are threads: actor i uses
 * handle i. The test itself takes no claims, unless it says so; @fd is for
 * looking.
 */
#define CLAIM_FIXTURE                                                              \
	struct counts before;                                                      \
	int dev;                                                                   \
	int fd;                                                                    \
	int h[ACTORS];                                                             \
	struct actor a[ACTORS]

#define CLAIM_SETUP()                                                              \
	do {                                                                       \
		self->before = read_counts();                                      \
		self->dev = open_device();                                         \
		ASSERT_FD(self->dev);                                              \
		self->fd = make_private(self->dev, PAGE, CAPACITY);                \
		ASSERT_FD(self->fd);                                               \
		for (int i = 0; i < ACTORS; i++) {                                 \
			self->h[i] = call_reopen(self->fd, IPM_READ_WRITE);        \
			ASSERT_FD(self->h[i]);                                     \
			ASSERT_EQ(0, actor_start(&self->a[i], true));              \
		}                                                                  \
	} while (0)

#define CLAIM_TEARDOWN()                                                           \
	do {                                                                       \
		for (int i = 0; i < ACTORS; i++) {                                 \
			actor_stop(&self->a[i]);                                   \
			close(self->h[i]);                                         \
		}                                                                  \
		close(self->fd);                                                   \
		close(self->dev);                                                  \
		if (_metadata->passed)                                             \
			EXPECT_COUNTS_SOON(self->before);                          \
	} while (0)

/* Actor @i claims and gets it at once. */
#define GET(i, offset, length, mode, id)                                               \
	do {                                                                           \
		ASSERT_EQ(0, actor_claim(&self->a[i], self->h[i], offset, length, mode, 0, \
					 id));                                         \
		ASSERT_EQ(0, self->a[i].order->claim.result);                          \
	} while (0)

/* Actor @i claims and has to wait; @waiters wait then. */
#define WAIT(i, offset, length, mode, waiters)                                         \
	ASSERT_WAITS(&self->a[i], self->h[i], offset, length, mode, waiters)

/* The wait of actor @i ends with the claim. */
#define GRANTED(i, id)		ASSERT_GRANTED(&self->a[i], IPM_GRANT_WAITED, id)

/* The wait of actor @i ends so. */
#define FAILED(i, error)	ASSERT_EQ(-(error), actor_result(&self->a[i]))

/* Actor @i still waits. */
#define STILL_WAITS(i)		ASSERT_EQ(0, actor_answered(&self->a[i], 0))

#define RELEASE(i, id)		ASSERT_EQ(0, actor_release(&self->a[i], self->h[i], id))

/* A signal ends the wait of actor @i. */
#define INTERRUPT(i)                                                                   \
	do {                                                                           \
		pthread_kill(self->a[i].id, SIGUSR1);                                  \
		FAILED(i, EINTR);                                                      \
	} while (0)

/* Would actor @i get it at once? */
#define TRY(expected, i, offset, length, mode)                                         \
	do {                                                                           \
		uint64_t try_id;                                                       \
		int try_ret = actor_claim(&self->a[i], self->h[i], offset, length, mode, \
					  IPM_CLAIM_TRY, &try_id);                     \
		ASSERT_EQ(expected, try_ret);                                          \
		if (!try_ret)                                                          \
			RELEASE(i, try_id);                                            \
	} while (0)

/* Nothing is held, nothing is waited for, nothing is in doubt. */
#define ASSERT_IDLE()		ASSERT_CLAIMS(self->fd, 0, 0, 0)

FIXTURE(claim)
{
	CLAIM_FIXTURE;
};

FIXTURE_SETUP(claim)
{
	CLAIM_SETUP();
}

FIXTURE_TEARDOWN(claim)
{
	CLAIM_TEARDOWN();
}

/* --- what they take --- */

static long long slab_bytes(void)
{
	char text[8192], *line;

	write_text("/proc/sys/vm/stat_refresh", "1");
	read_text("/proc/meminfo", text, sizeof(text));
	line = strstr(text, "\nSUnreclaim:");
	return line ? atoll(line + strlen("\nSUnreclaim:")) << 10 : -1;
}

/* As man 4 ipm says. */
TEST_F_TIMEOUT(claim, kernel_memory, 60)
{
	enum { CLAIMS = 30000, HANDLES = 5000 };
	const struct rlimit many = { HANDLES + 200, HANDLES + 200 };
	static int handles[HANDLES];
	long long before, claim, handle;
	int last;

	if (kernel_has("kasan_report") || kernel_has("lock_acquire"))
		SKIP(return, "KASAN and lockdep add to every object of the kernel");
	before = slab_bytes();
	ASSERT_LT(0, before);
	for (int i = 0; i < CLAIMS; i++)
		ASSERT_EQ(0, call_claim(self->fd, i, 1, WRITE, 0, NULL));
	claim = (slab_bytes() - before) / CLAIMS;
	ASSERT_EQ(CLAIMS, call_release_all(self->fd));

	/* So that the table of file descriptors does not grow meanwhile. */
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &many));
	last = fcntl(self->fd, F_DUPFD, HANDLES + 100);
	ASSERT_FD(last);
	before = slab_bytes();
	for (int i = 0; i < HANDLES; i++) {
		handles[i] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(handles[i]);
	}
	handle = (slab_bytes() - before) / HANDLES;
	for (int i = 0; i < HANDLES; i++)
		close(handles[i]);
	close(last);
	TH_LOG("%lld bytes for a claim, %lld for a handle", claim, handle);
	/* More than nothing, or it was not measured. */
	EXPECT_LT(150, claim);
	EXPECT_GT(200, claim);
	EXPECT_LT(300, handle);
	EXPECT_GT(1024, handle);
}

/* --- which claims conflict --- */

TEST_F(claim, conflicts)
{
	static const struct {
		uint64_t offset, length;
		bool overlaps;	/* [100, 200) */
	} second[] = {
		{ 100, 100, true }, { 0, 101, true }, { 199, 1, true }, { 199, 100, true },
		{ 100, 1, true }, { 120, 10, true }, { 0, CAPACITY, true }, { 99, 2, true },
		{ 0, 100, false }, { 200, 100, false }, { 99, 1, false }, { 200, 1, false },
		{ 0, 1, false }, { 300, CAPACITY - 300, false },
	};

	for (int modes = 0; modes < 4; modes++) {
		uint32_t first = modes & 1 ? WRITE : READ, then = modes & 2 ? WRITE : READ;
		uint64_t id;

		GET(0, 100, 100, first, &id);
		for (size_t i = 0; i < ARRAY_LENGTH(second); i++) {
			bool conflict = second[i].overlaps && (first == WRITE || then == WRITE);

			TRY(conflict ? -EAGAIN : 0, 1, second[i].offset, second[i].length, then);
			/* The handle itself never conflicts, whichever thread asks. */
			ASSERT_EQ(0, actor_claim(&self->a[1], self->h[0], second[i].offset,
						 second[i].length, then, IPM_CLAIM_TRY, &id));
			ASSERT_CLAIMS(self->fd, 2, 0, 0);
			ASSERT_EQ(0, actor_release(&self->a[2], self->h[0], id));
			ASSERT_CLAIMS(self->fd, 1, 0, 0);
		}
		ASSERT_EQ(1, call_release_all(self->h[0]));
		ASSERT_IDLE();
	}
}

TEST_F(claim, many_readers)
{
	uint64_t ids[ACTORS];

	for (int i = 0; i < ACTORS; i++)
		GET(i, 0, 100, READ, &ids[i]);
	ASSERT_CLAIMS(self->fd, ACTORS, 0, 0);
	TRY(-EAGAIN, 0, 99, 1, WRITE);
	for (int i = 1; i < ACTORS; i++)
		RELEASE(i, ids[i]);
	TRY(0, 0, 99, 1, WRITE);
	TRY(-EAGAIN, 1, 99, 1, WRITE);
	RELEASE(0, ids[0]);
	TRY(0, 1, 99, 1, WRITE);
	ASSERT_IDLE();
}

/* Writers of different bytes do not know of each other. */
TEST_F(claim, disjoint_writers)
{
	uint64_t ids[ACTORS];

	for (int i = 0; i < ACTORS; i++)
		GET(i, i * 10, 10, WRITE, &ids[i]);
	for (int i = 0; i < ACTORS; i++) {
		TRY(-EAGAIN, (i + 1) % ACTORS, i * 10 + 9, 1, READ);
		RELEASE(i, ids[i]);
		TRY(0, (i + 1) % ACTORS, i * 10 + 9, 1, READ);
	}
	ASSERT_IDLE();
}

TEST_F(claim, one_handle_many_claims)
{
	uint64_t ids[100];

	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(0, call_claim(self->fd, i, 200 - i, i & 1, 0, &ids[i]));
		for (int k = 0; k < i; k++)
			ASSERT_NE(ids[k], ids[i]);
	}
	ASSERT_CLAIMS(self->fd, 100, 0, 0);
	for (int i = 0; i < 100; i += 2)
		ASSERT_EQ(0, call_release(self->fd, ids[i]));
	ASSERT_CLAIMS(self->fd, 50, 0, 0);
	ASSERT_EQ(50, call_release_all(self->fd));
	ASSERT_EQ(0, call_release_all(self->fd));
	ASSERT_IDLE();
}

TEST_F(claim, bad_arguments)
{
	static const struct {
		uint64_t offset, length;
		int error;
	} bad[] = {
		{ 0, 0, EINVAL }, { 5, 0, EINVAL }, { CAPACITY, 0, EINVAL },
		{ 0, CAPACITY + 1, EFBIG }, { CAPACITY, 1, EFBIG }, { CAPACITY - 1, 2, EFBIG },
		{ 1ULL << 62, 1, EFBIG }, { 0, -1ULL, EFBIG },
		{ -1ULL, 1, EOVERFLOW }, { 1, -1ULL, EOVERFLOW }, { -1ULL, -1ULL, EOVERFLOW },
		{ 1ULL << 63, 1ULL << 63, EOVERFLOW },
	};
	struct ipm_claim arg;
	int reader = call_reopen(self->fd, IPM_READ_ONLY);
	uint64_t id;

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct ipm_range ranges[2] = {
			{ .offset = 1, .length = 1, .mode = READ },
			{ .offset = bad[i].offset, .length = bad[i].length, .mode = WRITE },
		};

		ASSERT_EQ(-bad[i].error, call_claim(self->fd, bad[i].offset, bad[i].length, WRITE,
						    0, NULL)) {
			note("offset %#llx, length %#llx", (unsigned long long)bad[i].offset,
			     (unsigned long long)bad[i].length);
		}
		arg = claim_arg(0, 0, 0, 0);
		arg.ranges = (uintptr_t)ranges;
		arg.nr_ranges = 2;
		ASSERT_EQ(-bad[i].error, call_claim_arg(self->fd, &arg));
	}
	for (uint32_t mode = 2; mode; mode <<= 1)
		ASSERT_EQ(-EINVAL, call_claim(self->fd, 0, 1, mode, 0, NULL));

	/* A deadline that is negative, or that the flags do not speak of. */
	arg = claim_arg(0, 1, READ, IPM_CLAIM_DEADLINE);
	arg.deadline = -1;
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	arg.deadline = INT64_MIN;
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	arg = claim_arg(0, 1, READ, 0);
	arg.deadline = in_ms(1000);
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));

	/* A reader's handle. */
	ASSERT_EQ(-EBADF, call_claim(reader, 0, 1, WRITE, 0, NULL));
	ASSERT_EQ(-EBADF, call_claim(reader, 0, 1, WRITE, IPM_CLAIM_ASYNC, NULL));
	ASSERT_EQ(0, call_claim(reader, 0, 1, READ, 0, &id));
	ASSERT_EQ(-EBADF, call_convert(reader, id, WRITE, 0, 0, NULL));
	ASSERT_EQ(0, call_convert(reader, id, READ, 0, 0, NULL));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	close(reader);

	/* Beyond the size, but not the capacity, is fine. */
	ASSERT_EQ(0, call_claim(self->fd, PAGE, CAPACITY - PAGE, WRITE, 0, &id));
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_IDLE();
}

/* --- releasing --- */

TEST_F(claim, release_errors)
{
	uint64_t id, other, gone;

	ASSERT_EQ(-ENOENT, call_release(self->fd, 0));
	ASSERT_EQ(-ENOENT, call_release(self->fd, 1));
	ASSERT_EQ(-ENOENT, call_release(self->fd, -1ULL));
	GET(0, 0, 10, WRITE, &id);
	GET(1, 10, 10, WRITE, &other);
	ASSERT_NE(id, other);
	/* Each handle has its own; the thread does not matter. */
	ASSERT_EQ(-ENOENT, call_release(self->fd, id));
	ASSERT_EQ(-ENOENT, call_release(self->h[1], id));
	ASSERT_EQ(-ENOENT, call_release(self->h[0], other));
	ASSERT_EQ(-ENOENT, call_convert(self->h[0], other, READ, 0, 0, NULL));
	ASSERT_EQ(-ENOENT, call_collect(self->h[0], other, NULL));
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	ASSERT_EQ(0, call_release(self->h[0], id));
	ASSERT_EQ(-ENOENT, call_release(self->h[0], id));
	ASSERT_EQ(-ENOENT, call_convert(self->h[0], id, READ, 0, 0, NULL));
	gone = id;
	GET(0, 0, 10, WRITE, &id);
	ASSERT_NE(gone, id);
	ASSERT_EQ(-ENOENT, call_release(self->h[0], gone));
	ASSERT_EQ(1, call_release_all(self->h[0]));
	ASSERT_EQ(-ENOENT, call_release(self->h[0], id));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	RELEASE(1, other);
	ASSERT_IDLE();
}

/* A second number for the same handle, and a forked child's. */
TEST_F(claim, release_through_a_copy)
{
	int copy = dup(self->h[0]);
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	close(self->h[0]);
	self->h[0] = -1;
	TRY(-EAGAIN, 1, 0, 10, READ);
	ASSERT_EQ(0, call_release(copy, id));
	TRY(0, 1, 0, 10, READ);
	ASSERT_EQ(0, call_claim(copy, 0, 10, WRITE, 0, &id));
	ASSERT_EQ(0, IN_CHILD(CHECK(0, call_release(copy, id))));
	TRY(0, 1, 0, 10, READ);
	ASSERT_EQ(0, call_claim(copy, 0, 10, WRITE, 0, &id));
	close(copy);
	TRY(0, 1, 0, 10, READ);
	ASSERT_IDLE();
}

TEST_F(claim, close_releases)
{
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	GET(0, 20, 10, READ, &id);
	WAIT(1, 5, 20, WRITE, 1);
	ASSERT_EQ(0, close(self->h[0]));
	self->h[0] = -1;
	GRANTED(1, &id);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	RELEASE(1, id);
	/* Nobody died. */
	ASSERT_IDLE();
	ASSERT_STATE(self->fd, 0);
}

/* --- order --- */

TEST_F(claim, writer_after_writer)
{
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	for (int i = 1; i < ACTORS; i++)
		WAIT(i, 0, 10, WRITE, i);
	for (int i = 1; i < ACTORS; i++) {
		RELEASE(i - 1, id);
		GRANTED(i, &id);
		for (int k = i + 1; k < ACTORS; k++)
			STILL_WAITS(k);
		ASSERT_CLAIMS(self->fd, 1, ACTORS - 1 - i, 0);
	}
	RELEASE(ACTORS - 1, id);
	ASSERT_IDLE();
}

/* W, then R R together, then W, then R: no later reader overtakes a writer. */
TEST_F(claim, readers_and_writers_in_order)
{
	uint64_t id[8];

	GET(0, 0, 10, WRITE, &id[0]);
	WAIT(1, 0, 10, WRITE, 1);
	WAIT(2, 0, 10, READ, 2);
	WAIT(3, 0, 10, READ, 3);
	WAIT(4, 0, 10, WRITE, 4);
	WAIT(5, 0, 10, READ, 5);
	RELEASE(0, id[0]);
	GRANTED(1, &id[1]);
	ASSERT_CLAIMS(self->fd, 1, 4, 0);
	RELEASE(1, id[1]);
	GRANTED(2, &id[2]);
	GRANTED(3, &id[3]);
	ASSERT_CLAIMS(self->fd, 2, 2, 0);
	RELEASE(3, id[3]);
	ASSERT_CLAIMS(self->fd, 1, 2, 0);
	TRY(-EAGAIN, 6, 0, 10, READ);
	RELEASE(2, id[2]);
	GRANTED(4, &id[4]);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	RELEASE(4, id[4]);
	GRANTED(5, &id[5]);
	RELEASE(5, id[5]);
	ASSERT_IDLE();
}

/* A new reader stands behind the writer who waits, although it conflicts with no holder. */
TEST_F(claim, reader_behind_waiting_writer)
{
	uint64_t id[4];

	GET(0, 0, 100, READ, &id[0]);
	WAIT(1, 50, 100, WRITE, 1);
	WAIT(2, 0, 60, READ, 2);
	/* Where the writer does not want to go, readers come and go. */
	GET(3, 0, 50, READ, &id[3]);
	TRY(-EAGAIN, 3, 49, 2, READ);
	TRY(-EAGAIN, 3, 149, 2, READ);
	TRY(0, 3, 150, 2, READ);
	RELEASE(3, id[3]);
	ASSERT_CLAIMS(self->fd, 1, 2, 0);
	RELEASE(0, id[0]);
	GRANTED(1, &id[1]);
	STILL_WAITS(2);
	RELEASE(1, id[1]);
	GRANTED(2, &id[2]);
	RELEASE(2, id[2]);
	ASSERT_IDLE();
}

/* Readers who take turns, so that one is always there, do not keep a writer out. */
TEST_F(claim, writer_is_not_starved)
{
	uint64_t id[3];

	GET(0, 0, 10, READ, &id[0]);
	WAIT(2, 0, 10, WRITE, 1);
	WAIT(1, 0, 10, READ, 2);
	RELEASE(0, id[0]);
	GRANTED(2, &id[2]);
	WAIT(0, 0, 10, READ, 2);
	RELEASE(2, id[2]);
	GRANTED(1, &id[1]);
	GRANTED(0, &id[0]);
	RELEASE(1, id[1]);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

/* A request over the bytes of two holders waits for both, in whichever order they go. */
TEST_F(claim, waits_for_all_holders)
{
	uint64_t id[3];

	for (int first = 0; first < 2; first++) {
		GET(0, 0, 10, WRITE, &id[0]);
		GET(1, 10, 10, READ, &id[1]);
		WAIT(2, 0, 20, WRITE, 1);
		RELEASE(first, id[first]);
		ASSERT_WAITING(&self->a[2], self->fd, 1);
		/* And nobody slips into the half that is free. */
		TRY(-EAGAIN, first, first * 10, 10, READ);
		RELEASE(!first, id[!first]);
		GRANTED(2, &id[2]);
		RELEASE(2, id[2]);
		ASSERT_IDLE();
	}
}

/* Who stands behind one that gives up goes on at once. */
TEST_F(claim, those_behind_one_that_gives_up)
{
	uint64_t id[4];

	GET(0, 0, 5, READ, &id[0]);
	WAIT(1, 0, 10, WRITE, 1);
	WAIT(2, 5, 10, READ, 2);
	WAIT(3, 0, 20, READ, 3);
	INTERRUPT(1);
	GRANTED(2, &id[2]);
	GRANTED(3, &id[3]);
	ASSERT_CLAIMS(self->fd, 3, 0, 0);
	RELEASE(0, id[0]);
	RELEASE(2, id[2]);
	RELEASE(3, id[3]);
	ASSERT_IDLE();
}

/* Requests that touch nobody's bytes never wait, however long the queues elsewhere are. */
TEST_F(claim, queues_are_apart)
{
	uint64_t id[ACTORS];

	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 10, 10, WRITE, &id[1]);
	WAIT(2, 0, 10, WRITE, 1);
	WAIT(3, 10, 10, WRITE, 2);
	GET(4, 20, 10, WRITE, &id[4]);
	RELEASE(1, id[1]);
	GRANTED(3, &id[3]);
	STILL_WAITS(2);
	RELEASE(0, id[0]);
	GRANTED(2, &id[2]);
	for (int i = 2; i < 5; i++)
		RELEASE(i, id[i]);
	ASSERT_IDLE();
}

/* --- what ends a wait --- */

TEST_F(claim, deadline)
{
	struct ipm_claim arg;
	struct ipm_info info;
	int64_t deadline;
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);

	/* One that has passed: it does not wait. */
	arg = claim_arg(5, 10, WRITE, IPM_CLAIM_DEADLINE);
	arg.deadline = 0;
	actor_give_claim(&self->a[1], self->h[1], arg);
	FAILED(1, ETIMEDOUT);
	arg.deadline = in_ms(-1);
	actor_give_claim(&self->a[1], self->h[1], arg);
	FAILED(1, ETIMEDOUT);
	/* Nobody in the way: it does not matter. */
	arg.offset = 10;
	actor_give_claim(&self->a[1], self->h[1], arg);
	ASSERT_EQ(0, actor_result(&self->a[1]));
	ASSERT_EQ(0, self->a[1].order->claim.result);
	RELEASE(1, self->a[1].order->claim.id);

	/* One in the future: not a moment before. */
	deadline = in_ms(500);
	arg = claim_arg(5, 10, WRITE, IPM_CLAIM_DEADLINE);
	arg.deadline = deadline;
	actor_give_claim(&self->a[1], self->h[1], arg);
	FAILED(1, ETIMEDOUT);
	ASSERT_LE(deadline, in_ms(0));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_LE(1, info.waits);
	EXPECT_LE(1, info.wait_ns);

	/* Granted in time; and the last moment that there is. */
	arg.deadline = INT64_MAX;
	ASSERT_WAITS_ARG(&self->a[1], self->h[1], arg, 1);
	RELEASE(0, id);
	GRANTED(1, &id);
	RELEASE(1, id);
	ASSERT_IDLE();
}

/* Those behind one whose time is up go on. */
TEST_F(claim, deadline_lets_others_pass)
{
	struct ipm_claim arg = claim_arg(0, 20, WRITE, IPM_CLAIM_DEADLINE);
	uint64_t id[3];

	GET(0, 0, 10, READ, &id[0]);
	arg.deadline = in_ms(50);
	actor_give_claim(&self->a[1], self->h[1], arg);
	actor_give_claim(&self->a[2], self->h[2], claim_arg(0, 10, READ, 0));
	FAILED(1, ETIMEDOUT);
	ASSERT_EQ(0, actor_result(&self->a[2]));
	id[2] = self->a[2].order->claim.id;
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	RELEASE(0, id[0]);
	RELEASE(2, id[2]);
	ASSERT_IDLE();
}

/* A signal ends the wait also where other calls would be restarted. */
TEST_F(claim, signal)
{
	struct sigaction action = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };
	struct ipm_claim arg = claim_arg(0, 10, READ, IPM_CLAIM_DEADLINE);
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	WAIT(1, 0, 10, READ, 1);
	INTERRUPT(1);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	WAIT(1, 0, 10, READ, 1);
	INTERRUPT(1);
	arg.deadline = in_ms(3600000);
	ASSERT_WAITS_ARG(&self->a[1], self->h[1], arg, 1);
	INTERRUPT(1);
	/* One that is ignored ends nothing. */
	ASSERT_EQ(SIG_DFL, signal(SIGUSR2, SIG_IGN));
	WAIT(1, 0, 10, READ, 1);
	pthread_kill(self->a[1].id, SIGUSR2);
	ASSERT_WAITING(&self->a[1], self->fd, 1);
	RELEASE(0, id);
	GRANTED(1, &id);
	RELEASE(1, id);
	ASSERT_IDLE();
}

/* Signals and releases at the same moment: the claim is had or not had, never both. */
TEST_F_TIMEOUT(claim, signal_race, 200)
{
	int got = 0, interrupted = 0;
	uint64_t id;

	for (int round = 0; round < 400; round++) {
		int ret;

		GET(0, 0, 10, WRITE, &id);
		WAIT(1, 0, 10, WRITE, 1);
		if (round & 1) {
			pthread_kill(self->a[1].id, SIGUSR1);
			ASSERT_EQ(0, call_release(self->h[0], id));
		} else {
			ASSERT_EQ(0, call_release(self->h[0], id));
			pthread_kill(self->a[1].id, SIGUSR1);
		}
		ret = actor_result(&self->a[1]);
		if (!ret) {
			got++;
			ASSERT_CLAIMS(self->fd, 1, 0, 0);
			RELEASE(1, self->a[1].order->claim.id);
		} else {
			ASSERT_EQ(-EINTR, ret);
			interrupted++;
		}
		ASSERT_IDLE();
	}
	note("%d granted, %d interrupted", got, interrupted);
}

TEST_F(claim, try)
{
	uint64_t id, other;

	GET(0, 0, 10, READ, &id);
	TRY(0, 1, 0, 10, READ);
	WAIT(1, 0, 10, WRITE, 1);
	/* It looks at those who wait. */
	TRY(-EAGAIN, 2, 0, 10, READ);
	TRY(-EAGAIN, 2, 9, 5, WRITE);
	TRY(0, 2, 10, 5, WRITE);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	/* A handle that holds the bytes does not stand in line for them. */
	ASSERT_EQ(0, actor_claim(&self->a[0], self->h[0], 2, 3, READ, IPM_CLAIM_TRY, &other));
	RELEASE(0, other);
	RELEASE(0, id);
	GRANTED(1, &id);
	RELEASE(1, id);
	ASSERT_IDLE();
}

TEST_F(claim, removal)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_UNTIL_REMOVED);
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	ASSERT_WAITS_ARG(&self->a[1], self->h[1], arg, 1);
	WAIT(2, 0, 10, WRITE, 2);
	WAIT(3, 0, 10, READ, 3);
	ASSERT_EQ(0, call_remove(self->fd, ref_none()));
	FAILED(1, EIDRM);
	/* Who did not ask for that waits on, and claims work as before. */
	ASSERT_WAITING(&self->a[2], self->fd, 2);
	RELEASE(0, id);
	GRANTED(2, &id);
	actor_give_claim(&self->a[1], self->h[1], arg);
	FAILED(1, EIDRM);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	RELEASE(2, id);
	GRANTED(3, &id);
	RELEASE(3, id);
	ASSERT_IDLE();
}

/* --- a handle that holds the bytes already --- */

TEST_F(claim, own_bytes_do_not_queue)
{
	uint64_t id[8], inner;

	GET(0, 0, 100, READ, &id[0]);
	WAIT(1, 0, 200, WRITE, 1);
	/* Inside of what it holds, any mode that its claims allow. */
	GET(0, 10, 20, READ, &inner);
	RELEASE(0, inner);
	GET(0, 0, 100, WRITE, &inner);
	TRY(-EAGAIN, 2, 150, 10, READ);
	RELEASE(0, inner);
	/* A byte further: it stands in line like everybody. */
	TRY(-EAGAIN, 0, 99, 2, READ);
	TRY(-EAGAIN, 0, 100, 1, READ);
	/* Two claims side by side are not one that covers. */
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	RELEASE(0, id[0]);
	GRANTED(1, &id[1]);
	RELEASE(1, id[1]);

	GET(0, 0, 10, READ, &id[0]);
	GET(0, 10, 10, READ, &id[2]);
	WAIT(1, 0, 20, WRITE, 1);
	TRY(-EAGAIN, 0, 5, 10, READ);
	TRY(0, 0, 5, 5, READ);
	RELEASE(0, id[0]);
	TRY(-EAGAIN, 0, 5, 5, READ);
	RELEASE(0, id[2]);
	GRANTED(1, &id[1]);
	RELEASE(1, id[1]);
	ASSERT_IDLE();
}

/* It waits only for holders, in front of all who stand in line; they stand behind it. */
TEST_F(claim, own_bytes_wait_in_front)
{
	uint64_t id[8], own;

	GET(0, 0, 100, READ, &id[0]);
	GET(1, 0, 100, READ, &id[1]);
	WAIT(2, 0, 50, WRITE, 1);
	WAIT(3, 10, 10, READ, 2);
	WAIT(0, 10, 10, WRITE, 3);
	/* Later ones stand behind it too, and elsewhere they do not. */
	TRY(-EAGAIN, 4, 10, 1, READ);
	TRY(0, 4, 60, 10, READ);
	RELEASE(1, id[1]);
	GRANTED(0, &own);
	STILL_WAITS(2);
	STILL_WAITS(3);
	ASSERT_CLAIMS(self->fd, 2, 2, 0);
	RELEASE(0, own);
	STILL_WAITS(2);
	RELEASE(0, id[0]);
	GRANTED(2, &id[2]);
	RELEASE(2, id[2]);
	GRANTED(3, &id[3]);
	RELEASE(3, id[3]);
	ASSERT_IDLE();
}

/* --- several ranges --- */

FIXTURE(ranges)
{
	CLAIM_FIXTURE;
	struct ipm_range r[IPM_CLAIM_RANGES_MAX + 1];
};

FIXTURE_SETUP(ranges)
{
	CLAIM_SETUP();
}

FIXTURE_TEARDOWN(ranges)
{
	CLAIM_TEARDOWN();
}

static struct ipm_claim ranges_arg(struct ipm_range *ranges, uint32_t nr, uint32_t flags)
{
	struct ipm_claim arg = claim_arg(0, 0, 0, flags);

	arg.ranges = (uintptr_t)ranges;
	arg.nr_ranges = nr;
	return arg;
}

static struct ipm_range range(uint64_t offset, uint64_t length, uint32_t mode)
{
	return (struct ipm_range) { .offset = offset, .length = length, .mode = mode };
}

TEST_F(ranges, all_together)
{
	struct ipm_claim arg;
	uint64_t id;

	/* In no order; neighbours are allowed; each with its own mode. */
	self->r[0] = range(500, 10, WRITE);
	self->r[1] = range(100, 10, READ);
	self->r[2] = range(510, 10, READ);
	arg = ranges_arg(self->r, 3, 0);
	ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
	EXPECT_EQ(0, arg.result);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	TRY(0, 0, 0, 100, WRITE);
	TRY(0, 0, 100, 10, READ);
	TRY(-EAGAIN, 0, 100, 1, WRITE);
	TRY(0, 0, 110, 390, WRITE);
	TRY(-EAGAIN, 0, 509, 1, READ);
	TRY(0, 0, 510, 10, READ);
	TRY(-EAGAIN, 0, 519, 1, WRITE);
	TRY(0, 0, 520, 10, WRITE);
	ASSERT_EQ(0, call_release(self->fd, arg.id));
	ASSERT_IDLE();
	TRY(0, 0, 0, CAPACITY, WRITE);

	/* While it waits for one of them it holds none, but nobody overtakes it on any. */
	GET(0, 505, 1, READ, &id);
	ASSERT_WAITS_ARG(&self->a[1], self->h[1], arg = ranges_arg(self->r, 3, 0), 1);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	TRY(-EAGAIN, 2, 100, 1, WRITE);
	TRY(0, 2, 100, 1, READ);
	TRY(-EAGAIN, 2, 500, 1, READ);
	TRY(0, 2, 200, 1, WRITE);
	RELEASE(0, id);
	GRANTED(1, &id);
	RELEASE(1, id);
	ASSERT_IDLE();

	/* Tried: all or nothing. */
	GET(0, 505, 1, READ, &id);
	actor_give_claim(&self->a[1], self->h[1], ranges_arg(self->r, 3, IPM_CLAIM_TRY));
	FAILED(1, EAGAIN);
	TRY(0, 2, 100, 10, WRITE);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	RELEASE(0, id);
	ASSERT_IDLE();
}

TEST_F(ranges, bad_ranges)
{
	struct ipm_claim arg;

	static const struct {
		uint64_t a, a_length, b, b_length;
	} overlap[] = {
		{ 0, 10, 9, 10 }, { 9, 10, 0, 10 }, { 0, 10, 0, 10 }, { 0, 10, 5, 1 },
		{ 5, 1, 0, 10 }, { 0, CAPACITY, CAPACITY - 1, 1 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(overlap); i++) {
		for (int modes = 0; modes < 4; modes++) {
			self->r[0] = range(1000, 1, READ);
			self->r[1] = range(overlap[i].a, overlap[i].a_length, modes & 1);
			self->r[2] = range(overlap[i].b, overlap[i].b_length, modes >> 1);
			arg = ranges_arg(self->r, 3, 0);
			ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
		}
	}
	for (uint32_t i = 0; i <= IPM_CLAIM_RANGES_MAX; i++)
		self->r[i] = range(i * 10, 5, READ);
	arg = ranges_arg(self->r, IPM_CLAIM_RANGES_MAX + 1, 0);
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	arg.nr_ranges = UINT32_MAX;
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	arg.nr_ranges = 1U << 31;
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	self->r[255].mode = 2;
	arg.nr_ranges = 256;
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	self->r[255].mode = READ;
	self->r[255].length = 0;
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	self->r[255].length = 5;
	self->r[100].reserved = 1;
	ASSERT_EQ(-EINVAL, call_claim_arg(self->fd, &arg));
	ASSERT_IDLE();
}

TEST_F(ranges, most)
{
	struct ipm_claim arg;
	uint64_t id;

	for (uint32_t i = 0; i < IPM_CLAIM_RANGES_MAX; i++)
		self->r[i] = range((i * 37 % 256) * 100, 50, i & 1);
	arg = ranges_arg(self->r, IPM_CLAIM_RANGES_MAX, 0);
	ASSERT_EQ(0, call_claim_arg(self->fd, &arg));
	for (uint32_t i = 0; i < IPM_CLAIM_RANGES_MAX; i++) {
		TRY(i & 1 ? -EAGAIN : 0, 0, self->r[i].offset, 50, READ);
		TRY(-EAGAIN, 0, self->r[i].offset + 49, 2, WRITE);
		TRY(0, 0, self->r[i].offset + 50, 50, WRITE);
	}
	/* One is enough. */
	WAIT(0, 100 * 200, 1, WRITE, 1);
	ASSERT_EQ(0, call_release(self->fd, arg.id));
	GRANTED(0, &id);
	actor_give_claim(&self->a[1], self->h[1], ranges_arg(self->r, 256, IPM_CLAIM_TRY));
	FAILED(1, EAGAIN);
	RELEASE(0, id);
	ASSERT_IDLE();
}

/* Two that want the same two ranges in different order do not deadlock. */
TEST_F(ranges, no_order_needed)
{
	uint64_t id;

	self->r[0] = range(0, 10, WRITE);
	self->r[1] = range(100, 10, WRITE);
	self->r[2] = range(100, 10, WRITE);
	self->r[3] = range(0, 10, WRITE);
	GET(0, 5, 1, READ, &id);
	ASSERT_WAITS_ARG(&self->a[1], self->h[1], ranges_arg(&self->r[0], 2, 0), 1);
	ASSERT_WAITS_ARG(&self->a[2], self->h[2], ranges_arg(&self->r[2], 2, 0), 2);
	RELEASE(0, id);
	GRANTED(1, &id);
	STILL_WAITS(2);
	RELEASE(1, id);
	GRANTED(2, &id);
	RELEASE(2, id);
	ASSERT_IDLE();
}

/* --- among very many that wait --- */

#define CROWD_MAX	20000

/*
 * Two handles with many asynchronous waits each, all behind @front: short ones of
 * handle 1, and between those long ones of handle 2, which end at the hole in the
 * middle. Who searches for what is in the way of bytes at or behind the hole meets
 * each of them at every step: some end late, some are not its own, and, if the
 * short ones came first, some are in front of it. None is all three.
 */
FIXTURE(crowd)
{
	CLAIM_FIXTURE;
	struct ipm_range hole[IPM_CLAIM_RANGES_MAX];
	uint64_t front;
	int each;
	int64_t took;	/* to put the short ones in line, nanoseconds */
};

#define HOLE	(16ULL * CROWD_MAX)
#define BEYOND	(HOLE + 4 * IPM_CLAIM_RANGES_MAX)

FIXTURE_SETUP(crowd)
{
	CLAIM_SETUP();
	close(self->fd);
	self->fd = make_private(self->dev, PAGE, BEYOND + 1000);
	ASSERT_FD(self->fd);
	for (int i = 0; i < ACTORS; i++) {
		close(self->h[i]);
		self->h[i] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(self->h[i]);
	}
	self->each = kernel_has("kasan_report") || kernel_has("lock_acquire") ?
		     CROWD_MAX / 4 : CROWD_MAX;
	for (int i = 0; i < IPM_CLAIM_RANGES_MAX; i++)
		self->hole[i] = range(HOLE + 4 * i, 2, WRITE);
	ASSERT_EQ(0, call_claim(self->fd, 0, HOLE, WRITE, 0, &self->front));
}

FIXTURE_TEARDOWN(crowd)
{
	CLAIM_TEARDOWN();
}

#define SHORT_ONES()                                                                       \
	do {                                                                               \
		self->took -= in_ms(0);                                                    \
		for (int i = 0; i < self->each; i++)                                       \
			ASSERT_EQ(0, call_claim(self->h[1], 16 * i, 1, WRITE,              \
						IPM_CLAIM_ASYNC, NULL));                   \
		self->took += in_ms(0);                                                    \
	} while (0)

#define LONG_ONES()                                                                        \
	do {                                                                               \
		for (int i = 0; i < self->each; i++)                                       \
			ASSERT_EQ(0, call_claim(self->h[2], 16 * i + 8, BEYOND - 16 * i - 8, \
						WRITE, IPM_CLAIM_ASYNC, NULL));            \
	} while (0)

/* The fastest of a few times, so that it does not matter what else the machine does. */
#define FASTEST(nanoseconds, ...)                                                          \
	do {                                                                               \
		(nanoseconds) = INT64_MAX;                                                 \
		for (int fastest_i = 0; fastest_i < 3; fastest_i++) {                      \
			int64_t fastest_begin = in_ms(0), fastest_took;                    \
			__VA_ARGS__;                                                       \
			fastest_took = in_ms(0) - fastest_begin;                           \
			if (fastest_took < (nanoseconds))                                  \
				(nanoseconds) = fastest_took;                              \
		}                                                                          \
	} while (0)

/* A request with the most ranges finds at once that nothing is in its way. */
TEST_F_TIMEOUT(crowd, request, 300)
{
	struct ipm_claim arg;
	int64_t took;

	SHORT_ONES();
	LONG_ONES();
	/* The long ones are its own, the short ones elsewhere. */
	FASTEST(took, {
		arg = ranges_arg(self->hole, IPM_CLAIM_RANGES_MAX, IPM_CLAIM_TRY);
		ASSERT_EQ(0, call_claim_arg(self->h[2], &arg));
		ASSERT_EQ(0, call_release(self->h[2], arg.id));
	});
	TH_LOG("%lld us; %d waits took %lld us", (long long)took / 1000, self->each,
	       (long long)self->took / 1000);
	EXPECT_LT(took, self->took / 5);
	/* The others have to wait for the long ones. */
	arg = ranges_arg(self->hole, IPM_CLAIM_RANGES_MAX, IPM_CLAIM_TRY);
	EXPECT_EQ(-EAGAIN, call_claim_arg(self->h[1], &arg));
	EXPECT_EQ(self->each, call_release_all(self->h[2]));
	EXPECT_EQ(self->each, call_release_all(self->h[1]));
	ASSERT_EQ(0, call_release(self->fd, self->front));
	ASSERT_IDLE();
}

/*
 * One that came between the short ones and the long ones is granted when its bytes
 * are free, however long it takes to find that nothing is in its way. Nobody else
 * has to wait until that was found out.
 */
TEST_F_TIMEOUT(crowd, wait, 300)
{
	struct ipm_claim arg;
	uint64_t id, got;
	int64_t took;

	ASSERT_EQ(0, call_claim(self->fd, HOLE, BEYOND - HOLE, READ, 0, &id));
	SHORT_ONES();
	ASSERT_WAITS_ARG(&self->a[3], self->h[3],
			 ranges_arg(self->hole, IPM_CLAIM_RANGES_MAX, 0), self->each + 1);
	LONG_ONES();
	took = -in_ms(0);
	ASSERT_EQ(0, call_release(self->fd, id));
	took += in_ms(0);
	TH_LOG("%lld us; %d waits took %lld us", (long long)took / 1000, self->each,
	       (long long)self->took / 1000);
	GRANTED(3, &got);
	/* A look at each for each range takes twice as long as they. */
	EXPECT_LT(took, self->took);
	RELEASE(3, got);
	/* And if it was found out in pieces, those behind it are looked at as well. */
	arg = claim_arg(BEYOND - 4, 1, WRITE, IPM_CLAIM_TRY);
	EXPECT_EQ(-EAGAIN, call_claim_arg(self->h[4], &arg));
	EXPECT_EQ(self->each, call_release_all(self->h[1]));
	EXPECT_EQ(self->each, call_release_all(self->h[2]));
	ASSERT_EQ(0, call_release(self->fd, self->front));
	ASSERT_IDLE();
}

/* A search for a deadlock that comes to such a wait does not keep others from theirs. */
TEST_F_TIMEOUT(crowd, deadlock, 300)
{
	struct ipm_claim arg;
	uint64_t id[2], got;
	int64_t took;

	ASSERT_EQ(0, call_claim(self->fd, HOLE, BEYOND - HOLE, READ, 0, &id[0]));
	ASSERT_EQ(0, actor_claim(&self->a[4], self->h[4], BEYOND, 10, WRITE, 0, &id[1]));
	SHORT_ONES();
	self->hole[0] = range(BEYOND + 100, 10, WRITE);
	ASSERT_WAITS_ARG(&self->a[3], self->h[3],
			 ranges_arg(self->hole, IPM_CLAIM_RANGES_MAX, 0), self->each + 1);
	LONG_ONES();
	FASTEST(took, {
		arg = claim_arg(BEYOND + 100, 10, WRITE, IPM_CLAIM_DEADLINE);
		arg.deadline = in_ms(1);
		actor_give_claim(&self->a[4], self->h[4], arg);
		FAILED(4, ETIMEDOUT);
	});
	TH_LOG("%lld us; %d waits took %lld us", (long long)took / 1000, self->each,
	       (long long)self->took / 1000);
	/* Likewise. */
	EXPECT_LT(took, self->took);
	ASSERT_EQ(0, call_release(self->fd, id[0]));
	GRANTED(3, &got);
	RELEASE(3, got);
	RELEASE(4, id[1]);
	EXPECT_EQ(self->each, call_release_all(self->h[1]));
	EXPECT_EQ(self->each, call_release_all(self->h[2]));
	ASSERT_EQ(0, call_release(self->fd, self->front));
	ASSERT_IDLE();
}

/* --- release and claim in one call --- */

FIXTURE(release_and_claim)
{
	CLAIM_FIXTURE;
};

FIXTURE_SETUP(release_and_claim)
{
	CLAIM_SETUP();
}

FIXTURE_TEARDOWN(release_and_claim)
{
	CLAIM_TEARDOWN();
}

static struct ipm_claim swap_arg(uint64_t *release, uint32_t nr, uint64_t offset, uint64_t length,
				 uint32_t mode, uint32_t flags)
{
	struct ipm_claim arg = claim_arg(offset, length, mode, flags);

	arg.release = (uintptr_t)release;
	arg.nr_release = nr;
	return arg;
}

TEST_F(release_and_claim, hands_over)
{
	uint64_t id, id2, list[2];

	GET(0, 0, 10, WRITE, &list[0]);
	GET(0, 10, 10, READ, &list[1]);
	WAIT(1, 0, 20, WRITE, 1);
	actor_give_claim(&self->a[0], self->h[0], swap_arg(list, 2, 20, 10, WRITE, 0));
	ASSERT_EQ(0, actor_result(&self->a[0]));
	ASSERT_EQ(0, self->a[0].order->claim.result);
	id = self->a[0].order->claim.id;
	GRANTED(1, &id2);
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	TRY(-EAGAIN, 2, 20, 1, READ);
	ASSERT_EQ(-ENOENT, call_release(self->h[0], list[0]));
	RELEASE(0, id);
	RELEASE(1, id2);
	ASSERT_IDLE();
}

/* Nobody gets in between where the handle held the bytes already. */
TEST_F(release_and_claim, upgrade)
{
	uint64_t id, list[1];

	GET(0, 0, 10, READ, &list[0]);
	WAIT(1, 0, 10, WRITE, 1);
	actor_give_claim(&self->a[0], self->h[0], swap_arg(list, 1, 0, 10, WRITE, 0));
	ASSERT_EQ(0, actor_result(&self->a[0]));
	ASSERT_EQ(0, self->a[0].order->claim.result);
	STILL_WAITS(1);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	TRY(-EAGAIN, 2, 0, 10, READ);
	RELEASE(0, self->a[0].order->claim.id);
	GRANTED(1, &id);
	RELEASE(1, id);
	ASSERT_IDLE();
}

/* If it has to wait, it has nothing any more and stands behind those who waited. */
TEST_F(release_and_claim, behind_those_who_waited)
{
	uint64_t id, other, list[1];

	GET(0, 0, 10, READ, &list[0]);
	GET(2, 5, 10, READ, &other);
	WAIT(1, 0, 10, WRITE, 1);
	ASSERT_WAITS_ARG(&self->a[0], self->h[0], swap_arg(list, 1, 0, 10, WRITE, 0), 2);
	ASSERT_CLAIMS(self->fd, 1, 2, 0);
	RELEASE(2, other);
	GRANTED(1, &id);
	STILL_WAITS(0);
	RELEASE(1, id);
	GRANTED(0, &id);
	RELEASE(0, id);
	ASSERT_IDLE();
}

TEST_F(release_and_claim, bad_ids)
{
	uint64_t id[4], list[IPM_CLAIM_RELEASES_MAX + 1];
	struct ipm_claim arg;

	GET(0, 0, 10, WRITE, &id[0]);
	GET(0, 10, 10, WRITE, &id[1]);
	GET(1, 20, 10, WRITE, &id[2]);
	/* Unknown, another handle's, the same twice: none is released. */
	for (int i = 0; i < 4; i++) {
		list[0] = id[0];
		list[1] = i == 0 ? 999999 : i == 1 ? id[2] : i == 2 ? id[0] : 0;
		list[2] = id[1];
		arg = swap_arg(list, 3, 100, 10, WRITE, 0);
		ASSERT_EQ(-ENOENT, call_claim_arg(self->h[0], &arg));
		ASSERT_CLAIMS(self->fd, 3, 0, 0);
	}
	memset(list, 0, sizeof(list));
	arg = swap_arg(list, IPM_CLAIM_RELEASES_MAX + 1, 100, 10, WRITE, 0);
	ASSERT_EQ(-EINVAL, call_claim_arg(self->h[0], &arg));
	arg = swap_arg(list, UINT32_MAX, 100, 10, WRITE, 0);
	ASSERT_EQ(-EINVAL, call_claim_arg(self->h[0], &arg));
	/* A bad claim releases nothing. */
	arg = swap_arg(id, 1, 100, 0, WRITE, 0);
	ASSERT_EQ(-EINVAL, call_claim_arg(self->h[0], &arg));
	arg = swap_arg(id, 1, CAPACITY, 1, WRITE, 0);
	ASSERT_EQ(-EFBIG, call_claim_arg(self->h[0], &arg));
	ASSERT_CLAIMS(self->fd, 3, 0, 0);
	ASSERT_EQ(2, call_release_all(self->h[0]));
	RELEASE(1, id[2]);

	/* As many as there can be. */
	for (int i = 0; i < IPM_CLAIM_RELEASES_MAX; i++)
		ASSERT_EQ(0, call_claim(self->h[0], i * 2, 1, i & 1, 0, &list[i]));
	arg = swap_arg(list, IPM_CLAIM_RELEASES_MAX, 100, 10, WRITE, 0);
	ASSERT_EQ(0, call_claim_arg(self->h[0], &arg));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_EQ(0, call_release(self->h[0], arg.id));
	ASSERT_IDLE();
}

/* A call that did not wait and failed has changed nothing. */
TEST_F(release_and_claim, try_that_fails_releases_nothing)
{
	uint64_t id, list[1];

	GET(1, 100, 10, WRITE, &id);
	GET(0, 0, 10, WRITE, &list[0]);
	WAIT(2, 0, 10, READ, 1);
	actor_give_claim(&self->a[0], self->h[0], swap_arg(list, 1, 100, 10, READ, IPM_CLAIM_TRY));
	FAILED(0, EAGAIN);
	ASSERT_CLAIMS(self->fd, 2, 1, 0);
	STILL_WAITS(2);
	RELEASE(0, list[0]);
	GRANTED(2, &list[0]);
	RELEASE(2, list[0]);
	RELEASE(1, id);
	ASSERT_IDLE();
}

/* One that has to wait releases first, however its wait ends. */
TEST_F(release_and_claim, wait_that_fails_has_released)
{
	uint64_t id, list[1];

	GET(1, 100, 10, WRITE, &id);
	GET(0, 0, 10, WRITE, &list[0]);
	ASSERT_WAITS_ARG(&self->a[0], self->h[0], swap_arg(list, 1, 100, 10, READ, 0), 1);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	TRY(0, 2, 0, 10, WRITE);
	INTERRUPT(0);
	ASSERT_EQ(-ENOENT, call_release(self->h[0], list[0]));

	/* The same of one that would have closed a cycle. */
	ASSERT_EQ(0, actor_claim(&self->a[1], self->h[3], 0, 10, WRITE, 0, &list[0]));
	actor_give_claim(&self->a[1], self->h[3], swap_arg(list, 1, 100, 10, READ, 0));
	FAILED(1, EDEADLK);
	ASSERT_EQ(-ENOENT, call_release(self->h[3], list[0]));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	RELEASE(1, id);
	ASSERT_IDLE();
}

/* --- converting --- */

FIXTURE(convert)
{
	CLAIM_FIXTURE;
};

FIXTURE_SETUP(convert)
{
	CLAIM_SETUP();
}

FIXTURE_TEARDOWN(convert)
{
	CLAIM_TEARDOWN();
}

/* Actor @i converts and is done at once. */
#define CONVERT(i, id, mode)                                                           \
	do {                                                                           \
		actor_give_convert(&self->a[i], self->h[i], id, mode, 0, 0);           \
		ASSERT_EQ(0, actor_result(&self->a[i]));                               \
		ASSERT_EQ(0, self->a[i].order->convert.result);                        \
	} while (0)

#define CONVERT_WAITS(i, id, waiters)                                                  \
	do {                                                                           \
		actor_give_convert(&self->a[i], self->h[i], id, WRITE, 0, 0);          \
		ASSERT_WAITING(&self->a[i], self->h[i], waiters);                      \
	} while (0)

#define CONVERTED(i)                                                                   \
	do {                                                                           \
		ASSERT_EQ(0, actor_result(&self->a[i]));                               \
		ASSERT_EQ(IPM_GRANT_WAITED, self->a[i].order->convert.result);         \
	} while (0)

TEST_F(convert, down)
{
	uint64_t id, ids[3];

	GET(0, 0, 10, WRITE, &id);
	WAIT(1, 0, 10, READ, 1);
	WAIT(2, 0, 10, READ, 2);
	WAIT(3, 0, 10, WRITE, 3);
	CONVERT(0, id, READ);
	GRANTED(1, &ids[1]);
	GRANTED(2, &ids[2]);
	STILL_WAITS(3);
	ASSERT_CLAIMS(self->fd, 3, 1, 0);
	CONVERT(0, id, READ);
	RELEASE(1, ids[1]);
	RELEASE(2, ids[2]);
	STILL_WAITS(3);
	RELEASE(0, id);
	GRANTED(3, &id);
	RELEASE(3, id);
	ASSERT_IDLE();
}

TEST_F(convert, up_alone)
{
	uint64_t id;

	GET(0, 0, 10, READ, &id);
	CONVERT(0, id, WRITE);
	TRY(-EAGAIN, 1, 0, 10, READ);
	CONVERT(0, id, WRITE);
	CONVERT(0, id, READ);
	TRY(0, 1, 0, 10, READ);
	/* Another claim of the same handle is no obstacle. */
	ASSERT_EQ(0, call_claim(self->h[0], 5, 10, READ, 0, NULL));
	CONVERT(0, id, WRITE);
	ASSERT_EQ(2, call_release_all(self->h[0]));
	ASSERT_IDLE();
}

/* To write it waits for the other readers, ahead of all who stand in line. */
TEST_F(convert, up_waits_in_front)
{
	uint64_t id[4];

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	WAIT(2, 0, 10, WRITE, 1);
	CONVERT_WAITS(0, id[0], 2);
	WAIT(3, 0, 10, READ, 3);
	/* It is still a read claim. */
	ASSERT_CLAIMS(self->fd, 2, 3, 0);
	RELEASE(1, id[1]);
	CONVERTED(0);
	ASSERT_CLAIMS(self->fd, 1, 2, 0);
	STILL_WAITS(2);
	RELEASE(0, id[0]);
	GRANTED(2, &id[2]);
	RELEASE(2, id[2]);
	GRANTED(3, &id[3]);
	RELEASE(3, id[3]);
	ASSERT_IDLE();
}

/* Converting that fails leaves the claim as it was. */
TEST_F(convert, up_fails)
{
	uint64_t id[3];
	uint32_t result;

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 5, 10, READ, &id[1]);
	ASSERT_EQ(-EAGAIN, call_convert(self->h[0], id[0], WRITE, IPM_CLAIM_TRY, 0, &result));
	actor_give_convert(&self->a[0], self->h[0], id[0], WRITE, IPM_CLAIM_DEADLINE, in_ms(20));
	FAILED(0, ETIMEDOUT);
	actor_give_convert(&self->a[0], self->h[0], id[0], WRITE, IPM_CLAIM_DEADLINE, 0);
	FAILED(0, ETIMEDOUT);
	CONVERT_WAITS(0, id[0], 1);
	INTERRUPT(0);
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	TRY(0, 2, 0, 10, READ);
	TRY(-EAGAIN, 2, 0, 1, WRITE);
	/* Who stood behind it goes on. */
	CONVERT_WAITS(0, id[0], 1);
	WAIT(2, 0, 3, READ, 2);
	INTERRUPT(0);
	GRANTED(2, &id[2]);
	RELEASE(2, id[2]);

	EXPECT_EQ(-EINVAL, call_convert(self->h[0], id[0], 2, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, call_convert(self->h[0], id[0], WRITE, IPM_CLAIM_ASYNC, 0, NULL));
	EXPECT_EQ(-EINVAL, call_convert(self->h[0], id[0], WRITE, 0, 5, NULL));
	EXPECT_EQ(-EINVAL, call_convert(self->h[0], id[0], WRITE, IPM_CLAIM_DEADLINE, -5, NULL));
	EXPECT_EQ(-ENOENT, call_convert(self->h[0], id[1], WRITE, 0, 0, NULL));
	EXPECT_EQ(-ENOENT, call_convert(self->h[0], 0, WRITE, 0, 0, NULL));
	RELEASE(0, id[0]);
	EXPECT_EQ(-ENOENT, call_convert(self->h[0], id[0], READ, 0, 0, NULL));
	RELEASE(1, id[1]);
	ASSERT_IDLE();
}

/* The claim that is being converted: released, or converted a second time, meanwhile. */
TEST_F(convert, up_under_way)
{
	uint64_t id[2];

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 5, 10, READ, &id[1]);
	CONVERT_WAITS(0, id[0], 1);
	ASSERT_EQ(-EBUSY, call_convert(self->h[0], id[0], WRITE, 0, 0, NULL));
	ASSERT_EQ(0, call_release(self->h[0], id[0]));
	FAILED(0, ENOENT);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	RELEASE(1, id[1]);

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 5, 10, READ, &id[1]);
	CONVERT_WAITS(0, id[0], 1);
	ASSERT_EQ(2, call_clear_claims(self->fd));
	FAILED(0, EIDRM);
	ASSERT_IDLE();

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 5, 10, READ, &id[1]);
	actor_give_convert(&self->a[0], self->h[0], id[0], WRITE, IPM_CLAIM_UNTIL_REMOVED, 0);
	ASSERT_WAITING(&self->a[0], self->fd, 1);
	ASSERT_EQ(0, call_remove(self->fd, ref_none()));
	FAILED(0, EIDRM);
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	RELEASE(0, id[0]);
	RELEASE(1, id[1]);
	ASSERT_IDLE();
}

/* All ranges of a claim change their mode together. */
TEST_F(convert, ranges)
{
	struct ipm_range r[3] = { range(0, 10, READ), range(20, 10, WRITE), range(40, 10, READ) };
	struct ipm_claim arg = ranges_arg(r, 3, 0);
	uint64_t id, other;

	actor_give_claim(&self->a[0], self->h[0], arg);
	ASSERT_EQ(0, actor_result(&self->a[0]));
	id = self->a[0].order->claim.id;
	TRY(0, 1, 0, 1, READ);
	CONVERT(0, id, WRITE);
	for (int i = 0; i < 3; i++)
		TRY(-EAGAIN, 1, i * 20, 1, READ);
	CONVERT(0, id, READ);
	for (int i = 0; i < 3; i++)
		TRY(0, 1, i * 20, 1, READ);
	GET(1, 45, 1, READ, &other);
	CONVERT_WAITS(0, id, 1);
	TRY(-EAGAIN, 2, 0, 1, READ);
	RELEASE(1, other);
	CONVERTED(0);
	RELEASE(0, id);
	ASSERT_IDLE();
}

/* Two readers who both want to write wait for each other: the second is told. */
TEST_F(convert, two_upgrades)
{
	struct ipm_info info;
	uint64_t id[2];

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	CONVERT_WAITS(0, id[0], 1);
	actor_give_convert(&self->a[1], self->h[1], id[1], WRITE, 0, 0);
	FAILED(1, EDEADLK);
	STILL_WAITS(0);
	ASSERT_CLAIMS(self->fd, 2, 1, 0);
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.deadlocks);
	RELEASE(1, id[1]);
	CONVERTED(0);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

TEST_F(convert, two_upgrades_of_claims_taken_by_a_third)
{
	uint64_t id[2];

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, actor_claim(&self->a[2], self->h[i], 0, 10, READ, 0, &id[i]));
	CONVERT_WAITS(0, id[0], 1);
	actor_give_convert(&self->a[1], self->h[1], id[1], WRITE, 0, 0);
	FAILED(1, EDEADLK);
	ASSERT_EQ(0, call_release(self->h[1], id[1]));
	CONVERTED(0);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

/* The same with a second claim for writing, instead of a convert. */
TEST_F(convert, two_upgrades_by_second_claims)
{
	uint64_t id[2], own;

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	WAIT(0, 0, 10, WRITE, 1);
	ASSERT_EQ(-EDEADLK, actor_claim(&self->a[1], self->h[1], 0, 10, WRITE, 0, NULL));
	STILL_WAITS(0);
	actor_give_convert(&self->a[1], self->h[1], id[1], WRITE, 0, 0);
	FAILED(1, EDEADLK);
	RELEASE(1, id[1]);
	GRANTED(0, &own);
	RELEASE(0, own);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

/* --- deadlocks --- */

FIXTURE(deadlock)
{
	CLAIM_FIXTURE;
};

FIXTURE_SETUP(deadlock)
{
	CLAIM_SETUP();
}

FIXTURE_TEARDOWN(deadlock)
{
	CLAIM_TEARDOWN();
}

/* Actor @i asks for what would never come. */
#define DEADLOCK(i, offset, length, mode)                                                   \
	ASSERT_EQ(-EDEADLK, actor_claim(&self->a[i], self->h[i], offset, length, mode, 0, NULL))

/* A thread that waits for its own other handle. */
TEST_F(deadlock, of_one)
{
	struct ipm_info info;
	uint64_t id;

	ASSERT_EQ(0, actor_claim(&self->a[0], self->h[1], 0, 10, WRITE, 0, &id));
	DEADLOCK(0, 0, 10, READ);
	DEADLOCK(0, 9, 10, WRITE);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(2, info.deadlocks);
	/* Another thread may wait for it. */
	WAIT(2, 0, 10, READ, 1);
	ASSERT_EQ(0, actor_release(&self->a[0], self->h[1], id));
	GRANTED(2, &id);
	RELEASE(2, id);
	ASSERT_IDLE();
}

TEST_F(deadlock, of_two)
{
	uint64_t id[2], second;

	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 10, 10, WRITE, &id[1]);
	WAIT(0, 10, 10, WRITE, 1);
	DEADLOCK(1, 0, 10, WRITE);
	DEADLOCK(1, 9, 1, READ);
	/* The refused one still has what it had. */
	ASSERT_CLAIMS(self->fd, 2, 1, 0);
	RELEASE(1, id[1]);
	GRANTED(0, &second);
	RELEASE(0, second);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

TEST_F(deadlock, of_three)
{
	uint64_t id[3], got;

	for (int i = 0; i < 3; i++)
		GET(i, i * 10, 10, WRITE, &id[i]);
	WAIT(0, 10, 1, READ, 1);
	WAIT(1, 20, 1, READ, 2);
	DEADLOCK(2, 0, 1, READ);
	RELEASE(2, id[2]);
	GRANTED(1, &got);
	RELEASE(1, got);
	RELEASE(1, id[1]);
	GRANTED(0, &got);
	RELEASE(0, got);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

TEST_F_TIMEOUT(deadlock, of_sixty_four, 60)
{
	enum { N = 64 };
	static struct actor a[N];
	static int h[N];
	static uint64_t id[N];
	uint64_t got;

	for (int i = 0; i < N; i++) {
		h[i] = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(h[i]);
		ASSERT_EQ(0, actor_start(&a[i], true));
		ASSERT_EQ(0, actor_claim(&a[i], h[i], i, 1, WRITE, 0, &id[i]));
	}
	/* Begun in no particular order. */
	for (int i = 0; i < N - 1; i++) {
		int k = i * 5 % (N - 1);

		ASSERT_WAITS(&a[k], h[k], k + 1, 1, WRITE, i + 1);
	}
	ASSERT_EQ(-EDEADLK, actor_claim(&a[N - 1], h[N - 1], 0, 1, WRITE, 0, NULL));
	/* A chain is no cycle. */
	ASSERT_CLAIMS(self->fd, N, N - 1, 0);
	ASSERT_EQ(0, actor_release(&a[N - 1], h[N - 1], id[N - 1]));
	for (int i = N - 2; i >= 0; i--) {
		ASSERT_GRANTED(&a[i], IPM_GRANT_WAITED, &got);
		ASSERT_EQ(0, actor_release(&a[i], h[i], got));
		ASSERT_EQ(0, actor_release(&a[i], h[i], id[i]));
	}
	for (int i = 0; i < N; i++) {
		actor_stop(&a[i]);
		close(h[i]);
	}
	ASSERT_IDLE();
}

/* One of several readers is enough. */
TEST_F(deadlock, through_readers)
{
	uint64_t id[6], got;

	for (int i = 0; i < 4; i++)
		GET(i, 0, 10, READ, &id[i]);
	GET(4, 20, 10, WRITE, &id[4]);
	WAIT(2, 20, 1, READ, 1);
	DEADLOCK(4, 0, 10, WRITE);
	RELEASE(4, id[4]);
	GRANTED(2, &got);
	RELEASE(2, got);
	for (int i = 0; i < 4; i++)
		RELEASE(i, id[i]);
	ASSERT_IDLE();
}

/* Somebody who only waits, but stands in front. */
TEST_F(deadlock, through_a_waiter)
{
	uint64_t id[3], got;

	GET(0, 0, 10, READ, &id[0]);
	GET(2, 20, 10, WRITE, &id[2]);
	WAIT(1, 0, 10, WRITE, 1);	/* for 0 */
	WAIT(2, 5, 1, READ, 2);		/* behind 1, although 0 only reads */
	DEADLOCK(0, 20, 1, READ);	/* for 2 */
	RELEASE(0, id[0]);
	GRANTED(1, &id[1]);
	RELEASE(1, id[1]);
	GRANTED(2, &got);
	RELEASE(2, got);
	RELEASE(2, id[2]);
	ASSERT_IDLE();
}

TEST_F(deadlock, through_all_or_nothing)
{
	struct ipm_range first[2] = { range(20, 1, READ), range(40, 1, WRITE) };
	struct ipm_range second[2] = { range(60, 1, READ), range(0, 1, READ) };
	uint64_t id[2], got;

	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 20, 10, WRITE, &id[1]);
	ASSERT_WAITS_ARG(&self->a[0], self->h[0], ranges_arg(first, 2, 0), 1);
	actor_give_claim(&self->a[1], self->h[1], ranges_arg(second, 2, 0));
	FAILED(1, EDEADLK);
	/* A range that another only waits for, as part of something else. */
	ASSERT_EQ(-EDEADLK, actor_claim(&self->a[1], self->h[2], 40, 1, READ, 0, NULL));
	RELEASE(1, id[1]);
	GRANTED(0, &got);
	RELEASE(0, got);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

/* Over two segments. */
TEST_F(deadlock, across_segments)
{
	int other = make_private(self->dev, PAGE, 0);
	int mine = call_reopen(other, IPM_READ_WRITE);
	uint64_t id[2], got;

	ASSERT_FD(mine);
	GET(0, 0, 10, WRITE, &id[0]);
	ASSERT_EQ(0, actor_claim(&self->a[1], mine, 0, 10, WRITE, 0, &id[1]));
	ASSERT_WAITS(&self->a[0], other, 0, 10, READ, 1);
	DEADLOCK(1, 0, 10, READ);
	ASSERT_EQ(0, actor_release(&self->a[1], mine, id[1]));
	ASSERT_GRANTED(&self->a[0], IPM_GRANT_WAITED, &got);
	ASSERT_EQ(0, actor_release(&self->a[0], other, got));
	RELEASE(0, id[0]);
	close(mine);
	close(other);
	ASSERT_IDLE();
}

TEST_F(deadlock, across_processes)
{
	struct actor p[2] = { };
	uint64_t id[2], got;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, actor_start(&p[i], false));
		ASSERT_EQ(0, actor_claim(&p[i], self->h[i], i * 10, 10, WRITE, 0, &id[i]));
	}
	ASSERT_WAITS(&p[0], self->h[0], 10, 10, WRITE, 1);
	ASSERT_EQ(-EDEADLK, actor_claim(&p[1], self->h[1], 0, 10, READ, 0, NULL));
	ASSERT_EQ(0, actor_release(&p[1], self->h[1], id[1]));
	ASSERT_GRANTED(&p[0], IPM_GRANT_WAITED, &got);
	actor_stop(&p[0]);
	actor_stop(&p[1]);
	ASSERT_EQ(0, call_claim(self->fd, 0, 1, READ, 0, NULL));
}

/* Threads count, not handles: two threads that share their handles. */
TEST_F(deadlock, across_shared_handles)
{
	uint64_t id[2], got;

	/* Thread 0 took bytes 0 of handle 0, thread 1 bytes 10 of handle 1. */
	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 10, 10, WRITE, &id[1]);
	/* Each wants the other's, by way of a third handle. */
	ASSERT_WAITS(&self->a[0], self->h[2], 10, 1, READ, 1);
	ASSERT_EQ(-EDEADLK, actor_claim(&self->a[1], self->h[2], 0, 1, READ, 0, NULL));
	RELEASE(1, id[1]);
	ASSERT_GRANTED(&self->a[0], IPM_GRANT_WAITED, &got);
	ASSERT_EQ(0, actor_release(&self->a[0], self->h[2], got));
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

/* A convert in the cycle. */
TEST_F(deadlock, through_a_convert)
{
	uint64_t id[3], got;

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	GET(0, 20, 10, WRITE, &id[2]);
	CONVERT_WAITS(0, id[0], 1);
	DEADLOCK(1, 20, 1, READ);
	RELEASE(1, id[1]);
	CONVERTED(0);
	RELEASE(0, id[0]);

	/* The convert is what closes it. */
	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	WAIT(1, 20, 1, READ, 1);
	actor_give_convert(&self->a[0], self->h[0], id[0], WRITE, 0, 0);
	FAILED(0, EDEADLK);
	RELEASE(0, id[2]);
	GRANTED(1, &got);
	ASSERT_EQ(1, call_release_all(self->h[0]));
	ASSERT_EQ(2, call_release_all(self->h[1]));
	ASSERT_IDLE();
}

/* An asynchronous claim is waited for by nobody's thread; that thread can still release. */
TEST_F(deadlock, not_through_a_thread_that_does_not_sleep)
{
	struct ipm_claim arg = claim_arg(10, 10, WRITE, IPM_CLAIM_ASYNC);
	uint64_t id[2];

	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 10, 10, WRITE, &id[1]);
	actor_give_claim(&self->a[0], self->h[0], arg);
	ASSERT_EQ(0, actor_result(&self->a[0]));
	ASSERT_EQ(IPM_GRANT_PENDING, self->a[0].order->claim.result);
	arg = self->a[0].order->claim;
	WAIT(1, 0, 10, WRITE, 2);
	RELEASE(0, id[0]);
	GRANTED(1, &id[0]);
	RELEASE(1, id[0]);
	RELEASE(1, id[1]);
	ASSERT_EQ(0, call_collect(self->h[0], arg.id, NULL));
	RELEASE(0, arg.id);
	ASSERT_IDLE();
}

/*
 * A claim that a thread asked for asynchronously will be its own, and it
 * sleeps: who would stand behind that claim would wait for the sleeper.
 */
TEST_F(deadlock, through_asynchronous_claim)
{
	struct ipm_claim arg = claim_arg(20, 10, WRITE, IPM_CLAIM_ASYNC);
	uint64_t id[3], got;

	GET(0, 20, 10, WRITE, &id[0]);
	GET(2, 0, 10, WRITE, &id[2]);
	actor_give_claim(&self->a[1], self->h[1], arg);
	ASSERT_EQ(0, actor_result(&self->a[1]));
	arg = self->a[1].order->claim;
	ASSERT_EQ(IPM_GRANT_PENDING, arg.result);
	WAIT(1, 0, 10, WRITE, 2);	/* for 2 */
	DEADLOCK(2, 20, 10, READ);	/* behind 1 */
	RELEASE(2, id[2]);
	GRANTED(1, &got);
	RELEASE(1, got);
	RELEASE(0, id[0]);
	RELEASE(1, arg.id);
	ASSERT_IDLE();
}

/*
 * An asynchronous claim for bytes that its handle holds already gets in front of
 * those who wait. One of them may hold what it needs: neither would ever be
 * granted, and the one who sleeps looked for a deadlock before there was one.
 */
TEST_F(deadlock, of_an_asynchronous_claim_in_front)
{
	struct ipm_range ranges[2] = { range(0, 10, READ), range(20, 10, READ) };
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC);
	struct pollfd p = { .fd = self->h[0], .events = POLLIN };
	struct ipm_limits before, after;
	struct ipm_info info;
	uint64_t id[3], got;

	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	GET(2, 20, 10, WRITE, &id[2]);
	/* Thread 1, by way of another handle: for 2. */
	ASSERT_WAITS_ARG(&self->a[1], self->h[3], ranges_arg(ranges, 2, 0), 1);
	/* For 1, and in front of it: refused at once, and nothing of it is left. */
	ASSERT_EQ(0, call_limits(self->dev, &before));
	ASSERT_EQ(-EDEADLK, call_claim_arg(self->h[0], &arg));
	ASSERT_CLAIMS(self->fd, 3, 1, 0);
	ASSERT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(0, call_limits(self->dev, &after));
	ASSERT_EQ(before.claims, after.claims);
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(1, info.deadlocks);

	/* Unless somebody knows better. */
	arg.flags |= IPM_CLAIM_NO_DEADLOCK;
	ASSERT_EQ(0, call_claim_arg(self->h[0], &arg));
	ASSERT_EQ(IPM_GRANT_PENDING, arg.result);
	RELEASE(2, id[2]);
	STILL_WAITS(1);
	ASSERT_CLAIMS(self->fd, 2, 2, 0);
	ASSERT_EQ(0, call_release(self->h[0], arg.id));
	GRANTED(1, &got);

	/* In front, and no cycle. */
	arg.flags = IPM_CLAIM_ASYNC;
	ASSERT_EQ(0, call_claim_arg(self->h[0], &arg));
	ASSERT_EQ(IPM_GRANT_PENDING, arg.result);
	ASSERT_EQ(0, actor_release(&self->a[1], self->h[3], got));
	RELEASE(1, id[1]);
	ASSERT_EQ(0, call_collect(self->h[0], arg.id, NULL));
	ASSERT_EQ(2, call_release_all(self->h[0]));
	ASSERT_IDLE();
}

/*
 * The search looks at so many claims and no more, as the ABI header says. With
 * fewer it finds the one that matters, the last of them; with more there is the
 * deadline.
 */
TEST_F_TIMEOUT(deadlock, among_many_claims, 120)
{
	enum { MOST = 16384 };
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_DEADLINE);
	uint64_t id[2], got;
	int n = 0;

	for (; n < MOST - 10; n++)
		ASSERT_EQ(0, call_claim(self->h[3], 0, 10, READ, 0, NULL));
	GET(0, 0, 10, READ, &id[0]);
	GET(1, 20, 10, WRITE, &id[1]);
	WAIT(0, 20, 10, READ, 1);
	DEADLOCK(1, 0, 10, WRITE);

	for (; n < MOST + 10; n++)
		ASSERT_EQ(0, call_claim(self->h[4], 0, 9, READ, 0, NULL));
	INTERRUPT(0);
	RELEASE(0, id[0]);
	GET(0, 0, 10, READ, &id[0]);
	WAIT(0, 20, 10, READ, 1);
	arg.deadline = in_ms(20);
	actor_give_claim(&self->a[1], self->h[1], arg);
	FAILED(1, ETIMEDOUT);
	RELEASE(1, id[1]);
	GRANTED(0, &got);
	RELEASE(0, got);
	RELEASE(0, id[0]);
	ASSERT_EQ(MOST - 10, call_release_all(self->h[3]));
	ASSERT_EQ(20, call_release_all(self->h[4]));
	ASSERT_IDLE();
}

/* The one that holds is found however many wait for the same bytes. */
TEST_F_TIMEOUT(deadlock, among_many_waits, 120)
{
	enum { MANY = 16384 + 10 };
	uint64_t id[2], got;

	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 20, 10, WRITE, &id[1]);
	for (int i = 0; i < MANY; i++)
		ASSERT_EQ(0, call_claim(self->h[3], 20, 10, WRITE, IPM_CLAIM_ASYNC, NULL));
	WAIT(0, 20, 10, WRITE, MANY + 1);
	DEADLOCK(1, 0, 10, WRITE);
	ASSERT_EQ(MANY, call_release_all(self->h[3]));
	RELEASE(1, id[1]);
	GRANTED(0, &got);
	RELEASE(0, got);
	RELEASE(0, id[0]);
	ASSERT_IDLE();
}

/* A thread that ended cannot be waited for in vain for ever: others may release. */
TEST_F(deadlock, not_through_a_thread_that_ended)
{
	uint64_t id, got;

	GET(0, 0, 10, WRITE, &id);
	actor_stop(&self->a[0]);
	GET(1, 10, 10, WRITE, &got);
	WAIT(1, 0, 10, WRITE, 1);
	ASSERT_EQ(0, call_release(self->h[0], id));
	GRANTED(1, &id);
	ASSERT_EQ(2, call_release_all(self->h[1]));
	ASSERT_IDLE();
}

/* For programs in which another thread releases: the check is off, the wait is a wait. */
TEST_F(deadlock, off_by_flag)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_NO_DEADLOCK);
	struct ipm_info info;
	uint64_t id[2];

	/* Of one. */
	ASSERT_EQ(0, actor_claim(&self->a[0], self->h[1], 0, 10, WRITE, 0, &id[1]));
	ASSERT_WAITS_ARG(&self->a[0], self->h[0], arg, 1);
	ASSERT_EQ(0, call_release(self->h[1], id[1]));
	GRANTED(0, &id[0]);
	RELEASE(0, id[0]);

	/* Of two. */
	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 10, 10, WRITE, &id[1]);
	WAIT(0, 10, 10, WRITE, 1);
	ASSERT_WAITS_ARG(&self->a[1], self->h[1], arg, 2);
	INTERRUPT(1);
	arg.flags |= IPM_CLAIM_DEADLINE;
	arg.deadline = in_ms(20);
	actor_give_claim(&self->a[1], self->h[1], arg);
	FAILED(1, ETIMEDOUT);
	ASSERT_EQ(0, call_release(self->h[1], id[1]));
	GRANTED(0, &id[1]);
	RELEASE(0, id[1]);
	RELEASE(0, id[0]);

	/* Two upgrades. */
	GET(0, 0, 10, READ, &id[0]);
	GET(1, 0, 10, READ, &id[1]);
	CONVERT_WAITS(0, id[0], 1);
	actor_give_convert(&self->a[1], self->h[1], id[1], WRITE, IPM_CLAIM_NO_DEADLOCK, 0);
	ASSERT_WAITING(&self->a[1], self->h[1], 2);
	ASSERT_EQ(0, call_release(self->h[1], id[1]));
	FAILED(1, ENOENT);
	CONVERTED(0);
	RELEASE(0, id[0]);
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(0, info.deadlocks);
	ASSERT_IDLE();
}

/* --- asynchronous claims --- */

FIXTURE(async)
{
	CLAIM_FIXTURE;
	uint64_t id;	/* write claim of handle 0 on [0, 10) */
};

FIXTURE_SETUP(async)
{
	CLAIM_SETUP();
	GET(0, 0, 10, WRITE, &self->id);
}

FIXTURE_TEARDOWN(async)
{
	CLAIM_TEARDOWN();
}

/* A claim of handle 1 that is not granted at once. */
#define SUBMIT(arg, cookie_)                                                           \
	do {                                                                           \
		(arg)->cookie = cookie_;                                               \
		(arg)->flags |= IPM_CLAIM_ASYNC;                                       \
		ASSERT_EQ(0, call_claim_arg(self->h[1], arg));                         \
		ASSERT_EQ(IPM_GRANT_PENDING, (arg)->result);                           \
	} while (0)

static int readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };

	return poll(&p, 1, 0) ? p.revents : 0;
}

/* The next event of handle 1 is this. */
#define ASSERT_EVENT(type_, error_, arg, result_)                                      \
	do {                                                                           \
		struct ipm_event event_;                                               \
		memset(&event_, POISON, sizeof(event_));                               \
		ASSERT_EQ((ssize_t)sizeof(event_), read(self->h[1], &event_, sizeof(event_))); \
		ASSERT_EQ((uint32_t)(type_), event_.type);                             \
		ASSERT_EQ((uint32_t)(error_), event_.error);                           \
		ASSERT_EQ((arg)->id, event_.id);                                       \
		ASSERT_EQ((arg)->cookie, event_.cookie);                               \
		ASSERT_EQ((uint32_t)(result_), event_.result);                         \
		ASSERT_EQ(0, event_.reserved);                                         \
	} while (0)

TEST_F(async, granted_at_once)
{
	struct ipm_claim arg = claim_arg(10, 10, WRITE, IPM_CLAIM_ASYNC);

	ASSERT_EQ(0, call_claim_arg(self->h[1], &arg));
	EXPECT_EQ(0, arg.result);
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
}

TEST_F(async, event)
{
	struct ipm_claim a = claim_arg(0, 5, READ, 0), b = claim_arg(5, 5, WRITE, 0);
	struct ipm_event events[3];
	char small[sizeof(struct ipm_event) - 1];
	void *nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(0, fcntl(self->h[1], F_SETFL, O_NONBLOCK));
	SUBMIT(&a, 0x1122334455667788);
	SUBMIT(&b, 0);
	ASSERT_NE(a.id, b.id);
	ASSERT_CLAIMS(self->fd, 1, 2, 0);
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_EQ(-1, read(self->h[1], events, sizeof(events)));
	ASSERT_EQ(EAGAIN, errno);
	ASSERT_EQ(-EAGAIN, call_collect(self->h[1], a.id, NULL));
	RELEASE(0, self->id);
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	EXPECT_EQ(POLLIN, readable(self->h[1]));
	EXPECT_EQ(0, readable(self->h[0]));
	ASSERT_EQ(-1, read(self->h[1], small, sizeof(small)));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, read(self->h[1], small, 0));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, read(self->h[1], nowhere, sizeof(events)));
	ASSERT_EQ(EFAULT, errno);
	/* None was lost. */
	memset(events, POISON, sizeof(events));
	ASSERT_EQ(2 * (ssize_t)sizeof(events[0]), read(self->h[1], events, sizeof(events)));
	for (int i = 0; i < 2; i++) {
		struct ipm_claim *arg = events[i].id == a.id ? &a : &b;

		EXPECT_EQ(IPM_EVENT_CLAIM, events[i].type);
		EXPECT_EQ(0, events[i].error);
		EXPECT_EQ(arg->id, events[i].id);
		EXPECT_EQ(arg->cookie, events[i].cookie);
		EXPECT_EQ(IPM_GRANT_WAITED, events[i].result);
		EXPECT_EQ(0, events[i].reserved);
	}
	EXPECT_NE(events[0].id, events[1].id);
	EXPECT_EQ(POISON32, events[2].type);
	EXPECT_EQ(0, readable(self->h[1]));

	/* Ordinary claims now. */
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	TRY(-EAGAIN, 2, 0, 1, WRITE);
	ASSERT_EQ(0, call_convert(self->h[1], b.id, READ, 0, 0, NULL));
	ASSERT_EQ(0, call_release(self->h[1], a.id));
	ASSERT_EQ(0, call_release(self->h[1], b.id));
	ASSERT_IDLE();
}

/* Room for less than there is: the rest stays. */
TEST_F(async, events_one_by_one)
{
	struct ipm_claim arg[3];
	char buffer[2 * sizeof(struct ipm_event) - 1];

	for (int i = 0; i < 3; i++) {
		arg[i] = claim_arg(i, 1, WRITE, 0);
		SUBMIT(&arg[i], i);
	}
	RELEASE(0, self->id);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(POLLIN, readable(self->h[1]));
		ASSERT_EQ((ssize_t)sizeof(struct ipm_event),
			  read(self->h[1], buffer, sizeof(buffer)));
	}
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_EQ(3, call_release_all(self->h[1]));
	ASSERT_IDLE();
}

TEST_F(async, epoll)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 }, seen;
	struct ipm_claim arg = claim_arg(0, 10, READ, 0);
	int ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_FD(ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->h[1], &event));
	SUBMIT(&arg, 5);
	ASSERT_EQ(0, epoll_wait(ep, &seen, 1, 0));
	RELEASE(0, self->id);
	ASSERT_EQ(1, epoll_wait(ep, &seen, 1, PATIENCE_MS));
	EXPECT_EQ(EPOLLIN, seen.events);
	EXPECT_EQ(7, seen.data.u32);
	ASSERT_EVENT(IPM_EVENT_CLAIM, 0, &arg, IPM_GRANT_WAITED);
	ASSERT_EQ(0, epoll_wait(ep, &seen, 1, 0));

	/* One who sleeps in epoll_wait() is woken by the grant. */
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	GET(0, 0, 10, WRITE, &self->id);
	event.events = EPOLLIN | EPOLLET;
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, self->h[1], &event));
	arg = claim_arg(0, 10, READ, 0);
	SUBMIT(&arg, 6);
	ASSERT_EQ(0, IN_CHILD({
		if (!fork()) {
			CHECK(0, call_release(self->h[0], self->id));
			_exit(0);
		}
		CHECK(1, epoll_wait(ep, &seen, 1, PATIENCE_MS));
	}));
	ASSERT_EVENT(IPM_EVENT_CLAIM, 0, &arg, IPM_GRANT_WAITED);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	close(ep);
	ASSERT_IDLE();
}

static int run_read_event(struct actor_order *order)
{
	ssize_t ret = read(order->fd, order->bytes, sizeof(struct ipm_event));

	return ret < 0 ? -errno : (int)ret;
}

/* A blocking read waits for the event; a signal ends that. */
TEST_F(async, read_waits)
{
	struct ipm_claim arg = claim_arg(0, 10, READ, 0);
	char path[64], text[128];

	SUBMIT(&arg, 9);
	for (int round = 0; round < 2; round++) {
		self->a[1].order->fd = self->h[1];
		actor_give(&self->a[1], run_read_event);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", self->a[1].pid);
		/* Asleep, in read(). */
		ASSERT_TRUE(wait_until(strstr(read_text(path, text, sizeof(text)), ") S ")));
		ASSERT_EQ(0, actor_answered(&self->a[1], 0));
		if (!round)
			INTERRUPT(1);
	}
	RELEASE(0, self->id);
	ASSERT_EQ((int)sizeof(struct ipm_event), actor_result(&self->a[1]));
	EXPECT_EQ(arg.id, ((struct ipm_event *)self->a[1].order->bytes)->id);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	ASSERT_IDLE();
}

TEST_F(async, collect)
{
	struct ipm_claim arg = claim_arg(0, 10, READ, 0);
	uint32_t result;

	SUBMIT(&arg, 1);
	ASSERT_EQ(-EAGAIN, call_collect(self->h[1], arg.id, &result));
	ASSERT_EQ(-ENOENT, call_collect(self->h[0], arg.id, &result));
	ASSERT_EQ(-ENOENT, call_collect(self->h[1], arg.id + 1000, &result));
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	RELEASE(0, self->id);
	EXPECT_EQ(POLLIN, readable(self->h[1]));
	ASSERT_EQ(0, call_collect(self->h[1], arg.id, &result));
	EXPECT_EQ(IPM_GRANT_WAITED, result);
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	ASSERT_EQ(-ENOENT, call_collect(self->h[1], arg.id, &result));
	ASSERT_IDLE();
}

TEST_F(async, cancel)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, 0);
	uint64_t id;

	/* While it waits: those behind it go on. */
	ASSERT_EQ(0, call_convert(self->h[0], self->id, READ, 0, 0, NULL));
	SUBMIT(&arg, 1);
	WAIT(2, 0, 10, READ, 2);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	GRANTED(2, &id);
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_EQ(-ENOENT, call_collect(self->h[1], arg.id, NULL));
	ASSERT_EQ(-ENOENT, call_release(self->h[1], arg.id));
	RELEASE(2, id);

	/* Granted, and not collected. */
	arg = claim_arg(0, 10, WRITE, 0);
	SUBMIT(&arg, 2);
	RELEASE(0, self->id);
	EXPECT_EQ(POLLIN, readable(self->h[1]));
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_IDLE();

	/* With everything else of its handle. */
	GET(0, 0, 10, WRITE, &self->id);
	arg = claim_arg(0, 10, READ, 0);
	SUBMIT(&arg, 3);
	arg = claim_arg(0, 10, WRITE, 0);
	SUBMIT(&arg, 4);
	ASSERT_EQ(0, call_claim(self->h[1], 20, 10, WRITE, 0, NULL));
	ASSERT_EQ(3, call_release_all(self->h[1]));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	RELEASE(0, self->id);
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_IDLE();
}

TEST_F(async, close_while_pending)
{
	struct ipm_claim a = claim_arg(0, 5, READ, 0), b = claim_arg(8, 10, WRITE, 0);
	struct ipm_claim c = claim_arg(30, 1, WRITE, IPM_CLAIM_DEADLINE);
	uint64_t id;

	ASSERT_EQ(0, call_claim(self->h[0], 30, 1, READ, 0, NULL));
	SUBMIT(&a, 1);
	SUBMIT(&b, 2);
	c.deadline = in_ms(3600000);
	SUBMIT(&c, 3);
	WAIT(2, 10, 5, READ, 4);
	ASSERT_EQ(0, close(self->h[1]));
	self->h[1] = -1;
	GRANTED(2, &id);
	ASSERT_CLAIMS(self->fd, 3, 0, 0);
	RELEASE(2, id);
	ASSERT_EQ(2, call_release_all(self->h[0]));
	ASSERT_IDLE();

	/* Granted and never collected. */
	self->h[1] = call_reopen(self->fd, IPM_READ_WRITE);
	GET(0, 0, 10, WRITE, &id);
	a = claim_arg(0, 5, READ, 0);
	SUBMIT(&a, 4);
	RELEASE(0, id);
	ASSERT_EQ(0, close(self->h[1]));
	self->h[1] = -1;
	ASSERT_IDLE();
}

TEST_F(async, deadline)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_DEADLINE);
	struct pollfd p = { .fd = self->h[1], .events = POLLIN };
	int64_t deadline;
	uint64_t id;

	/* One that has passed fails at once. */
	arg.deadline = in_ms(-1);
	arg.flags |= IPM_CLAIM_ASYNC;
	ASSERT_EQ(-ETIMEDOUT, call_claim_arg(self->h[1], &arg));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);

	/* Later ones first. */
	arg.deadline = in_ms(3600000);
	SUBMIT(&arg, 1);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	deadline = in_ms(500);
	arg.deadline = deadline;
	SUBMIT(&arg, 2);
	/* Somebody behind it, who goes on when it ends. */
	ASSERT_EQ(0, call_convert(self->h[0], self->id, READ, 0, 0, NULL));
	actor_give_claim(&self->a[2], self->h[2], claim_arg(0, 10, READ, 0));
	ASSERT_EQ(1, poll(&p, 1, PATIENCE_MS));
	EXPECT_LE(deadline, in_ms(0));
	ASSERT_EQ(0, actor_result(&self->a[2]));
	id = self->a[2].order->claim.id;
	ASSERT_CLAIMS(self->fd, 2, 0, 0);
	ASSERT_EVENT(IPM_EVENT_CLAIM_FAILED, ETIMEDOUT, &arg, 0);
	ASSERT_EQ(-ENOENT, call_release(self->h[1], arg.id));
	EXPECT_EQ(0, readable(self->h[1]));

	/* Collected instead of read. */
	arg.deadline = in_ms(500);
	SUBMIT(&arg, 3);
	ASSERT_EQ(1, poll(&p, 1, PATIENCE_MS));
	ASSERT_EQ(-ETIMEDOUT, call_collect(self->h[1], arg.id, NULL));
	ASSERT_EQ(-ENOENT, call_collect(self->h[1], arg.id, NULL));
	EXPECT_EQ(0, readable(self->h[1]));

	/* Two, the later one submitted first. */
	{
		struct ipm_claim late = claim_arg(0, 10, WRITE, IPM_CLAIM_DEADLINE);

		arg.deadline = in_ms(500);
		late.deadline = arg.deadline + 40 * 1000000;
		SUBMIT(&late, 4);
		SUBMIT(&arg, 5);
		ASSERT_EVENT(IPM_EVENT_CLAIM_FAILED, ETIMEDOUT, &arg, 0);
		ASSERT_EVENT(IPM_EVENT_CLAIM_FAILED, ETIMEDOUT, &late, 0);
	}
	RELEASE(2, id);
	RELEASE(0, self->id);
	ASSERT_IDLE();
}

/* Many that wait, in any order: each ends after those with an earlier deadline. */
TEST_F_TIMEOUT(async, deadlines_in_order, 60)
{
	enum { N = 300 };
	struct ipm_claim arg = claim_arg(0, 10, READ, IPM_CLAIM_DEADLINE);
	int64_t from = in_ms(100);
	uint64_t last = 0;
	int left = 0, ret;

	/* These stay. */
	arg.deadline = in_ms(3600000);
	for (int i = 0; i < N; i++)
		SUBMIT(&arg, N + 1);
	for (int i = 0; i < N; i++) {
		int place = i * 7 % N;

		arg.deadline = from + place * 200000LL;
		arg.cookie = place + 1;
		arg.flags = IPM_CLAIM_ASYNC | IPM_CLAIM_DEADLINE;
		ret = call_claim_arg(self->h[1], &arg);
		/* A machine that is too slow. */
		if (ret == -ETIMEDOUT)
			continue;
		ASSERT_EQ(0, ret);
		left++;
	}
	while (left--) {
		struct ipm_event event;

		ASSERT_EQ((ssize_t)sizeof(event), read(self->h[1], &event, sizeof(event)));
		ASSERT_EQ(IPM_EVENT_CLAIM_FAILED, event.type);
		ASSERT_EQ(ETIMEDOUT, event.error);
		ASSERT_LT(last, event.cookie);
		ASSERT_LE(from + ((int64_t)event.cookie - 1) * 200000, in_ms(0));
		last = event.cookie;
	}
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_CLAIMS(self->fd, 1, N, 0);
	ASSERT_EQ(N, call_release_all(self->h[1]));
	RELEASE(0, self->id);
	ASSERT_IDLE();
}

TEST_F(async, removal)
{
	struct ipm_claim a = claim_arg(0, 10, WRITE, IPM_CLAIM_UNTIL_REMOVED);
	struct ipm_claim b = claim_arg(0, 10, WRITE, 0);

	SUBMIT(&a, 1);
	SUBMIT(&b, 2);
	ASSERT_EQ(0, call_remove(self->fd, ref_none()));
	EXPECT_EQ(POLLIN, readable(self->h[1]));
	ASSERT_EVENT(IPM_EVENT_CLAIM_FAILED, EIDRM, &a, 0);
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	a = claim_arg(0, 10, WRITE, IPM_CLAIM_UNTIL_REMOVED | IPM_CLAIM_ASYNC);
	ASSERT_EQ(-EIDRM, call_claim_arg(self->h[1], &a));
	RELEASE(0, self->id);
	ASSERT_EVENT(IPM_EVENT_CLAIM, 0, &b, IPM_GRANT_WAITED);
	ASSERT_EQ(0, call_release(self->h[1], b.id));
	ASSERT_IDLE();
}

TEST_F(async, try)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC | IPM_CLAIM_TRY);

	ASSERT_EQ(-EAGAIN, call_claim_arg(self->h[1], &arg));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	EXPECT_EQ(0, readable(self->h[1]));
}

/* Several ranges, with a release: all of it asynchronously. */
TEST_F(async, ranges_and_release)
{
	struct ipm_range r[2] = { range(100, 10, WRITE), range(5, 1, READ) };
	struct ipm_claim arg = ranges_arg(r, 2, 0);
	uint64_t old;

	ASSERT_EQ(0, call_claim(self->h[1], 200, 10, WRITE, 0, &old));
	arg.release = (uintptr_t)&old;
	arg.nr_release = 1;
	SUBMIT(&arg, 77);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);
	TRY(0, 2, 200, 10, WRITE);
	RELEASE(0, self->id);
	ASSERT_EVENT(IPM_EVENT_CLAIM, 0, &arg, IPM_GRANT_WAITED);
	TRY(-EAGAIN, 2, 100, 1, READ);
	TRY(0, 2, 5, 1, READ);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	ASSERT_IDLE();
}

/* Converting or clearing one that waits. */
TEST_F(async, pending_is_no_claim_yet)
{
	struct ipm_claim arg = claim_arg(0, 10, WRITE, 0);

	SUBMIT(&arg, 1);
	ASSERT_EQ(-EAGAIN, call_convert(self->h[1], arg.id, READ, 0, 0, NULL));
	/* It waits for the claim that is cleared. */
	ASSERT_EQ(1, call_clear_claims(self->fd));
	ASSERT_EVENT(IPM_EVENT_CLAIM, 0, &arg, IPM_GRANT_WAITED);
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	ASSERT_EQ(0, call_release(self->h[1], arg.id));
	ASSERT_IDLE();
}

/* --- clearing --- */

FIXTURE(clear)
{
	CLAIM_FIXTURE;
};

FIXTURE_SETUP(clear)
{
	CLAIM_SETUP();
}

FIXTURE_TEARDOWN(clear)
{
	CLAIM_TEARDOWN();
}

TEST_F(clear, ends_every_claim)
{
	uint64_t id[5], later, list[2];
	struct ipm_claim arg;
	struct ipm_info info;

	ASSERT_EQ(0, call_clear_claims(self->fd));
	GET(0, 0, 10, WRITE, &id[0]);
	GET(1, 10, 10, READ, &id[1]);
	GET(2, 10, 10, READ, &id[2]);
	WAIT(3, 0, 20, WRITE, 1);
	WAIT(4, 0, 20, READ, 2);
	ASSERT_EQ(3, call_clear_claims(self->fd));
	/* Those who wait are not ended, they get in, in their order. */
	GRANTED(3, &id[3]);
	STILL_WAITS(4);
	ASSERT_CLAIMS(self->fd, 1, 1, 0);

	/* What the former holders see. */
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(-EIDRM, call_release(self->h[i], id[i]));
		ASSERT_EQ(-EIDRM, call_convert(self->h[i], id[i], READ, 0, 0, NULL));
		ASSERT_EQ(-EIDRM, call_collect(self->h[i], id[i], NULL));
	}
	ASSERT_EQ(-ENOENT, call_release(self->h[0], id[3] + 1000));
	ASSERT_EQ(-ENOENT, call_release(self->h[0], 0));
	GET(0, 100, 10, WRITE, &later);
	list[0] = later;
	list[1] = id[0];
	arg = swap_arg(list, 2, 200, 1, READ, 0);
	ASSERT_EQ(-EIDRM, call_claim_arg(self->h[0], &arg));
	ASSERT_CLAIMS(self->fd, 2, 1, 0);
	RELEASE(0, later);
	RELEASE(3, id[3]);
	GRANTED(4, &id[4]);
	RELEASE(4, id[4]);
	/* Nobody died, nothing is in doubt. */
	ASSERT_EQ(0, call_info(self->fd, &info));
	EXPECT_EQ(0, info.deaths + info.doubt_events);
	ASSERT_IDLE();
}

TEST_F(clear, rights)
{
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(0, become(1234, 1234));
		CHECK(-EPERM, call_clear_claims(self->fd));
		CHECK(-EPERM, call_clear_claims(self->h[1]));
	}));
	ASSERT_CLAIMS(self->fd, 1, 0, 0);
	/* Whoever owns it may, also with a handle that only reads. */
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_UID, 0, 1234, 0, 0));
	ASSERT_EQ(0, IN_CHILD({
		int reader = call_reopen(self->fd, IPM_READ_ONLY);

		CHECK(0, become(1234, 1234));
		CHECK(1, call_clear_claims(reader));
	}));
	ASSERT_IDLE();
}

/* An asynchronous claim that was granted and nobody has heard of it yet. */
TEST_F(clear, granted_but_not_collected)
{
	struct ipm_claim arg = claim_arg(0, 10, READ, IPM_CLAIM_ASYNC);
	uint64_t id;

	GET(0, 0, 10, WRITE, &id);
	ASSERT_EQ(0, call_claim_arg(self->h[1], &arg));
	RELEASE(0, id);
	EXPECT_EQ(POLLIN, readable(self->h[1]));
	ASSERT_EQ(1, call_clear_claims(self->fd));
	ASSERT_EQ(-EIDRM, call_collect(self->h[1], arg.id, NULL));
	EXPECT_EQ(0, readable(self->h[1]));
	ASSERT_IDLE();
}

/* Claims come and go on many handles while somebody clears again and again. */
TEST_F_TIMEOUT(clear, while_others_claim, 60)
{
	pid_t pids[4];
	int stop[2], status;
	char byte;

	ASSERT_EQ(0, pipe2(stop, O_NONBLOCK));
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(stop[1]);
			while (read(stop[0], &byte, 1) < 0) {
				int fd = call_reopen(self->fd, IPM_READ_WRITE), ret;
				uint64_t id;

				CHECK(1, fd >= 0);
				CHECK(0, call_claim(fd, i, 3, i & 1, 0, &id));
				ret = call_release(fd, id);
				CHECK(1, ret == 0 || ret == -EIDRM);
				CHECK(0, call_claim(fd, i, 3, i & 1, 0, &id));
				close(fd);
			}
			_exit(0);
		}
	}
	close(stop[0]);
	for (int i = 0; i < 500; i++)
		ASSERT_LE(0, call_clear_claims(self->fd));
	close(stop[1]);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		ASSERT_EQ(0, status);
	}
	ASSERT_IDLE();
}

TEST_HARNESS_MAIN
