/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands of ipm(8) share: exit statuses, options, names of segments,
 * text that is safe to show, tables and JSON.
 *
 * A command is one run() in a file of its own. It says what went wrong in one
 * sentence on standard error and returns a status; nothing but main() and the
 * option parser ends the process.
 */
#ifndef IPM_TOOL_H
#define IPM_TOOL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ipm/ipm.h>
#include <ipm/ipm_monitor.h>

/* Exit statuses, documented in ipm(8): they do not change. */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,	/* the operation failed */
	STATUS_USAGE = 2,	/* the command was called wrongly */
	STATUS_MISSING = 3,	/* there is no such segment */
	STATUS_RIGHTS = 4,	/* the caller may not do that */
	STATUS_MODULE = 5,	/* the module is not loaded, or does not fit */
	STATUS_BUSY = 6,	/* somebody else has it, or the time passed first */
	STATUS_DOUBT = 7,	/* done, but a writer died in the middle of these bytes */
	STATUS_BROKEN = 8,	/* the other end of a stream died or gave up */
};

struct command {
	const char *name;
	const char *group;
	const char *summary;
	int (*run)(int argc, char **argv);
};

int command_ls(int argc, char **argv);
int command_info(int argc, char **argv);
int command_claims(int argc, char **argv);
int command_who(int argc, char **argv);
int command_top(int argc, char **argv);
int command_monitor(int argc, char **argv);
int command_create(int argc, char **argv);
int command_grow(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_chmod(int argc, char **argv);
int command_chown(int argc, char **argv);
int command_recover(int argc, char **argv);
int command_clear_claims(int argc, char **argv);
int command_limits(int argc, char **argv);
int command_cat(int argc, char **argv);
int command_put(int argc, char **argv);
int command_send(int argc, char **argv);
int command_recv(int argc, char **argv);
int command_run(int argc, char **argv);
int command_doctor(int argc, char **argv);

/* --- options.c: the command line --- */

struct column;

/* Values of long options that have no letter. */
enum long_option {
	OPTION_COLOUR = 256,
	OPTION_OFFSET,
	OPTION_LENGTH,
	OPTION_TIMEOUT,
	OPTION_PREALLOCATE,
	OPTION_NORESERVE,
	OPTION_MAP,
	OPTION_ZERO,
	OPTION_BUFFER,
	OPTION_OWNER,
	OPTION_ROWS,
};

/**
 * struct options - what a command takes
 * @name: its name
 * @help: what --help prints
 * @letters: as for getopt_long(); "h" is added
 * @names: as for getopt_long(); --help is added
 * @columns: columns that -o knows, for --help, or NULL
 * @column_count: how many
 */
struct options {
	const char *name;
	const char *help;
	const char *letters;
	const struct option *names;
	const struct column *columns;
	size_t column_count;
};

int option_next(int argc, char **argv, const struct options *options);
int option_arguments(int argc, char **argv, int least, int most, const char *what);
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- errors.c: sentences for a person --- */

extern const char *command_name;

int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
int failed(const char *segment, ipm_result result);
int flush_output(void);
int close_output(int status);

/* --- values.c: numbers that people write and read --- */

int parse_size(const char *text, const char *what, uint64_t *size);
int parse_seconds(const char *text, const char *what, int64_t *ns);
int parse_mode(const char *text, uint32_t old, uint32_t *mode);
int parse_owner(const char *text, uint32_t *uid, bool *has_uid, uint32_t *gid, bool *has_gid);
void format_size(char *to, size_t room, uint64_t size, bool bytes);
void format_age(char *to, size_t room, int64_t ns);
void format_mode(char *to, uint32_t mode);
const char *user_name(uint32_t uid);
const char *group_name(uint32_t gid);
int64_t now_realtime(void);

/* --- segment.c: which segment is meant --- */

int parse_segment(const char *text, ipm_memory_ref *ref);
int open_segment(const char *text, ipm_access_mode access, uint32_t flags, ipm_memory **memory);
char *segment_label(int by, const char *name, int32_t key, uint32_t id);

struct table;
struct text;

/* --- watch.c: what the module tells, kept --- */

/**
 * struct watched - segments as they were at one moment, in the order of their ids
 * @all: copies; their names are @names
 * @labels: how each is written, raw
 * @count: how many
 * @room: how many there is memory for
 * @exact: whether it was really one moment
 */
struct watched {
	ipm_monitor_segment *all;
	char **labels;
	size_t count;
	size_t room;
	bool exact;
};

int watch_open(ipm_monitor **monitor);
int watch_segments(ipm_monitor *monitor, uint32_t id, struct watched *watched);
int watch_find(const char *text, uint32_t *id);
int watch_failed(const char *segment, ipm_result result);
void watch_inexact(bool exact);
const ipm_monitor_segment *watched_segment(const struct watched *watched, uint32_t id);
const char *watched_label(const struct watched *watched, uint32_t id);
void watched_free(struct watched *watched);
void table_segment(struct table *table, size_t column, const struct watched *watched, uint32_t id);
void table_who(struct table *table, const ipm_monitor_who *who, const size_t columns[4]);
void state_words(struct text *text, uint32_t state);

/* --- text.c: bytes of strangers, shown safely --- */

struct text {
	char *bytes;
	size_t length;
	size_t room;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);
size_t text_width(const char *safe);
char *text_safe(const char *raw);
char *text_cut(const char *safe, size_t width);
void json_string(struct text *text, const char *raw);

/* --- terminal.c --- */

enum colour {
	COLOUR_NONE,
	COLOUR_BOLD,
	COLOUR_DIM,
	COLOUR_RED,
	COLOUR_GREEN,
	COLOUR_YELLOW,
	COLOUR_CYAN,
};

enum colour_when { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

int parse_colour(const char *text, enum colour_when *when);
bool colours(FILE *file, enum colour_when when);
const char *colour_on(enum colour colour);
#define COLOUR_OFF "\033[0m"
unsigned int terminal_width(int fd);
unsigned int terminal_height(int fd);

/* --- table.c: rows and columns, or JSON --- */

enum column_flags {
	COLUMN_RIGHT = 1 << 0,		/* aligned to the right */
	COLUMN_SHRINKS = 1 << 1,	/* may be cut on a narrow terminal */
	COLUMN_EXTRA = 1 << 2,		/* only with -o, and in JSON */
};

/**
 * struct column - one column of a list
 * @name: its header, and in small letters its name in JSON
 * @help: what it shows
 * @flags: COLUMN_*
 * @keep: on a terminal too narrow, those with the lowest number go first
 */
struct column {
	const char *name;
	const char *help;
	unsigned int flags;
	unsigned int keep;
};

/**
 * struct list_options - what every command that lists takes
 * @json: -J
 * @bytes: -b
 * @noheadings: -n
 * @columns: -o, or NULL
 * @when: --color
 */
struct list_options {
	bool json;
	bool bytes;
	bool noheadings;
	const char *columns;
	enum colour_when when;
};

#define LIST_LETTERS "Jbno:"
#define LIST_NAMES \
	{ "json", no_argument, NULL, 'J' }, \
	{ "bytes", no_argument, NULL, 'b' }, \
	{ "noheadings", no_argument, NULL, 'n' }, \
	{ "output", required_argument, NULL, 'o' }, \
	{ "color", optional_argument, NULL, OPTION_COLOUR }
#define LIST_HELP \
	"  -J, --json             print JSON\n" \
	"  -b, --bytes            print sizes in bytes\n" \
	"  -n, --noheadings       print no line of headings\n" \
	"  -o, --output LIST      print these columns, divided by commas; +LIST adds to the usual\n" \
	"      --color[=WHEN]     auto (on a terminal), always or never\n" \
	"  -h, --help             print this\n"

int list_option(struct list_options *list, int option, const char *argument);

struct table;

struct table *table_new(const char *plural, const struct column *columns, size_t count,
			const struct list_options *list);
bool table_wanted(const struct table *table, size_t column);
void table_row(struct table *table);
void table_text(struct table *table, size_t column, const char *raw);
void table_name(struct table *table, size_t column, const char *label, const char *name);
void table_word(struct table *table, size_t column, const char *word);
void table_number(struct table *table, size_t column, uint64_t number);
void table_signed(struct table *table, size_t column, int64_t number);
void table_size(struct table *table, size_t column, uint64_t size);
void table_age(struct table *table, size_t column, int64_t realtime_ns);
void table_duration(struct table *table, size_t column, int64_t ns);
void table_flag(struct table *table, size_t column, bool flag);
void table_none(struct table *table, size_t column);
void table_colour(struct table *table, size_t column, enum colour colour);
void table_want(struct table *table, size_t column);
void table_sort(struct table *table, size_t column, bool descending);
size_t table_rows(const struct table *table);
void table_print(struct table *table, FILE *to, unsigned int width, size_t most);
void table_lines(struct table *table, FILE *to);
int table_column(const struct table *table, const char *name);
void table_finish(struct table *table);
void table_free(struct table *table);
void table_help(const struct column *columns, size_t count);

/* --- progress.c --- */

struct progress {
	bool on;
	uint64_t total;		/* 0 if unknown */
	uint64_t done;
	int64_t start;
	int64_t next;		/* when to draw again */
	int64_t window_start;
	uint64_t window_done;
	double rate;
	bool colour;
	const char *label;
};

void progress_start(struct progress *progress, const char *label, bool on, uint64_t total);
void progress_add(struct progress *progress, uint64_t bytes);
void progress_note(struct progress *progress, const char *what);
void progress_end(struct progress *progress);
void progress_break(void);

/* Memory is never there for nothing: says so and exits. */
void *need(void *allocated);

#endif /* IPM_TOOL_H */
