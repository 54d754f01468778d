// SPDX-License-Identifier: GPL-2.0
/*
 * The C library has no memory: each allocation of each call fails in turn. Every time the
 * call says so, nothing is left of it, no byte of the shared memory has changed, and
 * afterwards it works. What is not in the table of calls that allocate works without any.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "fake_kernel.h"
#include "fake_malloc.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY

#define CHECK_OK(call) CHECK_RESULT(call, IPM_RESULT_SUCCESS)

/* What lies where in the segment. */
#define PLACE 65536
enum place {
	TABLE,
	RING_SPSC, RING_MPMC, RING_LANES,
	CHANNEL_SPSC, CHANNEL_MPMC, CHANNEL_LANES,
	EXCHANGE,
	PLACES
};

#define SIZE ((size_t)PLACES * PLACE)

static ipm_memory *m, *out;
static ipm_ring *ring;
static ipm_channel *channel;
static ipm_exchange *exchange;
static ipm_participants *participant;
static unsigned char *before;

static void *at(enum place place)
{
	return (char *)ipm_memory_pointer(m) + (size_t)place * PLACE;
}

static ipm_ring_options ring_shape(ipm_ring_kind kind)
{
	return (ipm_ring_options){
		.struct_size = sizeof(ipm_ring_options),
		.kind = kind,
		.lanes = kind == IPM_RING_KIND_LANES ? 2 : 0,
	};
}

static void setup(void)
{
	static const ipm_ring_kind kinds[] = {
		IPM_RING_KIND_SPSC, IPM_RING_KIND_MPMC, IPM_RING_KIND_LANES,
	};
	ipm_exchange_options eo = {
		.struct_size = sizeof(eo), .window = IPM_EXCHANGE_WINDOW_MIN, .participants = 4,
		.publish_bell = 1, .consume_bell = 2,
	};
	uint32_t slot, generation;

	CHECK_OK(ipm_memory_create(NULL, SIZE, "memory", RW, &m));
	for (int i = 0; i < 3; i++) {
		ipm_channel_options co = {
			.struct_size = sizeof(co), .ring = ring_shape(kinds[i]),
			.read_bell = 1, .write_bell = 2,
		};
		ipm_ring_options ro = ring_shape(kinds[i]);

		CHECK_OK(ipm_ring_create(&ro, at((enum place)(RING_SPSC + i)), PLACE));
		CHECK_OK(ipm_channel_create(&co, at((enum place)(CHANNEL_SPSC + i)), PLACE));
	}
	CHECK_OK(ipm_exchange_create(&eo, at(EXCHANGE), PLACE));
	CHECK_OK(ipm_participants_create(at(TABLE), PLACE, 4));
	/* The handle's for good, however often something is attached. */
	CHECK_OK(ipm_memory_slot(m, &slot, &generation));
	before = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void teardown(void)
{
	munmap(before, SIZE);
	ipm_memory_close(m);
	CHECK(fake_is_clean());
}

/* --- the calls that allocate --- */

static ipm_result do_create(void)
{
	return ipm_memory_create(NULL, 10, "new", RW, &out);
}

static ipm_result do_create_ex(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .size = 10 };

	o.ref = ipm_ref_name("new");
	o.flags = IPM_MEMORY_PERSISTENT;
	return ipm_memory_create_ex(NULL, &o, &out);
}

static ipm_result do_open(void)
{
	return ipm_memory_open(NULL, "memory", RW, &out);
}

static ipm_result do_open_ex(void)
{
	ipm_memory_open_options o = { .struct_size = sizeof(o), .access = RO };

	o.ref = ipm_ref_id(ipm_memory_get_id(m));
	return ipm_memory_open_ex(NULL, &o, &out);
}

static ipm_result do_derive(void)
{
	return ipm_memory_derive(m, RO, &out);
}

static ipm_result do_from_fd(void)
{
	return ipm_memory_from_fd(NULL, ipm_memory_fd(m), RW, &out);
}

static ipm_result do_shared_memory_create(void)
{
	return ipm_shared_memory_create(NULL, ipm_ref_key(5), 10, 0600, true, &out);
}

static ipm_result do_shared_memory_open(void)
{
	return ipm_shared_memory_open(NULL, ipm_ref_name("memory"), true, &out);
}

/* What was sent is taken from the socket, and closed if it cannot be had. */
static ipm_result do_receive(void)
{
	ipm_result result = ipm_memory_send(m, FAKE_SOCKET, RO);

	return result ? result : ipm_memory_receive(NULL, FAKE_SOCKET, RO, &out);
}

static void undo_memory(void)
{
	if (ipm_memory_was_created(out))
		ipm_memory_remove(NULL, ipm_ref_memory(out));
	ipm_memory_close(out);
	out = NULL;
}

static ipm_result attach_ring(enum place place, uint32_t roles)
{
	ipm_ring_attach_options o = { .struct_size = sizeof(o), .roles = roles, .generation = 1 };

	return ipm_ring_attach(NULL, &o, at(place), PLACE, &ring);
}

static ipm_result do_ring_spsc(void)
{
	return attach_ring(RING_SPSC, IPM_RING_PRODUCER);
}

static ipm_result do_ring_mpmc(void)
{
	return attach_ring(RING_MPMC, IPM_RING_PRODUCER | IPM_RING_CONSUMER);
}

static ipm_result do_ring_lanes(void)
{
	return attach_ring(RING_LANES, IPM_RING_PRODUCER | IPM_RING_CONSUMER);
}

static void undo_ring(void)
{
	ipm_ring_detach(ring);
	ring = NULL;
}

static ipm_result do_join(void)
{
	uint32_t slot, generation;

	return ipm_participants_join(NULL, at(TABLE), PLACE, &participant, &slot, &generation);
}

static void undo_join(void)
{
	ipm_participants_leave(participant);
	participant = NULL;
}

static ipm_result attach_channel(enum place place, uint32_t roles)
{
	ipm_channel_attach_options o = {
		.struct_size = sizeof(o), .roles = roles, .generation = 1,
	};

	return ipm_channel_attach(NULL, &o, at(place), PLACE, &channel);
}

static ipm_result do_channel_spsc(void)
{
	return attach_channel(CHANNEL_SPSC, IPM_RING_CONSUMER);
}

static ipm_result do_channel_mpmc(void)
{
	return attach_channel(CHANNEL_MPMC, IPM_RING_PRODUCER | IPM_RING_CONSUMER);
}

static ipm_result do_channel_lanes(void)
{
	return attach_channel(CHANNEL_LANES, IPM_RING_PRODUCER | IPM_RING_CONSUMER);
}

static ipm_result do_channel_memory(void)
{
	ipm_channel_attach_options o = { .struct_size = sizeof(o), .roles = IPM_RING_PRODUCER };

	return ipm_channel_attach_memory(NULL, &o, m, CHANNEL_SPSC * PLACE, PLACE, &channel);
}

static void undo_channel(void)
{
	ipm_channel_detach(channel);
	channel = NULL;
}

static ipm_result do_exchange(void)
{
	ipm_exchange_attach_options o = {
		.struct_size = sizeof(o), .generation = 1,
		.roles = IPM_EXCHANGE_PUBLISHER | IPM_EXCHANGE_CONSUMER,
	};

	return ipm_exchange_attach(NULL, &o, at(EXCHANGE), PLACE, &exchange);
}

static ipm_result do_exchange_memory(void)
{
	ipm_exchange_attach_options o = {
		.struct_size = sizeof(o), .roles = IPM_EXCHANGE_PUBLISHER,
	};

	return ipm_exchange_attach_memory(NULL, &o, m, EXCHANGE * PLACE, PLACE, &exchange);
}

static void undo_exchange(void)
{
	ipm_exchange_detach(exchange);
	exchange = NULL;
}

static const struct {
	const char *name;
	ipm_result (*call)(void);
	void (*undo)(void);
	unsigned int allocations;
} calls[] = {
	{ "create", do_create, undo_memory, 1 },
	{ "create_ex", do_create_ex, undo_memory, 1 },
	{ "open", do_open, undo_memory, 1 },
	{ "open_ex", do_open_ex, undo_memory, 1 },
	{ "derive", do_derive, undo_memory, 1 },
	{ "from_fd", do_from_fd, undo_memory, 1 },
	{ "shared_memory_create", do_shared_memory_create, undo_memory, 1 },
	{ "shared_memory_open", do_shared_memory_open, undo_memory, 1 },
	{ "receive", do_receive, undo_memory, 1 },
	{ "ring_attach, SPSC", do_ring_spsc, undo_ring, 1 },
	{ "ring_attach, MPMC", do_ring_mpmc, undo_ring, 1 },
	{ "ring_attach, LANES", do_ring_lanes, undo_ring, 2 },
	{ "participants_join", do_join, undo_join, 1 },
	{ "channel_attach, SPSC", do_channel_spsc, undo_channel, 2 },
	{ "channel_attach, MPMC", do_channel_mpmc, undo_channel, 2 },
	{ "channel_attach, LANES", do_channel_lanes, undo_channel, 3 },
	{ "channel_attach_memory", do_channel_memory, undo_channel, 2 },
	{ "exchange_attach", do_exchange, undo_exchange, 1 },
	{ "exchange_attach_memory", do_exchange_memory, undo_exchange, 1 },
};

/* Returns with how many allocations the call needs. */
static unsigned int fail_each(ipm_result (*call)(void))
{
	unsigned int refs = ipm_memory_ref_count(m), n;
	long live = fake_malloc_live();
	ipm_result result;

	fake_malloc_failures();
	for (n = 1;; n++) {
		memcpy(before, ipm_memory_pointer(m), SIZE);
		fake_malloc_fail(n);
		result = call();
		fake_malloc_fail(0);
		if (!fake_malloc_failures())
			break;
		CHECK_RESULT(result, IPM_RESULT_ERR_OUT_OF_MEMORY);
		CHECK(!out && !ring && !channel && !exchange && !participant);
		CHECK_INT(fake_malloc_live(), live);
		CHECK_INT(ipm_memory_ref_count(m), refs);
		CHECK(!memcmp(before, ipm_memory_pointer(m), SIZE));
		CHECK_RESULT(ipm_memory_open(NULL, "new", RW, &out),
			     IPM_RESULT_ERR_DOES_NOT_EXIST);
		if (tap.failing)
			return n;
	}
	CHECK_OK(result);
	CHECK(out || ring || channel || exchange || participant);
	CHECK_INT(fake_malloc_live(), live + n - 1);
	return n - 1;
}

static void each_allocation_of_each_call(void)
{
	size_t i;

	setup();
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]) && !tap.failing; i++) {
		long live = fake_malloc_live();
		unsigned int refs = ipm_memory_ref_count(m);

		CHECK_INT(fail_each(calls[i].call), calls[i].allocations);
		calls[i].undo();
		CHECK_INT(fake_malloc_live(), live);
		CHECK_INT(ipm_memory_ref_count(m), refs);
		if (tap.failing)
			printf("# %s\n", calls[i].name);
	}
	teardown();
}

/* --- the others --- */

static void without(void (*test)(void))
{
	fake_malloc_failures();
	fake_malloc_fail_all(true);
	test();
	fake_malloc_fail_all(false);
	CHECK_INT(fake_malloc_failures(), 0);
}

static void use_memory(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 8, .access = RW };
	ipm_memory_settings set = { .struct_size = sizeof(set), .what = IPM_MEMORY_SET_MODE,
				    .mode = 0600 };
	ipm_memory_details details = { .struct_size = sizeof(details) };
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	ipm_memory_status status = { .struct_size = sizeof(status) };
	ipm_module_info info = { .struct_size = sizeof(info) };
	uint32_t slot, generation, granted;
	ipm_memory_slot_status state;
	struct ipm_ring_liveness live;
	ipm_memory_event event;
	ipm_memory_doubt doubt;
	char bytes[16];
	size_t count;
	ipm_id id;

	CHECK_OK(ipm_memory_get_details(NULL, ipm_ref_name("memory"), &details));
	CHECK_OK(ipm_memory_get_limits(NULL, &limits));
	CHECK_OK(ipm_module_get_info(NULL, &info));
	CHECK_OK(ipm_memory_get_status(m, &status));
	CHECK_INT(ipm_memory_get_info(m).memory_access_mode, RW);
	CHECK_OK(ipm_memory_set(m, &set));
	CHECK_OK(ipm_memory_resize_grow(m, SIZE + 1));
	CHECK_OK(ipm_memory_grow(m, SIZE + 2, 0));
	CHECK_OK(ipm_memory_sync(m));
	CHECK_OK(ipm_memory_claim(m, &o, &id, &granted));
	CHECK_OK(ipm_memory_convert(m, id, RO, 0, IPM_DEADLINE_NONE, &granted));
	CHECK_OK(ipm_memory_convert(m, id, RW, 0, IPM_DEADLINE_NONE, &granted));
	CHECK_OK(ipm_memory_list_doubts(m, 0, 0, &doubt, 1, &count));
	CHECK_OK(ipm_memory_recovered(m, 0, 8));
	CHECK_OK(ipm_memory_release_region(m, id));
	CHECK_OK(ipm_memory_claim_region(m, RW, 0, 1, &id));
	CHECK_OK(ipm_memory_claim_region_try(m, RW, 1, 1, &id));
	CHECK_OK(ipm_memory_claim_region_until(m, RW, 2, 1, IPM_DEADLINE_NOW, &id));
	CHECK_OK(ipm_memory_release_all(m));
	CHECK_OK(ipm_memory_remove_all_active_claims(m));
	o.flags = IPM_MEMORY_ASYNC;
	CHECK_OK(ipm_memory_claim(m, &o, &id, &granted));
	CHECK_OK(ipm_memory_collect(m, id, &granted));
	CHECK_OK(ipm_memory_release_all(m));
	CHECK_OK(ipm_memory_write(m, PLACE - 16, "a whole value...", 16));
	CHECK_OK(ipm_memory_read(m, PLACE - 16, bytes, 16));
	CHECK_OK(ipm_memory_slot_state(m, 0, &state, &generation));
	CHECK_OK(ipm_memory_slot_give(m));
	CHECK_OK(ipm_memory_change_access(m, RO));
	CHECK_OK(ipm_memory_change_access(m, RW));
	CHECK_OK(ipm_memory_slot(m, &slot, &generation));
	CHECK_RESULT(ipm_memory_reap(m, slot, generation), IPM_RESULT_ERR_ALREADY_LOCKED);
	CHECK_OK(ipm_memory_liveness(m, &live));
	CHECK_OK(ipm_memory_ring_bell(m, 1, IPM_MEMORY_ALL_SLOTS));
	CHECK_OK(ipm_memory_subscribe(m, 1, 0));
	CHECK_RESULT(ipm_memory_read_events(m, &event, 1, IPM_DEADLINE_NOW, &count),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	CHECK(!ipm_memory_is_removed(m) && !ipm_memory_deaths(m));
}

static void use_sysv(void)
{
	ipm_shm_info info = { .struct_size = sizeof(info) };
	int id = ipm_shmget(4711, 100, IPC_CREAT | 0600);
	struct shmid_ds ds;
	struct shminfo all;
	void *map;

	CHECK(id > 0);
	map = ipm_shmat(id, NULL, 0);
	CHECK(map != (void *)-1);
	CHECK_INT(ipm_shmid(map), id);
	CHECK_INT(ipm_shmctl(id, IPC_STAT, &ds), 0);
	CHECK_INT(ipm_shmctl(id, IPC_SET, &ds), 0);
	CHECK(ipm_shmctl(0, SHM_STAT, &ds) >= 0);
	CHECK(ipm_shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&all) >= 0);
	CHECK_INT(ipm_shmcfg(ipm_ref_key(4711), 0640), id);
	CHECK_INT(ipm_shminfo(ipm_ref_key(4711), &info), id);
	CHECK_INT(ipm_shmdt(map), 0);
	CHECK_INT(ipm_shmrm(ipm_ref_key(4711)), 0);
}

static void use_ring(void)
{
	ipm_ring_span spans[2] = { { "one", 3 }, { "two", 3 } };
	ipm_ring_record record, records[2];
	ipm_ring_limits limits;
	ipm_ring_stats stats;
	ipm_ring_peers peers;
	size_t size, count;
	uint64_t number;
	char bytes[16];
	uint32_t flags;

	CHECK_OK(ipm_ring_write(ring, "bytes", 5));
	CHECK_OK(ipm_ring_read(ring, bytes, sizeof(bytes), &size, &flags));
	CHECK_OK(ipm_ring_reserve(ring, 5, &record));
	CHECK_OK(ipm_ring_discard(ring, &record));
	CHECK_OK(ipm_ring_reserve(ring, 5, &record));
	memcpy(record.data, "bytes", 5);
	CHECK_OK(ipm_ring_commit(ring, &record));
	CHECK_OK(ipm_ring_peek(ring, &record));
	CHECK_OK(ipm_ring_release(ring, &record));
	CHECK_OK(ipm_ring_write_batch(ring, spans, 2, &count));
	CHECK_OK(ipm_ring_peek_batch(ring, records, 2, &count));
	CHECK_OK(ipm_ring_release_batch(ring, records, count));
	while (!ipm_ring_skip(ring))
		;
	CHECK_OK(ipm_ring_yield(ring));
	CHECK_OK(ipm_ring_check(ring, &number));
	CHECK_OK(ipm_ring_get_stats(ring, &stats));
	CHECK_OK(ipm_ring_get_peers(ring, &peers));
	CHECK_OK(ipm_ring_get_limits(ring, &limits));
}

static void use_channel(void)
{
	ipm_channel_stats stats;
	ipm_ring_record record;
	char bytes[16];
	size_t size;
	bool ready;

	CHECK_OK(ipm_channel_write(channel, "bytes", 5));
	CHECK_OK(ipm_channel_read(channel, bytes, sizeof(bytes), &size, NULL));
	CHECK_OK(ipm_channel_reserve(channel, 5, IPM_DEADLINE_NONE, &record));
	memcpy(record.data, "bytes", 5);
	CHECK_OK(ipm_channel_commit(channel, &record));
	CHECK_OK(ipm_channel_peek(channel, IPM_DEADLINE_NONE, &record));
	CHECK_OK(ipm_channel_release(channel, &record));
	/* It sleeps, and nobody comes. */
	CHECK_RESULT(ipm_channel_read_until(channel, bytes, sizeof(bytes), &size, NULL,
					    ipm_deadline_after(2000000)), IPM_RESULT_ERR_TIMEOUT);
	CHECK_OK(ipm_channel_arm_read(channel, &ready));
	CHECK_OK(ipm_channel_arm_write(channel, 5, &ready));
	CHECK_OK(ipm_channel_recover(channel, NULL));
	CHECK_OK(ipm_channel_wake(channel));
	CHECK_OK(ipm_channel_get_stats(channel, &stats));
	CHECK_OK(ipm_channel_close(channel));
	CHECK_OK(ipm_channel_reopen(channel));
}

static void use_exchange(void)
{
	ipm_exchange_stats stats;
	ipm_exchange_item item;
	char bytes[16];
	size_t size;
	bool ready;

	CHECK_OK(ipm_exchange_publish(exchange, "bytes", 5));
	CHECK_OK(ipm_exchange_consume(exchange, bytes, sizeof(bytes), &size, NULL));
	CHECK_OK(ipm_exchange_reserve(exchange, 5, IPM_DEADLINE_NONE, &item));
	memcpy(item.data, "bytes", 5);
	CHECK_OK(ipm_exchange_commit(exchange, &item));
	CHECK_OK(ipm_exchange_peek(exchange, IPM_DEADLINE_NONE, &item));
	CHECK_OK(ipm_exchange_finish(exchange, &item));
	CHECK_OK(ipm_exchange_ask(exchange, "question", 8, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_consume(exchange, bytes, sizeof(bytes), &size, NULL));
	CHECK_OK(ipm_exchange_reply(exchange, "answer", 6, IPM_DEADLINE_NONE));
	CHECK_OK(ipm_exchange_take_reply(exchange, bytes, sizeof(bytes), &size,
					 IPM_DEADLINE_NONE));
	CHECK_RESULT(ipm_exchange_consume_until(exchange, bytes, sizeof(bytes), &size, NULL,
						ipm_deadline_after(2000000)),
		     IPM_RESULT_ERR_TIMEOUT);
	CHECK_OK(ipm_exchange_arm(exchange, IPM_EXCHANGE_CONSUME, &ready));
	CHECK_OK(ipm_exchange_get_stats(exchange, &stats));
}

static void map_and_unmap(void)
{
	ipm_channel_options co = {
		.struct_size = sizeof(co), .ring = ring_shape(IPM_RING_KIND_SPSC),
	};
	int fd = memfd_create("map", MFD_CLOEXEC);
	ipm_channel_mapping map = { 0 };
	size_t size;

	co.ring.flags = IPM_RING_DOUBLED;
	CHECK_OK(ipm_channel_footprint(&co, 4096, &size));
	CHECK_INT(ftruncate(fd, (off_t)size), 0);
	CHECK_OK(ipm_channel_map(fd, 0, size, &co, RW, &map));
	ipm_channel_unmap(&map);
	close(fd);
}

static void reports(void)
{
	/* Messages are made without memory, too: they tell that there is none. */
	CHECK_RESULT(do_create(), IPM_RESULT_ERR_OUT_OF_MEMORY);
	CHECK(*ipm_result_to_msg(IPM_RESULT_ERR_OUT_OF_MEMORY));
	CHECK(*ipm_result_to_str(IPM_RESULT_ERR_OUT_OF_MEMORY));
}

static void the_others_need_none(void)
{
	size_t i;

	setup();
	without(use_memory);
	without(use_sysv);
	without(map_and_unmap);
	for (i = 0; i < 2; i++) {
		CHECK_OK(i ? do_ring_lanes() : do_ring_mpmc());
		without(use_ring);
		undo_ring();
		CHECK_OK(i ? do_channel_lanes() : do_channel_mpmc());
		without(use_channel);
		undo_channel();
	}
	CHECK_OK(do_exchange());
	without(use_exchange);
	undo_exchange();
	teardown();
}

static unsigned int told;

static void report(const char *msg, const char *file, int line, const char *function, void *param)
{
	(void)file;
	(void)line;
	(void)function;
	(void)param;
	told += !!strstr(msg, ipm_result_to_msg(IPM_RESULT_ERR_OUT_OF_MEMORY));
}

/* The report callback is told also then, and what it is told needs no memory. */
static void it_is_reported(void)
{
	const ipm_context context = { .report_callback = report };

	told = 0;
	fake_malloc_failures();
	fake_malloc_fail_all(true);
	CHECK_RESULT(ipm_memory_create(&context, 10, "new", RW, &out),
		     IPM_RESULT_ERR_OUT_OF_MEMORY);
	reports();
	fake_malloc_fail_all(false);
	CHECK_INT(told, 1);
	CHECK_INT(fake_malloc_failures(), 2);
	CHECK(fake_is_clean());
}

int main(void)
{
	static char buffer[BUFSIZ];

	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	RUN(each_allocation_of_each_call);
	RUN(the_others_need_none);
	RUN(it_is_reported);
	return tap_end();
}
