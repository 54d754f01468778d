// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Handing handles to other processes over UNIX sockets.
 *
 * Claims belong to the open file, so a file descriptor that is simply passed on
 * would share its sender's claims. What is sent is a new open file, and what is
 * received is opened anew once more, since the sender may have kept a copy.
 */
#include <errno.h>
#include <string.h>

#include "memory.h"

/* The byte that goes with a handle, for sockets that carry other things too. */
#define MESSAGE_BYTE 0xE9

/* Room for more than is sent: file descriptors too many are closed, not lost. */
#define MESSAGE_FDS 16

static ipm_result socket_result(int err)
{
	switch (err) {
	case EPIPE:
	case ECONNRESET:
	case ECONNREFUSED:
		return IPM_RESULT_ERR_CLOSED;
	case ENOTSOCK:
	case ENOTCONN:
	case EDESTADDRREQ:
	case EOPNOTSUPP:
	case EINVAL:
		return IPM_RESULT_ERR_INVALID_FD;
	case ETOOMANYREFS:
		return IPM_RESULT_ERR_LIMIT;
	case ENOBUFS:
		return IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
	default:
		return ipm_result_of_errno(err);
	}
}

ipm_result ipm_memory_send(const ipm_memory *memory, int socket, ipm_access_mode access)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	unsigned char byte = MESSAGE_BYTE;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct ipm_open open = { .access = access };
	ipm_result result;
	ssize_t sent;
	int fd;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!access_is_valid(access))
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "access %d", (int)access);
	fd = ipm_sys_ioctl(memory->fd, IPM_IOC_REOPEN, &open);
	if (fd < 0) {
		result = fd == -EACCES ? IPM_RESULT_ERR_BAD_ACCESS : ipm_find_result(-fd);
		return ipm_fail_errno(&memory->ctx, result, -fd, "cannot pass on segment %u",
				      memory->id);
	}
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	sent = ipm_sys_sendmsg(socket, &message, MSG_NOSIGNAL);
	ipm_sys_close(fd);
	if (sent < 0)
		return ipm_fail_errno(&memory->ctx, socket_result((int)-sent), (int)-sent,
				      "cannot pass on segment %u", memory->id);
	return IPM_RESULT_SUCCESS;
}

/* The first file descriptor of a message, -1 if there is none; closes others. */
static int take_fd(struct msghdr *message, size_t room)
{
	const char *end = (const char *)message->msg_control + room;
	struct cmsghdr *header;
	size_t count, i;
	int first = -1;
	int fd;

	if (message->msg_controllen > room)
		return -1;
	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_len < CMSG_LEN(0) ||
		    header->cmsg_len > (size_t)(end - (const char *)header))
			break;
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
		for (i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				ipm_sys_close(fd);
		}
	}
	return first;
}

/* A file descriptor out of @socket, in @p_fd. */
static ipm_result receive_fd(const ipm_context *ctx, int socket, int *p_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
	} control = { 0 };
	unsigned char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = ipm_sys_recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	int fd;

	if (got < 0)
		return ipm_fail_errno(ctx, socket_result((int)-got), (int)-got,
				      "cannot receive a handle");
	fd = take_fd(&message, sizeof(control));
	if (got == 1 && byte == MESSAGE_BYTE && fd >= 0 && !(message.msg_flags & MSG_TRUNC)) {
		*p_fd = fd;
		return IPM_RESULT_SUCCESS;
	}
	if (fd >= 0)
		ipm_sys_close(fd);
	if (got == 0)
		return ipm_fail(ctx, IPM_RESULT_ERR_CLOSED, "cannot receive a handle");
	/* The kernel throws file descriptors away that it has no number for. */
	if (got == 1 && byte == MESSAGE_BYTE && message.msg_flags & MSG_CTRUNC)
		return ipm_fail(ctx, IPM_RESULT_ERR_MAX_FDS, "a handle was lost");
	return ipm_fail(ctx, IPM_RESULT_ERR_CORRUPTED, "what was received is no handle");
}

ipm_result ipm_memory_receive(const ipm_context *context, int socket, ipm_access_mode access,
			      ipm_memory **p_memory)
{
	ipm_context ctx;
	ipm_result result;
	int fd = -1;

	if (!ipm_context_copy(&ctx, context) || !p_memory || !access_is_valid(access))
		return ipm_fail(&ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot receive a handle");
	result = receive_fd(&ctx, socket, &fd);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	result = ipm_memory_from_fd(&ctx, fd, access, p_memory);
	ipm_sys_close(fd);
	return result;
}
