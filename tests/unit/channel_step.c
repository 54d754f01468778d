// SPDX-License-Identifier: GPL-2.0
/*
 * A writer is stepped through one write, instruction by instruction, and killed
 * after each in turn, while a reader sleeps. The reader gets the message or is told
 * of the death, and nothing keeps it asleep: not even a writer that has published
 * the message and was about to wake it. Likewise a reader and a writer that waits for
 * room.
 */
#include <sched.h>
#include <sys/ptrace.h>

#include "channel_tests.h"

/* More than a write can take; then the test says so. */
#define MOST_STEPS 20000

#define SIZE 24

/* 1 for every instruction; more, and by chance, where that takes too long. */
#ifndef STRIDE
#define STRIDE 1
#endif

static const struct variant *variant;

static unsigned int next_step(unsigned int steps)
{
	return STRIDE == 1 ? steps + 1 : steps + 1 + (unsigned int)random() % (2 * STRIDE - 1);
}

enum { GOT_IT, TOLD, WRONG };

/* Sleeps until it is woken, and says what came of it. */
static pid_t start_sleeper(struct fixture *f, uint32_t role)
{
	unsigned char bytes[SIZE];
	ipm_channel_attach_options o;
	ipm_result result;
	ipm_channel *c;
	size_t size = 0;
	pid_t pid = child();

	if (pid)
		return pid;
	o = attach_options(f, role);
	o.config = (ipm_channel_config){ .max_round_trips = IPM_CHANNEL_NO_POLLS,
					 .start_sleep_ns = 3000000, .max_sleep_ns = 3000000 };
	c = attach_with(f, &o);
	fill(bytes, SIZE, 7);
	if (role == IPM_RING_CONSUMER)
		result = ipm_channel_read_until(c, bytes, SIZE, &size, NULL, now() + 30000 * MS);
	else
		result = ipm_channel_write_until(c, bytes, SIZE, now() + 30000 * MS);
	if (!result && (role == IPM_RING_PRODUCER || (size == SIZE && filled(bytes, SIZE, 7))))
		_exit(GOT_IT);
	if (result == IPM_RESULT_ERR_PEER_DIED)
		_exit(TOLD);
	printf("# the one who waits: %s, %zu bytes\n", ipm_result_to_str(result), size);
	fflush(stdout);
	_exit(WRONG);
}

/* Makes one call between two stops. */
static pid_t start_victim(struct fixture *f, uint32_t role)
{
	unsigned char bytes[SIZE];
	ipm_channel *c;
	size_t size;
	pid_t pid = child();

	if (pid)
		return pid;
	c = attach(f, role);
	fill(bytes, SIZE, 7);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(99);
	raise(SIGSTOP);
	if (role == IPM_RING_PRODUCER)
		ipm_channel_write(c, bytes, SIZE);
	else
		ipm_channel_read(c, bytes, SIZE, &size, NULL);
	raise(SIGSTOP);
	_exit(98);
}

/* Kills it after @steps instructions; true if it had come to the end by then. */
static bool step_and_kill(pid_t pid, unsigned int steps, int *failed)
{
	bool ended = false;
	unsigned int i;
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		*failed = 1;
		return true;
	}
	for (i = 0; i < steps && !ended; i++) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
			*failed = 1;
			return true;
		}
		ended = WSTOPSIG(status) == SIGSTOP;
	}
	kill(pid, SIGKILL);
	if (reap(pid) != 128 + SIGKILL)
		*failed = 1;
	return ended;
}

static void kill_everywhere(uint32_t victim_role)
{
	uint32_t role = victim_role ^ (IPM_RING_PRODUCER | IPM_RING_CONSUMER);
	unsigned int steps, got = 0, told = 0;
	unsigned char bytes[SIZE];
	bool ended = false;
	int failed = 0;

	for (steps = 0; !ended && !failed && steps < MOST_STEPS; steps = next_step(steps)) {
		struct fixture f;
		pid_t sleeper, victim;
		int64_t end;
		int status;

		setup(&f, variant, 1024);
		if (role == IPM_RING_PRODUCER) {
			/* Full, so that there is something to wait for and to read. */
			ipm_channel *w = attach(&f, IPM_RING_PRODUCER);

			fill(bytes, SIZE, 7);
			while (!ipm_channel_write_try(w, bytes, SIZE))
				;
			ipm_channel_detach(w);
		}
		sleeper = start_sleeper(&f, role);
		victim = start_victim(&f, victim_role);
		end = now() + 20000 * MS;
		while (state_of(sleeper) != 'S' && now() < end)
			sched_yield();
		ended = step_and_kill(victim, steps, &failed);
		status = reap(sleeper);
		got += status == GOT_IT;
		told += status == TOLD;
		if (!CHECK(status == GOT_IT || status == TOLD)) {
			printf("# after %u instructions\n", steps);
			failed = 1;
		}
		teardown(&f);
	}
	CHECK(!failed && ended);
	CHECK(told > 0 && got > 0);
	printf("# %u instructions: %u times done, %u times told of the death\n", steps, got, told);
}

static void writer_is_killed(void)
{
	kill_everywhere(IPM_RING_PRODUCER);
}

static void reader_is_killed(void)
{
	kill_everywhere(IPM_RING_CONSUMER);
}

int main(int argc, char **argv)
{
	size_t v;

	(void)argv;
	(void)argc;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return tap_skip("a sanitizer's own instructions would take hours to step through");
#endif
	if (STRIDE > 1) {
		unsigned int seed = (unsigned int)time(NULL);

		if (argc > 1)
			seed = (unsigned int)strtoul(argv[1], NULL, 0);
		srandom(seed);
		printf("# seed %u\n", seed);
	}
	for (v = 0; v < VARIANTS; v++) {
		variant = &variants[v];
		printf("# %s\n", variant->name);
		RUN(writer_is_killed);
		RUN(reader_is_killed);
	}
	return tap_end();
}
