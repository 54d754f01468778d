// SPDX-License-Identifier: GPL-2.0
/*
 * What segments cost, beside memfd_create(), shm_open() and shmget(): made, mapped,
 * touched and given up; found by name among up to 100,000; and how much kernel
 * memory they take.
 */
#include <sys/ipc.h>
#include <sys/shm.h>

#include "vm_bench.h"

#define BYTES (1UL << 20)

static int device;

/* --- made, mapped, touched, given up --- */

/*
 * Where it is mapped. A page nearby is in use, so that no page table has to be
 * made: otherwise that depended on the addresses that this process happens to
 * get.
 */
static char *const place = (char *)0x7e0000100000;

static void prepare_place(void)
{
	char *near = mmap(place - 4096, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (near != place - 4096)
		bench_die("mmap");
	__atomic_store_n(near, 1, __ATOMIC_RELAXED);
}

/* Instructions that each part took, all turns of a round together. */
enum part { CREATE, MAP, TOUCH, UNMAP, CLOSE, PARTS };

static const char *const part_names[PARTS] = { "create", "map", "touch", "unmap", "close" };

struct life {
	const char *name;
	enum report_role role;
	int (*create)(void);
	void (*remove)(void);	/* the name, NULL if it has none */
	double parts[PARTS];	/* of the best round */
	double whole;
};

static int create_private(void)
{
	struct ipm_create create = {
		.size = BYTES,
		.access = IPM_READ_WRITE,
		.mode = 0600,
	};

	return must(ioctl(device, IPM_IOC_CREATE, &create));
}

static int create_named(void)
{
	struct ipm_create create = {
		.ref = { .by = IPM_BY_NAME, .name = "bench" },
		.size = BYTES,
		.flags = IPM_CREATE_EXCLUSIVE,
		.access = IPM_READ_WRITE,
		.mode = 0600,
	};

	return must(ioctl(device, IPM_IOC_CREATE, &create));
}

static int create_memfd(void)
{
	int fd = must(memfd_create("bench", MFD_CLOEXEC));

	must(ftruncate(fd, BYTES));
	return fd;
}

static int create_shm(void)
{
	int fd = must(shm_open("/bench", O_RDWR | O_CREAT | O_EXCL, 0600));

	must(ftruncate(fd, BYTES));
	return fd;
}

static void unlink_shm(void)
{
	must(shm_unlink("/bench"));
}

static int shm_id;

/* The number takes the place of a file; what is mapped is attached. */
static int create_sysv(void)
{
	shm_id = must(shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600));
	return -1;
}

static void remove_sysv(void)
{
	must(shmctl(shm_id, IPC_RMID, NULL));
}

static char *map_life(int fd)
{
	if (fd < 0)
		return shmat(shm_id, place, 0);
	return mmap(place, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void unmap_life(int fd)
{
	if (fd < 0)
		must(shmdt(place));
	else
		must(munmap(place, BYTES));
}

static void live(const struct life *life, uint64_t *parts)
{
	uint64_t time[PARTS + 1];
	int fd, i;
	char *map;

	time[CREATE] = instructions();
	fd = life->create();
	time[MAP] = instructions();
	map = map_life(fd);
	if (map != place)
		bench_die("mmap");
	time[TOUCH] = instructions();
	/* Atomic, so that it is not left out; nobody else looks. */
	__atomic_store_n(map, 1, __ATOMIC_RELAXED);
	time[UNMAP] = instructions();
	unmap_life(fd);
	time[CLOSE] = instructions();
	if (fd >= 0)
		close(fd);
	if (life->remove)
		life->remove();
	time[PARTS] = instructions();
	for (i = 0; i < PARTS; i++)
		parts[i] += time[i + 1] - time[i];
}

/* Long enough that what RCU puts off is done in the round that it is of. */
#define TURNS 1500

static void live_round(struct life *life)
{
	uint64_t parts[PARTS] = { 0 }, begin;
	double whole;
	int i;

	/* What the one before has put off is not ours. */
	must(usleep(200000));
	begin = instructions();
	for (i = 0; i < TURNS; i++)
		live(life, parts);
	whole = (double)(instructions() - begin) / TURNS;
	if (whole >= life->whole)
		return;
	life->whole = whole;
	for (i = 0; i < PARTS; i++)
		life->parts[i] = (double)parts[i] / TURNS;
}

static double to_touch(const struct life *life)
{
	return life->parts[CREATE] + life->parts[MAP] + life->parts[TOUCH];
}

static void lives(void)
{
	struct life each[] = {
		{ .name = "memfd_create", .role = REPORT_RIVAL, .create = create_memfd },
		{ .name = "shm_open", .role = REPORT_RIVAL, .create = create_shm,
		  .remove = unlink_shm },
		{ .name = "private segment", .create = create_private },
		{ .name = "named segment", .create = create_named },
		{ .name = "shmget, shmat", .role = REPORT_RIVAL, .create = create_sysv,
		  .remove = remove_sysv },
	};
	const struct life *memfd = &each[0], *shm = &each[1];
	const struct life *private = &each[2], *named = &each[3];
	unsigned int i, k, round;
	char name[64];

	for (i = 0; i < ARRAY_LENGTH(each); i++)
		each[i].whole = INFINITY;
	prepare_place();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < ARRAY_LENGTH(each); i++)
			live_round(&each[i]);
	}

	section("1 MiB made, mapped, one page touched, unmapped, closed; all that is to memfd's");
	printf("  %-18s", "");
	for (k = 0; k < PARTS; k++)
		printf(" %9s", part_names[k]);
	printf(" %9s %7s\n", "all", "ratio");
	for (i = 0; i < ARRAY_LENGTH(each); i++) {
		const struct life *life = &each[i];

		printf("  %-18s", life->name);
		for (k = 0; k < PARTS; k++) {
			printf(" %9.0f", life->parts[k]);
			snprintf(name, sizeof(name), "%s: %s", life->name, part_names[k]);
			note_figure(name, "instructions", life->parts[k]);
		}
		printf(" %9.0f %7.3f\n", life->whole, life->whole / memfd->whole);
		snprintf(name, sizeof(name), "%s: all", life->name);
		note_figure(name, "instructions", life->whole);
		row(life->name, life->role, 0, NULL, life->whole);
	}
	section("1 MiB made, mapped, one page touched");
	for (i = 0; i < ARRAY_LENGTH(each); i++) {
		figure(each[i].name, "instructions", to_touch(&each[i]),
		       to_touch(&each[i]) / to_touch(memfd));
		row(each[i].name, each[i].role, 0, NULL, to_touch(&each[i]));
	}
	target("private: create, map, touch, of memfd_create", to_touch(private) / to_touch(memfd),
	       1.3);
	target("private: create, map, touch, unmap, close, of memfd_create",
	       private->whole / memfd->whole, 1.3);
	target("named: create, map, touch, of memfd_create", to_touch(named) / to_touch(memfd), 1.3);
	target("named: create, map, touch, unmap, close, of memfd_create",
	       named->whole / memfd->whole, 1.3);
	aim("private: create, map, touch, of memfd_create", to_touch(private) / to_touch(memfd),
	    1.2);
	aim("private: all, of memfd_create", private->whole / memfd->whole, 1.2);
	aim("named: create, map, touch, of memfd_create", to_touch(named) / to_touch(memfd), 1.2);
	aim("named: all, of memfd_create", named->whole / memfd->whole, 1.2);
	target("named: all, of shm_open", named->whole / shm->whole, 1);
}

/* --- found by name --- */

static void name_of(struct ipm_ref *ref, unsigned int i)
{
	memset(ref, 0, sizeof(*ref));
	ref->by = IPM_BY_NAME;
	snprintf(ref->name, sizeof(ref->name), "bench-%06u", i);
}

/* How many there are, and which is looked for next. */
struct crowd {
	unsigned int nr;
	unsigned int next;
};

static unsigned int next_one(struct crowd *crowd)
{
	/* A prime that no number of segments is a multiple of. */
	crowd->next = (crowd->next + 7919) % crowd->nr;
	return crowd->next;
}

static void open_by_name(void *arg)
{
	struct ipm_open open = { .access = IPM_READ_WRITE };

	name_of(&open.ref, next_one(arg));
	close(must(ioctl(device, IPM_IOC_OPEN, &open)));
}

static void info_by_name(void *arg)
{
	struct ipm_info info = { 0 };

	name_of(&info.ref, next_one(arg));
	must(ioctl(device, IPM_IOC_INFO, &info));
}

/* Rivals: names in /dev/shm, and keys. */

static const char *shm_name(unsigned int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "/bench-%06u", i);
	return name;
}

static void shm_by_name(void *arg)
{
	close(must(shm_open(shm_name(next_one(arg)), O_RDWR, 0)));
}

/* One more than the number: 0 is IPC_PRIVATE. */
static key_t key_of(unsigned int i)
{
	return 0xbe000001 + (int)i;
}

static void sysv_by_key(void *arg)
{
	must(shmget(key_of(next_one(arg)), 0, 0));
}

/* The most that the kernel has room for in its table. */
#define SYSV_MAX 32768

static void allow_sysv(void)
{
	FILE *file = fopen("/proc/sys/kernel/shmmni", "w");

	if (!file || fprintf(file, "%d", SYSV_MAX) < 0 || fclose(file))
		bench_die("/proc/sys/kernel/shmmni");
}

static void make_rivals(unsigned int from, unsigned int to)
{
	for (; from < to; from++) {
		close(must(shm_open(shm_name(from), O_RDWR | O_CREAT | O_EXCL, 0600)));
		if (to <= SYSV_MAX)
			must(shmget(key_of(from), 4096, IPC_CREAT | IPC_EXCL | 0600));
	}
}

static void remove_rivals(unsigned int nr)
{
	int id;

	while (nr--) {
		must(shm_unlink(shm_name(nr)));
		id = shmget(key_of(nr), 0, 0);
		if (id >= 0)
			must(shmctl(id, IPC_RMID, NULL));
	}
}

static void make_crowd(unsigned int from, unsigned int to)
{
	struct ipm_create create;

	for (; from < to; from++) {
		create = (struct ipm_create){
			.size = 4096,
			.flags = IPM_CREATE_EXCLUSIVE | IPM_CREATE_PERSISTENT,
			.access = IPM_READ_WRITE,
			.mode = 0600,
		};
		name_of(&create.ref, from);
		close(must(ioctl(device, IPM_IOC_CREATE, &create)));
	}
	/* The table of names grows a little later. */
	must(usleep(1000000));
}

static void remove_crowd(unsigned int nr)
{
	struct ipm_remove remove = { 0 };

	while (nr--) {
		name_of(&remove.ref, nr);
		must(ioctl(device, IPM_IOC_REMOVE, &remove));
	}
}

/* For kernel memory: each is as it is when nobody has mapped it. */

static int one_memfd(unsigned int i)
{
	(void)i;
	return must(memfd_create("bench", MFD_CLOEXEC));
}

static int one_shm(unsigned int i)
{
	close(must(shm_open(shm_name(i), O_RDWR | O_CREAT | O_EXCL, 0600)));
	return -1;
}

static void forget_shm(unsigned int i)
{
	must(shm_unlink(shm_name(i)));
}

static int one_sysv(unsigned int i)
{
	must(shmget(key_of(i), 4096, IPC_CREAT | IPC_EXCL | 0600));
	return -1;
}

static void forget_sysv(unsigned int i)
{
	must(shmctl(must(shmget(key_of(i), 0, 0)), IPC_RMID, NULL));
}

static void by_name(void)
{
	static const unsigned int counts[] = { 1, 10, 1000, 100000 };
	double open[ARRAY_LENGTH(counts)], info[ARRAY_LENGTH(counts)];
	const char *title = "found by name and opened", *bare = "found by name or key";
	unsigned int i, before = 0;
	double memory = 0;
	char name[64];

	allow_sysv();
	section(title);
	printf("  %-20s %14s %14s %14s %14s\n", "segments", "open + close", "shm_open", "info",
	       "shmget");
	for (i = 0; i < ARRAY_LENGTH(counts); i++) {
		struct crowd crowd = { .nr = counts[i] };
		struct bench_case cases[] = {
			{ .name = "open", .run = open_by_name, .arg = &crowd, .times = 1000 },
			{ .name = "info", .run = info_by_name, .arg = &crowd, .times = 1000 },
			{ .name = "shm_open", .run = shm_by_name, .arg = &crowd, .times = 1000 },
			{ .name = "shmget", .run = sysv_by_key, .arg = &crowd, .times = 1000 },
		};
		bool sysv = counts[i] <= SYSV_MAX;

		memory = slab_bytes();
		make_crowd(before, counts[i]);
		memory = (slab_bytes() - memory) / (counts[i] - before);
		make_rivals(before, counts[i]);
		before = counts[i];
		measure(cases, ARRAY_LENGTH(cases) - !sysv);
		open[i] = cases[0].best;
		info[i] = cases[1].best;
		printf("  %-20u %14.0f %14.0f %14.0f %14.0f\n", counts[i], open[i], cases[2].best,
		       info[i], sysv ? cases[3].best : 0);
		fflush(stdout);
		snprintf(name, sizeof(name), "open and close by name, of %u", counts[i]);
		note_figure(name, "instructions", open[i]);
		snprintf(name, sizeof(name), "info by name, of %u", counts[i]);
		note_figure(name, "instructions", info[i]);
		bench.section = copy(title);
		row("open and close by name", REPORT_IPM, counts[i], "segments", open[i]);
		row("shm_open, close", REPORT_RIVAL, counts[i], "segments", cases[2].best);
		bench.section = copy(bare);
		row("info by name", REPORT_IPM, counts[i], "segments", info[i]);
		if (sysv)
			row("shmget by key", REPORT_RIVAL, counts[i], "segments", cases[3].best);
	}
	remove_crowd(before);
	remove_rivals(before);
	target("open by name of 100,000 segments, of that of 10", open[3] / open[1], 1.5);
	target("info by name of 100,000 segments, of that of 10", info[3] / info[1], 1.5);

	section("kernel memory of a segment without pages");
	figure("a named segment, its inode and files included", "bytes", memory, 0);
	memory_row("a named segment", REPORT_IPM, memory);
	memory = bytes_of_each(10000, one_memfd, NULL);
	figure("a memfd, its inode and file included", "bytes", memory, 0);
	memory_row("a memfd", REPORT_RIVAL, memory);
	memory = bytes_of_each(10000, one_shm, forget_shm);
	figure("a POSIX one, its inode and name included", "bytes", memory, 0);
	memory_row("a POSIX one", REPORT_RIVAL, memory);
	memory = bytes_of_each(10000, one_sysv, forget_sysv);
	figure("a SysV one, its inode and file included", "bytes", memory, 0);
	memory_row("a SysV one", REPORT_RIVAL, memory);
}

int main(int argc, char **argv)
{
	static const struct bench_part parts[] = {
		{ "life", lives },
		{ "name", by_name },
	};

	bench_begin(argc, argv);
	device = open_device();
	bench_run(parts, ARRAY_LENGTH(parts));
	return bench_end();
}
