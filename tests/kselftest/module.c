// SPDX-License-Identifier: GPL-2.0
/*
 * The module: it cannot be unloaded under its users, leaves nothing behind,
 * and can be loaded and unloaded for ever. It is loaded at the end as it was at
 * the beginning.
 *
 * vm: TIMEOUT=1100
 */
#include "module_test.h"
#include "netlink_test.h"

#include <poll.h>

#define NAME	"test-module"

/* Loads and unloads of the long test, unless IPM_CYCLES says how many. */
#define CYCLES		"200"
#define WARM_UP		20

/* What the kernel's own caches may keep for 180 cycles: less than a page for each. */
#define SLACK		(512 << 10)

FIXTURE(module)
{
	char parameters[256];
	struct counts before;
};

/* The parameters that the module has now, as insmod wants them. */
static void current_parameters(char *text, size_t size)
{
	static const char *const names[] = {
		"max_segments", "max_handles", "max_claims", "max_bytes",
	};
	char path[128], value[32];
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		snprintf(path, sizeof(path), PARAMETERS "%s", names[i]);
		if (*read_text(path, value, sizeof(value)))
			used += snprintf(text + used, size - used, "%s=%s ", names[i], value);
	}
}

FIXTURE_SETUP(module)
{
	ASSERT_TRUE(is_loaded());
	ASSERT_EQ(0, access(module_path(), R_OK)) {
		note("%s is not there: run this in the project's directory, or set IPM_MODULE",
		     module_path());
	}
	self->before = read_counts();
	current_parameters(self->parameters, sizeof(self->parameters));
}

FIXTURE_TEARDOWN(module)
{
	if (!is_loaded())
		EXPECT_EQ(0, load(self->parameters));
	EXPECT_COUNTS_SOON(self->before);
}

/* --- not while it is in use --- */

#define ASSERT_IN_USE()						\
	do {							\
		ASSERT_EQ(-EWOULDBLOCK, unload());		\
		ASSERT_TRUE(is_loaded());			\
		ASSERT_EQ(0, access(DEVICE, F_OK));		\
	} while (0)

TEST_F(module, in_use)
{
	int dev = open_device(), fd, reader, pair[2];
	void *map, *status;

	ASSERT_FD(dev);
	/* The device. */
	ASSERT_IN_USE();
	fd = make_named(dev, NAME, PAGE, 0);
	ASSERT_FD(fd);
	close(dev);
	/* A handle. */
	ASSERT_IN_USE();
	reader = call_reopen(fd, IPM_READ_ONLY);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
	ASSERT_MAPPED(map);
	status = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, IPM_STATUS_OFFSET);
	ASSERT_MAPPED(status);
	close(reader);
	close(fd);
	/* A mapping. */
	ASSERT_IN_USE();
	munmap(map, PAGE);
	/* The status page alone keeps nothing but itself, or it keeps the module as well. */
	if (unload()) {
		munmap(status, PAGE);
		ASSERT_EQ(0, unload());
	}
	ASSERT_FALSE(is_loaded());
	ASSERT_EQ(-1, access(DEVICE, F_OK));
	munmap(status, PAGE);
	ASSERT_EQ(0, load(""));

	/* A persistent segment, which nobody has open. */
	dev = open_device();
	ASSERT_FD(dev);
	fd = call_create(dev, ref_name(NAME), PAGE, 0, IPM_CREATE_PERSISTENT, IPM_READ_WRITE, 0600,
			 NULL);
	ASSERT_FD(fd);
	close(fd);
	close(dev);
	ASSERT_IN_USE();
	dev = open_device();
	ASSERT_EQ(0, call_remove(dev, ref_name(NAME)));
	close(dev);

	/* A handle in a socket. */
	dev = open_device();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	fd = make_private(dev, PAGE, 0);
	ASSERT_EQ(0, send_fd(pair[0], fd));
	close(fd);
	close(dev);
	ASSERT_IN_USE();
	close(pair[0]);
	close(pair[1]);
	ASSERT_EQ(0, unload_soon());
}

/* Whoever dies with everything that there is does not keep it. */
TEST_F(module, users_killed)
{
	struct actor actor;
	struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC | IPM_CLAIM_DEADLINE);
	int dev = open_device(), fd = make_private(dev, PAGE, 4 * PAGE);
	int other = call_reopen(fd, IPM_READ_WRITE);
	void *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	void *status = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, IPM_STATUS_OFFSET);

	ASSERT_MAPPED(map);
	ASSERT_MAPPED(status);
	ASSERT_EQ(0, actor_start(&actor, false));
	ASSERT_EQ(0, actor_claim(&actor, fd, 0, 10, WRITE, 0, NULL));
	arg.deadline = in_ms(3600000);
	actor_give_claim(&actor, other, arg);
	ASSERT_EQ(0, actor_result(&actor));
	ASSERT_WAITS_ARG(&actor, other, claim_arg(0, 10, READ, IPM_CLAIM_NO_DEADLOCK), 2);
	munmap(map, PAGE);
	munmap(status, PAGE);
	close(other);
	close(fd);
	close(dev);
	ASSERT_IN_USE();
	ASSERT_EQ(SIGKILL, actor_kill(&actor));
	ASSERT_EQ(0, unload());
}

/* --- and netlink --- */

/* Bytes for one read: lists of more than 50 claims take several. */
#define SMALL_ROOM	8192
#define MANY_CLAIMS	200

/* A handle with so many claims that a list of them is not made at once. */
static int make_claims(void)
{
	int dev = open_device(), fd = make_private(dev, PAGE, 0);

	for (int i = 0; i < MANY_CLAIMS && fd >= 0; i++) {
		if (call_claim(fd, 2 * i, 1, READ, 0, NULL)) {
			close(fd);
			fd = -EBADMSG;
		}
	}
	close(dev);
	return fd;
}

static int ask_for_claims(struct nl *nl)
{
	struct request r = request_new(nl->family, NLM_F_DUMP, IPM_NL_CMD_CLAIMS, IPM_NL_VERSION);

	return nl_send(nl, &r);
}

/* Not while a list is being read; and what a socket listens to does not matter. */
TEST_F_TIMEOUT(module, list_half_read, 120)
{
	struct nl nl;
	int fd, ret;

	/* It was asked for, and no more; then also read in part. */
	for (int reads = 0; reads < 3; reads++) {
		ASSERT_EQ(0, nl_open_room(&nl, SMALL_ROOM));
		fd = make_claims();
		ASSERT_FD(fd);
		ASSERT_EQ(0, ask_for_claims(&nl));
		for (int i = 0; i < reads; i++)
			ASSERT_LT(0, nl_read(&nl, 0));
		/* Nothing but the list needs the module now. */
		close(fd);
		ASSERT_IN_USE();
		ret = nl_answers(&nl, NULL, NULL, false);
		ASSERT_LE(0, ret);
		ASSERT_GT(MANY_CLAIMS, ret);
		/* What was to come has gone. */
		EXPECT_EQ(true, nl.interrupted);
		ASSERT_EQ(0, unload_soon());
		/* The socket is as good as any, for what there is. */
		EXPECT_EQ(-ENOENT, ask_for_claims(&nl) ?: nl_answers(&nl, NULL, NULL, false));
		nl_close(&nl);
		ASSERT_EQ(0, load(self->parameters));
	}

	/* Its reader closes the socket, or is killed. */
	for (int killed = 0; killed < 2; killed++) {
		fd = make_claims();
		ASSERT_FD(fd);
		ASSERT_EQ(killed ? SIGKILL : 0, IN_CHILD({
			CHECK(0, nl_open_room(&nl, SMALL_ROOM));
			CHECK(0, ask_for_claims(&nl));
			CHECK(1, nl_read(&nl, 0) > 0);
			CHECK(-EWOULDBLOCK, unload());
			close(fd);
			if (killed)
				raise(SIGKILL);
			nl_close(&nl);
		}));
		close(fd);
		ASSERT_EQ(0, unload_soon());
		ASSERT_EQ(0, load(self->parameters));
	}
}

/* A listener does not keep the module, and hears nothing of the next one. */
TEST_F_TIMEOUT(module, listeners, 120)
{
	enum { LISTENERS = 20, EVENTS = 300 };
	struct nl nl[LISTENERS], after;
	struct pollfd p;
	ssize_t size;
	int dev, fd;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < LISTENERS; i++) {
			ASSERT_EQ(0, nl_open(&nl[i]));
			ASSERT_EQ(0, nl_subscribe(&nl[i], IPM_NL_GROUP_LIFE | IPM_NL_GROUP_CLAIMS |
						  IPM_NL_GROUP_DEATHS, 0));
		}
		/* With events under way, that nobody has read. */
		dev = open_device();
		fd = make_private(dev, PAGE, 0);
		for (int i = 0; i < EVENTS; i++)
			ASSERT_EQ(0, call_set(fd, IPM_SET_MODE, 0600, 0, 0, 0));
		close(fd);
		close(dev);
		ASSERT_EQ(0, unload());
		/* Some go before, some after the next one comes. */
		for (int i = 0; i < LISTENERS / 2; i++)
			nl_close(&nl[i]);
		ASSERT_EQ(0, load(self->parameters));
		for (int i = LISTENERS / 2; i < LISTENERS; i++) {
			/* What it was told while it could be; ENOBUFS if that was too much. */
			while ((size = nl_read(&nl[i], MSG_DONTWAIT)) != -EAGAIN)
				ASSERT_TRUE(size > 0 || size == -ENOBUFS);
		}
		ASSERT_EQ(0, nl_open(&after));
		ASSERT_EQ(0, nl_subscribe(&after, IPM_NL_GROUP_LIFE, 0));
		dev = open_device();
		close(make_private(dev, PAGE, 0));
		close(dev);
		p = (struct pollfd) { .fd = after.fd, .events = POLLIN };
		ASSERT_EQ(1, poll(&p, 1, PATIENCE_MS));
		for (int i = LISTENERS / 2; i < LISTENERS; i++) {
			ASSERT_EQ(-EAGAIN, nl_read(&nl[i], MSG_DONTWAIT));
			/* It may subscribe again, and begins anew. */
			nl[i].family = after.family;
			ASSERT_EQ(0, nl_subscribe(&nl[i], IPM_NL_GROUP_LIFE, 0));
			nl_close(&nl[i]);
		}
		nl_close(&after);
	}
}

/* --- loading --- */

TEST_F(module, loaded_twice)
{
	ASSERT_EQ(-EEXIST, load(""));
	ASSERT_TRUE(is_loaded());
	ASSERT_EQ(0, unload());
	ASSERT_EQ(-ENOENT, unload());
	ASSERT_EQ(-1, access(DEVICE, F_OK));
	ASSERT_EQ(-1, access("/sys/module/ipm", F_OK));
}

TEST_F(module, parameters)
{
	struct ipm_limits limits;
	int dev;

	ASSERT_EQ(0, unload());
	ASSERT_EQ(0, load("max_segments=7 max_handles=8 max_claims=9 max_bytes=40960"));
	dev = open_device();
	ASSERT_EQ(0, call_limits(dev, &limits));
	EXPECT_EQ(7, limits.segments_max);
	EXPECT_EQ(8, limits.handles_max);
	EXPECT_EQ(9, limits.claims_max);
	EXPECT_EQ(40960, limits.bytes_max);
	close(dev);
	ASSERT_EQ(0, unload());
	EXPECT_EQ(-EINVAL, load("max_segments=many"));
	EXPECT_FALSE(is_loaded());
	ASSERT_EQ(0, load(self->parameters));
}

/* --- for ever --- */

/* Something of everything, so that everything has to be cleaned up. */
static void use_it_all(bool namespaces)
{
	CHECK(0, IN_CHILD({
		struct ipm_claim arg = claim_arg(0, 10, WRITE, IPM_CLAIM_ASYNC);
		int dev = open_device();
		int fd = call_create(dev, ref_name(NAME), PAGE, 8 * PAGE, IPM_CREATE_PERSISTENT,
				     IPM_READ_WRITE, 0600, NULL);
		int reader = call_open(dev, ref_name(NAME), IPM_READ_ONLY);
		int other = call_reopen(fd, IPM_READ_WRITE);
		char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		char *status = mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ, MAP_SHARED, reader,
				    IPM_STATUS_OFFSET);

		CHECK(1, fd >= 0 && reader >= 0 && other >= 0);
		CHECK(1, map != MAP_FAILED && status != MAP_FAILED);
		map[0] = 1;
		CHECK(0, call_grow(fd, 8 * PAGE, IPM_GROW_PREALLOCATE));
		CHECK(0, call_claim(fd, 0, 100, WRITE, 0, NULL));
		CHECK(0, call_claim_arg(other, &arg));
		CHECK(0, call_slot(fd, 0, NULL, NULL));
		CHECK(0, call_subscribe(other, 1, IPM_HEAR_REMOVED));
		CHECK(0, call_ring(fd, 1, 0, 0));
		CHECK(0, call_link(make_private(dev, PAGE, 0), ref_key(5)));
		CHECK(0, call_remove(fd, ref_none()));
		if (namespaces && !unshare(CLONE_NEWNET))
			CHECK(1, call_create(open_device(), ref_name(NAME), PAGE, 0,
					     IPM_CREATE_PERSISTENT, IPM_READ_WRITE, 0600,
					     NULL) >= 0);
		/* With all of it in hand. */
		raise(SIGTERM);
	}) != SIGTERM);
}

/*
 * What was freed is given back, also what KASAN keeps for a while to catch its
 * use: up to a 32nd of the memory, and only shrinking a cache empties that.
 */
static void shrink_slabs(void)
{
	DIR *dir = opendir("/sys/kernel/slab");
	struct dirent *entry;
	char path[300];

	while (dir && (entry = readdir(dir))) {
		/* Links are other names of the same caches. */
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", entry->d_name);
		write_text(path, "1");
	}
	if (dir)
		closedir(dir);
}

static const char *const fields[] = { "SUnreclaim", "VmallocUsed", "Percpu", "Shmem" };

struct memory {
	long long bytes[ARRAY_LENGTH(fields)];
};

static struct memory read_memory(void)
{
	struct memory memory = { 0 };
	char text[8192], *line;

	write_text("/proc/sys/vm/stat_refresh", "1");
	read_text("/proc/meminfo", text, sizeof(text));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		for (size_t k = 0; k < ARRAY_LENGTH(fields); k++) {
			size_t n = strlen(fields[k]);

			if (!strncmp(line, fields[k], n) && line[n] == ':')
				memory.bytes[k] = atoll(line + n + 1) << 10;
		}
	}
	return memory;
}

static void give_back(void)
{
	write_text("/proc/sys/vm/drop_caches", "3");
	shrink_slabs();
}

static bool grown(const struct memory *before, const struct memory *after)
{
	for (size_t k = 0; k < ARRAY_LENGTH(fields); k++) {
		if (after->bytes[k] > before->bytes[k] + SLACK)
			return true;
	}
	return false;
}

TEST_F_TIMEOUT(module, two_hundred_times, 900)
{
	int cycles = atoi(getenv("IPM_CYCLES") ?: CYCLES);
	struct memory before, after;

	ASSERT_LT(WARM_UP, cycles);
	for (int i = 0; i < cycles; i++) {
		if (i == WARM_UP) {
			give_back();
			before = read_memory();
		}
		/* Namespaces take long to end. */
		use_it_all(i % 20 == 0);
		ASSERT_EQ(0, unload_soon());
		ASSERT_EQ(0, load(self->parameters));
	}
	ASSERT_LT(0, before.bytes[0]);
	/* Namespaces end in the background; until then it asks a few times. */
	for (int tries = 0; tries < 20; tries++) {
		if (tries)
			poll(NULL, 0, 500);
		give_back();
		after = read_memory();
		if (!grown(&before, &after))
			break;
	}
	for (size_t k = 0; k < ARRAY_LENGTH(fields); k++) {
		note("%s: %lld KiB more after %d cycles", fields[k],
		     (after.bytes[k] - before.bytes[k]) >> 10, cycles - WARM_UP);
		EXPECT_GE(before.bytes[k] + SLACK, after.bytes[k]);
	}
}

/*
 * The family is there, or is not, or its module is just going. False: there was no
 * room for all the events, and what comes next is no answer to what was asked.
 */
static bool check_netlink(int ret)
{
	if (ret == -ENOBUFS)
		return false;
	if (ret < 0 && ret != -ENOENT)
		CHECK(-EPROTONOSUPPORT, ret);
	return true;
}

static void use_netlink(void)
{
	struct nl nl;

	check_netlink(nl_open(&nl));
	/* While there is no family its number is that of no message. */
	if (nl.family) {
		bool room = check_netlink(nl_subscribe(&nl, IPM_NL_GROUP_LIFE, 0));

		for (int i = 0; i < 3 && room; i++)
			room = check_netlink(nl_dump(&nl, IPM_NL_CMD_CLAIMS, 0, NULL, NULL));
	}
	nl_close(&nl);
}

/* Some open it and use it while others take it away: who was faster has it. */
TEST_F_TIMEOUT(module, unload_race, 300)
{
	int stop[2], unloaded = 0, status;
	pid_t pids[4];
	char byte;

	ASSERT_EQ(0, pipe2(stop, O_NONBLOCK));
	/* Two that ask for lists and subscribe. */
	for (int i = 2; i < 4; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(stop[1]);
			while (read(stop[0], &byte, 1) < 0)
				use_netlink();
			_exit(0);
		}
	}
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(stop[1]);
			while (read(stop[0], &byte, 1) < 0) {
				int dev = open_device(), fd;

				if (dev < 0)
					continue;
				fd = call_create(dev, ref_key(1), PAGE, 0, 0, IPM_READ_WRITE, 0666,
						 NULL);
				CHECK(1, fd >= 0);
				CHECK(0, call_claim(fd, 0, 1, READ, 0, NULL));
				close(dev);
				close(fd);
			}
			_exit(0);
		}
	}
	close(stop[0]);
	for (int i = 0; i < 500 && unloaded < 20; i++) {
		int ret = unload();

		ASSERT_TRUE(ret == 0 || ret == -EWOULDBLOCK);
		if (!ret) {
			unloaded++;
			ASSERT_EQ(0, load(self->parameters));
		}
		/* Let it be used. */
		nap();
	}
	close(stop[1]);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		ASSERT_EQ(0, status);
	}
	note("unloaded %d times", unloaded);
	ASSERT_EQ(0, unload_soon());
}

TEST_HARNESS_MAIN
