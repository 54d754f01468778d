// SPDX-License-Identifier: GPL-2.0
/*
 * Handles over sockets: what is sent, and whatever else may come.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY

static struct fake_context c;
static ipm_memory *m;

static void setup(void)
{
	fake_context_init(&c);
	CHECK_RESULT(ipm_memory_create(&c.ctx, 1000, "sent", RW, &m), IPM_RESULT_SUCCESS);
}

static void teardown(void)
{
	ipm_memory_close(m);
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

static void a_handle_arrives_with_claims_of_its_own(void)
{
	ipm_memory *got;
	ipm_id id, other;

	setup();
	CHECK_RESULT(ipm_memory_claim_region(m, RW, 0, 10, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_send(m, FAKE_SOCKET, RW), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_memory_ref_count(m), 2);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RW, &got), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_memory_ref_count(m), 2);
	CHECK(!strcmp(ipm_memory_get_info(got).name, "sent"));
	CHECK_RESULT(ipm_memory_claim_region_try(got, RW, 5, 1, &other),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	ipm_memory_close(got);
	CHECK_RESULT(ipm_memory_release_region(m, id), IPM_RESULT_SUCCESS);
	teardown();
}

static void read_only_stays_read_only(void)
{
	ipm_memory *got = NULL, *ro;

	setup();
	CHECK_RESULT(ipm_memory_send(m, FAKE_SOCKET, RO), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RW, &got), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK(!got);
	CHECK_INT(ipm_memory_ref_count(m), 1);
	CHECK_RESULT(ipm_memory_send(m, FAKE_SOCKET, RO), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &ro), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_send(ro, FAKE_SOCKET, RW), IPM_RESULT_ERR_BAD_ACCESS);
	ipm_memory_close(ro);
	teardown();
}

static void whatever_else_comes_is_refused_and_closed(void)
{
	static const unsigned char good = 0xE9, bad = 'x';
	static const unsigned char two[2] = { 0xE9, 0xE9 };
	ipm_memory *got = NULL;

	setup();
	fake_message(&good, 1, 0, 0);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_CORRUPTED);
	fake_message(&bad, 1, 1, 0);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_CORRUPTED);
	fake_message(two, 2, 1, MSG_TRUNC);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_CORRUPTED);
	fake_message(&good, 1, 0, MSG_CTRUNC);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_MAX_FDS);
	fake_message(&good, 0, 0, 0);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_CLOSED);
	/* File descriptors too many, and none of them a handle. */
	fake_message(&good, 1, 3, 0);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_INVALID_FD);
	CHECK(!got);
	CHECK_INT(c.reports, 6);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_INT(c.reports, 6);
	teardown();
}

static bool asked;

/* A file that claims to have opened standard input as a handle. */
static bool answer_with_stdin(int fd, unsigned long command, void *argument, int *ret)
{
	(void)fd;
	(void)argument;
	if (command != IPM_IOC_REOPEN)
		return false;
	asked = true;
	*ret = 0;
	return true;
}

static void a_file_that_makes_answers_up_is_not_asked(void)
{
	static const unsigned char good = 0xE9;
	ipm_memory *got = NULL;

	setup();
	fake_hook = answer_with_stdin;
	fake_message(&good, 1, 1, 0);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), IPM_RESULT_ERR_INVALID_FD);
	CHECK(!got && !asked);
	fake_hook = NULL;
	teardown();
}

static size_t header_length, control_length;

static void odd_control(enum fake_call call, void *given, size_t size, long *ret)
{
	struct cmsghdr header = {
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = header_length,
	};
	struct msghdr *message = given;

	(void)size;
	(void)ret;
	if (call != FAKE_RECVMSG)
		return;
	memcpy(message->msg_control, &header, sizeof(header));
	message->msg_controllen = control_length;
}

/* No file descriptor is taken from where none can be. */
static void lengths_that_cannot_be(void)
{
	static const size_t lengths[] = {
		0, 1, CMSG_LEN(0) - 1, CMSG_LEN(0), CMSG_LEN(sizeof(int)) - 1, 10000, SIZE_MAX,
	};
	static const unsigned char good = 0xE9;
	ipm_memory *got = NULL;

	setup();
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (int large = 0; large < 2; large++) {
			header_length = lengths[i];
			control_length = large ? 10000 : sizeof(struct cmsghdr);
			fake_message(&good, 1, 0, 0);
			fake_after = odd_control;
			CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got),
				     IPM_RESULT_ERR_CORRUPTED);
			fake_after = NULL;
		}
	}
	CHECK(!got);
	teardown();
}

static void sockets_fail(void)
{
	static const struct {
		int err;
		ipm_result result;
	} cases[] = {
		{ EPIPE, IPM_RESULT_ERR_CLOSED },
		{ ECONNRESET, IPM_RESULT_ERR_CLOSED },
		{ ECONNREFUSED, IPM_RESULT_ERR_CLOSED },
		{ ENOTSOCK, IPM_RESULT_ERR_INVALID_FD },
		{ ENOTCONN, IPM_RESULT_ERR_INVALID_FD },
		{ EBADF, IPM_RESULT_ERR_INVALID_FD },
		{ EDESTADDRREQ, IPM_RESULT_ERR_INVALID_FD },
		{ EOPNOTSUPP, IPM_RESULT_ERR_INVALID_FD },
		{ EINVAL, IPM_RESULT_ERR_INVALID_FD },
		{ ETOOMANYREFS, IPM_RESULT_ERR_LIMIT },
		{ ENOBUFS, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ EAGAIN, IPM_RESULT_ERR_WOULD_BLOCK },
		{ EINTR, IPM_RESULT_INTERRUPTED },
		{ EIO, IPM_RESULT_ERR_OS_UNEXPECTED },
	};
	ipm_memory *got = NULL;
	size_t i;

	setup();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_fail(FAKE_SENDMSG, 1, cases[i].err);
		CHECK_RESULT(ipm_memory_send(m, FAKE_SOCKET, RO), cases[i].result);
		fake_fail(FAKE_RECVMSG, 1, cases[i].err);
		CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &got), cases[i].result);
	}
	CHECK_RESULT(ipm_memory_send(m, -1, RO), IPM_RESULT_ERR_INVALID_FD);
	CHECK_INT(ipm_memory_ref_count(m), 1);

	CHECK_RESULT(ipm_memory_send(m, FAKE_SOCKET, (ipm_access_mode)5), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_send(NULL, FAKE_SOCKET, RO), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, (ipm_access_mode)5, &got),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, NULL), IPM_RESULT_ERR_BAD_VALUE);
	fake_fail_ioctl(IPM_IOC_REOPEN, ENOSPC);
	CHECK_RESULT(ipm_memory_send(m, FAKE_SOCKET, RO), IPM_RESULT_ERR_LIMIT);
	teardown();
}

int main(void)
{
	RUN(a_handle_arrives_with_claims_of_its_own);
	RUN(read_only_stays_read_only);
	RUN(whatever_else_comes_is_refused_and_closed);
	RUN(a_file_that_makes_answers_up_is_not_asked);
	RUN(lengths_that_cannot_be);
	RUN(sockets_fail);
	return tap_end();
}
