// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Opening and closing a monitor, and what goes over its sockets.
 *
 * libnl makes the sockets and the messages; reading is done here, so that
 * nothing is printed, no callback of libnl is involved, and an overrun is
 * seen as what it is.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>

#include <netlink/errno.h>
#include <netlink/genl/genl.h>

#include "monitor.h"

/* Bytes of the queue of events that are asked for. */
#define EVENT_QUEUE (4 << 20)

/* An error of libnl as an errno; those that have none are a surprise. */
static int errno_of_nl(int error)
{
	switch (error < 0 ? -error : error) {
	case NLE_SUCCESS:
		return 0;
	case NLE_NOMEM:
		return ENOMEM;
	case NLE_OBJ_NOTFOUND:
	case NLE_PROTO_MISMATCH:
		return ENOENT;
	case NLE_INTR:
		return EINTR;
	case NLE_PERM:
		return EPERM;
	case NLE_NOACCESS:
		return EACCES;
	default:
		return EPROTO;
	}
}

/* Sends a complete request and frees it; the number of it in @seq. */
static int send_request(struct nl_sock *socket, struct nl_msg *message, uint32_t *seq)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int ret;

	nl_complete_msg(socket, message);
	/* An answer is enough; what follows it would wake who waits for events. */
	nlmsg_hdr(message)->nlmsg_flags &= ~NLM_F_ACK;
	if (seq)
		*seq = nlmsg_hdr(message)->nlmsg_seq;
	do {
		ret = sendto(nl_socket_get_fd(socket), nlmsg_hdr(message),
			     nlmsg_hdr(message)->nlmsg_len, MSG_NOSIGNAL,
			     (struct sockaddr *)&kernel, sizeof(kernel)) < 0 ? -errno : 0;
	} while (ret == -EINTR);
	nlmsg_free(message);
	return ret;
}

int monitor_request(ipm_monitor *monitor, struct nl_sock *socket, uint8_t command, int flags,
		    uint32_t segment, const uint32_t *groups, uint32_t *seq)
{
	struct nl_msg *message = nlmsg_alloc();

	if (!message)
		return -ENOMEM;
	if (!genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, monitor->family, 0,
			 NLM_F_REQUEST | flags, command, IPM_NL_VERSION) ||
	    (segment && nla_put_u32(message, IPM_NL_A_SEGMENT, segment)) ||
	    (groups && nla_put_u32(message, IPM_NL_A_GROUPS, *groups))) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	return send_request(socket, message, seq);
}

ssize_t monitor_read(struct nl_sock *socket, void *buffer, int flags)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = buffer, .iov_len = MONITOR_BUFFER };
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t size;

	/* What other processes send is not for us. */
	do {
		size = recvmsg(nl_socket_get_fd(socket), &message, flags);
		if (size < 0)
			return -errno;
		if (message.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
	} while (message.msg_namelen != sizeof(from) || from.nl_pid != 0);
	return size;
}

int monitor_error(const struct nlmsghdr *header)
{
	int error;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(error)))
		return -EBADMSG;
	memcpy(&error, NLMSG_DATA(header), sizeof(error));
	return error <= 0 && error > -4096 ? error : -EBADMSG;
}

static struct nl_sock *connect_socket(int *error)
{
	struct nl_sock *socket = nl_socket_alloc();

	if (!socket) {
		*error = ENOMEM;
		return NULL;
	}
	errno = 0;
	*error = genl_connect(socket);
	if (*error) {
		/* libnl has few words for what socket() may say. */
		*error = errno ? errno : errno_of_nl(*error);
		nl_socket_free(socket);
		return NULL;
	}
	return socket;
}

/* The family's number in an answer of the controller, 0 for another message. */
static int find_family(struct nlmsghdr *header, int left, uint32_t request)
{
	static struct nla_policy policy[CTRL_ATTR_FAMILY_ID + 1] = {
		[CTRL_ATTR_FAMILY_ID] = { .type = NLA_U16, .minlen = 2, .maxlen = 2 },
	};
	struct nlattr *attrs[CTRL_ATTR_FAMILY_ID + 1];

	if (!nlmsg_ok(header, left) || header->nlmsg_seq != request)
		return 0;
	if (header->nlmsg_type == NLMSG_ERROR)
		return monitor_error(header);
	if (!genlmsg_valid_hdr(header, 0) ||
	    nla_parse(attrs, CTRL_ATTR_FAMILY_ID, genlmsg_attrdata(genlmsg_hdr(header), 0),
		      genlmsg_attrlen(genlmsg_hdr(header), 0), policy) < 0 ||
	    !attrs[CTRL_ATTR_FAMILY_ID])
		return -EBADMSG;
	return nla_get_u16(attrs[CTRL_ATTR_FAMILY_ID]);
}

/*
 * The number of the module's family, or a negative errno: -ENOENT only if there is
 * none. To libnl's genl_ctrl_resolve() there is none whatever goes wrong, a signal too.
 */
static int find_module(ipm_monitor *monitor)
{
	struct nl_msg *message = nlmsg_alloc();
	uint32_t request;
	ssize_t size;
	int ret;

	if (!message)
		return -ENOMEM;
	if (!genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, GENL_ID_CTRL, 0, NLM_F_REQUEST,
			 CTRL_CMD_GETFAMILY, 1) ||
	    nla_put_string(message, CTRL_ATTR_FAMILY_NAME, IPM_NL_FAMILY)) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	ret = send_request(monitor->lists, message, &request);
	while (!ret) {
		size = monitor_read(monitor->lists, monitor->buffer, 0);
		if (size == -EINTR)
			continue;
		ret = size < 0 ? (int)size : find_family(monitor->buffer, (int)size, request);
	}
	return ret;
}

ipm_result ipm_monitor_open(const ipm_context *context, ipm_monitor **p_monitor)
{
	ipm_monitor *monitor;
	ipm_context ctx;
	int error = 0, size = EVENT_QUEUE;

	if (!ipm_context_copy(&ctx, context) || !p_monitor)
		return ipm_fail(context, IPM_RESULT_ERR_BAD_VALUE, "cannot open a monitor");
	monitor = ipm_context_alloc(&ctx, sizeof(*monitor));
	if (!monitor)
		return ipm_fail(&ctx, IPM_RESULT_ERR_OUT_OF_MEMORY, "cannot open a monitor");
	monitor->ctx = ctx;
	monitor->buffer = ipm_context_alloc(&ctx, MONITOR_BUFFER);
	monitor->pending = ipm_context_alloc(&ctx, MONITOR_BUFFER);
	monitor->ranges = ipm_context_alloc(&ctx, IPM_CLAIM_RANGES_MAX * sizeof(*monitor->ranges));
	if (!monitor->buffer || !monitor->pending || !monitor->ranges) {
		ipm_monitor_close(monitor);
		return ipm_fail(&ctx, IPM_RESULT_ERR_OUT_OF_MEMORY, "cannot open a monitor");
	}
	monitor->lists = connect_socket(&error);
	if (monitor->lists)
		monitor->events = connect_socket(&error);
	if (!monitor->events) {
		ipm_monitor_close(monitor);
		return ipm_fail_errno(&ctx, ipm_result_of_errno(error), error,
				      "cannot open a netlink socket");
	}
	monitor->family = find_module(monitor);
	if (monitor->family < 0) {
		error = -monitor->family;
		ipm_monitor_close(monitor);
		return ipm_fail_errno(&ctx, error == ENOENT ? IPM_RESULT_ERR_NO_DEVICE :
							      ipm_result_of_errno(error),
				      error, "cannot find the module's netlink family");
	}
	/* As much as is allowed; less only means that more is lost. */
	if (setsockopt(nl_socket_get_fd(monitor->events), SOL_SOCKET, SO_RCVBUFFORCE, &size,
		       sizeof(size)))
		setsockopt(nl_socket_get_fd(monitor->events), SOL_SOCKET, SO_RCVBUF, &size,
			   sizeof(size));
	*p_monitor = monitor;
	return IPM_RESULT_SUCCESS;
}

void ipm_monitor_close(ipm_monitor *monitor)
{
	ipm_context ctx;

	if (!monitor)
		return;
	ctx = monitor->ctx;
	nl_socket_free(monitor->lists);
	nl_socket_free(monitor->events);
	if (monitor->buffer)
		ipm_context_free(&ctx, monitor->buffer);
	if (monitor->pending)
		ipm_context_free(&ctx, monitor->pending);
	if (monitor->ranges)
		ipm_context_free(&ctx, monitor->ranges);
	ipm_context_free(&ctx, monitor);
}
