/* One row, or a page of rows, of a prepared statement, read on a connection of its own. */
#include "store/db.h"

#include <string.h>

#include "domain/store.h"

/* The rows of a question that was put: ST_STORED after the last, too. */
static st_stored take_rows(st_store *store, sqlite3_stmt *rows, int code, const rows_into *into,
                           char *error) {
  size_t i = 0;
  for (; i < into->limit && code == SQLITE_ROW; i++) {
    if (!into->take(rows, (char *)into->items + i * into->size)) {
      return st_sqlite_fail_damaged(error, store->path, "a row is not as it was written");
    }
    *into->count = i + 1;
    code = i + 1 < into->limit ? sqlite3_step(rows) : SQLITE_DONE;
  }
  return code == SQLITE_ROW || code == SQLITE_DONE
             ? ST_STORED
             : st_sqlite_fail_db(error, store->path, store->queries, "read");
}

st_stored st_sqlite_page(st_store *store, int which, const parameter *values, const rows_into *into,
                         char *error) {
  sqlite3_stmt *rows = NULL;
  *into->count = 0;
  if (into->limit > INT32_MAX) {
    return st_sqlite_fail(error, "cannot list %zu at a time", into->limit);
  }
  (void)pthread_mutex_lock(&store->asking);
  st_stored stored = ST_STORE_FAILED;
  if (st_sqlite_in_place(store, store->queries, error)) {
    rows = store->query[which];
    st_stored found = st_sqlite_ask_with(rows, values);
    stored =
        found == ST_STORE_FAILED
            ? st_sqlite_fail_db(error, store->path, store->queries, "read")
            : take_rows(store, rows, found == ST_STORED ? SQLITE_ROW : SQLITE_DONE, into, error);
    st_sqlite_finish(rows);
  }
  (void)pthread_mutex_unlock(&store->asking);
  if (stored != ST_STORED) {
    *into->count = 0;
  }
  return stored;
}

st_stored st_sqlite_one(st_store *store, int which, const parameter *values, void *item,
                        size_t size, take_fn *take, char *error) {
  size_t count = 0;
  /* cppcheck-suppress ctuuninitvar ; it is written to */
  rows_into into = {item, size, 1, &count, take};
  st_stored stored = st_sqlite_page(store, which, values, &into, error);
  if (stored == ST_STORED && count == 0) {
    stored = ST_STORE_NONE;
  }
  if (stored != ST_STORED) {
    memset(item, 0, size);
  }
  return stored;
}
