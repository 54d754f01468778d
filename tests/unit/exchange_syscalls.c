// SPDX-License-Identifier: GPL-2.0
/*
 * An exchange on which nobody sleeps makes no system call: the processes that use it
 * are killed by a filter if they make one.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "exchange_tests.h"

#define COUNT 100000
#define WINDOW (4 * KIB)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

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

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

/* Polls for ever, and asks nobody who is alive: that may take a system call. */
static ipm_exchange *enter_polling(struct place *p, uint32_t roles)
{
	ipm_exchange_attach_options o = exchange_options(p, roles);

	o.config.max_round_trips = UINT32_MAX - 1;
	o.liveness.alive = NULL;
	return enter_with(p, &o);
}

/* Small ones, and now and then one that goes through the window in pieces. */
static size_t size_of(uint32_t n)
{
	return n % 100 ? 8 : 3 * WINDOW;
}

static void one_process(void)
{
	static char bytes[WINDOW];
	struct place p;
	size_t size;
	pid_t pid;
	int n;

	make_place(&p, WINDOW, 0);
	pid = child();
	if (!pid) {
		ipm_exchange *c = enter(&p, PUBLISHER), *s = enter(&p, CONSUMER);

		forbid_system_calls();
		for (n = 0; n < COUNT; n++)
			if (ipm_exchange_publish(c, bytes, (size_t)n % WINDOW) ||
			    ipm_exchange_consume(s, bytes, WINDOW, &size, NULL) ||
			    size != (size_t)n % WINDOW ||
			    ipm_exchange_ask(c, bytes, 9, IPM_DEADLINE_NONE) ||
			    ipm_exchange_consume(s, bytes, WINDOW, &size, NULL) || size != 9 ||
			    ipm_exchange_reply(s, bytes, 8, IPM_DEADLINE_NONE) ||
			    ipm_exchange_take_reply(c, bytes, WINDOW, &size, IPM_DEADLINE_NONE) ||
			    size != 8)
				_exit(1);
		_exit(0);
	}
	CHECK_INT(reap(pid), 0);
	unmake_place(&p);
}

static void two_processes(void)
{
	static char bytes[3 * WINDOW];
	struct place p;
	pid_t client, server;
	uint32_t n;
	size_t size;

	make_place(&p, WINDOW, 0);
	server = child();
	if (!server) {
		ipm_exchange *s = enter_polling(&p, CONSUMER);

		forbid_system_calls();
		for (n = 0; n < COUNT / 100; n++)
			if (ipm_exchange_consume(s, bytes, sizeof(bytes), &size, NULL) ||
			    ipm_exchange_reply(s, bytes, size, IPM_DEADLINE_NONE))
				_exit(1);
		_exit(0);
	}
	client = child();
	if (!client) {
		ipm_exchange *c = enter_polling(&p, PUBLISHER);

		forbid_system_calls();
		for (n = 0; n < COUNT / 100; n++)
			if (ipm_exchange_request(c, bytes, size_of(n), bytes, sizeof(bytes), &size,
						 IPM_DEADLINE_NONE) || size != size_of(n))
				_exit(1);
		_exit(0);
	}
	CHECK_INT(reap(client), 0);
	CHECK_INT(reap(server), 0);
	unmake_place(&p);
}

/* The filter works: a wake-up is a system call, and kills. */
static void a_wake_up_is_noticed(void)
{
	ipm_exchange_attach_options o;
	ipm_exchange *s;
	struct place p;
	uint64_t got;
	size_t size;
	pid_t pid;

	make_place(&p, WINDOW, 0);
	o = exchange_options(&p, CONSUMER);
	o.config.max_round_trips = IPM_CHANNEL_NO_POLLS;
	s = enter_with(&p, &o);
	pid = child();
	if (!pid) {
		ipm_exchange *c = enter_polling(&p, PUBLISHER);

		forbid_system_calls();
		/* Sooner or later the consumer sleeps when an item comes. */
		for (;;)
			ipm_exchange_publish(c, &got, sizeof(got));
	}
	while (ipm_exchange_consume_until(s, &got, sizeof(got), &size, NULL, now() + 10000 * MS) !=
	       IPM_RESULT_ERR_PEER_DIED)
		;
	CHECK_INT(reap(pid), 128 + SIGSYS);
	ipm_exchange_detach(s);
	unmake_place(&p);
}

int main(void)
{
	if (SANITIZED)
		return tap_skip("a sanitizer makes system calls of its own");
	RUN(one_process);
	RUN(two_processes);
	RUN(a_wake_up_is_noticed);
	return tap_end();
}
