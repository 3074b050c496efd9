/* Databases of older versions, brought up to date when they are opened. */
#include "old_schemas.h"
#include "sqlite_query.h"

/* What was revoked before there was revocation data. */
static void a_database_of_schema_1_is_brought_up(void **state) {
  (void)state;
  char text[2048];
  st_store_close(store);
  assert_int_equal(unlink(location), 0);
  sql(old_schema_1);
  for (unsigned n = 1; n <= 4; n++) {
    snprintf(
        text, sizeof text,
        "INSERT INTO keys VALUES ('%s', randomblob(32), '%s', 'n', 'o', 'p', 1, NULL, %d, 1, %s)",
        id_of(n), sub_of(n == 3 ? 5 : n), n == 2, n == 1 ? "2" : "NULL");
    sql(text);
  }
  snprintf(text, sizeof text, "INSERT INTO revoked VALUES ('%s', '%s', 2), ('%s', '%s', 2)",
           sub_of(1), id_of(1), sub_of(3), id_of(3));
  sql(text);
  sql(OLD_APPLICATION "PRAGMA user_version = 1");
  assert_int_equal(chmod(location, 0600), 0);
  assert_ok(st_store_open(location, false, &store, error));
  assert_int_equal(listed_count(), 3);
  /* C6: nobody had to remember what was signed; C5, C8: both begin here. */
  int64_t life = 0, lived = 9;
  assert_ok(st_store_get_setting(store, "max_life", &life, error));
  assert_ok(st_store_get_setting(store, "lived", &lived, error));
  assert_true(life == 365 * DAY && lived == 0);
  assert_ok(st_store_issued_sequence(store, sequence_now(), error));
  assert_int_equal(st_store_issued_sequence(store, sequence_now() + 1, error), ST_STORE_NOT_FOUND);
  assert_true(listed(1) && listed(2) && listed(3));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, NULL, error));
  assert_int_equal(listed_count(), 2);
}

static void a_database_of_schema_2_is_brought_up(void **state) {
  (void)state;
  char text[1024];
  st_key key;
  st_user user;
  size_t count = 0;
  st_store_close(store);
  assert_int_equal(unlink(location), 0);
  sql(old_schema_1);
  sql(old_schema_2);
  for (unsigned n = 1; n <= 3; n++) {
    snprintf(text, sizeof text,
             "INSERT INTO keys VALUES ('%s', randomblob(32), '%s', 'n', 'ann', 'a', 1, NULL, %d, 1,"
             " %s)",
             id_of(n), sub_of(n), n == 2, n == 3 ? "2" : "NULL");
    sql(text);
  }
  snprintf(text, sizeof text, "INSERT INTO revoked VALUES ('%s', '%s', 2)", sub_of(3), id_of(3));
  sql(text);
  sql(OLD_APPLICATION "PRAGMA user_version = 2");
  assert_int_equal(chmod(location, 0600), 0);
  assert_ok(st_store_open(location, false, &store, error));
  assert_ok(st_store_key_find(store, id_of(1), &key, error));
  assert_true(key.kind == ST_KIND_KEY && key.parent[0] == '\0' && !key.suspended);
  assert_int_equal(key.used_at, 0);
  assert_true(alive(1) && alive(2) && !alive(3));
  st_key page[3];
  assert_ok(st_store_key_list(store, "ann", "", 3, page, &count, error));
  assert_int_equal(count, 2);
  assert_string_equal(page[1].id, id_of(2));
  make_user(11, "ann", "a");
  assert_ok(st_store_user_find(store, ST_TEXT("ann"), &user, error));
  assert_ok(begin_session(5, grantor_of(11), NOW + 5));
  assert_ok(st_store_user_set_disabled(store, CONTEXT_AT(NOW + 9), "ann", true, NULL, error));
  assert_true(listed(1));
}

/* What the row n does; as_owner: a user who manages the user's own keys alone. */
static const st_audit_context *context_by(unsigned n, bool as_owner) {
  static char id[ST_KEY_ID_LEN + 1];
  static st_audit_context context;
  snprintf(id, sizeof id, "%s", id_of(n));
  context = (st_audit_context){.now_us = NOW * US, .who = "key 0", .from = "127.0.0.1", .row = id};
  context.as_owner = as_owner;
  return &context;
}

/* grantor 0: the command line. */
static st_store_status create_for(unsigned n, unsigned grantor, const char *owner,
                                  bool owner_is_user) {
  st_key key = row_of(n, owner, "");
  key.owner_is_user = owner_is_user;
  return st_store_key_create(store, grantor != 0 ? context_by(grantor, false) : CONTEXT,
                             grantor != 0 ? grantor_of(grantor) : NULL, &key, digest_of(n), error);
}

static st_key listed_key(unsigned n) {
  st_key key;
  assert_ok(st_store_key_find(store, id_of(n), &key, error));
  return key;
}

static void add_old_row(unsigned n, int row_kind, const char *owner, bool disabled, bool deleted) {
  char text[1024];
  snprintf(text, sizeof text,
           "INSERT INTO keys VALUES ('%s', randomblob(32), '%s', 'n', '%s', '', %u, NULL, %d, 1,"
           " %s, %d, NULL, 0)",
           id_of(n), sub_of(n), owner, n, disabled, deleted ? "9" : "NULL", row_kind);
  sql(text);
  if (row_kind == ST_KIND_USER && !deleted) {
    snprintf(text, sizeof text, "INSERT INTO persons VALUES ('%s', '%s', '', NULL, '', '', 1)",
             owner, id_of(n));
    sql(text);
  }
}

static void add_old_line(int at, const char *who, const char *action, const char *target) {
  char text[1024];
  snprintf(text, sizeof text,
           "INSERT INTO audit (at, who, origin, action, target, detail)"
           " VALUES (%d, '%s', 'x', '%s', '%s', '')",
           at, who, action, target);
  sql(text);
}

static void a_database_of_schema_3_is_brought_up(void **state) {
  (void)state;
  char who[64];
  st_user user;
  st_store_close(store);
  assert_int_equal(unlink(location), 0);
  sql(old_schema_1);
  sql(old_schema_2);
  sql(old_schema_3);
  add_old_row(1, ST_KIND_USER, "ann", false, true); /* deleted, and there again: */
  add_old_row(10, ST_KIND_USER, "ann", false, false);
  add_old_row(11, ST_KIND_USER, "eve", false, false);
  add_old_row(12, ST_KIND_USER, "bob", false, false);
  add_old_row(2, ST_KIND_KEY, "", false, false);
  add_old_row(20, ST_KIND_KEY, "", false, false);
  add_old_row(21, ST_KIND_KEY, "", false, false);
  add_old_row(22, ST_KIND_KEY, "ann", true, false);
  add_old_row(23, ST_KIND_KEY, "ann", true, false);
  snprintf(who, sizeof who, "key %s", id_of(20));
  add_old_line(2, "person ann", "key.create", id_of(2)); /* the one who was deleted */
  add_old_line(20, "person ann", "key.create", id_of(20));
  add_old_line(21, who, "key.create", id_of(21));
  add_old_line(22, "user root", "key.create", id_of(22));
  add_old_line(30, "person ann", "key.disable", id_of(22));
  add_old_line(30, "person ann", "key.disable", id_of(23));
  add_old_line(31, who, "key.disable", id_of(23));
  add_old_line(5, "nobody", "user.register", "ann");
  add_old_line(6, "user root", "user.delete", "ann");
  add_old_line(10, "user root", "user.create", "ann");
  add_old_line(11, "nobody", "user.register", "eve");
  add_old_line(12, who, "user.create", "bob");
  add_old_line(13, "user root", "user.password", "bob");
  sql(OLD_APPLICATION "PRAGMA user_version = 3");
  assert_int_equal(chmod(location, 0600), 0);
  assert_ok(st_store_open(location, false, &store, error));
  assert_string_equal(listed_key(2).made_by, id_of(1));
  assert_string_equal(listed_key(20).made_by, id_of(10));
  assert_string_equal(listed_key(21).made_by, id_of(20));
  assert_string_equal(listed_key(22).made_by, "");
  assert_true(listed_key(22).disabled_by_owner && !listed_key(23).disabled_by_owner);
  assert_ok(st_store_user_find(store, ST_TEXT("ann"), &user, error));
  assert_false(user.registered);
  assert_ok(st_store_user_find(store, ST_TEXT("bob"), &user, error));
  assert_true(!user.registered && !user.own_password); /* no import made him */
  assert_string_equal(user.key.made_by, id_of(20));
  assert_ok(st_store_user_find(store, ST_TEXT("eve"), &user, error));
  assert_true(user.registered);
  assert_int_equal(create_for(40, 0, "eve", false), ST_STORE_OWNER_REGISTERED);
}

/* A store of schema 7 in use: nothing of it is another one, and it can do what schema 9 can. */
static void a_database_of_schema_7_is_brought_up(void **state) {
  (void)state;
  st_key key;
  bool is = false;
  subtoken_text tid = ST_TEXT("0123456789abcdef");
  make_key(1, "ann", "a");
  make_key(2, "", "");
  make_key(3, "", "");
  assert_ok(begin_session(5, grantor_of(1), NOW + DAY));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(3), true, NULL, error));
  int64_t before = sequence_now(), all = lines();
  st_store_close(store);
  sql(schema_8_undone);
  assert_ok(st_store_open(location, false, &store, error));
  assert_true(sequence_now() == before && lines() == all && listed_count() == 2);
  assert_true(alive(1) && !alive(2) && alive(5) && listed(2) && listed(3));
  assert_ok(st_store_by_digest(store, digest_of(1), &key, error));
  assert_true(key.audience[0] == '\0' && key.old_until == 0 && key.tokens_revoked == 0);
  assert_int_equal(listed_key(1).rotated_at, 0);
  st_key_token token = {.sub = {sub_of(5), ST_SUB_LEN}, .tid = tid, .exp = NOW + DAY};
  assert_ok(st_store_token_revoke(store, CONTEXT, &token, 1, NULL, error));
  assert_ok(st_store_tokens_revoked(store, &tid, 1, &is, error));
  assert_true(is && listed_count() == 3);
  assert_ok(st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(101), 0, NULL, error));
  assert_int_equal(st_store_by_digest(store, digest_of(1), &key, error), ST_STORE_REVOKED);
  assert_ok(st_store_by_digest(store, digest_of(101), &key, error));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_database_of_schema_1_is_brought_up),
      TEST(a_database_of_schema_2_is_brought_up),
      TEST(a_database_of_schema_3_is_brought_up),
      TEST(a_database_of_schema_7_is_brought_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
