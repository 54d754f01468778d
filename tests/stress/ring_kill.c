// SPDX-License-Identifier: GPL-2.0
/*
 * Kills a participant of a ring at every instruction of what it does, one
 * after the other, and lets the others go on.
 *
 * For each kind of ring and each operation: a victim process attaches and
 * stops. It is single-stepped with ptrace through n instructions of the
 * operation and killed with SIGKILL, for n = 0, 1, 2, ... until it gets to the
 * end. After each death the survivors read and write, and a new participant
 * takes the victim's place.
 *
 * With -q only some n are taken, by chance. Then one more victim is stepped
 * through all of the operation, and wherever an instruction has changed the
 * shared memory, it is taken for dead: a copy of the survivors goes on from
 * there, and the memory is put back for the next instruction. As nothing but
 * the shared memory is left of the dead, that covers every instruction. In every
 * third of these states another copy goes on beside a victim that lives but does not
 * move. With
 * -e N only one in N such states is tried, by chance, and fewer n; with -p N only
 * one in N of the scenarios.
 *
 * What has to hold:
 *
 *  - every committed record was delivered, in order, with the right bytes;
 *  - the victim's record was delivered whole or not at all; if it was not, at
 *    most one dropped record was counted, and exactly one where the victim had
 *    begun to write payload;
 *  - what the victim had begun to read is delivered again, marked, unless the
 *    victim had it all;
 *  - of two records in a batch the first one is there if the second one is;
 *  - where a ring was being made there is the old one, none, or the new one;
 *  - of a victim that writes records and reads them itself, at most the newest
 *    one is left;
 *  - nobody counts as dead any more, and the ring takes a full capacity of
 *    records.
 *
 * What has to hold beside one that is stopped:
 *
 *  - no call hangs or finds the ring spoilt, nothing is taken from the victim, and nobody
 *    counts as dead;
 *  - SPSC: the other side reads what is there, or writes;
 *  - MPMC: others write and read, once the record that the victim has reserved, if it
 *    has, is skipped by force: their own, and in order;
 *  - LANES: others write, and read all lanes but the one that the victim is reading.
 *
 * All in a memfd, without the module: who is alive is told by the table of
 * participants.
 *
 *	ring_kill [-q] [-e N] [-p N] [-s SEED] [-v]
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ipm/ipm_ring.h>

#include "../unit/tap.h"

#define DIE(...) do {							\
	printf("Bail out! %s:%d: ", __FILE__, __LINE__);		\
	printf(__VA_ARGS__);						\
	printf("\n");							\
	fflush(stdout);							\
	exit(1);							\
} while (0)

#define CAPACITY 4096
#define SMALL 24
#define LARGEST 2560

enum operation {
	WRITE,		/* ipm_ring_write() */
	COMMIT,		/* reserve, fill, make smaller, commit */
	DISCARD,	/* reserve, fill, discard */
	READ,		/* ipm_ring_read() */
	RELEASE,	/* peek two, copy both, release both */
	SKIP,
	ATTACH_WRITE,	/* take over from a dead producer, then write */
	ATTACH_READ,	/* take over from a dead consumer, then read */
	RECOVER,	/* clean up after a dead producer and a dead consumer */
	TURNS,		/* write a record and read it oneself, several times */
	WRITE_BATCH,	/* two records */
	PEEK_BATCH,	/* two, copy both, release both */
	SKIP_FORCE,	/* MPMC: what a living producer has reserved; else as SKIP */
	DETACH_WRITER,	/* with a reservation */
	DETACH_READER,	/* with a record in hand */
	YIELD,		/* the lane of which one record was read */
	CREATE,		/* a ring where there was one */
	OPERATIONS
};

#define TURNS_COUNT 3

static const char *const operation_names[] = {
	"write", "reserve and commit", "reserve and discard", "read",
	"peek and release", "skip", "take over and write", "take over and read",
	"recover", "write and read in turn", "write a batch", "peek and release a batch",
	"forced skip", "detach with a reservation", "detach with a record in hand", "yield",
	"create",
};

struct scenario {
	ipm_ring_kind kind;
	uint32_t flags;
	enum operation operation;
	size_t size;	/* of the records of the victim */
	size_t before;	/* bytes that went through the ring before */
};

/* What the victim tells, in memory that outlives it. */
struct report {
	unsigned char bytes[2][LARGEST];	/* what it read */
	uint32_t began;		/* payload was touched */
	uint32_t taken;		/* records it had in hand at some time */
	uint32_t done;		/* the operation returned */
	uint32_t result;
	uint32_t slot, generation;	/* who it was */
};

static struct {
	ipm_ring_options options;
	ipm_ring_mapping map;
	void *table;
	size_t table_size;
	struct report *report;
	ipm_participants *participants;
	uint32_t slot, generation;
	int fd;
	bool presumed_dead;	/* the victim */
} world;

static const struct scenario *now;
static bool verbose;
static unsigned long every = 1;		/* state is tried */
static unsigned long part = 1;		/* one in so many scenarios */
static uint64_t random_state;
static uint64_t steps_total, kills_total, states_total;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

#ifndef RING_KILL_MEMORY
/* Memory for the ring. */
static int ring_memory(size_t size)
{
	int fd = memfd_create("ring_kill", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		DIE("memfd");
	return fd;
}

static void ring_memory_free(int fd)
{
	close(fd);
}
#endif

static bool is_alive(void *who, uint32_t slot, uint32_t generation)
{
	if (world.presumed_dead && slot == world.report->slot &&
	    generation == world.report->generation)
		return false;
	return ipm_participants_alive(who, slot, generation);
}

static void fill(unsigned char *bytes, size_t size, unsigned int n)
{
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = (unsigned char)(n * 29 + i * 3 + 1);
}

static bool filled(const unsigned char *bytes, size_t size, unsigned int n)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (bytes[i] != (unsigned char)(n * 29 + i * 3 + 1))
			return false;
	return true;
}

static ipm_ring *attach_as(uint32_t roles, ipm_participants *who, uint32_t slot,
			   uint32_t generation)
{
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = roles,
		.flags = world.options.flags,
		.slot = slot,
		.generation = generation,
		.liveness = { is_alive, who },
	};
	ipm_ring *ring = NULL;
	ipm_result result = ipm_ring_attach(NULL, &o, world.map.memory,
					    world.map.size, &ring);

	if (result)
		DIE("attach: %s", ipm_result_to_str(result));
	return ring;
}

static ipm_result try_attach(uint32_t roles, ipm_ring **ring)
{
	ipm_ring_attach_options o = {
		.struct_size = sizeof(o),
		.roles = roles,
		.flags = world.options.flags,
		.slot = world.slot,
		.generation = world.generation,
		.liveness = { is_alive, world.participants },
	};

	*ring = NULL;
	return ipm_ring_attach(NULL, &o, world.map.memory, world.map.size, ring);
}

static ipm_ring *attach(uint32_t roles)
{
	return attach_as(roles, world.participants, world.slot, world.generation);
}

static ipm_result put(ipm_ring *ring, size_t size, unsigned int n)
{
	unsigned char bytes[LARGEST];

	fill(bytes, size, n);
	return ipm_ring_write(ring, bytes, size);
}

/* Takes the next record; what is wrong with it fails the test. */
static bool get(ipm_ring *ring, unsigned char *bytes, size_t *size, uint32_t *flags)
{
	unsigned int polls;

	for (polls = 0; polls < 3000; polls++) {
		ipm_result result = ipm_ring_read(ring, bytes, LARGEST, size, flags);

		if (!result)
			return true;
		if (!CHECK(result == IPM_RESULT_ERR_WOULD_BLOCK))
			printf("# %s\n", ipm_result_to_str(result));
	}
	return false;
}

static void setup_world(void)
{
	size_t ring_size;

	world.options = (ipm_ring_options){
		.struct_size = sizeof(world.options),
		.kind = now->kind,
		.flags = now->flags,
		.lanes = now->kind == IPM_RING_KIND_LANES ? 2 : 0,
		/* Just enough, so that the dead ones' places are needed. */
		.participants = now->kind != IPM_RING_KIND_MPMC ? 0 :
				now->operation == ATTACH_READ ? 2 : 3,
	};
	if (ipm_ring_footprint(&world.options, CAPACITY, &ring_size))
		DIE("footprint");
	world.fd = ring_memory(ring_size);
	if (ipm_ring_map(world.fd, 0, ring_size, &world.options,
			 IPM_ACCESS_MODE_READ_WRITE, &world.map))
		DIE("map");
	world.table_size = ipm_participants_footprint(8);
	world.table = mmap(NULL, world.table_size + sizeof(struct report),
			   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world.table == MAP_FAILED)
		DIE("mmap");
	world.report = (struct report *)((char *)world.table +
					 (world.table_size + 63) / 64 * 64);
}

static void teardown_world(void)
{
	munmap(world.table, world.table_size + sizeof(struct report));
	ipm_ring_unmap(&world.map);
	ring_memory_free(world.fd);
}

/* An empty ring whose positions are @before bytes on. */
static void make_ring(void)
{
	unsigned char bytes[LARGEST];
	ipm_ring *w, *r;
	size_t gone, space, size;

	if (ipm_ring_create(&world.options, world.map.memory, world.map.size) ||
	    ipm_participants_create(world.table, world.table_size, 8) ||
	    ipm_participants_join(NULL, world.table, world.table_size,
				  &world.participants, &world.slot, &world.generation))
		DIE("create");
	memset(world.report, 0, sizeof(*world.report));
	w = attach(IPM_RING_PRODUCER);
	r = attach(IPM_RING_CONSUMER);
	ipm_ring_record_space(&world.options, SMALL, &space);
	for (gone = 0; gone < now->before; gone += space)
		if (put(w, SMALL, 0) || ipm_ring_read(r, bytes, LARGEST, &size, NULL))
			DIE("before");
	ipm_ring_detach(w);
	ipm_ring_detach(r);
}

/* How many small records fit. */
static unsigned int fill_and_drain(ipm_ring *w, ipm_ring *r)
{
	unsigned char bytes[LARGEST];
	unsigned int n = 0, i;
	uint32_t flags;
	size_t size;

	while (!put(w, SMALL, n))
		n++;
	for (i = 0; i < n; i++) {
		if (!CHECK(get(r, bytes, &size, &flags)))
			break;
		CHECK(size == SMALL && filled(bytes, size, i) && !flags);
	}
	CHECK(ipm_ring_read(r, bytes, LARGEST, &size, NULL) == IPM_RESULT_ERR_WOULD_BLOCK);
	return n;
}

static bool victim_writes(void)
{
	return now->operation == WRITE || now->operation == COMMIT ||
	       now->operation == DISCARD || now->operation == ATTACH_WRITE ||
	       now->operation == WRITE_BATCH || now->operation == DETACH_WRITER;
}

static bool skips_reserved(void)
{
	return now->operation == SKIP_FORCE && now->kind == IPM_RING_KIND_MPMC;
}

#define VICTIM_RECORD 200	/* number of the victim's own record, or the first one */
#define RESERVED_RECORD 50	/* what is forcibly skipped */

/* Never inlined: a stop stands before and behind it. */
__attribute__((noinline)) static void operate(ipm_ring *ring,
					       ipm_participants *who, uint32_t slot,
					       uint32_t generation)
{
	struct report *report = world.report;
	ipm_ring_record record, second, both[2];
	ipm_ring_span spans[2] = {
		{ report->bytes[0], now->size }, { report->bytes[1], now->size },
	};
	unsigned int n;
	size_t size;

	switch (now->operation) {
	case ATTACH_WRITE:
		ring = attach_as(IPM_RING_PRODUCER, who, slot, generation);
		/* fall through */
	case WRITE:
		report->result = (uint32_t)ipm_ring_write(ring, report->bytes[0],
							  now->size);
		break;
	case COMMIT:
		report->result = (uint32_t)ipm_ring_reserve(ring, now->size + 100,
							    &record);
		if (report->result)
			break;
		__atomic_store_n(&report->began, 1, __ATOMIC_RELEASE);
		memset(record.data, 0xff, record.size);
		memcpy(record.data, report->bytes[0], now->size);
		record.size = now->size;
		report->result = (uint32_t)ipm_ring_commit(ring, &record);
		break;
	case DISCARD:
		report->result = (uint32_t)ipm_ring_reserve(ring, now->size, &record);
		if (report->result)
			break;
		__atomic_store_n(&report->began, 1, __ATOMIC_RELEASE);
		memset(record.data, 0xff, record.size);
		__atomic_store_n(&report->began, 0, __ATOMIC_RELEASE);
		report->result = (uint32_t)ipm_ring_discard(ring, &record);
		break;
	case ATTACH_READ:
		ring = attach_as(IPM_RING_CONSUMER, who, slot, generation);
		/* fall through */
	case READ:
		report->result = (uint32_t)ipm_ring_read(ring, report->bytes[0], LARGEST,
							 &size, NULL);
		break;
	case RELEASE:
		report->result = (uint32_t)ipm_ring_peek(ring, &record);
		__atomic_store_n(&report->taken, 1, __ATOMIC_RELEASE);
		memcpy(report->bytes[0], record.data, record.size);
		report->result |= (uint32_t)ipm_ring_peek(ring, &second);
		__atomic_store_n(&report->taken, 2, __ATOMIC_RELEASE);
		memcpy(report->bytes[1], second.data, second.size);
		report->result |= (uint32_t)ipm_ring_release(ring, &record);
		report->result |= (uint32_t)ipm_ring_release(ring, &second);
		break;
	case SKIP:
		report->result = (uint32_t)ipm_ring_skip(ring);
		break;
	case RECOVER:
		report->result = (uint32_t)ipm_ring_check(ring, NULL);
		break;
	case TURNS:
		for (n = 0; n < TURNS_COUNT; n++) {
			/* Its own look at the ring takes a pad out of the way. */
			while (ipm_ring_write(ring, report->bytes[0], now->size))
				ipm_ring_read(ring, report->bytes[1], LARGEST, &size, NULL);
			report->result |= (uint32_t)ipm_ring_read(ring, report->bytes[1],
								  LARGEST, &size, NULL);
		}
		break;
	case WRITE_BATCH:
		report->result = (uint32_t)ipm_ring_write_batch(ring, spans, 2, &size);
		report->result |= size != 2;
		break;
	case PEEK_BATCH:
		report->result = (uint32_t)ipm_ring_peek_batch(ring, both, 2, &size);
		report->result |= size != 2;
		__atomic_store_n(&report->taken, 2, __ATOMIC_RELEASE);
		memcpy(report->bytes[0], both[0].data, both[0].size);
		memcpy(report->bytes[1], both[1].data, both[1].size);
		report->result |= (uint32_t)ipm_ring_release_batch(ring, both, 2);
		break;
	case SKIP_FORCE:
		report->result = (uint32_t)ipm_ring_skip_force(ring, NULL);
		break;
	case DETACH_WRITER:
	case DETACH_READER:
		ipm_ring_detach(ring);
		break;
	case YIELD:
		report->result = (uint32_t)ipm_ring_yield(ring);
		break;
	case CREATE:
		report->result = (uint32_t)ipm_ring_create(&world.options, world.map.memory,
							   world.map.size);
		break;
	case OPERATIONS:
		break;
	}
	__atomic_store_n(&report->done, 1, __ATOMIC_RELEASE);
}

/* What the victim has done before it comes to its operation. */
static void prepare(ipm_ring *ring)
{
	struct report *report = world.report;
	ipm_ring_record record;
	size_t size;

	switch (now->operation) {
	case WRITE_BATCH:
		fill(report->bytes[1], now->size, VICTIM_RECORD + 1);
		break;
	case DETACH_WRITER:
		if (ipm_ring_reserve(ring, now->size, &record))
			_exit(1);
		memset(record.data, 0xff, record.size);
		break;
	case DETACH_READER:
		if (ipm_ring_peek(ring, &record))
			_exit(1);
		report->taken = 1;
		break;
	case YIELD:
		if (ipm_ring_read(ring, report->bytes[0], LARGEST, &size, NULL))
			_exit(1);
		break;
	default:
		break;
	}
}

/* A participant that dies with something in its hands, before the victim. */
static void forerunner(uint32_t roles)
{
	pid_t pid = fork();

	if (!pid) {
		ipm_participants *who;
		ipm_ring_record record;
		uint32_t slot, generation;
		ipm_ring *ring;

		if (ipm_participants_join(NULL, world.table, world.table_size, &who,
					  &slot, &generation))
			_exit(1);
		ring = attach_as(roles, who, slot, generation);
		if (roles & IPM_RING_PRODUCER) {
			if (ipm_ring_reserve(ring, 300, &record))
				_exit(1);
			memset(record.data, 0xff, 300);
		} else if (ipm_ring_peek(ring, &record)) {
			_exit(1);
		}
		_exit(0);
	}
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		DIE("forerunner: %x", (unsigned int)status);
}

static pid_t start_victim(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		uint32_t slot, generation;
		ipm_participants *who;
		ipm_ring *ring = NULL;

		if (ipm_participants_join(NULL, world.table, world.table_size, &who,
					  &slot, &generation))
			_exit(1);
		world.report->slot = slot;
		world.report->generation = generation;
		if (victim_writes() || now->operation == TURNS)
			fill(world.report->bytes[0], now->size, VICTIM_RECORD);
		if (now->operation < ATTACH_WRITE ||
		    (now->operation > TURNS && now->operation != CREATE))
			ring = attach_as(victim_writes() ? IPM_RING_PRODUCER :
							   IPM_RING_CONSUMER,
					 who, slot, generation);
		else if (now->operation == RECOVER)
			ring = attach_as(now->kind == IPM_RING_KIND_SPSC ?
						 IPM_RING_PRODUCER : IPM_RING_CONSUMER,
					 who, slot, generation);
		else if (now->operation == TURNS)
			ring = attach_as(IPM_RING_PRODUCER | IPM_RING_CONSUMER, who, slot,
					 generation);
		prepare(ring);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		operate(ring, who, slot, generation);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    WSTOPSIG(status) != SIGSTOP)
		DIE("victim did not start: %x", (unsigned int)status);
	return pid;
}

/* One instruction. Returns whether the victim has got to the end instead. */
static bool step(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
	    waitpid(pid, &status, 0) != pid)
		DIE("step: %d", errno);
	steps_total++;
	if (!WIFSTOPPED(status))
		DIE("victim ended: %x", (unsigned int)status);
	if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
		DIE("victim got signal %d", WSTOPSIG(status));
	return WSTOPSIG(status) == SIGSTOP;
}

static void kill_victim(pid_t pid)
{
	int status;

	if (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid)
		DIE("kill: %d", errno);
	kills_total++;
}

/* What was sent before the victim, by it, and after it, in one order. */
static void check_written(ipm_ring *r, unsigned int earlier, bool done)
{
	unsigned char bytes[LARGEST];
	unsigned int seen = 0, victim = 0, later = 0;
	ipm_ring_stats stats;
	uint32_t flags;
	size_t size;

	while (get(r, bytes, &size, &flags)) {
		if (size == SMALL && filled(bytes, SMALL, 1 + seen) && seen < earlier) {
			seen++;
		} else if (size == now->size && filled(bytes, size, VICTIM_RECORD + victim)) {
			/* Lanes keep the order of each producer only. */
			CHECK(seen == earlier || now->kind == IPM_RING_KIND_LANES);
			CHECK(!later || now->kind == IPM_RING_KIND_LANES);
			victim++;
		} else {
			CHECK(size == SMALL && filled(bytes, SMALL, 100));
			CHECK(seen == earlier);
			later++;
		}
		CHECK(!flags);
	}
	CHECK_INT(seen, earlier);
	CHECK_INT(later, 1);
	ipm_ring_get_stats(r, &stats);
	if (now->operation == DISCARD || now->operation == DETACH_WRITER)
		CHECK_INT(victim, 0);
	else if (done)
		CHECK_INT(victim, now->operation == WRITE_BATCH ? 2 : 1);
	if (now->operation == ATTACH_WRITE) {
		/* The forerunner's, and perhaps the victim's. A recoverer that
		 * dies at the count may leave it one off. */
		CHECK(stats.dropped <= 3 - victim);
	} else if (now->operation == WRITE_BATCH) {
		CHECK(stats.dropped <= 1 && stats.dropped + victim <= 2);
	} else {
		CHECK(stats.dropped + victim <= 1);
		if (world.report->began && !done)
			CHECK_INT(stats.dropped + victim, 1);
	}
}

/*
 * Records 1 to @count were there for the victim; @done: it got to the end; @committed:
 * how many others that were written before it died.
 */
static void check_read(ipm_ring *r, unsigned int count, bool done, unsigned int committed)
{
	unsigned char bytes[LARGEST];
	unsigned int seen[8] = { 0 }, last = 0, later = 0, missing = 0, reserved = 0, n;
	bool two = now->operation == RELEASE || now->operation == PEEK_BATCH;
	bool marked[8] = { false };
	ipm_ring_stats stats;
	uint32_t flags;
	size_t size;

	while (get(r, bytes, &size, &flags)) {
		if (size == SMALL && filled(bytes, SMALL, 100)) {
			CHECK(!flags);
			later++;
			continue;
		}
		if (size == SMALL && filled(bytes, SMALL, RESERVED_RECORD)) {
			CHECK(!flags && !last && !later);
			reserved++;
			continue;
		}
		for (n = 1; n <= count && !(size == now->size && filled(bytes, size, n)); n++)
			;
		if (!CHECK(n <= count))
			continue;
		seen[n]++;
		marked[n] = flags & IPM_RING_REDELIVERED;
		/* MPMC comes to what a dead one had when it read the rest. */
		if (now->kind == IPM_RING_KIND_MPMC && marked[n])
			continue;
		CHECK(n > last && !later);
		last = n;
	}
	CHECK_INT(later, 1);
	for (n = 1; n <= count; n++) {
		CHECK(seen[n] <= 1);
		if (!seen[n]) {
			/* Only what the victim had completely may be gone. */
			CHECK(missing == n - 1);
			missing++;
			CHECK(n <= 2 && now->operation != RECOVER);
			if (n <= 2 && now->operation != SKIP && now->operation != SKIP_FORCE)
				CHECK(filled(world.report->bytes[n - 1], now->size, n));
		} else if (n <= world.report->taken) {
			CHECK(marked[n]);
		} else if (n == 1 && (now->operation == ATTACH_READ ||
				      now->operation == RECOVER)) {
			CHECK(marked[n]);
		} else if (n == 1 && now->operation == READ &&
			   world.report->bytes[0][0]) {
			CHECK(marked[n]);
		} else if (n > 2) {
			CHECK(!marked[n]);
		}
	}
	CHECK_INT(reserved, committed);
	CHECK(missing <= (two ? 2 : 1));
	if (now->operation == DETACH_READER || skips_reserved())
		CHECK_INT(missing, 0);
	else if (now->operation == YIELD || (done && now->operation != RECOVER))
		CHECK_INT(missing, two ? 2 : 1);
	ipm_ring_get_stats(r, &stats);
	if (now->operation == RECOVER)
		CHECK(stats.dropped >= 1 && stats.dropped <= 2);
	else
		CHECK_INT(stats.dropped, 0);
}

/* The victim wrote records and read them: of the newest one something may be left. */
static void check_turns(ipm_ring *r, bool done)
{
	unsigned char bytes[LARGEST];
	unsigned int left = 0, later = 0;
	ipm_ring_stats stats;
	uint32_t flags;
	size_t size;

	while (get(r, bytes, &size, &flags)) {
		if (size == SMALL && filled(bytes, SMALL, 100)) {
			CHECK(!flags);
			later++;
			continue;
		}
		CHECK(size == now->size && filled(bytes, size, VICTIM_RECORD));
		left++;
	}
	CHECK_INT(later, 1);
	ipm_ring_get_stats(r, &stats);
	CHECK(stats.dropped + left <= (done ? 0 : 1));
}

/* Those who are there when the victim begins. */
struct survivors {
	ipm_ring *w, *r;
	unsigned int count;	/* records that are there to be read */
	ipm_ring_record reserved;	/* what the victim skips by force */
};

static void begin(struct survivors *s)
{
	unsigned int n;

	make_ring();
	*s = (struct survivors){ .count = 0 };
	if (now->operation == TURNS)
		return;
	s->w = attach(IPM_RING_PRODUCER);
	if (skips_reserved() && ipm_ring_reserve(s->w, SMALL, &s->reserved))
		DIE("reserve");
	if (victim_writes()) {
		s->r = attach(IPM_RING_CONSUMER);
		for (n = 1; n <= 2; n++)
			if (put(s->w, SMALL, n))
				DIE("put");
	} else {
		for (s->count = 0; s->count < 4; s->count++)
			if (put(s->w, now->size, s->count + 1))
				DIE("put");
	}
	if (now->operation == RECOVER || now->operation == CREATE ||
	    (now->kind == IPM_RING_KIND_SPSC && victim_writes())) {
		ipm_ring_detach(s->w);
		s->w = NULL;
	}
	if (now->operation == ATTACH_READ || now->operation == RECOVER)
		forerunner(IPM_RING_CONSUMER);
	if (now->operation == ATTACH_WRITE || now->operation == RECOVER)
		forerunner(IPM_RING_PRODUCER);
}

/* There is the old ring, none, or a new one: never half of one. */
static void go_on_created(struct survivors *s, bool done)
{
	unsigned char bytes[LARGEST];
	unsigned int n = 0;
	ipm_ring *ring;
	ipm_result result;
	uint32_t flags;
	size_t size;

	result = try_attach(IPM_RING_PRODUCER | IPM_RING_CONSUMER, &ring);
	if (done)
		CHECK_INT(result, IPM_RESULT_SUCCESS);
	if (!result) {
		while (get(ring, bytes, &size, &flags)) {
			n++;
			CHECK(size == now->size && filled(bytes, size, n) && !flags);
		}
		CHECK(!n || (n == s->count && !done));
		ipm_ring_detach(ring);
	} else {
		CHECK_INT(result, IPM_RESULT_ERR_BAD_INIT);
	}
	CHECK_INT(ipm_ring_create(&world.options, world.map.memory, world.map.size),
		  IPM_RESULT_SUCCESS);
	ring = attach(IPM_RING_PRODUCER | IPM_RING_CONSUMER);
	CHECK(fill_and_drain(ring, ring) > 0);
	ipm_ring_detach(ring);
}

/* The victim is dead: everything that has to hold now. */
static void go_on(struct survivors *s, unsigned int *capacity)
{
	bool done = world.report->done;
	unsigned int n, committed = 0;
	ipm_ring *w2 = NULL;
	ipm_ring_peers peers;

	if (done)
		CHECK_INT(world.report->result, 0);
	if (now->operation == CREATE) {
		go_on_created(s, done);
		return;
	}
	if (skips_reserved()) {
		ipm_result result;

		fill(s->reserved.data, SMALL, RESERVED_RECORD);
		result = ipm_ring_commit(s->w, &s->reserved);
		committed = !result;
		CHECK(!result || result == IPM_RESULT_ERR_REMOVED);
		if (done)
			CHECK_INT(result, IPM_RESULT_ERR_REMOVED);
	}
	if (!s->w || victim_writes())
		w2 = attach(IPM_RING_PRODUCER);
	if (put(s->w ? s->w : w2, SMALL, 100))
		CHECK(!"the record after the death");
	if (!s->r)
		s->r = attach(IPM_RING_CONSUMER);
	if (now->operation == TURNS)
		check_turns(s->r, done);
	else if (victim_writes())
		check_written(s->r, 2, done);
	else
		check_read(s->r, s->count, done, committed);

	CHECK_INT(ipm_ring_check(s->r, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_get_peers(s->r, &peers), IPM_RESULT_SUCCESS);
	CHECK_INT(peers.dead_producers + peers.dead_consumers, 0);
	n = fill_and_drain(w2 ? w2 : s->w, s->r);
	if (!*capacity)
		*capacity = n;
	/* Where a lap ends, the last bytes may not hold one more record. */
	CHECK(n + 1 >= *capacity && n <= *capacity + 1);
	ipm_ring_detach(w2);
}

/* Is the victim, or one of the dead, still where a participant should go? */
static bool may_lack_place(void)
{
	return now->operation == ATTACH_WRITE || now->operation == ATTACH_READ ||
	       now->operation == RECOVER;
}

static bool gives_place_back(void)
{
	return now->operation == DETACH_WRITER || now->operation == DETACH_READER;
}

static ipm_ring *attach_beside(uint32_t roles)
{
	ipm_ring *ring;
	ipm_result result = try_attach(roles, &ring);

	if (result)
		CHECK(may_lack_place() && result == IPM_RESULT_ERR_LIMIT);
	return ring;
}

/*
 * Reads until there is nothing, @until came, or MPMC: until that comes once what is in
 * its way is skipped. Each record has to be one of those that were written, and come once.
 */
static bool read_beside(ipm_ring *r, unsigned int until)
{
	unsigned int polls, skips = 0, n = 0;
	unsigned char bytes[LARGEST];
	static bool seen[256];
	ipm_result result;
	size_t size;

	for (polls = 0; polls < 1100; polls++) {
		result = ipm_ring_read(r, bytes, LARGEST, &size, NULL);
		if (result == IPM_RESULT_ERR_WOULD_BLOCK) {
			if (now->kind == IPM_RING_KIND_MPMC && until && polls % 100 == 99 &&
			    !ipm_ring_skip_force(r, NULL))
				skips++;
			continue;
		}
		if (!CHECK_INT(result, IPM_RESULT_SUCCESS))
			return false;
		for (n = 1; n < 256 && !((size == SMALL || size == now->size) &&
					 filled(bytes, size, n)); n++)
			;
		/* Of one that writes in turns, all have the same bytes. */
		if (!CHECK(n < 256) || !CHECK(!seen[n] || now->operation == TURNS))
			return false;
		seen[n] = true;
		if (n == until)
			break;
	}
	/* What the victim has reserved, and what a dead one has that it takes over. */
	CHECK(skips <= 1u + may_lack_place());
	return n == until && polls < 1100;
}

/* SPSC: there is only the other side. */
static void go_on_beside_spsc(struct survivors *s)
{
	ipm_ring *ring;

	if (s->r)
		read_beside(s->r, 0);
	else if (s->w)
		CHECK_INT(put(s->w, SMALL, 100), IPM_RESULT_SUCCESS);
	if (may_lack_place() || gives_place_back())
		return;
	CHECK_INT(try_attach(victim_writes() || now->operation == TURNS ?
				     IPM_RING_PRODUCER : IPM_RING_CONSUMER, &ring),
		  IPM_RESULT_ERR_ALREADY_LOCKED);
}

/* The victim lives, and has stopped where it is. */
static void go_on_beside(struct survivors *s)
{
	ipm_ring *w = s->w, *r = s->r, *w2 = NULL;
	ipm_ring_peers peers;
	ipm_ring_stats stats;
	bool came;

	if (now->kind == IPM_RING_KIND_SPSC) {
		go_on_beside_spsc(s);
	} else {
		if (!w && !r)
			w = r = attach_beside(IPM_RING_PRODUCER | IPM_RING_CONSUMER);
		if (!r)
			r = attach_beside(IPM_RING_CONSUMER);
		CHECK(w || may_lack_place());
		if (w)
			CHECK_INT(put(w, SMALL, 100), IPM_RESULT_SUCCESS);
		if (r) {
			came = w && read_beside(r, 100);
			if (!came && now->kind == IPM_RING_KIND_LANES && !victim_writes()) {
				w2 = attach_beside(IPM_RING_PRODUCER);
				if (w2)
					CHECK_INT(put(w2, SMALL, 101), IPM_RESULT_SUCCESS);
				came = w2 && read_beside(r, 101);
			}
			CHECK(came || !w || (may_lack_place() && !w2));
		}
	}
	if (!r)
		r = attach_as(0, world.participants, world.slot, world.generation);
	else if (!s->reserved.size)
		CHECK_INT(ipm_ring_check(r, NULL), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_get_peers(r, &peers), IPM_RESULT_SUCCESS);
	CHECK_INT(ipm_ring_get_stats(r, &stats), IPM_RESULT_SUCCESS);
	if (may_lack_place())
		return;
	CHECK_INT(peers.dead_producers + peers.dead_consumers, 0);
	CHECK_INT(stats.dropped, 0);
	/* What a reader leaves that gives its place back is marked for others. */
	CHECK(!stats.redelivered || now->operation == DETACH_READER);
}

static void end(struct survivors *s)
{
	ipm_ring_detach(s->w);
	ipm_ring_detach(s->r);
	ipm_participants_leave(world.participants);
}

/* One life and death. Returns whether the victim got to the end. */
static bool run_once(unsigned long steps, unsigned int *capacity)
{
	struct survivors s;
	bool ended = false;
	pid_t pid;

	begin(&s);
	pid = start_victim();
	while (steps-- && !ended)
		ended = step(pid);
	kill_victim(pid);
	go_on(&s, capacity);
	end(&s);
	return ended;
}

/* A copy of the survivors goes on as if the victim had died, or beside it. */
static bool presume(struct survivors *s, bool dead, unsigned int capacity)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		world.presumed_dead = dead;
		if (dead)
			go_on(s, &capacity);
		else
			go_on_beside(s);
		fflush(stdout);
		_exit(tap.failing);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		DIE("fork: %d", errno);
	states_total++;
	return CHECK_INT(status, 0);
}

/* Every state that the victim leaves in the shared memory. */
static void run_states(unsigned int capacity)
{
	size_t rest_size = world.table_size + sizeof(struct report);
	unsigned char *ring = malloc(world.map.size), *rest = malloc(rest_size);
	bool ended = false, first = true;
	unsigned long steps = 0;
	struct survivors s;
	pid_t pid;
	int dead;

	if (!ring || !rest)
		DIE("malloc");
	begin(&s);
	pid = start_victim();
	for (;;) {
		if ((first || memcmp(ring, world.map.memory, world.map.size) ||
		     memcmp(rest, world.table, rest_size)) &&
		    next_random() % every == 0) {
			memcpy(ring, world.map.memory, world.map.size);
			memcpy(rest, world.table, rest_size);
			first = false;
			for (dead = 1; dead >= 0 && !tap.failing; dead--) {
				/* A ring that is being made is nobody's yet. Of the
				 * others every third state. */
				if (!dead && (now->operation == CREATE || next_random() % 3))
					continue;
				if (!presume(&s, dead, capacity))
					printf("# as if %s after %lu instructions\n",
					       dead ? "dead" : "stopped", steps);
				memcpy(world.map.memory, ring, world.map.size);
				memcpy(world.table, rest, rest_size);
			}
			if (tap.failing)
				break;
		}
		if (ended)
			break;
		ended = step(pid);
		steps++;
	}
	kill_victim(pid);
	end(&s);
	free(ring);
	free(rest);
}

static const struct scenario *scenario_list(size_t *count)
{
	static const struct {
		ipm_ring_kind kind;
		uint32_t flags;
	} kinds[] = {
		{ IPM_RING_KIND_SPSC, 0 },
		{ IPM_RING_KIND_SPSC, IPM_RING_DOUBLED },
		{ IPM_RING_KIND_MPMC, 0 },
		{ IPM_RING_KIND_MPMC, IPM_RING_DOUBLED },
		{ IPM_RING_KIND_LANES, 0 },
	};
	/* The second and third cross the end of the ring. The last is what MPMC keeps
	 * beside the word. */
	static const struct {
		size_t size, before;
	} shapes[] = { { 24, 0 }, { 300, 3840 }, { 700, 3840 }, { 8, 0 } },
	/* Half of the ring, so that one record's end is at the start of the other. */
	  large[] = { { 24, 3960 }, { 1984, 0 }, { 2304, 0 }, { 8, 0 } };
	static struct scenario list[5 * OPERATIONS * 4];
	size_t k, o, i, n = 0;

	for (k = 0; k < 5; k++) {
		for (o = WRITE; o < OPERATIONS; o++) {
			for (i = 0; i < (kinds[k].kind == IPM_RING_KIND_MPMC ? 4 : 3); i++) {
				size_t size = o == TURNS ? large[i].size : shapes[i].size;
				size_t before = o == TURNS ? large[i].before :
							     shapes[i].before;

				list[n++] = (struct scenario){
					kinds[k].kind, kinds[k].flags,
					(enum operation)o, size, before,
				};
			}
		}
	}
	*count = n;
	return list;
}

static bool quick;

static void test_scenario(void)
{
	unsigned int capacity = 0;
	unsigned long steps;
	bool ended = false;

	setup_world();
	/* 0 is a victim that never began; it tells what fits. */
	for (steps = 0; !ended && !tap.failing; steps++) {
		if (quick && steps)
			steps += next_random() % (2 + (every > 1 ? 8 * steps : steps / 4));
		ended = run_once(steps, &capacity);
		if (tap.failing)
			printf("# after %lu instructions\n", steps);
	}
	if (quick && !tap.failing)
		run_states(capacity);
	if (verbose)
		printf("# %lu instructions\n", steps);
	teardown_world();
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "", "SPSC", "MPMC", "LANES" };
	const struct scenario *list;
	char name[200];
	size_t count, chosen, i;
	int option;

	random_state = (uint64_t)time(NULL) * 2654435761u;
	while ((option = getopt(argc, argv, "qe:p:s:v")) != -1) {
		if (option == 'q') {
			quick = true;
		} else if (option == 'e' && atol(optarg) > 0) {
			every = (unsigned long)atol(optarg);
		} else if (option == 'p' && atol(optarg) > 0) {
			part = (unsigned long)atol(optarg);
		} else if (option == 's') {
			random_state = strtoull(optarg, NULL, 0);
		} else if (option == 'v') {
			verbose = true;
		} else {
			return 2;
		}
	}
	if (quick)
		printf("# seed %llu\n", (unsigned long long)random_state);
	random_state |= 1;
	list = scenario_list(&count);
	chosen = next_random() % part;
	for (i = 0; i < count; i++) {
		now = &list[i];
		if (i % part != chosen)
			continue;
		snprintf(name, sizeof(name), "%s%s: %s of %zu bytes%s, killed at every instruction",
			 kinds[now->kind], now->flags ? " doubled" : "",
			 operation_names[now->operation], now->size,
			 now->before ? " at the end of the ring" : "");
		tap_run(name, test_scenario);
	}
	printf("# %llu deaths and %llu states as if dead or stopped, %llu instructions\n",
	       (unsigned long long)kills_total, (unsigned long long)states_total,
	       (unsigned long long)steps_total);
	return tap_end();
}
