// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile peer for the channels, for libFuzzer with AddressSanitizer: ring_fuzz.c
 * with the channels' sources besides. The input chooses bytes of channel header,
 * participants and ring, and calls, and changes words while these run.
 *
 * Time is a number here: it goes on a little with each look at the clock, and by as
 * much as the caller wants to sleep. A call with a deadline that comes back later
 * than one sleep and its own looks at the clock allow is a finding; so is one that
 * runs on without looking at the clock (libFuzzer's -timeout).
 */
#include <errno.h>

#define LLVMFuzzerTestOneInput ring_fuzz_input
#include "ring_fuzz.c"
#undef LLVMFuzzerTestOneInput

#define __atomic_load_n(pointer, order) FUZZ_LOAD(pointer, order)

#define round_up channel_round_up
#define start_geometry channel_start_geometry
#include "../../lib/channel.c"
#undef round_up
#undef start_geometry
#include "../../lib/wait.c"
#include "../../lib/channel_wait.c"
#include "../../lib/channel_io.c"
#undef __atomic_load_n

/* What a look at the clock takes, and how late a call may be: ten looks. */
#define TICK_NS 100
#define SLACK_NS (10 * TICK_NS)

static int64_t clock_ns;

int64_t ipm_sys_now(void)
{
	return clock_ns += TICK_NS;
}

int wait_sys_sleep(uint32_t *word, uint32_t value, int64_t ns)
{
	static const int results[] = { 0, 0, -EAGAIN, -ETIMEDOUT, -ETIMEDOUT, -ETIMEDOUT,
				       -ETIMEDOUT, -EINTR };
	int result = results[next_random() % 8];

	/* A sleep has an end that the caller chose, and it is not the peer. */
	if (ns <= 0 || (uint64_t)ns > IPM_CHANNEL_SLEEP_MAX)
		abort();
	fuzz_tamper(word, sizeof(*word));
	if (result == -ETIMEDOUT)
		clock_ns += ns;
	else if (*word != value)
		result = -EAGAIN;
	return result;
}

int wait_sys_wake(uint32_t *word, int count)
{
	(void)word;
	return (int)(next_random() % 3) < count ? 1 : 0;
}

void wait_sys_block(sigset_t *old)
{
	sigemptyset(old);
}

void wait_sys_unblock(const sigset_t *old)
{
	(void)old;
}

bool wait_sys_signalled(const sigset_t *old)
{
	(void)old;
	return next_random() % 16 == 0;
}

bool wait_sys_register(void)
{
	return next_random() % 4;
}

bool wait_sys_barrier(void)
{
	return next_random() % 8;
}

void ipm_channel_unmap(ipm_channel_mapping *mapping)
{
	if (mapping->memory)
		abort();
}

static void fuzz_bell(void *param, uint64_t bits)
{
	(void)param;
	if (!bits)
		abort();
}

static ipm_channel *attach_channel(const ipm_channel_options *options)
{
	ipm_channel_attach_options o = {
		.struct_size = sizeof(o),
		.roles = next_byte() % 4,
		.flags = options->ring.flags,
		.slot = next_byte() % 8,
		.generation = next_byte() % 4,
		.lease_records = next_byte() % 3,
		.config = { .max_round_trips = 1 + next_byte() % 100,
			    .start_sleep_ns = 20000, .max_sleep_ns = 640000 },
		.liveness = { fuzz_alive, NULL },
		.bell = next_byte() & 1 ? fuzz_bell : NULL,
	};
	ipm_channel *channel = NULL;

	if (ipm_channel_attach(NULL, &o, fuzz.memory, fuzz.memory_size, &channel))
		return NULL;
	return channel;
}

static void check_taken(ipm_channel *channel, const ipm_ring_record *record, bool write)
{
	check_record(ipm_channel_ring(channel), record);
	touch(record->data, record->size, write);
}

static void call(ipm_channel **handles, ipm_ring_record (*records)[RECORDS],
		 const ipm_channel_options *options, unsigned char *buffer)
{
	unsigned int which = next_byte() % HANDLES;
	ipm_channel *channel = handles[which];
	ipm_ring_record *record = &records[which][next_byte() % RECORDS];
	/* Without a channel no call may wait. */
	int64_t deadline = next_byte() & 1 ? IPM_DEADLINE_NOW : clock_ns + next_random() % 5000000;
	size_t size = next_byte() | (size_t)(next_byte() & 7) << 8, got = 0, i;
	ipm_channel_stats stats;
	ipm_ring_span spans[3];
	uint64_t n;
	bool ready;

	switch (next_byte() % 24) {
	case 0:
		fuzz.rate = next_byte();
		break;
	case 1:
	case 2:
		scribble();
		break;
	case 3:
		ipm_channel_detach(channel);
		handles[which] = attach_channel(options);
		memset(records[which], 0, sizeof(records[which]));
		break;
	case 4:
	case 5:
		ipm_channel_write_until(channel, buffer, size, deadline);
		break;
	case 20:
		ipm_channel_write_try(channel, buffer, size);
		deadline = IPM_DEADLINE_NOW;
		break;
	case 21:
		if (!ipm_channel_read_try(channel, buffer, size, &got, NULL) && got > size)
			abort();
		deadline = IPM_DEADLINE_NOW;
		break;
	case 22:
		ipm_channel_is_closed(channel);
		break;
	case 6:
		if (!ipm_channel_reserve(channel, size, deadline, record))
			check_taken(channel, record, true);
		break;
	case 7:
		if (size && size < record->size)
			record->size = size;
		ipm_channel_commit(channel, record);
		break;
	case 8:
		ipm_channel_discard(channel, record);
		break;
	case 9:
	case 10:
		if (!ipm_channel_read_until(channel, buffer, size, &got, NULL, deadline) &&
		    got > size)
			abort();
		break;
	case 11:
		if (!ipm_channel_peek(channel, deadline, record))
			check_taken(channel, record, false);
		break;
	case 12:
		ipm_channel_release(channel, record);
		break;
	case 13:
		if (ipm_channel_peek_batch(channel, records[which], RECORDS, deadline, &got))
			break;
		for (i = 0; i < got; i++)
			check_taken(channel, &records[which][i], false);
		ipm_channel_release_batch(channel, records[which], got);
		break;
	case 14:
		for (i = 0; i < 3; i++)
			spans[i] = (ipm_ring_span){ buffer, size / (i + 1) };
		ipm_channel_write_batch(channel, spans, 3, deadline, &got);
		break;
	case 15:
		ipm_channel_check(channel, 1 + (size & 1));
		break;
	case 16:
		ipm_channel_arm_read(channel, &ready);
		break;
	case 17:
		ipm_channel_arm_write(channel, size, &ready);
		break;
	case 18:
		ipm_channel_close(channel);
		break;
	case 19:
		ipm_channel_reopen(channel);
		break;
	default:
		ipm_channel_recover(channel, &n);
		ipm_channel_wake(channel);
		ipm_channel_get_stats(channel, &stats);
	}
	/* A batch of three may wait three times, until the same deadline. */
	if (deadline > IPM_DEADLINE_NOW && clock_ns > deadline + SLACK_NS)
		abort();
}

static void run_channel(const ipm_channel_options *options)
{
	ipm_channel *handles[HANDLES] = { NULL };
	ipm_ring_record records[HANDLES][RECORDS];
	unsigned char *buffer = malloc(2048);
	unsigned int calls = 0, i;

	memset(records, 0, sizeof(records));
	if (!buffer)
		abort();
	memset(buffer, 1, 2048);
	for (i = 0; i < 2; i++)
		handles[i] = attach_channel(options);
	while (fuzz.size && calls++ < 1000)
		call(handles, records, options, buffer);
	for (i = 0; i < HANDLES; i++)
		ipm_channel_detach(handles[i]);
	free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ipm_channel_options options = { .struct_size = sizeof(options) };
	struct channel_geometry g;
	struct ring_geometry ring;
	size_t need;
	uint8_t shape;

	fuzz.data = data;
	fuzz.size = size;
	fuzz.rate = 0;
	clock_ns = 1000000000;
	shape = next_byte();
	fuzz.state = next_word() | (uint64_t)1 << 40;
	options.ring.struct_size = sizeof(options.ring);
	options.ring.kind = (ipm_ring_kind)(shape % 3 + 1);
	if (options.ring.kind == IPM_RING_KIND_LANES)
		options.ring.lanes = 1 + (shape >> 4 & 3);
	if (options.ring.kind == IPM_RING_KIND_MPMC)
		options.ring.participants = 2 + (shape >> 4 & 3);
	options.participants = 1 + (shape >> 6);
	options.read_bell = shape & 8;
	options.write_bell = shape & 4;
	if (options.ring.kind != IPM_RING_KIND_LANES && next_byte() & 1)
		options.ring.flags = IPM_RING_DOUBLED;
	if (ipm_channel_footprint(&options, 256 + 64 * (next_byte() % 64), &need) ||
	    channel_make_geometry(&options, need, &g) ||
	    ring_make_geometry(&options.ring, g.ring_size, &ring))
		abort();
	fuzz.memory_size = need;
	/* A record may be anywhere behind the channel's own header. */
	fuzz.control_size = ring_offset(options.participants, 0) + sizeof(struct ring_header);
	if (options.ring.flags & IPM_RING_DOUBLED)
		fuzz.memory = map_doubled(need, ring.data_size);
	else if (posix_memalign((void **)&fuzz.memory, 64, need))
		abort();
	memset(fuzz.memory, 0, need);
	if (ipm_channel_create(&options, fuzz.memory, need))
		abort();
	run_channel(&options);
	fuzz.rate = 0;
	if (options.ring.flags & IPM_RING_DOUBLED)
		unmap_doubled(fuzz.memory, need, ring.data_size);
	else
		free(fuzz.memory);
	return 0;
}
