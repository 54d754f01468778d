// SPDX-License-Identifier: GPL-2.0
/*
 * A channel on which nobody sleeps makes no system call: the processes that use it
 * are killed by a filter if they make one.
 *
 *	channel_syscalls [messages]	with a number: so many messages on each
 *					channel, no filter, but a getppid() before
 *					and after. For "make check-channel-strace",
 *					which counts what is between them
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "channel_tests.h"

#define COUNT 200000

static uint64_t count = COUNT;
static bool filtered = true;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const struct variant *variant;

/* From here on this process may do nothing but end. */
static void forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (!filtered) {
		syscall(SYS_getppid);
		return;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

static void allow_system_calls(void)
{
	if (!filtered)
		syscall(SYS_getppid);
}

/* Polls for ever, and asks nobody who is alive: that may take a system call. */
static ipm_channel *attach_polling(struct fixture *f, uint32_t roles)
{
	ipm_channel_attach_options o = attach_options(f, roles);

	o.config.max_round_trips = UINT32_MAX - 1;
	o.liveness.alive = NULL;
	return attach_with(f, &o);
}

static void one_process(void)
{
	struct fixture f;
	uint64_t n, got;
	size_t size;
	pid_t pid;

	setup(&f, variant, 4096);
	pid = child();
	if (!pid) {
		ipm_channel *w = attach(&f, IPM_RING_PRODUCER);
		ipm_channel *r = attach(&f, IPM_RING_CONSUMER);

		forbid_system_calls();
		for (n = 0; n < count; n++)
			if (ipm_channel_write(w, &n, sizeof(n)) ||
			    ipm_channel_read(r, &got, sizeof(got), &size, NULL) || got != n)
				_exit(1);
		allow_system_calls();
		_exit(0);
	}
	CHECK_INT(reap(pid), 0);
	teardown(&f);
}

static void two_processes(void)
{
	struct fixture f;
	pid_t writer, reader;
	uint64_t n, got;
	size_t size;

	setup(&f, variant, 4096);
	reader = child();
	if (!reader) {
		ipm_channel *r = attach_polling(&f, IPM_RING_CONSUMER);

		forbid_system_calls();
		for (n = 0; n < count; n++)
			if (ipm_channel_read(r, &got, sizeof(got), &size, NULL) || got != n)
				_exit(1);
		allow_system_calls();
		_exit(0);
	}
	writer = child();
	if (!writer) {
		ipm_channel *w = attach_polling(&f, IPM_RING_PRODUCER);

		forbid_system_calls();
		for (n = 0; n < count; n++)
			if (ipm_channel_write(w, &n, sizeof(n)))
				_exit(1);
		allow_system_calls();
		_exit(0);
	}
	CHECK_INT(reap(writer), 0);
	CHECK_INT(reap(reader), 0);
	teardown(&f);
}

/* The filter works: a wake-up is a system call, and kills. */
static void a_wake_up_is_noticed(void)
{
	struct fixture f;
	ipm_channel *r;
	uint64_t got;
	size_t size;
	pid_t pid;

	setup(&f, variant, 4096);
	r = attach(&f, IPM_RING_CONSUMER);
	pid = child();
	if (!pid) {
		ipm_channel *w = attach(&f, IPM_RING_PRODUCER);
		int64_t end;

		forbid_system_calls();
		/* Until the reader sleeps; the clock may be a system call, too. */
		for (end = 0; end < 100000000; end++)
			__asm__ __volatile__("" ::: "memory");
		ipm_channel_write(w, &got, sizeof(got));
		for (;;)
			ipm_channel_write(w, &got, sizeof(got));
	}
	ipm_channel_read_until(r, &got, sizeof(got), &size, NULL, now() + 10000 * MS);
	while (ipm_channel_read_until(r, &got, sizeof(got), &size, NULL, now() + 10000 * MS) !=
	       IPM_RESULT_ERR_PEER_DIED)
		;
	CHECK_INT(reap(pid), 128 + SIGSYS);
	ipm_channel_detach(r);
	teardown(&f);
}

int main(int argc, char **argv)
{
	size_t v;

	if (SANITIZED)
		return tap_skip("a sanitizer makes system calls of its own");
	if (argc > 1) {
		count = strtoull(argv[1], NULL, 0);
		filtered = false;
	}
	for (v = 0; v < VARIANTS; v++) {
		variant = &variants[v];
		printf("# %s\n", variant->name);
		RUN(one_process);
		RUN(two_processes);
		if (filtered)
			RUN(a_wake_up_is_noticed);
	}
	return tap_end();
}
