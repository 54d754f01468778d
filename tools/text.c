// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Text: bytes that come from strangers, made safe for a terminal and for JSON.
 *
 * The name of a segment may hold any byte but '/' and NUL: an escape sequence that
 * repaints the terminal, a newline that forges a line of a table, marks that turn
 * the direction of writing around. Whatever is not a printable character of the
 * locale is shown as \xNN, byte by byte, and a backslash as two.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "tool.h"

void *need(void *allocated)
{
	if (!allocated) {
		fprintf(stderr, "ipm: the system has no memory left\n");
		exit(STATUS_FAILED);
	}
	return allocated;
}

/**
 * text_add() - append bytes
 * @text: where to
 * @bytes: what
 * @length: how many
 */
void text_add(struct text *text, const char *bytes, size_t length)
{
	if (text->length + length + 1 > text->room) {
		text->room = (text->length + length + 1) * 2;
		text->bytes = need(realloc(text->bytes, text->room));
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

/** text_print() - append as printf() writes */
void text_print(struct text *text, const char *format, ...)
{
	char *line = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&line, format, args);
	va_end(args);
	need(length < 0 ? NULL : line);
	text_add(text, line, (size_t)length);
	free(line);
}

/** text_free() - free the bytes */
void text_free(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}

/* Characters that print as nothing, or change how what follows is shown. */
static bool invisible(wchar_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

/* Bytes of the printable character at @raw, 0 if there is none. */
static size_t printable(const char *raw, size_t left, wchar_t *c)
{
	mbstate_t state = { 0 };
	size_t length = mbrtowc(c, raw, left, &state);

	if (length == 0 || length > left || invisible(*c) || !iswprint((wint_t)*c) ||
	    wcwidth(*c) < 1)
		return 0;
	return length;
}

/**
 * text_safe() - a copy that no terminal misunderstands
 * @raw: bytes of a stranger
 *
 * Return: the copy, to be freed.
 */
char *text_safe(const char *raw)
{
	struct text safe = { 0 };
	size_t left = strlen(raw), length;
	wchar_t c;

	text_add(&safe, "", 0);
	for (; left; raw += length, left -= length) {
		length = printable(raw, left, &c);
		if (!length) {
			text_print(&safe, "\\x%02x", (unsigned char)*raw);
			length = 1;
		} else if (*raw == '\\') {
			text_add(&safe, "\\\\", 2);
		} else {
			text_add(&safe, raw, length);
		}
	}
	return safe.bytes;
}

/**
 * text_width() - columns that a safe text takes on a terminal
 * @safe: from text_safe()
 */
size_t text_width(const char *safe)
{
	size_t left = strlen(safe), length, width = 0;
	wchar_t c;

	for (; left; safe += length, left -= length) {
		length = printable(safe, left, &c);
		width += length ? (size_t)wcwidth(c) : 1;
		if (!length)
			length = 1;
	}
	return width;
}

/**
 * text_cut() - a copy that is no wider than so many columns
 * @safe: from text_safe()
 * @width: columns, at least 1
 *
 * What is left out is marked by a last character of its own.
 *
 * Return: the copy, to be freed.
 */
char *text_cut(const char *safe, size_t width)
{
	const char *mark = "\u2026";
	struct text cut = { 0 };
	size_t left = strlen(safe), length, used = 0;
	wchar_t c;

	if (text_width(safe) <= width)
		return need(strdup(safe));
	if (!printable(mark, strlen(mark), &c))
		mark = "~";
	text_add(&cut, "", 0);
	for (; left; safe += length, left -= length) {
		size_t columns;

		length = printable(safe, left, &c);
		columns = length ? (size_t)wcwidth(c) : 1;
		if (!length)
			length = 1;
		if (used + columns > width - 1)
			break;
		text_add(&cut, safe, length);
		used += columns;
	}
	text_add(&cut, mark, strlen(mark));
	return cut.bytes;
}

/* Bytes of the UTF-8 sequence at @raw, 0 if it is none (RFC 3629). */
static size_t utf8(const unsigned char *raw)
{
	size_t length, i;

	if (raw[0] < 0x80)
		return 1;
	if (raw[0] >= 0xc2 && raw[0] <= 0xdf)
		length = 2;
	else if (raw[0] >= 0xe0 && raw[0] <= 0xef)
		length = 3;
	else if (raw[0] >= 0xf0 && raw[0] <= 0xf4)
		length = 4;
	else
		return 0;
	/* Stops at the NUL, which is no continuation. */
	for (i = 1; i < length; i++) {
		if ((raw[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((raw[0] == 0xe0 && raw[1] < 0xa0) || (raw[0] == 0xed && raw[1] > 0x9f) ||
	    (raw[0] == 0xf0 && raw[1] < 0x90) || (raw[0] == 0xf4 && raw[1] > 0x8f))
		return 0;
	return length;
}

/**
 * json_string() - append a string of JSON, quotes included
 * @text: where to
 * @raw: any bytes
 *
 * JSON is UTF-8: what is not becomes U+FFFD. What a terminal would act on is
 * escaped, since JSON is printed to terminals, too.
 */
void json_string(struct text *text, const char *raw)
{
	const unsigned char *c = (const unsigned char *)raw;
	size_t length;

	text_add(text, "\"", 1);
	for (; *c; c += length) {
		length = utf8(c);
		if (!length) {
			text_add(text, "\\ufffd", 6);
			length = 1;
		} else if (*c == '"' || *c == '\\') {
			text_print(text, "\\%c", *c);
		} else if (*c < 0x20 || *c == 0x7f) {
			text_print(text, "\\u%04x", *c);
		} else if (length == 2 && *c == 0xc2 && c[1] < 0xa0) {
			text_print(text, "\\u%04x", c[1]);
		} else if (length == 3) {
			unsigned int wide = (unsigned int)(c[0] & 0x0f) << 12 |
					    (unsigned int)(c[1] & 0x3f) << 6 | (c[2] & 0x3f);

			if (invisible((wchar_t)wide))
				text_print(text, "\\u%04x", wide);
			else
				text_add(text, (const char *)c, length);
		} else {
			text_add(text, (const char *)c, length);
		}
	}
	text_add(text, "\"", 1);
}
