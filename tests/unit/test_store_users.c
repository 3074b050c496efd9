/* Users: who can be made, and what ends with what is taken from them. */
#include "store_contract.h"

static st_store_status find(const char *username, st_user *user) {
  return st_store_user_find(store, (subtoken_text){username, strlen(username)}, user, error);
}

static st_store_status set_permissions(const char *username, const char *permissions, unsigned sub,
                                       int64_t *sequence) {
  return st_store_user_set_permissions(store, CONTEXT_AT(NOW + 9), username, permissions,
                                       sub_of(sub), sequence, error);
}

static st_store_status set_disabled(const char *username, bool disabled, int64_t *sequence) {
  return st_store_user_set_disabled(store, CONTEXT_AT(NOW + 9), username, disabled, sequence,
                                    error);
}

static st_store_status create_as(unsigned grantor, bool registering, const char *username,
                                 const char *permissions) {
  st_user user = user_of(50, username, permissions);
  return st_store_user_create(store, CONTEXT, grantor == 0 ? NULL : grantor_of(grantor),
                              registering, &user, digest_of(50), error);
}

/* ---- made and found ---- */

static void keeps_every_field(void **state) {
  (void)state;
  st_user user = user_of(1, "ann", "a,b"), got;
  memset(user.password, 'p', ST_PHC_MAX);
  memset(user.locale, 'l', ST_LOCALE_MAX);
  memset(user.source, 's', ST_SOURCE_MAX);
  assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &user, digest_of(1), error));
  assert_line("user.create", "ann",
              "permissions a,b; expires never; "
              "source ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss");
  reopen();
  assert_ok(find("ann", &got));
  assert_memory_equal(&got, &user, sizeof got);
  st_key row;
  assert_int_equal(row_by_sub(1, &row), ST_STORE_OK);
  assert_memory_equal(&row, &user.key, sizeof row);
  assert_int_equal(find("an", &got), ST_STORE_NOT_FOUND);
  assert_int_equal(find("ann2", &got), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_user_find(store, (subtoken_text){NULL, 0}, &got, error),
                   ST_STORE_NOT_FOUND);
  assert_string_equal(got.key.id, "");
}

/* A user's row is no parent key to those who manage these. */
static void a_user_is_no_key(void **state) {
  (void)state;
  st_key got;
  size_t count = 9;
  int64_t keys = 9;
  make_user(1, "ann", "a");
  assert_int_equal(st_store_key_find(store, id_of(1), &got, error), ST_STORE_NOT_FOUND);
  assert_int_equal(
      st_store_key_find_sub(store, (subtoken_text){sub_of(1), ST_SUB_LEN}, &got, error),
      ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_rename(store, CONTEXT, id_of(1), "x", error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_replace_sub(store, CONTEXT, id_of(1), sub_of(2), NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_ok(st_store_key_list(store, NULL, "", 1, &got, &count, error));
  assert_int_equal(count, 0);
  assert_ok(st_store_key_list(store, "ann", "", 1, &got, &count, error));
  assert_int_equal(count, 0);
  assert_ok(st_store_key_count(store, &keys, error));
  assert_int_equal(keys, 0);
  assert_true(alive(1));
}

static void lists_in_the_order_of_names(void **state) {
  (void)state;
  static const char *const usernames[] = {"b", "\xc3\xa9", "B", "*", "ba"};
  static st_user page[3];
  size_t count = 0;
  for (unsigned n = 0; n < 5; n++) make_user(n + 1, usernames[n], "a");
  assert_ok(st_store_user_list(store, "", 3, page, &count, error));
  assert_int_equal(count, 3);
  assert_string_equal(page[0].key.owner, "*");
  assert_string_equal(page[1].key.owner, "B");
  assert_string_equal(page[2].key.owner, "b");
  assert_ok(st_store_user_list(store, page[2].key.owner, 3, page, &count, error));
  assert_int_equal(count, 2);
  assert_string_equal(page[0].key.owner, "ba");
  assert_string_equal(page[1].key.owner, "\xc3\xa9");
  assert_ok(st_store_user_list(store, "\xc3\xa9", 3, page, &count, error));
  assert_int_equal(count, 0);
}

static void a_username_is_given_once(void **state) {
  (void)state;
  make_user(1, "ann", "a");
  make_key(2, "bob", "a");
  int64_t before = lines();
  assert_int_equal(create_as(0, false, "ann", "a"), ST_STORE_EXISTS);
  assert_int_equal(create_as(0, true, "ann", ""), ST_STORE_EXISTS);
  assert_int_equal(create_as(0, true, "bob", ""), ST_STORE_EXISTS); /* owns a key */
  assert_int_equal(lines(), before);
  assert_false(alive(50));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_ok(create_as(0, true, "bob", ""));
  assert_line("user.register", "bob", "no permissions; expires never; source test");
}

/* Whoever manages users may give a username to the owner of keys. */
static void an_owner_of_keys_is_made_a_user(void **state) {
  (void)state;
  make_key(2, "bob", "a");
  assert_ok(create_as(0, false, "bob", "a"));
  assert_ok(set_disabled("bob", true, NULL));
  st_key key;
  assert_int_equal(row_by_sub(2, &key), ST_STORE_OK);
  assert_true(key.suspended);
}

static void what_cannot_be_read_back_is_not_written(void **state) {
  (void)state;
  st_user good_one = user_of(1, "ann", "a"), bad[8];
  for (size_t i = 0; i < 8; i++) bad[i] = good_one;
  bad[0].key.kind = ST_KIND_KEY;
  bad[1].key.owner[0] = bad[1].key.name[0] = '\0';
  bad[2].key.name[0] = 'x';
  memset(bad[3].password, 'p', sizeof bad[3].password);
  memset(bad[4].locale, 'p', sizeof bad[4].locale);
  memset(bad[5].source, 'p', sizeof bad[5].source);
  bad[6].key.disabled = true;
  bad[7].key.sub[3] = '\0';
  for (size_t i = 0; i < 8; i++) {
    assert_int_equal(
        st_store_user_create(store, CONTEXT, NULL, false, &bad[i], digest_of(1), error),
        ST_STORE_FAILED);
    assert_non_null(strstr(error, "incomplete user record"));
  }
  assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &good_one, digest_of(1), error));
  char long_one[ST_PHC_MAX + 2];
  memset(long_one, 'p', sizeof long_one);
  long_one[ST_PHC_MAX + 1] = '\0';
  assert_int_equal(
      st_store_user_set_password(store, CONTEXT, "ann", long_one, sub_of(2), NULL, error),
      ST_STORE_FAILED);
  assert_int_equal(st_store_user_rehash(store, "ann", "$hash$1", long_one, error), ST_STORE_FAILED);
  assert_int_equal(st_store_user_set_password(store, CONTEXT, "ann", "p", "short", NULL, error),
                   ST_STORE_FAILED);
}

/* ---- what it is made with ---- */

static st_store_status make_with(unsigned grantor, const char *permissions) {
  static unsigned made = 200; /* another row each time */
  st_key key = row_of(++made, "", permissions);
  return st_store_key_create(store, CONTEXT_AT(NOW), grantor_of(grantor), &key, digest_of(made),
                             error);
}

static void a_grantor_must_be_in_force(void **state) {
  (void)state;
  st_key expiring = row_of(3, "", "a,b");
  expiring.expires_at = NOW;
  make_user(1, "ann", "a,b");
  make_key(2, "ann", "a,b");
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &expiring, digest_of(3), error));
  for (unsigned grantor = 1; grantor <= 2; grantor++) {
    assert_ok(make_with(grantor, "a,b"));
    assert_ok(make_with(grantor, "b"));
    assert_ok(make_with(grantor, ""));
    assert_int_equal(make_with(grantor, "a,c"), ST_STORE_DENIED);
    assert_int_equal(make_with(grantor, "a,b,aa"), ST_STORE_DENIED);
    assert_int_equal(create_as(grantor, false, "new", "c"), ST_STORE_DENIED);
  }
  assert_int_equal(make_with(3, "a"), ST_STORE_DENIED);  /* expired */
  assert_int_equal(make_with(40, "a"), ST_STORE_DENIED); /* never there */
  assert_ok(set_disabled("ann", true, NULL));
  assert_int_equal(make_with(1, "a"), ST_STORE_DENIED);
  assert_int_equal(make_with(2, "a"), ST_STORE_DENIED); /* suspended */
  assert_ok(set_disabled("ann", false, NULL));
  assert_ok(make_with(2, "a"));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_int_equal(make_with(2, "a"), ST_STORE_DENIED);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, NULL, error));
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(2), sub_of(70), NULL, error));
  assert_int_equal(make_with(2, "a"), ST_STORE_DENIED); /* another sub */
  assert_int_equal(create_as(2, false, "new", "a"), ST_STORE_DENIED);
  assert_ok(create_as(1, false, "new", "a"));
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  assert_int_equal(make_with(1, "a"), ST_STORE_DENIED);
}

static void a_key_for_a_disabled_user_is_made_suspended(void **state) {
  (void)state;
  st_key key;
  make_user(1, "ann", "a");
  assert_ok(set_disabled("ann", true, NULL));
  key = row_of(2, "ann", "a");
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(2), error));
  assert_true(key.suspended && !key.disabled); /* whoever makes it is told */
  assert_int_equal(row_by_sub(2, &key), ST_STORE_OK);
  assert_true(key.suspended && !key.disabled && listed(2));
  assert_ok(set_disabled("ann", false, NULL));
  assert_int_equal(row_by_sub(2, &key), ST_STORE_OK);
  assert_true(!key.suspended && !listed(2));
}

/* ---- permissions and passwords ---- */

/* ann: 1, her keys 2 (a), 3 (b) and 4 (a,ab), a session 5, sessions of services 6 (2) and 7 (3);
 * bob: 11, his key 12, his session 15.
 */
static void make_two(void) {
  make_user(1, "ann", "a,ab,b");
  make_key(2, "ann", "a");
  make_key(3, "ann", "b");
  make_key(4, "ann", "a,ab");
  assert_ok(begin_session(5, grantor_of(1), NOW + 100));
  assert_ok(begin_session(6, grantor_of(2), NOW + 100));
  assert_ok(begin_session(7, grantor_of(3), NOW + 100));
  make_user(11, "bob", "a,ab,b");
  make_key(12, "bob", "a,ab,b");
  assert_ok(begin_session(15, grantor_of(11), NOW + 100));
}

static void assert_bob_is_unhurt(void) {
  assert_true(alive(11) && alive(12) && alive(15));
}

static void a_permission_that_is_added_is_there_at_once(void **state) {
  (void)state;
  st_key row;
  int64_t sequence = 0, before;
  make_two();
  before = sequence_now();
  assert_ok(set_permissions("ann", "b,ab,a,new", 80, &sequence));
  assert_int_equal(sequence, before);
  for (unsigned n = 1; n <= 7; n++) assert_true(alive(n) && !listed(n));
  assert_int_equal(row_by_sub(1, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "b,ab,a,new");
  assert_int_equal(row_by_sub(5, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "b,ab,a,new");
  assert_int_equal(row_by_sub(6, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "a");
  assert_int_equal(row_by_sub(15, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "a,ab,b");
  assert_line("user.permissions", "ann", "permissions b,ab,a,new; before a,ab,b");
}

static void what_holds_a_lost_permission_ends(void **state) {
  (void)state;
  st_user user;
  int64_t sequence = 0, before;
  make_two();
  before = sequence_now();
  assert_ok(set_permissions("ann", "ab,b", 80, &sequence));
  assert_int_equal(sequence, sequence_now());
  assert_true(sequence > before);
  /* The keys 2 and 4, the session 5 and that of key 2; and the old sub of the user. */
  ASSERT_CHANGED(before, true, 1, 2, 4, 5, 6);
  for (unsigned n = 1; n <= 7; n++) {
    bool ended = n != 3 && n != 7;
    assert_int_equal(alive(n), !ended);
    assert_int_equal(listed(n), ended);
  }
  assert_ok(find("ann", &user));
  assert_string_equal(user.key.sub, sub_of(80));
  assert_string_equal(user.key.permissions, "ab,b");
  assert_true(alive(80) && !listed(80));
  assert_bob_is_unhurt();
  assert_line("user.permissions", "ann",
              "keys ended: 2; sessions ended: 2; permissions ab,b; before a,ab,b");
  assert_int_equal(count_lines("key.delete", "taken from user ann; name key "), 2);
  assert_int_equal(set_permissions("ann", "b", 11, NULL), ST_STORE_EXISTS); /* bob's sub */
  assert_int_equal(set_permissions("ann", "b", 2, NULL), ST_STORE_EXISTS);  /* was revoked */
  assert_int_equal(set_permissions("eve", "b", 81, NULL), ST_STORE_NOT_FOUND);
  assert_ok(find("ann", &user));
  assert_string_equal(user.key.permissions, "ab,b"); /* rolled back whole */
}

static void losing_all_permissions_ends_all_keys_that_have_any(void **state) {
  (void)state;
  make_two();
  assert_ok(set_permissions("ann", "", 80, NULL));
  for (unsigned n = 1; n <= 7; n++) assert_true(!alive(n) && listed(n));
  assert_bob_is_unhurt();
}

static void another_password_ends_sessions_alone(void **state) {
  (void)state;
  st_user user;
  int64_t sequence = 0, before;
  make_two();
  before = sequence_now();
  assert_ok(
      st_store_user_set_password(store, CONTEXT, "ann", "$other", sub_of(80), &sequence, error));
  ASSERT_CHANGED(before, true, 1, 5);
  assert_int_equal(sequence, sequence_now());
  assert_true(alive(2) && alive(3) && alive(4) && alive(6) && alive(7) && alive(80));
  assert_true(!alive(1) && !alive(5));
  assert_bob_is_unhurt();
  assert_ok(find("ann", &user));
  assert_string_equal(user.password, "$other");
  assert_line("user.password", "ann", "sessions ended: 1; another password");
  assert_int_equal(
      st_store_user_set_password(store, CONTEXT, "eve", "$other", sub_of(81), NULL, error),
      ST_STORE_NOT_FOUND);
}

/* Disabled before and after, with a new sub between. */
static void a_disabled_user_with_another_password_stays_listed(void **state) {
  (void)state;
  make_two();
  assert_ok(set_disabled("ann", true, NULL));
  assert_ok(st_store_user_set_password(store, CONTEXT, "ann", "$other", sub_of(80), NULL, error));
  assert_true(listed(1) && listed(80));
  assert_ok(set_disabled("ann", false, NULL));
  assert_true(listed(1) && !listed(80));
}

static void the_same_password_hashed_anew_ends_nothing(void **state) {
  (void)state;
  st_user user;
  make_two();
  int64_t before = lines(), sequence = sequence_now();
  assert_ok(st_store_user_rehash(store, "ann", "$hash$1", "$anew", error));
  assert_int_equal(st_store_user_rehash(store, "ann", "$hash$1", "$late", error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_user_rehash(store, "eve", "$hash$1", "$late", error),
                   ST_STORE_NOT_FOUND);
  assert_ok(find("ann", &user));
  assert_string_equal(user.password, "$anew");
  assert_true(alive(1) && alive(5));
  assert_int_equal(lines(), before);
  assert_int_equal(sequence_now(), sequence);
}

/* ---- disabled, deleted ---- */

static void disabling_suspends_keys_and_ends_sessions(void **state) {
  (void)state;
  st_key row;
  int64_t first = 0, again = 0, on = 0, before;
  make_two();
  before = sequence_now();
  assert_ok(set_disabled("ann", true, &first));
  assert_int_equal(first, sequence_now());
  ASSERT_CHANGED(before, true, 1, 2, 3, 4, 5, 6, 7);
  assert_line("user.disable", "ann", "sessions ended: 3");
  assert_int_equal(row_by_sub(1, &row), ST_STORE_OK);
  assert_true(row.disabled && !row.suspended);
  for (unsigned n = 2; n <= 4; n++) {
    assert_int_equal(row_by_sub(n, &row), ST_STORE_OK);
    assert_true(!row.disabled && row.suspended);
  }
  assert_true(!alive(5) && !alive(6) && !alive(7));
  assert_bob_is_unhurt();
  assert_ok(set_disabled("ann", true, &again));
  assert_int_equal(again, first);
  assert_line("user.disable", "ann", "");
  assert_ok(set_disabled("ann", false, &on));
  ASSERT_CHANGED(first, false, 1, 2, 3, 4);
  assert_line("user.enable", "ann", "");
  for (unsigned n = 1; n <= 4; n++) {
    assert_int_equal(row_by_sub(n, &row), ST_STORE_OK);
    assert_true(!row.disabled && !row.suspended && !listed(n));
  }
  assert_true(listed(5) && listed(6) && listed(7));
  assert_int_equal(set_disabled("eve", true, NULL), ST_STORE_NOT_FOUND);
}

/* Listed while either is so; each is taken back by itself. */
static void suspended_and_disabled_do_not_mix(void **state) {
  (void)state;
  st_key row;
  make_user(1, "ann", "a");
  make_key(2, "ann", "a");
  for (int first_on = 0; first_on < 2; first_on++) {
    assert_ok(set_disabled("ann", true, NULL));
    assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
    assert_int_equal(row_by_sub(2, &row), ST_STORE_OK);
    assert_true(row.disabled && row.suspended && listed(2));
    if (first_on == 0) assert_ok(set_disabled("ann", false, NULL));
    if (first_on == 1)
      assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, NULL, error));
    assert_int_equal(row_by_sub(2, &row), ST_STORE_OK);
    assert_true(row.disabled == (first_on == 0) && row.suspended == (first_on == 1));
    assert_true(listed(2));
    if (first_on == 0)
      assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, NULL, error));
    if (first_on == 1) assert_ok(set_disabled("ann", false, NULL));
    assert_int_equal(row_by_sub(2, &row), ST_STORE_OK);
    assert_true(!row.disabled && !row.suspended && !listed(2));
  }
  /* A suspended key with a new sub is so with that. */
  assert_ok(set_disabled("ann", true, NULL));
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(2), sub_of(80), NULL, error));
  assert_true(listed(2) && listed(80));
}

static void with_a_user_all_ends(void **state) {
  (void)state;
  st_user user;
  int64_t sequence = 0, before;
  make_two();
  before = sequence_now();
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", &sequence, error));
  ASSERT_CHANGED(before, true, 1, 2, 3, 4, 5, 6, 7);
  assert_int_equal(sequence, sequence_now());
  assert_line("user.delete", "ann", "keys ended: 3; sessions ended: 3");
  assert_int_equal(count_lines("key.delete", "deleted with user ann; name key "), 3);
  for (unsigned n = 1; n <= 7; n++) assert_false(alive(n));
  assert_bob_is_unhurt();
  assert_int_equal(find("ann", &user), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_user_delete(store, CONTEXT, "ann", NULL, error), ST_STORE_NOT_FOUND);
  reopen();
  assert_ok(create_as(0, true, "ann", "")); /* the name is free again; nothing comes back with it */
  assert_false(alive(2));
}

/* ---- import ---- */

/* As an import takes them up: known by their names, and seen just now. */
static st_store_status import(st_user *wanted, size_t count, unsigned first) {
  static st_user_import users[4];
  int64_t sequence = 0;
  st_user there;
  for (size_t i = 0; i < count; i++) {
    unsigned n = first + (unsigned)i;
    users[i] = (st_user_import){.mode = ST_IMPORT_CREATE};
    memcpy(users[i].digest, digest_of(n), 32);
    memcpy(wanted[i].key.id, id_of(n), sizeof wanted[i].key.id);
    memcpy(wanted[i].key.sub, sub_of(n), sizeof wanted[i].key.sub);
    users[i].user = wanted[i];
    if (find(wanted[i].key.owner, &there) == ST_STORE_OK) {
      users[i].mode = ST_IMPORT_UPDATE;
      assert_true(st_store_user_fingerprint(&there, users[i].seen));
    }
  }
  return st_store_user_import(store, CONTEXT, users, count, &sequence, error);
}

static void imports_all_or_none(void **state) {
  (void)state;
  st_user all[3] = {user_of(0, "*", "a"), user_of(0, "carl", "a"), user_of(0, "ann", "b")}, got;
  make_user(1, "ann", "a");
  assert_int_equal(import(all, 3, 20), ST_STORE_DENIED);
  assert_non_null(strstr(error, "ann"));
  assert_int_equal(find("carl", &got), ST_STORE_NOT_FOUND);
  assert_false(alive(20));
  snprintf(all[0].imported, sizeof all[0].imported, "*");
  snprintf(all[1].imported, sizeof all[1].imported, "salted");
  assert_ok(import(all, 2, 20));
  assert_ok(find("carl", &got));
  assert_string_equal(got.imported, "salted");
  assert_string_equal(got.password, "$hash$0");
  assert_line("user.import", "carl", "permissions a; expires never; source test");
  all[1].key.kind = ST_KIND_KEY;
  assert_int_equal(import(all, 2, 30), ST_STORE_FAILED);
  assert_ok(import(all, 0, 30));
}

static void imports_again(void **state) {
  (void)state;
  st_user carl = user_of(0, "carl", "a,b"), got;
  carl.imported[0] = '\0'; /* and yet imported */
  assert_ok(import(&carl, 1, 20));
  make_key(2, "carl", "b");
  assert_ok(begin_session(3, grantor_of(20), NOW + 100));
  int64_t before = sequence_now();
  carl.password[0] = '\0';
  assert_ok(import(&carl, 1, 21)); /* as it is */
  assert_true(alive(20) && alive(3));
  assert_int_equal(sequence_now(), before);
  assert_ok(find("carl", &got));
  assert_string_equal(got.password, "$hash$0");

  snprintf(carl.password, sizeof carl.password, "$new");
  snprintf(carl.imported, sizeof carl.imported, "new");
  assert_ok(import(&carl, 1, 22)); /* another password */
  ASSERT_CHANGED(before, true, 20, 3);
  assert_true(alive(2) && alive(22));
  assert_ok(find("carl", &got));
  assert_string_equal(got.password, "$new");
  assert_string_equal(got.imported, "new");

  /* What a user chose is not what the file brought: that stays known. */
  assert_ok(st_store_user_set_password(store, CONTEXT, "carl", "$own", sub_of(23), NULL, error));
  assert_ok(find("carl", &got));
  assert_string_equal(got.imported, "new");

  carl = user_of(0, "carl", "a");
  carl.password[0] = '\0';
  snprintf(carl.imported, sizeof carl.imported, "other");
  assert_ok(import(&carl, 1, 24)); /* a permission less */
  assert_true(!alive(23) && !alive(2) && alive(24));
  assert_ok(find("carl", &got));
  assert_string_equal(got.password, "$own");
  assert_string_equal(got.imported, "new"); /* which goes with the password */
  assert_string_equal(got.key.permissions, "a");
}

/* G1: a user is imported as the caller saw him, or nothing is done. */
static void imports_only_what_was_seen(void **state) {
  (void)state;
  st_user_import user = {.user = user_of(30, "carl", "a"), .mode = ST_IMPORT_CREATE};
  st_user carl = user_of(0, "carl", "a"), got;
  int64_t sequence;
  bool deleted = true;
  memcpy(user.digest, digest_of(30), 32);
  snprintf(carl.imported, sizeof carl.imported, "salted");
  assert_ok(st_store_user_was_deleted(store, (subtoken_text){"carl", 4}, &deleted, error));
  assert_false(deleted);
  assert_ok(import(&carl, 1, 20));
  assert_ok(find("carl", &got));
  assert_int_equal(st_store_user_import(store, CONTEXT, &user, 1, &sequence, error),
                   ST_STORE_DENIED);
  assert_non_null(strstr(error, "carl has changed meanwhile"));
  user.mode = ST_IMPORT_UPDATE;
  assert_true(st_store_user_fingerprint(&got, user.seen));
  assert_ok(set_permissions("carl", "a,b", 80, NULL)); /* between looking and doing */
  assert_int_equal(st_store_user_import(store, CONTEXT, &user, 1, &sequence, error),
                   ST_STORE_DENIED);
  assert_ok(find("carl", &got));
  assert_string_equal(got.key.permissions, "a,b");
  assert_true(st_store_user_fingerprint(&got, user.seen));
  assert_ok(st_store_user_set_password(store, CONTEXT, "carl", "$own", sub_of(81), NULL, error));
  assert_int_equal(st_store_user_import(store, CONTEXT, &user, 1, &sequence, error),
                   ST_STORE_DENIED);
  assert_ok(find("carl", &got));
  assert_true(got.own_password);
  assert_ok(st_store_user_delete(store, CONTEXT, "carl", NULL, error));
  assert_ok(st_store_user_was_deleted(store, (subtoken_text){"carl", 4}, &deleted, error));
  assert_true(deleted);
  /* One who was deleted comes back by RESTORE alone. */
  assert_int_equal(st_store_user_import(store, CONTEXT, &user, 1, &sequence, error),
                   ST_STORE_DENIED);
  user.mode = ST_IMPORT_CREATE;
  assert_int_equal(st_store_user_import(store, CONTEXT, &user, 1, &sequence, error),
                   ST_STORE_DENIED);
  assert_non_null(strstr(error, "carl was deleted here"));
  user.mode = ST_IMPORT_RESTORE;
  assert_ok(st_store_user_import(store, CONTEXT, &user, 1, &sequence, error));
  assert_ok(find("carl", &got));
  assert_true(!got.own_password && alive(30) && !alive(20));
}

/* ---- an older database ---- */

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(keeps_every_field),
      TEST(a_user_is_no_key),
      TEST(lists_in_the_order_of_names),
      TEST(a_username_is_given_once),
      TEST(an_owner_of_keys_is_made_a_user),
      TEST(what_cannot_be_read_back_is_not_written),
      TEST(a_grantor_must_be_in_force),
      TEST(a_key_for_a_disabled_user_is_made_suspended),
      TEST(a_permission_that_is_added_is_there_at_once),
      TEST(what_holds_a_lost_permission_ends),
      TEST(losing_all_permissions_ends_all_keys_that_have_any),
      TEST(another_password_ends_sessions_alone),
      TEST(a_disabled_user_with_another_password_stays_listed),
      TEST(the_same_password_hashed_anew_ends_nothing),
      TEST(disabling_suspends_keys_and_ends_sessions),
      TEST(suspended_and_disabled_do_not_mix),
      TEST(with_a_user_all_ends),
      TEST(imports_all_or_none),
      TEST(imports_again),
      TEST(imports_only_what_was_seen),
  };
  return RUN_ON_EVERY_STORE(tests);
}
