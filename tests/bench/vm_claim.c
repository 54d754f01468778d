// SPDX-License-Identifier: GPL-2.0
/*
 * What claims cost, beside the locks of files that a user would take else:
 * alone and among up to 100,000 others, handed from process to process, many
 * ranges at once, many in line; and how much kernel memory they take.
 */
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "vm_bench.h"

/* Each claim and lock has this many bytes, and as many are free behind it. */
#define BYTES 64
#define OTHERS_MAX 100000
#define CAPACITY ((2ULL * OTHERS_MAX + 64) * BYTES)
/* Handles and open files that the others are spread over. */
#define OWNERS 100

static int device;

/* --- locks of files --- */

static void lock_bytes(int fd, int command, int type, off_t start, off_t length)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = length,
	};

	must(fcntl(fd, command, &lock));
}

static int make_file(void)
{
	int fd = must(memfd_create("bench", MFD_CLOEXEC));

	must(ftruncate(fd, 4096));
	return fd;
}

/* Another open file of the same pages, for locks of its own. */
static int reopen_file(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return must(open(path, O_RDWR | O_CLOEXEC));
}

/* --- alone and among others --- */

struct place {
	int fd;
	off_t start;
	uint64_t last;	/* claim that is held, or 0 */
};

static void claim_pair(void *arg)
{
	const struct place *place = arg;

	release_claim(place->fd,
		      claim_bytes(place->fd, place->start, BYTES, IPM_CLAIM_WRITE, 0));
}

static void read_claim_pair(void *arg)
{
	const struct place *place = arg;

	release_claim(place->fd, claim_bytes(place->fd, place->start, BYTES, IPM_CLAIM_READ, 0));
}

/* The next claim, and the end of the one before, in one call. */
static void claim_next(void *arg)
{
	struct place *place = arg;
	struct ipm_claim claim = {
		.offset = place->start,
		.length = BYTES,
		.mode = IPM_CLAIM_WRITE,
		.release = place->last ? (uintptr_t)&place->last : 0,
		.nr_release = !!place->last,
	};

	must(ioctl(place->fd, IPM_IOC_CLAIM, &claim));
	place->last = claim.id;
}

static void ofd_pair(void *arg)
{
	const struct place *place = arg;

	lock_bytes(place->fd, F_OFD_SETLK, F_WRLCK, place->start, BYTES);
	lock_bytes(place->fd, F_OFD_SETLK, F_UNLCK, place->start, BYTES);
}

static void flock_pair(void *arg)
{
	const struct place *place = arg;

	must(flock(place->fd, LOCK_EX));
	must(flock(place->fd, LOCK_UN));
}

/* --- locks that are no files --- */

#define LOCKS 3

struct locks {
	pthread_mutex_t mutexes[LOCKS];
	pthread_rwlock_t rwlocks[LOCKS];
};

static void must_be_0(int error)
{
	errno = error;
	if (error)
		bench_die("pthread lock");
}

/* In memory that children share. */
static struct locks *make_locks(void)
{
	struct locks *locks = mmap(NULL, sizeof(*locks), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_rwlockattr_t rwlock;
	pthread_mutexattr_t mutex;
	int i;

	if (locks == MAP_FAILED)
		bench_die("mmap");
	pthread_mutexattr_init(&mutex);
	must_be_0(pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED));
	must_be_0(pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST));
	pthread_rwlockattr_init(&rwlock);
	must_be_0(pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED));
	for (i = 0; i < LOCKS; i++) {
		must_be_0(pthread_mutex_init(&locks->mutexes[i], &mutex));
		must_be_0(pthread_rwlock_init(&locks->rwlocks[i], &rwlock));
	}
	return locks;
}

static int make_semaphores(void)
{
	int i, set = must(semget(IPC_PRIVATE, LOCKS, 0600));

	for (i = 0; i < LOCKS; i++)
		must(semctl(set, i, SETVAL, 1));
	return set;
}

/* The kernel undoes it when the process dies; that is the rival of a claim. */
static void semaphore(int set, int number, int change)
{
	struct sembuf operation = { .sem_num = number, .sem_op = change, .sem_flg = SEM_UNDO };

	must(semop(set, &operation, 1));
}

static void sysv_pair(void *arg)
{
	semaphore(*(int *)arg, 0, -1);
	semaphore(*(int *)arg, 0, 1);
}

static void mutex_pair(void *arg)
{
	must_be_0(pthread_mutex_lock(arg));
	must_be_0(pthread_mutex_unlock(arg));
}

static void rwlock_pair(void *arg)
{
	must_be_0(pthread_rwlock_wrlock(arg));
	must_be_0(pthread_rwlock_unlock(arg));
}

static void read_rwlock_pair(void *arg)
{
	must_be_0(pthread_rwlock_rdlock(arg));
	must_be_0(pthread_rwlock_unlock(arg));
}

static void system_call(void *arg)
{
	(void)arg;
	syscall(SYS_getppid);
}

static void empty_ioctl(void *arg)
{
	const struct place *place = arg;

	if (ioctl(place->fd, _IO(IPM_IOC_MAGIC, 0xff)) != -1 || errno != ENOTTY)
		bench_die("an ioctl that does not exist");
}

/* Which of @nr places comes as the @i-th: all of them, in no order. */
static unsigned int shuffled(unsigned int i, unsigned int nr)
{
	/* Prime, and greater than any nr: so it has no divisor in common with it. */
	return (uint64_t)i * 1000003 % nr;
}

static void claim_others(const int *handles, unsigned int owners, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		claim_bytes(handles[i % owners], 2ULL * BYTES * shuffled(i, nr), BYTES,
			    IPM_CLAIM_WRITE, 0);
}

/*
 * Locks one by one would take hours, as each looks at all before it. So every
 * open file locks one long range and unlocks the gaps in it, from the end; the
 * last in the list first. That gives the same list.
 */
static void lock_others(const int *files, unsigned int owners, unsigned int nr)
{
	unsigned int each = nr / owners, o, i;

	for (o = 0; o < owners; o++)
		lock_bytes(files[o], F_OFD_SETLK, F_WRLCK, 2LL * BYTES * each * o,
			   2LL * BYTES * each - BYTES);
	for (o = owners; o-- > 0;) {
		for (i = each; i-- > 1;)
			lock_bytes(files[o], F_OFD_SETLK, F_UNLCK,
				   2LL * BYTES * (each * o + i) - BYTES, BYTES);
	}
}

/* Are there really so many? Only looked at where that is quick. */
static void check_locks(int fd, unsigned int nr)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	unsigned int found = 0;

	if (nr > 1000)
		return;
	for (;;) {
		lock.l_type = F_WRLCK;
		lock.l_len = 0;
		lock.l_pid = 0;
		must(fcntl(fd, F_OFD_GETLK, &lock));
		if (lock.l_type == F_UNLCK)
			break;
		found++;
		lock.l_start += lock.l_len;
	}
	if (found != nr) {
		fprintf(stderr, "%u locks instead of %u\n", found, nr);
		exit(2);
	}
}

static void among_others(unsigned int nr, double *claim, double *next, double *ofd)
{
	unsigned int owners = nr < OWNERS ? nr : OWNERS, i;
	int handles[OWNERS], files[OWNERS];
	/* Between two of the others. */
	struct place segment = { .fd = create_segment(device, CAPACITY), .start = (nr | 1) * BYTES };
	struct place chain = { .fd = reopen_segment(segment.fd), .start = (nr | 1) * BYTES };
	struct place file = { .fd = make_file(), .start = (nr | 1) * BYTES };
	struct bench_case cases[] = {
		{ .run = claim_pair, .arg = &segment },
		{ .run = ofd_pair, .arg = &file },
	};
	struct bench_case next_case = { .run = claim_next, .arg = &chain };

	for (i = 0; i < owners; i++) {
		handles[i] = reopen_segment(segment.fd);
		files[i] = reopen_file(file.fd);
	}
	claim_others(handles, owners, nr);
	if (nr)
		lock_others(files, owners, nr);
	check_locks(file.fd, nr);
	measure(cases, ARRAY_LENGTH(cases));
	/* It ends with a claim on the range of the others. */
	measure(&next_case, 1);
	for (i = 0; i < owners; i++) {
		close(handles[i]);
		close(files[i]);
	}
	close(segment.fd);
	close(chain.fd);
	close(file.fd);
	*claim = cases[0].best;
	*next = next_case.best;
	*ofd = cases[1].best;
}

static void alone(void)
{
	struct place segment = { .fd = create_segment(device, CAPACITY), .start = BYTES };
	struct place file = { .fd = make_file(), .start = BYTES };
	struct place dev = { .fd = device };
	struct locks *locks = make_locks();
	int sems = make_semaphores();
	struct bench_case cases[] = {
		{ .name = "getppid", .run = system_call, .role = REPORT_LIMIT },
		{ .name = "ioctl that does nothing, ENOTTY", .run = empty_ioctl, .arg = &dev,
		  .role = REPORT_LIMIT },
		{ .name = "write claim + release", .run = claim_pair, .arg = &segment },
		{ .name = "read claim + release", .run = read_claim_pair, .arg = &segment },
		{ .name = "flock + unlock", .run = flock_pair, .arg = &file,
		  .role = REPORT_RIVAL },
		{ .name = "SysV semaphore down + up, SEM_UNDO", .run = sysv_pair, .arg = &sems,
		  .role = REPORT_RIVAL },
		{ .name = "robust shared mutex lock + unlock", .run = mutex_pair,
		  .arg = &locks->mutexes[0], .role = REPORT_RIVAL },
		{ .name = "shared rwlock wrlock + unlock, not robust", .run = rwlock_pair,
		  .arg = &locks->rwlocks[0], .role = REPORT_RIVAL },
		{ .name = "shared rwlock rdlock + unlock, not robust", .run = read_rwlock_pair,
		  .arg = &locks->rwlocks[1], .role = REPORT_RIVAL },
		{ .name = "F_OFD_SETLK lock + unlock", .run = ofd_pair, .arg = &file,
		  .role = REPORT_RIVAL },
	};

	section("one after the other, nobody else");
	measure(cases, ARRAY_LENGTH(cases));
	show(cases, ARRAY_LENGTH(cases), ARRAY_LENGTH(cases) - 1);
	close(segment.fd);
	close(file.fd);
	must(semctl(sems, 0, IPC_RMID));
	munmap(locks, sizeof(*locks));
}

static void others(void)
{
	static const unsigned int counts[] = { 0, 100, 1000, 10000, 100000 };
	double claim[ARRAY_LENGTH(counts)], next[ARRAY_LENGTH(counts)], ofd[ARRAY_LENGTH(counts)];
	unsigned int i;
	char name[80];

	section("claim and release among others that are held");
	printf("  %-10s %16s %16s %16s %8s %8s\n", "others", "F_OFD_SETLK pair", "claim + release",
	       "both in one call", "pair", "one call");
	for (i = 0; i < ARRAY_LENGTH(counts); i++) {
		among_others(counts[i], &claim[i], &next[i], &ofd[i]);
		printf("  %-10u %16.0f %16.0f %16.0f %8.4f %8.4f\n", counts[i], ofd[i], claim[i],
		       next[i], claim[i] / ofd[i], next[i] / ofd[i]);
		fflush(stdout);
		snprintf(name, sizeof(name), "claim that releases the one before, %u others",
			 counts[i]);
		note_figure(name, "instructions", next[i]);
		snprintf(name, sizeof(name), "claim pair, %u others", counts[i]);
		note_figure(name, "instructions", claim[i]);
		snprintf(name, sizeof(name), "F_OFD_SETLK pair, %u others", counts[i]);
		note_figure(name, "instructions", ofd[i]);
		row("claim pair", REPORT_IPM, counts[i], "others", claim[i]);
		row("claim that releases the one before", REPORT_VARIANT, counts[i], "others",
		    next[i]);
		row("F_OFD_SETLK pair", REPORT_RIVAL, counts[i], "others", ofd[i]);
	}
	/* 0.6 was set on 6.1; the locks of later kernels are faster. */
	target("claim pair, of F_OFD_SETLK pair, no others", claim[0] / ofd[0],
	       kernel_is("6.1") ? 0.6 : 0.8);
	/*
	 * Two system calls that do nothing take 0.04 of the locks of 6.1 among 1,000
	 * others, and more of those of later kernels: 0.05 cannot be had there.
	 */
	target("claim pair, of F_OFD_SETLK pair, 1,000 others", claim[2] / ofd[2], 0.12);
	aim("claim pair, of F_OFD_SETLK pair, 1,000 others", claim[2] / ofd[2], 0.05);
	target("claim that releases the one before, of F_OFD_SETLK pair, 1,000 others",
	       next[2] / ofd[2], 0.1);
	aim("claim that releases the one before, of F_OFD_SETLK pair, 1,000 others",
	    next[2] / ofd[2], 0.05);
	target("claim pair, of F_OFD_SETLK pair, 10,000 others", claim[3] / ofd[3], 0.02);
	target("claim pair, 10,000 others, of that with none", claim[3] / claim[0], 2);
	target("claim pair, 100,000 others, of that with none", claim[4] / claim[0], 2);
}

/* --- from one process to the next --- */

#define WARM_UP 100
#define TURNS 1000

/*
 * Three ranges, two processes. Who runs holds two of them, the other holds the
 * third and waits for one of the two. A turn gives that one back and takes the
 * third, which is to wait: so each turn is a release, a claim that waits, and
 * a switch to the other process, and nobody finds a range free by luck.
 */
struct relay {
	const char *name;
	enum report_role role;
	void (*take)(struct relay *relay, int range);
	void (*give)(struct relay *relay, int range);
	uint32_t flags;
	int fd[2];	/* of each process */
	int files[2][LOCKS];
	struct locks *locks;
	int me;
	uint64_t ids[3];
	double best;
};

static void claim_take(struct relay *relay, int range)
{
	relay->ids[range] = claim_bytes(relay->fd[relay->me], range * BYTES, BYTES,
					IPM_CLAIM_WRITE, relay->flags);
}

static void claim_give(struct relay *relay, int range)
{
	release_claim(relay->fd[relay->me], relay->ids[range]);
}

static void ofd_take(struct relay *relay, int range)
{
	lock_bytes(relay->fd[relay->me], F_OFD_SETLKW, F_WRLCK, range * BYTES, BYTES);
}

static void ofd_give(struct relay *relay, int range)
{
	lock_bytes(relay->fd[relay->me], F_OFD_SETLKW, F_UNLCK, range * BYTES, BYTES);
}

static void flock_take(struct relay *relay, int range)
{
	must(flock(relay->files[relay->me][range], LOCK_EX));
}

static void flock_give(struct relay *relay, int range)
{
	must(flock(relay->files[relay->me][range], LOCK_UN));
}

static void sysv_take(struct relay *relay, int range)
{
	semaphore(relay->fd[0], range, -1);
}

static void sysv_give(struct relay *relay, int range)
{
	semaphore(relay->fd[0], range, 1);
}

static void mutex_take(struct relay *relay, int range)
{
	must_be_0(pthread_mutex_lock(&relay->locks->mutexes[range]));
}

static void mutex_give(struct relay *relay, int range)
{
	must_be_0(pthread_mutex_unlock(&relay->locks->mutexes[range]));
}

static void rwlock_take(struct relay *relay, int range)
{
	must_be_0(pthread_rwlock_wrlock(&relay->locks->rwlocks[range]));
}

static void rwlock_give(struct relay *relay, int range)
{
	must_be_0(pthread_rwlock_unlock(&relay->locks->rwlocks[range]));
}

static void relay_turns(struct relay *relay, int range, int turns)
{
	while (turns--) {
		relay->give(relay, range);
		relay->take(relay, (range + 1) % 3);
		range = (range + 2) % 3;
	}
}

static void relay_end(struct relay *relay, int range)
{
	relay->give(relay, range % 3);
	relay->give(relay, (range + 2) % 3);
}

static void relay_other(struct relay *relay, int ready)
{
	relay->me = 1;
	relay->take(relay, 1);
	must(write(ready, "", 1));
	relay->take(relay, 0);
	/* The last turn ends when the first process gives up what it holds. */
	relay_turns(relay, 1, WARM_UP + TURNS);
	relay_end(relay, 1 + 2 * (WARM_UP + TURNS));
	_exit(0);
}

static void relay_round(struct relay *relay)
{
	struct rusage before, after;
	uint64_t begin, spent;
	int ready[2], status;
	long switches;
	char byte;
	pid_t pid;

	relay->me = 0;
	relay->take(relay, 0);
	relay->take(relay, 2);
	must(pipe(ready));
	pid = must(fork());
	if (!pid)
		relay_other(relay, ready[1]);
	must(read(ready[0], &byte, 1));
	/* Let it come to its wait. */
	must(usleep(1000));
	relay_turns(relay, 0, WARM_UP);
	must(getrusage(RUSAGE_SELF, &before));
	begin = instructions();
	relay_turns(relay, 2 * WARM_UP % 3, TURNS);
	spent = instructions() - begin;
	must(getrusage(RUSAGE_SELF, &after));
	/* Now and then the other is let run before this one comes to its wait. */
	switches = after.ru_nvcsw - before.ru_nvcsw + after.ru_nivcsw - before.ru_nivcsw;
	if (switches < TURNS) {
		fprintf(stderr, "%s: only %ld switches in %d turns\n", relay->name, switches,
			TURNS);
		exit(2);
	}
	relay_end(relay, 2 * (WARM_UP + TURNS));
	must(waitpid(pid, &status, 0));
	if (status)
		exit(2);
	close(ready[0]);
	close(ready[1]);
	relay->best = fmin(relay->best, (double)spent / (2 * TURNS));
}

static void handover(void)
{
	int segment = create_segment(device, CAPACITY), file = make_file();
	int sems = make_semaphores();
	struct locks *locks = make_locks();
	struct relay relays[] = {
		{
			.name = "claim",
			.take = claim_take,
			.give = claim_give,
			.fd = { segment, reopen_segment(segment) },
			.best = INFINITY,
		}, {
			.name = "claim that does not look for deadlocks",
			.role = REPORT_VARIANT,
			.take = claim_take,
			.give = claim_give,
			.flags = IPM_CLAIM_NO_DEADLOCK,
			.fd = { segment, reopen_segment(segment) },
			.best = INFINITY,
		}, {
			.name = "F_OFD_SETLKW",
			.role = REPORT_RIVAL,
			.take = ofd_take,
			.give = ofd_give,
			.fd = { file, reopen_file(file) },
			.best = INFINITY,
		}, {
			.name = "flock",
			.role = REPORT_RIVAL,
			.take = flock_take,
			.give = flock_give,
			.best = INFINITY,
		}, {
			.name = "SysV semaphore, SEM_UNDO",
			.role = REPORT_RIVAL,
			.take = sysv_take,
			.give = sysv_give,
			.fd = { sems },
			.best = INFINITY,
		}, {
			.name = "robust shared mutex",
			.role = REPORT_RIVAL,
			.take = mutex_take,
			.give = mutex_give,
			.locks = locks,
			.best = INFINITY,
		}, {
			.name = "shared rwlock for writing, not robust",
			.role = REPORT_RIVAL,
			.take = rwlock_take,
			.give = rwlock_give,
			.locks = locks,
			.best = INFINITY,
		},
	};
	const struct sched_param no = { 0 };
	unsigned int i, round;

	for (i = 0; i < LOCKS; i++) {
		relays[3].files[0][i] = make_file();
		relays[3].files[1][i] = reopen_file(relays[3].files[0][i]);
	}
	section("hand-over: release, wait for the next, switch to the other process");
	/* Who is woken waits until the waker sleeps. */
	must(sched_setscheduler(0, SCHED_BATCH, &no));
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < ARRAY_LENGTH(relays); i++)
			relay_round(&relays[i]);
	}
	must(sched_setscheduler(0, SCHED_OTHER, &no));
	for (i = 0; i < ARRAY_LENGTH(relays); i++) {
		figure(relays[i].name, "instructions", relays[i].best,
		       relays[i].best / relays[2].best);
		row(relays[i].name, relays[i].role, 0, NULL, relays[i].best);
	}
	for (i = 0; i < 3; i++)
		close(relays[i].fd[1]);
	for (i = 0; i < LOCKS; i++) {
		close(relays[3].files[0][i]);
		close(relays[3].files[1][i]);
	}
	must(semctl(sems, 0, IPC_RMID));
	munmap(locks, sizeof(*locks));
	target("hand-over, of that of F_OFD_SETLKW", relays[0].best / relays[2].best, 1);
	close(segment);
	close(file);
}

/* --- several ranges --- */

#define RANGES 8

static void claim_ranges(void *arg)
{
	const struct place *place = arg;
	struct ipm_range ranges[RANGES];
	struct ipm_claim claim = {
		.ranges = (uintptr_t)ranges,
		.nr_ranges = RANGES,
	};
	unsigned int i;

	for (i = 0; i < RANGES; i++)
		ranges[i] = (struct ipm_range){
			.offset = 2 * i * BYTES,
			.length = BYTES,
			.mode = IPM_CLAIM_WRITE,
		};
	must(ioctl(place->fd, IPM_IOC_CLAIM, &claim));
	release_claim(place->fd, claim.id);
}

static void claim_one_by_one(void *arg)
{
	const struct place *place = arg;
	uint64_t ids[RANGES];
	unsigned int i;

	for (i = 0; i < RANGES; i++)
		ids[i] = claim_bytes(place->fd, 2 * i * BYTES, BYTES, IPM_CLAIM_WRITE, 0);
	for (i = 0; i < RANGES; i++)
		release_claim(place->fd, ids[i]);
}

static void ofd_one_by_one(void *arg)
{
	const struct place *place = arg;
	unsigned int i;

	for (i = 0; i < RANGES; i++)
		lock_bytes(place->fd, F_OFD_SETLK, F_WRLCK, 2 * i * BYTES, BYTES);
	for (i = 0; i < RANGES; i++)
		lock_bytes(place->fd, F_OFD_SETLK, F_UNLCK, 2 * i * BYTES, BYTES);
}

static void many_ranges(void)
{
	struct place segment = { .fd = create_segment(device, CAPACITY) };
	struct place file = { .fd = make_file() };
	struct bench_case cases[] = {
		{ .name = "one request for all", .run = claim_ranges, .arg = &segment },
		{ .name = "a request for each", .run = claim_one_by_one, .arg = &segment,
		  .role = REPORT_VARIANT },
		{ .name = "a F_OFD_SETLK for each", .run = ofd_one_by_one, .arg = &file,
		  .role = REPORT_RIVAL },
	};

	section("8 ranges, claimed and released");
	measure(cases, ARRAY_LENGTH(cases));
	show(cases, ARRAY_LENGTH(cases), 1);
	target("8 ranges in one request, of 8 requests", cases[0].best / cases[1].best, 0.5);
	close(segment.fd);
	close(file.fd);
}

/* --- in line --- */

#define WAITERS_MAX 1000

/* Who stands in line: 'w' for a writer, 'r' for a reader, over and over. */
struct line {
	const char *name;
	const char *pattern;
	bool locks;	/* of a file, not claims */
	bool holds;	/* each waiter holds something else already */
};

struct waiter {
	pthread_t thread;
	const struct line *line;
	unsigned int index;
	int fd;
	bool write;
	_Atomic pid_t tid;	/* set just before it waits */
	uint64_t waited;	/* its own instructions while it waited */
};

static _Atomic unsigned int in_line;
static uint64_t drained;
static sem_t gate;

static uint64_t own_instructions(void)
{
	struct timespec t;

	must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t));
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void *wait_in_line(void *arg)
{
	struct waiter *w = arg;
	uint64_t id = 0, before;

	if (w->line->holds)
		claim_bytes(w->fd, (2 + w->index) * BYTES, BYTES, IPM_CLAIM_WRITE, 0);
	/* Pairs with the load in join_line(). */
	atomic_store_explicit(&w->tid, syscall(SYS_gettid), memory_order_release);
	before = own_instructions();
	if (w->line->locks)
		lock_bytes(w->fd, F_OFD_SETLKW, w->write ? F_WRLCK : F_RDLCK, 0, BYTES);
	else
		id = claim_bytes(w->fd, 0, BYTES, w->write ? IPM_CLAIM_WRITE : IPM_CLAIM_READ, 0);
	w->waited = own_instructions() - before;
	if (w->line->locks)
		lock_bytes(w->fd, F_OFD_SETLK, F_UNLCK, 0, BYTES);
	else
		release_claim(w->fd, id);
	/* Relaxed: who comes last tells the time; sem_post() publishes it. */
	if (atomic_fetch_sub_explicit(&in_line, 1, memory_order_relaxed) == 1)
		drained = instructions();
	/* The ends of threads are not measured. */
	while (sem_wait(&gate) && errno == EINTR)
		continue;
	return NULL;
}

/* Does this thread of ours sleep? */
static bool sleeps(pid_t tid)
{
	char path[64], text[256], *state;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = must(open(path, O_RDONLY | O_CLOEXEC));
	length = must(read(fd, text, sizeof(text) - 1));
	close(fd);
	text[length] = '\0';
	state = strrchr(text, ')');
	return state && state[2] == 'S';
}

/* Starts a waiter, and comes back when it waits. */
static void join_line(struct waiter *w, const pthread_attr_t *attributes)
{
	pid_t tid;

	errno = pthread_create(&w->thread, attributes, wait_in_line, w);
	if (errno)
		bench_die("pthread_create");
	/* Pairs with the store in wait_in_line(). */
	while (!(tid = atomic_load_explicit(&w->tid, memory_order_acquire)) || !sleeps(tid))
		must(usleep(100));
}

/*
 * @nr waiters behind one that holds the range: instructions from its release
 * until the last of them has released, for each of them. What a waiter spent in
 * its own call, on its way to sleep and after it, goes to @waited.
 */
static double drain(const struct line *line, unsigned int nr, double *waited)
{
	static struct waiter waiters[WAITERS_MAX];
	size_t length = strlen(line->pattern);
	pthread_attr_t attributes;
	uint64_t begin, id = 0, sum = 0;
	unsigned int i;
	int holder;

	holder = line->locks ? make_file() : create_segment(device, CAPACITY);
	if (line->locks)
		lock_bytes(holder, F_OFD_SETLK, F_WRLCK, 0, BYTES);
	else
		id = claim_bytes(holder, 0, BYTES, IPM_CLAIM_WRITE, 0);
	must(sem_init(&gate, 0, 0));
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	atomic_store_explicit(&in_line, nr, memory_order_relaxed);
	for (i = 0; i < nr; i++) {
		waiters[i] = (struct waiter){
			.line = line,
			.index = i,
			.fd = line->locks ? reopen_file(holder) : reopen_segment(holder),
			.write = line->pattern[i % length] == 'w',
		};
		join_line(&waiters[i], &attributes);
	}

	begin = instructions();
	if (line->locks)
		lock_bytes(holder, F_OFD_SETLK, F_UNLCK, 0, BYTES);
	else
		release_claim(holder, id);
	while (atomic_load_explicit(&in_line, memory_order_relaxed))
		must(usleep(10000));

	for (i = 0; i < nr; i++)
		sem_post(&gate);
	for (i = 0; i < nr; i++) {
		pthread_join(waiters[i].thread, NULL);
		sum += waiters[i].waited;
		close(waiters[i].fd);
	}
	pthread_attr_destroy(&attributes);
	sem_destroy(&gate);
	close(holder);
	*waited = fmin(*waited, (double)sum / nr);
	return (double)(drained - begin) / nr;
}

/* In a table with those who wait in the same pattern. */
static void line_row(const struct line *line, unsigned int nr, double value)
{
	char *section = bench.section, name[128];

	snprintf(name, sizeof(name), "waiters on one range, %s, each until all are through",
		 !strcmp(line->pattern, "w") ? "writers" : !strcmp(line->pattern, "r") ? "readers" :
		 !strcmp(line->pattern, "wr") ? "writer, reader in turn" : "15 readers, a writer");
	bench.section = name;
	row(line->locks ? "F_OFD_SETLKW" : line->holds ? "claim of who holds another" : "claim",
	    line->locks ? REPORT_RIVAL : line->holds ? REPORT_VARIANT : REPORT_IPM, nr, "waiters",
	    value);
	bench.section = section;
}

static void lines(void)
{
	static const struct line lines[] = {
		{ .name = "writers", .pattern = "w" },
		{ .name = "readers behind a writer", .pattern = "r" },
		{ .name = "writer, reader, writer, reader ...", .pattern = "wr" },
		{ .name = "15 readers, a writer, 15 readers ...", .pattern = "rrrrrrrrrrrrrrrw" },
		{ .name = "writers that each hold another claim", .pattern = "w", .holds = true },
		{ .name = "F_OFD_SETLKW, writers", .pattern = "w", .locks = true },
		{ .name = "F_OFD_SETLKW, readers", .pattern = "r", .locks = true },
		{ .name = "F_OFD_SETLKW, writer, reader ...", .pattern = "wr", .locks = true },
	};
	static const unsigned int counts[] = { 1, 16, 64, 256, 1000 };
	double best[ARRAY_LENGTH(lines)][ARRAY_LENGTH(counts)];
	double own[ARRAY_LENGTH(lines)][ARRAY_LENGTH(counts)];
	unsigned int i, k, round, rounds;
	char name[96];

	section("waiters on one range: instructions of each until all are through");
	printf("  %-40s %50s %50s\n", "", "release to end: 1, 16, 64, 256, 1000",
	       "of it in the own call");
	for (i = 0; i < ARRAY_LENGTH(lines); i++) {
		for (k = 0; k < ARRAY_LENGTH(counts); k++) {
			best[i][k] = INFINITY;
			own[i][k] = INFINITY;
			/* A thousand locks take a second each time that one is given on. */
			rounds = counts[k] < 1000 ? ROUNDS : 1;
			for (round = 0; round < rounds; round++)
				best[i][k] = fmin(best[i][k],
						  drain(&lines[i], counts[k], &own[i][k]));
			snprintf(name, sizeof(name), "%s, %u", lines[i].name, counts[k]);
			note_figure(name, "instructions", best[i][k]);
			snprintf(name, sizeof(name), "%s, %u, own call", lines[i].name, counts[k]);
			note_figure(name, "instructions", own[i][k]);
			line_row(&lines[i], counts[k], best[i][k]);
		}
		printf("  %-40s", lines[i].name);
		for (k = 0; k < ARRAY_LENGTH(counts); k++)
			printf(" %10.0f", best[i][k]);
		for (k = 0; k < ARRAY_LENGTH(counts); k++)
			printf(" %10.0f", own[i][k]);
		printf("\n");
		fflush(stdout);
		if (lines[i].locks)
			continue;
		snprintf(name, sizeof(name), "%s: each of 64, of each of 16", lines[i].name);
		target(name, best[i][2] / best[i][1], 1.25);
		snprintf(name, sizeof(name), "%s: each of 256, of each of 16", lines[i].name);
		target(name, best[i][3] / best[i][1], 1.5);
		/* Who holds something looks for a deadlock, once along the line. */
		snprintf(name, sizeof(name), "%s: own call, each of 256, of each of 16",
			 lines[i].name);
		target(name, own[i][3] / own[i][1], lines[i].holds ? 16 : 1.5);
	}
}

/* --- memory --- */

/* Kernel memory of a claim and of a handle, in bytes. */
static void measure_memory(double *claim, double *handle)
{
	static int handles[10000];
	int segment = create_segment(device, CAPACITY), last;
	double before;
	unsigned int i;

	before = slab_bytes();
	claim_others(&segment, 1, OTHERS_MAX);
	*claim = (slab_bytes() - before) / OTHERS_MAX;
	close(segment);

	segment = create_segment(device, CAPACITY);
	/* So that the table of file descriptors does not grow meanwhile. */
	last = must(fcntl(segment, F_DUPFD, ARRAY_LENGTH(handles) + 1000));
	before = slab_bytes();
	for (i = 0; i < ARRAY_LENGTH(handles); i++)
		handles[i] = reopen_segment(segment);
	*handle = (slab_bytes() - before) / ARRAY_LENGTH(handles);
	for (i = 0; i < ARRAY_LENGTH(handles); i++)
		close(handles[i]);
	close(last);
	close(segment);
}

/* The same of what a user would take else; one file has all locks. */
static double bytes_of_lock(void)
{
	int file = make_file();
	double before = slab_bytes(), each;

	lock_others(&file, 1, OTHERS_MAX);
	each = (slab_bytes() - before) / OTHERS_MAX;
	close(file);
	return each;
}

static int make_eventfd(unsigned int i)
{
	(void)i;
	return must(eventfd(0, EFD_CLOEXEC));
}

/* Puts this process into a memory cgroup, where objects are charged one by one. */
static void join_cgroup(const char *path)
{
	char text[256];
	int fd;

	snprintf(text, sizeof(text), "%s/cgroup.procs", path);
	fd = must(open(text, O_WRONLY | O_CLOEXEC));
	must(write(fd, "0", 1));
	close(fd);
}

#define CGROUPS "/sys/fs/cgroup"

static void memory(void)
{
	double claim, handle, lock, event, claim_charged, handle_charged;

	measure_memory(&claim, &handle);
	lock = bytes_of_lock();
	event = bytes_of_each(10000, make_eventfd, NULL);
	section("kernel memory of a claim");
	figure("a claim of one range", "bytes", claim, 0);
	figure("a lock by F_OFD_SETLK", "bytes", lock, 0);
	memory_row("a claim of one range", REPORT_IPM, claim);
	memory_row("a lock by F_OFD_SETLK", REPORT_RIVAL, lock);
	section("kernel memory of a handle");
	figure("a handle, struct file included", "bytes", handle, 0);
	figure("an eventfd, which only wakes", "bytes", event, 0);
	memory_row("a handle, struct file included", REPORT_IPM, handle);
	memory_row("an eventfd, which only wakes", REPORT_RIVAL, event);
	target("bytes of kernel memory of a claim", claim, 200);
	target("bytes of kernel memory of a handle, struct file included", handle, 1024);

	if (access(CGROUPS "/memory.stat", F_OK) || mkdir(CGROUPS "/ipm-bench", 0755)) {
		printf("  skipped: the same in a memory cgroup: there is none in " CGROUPS "\n");
		return;
	}
	join_cgroup(CGROUPS "/ipm-bench");
	measure_memory(&claim_charged, &handle_charged);
	join_cgroup(CGROUPS);
	must(rmdir(CGROUPS "/ipm-bench"));
	section("kernel memory in a memory cgroup");
	figure("a claim of one range, in a memory cgroup", "bytes", claim_charged, 0);
	figure("a handle, in a memory cgroup", "bytes", handle_charged, 0);
	memory_row("a claim of one range, in a memory cgroup", REPORT_IPM, claim_charged);
	memory_row("a handle, in a memory cgroup", REPORT_IPM, handle_charged);
	target("bytes of kernel memory of a claim, in a memory cgroup", claim_charged, 200);
	target("bytes of kernel memory of a handle, in a memory cgroup", handle_charged, 1024);
}

int main(int argc, char **argv)
{
	static const struct bench_part parts[] = {
		{ "alone", alone },
		{ "others", others },
		{ "handover", handover },
		{ "ranges", many_ranges },
		{ "lines", lines },
		{ "memory", memory },
	};

	bench_begin(argc, argv);
	device = open_device();
	bench_run(parts, ARRAY_LENGTH(parts));
	return bench_end();
}
