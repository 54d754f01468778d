// SPDX-License-Identifier: GPL-2.0
/*
 * Users of several namespaces, without any rights, do anything at all with segments:
 * create, open, grow, claim, map, remove, change who may use them, fork, exec, pass
 * handles to strangers, list what there is and listen to what happens, try to unload
 * the module. They are killed at random moments, and root tries to unload the module all
 * the while. Afterwards nothing is left, of none of them, as many segments have ended as
 * were made, and as many claims as were granted.
 *
 * The seed is printed; IPM_SEED=number repeats the random choices (not the order in
 * which the kernel runs the processes). IPM_SECONDS=number chooses for how long.
 *
 * vm: TIMEOUT=1200
 */
#include "storm.h"
#include "netlink_test.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#define NAMESPACES	4
#define OF_ROOT		2	/* made by root; others by a user, with a user namespace */
#define USERS		3	/* of each */
#define FIRST_UID	4100
#define PROCESSES	10	/* of one namespace, at the same time, and what they fork */
#define FORKS		2	/* of each, and of those */
#define SECONDS		15
#define LONGER		300	/* seconds more, until all that they may do has happened */
#define NO_NAMESPACE	77
#define GO_ON		"IPM_STORM_GO_ON"
#define TRACING		"/sys/kernel/tracing/"

enum { CREATED, ENDED, GRANTED, RELEASED };
static const char *const events[] = {
	[CREATED] = "ipm_segment_create", [ENDED] = "ipm_segment_destroy",
	[GRANTED] = "ipm_claim_grant", [RELEASED] = "ipm_claim_release",
};

/* What each of must have succeeded, or have been refused as it has to be. */
enum act {
	LINKED, DOUBTS, MAPPING, LIMITS, GIVEN, SET_BY_ID, INFO_BY_ID, NOT_REMOVED, ATTACHED,
	STATUS, CUT, MOVED, LISTED, LISTENED, ACTS
};

/* What all of them did, in shared memory that exec leaves to them. */
static struct tally {
	uint64_t operations;
	uint64_t waves;
	uint64_t forks;
	uint64_t execs;
	uint64_t passed;
	uint64_t received;
	uint64_t kept_loaded;
	uint64_t converts;
	uint64_t acts[ACTS];
	uint64_t done;
} *tally;
static int tally_fd;

/* Where they leave handles for anybody. */
static int pool[2];

static int depth;

/* A socket that lists and listens, or not yet. */
static struct nl nl;

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

/* Each convert is one grant more. */
static bool count_converts(const struct call *call, const void *arg)
{
	(void)arg;
	if (call->request == IPM_IOC_CONVERT)
		count(&tally->converts);
	return true;
}

static void done(enum act act, bool ok)
{
	if (ok)
		count(&tally->acts[act]);
}

static void be_of_them(void)
{
	wrong_results_are_fatal = true;
	good_results = count_converts;
}

/* Maps a segment by its number, or its status page, and lets a part of it go. */
static void map_otherwise(struct victim *v, int fd, const struct ipm_info *info)
{
	size_t size = (info->size + PAGE - 1) & -PAGE;
	int prot = random_below(2) ? PROT_READ : PROT_READ | PROT_WRITE;
	char *map, *place;

	switch (random_below(4)) {
	case 0:
		map = mmap(NULL, size, prot, MAP_SHARED, v->dev, IPM_ATTACH_OFFSET(info->ref.id));
		done(ATTACHED, map != MAP_FAILED);
		break;
	case 1:
		size = random_below(2) ? IPM_STATUS_SIZE : IPM_STATUS_SLOTS_SIZE;
		map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, IPM_STATUS_OFFSET);
		done(STATUS, map != MAP_FAILED);
		break;
	case 2:
		size = CAPACITY;
		map = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			return;
		done(CUT, !munmap(map + size / 4, size / 4) &&
			  !munmap(map + size * 3 / 4, size / 4));
		break;
	default:
		size = CAPACITY;
		map = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
		place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED || place == MAP_FAILED)
			return;
		map = mremap(map, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
		done(MOVED, map == place);
	}
	if (map == MAP_FAILED)
		return;
	__atomic_load_n(map, __ATOMIC_RELAXED);
	/* Some stay, for those who kill. */
	if (random_below(4))
		munmap(map, size);
}

static void listen_or_list(void)
{
	static const uint8_t commands[] = {
		IPM_NL_CMD_SEGMENTS, IPM_NL_CMD_HANDLES, IPM_NL_CMD_CLAIMS, IPM_NL_CMD_WAITERS,
		IPM_NL_CMD_DOUBTS, IPM_NL_CMD_LIMITS,
	};
	struct request r;

	if (!nl.buffer && nl_open(&nl)) {
		nl_close(&nl);
		return;
	}
	switch (random_below(5)) {
	case 0:
		done(LISTENED, nl_subscribe(&nl, random_below(8), 0) >= 0);
		break;
	case 1:
		while (nl_read(&nl, MSG_DONTWAIT) > 0)
			;
		break;
	case 2:
		/* A list that is not read to its end. */
		r = request_new(nl.family, NLM_F_DUMP, commands[random_below(6)], IPM_NL_VERSION);
		nl_send(&nl, &r);
		nl_close(&nl);
		break;
	default:
		done(LISTED, nl_dump(&nl, commands[random_below(6)], 0, NULL, NULL) >= 0);
	}
}

static void do_otherwise(struct victim *v, int i)
{
	static const uint32_t modes[] = { 0600, 0640, 0666 };
	struct ipm_doubt_range list[4];
	struct ipm_mapping mapping;
	struct ipm_limits limits;
	struct ipm_info info;
	int fd = v->fds[i];

	if (fd < 0 || call_info(fd, &info))
		return;
	switch (random_below(12)) {
	case 0:
		close(fd);
		fd = v->fds[i] = make_private(v->dev, 1 + random_below(PAGE), CAPACITY);
		done(LINKED, fd >= 0 && !call_link(fd, random_ref()));
		break;
	case 1:
		done(DOUBTS, call_doubt(fd, 0, 0, list, 4) >= 0);
		break;
	case 2:
		done(MAPPING, !call_mapping(v->dev, v->maps[i], &mapping));
		break;
	case 3:
		done(LIMITS, !call_limits(v->dev, &limits));
		break;
	case 4:
		if (!call_slot(fd, 0, NULL, NULL))
			done(GIVEN, !call_slot(fd, IPM_SLOT_GIVE, NULL, NULL));
		break;
	case 5:
		done(SET_BY_ID, !call_set_by(v->dev, info.ref.id, IPM_SET_MODE,
					     modes[random_below(3)], 0));
		break;
	case 6:
		done(INFO_BY_ID, !call_info_flags(v->dev, ref_id(1 + random_below(info.ref.id)),
						  IPM_INFO_NEXT, &info));
		break;
	case 7:
		/* Rarely, or the owner's would not last. */
		if (random_below(10) == 0)
			done(NOT_REMOVED, call_remove(v->dev, random_ref()) == -EPERM);
		break;
	case 8:
	case 9:
		listen_or_list();
		break;
	default:
		map_otherwise(v, fd, &info);
	}
}

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
	/* Answers are for the one who asked. */
	if (nl.buffer)
		nl_close(&nl);
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
	be_of_them();
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
		call_set(fd, IPM_SET_UID, 0, random_below(2) ? random_below(USERS) :
			 FIRST_UID + random_below(NAMESPACES * USERS), 0, 0);
		break;
	case 11:
		/* It ends with its namespace. */
		call_set(fd, IPM_SET_LIFETIME, 0, 0, 0, random_below(2));
		break;
	case 12:
		if (random_below(8) == 0)
			unload_one();
		break;
	case 13 ... 32:
		do_otherwise(v, i);
		break;
	default:
		do_something(v);
	}
}

static void live(uid_t uid)
{
	struct victim v = { .fds = { -1, -1, -1, -1 } };

	be_of_them();
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
	for (int i = 0; i < ACTS; i++) {
		if (!__atomic_load_n(&tally->acts[i], __ATOMIC_RELAXED))
			return false;
	}
	return __atomic_load_n(&tally->forks, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&tally->execs, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&tally->received, __ATOMIC_RELAXED);
}

/* Begins many processes, and kills them one after the other while they are busy. */
static void wave(uid_t first)
{
	pid_t pids[PROCESSES];
	int status;

	for (int i = 0; i < PROCESSES; i++) {
		uint64_t state = random_next() | 1;

		pids[i] = fork();
		CHECK(1, pids[i] >= 0);
		if (!pids[i]) {
			random_state = state;
			live(first + i % USERS);
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

/* One of root's who gives a user namespace its users, when it is there. */
static pid_t begin_mapping(uid_t first, int go[2])
{
	static const char *const files[] = { "uid_map", "gid_map" };
	pid_t whose = getpid(), pid;
	char path[64], text[64];

	CHECK(0, pipe2(go, O_CLOEXEC));
	pid = fork();
	CHECK(1, pid >= 0);
	if (pid)
		return pid;
	close(go[1]);
	if (read(go[0], text, 1) != 1)
		_exit(0);
	snprintf(text, sizeof(text), "0 %d %d\n", first, USERS);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", whose, files[i]);
		CHECK(0, write_text(path, text));
	}
	_exit(0);
}

static void keep_namespace(int number, int64_t end)
{
	uid_t uid = FIRST_UID + number * USERS;
	int go[2], status;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	CHECK(0, come_first());
	if (number < OF_ROOT) {
		CHECK(0, unshare(CLONE_NEWNET));
	} else {
		pid = begin_mapping(uid, go);
		CHECK(0, become(uid, uid));
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(NO_NAMESPACE);
		CHECK(1, write(go[1], "", 1));
		CHECK(pid, waitpid(pid, &status, 0));
		CHECK(0, status);
		close(go[0]);
		close(go[1]);
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
	long long memory = meminfo("Shmem"), counted[ARRAY_LENGTH(events)], ended;
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
	ended = tally->waves * PROCESSES + tally->forks;
	note("%lld segments were made, %lld have ended; %lld claims were granted or converted, "
	     "%lld have ended, %llu converts", counted[CREATED], counted[ENDED], counted[GRANTED],
	     counted[RELEASED], (unsigned long long)tally->converts);
	ASSERT_LT(0, counted[CREATED]);
	ASSERT_EQ(counted[CREATED], counted[ENDED]);
	/* Each that was killed may have done one convert that it did not count any more. */
	ASSERT_LT(0, counted[RELEASED]);
	ASSERT_LE((long long)tally->converts, counted[GRANTED] - counted[RELEASED]);
	ASSERT_GE((long long)tally->converts + ended, counted[GRANTED] - counted[RELEASED]);
}

TEST_HARNESS_MAIN
