// SPDX-License-Identifier: GPL-2.0
/*
 * A library and a module that are not of the same age: what both know works, what
 * only one of them knows is refused with a result that says so, and a program can
 * ask beforehand.
 */
#include <errno.h>
#include <string.h>

#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE

/* The first features that there were. */
#define OLD_FEATURES (IPM_FEATURE_CLAIMS | IPM_FEATURE_CONVERT | IPM_FEATURE_DOUBT)
/* One that there is not, yet. */
#define LATER_FEATURE (1ULL << 63)

static struct fake_context c;

static void version_is(struct ipm_version *version, uint32_t abi, uint64_t features,
		       const char *release)
{
	memset(version, 0, sizeof(*version));
	version->abi = abi;
	version->features = features;
	version->name_size = IPM_NAME_SIZE;
	strcpy(version->release, release);
}

/* A module that was made before slots, doorbells and limits. */
static bool older_module(int fd, unsigned long command, void *argument, int *ret)
{
	(void)fd;
	switch (command) {
	case IPM_IOC_VERSION:
		version_is(argument, 0, OLD_FEATURES, "0.0.9");
		*ret = 0;
		return true;
	case IPM_IOC_LIMITS:
	case IPM_IOC_SLOT:
	case IPM_IOC_REAP:
	case IPM_IOC_RING:
	case IPM_IOC_SUBSCRIBE:
		*ret = -ENOTTY;
		return true;
	default:
		return false;
	}
}

/* One that is yet to be made: it knows more and lies about nothing. */
static bool newer_module(int fd, unsigned long command, void *argument, int *ret)
{
	(void)fd;
	if (command != IPM_IOC_VERSION)
		return false;
	version_is(argument, IPM_ABI_VERSION + 1, ~0ULL, "9.9.9");
	*ret = 0;
	return true;
}

/* What has to work with each module. */
static void share_and_claim(void)
{
	ipm_memory *m, *other;
	char text[8] = "";
	ipm_id id;

	CHECK_RESULT(ipm_memory_create(&c.ctx, 1000, "old", RW, &m), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_open(&c.ctx, "old", RW, &other), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region(m, RW, 0, 10, &id), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_claim_region_try(other, RW, 5, 1, &id),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK_RESULT(ipm_memory_release_all(m), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_write(m, 0, "abc", 4), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_resize_grow(m, 2000), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_read(other, 0, text, 4), IPM_RESULT_SUCCESS);
	CHECK(!strcmp(text, "abc"));
	ipm_memory_close(other);
	ipm_memory_close(m);
}

static void clean(void)
{
	fake_hook = NULL;
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

static void new_library_and_old_module(void)
{
	ipm_module_info info = { .struct_size = sizeof(info) };
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	uint32_t slot, generation;
	ipm_memory *m;

	fake_context_init(&c);
	fake_hook = older_module;
	CHECK_RESULT(ipm_module_get_info(&c.ctx, &info), IPM_RESULT_SUCCESS);
	CHECK_INT(info.abi, 0);
	CHECK_INT(info.features, OLD_FEATURES);
	CHECK(!strcmp(info.release, "0.0.9"));
	share_and_claim();

	/* And the rest is refused. */
	CHECK_RESULT(ipm_memory_get_limits(&c.ctx, &limits), IPM_RESULT_ERR_VERSION);
	CHECK_RESULT(ipm_memory_create(&c.ctx, 1000, "old", RW, &m), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_slot(m, &slot, &generation), IPM_RESULT_ERR_VERSION);
	CHECK_RESULT(ipm_memory_ring_bell(m, 1, 0), IPM_RESULT_ERR_VERSION);
	ipm_memory_close(m);
	clean();
}

static void old_library_and_new_module(void)
{
	ipm_module_info info = { .struct_size = sizeof(info) };

	fake_context_init(&c);
	fake_hook = newer_module;
	CHECK_RESULT(ipm_module_get_info(&c.ctx, &info), IPM_RESULT_SUCCESS);
	CHECK_INT(info.abi, IPM_ABI_VERSION + 1);
	/* Features that this library has no name for come through. */
	CHECK(info.features & LATER_FEATURE);
	CHECK(!strcmp(info.release, "9.9.9"));
	share_and_claim();
	clean();
}

/* A program that was compiled against later headers passes what nobody knows yet. */
static void old_library_and_new_program(void)
{
	struct {
		ipm_module_info info;
		uint64_t later;
	} answer = { .info.struct_size = sizeof(answer), .later = 99 };

	fake_context_init(&c);
	CHECK_RESULT(ipm_module_get_info(&c.ctx, &answer.info), IPM_RESULT_SUCCESS);
	CHECK_INT(answer.info.abi, IPM_ABI_VERSION);
	CHECK_INT(answer.later, 0);
	clean();
}

int main(void)
{
	tap_run("new library, old module", new_library_and_old_module);
	tap_run("old library, new module", old_library_and_new_module);
	tap_run("old library, new program", old_library_and_new_program);
	return tap_end();
}
