// SPDX-License-Identifier: GPL-2.0
/*
 * Claims: reader and writer holds of byte ranges, first come first served.
 *
 * A claim is an ipm_hold with one ipm_span for each of its ranges. The spans
 * of claims that are held stand in two interval trees of the segment, readers
 * and writers; those of claims that wait stand in four trees of their own: those
 * in front of all others, and the rest. The trees know, for each node, how far
 * those reach that lie below it, and how far those of another handle than that
 * one's. So a request that conflicts with nobody finds that out in O(log n),
 * whatever number of readers, or of claims of its own handle, share its range:
 * all that wait in a tree are in front of it.
 *
 * One that waits already, and is looked at again, has others in front of it and
 * others behind it. The trees know who comes first below a node, too, but there
 * may be very many that only reach far enough, and as many that only come early
 * enough. So that search has a budget of looks; when that is spent it remembers
 * where it was, gives up the lock, and goes on from there. Meanwhile nobody can
 * come in front of it in its own tree, and those that can, in the trees of those
 * in front of all, are searched for at the end, with those that hold. Who
 * released the bytes leaves a search that is very long to a work of the segment.
 *
 * Invariants, under seg->lock:
 *
 *  - No two held spans of different handles overlap if one of them writes.
 *  - A claim that waits has a blocker: a claim, held or waiting with an
 *    earlier place in line, that it conflicts with. It stands in the
 *    blocker's list.
 *    Or it stands in seg->wake or seg->wake_long, because its blocker went.
 *  - Whatever ends a claim, or turns it from writing to reading, puts those that
 *    it blocks on seg->wake, and before it returns looks at all that stand
 *    there, a few under each hold of the lock: each finds another blocker or
 *    is granted. So the releaser hands the range over, nobody retries, and
 *    what a release costs does not grow with the number of those that wait
 *    behind others. Only if there are so many looks to take that others would
 *    notice does the segment's work go on in its place.
 *
 * A request looks for its first blocker among the last in line first. In a
 * queue for one range each then waits for the one in front, and a release
 * looks at one waiter.
 *
 * Places in line: a request for bytes that its handle holds already, and a
 * convert, get one in front of all others. Queueing them could only end in a
 * deadlock, since those in front wait for the very handle.
 *
 * Deadlocks: a request that is about to wait walks the graph of who waits for
 * whom, breadth first: from a wait to the claims that it conflicts with, from
 * a claim to the wait of the thread that took it, to that of the thread that
 * converts it, and to its own. If it comes to a claim that its own thread took
 * or converts, it would close a cycle. Edges appear only when a wait begins, which
 * happens under ipm_graph, so the last one to join a cycle sees all the rest.
 * The search follows so many edges, and looks at so many claims on the way, and
 * no more, since it keeps others from theirs. It looks at the claims that are held
 * first. It gives up a segment's lock in between: a claim that is granted meanwhile
 * moves from the trees of those that wait to those that are held, at which it then
 * looks once more.
 * An asynchronous claim, on which nobody sleeps, closes one only where others
 * stand behind it, that is, at the front.
 * A thread that holds nothing, and queues behind all others, is not waited for
 * by anybody, and does not look. A claim that another thread of the process
 * converts to write is from then on that thread's, which is not asleep.
 *
 * Lock order: ipm_graph, seg->lock, bucket lock of the table of threads.
 */
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timerqueue.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "ipm.h"
#include "trace.h"

/* Edges that one search for a deadlock follows before it gives up. */
#define GRAPH_EDGES_MAX 16384
/* Claims that it looks at beside those. */
#define GRAPH_LOOKS_MAX 262144
/* Claims, or ranges of claims, that are dealt with under one hold of the lock. */
#define BATCH 64
/* Looks at one of those whose blocker went, at first. */
#define FIRST_LOOKS 256
/* Looks of one who wakes others, until a work of the segment goes on in its place. */
#define WAKE_LOOKS_MAX 262144
/* Waits at the end of the line that are looked at for a first blocker. */
#define LAST_IN_LINE 8
/* Claims of its own with which a request is told from those of its handle. */
#define OWN_FEW 64
/* Releases in one request that need no allocation. */
#define RELEASES_FEW 4
/* Ranges of its own that a handle is searched for by one request. */
#define OWN_LOOKS 1024
/* Place in line of ordinary requests; those in front have it clear. */
#define BEHIND BIT_ULL(63)
/* Handles that are looked at under one hold of the lock. */
#define HANDLES_MAX 256

static ulong wait_event_ms = 1000;
module_param(wait_event_ms, ulong, 0644);
MODULE_PARM_DESC(wait_event_ms,
		 "milliseconds after which those who listen are told of a wait (1000; 0: never)");

static uint max_looks = 4096;
module_param(max_looks, uint, 0644);
MODULE_PARM_DESC(max_looks,
		 "waits that a search looks at before others have their turn (4096)");

struct ipm_hold;
struct ipm_wait;

/**
 * struct ipm_thread - a thread that has taken claims
 * @node: in the table of threads, under its bucket's lock
 * @tid: reference; tells the thread, since it is not reused while referenced
 * @tgid: reference
 * @refs: claims, and handles that remember the thread
 * @held: claims that it took and holds, or waits for asynchronously
 * @wait: what it waits for, or NULL; under ipm_graph
 */
struct ipm_thread {
	struct hlist_node node;
	struct pid *tid;
	struct pid *tgid;
	refcount_t refs;
	atomic_t held;
	struct ipm_wait *wait;
};

/**
 * struct ipm_best - the best of some spans
 * @key: greatest key
 * @other: greatest key of any other handle than @owner, 0 for none
 * @owner: whose @key is
 */
struct ipm_best {
	u64 key;
	u64 other;
	const struct ipm_handle *owner;
};

/**
 * struct ipm_span - one range of a claim
 * @rb: in a tree of the segment, held or waiting
 * @start: first byte
 * @last: last byte
 * @subtree: of this span and those below: which ends last, the byte behind it; and,
 *	if they wait, which comes first in line, see place_key(). Of a claim that is
 *	held the first span has there since when, in jiffies, instead
 * @inside: offset of this span in its claim
 * @write: IPM_CLAIM_WRITE or IPM_CLAIM_READ
 */
struct ipm_span {
	struct rb_node rb;
	u64 start;
	u64 last;
	struct {
		struct ipm_best far;
		union {
			struct ipm_best early;
			u64 since;
		};
	} subtree;
	u32 inside;
	u32 write;
};

enum hold_state {
	HOLD_NEW,	/* in no tree */
	HOLD_WAITING,	/* spans in the trees of those that wait */
	HOLD_HELD,	/* spans in the trees of those that are held */
	HOLD_FAILED,	/* asynchronous, ended without a grant, not collected */
};

/**
 * struct ipm_hold - a claim
 * @id: number in the segment; 0 for the stand-in of a convert
 * @handle: whose it is
 * @by_id: in handle->claims if it has an @id and does not wait synchronously
 * @thread: reference to who took it
 * @blocked: waits that this claim blocks
 * @wait: its own wait, while it waits or was not collected; else NULL
 * @convert: the wait that wants to convert it, or NULL
 * @state: which trees it is in
 * @marked: listed for release by the call under way
 * @result: IPM_GRANT_* bits
 * @round: low bits of the number of the last CLEAR_CLAIMS before its grant
 * @room: spans that its memory has room for
 * @nr: spans
 * @spans: in the order of their offsets
 */
struct ipm_hold {
	u64 id;
	struct ipm_handle *handle;
	struct rb_node by_id;
	struct ipm_thread *thread;
	struct list_head blocked;
	struct ipm_wait *wait;
	struct ipm_wait *convert;
	u8 state;
	u8 marked;
	u8 result;
	u8 round;
	u16 room;
	u16 nr;
	struct ipm_span spans[];
};

/**
 * struct ipm_cursor - where a search is to go on
 * @range: which range of the claim it searches for
 * @mode: in which tree
 * @start: from which span, by its first byte
 * @seq: and its place in line
 */
struct ipm_cursor {
	u32 range;
	u32 mode;
	u64 start;
	u64 seq;
};

/* State of a wait: one of these, or a negative errno. */
enum { WAIT_WAITING, WAIT_GRANTED };

/**
 * struct ipm_wait - a claim's time in line
 * @hold: the claim, or the stand-in of a convert
 * @seg: its segment
 * @target_id: id of the claim that is to be converted, or 0
 * @target: that claim, while this wait stands in line; else NULL
 * @task: who sleeps; NULL if asynchronous
 * @state: WAIT_* or why it ended; written under seg->lock
 * @flags: IPM_CLAIM_* of the request
 * @result: IPM_GRANT_* bits, once it was granted
 * @seq: place in line
 * @since: when it began, CLOCK_MONOTONIC in nanoseconds
 * @deadline: when it ends, or S64_MAX
 * @cookie: of an asynchronous claim
 * @report: when those who listen are to be told of it, or S64_MAX
 * @reported: they were
 * @blocked: in the list of the claim that blocks it, or in seg->wake or wake_long
 * @cursor: while it is in one of the latter, what was found to be not in its way
 * @line: in seg->line
 * @removal: in seg->until_removed, or empty
 * @event: if asynchronous, in handle->events once it has ended
 * @timer: if asynchronous, in handle->pending while it waits with a deadline
 * @visit: to be looked at by a search for a deadlock, under ipm_graph
 * @stamp: the last search that saw it, under ipm_graph
 */
struct ipm_wait {
	struct ipm_hold *hold;
	struct ipm_segment *seg;
	u64 target_id;
	struct ipm_hold *target;
	struct task_struct *task;
	int state;
	u32 flags;
	u32 result;
	u64 seq;
	u64 since;
	s64 deadline;
	u64 cookie;
	s64 report;
	bool reported;
	struct list_head blocked;
	struct ipm_cursor cursor;
	struct rb_node line;
	struct list_head removal;
	struct list_head event;
	struct timerqueue_node timer;
	struct list_head visit;
	u64 stamp;
};

static struct kmem_cache *hold_cache;

/*
 * Serialises searches for deadlocks. A wait is found through it, or while it
 * stands in a segment, and goes away only after it was locked once more.
 */
static DEFINE_MUTEX(ipm_graph);
static u64 graph_stamp;

#define THREAD_BITS 8

static struct thread_bucket {
	spinlock_t lock;	/* of the list, and of the last reference going */
	struct hlist_head threads;
} thread_table[1 << THREAD_BITS];

/* Trees. */

static inline struct ipm_hold *span_hold(const struct ipm_span *span)
{
	return (void *)span - span->inside;
}

/* Of those that wait, one that stands in front is searched for. */
static inline u64 place_key(const struct ipm_hold *hold)
{
	return ~hold->wait->seq;
}

/* The greatest key of a handle other than @handle. */
static inline u64 foreign(const struct ipm_best *best, const struct ipm_handle *handle)
{
	return best->owner == handle ? best->other : best->key;
}

static inline struct ipm_span *span_of(struct rb_node *node)
{
	return rb_entry(node, struct ipm_span, rb);
}

/* Adds a key. */
static inline void best_add(struct ipm_best *best, u64 key, const struct ipm_handle *handle)
{
	if (best->owner == handle) {
		best->key = max(best->key, key);
	} else if (key > best->key) {
		best->other = best->key;
		best->key = key;
		best->owner = handle;
	} else {
		best->other = max(best->other, key);
	}
}

/* The same for the best of others. */
static inline void best_merge(struct ipm_best *best, const struct ipm_best *more)
{
	if (best->owner == more->owner) {
		best->key = max(best->key, more->key);
		best->other = max(best->other, more->other);
	} else if (more->key > best->key) {
		best->other = max(best->key, more->other);
		best->key = more->key;
		best->owner = more->owner;
	} else {
		best->other = max(best->other, more->key);
	}
}

static inline bool best_set(struct ipm_best *best, struct ipm_best now)
{
	if (best->key == now.key && best->other == now.other && best->owner == now.owner)
		return false;
	*best = now;
	return true;
}

static inline bool held_compute(struct ipm_span *span, bool exit)
{
	struct ipm_best far = { span->last + 1, 0, span_hold(span)->handle };

	if (span->rb.rb_left)
		best_merge(&far, &span_of(span->rb.rb_left)->subtree.far);
	if (span->rb.rb_right)
		best_merge(&far, &span_of(span->rb.rb_right)->subtree.far);
	return !best_set(&span->subtree.far, far) && exit;
}

static inline bool waiting_compute(struct ipm_span *span, bool exit)
{
	const struct ipm_hold *hold = span_hold(span);
	struct ipm_best early = { place_key(hold), 0, hold->handle };
	bool same;

	if (span->rb.rb_left)
		best_merge(&early, &span_of(span->rb.rb_left)->subtree.early);
	if (span->rb.rb_right)
		best_merge(&early, &span_of(span->rb.rb_right)->subtree.early);
	same = held_compute(span, true);
	return !best_set(&span->subtree.early, early) && same && exit;
}

RB_DECLARE_CALLBACKS(static, held_augment, struct ipm_span, rb, subtree.far, held_compute)
RB_DECLARE_CALLBACKS(static, waiting_augment, struct ipm_span, rb, subtree, waiting_compute)

static void held_insert(struct ipm_span *span, struct rb_root *root)
{
	const struct ipm_handle *handle = span_hold(span)->handle;
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		struct ipm_span *above;

		parent = *link;
		above = span_of(parent);
		best_add(&above->subtree.far, span->last + 1, handle);
		link = span->start < above->start ? &parent->rb_left : &parent->rb_right;
	}
	span->subtree.far = (struct ipm_best) { span->last + 1, 0, handle };
	rb_link_node(&span->rb, parent, link);
	rb_insert_augmented(&span->rb, root, &held_augment);
}

static void held_remove(struct ipm_span *span, struct rb_root *root)
{
	rb_erase_augmented(&span->rb, root, &held_augment);
}

/* Those with the same first byte stand in the order in which they came. */
static void waiting_insert(struct ipm_span *span, struct rb_root *root)
{
	const struct ipm_hold *hold = span_hold(span);
	const struct ipm_handle *handle = hold->handle;
	struct rb_node **link = &root->rb_node, *parent = NULL;
	u64 key = place_key(hold);

	while (*link) {
		struct ipm_span *above;

		parent = *link;
		above = span_of(parent);
		best_add(&above->subtree.far, span->last + 1, handle);
		best_add(&above->subtree.early, key, handle);
		link = span->start < above->start ? &parent->rb_left : &parent->rb_right;
	}
	span->subtree.far = (struct ipm_best) { span->last + 1, 0, handle };
	span->subtree.early = (struct ipm_best) { key, 0, handle };
	rb_link_node(&span->rb, parent, link);
	rb_insert_augmented(&span->rb, root, &waiting_augment);
}

static void waiting_remove(struct ipm_span *span, struct rb_root *root)
{
	rb_erase_augmented(&span->rb, root, &waiting_augment);
}

/* The tree of those that wait, at a place in line, for what @mode says. */
static struct rb_root *waiting_tree(struct ipm_segment *seg, u64 seq, u32 mode)
{
	return &seg->waiting[seq & BEHIND ? 1 : 0][mode];
}

/* Waits that may be looked at in vain under one hold of the lock. */
static u32 looks_max(void)
{
	return max_t(u32, READ_ONCE(max_looks), 1);
}

/* What a search looks for. */
struct search {
	u64 start;	/* overlaps @start to @last, */
	u64 last;
	u64 seq;	/* waits in front of this, if not 0, */
	const struct ipm_handle *handle;	/* and another handle */
	u32 looks;	/* how many that are not meant are looked at */
	struct ipm_span *next;	/* the one to be looked at then, or NULL */
};

static inline bool worth_visit(struct rb_node *node, const struct search *search)
{
	const struct ipm_span *span = span_of(node);

	return node && foreign(&span->subtree.far, search->handle) > search->start &&
	       (!search->seq || foreign(&span->subtree.early, search->handle) > ~search->seq);
}

static struct rb_node *span_descend(struct rb_node *node, const struct search *search)
{
	while (worth_visit(node->rb_left, search))
		node = node->rb_left;
	return node;
}

/* The node that follows in order of offset, without what is not worth a visit. */
static struct rb_node *span_advance(struct rb_node *node, const struct search *search)
{
	struct rb_node *parent;

	if (worth_visit(node->rb_right, search))
		return span_descend(node->rb_right, search);
	while ((parent = rb_parent(node)) && node == parent->rb_right)
		node = parent;
	return parent;
}

static struct ipm_span *span_from(struct rb_node *node, struct search *search)
{
	for (; node; node = span_advance(node, search)) {
		struct ipm_span *span = span_of(node);
		const struct ipm_hold *hold = span_hold(span);

		if (span->start > search->last)
			break;
		if (span->last >= search->start && hold->handle != search->handle &&
		    (!search->seq || hold->wait->seq < search->seq))
			return span;
		if (!search->looks) {
			search->next = span;
			break;
		}
		search->looks--;
	}
	return NULL;
}

static struct ipm_span *span_first(struct rb_root *root, struct search *search)
{
	if (!worth_visit(root->rb_node, search))
		return NULL;
	return span_from(span_descend(root->rb_node, search), search);
}

static struct ipm_span *span_next(struct ipm_span *span, struct search *search)
{
	return span_from(span_advance(&span->rb, search), search);
}

/* The same as span_first(), of those that wait, from where a search ended. */
static struct ipm_span *span_resume(struct rb_root *root, struct search *search,
				    u64 start, u64 seq)
{
	struct rb_node *node = root->rb_node, *found = NULL;

	while (node) {
		struct ipm_span *span = span_of(node);

		if (span->start < start ||
		    (span->start == start && span_hold(span)->wait->seq < seq)) {
			node = node->rb_right;
		} else {
			found = node;
			node = node->rb_left;
		}
	}
	return span_from(found, search);
}

/* Looks for claims of others that overlap a span, and that are held or all in front. */
static struct search search_all(const struct ipm_span *span, const struct ipm_handle *handle)
{
	return (struct search) { span->start, span->last, 0, handle, U32_MAX };
}

/* Looks for claims of others that overlap a span and wait before @seq. */
static struct search search_waiting(const struct ipm_span *span,
				    const struct ipm_handle *handle, u64 seq, u32 max)
{
	return (struct search) { span->start, span->last, seq, handle, max };
}

/* Claims of a handle by id. */

static struct ipm_hold *by_id(struct rb_node *node)
{
	return rb_entry_safe(node, struct ipm_hold, by_id);
}

static void by_id_insert(struct ipm_hold *hold)
{
	struct rb_node **link = &hold->handle->claims.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = hold->id < by_id(parent)->id ? &parent->rb_left :
						      &parent->rb_right;
	}
	rb_link_node(&hold->by_id, parent, link);
	rb_insert_color(&hold->by_id, &hold->handle->claims);
	hold->handle->nr_claims++;
}

static void by_id_remove(struct ipm_hold *hold)
{
	rb_erase(&hold->by_id, &hold->handle->claims);
	hold->handle->nr_claims--;
}

/* The claim of this handle with the smallest id that is not below @id. */
static struct ipm_hold *by_id_from(struct ipm_handle *handle, u64 id)
{
	struct rb_node *node = handle->claims.rb_node;
	struct ipm_hold *found = NULL;

	while (node) {
		struct ipm_hold *hold = by_id(node);

		if (hold->id < id) {
			node = node->rb_right;
		} else {
			found = hold;
			node = node->rb_left;
		}
	}
	return found;
}

static struct ipm_hold *by_id_find(struct ipm_handle *handle, u64 id)
{
	struct rb_node *node = handle->claims.rb_node;

	while (node) {
		struct ipm_hold *hold = by_id(node);

		if (hold->id == id)
			return hold;
		node = hold->id < id ? node->rb_right : node->rb_left;
	}
	return NULL;
}

/* Why a claim was not found. */
static int lost(struct ipm_segment *seg, u64 id)
{
	return id && id < seg->cleared ? -EIDRM : -ENOENT;
}

/* Threads. */

static struct thread_bucket *thread_bucket(struct pid *tid)
{
	return &thread_table[hash_ptr(tid, THREAD_BITS)];
}

static struct ipm_thread *thread_lookup(struct thread_bucket *bucket, struct pid *tid)
{
	struct ipm_thread *thread;

	lockdep_assert_held(&bucket->lock);
	hlist_for_each_entry(thread, &bucket->threads, node) {
		if (thread->tid == tid) {
			refcount_inc(&thread->refs);
			return thread;
		}
	}
	return NULL;
}

/* A reference to the calling thread, NULL without memory. */
static struct ipm_thread *thread_get(void)
{
	struct pid *tid = task_pid(current);
	struct thread_bucket *bucket = thread_bucket(tid);
	struct ipm_thread *thread, *new;

	spin_lock(&bucket->lock);
	thread = thread_lookup(bucket, tid);
	spin_unlock(&bucket->lock);
	if (thread)
		return thread;

	/* Nobody but the thread itself adds it: no second look is needed. */
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	new->tid = get_pid(tid);
	new->tgid = get_pid(task_tgid(current));
	refcount_set(&new->refs, 1);
	spin_lock(&bucket->lock);
	hlist_add_head(&new->node, &bucket->threads);
	spin_unlock(&bucket->lock);
	return new;
}

static void thread_put(struct ipm_thread *thread)
{
	struct thread_bucket *bucket;
	bool last;

	if (!thread || refcount_dec_not_one(&thread->refs))
		return;
	bucket = thread_bucket(thread->tid);
	spin_lock(&bucket->lock);
	last = refcount_dec_and_test(&thread->refs);
	if (last)
		hlist_del(&thread->node);
	spin_unlock(&bucket->lock);
	if (!last)
		return;
	put_pid(thread->tid);
	put_pid(thread->tgid);
	kfree(thread);
}

/* Is the process that took this claim dead or dying? */
static bool taker_died(const struct ipm_hold *hold)
{
	struct task_struct *task;
	bool died;

	rcu_read_lock();
	task = pid_task(hold->thread->tgid, PIDTYPE_TGID);
	died = !task || ipm_process_dies(task->signal);
	rcu_read_unlock();
	return died;
}

/* Memory of claims. */

static struct ipm_hold *hold_alloc(struct ipm_handle *handle, u32 nr)
{
	struct ipm_hold *hold;

	if (nr == 1) {
		hold = xchg(&handle->spare, NULL);
		if (!hold)
			hold = kmem_cache_alloc(hold_cache, GFP_KERNEL_ACCOUNT);
	} else {
		hold = kvmalloc(struct_size(hold, spans, nr), GFP_KERNEL_ACCOUNT);
	}
	if (!hold)
		return NULL;
	hold->id = 0;
	hold->handle = handle;
	hold->thread = NULL;
	INIT_LIST_HEAD(&hold->blocked);
	hold->wait = NULL;
	hold->convert = NULL;
	hold->state = HOLD_NEW;
	hold->marked = 0;
	hold->result = 0;
	hold->room = nr;
	hold->nr = nr;
	return hold;
}

static void hold_free(struct ipm_hold *hold)
{
	thread_put(hold->thread);
	if (hold->room != 1)
		kvfree(hold);
	else if (cmpxchg(&hold->handle->spare, NULL, hold))
		kmem_cache_free(hold_cache, hold);
}

/*
 * Frees an asynchronous wait that is in no list any more. A search for a
 * deadlock that found it before holds ipm_graph until it is done with it.
 */
static void wait_free(struct ipm_wait *wait)
{
	if (!wait)
		return;
	mutex_lock(&ipm_graph);
	mutex_unlock(&ipm_graph);
	kfree(wait);
}

/* Frees a claim that has ended: what was charged, its wait, itself. */
static void claim_free(struct ipm_hold *hold)
{
	ipm_uncharge_ranges(hold->handle->user, hold->nr);
	wait_free(hold->wait);
	hold_free(hold);
}

/* The line of those that wait. */

static struct ipm_wait *in_line(struct rb_node *node)
{
	return rb_entry_safe(node, struct ipm_wait, line);
}

static void line_insert(struct ipm_segment *seg, struct ipm_wait *wait)
{
	struct rb_node **link = &seg->line.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = wait->seq < in_line(parent)->seq ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&wait->line, parent, link);
	rb_insert_color(&wait->line, &seg->line);
}

/* The first wait whose place is not in front of @seq, or NULL. */
static struct ipm_wait *line_from(struct ipm_segment *seg, u64 seq)
{
	struct rb_node *node = seg->line.rb_node;
	struct ipm_wait *found = NULL;

	while (node) {
		struct ipm_wait *wait = in_line(node);

		if (wait->seq < seq) {
			node = node->rb_right;
		} else {
			found = wait;
			node = node->rb_left;
		}
	}
	return found;
}

/* Telling those who trace and those who listen. */

/*
 * Functions that call a tracepoint for a claim; @claim is its id. While it is off
 * they are one instruction that does nothing; the rest lies elsewhere.
 */
#define TRACE_HOLD(event) \
static noinline __cold void traced_hold_##event(const struct ipm_segment *seg, \
						const struct ipm_hold *hold, u64 claim) \
{ \
	const struct ipm_span *span = &hold->spans[0]; \
\
	trace_ipm_claim_##event(seg->id, claim, span->start, span->last - span->start + 1, \
				span->write, hold->nr, pid_nr(hold->thread->tid)); \
} \
\
static inline void trace_hold_##event(const struct ipm_segment *seg, \
				      const struct ipm_hold *hold, u64 claim) \
{ \
	if (trace_ipm_claim_##event##_enabled()) \
		traced_hold_##event(seg, hold, claim); \
}

TRACE_HOLD(wait)
TRACE_HOLD(grant)
TRACE_HOLD(release)
TRACE_HOLD(deadlock)

static struct ipm_range span_range(const struct ipm_span *span)
{
	return (struct ipm_range) {
		.offset = span->start,
		.length = span->last - span->start + 1,
		.mode = span->write,
	};
}

/* The flags of a wait, as listeners have them. */
static u32 wait_flags(const struct ipm_wait *wait)
{
	return (wait->task ? 0 : IPM_NL_WAIT_ASYNC) |
	       (wait->target_id ? IPM_NL_WAIT_CONVERT : 0);
}

/* Tells of a claim; @wait is its wait or NULL. */
static void tell_claim(struct ipm_segment *seg, u32 event, const struct ipm_hold *hold,
		       const struct ipm_wait *wait, int error)
{
	struct ipm_notice *notice;

	lockdep_assert_held(&seg->lock);
	notice = ipm_notice_new(seg, event, IPM_NL_GROUP_CLAIMS);
	if (notice) {
		ipm_notice_who(notice, hold->thread->tgid, hold->thread->tid,
			       hold->handle->uid);
		notice->handle = hold->handle->number;
		notice->claim = hold->id;
		notice->range = span_range(&hold->spans[0]);
		notice->nr_ranges = hold->nr;
		notice->error = error == -ERESTARTNOHAND ? EINTR : -error;
		if (wait) {
			notice->flags = wait_flags(wait);
			notice->age = ktime_get_ns() - wait->since;
			if (wait->target_id)
				notice->claim = wait->target_id;
		}
	}
	ipm_notice_send(seg, notice);
}

/* How long a wait is before it is told of: nanoseconds, S64_MAX for never. */
static s64 long_wait(void)
{
	u64 ms = READ_ONCE(wait_event_ms);

	return ms && ms < S64_MAX / NSEC_PER_MSEC ? ms * NSEC_PER_MSEC : S64_MAX;
}

/* When those who listen are to be told of a wait that begins now. */
static s64 report_at(struct ipm_segment *seg, s64 now)
{
	s64 after;

	if (!ipm_listens(seg, IPM_NL_GROUP_CLAIMS))
		return S64_MAX;
	after = long_wait();
	return after < S64_MAX - now ? now + after : S64_MAX;
}

/* A wait has become long. */
static void report_wait(struct ipm_segment *seg, struct ipm_wait *wait)
{
	lockdep_assert_held(&seg->lock);
	wait->report = S64_MAX;
	if (wait->state != WAIT_WAITING || !ipm_listens(seg, IPM_NL_GROUP_CLAIMS))
		return;
	wait->reported = true;
	tell_claim(seg, IPM_NL_EVENT_WAIT, wait->hold, wait, 0);
}

/* Conflicts. */

/* The place in line of a request that would get one now. */
static u64 next_place(struct ipm_segment *seg, bool front)
{
	return front ? seg->next_seq : seg->next_seq | BEHIND;
}

/* Does a claim have a range that covers this one? */
static bool covers(const struct ipm_hold *hold, const struct ipm_span *span)
{
	u32 i;

	for (i = 0; i < hold->nr; i++) {
		if (hold->spans[i].start <= span->start && hold->spans[i].last >= span->last)
			return true;
	}
	return false;
}

/*
 * Does the handle hold all of this request's bytes, each range in one claim?
 * Claims that are about to be released count only with @marked. Looks at the
 * claims that were taken last, so that a handle with many does not stop others.
 */
static bool holds_all(const struct ipm_hold *hold, bool marked)
{
	struct rb_node *node;
	u32 i, looks = 0;

	if (!hold->handle->nr_held)
		return false;
	for (i = 0; i < hold->nr; i++) {
		for (node = rb_last(&hold->handle->claims); node; node = rb_prev(node)) {
			struct ipm_hold *own = by_id(node);

			looks += own->nr;
			if (looks > OWN_LOOKS)
				return false;
			if (own->state == HOLD_HELD && (marked || !own->marked) &&
			    covers(own, &hold->spans[i]))
				break;
		}
		if (!node)
			return false;
	}
	return true;
}

/* A claim of another handle that conflicts, in a pair of trees, whatever its place. */
static struct ipm_hold *any_conflict(struct rb_root trees[2], const struct ipm_hold *hold)
{
	u32 i;

	for (i = 0; i < hold->nr; i++) {
		const struct ipm_span *span = &hold->spans[i];
		struct search search = search_all(span, hold->handle);
		int mode;

		for (mode = !span->write; mode < 2; mode++) {
			struct ipm_span *other = span_first(&trees[mode], &search);

			if (other)
				return span_hold(other);
		}
	}
	return NULL;
}

/*
 * A claim of another handle that waits and conflicts, for a request that would be
 * the last in line or, if @front, the last of those in front of all others.
 */
static struct ipm_hold *waiting_conflict(struct ipm_segment *seg,
					 const struct ipm_hold *hold, bool front)
{
	struct ipm_hold *other = NULL;

	if (!front)
		other = any_conflict(seg->waiting[1], hold);
	return other ? other : any_conflict(seg->waiting[0], hold);
}

/*
 * The same for one that waits, which has others behind it. Goes on at @cursor and,
 * if @left is spent, returns -EAGAIN and leaves there where it was.
 */
static struct ipm_hold *earlier_conflict(struct ipm_segment *seg, const struct ipm_wait *wait,
					 struct ipm_cursor *cursor, u32 *left)
{
	const struct ipm_hold *hold = wait->hold;
	struct ipm_cursor from = *cursor;

	for (; from.range < hold->nr; from = (struct ipm_cursor) { from.range + 1 }) {
		const struct ipm_span *span = &hold->spans[from.range];
		struct search search = search_waiting(span, hold->handle, wait->seq, *left);
		u32 mode = max_t(u32, from.mode, !span->write);

		for (; mode < 2; mode++) {
			struct rb_root *root = waiting_tree(seg, wait->seq, mode);
			struct ipm_span *other;

			if (from.seq)
				other = span_resume(root, &search, from.start, from.seq);
			else
				other = span_first(root, &search);
			from.seq = 0;
			*left = search.looks;
			if (other)
				return span_hold(other);
			if (!search.next)
				continue;
			*cursor = (struct ipm_cursor) {
				.range = from.range,
				.mode = mode,
				.start = search.next->start,
				.seq = span_hold(search.next)->wait->seq,
			};
			return ERR_PTR(-EAGAIN);
		}
	}
	/* Those are in front of it whenever they come. */
	return wait->seq & BEHIND ? any_conflict(seg->waiting[0], hold) : NULL;
}

/* Do two claims conflict? Both have their spans in order of offset. */
static bool conflict(const struct ipm_hold *a, const struct ipm_hold *b)
{
	u32 i = 0, k = 0;

	if (a->handle == b->handle)
		return false;
	while (i < a->nr && k < b->nr) {
		const struct ipm_span *s = &a->spans[i], *t = &b->spans[k];

		if (s->last < t->start)
			i++;
		else if (t->last < s->start)
			k++;
		else if (s->write || t->write)
			return true;
		else if (s->last < t->last)
			i++;
		else
			k++;
	}
	return false;
}

/* One of the last few in line that is in the way of a request with place @seq, or NULL. */
static struct ipm_hold *last_conflict(struct ipm_segment *seg, const struct ipm_hold *hold,
				      u64 seq)
{
	struct rb_node *node;
	int tries = LAST_IN_LINE;

	for (node = rb_last(&seg->line); node && tries; node = rb_prev(node), tries--) {
		struct ipm_wait *wait = in_line(node);

		if (wait->seq < seq && conflict(hold, wait->hold))
			return wait->hold;
	}
	return NULL;
}

/*
 * What a new request has to wait for, or NULL. Of those in line the last few are
 * tried first, so that a queue is a chain.
 */
static struct ipm_hold *find_blocker(struct ipm_segment *seg,
				     const struct ipm_hold *hold, bool front)
{
	struct ipm_hold *blocker;

	lockdep_assert_held(&seg->lock);
	if (seg->nr_waiters) {
		blocker = last_conflict(seg, hold, next_place(seg, front));
		if (!blocker)
			blocker = waiting_conflict(seg, hold, front);
		if (blocker)
			return blocker;
	}
	return any_conflict(seg->held, hold);
}

/*
 * The same for one that waits, whose blocker went. If @left is spent, returns
 * -EAGAIN, and is to be called again.
 */
static struct ipm_hold *next_blocker(struct ipm_segment *seg, struct ipm_wait *wait, u32 *left)
{
	struct ipm_hold *blocker = NULL;

	lockdep_assert_held(&seg->lock);
	if (!wait->cursor.seq)
		blocker = last_conflict(seg, wait->hold, wait->seq);
	if (!blocker)
		blocker = earlier_conflict(seg, wait, &wait->cursor, left);
	return blocker ? blocker : any_conflict(seg->held, wait->hold);
}

/* Changes of state, all under seg->lock. */

static void note_doubt(struct ipm_segment *seg, struct ipm_hold *hold)
{
	u32 i;

	if (likely(!seg->nr_doubt))
		return;
	for (i = 0; i < hold->nr; i++) {
		if (ipm_doubt_overlaps(seg, hold->spans[i].start, hold->spans[i].last))
			hold->result |= IPM_GRANT_IN_DOUBT;
	}
	if ((hold->result & IPM_GRANT_IN_DOUBT) && ipm_listens(seg, IPM_NL_GROUP_CLAIMS))
		tell_claim(seg, IPM_NL_EVENT_DOUBT, hold, NULL, 0);
}

static void hold_grant(struct ipm_segment *seg, struct ipm_hold *hold)
{
	u32 i;

	hold->state = HOLD_HELD;
	for (i = 0; i < hold->nr; i++)
		held_insert(&hold->spans[i], &seg->held[hold->spans[i].write]);
	note_doubt(seg, hold);
	hold->spans[0].subtree.since = get_jiffies_64();
	hold->round = seg->clear_round;
	hold->handle->nr_held++;
	seg->nr_claims++;
	seg->grants++;
	this_cpu_inc(ipm_nr_claims);
	ipm_status_counts(seg);
	trace_hold_grant(seg, hold, hold->id);
}

static void wait_enqueue(struct ipm_segment *seg, struct ipm_wait *wait,
			 struct ipm_hold *blocker, bool front)
{
	struct ipm_hold *hold = wait->hold;
	u32 i;

	wait->seg = seg;
	wait->state = WAIT_WAITING;
	wait->seq = next_place(seg, front);
	wait->since = ktime_get_ns();
	wait->report = report_at(seg, wait->since);
	wait->reported = false;
	wait->stamp = 0;
	seg->next_seq++;
	hold->wait = wait;
	hold->state = HOLD_WAITING;
	for (i = 0; i < hold->nr; i++)
		waiting_insert(&hold->spans[i],
			       waiting_tree(seg, wait->seq, hold->spans[i].write));
	line_insert(seg, wait);
	list_add_tail(&wait->blocked, &blocker->blocked);
	wait->cursor = (struct ipm_cursor) { 0 };
	INIT_LIST_HEAD(&wait->removal);
	if (wait->flags & IPM_CLAIM_UNTIL_REMOVED)
		list_add_tail(&wait->removal, &seg->until_removed);
	if (wait->target)
		wait->target->convert = wait;
	seg->nr_waiters++;
	seg->waits++;
	atomic_inc(&ipm_nr_waiters);
	ipm_status_counts(seg);
	trace_hold_wait(seg, hold, wait->target_id ? wait->target_id : hold->id);
}

/* Ends a wait: with 0 for a grant, else with why. */
static void wait_dequeue(struct ipm_segment *seg, struct ipm_wait *wait, int error)
{
	struct ipm_hold *hold = wait->hold;
	u64 waited = ktime_get_ns() - wait->since;
	u32 i;

	if (ipm_listens(seg, IPM_NL_GROUP_CLAIMS) &&
	    (wait->reported || waited >= long_wait()))
		tell_claim(seg, IPM_NL_EVENT_WAIT_END, hold, wait, error);
	for (i = 0; i < hold->nr; i++)
		waiting_remove(&hold->spans[i],
			       waiting_tree(seg, wait->seq, hold->spans[i].write));
	rb_erase(&wait->line, &seg->line);
	list_del(&wait->blocked);
	list_del(&wait->removal);
	if (!wait->task && !RB_EMPTY_NODE(&wait->timer.node))
		timerqueue_del(&hold->handle->pending, &wait->timer);
	if (wait->target)
		wait->target->convert = NULL;
	hold->state = HOLD_NEW;
	seg->nr_waiters--;
	seg->wait_ns += waited;
	atomic_dec(&ipm_nr_waiters);
	ipm_status_counts(seg);
}

/* Tells who waits; a sleeper may go on, and its wait be gone, at unlock. */
static void wait_end(struct ipm_wait *wait, int state)
{
	struct ipm_handle *handle = wait->hold->handle;

	/* Pairs with READ_ONCE() in sleep_on_wait(). */
	WRITE_ONCE(wait->state, state);
	if (wait->task) {
		wake_up_process(wait->task);
	} else {
		list_add_tail(&wait->event, &handle->events);
		ipm_bell_owe(handle);
	}
}

/* Those that a claim blocked have to be looked at again. */
static void wake_blocked(struct ipm_segment *seg, struct ipm_hold *hold)
{
	lockdep_assert_held(&seg->lock);
	list_splice_tail_init(&hold->blocked, &seg->wake);
}

/*
 * Makes a claim a writer's, or a reader's. To write it becomes that of the
 * thread of @stand_in, which then has the reference to the former one; but it
 * stays with the process that took it.
 */
static void convert_apply(struct ipm_segment *seg, struct ipm_hold *hold, u32 mode,
			  struct ipm_hold *stand_in)
{
	u32 i;

	if (stand_in && stand_in->thread->tgid == hold->thread->tgid) {
		atomic_dec(&hold->thread->held);
		swap(hold->thread, stand_in->thread);
		atomic_inc(&hold->thread->held);
	}

	for (i = 0; i < hold->nr; i++) {
		struct ipm_span *span = &hold->spans[i];

		if (span->write == mode)
			continue;
		held_remove(span, &seg->held[span->write]);
		span->write = mode;
		held_insert(span, &seg->held[mode]);
	}
	hold->result = 0;
	seg->grants++;
	note_doubt(seg, hold);
	trace_hold_grant(seg, hold, hold->id);
}

static void wait_grant(struct ipm_segment *seg, struct ipm_wait *wait)
{
	struct ipm_hold *hold = wait->hold, *target = wait->target;

	wait_dequeue(seg, wait, 0);
	if (target) {
		convert_apply(seg, target, IPM_CLAIM_WRITE, hold);
		target->result |= IPM_GRANT_WAITED;
		wait->result = target->result;
		wait_end(wait, WAIT_GRANTED);
		wake_blocked(seg, hold);
		return;
	}
	hold->result = IPM_GRANT_WAITED;
	hold_grant(seg, hold);
	wait->result = hold->result;
	if (wait->task) {
		hold->wait = NULL;
		by_id_insert(hold);
		atomic_inc(&hold->thread->held);
	}
	wait_end(wait, WAIT_GRANTED);
}

/* Ends a wait without a grant. */
static void wait_fail(struct ipm_segment *seg, struct ipm_wait *wait, int error)
{
	struct ipm_hold *hold = wait->hold;

	wait_dequeue(seg, wait, error);
	wake_blocked(seg, hold);
	if (!wait->task)
		hold->state = HOLD_FAILED;
	wait_end(wait, error);
}

/* One whose blocker went: grants it, or finds another one. */
static void wake(struct ipm_segment *seg, struct ipm_wait *wait, u32 *left)
{
	struct ipm_hold *blocker = next_blocker(seg, wait, left);

	if (blocker == ERR_PTR(-EAGAIN)) {
		list_move_tail(&wait->blocked, &seg->wake_long);
	} else if (blocker) {
		list_move_tail(&wait->blocked, &blocker->blocked);
		wait->cursor = (struct ipm_cursor) { 0 };
	} else if (wait->task ? fatal_signal_pending(wait->task) : taker_died(wait->hold)) {
		/* It would die with the claim, and leave bytes in doubt. */
		wait_fail(seg, wait, wait->task ? -EINTR : -ECANCELED);
	} else {
		wait_grant(seg, wait);
	}
}

/* Leaves those whose search is long, and those that are still to be woken, to the work. */
static void wake_later(struct ipm_segment *seg)
{
	lockdep_assert_held(&seg->lock);
	seg->waker_on = true;
	seg->waker_used = true;
	queue_work(ipm_unbound_wq, &seg->waker);
}

/*
 * Looks at all whose blocker went: grants them, or finds each another one. Gives
 * up the lock in between. Those whose search is long take turns, and keep nobody
 * from a first look. What would take very long is left to the segment's work;
 * once that has begun, others, who do not know of it, leave all long searches to it.
 */
static void wake_all(struct ipm_segment *seg, bool work)
{
	u32 max = looks_max(), left = max, spent = 0, seen = 0;
	bool turn = true;

	lockdep_assert_held(&seg->lock);
	for (;;) {
		bool others = !list_empty(&seg->wake_long) && (work || !seg->waker_on);
		struct list_head *list = &seg->wake;
		struct ipm_wait *wait;
		u32 looks, few;

		if (list_empty(list) && !others)
			break;
		if (seen >= BATCH || (!left && seen)) {
			spent += max - left + seen;
			if (spent >= WAKE_LOOKS_MAX) {
				wake_later(seg);
				break;
			}
			seen = 0;
			left = max;
			if (!ipm_bell_pay(seg))
				wake_later(seg);
			spin_unlock(&seg->lock);
			cond_resched();
			spin_lock(&seg->lock);
			continue;
		}
		looks = left;
		if (list_empty(list) || (!turn && others))
			list = &seg->wake_long;
		else
			looks = min_t(u32, left, FIRST_LOOKS);
		turn = !turn;
		wait = list_first_entry(list, struct ipm_wait, blocked);
		seen += max_t(u32, wait->hold->nr, 1);
		few = looks;
		wake(seg, wait, &few);
		left -= looks - few;
	}
	if (!ipm_bell_pay(seg))
		wake_later(seg);
}

/* The same, for all but the work; unlocks. */
static void wake_and_unlock(struct ipm_segment *seg)
	__releases(&seg->lock)
{
	wake_all(seg, false);
	spin_unlock(&seg->lock);
}

/**
 * ipm_claim_wake() - looks at those whose blocker went
 * @work: of a segment, which has some that are not on somebody's way
 */
void ipm_claim_wake(struct work_struct *work)
{
	struct ipm_segment *seg = container_of(work, struct ipm_segment, waker);

	spin_lock(&seg->lock);
	wake_all(seg, true);
	/* Else it has been queued again. */
	if (list_empty(&seg->wake) && list_empty(&seg->wake_long) && list_empty(&seg->owed))
		seg->waker_on = false;
	else
		wake_later(seg);
	spin_unlock(&seg->lock);
}

/*
 * Ends a claim that has an id. @error is for one who is converting it. The
 * caller unlocks with wake_and_unlock(), and then frees it.
 */
static void hold_end(struct ipm_segment *seg, struct ipm_hold *hold, int error)
{
	u32 i;

	lockdep_assert_held(&seg->lock);
	if (hold->state == HOLD_HELD) {
		trace_hold_release(seg, hold, hold->id);
		for (i = 0; i < hold->nr; i++)
			held_remove(&hold->spans[i], &seg->held[hold->spans[i].write]);
		hold->handle->nr_held--;
		seg->nr_claims--;
		this_cpu_dec(ipm_nr_claims);
		ipm_status_counts(seg);
		if (hold->convert)
			wait_fail(seg, hold->convert, error);
	} else if (hold->state == HOLD_WAITING) {
		wait_dequeue(seg, hold->wait, -ECANCELED);
		/* A search for a deadlock may still have it on its list. */
		hold->wait->state = -ECANCELED;
	}
	if (hold->wait)
		list_del(&hold->wait->event);
	atomic_dec(&hold->thread->held);
	by_id_remove(hold);
	hold->state = HOLD_NEW;
	wake_blocked(seg, hold);
}

/* Counts a process that died, once for all its claims and handles. */
static void count_death(struct ipm_segment *seg, struct pid *pid)
{
	u32 i;

	for (i = 0; i < IPM_DEAD_MAX; i++) {
		if (seg->dead[i] == pid)
			return;
	}
	i = seg->next_dead++ % IPM_DEAD_MAX;
	put_pid(seg->dead[i]);
	seg->dead[i] = get_pid(pid);
	seg->deaths++;
}

/*
 * The same for one whose taker died, or whose handle closed after that. Returns
 * whether it left bytes in doubt.
 */
static bool hold_end_dead(struct ipm_segment *seg, struct ipm_hold *hold)
{
	bool doubt = false;
	u32 i;

	for (i = 0; hold->state == HOLD_HELD && i < hold->nr; i++) {
		struct ipm_span *span = &hold->spans[i];

		if (!span->write)
			continue;
		doubt = true;
		ipm_doubt_add(seg, span->start, span->last, hold->thread->tgid);
		if (trace_ipm_claim_doubt_enabled())
			trace_ipm_claim_doubt(seg->id, hold->id, span->start,
					      span->last - span->start + 1,
					      pid_nr(hold->thread->tgid));
	}
	if (hold->state == HOLD_HELD)
		count_death(seg, hold->thread->tgid);
	seg->doubt_events += doubt;
	hold_end(seg, hold, -EIDRM);
	return doubt;
}

/* Deadlocks. */

static void graph_add(struct list_head *todo, struct ipm_wait *wait)
{
	lockdep_assert_held(&ipm_graph);
	if (!wait || wait->stamp == graph_stamp)
		return;
	wait->stamp = graph_stamp;
	list_add_tail(&wait->visit, todo);
}

/*
 * A search for a deadlock. The claim of @start may be granted, and freed, at
 * any time: only its wait and its thread are safe to look at.
 */
struct graph {
	const struct ipm_wait *start;
	const struct ipm_thread *me;	/* who is about to sleep on it, or NULL */
	struct list_head todo;		/* waits to be looked at */
	unsigned int edges;		/* how many more to follow, */
	unsigned int looks;		/* and how many others to look at, */
	unsigned int left;		/* and until the lock is given up */
	/*
	 * If @covers, every claim on the bytes of @start that stands in its way
	 * was followed, and none of them is of its own handle. So a wait for some
	 * of those bytes that stands in front of it leads nowhere else, and a
	 * queue is walked once, not once for each that stands in it.
	 */
	bool covers;
	bool unlocked;			/* was the lock given up during this visit? */
	u32 write;
	u64 first;
	u64 last;
	u64 seq;
};

/*
 * Follows the edge to a claim that is in the way. Does it lead back to the
 * thread, the convert or the asynchronous claim that started the search?
 */
static bool graph_follow(struct graph *graph, const struct ipm_hold *other)
{
	if (other->thread == graph->me || other->convert == graph->start ||
	    other->wait == graph->start)
		return true;
	graph_add(&graph->todo, other->thread->wait);
	graph_add(&graph->todo, other->convert);
	graph_add(&graph->todo, other->wait);
	return false;
}

/* Follows the edges from a claim to all others that a search finds in a tree. */
static bool graph_tree(struct graph *graph, struct ipm_span *other, struct search *search,
		       const struct ipm_hold *from)
{
	for (; other && graph->edges; other = span_next(other, search)) {
		if (span_hold(other)->handle == from->handle)
			graph->covers = false;
		else if (graph_follow(graph, span_hold(other)))
			return true;
		graph->edges--;
	}
	return false;
}

/*
 * The same in a tree of those that wait. Gives up the lock in between; the wait
 * may have ended then.
 */
static bool graph_waiting(struct graph *graph, struct rb_root *root, struct search *search,
			  const struct ipm_wait *wait)
	__must_hold(&wait->seg->lock)
{
	struct ipm_segment *seg = wait->seg;
	struct ipm_span *other;
	u64 start, seq;
	bool found;

	search->looks = graph->left;
	graph->looks -= min(graph->looks, 1U);
	other = span_first(root, search);
	for (;;) {
		found = graph_tree(graph, other, search, wait->hold);
		graph->looks -= min(graph->looks, graph->left - search->looks);
		graph->left = search->looks;
		if (found || !search->next || !graph->edges || !graph->looks)
			return found;
		start = search->next->start;
		seq = span_hold(search->next)->wait->seq;
		spin_unlock(&seg->lock);
		cond_resched();
		spin_lock(&seg->lock);
		graph->unlocked = true;
		graph->left = looks_max();
		if (wait->state != WAIT_WAITING)
			return false;
		search->next = NULL;
		search->looks = graph->left;
		other = span_resume(root, search, start, seq);
	}
}

/* The same in those of claims that are held. */
static bool graph_held(struct graph *graph, const struct ipm_wait *wait,
		       const struct ipm_handle *but)
{
	struct ipm_segment *seg = wait->seg;
	const struct ipm_hold *hold = wait->hold;
	u32 i;

	for (i = 0; i < hold->nr; i++) {
		const struct ipm_span *span = &hold->spans[i];
		struct search search = search_all(span, but);
		int mode;

		for (mode = !span->write; mode < 2; mode++) {
			graph->looks -= min(graph->looks, 1U);
			if (graph_tree(graph, span_first(&seg->held[mode], &search), &search,
				       hold))
				return true;
		}
	}
	return false;
}

/* Were the edges from this wait followed with those from the start? */
static bool graph_covered(const struct graph *graph, const struct ipm_wait *wait)
{
	const struct ipm_span *span = wait->hold->spans;

	return graph->covers && wait->seg == graph->start->seg && wait->hold->nr == 1 &&
	       span->start >= graph->first && span->last <= graph->last &&
	       span->write <= graph->write && wait->seq < graph->seq;
}

/* Follows the edges from a wait. Do they lead back to the start? */
static bool graph_visit(struct graph *graph, struct ipm_wait *wait)
{
	struct ipm_segment *seg = wait->seg;
	struct ipm_hold *hold = wait->hold;
	const struct ipm_handle *but;
	unsigned int edges;
	bool found = false;
	u32 i;

	graph->left = looks_max();
	spin_lock(&seg->lock);
	if (wait->state != WAIT_WAITING || graph_covered(graph, wait))
		goto unlock;
	but = hold->handle;
	if (wait == graph->start && hold->nr == 1 && but->nr_claims <= OWN_FEW) {
		/* Its own are found, too, so that it is known whether there are any. */
		but = NULL;
		graph->covers = true;
		graph->write = hold->spans[0].write;
		graph->first = hold->spans[0].start;
		graph->last = hold->spans[0].last;
		graph->seq = wait->seq;
	}
	/* Those that are held come first: however many wait, they are found. */
	graph->unlocked = false;
	edges = graph->edges;
	found = graph_held(graph, wait, but);
	edges -= graph->edges;
	for (i = 0; i < hold->nr && !found; i++) {
		const struct ipm_span *span = &hold->spans[i];
		int mode, behind;

		for (mode = !span->write; mode < 2; mode++) {
			for (behind = !!(wait->seq & BEHIND); behind >= 0; behind--) {
				struct search search = search_waiting(span, but, wait->seq, 0);

				found = graph_waiting(graph, &seg->waiting[behind][mode],
						      &search, wait);
				if (found || wait->state != WAIT_WAITING)
					goto unlock;
				if (!graph->edges || !graph->looks)
					goto again;
			}
		}
	}
again:
	/* What was granted meanwhile went from those that wait to those that are held. */
	if (!found && graph->unlocked) {
		/* Most are those of before, and are not counted twice. */
		graph->edges += edges;
		found = graph_held(graph, wait, but);
	}
unlock:
	spin_unlock(&seg->lock);
	return found;
}

/*
 * Would this wait, which has just begun, never end? @me is the calling thread,
 * which is to sleep on it, or NULL if it is asynchronous.
 */
static bool closes_cycle(struct ipm_wait *start, const struct ipm_thread *me)
{
	struct graph graph = {
		.start = start,
		.me = me,
		.todo = LIST_HEAD_INIT(graph.todo),
		.edges = GRAPH_EDGES_MAX,
		.looks = GRAPH_LOOKS_MAX,
	};
	struct ipm_wait *wait;

	lockdep_assert_held(&ipm_graph);
	graph_stamp++;
	graph_add(&graph.todo, start);
	while (!list_empty(&graph.todo) && graph.edges && graph.looks) {
		wait = list_first_entry(&graph.todo, struct ipm_wait, visit);
		list_del(&wait->visit);
		if (graph_visit(&graph, wait))
			return true;
		cond_resched();
	}
	return false;
}

/*
 * The same for an asynchronous claim that was put in front of others. Those do
 * not look for a deadlock again when it comes into their way; it has to do so
 * for them, and what it closes is a cycle in which nobody can be granted. If so,
 * ends the claim.
 */
static bool async_closes_cycle(struct ipm_handle *handle, u64 id)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_wait *wait = NULL;
	struct ipm_hold *hold;
	bool found;

	/* Whoever ends it meanwhile frees the wait only after us: see wait_free(). */
	mutex_lock(&ipm_graph);
	spin_lock(&seg->lock);
	hold = by_id_find(handle, id);
	if (hold && hold->state == HOLD_WAITING)
		wait = hold->wait;
	spin_unlock(&seg->lock);
	found = wait && closes_cycle(wait, NULL);
	spin_lock(&seg->lock);
	if (found) {
		hold = by_id_find(handle, id);
		/* Unless it was granted meanwhile, and somebody was told so. */
		found = hold && hold->state == HOLD_WAITING;
		if (found) {
			seg->deadlocks++;
			trace_hold_deadlock(seg, hold, id);
			if (ipm_listens(seg, IPM_NL_GROUP_CLAIMS))
				tell_claim(seg, IPM_NL_EVENT_DEADLOCK, hold, hold->wait, -EDEADLK);
			hold_end(seg, hold, -ENOENT);
		}
	}
	mutex_unlock(&ipm_graph);
	wake_and_unlock(seg);
	/* Not before: see wait_free(). */
	if (found)
		claim_free(hold);
	return found;
}

/* Waiting. */

static int sleep_on_wait(struct ipm_segment *seg, struct ipm_wait *wait)
{
	int ret = 0;

	for (;;) {
		ktime_t expires = ns_to_ktime(min(wait->deadline, wait->report));

		set_current_state(TASK_INTERRUPTIBLE);
		/* Pairs with WRITE_ONCE() in wait_end(). */
		if (READ_ONCE(wait->state) != WAIT_WAITING)
			break;
		if (signal_pending(current)) {
			ret = -ERESTARTNOHAND;
			break;
		}
		if (expires == S64_MAX) {
			schedule();
			continue;
		}
		if (schedule_hrtimeout_range_clock(&expires, 0, HRTIMER_MODE_ABS,
						   CLOCK_MONOTONIC))
			continue;
		if (wait->deadline <= wait->report) {
			ret = -ETIMEDOUT;
			break;
		}
		__set_current_state(TASK_RUNNING);
		spin_lock(&seg->lock);
		report_wait(seg, wait);
		spin_unlock(&seg->lock);
	}
	__set_current_state(TASK_RUNNING);
	return ret;
}

/* The claim to be converted, under seg->lock. */
static int convert_target(struct ipm_handle *handle, u64 id, struct ipm_hold **target)
{
	struct ipm_hold *hold = by_id_find(handle, id);

	lockdep_assert_held(&handle->seg->lock);
	if (!hold || hold->state == HOLD_FAILED)
		return lost(handle->seg, id);
	if (hold->state == HOLD_WAITING)
		return -EAGAIN;
	if (hold->convert)
		return -EBUSY;
	*target = hold;
	return 0;
}

/*
 * Makes a claim stand in for those ranges of the target of a convert to write
 * that are to change, perhaps none.
 */
static void stand_in_fill(struct ipm_hold *stand_in, const struct ipm_hold *target)
{
	u32 i;

	lockdep_assert_held(&target->handle->seg->lock);
	stand_in->nr = 0;
	for (i = 0; i < target->nr; i++) {
		struct ipm_span *span = &stand_in->spans[stand_in->nr];

		if (target->spans[i].write)
			continue;
		span->start = target->spans[i].start;
		span->last = target->spans[i].last;
		span->write = IPM_CLAIM_WRITE;
		span->inside = (void *)span - (void *)stand_in;
		stand_in->nr++;
	}
}

/*
 * Waits until the claim or convert of @wait is granted, which may be the case
 * already, since the lock was given up before this. Once it is granted the
 * claim belongs to its handle, and another thread may have released it.
 */
static int wait_for_grant(struct ipm_segment *seg, struct ipm_wait *wait, bool front)
{
	struct ipm_hold *hold = wait->hold, *blocker;
	struct ipm_handle *handle = hold->handle;
	struct ipm_thread *thread = hold->thread;
	int ret = 0;

	/* Others may search for long. */
	if (mutex_lock_interruptible(&ipm_graph))
		return -ERESTARTNOHAND;
	refcount_inc(&thread->refs);
	wait->task = current;
	spin_lock(&seg->lock);
	if (wait->target_id) {
		ret = convert_target(handle, wait->target_id, &wait->target);
		if (ret)
			goto unlock;
		/* Another thread may have converted it in between. */
		stand_in_fill(hold, wait->target);
	} else {
		/* Or released what brings this to the front. */
		front = front && holds_all(hold, false);
	}
	blocker = find_blocker(seg, hold, front);
	if (!blocker) {
		if (wait->target) {
			convert_apply(seg, wait->target, IPM_CLAIM_WRITE, hold);
			wait->result = wait->target->result;
		} else {
			hold_grant(seg, hold);
			by_id_insert(hold);
			atomic_inc(&thread->held);
			wait->result = hold->result;
		}
		goto unlock;
	}
	if ((wait->flags & IPM_CLAIM_UNTIL_REMOVED) && (seg->state & IPM_STATE_REMOVED)) {
		ret = -EIDRM;
		goto unlock;
	}
	wait_enqueue(seg, wait, blocker, front);
	spin_unlock(&seg->lock);

	thread->wait = wait;
	if (!(wait->flags & IPM_CLAIM_NO_DEADLOCK) &&
	    (front || atomic_read(&thread->held)) && closes_cycle(wait, thread))
		ret = -EDEADLK;
	/* One that is refused leaves before anybody else searches. */
	if (!ret) {
		mutex_unlock(&ipm_graph);
		ret = sleep_on_wait(seg, wait);
		mutex_lock(&ipm_graph);
	}
	/* The wait is on this stack: no search may find it any more. */
	thread->wait = NULL;
	spin_lock(&seg->lock);
	if (wait->state == WAIT_WAITING) {
		if (ret == -EDEADLK) {
			seg->deadlocks++;
			trace_hold_deadlock(seg, hold,
					    wait->target_id ? wait->target_id : hold->id);
			if (ipm_listens(seg, IPM_NL_GROUP_CLAIMS))
				tell_claim(seg, IPM_NL_EVENT_DEADLOCK, hold, wait, ret);
		}
		wait_dequeue(seg, wait, ret);
		wake_blocked(seg, hold);
	} else {
		ret = wait->state == WAIT_GRANTED ? 0 : wait->state;
	}
	if (ret)
		hold->wait = NULL;
unlock:
	mutex_unlock(&ipm_graph);
	wake_and_unlock(seg);
	thread_put(thread);
	return ret;
}

/* Requests. */

#define CLAIM_FLAGS (IPM_CLAIM_TRY | IPM_CLAIM_DEADLINE | IPM_CLAIM_NO_DEADLOCK | \
		     IPM_CLAIM_UNTIL_REMOVED)

static int deadline_check(u32 flags, s64 deadline)
{
	if (flags & IPM_CLAIM_DEADLINE ? deadline < 0 : deadline != 0)
		return -EINVAL;
	return 0;
}

static int span_set(struct ipm_hold *hold, u32 i, u64 offset, u64 length, u32 mode)
{
	struct ipm_span *span = &hold->spans[i];
	u64 end;

	if (!length || mode > IPM_CLAIM_WRITE)
		return -EINVAL;
	if (check_add_overflow(offset, length, &end))
		return -EOVERFLOW;
	if (end > hold->handle->seg->capacity)
		return -EFBIG;
	if (mode == IPM_CLAIM_WRITE && hold->handle->access == IPM_READ_ONLY)
		return -EBADF;
	span->start = offset;
	span->last = end - 1;
	span->write = mode;
	span->inside = (void *)span - (void *)hold;
	return 0;
}

static int span_compare(const void *a, const void *b)
{
	const struct ipm_span *s = a, *t = b;

	return s->start < t->start ? -1 : s->start > t->start;
}

/* A claim with the ranges of a request, or an ERR_PTR. */
static struct ipm_hold *hold_of_request(struct ipm_handle *handle,
					const struct ipm_claim *req)
{
	struct ipm_range *ranges;
	struct ipm_hold *hold;
	int ret = 0;
	u32 i;

	if (!req->nr_ranges) {
		if (req->ranges)
			return ERR_PTR(-EINVAL);
		hold = hold_alloc(handle, 1);
		if (!hold)
			return ERR_PTR(-ENOMEM);
		ret = span_set(hold, 0, req->offset, req->length, req->mode);
		goto out;
	}

	if (req->nr_ranges > IPM_CLAIM_RANGES_MAX || req->offset || req->length || req->mode)
		return ERR_PTR(-EINVAL);
	ranges = memdup_user(u64_to_user_ptr(req->ranges), req->nr_ranges * sizeof(*ranges));
	if (IS_ERR(ranges))
		return ERR_CAST(ranges);
	hold = hold_alloc(handle, req->nr_ranges);
	if (!hold) {
		kfree(ranges);
		return ERR_PTR(-ENOMEM);
	}
	for (i = 0; i < req->nr_ranges && !ret; i++) {
		if (ranges[i].reserved)
			ret = -EINVAL;
		else
			ret = span_set(hold, i, ranges[i].offset, ranges[i].length,
				       ranges[i].mode);
	}
	kfree(ranges);
	if (!ret) {
		sort(hold->spans, hold->nr, sizeof(hold->spans[0]), span_compare, NULL);
		for (i = 0; i < hold->nr; i++)
			hold->spans[i].inside = (void *)&hold->spans[i] - (void *)hold;
		for (i = 1; i < hold->nr; i++) {
			if (hold->spans[i].start <= hold->spans[i - 1].last)
				ret = -EINVAL;
		}
	}
out:
	if (ret) {
		hold_free(hold);
		return ERR_PTR(ret);
	}
	return hold;
}

/*
 * Names the calling thread as the taker of a claim. Returns with seg->lock
 * held, in any case.
 */
static int hold_sign(struct ipm_segment *seg, struct ipm_hold *hold)
	__acquires(&seg->lock)
{
	struct ipm_handle *handle = hold->handle;
	struct ipm_thread *thread, *former;

	spin_lock(&seg->lock);
	thread = handle->thread;
	if (unlikely(!thread || thread->tid != task_pid(current))) {
		spin_unlock(&seg->lock);
		thread = thread_get();
		spin_lock(&seg->lock);
		if (!thread)
			return -ENOMEM;
		former = handle->thread;
		handle->thread = thread;
		thread_put(former);
	}
	refcount_inc(&thread->refs);
	hold->thread = thread;
	return 0;
}

/* Marks the claims with these ids, all or none, and counts their ranges. */
static int release_mark(struct ipm_handle *handle, const u64 *ids, u32 nr, u32 *ranges)
{
	int ret = 0;
	u32 i;

	lockdep_assert_held(&handle->seg->lock);
	for (i = 0; i < nr; i++) {
		struct ipm_hold *hold = by_id_find(handle, ids[i]);

		if (!hold || hold->marked) {
			ret = hold ? -ENOENT : lost(handle->seg, ids[i]);
			break;
		}
		hold->marked = 1;
		*ranges += hold->nr;
	}
	while (ret && i)
		by_id_find(handle, ids[--i])->marked = 0;
	return ret;
}

static void release_unmark(struct ipm_handle *handle, const u64 *ids, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		by_id_find(handle, ids[i])->marked = 0;
}

/* Ends the claims that were marked, and puts each in the place of its id. */
static void release_marked(struct ipm_handle *handle, u64 *ids, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct ipm_hold *hold = by_id_find(handle, ids[i]);

		hold_end(handle->seg, hold, -ENOENT);
		ids[i] = (uintptr_t)hold;
	}
}

/* Copies the ids of a request in, to @few if there is room, or returns an ERR_PTR. */
static u64 *release_ids(const struct ipm_claim *req, u64 *few)
{
	const void __user *ids = u64_to_user_ptr(req->release);

	if (req->nr_release > RELEASES_FEW)
		return memdup_user(ids, req->nr_release * sizeof(*few));
	if (copy_from_user(few, ids, req->nr_release * sizeof(*few)))
		return ERR_PTR(-EFAULT);
	return few;
}

static void release_ids_free(u64 *ids, const u64 *few)
{
	if (ids != few)
		kfree(ids);
}

static void release_free(const u64 *holds, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		claim_free((struct ipm_hold *)(uintptr_t)holds[i]);
}

/* May this request wait? Else an error, before anything has changed. */
static int may_wait(struct ipm_segment *seg, const struct ipm_claim *req)
{
	if (req->flags & IPM_CLAIM_TRY)
		return -EAGAIN;
	if ((req->flags & IPM_CLAIM_UNTIL_REMOVED) && (seg->state & IPM_STATE_REMOVED))
		return -EIDRM;
	if ((req->flags & IPM_CLAIM_DEADLINE) && (u64)req->deadline <= ktime_get_ns())
		return -ETIMEDOUT;
	return 0;
}

/* Sees to it that expire() runs when handle->expires has come. */
static void expire_at(struct ipm_handle *handle, s64 now)
{
	u64 left = max(handle->expires - now, 0LL);

	mod_delayed_work(ipm_percpu_wq, &handle->expiry, nsecs_to_jiffies(left) + 1);
}

/* Puts an asynchronous claim in line. */
static void claim_async(struct ipm_hold *hold, struct ipm_wait *wait,
			struct ipm_hold *blocker, bool front)
{
	struct ipm_handle *handle = hold->handle;
	s64 expires;

	lockdep_assert_held(&handle->seg->lock);
	wait_enqueue(handle->seg, wait, blocker, front);
	expires = min(wait->deadline, wait->report);
	if (expires != S64_MAX) {
		wait->timer.expires = expires;
		timerqueue_add(&handle->pending, &wait->timer);
		if (expires < handle->expires) {
			handle->expires = expires;
			expire_at(handle, wait->since);
		}
	}
	by_id_insert(hold);
	atomic_inc(&hold->thread->held);
	hold->result = IPM_GRANT_PENDING;
}

static int claim_release_id(struct ipm_handle *handle, u64 id);

/**
 * ipm_claim() - IPM_IOC_CLAIM
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_claim
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_claim(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_claim __user *user = arg;
	struct ipm_hold *hold, *blocker;
	struct ipm_wait *async = NULL;
	struct ipm_claim req;
	u64 few[RELEASES_FEW], *release = NULL;
	u32 nr_released = 0, spare = 0;
	bool front = false;
	u32 result;
	u64 id;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if ((req.flags & ~(CLAIM_FLAGS | IPM_CLAIM_ASYNC)) || req.reserved ||
	    deadline_check(req.flags, req.deadline) ||
	    req.nr_release > IPM_CLAIM_RELEASES_MAX || (!req.nr_release && req.release))
		return -EINVAL;
	hold = hold_of_request(handle, &req);
	if (IS_ERR(hold))
		return PTR_ERR(hold);
	if (req.nr_release) {
		/* What is released cannot be undone: try the result first. */
		if (clear_user(&user->id, sizeof(user->id) + sizeof(user->result))) {
			ret = -EFAULT;
			goto free_hold;
		}
		release = release_ids(&req, few);
		if (IS_ERR(release)) {
			ret = PTR_ERR(release);
			goto free_hold;
		}
	}
	if (req.flags & IPM_CLAIM_ASYNC) {
		ret = -ENOMEM;
		async = kzalloc(sizeof(*async), GFP_KERNEL_ACCOUNT);
		if (!async)
			goto free_release;
		async->hold = hold;
		async->flags = req.flags;
		async->cookie = req.cookie;
		async->deadline = req.flags & IPM_CLAIM_DEADLINE ? req.deadline : S64_MAX;
		INIT_LIST_HEAD(&async->event);
		timerqueue_init(&async->timer);
	}

	ret = hold_sign(seg, hold);
	if (!ret && req.nr_release)
		ret = release_mark(handle, release, req.nr_release, &spare);
	if (!ret) {
		ret = ipm_charge_ranges(handle->user, hold->nr, spare);
		if (ret && req.nr_release)
			release_unmark(handle, release, req.nr_release);
	}
	if (ret) {
		spin_unlock(&seg->lock);
		goto free_async;
	}
	/*
	 * What this call releases is in nobody's way but others': whether the
	 * request has to wait is known before, and can still be refused. If it
	 * waits, those claims do not help it to the front of the line.
	 */
	blocker = find_blocker(seg, hold, false);
	if (blocker && holds_all(hold, true)) {
		front = true;
		blocker = find_blocker(seg, hold, true);
	}
	if (blocker) {
		ret = may_wait(seg, &req);
		if (ret) {
			if (req.nr_release)
				release_unmark(handle, release, req.nr_release);
			spin_unlock(&seg->lock);
			goto uncharge;
		}
		front = front && (!req.nr_release || holds_all(hold, false));
	}
	id = seg->next_id_claim++;
	hold->id = id;
	if (!blocker) {
		hold_grant(seg, hold);
		by_id_insert(hold);
		atomic_inc(&hold->thread->held);
	} else if (async) {
		blocker = find_blocker(seg, hold, front);
		claim_async(hold, async, blocker, front);
		async = NULL;
	}
	result = hold->result;
	if (req.nr_release)
		release_marked(handle, release, req.nr_release);
	nr_released = req.nr_release;
	wake_and_unlock(seg);
	release_free(release, nr_released);

	if (blocker && !(req.flags & IPM_CLAIM_ASYNC)) {
		struct ipm_wait wait = {
			.hold = hold,
			.flags = req.flags,
			.deadline = req.flags & IPM_CLAIM_DEADLINE ? req.deadline : S64_MAX,
		};

		ret = wait_for_grant(seg, &wait, front);
		result = wait.result;
		/* What this call released would not be found a second time. */
		if (ret == -ERESTARTNOHAND && req.nr_release)
			ret = -EINTR;
		if (ret)
			goto uncharge;
	} else if (blocker && front && !(req.flags & IPM_CLAIM_NO_DEADLOCK) &&
		   async_closes_cycle(handle, id)) {
		release_ids_free(release, few);
		return -EDEADLK;
	}

	release_ids_free(release, few);
	kfree(async);
	req.id = id;
	req.result = result;
	if (copy_to_user(&user->id, &req.id, sizeof(req.id) + sizeof(req.result))) {
		claim_release_id(handle, id);
		return -EFAULT;
	}
	return 0;

uncharge:
	ipm_uncharge_ranges(handle->user, hold->nr);
free_async:
	kfree(async);
free_release:
	release_ids_free(release, few);
free_hold:
	hold_free(hold);
	return ret;
}

/* Ends the claim @id of a handle. */
static int claim_release_id(struct ipm_handle *handle, u64 id)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_hold *hold;
	int ret = 0;

	spin_lock(&seg->lock);
	hold = by_id_find(handle, id);
	if (hold)
		hold_end(seg, hold, -ENOENT);
	else
		ret = lost(seg, id);
	wake_and_unlock(seg);
	if (hold)
		claim_free(hold);
	return ret;
}

/**
 * ipm_claim_release() - IPM_IOC_RELEASE
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_release
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_claim_release(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_release req;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags || req.reserved)
		return -EINVAL;
	return claim_release_id(handle, req.id);
}

/* Which claims a walk over a handle's claims ends. */
enum which { ALL, CLOSED, DEAD, CLEARED };

/*
 * Ends those claims of a handle, among the next few whose id is not below
 * *@next and is below @limit, that are meant; if CLEARED, those that were held
 * when it began, and not those granted in the course of it. Moves *@next on, to
 * @limit at the end. Adds those that left bytes in doubt to *@doubts. Returns how
 * many it ended. Gives up the lock in between.
 */
static u32 end_batch(struct ipm_handle *handle, enum which which, u64 *next, u64 limit,
		     u64 *doubts)
	__must_hold(&handle->seg->lock)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_hold *ended[BATCH], *hold, *after;
	u32 nr = 0, seen = 0, i;

	lockdep_assert_held(&seg->lock);
	hold = by_id_from(handle, *next);
	while (hold && hold->id < limit && seen < BATCH) {
		after = by_id(rb_next(&hold->by_id));
		*next = hold->id + 1;
		seen += hold->nr;
		/* The round before left none of those that are older than it. */
		if (which == CLEARED &&
		    (hold->state != HOLD_HELD || hold->round == (u8)seg->clear_round))
			goto next;
		if (which == DEAD && hold->thread->tgid != task_tgid(current))
			goto next;
		if (which == DEAD || (which == CLOSED && taker_died(hold)))
			*doubts += hold_end_dead(seg, hold);
		else
			hold_end(seg, hold, which == CLEARED ? -EIDRM : -ENOENT);
		ended[nr++] = hold;
next:
		hold = after;
	}
	if (!hold || hold->id >= limit)
		*next = limit;
	wake_and_unlock(seg);
	for (i = 0; i < nr; i++)
		claim_free(ended[i]);
	cond_resched();
	spin_lock(&seg->lock);
	return nr;
}

/* Ends those claims of a handle that are meant; returns how many. */
static u32 end_claims(struct ipm_handle *handle, enum which which)
{
	struct ipm_segment *seg = handle->seg;
	u64 next = 0, limit, doubts = 0;
	struct ipm_notice *notice;
	u32 nr = 0;

	spin_lock(&seg->lock);
	limit = seg->next_id_claim;
	while (next < limit)
		nr += end_batch(handle, which, &next, limit, &doubts);
	if (which == DEAD && nr && ipm_listens(seg, IPM_NL_GROUP_DEATHS)) {
		notice = ipm_notice_new(seg, IPM_NL_EVENT_DEATH, IPM_NL_GROUP_DEATHS);
		if (notice) {
			notice->handle = handle->number;
			notice->count = nr;
			notice->doubts = doubts;
		}
		ipm_notice_send(seg, notice);
	}
	spin_unlock(&seg->lock);
	return nr;
}

/**
 * ipm_claim_release_all() - IPM_IOC_RELEASE_ALL
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_release_all
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_claim_release_all(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_release_all req;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags)
		return -EINVAL;
	/* Tried first: what is released cannot be undone. */
	req.released = 0;
	if (ipm_put_arg(&req, sizeof(req), cmd, arg))
		return -EFAULT;
	req.released = end_claims(handle, ALL);
	return ipm_put_arg(&req, sizeof(req), cmd, arg);
}

/**
 * ipm_claim_clear() - IPM_IOC_CLEAR_CLAIMS
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_release_all
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_claim_clear(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_release_all req;
	struct ipm_handle *each;
	u64 limit, round, doubts = 0;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags)
		return -EINVAL;
	if (!ipm_segment_owned(seg))
		return -EPERM;
	req.released = 0;
	if (ipm_put_arg(&req, sizeof(req), cmd, arg))
		return -EFAULT;

	/* One at a time, since each marks the handles that it has seen. */
	mutex_lock(&seg->setup);
	spin_lock(&seg->lock);
	limit = seg->next_id_claim;
	seg->cleared = limit;
	round = ++seg->clear_round;
	/* Those that are done go to the end; those that come later are new. */
	while ((each = list_first_entry_or_null(&seg->handles, struct ipm_handle, node))) {
		if (each->clear_round != round) {
			each->clear_round = round;
			each->clear_next = 0;
		}
		if (each->clear_next >= limit)
			break;
		/* The lock is given up in between: the handle waits for us. */
		each->busy++;
		req.released += end_batch(each, CLEARED, &each->clear_next, limit, &doubts);
		/* Unless it was closed in between. */
		if (each->clear_next >= limit && !list_empty(&each->node))
			list_move_tail(&each->node, &seg->handles);
		/* Only its end waits for that, and has taken it out of the list. */
		if (!--each->busy && list_empty(&each->node))
			wake_up_all(&each->readable);
	}
	spin_unlock(&seg->lock);
	mutex_unlock(&seg->setup);
	return ipm_put_arg(&req, sizeof(req), cmd, arg);
}

/* Takes what became of an asynchronous claim; the wait, or NULL if none. */
static struct ipm_wait *collect(struct ipm_hold *hold)
{
	struct ipm_wait *wait = hold->wait;

	hold->wait = NULL;
	if (wait)
		list_del_init(&wait->event);
	return wait;
}

/**
 * ipm_claim_collect() - IPM_IOC_COLLECT
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_collect
 *
 * Return: 0, why the claim ended, or an error of the table in the ABI header.
 */
long ipm_claim_collect(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_wait *wait = NULL;
	struct ipm_collect req;
	struct ipm_hold *hold;
	bool held;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags)
		return -EINVAL;

	spin_lock(&seg->lock);
	hold = by_id_find(handle, req.id);
	if (hold)
		ret = hold->state == HOLD_WAITING ? -EAGAIN : 0;
	else
		ret = lost(seg, req.id);
	held = !ret && hold->state == HOLD_HELD;
	req.result = held ? hold->result : 0;
	spin_unlock(&seg->lock);
	if (ret)
		return ret;
	if (held && ipm_put_arg(&req, sizeof(req), cmd, arg))
		return -EFAULT;

	/* Once more: another thread may have been faster. */
	spin_lock(&seg->lock);
	hold = by_id_find(handle, req.id);
	if (!hold) {
		ret = lost(seg, req.id);
	} else if (hold->state == HOLD_FAILED) {
		ret = hold->wait->state;
		hold_end(seg, hold, -ENOENT);
	} else {
		wait = collect(hold);
		hold = NULL;
	}
	wake_and_unlock(seg);
	if (hold)
		claim_free(hold);
	wait_free(wait);
	return ret;
}

/**
 * ipm_claim_next_event() - the next event of an asynchronous claim
 * @handle: handle, its segment locked
 * @event: where to, zeroed; the event stays
 *
 * Return: whether there is one.
 */
bool ipm_claim_next_event(struct ipm_handle *handle, struct ipm_event *event)
{
	struct ipm_wait *wait;

	lockdep_assert_held(&handle->seg->lock);
	wait = list_first_entry_or_null(&handle->events, struct ipm_wait, event);
	if (!wait)
		return false;
	event->id = wait->hold->id;
	event->cookie = wait->cookie;
	if (wait->state == WAIT_GRANTED) {
		event->type = IPM_EVENT_CLAIM;
		event->result = wait->hold->result;
	} else {
		event->type = IPM_EVENT_CLAIM_FAILED;
		event->error = -wait->state;
	}
	return true;
}

/**
 * ipm_claim_take_event() - collects a claim whose event was read
 * @handle: handle
 * @id: the claim
 *
 * Return: whether it was there; another thread may have been faster.
 */
bool ipm_claim_take_event(struct ipm_handle *handle, u64 id)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_wait *wait = NULL;
	struct ipm_hold *hold;

	spin_lock(&seg->lock);
	hold = by_id_find(handle, id);
	if (hold && hold->state == HOLD_FAILED) {
		hold_end(seg, hold, -ENOENT);
		wake_and_unlock(seg);
		claim_free(hold);
		return true;
	}
	if (hold && hold->state == HOLD_HELD)
		wait = collect(hold);
	spin_unlock(&seg->lock);
	wait_free(wait);
	return wait;
}

/* Ends asynchronous waits whose deadline has passed, and tells of long ones. */
static void expire(struct work_struct *work)
{
	struct ipm_handle *handle = container_of(to_delayed_work(work), struct ipm_handle,
						 expiry);
	struct ipm_segment *seg = handle->seg;
	struct timerqueue_node *next;
	s64 now = ktime_get_ns();
	u32 nr;

	do {
		nr = 0;
		spin_lock(&seg->lock);
		while ((next = timerqueue_getnext(&handle->pending)) && next->expires <= now &&
		       nr < BATCH) {
			struct ipm_wait *wait = container_of(next, struct ipm_wait, timer);

			nr += wait->hold->nr;
			if (wait->deadline <= now) {
				wait_fail(seg, wait, -ETIMEDOUT);
				continue;
			}
			report_wait(seg, wait);
			timerqueue_del(&handle->pending, next);
			if (wait->deadline == S64_MAX)
				continue;
			next->expires = wait->deadline;
			timerqueue_add(&handle->pending, next);
		}
		handle->expires = next ? next->expires : S64_MAX;
		if (next && nr < BATCH)
			expire_at(handle, now);
		wake_and_unlock(seg);
		cond_resched();
	} while (nr >= BATCH);
}

/**
 * ipm_claim_setup() - prepares the claims of a new handle
 * @handle: handle, zeroed
 */
void ipm_claim_setup(struct ipm_handle *handle)
{
	handle->claims = RB_ROOT;
	handle->expires = S64_MAX;
	timerqueue_init_head(&handle->pending);
	INIT_LIST_HEAD(&handle->events);
	INIT_DELAYED_WORK(&handle->expiry, expire);
}

/**
 * ipm_claim_process_died() - ends the claims that the dying caller took
 * @handle: a handle that it has open
 */
void ipm_claim_process_died(struct ipm_handle *handle)
{
	struct ipm_segment *seg = handle->seg;
	struct pid *tgid = task_tgid(current), *former;
	bool gone;

	if (!READ_ONCE(handle->nr_claims))
		return;
	/* It may have thousands of file descriptors of the handle. */
	spin_lock(&seg->lock);
	gone = handle->gone == tgid;
	spin_unlock(&seg->lock);
	if (gone)
		return;
	/* From here on it takes no more claims, unless one of its threads is still there. */
	gone = !atomic_read(&current->signal->live);
	end_claims(handle, DEAD);
	if (!gone)
		return;
	spin_lock(&seg->lock);
	former = handle->gone;
	handle->gone = get_pid(tgid);
	spin_unlock(&seg->lock);
	put_pid(former);
}

/**
 * ipm_claim_handle_closed() - ends all claims of a handle
 * @handle: a handle that nobody has open any more, and that has left the list
 *	of its segment
 */
void ipm_claim_handle_closed(struct ipm_handle *handle)
{
	struct ipm_segment *seg = handle->seg;

	/* The lock at the end lets the one who woke us be done with it. */
	wait_event(handle->readable, !READ_ONCE(handle->busy));
	spin_lock(&seg->lock);
	spin_unlock(&seg->lock);
	cancel_delayed_work_sync(&handle->expiry);
	end_claims(handle, CLOSED);
	thread_put(handle->thread);
	put_pid(handle->gone);
	if (handle->spare)
		kmem_cache_free(hold_cache, handle->spare);
}

/**
 * ipm_claim_removed() - ends the waits that are to end with the segment
 * @seg: segment, removed: no such wait begins any more
 */
void ipm_claim_removed(struct ipm_segment *seg)
{
	struct ipm_wait *wait;
	u32 nr;

	do {
		spin_lock(&seg->lock);
		for (nr = 0; nr < BATCH && !list_empty(&seg->until_removed);) {
			wait = list_first_entry(&seg->until_removed, struct ipm_wait, removal);
			nr += max_t(u32, wait->hold->nr, 1);
			wait_fail(seg, wait, -EIDRM);
		}
		wake_and_unlock(seg);
		cond_resched();
	} while (nr);
}

/**
 * ipm_claim_covers() - does one write claim of a handle cover a range?
 * @handle: handle, its segment locked
 * @start: first byte
 * @last: last byte
 *
 * Return: whether there is one.
 */
bool ipm_claim_covers(struct ipm_handle *handle, u64 start, u64 last)
{
	/*
	 * From here on, what is searched for starts at or before @start and ends at
	 * or after @last. All that do are of one handle, since they overlap.
	 */
	struct search search = { last, start, 0, NULL, U32_MAX };
	struct ipm_span *span;

	lockdep_assert_held(&handle->seg->lock);
	span = span_first(&handle->seg->held[IPM_CLAIM_WRITE], &search);
	return span && span_hold(span)->handle == handle;
}

/**
 * ipm_claim_show() - the claims of a handle, as lines of its fdinfo
 * @handle: handle
 * @m: where to
 */
void ipm_claim_show(struct ipm_handle *handle, struct seq_file *m)
{
	static const char * const state[] = {
		[HOLD_NEW] = "new", [HOLD_WAITING] = "waiting",
		[HOLD_HELD] = "held", [HOLD_FAILED] = "failed",
	};
	struct ipm_segment *seg = handle->seg;
	struct ipm_hold *hold;
	u64 next = 0;
	u32 i, seen;

	do {
		seen = 0;
		spin_lock(&seg->lock);
		hold = by_id_from(handle, next);
		for (; hold && seen < BATCH; hold = by_id(rb_next(&hold->by_id))) {
			for (i = 0; i < hold->nr; i++)
				seq_printf(m, "claim:\t%llu %s %s %llu %llu %d\n", hold->id,
					   state[hold->state],
					   hold->spans[i].write ? "write" : "read",
					   hold->spans[i].start,
					   hold->spans[i].last - hold->spans[i].start + 1,
					   pid_vnr(hold->thread->tgid));
			next = hold->id + 1;
			seen += hold->nr;
		}
		spin_unlock(&seg->lock);
	} while (hold && !seq_has_overflowed(m));
}

/* Copies the ranges of a claim behind those that are there. */
static void copy_ranges(struct ipm_rows *rows, struct ipm_row *row, const struct ipm_hold *hold)
{
	u32 i;

	row->first = rows->nr_ranges;
	row->nr = hold->nr;
	for (i = 0; i < hold->nr; i++)
		rows->range[rows->nr_ranges++] = span_range(&hold->spans[i]);
}

/* Is there room for one more claim? */
static bool has_room(const struct ipm_rows *rows, const struct ipm_hold *hold)
{
	return rows->nr < IPM_ROWS_MAX && rows->nr_ranges + hold->nr <= IPM_ROW_RANGES_MAX;
}

/**
 * ipm_claim_rows() - a part of the list of claims that are held
 * @seg: segment
 * @place: where to begin, and then where to go on
 * @rows: receives them
 */
void ipm_claim_rows(struct ipm_segment *seg, struct ipm_place *place, struct ipm_rows *rows)
{
	struct ipm_handle *handle;
	struct ipm_hold *hold;
	u32 handles = 0, looks = 0;
	u64 now;

	spin_lock(&seg->lock);
	now = get_jiffies_64();
	/* Goes up with each grant, each end and each convert. */
	rows->generation = 2 * seg->grants - seg->nr_claims;
	handle = ipm_handle_from(seg, place->handle);
	for (; handle && handles < HANDLES_MAX; handle = ipm_handle_next(handle), handles++) {
		if (handle->number != place->handle) {
			place->handle = handle->number;
			place->at = 0;
		}
		if (!handle->nr_held)
			continue;
		for (hold = by_id_from(handle, place->at); hold;
		     hold = by_id(rb_next(&hold->by_id))) {
			struct ipm_row *row = &rows->row[rows->nr];

			if (!has_room(rows, hold) || looks++ == 4 * IPM_ROWS_MAX)
				goto unlock;
			place->at = hold->id + 1;
			if (hold->state != HOLD_HELD)
				continue;
			*row = (struct ipm_row) {
				.pid = get_pid(hold->thread->tgid),
				.tid = get_pid(hold->thread->tid),
				.user = handle->uid,
				.handle = handle->number,
				.claim = hold->id,
				.age = jiffies64_to_nsecs(now - hold->spans[0].subtree.since),
				.result = hold->result,
			};
			copy_ranges(rows, row, hold);
			rows->nr++;
		}
	}
	if (handle) {
		place->handle = handle->number;
		place->at = 0;
	}
	rows->end = !handle;
unlock:
	spin_unlock(&seg->lock);
}

/* What is in the way of a wait: a claim that is held, if there is one. Else NULL or -EAGAIN. */
static struct ipm_hold *row_blocker(struct ipm_segment *seg, const struct ipm_wait *wait,
				    u32 *left)
{
	struct ipm_hold *hold = any_conflict(seg->held, wait->hold);
	struct ipm_cursor cursor = { 0 };

	return hold ? hold : earlier_conflict(seg, wait, &cursor, left);
}

static void row_add_blocker(struct ipm_row *row, const struct ipm_hold *hold)
{
	row->blocker.user = INVALID_UID;
	if (IS_ERR_OR_NULL(hold))
		return;
	if (hold->state == HOLD_WAITING)
		row->blocker.flags = IPM_NL_BLOCKER_WAITS;
	row->blocker.pid = get_pid(hold->thread->tgid);
	row->blocker.tid = get_pid(hold->thread->tid);
	row->blocker.user = hold->handle->uid;
	row->blocker.handle = hold->handle->number;
	row->blocker.claim = hold->id;
	if (hold->state == HOLD_WAITING && hold->wait->target_id)
		row->blocker.claim = hold->wait->target_id;
}

/**
 * ipm_claim_wait_rows() - a part of the list of claims that are waited for
 * @seg: segment
 * @place: where to begin, and then where to go on
 * @rows: receives them
 */
void ipm_claim_wait_rows(struct ipm_segment *seg, struct ipm_place *place,
			 struct ipm_rows *rows)
{
	u32 left = looks_max();
	struct ipm_wait *wait;
	u64 now;

	spin_lock(&seg->lock);
	now = ktime_get_ns();
	/* Goes up with each that comes, and with each that goes. */
	rows->generation = 2 * seg->next_seq - seg->nr_waiters;
	wait = line_from(seg, place->at);
	for (; wait && has_room(rows, wait->hold); wait = in_line(rb_next(&wait->line))) {
		struct ipm_row *row = &rows->row[rows->nr];
		const struct ipm_hold *hold = wait->hold;
		const struct ipm_hold *blocker = row_blocker(seg, wait, &left);

		/* Its search is to have all looks; if they do not do, nothing is said. */
		if (IS_ERR(blocker) && rows->nr)
			break;
		*row = (struct ipm_row) {
			.pid = get_pid(hold->thread->tgid),
			.tid = get_pid(hold->thread->tid),
			.user = hold->handle->uid,
			.handle = hold->handle->number,
			.claim = wait->target_id ? wait->target_id : hold->id,
			.age = now - wait->since,
			.flags = wait_flags(wait),
		};
		copy_ranges(rows, row, hold);
		row_add_blocker(row, blocker);
		rows->nr++;
		place->at = wait->seq + 1;
	}
	rows->end = !wait;
	spin_unlock(&seg->lock);
}

/**
 * ipm_claim_convert() - IPM_IOC_CONVERT
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_convert
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_claim_convert(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_hold *hold, *stand_in;
	struct ipm_convert req;
	struct ipm_wait wait;
	int ret;
	u32 nr;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if ((req.flags & ~CLAIM_FLAGS) || req.reserved || req.mode > IPM_CLAIM_WRITE ||
	    deadline_check(req.flags, req.deadline))
		return -EINVAL;
	if (req.mode == IPM_CLAIM_WRITE && handle->access == IPM_READ_ONLY)
		return -EBADF;
	/* Tried first: what others do once it is converted cannot be undone. */
	req.result = 0;
	if (ipm_put_arg(&req, sizeof(req), cmd, arg))
		return -EFAULT;

	if (req.mode == IPM_CLAIM_READ) {
		spin_lock(&seg->lock);
		ret = convert_target(handle, req.id, &hold);
		if (!ret) {
			convert_apply(seg, hold, IPM_CLAIM_READ, NULL);
			req.result = hold->result;
			wake_blocked(seg, hold);
		}
		wake_and_unlock(seg);
		return ret ? ret : ipm_put_arg(&req, sizeof(req), cmd, arg);
	}

	spin_lock(&seg->lock);
	ret = convert_target(handle, req.id, &hold);
	nr = ret ? 0 : hold->nr;
	spin_unlock(&seg->lock);
	if (ret)
		return ret;
	/* The number of ranges of a claim never changes. */
	stand_in = hold_alloc(handle, nr);
	if (!stand_in)
		return -ENOMEM;

	ret = hold_sign(seg, stand_in);
	if (!ret)
		ret = convert_target(handle, req.id, &hold);
	if (ret) {
		spin_unlock(&seg->lock);
		goto free;
	}
	stand_in_fill(stand_in, hold);
	if (!find_blocker(seg, stand_in, true)) {
		convert_apply(seg, hold, IPM_CLAIM_WRITE, stand_in);
		req.result = hold->result;
		spin_unlock(&seg->lock);
	} else {
		spin_unlock(&seg->lock);
		if (req.flags & IPM_CLAIM_TRY) {
			ret = -EAGAIN;
			goto free;
		}
		wait = (struct ipm_wait) {
			.hold = stand_in,
			.target_id = req.id,
			.flags = req.flags,
			.deadline = req.flags & IPM_CLAIM_DEADLINE ? req.deadline : S64_MAX,
		};
		ret = wait_for_grant(seg, &wait, true);
		req.result = wait.result;
	}
free:
	hold_free(stand_in);
	return ret ? ret : ipm_put_arg(&req, sizeof(req), cmd, arg);
}

/**
 * ipm_claim_init() - prepares claims for the module
 *
 * Return: 0 or -ENOMEM.
 */
int ipm_claim_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(thread_table); i++)
		spin_lock_init(&thread_table[i].lock);
	hold_cache = kmem_cache_create("ipm_claim", offsetof(struct ipm_hold, spans[1]),
				       0, SLAB_ACCOUNT, NULL);
	return hold_cache ? 0 : -ENOMEM;
}

/**
 * ipm_claim_exit() - the opposite; no claim is left
 */
void ipm_claim_exit(void)
{
	kmem_cache_destroy(hold_cache);
}
