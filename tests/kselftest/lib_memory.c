// SPDX-License-Identifier: GPL-2.0
/*
 * The memory API of libipm on the real module: what programs written for the
 * former libraries expect, and what the richer calls promise.
 */
#include "lib_test.h"

#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <ipm/ipm.h>

#define NAME	"test-lib-memory"
#define OTHER	"test-lib-memory-2"
#define RW	IPM_ACCESS_MODE_READ_WRITE
#define RO	IPM_ACCESS_MODE_READ_ONLY
#define MS	1000000LL
/* That of a small segment, if nothing is said. */
#define CAPACITY	(sizeof(void *) == 8 ? 1ULL << 30 : 16ULL << 20)
#define NOBODY	65534

/* How long the tests that look for races go on. */
#define RACE_MS	10000

#define OK	IPM_RESULT_SUCCESS

/* --- a context that counts --- */

static int live, reports;
static char message[1000];

static void report(const char *msg, const char *file, int line, const char *function, void *param)
{
	(void)file;
	(void)line;
	(void)function;
	(void)param;
	reports++;
	snprintf(message, sizeof(message), "%s", msg);
}

static void *count_alloc(void *param, size_t size)
{
	(void)param;
	__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
	return malloc(size);
}

static void count_free(void *param, void *ptr)
{
	(void)param;
	__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
	free(ptr);
}

static const ipm_context ctx = {
	.report_callback = report,
	.alloc_callback = count_alloc,
	.free_callback = count_free,
};

FIXTURE(lib)
{
	struct counts before;
	int fds;
};

FIXTURE_SETUP(lib)
{
	self->before = read_counts();
	self->fds = count_fds();
}

FIXTURE_TEARDOWN(lib)
{
	/* A failed test may have left these behind. */
	ipm_memory_remove(NULL, ipm_ref_name(NAME));
	ipm_memory_remove(NULL, ipm_ref_name(OTHER));
	if (_metadata->passed) {
		EXPECT_COUNTS_SOON(self->before);
		EXPECT_EQ(self->fds, count_fds());
		EXPECT_EQ(0, live);
	}
}

/* A child process that is to exit with 0. */
#define ASSERT_CHILD(pid)                                                         \
	do {                                                                      \
		int status_;                                                      \
		ASSERT_EQ(pid, waitpid(pid, &status_, 0));                        \
		ASSERT_TRUE(WIFEXITED(status_));                                  \
		ASSERT_EQ(0, WEXITSTATUS(status_));                               \
	} while (0)

/* In a child: ends it with the line if the condition does not hold. */
#define CHILD(condition)                                                          \
	do {                                                                      \
		if (!(condition)) {                                               \
			note("in the child: %s; last report: %s", #condition, message); \
			_exit(1);                                                 \
		}                                                                 \
	} while (0)

static pid_t child_of_test(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static ipm_memory *make(size_t size)
{
	ipm_memory *m = NULL;

	if (ipm_memory_create(&ctx, size, NAME, RW, &m))
		note("create: %s", message);
	return m;
}

static unsigned int waiters(const ipm_memory *m)
{
	ipm_memory_status status = { .struct_size = sizeof(status) };

	return ipm_memory_get_status(m, &status) ? UINT32_MAX : status.waiters;
}

/* --- what the first of the former libraries shows as its use --- */

TEST_F(lib, one_process_claims_overlapping_regions)
{
	ipm_memory *memory = NULL;
	ipm_memory_info info;
	ipm_id one, two;

	ASSERT_RESULT(OK, ipm_memory_create(&ctx, 69, NAME, RW, &memory));
	info = ipm_memory_get_info(memory);
	ASSERT_EQ(0, info.active_claims);
	ASSERT_EQ(RW, info.memory_access_mode);
	ASSERT_LE(69, info.block_size);
	ASSERT_STREQ(NAME, info.name);
	ASSERT_EQ(info.mapping_address, ipm_memory_pointer(memory));
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 16, 16, &one));
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 24, 16, &two));
	ASSERT_EQ(2, ipm_memory_get_info(memory).active_claims);
	ASSERT_RESULT(OK, ipm_memory_release_region(memory, two));
	ASSERT_EQ(1, ipm_memory_get_info(memory).active_claims);
	ASSERT_RESULT(OK, ipm_memory_release_region(memory, one));
	ASSERT_EQ(0, ipm_memory_get_info(memory).active_claims);
	ipm_memory_close(memory);
	ASSERT_EQ(0, reports);
	ASSERT_RESULT(IPM_RESULT_ERR_DOES_NOT_EXIST, ipm_memory_open(&ctx, NAME, RW, &memory));
	ASSERT_EQ(1, reports);
}

TEST_F(lib, a_forked_child_cleans_and_claims_and_the_parent_waits)
{
	ipm_memory *memory = NULL, *own;
	char byte, *buffer;
	int ready[2];
	ipm_id claim;
	pid_t pid;

	ASSERT_RESULT(OK, ipm_memory_create(&ctx, 69, NAME, RW, &memory));
	ASSERT_EQ(0, pipe(ready));
	pid = child_of_test();
	if (!pid) {
		ipm_memory_clean(memory);
		CHILD(!ipm_memory_open(&ctx, NAME, RW, &own));
		CHILD(!ipm_memory_claim_region(own, RW, 0, 32, &claim));
		CHILD(write(ready[1], "x", 1) == 1);
		/* Until the parent waits for what is claimed here. */
		CHILD(wait_until(waiters(own) == 1));
		snprintf(ipm_memory_pointer(own), 32, "Hello, parent");
		CHILD(!ipm_memory_release_region(own, claim));
		ipm_memory_close(own);
		_exit(0);
	}
	buffer = ipm_memory_pointer(memory);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RO, 0, 32, &claim));
	ASSERT_STREQ("Hello, parent", buffer);
	ASSERT_RESULT(OK, ipm_memory_release_region(memory, claim));
	ASSERT_CHILD(pid);
	ipm_memory_close(memory);
	ASSERT_RESULT(IPM_RESULT_ERR_DOES_NOT_EXIST, ipm_memory_open(&ctx, NAME, RW, &memory));
	close(ready[0]);
	close(ready[1]);
}

TEST_F(lib, clean_in_the_child_leaves_the_parents_claims)
{
	ipm_memory *memory = make(100), *other;
	ipm_id mine, id;
	pid_t pid;

	ASSERT_NE(NULL, memory);
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 0, 10, &mine));
	pid = child_of_test();
	if (!pid) {
		ipm_memory_clean(memory);
		CHILD(!live);
		_exit(0);
	}
	ASSERT_CHILD(pid);
	ASSERT_RESULT(OK, ipm_memory_open(&ctx, NAME, RW, &other));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
		      ipm_memory_claim_region_try(other, RW, 0, 10, &id));
	ASSERT_RESULT(OK, ipm_memory_release_region(memory, mine));
	ASSERT_RESULT(OK, ipm_memory_claim_region_try(other, RW, 0, 10, &id));
	ipm_memory_close(memory);
	ipm_memory_close(other);
}

TEST_F(lib, close_releases_although_a_child_has_a_copy)
{
	ipm_memory *memory = make(100), *other;
	int stop[2];
	ipm_id id;
	char byte;
	pid_t pid;

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, pipe(stop));
	ASSERT_RESULT(OK, ipm_memory_open(&ctx, NAME, RW, &other));
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 0, 10, &id));
	pid = child_of_test();
	if (!pid) {
		close(stop[1]);
		_exit(read(stop[0], &byte, 1) != 0);
	}
	ipm_memory_close(memory);
	ASSERT_RESULT(OK, ipm_memory_claim_region_try(other, RW, 0, 10, &id));
	close(stop[0]);
	close(stop[1]);
	ASSERT_CHILD(pid);
	ipm_memory_close(other);
}

TEST_F(lib, claims_of_a_killed_process_end)
{
	ipm_memory *memory = make(100);
	int ready[2], status;
	ipm_id id;
	char byte;
	pid_t pid;

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, pipe(ready));
	pid = child_of_test();
	if (!pid) {
		ipm_memory *own;

		ipm_memory_clean(memory);
		CHILD(!ipm_memory_open(&ctx, NAME, RW, &own));
		CHILD(!ipm_memory_claim_region(own, RW, 0, 100, &id));
		CHILD(write(ready[1], "x", 1) == 1);
		pause();
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
		      ipm_memory_claim_region_try(memory, RO, 50, 1, &id));
	kill(pid, SIGKILL);
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RO, 50, 1, &id));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	close(ready[0]);
	close(ready[1]);
	ipm_memory_close(memory);
}

/* --- whole values --- */

#define VALUE	1000

struct tally {
	unsigned long writes, reads, torn, failed;
};

static bool is_whole(const unsigned char *value)
{
	for (int i = 1; i < VALUE; i++) {
		if (value[i] != value[0])
			return false;
	}
	return true;
}

/* What each is to have written at least, however little it ran. */
#define LEAST_WRITES	6

/* Writes and reads whole values until @end, and counts what was not whole. */
static void write_and_read(ipm_memory *m, struct tally *tally, unsigned int seed, int64_t end)
{
	unsigned char value[VALUE];

	while (in_ms(0) < end || tally->writes < LEAST_WRITES) {
		memset(value, (int)rand_r(&seed), sizeof(value));
		if (ipm_memory_write(m, 0, value, sizeof(value)))
			tally->failed++;
		tally->writes++;
		for (int i = 0; i < 3; i++) {
			if (ipm_memory_read(m, 0, value, sizeof(value)))
				tally->failed++;
			tally->torn += !is_whole(value);
			tally->reads++;
		}
	}
}

TEST_F_TIMEOUT(lib, eight_processes_never_see_half_a_value, 120)
{
	ipm_memory *memory = make(VALUE);
	struct tally *tallies = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t end = in_ms(RACE_MS);
	pid_t pids[8];

	ASSERT_NE(NULL, memory);
	for (int i = 0; i < 8; i++) {
		pids[i] = child_of_test();
		if (!pids[i]) {
			ipm_memory *own;

			ipm_memory_clean(memory);
			CHILD(!ipm_memory_open(&ctx, NAME, RW, &own));
			write_and_read(own, &tallies[i], i, end);
			ipm_memory_close(own);
			_exit(0);
		}
	}
	for (int i = 0; i < 8; i++) {
		ASSERT_CHILD(pids[i]);
		EXPECT_EQ(0, tallies[i].torn);
		EXPECT_EQ(0, tallies[i].failed);
		EXPECT_LE(LEAST_WRITES, tallies[i].writes);
	}
	TH_LOG("one process wrote %lu and read %lu values", tallies[0].writes, tallies[0].reads);
	munmap(tallies, 4096);
	ipm_memory_close(memory);
}

struct worker {
	pthread_t id;
	ipm_memory *memory;
	struct tally tally;
	unsigned int seed;
	int64_t end;
};

static void *work(void *param)
{
	struct worker *worker = param;

	write_and_read(worker->memory, &worker->tally, worker->seed, worker->end);
	return NULL;
}

TEST_F_TIMEOUT(lib, threads_with_a_handle_each_are_as_safe, 120)
{
	struct worker workers[4] = { 0 };
	ipm_memory *memory = make(VALUE);

	ASSERT_NE(NULL, memory);
	for (int i = 0; i < 4; i++) {
		ASSERT_RESULT(OK, ipm_memory_derive(memory, RW, &workers[i].memory));
		workers[i].seed = i;
		workers[i].end = in_ms(RACE_MS / 3);
		ASSERT_EQ(0, pthread_create(&workers[i].id, NULL, work, &workers[i]));
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(workers[i].id, NULL);
		EXPECT_EQ(0, workers[i].tally.torn);
		EXPECT_EQ(0, workers[i].tally.failed);
		EXPECT_LE(LEAST_WRITES, workers[i].tally.writes);
		ipm_memory_close(workers[i].memory);
	}
	ipm_memory_close(memory);
}

/* Writers killed at any moment: a value is whole, or the reader is told. */
TEST_F_TIMEOUT(lib, a_killed_writer_leaves_whole_values_or_doubt, 120)
{
	ipm_memory *memory = make(VALUE);
	unsigned char value[VALUE];
	unsigned int seed = 1;
	int doubts = 0;

	ASSERT_NE(NULL, memory);
	for (int round = 0; round < 60; round++) {
		struct timespec moment = { .tv_nsec = rand_r(&seed) % (5 * MS) };
		int ready[2], status;
		ipm_result result;
		char byte;
		pid_t pid;

		ASSERT_EQ(0, pipe(ready));
		pid = child_of_test();
		if (!pid) {
			ipm_memory *own;

			ipm_memory_clean(memory);
			CHILD(!ipm_memory_open(&ctx, NAME, RW, &own));
			CHILD(write(ready[1], "x", 1) == 1);
			for (;;) {
				memset(value, rand_r(&seed), sizeof(value));
				ipm_memory_write(own, 0, value, sizeof(value));
			}
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		nanosleep(&moment, NULL);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		close(ready[0]);
		close(ready[1]);

		result = ipm_memory_read(memory, 0, value, sizeof(value));
		if (result == IPM_RESULT_ERR_IN_DOUBT) {
			ipm_memory_doubt doubt;
			size_t total;

			doubts++;
			ASSERT_RESULT(OK, ipm_memory_list_doubts(memory, 0, 0, &doubt, 1, &total));
			ASSERT_EQ(1, total);
			ASSERT_EQ(pid, doubt.pid);
			ASSERT_EQ(0, doubt.offset);
			ASSERT_EQ(VALUE, doubt.length);
			memset(value, 1, sizeof(value));
			ASSERT_RESULT(OK, ipm_memory_write(memory, 0, value, sizeof(value)));
			ASSERT_RESULT(OK, ipm_memory_read(memory, 0, value, sizeof(value)));
		} else {
			ASSERT_RESULT(OK, result);
		}
		ASSERT_TRUE(is_whole(value));
	}
	TH_LOG("%d of 60 writers died holding a claim", doubts);
	ipm_memory_close(memory);
}

/* --- growth --- */

TEST_F(lib, growth_is_seen_without_any_system_call)
{
	ipm_memory *memory = make(100);
	int go[2], done[2];
	char byte;
	pid_t pid;

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(done));
	pid = child_of_test();
	if (!pid) {
		ipm_memory_status status = { .struct_size = sizeof(status) };
		ipm_memory *own;
		const char *bytes;
		long wrong;

		ipm_memory_clean(memory);
		CHILD(!ipm_memory_open(&ctx, NAME, RO, &own));
		bytes = ipm_memory_pointer(own);
		CHILD(ipm_memory_size(own) == 100);
		/* From here on any call but read, write and exit is death. */
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			syscall(SYS_exit, errno == EINVAL ? 4 : 1);
		wrong = write(done[1], "x", 1) != 1;
		wrong |= read(go[0], &byte, 1) != 1;
		wrong |= ipm_memory_size(own) != 1000000;
		wrong |= ipm_memory_get_info(own).block_size != 1000000;
		wrong |= ipm_memory_get_status(own, &status) != OK || status.size != 1000000;
		wrong |= ipm_memory_sync(own) != OK;
		wrong |= ipm_memory_pointer(own) != bytes;
		wrong |= bytes[999999] != 'z';
		wrong |= ipm_memory_ref_count(own) != 2;
		wrong |= ipm_memory_is_removed(own);
		syscall(SYS_exit, wrong);
	}
	ASSERT_LE(0, read(done[0], &byte, 1));
	ASSERT_RESULT(OK, ipm_memory_resize_grow(memory, 1000000));
	((char *)ipm_memory_pointer(memory))[999999] = 'z';
	ASSERT_EQ(1, write(go[1], "x", 1));
	{
		int status;

		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		if (WEXITSTATUS(status) == 4)
			TH_LOG("this kernel has no seccomp: calls were not counted");
		else
			ASSERT_EQ(0, WEXITSTATUS(status));
	}
	close(go[0]);
	close(go[1]);
	close(done[0]);
	close(done[1]);
	ipm_memory_close(memory);
}

TEST_F(lib, growth_ends_at_the_capacity)
{
	ipm_memory *memory = make(100), *reader;
	void *pointer = ipm_memory_pointer(memory);

	ASSERT_EQ(CAPACITY, ipm_memory_capacity(memory));
	ASSERT_RESULT(OK, ipm_memory_derive(memory, RO, &reader));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_SIZE, ipm_memory_resize_grow(memory, 99));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_SIZE, ipm_memory_resize_grow(memory, 0));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_SIZE, ipm_memory_resize_grow(memory, CAPACITY + 1));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_SIZE, ipm_memory_resize_grow(memory, SIZE_MAX));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_memory_resize_grow(reader, 1000));
	ASSERT_EQ(100, ipm_memory_size(memory));
	ASSERT_RESULT(OK, ipm_memory_resize_grow(memory, 8 << 20));
	((char *)pointer)[(8 << 20) - 1] = 1;
	ASSERT_RESULT(OK, ipm_memory_grow(memory, 9 << 20, IPM_MEMORY_PREALLOCATE));
	ASSERT_EQ(pointer, ipm_memory_pointer(memory));
	ipm_memory_close(reader);
	ipm_memory_close(memory);
}

/* Whole values are read and written where no more can be mapped than was, though it grows. */
TEST_F(lib, whole_values_in_a_limited_address_space)
{
	ipm_memory *m = make(5000);
	ipm_id held;
	pid_t pid;

	ASSERT_NE(NULL, m);
	ASSERT_RESULT(OK, ipm_memory_claim_region(m, RW, 0, 100, &held));
	pid = child_of_test();
	if (!pid) {
		struct rlimit limit = { 256 << 20, 256 << 20 };
		void *rest = MAP_FAILED;
		ipm_memory *mine;
		char bytes[100];

		CHILD(!munmap(ipm_memory_pointer(m), CAPACITY));
		CHILD(!setrlimit(RLIMIT_AS, &limit));
		CHILD(!ipm_memory_open(&ctx, NAME, RW, &mine));
		CHILD(ipm_memory_capacity(mine) == CAPACITY);
		for (size_t size = 1 << 28; size >= 4096; size /= 2)
			while (mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
			       MAP_FAILED)
				rest = NULL;
		CHILD(!rest);
		/* Waits, and it has grown by then. */
		CHILD(!ipm_memory_read(mine, 0, bytes, sizeof(bytes)));
		CHILD(ipm_memory_size(mine) == 1 << 20);
		CHILD(!strcmp(bytes, "grown"));
		CHILD(!ipm_memory_write(mine, 0, "written", 8));
		_exit(0);
	}
	ASSERT_TRUE(wait_until(waiters(m) == 1));
	ASSERT_RESULT(OK, ipm_memory_resize_grow(m, 1 << 20));
	strcpy(ipm_memory_pointer(m), "grown");
	ASSERT_RESULT(OK, ipm_memory_release_region(m, held));
	ASSERT_CHILD(pid);
	ASSERT_STREQ("written", (char *)ipm_memory_pointer(m));
	ipm_memory_close(m);
}

TEST_F(lib, a_limited_address_space_is_enough)
{
	pid_t pid = child_of_test();

	if (!pid) {
		struct rlimit limit = { 256 << 20, 256 << 20 };
		ipm_memory *m, *ro;
		char *bytes;

		CHILD(!setrlimit(RLIMIT_AS, &limit));
		m = make(5000);
		CHILD(m);
		CHILD(ipm_memory_capacity(m) == CAPACITY);
		strcpy(ipm_memory_pointer(m), "kept");
		CHILD(!ipm_memory_resize_grow(m, 1 << 20));
		bytes = ipm_memory_pointer(m);
		bytes[(1 << 20) - 1] = 'z';
		CHILD(!strcmp(bytes, "kept"));
		CHILD(!ipm_memory_derive(m, RO, &ro));
		CHILD(!ipm_memory_resize_grow(m, 3 << 20));
		CHILD(!ipm_memory_sync(ro));
		bytes = ipm_memory_pointer(m);
		bytes[(3 << 20) - 1] = 'y';
		CHILD(((char *)ipm_memory_pointer(ro))[(3 << 20) - 1] == 'y');
		CHILD(!ipm_memory_change_access(m, RO));
		CHILD(bytes == ipm_memory_pointer(m) && bytes[(1 << 20) - 1] == 'z');
		CHILD(ipm_memory_resize_grow(ro, 4 << 20) == IPM_RESULT_ERR_BAD_ACCESS);
		ipm_memory_close(ro);
		ipm_memory_close(m);
		CHILD(!live);
		_exit(0);
	}
	ASSERT_CHILD(pid);
}

/* --- access --- */

/* Whether writing there is death by SIGSEGV. */
static bool write_is_death(char *where)
{
	pid_t pid = child_of_test();
	int status;

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)where = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

TEST_F(lib, change_access_and_back)
{
	ipm_memory *memory = make(100), *other;
	char *bytes = ipm_memory_pointer(memory);
	int fd = ipm_memory_fd(memory);
	ipm_id claim;

	ASSERT_NE(NULL, memory);
	strcpy(bytes, "text");
	ASSERT_FALSE(write_is_death(bytes));
	ASSERT_RESULT(OK, ipm_memory_change_access(memory, RO));
	ASSERT_EQ(bytes, ipm_memory_pointer(memory));
	ASSERT_EQ(fd, ipm_memory_fd(memory));
	ASSERT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(1, ipm_memory_ref_count(memory));
	ASSERT_TRUE(write_is_death(bytes));
	ASSERT_EQ(-1, mprotect(bytes, 4096, PROT_READ | PROT_WRITE));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS,
		      ipm_memory_claim_region(memory, RW, 0, 1, &claim));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_memory_write(memory, 0, "x", 1));
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_ACCESS, ipm_memory_derive(memory, RW, &other));

	ASSERT_RESULT(OK, ipm_memory_remove(&ctx, ipm_ref_name(NAME)));
	ASSERT_RESULT(OK, ipm_memory_change_access(memory, RW));
	ASSERT_EQ(bytes, ipm_memory_pointer(memory));
	bytes[0] = 'T';
	ASSERT_STREQ("Text", bytes);
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 0, 1, &claim));
	ASSERT_RESULT(IPM_RESULT_ERR_ALREADY_LOCKED, ipm_memory_change_access(memory, RO));
	/* Ended from outside: that stops it no more. */
	ASSERT_RESULT(OK, ipm_memory_remove_all_active_claims(memory));
	ASSERT_RESULT(OK, ipm_memory_change_access(memory, RO));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_CLAIM, ipm_memory_release_region(memory, claim));

	ipm_memory_close(memory);
}

TEST_F(lib, change_access_respects_the_mode)
{
	ipm_memory_settings readable = { .struct_size = sizeof(readable),
					 .what = IPM_MEMORY_SET_MODE, .mode = 0644 };
	ipm_memory *memory = make(100);
	pid_t pid;

	ASSERT_NE(NULL, memory);
	ASSERT_RESULT(OK, ipm_memory_set(memory, &readable));
	ASSERT_EQ(0, chmod(DEVICE, 0666));
	pid = child_of_test();
	if (!pid) {
		ipm_memory *own;

		ipm_memory_clean(memory);
		CHILD(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		      !setresuid(NOBODY, NOBODY, NOBODY));
		CHILD(ipm_memory_open(&ctx, NAME, RW, &own) == IPM_RESULT_ERR_ACCESS);
		CHILD(!ipm_memory_open(&ctx, NAME, RO, &own));
		CHILD(ipm_memory_change_access(own, RW) == IPM_RESULT_ERR_ACCESS);
		CHILD(write_is_death(ipm_memory_pointer(own)));
		CHILD(ipm_memory_remove(&ctx, ipm_ref_name(NAME)) == IPM_RESULT_ERR_NOT_OWNER);
		CHILD(ipm_memory_remove_all_active_claims(own) == IPM_RESULT_ERR_NOT_OWNER);
		CHILD(ipm_memory_set(own, &readable) == IPM_RESULT_ERR_NOT_OWNER);
		ipm_memory_close(own);
		_exit(0);
	}
	ASSERT_CHILD(pid);
	ipm_memory_close(memory);
}

TEST_F(lib, change_access_in_another_namespace)
{
	ipm_memory *memory = make(100), *reader;
	pid_t pid;

	ASSERT_NE(NULL, memory);
	ASSERT_RESULT(OK, ipm_memory_derive(memory, RO, &reader));
	pid = child_of_test();
	if (!pid) {
		ipm_memory *stranger;

		if (unshare(CLONE_NEWNET))
			_exit(4);
		CHILD(ipm_memory_change_access(reader, RW) == IPM_RESULT_ERR_ACCESS);
		/* The same number is another segment here. */
		do {
			CHILD(!ipm_memory_create(&ctx, 100, OTHER, RW, &stranger));
			if (ipm_memory_get_id(stranger) >= ipm_memory_get_id(reader))
				break;
			ipm_memory_close(stranger);
		} while (true);
		if (ipm_memory_get_id(stranger) == ipm_memory_get_id(reader))
			CHILD(ipm_memory_change_access(reader, RW) == IPM_RESULT_ERR_ACCESS);
		CHILD(write_is_death(ipm_memory_pointer(reader)));
		CHILD(ipm_memory_open(&ctx, NAME, RO, &stranger) == IPM_RESULT_ERR_DOES_NOT_EXIST);
		_exit(0);
	}
	{
		int status;

		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		if (WEXITSTATUS(status) == 4)
			TH_LOG("this kernel has no network namespaces");
		else
			ASSERT_EQ(0, WEXITSTATUS(status));
	}
	ipm_memory_close(reader);
	ipm_memory_close(memory);
}

TEST_F(lib, no_right_to_the_device_is_said)
{
	mode_t before;
	struct stat st;
	pid_t pid;

	ASSERT_EQ(0, stat(DEVICE, &st));
	before = st.st_mode & 07777;
	ASSERT_EQ(0, chmod(DEVICE, 0600));
	pid = child_of_test();
	if (!pid) {
		ipm_memory *m;

		CHILD(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		      !setresuid(NOBODY, NOBODY, NOBODY));
		CHILD(ipm_memory_create(&ctx, 100, NAME, RW, &m) == IPM_RESULT_ERR_ACCESS);
		CHILD(strstr(message, "ls -l /dev/ipm"));
		CHILD(!live);
		_exit(0);
	}
	ASSERT_CHILD(pid);
	ASSERT_EQ(0, chmod(DEVICE, before));
}

/* --- passing handles --- */

static const int socket_types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

TEST_F(lib, handles_pass_over_sockets)
{
	for (size_t i = 0; i < ARRAY_LENGTH(socket_types); i++) {
		ipm_memory_create_options o = { .struct_size = sizeof(o), .size = 100,
						.access = RW };
		ipm_memory *memory;
		int pair[2];
		ipm_id id;
		pid_t pid;

		o.ref = ipm_ref_private();
		ASSERT_RESULT(OK, ipm_memory_create_ex(&ctx, &o, &memory));
		ASSERT_EQ(0, socketpair(AF_UNIX, socket_types[i], 0, pair));
		ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 0, 10, &id));
		strcpy(ipm_memory_pointer(memory), "private");
		pid = child_of_test();
		if (!pid) {
			ipm_memory *got;

			ipm_memory_clean(memory);
			CHILD(ipm_memory_receive(&ctx, pair[1], RW, &got) ==
			      IPM_RESULT_ERR_BAD_ACCESS);
			CHILD(!live);
			CHILD(!ipm_memory_receive(&ctx, pair[1], RO, &got));
			CHILD(!strcmp(ipm_memory_pointer(got), "private"));
			CHILD(write_is_death(ipm_memory_pointer(got)));
			CHILD(ipm_memory_claim_region_try(got, RO, 0, 1, &id) ==
			      IPM_RESULT_ERR_WOULD_BLOCK);
			ipm_memory_close(got);
			CHILD(!ipm_memory_receive(&ctx, pair[1], RW, &got));
			CHILD(!ipm_memory_claim_region_try(got, RW, 10, 1, &id));
			strcpy((char *)ipm_memory_pointer(got) + 10, "answer");
			ipm_memory_close(got);
			_exit(0);
		}
		ASSERT_RESULT(OK, ipm_memory_send(memory, pair[0], RO));
		ASSERT_RESULT(OK, ipm_memory_send(memory, pair[0], RO));
		ASSERT_RESULT(OK, ipm_memory_send(memory, pair[0], RW));
		ASSERT_CHILD(pid);
		ASSERT_STREQ("answer", (char *)ipm_memory_pointer(memory) + 10);
		ASSERT_EQ(1, ipm_memory_ref_count(memory));
		close(pair[0]);
		close(pair[1]);
		ipm_memory_close(memory);
	}
}

/* Sends what is no handle. */
static bool send_byte_and_fd(int socket, char byte, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == 1;
}

TEST_F(lib, what_is_no_handle_is_refused)
{
	ipm_memory *memory = make(100), *got = NULL;
	int pair[2], null = open("/dev/null", O_RDWR), dev = open_device();

	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_TRUE(send_byte_and_fd(pair[0], (char)0xE9, null));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_FD, ipm_memory_receive(&ctx, pair[1], RO, &got));
	ASSERT_TRUE(send_byte_and_fd(pair[0], (char)0xE9, dev));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_FD, ipm_memory_receive(&ctx, pair[1], RO, &got));
	ASSERT_TRUE(send_byte_and_fd(pair[0], 'x', ipm_memory_fd(memory)));
	ASSERT_RESULT(IPM_RESULT_ERR_CORRUPTED, ipm_memory_receive(&ctx, pair[1], RO, &got));
	ASSERT_TRUE(send_byte_and_fd(pair[0], (char)0xE9, -1));
	ASSERT_RESULT(IPM_RESULT_ERR_CORRUPTED, ipm_memory_receive(&ctx, pair[1], RO, &got));
	/* A bare handle will do; the claims are not shared. */
	ASSERT_TRUE(send_byte_and_fd(pair[0], (char)0xE9, ipm_memory_fd(memory)));
	ASSERT_RESULT(OK, ipm_memory_receive(&ctx, pair[1], RW, &got));
	ASSERT_EQ(2, ipm_memory_ref_count(memory));
	ipm_memory_close(got);
	got = NULL;
	close(pair[0]);
	ASSERT_RESULT(IPM_RESULT_ERR_CLOSED, ipm_memory_receive(&ctx, pair[1], RO, &got));
	ASSERT_RESULT(IPM_RESULT_ERR_CLOSED, ipm_memory_send(memory, pair[1], RO));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_FD, ipm_memory_send(memory, null, RO));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_FD, ipm_memory_from_fd(&ctx, null, RO, &got));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_FD, ipm_memory_from_fd(&ctx, dev, RO, &got));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_FD, ipm_memory_from_fd(&ctx, 9999, RO, &got));
	ASSERT_EQ(NULL, got);
	close(pair[1]);
	close(null);
	close(dev);
	ipm_memory_close(memory);
}

/* Before main(), in a program that was started with a handle. */
__attribute__((constructor)) static void adopt_in_new_program(void)
{
	const char *fd = getenv("IPM_TEST_ADOPT"), *id = getenv("IPM_TEST_CLAIM");
	ipm_memory_open_options o = { .struct_size = sizeof(o), .access = RW,
				      .flags = IPM_MEMORY_ADOPT_FD };
	ipm_memory *m, *other;
	ipm_id claim;

	if (!fd || !id)
		return;
	o.ref = ipm_ref_fd(atoi(fd));
	CHILD(!ipm_memory_open_ex(&ctx, &o, &m));
	CHILD(!strcmp(ipm_memory_get_info(m).name, NAME));
	CHILD(!ipm_memory_open(&ctx, NAME, RW, &other));
	CHILD(ipm_memory_claim_region_try(other, RW, 0, 10, &claim) ==
	      IPM_RESULT_ERR_WOULD_BLOCK);
	CHILD(!ipm_memory_release_region(m, strtoull(id, NULL, 10)));
	CHILD(!ipm_memory_claim_region_try(other, RW, 0, 10, &claim));
	strcpy(ipm_memory_pointer(m), "after exec");
	ipm_memory_close(m);
	ipm_memory_close(other);
	_exit(0);
}

TEST_F(lib, a_handle_and_its_claims_survive_exec)
{
	ipm_memory *memory = make(100);
	pid_t pid;

	ASSERT_NE(NULL, memory);
	pid = child_of_test();
	if (!pid) {
		ipm_memory_open_options o = { .struct_size = sizeof(o), .access = RW,
					      .flags = IPM_MEMORY_NO_CLOEXEC };
		char text[2][32];
		ipm_memory *own;
		ipm_id id;

		ipm_memory_clean(memory);
		o.ref = ipm_ref_name(NAME);
		CHILD(!ipm_memory_open_ex(&ctx, &o, &own));
		CHILD(!ipm_memory_claim_region(own, RW, 0, 10, &id));
		snprintf(text[0], sizeof(text[0]), "%d", ipm_memory_fd(own));
		snprintf(text[1], sizeof(text[1]), "%llu", (unsigned long long)id);
		setenv("IPM_TEST_ADOPT", text[0], 1);
		setenv("IPM_TEST_CLAIM", text[1], 1);
		execl("/proc/self/exe", "adopt", NULL);
		CHILD(!"exec");
	}
	ASSERT_CHILD(pid);
	ASSERT_STREQ("after exec", ipm_memory_pointer(memory));
	ipm_memory_close(memory);
}

/* --- finding, looking, changing --- */

TEST_F(lib, details_in_every_way)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .size = 5000, .capacity = 20000,
					.access = RW, .mode = 0640,
					.flags = IPM_MEMORY_PREALLOCATE };
	ipm_memory_ref refs[5];
	ipm_memory *memory, *ro;
	ipm_id id;

	o.ref = ipm_ref_name("/" NAME);
	ASSERT_RESULT(OK, ipm_memory_create_ex(&ctx, &o, &memory));
	ASSERT_TRUE(ipm_memory_was_created(memory));
	ASSERT_RESULT(OK, ipm_memory_open(&ctx, NAME, RO, &ro));
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 0, 10, &id));
	refs[0] = ipm_ref_name(NAME);
	refs[1] = ipm_ref_id(ipm_memory_get_id(memory));
	refs[2] = ipm_ref_fd(ipm_memory_fd(ro));
	refs[3] = ipm_ref_memory(memory);
	refs[4] = ipm_ref_name("/" NAME);
	for (size_t i = 0; i < ARRAY_LENGTH(refs); i++) {
		ipm_memory_details d = { .struct_size = sizeof(d) };

		ASSERT_RESULT(OK, ipm_memory_get_details(&ctx, refs[i], &d));
		EXPECT_EQ(IPM_MEMORY_BY_NAME, d.by);
		EXPECT_STREQ(NAME, d.name);
		EXPECT_EQ(ipm_memory_get_id(memory), d.id);
		EXPECT_EQ(5000, d.size);
		EXPECT_EQ(20000, d.capacity);
		EXPECT_LE(5000, d.resident);
		EXPECT_EQ(0640, d.mode);
		EXPECT_EQ(getuid(), d.uid);
		EXPECT_EQ(getgid(), d.cgid);
		EXPECT_EQ(getpid(), d.creator_pid);
		EXPECT_EQ(2, d.handles);
		EXPECT_EQ(2, d.maps);
		EXPECT_EQ(1, d.claims);
		EXPECT_EQ(0, d.doubts);
		EXPECT_EQ(IPM_MEMORY_STATE_PREALLOCATED, d.state);
		EXPECT_LT(0, d.create_time);
	}
	ipm_memory_close(ro);
	ipm_memory_close(memory);
}

TEST_F(lib, persistent_until_removed)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .size = 100, .access = RW,
					.flags = IPM_MEMORY_PERSISTENT };
	ipm_memory_settings vanish = { .struct_size = sizeof(vanish),
				       .what = IPM_MEMORY_SET_LIFETIME };
	ipm_memory *memory, *other = NULL;

	o.ref = ipm_ref_name(NAME);
	ASSERT_RESULT(OK, ipm_memory_create_ex(&ctx, &o, &memory));
	strcpy(ipm_memory_pointer(memory), "stays");
	ipm_memory_close(memory);
	ASSERT_RESULT(OK, ipm_memory_create_ex(&ctx, &o, &memory));
	ASSERT_FALSE(ipm_memory_was_created(memory));
	ASSERT_STREQ("stays", ipm_memory_pointer(memory));
	ASSERT_RESULT(OK, ipm_memory_remove(&ctx, ipm_ref_name(NAME)));
	ASSERT_TRUE(ipm_memory_is_removed(memory));
	ASSERT_RESULT(IPM_RESULT_ERR_DOES_NOT_EXIST, ipm_memory_open(&ctx, NAME, RW, &other));
	ASSERT_RESULT(IPM_RESULT_ERR_REMOVED, ipm_memory_remove(&ctx, ipm_ref_memory(memory)));
	ASSERT_RESULT(IPM_RESULT_ERR_REMOVED, ipm_memory_set(memory, &vanish));
	ASSERT_STREQ("stays", ipm_memory_pointer(memory));
	ipm_memory_close(memory);

	o.ref = ipm_ref_key(0x4711);
	ASSERT_RESULT(OK, ipm_memory_create_ex(&ctx, &o, &memory));
	o.size = 101;
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_SIZE, ipm_memory_create_ex(&ctx, &o, &other));
	o.flags |= IPM_MEMORY_EXCLUSIVE;
	ASSERT_RESULT(IPM_RESULT_ERR_EXISTS, ipm_memory_create_ex(&ctx, &o, &other));
	ASSERT_RESULT(OK, ipm_memory_set(memory, &vanish));
	ipm_memory_close(memory);
	ASSERT_RESULT(IPM_RESULT_ERR_DOES_NOT_EXIST,
		      ipm_memory_remove(&ctx, ipm_ref_key(0x4711)));
}

TEST_F(lib, fill_then_link)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .size = 100, .access = RW };
	ipm_memory *memory, *other;

	o.ref = ipm_ref_private();
	ASSERT_RESULT(OK, ipm_memory_create_ex(&ctx, &o, &memory));
	ASSERT_STREQ("", ipm_memory_get_info(memory).name);
	strcpy(ipm_memory_pointer(memory), "complete");
	ASSERT_RESULT(OK, ipm_memory_link(memory, ipm_ref_name(NAME)));
	ASSERT_STREQ(NAME, ipm_memory_get_info(memory).name);
	ASSERT_RESULT(IPM_RESULT_ERR_EXISTS, ipm_memory_link(memory, ipm_ref_name(OTHER)));
	ASSERT_RESULT(OK, ipm_memory_open(&ctx, NAME, RO, &other));
	ASSERT_STREQ("complete", ipm_memory_pointer(other));
	ipm_memory_close(other);
	ipm_memory_close(memory);
}

TEST_F(lib, limits_and_version)
{
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	ipm_module_info info = { .struct_size = sizeof(info) };
	ipm_memory *memory = make(100);

	ASSERT_NE(NULL, memory);
	ASSERT_RESULT(OK, ipm_memory_get_limits(&ctx, &limits));
	ASSERT_LT(0, limits.segments_max);
	ASSERT_EQ(1, limits.segments);
	ASSERT_EQ(1, limits.handles);
	ASSERT_RESULT(OK, ipm_module_get_info(&ctx, &info));
	ASSERT_EQ(1, info.abi);
	ASSERT_STREQ(ipm_version_string(), info.release);
	ASSERT_EQ(IPM_MODULE_CLAIMS, info.features & IPM_MODULE_CLAIMS);
	ASSERT_EQ(IPM_MEMORY_MAX_RANGES, info.ranges_max);
	ASSERT_EQ(IPM_MEMORY_MAX_DOUBTS, info.doubt_max);
	ipm_memory_close(memory);
}

TEST_F(lib, file_descriptors_run_out)
{
	pid_t pid = child_of_test();

	if (!pid) {
		int lowest = dup(0);
		ipm_memory *m;

		close(lowest);
		/* None for the device; one for it and none for the handle; enough. */
		for (int room = 0; room < 3; room++) {
			struct rlimit limit = { lowest + room, 1024 };
			ipm_result wanted = room < 2 ? IPM_RESULT_ERR_MAX_FDS : OK;

			CHILD(!setrlimit(RLIMIT_NOFILE, &limit));
			CHILD(ipm_memory_create(&ctx, 10, NAME, RW, &m) == wanted);
			CHILD(live == (room == 2));
		}
		ipm_memory_close(m);
		_exit(0);
	}
	ASSERT_CHILD(pid);
}

/* --- claims --- */

static void ignore(int number)
{
	(void)number;
}

TEST_F(lib, a_signal_ends_a_wait)
{
	struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	ipm_memory *memory = make(100), *other;
	siginfo_t ended = { 0 };
	ipm_id held;
	pid_t pid;

	ASSERT_NE(NULL, memory);
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 0, 10, &held));
	pid = child_of_test();
	if (!pid) {
		ipm_result result;
		ipm_id id;
		char byte;

		ipm_memory_clean(memory);
		sigaction(SIGUSR1, &action, NULL);
		CHILD(!ipm_memory_open(&ctx, NAME, RW, &other));
		result = ipm_memory_claim_region(other, RW, 0, 10, &id);
		CHILD(result == IPM_RESULT_INTERRUPTED);
		result = ipm_memory_read_until(other, 0, &byte, 1, ipm_deadline_after(60000 * MS));
		CHILD(result == IPM_RESULT_INTERRUPTED);
		CHILD(ipm_memory_get_info(other).active_claims == 0);
		CHILD(!reports);
		ipm_memory_close(other);
		_exit(0);
	}
	ASSERT_TRUE(wait_until(waiters(memory) == 1));
	/* Between its two waits a signal does nothing: another will come. */
	ASSERT_TRUE(wait_until(kill(pid, SIGUSR1) || waitid(P_PID, pid, &ended, WNOHANG | WEXITED |
							    WNOWAIT) || ended.si_pid == pid));
	ASSERT_CHILD(pid);
	ipm_memory_close(memory);
}

TEST_F(lib, timed_claims_and_deadlocks)
{
	ipm_memory *a = make(100), *b;
	int64_t before;
	ipm_id one, two;
	char byte;

	ASSERT_NE(NULL, a);
	ASSERT_RESULT(OK, ipm_memory_derive(a, RW, &b));
	ASSERT_RESULT(OK, ipm_memory_claim_region(a, RW, 0, 10, &one));
	/* This thread holds it: it would wait for itself. */
	ASSERT_RESULT(IPM_RESULT_ERR_DEADLOCK, ipm_memory_claim_region(b, RO, 0, 10, &two));
	ASSERT_RESULT(IPM_RESULT_ERR_DEADLOCK, ipm_memory_read(b, 0, &byte, 1));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK, ipm_memory_claim_region_try(b, RO, 0, 1, &two));
	{
		ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 10,
					       .flags = IPM_MEMORY_NO_DEADLOCK_CHECK };

		before = now_ns(CLOCK_MONOTONIC);
		o.deadline = ipm_deadline_after(50 * MS);
		ASSERT_RESULT(IPM_RESULT_ERR_TIMEOUT, ipm_memory_claim(b, &o, &two, NULL));
		ASSERT_LE(before + 50 * MS, now_ns(CLOCK_MONOTONIC));
	}
	ASSERT_RESULT(IPM_RESULT_ERR_TIMEOUT, ipm_memory_claim_region_until(b, RO, 0, 1, 2, &two));
	ASSERT_RESULT(OK, ipm_memory_convert(a, one, RO, 0, IPM_DEADLINE_NONE, NULL));
	ASSERT_RESULT(OK, ipm_memory_claim_region_try(b, RO, 0, 1, &two));
	ASSERT_RESULT(IPM_RESULT_ERR_DEADLOCK,
		      ipm_memory_convert(a, one, RW, 0, IPM_DEADLINE_NONE, NULL));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
		      ipm_memory_convert(a, one, RW, 0, IPM_DEADLINE_NOW, NULL));
	ASSERT_RESULT(OK, ipm_memory_release_region(b, two));
	ASSERT_RESULT(OK, ipm_memory_convert(a, one, RW, 0, IPM_DEADLINE_NOW, NULL));
	ipm_memory_close(a);
	ipm_memory_close(b);
}

TEST_F(lib, several_ranges_release_and_claim)
{
	ipm_memory *a = make(10000), *b;
	ipm_memory_range ranges[3] = {
		{ .offset = 5000, .length = 10, .access = RW },
		{ .offset = 0, .length = 10, .access = RO },
		{ .offset = 20000, .length = 10, .access = RW },
	};
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .ranges = ranges,
				       .nr_ranges = 3 };
	uint32_t granted = 99;
	ipm_id id, other;

	ASSERT_NE(NULL, a);
	ASSERT_RESULT(OK, ipm_memory_derive(a, RW, &b));
	ASSERT_RESULT(OK, ipm_memory_claim(a, &o, &id, &granted));
	ASSERT_EQ(0, granted);
	ASSERT_RESULT(OK, ipm_memory_claim_region_try(b, RO, 0, 10, &other));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
		      ipm_memory_claim_region_try(b, RO, 5009, 1, &other));
	ranges[1].offset = 5005;
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_claim(b, &o, &other, NULL));

	o = (ipm_memory_claim_options){ .struct_size = sizeof(o), .offset = 100, .length = 1,
					.access = RW, .release = &id, .nr_release = 1 };
	ASSERT_RESULT(OK, ipm_memory_claim(a, &o, &other, NULL));
	ASSERT_EQ(1, ipm_memory_get_info(a).active_claims);
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_CLAIM, ipm_memory_claim(a, &o, &other, NULL));
	ASSERT_EQ(1, ipm_memory_get_info(a).active_claims);
	ASSERT_RESULT(OK, ipm_memory_claim_region_try(b, RO, 5009, 1, &other));
	ASSERT_RESULT(OK, ipm_memory_release_all(a));
	ASSERT_EQ(0, ipm_memory_get_info(a).active_claims);
	ASSERT_EQ(2, ipm_memory_get_info(b).active_claims);
	ipm_memory_close(a);
	ipm_memory_close(b);
}

TEST_F(lib, asynchronous_claims_in_an_epoll_loop)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 10, .access = RW,
				       .flags = IPM_MEMORY_ASYNC, .cookie = 42 };
	struct epoll_event ready, wanted = { .events = EPOLLIN };
	ipm_memory *a = make(100), *b;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	ipm_memory_event events[4];
	uint32_t granted;
	size_t count;
	ipm_id held, id, second;

	ASSERT_NE(NULL, a);
	ASSERT_RESULT(OK, ipm_memory_derive(a, RW, &b));
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, ipm_memory_fd(b), &wanted));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK,
		      ipm_memory_read_events(b, events, 4, IPM_DEADLINE_NOW, &count));
	ASSERT_RESULT(IPM_RESULT_ERR_TIMEOUT,
		      ipm_memory_read_events(b, events, 4, ipm_deadline_after(5 * MS), &count));
	ASSERT_RESULT(OK, ipm_memory_claim_region(a, RW, 0, 10, &held));
	ASSERT_RESULT(OK, ipm_memory_claim(b, &o, &id, &granted));
	ASSERT_EQ(IPM_MEMORY_GRANT_PENDING, granted);
	ASSERT_EQ(0, epoll_wait(epoll, &ready, 1, 0));
	ASSERT_RESULT(IPM_RESULT_ERR_WOULD_BLOCK, ipm_memory_collect(b, id, NULL));
	ASSERT_RESULT(OK, ipm_memory_release_region(a, held));
	ASSERT_EQ(1, epoll_wait(epoll, &ready, 1, PATIENCE_MS));
	ASSERT_RESULT(OK, ipm_memory_read_events(b, events, 4, IPM_DEADLINE_NOW, &count));
	ASSERT_EQ(1, count);
	ASSERT_EQ(IPM_MEMORY_EVENT_CLAIM, events[0].type);
	ASSERT_EQ(OK, events[0].result);
	ASSERT_EQ(id, events[0].claim_id);
	ASSERT_EQ(42, events[0].cookie);
	ASSERT_EQ(IPM_MEMORY_GRANT_WAITED, events[0].granted & IPM_MEMORY_GRANT_WAITED);
	ASSERT_EQ(0, epoll_wait(epoll, &ready, 1, 0));
	ASSERT_RESULT(OK, ipm_memory_release_region(b, id));

	/* One that times out, one that ends with the segment, one cancelled. */
	ASSERT_RESULT(OK, ipm_memory_claim_region(a, RW, 0, 10, &held));
	o.deadline = ipm_deadline_after(500 * MS);
	ASSERT_RESULT(OK, ipm_memory_claim(b, &o, &id, NULL));
	ASSERT_RESULT(OK, ipm_memory_read_events(b, events, 4, IPM_DEADLINE_NONE, &count));
	ASSERT_EQ(1, count);
	ASSERT_EQ(IPM_RESULT_ERR_TIMEOUT, events[0].result);
	ASSERT_EQ(id, events[0].claim_id);
	o.deadline = IPM_DEADLINE_NONE;
	ASSERT_RESULT(OK, ipm_memory_claim(b, &o, &id, NULL));
	ASSERT_RESULT(OK, ipm_memory_release_region(b, id));
	ASSERT_RESULT(IPM_RESULT_ERR_INVALID_CLAIM, ipm_memory_collect(b, id, NULL));
	ASSERT_EQ(0, ipm_memory_get_info(b).active_claims);
	o.flags |= IPM_MEMORY_UNTIL_REMOVED;
	ASSERT_RESULT(OK, ipm_memory_claim(b, &o, &id, NULL));
	ASSERT_RESULT(OK, ipm_memory_claim(b, &o, &second, NULL));
	ASSERT_RESULT(OK, ipm_memory_remove(&ctx, ipm_ref_memory(a)));
	ASSERT_RESULT(IPM_RESULT_ERR_REMOVED, ipm_memory_collect(b, second, NULL));
	ASSERT_RESULT(OK, ipm_memory_read_events(b, events, 4, IPM_DEADLINE_NONE, &count));
	ASSERT_EQ(1, count);
	ASSERT_EQ(IPM_RESULT_ERR_REMOVED, events[0].result);
	ASSERT_EQ(id, events[0].claim_id);
	ASSERT_EQ(0, ipm_memory_get_info(b).active_claims);
	/* Claims go on working for who has it. */
	ASSERT_RESULT(IPM_RESULT_ERR_REMOVED, ipm_memory_claim(b, &o, &id, NULL));
	ASSERT_RESULT(OK, ipm_memory_claim_region(b, RW, 50, 10, &id));
	close(epoll);
	ipm_memory_close(a);
	ipm_memory_close(b);
}

TEST_F(lib, bytes_in_doubt)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .offset = 90, .length = 20 };
	ipm_memory_doubt doubts[IPM_MEMORY_MAX_DOUBTS];
	ipm_memory *memory = make(1000);
	uint32_t granted;
	size_t total;
	ipm_id id;
	pid_t pid;
	int status;

	ASSERT_NE(NULL, memory);
	pid = child_of_test();
	if (!pid) {
		ipm_memory *own;

		ipm_memory_clean(memory);
		CHILD(!ipm_memory_open(&ctx, NAME, RW, &own));
		CHILD(!ipm_memory_claim_region(own, RW, 100, 50, &id));
		CHILD(!ipm_memory_claim_region(own, RO, 500, 50, &id));
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_RESULT(OK, ipm_memory_list_doubts(memory, 0, 0, doubts, 64, &total));
	ASSERT_EQ(1, total);
	ASSERT_EQ(100, doubts[0].offset);
	ASSERT_EQ(50, doubts[0].length);
	ASSERT_EQ(pid, doubts[0].pid);
	ASSERT_LT(0, doubts[0].time);
	ASSERT_RESULT(OK, ipm_memory_list_doubts(memory, 0, 100, doubts, 64, &total));
	ASSERT_EQ(0, total);
	ASSERT_RESULT(OK, ipm_memory_list_doubts(memory, 0, 0, NULL, 0, &total));
	ASSERT_EQ(1, total);
	ASSERT_RESULT(OK, ipm_memory_claim(memory, &o, &id, &granted));
	ASSERT_EQ(IPM_MEMORY_GRANT_IN_DOUBT, granted);
	ASSERT_RESULT(IPM_RESULT_ERR_NOT_LOCKED, ipm_memory_recovered(memory, 100, 10));
	ASSERT_RESULT(OK, ipm_memory_claim_region(memory, RW, 0, 1000, &id));
	ASSERT_RESULT(OK, ipm_memory_recovered(memory, 110, 10));
	ASSERT_RESULT(OK, ipm_memory_list_doubts(memory, 0, 0, doubts, 64, &total));
	ASSERT_EQ(2, total);
	ASSERT_RESULT(IPM_RESULT_ERR_BAD_VALUE, ipm_memory_recovered(memory, 110, 0));
	ASSERT_RESULT(OK, ipm_memory_recovered(memory, 0, 1000));
	ASSERT_RESULT(OK, ipm_memory_list_doubts(memory, 0, 0, doubts, 64, &total));
	ASSERT_EQ(0, total);
	ipm_memory_close(memory);
}

/* --- threads on one handle --- */

struct changer {
	pthread_t id;
	ipm_memory *memory;
	unsigned int wrong;
	bool changes;
	int64_t end;
};

static void *change_or_claim(void *param)
{
	struct changer *c = param;
	bool write = false;
	ipm_result result;
	ipm_id id;

	while (in_ms(0) < c->end) {
		write = !write;
		if (c->changes) {
			result = ipm_memory_change_access(c->memory, write ? RW : RO);
			c->wrong += result && result != IPM_RESULT_ERR_ALREADY_LOCKED;
			continue;
		}
		result = ipm_memory_claim_region(c->memory, write ? RW : RO, 0, 8, &id);
		c->wrong += result && !(write && result == IPM_RESULT_ERR_BAD_ACCESS);
		/* Somebody reads while the mapping is replaced under him. */
		c->wrong += *(volatile char *)ipm_memory_pointer(c->memory) != 'x';
		if (!result)
			c->wrong += ipm_memory_release_region(c->memory, id) != OK;
	}
	return NULL;
}

TEST_F_TIMEOUT(lib, access_changes_while_others_claim, 120)
{
	struct changer changers[3] = { 0 };
	ipm_memory *memory = make(100);

	ASSERT_NE(NULL, memory);
	*(char *)ipm_memory_pointer(memory) = 'x';
	for (int i = 0; i < 3; i++) {
		changers[i].memory = memory;
		changers[i].changes = i == 0;
		changers[i].end = in_ms(RACE_MS / 3);
		ASSERT_EQ(0, pthread_create(&changers[i].id, NULL, change_or_claim, &changers[i]));
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(changers[i].id, NULL);
		EXPECT_EQ(0, changers[i].wrong);
	}
	ASSERT_RESULT(OK, ipm_memory_change_access(memory, RO));
	ASSERT_RESULT(OK, ipm_memory_change_access(memory, RW));
	ASSERT_EQ(0, ipm_memory_get_info(memory).active_claims);
	ipm_memory_close(memory);
}

TEST_HARNESS_MAIN
