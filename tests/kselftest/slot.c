// SPDX-License-Identifier: GPL-2.0
/*
 * Slots, doorbells and events: who is alive, for everybody to see on the status
 * page, and who is woken through poll and read.
 */
#include "ipm_test.h"

#include <sys/epoll.h>

#define NAME	"test-slot"
#define SIZE	PAGE

FIXTURE(slot)
{
	struct counts before;
	int dev;
	int fd;
	int reader;	/* a read-only handle */
	const struct ipm_status *status;
	const uint32_t *words;
	struct actor actor;
};

FIXTURE_SETUP(slot)
{
	const char *map;

	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_named(self->dev, NAME, SIZE, 4 * SIZE);
	ASSERT_FD(self->fd);
	self->reader = call_reopen(self->fd, IPM_READ_ONLY);
	ASSERT_FD(self->reader);
	map = mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ, MAP_SHARED, self->reader,
		   IPM_STATUS_OFFSET);
	ASSERT_MAPPED(map);
	self->status = (const void *)map;
	self->words = (const void *)(map + IPM_STATUS_SLOTS);
	memset(&self->actor, 0, sizeof(self->actor));
}

FIXTURE_TEARDOWN(slot)
{
	actor_stop(&self->actor);
	munmap((void *)self->status, IPM_STATUS_SLOTS_SIZE);
	close(self->reader);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

#define ASSERT_SLOT(number, generation_, state_)                                 \
	do {                                                                     \
		uint32_t slot_word = load(&self->words[number]);                 \
		ASSERT_EQ((uint32_t)(generation_), IPM_SLOT_GENERATION(slot_word)); \
		ASSERT_EQ((uint32_t)(state_), IPM_SLOT_STATE(slot_word));        \
	} while (0)

#define ASSERT_TAKES(fd_, slot_, generation_)                                    \
	do {                                                                     \
		uint32_t takes_slot, takes_generation;                           \
		ASSERT_EQ(0, call_slot(fd_, 0, &takes_slot, &takes_generation)); \
		ASSERT_EQ((uint32_t)(slot_), takes_slot);                        \
		ASSERT_EQ((uint32_t)(generation_), takes_generation);            \
		ASSERT_SLOT(slot_, generation_, IPM_SLOT_ALIVE);                 \
	} while (0)

/* --- taking and giving --- */

TEST_F(slot, one_for_each_handle)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE);

	ASSERT_FD(other);
	ASSERT_EQ(0U, load(&self->words[0]));
	ASSERT_EQ(0U, load(&self->words[IPM_SLOTS_MAX - 1]));
	ASSERT_TAKES(self->fd, 0, 1);
	ASSERT_TAKES(self->fd, 0, 1);
	ASSERT_TAKES(other, 1, 1);
	ASSERT_TAKES(self->fd, 0, 1);
	ASSERT_EQ(0, call_slot(self->fd, IPM_SLOT_GIVE, NULL, NULL));
	ASSERT_SLOT(0, 1, IPM_SLOT_FREE);
	ASSERT_SLOT(1, 1, IPM_SLOT_ALIVE);
	ASSERT_EQ(-ENOENT, call_slot(self->fd, IPM_SLOT_GIVE, NULL, NULL));
	ASSERT_TAKES(self->fd, 0, 2);
	ASSERT_EQ(0, call_slot(other, IPM_SLOT_GIVE, NULL, NULL));
	ASSERT_EQ(0U, load(&self->status->deaths));
	close(other);
	ASSERT_SLOT(1, 1, IPM_SLOT_FREE);
	ASSERT_EQ(0U, load(&self->status->deaths));
}

TEST_F(slot, another_segment_has_its_own)
{
	int other = make_private(self->dev, SIZE, SIZE);
	uint32_t slot = 9, generation = 9;

	ASSERT_TAKES(self->fd, 0, 1);
	ASSERT_EQ(0, call_slot(other, 0, &slot, &generation));
	ASSERT_EQ(0U, slot);
	ASSERT_EQ(1U, generation);
	close(other);
	ASSERT_SLOT(0, 1, IPM_SLOT_ALIVE);
}

TEST_F(slot, read_only_handles_have_none)
{
	ASSERT_EQ(-EBADF, call_slot(self->reader, 0, NULL, NULL));
	ASSERT_EQ(-EBADF, call_slot(self->reader, IPM_SLOT_GIVE, NULL, NULL));
	ASSERT_EQ(-EBADF, call_reap(self->reader, 0, 1));
	ASSERT_EQ(-EBADF, call_ring(self->reader, 1, 0, 0));
	/* But they may listen. */
	ASSERT_EQ(0, call_subscribe(self->reader, 1, IPM_HEAR_DEATH));
}

/* The words can be read by everybody and written by the kernel alone. */
TEST_F(slot, words_cannot_be_written)
{
	ASSERT_EQ(MAP_FAILED, mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				   self->fd, IPM_STATUS_OFFSET));
	ASSERT_EQ(EACCES, errno);
	ASSERT_EQ(-1, mprotect((void *)self->status, IPM_STATUS_SLOTS_SIZE,
			       PROT_READ | PROT_WRITE));
	ASSERT_EQ(EACCES, errno);
	/* A mapping made before anybody had a slot shows them, too. */
	ASSERT_TAKES(self->fd, 0, 1);
}

/* --- death --- */

static int run_take(struct actor_order *order)
{
	uint32_t slot;
	int ret = call_slot(order->fd, 0, &slot, NULL);

	return ret ? ret : (int)slot;
}

static int run_open_and_take(struct actor_order *order)
{
	int fd = call_open(order->fd, ref_name(NAME), IPM_READ_WRITE);

	order->value = fd;
	if (fd < 0)
		return fd;
	order->fd = fd;
	return run_take(order);
}

TEST_F(slot, a_killed_process_leaves_a_dead_one)
{
	ASSERT_TAKES(self->fd, 0, 1);
	ASSERT_EQ(0, actor_start(&self->actor, false));
	self->actor.order->fd = self->dev;
	ASSERT_EQ(1, actor_do(&self->actor, run_open_and_take));
	ASSERT_SLOT(1, 1, IPM_SLOT_ALIVE);
	ASSERT_EQ(-EBUSY, call_reap(self->fd, 1, 1));
	ASSERT_EQ(0U, load(&self->status->deaths));
	ASSERT_EQ(SIGKILL, actor_kill(&self->actor));
	ASSERT_EQ(1U, load(&self->status->deaths));
	ASSERT_SLOT(1, 1, IPM_SLOT_DEAD);
	ASSERT_SLOT(0, 1, IPM_SLOT_ALIVE);

	/* Its number is not used until somebody has cleaned up. */
	ASSERT_EQ(0, actor_start(&self->actor, false));
	self->actor.order->fd = self->dev;
	ASSERT_EQ(2, actor_do(&self->actor, run_open_and_take));
	ASSERT_EQ(-ENOENT, call_reap(self->fd, 1, 0));
	ASSERT_EQ(-ENOENT, call_reap(self->fd, 1, 2));
	ASSERT_EQ(-ENOENT, call_reap(self->fd, 3, 0));
	ASSERT_EQ(-ENOENT, call_reap(self->fd, 3, 1));
	ASSERT_EQ(-EINVAL, call_reap(self->fd, IPM_SLOTS_MAX, 1));
	ASSERT_EQ(-EINVAL, call_reap(self->fd, UINT32_MAX, 1));
	ASSERT_SLOT(1, 1, IPM_SLOT_DEAD);
	ASSERT_EQ(0, call_reap(self->fd, 1, 1));
	ASSERT_SLOT(1, 1, IPM_SLOT_FREE);
	ASSERT_EQ(-ENOENT, call_reap(self->fd, 1, 1));
	ASSERT_EQ(SIGKILL, actor_kill(&self->actor));
	ASSERT_EQ(2U, load(&self->status->deaths));
	ASSERT_EQ(0, actor_start(&self->actor, false));
	self->actor.order->fd = self->dev;
	ASSERT_EQ(1, actor_do(&self->actor, run_open_and_take));
	ASSERT_SLOT(1, 2, IPM_SLOT_ALIVE);
	ASSERT_SLOT(2, 1, IPM_SLOT_DEAD);
}

TEST_F(slot, a_close_without_give_is_a_death)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE);

	ASSERT_TAKES(other, 0, 1);
	close(other);
	ASSERT_SLOT(0, 1, IPM_SLOT_DEAD);
	ASSERT_EQ(1U, load(&self->status->deaths));
	ASSERT_TAKES(self->fd, 1, 1);
}

/* An exit in good order, with the handle open, is a death too. */
TEST_F(slot, an_exit_is_a_death)
{
	ASSERT_EQ(0, IN_CHILD({
		int fd = call_open(self->dev, ref_name(NAME), IPM_READ_WRITE);

		CHECK(0, call_slot(fd, 0, NULL, NULL));
	}));
	ASSERT_SLOT(0, 1, IPM_SLOT_DEAD);
	ASSERT_EQ(1U, load(&self->status->deaths));
}

/* The slot is the process's that took it, not of whoever has the handle as well. */
TEST_F(slot, fork)
{
	ASSERT_TAKES(self->fd, 0, 1);
	ASSERT_EQ(0, IN_CHILD({
		CHECK(-EBUSY, call_slot(self->fd, 0, NULL, NULL));
		CHECK(-EBUSY, call_slot(self->fd, IPM_SLOT_GIVE, NULL, NULL));
		CHECK(-EBUSY, call_reap(self->fd, 0, 1));
		close(self->fd);
	}));
	ASSERT_SLOT(0, 1, IPM_SLOT_ALIVE);
	ASSERT_EQ(0U, load(&self->status->deaths));
	ASSERT_EQ(0, call_slot(self->fd, IPM_SLOT_GIVE, NULL, NULL));

	/* The child takes it and dies; the parent still has the handle. */
	ASSERT_EQ(0, actor_start(&self->actor, false));
	self->actor.order->fd = self->fd;
	ASSERT_EQ(0, actor_do(&self->actor, run_take));
	ASSERT_EQ(-EBUSY, call_slot(self->fd, 0, NULL, NULL));
	ASSERT_SLOT(0, 2, IPM_SLOT_ALIVE);
	ASSERT_EQ(SIGKILL, actor_kill(&self->actor));
	ASSERT_SLOT(0, 2, IPM_SLOT_DEAD);
	ASSERT_TAKES(self->fd, 1, 1);
}

static void *take_in_thread(void *data)
{
	return (void *)(intptr_t)call_slot(*(int *)data, 0, NULL, NULL);
}

TEST_F(slot, the_end_of_a_thread_is_none)
{
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, take_in_thread, &self->fd));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	ASSERT_EQ(NULL, ret);
	ASSERT_TAKES(self->fd, 0, 1);
	ASSERT_EQ(0, call_slot(self->fd, IPM_SLOT_GIVE, NULL, NULL));
}

/* exec closes the handle, unless it was made to survive. */
TEST_F(slot, exec)
{
	int keep[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, IN_CHILD({
		int fd = call_open(self->dev, ref_name(NAME), IPM_READ_WRITE);

		CHECK(0, call_slot(fd, 0, NULL, NULL));
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}));
	ASSERT_SLOT(0, 1, IPM_SLOT_DEAD);

	ASSERT_EQ(0, pipe(keep));
	pid = fork();
	if (!pid) {
		int fd = call_open_or_reopen(self->dev, IPM_IOC_OPEN, ref_name(NAME),
					     IPM_OPEN_NO_CLOEXEC, IPM_READ_WRITE, NULL);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK(0, call_slot(fd, 0, NULL, NULL));
		dup2(keep[1], 1);
		execl("/bin/sh", "sh", "-c", "echo; exec sleep 1000", (char *)NULL);
		_exit(1);
	}
	ASSERT_EQ(1, read(keep[0], &byte, 1));
	ASSERT_SLOT(1, 1, IPM_SLOT_ALIVE);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_SLOT(1, 1, IPM_SLOT_DEAD);
	close(keep[0]);
	close(keep[1]);
}

/* Dead ones take up room until they are reaped. */
TEST_F_TIMEOUT(slot, all_taken, 120)
{
	uint32_t slot, generation;
	int fd;

	for (int i = 0; i < IPM_SLOTS_MAX; i++) {
		fd = call_reopen(self->fd, IPM_READ_WRITE);
		ASSERT_FD(fd);
		ASSERT_EQ(0, call_slot(fd, 0, &slot, &generation));
		ASSERT_EQ((uint32_t)i, slot);
		ASSERT_EQ(1U, generation);
		close(fd);
	}
	ASSERT_EQ((uint32_t)IPM_SLOTS_MAX, load(&self->status->deaths));
	ASSERT_EQ(-ENOSPC, call_slot(self->fd, 0, NULL, NULL));
	ASSERT_EQ(0, call_reap(self->fd, IPM_SLOTS_MAX - 1, 1));
	ASSERT_TAKES(self->fd, IPM_SLOTS_MAX - 1, 2);
	fd = call_reopen(self->fd, IPM_READ_WRITE);
	ASSERT_EQ(-ENOSPC, call_slot(fd, 0, NULL, NULL));
	ASSERT_EQ(0, call_reap(fd, 7, 1));
	ASSERT_TAKES(fd, 7, 2);
	close(fd);
}

/* --- doorbells --- */

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

/* Reads one event; 0 if it is as expected in all its fields, a complaint otherwise. */
static int read_event(int fd, uint32_t type, uint64_t cookie)
{
	struct ipm_event event;
	ssize_t ret;

	memset(&event, POISON, sizeof(event));
	ret = read(fd, &event, sizeof(event));
	if (ret != sizeof(event))
		return ret < 0 ? -errno : -EIO;
	if (event.type != type || event.error || event.id || event.cookie != cookie ||
	    event.result || event.reserved) {
		note("event type %u, error %u, id %llu, cookie %#llx, result %u", event.type,
		     event.error, event.id, event.cookie, event.result);
		return -EBADMSG;
	}
	return 0;
}

static void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

TEST_F(slot, doorbell)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE);
	int third = call_reopen(self->fd, IPM_READ_ONLY);

	nonblocking(other);
	nonblocking(third);
	nonblocking(self->fd);
	/* Nobody listens: nothing is kept. */
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(0, call_subscribe(other, 5, 0));
	ASSERT_EQ(0, call_subscribe(third, UINT64_MAX, 0));
	ASSERT_FALSE(is_readable(other));
	ASSERT_EQ(-EAGAIN, read_event(other, IPM_EVENT_BELL, 0));
	ASSERT_EQ(0, call_ring(self->fd, 2, 0, 0));
	ASSERT_FALSE(is_readable(other));
	ASSERT_TRUE(is_readable(third));
	/* Bits come together, each once, and only those subscribed to. */
	ASSERT_EQ(0, call_ring(self->fd, 1 | 8, 0, 0));
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(0, call_ring(self->fd, 4, 0, 0));
	ASSERT_EQ(0, read_event(other, IPM_EVENT_BELL, 5));
	ASSERT_FALSE(is_readable(other));
	ASSERT_EQ(-EAGAIN, read_event(other, IPM_EVENT_BELL, 0));
	ASSERT_EQ(0, read_event(third, IPM_EVENT_BELL, 15));
	ASSERT_EQ(0, call_ring(self->fd, 1ULL << 63, 0, 0));
	ASSERT_EQ(0, read_event(third, IPM_EVENT_BELL, 1ULL << 63));
	/* One does not hear oneself. */
	ASSERT_EQ(0, call_ring(other, 5, 0, 0));
	ASSERT_FALSE(is_readable(other));
	ASSERT_EQ(0, read_event(third, IPM_EVENT_BELL, 5));
	/* What one is not subscribed to any more is forgotten. */
	ASSERT_EQ(0, call_ring(self->fd, 5, 0, 0));
	ASSERT_EQ(0, call_subscribe(other, 4, 0));
	ASSERT_EQ(0, read_event(other, IPM_EVENT_BELL, 4));
	ASSERT_EQ(0, call_ring(self->fd, 5, 0, 0));
	ASSERT_EQ(0, call_subscribe(other, 0, 0));
	ASSERT_FALSE(is_readable(other));
	ASSERT_EQ(-EINVAL, call_ring(self->fd, 0, 0, 0));
	ASSERT_EQ(-EINVAL, call_ring(self->fd, 1, 0, 1));
	ASSERT_EQ(-EINVAL, call_ring(self->fd, 1, 2, 0));
	ASSERT_EQ(-EINVAL, call_ring(self->fd, 1, IPM_BELL_SLOT, IPM_SLOTS_MAX));
	ASSERT_EQ(-EINVAL, call_subscribe(self->fd, 1, 1));
	ASSERT_EQ(-EINVAL, call_subscribe(self->fd, 1, 1U << IPM_EVENT_BELL));
	ASSERT_EQ(-EINVAL, call_subscribe(self->fd, 1, 1U << 31));
	close(third);
	close(other);
}

TEST_F(slot, doorbell_of_one)
{
	int a = call_reopen(self->fd, IPM_READ_WRITE), b = call_reopen(self->fd, IPM_READ_WRITE);

	ASSERT_EQ(-ENOENT, call_ring(self->fd, 1, IPM_BELL_SLOT, 0));
	ASSERT_TAKES(a, 0, 1);
	ASSERT_TAKES(b, 1, 1);
	ASSERT_EQ(0, call_subscribe(a, 1, 0));
	ASSERT_EQ(0, call_subscribe(b, 1, 0));
	ASSERT_EQ(0, call_ring(self->fd, 1, IPM_BELL_SLOT, 1));
	ASSERT_FALSE(is_readable(a));
	ASSERT_EQ(0, read_event(b, IPM_EVENT_BELL, 1));
	ASSERT_EQ(-ENOENT, call_ring(self->fd, 1, IPM_BELL_SLOT, 2));
	ASSERT_EQ(0, call_slot(b, IPM_SLOT_GIVE, NULL, NULL));
	ASSERT_EQ(-ENOENT, call_ring(self->fd, 1, IPM_BELL_SLOT, 1));
	ASSERT_FALSE(is_readable(b));
	close(a);
	close(b);
}

struct restless {
	int ringer;		/* a handle that rings all the time, or -1, */
	int listener;		/* or one that subscribes all the time */
	uint32_t stop;
	pthread_t thread;
};

static void *run_restless(void *data)
{
	struct restless *restless = data;

	for (uint64_t i = 0; !load(&restless->stop); i++) {
		if (restless->ringer >= 0)
			call_ring(restless->ringer, 2, 0, 0);
		else
			call_subscribe(restless->listener, i & 1 ? 3 : 0, 0);
	}
	return NULL;
}

/* More than are told at once, while others come, go and ring: each hears it, once. */
TEST_F_TIMEOUT(slot, doorbells_of_many, 120)
{
	enum { MANY = 700, RESTLESS = 4, TURNS = 20 };
	static struct restless restless[RESTLESS];
	static int fds[MANY];

	ASSERT_TAKES(self->fd, 0, 1);
	for (int i = 0; i < MANY; i++) {
		fds[i] = call_reopen(self->reader, IPM_READ_ONLY);
		ASSERT_FD(fds[i]);
		nonblocking(fds[i]);
		ASSERT_EQ(0, call_subscribe(fds[i], 1, IPM_HEAR_CHANGED));
		/* Between the others. */
		if (i % (MANY / RESTLESS) == MANY / RESTLESS / 2) {
			struct restless *r = &restless[i / (MANY / RESTLESS)];

			r->listener = call_reopen(self->fd, IPM_READ_WRITE);
			ASSERT_FD(r->listener);
			r->ringer = i < MANY / 2 ? r->listener : -1;
			ASSERT_EQ(0, call_subscribe(r->listener, 3, 0));
		}
	}
	for (int i = 0; i < RESTLESS; i++)
		ASSERT_EQ(0, pthread_create(&restless[i].thread, NULL, run_restless, &restless[i]));
	for (int turn = 0; turn < TURNS; turn++) {
		ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
		ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0));
		for (int i = 0; i < MANY; i++) {
			ASSERT_EQ(0, read_event(fds[i], IPM_EVENT_BELL, 1));
			ASSERT_EQ(0, read_event(fds[i], IPM_EVENT_CHANGED, 0));
			ASSERT_EQ(-EAGAIN, read_event(fds[i], 0, 0));
		}
	}
	for (int i = 0; i < RESTLESS; i++) {
		__atomic_store_n(&restless[i].stop, 1, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(restless[i].thread, NULL));
		close(restless[i].listener);
	}
	/* The last of a long list, by its slot. */
	fds[0] = (close(fds[0]), call_reopen(self->fd, IPM_READ_WRITE));
	ASSERT_TAKES(fds[0], 1, 1);
	ASSERT_EQ(0, call_subscribe(fds[0], 1, 0));
	ASSERT_EQ(0, call_ring(self->fd, 1, IPM_BELL_SLOT, 1));
	ASSERT_EQ(0, read_event(fds[0], IPM_EVENT_BELL, 1));
	for (int i = 0; i < MANY; i++) {
		ASSERT_FALSE(i && is_readable(fds[i]));
		close(fds[i]);
	}
}

/* --- events --- */

TEST_F(slot, events)
{
	int other = call_reopen(self->fd, IPM_READ_WRITE);

	nonblocking(self->reader);
	ASSERT_EQ(0, call_subscribe(self->reader, 1,
				    IPM_HEAR_DEATH | IPM_HEAR_CHANGED | IPM_HEAR_REMOVED));
	ASSERT_FALSE(is_readable(self->reader));
	/* A slot given back is no death. */
	ASSERT_TAKES(other, 0, 1);
	ASSERT_EQ(0, call_slot(other, IPM_SLOT_GIVE, NULL, NULL));
	ASSERT_FALSE(is_readable(self->reader));
	ASSERT_TAKES(other, 0, 2);
	close(other);
	ASSERT_EQ(0, read_event(self->reader, IPM_EVENT_DEATH, 0));
	ASSERT_FALSE(is_readable(self->reader));

	ASSERT_EQ(0, call_grow(self->fd, 2 * SIZE, 0));
	ASSERT_EQ(0, call_grow(self->fd, 3 * SIZE, 0));
	ASSERT_EQ(0, read_event(self->reader, IPM_EVENT_CHANGED, 0));
	ASSERT_FALSE(is_readable(self->reader));
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0640, 0, 0, 0));
	ASSERT_EQ(0, read_event(self->reader, IPM_EVENT_CHANGED, 0));

	/* Several at once, in as many reads as there is room. */
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0));
	ASSERT_EQ(0, call_remove(self->dev, ref_name(NAME)));
	{
		struct ipm_event all[5];
		uint32_t types = 0;

		ASSERT_EQ((ssize_t)(2 * sizeof(all[0])),
			  read(self->reader, all, 3 * sizeof(all[0]) - 1));
		types |= 1U << all[0].type | 1U << all[1].type;
		ASSERT_EQ((ssize_t)sizeof(all[0]), read(self->reader, all, sizeof(all)));
		types |= 1U << all[0].type;
		ASSERT_EQ(1U << IPM_EVENT_BELL | 1U << IPM_EVENT_CHANGED | 1U << IPM_EVENT_REMOVED,
			  types);
	}
	ASSERT_FALSE(is_readable(self->reader));
}

TEST_F(slot, read)
{
	struct ipm_event event;

	nonblocking(self->reader);
	ASSERT_EQ(0, call_subscribe(self->reader, 1, 0));
	ASSERT_EQ(-1, read(self->reader, &event, sizeof(event) - 1));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, read(self->reader, &event, 0));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, read(self->reader, &event, sizeof(event)));
	ASSERT_EQ(EAGAIN, errno);
	/* What could not be handed over stays. */
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(-1, syscall(SYS_read, self->reader, 1UL, sizeof(event)));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_TRUE(is_readable(self->reader));
	ASSERT_EQ(0, read_event(self->reader, IPM_EVENT_BELL, 1));
	/* The second of two, too; the first is read. */
	ASSERT_EQ(0, call_subscribe(self->reader, 1, IPM_HEAR_CHANGED));
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0));
	{
		char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ASSERT_MAPPED(edge);
		munmap(edge + PAGE, PAGE);
		ASSERT_EQ((ssize_t)sizeof(event),
			  read(self->reader, edge + PAGE - sizeof(event), 2 * sizeof(event)));
		munmap(edge, PAGE);
	}
	ASSERT_EQ(0, read_event(self->reader, IPM_EVENT_CHANGED, 0));
	ASSERT_FALSE(is_readable(self->reader));
	/* A handle has no position, and cannot be written. */
	ASSERT_EQ(-1, write(self->fd, &event, sizeof(event)));
}

static int run_read(struct actor_order *order)
{
	struct ipm_event event;
	ssize_t ret = read(order->fd, &event, sizeof(event));

	return ret < 0 ? -errno : ret == sizeof(event) ? (int)event.type : -EIO;
}

/* A blocking read waits for an event, or a signal. */
TEST_F(slot, read_waits)
{
	int fd = call_reopen(self->fd, IPM_READ_ONLY);

	ASSERT_EQ(0, call_subscribe(fd, 1, IPM_HEAR_DEATH));
	ASSERT_EQ(0, actor_start(&self->actor, true));
	self->actor.order->fd = fd;
	actor_give(&self->actor, run_read);
	ASSERT_EQ(0, actor_answered(&self->actor, 50));
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(IPM_EVENT_BELL, actor_result(&self->actor));
	actor_give(&self->actor, run_read);
	ASSERT_EQ(0, actor_answered(&self->actor, 50));
	/* One that comes before it reads ends nothing: another will come. */
	ASSERT_TRUE(wait_until((pthread_kill(self->actor.id, SIGUSR1),
				actor_answered(&self->actor, 0))));
	ASSERT_EQ(-EINTR, actor_result(&self->actor));
	actor_stop(&self->actor);
	close(fd);
}

static int run_poll(struct actor_order *order)
{
	struct pollfd p = { .fd = order->fd, .events = POLLIN };

	return poll(&p, 1, -1) == 1 ? p.revents : -EIO;
}

/* Several that sleep on one handle, in whatever way: an event wakes them all. */
TEST_F(slot, several_wait)
{
	struct actor reader[2], poller;
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC);
	int fd = call_reopen(self->fd, IPM_READ_WRITE), first;
	uint64_t id;

	ASSERT_FD(fd);
	ASSERT_EQ(0, call_subscribe(fd, 3, 0));
	ASSERT_EQ(0, actor_start(&poller, true));
	poller.order->fd = fd;
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, actor_start(&reader[i], true));
		reader[i].order->fd = fd;
		actor_give(&reader[i], run_read);
	}
	actor_give(&poller, run_poll);
	ASSERT_EQ(0, actor_answered(&reader[0], 50));
	ASSERT_EQ(0, actor_answered(&reader[1], 50));
	ASSERT_EQ(0, actor_answered(&poller, 50));
	/* One of them has it; a poller may come too late to see it. */
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_TRUE(wait_until(actor_answered(&reader[0], 0) || actor_answered(&reader[1], 0)));
	first = !actor_answered(&reader[0], 0);
	ASSERT_EQ(IPM_EVENT_BELL, actor_result(&reader[first]));
	ASSERT_EQ(0, actor_answered(&reader[!first], 50));
	/* The other is as well awake for the next. */
	ASSERT_EQ(0, call_ring(self->fd, 2, 0, 0));
	ASSERT_EQ(IPM_EVENT_BELL, actor_result(&reader[!first]));
	/* And for a claim's. */
	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, &id));
	ASSERT_EQ(0, call_claim_arg(fd, &arg));
	for (int i = 0; i < 2; i++) {
		actor_give(&reader[i], run_read);
		ASSERT_EQ(0, actor_answered(&reader[i], 50));
	}
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_TRUE(wait_until(actor_answered(&reader[0], 0) || actor_answered(&reader[1], 0)));
	first = !actor_answered(&reader[0], 0);
	ASSERT_EQ(IPM_EVENT_CLAIM, actor_result(&reader[first]));
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(IPM_EVENT_BELL, actor_result(&reader[!first]));
	/* A poller alone is woken when no reader takes it away. */
	if (!actor_answered(&poller, 0))
		ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(POLLIN, actor_result(&poller));
	for (int i = 0; i < 2; i++)
		actor_stop(&reader[i]);
	actor_stop(&poller);
	close(fd);
}

/* --- epoll --- */

TEST_F(slot, epoll)
{
	int level = epoll_create1(EPOLL_CLOEXEC), edge = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 };

	ASSERT_EQ(0, call_subscribe(self->reader, 3, 0));
	ASSERT_EQ(0, epoll_ctl(level, EPOLL_CTL_ADD, self->reader, &event));
	event.events = EPOLLIN | EPOLLET;
	ASSERT_EQ(0, epoll_ctl(edge, EPOLL_CTL_ADD, self->reader, &event));
	ASSERT_EQ(0, epoll_wait(level, &event, 1, 0));
	ASSERT_EQ(0, epoll_wait(edge, &event, 1, 0));
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(1, epoll_wait(level, &event, 1, 0));
	ASSERT_EQ(7U, event.data.u32);
	ASSERT_EQ(1, epoll_wait(level, &event, 1, 0));
	ASSERT_EQ(1, epoll_wait(edge, &event, 1, 0));
	ASSERT_EQ(0, epoll_wait(edge, &event, 1, 0));
	/* Another bit is news, the same again is not. */
	ASSERT_EQ(0, call_ring(self->fd, 1, 0, 0));
	ASSERT_EQ(0, epoll_wait(edge, &event, 1, 0));
	ASSERT_EQ(0, call_ring(self->fd, 2, 0, 0));
	ASSERT_EQ(1, epoll_wait(edge, &event, 1, 0));
	ASSERT_EQ(0, read_event(self->reader, IPM_EVENT_BELL, 3));
	ASSERT_EQ(0, epoll_wait(level, &event, 1, 0));
	close(level);
	close(edge);
}

/* A death that comes while somebody waits in epoll. */
TEST_F(slot, epoll_hears_of_a_kill)
{
	struct epoll_event event = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_EQ(0, call_subscribe(self->reader, 0, IPM_HEAR_DEATH));
	ASSERT_EQ(0, epoll_ctl(set, EPOLL_CTL_ADD, self->reader, &event));
	ASSERT_EQ(0, actor_start(&self->actor, false));
	self->actor.order->fd = self->dev;
	ASSERT_EQ(0, actor_do(&self->actor, run_open_and_take));
	ASSERT_EQ(0, epoll_wait(set, &event, 1, 0));
	kill(self->actor.pid, SIGKILL);
	ASSERT_EQ(1, epoll_wait(set, &event, 1, PATIENCE_MS));
	ASSERT_EQ(0, read_event(self->reader, IPM_EVENT_DEATH, 0));
	/* Who hears of it sees it. */
	ASSERT_SLOT(0, 1, IPM_SLOT_DEAD);
	ASSERT_EQ(1U, load(&self->status->deaths));
	ASSERT_EQ(SIGKILL, actor_kill(&self->actor));
	close(set);
}

TEST_HARNESS_MAIN
