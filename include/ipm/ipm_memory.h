/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared memory: segments that the processes of one machine share, and claims
 * on ranges of their bytes.
 *
 * A segment is found by name, by key or by the number that the kernel gave it,
 * or is private and reached only through a file descriptor that was passed on.
 * An ipm_memory is a handle on one: what create, open, derive and receive make
 * and ipm_memory_close() ends. Claims belong to the handle that took them.
 *
 * Threads. Every call may be made by several threads at once, on one handle
 * too, but for ipm_memory_close() and ipm_memory_clean(), which must be the
 * last call on a handle. Claims of one handle never conflict with each other:
 * threads that have to keep out of each other's way need a handle each
 * (ipm_memory_derive()).
 *
 * Fork. A child inherits its parent's handles and shares their claims. It
 * should give its copies up with ipm_memory_clean() and open its own.
 *
 * Signals. A call that waits ends with %IPM_RESULT_INTERRUPTED when a signal
 * handler ran, and has changed nothing then (but see @release in struct
 * ipm_memory_claim_options). The calls that say so are safe in signal handlers.
 *
 * Errors. Every call that returns an ipm_result can return, besides what it
 * lists: %IPM_RESULT_ERR_BAD_VALUE for a NULL where something is needed, an
 * unknown flag or enum value, or a negative deadline;
 * %IPM_RESULT_ERR_INVALID_FD if somebody closed or replaced the handle's file
 * descriptor; %IPM_RESULT_ERR_OS_OUT_OF_MEMORY; %IPM_RESULT_ERR_VERSION if the
 * module loaded does not know the call; and %IPM_RESULT_ERR_OS_UNEXPECTED. A
 * call that failed has changed nothing, unless it says so, and has not touched
 * what it returns through pointers. Each error is told to the report callback.
 *
 * Status. The kernel shows what changes in a segment on a page that a handle
 * maps when it is first asked. "Makes no system call" means: after that first
 * time, which may also be in a signal handler.
 *
 * Calls that make a handle or work without one go to /dev/ipm and can return
 * %IPM_RESULT_ERR_NO_DEVICE (the module is not loaded), %IPM_RESULT_ERR_ACCESS
 * (no right to open /dev/ipm), %IPM_RESULT_ERR_MAX_FDS and
 * %IPM_RESULT_ERR_MAX_FDS_SYS. Those that make a handle also return
 * %IPM_RESULT_ERR_OUT_OF_MEMORY if the context's allocator does, and
 * %IPM_RESULT_ERR_LIMIT if the user has too many.
 */
#ifndef IPM_MEMORY_H
#define IPM_MEMORY_H

#include <stdbool.h>

#include <ipm/ipm_common.h>
#include <ipm/ipm_error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A handle on a segment. */
typedef struct ipm_memory ipm_memory;

/* ------------------------------------------------------------------------ */
/* The short calls: what most programs need                                 */
/* ------------------------------------------------------------------------ */

/**
 * struct ipm_memory_info - what a handle knows about itself
 * @p_ctx: the handle's own copy of the context. May be changed, by one thread
 *	while no other uses the handle; a new free_callback has to be able to
 *	free what the former alloc_callback returned
 * @memory_access_mode: how the handle was opened
 * @access_id: number of the segment
 * @name: its name, without a leading '/'; "" if it has none, or got it through
 *	another handle after this one was made. Valid as long as the handle
 * @block_size: bytes of the segment now
 * @mapping_address: start of the mapping, NULL without one
 * @active_claims: claims that this handle has: held, and asynchronous ones
 *	that still wait. Claims that somebody else ended
 *	(ipm_memory_remove_all_active_claims()) count until they are released,
 *	as long as others on the segment are held
 */
typedef struct ipm_memory_info {
	ipm_context *p_ctx;
	ipm_access_mode memory_access_mode;
	ipm_id access_id;
	const char *name;
	size_t block_size;
	void *mapping_address;
	size_t active_claims;
} ipm_memory_info;

/**
 * ipm_memory_create() - make a segment that did not exist
 * @context: callbacks, or NULL for the defaults
 * @block_size: bytes, not 0
 * @block_name: 1 to 255 bytes without '/'; one '/' in front is taken off
 * @access: how the handle may use it
 * @p_memory: receives the handle; close it with ipm_memory_close()
 *
 * The segment is filled with zeros, may be used by the same user only (mode
 * 0600), and is gone with its last handle and mapping, however its users end.
 * It can grow to 1 GiB or 16 times its size, whichever is more, and is mapped
 * in full from the start, so that growing never moves it. ipm_memory_create_ex()
 * chooses otherwise.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_EXISTS the name is taken;
 * %IPM_RESULT_ERR_BAD_SIZE a size of 0 or beyond what the module or
 * RLIMIT_FSIZE allows; %IPM_RESULT_ERR_BAD_VALUE an empty name, "." or "..", or
 * a '/' inside; %IPM_RESULT_ERR_NAME_TOO_LONG; %IPM_RESULT_ERR_LIMIT too many
 * segments, handles or bytes; %IPM_RESULT_INTERRUPTED a signal while pages were
 * allocated (%IPM_MEMORY_PREALLOCATE).
 */
IPM_API ipm_result ipm_memory_create(const ipm_context *context, size_t block_size,
				     const char *block_name, ipm_access_mode access,
				     ipm_memory **p_memory);

/**
 * ipm_memory_open() - open a segment that exists
 * @context: callbacks, or NULL for the defaults
 * @block_name: its name, as in ipm_memory_create()
 * @access: how the handle may use it
 * @p_memory: receives the handle; close it with ipm_memory_close()
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_DOES_NOT_EXIST;
 * %IPM_RESULT_ERR_ACCESS the segment's mode does not allow it;
 * %IPM_RESULT_ERR_BAD_VALUE and %IPM_RESULT_ERR_NAME_TOO_LONG as
 * ipm_memory_create(); %IPM_RESULT_ERR_LIMIT.
 */
IPM_API ipm_result ipm_memory_open(const ipm_context *context, const char *block_name,
				   ipm_access_mode access, ipm_memory **p_memory);

/**
 * ipm_memory_close() - release all claims of a handle, unmap and close it
 * @memory: the handle, or NULL for nothing
 *
 * Frees the handle. The claims end even if a forked child has a copy of it;
 * a child that must not end its parent's claims uses ipm_memory_clean(). The
 * segment ends with its last handle and mapping, unless it is persistent.
 */
IPM_API void ipm_memory_close(ipm_memory *memory);

/**
 * ipm_memory_clean() - give up this process's copy of a handle
 * @memory: the handle, or NULL for nothing
 *
 * For a child after fork(): unmaps, closes and frees its copy and leaves the
 * parent's as it is, claims included. In the only process that has the handle,
 * its claims end.
 */
IPM_API void ipm_memory_clean(ipm_memory *memory);

/**
 * ipm_memory_get_info() - what a handle knows about itself
 * @memory: the handle
 *
 * Makes no system call.
 *
 * Return: see struct ipm_memory_info; all zero for NULL.
 */
IPM_API ipm_memory_info ipm_memory_get_info(ipm_memory *memory);

/**
 * ipm_memory_sync() - make growth by others usable
 * @memory: the handle
 *
 * The whole capacity is mapped from the start, so growth is seen without any
 * call, and this one has nothing to do. Only where the address space was too
 * small for that (RLIMIT_AS, a locked or 32-bit process), the new part is
 * mapped now; ipm_memory_pointer() may have to change then, and pointers from
 * before are invalid.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_OS_OUT_OF_MEMORY no room in the
 * address space, the mapping is as it was.
 */
IPM_API ipm_result ipm_memory_sync(ipm_memory *memory);

/**
 * ipm_memory_resize_grow() - make the segment larger, for everybody
 * @memory: a read-write handle
 * @new_size: bytes
 *
 * The new bytes are zero. Pointers stay valid, as with ipm_memory_sync().
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_SIZE smaller than it is, or
 * beyond the capacity or RLIMIT_FSIZE; %IPM_RESULT_ERR_BAD_ACCESS read-only
 * handle; %IPM_RESULT_ERR_LIMIT too many bytes; %IPM_RESULT_INTERRUPTED a
 * signal while pages were allocated. With %IPM_RESULT_ERR_OS_OUT_OF_MEMORY the
 * segment may have grown and only this handle's mapping not:
 * ipm_memory_size() tells.
 */
IPM_API ipm_result ipm_memory_resize_grow(ipm_memory *memory, size_t new_size);

/**
 * ipm_memory_change_access() - make a handle read-only or read-write
 * @memory: the handle; it may have no claims
 * @access_mode: the access wanted
 *
 * Pointers stay valid; file descriptor and number of the segment stay the same,
 * but an epoll set has to be told of the file descriptor again, and
 * subscriptions (ipm_memory_subscribe()) end; another thread that waits in
 * ipm_memory_read_events() hears of nothing any more. Read-only can
 * only become read-write if the segment's mode allows this process to open it
 * so. Claims that other threads ask for wait until it is done.
 *
 * Return: %IPM_RESULT_SUCCESS, also if nothing had to change;
 * %IPM_RESULT_ERR_ALREADY_LOCKED the handle has claims, waits for some, or has a
 * slot; %IPM_RESULT_ERR_ACCESS the mode does not allow it, or the segment is of
 * another namespace than this process; %IPM_RESULT_ERR_LIMIT.
 */
IPM_API ipm_result ipm_memory_change_access(ipm_memory *memory, ipm_access_mode access_mode);

/**
 * ipm_memory_ref_count() - how many handles the segment has
 * @memory: the handle
 *
 * Makes no system call. Safe in signal handlers.
 *
 * Return: open handles of all processes, this one included; 0 for NULL.
 */
IPM_API unsigned ipm_memory_ref_count(const ipm_memory *memory);

/**
 * ipm_memory_claim_region() - hold a range of bytes, wait for it if need be
 * @memory: the handle
 * @access: %IPM_ACCESS_MODE_READ_ONLY to share it with other readers,
 *	%IPM_ACCESS_MODE_READ_WRITE to have it alone
 * @offset: bytes from the start
 * @count: bytes, not 0
 * @p_claim_id: receives the claim
 *
 * Waits, first come first served, until no claim of another handle conflicts.
 * The claim ends with ipm_memory_release_region(), ipm_memory_release_all(),
 * ipm_memory_close(), and with the process.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE the range is empty or
 * goes past the end of the segment; %IPM_RESULT_ERR_BAD_ACCESS write claim on a
 * read-only handle; %IPM_RESULT_ERR_DEADLOCK waiting would close a cycle;
 * %IPM_RESULT_INTERRUPTED; %IPM_RESULT_ERR_LIMIT too many claims.
 */
IPM_API ipm_result ipm_memory_claim_region(ipm_memory *memory, ipm_access_mode access,
					   size_t offset, size_t count, ipm_id *p_claim_id);

/**
 * ipm_memory_claim_region_try() - hold a range of bytes if it is free
 *
 * Return: as ipm_memory_claim_region(), and %IPM_RESULT_ERR_WOULD_BLOCK if it
 * is not free.
 */
IPM_API ipm_result ipm_memory_claim_region_try(ipm_memory *memory, ipm_access_mode access,
					       size_t offset, size_t count, ipm_id *p_claim_id);

/**
 * ipm_memory_claim_region_until() - hold a range of bytes, wait so long for it
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: as ipm_memory_claim_region(), and %IPM_RESULT_ERR_TIMEOUT or
 * %IPM_RESULT_ERR_WOULD_BLOCK.
 */
IPM_API ipm_result ipm_memory_claim_region_until(ipm_memory *memory, ipm_access_mode access,
						 size_t offset, size_t count, int64_t deadline,
						 ipm_id *p_claim_id);

/**
 * ipm_memory_release_region() - end a claim
 * @memory: the handle that has it
 * @claim_id: the claim; an asynchronous one that still waits is cancelled
 *
 * Never waits.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_INVALID_CLAIM the handle has no
 * such claim, or somebody ended it with ipm_memory_remove_all_active_claims().
 */
IPM_API ipm_result ipm_memory_release_region(ipm_memory *memory, ipm_id claim_id);

/**
 * ipm_memory_release_all() - end all claims of this handle
 * @memory: the handle
 *
 * Return: %IPM_RESULT_SUCCESS.
 */
IPM_API ipm_result ipm_memory_release_all(ipm_memory *memory);

/**
 * ipm_memory_remove_all_active_claims() - end everybody's claims on the segment
 * @memory: a handle on it
 *
 * For an administrator who has to break into a program that hangs: the holders
 * learn of it only when they release. Claims of dead processes need no such
 * help.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_OWNER neither owner nor
 * creator of the segment, and without CAP_IPC_OWNER.
 */
IPM_API ipm_result ipm_memory_remove_all_active_claims(ipm_memory *memory);

/**
 * ipm_memory_pointer() - where the segment is mapped
 * @memory: the handle
 *
 * Bytes from the size of the segment to its capacity must not be touched: that
 * is SIGBUS. Makes no system call. Safe in signal handlers.
 *
 * Return: the start of the mapping, valid until the handle is closed (but see
 * ipm_memory_sync()); NULL for NULL and for a handle without a mapping.
 */
IPM_API void *ipm_memory_pointer(const ipm_memory *memory);

/** ipm_memory_get_pointer() - another name of ipm_memory_pointer() */
IPM_API void *ipm_memory_get_pointer(const ipm_memory *memory);

/* ------------------------------------------------------------------------ */
/* Whole values                                                             */
/* ------------------------------------------------------------------------ */

/**
 * ipm_memory_read() - copy bytes out, under a read claim
 * @memory: a handle with a mapping
 * @offset: bytes from the start
 * @buffer: receives the bytes
 * @count: bytes, not 0
 *
 * Who writes with ipm_memory_write() or under a write claim of a handle of his
 * own is never seen half way. A thread that holds a write claim on the bytes
 * reads them through the same handle.
 *
 * Return: as ipm_memory_claim_region(); %IPM_RESULT_ERR_IN_DOUBT the bytes were
 * copied, but a writer died in the middle of them;
 * %IPM_RESULT_ERR_BAD_INIT the handle has no mapping.
 */
IPM_API ipm_result ipm_memory_read(ipm_memory *memory, size_t offset, void *buffer, size_t count);

/**
 * ipm_memory_write() - copy bytes in, under a write claim
 * @memory: a read-write handle with a mapping
 * @offset: bytes from the start
 * @buffer: the bytes
 * @count: bytes, not 0
 *
 * Bytes that a dead writer left in doubt are whole again when they have been
 * overwritten, and declared so.
 *
 * Return: as ipm_memory_claim_region(); %IPM_RESULT_ERR_BAD_INIT the handle has
 * no mapping.
 */
IPM_API ipm_result ipm_memory_write(ipm_memory *memory, size_t offset, const void *buffer,
				    size_t count);

/**
 * ipm_memory_read_until() - ipm_memory_read() that waits so long
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: as ipm_memory_read(), and %IPM_RESULT_ERR_TIMEOUT or
 * %IPM_RESULT_ERR_WOULD_BLOCK.
 */
IPM_API ipm_result ipm_memory_read_until(ipm_memory *memory, size_t offset, void *buffer,
					 size_t count, int64_t deadline);

/**
 * ipm_memory_write_until() - ipm_memory_write() that waits so long
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: as ipm_memory_write(), and %IPM_RESULT_ERR_TIMEOUT or
 * %IPM_RESULT_ERR_WOULD_BLOCK.
 */
IPM_API ipm_result ipm_memory_write_until(ipm_memory *memory, size_t offset, const void *buffer,
					  size_t count, int64_t deadline);

/* ------------------------------------------------------------------------ */
/* Which segment                                                            */
/* ------------------------------------------------------------------------ */

/** enum ipm_memory_by - how a segment is meant */
typedef enum ipm_memory_by {
	IPM_MEMORY_PRIVATE = 0,
	IPM_MEMORY_BY_NAME = 1,
	IPM_MEMORY_BY_KEY = 2,
	IPM_MEMORY_BY_ID = 3,
	IPM_MEMORY_BY_FD = 4,
	IPM_MEMORY_BY_HANDLE = 5
} ipm_memory_by;

/**
 * struct ipm_memory_ref - a segment
 * @by: which of the other fields counts
 * @key: any number but 0
 * @id: number that the kernel gave it
 * @fd: file descriptor of a handle, from wherever; it stays the caller's
 * @name: as in ipm_memory_create()
 * @memory: a handle on it
 */
typedef struct ipm_memory_ref {
	ipm_memory_by by;
	int32_t key;
	uint32_t id;
	int fd;
	const char *name;
	const ipm_memory *memory;
} ipm_memory_ref;

/** ipm_ref_private() - no segment that exists: create one without a name */
static inline ipm_memory_ref ipm_ref_private(void)
{
	ipm_memory_ref ref = { IPM_MEMORY_PRIVATE, 0, 0, -1, NULL, NULL };

	return ref;
}

/** ipm_ref_name() - the segment of a name */
static inline ipm_memory_ref ipm_ref_name(const char *name)
{
	ipm_memory_ref ref = { IPM_MEMORY_BY_NAME, 0, 0, -1, name, NULL };

	return ref;
}

/** ipm_ref_key() - the segment of a key */
static inline ipm_memory_ref ipm_ref_key(int32_t key)
{
	ipm_memory_ref ref = { IPM_MEMORY_BY_KEY, key, 0, -1, NULL, NULL };

	return ref;
}

/** ipm_ref_id() - the segment of a number */
static inline ipm_memory_ref ipm_ref_id(uint32_t id)
{
	ipm_memory_ref ref = { IPM_MEMORY_BY_ID, 0, id, -1, NULL, NULL };

	return ref;
}

/** ipm_ref_fd() - the segment that a file descriptor is a handle on */
static inline ipm_memory_ref ipm_ref_fd(int fd)
{
	ipm_memory_ref ref = { IPM_MEMORY_BY_FD, 0, 0, fd, NULL, NULL };

	return ref;
}

/** ipm_ref_memory() - the segment of a handle */
static inline ipm_memory_ref ipm_ref_memory(const ipm_memory *memory)
{
	ipm_memory_ref ref = { IPM_MEMORY_BY_HANDLE, 0, 0, -1, NULL, memory };

	return ref;
}

/* ------------------------------------------------------------------------ */
/* Creating, opening and removing, with every option                        */
/* ------------------------------------------------------------------------ */

/*
 * Structures with options begin with their own size, so that they can grow:
 * zero everything, set struct_size to the sizeof of the structure, and what is
 * wanted besides. A structure that is smaller than it was in the first version
 * is %IPM_RESULT_ERR_BAD_VALUE; a larger one whose part unknown to this library
 * is not zero is %IPM_RESULT_ERR_VERSION.
 */

/** create: fail with ERR_EXISTS if it exists, instead of opening it. */
#define IPM_MEMORY_EXCLUSIVE	(1U << 0)
/** create: it stays until it is removed. */
#define IPM_MEMORY_PERSISTENT	(1U << 1)
/** create, grow: allocate the pages now, so that touching them never fails. */
#define IPM_MEMORY_PREALLOCATE	(1U << 2)
/** create: reserve no memory for the size; touching a page may be SIGBUS. */
#define IPM_MEMORY_NORESERVE	(1U << 3)
/** create, open: the file descriptor survives exec. */
#define IPM_MEMORY_NO_CLOEXEC	(1U << 4)
/** open by id: also if it was removed. */
#define IPM_MEMORY_OPEN_REMOVED	(1U << 5)
/** create, open: do not map the pages; mmap ipm_memory_fd() if you like. */
#define IPM_MEMORY_NO_MAP	(1U << 6)
/** create, open: map at the address given or fail with ERR_BAD_FS. */
#define IPM_MEMORY_MAP_AT	(1U << 7)
/**
 * open by fd: take over this very file descriptor with all its claims, such as
 * one that survived exec, instead of making a handle of its own from it.
 */
#define IPM_MEMORY_ADOPT_FD	(1U << 8)

/**
 * struct ipm_memory_create_options - a segment to make
 * @struct_size: sizeof(ipm_memory_create_options)
 * @ref: by name or key, or private
 * @size: bytes, not 0
 * @capacity: bytes that it may grow to; 0 lets libipm choose as
 *	ipm_memory_create() does. @size means that it cannot grow
 * @mode: permissions as for chmod, within 0666, not changed by the umask; 0
 *	means 0600
 * @access: how the handle may use it
 * @flags: %IPM_MEMORY_EXCLUSIVE and others that say "create"
 * @address: where to map it, or NULL; without %IPM_MEMORY_MAP_AT a wish
 */
typedef struct ipm_memory_create_options {
	size_t struct_size;
	ipm_memory_ref ref;
	uint64_t size;
	uint64_t capacity;
	uint32_t mode;
	ipm_access_mode access;
	uint32_t flags;
	void *address;
} ipm_memory_create_options;

/**
 * struct ipm_memory_open_options - a segment to open
 * @struct_size: sizeof(ipm_memory_open_options)
 * @ref: any but private
 * @access: how the handle may use it
 * @flags: %IPM_MEMORY_NO_CLOEXEC and others that say "open"
 * @address: where to map it, or NULL; without %IPM_MEMORY_MAP_AT a wish
 */
typedef struct ipm_memory_open_options {
	size_t struct_size;
	ipm_memory_ref ref;
	ipm_access_mode access;
	uint32_t flags;
	void *address;
} ipm_memory_open_options;

/**
 * ipm_memory_create_ex() - make a segment, or open it if it exists
 * @context: callbacks, or NULL for the defaults
 * @options: see there
 * @p_memory: receives the handle; close it with ipm_memory_close()
 *
 * Without %IPM_MEMORY_EXCLUSIVE a segment that exists is opened as it is, if
 * it has at least the size asked for; ipm_memory_was_created() tells.
 *
 * Return: as ipm_memory_create() and ipm_memory_open();
 * %IPM_RESULT_ERR_BAD_SIZE also for a capacity below the size, or a segment
 * that exists and is smaller; %IPM_RESULT_ERR_BAD_FS it cannot be mapped at
 * @address.
 */
IPM_API ipm_result ipm_memory_create_ex(const ipm_context *context,
					const ipm_memory_create_options *options,
					ipm_memory **p_memory);

/**
 * ipm_memory_open_ex() - open a segment in any way
 * @context: callbacks, or NULL for the defaults
 * @options: see there
 * @p_memory: receives the handle; close it with ipm_memory_close()
 *
 * Return: as ipm_memory_open(); %IPM_RESULT_ERR_BAD_ID no segment can have this
 * id; %IPM_RESULT_ERR_REMOVED it was removed and is still in use (by id, without
 * %IPM_MEMORY_OPEN_REMOVED); %IPM_RESULT_ERR_BAD_ACCESS read-write, from a file
 * descriptor or handle that is read-only; %IPM_RESULT_ERR_INVALID_FD it is no
 * handle; %IPM_RESULT_ERR_BAD_FS it cannot be mapped at @address.
 */
IPM_API ipm_result ipm_memory_open_ex(const ipm_context *context,
				      const ipm_memory_open_options *options,
				      ipm_memory **p_memory);

/**
 * ipm_memory_from_fd() - a handle from a file descriptor
 * @context: callbacks, or NULL for the defaults
 * @fd: of a handle that came over a socket or through exec; it stays open, and
 *	the caller's
 * @access: no more than @fd has
 * @p_memory: receives a handle with claims of its own
 *
 * Return: as ipm_memory_open_ex().
 */
IPM_API ipm_result ipm_memory_from_fd(const ipm_context *context, int fd, ipm_access_mode access,
				      ipm_memory **p_memory);

/**
 * ipm_memory_derive() - another handle on the same segment
 * @memory: a handle
 * @access: the same access or read-only
 * @p_memory: receives a handle with claims of its own, the context of @memory,
 *	and a mapping if @memory has one
 *
 * Return: as ipm_memory_open_ex().
 */
IPM_API ipm_result ipm_memory_derive(const ipm_memory *memory, ipm_access_mode access,
				     ipm_memory **p_memory);

/**
 * ipm_memory_send() - pass access to a segment to another process
 * @memory: a handle
 * @socket: a connected UNIX socket
 * @access: what the receiver gets: the same access or read-only
 *
 * What is sent is a handle of its own, so claims stay with their owners. One
 * byte of data goes with it.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_ACCESS read-write from a
 * read-only handle; %IPM_RESULT_ERR_INVALID_FD no connected UNIX socket;
 * %IPM_RESULT_ERR_CLOSED nobody reads any more; %IPM_RESULT_ERR_WOULD_BLOCK a
 * non-blocking socket is full; %IPM_RESULT_INTERRUPTED; %IPM_RESULT_ERR_LIMIT
 * too many handles or file descriptors under way; %IPM_RESULT_ERR_MAX_FDS.
 */
IPM_API ipm_result ipm_memory_send(const ipm_memory *memory, int socket, ipm_access_mode access);

/**
 * ipm_memory_receive() - take what ipm_memory_send() sent
 * @context: callbacks, or NULL for the defaults
 * @socket: a connected UNIX socket
 * @access: no more than what was sent
 * @p_memory: receives a handle with claims of its own
 *
 * What was received is used up, also if the call fails after that.
 *
 * Return: as ipm_memory_open_ex(); %IPM_RESULT_ERR_CLOSED the other end was
 * closed; %IPM_RESULT_ERR_WOULD_BLOCK a non-blocking socket is empty;
 * %IPM_RESULT_INTERRUPTED; %IPM_RESULT_ERR_CORRUPTED what came is not what
 * ipm_memory_send() sends.
 */
IPM_API ipm_result ipm_memory_receive(const ipm_context *context, int socket,
				      ipm_access_mode access, ipm_memory **p_memory);

/**
 * ipm_memory_remove() - take a segment's name, key or id away
 * @context: callbacks, or NULL for the defaults
 * @ref: any but private
 *
 * The name or key is free at once. Who has the segment open or mapped keeps it;
 * it ends with the last of them.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_DOES_NOT_EXIST;
 * %IPM_RESULT_ERR_REMOVED it was removed before;
 * %IPM_RESULT_ERR_NOT_OWNER neither owner nor creator, and without
 * CAP_IPC_OWNER; %IPM_RESULT_ERR_BAD_ID, %IPM_RESULT_ERR_INVALID_FD and
 * %IPM_RESULT_ERR_NAME_TOO_LONG as ipm_memory_open_ex().
 */
IPM_API ipm_result ipm_memory_remove(const ipm_context *context, ipm_memory_ref ref);

/**
 * ipm_memory_link() - give a private segment its name or key
 * @memory: a handle on it
 * @ref: by name or key
 *
 * Fill the segment first, then link it, and nobody ever finds it half made.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_EXISTS name or key is taken, or
 * this segment has one; %IPM_RESULT_ERR_REMOVED; %IPM_RESULT_ERR_NOT_OWNER;
 * %IPM_RESULT_ERR_NAME_TOO_LONG.
 */
IPM_API ipm_result ipm_memory_link(ipm_memory *memory, ipm_memory_ref ref);

/** What ipm_memory_set() changes. */
#define IPM_MEMORY_SET_MODE	(1U << 0)
#define IPM_MEMORY_SET_UID	(1U << 1)
#define IPM_MEMORY_SET_GID	(1U << 2)
#define IPM_MEMORY_SET_LIFETIME	(1U << 3)

/**
 * struct ipm_memory_settings - what ipm_memory_set() is to change
 * @struct_size: sizeof(ipm_memory_settings)
 * @what: %IPM_MEMORY_SET_MODE and others, at least one; fields not meant are 0
 * @mode: permissions, within 0666
 * @uid: new owner
 * @gid: new group
 * @persistent: true to stay until removed, false to end with its last user
 */
typedef struct ipm_memory_settings {
	size_t struct_size;
	uint32_t what;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	bool persistent;
} ipm_memory_settings;

/**
 * ipm_memory_set() - change rights or lifetime of a segment
 * @memory: a handle on it
 * @settings: see there
 *
 * Handles that are open keep the access that they have.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_OWNER;
 * %IPM_RESULT_ERR_BAD_VALUE also for a user or group that this process's user
 * namespace does not know; %IPM_RESULT_ERR_REMOVED lifetime of a removed
 * segment.
 */
IPM_API ipm_result ipm_memory_set(ipm_memory *memory, const ipm_memory_settings *settings);

/**
 * ipm_memory_grow() - ipm_memory_resize_grow() with flags
 * @memory: a read-write handle
 * @new_size: bytes
 * @flags: %IPM_MEMORY_PREALLOCATE or 0; a segment that was created so grows so
 *
 * Return: as ipm_memory_resize_grow().
 */
IPM_API ipm_result ipm_memory_grow(ipm_memory *memory, uint64_t new_size, uint32_t flags);

/* ------------------------------------------------------------------------ */
/* Looking                                                                  */
/* ------------------------------------------------------------------------ */

/** ipm_memory_size() - bytes of the segment now; no system call, 0 for NULL,
 * safe in signal handlers, as are the calls that follow
 */
IPM_API uint64_t ipm_memory_size(const ipm_memory *memory);

/** ipm_memory_capacity() - bytes that the segment may grow to; 0 for NULL */
IPM_API uint64_t ipm_memory_capacity(const ipm_memory *memory);

/** ipm_memory_is_removed() - whether the segment was removed; false for NULL */
IPM_API bool ipm_memory_is_removed(const ipm_memory *memory);

/** ipm_memory_get_id() - number of the segment; 0 for NULL */
IPM_API uint32_t ipm_memory_get_id(const ipm_memory *memory);

/** ipm_memory_was_created() - whether this handle's create made the segment */
IPM_API bool ipm_memory_was_created(const ipm_memory *memory);

/**
 * ipm_memory_fd() - the file descriptor of a handle
 * @memory: the handle
 *
 * For poll and epoll: it is readable when ipm_memory_read_events() has
 * something to tell. Also for mmap and for passing on; mind that a file
 * descriptor passed on shares the claims of the handle, and that it is set
 * non-blocking. It stays the handle's: do not close it.
 *
 * Return: the file descriptor, -1 for NULL.
 */
IPM_API int ipm_memory_fd(const ipm_memory *memory);

/** State of a segment, in struct ipm_memory_status and ipm_memory_details. */
#define IPM_MEMORY_STATE_PERSISTENT	(1U << 0)
#define IPM_MEMORY_STATE_REMOVED	(1U << 1)
#define IPM_MEMORY_STATE_IN_DOUBT	(1U << 2)	/* some bytes are */
#define IPM_MEMORY_STATE_PREALLOCATED	(1U << 3)
#define IPM_MEMORY_STATE_NORESERVE	(1U << 4)

/**
 * struct ipm_memory_status - what can be seen without a system call
 * @struct_size: in: sizeof(ipm_memory_status)
 * @size: bytes of the segment
 * @capacity: bytes that it may grow to
 * @changes: counts growth, set, link and remove
 * @state: %IPM_MEMORY_STATE_PERSISTENT and others
 * @id: number of the segment
 * @handles: open handles
 * @maps: mappings of its pages
 * @claims: claims held, by all handles
 * @waiters: claims waited for
 */
typedef struct ipm_memory_status {
	size_t struct_size;
	uint64_t size;
	uint64_t capacity;
	uint64_t changes;
	uint32_t state;
	uint32_t id;
	uint32_t handles;
	uint32_t maps;
	uint32_t claims;
	uint32_t waiters;
} ipm_memory_status;

/**
 * ipm_memory_get_status() - look at a segment without a system call
 * @memory: a handle on it
 * @status: receives the status; its struct_size says how much of it
 *
 * Size, changes and state are of one moment. Safe in signal handlers.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_OS_OUT_OF_MEMORY the page cannot
 * be mapped.
 */
IPM_API ipm_result ipm_memory_get_status(const ipm_memory *memory, ipm_memory_status *status);

/**
 * struct ipm_memory_details - all that the kernel knows about a segment
 * @struct_size: in: sizeof(ipm_memory_details)
 * @by: %IPM_MEMORY_BY_NAME, %IPM_MEMORY_BY_KEY or %IPM_MEMORY_PRIVATE
 * @key: if @by is %IPM_MEMORY_BY_KEY
 * @id: number of the segment
 * @state: %IPM_MEMORY_STATE_PERSISTENT and others
 * @size: bytes
 * @capacity: bytes that it may grow to
 * @resident: bytes of pages that exist, in memory or in swap
 * @mode: permissions
 * @uid: owner
 * @gid: group
 * @cuid: creator
 * @cgid: creator's group
 * @creator_pid: process that created it, 0 if not visible
 * @last_pid: process that last mapped or unmapped it, 0 if not visible
 * @handles: open handles
 * @maps: mappings of its pages
 * @claims: claims held
 * @waiters: claims waited for
 * @doubts: ranges in doubt
 * @create_time: CLOCK_REALTIME in nanoseconds, as are
 * @change_time: last set, link or growth,
 * @attach_time: last mapping made, 0 if never, and
 * @detach_time: last mapping gone, 0 if never
 * @waits: how many claims have waited so far
 * @wait_ns: how long all together, in nanoseconds
 * @deadlocks: claims refused with ERR_DEADLOCK
 * @deaths: processes that died holding a claim
 * @doubt_events: write claims that ended by death
 * @name: if @by is %IPM_MEMORY_BY_NAME, else ""
 */
typedef struct ipm_memory_details {
	size_t struct_size;
	ipm_memory_by by;
	int32_t key;
	uint32_t id;
	uint32_t state;
	uint64_t size;
	uint64_t capacity;
	uint64_t resident;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t cuid;
	uint32_t cgid;
	int32_t creator_pid;
	int32_t last_pid;
	uint32_t handles;
	uint32_t maps;
	uint32_t claims;
	uint32_t waiters;
	uint32_t doubts;
	int64_t create_time;
	int64_t change_time;
	int64_t attach_time;
	int64_t detach_time;
	uint64_t waits;
	uint64_t wait_ns;
	uint64_t deadlocks;
	uint64_t deaths;
	uint64_t doubt_events;
	char name[IPM_MAX_NAME_LEN];
} ipm_memory_details;

/**
 * ipm_memory_get_details() - ask the kernel about a segment
 * @context: callbacks, or NULL for the defaults
 * @ref: any but private; others than a handle need the right to read it
 * @details: receives the details; its struct_size says how much of them
 *
 * Return: %IPM_RESULT_SUCCESS; as ipm_memory_open_ex() otherwise.
 */
IPM_API ipm_result ipm_memory_get_details(const ipm_context *context, ipm_memory_ref ref,
					  ipm_memory_details *details);

/* ------------------------------------------------------------------------ */
/* Claims, with every option                                                */
/* ------------------------------------------------------------------------ */

/**
 * struct ipm_memory_range - some bytes of a segment
 * @offset: bytes from the start
 * @length: bytes, not 0
 * @access: an ipm_access_mode: how it is claimed
 * @reserved: 0
 */
typedef struct ipm_memory_range {
	uint64_t offset;
	uint64_t length;
	uint32_t access;
	uint32_t reserved;
} ipm_memory_range;

/** Most ranges, and most releases, in one claim. */
#define IPM_MEMORY_MAX_RANGES 256

/** Do not look for deadlocks: another thread will release. */
#define IPM_MEMORY_NO_DEADLOCK_CHECK	(1U << 2)
/** Removal of the segment ends the wait with ERR_REMOVED. */
#define IPM_MEMORY_UNTIL_REMOVED	(1U << 3)
/** Do not wait: ipm_memory_read_events() or ipm_memory_collect() will tell. */
#define IPM_MEMORY_ASYNC		(1U << 4)

/** What a claim came with. */
#define IPM_MEMORY_GRANT_IN_DOUBT	(1U << 0)	/* a writer died there */
#define IPM_MEMORY_GRANT_PENDING	(1U << 1)	/* not granted yet */
#define IPM_MEMORY_GRANT_WAITED		(1U << 2)	/* not granted at once */

/**
 * struct ipm_memory_claim_options - what to claim
 * @struct_size: sizeof(ipm_memory_claim_options)
 * @offset: bytes from the start, if @nr_ranges is 0, else 0
 * @length: bytes, if @nr_ranges is 0, else 0
 * @access: as in ipm_memory_claim_region(), if @nr_ranges is 0, else 0
 * @flags: %IPM_MEMORY_NO_DEADLOCK_CHECK, _UNTIL_REMOVED, _ASYNC
 * @ranges: several ranges, in any order, none overlapping another: all are
 *	granted together or none
 * @nr_ranges: at most %IPM_MEMORY_MAX_RANGES
 * @release: claims of this handle that are released when the new one is
 *	granted, or before it waits: they stay released when the wait then ends
 *	with ERR_TIMEOUT, INTERRUPTED, ERR_DEADLOCK or ERR_REMOVED
 * @nr_release: at most %IPM_MEMORY_MAX_RANGES
 * @deadline: see %IPM_DEADLINE_NONE
 * @cookie: anything; comes back in the event of an asynchronous claim
 *
 * Ranges may lie beyond the size of the segment, within its capacity.
 */
typedef struct ipm_memory_claim_options {
	size_t struct_size;
	uint64_t offset;
	uint64_t length;
	ipm_access_mode access;
	uint32_t flags;
	const ipm_memory_range *ranges;
	size_t nr_ranges;
	const ipm_id *release;
	size_t nr_release;
	int64_t deadline;
	uint64_t cookie;
} ipm_memory_claim_options;

/**
 * ipm_memory_claim() - hold bytes, with every option
 * @memory: the handle
 * @options: see there
 * @p_claim_id: receives the claim
 * @p_granted: receives IPM_MEMORY_GRANT_* bits; may be NULL
 *
 * Return: as ipm_memory_claim_region(); %IPM_RESULT_ERR_TIMEOUT and
 * %IPM_RESULT_ERR_WOULD_BLOCK; %IPM_RESULT_ERR_REMOVED;
 * %IPM_RESULT_ERR_INVALID_CLAIM an id to release is none (nothing is released
 * then).
 */
IPM_API ipm_result ipm_memory_claim(ipm_memory *memory, const ipm_memory_claim_options *options,
				    ipm_id *p_claim_id, uint32_t *p_granted);

/**
 * ipm_memory_convert() - turn a claim into a read or a write claim
 * @memory: the handle that has it
 * @claim_id: the claim
 * @access: what it is to be. To read-only is done at once. To read-write waits
 *	until no other handle's claim overlaps, ahead of everybody else
 * @flags: %IPM_MEMORY_NO_DEADLOCK_CHECK, %IPM_MEMORY_UNTIL_REMOVED or 0
 * @deadline: see %IPM_DEADLINE_NONE
 * @p_granted: receives IPM_MEMORY_GRANT_* bits; may be NULL
 *
 * The claim stays as it was when converting fails.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_DEADLOCK also when another
 * reader of the same bytes waits for the same; %IPM_RESULT_ERR_BAD_ACCESS;
 * %IPM_RESULT_ERR_INVALID_CLAIM; %IPM_RESULT_ERR_TIMEOUT,
 * %IPM_RESULT_ERR_WOULD_BLOCK (also for an asynchronous claim that still
 * waits); %IPM_RESULT_ERR_ALREADY_LOCKED another thread is converting it;
 * %IPM_RESULT_ERR_REMOVED; %IPM_RESULT_INTERRUPTED.
 */
IPM_API ipm_result ipm_memory_convert(ipm_memory *memory, ipm_id claim_id, ipm_access_mode access,
				      uint32_t flags, int64_t deadline, uint32_t *p_granted);

/**
 * ipm_memory_collect() - ask after an asynchronous claim
 * @memory: the handle that has it
 * @claim_id: the claim
 * @p_granted: receives IPM_MEMORY_GRANT_* bits; may be NULL
 *
 * A claim that is granted is an ordinary one from then on, and has no event.
 *
 * Return: %IPM_RESULT_SUCCESS it is granted; %IPM_RESULT_ERR_WOULD_BLOCK it
 * still waits; %IPM_RESULT_ERR_TIMEOUT, %IPM_RESULT_ERR_REMOVED it ended so;
 * %IPM_RESULT_ERR_INVALID_CLAIM.
 */
IPM_API ipm_result ipm_memory_collect(ipm_memory *memory, ipm_id claim_id, uint32_t *p_granted);

/** What an event tells of. */
#define IPM_MEMORY_EVENT_CLAIM		1	/* an asynchronous claim was granted */
#define IPM_MEMORY_EVENT_CLAIM_FAILED	2	/* it ended otherwise */
#define IPM_MEMORY_EVENT_BELL		3	/* doorbell bits were rung */
#define IPM_MEMORY_EVENT_DEATH		4	/* slots died */
#define IPM_MEMORY_EVENT_CHANGED	5	/* growth, set or link */
#define IPM_MEMORY_EVENT_REMOVED	6	/* the segment was removed */

/**
 * struct ipm_memory_event - what became of an asynchronous claim, or what else
 *	the handle has subscribed to (ipm_memory_subscribe())
 * @result: %IPM_RESULT_SUCCESS; for a claim that was not granted why it ended:
 *	%IPM_RESULT_ERR_TIMEOUT, %IPM_RESULT_ERR_REMOVED
 * @granted: IPM_MEMORY_GRANT_* bits of a claim, else 0
 * @claim_id: the claim, else 0
 * @cookie: as given with the claim; %IPM_MEMORY_EVENT_BELL: the bits that were
 *	rung; else 0
 * @type: IPM_MEMORY_EVENT_*
 * @reserved: 0
 */
typedef struct ipm_memory_event {
	ipm_result result;
	uint32_t granted;
	ipm_id claim_id;
	uint64_t cookie;
	uint32_t type;
	uint32_t reserved;
} ipm_memory_event;

/**
 * ipm_memory_read_events() - hear of asynchronous claims, doorbells and deaths
 * @memory: the handle that has asked for them
 * @events: receives them
 * @room: how many fit into @events, not 0
 * @deadline: until when to wait for the first; see %IPM_DEADLINE_NONE
 * @p_count: receives how many there were
 *
 * Return: %IPM_RESULT_SUCCESS at least one; %IPM_RESULT_ERR_TIMEOUT,
 * %IPM_RESULT_ERR_WOULD_BLOCK none so far; %IPM_RESULT_INTERRUPTED.
 */
IPM_API ipm_result ipm_memory_read_events(ipm_memory *memory, ipm_memory_event *events,
					  size_t room, int64_t deadline, size_t *p_count);

/** Covers bytes of several deaths, or between them: the list was full. */
#define IPM_MEMORY_DOUBT_MERGED (1U << 0)

/** Most ranges in doubt that a segment keeps apart. */
#define IPM_MEMORY_MAX_DOUBTS 64

/**
 * struct ipm_memory_doubt - bytes that a dead writer left
 * @offset: bytes from the start
 * @length: bytes
 * @time: when it died, CLOCK_REALTIME in nanoseconds
 * @pid: who it was; 0 if not visible here
 * @flags: %IPM_MEMORY_DOUBT_MERGED or 0
 */
typedef struct ipm_memory_doubt {
	uint64_t offset;
	uint64_t length;
	int64_t time;
	int32_t pid;
	uint32_t flags;
} ipm_memory_doubt;

/**
 * ipm_memory_list_doubts() - which bytes dead writers left in doubt
 * @memory: a handle
 * @offset: only what overlaps @length bytes from here
 * @length: bytes; 0 for the whole segment, with @offset 0
 * @doubts: receives them, in order of their offset; may be NULL if @room is 0
 * @room: how many fit; %IPM_MEMORY_MAX_DOUBTS always do
 * @p_total: receives how many there are, which may be more than fit
 *
 * Return: %IPM_RESULT_SUCCESS.
 */
IPM_API ipm_result ipm_memory_list_doubts(ipm_memory *memory, uint64_t offset, uint64_t length,
					  ipm_memory_doubt *doubts, size_t room, size_t *p_total);

/**
 * ipm_memory_recovered() - declare bytes good again
 * @memory: a read-write handle with one write claim that covers them
 * @offset: bytes from the start
 * @length: bytes, not 0
 *
 * Return: %IPM_RESULT_SUCCESS, also if they were not in doubt;
 * %IPM_RESULT_ERR_NOT_LOCKED no write claim covers them;
 * %IPM_RESULT_ERR_BAD_ACCESS read-only handle; %IPM_RESULT_ERR_BAD_VALUE the
 * range is empty or goes past the capacity.
 */
IPM_API ipm_result ipm_memory_recovered(ipm_memory *memory, uint64_t offset, uint64_t length);

/* ------------------------------------------------------------------------ */
/* Slots, doorbells, events: what rings and channels need of the kernel     */
/* ------------------------------------------------------------------------ */

/** Slots are smaller than this. */
#define IPM_MEMORY_MAX_SLOTS 4096

/** Instead of a slot in ipm_memory_ring_bell(): every handle. */
#define IPM_MEMORY_ALL_SLOTS UINT32_MAX

/** enum ipm_memory_slot_status - what is known of a slot */
typedef enum ipm_memory_slot_status {
	/** Nobody has it. */
	IPM_MEMORY_SLOT_FREE = 0,
	/** A process has it. */
	IPM_MEMORY_SLOT_ALIVE = 1,
	/** Its process died, or closed the handle; not reaped yet. */
	IPM_MEMORY_SLOT_DEAD = 2
} ipm_memory_slot_status;

/**
 * ipm_memory_slot() - take a slot, or ask which one this handle has
 * @memory: a read-write handle
 * @p_slot: receives its number
 * @p_generation: receives its generation, never 0
 *
 * A slot says in shared memory who one is (struct ipm_ring_attach_options). It
 * belongs to the calling process and ends, for everybody to see, when that
 * process dies, however it dies, or the handle is closed. A handle has one slot.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_LIMIT all slots are taken, see
 * ipm_memory_reap(); %IPM_RESULT_ERR_ALREADY_LOCKED the handle's slot belongs
 * to another process (the parent of a forked child: derive a handle);
 * %IPM_RESULT_ERR_BAD_ACCESS read-only handle.
 */
IPM_API ipm_result ipm_memory_slot(ipm_memory *memory, uint32_t *p_slot, uint32_t *p_generation);

/**
 * ipm_memory_slot_give() - give the handle's slot back
 * @memory: the handle that has it
 *
 * For who has left nothing in the pages under that slot: rings and channels
 * detached. Without it, closing the handle leaves a dead slot to be reaped.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_LOCKED the handle has none;
 * %IPM_RESULT_ERR_ALREADY_LOCKED it belongs to another process;
 * %IPM_RESULT_ERR_BAD_ACCESS read-only handle.
 */
IPM_API ipm_result ipm_memory_slot_give(ipm_memory *memory);

/**
 * ipm_memory_reap() - say that what a dead slot left in the pages is cleaned up
 * @memory: a read-write handle
 * @slot: its number
 * @generation: its generation
 *
 * Every ring in the segment that the dead one used has to be recovered first
 * (ipm_ring_recover(), ipm_channel_recover()). The number may then be used
 * again, in a new generation.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_ALREADY_LOCKED it is alive;
 * %IPM_RESULT_ERR_DOES_NOT_EXIST it is free, or of another generation;
 * %IPM_RESULT_ERR_BAD_VALUE no such slot can exist;
 * %IPM_RESULT_ERR_BAD_ACCESS read-only handle.
 */
IPM_API ipm_result ipm_memory_reap(ipm_memory *memory, uint32_t slot, uint32_t generation);

/**
 * ipm_memory_slot_state() - look at any slot
 * @memory: any handle
 * @slot: its number
 * @state: receives whether it is free, alive or dead
 * @p_generation: receives its generation, or the last one; may be NULL
 *
 * Makes a system call the first time on a handle, then none.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
 * %IPM_RESULT_ERR_BAD_VALUE.
 */
IPM_API ipm_result ipm_memory_slot_state(ipm_memory *memory, uint32_t slot,
					 ipm_memory_slot_status *state, uint32_t *p_generation);

/**
 * ipm_memory_deaths() - how many slots of the segment have died so far
 * @memory: any handle
 *
 * Makes no system call. Safe in signal handlers.
 *
 * Return: a count that wraps; 0 for NULL, and if it cannot be told for lack of
 * memory.
 */
IPM_API uint32_t ipm_memory_deaths(const ipm_memory *memory);

struct ipm_ring_liveness;

/**
 * ipm_memory_liveness() - who is alive, for rings and channels in the segment
 * @memory: any handle; has to stay open as long as the answer is used
 * @liveness: receives a callback that makes no system call
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_OS_OUT_OF_MEMORY.
 */
IPM_API ipm_result ipm_memory_liveness(ipm_memory *memory, struct ipm_ring_liveness *liveness);

/**
 * ipm_memory_ring_bell() - ring doorbell bits of other handles
 * @memory: a read-write handle; never hears itself
 * @bits: which, at least one
 * @slot: only the handle with that slot, or %IPM_MEMORY_ALL_SLOTS
 *
 * Handles that have subscribed to one of the bits become readable, with an
 * %IPM_MEMORY_EVENT_BELL.
 *
 * Return: %IPM_RESULT_SUCCESS, also if nobody listens;
 * %IPM_RESULT_ERR_DOES_NOT_EXIST no handle has that slot and listens;
 * %IPM_RESULT_ERR_BAD_ACCESS read-only handle.
 */
IPM_API ipm_result ipm_memory_ring_bell(ipm_memory *memory, uint64_t bits, uint32_t slot);

/** Events besides doorbells that a handle can subscribe to. */
#define IPM_MEMORY_HEAR_DEATH	(1U << IPM_MEMORY_EVENT_DEATH)
#define IPM_MEMORY_HEAR_CHANGED	(1U << IPM_MEMORY_EVENT_CHANGED)
#define IPM_MEMORY_HEAR_REMOVED	(1U << IPM_MEMORY_EVENT_REMOVED)

/**
 * ipm_memory_subscribe() - choose what a handle hears of
 * @memory: any handle
 * @bits: doorbell bits
 * @events: IPM_MEMORY_HEAR_*
 *
 * Takes the place of the former choice. ipm_memory_fd() becomes readable, and
 * ipm_memory_read_events() tells why; each comes once, for however many times
 * it happened since it was last read.
 *
 * Return: %IPM_RESULT_SUCCESS.
 */
IPM_API ipm_result ipm_memory_subscribe(ipm_memory *memory, uint64_t bits, uint32_t events);

/* ------------------------------------------------------------------------ */
/* The module                                                               */
/* ------------------------------------------------------------------------ */

/**
 * struct ipm_memory_limits - limits of the module, and how much is used
 * @struct_size: in: sizeof(ipm_memory_limits)
 * @segments_max: segments that a user may have created
 * @segments: how many this user has
 * @handles_max: open handles
 * @handles: this user's
 * @claims_max: ranges of the claims held and waited for
 * @claims: this user's
 * @bytes_max: sum of the sizes of the segments created
 * @bytes: this user's
 */
typedef struct ipm_memory_limits {
	size_t struct_size;
	uint64_t segments_max;
	uint64_t segments;
	uint64_t handles_max;
	uint64_t handles;
	uint64_t claims_max;
	uint64_t claims;
	uint64_t bytes_max;
	uint64_t bytes;
} ipm_memory_limits;

/**
 * ipm_memory_get_limits() - limits of the module, and how much is used
 * @context: callbacks, or NULL for the defaults
 * @limits: receives them; its struct_size says how many
 *
 * Return: %IPM_RESULT_SUCCESS.
 */
IPM_API ipm_result ipm_memory_get_limits(const ipm_context *context, ipm_memory_limits *limits);

/** Feature bits of struct ipm_module_info. */
#define IPM_MODULE_CLAIMS	(1ULL << 0)
#define IPM_MODULE_CONVERT	(1ULL << 1)
#define IPM_MODULE_RANGES	(1ULL << 2)	/* several in one claim */
#define IPM_MODULE_ASYNC	(1ULL << 3)
#define IPM_MODULE_DEADLOCK	(1ULL << 4)	/* detection */
#define IPM_MODULE_DOUBT	(1ULL << 5)
#define IPM_MODULE_STATUS	(1ULL << 6)	/* status page */
#define IPM_MODULE_SLOTS	(1ULL << 7)	/* and who is alive */
#define IPM_MODULE_DOORBELL	(1ULL << 8)	/* wake-up bits, events */
#define IPM_MODULE_SYSV		(1ULL << 10)	/* what ipm_sysv.h needs */

/**
 * struct ipm_module_info - the module that is loaded
 * @struct_size: in: sizeof(ipm_module_info)
 * @abi: version of its interface
 * @name_size: bytes of a name, its NUL included
 * @features: %IPM_MODULE_CLAIMS and others
 * @capacity_max: bytes of the largest capacity
 * @ranges_max: ranges in one claim
 * @releases_max: releases in one claim
 * @doubt_max: ranges in doubt that a segment keeps apart
 * @slots_max: slots of a segment
 * @release: its version, such as "0.1.0"
 */
typedef struct ipm_module_info {
	size_t struct_size;
	uint32_t abi;
	uint32_t name_size;
	uint64_t features;
	uint64_t capacity_max;
	uint32_t ranges_max;
	uint32_t releases_max;
	uint32_t doubt_max;
	uint32_t slots_max;
	char release[32];
} ipm_module_info;

/**
 * ipm_module_get_info() - which module is loaded, and what it can do
 * @context: callbacks, or NULL for the defaults
 * @info: receives the answer; its struct_size says how much of it
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NO_DEVICE none is.
 */
IPM_API ipm_result ipm_module_get_info(const ipm_context *context, ipm_module_info *info);

#ifdef __cplusplus
}
#endif

#endif /* IPM_MEMORY_H */
