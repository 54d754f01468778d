// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which segment is meant. The same everywhere, in and out:
 *
 *	NAME		the segment of that name; one '/' in front does not count
 *	name:NAME	likewise, for names that look like one of these
 *	key:NUMBER	the segment of that key, decimal (-5) or hexadecimal (0x4d2)
 *	id:NUMBER	the segment that the kernel gave that number
 *	#NUMBER		likewise
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static bool starts(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

static int bad_number(const char *text, const char *wanted)
{
	char *safe = text_safe(text);

	usage_error("\"%s\" is not %s", safe, wanted);
	free(safe);
	return STATUS_USAGE;
}

static int parse_key(const char *text, const char *number, ipm_memory_ref *ref)
{
	bool negative = *number == '-';
	const char *digits = number + negative;
	long long value;
	char *end;

	errno = 0;
	value = strtoll(digits, &end, starts(digits, "0x") || starts(digits, "0X") ? 16 : 10);
	if (negative)
		value = -value;
	/* In hexadecimal all 32 bits may be set. */
	if (errno || !isdigit((unsigned char)*digits) || *end || !value || value < INT32_MIN ||
	    value > (long long)UINT32_MAX ||
	    (value > INT32_MAX && (digits[1] | 0x20) != 'x'))
		return bad_number(text, "a key: key: and a number of 32 bits that is not 0");
	*ref = ipm_ref_key((int32_t)(uint32_t)value);
	return 0;
}

static int parse_id(const char *text, const char *number, ipm_memory_ref *ref)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(number, &end, 10);
	if (errno || !isdigit((unsigned char)*number) || *end || !value || value > INT32_MAX)
		return bad_number(text, "an id: id: and a number from 1 to 2147483647");
	*ref = ipm_ref_id((uint32_t)value);
	return 0;
}

/**
 * parse_segment() - find out which segment is meant
 * @text: what was given; has to stay
 * @ref: receives it
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int parse_segment(const char *text, ipm_memory_ref *ref)
{
	if (starts(text, "key:"))
		return parse_key(text, text + 4, ref);
	if (starts(text, "id:"))
		return parse_id(text, text + 3, ref);
	if (text[0] == '#')
		return parse_id(text, text + 1, ref);
	*ref = ipm_ref_name(starts(text, "name:") ? text + 5 : text);
	return 0;
}

/**
 * open_segment() - open a segment for a command
 * @text: which, as the user wrote it
 * @access: how
 * @flags: as in ipm_memory_open_options
 * @memory: receives the handle
 *
 * Return: 0, or a status after a complaint.
 */
int open_segment(const char *text, ipm_access_mode access, uint32_t flags, ipm_memory **memory)
{
	ipm_memory_open_options options = {
		.struct_size = sizeof(options),
		.access = access,
		.flags = flags,
	};
	ipm_result result;
	int status = parse_segment(text, &options.ref);

	if (status)
		return status;
	if (options.ref.by == IPM_MEMORY_BY_ID)
		options.flags |= IPM_MEMORY_OPEN_REMOVED;
	result = ipm_memory_open_ex(NULL, &options, memory);
	return result ? failed(text, result) : 0;
}

/**
 * segment_label() - how a segment is written
 * @by: enum ipm_memory_by
 * @name: its name
 * @key: its key
 * @id: its id
 *
 * Return: what parse_segment() understands, as raw bytes; to be freed.
 */
char *segment_label(int by, const char *name, int32_t key, uint32_t id)
{
	char *label = NULL;
	int length;

	if (by == IPM_MEMORY_BY_NAME)
		length = asprintf(&label, "%s%s",
				  starts(name, "key:") || starts(name, "id:") ||
						  starts(name, "name:") || name[0] == '#' ?
					  "name:" :
					  "",
				  name);
	else if (by == IPM_MEMORY_BY_KEY)
		length = asprintf(&label, "key:0x%x", (uint32_t)key);
	else
		length = asprintf(&label, "id:%u", id);
	return need(length < 0 ? NULL : label);
}
