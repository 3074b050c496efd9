/* What a store on SQLite keeps in its tables, where the port does not show it. */
#include "sqlite_query.h"

#include "base/hmac.h"

static st_store_status create(unsigned n) {
  st_key key = row_of(n, "", "");
  return st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error);
}

static void a_deleted_key_keeps_its_row(void **state) {
  (void)state;
  make_key(1, "ann", "a");
  assert_ok(st_store_key_delete(store, CONTEXT_AT(NOW + 2), id_of(1), NULL, error));
  assert_int_equal(ask("SELECT count(*) FROM keys JOIN revoked USING (sub)"
                       " WHERE name = 'key 1' AND owner = 'ann' AND deleted_at = 1700000002"
                       " AND key_id = id AND revoked_at = 1700000002"),
                   1);
}

static void a_use_of_no_key_is_not_kept(void **state) {
  (void)state;
  st_key_use uses[] = {{.at = NOW}, {.at = NOW}};
  make_key(1, "ann", "a");
  snprintf(uses[0].id, sizeof uses[0].id, "%s", id_of(1));
  snprintf(uses[1].id, sizeof uses[1].id, "%s", id_of(9));
  assert_ok(st_store_key_mark_used(store, uses, 2, error));
  assert_int_equal(ask("SELECT count(*) FROM used"), 1);
}

/* ---- hashes, sequences ---- */

/* A sub drawn anew never falls on a hash that is listed. */
static void a_new_sub_never_falls_on_a_listed_hash(void **state) {
  (void)state;
  char text[256];
  assert_ok(create(1));
  snprintf(text, sizeof text, "INSERT INTO listed (sub, hash, revoked_at) VALUES ('%s', %lld, 5)",
           sub_of(9), (long long)hash_of(2));
  sql(text);
  assert_int_equal(create(2), ST_STORE_EXISTS);
  assert_int_equal(st_store_key_replace_sub(store, CONTEXT, id_of(1), sub_of(2), NULL, error),
                   ST_STORE_EXISTS);
  assert_false(listed(1)); /* rolled back whole */
  sql("DELETE FROM listed");
  assert_ok(create(2));
}

/* Two subs with one hash: it stays until both are off. */
static void a_hash_that_two_subs_share_is_listed_once(void **state) {
  (void)state;
  char text[256];
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  assert_ok(create(1));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  snprintf(text, sizeof text,
           "INSERT INTO listed (sub, hash, revoked_at) VALUES ('%s', %lld, %lld)", sub_of(9),
           (long long)hash_of(1), (long long)NOW);
  sql(text);
  assert_true(listed(1));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), false, NULL, error));
  assert_true(listed(1));
  assert_ok(st_store_revocation_changes(store, 1, &current, &changes, &count, error));
  assert_int_equal(count, 1);
  assert_true(changes[0].listed);
  free(changes);
}

/* C8: those that are too old to tell pass. */
static void old_sequences_are_forgotten(void **state) {
  (void)state;
  int64_t issued = 0;
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, &issued, error));
  sql("WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200005)"
      "INSERT INTO given SELECT i FROM n");
  assert_int_equal(st_store_issued_sequence(store, 300000, error), ST_STORE_NOT_FOUND);
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  assert_ok(st_store_issued_sequence(store, 5, error)); /* no longer kept */
  assert_ok(st_store_issued_sequence(store, issued, error));
  assert_int_equal(st_store_issued_sequence(store, 300000, error), ST_STORE_NOT_FOUND);
}

/* ---- sessions ---- */

#define LIFE 1000
#define RETRY 30 /* seconds */

typedef char refresh_token[ST_REFRESH_LEN + 1];

static st_key session; /* as the last refresh told */

/* Use a token at a second; a good one makes the session last LIFE longer. */
static st_store_status use(const char *token, int64_t at, refresh_token successor) {
  memset(&session, 0, sizeof session);
  return st_store_session_refresh(store, CONTEXT_AT(at), (subtoken_text){token, strlen(token)},
                                  at + LIFE, RETRY, &session, successor, error);
}

/* ann: 1, her key 2 (services). */
static void make_ann(void) {
  make_user(1, "ann", "a,b");
  make_key(2, "ann", "services");
}

static void of_refresh_tokens_hashes_are_kept(void **state) {
  (void)state;
  refresh_token next;
  uint8_t hash[32];
  char text[200];
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  assert_ok(use(refresh_of(3), NOW + 5, next));
  st_sha256(next, ST_REFRESH_LEN, hash);
  snprintf(text, sizeof text,
           "SELECT hex(hash) LIKE '%02X%02X%02X%%' FROM refresh ORDER BY used_at", hash[0], hash[1],
           hash[2]);
  assert_int_equal(ask(text), 1);
}

static void what_is_denied_leaves_no_rows(void **state) {
  (void)state;
  make_ann();
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
  assert_int_equal(begin_session(6, grantor_of(1), NOW + 9), ST_STORE_DENIED);
  assert_int_equal(begin_session(6, grantor_of(2), NOW + 9), ST_STORE_DENIED);
  assert_int_equal(ask("SELECT count(*) FROM logins"), 0);
  assert_int_equal(ask("SELECT count(*) FROM refresh"), 0);
}

static void purge_at(int64_t at) {
  assert_ok(st_store_purge(store, at * US, at * US, NULL, error));
}

/* Lives of an hour, leeways of an hour: an ended session is remembered for 10800 s. */
static void purges_sessions_that_ended_long_ago(void **state) {
  (void)state;
  st_key key;
  refresh_token next;
  assert_ok(st_store_set_setting(store, "max_life", 3600, error));
  make_ann();
  for (unsigned n = 3; n <= 5; n++) assert_ok(begin_session(n, grantor_of(1), NOW + 50000));
  assert_ok(begin_session(6, grantor_of(1), NOW + 100)); /* expires */
  assert_ok(use(refresh_of(4), NOW + 40000, next));
  assert_ok(st_store_key_mark_used(
      store, (st_key_use[]){{"00000003-ABCD-ABCD-ABCD-000000000003", NOW}}, 1, error));
  assert_ok(st_store_session_end(store, CONTEXT, id_of(3), NULL, error));
  purge_at(NOW + 10800);
  assert_int_equal(row_by_sub(3, &key), ST_STORE_REVOKED);
  assert_int_equal(ask("SELECT count(*) FROM logins"), 4);
  purge_at(NOW + 10801);
  assert_int_equal(row_by_sub(3, &key), ST_STORE_NOT_FOUND);
  assert_true(alive(4) && alive(5) && alive(6) && alive(1));
  assert_int_equal(ask("SELECT count(*) FROM used"), 0);
  purge_at(NOW + 10901);
  assert_int_equal(row_by_sub(6, &key), ST_STORE_NOT_FOUND);
  assert_int_equal(ask("SELECT count(*) FROM logins"), 2);
  /* Refresh tokens go when they have expired: those of 5 are left, and the successor of 4's. */
  purge_at(NOW + 50001);
  assert_int_equal(ask("SELECT count(*) FROM refresh"), 0 + (40000 + LIFE > 50001));
  reopen();
  assert_true(alive(4) && alive(5));
  assert_int_equal(ask("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

/* More than one transaction's worth, and dead keys stay for the audit. */
static void purges_many_and_no_keys(void **state) {
  (void)state;
  st_key key;
  assert_ok(st_store_set_setting(store, "max_life", 10, error));
  make_ann();
  sql("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2500)"
      "INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at,"
      " disabled, changed_at, deleted_at, kind, parent, suspended) SELECT printf('%036d', n), "
      "randomblob(32), printf('%042dx', n), '', '', '',"
      " 1, 2, 0, 1, NULL, 2, '00000001-ABCD-ABCD-ABCD-000000000001', 0 FROM c");
  sql("INSERT INTO logins SELECT id, randomblob(32) FROM keys WHERE kind = 2");
  sql("INSERT INTO refresh SELECT randomblob(32), id, 2, NULL FROM keys WHERE kind = 2");
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  purge_at(NOW + 1000);
  assert_int_equal(ask("SELECT count(*) FROM keys"), 2);
  assert_int_equal(ask("SELECT count(*) FROM logins"), 0);
  assert_int_equal(ask("SELECT count(*) FROM refresh"), 0);
  assert_int_equal(row_by_sub(2, &key), ST_STORE_REVOKED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_deleted_key_keeps_its_row),
      TEST(a_use_of_no_key_is_not_kept),
      TEST(a_new_sub_never_falls_on_a_listed_hash),
      TEST(a_hash_that_two_subs_share_is_listed_once),
      TEST(old_sequences_are_forgotten),
      TEST(of_refresh_tokens_hashes_are_kept),
      TEST(what_is_denied_leaves_no_rows),
      TEST(purges_sessions_that_ended_long_ago),
      TEST(purges_many_and_no_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
