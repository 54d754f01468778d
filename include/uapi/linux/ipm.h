/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * IPM: shared memory that survives the crash of its users.
 *
 * The ABI of /dev/ipm and of the generic netlink family: the one definition
 * that the module and every user of it share. Rules of the ioctls: fixed-width
 * types, no implicit padding, pointers only as __u64, the same layout for 32-
 * and 64-bit callers. Structures grow at their end: the size is part of the
 * ioctl number, a caller may hand in a longer structure whose unknown tail is
 * zero (else E2BIG), or a shorter one that ends after a field that a former
 * version ended with (else EINVAL). Unknown flags and reserved fields that are
 * not zero are refused with EINVAL.
 *
 * Two kinds of file descriptor take these ioctls:
 *
 *   device   /dev/ipm itself: finds, makes and removes segments
 *   handle   what CREATE, OPEN and REOPEN return: one open file description
 *            on one segment, read-only or read-write; mmap it to see the
 *            pages, poll it to hear of asynchronous claims, pass it on over a
 *            UNIX socket
 *
 * A call that fails has changed nothing, unless its description says so.
 *
 * Errors that every ioctl can return:
 *
 *   ENOTTY     not an ioctl of this kind of file descriptor
 *   EINVAL     unknown flag, reserved field not zero, a size that no version
 *              of the structure had, or as the call describes
 *   E2BIG      the structure is longer than this module knows, and the part
 *              that it does not know is not zero
 *   EFAULT     a pointer that cannot be read or written. Results are written
 *              before anything becomes visible; where a result can only be
 *              known afterwards, the call is undone. What CONVERT,
 *              RELEASE_ALL, CLEAR_CLAIMS and a CLAIM that releases have done
 *              cannot be: they try first whether the result can be written,
 *              and stay done if that changes in the course of the call
 *   ENOMEM     no kernel memory, or the memory cgroup is full
 *
 * Errors by call:
 *
 *   CREATE     EINVAL a size of 0 without EMPTY, capacity below size, mode outside 0666,
 *              access or by unknown, key 0, name empty, "." or "..", or with
 *              '/'; ENAMETOOLONG name without NUL in its 256 bytes; EFBIG
 *              size or capacity beyond IPM_CAPACITY_MAX or, for size, the
 *              caller's RLIMIT_FSIZE; EEXIST it exists and EXCLUSIVE is set;
 *              EINTR a signal while pages were being allocated;
 *              ENOSPC a limit (segments, handles or bytes); EMFILE, ENFILE no
 *              file descriptor; and those of OPEN where the segment exists
 *              (EINVAL too when it is smaller than asked)
 *   OPEN       ENOENT no such segment; EACCES its mode does not allow it;
 *              EINVAL, ENAMETOOLONG as CREATE; EIDRM removed, but still used
 *              by others (by id only); ENOSPC limit of handles; EMFILE, ENFILE
 *   REMOVE     ENOENT, EIDRM, EINVAL, ENAMETOOLONG as OPEN; EPERM neither
 *              owner nor creator, and without CAP_IPC_OWNER, also of one that
 *              was removed
 *   LINK       EEXIST the name or key is taken, or this segment has one
 *              already; EIDRM it was removed; EPERM as REMOVE; EINVAL,
 *              ENAMETOOLONG as CREATE
 *   INFO       on the device: ENOENT, EIDRM, EACCES, EINVAL, ENAMETOOLONG as
 *              OPEN for reading; EINVAL REMOVED or NEXT not by id, READ or WRITE
 *              without FIND, FIND with NEXT, any of them on a handle
 *   MAPPING    ENOENT no mapping of a segment there or above
 *   SET        EPERM as REMOVE; EINVAL mode outside 0666, or a uid or gid that
 *              the caller's user namespace does not map; EIDRM lifetime of a
 *              removed segment; on the device ENOENT no such segment, EINVAL
 *              an id of 0
 *   GROW       EBADF read-only handle; EINVAL smaller than it is; EFBIG beyond
 *              the capacity or RLIMIT_FSIZE; ENOSPC limit of bytes; EINTR a
 *              signal while pages were being allocated
 *   REOPEN     EACCES more access than the handle has; ENOSPC, EMFILE, ENFILE
 *   CLAIM      EINVAL length 0, unknown mode, a negative deadline or one
 *              without the flag, more than IPM_CLAIM_RANGES_MAX ranges or
 *              IPM_CLAIM_RELEASES_MAX releases, ranges of one request that
 *              overlap; EOVERFLOW offset + length overflows; EFBIG beyond the
 *              capacity; EBADF a write claim on a read-only handle; ENOENT or
 *              EIDRM an id to release, as RELEASE (nothing is released then);
 *              EAGAIN it would wait, and TRY is set; ETIMEDOUT; EINTR a
 *              signal; EDEADLK waiting would close a cycle (of threads that
 *              wait; for an asynchronous claim, of claims in front of which it
 *              would stand; the search looks at 16384 claims at most, beside
 *              262144 that wait and are in nobody's way, and lets the request
 *              wait when there are more); EIDRM the segment was
 *              removed and UNTIL_REMOVED is set; ENOSPC limit of claims.
 *              A request that has to wait first releases what it is told to
 *              release; that stays released when the wait then fails
 *   CONVERT    EINVAL, EBADF, EAGAIN, ETIMEDOUT, EINTR, EDEADLK, EIDRM as
 *              CLAIM; ENOENT, EIDRM as RELEASE, also when the claim is lost
 *              while waiting; EAGAIN an asynchronous claim that was not
 *              granted yet; EBUSY another thread is converting it. The claim
 *              stays as it was when converting fails
 *   RELEASE    ENOENT this handle has no claim of that id; EIDRM it had, or may
 *              have had, but CLEAR_CLAIMS ended it
 *   COLLECT    ENOENT, EIDRM as RELEASE; EAGAIN still waiting; ETIMEDOUT,
 *              EIDRM, ECANCELED the claim ended so (see struct ipm_event), and
 *              is gone now
 *   CLEAR_CLAIMS  EPERM neither owner nor creator, and without CAP_IPC_OWNER
 *   DOUBT      EINVAL more than IPM_DOUBT_MAX entries asked for, an array
 *              without room, or an offset without a length; EOVERFLOW, EFBIG
 *              as CLAIM
 *   RECOVERED  EBADF read-only handle; EACCES no one write claim of this
 *              handle covers the range; EINVAL length 0; EOVERFLOW, EFBIG as
 *              CLAIM
 *   SLOT       EBADF read-only handle; ENOSPC all slots are taken: reap dead
 *              ones; EBUSY the handle's slot belongs to another process; with
 *              GIVE: ENOENT the handle has none
 *   REAP       EBADF read-only handle; EBUSY it is alive; ENOENT it is free, or
 *              dead in another generation
 *   RING       EBADF read-only handle; EINVAL no bits, or a slot without the
 *              flag; ENOENT that slot is not alive
 *   SUBSCRIBE  EINVAL unknown events
 *   mmap       EINVAL beyond the capacity, or the status page at any but its
 *              own offset and size; EACCES writable on a read-only handle, or
 *              executable, or the status page writable; on the device ENOENT
 *              no such segment; EACCES its mode does not allow it, or
 *              executable; EINVAL an offset that is none of IPM_ATTACH_OFFSET,
 *              private, or more pages than the segment has
 *
 * A signal that runs a handler ends a wait with EINTR; deadlines are absolute,
 * so the caller can call again as before. A process that is stopped and
 * continued goes on waiting, from the end of the line.
 */
#ifndef _UAPI_LINUX_IPM_H
#define _UAPI_LINUX_IPM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Raised when something is added; what exists keeps its meaning. */
#define IPM_ABI_VERSION		1

/* Bytes of a name, its terminating NUL included. */
#define IPM_NAME_SIZE		256

/* Bytes of the largest capacity. */
#define IPM_CAPACITY_MAX	(1ULL << 43)

/*
 * Offset at which a handle maps its status page; bytes of that map without and
 * with the slots, rounded up to whole pages; offset of the slots in it.
 */
#define IPM_STATUS_OFFSET	(1ULL << 43)
#define IPM_STATUS_SIZE		4096
#define IPM_STATUS_SLOTS	4096
#define IPM_STATUS_SLOTS_SIZE	(IPM_STATUS_SLOTS + 4 * IPM_SLOTS_MAX)

/*
 * Offset at which the device maps the segment of a number, from its beginning,
 * removed or not, without a handle: read-only, and never to be written to, if
 * the device was opened for reading, else with the rights to read and write.
 */
#define IPM_ATTACH_SHIFT	16
#define IPM_ATTACH_OFFSET(id)	((__u64)(id) << IPM_ATTACH_SHIFT)

/* Slots of one segment. */
#define IPM_SLOTS_MAX		4096

/* How a segment is meant: struct ipm_ref. */
#define IPM_BY_NONE		0	/* on a handle: its own; CREATE: private */
#define IPM_BY_NAME		1
#define IPM_BY_KEY		2
#define IPM_BY_ID		3

/* Access of a handle. */
#define IPM_READ_ONLY		0
#define IPM_READ_WRITE		1

/* Mode of a claim. */
#define IPM_CLAIM_READ		0
#define IPM_CLAIM_WRITE		1

/**
 * struct ipm_ref - which segment
 * @by: IPM_BY_*
 * @key: the key if @by is IPM_BY_KEY, never 0 then; else 0
 * @id: the id if @by is IPM_BY_ID; else 0
 * @reserved: 0
 * @name: the name if @by is IPM_BY_NAME: 1 to 255 bytes without '/', and a
 *	NUL; what follows the NUL does not matter. Else its first byte is 0
 */
struct ipm_ref {
	__u32 by;
	__s32 key;
	__u32 id;
	__u32 reserved;
	char name[IPM_NAME_SIZE];
};

/* Feature bits of struct ipm_version. */
#define IPM_FEATURE_CLAIMS	(1ULL << 0)	/* CLAIM, RELEASE, RELEASE_ALL */
#define IPM_FEATURE_CONVERT	(1ULL << 1)	/* CONVERT */
#define IPM_FEATURE_RANGES	(1ULL << 2)	/* several ranges in one CLAIM */
#define IPM_FEATURE_ASYNC	(1ULL << 3)	/* asynchronous claims */
#define IPM_FEATURE_DEADLOCK	(1ULL << 4)	/* deadlock detection */
#define IPM_FEATURE_DOUBT	(1ULL << 5)	/* DOUBT, RECOVERED */
#define IPM_FEATURE_STATUS	(1ULL << 6)	/* status page */
#define IPM_FEATURE_SLOTS	(1ULL << 7)	/* SLOT, REAP */
#define IPM_FEATURE_DOORBELL	(1ULL << 8)	/* RING, SUBSCRIBE */
#define IPM_FEATURE_NETLINK	(1ULL << 9)	/* the generic netlink family */
#define IPM_FEATURE_SYSV	(1ULL << 10)	/* flags of INFO, SET on the device,
						 * MAPPING, CREATE_EMPTY, mmap of
						 * the device
						 */

/**
 * struct ipm_version - IPM_IOC_VERSION, on device and handle
 * @flags: in: 0
 * @abi: out: IPM_ABI_VERSION of the module
 * @features: out: IPM_FEATURE_* bits
 * @capacity_max: out: bytes of the largest capacity
 * @name_size: out: IPM_NAME_SIZE
 * @ranges_max: out: ranges in one claim
 * @releases_max: out: releases in one claim
 * @doubt_max: out: ranges in doubt that are kept apart in one segment
 * @slots_max: out: slots of one segment
 * @reserved: in: 0
 * @release: out: version of the module, NUL-terminated
 */
struct ipm_version {
	__u32 flags;
	__u32 abi;
	__u64 features;
	__u64 capacity_max;
	__u32 name_size;
	__u32 ranges_max;
	__u32 releases_max;
	__u32 doubt_max;
	__u32 slots_max;
	__u32 reserved;
	char release[32];
};

/**
 * struct ipm_limits - IPM_IOC_LIMITS, on the device
 *
 * Limits are parameters of the module and hold for each user. In a user
 * namespace that a user other than root made, that user's limits hold for
 * everybody inside. The counts are the caller's.
 *
 * @flags: in: 0
 * @reserved: in: 0
 * @segments_max: out: segments that a user may have created
 * @segments: out: how many there are
 * @handles_max: out: open handles
 * @handles: out
 * @claims_max: out: ranges of the claims held and waited for
 * @claims: out
 * @bytes_max: out: sum of the sizes of the segments created, in bytes
 * @bytes: out
 */
struct ipm_limits {
	__u32 flags;
	__u32 reserved;
	__u64 segments_max;
	__u64 segments;
	__u64 handles_max;
	__u64 handles;
	__u64 claims_max;
	__u64 claims;
	__u64 bytes_max;
	__u64 bytes;
};

/* Flags of struct ipm_create. */
#define IPM_CREATE_EXCLUSIVE	(1U << 0)	/* fail if it exists */
#define IPM_CREATE_PERSISTENT	(1U << 1)	/* stays until removed */
#define IPM_CREATE_PREALLOCATE	(1U << 2)	/* pages now, ENOMEM now */
#define IPM_CREATE_NORESERVE	(1U << 3)	/* reserve no memory for the size */
#define IPM_CREATE_NO_CLOEXEC	(1U << 4)	/* the handle survives exec */
#define IPM_CREATE_EMPTY	(1U << 5)	/* a size of 0 is meant so */

/**
 * struct ipm_create - IPM_IOC_CREATE, on the device
 *
 * Makes a segment filled with zeros and returns a handle on it: the result
 * of the ioctl is the new file descriptor. Without EXCLUSIVE, a segment that
 * exists under that name or key is opened instead; size must then not exceed
 * its size, and capacity, mode and the other flags do not matter.
 *
 * @ref: in: by name or key, or IPM_BY_NONE for a private segment
 * @size: in: bytes, 0 with IPM_CREATE_EMPTY only; out: bytes of the segment
 * @capacity: in: bytes that it may grow to, 0 for @size; out: the segment's
 * @flags: in: IPM_CREATE_*
 * @access: in: IPM_READ_ONLY or IPM_READ_WRITE
 * @mode: in: permissions, within 0666; not changed by the umask
 * @id: out: number of the segment in its namespace, 1 to 2^31 - 1
 * @created: out: 1 if it was made, 0 if it existed
 * @reserved: in: 0
 */
struct ipm_create {
	struct ipm_ref ref;
	__u64 size;
	__u64 capacity;
	__u32 flags;
	__u32 access;
	__u32 mode;
	__u32 id;
	__u32 created;
	__u32 reserved;
};

/* Flags of struct ipm_open. */
#define IPM_OPEN_NO_CLOEXEC	(1U << 0)	/* the handle survives exec */
#define IPM_OPEN_REMOVED	(1U << 1)	/* by id: although it was removed */

/**
 * struct ipm_open - IPM_IOC_OPEN on the device, IPM_IOC_REOPEN on a handle
 *
 * The result of the ioctl is the new file descriptor. REOPEN makes another
 * handle, with claims of its own, on the segment of the handle that it is
 * called on; @ref is IPM_BY_NONE, and the access the same or less.
 *
 * @ref: in: by name, key or id
 * @flags: in: IPM_OPEN_*
 * @access: in: IPM_READ_ONLY or IPM_READ_WRITE
 * @size: out: bytes
 * @capacity: out: bytes
 * @id: out: number of the segment
 * @reserved: in: 0
 */
struct ipm_open {
	struct ipm_ref ref;
	__u32 flags;
	__u32 access;
	__u64 size;
	__u64 capacity;
	__u32 id;
	__u32 reserved;
};

/**
 * struct ipm_remove - IPM_IOC_REMOVE, on device and handle
 *
 * The name or key is free at once. Who has the segment open or mapped keeps
 * it; it ends with the last of them.
 *
 * @ref: in: by name, key or id; on a handle also IPM_BY_NONE: its segment
 * @flags: in: 0
 * @reserved: in: 0
 */
struct ipm_remove {
	struct ipm_ref ref;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct ipm_link - IPM_IOC_LINK, on a handle
 *
 * Gives a private segment its name or key: fill it first, then link it, and
 * nobody ever finds it half made.
 *
 * @ref: in: by name or key
 * @flags: in: 0
 * @reserved: in: 0
 */
struct ipm_link {
	struct ipm_ref ref;
	__u32 flags;
	__u32 reserved;
};

/* State of a segment, in struct ipm_info and struct ipm_status. */
#define IPM_STATE_PERSISTENT	(1U << 0)
#define IPM_STATE_REMOVED	(1U << 1)
#define IPM_STATE_IN_DOUBT	(1U << 2)	/* some bytes are in doubt */
#define IPM_STATE_PREALLOCATED	(1U << 3)
#define IPM_STATE_NORESERVE	(1U << 4)

/* Flags of struct ipm_info, on the device. */
#define IPM_INFO_REMOVED	(1U << 0)	/* by id: although it was removed */
#define IPM_INFO_NEXT		(1U << 1)	/* by id: or the first one after it
						 * that the caller may read
						 */
#define IPM_INFO_FIND		(1U << 2)	/* tell @ref.id, @state, @size and
						 * @capacity and no more, which
						 * needs no right
						 */
#define IPM_INFO_READ		(1U << 3)	/* FIND: needs the right to read */
#define IPM_INFO_WRITE		(1U << 4)	/* FIND: needs the right to write */

/**
 * struct ipm_info - IPM_IOC_INFO, on device and handle
 * @ref: in: by name, key or id on the device, IPM_BY_NONE on a handle; out:
 *	@ref.by IPM_BY_NAME, IPM_BY_KEY or IPM_BY_NONE with name or key, @ref.id
 * @flags: in: IPM_INFO_*, 0 on a handle
 * @state: out: IPM_STATE_* bits
 * @size: out: bytes
 * @capacity: out: bytes
 * @resident: out: bytes of pages that exist, in memory or in swap
 * @mode: out: permissions
 * @uid: out: owner, as the caller's user namespace sees it, as are
 * @gid: out: group,
 * @cuid: out: creator and
 * @cgid: out: creator's group
 * @creator_pid: out: process that created it, 0 if not visible, as is
 * @last_pid: out: the process that last mapped or unmapped it
 * @handles: out: open handles
 * @maps: out: mappings of its pages
 * @claims: out: claims held
 * @waiters: out: claims waited for
 * @doubts: out: ranges in doubt
 * @create_time: out: CLOCK_REALTIME in nanoseconds, as are
 * @change_time: out: last SET, LINK or GROW,
 * @attach_time: out: last mapping made, 0 if never, and
 * @detach_time: out: last mapping gone, 0 if never
 * @waits: out: how many claims have waited so far
 * @wait_ns: out: how long all together, in nanoseconds
 * @deadlocks: out: requests refused with EDEADLK
 * @deaths: out: processes that died holding a claim
 * @doubt_events: out: write claims that ended by death
 * @reserved: in: 0
 */
struct ipm_info {
	struct ipm_ref ref;
	__u32 flags;
	__u32 state;
	__u64 size;
	__u64 capacity;
	__u64 resident;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 cuid;
	__u32 cgid;
	__s32 creator_pid;
	__s32 last_pid;
	__u32 handles;
	__u32 maps;
	__u32 claims;
	__u32 waiters;
	__u32 doubts;
	__s64 create_time;
	__s64 change_time;
	__s64 attach_time;
	__s64 detach_time;
	__u64 waits;
	__u64 wait_ns;
	__u64 deadlocks;
	__u64 deaths;
	__u64 doubt_events;
	__u64 reserved;
};

/* What IPM_IOC_SET changes. */
#define IPM_SET_MODE		(1U << 0)
#define IPM_SET_UID		(1U << 1)
#define IPM_SET_GID		(1U << 2)
#define IPM_SET_LIFETIME	(1U << 3)

/**
 * struct ipm_mapping - IPM_IOC_MAPPING, on the device
 *
 * The first mapping of a segment's pages, whole or in part, in the caller's
 * address space that ends above an address. Parts that were unmapped or got
 * another protection divide a mapping into several.
 *
 * @address: in: where to look from; out: where it starts
 * @length: in: 0; out: bytes mapped there
 * @offset: in: 0; out: of the first of them in the segment
 * @size: in: 0; out: bytes of the segment
 * @flags: in: 0
 * @id: in: 0; out: number of the segment, 0 if it belongs to another
 *	namespace than the device
 */
struct ipm_mapping {
	__u64 address;
	__u64 length;
	__u64 offset;
	__u64 size;
	__u32 flags;
	__u32 id;
};

/**
 * struct ipm_set - IPM_IOC_SET, on a handle, or on the device by id
 * @what: in: IPM_SET_* bits, at least one; fields not meant are 0
 * @mode: in: permissions, within 0666
 * @uid: in: new owner, as the caller's user namespace sees it
 * @gid: in: new group, as the caller's user namespace sees it
 * @persistent: in: 1 to stay until removed, 0 to end with its last user
 * @id: in: on the device, number of the segment, removed or not, whose owner
 *	needs no right to read it; on a handle 0
 */
struct ipm_set {
	__u32 what;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 persistent;
	__u32 id;
};

/* Flags of struct ipm_grow. */
#define IPM_GROW_PREALLOCATE	(1U << 0)	/* pages now, ENOMEM now */

/**
 * struct ipm_grow - IPM_IOC_GROW, on a read-write handle
 *
 * Every mapping of the segment sees the new bytes, which are zero, at once:
 * they lie inside the part of the map that had no pages so far.
 *
 * @size: in: bytes; out: bytes of the segment
 * @flags: in: IPM_GROW_*; a preallocated segment grows preallocated without
 * @reserved: in: 0
 */
struct ipm_grow {
	__u64 size;
	__u32 flags;
	__u32 reserved;
};

/* Most ranges, and most releases, in one CLAIM. */
#define IPM_CLAIM_RANGES_MAX	256
#define IPM_CLAIM_RELEASES_MAX	256

/* Flags of struct ipm_claim and struct ipm_convert. */
#define IPM_CLAIM_TRY		(1U << 0)	/* EAGAIN instead of a wait */
#define IPM_CLAIM_DEADLINE	(1U << 1)	/* the deadline field counts */
#define IPM_CLAIM_NO_DEADLOCK	(1U << 2)	/* do not look for deadlocks */
#define IPM_CLAIM_UNTIL_REMOVED	(1U << 3)	/* removal ends the wait: EIDRM */
#define IPM_CLAIM_ASYNC		(1U << 4)	/* CLAIM only: do not wait */

/* Results of a claim. */
#define IPM_GRANT_IN_DOUBT	(1U << 0)	/* a dead writer's bytes: see DOUBT */
#define IPM_GRANT_PENDING	(1U << 1)	/* asynchronous, not granted yet */
#define IPM_GRANT_WAITED	(1U << 2)	/* it was not granted at once */

/**
 * struct ipm_range - some bytes of a segment
 * @offset: bytes from the start
 * @length: bytes, not 0
 * @mode: IPM_CLAIM_READ or IPM_CLAIM_WRITE
 * @reserved: 0
 */
struct ipm_range {
	__u64 offset;
	__u64 length;
	__u32 mode;
	__u32 reserved;
};

/**
 * struct ipm_claim - IPM_IOC_CLAIM, on a handle
 *
 * Claims conflict when they belong to different handles, overlap, and at
 * least one of them writes. A request waits for claims that it conflicts
 * with, and behind earlier requests that it conflicts with; a request for
 * bytes that its handle holds already does not queue behind others. Several
 * ranges are granted all together or not at all.
 *
 * @offset: in: bytes from the start, if @nr_ranges is 0; else 0
 * @length: in: bytes, if @nr_ranges is 0; else 0
 * @ranges: in: pointer to @nr_ranges struct ipm_range, in any order, none
 *	overlapping another; else 0
 * @release: in: pointer to @nr_release __u64, ids of claims of this handle
 *	that are released when the new claim is granted, or before it waits;
 *	else 0
 * @deadline: in: CLOCK_MONOTONIC in nanoseconds, with IPM_CLAIM_DEADLINE; one
 *	that has passed means ETIMEDOUT where it would wait. An asynchronous
 *	claim ends within a timer tick after it. Else 0
 * @cookie: in: anything; comes back in the event of an asynchronous claim
 * @mode: in: IPM_CLAIM_READ or IPM_CLAIM_WRITE, if @nr_ranges is 0; else 0
 * @flags: in: IPM_CLAIM_*
 * @nr_ranges: in
 * @nr_release: in
 * @id: out: number of the claim, unique in the segment, never 0
 * @result: out: IPM_GRANT_* bits
 * @reserved: in: 0
 */
struct ipm_claim {
	__u64 offset;
	__u64 length;
	__u64 ranges;
	__u64 release;
	__s64 deadline;
	__u64 cookie;
	__u32 mode;
	__u32 flags;
	__u32 nr_ranges;
	__u32 nr_release;
	__u64 id;
	__u32 result;
	__u32 reserved;
};

/**
 * struct ipm_convert - IPM_IOC_CONVERT, on a handle
 *
 * Changes every range of a claim to read or to write. To read is done at
 * once. To write waits until no other handle's claim overlaps, ahead of all
 * requests that wait; two that wait for each other are a deadlock, and the
 * second gets EDEADLK.
 *
 * @id: in: the claim
 * @deadline: in: as in struct ipm_claim
 * @mode: in: IPM_CLAIM_READ or IPM_CLAIM_WRITE
 * @flags: in: IPM_CLAIM_* but ASYNC
 * @result: out: IPM_GRANT_* bits
 * @reserved: in: 0
 */
struct ipm_convert {
	__u64 id;
	__s64 deadline;
	__u32 mode;
	__u32 flags;
	__u32 result;
	__u32 reserved;
};

/**
 * struct ipm_release - IPM_IOC_RELEASE, on a handle
 *
 * Also cancels an asynchronous claim that was not granted yet.
 *
 * @id: in: the claim
 * @flags: in: 0
 * @reserved: in: 0
 */
struct ipm_release {
	__u64 id;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct ipm_release_all - IPM_IOC_RELEASE_ALL on a handle: its claims, held
 *	and asynchronous; IPM_IOC_CLEAR_CLAIMS on a handle: every claim that is
 *	held on the segment, whoever holds it
 * @flags: in: 0
 * @released: out: how many claims that were
 */
struct ipm_release_all {
	__u32 flags;
	__u32 released;
};

/**
 * struct ipm_collect - IPM_IOC_COLLECT, on a handle
 *
 * What became of an asynchronous claim. One that was granted is then an
 * ordinary claim, and no longer reported by read() and poll().
 *
 * @id: in: the claim
 * @flags: in: 0
 * @result: out: IPM_GRANT_* bits
 */
struct ipm_collect {
	__u64 id;
	__u32 flags;
	__u32 result;
};

/* Types of struct ipm_event. */
#define IPM_EVENT_CLAIM		1	/* an asynchronous claim was granted */
#define IPM_EVENT_CLAIM_FAILED	2	/* it ended otherwise; see error */
#define IPM_EVENT_BELL		3	/* cookie has the bits that were rung */
#define IPM_EVENT_DEATH		4	/* slots died: see the status page */
#define IPM_EVENT_CHANGED	5	/* growth, SET or LINK */
#define IPM_EVENT_REMOVED	6	/* the segment was removed */

/**
 * struct ipm_event - what read() on a handle returns, one or several
 *
 * A handle is readable when there is at least one. A buffer that is smaller
 * than one event is EINVAL; without an event, read() waits or, with
 * O_NONBLOCK, returns EAGAIN. Reading a claim's event collects it. The others
 * come only when subscribed to, and once for however many times it happened
 * since they were last read.
 *
 * @type: IPM_EVENT_*
 * @error: 0, or why the claim ended: ETIMEDOUT, EIDRM, or ECANCELED because
 *	the process that asked for it died
 * @id: the claim, else 0
 * @cookie: as given with the claim, or the bits that were rung, else 0
 * @result: IPM_GRANT_* bits of a claim, else 0
 * @reserved: 0
 */
struct ipm_event {
	__u32 type;
	__u32 error;
	__u64 id;
	__u64 cookie;
	__u32 result;
	__u32 reserved;
};

/* Most entries of the list of bytes in doubt. */
#define IPM_DOUBT_MAX		64

/* Flags of struct ipm_doubt_range. */
#define IPM_DOUBT_MERGED	(1U << 0)	/* covers bytes of several deaths, or
						 * between them: the list was full
						 */

/**
 * struct ipm_doubt_range - bytes that a dead writer left
 * @offset: bytes from the start
 * @length: bytes
 * @time: when it died, CLOCK_REALTIME in nanoseconds
 * @pid: who it was, as the caller's pid namespace saw it; 0 if it did not
 * @flags: IPM_DOUBT_*
 */
struct ipm_doubt_range {
	__u64 offset;
	__u64 length;
	__s64 time;
	__s32 pid;
	__u32 flags;
};

/**
 * struct ipm_doubt - IPM_IOC_DOUBT, on a handle
 * @offset: in: only what overlaps @length bytes from here
 * @length: in: bytes; 0 for the whole segment, with @offset 0
 * @ranges: in: pointer to @nr_ranges struct ipm_doubt_range; 0 if that is 0
 * @nr_ranges: in: room; out: entries written, in order of offset
 * @total: out: entries that there are
 */
struct ipm_doubt {
	__u64 offset;
	__u64 length;
	__u64 ranges;
	__u32 nr_ranges;
	__u32 total;
};

/**
 * struct ipm_recovered - IPM_IOC_RECOVERED, on a read-write handle
 *
 * Says that these bytes are good again.
 *
 * @offset: in: bytes from the start
 * @length: in: bytes
 * @flags: in: 0
 * @reserved: in: 0
 */
struct ipm_recovered {
	__u64 offset;
	__u64 length;
	__u32 flags;
	__u32 reserved;
};

/*
 * A slot on the status page is one word: generation and state. It is alive
 * from the SLOT that takes it until the process that took it dies or gives it
 * back, or its handle is closed; then dead, and its number not used again, until
 * REAP; or free. Each time that it is taken its generation goes up.
 */
#define IPM_SLOT_FREE		0
#define IPM_SLOT_ALIVE		1
#define IPM_SLOT_DEAD		2
#define IPM_SLOT_STATE(word)		((word) & 3)
#define IPM_SLOT_GENERATION(word)	((word) >> 2)

/* Flags of struct ipm_slot. */
#define IPM_SLOT_GIVE		(1U << 0)	/* free it: nothing is left behind */

/**
 * struct ipm_slot - IPM_IOC_SLOT, on a read-write handle
 *
 * Gives the handle a slot, or tells the one that it has. A handle has one at a
 * time, which belongs to the process that took it.
 *
 * @flags: in: 0 or IPM_SLOT_GIVE
 * @slot: out: its number, below IPM_SLOTS_MAX
 * @generation: out: its generation, 1 to 2^30 - 1
 * @reserved: in: 0
 */
struct ipm_slot {
	__u32 flags;
	__u32 slot;
	__u32 generation;
	__u32 reserved;
};

/**
 * struct ipm_reap - IPM_IOC_REAP, on a read-write handle
 *
 * Says that what a dead slot left in the pages was cleaned up: it is free.
 *
 * @slot: in
 * @generation: in
 * @flags: in: 0
 * @reserved: in: 0
 */
struct ipm_reap {
	__u32 slot;
	__u32 generation;
	__u32 flags;
	__u32 reserved;
};

/* Flags of struct ipm_bell. */
#define IPM_BELL_SLOT		(1U << 0)	/* only the handle with that slot */

/**
 * struct ipm_bell - IPM_IOC_RING, on a read-write handle
 *
 * Rings doorbell bits of the other handles that have subscribed to them. Those
 * become readable, with an IPM_EVENT_BELL.
 *
 * @bits: in: which, at least one
 * @slot: in: with IPM_BELL_SLOT, else 0
 * @flags: in: IPM_BELL_*
 */
struct ipm_bell {
	__u64 bits;
	__u32 slot;
	__u32 flags;
};

/* What a handle hears of; bit number as IPM_EVENT_*. */
#define IPM_HEAR_DEATH		(1U << IPM_EVENT_DEATH)
#define IPM_HEAR_CHANGED	(1U << IPM_EVENT_CHANGED)
#define IPM_HEAR_REMOVED	(1U << IPM_EVENT_REMOVED)

/**
 * struct ipm_subscribe - IPM_IOC_SUBSCRIBE, on a handle
 *
 * Takes the place of the former subscription; what it had heard of and is not
 * subscribed to any more is forgotten.
 *
 * @bits: in: doorbell bits
 * @events: in: IPM_HEAR_*
 * @flags: in: 0
 */
struct ipm_subscribe {
	__u64 bits;
	__u32 events;
	__u32 flags;
};

/**
 * struct ipm_status - the status page: mmap a handle at IPM_STATUS_OFFSET
 *
 * Read-only for everybody, written by the kernel. Every field is a word of
 * its own that is read whole; @sequence is odd while the kernel changes
 * several that belong together. The counts of claims are hints, and the page
 * may show a change a moment before or after the call that made it returns,
 * but for @size: growth that a call has reported is visible.
 *
 * @abi: IPM_ABI_VERSION
 * @sequence: goes up by two with each change of @size, @state or @changes
 * @size: bytes of the segment; never goes down
 * @capacity: bytes that it may grow to
 * @changes: counts growth, SET, LINK and REMOVE
 * @state: IPM_STATE_* bits
 * @id: number of the segment
 * @deaths: counts slots that died; goes up after the slot's word has changed
 * @reserved: 0
 * @handles: open handles
 * @maps: mappings of its pages
 * @claims: claims held
 * @waiters: claims waited for
 */
struct ipm_status {
	__u32 abi;
	__u32 sequence;
	__u64 size;
	__u64 capacity;
	__u64 changes;
	__u32 state;
	__u32 id;
	__u32 deaths;
	__u32 reserved[5];
	/* What changes with every claim has a cache line of its own. */
	__u32 handles;
	__u32 maps;
	__u32 claims;
	__u32 waiters;
};

#define IPM_IOC_MAGIC		0xE9

/* On the device. */
#define IPM_IOC_VERSION		_IOWR(IPM_IOC_MAGIC, 0x00, struct ipm_version)
#define IPM_IOC_LIMITS		_IOWR(IPM_IOC_MAGIC, 0x01, struct ipm_limits)
#define IPM_IOC_CREATE		_IOWR(IPM_IOC_MAGIC, 0x02, struct ipm_create)
#define IPM_IOC_OPEN		_IOWR(IPM_IOC_MAGIC, 0x03, struct ipm_open)
#define IPM_IOC_REMOVE		_IOW(IPM_IOC_MAGIC, 0x04, struct ipm_remove)

#define IPM_IOC_MAPPING		_IOWR(IPM_IOC_MAGIC, 0x06, struct ipm_mapping)

/* On device and handle: IPM_IOC_VERSION, IPM_IOC_REMOVE, IPM_IOC_SET, and */
#define IPM_IOC_INFO		_IOWR(IPM_IOC_MAGIC, 0x05, struct ipm_info)

/* On a handle. */
#define IPM_IOC_LINK		_IOW(IPM_IOC_MAGIC, 0x10, struct ipm_link)
#define IPM_IOC_SET		_IOW(IPM_IOC_MAGIC, 0x11, struct ipm_set)
#define IPM_IOC_GROW		_IOWR(IPM_IOC_MAGIC, 0x12, struct ipm_grow)
#define IPM_IOC_REOPEN		_IOWR(IPM_IOC_MAGIC, 0x13, struct ipm_open)
#define IPM_IOC_CLAIM		_IOWR(IPM_IOC_MAGIC, 0x20, struct ipm_claim)
#define IPM_IOC_CONVERT		_IOWR(IPM_IOC_MAGIC, 0x21, struct ipm_convert)
#define IPM_IOC_RELEASE		_IOW(IPM_IOC_MAGIC, 0x22, struct ipm_release)
#define IPM_IOC_RELEASE_ALL	_IOWR(IPM_IOC_MAGIC, 0x23, struct ipm_release_all)
#define IPM_IOC_CLEAR_CLAIMS	_IOWR(IPM_IOC_MAGIC, 0x24, struct ipm_release_all)
#define IPM_IOC_COLLECT		_IOWR(IPM_IOC_MAGIC, 0x25, struct ipm_collect)
#define IPM_IOC_DOUBT		_IOWR(IPM_IOC_MAGIC, 0x28, struct ipm_doubt)
#define IPM_IOC_RECOVERED	_IOW(IPM_IOC_MAGIC, 0x29, struct ipm_recovered)
#define IPM_IOC_SLOT		_IOWR(IPM_IOC_MAGIC, 0x30, struct ipm_slot)
#define IPM_IOC_REAP		_IOW(IPM_IOC_MAGIC, 0x31, struct ipm_reap)
#define IPM_IOC_RING		_IOW(IPM_IOC_MAGIC, 0x32, struct ipm_bell)
#define IPM_IOC_SUBSCRIBE	_IOW(IPM_IOC_MAGIC, 0x33, struct ipm_subscribe)

/*
 * The generic netlink family: what there is, who holds and who waits, and what
 * happens, for a network namespace.
 *
 * Requests carry the version of the family in their header, 1 to IPM_NL_VERSION
 * (else EOPNOTSUPP), and are checked strictly: an attribute that the command
 * does not take, of a wrong length or with a wrong value is EINVAL or ERANGE.
 *
 * Six commands are dumps (NLM_F_DUMP; without it EOPNOTSUPP) and take an
 * IPM_NL_A_SEGMENT to show one segment only: ENOENT if there is none, EACCES if
 * the reader may not open it for reading. LIMITS takes no attribute. Segments
 * come in the order of their ids, and within one handles in that of their
 * numbers, claims by handle and id, waits in that of their places in line,
 * ranges in doubt in that of their offsets. Messages carry NLM_F_DUMP_INTR once
 * what is listed has changed since the dump began: what was added or went
 * meanwhile may be missing or stale, and the reader should ask again. In a dump
 * of all segments that holds for the set of segments, and for each segment for
 * the time that its list takes. Read with a buffer of 8 KiB at least: a claim of
 * the most ranges is one message.
 *
 * Rights are those of the process that opened the socket, as with a file. It is
 * shown the segments that it could open for reading. Of handles, claims and waits
 * on them that are another user's it sees the numbers, ranges, modes and times,
 * with an IPM_NL_A_HIDDEN; who that is (USER, PID, TID, COMM) is told to
 * the owner and the creator of the segment, and with CAP_IPC_OWNER in the
 * user namespace of the network namespace. LIMITS shows the reader's own
 * limits, with that capability those of all users that its user namespace maps.
 * Process ids are those of the pid namespace of the process that asked, 0 where
 * it does not see them; user ids are munged as in stat(2).
 *
 * SUBSCRIBE makes the kernel send the socket an EVENT message for each thing of
 * the groups asked for that happens to a segment that the reader may open for
 * reading, at that time. There are no multicast groups: a message to all could
 * not show each what it may see, in the numbers of its own namespaces. Each
 * event has a number, one higher than that of the one before; what does not fit
 * into the socket's buffer is lost, the next read reports ENOBUFS as with every
 * netlink socket, and the numbers tell how many are missing. A SUBSCRIBE without
 * IPM_NL_A_GROUPS changes nothing. Each is answered with a SUBSCRIBE message that
 * has the groups and the number of the last event before it, which stands in the
 * socket's queue after that event.
 */
#define IPM_NL_FAMILY		"ipm"
#define IPM_NL_VERSION		1

/**
 * enum ipm_nl_cmd - commands
 * @IPM_NL_CMD_UNSPEC: none
 * @IPM_NL_CMD_SEGMENTS: dump segments: SEGMENT, NAME or KEY if it has one, STATE,
 *	SIZE, CAPACITY, RESIDENT, MODE, UID, GID, CUID, CGID, CREATOR_PID, LAST_PID,
 *	HANDLES, MAPS, CLAIMS, WAITERS, DOUBTS, CREATE_TIME, CHANGE_TIME,
 *	ATTACH_TIME, DETACH_TIME, WAITS, WAIT_NS, DEADLOCKS, DEATHS, DOUBT_EVENTS;
 *	each as in struct ipm_info
 * @IPM_NL_CMD_HANDLES: dump handles: SEGMENT, HANDLE, ACCESS, MAPPED, CLAIMS,
 *	SLOT if it has one, and USER, PID, COMM of the process that opened it
 * @IPM_NL_CMD_CLAIMS: dump claims that are held: SEGMENT, HANDLE, CLAIM, RANGES,
 *	AGE, RESULT, and USER of the handle, PID, TID, COMM of the thread that has it
 * @IPM_NL_CMD_WAITERS: dump claims that are waited for: SEGMENT, HANDLE, CLAIM,
 *	RANGES, AGE, FLAGS, USER, PID, TID, COMM; and one claim that is in the way:
 *	BLOCKER_CLAIM, BLOCKER_HANDLE, BLOCKER_FLAGS, BLOCKER_PID, BLOCKER_TID. They
 *	are not there while the waiter is about to be granted
 * @IPM_NL_CMD_DOUBTS: dump ranges in doubt: SEGMENT, OFFSET, LENGTH, TIME, FLAGS,
 *	PID; as in struct ipm_doubt_range
 * @IPM_NL_CMD_LIMITS: dump limits of users: UID, SEGMENTS_MAX, NR_SEGMENTS,
 *	HANDLES_MAX, HANDLES, CLAIMS_MAX, CLAIMS, BYTES_MAX, BYTES; as in struct
 *	ipm_limits
 * @IPM_NL_CMD_SUBSCRIBE: hear events: GROUPS, and SEGMENT to hear of one only;
 *	answered with GROUPS, SEQ. GROUPS 0 ends it
 * @IPM_NL_CMD_EVENT: sent by the kernel: EVENT, SEQ, TIME, SEGMENT, and what
 *	enum ipm_nl_event says
 */
enum ipm_nl_cmd {
	IPM_NL_CMD_UNSPEC,
	IPM_NL_CMD_SEGMENTS,
	IPM_NL_CMD_HANDLES,
	IPM_NL_CMD_CLAIMS,
	IPM_NL_CMD_WAITERS,
	IPM_NL_CMD_DOUBTS,
	IPM_NL_CMD_LIMITS,
	IPM_NL_CMD_SUBSCRIBE,
	IPM_NL_CMD_EVENT,
	/* private: */
	__IPM_NL_CMD_MAX,
	IPM_NL_CMD_MAX = __IPM_NL_CMD_MAX - 1
};

/* Attributes, with their types. */
enum ipm_nl_attr {
	IPM_NL_A_UNSPEC,
	IPM_NL_A_PAD,
	IPM_NL_A_SEGMENT,	/* u32: id, 1 to 2^31 - 1 */
	IPM_NL_A_NAME,		/* string */
	IPM_NL_A_KEY,		/* s32 */
	IPM_NL_A_STATE,		/* u32: IPM_STATE_* */
	IPM_NL_A_SIZE,		/* u64: bytes */
	IPM_NL_A_CAPACITY,	/* u64: bytes */
	IPM_NL_A_RESIDENT,	/* u64: bytes */
	IPM_NL_A_MODE,		/* u32 */
	IPM_NL_A_UID,		/* u32 */
	IPM_NL_A_GID,		/* u32 */
	IPM_NL_A_CUID,		/* u32 */
	IPM_NL_A_CGID,		/* u32 */
	IPM_NL_A_CREATOR_PID,	/* s32 */
	IPM_NL_A_LAST_PID,	/* s32 */
	IPM_NL_A_HANDLES,	/* u64: how many, as are */
	IPM_NL_A_MAPS,		/* u64 */
	IPM_NL_A_CLAIMS,	/* u64 */
	IPM_NL_A_WAITERS,	/* u64 and */
	IPM_NL_A_DOUBTS,	/* u64 */
	IPM_NL_A_CREATE_TIME,	/* s64: CLOCK_REALTIME in ns, as are */
	IPM_NL_A_CHANGE_TIME,	/* s64 */
	IPM_NL_A_ATTACH_TIME,	/* s64: and */
	IPM_NL_A_DETACH_TIME,	/* s64 */
	IPM_NL_A_WAITS,		/* u64 */
	IPM_NL_A_WAIT_NS,	/* u64: ns */
	IPM_NL_A_DEADLOCKS,	/* u64 */
	IPM_NL_A_DEATHS,	/* u64 */
	IPM_NL_A_DOUBT_EVENTS,	/* u64 */
	IPM_NL_A_HANDLE,	/* u64: number of a handle in its segment, not reused */
	IPM_NL_A_ACCESS,	/* u32: IPM_READ_ONLY or IPM_READ_WRITE */
	IPM_NL_A_SLOT,		/* u32 */
	IPM_NL_A_MAPPED,	/* u32: mappings made through the handle that exist */
	IPM_NL_A_USER,		/* u32: who opened the handle, or did it */
	IPM_NL_A_PID,		/* s32: process */
	IPM_NL_A_TID,		/* s32: thread */
	IPM_NL_A_COMM,		/* string: name of the process or thread, if it lives */
	IPM_NL_A_HIDDEN,	/* flag: the reader is not told who it is */
	IPM_NL_A_CLAIM,		/* u64: id; of a CONVERT that waits: of its claim */
	IPM_NL_A_RANGES,	/* array of struct ipm_range */
	IPM_NL_A_AGE,		/* u64: ns that it is held (in ticks), or has waited */
	IPM_NL_A_RESULT,	/* u32: IPM_GRANT_* */
	IPM_NL_A_FLAGS,		/* u32: IPM_NL_WAIT_* of a wait, IPM_DOUBT_* of a doubt */
	IPM_NL_A_BLOCKER_CLAIM,	/* u64 */
	IPM_NL_A_BLOCKER_HANDLE,	/* u64 */
	IPM_NL_A_BLOCKER_FLAGS,	/* u32: IPM_NL_BLOCKER_* */
	IPM_NL_A_BLOCKER_PID,	/* s32 */
	IPM_NL_A_BLOCKER_TID,	/* s32 */
	IPM_NL_A_OFFSET,	/* u64: bytes */
	IPM_NL_A_LENGTH,	/* u64: bytes */
	IPM_NL_A_TIME,		/* s64: CLOCK_REALTIME in ns */
	IPM_NL_A_SEGMENTS_MAX,	/* u64 */
	IPM_NL_A_NR_SEGMENTS,	/* u64 */
	IPM_NL_A_HANDLES_MAX,	/* u64 */
	IPM_NL_A_CLAIMS_MAX,	/* u64 */
	IPM_NL_A_BYTES_MAX,	/* u64 */
	IPM_NL_A_BYTES,		/* u64 */
	IPM_NL_A_GROUPS,	/* u32: IPM_NL_GROUP_* */
	IPM_NL_A_EVENT,		/* u32: enum ipm_nl_event */
	IPM_NL_A_SEQ,		/* u64: number of the event, 1 for a socket's first */
	IPM_NL_A_COUNT,		/* u64 */
	IPM_NL_A_ERROR,		/* u32: an errno, 0 for none */
	/* private: */
	__IPM_NL_A_MAX,
	IPM_NL_A_MAX = __IPM_NL_A_MAX - 1
};

/* IPM_NL_A_FLAGS of a wait. */
#define IPM_NL_WAIT_ASYNC	(1U << 0)	/* asynchronous: no thread sleeps */
#define IPM_NL_WAIT_CONVERT	(1U << 1)	/* a read claim that is to write */

/* IPM_NL_A_BLOCKER_FLAGS: the claim in the way. */
#define IPM_NL_BLOCKER_WAITS	(1U << 0)	/* waits too, further in front */
#define IPM_NL_BLOCKER_HIDDEN	(1U << 1)	/* the reader is not told whose it is */

/* IPM_NL_A_GROUPS: which events. */
#define IPM_NL_GROUP_LIFE	(1U << 0)	/* segments come, change and go */
#define IPM_NL_GROUP_CLAIMS	(1U << 1)	/* long waits, deadlocks, doubt */
#define IPM_NL_GROUP_DEATHS	(1U << 2)	/* processes died with claims or slots */

/**
 * enum ipm_nl_event - what happened
 * @IPM_NL_EVENT_UNSPEC: nothing
 * @IPM_NL_EVENT_LOST: COUNT events, at most, were lost before they were meant for
 *	any socket, because too much happened at once to the segments of one user;
 *	without SEGMENT. They are counted in SEQ
 * @IPM_NL_EVENT_CREATED: life: a segment: NAME or KEY, SIZE, CAPACITY, STATE, MODE,
 *	UID, GID, and USER, PID, TID, COMM of who did it, as in all of this group
 * @IPM_NL_EVENT_LINKED: life: it got its NAME or KEY
 * @IPM_NL_EVENT_GROWN: life: SIZE
 * @IPM_NL_EVENT_SET: life: STATE, MODE, UID, GID
 * @IPM_NL_EVENT_REMOVED: life: its name is free: NAME or KEY
 * @IPM_NL_EVENT_GONE: life: its last user went: NAME or KEY
 * @IPM_NL_EVENT_WAIT: claims: a claim waits longer than the parameter wait_event_ms
 *	of the module: HANDLE, CLAIM, RANGES (the first), COUNT (of ranges), FLAGS,
 *	AGE (so far), USER, PID, TID, COMM
 * @IPM_NL_EVENT_WAIT_END: claims: such a wait ended: the same, AGE of all of it,
 *	ERROR why it failed
 * @IPM_NL_EVENT_DEADLOCK: claims: a request was refused with EDEADLK: the same
 * @IPM_NL_EVENT_DOUBT: claims: one was granted, or converted, that has bytes in
 *	doubt: the same without AGE
 * @IPM_NL_EVENT_DEATH: deaths: a process died, or ended, holding claims: USER, PID, COMM,
 *	HANDLE, COUNT (of claims that ended), DOUBTS (of them to write)
 * @IPM_NL_EVENT_SLOT_DEATH: deaths: a slot died: USER, PID, COMM, HANDLE, SLOT
 */
enum ipm_nl_event {
	IPM_NL_EVENT_UNSPEC,
	IPM_NL_EVENT_LOST,
	IPM_NL_EVENT_CREATED,
	IPM_NL_EVENT_LINKED,
	IPM_NL_EVENT_GROWN,
	IPM_NL_EVENT_SET,
	IPM_NL_EVENT_REMOVED,
	IPM_NL_EVENT_GONE,
	IPM_NL_EVENT_WAIT,
	IPM_NL_EVENT_WAIT_END,
	IPM_NL_EVENT_DEADLOCK,
	IPM_NL_EVENT_DOUBT,
	IPM_NL_EVENT_DEATH,
	IPM_NL_EVENT_SLOT_DEATH
};

#endif /* _UAPI_LINUX_IPM_H */
