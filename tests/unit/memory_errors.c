// SPDX-License-Identifier: GPL-2.0
/*
 * What every call makes of every errno, of NULL, and of an allocator that
 * fails. After each failure nothing has changed and nothing is left.
 */
#include <errno.h>
#include <string.h>

#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY

static struct fake_context c;
static ipm_memory *m, *out;
static ipm_id id;

/* --- the calls --- */

static ipm_result do_create(void)
{
	return ipm_memory_create(&c.ctx, 10, "new", RW, &out);
}

static ipm_result do_create_any(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .size = 10 };

	o.ref = ipm_ref_name("new");
	return ipm_memory_create_ex(&c.ctx, &o, &out);
}

static ipm_result do_open(void)
{
	return ipm_memory_open(&c.ctx, "errors", RW, &out);
}

static ipm_result do_derive(void)
{
	return ipm_memory_derive(m, RW, &out);
}

static ipm_result do_adopt(void)
{
	ipm_memory_open_options o = { .struct_size = sizeof(o), .flags = IPM_MEMORY_ADOPT_FD };

	o.ref = ipm_ref_fd(ipm_memory_fd(m));
	return ipm_memory_open_ex(&c.ctx, &o, &out);
}

static ipm_result do_remove(void)
{
	return ipm_memory_remove(&c.ctx, ipm_ref_name("errors"));
}

static ipm_result do_details(void)
{
	ipm_memory_details d = { .struct_size = sizeof(d) };

	return ipm_memory_get_details(&c.ctx, ipm_ref_name("errors"), &d);
}

static ipm_result do_limits(void)
{
	ipm_memory_limits l = { .struct_size = sizeof(l) };

	return ipm_memory_get_limits(&c.ctx, &l);
}

static ipm_result do_version(void)
{
	ipm_module_info i = { .struct_size = sizeof(i) };

	return ipm_module_get_info(&c.ctx, &i);
}

static ipm_result do_link(void)
{
	return ipm_memory_link(m, ipm_ref_key(5));
}

static ipm_result do_set(void)
{
	ipm_memory_settings s = { .struct_size = sizeof(s), .what = IPM_MEMORY_SET_MODE };

	return ipm_memory_set(m, &s);
}

static ipm_result do_grow(void)
{
	return ipm_memory_resize_grow(m, 20);
}

static ipm_result do_claim(void)
{
	return ipm_memory_claim_region(m, RW, 0, 1, &id);
}

static ipm_result do_claim_until_removed(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 1,
				       .flags = IPM_MEMORY_UNTIL_REMOVED };

	return ipm_memory_claim(m, &o, &id, NULL);
}

static ipm_result do_convert(void)
{
	return ipm_memory_convert(m, 1, RO, 0, 0, NULL);
}

static ipm_result do_release(void)
{
	return ipm_memory_release_region(m, 1);
}

static ipm_result do_release_all(void)
{
	return ipm_memory_release_all(m);
}

static ipm_result do_clear(void)
{
	return ipm_memory_remove_all_active_claims(m);
}

static ipm_result do_collect(void)
{
	return ipm_memory_collect(m, 1, NULL);
}

static ipm_result do_doubt(void)
{
	size_t total;

	return ipm_memory_list_doubts(m, 0, 0, NULL, 0, &total);
}

static ipm_result do_recovered(void)
{
	return ipm_memory_recovered(m, 0, 1);
}

static ipm_result do_read(void)
{
	char byte;

	return ipm_memory_read(m, 0, &byte, 1);
}

static ipm_result do_write(void)
{
	return ipm_memory_write(m, 0, "x", 1);
}

static ipm_result do_slot(void)
{
	uint32_t slot, generation;

	return ipm_memory_slot(m, &slot, &generation);
}

static ipm_result do_slot_give(void)
{
	return ipm_memory_slot_give(m);
}

static ipm_result do_reap(void)
{
	return ipm_memory_reap(m, 1, 1);
}

static ipm_result do_bell(void)
{
	return ipm_memory_ring_bell(m, 1, IPM_MEMORY_ALL_SLOTS);
}

static ipm_result do_subscribe(void)
{
	return ipm_memory_subscribe(m, 1, 0);
}

/* --- errno --- */

/* What most calls make of an errno; 0 ends the list. */
struct mapping {
	int err;
	ipm_result result;
};

static const struct mapping usual[] = {
	{ EACCES, IPM_RESULT_ERR_ACCESS },
	{ EPERM, IPM_RESULT_ERR_NOT_OWNER },
	{ EEXIST, IPM_RESULT_ERR_EXISTS },
	{ ENOENT, IPM_RESULT_ERR_DOES_NOT_EXIST },
	{ EIDRM, IPM_RESULT_ERR_REMOVED },
	{ EINVAL, IPM_RESULT_ERR_BAD_VALUE },
	{ EFAULT, IPM_RESULT_ERR_BAD_VALUE },
	{ EOVERFLOW, IPM_RESULT_ERR_BAD_VALUE },
	{ EFBIG, IPM_RESULT_ERR_BAD_SIZE },
	{ ENAMETOOLONG, IPM_RESULT_ERR_NAME_TOO_LONG },
	{ EMFILE, IPM_RESULT_ERR_MAX_FDS },
	{ ENFILE, IPM_RESULT_ERR_MAX_FDS_SYS },
	{ EBADF, IPM_RESULT_ERR_INVALID_FD },
	{ ENOTTY, IPM_RESULT_ERR_INVALID_FD },
	{ ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
	{ ENOSPC, IPM_RESULT_ERR_LIMIT },
	{ EDEADLK, IPM_RESULT_ERR_DEADLOCK },
	{ EINTR, IPM_RESULT_INTERRUPTED },
	{ EAGAIN, IPM_RESULT_ERR_WOULD_BLOCK },
	{ ETIMEDOUT, IPM_RESULT_ERR_TIMEOUT },
	{ E2BIG, IPM_RESULT_ERR_VERSION },
	{ EBUSY, IPM_RESULT_ERR_OS_UNEXPECTED },
	{ EOPNOTSUPP, IPM_RESULT_ERR_NOT_SUPPORTED },
	{ ENOSYS, IPM_RESULT_ERR_NOT_SUPPORTED },
	{ EIO, IPM_RESULT_ERR_OS_UNEXPECTED },
	{ 4000, IPM_RESULT_ERR_OS_UNEXPECTED },
};

/* Claims: what the errno says is about the claim. */
#define CLAIM_MAPPINGS						\
	{ ENOENT, IPM_RESULT_ERR_INVALID_CLAIM },		\
	{ EIDRM, IPM_RESULT_ERR_INVALID_CLAIM },		\
	{ EFBIG, IPM_RESULT_ERR_BAD_VALUE },			\
	{ EBUSY, IPM_RESULT_ERR_ALREADY_LOCKED }

#define SLOT_MAPPINGS						\
	{ EBUSY, IPM_RESULT_ERR_ALREADY_LOCKED },		\
	{ ENOTTY, IPM_RESULT_ERR_VERSION }

static const struct {
	const char *name;
	ipm_result (*call)(void);
	unsigned long command;
	struct mapping special[6];
} calls[] = {
	{ "create", do_create, IPM_IOC_CREATE, { { ENOTTY, IPM_RESULT_ERR_VERSION } } },
	{ "create_any", do_create_any, IPM_IOC_CREATE, {
		{ ENOTTY, IPM_RESULT_ERR_VERSION }, { EINVAL, IPM_RESULT_ERR_BAD_SIZE } } },
	{ "open", do_open, IPM_IOC_OPEN, { { ENOTTY, IPM_RESULT_ERR_VERSION } } },
	{ "derive", do_derive, IPM_IOC_REOPEN, {
		{ EACCES, IPM_RESULT_ERR_BAD_ACCESS }, { EINVAL, IPM_RESULT_ERR_INVALID_FD } } },
	{ "adopt", do_adopt, IPM_IOC_INFO, {
		{ EACCES, IPM_RESULT_ERR_BAD_ACCESS }, { EINVAL, IPM_RESULT_ERR_INVALID_FD } } },
	{ "remove", do_remove, IPM_IOC_REMOVE, { { 0 } } },
	{ "details", do_details, IPM_IOC_INFO, { { 0 } } },
	{ "limits", do_limits, IPM_IOC_LIMITS, { { ENOTTY, IPM_RESULT_ERR_VERSION } } },
	{ "version", do_version, IPM_IOC_VERSION, { { ENOTTY, IPM_RESULT_ERR_VERSION } } },
	{ "link", do_link, IPM_IOC_LINK, { { 0 } } },
	{ "set", do_set, IPM_IOC_SET, { { 0 } } },
	{ "grow", do_grow, IPM_IOC_GROW, { { EINVAL, IPM_RESULT_ERR_BAD_SIZE } } },
	{ "claim", do_claim, IPM_IOC_CLAIM, { CLAIM_MAPPINGS } },
	{ "claim_until_removed", do_claim_until_removed, IPM_IOC_CLAIM, { CLAIM_MAPPINGS } },
	{ "convert", do_convert, IPM_IOC_CONVERT, { CLAIM_MAPPINGS } },
	{ "release", do_release, IPM_IOC_RELEASE, { CLAIM_MAPPINGS } },
	{ "release_all", do_release_all, IPM_IOC_RELEASE_ALL, { CLAIM_MAPPINGS } },
	{ "clear", do_clear, IPM_IOC_CLEAR_CLAIMS, { CLAIM_MAPPINGS } },
	{ "collect", do_collect, IPM_IOC_COLLECT, { CLAIM_MAPPINGS } },
	{ "doubt", do_doubt, IPM_IOC_DOUBT, { CLAIM_MAPPINGS } },
	{ "recovered", do_recovered, IPM_IOC_RECOVERED, {
		CLAIM_MAPPINGS, { EACCES, IPM_RESULT_ERR_NOT_LOCKED } } },
	{ "read", do_read, IPM_IOC_CLAIM, { CLAIM_MAPPINGS } },
	{ "write", do_write, IPM_IOC_CLAIM, { CLAIM_MAPPINGS } },
	{ "slot", do_slot, IPM_IOC_SLOT, {
		SLOT_MAPPINGS, { ENOENT, IPM_RESULT_ERR_OS_UNEXPECTED } } },
	{ "slot_give", do_slot_give, IPM_IOC_SLOT, {
		SLOT_MAPPINGS, { ENOENT, IPM_RESULT_ERR_NOT_LOCKED } } },
	{ "reap", do_reap, IPM_IOC_REAP, { SLOT_MAPPINGS } },
	{ "bell", do_bell, IPM_IOC_RING, { SLOT_MAPPINGS } },
	{ "subscribe", do_subscribe, IPM_IOC_SUBSCRIBE, {
		SLOT_MAPPINGS, { ENOENT, IPM_RESULT_ERR_OS_UNEXPECTED } } },
	{ "read's release", do_read, IPM_IOC_RELEASE, { CLAIM_MAPPINGS } },
};

static void setup(void)
{
	fake_context_init(&c);
	CHECK_RESULT(ipm_memory_create(&c.ctx, 10, "errors", RW, &m), IPM_RESULT_SUCCESS);
	out = NULL;
	id = 4711;
}

static void teardown(void)
{
	ipm_memory_close(m);
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

static bool is_answer(ipm_result result)
{
	return result == IPM_RESULT_ERR_WOULD_BLOCK || result == IPM_RESULT_ERR_TIMEOUT ||
	       result == IPM_RESULT_INTERRUPTED;
}

static void every_errno_of_every_call(void)
{
	size_t i, j, k;
	ipm_result wanted;
	char text[20];

	setup();
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (j = 0; j < sizeof(usual) / sizeof(usual[0]); j++) {
			wanted = usual[j].result;
			for (k = 0; k < 6; k++) {
				if (calls[i].special[k].err == usual[j].err)
					wanted = calls[i].special[k].result;
			}
			c.reports = 0;
			c.message[0] = 0;
			fake_fail_ioctl(calls[i].command, usual[j].err);
			if (!CHECK_RESULT(calls[i].call(), wanted))
				printf("# %s with errno %d\n", calls[i].name, usual[j].err);
			CHECK_INT(c.reports, is_answer(wanted) ? 0 : 1);
			snprintf(text, sizeof(text), "errno %d)", usual[j].err);
			CHECK(is_answer(wanted) || strstr(c.message, text));
			CHECK(!out && id == 4711);
			CHECK_INT(c.live, 1);
			CHECK_INT(ipm_memory_ref_count(m), 1);
			CHECK_INT(ipm_memory_size(m), 10);
			/* What could not be released is ended by the test. */
			ipm_memory_release_all(m);
		}
	}
	teardown();
}

static void a_removed_segment_ends_the_wait_of_who_wants_that(void)
{
	setup();
	fake_remove(ipm_memory_get_id(m));
	fake_fail_ioctl(IPM_IOC_CLAIM, EIDRM);
	CHECK_RESULT(do_claim_until_removed(), IPM_RESULT_ERR_REMOVED);
	CHECK_RESULT(do_claim(), IPM_RESULT_SUCCESS);
	teardown();
}

static void every_errno_of_opening_the_device(void)
{
	static const struct mapping cases[] = {
		{ ENOENT, IPM_RESULT_ERR_NO_DEVICE },
		{ ENXIO, IPM_RESULT_ERR_NO_DEVICE },
		{ ENODEV, IPM_RESULT_ERR_NO_DEVICE },
		{ ENOTDIR, IPM_RESULT_ERR_NO_DEVICE },
		{ EACCES, IPM_RESULT_ERR_ACCESS },
		{ EPERM, IPM_RESULT_ERR_ACCESS },
		{ EMFILE, IPM_RESULT_ERR_MAX_FDS },
		{ ENFILE, IPM_RESULT_ERR_MAX_FDS_SYS },
		{ ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ EINTR, IPM_RESULT_INTERRUPTED },
		{ EIO, IPM_RESULT_ERR_OS_UNEXPECTED },
	};
	static ipm_result (*const openers[])(void) = {
		do_create, do_open, do_remove, do_details, do_limits, do_version,
	};
	size_t i, j;

	setup();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (j = 0; j < sizeof(openers) / sizeof(openers[0]); j++) {
			fake_fail(FAKE_OPEN, 1, cases[i].err);
			c.message[0] = 0;
			CHECK_RESULT(openers[j](), cases[i].result);
			CHECK(!out);
			if (cases[i].result == IPM_RESULT_ERR_NO_DEVICE)
				CHECK(strstr(c.message, "/dev/ipm is missing: modprobe ipm"));
			if (cases[i].result == IPM_RESULT_ERR_ACCESS)
				CHECK(strstr(c.message, "ls -l /dev/ipm"));
		}
	}
	teardown();
}

static void every_errno_of_mapping(void)
{
	static const struct mapping cases[] = {
		{ ENOMEM, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ EAGAIN, IPM_RESULT_ERR_OS_OUT_OF_MEMORY },
		{ EACCES, IPM_RESULT_ERR_BAD_ACCESS },
		{ EBADF, IPM_RESULT_ERR_INVALID_FD },
		{ EINVAL, IPM_RESULT_ERR_BAD_FS },
		{ ENODEV, IPM_RESULT_ERR_BAD_FS },
		{ EPERM, IPM_RESULT_ERR_BAD_FS },
		{ EIO, IPM_RESULT_ERR_OS_UNEXPECTED },
	};
	static ipm_result (*const mappers[])(void) = {
		do_create, do_create_any, do_open, do_derive, do_adopt,
	};
	size_t i, j;

	setup();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (j = 0; j < sizeof(mappers) / sizeof(mappers[0]); j++) {
			/* Too little room for all: then the size would be enough. */
			if (cases[i].result == IPM_RESULT_ERR_OS_OUT_OF_MEMORY)
				fake_limit_map(1);
			else
				fake_fail(FAKE_MMAP, 1, cases[i].err);
			CHECK_RESULT(mappers[j](), cases[i].result);
			fake_limit_map(0);
			CHECK(!out);
			CHECK_INT(c.live, 1);
			CHECK_INT(ipm_memory_ref_count(m), 1);
		}
	}
	teardown();
}

/* Without the status page everything works, at the price of a system call. */
static void a_status_page_that_cannot_be_mapped(void)
{
	ipm_memory_status status = { .struct_size = sizeof(status) };
	ipm_memory *other;
	char byte;

	setup();
	CHECK_RESULT(ipm_memory_open(&c.ctx, "errors", RW, &other), IPM_RESULT_SUCCESS);
#define WITHOUT_PAGE(check)				\
	do {						\
		fake_fail(FAKE_MMAP_STATUS, 1, ENOMEM);	\
		check;					\
	} while (0)
	WITHOUT_PAGE(CHECK_INT(ipm_memory_size(m), 10));
	WITHOUT_PAGE(CHECK_INT(ipm_memory_ref_count(m), 2));
	WITHOUT_PAGE(CHECK(!ipm_memory_is_removed(m)));
	WITHOUT_PAGE(CHECK_INT(ipm_memory_get_info(m).block_size, 10));
	WITHOUT_PAGE(CHECK_INT(ipm_memory_deaths(m), 0));
	WITHOUT_PAGE(CHECK_RESULT(ipm_memory_get_status(m, &status),
				  IPM_RESULT_ERR_OS_OUT_OF_MEMORY));
	CHECK_RESULT(ipm_memory_resize_grow(other, 5000), IPM_RESULT_SUCCESS);
	WITHOUT_PAGE(CHECK_RESULT(ipm_memory_read(m, 4999, &byte, 1), IPM_RESULT_SUCCESS));
	WITHOUT_PAGE(CHECK_INT(ipm_memory_size(m), 5000));
	CHECK_RESULT(do_claim(), IPM_RESULT_SUCCESS);
	WITHOUT_PAGE(CHECK_RESULT(ipm_memory_change_access(m, RO),
				  IPM_RESULT_ERR_ALREADY_LOCKED));
	CHECK_RESULT(ipm_memory_release_all(m), IPM_RESULT_SUCCESS);
	fake_remove(ipm_memory_get_id(m));
	WITHOUT_PAGE(CHECK(ipm_memory_is_removed(m)));
#undef WITHOUT_PAGE
	ipm_memory_close(other);
	teardown();
}

static void an_allocator_that_fails(void)
{
	static ipm_result (*const makers[])(void) = {
		do_create, do_create_any, do_open, do_derive, do_adopt,
	};
	static const unsigned char byte = 0xE9;
	unsigned int allocations;
	size_t i;

	setup();
	CHECK_RESULT(ipm_memory_open(&c.ctx, "errors", RW, &out), IPM_RESULT_SUCCESS);
	ipm_memory_close(out);
	out = NULL;
	allocations = c.allocations;
	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		/* The handle's own copy of the context is the one that counts. */
		c.fail_at = c.allocations + 1;
		CHECK_RESULT(makers[i](), IPM_RESULT_ERR_OUT_OF_MEMORY);
		CHECK(!out);
		CHECK_INT(c.live, 1);
		CHECK_INT(ipm_memory_ref_count(m), 1);
	}
	c.fail_at = c.allocations + 1;
	fake_message(&byte, 1, 1, 0);
	CHECK_RESULT(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &out),
		     IPM_RESULT_ERR_OUT_OF_MEMORY);
	/* One allocation makes a handle: there is no second that could fail. */
	CHECK_INT(c.allocations, allocations + i + 1);
	teardown();
}

static void a_context_needs_both_or_none(void)
{
	ipm_memory_limits l = { .struct_size = sizeof(l) };
	ipm_module_info i = { .struct_size = sizeof(i) };
	ipm_memory_details d = { .struct_size = sizeof(d) };
	ipm_memory *got = NULL;
	ipm_context half;

	setup();
	half = c.ctx;
	half.free_callback = NULL;
	fake_calls();
	CHECK_RESULT(ipm_memory_create(&half, 1, "h", RW, &got), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_open(&half, "errors", RW, &got), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_from_fd(&half, 1, RW, &got), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_receive(&half, FAKE_SOCKET, RW, &got), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_remove(&half, ipm_ref_name("errors")), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_get_details(&half, ipm_ref_memory(m), &d),
		     IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_memory_get_limits(&half, &l), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_RESULT(ipm_module_get_info(&half, &i), IPM_RESULT_ERR_BAD_VALUE);
	half = c.ctx;
	half.alloc_callback = NULL;
	CHECK_RESULT(ipm_memory_create(&half, 1, "h", RW, &got), IPM_RESULT_ERR_BAD_VALUE);
	CHECK_INT(c.reports, 9);
	CHECK_INT(fake_calls(), 0);

	/* No callbacks at all are fine. */
	memset(&half, 0, sizeof(half));
	CHECK_RESULT(ipm_memory_open(&half, "errors", RW, &got), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_resize_grow(got, 1), IPM_RESULT_ERR_BAD_SIZE);
	ipm_memory_close(got);
	CHECK_RESULT(ipm_memory_open(NULL, "errors", RW, &got), IPM_RESULT_SUCCESS);
	ipm_memory_close(got);
	teardown();
}

static void null_for_a_handle(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 1 };
	ipm_memory_settings s = { .struct_size = sizeof(s) };
	ipm_memory_status st = { .struct_size = sizeof(st) };
	ipm_memory_details d = { .struct_size = sizeof(d) };
	struct ipm_ring_liveness live;
	ipm_memory_slot_status state;
	ipm_memory_event e;
	ipm_memory *got;
	uint32_t word;
	size_t count;
	char byte = 0;

	fake_context_init(&c);
	fake_calls();
#define NULL_IS_BAD(call) CHECK_RESULT(call, IPM_RESULT_ERR_BAD_VALUE)
	NULL_IS_BAD(ipm_memory_sync(NULL));
	NULL_IS_BAD(ipm_memory_resize_grow(NULL, 10));
	NULL_IS_BAD(ipm_memory_grow(NULL, 10, 0));
	NULL_IS_BAD(ipm_memory_change_access(NULL, RO));
	NULL_IS_BAD(ipm_memory_claim_region(NULL, RO, 0, 1, &id));
	NULL_IS_BAD(ipm_memory_claim_region_try(NULL, RO, 0, 1, &id));
	NULL_IS_BAD(ipm_memory_claim_region_until(NULL, RO, 0, 1, 0, &id));
	NULL_IS_BAD(ipm_memory_claim(NULL, &o, &id, NULL));
	NULL_IS_BAD(ipm_memory_convert(NULL, 1, RO, 0, 0, NULL));
	NULL_IS_BAD(ipm_memory_collect(NULL, 1, NULL));
	NULL_IS_BAD(ipm_memory_read_events(NULL, &e, 1, 0, &count));
	NULL_IS_BAD(ipm_memory_release_region(NULL, 1));
	NULL_IS_BAD(ipm_memory_release_all(NULL));
	NULL_IS_BAD(ipm_memory_remove_all_active_claims(NULL));
	NULL_IS_BAD(ipm_memory_list_doubts(NULL, 0, 0, NULL, 0, &count));
	NULL_IS_BAD(ipm_memory_recovered(NULL, 0, 1));
	NULL_IS_BAD(ipm_memory_read(NULL, 0, &byte, 1));
	NULL_IS_BAD(ipm_memory_write(NULL, 0, &byte, 1));
	NULL_IS_BAD(ipm_memory_read_until(NULL, 0, &byte, 1, 0));
	NULL_IS_BAD(ipm_memory_write_until(NULL, 0, &byte, 1, 0));
	NULL_IS_BAD(ipm_memory_link(NULL, ipm_ref_key(1)));
	NULL_IS_BAD(ipm_memory_set(NULL, &s));
	NULL_IS_BAD(ipm_memory_get_status(NULL, &st));
	NULL_IS_BAD(ipm_memory_slot(NULL, &word, &word));
	NULL_IS_BAD(ipm_memory_slot_give(NULL));
	NULL_IS_BAD(ipm_memory_slot_state(NULL, 0, &state, NULL));
	NULL_IS_BAD(ipm_memory_reap(NULL, 0, 1));
	NULL_IS_BAD(ipm_memory_liveness(NULL, &live));
	NULL_IS_BAD(ipm_memory_ring_bell(NULL, 1, 0));
	NULL_IS_BAD(ipm_memory_subscribe(NULL, 0, 0));
	NULL_IS_BAD(ipm_memory_derive(NULL, RO, &got));
	NULL_IS_BAD(ipm_memory_send(NULL, FAKE_SOCKET, RO));
	NULL_IS_BAD(ipm_memory_get_details(&c.ctx, ipm_ref_memory(NULL), &d));
	NULL_IS_BAD(ipm_memory_remove(&c.ctx, ipm_ref_memory(NULL)));
	/* And for a place to put the result. */
	NULL_IS_BAD(ipm_memory_create(&c.ctx, 1, "x", RW, NULL));
	NULL_IS_BAD(ipm_memory_open(&c.ctx, "x", RW, NULL));
	NULL_IS_BAD(ipm_memory_from_fd(&c.ctx, 1, RW, NULL));
	NULL_IS_BAD(ipm_memory_create_ex(&c.ctx, NULL, &got));
	NULL_IS_BAD(ipm_memory_open_ex(&c.ctx, NULL, &got));
	NULL_IS_BAD(ipm_memory_get_details(&c.ctx, ipm_ref_name("x"), NULL));
	NULL_IS_BAD(ipm_memory_get_limits(&c.ctx, NULL));
	NULL_IS_BAD(ipm_module_get_info(&c.ctx, NULL));
#undef NULL_IS_BAD
	CHECK_INT(c.reports, 10);
	CHECK_INT(fake_calls(), 0);
}

static void wrong_values_for_create_and_open(void)
{
	const ipm_memory_create_options good = { .struct_size = sizeof(good), .size = 1,
						 .access = RW };
	const ipm_memory_open_options fine = { .struct_size = sizeof(fine) };
	ipm_memory_create_options o;
	ipm_memory_open_options p;
	ipm_memory *got = NULL;

	fake_context_init(&c);
	fake_calls();
#define BAD(wanted, ...)						\
	do {								\
		o = good;						\
		__VA_ARGS__;						\
		CHECK_RESULT(ipm_memory_create_ex(&c.ctx, &o, &got), wanted);	\
	} while (0)
	BAD(IPM_RESULT_ERR_BAD_SIZE, o.size = 0);
	BAD(IPM_RESULT_ERR_BAD_SIZE, o.size = 2; o.capacity = 1);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.mode = 0700);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.mode = 01000);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.access = (ipm_access_mode)2);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.access = (ipm_access_mode)-1);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.flags = IPM_MEMORY_OPEN_REMOVED);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.flags = IPM_MEMORY_ADOPT_FD);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.flags = 1u << 31);
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.ref = ipm_ref_id(1));
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.ref = ipm_ref_fd(1));
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.ref = ipm_ref_memory(NULL));
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.ref = ipm_ref_key(0));
	BAD(IPM_RESULT_ERR_BAD_VALUE, o.ref.by = (ipm_memory_by)-1);
#undef BAD
#define BAD(...)							\
	do {								\
		p = fine;						\
		p.ref = ipm_ref_name("x");				\
		__VA_ARGS__;						\
		CHECK_RESULT(ipm_memory_open_ex(&c.ctx, &p, &got),	\
			     IPM_RESULT_ERR_BAD_VALUE);			\
	} while (0)
	BAD(p.access = (ipm_access_mode)2);
	BAD(p.flags = IPM_MEMORY_EXCLUSIVE);
	BAD(p.flags = IPM_MEMORY_PERSISTENT);
	BAD(p.flags = 1u << 31);
	BAD(p.flags = IPM_MEMORY_MAP_AT);
#undef BAD
	CHECK_INT(c.reports, 19);
	CHECK_INT(fake_calls(), 0);
	CHECK(!got);
	/* Too large even for the default capacity: the kernel says so. */
	CHECK_RESULT(ipm_memory_create(&c.ctx, SIZE_MAX, "x", RW, &got), IPM_RESULT_ERR_BAD_SIZE);
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

int main(void)
{
	RUN(every_errno_of_every_call);
	RUN(a_removed_segment_ends_the_wait_of_who_wants_that);
	RUN(every_errno_of_opening_the_device);
	RUN(every_errno_of_mapping);
	RUN(a_status_page_that_cannot_be_mapped);
	RUN(an_allocator_that_fails);
	RUN(a_context_needs_both_or_none);
	RUN(null_for_a_handle);
	RUN(wrong_values_for_create_and_open);
	return tap_end();
}
