// SPDX-License-Identifier: GPL-2.0
/*
 * A thousand processes attach, claim, map and grow, and are killed at random
 * moments, twenty times over. Afterwards nothing is left: no segment, handle,
 * claim, mapping or byte of memory.
 *
 * The seed is printed; IPM_SEED=number repeats the random choices (not the
 * order in which the kernel runs the processes). IPM_ROUNDS=number chooses how
 * many rounds there are; without it there are twenty, or as many as fit into
 * the time, and the program says how many that were.
 *
 * vm: TIMEOUT=600
 */
#include "storm.h"

#define WAVES		5	/* in a round */
#define PROCESSES	200	/* in a wave, all at the same time */
#define ROUNDS		20
#define LEAST_ROUNDS	2
/* After which no other round begins; on a kernel that looks for mistakes. */
#define SECONDS		400
#define SECONDS_DEBUG	150

/* How often all of them did something, in shared memory. */
static uint64_t *operations;

static void live(int dev)
{
	struct victim v = { .dev = dev, .fds = { -1, -1, -1, -1 } };

	wrong_results_are_fatal = true;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, v.pair))
		_exit(1);
	/* Some have a child that shares all that they have. */
	if (random_below(16) == 0) {
		pid_t parent = getpid();

		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			random_state ^= 0x9e3779b97f4a7c15ULL;
			/* Its parent died before that was asked for. */
			if (getppid() != parent)
				_exit(0);
		}
	}
	for (;;) {
		do_something(&v);
		__atomic_fetch_add(operations, 1, __ATOMIC_RELAXED);
	}
}

/* --- the test --- */

FIXTURE(storm)
{
	struct counts before;
	int dev;
	int rounds;
};

FIXTURE_SETUP(storm)
{
	const char *seed = getenv("IPM_SEED"), *rounds = getenv("IPM_ROUNDS");

	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)now_ns(CLOCK_REALTIME) | 1;
	self->rounds = rounds ? atoi(rounds) : 0;
	note("IPM_SEED=%#llx", (unsigned long long)random_state);
}

FIXTURE_TEARDOWN(storm)
{
	close(self->dev);
}

/* Begins many processes, and kills them one after the other while they are busy. */
static void wave(struct __test_metadata *_metadata, int dev)
{
	uint64_t enough = __atomic_load_n(operations, __ATOMIC_RELAXED) + PROCESSES;
	pid_t pids[PROCESSES];
	int status;

	for (int i = 0; i < PROCESSES; i++) {
		uint64_t state = random_next() | 1;

		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i]) {
			random_state = state;
			live(dev);
		}
		/* Let those before get on. */
		if (random_below(16) == 0)
			nap();
	}
	for (uint32_t naps = random_below(20); naps; naps--)
		nap();
	/* Where all takes long, so does the first that they do. */
	for (int n = 0; n < 1000 && __atomic_load_n(operations, __ATOMIC_RELAXED) < enough; n++)
		nap();
	for (int n = PROCESSES; n; n--) {
		int i = random_below(n);
		pid_t pid = pids[i];

		ASSERT_EQ(0, kill(pid, SIGKILL));
		pids[i] = pids[n - 1];
		pids[n - 1] = pid;
		if (random_below(8) == 0)
			nap();
	}
	for (int i = 0; i < PROCESSES; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
			note("a process ended by itself: %#x", status);
		}
	}
	/* The children of the killed. */
	while (waitpid(-1, NULL, 0) > 0)
		;
}

TEST_F_TIMEOUT(storm, thousand_processes_killed_twenty_times, 540)
{
	const struct sched_param priority = { .sched_priority = 1 };
	long long memory = meminfo("Shmem");
	int64_t start = in_ms(0), seconds = SECONDS;
	int round;

	if (kernel_has("kasan_report") || kernel_has("__tsan_read8"))
		seconds = SECONDS_DEBUG;
	operations = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(operations);
	/* Whoever loses its parent comes to us, and is waited for. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	/* Those who are to be killed must not keep us from it. */
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority));
	for (round = 0; round < (self->rounds ?: ROUNDS); round++) {
		struct ipm_info info;

		if (!self->rounds && round >= LEAST_ROUNDS &&
		    in_ms(0) - start > seconds * 1000000000LL)
			break;
		for (int i = 0; i < WAVES; i++)
			wave(_metadata, self->dev);
		EXPECT_COUNTS_SOON(self->before);
		for (int i = 0; i < SEGMENTS; i++) {
			char name[32];

			snprintf(name, sizeof(name), "storm-%d", i);
			ASSERT_EQ(-ENOENT, call_info_by(self->dev, ref_name(name), &info));
			ASSERT_EQ(-ENOENT, call_info_by(self->dev, ref_key(1000 + i), &info));
		}
		ASSERT_GE(memory + SLACK, meminfo("Shmem"));
	}
	note("%d rounds with %d processes each, %llu operations, in %lld s", round,
	     WAVES * PROCESSES, (unsigned long long)*operations,
	     (long long)(in_ms(0) - start) / 1000000000);
	/* Most of them did something before they died. */
	ASSERT_LE((uint64_t)round * WAVES * PROCESSES, *operations);
	ASSERT_LE(self->rounds ?: LEAST_ROUNDS, round);
}

TEST_HARNESS_MAIN
