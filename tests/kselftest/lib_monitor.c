// SPDX-License-Identifier: GPL-2.0
/*
 * libipm-monitor: its lists are what /proc and the ioctls say, also while
 * everything changes; it hears of everything, or says how much it missed.
 *
 * vm: TIMEOUT=600
 */
#include "ipm_test.h"

#include <ipm/ipm.h>
#include <ipm/ipm_monitor.h>

#define CAPACITY	(1UL << 24)
#define STRANGER	1000

FIXTURE(monitor)
{
	struct counts before;
	ipm_monitor *monitor;
	int dev;
	int fd;
	uint32_t id;
};

FIXTURE_SETUP(monitor)
{
	struct ipm_info info;

	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_named(self->dev, "monitor", PAGE, CAPACITY);
	ASSERT_FD(self->fd);
	ASSERT_EQ(0, call_info(self->fd, &info));
	self->id = info.ref.id;
	ASSERT_EQ(IPM_RESULT_SUCCESS, ipm_monitor_open(NULL, &self->monitor));
}

FIXTURE_TEARDOWN(monitor)
{
	ipm_monitor_close(self->monitor);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

/* --- lists --- */

/* The entries of a list, copied; texts and arrays of the last only. */
#define KEPT 64

struct kept {
	size_t nr;
	size_t most;	/* after how many the callback ends it, 0 for never */
	union {
		ipm_monitor_segment segment[KEPT];
		ipm_monitor_handle handle[KEPT];
		ipm_monitor_claim claim[KEPT];
		ipm_monitor_waiter waiter[KEPT];
		ipm_monitor_doubt doubt[KEPT];
		ipm_monitor_limit limit[KEPT];
	};
	char text[KEPT][300];
	ipm_monitor_range range[KEPT];
};

#define KEEPER(kind, text_, range_)                                              \
	static bool keep_##kind(const ipm_monitor_##kind *entry, void *data)     \
	{                                                                        \
		struct kept *kept = data;                                        \
		if (kept->nr < KEPT) {                                           \
			kept->kind[kept->nr] = *entry;                           \
			snprintf(kept->text[kept->nr], 300, "%s", text_);        \
			kept->range[kept->nr] = range_;                          \
		}                                                                \
		return ++kept->nr != kept->most;                                 \
	}

KEEPER(segment, entry->name, ((ipm_monitor_range) { 0 }))
KEEPER(handle, entry->who.comm, ((ipm_monitor_range) { 0 }))
KEEPER(claim, entry->who.comm, entry->ranges[entry->nr_ranges - 1])
KEEPER(waiter, entry->who.comm, entry->ranges[0])
KEEPER(doubt, "", ((ipm_monitor_range) { 0 }))
KEEPER(limit, "", ((ipm_monitor_range) { 0 }))

#define ASSERT_LIST(kind, nr_)                                                             \
	do {                                                                               \
		bool list_exact = false;                                                   \
		memset(&kept, 0, sizeof(kept));                                            \
		ASSERT_EQ(IPM_RESULT_SUCCESS,                                              \
			  ipm_monitor_##kind##s(self->monitor, self->id, keep_##kind,      \
						&kept, &list_exact));                      \
		ASSERT_EQ(nr_, kept.nr);                                                   \
		ASSERT_EQ(true, list_exact);                                               \
	} while (0)

/* Each list has what there is. */
TEST_F(monitor, lists)
{
	static struct kept kept;
	int other = call_reopen(self->fd, IPM_READ_ONLY);
	struct ipm_limits limits;
	struct actor p;
	uint64_t id, theirs;
	pid_t pid;

	ASSERT_LIST(segment, 1);
	EXPECT_EQ(self->id, kept.segment[0].id);
	EXPECT_STREQ("monitor", kept.text[0]);
	EXPECT_EQ(PAGE, kept.segment[0].size);
	EXPECT_EQ(CAPACITY, kept.segment[0].capacity);
	EXPECT_EQ(0600, kept.segment[0].mode);
	EXPECT_EQ(2, kept.segment[0].handles);
	EXPECT_EQ(getpid(), kept.segment[0].creator_pid);
	ASSERT_LIST(handle, 2);
	EXPECT_EQ(IPM_ACCESS_MODE_READ_WRITE, kept.handle[0].access);
	EXPECT_EQ(IPM_ACCESS_MODE_READ_ONLY, kept.handle[1].access);
	EXPECT_EQ(IPM_MONITOR_NO_SLOT, kept.handle[1].slot);
	EXPECT_EQ(getpid(), kept.handle[1].who.pid);
	EXPECT_EQ(false, kept.handle[1].who.hidden);

	ASSERT_EQ(0, call_claim(self->fd, 10, 20, WRITE, 0, &id));
	ASSERT_EQ(0, actor_start(&p, false));
	ASSERT_WAITS(&p, other, 15, 1, READ, 1);
	ASSERT_LIST(claim, 1);
	EXPECT_EQ(id, kept.claim[0].id);
	EXPECT_EQ(1, kept.claim[0].nr_ranges);
	EXPECT_EQ(10, kept.range[0].offset);
	EXPECT_EQ(20, kept.range[0].length);
	EXPECT_EQ(IPM_ACCESS_MODE_READ_WRITE, kept.range[0].mode);
	EXPECT_EQ(gettid(), kept.claim[0].who.tid);
	ASSERT_LIST(waiter, 1);
	EXPECT_EQ(p.pid, kept.waiter[0].who.pid);
	EXPECT_EQ(15, kept.range[0].offset);
	EXPECT_EQ(id, kept.waiter[0].blocker.claim);
	EXPECT_EQ(getpid(), kept.waiter[0].blocker.pid);
	EXPECT_EQ(false, kept.waiter[0].blocker.waits);
	EXPECT_EQ(false, kept.waiter[0].async);
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_EQ(0, actor_result(&p));
	ASSERT_EQ(0, actor_claim(&p, self->fd, 100, 7, WRITE, 0, &theirs));
	pid = p.pid;
	ASSERT_EQ(SIGKILL, actor_kill(&p));
	ASSERT_LIST(doubt, 1);
	EXPECT_EQ(100, kept.doubt[0].offset);
	EXPECT_EQ(7, kept.doubt[0].length);
	EXPECT_EQ(pid, kept.doubt[0].pid);
	EXPECT_EQ(false, kept.doubt[0].merged);

	memset(&kept, 0, sizeof(kept));
	ASSERT_EQ(0, call_limits(self->dev, &limits));
	ASSERT_EQ(IPM_RESULT_SUCCESS, ipm_monitor_limits(self->monitor, keep_limit, &kept));
	ASSERT_LE(1, kept.nr);
	EXPECT_EQ(0, kept.limit[0].uid);
	EXPECT_EQ(limits.segments, kept.limit[0].segments);
	EXPECT_EQ(limits.bytes_max, kept.limit[0].bytes_max);

	/* A callback that has seen enough. */
	memset(&kept, 0, sizeof(kept));
	kept.most = 1;
	ASSERT_EQ(IPM_RESULT_SUCCESS,
		  ipm_monitor_handles(self->monitor, 0, keep_handle, &kept, NULL));
	EXPECT_EQ(1, kept.nr);
	close(other);
}

/* What is not there, not allowed, or not possible. */
TEST_F(monitor, errors)
{
	static struct kept kept;

	EXPECT_EQ(IPM_RESULT_ERR_DOES_NOT_EXIST,
		  ipm_monitor_claims(self->monitor, INT32_MAX, keep_claim, &kept, NULL));
	EXPECT_EQ(IPM_RESULT_ERR_BAD_VALUE,
		  ipm_monitor_claims(self->monitor, UINT32_MAX, keep_claim, &kept, NULL));
	EXPECT_EQ(IPM_RESULT_ERR_BAD_VALUE,
		  ipm_monitor_claims(self->monitor, 0, NULL, &kept, NULL));
	EXPECT_EQ(IPM_RESULT_ERR_BAD_VALUE, ipm_monitor_subscribe(self->monitor, 8, 0));
	EXPECT_EQ(IPM_RESULT_ERR_BAD_VALUE,
		  ipm_monitor_subscribe(self->monitor, IPM_MONITOR_LIFE, UINT32_MAX));
	ASSERT_EQ(0, IN_CHILD({
		ipm_monitor *monitor;

		CHECK(0, become(STRANGER, STRANGER));
		CHECK(IPM_RESULT_SUCCESS, ipm_monitor_open(NULL, &monitor));
		CHECK(IPM_RESULT_ERR_ACCESS,
		      ipm_monitor_segments(monitor, self->id, keep_segment, &kept, NULL));
		CHECK(IPM_RESULT_SUCCESS,
		      ipm_monitor_segments(monitor, 0, keep_segment, &kept, NULL));
		CHECK(0, kept.nr);
		ipm_monitor_close(monitor);
	}));
	/* And it goes on. */
	EXPECT_EQ(IPM_RESULT_SUCCESS,
		  ipm_monitor_segments(self->monitor, self->id, keep_segment, &kept, NULL));
	EXPECT_EQ(1, kept.nr);
}

/* --- events --- */

struct heard {
	uint64_t events;
	uint64_t lost;
	uint64_t losses;
	uint64_t last_seq;
	uint64_t most;
	ipm_monitor_event last;
	char name[300];
	bool disorder;
};

static bool hear(const ipm_monitor_event *event, void *data)
{
	struct heard *heard = data;

	heard->last = *event;
	snprintf(heard->name, sizeof(heard->name), "%s", event->name);
	if (event->type == IPM_MONITOR_EVENT_LOST) {
		heard->lost += event->count;
		heard->losses++;
		heard->disorder |= event->seq != heard->last_seq + event->count;
	} else {
		heard->events++;
		heard->disorder |= event->seq != heard->last_seq + 1;
	}
	heard->last_seq = event->seq;
	return heard->events + heard->losses != heard->most;
}

/* Events come, in their order, and wake poll(). */
TEST_F(monitor, events)
{
	struct pollfd p = { .fd = ipm_monitor_fd(self->monitor), .events = POLLIN };
	struct heard heard = { 0 };
	int fd;

	EXPECT_EQ(IPM_RESULT_ERR_BAD_INIT,
		  ipm_monitor_dispatch(self->monitor, IPM_DEADLINE_NOW, hear, &heard));
	ASSERT_EQ(IPM_RESULT_SUCCESS, ipm_monitor_subscribe(self->monitor, IPM_MONITOR_ALL, 0));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(IPM_RESULT_ERR_WOULD_BLOCK,
		  ipm_monitor_dispatch(self->monitor, IPM_DEADLINE_NOW, hear, &heard));
	EXPECT_EQ(IPM_RESULT_ERR_TIMEOUT,
		  ipm_monitor_dispatch(self->monitor, ipm_deadline_after(1000000), hear, &heard));
	EXPECT_EQ(0, heard.events);

	fd = make_named(self->dev, "event", PAGE, 0);
	ASSERT_FD(fd);
	ASSERT_EQ(1, poll(&p, 1, PATIENCE_MS));
	ASSERT_EQ(IPM_RESULT_SUCCESS,
		  ipm_monitor_dispatch(self->monitor, IPM_DEADLINE_NONE, hear, &heard));
	EXPECT_EQ(1, heard.events);
	EXPECT_EQ(IPM_MONITOR_EVENT_CREATED, heard.last.type);
	EXPECT_STREQ("event", heard.name);
	EXPECT_EQ(PAGE, heard.last.size);
	EXPECT_EQ(0600, heard.last.mode);
	EXPECT_EQ(getpid(), heard.last.who.pid);

	/* One that ends the call; the rest is for the next. */
	close(fd);
	close(make_private(self->dev, PAGE, 0));
	heard.most = 2;
	while (heard.events < 2)
		ASSERT_EQ(IPM_RESULT_SUCCESS,
			  ipm_monitor_dispatch(self->monitor, IPM_DEADLINE_NONE, hear, &heard));
	EXPECT_EQ(IPM_MONITOR_EVENT_GONE, heard.last.type);
	heard.most = 0;
	while (heard.events < 4)
		ASSERT_EQ(IPM_RESULT_SUCCESS,
			  ipm_monitor_dispatch(self->monitor, ipm_deadline_after(PATIENCE_MS * 1000000LL),
					       hear, &heard));
	EXPECT_EQ(false, heard.disorder);
	EXPECT_EQ(0, heard.losses);

	/* Of one segment, and none. */
	ASSERT_EQ(IPM_RESULT_SUCCESS,
		  ipm_monitor_subscribe(self->monitor, IPM_MONITOR_LIFE, self->id));
	close(make_private(self->dev, PAGE, 0));
	ASSERT_EQ(0, call_grow(self->fd, 2 * PAGE, 0));
	ASSERT_EQ(IPM_RESULT_SUCCESS,
		  ipm_monitor_dispatch(self->monitor, IPM_DEADLINE_NONE, hear, &heard));
	EXPECT_EQ(IPM_MONITOR_EVENT_GROWN, heard.last.type);
	EXPECT_EQ(5, heard.events);
	ASSERT_EQ(IPM_RESULT_SUCCESS, ipm_monitor_subscribe(self->monitor, 0, 0));
	EXPECT_EQ(IPM_RESULT_ERR_BAD_INIT,
		  ipm_monitor_dispatch(self->monitor, IPM_DEADLINE_NOW, hear, &heard));
}

/* A signal ends the wait. */
TEST_F(monitor, signal)
{
	const struct sigaction action = { .sa_handler = do_nothing };
	struct heard heard = { 0 };
	pid_t parent = getpid(), child;

	sigaction(SIGUSR1, &action, NULL);
	ASSERT_EQ(IPM_RESULT_SUCCESS, ipm_monitor_subscribe(self->monitor, IPM_MONITOR_ALL, 0));
	child = fork();
	if (!child) {
		/* Until it is heard: the first may come before the wait. */
		for (;;) {
			kill(parent, SIGUSR1);
			nap();
		}
	}
	EXPECT_EQ(IPM_RESULT_INTERRUPTED,
		  ipm_monitor_dispatch(self->monitor, IPM_DEADLINE_NONE, hear, &heard));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A reader that does not keep up is told exactly how much it missed, and where. */
TEST_F(monitor, overrun)
{
	struct pollfd p = { .fd = ipm_monitor_fd(self->monitor) };
	const uint64_t events = 5000;
	struct heard heard = { 0 };
	int small = 4096;

	ASSERT_EQ(IPM_RESULT_SUCCESS, ipm_monitor_subscribe(self->monitor, IPM_MONITOR_LIFE, 0));
	ASSERT_EQ(0, setsockopt(ipm_monitor_fd(self->monitor), SOL_SOCKET, SO_RCVBUF, &small,
				sizeof(small)));
	for (uint64_t i = 0; i < events; i++)
		ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0));
	/* They may all be told of late, and must not be read as fast as that. */
	ASSERT_TRUE(wait_until(poll(&p, 1, 0) == 1 && p.revents & POLLERR));
	while (heard.last_seq < events) {
		ipm_result result = ipm_monitor_dispatch(self->monitor,
							 ipm_deadline_after(1000000000), hear,
							 &heard);

		/* The last of them were counted after it had asked: one more event. */
		if (result == IPM_RESULT_ERR_TIMEOUT)
			break;
		ASSERT_EQ(IPM_RESULT_SUCCESS, result);
	}
	ASSERT_EQ(0, call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0));
	while (heard.last_seq < events + 1)
		ASSERT_EQ(IPM_RESULT_SUCCESS,
			  ipm_monitor_dispatch(self->monitor,
					       ipm_deadline_after(PATIENCE_MS * 1000000LL), hear,
					       &heard));
	EXPECT_EQ(events + 1, heard.events + heard.lost);
	EXPECT_LT(0, heard.losses);
	EXPECT_LT(0, heard.events);
	EXPECT_EQ(false, heard.disorder);
	note("%llu heard, %llu lost in %llu places", (unsigned long long)heard.events,
	     (unsigned long long)heard.lost, (unsigned long long)heard.losses);
}

/* Events as fast as four processes make them: none is missing, or it is counted. */
TEST_F_TIMEOUT(monitor, flood, 120)
{
	const uint64_t each = 5000, events = 4 * each;
	struct heard heard = { 0 };
	int64_t start = now_ns(CLOCK_MONOTONIC);
	pid_t pids[4];

	ASSERT_EQ(IPM_RESULT_SUCCESS, ipm_monitor_subscribe(self->monitor, IPM_MONITOR_LIFE, 0));
	for (int p = 0; p < 4; p++) {
		pids[p] = fork();
		if (!pids[p]) {
			for (uint64_t i = 0; i < each; i++) {
				if (call_set(self->fd, IPM_SET_MODE, 0600, 0, 0, 0))
					_exit(1);
			}
			_exit(0);
		}
	}
	while (heard.last_seq < events)
		ASSERT_EQ(IPM_RESULT_SUCCESS,
			  ipm_monitor_dispatch(self->monitor,
					       ipm_deadline_after(PATIENCE_MS * 1000000LL), hear,
					       &heard));
	EXPECT_EQ(events, heard.events + heard.lost);
	EXPECT_EQ(false, heard.disorder);
	note("%llu events in %lld ms, %llu lost", (unsigned long long)events,
	     (long long)(now_ns(CLOCK_MONOTONIC) - start) / 1000000,
	     (unsigned long long)heard.lost);
	for (int p = 0; p < 4; p++) {
		int status;

		waitpid(pids[p], &status, 0);
		EXPECT_EQ(0, status);
	}
}

/* --- the storm --- */

struct sums {
	uint64_t entries;
	uint64_t id_sum;
	uint64_t segments;
	uint32_t last_segment;
	bool wrong;
};

static bool sum_segment(const ipm_monitor_segment *segment, void *data)
{
	struct sums *sums = data;

	sums->wrong |= segment->id <= sums->last_segment || segment->size > segment->capacity;
	sums->last_segment = segment->id;
	sums->entries++;
	return true;
}

static bool sum_handle(const ipm_monitor_handle *handle, void *data)
{
	struct sums *sums = data;

	sums->wrong |= handle->segment < sums->last_segment || !handle->id || handle->who.hidden;
	sums->last_segment = handle->segment;
	sums->entries++;
	return true;
}

static bool sum_claim(const ipm_monitor_claim *claim, void *data)
{
	struct sums *sums = data;

	sums->wrong |= claim->segment < sums->last_segment || !claim->id || !claim->nr_ranges;
	sums->last_segment = claim->segment;
	sums->entries++;
	sums->id_sum += claim->id * 31 + claim->ranges[0].offset * 7 + claim->ranges[0].length +
			claim->segment;
	return true;
}

static bool sum_waiter(const ipm_monitor_waiter *waiter, void *data)
{
	struct sums *sums = data;

	/* Who waits for himself would be a deadlock. */
	sums->wrong |= !waiter->id || !waiter->nr_ranges ||
		       (waiter->blocker.claim && waiter->blocker.handle == waiter->handle);
	sums->entries++;
	return true;
}

static bool sum_doubt(const ipm_monitor_doubt *doubt, void *data)
{
	struct sums *sums = data;

	sums->wrong |= !doubt->length;
	sums->entries++;
	return true;
}

/* The claims that /proc tells of the handles of a process, and what stands there. */
static void sum_fdinfo(pid_t pid, struct sums *sums)
{
	char path[300], line[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		unsigned int segment = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", pid, entry->d_name);
		file = fopen(path, "re");
		while (file && fgets(line, sizeof(line), file)) {
			unsigned long long id, offset, length;
			char state[20], mode[20];

			sscanf(line, "id:\t%u", &segment);
			if (sscanf(line, "claim:\t%llu %19s %19s %llu %llu", &id, state, mode, &offset,
				   &length) == 5 && !strcmp(state, "held")) {
				sums->entries++;
				sums->id_sum += id * 31 + offset * 7 + length + segment;
			}
		}
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
}

#define STORMERS 5

/* Random work on segments that all share, until it is told to stand still. */
static void stormer(int dev, unsigned int seed, const volatile int *still, volatile int *standing)
{
	int fds[6] = { -1, -1, -1, -1, -1, -1 };

	while (!*still) {
		int i = rand_r(&seed) % 6;
		char name[32];
		uint64_t id;

		if (fds[i] < 0) {
			snprintf(name, sizeof(name), "storm-%d", rand_r(&seed) % 8);
			fds[i] = call_create(dev, ref_name(name), PAGE, 16 * PAGE, 0, IPM_READ_WRITE,
					     0600, NULL);
			continue;
		}
		switch (rand_r(&seed) % 8) {
		case 0:
			close(fds[i]);
			fds[i] = -1;
			break;
		case 1:
			call_release_all(fds[i]);
			break;
		case 2:
			call_remove(fds[i], ref_none());
			break;
		default: {
			struct ipm_claim arg = claim_arg(rand_r(&seed) % 1000, 1 + rand_r(&seed) % 50,
							 rand_r(&seed) % 2, IPM_CLAIM_DEADLINE);

			arg.deadline = in_ms(2);
			if (!call_claim_arg(fds[i], &arg) && rand_r(&seed) % 3 == 0)
				call_release(fds[i], arg.id);
			(void)id;
		}
		}
	}
	*standing = 1;
	for (;;)
		pause();
}

/*
 * A storm of creates, claims and kills: every list is well formed all the time, and
 * when it stands still the claims are those that /proc knows.
 */
TEST_F_TIMEOUT(monitor, storm, 600)
{
	unsigned int seed = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) :
					     (unsigned int)now_ns(CLOCK_REALTIME);
	volatile int *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				    -1, 0);
	const int rounds = 2;
	pid_t pids[STORMERS];
	int lists = 0, inexact = 0;
	bool exact;

	note("SEED=%u repeats this", seed);
	for (int round = 0; round < rounds; round++) {
		struct sums told, known;

		memset((void *)shared, 0, PAGE);
		for (int p = 0; p < STORMERS; p++) {
			unsigned int mine = rand_r(&seed);

			pids[p] = fork();
			if (!pids[p]) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				stormer(self->dev, mine, &shared[0], &shared[1 + p]);
			}
		}
		for (int i = 0; i < 20; i++) {
			struct sums sums[5] = { 0 };
			int victim = rand_r(&seed) % STORMERS;

			ASSERT_EQ(IPM_RESULT_SUCCESS,
				  ipm_monitor_segments(self->monitor, 0, sum_segment, &sums[0], &exact));
			inexact += !exact;
			ASSERT_EQ(IPM_RESULT_SUCCESS,
				  ipm_monitor_handles(self->monitor, 0, sum_handle, &sums[1], &exact));
			inexact += !exact;
			ASSERT_EQ(IPM_RESULT_SUCCESS,
				  ipm_monitor_claims(self->monitor, 0, sum_claim, &sums[2], &exact));
			inexact += !exact;
			ASSERT_EQ(IPM_RESULT_SUCCESS,
				  ipm_monitor_waiters(self->monitor, 0, sum_waiter, &sums[3], &exact));
			inexact += !exact;
			ASSERT_EQ(IPM_RESULT_SUCCESS,
				  ipm_monitor_doubts(self->monitor, 0, sum_doubt, &sums[4], &exact));
			inexact += !exact;
			lists += 5;
			for (int k = 0; k < 5; k++)
				ASSERT_EQ(false, sums[k].wrong);
			if (i % 6)
				continue;
			/* One is killed, and another takes its place. */
			kill(pids[victim], SIGKILL);
			waitpid(pids[victim], NULL, 0);
			shared[1 + victim] = 0;
			{
				unsigned int mine = rand_r(&seed);

				pids[victim] = fork();
				if (!pids[victim]) {
					prctl(PR_SET_PDEATHSIG, SIGKILL);
					stormer(self->dev, mine, &shared[0], &shared[1 + victim]);
				}
			}
		}
		shared[0] = 1;
		for (int p = 0; p < STORMERS; p++)
			ASSERT_EQ(true, wait_until(shared[1 + p]));
		memset(&told, 0, sizeof(told));
		memset(&known, 0, sizeof(known));
		ASSERT_EQ(IPM_RESULT_SUCCESS,
			  ipm_monitor_claims(self->monitor, 0, sum_claim, &told, &exact));
		EXPECT_EQ(true, exact);
		for (int p = 0; p < STORMERS; p++)
			sum_fdinfo(pids[p], &known);
		EXPECT_EQ(known.entries, told.entries);
		EXPECT_EQ(known.id_sum, told.id_sum);
		EXPECT_LT(0, told.entries);
		for (int p = 0; p < STORMERS; p++) {
			kill(pids[p], SIGKILL);
			waitpid(pids[p], NULL, 0);
		}
	}
	note("%d lists, of which %d are not of one moment", lists, inexact);
	munmap((void *)shared, PAGE);
}

TEST_HARNESS_MAIN
