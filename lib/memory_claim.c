// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Claims, and access to whole values under them.
 *
 * The kernel keeps the claims; all that a handle keeps is how many it has, to
 * tell its owner and to guard changes of access.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "memory.h"

_Static_assert((int)IPM_ACCESS_MODE_READ_ONLY == IPM_CLAIM_READ &&
	       (int)IPM_ACCESS_MODE_READ_WRITE == IPM_CLAIM_WRITE, "modes are the kernel's");
_Static_assert(IPM_MEMORY_NO_DEADLOCK_CHECK == IPM_CLAIM_NO_DEADLOCK &&
	       IPM_MEMORY_UNTIL_REMOVED == IPM_CLAIM_UNTIL_REMOVED &&
	       IPM_MEMORY_ASYNC == IPM_CLAIM_ASYNC, "flags of claims are the kernel's");
_Static_assert(IPM_MEMORY_GRANT_IN_DOUBT == IPM_GRANT_IN_DOUBT &&
	       IPM_MEMORY_GRANT_PENDING == IPM_GRANT_PENDING &&
	       IPM_MEMORY_GRANT_WAITED == IPM_GRANT_WAITED, "results are the kernel's");
_Static_assert(IPM_MEMORY_MAX_RANGES == IPM_CLAIM_RANGES_MAX &&
	       IPM_MEMORY_MAX_RANGES == IPM_CLAIM_RELEASES_MAX &&
	       IPM_MEMORY_MAX_DOUBTS == IPM_DOUBT_MAX &&
	       IPM_MEMORY_DOUBT_MERGED == IPM_DOUBT_MERGED, "limits are the kernel's");

/* These go to the kernel and come from it as they are. */
#define SAME_MEMBER(a, x, b, y) \
	_Static_assert(offsetof(a, x) == offsetof(b, y) && \
		       sizeof(((a *)0)->x) == sizeof(((b *)0)->y), "laid out as the kernel's")
_Static_assert(sizeof(ipm_memory_range) == sizeof(struct ipm_range), "as large as the kernel's");
SAME_MEMBER(ipm_memory_range, offset, struct ipm_range, offset);
SAME_MEMBER(ipm_memory_range, length, struct ipm_range, length);
SAME_MEMBER(ipm_memory_range, access, struct ipm_range, mode);
SAME_MEMBER(ipm_memory_range, reserved, struct ipm_range, reserved);
_Static_assert(sizeof(ipm_memory_doubt) == sizeof(struct ipm_doubt_range), "as the kernel's");
SAME_MEMBER(ipm_memory_doubt, offset, struct ipm_doubt_range, offset);
SAME_MEMBER(ipm_memory_doubt, length, struct ipm_doubt_range, length);
SAME_MEMBER(ipm_memory_doubt, time, struct ipm_doubt_range, time);
SAME_MEMBER(ipm_memory_doubt, pid, struct ipm_doubt_range, pid);
SAME_MEMBER(ipm_memory_doubt, flags, struct ipm_doubt_range, flags);

#define CLAIM_FLAGS (IPM_MEMORY_NO_DEADLOCK_CHECK | IPM_MEMORY_UNTIL_REMOVED | IPM_MEMORY_ASYNC)

static uint64_t address_of(const void *ptr)
{
	return (uint64_t)(uintptr_t)ptr;
}

/* --- how many claims there are --- */

/*
 * A request is announced before it goes to the kernel, and waits while the
 * access is being changed. Both sides use sequentially consistent operations on
 * one word, so either the request sees CLAIMS_CHANGING or the change sees it.
 */
static void claims_begin(ipm_memory *m)
{
	while (atomic_fetch_add(&m->claims, CLAIMS_REQUEST) & CLAIMS_CHANGING) {
		atomic_fetch_sub(&m->claims, CLAIMS_REQUEST);
		pthread_mutex_lock(&m->lock);
		pthread_mutex_unlock(&m->lock);
	}
}

static void claims_failed(ipm_memory *m)
{
	atomic_fetch_sub(&m->claims, CLAIMS_REQUEST);
}

static void claims_granted(ipm_memory *m)
{
	atomic_fetch_add(&m->claims, CLAIMS_HELD - CLAIMS_REQUEST);
}

/*
 * Never below zero: ids that were never claims, and copies of a handle in
 * forked children, can make the count wrong, but not absurd.
 */
static void claims_ended(ipm_memory *m, uint64_t count)
{
	uint64_t claims = atomic_load(&m->claims);
	uint64_t less;

	do {
		less = claims >> CLAIMS_HELD_SHIFT;
		if (less > count)
			less = count;
	} while (!atomic_compare_exchange_weak(&m->claims, &claims, claims - less * CLAIMS_HELD));
}

uint64_t ipm_claims_held(const ipm_memory *memory)
{
	uint64_t mine = atomic_load(&memory->claims) >> CLAIMS_HELD_SHIFT;
	const struct ipm_status *status = mine ? ipm_status_page(memory) : NULL;
	uint64_t all;

	if (!status)
		return mine;
	/* Claims that CLEAR_CLAIMS ended were never given back. */
	all = (uint64_t)status_word(&status->claims) + status_word(&status->waiters);
	return mine < all ? mine : all;
}

/* --- claiming --- */

static ipm_result claim_result(const ipm_memory *m, int err, uint32_t flags)
{
	switch (err) {
	case ENOENT:
		return IPM_RESULT_ERR_INVALID_CLAIM;
	case EIDRM:
		/* Removed, or one of the claims meant was taken away. */
		if (flags & IPM_MEMORY_UNTIL_REMOVED && ipm_memory_is_removed(m))
			return IPM_RESULT_ERR_REMOVED;
		return IPM_RESULT_ERR_INVALID_CLAIM;
	case EFBIG:
		return IPM_RESULT_ERR_BAD_VALUE;
	case EBUSY:
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	case EBADF:
		return is_read_only(m) ? IPM_RESULT_ERR_BAD_ACCESS : IPM_RESULT_ERR_INVALID_FD;
	case ENOTTY:
		return IPM_RESULT_ERR_INVALID_FD;
	default:
		return ipm_result_of_errno(err);
	}
}

/* The kernel's flags for a deadline of ours. */
static uint32_t deadline_flags(int64_t deadline)
{
	if (deadline == IPM_DEADLINE_NOW)
		return IPM_CLAIM_TRY;
	return deadline == IPM_DEADLINE_NONE ? 0 : IPM_CLAIM_DEADLINE;
}

static int64_t deadline_value(int64_t deadline)
{
	return deadline_flags(deadline) == IPM_CLAIM_DEADLINE ? deadline : 0;
}

/* The ioctl, with the count kept. Returns 0 or a negative errno. */
static int do_claim(ipm_memory *m, struct ipm_claim *claim)
{
	int ret;

	claims_begin(m);
	ret = ipm_sys_ioctl(m->fd, IPM_IOC_CLAIM, claim);
	if (ret < 0)
		claims_failed(m);
	else
		claims_granted(m);
	return ret;
}

static ipm_result check_range(const ipm_memory *m, ipm_access_mode access, size_t offset,
			      size_t count)
{
	uint64_t size = m->size;

	if (!access_is_valid(access))
		return ipm_fail(&m->ctx, IPM_RESULT_ERR_BAD_VALUE, "access %d", (int)access);
	/* What was there when the handle was made is there for ever. */
	if (offset > size || count > size - offset)
		size = ipm_status_size(m);
	if (count == 0 || offset > size || count > size - offset)
		return ipm_fail(&m->ctx, IPM_RESULT_ERR_BAD_VALUE,
				"%zu bytes at %zu of a segment of %llu", count, offset,
				(unsigned long long)size);
	if (access == IPM_ACCESS_MODE_READ_WRITE && is_read_only(m))
		return ipm_fail(&m->ctx, IPM_RESULT_ERR_BAD_ACCESS,
				"cannot claim %zu bytes at %zu", count, offset);
	return IPM_RESULT_SUCCESS;
}

/* The range has been checked. */
static ipm_result claim_range(ipm_memory *m, ipm_access_mode access, size_t offset, size_t count,
			      int64_t deadline, ipm_id *id, uint32_t *granted)
{
	struct ipm_claim claim = {
		.offset = offset,
		.length = count,
		.mode = access,
		.flags = deadline_flags(deadline),
		.deadline = deadline_value(deadline),
	};
	int ret;

	if (deadline < 0)
		return ipm_fail(&m->ctx, IPM_RESULT_ERR_BAD_VALUE, "the deadline is negative");
	ret = do_claim(m, &claim);
	if (ret < 0)
		return ipm_fail_errno(&m->ctx, claim_result(m, -ret, 0), -ret,
				      "cannot claim %zu bytes at %zu of segment %u", count, offset,
				      m->id);
	*id = claim.id;
	*granted = claim.result;
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_claim_region_until(ipm_memory *memory, ipm_access_mode access, size_t offset,
					 size_t count, int64_t deadline, ipm_id *p_claim_id)
{
	ipm_result result;
	uint32_t granted;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!p_claim_id)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "no place for the claim");
	result = check_range(memory, access, offset, count);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	return claim_range(memory, access, offset, count, deadline, p_claim_id, &granted);
}

ipm_result ipm_memory_claim_region(ipm_memory *memory, ipm_access_mode access, size_t offset,
				   size_t count, ipm_id *p_claim_id)
{
	return ipm_memory_claim_region_until(memory, access, offset, count, IPM_DEADLINE_NONE,
					     p_claim_id);
}

ipm_result ipm_memory_claim_region_try(ipm_memory *memory, ipm_access_mode access, size_t offset,
				       size_t count, ipm_id *p_claim_id)
{
	return ipm_memory_claim_region_until(memory, access, offset, count, IPM_DEADLINE_NOW,
					     p_claim_id);
}

static ipm_result check_claim(const ipm_memory *m, const ipm_memory_claim_options *o)
{
	const ipm_context *ctx = &m->ctx;

	if (o->flags & ~CLAIM_FLAGS)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "flags 0x%x to claim", o->flags);
	if (!access_is_valid(o->access))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "access %d", (int)o->access);
	if (o->deadline < 0)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "the deadline is negative");
	if (o->nr_ranges > IPM_CLAIM_RANGES_MAX || !o->ranges != !o->nr_ranges)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "a list of %zu ranges",
				o->nr_ranges);
	if (o->nr_release > IPM_CLAIM_RELEASES_MAX || !o->release != !o->nr_release)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "a list of %zu claims to release",
				o->nr_release);
	return IPM_RESULT_SUCCESS;
}

/*
 * Whether a claim that came to @result has released what it was to release:
 * that happens when it is granted or before it waits. @could_wait tells whether
 * it looked, before the call, as if the kernel would let it wait.
 */
static bool has_released(ipm_result result, bool could_wait)
{
	switch (result) {
	case IPM_RESULT_SUCCESS:
	case IPM_RESULT_INTERRUPTED:
	case IPM_RESULT_ERR_DEADLOCK:
		return true;
	case IPM_RESULT_ERR_TIMEOUT:
	case IPM_RESULT_ERR_REMOVED:
		return could_wait;
	default:
		return false;
	}
}

ipm_result ipm_memory_claim(ipm_memory *memory, const ipm_memory_claim_options *options,
			    ipm_id *p_claim_id, uint32_t *p_granted)
{
	ipm_memory_claim_options o;
	struct ipm_claim claim = { 0 };
	bool could_wait = false;
	ipm_result result;
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!p_claim_id)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "no place for the claim");
	result = ipm_take_options(&o, sizeof(o), sizeof(o), options);
	if (result != IPM_RESULT_SUCCESS)
		return ipm_fail(&memory->ctx, result, "options to claim");
	result = check_claim(memory, &o);
	if (result != IPM_RESULT_SUCCESS)
		return result;

	claim.offset = o.offset;
	claim.length = o.length;
	claim.ranges = address_of(o.ranges);
	claim.release = address_of(o.release);
	claim.deadline = deadline_value(o.deadline);
	claim.cookie = o.cookie;
	claim.mode = o.access;
	claim.flags = o.flags | deadline_flags(o.deadline);
	claim.nr_ranges = (uint32_t)o.nr_ranges;
	claim.nr_release = (uint32_t)o.nr_release;
	if (o.nr_release)
		could_wait = !(o.flags & IPM_MEMORY_UNTIL_REMOVED &&
			       ipm_memory_is_removed(memory)) &&
			     (o.deadline == IPM_DEADLINE_NONE || o.deadline > ipm_sys_now());
	ret = do_claim(memory, &claim);
	result = ret < 0 ? claim_result(memory, -ret, o.flags) : IPM_RESULT_SUCCESS;
	if (has_released(result, could_wait))
		claims_ended(memory, o.nr_release);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, result, -ret,
				      "cannot claim bytes of segment %u", memory->id);
	*p_claim_id = claim.id;
	if (p_granted)
		*p_granted = claim.result;
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_convert(ipm_memory *memory, ipm_id claim_id, ipm_access_mode access,
			      uint32_t flags, int64_t deadline, uint32_t *p_granted)
{
	struct ipm_convert convert = {
		.id = claim_id,
		.deadline = deadline_value(deadline),
		.mode = access,
		.flags = flags | deadline_flags(deadline),
	};
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!access_is_valid(access) || deadline < 0 ||
	    flags & ~(CLAIM_FLAGS & ~IPM_MEMORY_ASYNC))
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot convert claim %llu",
				(unsigned long long)claim_id);
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_CONVERT, &convert);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, claim_result(memory, -ret, flags), -ret,
				      "cannot convert claim %llu", (unsigned long long)claim_id);
	if (p_granted)
		*p_granted = convert.result;
	return IPM_RESULT_SUCCESS;
}

/* --- releasing --- */

static ipm_result release(ipm_memory *m, ipm_id id)
{
	struct ipm_release release = { .id = id };
	int ret = ipm_sys_ioctl(m->fd, IPM_IOC_RELEASE, &release);

	if (ret >= 0 || ret == -EIDRM)
		claims_ended(m, 1);
	if (ret < 0)
		return ipm_fail_errno(&m->ctx, claim_result(m, -ret, 0), -ret,
				      "cannot release claim %llu", (unsigned long long)id);
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_release_region(ipm_memory *memory, ipm_id claim_id)
{
	return memory ? release(memory, claim_id) : IPM_RESULT_ERR_BAD_VALUE;
}

ipm_result ipm_memory_release_all(ipm_memory *memory)
{
	struct ipm_release_all all = { 0 };
	uint64_t before;
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	before = atomic_load(&memory->claims) >> CLAIMS_HELD_SHIFT;
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_RELEASE_ALL, &all);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, claim_result(memory, -ret, 0), -ret,
				      "cannot release the claims on segment %u", memory->id);
	/* More than there were: other threads. Fewer: somebody cleared them. */
	claims_ended(memory, all.released > before ? all.released : before);
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_remove_all_active_claims(ipm_memory *memory)
{
	struct ipm_release_all all = { 0 };
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_CLEAR_CLAIMS, &all);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, claim_result(memory, -ret, 0), -ret,
				      "cannot end all claims on segment %u", memory->id);
	return IPM_RESULT_SUCCESS;
}

/* --- asynchronous claims --- */

ipm_result ipm_memory_collect(ipm_memory *memory, ipm_id claim_id, uint32_t *p_granted)
{
	struct ipm_collect collect = { .id = claim_id };
	ipm_result result;
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_COLLECT, &collect);
	if (ret < 0) {
		/* It may also have ended because the segment was removed. */
		result = claim_result(memory, -ret, IPM_MEMORY_UNTIL_REMOVED);
		if (ret == -EIDRM || ret == -ETIMEDOUT)
			claims_ended(memory, 1);
		return ipm_fail_errno(&memory->ctx, result, -ret, "cannot collect claim %llu",
				      (unsigned long long)claim_id);
	}
	if (p_granted)
		*p_granted = collect.result;
	return IPM_RESULT_SUCCESS;
}

/* read() of a handle waits unless it is told not to, and poll does not lock. */
static int make_nonblocking(ipm_memory *m)
{
	int flags;

	if (atomic_load_explicit(&m->nonblocking, memory_order_relaxed))
		return 0;
	flags = ipm_sys_fcntl(m->fd, F_GETFL, 0);
	if (flags < 0)
		return flags;
	flags = ipm_sys_fcntl(m->fd, F_SETFL, flags | O_NONBLOCK);
	if (flags < 0)
		return flags;
	atomic_store_explicit(&m->nonblocking, true, memory_order_relaxed);
	return 0;
}

/* Until there is something to read: 0, or a negative errno. */
static int wait_for_events(const ipm_memory *m, int64_t deadline)
{
	int64_t timeout = -1;
	int ret;

	if (deadline == IPM_DEADLINE_NOW)
		return -EAGAIN;
	if (deadline != IPM_DEADLINE_NONE) {
		timeout = deadline - ipm_sys_now();
		if (timeout <= 0)
			return -ETIMEDOUT;
	}
	ret = ipm_sys_wait_readable(m->fd, timeout);
	return ret < 0 ? ret : 0;
}

static ipm_result event_result(int err)
{
	return err == EINVAL || err == ENOTTY ? IPM_RESULT_ERR_INVALID_FD : ipm_result_of_errno(err);
}

ipm_result ipm_memory_read_events(ipm_memory *memory, ipm_memory_event *events, size_t room,
				  int64_t deadline, size_t *p_count)
{
	struct ipm_event read[16];
	size_t most = sizeof(read) / sizeof(read[0]);
	size_t count, i;
	ssize_t ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!events || !room || !p_count || deadline < 0)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot read events");
	if (most > room)
		most = room;
	ret = make_nonblocking(memory);
	while (ret >= 0) {
		ret = ipm_sys_read(memory->fd, read, most * sizeof(read[0]));
		if (ret != -EAGAIN)
			break;
		ret = wait_for_events(memory, deadline);
	}
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, event_result((int)-ret), (int)-ret,
				      "cannot read events of segment %u", memory->id);
	count = (size_t)ret / sizeof(read[0]);
	if (count == 0 || count > most)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_OS_UNEXPECTED,
				"%zd bytes of events of segment %u", ret, memory->id);
	for (i = 0; i < count; i++) {
		events[i] = (ipm_memory_event){
			.result = claim_result(memory, (int)read[i].error,
					       IPM_MEMORY_UNTIL_REMOVED),
			.granted = read[i].result,
			.claim_id = read[i].id,
			.cookie = read[i].cookie,
			.type = read[i].type,
		};
		if (read[i].error)
			claims_ended(memory, 1);
	}
	*p_count = count;
	return IPM_RESULT_SUCCESS;
}

/* --- bytes in doubt --- */

ipm_result ipm_memory_list_doubts(ipm_memory *memory, uint64_t offset, uint64_t length,
				  ipm_memory_doubt *doubts, size_t room, size_t *p_total)
{
	struct ipm_doubt doubt = {
		.offset = offset,
		.length = length,
		.nr_ranges = room < IPM_DOUBT_MAX ? (uint32_t)room : IPM_DOUBT_MAX,
		.ranges = room ? address_of(doubts) : 0,
	};
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!p_total || (room && !doubts))
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "no place for the list");
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_DOUBT, &doubt);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, claim_result(memory, -ret, 0), -ret,
				      "cannot list what is in doubt of segment %u", memory->id);
	*p_total = doubt.total;
	return IPM_RESULT_SUCCESS;
}

/* RECOVERED, as 0 or a negative errno. */
static int recover(const ipm_memory *m, uint64_t offset, uint64_t length)
{
	struct ipm_recovered recovered = { .offset = offset, .length = length };

	return ipm_sys_ioctl(m->fd, IPM_IOC_RECOVERED, &recovered);
}

ipm_result ipm_memory_recovered(ipm_memory *memory, uint64_t offset, uint64_t length)
{
	ipm_result result;
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	ret = recover(memory, offset, length);
	if (ret >= 0)
		return IPM_RESULT_SUCCESS;
	result = ret == -EACCES ? IPM_RESULT_ERR_NOT_LOCKED : claim_result(memory, -ret, 0);
	return ipm_fail_errno(&memory->ctx, result, -ret,
			      "cannot declare %llu bytes at %llu of segment %u recovered",
			      (unsigned long long)length, (unsigned long long)offset, memory->id);
}

/* --- whole values --- */

/* Whether the bytes are mapped; maps more if it takes that. */
static bool is_mapped(ipm_memory *m, size_t offset, size_t count)
{
	if (offset + count > atomic_load(&m->mapped))
		ipm_map_extend(m);
	return atomic_load(&m->map) && offset + count <= atomic_load(&m->mapped);
}

/*
 * Copies what is mapped. It stays so, but elsewhere when another thread has to map more,
 * where not all of the capacity could be; that one waits for the end of the copy then.
 */
static void copy(ipm_memory *m, size_t offset, void *to, const void *from, size_t count)
{
	bool may_move = atomic_load(&m->mapped) < m->capacity;
	char *bytes;

	if (may_move)
		pthread_mutex_lock(&m->lock);
	bytes = (char *)atomic_load(&m->map) + offset;
	if (to)
		memcpy(to, bytes, count);
	else
		memcpy(bytes, from, count);
	if (may_move)
		pthread_mutex_unlock(&m->lock);
}

/* Copies from or to a buffer under a claim: @to tells which. */
static ipm_result copy_whole(ipm_memory *m, ipm_access_mode access, size_t offset, void *to,
			     const void *from, size_t count, int64_t deadline)
{
	ipm_result result, released;
	uint32_t granted;
	ipm_id id;

	if (!m)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!to && !from)
		return ipm_fail(&m->ctx, IPM_RESULT_ERR_BAD_VALUE, "the buffer is NULL");
	result = check_range(m, access, offset, count);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	if (!is_mapped(m, offset, count))
		return ipm_fail(&m->ctx, IPM_RESULT_ERR_BAD_INIT,
				"the handle on segment %u has no mapping", m->id);
	result = claim_range(m, access, offset, count, deadline, &id, &granted);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	copy(m, offset, to, from, count);
	if (to) {
		if (granted & IPM_GRANT_IN_DOUBT)
			result = IPM_RESULT_ERR_IN_DOUBT;
	} else {
		/*
		 * The bytes are whole again. They were written, so it is no
		 * error here if the kernel cannot note that: others are only
		 * warned without need.
		 */
		if (granted & IPM_GRANT_IN_DOUBT)
			recover(m, offset, count);
	}
	released = release(m, id);
	if (released != IPM_RESULT_SUCCESS)
		return released;
	if (result != IPM_RESULT_SUCCESS)
		ipm_fail(&m->ctx, result, "%zu bytes at %zu of segment %u", count, offset, m->id);
	return result;
}

ipm_result ipm_memory_read_until(ipm_memory *memory, size_t offset, void *buffer, size_t count,
				 int64_t deadline)
{
	return copy_whole(memory, IPM_ACCESS_MODE_READ_ONLY, offset, buffer, NULL, count, deadline);
}

ipm_result ipm_memory_read(ipm_memory *memory, size_t offset, void *buffer, size_t count)
{
	return ipm_memory_read_until(memory, offset, buffer, count, IPM_DEADLINE_NONE);
}

ipm_result ipm_memory_write_until(ipm_memory *memory, size_t offset, const void *buffer,
				  size_t count, int64_t deadline)
{
	return copy_whole(memory, IPM_ACCESS_MODE_READ_WRITE, offset, NULL, buffer, count, deadline);
}

ipm_result ipm_memory_write(ipm_memory *memory, size_t offset, const void *buffer, size_t count)
{
	return ipm_memory_write_until(memory, offset, buffer, count, IPM_DEADLINE_NONE);
}
