/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libipm-monitor share.
 *
 * monitor.c opens and closes; list.c asks for lists; event.c follows events;
 * parse.c makes the structures of the header out of messages, and trusts none of
 * them.
 */
#ifndef IPM_LIB_MONITOR_H
#define IPM_LIB_MONITOR_H

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>

#include <ipm/ipm_monitor.h>
#include <linux/ipm.h>

#include "../internal.h"

/* Room for one read: the kernel makes its pieces of a list as large, to 32 KiB. */
#define MONITOR_BUFFER 65536

/**
 * struct monitor_chunk - some messages of a list
 * @next: the next one or NULL
 * @size: bytes of @data
 * @data: messages as they were read, aligned
 */
struct monitor_chunk {
	struct monitor_chunk *next;
	size_t size;
	struct nlmsghdr data[];
};

/**
 * struct ipm_monitor - a connection
 * @ctx: the caller's callbacks
 * @family: number of the netlink family
 * @lists: the socket for lists
 * @events: the socket for events
 * @buffer: %MONITOR_BUFFER bytes for reading
 * @ranges: room for the ranges of one claim
 * @groups: groups subscribed to
 * @segment: the only segment subscribed to, or 0
 * @seq: number of the last event seen
 * @overrun: the kernel says that something was lost; it is to be asked how much
 * @left: bytes of @pending that were not delivered yet
 * @at: the next message in @pending
 * @pending: %MONITOR_BUFFER bytes of events
 */
struct ipm_monitor {
	ipm_context ctx;
	int family;
	struct nl_sock *lists;
	struct nl_sock *events;
	void *buffer;
	ipm_monitor_range *ranges;
	uint32_t groups;
	uint32_t segment;
	uint64_t seq;
	bool overrun;
	int left;
	struct nlmsghdr *at;
	void *pending;
};

/* monitor.c */

/**
 * monitor_request() - send a request
 * @monitor: the monitor
 * @socket: one of its sockets
 * @command: IPM_NL_CMD_*
 * @flags: NLM_F_*
 * @segment: for IPM_NL_A_SEGMENT, or 0
 * @groups: for IPM_NL_A_GROUPS, or NULL
 * @seq: receives the number of the request; may be NULL
 *
 * Return: 0 or a negative errno.
 */
IPM_HIDDEN int monitor_request(ipm_monitor *monitor, struct nl_sock *socket, uint8_t command,
			       int flags, uint32_t segment, const uint32_t *groups,
			       uint32_t *seq);

/**
 * monitor_read() - read messages of the kernel
 * @socket: a socket
 * @buffer: %MONITOR_BUFFER bytes
 * @flags: MSG_*
 *
 * Return: bytes, or a negative errno; -EMSGSIZE if they did not fit.
 */
IPM_HIDDEN ssize_t monitor_read(struct nl_sock *socket, void *buffer, int flags);

/**
 * monitor_error() - the errno in an error or an end of a list
 * @header: message of type NLMSG_ERROR or NLMSG_DONE
 *
 * Return: 0 or a negative errno; -EBADMSG for one that is too short.
 */
IPM_HIDDEN int monitor_error(const struct nlmsghdr *header);

/* parse.c */

/**
 * union monitor_entry - an entry of a list, or an event
 */
union monitor_entry {
	ipm_monitor_segment segment;
	ipm_monitor_handle handle;
	ipm_monitor_claim claim;
	ipm_monitor_waiter waiter;
	ipm_monitor_doubt doubt;
	ipm_monitor_limit limit;
	ipm_monitor_event event;
};

/**
 * monitor_parse() - make an entry of a message
 * @header: the message, complete
 * @command: IPM_NL_CMD_* that it has to be
 * @entry: receives it
 * @ranges: room for %IPM_CLAIM_RANGES_MAX ranges, for claims and waiters
 *
 * Return: whether the message is one of that command and makes sense.
 */
IPM_HIDDEN bool monitor_parse(struct nlmsghdr *header, uint8_t command,
			      union monitor_entry *entry, ipm_monitor_range *ranges);

/**
 * monitor_parse_subscribed() - the answer to a SUBSCRIBE
 * @header: the message, complete
 * @seq: receives the number of the last event before it
 *
 * Return: whether the message is one and makes sense.
 */
IPM_HIDDEN bool monitor_parse_subscribed(struct nlmsghdr *header, uint64_t *seq);

#endif /* IPM_LIB_MONITOR_H */
