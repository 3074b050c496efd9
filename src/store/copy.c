/* Copies a store, table by table and page by page, so that it needs no more memory for more rows.
 * It reads one moment of the source, which others go on to change, and writes one transaction of
 * the target. Nothing is added and nothing left out: ids, times, the sequences that were issued,
 * the hash key and the log of changes are those of the source, so that edges notice nothing. The
 * statements' text, and with it the order of the columns, is in statements.c of each database.
 */
#include "store/copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "store/transaction.h"

#define COPY_PAGE 500          /* rows at a time */
#define COPY_COLUMNS 24        /* of a table, at most */
#define COPY_ROW_MAX (1 << 20) /* bytes of text and bytes in one row */
#define COPY_CURSOR_MAX 1024   /* bytes of what a page begins after */
#define COPY_WAIT_US (INT64_C(86400) * 1000000)

/* ---- the tables ---- */

/* columns: a letter each: n a number, t text, b 32 bytes; a capital: or NULL. The first `cursor` of
 * them are what the rows are ordered by.
 */
typedef struct copy_table {
  st_sql read, write;
  const char *columns;
  uint8_t cursor;
} copy_table;

/* Settings come first, since they hold the hash key; keys before what refers to them. The second
 * column of a key is its place in the order in which keys were made.
 */
static const copy_table tables[] = {
    {ST_SQL_COPY_READ_SETTINGS, ST_SQL_COPY_WRITE_SETTINGS, "tn", 1},
    {ST_SQL_COPY_READ_ISSUED, ST_SQL_COPY_WRITE_ISSUED, "n", 1},
    {ST_SQL_COPY_READ_KEYS, ST_SQL_COPY_WRITE_KEYS, "tnbttttnNnnNnTnTTTtBNNn", 1},
    {ST_SQL_COPY_READ_REPLACED, ST_SQL_COPY_WRITE_REPLACED, "bt", 1},
    {ST_SQL_COPY_READ_REVOKED, ST_SQL_COPY_WRITE_REVOKED, "ttn", 1},
    {ST_SQL_COPY_READ_LISTED, ST_SQL_COPY_WRITE_LISTED, "tnNnTNTnT", 1},
    {ST_SQL_COPY_READ_CHANGES, ST_SQL_COPY_WRITE_CHANGES, "nn", 2},
    {ST_SQL_COPY_READ_USERS, ST_SQL_COPY_WRITE_USERS, "tttTttnnn", 1},
    {ST_SQL_COPY_READ_SESSIONS, ST_SQL_COPY_WRITE_SESSIONS, "tb", 1},
    {ST_SQL_COPY_READ_REFRESH, ST_SQL_COPY_WRITE_REFRESH, "btnN", 1},
    {ST_SQL_COPY_READ_USED, ST_SQL_COPY_WRITE_USED, "tn", 1},
    {ST_SQL_COPY_READ_REMAINING, ST_SQL_COPY_WRITE_REMAINING, "ttTnnttTnt", 1},
    {ST_SQL_COPY_READ_AUDIT, ST_SQL_COPY_WRITE_AUDIT, "nnttttt", 1},
};

typedef struct copy {
  st_db *from;
  const volatile int *stop;
  st_copy_report report;
  st_value row[COPY_COLUMNS + 1];
  st_value cursor[4];         /* behind which the next page begins; the limit; the end */
  char kept[COPY_CURSOR_MAX]; /* what the cursor points into */
  char room[COPY_ROW_MAX];    /* what the row points into */
  bool read_failed, not_empty, stopped;
  char error[ST_ERROR_MAX]; /* when reading failed */
} copy;

static bool copy_is_stopped(copy *c) {
  c->stopped = c->stop != NULL && *c->stop != 0;
  return c->stopped;
}

/* The source failed, or a row of it makes no sense. */
static st_store_status copy_fail_read(copy *c) {
  (void)c->from->ops->explain(c->from, "read", c->error);
  c->read_failed = true;
  return ST_STORE_FAILED;
}

/* ---- a row ---- */

static bool copy_take_column(copy *c, const st_row *row, int column, char type, size_t *used) {
  st_value *value = &c->row[column];
  char *room = c->room + *used;
  bool nullable = type == 'N' || type == 'T' || type == 'B';
  if (nullable && st_row_is_null(row, column)) {
    *value = st_db_text(NULL);
    return true;
  }
  if (type == 'n' || type == 'N') {
    *value = st_db_number(st_row_number(row, column));
    return true;
  }
  if (type == 'b' || type == 'B') {
    if (COPY_ROW_MAX - *used < 32 || !st_row_bytes(row, column, room, 32)) return false;
    *value = st_db_bytes(room, 32);
    *used += 32;
    return true;
  }
  if (!st_row_text(row, column, room, COPY_ROW_MAX - *used)) return false;
  *value = st_db_text(room);
  *used += value->len + 1;
  return true;
}

static bool copy_take_row(copy *c, const copy_table *table, const st_row *row) {
  size_t used = 0;
  int column = 0;
  bool ok = true;
  for (; ok && table->columns[column] != '\0'; column++) {
    ok = copy_take_column(c, row, column, table->columns[column], &used);
  }
  c->row[column] = (st_value){0};
  return ok;
}

/* The next page begins behind this row. */
static bool copy_keep_cursor(copy *c, const copy_table *table) {
  size_t used = 0;
  for (uint8_t i = 0; i < table->cursor; i++) {
    st_value value = c->row[i];
    if (value.type != ST_VALUE_NUMBER) {
      if (value.len > sizeof c->kept - used) return false;
      memcpy(c->kept + used, value.data, value.len);
      value.data = c->kept + used;
      used += value.len;
    }
    c->cursor[i] = value;
  }
  return true;
}

/* Before every row there can be. */
static void copy_start_cursor(copy *c, const copy_table *table) {
  for (uint8_t i = 0; i < table->cursor; i++) {
    char type = table->columns[i];
    c->cursor[i] = type == 'n'   ? st_db_number(INT64_MIN)
                   : type == 'b' ? st_db_bytes("", 0)
                                 : st_db_text("");
  }
  c->cursor[table->cursor] = st_db_number(COPY_PAGE);
  c->cursor[table->cursor + 1] = (st_value){0};
}

/* ---- a table ---- */

/* ST_STORE_OK: the page was full, and there may be another; ST_STORE_NOT_FOUND: it was the last. */
static st_store_status copy_page(copy *c, const copy_table *table, st_db *to, int64_t *rows) {
  st_row row;
  int64_t count = 0;
  st_store_status status = ST_STORE_OK;
  st_store_status found = st_db_query(c->from, table->read, c->cursor, &row);
  while (found == ST_STORE_OK && status == ST_STORE_OK) {
    if (!copy_take_row(c, table, &row)) {
      found = ST_STORE_FAILED;
      break;
    }
    status = st_db_run(to, table->write, c->row);
    count++;
    if (status == ST_STORE_OK) found = st_row_next(&row);
  }
  if (found == ST_STORE_FAILED) (void)copy_fail_read(c);
  st_row_finish(&row);
  if (found == ST_STORE_FAILED || status != ST_STORE_OK) return ST_STORE_FAILED;
  *rows += count;
  if (count < COPY_PAGE) return ST_STORE_NOT_FOUND;
  return copy_keep_cursor(c, table) ? ST_STORE_OK : copy_fail_read(c);
}

static st_store_status copy_rows(copy *c, const copy_table *table, st_db *to) {
  st_store_status status = ST_STORE_OK;
  int64_t rows = 0;
  copy_start_cursor(c, table);
  while (status == ST_STORE_OK) {
    status = copy_is_stopped(c) ? ST_STORE_FAILED : copy_page(c, table, to, &rows);
  }
  c->report.rows += rows;
  if (table->read == ST_SQL_COPY_READ_KEYS) c->report.keys = rows;
  if (table->read == ST_SQL_COPY_READ_AUDIT) c->report.lines = rows;
  return status == ST_STORE_NOT_FOUND ? ST_STORE_OK : status;
}

/* ---- all of it ---- */

static st_store_status copy_tables(copy *c, st_db *to) {
  st_store_status status = st_db_exists(to, ST_SQL_COPY_IS_EMPTY, ST_NO_VALUES);
  c->not_empty = status == ST_STORE_NOT_FOUND;
  if (status != ST_STORE_OK) return ST_STORE_FAILED;
  status = st_db_run(to, ST_SQL_COPY_CLEAR_SETTINGS, ST_NO_VALUES);
  if (status == ST_STORE_OK) status = st_db_run(to, ST_SQL_COPY_CLEAR_ISSUED, ST_NO_VALUES);
  for (size_t i = 0; status == ST_STORE_OK && i < sizeof tables / sizeof *tables; i++) {
    status = copy_rows(c, &tables[i], to);
    if (status == ST_STORE_OK && i == 0) {
      status = st_db_run(to, ST_SQL_COPY_HASH_KEY, ST_NO_VALUES);
    }
  }
  if (status == ST_STORE_OK) status = st_db_exists(to, ST_SQL_COPY_FINISH, ST_NO_VALUES);
  return status;
}

/* Is run again from its beginning when the database says so. */
static st_store_status make_copied(st_db *to, const st_change *change) {
  copy *c = change->data;
  c->report = (st_copy_report){0};
  st_store_status status = copy_tables(c, to);
  if (status == ST_STORE_OK && st_transaction_sequence(to, &c->report.sequence) != ST_STORE_OK) {
    status = ST_STORE_FAILED;
  }
  return status;
}

static st_store_status copy_into(copy *c, st_store *to, char *error) {
  st_change change = {.until_us = st_clock_monotonic_us() + COPY_WAIT_US, .data = c};
  st_store_status status = st_transaction_run(to, make_copied, &change, error);
  if (status == ST_STORE_OK) return status;
  if (c->stopped) return st_db_fail(error, "nothing was copied: interrupted");
  if (c->read_failed) return st_db_fail(error, "%s", c->error);
  if (!c->not_empty) return status;
  (void)st_db_fail(error, "%s is not empty: a store is copied into a new one alone",
                   st_db_name(to));
  return ST_STORE_EXISTS;
}

st_store_status st_copy_all(st_store *from, st_store *to, const volatile int *stop,
                            st_copy_report *report, char *error) {
  copy *c = calloc(1, sizeof *c);
  if (c == NULL) return st_db_fail(error, "cannot copy %s: out of memory", st_db_name(from));
  c->stop = stop;
  c->from = from->driver->begin_read(from, error);
  st_store_status status = ST_STORE_FAILED;
  if (c->from != NULL) {
    status = copy_into(c, to, error);
    from->driver->end_read(c->from);
  }
  if (status == ST_STORE_OK) *report = c->report;
  free(c);
  return status;
}
