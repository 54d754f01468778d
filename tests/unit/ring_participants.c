// SPDX-License-Identifier: GPL-2.0
/* The table of participants: slots, generations, and who counts as alive. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipm/ipm_ring.h>

#include "tap.h"

static void *table;
static size_t table_size;

static void make(uint32_t count)
{
	table_size = ipm_participants_footprint(count);
	table = mmap(NULL, table_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (table == MAP_FAILED)
		exit(1);
	CHECK_RESULT(ipm_participants_create(table, table_size, count),
		     IPM_RESULT_SUCCESS);
}

static ipm_participants *join(uint32_t *slot, uint32_t *generation)
{
	ipm_participants *p = NULL;

	CHECK_RESULT(ipm_participants_join(NULL, table, table_size, &p, slot,
					   generation), IPM_RESULT_SUCCESS);
	return p;
}

/* A child that has joined; it says which slot it got. */
struct child {
	pid_t pid;
	uint32_t slot, generation;
};

static struct child start_child(void)
{
	struct child c = { 0 };
	uint32_t numbers[2] = { 0 };
	int fds[2];

	if (pipe(fds))
		exit(1);
	c.pid = fork();
	if (!c.pid) {
		ipm_participants *p;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ipm_participants_join(NULL, table, table_size, &p, &numbers[0],
					  &numbers[1]) ||
		    write(fds[1], numbers, sizeof(numbers)) != sizeof(numbers))
			_exit(1);
		pause();
		_exit(0);
	}
	CHECK(read(fds[0], numbers, sizeof(numbers)) == sizeof(numbers));
	close(fds[0]);
	close(fds[1]);
	c.slot = numbers[0];
	c.generation = numbers[1];
	return c;
}

static void test_arguments(void)
{
	ipm_participants *p;
	uint32_t slot, generation;
	_Alignas(64) char small[64];

	make(4);
	CHECK_INT(ipm_participants_footprint(0), 0);
	CHECK_INT(ipm_participants_footprint(IPM_RING_MAX_SLOTS + 1), 0);
	CHECK(ipm_participants_footprint(IPM_RING_MAX_SLOTS) > 0);
	CHECK_RESULT(ipm_participants_create(NULL, 4096, 4), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_participants_create((char *)table + 8, 4096, 4),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_participants_create(table, table_size - 1, 4),
		     IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_participants_join(NULL, NULL, 1, &p, &slot, &generation),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_participants_join(NULL, table, table_size, NULL, &slot,
					   &generation), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_participants_join(NULL, table, table_size - 1, &p, &slot,
					   &generation), IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_participants_join(NULL, table, 8, &p, &slot, &generation),
		     IPM_RESULT_ERR_TOO_SMALL);
	memset(small, 0, sizeof(small));
	CHECK_RESULT(ipm_participants_join(NULL, small, sizeof(small), &p, &slot,
					   &generation), IPM_RESULT_ERR_BAD_INIT);
	ipm_participants_leave(NULL);
	munmap(table, table_size);
}

static void test_slots(void)
{
	ipm_participants *p[3], *again;
	uint32_t slot[3], generation[3], s, g, i;

	make(3);
	for (i = 0; i < 3; i++)
		p[i] = join(&slot[i], &generation[i]);
	CHECK(slot[0] != slot[1] && slot[1] != slot[2] && slot[0] != slot[2]);
	CHECK_RESULT(ipm_participants_join(NULL, table, table_size, &again, &s, &g),
		     IPM_RESULT_ERR_LIMIT);
	for (i = 0; i < 3; i++) {
		CHECK(ipm_participants_alive(p[0], slot[i], generation[i]));
		CHECK(!ipm_participants_alive(p[0], slot[i], generation[i] + 1));
		CHECK(!ipm_participants_alive(p[0], slot[i], generation[i] - 1));
	}
	CHECK(!ipm_participants_alive(p[0], 3, 1));
	CHECK(!ipm_participants_alive(p[0], UINT32_MAX, 1));
	ipm_participants_leave(p[1]);
	CHECK(!ipm_participants_alive(p[0], slot[1], generation[1]));
	again = join(&s, &g);
	CHECK_INT(s, slot[1]);
	CHECK_INT(g, generation[1] + 1);
	CHECK(!ipm_participants_alive(p[0], slot[1], generation[1]));
	CHECK(ipm_participants_alive(p[0], s, g));
	ipm_participants_leave(again);
	ipm_participants_leave(p[0]);
	ipm_participants_leave(p[2]);
	munmap(table, table_size);
}

static void test_death(void)
{
	ipm_participants *p;
	uint32_t slot, generation;
	struct child a, b;
	siginfo_t info;

	make(2);
	p = join(&slot, &generation);
	a = start_child();
	CHECK(ipm_participants_alive(p, a.slot, a.generation));
	kill(a.pid, SIGSTOP);
	CHECK(ipm_participants_alive(p, a.slot, a.generation));
	kill(a.pid, SIGKILL);
	/* A zombie is dead too. */
	CHECK(!waitid(P_PID, (id_t)a.pid, &info, WEXITED | WNOWAIT));
	CHECK(!ipm_participants_alive(p, a.slot, a.generation));
	waitpid(a.pid, NULL, 0);
	CHECK(!ipm_participants_alive(p, a.slot, a.generation));
	/* Its slot is free, with the next generation. */
	b = start_child();
	CHECK_INT(b.slot, a.slot);
	CHECK_INT(b.generation, a.generation + 1);
	CHECK(!ipm_participants_alive(p, a.slot, a.generation));
	CHECK(ipm_participants_alive(p, b.slot, b.generation));
	kill(b.pid, SIGKILL);
	waitpid(b.pid, NULL, 0);
	ipm_participants_leave(p);
	munmap(table, table_size);
}

static void *sleep_forever(void *unused)
{
	(void)unused;
	pause();
	return NULL;
}

/* A process whose first thread has exited is a zombie in /proc, and alive. */
static void test_first_thread_gone(void)
{
	uint32_t slot, generation, numbers[2] = { 0 };
	ipm_participants *p;
	int fds[2], i;
	pid_t pid;

	make(2);
	p = join(&slot, &generation);
	CHECK(!pipe(fds));
	pid = fork();
	if (!pid) {
		ipm_participants *mine;
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ipm_participants_join(NULL, table, table_size, &mine, &numbers[0],
					  &numbers[1]) ||
		    pthread_create(&thread, NULL, sleep_forever, NULL) ||
		    write(fds[1], numbers, sizeof(numbers)) != sizeof(numbers))
			_exit(1);
		pthread_exit(NULL);
	}
	CHECK(read(fds[0], numbers, sizeof(numbers)) == sizeof(numbers));
	for (i = 0; i < 20; i++) {
		usleep(1000);
		CHECK(ipm_participants_alive(p, numbers[0], numbers[1]));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(!ipm_participants_alive(p, numbers[0], numbers[1]));
	close(fds[0]);
	close(fds[1]);
	ipm_participants_leave(p);
	munmap(table, table_size);
}

/* The pid lives, but it is another process by now: its start time differs. */
static void test_pid_reuse(void)
{
	ipm_participants *p;
	uint32_t slot, generation;
	struct child c;
	uint64_t *words, saved;

	make(2);
	p = join(&slot, &generation);
	c = start_child();
	words = (uint64_t *)table + 8 + 2 * c.slot;
	CHECK(ipm_participants_alive(p, c.slot, c.generation));
	/* The ten bits that stand beside the pid. */
	saved = words[0];
	words[0] ^= (uint64_t)1 << 25;
	CHECK(!ipm_participants_alive(p, c.slot, c.generation));
	words[0] = saved;
	CHECK(ipm_participants_alive(p, c.slot, c.generation));
	/* The rest, when those are the same by chance. */
	saved = words[1];
	words[1] ^= (uint64_t)1 << 40;
	CHECK(!ipm_participants_alive(p, c.slot, c.generation));
	/* Not stored yet, or of the owner before: the ten bits decide. */
	words[1] = 0;
	CHECK(ipm_participants_alive(p, c.slot, c.generation));
	words[1] = saved;
	CHECK(ipm_participants_alive(p, c.slot, c.generation));
	kill(c.pid, SIGKILL);
	waitpid(c.pid, NULL, 0);
	ipm_participants_leave(p);
	munmap(table, table_size);
}

static void *tell_tid(void *arg)
{
	int *fds = arg;
	pid_t tid = gettid();
	char byte;

	if (write(fds[1], &tid, sizeof(tid)) != sizeof(tid) || read(fds[2], &byte, 1))
		exit(1);
	return NULL;
}

/* The pid of a dead participant has become that of a thread of somebody else. */
static void test_pid_of_thread(void)
{
	uint32_t slot, generation;
	ipm_participants *p;
	uint64_t *word;
	int fds[4];
	pthread_t thread;
	pid_t tid;

	make(4);
	p = join(&slot, &generation);
	if (pipe(fds) || pipe(fds + 2) ||
	    pthread_create(&thread, NULL, tell_tid, fds) ||
	    read(fds[0], &tid, sizeof(tid)) != sizeof(tid))
		exit(1);
	/* The second slot's word: generation and pid, and the start time that a
	 * thread of this process has too, near enough. */
	word = (uint64_t *)((char *)table + 64) + 2 * (slot + 1);
	*word = (word[-2] & ~(uint64_t)0x3fffff) | (uint64_t)tid;
	CHECK(!ipm_participants_alive(p, slot + 1, (uint32_t)(*word >> 32)));
	*word = (word[-2] & ~(uint64_t)0x3fffff) | (uint64_t)getpid();
	CHECK(ipm_participants_alive(p, slot + 1, (uint32_t)(*word >> 32)));
	close(fds[3]);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	ipm_participants_leave(p);
	munmap(table, table_size);
}

int main(void)
{
	RUN(test_arguments);
	RUN(test_slots);
	RUN(test_death);
	RUN(test_first_thread_gone);
	RUN(test_pid_reuse);
	RUN(test_pid_of_thread);
	return tap_end();
}
