/* How SQLite reads: statements that are asked of a million rows look through an index, and never
 * at all of a table. Of PostgreSQL it is in test_postgres_watch.c.
 */
#include "store/sqlite/sqlite.h"

#include "sqlite_fixture.h"

/* The steps of its plan, one a line. */
static const char *plan_of(sqlite3 *file, st_sql which) {
  static char plan[4096];
  char text[8192];
  sqlite3_stmt *steps = NULL;
  plan[0] = '\0';
  snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", st_sqlite_sql[which]);
  if (sqlite3_prepare_v2(file, text, -1, &steps, NULL) != SQLITE_OK) {
    fail_msg("%s", sqlite3_errmsg(file));
  }
  while (sqlite3_step(steps) == SQLITE_ROW) {
    size_t len = strlen(plan);
    snprintf(plan + len, sizeof plan - len, "%s\n", sqlite3_column_text(steps, 3));
  }
  (void)sqlite3_finalize(steps);
  return plan;
}

static void a_page_is_found_by_an_index(void **state) {
  (void)state;
  static const struct {
    st_sql which;
    const char *index;
  } rows[] = {
      {ST_SQL_KEY_COUNT_OWNED_TO, "SEARCH keys USING INDEX keys_owned (owner=?)"},
      {ST_SQL_KEY_COUNT_UNOWNED_TO, "SEARCH keys USING INDEX keys_unowned (made_by=?)"},
      {ST_SQL_KEY_COUNT_EXPIRING,
       "SEARCH keys USING COVERING INDEX keys_expiring (expires_at>? AND expires_at<?)"},
      {ST_SQL_KEY_LIST_EXPIRING, "SEARCH keys USING INDEX keys_expiring "},
      {ST_SQL_AUDIT_AFTER, "SEARCH audit USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
      {ST_SQL_AUDIT_CUT, "SEARCH audit USING COVERING INDEX audit_at (at<?)"},
      {ST_SQL_AUDIT_CUT, "SEARCH audit USING INTEGER PRIMARY KEY (rowid=?)"},
  };
  sqlite3 *file = NULL;
  st_store_close(open_store());
  assert_int_equal(st_sqlite_connect(db, &file, error), ST_STORE_OK);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *plan = plan_of(file, rows[i].which);
    bool scans = strstr(plan, "SCAN keys") != NULL || strstr(plan, "SCAN audit") != NULL;
    if (strstr(plan, rows[i].index) == NULL || scans || strstr(plan, "TEMP B-TREE") != NULL) {
      fail_msg("%zu: %s", i, plan);
    }
  }
  assert_int_equal(sqlite3_close(file), SQLITE_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_page_is_found_by_an_index, make_home, remove_home),
  };
  return cmocka_run_group_tests_name("sqlite plans", tests, NULL, NULL);
}
