/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share.
 *
 * Objects and who keeps them:
 *
 *   ipm_ns       one per network namespace: the ids and names in it. Kept by
 *                its namespace and by every segment.
 *   ipm_segment  pages, rights, claims. Kept by its users: handles, mappings,
 *                and itself while it is persistent and not removed.
 *   ipm_handle   an open file description on a segment. Kept by its file; its
 *                memory also by the mappings made through it.
 *   ipm_hold     a claim, held or waited for. Kept by its handle.
 *   ipm_thread   a thread that has taken claims. Kept by its claims, and by
 *                the handles that remember it.
 *   ipm_user     whom memory is charged to. Kept by segments, handles, those
 *                who listen, and notices.
 *
 * Locks, outer first:
 *
 *   mmap_lock            of the caller, in mmap and the vm operations
 *   ipm_segment.grow     serialises growth; no user copy and no page of the
 *                        segment is touched under it
 *   ipm_segment.setup    makes the read-only file and the status page; one
 *                        CLEAR_CLAIMS at a time
 *   ipm_ns.lock          ids and names; no user copy under it
 *   ipm_graph            who waits for whom (claim.c)
 *   ipm_segment.lock     a spinlock: everything about claims, and the fields
 *                        that say so
 *   ipm_ns.queue         notices to those who listen
 *   bucket locks         of threads and users, innermost
 *
 * Those who listen (netlink.c) have ipm_ns.listening, a mutex under which none
 * of these but ipm_ns.queue is taken.
 */
#ifndef IPM_INTERNAL_H
#define IPM_INTERNAL_H

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu_counter.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/rbtree.h>
#include <linux/rcuwait.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/timerqueue.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/ipm.h>

#define IPM_RELEASE "0.1.0"

#undef pr_fmt
#define pr_fmt(fmt) "ipm: " fmt

/**
 * struct ipm_user - whom objects are charged to
 * @node: in the tree of users by @uid, under its lock
 * @uid: fixed
 * @refs: references
 * @segments: segments created
 * @handles: handles open
 * @bytes: sum of the sizes of the segments created
 * @listeners: sockets that hear events
 * @notices: of what happened to the segments created, not told yet
 * @ranges: of claims held and waited for; a counter per CPU, since every claim
 *	and release changes it
 */
struct ipm_user {
	struct rb_node node;
	kuid_t uid;
	refcount_t refs;
	atomic64_t segments;
	atomic64_t handles;
	atomic64_t bytes;
	atomic_t listeners;
	atomic_t notices;
	struct percpu_counter ranges;
};

/**
 * struct ipm_ns - the segments of one network namespace
 * @refs: references
 * @user_ns: the user namespace that owns it: where CAP_IPC_OWNER counts
 * @lock: serialises changes of @ids and of the table of names for this
 *	namespace
 * @ids: id to segment; NULL for one that is being made
 * @next_id: where to look for a free id
 * @spare_id: one that is reserved for the next segment, or 0
 * @changes: counts segments that came, were removed or went
 * @groups: IPM_NL_GROUP_* bits that somebody listens to; under @listening
 * @listening: protects @listeners
 * @listeners: sockets that hear events
 * @queue: protects what follows
 * @notices: what is to be told to them
 * @nr_notices: how many there are
 * @last_notice: number of the last one
 * @lost: how many were lost, by group
 * @closed: nothing is told any more
 * @teller: tells them
 */
struct ipm_ns {
	refcount_t refs;
	struct user_namespace *user_ns;
	struct mutex lock;	/* ids and names */
	struct xarray ids;
	u32 next_id;
	u32 spare_id;
	u64 changes;

	u32 groups;
	struct mutex listening;	/* listeners */
	struct list_head listeners;
	spinlock_t queue;	/* notices */
	struct list_head notices;
	u32 nr_notices;
	u64 last_notice;
	u64 lost[3];
	bool closed;
	struct work_struct teller;
};

/**
 * struct ipm_rights - what decides who may do what with a segment
 * @mode: permissions
 * @uid: owner
 * @cuid: creator
 * @gid: group
 * @cgid: creator's group
 */
struct ipm_rights {
	umode_t mode;
	kuid_t uid;
	kuid_t cuid;
	kgid_t gid;
	kgid_t cgid;
};

/**
 * struct ipm_label - what a segment is found by
 * @ns: namespace
 * @by: IPM_BY_NAME or IPM_BY_KEY; IPM_BY_NONE for a private segment
 * @key: the key or 0
 * @name: the name or NULL
 */
struct ipm_label {
	struct ipm_ns *ns;
	u32 by;
	s32 key;
	const char *name;
};

/**
 * struct ipm_doubt_entry - bytes that a dead writer left
 * @start: first byte
 * @last: last byte
 * @time: when it died, CLOCK_REALTIME in nanoseconds
 * @pid: reference to who it was
 * @merged: covers more than one death, or bytes between
 */
struct ipm_doubt_entry {
	u64 start;
	u64 last;
	s64 time;
	struct pid *pid;
	bool merged;
};

#define IPM_DOUBT_EMBEDDED 4

/* Processes that die at the same time, with several handles each. */
#define IPM_DEAD_MAX 8

/* Pages of the status page: the first, and those of the slots. */
#define IPM_STATUS_PAGES DIV_ROUND_UP(IPM_STATUS_SLOTS_SIZE, PAGE_SIZE)

/**
 * struct ipm_segment - shared pages with an owner, a mode and claims
 * @users: handles, mappings, and one while persistent and not removed; at 0
 *	the segment ends, and lookups pass it by
 * @ns: reference
 * @id: fixed
 * @label: what it is found by; changes once, from private, under ns->lock
 * @labelled: it stands in the table of names; under ns->lock
 * @published: it can be, or could be, found; under ns->lock
 * @node: there
 * @file: the pages, opened for reading and writing; fixed
 * @file_ro: the same opened for reading, or NULL; set once under @setup
 * @status: the status page or NULL, like the next two set once under @setup
 *	and @lock
 * @status_pages: it, and the pages of its slots
 * @slots: bitmap of the slots that are not free, or NULL
 * @setup: serialises making @file_ro and @status, and CLEAR_CLAIMS
 * @grow: serialises growth
 * @capacity: bytes; fixed
 * @user: reference, charged with the segment and @charged bytes
 * @charged: under @grow
 * @flags: IPM_CREATE_PREALLOCATE and _NORESERVE as created; fixed
 * @creator: reference
 * @cuid: fixed
 * @cgid: fixed
 * @create_time: fixed
 * @lock: protects everything below
 * @size: bytes; read without the lock where an older value does no harm
 * @state: IPM_STATE_PERSISTENT and _REMOVED
 * @mode: permissions
 * @uid: owner
 * @gid: group
 * @last_pid: reference or NULL
 * @change_time: CLOCK_REALTIME in nanoseconds, as are
 * @attach_time: and
 * @detach_time: 0 for never
 * @changes: counts growth, SET, LINK and REMOVE
 * @nr_handles: in @handles
 * @nr_maps: mappings
 * @handles: its handles
 * @by_number: the same as a tree
 * @next_number: of the next handle
 * @listeners: those that have subscribed to something
 * @next_turn: of the next one of them
 * @held: trees of the spans of claims that are held, readers and writers
 * @waiting: trees of the spans of claims that wait, readers and writers: of
 *	those in front of all others, and of the rest
 * @line: waits by their places in line
 * @wake: waits whose blocker went, to be looked at
 * @wake_long: those of them whose search is long
 * @owed: handles whose wait queue is to be woken without @lock
 * @waker_on: the work has been told to look at those on @wake_long
 * @waker_used: it was ever told so
 * @waker: looks at them when nobody else has the time
 * @until_removed: waits that end when the segment is removed
 * @nr_claims: claims held
 * @nr_waiters: claims waited for
 * @next_id_claim: id of the next claim
 * @next_seq: place in line of the next wait
 * @grants: counts claims granted and converted
 * @cleared: claims with a smaller id may have been ended by CLEAR_CLAIMS
 * @clear_round: number of CLEAR_CLAIMS so far
 * @doubt: bytes in doubt, ordered, disjoint; @doubt_embedded or an array of
 *	IPM_DOUBT_MAX
 * @nr_doubt: entries
 * @doubt_embedded: room that no allocation can refuse
 * @doubt_changes: counts changes of the list
 * @waits: claims that have waited
 * @wait_ns: how long
 * @deadlocks: requests refused
 * @deaths: processes that died holding claims
 * @dead: references to the last of them, each of which was counted
 * @next_dead: place of the next in @dead
 * @doubt_events: write claims that ended by death
 * @rcu: lookups read a segment until a grace period after its end
 */
struct ipm_segment {
	refcount_t users;
	struct ipm_ns *ns;
	u32 id;
	struct ipm_label label;
	bool labelled;
	bool published;
	struct rhash_head node;
	struct file *file;
	struct file *file_ro;
	struct ipm_status *status;
	void *status_pages[IPM_STATUS_PAGES];
	unsigned long *slots;
	struct mutex setup;	/* what is made on demand; CLEAR_CLAIMS */
	struct mutex grow;	/* growth */
	u64 capacity;
	struct ipm_user *user;
	u64 charged;
	u32 flags;
	struct pid *creator;
	kuid_t cuid;
	kgid_t cgid;
	s64 create_time;

	spinlock_t lock ____cacheline_aligned_in_smp;
	u32 state;
	u64 size;
	struct rb_root held[2];
	struct rb_root waiting[2][2];
	struct rb_root line;
	struct list_head wake;
	struct list_head wake_long;
	struct list_head owed;
	bool waker_on;
	bool waker_used;
	struct work_struct waker;
	struct list_head until_removed;
	u32 nr_claims;
	u32 nr_waiters;
	u64 next_id_claim;
	u64 next_seq;
	u64 grants;
	u64 cleared;
	u64 clear_round;
	struct list_head handles;
	struct rb_root by_number;
	u64 next_number;
	struct list_head listeners;
	u64 next_turn;
	u32 nr_handles;
	u32 nr_maps;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	struct pid *last_pid;
	s64 change_time;
	s64 attach_time;
	s64 detach_time;
	u64 changes;
	struct ipm_doubt_entry *doubt;
	u32 nr_doubt;
	struct ipm_doubt_entry doubt_embedded[IPM_DOUBT_EMBEDDED];
	u64 doubt_changes;
	u64 waits;
	u64 wait_ns;
	u64 deadlocks;
	u64 deaths;
	struct pid *dead[IPM_DEAD_MAX];
	u32 next_dead;
	u64 doubt_events;
	struct rcu_head rcu;
};

/**
 * struct ipm_listener - what a handle listens to
 * @node: in seg->listeners, or empty; under seg->lock, as are the next three
 * @turn: of its place in that list, in which it grows
 * @bits: doorbell bits subscribed to
 * @events: IPM_HEAR_* bits subscribed to
 * @heard: those of the latter that have happened; set under seg->lock
 * @rung: those of the doorbell bits that were rung; set under seg->lock
 */
struct ipm_listener {
	struct list_head node;
	u64 turn;
	u64 bits;
	u32 events;
	atomic_t heard;
	atomic64_t rung;
};

/**
 * struct ipm_handle - an open file description on a segment
 * @refs: its file, mappings made through it, and who is about to wake its readers:
 *	they keep its memory
 * @number: in the segment, never used again; fixed
 * @by_number: in seg->by_number, under seg->lock
 * @nr_maps: mappings made through it, under seg->lock
 * @seg: fixed; the handle is one of its users
 * @user: reference, charged with the handle and its claims
 * @opener: reference to the process that made it
 * @uid: whose it was then
 * @access: IPM_READ_ONLY or IPM_READ_WRITE; fixed
 * @node: in seg->handles, under seg->lock, as is all below but
 *	@listener, those of readers, @expiry and @spare
 * @claims: tree of its claims by id
 * @nr_claims: in @claims
 * @nr_held: those of them that are held
 * @thread: reference to the thread that used it last, or NULL
 * @gone: reference to the last process that died having it open, and whose
 *	claims have ended; or NULL
 * @clear_round: the last CLEAR_CLAIMS that saw it
 * @clear_next: that one has seen its claims with a smaller id
 * @busy: calls that walk its claims without having it open; its end waits
 * @expires: when @expiry is due, or S64_MAX
 * @pending: asynchronous waits that have a deadline, the next to pass first
 * @events: asynchronous claims that ended their wait and were not collected
 * @listener: what it listens to, and has heard
 * @slot: its slot, or IPM_SLOTS_MAX for none
 * @slot_owner: reference to the process that took it, or NULL
 * @readable: who reads or polls waits here, but for
 * @reader: one who reads, while @reading is set
 * @reader_entry: in @readable, for ever; wakes @reader
 * @reading: somebody is @reader
 * @waking: how many are about to wake @readable
 * @owed: in seg->owed, or empty
 * @expiry: ends asynchronous waits at their deadline
 * @spare: memory of a claim of one range that ended, or NULL; by xchg()
 */
struct ipm_handle {
	refcount_t refs;
	u32 nr_maps;
	u64 number;
	struct rb_node by_number;
	struct ipm_segment *seg;
	struct ipm_user *user;
	struct pid *opener;
	kuid_t uid;
	u32 access;
	u32 nr_claims;
	u32 nr_held;
	struct list_head node;
	struct rb_root claims;
	struct ipm_thread *thread;
	struct pid *gone;
	u64 clear_round;
	u64 clear_next;
	u32 busy;
	s64 expires;
	struct timerqueue_head pending;
	struct list_head events;
	struct ipm_listener listener;
	u32 slot;
	struct pid *slot_owner;
	wait_queue_head_t readable;
	struct rcuwait reader;
	wait_queue_entry_t reader_entry;
	atomic_t reading;
	atomic_t waking;
	struct list_head owed;
	struct delayed_work expiry;
	struct ipm_hold *spare;
};

struct seq_file;
struct signal_struct;

/**
 * struct ipm_place - how far a list has come; 0 is the beginning
 * @handle: number of the handle
 * @at: claim of that handle; or place in line; or byte
 */
struct ipm_place {
	u64 handle;
	u64 at;
};

/**
 * struct ipm_row - a handle, a claim, a wait or a range in doubt
 * @pid: reference to the process, or NULL
 * @tid: reference to the thread, or NULL
 * @user: whose it is; invalid if nobody knows
 * @handle: number of the handle
 * @claim: id
 * @age: nanoseconds
 * @time: CLOCK_REALTIME in nanoseconds
 * @start: first byte of a doubt
 * @length: bytes of it
 * @access: of a handle
 * @slot: of a handle
 * @maps: of a handle
 * @claims: of a handle
 * @flags: IPM_NL_WAIT_* or IPM_DOUBT_*
 * @result: IPM_GRANT_*
 * @first: of its ranges
 * @nr: its ranges
 * @blocker: what is in the way of a wait; its @claim is 0 if nothing is
 */
struct ipm_row {
	struct pid *pid;
	struct pid *tid;
	kuid_t user;
	u64 handle;
	u64 claim;
	u64 age;
	s64 time;
	u64 start;
	u64 length;
	u32 access;
	u32 slot;
	u32 maps;
	u32 claims;
	u32 flags;
	u32 result;
	u32 first;
	u32 nr;
	struct {
		struct pid *pid;
		struct pid *tid;
		kuid_t user;
		u64 handle;
		u64 claim;
		u32 flags;
	} blocker;
};

/* Rows and ranges that are copied under one hold of a segment's lock. */
#define IPM_ROWS_MAX 64
#define IPM_ROW_RANGES_MAX (2 * IPM_CLAIM_RANGES_MAX)

/**
 * struct ipm_rows - a part of a list
 * @nr: rows
 * @nr_ranges: ranges
 * @generation: of what is listed, in the segment; changes when that does
 * @end: nothing comes after these
 * @row: the rows, with references
 * @range: their ranges
 */
struct ipm_rows {
	u32 nr;
	u32 nr_ranges;
	u64 generation;
	bool end;
	struct ipm_row row[IPM_ROWS_MAX];
	struct ipm_range range[IPM_ROW_RANGES_MAX];
};

/**
 * struct ipm_notice - something that those who listen are to be told
 * @node: in ns->notices
 * @number: its number
 * @event: enum ipm_nl_event
 * @group: IPM_NL_GROUP_*
 * @segment: id
 * @charged: reference to whom it is charged, or NULL until it is in the queue
 * @rights: of the segment, at that time
 * @time: CLOCK_REALTIME in nanoseconds
 * @pid: reference to who did it, or whom it happened to
 * @tid: reference to the thread, or NULL
 * @user: who that is
 * @comm: its name, or ""
 * @handle: number of the handle, or 0
 * @claim: id or 0
 * @range: first range of the claim
 * @nr_ranges: how many it has, or 0
 * @flags: IPM_NL_WAIT_*
 * @error: an errno or 0
 * @age: nanoseconds
 * @count: claims that ended
 * @doubts: of them to write
 * @slot: slot, or IPM_SLOTS_MAX
 * @state: IPM_STATE_*
 * @size: bytes
 * @capacity: bytes
 * @key: key or 0
 * @name: name or NULL
 */
struct ipm_notice {
	struct list_head node;
	u64 number;
	u32 event;
	u32 group;
	u32 segment;
	struct ipm_user *charged;
	struct ipm_rights rights;
	s64 time;
	struct pid *pid;
	struct pid *tid;
	kuid_t user;
	char comm[TASK_COMM_LEN];
	u64 handle;
	u64 claim;
	struct ipm_range range;
	u32 nr_ranges;
	u32 flags;
	u32 error;
	u64 age;
	u64 count;
	u64 doubts;
	u32 slot;
	u32 state;
	u64 size;
	u64 capacity;
	s32 key;
	char *name;
};

/* main.c */
int ipm_get_other_arg(void *dst, size_t ksize, unsigned int cmd, void __user *arg);
int ipm_put_arg(const void *src, size_t ksize, unsigned int cmd, void __user *arg);
int ipm_get_ref_arg(void *dst, size_t ksize, unsigned int cmd, void __user *arg);
int ipm_put_ref_arg(const void *src, size_t ksize, unsigned int cmd, void __user *arg);
long ipm_version(unsigned int cmd, void __user *arg);
extern atomic_t ipm_nr_segments, ipm_nr_handles, ipm_nr_maps, ipm_nr_waiters;
DECLARE_PER_CPU(long, ipm_nr_claims);

/**
 * ipm_get_arg() - copies the structure of an ioctl in
 * @dst: where to
 * @ksize: bytes of the structure as this module knows it, and as every
 *	version has known it so far
 * @cmd: ioctl number, which has the caller's size
 * @arg: where from
 *
 * Inline: of a copy whose size the compiler knows nothing is checked at run time.
 *
 * Return: 0, -EINVAL, -E2BIG or -EFAULT.
 */
static __always_inline int ipm_get_arg(void *dst, size_t ksize, unsigned int cmd,
				       void __user *arg)
{
	if (likely(_IOC_SIZE(cmd) == ksize))
		return copy_from_user(dst, arg, ksize) ? -EFAULT : 0;
	return ipm_get_other_arg(dst, ksize, cmd, arg);
}

/* user.c */
enum ipm_charge { IPM_CHARGE_SEGMENT, IPM_CHARGE_HANDLE, IPM_CHARGE_BYTES };
struct ipm_user *ipm_user_get(void);
void ipm_user_put(struct ipm_user *user);
void ipm_user_exit(void);
int ipm_charge(struct ipm_user *user, enum ipm_charge what, u64 amount);
void ipm_uncharge(struct ipm_user *user, enum ipm_charge what, u64 amount);
int ipm_charge_ranges(struct ipm_user *user, u32 nr, u32 spare);
void ipm_uncharge_ranges(struct ipm_user *user, u32 nr);
void ipm_user_limits(struct ipm_user *user, struct ipm_limits *limits);
struct ipm_user *ipm_user_from(kuid_t uid);
long ipm_limits(unsigned int cmd, void __user *arg);

/* segment.c */
int ipm_segment_init(void);
void ipm_segment_exit(void);
struct ipm_ns *ipm_ns_of(struct net *net);
void ipm_segment_put(struct ipm_segment *seg);
struct file *ipm_segment_file(struct ipm_segment *seg, u32 access);
struct ipm_segment *ipm_segment_attach(struct ipm_ns *ns, u32 id, u32 access);
void ipm_segment_rights(struct ipm_segment *seg, struct ipm_rights *rights);
bool ipm_rights_permit(const struct ipm_rights *rights, umode_t wanted);
bool ipm_rights_owner(const struct ipm_rights *rights);
bool ipm_segment_owned(struct ipm_segment *seg);
struct ipm_segment *ipm_segment_get(struct ipm_ns *ns, u32 id);
struct ipm_segment *ipm_segment_from(struct ipm_ns *ns, u32 id);
void ipm_segment_tell(struct ipm_segment *seg, struct ipm_info *info,
		      struct pid_namespace *pid_ns);
u32 ipm_segment_state(const struct ipm_segment *seg);
long ipm_segment_create(struct ipm_ns *ns, unsigned int cmd, void __user *arg);
long ipm_segment_open(struct ipm_ns *ns, unsigned int cmd, void __user *arg);
long ipm_segment_reopen(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_segment_remove(struct ipm_ns *ns, struct ipm_segment *own,
			unsigned int cmd, void __user *arg);
long ipm_segment_info(struct ipm_ns *ns, struct ipm_segment *own,
		      unsigned int cmd, void __user *arg);
long ipm_segment_link(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_segment_set(struct ipm_ns *ns, struct ipm_segment *own,
		     unsigned int cmd, void __user *arg);
long ipm_segment_grow(struct ipm_handle *handle, unsigned int cmd, void __user *arg);

/* handle.c */
int ipm_handle_init(void);
void ipm_handle_exit(void);
bool ipm_process_dies(const struct signal_struct *signal);
struct file *ipm_handle_file(struct ipm_segment *seg, u32 access);
void ipm_handle_put(struct ipm_handle *handle);
struct ipm_handle *ipm_handle_from(struct ipm_segment *seg, u64 number);
struct ipm_handle *ipm_handle_next(struct ipm_handle *handle);
void ipm_handle_rows(struct ipm_segment *seg, struct ipm_place *place, struct ipm_rows *rows);

/* map.c */
void ipm_map_init(const struct file *file);
int ipm_map_adopt(struct file *file);
int ipm_map(struct file *file, struct vm_area_struct *vma);
int ipm_map_attach(struct ipm_ns *ns, struct vm_area_struct *vma);
long ipm_map_find(struct ipm_ns *ns, unsigned int cmd, void __user *arg);
unsigned long ipm_map_area(struct file *file, unsigned long addr, unsigned long len,
			   unsigned long pgoff, unsigned long flags);

/* status.c */
int ipm_status_init(void);
void ipm_status_exit(void);
int ipm_status_map(struct ipm_segment *seg, struct vm_area_struct *vma);
int ipm_status_slots(struct ipm_segment *seg);
u32 *ipm_status_slot(struct ipm_segment *seg, u32 slot);
void ipm_status_update(struct ipm_segment *seg);
void ipm_status_counts(struct ipm_segment *seg);
void ipm_status_free(struct ipm_segment *seg);

/* doorbell.c */
void ipm_bell_setup(struct ipm_handle *handle);
void ipm_bell_process_died(struct ipm_handle *handle);
void ipm_bell_handle_closed(struct ipm_handle *handle);
void ipm_bell_owe(struct ipm_handle *handle);
bool ipm_bell_pay(struct ipm_segment *seg);
void ipm_bell_tell(struct ipm_segment *seg, u32 events);
long ipm_slot(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_reap(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_bell_ring(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_bell_subscribe(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
ssize_t ipm_bell_read(struct file *file, char __user *buf, size_t size, loff_t *pos);
__poll_t ipm_bell_poll(struct file *file, struct poll_table_struct *wait);

/* doubt.c */
void ipm_doubt_add(struct ipm_segment *seg, u64 start, u64 last, struct pid *pid);
bool ipm_doubt_overlaps(struct ipm_segment *seg, u64 start, u64 last);
void ipm_doubt_free(struct ipm_segment *seg);
long ipm_doubt_list(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_doubt_recovered(struct ipm_handle *handle, unsigned int cmd, void __user *arg);

void ipm_doubt_rows(struct ipm_segment *seg, struct ipm_place *place, struct ipm_rows *rows);

/* netlink.c */
int ipm_netlink_init(void);
void ipm_netlink_exit(void);
void ipm_netlink_begin(struct ipm_ns *ns);
void ipm_netlink_end(struct ipm_ns *ns);
struct ipm_notice *ipm_notice_new(struct ipm_segment *seg, u32 event, u32 group);
void ipm_notice_who(struct ipm_notice *notice, struct pid *pid, struct pid *tid, kuid_t user);
struct ipm_notice *ipm_notice_label(struct ipm_notice *notice, struct ipm_segment *seg);
void ipm_notice_send(struct ipm_segment *seg, struct ipm_notice *notice);

/* Does anybody listen to this group? Then a notice is worth making. */
static inline bool ipm_listens(const struct ipm_segment *seg, u32 group)
{
	return unlikely(READ_ONCE(seg->ns->groups) & group);
}

/* claim.c */
int ipm_claim_init(void);
void ipm_claim_exit(void);
void ipm_claim_setup(struct ipm_handle *handle);
long ipm_claim(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_claim_convert(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_claim_release(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_claim_release_all(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_claim_clear(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
long ipm_claim_collect(struct ipm_handle *handle, unsigned int cmd, void __user *arg);
bool ipm_claim_next_event(struct ipm_handle *handle, struct ipm_event *event);
bool ipm_claim_take_event(struct ipm_handle *handle, u64 id);
void ipm_claim_process_died(struct ipm_handle *handle);
void ipm_claim_handle_closed(struct ipm_handle *handle);
void ipm_claim_removed(struct ipm_segment *seg);
void ipm_claim_wake(struct work_struct *work);
bool ipm_claim_covers(struct ipm_handle *handle, u64 start, u64 last);
void ipm_claim_show(struct ipm_handle *handle, struct seq_file *m);
void ipm_claim_rows(struct ipm_segment *seg, struct ipm_place *place, struct ipm_rows *rows);
void ipm_claim_wait_rows(struct ipm_segment *seg, struct ipm_place *place,
			 struct ipm_rows *rows);

#endif /* IPM_INTERNAL_H */
