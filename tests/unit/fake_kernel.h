/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small /dev/ipm inside the test program, in the place of the library's
 * system calls: segments with pages and status, claims that wait, events,
 * bytes in doubt. It refuses and lies on demand, and counts what is left.
 *
 * One process only, and no rights: everybody may do everything, unless the test
 * says otherwise.
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipm/ipm.h>
#include <linux/ipm.h>

/* The calls that can be made to fail. */
enum fake_call {
	FAKE_IOCTL,		/* by its number */
	FAKE_OPEN,
	FAKE_DUP3,
	FAKE_FCNTL,
	FAKE_MMAP,		/* of pages */
	FAKE_MMAP_STATUS,
	FAKE_MOVE_MAP,
	FAKE_READ,
	FAKE_WAIT,
	FAKE_SENDMSG,
	FAKE_RECVMSG,
	FAKE_COPY,
	FAKE_IS_ANONYMOUS,
};

/* A file descriptor of a connected pair of sockets: what is sent comes back. */
#define FAKE_SOCKET 900


/* Whether nothing is open, mapped or left. Says what is. */
bool fake_is_clean(void);

/* The @nth call (1 is the next) of @call, or ioctl if that is 0, fails. */
void fake_fail(enum fake_call call, int nth, int err);
void fake_fail_ioctl(unsigned long command, int err);

/*
 * A signal ends the @nth call that one can end, whichever it is, before it has done
 * anything; 0 for none. Releases and REOPEN are none of those: they do not wait, and
 * what was received would be lost. Returns how many were left to go.
 */
unsigned int fake_interrupt(unsigned int nth);

/* Whether that happened since the last call of this function. */
bool fake_interrupted(void);

/*
 * The @nth call that can do a part of what it is asked for does no more than the least
 * part, an event of several; 0 for none. Returns how many were left to go.
 */
unsigned int fake_partial(unsigned int nth);

/* All mappings longer than this fail with ENOMEM; 0 for no limit. */
void fake_limit_map(size_t length);

/* Called before each ioctl: true if it did the work itself, with *ret. */
extern bool (*fake_hook)(int fd, unsigned long command, void *argument, int *ret);

/* The same before each other call of enum fake_call. */
extern bool (*fake_before)(enum fake_call call, long *ret);

/*
 * Called after each of them that was done: changes what was given and what is returned.
 * What was given are the bytes of a read, the message of a RECVMSG, the argument of an
 * ioctl, whose number is @size then; else NULL.
 */
extern void (*fake_after)(enum fake_call call, void *given, size_t size, long *ret);

/* How often the kernel was entered since the last call of this function. */
unsigned int fake_calls(void);

/* Whether pages of a segment begin there. */
bool fake_is_mapped(const void *address);

/* What happens outside this process. */
void fake_grow(uint32_t id, uint64_t size);
void fake_remove(uint32_t id);
void fake_doubt(uint32_t id, uint64_t offset, uint64_t length, int pid);
struct ipm_status *fake_status(uint32_t id);
struct ipm_status *fake_status_of(int fd);

/* Puts a message on FAKE_SOCKET as somebody else would send it. */
void fake_message(const void *bytes, size_t size, int nr_fds, int msg_flags);

/* How many messages are in FAKE_SOCKET. */
unsigned int fake_messages(void);

/* How many claims and asynchronous waits @id has. */
unsigned int fake_claims(uint32_t id);

/* --- a context that counts --- */

struct fake_context {
	ipm_context ctx;
	unsigned int live;	/* allocations that were not freed */
	unsigned int allocations;
	unsigned int fail_at;	/* the how manyth fails; 0 for none */
	unsigned int reports;
	char message[700];	/* the last one */
};

void fake_context_init(struct fake_context *context);

#endif /* FAKE_KERNEL_H */
