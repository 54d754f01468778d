// SPDX-License-Identifier: GPL-2.0
/*
 * Claims against a model: the rules of claims written down once more, as
 * plainly as can be, and a random script that drives the kernel and the model
 * alike. After each step every grant, wait, error and byte in doubt is compared.
 *
 * A world is one segment, a few processes with a few threads each, and two
 * handles for each process, which its threads share. A script is a list of
 * steps; a step names a thread, a handle, a claim by its rank and some ranges,
 * so that a script stays meaningful when steps are taken out of it. A script
 * that fails is made as short as possible and saved to $IPM_OUT.
 *
 *	model [STEPS [SEED]]	run random scripts, STEPS steps together
 *	model -r FILE		run a saved script
 *
 * Without STEPS, IPM_STEPS says how many. On one CPU: with more, a thread that waits
 * may be granted its claim, and say so, while the kernel is still killing its process.
 *
 * vm: SMP=1 TIMEOUT=2400
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/ipm.h>

#define PROCESSES 3
#define THREADS 3
#define ACTORS (PROCESSES * THREADS)
#define HANDLES 2
#define BYTES 48	/* of the segment; so the list of doubts is never full */
#define RANGES 3
#define CLAIMS 256	/* at a time */
#define WORLD_STEPS 2000
#define PATIENCE_MS 20000

/* --- scripts --- */

enum op {
	OP_CLAIM, OP_CLAIM_TRY, OP_CLAIM_PAST, OP_CLAIM_TIMEOUT, OP_CLAIM_NO_DEADLOCK,
	OP_CLAIM_ASYNC, OP_CLAIM_TRADE, OP_RELEASE, OP_RELEASE_ALL, OP_TO_READ, OP_TO_WRITE,
	OP_TO_WRITE_TRY, OP_COLLECT, OP_RECOVERED, OP_REOPEN, OP_CLEAR, OP_SIGNAL, OP_KILL,
	OPS
};

static const char * const op_names[OPS] = {
	"claim", "claim-try", "claim-past", "claim-timeout", "claim-no-deadlock",
	"claim-async", "claim-trade", "release", "release-all", "to-read", "to-write",
	"to-write-try", "collect", "recovered", "reopen", "clear", "signal", "kill",
};

/* How often each comes, out of their sum. */
static const unsigned int op_weights[OPS] = {
	30, 8, 3, 1, 3, 8, 6, 34, 2, 6, 10, 3, 10, 6, 2, 1, 6, 2,
};

struct step {
	uint32_t op;
	uint32_t actor;
	uint32_t handle;
	uint32_t rank;
	uint32_t nr;
	struct {
		uint32_t offset, length, mode;
	} range[RANGES];
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	/* xorshift64*, Vigna 2016 */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return ((random_state * 0x2545F4914F6CDD1DULL) >> 32) % n;
}

static struct step random_step(void)
{
	struct step step = { 0 };
	unsigned int sum = 0, pick, at, i;

	for (i = 0; i < OPS; i++)
		sum += op_weights[i];
	pick = random_below(sum);
	for (i = 0; pick >= op_weights[i]; i++)
		pick -= op_weights[i];
	step.op = i;
	step.actor = random_below(ACTORS);
	step.handle = random_below(HANDLES);
	step.rank = random_below(8);
	step.nr = random_below(3) ? 1 : 1 + random_below(RANGES);
	/* Ranges side by side or apart, then in any order. */
	at = random_below(20);
	for (i = 0; i < step.nr; i++) {
		step.range[i].offset = at;
		step.range[i].length = 1 + random_below(6);
		step.range[i].mode = random_below(2);
		at += step.range[i].length + random_below(5);
	}
	if (step.nr > 1 && random_below(2)) {
		__typeof__(step.range[0]) first = step.range[0];

		step.range[0] = step.range[step.nr - 1];
		step.range[step.nr - 1] = first;
	}
	return step;
}

/* --- what the driver and the threads say to each other --- */

struct command {
	uint32_t op;
	uint32_t handle;
	uint64_t id;		/* of the claim, or to be released */
	uint32_t nr;
	struct ipm_range range[RANGES];
};

struct answer {
	uint32_t actor;
	int32_t error;
	uint64_t id;
	uint32_t result;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* --- the threads --- */

static int answers[2];
static int commands[ACTORS][2];
static int device;
static uint32_t segment_id;

/* What the threads tell, in memory that all share. */
static struct {
	pid_t tid;
	_Atomic bool busy;	/* carries out a command */
} *told;

struct thread {
	uint32_t actor;
	int *handles;
};

static int open_handle(void)
{
	struct ipm_open arg = {
		.ref = { .by = IPM_BY_ID, .id = segment_id },
		.access = IPM_READ_WRITE,
	};

	return ioctl(device, IPM_IOC_OPEN, &arg);
}

static void on_signal(int signal)
{
	(void)signal;
}

static struct answer obey(struct thread *thread, const struct command *command)
{
	int *handle = &thread->handles[command->handle];
	struct answer answer = { .actor = thread->actor };
	struct ipm_claim claim = {
		.ranges = (uintptr_t)command->range,
		.nr_ranges = command->nr,
	};
	struct ipm_convert convert = { .id = command->id, .mode = IPM_CLAIM_WRITE };
	struct ipm_release release = { .id = command->id };
	struct ipm_release_all all = { 0 };
	struct ipm_collect collect = { .id = command->id };
	struct ipm_recovered recovered = {
		.offset = command->range[0].offset,
		.length = command->range[0].length,
	};
	int ret = -1;

	switch (command->op) {
	case OP_CLAIM_TRADE:
		claim.release = (uintptr_t)&command->id;
		claim.nr_release = 1;
		break;
	case OP_CLAIM_TRY:
		claim.flags = IPM_CLAIM_TRY;
		break;
	case OP_CLAIM_PAST:
		claim.flags = IPM_CLAIM_DEADLINE;
		claim.deadline = 1;
		break;
	case OP_CLAIM_TIMEOUT:
		claim.flags = IPM_CLAIM_DEADLINE;
		claim.deadline = now_ns() + 20000000;
		break;
	case OP_CLAIM_NO_DEADLOCK:
		claim.flags = IPM_CLAIM_NO_DEADLOCK;
		break;
	case OP_CLAIM_ASYNC:
		claim.flags = IPM_CLAIM_ASYNC;
		break;
	case OP_TO_READ:
		convert.mode = IPM_CLAIM_READ;
		break;
	case OP_TO_WRITE_TRY:
		convert.flags = IPM_CLAIM_TRY;
		break;
	default:
		break;
	}

	switch (command->op) {
	case OP_RELEASE:
		ret = ioctl(*handle, IPM_IOC_RELEASE, &release);
		break;
	case OP_RELEASE_ALL:
		ret = ioctl(*handle, IPM_IOC_RELEASE_ALL, &all);
		answer.result = all.released;
		break;
	case OP_TO_READ:
	case OP_TO_WRITE:
	case OP_TO_WRITE_TRY:
		ret = ioctl(*handle, IPM_IOC_CONVERT, &convert);
		answer.result = convert.result;
		break;
	case OP_COLLECT:
		ret = ioctl(*handle, IPM_IOC_COLLECT, &collect);
		answer.result = collect.result;
		break;
	case OP_RECOVERED:
		ret = ioctl(*handle, IPM_IOC_RECOVERED, &recovered);
		break;
	case OP_REOPEN:
		close(*handle);
		*handle = open_handle();
		ret = *handle < 0 ? -1 : 0;
		break;
	default:
		ret = ioctl(*handle, IPM_IOC_CLAIM, &claim);
		answer.id = claim.id;
		answer.result = claim.result;
	}
	answer.error = ret ? errno : 0;
	if (ret && command->op != OP_RELEASE_ALL)
		answer.result = 0;
	return answer;
}

static void *thread_main(void *param)
{
	struct thread *thread = param;
	struct command command;
	struct answer answer;

	told[thread->actor].tid = syscall(SYS_gettid);
	for (;;) {
		if (read(commands[thread->actor][0], &command, sizeof(command)) !=
		    sizeof(command))
			exit(1);
		told[thread->actor].busy = true;
		answer = obey(thread, &command);
		told[thread->actor].busy = false;
		if (write(answers[1], &answer, sizeof(answer)) != sizeof(answer))
			exit(1);
	}
	return NULL;
}

static void process_main(uint32_t process)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct thread threads[THREADS];
	struct answer answer = { .actor = process * THREADS };
	int handles[HANDLES];
	pthread_t id;
	uint32_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < HANDLES; i++) {
		handles[i] = open_handle();
		if (handles[i] < 0)
			exit(1);
	}
	for (i = 0; i < THREADS; i++) {
		threads[i] = (struct thread) { process * THREADS + i, handles };
		if (i && pthread_create(&id, NULL, thread_main, &threads[i]))
			exit(1);
	}
	/* Tells that the handles are there. */
	if (write(answers[1], &answer, sizeof(answer)) != sizeof(answer))
		exit(1);
	thread_main(&threads[0]);
}

/* --- the model --- */

enum state { GONE, WAITING, HELD };

/* A claim, or the request of a convert, which has a target. */
struct claim {
	enum state state;
	uint64_t id;		/* of the kernel; 0 while it is not known */
	uint32_t process;
	uint32_t handle;
	uint32_t actor;
	uint32_t nr;
	struct {
		uint32_t offset, length, mode;
	} range[RANGES];
	bool front;
	uint64_t place;
	bool async;		/* was submitted so */
	uint32_t result;
	uint32_t loose;		/* bits of the result that may be either way */
	struct claim *target;
	struct claim *convert;	/* the pending one on this claim */
	uint64_t stamp;
};

static struct claim claims[CLAIMS];
static uint32_t nr_claims;
static struct claim *newest;
static uint64_t next_place;
static pid_t doubt[BYTES];
/*
 * Bytes that a process which was killed was waiting for with several threads:
 * one may have been granted before it saw the signal, and the bytes be in doubt.
 */
static pid_t perhaps[BYTES];
static struct claim *waits[ACTORS];	/* what a thread sleeps on */
static pid_t pids[PROCESSES];
static uint64_t cleared_ids[PROCESSES][HANDLES][8];
static uint32_t nr_cleared[PROCESSES][HANDLES];

/* Answers that are due. */
static struct answer due[ACTORS];
static uint32_t due_loose[ACTORS];
static bool due_or_success[ACTORS];
static uint32_t nr_due;

static char why[512];
static bool verbose;

static bool overlap(const struct claim *a, uint32_t i, const struct claim *b, uint32_t k)
{
	return a->range[i].offset < b->range[k].offset + b->range[k].length &&
	       b->range[k].offset < a->range[i].offset + a->range[i].length;
}

static bool same_handle(const struct claim *a, const struct claim *b)
{
	return a->process == b->process && a->handle == b->handle;
}

static bool conflict(const struct claim *a, const struct claim *b)
{
	uint32_t i, k;

	if (same_handle(a, b))
		return false;
	for (i = 0; i < a->nr; i++)
		for (k = 0; k < b->nr; k++)
			if (overlap(a, i, b, k) && (a->range[i].mode || b->range[k].mode))
				return true;
	return false;
}

static bool stands_before(const struct claim *a, const struct claim *b)
{
	return a->front != b->front ? a->front : a->place < b->place;
}

/* Does @other stand in the way of @request? */
static bool in_the_way(const struct claim *other, const struct claim *request)
{
	if (other == request || !conflict(other, request))
		return false;
	return other->state == HELD ||
	       (other->state == WAITING && stands_before(other, request));
}

static bool blocked(const struct claim *request)
{
	uint32_t i;

	for (i = 0; i < nr_claims; i++)
		if (in_the_way(&claims[i], request))
			return true;
	return false;
}

/* Each range within one claim that the handle holds, @except not counted. */
static bool holds_all(const struct claim *request, const struct claim *except)
{
	uint32_t i, j, k;

	for (i = 0; i < request->nr; i++) {
		bool found = false;

		for (j = 0; j < nr_claims && !found; j++) {
			const struct claim *own = &claims[j];

			if (own->state != HELD || own == except || !same_handle(own, request))
				continue;
			for (k = 0; k < own->nr; k++)
				if (own->range[k].offset <= request->range[i].offset &&
				    own->range[k].offset + own->range[k].length >=
				    request->range[i].offset + request->range[i].length)
					found = true;
		}
		if (!found)
			return false;
	}
	return true;
}

static uint32_t doubtful(const struct claim *claim)
{
	uint32_t i, b;

	for (i = 0; i < claim->nr; i++)
		for (b = 0; b < claim->range[i].length; b++)
			if (doubt[claim->range[i].offset + b])
				return IPM_GRANT_IN_DOUBT;
	return 0;
}

static uint32_t perhaps_doubtful(const struct claim *claim)
{
	uint32_t i, b;

	for (i = 0; i < claim->nr; i++)
		for (b = 0; b < claim->range[i].length; b++)
			if (perhaps[claim->range[i].offset + b])
				return IPM_GRANT_IN_DOUBT;
	return 0;
}

static void answer_due(uint32_t actor, int error, uint32_t result)
{
	due_loose[nr_due] = 0;
	due_or_success[nr_due] = false;
	due[nr_due++] = (struct answer) { .actor = actor, .error = error, .result = result };
	waits[actor] = NULL;
}

static void set_modes(struct claim *claim, uint32_t mode)
{
	uint32_t i;

	for (i = 0; i < claim->nr; i++)
		claim->range[i].mode = mode;
}

/* Grants what can be granted, first come first served. */
static void settle(void)
{
	for (;;) {
		struct claim *first = NULL;
		uint32_t i;

		for (i = 0; i < nr_claims; i++) {
			struct claim *c = &claims[i];

			if (c->state == WAITING && !blocked(c) &&
			    (!first || stands_before(c, first)))
				first = c;
		}
		if (!first)
			return;
		if (first->target) {
			first->state = GONE;
			first->target->convert = NULL;
			first->target->actor = first->actor;
			set_modes(first->target, IPM_CLAIM_WRITE);
			first->target->result = doubtful(first->target) | IPM_GRANT_WAITED;
			first->target->loose = perhaps_doubtful(first->target);
			answer_due(first->actor, 0, first->target->result);
			due_loose[nr_due - 1] = first->target->loose;
			continue;
		}
		first->state = HELD;
		first->result = doubtful(first) | IPM_GRANT_WAITED;
		first->loose = perhaps_doubtful(first);
		if (first->async)
			continue;
		answer_due(first->actor, 0, first->result);
		due_loose[nr_due - 1] = first->loose;
	}
}

/* Takes a claim away; one that converts it gets @error. */
static void end_claim(struct claim *claim, int error)
{
	if (claim->convert) {
		claim->convert->state = GONE;
		answer_due(claim->convert->actor, error, 0);
		claim->convert = NULL;
	}
	claim->state = GONE;
}

static uint64_t stamp;

/* Does the wait lead to the thread, or the convert, of @start? Or to it, if nobody sleeps on it? */
static bool leads_to(struct claim *wait, struct claim *start)
{
	uint32_t i;

	if (!wait || wait->state != WAITING || wait->stamp == stamp)
		return false;
	wait->stamp = stamp;
	for (i = 0; i < nr_claims; i++) {
		struct claim *other = &claims[i];

		if (!in_the_way(other, wait))
			continue;
		if (start->async ? other == start :
		    other->actor == start->actor || other->convert == start)
			return true;
		if (leads_to(waits[other->actor], start) || leads_to(other->convert, start) ||
		    leads_to(other, start))
			return true;
	}
	return false;
}

static bool deadlock(struct claim *start)
{
	stamp++;
	return leads_to(start, start);
}

static struct claim *new_claim(const struct step *step)
{
	struct claim *claim;
	uint32_t i;

	/* What is gone at the begin of a step is not referred to any more. */
	for (i = 0; i < nr_claims && claims[i].state != GONE; i++)
		;
	if (i == nr_claims)
		nr_claims++;
	claim = &claims[i];
	newest = claim;
	*claim = (struct claim) {
		.state = GONE,
		.process = step->actor / THREADS,
		.handle = step->handle,
		.actor = step->actor,
		.nr = step->nr,
		.place = next_place++,
	};
	for (i = 0; i < step->nr; i++) {
		claim->range[i].offset = step->range[i].offset;
		claim->range[i].length = step->range[i].length;
		claim->range[i].mode = step->range[i].mode;
	}
	return claim;
}

/* The claim of a handle that a step means, or NULL. */
static struct claim *ranked(const struct step *step)
{
	struct claim *found[CLAIMS];
	uint32_t n = 0, i;

	for (i = 0; i < nr_claims; i++) {
		struct claim *c = &claims[i];

		if (c->state != GONE && c->id && c->process == step->actor / THREADS &&
		    c->handle == step->handle)
			found[n++] = c;
	}
	return n ? found[step->rank % n] : NULL;
}

/* Was this id cleared from this handle? Then it is lost, not unknown. */
static uint64_t cleared_id(const struct step *step)
{
	uint32_t p = step->actor / THREADS, n = nr_cleared[p][step->handle];

	return n ? cleared_ids[p][step->handle][step->rank % n] : 0;
}

/* --- driving --- */

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return -1;
}

/* The driver's own handle, which claims nothing. */
static int watcher;

static int info(struct ipm_info *out)
{
	memset(out, 0, sizeof(*out));
	if (ioctl(watcher, IPM_IOC_INFO, out))
		return fail("INFO: %s", strerror(errno));
	return 0;
}

/* Reads one answer; 0 if none came in time. */
static int get_answer(struct answer *answer, int ms)
{
	struct pollfd pollfd = { .fd = answers[0], .events = POLLIN };

	if (poll(&pollfd, 1, ms) != 1)
		return 0;
	return read(answers[0], answer, sizeof(*answer)) == sizeof(*answer);
}

static void send_command(uint32_t actor, const struct command *command)
{
	if (write(commands[actor][1], command, sizeof(*command)) != sizeof(*command))
		exit(1);
}

/* Does the thread sleep in the system call of its command? */
static bool asleep(uint32_t actor)
{
	char path[64], line[256], *state;
	bool sleeps = false;
	FILE *stat;

	if (!told[actor].busy)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pids[actor / THREADS],
		 told[actor].tid);
	stat = fopen(path, "r");
	if (!stat)
		return false;
	if (fgets(line, sizeof(line), stat)) {
		state = strrchr(line, ')');
		sleeps = state && state[2] == 'S';
	}
	fclose(stat);
	return sleeps;
}

/*
 * Waits for the answers that are due, in any order. @slept: what each thread
 * slept on before this step.
 */
static int expect_answers(struct claim **slept)
{
	while (nr_due) {
		struct answer answer;
		uint32_t i;

		if (!get_answer(&answer, PATIENCE_MS))
			return fail("thread %u should have answered %s (result %u), and did not",
				    due[0].actor, strerror(due[0].error), due[0].result);
		for (i = 0; i < nr_due && due[i].actor != answer.actor; i++)
			;
		if (i == nr_due)
			return fail("thread %u answered %s (result %u), and should wait",
				    answer.actor, strerror(answer.error), answer.result);
		if (due_or_success[i] && !answer.error)
			due[i].result = answer.result;
		else if (answer.error != due[i].error)
			return fail("thread %u got %s, expected %s", answer.actor,
				    strerror(answer.error), strerror(due[i].error));
		if ((answer.result ^ due[i].result) & ~due_loose[i])
			return fail("thread %u got result %u, expected %u", answer.actor,
				    answer.result, due[i].result);
		if (!answer.error && slept[answer.actor] && !slept[answer.actor]->target)
			slept[answer.actor]->id = answer.id;
		due[i] = due[--nr_due];
		due_loose[i] = due_loose[nr_due];
		due_or_success[i] = due_or_success[nr_due];
	}
	return 0;
}

static uint32_t count(enum state state)
{
	uint32_t n = 0, i;

	for (i = 0; i < nr_claims; i++)
		n += claims[i].state == state;
	return n;
}

/* @sleeper: the thread that should sleep on its request now, or NULL */
static int compare(const uint32_t *sleeper)
{
	struct ipm_doubt_range list[IPM_DOUBT_MAX];
	struct ipm_doubt arg = { .ranges = (uintptr_t)list, .nr_ranges = IPM_DOUBT_MAX };
	uint64_t until = now_ns() + PATIENCE_MS * 1000000ULL;
	pid_t seen[BYTES] = { 0 };
	struct answer answer;
	struct ipm_info i;
	uint32_t k, b;

	/*
	 * A thread that waits may still be on its way to its place in line, or
	 * look for a deadlock there.
	 */
	do {
		if (info(&i))
			return -1;
		if (i.waiters == count(WAITING) && (!sleeper || asleep(*sleeper)))
			break;
		if (get_answer(&answer, 0))
			return fail("thread %u answered %s (result %u), and should wait",
				    answer.actor, strerror(answer.error), answer.result);
		sched_yield();
	} while (now_ns() < until);
	if (i.waiters != count(WAITING))
		return fail("%u claims wait, expected %u", i.waiters, count(WAITING));
	if (i.claims != count(HELD))
		return fail("%u claims are held, expected %u", i.claims, count(HELD));
	if (ioctl(watcher, IPM_IOC_DOUBT, &arg))
		return fail("DOUBT: %s", strerror(errno));
	for (k = 0; k < arg.nr_ranges; k++)
		for (b = 0; b < list[k].length; b++)
			seen[list[k].offset + b] = list[k].pid;
	for (b = 0; b < BYTES; b++) {
		if (perhaps[b] && seen[b] == perhaps[b])
			doubt[b] = seen[b];
		perhaps[b] = 0;
		if (seen[b] != doubt[b])
			return fail("byte %u is in doubt because of %d, expected %d", b, seen[b],
				    doubt[b]);
	}
	return 0;
}

static int start_process(uint32_t process)
{
	struct answer answer;
	uint32_t i;

	for (i = 0; i < THREADS; i++)
		if (pipe(commands[process * THREADS + i]))
			return fail("pipe: %s", strerror(errno));
	fflush(stdout);
	pids[process] = fork();
	if (!pids[process]) {
		process_main(process);
		exit(1);
	}
	if (!get_answer(&answer, PATIENCE_MS))
		return fail("process %u did not start", process);
	if (answer.actor != process * THREADS)
		return fail("thread %u answered %s (result %u, id %llu), and should wait",
			    answer.actor, strerror(answer.error), answer.result,
			    (unsigned long long)answer.id);
	return 0;
}

static void stop_process(uint32_t process)
{
	uint32_t i;

	kill(pids[process], SIGKILL);
	waitpid(pids[process], NULL, 0);
	for (i = 0; i < THREADS; i++) {
		told[process * THREADS + i].busy = false;
		close(commands[process * THREADS + i][0]);
		close(commands[process * THREADS + i][1]);
	}
}

/*
 * A process dies: first its requests leave the line, then its claims end, with
 * doubts for what it may have written.
 */
static void model_kill(uint32_t process)
{
	uint32_t i, k, b, sleepers = 0;

	for (i = 0; i < THREADS; i++) {
		sleepers += !!waits[process * THREADS + i];
		waits[process * THREADS + i] = NULL;
	}
	for (i = 0; i < HANDLES; i++)
		nr_cleared[process][i] = 0;
	for (i = 0; i < nr_claims; i++) {
		struct claim *c = &claims[i];

		if (c->process != process || c->state == GONE)
			continue;
		for (k = 0; k < c->nr; k++) {
			for (b = 0; c->range[k].mode && b < c->range[k].length; b++) {
				if (c->state == HELD)
					doubt[c->range[k].offset + b] = pids[process];
				else if (!c->async && sleepers > 1)
					perhaps[c->range[k].offset + b] = pids[process];
			}
		}
		c->state = GONE;
		c->convert = NULL;
	}
	settle();
}

static bool idle(uint32_t actor)
{
	return !waits[actor];
}

/* What a request for a claim should come to; fills in the answer if it is due. */
static void model_claim(const struct step *step, struct claim *trade)
{
	struct claim *c = new_claim(step);

	c->front = blocked(c) && holds_all(c, NULL);
	if (!blocked(c)) {
		c->state = HELD;
		c->result = doubtful(c);
		if (trade)
			end_claim(trade, ENOENT);
		answer_due(step->actor, 0, c->result);
		settle();
		return;
	}
	c->front = holds_all(c, trade);
	switch (step->op) {
	case OP_CLAIM_TRY:
		answer_due(step->actor, EAGAIN, 0);
		return;
	case OP_CLAIM_PAST:
		answer_due(step->actor, ETIMEDOUT, 0);
		return;
	default:
		break;
	}
	if (step->op == OP_CLAIM_ASYNC) {
		c->state = WAITING;
		c->async = true;
		c->result = IPM_GRANT_PENDING;
		if (deadlock(c)) {
			c->state = GONE;
			answer_due(step->actor, EDEADLK, 0);
			settle();
			return;
		}
		answer_due(step->actor, 0, IPM_GRANT_PENDING);
		return;
	}
	/* It releases before it waits. */
	if (trade) {
		end_claim(trade, ENOENT);
		settle();
	}
	c->state = WAITING;
	waits[step->actor] = c;
	if (step->op != OP_CLAIM_NO_DEADLOCK && deadlock(c)) {
		c->state = GONE;
		answer_due(step->actor, EDEADLK, 0);
		settle();
	}
}

static void model_to_write(const struct step *step, struct claim *target)
{
	struct claim *c;
	uint32_t i;

	if (target->state == WAITING) {
		answer_due(step->actor, EAGAIN, 0);
		return;
	}
	if (target->convert) {
		answer_due(step->actor, EBUSY, 0);
		return;
	}
	c = new_claim(step);
	c->nr = 0;
	for (i = 0; i < target->nr; i++) {
		if (target->range[i].mode)
			continue;
		c->range[c->nr].offset = target->range[i].offset;
		c->range[c->nr].length = target->range[i].length;
		c->range[c->nr].mode = IPM_CLAIM_WRITE;
		c->nr++;
	}
	c->front = true;
	c->target = target;
	if (!blocked(c)) {
		target->actor = step->actor;
		set_modes(target, IPM_CLAIM_WRITE);
		target->result = doubtful(target);
		answer_due(step->actor, 0, target->result);
		return;
	}
	if (step->op == OP_TO_WRITE_TRY) {
		answer_due(step->actor, EAGAIN, 0);
		return;
	}
	c->state = WAITING;
	target->convert = c;
	waits[step->actor] = c;
	if (deadlock(c)) {
		c->state = GONE;
		target->convert = NULL;
		answer_due(step->actor, EDEADLK, 0);
		settle();
	}
}

/*
 * One step, in the model and in the kernel. Returns 1 if it made no sense in
 * this state and was passed by, -1 if the two differ.
 */
static int do_step(const struct step *step)
{
	uint32_t process = step->actor / THREADS, i, b;
	struct command command = { .op = step->op, .handle = step->handle, .nr = step->nr };
	struct claim *slept[ACTORS], *claim = NULL;
	struct ipm_release_all all = { 0 };
	bool started = true;
	uint64_t lost = 0;

	if (count(GONE) + CLAIMS - nr_claims < 2)
		return 1;
	newest = NULL;
	memcpy(slept, waits, sizeof(slept));
	nr_due = 0;
	for (i = 0; i < step->nr; i++) {
		command.range[i].offset = step->range[i].offset;
		command.range[i].length = step->range[i].length;
		command.range[i].mode = step->range[i].mode;
	}

	switch (step->op) {
	case OP_SIGNAL:
		if (idle(step->actor))
			return 1;
		claim = waits[step->actor];
		claim->state = GONE;
		if (claim->target)
			claim->target->convert = NULL;
		answer_due(step->actor, EINTR, 0);
		settle();
		syscall(SYS_tgkill, pids[process], told[step->actor].tid, SIGUSR1);
		started = false;
		break;
	case OP_KILL:
		model_kill(process);
		stop_process(process);
		if (expect_answers(slept))
			return -1;
		if (compare(NULL))
			return -1;
		return start_process(process);
	case OP_CLEAR:
		for (i = 0; i < nr_claims; i++) {
			claim = &claims[i];
			if (claim->state != HELD)
				continue;
			if (claim->id && nr_cleared[claim->process][claim->handle] < 8)
				cleared_ids[claim->process][claim->handle]
					[nr_cleared[claim->process][claim->handle]++] = claim->id;
			end_claim(claim, EIDRM);
		}
		/*
		 * One handle is cleared after the other, and a convert may be
		 * granted before its own is.
		 */
		for (i = 0; i < nr_due; i++)
			due_or_success[i] = true;
		settle();
		if (ioctl(watcher, IPM_IOC_CLEAR_CLAIMS, &all))
			return fail("CLEAR_CLAIMS: %s", strerror(errno));
		started = false;
		break;
	default:
		if (!idle(step->actor))
			return 1;
	}
	if (!started)
		goto check;

	switch (step->op) {
	case OP_RELEASE:
	case OP_COLLECT:
	case OP_TO_READ:
	case OP_TO_WRITE:
	case OP_TO_WRITE_TRY:
	case OP_CLAIM_TRADE:
		claim = ranked(step);
		if (!claim) {
			lost = cleared_id(step);
			if (!lost || step->op == OP_CLAIM_TRADE)
				return 1;
			command.id = lost;
			answer_due(step->actor, EIDRM, 0);
		} else {
			command.id = claim->id;
		}
		break;
	case OP_RELEASE_ALL:
	case OP_REOPEN:
		/* A handle that somebody waits with does not close yet. */
		for (i = 0; i < THREADS && step->op == OP_REOPEN; i++)
			if (waits[process * THREADS + i] &&
			    waits[process * THREADS + i]->handle == step->handle)
				return 1;
		break;
	case OP_CLAIM_TIMEOUT:
		/* Only where it can but time out: else the clock decides. */
		claim = new_claim(step);
		claim->front = blocked(claim) && holds_all(claim, NULL);
		if (!blocked(claim))
			return 1;
		claim->state = WAITING;
		waits[step->actor] = claim;
		if (deadlock(claim)) {
			claim->state = GONE;
			waits[step->actor] = NULL;
			return 1;
		}
		claim->state = GONE;
		answer_due(step->actor, ETIMEDOUT, 0);
		claim = NULL;
		break;
	default:
		break;
	}

	if (!nr_due) {
		switch (step->op) {
		case OP_RELEASE:
			end_claim(claim, ENOENT);
			answer_due(step->actor, 0, 0);
			settle();
			break;
		case OP_RELEASE_ALL:
		case OP_REOPEN:
			b = 0;
			for (i = 0; i < nr_claims; i++) {
				claim = &claims[i];
				/* A thread that sleeps on its request keeps it. */
				if (claim->state == GONE || claim->process != process ||
				    claim->handle != step->handle ||
				    (claim->state == WAITING && !claim->async))
					continue;
				end_claim(claim, ENOENT);
				b++;
			}
			if (step->op == OP_REOPEN)
				nr_cleared[process][step->handle] = 0;
			answer_due(step->actor, 0, step->op == OP_RELEASE_ALL ? b : 0);
			settle();
			break;
		case OP_TO_READ:
			if (claim->state == WAITING) {
				answer_due(step->actor, EAGAIN, 0);
			} else if (claim->convert) {
				answer_due(step->actor, EBUSY, 0);
			} else {
				set_modes(claim, IPM_CLAIM_READ);
				claim->result = doubtful(claim);
				answer_due(step->actor, 0, claim->result);
				settle();
			}
			break;
		case OP_TO_WRITE:
		case OP_TO_WRITE_TRY:
			model_to_write(step, claim);
			break;
		case OP_COLLECT:
			if (claim->state == WAITING) {
				answer_due(step->actor, EAGAIN, 0);
			} else {
				answer_due(step->actor, 0, claim->result);
				due_loose[nr_due - 1] = claim->loose;
			}
			break;
		case OP_RECOVERED:
			b = EACCES;
			for (i = 0; i < nr_claims; i++) {
				uint32_t k;

				claim = &claims[i];
				for (k = 0; claim->state == HELD && claim->process == process &&
				     claim->handle == step->handle && k < claim->nr; k++)
					if (claim->range[k].mode &&
					    claim->range[k].offset <= step->range[0].offset &&
					    claim->range[k].offset + claim->range[k].length >=
					    step->range[0].offset + step->range[0].length)
						b = 0;
			}
			for (i = 0; !b && i < step->range[0].length; i++)
				doubt[step->range[0].offset + i] = 0;
			answer_due(step->actor, b, 0);
			break;
		default:
			model_claim(step, claim);
		}
	}
	send_command(step->actor, &command);

check:
	/* A claim that this step asked for learns its id from its answer. */
	if (started && !slept[step->actor] && step->op <= OP_CLAIM_TRADE)
		slept[step->actor] = newest;
	if (expect_answers(slept))
		return -1;
	return compare(waits[step->actor] ? &step->actor : NULL);
}

/* --- worlds --- */

static int world_begin(void)
{
	struct ipm_create create = {
		.size = BYTES,
		.access = IPM_READ_WRITE,
		.mode = 0600,
	};
	uint32_t i;

	nr_claims = 0;
	next_place = 1;
	memset(doubt, 0, sizeof(doubt));
	memset(waits, 0, sizeof(waits));
	memset(perhaps, 0, sizeof(perhaps));
	memset(nr_cleared, 0, sizeof(nr_cleared));
	if (pipe(answers))
		return fail("pipe: %s", strerror(errno));
	watcher = ioctl(device, IPM_IOC_CREATE, &create);
	if (watcher < 0)
		return fail("CREATE: %s", strerror(errno));
	segment_id = create.id;
	for (i = 0; i < PROCESSES; i++)
		if (start_process(i))
			return -1;
	return 0;
}

static int world_end(void)
{
	struct ipm_info i;
	uint32_t p;
	int ret;

	for (p = 0; p < PROCESSES; p++)
		stop_process(p);
	ret = info(&i);
	if (!ret && (i.claims || i.waiters || i.handles != 1))
		ret = fail("%u claims, %u waiters and %u handles are left", i.claims, i.waiters,
			   i.handles - 1);
	close(watcher);
	close(answers[0]);
	close(answers[1]);
	return ret;
}

static void print_step(FILE *file, const struct step *step)
{
	uint32_t i;

	fprintf(file, "%s %u %u %u", op_names[step->op], step->actor, step->handle, step->rank);
	for (i = 0; i < step->nr; i++)
		fprintf(file, " %u+%u%c", step->range[i].offset, step->range[i].length,
			step->range[i].mode ? 'w' : 'r');
	fputc('\n', file);
}

/* Runs a script; -1 if it fails, and *@at then tells the step. */
static int run(const struct step *script, uint32_t nr, uint32_t *at, uint32_t *done)
{
	int ret = world_begin(), end;
	uint32_t i;

	for (i = 0; !ret && i < nr; i++) {
		if (verbose)
			print_step(stdout, &script[i]);
		ret = do_step(&script[i]);
		if (!ret && done)
			(*done)++;
		if (ret > 0)
			ret = 0;
		*at = i;
	}
	if (ret) {
		world_end();
		return ret;
	}
	end = world_end();
	return end;
}

/* Leaves out what is not needed for the failure. */
static uint32_t shrink(struct step *script, uint32_t nr)
{
	struct step *part = malloc(nr * sizeof(*part));
	uint32_t chunk, from, at, tries = 0;

	for (chunk = nr / 2; part && chunk && tries < 400; chunk /= 2) {
		for (from = 0; from < nr && tries < 400;) {
			uint32_t n = chunk < nr - from ? chunk : nr - from;

			memcpy(part, script, from * sizeof(*part));
			memcpy(part + from, script + from + n, (nr - from - n) * sizeof(*part));
			tries++;
			if (run(part, nr - n, &at, NULL)) {
				nr = at + 1 < nr - n ? at + 1 : nr - n;
				memcpy(script, part, nr * sizeof(*part));
			} else {
				from += n;
			}
		}
	}
	free(part);
	return nr;
}

static void print_claims(void)
{
	static const char * const names[] = { "gone", "waiting", "held" };
	uint32_t i, k;

	for (i = 0; i < nr_claims; i++) {
		struct claim *c = &claims[i];

		if (c->state == GONE)
			continue;
		printf("#	%s id %llu thread %u handle %u%s%s", names[c->state],
		       (unsigned long long)c->id, c->actor, c->handle,
		       c->front ? " front" : "", c->async ? " async" : "");
		if (c->target)
			printf(" converts %llu", (unsigned long long)c->target->id);
		for (k = 0; k < c->nr; k++)
			printf(" %u+%u%c", c->range[k].offset, c->range[k].length,
			       c->range[k].mode ? 'w' : 'r');
		printf("\n");
	}
}

static void save(const struct step *script, uint32_t nr, uint64_t seed)
{
	const char *folder = getenv("IPM_OUT") ?: ".";
	char path[4096];
	FILE *file;
	uint32_t i;

	snprintf(path, sizeof(path), "%s/model-%llu.script", folder, (unsigned long long)seed);
	file = fopen(path, "w");
	if (!file) {
		printf("# cannot write %s: %s\n", path, strerror(errno));
		return;
	}
	for (i = 0; i < nr; i++)
		print_step(file, &script[i]);
	fclose(file);
	printf("# the shortest script that fails has %u steps; run it again with:\n", nr);
	printf("#	model -r %s\n", path);
}

static int load(const char *path, struct step *script)
{
	FILE *file = fopen(path, "r");
	char line[256], *word;
	uint32_t n = 0, i;

	if (!file) {
		fprintf(stderr, "model: cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	while (n < WORLD_STEPS && fgets(line, sizeof(line), file)) {
		struct step *step = &script[n];

		memset(step, 0, sizeof(*step));
		word = strtok(line, " \n");
		for (i = 0; word && i < OPS && strcmp(word, op_names[i]); i++)
			;
		if (!word || i == OPS)
			continue;
		step->op = i;
		step->actor = strtoul(strtok(NULL, " \n") ?: "0", NULL, 10) % ACTORS;
		step->handle = strtoul(strtok(NULL, " \n") ?: "0", NULL, 10) % HANDLES;
		step->rank = strtoul(strtok(NULL, " \n") ?: "0", NULL, 10);
		while (step->nr < RANGES && (word = strtok(NULL, " \n"))) {
			char mode = 'r';

			if (sscanf(word, "%u+%u%c", &step->range[step->nr].offset,
				   &step->range[step->nr].length, &mode) < 2)
				break;
			step->range[step->nr++].mode = mode == 'w';
		}
		n++;
	}
	fclose(file);
	return n;
}

/* Searches for who is in the way are done in pieces of so many looks. */
static void set_looks(const char *looks)
{
	int fd = open("/sys/module/ipm/parameters/max_looks", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, looks, strlen(looks)) < 0)
		fprintf(stderr, "model: max_looks: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	uint32_t total = 0, wanted, at = 0, i;
	struct step script[WORLD_STEPS];
	uint64_t seed, first;
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	told = mmap(NULL, ACTORS * sizeof(*told), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		return 1;
	device = open("/dev/ipm", O_RDWR | O_CLOEXEC);
	if (device < 0) {
		fprintf(stderr, "model: /dev/ipm: %s\n", strerror(errno));
		return 1;
	}
	printf("TAP version 13\n1..1\n");
	if (argc > 2 && !strcmp(argv[1], "-r")) {
		ret = load(argv[2], script);
		if (ret < 0)
			return 1;
		verbose = true;
		set_looks("1");
		ret = run(script, ret, &at, NULL);
		printf(ret ? "not ok 1 model\n# step %u: %s\n" : "ok 1 model\n", at + 1, why);
		return !!ret;
	}
	wanted = strtoul(argc > 1 ? argv[1] : getenv("IPM_STEPS") ?: "100000", NULL, 10);
	first = argc > 2 ? strtoull(argv[2], NULL, 10) : now_ns();
	printf("# seed %llu\n", (unsigned long long)first);
	for (seed = first; total < wanted; seed++) {
		random_state = seed * 0x9E3779B97F4A7C15ULL + 1;
		set_looks(seed % 2 ? "1" : "4096");
		for (i = 0; i < WORLD_STEPS; i++)
			script[i] = random_step();
		if (!run(script, WORLD_STEPS, &at, &total))
			continue;
		printf("# seed %llu, step %u: %s\n", (unsigned long long)seed, at + 1, why);
		printf("# the step: ");
		print_step(stdout, &script[at]);
		printf("# claims of the model then:\n");
		print_claims();
		save(script, shrink(script, at + 1), seed);
		printf("# %s\n", why);
		printf("not ok 1 model\n");
		printf("# Totals: pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0\n");
		return 1;
	}
	printf("# %u steps, seeds %llu to %llu\n", total, (unsigned long long)first,
	       (unsigned long long)seed - 1);
	printf("ok 1 model\n# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0\n");
	return 0;
}
