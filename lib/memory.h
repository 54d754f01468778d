/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of a memory handle, for the files that make up the memory API:
 *
 *   device.c         /dev/ipm: opening it, asking about the module
 *   memory.c         making, mapping and ending handles
 *   memory_claim.c   claims
 *   memory_slot.c    slots, doorbells, events
 *   memory_info.c    looking and changing
 *   memory_pass.c    handing handles to other processes
 *
 * What a handle is does not change after it was made, but for the fields that
 * say so; those are atomic, because threads share handles.
 */
#ifndef IPM_LIB_MEMORY_H
#define IPM_LIB_MEMORY_H

#include <pthread.h>
#include <stdatomic.h>

#include <linux/ipm.h>

#include <ipm/ipm_memory.h>

#include "internal.h"
#include "sys.h"

/**
 * struct ipm_memory - a handle on a segment
 * @ctx: the caller's callbacks; the caller may change them
 * @fd: the handle's file descriptor. The number never changes; what it stands
 *	for does when the access changes (dup3())
 * @id: number of the segment
 * @created: this handle's create made the segment
 * @adopted: it may have had claims before
 * @fixed: the caller chose the address, so the mapping may not move
 * @capacity: bytes that the segment may grow to
 * @size: bytes of the segment when the handle was made; it never shrinks
 * @status: the kernel's status page, mapped when first wanted, or NULL
 * @lock: serialises changes of the mapping and of the access. Never taken by
 *	what a forked child calls to give up its copy, since another thread may
 *	have held it at the fork
 * @access: ipm_access_mode; changed under @lock
 * @map: the mapping or NULL; changed under @lock
 * @mapped: bytes of it, whole pages; changed under @lock
 * @claims: see claims_begin()
 * @slots: the words of the slots, mapped when first asked for, or NULL
 * @has_slot: a slot was taken; changed under @lock
 * @nonblocking: @fd was set non-blocking
 * @named: @name is complete
 * @name: the segment's name or ""; written once, before @named
 */
struct ipm_memory {
	ipm_context ctx;
	int fd;
	uint32_t id;
	bool created;
	bool adopted;
	bool fixed;
	uint64_t capacity;
	uint64_t size;
	_Atomic(const struct ipm_status *) status;
	pthread_mutex_t lock;
	_Atomic ipm_access_mode access;
	_Atomic(void *) map;
	_Atomic size_t mapped;
	_Atomic uint64_t claims;
	_Atomic(const uint32_t *) slots;
	_Atomic bool has_slot;
	_Atomic bool nonblocking;
	_Atomic bool named;
	char name[IPM_NAME_SIZE];
};

/*
 * The word that counts claims: bits 0 to 30 requests on their way to the
 * kernel, bit 31 that the access is being changed, the rest claims that this
 * handle has. One word, so that a change of access, which swaps the open file
 * that claims belong to, can make sure that there are none and none come.
 */
#define CLAIMS_REQUEST ((uint64_t)1)
#define CLAIMS_CHANGING ((uint64_t)1 << 31)
#define CLAIMS_HELD ((uint64_t)1 << 32)
#define CLAIMS_HELD_SHIFT 32

/** ipm_claims_held() - how many claims the handle has, as far as the kernel agrees */
IPM_HIDDEN uint64_t ipm_claims_held(const ipm_memory *memory);

/**
 * ipm_device_open() - open /dev/ipm
 *
 * Return: %IPM_RESULT_SUCCESS, or a result that was reported.
 */
IPM_HIDDEN ipm_result ipm_device_open(const ipm_context *ctx, int *fd);

/** ipm_device_open_to_write() - the same, for mappings of it to be written to */
IPM_HIDDEN ipm_result ipm_device_open_to_write(const ipm_context *ctx, int *fd);

/**
 * ipm_ref_fill() - turn a reference by name, key or id into the kernel's
 *
 * Return: %IPM_RESULT_SUCCESS, or a result that was reported.
 */
IPM_HIDDEN ipm_result ipm_ref_fill(const ipm_context *ctx, const ipm_memory_ref *ref,
				   struct ipm_ref *to);

/**
 * ipm_ref_target() - the file descriptor to ask about a segment
 * @ctx: context
 * @ref: any but private
 * @to: receives the reference to use with it
 * @fd: receives a handle, or the device
 * @opened: receives whether to close @fd afterwards
 *
 * Return: %IPM_RESULT_SUCCESS, or a result that was reported.
 */
IPM_HIDDEN ipm_result ipm_ref_target(const ipm_context *ctx, const ipm_memory_ref *ref,
				     struct ipm_ref *to, int *fd, bool *opened);

/**
 * ipm_status_page() - the status page of a handle's segment
 *
 * Mapped the first time, since many handles never need it. Safe in threads and
 * in signal handlers.
 *
 * Return: the page, or NULL if it cannot be mapped; nothing was reported.
 */
IPM_HIDDEN const struct ipm_status *ipm_status_page(const ipm_memory *memory);

/** ipm_status_size() - bytes of the segment now */
IPM_HIDDEN uint64_t ipm_status_size(const ipm_memory *memory);

/** ipm_ref_describe() - a reference for messages, in @text */
IPM_HIDDEN const char *ipm_ref_describe(const ipm_memory_ref *ref, char *text, size_t size);

/** ipm_find_result() - what an errno of a call that looks for a segment means */
IPM_HIDDEN ipm_result ipm_find_result(int err);

/**
 * ipm_map_extend() - map what the segment has grown by, if it is not mapped
 *
 * Return: %IPM_RESULT_SUCCESS, or a result that was reported.
 */
IPM_HIDDEN ipm_result ipm_map_extend(ipm_memory *memory);

/** access_is_valid() - whether the caller gave one of the two modes */
static inline bool access_is_valid(ipm_access_mode access)
{
	return access == IPM_ACCESS_MODE_READ_ONLY || access == IPM_ACCESS_MODE_READ_WRITE;
}

static inline uint32_t status_word(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline bool is_read_only(const ipm_memory *memory)
{
	return atomic_load_explicit(&memory->access, memory_order_relaxed) ==
	       IPM_ACCESS_MODE_READ_ONLY;
}

#endif /* IPM_LIB_MEMORY_H */
