// SPDX-License-Identifier: GPL-2.0
/*
 * Threads on one handle, and threads with a handle each. What is wrong here,
 * the thread sanitizer sees best.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY
#define THREADS 4
#define ROUNDS 300

static ipm_memory *shared;
static _Atomic int wrong;

static void expect(bool good)
{
	if (!good)
		wrong++;
}

static void start(size_t size)
{
	/* The counting context is for one thread: the default is what counts here. */
	CHECK_RESULT(ipm_memory_create(NULL, size, "threads", RW, &shared), IPM_RESULT_SUCCESS);
	wrong = 0;
}

static void run_threads(void *(*work)(void *))
{
	pthread_t threads[THREADS];
	long i;

	for (i = 0; i < THREADS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (i = 0; i < THREADS; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	CHECK_INT(wrong, 0);
}

static void finish(void)
{
	CHECK_INT(ipm_memory_get_info(shared).active_claims, 0);
	CHECK_INT(fake_claims(ipm_memory_get_id(shared)), 0);
	ipm_memory_close(shared);
	CHECK(fake_is_clean());
}

static void *use_one_handle(void *arg)
{
	size_t mine = (size_t)arg * 64;
	ipm_memory_status status = { .struct_size = sizeof(status) };
	ipm_memory_info info;
	ipm_id id;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		expect(!ipm_memory_claim_region(shared, RW, mine, 64, &id));
		memset((char *)ipm_memory_pointer(shared) + mine, i, 64);
		info = ipm_memory_get_info(shared);
		expect(info.active_claims >= 1 && info.active_claims <= THREADS);
		expect(info.block_size >= THREADS * 64);
		expect(!ipm_memory_get_status(shared, &status));
		expect(!ipm_memory_release_region(shared, id));
		/* Others grow it too: smaller than it is by now is no wonder. */
		if (i % 50 == 0)
			ipm_memory_resize_grow(shared, THREADS * 64 + (size_t)i * 1000);
		expect(!ipm_memory_sync(shared));
	}
	return NULL;
}

static void one_handle_for_all_threads(void)
{
	start(THREADS * 64);
	run_threads(use_one_handle);
	finish();
}

/*
 * One thread changes the access while others claim. A claim is granted to the
 * handle as it is before or after, and never lost.
 */
static void *claim_or_change(void *arg)
{
	ipm_result result;
	ipm_id id;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (!arg) {
			result = ipm_memory_change_access(shared, i % 2 ? RW : RO);
			expect(!result || result == IPM_RESULT_ERR_ALREADY_LOCKED);
			continue;
		}
		result = ipm_memory_claim_region(shared, i % 2 ? RW : RO, 0, 8, &id);
		expect(!result || (i % 2 && result == IPM_RESULT_ERR_BAD_ACCESS));
		if (!result)
			expect(!ipm_memory_release_region(shared, id));
	}
	return NULL;
}

static void access_changes_while_others_claim(void)
{
	start(64);
	run_threads(claim_or_change);
	CHECK_RESULT(ipm_memory_change_access(shared, RO), IPM_RESULT_SUCCESS);
	CHECK_RESULT(ipm_memory_change_access(shared, RW), IPM_RESULT_SUCCESS);
	finish();
}

#define VALUE 256

/* With a handle each, nobody ever sees half a value. */
static void *read_and_write_whole_values(void *arg)
{
	unsigned char value[VALUE];
	ipm_memory *mine;
	int i, j;

	expect(!ipm_memory_derive(shared, RW, &mine));
	for (i = 0; i < ROUNDS; i++) {
		memset(value, (int)(long)arg * 50 + i % 50, sizeof(value));
		expect(!ipm_memory_write(mine, 0, value, sizeof(value)));
		expect(!ipm_memory_read(mine, 0, value, sizeof(value)));
		for (j = 1; j < VALUE; j++)
			expect(value[j] == value[0]);
	}
	ipm_memory_close(mine);
	return NULL;
}

static void a_handle_for_each_thread(void)
{
	start(VALUE);
	run_threads(read_and_write_whole_values);
	finish();
}

static ipm_id blocker;

static void *wait_for_claim(void *arg)
{
	ipm_memory *mine;
	ipm_id id;

	expect(!ipm_memory_derive(shared, RW, &mine));
	if ((long)arg == 0) {
		while (ipm_memory_ref_count(shared) < THREADS + 1)
			sched_yield();
		expect(!ipm_memory_release_region(shared, blocker));
	} else {
		expect(!ipm_memory_claim_region(mine, RW, 0, 8, &id));
		expect(!ipm_memory_release_region(mine, id));
	}
	ipm_memory_close(mine);
	return NULL;
}

static void waiters_get_in(void)
{
	start(64);
	CHECK_RESULT(ipm_memory_claim_region(shared, RW, 0, 64, &blocker), IPM_RESULT_SUCCESS);
	run_threads(wait_for_claim);
	finish();
}

static void *create_and_open(void *arg)
{
	ipm_memory *mine;
	ipm_result result;
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS / 3; i++) {
		result = ipm_memory_create(NULL, 100, "race", RW, &mine);
		if (result == IPM_RESULT_ERR_EXISTS)
			result = ipm_memory_open(NULL, "race", RW, &mine);
		if (!result)
			ipm_memory_close(mine);
		else
			expect(result == IPM_RESULT_ERR_DOES_NOT_EXIST);
	}
	return NULL;
}

static void handles_come_and_go(void)
{
	start(64);
	run_threads(create_and_open);
	finish();
}

int main(void)
{
	RUN(one_handle_for_all_threads);
	RUN(access_changes_while_others_claim);
	RUN(a_handle_for_each_thread);
	RUN(waiters_get_in);
	RUN(handles_come_and_go);
	return tap_end();
}
