// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel of fake_kernel.h. One lock protects everything; whoever waits does
 * so on one condition, and looks again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/sys.h"
#include "fake_kernel.h"

#define FD_BASE 100
#define FD_COUNT 256
#define MAX_SEGMENTS 64
#define MAX_MAPS 256
#define MAX_CLAIMS 1024
#define MAX_DOUBTS 8
#define MAX_MESSAGES 8

struct segment {
	bool used;
	struct ipm_info info;
	unsigned int users;
	unsigned int maps;
	int pages_fd, status_fd;
	struct ipm_status *status;
	uint32_t *slots;
	struct ipm_doubt_range doubts[MAX_DOUBTS];
	unsigned int nr_doubts;
	uint64_t next_claim;
	uint64_t cleared;
};

/* An open file: the device if it has no segment. */
struct file {
	unsigned int refs;
	struct segment *segment;
	uint32_t access;
	int flags;
	uint32_t slot;			/* plus 1; 0 for none */
	uint64_t bits, rung;
	uint32_t hears, heard;
};

struct map {
	char *address;
	size_t length;
	struct segment *segment;	/* NULL for a status page */
	uint64_t offset;
};

struct claim {
	struct file *file;
	uint64_t id;
	struct ipm_range ranges[4];
	unsigned int nr_ranges;
	bool held, event, until_removed;
	uint32_t error, result;
	uint64_t cookie;
};

struct message {
	char bytes[8];
	size_t size;
	struct file *files[4];
	int nr_files;
	int flags;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct segment segments[MAX_SEGMENTS];
/* Not from the allocator: that is the library's, and fails where a test wants it. */
static struct file pool[2 * FD_COUNT];
static struct file *files[FD_COUNT];
static bool cloexec[FD_COUNT];
static struct map maps[MAX_MAPS];
static struct claim claims[MAX_CLAIMS];
static struct message messages[MAX_MESSAGES];
static unsigned int nr_messages;
static uint32_t next_id = 1;
static size_t map_limit;
static unsigned int calls;

static enum fake_call fail_call;
static unsigned long fail_command;
static int fail_nth, fail_errno;
static unsigned int interrupt_nth, partial_nth;
static bool interrupted;

bool (*fake_hook)(int fd, unsigned long command, void *argument, int *ret);
bool (*fake_before)(enum fake_call call, long *ret);
void (*fake_after)(enum fake_call call, void *given, size_t size, long *ret);

static void setup(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
}

static bool can_be_interrupted(enum fake_call call, unsigned long command)
{
	/* Not those that cannot fail and have numbers of ours. */
	if (!call)
		return _IOC_TYPE(command) && command != IPM_IOC_RELEASE &&
		       command != IPM_IOC_RELEASE_ALL && command != IPM_IOC_REOPEN;
	return call == FAKE_OPEN || call == FAKE_READ || call == FAKE_WAIT ||
	       call == FAKE_SENDMSG || call == FAKE_RECVMSG;
}

/* Every call begins here: the errno that the test wants, or 0. */
static int enter(enum fake_call call, unsigned long command)
{
	pthread_once(&once, setup);
	pthread_mutex_lock(&lock);
	calls++;
	if (interrupt_nth && can_be_interrupted(call, command) && !--interrupt_nth) {
		interrupted = true;
		pthread_mutex_unlock(&lock);
		return EINTR;
	}
	if (fail_errno && call == fail_call && command == fail_command && --fail_nth == 0) {
		int err = fail_errno;

		fail_errno = 0;
		pthread_mutex_unlock(&lock);
		return err;
	}
	return 0;
}

static int leave(int ret)
{
	pthread_mutex_unlock(&lock);
	return ret;
}

/*
 * The same for those that can do only a part, and that the test may want to do itself:
 * true if the call is at its end, and then *ret is what it returns.
 */
static bool begin(enum fake_call call, long *ret)
{
	*ret = -enter(call, 0);
	if (*ret)
		return true;
	if (fake_before && fake_before(call, ret)) {
		leave(0);
		return true;
	}
	*ret = 0;
	return false;
}

static long end(enum fake_call call, void *given, size_t size, long ret)
{
	if (fake_after)
		fake_after(call, given, size, &ret);
	leave(0);
	return ret;
}

static bool partial(void)
{
	return partial_nth && !--partial_nth;
}

/* Until something changes or @deadline, CLOCK_MONOTONIC or 0, has passed. */
static bool wait_changed(int64_t deadline)
{
	struct timespec until = {
		.tv_sec = deadline / 1000000000,
		.tv_nsec = deadline % 1000000000,
	};

	if (!deadline)
		return !pthread_cond_wait(&changed, &lock);
	return !pthread_cond_timedwait(&changed, &lock, &until);
}

static struct file *file_of(int fd)
{
	return fd >= FD_BASE && fd < FD_BASE + FD_COUNT ? files[fd - FD_BASE] : NULL;
}

static int fd_new(struct file *file, bool close_on_exec)
{
	int i;

	for (i = 0; i < FD_COUNT; i++) {
		if (!files[i]) {
			files[i] = file;
			cloexec[i] = close_on_exec;
			return FD_BASE + i;
		}
	}
	return -EMFILE;
}

static int file_new(struct segment *segment, uint32_t access, bool close_on_exec)
{
	struct file *file = pool;

	while (file->refs)
		file++;
	file->refs = 1;
	file->segment = segment;
	file->access = access;
	file->flags = access == IPM_READ_WRITE ? O_RDWR : O_RDONLY;
	if (segment) {
		segment->users++;
		segment->info.handles++;
		segment->status->handles++;
	}
	return fd_new(file, close_on_exec);
}

/* --- segments --- */

static struct segment *find(const struct ipm_ref *ref)
{
	struct segment *s;

	for (s = segments; s < segments + MAX_SEGMENTS; s++) {
		if (!s->used)
			continue;
		if (ref->by == IPM_BY_ID && s->info.ref.id == ref->id)
			return s;
		if (s->info.state & IPM_STATE_REMOVED || s->info.ref.by != ref->by)
			continue;
		if (ref->by == IPM_BY_NAME && !strcmp(s->info.ref.name, ref->name))
			return s;
		if (ref->by == IPM_BY_KEY && s->info.ref.key == ref->key)
			return s;
	}
	return NULL;
}

static void show(struct segment *s)
{
	/* The library reads these words in other threads. */
	__atomic_store_n(&s->status->sequence, s->status->sequence + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->status->size, s->info.size, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->status->state, s->info.state, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->status->changes, s->status->changes + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->status->sequence, s->status->sequence + 1, __ATOMIC_SEQ_CST);
}

static size_t pages(uint64_t size)
{
	return (size + 4095) / 4096 * 4096;
}

static struct segment *segment_new(const struct ipm_create *create)
{
	struct segment *s;
	struct timespec now;

	for (s = segments; s->used; s++) {
		if (s == segments + MAX_SEGMENTS - 1)
			return NULL;
	}
	memset(s, 0, sizeof(*s));
	s->used = true;
	clock_gettime(CLOCK_REALTIME, &now);
	s->info.ref = create->ref;
	s->info.ref.id = next_id++;
	s->info.size = create->size;
	s->info.capacity = create->capacity ? create->capacity : create->size;
	s->info.mode = create->mode;
	s->info.create_time = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	s->info.creator_pid = getpid();
	if (create->flags & IPM_CREATE_PERSISTENT)
		s->info.state |= IPM_STATE_PERSISTENT;
	s->next_claim = 1;
	s->pages_fd = memfd_create("pages", 0);
	s->status_fd = memfd_create("status", 0);
	if (ftruncate(s->pages_fd, pages(create->size)) || ftruncate(s->status_fd, IPM_STATUS_SLOTS_SIZE))
		abort();
	s->status = mmap(NULL, IPM_STATUS_SLOTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 s->status_fd, 0);
	if (s->status == MAP_FAILED)
		abort();
	s->slots = (uint32_t *)((char *)s->status + IPM_STATUS_SLOTS);
	s->status->abi = IPM_ABI_VERSION;
	s->status->capacity = s->info.capacity;
	s->status->id = s->info.ref.id;
	show(s);
	return s;
}

static void segment_check(struct segment *s)
{
	if (s->users || (s->info.state & IPM_STATE_PERSISTENT &&
			 !(s->info.state & IPM_STATE_REMOVED)))
		return;
	close(s->pages_fd);
	close(s->status_fd);
	munmap(s->status, IPM_STATUS_SLOTS_SIZE);
	s->used = false;
}

/* --- claims --- */

static bool overlap(const struct ipm_range *a, uint64_t offset, uint64_t length)
{
	return a->offset < offset + length && offset < a->offset + a->length;
}

static bool conflict(const struct claim *a, const struct claim *b)
{
	unsigned int i, j;

	if (!b->held || a->file == b->file || a->file->segment != b->file->segment)
		return false;
	for (i = 0; i < a->nr_ranges; i++) {
		for (j = 0; j < b->nr_ranges; j++) {
			if (overlap(&a->ranges[i], b->ranges[j].offset, b->ranges[j].length) &&
			    (a->ranges[i].mode || b->ranges[j].mode))
				return true;
		}
	}
	return false;
}

static bool blocked(const struct claim *claim)
{
	struct claim *c;

	for (c = claims; c < claims + MAX_CLAIMS; c++) {
		if (c->file && c != claim && conflict(claim, c))
			return true;
	}
	return false;
}

static struct claim *claim_find(struct file *file, uint64_t id)
{
	struct claim *c;

	for (c = claims; c < claims + MAX_CLAIMS; c++) {
		if (c->file == file && c->id == id)
			return c;
	}
	return NULL;
}

static int lost(struct segment *s, uint64_t id)
{
	return id && id < s->cleared ? -EIDRM : -ENOENT;
}

static void count_claims(struct segment *s)
{
	uint32_t held = 0, waiting = 0;
	struct claim *c;

	for (c = claims; c < claims + MAX_CLAIMS; c++) {
		if (!c->file || c->file->segment != s)
			continue;
		held += c->held;
		waiting += !c->held && !c->error;
	}
	s->info.claims = held;
	s->info.waiters = waiting;
	__atomic_store_n(&s->status->claims, held, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->status->waiters, waiting, __ATOMIC_SEQ_CST);
}

static void grant(struct claim *c)
{
	struct segment *s = c->file->segment;
	unsigned int i, j;

	c->held = true;
	for (i = 0; i < c->nr_ranges; i++) {
		for (j = 0; j < s->nr_doubts; j++) {
			if (overlap(&c->ranges[i], s->doubts[j].offset, s->doubts[j].length))
				c->result |= IPM_GRANT_IN_DOUBT;
		}
	}
}

/* After something ended: asynchronous claims that can run now. */
static void go_on(struct segment *s)
{
	struct claim *c;

	for (c = claims; c < claims + MAX_CLAIMS; c++) {
		if (c->file && c->file->segment == s && !c->held && !c->error && !blocked(c)) {
			grant(c);
			c->result = (c->result & ~IPM_GRANT_PENDING) | IPM_GRANT_WAITED;
			c->event = true;
		}
	}
	count_claims(s);
	pthread_cond_broadcast(&changed);
}

static unsigned int end_claims(struct segment *s, struct file *file, bool held_only)
{
	unsigned int count = 0;
	struct claim *c;

	for (c = claims; c < claims + MAX_CLAIMS; c++) {
		if (!c->file || c->file->segment != s || (file && c->file != file) ||
		    (held_only && !c->held))
			continue;
		memset(c, 0, sizeof(*c));
		count++;
	}
	go_on(s);
	return count;
}

static int ioctl_claim(struct file *file, struct ipm_claim *req)
{
	struct segment *s = file->segment;
	struct claim new = { .file = file, .nr_ranges = 1 };
	const uint64_t *release = (const uint64_t *)(uintptr_t)req->release;
	const struct ipm_range *ranges = (const struct ipm_range *)(uintptr_t)req->ranges;
	struct claim *c;
	unsigned int i;

	if (req->nr_ranges > 4 || req->deadline < 0)
		return -EINVAL;
	new.ranges[0] = (struct ipm_range){ req->offset, req->length, req->mode, 0 };
	if (req->nr_ranges) {
		memcpy(new.ranges, ranges, req->nr_ranges * sizeof(*ranges));
		new.nr_ranges = req->nr_ranges;
	}
	for (i = 0; i < new.nr_ranges; i++) {
		if (!new.ranges[i].length)
			return -EINVAL;
		if (new.ranges[i].offset + new.ranges[i].length < new.ranges[i].offset)
			return -EOVERFLOW;
		if (new.ranges[i].offset + new.ranges[i].length > s->info.capacity)
			return -EFBIG;
		if (new.ranges[i].mode && file->access == IPM_READ_ONLY)
			return -EBADF;
	}
	for (i = 0; i < req->nr_release; i++) {
		if (!claim_find(file, release[i]))
			return lost(s, release[i]);
	}
	if (blocked(&new)) {
		if (req->flags & IPM_CLAIM_TRY)
			return -EAGAIN;
		if (req->deadline && req->deadline <= ipm_sys_now())
			return -ETIMEDOUT;
	}
	for (i = 0; i < req->nr_release; i++)
		memset(claim_find(file, release[i]), 0, sizeof(new));
	if (req->nr_release)
		go_on(s);
	while (blocked(&new)) {
		if (req->flags & IPM_CLAIM_ASYNC) {
			new.result = IPM_GRANT_PENDING;
			break;
		}
		if (req->flags & IPM_CLAIM_UNTIL_REMOVED && s->info.state & IPM_STATE_REMOVED)
			return -EIDRM;
		if (!wait_changed(req->deadline))
			return -ETIMEDOUT;
		new.result = IPM_GRANT_WAITED;
	}
	for (c = claims; c->file; c++) {
		if (c == claims + MAX_CLAIMS - 1)
			return -ENOSPC;
	}
	new.id = s->next_claim++;
	new.cookie = req->cookie;
	new.until_removed = req->flags & IPM_CLAIM_UNTIL_REMOVED;
	*c = new;
	if (!(c->result & IPM_GRANT_PENDING))
		grant(c);
	count_claims(s);
	req->id = c->id;
	req->result = c->result;
	return 0;
}

static int ioctl_convert(struct file *file, struct ipm_convert *req)
{
	struct claim *c = claim_find(file, req->id);
	struct ipm_range before[4];
	unsigned int i;

	if (!c)
		return lost(file->segment, req->id);
	if (req->mode && file->access == IPM_READ_ONLY)
		return -EBADF;
	memcpy(before, c->ranges, sizeof(before));
	for (i = 0; i < c->nr_ranges; i++)
		c->ranges[i].mode = req->mode;
	if (blocked(c)) {
		memcpy(c->ranges, before, sizeof(before));
		return req->flags & IPM_CLAIM_TRY ? -EAGAIN : -EDEADLK;
	}
	grant(c);
	req->result = c->result;
	go_on(file->segment);
	return 0;
}

static int ioctl_release(struct file *file, const struct ipm_release *req)
{
	struct claim *c = claim_find(file, req->id);

	if (!c)
		return lost(file->segment, req->id);
	memset(c, 0, sizeof(*c));
	go_on(file->segment);
	return 0;
}

static int ioctl_collect(struct file *file, struct ipm_collect *req)
{
	struct claim *c = claim_find(file, req->id);
	int err;

	if (!c)
		return lost(file->segment, req->id);
	if (c->error) {
		err = c->error;
		memset(c, 0, sizeof(*c));
		return -err;
	}
	if (!c->held)
		return -EAGAIN;
	c->event = false;
	req->result = c->result;
	return 0;
}

static int ioctl_doubt(struct file *file, struct ipm_doubt *req)
{
	struct segment *s = file->segment;
	struct ipm_doubt_range *to = (struct ipm_doubt_range *)(uintptr_t)req->ranges;
	uint32_t room = req->nr_ranges;
	unsigned int i;

	if (room > IPM_DOUBT_MAX)
		return -EINVAL;
	req->total = req->nr_ranges = 0;
	for (i = 0; i < s->nr_doubts; i++) {
		if (req->length && (s->doubts[i].offset >= req->offset + req->length ||
				    s->doubts[i].offset + s->doubts[i].length <= req->offset))
			continue;
		if (req->nr_ranges < room)
			to[req->nr_ranges++] = s->doubts[i];
		req->total++;
	}
	return 0;
}

/* Whole entries only: enough for what the library does. */
static int ioctl_recovered(struct file *file, const struct ipm_recovered *req)
{
	struct segment *s = file->segment;
	bool covered = false;
	unsigned int i;

	if (file->access == IPM_READ_ONLY)
		return -EBADF;
	for (i = 0; i < MAX_CLAIMS; i++) {
		const struct ipm_range *r = &claims[i].ranges[0];

		if (claims[i].file == file && claims[i].held && r->mode &&
		    r->offset <= req->offset &&
		    r->offset + r->length >= req->offset + req->length)
			covered = true;
	}
	if (!covered)
		return -EACCES;
	for (i = 0; i < s->nr_doubts;) {
		struct ipm_doubt_range *d = &s->doubts[i];

		if (d->offset >= req->offset &&
		    d->offset + d->length <= req->offset + req->length)
			*d = s->doubts[--s->nr_doubts];
		else
			i++;
	}
	return 0;
}

/* --- slots and doorbells --- */

/* Tells the others of @file's segment what was rung, or everybody what happened. */
static int tell(struct segment *s, struct file *from, const uint32_t *slot, uint64_t bits,
		uint32_t events)
{
	bool found = false;
	struct file *f;
	int i;

	for (i = 0; i < FD_COUNT; i++) {
		f = files[i];
		if (!f || f->segment != s || f == from || (slot && f->slot != *slot + 1))
			continue;
		found |= f->bits || f->hears;
		f->rung |= f->bits & bits;
		f->heard |= f->hears & events;
	}
	pthread_cond_broadcast(&changed);
	return slot && !found ? -ENOENT : 0;
}

static void slot_end(struct file *file, uint32_t state)
{
	uint32_t *word = &file->segment->slots[file->slot - 1];

	file->slot = 0;
	__atomic_store_n(word, (*word & ~3U) | state, __ATOMIC_SEQ_CST);
	if (state != IPM_SLOT_DEAD)
		return;
	__atomic_fetch_add(&file->segment->status->deaths, 1, __ATOMIC_SEQ_CST);
	tell(file->segment, NULL, NULL, 0, IPM_HEAR_DEATH);
}

static int ioctl_slot(struct file *file, struct ipm_slot *req)
{
	uint32_t *word = file->segment->slots;

	if (file->access == IPM_READ_ONLY)
		return -EBADF;
	if (req->flags & IPM_SLOT_GIVE) {
		if (!file->slot)
			return -ENOENT;
		slot_end(file, IPM_SLOT_FREE);
		return 0;
	}
	if (!file->slot) {
		while (IPM_SLOT_STATE(*word) != IPM_SLOT_FREE)
			word++;
		__atomic_store_n(word, (*word & ~3U) + 4 + IPM_SLOT_ALIVE, __ATOMIC_SEQ_CST);
		file->slot = (uint32_t)(word - file->segment->slots) + 1;
	}
	req->slot = file->slot - 1;
	req->generation = IPM_SLOT_GENERATION(file->segment->slots[req->slot]);
	return 0;
}

static int ioctl_reap(struct file *file, const struct ipm_reap *req)
{
	uint32_t *word = &file->segment->slots[req->slot];

	if (req->slot >= IPM_SLOTS_MAX)
		return -EINVAL;
	if (file->access == IPM_READ_ONLY)
		return -EBADF;
	if (IPM_SLOT_GENERATION(*word) != req->generation ||
	    IPM_SLOT_STATE(*word) == IPM_SLOT_FREE)
		return -ENOENT;
	if (IPM_SLOT_STATE(*word) == IPM_SLOT_ALIVE)
		return -EBUSY;
	__atomic_store_n(word, *word & ~3U, __ATOMIC_SEQ_CST);
	return 0;
}

static int ioctl_ring(struct file *file, const struct ipm_bell *req)
{
	if (file->access == IPM_READ_ONLY)
		return -EBADF;
	return tell(file->segment, file, req->flags & IPM_BELL_SLOT ? &req->slot : NULL, req->bits,
		    0);
}

/* What a file has heard of, into @event: whether there was anything. */
static bool hear(struct file *file, struct ipm_event *event)
{
	uint32_t type;

	*event = (struct ipm_event){ 0 };
	if (file->rung) {
		event->type = IPM_EVENT_BELL;
		event->cookie = file->rung;
		file->rung = 0;
		return true;
	}
	for (type = IPM_EVENT_DEATH; type <= IPM_EVENT_REMOVED; type++) {
		if (file->heard & 1U << type) {
			event->type = type;
			file->heard &= ~(1U << type);
			return true;
		}
	}
	return false;
}

static void remove_segment(struct segment *s)
{
	struct claim *c;

	s->info.state |= IPM_STATE_REMOVED;
	show(s);
	tell(s, NULL, NULL, 0, IPM_HEAR_REMOVED);
	for (c = claims; c < claims + MAX_CLAIMS; c++) {
		if (c->file && c->file->segment == s && !c->held && c->until_removed) {
			c->error = EIDRM;
			c->event = true;
		}
	}
	pthread_cond_broadcast(&changed);
	segment_check(s);
}

static int ioctl_remove(struct file *file, const struct ipm_remove *req)
{
	struct segment *s = req->ref.by ? find(&req->ref) : file->segment;

	if (!req->ref.by && !s)
		return -EINVAL;
	if (!s)
		return -ENOENT;
	if (s->info.state & IPM_STATE_REMOVED)
		return -EIDRM;
	remove_segment(s);
	return 0;
}

/* Removed ones, too. */
static struct segment *find_next(uint32_t id)
{
	struct segment *s, *best = NULL;

	for (s = segments; s < segments + MAX_SEGMENTS; s++) {
		if (s->used && s->info.ref.id >= id &&
		    (!best || s->info.ref.id < best->info.ref.id))
			best = s;
	}
	return best;
}

static int ioctl_mapping(struct ipm_mapping *req)
{
	struct map *m, *best = NULL;

	for (m = maps; m < maps + MAX_MAPS; m++) {
		if (m->segment && (uintptr_t)m->address + pages(m->length) > req->address &&
		    (!best || m->address < best->address))
			best = m;
	}
	if (!best)
		return -ENOENT;
	req->address = (uintptr_t)best->address;
	req->length = pages(best->length);
	req->offset = best->offset;
	req->size = best->segment->info.size;
	req->id = best->segment->info.ref.id;
	return 0;
}

static int ioctl_info(struct file *file, struct ipm_info *req)
{
	struct segment *s = file->segment;

	if (!s) {
		if (!req->ref.by)
			return -EINVAL;
		s = req->flags & IPM_INFO_NEXT ? find_next(req->ref.id) : find(&req->ref);
		if (!s)
			return -ENOENT;
		if (s->info.state & IPM_STATE_REMOVED && !(req->flags & IPM_INFO_REMOVED))
			return -EIDRM;
	}
	*req = s->info;
	req->doubts = s->nr_doubts;
	req->maps = s->maps;
	return 0;
}

static int ioctl_create(struct ipm_create *req)
{
	struct segment *s = req->ref.by ? find(&req->ref) : NULL;

	if (s) {
		if (req->flags & IPM_CREATE_EXCLUSIVE)
			return -EEXIST;
		if (s->info.size < req->size)
			return -EINVAL;
	} else {
		if (req->size > IPM_CAPACITY_MAX || req->capacity > IPM_CAPACITY_MAX)
			return -EFBIG;
		s = segment_new(req);
		if (!s)
			return -ENOSPC;
		req->created = 1;
	}
	req->id = s->info.ref.id;
	req->size = s->info.size;
	req->capacity = s->info.capacity;
	return file_new(s, req->access, !(req->flags & IPM_CREATE_NO_CLOEXEC));
}

static int ioctl_open(struct file *file, struct ipm_open *req)
{
	struct segment *s = file->segment;

	if (!s) {
		s = find(&req->ref);
		if (!s)
			return -ENOENT;
		if (s->info.state & IPM_STATE_REMOVED && !(req->flags & IPM_OPEN_REMOVED))
			return -EIDRM;
	} else if (req->access > file->access) {
		return -EACCES;
	}
	req->id = s->info.ref.id;
	req->size = s->info.size;
	req->capacity = s->info.capacity;
	return file_new(s, req->access, !(req->flags & IPM_OPEN_NO_CLOEXEC));
}

static int ioctl_link(struct file *file, const struct ipm_link *req)
{
	struct ipm_info *info = &file->segment->info;
	uint32_t id = info->ref.id;

	if (info->ref.by || find(&req->ref))
		return -EEXIST;
	info->ref = req->ref;
	info->ref.id = id;
	show(file->segment);
	return 0;
}

static int ioctl_set(struct file *file, const struct ipm_set *req)
{
	struct ipm_ref ref = { .by = IPM_BY_ID, .id = req->id };
	struct segment *s = file->segment ? file->segment : find(&ref);
	struct ipm_info *info;

	if (!s)
		return -ENOENT;
	info = &s->info;

	if (!req->what || req->what > 15 || req->mode & ~0666)
		return -EINVAL;
	if (req->what & IPM_SET_MODE)
		info->mode = req->mode;
	if (req->what & IPM_SET_UID)
		info->uid = req->uid;
	if (req->what & IPM_SET_GID)
		info->gid = req->gid;
	if (req->what & IPM_SET_LIFETIME && req->persistent)
		info->state |= IPM_STATE_PERSISTENT;
	else if (req->what & IPM_SET_LIFETIME)
		info->state &= ~IPM_STATE_PERSISTENT;
	show(s);
	return 0;
}

static int grow(struct segment *s, uint64_t size)
{
	if (size < s->info.size)
		return -EINVAL;
	if (size > s->info.capacity)
		return -EFBIG;
	if (ftruncate(s->pages_fd, pages(size)))
		return -ENOMEM;
	s->info.size = size;
	show(s);
	tell(s, NULL, NULL, 0, IPM_HEAR_CHANGED);
	return 0;
}

static int ioctl_device(struct file *file, unsigned long command, void *argument)
{
	switch (command) {
	case IPM_IOC_VERSION:
		memset(argument, 0, sizeof(struct ipm_version));
		((struct ipm_version *)argument)->abi = IPM_ABI_VERSION;
		((struct ipm_version *)argument)->name_size = IPM_NAME_SIZE;
		((struct ipm_version *)argument)->features = IPM_FEATURE_SYSV;
		/* Not terminated: the library has to do that. */
		memset(((struct ipm_version *)argument)->release, 'r', 32);
		return 0;
	case IPM_IOC_LIMITS:
		memset(argument, 0, sizeof(struct ipm_limits));
		((struct ipm_limits *)argument)->segments_max = MAX_SEGMENTS;
		return 0;
	case IPM_IOC_CREATE:
		return ioctl_create(argument);
	case IPM_IOC_OPEN:
		return ioctl_open(file, argument);
	case IPM_IOC_REMOVE:
		return ioctl_remove(file, argument);
	case IPM_IOC_INFO:
		return ioctl_info(file, argument);
	case IPM_IOC_SET:
		return ioctl_set(file, argument);
	case IPM_IOC_MAPPING:
		return ioctl_mapping(argument);
	default:
		return -ENOTTY;
	}
}

static int ioctl_handle(struct file *file, unsigned long command, void *argument)
{
	struct segment *s = file->segment;
	struct ipm_release_all *all = argument;

	switch (command) {
	case IPM_IOC_REOPEN:
		return ioctl_open(file, argument);
	case IPM_IOC_REMOVE:
		return ioctl_remove(file, argument);
	case IPM_IOC_INFO:
		return ioctl_info(file, argument);
	case IPM_IOC_LINK:
		return ioctl_link(file, argument);
	case IPM_IOC_SET:
		return ioctl_set(file, argument);
	case IPM_IOC_GROW:
		if (file->access == IPM_READ_ONLY)
			return -EBADF;
		return grow(s, ((struct ipm_grow *)argument)->size);
	case IPM_IOC_CLAIM:
		return ioctl_claim(file, argument);
	case IPM_IOC_CONVERT:
		return ioctl_convert(file, argument);
	case IPM_IOC_RELEASE:
		return ioctl_release(file, argument);
	case IPM_IOC_RELEASE_ALL:
		all->released = end_claims(s, file, false);
		return 0;
	case IPM_IOC_CLEAR_CLAIMS:
		s->cleared = s->next_claim;
		all->released = end_claims(s, NULL, true);
		return 0;
	case IPM_IOC_COLLECT:
		return ioctl_collect(file, argument);
	case IPM_IOC_DOUBT:
		return ioctl_doubt(file, argument);
	case IPM_IOC_RECOVERED:
		return ioctl_recovered(file, argument);
	case IPM_IOC_SLOT:
		return ioctl_slot(file, argument);
	case IPM_IOC_REAP:
		return ioctl_reap(file, argument);
	case IPM_IOC_RING:
		return ioctl_ring(file, argument);
	case IPM_IOC_SUBSCRIBE:
		file->bits = ((struct ipm_subscribe *)argument)->bits;
		file->hears = ((struct ipm_subscribe *)argument)->events;
		return 0;
	default:
		return -ENOTTY;
	}
}

/* --- the system calls of the library --- */

int ipm_sys_open(const char *path, int flags)
{
	long ret;

	if (begin(FAKE_OPEN, &ret))
		return (int)ret;
	ret = strcmp(path, "/dev/ipm") ? -ENOENT : file_new(NULL, 0, flags & O_CLOEXEC);
	return (int)end(FAKE_OPEN, NULL, 0, ret);
}

static void file_put(struct file *file)
{
	struct segment *s = file->segment;

	if (--file->refs)
		return;
	if (s) {
		end_claims(s, file, false);
		if (file->slot)
			slot_end(file, IPM_SLOT_DEAD);
		s->users--;
		s->info.handles--;
		s->status->handles--;
		segment_check(s);
	}
	memset(file, 0, sizeof(*file));
}

void ipm_sys_close(int fd)
{
	struct file *file;

	enter(0, 1);
	file = file_of(fd);
	if (!file) {
		printf("# the library closed %d, which is not open\n", fd);
		abort();
	}
	files[fd - FD_BASE] = NULL;
	file_put(file);
	leave(0);
}

int ipm_sys_dup3(int fd, int number, int flags)
{
	struct file *old;
	long ret;

	if (begin(FAKE_DUP3, &ret))
		return (int)ret;
	old = file_of(number);
	if (!file_of(fd) || !old || fd == number)
		return leave(-EBADF);
	files[number - FD_BASE] = file_of(fd);
	cloexec[number - FD_BASE] = flags & O_CLOEXEC;
	file_of(fd)->refs++;
	file_put(old);
	return (int)end(FAKE_DUP3, NULL, 0, number);
}

int ipm_sys_fcntl(int fd, int command, int argument)
{
	struct file *file;
	long ret;

	if (begin(FAKE_FCNTL, &ret))
		return (int)ret;
	file = file_of(fd);
	if (!file)
		return leave(-EBADF);
	switch (command) {
	case F_GETFL:
		ret = file->flags;
		break;
	case F_SETFL:
		file->flags = argument;
		break;
	case F_GETFD:
		ret = cloexec[fd - FD_BASE] ? FD_CLOEXEC : 0;
		break;
	case F_SETFD:
		cloexec[fd - FD_BASE] = argument & FD_CLOEXEC;
		break;
	default:
		ret = -EINVAL;
	}
	return (int)end(FAKE_FCNTL, NULL, 0, ret);
}

int ipm_sys_ioctl(int fd, unsigned long command, void *argument)
{
	int err = enter(FAKE_IOCTL, command);
	struct file *file;
	int ret;

	if (err)
		return -err;
	if (fake_hook && fake_hook(fd, command, argument, &ret))
		return leave(ret);
	file = file_of(fd);
	if (!file)
		return leave(-EBADF);
	ret = file->segment ? ioctl_handle(file, command, argument) :
			      ioctl_device(file, command, argument);
	return (int)end(FAKE_IOCTL, argument, command, ret);
}

bool ipm_sys_is_anonymous(int fd)
{
	long ret;

	if (begin(FAKE_IS_ANONYMOUS, &ret))
		return ret;
	ret = file_of(fd) && file_of(fd)->segment;
	return end(FAKE_IS_ANONYMOUS, NULL, 0, ret);
}

static struct map *map_slot(void)
{
	struct map *m = maps;

	while (m->address)
		m++;
	if (m >= maps + MAX_MAPS)
		abort();
	return m;
}

int ipm_sys_mmap(void **map, void *address, size_t length, int protection, int flags, int fd,
		 uint64_t offset)
{
	bool status = offset == IPM_STATUS_OFFSET;
	struct segment *s;
	struct file *file;
	struct map *m;
	void *new;
	long ret;

	if (begin(status ? FAKE_MMAP_STATUS : FAKE_MMAP, &ret))
		return (int)ret;
	file = file_of(fd);
	if (!file)
		return leave(-EBADF);
	s = file->segment;
	if (!s) {
		struct ipm_ref ref = { .by = IPM_BY_ID, .id = offset >> IPM_ATTACH_SHIFT };

		s = find(&ref);
		if (!s)
			return leave(-ENOENT);
		status = false;
		offset = 0;
	}
	if (!status && map_limit && length > map_limit)
		return leave(-ENOMEM);
	if (!status && offset + length > pages(s->info.capacity))
		return leave(-EINVAL);
	if (protection & PROT_WRITE && file->access == IPM_READ_ONLY && file->segment)
		return leave(-EACCES);
	new = mmap(address, length, protection, flags, status ? s->status_fd : s->pages_fd,
		   status ? 0 : (off_t)offset);
	if (new == MAP_FAILED)
		return leave(-errno);
	m = map_slot();
	*m = (struct map){ new, length, status ? NULL : s, offset };
	if (!status) {
		s->users++;
		s->maps++;
	}
	*map = new;
	return leave(0);
}

static void map_forget(struct map *m)
{
	struct segment *s = m->segment;

	memset(m, 0, sizeof(*m));
	if (!s)
		return;
	s->users--;
	s->maps--;
	segment_check(s);
}

static void forget_range(char *address, size_t length)
{
	struct map *m;
	bool known = false;

	for (m = maps; m < maps + MAX_MAPS; m++) {
		if (m->address && m->address >= address &&
		    m->address + m->length <= address + pages(length)) {
			map_forget(m);
			known = true;
		}
	}
	if (!known) {
		printf("# the library unmapped what is not mapped\n");
		abort();
	}
}

void ipm_sys_munmap(void *map, size_t length)
{
	enter(0, 2);
	forget_range(map, length);
	munmap(map, length);
	leave(0);
}

int ipm_sys_move_map(void *from, size_t length, void *to)
{
	struct map *m;
	long ret;

	if (begin(FAKE_MOVE_MAP, &ret))
		return (int)ret;
	if (mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		return leave(-errno);
	forget_range(to, length);
	for (m = maps; m->address != from; m++)
		;
	m->address = to;
	return leave(0);
}

int ipm_sys_copy(void *to, const void *from, size_t size)
{
	long ret;

	if (begin(FAKE_COPY, &ret))
		return (int)ret;
	if (to && from)
		memcpy(to, from, size);
	return leave(to && from ? 0 : -EFAULT);
}

ssize_t ipm_sys_read(int fd, void *buffer, size_t size)
{
	struct ipm_event *events = buffer;
	struct file *file;
	struct claim *c;
	size_t count = 0;
	long ret;

	if (begin(FAKE_READ, &ret))
		return ret;
	file = file_of(fd);
	if (!file)
		return leave(-EBADF);
	/* A signal came when there was one event in it, and it is not lost for that. */
	if (size > sizeof(*events) && partial())
		size = sizeof(*events);
	for (c = claims; c < claims + MAX_CLAIMS && (count + 1) * sizeof(*events) <= size; c++) {
		if (c->file != file || !c->event)
			continue;
		events[count++] = (struct ipm_event){
			.type = c->error ? IPM_EVENT_CLAIM_FAILED : IPM_EVENT_CLAIM,
			.error = c->error,
			.id = c->id,
			.cookie = c->cookie,
			.result = c->result,
		};
		c->event = false;
		if (c->error)
			memset(c, 0, sizeof(*c));
	}
	while ((count + 1) * sizeof(*events) <= size && hear(file, &events[count]))
		count++;
	if (!count && !(file->flags & O_NONBLOCK)) {
		printf("# the library read a handle that would wait\n");
		abort();
	}
	ret = count ? (long)(count * sizeof(*events)) : -EAGAIN;
	return end(FAKE_READ, buffer, size, ret);
}

int ipm_sys_wait_readable(int fd, int64_t timeout_ns)
{
	int64_t deadline = timeout_ns < 0 ? 0 : ipm_sys_now() + timeout_ns;
	struct claim *c;
	long ret;

	if (begin(FAKE_WAIT, &ret))
		return (int)ret;
	for (;;) {
		if (file_of(fd) && (file_of(fd)->rung || file_of(fd)->heard))
			return leave(1);
		for (c = claims; c < claims + MAX_CLAIMS; c++) {
			if (c->file && c->file == file_of(fd) && c->event)
				return leave(1);
		}
		if (!wait_changed(deadline))
			return leave(0);
	}
}

ssize_t ipm_sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr *m = (struct msghdr *)message;
	struct cmsghdr *header;
	long ret;
	int sent;

	if (begin(FAKE_SENDMSG, &ret))
		return ret;
	header = CMSG_FIRSTHDR(m);
	if (fd != FAKE_SOCKET)
		return leave(-ENOTSOCK);
	if (!(flags & MSG_NOSIGNAL) || nr_messages == MAX_MESSAGES || !header)
		abort();
	memcpy(&sent, CMSG_DATA(header), sizeof(sent));
	messages[nr_messages].size = m->msg_iov->iov_len;
	memcpy(messages[nr_messages].bytes, m->msg_iov->iov_base, m->msg_iov->iov_len);
	messages[nr_messages].files[0] = file_of(sent);
	messages[nr_messages].nr_files = 1;
	messages[nr_messages].flags = 0;
	nr_messages++;
	file_of(sent)->refs++;
	return end(FAKE_SENDMSG, NULL, 0, (long)m->msg_iov->iov_len);
}

ssize_t ipm_sys_recvmsg(int fd, struct msghdr *message, int flags)
{
	struct cmsghdr *header;
	struct message first;
	long ret;
	int i, new;

	if (begin(FAKE_RECVMSG, &ret))
		return ret;
	if (fd != FAKE_SOCKET)
		return leave(-ENOTSOCK);
	if (!nr_messages)
		return leave(-EAGAIN);
	first = messages[0];
	memmove(messages, messages + 1, --nr_messages * sizeof(first));
	memcpy(message->msg_iov->iov_base, first.bytes,
	       first.size < message->msg_iov->iov_len ? first.size : message->msg_iov->iov_len);
	message->msg_flags = first.flags;
	if (first.nr_files) {
		header = CMSG_FIRSTHDR(message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(first.nr_files * sizeof(int));
		for (i = 0; i < first.nr_files; i++) {
			new = fd_new(first.files[i], flags & MSG_CMSG_CLOEXEC);
			memcpy(CMSG_DATA(header) + i * sizeof(int), &new, sizeof(int));
		}
		message->msg_controllen = CMSG_SPACE(first.nr_files * sizeof(int));
	} else {
		message->msg_controllen = 0;
	}
	return end(FAKE_RECVMSG, message, sizeof(*message), (long)first.size);
}

int64_t ipm_sys_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- what tests do --- */

void fake_fail(enum fake_call call, int nth, int err)
{
	pthread_mutex_lock(&lock);
	fail_call = call;
	fail_command = 0;
	fail_nth = nth;
	fail_errno = err;
	pthread_mutex_unlock(&lock);
}

void fake_fail_ioctl(unsigned long command, int err)
{
	fake_fail(0, 1, err);
	fail_command = command;
}

unsigned int fake_interrupt(unsigned int nth)
{
	unsigned int left = interrupt_nth;

	interrupt_nth = nth;
	return left;
}

unsigned int fake_partial(unsigned int nth)
{
	unsigned int left = partial_nth;

	partial_nth = nth;
	return left;
}

bool fake_interrupted(void)
{
	bool was = interrupted;

	interrupted = false;
	return was;
}

void fake_limit_map(size_t length)
{
	map_limit = length;
}

unsigned int fake_calls(void)
{
	unsigned int count = calls;

	calls = 0;
	return count;
}

static struct segment *by_id(uint32_t id)
{
	struct ipm_ref ref = { .by = IPM_BY_ID, .id = id };
	struct segment *s = find(&ref);

	if (!s)
		abort();
	return s;
}

void fake_grow(uint32_t id, uint64_t size)
{
	pthread_mutex_lock(&lock);
	if (grow(by_id(id), size))
		abort();
	pthread_mutex_unlock(&lock);
}

void fake_remove(uint32_t id)
{
	pthread_mutex_lock(&lock);
	remove_segment(by_id(id));
	pthread_mutex_unlock(&lock);
}

void fake_doubt(uint32_t id, uint64_t offset, uint64_t length, int pid)
{
	struct segment *s = by_id(id);

	s->doubts[s->nr_doubts++] = (struct ipm_doubt_range){
		.offset = offset, .length = length, .time = 1, .pid = pid,
	};
}

struct ipm_status *fake_status(uint32_t id)
{
	return by_id(id)->status;
}

bool fake_is_mapped(const void *address)
{
	struct map *m;

	for (m = maps; m < maps + MAX_MAPS; m++) {
		if (m->segment && m->address == address)
			return true;
	}
	return false;
}

struct ipm_status *fake_status_of(int fd)
{
	if (!file_of(fd) || !file_of(fd)->segment)
		abort();
	return file_of(fd)->segment->status;
}

unsigned int fake_claims(uint32_t id)
{
	return by_id(id)->info.claims + by_id(id)->info.waiters;
}

void fake_message(const void *bytes, size_t size, int nr_fds, int msg_flags)
{
	struct message *m = &messages[nr_messages++];
	int i, fd;

	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, bytes, size);
	m->size = size;
	m->flags = msg_flags;
	m->nr_files = nr_fds;
	for (i = 0; i < nr_fds; i++) {
		fd = file_new(NULL, 0, true);
		m->files[i] = files[fd - FD_BASE];
		files[fd - FD_BASE] = NULL;
	}
}

unsigned int fake_messages(void)
{
	return nr_messages;
}

bool fake_is_clean(void)
{
	bool clean = true;
	unsigned int i;

	for (i = 0; i < FD_COUNT; i++) {
		if (files[i]) {
			printf("# file descriptor %u is open\n", FD_BASE + i);
			clean = false;
		}
	}
	for (i = 0; i < MAX_MAPS; i++) {
		if (maps[i].address) {
			printf("# %zu bytes are mapped\n", maps[i].length);
			clean = false;
		}
	}
	for (i = 0; i < MAX_SEGMENTS; i++) {
		if (segments[i].used) {
			printf("# segment %u is left\n", segments[i].info.ref.id);
			clean = false;
		}
	}
	if (nr_messages || fail_errno || fake_hook || fake_before || fake_after) {
		printf("# something that the test prepared did not happen\n");
		clean = false;
	}
	return clean;
}

/* --- a context that counts --- */

static void report(const char *msg, const char *file, int line, const char *function, void *param)
{
	struct fake_context *context = param;

	if (!file || line <= 0 || !function || strlen(msg) >= sizeof(context->message) ||
	    strchr(msg, '\n'))
		abort();
	context->reports++;
	strcpy(context->message, msg);
}

static void *count_alloc(void *param, size_t size)
{
	struct fake_context *context = param;
	void *ptr;

	if (++context->allocations == context->fail_at)
		return NULL;
	ptr = malloc(size);
	/* Nobody may count on zeros. */
	memset(ptr, 0xa5, size);
	__atomic_fetch_add(&context->live, 1, __ATOMIC_SEQ_CST);
	return ptr;
}

static void count_free(void *param, void *ptr)
{
	struct fake_context *context = param;

	if (!ptr)
		abort();
	__atomic_fetch_sub(&context->live, 1, __ATOMIC_SEQ_CST);
	free(ptr);
}

void fake_context_init(struct fake_context *context)
{
	memset(context, 0, sizeof(*context));
	context->ctx = (ipm_context){
		.report_callback = report,
		.report_param = context,
		.alloc_callback = count_alloc,
		.alloc_param = context,
		.free_callback = count_free,
		.free_param = context,
	};
}
