// SPDX-License-Identifier: GPL-2.0
/*
 * The SysV view on a kernel of our own: what it makes of every errno, that
 * nothing stays open or mapped whatever fails, and what happens when others
 * are in between.
 */
#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "fake_kernel.h"
#include "tap.h"

#define KEY 17
#define BAD ((void *)-1)

/* The call fails with this errno. */
#define CHECK_ERRNO(call, wanted)					\
	({								\
		errno = 0;						\
		CHECK_INT((long)(call), -1) && CHECK_INT(errno, wanted);	\
	})

static int id;
static void *map;

static int do_get(void)
{
	return ipm_shmget(KEY, 100, 0600);
}

static int do_create(void)
{
	return ipm_shmget(KEY + 1, 100, IPC_CREAT | 0600);
}

static int do_at(void)
{
	return ipm_shmat(id, NULL, 0) == BAD ? -1 : 0;
}

static int do_dt(void)
{
	return ipm_shmdt(map);
}

static int do_stat(void)
{
	struct shmid_ds ds;

	return ipm_shmctl(id, IPC_STAT, &ds);
}

static int do_set(void)
{
	struct shmid_ds ds = { 0 };

	return ipm_shmctl(id, IPC_SET, &ds);
}

static int do_rmid(void)
{
	return ipm_shmctl(id, IPC_RMID, NULL);
}

static int do_list(void)
{
	struct shmid_ds ds;

	return ipm_shmctl(0, SHM_STAT, &ds);
}

static int do_sum(void)
{
	struct shm_info info;

	return ipm_shmctl(0, SHM_INFO, (void *)&info);
}

static int do_limits(void)
{
	struct shminfo info;

	return ipm_shmctl(0, IPC_INFO, (void *)&info);
}

static int do_id(void)
{
	return ipm_shmid(map);
}

static int do_rm(void)
{
	return ipm_shmrm(ipm_ref_key(KEY));
}

static int do_cfg(void)
{
	return ipm_shmcfg(ipm_ref_key(KEY), 0600);
}

static int do_info(void)
{
	ipm_shm_info info = { .struct_size = sizeof(info) };

	return ipm_shminfo(ipm_ref_key(KEY), &info);
}

/* Every call: its ioctl, and an errno of that which it changes. */
static const struct {
	const char *name;
	int (*call)(void);
	unsigned long command;
	int err, becomes;
} calls[] = {
	{ "shmget", do_get, IPM_IOC_INFO, ENOENT, ENOENT },
	{ "shmget, new", do_create, IPM_IOC_CREATE, EFBIG, EINVAL },
	{ "shmat", do_at, IPM_IOC_INFO, ENOENT, EINVAL },
	{ "shmdt", do_dt, IPM_IOC_MAPPING, ENOENT, EINVAL },
	{ "IPC_STAT", do_stat, IPM_IOC_INFO, ENOENT, EINVAL },
	{ "IPC_SET", do_set, IPM_IOC_SET, ENOENT, EINVAL },
	{ "IPC_RMID", do_rmid, IPM_IOC_REMOVE, ENOENT, EINVAL },
	{ "SHM_STAT", do_list, IPM_IOC_INFO, ENOENT, EINVAL },
	{ "SHM_INFO", do_sum, IPM_IOC_INFO, EACCES, EACCES },
	{ "IPC_INFO", do_limits, IPM_IOC_LIMITS, ENOMEM, ENOMEM },
	{ "IPC_INFO, version", do_limits, IPM_IOC_VERSION, ENOMEM, ENOMEM },
	{ "shmid", do_id, IPM_IOC_MAPPING, ENOENT, EINVAL },
	{ "shmrm", do_rm, IPM_IOC_REMOVE, EIDRM, EIDRM },
	{ "shmcfg", do_cfg, IPM_IOC_SET, ENOENT, EINVAL },
	{ "shmcfg, find", do_cfg, IPM_IOC_INFO, ENOENT, ENOENT },
	{ "shminfo", do_info, IPM_IOC_INFO, ENOENT, ENOENT },
};

#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

static void begin(void)
{
	id = ipm_shmget(KEY, 100, IPC_CREAT | 0600);
	CHECK(id > 0);
	map = ipm_shmat(id, NULL, 0);
	CHECK(map != BAD);
}

static void end(void)
{
	CHECK_INT(ipm_shmdt(map), 0);
	CHECK_INT(ipm_shmctl(id, IPC_RMID, NULL), 0);
	CHECK(fake_is_clean());
}

static void errors_of_the_module(void)
{
	/* What each call passes on as it is. */
	static const int same[] = { ENOMEM, EPERM, EACCES };
	unsigned int i, k;

	begin();
	for (i = 0; i < NR_CALLS; i++) {
		printf("# %s\n", calls[i].name);
		fake_fail_ioctl(calls[i].command, calls[i].err);
		CHECK_ERRNO(calls[i].call(), calls[i].becomes);
		for (k = 0; k < sizeof(same) / sizeof(same[0]); k++) {
			fake_fail_ioctl(calls[i].command, same[k]);
			CHECK_ERRNO(calls[i].call(), same[k]);
		}
		/* A module that does not know it. */
		fake_fail_ioctl(calls[i].command, ENOTTY);
		CHECK_ERRNO(calls[i].call(), ENOSYS);
	}
	/* The segment is as it was. */
	CHECK_INT(ipm_shmid(map), id);
	CHECK_INT(ipm_shmget(KEY, 100, 0600), id);
	end();
}

static unsigned int asked;

/* An older module: refuses flags, and has no such feature. */
static bool old_module(int fd, unsigned long command, void *argument, int *ret)
{
	(void)fd;
	asked++;
	if (command == IPM_IOC_VERSION) {
		memset(argument, 0, sizeof(struct ipm_version));
		*ret = 0;
		return true;
	}
	*ret = command == IPM_IOC_MAPPING ? -ENOTTY : -EINVAL;
	return true;
}

static void an_older_module(void)
{
	unsigned int i;

	begin();
	for (i = 0; i < NR_CALLS; i++) {
		if (calls[i].call == do_limits)
			continue;
		printf("# %s\n", calls[i].name);
		fake_hook = old_module;
		CHECK_ERRNO(calls[i].call(), ENOSYS);
		fake_hook = NULL;
	}
	CHECK(asked >= NR_CALLS);
	end();
}

static void no_device(void)
{
	static const struct {
		int err, becomes, attach;
	} errors[] = {
		{ ENOENT, ENOSYS, ENOSYS },
		{ ENODEV, ENOSYS, ENOSYS },
		{ EACCES, ENOSYS, ENOSYS },
		{ EMFILE, EMFILE, ENOMEM },
		{ ENFILE, ENFILE, ENOMEM },
		{ ENOMEM, ENOMEM, ENOMEM },
	};
	unsigned int i, k;

	begin();
	for (i = 0; i < NR_CALLS; i++) {
		for (k = 0; k < sizeof(errors) / sizeof(errors[0]); k++) {
			fake_fail(FAKE_OPEN, 1, errors[k].err);
			CHECK_ERRNO(calls[i].call(), calls[i].call == do_at ? errors[k].attach :
									      errors[k].becomes);
		}
	}
	end();
}

static void no_place(void)
{
	begin();
	fake_fail(FAKE_MMAP, 1, ENOMEM);
	CHECK_ERRNO(ipm_shmat(id, NULL, 0), ENOMEM);
	fake_fail(FAKE_MMAP, 1, ENOENT);
	CHECK_ERRNO(ipm_shmat(id, NULL, 0), EINVAL);
	fake_fail(FAKE_MMAP, 1, EEXIST);
	CHECK_ERRNO(ipm_shmat(id, (void *)4096, 0), EINVAL);
	CHECK_ERRNO(ipm_shmat(id, NULL, SHM_EXEC), EACCES);
	end();
}

static void bad_buffers(void)
{
	begin();
	CHECK_ERRNO(ipm_shmctl(id, IPC_STAT, NULL), EFAULT);
	CHECK_ERRNO(ipm_shmctl(id, IPC_SET, NULL), EFAULT);
	CHECK_ERRNO(ipm_shmctl(0, SHM_STAT, NULL), EFAULT);
	CHECK_ERRNO(ipm_shmctl(0, SHM_INFO, NULL), EFAULT);
	CHECK_ERRNO(ipm_shmctl(0, IPC_INFO, NULL), EFAULT);
	end();
}

static int races;

/* Others make the key's segment just before us, and have removed it when we look. */
static bool in_between(int fd, unsigned long command, void *argument, int *ret)
{
	(void)fd;
	(void)argument;
	if (command == IPM_IOC_CREATE && races > 0) {
		*ret = -EEXIST;
		return true;
	}
	if (command == IPM_IOC_INFO && races > 0) {
		races--;
		*ret = -ENOENT;
		return true;
	}
	return false;
}

static void others_in_between(void)
{
	races = 3;
	fake_hook = in_between;
	id = ipm_shmget(KEY, 100, IPC_CREAT | 0600);
	CHECK(id > 0);
	CHECK_INT(races, 0);
	races = 1;
	CHECK_ERRNO(ipm_shmget(KEY + 1, 100, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK_INT(races, 1);
	races = 0;
	fake_hook = NULL;
	CHECK_INT(ipm_shmctl(id, IPC_RMID, NULL), 0);
	CHECK(fake_is_clean());
}

static unsigned int refused;

/* No rights; the size is told to those who ask for nothing else. */
static bool no_rights(int fd, unsigned long command, void *argument, int *ret)
{
	struct ipm_info *info = argument;

	(void)fd;
	if (command != IPM_IOC_INFO || !(info->flags & (IPM_INFO_READ | IPM_INFO_WRITE)))
		return false;
	refused++;
	*ret = -EACCES;
	return true;
}

/* The rights that the flags ask for are checked, but a wrong size comes first. */
static void which_error_comes_first(void)
{
	begin();
	fake_hook = no_rights;
	CHECK_ERRNO(ipm_shmget(KEY, 100, 0400), EACCES);
	CHECK_ERRNO(ipm_shmget(KEY, 100, 0020), EACCES);
	CHECK_ERRNO(ipm_shmget(KEY, 101, 0004), EINVAL);
	CHECK_INT(refused, 3);
	CHECK_INT(ipm_shmget(KEY, 100, 0), id);
	CHECK_INT(ipm_shmget(KEY, 100, 0111), id);
	fake_hook = NULL;
	end();
}

/* As many system calls as needed, none kept for later. */
static void how_many_calls(void)
{
	begin();
	fake_calls();
	ipm_shmget(KEY, 100, 0600);
	CHECK_INT(fake_calls(), 3);
	ipm_shmget(KEY, 100, IPC_CREAT | 0600);
	CHECK_INT(fake_calls(), 4);
	CHECK_INT(ipm_shmdt(map), 0);
	CHECK_INT(fake_calls(), 4);
	map = ipm_shmat(id, NULL, 0);
	CHECK_INT(fake_calls(), 4);
	end();
}

/* Two attachments in a row, and the address of one in the middle of another. */
static void side_by_side(void)
{
	int big = ipm_shmget(IPC_PRIVATE, 8192, 0600);
	char *place = mmap(NULL, 6 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(ipm_shmat(big, place, SHM_REMAP) == place);
	CHECK(ipm_shmat(big, place + 2 * 4096, SHM_REMAP) == place + 2 * 4096);
	CHECK_ERRNO(ipm_shmdt(place + 4096), EINVAL);
	CHECK_INT(ipm_shmid(place + 4096), big);
	CHECK_INT(ipm_shmdt(place), 0);
	CHECK_ERRNO(ipm_shmid(place), EINVAL);
	CHECK_INT(ipm_shmid(place + 2 * 4096), big);
	CHECK_INT(ipm_shmdt(place + 2 * 4096), 0);
	munmap(place, 6 * 4096);
	CHECK_INT(ipm_shmctl(big, IPC_RMID, NULL), 0);
	CHECK(fake_is_clean());
}

static uint32_t a_number;

static void say_number(enum fake_call call, void *given, size_t size, long *ret)
{
	if (call || *ret < 0)
		return;
	if (size == IPM_IOC_INFO)
		((struct ipm_info *)given)->ref.id = a_number;
	else if (size == IPM_IOC_CREATE)
		((struct ipm_create *)given)->id = a_number;
	else if (size == IPM_IOC_MAPPING)
		((struct ipm_mapping *)given)->id = a_number;
}

/* Numbers that no segment can have are neither given nor taken for an errno. */
static void numbers_that_cannot_be(void)
{
	static const uint32_t numbers[] = { 0, (uint32_t)INT32_MAX + 1, UINT32_MAX - 10 };
	ipm_shm_info info = { .struct_size = sizeof(info) };
	int id = ipm_shmget(KEY, 10, IPC_CREAT | 0600);
	char *map = ipm_shmat(id, NULL, 0);
	struct shmid_ds ds;

	CHECK(id > 0 && map != (void *)-1);
	fake_after = say_number;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		a_number = numbers[i];
		CHECK_ERRNO(ipm_shmget(KEY, 10, 0), EIO);
		CHECK_ERRNO(ipm_shmget(KEY + 1, 10, IPC_CREAT | 0600), EIO);
		CHECK_INT(ipm_shmrm(ipm_ref_key(KEY + 1)), 0);
		CHECK_ERRNO(ipm_shmid(map), a_number ? EIO : EINVAL);
		CHECK_ERRNO(ipm_shmctl(0, SHM_STAT, &ds), EIO);
		CHECK_ERRNO(ipm_shmctl(0, SHM_INFO, &ds), EIO);
		CHECK_ERRNO(ipm_shminfo(ipm_ref_key(KEY), &info), EIO);
	}
	/* One that does not go on would have no end. */
	a_number = 1;
	CHECK_ERRNO(ipm_shmctl(5, SHM_STAT, &ds), EIO);
	CHECK_ERRNO(ipm_shmctl(0, SHM_INFO, &ds), EIO);
	fake_after = NULL;
	CHECK_INT(ipm_shmdt(map), 0);
	CHECK_INT(ipm_shmctl(id, IPC_RMID, NULL), 0);
	CHECK(fake_is_clean());
}

static void shared_memory_objects(void)
{
	struct fake_context c;
	ipm_shared_memory *object, *other;

	fake_context_init(&c);
	CHECK_RESULT(ipm_shared_memory_create(&c.ctx, ipm_ref_name("/object"), 100, 0711, true,
					      &object), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_shared_memory_size(object), 100);
	CHECK_INT(ipm_shared_memory_id(object), ipm_memory_get_id(object));
	CHECK(ipm_shared_memory_pointer(object) == ipm_memory_pointer(object));
	CHECK_RESULT(ipm_shared_memory_open(&c.ctx, ipm_ref_name("object"), true, &other),
		     IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_write(other, 0, "x", 1), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_shared_memory_remove(&c.ctx, ipm_ref_memory(other)), IPM_RESULT_SUCCESS);
	ipm_shared_memory_close(other);
	ipm_shared_memory_close(object);
	CHECK(fake_is_clean());

	CHECK_RESULT(ipm_shared_memory_create(&c.ctx, ipm_ref_key(0), 100, 0600, false, &object),
		     IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_shared_memory_open(&c.ctx, ipm_ref_id(ipm_shared_memory_id(object)), false,
					    &other), IPM_RESULT_SUCCESS);
	ipm_shared_memory_close(other);
	CHECK_RESULT(ipm_shared_memory_remove(&c.ctx, ipm_ref_memory(object)), IPM_RESULT_SUCCESS);
	ipm_shared_memory_close(object);
	CHECK_RESULT(ipm_shared_memory_create(&c.ctx, ipm_ref_private(), 100, 04600, true, &object),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(c.live, 0);
	CHECK(fake_is_clean());
	CHECK_INT(ipm_shared_memory_size(NULL), 0);
	CHECK_INT(ipm_shared_memory_id(NULL), 0);
	CHECK(!ipm_shared_memory_pointer(NULL));
	ipm_shared_memory_close(NULL);
}

int main(void)
{
	RUN(errors_of_the_module);
	RUN(an_older_module);
	RUN(no_device);
	RUN(no_place);
	RUN(bad_buffers);
	RUN(others_in_between);
	RUN(which_error_comes_first);
	RUN(how_many_calls);
	RUN(side_by_side);
	RUN(numbers_that_cannot_be);
	RUN(shared_memory_objects);
	return tap_end();
}
