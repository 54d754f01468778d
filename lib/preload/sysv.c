// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shmget() and its family for unmodified programs.
 *
 * The numbers of IPM's segments and of the system's overlap, so IPM's are
 * given to programs with a bit added that the system's numbers do not reach
 * before some 30,000 segments were made in the same place. A number with the bit
 * that IPM does not know is the system's.
 *
 * A key belongs to the system if the system knows it, to IPM otherwise.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ipc.h>

#include <ipm/ipm_sysv.h>

#include "preload.h"

#define IPM_BIT 0x40000000

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

static bool is_ours(int id)
{
	return id > 0 && id & IPM_BIT;
}

/* Is IPM not there for this process, or has it no means for the call? */
static bool is_unserved(int err)
{
	return err == ENOSYS || err == EMFILE || err == ENFILE;
}

static int left_to_system(int32_t key, size_t size, int flags, const char *reason)
{
	preload_log("shmget key 0x%x, %zu bytes: left to the system: %s", (unsigned int)key, size,
		    reason);
	return NEXT(shmget)(key, size, flags);
}

/* The number as the program gets it, or -1 for one that leaves no room for the bit. */
static int give(int32_t key, size_t size, int id)
{
	if (id & IPM_BIT)
		return -1;
	preload_log("shmget key 0x%x, %zu bytes: IPM segment %d", (unsigned int)key, size, id);
	return id | IPM_BIT;
}

static int make(int32_t key, size_t size, int flags)
{
	int id = ipm_shmget(key, size, flags);

	if (id < 0 && is_unserved(errno))
		return left_to_system(key, size, flags, strerrordesc_np(errno));
	if (id < 0)
		return -1;
	if (id & IPM_BIT) {
		/* After a billion segments. */
		ipm_shmctl(id, IPC_RMID, NULL);
		return left_to_system(key, size, flags, "the number is too large");
	}
	return give(key, size, id);
}

PRELOAD_API int shmget(key_t key, size_t size, int flags)
{
	bool exclusive = flags & IPC_CREAT && flags & IPC_EXCL;
	int id, saved = errno;

	if (flags & SHM_HUGETLB)
		return left_to_system(key, size, flags, "huge pages");
	if (key == IPC_PRIVATE)
		return make(key, size, flags);

	/* A segment of ours? */
	id = ipm_shmget(key, size, flags & ~(IPC_CREAT | IPC_EXCL));
	if (id < 0 && is_unserved(errno))
		return left_to_system(key, size, flags, strerrordesc_np(errno));
	if (exclusive && (id >= 0 || errno != ENOENT)) {
		errno = EEXIST;
		return -1;
	}
	if (id >= 0) {
		errno = saved;
		return give(key, size, id);
	}
	if (errno != ENOENT)
		return -1;

	/* Or the system's? */
	if (NEXT(shmget)(key, 0, 0) >= 0 || errno == EACCES) {
		errno = saved;
		return left_to_system(key, size, flags, "the system knows the key");
	}
	errno = ENOENT;
	if (!(flags & IPC_CREAT))
		return -1;
	errno = saved;
	return make(key, size, flags);
}

PRELOAD_API void *shmat(int id, const void *address, int flags)
{
	int saved = errno;
	void *map;

	if (!is_ours(id))
		return NEXT(shmat)(id, address, flags);
	map = ipm_shmat(id & ~IPM_BIT, address, flags);
	if (map != (void *)-1 || (errno != EINVAL && errno != ENOSYS))
		return map;
	errno = saved;
	return NEXT(shmat)(id, address, flags);
}

PRELOAD_API int shmdt(const void *address)
{
	int saved = errno;

	if (!ipm_shmdt(address))
		return 0;
	if (is_unserved(errno) && errno != ENOSYS)
		preload_log("shmdt: left to the system: %s", strerrordesc_np(errno));
	errno = saved;
	return NEXT(shmdt)(address);
}

PRELOAD_API int shmctl(int id, int cmd, struct shmid_ds *buf)
{
	bool list = cmd == SHM_STAT || cmd == SHM_STAT_ANY;
	bool all = list || cmd == IPC_INFO || cmd == SHM_INFO;
	int saved = errno, ret;

	if (!all && !is_ours(id))
		return NEXT(shmctl)(id, cmd, buf);
	ret = ipm_shmctl(all ? id : id & ~IPM_BIT, cmd, buf);
	if (ret >= 0)
		return list ? ret | IPM_BIT : ret;
	if (all && errno != ENOSYS)
		return ret;
	if (errno != EINVAL && errno != ENOSYS)
		return ret;
	if (cmd == SHM_LOCK || cmd == SHM_UNLOCK)
		preload_log("shmctl %d: IPM has no SHM_LOCK; mlock() does it", id & ~IPM_BIT);
	errno = saved;
	return NEXT(shmctl)(id, cmd, buf);
}
