// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "make vm CMD=..." shall return the command's exit status, but make says 2
 * whatever a recipe returned. GNU make can load functions at run time: this one
 * ends make with the status that it is given. Where it cannot be built or loaded,
 * make says 2 as always.
 */
#include <stdio.h>
#include <stdlib.h>

#include <gnumake.h>

int plugin_is_GPL_compatible;

int exit_gmk_setup(const gmk_floc *location);

static char *exit_with(const char *name, unsigned int argc, char **argv)
{
	(void)name;
	(void)argc;
	fflush(NULL);
	exit(atoi(argv[0]));
}

int exit_gmk_setup(const gmk_floc *location)
{
	(void)location;
	gmk_add_function("exit-with", exit_with, 1, 1, GMK_FUNC_DEFAULT);
	return 1;
}
