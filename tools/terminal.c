// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The terminal: is there one, how large is it, does it want colours.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tool.h"

/**
 * parse_colour() - the value of --color
 * @text: what was given
 * @when: receives it
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int parse_colour(const char *text, enum colour_when *when)
{
	if (!strcmp(text, "auto"))
		*when = COLOUR_AUTO;
	else if (!strcmp(text, "always"))
		*when = COLOUR_ALWAYS;
	else if (!strcmp(text, "never"))
		*when = COLOUR_NEVER;
	else
		return usage_error("--color takes auto, always or never");
	return 0;
}

/**
 * colours() - may this output have colours?
 * @file: the output
 * @when: what was asked for
 *
 * Return: always and never as asked for; else whether it is a terminal that is not
 * dumb, and NO_COLOR is not set (no-color.org).
 */
bool colours(FILE *file, enum colour_when when)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when != COLOUR_AUTO)
		return when == COLOUR_ALWAYS;
	return !(no && *no) && term && *term && strcmp(term, "dumb") && isatty(fileno(file));
}

/** colour_on() - what switches a colour on; COLOUR_OFF ends all of them */
const char *colour_on(enum colour colour)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "",	    [COLOUR_BOLD] = "\033[1m",	  [COLOUR_DIM] = "\033[2m",
		[COLOUR_RED] = "\033[31m",  [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
		[COLOUR_CYAN] = "\033[36m",
	};

	return codes[colour];
}

static unsigned int from_environment(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long value;

	if (!text)
		return 0;
	value = strtoul(text, &end, 10);
	return *end || value > 100000 ? 0 : (unsigned int)value;
}

/**
 * terminal_width() - columns of a terminal
 * @fd: the output
 *
 * Return: columns; 0 if it is no terminal, or does not tell, and COLUMNS does not
 * either.
 */
unsigned int terminal_width(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	if (from_environment("COLUMNS"))
		return from_environment("COLUMNS");
	if (ioctl(fd, TIOCGWINSZ, &size))
		return 0;
	return size.ws_col;
}

/** terminal_height() - likewise lines */
unsigned int terminal_height(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	if (from_environment("LINES"))
		return from_environment("LINES");
	if (ioctl(fd, TIOCGWINSZ, &size))
		return 0;
	return size.ws_row;
}
