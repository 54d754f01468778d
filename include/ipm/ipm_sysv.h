/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared memory for those who know shmget(2) and its family, or the
 * SharedMemory objects of other languages: the same calls on segments of IPM.
 *
 * The first part answers as the system's calls do: -1 (or (void *)-1) and
 * errno, with the flags and the structure of <sys/shm.h>. Numbers, keys and
 * names are those of IPM: what ipm_shmget() makes can be opened with
 * ipm_memory_open_ex(), and ipm_shmat() takes the number of any segment.
 *
 * Where IPM differs from the system's shared memory:
 *
 * Execute permission does not exist: the x bits of a mode are taken and
 * forgotten, and SHM_EXEC is EACCES. SHM_HUGETLB, SHM_LOCK and SHM_UNLOCK are
 * EINVAL; mlock(2) keeps an attached segment in memory. SHM_STAT, SHM_STAT_ANY
 * and SHM_INFO tell of the segments that the caller may read. The limits are
 * those of the module, for each user, and RLIMIT_FSIZE. Numbers are never 0,
 * and found within a network namespace, as keys are.
 *
 * Besides what the manual pages of the system's calls list, each call can fail
 * with ENOSYS (the module ipm is not loaded, or is older than this library, or
 * there is no right to open /dev/ipm), and, but for ipm_shmat(), which says
 * ENOMEM then, EMFILE and ENFILE (no file descriptor for the moment of the
 * call).
 *
 * No call keeps a file descriptor or anything that a fork could make wrong, and
 * all may be made by several threads at once. Those that are named like a
 * system call do nothing but make system calls, also in signal handlers.
 */
#ifndef IPM_SYSV_H
#define IPM_SYSV_H

#include <ipm/ipm_memory.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shmid_ds;

/* ------------------------------------------------------------------------ */
/* As the system's calls                                                    */
/* ------------------------------------------------------------------------ */

/**
 * ipm_shmget() - the number of the segment of a key; make it if need be
 * @key: a key_t; IPC_PRIVATE makes a segment that only its number leads to
 * @size: bytes; with a segment that exists no more than it has, 0 for any
 * @shmflg: IPC_CREAT, IPC_EXCL, SHM_NORESERVE and the permissions, of which
 *	those of a segment that exists have to allow as much
 *
 * The segment is filled with zeros and stays until it is removed. It cannot
 * grow. Attached, it takes whole pages.
 *
 * Return: the number, 1 or more; -1 with errno EACCES the permissions do not
 * allow it; EEXIST it exists, and IPC_CREAT and IPC_EXCL are set; EINVAL a size
 * of 0 or beyond what the module allows for a new segment, or more than a
 * segment that exists has, or SHM_HUGETLB; ENOENT no such key, and IPC_CREAT is
 * not set; ENOMEM; ENOSPC a limit of the module.
 */
IPM_API int ipm_shmget(int32_t key, size_t size, int shmflg);

/**
 * ipm_shmat() - attach a segment
 * @shmid: its number
 * @shmaddr: where, or NULL to leave that to the system
 * @shmflg: SHM_RDONLY, SHM_RND to round @shmaddr down to a page, SHM_REMAP to
 *	replace what is mapped there, SHM_EXEC
 *
 * Attached segments are inherited by children of fork(), and detached by
 * exec and the end of the process. One that was removed can be attached as
 * long as somebody has it attached.
 *
 * Return: the address; (void *)-1 with errno EACCES the permissions do not
 * allow it, or SHM_EXEC; EINVAL no such number, an address that is not at a page
 * or taken, SHM_REMAP without one, or a segment of 0 bytes; ENOMEM no memory,
 * address space or file descriptor.
 */
IPM_API void *ipm_shmat(int shmid, const void *shmaddr, int shmflg);

/**
 * ipm_shmdt() - detach a segment
 * @shmaddr: what ipm_shmat() returned
 *
 * Where parts were unmapped or protected otherwise meanwhile, it detaches the
 * parts that are left, as the system's call does. A thread that maps something
 * else in the place of a part while this call runs may lose it.
 *
 * Return: 0; -1 with errno EINVAL nothing is attached there.
 */
IPM_API int ipm_shmdt(const void *shmaddr);

/**
 * ipm_shmctl() - ask about a segment, change it, remove it
 * @shmid: its number; with SHM_STAT and SHM_STAT_ANY an index from 0 to what
 *	SHM_INFO returned; with IPC_INFO and SHM_INFO any number
 * @cmd: IPC_STAT, IPC_SET, IPC_RMID, IPC_INFO, SHM_INFO, SHM_STAT, SHM_STAT_ANY
 * @buf: with IPC_INFO a struct shminfo, with SHM_INFO a struct shm_info
 *
 * Each part that an attached segment is divided into by munmap() or mprotect()
 * counts as one in shm_nattch, as it does with the system's segments. Mappings
 * of ipm_memory handles count too.
 *
 * Return: 0, with SHM_STAT and SHM_STAT_ANY the number of the segment, with
 * IPC_INFO and SHM_INFO the highest index; -1 with errno EACCES IPC_STAT or
 * SHM_STAT without the right to read; EFAULT @buf cannot be read or written;
 * EINVAL no such number or index, another @cmd, or a user or group that does
 * not exist; EPERM IPC_SET or IPC_RMID by neither owner nor creator, without
 * CAP_IPC_OWNER.
 */
IPM_API int ipm_shmctl(int shmid, int cmd, struct shmid_ds *buf);

/* ------------------------------------------------------------------------ */
/* Beyond them                                                              */
/* ------------------------------------------------------------------------ */

/**
 * ipm_shmid() - the number of the segment that is attached at an address
 * @address: any address within it
 *
 * Return: the number; -1 with errno EINVAL there is none, or one of another
 * network namespace.
 */
IPM_API int ipm_shmid(const void *address);

/**
 * ipm_shmrm() - remove a segment
 * @ref: by name, key or number
 *
 * The name or key is free at once; the segment ends with its last user.
 *
 * Return: 0; -1 with errno ENOENT no such name or key; EINVAL no such number;
 * EIDRM it was removed before; EPERM as ipm_shmctl(); ENAMETOOLONG.
 */
IPM_API int ipm_shmrm(ipm_memory_ref ref);

/**
 * ipm_shmcfg() - change the permissions of a segment
 * @ref: by name, key or number
 * @perms: as for chmod
 *
 * Return: the number of the segment; -1 with errno as ipm_shmrm().
 */
IPM_API int ipm_shmcfg(ipm_memory_ref ref, unsigned int perms);

/**
 * struct ipm_shm_info - what is known about a segment
 * @struct_size: in: sizeof(ipm_shm_info)
 * @id: its number
 * @key: its key, 0 if it has none
 * @size: bytes
 * @mode: permissions
 * @removed: it was removed, and somebody still uses it
 * @uid: owner
 * @gid: group
 * @cuid: creator
 * @cgid: creator's group
 * @cpid: process that made it, 0 if not visible
 * @lpid: process that last attached or detached it, 0 if none or not visible
 * @nattch: how often it is attached
 * @atime: last attach, seconds since 1970, 0 if never, as are
 * @dtime: last detach and
 * @ctime: making or last change
 */
typedef struct ipm_shm_info {
	size_t struct_size;
	int id;
	int32_t key;
	uint64_t size;
	unsigned int mode;
	bool removed;
	uint32_t uid;
	uint32_t gid;
	uint32_t cuid;
	uint32_t cgid;
	int32_t cpid;
	int32_t lpid;
	uint64_t nattch;
	int64_t atime;
	int64_t dtime;
	int64_t ctime;
} ipm_shm_info;

/**
 * ipm_shminfo() - what is known about a segment
 * @ref: by name, key or number
 * @info: receives it; its struct_size says how much of it
 *
 * Return: the number of the segment; -1 with errno ENOENT no such name or key;
 * EINVAL no such number, or @info is NULL or too small; EACCES no right to
 * read; ENAMETOOLONG.
 */
IPM_API int ipm_shminfo(ipm_memory_ref ref, ipm_shm_info *info);

/* ------------------------------------------------------------------------ */
/* SharedMemory objects                                                     */
/* ------------------------------------------------------------------------ */

/*
 * An object is an ipm_memory: claims, growth and all else that memory has can
 * be used with it. Errors are results, and told to the report callback.
 */
typedef ipm_memory ipm_shared_memory;

/**
 * ipm_shared_memory_create() - make shared memory that did not exist
 * @context: callbacks, or NULL for the defaults
 * @ref: ipm_ref_name() of "/name", ipm_ref_key(), or ipm_ref_private(), which
 *	is the same as the key IPC_PRIVATE
 * @size: bytes, not 0
 * @perms: permissions as for chmod, not changed by the umask; 0 means 0600
 * @is_volatile: true: gone with its last user; false: stays until it is removed
 * @p_memory: receives the object; close it with ipm_shared_memory_close()
 *
 * Return: as ipm_memory_create_ex() with %IPM_MEMORY_EXCLUSIVE.
 */
IPM_API ipm_result ipm_shared_memory_create(const ipm_context *context, ipm_memory_ref ref,
					    size_t size, unsigned int perms, bool is_volatile,
					    ipm_shared_memory **p_memory);

/**
 * ipm_shared_memory_open() - shared memory that exists
 * @context: callbacks, or NULL for the defaults
 * @ref: ipm_ref_name(), ipm_ref_key() or ipm_ref_id()
 * @readonly: true: only to read
 * @p_memory: receives the object; close it with ipm_shared_memory_close()
 *
 * Return: as ipm_memory_open_ex().
 */
IPM_API ipm_result ipm_shared_memory_open(const ipm_context *context, ipm_memory_ref ref,
					  bool readonly, ipm_shared_memory **p_memory);

/** ipm_shared_memory_pointer() - where it is; see ipm_memory_pointer() */
static inline void *ipm_shared_memory_pointer(const ipm_shared_memory *memory)
{
	return ipm_memory_pointer(memory);
}

/** ipm_shared_memory_size() - bytes; 0 for NULL */
static inline size_t ipm_shared_memory_size(const ipm_shared_memory *memory)
{
	return (size_t)ipm_memory_size(memory);
}

/** ipm_shared_memory_id() - its number, which ipm_shmat() takes too; 0 for NULL */
static inline int ipm_shared_memory_id(const ipm_shared_memory *memory)
{
	return (int)ipm_memory_get_id(memory);
}

/**
 * ipm_shared_memory_remove() - see to it that it ends with its last user
 * @context: callbacks, or NULL for the defaults
 * @ref: ipm_ref_memory() of an object, ipm_ref_name(), ipm_ref_key() or
 *	ipm_ref_id()
 *
 * Return: as ipm_memory_remove().
 */
static inline ipm_result ipm_shared_memory_remove(const ipm_context *context, ipm_memory_ref ref)
{
	return ipm_memory_remove(context, ref);
}

/** ipm_shared_memory_close() - end this object; see ipm_memory_close() */
static inline void ipm_shared_memory_close(ipm_shared_memory *memory)
{
	ipm_memory_close(memory);
}

#ifdef __cplusplus
}
#endif

#endif /* IPM_SYSV_H */
