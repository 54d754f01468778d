// SPDX-License-Identifier: GPL-2.0
/*
 * Slots, doorbells and channels of libipm on the real module: channels in segments,
 * several of them and a timer in one epoll loop, and peers that are killed.
 */
#include "lib_test.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <ipm/ipm.h>

#define RW	IPM_ACCESS_MODE_READ_WRITE
#define RO	IPM_ACCESS_MODE_READ_ONLY
#define MS	1000000LL

#define CHANNELS	3
#define EACH		65536
#define SEGMENT		(CHANNELS * EACH)

/* In a child. */
#define CHECK_OK(call)	CHECK(IPM_RESULT_SUCCESS, call)

FIXTURE(channel)
{
	struct counts before;
	ipm_memory *memory;
	ipm_channel_options shape;
};

/* Of each kind one, with doorbell bits of its own. */
static ipm_channel_options shape_of(int which)
{
	static const ipm_ring_kind kinds[CHANNELS] = {
		IPM_RING_KIND_SPSC, IPM_RING_KIND_MPMC, IPM_RING_KIND_LANES,
	};
	ipm_channel_options o = {
		.struct_size = sizeof(o),
		.ring = { .struct_size = sizeof(o.ring), .kind = kinds[which],
			  .lanes = kinds[which] == IPM_RING_KIND_LANES ? 2 : 0 },
		.read_bell = 1ULL << which,
		.write_bell = 1ULL << (which + 8),
	};

	return o;
}

FIXTURE_SETUP(channel)
{
	ipm_memory_create_options o = {
		.struct_size = sizeof(o), .size = SEGMENT, .capacity = SEGMENT, .access = RW,
	};

	self->before = read_counts();
	ASSERT_OK(ipm_memory_create_ex(NULL, &o, &self->memory));
	for (int i = 0; i < CHANNELS; i++) {
		ipm_channel_options shape = shape_of(i);

		ASSERT_OK(ipm_channel_create(&shape, (char *)ipm_memory_pointer(self->memory) +
					     i * EACH, EACH));
	}
}

FIXTURE_TEARDOWN(channel)
{
	ipm_memory_close(self->memory);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

static ipm_result attach_to(ipm_memory *memory, int which, uint32_t roles, ipm_channel **channel)
{
	ipm_channel_attach_options o = {
		.struct_size = sizeof(o), .roles = roles,
		.config = { .start_sleep_ns = MS, .max_sleep_ns = 10 * MS },
	};

	return ipm_channel_attach_memory(NULL, &o, memory, (uint64_t)which * EACH, EACH, channel);
}

/* --- slots and doorbells --- */

TEST_F(channel, slots)
{
	uint32_t slot = 99, generation = 99, again, again_generation;
	ipm_memory_slot_status state;
	ipm_ring_liveness liveness;
	ipm_memory *other, *reader;

	ASSERT_OK(ipm_memory_derive(self->memory, RW, &other));
	ASSERT_OK(ipm_memory_derive(self->memory, RO, &reader));
	ASSERT_RESULT(IPM_RESULT_ERR_NOT_LOCKED, ipm_memory_slot_give(self->memory));
	ASSERT_OK(ipm_memory_liveness(reader, &liveness));
	ASSERT_FALSE(liveness.alive(liveness.param, 0, 0));
	ASSERT_OK(ipm_memory_slot(self->memory, &slot, &generation));
	ASSERT_OK(ipm_memory_slot(self->memory, &again, &again_generation));
	ASSERT_EQ(slot, again);
	ASSERT_EQ(generation, again_generation);
	ASSERT_TRUE(liveness.alive(liveness.param, slot, generation));
	ASSERT_FALSE(liveness.alive(liveness.param, slot, generation + 1));
	ASSERT_FALSE(liveness.alive(liveness.param, slot + 1, 1));
	ASSERT_FALSE(liveness.alive(liveness.param, IPM_MEMORY_MAX_SLOTS, 1));
	ASSERT_FALSE(liveness.alive(liveness.param, UINT32_MAX, UINT32_MAX));
	ASSERT_RESULT(IPM_RESULT_ERR_ALREADY_LOCKED, ipm_memory_reap(other, slot, generation));
	/* A change of access would lose the slot. */
	ASSERT_RESULT(IPM_RESULT_ERR_ALREADY_LOCKED, ipm_memory_change_access(self->memory, RO));
	ASSERT_OK(ipm_memory_slot_give(self->memory));
	ASSERT_FALSE(liveness.alive(liveness.param, slot, generation));
	ASSERT_OK(ipm_memory_change_access(self->memory, RO));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_memory_slot(self->memory, &slot, &generation));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_memory_slot_give(self->memory));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_memory_reap(self->memory, 0, 1));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS,
		      ipm_memory_ring_bell(self->memory, 1, IPM_MEMORY_ALL_SLOTS));
	ASSERT_OK(ipm_memory_change_access(self->memory, RW));

	ASSERT_EQ(0U, ipm_memory_deaths(reader));
	ASSERT_EQ(0, IN_CHILD({
		ipm_memory *mine;

		CHECK_OK(ipm_memory_derive(other, RW, &mine));
		CHECK_OK(ipm_memory_slot(mine, &slot, &generation));
		CHECK(true, liveness.alive(liveness.param, slot, generation));
	}));
	ASSERT_EQ(1U, ipm_memory_deaths(reader));
	ASSERT_OK(ipm_memory_slot_state(reader, 0, &state, &generation));
	ASSERT_EQ(IPM_MEMORY_SLOT_DEAD, state);
	ASSERT_FALSE(liveness.alive(liveness.param, 0, generation));
	ASSERT_OK(ipm_memory_reap(other, 0, generation));
	ASSERT_RESULT(IPM_RESULT_ERR_DOES_NOT_EXIST, ipm_memory_reap(other, 0, generation));
	ASSERT_OK(ipm_memory_slot_state(reader, 0, &state, NULL));
	ASSERT_EQ(IPM_MEMORY_SLOT_FREE, state);

	/* Wrong arguments. */
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_slot(NULL, &slot, &generation));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_slot(other, NULL, &generation));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_slot(other, &slot, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_slot_give(NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_reap(NULL, 0, 1));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_reap(other, IPM_MEMORY_MAX_SLOTS, 1));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_liveness(NULL, &liveness));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_liveness(other, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_slot_state(other, 5000, &state, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_slot_state(other, 0, NULL, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_slot_state(NULL, 0, &state, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_memory_ring_bell(NULL, 1, IPM_MEMORY_ALL_SLOTS));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_memory_ring_bell(other, 0, IPM_MEMORY_ALL_SLOTS));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_ring_bell(other, 1, 5000));
	ASSERT_RESULT(IPM_RESULT_ERR_DOES_NOT_EXIST, ipm_memory_ring_bell(other, 1, 7));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_subscribe(NULL, 1, 0));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_subscribe(other, 1, 1));
	ASSERT_EQ(0U, ipm_memory_deaths(NULL));
	ipm_memory_close(reader);
	ipm_memory_close(other);
}

TEST_F(channel, doorbells)
{
	ipm_memory_event events[4];
	ipm_memory *other;
	size_t count;

	ASSERT_OK(ipm_memory_derive(self->memory, RW, &other));
	ASSERT_OK(ipm_memory_subscribe(other, 6, IPM_MEMORY_HEAR_DEATH));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
		      ipm_memory_read_events(other, events, 4, IPM_DEADLINE_NOW, &count));
	ASSERT_OK(ipm_memory_ring_bell(self->memory, 3, IPM_MEMORY_ALL_SLOTS));
	ASSERT_OK(ipm_memory_ring_bell(self->memory, 4, IPM_MEMORY_ALL_SLOTS));
	ASSERT_OK(ipm_memory_read_events(other, events, 4, IPM_DEADLINE_NONE, &count));
	ASSERT_EQ(1U, count);
	ASSERT_EQ((uint32_t)IPM_MEMORY_EVENT_BELL, events[0].type);
	ASSERT_EQ(6U, events[0].cookie);
	ASSERT_RESULT(IPM_RESULT_ERR_TIMEOUT,
		      ipm_memory_read_events(other, events, 4, in_ms(5), &count));
	ipm_memory_close(other);
}

/* --- channels in a segment --- */

TEST_F(channel, attach)
{
	ipm_channel_attach_options o = { .struct_size = sizeof(o), .roles = IPM_RING_PRODUCER };
	ipm_channel *channel, *observer;
	ipm_memory *reader, *unmapped;
	ipm_memory_open_options open = {
		.struct_size = sizeof(open), .access = RW, .flags = IPM_MEMORY_NO_MAP,
		.ref = { .by = IPM_MEMORY_BY_FD, .fd = ipm_memory_fd(self->memory) },
	};

	ASSERT_OK(ipm_memory_derive(self->memory, RO, &reader));
	ASSERT_OK(ipm_memory_open_ex(NULL, &open, &unmapped));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, NULL, self->memory, 0, EACH, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, &o, NULL, 0, EACH, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, &o, self->memory, 0, EACH, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, &o, self->memory, SEGMENT, 0, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, &o, self->memory, 1, EACH, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, &o, self->memory, EACH, SEGMENT, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, &o, self->memory, UINT64_MAX, 64, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_INIT,
		      ipm_channel_attach_memory(NULL, &o, self->memory, 4096, 4096, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_INIT,
		      ipm_channel_attach_memory(NULL, &o, unmapped, 0, EACH, &channel));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS,
		      ipm_channel_attach_memory(NULL, &o, reader, 0, EACH, &channel));
	o.slot = 1;
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE,
		      ipm_channel_attach_memory(NULL, &o, self->memory, 0, EACH, &channel));
	o.slot = 0;
	ASSERT_OK(ipm_channel_attach_memory(NULL, &o, self->memory, 0, EACH, &channel));
	o.roles = 0;
	ASSERT_OK(ipm_channel_attach_memory(NULL, &o, reader, 0, EACH, &observer));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_channel_write(observer, "x", 1));
	ASSERT_OK(ipm_channel_write(channel, "x", 1));
	ipm_channel_detach(observer);
	ipm_channel_detach(channel);
	ipm_memory_close(unmapped);
	ipm_memory_close(reader);
}

/* A ring that wants to be mapped twice gets a mapping of its own. */
TEST_F(channel, doubled)
{
	ipm_channel_options shape = shape_of(0);
	char message[5000], got[5000];
	ipm_channel *w, *r;
	size_t size;

	shape.ring.flags = IPM_RING_DOUBLED;
	ASSERT_OK(ipm_channel_create(&shape, ipm_memory_pointer(self->memory), EACH));
	ASSERT_OK(attach_to(self->memory, 0, IPM_RING_PRODUCER, &w));
	ASSERT_OK(attach_to(self->memory, 0, IPM_RING_CONSUMER, &r));
	for (int i = 0; i < 100; i++) {
		memset(message, i, sizeof(message));
		ASSERT_OK(ipm_channel_write(w, message, sizeof(message)));
		ASSERT_OK(ipm_channel_read(r, got, sizeof(got), &size, NULL));
		ASSERT_EQ(sizeof(message), size);
		ASSERT_EQ(0, memcmp(message, got, size));
	}
	ipm_channel_detach(w);
	ipm_channel_detach(r);
}

/* --- one loop for everything --- */

#define MESSAGES 200

static void write_slowly(ipm_memory *memory, int which)
{
	ipm_memory *mine;
	ipm_channel *channel;

	CHECK_OK(ipm_memory_derive(memory, RW, &mine));
	CHECK_OK(attach_to(mine, which, IPM_RING_PRODUCER, &channel));
	for (uint64_t n = 0; n < MESSAGES; n++) {
		CHECK_OK(ipm_channel_write(channel, &n, sizeof(n)));
		if (n % 10 == (uint64_t)which)
			nap();
	}
	/* The first two say when they are done, the third dies. */
	if (which == 2)
		kill(getpid(), SIGKILL);
	CHECK_OK(ipm_channel_close(channel));
	ipm_channel_detach(channel);
	CHECK_OK(ipm_memory_slot_give(mine));
	_exit(0);
}

/* Takes what is there, and asks to be rung for the next; how the channel ended, if. */
static ipm_result serve(ipm_channel *channel, uint64_t *next)
{
	ipm_result result;
	uint64_t message;
	size_t size;
	bool ready;

	for (;;) {
		result = ipm_channel_read_try(channel, &message, sizeof(message), &size, NULL);
		if (result == IPM_RESULT_SUCCESS) {
			if (message != (*next)++)
				return IPM_RESULT_ERR_OS_UNEXPECTED;
			continue;
		}
		if (result != IPM_RESULT_ERR_WOULD_BLOCK)
			return result;
		result = ipm_channel_arm_read(channel, &ready);
		if (result || !ready)
			return result;
	}
}

TEST_F_TIMEOUT(channel, several_and_a_timer_in_one_loop, 120)
{
	struct itimerspec every = { { 0, 5 * MS }, { 0, 5 * MS } };
	int set = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN };
	ipm_channel *channels[CHANNELS];
	uint64_t next[CHANNELS] = { 0 }, ticks = 0, bells = 0;
	ipm_result ended[CHANNELS] = { 0 };
	int64_t end = in_ms(PATIENCE_MS);
	pid_t pids[CHANNELS];
	int left = CHANNELS;

	event.data.u32 = 1;
	ASSERT_EQ(0, epoll_ctl(set, EPOLL_CTL_ADD, ipm_memory_fd(self->memory), &event));
	event.data.u32 = 2;
	ASSERT_EQ(0, epoll_ctl(set, EPOLL_CTL_ADD, timer, &event));
	ASSERT_EQ(0, timerfd_settime(timer, 0, &every, NULL));
	ASSERT_OK(ipm_memory_subscribe(self->memory, 7, IPM_MEMORY_HEAR_DEATH));
	for (int i = 0; i < CHANNELS; i++) {
		ASSERT_OK(attach_to(self->memory, i, IPM_RING_CONSUMER, &channels[i]));
		ASSERT_OK(serve(channels[i], &next[i]));
		pids[i] = fork();
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			write_slowly(self->memory, i);
		}
	}
	/* All may have been there at once; the timer goes on. */
	while ((left || !ticks) && now_ns(CLOCK_MONOTONIC) < end) {
		ipm_memory_event events[8];
		uint64_t look = 0, expired;
		bool death = false;
		size_t count;

		ASSERT_LT(0, epoll_wait(set, &event, 1, PATIENCE_MS));
		if (event.data.u32 == 2) {
			if (read(timer, &expired, sizeof(expired)) == sizeof(expired))
				ticks += expired;
			continue;
		}
		if (ipm_memory_read_events(self->memory, events, 8, IPM_DEADLINE_NOW, &count))
			continue;
		for (size_t i = 0; i < count; i++) {
			if (events[i].type == IPM_MEMORY_EVENT_DEATH)
				death = true;
			else if (events[i].type == IPM_MEMORY_EVENT_BELL)
				look |= events[i].cookie;
			bells++;
		}
		for (int i = 0; i < CHANNELS; i++) {
			if (ended[i] || !(death || look & 1ULL << i))
				continue;
			ended[i] = serve(channels[i], &next[i]);
			if (!ended[i] && death)
				ended[i] = ipm_channel_check(channels[i], IPM_RING_CONSUMER);
			left -= ended[i] != IPM_RESULT_SUCCESS;
		}
	}
	ASSERT_EQ(0, left);
	ASSERT_RESULT(IPM_RESULT_ERR_CLOSED, ended[0]);
	ASSERT_RESULT(IPM_RESULT_ERR_CLOSED, ended[1]);
	ASSERT_RESULT(IPM_RESULT_ERR_PEER_DIED, ended[2]);
	ASSERT_LT(0U, ticks);
	ASSERT_LT(0U, bells);
	for (int i = 0; i < CHANNELS; i++) {
		ASSERT_EQ((uint64_t)MESSAGES, next[i]);
		ASSERT_EQ(pids[i], waitpid(pids[i], NULL, 0));
		ipm_channel_detach(channels[i]);
	}
	close(timer);
	close(set);
}

/* A peer that dies while one sleeps in a call. */
TEST_F(channel, peer_is_killed)
{
	ipm_ring_record record;
	ipm_channel *channel;
	ipm_channel_stats stats;
	ipm_memory_slot_status state;
	char got[16];
	uint32_t generation;
	uint64_t records;
	size_t size;
	pid_t pid;

	for (int i = 0; i < CHANNELS; i++) {
		ASSERT_OK(attach_to(self->memory, i, IPM_RING_CONSUMER, &channel));
		pid = fork();
		if (!pid) {
			ipm_memory *mine;
			ipm_channel *w;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			CHECK_OK(ipm_memory_derive(self->memory, RW, &mine));
			CHECK_OK(attach_to(mine, i, IPM_RING_PRODUCER, &w));
			CHECK_OK(ipm_channel_write(w, "last words", 10));
			CHECK_OK(ipm_channel_reserve(w, 100, IPM_DEADLINE_NONE, &record));
			memset(record.data, 1, 50);
			for (int n = 0; n < 50; n++)
				nap();
			kill(getpid(), SIGKILL);
		}
		ASSERT_OK(ipm_channel_read(channel, got, sizeof(got), &size, NULL));
		ASSERT_EQ(10U, size);
		ASSERT_RESULT(IPM_RESULT_ERR_PEER_DIED,
			      ipm_channel_read(channel, got, sizeof(got), &size, NULL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		ASSERT_OK(ipm_channel_get_stats(channel, &stats));
		ASSERT_EQ(1U, stats.dead);
		ASSERT_EQ(1U, stats.ring.dropped);
		ASSERT_OK(ipm_channel_recover(channel, &records));
		ipm_channel_detach(channel);
		/* Nothing is left of it in this channel, and no other knew it. */
		ASSERT_OK(ipm_memory_slot_state(self->memory, 1, &state, &generation));
		ASSERT_EQ(IPM_MEMORY_SLOT_DEAD, state);
		ASSERT_OK(ipm_memory_reap(self->memory, 1, generation));
	}
}

/* Writers are killed at random; what was written in between arrives. */
TEST_F_TIMEOUT(channel, killed_at_random, 120)
{
	unsigned int seed = (unsigned int)now_ns(CLOCK_MONOTONIC), deaths = 0;
	uint64_t message, read = 0;
	ipm_channel *channel;
	uint64_t records;
	size_t size;
	pid_t pid;

	printf("# seed %u\n", seed);
	for (int round = 0; round < 60; round++) {
		int which = round % CHANNELS;

		pid = fork();
		if (!pid) {
			ipm_memory *mine;
			ipm_channel *c;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			CHECK_OK(ipm_memory_derive(self->memory, RW, &mine));
			CHECK_OK(attach_to(mine, which, IPM_RING_PRODUCER, &c));
			for (message = 0;; message++)
				CHECK_OK(ipm_channel_write(c, &message, sizeof(message)));
		}
		ASSERT_OK(attach_to(self->memory, which, IPM_RING_CONSUMER, &channel));
		/* Until the new one has attached, the last one is the one who died. */
		wait_until(ipm_channel_read(channel, &message, sizeof(message), &size, NULL) !=
			   IPM_RESULT_ERR_PEER_DIED);
		read = message;
		for (int n = rand_r(&seed) % 2000; n >= 0; n--) {
			ASSERT_OK(ipm_channel_read(channel, &message, sizeof(message), &size,
						   NULL));
			/* In order, from one writer. */
			ASSERT_EQ(read + 1, message);
			read = message;
		}
		kill(pid, SIGKILL);
		for (;;) {
			ipm_result result = ipm_channel_read(channel, &message, sizeof(message),
							     &size, NULL);

			if (result == IPM_RESULT_ERR_PEER_DIED)
				break;
			ASSERT_OK(result);
			ASSERT_EQ(read + 1, message);
			read = message;
		}
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		deaths++;
		ASSERT_OK(ipm_channel_recover(channel, &records));
		ipm_channel_detach(channel);
	}
	ASSERT_EQ(deaths, ipm_memory_deaths(self->memory));
}

/* Takes records for ever, and says which one it has in hand. */
static void read_for_ever(ipm_memory *memory, int which, uint64_t *in_hand)
{
	ipm_memory *mine;
	ipm_channel *c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK_OK(ipm_memory_derive(memory, RW, &mine));
	CHECK_OK(attach_to(mine, which, IPM_RING_CONSUMER, &c));
	for (;;) {
		ipm_ring_record record;
		ipm_result result = ipm_channel_peek(c, IPM_DEADLINE_NONE, &record);

		/* The writer comes when this one is there. */
		if (result == IPM_RESULT_ERR_PEER_DIED)
			continue;
		CHECK_OK(result);
		__atomic_store_n(in_hand, *(uint64_t *)record.data, __ATOMIC_RELEASE);
		CHECK_OK(ipm_channel_release(c, &record));
	}
}

/* Likewise readers: what they had in hand comes again, marked, and then all the rest. */
TEST_F_TIMEOUT(channel, readers_killed_at_random, 120)
{
	unsigned int seed = (unsigned int)now_ns(CLOCK_MONOTONIC);
	uint64_t *in_hand = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				 -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)in_hand);
	printf("# seed %u\n", seed);
	for (int round = 0; round < 60; round++) {
		uint64_t last = rand_r(&seed) % 500 + 1, until = rand_r(&seed) % last, message;
		int which = round % CHANNELS;
		ipm_channel *writer, *reader;
		uint64_t next, records;
		uint32_t flags;
		size_t size;
		pid_t pid;

		*in_hand = 0;
		ASSERT_OK(attach_to(self->memory, which, IPM_RING_PRODUCER, &writer));
		pid = fork();
		if (!pid)
			read_for_ever(self->memory, which, in_hand);
		/* All of it fits at once, so that nobody waits for the dead. */
		for (message = 1; message <= last; message++)
			ASSERT_OK(ipm_channel_write_until(writer, &message, sizeof(message),
							  IPM_DEADLINE_NOW));
		wait_until(__atomic_load_n(in_hand, __ATOMIC_ACQUIRE) >= until);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		ASSERT_OK(ipm_channel_recover(writer, &records));
		ASSERT_OK(attach_to(self->memory, which, IPM_RING_CONSUMER, &reader));
		for (next = 0; !next || next <= last; next++) {
			ipm_result result = ipm_channel_read_until(reader, &message, sizeof(message),
								   &size, &flags, IPM_DEADLINE_NOW);

			/* It may have had them all. */
			if (!next && result == IPM_RESULT_ERR_WOULD_BLOCK) {
				ASSERT_EQ(last, *in_hand);
				break;
			}
			ASSERT_OK(result);
			if (!next) {
				ASSERT_GE(*in_hand + 1, message);
				ASSERT_LE(*in_hand, message);
				next = message;
				/* Said to be in hand, and not given back. */
				if (message == *in_hand)
					ASSERT_TRUE(flags & IPM_RING_REDELIVERED);
			} else {
				ASSERT_EQ(next, message);
				ASSERT_EQ(0, flags);
			}
		}
		ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
			      ipm_channel_read_until(reader, &message, sizeof(message), &size, NULL,
						     IPM_DEADLINE_NOW));
		ipm_channel_detach(reader);
		ipm_channel_detach(writer);
	}
	munmap(in_hand, 4096);
}

TEST_HARNESS_MAIN
