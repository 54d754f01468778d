/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching: which segments there are, who has them open, who holds and who
 * waits for which bytes, what is in doubt, and what happens to them.
 *
 * These calls are in a library of their own, libipm-monitor, which asks the
 * module over generic netlink. They see the network namespace of the process at
 * the time of ipm_monitor_open(), and use no /dev/ipm.
 *
 * Lists. Each call that lists asks the module, and then calls back once for each
 * entry, in order. The kernel makes a long list in several steps; if what is
 * listed changed in between, the call asks again, some ten times, and only then
 * delivers a list that may lack what came, or show what went, while it was
 * made. @p_exact tells.
 *
 * Events. ipm_monitor_subscribe() says which; ipm_monitor_fd() becomes readable
 * when there are some; ipm_monitor_dispatch() calls back for each. The kernel
 * never waits for a reader: a slow one loses events, and is told so, and how many,
 * by an event %IPM_MONITOR_EVENT_LOST in their place. It should list again what
 * it keeps about the state; events and lists overlap then, none is missing.
 *
 * Rights. A monitor shows the segments that the process that opened it could
 * open for reading. Who has another user's handles and claims (@uid, @pid, @tid,
 * @comm) is told to owner and creator of the segment, and to who has
 * CAP_IPC_OWNER; else @hidden is true. A process that this one does not see
 * (another pid namespace) has the number 0.
 *
 * Names are bytes that other users chose. They may contain control characters:
 * escape them before they reach a terminal.
 *
 * Strings and arrays that a callback gets are valid until it returns. A callback
 * may not call the monitor that calls it; it returns true to go on.
 *
 * Threads. A monitor is used by one thread at a time. Several monitors are
 * independent. Fork. A child closes its parent's monitors without using them.
 *
 * Errors. Every call can return %IPM_RESULT_ERR_BAD_VALUE for a NULL where
 * something is needed, %IPM_RESULT_ERR_OUT_OF_MEMORY if the context's allocator
 * does, %IPM_RESULT_ERR_OS_OUT_OF_MEMORY, and %IPM_RESULT_ERR_OS_UNEXPECTED.
 * Each error is told to the report callback of the context.
 */
#ifndef IPM_MONITOR_H
#define IPM_MONITOR_H

#include <stdbool.h>

#include <ipm/ipm_common.h>
#include <ipm/ipm_error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A connection to the module that lists and follows. */
typedef struct ipm_monitor ipm_monitor;

/**
 * ipm_monitor_open() - connect to the module
 * @context: callbacks, or NULL for the defaults. libnl, which is used
 *	underneath, allocates a little memory with malloc() all the same
 * @p_monitor: receives the monitor; close it with ipm_monitor_close()
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NO_DEVICE the module is not
 * loaded; %IPM_RESULT_ERR_VERSION it is of a version that this library does not
 * know; %IPM_RESULT_ERR_MAX_FDS, %IPM_RESULT_ERR_MAX_FDS_SYS.
 */
IPM_API ipm_result ipm_monitor_open(const ipm_context *context, ipm_monitor **p_monitor);

/**
 * ipm_monitor_close() - end a monitor and its subscription
 * @monitor: the monitor, or NULL for nothing
 */
IPM_API void ipm_monitor_close(ipm_monitor *monitor);

/* ------------------------------------------------------------------------ */
/* Lists                                                                    */
/* ------------------------------------------------------------------------ */

/** States of a segment, in struct ipm_monitor_segment; the kernel's bits. */
#define IPM_MONITOR_PERSISTENT 0x1u	/* stays until it is removed */
#define IPM_MONITOR_REMOVED 0x2u	/* removed, and still used */
#define IPM_MONITOR_IN_DOUBT 0x4u	/* some bytes are in doubt */
#define IPM_MONITOR_PREALLOCATED 0x8u	/* its pages exist from the start */
#define IPM_MONITOR_NORESERVE 0x10u	/* no memory is reserved for it */

/**
 * struct ipm_monitor_segment - a segment
 * @id: its number in the namespace, 1 to 2^31 - 1
 * @state: %IPM_MONITOR_PERSISTENT and others
 * @name: its name, "" if it has none
 * @key: its key, 0 if it has none
 * @mode: permissions, within 0666
 * @uid: owner, as this process's user namespace sees it, as are
 * @gid: group,
 * @cuid: creator and
 * @cgid: creator's group
 * @creator_pid: process that created it, 0 if not visible, as is
 * @last_pid: the process that last mapped or unmapped it
 * @size: bytes
 * @capacity: bytes that it may grow to
 * @resident: bytes of pages that exist, in memory or in swap
 * @handles: open handles
 * @maps: mappings
 * @claims: claims held
 * @waiters: claims waited for
 * @doubts: ranges in doubt
 * @create_time_ns: CLOCK_REALTIME, as are
 * @change_time_ns: last change of size, rights, name or state,
 * @attach_time_ns: last mapping made, 0 if never, and
 * @detach_time_ns: last mapping gone, 0 if never
 * @waits: claims that have waited so far
 * @wait_ns: how long all together, in nanoseconds
 * @deadlocks: requests that were refused because they would have never ended
 * @deaths: processes that died holding claims
 * @doubt_events: write claims that ended by death
 */
typedef struct ipm_monitor_segment {
	uint32_t id;
	uint32_t state;
	const char *name;
	int32_t key;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t cuid;
	uint32_t cgid;
	int32_t creator_pid;
	int32_t last_pid;
	uint64_t size;
	uint64_t capacity;
	uint64_t resident;
	uint64_t handles;
	uint64_t maps;
	uint64_t claims;
	uint64_t waiters;
	uint64_t doubts;
	int64_t create_time_ns;
	int64_t change_time_ns;
	int64_t attach_time_ns;
	int64_t detach_time_ns;
	uint64_t waits;
	uint64_t wait_ns;
	uint64_t deadlocks;
	uint64_t deaths;
	uint64_t doubt_events;
} ipm_monitor_segment;

/** No slot, in struct ipm_monitor_handle. */
#define IPM_MONITOR_NO_SLOT UINT32_MAX

/**
 * struct ipm_monitor_who - a process and thread
 * @hidden: this monitor is not told who it is: the rest is 0 and ""
 * @uid: user, as this process's user namespace sees it
 * @pid: process, 0 if not visible
 * @tid: thread, 0 if not visible or of no importance
 * @comm: name of the thread, or of the process where @tid is 0; "" if it has
 *	ended
 */
typedef struct ipm_monitor_who {
	bool hidden;
	uint32_t uid;
	int32_t pid;
	int32_t tid;
	const char *comm;
} ipm_monitor_who;

/**
 * struct ipm_monitor_handle - an open handle
 * @segment: number of the segment
 * @access: read-only or read-write
 * @id: number of the handle, unique for the life of the segment
 * @who: the process that opened it; others may have got it from that one, by
 *	fork or over a socket
 * @slot: its slot, or %IPM_MONITOR_NO_SLOT
 * @mapped: mappings made through it that exist
 * @claims: its claims, held and asynchronously waited for
 */
typedef struct ipm_monitor_handle {
	uint32_t segment;
	ipm_access_mode access;
	uint64_t id;
	ipm_monitor_who who;
	uint32_t slot;
	uint32_t mapped;
	uint64_t claims;
} ipm_monitor_handle;

/**
 * struct ipm_monitor_range - some bytes of a segment
 * @offset: bytes from the start
 * @length: bytes
 * @mode: claimed for reading, or for reading and writing
 */
typedef struct ipm_monitor_range {
	uint64_t offset;
	uint64_t length;
	ipm_access_mode mode;
} ipm_monitor_range;

/**
 * struct ipm_monitor_claim - a claim that is held
 * @segment: number of the segment
 * @in_doubt: it was told that some of its bytes are in doubt
 * @handle: number of the handle
 * @id: number of the claim
 * @who: the thread that has it, and its process
 * @age_ns: since when it is held: nanoseconds ago, in steps of the kernel's clock
 *	tick
 * @nr_ranges: at least 1
 * @ranges: in order of their offsets
 */
typedef struct ipm_monitor_claim {
	uint32_t segment;
	bool in_doubt;
	uint64_t handle;
	ipm_id id;
	ipm_monitor_who who;
	uint64_t age_ns;
	size_t nr_ranges;
	const ipm_monitor_range *ranges;
} ipm_monitor_claim;

/**
 * struct ipm_monitor_blocker - a claim that is in the way of another
 * @claim: its number; 0 if the waiter is about to be granted, and the rest of
 *	this does not count
 * @handle: number of its handle
 * @waits: it is not held, but waits further in front
 * @hidden: this monitor is not told whose it is: @pid and @tid are 0
 * @pid: process of the thread that has it
 * @tid: thread
 */
typedef struct ipm_monitor_blocker {
	ipm_id claim;
	uint64_t handle;
	bool waits;
	bool hidden;
	int32_t pid;
	int32_t tid;
} ipm_monitor_blocker;

/**
 * struct ipm_monitor_waiter - a claim that is waited for
 * @segment: number of the segment
 * @async: it is asynchronous: no thread sleeps
 * @convert: a read claim that is to write
 * @handle: number of the handle
 * @id: number of the claim; with @convert the one that is held
 * @who: the thread that asked for it, and its process
 * @waited_ns: nanoseconds so far
 * @nr_ranges: at least 1
 * @ranges: in order of their offsets
 * @blocker: one claim that is in the way; there may be more. One that is held,
 *	where there is one
 */
typedef struct ipm_monitor_waiter {
	uint32_t segment;
	bool async;
	bool convert;
	uint64_t handle;
	ipm_id id;
	ipm_monitor_who who;
	uint64_t waited_ns;
	size_t nr_ranges;
	const ipm_monitor_range *ranges;
	ipm_monitor_blocker blocker;
} ipm_monitor_waiter;

/**
 * struct ipm_monitor_doubt - bytes that a dead writer left
 * @segment: number of the segment
 * @merged: covers bytes of several deaths, or between them
 * @hidden: this monitor is not told who it was: @pid is 0
 * @pid: who it was, 0 if not visible
 * @offset: bytes from the start
 * @length: bytes
 * @time_ns: when it died, CLOCK_REALTIME
 */
typedef struct ipm_monitor_doubt {
	uint32_t segment;
	bool merged;
	bool hidden;
	int32_t pid;
	uint64_t offset;
	uint64_t length;
	int64_t time_ns;
} ipm_monitor_doubt;

/**
 * struct ipm_monitor_limit - the limits of a user, and what there is
 * @uid: the user. What processes in a user namespace make is charged to the user
 *	who made that, unless it was root
 * @segments_max: segments that the user may have created
 * @segments: how many there are
 * @handles_max: open handles
 * @handles: how many there are
 * @claims_max: ranges of the claims held and waited for
 * @claims: how many there are
 * @bytes_max: bytes of all segments that the user may have created
 * @bytes: how many there are
 */
typedef struct ipm_monitor_limit {
	uint32_t uid;
	uint64_t segments_max;
	uint64_t segments;
	uint64_t handles_max;
	uint64_t handles;
	uint64_t claims_max;
	uint64_t claims;
	uint64_t bytes_max;
	uint64_t bytes;
} ipm_monitor_limit;

/** Called for each segment; @param is the caller's. Returns true to go on. */
typedef bool (*ipm_monitor_segment_callback)(const ipm_monitor_segment *segment, void *param);
/** Called for each handle; @param is the caller's. Returns true to go on. */
typedef bool (*ipm_monitor_handle_callback)(const ipm_monitor_handle *handle, void *param);
/** Called for each claim; @param is the caller's. Returns true to go on. */
typedef bool (*ipm_monitor_claim_callback)(const ipm_monitor_claim *claim, void *param);
/** Called for each waiter; @param is the caller's. Returns true to go on. */
typedef bool (*ipm_monitor_waiter_callback)(const ipm_monitor_waiter *waiter, void *param);
/** Called for each range in doubt; @param is the caller's. Returns true to go on. */
typedef bool (*ipm_monitor_doubt_callback)(const ipm_monitor_doubt *doubt, void *param);
/** Called for each user; @param is the caller's. Returns true to go on. */
typedef bool (*ipm_monitor_limit_callback)(const ipm_monitor_limit *limit, void *param);

/**
 * ipm_monitor_segments() - list segments
 * @monitor: the monitor
 * @segment: number of the only one wanted, 0 for all
 * @callback: called for each, in the order of their numbers
 * @param: handed to @callback
 * @p_exact: receives whether the list is that of one moment: no segment came or
 *	went while it was made. NULL if it does not matter
 *
 * Return: %IPM_RESULT_SUCCESS, also if the callback ended it;
 * %IPM_RESULT_ERR_DOES_NOT_EXIST there is no @segment; %IPM_RESULT_ERR_ACCESS its
 * mode does not allow to read it.
 */
IPM_API ipm_result ipm_monitor_segments(ipm_monitor *monitor, uint32_t segment,
					ipm_monitor_segment_callback callback, void *param,
					bool *p_exact);

/**
 * ipm_monitor_handles() - list open handles
 * @monitor: the monitor
 * @segment: number of the only segment wanted, 0 for all
 * @callback: called for each, by segment, in the order they were opened
 * @param: handed to @callback
 * @p_exact: receives whether no segment came or went, and no handle of a segment
 *	while those were listed. NULL if it does not matter
 *
 * Return: as ipm_monitor_segments().
 */
IPM_API ipm_result ipm_monitor_handles(ipm_monitor *monitor, uint32_t segment,
				       ipm_monitor_handle_callback callback, void *param,
				       bool *p_exact);

/**
 * ipm_monitor_claims() - list claims that are held
 * @monitor: the monitor
 * @segment: number of the only segment wanted, 0 for all
 * @callback: called for each, by segment, handle and number
 * @param: handed to @callback
 * @p_exact: receives whether no segment came or went, and no claim of a segment
 *	while those were listed. NULL if it does not matter
 *
 * Return: as ipm_monitor_segments().
 */
IPM_API ipm_result ipm_monitor_claims(ipm_monitor *monitor, uint32_t segment,
				      ipm_monitor_claim_callback callback, void *param,
				      bool *p_exact);

/**
 * ipm_monitor_waiters() - list claims that are waited for
 * @monitor: the monitor
 * @segment: number of the only segment wanted, 0 for all
 * @callback: called for each, by segment, first in line first
 * @param: handed to @callback
 * @p_exact: as in ipm_monitor_claims()
 *
 * Return: as ipm_monitor_segments().
 */
IPM_API ipm_result ipm_monitor_waiters(ipm_monitor *monitor, uint32_t segment,
				       ipm_monitor_waiter_callback callback, void *param,
				       bool *p_exact);

/**
 * ipm_monitor_doubts() - list bytes in doubt
 * @monitor: the monitor
 * @segment: number of the only segment wanted, 0 for all
 * @callback: called for each range, by segment, in the order of their offsets
 * @param: handed to @callback
 * @p_exact: as in ipm_monitor_claims()
 *
 * Return: as ipm_monitor_segments().
 */
IPM_API ipm_result ipm_monitor_doubts(ipm_monitor *monitor, uint32_t segment,
				      ipm_monitor_doubt_callback callback, void *param,
				      bool *p_exact);

/**
 * ipm_monitor_limits() - list limits, and how far they are used
 * @monitor: the monitor
 * @callback: called for this user, or with CAP_IPC_OWNER for each user who has
 *	something, in the order of their numbers
 * @param: handed to @callback
 *
 * Return: %IPM_RESULT_SUCCESS, also if the callback ended it.
 */
IPM_API ipm_result ipm_monitor_limits(ipm_monitor *monitor, ipm_monitor_limit_callback callback,
				      void *param);

/* ------------------------------------------------------------------------ */
/* Events                                                                   */
/* ------------------------------------------------------------------------ */

/** Groups of events, for ipm_monitor_subscribe(). */
#define IPM_MONITOR_LIFE 0x1u		/* segments come, change and go */
#define IPM_MONITOR_CLAIMS 0x2u		/* long waits, deadlocks, bytes in doubt */
#define IPM_MONITOR_DEATHS 0x4u		/* processes died with claims or slots */
#define IPM_MONITOR_ALL 0x7u

/** enum ipm_monitor_event_type - what happened; the kernel's numbers */
typedef enum ipm_monitor_event_type {
	/** Events were lost here: @count of them, or at most so many (@at_most). */
	IPM_MONITOR_EVENT_LOST = 1,
	/** Life: a segment was created. */
	IPM_MONITOR_EVENT_CREATED = 2,
	/** Life: a private segment got its name or key. */
	IPM_MONITOR_EVENT_LINKED = 3,
	/** Life: a segment has grown to @size. */
	IPM_MONITOR_EVENT_GROWN = 4,
	/** Life: mode, owner, group or lifetime was set. */
	IPM_MONITOR_EVENT_SET = 5,
	/** Life: a segment was removed; its name is free. */
	IPM_MONITOR_EVENT_REMOVED = 6,
	/** Life: the last user of a segment went, and with it the segment. */
	IPM_MONITOR_EVENT_GONE = 7,
	/** Claims: one waits longer than the module's parameter wait_event_ms. */
	IPM_MONITOR_EVENT_WAIT = 8,
	/** Claims: one that waited longer than that ended its wait. */
	IPM_MONITOR_EVENT_WAIT_END = 9,
	/** Claims: a request was refused, since it would have waited forever. */
	IPM_MONITOR_EVENT_DEADLOCK = 10,
	/** Claims: one was granted that has bytes in doubt. */
	IPM_MONITOR_EVENT_DOUBT = 11,
	/** Deaths: a process ended holding claims. */
	IPM_MONITOR_EVENT_DEATH = 12,
	/** Deaths: a process ended that had a slot. */
	IPM_MONITOR_EVENT_SLOT_DEATH = 13
} ipm_monitor_event_type;

/**
 * struct ipm_monitor_event - something that happened
 *
 * What an event does not tell is 0, "" or NULL. There may be types that this
 * header does not know; skip them.
 *
 * @type: what happened
 * @segment: number of the segment; 0 for %IPM_MONITOR_EVENT_LOST
 * @seq: number of the event, the first of a subscription is 1
 * @time_ns: when, CLOCK_REALTIME
 * @who: who did it, waits, or died
 * @name: name of the segment, told by created, linked, removed and gone
 * @key: its key, told like @name
 * @state: %IPM_MONITOR_PERSISTENT and others, told by created and set, as are
 * @mode: permissions
 * @uid: owner and
 * @gid: group
 * @size: bytes; told by created and grown
 * @capacity: bytes; told by created
 * @handle: number of the handle; told by all of claims and deaths
 * @claim: number of the claim; told by all of claims
 * @range: its first range
 * @nr_ranges: how many it has
 * @async: nobody sleeps on it
 * @convert: it is a read claim that is to write
 * @waited_ns: told by wait, wait end and deadlock: nanoseconds
 * @error: told by wait end: 0 granted, else the errno that the wait ended with
 * @count: lost: how many events; death: how many claims
 * @at_most: lost: the kernel could not tell which of them were for this monitor
 * @doubts: death: how many of the claims were to write
 * @slot: slot death: the slot, else %IPM_MONITOR_NO_SLOT
 */
typedef struct ipm_monitor_event {
	ipm_monitor_event_type type;
	uint32_t segment;
	uint64_t seq;
	int64_t time_ns;
	ipm_monitor_who who;
	const char *name;
	int32_t key;
	uint32_t state;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint64_t size;
	uint64_t capacity;
	uint64_t handle;
	ipm_id claim;
	ipm_monitor_range range;
	size_t nr_ranges;
	bool async;
	bool convert;
	uint64_t waited_ns;
	int error;
	uint64_t count;
	bool at_most;
	uint64_t doubts;
	uint32_t slot;
} ipm_monitor_event;

/** Called for each event; @param is the caller's. Returns true to go on. */
typedef bool (*ipm_monitor_event_callback)(const ipm_monitor_event *event, void *param);

/**
 * ipm_monitor_subscribe() - say which events to hear
 * @monitor: the monitor
 * @groups: %IPM_MONITOR_LIFE and others; 0 for none any more
 * @segment: number of the only segment to hear of, 0 for all. It need not exist
 *	yet
 *
 * Takes the place of the former subscription; events that were not dispatched yet
 * are dropped. What happens from the return of this call on is heard: subscribe
 * first and list then, and nothing falls between.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE unknown groups;
 * %IPM_RESULT_ERR_LIMIT too many subscriptions in the namespace.
 */
IPM_API ipm_result ipm_monitor_subscribe(ipm_monitor *monitor, uint32_t groups,
					 uint32_t segment);

/**
 * ipm_monitor_fd() - the file descriptor for poll() and epoll
 * @monitor: the monitor
 *
 * It is readable (POLLIN, or POLLERR after a loss) when ipm_monitor_dispatch() has
 * something to do. It belongs to the monitor: only wait for it.
 *
 * Return: a file descriptor, -1 for NULL.
 */
IPM_API int ipm_monitor_fd(const ipm_monitor *monitor);

/**
 * ipm_monitor_dispatch() - call back for events
 * @monitor: the monitor
 * @deadline: until when to wait for the first one, see %IPM_DEADLINE_NOW. Where events
 *	come faster than @callback takes them, the call ends soon after it, too
 * @callback: called for each event that is there. One that returns false ends the
 *	call; what was not delivered stays for the next
 * @param: handed to @callback
 *
 * Return: %IPM_RESULT_SUCCESS at least one was delivered;
 * %IPM_RESULT_ERR_WOULD_BLOCK there was none, and @deadline is
 * %IPM_DEADLINE_NOW; %IPM_RESULT_ERR_TIMEOUT none came in time;
 * %IPM_RESULT_INTERRUPTED a signal handler ran first; %IPM_RESULT_ERR_BAD_INIT
 * nothing is subscribed to.
 */
IPM_API ipm_result ipm_monitor_dispatch(ipm_monitor *monitor, int64_t deadline,
					ipm_monitor_event_callback callback, void *param);

#ifdef __cplusplus
}
#endif

#endif /* IPM_MONITOR_H */
