// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzzer of /dev/ipm and of its generic netlink family: sequences of calls and of
 * messages, well formed and broken, from two threads at once, some as another
 * user, some with a fault in the middle. What reaches code of the module that
 * nothing before it has reached is kept, and varied further. KCOV tells what was
 * reached, so the module has to be built for it (KCOV_INSTRUMENT=y);
 * tests/fuzz/kernel-fuzz does that.
 *
 * After each few inputs nothing may be left in the kernel. What else is wrong
 * the kernel says itself: this is meant for one with KASAN and lockdep. When it has
 * complained, that was the last input.
 *
 * An input is a string of bytes, half for each thread; a thread reads from it
 * what to call with what, and zeros when it has come to the end.
 *
 * kernel_fuzz [SECONDS [SEED [-b] [FILE...]]]: the inputs in the files, hexadecimal, one
 * a line, come first; -b goes on without KCOV, and then keeps nothing else. What is
 * found goes to $IPM_OUT/fuzz: inputs to "corpus", addresses of code that was reached
 * to "reached", and to "last" those that were run last, before they are run: each behind
 * its number, and the smallest is not first. $IPM_OUT/fuzz/options may hold the
 * arguments. Without any, the inputs of the tree are run, and some others, the same in
 * each run.
 */
#include "../kselftest/netlink_test.h"

#include <linux/futex.h>
#include <linux/kcov.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define KCOV		"/sys/kernel/debug/kcov"
#define KCOV_WORDS	(64UL << 10)
#define INPUT_MAX	400
#define CORPUS_MAX	4096
#define THREADS		2
#define STRANGER	4003
#define LAST		32

#define FDS	6
#define SOCKETS	4
#define MAPS	4
#define IDS	16
#define CAPACITY	(32 * PAGE)

struct input {
	uint16_t size;
	uint8_t bytes[INPUT_MAX];
};

/* --- random numbers --- */

static uint64_t random_state;

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static uint32_t random_below(uint32_t limit)
{
	return limit ? (random_next() >> 32) * limit >> 32 : 0;
}

/* --- what the two threads play with --- */

static struct {
	int dev;
	int dev_read_only;
	int fds[FDS];
	int sockets[SOCKETS];
	uint16_t family;	/* number of the netlink family */
	char *maps[MAPS];
	uint64_t ids[IDS];
	uint32_t segments[64];	/* made in this input, to be removed at its end */
	uint32_t nr_segments;
	int pair[2];
	int sink;
	char *nowhere;		/* a page that is not there, after one read-only */
} world;

struct thread {
	pthread_t id;
	const uint8_t *at, *end;
	uint64_t *cover;
	int kcov;
	uint64_t *child_cover;	/* of its children, one at a time */
	int child_kcov;
	int fail_nth;
	unsigned int round;	/* of the inputs that it has run */
};

static struct thread threads[THREADS];
static char out_dir[200];
static bool blind;		/* nothing tells what was reached */
static unsigned int round_to_run;	/* written by main, read by the threads */
static uint64_t calls_made, messages_sent;

static uint8_t take(struct thread *t)
{
	return t->at < t->end ? *t->at++ : 0;
}

static uint64_t interesting(uint8_t which)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 4, 7, 8, 16, 63, 64, 65, 255, 256, 257, PAGE - 1, PAGE, PAGE + 1,
		2 * PAGE, CAPACITY - 1, CAPACITY, CAPACITY + 1, INT32_MAX, 1ULL << 31, UINT32_MAX,
		1ULL << 32, IPM_CAPACITY_MAX, IPM_CAPACITY_MAX + 1, INT64_MAX, 1ULL << 63,
		UINT64_MAX - 1, UINT64_MAX,
	};

	return values[which % ARRAY_LENGTH(values)];
}

/* Mostly small: most bytes are themselves. */
static uint64_t number(struct thread *t)
{
	uint8_t byte = take(t);

	return byte < 200 ? byte : interesting(byte - 200);
}

static uint64_t size_of_segment(struct thread *t)
{
	uint8_t byte = take(t);

	return byte < 200 ? byte % 33 * (PAGE / 2) : interesting(byte - 200);
}

static int *fd_slot(struct thread *t)
{
	return &world.fds[take(t) % FDS];
}

static uint64_t *id_slot(struct thread *t)
{
	return &world.ids[take(t) % IDS];
}

/* One of any length, also one without an end, or with more after its end. */
static struct ipm_ref strange_name(struct thread *t)
{
	struct ipm_ref ref = ref_name("fuzz-0");
	uint8_t byte = take(t);
	size_t length = byte < 192 ? 1U + byte : sizeof(ref.name) - (byte & 1);

	if (byte < 208)
		memset(ref.name, 'a' + byte % 2, length);
	else
		ref.name[take(t) % sizeof(ref.name)] = byte;
	return ref;
}

static struct ipm_ref reference(struct thread *t)
{
	uint8_t byte = take(t);
	char name[8] = "fuzz-0";

	switch (byte % 8) {
	case 0:
		return ref_none();
	case 1:
	case 2:
	case 3:
		name[5] += byte >> 3 & 3;
		return ref_name(name);
	case 4:
	case 5:
		return ref_key(1 + (byte >> 3 & 3));
	case 6:
		return ref_id(world.segments[byte >> 3]);
	}
	return byte & 0x80 ? strange_name(t) : ref_id(number(t));
}

/* The call with what @arg holds now, or with something about it that is wrong. */
static int call(struct thread *t, int fd, unsigned long request, void *arg)
{
	size_t size = _IOC_SIZE(request);
	uint8_t broken = take(t), buffer[1024];
	struct ipm_claim *claim = (void *)buffer;
	struct ipm_convert *convert = (void *)buffer;
	void *where = buffer;

	memset(buffer, 0, sizeof(buffer));
	memcpy(buffer, arg, size);
	if (broken >= 208) {
		uint64_t value = number(t);
		size_t offset = take(t) * 4 % size;

		switch (broken & 15) {
		case 0:
			where = NULL;
			break;
		case 1:
			where = world.nowhere;
			break;
		case 2:
			/* Can be read, not written. */
			where = world.nowhere - PAGE;
			break;
		case 3:
			where = world.nowhere - size + offset;
			break;
		case 4:
			request = _IOC(_IOC_DIR(request), IPM_IOC_MAGIC, _IOC_NR(request), size + 8);
			break;
		case 5:
			buffer[size + 7] = 1;
			request = _IOC(_IOC_DIR(request), IPM_IOC_MAGIC, _IOC_NR(request), size + 8);
			break;
		case 6:
			request = _IOC(_IOC_DIR(request), IPM_IOC_MAGIC, _IOC_NR(request), size - 8);
			break;
		case 7:
			request = _IOC(_IOC_DIR(request), IPM_IOC_MAGIC, value, size);
			break;
		default:
			memcpy(buffer + offset, &value, broken & 1 && offset + 8 <= size ? 8 : 4);
		}
	}
	/* No wait may be without an end, or long. */
	if (_IOC_NR(request) == _IOC_NR(IPM_IOC_CLAIM) &&
	    !(claim->flags & (IPM_CLAIM_TRY | IPM_CLAIM_ASYNC)) && claim->deadline >= 0) {
		claim->flags |= IPM_CLAIM_DEADLINE;
		claim->deadline = in_ms(1);
	}
	if (_IOC_NR(request) == _IOC_NR(IPM_IOC_CONVERT) && !(convert->flags & IPM_CLAIM_TRY) &&
	    convert->deadline >= 0) {
		convert->flags |= IPM_CLAIM_DEADLINE;
		convert->deadline = in_ms(1);
	}
	__atomic_fetch_add(&calls_made, 1, __ATOMIC_RELAXED);
	fd = ioctl(fd, request, where);
	memcpy(arg, buffer, size);
	return fd;
}

static void keep_fd(int *slot, int fd)
{
	if (fd >= 0) {
		fd = __atomic_exchange_n(slot, fd, __ATOMIC_RELAXED);
		if (fd >= 0)
			close(fd);
	}
}

/* A call that returns no file descriptor, unless it has become another. */
static int ask(struct thread *t, int fd, unsigned long request, void *arg)
{
	int ret = call(t, fd, request, arg);

	if (ret > 0)
		close(ret);
	return ret;
}

static void do_create(struct thread *t)
{
	struct ipm_create arg = { .ref = reference(t), .size = size_of_segment(t) };
	int fd;

	arg.capacity = take(t) & 1 ? CAPACITY : 0;
	arg.flags = take(t) & (IPM_CREATE_EXCLUSIVE | IPM_CREATE_PERSISTENT |
			       IPM_CREATE_PREALLOCATE | IPM_CREATE_NORESERVE |
			       IPM_CREATE_NO_CLOEXEC | IPM_CREATE_EMPTY);
	arg.access = take(t) % 8 != 0;
	arg.mode = take(t) & 1 ? 0666 : 0600;
	fd = call(t, world.dev, IPM_IOC_CREATE, &arg);
	if (fd >= 0 && arg.id)
		world.segments[__atomic_fetch_add(&world.nr_segments, 1, __ATOMIC_RELAXED) %
			       ARRAY_LENGTH(world.segments)] = arg.id;
	keep_fd(fd_slot(t), fd);
}

static void do_open(struct thread *t)
{
	uint8_t byte = take(t);
	struct ipm_open arg = {
		.access = byte & 1,
		.flags = (byte & 2 ? IPM_OPEN_REMOVED : 0) | (byte & 8 ? IPM_OPEN_NO_CLOEXEC : 0),
	};
	bool again = byte & 4;

	arg.ref = again ? ref_none() : reference(t);
	keep_fd(fd_slot(t), call(t, again ? *fd_slot(t) : world.dev,
				 again ? IPM_IOC_REOPEN : IPM_IOC_OPEN, &arg));
}

static void do_claim(struct thread *t)
{
	static const uint8_t flags[] = {
		IPM_CLAIM_TRY, IPM_CLAIM_DEADLINE, IPM_CLAIM_DEADLINE, IPM_CLAIM_ASYNC,
		IPM_CLAIM_ASYNC | IPM_CLAIM_DEADLINE, IPM_CLAIM_UNTIL_REMOVED | IPM_CLAIM_DEADLINE,
		IPM_CLAIM_NO_DEADLOCK | IPM_CLAIM_DEADLINE,
		IPM_CLAIM_ASYNC | IPM_CLAIM_UNTIL_REMOVED,
	};
	uint8_t byte = take(t);
	struct ipm_range ranges[IPM_CLAIM_RANGES_MAX + 1];
	uint64_t release[IPM_CLAIM_RELEASES_MAX + 1];
	struct ipm_claim arg = { .flags = flags[byte & 7], .cookie = byte };

	if (arg.flags & IPM_CLAIM_DEADLINE)
		arg.deadline = in_ms(byte >> 5 & 1);
	if (byte & 0x40) {
		uint8_t more = take(t);

		/* Few, or as many as may be, and one too many. */
		arg.nr_ranges = more < 224 ? 1U + more % 8 : ARRAY_LENGTH(ranges) - (more & 31) * 8;
		for (uint32_t i = 0; i < arg.nr_ranges; i++) {
			uint8_t b = i < 8 ? take(t) : i;

			ranges[i] = (struct ipm_range) {
				.offset = i * 32 + (b & 15), .length = 1 + (b >> 4), .mode = b & 1,
			};
		}
		arg.ranges = (uintptr_t)ranges;
	} else {
		arg.offset = number(t);
		arg.length = number(t);
		arg.mode = take(t) & 1;
	}
	if (byte & 0x80) {
		uint8_t more = take(t);

		arg.nr_release = more < 240 ? more % 5U : ARRAY_LENGTH(release) - (more & 15) * 16;
		for (uint32_t i = 0; i < arg.nr_release; i++)
			release[i] = i < 5 ? *id_slot(t) : world.ids[i % IDS];
		arg.release = arg.nr_release ? (uintptr_t)release : 0;
	}
	if (!ask(t, *fd_slot(t), IPM_IOC_CLAIM, &arg))
		*id_slot(t) = arg.id;
}

static void do_convert(struct thread *t)
{
	uint8_t byte = take(t);
	struct ipm_convert arg = { .id = *id_slot(t), .mode = byte & 1 };

	if (byte & 2) {
		arg.flags = IPM_CLAIM_TRY;
	} else {
		arg.flags = IPM_CLAIM_DEADLINE | (byte & 4 ? IPM_CLAIM_UNTIL_REMOVED : 0);
		arg.deadline = in_ms(1);
	}
	ask(t, *fd_slot(t), IPM_IOC_CONVERT, &arg);
}

static void do_hold(struct thread *t)
{
	struct ipm_release release = { .id = *id_slot(t) };
	struct ipm_collect collect = { .id = release.id };
	struct ipm_release_all all = {};
	int fd = *fd_slot(t);

	switch (take(t) % 8) {
	case 0:
		ask(t, fd, IPM_IOC_RELEASE_ALL, &all);
		break;
	case 1:
		ask(t, fd, IPM_IOC_CLEAR_CLAIMS, &all);
		break;
	case 2:
	case 3:
		ask(t, fd, IPM_IOC_COLLECT, &collect);
		break;
	default:
		ask(t, fd, IPM_IOC_RELEASE, &release);
	}
}

static void do_doubt(struct thread *t)
{
	struct ipm_doubt_range list[IPM_DOUBT_MAX];
	struct ipm_doubt doubt = { .nr_ranges = take(t) % 65, .offset = take(t) & 1 ? number(t) : 0 };
	struct ipm_recovered recovered = { .offset = number(t), .length = number(t) };

	if (doubt.offset)
		doubt.length = number(t);
	doubt.ranges = doubt.nr_ranges ? (uintptr_t)list : 0;
	if (take(t) & 1)
		ask(t, *fd_slot(t), IPM_IOC_DOUBT, &doubt);
	else
		ask(t, *fd_slot(t), IPM_IOC_RECOVERED, &recovered);
}

static void do_slot(struct thread *t)
{
	uint8_t byte = take(t);
	struct ipm_slot slot = { .flags = byte & 4 ? IPM_SLOT_GIVE : 0 };
	struct ipm_reap reap = { .slot = byte >> 4, .generation = take(t) % 4 };
	struct ipm_bell bell = { .bits = number(t), .slot = byte >> 4,
				 .flags = byte & 4 ? IPM_BELL_SLOT : 0 };
	struct ipm_subscribe subscribe = { .bits = bell.bits, .events = take(t) & 0x70 };

	if (!bell.flags)
		bell.slot = 0;
	switch (byte & 3) {
	case 0:
		ask(t, *fd_slot(t), IPM_IOC_SLOT, &slot);
		break;
	case 1:
		ask(t, *fd_slot(t), IPM_IOC_REAP, &reap);
		break;
	case 2:
		ask(t, *fd_slot(t), IPM_IOC_RING, &bell);
		break;
	default:
		ask(t, *fd_slot(t), IPM_IOC_SUBSCRIBE, &subscribe);
	}
}

/*
 * The signal that ends a wait comes only where there may be one, and never with a
 * fault to come: what it puts on the stack is copied, too, and must not fail.
 */
static void may_be_woken(bool may)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(may ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static void do_events(struct thread *t)
{
	struct ipm_event events[4];
	int fd = *fd_slot(t);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t byte = take(t);

	if (byte & 1)
		poll(&p, 1, 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (byte & 2) {
		if (read(fd, events, byte & 4 ? sizeof(events) : sizeof(events[0])) > 0)
			*id_slot(t) = events[0].id;
	} else if (byte & 8) {
		ssize_t ignored = read(fd, world.nowhere - 40, 2 * sizeof(events[0]));
		(void)ignored;
	}
}

static void do_change(struct thread *t)
{
	uint8_t byte = take(t);
	struct ipm_set set = {
		.what = byte & 15, .mode = byte & 16 ? 0660 : 0600, .persistent = byte >> 7,
	};
	struct ipm_grow grow = { .size = size_of_segment(t), .flags = byte & 1 };
	struct ipm_link link = { .ref = reference(t) };
	struct ipm_remove remove = { .ref = link.ref };
	int fd = *fd_slot(t);

	if (!(set.what & IPM_SET_MODE))
		set.mode = 0;
	if (!(set.what & IPM_SET_LIFETIME))
		set.persistent = 0;
	switch (byte >> 4 & 3) {
	case 0:
		ask(t, fd, IPM_IOC_SET, &set);
		break;
	case 1:
		ask(t, fd, IPM_IOC_GROW, &grow);
		break;
	case 2:
		ask(t, fd, IPM_IOC_LINK, &link);
		break;
	default:
		ask(t, byte & 1 ? fd : world.dev, IPM_IOC_REMOVE, &remove);
	}
}

static void do_ask(struct thread *t)
{
	struct ipm_info info = { .ref = reference(t) };
	struct ipm_version version = {};
	struct ipm_limits limits = {};
	char path[64], text[512];
	uint8_t byte = take(t);
	int fd = *fd_slot(t), file;

	switch (byte % 6) {
	case 0:
		ask(t, world.dev, IPM_IOC_INFO, &info);
		break;
	case 1:
		info.ref = ref_none();
		ask(t, fd, IPM_IOC_INFO, &info);
		break;
	case 2:
		ask(t, fd, IPM_IOC_VERSION, &version);
		break;
	case 3:
		ask(t, world.dev, IPM_IOC_VERSION, &version);
		break;
	case 4:
		ask(t, world.dev, IPM_IOC_LIMITS, &limits);
		break;
	default:
		snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
		read_text(path, text, sizeof(text));
		file = open_device();
		if (file >= 0)
			close(file);
	}
}

static void do_map(struct thread *t)
{
	uint8_t byte = take(t);
	char **slot = &world.maps[take(t) % MAPS], *map, *former;
	int prot = byte & 1 ? PROT_READ | PROT_WRITE : byte & 2 ? PROT_READ : PROT_READ | PROT_EXEC;
	off_t offset = 0;
	size_t size = CAPACITY;

	switch (byte >> 2 & 7) {
	case 0:
		offset = IPM_STATUS_OFFSET;
		size = IPM_STATUS_SIZE;
		break;
	case 1:
		offset = IPM_STATUS_OFFSET;
		size = IPM_STATUS_SLOTS_SIZE;
		break;
	case 2:
		offset = take(t) * PAGE;
		size = PAGE * (1 + take(t) % 40);
		break;
	case 3:
		/* Copies to the kernel, so that a page that is not there is no signal. */
		if (*slot) {
			ssize_t ignored = pwrite(world.sink, *slot + take(t) % 32 * PAGE, 1, 0);
			(void)ignored;
		}
		return;
	case 4:
		if (*slot)
			mprotect(*slot, PAGE, prot & ~PROT_EXEC);
		return;
	case 5:
		if (*slot)
			madvise(*slot, PAGE * (1 + take(t) % 8), take(t) % 26);
		return;
	}
	map = mmap(NULL, CAPACITY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED || size > CAPACITY)
		return;
	mmap(map, size, prot, MAP_FIXED | (byte & 0x20 ? MAP_PRIVATE : MAP_SHARED), *fd_slot(t), offset);
	former = __atomic_exchange_n(slot, map, __ATOMIC_RELAXED);
	if (former)
		munmap(former, CAPACITY);
}

static void do_pass(struct thread *t)
{
	uint8_t byte = take(t);
	int *slot = fd_slot(t);

	switch (byte % 4) {
	case 0:
		send_fd(world.pair[0], *slot);
		break;
	case 1:
		keep_fd(slot, receive_fd(world.pair[1]));
		break;
	case 2: {
		int fd = __atomic_exchange_n(slot, -1, __ATOMIC_RELAXED);

		if (fd >= 0)
			close(fd);
		break;
	}
	default:
		keep_fd(slot, dup(*fd_slot(t)));
	}
}

/*
 * A mapping through the device, or what becomes of one that there is. None may
 * move what the other thread looks for under its address: all stay within
 * the CAPACITY bytes that were reserved for it.
 */
static void do_attach(struct thread *t)
{
	uint8_t byte = take(t);
	char **slot = &world.maps[take(t) % MAPS], *map, *former;
	int dev = byte & 0x40 ? world.dev_read_only : world.dev;
	int prot = byte & 0x20 ? PROT_READ : PROT_READ | PROT_WRITE;
	size_t at = take(t) % 32 * PAGE, size = PAGE * (1 + take(t) % 32);
	struct ipm_mapping mapping = { .address = byte & 0x80 ? number(t) : 0 };
	uint32_t id = world.segments[take(t) % 16];

	if (at + size > CAPACITY)
		size = CAPACITY - at;
	switch (byte & 7) {
	case 0:
		if (*slot && byte & 8)
			mapping.address = (uintptr_t)*slot + at;
		ask(t, world.dev, IPM_IOC_MAPPING, &mapping);
		return;
	case 1:
		if (*slot)
			mmap(*slot + at, size, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return;
	case 2:
		/* Shrinks it, or has it twice; the copy goes at once. */
		if (!*slot)
			return;
		map = mremap(*slot + at, byte & 8 ? 0 : size, PAGE, MREMAP_MAYMOVE);
		if (map != MAP_FAILED && map != *slot + at)
			munmap(map, PAGE);
		return;
	case 3:
		if (*slot)
			syscall(SYS_remap_file_pages, *slot, PAGE, 0, at / PAGE, 0);
		return;
	case 4:
		if (*slot)
			mlock(*slot + at, size);
		return;
	}
	map = mmap(NULL, CAPACITY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return;
	mmap(map, size, prot | (byte & 0x10 ? 0 : PROT_EXEC * (byte >> 3 & 1)),
	     MAP_FIXED | (id ? MAP_SHARED : MAP_PRIVATE) | (byte & 8 ? MAP_POPULATE : 0), dev,
	     IPM_ATTACH_OFFSET(byte & 0x10 ? number(t) : id) + (byte & 0x80 ? at : 0));
	former = __atomic_exchange_n(slot, map, __ATOMIC_RELAXED);
	if (former)
		munmap(former, CAPACITY);
}

/* Looks for a segment in every way that INFO has; changes one through the device. */
static void do_find(struct thread *t)
{
	uint8_t byte = take(t);
	struct ipm_info info = { .ref = reference(t), .flags = byte & 31 };
	struct ipm_set set = { .what = take(t) & 15, .id = world.segments[take(t) % 16] };

	if (byte & 0x80) {
		if (set.what & IPM_SET_MODE)
			set.mode = 0600 | (byte & 0x66);
		if (set.what & IPM_SET_UID)
			set.uid = byte & 1 ? STRANGER : 0;
		if (set.what & IPM_SET_GID)
			set.gid = byte & 2 ? STRANGER : 0;
		if (set.what & IPM_SET_LIFETIME)
			set.persistent = byte & 1;
		if (byte & 0x40)
			set.id = 0;
		ask(t, set.id ? world.dev : *fd_slot(t), IPM_IOC_SET, &set);
	} else {
		ask(t, world.dev, IPM_IOC_INFO, &info);
	}
}

/* Netlink: sockets that dump and listen. */

static int *socket_slot(struct thread *t)
{
	return &world.sockets[take(t) % SOCKETS];
}

/* Makes something about a message wrong. */
static void spoil(struct thread *t, struct request *r, size_t *size)
{
	uint8_t byte = take(t);
	struct genlmsghdr *genl = NLMSG_DATA(&r->header);
	struct nlattr *attr = (struct nlattr *)(r->bytes + NLMSG_LENGTH(GENL_HDRLEN));

	switch (byte % 12) {
	case 0:
		r->header.nlmsg_len = number(t);
		break;
	case 1:
		*size = number(t) % sizeof(r->bytes);
		break;
	case 2:
		r->header.nlmsg_type = byte & 0x80 ? take(t) % 16 : GENL_ID_CTRL;
		break;
	case 3:
		r->header.nlmsg_flags = take(t) | take(t) << 8;
		break;
	case 4:
		genl->version = take(t);
		break;
	case 5:
		genl->cmd = take(t) % 16;
		break;
	case 6:
		attr->nla_len = number(t);
		break;
	case 7:
		attr->nla_type = take(t) | take(t) << 8;
		break;
	case 8:
		genl->reserved = take(t);
		break;
	default:
		for (uint8_t n = byte >> 5; n; n--)
			r->bytes[take(t) % *size] = take(t);
	}
}

static void send_request(struct thread *t, int fd, uint8_t command, uint16_t flags)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint8_t form = take(t), garbage[64];
	struct request r = request_new(world.family, flags | (form & 1 ? NLM_F_ACK : 0), command,
				       IPM_NL_VERSION);
	size_t size;

	if (form & 2)
		request_u32(&r, IPM_NL_A_SEGMENT, form & 4 ? number(t) : world.segments[take(t) % 16]);
	if (command == IPM_NL_CMD_SUBSCRIBE && !(form & 8))
		request_u32(&r, IPM_NL_A_GROUPS, take(t) & 7);
	/* Attributes that it does not take, of any length, or with others inside. */
	for (uint8_t n = form >> 4 < 12 ? 0 : form >> 4 & 3; n; n--) {
		uint8_t length = take(t) % sizeof(garbage), type = take(t);

		for (uint8_t i = 0; i < length; i++)
			garbage[i] = i < 8 ? take(t) : i;
		request_attr(&r, (type & 0x3f) | (type & 0x80 ? NLA_F_NESTED : 0), garbage, length);
	}
	r.header.nlmsg_seq = form;
	size = r.header.nlmsg_len;
	if (take(t) >= 176)
		spoil(t, &r, &size);
	__atomic_fetch_add(&messages_sent, 1, __ATOMIC_RELAXED);
	sendto(fd, &r, size, MSG_DONTWAIT, (struct sockaddr *)&kernel, sizeof(kernel));
}

/* Two messages in one go: the second is handled after the first, whatever that was. */
static void send_pair(struct thread *t, int fd)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct request r = request_new(world.family, NLM_F_ACK, IPM_NL_CMD_SUBSCRIBE, IPM_NL_VERSION);
	size_t size;

	request_u32(&r, IPM_NL_A_GROUPS, take(t) & 7);
	size = r.header.nlmsg_len;
	memcpy(r.bytes + size, r.bytes, size);
	((struct nlmsghdr *)(r.bytes + size))->nlmsg_flags |= take(t) & 1 ? NLM_F_DUMP : 0;
	__atomic_fetch_add(&messages_sent, 2, __ATOMIC_RELAXED);
	sendto(fd, &r, 2 * size, MSG_DONTWAIT, (struct sockaddr *)&kernel, sizeof(kernel));
}

static void open_socket(struct thread *t)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC);
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int *slot = socket_slot(t), room = 1, on = 1;
	uint8_t byte = take(t);

	if (byte & 1)
		bind(fd, (struct sockaddr *)&self, sizeof(self));
	/* So small that events get lost, and that an entry fills it. */
	if (byte & 2)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (byte & 4)
		setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	if (byte & 8)
		setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	keep_fd(slot, fd);
}

static void do_netlink(struct thread *t)
{
	static const uint8_t lists[] = {
		IPM_NL_CMD_SEGMENTS, IPM_NL_CMD_HANDLES, IPM_NL_CMD_CLAIMS, IPM_NL_CMD_WAITERS,
		IPM_NL_CMD_DOUBTS, IPM_NL_CMD_LIMITS,
	};
	/* The kernel's own command is none for others; neither are those that do not exist. */
	static const uint8_t others[] = { IPM_NL_CMD_UNSPEC, IPM_NL_CMD_EVENT, IPM_NL_CMD_MAX + 1, 255 };
	uint8_t byte = take(t);
	int *slot = socket_slot(t), fd = *slot;
	char buffer[8192];

	if (fd < 0 || byte % 16 == 0) {
		open_socket(t);
		fd = *slot;
	}
	switch (byte % 16) {
	case 1 ... 5:
		send_request(t, fd, lists[(byte >> 4) % ARRAY_LENGTH(lists)], NLM_F_DUMP);
		break;
	case 6 ... 8:
		send_request(t, fd, IPM_NL_CMD_SUBSCRIBE, 0);
		break;
	case 9:
		send_request(t, fd, byte & 0x80 ? others[byte >> 4 & 3] :
						  lists[(byte >> 4) % ARRAY_LENGTH(lists)],
			     byte & 0x10 ? NLM_F_DUMP : 0);
		break;
	case 10:
		send_pair(t, fd);
		break;
	case 11 ... 13:
		for (uint8_t n = 1 + (byte >> 4); n; n--) {
			if (recv(fd, buffer, byte & 0x10 ? sizeof(buffer) : 100, MSG_DONTWAIT) < 0 &&
			    errno != ENOBUFS)
				break;
		}
		break;
	case 14:
		/* In the middle of a dump, or while events come. */
		fd = __atomic_exchange_n(slot, -1, __ATOMIC_RELAXED);
		if (fd >= 0)
			close(fd);
		break;
	case 15:
		if (byte & 0x10)
			send_fd(world.pair[0], fd);
		else
			keep_fd(slot, receive_fd(world.pair[1]));
	}
}

/* A child: what it reaches until it ends is told, too, but not what its own children do. */
static pid_t fork_told(struct thread *t)
{
	pid_t child = fork();

	if (!child && !blind)
		ioctl(t->child_kcov, KCOV_ENABLE, KCOV_TRACE_PC);
	return child;
}

/* A child with all handles and mappings, that goes in one way or another. */
static void do_fork(struct thread *t)
{
	uint8_t byte = take(t);
	int fd = *fd_slot(t);
	pid_t child;

	if (byte & 1)
		return;
	child = fork_told(t);
	if (!child) {
		struct ipm_claim claim = claim_arg(byte, 8, byte >> 7, IPM_CLAIM_TRY);
		struct ipm_slot slot = {};
		int dev;

		alarm(5);
		ioctl(fd, IPM_IOC_CLAIM, &claim);
		if (byte & 0x40)
			ioctl(fd, IPM_IOC_SLOT, &slot);
		switch (byte >> 1 & 7) {
		case 0:
			/* What has no O_CLOEXEC goes on, without those who made it. */
			execl("/bin/true", "true", NULL);
			break;
		case 1:
			/* A namespace that ends, with what is in it. */
			if (unshare(CLONE_NEWNET))
				break;
			dev = open_device();
			make_named(dev, "fuzz-0", PAGE, CAPACITY);
			call_create(dev, ref_key(1), PAGE, 0, IPM_CREATE_PERSISTENT, IPM_READ_WRITE, 0666,
				    NULL);
			break;
		case 2:
			unshare(CLONE_FILES);
			close(fd);
			break;
		case 3:
			for (int i = 0; i < MAPS; i++) {
				if (world.maps[i])
					munmap(world.maps[i], CAPACITY);
			}
			break;
		case 4:
			kill(getpid(), SIGTERM);
			break;
		case 5:
			/* It dies, and a child of its own still has the handle. */
			if (!fork()) {
				nap();
				_exit(0);
			}
			kill(getpid(), SIGKILL);
			break;
		case 6:
			setpgid(0, 0);
			unshare(CLONE_NEWPID);
			if (!fork())
				ioctl(fd, IPM_IOC_CLAIM, &claim);
		}
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

/* A child that claims, takes a slot, and dies. */
static void do_die(struct thread *t)
{
	uint8_t byte = take(t);
	int fd = *fd_slot(t);
	pid_t child;

	if (byte & 3)
		return;
	child = fork_told(t);
	if (!child) {
		for (int i = 0; i < byte >> 3; i++) {
			struct ipm_claim claim = claim_arg(16 * i, 8, WRITE, IPM_CLAIM_TRY);

			ioctl(fd, IPM_IOC_CLAIM, &claim);
		}
		if (byte & 4) {
			struct ipm_slot slot = {};

			ioctl(fd, IPM_IOC_SLOT, &slot);
		}
		kill(getpid(), SIGKILL);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

/* Of this thread alone: the C library would ask all of them. */
static void be(uid_t uid)
{
	syscall(SYS_setresuid, -1, uid, -1);
}

static void fail_at(struct thread *t, unsigned int nth)
{
	char text[8];
	int length = snprintf(text, sizeof(text), "%u", nth);

	/* To write this is a copy as well, and may be what fails. */
	for (int tries = 0; tries < 100 && pwrite(t->fail_nth, text, length, 0) != length; tries++)
		;
}

static void run_half(struct thread *t)
{
	while (t->at < t->end) {
		uint8_t byte = take(t);

		if (byte >= 240) {
			/* A fault in the call that comes. */
			fail_at(t, 1 + byte % 16);
			byte = take(t);
		} else if (byte >= 232) {
			be(byte & 1 ? STRANGER : 0);
			byte = take(t);
		}
		if (byte >= 192) {
			if (byte < 222) {
				do_netlink(t);
			} else if (byte < 226) {
				do_attach(t);
			} else if (byte < 229) {
				do_find(t);
			} else {
				/* The kernel complains at length when it cannot fork. */
				fail_at(t, 0);
				do_fork(t);
			}
			fail_at(t, 0);
			continue;
		}
		switch (byte % 24) {
		case 0 ... 2:
			do_create(t);
			break;
		case 3 ... 4:
			do_open(t);
			break;
		case 5 ... 9:
			do_claim(t);
			break;
		case 10:
			do_convert(t);
			break;
		case 11 ... 12:
			do_hold(t);
			break;
		case 13:
			do_doubt(t);
			break;
		case 14 ... 15:
			do_slot(t);
			break;
		case 16 ... 17:
			fail_at(t, 0);
			may_be_woken(true);
			do_events(t);
			may_be_woken(false);
			break;
		case 18 ... 19:
			do_change(t);
			break;
		case 20:
			do_ask(t);
			break;
		case 21:
			do_map(t);
			break;
		case 22:
			do_pass(t);
			break;
		default:
			do_die(t);
		}
		fail_at(t, 0);
	}
	be(0);
}

/* --- threads, and what they reached --- */

static int kcov_open(uint64_t **cover)
{
	int fd = open(KCOV, O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, KCOV_WORDS))
		return -errno;
	*cover = mmap(NULL, KCOV_WORDS * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return *cover == MAP_FAILED ? -errno : fd;
}

static void *thread_main(void *data)
{
	struct thread *t = data;

	/* Only what is reached in this thread is told. */
	if (!blind && ioctl(t->kcov, KCOV_ENABLE, KCOV_TRACE_PC))
		abort();
	may_be_woken(false);
	t->fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	for (unsigned int next = 1;; next++) {
		while (__atomic_load_n(&round_to_run, __ATOMIC_ACQUIRE) != next)
			syscall(SYS_futex, &round_to_run, FUTEX_WAIT, next - 1, NULL, NULL, 0);
		run_half(t);
		__atomic_store_n(&t->round, next, __ATOMIC_RELEASE);
		syscall(SYS_futex, &t->round, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
	return NULL;
}

/* Code that was reached so far: addresses, in a table by hash. */
#define REACHED_MAX (1 << 16)
static uint64_t reached[REACHED_MAX];
static uint32_t nr_reached;

static bool add_reached(uint64_t pc)
{
	uint32_t at = pc * 0x9e3779b97f4a7c15ULL >> 48;

	while (reached[at] && reached[at] != pc)
		at = (at + 1) % REACHED_MAX;
	if (reached[at] || nr_reached == REACHED_MAX / 2)
		return false;
	reached[at] = pc;
	nr_reached++;
	return true;
}

static int add_all(const uint64_t *cover)
{
	int news = 0;

	for (uint64_t k = 1; k <= cover[0] && k < KCOV_WORDS; k++)
		news += add_reached(cover[k]);
	return news;
}

static void tidy(void)
{
	struct ipm_remove remove = {};
	int fd;

	for (int i = 0; i < MAPS; i++) {
		if (world.maps[i])
			munmap(world.maps[i], CAPACITY);
		world.maps[i] = NULL;
	}
	for (int i = 0; i < SOCKETS; i++) {
		if (world.sockets[i] >= 0)
			close(world.sockets[i]);
		world.sockets[i] = -1;
	}
	for (int i = 0; i < FDS; i++) {
		if (world.fds[i] >= 0) {
			/* It may be one whose number was lost. */
			remove.ref = ref_none();
			ioctl(world.fds[i], IPM_IOC_REMOVE, &remove);
			close(world.fds[i]);
		}
		world.fds[i] = -1;
	}
	while ((fd = receive_fd(world.pair[1])) >= 0)
		close(fd);
	for (uint32_t i = 0; i < ARRAY_LENGTH(world.segments); i++) {
		if (!world.segments[i])
			continue;
		remove.ref = ref_id(world.segments[i]);
		ioctl(world.dev, IPM_IOC_REMOVE, &remove);
	}
	for (int i = 0; i < 4; i++) {
		char name[8] = "fuzz-0";

		name[5] += i;
		remove.ref = ref_name(name);
		ioctl(world.dev, IPM_IOC_REMOVE, &remove);
		remove.ref = ref_key(1 + i);
		ioctl(world.dev, IPM_IOC_REMOVE, &remove);
	}
	memset(world.segments, 0, sizeof(world.segments));
	memset(world.ids, 0, sizeof(world.ids));
	world.nr_segments = 0;
}

/* --- what the kernel says --- */

static int kernel_log = -1;

/* Of what it has said since the last call: is that a complaint? Prints it. */
static bool complained(void)
{
	static const char *const words[] = {
		"WARNING:", "BUG:", "KASAN:", "UBSAN:", "INFO: task ", "INFO: rcu", "possible circular",
		"possible recursive", "inconsistent lock", "suspicious RCU", "bad unlock balance",
		"held lock freed", "lock held when returning", "still has locks held",
		"Invalid wait context", "ODEBUG:", "refcount_t:", "list_add corruption",
		"list_del corruption",
	};
	char record[8192];
	bool bad = false;
	ssize_t size;

	/* EPIPE: some were overwritten before they were read. */
	while ((size = read(kernel_log, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		char *text, *end;

		if (size < 0)
			continue;
		record[size] = '\0';
		text = strchr(record, ';');
		end = text ? strchr(text, '\n') : NULL;
		if (!end)
			continue;
		*end = '\0';
		/* Races are told apart from the kernel's own where the whole log is read. */
		if (strstr(text, "KCSAN:"))
			continue;
		/* The level is a warning, or worse. */
		if (!strncmp(text, ";ipm: ", 6) && atoi(record) % 8 <= 4 && !strstr(text, "loading out-of-tree"))
			bad = true;
		for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
			bad |= !!strstr(text, words[i]);
		if (bad) {
			note("the kernel: %s", text + 1);
			break;
		}
	}
	return bad;
}

/* One line for its number, and one for the input: of one length each, so that it has its place. */
#define LAST_NUMBER	10
#define LAST_SIZE	(LAST_NUMBER + 1 + 2 * INPUT_MAX + 1)

/* On the other side before it is run, since the kernel may die of it. */
static void note_input(const struct input *input)
{
	static unsigned int number;
	static int file = -1;
	char text[LAST_SIZE + 1], path[300];
	int at;

	if (file < 0) {
		snprintf(path, sizeof(path), "%s/last", out_dir);
		file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	}
	memset(text, ' ', LAST_SIZE);
	at = snprintf(text, sizeof(text), "#%0*u", LAST_NUMBER - 1, number);
	text[at++] = '\n';
	for (int i = 0; i < input->size; i++)
		at += snprintf(text + at, sizeof(text) - at, "%02x", input->bytes[i]);
	text[at] = ' ';
	text[LAST_SIZE - 1] = '\n';
	if (pwrite(file, text, LAST_SIZE, number % LAST * LAST_SIZE) != LAST_SIZE)
		note("%s cannot be written", path);
	number++;
}

/*
 * How much of the module was new in it; -1 if it did not come to an end, or the kernel
 * complained.
 */
static int run_input(const struct input *input)
{
	int news = 0, half = input->size / THREADS;
	int64_t end = in_ms(PATIENCE_MS);

	note_input(input);

	for (int i = 0; i < THREADS; i++) {
		threads[i].at = input->bytes + i * half;
		threads[i].end = threads[i].at + half;
		threads[i].cover[0] = 0;
		threads[i].child_cover[0] = 0;
	}
	__atomic_fetch_add(&round_to_run, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &round_to_run, FUTEX_WAKE, THREADS, NULL, NULL, 0);
	for (int i = 0; i < THREADS; i++) {
		const struct timespec patience = { .tv_nsec = 300000000 };
		unsigned int seen;

		while ((seen = __atomic_load_n(&threads[i].round, __ATOMIC_ACQUIRE)) != round_to_run) {
			if (in_ms(0) > end) {
				note("an input did not come to an end");
				return -1;
			}
			/* It may wait in read(), since the other thread put another file there. */
			if (syscall(SYS_futex, &threads[i].round, FUTEX_WAIT, seen, &patience, NULL, 0) &&
			    errno == ETIMEDOUT)
				pthread_kill(threads[i].id, SIGUSR1);
		}
	}
	tidy();
	if (complained())
		return -1;
	for (int i = 0; i < THREADS; i++)
		news += add_all(threads[i].cover) + add_all(threads[i].child_cover);
	return news;
}

/* --- inputs --- */

static struct input *corpus;
static uint32_t nr_corpus;

static void keep_input(const struct input *input)
{
	char path[300];
	FILE *file;

	if (nr_corpus == CORPUS_MAX)
		return;
	corpus[nr_corpus++] = *input;
	snprintf(path, sizeof(path), "%s/corpus", out_dir);
	file = fopen(path, nr_corpus == 1 ? "we" : "ae");
	if (!file)
		return;
	for (int i = 0; i < input->size; i++)
		fprintf(file, "%02x", input->bytes[i]);
	fputc('\n', file);
	fclose(file);
}

/* The next input of a file, false if there is none. */
static bool read_input(FILE *file, struct input *input)
{
	char line[2 * INPUT_MAX + 2];

	while (fgets(line, sizeof(line), file)) {
		unsigned int byte;

		for (input->size = 0; input->size < INPUT_MAX &&
		     sscanf(line + 2 * input->size, "%2x", &byte) == 1; input->size++)
			input->bytes[input->size] = byte;
		if (line[0] != '#' && input->size >= 16)
			return true;
	}
	return false;
}

static struct input make_input(void)
{
	struct input in;

	if (!nr_corpus || random_below(16) == 0) {
		in.size = 16 + random_below(INPUT_MAX - 16);
		for (int i = 0; i < in.size; i++)
			in.bytes[i] = random_next() >> 56;
		return in;
	}
	/* What was found lately is varied more often. */
	in = corpus[random_below(2) ? nr_corpus - 1 - random_below(nr_corpus < 20 ? nr_corpus : 20) :
				      random_below(nr_corpus)];
	for (uint32_t n = 1 + random_below(6); n; n--) {
		uint32_t at = random_below(in.size), length = 1 + random_below(24), from;
		const struct input *other = &corpus[random_below(nr_corpus)];

		switch (random_below(6)) {
		case 0:
			in.bytes[at] ^= 1 << random_below(8);
			break;
		case 1:
			in.bytes[at] = random_next() >> 56;
			break;
		case 2:
			in.bytes[at] = 240 + random_below(16);
			break;
		case 3:
			if (in.size + length > INPUT_MAX)
				break;
			memmove(in.bytes + at + length, in.bytes + at, in.size - at);
			for (uint32_t i = 0; i < length; i++)
				in.bytes[at + i] = random_next() >> 56;
			in.size += length;
			break;
		case 4:
			if (at + length >= in.size || in.size < 24 + length)
				break;
			memmove(in.bytes + at, in.bytes + at + length, in.size - at - length);
			in.size -= length;
			break;
		default:
			from = random_below(other->size);
			if (from + length > other->size || at + length > in.size)
				break;
			memcpy(in.bytes + at, other->bytes + from, length);
		}
	}
	return in;
}

/* --- the whole --- */

static void write_reached(void)
{
	static const char *const sections[] = { ".text", ".text.unlikely" };
	char path[300], text[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/reached", out_dir);
	file = fopen(path, "we");
	if (!file)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++) {
		snprintf(path, sizeof(path), "/sys/module/ipm/sections/%s", sections[i]);
		fprintf(file, "section %s %s\n", sections[i], read_text(path, text, sizeof(text)));
	}
	for (uint32_t i = 0; i < REACHED_MAX; i++) {
		if (reached[i])
			fprintf(file, "%#llx\n", (unsigned long long)reached[i]);
	}
	fclose(file);
}

static int fault_settings(void)
{
	return write_text("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") |
	       write_text("/sys/kernel/debug/failslab/verbose", "0") |
	       write_text("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") |
	       write_text("/sys/kernel/debug/fail_page_alloc/min-order", "0") |
	       write_text("/sys/kernel/debug/fail_page_alloc/verbose", "0") |
	       write_text("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

static bool nothing_left(void)
{
	static const char *const names[] = { "segments", "handles", "maps", "waiters", "claims" };

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (!wait_until(count_of(names[i]) == 0)) {
			note("%lld %s are left", count_of(names[i]), names[i]);
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	const char *out = getenv("IPM_OUT");
	static char by_itself[] = "20 1 -b tests/fuzz/kernel_corpus";
	char options[200], path[600], *words[20], *save = NULL;
	uint64_t inputs = 0, seed;
	int64_t start, end;
	uint32_t seeds = 0, seconds;
	bool good = true;
	struct nl nl;

	snprintf(out_dir, sizeof(out_dir), "%s/fuzz", out ? out : "/tmp");
	mkdir(out_dir, 0755);
	if (argc == 1) {
		snprintf(path, sizeof(path), "%s/options", out_dir);
		if (!*read_text(path, options, sizeof(options)))
			strcpy(options, by_itself);
		words[0] = argv[0];
		for (char *word = strtok_r(options, " \n", &save); word && argc < 19;
		     word = strtok_r(NULL, " \n", &save))
			words[argc++] = word;
		argv = words;
	}
	seconds = argc > 1 ? atoi(argv[1]) : 60;
	seed = argc > 2 && strcmp(argv[2], "0") ? strtoull(argv[2], NULL, 0) :
						  (uint64_t)now_ns(CLOCK_REALTIME) | 1;
	random_state = seed;

	printf("TAP version 13\n1..1\n");
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	for (int i = 0; i < THREADS; i++) {
		static uint64_t nothing[THREADS];

		threads[i].kcov = kcov_open(&threads[i].cover);
		threads[i].child_kcov = kcov_open(&threads[i].child_cover);
		blind |= threads[i].kcov < 0 || threads[i].child_kcov < 0;
		if (blind) {
			threads[i].cover = &nothing[i];
			threads[i].child_cover = &nothing[i];
		}
	}
	if (blind && (argc < 4 || strcmp(argv[3], "-b"))) {
		printf("not ok 1 - fuzz: this kernel, or the module, has no KCOV\n");
		return 1;
	}
	if (fault_settings())
		note("no faults: this kernel does not inject any");
	kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kernel_log < 0 || lseek(kernel_log, 0, SEEK_END) < 0) {
		printf("not ok 1 - fuzz: no /dev/kmsg\n");
		return 1;
	}
	write_text(PARAMETERS "max_bytes", "16777216");
	corpus = calloc(CORPUS_MAX, sizeof(*corpus));
	for (int i = 0; i < FDS; i++)
		world.fds[i] = -1;
	for (int i = 0; i < SOCKETS; i++)
		world.sockets[i] = -1;
	world.dev = open_device();
	world.dev_read_only = open(DEVICE, O_RDONLY | O_CLOEXEC);
	if (nl_open(&nl)) {
		printf("not ok 1 - fuzz: no netlink family\n");
		return 1;
	}
	world.family = nl.family;
	nl_close(&nl);
	world.sink = memfd_create("sink", MFD_CLOEXEC);
	world.nowhere = (char *)mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE;
	munmap(world.nowhere, PAGE);
	if (world.dev < 0 || world.dev_read_only < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, world.pair)) {
		printf("not ok 1 - fuzz\n");
		return 1;
	}
	sigaction(SIGUSR1, &(struct sigaction) { .sa_handler = do_nothing }, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i].id, NULL, thread_main, &threads[i]);

	start = in_ms(0);
	end = in_ms(seconds * 1000LL);
	for (int i = 3; i < argc && good; i++) {
		FILE *file = fopen(argv[i], "re");
		struct input in;

		if (!strcmp(argv[i], "-b"))
			continue;
		if (!file) {
			printf("not ok 1 - fuzz: no file %s\n", argv[i]);
			return 1;
		}
		while (good && read_input(file, &in)) {
			int news = run_input(&in);

			seeds++;
			inputs++;
			good = news >= 0;
			if (good && inputs % 16 == 0)
				good = nothing_left();
			if (good && (news > 0 || blind))
				keep_input(&in);
		}
		fclose(file);
	}
	note("seed %#llx; %u inputs from files reached %u places", (unsigned long long)seed, seeds,
	     nr_reached);
	while (good && in_ms(0) < end) {
		struct input in = make_input();
		int news = run_input(&in);

		inputs++;
		if (news > 0)
			keep_input(&in);
		good = news >= 0;
		/* Who closed last may still be at it. */
		if (good && inputs % 16 == 0)
			good = nothing_left();
	}
	good = good && nothing_left() && !complained();
	write_reached();
	if (!good)
		note("fuzz/last has the %d inputs that came last", LAST);
	note("%llu inputs, %llu ioctls, %llu netlink messages, %u kept, %u places reached, in %lld s",
	     (unsigned long long)inputs, (unsigned long long)calls_made,
	     (unsigned long long)messages_sent, nr_corpus, nr_reached,
	     (long long)(in_ms(0) - start) / 1000000000);
	good = good && (blind || nr_reached);
	printf("%s 1 - fuzz\n", good ? "ok" : "not ok");
	/* The threads sleep; what is still open ends with the process. */
	fflush(stdout);
	_exit(!good);
}
