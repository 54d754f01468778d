// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm send and ipm recv: a stream of bytes through a channel in a segment.
 *
 * The segment: a page with struct stream_page, then a channel of one writer and one
 * reader. Whoever comes first makes it, complete, with its own place in it taken, and
 * only then gives it its name; the other opens it. It is volatile: it ends with the
 * two, however they end.
 *
 * Places. Each side holds a write claim on a few bytes of the page that stand for its
 * place, and says there that the place was taken. So the kernel tells: a place whose
 * claim is held is taken; one in doubt was left by a death; one that is free, but was
 * taken before, belongs to a stream that is over.
 *
 * The end. A stream that ends well ends with a record that says how many bytes there
 * were, and the receiver's word that it has passed them on. Everything else, above all
 * the death of the other side, is STATUS_BROKEN. Nobody handles signals for that: who
 * is killed is dead, and the kernel tells the other.
 *
 * What stands in shared memory is not trusted further than that: words are read once,
 * and records have to follow each other without a gap.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#define STREAM_MAGIC 0x316d737274736d69ULL	/* "imstrsm1" in memory */
#define PAGE 4096
#define PLACE_OFFSET 1024
#define PLACE_SIZE 64
#define DEFAULT_BUFFER (1ULL << 20)
#define BELL 1

/* How long to wait at most before looking around. */
#define LOOK_NS 500000000LL

enum side { SENDER, RECEIVER };

enum outcome { OUTCOME_OPEN, OUTCOME_DONE, OUTCOME_FAILED };

enum record_type { RECORD_DATA = 1, RECORD_END = 2, RECORD_ABORT = 3 };

/**
 * struct stream_page - the first page of the segment
 * @magic: STREAM_MAGIC
 * @total: bytes that the sender expects to send, 0 if it does not know; a hint
 * @outcome: enum outcome, set by the receiver
 */
struct stream_page {
	uint64_t magic;
	uint64_t total;
	uint32_t outcome;
};

/* In front of the bytes of each record. */
struct record_head {
	uint64_t position;	/* bytes before this record */
	uint32_t type;
	uint32_t reserved;
};

struct stream {
	const char *text;	/* as the user wrote it */
	char *label;		/* the same, safe to show */
	enum side side;
	uint64_t buffer;
	uint32_t mode;
	uint32_t owner;		/* whose streams are accepted */
	uint64_t total;
	int64_t start_deadline;
	int show;		/* progress: 1 always, 0 never, -1 on a terminal */
	ipm_memory *memory;
	ipm_channel *channel;
	struct stream_page *page;
	ipm_id place;
	size_t record;		/* bytes of a full record */
	bool joined;		/* the other side was there */
	struct progress progress;
};

static const char *const side_names[] = { "sender", "receiver" };

static enum side other(const struct stream *s)
{
	return s->side == SENDER ? RECEIVER : SENDER;
}

/* The word that says that a place was taken. */
static uint32_t *place_word(const struct stream *s, enum side side)
{
	return (uint32_t *)(void *)((char *)s->page + PLACE_OFFSET + side * PLACE_SIZE);
}

/* --- making and joining --- */

static ipm_result claim_place(struct stream *s, uint32_t *granted)
{
	ipm_memory_claim_options claim = {
		.struct_size = sizeof(claim),
		.offset = PLACE_OFFSET + (uint64_t)s->side * PLACE_SIZE,
		.length = PLACE_SIZE,
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.deadline = IPM_DEADLINE_NOW,
	};

	return ipm_memory_claim(s->memory, &claim, &s->place, granted);
}

static ipm_result attach(struct stream *s)
{
	ipm_channel_attach_options options = {
		.struct_size = sizeof(options),
		.roles = s->side == SENDER ? IPM_RING_PRODUCER : IPM_RING_CONSUMER,
	};
	ipm_ring_limits limits = { 0 };
	ipm_result result;

	result = ipm_memory_subscribe(s->memory, BELL, IPM_MEMORY_HEAR_DEATH);
	if (!result)
		result = ipm_channel_attach_memory(NULL, &options, s->memory, PAGE, 0, &s->channel);
	if (!result)
		result = ipm_ring_get_limits(ipm_channel_ring(s->channel), &limits);
	if (!result) {
		s->record = limits.capacity / 8;
		if (s->record > limits.max_record)
			s->record = limits.max_record;
	}
	return result;
}

static void leave(struct stream *s)
{
	ipm_channel_detach(s->channel);
	s->channel = NULL;
	ipm_memory_slot_give(s->memory);
	ipm_memory_close(s->memory);
	s->memory = NULL;
}

static ipm_result make(struct stream *s)
{
	ipm_memory_create_options create = {
		.struct_size = sizeof(create),
		.ref = ipm_ref_private(),
		.mode = s->mode,
		.access = IPM_ACCESS_MODE_READ_WRITE,
	};
	ipm_channel_options options = {
		.struct_size = sizeof(options),
		.ring = { .struct_size = sizeof(options.ring), .kind = IPM_RING_KIND_SPSC },
	};
	ipm_result result;
	size_t size;

	result = ipm_channel_footprint(&options, s->buffer, &size);
	if (result)
		return result;
	create.size = create.capacity = PAGE + size;
	result = ipm_memory_create_ex(NULL, &create, &s->memory);
	if (result)
		return result;
	s->page = ipm_memory_pointer(s->memory);
	result = s->page ? ipm_channel_create(&options, (char *)s->page + PAGE, size) :
			   IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
	if (!result)
		result = claim_place(s, NULL);
	if (!result)
		result = attach(s);
	if (!result) {
		*place_word(s, s->side) = 1;
		s->page->total = s->side == SENDER ? s->total : 0;
		s->page->magic = STREAM_MAGIC;
	}
	if (result)
		leave(s);
	return result;
}

/* What is there has to be a stream, of somebody whom we expect. */
static int check_stream(struct stream *s)
{
	ipm_memory_details details = { .struct_size = sizeof(details) };
	ipm_result result;

	s->page = ipm_memory_pointer(s->memory);
	result = ipm_memory_get_details(NULL, ipm_ref_memory(s->memory), &details);
	if (result || !s->page)
		return failed(s->text, result ? result : IPM_RESULT_ERR_OS_OUT_OF_MEMORY);
	if (details.size <= PAGE ||
	    __atomic_load_n(&s->page->magic, __ATOMIC_ACQUIRE) != STREAM_MAGIC)
		return complain(STATUS_FAILED, "%s: this segment holds no stream; choose another name",
				s->label);
	if (details.cuid != s->owner)
		return complain(STATUS_RIGHTS,
				"%s: this stream is user %s's; if that is right, say --owner %u",
				s->label, user_name(details.cuid), details.cuid);
	return 0;
}

#define TRY_AGAIN (-1)

static int taken(struct stream *s, const char *format)
{
	/* Its name is free by now: there is a new stream to be made. */
	if (ipm_memory_is_removed(s->memory))
		return TRY_AGAIN;
	return complain(STATUS_BUSY, format, s->label, side_names[s->side]);
}

static int join(struct stream *s)
{
	uint32_t granted;
	ipm_result result;
	int status = check_stream(s);

	if (status)
		return status;
	result = claim_place(s, &granted);
	if (result == IPM_RESULT_ERR_WOULD_BLOCK)
		return taken(s, "%s: this stream has a %s already; choose another name");
	if (result)
		return failed(s->text, result);
	if (granted & IPM_MEMORY_GRANT_IN_DOUBT)
		status = taken(s, "%s: the %s of this stream died; it ends with the other side");
	else if (__atomic_load_n(place_word(s, s->side), __ATOMIC_RELAXED))
		status = taken(s, "%s: this stream had a %s already; choose another name");
	if (status) {
		/* Still in doubt for the next. */
		ipm_memory_release_region(s->memory, s->place);
		return status;
	}
	/* Before attach(): from then on the other side relies on it. */
	if (s->side == SENDER)
		__atomic_store_n(&s->page->total, s->total, __ATOMIC_RELAXED);
	__atomic_store_n(place_word(s, s->side), 1, __ATOMIC_RELEASE);
	result = attach(s);
	if (result)
		return failed(s->text, result);
	/* Let it look. */
	ipm_memory_ring_bell(s->memory, BELL, IPM_MEMORY_ALL_SLOTS);
	return 0;
}

static int enter(struct stream *s)
{
	ipm_memory_open_options open = {
		.struct_size = sizeof(open),
		.access = IPM_ACCESS_MODE_READ_WRITE,
	};
	ipm_result result;
	int status = parse_segment(s->text, &open.ref);

	if (status)
		return status;
	if (open.ref.by == IPM_MEMORY_BY_ID)
		return usage_error("a stream is found by name or key: the id of its segment is not "
				   "known before");
	/* Each turn but the last has met others that were quicker. */
	for (;;) {
		result = ipm_memory_open_ex(NULL, &open, &s->memory);
		if (!result) {
			status = join(s);
			if (status)
				leave(s);
			if (status != TRY_AGAIN)
				return status;
			continue;
		}
		if (result != IPM_RESULT_ERR_DOES_NOT_EXIST)
			return failed(s->text, result);
		result = make(s);
		if (result)
			return failed(s->text, result);
		result = ipm_memory_link(s->memory, open.ref);
		if (!result)
			return STATUS_OK;
		leave(s);
		if (result != IPM_RESULT_ERR_EXISTS)
			return failed(s->text, result);
	}
}

/* --- the other side --- */

static bool has_joined(struct stream *s)
{
	if (!s->joined)
		s->joined = __atomic_load_n(place_word(s, other(s)), __ATOMIC_ACQUIRE);
	return s->joined;
}

/* Was it there, and is it gone? */
static bool other_gone(struct stream *s)
{
	ipm_ring_peers peers = { 0 };

	if (!has_joined(s))
		return false;
	/* It had its place, and may have died before it was attached. */
	if (ipm_memory_ref_count(s->memory) == 1)
		return true;
	ipm_ring_get_peers(ipm_channel_ring(s->channel), &peers);
	return s->side == SENDER ? peers.dead_consumers : peers.dead_producers;
}

static bool too_late(struct stream *s)
{
	return !has_joined(s) && s->start_deadline != IPM_DEADLINE_NONE &&
	       ipm_deadline_after(1) > s->start_deadline;
}

static int nobody_came(struct stream *s)
{
	return complain(STATUS_BUSY, "%s: no %s came in time; start \"ipm %s %s\"", s->label,
			side_names[other(s)], s->side == SENDER ? "recv" : "send", s->label);
}

static int broken(struct stream *s, const char *what)
{
	char size[24];

	format_size(size, sizeof(size), s->progress.done, true);
	return complain(STATUS_BROKEN, "%s: the %s %s after %s bytes; the stream is not complete",
			s->label, side_names[other(s)], what, size);
}

static const char dead[] = "died";
static const char gave_up[] = "gave up";

/* Takes the name away, as far as it is ours, so that the next stream can have it. */
static void free_name(struct stream *s)
{
	ipm_memory_remove(NULL, ipm_ref_memory(s->memory));
}

static int broken_result(struct stream *s, ipm_result result)
{
	switch (result) {
	case IPM_RESULT_ERR_PEER_DIED:
		return broken(s, dead);
	case IPM_RESULT_ERR_CLOSED:
		return broken(s, gave_up);
	case IPM_RESULT_ERR_CORRUPTED:
		return broken(s, "or somebody else wrote what no sender writes");
	default:
		return failed(s->text, result);
	}
}

static uint32_t outcome(const struct stream *s)
{
	/* Pairs with the release in conclude(). */
	return __atomic_load_n(&s->page->outcome, __ATOMIC_ACQUIRE);
}

/* --- sending --- */

/* Forgets the events; what they tell is looked up. */
static void drain_events(struct stream *s)
{
	ipm_memory_event events[8];
	size_t count;

	while (!ipm_memory_read_events(s->memory, events, 8, IPM_DEADLINE_NOW, &count))
		;
}

static bool has_given_up(struct stream *s)
{
	return outcome(s) == OUTCOME_FAILED || ipm_channel_is_closed(s->channel);
}

/* 0 to go on. Not for who waits for the end: see await_word(). */
static int look_around(struct stream *s)
{
	if (has_given_up(s))
		return broken(s, gave_up);
	if (other_gone(s))
		return broken(s, dead);
	return too_late(s) ? nobody_came(s) : 0;
}

static int reserve(struct stream *s, size_t size, ipm_ring_record *record)
{
	for (;;) {
		ipm_result result = ipm_channel_reserve(s->channel, size, ipm_deadline_after(LOOK_NS),
							record);
		int status;

		if (!result)
			return 0;
		if (result != IPM_RESULT_ERR_TIMEOUT && result != IPM_RESULT_INTERRUPTED)
			return broken_result(s, result);
		status = look_around(s);
		if (status)
			return status;
	}
}

/*
 * Waits for input, and for news of the other side. A file is always ready, and so is
 * a pipe most of the time: then the look costs one system call.
 */
static int await_input(struct stream *s)
{
	struct pollfd fds[2] = {
		{ .fd = 0, .events = POLLIN },
		{ .fd = ipm_memory_fd(s->memory), .events = POLLIN },
	};

	for (;;) {
		int ready = poll(fds, 2, (int)(LOOK_NS / 1000000));
		int status;

		if (ready < 0 && errno != EINTR)
			return complain(STATUS_FAILED, "the input could not be read: %s",
					strerror(errno));
		if (ready > 0 && fds[1].revents)
			drain_events(s);
		if (ready > 0 && !fds[1].revents && fds[0].revents)
			return 0;
		status = look_around(s);
		if (status)
			return status;
		if (ready > 0 && fds[0].revents)
			return 0;
	}
}

/* Bytes, 0 at the end, -1 after a complaint. */
static ssize_t read_input(struct stream *s, void *to, size_t room, bool file, int *status)
{
	for (;;) {
		ssize_t got;

		if (!file) {
			*status = await_input(s);
			if (*status)
				return -1;
		}
		got = read(0, to, room);
		if (got >= 0)
			return got;
		if (errno != EINTR && errno != EAGAIN) {
			*status = complain(STATUS_FAILED, "the input could not be read: %s",
					   strerror(errno));
			return -1;
		}
	}
}

/* Without the name nobody could come. */
static int await_other(struct stream *s)
{
	while (!has_joined(s)) {
		ipm_memory_event event;
		size_t count;
		int status = look_around(s);

		if (status)
			return status;
		ipm_memory_read_events(s->memory, &event, 1, ipm_deadline_after(LOOK_NS), &count);
	}
	return 0;
}

static int send_last(struct stream *s, enum record_type type)
{
	struct record_head head = { .position = s->progress.done, .type = type };
	ipm_ring_record record;
	ipm_result result;
	int status = type == RECORD_END ? await_other(s) : 0;

	if (!status)
		status = reserve(s, sizeof(head), &record);
	if (status)
		return status;
	/* Then whoever comes next finds no stream of this name, but makes one. */
	free_name(s);
	memcpy(record.data, &head, sizeof(head));
	result = ipm_channel_commit(s->channel, &record);
	return result ? broken_result(s, result) : 0;
}

static int send_all(struct stream *s)
{
	struct stat stat;
	bool file = !fstat(0, &stat) && S_ISREG(stat.st_mode);
	ipm_ring_record record;
	int status;

	for (;;) {
		struct record_head head = { .position = s->progress.done, .type = RECORD_DATA };
		ipm_result result;
		ssize_t got;

		status = reserve(s, s->record, &record);
		if (status)
			return status;
		got = read_input(s, (char *)record.data + sizeof(head), s->record - sizeof(head),
				 file, &status);
		if (got <= 0) {
			ipm_channel_discard(s->channel, &record);
			if (!got)
				return send_last(s, RECORD_END);
			if (status == STATUS_FAILED)
				send_last(s, RECORD_ABORT);
			return status;
		}
		memcpy(record.data, &head, sizeof(head));
		record.size = sizeof(head) + (size_t)got;
		result = ipm_channel_commit(s->channel, &record);
		if (result)
			return broken_result(s, result);
		progress_add(&s->progress, (uint64_t)got);
	}
}

/* All was sent: has it arrived? */
static int await_word(struct stream *s)
{
	for (;;) {
		ipm_memory_event event;
		size_t count;
		bool gone;

		/* In this order: it may have gone well, and then gone, at any moment. */
		gone = other_gone(s);
		if (outcome(s) == OUTCOME_DONE)
			return STATUS_OK;
		if (has_given_up(s))
			return broken(s, gave_up);
		if (gone)
			return broken(s, dead);
		ipm_memory_read_events(s->memory, &event, 1, ipm_deadline_after(LOOK_NS), &count);
	}
}

static int send_stream(struct stream *s)
{
	int status = send_all(s);

	return status ? status : await_word(s);
}

/* --- receiving --- */

static int write_output(struct stream *s, const char *bytes, size_t length)
{
	while (length) {
		ssize_t wrote = write(1, bytes, length);

		if (wrote < 0 && errno == EAGAIN) {
			struct pollfd fd = { .fd = 1, .events = POLLOUT };

			poll(&fd, 1, -1);
		} else if (wrote < 0 && errno != EINTR) {
			return errno == EPIPE ? STATUS_FAILED :
			       complain(STATUS_FAILED, "the output could not be written: %s",
					strerror(errno));
		} else if (wrote > 0) {
			bytes += wrote;
			length -= (size_t)wrote;
			progress_add(&s->progress, (uint64_t)wrote);
		}
	}
	return STATUS_OK;
}

#define GO_ON (-1)

static int take(struct stream *s, const ipm_ring_record *record)
{
	struct record_head head;
	int status;

	if (record->size < sizeof(head))
		return broken_result(s, IPM_RESULT_ERR_CORRUPTED);
	memcpy(&head, record->data, sizeof(head));
	if (head.type == RECORD_ABORT)
		return broken(s, gave_up);
	if (head.position != s->progress.done || (record->flags & IPM_RING_REDELIVERED))
		return broken_result(s, IPM_RESULT_ERR_CORRUPTED);
	if (head.type == RECORD_END)
		return STATUS_OK;
	if (head.type != RECORD_DATA)
		return broken_result(s, IPM_RESULT_ERR_CORRUPTED);
	status = write_output(s, (const char *)record->data + sizeof(head),
			      record->size - sizeof(head));
	return status ? status : GO_ON;
}

static int receive_all(struct stream *s)
{
	ipm_ring_record record;

	for (;;) {
		/* Looked at before: what the dead has written comes first. */
		bool gone = other_gone(s);
		ipm_result result;
		int status;

		result = ipm_channel_peek(s->channel, gone ? IPM_DEADLINE_NOW :
							     ipm_deadline_after(LOOK_NS), &record);
		if (result == IPM_RESULT_ERR_TIMEOUT || result == IPM_RESULT_INTERRUPTED) {
			if (too_late(s))
				return nobody_came(s);
			continue;
		}
		if (result)
			return result == IPM_RESULT_ERR_WOULD_BLOCK ? broken(s, dead) :
								      broken_result(s, result);
		if (!s->progress.total && !s->progress.done)
			s->progress.total = __atomic_load_n(&s->page->total, __ATOMIC_RELAXED);
		status = take(s, &record);
		if (status != GO_ON)
			return status;
		result = ipm_channel_release(s->channel, &record);
		if (result)
			return broken_result(s, result);
	}
}

static int receive_stream(struct stream *s)
{
	int status = receive_all(s);

	/* What a file system says only now is part of the answer. */
	if (!status && close(1) && errno != EBADF)
		status = complain(STATUS_FAILED, "the output could not be written: %s",
				  strerror(errno));
	return status;
}

/* The receiver's word, or anybody's that it is over. */
static void conclude(struct stream *s, int status)
{
	free_name(s);
	if (s->side == RECEIVER)
		/* After all that was passed on; pairs with the load in outcome(). */
		__atomic_store_n(&s->page->outcome, status ? OUTCOME_FAILED : OUTCOME_DONE,
				 __ATOMIC_RELEASE);
	if (status)
		ipm_channel_close(s->channel);
	ipm_memory_ring_bell(s->memory, BELL, IPM_MEMORY_ALL_SLOTS);
}

/* --- the commands --- */

#define STREAM_HELP \
	"  -s, --size SIZE        bytes that are expected, for progress and ETA\n" \
	"  -p, --progress         show progress, also if standard error is no terminal\n" \
	"  -q, --quiet            show none\n" \
	"      --timeout SECONDS  how long to wait for the other side to come (for ever)\n" \
	"      --owner USER       accept a stream that this user began (yours)\n" \
	"      --buffer SIZE      memory between the two, if this side comes first (1M)\n" \
	"  -m, --mode MODE        who may be the other side, if this one comes first (600)\n" \
	"  -h, --help             print this\n"

static const char send_help[] =
	"Usage: ipm send [OPTION...] NAME\n"
	"Send standard input to \"ipm recv NAME\". Either may start first. Ends when the other\n"
	"side has passed all of it on; exit status 8 tells that it died or gave up before.\n\n"
	"    tar c . | ipm send backup          ipm recv backup | tar x -C /there\n\n"
	STREAM_HELP;

static const char recv_help[] =
	"Usage: ipm recv [OPTION...] NAME\n"
	"Print what \"ipm send NAME\" sends. Either may start first. Exit status 0 tells that all\n"
	"of it came; 8 that the other side died or gave up before: what came is printed, and is\n"
	"not complete.\n\n"
	STREAM_HELP;

static int stream_option(struct stream *s, int option)
{
	uint32_t gid;
	bool has_uid, has_gid;
	int64_t ns;
	int status;

	switch (option) {
	case 's':
		return parse_size(optarg, "the size", &s->total);
	case 'p':
		s->show = 1;
		return 0;
	case 'q':
		s->show = 0;
		return 0;
	case 'm':
		return parse_mode(optarg, 0600, &s->mode);
	case OPTION_TIMEOUT:
		status = parse_seconds(optarg, "the time", &ns);
		if (!status)
			s->start_deadline = ipm_deadline_after(ns);
		return status;
	case OPTION_OWNER:
		return parse_owner(optarg, &s->owner, &has_uid, &gid, &has_gid);
	}
	status = parse_size(optarg, "the buffer", &s->buffer);
	if (!status && (s->buffer < 65536 || s->buffer > 1ULL << 30))
		status = usage_error("a buffer has 64K to 1G");
	return status;
}

static int stream(enum side side, int argc, char **argv)
{
	static const struct option names[] = {
		{ "size", required_argument, NULL, 's' },
		{ "progress", no_argument, NULL, 'p' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "mode", required_argument, NULL, 'm' },
		{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
		{ "owner", required_argument, NULL, OPTION_OWNER },
		{ "buffer", required_argument, NULL, OPTION_BUFFER },
		{ 0 },
	};
	const struct options options = {
		.name = side == SENDER ? "send" : "recv",
		.help = side == SENDER ? send_help : recv_help,
		.letters = "s:pqm:",
		.names = names,
	};
	struct stream s = {
		.side = side,
		.buffer = DEFAULT_BUFFER,
		.mode = 0600,
		.owner = geteuid(),
		.start_deadline = IPM_DEADLINE_NONE,
		.show = -1,
	};
	struct stat stat;
	int option, status = 0;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = stream_option(&s, option);
	if (!status)
		status = option_arguments(argc, argv, 1, 1, "NAME");
	if (status)
		return status;
	s.text = argv[optind];
	s.label = text_safe(s.text);
	if (side == SENDER && !s.total && !fstat(0, &stat) && S_ISREG(stat.st_mode)) {
		off_t here = lseek(0, 0, SEEK_CUR);

		if (here >= 0 && stat.st_size > here)
			s.total = (uint64_t)(stat.st_size - here);
	}
	status = enter(&s);
	if (!status) {
		progress_start(&s.progress, s.label, s.show < 0 ? isatty(2) : s.show, s.total);
		if (!has_joined(&s))
			progress_note(&s.progress, side == SENDER ? "waiting for the receiver" :
								    "waiting for the sender");
		status = side == SENDER ? send_stream(&s) : receive_stream(&s);
		conclude(&s, status);
		progress_end(&s.progress);
		leave(&s);
	}
	free(s.label);
	return status;
}

int command_send(int argc, char **argv)
{
	return stream(SENDER, argc, argv);
}

int command_recv(int argc, char **argv)
{
	return stream(RECEIVER, argc, argv);
}
