// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that lies: calls that fail with any errno, succeed without having done
 * anything, do a part, and return any numbers; a status page that changes to what it
 * could never show; memory that runs out. Whatever it says, the library does not
 * crash, touches no byte that it has not mapped, gives a result that there is, and
 * leaves nothing behind.
 *
 * Only what nobody could live with is spared: a mapping that is not where it is said
 * to be, and a number for a file or an area of the caller's that it has not.
 *
 * The choices are made by a seed: IPM_SEED=number repeats them, without it there
 * are the same few each time. tests/fuzz/memory_fuzz.c makes them itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>

#include "../../lib/sys.h"
#include "fake_kernel.h"
#include "tap.h"

#define RW IPM_ACCESS_MODE_READ_WRITE
#define RO IPM_ACCESS_MODE_READ_ONLY

#define STEPS 4000
#define MEMORIES 4
#define ATTACHED 4
#define SIZE 8192
#define KEY 4711

static struct fake_context c;
static ipm_memory *m[MEMORIES];
static void *attached[ATTACHED];
static unsigned int lies, failures;
static bool huge;	/* the size that the status page shows */
static bool detaching;

#ifndef MEMORY_FUZZ
static uint64_t random_state;

static bool has_choices(void)
{
	return true;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}
#endif

static uint32_t below(uint32_t limit)
{
	return (uint32_t)((random_next() >> 32) * limit >> 32);
}

static uint64_t number(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 4095, 4096, 4097, SIZE - 1, SIZE, SIZE + 1, INT32_MAX, UINT32_MAX,
		1ULL << 32, 1ULL << 43, INT64_MAX, 1ULL << 63, UINT64_MAX - 4095, UINT64_MAX,
	};

	return below(3) ? values[below(sizeof(values) / sizeof(values[0]))] : random_next();
}

static void garble(void *bytes, size_t size)
{
	for (size_t i = 0; i + 4 <= size; i += 4) {
		uint32_t value = (uint32_t)number();

		if (!below(3))
			memcpy((char *)bytes + i, &value, 4);
	}
}

static long any_error(void)
{
	return -(long)(1 + below(below(2) ? 40 : 4095));
}

/* Sometimes the call is not made, and says anything. */
static bool lie(int fd, unsigned long command, void *argument, int *ret)
{
	uint32_t ends = IPM_CLAIM_TRY | IPM_CLAIM_DEADLINE | IPM_CLAIM_ASYNC;
	bool waits = command == IPM_IOC_CLAIM && !(((struct ipm_claim *)argument)->flags & ends);

	(void)fd;
	/*
	 * What is not released is the fake's to complain of, so closes are honest. And
	 * nobody else is there who could end a wait.
	 */
	if (!waits && below(3))
		return false;
	lies++;
	*ret = (int)any_error();
	if (command == IPM_IOC_CREATE || command == IPM_IOC_OPEN || command == IPM_IOC_REOPEN ||
	    command == IPM_IOC_MAPPING)
		return true;
	if (below(2)) {
		*ret = below(4) ? 0 : (int)below(1000);
		/* Pointers in it are the caller's. */
		if (command == IPM_IOC_CLAIM) {
			struct ipm_claim *claim = argument;

			claim->id = number();
			claim->result = (uint32_t)number();
		} else if (command == IPM_IOC_DOUBT) {
			struct ipm_doubt *doubt = argument;

			doubt->nr_ranges = (uint32_t)number();
			doubt->total = (uint32_t)number();
		} else {
			garble(argument, _IOC_SIZE(command));
		}
	}
	return true;
}

/* The same for what is no ioctl. */
static bool lie_before(enum fake_call call, long *ret)
{
	/* Nobody else is there who could end a wait. */
	if (call != FAKE_WAIT && below(6))
		return false;
	lies++;
	*ret = any_error();
	switch (call) {
	case FAKE_WAIT:
		if (below(4))
			*ret = below(4);
		break;
	case FAKE_SENDMSG:
		if (below(2))
			*ret = (long)(number() & INT32_MAX);
		break;
	case FAKE_RECVMSG:
		if (!below(4))
			*ret = 0;
		break;
	case FAKE_COPY:
		*ret = -EFAULT;
		break;
	case FAKE_IS_ANONYMOUS:
		*ret = below(2);
		break;
	default:
		break;
	}
	return true;
}

/* Something in it that is no whole file descriptor, or more than there is room for. */
static void garble_control(struct msghdr *message)
{
	static char control[64];
	struct cmsghdr *header = (struct cmsghdr *)(void *)control;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = below(4) ? SCM_RIGHTS : (int)number();
	header->cmsg_len = below(2) ? below(CMSG_LEN(sizeof(int))) : (size_t)(1000 + number() / 2);
	memcpy(message->msg_control, control, sizeof(*header));
	message->msg_controllen = below(4) ? sizeof(*header) : (size_t)(1000 + number() / 2);
}

/* It was done, and something else is said about it. */
static void lie_after(enum fake_call call, void *given, size_t size, long *ret)
{
	struct msghdr *message = given;
	struct ipm_create *create = given;
	struct ipm_mapping *mapping = given;
	struct ipm_open *open = given;

	if (*ret < 0 || below(4))
		return;
	lies++;
	switch (call) {
	case FAKE_READ:
		if (!below(3))
			garble(given, size);
		*ret = below(3) ? (long)below((uint32_t)size + 1) : (long)(number() & INT32_MAX);
		break;
	case FAKE_RECVMSG:
		if (!below(3))
			*(unsigned char *)message->msg_iov->iov_base = (unsigned char)number();
		if (!below(3))
			message->msg_flags = (int)number();
		if (!message->msg_controllen && below(2))
			garble_control(message);
		if (below(2))
			*ret = below(2) ? (long)below(3) : (long)(number() & INT32_MAX);
		break;
	case FAKE_FCNTL:
	case FAKE_DUP3:
		*ret = (long)(number() & INT32_MAX);
		break;
	case FAKE_IOCTL:
		if (size == IPM_IOC_CREATE) {
			create->created = below(2);
			create->size = number();
			create->capacity = below(2) ? below(2 * SIZE) : number();
		} else if (size == IPM_IOC_OPEN || size == IPM_IOC_REOPEN) {
			garble(open->ref.name, sizeof(open->ref.name));
			open->size = number();
			open->capacity = below(2) ? below(2 * SIZE) : number();
		} else if (size == IPM_IOC_MAPPING) {
			mapping->size = number();
			mapping->offset = number() | 1;
			if (!detaching)
				mapping->id = (uint32_t)number();
		}
		break;
	default:
		break;
	}
}

static void lie_from_now(bool on)
{
	fake_hook = on ? lie : NULL;
	fake_before = on ? lie_before : NULL;
	fake_after = on ? lie_after : NULL;
}

/* What the status page shows, but for a size that a segment could have. */
static void garble_status(ipm_memory *memory, struct ipm_status *saved)
{
	struct ipm_status *s = fake_status_of(ipm_memory_fd(memory));

	*saved = *s;
	garble(s, sizeof(*s));
	/* The kernel does not stop in the middle of a change. */
	s->sequence = saved->sequence;
	huge = below(2);
	s->size = huge ? UINT64_MAX - below(10000) : below(SIZE);
}

static bool is_result(ipm_result result)
{
	return (int)result >= 0 && result < IPM_RESULT_COUNT;
}

static ipm_memory_ref any_ref(ipm_memory *memory)
{
	switch (below(6)) {
	case 0:
		return ipm_ref_name("lies");
	case 1:
		return ipm_ref_key(KEY + (int)below(2));
	case 2:
		return ipm_ref_id(1 + below(70));
	case 3:
		return memory ? ipm_ref_fd(ipm_memory_fd(memory)) : ipm_ref_fd(-1);
	case 4:
		return memory ? ipm_ref_memory(memory) : ipm_ref_private();
	default:
		return ipm_ref_private();
	}
}

/* Makes room for one more if there is none. */
static void keep(ipm_memory *memory)
{
	for (int i = 0; i < MEMORIES; i++) {
		if (!m[i]) {
			m[i] = memory;
			return;
		}
	}
	ipm_memory_close(memory);
}

/* A file descriptor that the handle may have for good. */
static ipm_result adopt(ipm_memory *memory, ipm_memory **out)
{
	ipm_memory_open_options o = {
		.struct_size = sizeof(o), .access = RO, .flags = IPM_MEMORY_ADOPT_FD,
	};
	struct ipm_open open = { .access = IPM_READ_ONLY };
	ipm_result result;

	lie_from_now(false);
	o.ref = ipm_ref_fd(ipm_sys_ioctl(ipm_memory_fd(memory), IPM_IOC_REOPEN, &open));
	lie_from_now(true);
	result = ipm_memory_open_ex(&c.ctx, &o, out);
	if (result)
		ipm_sys_close(o.ref.fd);
	return result;
}

/* What somebody else sends, who does not mean well. */
static void send_anything(void)
{
	char bytes[8];

	memset(bytes, below(2) ? 0xE9 : (int)below(256), sizeof(bytes));
	if (fake_messages() < 4)
		fake_message(bytes, below(sizeof(bytes) + 1), (int)below(4), (int)number());
}

/* Calls that give another handle. */
static ipm_result another(ipm_memory *memory)
{
	ipm_memory_open_options o = {
		.struct_size = sizeof(o), .ref = any_ref(memory), .access = (ipm_access_mode)below(2),
		.flags = below(2) ? 0 : below(2) ? IPM_MEMORY_NO_MAP : IPM_MEMORY_NO_CLOEXEC,
	};
	ipm_access_mode access = (ipm_access_mode)below(2);
	ipm_memory *out = NULL;
	ipm_result result;

	switch (below(8)) {
	case 0:
		result = ipm_memory_derive(memory, access, &out);
		break;
	case 1:
		result = ipm_memory_from_fd(&c.ctx, ipm_memory_fd(memory), access, &out);
		break;
	case 2:
		result = adopt(memory, &out);
		break;
	case 3:
		result = ipm_shared_memory_open(&c.ctx, any_ref(memory), below(2), &out);
		break;
	case 4:
		result = ipm_shared_memory_create(&c.ctx, any_ref(memory), SIZE, 0600, below(2), &out);
		break;
	case 5:
		send_anything();
		/* fall through */
	case 6:
		/* Nothing there is an error, and no wait, for the fake. */
		result = ipm_memory_receive(&c.ctx, FAKE_SOCKET, access, &out);
		break;
	default:
		result = ipm_memory_open_ex(&c.ctx, &o, &out);
	}
	CHECK((result == IPM_RESULT_SUCCESS) == (out != NULL));
	if (out) {
		CHECK(memchr(ipm_memory_get_info(out).name, 0, IPM_MAX_NAME_LEN));
		keep(out);
	}
	return result;
}

/* What says -1 and an errno. */
static ipm_result of_errno(long ret)
{
	CHECK(ret >= -1 && (ret >= 0 || (errno > 0 && errno < 4096)));
	return ret < 0 ? IPM_RESULT_ERR_OS_UNEXPECTED : IPM_RESULT_SUCCESS;
}

static ipm_result attach(void)
{
	void **map = &attached[below(ATTACHED)];
	ipm_result result;

	if (!*map) {
		*map = ipm_shmat((int)below(70), NULL, below(2) ? SHM_RDONLY : 0);
		if (*map != (void *)-1)
			return IPM_RESULT_SUCCESS;
		*map = NULL;
		return of_errno(-1);
	}
	if (!below(3))
		return of_errno(ipm_shmid(*map));
	/* What it said does not count: whether it is still there does. */
	detaching = true;
	result = of_errno(ipm_shmdt(*map));
	detaching = false;
	if (!fake_is_mapped(*map))
		*map = NULL;
	return result;
}

static ipm_result sysv(ipm_memory *memory)
{
	static const int commands[] = {
		IPC_STAT, IPC_SET, IPC_RMID, IPC_INFO, SHM_INFO, SHM_STAT, 15 /* SHM_STAT_ANY */,
	};
	ipm_shm_info info = { .struct_size = sizeof(info) };
	union {
		struct shmid_ds ds;
		struct shminfo limits;
		struct shm_info sum;
	} buffer = { 0 };

	buffer.ds.shm_perm.mode = 0600;
	switch (below(9)) {
	case 0:
		return of_errno(ipm_shmget(below(4) ? KEY + (int)below(2) : IPC_PRIVATE,
					   SIZE + below(SIZE), (int)below(2) * IPC_CREAT |
					   (int)below(2) * IPC_EXCL | 0600));
	case 1:
		return of_errno(ipm_shmctl((int)below(70),
					   commands[below(sizeof(commands) / sizeof(commands[0]))],
					   below(8) ? &buffer.ds : NULL));
	case 2:
		return of_errno(ipm_shmctl((int)below(4), SHM_STAT, &buffer.ds));
	case 3:
		return of_errno(ipm_shmrm(any_ref(NULL)));
	case 4:
		return of_errno(ipm_shmcfg(any_ref(NULL), 0640));
	case 5:
		return of_errno(ipm_shminfo(any_ref(NULL), &info));
	case 6:
		return ipm_memory_remove(&c.ctx, any_ref(memory));
	default:
		return attach();
	}
}

/* Any call with any argument. */
static ipm_result call(ipm_memory *memory)
{
	/* Mapped bytes that are not there are SIGBUS, and no library can help that. */
	uint64_t touch = huge || below(2) ? (1ULL << 50) + number() % (1ULL << 60) :
					    number() % (SIZE - 64);
	ipm_memory_claim_options claim = {
		.struct_size = sizeof(claim), .offset = number(), .length = number(),
		.access = (ipm_access_mode)below(3), .flags = below(2) ? IPM_MEMORY_ASYNC : 0,
		.deadline = below(2) ? IPM_DEADLINE_NOW : 1,
	};
	ipm_memory_details details = { .struct_size = sizeof(details) };
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	ipm_memory_status status = { .struct_size = sizeof(status) };
	ipm_module_info info = { .struct_size = sizeof(info) };
	ipm_memory_settings settings = { .struct_size = sizeof(settings), .what = below(16) };
	ipm_memory_doubt doubts[3];
	ipm_memory_event events[3];
	ipm_memory_slot_status state;
	struct ipm_ring_liveness live;
	char bytes[64];
	ipm_id id = below(40);
	uint32_t word;
	size_t count = 0;
	uint64_t at = number();

	switch (below(45)) {
	case 0:
		return ipm_memory_claim(memory, &claim, &id, &word);
	case 1:
		return ipm_memory_claim_region_try(memory, RW, below(SIZE), 1 + below(64), &id);
	case 2:
		return ipm_memory_convert(memory, id, (ipm_access_mode)below(2), 0, IPM_DEADLINE_NOW,
					  &word);
	case 3:
		return ipm_memory_release_region(memory, id);
	case 4:
		return ipm_memory_release_all(memory);
	case 5:
		return ipm_memory_remove_all_active_claims(memory);
	case 6:
		return ipm_memory_collect(memory, id, &word);
	case 7: {
		ipm_result result = ipm_memory_list_doubts(memory, at, below(2) ? 1 : number(), doubts,
							   3, &count);

		return result;
	}
	case 8:
		return ipm_memory_recovered(memory, at, number());
	case 9:
	case 10:
		if (!below(8))
			return ipm_memory_read(memory, touch, bytes, below(sizeof(bytes) + 1));
		return ipm_memory_read_until(memory, touch, bytes, below(sizeof(bytes) + 1), 1);
	case 11:
	case 12:
		if (!below(8))
			return ipm_memory_write(memory, touch, bytes, below(sizeof(bytes) + 1));
		return ipm_memory_write_until(memory, touch, bytes, below(sizeof(bytes) + 1), 1);
	case 13:
		return ipm_memory_grow(memory, number(), 0);
	case 14:
		return ipm_memory_sync(memory);
	case 15:
		return ipm_memory_change_access(memory, (ipm_access_mode)below(2));
	case 16:
		return ipm_memory_get_details(&c.ctx, ipm_ref_memory(memory), &details);
	case 17:
		return ipm_memory_get_limits(&c.ctx, &limits);
	case 18:
		return ipm_module_get_info(&c.ctx, &info);
	case 19:
		return ipm_memory_set(memory, &settings);
	case 20:
		return ipm_memory_link(memory, ipm_ref_key(7));
	case 21:
		return ipm_memory_slot(memory, &word, &word);
	case 22:
		return ipm_memory_slot_give(memory);
	case 23:
		return ipm_memory_slot_state(memory, (uint32_t)number(), &state, &word);
	case 24:
		return ipm_memory_reap(memory, (uint32_t)number(), 1);
	case 25:
		return ipm_memory_liveness(memory, &live);
	case 26:
		return ipm_memory_ring_bell(memory, number(), (uint32_t)number());
	case 27:
		return ipm_memory_subscribe(memory, number(), (uint32_t)number() & 0x70);
	case 28: {
		ipm_result result = ipm_memory_read_events(memory, events, 3, 1, &count);

		CHECK(result != IPM_RESULT_SUCCESS || count <= 3);
		return result;
	}
	case 29:
		return ipm_memory_get_status(memory, &status);
	case 30:
		ipm_memory_is_removed(memory);
		ipm_memory_deaths(memory);
		return IPM_RESULT_SUCCESS;
	case 31:
		ipm_memory_size(memory);
		ipm_memory_get_id(memory);
		ipm_memory_ref_count(memory);
		return IPM_RESULT_SUCCESS;
	case 32:
		ipm_memory_get_info(memory);
		return IPM_RESULT_SUCCESS;
	case 33:
		return ipm_memory_send(memory, fake_messages() < 4 ? FAKE_SOCKET : -1, RO);
	case 34:
		/* Only a lie can end this wait. */
		return ipm_memory_read_events(memory, events, below(4), below(2) ?
					      IPM_DEADLINE_NONE : IPM_DEADLINE_NOW, &count);
	case 35:
		return ipm_memory_claim_region(memory, RW, below(SIZE), 1 + below(64), &id);
	case 36:
		return ipm_memory_claim_region_until(memory, RO, below(SIZE), 1 + below(64), 1, &id);
	case 37:
		return ipm_memory_resize_grow(memory, (size_t)number());
	case 38:
		ipm_memory_capacity(memory);
		ipm_memory_was_created(memory);
		ipm_memory_pointer(memory);
		ipm_memory_get_pointer(memory);
		return IPM_RESULT_SUCCESS;
	case 39:
	case 40:
	case 41:
		return another(memory);
	default:
		return sysv(memory);
	}
}

static void make(ipm_memory **memory)
{
	ipm_memory_create_options o = {
		.struct_size = sizeof(o), .size = SIZE, .capacity = SIZE, .access = RW,
		.flags = below(4) ? 0 : IPM_MEMORY_PERSISTENT,
	};
	ipm_result result;

	*memory = NULL;
	switch (below(3)) {
	case 0:
		result = ipm_memory_create_ex(&c.ctx, &o, memory);
		break;
	case 1:
		result = ipm_memory_create(&c.ctx, SIZE, "lies", RW, memory);
		break;
	default:
		result = ipm_memory_open(&c.ctx, "lies", RO, memory);
	}
	CHECK(is_result(result) && (result == IPM_RESULT_SUCCESS) == (*memory != NULL));
	failures += result != IPM_RESULT_SUCCESS;
}

static void clean_up(void)
{
	struct shmid_ds ds;
	ipm_memory *out;
	int id;

	c.fail_at = 0;
	while (fake_messages()) {
		if (!ipm_memory_receive(&c.ctx, FAKE_SOCKET, RO, &out))
			ipm_memory_close(out);
	}
	for (int i = 0; i < MEMORIES; i++) {
		ipm_memory_close(m[i]);
		m[i] = NULL;
	}
	for (int i = 0; i < ATTACHED; i++) {
		if (attached[i])
			CHECK_INT(ipm_shmdt(attached[i]), 0);
		attached[i] = NULL;
	}
	for (int i = 0; i < STEPS && (id = ipm_shmctl(0, SHM_STAT, &ds)) >= 0; i++)
		CHECK_INT(ipm_shmctl(id, IPC_RMID, NULL), 0);
}

static void run(void)
{
	fake_context_init(&c);
	for (int step = 0; step < STEPS && has_choices() && !tap.failing; step++) {
		ipm_memory **memory = &m[below(MEMORIES)];
		struct ipm_status saved;
		bool garbled = false;

		ipm_result result;

		huge = false;
		lie_from_now(true);
		/* Now and then there is no memory either. */
		c.fail_at = below(8) ? 0 : c.allocations + 1;
		if (!*memory) {
			make(memory);
		} else if (!below(20)) {
			lie_from_now(false);
			(below(2) ? ipm_memory_close : ipm_memory_clean)(*memory);
			*memory = NULL;
		} else {
			if (!below(3)) {
				garble_status(*memory, &saved);
				garbled = true;
			}
			result = call(*memory);
			CHECK(is_result(result));
			failures += result != IPM_RESULT_SUCCESS;
			if (garbled)
				*fake_status_of(ipm_memory_fd(*memory)) = saved;
		}
		lie_from_now(false);
	}
	clean_up();
	CHECK(fake_is_clean());
	CHECK_INT(c.live, 0);
}

#ifndef MEMORY_FUZZ
static void run_seed(uint64_t seed)
{
	random_state = seed;
	run();
	if (tap.failing)
		printf("# IPM_SEED=%#llx\n", (unsigned long long)seed);
}

static void whatever_it_says(void)
{
	const char *seed = getenv("IPM_SEED");

	if (seed) {
		run_seed(strtoull(seed, NULL, 0));
		return;
	}
	for (uint64_t i = 1; i <= 8; i++)
		run_seed(i * 0x9e3779b97f4a7c15ULL);
	printf("# %u lies, %u calls that failed\n", lies, failures);
	/* It did lie, and was not always believed. */
	CHECK(lies > 1000 && failures > 1000);
}

int main(void)
{
	RUN(whatever_it_says);
	return tap_end();
}
#endif
