// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The system calls of who waits.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "wait.h"

int wait_sys_sleep(uint32_t *word, uint32_t value, int64_t ns)
{
	struct timespec time = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};
	int saved = errno, ret = 0;

	if (syscall(SYS_futex, word, FUTEX_WAIT, value, &time, NULL, 0) < 0)
		ret = -errno;
	errno = saved;
	return ret;
}

int wait_sys_wake(uint32_t *word, int count)
{
	int saved = errno;
	long ret = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);

	errno = saved;
	return ret < 0 ? 0 : (int)ret;
}

void wait_sys_block(sigset_t *old)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t set;
	size_t i;

	sigfillset(&set);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&set, own[i]);
	pthread_sigmask(SIG_BLOCK, &set, old);
}

void wait_sys_unblock(const sigset_t *old)
{
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

bool wait_sys_signalled(const sigset_t *old)
{
	struct sigaction action;
	bool others = false;
	sigset_t pending;
	int i;

	if (sigpending(&pending))
		return false;
	for (i = 1; i < NSIG; i++) {
		if (sigismember(&pending, i) != 1 || sigismember(old, i) == 1)
			continue;
		if (sigaction(i, NULL, &action))
			continue;
		if (action.sa_flags & SA_SIGINFO ||
		    (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN))
			return true;
		others = true;
	}
	if (others) {
		sigset_t now;

		wait_sys_unblock(old);
		wait_sys_block(&now);
	}
	return false;
}

static bool membarrier(int command)
{
	int saved = errno;
	bool good = syscall(SYS_membarrier, command, 0, 0) == 0;

	errno = saved;
	return good;
}

bool wait_sys_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

bool wait_sys_barrier(void)
{
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
