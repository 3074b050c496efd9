/* Rows that are not as they were written, as somebody's SQL or a broken disk leaves them: they
 * grant nothing, are not shown and change nothing, and the error says that the store is damaged.
 * The bounds of the tables themselves are taken off before.
 */
#include "store_contract.h"

#include <sqlite3.h>

static bool in_file(void) {
  return kind->make == make_folder;
}

/* Beside the store. */
static void run_sql(const char *sql) {
  if (!in_file()) {
    char text[4096];
    snprintf(text, sizeof text, "SET client_min_messages = error; SET search_path = subtoken; %s",
             sql);
    if (run_in_postgres(location, text) != 0) fail_msg("%s", sql);
    return;
  }
  sqlite3 *db = NULL;
  char *problem = NULL;
  assert_int_equal(sqlite3_open(location, &db), SQLITE_OK);
  (void)sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL);
  if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK) fail_msg("%s: %s", sql, problem);
  sqlite3_close(db);
}

static void take_bounds_off(void) {
  if (in_file()) return;
  run_sql(
      "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conrelid::regclass AS t, conname AS n"
      " FROM pg_constraint WHERE contype IN ('c', 'f') AND connamespace ="
      " 'subtoken'::regnamespace LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t,"
      " c.n); END LOOP; END $$");
}

/* A file is checked when it is opened; in PostgreSQL what was read before is an answer for a while.
 */
static void see_it(void) {
  if (!in_file()) reopen();
}

static void damage(const char *table, const char *column, const char *value, const char *where) {
  char sql[3000];
  snprintf(sql, sizeof sql, "UPDATE %s SET %s = %s WHERE %s", table, column, value, where);
  run_sql(sql);
  see_it();
}

static const char *text_of(size_t len) {
  static char text[1200];
  snprintf(text, sizeof text, "'%0*d'", (int)len, 7);
  return text;
}

static void assert_damaged(const char *column, const char *value) {
  if (strstr(error, "damaged") == NULL) fail_msg("%s = %s: %s", column, value, error);
  error[0] = '\0';
}

/* NULL for value: a text of so many characters. */
typedef struct damaged {
  const char *column, *value;
  size_t len;
} damaged;

static const char *value_of(const damaged *d) {
  return d->value != NULL ? d->value : text_of(d->len);
}

/* ---- keys ---- */

static const damaged keys[] = {
    {"sub", NULL, 42},
    {"sub", NULL, 44},
    {"name", NULL, 257},
    {"owner", NULL, 257},
    {"audience", NULL, 33},
    {"created_at", "-1", 0},
    {"created_at", "9223372036854775807", 0},
    {"expires_at", "-1", 0},
    {"expires_at", "9223372036854775807", 0},
    {"old_until", "-1", 0},
    {"disabled", "2", 0},
    {"disabled", "-1", 0},
    {"suspended", "2", 0},
    {"suspended", "-1", 0},
    {"parent", NULL, 35},
    {"parent", NULL, 300},
};

static void a_damaged_key_grants_nothing(void **state) {
  (void)state;
  take_bounds_off();
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const damaged *d = &keys[i];
    const char *value = value_of(d);
    char where[80];
    st_key key, none = {0};
    size_t count = 7;
    make_key(1, "ann", "a");
    snprintf(where, sizeof where, "id = '%s'", id_of(1));
    damage("keys", d->column, value, where);
    memset(&key, 1, sizeof key);
    st_store_status status = st_store_by_digest(store, digest_of(1), &key, error);
    if (status != ST_STORE_FAILED) fail_msg("%s = %s: answered %d", d->column, value, (int)status);
    assert_memory_equal(&key, &none, sizeof key);
    assert_damaged(d->column, value);
    assert_int_equal(st_store_key_find(store, id_of(1), &key, error), ST_STORE_FAILED);
    assert_memory_equal(&key, &none, sizeof key);
    assert_damaged(d->column, value);
    assert_int_equal(st_store_key_list(store, NULL, "", 1, &key, &count, error), ST_STORE_FAILED);
    assert_int_equal(count, 0);
    assert_damaged(d->column, value);
    int64_t lines_before = lines();
    assert_int_equal(st_store_key_rename(store, CONTEXT, id_of(1), "anew", error), ST_STORE_FAILED);
    assert_damaged(d->column, value);
    assert_int_equal(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error),
                     ST_STORE_FAILED);
    assert_damaged(d->column, value);
    assert_int_equal(lines(), lines_before);
    run_sql("DELETE FROM keys");
    see_it();
  }
}

/* Its kind says who has it: one that there is not is nobody's. */
static void a_key_of_no_kind_grants_nothing(void **state) {
  (void)state;
  static const char *const kinds[] = {"-1", "4", "99"};
  take_bounds_off();
  make_key(1, "ann", "a");
  for (size_t i = 0; i < 3; i++) {
    st_key key;
    damage("keys", "kind", kinds[i], "true");
    assert_int_equal(st_store_by_digest(store, digest_of(1), &key, error), ST_STORE_FAILED);
    assert_damaged("kind", kinds[i]);
    assert_int_equal(row_by_sub(1, &key), ST_STORE_FAILED);
    assert_damaged("kind", kinds[i]);
  }
}

static void a_damaged_digest_is_no_answer(void **state) {
  (void)state;
  st_key key;
  take_bounds_off();
  make_key(1, "ann", "a");
  damage("keys", "digest", in_file() ? "x'0102'" : "'\\x0102'", "true");
  assert_int_equal(row_by_sub(1, &key), ST_STORE_FAILED);
  assert_damaged("digest", "2 bytes");
  assert_int_equal(key.id[0], '\0');
}

/* ---- users ---- */

static void a_damaged_user_is_none(void **state) {
  (void)state;
  static const damaged users[] = {{"password", NULL, 600},
                                  {"imported", NULL, 600},
                                  {"locale", NULL, 600},
                                  {"source", NULL, 600}};
  const char *table = in_file() ? "persons" : "users";
  take_bounds_off();
  make_user(1, "ann", "a,b");
  for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
    const damaged *d = &users[i];
    st_user user;
    size_t count = 7;
    damage(table, d->column, value_of(d), "true");
    assert_int_equal(st_store_user_find(store, ST_TEXT("ann"), &user, error), ST_STORE_FAILED);
    assert_damaged(d->column, "long");
    assert_int_equal(user.key.id[0], '\0');
    assert_int_equal(st_store_user_list(store, "", 1, &user, &count, error), ST_STORE_FAILED);
    assert_int_equal(count, 0);
    assert_damaged(d->column, "long");
    assert_int_equal(
        st_store_user_set_permissions(store, CONTEXT, "ann", "a", sub_of(9), NULL, error),
        ST_STORE_FAILED);
    assert_damaged(d->column, "long");
    damage(table, d->column, "''", "true");
    assert_ok(st_store_user_find(store, ST_TEXT("ann"), &user, error));
    assert_string_equal(user.key.permissions, "a,b");
  }
  damage("keys", "kind", "0", "true"); /* the row of a user is that of a key */
  st_user user;
  assert_int_equal(st_store_user_find(store, ST_TEXT("ann"), &user, error), ST_STORE_FAILED);
  assert_damaged("kind", "0");
}

/* ---- sessions ---- */

static void a_damaged_session_is_not_refreshed(void **state) {
  (void)state;
  st_key session;
  char successor[ST_REFRESH_LEN + 1] = "";
  take_bounds_off();
  make_key(1, "ann", "a");
  assert_ok(begin_session(2, grantor_of(1), NOW + 1000));
  damage(in_file() ? "logins" : "sessions", "seed", in_file() ? "x'0102'" : "'\\x0102'", "true");
  assert_int_equal(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(2)), NOW + 2000, 0,
                                            &session, successor, error),
                   ST_STORE_FAILED);
  assert_damaged("seed", "2 bytes");
  assert_string_equal(successor, "");
}

/* ---- the audit log ---- */

static void a_damaged_line_is_not_shown(void **state) {
  (void)state;
  static const damaged of_lines[] = {{"at", "-1", 0},       {"at", "9223372036854775807", 0},
                                     {"who", NULL, 900},    {"origin", NULL, 900},
                                     {"action", NULL, 900}, {"target", NULL, 900}};
  take_bounds_off();
  for (size_t i = 0; i < sizeof of_lines / sizeof *of_lines; i++) {
    const damaged *d = &of_lines[i];
    st_audit_line line;
    size_t count = 7;
    make_key((unsigned)i + 1, "ann", "a");
    damage("audit", d->column, value_of(d), "true");
    assert_int_equal(st_store_audit_list(store, 0, 1, &line, &count, error), ST_STORE_FAILED);
    assert_int_equal(count, 0);
    assert_damaged(d->column, "?");
    run_sql("DELETE FROM audit");
    see_it();
  }
}

/* ---- the revocation data ---- */

/* Without a sequence nothing can be said to edges, and nothing is. */
static void without_a_sequence_there_is_no_data(void **state) {
  (void)state;
  st_revocation_state now;
  st_revocation_data data;
  const char *table = in_file() ? "facts" : "settings";
  make_key(1, "ann", "a");
  for (int i = 0; i < 2; i++) {
    damage(table, "value", "0", i == 0 ? "name = 'sequence'" : "name = 'changes_from'");
    assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_FAILED);
    assert_damaged("sequence", "0");
    assert_int_equal(st_store_revocation_data(store, &data, error), ST_STORE_FAILED);
    assert_null(data.hashes);
    assert_null(data.changes);
    damage(table, "value", "5", "name IN ('sequence', 'changes_from')");
    assert_ok(st_store_revocation_state(store, &now, error));
  }
  char sql[100];
  snprintf(sql, sizeof sql, "DELETE FROM %s WHERE name = 'sequence'", table);
  run_sql(sql);
  assert_int_equal(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error), ST_STORE_FAILED);
  assert_true(alive(1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_damaged_key_grants_nothing),        TEST(a_key_of_no_kind_grants_nothing),
      TEST(a_damaged_digest_is_no_answer),       TEST(a_damaged_user_is_none),
      TEST(a_damaged_session_is_not_refreshed),  TEST(a_damaged_line_is_not_shown),
      TEST(without_a_sequence_there_is_no_data),
  };
  return RUN_ON_EVERY_STORE(tests);
}
