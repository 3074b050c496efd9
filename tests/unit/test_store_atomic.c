/* A change, what it ends, what edges are told and its line in the audit log come together or not at
 * all: each kind of change is made to fail at its first statement, at its second, and so on up to
 * the commit, and every time the store must be as it was.
 */
#include "store_contract.h"

#include "store/db.h"

/* ---- a connection that fails at a given statement ---- */

static const st_db_ops *working;
static st_db_ops failing;
static int left; /* statements until the one that fails */

static bool fails(void) {
  return --left == 0;
}

static st_store_status failing_run(st_db *db, st_sql which, const st_value *values,
                                   int64_t *changed) {
  return fails() ? ST_STORE_FAILED : working->run(db, which, values, changed);
}

static st_store_status failing_query(st_db *db, st_sql which, const st_value *values, void **rows) {
  return fails() ? ST_STORE_FAILED : working->query(db, which, values, rows);
}

static st_store_status failing_commit(st_db *db, char *problem) {
  return fails() ? working->explain(db, "write", problem) : working->commit(db, problem);
}

static void fail_at(int statement) {
  st_db *db = store->driver->change_db(store);
  if (db->ops != &failing) {
    working = db->ops;
    failing = *working;
    failing.run = failing_run;
    failing.query = failing_query;
    failing.commit = failing_commit;
    db->ops = &failing;
  }
  working->rollback(db); /* gives it back: the next change gets it again */
  left = statement;
}

/* ---- all that the port shows of a store ---- */

#define ROWS 100 /* more than a test makes */
#define SUBS 33  /* the numbers of rows that a test uses lie below */

static void add(uint64_t *sum, const void *data, size_t len) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < len; i++) *sum = (*sum ^ bytes[i]) * UINT64_C(1099511628211);
}

static int by_value(const void *a, const void *b) {
  uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
  return first < second ? -1 : first > second;
}

static void add_revocations(uint64_t *sum) {
  st_revocation_data data;
  assert_ok(st_store_revocation_data(store, &data, error));
  qsort(data.hashes, data.count, sizeof *data.hashes, by_value);
  add(sum, &data.state.sequence, sizeof data.state.sequence);
  add(sum, data.state.hash_key, sizeof data.state.hash_key);
  add(sum, data.hashes, data.count * sizeof *data.hashes);
  add(sum, &data.change_count, sizeof data.change_count);
  for (uint32_t i = 0; i < data.change_count; i++) {
    uint64_t one = 1;
    add(&one, &data.changes[i].hash, sizeof data.changes[i].hash);
    add(&one, &data.changes[i].sequence, sizeof data.changes[i].sequence);
    *sum += data.changes[i].listed ? one : ~one; /* they are in no order */
  }
  free(data.hashes);
  free(data.changes);
}

/* What a request is told of a row: its members, not what lies behind the end of a text. */
static void add_key(uint64_t *sum, const st_key *key) {
  int64_t numbers[] = {key->created_at, key->expires_at, (int64_t)key->kind, key->disabled,
                       key->suspended};
  const char *texts[] = {key->id, key->sub, key->name, key->owner, key->permissions, key->parent};
  add(sum, numbers, sizeof numbers);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    add(sum, texts[i], strlen(texts[i]) + 1);
}

static void add_rows(uint64_t *sum) {
  static st_key keys[ROWS];
  static st_user users[ROWS];
  static st_audit_line log[ROWS];
  size_t count = 0;
  assert_ok(st_store_key_list(store, NULL, "", ROWS, keys, &count, error));
  add(sum, keys, count * sizeof *keys);
  assert_ok(st_store_user_list(store, "", ROWS, users, &count, error));
  add(sum, users, count * sizeof *users);
  assert_ok(st_store_audit_list(store, 0, ROWS, log, &count, error));
  assert_true(count < ROWS);
  add(sum, log, count * sizeof *log);
  for (unsigned n = 0; n < SUBS; n++) { /* sessions, and what was here */
    st_key key;
    st_store_status status = row_by_sub(n, &key);
    add(sum, &status, sizeof status);
    add_key(sum, &key);
  }
}

static uint64_t all_of_it(void) {
  uint64_t sum = UINT64_C(14695981039346656037);
  int64_t setting = 0;
  add_revocations(&sum);
  add_rows(&sum);
  st_store_status status = st_store_get_setting(store, "a setting", &setting, error);
  add(&sum, &status, sizeof status);
  add(&sum, &setting, sizeof setting);
  return sum;
}

/* ---- the changes ---- */

/* ann: 1, her keys 2 and 3, her session 5, a session 6 of key 2; made with key 2: bob 11, who has
 * a key 12. The key 4 is nobody's, with a session 7 that has been refreshed once.
 */
static st_derived derived;

static const st_audit_context *ending(void) {
  static st_audit_context context;
  derived = (st_derived){.end = true};
  context = *CONTEXT;
  context.made = &derived;
  return &context;
}

static void make_rows(void) {
  st_user bob = user_of(11, "bob", "a");
  st_audit_context by_key = *CONTEXT;
  st_key session;
  char successor[ST_REFRESH_LEN + 1];
  make_user(1, "ann", "a,keys,users");
  make_key(2, "ann", "a,keys,users");
  make_key(3, "ann", "a");
  make_key(4, "", "a");
  by_key.row = id_of(2);
  assert_ok(st_store_user_create(store, &by_key, grantor_of(2), false, &bob, digest_of(11), error));
  make_key(12, "bob", "a");
  assert_ok(begin_session(5, grantor_of(1), NOW + 1000));
  assert_ok(begin_session(6, grantor_of(2), NOW + 1000));
  assert_ok(begin_session(7, grantor_of(4), NOW + 1000));
  assert_ok(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(7)), NOW + 1000, 0,
                                     &session, successor, error));
}

static st_store_status create_key(void) {
  st_key key = row_of(20, "ann", "a");
  key.disabled = true; /* listed at once */
  return st_store_key_create(store, CONTEXT, grantor_of(2), &key, digest_of(20), error);
}

static st_store_status rename_key(void) {
  return st_store_key_rename(store, CONTEXT, id_of(2), "another name", error);
}

static st_store_status disable_key(void) {
  return st_store_key_set_disabled(store, ending(), id_of(2), true, NULL, error);
}

static st_store_status enable_key(void) {
  return st_store_key_set_disabled(store, CONTEXT, id_of(3), false, NULL, error);
}

static st_store_status delete_key(void) {
  return st_store_key_delete(store, ending(), id_of(2), NULL, error);
}

static st_store_status replace_sub(void) {
  return st_store_key_replace_sub(store, CONTEXT, id_of(2), sub_of(30), NULL, error);
}

static st_store_status mark_used(void) {
  st_key_use uses[2] = {{.at = NOW}, {.at = NOW}};
  memcpy(uses[0].id, id_of(2), sizeof uses[0].id);
  memcpy(uses[1].id, id_of(3), sizeof uses[1].id);
  return st_store_key_mark_used(store, uses, 2, error);
}

static st_store_status create_user(void) {
  st_user user = user_of(21, "eve", "a");
  return st_store_user_create(store, CONTEXT, grantor_of(2), false, &user, digest_of(21), error);
}

static st_store_status take_permissions(void) {
  return st_store_user_set_permissions(store, ending(), "ann", "a", sub_of(31), NULL, error);
}

static st_store_status set_password(void) {
  return st_store_user_set_password(store, CONTEXT, "ann", "$other", sub_of(31), NULL, error);
}

static st_store_status rehash(void) {
  return st_store_user_rehash(store, "ann", "$hash$1", "$anew", error);
}

static st_store_status disable_user(void) {
  return st_store_user_set_disabled(store, ending(), "ann", true, NULL, error);
}

static st_store_status delete_user(void) {
  return st_store_user_delete(store, ending(), "ann", NULL, error);
}

static st_store_status import_users(void) {
  st_user_import users[2] = {{.user = user_of(22, "dan", "a"), .mode = ST_IMPORT_CREATE},
                             {.user = user_of(23, "fay", "a"), .mode = ST_IMPORT_CREATE}};
  memcpy(users[0].digest, digest_of(22), 32);
  memcpy(users[1].digest, digest_of(23), 32);
  return st_store_user_import(store, CONTEXT, users, 2, NULL, error);
}

/* One is the most that the key may have: the one before ends. */
static st_store_status begin(void) {
  st_key session = row_of(8, "", "");
  uint8_t seed[32] = {8};
  return st_store_session_begin(store, CONTEXT, grantor_of(2), 1, &session, digest_of(8), seed,
                                refresh_of(8), error);
}

static st_store_status refresh(void) {
  st_key session;
  char successor[ST_REFRESH_LEN + 1];
  return st_store_session_refresh(store, CONTEXT, st_text(refresh_of(5)), NOW + 2000, 0, &session,
                                  successor, error);
}

/* Used before: the session ends, which is durable and denied. */
static st_store_status refresh_again(void) {
  st_key session;
  char successor[ST_REFRESH_LEN + 1];
  st_store_status status = st_store_session_refresh(store, CONTEXT, st_text(refresh_of(7)),
                                                    NOW + 2000, 0, &session, successor, error);
  return status == ST_STORE_DENIED ? ST_STORE_OK : status;
}

static st_store_status end_session(void) {
  return st_store_session_end(store, CONTEXT, id_of(5), NULL, error);
}

static st_store_status add_line(void) {
  return st_store_audit_add(store, CONTEXT, "secret.rotate", "one", "", error);
}

static st_store_status set_setting(void) {
  return st_store_set_setting(store, "a setting", 7, error);
}

static st_store_status bump_sequence(void) {
  return st_store_bump_sequence(store, NOW * US, 0, NULL, error);
}

/* A snapshot in which the keys 2 and 4 had ended, and another one that is not here. */
static st_store_status restore(void) {
  st_restore_report report;
  st_revocation_state now;
  assert_ok(st_store_revocation_state(store, &now, error));
  uint64_t hashes[3] = {hash_of(2), hash_of(4), 4711};
  qsort(hashes, 3, sizeof *hashes, by_value);
  st_revocation_snapshot snapshot = {
      .sequence = now.sequence + 5, .hashes = hashes, .count = 3, .life = 3600};
  memcpy(snapshot.hash_key, now.hash_key, sizeof snapshot.hash_key);
  return st_store_restore_revocations(store, CONTEXT, &snapshot, &report, error);
}

static st_store_status revoke_sub(void) {
  char id[ST_KEY_ID_LEN + 1];
  return st_store_revoke_sub(store, CONTEXT, ST_TEXT("a sub of another issuer"), NOW, 3600, id,
                             NULL, error);
}

/* The same under another hash key: all that is listed here is computed anew. */
static st_store_status restore_anew(void) {
  st_restore_report report;
  st_revocation_state now;
  assert_ok(st_store_revocation_state(store, &now, error));
  uint64_t hash = 4711;
  st_revocation_snapshot snapshot = {
      .sequence = now.sequence + 5, .hashes = &hash, .count = 1, .life = 3600};
  memset(snapshot.hash_key, 0x5a, sizeof snapshot.hash_key);
  return st_store_restore_revocations(store, CONTEXT, &snapshot, &report, error);
}

static st_store_status create_counted_key(void) {
  st_key key = row_of(20, "ann", "a");
  st_audit_context context = *CONTEXT;
  context.most_keys = 3;
  return st_store_key_create(store, &context, NULL, &key, digest_of(20), error);
}

/* With the secret of before for a while, which is another row. */
static st_store_status rotate_key(void) {
  st_key key;
  return st_store_key_rotate(store, CONTEXT, grantor_of(1), id_of(2), digest_of(24), NOW + 100,
                             &key, error);
}

static st_store_status revoke_token(void) {
  st_key_token token = {.sub = st_text(sub_of(2)),
                        .tid = ST_TEXT("a-tid-0123456789"),
                        .exp = NOW + 1000,
                        .via = {ST_TEXT("another-tid-0123")},
                        .via_count = 1};
  return st_store_token_revoke(store, CONTEXT, &token, 100, NULL, error);
}

static st_store_status register_user(void) {
  st_user user = user_of(21, "eve", "");
  return st_store_user_create(store, CONTEXT, NULL, true, &user, digest_of(21), error);
}

/* Changes of more rows than are changed at once: the rest is written down in the same transaction.
 */
static st_store_status disable_large(void) {
  store->large_change = 1;
  return disable_user();
}

static st_store_status delete_large(void) {
  store->large_change = 1;
  return delete_user();
}

static st_store_status take_permissions_large(void) {
  store->large_change = 1;
  return take_permissions();
}

/* ---- all or nothing ---- */

/* least: statements that it takes at least, so that it has a middle. */
static void assert_all_or_nothing(st_store_status (*change)(void), int least) {
  st_store_status status = ST_STORE_FAILED;
  int statements = 0;
  uint64_t before = all_of_it();
  while (status != ST_STORE_OK && statements < 1000) {
    fail_at(++statements);
    status = change();
    if (status != ST_STORE_OK) {
      assert_int_equal(status, ST_STORE_FAILED);
      assert_true(all_of_it() == before);
    }
  }
  assert_int_equal(status, ST_STORE_OK);
  assert_true(statements > least); /* one more than it has */
  uint64_t after = all_of_it();
  assert_true(after != before);
  reopen();
  assert_true(all_of_it() == after);
}

#define ALL_OR_NOTHING(change, least)                    \
  static void change##_is_all_or_nothing(void **state) { \
    (void)state;                                         \
    make_rows();                                         \
    assert_all_or_nothing(change, least);                \
  }

ALL_OR_NOTHING(create_key, 10)
ALL_OR_NOTHING(rename_key, 4)
ALL_OR_NOTHING(disable_key, 20)
ALL_OR_NOTHING(delete_key, 20)
ALL_OR_NOTHING(replace_sub, 10)
ALL_OR_NOTHING(mark_used, 3)
ALL_OR_NOTHING(create_user, 6)
ALL_OR_NOTHING(take_permissions, 20)
ALL_OR_NOTHING(set_password, 10)
ALL_OR_NOTHING(rehash, 2)
ALL_OR_NOTHING(disable_user, 20)
ALL_OR_NOTHING(delete_user, 20)
ALL_OR_NOTHING(import_users, 10)
ALL_OR_NOTHING(begin, 10)
ALL_OR_NOTHING(refresh, 8)
ALL_OR_NOTHING(refresh_again, 10)
ALL_OR_NOTHING(end_session, 8)
ALL_OR_NOTHING(add_line, 2)
ALL_OR_NOTHING(set_setting, 2)
ALL_OR_NOTHING(bump_sequence, 4)
ALL_OR_NOTHING(restore, 20)
ALL_OR_NOTHING(revoke_sub, 8)
ALL_OR_NOTHING(restore_anew, 20)
ALL_OR_NOTHING(create_counted_key, 8)
ALL_OR_NOTHING(rotate_key, 8)
ALL_OR_NOTHING(revoke_token, 10)
ALL_OR_NOTHING(register_user, 8)
ALL_OR_NOTHING(disable_large, 20)
ALL_OR_NOTHING(delete_large, 20)
ALL_OR_NOTHING(take_permissions_large, 20)

static void enable_key_is_all_or_nothing(void **state) {
  (void)state;
  make_rows();
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(3), true, NULL, error));
  assert_all_or_nothing(enable_key, 8);
}

/* A purge is several changes, of which the first takes off what the revocation data lists: all of
 * that or nothing, also when a setting by which it judges cannot be read.
 */
static void a_purge_takes_off_all_or_nothing(void **state) {
  (void)state;
  int statements = 0, failures = 0;
  st_store_status status = ST_STORE_FAILED;
  uint64_t before = 0, now = 0;
  assert_ok(st_store_set_setting(store, "max_life", 400 * DAY, error));
  make_rows();
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error)); /* begins to count */
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  add_revocations(&before);
  while (status != ST_STORE_OK && statements < 1000) {
    fail_at(++statements);
    /* more than the life that is used where none is set, and less than the one that is */
    status = st_store_purge(store, (NOW + 390 * DAY) * US, 390 * DAY * US, NULL, error);
    now = 0;
    add_revocations(&now);
    assert_true(now == before);
    failures += status != ST_STORE_OK;
  }
  assert_int_equal(status, ST_STORE_OK);
  assert_true(failures > 8);
  status = ST_STORE_FAILED;
  for (statements = 1; status != ST_STORE_OK && statements < 1000; statements++) {
    fail_at(statements);
    status = st_store_purge(store, (NOW + 401 * DAY) * US, 401 * DAY * US, NULL, error);
    now = 0;
    add_revocations(&now);
    assert_true(now == before || !listed(2));
  }
  assert_int_equal(status, ST_STORE_OK);
  assert_false(listed(2));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(create_key_is_all_or_nothing),
      TEST(rename_key_is_all_or_nothing),
      TEST(disable_key_is_all_or_nothing),
      TEST(enable_key_is_all_or_nothing),
      TEST(delete_key_is_all_or_nothing),
      TEST(replace_sub_is_all_or_nothing),
      TEST(mark_used_is_all_or_nothing),
      TEST(create_user_is_all_or_nothing),
      TEST(take_permissions_is_all_or_nothing),
      TEST(set_password_is_all_or_nothing),
      TEST(rehash_is_all_or_nothing),
      TEST(disable_user_is_all_or_nothing),
      TEST(delete_user_is_all_or_nothing),
      TEST(import_users_is_all_or_nothing),
      TEST(begin_is_all_or_nothing),
      TEST(refresh_is_all_or_nothing),
      TEST(refresh_again_is_all_or_nothing),
      TEST(end_session_is_all_or_nothing),
      TEST(add_line_is_all_or_nothing),
      TEST(set_setting_is_all_or_nothing),
      TEST(bump_sequence_is_all_or_nothing),
      TEST(restore_is_all_or_nothing),
      TEST(revoke_sub_is_all_or_nothing),
      TEST(restore_anew_is_all_or_nothing),
      TEST(create_counted_key_is_all_or_nothing),
      TEST(rotate_key_is_all_or_nothing),
      TEST(revoke_token_is_all_or_nothing),
      TEST(register_user_is_all_or_nothing),
      TEST(disable_large_is_all_or_nothing),
      TEST(delete_large_is_all_or_nothing),
      TEST(take_permissions_large_is_all_or_nothing),
      TEST(a_purge_takes_off_all_or_nothing),
  };
  return RUN_ON_EVERY_STORE(tests);
}
