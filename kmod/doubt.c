// SPDX-License-Identifier: GPL-2.0
/*
 * Bytes in doubt: what writers left that died while they held a write claim.
 *
 * A segment keeps a short array of ranges, ordered and disjoint, under its
 * lock. Bytes may come to be in doubt that are not, when the array is full and
 * the two entries that lie closest become one; bytes are never forgotten. The
 * first few entries lie in the segment, so that no failed allocation can lose
 * one.
 */
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/uaccess.h>
#include "ipm.h"

static u32 room(const struct ipm_segment *seg)
{
	return seg->doubt == seg->doubt_embedded ? IPM_DOUBT_EMBEDDED : IPM_DOUBT_MAX;
}

static void drop_entry(struct ipm_segment *seg, u32 i)
{
	put_pid(seg->doubt[i].pid);
	seg->nr_doubt--;
	seg->doubt_changes++;
	memmove(&seg->doubt[i], &seg->doubt[i + 1],
		(seg->nr_doubt - i) * sizeof(seg->doubt[0]));
}

/* Puts an entry at place @i, with a reference of its own to @pid. */
static void put_entry(struct ipm_segment *seg, u32 i, struct ipm_doubt_entry entry)
{
	memmove(&seg->doubt[i + 1], &seg->doubt[i],
		(seg->nr_doubt - i) * sizeof(seg->doubt[0]));
	get_pid(entry.pid);
	seg->doubt[i] = entry;
	seg->nr_doubt++;
	seg->doubt_changes++;
}

/* Makes one entry of the two that lie closest. */
static void merge_closest(struct ipm_segment *seg)
{
	struct ipm_doubt_entry *entry;
	u32 i, best = 0;

	for (i = 1; i + 1 < seg->nr_doubt; i++) {
		if (seg->doubt[i + 1].start - seg->doubt[i].last <
		    seg->doubt[best + 1].start - seg->doubt[best].last)
			best = i;
	}
	entry = &seg->doubt[best];
	if (entry[1].time > entry[0].time) {
		swap(entry[0].pid, entry[1].pid);
		entry[0].time = entry[1].time;
	}
	entry[0].last = entry[1].last;
	entry[0].merged = true;
	drop_entry(seg, best + 1);
}

/* Makes room for @more entries. */
static void make_room(struct ipm_segment *seg, u32 more)
{
	struct ipm_doubt_entry *large;

	if (seg->nr_doubt + more > room(seg) && seg->doubt == seg->doubt_embedded) {
		large = kmalloc_array(IPM_DOUBT_MAX, sizeof(*large),
				      GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
		if (large) {
			memcpy(large, seg->doubt, seg->nr_doubt * sizeof(*large));
			seg->doubt = large;
		}
	}
	while (seg->nr_doubt + more > room(seg))
		merge_closest(seg);
}

/* Does [start, last] lie inside an entry, so that it becomes two? */
static bool splits(const struct ipm_segment *seg, u64 start, u64 last)
{
	u32 i;

	for (i = 0; i < seg->nr_doubt; i++) {
		if (seg->doubt[i].start < start && seg->doubt[i].last > last)
			return true;
	}
	return false;
}

/* Takes [start, last] out of the list; there is room for one more entry. */
static void cut(struct ipm_segment *seg, u64 start, u64 last)
{
	u32 i = 0;

	while (i < seg->nr_doubt) {
		struct ipm_doubt_entry *entry = &seg->doubt[i], rest = *entry;

		if (entry->last < start || entry->start > last) {
			i++;
		} else if (entry->start >= start && entry->last <= last) {
			drop_entry(seg, i);
		} else if (entry->start >= start) {
			entry->start = last + 1;
			seg->doubt_changes++;
			i++;
		} else if (entry->last <= last) {
			entry->last = start - 1;
			seg->doubt_changes++;
			i++;
		} else {
			entry->last = start - 1;
			rest.start = last + 1;
			put_entry(seg, i + 1, rest);
			i += 2;
		}
	}
}

/**
 * ipm_doubt_add() - a writer died
 * @seg: segment, locked
 * @start: first byte of its claim
 * @last: last byte
 * @pid: who it was
 */
void ipm_doubt_add(struct ipm_segment *seg, u64 start, u64 last, struct pid *pid)
{
	struct ipm_doubt_entry entry = {
		.start = start,
		.last = last,
		.time = ktime_get_real_ns(),
		.pid = pid,
	};
	struct ipm_doubt_entry *near;
	u32 i;

	lockdep_assert_held(&seg->lock);
	make_room(seg, 2);
	cut(seg, start, last);
	for (i = 0; i < seg->nr_doubt && seg->doubt[i].start < start; i++)
		;
	/* What the same process left right before and after is one range. */
	near = &seg->doubt[i];
	if (i < seg->nr_doubt && near->pid == pid && last + 1 == near->start) {
		entry.last = near->last;
		entry.merged = near->merged;
		drop_entry(seg, i);
	}
	near = &seg->doubt[i] - 1;
	if (i && near->pid == pid && near->last + 1 == start) {
		near->last = entry.last;
		near->time = entry.time;
		near->merged |= entry.merged;
		seg->doubt_changes++;
	} else {
		put_entry(seg, i, entry);
	}
	ipm_status_update(seg);
}

/**
 * ipm_doubt_overlaps() - is a byte of a range in doubt?
 * @seg: segment, locked
 * @start: first byte
 * @last: last byte
 *
 * Return: whether one is.
 */
bool ipm_doubt_overlaps(struct ipm_segment *seg, u64 start, u64 last)
{
	u32 i;

	lockdep_assert_held(&seg->lock);
	for (i = 0; i < seg->nr_doubt && seg->doubt[i].start <= last; i++) {
		if (seg->doubt[i].last >= start)
			return true;
	}
	return false;
}

/**
 * ipm_doubt_free() - frees the list of a segment that ends
 * @seg: segment without users
 */
void ipm_doubt_free(struct ipm_segment *seg)
{
	while (seg->nr_doubt)
		drop_entry(seg, seg->nr_doubt - 1);
	if (seg->doubt != seg->doubt_embedded)
		kfree(seg->doubt);
}

/**
 * ipm_doubt_rows() - a part of the list of ranges in doubt
 * @seg: segment
 * @place: byte where to begin, and then where to go on
 * @rows: receives them
 */
void ipm_doubt_rows(struct ipm_segment *seg, struct ipm_place *place, struct ipm_rows *rows)
{
	u32 i;

	/* One part has room for all. */
	BUILD_BUG_ON(IPM_DOUBT_MAX > IPM_ROWS_MAX);
	rows->end = true;
	spin_lock(&seg->lock);
	rows->generation = seg->doubt_changes;
	for (i = 0; i < seg->nr_doubt; i++) {
		const struct ipm_doubt_entry *entry = &seg->doubt[i];

		if (entry->start < place->at)
			continue;
		rows->row[rows->nr++] = (struct ipm_row) {
			.pid = get_pid(entry->pid),
			.user = INVALID_UID,
			.start = entry->start,
			.length = entry->last - entry->start + 1,
			.time = entry->time,
			.flags = entry->merged ? IPM_DOUBT_MERGED : 0,
		};
		place->at = entry->last + 1;
	}
	spin_unlock(&seg->lock);
}

/* The last byte of a range that a caller named; 0 or an error. */
static int range_last(const struct ipm_segment *seg, u64 offset, u64 length, u64 *last)
{
	u64 end;

	if (!length)
		return -EINVAL;
	if (check_add_overflow(offset, length, &end))
		return -EOVERFLOW;
	if (end > seg->capacity)
		return -EFBIG;
	*last = end - 1;
	return 0;
}

/**
 * ipm_doubt_list() - IPM_IOC_DOUBT
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_doubt
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_doubt_list(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_doubt_range *list = NULL;
	struct ipm_doubt req;
	u64 last = U64_MAX;
	u32 nr = 0, i;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.nr_ranges > IPM_DOUBT_MAX || (!req.nr_ranges && req.ranges))
		return -EINVAL;
	if (req.offset || req.length) {
		ret = range_last(seg, req.offset, req.length, &last);
		if (ret)
			return ret;
	}
	if (req.nr_ranges) {
		list = kcalloc(req.nr_ranges, sizeof(*list), GFP_KERNEL_ACCOUNT);
		if (!list)
			return -ENOMEM;
	}

	req.total = 0;
	spin_lock(&seg->lock);
	for (i = 0; i < seg->nr_doubt; i++) {
		const struct ipm_doubt_entry *entry = &seg->doubt[i];

		if (entry->last < req.offset || entry->start > last)
			continue;
		req.total++;
		if (nr == req.nr_ranges)
			continue;
		list[nr++] = (struct ipm_doubt_range) {
			.offset = entry->start,
			.length = entry->last - entry->start + 1,
			.time = entry->time,
			.pid = pid_vnr(entry->pid),
			.flags = entry->merged ? IPM_DOUBT_MERGED : 0,
		};
	}
	spin_unlock(&seg->lock);

	req.nr_ranges = nr;
	if (nr && copy_to_user(u64_to_user_ptr(req.ranges), list, nr * sizeof(*list)))
		ret = -EFAULT;
	kfree(list);
	return ret ? ret : ipm_put_arg(&req, sizeof(req), cmd, arg);
}

/**
 * ipm_doubt_recovered() - IPM_IOC_RECOVERED
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_recovered
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_doubt_recovered(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_recovered req;
	u64 last;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags || req.reserved)
		return -EINVAL;
	if (handle->access == IPM_READ_ONLY)
		return -EBADF;
	ret = range_last(seg, req.offset, req.length, &last);
	if (ret)
		return ret;

	spin_lock(&seg->lock);
	if (!ipm_claim_covers(handle, req.offset, last)) {
		ret = -EACCES;
	} else if (ipm_doubt_overlaps(seg, req.offset, last)) {
		if (splits(seg, req.offset, last))
			make_room(seg, 1);
		cut(seg, req.offset, last);
		ipm_status_update(seg);
	}
	spin_unlock(&seg->lock);
	return ret;
}
