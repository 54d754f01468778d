// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the module tells over netlink, kept for the commands that list.
 *
 * Between two lists a segment may come or go. Whatever refers to one that is not in
 * the list of segments is shown by its id.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/**
 * watch_failed() - failed() for calls of the monitor
 * @segment: the segment as the user wrote it, or NULL
 * @result: what the call returned
 *
 * Return: the exit status.
 */
int watch_failed(const char *segment, ipm_result result)
{
	if (result == IPM_RESULT_ERR_LIMIT)
		return complain(STATUS_FAILED, "too many monitors run at the same time; end some");
	return failed(segment, result);
}

/**
 * watch_open() - connect to the module
 * @monitor: receives the connection
 *
 * Return: 0, or a status after a complaint.
 */
int watch_open(ipm_monitor **monitor)
{
	ipm_result result = ipm_monitor_open(NULL, monitor);

	return result ? watch_failed(NULL, result) : 0;
}

/** watch_inexact() - say that a list is not of one moment */
void watch_inexact(bool exact)
{
	if (!exact)
		complain(0, "note: things changed so fast that this list is not of one moment");
}

/**
 * watch_find() - the id of a segment
 * @text: as the user wrote it
 * @id: receives the id
 *
 * Return: 0, or a status after a complaint.
 */
int watch_find(const char *text, uint32_t *id)
{
	ipm_memory_details details = { .struct_size = sizeof(details) };
	ipm_memory_ref ref;
	ipm_result result;
	int status = parse_segment(text, &ref);

	if (status)
		return status;
	*id = ref.id;
	if (ref.by == IPM_MEMORY_BY_ID)
		return 0;
	result = ipm_memory_get_details(NULL, ref, &details);
	*id = details.id;
	return result ? failed(text, result) : 0;
}

static bool keep(const ipm_monitor_segment *segment, void *param)
{
	struct watched *w = param;

	if (w->count == w->room) {
		w->room = w->room ? w->room * 2 : 64;
		w->all = need(reallocarray(w->all, w->room, sizeof(*w->all)));
		w->labels = need(reallocarray(w->labels, w->room, sizeof(*w->labels)));
	}
	w->all[w->count] = *segment;
	w->all[w->count].name = need(strdup(segment->name));
	w->labels[w->count] = segment_label(segment->name[0] ? IPM_MEMORY_BY_NAME :
					    segment->key     ? IPM_MEMORY_BY_KEY :
							       IPM_MEMORY_PRIVATE,
					    segment->name, segment->key, segment->id);
	w->count++;
	return true;
}

/**
 * watch_segments() - list the segments there are
 * @monitor: the connection
 * @id: the only one wanted, 0 for all
 * @watched: receives them; watched_free() frees them
 *
 * Return: 0, or a status after a complaint.
 */
int watch_segments(ipm_monitor *monitor, uint32_t id, struct watched *watched)
{
	ipm_result result;
	char text[16];

	*watched = (struct watched){ 0 };
	result = ipm_monitor_segments(monitor, id, keep, watched, &watched->exact);
	if (!result)
		return 0;
	watched_free(watched);
	snprintf(text, sizeof(text), "id:%u", id);
	return watch_failed(id ? text : NULL, result);
}

static int by_id(const void *key, const void *entry)
{
	uint32_t id = *(const uint32_t *)key, other = ((const ipm_monitor_segment *)entry)->id;

	return (id > other) - (id < other);
}

/** watched_segment() - the segment of an id, or NULL */
const ipm_monitor_segment *watched_segment(const struct watched *watched, uint32_t id)
{
	if (!watched->count)
		return NULL;
	return bsearch(&id, watched->all, watched->count, sizeof(*watched->all), by_id);
}

/** watched_label() - how the segment of an id is written, raw; NULL if unknown */
const char *watched_label(const struct watched *watched, uint32_t id)
{
	const ipm_monitor_segment *segment = watched_segment(watched, id);

	return segment ? watched->labels[segment - watched->all] : NULL;
}

/** watched_free() - free the list */
void watched_free(struct watched *watched)
{
	size_t i;

	for (i = 0; i < watched->count; i++) {
		free((char *)watched->all[i].name);
		free(watched->labels[i]);
	}
	free(watched->all);
	free(watched->labels);
	*watched = (struct watched){ 0 };
}

/** table_segment() - the name of the segment of an id */
void table_segment(struct table *table, size_t column, const struct watched *watched, uint32_t id)
{
	const ipm_monitor_segment *segment = watched_segment(watched, id);
	const char *label = watched_label(watched, id);

	if (!segment || (!segment->name[0] && !segment->key))
		table_none(table, column);
	else
		table_name(table, column, label, segment->name[0] ? segment->name : NULL);
}

/**
 * table_who() - who it is
 * @table: where to
 * @who: the process and thread
 * @columns: columns of user, process, thread and command; SIZE_MAX for none
 */
void table_who(struct table *table, const ipm_monitor_who *who, const size_t columns[4])
{
	if (who->hidden) {
		/* Nobody is told who it is but those who may. */
		return;
	}
	if (columns[0] != SIZE_MAX)
		table_text(table, columns[0], user_name(who->uid));
	if (columns[1] != SIZE_MAX && who->pid)
		table_signed(table, columns[1], who->pid);
	if (columns[2] != SIZE_MAX && who->tid)
		table_signed(table, columns[2], who->tid);
	if (columns[3] != SIZE_MAX && who->comm[0])
		table_text(table, columns[3], who->comm);
}

/** state_words() - "persistent,in-doubt" */
void state_words(struct text *text, uint32_t state)
{
	static const char *const names[] = { "persistent", "removed", "in-doubt", "preallocated",
					     "noreserve" };
	size_t i;

	text_print(text, "%s", state & IPM_MEMORY_STATE_PERSISTENT ? "persistent" : "volatile");
	for (i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
		if (state & (1U << i))
			text_print(text, ",%s", names[i]);
	}
}
