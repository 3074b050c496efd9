/* Rows in columns that fit the terminal: columns are cut to what they need at least, the widest
 * first, and then left out. What is in them may be anybody's text, so that it is escaped, and
 * counted as the terminal shows it.
 */
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/print.h"
#include "os/terminal.h"

#define GAP 2 /* between columns */
#define ELLIPSIS "\xe2\x80\xa6"

/* The next character of a text as it is shown: how many bytes, and how many columns. A byte that is
 * escaped takes four. */
static size_t table_next(subtoken_text text, size_t *columns) {
  uint32_t code = 0;
  size_t step = st_utf8_next(text.data, text.len, &code);
  bool escaped = step == 0 || st_utf8_is_control(code);
  *columns = escaped ? strlen("\\x00") : st_terminal_columns_of(code);
  return escaped ? 1 : step;
}

static subtoken_text table_behind(subtoken_text text, size_t step) {
  return (subtoken_text){text.data + step, text.len - step};
}

static size_t table_width_of(subtoken_text text) {
  size_t width = 0, columns;
  while (text.len > 0) {
    text = table_behind(text, table_next(text, &columns));
    width += columns;
  }
  return width;
}

/* As much as fits; how many columns that is. */
static size_t table_print_up_to(subtoken_text text, size_t width) {
  size_t used = 0, columns;
  while (text.len > 0) {
    size_t step = table_next(text, &columns);
    if (used + columns > width) break;
    st_print_text(stdout, (subtoken_text){text.data, step});
    used += columns;
    text = table_behind(text, step);
  }
  return used;
}

static void table_print_cell(const st_table_column *column, subtoken_text text, size_t width,
                             bool last) {
  size_t used;
  if (column->least == 0 || table_width_of(text) <= width) {
    used = table_print_up_to(text, SIZE_MAX);
  } else if (column->least == ST_TABLE_DATE) {
    used = table_print_up_to(text, ST_TABLE_DATE);
  } else {
    used = table_print_up_to(text, width - 1) + 1;
    fputs(ELLIPSIS, stdout);
  }
  if (!last) printf("%*s", (int)(GAP + (used < width ? width - used : 0)), "");
}

void st_table_begin(st_table *table, const st_table_column *columns, size_t count) {
  *table = (st_table){.columns = columns, .count = count};
  for (size_t i = 0; i < count; i++) {
    table->widths[i] = columns[i].optional ? 0 : strlen(columns[i].heading);
  }
}

void st_table_measure(st_table *table, const st_table_row *row) {
  for (size_t i = 0; i < table->count; i++) {
    const st_table_column *column = &table->columns[i];
    if (column->optional && strcmp(row->cells[i], ST_TABLE_NOTHING) == 0) continue;
    size_t width = table_width_of(st_text(row->cells[i])), heading = strlen(column->heading);
    if (column->most > 0 && width > column->most) width = column->most;
    if (width < heading) width = heading;
    if (width > table->widths[i]) table->widths[i] = width;
  }
}

static size_t table_total(const st_table *table) {
  size_t total = 0;
  for (size_t i = 0; i < table->count; i++) {
    if (table->widths[i] > 0) total += table->widths[i] + (total > 0 ? GAP : 0);
  }
  return total;
}

/* The column that gives most way by a number of columns; NULL: none gives any. Times first: their
 * dates are what is looked for. */
static size_t *table_find_to_cut(st_table *table, size_t *least) {
  size_t *found = NULL;
  for (size_t i = 0; i < table->count; i++) {
    size_t *width = &table->widths[i];
    if (table->columns[i].least == 0 || *width <= table->columns[i].least) continue;
    bool date = table->columns[i].least == ST_TABLE_DATE;
    if (date || found == NULL || *width > *found) {
      found = width;
      *least = table->columns[i].least;
    }
    if (date) break;
  }
  return found;
}

static size_t *table_find_to_leave_out(st_table *table) {
  size_t *found = NULL;
  unsigned most = 0;
  for (size_t i = 0; i < table->count; i++) {
    if (table->widths[i] == 0 || table->columns[i].leave_out <= most) continue;
    most = table->columns[i].leave_out;
    found = &table->widths[i];
  }
  return found;
}

/* A date is cut to its least at once, any other column by one at a time, so that the widest shrink
 * to the same width. */
static void table_cut_to(st_table *table, size_t width) {
  size_t least = 0, *cut;
  while (table_total(table) > width && (cut = table_find_to_cut(table, &least)) != NULL) {
    *cut = least == ST_TABLE_DATE ? least : *cut - 1;
  }
}

/* Left out with the widths that columns have at least: the others get back what becomes free. */
static void table_leave_out(st_table *table, size_t width) {
  st_table narrow = *table;
  size_t *out = NULL;
  table_cut_to(&narrow, width);
  while (table_total(&narrow) > width && (out = table_find_to_leave_out(&narrow)) != NULL) {
    table->widths[out - narrow.widths] = 0;
    narrow = *table;
    table_cut_to(&narrow, width);
  }
}

void st_table_fit(st_table *table, size_t width) {
  st_table_row headings;
  if (width > 0) {
    table_leave_out(table, width);
    table_cut_to(table, width);
  }
  for (size_t i = 0; i < table->count; i++) headings.cells[i] = table->columns[i].heading;
  st_table_print(table, &headings);
}

void st_table_print(const st_table *table, const st_table_row *row) {
  size_t end = table->count;
  while (end > 0 && table->widths[end - 1] == 0) end--;
  for (size_t i = 0; i < end; i++) {
    if (table->widths[i] == 0) continue;
    table_print_cell(&table->columns[i], st_text(row->cells[i]), table->widths[i], i + 1 == end);
  }
  fputc('\n', stdout);
}
