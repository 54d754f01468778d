// SPDX-License-Identifier: GPL-2.0
/*
 * Users of several namespaces, without any rights, do anything at all with segments:
 * create, open, grow, claim, map, remove, change who may use them, fork, exec, pass
 * handles to strangers, try to unload the module. They are killed at random moments,
 * and root tries to unload the module all the while. Afterwards nothing is left, of
 * none of them, and as many segments have ended as were made.
 *
 * The seed is printed; IPM_SEED=number repeats the random choices (not the order in
 * which the kernel runs the processes). IPM_SECONDS=number chooses for how long.
 *
 * vm: TIMEOUT=1200
 */
#include "storm.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#define NAMESPACES	4
#define OF_ROOT		2	/* made by root, for USERS users; others by a user for himself */
#define USERS		3
#define FIRST_UID	4100
#define PROCESSES	10	/* of one namespace, at the same time, and what they fork */
#define FORKS		2	/* of each, and of those */
#define SECONDS		15
#define LONGER		300	/* seconds more, until all that they may do has happened */
#define NO_NAMESPACE	77
#define GO_ON		"IPM_STORM_GO_ON"
#define TRACING		"/sys/kernel/tracing/"

static const char *const events[] = { "ipm_segment_create", "ipm_segment_destroy" };

/* What all of them did, in shared memory that exec leaves to them. */
static struct tally {
	uint64_t operations;
	uint64_t waves;
	uint64_t forks;
	uint64_t execs;
	uint64_t passed;
	uint64_t received;
	uint64_t kept_loaded;
	uint64_t done;
} *tally;
static int tally_fd;

/* Where they leave handles for anybody. */
static int pool[2];

static int depth;

/* Naps that a wave may have at most before they are killed. */
static uint32_t patience = 600;

static void count(uint64_t *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static struct tally *map_tally(void)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, tally_fd, 0);
}

/* --- one of them --- */

static void do_more(struct victim *v);

static void keep_on(struct victim *v)
{
	for (;;) {
		do_more(v);
		count(&tally->operations);
	}
}

/* A child that shares all that they have. */
static void fork_one(void)
{
	pid_t parent = getpid();

	if (depth == FORKS || fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	depth++;
	random_state ^= 0x9e3779b97f4a7c15ULL * parent;
	/* Its parent died before that was asked for. */
	if (getppid() != parent)
		_exit(0);
	count(&tally->forks);
}

/* A file descriptor for the program that comes, or -1 for one that ends with exec. */
static int across_exec(int fd, bool always)
{
	if (fd < 0 || (!always && random_below(2)))
		return -1;
	return fcntl(fd, F_SETFD, 0) ? -1 : fd;
}

static void exec_one(struct victim *v)
{
	char text[200];
	int fds[4];

	for (int i = 0; i < 4; i++)
		fds[i] = across_exec(v->fds[i], false);
	snprintf(text, sizeof(text), "%llu %d %d %d %d %d %d %d %d %d %d %d",
		 (unsigned long long)random_next(), depth, across_exec(v->dev, true), fds[0],
		 fds[1], fds[2], fds[3], across_exec(v->pair[0], true),
		 across_exec(v->pair[1], true), across_exec(pool[0], true),
		 across_exec(pool[1], true), across_exec(tally_fd, true));
	setenv(GO_ON, text, 1);
	execl("/proc/self/exe", "storm_users", (char *)NULL);
	note("exec: %s", strerror(errno));
	_exit(1);
}

/* The program that comes does what the one before it did. */
static void __attribute__((constructor)) maybe_go_on(void)
{
	const char *text = getenv(GO_ON);
	unsigned long long state;
	struct victim v = { 0 };

	if (!text)
		return;
	wrong_results_are_fatal = true;
	if (sscanf(text, "%llu %d %d %d %d %d %d %d %d %d %d %d", &state, &depth, &v.dev,
		   &v.fds[0], &v.fds[1], &v.fds[2], &v.fds[3], &v.pair[0], &v.pair[1], &pool[0],
		   &pool[1], &tally_fd) != 12)
		_exit(1);
	random_state = state | 1;
	tally = map_tally();
	if (tally == MAP_FAILED)
		_exit(1);
	count(&tally->execs);
	keep_on(&v);
}

/* Only root may try. */
static void unload_one(void)
{
	if (syscall(SYS_delete_module, "ipm", O_NONBLOCK) != -1 || errno != EPERM) {
		note("who may not unload the module was told: %s", strerror(errno));
		_exit(1);
	}
}

static void do_more(struct victim *v)
{
	static const uint32_t modes[] = { 0600, 0644, 0666, 0 };
	int i = random_below(ARRAY_LENGTH(v->fds)), fd = v->fds[i], got;

	switch (random_below(100)) {
	case 0:
		if (random_below(8) == 0)
			fork_one();
		break;
	case 1:
		if (random_below(10) == 0)
			exec_one(v);
		break;
	case 2:
	case 3:
	case 4:
		if (fd >= 0 && !send_fd(pool[0], fd))
			count(&tally->passed);
		break;
	case 5:
	case 6:
	case 7:
		got = receive_fd(pool[1]);
		if (got < 0)
			break;
		count(&tally->received);
		close(fd);
		v->fds[i] = got;
		break;
	case 8:
	case 9:
		call_set(fd, IPM_SET_MODE, modes[random_below(ARRAY_LENGTH(modes))], 0, 0, 0);
		break;
	case 10:
		call_set(fd, IPM_SET_UID, 0, FIRST_UID + random_below(NAMESPACES * USERS), 0, 0);
		break;
	case 11:
		/* It ends with its namespace. */
		call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, random_below(2));
		break;
	case 12:
		if (random_below(8) == 0)
			unload_one();
		break;
	default:
		do_something(v);
	}
}

static void live(uid_t uid)
{
	struct victim v = { .fds = { -1, -1, -1, -1 } };

	wrong_results_are_fatal = true;
	if (uid)
		CHECK(0, become(uid, uid));
	/* Another user's death would not be told. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	v.dev = open_device();
	CHECK(1, v.dev >= 0);
	CHECK(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, v.pair));
	/* Later, most would be dead before the new program begins. */
	if (random_below(8) == 0)
		exec_one(&v);
	keep_on(&v);
}

/* --- a namespace --- */

/* Those who are to be killed must not keep others from it. */
static int come_first(void)
{
	const struct sched_param priority = { .sched_priority = 1 };

	return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority);
}

/* Whether all that they may do has happened. */
static bool is_storm(void)
{
	return __atomic_load_n(&tally->forks, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&tally->execs, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&tally->received, __ATOMIC_RELAXED);
}

/* Begins many processes, and kills them one after the other while they are busy. */
static void wave(uid_t uid)
{
	pid_t pids[PROCESSES];
	int status;

	for (int i = 0; i < PROCESSES; i++) {
		uint64_t state = random_next() | 1;

		pids[i] = fork();
		CHECK(1, pids[i] >= 0);
		if (!pids[i]) {
			random_state = state;
			live(uid ? uid + i % USERS : 0);
		}
		if (random_below(8) == 0)
			nap();
	}
	for (uint32_t naps = random_below(patience); naps; naps--)
		nap();
	/* Where all takes long, so does exec. */
	if (!is_storm())
		patience *= 2;
	for (int n = PROCESSES; n; n--) {
		int i = random_below(n);
		pid_t pid = pids[i];

		CHECK(0, kill(pid, SIGKILL));
		pids[i] = pids[n - 1];
		pids[n - 1] = pid;
		if (random_below(8) == 0)
			nap();
	}
	for (int i = 0; i < PROCESSES; i++) {
		CHECK(pids[i], waitpid(pids[i], &status, 0));
		/* By itself none ends. */
		CHECK(SIGKILL, WIFSIGNALED(status) ? WTERMSIG(status) : -1);
	}
	/* The children of the killed. */
	while (waitpid(-1, &status, 0) > 0) {
		if (!WIFSIGNALED(status))
			CHECK(0, WEXITSTATUS(status));
	}
	count(&tally->waves);
}

static void keep_namespace(int number, int64_t end)
{
	uid_t uid = FIRST_UID + number * USERS;
	char text[64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	CHECK(0, come_first());
	if (number < OF_ROOT) {
		CHECK(0, unshare(CLONE_NEWNET));
	} else {
		CHECK(0, become(uid, uid));
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(NO_NAMESPACE);
		prctl(PR_SET_DUMPABLE, 1);
		snprintf(text, sizeof(text), "0 %d 1\n", uid);
		CHECK(0, write_text("/proc/self/uid_map", text));
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		uid = 0;
	}
	while (in_ms(0) < end || (!is_storm() && in_ms(0) < end + LONGER * 1000000000LL))
		wave(uid);
	_exit(0);
}

static void try_to_unload(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!__atomic_load_n(&tally->done, __ATOMIC_RELAXED)) {
		CHECK(-1, syscall(SYS_delete_module, "ipm", O_NONBLOCK));
		CHECK(EWOULDBLOCK, errno);
		count(&tally->kept_loaded);
		nap();
	}
	_exit(0);
}

/* --- how many events there were --- */

static void event_path(char *path, size_t size, const char *event, const char *file)
{
	snprintf(path, size, TRACING "instances/%s/%s", event, file);
}

static bool count_event(const char *event, bool on)
{
	char path[200], file[100];
	bool ok = true;

	event_path(path, sizeof(path), event, "");
	if (on && mkdir(path, 0700))
		return false;
	snprintf(file, sizeof(file), "events/ipm/%s/enable", event);
	event_path(path, sizeof(path), event, file);
	if (write_text(path, on ? "1" : "0"))
		ok = false;
	if (!on || !ok) {
		event_path(path, sizeof(path), event, "");
		rmdir(path);
	}
	return ok;
}

/* Those that are kept, and those for which there was no room. */
static long long event_count(const char *event)
{
	static const char *const fields[] = { "entries: ", "\noverrun: ", "dropped events: " };
	char path[200], file[50], text[2048];
	long long sum = 0;

	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		snprintf(file, sizeof(file), "per_cpu/cpu%d/stats", cpu);
		event_path(path, sizeof(path), event, file);
		read_text(path, text, sizeof(text));
		for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
			const char *found = strstr(text, fields[i]);

			if (!found)
				return -1;
			sum += atoll(found + strlen(fields[i]));
		}
	}
	return sum;
}

/* --- the test --- */

FIXTURE(storm)
{
	struct counts before;
	int dev;
	int seconds;
	bool traced;
};

FIXTURE_SETUP(storm)
{
	const char *seed = getenv("IPM_SEED"), *seconds = getenv("IPM_SECONDS");

	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)now_ns(CLOCK_REALTIME) | 1;
	self->seconds = seconds ? atoi(seconds) : SECONDS;
	note("IPM_SEED=%#llx", (unsigned long long)random_state);
	tally_fd = memfd_create("tally", MFD_CLOEXEC);
	ASSERT_FD(tally_fd);
	ASSERT_EQ(0, ftruncate(tally_fd, PAGE));
	tally = map_tally();
	ASSERT_MAPPED(tally);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pool));
	/* See trace.c on the real-time kernel. */
	self->traced = !access(TRACING "events/ipm", F_OK) && access("/sys/kernel/realtime", F_OK);
	if (!self->traced)
		note("no events of modules, or a real-time kernel: they are not counted");
	for (size_t i = 0; self->traced && i < ARRAY_LENGTH(events); i++)
		ASSERT_TRUE(count_event(events[i], true));
}

FIXTURE_TEARDOWN(storm)
{
	for (size_t i = 0; self->traced && i < ARRAY_LENGTH(events); i++)
		count_event(events[i], false);
	close(self->dev);
}

TEST_F_TIMEOUT(storm, users_of_several_namespaces, 1100)
{
	long long memory = meminfo("Shmem"), counted[ARRAY_LENGTH(events)];
	int64_t start = in_ms(0), end = start + self->seconds * 1000000000LL;
	pid_t pids[NAMESPACES], unloader;
	int status, alone = 0;

	ASSERT_LT(0, self->seconds);
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	unloader = fork();
	ASSERT_LE(0, unloader);
	if (!unloader)
		try_to_unload();
	for (int i = 0; i < NAMESPACES; i++) {
		uint64_t state = random_next() | 1;

		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i]) {
			random_state = state;
			keep_namespace(i, end);
		}
	}
	for (int i = 0; i < NAMESPACES; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		if (i >= OF_ROOT && WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACE)
			alone++;
		else
			EXPECT_EQ(0, status);
	}
	if (alone)
		note("users may not make namespaces here: %d namespaces fewer", alone);
	tally->done = 1;
	ASSERT_EQ(unloader, waitpid(unloader, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(-1, waitpid(-1, NULL, 0));
	/* What nobody came for. */
	close(pool[0]);
	close(pool[1]);

	EXPECT_COUNTS_SOON(self->before);
	for (uid_t uid = FIRST_UID; uid < FIRST_UID + NAMESPACES * USERS; uid++) {
		EXPECT_EQ(0, IN_CHILD({
			struct ipm_limits limits;

			CHECK(0, become(uid, uid));
			CHECK(0, call_limits(open_device(), &limits));
			CHECK(0, limits.segments);
			CHECK(0, limits.handles);
			CHECK(0, limits.claims);
			CHECK(0, limits.bytes);
		}));
	}
	ASSERT_GE(memory + SLACK, meminfo("Shmem"));
	note("%llu waves of %d processes each in %d namespaces, in %lld s: %llu operations, "
	     "%llu forks, %llu execs, %llu handles passed, %llu received, %llu times not unloaded",
	     (unsigned long long)tally->waves, PROCESSES, NAMESPACES - alone,
	     (long long)(in_ms(0) - start) / 1000000000, (unsigned long long)tally->operations,
	     (unsigned long long)tally->forks, (unsigned long long)tally->execs,
	     (unsigned long long)tally->passed, (unsigned long long)tally->received,
	     (unsigned long long)tally->kept_loaded);
	/* It was a storm. */
	ASSERT_TRUE(is_storm());
	ASSERT_LT(0, tally->kept_loaded);
	ASSERT_LE(tally->waves * PROCESSES, tally->operations);
	if (!self->traced)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(events); i++)
		counted[i] = event_count(events[i]);
	note("%lld segments were made, %lld have ended", counted[0], counted[1]);
	ASSERT_LT(0, counted[0]);
	ASSERT_EQ(counted[0], counted[1]);
}

TEST_HARNESS_MAIN
