/* How PostgreSQL reads what is looked through: by the index that leads to it, whatever it expects
 * of the rows. Of SQLite it is in test_sqlite_plans.c.
 */
#include "postgres_fixture.h"

#include "store/postgres/postgres.h"

/* Rows are looked through by the index that leads to them, in its order, however few there are of
 * one and however many a plan expects.
 */
static void what_is_looked_for_is_read_by_its_index(void **state) {
  (void)state;
  static const char sixteen[] = "'', '', '', '', '', '', '', '', '', '', '', '', '', '', '', ''";
  static const struct {
    int which;
    const char *with, *index;
  } rows[] = {
      {ST_SQL_KEY_SCAN, "'', 100", "Index Scan using keys_kept"},
      {ST_SQL_KEY_SCAN_OWNED, "'', 100, 'b'", "Index Scan using keys_owned"},
      {ST_SQL_KEY_LIST_OWNED, "'', 100, 'b'", "Index Scan using keys_owned"},
      {ST_SQL_KEY_SCAN_EXPIRING, "'', 100, 1, 2",
       "Index Cond: ((ROW(expires_at, id) > ROW($3, $1)) AND "},
      {ST_SQL_KEY_COUNT, "'', 100", "using keys_kept"},
      {ST_SQL_KEY_COUNT_EXPIRING, "1, '', 2, 100", "using keys_expiring"},
      {ST_SQL_KEY_FOUND, sixteen, "Index Cond: (id = ANY"},
      {ST_SQL_USER_FOUND, sixteen, "using users_pkey"},
      {ST_SQL_USER_SCAN, "'', 100", "using users_pkey"},
      {ST_SQL_AUDIT_SCAN, "5, 5, 1, 100", "Scan Backward using audit_at"},
      {ST_SQL_AUDIT_SCAN_WHO, "5, 5, 1, 100, 'b'", "Scan Backward using audit_who"},
      {ST_SQL_AUDIT_SCAN_ACTION, "5, 5, 1, 100, 'b'", "Scan Backward using audit_action"},
      {ST_SQL_AUDIT_SCAN_TARGET, "5, 5, 1, 100, 'b'", "Scan Backward using audit_target"},
  };
  st_store_close(open_store(pg_location));
  pg_do(pg_admin,
        "INSERT INTO keys (id, digest, sub, hash, name, owner, permissions, created_at, disabled,"
        " suspended, kind, changed_at, expires_at) SELECT lpad(i::text, 36, '0'), "
        "sha256(i::text::bytea),"
        " lpad(i::text, 43, '0'), i, '', 'a', '', 0, 0, 0, 0, 0, i"
        " FROM generate_series(1, 20000) AS i");
  pg_do(pg_admin,
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " SELECT i, 'a', '', 'a', 'a', '' FROM generate_series(1, 20000) AS i");
  pg_do(pg_admin,
        "INSERT INTO users (username, key_id, password, locale, source, changed_at)"
        " SELECT id, id, '', '', '', 0 FROM keys");
  pg_do(pg_admin, "ANALYZE");
  pg_do(pg_admin, "SET enable_seqscan = off"); /* as in the sessions of the store */
  pg_do(pg_admin, "SET plan_cache_mode = force_generic_plan");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char sql[4096], plan[4096] = "";
    snprintf(sql, sizeof sql, "PREPARE look%zu AS %s", i,
             st_postgres_statement_of(rows[i].which)->text);
    pg_do(pg_admin, sql);
    snprintf(sql, sizeof sql, "EXPLAIN EXECUTE look%zu(%s)", i, rows[i].with);
    PGresult *lines = pg_run(pg_admin, sql);
    for (int line = 0; line < PQntuples(lines); line++) {
      strncat(plan, PQgetvalue(lines, line, 0), sizeof plan - strlen(plan) - 1);
      strncat(plan, "\n", sizeof plan - strlen(plan) - 1);
    }
    PQclear(lines);
    if (strstr(plan, rows[i].index) == NULL || strstr(plan, "Sort") != NULL) {
      fail_msg("%zu: %s", i, plan);
    }
  }
}

/* In more steps than one; seven end in each second. */
static void many_keys_are_counted(void **state) {
  (void)state;
  int64_t keys = 0, ending = 0, some = 0;
  st_store *store = open_store(pg_location);
  pg_do(pg_admin,
        "INSERT INTO keys (id, digest, sub, hash, name, owner, permissions, created_at, disabled,"
        " suspended, kind, changed_at, expires_at) SELECT lpad(i::text, 36, '0'),"
        " sha256(i::text::bytea), lpad(i::text, 43, '0'), i, '', 'a', '', 0, 0, 0, 0, 0, i / 7"
        " FROM generate_series(0, 12005) AS i");
  assert_int_equal(st_store_key_count(store, &keys, error), ST_STORE_OK);
  assert_int_equal(st_store_key_count_expiring(store, -1, 9000, &ending, error), ST_STORE_OK);
  assert_int_equal(st_store_key_count_expiring(store, 99, 1599, &some, error), ST_STORE_OK);
  assert_int_equal(keys, 12006);
  assert_int_equal(ending, 12006);
  assert_int_equal(some, 1500 * 7);
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {PG_TEST(what_is_looked_for_is_read_by_its_index),
                                     PG_TEST(many_keys_are_counted)};
  return pg_run_tests("postgres_plans", tests, sizeof tests / sizeof *tests);
}
