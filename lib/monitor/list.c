// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lists: a dump is read as a whole, and again if something changed meanwhile,
 * before the caller hears of its first entry.
 */
#include <errno.h>
#include <string.h>

#include <netlink/netlink.h>

#include "monitor.h"

/* How often a list is asked for that changes all the time. */
#define TRIES 10

static void chunks_free(ipm_monitor *monitor, struct monitor_chunk *chunks)
{
	while (chunks) {
		struct monitor_chunk *next = chunks->next;

		ipm_context_free(&monitor->ctx, chunks);
		chunks = next;
	}
}

/* Reads what is left of former answers, and throws it away. */
static void drain(ipm_monitor *monitor)
{
	ssize_t size;

	do {
		size = monitor_read(monitor->lists, monitor->buffer, MSG_DONTWAIT);
	} while (size >= 0 || size == -EMSGSIZE || size == -ENOBUFS || size == -EINTR);
}

/*
 * Looks through messages of the dump @seq. Returns 1 at its end, 0 if there is
 * more to come, or a negative errno.
 */
static int look_through(struct nlmsghdr *header, int left, uint32_t seq, bool *exact)
{
	int error;

	for (; left; header = nlmsg_next(header, &left)) {
		if (!nlmsg_ok(header, left))
			return -EBADMSG;
		if (header->nlmsg_seq != seq)
			continue;
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			*exact = false;
		if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
			error = monitor_error(header);
			return error ? error : 1;
		}
	}
	return 0;
}

/* Reads one whole dump. Returns 0 or a negative errno. */
static int read_dump(ipm_monitor *monitor, uint8_t command, uint32_t segment,
		     struct monitor_chunk **chunks, uint32_t *seq, bool *exact)
{
	struct monitor_chunk **end = chunks, *chunk;
	ssize_t size;
	int ret;

	*chunks = NULL;
	*exact = true;
	ret = monitor_request(monitor, monitor->lists, command, NLM_F_DUMP, segment, NULL, seq);
	while (!ret) {
		size = monitor_read(monitor->lists, monitor->buffer, 0);
		if (size == -EINTR)
			continue;
		if (size < 0)
			return size;
		/* libnl's loop wants an int. */
		ret = look_through(monitor->buffer, (int)size, *seq, exact);
		if (ret < 0)
			return ret;
		chunk = ipm_context_alloc(&monitor->ctx, sizeof(*chunk) + size);
		if (!chunk)
			return -ENOSPC;
		memcpy(chunk->data, monitor->buffer, size);
		chunk->size = size;
		*end = chunk;
		end = &chunk->next;
	}
	return ret < 0 ? ret : 0;
}

/* The caller's callback, and which it is. */
struct caller {
	uint8_t command;
	union {
		ipm_monitor_segment_callback segment;
		ipm_monitor_handle_callback handle;
		ipm_monitor_claim_callback claim;
		ipm_monitor_waiter_callback waiter;
		ipm_monitor_doubt_callback doubt;
		ipm_monitor_limit_callback limit;
	} callback;
	void *param;
};

static bool call(const struct caller *caller, const union monitor_entry *entry)
{
	switch (caller->command) {
	case IPM_NL_CMD_SEGMENTS:
		return caller->callback.segment(&entry->segment, caller->param);
	case IPM_NL_CMD_HANDLES:
		return caller->callback.handle(&entry->handle, caller->param);
	case IPM_NL_CMD_CLAIMS:
		return caller->callback.claim(&entry->claim, caller->param);
	case IPM_NL_CMD_WAITERS:
		return caller->callback.waiter(&entry->waiter, caller->param);
	case IPM_NL_CMD_DOUBTS:
		return caller->callback.doubt(&entry->doubt, caller->param);
	default:
		return caller->callback.limit(&entry->limit, caller->param);
	}
}

/*
 * Goes over the messages of a dump: calls back for each entry, or with no caller
 * only tells whether all of them make sense.
 */
static bool deliver(ipm_monitor *monitor, struct monitor_chunk *chunks, uint8_t command,
		    uint32_t seq, const struct caller *caller)
{
	union monitor_entry entry;

	for (; chunks; chunks = chunks->next) {
		struct nlmsghdr *header = chunks->data;
		int left = (int)chunks->size;

		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			if (header->nlmsg_seq != seq)
				continue;
			if (header->nlmsg_type == NLMSG_DONE)
				return true;
			if (header->nlmsg_type != monitor->family)
				continue;
			if (!monitor_parse(header, command, &entry, monitor->ranges))
				return false;
			if (caller && !call(caller, &entry))
				return true;
		}
	}
	return true;
}

static ipm_result result_of_dump(int error)
{
	switch (error) {
	case ENOSPC:
		return IPM_RESULT_ERR_OUT_OF_MEMORY;
	case ENOENT:
		return IPM_RESULT_ERR_DOES_NOT_EXIST;
	case EOPNOTSUPP:
		return IPM_RESULT_ERR_VERSION;
	default:
		return ipm_result_of_errno(error);
	}
}

/* Lists, with the texts of @what for the report. */
static ipm_result list(ipm_monitor *monitor, uint32_t segment, const struct caller *caller,
		       bool *p_exact, const char *what)
{
	struct monitor_chunk *chunks;
	ipm_result result = IPM_RESULT_SUCCESS;
	int tries = TRIES, ret;
	bool exact;
	uint32_t seq;

	for (;;) {
		ret = read_dump(monitor, caller->command, segment, &chunks, &seq, &exact);
		if (ret < 0 || exact || !--tries)
			break;
		chunks_free(monitor, chunks);
	}
	if (ret < 0) {
		drain(monitor);
		result = ipm_fail_errno(&monitor->ctx, result_of_dump(-ret), -ret,
					"cannot list %s", what);
	} else if (!deliver(monitor, chunks, caller->command, seq, NULL)) {
		result = ipm_fail(&monitor->ctx, IPM_RESULT_ERR_VERSION,
				  "the module's list of %s makes no sense", what);
	} else {
		if (p_exact)
			*p_exact = exact;
		deliver(monitor, chunks, caller->command, seq, caller);
	}
	chunks_free(monitor, chunks);
	return result;
}

static ipm_result bad_value(ipm_monitor *monitor, const char *what)
{
	return ipm_fail(monitor ? &monitor->ctx : NULL, IPM_RESULT_ERR_BAD_VALUE,
			"cannot list %s", what);
}

/* Numbers that no segment can have are told apart here, not by the kernel. */
static bool segment_ok(uint32_t segment)
{
	return segment <= INT32_MAX;
}

ipm_result ipm_monitor_segments(ipm_monitor *monitor, uint32_t segment,
				ipm_monitor_segment_callback callback, void *param, bool *p_exact)
{
	struct caller caller = {
		.command = IPM_NL_CMD_SEGMENTS, .callback.segment = callback, .param = param,
	};

	if (!monitor || !callback || !segment_ok(segment))
		return bad_value(monitor, "segments");
	return list(monitor, segment, &caller, p_exact, "segments");
}

ipm_result ipm_monitor_handles(ipm_monitor *monitor, uint32_t segment,
			       ipm_monitor_handle_callback callback, void *param, bool *p_exact)
{
	struct caller caller = {
		.command = IPM_NL_CMD_HANDLES, .callback.handle = callback, .param = param,
	};

	if (!monitor || !callback || !segment_ok(segment))
		return bad_value(monitor, "handles");
	return list(monitor, segment, &caller, p_exact, "handles");
}

ipm_result ipm_monitor_claims(ipm_monitor *monitor, uint32_t segment,
			      ipm_monitor_claim_callback callback, void *param, bool *p_exact)
{
	struct caller caller = {
		.command = IPM_NL_CMD_CLAIMS, .callback.claim = callback, .param = param,
	};

	if (!monitor || !callback || !segment_ok(segment))
		return bad_value(monitor, "claims");
	return list(monitor, segment, &caller, p_exact, "claims");
}

ipm_result ipm_monitor_waiters(ipm_monitor *monitor, uint32_t segment,
			       ipm_monitor_waiter_callback callback, void *param, bool *p_exact)
{
	struct caller caller = {
		.command = IPM_NL_CMD_WAITERS, .callback.waiter = callback, .param = param,
	};

	if (!monitor || !callback || !segment_ok(segment))
		return bad_value(monitor, "waiters");
	return list(monitor, segment, &caller, p_exact, "waiters");
}

ipm_result ipm_monitor_doubts(ipm_monitor *monitor, uint32_t segment,
			      ipm_monitor_doubt_callback callback, void *param, bool *p_exact)
{
	struct caller caller = {
		.command = IPM_NL_CMD_DOUBTS, .callback.doubt = callback, .param = param,
	};

	if (!monitor || !callback || !segment_ok(segment))
		return bad_value(monitor, "bytes in doubt");
	return list(monitor, segment, &caller, p_exact, "bytes in doubt");
}

ipm_result ipm_monitor_limits(ipm_monitor *monitor, ipm_monitor_limit_callback callback,
			      void *param)
{
	struct caller caller = {
		.command = IPM_NL_CMD_LIMITS, .callback.limit = callback, .param = param,
	};

	if (!monitor || !callback)
		return bad_value(monitor, "limits");
	return list(monitor, 0, &caller, NULL, "limits");
}
