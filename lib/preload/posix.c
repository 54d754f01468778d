// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shm_open() for unmodified programs: its file descriptors are handles on
 * segments. mmap(), dup(), fcntl(), fork(), passing on and close() are the
 * kernel's business and need no help. What the kernel refuses to do with a
 * handle, or what would tell about no file at all, is done here; that it is a
 * handle is only asked then, so other file descriptors cost nothing more.
 *
 * A name that the system has in its file system for shared memory is the
 * system's; others are IPM's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/ipm.h>

#include <ipm/ipm_memory.h>

#include "../memory.h"
#include "preload.h"

/* What shared memory may grow to: address space that nobody takes. */
#define CAPACITY (1ULL << 40)

#define MODE_BITS 0666

#define SERVED_FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

/* Below every errno. */
#define LEAVE_IT (-5000)
#define REPLACE (-5001)

static const ipm_context silent;

static int answer(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* Is it a handle? Then what it is on. */
static bool is_handle(int fd, struct ipm_info *info)
{
	memset(info, 0, sizeof(*info));
	return ipm_sys_is_anonymous(fd) && !ipm_sys_ioctl(fd, IPM_IOC_INFO, info) && info->ref.id;
}

/* --- shm_open and shm_unlink --- */

/*
 * The mask of new files. There is no other way to read it that another thread
 * would not notice.
 */
static mode_t file_mask(void)
{
	char text[2048], *line;
	int fd = ipm_sys_open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t length = -1;

	if (fd >= 0) {
		length = ipm_sys_read(fd, text, sizeof(text) - 1);
		ipm_sys_close(fd);
	}
	text[length > 0 ? length : 0] = '\0';
	line = strstr(text, "\nUmask:");
	return line ? (mode_t)strtoul(line + 7, NULL, 8) & 0777 : 077;
}

static int create(int device, const struct ipm_ref *ref, int flags, mode_t mode)
{
	struct ipm_create create = {
		.ref = *ref,
		.capacity = CAPACITY,
		/* As in a file system in memory: pages count when they are touched. */
		.flags = IPM_CREATE_EXCLUSIVE | IPM_CREATE_EMPTY | IPM_CREATE_NORESERVE,
		.access = (flags & O_ACCMODE) == O_RDWR ? IPM_READ_WRITE : IPM_READ_ONLY,
		.mode = mode & MODE_BITS,
	};

	if (!preload_volatile())
		create.flags |= IPM_CREATE_PERSISTENT;
	return ipm_sys_ioctl(device, IPM_IOC_CREATE, &create);
}

/*
 * Segments do not shrink. One that nobody else has is as well replaced by a new
 * one that is its like; REPLACE then, and what it was.
 */
static int truncate_handle(int fd, struct ipm_info *was)
{
	struct ipm_remove remove = { 0 };
	int ret;

	if (!is_handle(fd, was))
		return -EIO;
	if (was->size == 0)
		return 0;
	if (was->handles > 1 || was->maps)
		return -EINVAL;
	ret = ipm_sys_ioctl(fd, IPM_IOC_REMOVE, &remove);
	if (!ret)
		return REPLACE;
	/* Somebody has just taken the name away. */
	if (ret == -EIDRM)
		return -ENOENT;
	return ret == -EPERM ? -EACCES : ret;
}

static int create_like(int device, const struct ipm_ref *ref, int flags,
		       const struct ipm_info *was)
{
	struct ipm_set set = { .what = IPM_SET_UID | IPM_SET_GID, .uid = was->uid,
			       .gid = was->gid };
	int fd = create(device, ref, flags, was->mode);

	/* Only who may do anything has removed another's. */
	if (fd >= 0 && (was->uid != geteuid() || was->gid != getegid()))
		ipm_sys_ioctl(fd, IPM_IOC_SET, &set);
	return fd;
}

static int open_existing(int device, const struct ipm_ref *ref, int flags, struct ipm_info *was)
{
	struct ipm_open open = { .ref = *ref };
	int fd, ret = 0;

	open.access = (flags & O_ACCMODE) == O_RDWR ? IPM_READ_WRITE : IPM_READ_ONLY;
	fd = ipm_sys_ioctl(device, IPM_IOC_OPEN, &open);
	if (fd >= 0 && flags & O_TRUNC)
		ret = truncate_handle(fd, was);
	if (!ret)
		return fd;
	ipm_sys_close(fd);
	if (ret != REPLACE && ret != -ENOENT)
		preload_log("shm_open \"%s\" with O_TRUNC: others use it, and segments do not shrink",
			    ref->name);
	return ret;
}

static int exists(int device, const struct ipm_ref *ref)
{
	struct ipm_info info = { .ref = *ref, .flags = IPM_INFO_FIND };
	int ret = ipm_sys_ioctl(device, IPM_IOC_INFO, &info);

	return ret ? ret : -EEXIST;
}

/* Has the system something of this name? A file descriptor, or a negative errno. */
static int open_system(const char *name, int flags)
{
	bool exclusive = flags & O_CREAT && flags & O_EXCL;
	int fd;

	/* To see whether it is there must not change it. */
	flags = exclusive ? O_RDONLY : flags & ~(O_CREAT | O_EXCL);
	fd = NEXT(shm_open)(name, flags, 0);
	if (!exclusive)
		return fd < 0 ? -errno : fd;
	if (fd < 0)
		return errno == EACCES ? -EEXIST : -errno;
	close(fd);
	return -EEXIST;
}

/* A file descriptor, a negative errno, or LEAVE_IT. */
static int open_segment(int device, const char *name, const struct ipm_ref *ref, int flags,
			mode_t mode)
{
	bool exclusive = flags & O_CREAT && flags & O_EXCL;
	struct ipm_info was;
	int fd;

	for (;;) {
		fd = exclusive ? exists(device, ref) : open_existing(device, ref, flags, &was);
		if (fd == REPLACE) {
			fd = create_like(device, ref, flags, &was);
			if (fd == -EEXIST)
				continue;
		}
		if (fd != -ENOENT)
			return fd;
		fd = open_system(name, flags);
		if (fd >= 0) {
			preload_log("shm_open \"%s\": left to the system: it has that name", name);
			return fd;
		}
		if (fd != -ENOENT || !(flags & O_CREAT))
			return fd;
		fd = create(device, ref, flags, mode & ~file_mask());
		/* A module that does not know empty segments. */
		if (fd == -EINVAL)
			return LEAVE_IT;
		if (fd != -EEXIST || exclusive)
			return fd;
	}
}

static int left_to_system(const char *name, int flags, mode_t mode, const char *reason)
{
	preload_log("shm_open \"%s\": left to the system: %s", name, reason);
	return NEXT(shm_open)(name, flags, mode);
}

/* As the C library reads names: any number of '/' in front. */
static bool name_fits(const char *name, struct ipm_ref *ref)
{
	ipm_memory_ref by_name;

	while (name[0] == '/')
		name++;
	by_name = ipm_ref_name(name);
	return ipm_ref_fill(&silent, &by_name, ref) == IPM_RESULT_SUCCESS;
}

PRELOAD_API int shm_open(const char *name, int flags, mode_t mode)
{
	int access = flags & O_ACCMODE, device, fd, saved = errno;
	struct ipm_info info;
	struct ipm_ref ref;

	if (!name_fits(name, &ref))
		return left_to_system(name, flags, mode, "such a name");
	if (flags & ~SERVED_FLAGS || (access != O_RDONLY && access != O_RDWR))
		return left_to_system(name, flags, mode, "its flags");
	if (ipm_device_open(&silent, &device) != IPM_RESULT_SUCCESS)
		return left_to_system(name, flags, mode, "/dev/ipm cannot be opened");
	fd = open_segment(device, name, &ref, flags, mode);
	ipm_sys_close(device);
	if (fd == LEAVE_IT)
		return left_to_system(name, flags, mode, "the module ipm is too old");
	if (fd >= 0 && is_handle(fd, &info)) {
		/* To read() a handle is to wait for events that will not come. */
		ipm_sys_fcntl(fd, F_SETFL, O_NONBLOCK);
		preload_log("shm_open \"%s\": IPM segment %u", name, info.ref.id);
	}
	if (fd >= 0)
		errno = saved;
	return answer(fd);
}

PRELOAD_API int shm_unlink(const char *name)
{
	struct ipm_remove remove = { 0 };
	int device, ret, saved = errno;

	if (!name_fits(name, &remove.ref) ||
	    ipm_device_open(&silent, &device) != IPM_RESULT_SUCCESS)
		return NEXT(shm_unlink)(name);
	ret = ipm_sys_ioctl(device, IPM_IOC_REMOVE, &remove);
	ipm_sys_close(device);
	if (ret == -ENOENT || ret == -EIDRM) {
		errno = saved;
		return NEXT(shm_unlink)(name);
	}
	return answer(ret == -EPERM ? -EACCES : ret);
}

/* --- size --- */

/* After the kernel has refused: grows, if it is a handle. */
static int resize(int fd, off_t size)
{
	struct ipm_grow grow = { .size = (uint64_t)size };
	struct ipm_info info;
	int ret, err = errno;

	if ((err != EINVAL && err != EOPNOTSUPP) || size < 0 || !is_handle(fd, &info))
		return answer(-err);
	ret = ipm_sys_ioctl(fd, IPM_IOC_GROW, &grow);
	if (ret == -EINVAL)
		preload_log("ftruncate from %llu to %lld bytes: segments do not shrink",
			    (unsigned long long)info.size, (long long)size);
	return answer(ret == -EBADF ? -EINVAL : ret);
}

PRELOAD_API int ftruncate(int fd, off_t size)
{
	int saved = errno, ret = NEXT(ftruncate)(fd, size);

	if (ret < 0)
		ret = resize(fd, size);
	if (!ret)
		errno = saved;
	return ret;
}

PRELOAD_API int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

/* Makes the pages of a part that exists. */
static int populate(int fd, uint64_t from, uint64_t to)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	void *map;
	int ret;

	from -= from % page;
	ret = ipm_sys_mmap(&map, NULL, to - from, PROT_READ | PROT_WRITE, MAP_SHARED, fd, from);
	if (ret)
		return ret == -EACCES ? -EBADF : ret;
	ret = madvise(map, to - from, MADV_POPULATE_WRITE) ? -errno : 0;
	ipm_sys_munmap(map, to - from);
	return ret;
}

/* A negative errno, or 0. */
static int allocate(int fd, const struct ipm_info *info, off_t offset, off_t length)
{
	struct ipm_grow grow = { .flags = IPM_GROW_PREALLOCATE };
	uint64_t from = (uint64_t)offset;
	int ret = 0;

	if (offset < 0 || length <= 0)
		return -EINVAL;
	/* Neither is negative, so the sum fits. */
	grow.size = from + (uint64_t)length;
	if (from < info->size)
		ret = populate(fd, from, grow.size < info->size ? grow.size : info->size);
	if (!ret && grow.size > info->size)
		ret = ipm_sys_ioctl(fd, IPM_IOC_GROW, &grow);
	/* Somebody else has grown it further, so the part exists now. */
	if (ret == -EINVAL && grow.size > info->size)
		ret = populate(fd, info->size, grow.size);
	return ret == -ENOMEM || ret == -EFAULT ? -ENOSPC : ret;
}

PRELOAD_API int fallocate(int fd, int mode, off_t offset, off_t length)
{
	int saved = errno, ret = NEXT(fallocate)(fd, mode, offset, length), err = errno;
	struct ipm_info info;

	if (!ret || (err != ENODEV && err != EOPNOTSUPP) || !is_handle(fd, &info))
		return ret;
	if (mode) {
		preload_log("fallocate with mode 0x%x: not in IPM", (unsigned int)mode);
		return answer(-EOPNOTSUPP);
	}
	ret = allocate(fd, &info, offset, length);
	if (!ret)
		errno = saved;
	return answer(ret);
}

PRELOAD_API int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return fallocate(fd, mode, offset, length);
}

PRELOAD_API int posix_fallocate(int fd, off_t offset, off_t length)
{
	int err = NEXT(posix_fallocate)(fd, offset, length);
	struct ipm_info info;

	if ((err != ENODEV && err != EOPNOTSUPP) || !is_handle(fd, &info))
		return err;
	return -allocate(fd, &info, offset, length);
}

PRELOAD_API int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	return posix_fallocate(fd, offset, length);
}

/* --- what a file is --- */

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* What looks like no file at all becomes one, if it is a handle. */
static void describe(int fd, struct stat *st)
{
	struct ipm_info info;

	if (st->st_mode & S_IFMT || !is_handle(fd, &info))
		return;
	st->st_mode = S_IFREG | info.mode;
	st->st_ino = info.ref.id;
	st->st_nlink = info.state & IPM_STATE_REMOVED ? 0 : 1;
	st->st_uid = info.uid;
	st->st_gid = info.gid;
	st->st_size = (off_t)info.size;
	st->st_blksize = sysconf(_SC_PAGESIZE);
	st->st_blocks = (blkcnt_t)(info.resident / 512);
	st->st_atim = timespec_of(info.attach_time ? info.attach_time : info.create_time);
	st->st_mtim = timespec_of(info.change_time);
	st->st_ctim = timespec_of(info.change_time);
}

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one structure, two names");

PRELOAD_API int fstat(int fd, struct stat *st)
{
	int ret = NEXT(fstat)(fd, st);

	if (!ret)
		describe(fd, st);
	return ret;
}

PRELOAD_API int fstat64(int fd, struct stat64 *st)
{
	int ret = NEXT(fstat64)(fd, st);

	if (!ret)
		describe(fd, (struct stat *)st);
	return ret;
}

PRELOAD_API int __fxstat(int version, int fd, struct stat *st)
{
	int ret = NEXT(__fxstat)(version, fd, st);

	if (!ret)
		describe(fd, st);
	return ret;
}

PRELOAD_API int __fxstat64(int version, int fd, struct stat64 *st)
{
	int ret = NEXT(__fxstat64)(version, fd, st);

	if (!ret)
		describe(fd, (struct stat *)st);
	return ret;
}

static int set(int fd, struct ipm_set *set)
{
	return answer(ipm_sys_ioctl(fd, IPM_IOC_SET, set));
}

/* The kernel would change the mode of all files that have no inode of their own. */
PRELOAD_API int fchmod(int fd, mode_t mode)
{
	struct ipm_set what = { .what = IPM_SET_MODE, .mode = mode & MODE_BITS };
	struct ipm_info info;

	return is_handle(fd, &info) ? set(fd, &what) : NEXT(fchmod)(fd, mode);
}

PRELOAD_API int fchown(int fd, uid_t uid, gid_t gid)
{
	struct ipm_set what = { 0 };
	struct ipm_info info;

	if (!is_handle(fd, &info))
		return NEXT(fchown)(fd, uid, gid);
	if (uid != (uid_t)-1) {
		what.what |= IPM_SET_UID;
		what.uid = uid;
	}
	if (gid != (gid_t)-1) {
		what.what |= IPM_SET_GID;
		what.gid = gid;
	}
	return what.what ? set(fd, &what) : 0;
}
