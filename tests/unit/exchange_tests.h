/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of exchanges share: an exchange in shared memory, with a table that
 * says who is alive, and processes that attach to it.
 */
#ifndef EXCHANGE_TESTS_H
#define EXCHANGE_TESTS_H

#include "channel_tests.h"

#include <ipm/ipm_exchange.h>

#define PUBLISHER IPM_EXCHANGE_PUBLISHER
#define CONSUMER IPM_EXCHANGE_CONSUMER

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

struct place {
	ipm_exchange_options options;
	void *memory;
	size_t size;
	/* Who is alive; this process in it. A forked child has to join anew. */
	void *table;
	pid_t pid;
	ipm_participants *me;
	uint32_t slot, generation;
};

static inline void make_place(struct place *p, size_t window, uint32_t flags)
{
	memset(p, 0, sizeof(*p));
	p->options.struct_size = sizeof(p->options);
	p->options.window = window;
	p->options.flags = flags;
	p->options.participants = 16;
	p->options.publish_bell = 1;
	p->options.consume_bell = 2;
	if (ipm_exchange_footprint(&p->options, &p->size))
		DIE("footprint");
	p->memory = mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->memory == MAP_FAILED)
		DIE("mmap");
	/* Whatever was there before must not matter. */
	memset(p->memory, 0xa5, 8 * KIB);
	if (ipm_exchange_create(&p->options, p->memory, p->size))
		DIE("create");
	p->table = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	if (p->table == MAP_FAILED || ipm_participants_create(p->table, TABLE_SIZE, TABLE_SLOTS))
		DIE("table");
}

static inline void unmake_place(struct place *p)
{
	if (p->pid == getpid())
		ipm_participants_leave(p->me);
	munmap(p->memory, p->size);
	munmap(p->table, TABLE_SIZE);
}

static inline ipm_exchange_attach_options exchange_options(struct place *p, uint32_t roles)
{
	ipm_exchange_attach_options o = {
		.struct_size = sizeof(o),
		.roles = roles,
		/* Deaths are noticed soon, so that the tests are. */
		.config = { .start_sleep_ns = 1000000, .max_sleep_ns = 10000000 },
	};

	if (p->pid != getpid()) {
		if (ipm_participants_join(NULL, p->table, TABLE_SIZE, &p->me, &p->slot,
					  &p->generation))
			DIE("join");
		p->pid = getpid();
	}
	o.slot = p->slot;
	o.generation = p->generation;
	o.liveness.param = p->me;
	o.liveness.alive = ipm_participants_alive;
	return o;
}

static inline ipm_exchange *enter_with(struct place *p, const ipm_exchange_attach_options *o)
{
	ipm_exchange *x;
	ipm_result result = ipm_exchange_attach(NULL, o, p->memory, p->size, &x);

	if (result)
		DIE("attach: %s", ipm_result_to_str(result));
	return x;
}

static inline ipm_exchange *enter(struct place *p, uint32_t roles)
{
	ipm_exchange_attach_options o = exchange_options(p, roles);

	return enter_with(p, &o);
}

static inline ipm_exchange_stats stats_of(ipm_exchange *x)
{
	ipm_exchange_stats stats;

	if (ipm_exchange_get_stats(x, &stats))
		DIE("stats");
	return stats;
}

/* How a child ends that saw what it should. */
#define GOOD 0

#define EXPECT_RESULT(call, wanted)						\
	do {									\
		ipm_result expect_got = (call);					\
		if (expect_got != (wanted)) {					\
			printf("# %s:%d: in a child: %s: %s\n", __FILE__,	\
			       __LINE__, #call, ipm_result_to_str(expect_got));	\
			fflush(stdout);						\
			_exit(1);						\
		}								\
	} while (0)

#define EXPECT_OK(call) EXPECT_RESULT(call, IPM_RESULT_SUCCESS)

#define EXPECT(condition)							\
	do {									\
		if (!(condition)) {						\
			printf("# %s:%d: in a child: not %s\n", __FILE__,	\
			       __LINE__, #condition);				\
			fflush(stdout);						\
			_exit(1);						\
		}								\
	} while (0)

#define CHECK_OK(call) CHECK_RESULT(call, IPM_RESULT_SUCCESS)

/* Until a process sleeps in the kernel. */
static inline void until_asleep(pid_t pid)
{
	int64_t end = now() + 20000 * MS;

	do
		nap_ms(1);
	while (state_of(pid) != 'S' && now() < end);
}

#endif /* EXCHANGE_TESTS_H */
