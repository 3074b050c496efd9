/* A source of a copy whose rows make no sense, as somebody's SQL or a broken disk leaves them: the
 * copy fails and says which store is damaged. What barely fits is copied. The bounds of the tables
 * are taken off.
 */
#include "store/copy.h"
#include "store_answers.h"

#include <sqlite3.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ROW_MAX (1 << 20) /* bytes of text and bytes in one row */
#define PAGE 500          /* rows */
#define CURSOR_MAX 1024   /* bytes of what a page begins after */

static char beside[sizeof location];

static sqlite3 *open_file(void) {
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(location, &db), SQLITE_OK);
  (void)sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL);
  return db;
}

static void run_sql(const char *sql) {
  char *problem = NULL;
  sqlite3 *db = open_file();
  if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK) fail_msg("%s: %s", sql, problem);
  sqlite3_close(db);
}

static int64_t ask(const char *sql) {
  sqlite3_stmt *row = NULL;
  sqlite3 *db = open_file();
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(row), SQLITE_ROW);
  int64_t number = sqlite3_column_int64(row, 0);
  sqlite3_finalize(row);
  sqlite3_close(db);
  return number;
}

static st_store *target; /* stays empty while copies into it fail */

static st_store_status copy(st_copy_report *report) {
  volatile int stop = 0; /* nobody has said so */
  return st_copy_all(store, target, &stop, report, error);
}

static void assert_unreadable(const char *what) {
  st_copy_report report = {.rows = -1};
  if (copy(&report) != ST_STORE_FAILED || strstr(error, "is damaged") == NULL ||
      strstr(error, location) == NULL) {
    fail_msg("%s: %s", what, error);
  }
  assert_int_equal(report.rows, -1);
}

static void assert_copied(const char *what) {
  st_copy_report report;
  st_store_status status = copy(&report);
  if (status != ST_STORE_OK) fail_msg("%s: %d: %s", what, (int)status, error);
}

/* A key of whose texts only the name is of any length, with a secret that was replaced. */
static void fill(void) {
  st_key key;
  kind->locate(1, beside);
  assert_ok(st_store_open(beside, true, &target, error));
  make_key(1, "", "");
  assert_ok(
      st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(2), NOW + DAY, &key, error));
}

static void every_row_is_counted(void **state) {
  (void)state;
  st_copy_report report;
  fill();
  assert_ok(copy(&report));
  assert_int_equal(report.rows,
                   ask("SELECT (SELECT count(*) FROM facts) + (SELECT count(*) FROM given)"
                       " + (SELECT count(*) FROM keys) + (SELECT count(*) FROM replaced)"
                       " + (SELECT count(*) FROM listed) + (SELECT count(*) FROM revoked)"
                       " + (SELECT count(*) FROM changes) + (SELECT count(*) FROM audit)"));
  assert_true(report.keys == 1 && report.lines == 2);
}

static void a_column_that_makes_no_sense_is_not_copied(void **state) {
  static const char *const cases[] = {
      "UPDATE keys SET digest = x'00'", "UPDATE keys SET old_digest = zeroblob(33)",
      "UPDATE keys SET name = 'a' || char(0) || 'b'", "UPDATE keys SET made_by = 'a' || char(0)"};
  (void)state;
  fill();
  for (size_t i = 0; i < COUNT(cases); i++) {
    run_sql("CREATE TABLE k AS SELECT * FROM keys");
    run_sql(cases[i]);
    assert_unreadable(cases[i]);
    run_sql(
        "UPDATE keys SET (digest, old_digest, name, made_by) ="
        " (SELECT digest, old_digest, name, made_by FROM k); DROP TABLE k");
  }
  assert_copied("as it was");
}

static void name_of_length(int64_t len) {
  char sql[100];
  snprintf(sql, sizeof sql, "UPDATE keys SET name = printf('%%.*c', %lld, 'x')", (long long)len);
  run_sql(sql);
}

/* The texts of a row and their ends, and what has 32 bytes. */
static int64_t others_of_row(void) {
  return 32 + ask("SELECT 32 * (old_digest IS NOT NULL) + length(id) + length(sub) + length(owner)"
                  " + length(permissions) + length(audience) + 6 FROM keys");
}

static void a_row_that_just_fits_is_copied(void **state) {
  (void)state;
  fill();
  name_of_length(ROW_MAX - others_of_row() + 1); /* the bytes of the old secret come last */
  assert_unreadable("with an old secret");
  run_sql("UPDATE keys SET old_digest = NULL");
  name_of_length(ROW_MAX - others_of_row() + 1);
  assert_unreadable("without");
  run_sql("UPDATE keys SET old_digest = zeroblob(32)");
  name_of_length(ROW_MAX - others_of_row());
  assert_copied("with an old secret");
}

/* Settings of which the last on a page has a name of this length. */
static void end_page_with_name(int64_t len) {
  char sql[500];
  snprintf(sql, sizeof sql,
           "DELETE FROM facts WHERE name >= 'zz';"
           "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %lld)"
           " INSERT INTO facts SELECT 'zz' || n, n FROM n;"
           "INSERT INTO facts VALUES (printf('~%%.*c', %lld, 'x'), 1)",
           (long long)(PAGE - 1 - ask("SELECT count(*) FROM facts WHERE name < 'zz'")),
           (long long)len - 1);
  run_sql(sql);
  assert_int_equal(ask("SELECT count(*) FROM facts"), PAGE);
}

static void a_page_goes_on_behind_any_name_that_fits(void **state) {
  (void)state;
  fill();
  end_page_with_name(CURSOR_MAX + 1);
  assert_unreadable("a longer one");
  end_page_with_name(CURSOR_MAX);
  assert_copied("the longest");
}

/* ---- what a database does not do ---- */

/* Between two stores that are open; those that answer are `store`. */
static st_store_status copy_between(st_store *from, st_store *to) {
  st_copy_report report = {.rows = -1};
  st_store_status status = st_copy_all(from, to, NULL, &report, error);
  if (status != ST_STORE_OK) assert_int_equal(report.rows, -1);
  return status;
}

static void assert_fails_at(const st_sql *which, size_t count, st_store *from, st_store *to,
                            const char *named) {
  for (size_t i = 0; i < count; i++) {
    ANSWER({.which = which[i], .kind = ANSWER_FAILURE, .from = 1, .to = 1});
    st_store_status status = copy_between(from, to);
    if (status != ST_STORE_FAILED || answers[0].runs != 1 || strstr(error, named) == NULL) {
      fail_msg("statement %zu: %d: %s", i, (int)status, error);
    }
  }
}

static void a_statement_that_fails_ends_the_copy(void **state) {
  static const st_sql reads[] = {ST_SQL_COPY_READ_SETTINGS, ST_SQL_COPY_READ_KEYS,
                                 ST_SQL_COPY_READ_AUDIT};
  static const st_sql writes[] = {ST_SQL_COPY_IS_EMPTY,     ST_SQL_COPY_CLEAR_SETTINGS,
                                  ST_SQL_COPY_CLEAR_ISSUED, ST_SQL_COPY_WRITE_SETTINGS,
                                  ST_SQL_COPY_HASH_KEY,     ST_SQL_COPY_WRITE_ISSUED,
                                  ST_SQL_COPY_WRITE_KEYS,   ST_SQL_COPY_WRITE_AUDIT,
                                  ST_SQL_COPY_FINISH,       ST_SQL_SEQUENCE_GET};
  (void)state;
  st_store *from = store;
  fill();
  st_store *to = target;
  assert_fails_at(reads, COUNT(reads), from, to, location);
  NO_ANSWERS;
  store = to;
  answer_with(NULL, 0);
  assert_fails_at(writes, COUNT(writes), from, to, beside);
  ANSWER({.which = ST_SQL_COPY_HASH_KEY, .kind = ANSWER_NOTHING});
  assert_ok(copy_between(from, to));
  assert_int_equal(answers[0].runs, 1);
  assert_true(answers_until_us - st_clock_monotonic_us() > (DAY - 600) * US); /* it may take long */
  store = from;
}

static bool again_once(st_db *db) {
  static bool was;
  (void)db;
  return was = !was;
}

/* Made again from its beginning, as where others disturbed it: what is told is of the last time. */
static void a_copy_that_is_made_again_is_told_once(void **state) {
  (void)state;
  st_copy_report report, first;
  st_store *from = store;
  fill();
  store = target;
  ANSWER({.which = ST_SQL_COPY_FINISH, .kind = ANSWER_FAILURE, .to = 1});
  st_db *db = answers_wrap(target->driver->change_db(target));
  answers_ops.again = again_once;
  db->ops->rollback(db); /* gives it back */
  st_store_status status = st_copy_all(from, target, NULL, &report, error);
  store = from;
  assert_ok(status);
  assert_int_equal(answers[0].runs, 2);
  first = report;
  st_store_close(target);
  target = NULL;
  kind->locate(2, beside);
  assert_ok(st_store_open(beside, true, &target, error));
  assert_ok(copy(&report));
  assert_memory_equal(&report, &first, sizeof report);
}

static st_db *no_connection(st_store *of, char *problem) {
  (void)of;
  (void)st_db_fail(problem, "no connection is left");
  return NULL;
}

static void a_source_that_cannot_be_read_is_not_copied(void **state) {
  (void)state;
  const st_driver *working = store->driver;
  st_driver without = *working;
  without.begin_read = no_connection;
  fill();
  store->driver = &without;
  assert_int_equal(copy_between(store, target), ST_STORE_FAILED);
  assert_string_equal(error, "no connection is left");
  store->driver = working;
}

static int close_both(void **state) {
  st_store_close(target);
  target = NULL;
  return teardown(state);
}

int main(void) {
#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, close_both)
  const struct CMUnitTest tests[] = {
      TEST(every_row_is_counted),
      TEST(a_column_that_makes_no_sense_is_not_copied),
      TEST(a_row_that_just_fits_is_copied),
      TEST(a_page_goes_on_behind_any_name_that_fits),
      TEST(a_statement_that_fails_ends_the_copy),
      TEST(a_copy_that_is_made_again_is_told_once),
      TEST(a_source_that_cannot_be_read_is_not_copied),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
