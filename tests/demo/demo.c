// SPDX-License-Identifier: GPL-2.0
/*
 * demo SOURCE RESULT: several processes transform a file in shared memory, and
 * one of them is killed in the middle of its work.
 *
 * The segment holds the job (who does which block) and behind it the file. The
 * workers move every byte on by 13, block by block: done twice or not at all, a
 * block would come out wrong. Who takes part:
 *
 *   coordinator  makes the segment with the first half of the file in it, kills
 *                a worker, makes the segment larger, puts the second half in,
 *                and writes what came out to RESULT
 *   workers      take the next block, claim it, transform it. One that meets a
 *                block that is late by LATE blocks queues for it; if the one who
 *                held it is dead, the kernel says so, and the block is restored
 *                from the file and done again
 *   watcher      maps the segment read-only and then gives up all system calls
 *                but read, write and exit, so that what it sees of the growth
 *                it sees through the pointer that it has
 *
 * Nothing but claims keeps the processes out of each other's way. Who holds the
 * claim on the job does not wait for a block, so nobody waits in a circle.
 *
 * Exit status: 0 all went as it must, 1 it did not, 2 the file cannot be used.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include <ipm/ipm.h>

#define WORKERS 4
#define WATCHER WORKERS /* number of the watcher among the children */
#define CHILDREN (WORKERS + 1)

#define MAX_BLOCKS 64
#define LATE 8 /* blocks taken after one that is not done make it late */
#define SMALLEST_FILE 4096
#define STEP 13

/* Where the file begins in the segment. */
#define DATA 4096

/* Whatever takes longer than this hangs. */
#define PATIENCE_NS (60 * 1000000000LL)

enum exit_status { PASSED, FAILED, UNUSABLE };

/**
 * struct entry - a block, in the job
 * @pid: process that took it, 0 while nobody did
 * @helper: number + 1 of the worker that queues for it because it is late
 * @done: number + 1 of the worker that finished it
 */
struct entry {
	int32_t pid;
	uint32_t helper;
	uint32_t done;
};

/**
 * struct job - the start of the segment
 * @size: bytes of the file
 * @block_size: bytes of each block but the last
 * @blocks: how many
 * @next: first block that nobody took
 * @table: one entry for each block
 */
struct job {
	uint64_t size;
	uint64_t block_size;
	uint32_t blocks;
	uint32_t next;
	struct entry table[MAX_BLOCKS];
};

_Static_assert(sizeof(struct job) <= DATA, "the job ends before the file begins");

/* What the children tell the coordinator, through a pipe. */
enum news {
	NEWS_FAILED, /* and said why */
	NEWS_READY, /* has mapped the segment */
	NEWS_HALFWAY, /* is in the middle of the block whose worker is to be killed */
	NEWS_QUEUED, /* waits for that block */
	NEWS_RECOVERED, /* was told that its bytes are in doubt, and restored them */
	NEWS_SEEN, /* the watcher looked at the grown segment */
	NR_NEWS
};

struct message {
	enum news news;
	int32_t pid; /* HALFWAY, QUEUED: of the worker; RECOVERED: of the dead one; SEEN: 1 if confined */
	uint64_t offset; /* RECOVERED: in doubt; SEEN: sum of the new bytes */
	uint64_t length; /* RECOVERED: in doubt; SEEN: size of the segment */
};

static char segment_name[32];
static const char *source_name;
static int source = -1;
static int news_pipe[2];
static uint32_t victim_block;
static int me = -1; /* number of this child, -1 is the coordinator */
static pid_t children[CHILDREN];

/* ------------------------------------------------------------------------ */
/* Telling the story                                                        */
/* ------------------------------------------------------------------------ */

static bool colour;
static struct timespec start;

#define BOLD "1"
#define RED "1;31"

/* Columns before the text, and of the text. */
#define INDENT 32
#define WIDTH 66

static const char *role(int who, char *text, size_t size)
{
	if (who < 0)
		snprintf(text, size, "coordinator");
	else if (who == WATCHER)
		snprintf(text, size, "watcher");
	else
		snprintf(text, size, "worker %c", 'A' + who);
	return text;
}

static const char *role_colour(int who)
{
	static const char *const colours[] = { "1", "36", "33", "32", "35", "34" };

	return colours[who + 1];
}

/*
 * Who says what, wrapped, in one write: several processes do not mix their
 * lines.
 */
static void vsay(const char *tint, const char *format, va_list args)
{
	const char *on = colour ? "\033[" : "", *off = colour ? "\033[0m" : "";
	struct timespec now;
	char text[512], out[1024], name[16];
	const char *rest = text;
	double seconds;
	int length;

	vsnprintf(text, sizeof(text), format, args);
	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
	length = snprintf(out, sizeof(out), "%7.3f s  %s%s%s%-11s %7d%s  ", seconds, on,
			  colour ? role_colour(me) : "", colour ? "m" : "",
			  role(me, name, sizeof(name)), getpid(), off);
	for (;;) {
		size_t fits = strlen(rest);

		if (fits > WIDTH) {
			for (fits = WIDTH; fits > 1 && rest[fits] != ' '; fits--)
				;
		}
		length += snprintf(out + length, sizeof(out) - (size_t)length, "%s%s%s%.*s%s\n", on,
				   colour ? tint : "", colour ? "m" : "", (int)fits, rest, off);
		rest += fits;
		rest += *rest == ' ';
		if (!*rest)
			break;
		length += snprintf(out + length, sizeof(out) - (size_t)length, "%*s", INDENT, "");
	}
	if (write(STDOUT_FILENO, out, (size_t)length) != length)
		_exit(FAILED);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsay("0", format, args);
	va_end(args);
}

/* For the points of the story. */
__attribute__((format(printf, 1, 2))) static void announce(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsay(BOLD, format, args);
	va_end(args);
}

static void tell(struct message message)
{
	/* Fewer bytes than PIPE_BUF: never mixed with others' and never partial. */
	if (write(news_pipe[1], &message, sizeof(message)) != (ssize_t)sizeof(message))
		_exit(FAILED);
}

/* It did not go as it must: say so and end, the coordinator with all the others. */
__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	char text[400];
	va_list args;

	snprintf(text, sizeof(text), "FAILED: %s", format);
	va_start(args, format);
	vsay(RED, text, args);
	va_end(args);
	if (me >= 0) {
		tell((struct message){ .news = NEWS_FAILED });
		_exit(FAILED);
	}
	for (int i = 0; i < CHILDREN; i++) {
		if (children[i] > 0) {
			kill(children[i], SIGKILL);
			waitpid(children[i], NULL, 0);
		}
	}
	exit(FAILED);
}

/* ------------------------------------------------------------------------ */
/* libipm                                                                   */
/* ------------------------------------------------------------------------ */

/* The last thing that libipm complained about; it says more than the result. */
static char complaint[300];

static void report(const char *msg, const char *file, int line, const char *function, void *param)
{
	(void)file;
	(void)line;
	(void)function;
	(void)param;
	snprintf(complaint, sizeof(complaint), "%s", msg);
}

static const ipm_context context = { .report_callback = report };

static void check(ipm_result result, const char *what)
{
	if (result != IPM_RESULT_SUCCESS)
		fail("%s: %s", what, complaint[0] ? complaint : ipm_result_to_msg(result));
}

static ipm_memory *open_segment(ipm_access_mode access)
{
	ipm_memory *memory;

	check(ipm_memory_open(&context, segment_name, access, &memory), "open the segment");
	if (!ipm_memory_pointer(memory))
		fail("the segment is not mapped");
	return memory;
}

/* The claim, or 0 if that had to wait until @deadline. */
static ipm_id claim_until(ipm_memory *memory, ipm_access_mode access, uint64_t offset,
			  uint64_t length, int64_t deadline, uint32_t *granted)
{
	const ipm_memory_claim_options options = {
		.struct_size = sizeof(options),
		.access = access,
		.offset = offset,
		.length = length,
		.deadline = deadline,
	};
	ipm_result result;
	ipm_id id;

	/* This call may claim bytes that the segment has yet to grow to. */
	result = ipm_memory_claim(memory, &options, &id, granted);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK && deadline == IPM_DEADLINE_NOW)
		return 0;
	check(result, "claim");
	return id;
}

static ipm_id claim_if_free(ipm_memory *memory, uint64_t offset, uint64_t length, uint32_t *granted)
{
	return claim_until(memory, IPM_ACCESS_MODE_READ_WRITE, offset, length, IPM_DEADLINE_NOW,
			   granted);
}

/* Waits, but not for ever. Without @granted, nothing may be in doubt. */
static ipm_id claim(ipm_memory *memory, ipm_access_mode access, uint64_t offset, uint64_t length,
		    uint32_t *granted)
{
	uint32_t bits;
	ipm_id id = claim_until(memory, access, offset, length, ipm_deadline_after(PATIENCE_NS),
				&bits);

	if (granted)
		*granted = bits;
	else if (bits & IPM_MEMORY_GRANT_IN_DOUBT)
		fail("bytes %" PRIu64 " to %" PRIu64 " are in doubt, and nobody died there",
		     offset, offset + length - 1);
	return id;
}

static void release(ipm_memory *memory, ipm_id id)
{
	check(ipm_memory_release_region(memory, id), "release a claim");
}

/* ------------------------------------------------------------------------ */
/* Blocks                                                                   */
/* ------------------------------------------------------------------------ */

static uint64_t block_offset(const struct job *job, uint32_t block)
{
	return DATA + block * job->block_size;
}

static uint64_t block_length(const struct job *job, uint32_t block)
{
	return block + 1 < job->blocks ? job->block_size :
					 job->size - (job->blocks - 1) * job->block_size;
}

static void transform(unsigned char *bytes, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = (unsigned char)(bytes[i] + STEP);
}

static uint64_t sum(const unsigned char *bytes, uint64_t length)
{
	uint64_t total = 0;

	/* Depends on the order, too. */
	for (uint64_t i = 0; i < length; i++)
		total = total * 31 + bytes[i];
	return total;
}

static void read_source(unsigned char *bytes, uint64_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t got = pread(source, bytes, length, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fail("read %s: %s", source_name, strerror(errno));
		if (got == 0)
			fail("%s ended after %" PRIu64 " bytes: it became shorter", source_name,
			     offset);
		bytes += got;
		offset += (uint64_t)got;
		length -= (uint64_t)got;
	}
}

/* ------------------------------------------------------------------------ */
/* A worker                                                                 */
/* ------------------------------------------------------------------------ */

static bool is_late(const struct job *job, uint32_t block)
{
	const struct entry *entry = &job->table[block];

	return !entry->done && !entry->helper &&
	       (job->next - block > LATE || job->next == job->blocks);
}

/**
 * struct turn - what a worker does next
 * @block: which block
 * @late: somebody else took it, and it is late
 * @id: the claim on it, 0 without
 * @granted: what the claim came with
 */
struct turn {
	uint32_t block;
	bool late;
	ipm_id id;
	uint32_t granted;
};

/*
 * Takes a block that is late, or else the next one, which is claimed before
 * anybody can find it late. The second half of the file is the coordinator's
 * until it is there: those blocks have to be waited for, and not here. Returns
 * false when all are taken.
 */
static bool take_turn(ipm_memory *memory, struct job *job, struct turn *turn)
{
	ipm_id id = claim(memory, IPM_ACCESS_MODE_READ_WRITE, 0, sizeof(*job), NULL);
	bool found = false;

	*turn = (struct turn){ 0 };
	for (uint32_t i = 0; i < job->next && !found; i++) {
		if (is_late(job, i)) {
			job->table[i].helper = (uint32_t)me + 1;
			turn->block = i;
			turn->late = found = true;
		}
	}
	if (!found && job->next < job->blocks) {
		turn->block = job->next++;
		job->table[turn->block].pid = getpid();
		turn->id = claim_if_free(memory, block_offset(job, turn->block),
					 block_length(job, turn->block), &turn->granted);
		found = true;
	}
	release(memory, id);
	return found;
}

/*
 * Stands in line for a block that somebody holds. Does so asynchronously, to be
 * sure that it stands there before it says so.
 */
static ipm_id queue_for(ipm_memory *memory, const struct job *job, uint32_t block, uint32_t *granted)
{
	const ipm_memory_claim_options options = {
		.struct_size = sizeof(options),
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.offset = block_offset(job, block),
		.length = block_length(job, block),
		.flags = IPM_MEMORY_ASYNC,
	};
	ipm_memory_event event;
	size_t count;
	ipm_id id;

	check(ipm_memory_claim(memory, &options, &id, granted), "claim a late block");
	if (!(*granted & IPM_MEMORY_GRANT_PENDING))
		return id;
	/* Others may be late, too, if the machine is busy. */
	if (block == victim_block) {
		say("finds that block %u is still not done, and queues for it", block);
		tell((struct message){ .news = NEWS_QUEUED, .pid = getpid() });
	}
	check(ipm_memory_read_events(memory, &event, 1, ipm_deadline_after(PATIENCE_NS), &count),
	      "wait for a late block");
	if (event.claim_id != id)
		fail("got an event of another claim");
	check(event.result, "wait for a late block");
	*granted = event.granted;
	return id;
}

/* The holder of a write claim on this block died: start again from the file. */
static void restore(ipm_memory *memory, unsigned char *base, const struct job *job, uint32_t block)
{
	const uint64_t offset = block_offset(job, block), length = block_length(job, block);
	unsigned char *original = malloc(length);
	ipm_memory_doubt doubt;
	uint64_t changed = 0;
	size_t doubts;
	int32_t taker;

	check(ipm_memory_list_doubts(memory, offset, length, &doubt, 1, &doubts),
	      "list the bytes in doubt");
	if (doubts != 1)
		fail("block %u is in doubt, but %zu ranges of it are listed", block, doubts);
	check(ipm_memory_read(memory, offsetof(struct job, table[block].pid), &taker,
			      sizeof(taker)), "read who took the block");
	if (doubt.pid != taker)
		fail("process %d took block %u, but process %d is said to have died in it", taker,
		     block, doubt.pid);
	announce("gets the block and is told: process %d died while it wrote bytes %" PRIu64
		 " to %" PRIu64, doubt.pid, doubt.offset, doubt.offset + doubt.length - 1);

	if (!original)
		fail("no memory for a block");
	read_source(original, length, offset - DATA);
	for (uint64_t i = 0; i < length; i++)
		changed += base[offset + i] != original[i];
	memcpy(base + offset, original, length);
	free(original);
	check(ipm_memory_recovered(memory, offset, length), "declare a block recovered");
	say("found %" PRIu64 " of %" PRIu64 " bytes changed, restores block %u from the file and "
	    "declares it recovered", changed, length, block);
	if (changed == 0 || changed == length)
		fail("the dead process was not in the middle of its block");
	tell((struct message){ NEWS_RECOVERED, doubt.pid, doubt.offset, doubt.length });
}

static void do_block(ipm_memory *memory, unsigned char *base, const struct job *job,
		     struct turn *turn)
{
	const uint32_t block = turn->block, mark = (uint32_t)me + 1;
	const uint64_t offset = block_offset(job, block), length = block_length(job, block);
	const size_t mark_offset = offsetof(struct job, table[block].done);
	uint32_t done;

	if (turn->late)
		turn->id = queue_for(memory, job, block, &turn->granted);
	else if (!turn->id)
		turn->id = claim(memory, IPM_ACCESS_MODE_READ_WRITE, offset, length,
				 &turn->granted);
	if (turn->granted & IPM_MEMORY_GRANT_IN_DOUBT)
		restore(memory, base, job, block);
	else if (turn->late && block == victim_block)
		fail("gets the block, but is not told that its bytes are in doubt");
	check(ipm_memory_read(memory, mark_offset, &done, sizeof(done)), "read the job");
	if (block == victim_block && !turn->late) {
		transform(base + offset, length / 2);
		announce("holds a write claim on block %u, bytes %" PRIu64 " to %" PRIu64
			 ", and is in the middle of it", block, offset, offset + length - 1);
		tell((struct message){ .news = NEWS_HALFWAY, .pid = getpid() });
		for (;;)
			pause();
	}
	if (!done) {
		transform(base + offset, length);
		check(ipm_memory_write(memory, mark_offset, &mark, sizeof(mark)), "write the job");
	}
	release(memory, turn->id);
}

static void work(void)
{
	ipm_memory *memory = open_segment(IPM_ACCESS_MODE_READ_WRITE);
	unsigned char *base = ipm_memory_pointer(memory);
	struct job *job = (struct job *)base;
	struct turn turn;

	tell((struct message){ .news = NEWS_READY });
	while (take_turn(memory, job, &turn))
		do_block(memory, base, job, &turn);
	if (ipm_memory_pointer(memory) != base)
		fail("the mapping moved");
	ipm_memory_close(memory);
}

/* ------------------------------------------------------------------------ */
/* The watcher                                                              */
/* ------------------------------------------------------------------------ */

static void watch(int order)
{
	ipm_memory *memory = open_segment(IPM_ACCESS_MODE_READ_ONLY);
	const unsigned char *base = ipm_memory_pointer(memory);
	const uint64_t before = ipm_memory_size(memory);
	struct message seen = { .news = NEWS_SEEN };
	char byte;

	/*
	 * From here on the kernel kills it for any system call but read, write
	 * and exit. A kernel without seccomp cannot, and the story says so.
	 */
	seen.pid = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0;
	tell((struct message){ .news = NEWS_READY });
	if (read(order, &byte, 1) != 1)
		syscall(SYS_exit, FAILED);
	seen.length = ipm_memory_size(memory);
	seen.offset = sum(base + before, seen.length - before);
	tell(seen);
	syscall(SYS_exit, PASSED);
}

/* ------------------------------------------------------------------------ */
/* The coordinator                                                          */
/* ------------------------------------------------------------------------ */

static pid_t start_child(int who, ipm_memory *inherited, int order)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	me = who;
	/* Nobody outlives the coordinator. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(FAILED);
	/* A child gives up its copy of the parent's handle and opens its own. */
	ipm_memory_clean(inherited);
	if (who == WATCHER)
		watch(order);
	else
		work();
	_exit(PASSED);
}

static int number_of(pid_t pid)
{
	for (int i = 0; i < CHILDREN; i++)
		if (children[i] == pid)
			return i;
	fail("process %d is none of ours", pid);
}

/* Looks after children that ended; returns how many are left. */
static int look_after_children(void)
{
	char name[16];
	int status, left = 0;

	for (int i = 0; i < CHILDREN; i++) {
		if (children[i] == 0)
			continue;
		if (waitpid(children[i], &status, WNOHANG) == 0) {
			left++;
			continue;
		}
		children[i] = 0;
		if (WIFSIGNALED(status))
			fail("%s was killed by signal %d", role(i, name, sizeof(name)),
			     WTERMSIG(status));
		if (WEXITSTATUS(status) != PASSED)
			fail("%s gave up", role(i, name, sizeof(name)));
	}
	return left;
}

static void wait_for_children(void)
{
	const int64_t deadline = ipm_deadline_after(PATIENCE_NS);

	while (look_after_children() > 0) {
		if (ipm_deadline_after(1) > deadline)
			fail("the workers do not end");
		usleep(1000);
	}
}

/* Waits for @news; what comes before it is kept for later. */
static struct message hear(enum news news)
{
	static struct message kept[NR_NEWS];
	static int count[NR_NEWS];
	const int64_t deadline = ipm_deadline_after(PATIENCE_NS);
	struct message message;

	while (count[news] == 0) {
		struct pollfd fd = { .fd = news_pipe[0], .events = POLLIN };

		if (poll(&fd, 1, 100) <= 0) {
			look_after_children();
			if (ipm_deadline_after(1) > deadline)
				fail("nothing happens any more");
			continue;
		}
		if (read(news_pipe[0], &message, sizeof(message)) != (ssize_t)sizeof(message))
			fail("the pipe is broken");
		if (message.news == NEWS_FAILED)
			fail("stops, because another process failed");
		kept[message.news] = message;
		count[message.news]++;
	}
	count[news]--;
	return kept[news];
}

static void fill_job(struct job *job, uint64_t size)
{
	/* A claim is on bytes, not on pages: blocks may begin anywhere. */
	job->size = size;
	job->block_size = ((size + MAX_BLOCKS - 1) / MAX_BLOCKS + 63) / 64 * 64;
	job->blocks = (uint32_t)((size + job->block_size - 1) / job->block_size);
}

static void kill_victim(const struct job *job)
{
	const pid_t victim = hear(NEWS_HALFWAY).pid;
	const pid_t waiter = hear(NEWS_QUEUED).pid;
	const int number = number_of(victim);
	struct message recovered;
	char one[16], other[16];
	int status;

	announce("kills %s, process %d, with SIGKILL, while %s waits for the same bytes",
		 role(number, one, sizeof(one)), victim,
		 role(number_of(waiter), other, sizeof(other)));
	if (kill(victim, SIGKILL) < 0 || waitpid(victim, &status, 0) != victim)
		fail("kill %d: %s", victim, strerror(errno));
	children[number] = 0;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("process %d ended before it could be killed", victim);
	recovered = hear(NEWS_RECOVERED);
	if (recovered.pid != victim || recovered.offset != block_offset(job, victim_block) ||
	    recovered.length != block_length(job, victim_block))
		fail("process %d died in bytes %" PRIu64 " to %" PRIu64
		     ", but that is not what the waiter was told", victim,
		     block_offset(job, victim_block),
		     block_offset(job, victim_block) + block_length(job, victim_block) - 1);
}

static void grow(ipm_memory *memory, unsigned char *base, uint64_t middle, uint64_t end, int order)
{
	ipm_memory_status status = { .struct_size = sizeof(status) };
	struct message seen;

	check(ipm_memory_get_status(memory, &status), "look at the segment");
	announce("makes the segment larger, from %" PRIu64 " to %" PRIu64
		 " bytes, while %u handles have it mapped", middle, end, status.handles);
	check(ipm_memory_resize_grow(memory, end), "grow the segment");
	if (ipm_memory_pointer(memory) != base)
		fail("the mapping moved");
	say("copies the second half of the file there");
	read_source(base + middle, end - middle, middle - DATA);

	/* The others wait for the claim on these bytes; the watcher just looks. */
	if (write(order, "!", 1) != 1)
		fail("the watcher does not listen");
	seen = hear(NEWS_SEEN);
	if (seen.length != end)
		fail("the watcher sees %" PRIu64 " bytes", seen.length);
	if (seen.offset != sum(base + middle, end - middle))
		fail("the watcher sees other bytes");
	say("hears from the watcher, which sees all %" PRIu64 " bytes through the pointer that "
	    "it had before, without a call: %s", end,
	    seen.pid ? "it has locked itself so that any but read, write and exit would kill it" :
		       "but this kernel has no seccomp to prove that");
}

static void write_result(const char *path, const unsigned char *bytes, uint64_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	while (length > 0) {
		ssize_t put = write(fd, bytes, length);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			fail("write %s: %s", path, strerror(errno));
		bytes += put;
		length -= (uint64_t)put;
	}
	if (close(fd) < 0)
		fail("write %s: %s", path, strerror(errno));
}

/* What the kernel remembers of the segment must be the story that was told. */
static void check_history(ipm_memory *memory)
{
	ipm_memory_details details = { .struct_size = sizeof(details) };

	check(ipm_memory_get_details(&context, ipm_ref_memory(memory), &details),
	      "ask about the segment");
	if (details.deaths != 1 || details.doubt_events != 1 || details.doubts != 0)
		fail("%" PRIu64 " deaths, %" PRIu64 " write claims that ended so, %u ranges still "
		     "in doubt: 1, 1 and 0 were right", details.deaths, details.doubt_events,
		     details.doubts);
	if (details.handles != 1 || details.claims != 1 || details.waiters != 0)
		fail("%u handles, %u claims, %u waiters: 1, 1 and 0 were right", details.handles,
		     details.claims, details.waiters);
}

static void tell_who_did_what(const struct job *job)
{
	unsigned int done[WORKERS] = { 0 };

	for (uint32_t i = 0; i < job->blocks; i++) {
		const uint32_t who = job->table[i].done;

		if (who < 1 || who > WORKERS)
			fail("nobody did block %u", i);
		done[who - 1]++;
	}
	say("finds all %u blocks done: %u by A, %u by B, %u by C, %u by D", job->blocks, done[0],
	    done[1], done[2], done[3]);
}

static void run(uint64_t size, const char *result)
{
	struct job plan = { 0 };
	ipm_memory_create_options options = {
		.struct_size = sizeof(options),
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.flags = IPM_MEMORY_EXCLUSIVE | IPM_MEMORY_PREALLOCATE,
	};
	const uint64_t end = DATA + size;
	ipm_id start_claim, rest_claim, all_claim;
	unsigned char *base;
	ipm_memory *memory;
	uint64_t middle;
	int order[2];

	fill_job(&plan, size);
	middle = block_offset(&plan, plan.blocks / 2);
	victim_block = plan.blocks / 8;
	snprintf(segment_name, sizeof(segment_name), "ipm-demo-%d", getpid());

	options.ref = ipm_ref_name(segment_name);
	options.size = middle;
	options.capacity = end;
	announce("makes the segment \"%s\": %" PRIu64 " bytes, may grow to %" PRIu64, segment_name,
		 middle, end);
	check(ipm_memory_create_ex(&context, &options, &memory), "make the segment");
	base = ipm_memory_pointer(memory);
	if (!base)
		fail("the segment is not mapped");
	memcpy(base, &plan, sizeof(plan));
	say("copies the first half of the file there: %u of %u blocks of %" PRIu64 " bytes",
	    plan.blocks / 2, plan.blocks, plan.block_size);
	read_source(base + DATA, middle - DATA, 0);

	/* Nobody begins before all are there, nobody gets at the second half before it is. */
	start_claim = claim(memory, IPM_ACCESS_MODE_READ_WRITE, 0, sizeof(plan), NULL);
	rest_claim = claim(memory, IPM_ACCESS_MODE_READ_WRITE, middle, end - middle, NULL);
	if (pipe2(news_pipe, O_CLOEXEC) < 0 || pipe2(order, O_CLOEXEC) < 0)
		fail("pipe: %s", strerror(errno));
	for (int i = 0; i < CHILDREN; i++)
		children[i] = start_child(i, memory, order[0]);
	for (int i = 0; i < CHILDREN; i++)
		hear(NEWS_READY);
	say("has started 4 workers and a watcher: A is %d, B %d, C %d, D %d, the watcher %d",
	    children[0], children[1], children[2], children[3], children[WATCHER]);
	say("lets the workers begin: each claims a block, adds %d to every byte, takes the next",
	    STEP);
	release(memory, start_claim);

	kill_victim(&plan);
	grow(memory, base, middle, end, order[1]);
	release(memory, rest_claim);
	wait_for_children();

	all_claim = claim(memory, IPM_ACCESS_MODE_READ_ONLY, 0, end, NULL);
	tell_who_did_what((const struct job *)base);
	check_history(memory);
	write_result(result, base + DATA, size);
	release(memory, all_claim);
	ipm_memory_close(memory);
}

/* ------------------------------------------------------------------------ */
/* What is left                                                             */
/* ------------------------------------------------------------------------ */

enum { SEGMENTS, HANDLES, CLAIMS, WAITERS, MAPPINGS, NR_COUNTS };

struct counts {
	long of[NR_COUNTS];
};

/* Of the whole kernel, not just of this program. */
static struct counts read_counts(void)
{
	static const char *const names[] = { "segments", "handles", "claims", "waiters", "maps" };
	struct counts counts;
	char path[80];

	for (int i = 0; i < NR_COUNTS; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "/sys/module/ipm/parameters/count_%s", names[i]);
		file = fopen(path, "re");
		if (!file || fscanf(file, "%ld", &counts.of[i]) != 1)
			fail("cannot read %s", path);
		fclose(file);
	}
	return counts;
}

static bool more_than(struct counts now, struct counts before)
{
	for (int i = 0; i < NR_COUNTS; i++)
		if (now.of[i] > before.of[i])
			return true;
	return false;
}

static void check_nothing_left(struct counts before)
{
	const int64_t deadline = ipm_deadline_after(PATIENCE_NS);
	struct counts now = read_counts();
	ipm_memory *memory;

	if (ipm_memory_open(&context, segment_name, IPM_ACCESS_MODE_READ_ONLY, &memory) !=
	    IPM_RESULT_ERR_DOES_NOT_EXIST)
		fail("the segment is still there");
	/* The kernel gives back what a dead process had a moment after its end. */
	while (more_than(now, before) && ipm_deadline_after(1) < deadline) {
		usleep(10000);
		now = read_counts();
	}
	announce("has closed the segment; what is left in the kernel: %ld segments, %ld handles, "
		 "%ld mappings, %ld claims, %ld waiters", now.of[SEGMENTS], now.of[HANDLES],
		 now.of[MAPPINGS], now.of[CLAIMS], now.of[WAITERS]);
	if (more_than(now, before))
		fail("something was left behind");
	if (more_than(now, (struct counts){ 0 }))
		say("which other programs had before this one began");
}

/* ------------------------------------------------------------------------ */
/* The file                                                                 */
/* ------------------------------------------------------------------------ */

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "demo: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(UNUSABLE);
}

static uint64_t memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

/* Opens the file and returns its size. */
static uint64_t open_source(void)
{
	const uint64_t available = memory_available();
	struct stat info;
	uint64_t size;

	/* A FIFO without a writer must not make us wait. */
	source = open(source_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (source < 0 || fstat(source, &info) < 0)
		refuse("%s: %s", source_name, strerror(errno));
	if (S_ISDIR(info.st_mode))
		refuse("%s is a directory; name a file", source_name);
	if (!S_ISREG(info.st_mode))
		refuse("%s is not a regular file; name one", source_name);
	size = (uint64_t)info.st_size;
	if (size == 0)
		refuse("%s is empty; name a file of at least %d bytes", source_name, SMALLEST_FILE);
	if (size < SMALLEST_FILE)
		refuse("%s has only %" PRIu64 " bytes, too few to share the work; name a file of at "
		       "least %d bytes", source_name, size, SMALLEST_FILE);
	if (size > available - available / 4)
		refuse("%s has %" PRIu64 " bytes, more than three quarters of the %" PRIu64
		       " bytes of memory that are free; name a smaller file", source_name, size,
		       available);
	return size;
}

int main(int argc, char **argv)
{
	struct counts before;
	uint64_t size;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (argc != 3)
		refuse("usage: demo SOURCE RESULT");
	colour = getenv("IPM_DEMO_COLOUR") || (isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	source_name = argv[1];
	size = open_source();
	check(ipm_module_get_info(&context, &(ipm_module_info){
						    .struct_size = sizeof(ipm_module_info) }),
	      "ask for the module");
	before = read_counts();
	run(size, argv[2]);
	check_nothing_left(before);
	return PASSED;
}
