/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exchanges: one item at a time. What was published has to be consumed before the
 * next can be published; a consumer gets exactly the bytes of one item, be it none
 * or many GiB; a client that asks gets the reply to its own request.
 *
 * An exchange lies in memory that the caller provides: a segment (ipm_memory.h, with
 * ipm_exchange_attach_memory()) or any other shared mapping. It is formatted once
 * with ipm_exchange_create() and used through handles, each from
 * ipm_exchange_attach(). A handle belongs to one thread at a time; a forked child
 * attaches its own.
 *
 * Turns. There may be many publishers and many consumers. Of each, one at a time has
 * the turn, and the others stand in a queue, in the order in which they came: two
 * items are never mixed, and nobody is overtaken. The try forms do not queue.
 *
 * Sizes. An item of up to a window (4 MiB unless said otherwise) is there as a whole:
 * publishing it waits for the former item to be consumed, not for its own. A larger
 * one goes through the window in pieces, and the call returns when a consumer has
 * read the last. Both sides copy at the same time. Items of up to a window can be
 * made and read in place, without any copy.
 *
 * Waiting is that of channels (ipm_channel.h): a call polls, then sleeps, and makes
 * no system call as long as neither side sleeps. A wait ends when
 *
 *	it is done			%IPM_RESULT_SUCCESS
 *	the deadline passes		%IPM_RESULT_ERR_TIMEOUT, or
 *					%IPM_RESULT_ERR_WOULD_BLOCK if that is
 *					%IPM_DEADLINE_NOW
 *	a signal handler has run	%IPM_RESULT_INTERRUPTED
 *	the other side died		%IPM_RESULT_ERR_PEER_DIED
 *
 * After TIMEOUT, WOULD_BLOCK and INTERRUPTED nothing has happened: a publisher's item
 * is not delivered, a consumer's is still there, from its first byte. Call again, or
 * do not.
 *
 * Death. A participant may be killed at any instruction. Then
 *
 *	what it had not published	is dropped and counted
 *	what it had published		is delivered; a request that no server has
 *					taken yet is dropped
 *	what it was consuming		is delivered to the next consumer, marked
 *					%IPM_EXCHANGE_REDELIVERED
 *	a request it had to answer	gets no reply
 *	its turn and place in the queue	go to the next
 *
 * and others are told with %IPM_RESULT_ERR_PEER_DIED: who was reading what it was
 * writing, or waited for its reply; and everybody who waits for a side of which
 * somebody died and nobody is left, until a new one attaches. Nobody on the other side
 * yet, or nobody any more after an orderly detach, is no reason to end a wait.
 *
 * Everything in the memory may be written by a hostile peer at any time. It is read
 * once, checked, and then used: a peer can spoil items and make calls return
 * %IPM_RESULT_ERR_CORRUPTED, and nothing else. Bytes that are read in place may change
 * while they are looked at; who does not trust the peer copies them first.
 *
 * Every call that takes an exchange returns %IPM_RESULT_ERR_BAD_VALUE for NULL, and
 * for a negative deadline.
 */
#ifndef IPM_EXCHANGE_H
#define IPM_EXCHANGE_H

#include <ipm/ipm_channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A handle on an exchange. */
typedef struct ipm_exchange ipm_exchange;

/** Only publish and consume: half the memory, and no requests. */
#define IPM_EXCHANGE_ONE_WAY 1u

/** Bytes of the smallest and of the largest window. */
#define IPM_EXCHANGE_WINDOW_MIN ((size_t)4096)
#define IPM_EXCHANGE_WINDOW_MAX ((SIZE_MAX >> 2) + 1)

/**
 * struct ipm_exchange_options - the shape of an exchange
 *
 * Zero everything, set @struct_size, and what is wanted besides.
 *
 * @struct_size: sizeof(ipm_exchange_options)
 * @window: bytes of the largest item that is there as a whole, rounded up to 4096; 0
 *	means 4 MiB. There are two windows, one for each direction
 * @flags: 0 or %IPM_EXCHANGE_ONE_WAY
 * @participants: how many handles may be attached with a role at once; 0 means 32. At
 *	most %IPM_RING_MAX_SLOTS
 * @publish_bell: doorbell bits that are rung for a publisher that asked for it with
 *	ipm_exchange_arm(), also for its reply; 0 if nobody will
 * @consume_bell: likewise for consumers
 */
typedef struct ipm_exchange_options {
	size_t struct_size;
	size_t window;
	uint32_t flags;
	uint32_t participants;
	uint64_t publish_bell;
	uint64_t consume_bell;
} ipm_exchange_options;

/** Attach to publish and to ask: a client. */
#define IPM_EXCHANGE_PUBLISHER 1u
/** Attach to consume and to reply: a server. */
#define IPM_EXCHANGE_CONSUMER 2u

/**
 * struct ipm_exchange_attach_options - how to use an exchange
 *
 * @struct_size: sizeof(ipm_exchange_attach_options)
 * @roles: %IPM_EXCHANGE_PUBLISHER, %IPM_EXCHANGE_CONSUMER or both; 0 only observes,
 *	and is the one way for memory that is mapped read-only
 * @slot: number of this participant, below %IPM_RING_MAX_SLOTS
 * @generation: generation of @slot
 * @reserved: 0
 * @config: how to wait; zeros for the defaults
 * @liveness: who is alive; without it no death is ever noticed
 * @bell: rings doorbell bits (see struct ipm_exchange_options), in the thread that
 *	made the call, such as by writing to an eventfd; NULL if this handle cannot.
 *	Then no other handle should wait in epoll for this one
 * @bell_param: handed to @bell
 */
typedef struct ipm_exchange_attach_options {
	size_t struct_size;
	uint32_t roles;
	uint32_t slot;
	uint32_t generation;
	uint32_t reserved;
	ipm_channel_config config;
	ipm_ring_liveness liveness;
	void (*bell)(void *param, uint64_t bits);
	void *bell_param;
} ipm_exchange_attach_options;

/** The item was in the hands of a consumer that died, or left, before it was done. */
#define IPM_EXCHANGE_REDELIVERED 1u
/** The item is a request: its consumer owes a reply. */
#define IPM_EXCHANGE_REQUEST 2u

/**
 * struct ipm_exchange_item - an item in the exchange's memory
 *
 * Owned by the caller. @data is valid until the item is committed, discarded or
 * finished.
 *
 * @data: its bytes; aligned to 8, from 97 bytes on to 64
 * @size: how many
 * @number: grows by one with each item of a direction
 * @flags: %IPM_EXCHANGE_REDELIVERED, %IPM_EXCHANGE_REQUEST
 * @priv: for the library
 */
typedef struct ipm_exchange_item {
	void *data;
	size_t size;
	uint64_t number;
	uint32_t flags;
	uint32_t priv;
} ipm_exchange_item;

/** enum ipm_exchange_event - what to be rung for */
typedef enum ipm_exchange_event {
	/** Publishing may go on. */
	IPM_EXCHANGE_PUBLISH = 1,
	/** There is an item to consume. */
	IPM_EXCHANGE_CONSUME = 2,
	/** The reply to this handle's request is there, or never comes. */
	IPM_EXCHANGE_REPLY = 3
} ipm_exchange_event;

/**
 * struct ipm_exchange_stats - what happened on an exchange, and what this handle did
 *
 * Read without stopping anybody: each field is right at some moment of the call.
 *
 * @window: bytes of an item that is there as a whole
 * @published: items and requests, given up ones too
 * @consumed: those that are out of the box again; the same, or one less
 * @replied: replies
 * @dropped: half-made items of dead publishers, requests and replies that nobody
 *	waited for any more; one may be counted twice when who cleans up dies in that
 *	very instant
 * @redelivered: items that were consumed after another consumer had begun with them
 * @waits: calls of this handle that could not go on at once
 * @sleeps: how often it fell asleep, as are
 * @naps: ... until nothing but the limit of the sleep ended it,
 * @wakes: how often it woke the other side, and
 * @bells: how often it rang the doorbell
 * @publishers: handles that are attached and alive
 * @consumers: likewise
 * @dead: died without detaching, and not replaced yet
 * @queued: handles that wait for their turn
 */
typedef struct ipm_exchange_stats {
	uint64_t window;
	uint64_t published;
	uint64_t consumed;
	uint64_t replied;
	uint64_t dropped;
	uint64_t redelivered;
	uint64_t waits;
	uint64_t sleeps;
	uint64_t naps;
	uint64_t wakes;
	uint64_t bells;
	uint32_t publishers;
	uint32_t consumers;
	uint32_t dead;
	uint32_t queued;
} ipm_exchange_stats;

/**
 * ipm_exchange_footprint() - how much memory an exchange needs
 * @options: the shape
 * @size: where the number of bytes goes
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_BAD_VALUE for a NULL pointer or an
 * impossible option; %IPM_RESULT_ERR_BAD_SIZE for an impossible window.
 */
IPM_API ipm_result ipm_exchange_footprint(const ipm_exchange_options *options, size_t *size);

/**
 * ipm_exchange_create() - format memory as an empty exchange
 * @options: the shape
 * @memory: where; aligned to %IPM_RING_ALIGNMENT. Stays the caller's, and may be
 *	mapped at another address by every process
 * @size: bytes of @memory; what is beyond the footprint is not touched
 *
 * Nobody may use the memory during the call. A creator that dies half-way leaves
 * memory that ipm_exchange_attach() refuses.
 *
 * Return: as ipm_exchange_footprint(); %IPM_RESULT_ERR_BAD_VALUE also for misaligned
 * memory; %IPM_RESULT_ERR_TOO_SMALL.
 */
IPM_API ipm_result ipm_exchange_create(const ipm_exchange_options *options, void *memory,
				       size_t size);

/**
 * ipm_exchange_attach() - get a handle on an exchange
 * @context: callbacks for the memory of the handle, or NULL
 * @options: roles and identity
 * @memory: the exchange, at any address aligned as for ipm_exchange_create(); has to
 *	stay mapped until ipm_exchange_detach()
 * @size: bytes of @memory; at least the footprint
 * @exchange: where the handle goes; freed by ipm_exchange_detach()
 *
 * Takes over the place of one who died in the same role, after cleaning up what it
 * left.
 *
 * Return: %IPM_RESULT_SUCCESS;
 * %IPM_RESULT_ERR_BAD_VALUE for a NULL pointer, misaligned memory or an impossible
 * option;
 * %IPM_RESULT_ERR_BAD_INIT if there is no exchange, or one that is not finished;
 * %IPM_RESULT_ERR_VERSION if another layout version made it;
 * %IPM_RESULT_ERR_TOO_SMALL if @size is smaller than the exchange;
 * %IPM_RESULT_ERR_CORRUPTED if its header contradicts itself;
 * %IPM_RESULT_ERR_LIMIT if there are as many participants as it was made for;
 * %IPM_RESULT_ERR_OUT_OF_MEMORY.
 */
IPM_API ipm_result ipm_exchange_attach(const ipm_context *context,
				       const ipm_exchange_attach_options *options, void *memory,
				       size_t size, ipm_exchange **exchange);

struct ipm_memory;

/**
 * ipm_exchange_attach_memory() - get a handle on an exchange in a segment
 * @context: callbacks for the memory of the handle, or NULL
 * @options: roles and configuration; @slot, @generation, @liveness and @bell are 0
 *	and come from the kernel
 * @memory: a handle on the segment, with a mapping; read-only for roles 0. Has to
 *	stay open until ipm_exchange_detach(). Its slot says who this participant is
 * @offset: bytes from the start of the segment, a multiple of %IPM_RING_ALIGNMENT
 * @size: bytes of the exchange; 0 for all to the end of the segment
 * @exchange: where the handle goes; freed by ipm_exchange_detach()
 *
 * Doorbells reach other handles than the one that rings: both sides, in one process
 * too, have an ipm_memory each.
 *
 * Return: as ipm_exchange_attach() and ipm_memory_slot();
 * %IPM_RESULT_ERR_BAD_VALUE if the range is not inside the segment;
 * %IPM_RESULT_ERR_BAD_ACCESS if the segment is read-only and @roles is not 0;
 * %IPM_RESULT_ERR_BAD_INIT also without a mapping.
 */
IPM_API ipm_result ipm_exchange_attach_memory(const ipm_context *context,
					      const ipm_exchange_attach_options *options,
					      struct ipm_memory *memory, uint64_t offset,
					      size_t size, ipm_exchange **exchange);

/**
 * ipm_exchange_detach() - give a handle back
 * @exchange: the handle, or NULL
 *
 * What was reserved is discarded; what was peeked and not finished is delivered again;
 * a reply that is waited for is given up (ipm_exchange_cancel()), one that is owed is
 * refused (ipm_exchange_refuse()). The exchange itself stays.
 */
IPM_API void ipm_exchange_detach(ipm_exchange *exchange);

/* ------------------------------------------------------------------------ */
/* Publishing                                                               */
/* ------------------------------------------------------------------------ */

/**
 * ipm_exchange_publish_until() - publish an item, wait for the former until a deadline
 * @exchange: a publisher's handle
 * @data: the item; may be NULL if @size is 0
 * @size: its bytes, any number
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: %IPM_RESULT_SUCCESS the item is in the window, or, if it is larger, was
 * read; how a wait ends, see above; %IPM_RESULT_ERR_TOO_LARGE it is larger than the
 * window, and the deadline is %IPM_DEADLINE_NOW; %IPM_RESULT_ERR_ALREADY_LOCKED this
 * handle has reserved an item or awaits a reply; %IPM_RESULT_ERR_BAD_ACCESS if it is
 * no publisher; %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_exchange_publish_until(ipm_exchange *exchange, const void *data,
					      size_t size, int64_t deadline);

/** ipm_exchange_publish() - ipm_exchange_publish_until() with %IPM_DEADLINE_NONE */
IPM_API ipm_result ipm_exchange_publish(ipm_exchange *exchange, const void *data, size_t size);

/** ipm_exchange_publish_try() - ipm_exchange_publish_until() with %IPM_DEADLINE_NOW */
IPM_API ipm_result ipm_exchange_publish_try(ipm_exchange *exchange, const void *data,
					    size_t size);

/**
 * ipm_exchange_reserve() - room for an item, to be made in place
 * @exchange: a publisher's handle
 * @size: its bytes, up to the window
 * @deadline: see %IPM_DEADLINE_NONE
 * @item: where the room goes; ends with ipm_exchange_commit(),
 *	ipm_exchange_commit_ask() or ipm_exchange_discard(). Until then this handle has
 *	the turn, and other publishers wait
 *
 * Return: as ipm_exchange_publish_until(); %IPM_RESULT_ERR_TOO_LARGE for more than the
 * window.
 */
IPM_API ipm_result ipm_exchange_reserve(ipm_exchange *exchange, size_t size, int64_t deadline,
					ipm_exchange_item *item);

/**
 * ipm_exchange_commit() - publish what was reserved, an item or a reply
 * @exchange: the handle that reserved it
 * @item: the item; its @size may have been made smaller
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_LOCKED if it is not reserved by this
 * handle; %IPM_RESULT_ERR_BAD_SIZE if @item->size is larger than reserved, the
 * reservation stays; %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_exchange_commit(ipm_exchange *exchange, const ipm_exchange_item *item);

/**
 * ipm_exchange_discard() - give a reservation up
 * @exchange: the handle that reserved it
 * @item: the item
 *
 * A reply is still owed afterwards.
 *
 * Return: %IPM_RESULT_SUCCESS, %IPM_RESULT_ERR_NOT_LOCKED or
 * %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_exchange_discard(ipm_exchange *exchange, const ipm_exchange_item *item);

/* ------------------------------------------------------------------------ */
/* Consuming                                                                */
/* ------------------------------------------------------------------------ */

/**
 * ipm_exchange_consume_until() - consume an item, wait for one until a deadline
 * @exchange: a consumer's handle
 * @buffer: where the item goes; may be NULL if @capacity is 0
 * @capacity: bytes of @buffer
 * @size: where its bytes go
 * @flags: where %IPM_EXCHANGE_REDELIVERED and %IPM_EXCHANGE_REQUEST go, or NULL. After a
 *	request this handle keeps the turn until it calls ipm_exchange_reply(),
 *	ipm_exchange_commit() for a reserved reply, or ipm_exchange_refuse()
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * If it does not succeed, @buffer may hold parts of an item.
 *
 * Return: %IPM_RESULT_SUCCESS; how a wait ends, see above;
 * %IPM_RESULT_ERR_TOO_SMALL the item stays, and @size tells its bytes (SIZE_MAX: that or
 * more, where a 32-bit process is sent what it cannot have);
 * %IPM_RESULT_ERR_TOO_LARGE it is larger than the window, and the deadline is
 * %IPM_DEADLINE_NOW; the item stays, and @size tells its bytes;
 * %IPM_RESULT_ERR_ALREADY_LOCKED this handle owes a reply, or has peeked an item;
 * %IPM_RESULT_ERR_BAD_ACCESS if it is no consumer; %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_exchange_consume_until(ipm_exchange *exchange, void *buffer,
					      size_t capacity, size_t *size, uint32_t *flags,
					      int64_t deadline);

/** ipm_exchange_consume() - ipm_exchange_consume_until() with %IPM_DEADLINE_NONE */
IPM_API ipm_result ipm_exchange_consume(ipm_exchange *exchange, void *buffer, size_t capacity,
					size_t *size, uint32_t *flags);

/** ipm_exchange_consume_try() - ipm_exchange_consume_until() with %IPM_DEADLINE_NOW */
IPM_API ipm_result ipm_exchange_consume_try(ipm_exchange *exchange, void *buffer,
					    size_t capacity, size_t *size, uint32_t *flags);

/**
 * ipm_exchange_peek() - take an item, to be read in place
 * @exchange: a consumer's handle
 * @deadline: see %IPM_DEADLINE_NONE
 * @item: where it goes; ends with ipm_exchange_finish(). Until then it is not consumed
 *
 * Return: as ipm_exchange_consume_until(); %IPM_RESULT_ERR_TOO_LARGE it is larger than
 * the window, whatever the deadline: ipm_exchange_consume() takes it. @item->size tells
 * its bytes.
 */
IPM_API ipm_result ipm_exchange_peek(ipm_exchange *exchange, int64_t deadline,
				     ipm_exchange_item *item);

/**
 * ipm_exchange_finish() - done with what was peeked, an item or a reply
 * @exchange: the handle that peeked it
 * @item: the item
 *
 * A request is answered after that.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_LOCKED if it is not peeked by this
 * handle; %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_exchange_finish(ipm_exchange *exchange, const ipm_exchange_item *item);

/* ------------------------------------------------------------------------ */
/* Request and reply                                                        */
/* ------------------------------------------------------------------------ */

/**
 * ipm_exchange_request() - ask, and wait for the reply
 * @exchange: a publisher's handle
 * @data: the request; may be NULL if @size is 0
 * @size: its bytes
 * @buffer: where the reply goes; may be NULL if @capacity is 0
 * @capacity: bytes of @buffer
 * @reply_size: where the bytes of the reply go
 * @deadline: for both; not %IPM_DEADLINE_NOW
 *
 * Requests are served in the order in which they came. If the call does not succeed,
 * the request is given up: a server may have seen it, and its reply is dropped. Who
 * wants to go on waiting after a signal uses ipm_exchange_ask() and
 * ipm_exchange_take_reply().
 *
 * Return: %IPM_RESULT_SUCCESS; how a wait ends, see above;
 * %IPM_RESULT_ERR_PEER_DIED also if another server lives, but the one that had taken
 * the request died; %IPM_RESULT_ERR_CLOSED it refused to answer, or left;
 * %IPM_RESULT_ERR_TOO_SMALL the reply stays for ipm_exchange_take_reply(), and
 * @reply_size tells its bytes; %IPM_RESULT_ERR_NOT_SUPPORTED an exchange that goes
 * %IPM_EXCHANGE_ONE_WAY; else as ipm_exchange_publish_until().
 */
IPM_API ipm_result ipm_exchange_request(ipm_exchange *exchange, const void *data, size_t size,
					void *buffer, size_t capacity, size_t *reply_size,
					int64_t deadline);

/**
 * ipm_exchange_ask() - publish a request
 * @exchange: a publisher's handle
 * @data: the request
 * @size: its bytes
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * This handle keeps the turn until ipm_exchange_take_reply(),
 * ipm_exchange_finish() after ipm_exchange_peek_reply(), or ipm_exchange_cancel().
 *
 * Return: as ipm_exchange_publish_until(); %IPM_RESULT_ERR_NOT_SUPPORTED.
 */
IPM_API ipm_result ipm_exchange_ask(ipm_exchange *exchange, const void *data, size_t size,
				    int64_t deadline);

/**
 * ipm_exchange_commit_ask() - publish what was reserved as a request
 * @exchange: the handle that reserved it
 * @item: the item
 *
 * Return: as ipm_exchange_commit(); %IPM_RESULT_ERR_NOT_SUPPORTED.
 */
IPM_API ipm_result ipm_exchange_commit_ask(ipm_exchange *exchange, const ipm_exchange_item *item);

/**
 * ipm_exchange_take_reply() - wait for the reply
 * @exchange: a handle that has asked
 * @buffer: where the reply goes
 * @capacity: bytes of @buffer
 * @size: where its bytes go
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: as ipm_exchange_request(). After TIMEOUT, WOULD_BLOCK, INTERRUPTED, TOO_SMALL
 * and TOO_LARGE the reply can still be had; after all others it is over.
 * %IPM_RESULT_ERR_NOT_LOCKED this handle awaits none.
 */
IPM_API ipm_result ipm_exchange_take_reply(ipm_exchange *exchange, void *buffer, size_t capacity,
					   size_t *size, int64_t deadline);

/**
 * ipm_exchange_peek_reply() - wait for the reply, to be read in place
 * @exchange: a handle that has asked
 * @deadline: see %IPM_DEADLINE_NONE
 * @item: where it goes; ends with ipm_exchange_finish()
 *
 * Return: as ipm_exchange_take_reply().
 */
IPM_API ipm_result ipm_exchange_peek_reply(ipm_exchange *exchange, int64_t deadline,
					   ipm_exchange_item *item);

/**
 * ipm_exchange_cancel() - do not wait for the reply any more
 * @exchange: a handle that has asked
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_LOCKED;
 * %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_exchange_cancel(ipm_exchange *exchange);

/**
 * ipm_exchange_reply() - answer the request that was consumed
 * @exchange: a handle that owes a reply
 * @data: the reply; may be NULL if @size is 0
 * @size: its bytes, any number
 * @deadline: see %IPM_DEADLINE_NONE
 *
 * Return: %IPM_RESULT_SUCCESS the reply is in the window, or, if it is larger, was
 * read; how a wait ends, see above; after TIMEOUT, WOULD_BLOCK and INTERRUPTED it is
 * still owed, after all others not; %IPM_RESULT_ERR_PEER_DIED the client died;
 * %IPM_RESULT_ERR_REMOVED it does not wait any more; %IPM_RESULT_ERR_NOT_LOCKED none
 * is owed; %IPM_RESULT_ERR_ALREADY_LOCKED one was reserved;
 * %IPM_RESULT_ERR_TOO_LARGE as ipm_exchange_publish_until();
 * %IPM_RESULT_ERR_CORRUPTED.
 */
IPM_API ipm_result ipm_exchange_reply(ipm_exchange *exchange, const void *data, size_t size,
				      int64_t deadline);

/**
 * ipm_exchange_reserve_reply() - room for the reply, to be made in place
 * @exchange: a handle that owes a reply
 * @size: its bytes, up to the window
 * @deadline: see %IPM_DEADLINE_NONE
 * @item: where the room goes; ends with ipm_exchange_commit() or
 *	ipm_exchange_discard()
 *
 * Return: as ipm_exchange_reply(); %IPM_RESULT_ERR_TOO_LARGE for more than the window,
 * the reply is still owed.
 */
IPM_API ipm_result ipm_exchange_reserve_reply(ipm_exchange *exchange, size_t size,
					      int64_t deadline, ipm_exchange_item *item);

/**
 * ipm_exchange_refuse() - do not answer
 * @exchange: a handle that owes a reply
 *
 * The client is told %IPM_RESULT_ERR_CLOSED.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_LOCKED;
 * %IPM_RESULT_ERR_ALREADY_LOCKED a reply was reserved.
 */
IPM_API ipm_result ipm_exchange_refuse(ipm_exchange *exchange);

/* ------------------------------------------------------------------------ */
/* Waiting in epoll, and looking                                            */
/* ------------------------------------------------------------------------ */

/**
 * ipm_exchange_arm() - ask for the doorbell
 * @exchange: the handle
 * @event: what to be rung for
 * @ready: receives whether it is so already
 *
 * A loop uses the try forms until %IPM_RESULT_ERR_WOULD_BLOCK, calls this, starts over
 * if @ready, and else waits for its file descriptors. The bell rings once. In a
 * segment, ipm_memory_fd() hears it after ipm_memory_subscribe() to the bits of the
 * side and to %IPM_MEMORY_HEAR_DEATH; after an event of a death,
 * ipm_exchange_check() cleans up and says whether waiting still makes sense.
 *
 * Who waits so stands in no queue.
 *
 * Return: %IPM_RESULT_SUCCESS; %IPM_RESULT_ERR_NOT_SUPPORTED the exchange was made
 * without that bell; %IPM_RESULT_ERR_BAD_ACCESS the handle lacks the role;
 * %IPM_RESULT_ERR_NOT_LOCKED it awaits no reply.
 */
IPM_API ipm_result ipm_exchange_arm(ipm_exchange *exchange, ipm_exchange_event event,
				    bool *ready);

/**
 * ipm_exchange_check() - clean up after the dead, and see whether waiting makes sense
 * @exchange: the handle
 * @event: what is waited for
 *
 * When every exchange and channel of a segment was checked, its dead slots may be
 * reaped (ipm_memory_reap()).
 *
 * Return: %IPM_RESULT_SUCCESS it is so, or may still come;
 * %IPM_RESULT_ERR_PEER_DIED; else as ipm_exchange_arm().
 */
IPM_API ipm_result ipm_exchange_check(ipm_exchange *exchange, ipm_exchange_event event);

/**
 * ipm_exchange_get_stats() - what an exchange and this handle have done
 * @exchange: any handle
 * @stats: where the answer goes
 *
 * Return: %IPM_RESULT_SUCCESS.
 */
IPM_API ipm_result ipm_exchange_get_stats(ipm_exchange *exchange, ipm_exchange_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* IPM_EXCHANGE_H */
