// SPDX-License-Identifier: GPL-2.0
/*
 * What libipm adds to the bare calls: claims and segments through it, beside
 * the same rivals.
 */
#include <ipm/ipm.h>

#include "vm_bench.h"

#define BYTES (1UL << 20)

static void must_succeed(ipm_result result)
{
	if (result == IPM_RESULT_SUCCESS)
		return;
	fprintf(stderr, "%s\n", ipm_result_to_msg(result));
	exit(2);
}

static void library_pair(void *arg)
{
	ipm_id id;

	must_succeed(ipm_memory_claim_region(arg, IPM_ACCESS_MODE_READ_WRITE, 64, 64, &id));
	must_succeed(ipm_memory_release_region(arg, id));
}

static void bare_pair(void *arg)
{
	int fd = *(int *)arg;

	release_claim(fd, claim_bytes(fd, 64, 64, IPM_CLAIM_WRITE, 0));
}

static void ofd_pair(void *arg)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 64, .l_len = 64 };
	int fd = *(int *)arg;

	must(fcntl(fd, F_OFD_SETLK, &lock));
	lock.l_type = F_UNLCK;
	must(fcntl(fd, F_OFD_SETLK, &lock));
}

static void library_value(void *arg)
{
	char value[64] = { 0 };

	must_succeed(ipm_memory_write(arg, 64, value, sizeof(value)));
	must_succeed(ipm_memory_read(arg, 64, value, sizeof(value)));
}

static void claims(void)
{
	int segment = create_segment(open_device(), BYTES);
	int file = must(memfd_create("bench", MFD_CLOEXEC));
	ipm_memory *memory;
	struct bench_case cases[4] = {
		{ .name = "ipm_memory_claim_region + _release_region", .run = library_pair },
		{ .name = "bare ioctls", .run = bare_pair, .role = REPORT_LIMIT, .arg = &segment },
		{ .name = "F_OFD_SETLK lock + unlock", .run = ofd_pair, .role = REPORT_RIVAL,
		  .arg = &file },
		{ .name = "ipm_memory_write + ipm_memory_read of 64 bytes", .run = library_value,
		  .role = REPORT_VARIANT },
	};

	section("claim and release");
	must_succeed(ipm_memory_create(NULL, BYTES, "bench", IPM_ACCESS_MODE_READ_WRITE, &memory));
	cases[0].arg = memory;
	cases[3].arg = memory;
	measure(cases, ARRAY_LENGTH(cases));
	show(cases, ARRAY_LENGTH(cases), 2);
	ipm_memory_close(memory);
	close(segment);
	close(file);
	target("claim pair through libipm, of F_OFD_SETLK pair", cases[0].best / cases[2].best,
	       kernel_is("6.1") ? 0.6 : 0.8);
}

static void library_life(void *arg)
{
	ipm_memory *memory;

	must_succeed(ipm_memory_create(NULL, BYTES, arg, IPM_ACCESS_MODE_READ_WRITE, &memory));
	__atomic_store_n((char *)ipm_memory_pointer(memory), 1, __ATOMIC_RELAXED);
	ipm_memory_close(memory);
}

static void memfd_life(void *arg)
{
	int fd = must(memfd_create(arg, MFD_CLOEXEC));
	char *map;

	must(ftruncate(fd, BYTES));
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		bench_die("mmap");
	__atomic_store_n(map, 1, __ATOMIC_RELAXED);
	must(munmap(map, BYTES));
	close(fd);
}

static void segments(void)
{
	/* Long enough that what RCU puts off is done in the round that it is of. */
	struct bench_case cases[] = {
		{ .name = "ipm_memory_create, touch, ipm_memory_close", .run = library_life,
		  .arg = "bench", .times = 1500 },
		{ .name = "memfd_create, ftruncate, mmap, touch, munmap, close", .run = memfd_life,
		  .role = REPORT_RIVAL, .arg = "bench", .times = 1500 },
	};

	section("1 MiB made, mapped, one page touched, given up");
	measure(cases, ARRAY_LENGTH(cases));
	show(cases, ARRAY_LENGTH(cases), 1);
}

int main(int argc, char **argv)
{
	static const struct bench_part parts[] = {
		{ "claims", claims },
		{ "segments", segments },
	};

	bench_begin(argc, argv);
	bench_run(parts, ARRAY_LENGTH(parts));
	return bench_end();
}
