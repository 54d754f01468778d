// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The SysV view: shmget() and its family on segments of IPM.
 *
 * Nothing is kept between calls. What is attached where, the kernel knows
 * (IPM_IOC_MAPPING), and it counts attachments as it does for its own segments:
 * one for each area of an address space, whichever way it comes and goes.
 *
 * Functions inside return a negative errno; system calls are all they make.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "memory.h"

#include <ipm/ipm_sysv.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

#define MODE_BITS 0666

static const ipm_context silent;

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t in_pages(uint64_t bytes)
{
	return (bytes + page_size() - 1) / page_size();
}

/* What a call returns that ends with -1 and errno. */
static int answer(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static int errno_of(ipm_result result)
{
	switch (result) {
	case IPM_RESULT_SUCCESS:
		return 0;
	case IPM_RESULT_ERR_NO_DEVICE:
	case IPM_RESULT_ERR_ACCESS:
		return -ENOSYS;
	case IPM_RESULT_ERR_MAX_FDS:
		return -EMFILE;
	case IPM_RESULT_ERR_MAX_FDS_SYS:
		return -ENFILE;
	case IPM_RESULT_ERR_NAME_TOO_LONG:
		return -ENAMETOOLONG;
	case IPM_RESULT_ERR_BAD_VALUE:
	case IPM_RESULT_ERR_BAD_ID:
		return -EINVAL;
	case IPM_RESULT_INTERRUPTED:
		return -EINTR;
	default:
		return -ENOMEM;
	}
}

/* What a call returns for a segment; a number that none can have is an error. */
static int number_of(uint32_t id)
{
	return id && id <= INT32_MAX ? (int)id : -EIO;
}

/* The device, to be closed again. */
static int device_open_for(bool write)
{
	ipm_result result;
	int fd = -1;

	if (write)
		result = ipm_device_open_to_write(&silent, &fd);
	else
		result = ipm_device_open(&silent, &fd);
	return result == IPM_RESULT_SUCCESS ? fd : errno_of(result);
}

static int device_open(void)
{
	return device_open_for(false);
}

/* A module that does not know what the SysV view needs says so in other words. */
static int device_ioctl(int device, unsigned long command, void *argument)
{
	struct ipm_version version = { 0 };
	int ret = ipm_sys_ioctl(device, command, argument);

	if (ret == -ENOTTY)
		return -ENOSYS;
	if (ret != -EINVAL || ipm_sys_ioctl(device, IPM_IOC_VERSION, &version) < 0)
		return ret;
	return version.features & IPM_FEATURE_SYSV ? ret : -ENOSYS;
}

/* The same for an ioctl about a number: there is none such. */
static int device_ioctl_id(int device, unsigned long command, void *argument)
{
	int ret = device_ioctl(device, command, argument);

	return ret == -ENOENT ? -EINVAL : ret;
}

/* --- shmget --- */

static int find(int device, int32_t key, size_t size, int flags)
{
	int rights = flags >> 6 | flags >> 3 | flags;
	struct ipm_info info = { .flags = IPM_INFO_FIND };
	int ret;

	info.ref.by = IPM_BY_KEY;
	info.ref.key = key;
	if (rights & 04)
		info.flags |= IPM_INFO_READ;
	if (rights & 02)
		info.flags |= IPM_INFO_WRITE;
	ret = device_ioctl(device, IPM_IOC_INFO, &info);
	if (ret == -EACCES) {
		/* That it is too small would come first. */
		info.flags = IPM_INFO_FIND;
		if (!device_ioctl(device, IPM_IOC_INFO, &info) && info.size < size)
			return -EINVAL;
		return ret;
	}
	if (ret < 0)
		return ret;
	return info.size < size ? -EINVAL : number_of(info.ref.id);
}

/* Is there a segment of this key, no matter which and whose? */
static int exists(int device, int32_t key)
{
	int ret = find(device, key, 0, 0);

	return ret >= 0 ? -EEXIST : ret;
}

static int create(int device, int32_t key, size_t size, int flags)
{
	struct ipm_create create = {
		.size = size,
		.capacity = size,
		.flags = IPM_CREATE_EXCLUSIVE | IPM_CREATE_PERSISTENT,
		.access = IPM_READ_WRITE,
		.mode = flags & MODE_BITS,
	};
	int fd;

	if (size == 0 || size > IPM_CAPACITY_MAX || flags & SHM_HUGETLB)
		return -EINVAL;
	if (key != IPC_PRIVATE) {
		create.ref.by = IPM_BY_KEY;
		create.ref.key = key;
	}
	if (flags & SHM_NORESERVE)
		create.flags |= IPM_CREATE_NORESERVE;
	fd = device_ioctl(device, IPM_IOC_CREATE, &create);
	if (fd < 0)
		return fd == -EFBIG ? -EINVAL : fd;
	ipm_sys_close(fd);
	return number_of(create.id);
}

static int get(int device, int32_t key, size_t size, int flags)
{
	int made, found;

	if (key == IPC_PRIVATE)
		return create(device, key, size, flags);
	do {
		made = flags & IPC_CREAT ? create(device, key, size, flags) : -ENOENT;
		if (made >= 0)
			return made;
		if (flags & IPC_CREAT && flags & IPC_EXCL)
			found = made == -EEXIST ? made : exists(device, key);
		else
			found = find(device, key, size, flags);
		if (found != -ENOENT)
			return found;
		/* If it existed before, and is gone now: once more. */
	} while (made == -EEXIST);
	return made;
}

int ipm_shmget(int32_t key, size_t size, int shmflg)
{
	int device = device_open(), ret;

	if (device < 0)
		return answer(device);
	ret = get(device, key, size, shmflg);
	ipm_sys_close(device);
	return answer(ret);
}

/* --- shmat and shmdt --- */

static int attach(uint32_t id, uint64_t address, int flags, int map_flags, void **map)
{
	bool readonly = flags & SHM_RDONLY;
	struct ipm_info info = { 0 };
	int device, ret;

	device = device_open_for(!readonly);
	if (device < 0)
		return device;
	info.ref.by = IPM_BY_ID;
	info.ref.id = id;
	info.flags = IPM_INFO_REMOVED | IPM_INFO_FIND | IPM_INFO_READ |
		     (readonly ? 0 : IPM_INFO_WRITE);
	ret = device_ioctl_id(device, IPM_IOC_INFO, &info);
	if (ret < 0)
		goto close;
	if (flags & SHM_EXEC)
		ret = -EACCES;
	else if (map_flags & MAP_FIXED_NOREPLACE && address + info.size < address)
		ret = -EINVAL;
	else
		ret = ipm_sys_mmap(map, (void *)(uintptr_t)address, info.size,
				   PROT_READ | (readonly ? 0 : PROT_WRITE),
				   MAP_SHARED | map_flags, device, IPM_ATTACH_OFFSET(id));
	/* Removed and gone meanwhile. */
	if (ret == -ENOENT)
		ret = -EINVAL;
close:
	ipm_sys_close(device);
	return ret;
}

void *ipm_shmat(int shmid, const void *shmaddr, int shmflg)
{
	uint64_t address = (uintptr_t)shmaddr, rest = address % page_size();
	int map_flags = 0, ret = -EINVAL;
	void *map;

	if (shmid <= 0)
		goto fail;
	if (address) {
		if (rest && !(shmflg & SHM_RND))
			goto fail;
		address -= rest;
		map_flags = shmflg & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	}
	if (shmflg & SHM_REMAP && !address)
		goto fail;
	ret = attach((uint32_t)shmid, address, shmflg, map_flags, &map);
	switch (ret) {
	case 0:
		return map;
	case -EEXIST:
		ret = -EINVAL;
		break;
	case -EMFILE:
	case -ENFILE:
		ret = -ENOMEM;
		break;
	}
fail:
	errno = -ret;
	return (void *)-1;
}

/* The first mapping of a segment that ends above an address. */
static int mapping_at(int device, uint64_t address, struct ipm_mapping *mapping)
{
	memset(mapping, 0, sizeof(*mapping));
	mapping->address = address;
	return device_ioctl(device, IPM_IOC_MAPPING, mapping);
}

/*
 * As the kernel's: the first part that is where it would be if the segment began
 * at the address, and all that follow of the same within its size.
 */
static int detach(int device, uint64_t address)
{
	uint64_t end = UINT64_MAX, next = address;
	struct ipm_mapping m;
	bool found = false;
	uint32_t id = 0;
	int ret;

	while (next < end) {
		ret = mapping_at(device, next, &m);
		if (ret == -ENOENT)
			break;
		if (ret < 0)
			return found ? 0 : ret;
		next = m.address + m.length;
		if (m.address < address || m.address >= end || m.address - address != m.offset ||
		    (found && m.id != id))
			continue;
		ipm_sys_munmap((void *)(uintptr_t)m.address, m.length);
		if (!found)
			end = address + in_pages(m.size) * page_size();
		found = true;
		id = m.id;
	}
	return found ? 0 : -EINVAL;
}

int ipm_shmdt(const void *shmaddr)
{
	uint64_t address = (uintptr_t)shmaddr;
	int device, ret;

	if (address % page_size())
		return answer(-EINVAL);
	device = device_open();
	if (device < 0)
		return answer(device);
	ret = detach(device, address);
	ipm_sys_close(device);
	return answer(ret);
}

int ipm_shmid(const void *address)
{
	uint64_t at = (uintptr_t)address;
	struct ipm_mapping m;
	int device, ret;

	device = device_open();
	if (device < 0)
		return answer(device);
	ret = mapping_at(device, at, &m);
	ipm_sys_close(device);
	if (ret == -ENOENT || (!ret && (m.address > at || m.id == 0)))
		ret = -EINVAL;
	return answer(ret < 0 ? ret : number_of(m.id));
}

/* --- shmctl --- */

static time_t seconds(int64_t ns)
{
	return (time_t)(ns / 1000000000);
}

static int32_t key_of(const struct ipm_info *info)
{
	/* One that was removed has lost its key. */
	return info->ref.by == IPM_BY_KEY && !(info->state & IPM_STATE_REMOVED) ? info->ref.key : 0;
}

static void fill(const struct ipm_info *info, struct shmid_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ds->shm_perm.__key = key_of(info);
	ds->shm_perm.uid = info->uid;
	ds->shm_perm.gid = info->gid;
	ds->shm_perm.cuid = info->cuid;
	ds->shm_perm.cgid = info->cgid;
	ds->shm_perm.mode = info->mode | (info->state & IPM_STATE_REMOVED ? SHM_DEST : 0);
	ds->shm_segsz = info->size;
	ds->shm_atime = seconds(info->attach_time);
	ds->shm_dtime = seconds(info->detach_time);
	ds->shm_ctime = seconds(info->change_time);
	ds->shm_cpid = info->creator_pid;
	ds->shm_lpid = info->last_pid;
	ds->shm_nattch = info->maps;
}

static int info_of_id(int device, uint32_t id, uint32_t flags, struct ipm_info *info)
{
	memset(info, 0, sizeof(*info));
	info->ref.by = IPM_BY_ID;
	info->ref.id = id;
	info->flags = IPM_INFO_REMOVED | flags;
	return device_ioctl_id(device, IPM_IOC_INFO, info);
}

static int stat_id(int device, uint32_t id, struct shmid_ds *buf)
{
	struct ipm_info info;
	struct shmid_ds ds;
	int ret;

	ret = info_of_id(device, id, 0, &info);
	if (ret < 0)
		return ret;
	fill(&info, &ds);
	return ipm_sys_copy(buf, &ds, sizeof(ds));
}

/*
 * Where this thread's last SHM_STAT was: the next one goes on from there, so
 * that a walk over all of them takes one step for each, and neither misses nor
 * repeats one when others come and go. A hint: without it the walk begins anew.
 */
static _Thread_local struct {
	int index;
	uint32_t id;
} walk = { .index = -1 };

static int stat_index(int device, int index, struct shmid_ds *buf)
{
	int at = index > walk.index ? walk.index : -1;
	uint32_t id = at >= 0 ? walk.id : 0;
	struct ipm_info info;
	struct shmid_ds ds;
	int ret;

	do {
		if (id >= INT32_MAX)
			return -EINVAL;
		ret = info_of_id(device, id + 1, IPM_INFO_NEXT, &info);
		if (ret < 0)
			return ret;
		/* Each is a later one, or the walk would have no end. */
		if (info.ref.id <= id || info.ref.id > INT32_MAX)
			return -EIO;
		id = info.ref.id;
	} while (++at < index);
	walk.index = index;
	walk.id = id;
	fill(&info, &ds);
	ret = ipm_sys_copy(buf, &ds, sizeof(ds));
	return ret < 0 ? ret : (int)id;
}

/* All that the caller may read, summed up; returns the highest index. */
static int sum_up(int device, struct shm_info *sum)
{
	struct ipm_info info;
	uint32_t id = 0;
	int ret;

	memset(sum, 0, sizeof(*sum));
	while (id < INT32_MAX) {
		ret = info_of_id(device, id + 1, IPM_INFO_NEXT, &info);
		if (ret == -EINVAL)
			break;
		if (ret < 0)
			return ret;
		if (info.ref.id <= id || info.ref.id > INT32_MAX)
			return -EIO;
		id = info.ref.id;
		sum->used_ids++;
		sum->shm_tot += in_pages(info.size);
		sum->shm_rss += info.resident / page_size();
	}
	return sum->used_ids ? sum->used_ids - 1 : 0;
}

static int ipc_info(int device, void *buf)
{
	struct ipm_version version = { 0 };
	struct ipm_limits limits = { 0 };
	struct shminfo shminfo = { 0 };
	struct shm_info sum;
	int ret, highest;

	ret = device_ioctl(device, IPM_IOC_VERSION, &version);
	if (!ret)
		ret = device_ioctl(device, IPM_IOC_LIMITS, &limits);
	if (ret < 0)
		return ret;
	highest = sum_up(device, &sum);
	if (highest < 0)
		return highest;
	/* A program of 32 bits cannot be told of more. */
	shminfo.shmmax = version.capacity_max < ULONG_MAX ? version.capacity_max : ULONG_MAX;
	shminfo.shmmin = 1;
	shminfo.shmmni = limits.segments_max;
	shminfo.shmseg = limits.segments_max;
	shminfo.shmall = limits.bytes_max / page_size();
	ret = ipm_sys_copy(buf, &shminfo, sizeof(shminfo));
	return ret < 0 ? ret : highest;
}

static int shm_info(int device, void *buf)
{
	struct shm_info sum;
	int highest = sum_up(device, &sum);
	int ret;

	if (highest < 0)
		return highest;
	ret = ipm_sys_copy(buf, &sum, sizeof(sum));
	return ret < 0 ? ret : highest;
}

static int set(int device, uint32_t id, const struct shmid_ds *buf)
{
	struct ipm_set set = { .what = IPM_SET_MODE | IPM_SET_UID | IPM_SET_GID, .id = id };
	struct shmid_ds ds;
	int ret;

	ret = ipm_sys_copy(&ds, buf, sizeof(ds));
	if (ret < 0)
		return ret;
	set.mode = ds.shm_perm.mode & MODE_BITS;
	set.uid = ds.shm_perm.uid;
	set.gid = ds.shm_perm.gid;
	return device_ioctl_id(device, IPM_IOC_SET, &set);
}

static int remove_id(int device, uint32_t id)
{
	struct ipm_remove remove = { 0 };
	int ret;

	remove.ref.by = IPM_BY_ID;
	remove.ref.id = id;
	ret = device_ioctl_id(device, IPM_IOC_REMOVE, &remove);
	/* As long as somebody has it, it can be removed again. */
	return ret == -EIDRM ? 0 : ret;
}

static int control(int device, int number, int cmd, struct shmid_ds *buf)
{
	switch (cmd) {
	case IPC_INFO:
		return ipc_info(device, buf);
	case SHM_INFO:
		return shm_info(device, buf);
	case SHM_STAT:
	case SHM_STAT_ANY:
		return stat_index(device, number, buf);
	case IPC_STAT:
		return stat_id(device, (uint32_t)number, buf);
	case IPC_SET:
		return set(device, (uint32_t)number, buf);
	case IPC_RMID:
		return remove_id(device, (uint32_t)number);
	default:
		return -EINVAL;
	}
}

int ipm_shmctl(int shmid, int cmd, struct shmid_ds *buf)
{
	int device, ret;

	if (shmid < 0 || cmd < 0)
		return answer(-EINVAL);
	device = device_open();
	if (device < 0)
		return answer(device);
	ret = control(device, shmid, cmd, buf);
	ipm_sys_close(device);
	return answer(ret);
}

/* --- by name, key or number --- */

/* An ioctl about a segment by name, key or number; @to is in @argument. */
static int ioctl_ref(const ipm_memory_ref *ref, struct ipm_ref *to, unsigned long command,
		     void *argument)
{
	ipm_result result;
	int device, ret;

	if (ref->by == IPM_MEMORY_PRIVATE)
		return -EINVAL;
	result = ipm_ref_fill(&silent, ref, to);
	if (result != IPM_RESULT_SUCCESS)
		return errno_of(result);
	device = device_open();
	if (device < 0)
		return device;
	if (ref->by == IPM_MEMORY_BY_ID)
		ret = device_ioctl_id(device, command, argument);
	else
		ret = device_ioctl(device, command, argument);
	ipm_sys_close(device);
	return ret;
}

static int info_of(const ipm_memory_ref *ref, uint32_t flags, struct ipm_info *info)
{
	memset(info, 0, sizeof(*info));
	info->flags = flags | (ref->by == IPM_MEMORY_BY_ID ? IPM_INFO_REMOVED : 0);
	return ioctl_ref(ref, &info->ref, IPM_IOC_INFO, info);
}

int ipm_shmrm(ipm_memory_ref ref)
{
	struct ipm_remove remove = { 0 };

	return answer(ioctl_ref(&ref, &remove.ref, IPM_IOC_REMOVE, &remove));
}

int ipm_shmcfg(ipm_memory_ref ref, unsigned int perms)
{
	struct ipm_set set = { .what = IPM_SET_MODE, .mode = perms & MODE_BITS };
	struct ipm_info info;
	int device, ret;

	if (perms & ~0777U)
		return answer(-EINVAL);
	ret = info_of(&ref, IPM_INFO_FIND, &info);
	if (ret < 0)
		return answer(ret);
	device = device_open();
	if (device < 0)
		return answer(device);
	set.id = info.ref.id;
	ret = device_ioctl_id(device, IPM_IOC_SET, &set);
	ipm_sys_close(device);
	return answer(ret < 0 ? ret : number_of(info.ref.id));
}

int ipm_shminfo(ipm_memory_ref ref, ipm_shm_info *info)
{
	struct ipm_info from;
	ipm_shm_info to = { 0 };
	int ret;

	if (!ipm_answer_fits(info, sizeof(to)))
		return answer(-EINVAL);
	ret = info_of(&ref, 0, &from);
	if (ret < 0)
		return answer(ret);
	ret = number_of(from.ref.id);
	if (ret < 0)
		return answer(ret);
	to.id = ret;
	to.key = key_of(&from);
	to.size = from.size;
	to.mode = from.mode;
	to.removed = from.state & IPM_STATE_REMOVED;
	to.uid = from.uid;
	to.gid = from.gid;
	to.cuid = from.cuid;
	to.cgid = from.cgid;
	to.cpid = from.creator_pid;
	to.lpid = from.last_pid;
	to.nattch = from.maps;
	to.atime = seconds(from.attach_time);
	to.dtime = seconds(from.detach_time);
	to.ctime = seconds(from.change_time);
	ipm_give_answer(info, &to, sizeof(to));
	return to.id;
}
