/* Rows of a question of the management, a page or one. Questions of a request's hot path do not
 * come here: the implementation answers them itself (st_driver).
 */
#include "store/query.h"

#include <string.h>

/* ST_STORED after the last row, too. *error is written unless it answers that. */
static st_stored take_rows(st_db *db, st_row *row, st_stored first, const st_query_page *page,
                           char *error) {
  size_t i = 0;
  st_stored stored = first;
  while (i < page->limit && stored == ST_STORED) {
    if (!page->take(row, (char *)page->items + i * page->size)) {
      return db->ops->explain(db, "read", error);
    }
    *page->count = ++i;
    stored = i < page->limit ? st_row_next(row) : ST_STORE_NONE;
  }
  return stored == ST_STORED || stored == ST_STORE_NONE ? ST_STORED
                                                        : db->ops->explain(db, "read", error);
}

st_stored st_query_list(st_store *store, st_sql which, const st_value *values,
                        const st_query_page *page, char *error) {
  *page->count = 0;
  if (page->limit > INT32_MAX) {
    return st_db_fail(error, "cannot list %zu at a time", page->limit);
  }
  st_db *db = store->driver->acquire_query_db(store, error);
  if (db == NULL) return ST_STORE_FAILED;
  st_row row;
  st_stored found = st_db_query(db, which, values, &row);
  st_stored stored = take_rows(db, &row, found, page, error);
  st_row_finish(&row);
  store->driver->release_query_db(db);
  if (stored != ST_STORED) *page->count = 0;
  return stored == ST_STORED ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_query_one(st_store *store, st_sql which, const st_value *values, void *item,
                       size_t size, st_query_take_fn *take, char *error) {
  size_t count = 0;
  /* cppcheck-suppress ctuuninitvar ; it is written to */
  st_query_page page = {item, size, 1, &count, take};
  st_stored stored = st_query_list(store, which, values, &page, error);
  if (stored == ST_STORED && count == 0) stored = ST_STORE_NONE;
  if (stored != ST_STORED) memset(item, 0, size);
  return stored;
}

static bool take_number(const st_row *row, void *number) {
  *(int64_t *)number = st_row_number(row, 0);
  return true;
}

st_stored st_query_integer(st_store *store, st_sql which, const st_value *values, int64_t *number,
                           char *error) {
  int64_t found = 0;
  st_stored stored = st_query_one(store, which, values, &found, sizeof found, take_number, error);
  if (stored == ST_STORED) *number = found;
  return stored;
}
