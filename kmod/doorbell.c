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
 * What a handle hears is kept as bits, so a burst costs it no memory. All of it
 * is under seg->lock.
 */
#include <linux/bitmap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "ipm.h"
#include "trace.h"

/* Wakes who reads or polls a handle. */
static void wake(struct ipm_handle *handle)
{
	wake_up_interruptible_poll(&handle->readable, EPOLLIN | EPOLLRDNORM);
}

/**
 * ipm_bell_tell() - tells the handles that have subscribed
 * @seg: segment, locked
 * @events: IPM_HEAR_* bits of what has happened
 */
void ipm_bell_tell(struct ipm_segment *seg, u32 events)
{
	struct ipm_handle *handle;

	lockdep_assert_held(&seg->lock);
	list_for_each_entry(handle, &seg->listeners, listener) {
		u32 news = events & handle->hears & ~handle->heard;

		if (!news)
			continue;
		handle->heard |= news;
		wake(handle);
	}
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

/* Ends the slot of a handle. */
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
		ipm_bell_tell(seg, IPM_HEAR_DEATH);
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
	struct ipm_handle *other;
	struct ipm_bell req;
	u32 heard = 0;
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

	/* Pairs with smp_store_release() in ipm_status_slots(). */
	if (one && !smp_load_acquire(&seg->slots))
		return -ENOENT;

	spin_lock(&seg->lock);
	if (one && IPM_SLOT_STATE(*ipm_status_slot(seg, req.slot)) != IPM_SLOT_ALIVE)
		ret = -ENOENT;
	list_for_each_entry(other, &seg->listeners, listener) {
		u64 news = req.bits & other->bits & ~other->rung;

		if (other == handle || (one && other->slot != req.slot))
			continue;
		if (!news)
			continue;
		other->rung |= news;
		heard++;
		wake(other);
	}
	spin_unlock(&seg->lock);
	if (!ret)
		trace_ipm_bell_ring(seg->id, req.bits, one ? (int)req.slot : -1, heard);
	return ret;
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
	handle->bits = req.bits;
	handle->rung &= req.bits;
	handle->hears = req.events;
	handle->heard &= req.events;
	list_del_init(&handle->listener);
	if (req.bits || req.events)
		list_add_tail(&handle->listener, &seg->listeners);
	spin_unlock(&seg->lock);
	return 0;
}

/* The next event of a handle, which stays. */
static bool peek(struct ipm_handle *handle, struct ipm_event *event)
{
	bool found = true;

	memset(event, 0, sizeof(*event));
	spin_lock(&handle->seg->lock);
	if (ipm_claim_next_event(handle, event)) {
		/* It is in @event. */
	} else if (handle->rung) {
		event->type = IPM_EVENT_BELL;
		event->cookie = handle->rung;
	} else if (handle->heard) {
		event->type = __ffs(handle->heard);
	} else {
		found = false;
	}
	spin_unlock(&handle->seg->lock);
	return found;
}

/* Takes an event that was read; false if another reader did. */
static bool take(struct ipm_handle *handle, const struct ipm_event *event)
{
	bool taken;

	if (event->type == IPM_EVENT_CLAIM || event->type == IPM_EVENT_CLAIM_FAILED)
		return ipm_claim_take_event(handle, event->id);
	spin_lock(&handle->seg->lock);
	if (event->type == IPM_EVENT_BELL) {
		taken = handle->rung & event->cookie;
		handle->rung &= ~event->cookie;
	} else {
		taken = handle->heard & BIT(event->type);
		handle->heard &= ~BIT(event->type);
	}
	spin_unlock(&handle->seg->lock);
	return taken;
}

static bool readable(struct ipm_handle *handle)
{
	bool readable;

	spin_lock(&handle->seg->lock);
	readable = !list_empty(&handle->events) || handle->rung || handle->heard;
	spin_unlock(&handle->seg->lock);
	return readable;
}

/**
 * ipm_bell_read() - read of a handle: events
 * @file: handle
 * @buf: room for one or more struct ipm_event
 * @size: bytes of @buf
 * @pos: not used
 *
 * An event that cannot be copied stays. Two readers at once may both be shown
 * an event, but only one of them is told that it read it.
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
		if (!peek(handle, &event)) {
			if (done)
				break;
			if (file->f_flags & O_NONBLOCK)
				return -EAGAIN;
			if (wait_event_interruptible(handle->readable, readable(handle)))
				return -EINTR;
			continue;
		}
		if (copy_to_user(buf + done, &event, sizeof(event)))
			return done ? done : -EFAULT;
		if (take(handle, &event))
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
	return readable(handle) ? EPOLLIN | EPOLLRDNORM : 0;
}

/**
 * ipm_bell_setup() - prepares a new handle
 * @handle: handle, zeroed
 */
void ipm_bell_setup(struct ipm_handle *handle)
{
	INIT_LIST_HEAD(&handle->listener);
	init_waitqueue_head(&handle->readable);
	handle->slot = IPM_SLOTS_MAX;
}

/**
 * ipm_bell_process_died() - ends the slot that the dying caller took
 * @handle: a handle that it has open
 */
void ipm_bell_process_died(struct ipm_handle *handle)
{
	spin_lock(&handle->seg->lock);
	if (handle->slot_owner == task_tgid(current))
		slot_end(handle, IPM_SLOT_DEAD);
	spin_unlock(&handle->seg->lock);
}

/**
 * ipm_bell_handle_closed() - ends the slot and subscription of a handle
 * @handle: a handle that nobody has open any more
 */
void ipm_bell_handle_closed(struct ipm_handle *handle)
{
	spin_lock(&handle->seg->lock);
	list_del_init(&handle->listener);
	if (handle->slot_owner)
		slot_end(handle, IPM_SLOT_DEAD);
	spin_unlock(&handle->seg->lock);
}
