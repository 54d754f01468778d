// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages of the kernel, made into the structures of the header.
 *
 * Each attribute is checked for its type, as libnl does with a policy, and what
 * an entry cannot do without has to be there. Attributes that this library does
 * not know are skipped: a later module may have more to tell.
 */
#include <string.h>

#include <netlink/genl/genl.h>

#include "monitor.h"

_Static_assert(IPM_MONITOR_PERSISTENT == IPM_STATE_PERSISTENT &&
	       IPM_MONITOR_REMOVED == IPM_STATE_REMOVED &&
	       IPM_MONITOR_IN_DOUBT == IPM_STATE_IN_DOUBT &&
	       IPM_MONITOR_PREALLOCATED == IPM_STATE_PREALLOCATED &&
	       IPM_MONITOR_NORESERVE == IPM_STATE_NORESERVE, "states are the kernel's");
_Static_assert(IPM_MONITOR_LIFE == IPM_NL_GROUP_LIFE &&
	       IPM_MONITOR_CLAIMS == IPM_NL_GROUP_CLAIMS &&
	       IPM_MONITOR_DEATHS == IPM_NL_GROUP_DEATHS, "groups are the kernel's");
_Static_assert((int)IPM_MONITOR_EVENT_LOST == (int)IPM_NL_EVENT_LOST &&
	       (int)IPM_MONITOR_EVENT_CREATED == (int)IPM_NL_EVENT_CREATED &&
	       (int)IPM_MONITOR_EVENT_LINKED == (int)IPM_NL_EVENT_LINKED &&
	       (int)IPM_MONITOR_EVENT_GROWN == (int)IPM_NL_EVENT_GROWN &&
	       (int)IPM_MONITOR_EVENT_SET == (int)IPM_NL_EVENT_SET &&
	       (int)IPM_MONITOR_EVENT_REMOVED == (int)IPM_NL_EVENT_REMOVED &&
	       (int)IPM_MONITOR_EVENT_GONE == (int)IPM_NL_EVENT_GONE &&
	       (int)IPM_MONITOR_EVENT_WAIT == (int)IPM_NL_EVENT_WAIT &&
	       (int)IPM_MONITOR_EVENT_WAIT_END == (int)IPM_NL_EVENT_WAIT_END &&
	       (int)IPM_MONITOR_EVENT_DEADLOCK == (int)IPM_NL_EVENT_DEADLOCK &&
	       (int)IPM_MONITOR_EVENT_DOUBT == (int)IPM_NL_EVENT_DOUBT &&
	       (int)IPM_MONITOR_EVENT_DEATH == (int)IPM_NL_EVENT_DEATH &&
	       (int)IPM_MONITOR_EVENT_SLOT_DEATH == (int)IPM_NL_EVENT_SLOT_DEATH,
	       "events are the kernel's");

#define U32 { .type = NLA_U32, .minlen = 4, .maxlen = 4 }
#define U64 { .type = NLA_U64, .minlen = 8, .maxlen = 8 }

/* Lengths are exact: what is longer is not what it says. */
static struct nla_policy policy[IPM_NL_A_MAX + 1] = {
	[IPM_NL_A_SEGMENT] = U32,
	[IPM_NL_A_NAME] = { .type = NLA_STRING, .minlen = 1, .maxlen = IPM_NAME_SIZE },
	[IPM_NL_A_KEY] = U32,
	[IPM_NL_A_STATE] = U32,
	[IPM_NL_A_SIZE] = U64,
	[IPM_NL_A_CAPACITY] = U64,
	[IPM_NL_A_RESIDENT] = U64,
	[IPM_NL_A_MODE] = U32,
	[IPM_NL_A_UID] = U32,
	[IPM_NL_A_GID] = U32,
	[IPM_NL_A_CUID] = U32,
	[IPM_NL_A_CGID] = U32,
	[IPM_NL_A_CREATOR_PID] = U32,
	[IPM_NL_A_LAST_PID] = U32,
	[IPM_NL_A_HANDLES] = U64,
	[IPM_NL_A_MAPS] = U64,
	[IPM_NL_A_CLAIMS] = U64,
	[IPM_NL_A_WAITERS] = U64,
	[IPM_NL_A_DOUBTS] = U64,
	[IPM_NL_A_CREATE_TIME] = U64,
	[IPM_NL_A_CHANGE_TIME] = U64,
	[IPM_NL_A_ATTACH_TIME] = U64,
	[IPM_NL_A_DETACH_TIME] = U64,
	[IPM_NL_A_WAITS] = U64,
	[IPM_NL_A_WAIT_NS] = U64,
	[IPM_NL_A_DEADLOCKS] = U64,
	[IPM_NL_A_DEATHS] = U64,
	[IPM_NL_A_DOUBT_EVENTS] = U64,
	[IPM_NL_A_HANDLE] = U64,
	[IPM_NL_A_ACCESS] = U32,
	[IPM_NL_A_SLOT] = U32,
	[IPM_NL_A_MAPPED] = U32,
	[IPM_NL_A_USER] = U32,
	[IPM_NL_A_PID] = U32,
	[IPM_NL_A_TID] = U32,
	[IPM_NL_A_COMM] = { .type = NLA_STRING, .minlen = 1, .maxlen = 64 },
	[IPM_NL_A_HIDDEN] = { .type = NLA_FLAG },
	[IPM_NL_A_CLAIM] = U64,
	[IPM_NL_A_RANGES] = { .minlen = sizeof(struct ipm_range),
			      .maxlen = IPM_CLAIM_RANGES_MAX * sizeof(struct ipm_range) },
	[IPM_NL_A_AGE] = U64,
	[IPM_NL_A_RESULT] = U32,
	[IPM_NL_A_FLAGS] = U32,
	[IPM_NL_A_BLOCKER_CLAIM] = U64,
	[IPM_NL_A_BLOCKER_HANDLE] = U64,
	[IPM_NL_A_BLOCKER_FLAGS] = U32,
	[IPM_NL_A_BLOCKER_PID] = U32,
	[IPM_NL_A_BLOCKER_TID] = U32,
	[IPM_NL_A_OFFSET] = U64,
	[IPM_NL_A_LENGTH] = U64,
	[IPM_NL_A_TIME] = U64,
	[IPM_NL_A_SEGMENTS_MAX] = U64,
	[IPM_NL_A_NR_SEGMENTS] = U64,
	[IPM_NL_A_HANDLES_MAX] = U64,
	[IPM_NL_A_CLAIMS_MAX] = U64,
	[IPM_NL_A_BYTES_MAX] = U64,
	[IPM_NL_A_BYTES] = U64,
	[IPM_NL_A_GROUPS] = U32,
	[IPM_NL_A_EVENT] = U32,
	[IPM_NL_A_SEQ] = U64,
	[IPM_NL_A_COUNT] = U64,
	[IPM_NL_A_ERROR] = U32,
};

/* The value of an attribute, 0 or "" where there is none. */

static uint32_t u32(struct nlattr *attrs[], int type)
{
	return attrs[type] ? nla_get_u32(attrs[type]) : 0;
}

static uint64_t u64(struct nlattr *attrs[], int type)
{
	return attrs[type] ? nla_get_u64(attrs[type]) : 0;
}

static const char *text(struct nlattr *attrs[], int type)
{
	return attrs[type] ? nla_get_string(attrs[type]) : "";
}

/* Are all of these attributes there? The list ends with 0. */
static bool has(struct nlattr *attrs[], const uint8_t *types)
{
	while (*types) {
		if (!attrs[*types++])
			return false;
	}
	return true;
}

/* The attributes of a message of a command, else false. */
static bool attributes(struct nlmsghdr *header, uint8_t command, struct nlattr *attrs[])
{
	struct genlmsghdr *genl;

	if (!genlmsg_valid_hdr(header, 0))
		return false;
	genl = genlmsg_hdr(header);
	if (genl->cmd != command || genl->version < 1)
		return false;
	return nla_parse(attrs, IPM_NL_A_MAX, genlmsg_attrdata(genl, 0),
			 genlmsg_attrlen(genl, 0), policy) >= 0;
}

static void get_who(struct nlattr *attrs[], ipm_monitor_who *who)
{
	who->hidden = attrs[IPM_NL_A_HIDDEN];
	who->comm = "";
	if (who->hidden)
		return;
	who->uid = u32(attrs, IPM_NL_A_USER);
	who->pid = (int32_t)u32(attrs, IPM_NL_A_PID);
	who->tid = (int32_t)u32(attrs, IPM_NL_A_TID);
	who->comm = text(attrs, IPM_NL_A_COMM);
}

/* The ranges of a claim: their number, 0 if they are no ranges. */
static size_t get_ranges(struct nlattr *attr, ipm_monitor_range *ranges, size_t room)
{
	size_t size = nla_len(attr), nr = size / sizeof(struct ipm_range), i;
	const unsigned char *from = nla_data(attr);
	struct ipm_range range;

	if (size % sizeof(range) || nr > room)
		return 0;
	for (i = 0; i < nr; i++) {
		/* Attributes are aligned to 4 bytes only. */
		memcpy(&range, from + i * sizeof(range), sizeof(range));
		if (range.mode > IPM_CLAIM_WRITE || !range.length ||
		    range.offset + range.length < range.offset)
			return 0;
		ranges[i].offset = range.offset;
		ranges[i].length = range.length;
		ranges[i].mode = range.mode == IPM_CLAIM_WRITE ? IPM_ACCESS_MODE_READ_WRITE :
								 IPM_ACCESS_MODE_READ_ONLY;
	}
	return nr;
}

static bool parse_segment(struct nlattr *attrs[], ipm_monitor_segment *segment)
{
	static const uint8_t needed[] = {
		IPM_NL_A_SEGMENT, IPM_NL_A_STATE, IPM_NL_A_SIZE, IPM_NL_A_CAPACITY,
		IPM_NL_A_MODE, IPM_NL_A_UID, IPM_NL_A_GID, 0
	};

	if (!has(attrs, needed))
		return false;
	segment->id = u32(attrs, IPM_NL_A_SEGMENT);
	segment->state = u32(attrs, IPM_NL_A_STATE);
	segment->name = text(attrs, IPM_NL_A_NAME);
	segment->key = (int32_t)u32(attrs, IPM_NL_A_KEY);
	segment->mode = u32(attrs, IPM_NL_A_MODE);
	segment->uid = u32(attrs, IPM_NL_A_UID);
	segment->gid = u32(attrs, IPM_NL_A_GID);
	segment->cuid = u32(attrs, IPM_NL_A_CUID);
	segment->cgid = u32(attrs, IPM_NL_A_CGID);
	segment->creator_pid = (int32_t)u32(attrs, IPM_NL_A_CREATOR_PID);
	segment->last_pid = (int32_t)u32(attrs, IPM_NL_A_LAST_PID);
	segment->size = u64(attrs, IPM_NL_A_SIZE);
	segment->capacity = u64(attrs, IPM_NL_A_CAPACITY);
	segment->resident = u64(attrs, IPM_NL_A_RESIDENT);
	segment->handles = u64(attrs, IPM_NL_A_HANDLES);
	segment->maps = u64(attrs, IPM_NL_A_MAPS);
	segment->claims = u64(attrs, IPM_NL_A_CLAIMS);
	segment->waiters = u64(attrs, IPM_NL_A_WAITERS);
	segment->doubts = u64(attrs, IPM_NL_A_DOUBTS);
	segment->create_time_ns = (int64_t)u64(attrs, IPM_NL_A_CREATE_TIME);
	segment->change_time_ns = (int64_t)u64(attrs, IPM_NL_A_CHANGE_TIME);
	segment->attach_time_ns = (int64_t)u64(attrs, IPM_NL_A_ATTACH_TIME);
	segment->detach_time_ns = (int64_t)u64(attrs, IPM_NL_A_DETACH_TIME);
	segment->waits = u64(attrs, IPM_NL_A_WAITS);
	segment->wait_ns = u64(attrs, IPM_NL_A_WAIT_NS);
	segment->deadlocks = u64(attrs, IPM_NL_A_DEADLOCKS);
	segment->deaths = u64(attrs, IPM_NL_A_DEATHS);
	segment->doubt_events = u64(attrs, IPM_NL_A_DOUBT_EVENTS);
	return segment->id;
}

static bool parse_handle(struct nlattr *attrs[], ipm_monitor_handle *handle)
{
	static const uint8_t needed[] = {
		IPM_NL_A_SEGMENT, IPM_NL_A_HANDLE, IPM_NL_A_ACCESS, 0
	};

	if (!has(attrs, needed) || u32(attrs, IPM_NL_A_ACCESS) > IPM_READ_WRITE)
		return false;
	handle->segment = u32(attrs, IPM_NL_A_SEGMENT);
	handle->access = u32(attrs, IPM_NL_A_ACCESS) == IPM_READ_WRITE ?
		IPM_ACCESS_MODE_READ_WRITE : IPM_ACCESS_MODE_READ_ONLY;
	handle->id = u64(attrs, IPM_NL_A_HANDLE);
	get_who(attrs, &handle->who);
	handle->slot = attrs[IPM_NL_A_SLOT] ? u32(attrs, IPM_NL_A_SLOT) : IPM_MONITOR_NO_SLOT;
	handle->mapped = u32(attrs, IPM_NL_A_MAPPED);
	handle->claims = u64(attrs, IPM_NL_A_CLAIMS);
	return true;
}

static bool parse_claim(struct nlattr *attrs[], ipm_monitor_claim *claim,
			ipm_monitor_range *ranges)
{
	static const uint8_t needed[] = {
		IPM_NL_A_SEGMENT, IPM_NL_A_HANDLE, IPM_NL_A_CLAIM, IPM_NL_A_RANGES, 0
	};

	if (!has(attrs, needed))
		return false;
	claim->segment = u32(attrs, IPM_NL_A_SEGMENT);
	claim->in_doubt = u32(attrs, IPM_NL_A_RESULT) & IPM_GRANT_IN_DOUBT;
	claim->handle = u64(attrs, IPM_NL_A_HANDLE);
	claim->id = u64(attrs, IPM_NL_A_CLAIM);
	get_who(attrs, &claim->who);
	claim->age_ns = u64(attrs, IPM_NL_A_AGE);
	claim->nr_ranges = get_ranges(attrs[IPM_NL_A_RANGES], ranges, IPM_CLAIM_RANGES_MAX);
	claim->ranges = ranges;
	return claim->nr_ranges;
}

static bool parse_waiter(struct nlattr *attrs[], ipm_monitor_waiter *waiter,
			 ipm_monitor_range *ranges)
{
	static const uint8_t needed[] = {
		IPM_NL_A_SEGMENT, IPM_NL_A_HANDLE, IPM_NL_A_CLAIM, IPM_NL_A_RANGES,
		IPM_NL_A_FLAGS, 0
	};
	ipm_monitor_blocker *blocker = &waiter->blocker;

	if (!has(attrs, needed))
		return false;
	waiter->segment = u32(attrs, IPM_NL_A_SEGMENT);
	waiter->async = u32(attrs, IPM_NL_A_FLAGS) & IPM_NL_WAIT_ASYNC;
	waiter->convert = u32(attrs, IPM_NL_A_FLAGS) & IPM_NL_WAIT_CONVERT;
	waiter->handle = u64(attrs, IPM_NL_A_HANDLE);
	waiter->id = u64(attrs, IPM_NL_A_CLAIM);
	get_who(attrs, &waiter->who);
	waiter->waited_ns = u64(attrs, IPM_NL_A_AGE);
	waiter->nr_ranges = get_ranges(attrs[IPM_NL_A_RANGES], ranges, IPM_CLAIM_RANGES_MAX);
	waiter->ranges = ranges;
	blocker->claim = u64(attrs, IPM_NL_A_BLOCKER_CLAIM);
	blocker->handle = u64(attrs, IPM_NL_A_BLOCKER_HANDLE);
	blocker->waits = u32(attrs, IPM_NL_A_BLOCKER_FLAGS) & IPM_NL_BLOCKER_WAITS;
	blocker->hidden = u32(attrs, IPM_NL_A_BLOCKER_FLAGS) & IPM_NL_BLOCKER_HIDDEN;
	if (!blocker->hidden) {
		blocker->pid = (int32_t)u32(attrs, IPM_NL_A_BLOCKER_PID);
		blocker->tid = (int32_t)u32(attrs, IPM_NL_A_BLOCKER_TID);
	}
	return waiter->nr_ranges;
}

static bool parse_doubt(struct nlattr *attrs[], ipm_monitor_doubt *doubt)
{
	static const uint8_t needed[] = {
		IPM_NL_A_SEGMENT, IPM_NL_A_OFFSET, IPM_NL_A_LENGTH, IPM_NL_A_TIME, 0
	};

	if (!has(attrs, needed))
		return false;
	doubt->segment = u32(attrs, IPM_NL_A_SEGMENT);
	doubt->merged = u32(attrs, IPM_NL_A_FLAGS) & IPM_DOUBT_MERGED;
	doubt->hidden = attrs[IPM_NL_A_HIDDEN];
	if (!doubt->hidden)
		doubt->pid = (int32_t)u32(attrs, IPM_NL_A_PID);
	doubt->offset = u64(attrs, IPM_NL_A_OFFSET);
	doubt->length = u64(attrs, IPM_NL_A_LENGTH);
	doubt->time_ns = (int64_t)u64(attrs, IPM_NL_A_TIME);
	return doubt->length && doubt->offset + doubt->length > doubt->offset;
}

static bool parse_limit(struct nlattr *attrs[], ipm_monitor_limit *limit)
{
	static const uint8_t needed[] = {
		IPM_NL_A_UID, IPM_NL_A_SEGMENTS_MAX, IPM_NL_A_HANDLES_MAX, IPM_NL_A_CLAIMS_MAX,
		IPM_NL_A_BYTES_MAX, 0
	};

	if (!has(attrs, needed))
		return false;
	limit->uid = u32(attrs, IPM_NL_A_UID);
	limit->segments_max = u64(attrs, IPM_NL_A_SEGMENTS_MAX);
	limit->segments = u64(attrs, IPM_NL_A_NR_SEGMENTS);
	limit->handles_max = u64(attrs, IPM_NL_A_HANDLES_MAX);
	limit->handles = u64(attrs, IPM_NL_A_HANDLES);
	limit->claims_max = u64(attrs, IPM_NL_A_CLAIMS_MAX);
	limit->claims = u64(attrs, IPM_NL_A_CLAIMS);
	limit->bytes_max = u64(attrs, IPM_NL_A_BYTES_MAX);
	limit->bytes = u64(attrs, IPM_NL_A_BYTES);
	return true;
}

static bool parse_event(struct nlattr *attrs[], ipm_monitor_event *event)
{
	static const uint8_t needed[] = { IPM_NL_A_EVENT, IPM_NL_A_SEQ, IPM_NL_A_TIME, 0 };
	uint32_t flags = u32(attrs, IPM_NL_A_FLAGS);

	if (!has(attrs, needed))
		return false;
	event->type = (ipm_monitor_event_type)u32(attrs, IPM_NL_A_EVENT);
	event->segment = u32(attrs, IPM_NL_A_SEGMENT);
	event->seq = u64(attrs, IPM_NL_A_SEQ);
	event->time_ns = (int64_t)u64(attrs, IPM_NL_A_TIME);
	event->name = text(attrs, IPM_NL_A_NAME);
	event->key = (int32_t)u32(attrs, IPM_NL_A_KEY);
	event->state = u32(attrs, IPM_NL_A_STATE);
	event->mode = u32(attrs, IPM_NL_A_MODE);
	get_who(attrs, &event->who);
	event->uid = u32(attrs, IPM_NL_A_UID);
	event->gid = u32(attrs, IPM_NL_A_GID);
	event->size = u64(attrs, IPM_NL_A_SIZE);
	event->capacity = u64(attrs, IPM_NL_A_CAPACITY);
	event->handle = u64(attrs, IPM_NL_A_HANDLE);
	event->claim = u64(attrs, IPM_NL_A_CLAIM);
	if (attrs[IPM_NL_A_RANGES]) {
		if (get_ranges(attrs[IPM_NL_A_RANGES], &event->range, 1) != 1)
			return false;
		event->nr_ranges = u64(attrs, IPM_NL_A_COUNT);
		if (!event->nr_ranges)
			return false;
	} else {
		event->count = u64(attrs, IPM_NL_A_COUNT);
	}
	event->async = flags & IPM_NL_WAIT_ASYNC;
	event->convert = flags & IPM_NL_WAIT_CONVERT;
	event->waited_ns = u64(attrs, IPM_NL_A_AGE);
	event->error = (int)u32(attrs, IPM_NL_A_ERROR);
	event->at_most = event->type == IPM_MONITOR_EVENT_LOST;
	event->doubts = u64(attrs, IPM_NL_A_DOUBTS);
	event->slot = attrs[IPM_NL_A_SLOT] ? u32(attrs, IPM_NL_A_SLOT) : IPM_MONITOR_NO_SLOT;
	/* Those that are lost are some of those that were counted. */
	return event->seq && event->type &&
	       (!event->at_most || (event->count && event->count <= event->seq));
}

bool monitor_parse(struct nlmsghdr *header, uint8_t command, union monitor_entry *entry,
		   ipm_monitor_range *ranges)
{
	struct nlattr *attrs[IPM_NL_A_MAX + 1];

	memset(entry, 0, sizeof(*entry));
	if (!attributes(header, command, attrs))
		return false;
	switch (command) {
	case IPM_NL_CMD_SEGMENTS:
		return parse_segment(attrs, &entry->segment);
	case IPM_NL_CMD_HANDLES:
		return parse_handle(attrs, &entry->handle);
	case IPM_NL_CMD_CLAIMS:
		return parse_claim(attrs, &entry->claim, ranges);
	case IPM_NL_CMD_WAITERS:
		return parse_waiter(attrs, &entry->waiter, ranges);
	case IPM_NL_CMD_DOUBTS:
		return parse_doubt(attrs, &entry->doubt);
	case IPM_NL_CMD_LIMITS:
		return parse_limit(attrs, &entry->limit);
	case IPM_NL_CMD_EVENT:
		return parse_event(attrs, &entry->event);
	default:
		return false;
	}
}

bool monitor_parse_subscribed(struct nlmsghdr *header, uint64_t *seq)
{
	struct nlattr *attrs[IPM_NL_A_MAX + 1];

	if (!attributes(header, IPM_NL_CMD_SUBSCRIBE, attrs) || !attrs[IPM_NL_A_SEQ])
		return false;
	*seq = u64(attrs, IPM_NL_A_SEQ);
	return true;
}
