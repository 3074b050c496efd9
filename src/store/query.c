/* Reads rows for the management, a page or one. A request's own look-ups are not here: the
 * implementation answers them itself (st_driver).
 */
#include "store/query.h"

#include <string.h>

/* ST_STORE_OK also after the last row. Writes error unless it answers that. */
static st_store_status take_rows(st_db *db, st_row *row, st_store_status first,
                                 const st_query_page *page, char *error) {
  size_t i = 0;
  st_store_status status = first;
  while (i < page->limit && status == ST_STORE_OK) {
    if (!page->take(row, (char *)page->items + i * page->size)) {
      return db->ops->explain(db, "read", error);
    }
    *page->count = ++i;
    status = i < page->limit ? st_row_next(row) : ST_STORE_NOT_FOUND;
  }
  return status == ST_STORE_OK || status == ST_STORE_NOT_FOUND
             ? ST_STORE_OK
             : db->ops->explain(db, "read", error);
}

st_store_status st_query_list(st_store *store, st_sql which, const st_value *values,
                              const st_query_page *page, char *error) {
  *page->count = 0;
  if (page->limit > INT32_MAX) return st_db_fail(error, "cannot list %zu at a time", page->limit);
  st_db *db = store->driver->acquire_query_db(store, error);
  if (db == NULL) return ST_STORE_FAILED;
  st_row row;
  st_store_status found = st_db_query(db, which, values, &row);
  st_store_status status = take_rows(db, &row, found, page, error);
  st_row_finish(&row);
  store->driver->release_query_db(db);
  if (status != ST_STORE_OK) *page->count = 0;
  return status == ST_STORE_OK ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_query_one(st_store *store, st_sql which, const st_value *values, void *item,
                             size_t size, st_query_take_fn *take, char *error) {
  size_t count = 0;
  /* cppcheck-suppress ctuuninitvar ; it is written to */
  st_query_page page = {item, size, 1, &count, take};
  st_store_status status = st_query_list(store, which, values, &page, error);
  if (status == ST_STORE_OK && count == 0) status = ST_STORE_NOT_FOUND;
  if (status != ST_STORE_OK) memset(item, 0, size);
  return status;
}

static bool take_number(const st_row *row, void *number) {
  *(int64_t *)number = st_row_number(row, 0);
  return true;
}

st_store_status st_query_integer(st_store *store, st_sql which, const st_value *values,
                                 int64_t *number, char *error) {
  int64_t found = 0;
  st_store_status status =
      st_query_one(store, which, values, &found, sizeof found, take_number, error);
  if (status == ST_STORE_OK) *number = found;
  return status;
}

st_store_status st_query_visit(st_db *db, st_sql which, const st_value *values,
                               st_query_visit_fn *visit, void *context, char *error) {
  st_row row;
  st_query_go go = ST_QUERY_GO_ON;
  st_store_status status = st_db_query(db, which, values, &row);
  while (status == ST_STORE_OK && go == ST_QUERY_GO_ON) {
    go = visit(&row, context);
    if (go == ST_QUERY_GO_ON) status = st_row_next(&row);
  }
  bool good = go != ST_QUERY_DAMAGED && (status == ST_STORE_OK || status == ST_STORE_NOT_FOUND);
  if (!good) (void)db->ops->explain(db, "read", error);
  st_row_finish(&row);
  return good ? ST_STORE_OK : ST_STORE_FAILED;
}
