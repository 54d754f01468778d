// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tables: rows and columns for people, or JSON for programs.
 *
 * A cell is kept in both forms. Which columns are shown is known from the start, so
 * what nobody wants to see need not be found out (table_wanted()).
 *
 * On a terminal that is too narrow, columns that may be cut are cut to
 * SHRUNK_WIDTH; then, unless the user chose the columns, those of least importance
 * are left out. JSON has all columns, or those chosen.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define GAP 2
#define SHRUNK_WIDTH 8

struct cell {
	char *text;		/* safe, or NULL for nothing */
	char *json;
	bool numeric;
	double number;		/* what to sort by */
	enum colour colour;
};

/**
 * struct table - a list that is being made
 * @plural: what the rows are; the name of the array in JSON
 * @columns: all there are
 * @count: how many
 * @list: options
 * @shown: which are shown, in this order
 * @shown_count: how many
 * @wanted: for each column whether it is shown at all
 * @chosen: whether the user chose them
 * @cells: @rows times @count of them
 * @rows: how many there are
 * @room: rows that there is memory for
 */
struct table {
	const char *plural;
	const struct column *columns;
	size_t count;
	const struct list_options *list;
	size_t *shown;
	size_t shown_count;
	bool *wanted;
	bool chosen;
	struct cell *cells;
	size_t rows;
	size_t room;
};

static int find_column(const struct table *table, const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		if (strlen(table->columns[i].name) == length &&
		    !strncasecmp(table->columns[i].name, name, length))
			return (int)i;
	}
	return -1;
}

static void show(struct table *table, size_t column)
{
	if (table->wanted[column])
		return;
	table->wanted[column] = true;
	table->shown[table->shown_count++] = column;
}

static void no_column(const char *name)
{
	char *safe = text_safe(name);

	usage_error("there is no column \"%s\"", safe);
	free(safe);
}

static int choose(struct table *table, const char *names)
{
	size_t length;
	int column;

	for (;; names += length + 1) {
		length = strcspn(names, ",");
		column = find_column(table, names, length);
		if (column < 0) {
			char *name = need(strndup(names, length));

			no_column(name);
			free(name);
			return STATUS_USAGE;
		}
		show(table, (size_t)column);
		if (!names[length])
			return 0;
	}
}

/**
 * table_new() - begin a list
 * @plural: what the rows are
 * @columns: all columns; have to stay
 * @count: how many
 * @list: options; have to stay
 *
 * Return: the table; NULL after a complaint about -o.
 */
struct table *table_new(const char *plural, const struct column *columns, size_t count,
			const struct list_options *list)
{
	struct table *table = need(calloc(1, sizeof(*table)));
	const char *names = list->columns;
	size_t i;

	table->plural = plural;
	table->columns = columns;
	table->count = count;
	table->list = list;
	table->shown = need(calloc(count, sizeof(*table->shown)));
	table->wanted = need(calloc(count, sizeof(*table->wanted)));
	table->chosen = names && *names != '+';
	if (!table->chosen) {
		for (i = 0; i < count; i++) {
			if (list->json ? !names : !(columns[i].flags & COLUMN_EXTRA))
				show(table, i);
			else if (names && !(columns[i].flags & COLUMN_EXTRA))
				show(table, i);
		}
	}
	if (names && choose(table, table->chosen ? names : names + 1)) {
		table_free(table);
		return NULL;
	}
	return table;
}

/**
 * table_column() - find a column by its name
 * @name: in capital or small letters
 *
 * Return: its number, -1 after a complaint.
 */
int table_column(const struct table *table, const char *name)
{
	int column = find_column(table, name, strlen(name));

	if (column < 0)
		no_column(name);
	return column;
}

/** table_wanted() - whether a column will be shown */
bool table_wanted(const struct table *table, size_t column)
{
	return table->wanted[column];
}

/** table_row() - begin the next row; its cells are empty */
void table_row(struct table *table)
{
	if (table->rows == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = need(reallocarray(table->cells, table->room * table->count,
						 sizeof(*table->cells)));
	}
	memset(&table->cells[table->rows * table->count], 0, table->count * sizeof(*table->cells));
	table->rows++;
}

static struct cell *cell_of(struct table *table, size_t column)
{
	return &table->cells[(table->rows - 1) * table->count + column];
}

static void set(struct table *table, size_t column, const char *text, const char *json,
		double number)
{
	struct cell *cell = cell_of(table, column);

	cell->text = need(strdup(text));
	cell->json = need(strdup(json));
	cell->numeric = true;
	cell->number = number;
}

/** table_text() - bytes of a stranger */
void table_text(struct table *table, size_t column, const char *raw)
{
	struct cell *cell = cell_of(table, column);
	struct text json = { 0 };

	if (!table->wanted[column])
		return;
	cell->text = text_safe(raw);
	json_string(&json, raw);
	cell->json = json.bytes;
}

/**
 * table_name() - the name of a segment
 * @label: how it is written, with its key or id if it has no name
 * @name: for JSON: the name, or NULL
 */
void table_name(struct table *table, size_t column, const char *label, const char *name)
{
	struct cell *cell = cell_of(table, column);
	struct text json = { 0 };

	if (!table->wanted[column])
		return;
	cell->text = text_safe(label);
	if (name)
		json_string(&json, name);
	else
		text_add(&json, "null", 4);
	cell->json = json.bytes;
}

/** table_word() - text of our own; as table_text() */
void table_word(struct table *table, size_t column, const char *word)
{
	table_text(table, column, word);
}

/** table_number() - a number */
void table_number(struct table *table, size_t column, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	if (table->wanted[column])
		set(table, column, text, text, (double)number);
}

/** table_signed() - a number that may be negative */
void table_signed(struct table *table, size_t column, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	if (table->wanted[column])
		set(table, column, text, text, (double)number);
}

/** table_size() - bytes; in JSON always the bare number */
void table_size(struct table *table, size_t column, uint64_t size)
{
	char text[24], json[24];

	format_size(text, sizeof(text), size, table->list->bytes);
	snprintf(json, sizeof(json), "%llu", (unsigned long long)size);
	if (table->wanted[column])
		set(table, column, text, json, (double)size);
}

/**
 * table_age() - a moment, shown as how long ago it was; in JSON as seconds since 1970
 * @realtime_ns: the moment; 0 for never
 */
void table_age(struct table *table, size_t column, int64_t realtime_ns)
{
	char text[24], json[32];

	if (!realtime_ns) {
		table_none(table, column);
		return;
	}
	format_age(text, sizeof(text), now_realtime() - realtime_ns);
	snprintf(json, sizeof(json), "%lld.%03lld", (long long)(realtime_ns / 1000000000),
		 (long long)(realtime_ns / 1000000 % 1000));
	if (table->wanted[column])
		set(table, column, text, json, -(double)realtime_ns);
}

/** table_duration() - a length of time; in JSON in seconds */
void table_duration(struct table *table, size_t column, int64_t ns)
{
	char text[24], json[32];

	format_age(text, sizeof(text), ns);
	snprintf(json, sizeof(json), "%lld.%06lld", (long long)(ns < 0 ? 0 : ns / 1000000000),
		 (long long)(ns < 0 ? 0 : ns / 1000 % 1000000));
	if (table->wanted[column])
		set(table, column, text, json, (double)ns);
}

/** table_flag() - yes or no; true or false in JSON */
void table_flag(struct table *table, size_t column, bool flag)
{
	if (table->wanted[column])
		set(table, column, flag ? "yes" : "no", flag ? "true" : "false", flag);
}

/** table_none() - nothing: "-", or null in JSON */
void table_none(struct table *table, size_t column)
{
	if (table->wanted[column])
		set(table, column, "-", "null", 0);
}

/** table_colour() - the colour of a cell */
void table_colour(struct table *table, size_t column, enum colour colour)
{
	cell_of(table, column)->colour = colour;
}

/** table_rows() - how many rows there are */
size_t table_rows(const struct table *table)
{
	return table->rows;
}

struct order {
	size_t column;
	bool descending;
};

static int compare_rows(const void *a, const void *b, void *param)
{
	const struct order *order = param;
	const struct cell *x = (const struct cell *)a + order->column;
	const struct cell *y = (const struct cell *)b + order->column;
	int result;

	if (x->numeric && y->numeric)
		result = (x->number > y->number) - (x->number < y->number);
	else
		result = strcoll(x->text ? x->text : "", y->text ? y->text : "");
	return order->descending ? -result : result;
}

/** table_want() - fill this column, too, to sort by it; before the first row */
void table_want(struct table *table, size_t column)
{
	table->wanted[column] = true;
}

/** table_sort() - order the rows by a column */
void table_sort(struct table *table, size_t column, bool descending)
{
	struct order order = { column, descending };

	if (table->rows)
		qsort_r(table->cells, table->rows, table->count * sizeof(*table->cells),
			compare_rows, &order);
}

/* --- for people --- */

static size_t widest(const struct table *table, size_t column, size_t most)
{
	size_t width = table->list->noheadings ? 0 : strlen(table->columns[column].name), i;

	for (i = 0; i < table->rows && i < most; i++) {
		const char *text = table->cells[i * table->count + column].text;
		size_t w = text ? text_width(text) : 1;

		if (w > width)
			width = w;
	}
	return width;
}

static size_t total_width(const size_t *widths, size_t count)
{
	size_t total = 0, i;

	for (i = 0; i < count; i++)
		total += widths[i] + (i ? GAP : 0);
	return total;
}

/* Cuts the widest of those that may be cut, until it fits. */
static void shrink(const struct table *table, const size_t *shown, size_t *widths, size_t count,
		   size_t width)
{
	size_t total = total_width(widths, count), i;

	while (total > width) {
		size_t victim = count;

		for (i = 0; i < count; i++) {
			if ((table->columns[shown[i]].flags & COLUMN_SHRINKS) &&
			    widths[i] > SHRUNK_WIDTH &&
			    (victim == count || widths[i] > widths[victim]))
				victim = i;
		}
		if (victim == count)
			return;
		widths[victim]--;
		total--;
	}
}

/* Leaves out what matters least, until it fits. */
static size_t leave_out(const struct table *table, size_t *shown, size_t *widths, size_t count,
			size_t width)
{
	while (count > 1 && total_width(widths, count) > width) {
		size_t victim = count - 1, i;

		for (i = count; i-- > 0;) {
			if (table->columns[shown[i]].keep < table->columns[shown[victim]].keep)
				victim = i;
		}
		memmove(&shown[victim], &shown[victim + 1], (count - victim - 1) * sizeof(*shown));
		memmove(&widths[victim], &widths[victim + 1],
			(count - victim - 1) * sizeof(*widths));
		count--;
	}
	return count;
}

static void print_cell(FILE *to, const char *text, size_t width, bool right, bool last,
		       enum colour colour)
{
	char *cut = text_width(text) > width ? text_cut(text, width) : NULL;
	size_t pad;

	if (cut)
		text = cut;
	pad = width - text_width(text);
	if (right)
		fprintf(to, "%*s", (int)pad, "");
	fprintf(to, "%s%s%s", colour_on(colour), text, colour ? COLOUR_OFF : "");
	if (!right && !last)
		fprintf(to, "%*s", (int)pad, "");
	if (!last)
		fprintf(to, "%*s", GAP, "");
	free(cut);
}

/**
 * table_print() - print for people
 * @table: the table
 * @to: where to
 * @width: columns of the terminal, 0 for no limit
 * @most: print no more rows than this
 */
void table_print(struct table *table, FILE *to, unsigned int width, size_t most)
{
	bool colour = colours(to, table->list->when);
	size_t count = table->shown_count, i, row;
	size_t *shown = need(calloc(count + 1, sizeof(*shown)));
	size_t *widths = need(calloc(count + 1, sizeof(*widths)));

	memcpy(shown, table->shown, count * sizeof(*shown));
	for (i = 0; i < count; i++)
		widths[i] = widest(table, shown[i], most);
	if (width) {
		shrink(table, shown, widths, count, width);
		if (!table->chosen)
			count = leave_out(table, shown, widths, count, width);
		/* What was left out may make room again. */
		if (count < table->shown_count) {
			for (i = 0; i < count; i++)
				widths[i] = widest(table, shown[i], most);
			shrink(table, shown, widths, count, width);
		}
		if (count == 1 && widths[0] > width)
			widths[0] = width;
	}
	if (!table->list->noheadings) {
		for (i = 0; i < count; i++)
			print_cell(to, table->columns[shown[i]].name, widths[i],
				   table->columns[shown[i]].flags & COLUMN_RIGHT, i + 1 == count,
				   colour ? COLOUR_BOLD : COLOUR_NONE);
		fputc('\n', to);
	}
	for (row = 0; row < table->rows && row < most; row++) {
		for (i = 0; i < count; i++) {
			const struct cell *cell = &table->cells[row * table->count + shown[i]];

			print_cell(to, cell->text ? cell->text : "-", widths[i],
				   table->columns[shown[i]].flags & COLUMN_RIGHT, i + 1 == count,
				   colour ? cell->colour : COLOUR_NONE);
		}
		fputc('\n', to);
	}
	free(shown);
	free(widths);
}

/**
 * table_lines() - print each row as a block of lines, name and value
 * @table: the table
 * @to: where to
 */
void table_lines(struct table *table, FILE *to)
{
	bool colour = colours(to, table->list->when);
	size_t width = 0, i, row;

	for (i = 0; i < table->shown_count; i++) {
		size_t w = strlen(table->columns[table->shown[i]].name);

		if (w > width)
			width = w;
	}
	for (row = 0; row < table->rows; row++) {
		if (row)
			fputc('\n', to);
		for (i = 0; i < table->shown_count; i++) {
			size_t column = table->shown[i];
			const struct cell *cell = &table->cells[row * table->count + column];

			if (!table->list->noheadings)
				print_cell(to, table->columns[column].name, width, false, false,
					   colour ? COLOUR_BOLD : COLOUR_NONE);
			fprintf(to, "%s%s%s\n", colour ? colour_on(cell->colour) : "",
				cell->text ? cell->text : "-",
				colour && cell->colour ? COLOUR_OFF : "");
		}
	}
}

/* --- for programs --- */

static void print_object(const struct table *table, size_t row, FILE *to)
{
	size_t i;

	fputc('{', to);
	for (i = 0; i < table->shown_count; i++) {
		const struct cell *cell = &table->cells[row * table->count + table->shown[i]];
		const char *c;

		fprintf(to, "%s\"", i ? ", " : "");
		for (c = table->columns[table->shown[i]].name; *c; c++) {
			if (*c == '%')
				fputs("_percent", to);
			else if (*c == '/')
				fputs("_per_", to);
			else
				fputc(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c, to);
		}
		fprintf(to, "\": %s", cell->json ? cell->json : "null");
	}
	fputc('}', to);
}

static void print_json(const struct table *table, FILE *to)
{
	size_t row;

	fprintf(to, "{\n  \"%s\": [", table->plural);
	for (row = 0; row < table->rows; row++) {
		fprintf(to, "%s\n    ", row ? "," : "");
		print_object(table, row, to);
	}
	fprintf(to, "%s]\n}\n", table->rows ? "\n  " : "");
}

/** table_finish() - print the table on standard output, in the form asked for */
void table_finish(struct table *table)
{
	if (table->list->json)
		print_json(table, stdout);
	else if (table->rows)
		table_print(table, stdout, terminal_width(1), SIZE_MAX);
}

/** table_free() - free a table, or NULL */
void table_free(struct table *table)
{
	size_t i;

	if (!table)
		return;
	for (i = 0; i < table->rows * table->count; i++) {
		free(table->cells[i].text);
		free(table->cells[i].json);
	}
	free(table->cells);
	free(table->shown);
	free(table->wanted);
	free(table);
}

/** table_help() - print which columns there are, for --help */
void table_help(const struct column *columns, size_t count)
{
	size_t i;

	printf("\nColumns (* not shown unless asked for):\n");
	for (i = 0; i < count; i++)
		printf("  %c %-10s %s\n", columns[i].flags & COLUMN_EXTRA ? '*' : ' ',
		       columns[i].name, columns[i].help);
}
