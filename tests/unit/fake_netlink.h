/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The netlink family of the module inside the test program, in the place of the system
 * calls that send to a netlink socket, read from it, and wait for it. The sockets are
 * real, so the running kernel has to know netlink.
 *
 * It answers the question for the family, lists what the test has prepared, and sends
 * what the test sends. It fails on demand.
 */
#ifndef FAKE_NETLINK_H
#define FAKE_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/ipm.h>

#define FAKE_NL_ROOM 8192

/* A message of the family, or what is behind its header. */
struct fake_nl_message {
	_Alignas(8) char bytes[FAKE_NL_ROOM];
	uint32_t size;
};

struct fake_nl_message fake_nl_new(uint8_t command, uint8_t version);
void fake_nl_add(struct fake_nl_message *m, uint16_t type, const void *data, uint16_t size);
void fake_nl_add_u32(struct fake_nl_message *m, uint16_t type, uint32_t value);
void fake_nl_add_u64(struct fake_nl_message *m, uint16_t type, uint64_t value);

/* An entry of each list, as the module makes them; nothing for other commands. */
struct fake_nl_message fake_nl_entry(uint8_t command, uint32_t id);

/* --- what the module has --- */

/* Whether there is a family. */
extern bool fake_nl_has_family;

/*
 * Each list has that many entries, one message each, numbered from the first on. The
 * next interrupted lists are not exact.
 */
extern unsigned int fake_nl_entries;
extern uint32_t fake_nl_first;
extern unsigned int fake_nl_interrupted;

/* What a request is refused with: the errno in the kernel's answer, or 0. */
extern int fake_nl_refusal;

/* Number of the last event, for the answer to a SUBSCRIBE. */
extern uint64_t fake_nl_seq;

/* Sends a message to the socket that has subscribed; @from is the sender's port. */
void fake_nl_send(struct fake_nl_message *m, uint32_t from);

/* The next event, of a type; some that are counted and never come. */
void fake_nl_event(uint32_t type);
void fake_nl_lose(unsigned int events);

/* --- system calls --- */

/* The @nth from now on, of those that may fail, fails with @err; 0 for none. */
void fake_nl_fail(unsigned int nth, int err);

/* How many were made since the last call of this function. */
unsigned int fake_nl_calls(void);

/*
 * There is no room for the answers to so many of the next SUBSCRIBEs, nor for anything
 * else until the queue was empty once.
 */
extern unsigned int fake_nl_full;

/* The next read fails with this, whatever is there; what is there stays. */
void fake_nl_fail_read(int err);

/* As at the start: nothing to read, nothing to fail, no entries. */
void fake_nl_reset(void);

#endif /* FAKE_NETLINK_H */
