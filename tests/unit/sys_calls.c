// SPDX-License-Identifier: GPL-2.0
/*
 * The system calls that the library makes, on the real kernel, as far as that needs
 * no module: errors, signals in the middle, and an errno that stays as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipm/ipm.h>

#include "../../lib/channel.h"
#include "../../lib/sys.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

/* A signal again and again, until it is switched off: one comes during the call. */
static void signal_often(bool on)
{
	const struct sigaction action = { .sa_handler = count_signal };
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, on ? &often : &never, NULL);
}

static void files(void)
{
	int fd, pipes[2], epoll = epoll_create1(EPOLL_CLOEXEC);
	char byte;

	errno = 4711;
	CHECK_INT(ipm_sys_open("/no/such/file", O_RDONLY), -ENOENT);
	fd = ipm_sys_open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(ipm_sys_ioctl(fd, 0xE900, &byte), -ENOTTY);
	CHECK_INT(ipm_sys_dup3(fd, fd, O_CLOEXEC), -EINVAL);
	CHECK_INT(ipm_sys_dup3(-1, fd, O_CLOEXEC), -EBADF);
	CHECK_INT(ipm_sys_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
	CHECK_INT(ipm_sys_fcntl(-1, F_GETFD, 0), -EBADF);
	CHECK(!ipm_sys_is_anonymous(fd));
	CHECK(!ipm_sys_is_anonymous(-1));
	CHECK(ipm_sys_is_anonymous(epoll));
	CHECK_INT(ipm_sys_read(fd, &byte, 1), 0);
	CHECK_INT(ipm_sys_read(-1, &byte, 1), -EBADF);
	ipm_sys_close(fd);
	CHECK_INT(ipm_sys_fcntl(fd, F_GETFD, 0), -EBADF);
	ipm_sys_close(fd);
	CHECK_INT(errno, 4711);
	CHECK_INT(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	CHECK_INT(ipm_sys_read(pipes[0], &byte, 1), -EAGAIN);
	close(pipes[0]);
	close(pipes[1]);
	close(epoll);
}

static void maps(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("sys_calls", MFD_CLOEXEC);
	void *first = NULL, *second = NULL, *none = (void *)1;

	CHECK_INT(ftruncate(fd, (off_t)(2 * page)), 0);
	errno = 4711;
	CHECK_INT(ipm_sys_mmap(&first, NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), 0);
	CHECK_INT(ipm_sys_mmap(&second, NULL, page, PROT_READ, MAP_SHARED, fd, page), 0);
	CHECK_INT(ipm_sys_mmap(&none, NULL, page, PROT_READ, MAP_SHARED, -1, 0), -EBADF);
	CHECK_INT(ipm_sys_mmap(&none, NULL, SIZE_MAX, PROT_READ, MAP_SHARED, fd, 0), -ENOMEM);
	CHECK_INT(ipm_sys_mmap(&none, NULL, page, PROT_READ, MAP_SHARED, fd, 1), -EINVAL);
	CHECK(none == (void *)1);
	memset(first, 7, page);
	CHECK_INT(ipm_sys_move_map(first, page, second), 0);
	CHECK_INT(*(char *)second, 7);
	CHECK_INT(ipm_sys_move_map((char *)second + 1, page, first), -EINVAL);
	ipm_sys_munmap(second, page);
	CHECK_INT(errno, 4711);
	close(fd);
}

static void waiting(void)
{
	int pipes[2], pair[2];
	char byte = 1;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	errno = 4711;
	CHECK_INT(ipm_sys_wait_readable(pipes[0], 0), 0);
	CHECK_INT(ipm_sys_wait_readable(pipes[0], 1000000), 0);
	signals = 0;
	signal_often(true);
	CHECK_INT(ipm_sys_wait_readable(pipes[0], -1), -EINTR);
	CHECK_INT(ipm_sys_read(pipes[0], &byte, 1), -EINTR);
	CHECK_INT(ipm_sys_recvmsg(pair[0], &message, 0), -EINTR);
	signal_often(false);
	CHECK(signals >= 3);
	CHECK_INT(ipm_sys_recvmsg(pair[0], &message, MSG_DONTWAIT), -EAGAIN);
	CHECK_INT(ipm_sys_sendmsg(pair[0], &message, 0), 1);
	CHECK_INT(ipm_sys_recvmsg(pair[1], &message, 0), 1);
	close(pair[1]);
	CHECK_INT(ipm_sys_sendmsg(pair[0], &message, MSG_NOSIGNAL), -EPIPE);
	CHECK_INT(errno, 4711);
	CHECK_INT(write(pipes[1], &byte, 1), 1);
	CHECK_INT(ipm_sys_wait_readable(pipes[0], -1), 1);
	CHECK(ipm_sys_now() <= ipm_sys_now());
	close(pair[0]);
	close(pipes[0]);
	close(pipes[1]);
}

static uint32_t word;

static void *sleeper(void *data)
{
	*(int *)data = wait_sys_sleep(&word, 0, 60000000000);
	return NULL;
}

static void futexes(void)
{
	pthread_t thread;
	int result = 1;

	errno = 4711;
	CHECK_INT(wait_sys_sleep(&word, 1, 60000000000), -EAGAIN);
	CHECK_INT(wait_sys_sleep(&word, 0, 1000000), -ETIMEDOUT);
	signal_often(true);
	CHECK_INT(wait_sys_sleep(&word, 0, 60000000000), -EINTR);
	signal_often(false);
	CHECK_INT(wait_sys_wake(&word, 1), 0);
	CHECK_INT(wait_sys_wake((uint32_t *)1, 1), 0);
	pthread_create(&thread, NULL, sleeper, &result);
	while (!wait_sys_wake(&word, 1))
		sched_yield();
	pthread_join(thread, NULL);
	CHECK_INT(result, 0);
	CHECK_INT(errno, 4711);
}

/* A sleep bit that is taken back, since nobody sleeps, leaves another number behind. */
static void bit_without_sleepers(void)
{
	struct wait_counts counts = { 0 };
	uint32_t at = WORD_SLEEPS, decided = WORD_SLEEPS + WORD_STEP;

	CHECK(!wait_wake_one(&at, &counts));
	CHECK_INT(counts.wakes, 1);
	CHECK(!(at & WORD_SLEEPS));
	/* Who decided to sleep before does not, whoever sets the bit now. */
	CHECK((at | WORD_SLEEPS) != decided);
	CHECK_INT(wait_sys_sleep(&at, decided, 60000000000), -EAGAIN);
	/* With nobody announced it is a step, and no call. */
	at = WORD_ARMED;
	CHECK(wait_wake_one(&at, &counts));
	CHECK_INT(counts.wakes, 1);
	CHECK_INT(at, WORD_STEP);
}

/* What is kept away while a channel is about to sleep, and what of it ends the wait. */
static void kept_away(void)
{
	const struct sigaction action = { .sa_handler = count_signal };
	sigset_t old, before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGUSR2, SIG_IGN);
	signals = 0;
	wait_sys_block(&old);
	CHECK(!wait_sys_signalled(&old));
	raise(SIGUSR2);
	CHECK(!wait_sys_signalled(&old));
	/* One that nobody handles, and that does nothing, is let through. */
	signal(SIGWINCH, SIG_DFL);
	raise(SIGWINCH);
	CHECK(!wait_sys_signalled(&old));
	raise(SIGUSR1);
	CHECK_INT(signals, 0);
	CHECK(wait_sys_signalled(&old));
	wait_sys_unblock(&old);
	CHECK_INT(signals, 1);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < NSIG; i++)
		CHECK(sigismember(&before, i) == sigismember(&after, i));

	/* One that the caller has blocked is the caller's. */
	sigaddset(&before, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	wait_sys_block(&old);
	raise(SIGUSR1);
	CHECK(!wait_sys_signalled(&old));
	wait_sys_unblock(&old);
	CHECK_INT(signals, 1);
	sigdelset(&before, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	CHECK_INT(signals, 2);
}

static void barriers(void)
{
	/* Both or none, as the kernel has it. */
	errno = 4711;
	if (wait_sys_register())
		CHECK(wait_sys_barrier());
	CHECK_INT(errno, 4711);
}

/* From here on a system call fails if its argument @index is this. */
static void fail_when(int number, int index, uint32_t value, int err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)index)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

static int count_maps(const char *name)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (file && fgets(line, sizeof(line), file))
		n += !!strstr(line, name);
	if (file)
		fclose(file);
	return n;
}

/* The second mapping of a doubled ring cannot be had: the first is taken back. */
static void second_mapping_fails(void)
{
	static const struct {
		int err;
		ipm_result result;
	} cases[] = {
		{ ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ EACCES, IPM_RESULT_ERR_ACCESS },
		{ EPERM, IPM_RESULT_ERR_ACCESS },
		{ EINVAL, IPM_RESULT_ERR_BAD_VALUE },
		{ EOVERFLOW, IPM_RESULT_ERR_BAD_VALUE },
		{ ENODEV, IPM_RESULT_ERR_BAD_FS },
		{ EBADF, IPM_RESULT_ERR_INVALID_FD },
		{ EIO, IPM_RESULT_ERR_OS_UNEXPECTED },
	};
	ipm_channel_options co = {
		.struct_size = sizeof(co), .participants = 2,
		.ring = { .struct_size = sizeof(co.ring), .kind = IPM_RING_KIND_SPSC,
			  .flags = IPM_RING_DOUBLED },
	};
	int ring_fd = memfd_create("doubled-ring", MFD_CLOEXEC);
	int channel_fd = memfd_create("doubled-channel", MFD_CLOEXEC);
	ipm_channel_mapping cm = { 0 };
	ipm_ring_mapping rm = { 0 };
	size_t ring_size, channel_size;

	CHECK_RESULT(ipm_ring_footprint(&co.ring, 4096, &ring_size), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_channel_footprint(&co, 4096, &channel_size), IPM_RESULT_SUCCESS);
	CHECK(!ftruncate(ring_fd, (off_t)ring_size) && !ftruncate(channel_fd, (off_t)channel_size));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = -1;
		pid_t child = fork();

		if (!child) {
			fail_when(SYS_mmap, 3, MAP_SHARED | MAP_FIXED, cases[i].err);
			CHECK_RESULT(ipm_ring_map(ring_fd, 0, ring_size, &co.ring, RW, &rm),
				     cases[i].result);
			CHECK_RESULT(ipm_channel_map(channel_fd, 0, channel_size, &co, RW, &cm),
				     cases[i].result);
			CHECK(!rm.memory && !cm.memory && !count_maps("doubled"));
			exit(tap.failing);
		}
		waitpid(child, &status, 0);
		CHECK_INT(status, 0);
	}
	/* And the first. */
	CHECK_RESULT(ipm_channel_map(-1, 0, channel_size, &co, RW, &cm), IPM_RESULT_ERR_INVALID_FD);
	CHECK_RESULT(ipm_channel_map(channel_fd, 0, SIZE_MAX, &co, RW, &cm),
		     IPM_RESULT_ERR_TOO_SMALL);
	CHECK_RESULT(ipm_ring_map(ring_fd, 0, SIZE_MAX / 2, NULL, RO, &rm),
		     IPM_RESULT_ERR_BAD_INIT);
	CHECK(!rm.memory && !cm.memory && !count_maps("doubled"));
	CHECK_RESULT(ipm_channel_map(channel_fd, 0, channel_size, &co, RW, &cm), IPM_RESULT_SUCCESS);
	ipm_channel_unmap(&cm);
	ipm_channel_unmap(&cm);
	ipm_channel_unmap(NULL);
	CHECK(!count_maps("doubled"));
	close(ring_fd);
	close(channel_fd);
}

int main(void)
{
	RUN(files);
	RUN(maps);
	RUN(waiting);
	RUN(futexes);
	RUN(bit_without_sleepers);
	RUN(kept_away);
	RUN(barriers);
	RUN(second_mapping_fails);
	return tap_end();
}
