// SPDX-License-Identifier: GPL-2.0
/*
 * Many producers and consumers at once, with or without sudden deaths.
 *
 *	ring_stress [threads [messages]]
 *					threads of one process (for TSan)
 *	ring_stress kills [messages] [seed]
 *					processes that are killed at random
 *
 * Each message says who sent it, its number, and what its bytes have to be.
 * What is checked, for every kind of ring:
 *
 *  - exactly once: a message whose write returned is delivered exactly once
 *    without the redelivered mark, or else with it (after a consumer's death);
 *    nothing is delivered twice without the mark;
 *  - a message that was being written at its producer's death is delivered
 *    once or not at all;
 *  - no byte is wrong;
 *  - each consumer sees the numbers of each producer grow (but for marked
 *    ones); with lanes, of each life of a producer, because the next life may
 *    have another lane; and the ids of records grow, of each lane;
 *  - without deaths nothing is marked and nothing is dropped; with them no more is
 *    marked than the dead consumers can have had in hand, and no more dropped than
 *    what dead producers had begun and nobody got.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

#define MAX_SIDE 3
#define CAPACITY 16384
#define IN_DOUBT 128
#define LIVES 1024
#define HANDS 4			/* records that a consumer has in hand at most */
#define LANES 8

struct message {
	uint16_t producer;
	uint16_t life;		/* which one of the producer's lives, for lanes */
	uint32_t size;
	uint64_t number;
	unsigned char bytes[1008];
};

/* What is added to and loaded at once, where a structure would only ask for 4. */
typedef uint64_t number_t __attribute__((aligned(8)));

/* Shared between all, and outlives every process. */
struct board {
	number_t target;		/* messages per producer */
	uint32_t lives[MAX_SIDE];
	number_t begun[MAX_SIDE];	/* number that is being written */
	number_t written[MAX_SIDE];	/* last number whose write returned */
	uint32_t wrong;			/* something was not as it has to be */
	uint32_t stop;			/* consumers: end when empty */
	number_t deliveries;
	number_t marked;		/* of them */
	uint32_t reading[MAX_SIDE];	/* consumer is between a read and its entry */
	/* Per message: deliveries without mark, 16 times those with, and
	 * IN_DOUBT if its producer died over it. */
	unsigned char *seen[MAX_SIDE];
};

static struct {
	ipm_ring_options options;
	void *memory;
	size_t size;
	void *table;
	size_t table_size;
	struct board *board;
	unsigned int producers, consumers;
	bool kills;
} s;

static uint64_t base_seed;

/* Deaths in the middle of a write, between a read and its entry, of consumers, of all. */
static uint64_t doubts, excuses, reader_deaths, deaths;

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		DIE("mmap of %zu bytes", size);
	return memory;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void complain(const char *what, const struct message *m, uint32_t flags)
{
	printf("# %s: producer %u number %llu size %u flags %u\n", what, m->producer,
	       (unsigned long long)m->number, m->size, flags);
	fflush(stdout);
	__atomic_store_n(&s.board->wrong, 1, __ATOMIC_RELAXED);
}

/* Nobody needs to go on. */
static bool gone_wrong(void)
{
	return __atomic_load_n(&s.board->wrong, __ATOMIC_RELAXED);
}

static ipm_ring *attach(uint32_t roles, ipm_participants **who)
{
	ipm_ring_attach_options o = { .struct_size = sizeof(o), .roles = roles };
	ipm_ring *ring = NULL;
	ipm_result result;

	if (ipm_participants_join(NULL, s.table, s.table_size, who, &o.slot,
				  &o.generation))
		DIE("join");
	o.liveness.alive = ipm_participants_alive;
	o.liveness.param = *who;
	while ((result = ipm_ring_attach(NULL, &o, s.memory, s.size, &ring)) ==
	       IPM_RESULT_ERR_LIMIT && !gone_wrong())
		sched_yield();
	if (result)
		DIE("attach: %s", ipm_result_to_str(result));
	return ring;
}

static unsigned char byte_of(uint64_t number, uint32_t i)
{
	return (unsigned char)(number * 13 + i * 5);
}

static void produce(unsigned int index, uint64_t seed)
{
	struct board *b = s.board;
	ipm_participants *who;
	ipm_ring *ring = attach(IPM_RING_PRODUCER, &who);
	uint64_t state = seed | 1, number = b->begun[index];
	uint32_t life = 0;
	struct message m;
	uint32_t i;

	if (s.options.kind == IPM_RING_KIND_LANES)
		life = b->lives[index]++ % LIVES;
	while (number++ < b->target) {
		ipm_ring_record record;
		ipm_result result;

		m.producer = (uint16_t)index;
		m.life = (uint16_t)life;
		m.number = number;
		m.size = 16 + (uint32_t)(next_random(&state) % (number % 8 ? 60 : 900));
		for (i = 16; i < m.size; i++)
			m.bytes[i - 16] = byte_of(number, i);
		__atomic_store_n(&b->begun[index], number, __ATOMIC_RELEASE);
		if (next_random(&state) % 16 == 0) {
			/* One that is given up. */
			if (!ipm_ring_reserve(ring, m.size + 50, &record)) {
				memset(record.data, 0xee, m.size);
				ipm_ring_discard(ring, &record);
			}
		}
		if (next_random(&state) % 4) {
			while ((result = ipm_ring_write(ring, &m, m.size)) ==
				       IPM_RESULT_ERR_WOULD_BLOCK && !gone_wrong())
				sched_yield();
		} else {
			while ((result = ipm_ring_reserve(ring, m.size + 80, &record)) ==
				       IPM_RESULT_ERR_WOULD_BLOCK && !gone_wrong())
				sched_yield();
			if (!result) {
				memcpy(record.data, &m, m.size);
				record.size = m.size;
				result = ipm_ring_commit(ring, &record);
			}
		}
		if (result)
			complain(ipm_result_to_str(result), &m, 0);
		__atomic_store_n(&b->written[index], number, __ATOMIC_RELEASE);
		if (gone_wrong())
			break;
	}
	ipm_ring_detach(ring);
	ipm_participants_leave(who);
}

static void check_message(const struct message *m, size_t size, uint32_t flags,
			  uint64_t (*last)[LIVES])
{
	struct board *b = s.board;
	unsigned char before;
	uint32_t i;

	if (size < 16 || m->size != size || m->producer >= s.producers || m->life >= LIVES ||
	    !m->number || m->number > b->target) {
		complain("not a message", m, flags);
		return;
	}
	for (i = 16; i < m->size; i++) {
		if (m->bytes[i - 16] != byte_of(m->number, i)) {
			complain("torn", m, flags);
			return;
		}
	}
	before = __atomic_fetch_add(&b->seen[m->producer][m->number],
				    flags & IPM_RING_REDELIVERED ? 16 : 1,
				    __ATOMIC_RELAXED);
	if (flags & IPM_RING_REDELIVERED) {
		__atomic_fetch_add(&b->marked, 1, __ATOMIC_RELAXED);
		if (!s.kills)
			complain("marked, and nobody died", m, flags);
		return;
	}
	if (before & 15)
		complain("delivered twice", m, flags);
	if (m->number <= last[m->producer][m->life])
		complain("out of order", m, flags);
	last[m->producer][m->life] = m->number;
}

/* The ring's own numbers of what this consumer got. */
static void check_id(const ipm_ring_record *record, uint64_t *ids)
{
	if (record->flags & IPM_RING_REDELIVERED)
		return;
	if (record->lane >= LANES || record->id < ids[record->lane])
		complain("ids do not grow", record->data, record->flags);
	else
		ids[record->lane] = record->id + 1;
}

static void consume(unsigned int index, uint64_t seed)
{
	struct board *b = s.board;
	ipm_participants *who;
	ipm_ring *ring = attach(IPM_RING_CONSUMER, &who);
	uint64_t (*last)[LIVES] = calloc(MAX_SIDE, sizeof(*last));
	uint64_t state = seed | 1, ids[LANES] = { 0 };
	unsigned int empty = 0;

	if (!last)
		DIE("calloc");
	for (;;) {
		ipm_ring_record records[HANDS];
		ipm_result result;
		struct message m;
		size_t got = 0, i;
		uint32_t flags;

		if (next_random(&state) % 2) {
			/* What was read is released; who dies before it is
			 * entered takes it along. */
			__atomic_store_n(&b->reading[index], 1, __ATOMIC_RELEASE);
			result = ipm_ring_read(ring, &m, sizeof(m), &got, &flags);
			if (!result)
				check_message(&m, got, flags, last);
			__atomic_store_n(&b->reading[index], 0, __ATOMIC_RELEASE);
			got = !result;
		} else {
			result = ipm_ring_peek_batch(ring, records,
						     1 + next_random(&state) % HANDS, &got);
			for (i = 0; i < got; i++) {
				check_id(&records[i], ids);
				check_message(records[i].data, records[i].size,
					      records[i].flags, last);
			}
			if (got && ipm_ring_release_batch(ring, records, got))
				complain("release", records[0].data, 0);
		}
		if (result && result != IPM_RESULT_ERR_WOULD_BLOCK) {
			memset(&m, 0, sizeof(m));
			complain(ipm_result_to_str(result), &m, 0);
		}
		__atomic_fetch_add(&b->deliveries, got, __ATOMIC_RELAXED);
		if (gone_wrong())
			break;
		if (got) {
			empty = 0;
			continue;
		}
		sched_yield();
		/* Long enough to have looked for the dead a few times. */
		if (__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE) && ++empty > 5000)
			break;
	}
	ipm_ring_detach(ring);
	ipm_participants_leave(who);
	free(last);
}

static void check_all(void)
{
	ipm_ring_attach_options o = { .struct_size = sizeof(o) };
	uint64_t n, lost = 0, unsent = 0;
	struct board *b = s.board;
	ipm_ring_stats stats;
	ipm_ring *ring;
	unsigned int i;

	for (i = 0; i < s.producers; i++) {
		CHECK_INT(b->begun[i] >= b->target, 1);
		for (n = 1; n <= b->target; n++) {
			unsigned char seen = b->seen[i][n];

			CHECK((seen & 15) <= 1);
			if (!seen)
				lost++;
			else if (seen == IN_DOUBT)
				unsent++;
		}
	}
	CHECK(lost <= excuses);
	CHECK_INT(b->wrong, 0);
	if (ipm_ring_attach(NULL, &o, s.memory, s.size, &ring))
		DIE("observer");
	CHECK_INT(ipm_ring_get_stats(ring, &stats), IPM_RESULT_SUCCESS);
	ipm_ring_detach(ring);
	CHECK(b->marked <= reader_deaths * HANDS);
	/* Who counts and then dies may have counted for nothing, or what is counted again. */
	CHECK(stats.redelivered <= b->marked + reader_deaths * HANDS);
	CHECK(stats.dropped <= unsent + deaths);
	CHECK_INT(stats.used, 0);
	if (s.kills)
		printf("# %llu marked deliveries, %llu half-written and gone, %llu dropped\n",
		       (unsigned long long)b->marked, (unsigned long long)unsent,
		       (unsigned long long)stats.dropped);
}

static void setup_all(ipm_ring_kind kind, uint64_t target)
{
	unsigned int i;

	s.producers = s.consumers = kind == IPM_RING_KIND_SPSC ? 1 : 2;
	s.options = (ipm_ring_options){ .struct_size = sizeof(s.options), .kind = kind };
	if (kind == IPM_RING_KIND_MPMC)
		s.options.participants = 6;
	if (ipm_ring_footprint(&s.options, CAPACITY, &s.size))
		DIE("footprint");
	s.memory = share(s.size);
	s.table_size = ipm_participants_footprint(32);
	s.table = share(s.table_size);
	s.board = share(sizeof(*s.board));
	s.board->target = target;
	for (i = 0; i < s.producers; i++)
		s.board->seen[i] = share(target + 2);
	if (ipm_ring_create(&s.options, s.memory, s.size) ||
	    ipm_participants_create(s.table, s.table_size, 32))
		DIE("create");
}

static void teardown_all(void)
{
	unsigned int i;

	for (i = 0; i < s.producers; i++)
		munmap(s.board->seen[i], s.board->target + 2);
	munmap(s.board, sizeof(*s.board));
	munmap(s.table, s.table_size);
	munmap(s.memory, s.size);
}

static void *producer_thread(void *index)
{
	produce((unsigned int)(uintptr_t)index, base_seed + (uintptr_t)index);
	return NULL;
}

static void *consumer_thread(void *index)
{
	consume((unsigned int)(uintptr_t)index, base_seed + 100 + (uintptr_t)index);
	return NULL;
}

static ipm_ring_kind kind_now;
static uint64_t target_now;

static void test_threads(void)
{
	pthread_t p[MAX_SIDE], c[MAX_SIDE];
	unsigned int i;

	setup_all(kind_now, target_now);
	for (i = 0; i < s.consumers; i++)
		if (pthread_create(&c[i], NULL, consumer_thread, (void *)(uintptr_t)i))
			DIE("pthread_create");
	for (i = 0; i < s.producers; i++)
		if (pthread_create(&p[i], NULL, producer_thread, (void *)(uintptr_t)i))
			DIE("pthread_create");
	for (i = 0; i < s.producers; i++)
		pthread_join(p[i], NULL);
	__atomic_store_n(&s.board->stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < s.consumers; i++)
		pthread_join(c[i], NULL);
	check_all();
	teardown_all();
}

static pid_t start(unsigned int side, uint64_t seed)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		DIE("fork: %d", errno);
	if (pid)
		return pid;
	if (side < s.producers)
		produce(side, seed);
	else
		consume(side - s.producers, seed);
	_exit(0);
}

/* A worker is dead: what it was at must have been the one and only doubt. */
static void bury(unsigned int side)
{
	struct board *b = s.board;

	deaths++;
	if (side >= s.producers) {
		reader_deaths++;
		/* At most one record was out of the ring and not entered. */
		excuses += b->reading[side - s.producers];
		b->reading[side - s.producers] = 0;
		return;
	}
	CHECK(b->begun[side] - b->written[side] <= 1);
	if (b->begun[side] == b->written[side])
		return;
	doubts++;
	__atomic_fetch_or(&b->seen[side][b->begun[side]], IN_DOUBT, __ATOMIC_RELAXED);
	b->written[side] = b->begun[side];
}

/* How much was done by all; what is sent and received counts. */
static uint64_t progress(bool *all_sent)
{
	struct board *b = s.board;
	uint64_t sum = __atomic_load_n(&b->deliveries, __ATOMIC_RELAXED);
	unsigned int i;

	*all_sent = true;
	for (i = 0; i < s.producers; i++) {
		uint64_t begun = __atomic_load_n(&b->begun[i], __ATOMIC_RELAXED);

		*all_sent = *all_sent && begun >= b->target;
		sum += begun;
	}
	return sum;
}

struct worker {
	pid_t pid;
	bool ended;
};

/* Nobody dies but who is killed here: the others would wait for him. */
static void check_alive(const struct worker *workers, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		siginfo_t info = { .si_pid = 0 };

		if (workers[i].ended ||
		    waitid(P_PID, (id_t)workers[i].pid, &info, WEXITED | WNOHANG | WNOWAIT))
			continue;
		if (!info.si_pid || (info.si_code == CLD_EXITED && !info.si_status))
			continue;
		printf("# worker %u ended by itself: %s %d\n", i,
		       info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
		__atomic_store_n(&s.board->wrong, 1, __ATOMIC_RELAXED);
		return;
	}
}

/* Lets them do something, however long it takes them, and a little more. */
static void let_them(uint64_t *state, const struct worker *workers, unsigned int count)
{
	uint64_t most = target_now / 25 < 4000 ? target_now / 25 + 1 : 4000;
	struct timespec t = { 0, (long)(next_random(state) % 300000) };
	bool all_sent;
	uint64_t until = progress(&all_sent) + next_random(state) % most;

	do {
		nanosleep(&t, NULL);
		check_alive(workers, count);
	} while (progress(&all_sent) < until && !all_sent && !s.board->wrong);
}

static void test_kills(void)
{
	unsigned int sides, i, ended = 0, kills = 0;
	struct worker workers[2 * MAX_SIDE] = { 0 };
	uint64_t state = base_seed | 1;

	setup_all(kind_now, target_now);
	doubts = excuses = reader_deaths = deaths = 0;
	sides = s.producers + s.consumers;
	for (i = 0; i < sides; i++)
		workers[i].pid = start(i, next_random(&state));
	while (ended < s.producers && !s.board->wrong) {
		int status;

		let_them(&state, workers, sides);
		i = (unsigned int)(next_random(&state) % sides);
		if (workers[i].ended)
			continue;
		kill(workers[i].pid, SIGKILL);
		if (waitpid(workers[i].pid, &status, 0) != workers[i].pid)
			DIE("waitpid");
		if (WIFSIGNALED(status)) {
			CHECK_INT(WTERMSIG(status), SIGKILL);
			kills++;
			bury(i);
		} else {
			CHECK_INT(status, 0);
		}
		if (i < s.producers && s.board->begun[i] >= s.board->target) {
			workers[i].ended = true;
			ended++;
			continue;
		}
		workers[i].pid = start(i, next_random(&state));
	}
	__atomic_store_n(&s.board->stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < sides; i++) {
		int status;

		if (workers[i].ended)
			continue;
		if (waitpid(workers[i].pid, &status, 0) != workers[i].pid)
			DIE("waitpid");
		CHECK_INT(status, 0);
	}
	check_all();
	printf("# %u deaths, %llu in the middle of a write, %llu after a read\n", kills,
	       (unsigned long long)doubts, (unsigned long long)excuses);
	teardown_all();
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "", "SPSC", "MPMC", "LANES" };
	bool kills = argc > 1 && !strcmp(argv[1], "kills");
	char name[100];
	int kind;

	if (!kills && argc > 1 && strcmp(argv[1], "threads")) {
		fprintf(stderr, "usage: %s [threads|kills] [messages] [seed]\n", argv[0]);
		return 2;
	}
	target_now = argc > 2 ? strtoull(argv[2], NULL, 0) : 30000;
	base_seed = argc > 3 ? strtoull(argv[3], NULL, 0) :
			       (uint64_t)time(NULL) * 2654435761u;
	printf("# seed %llu\n", (unsigned long long)base_seed);
	s.kills = kills;
	for (kind = IPM_RING_KIND_SPSC; kind <= IPM_RING_KIND_LANES; kind++) {
		kind_now = (ipm_ring_kind)kind;
		snprintf(name, sizeof(name), "%s: exactly once and in order, %s", kinds[kind],
			 kills ? "with deaths" : "threads");
		tap_run(name, kills ? test_kills : test_threads);
	}
	return tap_end();
}
