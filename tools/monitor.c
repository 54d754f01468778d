// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm monitor: what happens, as lines.
 *
 * Most events tell the id of the segment only. Its name is what the list of segments
 * said when we began, or an event since then.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

static const char help[] =
	"Usage: ipm monitor [OPTION...] [SEGMENT]\n"
	"Print what happens to segments, one line for each event, until it is interrupted. With\n"
	"SEGMENT, only what happens to that one.\n\n"
	"  -e, --events LIST      groups, divided by commas: life, claims, deaths (all)\n"
	"  -c, --count NUMBER     end after so many events\n"
	"      --timeout SECONDS  end after this time\n"
	"  -J, --json             one object of JSON in each line\n"
	"  -b, --bytes            print sizes in bytes\n"
	"      --color[=WHEN]     auto (on a terminal), always or never\n"
	"  -h, --help             print this\n\n"
	"Events: created, linked, grown, set, removed, gone (life); wait, wait-end, deadlock, doubt\n"
	"(claims); death, slot-death (deaths); lost: so many came too fast to be printed.\n";

static const char *const event_names[] = {
	[IPM_MONITOR_EVENT_LOST] = "lost",	     [IPM_MONITOR_EVENT_CREATED] = "created",
	[IPM_MONITOR_EVENT_LINKED] = "linked",	     [IPM_MONITOR_EVENT_GROWN] = "grown",
	[IPM_MONITOR_EVENT_SET] = "set",	     [IPM_MONITOR_EVENT_REMOVED] = "removed",
	[IPM_MONITOR_EVENT_GONE] = "gone",	     [IPM_MONITOR_EVENT_WAIT] = "wait",
	[IPM_MONITOR_EVENT_WAIT_END] = "wait-end",   [IPM_MONITOR_EVENT_DEADLOCK] = "deadlock",
	[IPM_MONITOR_EVENT_DOUBT] = "doubt",	     [IPM_MONITOR_EVENT_DEATH] = "death",
	[IPM_MONITOR_EVENT_SLOT_DEATH] = "slot-death",
};

#define EVENTS (sizeof(event_names) / sizeof(event_names[0]))

/* The name of a segment that was heard of after the list was made. */
struct heard {
	uint32_t id;
	char *label;
	struct heard *next;
};

#define BUCKETS 1024

struct follow {
	struct list_options list;
	ipm_monitor *monitor;
	struct heard *heard[BUCKETS];
	uint32_t groups;
	uint32_t segment;
	uint64_t count;
	uint64_t seen;
	bool lost;
	bool failed;
	bool colour;
};

/* --- names --- */

static void forget(struct follow *f, uint32_t id)
{
	struct heard **place = &f->heard[id % BUCKETS], *heard;

	while ((heard = *place)) {
		if (heard->id == id) {
			*place = heard->next;
			free(heard->label);
			free(heard);
			return;
		}
		place = &heard->next;
	}
}

static void hear(struct follow *f, uint32_t id, const char *name, int32_t key)
{
	struct heard *heard;

	forget(f, id);
	if (!name[0] && !key)
		return;
	heard = need(calloc(1, sizeof(*heard)));
	heard->id = id;
	heard->label = segment_label(name[0] ? IPM_MEMORY_BY_NAME : IPM_MEMORY_BY_KEY, name, key, id);
	heard->next = f->heard[id % BUCKETS];
	f->heard[id % BUCKETS] = heard;
}

static const char *label_of(const struct follow *f, uint32_t id)
{
	const struct heard *heard;

	for (heard = f->heard[id % BUCKETS]; heard; heard = heard->next) {
		if (heard->id == id)
			return heard->label;
	}
	return NULL;
}

static void forget_all(struct follow *f)
{
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		while (f->heard[i])
			forget(f, f->heard[i]->id);
	}
}

static bool hear_segment(const ipm_monitor_segment *segment, void *param)
{
	hear(param, segment->id, segment->name, segment->key);
	return true;
}

/* Names as they are now: at the start, and after a loss. One that is gone is no error. */
static void learn(struct follow *f)
{
	forget_all(f);
	ipm_monitor_segments(f->monitor, f->segment, hear_segment, f, NULL);
}

/* --- lines --- */

static void add_size(const struct follow *f, struct text *line, const char *before, uint64_t size)
{
	char text[24];

	format_size(text, sizeof(text), size, f->list.bytes);
	text_print(line, "%s%s", before, text);
}

static void add_range(const struct follow *f, struct text *line, const ipm_monitor_event *e)
{
	text_print(line, "  %s %llu+", e->range.mode == IPM_ACCESS_MODE_READ_WRITE ? "write" : "read",
		   (unsigned long long)e->range.offset);
	add_size(f, line, "", e->range.length);
	if (e->nr_ranges > 1)
		text_print(line, " and %zu more", e->nr_ranges - 1);
}

static void add_age(struct text *line, const char *before, uint64_t ns)
{
	char text[24];

	format_age(text, sizeof(text), ns < INT64_MAX ? (int64_t)ns : INT64_MAX);
	text_print(line, "%s%s", before, text);
}

static void add_who(struct text *line, const ipm_monitor_who *who)
{
	char *comm;

	if (who->hidden || (!who->pid && !who->comm[0]))
		return;
	comm = text_safe(who->comm);
	text_print(line, "  by %s", comm[0] ? comm : "process");
	if (who->pid)
		text_print(line, "[%d]", who->pid);
	free(comm);
}

static void add_mode(struct text *line, const ipm_monitor_event *e)
{
	char mode[10], *user = text_safe(user_name(e->uid));

	format_mode(mode, e->mode);
	text_print(line, "  %s %s ", mode, user);
	state_words(line, e->state);
	free(user);
}

static void add_facts(const struct follow *f, struct text *line, const ipm_monitor_event *e)
{
	switch (e->type) {
	case IPM_MONITOR_EVENT_LOST:
		text_print(line, "  %s%llu events came too fast", e->at_most ? "at most " : "",
			   (unsigned long long)e->count);
		break;
	case IPM_MONITOR_EVENT_CREATED:
		add_size(f, line, "  ", e->size);
		if (e->capacity != e->size)
			add_size(f, line, " of ", e->capacity);
		add_mode(line, e);
		break;
	case IPM_MONITOR_EVENT_GROWN:
		add_size(f, line, "  to ", e->size);
		break;
	case IPM_MONITOR_EVENT_SET:
		add_mode(line, e);
		break;
	case IPM_MONITOR_EVENT_WAIT:
	case IPM_MONITOR_EVENT_DEADLOCK:
	case IPM_MONITOR_EVENT_DOUBT:
		add_range(f, line, e);
		if (e->waited_ns)
			add_age(line, "  after ", e->waited_ns);
		break;
	case IPM_MONITOR_EVENT_WAIT_END:
		add_range(f, line, e);
		if (e->error)
			text_print(line, "  failed (%s)", strerror(e->error));
		else
			text_print(line, "  granted");
		add_age(line, " after ", e->waited_ns);
		break;
	case IPM_MONITOR_EVENT_DEATH:
		text_print(line, "  %llu claim%s, %llu to write", (unsigned long long)e->count,
			   e->count == 1 ? "" : "s", (unsigned long long)e->doubts);
		break;
	case IPM_MONITOR_EVENT_SLOT_DEATH:
		text_print(line, "  slot %u", e->slot);
		break;
	default:
		break;
	}
	add_who(line, &e->who);
}

static enum colour colour_of(ipm_monitor_event_type type)
{
	switch (type) {
	case IPM_MONITOR_EVENT_LOST:
	case IPM_MONITOR_EVENT_DEADLOCK:
	case IPM_MONITOR_EVENT_DEATH:
	case IPM_MONITOR_EVENT_SLOT_DEATH:
	case IPM_MONITOR_EVENT_DOUBT:
		return COLOUR_RED;
	case IPM_MONITOR_EVENT_WAIT:
		return COLOUR_YELLOW;
	case IPM_MONITOR_EVENT_CREATED:
		return COLOUR_GREEN;
	default:
		return COLOUR_NONE;
	}
}

static void print_line(const struct follow *f, const ipm_monitor_event *e, const char *name)
{
	const char *label = label_of(f, e->segment);
	time_t seconds = (time_t)(e->time_ns / 1000000000);
	struct text line = { 0 };
	char clock[16], *safe;
	struct tm tm;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&seconds, &tm));
	text_print(&line, "%s.%03d  %s%-10s%s", clock, (int)(e->time_ns / 1000000 % 1000),
		   f->colour ? colour_on(colour_of(e->type)) : "", name,
		   f->colour && colour_of(e->type) ? COLOUR_OFF : "");
	if (e->segment)
		text_print(&line, "  id:%u", e->segment);
	if (label) {
		safe = text_safe(label);
		text_print(&line, " %s", safe);
		free(safe);
	}
	add_facts(f, &line, e);
	puts(line.bytes);
	text_free(&line);
}

static void json_number(struct text *text, const char *name, uint64_t value)
{
	text_print(text, ", \"%s\": %llu", name, (unsigned long long)value);
}

static void json_claim(struct text *text, const ipm_monitor_event *e)
{
	if (e->claim)
		json_number(text, "claim", e->claim);
	if (e->handle)
		json_number(text, "handle", e->handle);
	if (e->nr_ranges) {
		json_number(text, "offset", e->range.offset);
		json_number(text, "length", e->range.length);
		text_print(text, ", \"mode\": \"%s\"",
			   e->range.mode == IPM_ACCESS_MODE_READ_WRITE ? "write" : "read");
		json_number(text, "ranges", e->nr_ranges);
		text_print(text, ", \"waited\": %llu.%09llu",
			   (unsigned long long)(e->waited_ns / 1000000000),
			   (unsigned long long)(e->waited_ns % 1000000000));
	}
	if (e->type == IPM_MONITOR_EVENT_WAIT_END)
		text_print(text, ", \"granted\": %s", e->error ? "false" : "true");
}

static void json_segment(const struct follow *f, struct text *text, const ipm_monitor_event *e)
{
	const char *label = label_of(f, e->segment);

	if (e->segment)
		json_number(text, "id", e->segment);
	if (label) {
		text_print(text, ", \"segment\": ");
		json_string(text, label);
	}
	if (e->size)
		json_number(text, "size", e->size);
	if (e->capacity)
		json_number(text, "capacity", e->capacity);
	if (e->type == IPM_MONITOR_EVENT_CREATED || e->type == IPM_MONITOR_EVENT_SET) {
		text_print(text, ", \"permissions\": \"%03o\"", e->mode);
		json_number(text, "uid", e->uid);
		json_number(text, "gid", e->gid);
	}
}

static void print_json(const struct follow *f, const ipm_monitor_event *e, const char *name)
{
	struct text text = { 0 };

	text_print(&text, "{\"event\": \"%s\", \"seq\": %llu, \"time\": %lld.%06lld", name,
		   (unsigned long long)e->seq, (long long)(e->time_ns / 1000000000),
		   (long long)(e->time_ns / 1000 % 1000000));
	json_segment(f, &text, e);
	json_claim(&text, e);
	if (!e->who.hidden && e->who.pid) {
		text_print(&text, ", \"pid\": %d, \"tid\": %d, \"comm\": ", e->who.pid, e->who.tid);
		json_string(&text, e->who.comm);
	}
	if (e->type == IPM_MONITOR_EVENT_LOST || e->type == IPM_MONITOR_EVENT_DEATH)
		json_number(&text, "count", e->count);
	if (e->type == IPM_MONITOR_EVENT_LOST)
		text_print(&text, ", \"at_most\": %s", e->at_most ? "true" : "false");
	if (e->type == IPM_MONITOR_EVENT_DEATH)
		json_number(&text, "to_write", e->doubts);
	if (e->type == IPM_MONITOR_EVENT_SLOT_DEATH)
		json_number(&text, "slot", e->slot);
	printf("%s}\n", text.bytes);
	text_free(&text);
}

static bool on_event(const ipm_monitor_event *e, void *param)
{
	struct follow *f = param;

	/* The kernel may know more than we do. */
	if ((size_t)e->type >= EVENTS || !event_names[e->type])
		return true;
	if (e->type == IPM_MONITOR_EVENT_CREATED || e->type == IPM_MONITOR_EVENT_LINKED)
		hear(f, e->segment, e->name, e->key);
	if (f->list.json)
		print_json(f, e, event_names[e->type]);
	else
		print_line(f, e, event_names[e->type]);
	if (e->type == IPM_MONITOR_EVENT_GONE)
		forget(f, e->segment);
	if (e->type == IPM_MONITOR_EVENT_LOST)
		f->lost = true;
	f->seen++;
	f->failed = ferror(stdout);
	/* After a loss the names have to be learned again, which is not possible here. */
	return !f->failed && !f->lost && (!f->count || f->seen < f->count);
}

static int follow(struct follow *f, int64_t deadline)
{
	for (;;) {
		ipm_result result = ipm_monitor_dispatch(f->monitor, deadline, on_event, f);

		if (flush_output() || f->failed)
			return STATUS_FAILED;
		if (f->count && f->seen >= f->count)
			return STATUS_OK;
		if (result == IPM_RESULT_ERR_TIMEOUT || result == IPM_RESULT_ERR_WOULD_BLOCK)
			return STATUS_OK;
		if (result && result != IPM_RESULT_INTERRUPTED)
			return watch_failed(NULL, result);
		/* Events may come faster than they are printed. */
		if (deadline != IPM_DEADLINE_NONE && ipm_deadline_after(1) > deadline)
			return STATUS_OK;
		if (f->lost) {
			f->lost = false;
			learn(f);
		}
	}
}

static int parse_groups(const char *text, uint32_t *groups)
{
	static const struct {
		const char *name;
		uint32_t group;
	} known[] = {
		{ "life", IPM_MONITOR_LIFE },
		{ "claims", IPM_MONITOR_CLAIMS },
		{ "deaths", IPM_MONITOR_DEATHS },
		{ "all", IPM_MONITOR_ALL },
	};
	size_t length, i;

	*groups = 0;
	for (;; text += length + 1) {
		length = strcspn(text, ",");
		for (i = 0; i < 4; i++) {
			if (strlen(known[i].name) == length && !strncmp(text, known[i].name, length))
				break;
		}
		if (i == 4)
			return usage_error("--events takes life, claims and deaths, divided by commas");
		*groups |= known[i].group;
		if (!text[length])
			return 0;
	}
}

static int follow_option(struct follow *f, int option, int64_t *deadline)
{
	int64_t ns;
	int status;

	switch (option) {
	case 'e':
		return parse_groups(optarg, &f->groups);
	case 'c':
		status = parse_size(optarg, "the count", &f->count);
		if (!status && !f->count)
			status = usage_error("the count has to be more than 0");
		return status;
	case OPTION_TIMEOUT:
		status = parse_seconds(optarg, "the time", &ns);
		if (!status)
			*deadline = ipm_deadline_after(ns);
		return status;
	}
	return list_option(&f->list, option, optarg);
}

int command_monitor(int argc, char **argv)
{
	static const struct option names[] = {
		{ "events", required_argument, NULL, 'e' },
		{ "count", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
		{ "json", no_argument, NULL, 'J' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "color", optional_argument, NULL, OPTION_COLOUR },
		{ 0 },
	};
	static const struct options options = {
		.name = "monitor",
		.help = help,
		.letters = "e:c:Jb",
		.names = names,
	};
	struct follow f = { .groups = IPM_MONITOR_ALL };
	int64_t deadline = IPM_DEADLINE_NONE;
	ipm_result result;
	int option, status = 0;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = follow_option(&f, option, &deadline);
	if (!status)
		status = option_arguments(argc, argv, 0, 1, "SEGMENT");
	if (!status && optind < argc)
		status = watch_find(argv[optind], &f.segment);
	if (!status)
		status = watch_open(&f.monitor);
	if (status)
		return status;
	f.colour = colours(stdout, f.list.when);
	/* Subscribe, then list: nothing falls between. */
	result = ipm_monitor_subscribe(f.monitor, f.groups, f.segment);
	if (result) {
		status = watch_failed(NULL, result);
	} else {
		learn(&f);
		status = follow(&f, deadline);
	}
	forget_all(&f);
	ipm_monitor_close(f.monitor);
	return status;
}
