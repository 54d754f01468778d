// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ipm doctor: what is wrong with an installation, and what to do.
 *
 * Looks at one thing after the other, in the order in which they depend on each other,
 * and in the end does what a program does.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tool.h"

static const char help[] =
	"Usage: ipm doctor [OPTION...]\n"
	"Check kernel, module, library, rights and limits, and try a segment. Each line is ok,\n"
	"note (nothing is wrong, but you may want to know) or problem, and says what to do.\n"
	"Exit status 1 if there is a problem.\n\n"
	LIST_HELP;

enum { CHECK, RESULT, FOUND, ADVICE };

static const struct column columns[] = {
	{ "CHECK", "what was looked at", 0, 7 },
	{ "RESULT", "ok, note or problem", 0, 9 },
	{ "FOUND", "what was found, and what to do", COLUMN_SHRINKS, 8 },
	{ "ADVICE", "what to do, alone", COLUMN_EXTRA, 1 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

enum verdict { OK, NOTE, PROBLEM };

struct doctor {
	struct table *table;
	const struct list_options *list;
	bool problem;
	bool loaded;
	bool usable;
	struct utsname kernel;
};

static void __attribute__((format(printf, 5, 6)))
say(struct doctor *d, const char *check, enum verdict verdict, const char *advice,
    const char *format, ...)
{
	static const char *const words[] = { "ok", "note", "problem" };
	static const enum colour colour[] = { COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED };
	struct text text = { 0 };
	char *found = NULL;
	va_list args;

	va_start(args, format);
	need(vasprintf(&found, format, args) < 0 ? NULL : found);
	va_end(args);
	text_print(&text, "%s%s%s", found, advice && !d->list->json ? "; " : "",
		   advice && !d->list->json ? advice : "");
	table_row(d->table);
	table_word(d->table, CHECK, check);
	table_word(d->table, RESULT, words[verdict]);
	table_colour(d->table, RESULT, colour[verdict]);
	table_text(d->table, FOUND, text.bytes);
	if (advice)
		table_word(d->table, ADVICE, advice);
	if (verdict == PROBLEM)
		d->problem = true;
	text_free(&text);
	free(found);
}

/* Whether a line of a file contains some text. */
static bool file_has(const char *path, const char *text)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!file)
		return false;
	while (!found && getline(&line, &room, file) > 0)
		found = strstr(line, text);
	free(line);
	fclose(file);
	return found;
}

/* Whether a line of a file is just this. */
static bool file_says(const char *path, const char *text)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!file)
		return false;
	while (!found && getline(&line, &room, file) > 0) {
		line[strcspn(line, " \t\r\n")] = '\0';
		found = !strcmp(line, text);
	}
	free(line);
	fclose(file);
	return found;
}

static bool module_file(const struct doctor *d)
{
	char path[256];

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", d->kernel.release);
	return file_has(path, "/ipm.ko");
}

/* --- kernel --- */

/* Value of an option: 'y', 'm', 'n', or 0 if the configuration cannot be read. */
static char config(const struct doctor *d, const char *option)
{
	char path[2][256], yes[64];
	int i;

	snprintf(path[0], sizeof(path[0]), "/boot/config-%s", d->kernel.release);
	snprintf(path[1], sizeof(path[1]), "/lib/modules/%s/build/.config", d->kernel.release);
	for (i = 0; i < 2; i++) {
		if (access(path[i], R_OK))
			continue;
		snprintf(yes, sizeof(yes), "%s=y", option);
		if (file_has(path[i], yes))
			return 'y';
		snprintf(yes, sizeof(yes), "%s=m", option);
		return file_has(path[i], yes) ? 'm' : 'n';
	}
	return 0;
}

static void check_kernel(struct doctor *d)
{
	static const char *const needed[] = { "CONFIG_SHMEM", "CONFIG_NET_NS", "CONFIG_MODULES" };
	unsigned int major = 0, minor = 0;
	struct text missing = { 0 };
	size_t i;
	bool known = true;

	if (sscanf(d->kernel.release, "%u.%u", &major, &minor) == 2 &&
	    (major < 6 || (major == 6 && minor < 1)))
		say(d, "kernel", PROBLEM, "IPM needs Linux 6.1 or later", "Linux %s",
		    d->kernel.release);
	else
		say(d, "kernel", OK, NULL, "Linux %s", d->kernel.release);
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		char value = config(d, needed[i]);

		if (!value)
			known = false;
		else if (value == 'n')
			text_print(&missing, "%s%s", missing.length ? ", " : "", needed[i]);
	}
	if (missing.length)
		say(d, "kernel config", PROBLEM, "boot a kernel that has them",
		    "this kernel was built without %s", missing.bytes);
	else if (known)
		say(d, "kernel config", OK, NULL, "CONFIG_SHMEM, CONFIG_NET_NS, CONFIG_MODULES");
	else if (!access("/proc/self/ns/net", F_OK))
		say(d, "kernel config", OK, NULL,
		    "it has network namespaces; the rest cannot be read here");
	else
		say(d, "kernel config", PROBLEM, "boot a kernel with CONFIG_NET_NS",
		    "this kernel has no network namespaces");
	text_free(&missing);
}

/* --- module and library --- */

static void check_loaded(struct doctor *d)
{
	d->loaded = !access("/sys/module/ipm/parameters", F_OK);
	if (d->loaded) {
		say(d, "module", OK, NULL, "it is loaded");
		return;
	}
	if (!module_file(d))
		say(d, "module", PROBLEM,
		    "install linux-headers-$(uname -r) and IPM (make install), then modprobe ipm",
		    "it is not loaded, and not installed for this kernel");
	else if (file_has("/sys/kernel/security/lockdown", "[integrity]") ||
		 file_has("/sys/kernel/security/lockdown", "[confidentiality]"))
		say(d, "module", PROBLEM,
		    "as root: modprobe ipm; with Secure Boot, DKMS has to sign it with a key that "
		    "mokutil has enrolled",
		    "it is not loaded");
	else
		say(d, "module", PROBLEM, "as root: modprobe ipm", "it is not loaded");
}

static void check_start(struct doctor *d)
{
	static const char *const directories[] = { "/etc/modules-load.d", "/usr/lib/modules-load.d",
						   "/usr/local/lib/modules-load.d" };
	bool found = file_says("/etc/modules", "ipm");
	size_t i;

	for (i = 0; !found && i < sizeof(directories) / sizeof(directories[0]); i++) {
		DIR *directory = opendir(directories[i]);
		struct dirent *entry;

		while (directory && !found && (entry = readdir(directory))) {
			char path[512];

			snprintf(path, sizeof(path), "%s/%s", directories[i], entry->d_name);
			found = entry->d_name[0] != '.' && file_says(path, "ipm");
		}
		if (directory)
			closedir(directory);
	}
	if (found)
		say(d, "at start", OK, NULL, "the module is loaded whenever the machine starts");
	else
		say(d, "at start", NOTE, "echo ipm | sudo tee /etc/modules-load.d/ipm.conf",
		    "nothing loads the module when the machine starts");
}

static void check_device(struct doctor *d)
{
	struct stat stat_buffer;

	if (!d->loaded && access("/dev/ipm", F_OK))
		return;
	if (stat("/dev/ipm", &stat_buffer)) {
		say(d, "/dev/ipm", PROBLEM, "is /dev a devtmpfs, and udev running? In a container, "
		    "pass the device in", "it is missing");
		return;
	}
	if (!S_ISCHR(stat_buffer.st_mode)) {
		say(d, "/dev/ipm", PROBLEM, "remove it and load the module again",
		    "it is no device");
		return;
	}
	if (access("/dev/ipm", R_OK | W_OK)) {
		say(d, "/dev/ipm", PROBLEM, "as root: chmod 666 /dev/ipm",
		    "its mode is %03o, and you may not use it", stat_buffer.st_mode & 07777);
		return;
	}
	d->usable = true;
	if ((stat_buffer.st_mode & 0666) == 0666)
		say(d, "/dev/ipm", OK, NULL, "everybody may use it");
	else
		say(d, "/dev/ipm", NOTE, "chmod 666 /dev/ipm lets everybody",
		    "you may use it, not everybody may: its mode is %03o",
		    stat_buffer.st_mode & 07777);
}

static void check_versions(struct doctor *d)
{
	ipm_module_info info = { .struct_size = sizeof(info) };
	const char *library = ipm_version_string();
	ipm_result result;
	uint64_t missing;

	if (strcmp(library, IPM_VERSION_STRING))
		say(d, "library", PROBLEM,
		    "install one of them again; ldconfig -p | grep libipm shows which library is found",
		    "libipm %s with the ipm command of %s", library, IPM_VERSION_STRING);
	else
		say(d, "library", OK, NULL, "libipm %s", library);
	if (!d->usable)
		return;
	result = ipm_module_get_info(NULL, &info);
	if (result) {
		say(d, "versions", PROBLEM,
		    "load the module that belongs to the library: modprobe -r ipm; modprobe ipm",
		    "the module does not tell its version: %s", ipm_result_to_msg(result));
		d->usable = false;
		return;
	}
	info.release[sizeof(info.release) - 1] = '\0';
	missing = ~info.features & (IPM_MODULE_DOORBELL * 2 - 1);
	if (missing)
		say(d, "versions", PROBLEM, "load a newer one: modprobe -r ipm; modprobe ipm",
		    "module %s lacks features that libipm %s uses (bits %#llx)", info.release, library,
		    (unsigned long long)missing);
	else if (strcmp(info.release, library))
		say(d, "versions", NOTE,
		    "they work together; modprobe -r ipm; modprobe ipm loads the one installed",
		    "module %s, libipm %s", info.release, library);
	else
		say(d, "versions", OK, NULL, "module and library are %s, ABI %u", info.release,
		    info.abi);
}

static void check_netlink(struct doctor *d)
{
	ipm_monitor *monitor;
	ipm_result result;

	if (!d->loaded)
		return;
	result = ipm_monitor_open(NULL, &monitor);
	if (result) {
		say(d, "netlink", PROBLEM,
		    "load the module that belongs to the library: modprobe -r ipm; modprobe ipm",
		    "the module cannot be asked: %s", ipm_result_to_msg(result));
		return;
	}
	ipm_monitor_close(monitor);
	say(d, "netlink", OK, NULL, "the module answers");
}

/* --- limits --- */

static void check_limit(struct doctor *d, const char *what, uint64_t used, uint64_t max)
{
	if (used >= max || (double)used / (double)max >= 0.9)
		say(d, "limits", PROBLEM, "\"ipm limits\" shows all; root can raise it there",
		    "%llu of %llu %s are used", (unsigned long long)used, (unsigned long long)max,
		    what);
}

static void check_limits(struct doctor *d)
{
	ipm_memory_limits limits = { .struct_size = sizeof(limits) };
	size_t before = table_rows(d->table);
	struct rlimit files, size, space;

	if (!d->usable || ipm_memory_get_limits(NULL, &limits))
		return;
	check_limit(d, "segments", limits.segments, limits.segments_max);
	check_limit(d, "handles", limits.handles, limits.handles_max);
	check_limit(d, "claims", limits.claims, limits.claims_max);
	check_limit(d, "bytes", limits.bytes, limits.bytes_max);
	if (table_rows(d->table) == before)
		say(d, "limits", OK, NULL, "less than 90%% of each is used");
	if (!getrlimit(RLIMIT_FSIZE, &size) && size.rlim_cur != RLIM_INFINITY)
		say(d, "ulimit -f", NOTE, "segments cannot be larger than that",
		    "files are limited to %llu bytes", (unsigned long long)size.rlim_cur);
	if (!getrlimit(RLIMIT_AS, &space) && space.rlim_cur != RLIM_INFINITY)
		say(d, "ulimit -v", NOTE, "growing may need ipm_memory_sync(3)",
		    "the address space is limited to %llu bytes", (unsigned long long)space.rlim_cur);
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < 256)
		say(d, "ulimit -n", NOTE, "each handle is one", "only %llu files may be open",
		    (unsigned long long)files.rlim_cur);
}

/* --- does it work? --- */

static ipm_result try_segment(void)
{
	ipm_memory_create_options create = {
		.struct_size = sizeof(create),
		.ref = ipm_ref_private(),
		.size = 4096,
		.capacity = 4096,
		.mode = 0600,
		.access = IPM_ACCESS_MODE_READ_WRITE,
	};
	char wrote[] = "ipm doctor", got[sizeof(wrote)] = "";
	ipm_memory *memory;
	ipm_result result;

	result = ipm_memory_create_ex(NULL, &create, &memory);
	if (result)
		return result;
	result = ipm_memory_write(memory, 0, wrote, sizeof(wrote));
	if (!result)
		result = ipm_memory_read(memory, 0, got, sizeof(got));
	if (!result && memcmp(wrote, got, sizeof(got)))
		result = IPM_RESULT_ERR_CORRUPTED;
	ipm_memory_close(memory);
	return result;
}

static void check_segment(struct doctor *d)
{
	ipm_result result;

	if (!d->usable)
		return;
	result = try_segment();
	if (result)
		say(d, "a segment", PROBLEM, "dmesg may tell more",
		    "making, mapping, claiming or copying failed: %s", ipm_result_to_msg(result));
	else
		say(d, "a segment", OK, NULL, "made, mapped, claimed, written, read, and gone again");
}

int command_doctor(int argc, char **argv)
{
	static const struct option names[] = { LIST_NAMES, { 0 } };
	static const struct options options = {
		"doctor", help, LIST_LETTERS, names, columns, COLUMNS,
	};
	struct list_options list = { 0 };
	struct doctor d = { .list = &list };
	int option, status = 0;

	while (!status && (option = option_next(argc, argv, &options)) != -1)
		status = list_option(&list, option, optarg);
	if (!status)
		status = option_arguments(argc, argv, 0, 0, "");
	if (status)
		return status;
	d.table = table_new("checks", columns, COLUMNS, &list);
	if (!d.table)
		return STATUS_USAGE;
	if (uname(&d.kernel))
		return complain(STATUS_FAILED, "the kernel does not tell its name: %s",
				strerror(errno));
	check_kernel(&d);
	check_loaded(&d);
	check_start(&d);
	check_device(&d);
	check_versions(&d);
	check_netlink(&d);
	check_limits(&d);
	check_segment(&d);
	if (list.json)
		table_finish(d.table);
	else
		table_print(d.table, stdout, 0, SIZE_MAX);
	table_free(d.table);
	return d.problem ? STATUS_FAILED : STATUS_OK;
}
