/* table - rows in columns that fit the terminal. A list in a pipe is no table: its rows are whole,
 * and the command prints them itself.
 */
#ifndef ST_CLI_TABLE_H
#define ST_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define ST_TABLE_COLUMNS_MAX 8

#define ST_TABLE_NOTHING "-" /* what stands in a cell without anything */

typedef struct st_table_column {
  const char *heading;
  /* How narrow it may become, in columns of the terminal; what does not fit ends in an ellipsis. 0:
   * nothing of it is ever cut. */
  size_t least;
  /* What is wider than this counts as this wide, and is whole all the same; 0: no such bound. So
   * that nobody makes a table wide for everybody. */
  size_t most;
  /* Those with the largest number are left out first when it is too narrow for all. 0: never. */
  unsigned leave_out;
  /* Left out when no cell has more than ST_TABLE_NOTHING. */
  bool optional;
} st_table_column;

/* To a date without its time, as st_print_time writes it, when there is no room for both. */
#define ST_TABLE_DATE 10

typedef struct st_table {
  const st_table_column *columns;
  size_t count;
  size_t widths[ST_TABLE_COLUMNS_MAX]; /* 0: left out */
} st_table;

/* A row: the untrusted texts of its cells, which live until it was measured or printed. */
typedef struct st_table_row {
  const char *cells[ST_TABLE_COLUMNS_MAX];
} st_table_row;

/* In this order: begin; measure each row that is known before the first is printed; fit, to so many
 * columns (0: as wide as it is), which prints the heading; print each row. A row that was not
 * measured is cut where it is wider.
 */
void st_table_begin(st_table *table, const st_table_column *columns, size_t count);
void st_table_measure(st_table *table, const st_table_row *row);
void st_table_fit(st_table *table, size_t width);
void st_table_print(const st_table *table, const st_table_row *row);

#endif
