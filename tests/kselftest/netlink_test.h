/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Netlink as it is, without a library: requests byte by byte, and answers that
 * are checked for their form before anything is read out of them.
 */
#ifndef NETLINK_TEST_H
#define NETLINK_TEST_H

#include "ipm_test.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>

#define NL_BUFFER	65536

struct nl {
	int fd;
	uint16_t family;
	uint32_t version;	/* of the family, as the kernel tells it */
	uint32_t seq;
	bool sent;		/* the last request was, */
	bool answered;		/* and an answer to it was read */
	bool interrupted;	/* the last dump was */
	unsigned int reads;	/* of the last dump */
	size_t room;		/* for one read */
	char *buffer;
};

struct request {
	union {
		struct nlmsghdr header;
		char bytes[2048];
	};
};

static inline struct request request_new(uint16_t type, uint16_t flags, uint8_t command,
					 uint8_t version)
{
	struct request r = { .header = {
		.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN), .nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | flags,
	} };
	struct genlmsghdr genl = { .cmd = command, .version = version };

	memcpy(NLMSG_DATA(&r.header), &genl, sizeof(genl));
	return r;
}

/* Adds an attribute; its length may be wrong on purpose. */
static inline void request_attr(struct request *r, uint16_t type, const void *data, uint16_t size)
{
	struct nlattr attr = { .nla_len = NLA_HDRLEN + size, .nla_type = type };
	size_t at = NLMSG_ALIGN(r->header.nlmsg_len);

	memcpy(r->bytes + at, &attr, sizeof(attr));
	memcpy(r->bytes + at + NLA_HDRLEN, data, size);
	r->header.nlmsg_len = at + NLA_ALIGN(NLA_HDRLEN + size);
}

static inline void request_u32(struct request *r, uint16_t type, uint32_t value)
{
	request_attr(r, type, &value, sizeof(value));
}

static inline int nl_send(struct nl *nl, struct request *r)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	r->header.nlmsg_seq = ++nl->seq;
	nl->answered = false;
	nl->sent = sendto(nl->fd, r, r->header.nlmsg_len, 0, (struct sockaddr *)&kernel,
			  sizeof(kernel)) >= 0;
	return nl->sent ? 0 : -errno;
}

/* One read; bytes or -errno, -EMSGSIZE if it was cut. */
static inline ssize_t nl_read(struct nl *nl, int flags)
{
	struct iovec iov = { nl->buffer, nl->room };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t size = recvmsg(nl->fd, &message, flags);

	if (size < 0)
		return -errno;
	return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : size;
}

/* An attribute of a message, or NULL; its size in *@size. */
static inline void *nl_attr(struct nlmsghdr *header, int type, size_t *size)
{
	char *at = (char *)NLMSG_DATA(header) + GENL_HDRLEN;
	char *end = (char *)header + header->nlmsg_len;

	while (end - at >= NLA_HDRLEN) {
		struct nlattr *attr = (struct nlattr *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			break;
		if ((attr->nla_type & NLA_TYPE_MASK) == type) {
			if (size)
				*size = attr->nla_len - NLA_HDRLEN;
			return at + NLA_HDRLEN;
		}
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static inline bool nl_has(struct nlmsghdr *header, int type)
{
	return nl_attr(header, type, NULL);
}

/* Its number, of whatever width; -1 as an unsigned number if there is none. */
static inline uint64_t nl_num(struct nlmsghdr *header, int type)
{
	size_t size = 0;
	void *data = nl_attr(header, type, &size);
	uint64_t value = 0;

	if (!data || (size != 4 && size != 8))
		return UINT64_MAX;
	memcpy(&value, data, size);
	return value;
}

static inline const char *nl_text(struct nlmsghdr *header, int type)
{
	size_t size = 0;
	char *data = nl_attr(header, type, &size);

	return data && size && !data[size - 1] ? data : "";
}

/* The first range of a message. */
static inline struct ipm_range nl_range(struct nlmsghdr *header)
{
	struct ipm_range range = { 0 };
	size_t size = 0;
	void *data = nl_attr(header, IPM_NL_A_RANGES, &size);

	if (data && size >= sizeof(range) && size % sizeof(range) == 0)
		memcpy(&range, data, sizeof(range));
	return range;
}

static inline int nl_errno(struct nlmsghdr *header)
{
	int error = -EBADMSG;

	if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
		memcpy(&error, NLMSG_DATA(header), sizeof(error));
	return error;
}

/*
 * Reads the answers to the last request up to its end. @each may be NULL. The
 * number of messages, or -errno.
 */
static inline int nl_answers(struct nl *nl, void (*each)(struct nlmsghdr *header, void *data),
			     void *data, bool one)
{
	int count = 0;

	nl->interrupted = false;
	nl->reads = 0;
	for (;;) {
		ssize_t left = nl_read(nl, 0);
		struct nlmsghdr *header = (struct nlmsghdr *)nl->buffer;

		if (left < 0)
			return left;
		nl->reads++;
		for (; left > 0; header = NLMSG_NEXT(header, left)) {
			if (!NLMSG_OK(header, left)) {
				note("%zd bytes that are no message", left);
				return -EBADMSG;
			}
			if (header->nlmsg_seq != nl->seq)
				continue;
			nl->answered = true;
			if (header->nlmsg_flags & NLM_F_DUMP_INTR)
				nl->interrupted = true;
			if (header->nlmsg_type == NLMSG_ERROR)
				return nl_errno(header);
			if (header->nlmsg_type == NLMSG_DONE)
				return nl_errno(header) ? nl_errno(header) : count;
			count++;
			if (each)
				each(header, data);
			if (one)
				return count;
		}
	}
}

/* The result of a request that is answered with an error or a message. */
static inline int nl_ask(struct nl *nl, struct request *r)
{
	int ret = nl_send(nl, r);

	return ret ? ret : nl_answers(nl, NULL, NULL, !(r->header.nlmsg_flags & NLM_F_DUMP));
}

static inline int nl_dump(struct nl *nl, uint8_t command, uint32_t segment,
			  void (*each)(struct nlmsghdr *header, void *data), void *data)
{
	struct request r = request_new(nl->family, NLM_F_DUMP, command, IPM_NL_VERSION);
	int ret;

	if (segment)
		request_u32(&r, IPM_NL_A_SEGMENT, segment);
	ret = nl_send(nl, &r);
	return ret ? ret : nl_answers(nl, each, data, false);
}

static inline void nl_learn_family(struct nlmsghdr *header, void *data)
{
	struct nl *nl = data;
	size_t size = 0;
	void *id = nl_attr(header, CTRL_ATTR_FAMILY_ID, &size);

	if (id && size == 2)
		memcpy(&nl->family, id, 2);
	nl->version = nl_num(header, CTRL_ATTR_VERSION);
}

/*
 * Opens a socket, with which nothing was done yet. The kernel makes its messages as
 * large as the largest read so far had @room for.
 */
static inline int nl_socket(struct nl *nl, size_t room)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };

	memset(nl, 0, sizeof(*nl));
	nl->room = room;
	nl->buffer = malloc(NL_BUFFER);
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	return nl->fd < 0 || bind(nl->fd, (struct sockaddr *)&self, sizeof(self)) ? -errno : 0;
}

/* Opens one that knows the family; 0 or -errno. */
static inline int nl_open_room(struct nl *nl, size_t room)
{
	struct request r = request_new(GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, 1);
	int ret = nl_socket(nl, room);

	if (ret)
		return ret;
	request_attr(&r, CTRL_ATTR_FAMILY_NAME, IPM_NL_FAMILY, sizeof(IPM_NL_FAMILY));
	ret = nl_send(nl, &r);
	if (!ret)
		ret = nl_answers(nl, nl_learn_family, nl, true);
	return ret < 0 ? ret : 0;
}

static inline int nl_open(struct nl *nl)
{
	return nl_open_room(nl, NL_BUFFER);
}

static inline void nl_close(struct nl *nl)
{
	close(nl->fd);
	free(nl->buffer);
	nl->fd = -1;
	nl->buffer = NULL;
}

static inline void nl_learn_seq(struct nlmsghdr *header, void *data)
{
	*(uint64_t *)data = nl_num(header, IPM_NL_A_SEQ);
}

/* Subscribes to groups, of one segment or with 0 of all; number of the last event. */
static inline int64_t nl_subscribe(struct nl *nl, uint32_t groups, uint32_t segment)
{
	struct request r = request_new(nl->family, 0, IPM_NL_CMD_SUBSCRIBE, IPM_NL_VERSION);
	uint64_t seq = UINT64_MAX;
	int ret;

	request_u32(&r, IPM_NL_A_GROUPS, groups);
	if (segment)
		request_u32(&r, IPM_NL_A_SEGMENT, segment);
	ret = nl_send(nl, &r);
	if (!ret)
		ret = nl_answers(nl, nl_learn_seq, &seq, true);
	return ret < 0 ? ret : (int64_t)seq;
}

#endif /* NETLINK_TEST_H */
