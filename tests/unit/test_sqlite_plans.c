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
      {ST_SQL_KEY_COUNT, "SEARCH keys USING INDEX keys_kept (id>?)"},
      {ST_SQL_KEY_COUNT_EXPIRING,
       "SEARCH keys USING INDEX keys_expiring ((expires_at,id)>(?,?) AND expires_at<?)"},
      {ST_SQL_KEY_LIST_EXPIRING, "SEARCH keys USING INDEX keys_expiring "},
      {ST_SQL_KEY_FOUND, "SEARCH keys USING INDEX keys_kept (id=?)"},
      {ST_SQL_USER_FOUND, "SEARCH keys USING INDEX sqlite_autoindex_keys_1 (id=?)"},
      {ST_SQL_KEY_SCAN, "SEARCH keys USING INDEX keys_kept (id>?)"},
      {ST_SQL_KEY_SCAN_OWNED, "SEARCH keys USING INDEX keys_owned (owner=? AND id>?)"},
      {ST_SQL_KEY_SCAN_EXPIRING,
       "USING INDEX keys_expiring ((expires_at,id)>(?,?) AND expires_at<?)"},
      {ST_SQL_AUDIT_SCAN, "SEARCH audit USING INDEX audit_at (at=? AND rowid<?)"},
      {ST_SQL_AUDIT_SCAN, "SEARCH audit USING INDEX audit_at (at>? AND at<?)"},
      {ST_SQL_AUDIT_SCAN_WHO, "USING INDEX audit_who (who=? AND at=? AND rowid<?)"},
      {ST_SQL_AUDIT_SCAN_WHO, "USING INDEX audit_who (who=? AND at>? AND at<?)"},
      {ST_SQL_AUDIT_SCAN_ACTION, "USING INDEX audit_action (action=? AND at=? AND rowid<?)"},
      {ST_SQL_AUDIT_SCAN_ACTION, "USING INDEX audit_action (action=? AND at>? AND at<?)"},
      {ST_SQL_AUDIT_SCAN_TARGET, "USING INDEX audit_target (target=? AND at=? AND rowid<?)"},
      {ST_SQL_AUDIT_SCAN_TARGET, "USING INDEX audit_target (target=? AND at>? AND at<?)"},
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

/* In more steps than one; seven end in each second. */
static void many_keys_are_counted(void **state) {
  (void)state;
  sqlite3 *file = NULL;
  int64_t keys = 0, ending = 0, some = 0;
  st_store *store = open_store();
  assert_int_equal(st_sqlite_connect(db, &file, error), ST_STORE_OK);
  assert_int_equal(
      sqlite3_exec(
          file,
          "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 12005)"
          " INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at,"
          " disabled, kind, changed_at, expires_at) SELECT printf('%036d', i),"
          " randomblob(32), printf('%043d', i), '', 'a', '', 0, 0, 0, 0, i / 7 FROM n",
          NULL, NULL, NULL),
      SQLITE_OK);
  assert_int_equal(sqlite3_close(file), SQLITE_OK);
  assert_int_equal(st_store_key_count(store, &keys, error), ST_STORE_OK);
  assert_int_equal(st_store_key_count_expiring(store, -1, 9000, &ending, error), ST_STORE_OK);
  assert_int_equal(st_store_key_count_expiring(store, 99, 1599, &some, error), ST_STORE_OK);
  assert_int_equal(keys, 12006);
  assert_int_equal(ending, 12006);
  assert_int_equal(some, 1500 * 7);
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_page_is_found_by_an_index, make_home, remove_home),
      cmocka_unit_test_setup_teardown(many_keys_are_counted, make_home, remove_home),
  };
  return cmocka_run_group_tests_name("sqlite plans", tests, NULL, NULL);
}
