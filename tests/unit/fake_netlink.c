// SPDX-License-Identifier: GPL-2.0
/*
 * The netlink family of fake_netlink.h. One thread only.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "fake_netlink.h"

#define FAMILY 0x42
#define MAX_DATAGRAMS 256

/* What waits to be read on a socket. */
struct datagram {
	int fd;
	uint32_t from;
	uint32_t size;
	char bytes[FAKE_NL_ROOM];
};

static struct datagram datagrams[MAX_DATAGRAMS];
static unsigned int nr_datagrams;
static int events_fd = -1;
static uint32_t events_port;

bool fake_nl_has_family = true;
unsigned int fake_nl_entries;
uint32_t fake_nl_first = 1;
unsigned int fake_nl_interrupted;
int fake_nl_refusal;
uint64_t fake_nl_seq;

static unsigned int fail_nth, calls;
static int fail_errno, fail_read;

/* --- messages --- */

struct fake_nl_message fake_nl_new(uint8_t command, uint8_t version)
{
	struct fake_nl_message m = { .size = NLMSG_HDRLEN + GENL_HDRLEN };
	struct genlmsghdr genl = { .cmd = command, .version = version };

	memcpy(m.bytes + NLMSG_HDRLEN, &genl, sizeof(genl));
	return m;
}

void fake_nl_add(struct fake_nl_message *m, uint16_t type, const void *data, uint16_t size)
{
	struct nlattr attr = { .nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + size) };

	memcpy(m->bytes + m->size, &attr, sizeof(attr));
	memcpy(m->bytes + m->size + NLA_HDRLEN, data, size);
	m->size += NLA_ALIGN(NLA_HDRLEN + size);
}

void fake_nl_add_u32(struct fake_nl_message *m, uint16_t type, uint32_t value)
{
	fake_nl_add(m, type, &value, sizeof(value));
}

void fake_nl_add_u64(struct fake_nl_message *m, uint16_t type, uint64_t value)
{
	fake_nl_add(m, type, &value, sizeof(value));
}

static void add_who(struct fake_nl_message *m)
{
	fake_nl_add_u32(m, IPM_NL_A_USER, 1000);
	fake_nl_add_u32(m, IPM_NL_A_PID, 11);
	fake_nl_add_u32(m, IPM_NL_A_TID, 12);
	fake_nl_add(m, IPM_NL_A_COMM, "name", 5);
}

static void add_claim(struct fake_nl_message *m, uint32_t id)
{
	const struct ipm_range range = { .offset = 100, .length = 3, .mode = IPM_CLAIM_WRITE };

	fake_nl_add_u64(m, IPM_NL_A_HANDLE, id + 1);
	fake_nl_add_u64(m, IPM_NL_A_CLAIM, id + 2);
	fake_nl_add(m, IPM_NL_A_RANGES, &range, sizeof(range));
	fake_nl_add_u64(m, IPM_NL_A_AGE, 1000);
	add_who(m);
}

struct fake_nl_message fake_nl_entry(uint8_t command, uint32_t id)
{
	struct fake_nl_message m = fake_nl_new(command, 1);

	if (command == IPM_NL_CMD_LIMITS) {
		fake_nl_add_u32(&m, IPM_NL_A_UID, id);
		fake_nl_add_u64(&m, IPM_NL_A_SEGMENTS_MAX, 4096);
		fake_nl_add_u64(&m, IPM_NL_A_HANDLES_MAX, 65536);
		fake_nl_add_u64(&m, IPM_NL_A_CLAIMS_MAX, 65536);
		fake_nl_add_u64(&m, IPM_NL_A_BYTES_MAX, 1 << 30);
		fake_nl_add_u64(&m, IPM_NL_A_BYTES, id);
		return m;
	}
	fake_nl_add_u32(&m, IPM_NL_A_SEGMENT, id);
	switch (command) {
	case IPM_NL_CMD_SEGMENTS:
		fake_nl_add(&m, IPM_NL_A_NAME, "segment", 8);
		fake_nl_add_u32(&m, IPM_NL_A_STATE, IPM_STATE_PERSISTENT);
		fake_nl_add_u64(&m, IPM_NL_A_SIZE, 4096);
		fake_nl_add_u64(&m, IPM_NL_A_CAPACITY, 8192);
		fake_nl_add_u32(&m, IPM_NL_A_MODE, 0640);
		fake_nl_add_u32(&m, IPM_NL_A_UID, 1000);
		fake_nl_add_u32(&m, IPM_NL_A_GID, 1000);
		fake_nl_add_u64(&m, IPM_NL_A_CLAIMS, 1);
		break;
	case IPM_NL_CMD_HANDLES:
		fake_nl_add_u64(&m, IPM_NL_A_HANDLE, id + 1);
		fake_nl_add_u32(&m, IPM_NL_A_ACCESS, IPM_READ_WRITE);
		fake_nl_add_u32(&m, IPM_NL_A_SLOT, 3);
		add_who(&m);
		break;
	case IPM_NL_CMD_CLAIMS:
		add_claim(&m, id);
		break;
	case IPM_NL_CMD_WAITERS:
		add_claim(&m, id);
		fake_nl_add_u32(&m, IPM_NL_A_FLAGS, IPM_NL_WAIT_CONVERT);
		fake_nl_add_u64(&m, IPM_NL_A_BLOCKER_CLAIM, id + 3);
		fake_nl_add_u32(&m, IPM_NL_A_BLOCKER_PID, 13);
		break;
	case IPM_NL_CMD_DOUBTS:
		fake_nl_add_u64(&m, IPM_NL_A_OFFSET, 100);
		fake_nl_add_u64(&m, IPM_NL_A_LENGTH, 3);
		fake_nl_add_u64(&m, IPM_NL_A_TIME, 1);
		fake_nl_add_u32(&m, IPM_NL_A_PID, 11);
		break;
	}
	return m;
}

/* --- the kernel's side --- */

static void queue(int fd, uint32_t from, const void *bytes, uint32_t size)
{
	struct datagram *d = &datagrams[nr_datagrams++];

	if (nr_datagrams == MAX_DATAGRAMS)
		abort();
	d->fd = fd;
	d->from = from;
	d->size = size;
	memcpy(d->bytes, bytes, size);
}

static void answer(int fd, const struct nlmsghdr *request, uint16_t type, uint16_t flags,
		   struct fake_nl_message *m)
{
	struct nlmsghdr header = {
		.nlmsg_len = m->size, .nlmsg_type = type, .nlmsg_flags = flags,
		.nlmsg_seq = request->nlmsg_seq, .nlmsg_pid = request->nlmsg_pid,
	};

	memcpy(m->bytes, &header, sizeof(header));
	queue(fd, 0, m->bytes, m->size);
}

/* NLMSG_ERROR or NLMSG_DONE. */
static void end(int fd, const struct nlmsghdr *request, uint16_t type, uint16_t flags, int err)
{
	struct fake_nl_message m = { .size = NLMSG_HDRLEN };
	int error = -err;

	memcpy(m.bytes + m.size, &error, sizeof(error));
	m.size += sizeof(error);
	if (type == NLMSG_ERROR) {
		memcpy(m.bytes + m.size, request, sizeof(*request));
		m.size += sizeof(*request);
	}
	answer(fd, request, type, flags, &m);
}

static void answer_control(int fd, const struct nlmsghdr *request)
{
	struct fake_nl_message m = fake_nl_new(CTRL_CMD_NEWFAMILY, 2);

	if (!fake_nl_has_family) {
		end(fd, request, NLMSG_ERROR, 0, ENOENT);
		return;
	}
	fake_nl_add(&m, CTRL_ATTR_FAMILY_NAME, IPM_NL_FAMILY, sizeof(IPM_NL_FAMILY));
	fake_nl_add(&m, CTRL_ATTR_FAMILY_ID, &(uint16_t){ FAMILY }, 2);
	fake_nl_add_u32(&m, CTRL_ATTR_VERSION, IPM_NL_VERSION);
	fake_nl_add_u32(&m, CTRL_ATTR_HDRSIZE, 0);
	fake_nl_add_u32(&m, CTRL_ATTR_MAXATTR, IPM_NL_A_MAX);
	answer(fd, request, GENL_ID_CTRL, 0, &m);
}

static void answer_list(int fd, const struct nlmsghdr *request, uint8_t command)
{
	uint16_t flags = NLM_F_MULTI;
	unsigned int i;

	if (fake_nl_interrupted) {
		fake_nl_interrupted--;
		flags |= NLM_F_DUMP_INTR;
	}
	for (i = 0; i < fake_nl_entries; i++) {
		struct fake_nl_message m = fake_nl_entry(command, fake_nl_first + i);

		answer(fd, request, FAMILY, flags, &m);
	}
	end(fd, request, NLMSG_DONE, flags, 0);
}

unsigned int fake_nl_full;

static void answer_subscribe(int fd, const struct nlmsghdr *request, size_t size)
{
	struct fake_nl_message m = fake_nl_new(IPM_NL_CMD_SUBSCRIBE, 1);

	if (fake_nl_full) {
		fake_nl_full--;
		fake_nl_fail_read(ENOBUFS);
		return;
	}

	/* Without groups it only asks. */
	if (size > NLMSG_HDRLEN + GENL_HDRLEN) {
		events_fd = fd;
		events_port = request->nlmsg_pid;
		fake_nl_seq = 0;
	}
	fake_nl_add_u64(&m, IPM_NL_A_SEQ, fake_nl_seq);
	answer(fd, request, FAMILY, 0, &m);
}

static void receive(int fd, const void *bytes, size_t size)
{
	struct nlmsghdr request;
	struct genlmsghdr genl;

	memcpy(&request, bytes, sizeof(request));
	memcpy(&genl, (const char *)bytes + NLMSG_HDRLEN, sizeof(genl));
	if (request.nlmsg_type == GENL_ID_CTRL)
		answer_control(fd, &request);
	else if (request.nlmsg_type != FAMILY || size != request.nlmsg_len)
		abort();
	else if (fake_nl_refusal)
		end(fd, &request, NLMSG_ERROR, 0, fake_nl_refusal);
	else if (genl.cmd == IPM_NL_CMD_SUBSCRIBE)
		answer_subscribe(fd, &request, size);
	else
		answer_list(fd, &request, genl.cmd);
}

void fake_nl_send(struct fake_nl_message *m, uint32_t from)
{
	struct nlmsghdr header = {
		.nlmsg_len = m->size, .nlmsg_type = FAMILY, .nlmsg_pid = events_port,
	};

	memcpy(m->bytes, &header, sizeof(header));
	queue(events_fd, from, m->bytes, m->size);
}

void fake_nl_event(uint32_t type)
{
	struct fake_nl_message m = fake_nl_new(IPM_NL_CMD_EVENT, 1);

	fake_nl_add_u32(&m, IPM_NL_A_EVENT, type);
	fake_nl_add_u64(&m, IPM_NL_A_SEQ, ++fake_nl_seq);
	fake_nl_add_u64(&m, IPM_NL_A_TIME, 6);
	fake_nl_add_u32(&m, IPM_NL_A_SEGMENT, 7);
	fake_nl_send(&m, 0);
}

void fake_nl_lose(unsigned int events)
{
	fake_nl_seq += events;
}

/* --- system calls --- */

static int enter(void)
{
	calls++;
	return fail_nth && !--fail_nth ? fail_errno : 0;
}

static struct datagram *first_of(int fd)
{
	unsigned int i;

	for (i = 0; i < nr_datagrams; i++)
		if (datagrams[i].fd == fd)
			return &datagrams[i];
	return NULL;
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to,
	       socklen_t to_size)
{
	int err = enter();

	(void)flags;
	(void)to;
	(void)to_size;
	if (err) {
		errno = err;
		return -1;
	}
	receive(fd, bytes, size);
	return (ssize_t)size;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct datagram *d = first_of(fd);
	int err = enter();
	size_t size;

	if (!err && fail_read) {
		err = fail_read;
		fail_read = 0;
	}
	if (!err && !d) {
		if (!(flags & MSG_DONTWAIT)) {
			printf("# the library reads what never comes\n");
			abort();
		}
		err = EAGAIN;
	}
	if (err) {
		errno = err;
		return -1;
	}
	*(struct sockaddr_nl *)message->msg_name = (struct sockaddr_nl){
		.nl_family = AF_NETLINK, .nl_pid = d->from,
	};
	message->msg_namelen = sizeof(struct sockaddr_nl);
	message->msg_controllen = 0;
	size = d->size < message->msg_iov->iov_len ? d->size : message->msg_iov->iov_len;
	memcpy(message->msg_iov->iov_base, d->bytes, size);
	message->msg_flags = size < d->size ? MSG_TRUNC : 0;
	if (flags & MSG_TRUNC)
		size = d->size;
	if (!(flags & MSG_PEEK))
		memmove(d, d + 1, (size_t)(&datagrams[nr_datagrams--] - (d + 1)) * sizeof(*d));
	return (ssize_t)size;
}

/* The C library declares that it only writes to what it is given. */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	int err = enter();

	(void)mask;
	if (err) {
		errno = err;
		return -1;
	}
	if (count != 1 || (!timeout && !first_of(fds->fd))) {
		printf("# the library waits for what never comes\n");
		abort();
	}
	fds->revents = first_of(fds->fd) ? POLLIN : 0;
	return !!fds->revents;
}

void fake_nl_fail(unsigned int nth, int err)
{
	fail_nth = nth;
	fail_errno = err;
}

unsigned int fake_nl_calls(void)
{
	unsigned int count = calls;

	calls = 0;
	return count;
}

void fake_nl_fail_read(int err)
{
	fail_read = err;
}

void fake_nl_reset(void)
{
	nr_datagrams = 0;
	events_fd = -1;
	fake_nl_has_family = true;
	fake_nl_entries = 0;
	fake_nl_first = 1;
	fake_nl_interrupted = 0;
	fake_nl_refusal = 0;
	fake_nl_seq = 0;
	fail_nth = 0;
	fail_read = 0;
}
