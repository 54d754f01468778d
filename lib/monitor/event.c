// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events: a subscription, and what comes of it.
 *
 * The kernel numbers the events that it means for a socket. A gap in the numbers
 * is a loss, and is told in its place, before the event that shows it. When the
 * kernel reports an overrun (ENOBUFS) and perhaps nothing more happens, no event
 * would show the gap: then it is asked for its count, and the answer stands in
 * the queue behind all events that were counted.
 */
#include <errno.h>
#include <string.h>

#include <netlink/netlink.h>

#include "monitor.h"

static ipm_result fail(ipm_monitor *monitor, int error, const char *what)
{
	switch (error) {
	case ENOSPC:
	case EOPNOTSUPP:
		break;
	default:
		return ipm_fail_errno(&monitor->ctx, ipm_result_of_errno(error), error, "%s", what);
	}
	return ipm_fail_errno(&monitor->ctx, error == ENOSPC ? IPM_RESULT_ERR_LIMIT :
							       IPM_RESULT_ERR_VERSION,
			      error, "%s", what);
}

/*
 * Takes the answer to a SUBSCRIBE out of messages. Returns 1 and the number of
 * the last event, 0 if it is not among them, or a negative errno.
 */
static int find_answer(struct nlmsghdr *header, int left, uint32_t request, uint64_t *seq)
{
	for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
		if (header->nlmsg_seq != request)
			continue;
		if (header->nlmsg_type == NLMSG_ERROR)
			return monitor_error(header);
		if (monitor_parse_subscribed(header, seq))
			return 1;
		return -EBADMSG;
	}
	return 0;
}

/* More than any socket holds: then they come faster than they are read. */
#define DRAIN_MOST 100000

/*
 * Reads away what is in the queue. After an overrun the kernel puts nothing into it,
 * and no answer, before it was empty once. False if it did not come to that.
 */
static bool drain(ipm_monitor *monitor)
{
	ssize_t size = 0;
	int i;

	for (i = 0; i < DRAIN_MOST; i++) {
		size = monitor_read(monitor->events, monitor->pending, MSG_DONTWAIT);
		if (size < 0 && size != -EINTR && size != -ENOBUFS && size != -EMSGSIZE)
			break;
	}
	return size == -EAGAIN;
}

ipm_result ipm_monitor_subscribe(ipm_monitor *monitor, uint32_t groups, uint32_t segment)
{
	static const char what[] = "cannot subscribe to events";
	uint32_t request;
	uint64_t seq = 0;
	ssize_t size;
	bool lost;
	int ret;

	if (!monitor || (groups & ~IPM_MONITOR_ALL) || segment > INT32_MAX)
		return ipm_fail(monitor ? &monitor->ctx : NULL, IPM_RESULT_ERR_BAD_VALUE, "%s",
				what);
	lost = !drain(monitor);
	ret = monitor_request(monitor, monitor->events, IPM_NL_CMD_SUBSCRIBE, 0, segment, &groups,
			      &request);
	/* What was in the queue before the answer is of the former subscription. */
	while (!ret) {
		size = monitor_read(monitor->events, monitor->pending, MSG_DONTWAIT);
		if (size == -ENOBUFS)
			lost = true;
		if (size == -EINTR || size == -ENOBUFS || size == -EMSGSIZE)
			continue;
		if (size != -EAGAIN) {
			ret = size < 0 ? (int)size : find_answer(monitor->pending, (int)size,
								 request, &seq);
		} else if (lost) {
			/* The answer may have been among what was lost; there is room now. */
			lost = false;
			ret = monitor_request(monitor, monitor->events, IPM_NL_CMD_SUBSCRIBE, 0,
					      segment, &groups, &request);
		} else {
			ret = ipm_sys_wait_readable(ipm_monitor_fd(monitor), -1);
			if (ret > 0 || ret == -EINTR)
				ret = 0;
		}
	}
	if (ret < 0) {
		/* What was read away is told as lost, if the former subscription stays. */
		monitor->left = 0;
		monitor->overrun = true;
		return fail(monitor, -ret, what);
	}
	monitor->groups = groups;
	monitor->segment = segment;
	monitor->seq = seq;
	monitor->overrun = false;
	monitor->left = 0;
	return IPM_RESULT_SUCCESS;
}

int ipm_monitor_fd(const ipm_monitor *monitor)
{
	return monitor ? nl_socket_get_fd(monitor->events) : -1;
}

/* Tells the caller of events up to @seq that were lost. */
static bool tell_lost(ipm_monitor *monitor, uint64_t seq, ipm_monitor_event_callback callback,
		      void *param)
{
	ipm_monitor_event event = {
		.type = IPM_MONITOR_EVENT_LOST,
		.seq = seq,
		.who.comm = "",
		.name = "",
		.count = seq - monitor->seq,
		.slot = IPM_MONITOR_NO_SLOT,
	};

	monitor->seq = seq;
	return callback(&event, param);
}

/*
 * Delivers the message at hand. Returns whether to go on; @told is set if the
 * caller was told something.
 */
static bool deliver(ipm_monitor *monitor, ipm_monitor_event_callback callback, void *param,
		    bool *told)
{
	union monitor_entry entry;
	uint64_t seq;

	if (monitor_parse(monitor->at, IPM_NL_CMD_EVENT, &entry, monitor->ranges)) {
		ipm_monitor_event *event = &entry.event;
		uint64_t before = event->seq - 1;

		if (event->seq <= monitor->seq) {
			monitor->at = nlmsg_next(monitor->at, &monitor->left);
			return true;
		}
		/* The kernel tells itself of those that it had to drop early. */
		if (event->type == IPM_MONITOR_EVENT_LOST)
			before = event->seq - event->count;
		*told = true;
		if (before > monitor->seq && !tell_lost(monitor, before, callback, param)) {
			/* The event stays for the next call. */
			return false;
		}
		monitor->seq = event->seq;
		monitor->at = nlmsg_next(monitor->at, &monitor->left);
		return callback(event, param);
	}
	if (monitor_parse_subscribed(monitor->at, &seq) && seq > monitor->seq) {
		*told = true;
		monitor->at = nlmsg_next(monitor->at, &monitor->left);
		return tell_lost(monitor, seq, callback, param);
	}
	monitor->at = nlmsg_next(monitor->at, &monitor->left);
	return true;
}

/*
 * Reads more. Returns 0 or a negative errno. After an overrun the kernel is asked
 * once the queue is empty, so that there is room for its answer.
 */
static int fetch(ipm_monitor *monitor)
{
	ssize_t size = monitor_read(monitor->events, monitor->pending, MSG_DONTWAIT);

	if (size == -ENOBUFS) {
		monitor->overrun = true;
		return 0;
	}
	if (size == -EAGAIN && monitor->overrun) {
		monitor->overrun = false;
		return monitor_request(monitor, monitor->events, IPM_NL_CMD_SUBSCRIBE, 0, 0, NULL,
				       NULL);
	}
	if (size < 0)
		return (int)size;
	monitor->at = monitor->pending;
	monitor->left = (int)size;
	return 0;
}

/* Nanoseconds that are left until a deadline; negative for no end. */
static int64_t time_left(int64_t deadline)
{
	int64_t now;

	if (deadline == IPM_DEADLINE_NONE)
		return -1;
	now = ipm_sys_now();
	return deadline > now ? deadline - now : 0;
}

/* How long a call goes on that is not to wait, while there is always another event. */
#define FLOOD_NS 100000000

ipm_result ipm_monitor_dispatch(ipm_monitor *monitor, int64_t deadline,
				ipm_monitor_event_callback callback, void *param)
{
	static const char what[] = "cannot read events";
	int64_t end = deadline;
	bool told = false;
	int ret;

	if (!monitor || !callback || deadline < 0)
		return ipm_fail(monitor ? &monitor->ctx : NULL, IPM_RESULT_ERR_BAD_VALUE, "%s",
				what);
	if (!monitor->groups)
		return ipm_fail(&monitor->ctx, IPM_RESULT_ERR_BAD_INIT, "%s", what);
	if (deadline == IPM_DEADLINE_NOW)
		end = ipm_deadline_after(FLOOD_NS);
	for (;;) {
		while (nlmsg_ok(monitor->at, monitor->left)) {
			if (!deliver(monitor, callback, param, &told))
				return IPM_RESULT_SUCCESS;
		}
		/* They may come as fast as they are told. */
		if (told && !time_left(end))
			return IPM_RESULT_SUCCESS;
		ret = fetch(monitor);
		if (!ret || ret == -EMSGSIZE)
			continue;
		if (ret == -EINTR && told)
			return IPM_RESULT_SUCCESS;
		if (ret != -EAGAIN)
			return fail(monitor, -ret, what);
		if (told)
			return IPM_RESULT_SUCCESS;
		if (deadline == IPM_DEADLINE_NOW)
			return IPM_RESULT_ERR_WOULD_BLOCK;
		ret = ipm_sys_wait_readable(ipm_monitor_fd(monitor), time_left(deadline));
		if (!ret)
			return IPM_RESULT_ERR_TIMEOUT;
		if (ret < 0)
			return fail(monitor, -ret, what);
	}
}
