// SPDX-License-Identifier: GPL-2.0
/*
 * The SysV view beside the system's own calls, and beside the memory calls of
 * libipm that do the same.
 */
#include <sys/ipc.h>
#include <sys/shm.h>

#include <ipm/ipm.h>

#include "vm_bench.h"

#define BYTES (1UL << 20)
#define KEY 0xbe7c4

static void must_succeed(ipm_result result)
{
	if (result == IPM_RESULT_SUCCESS)
		return;
	fprintf(stderr, "%s\n", ipm_result_to_msg(result));
	exit(2);
}

/* Where it is mapped: with a page table that is there already. */
static char *const place = (char *)0x7e0000100000;

static void prepare_place(void)
{
	char *near = mmap(place - 4096, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (near != place - 4096)
		bench_die("mmap");
	__atomic_store_n(near, 1, __ATOMIC_RELAXED);
}

static void touch(void)
{
	__atomic_store_n(place, 1, __ATOMIC_RELAXED);
}

/* --- attach and detach --- */

static void view_pair(void *arg)
{
	if (ipm_shmat(*(int *)arg, place, 0) != place)
		bench_die("ipm_shmat");
	must(ipm_shmdt(place));
}

static void system_pair(void *arg)
{
	if (shmat(*(int *)arg, place, 0) != place)
		bench_die("shmat");
	must(shmdt(place));
}

static void memory_pair(ipm_memory_ref ref)
{
	ipm_memory_open_options o = {
		.struct_size = sizeof(o),
		.ref = ref,
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.flags = IPM_MEMORY_MAP_AT,
		.address = place,
	};
	ipm_memory *memory;

	must_succeed(ipm_memory_open_ex(NULL, &o, &memory));
	ipm_memory_close(memory);
}

static void memory_id_pair(void *arg)
{
	memory_pair(ipm_ref_id(*(int *)arg));
}

static void memory_key_pair(void *arg)
{
	(void)arg;
	memory_pair(ipm_ref_key(KEY));
}

static void attach(void)
{
	int mine = must(ipm_shmget(KEY, BYTES, IPC_CREAT | 0600));
	int systems = must(shmget(KEY, BYTES, IPC_CREAT | 0600));
	struct bench_case cases[] = {
		{ .name = "ipm_shmat + ipm_shmdt", .run = view_pair, .arg = &mine },
		{ .name = "shmat + shmdt of the kernel", .run = system_pair, .role = REPORT_RIVAL,
		  .arg = &systems },
		{ .name = "ipm_memory_open_ex by number + ipm_memory_close", .run = memory_id_pair,
		  .role = REPORT_VARIANT, .arg = &mine },
		{ .name = "ipm_memory_open_ex by key + ipm_memory_close", .run = memory_key_pair,
		  .role = REPORT_VARIANT },
	};

	section("attach and detach; ratios to the kernel's");
	measure(cases, ARRAY_LENGTH(cases));
	show(cases, ARRAY_LENGTH(cases), 1);
	/*
	 * The calls keep nothing between one another, so the second of the pair opens
	 * the device once more to find what is mapped at an address.
	 */
	target("attach and detach, of opening and closing by key", cases[0].best / cases[3].best,
	       1.25);
	aim("the same, without the second opening of the device", cases[0].best / cases[3].best,
	    1);
	target("attach and detach, of opening and closing by number",
	       cases[0].best / cases[2].best, 1.15);
	must(ipm_shmctl(mine, IPC_RMID, NULL));
	must(shmctl(systems, IPC_RMID, NULL));
}

/* --- from the first call to the last --- */

static void view_life(void *arg)
{
	int id = must(ipm_shmget(KEY, BYTES, IPC_CREAT | IPC_EXCL | 0600));

	(void)arg;
	if (ipm_shmat(id, place, 0) != place)
		bench_die("ipm_shmat");
	touch();
	must(ipm_shmdt(place));
	must(ipm_shmctl(id, IPC_RMID, NULL));
}

static void system_life(void *arg)
{
	int id = must(shmget(KEY, BYTES, IPC_CREAT | IPC_EXCL | 0600));

	(void)arg;
	if (shmat(id, place, 0) != place)
		bench_die("shmat");
	touch();
	must(shmdt(place));
	must(shmctl(id, IPC_RMID, NULL));
}

/* As two processes would: one makes it, one opens it. */
static void memory_life(void *arg)
{
	ipm_memory_create_options create = {
		.struct_size = sizeof(create),
		.ref = ipm_ref_key(KEY),
		.size = BYTES,
		.capacity = BYTES,
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.flags = IPM_MEMORY_EXCLUSIVE | IPM_MEMORY_PERSISTENT | IPM_MEMORY_NO_MAP,
	};
	ipm_memory_open_options open = {
		.struct_size = sizeof(open),
		.ref = ipm_ref_key(KEY),
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.flags = IPM_MEMORY_MAP_AT,
		.address = place,
	};
	ipm_memory *memory;

	(void)arg;
	must_succeed(ipm_memory_create_ex(NULL, &create, &memory));
	ipm_memory_close(memory);
	must_succeed(ipm_memory_open_ex(NULL, &open, &memory));
	touch();
	ipm_memory_close(memory);
	must_succeed(ipm_memory_remove(NULL, ipm_ref_key(KEY)));
}

static void life(void)
{
	/* Long enough that what RCU puts off is done in the round that it is of. */
	struct bench_case cases[] = {
		{ .name = "ipm_shmget, _shmat, touch, _shmdt, IPC_RMID", .run = view_life,
		  .times = 1500 },
		{ .name = "shmget, shmat, touch, shmdt, IPC_RMID of the kernel",
		  .run = system_life, .role = REPORT_RIVAL, .times = 1500 },
		{ .name = "ipm_memory_create_ex, _open_ex, touch, _close, _remove",
		  .run = memory_life, .role = REPORT_VARIANT, .times = 1500 },
	};

	section("1 MiB made, attached, one page touched, given up; ratios to the kernel's");
	measure(cases, ARRAY_LENGTH(cases));
	show(cases, ARRAY_LENGTH(cases), 1);
	target("a whole life by shm calls, of one by memory calls", cases[0].best / cases[2].best,
	       1.1);
}

int main(int argc, char **argv)
{
	static const struct bench_part parts[] = {
		{ "attach", attach },
		{ "life", life },
	};

	bench_begin(argc, argv);
	prepare_place();
	bench_run(parts, ARRAY_LENGTH(parts));
	return bench_end();
}
