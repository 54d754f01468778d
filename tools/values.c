// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Values: sizes, times, modes, users, as people write and read them.
 */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

static int bad(const char *text, const char *what, const char *wanted)
{
	char *safe = text_safe(text);

	usage_error("%s \"%s\" is not %s", what, safe, wanted);
	free(safe);
	return STATUS_USAGE;
}

/**
 * parse_size() - a number of bytes: 4096, 64K, 1.5M, 1MiB (1024), 1MB (1000), 0x1000
 * @text: what was given
 * @what: what it is, for the sentence
 * @size: receives it
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int parse_size(const char *text, const char *what, uint64_t *size)
{
	static const char units[] = "KMGTPE";
	const char *wanted = "a size, such as 4096, 64K or 1.5M";
	uint64_t whole, unit = 1, fraction = 0, scale = 1, part;
	const char *letter;
	char *end;

	if (!isdigit((unsigned char)*text))
		return bad(text, what, wanted);
	errno = 0;
	whole = strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
	if (errno)
		return bad(text, what, "a size that a computer of 64 bits can have");
	if (*end == '.') {
		for (end++; isdigit((unsigned char)*end); end++) {
			if (scale < 1000000) {
				fraction = fraction * 10 + (uint64_t)(*end - '0');
				scale *= 10;
			}
		}
	}
	letter = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (letter) {
		uint64_t base = end[1] == 'B' ? 1000 : 1024;

		for (; letter >= units; letter--)
			unit *= base;
		end++;
		if (!strcmp(end, "B") || !strcmp(end, "iB"))
			end += strlen(end);
	} else if (!strcmp(end, "B")) {
		end++;
	}
	if (*end || (fraction && unit == 1))
		return bad(text, what, wanted);
	part = (uint64_t)((unsigned __int128)fraction * unit / scale);
	if (__builtin_mul_overflow(whole, unit, size) || __builtin_add_overflow(*size, part, size))
		return bad(text, what, "a size that a computer of 64 bits can have");
	return 0;
}

/**
 * parse_seconds() - a length of time: 5, 0.5, 200ms, 5s, 2m, 1h
 * @text: what was given
 * @what: what it is, for the sentence
 * @ns: receives it, in nanoseconds
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int parse_seconds(const char *text, const char *what, int64_t *ns)
{
	const char *wanted = "a time in seconds, such as 5, 0.5, 200ms or 2m";
	double seconds;
	char *end;

	if (!isdigit((unsigned char)*text) || strpbrk(text, "xXpPeE"))
		return bad(text, what, wanted);
	seconds = strtod(text, &end);
	if (!strcmp(end, "ms"))
		seconds /= 1000;
	else if (!strcmp(end, "m"))
		seconds *= 60;
	else if (!strcmp(end, "h"))
		seconds *= 3600;
	else if (*end && strcmp(end, "s"))
		return bad(text, what, wanted);
	if (!isfinite(seconds) || seconds > 9e9)
		return bad(text, what, "less than 200 years");
	*ns = (int64_t)(seconds * 1e9);
	return 0;
}

/* One clause of a mode: who, what to do, which rights. */
static const char *clause(const char *text, uint32_t *mode)
{
	uint32_t who = 0, bits = 0;
	char operation;

	for (; *text && strchr("ugoa", *text); text++)
		who |= *text == 'u' ? 0600 : *text == 'g' ? 0060 : *text == 'o' ? 0006 : 0666;
	if (!who)
		who = 0666;
	operation = *text;
	if (operation != '+' && operation != '-' && operation != '=')
		return NULL;
	for (text++; *text == 'r' || *text == 'w'; text++)
		bits |= *text == 'r' ? 0444 : 0222;
	bits &= who;
	if (operation == '+')
		*mode |= bits;
	else if (operation == '-')
		*mode &= ~bits;
	else
		*mode = (*mode & ~who) | bits;
	return *text == ',' ? text + 1 : *text ? NULL : text;
}

/**
 * parse_mode() - permissions: octal within 666, or as chmod(1): g+r, o-rw, a=r
 * @text: what was given
 * @old: the present ones, to which signs refer
 * @mode: receives them
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int parse_mode(const char *text, uint32_t old, uint32_t *mode)
{
	const char *wanted = "a mode, such as 640 or g+r,o-rw; segments know only r and w";
	const char *rest = text;
	unsigned long value;
	char *end;

	if (isdigit((unsigned char)*text)) {
		errno = 0;
		value = strtoul(text, &end, 8);
		if (errno || *end || (value & ~0666UL))
			return bad(text, "the mode", wanted);
		*mode = (uint32_t)value;
		return 0;
	}
	*mode = old;
	do {
		rest = clause(rest, mode);
		if (!rest)
			return bad(text, "the mode", wanted);
	} while (*rest);
	return 0;
}

static int parse_id(const char *text, uint32_t *id)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	value = strtoull(text, &end, 10);
	/* The last one means "none" for the kernel. */
	if (errno || *end || value >= UINT32_MAX)
		return -1;
	*id = (uint32_t)value;
	return 0;
}

/**
 * parse_owner() - USER, USER:GROUP, :GROUP or USER: (the user's own group)
 * @text: what was given
 * @uid: receives the user
 * @has_uid: receives whether one was given
 * @gid: receives the group
 * @has_gid: receives whether one was given
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int parse_owner(const char *text, uint32_t *uid, bool *has_uid, uint32_t *gid, bool *has_gid)
{
	char *user = need(strdup(text)), *group = strchr(user, ':');
	struct passwd *passwd = NULL;
	struct group *entry;
	int status = 0;

	if (group)
		*group++ = '\0';
	*has_uid = *user;
	*has_gid = group && *group;
	if (*has_uid) {
		passwd = getpwnam(user);
		if (passwd)
			*uid = passwd->pw_uid;
		else if (parse_id(user, uid))
			status = bad(user, "the user", "known here");
	}
	if (!status && *has_gid) {
		entry = getgrnam(group);
		if (entry)
			*gid = entry->gr_gid;
		else if (parse_id(group, gid))
			status = bad(group, "the group", "known here");
	} else if (!status && group && passwd) {
		*gid = passwd->pw_gid;
		*has_gid = true;
	}
	if (!status && !*has_uid && !*has_gid)
		status = usage_error("an owner is missing: USER, USER:GROUP or :GROUP");
	free(user);
	return status;
}

/**
 * format_size() - a size for people: 4K, 1.5M; or in bytes
 * @to: where to
 * @room: bytes there
 * @size: bytes
 * @bytes: true for the bare number
 */
void format_size(char *to, size_t room, uint64_t size, bool bytes)
{
	static const char units[] = "BKMGTPE";
	unsigned int unit = 0;
	uint64_t tenths;

	while (unit < 6 && size >= 1ULL << (10 * (unit + 1)))
		unit++;
	if (bytes || !unit) {
		snprintf(to, room, "%llu%s", (unsigned long long)size, bytes ? "" : "B");
		return;
	}
	tenths = (uint64_t)(((unsigned __int128)size * 10 + (1ULL << (10 * unit)) / 2) >>
			    (10 * unit));
	if (tenths % 10 && tenths < 1000)
		snprintf(to, room, "%llu.%llu%c", (unsigned long long)(tenths / 10),
			 (unsigned long long)(tenths % 10), units[unit]);
	else
		snprintf(to, room, "%llu%c", (unsigned long long)((tenths + 5) / 10), units[unit]);
}

/**
 * format_age() - a length of time for people: 340ms, 12s, 5m10s, 3h20m, 4d6h
 * @to: where to
 * @room: bytes there
 * @ns: nanoseconds; negative ones (a clock was set) count as 0
 */
void format_age(char *to, size_t room, int64_t ns)
{
	long long s = ns / 1000000000;

	if (ns < 1000000)
		snprintf(to, room, "%lldus", ns < 0 ? 0 : (long long)ns / 1000);
	else if (s < 1)
		snprintf(to, room, "%lldms", (long long)ns / 1000000);
	else if (s < 60)
		snprintf(to, room, "%llds", s);
	else if (s < 3600)
		snprintf(to, room, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(to, room, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(to, room, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

/** format_mode() - "rw-r-----", into at least 10 bytes */
void format_mode(char *to, uint32_t mode)
{
	int i;

	for (i = 0; i < 9; i++)
		to[i] = mode & (0400U >> i) ? "rwx"[i % 3] : '-';
	to[9] = '\0';
}

/*
 * The names of users and groups that were asked for last; lists ask for the same
 * few again and again.
 */
struct known {
	uint32_t id;
	char *name;
};

#define KNOWN 64

static const char *remember(struct known *known, uint32_t id, const char *name)
{
	struct known *slot = &known[id % KNOWN];
	char number[16];

	snprintf(number, sizeof(number), "%u", id);
	free(slot->name);
	slot->id = id;
	slot->name = need(strdup(name ? name : number));
	return slot->name;
}

/** user_name() - name of a user, or the number; valid until the next call */
const char *user_name(uint32_t uid)
{
	static struct known known[KNOWN];
	struct passwd *passwd;

	if (known[uid % KNOWN].name && known[uid % KNOWN].id == uid)
		return known[uid % KNOWN].name;
	passwd = getpwuid(uid);
	return remember(known, uid, passwd ? passwd->pw_name : NULL);
}

/** group_name() - likewise */
const char *group_name(uint32_t gid)
{
	static struct known known[KNOWN];
	struct group *group;

	if (known[gid % KNOWN].name && known[gid % KNOWN].id == gid)
		return known[gid % KNOWN].name;
	group = getgrgid(gid);
	return remember(known, gid, group ? group->gr_name : NULL);
}

/** now_realtime() - CLOCK_REALTIME in nanoseconds */
int64_t now_realtime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
