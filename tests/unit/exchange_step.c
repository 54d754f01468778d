// SPDX-License-Identifier: GPL-2.0
/*
 * One of two is stepped through its part, instruction by instruction, and killed after
 * each in turn, while the other one waits. That one has to come to an end, with what
 * it waits for or with the news of the death, and afterwards the exchange has to work
 * for the next two: nothing lost, torn, mixed or stuck.
 *
 *	exchange_step [stride]		kill after every so many instructions
 */
#include <sched.h>
#include <sys/ptrace.h>

#include "exchange_tests.h"

/* More than any part can take; then the test says so. */
#define MOST_STEPS 60000

#define WINDOW (4 * KIB)
#define SMALL ((size_t)24)
/* Copied in wide steps: a repeated instruction counts as many. */
#define WHOLE ((size_t)1500)
#define LARGE (2 * WINDOW + 777)

enum { DONE, TOLD, WRONG };

struct part {
	const char *name;
	size_t size;
	uint32_t victim_role;
	/* Before the two are there, in this process. */
	void (*prepare)(struct place *p, size_t size);
	/* The victim's: what comes before its steps, and its steps. */
	void (*ready)(ipm_exchange *x, size_t size);
	void (*steps)(ipm_exchange *x, size_t size);
	/* The other's: DONE, TOLD or WRONG. */
	int (*other)(ipm_exchange *x, size_t size);
	unsigned int stride;	/* of "make check" */
};

static unsigned char bytes[LARGE], got[LARGE];
static ipm_exchange_item item;

static int told(ipm_result result)
{
	if (result == IPM_RESULT_ERR_PEER_DIED)
		return TOLD;
	printf("# the other one: %s\n", ipm_result_to_str(result));
	fflush(stdout);
	return WRONG;
}

static int64_t soon(void)
{
	return now() + 30000 * MS;
}

/* --- publish and consume --- */

static void publish(ipm_exchange *x, size_t size)
{
	ipm_exchange_publish(x, bytes, size);
}

static void consume(ipm_exchange *x, size_t size)
{
	size_t n;

	ipm_exchange_consume(x, got, size, &n, NULL);
}

static int other_consumes(ipm_exchange *x, size_t size)
{
	size_t n = 0;
	ipm_result result = ipm_exchange_consume_until(x, got, size, &n, NULL, soon());

	if (result)
		return told(result);
	return n == size && filled(got, n, 7) ? DONE : WRONG;
}

static int other_publishes(ipm_exchange *x, size_t size)
{
	ipm_result result;

	fill(bytes, size, 8);
	result = ipm_exchange_publish_until(x, bytes, size, soon());
	return result ? told(result) : DONE;
}

/* An item is there. */
static void fill_box(struct place *p, size_t size)
{
	ipm_exchange *x = enter(p, PUBLISHER);

	fill(bytes, size, 7);
	publish(x, size);
	ipm_exchange_detach(x);
}

/* --- in place --- */

static void reserve(ipm_exchange *x, size_t size)
{
	if (ipm_exchange_reserve(x, size, IPM_DEADLINE_NONE, &item))
		_exit(97);
	fill(item.data, size, 7);
}

static void commit(ipm_exchange *x, size_t size)
{
	(void)size;
	ipm_exchange_commit(x, &item);
}

static void peek_and_finish(ipm_exchange *x, size_t size)
{
	(void)size;
	ipm_exchange_peek(x, IPM_DEADLINE_NONE, &item);
	ipm_exchange_finish(x, &item);
}

/* --- request and reply --- */

static void request(ipm_exchange *x, size_t size)
{
	size_t n;

	ipm_exchange_request(x, bytes, size, got, size, &n, IPM_DEADLINE_NONE);
}

static void serve(ipm_exchange *x, size_t size)
{
	size_t n;

	ipm_exchange_consume(x, got, size, &n, NULL);
	ipm_exchange_reply(x, bytes, size, IPM_DEADLINE_NONE);
}

static int other_requests(ipm_exchange *x, size_t size)
{
	size_t n = 0;
	ipm_result result;

	fill(bytes, size, 7);
	result = ipm_exchange_request(x, bytes, size, got, size, &n, soon());
	if (result)
		return told(result);
	return n == size && filled(got, n, 8) ? DONE : WRONG;
}

/* Serves until everybody is dead. */
static int other_serves(ipm_exchange *x, size_t size)
{
	ipm_result result;
	uint32_t flags;
	int end = TOLD;
	size_t n;

	for (;;) {
		result = ipm_exchange_consume_until(x, got, size, &n, &flags, soon());
		if (result == IPM_RESULT_ERR_PEER_DIED)
			return end;
		if (result)
			return told(result);
		if (n != size || !filled(got, n, 7) || flags != IPM_EXCHANGE_REQUEST)
			return WRONG;
		fill(bytes, size, 8);
		result = ipm_exchange_reply(x, bytes, size, soon());
		if (result && result != IPM_RESULT_ERR_PEER_DIED)
			return told(result);
		end = DONE;
	}
}

/* --- the queue --- */

static struct place *here;

/*
 * The turn of the publishers is a dead one's, who was making an item: the victim has to
 * queue, sleep, find that out, and clean up.
 */
static void let_another_die(ipm_exchange *x, size_t size)
{
	pid_t pid = child();

	(void)x;
	if (!pid) {
		reserve(enter(here, PUBLISHER), size);
		kill(getpid(), SIGKILL);
	}
	if (reap(pid) != 128 + SIGKILL)
		_exit(96);
}

static int other_waits_for_its_turn(ipm_exchange *x, size_t size)
{
	ipm_result result;

	fill(bytes, size, 8);
	/* As the box is full then, the second one's turn may end with the news. */
	result = ipm_exchange_publish_until(x, bytes, size, now() + 300 * MS);
	return result && result != IPM_RESULT_ERR_TIMEOUT ? WRONG :
	       result ? TOLD : DONE;
}

static const struct part parts[] = {
	{ "publish, small", SMALL, PUBLISHER, NULL, NULL, publish, other_consumes, 1 },
	{ "publish, whole", WHOLE, PUBLISHER, NULL, NULL, publish, other_consumes, 7 },
	{ "publish, larger than the window", LARGE, PUBLISHER, NULL, NULL, publish, other_consumes,
	  37 },
	{ "publish after a dead one", SMALL, PUBLISHER, NULL, let_another_die, publish,
	  other_consumes, 11 },
	{ "commit", WHOLE, PUBLISHER, NULL, reserve, commit, other_consumes, 5 },
	{ "commit while another one queues", SMALL, PUBLISHER, NULL, reserve, commit,
	  other_waits_for_its_turn, 5 },
	{ "consume, small", SMALL, CONSUMER, fill_box, NULL, consume, other_publishes, 1 },
	{ "consume, whole", WHOLE, CONSUMER, fill_box, NULL, consume, other_publishes, 7 },
	{ "consume, larger than the window", LARGE, CONSUMER, NULL, NULL, consume,
	  other_publishes, 37 },
	{ "peek and finish", SMALL, CONSUMER, fill_box, NULL, peek_and_finish, other_publishes,
	  5 },
	{ "request, small", SMALL, PUBLISHER, NULL, NULL, request, other_serves, 1 },
	{ "request, larger than the window", LARGE, PUBLISHER, NULL, NULL, request, other_serves,
	  61 },
	{ "consume and reply, small", SMALL, CONSUMER, NULL, NULL, serve, other_requests, 1 },
	{ "consume and reply, larger than the window", LARGE, CONSUMER, NULL, NULL, serve,
	  other_requests, 61 },
};

/* --- the two --- */

static uint32_t other_role(const struct part *part)
{
	if (part->other == other_waits_for_its_turn)
		return PUBLISHER;
	return part->victim_role ^ (PUBLISHER | CONSUMER);
}

static pid_t start_other(struct place *p, const struct part *part)
{
	ipm_exchange_attach_options o;
	pid_t pid = child();

	if (pid)
		return pid;
	o = exchange_options(p, other_role(part));
	o.config = (ipm_channel_config){ .max_round_trips = IPM_CHANNEL_NO_POLLS,
					 .start_sleep_ns = 1000000, .max_sleep_ns = 3000000 };
	_exit(part->other(enter_with(p, &o), part->size));
}

static pid_t start_victim(struct place *p, const struct part *part)
{
	ipm_exchange_attach_options o;
	ipm_exchange *x;
	pid_t pid = child();

	if (pid)
		return pid;
	o = exchange_options(p, part->victim_role);
	/* It is slow enough: when it has to wait, let it sleep. */
	o.config = (ipm_channel_config){ .max_round_trips = IPM_CHANNEL_NO_POLLS,
					 .start_sleep_ns = 1000000, .max_sleep_ns = 3000000 };
	here = p;
	x = enter_with(p, &o);
	fill(bytes, part->size, part->victim_role == PUBLISHER ? 7 : 8);
	if (part->ready)
		part->ready(x, part->size);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(99);
	raise(SIGSTOP);
	part->steps(x, part->size);
	raise(SIGSTOP);
	_exit(98);
}

/* Kills it after @steps instructions; true if it had come to the end by then. */
static bool step_and_kill(pid_t pid, unsigned int steps, int *failed)
{
	bool ended = false;
	unsigned int i;
	int status;

	for (i = 0; i < steps && !ended; i++) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
			*failed = 1;
			return true;
		}
		ended = WSTOPSIG(status) == SIGSTOP;
	}
	kill(pid, SIGKILL);
	if (reap(pid) != 128 + SIGKILL)
		*failed = 1;
	return ended;
}

/* What is there is whole, at most one item, and then the next two do their work. */
static bool works_again(struct place *p, const struct part *part)
{
	ipm_exchange *c = enter(p, PUBLISHER), *s = enter(p, CONSUMER);
	uint32_t flags;
	ipm_result result;
	size_t n;
	int i;

	for (i = 0; i < 3; i++) {
		result = ipm_exchange_consume_try(s, got, LARGE, &n, &flags);
		if (result == IPM_RESULT_ERR_WOULD_BLOCK)
			break;
		if (!CHECK_OK(result) || !CHECK_INT(n, part->size) ||
		    !CHECK(filled(got, n, 7) || filled(got, n, 8)) ||
		    !CHECK(!(flags & IPM_EXCHANGE_REQUEST)))
			return false;
	}
	/* Two publishers may have published: the second one waits for the first. */
	if (!CHECK(i < 2) || !CHECK_INT(stats_of(s).queued, 0))
		return false;
	if (!CHECK_OK(ipm_exchange_ask(c, "next", 4, IPM_DEADLINE_NOW)) ||
	    !CHECK_OK(ipm_exchange_consume_try(s, got, LARGE, &n, &flags)) ||
	    !CHECK(n == 4 && !memcmp(got, "next", 4) && flags == IPM_EXCHANGE_REQUEST) ||
	    !CHECK_OK(ipm_exchange_reply(s, "and next", 8, IPM_DEADLINE_NOW)) ||
	    !CHECK_OK(ipm_exchange_take_reply(c, got, LARGE, &n, IPM_DEADLINE_NOW)) ||
	    !CHECK(n == 8 && !memcmp(got, "and next", 8)) ||
	    !CHECK(stats_of(s).dropped <= 4 && stats_of(s).redelivered <= 1))
		return false;
	ipm_exchange_detach(c);
	ipm_exchange_detach(s);
	return true;
}

static void kill_everywhere(const struct part *part, unsigned int stride)
{
	unsigned int steps, done = 0, were_told = 0, killed = 0;
	bool ended = false;
	int failed = 0;

	for (steps = 0; !ended && !failed && steps < MOST_STEPS; steps += stride) {
		pid_t other, victim;
		struct place p;
		int64_t end;
		int status;
		bool late;

		make_place(&p, WINDOW, 0);
		if (part->prepare)
			part->prepare(&p, part->size);
		victim = start_victim(&p, part);
		if (waitpid(victim, &status, 0) != victim || !WIFSTOPPED(status)) {
			CHECK(!"the victim came to its steps");
			break;
		}
		/* Here it comes later, so that it does none of the victim's work. */
		late = part->ready == let_another_die;
		other = 0;
		if (!late)
			other = start_other(&p, part);
		end = now() + 20000 * MS;
		while (other && state_of(other) != 'S' && state_of(other) != 'Z' && now() < end)
			sched_yield();
		ended = step_and_kill(victim, steps, &failed);
		if (late)
			other = start_other(&p, part);
		status = reap(other);
		done += status == DONE;
		were_told += status == TOLD;
		killed++;
		if (!CHECK(status == DONE || status == TOLD) || !works_again(&p, part)) {
			printf("# after %u instructions: %d\n", steps, status);
			failed = 1;
		}
		unmake_place(&p);
	}
	CHECK(!failed && ended);
	CHECK(done > 0);
	CHECK(were_told > 0 || part->other == other_waits_for_its_turn);
	printf("# %s: killed %u times within %u instructions: %u times done, %u times told\n",
	       part->name, killed, steps, done, were_told);
}

int main(int argc, char **argv)
{
#ifdef STRIDE
	unsigned int stride = STRIDE;
#else
	unsigned int stride = argc > 1 ? (unsigned int)atoi(argv[1]) : 0;
#endif
	size_t i;

	(void)argc;
	(void)argv;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return tap_skip("a sanitizer's own instructions would take hours to step through");
#endif
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		tap.failing = false;
		kill_everywhere(&parts[i], stride ? stride : parts[i].stride);
		tap.tests++;
		tap.failed += tap.failing;
		printf("%s %d - %s\n", tap.failing ? "not ok" : "ok", tap.tests, parts[i].name);
		fflush(stdout);
	}
	return tap_end();
}
