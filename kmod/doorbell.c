// SPDX-License-Identifier: GPL-2.0
/*
 * Slots, doorbells and events: how the users of a segment's pages tell who is
 * alive, and wake one another through poll().
 *
 * A slot is a number that one handle has at a time, for the process that took
 * it. Its word on the status page tells everybody, without a system call,
 * whether it is free, alive or dead; a dead one is not used again until
 * somebody says that what it left in the pages was cleaned up.
 *
 * What a handle hears is kept as bits, so a burst costs it no memory. They are set
 * under seg->lock, and taken without it.
 *
 * Whoever may read a segment may listen, with as many handles as he may have. So
 * those that listen are told a few under each hold of the lock, and those in their
 * wait queues woken without it. What a call costs that tells all of them still grows
 * with their number, but nobody waits for that but the caller. It tells those that were
 * in the list when it began; one that unsubscribes and subscribes is a new one.
 */
#include <linux/bitmap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "ipm.h"
#include "trace.h"

/* Handles that are looked at, and that are woken, under one hold of the lock. */
#define LOOKS_MAX 128
#define WOKEN_MAX 8
/* Handles that are woken on behalf of claims before others go on. */
#define PAID_MAX 128

/* What is to be told, and to whom. */
struct news {
	u64 bits;	/* doorbell bits */
	u32 events;	/* IPM_HEAR_* bits */
	u32 slot;	/* only to the handle that has this one; IPM_SLOTS_MAX: to all */
	const struct ipm_handle *from;	/* but this one, if any */
};

/*
 * One reader of a handle, mostly the only one, sleeps beside the wait queue: no lock, and
 * no entry that comes and goes. Whoever wakes the queue wakes that one, too, through an
 * entry that is always there.
 */
static int wake_reader(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	rcuwait_wake_up(&container_of(entry, struct ipm_handle, reader_entry)->reader);
	return 0;
}

/* Does anybody wait in the queue? Called when what they wait for is there. */
static bool queued(struct ipm_handle *handle)
{
	const struct list_head *own = &handle->reader_entry.entry;

	/*
	 * What they wait for before the queue: pairs with the barrier of who has put
	 * itself there and then asks readable().
	 */
	smp_mb();
	/* Both are read once: one who stays in the queue is seen in one of them. */
	return READ_ONCE(handle->readable.head.next) != own ||
	       READ_ONCE(handle->readable.head.prev) != own;
}

/* Wakes who reads or polls a handle. */
static void wake(struct ipm_handle *handle)
{
	wake_up_interruptible_poll(&handle->readable, EPOLLIN | EPOLLRDNORM);
}

/*
 * Wakes the queues of some handles, each of which is referenced and counted in its
 * @waking, without the segment's lock: a queue is as long as those who have the handle
 * want, and may lead to others. Whoever has made an event is not preempted before he
 * has woken who waits for it, but on a real-time kernel, where a queue's lock may sleep.
 */
static void unlock_and_wake(struct ipm_segment *seg, struct ipm_handle **woken, u32 nr)
	__releases(&seg->lock)
{
	u32 i;

	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
	spin_unlock(&seg->lock);
	for (i = 0; i < nr; i++)
		wake(woken[i]);
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	for (i = 0; i < nr; i++) {
		atomic_dec(&woken[i]->waking);
		ipm_handle_put(woken[i]);
	}
}

/**
 * ipm_bell_owe() - a handle has got an event of a claim
 * @handle: handle, its segment locked
 *
 * Wakes its reader. The queue is left to ipm_bell_pay().
 */
void ipm_bell_owe(struct ipm_handle *handle)
{
	lockdep_assert_held(&handle->seg->lock);
	rcuwait_wake_up(&handle->reader);
	if (!list_empty(&handle->owed) || !queued(handle))
		return;
	refcount_inc(&handle->refs);
	list_add_tail(&handle->owed, &handle->seg->owed);
}

/**
 * ipm_bell_pay() - wakes those that ipm_bell_owe() left
 * @seg: segment, locked; unlocked in between
 *
 * Return: false if there are so many that others go on making them; they are left.
 */
bool ipm_bell_pay(struct ipm_segment *seg)
{
	struct ipm_handle *handle;
	u32 nr = 0;

	lockdep_assert_held(&seg->lock);
	while (!list_empty(&seg->owed)) {
		if (nr++ == PAID_MAX)
			return false;
		handle = list_first_entry(&seg->owed, struct ipm_handle, owed);
		/* Who gives it the next event owes it again. */
		list_del_init(&handle->owed);
		atomic_inc(&handle->waking);
		unlock_and_wake(seg, &handle, 1);
		cond_resched();
		spin_lock(&seg->lock);
	}
	return true;
}

/*
 * Is it for this one, which is in the list? It knows it then; @new says whether that
 * is news. The barriers of fetch_or() pair with those in take(): who takes a bit sees
 * all that was done before it was set, also by one who found it set already.
 */
static bool hear(struct ipm_listener *listener, const struct news *news, bool *new)
{
	u64 bits = news->bits & listener->bits;
	u32 events = news->events & listener->events;
	struct ipm_handle *handle;

	*new = false;
	/* One that holds a place in the list listens to nothing, and has no handle. */
	if (!bits && !events)
		return false;
	handle = container_of(listener, struct ipm_handle, listener);
	if (handle == news->from ||
	    (news->slot != IPM_SLOTS_MAX && news->slot != handle->slot))
		return false;
	if (bits)
		*new = bits & ~atomic64_fetch_or(bits, &listener->rung);
	if (events)
		*new |= events & ~atomic_fetch_or(events, &listener->heard);
	return true;
}

/* Tells those who listen. Returns to how many it was news. */
static u32 tell(struct ipm_segment *seg, const struct news *news)
{
	struct ipm_listener place = { .bits = 0 }, *at;
	struct ipm_handle *woken[WOKEN_MAX], *handle;
	u32 looks, news_to, nr, total = 0;
	bool more = false, new;
	u64 end;

	spin_lock(&seg->lock);
	end = seg->next_turn;
	at = list_entry(&seg->listeners, struct ipm_listener, node);
	for (;;) {
		looks = 0;
		news_to = 0;
		nr = 0;
		list_for_each_entry_continue(at, &seg->listeners, node) {
			if (at->turn >= end || looks++ == LOOKS_MAX || news_to == WOKEN_MAX ||
			    nr == WOKEN_MAX)
				break;
			if (!hear(at, news, &new))
				continue;
			handle = container_of(at, struct ipm_handle, listener);
			/* No other has this slot. */
			if (news->slot != IPM_SLOTS_MAX)
				end = at->turn + 1;
			if (new) {
				news_to++;
				rcuwait_wake_up(&handle->reader);
			} else if (!atomic_read(&handle->waking)) {
				/* Who found the news woke it, and counted down after that. */
				continue;
			}
			/* Else he may not get to the wake-up for long. */
			if (!queued(handle))
				continue;
			refcount_inc(&handle->refs);
			atomic_inc(&handle->waking);
			woken[nr++] = handle;
		}
		if (more)
			list_del(&place.node);
		more = !list_entry_is_head(at, &seg->listeners, node) && at->turn < end;
		if (more) {
			place.turn = at->turn;
			list_add_tail(&place.node, &at->node);
		}
		unlock_and_wake(seg, woken, nr);
		total += news_to;
		if (!more)
			return total;
		cond_resched();
		spin_lock(&seg->lock);
		at = &place;
	}
}

/**
 * ipm_bell_tell() - tells the handles that have subscribed
 * @seg: segment, not locked
 * @events: IPM_HEAR_* bits of what has happened
 */
void ipm_bell_tell(struct ipm_segment *seg, u32 events)
{
	const struct news news = { .events = events, .slot = IPM_SLOTS_MAX };

	tell(seg, &news);
}

/* Tells those who listen that a slot died. */
static void tell_death(struct ipm_handle *handle)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_notice *notice;

	notice = ipm_notice_new(seg, IPM_NL_EVENT_SLOT_DEATH, IPM_NL_GROUP_DEATHS);
	if (notice) {
		ipm_notice_who(notice, handle->slot_owner, NULL, handle->uid);
		notice->handle = handle->number;
		notice->slot = handle->slot;
	}
	ipm_notice_send(seg, notice);
}

/* Ends the slot of a handle. Those who hear of deaths are to be told by the caller. */
static void slot_end(struct ipm_handle *handle, u32 state)
{
	struct ipm_segment *seg = handle->seg;
	u32 *word = ipm_status_slot(seg, handle->slot);

	lockdep_assert_held(&seg->lock);
	if (state == IPM_SLOT_DEAD && ipm_listens(seg, IPM_NL_GROUP_DEATHS))
		tell_death(handle);
	/* Who sees it sees all that its owner did: pairs with the acquire of who asks. */
	smp_store_release(word, (*word & ~3U) | state);
	if (state == IPM_SLOT_FREE)
		__clear_bit(handle->slot, seg->slots);
	handle->slot = IPM_SLOTS_MAX;
	put_pid(handle->slot_owner);
	handle->slot_owner = NULL;
	if (state == IPM_SLOT_DEAD) {
		/* Readers that see the count see the word: pairs with theirs. */
		smp_store_release(&seg->status->deaths, seg->status->deaths + 1);
	}
}

/**
 * ipm_slot() - IPM_IOC_SLOT
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_slot
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_slot(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct pid *me = task_tgid(current);
	bool taken = false;
	struct ipm_slot req;
	u32 *word, slot;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if ((req.flags & ~IPM_SLOT_GIVE) || req.reserved)
		return -EINVAL;
	if (handle->access == IPM_READ_ONLY)
		return -EBADF;
	ret = ipm_status_slots(seg);
	if (ret)
		return ret;

	spin_lock(&seg->lock);
	slot = handle->slot;
	if (slot != IPM_SLOTS_MAX && handle->slot_owner != me) {
		ret = -EBUSY;
	} else if (req.flags & IPM_SLOT_GIVE) {
		if (slot == IPM_SLOTS_MAX)
			ret = -ENOENT;
	} else if (slot == IPM_SLOTS_MAX) {
		slot = find_first_zero_bit(seg->slots, IPM_SLOTS_MAX);
		if (slot == IPM_SLOTS_MAX) {
			ret = -ENOSPC;
		} else {
			u32 generation;

			word = ipm_status_slot(seg, slot);
			generation = (IPM_SLOT_GENERATION(*word) + 1) & (U32_MAX >> 2);
			generation = max(generation, 1U);
			__set_bit(slot, seg->slots);
			WRITE_ONCE(*word, generation << 2 | IPM_SLOT_ALIVE);
			handle->slot = slot;
			handle->slot_owner = get_pid(me);
			taken = true;
		}
	}
	req.slot = slot;
	req.generation = ret ? 0 : IPM_SLOT_GENERATION(*ipm_status_slot(seg, slot));
	spin_unlock(&seg->lock);
	if (ret)
		return ret;

	ret = ipm_put_arg(&req, sizeof(req), cmd, arg);
	/* Given back when the caller knows, or when it never knew. */
	if (ret ? taken : req.flags & IPM_SLOT_GIVE) {
		spin_lock(&seg->lock);
		/* Not one that another thread has taken meanwhile. */
		if (handle->slot == slot && handle->slot_owner == me &&
		    IPM_SLOT_GENERATION(*ipm_status_slot(seg, slot)) == req.generation)
			slot_end(handle, IPM_SLOT_FREE);
		spin_unlock(&seg->lock);
	}
	return ret;
}

/**
 * ipm_reap() - IPM_IOC_REAP
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_reap
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_reap(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_reap req;
	u32 *word;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags || req.reserved || req.slot >= IPM_SLOTS_MAX)
		return -EINVAL;
	if (handle->access == IPM_READ_ONLY)
		return -EBADF;
	/* Pairs with smp_store_release() in ipm_status_slots(). */
	if (!smp_load_acquire(&seg->slots))
		return -ENOENT;

	spin_lock(&seg->lock);
	word = ipm_status_slot(seg, req.slot);
	if (IPM_SLOT_GENERATION(*word) != req.generation ||
	    IPM_SLOT_STATE(*word) == IPM_SLOT_FREE) {
		ret = -ENOENT;
	} else if (IPM_SLOT_STATE(*word) == IPM_SLOT_ALIVE) {
		ret = -EBUSY;
	} else {
		WRITE_ONCE(*word, req.generation << 2 | IPM_SLOT_FREE);
		__clear_bit(req.slot, seg->slots);
	}
	spin_unlock(&seg->lock);
	return ret;
}

/**
 * ipm_bell_ring() - IPM_IOC_RING
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_bell
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_bell_ring(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_bell req;
	struct news news;
	u32 heard;
	bool one;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	one = req.flags & IPM_BELL_SLOT;
	if ((req.flags & ~IPM_BELL_SLOT) || !req.bits ||
	    (one ? req.slot >= IPM_SLOTS_MAX : req.slot))
		return -EINVAL;
	if (handle->access == IPM_READ_ONLY)
		return -EBADF;

	if (one) {
		/* Pairs with smp_store_release() in ipm_status_slots(). */
		if (!smp_load_acquire(&seg->slots) ||
		    IPM_SLOT_STATE(READ_ONCE(*ipm_status_slot(seg, req.slot))) != IPM_SLOT_ALIVE)
			return -ENOENT;
	}
	news = (struct news) {
		.bits = req.bits,
		.slot = one ? req.slot : IPM_SLOTS_MAX,
		.from = handle,
	};
	heard = tell(seg, &news);
	trace_ipm_bell_ring(seg->id, req.bits, one ? (int)req.slot : -1, heard);
	return 0;
}

/**
 * ipm_bell_subscribe() - IPM_IOC_SUBSCRIBE
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_subscribe
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_bell_subscribe(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_listener *listener = &handle->listener;
	struct ipm_segment *seg = handle->seg;
	struct ipm_subscribe req;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags ||
	    (req.events & ~(IPM_HEAR_DEATH | IPM_HEAR_CHANGED | IPM_HEAR_REMOVED)))
		return -EINVAL;

	spin_lock(&seg->lock);
	listener->bits = req.bits;
	atomic64_and(req.bits, &listener->rung);
	listener->events = req.events;
	atomic_and(req.events, &listener->heard);
	if (!req.bits && !req.events) {
		list_del_init(&listener->node);
	} else if (list_empty(&listener->node)) {
		listener->turn = seg->next_turn++;
		list_add_tail(&listener->node, &seg->listeners);
	}
	spin_unlock(&seg->lock);
	return 0;
}

/*
 * Is there an event? Who is about to sleep asks when it can be found by who wakes, with
 * a full barrier between, which pairs with those of hear() and of the queue's lock: so
 * either the event is seen here, or who asks is seen there.
 */
static bool readable(struct ipm_handle *handle)
{
	return !list_empty(&handle->events) || atomic64_read(&handle->listener.rung) ||
	       atomic_read(&handle->listener.heard);
}

static bool of_claim(const struct ipm_event *event)
{
	return event->type == IPM_EVENT_CLAIM || event->type == IPM_EVENT_CLAIM_FAILED;
}

/*
 * Takes the next event of a handle; one of a claim stays, and is taken when the
 * reader has it. The atomic operations have a value and so are full barriers: they
 * pair with those in hear().
 */
static bool take(struct ipm_handle *handle, struct ipm_event *event)
{
	struct ipm_listener *listener = &handle->listener;
	bool found = false;
	u32 heard;

	if (!readable(handle))
		return false;
	memset(event, 0, sizeof(*event));
	if (!list_empty(&handle->events)) {
		spin_lock(&handle->seg->lock);
		found = ipm_claim_next_event(handle, event);
		spin_unlock(&handle->seg->lock);
	}
	if (found)
		return true;
	if (atomic64_read(&listener->rung))
		event->cookie = atomic64_xchg(&listener->rung, 0);
	if (event->cookie) {
		event->type = IPM_EVENT_BELL;
		return true;
	}
	for (heard = atomic_read(&listener->heard); heard; heard &= heard - 1) {
		event->type = __ffs(heard);
		if (atomic_fetch_andnot(BIT(event->type), &listener->heard) & BIT(event->type))
			return true;
	}
	return false;
}

/* Gives back what was taken and could not be handed over, unless it was unsubscribed. */
static void give_back(struct ipm_handle *handle, const struct ipm_event *event)
{
	struct ipm_listener *listener = &handle->listener;

	if (of_claim(event))
		return;
	spin_lock(&handle->seg->lock);
	if (event->type == IPM_EVENT_BELL)
		atomic64_or(event->cookie & listener->bits, &listener->rung);
	else
		atomic_or(BIT(event->type) & listener->events, &listener->heard);
	atomic_inc(&handle->waking);
	spin_unlock(&handle->seg->lock);
	/* Another reader may have found nothing meanwhile. */
	wake(handle);
	atomic_dec(&handle->waking);
}

/* Sleeps until there may be an event; -EINTR for a signal. */
static int wait_for_event(struct ipm_handle *handle)
{
	int ret;

	/* Pairs with the release below: one reader at a time. */
	if (atomic_cmpxchg_acquire(&handle->reading, 0, 1))
		return wait_event_interruptible(handle->readable, readable(handle)) ? -EINTR : 0;
	ret = rcuwait_wait_event(&handle->reader, readable(handle), TASK_INTERRUPTIBLE);
	/* Pairs with the acquire above. */
	atomic_set_release(&handle->reading, 0);
	return ret;
}

/* Hands an event over, in words: a call to copy so little would cost more. */
static bool put_event(char __user *to, const struct ipm_event *event)
{
	if (!user_write_access_begin(to, sizeof(*event)))
		return false;
	unsafe_copy_to_user(to, (const char *)event, sizeof(*event), fault);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

/**
 * ipm_bell_read() - read of a handle: events
 * @file: handle
 * @buf: room for one or more struct ipm_event
 * @size: bytes of @buf
 * @pos: not used
 *
 * An event that cannot be copied stays. Two readers at once may both be shown
 * an event of a claim, but only one of them is told that it read it.
 *
 * Return: bytes read; -EINVAL for a buffer smaller than an event, -EAGAIN
 * without an event and with O_NONBLOCK, -EINTR, -EFAULT.
 */
ssize_t ipm_bell_read(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	struct ipm_handle *handle = file->private_data;
	struct ipm_event event;
	size_t done = 0;

	if (size < sizeof(event))
		return -EINVAL;
	while (size - done >= sizeof(event)) {
		if (!take(handle, &event)) {
			if (done)
				break;
			if (file->f_flags & O_NONBLOCK)
				return -EAGAIN;
			if (wait_for_event(handle))
				return -EINTR;
			continue;
		}
		if (!put_event(buf + done, &event)) {
			give_back(handle, &event);
			return done ? done : -EFAULT;
		}
		if (!of_claim(&event) || ipm_claim_take_event(handle, event.id))
			done += sizeof(event);
	}
	return done;
}

/**
 * ipm_bell_poll() - poll of a handle
 * @file: handle
 * @wait: poll table
 *
 * Return: readable while there is an event.
 */
__poll_t ipm_bell_poll(struct file *file, struct poll_table_struct *wait)
{
	struct ipm_handle *handle = file->private_data;

	poll_wait(file, &handle->readable, wait);
	/* In the queue before the question: pairs with hear(). */
	smp_mb();
	return readable(handle) ? EPOLLIN | EPOLLRDNORM : 0;
}

/**
 * ipm_bell_setup() - prepares a new handle
 * @handle: handle, zeroed
 */
void ipm_bell_setup(struct ipm_handle *handle)
{
	INIT_LIST_HEAD(&handle->listener.node);
	INIT_LIST_HEAD(&handle->owed);
	init_waitqueue_head(&handle->readable);
	rcuwait_init(&handle->reader);
	init_waitqueue_func_entry(&handle->reader_entry, wake_reader);
	__add_wait_queue(&handle->readable, &handle->reader_entry);
	handle->slot = IPM_SLOTS_MAX;
}

/**
 * ipm_bell_process_died() - ends the slot that the dying caller took
 * @handle: a handle that it has open
 */
void ipm_bell_process_died(struct ipm_handle *handle)
{
	struct ipm_segment *seg = handle->seg;
	bool died;

	spin_lock(&seg->lock);
	died = handle->slot_owner == task_tgid(current);
	if (died)
		slot_end(handle, IPM_SLOT_DEAD);
	spin_unlock(&seg->lock);
	if (died)
		ipm_bell_tell(seg, IPM_HEAR_DEATH);
}

/**
 * ipm_bell_handle_closed() - ends the slot and subscription of a handle
 * @handle: a handle that nobody has open any more
 */
void ipm_bell_handle_closed(struct ipm_handle *handle)
{
	struct ipm_segment *seg = handle->seg;
	bool died;

	spin_lock(&seg->lock);
	list_del_init(&handle->listener.node);
	died = handle->slot_owner;
	if (died)
		slot_end(handle, IPM_SLOT_DEAD);
	spin_unlock(&seg->lock);
	if (died)
		ipm_bell_tell(seg, IPM_HEAR_DEATH);
}
