/* query - what the management asks of the store, on a connection that only reads: nobody waits
 * here for who writes.
 */
#ifndef ST_STORE_QUERY_H
#define ST_STORE_QUERY_H

#include "store/db.h"

/* Reads one row; false when it is damaged. */
typedef bool st_query_take_fn(const st_row *row, void *item);

/* Where rows go. */
typedef struct st_query_page {
  void *items;
  size_t size; /* of an item */
  size_t limit;
  size_t *count;
  st_query_take_fn *take;
} st_query_page;

st_store_status st_query_list(st_store *store, st_sql which, const st_value *values,
                              const st_query_page *page, char *error)
    __attribute__((warn_unused_result));
/* One row; item is zeroed unless it is there. */
st_store_status st_query_one(st_store *store, st_sql which, const st_value *values, void *item,
                             size_t size, st_query_take_fn *take, char *error)
    __attribute__((warn_unused_result));
/* The number in the first column of the only row; ST_STORE_NOT_FOUND leaves it as it is. */
st_store_status st_query_integer(st_store *store, st_sql which, const st_value *values,
                                 int64_t *number, char *error) __attribute__((warn_unused_result));

/* Looks at rows until it has enough of them. */
typedef enum st_query_go { ST_QUERY_DAMAGED = 0, ST_QUERY_GO_ON, ST_QUERY_STOP } st_query_go;
typedef st_query_go st_query_visit_fn(const st_row *row, void *context);
/* Each row of a question. The connection is the caller's (st_driver.acquire_query_db). */
st_store_status st_query_visit(st_db *db, st_sql which, const st_value *values,
                               st_query_visit_fn *visit, void *context, char *error)
    __attribute__((warn_unused_result));

#endif
