// SPDX-License-Identifier: GPL-2.0
/*
 * A signal ends each system call of each call of the memory API and the SysV view in
 * turn. Every time the call says so, or does without the answer; what it says has not
 * been done was not done, and the same call works afterwards.
 */
#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY

#define CHECK_OK(call) CHECK_RESULT(call, IPM_RESULT_SUCCESS)

#define SIZE 100
#define KEY 4711

static struct fake_context c;
static ipm_memory *m, *other, *out;
static ipm_id id;
static void *map;
static int shmid;

/* --- the calls, and what undoes them --- */

static ipm_result do_create(void)
{
	return ipm_memory_create(&c.ctx, 10, "new", RW, &out);
}

static ipm_result do_open(void)
{
	return ipm_memory_open(&c.ctx, "signals", RW, &out);
}

static ipm_result do_open_by_id(void)
{
	ipm_memory_open_options o = { .struct_size = sizeof(o), .access = RO };

	o.ref = ipm_ref_id(ipm_memory_get_id(m));
	return ipm_memory_open_ex(&c.ctx, &o, &out);
}

static ipm_result do_derive(void)
{
	return ipm_memory_derive(m, RO, &out);
}

static ipm_result do_from_fd(void)
{
	return ipm_memory_from_fd(&c.ctx, ipm_memory_fd(m), RO, &out);
}

static ipm_result do_shared_create(void)
{
	return ipm_shared_memory_create(&c.ctx, ipm_ref_name("new"), 10, 0600, true, &out);
}

static ipm_result do_shared_open(void)
{
	return ipm_shared_memory_open(&c.ctx, ipm_ref_name("signals"), false, &out);
}

static void undo_open(void)
{
	ipm_memory_close(out);
	out = NULL;
}

static ipm_result do_details(void)
{
	ipm_memory_details d = { .struct_size = sizeof(d) };

	return ipm_memory_get_details(&c.ctx, ipm_ref_name("signals"), &d);
}

static ipm_result do_limits(void)
{
	ipm_memory_limits l = { .struct_size = sizeof(l) };

	return ipm_memory_get_limits(&c.ctx, &l);
}

static ipm_result do_version(void)
{
	ipm_module_info i = { .struct_size = sizeof(i) };

	return ipm_module_get_info(&c.ctx, &i);
}

static ipm_result do_remove(void)
{
	return ipm_memory_remove(&c.ctx, ipm_ref_key(KEY));
}

static void make_key(void)
{
	shmid = ipm_shmget(KEY, 10, IPC_CREAT | 0600);
	CHECK(shmid > 0);
}

static ipm_result do_set(void)
{
	ipm_memory_settings s = { .struct_size = sizeof(s), .what = IPM_MEMORY_SET_MODE,
				  .mode = 0640 };

	return ipm_memory_set(m, &s);
}

static void undo_set(void)
{
	ipm_memory_settings s = { .struct_size = sizeof(s), .what = IPM_MEMORY_SET_MODE,
				  .mode = 0600 };

	CHECK_OK(ipm_memory_set(m, &s));
}

static uint64_t size = SIZE;

/* Whatever fails must not have grown it. */
static ipm_result do_grow(void)
{
	ipm_result result = ipm_memory_grow(m, size + 1, 0);

	size += !result;
	return result;
}

static ipm_result do_resize_grow(void)
{
	ipm_result result = ipm_memory_resize_grow(m, size + 1);

	size += !result;
	return result;
}

static ipm_result do_claim_until(void)
{
	return ipm_memory_claim_region_until(m, RW, 0, 1, ipm_deadline_after(3600000000000), &id);
}

static ipm_result do_claim_try(void)
{
	return ipm_memory_claim_region_try(m, RW, 0, 1, &id);
}

static ipm_result do_claim_options(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 1, .access = RO };

	return ipm_memory_claim(m, &o, &id, NULL);
}

static ipm_result do_claim(void)
{
	return ipm_memory_claim_region(m, RW, 0, 1, &id);
}

static ipm_result do_claim_async(void)
{
	ipm_memory_claim_options o = { .struct_size = sizeof(o), .length = 1, .access = RW,
				       .flags = IPM_MEMORY_ASYNC };

	return ipm_memory_claim(m, &o, &id, NULL);
}

static void undo_claim(void)
{
	CHECK_OK(ipm_memory_release_region(m, id));
}

static ipm_id held;

static ipm_result do_convert(void)
{
	return ipm_memory_convert(m, held, RO, 0, IPM_DEADLINE_NONE, NULL);
}

static void undo_convert(void)
{
	CHECK_OK(ipm_memory_convert(m, held, RW, 0, IPM_DEADLINE_NONE, NULL));
}

static ipm_result do_collect(void)
{
	return ipm_memory_collect(m, held, NULL);
}

static ipm_result do_doubts(void)
{
	size_t total;

	return ipm_memory_list_doubts(m, 0, 0, NULL, 0, &total);
}

static ipm_result do_recovered(void)
{
	return ipm_memory_recovered(m, 90, 1);
}

static ipm_result do_read(void)
{
	char bytes[8] = "";
	ipm_result result = ipm_memory_read(m, 8, bytes, sizeof(bytes));

	CHECK(!memcmp(bytes, result ? "\0\0\0\0\0\0\0" : "01234567", sizeof(bytes)));
	return result;
}

static ipm_result do_write(void)
{
	char *bytes = (char *)ipm_memory_pointer(m) + 16;
	ipm_result result;

	memset(bytes, 0, 8);
	result = ipm_memory_write(m, 16, "abcdefgh", 8);
	CHECK(!memcmp(bytes, result ? "\0\0\0\0\0\0\0" : "abcdefgh", 8));
	return result;
}

static ipm_result do_read_until(void)
{
	char bytes[8] = "";
	ipm_result result = ipm_memory_read_until(m, 8, bytes, sizeof(bytes), IPM_DEADLINE_NONE);

	CHECK(!memcmp(bytes, result ? "\0\0\0\0\0\0\0" : "01234567", sizeof(bytes)));
	return result;
}

static ipm_result do_write_until(void)
{
	char *bytes = (char *)ipm_memory_pointer(m) + 16;
	ipm_result result;

	memset(bytes, 0, 8);
	result = ipm_memory_write_until(m, 16, "abcdefgh", 8, IPM_DEADLINE_NONE);
	CHECK(!memcmp(bytes, result ? "\0\0\0\0\0\0\0" : "abcdefgh", 8));
	return result;
}

static ipm_result do_remove_claims(void)
{
	return ipm_memory_remove_all_active_claims(m);
}

static void undo_remove_claims(void)
{
	/* What is not there any more is let go. */
	ipm_memory_release_all(m);
	CHECK_OK(ipm_memory_claim_region(m, RW, 90, 1, &held));
}

static ipm_result do_slot(void)
{
	uint32_t slot, generation;

	return ipm_memory_slot(m, &slot, &generation);
}

static void undo_slot(void)
{
	CHECK_OK(ipm_memory_slot_give(m));
}

static ipm_result do_slot_give(void)
{
	uint32_t slot, generation;
	ipm_result result = ipm_memory_slot(other, &slot, &generation);

	if (result)
		return result;
	result = ipm_memory_slot_give(other);
	if (result) {
		fake_interrupt(0);
		CHECK_OK(ipm_memory_slot_give(other));
	}
	return result;
}

static ipm_result do_slot_state(void)
{
	ipm_memory_slot_status state;
	uint32_t generation;

	return ipm_memory_slot_state(m, 0, &state, &generation);
}

static ipm_result do_liveness(void)
{
	struct ipm_ring_liveness live;

	return ipm_memory_liveness(m, &live);
}

/* Of one that has died with a slot. */
static ipm_result do_reap(void)
{
	unsigned int left = fake_interrupt(0);
	uint32_t slot, generation;
	ipm_memory *dead;
	ipm_result result;

	CHECK_OK(ipm_memory_open(&c.ctx, "signals", RW, &dead));
	CHECK_OK(ipm_memory_slot(dead, &slot, &generation));
	ipm_memory_close(dead);
	fake_interrupt(left);
	result = ipm_memory_reap(m, slot, generation);
	if (result) {
		fake_interrupt(0);
		CHECK_OK(ipm_memory_reap(m, slot, generation));
	}
	return result;
}

static ipm_result do_bell(void)
{
	return ipm_memory_ring_bell(m, 1, IPM_MEMORY_ALL_SLOTS);
}

static ipm_result do_subscribe(void)
{
	return ipm_memory_subscribe(m, 1, 0);
}

/* The event stays until it is read. */
static ipm_result do_read_events(void)
{
	unsigned int left = fake_interrupt(0);
	ipm_memory_event event;
	size_t count = 0;
	ipm_result result;

	CHECK_OK(ipm_memory_ring_bell(other, 1, IPM_MEMORY_ALL_SLOTS));
	fake_interrupt(left);
	result = ipm_memory_read_events(m, &event, 1, IPM_DEADLINE_NONE, &count);
	CHECK_INT(count, result ? 0 : 1);
	return result;
}

/*
 * Nobody rings: it waits, and the time is over. Not before the wait has begun, though, if
 * it is a signal that has to end it.
 */
static ipm_result do_wait_for_events(void)
{
	unsigned int left = fake_interrupt(0);
	int64_t time = left <= 2 ? 3600000000000 : 1000000;
	ipm_memory_event event;
	size_t count = 0;
	ipm_result result;

	fake_interrupt(left);
	result = ipm_memory_read_events(other, &event, 1, ipm_deadline_after(time), &count);
	CHECK_INT(count, 0);
	return result == IPM_RESULT_ERR_TIMEOUT ? IPM_RESULT_SUCCESS : result;
}

static ipm_result do_send(void)
{
	return ipm_memory_send(m, FAKE_SOCKET, RO);
}

static void undo_send(void)
{
	CHECK_OK(ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &out));
	undo_open();
}

static ipm_result do_receive(void)
{
	return ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &out);
}

static ipm_result do_sync(void)
{
	return ipm_memory_sync(m);
}

static ipm_result do_change_access(void)
{
	return ipm_memory_change_access(other, RO);
}

static void undo_change_access(void)
{
	CHECK_OK(ipm_memory_change_access(other, RW));
}

static ipm_result do_link(void)
{
	ipm_memory_create_options o = { .struct_size = sizeof(o), .size = 10, .access = RW };
	ipm_memory *private;
	ipm_result result;

	/* Two calls; a name that was given goes with the segment. */
	result = ipm_memory_create_ex(&c.ctx, &o, &private);
	if (result)
		return result;
	result = ipm_memory_link(private, ipm_ref_name("linked"));
	ipm_memory_close(private);
	return result;
}

/* --- calls that say it by errno --- */

static ipm_result of_errno(bool good)
{
	if (good)
		return IPM_RESULT_SUCCESS;
	CHECK_INT(errno, EINTR);
	return errno == EINTR ? IPM_RESULT_INTERRUPTED : IPM_RESULT_ERR_OS_UNEXPECTED;
}

static ipm_result do_shmget(void)
{
	return of_errno(ipm_shmget(KEY + 1, 10, IPC_CREAT | 0600) > 0);
}

static void undo_shmget(void)
{
	CHECK_INT(ipm_shmrm(ipm_ref_key(KEY + 1)), 0);
}

static ipm_result do_shmget_existing(void)
{
	return of_errno(ipm_shmget(KEY, 10, 0) > 0);
}

static ipm_result do_shmat(void)
{
	map = ipm_shmat(shmid, NULL, 0);
	return of_errno(map != (void *)-1);
}

static void undo_shmat(void)
{
	CHECK_INT(ipm_shmdt(map), 0);
}

static ipm_result do_shmdt(void)
{
	void *here = ipm_shmat(shmid, NULL, 0);
	ipm_result result;

	if (here == (void *)-1)
		return of_errno(false);
	result = of_errno(!ipm_shmdt(here));
	fake_interrupt(0);
	if (result)
		CHECK_INT(ipm_shmdt(here), 0);
	return result;
}

static ipm_result do_shmid(void)
{
	return of_errno(ipm_shmid(ipm_memory_pointer(m)) > 0);
}

static ipm_result do_shm_stat(void)
{
	struct shmid_ds ds;

	return of_errno(!ipm_shmctl(shmid, IPC_STAT, &ds));
}

static ipm_result do_shm_stat_index(void)
{
	struct shmid_ds ds;

	return of_errno(ipm_shmctl(0, SHM_STAT, &ds) >= 0);
}

static ipm_result do_ipc_info(void)
{
	struct shminfo all;

	return of_errno(ipm_shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&all) >= 0);
}

static ipm_result do_shmcfg(void)
{
	return of_errno(ipm_shmcfg(ipm_ref_key(KEY), 0600) > 0);
}

static ipm_result do_shminfo(void)
{
	ipm_shm_info info = { .struct_size = sizeof(info) };

	return of_errno(ipm_shminfo(ipm_ref_key(KEY), &info) > 0);
}

static ipm_result do_shmrm(void)
{
	return of_errno(!ipm_shmrm(ipm_ref_key(KEY)));
}

static const struct {
	const char *name;
	ipm_result (*call)(void);
	void (*undo)(void);
	unsigned int least;	/* system calls that a signal can end */
} calls[] = {
	{ "create", do_create, undo_open, 2 },
	{ "open", do_open, undo_open, 2 },
	{ "open by id", do_open_by_id, undo_open, 2 },
	{ "derive", do_derive, undo_open, 0 },
	{ "from a file descriptor", do_from_fd, undo_open, 1 },
	{ "SharedMemory, create", do_shared_create, undo_open, 2 },
	{ "SharedMemory, open", do_shared_open, undo_open, 2 },
	{ "details", do_details, NULL, 2 },
	{ "limits", do_limits, NULL, 2 },
	{ "version", do_version, NULL, 2 },
	{ "remove", do_remove, make_key, 2 },
	{ "set", do_set, undo_set, 1 },
	{ "grow", do_grow, NULL, 1 },
	{ "grow, resize", do_resize_grow, NULL, 1 },
	{ "claim", do_claim, undo_claim, 1 },
	{ "claim, asynchronous", do_claim_async, undo_claim, 1 },
	{ "convert", do_convert, undo_convert, 1 },
	{ "collect", do_collect, NULL, 1 },
	{ "doubts", do_doubts, NULL, 1 },
	{ "recovered", do_recovered, NULL, 1 },
	{ "read", do_read, NULL, 1 },
	{ "write", do_write, NULL, 1 },
	{ "read until", do_read_until, NULL, 1 },
	{ "write until", do_write_until, NULL, 1 },
	{ "claim until", do_claim_until, undo_claim, 1 },
	{ "claim, try", do_claim_try, undo_claim, 1 },
	{ "claim, options", do_claim_options, undo_claim, 1 },
	{ "remove claims", do_remove_claims, undo_remove_claims, 1 },
	{ "slot", do_slot, undo_slot, 1 },
	{ "give the slot", do_slot_give, NULL, 2 },
	{ "slot's state", do_slot_state, NULL, 0 },
	{ "liveness", do_liveness, NULL, 0 },
	{ "reap", do_reap, NULL, 1 },
	{ "bell", do_bell, NULL, 1 },
	{ "subscribe", do_subscribe, NULL, 1 },
	{ "read events", do_read_events, NULL, 1 },
	{ "wait for events", do_wait_for_events, NULL, 2 },
	{ "send", do_send, undo_send, 1 },
	{ "receive", do_receive, undo_open, 2 },
	{ "sync", do_sync, NULL, 0 },
	{ "change access", do_change_access, undo_change_access, 0 },
	{ "link", do_link, NULL, 3 },
	{ "shmget", do_shmget, undo_shmget, 2 },
	{ "shmget, existing", do_shmget_existing, NULL, 2 },
	{ "shmat", do_shmat, undo_shmat, 2 },
	{ "shmdt", do_shmdt, NULL, 4 },
	{ "shmid", do_shmid, NULL, 2 },
	{ "IPC_STAT", do_shm_stat, NULL, 2 },
	{ "SHM_STAT", do_shm_stat_index, NULL, 2 },
	{ "IPC_INFO", do_ipc_info, NULL, 4 },
	{ "shmcfg", do_shmcfg, NULL, 4 },
	{ "shminfo", do_shminfo, NULL, 2 },
	{ "shmrm", do_shmrm, make_key, 2 },
};

/* What a call must leave alone that says that a signal ended it. */
struct state {
	ipm_memory_details details;
	unsigned int claims;
	unsigned int live;
	bool new_one, key;
	ipm_access_mode access;
};

static struct state state_now(void)
{
	ipm_memory_details d = { .struct_size = sizeof(d) };
	struct state s;

	memset(&s, 0, sizeof(s));
	s.details.struct_size = sizeof(s.details);
	CHECK_OK(ipm_memory_get_details(NULL, ipm_ref_memory(m), &s.details));
	s.claims = fake_claims(ipm_memory_get_id(m));
	s.live = c.live;
	s.new_one = !ipm_memory_get_details(NULL, ipm_ref_name("new"), &d) ||
		    !ipm_memory_get_details(NULL, ipm_ref_key(KEY + 1), &d) ||
		    !ipm_memory_get_details(NULL, ipm_ref_name("linked"), &d);
	s.key = !ipm_memory_get_details(NULL, ipm_ref_key(KEY), &d);
	s.access = ipm_memory_get_info(other).memory_access_mode;
	return s;
}

/* Returns how many of its system calls a signal has ended. */
static unsigned int interrupt_each(ipm_result (*call)(void), void (*undo)(void))
{
	struct state before, after;
	ipm_result result;
	unsigned int n;
	bool hit;

	for (n = 1; !tap.failing; n++) {
		if (call == do_receive && !fake_messages())
			CHECK_OK(ipm_memory_send(other, FAKE_SOCKET, RO));
		before = state_now();
		fake_interrupt(n);
		result = call();
		fake_interrupt(0);
		hit = fake_interrupted();
		if (result) {
			CHECK(hit);
			CHECK_RESULT(result, IPM_RESULT_INTERRUPTED);
			after = state_now();
			CHECK(!memcmp(&before, &after, sizeof(before)));
		} else if (undo) {
			undo();
		}
		if (!hit)
			break;
	}
	return n - 1;
}

static void a_signal_in_each_system_call(void)
{
	unsigned int all = 0, n;
	size_t i;

	fake_context_init(&c);
	CHECK_OK(ipm_memory_create(&c.ctx, SIZE, "signals", RW, &m));
	CHECK_OK(ipm_memory_open(&c.ctx, "signals", RW, &other));
	CHECK_OK(ipm_memory_write(m, 8, "01234567", 8));
	CHECK_OK(ipm_memory_claim_region(m, RW, 90, 1, &held));
	make_key();
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		n = interrupt_each(calls[i].call, calls[i].undo);
		CHECK(n >= calls[i].least);
		all += n;
		if (tap.failing) {
			printf("# %s, system call %u\n", calls[i].name, n);
			break;
		}
	}
	printf("# %u system calls ended by a signal in %zu calls\n", all, i);
	CHECK_INT(ipm_shmrm(ipm_ref_key(KEY)), 0);
	ipm_memory_close(other);
	ipm_memory_close(m);
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

/* A read that a signal ends when it has something already gives that, and loses nothing. */
static void what_is_read_before_a_signal(void)
{
	ipm_memory_event events[4];
	size_t count = 0;

	fake_context_init(&c);
	CHECK_OK(ipm_memory_create(&c.ctx, SIZE, "signals", RW, &m));
	CHECK_OK(ipm_memory_open(&c.ctx, "signals", RW, &other));
	CHECK_OK(ipm_memory_subscribe(m, 3, IPM_MEMORY_HEAR_CHANGED));
	CHECK_OK(ipm_memory_ring_bell(other, 3, IPM_MEMORY_ALL_SLOTS));
	fake_grow(ipm_memory_get_id(m), SIZE + 1);
	fake_partial(1);
	CHECK_OK(ipm_memory_read_events(m, events, 4, IPM_DEADLINE_NOW, &count));
	CHECK_INT(fake_partial(0), 0);
	CHECK_INT(count, 1);
	CHECK_INT(events[0].type, IPM_MEMORY_EVENT_BELL);
	CHECK_INT(events[0].cookie, 3);
	CHECK_OK(ipm_memory_read_events(m, events, 4, IPM_DEADLINE_NOW, &count));
	CHECK_INT(count, 1);
	CHECK_INT(events[0].type, IPM_MEMORY_EVENT_CHANGED);
	CHECK_RESULT(ipm_memory_read_events(m, events, 4, IPM_DEADLINE_NOW, &count),
		     IPM_RESULT_ERR_WOULD_BLOCK);
	ipm_memory_close(other);
	ipm_memory_close(m);
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

int main(void)
{
	RUN(a_signal_in_each_system_call);
	RUN(what_is_read_before_a_signal);
	return tap_end();
}
