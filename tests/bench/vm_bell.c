// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to wake another process and be woken: doorbell bits beside eventfd, a
 * futex and a pipe. Two processes, in turn; each is asleep when it is woken.
 */
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "vm_bench.h"

#define WARM_UP 50
#define TURNS 1000

/* @wake and @wait: process @me wakes the other, and waits to be woken. */
struct bell {
	const char *name;
	enum report_role role;
	void (*wake)(struct bell *bell, int me);
	void (*wait)(struct bell *bell, int me);
	int in[2], out[2];	/* what process 0 and 1 wait on, and wake through */
	double best;
};

/* --- doorbells --- */

static void ipm_wake(struct bell *bell, int me)
{
	struct ipm_bell ring = { .bits = 1u << !me };

	must(ioctl(bell->in[me], IPM_IOC_RING, &ring));
}

static void ipm_wait(struct bell *bell, int me)
{
	struct ipm_event event;

	must(read(bell->in[me], &event, sizeof(event)));
	if (event.type != IPM_EVENT_BELL || event.cookie != 1u << me)
		bench_die("another event");
}

static int make_handle(int handle, int me)
{
	struct ipm_subscribe subscribe = { .bits = 1u << me };

	must(ioctl(handle, IPM_IOC_SUBSCRIBE, &subscribe));
	return handle;
}

/* --- eventfd and pipes --- */

static void event_wake(struct bell *bell, int me)
{
	const uint64_t one = 1;

	must(write(bell->out[me], &one, sizeof(one)));
}

static void event_wait(struct bell *bell, int me)
{
	uint64_t value;

	if (must(read(bell->in[me], &value, sizeof(value))) != sizeof(value) || value != 1)
		bench_die("another value");
}

/* --- futexes --- */

static uint32_t *words;	/* shared; one for each process */

static void futex_wake(struct bell *bell, int me)
{
	(void)bell;
	/* Pairs with the exchange in futex_wait(). */
	__atomic_store_n(&words[!me], 1, __ATOMIC_RELEASE);
	must(syscall(SYS_futex, &words[!me], FUTEX_WAKE, 1, NULL, NULL, 0));
}

static void futex_wait(struct bell *bell, int me)
{
	(void)bell;
	/* Pairs with the store in futex_wake(). */
	while (!__atomic_exchange_n(&words[me], 0, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &words[me], FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* --- the two processes --- */

static void bell_round(struct bell *bell)
{
	uint64_t begin, spent;
	int turn, status;
	pid_t pid;

	pid = must(fork());
	if (!pid) {
		for (turn = 0; turn < WARM_UP + TURNS; turn++) {
			bell->wait(bell, 1);
			bell->wake(bell, 1);
		}
		_exit(0);
	}
	begin = 0;
	for (turn = 0; turn < WARM_UP + TURNS; turn++) {
		if (turn == WARM_UP)
			begin = instructions();
		bell->wake(bell, 0);
		bell->wait(bell, 0);
	}
	spent = instructions() - begin;
	must(waitpid(pid, &status, 0));
	if (status)
		exit(2);
	bell->best = fmin(bell->best, (double)spent / TURNS);
}

int main(int argc, char **argv)
{
	struct bell bells[] = {
		{ .name = "doorbell: ring, read", .wake = ipm_wake, .wait = ipm_wait },
		{ .name = "eventfd: write, read", .role = REPORT_RIVAL, .wake = event_wake,
		  .wait = event_wait },
		{ .name = "futex: wake, wait", .role = REPORT_RIVAL, .wake = futex_wake,
		  .wait = futex_wait },
		{ .name = "pipe: write, read", .role = REPORT_RIVAL, .wake = event_wake,
		  .wait = event_wait },
	};
	const struct sched_param no = { 0 };
	unsigned int i, round;
	int ends[2];

	bench_begin(argc, argv);
	bells[0].in[0] = make_handle(create_segment(open_device(), 4096), 0);
	bells[0].in[1] = make_handle(reopen_segment(bells[0].in[0]), 1);
	for (i = 0; i < 2; i++) {
		bells[1].in[i] = must(eventfd(0, EFD_CLOEXEC));
		bells[1].out[!i] = bells[1].in[i];
		must(pipe(ends));
		bells[3].in[i] = ends[0];
		bells[3].out[!i] = ends[1];
	}
	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (words == MAP_FAILED)
		bench_die("mmap");

	section("wake the other process, be woken by it: a round trip");
	/* Who is woken waits until the waker sleeps. */
	must(sched_setscheduler(0, SCHED_BATCH, &no));
	for (i = 0; i < ARRAY_LENGTH(bells); i++)
		bells[i].best = INFINITY;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < ARRAY_LENGTH(bells); i++)
			bell_round(&bells[i]);
	}
	for (i = 0; i < ARRAY_LENGTH(bells); i++) {
		figure(bells[i].name, "instructions", bells[i].best, bells[i].best / bells[1].best);
		row(bells[i].name, bells[i].role, 0, NULL, bells[i].best);
	}
	aim("doorbell, of eventfd", bells[0].best / bells[1].best, 1);
	return bench_end();
}
