// SPDX-License-Identifier: GPL-2.0
/*
 * Handles: making, finding, mapping, growing, changing and ending them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "../../lib/sys.h"
#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY
#define GIB (1ULL << 30)

static struct fake_context c;

/* What every test leaves: nothing. */
static void check_clean(void)
{
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

static ipm_memory *make(const char *name, size_t size)
{
	ipm_memory *m = NULL;

	fake_context_init(&c);
	CHECK_RESULT(ipm_memory_create(&c.ctx, size, name, RW, &m), IPM_RESULT_SUCCESS);
	return m;
}

static void a_segment_lives_as_long_as_its_handles(void)
{
	ipm_memory *m = make("block", 69), *other;
	ipm_memory_info info = ipm_memory_get_info(m);

	CHECK(info.p_ctx->report_param == &c);
	CHECK_INT(info.memory_access_mode, RW);
	CHECK_INT(info.access_id, ipm_memory_get_id(m));
	CHECK(!strcmp(info.name, "block"));
	CHECK_INT(info.block_size, 69);
	CHECK(info.mapping_address == ipm_memory_pointer(m));
	CHECK(ipm_memory_get_pointer(m) == ipm_memory_pointer(m));
	CHECK_INT(info.active_claims, 0);
	CHECK(ipm_memory_was_created(m));
	CHECK_INT(ipm_memory_ref_count(m), 1);

	CHECK_RESULT(ipm_memory_create(&c.ctx, 69, "block", RW, &other), IPM_RESULT_ERR_EXISTS);
	CHECK_INT(c.reports, 1);
	CHECK(strstr(c.message, "segment \"block\"") && strstr(c.message, "errno 17"));
	CHECK_RESULT(ipm_memory_open(&c.ctx, "/block", RO, &other), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_memory_ref_count(m), 2);
	CHECK(!ipm_memory_was_created(other));
	CHECK(!strcmp(ipm_memory_get_info(other).name, "block"));
	strcpy(ipm_memory_pointer(m), "hello");
	CHECK(!strcmp(ipm_memory_pointer(other), "hello"));

	ipm_memory_close(m);
	CHECK_INT(ipm_memory_ref_count(other), 1);
	CHECK(!strcmp(ipm_memory_pointer(other), "hello"));
	ipm_memory_close(other);
	CHECK_RESULT(ipm_memory_open(&c.ctx, "block", RW, &m), IPM_RESULT_ERR_DOES_NOT_EXIST);
	check_clean();
}

static void names_are_checked_before_the_kernel_sees_them(void)
{
	char longest[IPM_MAX_NAME_LEN], too_long[IPM_MAX_NAME_LEN + 1], huge[5000];
	static const char *const bad[] = { NULL, "", "/", "//", "a/b", "a/", "/a/b", ".", "..",
					   "/.", "/.." };
	ipm_memory *m, *unset = NULL;
	size_t i;

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	memset(too_long, 'x', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = 0;
	memset(huge, 'y', sizeof(huge));
	huge[sizeof(huge) - 1] = 0;

	m = make("/x", 1);
	ipm_memory_close(m);
	m = make(longest, 1);
	CHECK(!strcmp(ipm_memory_get_info(m).name, longest));
	ipm_memory_close(m);

	fake_calls();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_RESULT(ipm_memory_create(&c.ctx, 1, bad[i], RW, &unset),
			     IPM_RESULT_ERR_BAD_VALUE);
		CHECK_RESULT(ipm_memory_open(&c.ctx, bad[i], RW, &unset),
			     IPM_RESULT_ERR_BAD_VALUE);
		CHECK_RESULT(ipm_memory_remove(&c.ctx, ipm_ref_name(bad[i])),
			     IPM_RESULT_ERR_BAD_VALUE);
	}
	CHECK_INT(c.reports, 3 * i);
	CHECK_RESULT(ipm_memory_create(&c.ctx, 1, too_long, RW, &unset),
		     IPM_RESULT_ERR_NAME_TOO_LONG);
	CHECK_RESULT(ipm_memory_open(&c.ctx, huge, RW, &unset), IPM_RESULT_ERR_NAME_TOO_LONG);
	CHECK_INT(fake_calls(), 0);
	CHECK(!unset);
	check_clean();
}

static void growth_moves_nothing(void)
{
	ipm_memory *m = make("grows", 100), *reader;
	char *bytes = ipm_memory_pointer(m);
	const char *seen;

	CHECK_INT(ipm_memory_capacity(m), GIB);
	CHECK_RESULT(ipm_memory_open(&c.ctx, "grows", RO, &reader), IPM_RESULT_SUCCESS);
	seen = ipm_memory_pointer(reader);
	CHECK_INT(ipm_memory_size(reader), 100);

	CHECK_RESULT(ipm_memory_resize_grow(m, 1000000), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_pointer(m) == bytes);
	bytes[999999] = 'z';
	fake_calls();
	CHECK_INT(ipm_memory_size(reader), 1000000);
	CHECK_INT(ipm_memory_get_info(reader).block_size, 1000000);
	CHECK_INT(seen[999999], 'z');
	CHECK_RESULT(ipm_memory_sync(reader), IPM_RESULT_SUCCESS);
	CHECK_INT(fake_calls(), 0);
	CHECK(ipm_memory_pointer(reader) == seen);

	CHECK_RESULT(ipm_memory_resize_grow(m, 1000000), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_resize_grow(m, 999999), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_RESULT(ipm_memory_resize_grow(m, 0), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_RESULT(ipm_memory_resize_grow(m, GIB + 1), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_RESULT(ipm_memory_resize_grow(m, SIZE_MAX), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_RESULT(ipm_memory_resize_grow(reader, 2000000), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_grow(m, 2000000, IPM_MEMORY_EXCLUSIVE), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_grow(m, 2000000, IPM_MEMORY_PREALLOCATE), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_memory_size(m), 2000000);
	ipm_memory_close(m);
	ipm_memory_close(reader);
	check_clean();
}

static void capacity_is_chosen_with_room(void)
{
	static const struct {
		uint64_t size, capacity;
	} cases[] = {
		{ 1, GIB },
		{ GIB / 16, GIB },
		{ GIB / 16 + 1, GIB + 16 },
		{ GIB, 16 * GIB },
		/* Larger than can be mapped here: only the option counts. */
		{ IPM_CAPACITY_MAX / 2, IPM_CAPACITY_MAX },
	};
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW,
					.flags = IPM_MEMORY_NO_MAP };
	ipm_memory *m;
	size_t i;

	fake_context_init(&c);
	o.ref = ipm_ref_private();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		o.size = cases[i].size;
		CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_memory_capacity(m), cases[i].capacity);
		CHECK(!ipm_memory_pointer(m));
		ipm_memory_close(m);
	}
	o.size = o.capacity = 5000;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_memory_capacity(m), 5000);
	CHECK_RESULT(ipm_memory_resize_grow(m, 5001), IPM_RESULT_ERR_BAD_SIZE);
	ipm_memory_close(m);
	check_clean();
}

/* With little address space only the size is mapped, and growth follows. */
static void a_small_address_space_is_used_as_it_is(void)
{
	ipm_memory *m;
	char *bytes;
	void *wall;

	fake_limit_map(1 << 20);
	m = make("narrow", 5000);
	bytes = ipm_memory_pointer(m);
	strcpy(bytes + 4990, "kept");

	CHECK_RESULT(ipm_memory_resize_grow(m, 9000), IPM_RESULT_SUCCESS);
	bytes = ipm_memory_pointer(m);
	bytes[8999] = 1;

	/* A wall behind it: it has to move. */
	wall = mmap(bytes + 12288, 4096, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK_RESULT(ipm_memory_resize_grow(m, 100000), IPM_RESULT_SUCCESS);
	if (wall == bytes + 12288)
		CHECK(ipm_memory_pointer(m) != bytes);
	bytes = ipm_memory_pointer(m);
	CHECK(!strcmp(bytes + 4990, "kept"));
	bytes[99999] = 1;

	/* Others let it grow: sync makes it usable, read and write do by themselves. */
	fake_grow(ipm_memory_get_id(m), 200000);
	CHECK_RESULT(ipm_memory_sync(m), IPM_RESULT_SUCCESS);
	((char *)ipm_memory_pointer(m))[199999] = 1;
	fake_grow(ipm_memory_get_id(m), 300000);
	CHECK_RESULT(ipm_memory_write(m, 299999, "x", 1), IPM_RESULT_SUCCESS);
	CHECK_INT(((char *)ipm_memory_pointer(m))[299999], 'x');

	/* No room at all: said, and what was mapped stays. */
	bytes = ipm_memory_pointer(m);
	fake_grow(ipm_memory_get_id(m), 900000);
	fake_limit_map(4096);
	CHECK_RESULT(ipm_memory_sync(m), IPM_RESULT_ERR_OS_OUT_OF_MEMORY);
	CHECK(ipm_memory_pointer(m) == bytes);
	CHECK_RESULT(ipm_memory_write(m, 899999, "x", 1), IPM_RESULT_ERR_BAD_INIT);
	bytes[299999] = 2;
	fake_limit_map(0);
	CHECK_RESULT(ipm_memory_sync(m), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_change_access(m, RO), IPM_RESULT_SUCCESS);
	CHECK_INT(((char *)ipm_memory_pointer(m))[299999], 2);
	ipm_memory_close(m);
	if (wall != MAP_FAILED)
		munmap(wall, 4096);
	check_clean();
}

static void a_capacity_beyond_the_address_space_is_no_obstacle(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 8192,
					.capacity = IPM_CAPACITY_MAX };
	ipm_memory *m;

	fake_context_init(&c);
	fake_limit_map(GIB);
	o.ref = ipm_ref_private();
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	((char *)ipm_memory_pointer(m))[8191] = 1;
	ipm_memory_close(m);
	fake_limit_map(4096);
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_ERR_OS_OUT_OF_MEMORY);
	fake_limit_map(0);
	check_clean();
}

static void map_at_an_address(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 8192,
					.capacity = 65536, .flags = IPM_MEMORY_MAP_AT };
	ipm_memory_open_options p = { .struct_size = sizeof(p), .access = RO,
				      .flags = IPM_MEMORY_MAP_AT };
	char *place = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ipm_memory *m, *other = NULL;

	munmap(place, 1 << 20);
	fake_context_init(&c);
	o.ref = ipm_ref_name("at");
	o.address = place;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_pointer(m) == place);
	p.ref = ipm_ref_name("at");
	p.address = place;
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_FS);
	p.flags = 0;
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_pointer(other) && ipm_memory_pointer(other) != place);
	ipm_memory_close(other);
	ipm_memory_close(m);

	o.address = NULL;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_ERR_BAD_VALUE);
	o.address = place;
	o.flags |= IPM_MEMORY_NO_MAP;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_ERR_BAD_VALUE);
	check_clean();
}

/* Whoever asked for an address does not get moved away from it. */
static void a_mapping_at_an_address_never_moves(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 4096,
					.capacity = GIB, .flags = IPM_MEMORY_MAP_AT };
	char *place = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ipm_memory *m;

	munmap(place, 4096);
	fake_context_init(&c);
	fake_limit_map(65536);
	o.ref = ipm_ref_private();
	o.address = place;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_resize_grow(m, 8192), IPM_RESULT_ERR_OS_OUT_OF_MEMORY);
	CHECK_INT(ipm_memory_size(m), 8192);
	CHECK(ipm_memory_pointer(m) == place);
	ipm_memory_close(m);
	fake_limit_map(0);
	munmap(place + 4096, (1 << 20) - 4096);
	check_clean();
}

static void every_way_to_open(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 100 };
	ipm_memory_open_options p = { .struct_size = sizeof(p), .access = RW };
	ipm_memory *m, *other;
	ipm_memory_ref refs[4];
	size_t i;

	fake_context_init(&c);
	o.ref = ipm_ref_key(-42);
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_was_created(m));
	CHECK(!strcmp(ipm_memory_get_info(m).name, ""));
	refs[0] = ipm_ref_key(-42);
	refs[1] = ipm_ref_id(ipm_memory_get_id(m));
	refs[2] = ipm_ref_fd(ipm_memory_fd(m));
	refs[3] = ipm_ref_memory(m);
	for (i = 0; i < 4; i++) {
		p.ref = refs[i];
		CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_SUCCESS);
		CHECK_INT(ipm_memory_get_id(other), ipm_memory_get_id(m));
		CHECK(ipm_memory_fd(other) != ipm_memory_fd(m));
		CHECK_INT(ipm_memory_capacity(other), GIB);
		CHECK_INT(ipm_memory_ref_count(m), 2);
		ipm_memory_close(other);
	}

	/* Not exclusive: it is opened, unless it is too small. */
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &other), IPM_RESULT_SUCCESS);
	CHECK(!ipm_memory_was_created(other));
	ipm_memory_close(other);
	o.size = 101;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &other), IPM_RESULT_ERR_BAD_SIZE);
	o.flags = IPM_MEMORY_EXCLUSIVE;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &other), IPM_RESULT_ERR_EXISTS);

	p.ref = ipm_ref_id(0);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_ID);
	p.ref = ipm_ref_id(0x80000000u);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_ID);
	p.ref = ipm_ref_id(4711);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_DOES_NOT_EXIST);
	p.ref = ipm_ref_key(0);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_VALUE);
	p.ref = ipm_ref_fd(-1);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_INVALID_FD);
	p.ref = ipm_ref_private();
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_VALUE);
	p.ref = ipm_ref_memory(NULL);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_VALUE);
	p.ref.by = (ipm_memory_by)77;
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_VALUE);
	ipm_memory_close(m);
	check_clean();
}

static void the_name_of_what_was_opened_otherwise(void)
{
	ipm_memory *m = make("findme", 10), *other;
	ipm_memory_open_options p = { .struct_size = sizeof(p), .access = RO };

	p.ref = ipm_ref_id(ipm_memory_get_id(m));
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_SUCCESS);
	CHECK(!strcmp(ipm_memory_get_info(other).name, "findme"));
	ipm_memory_close(other);
	/* The name is an extra: a kernel that does not tell is no error. */
	fake_fail_ioctl(IPM_IOC_INFO, EACCES);
	CHECK_RESULT(ipm_memory_derive(m, RO, &other), IPM_RESULT_SUCCESS);
	CHECK(!strcmp(ipm_memory_get_info(other).name, ""));
	ipm_memory_close(other);
	ipm_memory_close(m);
	check_clean();
}

static void derive_gives_the_same_or_less(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 100,
					.flags = IPM_MEMORY_NO_MAP };
	ipm_memory *m = make("d", 10), *ro, *rw = NULL;

	CHECK_RESULT(ipm_memory_derive(m, RO, &ro), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_memory_get_info(ro).memory_access_mode, RO);
	CHECK(ipm_memory_get_info(ro).p_ctx->report_param == &c);
	CHECK_RESULT(ipm_memory_derive(ro, RW, &rw), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_from_fd(&c.ctx, ipm_memory_fd(ro), RW, &rw),
		     IPM_RESULT_ERR_BAD_ACCESS);
	CHECK(!rw);
	CHECK_RESULT(ipm_memory_derive(m, RW, &rw), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_pointer(rw) && ipm_memory_pointer(rw) != ipm_memory_pointer(m));
	ipm_memory_close(m);
	ipm_memory_close(ro);
	ipm_memory_close(rw);

	o.ref = ipm_ref_private();
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_derive(m, RW, &rw), IPM_RESULT_SUCCESS);
	CHECK(!ipm_memory_pointer(rw));
	CHECK_RESULT(ipm_memory_write(rw, 0, "x", 1), IPM_RESULT_ERR_BAD_INIT);
	ipm_memory_close(m);
	ipm_memory_close(rw);
	check_clean();
}

/* What came through exec: a file descriptor and its claims. */
static void adopt_takes_a_file_descriptor_over(void)
{
	ipm_memory *m = make("a", 10), *adopted;
	ipm_memory_open_options p = { .struct_size = sizeof(p), .access = RW,
				      .flags = IPM_MEMORY_ADOPT_FD };
	struct ipm_open open = { .access = IPM_READ_WRITE, .flags = IPM_OPEN_NO_CLOEXEC };
	struct ipm_claim claim = { .length = 1, .mode = IPM_CLAIM_WRITE };
	int fd = ipm_sys_ioctl(ipm_memory_fd(m), IPM_IOC_REOPEN, &open);
	ipm_id id;

	CHECK_INT(ipm_sys_ioctl(fd, IPM_IOC_CLAIM, &claim), 0);
	p.ref = ipm_ref_fd(fd);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &adopted), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_memory_fd(adopted), fd);
	CHECK_INT(ipm_memory_get_id(adopted), ipm_memory_get_id(m));
	CHECK_INT(ipm_memory_capacity(adopted), GIB);
	CHECK(!strcmp(ipm_memory_get_info(adopted).name, "a"));
	CHECK_INT(ipm_sys_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
	CHECK_RESULT(ipm_memory_claim_region_try(m, RW, 0, 1, &id), IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_release_region(adopted, claim.id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region_try(m, RW, 0, 1, &id), IPM_RESULT_SUCCESS);
	ipm_memory_close(adopted);

	/* What cannot be adopted stays open, and the caller's. */
	fd = ipm_sys_open("/dev/ipm", O_RDONLY);
	p.ref = ipm_ref_fd(fd);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &adopted), IPM_RESULT_ERR_INVALID_FD);
	ipm_sys_close(fd);
	p.ref = ipm_ref_name("a");
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &adopted), IPM_RESULT_ERR_BAD_VALUE);
	ipm_memory_close(m);
	check_clean();
}

static void remove_and_open_the_removed(void)
{
	ipm_memory *m = make("r", 10), *other = NULL;
	ipm_memory_open_options p = { .struct_size = sizeof(p), .access = RW };
	uint32_t id = ipm_memory_get_id(m);

	CHECK(!ipm_memory_is_removed(m));
	CHECK_RESULT(ipm_memory_remove(&c.ctx, ipm_ref_name("r")), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_is_removed(m));
	CHECK_RESULT(ipm_memory_open(&c.ctx, "r", RW, &other), IPM_RESULT_ERR_DOES_NOT_EXIST);
	CHECK_RESULT(ipm_memory_remove(&c.ctx, ipm_ref_memory(m)), IPM_RESULT_ERR_REMOVED);
	CHECK_RESULT(ipm_memory_remove(&c.ctx, ipm_ref_fd(ipm_memory_fd(m))),
		     IPM_RESULT_ERR_REMOVED);
	p.ref = ipm_ref_id(id);
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_REMOVED);
	p.flags = IPM_MEMORY_OPEN_REMOVED;
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_SUCCESS);
	ipm_memory_close(other);
	p.ref = ipm_ref_name("r");
	CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &other), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_remove(&c.ctx, ipm_ref_private()), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_remove(&c.ctx, ipm_ref_id(id + 1)), IPM_RESULT_ERR_DOES_NOT_EXIST);
	ipm_memory_close(m);
	check_clean();
}

static void fill_then_link(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 10 };
	ipm_memory *m, *other;

	fake_context_init(&c);
	o.ref = ipm_ref_private();
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	CHECK(!strcmp(ipm_memory_get_info(m).name, ""));
	CHECK_RESULT(ipm_memory_link(m, ipm_ref_name("a/b")), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_link(m, ipm_ref_id(3)), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_link(m, ipm_ref_name("/linked")), IPM_RESULT_SUCCESS);
	CHECK(!strcmp(ipm_memory_get_info(m).name, "linked"));
	CHECK_RESULT(ipm_memory_link(m, ipm_ref_name("again")), IPM_RESULT_ERR_EXISTS);
	CHECK(!strcmp(ipm_memory_get_info(m).name, "linked"));
	CHECK_RESULT(ipm_memory_open(&c.ctx, "linked", RW, &other), IPM_RESULT_SUCCESS);
	ipm_memory_close(other);
	ipm_memory_close(m);
	check_clean();
}

static void settings_are_set(void)
{
	ipm_memory *m = make("s", 10);
	ipm_memory_settings s = { .struct_size = sizeof(s),
				  .what = IPM_MEMORY_SET_MODE | IPM_MEMORY_SET_UID |
					  IPM_MEMORY_SET_GID | IPM_MEMORY_SET_LIFETIME,
				  .mode = 0640, .uid = 5, .gid = 6, .persistent = true };
	ipm_memory_details d = { .struct_size = sizeof(d) };

	CHECK_RESULT(ipm_memory_set(m, &s), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_get_details(&c.ctx, ipm_ref_memory(m), &d), IPM_RESULT_SUCCESS);
	CHECK_INT(d.mode, 0640);
	CHECK_INT(d.uid, 5);
	CHECK_INT(d.gid, 6);
	CHECK_INT(d.state, IPM_MEMORY_STATE_PERSISTENT);
	CHECK_INT(d.by, IPM_MEMORY_BY_NAME);
	CHECK(!strcmp(d.name, "s"));
	CHECK_INT(d.size, 10);
	CHECK_INT(d.handles, 1);
	CHECK_INT(d.maps, 1);
	CHECK(d.create_time > 0 && d.creator_pid > 0);
	s = (ipm_memory_settings){ .struct_size = sizeof(s), .what = IPM_MEMORY_SET_LIFETIME };
	CHECK_RESULT(ipm_memory_set(m, &s), IPM_RESULT_SUCCESS);
	s.what = 0;
	CHECK_RESULT(ipm_memory_set(m, &s), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_set(m, NULL), IPM_RESULT_ERR_BAD_VALUE);
	ipm_memory_close(m);
	check_clean();
}

static void status_is_read_without_a_call(void)
{
	ipm_memory *m = make("st", 10);
	ipm_memory_status s = { .struct_size = sizeof(s) };
	struct ipm_status *page = fake_status(ipm_memory_get_id(m));

	CHECK_INT(ipm_memory_size(m), 10);
	fake_calls();
	CHECK_RESULT(ipm_memory_get_status(m, &s), IPM_RESULT_SUCCESS);
	CHECK_INT(s.size, 10);
	CHECK_INT(s.capacity, GIB);
	CHECK_INT(s.id, ipm_memory_get_id(m));
	CHECK_INT(s.handles, 1);
	CHECK_INT(s.state, 0);
	CHECK_INT(fake_calls(), 0);
	fake_grow(ipm_memory_get_id(m), 20);
	CHECK_RESULT(ipm_memory_get_status(m, &s), IPM_RESULT_SUCCESS);
	CHECK_INT(s.size, 20);

	/* A page that never becomes quiet is no reason to hang. */
	page->sequence |= 1;
	CHECK_RESULT(ipm_memory_get_status(m, &s), IPM_RESULT_SUCCESS);
	CHECK_INT(s.size, 20);
	ipm_memory_close(m);
	check_clean();
}

static void change_access_keeps_the_pointer(void)
{
	ipm_memory *m = make("ca", 10), *other;
	char *bytes = ipm_memory_pointer(m);
	int fd = ipm_memory_fd(m);
	ipm_id id;

	strcpy(bytes, "text");
	CHECK_RESULT(ipm_memory_change_access(m, RW), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_change_access(m, RO), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_pointer(m) == bytes);
	CHECK(!strcmp(bytes, "text"));
	CHECK_INT(ipm_memory_fd(m), fd);
	CHECK_INT(ipm_sys_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
	CHECK_INT(ipm_memory_get_info(m).memory_access_mode, RO);
	CHECK_INT(ipm_memory_ref_count(m), 1);
	CHECK_RESULT(ipm_memory_claim_region(m, RW, 0, 1, &id), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_write(m, 0, "x", 1), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_resize_grow(m, 100), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_derive(m, RW, &other), IPM_RESULT_ERR_BAD_ACCESS);

	/* Removed in between: it is found by its number. */
	fake_remove(ipm_memory_get_id(m));
	CHECK_RESULT(ipm_memory_change_access(m, RW), IPM_RESULT_SUCCESS);
	CHECK(ipm_memory_pointer(m) == bytes);
	bytes[0] = 'T';
	CHECK(!strcmp(bytes, "Text"));
	CHECK_RESULT(ipm_memory_claim_region(m, RW, 0, 1, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_change_access(m, RO), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_RESULT(ipm_memory_release_region(m, id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_change_access(m, (ipm_access_mode)2), IPM_RESULT_ERR_BAD_VALUE);
	ipm_memory_close(m);
	check_clean();
}

/* Wherever it fails, everything is as it was. */
static void change_access_that_fails_changes_nothing(void)
{
	static const struct {
		enum fake_call call;
		unsigned long command;
		int err;
		ipm_result result;
	} cases[] = {
		{ 0, IPM_IOC_REOPEN, ENOSPC, IPM_RESULT_ERR_LIMIT },
		{ 0, IPM_IOC_REOPEN, EMFILE, IPM_RESULT_ERR_MAX_FDS },
		{ FAKE_FCNTL, 0, EBADF, IPM_RESULT_ERR_INVALID_FD },
		{ FAKE_MMAP, 0, ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ FAKE_MOVE_MAP, 0, ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ FAKE_DUP3, 0, EBUSY, IPM_RESULT_ERR_OS_UNEXPECTED },
	};
	static const struct {
		enum fake_call call;
		unsigned long command;
		int err;
		ipm_result result;
	} back[] = {
		{ FAKE_OPEN, 0, ENOENT, IPM_RESULT_ERR_NO_DEVICE },
		{ 0, IPM_IOC_OPEN, EACCES, IPM_RESULT_ERR_ACCESS },
		{ 0, IPM_IOC_OPEN, ENOENT, IPM_RESULT_ERR_ACCESS },
		{ 0, IPM_IOC_INFO, ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ FAKE_MMAP, 0, EACCES, IPM_RESULT_ERR_BAD_ACCESS },
	};
	ipm_memory *m = make("cf", 10);
	char *bytes = ipm_memory_pointer(m);
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_fail(cases[i].call, 1, cases[i].err);
		if (cases[i].command)
			fake_fail_ioctl(cases[i].command, cases[i].err);
		CHECK_RESULT(ipm_memory_change_access(m, RO), cases[i].result);
		CHECK_INT(ipm_memory_get_info(m).memory_access_mode, RW);
		CHECK_INT(ipm_memory_ref_count(m), 1);
		bytes[1] = (char)i;
		CHECK_RESULT(ipm_memory_write(m, 0, "x", 1), IPM_RESULT_SUCCESS);
	}
	CHECK_RESULT(ipm_memory_change_access(m, RO), IPM_RESULT_SUCCESS);
	for (i = 0; i < sizeof(back) / sizeof(back[0]); i++) {
		fake_fail(back[i].call, 1, back[i].err);
		if (back[i].command)
			fake_fail_ioctl(back[i].command, back[i].err);
		CHECK_RESULT(ipm_memory_change_access(m, RW), back[i].result);
		CHECK_INT(ipm_memory_get_info(m).memory_access_mode, RO);
		CHECK_INT(bytes[0], 'x');
	}
	ipm_memory_close(m);
	check_clean();
}

static bool no_more_maps;

/* From the failure of DUP3 on nothing can be mapped. */
static bool no_way_back(enum fake_call call, long *ret)
{
	*ret = call == FAKE_DUP3 ? -EBUSY : -ENOMEM;
	no_more_maps |= call == FAKE_DUP3;
	return call == FAKE_DUP3 || (call == FAKE_MMAP && no_more_maps);
}

/* The pages are read-only by then, and cannot be had otherwise: they are not written. */
static void change_access_that_cannot_be_undone(void)
{
	ipm_memory *m = make("nb", 10);

	CHECK_RESULT(ipm_memory_write(m, 0, "x", 1), IPM_RESULT_SUCCESS);
	fake_before = no_way_back;
	CHECK_RESULT(ipm_memory_change_access(m, RO), IPM_RESULT_ERR_OS_UNEXPECTED);
	fake_before = NULL;
	CHECK(no_more_maps);
	CHECK_INT(*(char *)ipm_memory_pointer(m), 'x');
	CHECK_INT(ipm_memory_get_info(m).memory_access_mode, RO);
	CHECK_RESULT(ipm_memory_write(m, 0, "y", 1), IPM_RESULT_ERR_BAD_ACCESS);
	CHECK_RESULT(ipm_memory_change_access(m, RW), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_write(m, 0, "y", 1), IPM_RESULT_SUCCESS);
	ipm_memory_close(m);
	check_clean();
}

static uint32_t other_namespace;

/* The handle came from a namespace where the number means another segment. */
static bool open_other(int fd, unsigned long command, void *argument, int *ret)
{
	(void)fd;
	(void)ret;
	if (command == IPM_IOC_OPEN)
		((struct ipm_open *)argument)->ref.id = other_namespace;
	return false;
}

static void the_number_of_another_namespace_is_another_segment(void)
{
	ipm_memory *m = make("mine", 10), *stranger;

	CHECK_RESULT(ipm_memory_create(&c.ctx, 10, "stranger", RW, &stranger), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_change_access(m, RO), IPM_RESULT_SUCCESS);
	other_namespace = ipm_memory_get_id(stranger);
	fake_hook = open_other;
	CHECK_RESULT(ipm_memory_change_access(m, RW), IPM_RESULT_ERR_ACCESS);
	fake_hook = NULL;
	CHECK_INT(ipm_memory_get_info(m).memory_access_mode, RO);
	CHECK_INT(ipm_memory_ref_count(stranger), 1);
	ipm_memory_close(m);
	ipm_memory_close(stranger);
	check_clean();
}

static void a_create_that_cannot_be_mapped_is_undone(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .access = RW, .size = 10,
					.flags = IPM_MEMORY_PERSISTENT };
	ipm_memory *m = NULL;

	fake_context_init(&c);
	o.ref = ipm_ref_name("undone");
	fake_fail(FAKE_MMAP, 1, EINVAL);
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_ERR_BAD_FS);
	check_clean();
	fake_limit_map(1);
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_ERR_OS_OUT_OF_MEMORY);
	fake_limit_map(0);
	CHECK(!m);
	check_clean();

	/* One that existed is not removed because of it. */
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_SUCCESS);
	ipm_memory_close(m);
	fake_fail(FAKE_MMAP, 1, EINVAL);
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &m), IPM_RESULT_ERR_BAD_FS);
	CHECK_RESULT(ipm_memory_remove(&c.ctx, ipm_ref_name("undone")), IPM_RESULT_SUCCESS);
	check_clean();
}

static void options_grow_at_their_end(void)
{
	struct {
		ipm_memory_create_options o;
		char later[16];
	} longer = { .o = { .struct_size = sizeof(longer), .access = RW, .size = 10 } };
	struct {
		ipm_memory_status s;
		char later[16];
	} answer;
	ipm_memory *m;

	fake_context_init(&c);
	longer.o.ref = ipm_ref_private();
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &longer.o, &m), IPM_RESULT_SUCCESS);
	memset(&answer, 0xcc, sizeof(answer));
	answer.s.struct_size = sizeof(answer);
	CHECK_RESULT(ipm_memory_get_status(m, &answer.s), IPM_RESULT_SUCCESS);
	CHECK_INT(answer.s.struct_size, sizeof(answer));
	CHECK_INT(answer.s.size, 10);
	CHECK_INT(answer.later[0], 0);
	CHECK_INT(answer.later[15], 0);
	answer.s.struct_size = sizeof(answer.s) - 1;
	answer.s.size = 99;
	CHECK_RESULT(ipm_memory_get_status(m, &answer.s), IPM_RESULT_ERR_BAD_VALUE);
	answer.s.struct_size = SIZE_MAX;
	CHECK_RESULT(ipm_memory_get_status(m, &answer.s), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(answer.s.size, 99);
	ipm_memory_close(m);

	fake_calls();
	longer.later[15] = 1;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &longer.o, &m), IPM_RESULT_ERR_VERSION);
	longer.o.struct_size = sizeof(longer.o) - 1;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &longer.o, &m), IPM_RESULT_ERR_BAD_VALUE);
	longer.o.struct_size = 0;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &longer.o, &m), IPM_RESULT_ERR_BAD_VALUE);
	longer.o.struct_size = SIZE_MAX;
	CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &longer.o, &m), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(fake_calls(), 0);
	check_clean();
}

static void clean_gives_up_without_releasing(void)
{
	ipm_memory *m = make("cl", 10), *other;
	struct ipm_open open = { .access = IPM_READ_WRITE };
	int copy;
	ipm_id id;

	CHECK_RESULT(ipm_memory_open(&c.ctx, "cl", RW, &other), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(m, RW, 0, 5, &id), IPM_RESULT_SUCCESS);
	/* As fork does: somebody else has the open file, too. */
	copy = ipm_sys_ioctl(ipm_memory_fd(other), IPM_IOC_REOPEN, &open);
	CHECK_INT(ipm_sys_dup3(ipm_memory_fd(m), copy, 0), copy);
	ipm_memory_clean(m);
	CHECK_INT(fake_claims(ipm_memory_get_id(other)), 1);
	ipm_sys_close(copy);
	CHECK_INT(fake_claims(ipm_memory_get_id(other)), 0);

	/* And close releases, whoever has a copy. */
	CHECK_RESULT(ipm_memory_derive(other, RW, &m), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(m, RW, 0, 5, &id), IPM_RESULT_SUCCESS);
	copy = ipm_sys_ioctl(ipm_memory_fd(other), IPM_IOC_REOPEN, &open);
	CHECK_INT(ipm_sys_dup3(ipm_memory_fd(m), copy, 0), copy);
	ipm_memory_close(m);
	CHECK_INT(fake_claims(ipm_memory_get_id(other)), 0);
	ipm_sys_close(copy);
	ipm_memory_close(other);
	check_clean();
}

/* The context may be replaced through the info, as the former library allowed. */
static void a_context_may_be_replaced(void)
{
	static struct fake_context second;
	ipm_memory *m = make("ctx", 10);

	fake_context_init(&second);
	ipm_memory_get_info(m).p_ctx->report_callback = second.ctx.report_callback;
	ipm_memory_get_info(m).p_ctx->report_param = &second;
	CHECK_RESULT(ipm_memory_resize_grow(m, 1), IPM_RESULT_ERR_BAD_SIZE);
	CHECK_INT(c.reports, 0);
	CHECK_INT(second.reports, 1);
	ipm_memory_close(m);
	check_clean();
}

static void module_and_limits(void)
{
	ipm_module_info info;
	ipm_memory_limits limits;

	fake_context_init(&c);
	memset(&info, 0xcc, sizeof(info));
	memset(&limits, 0xcc, sizeof(limits));
	info.struct_size = sizeof(info);
	limits.struct_size = sizeof(limits);
	CHECK_RESULT(ipm_module_get_info(&c.ctx, &info), IPM_RESULT_SUCCESS);
	CHECK_INT(info.abi, IPM_ABI_VERSION);
	CHECK_INT(info.name_size, IPM_MAX_NAME_LEN);
	CHECK_INT(strnlen(info.release, sizeof(info.release)), sizeof(info.release) - 1);
	CHECK_RESULT(ipm_memory_get_limits(&c.ctx, &limits), IPM_RESULT_SUCCESS);
	CHECK(limits.segments_max > 0);
	CHECK_INT(limits.bytes, 0);
	check_clean();
}

static void null_is_nothing(void)
{
	ipm_memory_info info = ipm_memory_get_info(NULL);

	ipm_memory_close(NULL);
	ipm_memory_clean(NULL);
	CHECK(!info.p_ctx && !info.name && !info.mapping_address && !info.block_size);
	CHECK(!ipm_memory_pointer(NULL));
	CHECK(!ipm_memory_get_pointer(NULL));
	CHECK_INT(ipm_memory_ref_count(NULL), 0);
	CHECK_INT(ipm_memory_size(NULL), 0);
	CHECK_INT(ipm_memory_capacity(NULL), 0);
	CHECK(!ipm_memory_is_removed(NULL));
	CHECK(!ipm_memory_was_created(NULL));
	CHECK_INT(ipm_memory_get_id(NULL), 0);
	CHECK_INT(ipm_memory_fd(NULL), -1);
}

int main(void)
{
	RUN(a_segment_lives_as_long_as_its_handles);
	RUN(names_are_checked_before_the_kernel_sees_them);
	RUN(growth_moves_nothing);
	RUN(capacity_is_chosen_with_room);
	RUN(a_small_address_space_is_used_as_it_is);
	RUN(a_capacity_beyond_the_address_space_is_no_obstacle);
	RUN(map_at_an_address);
	RUN(a_mapping_at_an_address_never_moves);
	RUN(every_way_to_open);
	RUN(the_name_of_what_was_opened_otherwise);
	RUN(derive_gives_the_same_or_less);
	RUN(adopt_takes_a_file_descriptor_over);
	RUN(remove_and_open_the_removed);
	RUN(fill_then_link);
	RUN(settings_are_set);
	RUN(status_is_read_without_a_call);
	RUN(change_access_keeps_the_pointer);
	RUN(change_access_that_fails_changes_nothing);
	RUN(change_access_that_cannot_be_undone);
	RUN(the_number_of_another_namespace_is_another_segment);
	RUN(a_create_that_cannot_be_mapped_is_undone);
	RUN(options_grow_at_their_end);
	RUN(clean_gives_up_without_releasing);
	RUN(a_context_may_be_replaced);
	RUN(module_and_limits);
	RUN(null_is_nothing);
	return tap_end();
}
