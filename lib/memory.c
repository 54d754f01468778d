// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Handles: making and ending them, their mapping, their access.
 *
 * A handle maps its segment up to the capacity at once. Beyond the size that is
 * address space and nothing else, so growth, whoever causes it, appears in
 * place and no pointer ever moves. Only where the address space is too small,
 * just the size is mapped, and ipm_map_extend() follows the growth.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

_Static_assert((int)IPM_ACCESS_MODE_READ_ONLY == IPM_READ_ONLY &&
	       (int)IPM_ACCESS_MODE_READ_WRITE == IPM_READ_WRITE, "access is the kernel's");
_Static_assert(IPM_MEMORY_EXCLUSIVE == IPM_CREATE_EXCLUSIVE &&
	       IPM_MEMORY_PERSISTENT == IPM_CREATE_PERSISTENT &&
	       IPM_MEMORY_PREALLOCATE == IPM_CREATE_PREALLOCATE &&
	       IPM_MEMORY_NORESERVE == IPM_CREATE_NORESERVE &&
	       IPM_MEMORY_NO_CLOEXEC == IPM_CREATE_NO_CLOEXEC, "flags of create are the kernel's");

#define CREATE_FLAGS \
	(IPM_MEMORY_EXCLUSIVE | IPM_MEMORY_PERSISTENT | IPM_MEMORY_PREALLOCATE | \
	 IPM_MEMORY_NORESERVE | IPM_MEMORY_NO_CLOEXEC)
#define MAP_FLAGS (IPM_MEMORY_NO_MAP | IPM_MEMORY_MAP_AT)
#define OPEN_FLAGS (IPM_MEMORY_NO_CLOEXEC | IPM_MEMORY_OPEN_REMOVED | IPM_MEMORY_ADOPT_FD)

/*
 * What a segment may grow to when nobody said: plenty, because it costs address
 * space only and a capacity can never be raised later. A 64-bit process has
 * 128 TiB, room for more than 100,000 segments of 1 GiB; a 32-bit one has to
 * be careful.
 */
#if SIZE_MAX > UINT32_MAX
#define DEFAULT_CAPACITY (1ULL << 30)
#define DEFAULT_GROWTH 16
#else
#define DEFAULT_CAPACITY (16ULL << 20)
#define DEFAULT_GROWTH 2
#endif

static uint64_t default_capacity(uint64_t size)
{
	uint64_t capacity;

	if (__builtin_mul_overflow(size, DEFAULT_GROWTH, &capacity) || capacity > IPM_CAPACITY_MAX)
		capacity = IPM_CAPACITY_MAX;
	if (capacity < DEFAULT_CAPACITY)
		capacity = DEFAULT_CAPACITY;
	/* Larger than anything can be: let the kernel say so about the size. */
	return capacity < size ? size : capacity;
}

/* Whole pages, or 0 if that is more than the address space has. */
static size_t whole_pages(uint64_t bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (bytes > SIZE_MAX - page)
		return 0;
	return (size_t)((bytes + page - 1) / page * page);
}

static int protection(ipm_access_mode access)
{
	return access == IPM_ACCESS_MODE_READ_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
}

static ipm_result map_result(int err)
{
	switch (err) {
	case ENOMEM:
	case EAGAIN:
		return IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
	case EACCES:
		return IPM_RESULT_ERR_BAD_ACCESS;
	case EBADF:
		return IPM_RESULT_ERR_INVALID_FD;
	case EINVAL:
	case EEXIST:
	case EPERM:
	case ENODEV:
		return IPM_RESULT_ERR_BAD_FS;
	default:
		return ipm_result_of_errno(err);
	}
}

/*
 * Maps the segment's pages, all of the capacity if there is room, else as many
 * as it has now. Shared file mappings reserve no memory, so MAP_NORESERVE would
 * change nothing.
 */
static int map_pages(const ipm_memory *m, ipm_access_mode access, int flags, void *address,
		     void **map, size_t *mapped)
{
	size_t all = whole_pages(m->capacity);
	int err = -ENOMEM;
	size_t some;

	*mapped = all;
	if (all)
		err = ipm_sys_mmap(map, address, all, protection(access), MAP_SHARED | flags,
				   m->fd, 0);
	if (err != -ENOMEM && err != -EAGAIN)
		return err;
	some = whole_pages(ipm_status_size(m));
	if (some && some != all) {
		*mapped = some;
		err = ipm_sys_mmap(map, address, some, protection(access), MAP_SHARED | flags,
				   m->fd, 0);
	}
	return err;
}

static void unmap(ipm_memory *m)
{
	const struct ipm_status *status = atomic_load(&m->status);
	void *map = atomic_load(&m->map);

	if (map)
		ipm_sys_munmap(map, atomic_load(&m->mapped));
	if (status)
		ipm_sys_munmap((void *)status, IPM_STATUS_SIZE);
	if (atomic_load(&m->slots))
		ipm_sys_munmap((char *)atomic_load(&m->slots) - IPM_STATUS_SLOTS,
			       IPM_STATUS_SLOTS_SIZE);
}

static ipm_memory *handle_alloc(const ipm_context *ctx)
{
	ipm_memory *m = ipm_context_alloc(ctx, sizeof(*m));

	if (!m)
		return NULL;
	m->ctx = *ctx;
	m->fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

static void handle_free(ipm_memory *m)
{
	ipm_context ctx = m->ctx;

	ipm_context_free(&ctx, m);
}

static void set_name(ipm_memory *m, const char *name)
{
	size_t length = strnlen(name, IPM_NAME_SIZE - 1);

	memcpy(m->name, name, length);
	m->name[length] = 0;
	/* Pairs with the load in ipm_memory_get_info(). */
	atomic_store_explicit(&m->named, true, memory_order_release);
}

/*
 * Maps the pages for a new handle. On failure nothing is left mapped; the file
 * descriptor stays the caller's to close.
 */
static ipm_result handle_map(ipm_memory *m, ipm_access_mode access, uint32_t flags, void *address)
{
	int at = flags & IPM_MEMORY_MAP_AT ? MAP_FIXED_NOREPLACE : 0;
	void *map = NULL;
	size_t mapped;
	int err;

	atomic_init(&m->access, access);
	if (flags & IPM_MEMORY_NO_MAP)
		return IPM_RESULT_SUCCESS;

	err = map_pages(m, access, at, address, &map, &mapped);
	if (!err && at && map != address) {
		/* A kernel before 4.17 takes the flag for a wish. */
		ipm_sys_munmap(map, mapped);
		err = -EEXIST;
	}
	if (err) {
		unmap(m);
		return ipm_fail_errno(&m->ctx, map_result(-err), -err,
				      "cannot map the %llu bytes of segment %u",
				      (unsigned long long)m->capacity, m->id);
	}
	m->fixed = at != 0;
	atomic_init(&m->map, map);
	atomic_init(&m->mapped, mapped);
	return IPM_RESULT_SUCCESS;
}

/* --- create --- */

static ipm_result create_result(int err, const ipm_memory_create_options *o)
{
	/* All else that is invalid was refused before. */
	if (err == EINVAL && o->ref.by != IPM_MEMORY_PRIVATE &&
	    !(o->flags & IPM_MEMORY_EXCLUSIVE))
		return IPM_RESULT_ERR_BAD_SIZE;
	return err == ENOTTY ? IPM_RESULT_ERR_VERSION : ipm_result_of_errno(err);
}

static ipm_result check_create(const ipm_context *ctx, ipm_memory_create_options *o)
{
	if (o->flags & ~(CREATE_FLAGS | MAP_FLAGS))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "flags 0x%x to create", o->flags);
	if (!access_is_valid(o->access))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "access %d", (int)o->access);
	if (o->mode & ~0666U)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "mode 0%o", o->mode);
	if (o->size == 0)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_SIZE, "cannot create 0 bytes");
	if (o->capacity && o->capacity < o->size)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_SIZE,
				"a capacity of %llu for %llu bytes",
				(unsigned long long)o->capacity, (unsigned long long)o->size);
	if (o->flags & IPM_MEMORY_MAP_AT && (!o->address || o->flags & IPM_MEMORY_NO_MAP))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "no address to map at");
	if (!o->mode)
		o->mode = 0600;
	if (!o->capacity)
		o->capacity = default_capacity(o->size);
	return IPM_RESULT_SUCCESS;
}

/* Takes back what a create made that could not be mapped. */
static void uncreate(int fd, const struct ipm_create *create)
{
	struct ipm_remove remove = { 0 };

	if (create->created && create->flags & IPM_CREATE_PERSISTENT)
		ipm_sys_ioctl(fd, IPM_IOC_REMOVE, &remove);
}

static ipm_result create(const ipm_context *ctx, ipm_memory_create_options *o,
			 ipm_memory **p_memory)
{
	struct ipm_create create = { 0 };
	ipm_result result;
	ipm_memory *m;
	char text[300];
	int device, fd;

	result = check_create(ctx, o);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	if (o->ref.by != IPM_MEMORY_PRIVATE && o->ref.by != IPM_MEMORY_BY_NAME &&
	    o->ref.by != IPM_MEMORY_BY_KEY)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE,
				"a segment is created by name, by key or private");
	if (o->ref.by != IPM_MEMORY_PRIVATE) {
		result = ipm_ref_fill(ctx, &o->ref, &create.ref);
		if (result != IPM_RESULT_SUCCESS)
			return result;
	}
	create.size = o->size;
	create.capacity = o->capacity;
	create.flags = o->flags & CREATE_FLAGS;
	create.access = o->access;
	create.mode = o->mode;

	m = handle_alloc(ctx);
	if (!m)
		return ipm_fail(ctx, IPM_RESULT_ERR_OUT_OF_MEMORY, "cannot make a handle");
	result = ipm_device_open(ctx, &device);
	if (result != IPM_RESULT_SUCCESS)
		goto err_free;
	fd = ipm_sys_ioctl(device, IPM_IOC_CREATE, &create);
	ipm_sys_close(device);
	if (fd < 0) {
		result = ipm_fail_errno(ctx, create_result(-fd, o), -fd,
					"cannot create %s of %llu bytes",
					ipm_ref_describe(&o->ref, text, sizeof(text)),
					(unsigned long long)o->size);
		goto err_free;
	}

	m->fd = fd;
	m->id = create.id;
	m->created = create.created;
	m->size = create.size;
	m->capacity = create.capacity;
	set_name(m, create.ref.name);
	result = handle_map(m, o->access, o->flags, o->address);
	if (result != IPM_RESULT_SUCCESS)
		goto err_close;
	*p_memory = m;
	return IPM_RESULT_SUCCESS;

err_close:
	uncreate(fd, &create);
	ipm_sys_close(fd);
err_free:
	handle_free(m);
	return result;
}

ipm_result ipm_memory_create_ex(const ipm_context *context,
				const ipm_memory_create_options *options, ipm_memory **p_memory)
{
	ipm_memory_create_options o;
	ipm_context ctx;
	ipm_result result;

	if (!ipm_context_copy(&ctx, context) || !p_memory)
		return ipm_fail(&ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot create a segment");
	result = ipm_take_options(&o, sizeof(o), sizeof(o), options);
	if (result != IPM_RESULT_SUCCESS)
		return ipm_fail(&ctx, result, "options to create a segment");
	return create(&ctx, &o, p_memory);
}

ipm_result ipm_memory_create(const ipm_context *context, size_t block_size, const char *block_name,
			     ipm_access_mode access, ipm_memory **p_memory)
{
	ipm_memory_create_options o = {
		.struct_size = sizeof(o),
		.ref = ipm_ref_name(block_name),
		.size = block_size,
		.access = access,
		.flags = IPM_MEMORY_EXCLUSIVE,
	};

	return ipm_memory_create_ex(context, &o, p_memory);
}

/* --- open --- */

static ipm_result open_result(int err, bool from_handle)
{
	if (from_handle && err == EACCES)
		return IPM_RESULT_ERR_BAD_ACCESS;
	/* REOPEN: a file descriptor that is something else. OPEN: old module. */
	if (err == ENOTTY)
		return from_handle ? IPM_RESULT_ERR_INVALID_FD : IPM_RESULT_ERR_VERSION;
	return from_handle && err == EINVAL ? IPM_RESULT_ERR_INVALID_FD : ipm_result_of_errno(err);
}

/* The name of a segment that was opened in another way; "" if that fails. */
static void ask_name(ipm_memory *m)
{
	struct ipm_info info = { 0 };

	if (!ipm_sys_ioctl(m->fd, IPM_IOC_INFO, &info) && info.ref.by == IPM_BY_NAME)
		set_name(m, info.ref.name);
}

/* Turns an open file descriptor into a handle; closes nothing on failure. */
static ipm_result open_finish(ipm_memory *m, int fd, const struct ipm_open *open,
			      const ipm_memory_open_options *o)
{
	m->fd = fd;
	m->id = open->id;
	m->size = open->size;
	m->capacity = open->capacity;
	if (o->ref.by == IPM_MEMORY_BY_NAME)
		set_name(m, open->ref.name);
	else if (o->ref.by != IPM_MEMORY_BY_KEY)
		ask_name(m);
	return handle_map(m, o->access, o->flags, o->address);
}

static ipm_result adopt(ipm_memory *m, const ipm_memory_open_options *o)
{
	struct ipm_info info = { 0 };
	struct ipm_open open = { 0 };
	int ret = ipm_sys_ioctl(o->ref.fd, IPM_IOC_INFO, &info);

	if (ret >= 0 && info.ref.id == 0)
		ret = -ENOTTY;
	if (ret >= 0)
		ret = ipm_sys_fcntl(o->ref.fd, F_SETFD,
				    o->flags & IPM_MEMORY_NO_CLOEXEC ? 0 : FD_CLOEXEC);
	if (ret < 0)
		return ipm_fail_errno(&m->ctx, open_result(-ret, true), -ret,
				      "cannot adopt file descriptor %d", o->ref.fd);
	open.id = info.ref.id;
	open.size = info.size;
	open.capacity = info.capacity;
	m->adopted = true;
	return open_finish(m, o->ref.fd, &open, o);
}

static ipm_result check_open(const ipm_context *ctx, const ipm_memory_open_options *o)
{
	if (o->flags & ~(OPEN_FLAGS | MAP_FLAGS))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "flags 0x%x to open", o->flags);
	if (!access_is_valid(o->access))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "access %d", (int)o->access);
	if (o->flags & IPM_MEMORY_OPEN_REMOVED && o->ref.by != IPM_MEMORY_BY_ID)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE,
				"a removed segment is opened by id only");
	if (o->flags & IPM_MEMORY_ADOPT_FD && o->ref.by != IPM_MEMORY_BY_FD)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE,
				"there is no file descriptor to adopt");
	if (o->flags & IPM_MEMORY_MAP_AT && (!o->address || o->flags & IPM_MEMORY_NO_MAP))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "no address to map at");
	return IPM_RESULT_SUCCESS;
}

/* The ioctl that opens: its file descriptor in @new. */
static ipm_result open_segment(const ipm_context *ctx, const ipm_memory_open_options *o,
			       struct ipm_open *open, int *new)
{
	bool from_handle, opened;
	ipm_result result;
	char text[300];
	int fd, ret;

	result = ipm_ref_target(ctx, &o->ref, &open->ref, &fd, &opened);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	from_handle = !opened;
	open->access = o->access;
	if (o->flags & IPM_MEMORY_NO_CLOEXEC)
		open->flags |= IPM_OPEN_NO_CLOEXEC;
	if (o->flags & IPM_MEMORY_OPEN_REMOVED)
		open->flags |= IPM_OPEN_REMOVED;
	ret = ipm_sys_ioctl(fd, from_handle ? IPM_IOC_REOPEN : IPM_IOC_OPEN, open);
	if (opened)
		ipm_sys_close(fd);
	if (ret < 0)
		return ipm_fail_errno(ctx, open_result(-ret, from_handle), -ret, "cannot open %s",
				      ipm_ref_describe(&o->ref, text, sizeof(text)));
	*new = ret;
	return IPM_RESULT_SUCCESS;
}

static ipm_result open_any(const ipm_context *ctx, const ipm_memory_open_options *o,
			   ipm_memory **p_memory)
{
	struct ipm_open open = { 0 };
	ipm_result result;
	ipm_memory *m;
	int fd = -1;

	result = check_open(ctx, o);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	m = handle_alloc(ctx);
	if (!m)
		return ipm_fail(ctx, IPM_RESULT_ERR_OUT_OF_MEMORY, "cannot make a handle");
	/*
	 * The file descriptor may have come from somebody hostile, with a file
	 * that answers REOPEN with a number of one of ours, to be closed later.
	 */
	if (o->ref.by == IPM_MEMORY_BY_FD && !ipm_sys_is_anonymous(o->ref.fd)) {
		result = ipm_fail(ctx, IPM_RESULT_ERR_INVALID_FD, "file descriptor %d", o->ref.fd);
	} else if (o->flags & IPM_MEMORY_ADOPT_FD) {
		result = adopt(m, o);
	} else {
		result = open_segment(ctx, o, &open, &fd);
		if (result == IPM_RESULT_SUCCESS) {
			result = open_finish(m, fd, &open, o);
			if (result != IPM_RESULT_SUCCESS)
				ipm_sys_close(fd);
		}
	}
	if (result == IPM_RESULT_SUCCESS)
		*p_memory = m;
	else
		handle_free(m);
	return result;
}

ipm_result ipm_memory_open_ex(const ipm_context *context, const ipm_memory_open_options *options,
			      ipm_memory **p_memory)
{
	ipm_memory_open_options o;
	ipm_context ctx;
	ipm_result result;

	if (!ipm_context_copy(&ctx, context) || !p_memory)
		return ipm_fail(&ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot open a segment");
	result = ipm_take_options(&o, sizeof(o), sizeof(o), options);
	if (result != IPM_RESULT_SUCCESS)
		return ipm_fail(&ctx, result, "options to open a segment");
	return open_any(&ctx, &o, p_memory);
}

ipm_result ipm_memory_open(const ipm_context *context, const char *block_name,
			   ipm_access_mode access, ipm_memory **p_memory)
{
	ipm_memory_open_options o = {
		.struct_size = sizeof(o),
		.ref = ipm_ref_name(block_name),
		.access = access,
	};

	return ipm_memory_open_ex(context, &o, p_memory);
}

ipm_result ipm_memory_from_fd(const ipm_context *context, int fd, ipm_access_mode access,
			      ipm_memory **p_memory)
{
	ipm_memory_open_options o = {
		.struct_size = sizeof(o),
		.ref = ipm_ref_fd(fd),
		.access = access,
	};

	return ipm_memory_open_ex(context, &o, p_memory);
}

ipm_result ipm_memory_derive(const ipm_memory *memory, ipm_access_mode access,
			     ipm_memory **p_memory)
{
	ipm_memory_open_options o = {
		.struct_size = sizeof(o),
		.ref = ipm_ref_memory(memory),
		.access = access,
	};

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!atomic_load(&memory->map))
		o.flags = IPM_MEMORY_NO_MAP;
	return ipm_memory_open_ex(&memory->ctx, &o, p_memory);
}

/* --- ending --- */

void ipm_memory_clean(ipm_memory *memory)
{
	if (!memory)
		return;
	unmap(memory);
	ipm_sys_close(memory->fd);
	handle_free(memory);
}

void ipm_memory_close(ipm_memory *memory)
{
	struct ipm_release_all all = { 0 };

	if (!memory)
		return;
	/*
	 * The last close of the file would do it; but a forked child may have
	 * a copy, and who closes a handle does not expect to leave claims.
	 */
	if (atomic_load(&memory->claims) || memory->adopted)
		ipm_sys_ioctl(memory->fd, IPM_IOC_RELEASE_ALL, &all);
	pthread_mutex_destroy(&memory->lock);
	ipm_memory_clean(memory);
}

/* --- the mapping follows the size --- */

ipm_result ipm_map_extend(ipm_memory *m)
{
	ipm_result result = IPM_RESULT_SUCCESS;
	void *map, *more;
	size_t mapped, want;
	int err;

	/* The usual case: all is mapped, and stays so. Or nothing is. */
	mapped = atomic_load(&m->mapped);
	if (mapped >= m->capacity || !atomic_load(&m->map) || ipm_status_size(m) <= mapped)
		return IPM_RESULT_SUCCESS;

	pthread_mutex_lock(&m->lock);
	map = atomic_load(&m->map);
	mapped = atomic_load(&m->mapped);
	want = whole_pages(ipm_status_size(m));
	if (want && want <= mapped)
		goto unlock;
	err = -ENOMEM;
	if (want)
		err = ipm_sys_mmap(&more, (char *)map + mapped, want - mapped,
				   protection(atomic_load(&m->access)),
				   MAP_SHARED | MAP_FIXED_NOREPLACE, m->fd, mapped);
	if (!err && more == (char *)map + mapped) {
		atomic_store(&m->mapped, want);
		goto unlock;
	}
	if (!err)
		ipm_sys_munmap(more, want - mapped);
	err = -ENOMEM;
	if (want && !m->fixed)
		err = map_pages(m, atomic_load(&m->access), 0, NULL, &more, &want);
	if (err) {
		result = ipm_fail_errno(&m->ctx, map_result(-err), -err,
					"no room to map what segment %u has grown by", m->id);
		goto unlock;
	}
	atomic_store(&m->map, more);
	atomic_store(&m->mapped, want);
	ipm_sys_munmap(map, mapped);
unlock:
	pthread_mutex_unlock(&m->lock);
	return result;
}

ipm_result ipm_memory_sync(ipm_memory *memory)
{
	return memory ? ipm_map_extend(memory) : IPM_RESULT_ERR_BAD_VALUE;
}

/* --- access --- */

/*
 * A new open file on the same segment with other access. Less access comes
 * from the handle itself. More access is a matter of the segment's mode, so it
 * has to be opened anew; by its number, since it may have no name (any more).
 */
static ipm_result open_other_access(const ipm_memory *m, ipm_access_mode access, int *fd)
{
	struct ipm_info mine = { 0 }, theirs = { 0 };
	struct ipm_open open = { .access = access };
	ipm_result result;
	int device, ret;

	if (access == IPM_ACCESS_MODE_READ_ONLY) {
		ret = ipm_sys_ioctl(m->fd, IPM_IOC_REOPEN, &open);
	} else {
		open.ref.by = IPM_BY_ID;
		open.ref.id = m->id;
		open.flags = IPM_OPEN_REMOVED;
		result = ipm_device_open(&m->ctx, &device);
		if (result != IPM_RESULT_SUCCESS)
			return result;
		ret = ipm_sys_ioctl(device, IPM_IOC_OPEN, &open);
		ipm_sys_close(device);
		/* A number of another namespace, where the handle came from. */
		if (ret == -ENOENT)
			ret = -EACCES;
	}
	if (ret < 0)
		return ipm_fail_errno(&m->ctx, ipm_find_result(-ret), -ret,
				      "cannot change the access to segment %u", m->id);
	*fd = ret;
	if (access == IPM_ACCESS_MODE_READ_ONLY)
		return IPM_RESULT_SUCCESS;

	/* The same number in another namespace is another segment. */
	ret = ipm_sys_ioctl(m->fd, IPM_IOC_INFO, &mine);
	if (ret >= 0)
		ret = ipm_sys_ioctl(*fd, IPM_IOC_INFO, &theirs);
	if (ret >= 0 && (mine.create_time != theirs.create_time || mine.cuid != theirs.cuid ||
			 mine.capacity != theirs.capacity))
		ret = -EACCES;
	if (ret < 0) {
		ipm_sys_close(*fd);
		return ipm_fail_errno(&m->ctx, ipm_find_result(-ret), -ret,
				      "segment %u is of another namespace", m->id);
	}
	return IPM_RESULT_SUCCESS;
}

/*
 * Puts a mapping of @fd in the place of the present one. The new one is made
 * elsewhere and then moved over the old one in one step, so other threads can
 * go on reading, and a failure leaves the old one as it was.
 */
static int replace_map(int fd, void *map, size_t length, int prot)
{
	void *new;
	int err = ipm_sys_mmap(&new, NULL, length, prot, MAP_SHARED, fd, 0);

	if (err)
		return err;
	err = ipm_sys_move_map(new, length, map);
	if (err)
		ipm_sys_munmap(new, length);
	return err;
}

static ipm_result swap_access(ipm_memory *m, ipm_access_mode access)
{
	size_t mapped = atomic_load(&m->mapped);
	void *map = atomic_load(&m->map);
	ipm_result result;
	int fd, cloexec, err;

	result = open_other_access(m, access, &fd);
	if (result != IPM_RESULT_SUCCESS)
		return result;

	/* The status page is the segment's, not the open file's: it stays. */
	err = ipm_sys_fcntl(m->fd, F_GETFD, 0);
	cloexec = err >= 0 && err & FD_CLOEXEC ? O_CLOEXEC : 0;
	/* Before it stands in for the other: a thread may read events of that. */
	if (err >= 0)
		err = ipm_sys_fcntl(fd, F_SETFL, O_NONBLOCK);
	if (err >= 0 && map)
		err = replace_map(fd, map, mapped, protection(access));
	if (err >= 0) {
		err = ipm_sys_dup3(fd, m->fd, cloexec);
		/* If not even that can be had, nothing is written that may not be. */
		if (err < 0 && map &&
		    replace_map(m->fd, map, mapped, protection(atomic_load(&m->access))))
			atomic_store(&m->access, IPM_ACCESS_MODE_READ_ONLY);
	}
	ipm_sys_close(fd);
	if (err < 0)
		return ipm_fail_errno(&m->ctx, map_result(-err), -err,
				      "cannot change the access to segment %u", m->id);
	atomic_store(&m->access, access);
	atomic_store(&m->nonblocking, true);
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_change_access(ipm_memory *memory, ipm_access_mode access_mode)
{
	ipm_result result = IPM_RESULT_SUCCESS;
	uint64_t claims;

	if (!memory)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!access_is_valid(access_mode))
		return ipm_fail(&memory->ctx, IPM_RESULT_ERR_BAD_VALUE, "access %d",
				(int)access_mode);
	pthread_mutex_lock(&memory->lock);
	if (atomic_load(&memory->access) == access_mode)
		goto unlock;
	if (atomic_load(&memory->has_slot)) {
		result = ipm_fail(&memory->ctx, IPM_RESULT_ERR_ALREADY_LOCKED,
				  "cannot change the access of a handle with a slot");
		goto unlock;
	}

	/* From here on nobody asks for a claim; see claims_begin(). */
	claims = atomic_load(&memory->claims);
	do {
		if (claims & (CLAIMS_HELD - 1) || ipm_claims_held(memory)) {
			result = ipm_fail(&memory->ctx, IPM_RESULT_ERR_ALREADY_LOCKED,
					  "cannot change the access of a handle with claims");
			goto unlock;
		}
	} while (!atomic_compare_exchange_weak(&memory->claims, &claims, CLAIMS_CHANGING));
	result = swap_access(memory, access_mode);
	atomic_fetch_and(&memory->claims, ~CLAIMS_CHANGING);
unlock:
	pthread_mutex_unlock(&memory->lock);
	return result;
}
