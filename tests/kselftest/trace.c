// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints: each is made to happen, and says what happened.
 *
 * With more than one CPU the real-time kernel hangs in emulation, about once in a hundred
 * times that the events are switched on and off.
 *
 * vm: SMP=1
 */
#include "ipm_test.h"

#define TRACING	"/sys/kernel/tracing/"

FIXTURE(trace)
{
	struct counts before;
	int dev;
	int fd;
	int other;
	uint32_t id;
	char *text;
};

FIXTURE_SETUP(trace)
{
	struct ipm_info info;

	self->before = read_counts();
	self->dev = open_device();
	ASSERT_FD(self->dev);
	self->fd = make_private(self->dev, PAGE, 16 * PAGE);
	ASSERT_FD(self->fd);
	self->other = call_reopen(self->fd, IPM_READ_WRITE);
	ASSERT_FD(self->other);
	ASSERT_EQ(0, call_info(self->fd, &info));
	self->id = info.ref.id;
	self->text = malloc(1 << 20);
	if (access(TRACING "events/ipm", F_OK))
		SKIP(return, "this kernel has no tracefs, or no events of modules");
	ASSERT_EQ(0, write_text(TRACING "trace", ""));
	ASSERT_EQ(0, write_text(TRACING "events/ipm/enable", "1"));
	ASSERT_EQ(0, write_text(TRACING "tracing_on", "1"));
}

FIXTURE_TEARDOWN(trace)
{
	write_text(TRACING "events/ipm/enable", "0");
	write_text(TRACING "trace", "");
	free(self->text);
	close(self->other);
	close(self->fd);
	close(self->dev);
	if (_metadata->passed)
		EXPECT_COUNTS_SOON(self->before);
}

/* How often this line was traced; no call of ours is buffered elsewhere. */
static int traced(char *text, const char *line)
{
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC), count = 0;
	size_t used = 0;
	ssize_t ret;

	while (used < (1 << 20) - 1 && (ret = read(fd, text + used, (1 << 20) - 1 - used)) > 0)
		used += ret;
	close(fd);
	text[used] = '\0';
	for (char *at = text; (at = strstr(at, line)); at++) {
		/* All of it: the next is the end of the line or a space. */
		char end = at[strlen(line)];

		count += end == '\n' || end == ' ';
	}
	return count;
}

#define EXPECT_TRACED(times, fmt, ...)                                                \
	do {                                                                          \
		char line_[300];                                                      \
		snprintf(line_, sizeof(line_), fmt, __VA_ARGS__);                     \
		EXPECT_EQ(times, traced(self->text, line_)) {                         \
			note("looked for: %s", line_);                                \
		}                                                                     \
	} while (0)

/* Off by default, and each of them where it belongs. */
TEST_F(trace, segment)
{
	struct ipm_info info;
	int fd = make_private(self->dev, PAGE, 3 * PAGE);

	ASSERT_EQ(0, call_info(fd, &info));
	ASSERT_EQ(0, call_grow(fd, 2 * PAGE, 0));
	ASSERT_EQ(-EFBIG, call_grow(fd, 4 * PAGE, 0));
	EXPECT_TRACED(0, "ipm_segment_destroy: segment=%u", info.ref.id);
	close(fd);
	EXPECT_TRACED(1, "ipm_segment_create: segment=%u size=4096 capacity=12288", info.ref.id);
	EXPECT_TRACED(1, "ipm_segment_grow: segment=%u size=8192 capacity=12288", info.ref.id);
	EXPECT_TRACED(1, "ipm_segment_destroy: segment=%u size=8192 capacity=12288", info.ref.id);
}

TEST_F(trace, claim)
{
	struct actor p;
	uint64_t id;

	ASSERT_EQ(0, actor_start(&p, false));
	ASSERT_EQ(0, call_claim(self->fd, 10, 20, WRITE, 0, &id));
	EXPECT_TRACED(1, "ipm_claim_grant: segment=%u claim=%llu offset=10 length=20 write ranges=1 tid=%d",
		      self->id, (unsigned long long)id, gettid());
	EXPECT_TRACED(0, "ipm_claim_wait: segment=%u", self->id);
	ASSERT_WAITS(&p, self->other, 15, 1, READ, 1);
	EXPECT_TRACED(1, "ipm_claim_wait: segment=%u claim=%llu offset=15 length=1 read ranges=1 tid=%d",
		      self->id, (unsigned long long)id + 1, p.pid);
	EXPECT_TRACED(0, "ipm_claim_release: segment=%u", self->id);
	ASSERT_EQ(0, call_release(self->fd, id));
	ASSERT_EQ(0, actor_result(&p));
	EXPECT_TRACED(1, "ipm_claim_release: segment=%u claim=%llu offset=10 length=20 write ranges=1 tid=%d",
		      self->id, (unsigned long long)id, gettid());
	EXPECT_TRACED(1, "ipm_claim_grant: segment=%u claim=%llu offset=15 length=1 read ranges=1 tid=%d",
		      self->id, (unsigned long long)id + 1, p.pid);
	/* Converted, it is granted once more. */
	actor_give_convert(&p, self->other, id + 1, WRITE, 0, 0);
	ASSERT_EQ(0, actor_result(&p));
	EXPECT_TRACED(1, "ipm_claim_grant: segment=%u claim=%llu offset=15 length=1 write ranges=1 tid=%d",
		      self->id, (unsigned long long)id + 1, p.pid);
	/* Its holder dies: in doubt, and released. */
	EXPECT_TRACED(0, "ipm_claim_doubt: segment=%u", self->id);
	{
		pid_t pid = p.pid;

		ASSERT_EQ(SIGKILL, actor_kill(&p));
		EXPECT_TRACED(1, "ipm_claim_doubt: segment=%u claim=%llu offset=15 length=1 pid=%d",
			      self->id, (unsigned long long)id + 1, pid);
	}
	EXPECT_TRACED(2, "ipm_claim_release: segment=%u", self->id);
}

/*
 * Only the kernel itself lets the module go. Its own code might be preempted between
 * that and its return, and gone when it goes on.
 */
TEST_F(trace, who_lets_the_module_go)
{
	char *map, *at, *end;
	int fd, reader, count = 0;

	if (access(TRACING "events/module/module_put", F_OK))
		SKIP(return, "this kernel does not trace what happens to modules");
	ASSERT_EQ(0, write_text(TRACING "events/module/enable", "1"));
	fd = make_private(self->dev, PAGE, 0);
	reader = call_reopen(fd, IPM_READ_ONLY);
	ASSERT_FD(reader);
	/* The last use goes with an area, of either file, then with a handle. */
	for (int i = 0; i < 3; i++) {
		map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, i ? reader : fd, 0);
		ASSERT_MAPPED(map);
		if (i == 2)
			munmap(map, PAGE);
		close(reader);
		close(fd);
		if (i != 2)
			munmap(map, PAGE);
		fd = make_private(self->dev, PAGE, 0);
		reader = call_reopen(fd, IPM_READ_ONLY);
		ASSERT_FD(reader);
	}
	close(reader);
	close(fd);
	ASSERT_EQ(0, write_text(TRACING "events/module/enable", "0"));
	EXPECT_EQ(0, traced(self->text, "no such line"));
	for (at = self->text; (at = strstr(at, "module_put: ipm ")); at = end) {
		end = at + strcspn(at, "\n");
		/* A place in a module is told with its name: "call_site=name [ipm]". */
		EXPECT_EQ(NULL, memmem(at, end - at, "[ipm]", 5)) {
			note("%.*s", (int)(end - at), at);
		}
		count++;
	}
	/* Of four segments each a handle, another, and their files. */
	EXPECT_LE(16, count);
}

TEST_F(trace, deadlock)
{
	uint64_t id;

	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, &id));
	EXPECT_TRACED(0, "ipm_claim_deadlock: segment=%u", self->id);
	ASSERT_EQ(-EDEADLK, call_claim(self->other, 5, 2, WRITE, 0, NULL));
	EXPECT_TRACED(1, "ipm_claim_deadlock: segment=%u claim=%llu offset=5 length=2 write ranges=1 tid=%d",
		      self->id, (unsigned long long)id + 1, gettid());
}

TEST_F(trace, bell)
{
	uint32_t slot;

	ASSERT_EQ(0, call_slot(self->other, 0, &slot, NULL));
	ASSERT_EQ(0, call_subscribe(self->other, 0xff, 0));
	ASSERT_EQ(0, call_ring(self->fd, 0x12, 0, 0));
	EXPECT_TRACED(1, "ipm_bell_ring: segment=%u bits=0x12 slot=-1 heard=1", self->id);
	ASSERT_EQ(0, call_ring(self->fd, 0x100, 0, 0));
	EXPECT_TRACED(1, "ipm_bell_ring: segment=%u bits=0x100 slot=-1 heard=0", self->id);
	ASSERT_EQ(0, call_ring(self->fd, 0x21, IPM_BELL_SLOT, slot));
	EXPECT_TRACED(1, "ipm_bell_ring: segment=%u bits=0x21 slot=%u heard=1", self->id, slot);
}

/* While it is off nothing is traced. */
TEST_F(trace, off)
{
	ASSERT_EQ(0, write_text(TRACING "events/ipm/enable", "0"));
	ASSERT_EQ(0, call_claim(self->fd, 0, 10, WRITE, 0, NULL));
	ASSERT_EQ(1, call_release_all(self->fd));
	EXPECT_TRACED(0, "ipm_claim_grant: segment=%u", self->id);
	EXPECT_TRACED(0, "ipm_claim_release: segment=%u", self->id);
}

TEST_HARNESS_MAIN
