// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Slots, doorbells and events of a handle: who is alive, and how the users of a
 * segment wake one another through poll.
 *
 * The words of the slots lie behind the status page. They are mapped when
 * somebody first wants to look, since most handles never do.
 */
#include <errno.h>
#include <sys/mman.h>

#include <ipm/ipm_ring.h>

#include "memory.h"

_Static_assert(IPM_MEMORY_EVENT_CLAIM == IPM_EVENT_CLAIM &&
	       IPM_MEMORY_EVENT_CLAIM_FAILED == IPM_EVENT_CLAIM_FAILED &&
	       IPM_MEMORY_EVENT_BELL == IPM_EVENT_BELL &&
	       IPM_MEMORY_EVENT_DEATH == IPM_EVENT_DEATH &&
	       IPM_MEMORY_EVENT_CHANGED == IPM_EVENT_CHANGED &&
	       IPM_MEMORY_EVENT_REMOVED == IPM_EVENT_REMOVED, "events are the kernel's");
_Static_assert(IPM_MEMORY_HEAR_DEATH == IPM_HEAR_DEATH &&
	       IPM_MEMORY_HEAR_CHANGED == IPM_HEAR_CHANGED &&
	       IPM_MEMORY_HEAR_REMOVED == IPM_HEAR_REMOVED, "subscriptions are the kernel's");
_Static_assert((int)IPM_MEMORY_SLOT_FREE == IPM_SLOT_FREE &&
	       (int)IPM_MEMORY_SLOT_ALIVE == IPM_SLOT_ALIVE &&
	       (int)IPM_MEMORY_SLOT_DEAD == IPM_SLOT_DEAD, "states of slots are the kernel's");
_Static_assert(IPM_MEMORY_MAX_SLOTS == IPM_SLOTS_MAX &&
	       IPM_RING_MAX_SLOTS == IPM_SLOTS_MAX, "slots are the kernel's");

static ipm_result slot_result(const ipm_memory *m, int err, ipm_result missing)
{
	switch (err) {
	case EBUSY:
		return IPM_RESULT_ERR_ALREADY_LOCKED;
	case ENOENT:
		return missing;
	case EBADF:
		return is_read_only(m) ? IPM_RESULT_ERR_BAD_ACCESS : IPM_RESULT_ERR_INVALID_FD;
	case ENOTTY:
		return IPM_RESULT_ERR_VERSION;
	default:
		return ipm_result_of_errno(err);
	}
}

ipm_result ipm_memory_slot(ipm_memory *memory, uint32_t *p_slot, uint32_t *p_generation)
{
	struct ipm_slot slot = { 0 };
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!p_slot || !p_generation)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "no place for the slot");
	/* A change of access would end the slot: the lock keeps them apart. */
	pthread_mutex_lock(&memory->lock);
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_SLOT, &slot);
	if (ret >= 0)
		atomic_store(&memory->has_slot, true);
	pthread_mutex_unlock(&memory->lock);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx,
				      slot_result(memory, -ret, IPM_RESULT_ERR_OS_UNEXPECTED), -ret,
				      "cannot take a slot of segment %u", memory->id);
	*p_slot = slot.slot;
	*p_generation = slot.generation;
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_slot_give(ipm_memory *memory)
{
	struct ipm_slot slot = { .flags = IPM_SLOT_GIVE };
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	pthread_mutex_lock(&memory->lock);
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_SLOT, &slot);
	if (ret >= 0)
		atomic_store(&memory->has_slot, false);
	pthread_mutex_unlock(&memory->lock);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx,
				      slot_result(memory, -ret, IPM_RESULT_ERR_NOT_LOCKED), -ret,
				      "cannot give the slot of segment %u back", memory->id);
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_reap(ipm_memory *memory, uint32_t slot, uint32_t generation)
{
	struct ipm_reap reap = { .slot = slot, .generation = generation };
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_REAP, &reap);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx,
				      slot_result(memory, -ret, IPM_RESULT_ERR_DOES_NOT_EXIST),
				      -ret, "cannot reap slot %u, generation %u, of segment %u",
				      slot, generation, memory->id);
	return IPM_RESULT_SUCCESS;
}

/* Maps the words of the slots, once. */
static ipm_result map_slots(ipm_memory *m, const uint32_t **p_slots)
{
	const char *status;
	void *map;
	int err = 0;

	*p_slots = atomic_load(&m->slots);
	if (*p_slots)
		return IPM_RESULT_SUCCESS;
	pthread_mutex_lock(&m->lock);
	*p_slots = atomic_load(&m->slots);
	if (!*p_slots) {
		err = ipm_sys_mmap(&map, NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ, MAP_SHARED,
				   m->fd, IPM_STATUS_OFFSET);
		if (!err) {
			status = map;
			*p_slots = (const uint32_t *)(const void *)(status + IPM_STATUS_SLOTS);
			atomic_store(&m->slots, *p_slots);
		}
	}
	pthread_mutex_unlock(&m->lock);
	if (err)
		return ipm_fail_errno(&m->ctx, slot_result(m, -err, IPM_RESULT_ERR_OS_UNEXPECTED),
				      -err, "cannot map the slots of segment %u", m->id);
	return IPM_RESULT_SUCCESS;
}

/*
 * The kernel writes a slot's word when nothing of its process can run any more.
 * Another generation, or a free slot, means that this one is long gone.
 */
static bool slot_alive(void *param, uint32_t slot, uint32_t generation)
{
	const uint32_t *slots = param;
	uint32_t word;

	if (slot >= IPM_SLOTS_MAX)
		return false;
	/* Pairs with the kernel's release: who sees a death sees the last stores. */
	word = __atomic_load_n(&slots[slot], __ATOMIC_ACQUIRE);
	return IPM_SLOT_GENERATION(word) == generation && IPM_SLOT_STATE(word) == IPM_SLOT_ALIVE;
}

ipm_result ipm_memory_liveness(ipm_memory *memory, struct ipm_ring_liveness *liveness)
{
	const uint32_t *slots;
	ipm_result result;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!liveness)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "no place for the answer");
	result = map_slots(memory, &slots);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	liveness->alive = slot_alive;
	liveness->param = (void *)slots;
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_slot_state(ipm_memory *memory, uint32_t slot, ipm_memory_slot_status *state,
				 uint32_t *p_generation)
{
	const uint32_t *slots;
	ipm_result result;
	uint32_t word;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!state || slot >= IPM_SLOTS_MAX)
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "state of slot %u", slot);
	result = map_slots(memory, &slots);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	/* As in slot_alive(). */
	word = __atomic_load_n(&slots[slot], __ATOMIC_ACQUIRE);
	*state = (ipm_memory_slot_status)IPM_SLOT_STATE(word);
	if (p_generation)
		*p_generation = IPM_SLOT_GENERATION(word);
	return IPM_RESULT_SUCCESS;
}

uint32_t ipm_memory_deaths(const ipm_memory *memory)
{
	const struct ipm_status *status = memory ? ipm_status_page(memory) : NULL;

	/* Pairs with the kernel's release: who sees the count sees the slots. */
	return status ? __atomic_load_n(&status->deaths, __ATOMIC_ACQUIRE) : 0;
}

ipm_result ipm_memory_ring_bell(ipm_memory *memory, uint64_t bits, uint32_t slot)
{
	struct ipm_bell bell = { .bits = bits };
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!bits || (slot != IPM_MEMORY_ALL_SLOTS && slot >= IPM_SLOTS_MAX))
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE,
				"cannot ring bits 0x%llx of slot %u", (unsigned long long)bits,
				slot);
	if (slot != IPM_MEMORY_ALL_SLOTS) {
		bell.slot = slot;
		bell.flags = IPM_BELL_SLOT;
	}
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_RING, &bell);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx,
				      slot_result(memory, -ret, IPM_RESULT_ERR_DOES_NOT_EXIST),
				      -ret, "cannot ring the doorbell of segment %u", memory->id);
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_subscribe(ipm_memory *memory, uint64_t bits, uint32_t events)
{
	struct ipm_subscribe subscribe = { .bits = bits, .events = events };
	int ret;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (events & ~(IPM_MEMORY_HEAR_DEATH | IPM_MEMORY_HEAR_CHANGED | IPM_MEMORY_HEAR_REMOVED))
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "events 0x%x", events);
	ret = ipm_sys_ioctl(memory->fd, IPM_IOC_SUBSCRIBE, &subscribe);
	if (ret < 0)
		return ipm_fail_errno(&memory->ctx,
				      slot_result(memory, -ret, IPM_RESULT_ERR_OS_UNEXPECTED), -ret,
				      "cannot subscribe to events of segment %u", memory->id);
	return IPM_RESULT_SUCCESS;
}
