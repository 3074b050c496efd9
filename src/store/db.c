/* Runs statements by name and reads their rows: thin calls of an implementation's operations, and
 * the few things that all callers need of them. The text of a statement is the implementation's;
 * what a change means is in the other files of this folder.
 */
#include "store/db.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- values ---- */

st_value st_db_text(const char *text) {
  static const st_value null = {.type = ST_VALUE_NULL};
  return text == NULL ? null : st_db_view(st_text(text));
}

st_value st_db_view(subtoken_text text) {
  return (st_value){.type = ST_VALUE_TEXT, .data = text.data, .len = text.len};
}

st_value st_db_bytes(const void *bytes, size_t len) {
  return (st_value){.type = ST_VALUE_BYTES, .data = bytes, .len = len};
}

st_value st_db_number(int64_t number) {
  return (st_value){.type = ST_VALUE_NUMBER, .number = number};
}

/* ---- statements ---- */

st_store_status st_db_run_counted(st_db *db, st_sql which, const st_value *values,
                                  int64_t *changed) {
  return db->ops->run(db, which, values, changed);
}

st_store_status st_db_run(st_db *db, st_sql which, const st_value *values) {
  int64_t changed = 0;
  return db->ops->run(db, which, values, &changed);
}

st_store_status st_db_run_one(st_db *db, st_sql which, const st_value *values) {
  int64_t changed = 0;
  st_store_status status = db->ops->run(db, which, values, &changed);
  return status == ST_STORE_OK && changed != 1 ? ST_STORE_NOT_FOUND : status;
}

st_store_status st_db_query(st_db *db, st_sql which, const st_value *values, st_row *row) {
  row->ops = db->ops;
  row->rows = NULL;
  return db->ops->query(db, which, values, &row->rows);
}

st_store_status st_db_exists(st_db *db, st_sql which, const st_value *values) {
  st_row row;
  st_store_status status = st_db_query(db, which, values, &row);
  st_row_finish(&row);
  return status;
}

st_store_status st_db_query_number(st_db *db, st_sql which, const st_value *values,
                                   int64_t *number) {
  st_row row;
  st_store_status status = st_db_query(db, which, values, &row);
  if (status == ST_STORE_OK) *number = st_row_number(&row, 0);
  st_row_finish(&row);
  return status;
}

/* ---- rows ---- */

st_store_status st_row_next(st_row *row) {
  return row->ops->next(row->rows);
}

void st_row_finish(st_row *row) {
  if (row->rows != NULL) row->ops->finish(row->rows);
  row->rows = NULL;
}

int64_t st_row_number(const st_row *row, int column) {
  return row->ops->number(row->rows, column);
}

bool st_row_is_null(const st_row *row, int column) {
  return row->ops->is_null(row->rows, column);
}

bool st_row_text(const st_row *row, int column, char *out, size_t size) {
  return row->ops->text(row->rows, column, out, size);
}

bool st_row_time(const st_row *row, int column, int64_t *out) {
  *out = row->ops->number(row->rows, column);
  return *out >= 0 && *out <= SUBTOKEN_TIME_MAX;
}

bool st_row_bytes(const st_row *row, int column, void *out, size_t len) {
  return row->ops->bytes(row->rows, column, out, len);
}

bool st_row_key(const st_row *row, st_key *key) {
  return row->ops->key(row->rows, key);
}

/* ---- the common part of a store ---- */

void st_db_store_start(st_store *store, const st_driver *driver) {
  store->driver = driver;
  store->large_change = ST_DB_LARGE_CHANGE;
  store->change_step = ST_DB_CHANGE_STEP;
  store->writing = (st_semaphore)ST_SEMAPHORE(1, ST_DB_WRITERS_MAX);
  store->ordering = (st_semaphore)ST_SEMAPHORE(1, ST_DB_WRITERS_MAX);
  store->unauthenticated = (st_semaphore)ST_SEMAPHORE(ST_DB_WRITERS_MAX / 8, 0);
}

/* ---- errors ---- */

st_store_status st_db_fail(char *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(error, ST_ERROR_MAX, format, args);
  va_end(args);
  return ST_STORE_FAILED;
}

const char *st_db_name(const st_store *store) {
  return st_error_path(store->name);
}
