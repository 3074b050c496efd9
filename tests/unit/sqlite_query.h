/* sqlite_query - SQL on the database of a test's store, for what its port does not show. */
#ifndef ST_TESTS_SQLITE_QUERY_H
#define ST_TESTS_SQLITE_QUERY_H

#include "store_contract.h"

#include <sqlite3.h>

static inline void sql(const char *text) {
  sqlite3 *other = NULL;
  char *problem = NULL;
  assert_int_equal(sqlite3_open(location, &other), SQLITE_OK);
  if (sqlite3_exec(other, text, NULL, NULL, &problem) != SQLITE_OK) fail_msg("%s", problem);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* The number that a query gives. */
static inline int64_t ask(const char *text) {
  sqlite3 *other = NULL;
  sqlite3_stmt *row = NULL;
  assert_int_equal(sqlite3_open(location, &other), SQLITE_OK);
  if (sqlite3_prepare_v2(other, text, -1, &row, NULL) != SQLITE_OK) {
    fail_msg("%s", sqlite3_errmsg(other));
  }
  assert_int_equal(sqlite3_step(row), SQLITE_ROW);
  int64_t value = sqlite3_column_int64(row, 0);
  (void)sqlite3_finalize(row);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  return value;
}

#endif
