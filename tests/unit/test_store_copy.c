/* st_store_copy: all of a store in another, and nothing else. */
#include "support.h"

#include "store_contract.h"

#include "store/db.h"

static st_store *other;
static char beside[sizeof location];

static void open_other(void) {
  assert_ok(st_store_open(beside, false, &other, error));
}

static void close_other(void) {
  st_store_close(other);
  other = NULL;
}

/* A store that has something of everything. */
static void fill(void) {
  char successor[ST_REFRESH_LEN + 1];
  st_key session;
  make_key(1, "alice", "account,inventories");
  make_key(2, "", "");
  make_key(3, "bob", "keys");
  make_user(4, "alice", "account");
  make_user(5, "zoë", "users");
  assert_ok(begin_session(6, grantor_of(4), NOW + DAY));
  assert_ok(begin_session(7, grantor_of(5), NOW + DAY));
  assert_ok(begin_session(8, grantor_of(4), NOW + DAY));
  assert_ok(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(7)), NOW + 2 * DAY, 30,
                                     &session, successor, error));
  assert_ok(st_store_session_end(store, CONTEXT, id_of(6), NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(3), NULL, error));
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(1), sub_of(21), NULL, error));
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "zoë", true, NULL, error));
  assert_ok(st_store_key_mark_used(
      store, &(st_key_use){"00000001-ABCD-ABCD-ABCD-000000000001", NOW + 5}, 1, error));
  assert_ok(st_store_raise_setting(store, "max_life", 90 * DAY, error));
  assert_ok(st_store_set_setting(store, "signed:winter", NOW, error));
}

static int by_value(const void *a, const void *b) {
  uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;
  return one < two ? -1 : one > two;
}

static int by_change(const void *a, const void *b) {
  const st_revocation_change *one = a, *two = b;
  if (one->sequence != two->sequence) return one->sequence < two->sequence ? -1 : 1;
  return by_value(&one->hash, &two->hash);
}

/* What edges are told is the same. */
static void assert_same_data(void) {
  st_revocation_data data[2];
  assert_ok(st_store_revocation_data(store, &data[0], error));
  assert_ok(st_store_revocation_data(other, &data[1], error));
  assert_int_equal(data[0].state.sequence, data[1].state.sequence);
  assert_memory_equal(data[0].state.hash_key, data[1].state.hash_key, SUBTOKEN_HASH_KEY_LEN);
  assert_int_equal(data[0].since, data[1].since);
  assert_int_equal(data[0].count, data[1].count);
  assert_int_equal(data[0].change_count, data[1].change_count);
  for (int i = 0; i < 2; i++) {
    qsort(data[i].hashes, data[i].count, sizeof *data[i].hashes, by_value);
    qsort(data[i].changes, data[i].change_count, sizeof *data[i].changes, by_change);
  }
  assert_memory_equal(data[0].hashes, data[1].hashes, data[0].count * sizeof *data[0].hashes);
  for (uint32_t i = 0; i < data[0].change_count; i++) {
    assert_int_equal(by_change(&data[0].changes[i], &data[1].changes[i]), 0);
    assert_int_equal(data[0].changes[i].listed, data[1].changes[i].listed);
  }
  for (int i = 0; i < 2; i++) {
    free(data[i].hashes);
    free(data[i].changes);
  }
}

static void assert_same_log(void) {
  static st_audit_line lines[2][100];
  size_t count[2];
  assert_ok(st_store_audit_list(store, 0, 100, lines[0], &count[0], error));
  assert_ok(st_store_audit_list(other, 0, 100, lines[1], &count[1], error));
  assert_int_equal(count[0], count[1]);
  assert_true(count[0] > 10);
  for (size_t i = 0; i < count[0]; i++) {
    assert_int_equal(lines[0][i].id, lines[1][i].id);
    assert_int_equal(lines[0][i].at, lines[1][i].at);
    assert_string_equal(lines[0][i].who, lines[1][i].who);
    assert_string_equal(lines[0][i].from, lines[1][i].from);
    assert_string_equal(lines[0][i].action, lines[1][i].action);
    assert_string_equal(lines[0][i].target, lines[1][i].target);
    assert_string_equal(lines[0][i].detail, lines[1][i].detail);
  }
}

static void assert_same_keys(void) {
  static st_key keys[2][20];
  static st_user users[2][20];
  size_t count[2];
  st_store *both[2] = {store, other};
  memset(keys, 0, sizeof keys);
  memset(users, 0, sizeof users);
  for (int i = 0; i < 2; i++) {
    assert_ok(st_store_key_list(both[i], NULL, "", 20, keys[i], &count[i], error));
  }
  assert_int_equal(count[0], 2);
  assert_int_equal(count[1], 2);
  assert_memory_equal(keys[0], keys[1], sizeof keys[0]);
  for (int i = 0; i < 2; i++) {
    assert_ok(st_store_user_list(both[i], "", 20, users[i], &count[i], error));
  }
  assert_int_equal(count[0], 2);
  assert_int_equal(count[1], 2);
  assert_memory_equal(users[0], users[1], sizeof users[0]);
  for (unsigned n = 1; n <= 9; n++) {
    st_key one, two;
    st_store_status status[2] = {st_store_by_digest(store, digest_of(n), &one, error),
                                 st_store_by_digest(other, digest_of(n), &two, error)};
    assert_int_equal(status[0], status[1]);
    assert_memory_equal(&one, &two, sizeof one);
  }
}

static void assert_same(void) {
  int64_t setting[2] = {1, 2};
  assert_same_data();
  assert_same_log();
  assert_same_keys();
  assert_ok(st_store_get_setting(store, "max_life", &setting[0], error));
  assert_ok(st_store_get_setting(other, "max_life", &setting[1], error));
  assert_int_equal(setting[0], setting[1]);
  assert_ok(st_store_get_setting(other, "signed:winter", &setting[1], error));
  assert_int_equal(setting[1], NOW);
  assert_int_equal(st_store_issued_sequence(other, sequence_now(), error), ST_STORE_OK);
  assert_int_equal(st_store_issued_sequence(other, sequence_now() + 1, error), ST_STORE_NOT_FOUND);
}

static void all_is_in_the_copy(void **state) {
  (void)state;
  st_copy_report report;
  fill();
  kind->locate(1, beside);
  assert_ok(st_store_copy(store, beside, NULL, &report, error));
  assert_int_equal(report.keys, 8);
  assert_int_equal(report.lines, lines());
  assert_int_equal(report.sequence, sequence_now());
  open_other();
  assert_same();
  close_other();
}

/* Both go on alike: the next line, the next refresh token. */
static void the_copy_goes_on(void **state) {
  (void)state;
  st_copy_report report;
  st_key session;
  st_audit_line line[2];
  size_t count;
  char successor[2][ST_REFRESH_LEN + 1];
  fill();
  kind->locate(1, beside);
  assert_ok(st_store_copy(store, beside, NULL, &report, error));
  open_other();
  st_store *both[2] = {store, other};
  for (int i = 0; i < 2; i++) {
    assert_ok(st_store_session_refresh(both[i], CONTEXT, st_text(refresh_of(8)), NOW + 2 * DAY, 30,
                                       &session, successor[i], error));
    assert_string_equal(session.id, id_of(8));
    st_key key = row_of(30, "", "");
    assert_ok(st_store_key_create(both[i], CONTEXT, NULL, &key, digest_of(30), error));
    assert_ok(st_store_audit_list(both[i], 0, 1, &line[i], &count, error));
    /* What was there before is not given again. */
    key = row_of(3, "", "");
    assert_int_equal(st_store_key_create(both[i], CONTEXT, NULL, &key, digest_of(3), error),
                     ST_STORE_EXISTS);
    key = row_of(31, "", "");
    memcpy(key.sub, sub_of(1), sizeof key.sub); /* revoked */
    assert_int_equal(st_store_key_create(both[i], CONTEXT, NULL, &key, digest_of(31), error),
                     ST_STORE_EXISTS);
  }
  assert_string_equal(successor[0], successor[1]);
  assert_int_equal(line[0].id, line[1].id);
  /* The oldest session ends first: rows are in the order of the source. */
  for (int i = 0; i < 2; i++) {
    st_key begun = row_of(40, "", "");
    uint8_t seed[32] = {0};
    begun.expires_at = NOW + DAY;
    assert_ok(st_store_session_begin(both[i], CONTEXT, grantor_of(4), 1, &begun, digest_of(40),
                                     seed, refresh_of(40), error));
    st_key key;
    assert_int_equal(st_store_by_sub(both[i], st_text(sub_of(8)), &key, error), ST_STORE_REVOKED);
  }
  close_other();
}

static void a_store_with_something_in_it_is_refused(void **state) {
  (void)state;
  st_copy_report report;
  st_store *full = NULL;
  fill();
  kind->locate(1, beside);
  assert_ok(st_store_open(beside, true, &full, error));
  assert_ok(st_store_bump_sequence(full, NOW * US, 0, NULL, error));
  assert_int_equal(st_store_copy(store, beside, NULL, &report, error), ST_STORE_EXISTS);
  assert_non_null(strstr(error, "is not empty"));
  int64_t count = -1;
  assert_ok(st_store_key_count(full, &count, error));
  assert_int_equal(count, 0);
  st_store_close(full);
}

/* One that was made, and that nobody has used. */
static void an_empty_store_is_taken(void **state) {
  (void)state;
  st_copy_report report;
  fill();
  kind->locate(1, beside);
  assert_ok(st_store_open(beside, true, &other, error));
  assert_ok(st_store_copy(store, beside, NULL, &report, error));
  assert_same(); /* also through a handle that was open */
  close_other();
}

static void it_is_given_up_when_it_is_stopped(void **state) {
  (void)state;
  st_copy_report report = {0};
  volatile int stop = 1;
  fill();
  kind->locate(1, beside);
  assert_int_equal(st_store_copy(store, beside, &stop, &report, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "interrupted"));
  assert_int_equal(report.rows, 0);
  assert_ok(st_store_copy(store, beside, NULL, &report, error));
}

/* More rows than a page has. */
static void many_rows_are_copied(void **state) {
  (void)state;
  enum { ROWS = 1203 };
  st_copy_report report;
  for (unsigned n = 1; n <= ROWS; n++) make_key(n, "alice", "account");
  for (unsigned n = 1; n <= ROWS; n += 2) {
    assert_ok(st_store_key_delete(store, CONTEXT, id_of(n), NULL, error));
  }
  kind->locate(1, beside);
  assert_ok(st_store_copy(store, beside, NULL, &report, error));
  assert_int_equal(report.keys, ROWS);
  open_other();
  assert_same_data();
  int64_t count[2] = {0};
  assert_ok(st_store_key_count(store, &count[0], error));
  assert_ok(st_store_key_count(other, &count[1], error));
  assert_int_equal(count[0], count[1]);
  close_other();
}

/* What a large change has left to do is left to do in the copy, too, and ends alike. */
static void a_large_change_goes_on_in_the_copy(void **state) {
  (void)state;
  enum { ROWS = 1500 };
  st_copy_report report;
  bool left = false;
  make_user(ROWS + 1, "alice", "account");
  for (unsigned n = 1; n <= ROWS; n++) make_key(n, "alice", "account");
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "alice", true, NULL, error));
  assert_ok(st_store_continue(store, 1, &left, error));
  assert_true(left);
  kind->locate(1, beside);
  assert_ok(st_store_copy(store, beside, NULL, &report, error));
  open_other();
  assert_same_data();
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_false(left);
  assert_ok(st_store_continue(other, INT64_MAX, &left, error));
  assert_false(left);
  assert_same_data();
  st_key key;
  assert_ok(st_store_by_digest(other, digest_of(ROWS), &key, error));
  assert_true(key.suspended);
  int64_t lines_before = lines();
  static st_audit_line line;
  size_t count = 0;
  assert_ok(st_store_audit_list(other, 0, 1, &line, &count, error));
  assert_int_equal(line.id, last_line().id);
  assert_true(lines_before > ROWS);
  close_other();
}

static void a_backup_can_be_opened(void **state) {
  (void)state;
  char path[400];
  fill();
  snprintf(path, sizeof path, "%s/backup.db", folder);
  assert_ok(st_store_backup(store, path, NULL, error));
  assert_ok(st_store_open(path, false, &other, error));
  assert_same();
  close_other();
  assert_int_equal(st_store_backup(store, path, NULL, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "already exists"));
}

/* Where a database makes no backup of itself all of it is copied into a new file. */
static void a_backup_may_be_a_copy(void **state) {
  (void)state;
  char path[400];
  st_driver own = *store->driver;
  const st_driver *driver = store->driver;
  fill();
  own.backup = NULL;
  store->driver = &own;
  snprintf(path, sizeof path, "%s/backup.db", folder);
  st_store_status first = st_store_backup(store, path, NULL, error);
  st_store_status second = st_store_backup(store, path, NULL, error);
  store->driver = driver;
  assert_ok(first);
  assert_int_equal(second, ST_STORE_FAILED);
  assert_non_null(strstr(error, "backup.db already exists"));
  assert_ok(st_store_open(path, false, &other, error));
  assert_same();
  close_other();
}

/* A store of another kind is opened first, and may not be there. */
static void what_cannot_be_opened_is_not_copied_into(void **state) {
  (void)state;
  st_copy_report report;
  error[0] = '\0';
  assert_int_equal(
      st_store_copy(store, "postgresql://127.0.0.1:1/none?connect_timeout=2", NULL, &report, error),
      ST_STORE_FAILED);
  assert_string_not_equal(error, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(all_is_in_the_copy),
      TEST(the_copy_goes_on),
      TEST(a_store_with_something_in_it_is_refused),
      TEST(an_empty_store_is_taken),
      TEST(it_is_given_up_when_it_is_stopped),
      TEST(many_rows_are_copied),
      TEST(a_large_change_goes_on_in_the_copy),
      TEST(a_backup_can_be_opened),
      TEST(a_backup_may_be_a_copy),
      TEST(what_cannot_be_opened_is_not_copied_into),
  };
  return RUN_ON_EVERY_STORE(tests);
}
