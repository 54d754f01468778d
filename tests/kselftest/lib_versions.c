// SPDX-License-Identifier: GPL-2.0
/*
 * libipm and a module of another age, on the real module: its answers go through
 * ioctl() below, which leaves out what an older one would not know, or adds what a
 * newer one might. The unit test memory_versions does the same without a module.
 */
#include "lib_test.h"

#include <ipm/ipm.h>

#define RW	IPM_ACCESS_MODE_READ_WRITE
#define NAME	"test-versions"

/* The first features that there were, and one that there is not, yet. */
#define OLD_FEATURES	(IPM_FEATURE_CLAIMS | IPM_FEATURE_CONVERT | IPM_FEATURE_DOUBT)
#define LATER_FEATURE	(1ULL << 63)

static enum { AS_IT_IS, OLDER, NEWER } module_is;

/* In place of the C library's, for libipm as well. */
int ioctl(int fd, unsigned long request, ...)
{
	struct ipm_version *version;
	va_list arguments;
	void *argument;
	int ret;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (module_is == OLDER) {
		switch (request) {
		case IPM_IOC_LIMITS:
		case IPM_IOC_SLOT:
		case IPM_IOC_REAP:
		case IPM_IOC_RING:
		case IPM_IOC_SUBSCRIBE:
			/* Nor does the kernel know this number. */
			request = _IOC(_IOC_READ, IPM_IOC_MAGIC, 255, 8);
		}
	}
	ret = syscall(SYS_ioctl, fd, request, argument);
	if (ret || request != IPM_IOC_VERSION || module_is == AS_IT_IS)
		return ret;
	version = argument;
	if (module_is == OLDER) {
		version->abi = 0;
		version->features &= OLD_FEATURES;
		strcpy(version->release, "0.0.9");
	} else {
		version->abi++;
		version->features |= LATER_FEATURE;
		strcpy(version->release, "9.9.9");
	}
	return 0;
}

FIXTURE(versions)
{
	struct counts before;
	ipm_memory *memory;
	ipm_memory *other;
	ipm_module_info info;
};

FIXTURE_SETUP(versions)
{
	self->before = read_counts();
	self->info.struct_size = sizeof(self->info);
}

/* Whatever the module's age: memory is shared, claimed, doubted, and grows. */
FIXTURE_TEARDOWN(versions)
{
	ipm_memory_claim_options options = {
		.struct_size = sizeof(options), .length = 10, .access = RW,
		.deadline = IPM_DEADLINE_NONE,
	};
	ipm_id id, refused;
	char text[4] = "";
	uint32_t grant;
	int status;

	ASSERT_OK(ipm_memory_create(NULL, 4096, NAME, RW, &self->memory));
	ASSERT_OK(ipm_memory_open(NULL, NAME, RW, &self->other));
	ASSERT_OK(ipm_memory_claim_region(self->memory, RW, 0, 10, &id));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
		      ipm_memory_claim_region_try(self->other, RW, 5, 1, &refused));
	ASSERT_OK(ipm_memory_release_region(self->memory, id));
	ASSERT_OK(ipm_memory_write(self->memory, 0, "abc", 4));
	ASSERT_OK(ipm_memory_resize_grow(self->memory, 8192));
	ASSERT_OK(ipm_memory_read(self->other, 0, text, 4));
	ASSERT_STREQ("abc", text);
	status = IN_CHILD({
		ipm_memory *mine;

		CHECK(IPM_RESULT_SUCCESS, ipm_memory_open(NULL, NAME, RW, &mine));
		CHECK(IPM_RESULT_SUCCESS, ipm_memory_claim_region(mine, RW, 0, 10, &id));
	});
	ASSERT_EQ(0, status);
	ASSERT_OK(ipm_memory_claim(self->memory, &options, &id, &grant));
	ASSERT_EQ((uint32_t)IPM_MEMORY_GRANT_IN_DOUBT, grant & IPM_MEMORY_GRANT_IN_DOUBT);
	ASSERT_OK(ipm_memory_recovered(self->memory, 0, 10));
	ASSERT_OK(ipm_memory_release_region(self->memory, id));
	ipm_memory_close(self->other);
	ipm_memory_close(self->memory);
	EXPECT_COUNTS_SOON(self->before);
}

TEST_F(versions, of_the_same_age)
{
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };

	ASSERT_OK(ipm_module_get_info(NULL, &self->info));
	ASSERT_EQ((uint32_t)IPM_ABI_VERSION, self->info.abi);
	ASSERT_EQ(OLD_FEATURES, self->info.features & OLD_FEATURES);
	ASSERT_OK(ipm_memory_get_limits(NULL, &limits));
}

TEST_F(versions, new_library_and_old_module)
{
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	uint32_t slot, generation;
	ipm_memory *memory;

	module_is = OLDER;
	ASSERT_OK(ipm_module_get_info(NULL, &self->info));
	ASSERT_EQ(0, self->info.abi);
	ASSERT_EQ(OLD_FEATURES, self->info.features);
	ASSERT_STREQ("0.0.9", self->info.release);
	/* What it does not know is refused, each time. */
	ASSERT_RESULT(IPM_RESULT_ERR_VERSION, ipm_memory_get_limits(NULL, &limits));
	ASSERT_OK(ipm_memory_create(NULL, 65536, NAME "-2", RW, &memory));
	for (int i = 0; i < 2; i++) {
		ASSERT_RESULT(IPM_RESULT_ERR_VERSION,
			      ipm_memory_slot(memory, &slot, &generation));
		ASSERT_RESULT(IPM_RESULT_ERR_VERSION, ipm_memory_ring_bell(memory, 1, 0));
	}
	ipm_memory_close(memory);
}

/* A channel needs slots and doorbells: whoever attaches is told so, and the memory stays usable. */
TEST_F(versions, channel_and_old_module)
{
	ipm_channel_options shape = {
		.struct_size = sizeof(shape),
		.ring = { .struct_size = sizeof(shape.ring), .kind = IPM_RING_KIND_SPSC },
		.read_bell = 1, .write_bell = 2,
	};
	ipm_channel_attach_options attach = {
		.struct_size = sizeof(attach), .roles = IPM_RING_PRODUCER,
	};
	ipm_channel *channel;
	ipm_memory *memory;

	module_is = OLDER;
	ASSERT_OK(ipm_memory_create(NULL, 65536, NAME "-2", RW, &memory));
	ASSERT_OK(ipm_channel_create(&shape, ipm_memory_pointer(memory), 65536));
	ASSERT_RESULT(IPM_RESULT_ERR_VERSION,
		      ipm_channel_attach_memory(NULL, &attach, memory, 0, 65536, &channel));
	module_is = AS_IT_IS;
	ASSERT_OK(ipm_channel_attach_memory(NULL, &attach, memory, 0, 65536, &channel));
	ipm_channel_detach(channel);
	ipm_memory_close(memory);
	module_is = OLDER;
}

TEST_F(versions, old_library_and_new_module)
{
	module_is = NEWER;
	ASSERT_OK(ipm_module_get_info(NULL, &self->info));
	ASSERT_EQ((uint32_t)IPM_ABI_VERSION + 1, self->info.abi);
	/* Features that the library has no name for come through. */
	ASSERT_EQ(LATER_FEATURE, self->info.features & LATER_FEATURE);
	ASSERT_STREQ("9.9.9", self->info.release);
}

TEST_HARNESS_MAIN
