// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The command line: getopt_long() with sentences, and the same --help everywhere.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/**
 * usage_error() - say what is wrong with how the command was called
 * @format: the sentence
 *
 * Return: %STATUS_USAGE.
 */
int usage_error(const char *format, ...)
{
	char *line = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		line = NULL;
	va_end(args);
	need(line);
	complain(STATUS_USAGE, "%s; \"ipm %s%s--help\" shows how it is used", line,
		 command_name ? command_name : "", command_name ? " " : "");
	free(line);
	return STATUS_USAGE;
}

/**
 * option_next() - the next option
 * @argc: as given to the command
 * @argv: likewise
 * @options: what it takes
 *
 * Ends the process for --help, and for what the command does not take.
 *
 * Return: as getopt_long(), -1 at the end.
 */
int option_next(int argc, char **argv, const struct options *options)
{
	static struct option names[32];
	static char letters[64];
	size_t count = 0;
	char *safe;
	int option, at = optind ? optind : 1;

	while (options->names[count].name)
		count++;
	if (count + 2 > sizeof(names) / sizeof(names[0]))
		abort();
	memcpy(names, options->names, count * sizeof(names[0]));
	names[count++] = (struct option){ "help", no_argument, NULL, 'h' };
	names[count] = (struct option){ 0 };
	/* ':' in front tells a missing argument from an unknown option. */
	snprintf(letters, sizeof(letters), "%s:h%s", options->letters[0] == '+' ? "+" : "",
		 options->letters + (options->letters[0] == '+'));
	opterr = 0;
	option = getopt_long(argc, argv, letters, names, NULL);
	if (option == 'h') {
		fputs(options->help, stdout);
		if (options->columns)
			table_help(options->columns, options->column_count);
		exit(close_output(STATUS_OK));
	}
	if (option != '?' && option != ':')
		return option;
	safe = text_safe(optopt > 0 && optopt < 256 && strncmp(argv[at], "--", 2) ?
			 ((char[]){ '-', (char)optopt, '\0' }) :
			 argv[optind > at ? optind - 1 : at]);
	if (option == ':')
		usage_error("%s needs a value", safe);
	else
		usage_error("%s is no option, or takes no value", safe);
	free(safe);
	exit(STATUS_USAGE);
}

/**
 * option_arguments() - check how many arguments are left
 * @argc: as given to the command
 * @argv: likewise
 * @least: how many there have to be
 * @most: how many there may be; -1 for any number
 * @what: what they are, for the sentence
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int option_arguments(int argc, char **argv, int least, int most, const char *what)
{
	int count = argc - optind;
	char *safe;

	if (count < least)
		return usage_error("%s is missing", what);
	if (most >= 0 && count > most) {
		safe = text_safe(argv[optind + most]);
		usage_error("\"%s\" is one argument too many", safe);
		free(safe);
		return STATUS_USAGE;
	}
	return 0;
}

/**
 * list_option() - an option that every command takes that lists
 * @list: what to change
 * @option: from option_next()
 * @argument: its value
 *
 * Return: 0, or %STATUS_USAGE after a complaint.
 */
int list_option(struct list_options *list, int option, const char *argument)
{
	switch (option) {
	case 'J':
		list->json = true;
		return 0;
	case 'b':
		list->bytes = true;
		return 0;
	case 'n':
		list->noheadings = true;
		return 0;
	case 'o':
		list->columns = argument;
		return 0;
	case OPTION_COLOUR:
		return parse_colour(argument ? argument : "always", &list->when);
	}
	return STATUS_USAGE;
}
