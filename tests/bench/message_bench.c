// SPDX-License-Identifier: GPL-2.0
/*
 * Messages between processes that wait for each other, by channels and by what else a
 * program would take: streams and round trips, 8 bytes to 4 MiB, up to four writers and
 * readers, or as many as are asked for; and the memory that is taken for it.
 *
 *	message_bench [-q] [-n runs] [-t transport] [-k kind] [-p WxR] [-z size]
 *		-q	tries everything once with few messages, and measures nothing
 *		-t	only those whose names begin so
 *		-k	only "memory", "stream", "trip" or "many"
 *		-p	only streams from W writers to R readers, such as 3x5
 *		-z	only messages of this size
 *
 * In each run all transports are measured one after the other, each in processes of
 * its own, pinned to a CPU each as far as there are CPUs. How many messages a run has, a
 * short run before the first one tells.
 *
 * Memory is what all processes have touched (memory.h) when they have done what a case
 * says, and have not yet ended, less what the same processes take that carry nothing.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "message.h"
#include "place.h"

#define MAX_RUNS 25
#define MAX_TRANSPORTS 24
#define MAX_PROCESSES 16
#define RUN_NS 40e6		/* one run takes about so long */
#define TRIPS_MAX 4000
#define TRIPS_LEAST 20
#define HUNG_SECONDS 60
#define FULL_NS 100e6		/* who has sent nothing for so long waits for room */
#define MEMORY_COUNT 20000	/* messages that go through before, or more than find room */
#define MEMORY_SIZE 256
#define MEMORY ((size_t)160 << 20)
#define NR(array) (sizeof(array) / sizeof((array)[0]))

static const size_t sizes[] = { 8, 256, 4096, 65536, 1 << 20, MESSAGE_LARGEST };
static const struct message_transport *const sources[] = {
	message_ipm, message_system, message_qb, message_zmq, message_boost, message_iceoryx,
};

static struct shared {
	uint32_t ready, go, hold;
	uint64_t sent;			/* counted only when it is looked how much finds room */
	uint64_t sums[MAX_PROCESSES];	/* of the numbers that a reader got */
	double ends[MAX_PROCESSES];
	int nr_trips;
	double trips[TRIPS_MAX];	/* nanoseconds of each */
} *shared;

static bool quick;
static void *memory;
static int cpus[MAX_PROCESSES], nr_cpus, runs = 7;
static unsigned char *buffer;	/* each process has its own */

/* When to look at the memory in a run, and what was seen. */
enum look_when {
	LOOK_NOT,
	LOOK_IDLE,	/* all messages have gone through */
	LOOK_FULL,	/* the writer waits for room */
};

static struct {
	enum look_when when;
	double kib;
	double held;	/* messages, if it is full */
} look;

void message_failed(const char *what)
{
	fprintf(stderr, "message_bench: %s: %s\n", what, strerror(errno));
	_exit(1);
}

void *message_memory(size_t size)
{
	if (size > MEMORY)
		message_failed("memory for a transport");
	/* It is fresh then, and only what is used shall be touched. */
	if (!look.when)
		memset(memory, 0, size);
	return memory;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *map(size_t size, int flags)
{
	void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (mapped == MAP_FAILED)
		message_failed("mmap");
	return mapped;
}

/* --- what the processes do --- */

static void stream_write(const struct message_transport *t, size_t size, uint64_t first,
			 uint64_t step, uint64_t count)
{
	for (; count; count--, first += step) {
		memcpy(buffer, &first, sizeof(first));
		t->send(buffer, size);
	}
}

static uint64_t stream_read(const struct message_transport *t, size_t size, uint64_t count)
{
	uint64_t sum = 0, number;

	for (; count; count--) {
		t->receive(buffer, size);
		memcpy(&number, buffer, sizeof(number));
		sum += number;
	}
	return sum;
}

static void fill(const struct message_transport *t, size_t size, uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count; i++) {
		stream_write(t, size, i, 1, 1);
		__atomic_store_n(&shared->sent, i + 1, __ATOMIC_RELEASE);
	}
}

static uint64_t read_late(const struct message_transport *t, size_t size, uint64_t count)
{
	while (__atomic_load_n(&shared->hold, __ATOMIC_ACQUIRE))
		usleep(200);
	return stream_read(t, size, count);
}

static void echo(const struct message_transport *t, size_t size, uint64_t count)
{
	for (; count; count--) {
		t->receive(buffer, size);
		t->send(buffer, size);
	}
}

/* The ticks of the clock before each; the last is the end. */
static void ask(const struct message_transport *t, size_t size, uint64_t count)
{
	static uint64_t at[TRIPS_MAX + 1];
	double start = now(), tick;
	uint64_t i, number;

	for (i = 0; i < count; i++) {
		at[i] = place_ticks();
		memcpy(buffer, &i, sizeof(i));
		t->send(buffer, size);
		t->receive(buffer, size);
		memcpy(&number, buffer, sizeof(number));
		if (number != i)
			message_failed("a wrong answer");
	}
	at[count] = place_ticks();
	tick = (now() - start) / (double)(at[count] - at[0]);
	for (i = 0; i < count; i++)
		shared->trips[i] = (double)(at[i + 1] - at[i]) * tick;
	shared->nr_trips = (int)count;
}

/*
 * A message from each writer goes through before the clock starts: then all are connected,
 * however long that takes. Several readers share a queue that is there already, and the
 * first of them might take what the other waits for.
 */
static void connect_all(const struct message_transport *t, const struct message_setup *s,
			bool writer)
{
	if (s->ways == 2 || s->readers > 1)
		return;
	if (writer)
		stream_write(t, s->size, 0, 1, 1);
	else
		stream_read(t, s->size, (uint64_t)s->writers);
}

static void start_together(void)
{
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void participant(const struct message_transport *t, const struct message_setup *s,
			int number, uint64_t count)
{
	bool writer = number < s->writers, closed = false;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(HUNG_SECONDS);
	place_pin(cpus[number % nr_cpus], false);
	memset(buffer, number + 1, s->size);
	if (s->ways == 2)
		t->open(s, number, number, !number);
	else
		t->open(s, number, writer ? 0 : -1, writer ? -1 : 0);
	connect_all(t, s, writer);
	start_together();
	if (s->ways == 2 && !number) {
		/* The first ones make what is made only once. */
		ask(t, s->size, TRIPS_LEAST);
		ask(t, s->size, count);
	} else if (s->ways == 2) {
		echo(t, s->size, count + TRIPS_LEAST);
	} else if (look.when == LOOK_FULL && writer) {
		fill(t, s->size, count);
	} else if (look.when == LOOK_FULL) {
		shared->sums[number] = read_late(t, s->size, count);
	} else if (writer) {
		stream_write(t, s->size, (uint64_t)number, (uint64_t)s->writers,
			     count / (uint64_t)s->writers);
	} else {
		shared->sums[number] = stream_read(t, s->size, count / (uint64_t)s->readers);
	}
	shared->ends[number] = now();
	/* What a reader took and does not want any more is another's. */
	if (s->readers > 1 && !writer && t->close) {
		t->close();
		closed = true;
	}
	/* Nobody is gone while another still has something to get from it. */
	__atomic_sub_fetch(&shared->ready, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&shared->hold, __ATOMIC_ACQUIRE))
		usleep(200);
	if (t->close && !closed)
		t->close();
	exit(0);
}

/* --- one run --- */

/* Waits for one of the processes that are left; returns how many have ended. */
static int reap(pid_t *pids, int nr, int flags, bool *failed)
{
	int i, status, ended = 0;

	for (i = 0; i < nr && !ended; i++) {
		if (!pids[i] || waitpid(pids[i], &status, flags) != pids[i])
			continue;
		pids[i] = 0;
		ended = 1;
		if (status)
			*failed = true;
	}
	return ended;
}

/* Until there is something to look at; false: one has ended before. */
static bool wait_to_look(pid_t *pids, int nr, bool *failed)
{
	uint64_t sent, seen = 0;
	double since = now();

	for (;;) {
		if (reap(pids, nr, WNOHANG, failed))
			return false;
		if (look.when == LOOK_IDLE && !__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE))
			return true;
		sent = __atomic_load_n(&shared->sent, __ATOMIC_ACQUIRE);
		if (look.when == LOOK_FULL && sent && sent == seen && now() - since > FULL_NS)
			return true;
		if (sent != seen)
			since = now();
		seen = sent;
		usleep(200);
	}
}

/* What all take together that have a part in it: NULL, or why it cannot be seen. */
static const char *look_at(const struct message_transport *t, const pid_t *pids, int nr,
			   uint64_t count)
{
	double kib = memory_touched(getpid()), in_kernel = memory_in_kernel(pids[0]), more;
	int i;

	look.held = look.when == LOOK_FULL ? (double)shared->sent : 0;
	if (in_kernel < 0)
		return "the system does not let us see what the kernel holds (pidfd_getfd)";
	if (look.when == LOOK_FULL && look.held >= (double)count)
		return "never full";
	look.kib = kib + in_kernel;
	for (i = 0; i <= nr; i++) {
		if (i == nr && (!t->helper || *t->helper <= 0))
			continue;
		more = memory_touched(i == nr ? *t->helper : pids[i]);
		if (kib < 0 || more < 0)
			return "the kernel does not tell who uses shared memory (smaps_rollup)";
		look.kib += more;
	}
	return NULL;
}

/* Nanoseconds from the start to the end of the last reader; or why there are none. */
static const char *run(const struct message_transport *t, struct message_setup *s, uint64_t count,
		       double *ns)
{
	int processes = s->writers + s->readers, i, left;
	pid_t pids[MAX_PROCESSES];
	static char text[96];
	bool failed = false;
	const char *why;
	double start, end = 0;
	uint64_t sum = 0;

	memset(shared, 0, offsetof(struct shared, trips));
	shared->hold = look.when != LOOK_NOT;
	if (look.when && madvise(memory, MEMORY, MADV_REMOVE))
		message_failed("madvise");
	s->id++;
	fflush(NULL);
	why = t->make(s);
	if (!why) {
		for (i = 0; i < processes; i++) {
			pids[i] = fork();
			if (pids[i] < 0)
				message_failed("fork");
			if (!pids[i])
				participant(t, s, i, count);
		}
		left = processes;
		while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < (uint32_t)processes &&
		       left == processes) {
			usleep(200);
			left -= reap(pids, processes, WNOHANG, &failed);
		}
		start = now();
		__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
		if (look.when && left == processes) {
			if (wait_to_look(pids, processes, &failed))
				why = look_at(t, pids, processes, count);
			else
				left--;
			__atomic_store_n(&shared->hold, 0, __ATOMIC_RELEASE);
		}
		while (left > 0) {
			/* Nobody has to wait for one that is dead. */
			for (i = 0; failed && i < processes; i++)
				if (pids[i])
					kill(pids[i], SIGKILL);
			left -= reap(pids, processes, 0, &failed);
		}
		for (i = 0; i < processes; i++) {
			sum += shared->sums[i];
			if (shared->ends[i] > end)
				end = shared->ends[i];
		}
		*ns = end - start;
		if (failed)
			why = "a process failed or hung";
		else if (!why && s->ways == 1 && sum != count * (count - 1) / 2)
			why = "messages were lost or wrong";
	}
	if (t->remove)
		t->remove();
	if (why && why != text) {
		snprintf(text, sizeof(text), "%s", why);
		why = text;
	}
	return why;
}

/* The least number that can be shared out evenly among the writers, and the readers. */
static uint64_t find_share(const struct message_setup *s)
{
	uint64_t n = (uint64_t)s->writers;

	while (n % (uint64_t)s->readers)
		n += (uint64_t)s->writers;
	return n;
}

/* How many messages fill a run; a multiple of what can be shared out. */
static const char *find_count(const struct message_transport *t, struct message_setup *s,
			      uint64_t *count)
{
	uint64_t n = s->size >= 65536 ? 16 : s->ways == 2 ? 100 : 400, share = find_share(s);
	const char *why = NULL;
	double ns = 0;

	n = (n + share - 1) / share * share;
	while (!quick) {
		why = run(t, s, n, &ns);
		if (why || ns >= RUN_NS / 8 || n > 20000000)
			break;
		n *= 8;
		if (s->ways == 2 && n > TRIPS_MAX) {
			n = TRIPS_MAX;
			break;
		}
	}
	if (quick)
		n = share > TRIPS_LEAST ? share : TRIPS_LEAST / share * share;
	else if (!why && s->ways == 1)
		n = (uint64_t)((double)n * RUN_NS / ns) / share * share + share;
	else if (!why && n < TRIPS_MAX)
		n = (uint64_t)((double)n * RUN_NS / ns);
	if (s->ways == 2)
		n = n < TRIPS_LEAST ? TRIPS_LEAST : n > TRIPS_MAX ? TRIPS_MAX : n;
	*count = n;
	return why;
}

/* --- all transports in one case --- */

struct entry {
	const struct message_transport *t;
	const char *why;
	uint64_t count;
	double values[MAX_RUNS], held[MAX_RUNS];
	double *trips;
	int nr_values, nr_trips;
};

static const char *only_transport;

static int choose(struct entry *entries, const struct message_setup *s)
{
	const struct message_transport *t;
	size_t i;
	int nr = 0;

	for (i = 0; i < NR(sources); i++) {
		for (t = sources[i]; t->name; t++) {
			if (nr == MAX_TRANSPORTS)
				message_failed("too many transports");
			if (only_transport &&
			    strncmp(t->name, only_transport, strlen(only_transport)))
				continue;
			if (t->flags & (s->ways == 2 ? MESSAGE_STREAM_ONLY : MESSAGE_NO_STREAM))
				continue;
			entries[nr++] = (struct entry){ .t = t };
		}
	}
	return nr;
}

static void keep(struct entry *e, const struct message_setup *s, double ns)
{
	int i;

	if (s->ways == 1) {
		e->values[e->nr_values++] = (double)e->count / ns * 1e3;
		return;
	}
	/* One that was taken off its CPU would weigh more than all others in a mean. */
	for (i = 0; i < shared->nr_trips; i++)
		e->trips[e->nr_trips++] = shared->trips[i];
	e->values[e->nr_values++] = report_median(shared->trips, shared->nr_trips);
}

static void finish(struct entry *e, const struct report_case *about)
{
	double percentiles[REPORT_PERCENTILES];
	struct report_case row = *about, *c = &row;

	if (e->why && !e->nr_values) {
		report_skip(c, e->t->name, e->t->role, e->why);
		return;
	}
	if (e->nr_trips)
		report_percentiles(e->trips, e->nr_trips, percentiles);
	c->held = report_median(e->held, e->nr_values);
	report_row(c, e->t->name, e->t->role, e->values, e->nr_values,
		   e->nr_trips ? percentiles : NULL);
	printf("  %-32s %12.4g", e->t->name, report_median(e->values, e->nr_values));
	if (e->nr_trips)
		report_print_percentiles(percentiles);
	if (c->held > 0)
		printf("   holds %.0f messages", c->held);
	printf("\n");
}

static void block(const char *name, struct message_setup *s)
{
	static struct entry entries[MAX_TRANSPORTS];
	int nr = choose(entries, s), i, turn;
	double lines[MAX_RUNS], ns;
	char participants[16];
	struct report_case c = {
		.suite = "message", .name = name, .size = s->size, .participants = participants,
		.unit = s->ways == 1 ? "million/s" : "ns", .higher = s->ways == 1,
		.processes = s->writers + s->readers, .cpus = nr_cpus,
	};

	snprintf(participants, sizeof(participants), "%dx%d", s->writers, s->readers);
	report_begin();
	for (i = 0; i < nr; i++) {
		if (s->ways == 2)
			entries[i].trips = calloc((size_t)runs * TRIPS_MAX, sizeof(double));
		if (s->ways == 2 && !entries[i].trips)
			message_failed("calloc");
		entries[i].why = find_count(entries[i].t, s, &entries[i].count);
		/* The text is used again. */
		if (entries[i].why)
			entries[i].why = strdup(entries[i].why);
	}
	for (turn = 0; turn < runs; turn++) {
		lines[turn] = quick ? 0 : place_line(cpus);
		for (i = 0; i < nr; i++) {
			if (entries[i].why)
				continue;
			entries[i].why = run(entries[i].t, s, entries[i].count, &ns);
			if (entries[i].why)
				entries[i].why = strdup(entries[i].why);
			else
				keep(&entries[i], s, ns);
		}
	}
	c.line_ns = report_median(lines, runs);
	printf("\n%s, %s, %zu bytes (%s: bare round trip %.0f ns), %s\n", name, participants, s->size,
	       place_name(c.line_ns), c.line_ns, c.unit);
	if (c.processes > nr_cpus)
		printf("  %d processes share %d CPUs: this shows how they are scheduled, too\n",
		       c.processes, nr_cpus);
	for (i = 0; i < nr; i++) {
		finish(&entries[i], &c);
		free(entries[i].trips);
	}
	fflush(stdout);
}

/* --- memory --- */

static const char *make_nothing(const struct message_setup *s)
{
	(void)s;
	return NULL;
}

static void open_nothing(const struct message_setup *s, int number, int out, int in)
{
	(void)s;
	(void)number;
	(void)out;
	(void)in;
}

static void send_nothing(const void *message, size_t size)
{
	(void)message;
	(void)size;
}

/* The answer is what was asked. */
static void receive_nothing(void *message, size_t size)
{
	(void)message;
	(void)size;
}

static const struct message_transport nothing = {
	"nothing", REPORT_LIMIT, 0, make_nothing, open_nothing, send_nothing, receive_nothing, NULL,
	NULL, NULL
};

/* What the transport takes, besides what the processes take anyway. */
static const char *run_memory(struct entry *e, struct message_setup *s, enum look_when when,
			      bool keep_it)
{
	uint64_t count = s->ways == 2 ? TRIPS_MAX : MEMORY_COUNT;
	const char *why;
	double ns, idle;

	look.when = LOOK_IDLE;
	why = run(&nothing, s, s->ways == 2 ? count : 0, &ns);
	idle = look.kib;
	look.when = when;
	if (!why)
		why = run(e->t, s, count, &ns);
	look.when = LOOK_NOT;
	if (!why && keep_it) {
		e->values[e->nr_values] = look.kib > idle ? look.kib - idle : 0;
		e->held[e->nr_values++] = look.held;
	}
	return why ? strdup(why) : NULL;
}

static void memory_block(const char *name, struct message_setup *s, enum look_when when)
{
	static struct entry entries[MAX_TRANSPORTS];
	const struct report_case c = {
		.suite = "message", .name = name, .size = s->size, .participants = "1x1",
		.metric = "memory", .unit = "KiB",
	};
	int nr = choose(entries, s), i, turn;

	report_begin();
	/* The first time shows what is made only once, too. */
	for (turn = quick ? 0 : -1; turn < runs; turn++)
		for (i = 0; i < nr; i++)
			if (!entries[i].why)
				entries[i].why = run_memory(&entries[i], s, when, turn >= 0);
	printf("\nmemory, %s, 1x1, %zu bytes, %s\n", name, s->size, c.unit);
	for (i = 0; i < nr; i++)
		finish(&entries[i], &c);
	fflush(stdout);
}

/* --- which cases --- */

static const char *const kinds[] = { "memory", "stream", "trip", "many" };
static const char *only_kind;
static size_t only_size;

/* Writers and readers; the only one, if there was one asked for. */
static int many[][2] = { { 2, 1 }, { 1, 2 }, { 2, 2 }, { 4, 4 } };
static size_t nr_many = NR(many);

static bool wanted(const char *kind)
{
	return !only_kind || !strcmp(only_kind, kind);
}

/* @what may be NULL, after getopt() has said it. */
static int usage(const char *what, const char *argument)
{
	size_t i;

	if (what)
		fprintf(stderr, "message_bench: \"%s\": %s\n", argument, what);
	fprintf(stderr,
		"usage: message_bench [-q] [-n runs] [-t transport] [-k kind] [-p WxR] [-z size]\n"
		"  -q  tries everything once, measures nothing\n  -n  1 to %d\n"
		"  -t  only those whose names begin so\n  -k ", MAX_RUNS);
	for (i = 0; i < NR(kinds); i++)
		fprintf(stderr, " %s", kinds[i]);
	fprintf(stderr, "\n  -p  writers x readers, such as 3x5: at least one of each, %d together "
		"at most;\n      only streams between these\n  -z ", MAX_PROCESSES);
	for (i = 0; i < NR(sizes); i++)
		fprintf(stderr, " %zu", sizes[i]);
	fputc('\n', stderr);
	return 2;
}

/* 0, or the exit status after saying what is wrong. */
static int parse(int argc, char **argv)
{
	bool found = false;
	int option;
	size_t i;
	char end;

	while ((option = getopt(argc, argv, "qn:t:k:p:z:")) != -1) {
		if (option == 'q') {
			quick = true;
			runs = 1;
		} else if (option == 'n') {
			runs = atoi(optarg);
			if (runs < 1 || runs > MAX_RUNS)
				return usage("not a number of runs", optarg);
		} else if (option == 't') {
			only_transport = optarg;
		} else if (option == 'k') {
			only_kind = optarg;
			for (found = false, i = 0; i < NR(kinds); i++)
				found = found || wanted(kinds[i]);
			if (!found)
				return usage("not a kind of case", optarg);
		} else if (option == 'p') {
			if (sscanf(optarg, "%2dx%2d%c", &many[0][0], &many[0][1], &end) != 2 ||
			    many[0][0] < 1 || many[0][1] < 1 ||
			    many[0][0] + many[0][1] > MAX_PROCESSES)
				return usage("not a number of writers and of readers", optarg);
			nr_many = 1;
		} else if (option == 'z') {
			only_size = strtoul(optarg, NULL, 0);
			for (found = false, i = 0; i < NR(sizes); i++)
				found = found || only_size == sizes[i];
			if (!found)
				return usage("not a size that is measured", optarg);
		} else {
			return usage(NULL, NULL);
		}
	}
	if (optind < argc)
		return usage("not an option", argv[optind]);
	if (nr_many == 1 && only_kind && strcmp(only_kind, "many"))
		return usage("-p goes with the kind \"many\" only", only_kind);
	if (nr_many == 1)
		only_kind = "many";
	return 0;
}

/* Before all others, so that they leave nothing behind that would be counted. */
static void memory_blocks(struct message_setup *s)
{
	s->size = MEMORY_SIZE;
	s->writers = s->readers = 1;
	s->ways = 1;
	memory_block("after a stream", s, LOOK_IDLE);
	memory_block("full", s, LOOK_FULL);
	s->ways = 2;
	memory_block("after round trips", s, LOOK_IDLE);
}

int main(int argc, char **argv)
{
	struct message_setup s = { .id = getpid() % 10000 * 1000 };
	int status = parse(argc, argv);
	size_t i, k;

	if (status)
		return status;
	nr_cpus = place_cpus(cpus, MAX_PROCESSES);
	if (nr_cpus < 2) {
		puts("skipped: two CPUs are needed");
		return 4;
	}
	shared = map(sizeof(*shared), MAP_SHARED);
	memory = map(MEMORY, MAP_SHARED);
	buffer = map(MESSAGE_LARGEST, MAP_PRIVATE);
	if (wanted("memory") && (!only_size || only_size == MEMORY_SIZE))
		memory_blocks(&s);
	for (i = 0; i < NR(sizes); i++) {
		s.size = sizes[i];
		s.writers = s.readers = 1;
		if (only_size && only_size != s.size)
			continue;
		s.ways = 1;
		if (wanted("stream"))
			block("stream", &s);
		s.ways = 2;
		if (wanted("trip"))
			block("round trip", &s);
		s.ways = 1;
		if (!wanted("many") ||
		    (s.size != 8 && s.size != 4096 && (nr_many > 1 || !only_size)))
			continue;
		for (k = 0; k < nr_many; k++) {
			s.writers = many[k][0];
			s.readers = many[k][1];
			block("stream", &s);
		}
	}
	return 0;
}
