// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Looking at segments and changing what they are: size, rights, names.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"

_Static_assert(IPM_MEMORY_STATE_PERSISTENT == IPM_STATE_PERSISTENT &&
	       IPM_MEMORY_STATE_REMOVED == IPM_STATE_REMOVED &&
	       IPM_MEMORY_STATE_IN_DOUBT == IPM_STATE_IN_DOUBT &&
	       IPM_MEMORY_STATE_PREALLOCATED == IPM_STATE_PREALLOCATED &&
	       IPM_MEMORY_STATE_NORESERVE == IPM_STATE_NORESERVE, "states are the kernel's");
_Static_assert(IPM_MEMORY_SET_MODE == IPM_SET_MODE && IPM_MEMORY_SET_UID == IPM_SET_UID &&
	       IPM_MEMORY_SET_GID == IPM_SET_GID &&
	       IPM_MEMORY_SET_LIFETIME == IPM_SET_LIFETIME, "settings are the kernel's");
_Static_assert(IPM_MODULE_CLAIMS == IPM_FEATURE_CLAIMS &&
	       IPM_MODULE_CONVERT == IPM_FEATURE_CONVERT &&
	       IPM_MODULE_RANGES == IPM_FEATURE_RANGES &&
	       IPM_MODULE_ASYNC == IPM_FEATURE_ASYNC &&
	       IPM_MODULE_DEADLOCK == IPM_FEATURE_DEADLOCK &&
	       IPM_MODULE_DOUBT == IPM_FEATURE_DOUBT &&
	       IPM_MODULE_STATUS == IPM_FEATURE_STATUS &&
	       IPM_MODULE_SLOTS == IPM_FEATURE_SLOTS &&
	       IPM_MODULE_DOORBELL == IPM_FEATURE_DOORBELL &&
	       IPM_MODULE_SYSV == IPM_FEATURE_SYSV, "features are the kernel's");
_Static_assert((int)IPM_MEMORY_PRIVATE == IPM_BY_NONE && (int)IPM_MEMORY_BY_NAME == IPM_BY_NAME &&
	       (int)IPM_MEMORY_BY_KEY == IPM_BY_KEY && (int)IPM_MEMORY_BY_ID == IPM_BY_ID,
	       "references are the kernel's");

/* --- without a system call --- */

const struct ipm_status *ipm_status_page(const ipm_memory *memory)
{
	/* No handle is really constant: they all come from the allocator. */
	ipm_memory *m = (ipm_memory *)memory;
	const struct ipm_status *status = atomic_load(&m->status);
	const struct ipm_status *none = NULL;
	void *map;

	if (status)
		return status;
	/* Two threads may both map it; one of them takes it back. */
	if (ipm_sys_mmap(&map, NULL, IPM_STATUS_SIZE, PROT_READ, MAP_SHARED, m->fd,
			 IPM_STATUS_OFFSET))
		return NULL;
	if (atomic_compare_exchange_strong(&m->status, &none, map))
		return map;
	ipm_sys_munmap(map, IPM_STATUS_SIZE);
	return none;
}

/* What the status page would tell, for who cannot map it. */
static struct ipm_info ask(const ipm_memory *m)
{
	struct ipm_info info = { 0 };

	if (ipm_sys_ioctl(m->fd, IPM_IOC_INFO, &info) < 0)
		info = (struct ipm_info){ .size = m->size };
	return info;
}

uint64_t ipm_status_size(const ipm_memory *memory)
{
	const struct ipm_status *status = ipm_status_page(memory);

	/* Pairs with the kernel's release: who sees the size sees the bytes. */
	return status ? __atomic_load_n(&status->size, __ATOMIC_ACQUIRE) : ask(memory).size;
}

void *ipm_memory_pointer(const ipm_memory *memory)
{
	return memory ? atomic_load(&memory->map) : NULL;
}

void *ipm_memory_get_pointer(const ipm_memory *memory)
{
	return ipm_memory_pointer(memory);
}

ipm_memory_info ipm_memory_get_info(ipm_memory *memory)
{
	if (!memory)
		return (ipm_memory_info){ 0 };
	return (ipm_memory_info){
		.p_ctx = &memory->ctx,
		.memory_access_mode = atomic_load(&memory->access),
		.access_id = memory->id,
		/* Pairs with the store that follows the writing of the name. */
		.name = atomic_load_explicit(&memory->named, memory_order_acquire) ?
			memory->name : "",
		.block_size = (size_t)ipm_status_size(memory),
		.mapping_address = atomic_load(&memory->map),
		.active_claims = (size_t)ipm_claims_held(memory),
	};
}

unsigned int ipm_memory_ref_count(const ipm_memory *memory)
{
	const struct ipm_status *status;

	if (!memory)
		return 0;
	status = ipm_status_page(memory);
	return status ? status_word(&status->handles) : ask(memory).handles;
}

uint64_t ipm_memory_size(const ipm_memory *memory)
{
	return memory ? ipm_status_size(memory) : 0;
}

uint64_t ipm_memory_capacity(const ipm_memory *memory)
{
	return memory ? memory->capacity : 0;
}

bool ipm_memory_is_removed(const ipm_memory *memory)
{
	const struct ipm_status *status;

	if (!memory)
		return false;
	status = ipm_status_page(memory);
	return (status ? status_word(&status->state) : ask(memory).state) & IPM_STATE_REMOVED;
}

uint32_t ipm_memory_get_id(const ipm_memory *memory)
{
	return memory ? memory->id : 0;
}

bool ipm_memory_was_created(const ipm_memory *memory)
{
	return memory && memory->created;
}

int ipm_memory_fd(const ipm_memory *memory)
{
	return memory ? memory->fd : -1;
}

/*
 * The kernel makes the sequence odd, changes the words and makes it even: read
 * until it was the same even number before and after. The kernel does not stop
 * in between, but a virtual CPU can: after so many times take the words as they
 * are, each of them is right.
 */
#define STATUS_TRIES 10000

ipm_result ipm_memory_get_status(const ipm_memory *memory, ipm_memory_status *status)
{
	const struct ipm_status *from;
	ipm_memory_status answer = { 0 };
	uint32_t before, after;
	int tries = 0;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!ipm_answer_fits(status, sizeof(answer)))
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "no place for the status");
	from = ipm_status_page(memory);
	if (!from)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_OS_OUT_OF_MEMORY,
				"cannot map the status page of segment %u", memory->id);
	do {
		/* Pairs with the kernel's barrier after it made it odd. */
		before = __atomic_load_n(&from->sequence, __ATOMIC_ACQUIRE);
		/* These pair with its barrier before it makes it even. */
		answer.size = __atomic_load_n(&from->size, __ATOMIC_ACQUIRE);
		answer.changes = __atomic_load_n(&from->changes, __ATOMIC_ACQUIRE);
		answer.state = __atomic_load_n(&from->state, __ATOMIC_ACQUIRE);
		after = status_word(&from->sequence);
	} while ((before & 1 || before != after) && ++tries < STATUS_TRIES);
	answer.capacity = memory->capacity;
	answer.id = memory->id;
	answer.handles = status_word(&from->handles);
	answer.maps = status_word(&from->maps);
	answer.claims = status_word(&from->claims);
	answer.waiters = status_word(&from->waiters);
	ipm_give_answer(status, &answer, sizeof(answer));
	return IPM_RESULT_SUCCESS;
}

/* --- asking the kernel --- */

static ipm_memory_details details_of(const struct ipm_info *info)
{
	ipm_memory_details details = {
		.by = (ipm_memory_by)info->ref.by,
		.key = info->ref.key,
		.id = info->ref.id,
		.state = info->state,
		.size = info->size,
		.capacity = info->capacity,
		.resident = info->resident,
		.mode = info->mode,
		.uid = info->uid,
		.gid = info->gid,
		.cuid = info->cuid,
		.cgid = info->cgid,
		.creator_pid = info->creator_pid,
		.last_pid = info->last_pid,
		.handles = info->handles,
		.maps = info->maps,
		.claims = info->claims,
		.waiters = info->waiters,
		.doubts = info->doubts,
		.create_time = info->create_time,
		.change_time = info->change_time,
		.attach_time = info->attach_time,
		.detach_time = info->detach_time,
		.waits = info->waits,
		.wait_ns = info->wait_ns,
		.deadlocks = info->deadlocks,
		.deaths = info->deaths,
		.doubt_events = info->doubt_events,
	};

	memcpy(details.name, info->ref.name, sizeof(details.name) - 1);
	return details;
}

ipm_result ipm_memory_get_details(const ipm_context *context, ipm_memory_ref ref,
				  ipm_memory_details *details)
{
	struct ipm_info info = { 0 };
	ipm_memory_details answer;
	ipm_context ctx;
	ipm_result result;
	char text[300];
	bool opened;
	int fd, ret;

	if (!ipm_context_copy(&ctx, context) || !ipm_answer_fits(details, sizeof(answer)))
		return ipm_fail(&ctx, IPM_RESULT_ERR_BAD_VALUE, "no place for the details");
	result = ipm_ref_target(&ctx, &ref, &info.ref, &fd, &opened);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	ret = ipm_sys_ioctl(fd, IPM_IOC_INFO, &info);
	if (opened)
		ipm_sys_close(fd);
	/* A file descriptor of the device would want to know which segment. */
	if (ret == -EINVAL && !opened)
		ret = -ENOTTY;
	if (ret < 0)
		return ipm_fail_errno(&ctx, ipm_find_result(-ret), -ret, "cannot ask about %s",
				      ipm_ref_describe(&ref, text, sizeof(text)));
	answer = details_of(&info);
	ipm_give_answer(details, &answer, sizeof(answer));
	return IPM_RESULT_SUCCESS;
}

/* --- changing --- */

ipm_result ipm_memory_remove(const ipm_context *context, ipm_memory_ref ref)
{
	struct ipm_remove remove = { 0 };
	ipm_context ctx;
	ipm_result result;
	char text[300];
	bool opened;
	int fd, ret;

	if (!ipm_context_copy(&ctx, context))
		return ipm_fail(&ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot remove a segment");
	result = ipm_ref_target(&ctx, &ref, &remove.ref, &fd, &opened);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	ret = ipm_sys_ioctl(fd, IPM_IOC_REMOVE, &remove);
	if (opened)
		ipm_sys_close(fd);
	if (ret == -EINVAL && !opened)
		ret = -ENOTTY;
	if (ret < 0)
		return ipm_fail_errno(&ctx, ipm_find_result(-ret), -ret, "cannot remove %s",
				      ipm_ref_describe(&ref, text, sizeof(text)));
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_link(ipm_memory *memory, ipm_memory_ref ref)
{
	struct ipm_link link = { 0 };
	ipm_result result;
	char text[300];
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (ref.by != IPM_MEMORY_BY_NAME && ref.by != IPM_MEMORY_BY_KEY)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE,
				"a segment is linked by name or key");
	result = ipm_ref_fill(&memory->ctx, &ref, &link.ref);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_LINK, &link);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, ipm_find_result(-ret), -ret,
				      "cannot link it as %s",
				      ipm_ref_describe(&ref, text, sizeof(text)));
	/* The kernel links a segment once, so only one thread ever gets here. */
	if (link.ref.by == IPM_BY_NAME) {
		memcpy(memory->name, link.ref.name, sizeof(memory->name));
		/* Pairs with the load in ipm_memory_get_info(). */
		atomic_store_explicit(&memory->named, true, memory_order_release);
	}
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_set(ipm_memory *memory, const ipm_memory_settings *settings)
{
	ipm_memory_settings s;
	struct ipm_set set = { 0 };
	ipm_result result;
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ipm_take_options(&s, sizeof(s), sizeof(s), settings);
	if (result != IPM_RESULT_SUCCESS)
		return ipm_fail(&memory->ctx, result, "settings of segment %u", memory->id);
	set.what = s.what;
	set.mode = s.mode;
	set.uid = s.uid;
	set.gid = s.gid;
	set.persistent = s.persistent;
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_SET, &set);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, ipm_find_result(-ret), -ret,
				      "cannot change segment %u", memory->id);
	return IPM_RESULT_SUCCESS;
}

static ipm_result grow_result(const ipm_memory *m, int err)
{
	switch (err) {
	case EINVAL:
		return IPM_RESULT_ERR_BAD_SIZE;
	case EBADF:
		return is_read_only(m) ? IPM_RESULT_ERR_BAD_ACCESS : IPM_RESULT_ERR_INVALID_FD;
	default:
		return ipm_find_result(err);
	}
}

ipm_result ipm_memory_grow(ipm_memory *memory, uint64_t new_size, uint32_t flags)
{
	struct ipm_grow grow = { .size = new_size };
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (flags & ~IPM_MEMORY_PREALLOCATE)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "flags 0x%x to grow",
				flags);
	if (flags & IPM_MEMORY_PREALLOCATE)
		grow.flags = IPM_GROW_PREALLOCATE;
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_GROW, &grow);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx, grow_result(memory, -ret), -ret,
				      "cannot grow segment %u from %llu to %llu bytes (capacity %llu)",
				      memory->id, (unsigned long long)ipm_status_size(memory),
				      (unsigned long long)new_size,
				      (unsigned long long)memory->capacity);
	return ipm_map_extend(memory);
}

ipm_result ipm_memory_resize_grow(ipm_memory *memory, size_t new_size)
{
	return ipm_memory_grow(memory, new_size, 0);
}
