/* Persons in the store: who can be made, and what ends with what is taken from them. */
#include "old_schemas.h"
#include "store_fixture.h"

static st_store_status find(const char *login, st_user *person) {
  return st_store_user_find(store, (subtoken_text){login, strlen(login)}, person, error);
}

static st_store_status set_permissions(const char *login, const char *permissions, unsigned sub,
                                       int64_t *sequence) {
  return st_store_user_set_permissions(store, AT(NOW + 9), login, permissions, sub_of(sub),
                                       sequence, error);
}

static st_store_status set_disabled(const char *login, bool disabled, int64_t *sequence) {
  return st_store_user_set_disabled(store, AT(NOW + 9), login, disabled, sequence, error);
}

static st_store_status create_as(unsigned maker, bool registering, const char *login,
                                 const char *permissions) {
  st_user person = person_of(50, login, permissions);
  return st_store_user_create(store, ACT, maker == 0 ? NULL : maker_of(maker), registering, &person,
                              digest_of(50), error);
}

/* ---- made and found ---- */

static void keeps_every_field(void **state) {
  (void)state;
  st_user person = person_of(1, "ann", "a,b"), got;
  memset(person.password, 'p', ST_PHC_MAX);
  memset(person.locale, 'l', ST_LOCALE_MAX);
  memset(person.source, 's', ST_SOURCE_MAX);
  good(st_store_user_create(store, ACT, NULL, false, &person, digest_of(1), error));
  assert_line("user.create", "ann",
              "permissions a,b; expires never; "
              "source ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss");
  reopen();
  good(find("ann", &got));
  assert_memory_equal(&got, &person, sizeof got);
  st_key row;
  assert_int_equal(found(1, &row), ST_STORE_OK);
  assert_memory_equal(&row, &person.key, sizeof row);
  assert_int_equal(find("an", &got), ST_STORE_NOT_FOUND);
  assert_int_equal(find("ann2", &got), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_user_find(store, (subtoken_text){NULL, 0}, &got, error),
                   ST_STORE_NOT_FOUND);
  assert_string_equal(got.key.id, "");
}

/* A person's row is no parent key to those who manage these. */
static void is_no_key(void **state) {
  (void)state;
  st_key got;
  size_t count = 9;
  int64_t keys = 9;
  make_person(1, "ann", "a");
  assert_int_equal(st_store_key_find(store, id_of(1), &got, error), ST_STORE_NOT_FOUND);
  assert_int_equal(
      st_store_key_find_sub(store, (subtoken_text){sub_of(1), ST_SUB_LEN}, &got, error),
      ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_rename(store, ACT, id_of(1), "x", error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_set_disabled(store, ACT, id_of(1), true, NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_delete(store, ACT, id_of(1), NULL, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_replace_sub(store, ACT, id_of(1), sub_of(2), NULL, error),
                   ST_STORE_NOT_FOUND);
  good(st_store_key_list(store, NULL, "", 1, &got, &count, error));
  assert_int_equal(count, 0);
  good(st_store_key_list(store, "ann", "", 1, &got, &count, error));
  assert_int_equal(count, 0);
  good(st_store_key_count(store, &keys, error));
  assert_int_equal(keys, 0);
  assert_true(alive(1));
}

static void lists_in_the_order_of_logins(void **state) {
  (void)state;
  static const char *const logins[] = {"b", "\xc3\xa9", "B", "*", "ba"};
  static st_user page[3];
  size_t count = 0;
  for (unsigned n = 0; n < 5; n++) make_person(n + 1, logins[n], "a");
  good(st_store_user_list(store, "", 3, page, &count, error));
  assert_int_equal(count, 3);
  assert_string_equal(page[0].key.owner, "*");
  assert_string_equal(page[1].key.owner, "B");
  assert_string_equal(page[2].key.owner, "b");
  good(st_store_user_list(store, page[2].key.owner, 3, page, &count, error));
  assert_int_equal(count, 2);
  assert_string_equal(page[0].key.owner, "ba");
  assert_string_equal(page[1].key.owner, "\xc3\xa9");
  good(st_store_user_list(store, "\xc3\xa9", 3, page, &count, error));
  assert_int_equal(count, 0);
}

static void a_login_is_somebodys_once(void **state) {
  (void)state;
  make_person(1, "ann", "a");
  make_key(2, "bob", "a");
  int64_t before = lines();
  assert_int_equal(create_as(0, false, "ann", "a"), ST_STORE_EXISTS);
  assert_int_equal(create_as(0, true, "ann", ""), ST_STORE_EXISTS);
  assert_int_equal(create_as(0, true, "bob", ""), ST_STORE_EXISTS); /* owns a key */
  assert_int_equal(lines(), before);
  assert_false(alive(50));
  good(st_store_key_delete(store, ACT, id_of(2), NULL, error));
  good(create_as(0, true, "bob", ""));
  assert_line("user.register", "bob", "no permissions; expires never; source test");
}

/* Whoever manages persons may give a login to the owner of keys. */
static void an_owner_is_made_a_person(void **state) {
  (void)state;
  make_key(2, "bob", "a");
  good(create_as(0, false, "bob", "a"));
  good(set_disabled("bob", true, NULL));
  st_key key;
  assert_int_equal(found(2, &key), ST_STORE_OK);
  assert_true(key.suspended);
}

static void what_cannot_be_read_back_is_not_written(void **state) {
  (void)state;
  st_user good_one = person_of(1, "ann", "a"), bad[8];
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
    assert_int_equal(st_store_user_create(store, ACT, NULL, false, &bad[i], digest_of(1), error),
                     ST_STORE_FAILED);
    assert_non_null(strstr(error, "incomplete user record"));
  }
  good(st_store_user_create(store, ACT, NULL, false, &good_one, digest_of(1), error));
  char long_one[ST_PHC_MAX + 2];
  memset(long_one, 'p', sizeof long_one);
  long_one[ST_PHC_MAX + 1] = '\0';
  assert_int_equal(st_store_user_set_password(store, ACT, "ann", long_one, sub_of(2), NULL, error),
                   ST_STORE_FAILED);
  assert_int_equal(st_store_user_rehash(store, "ann", "$hash$1", long_one, error), ST_STORE_FAILED);
  assert_int_equal(st_store_user_set_password(store, ACT, "ann", "p", "short", NULL, error),
                   ST_STORE_FAILED);
}

/* ---- what it is made with ---- */

static st_store_status make_with(unsigned maker, const char *permissions) {
  st_key key = row_of(60, "", permissions);
  st_store_status stored =
      st_store_key_create(store, AT(NOW), maker_of(maker), &key, digest_of(60), error);
  if (stored == ST_STORE_OK)
    sql("DELETE FROM keys WHERE id = '0000003C-ABCD-ABCD-ABCD-00000000003C'");
  return stored;
}

static void a_maker_must_be_in_force(void **state) {
  (void)state;
  st_key expiring = row_of(3, "", "a,b");
  expiring.expires_at = NOW;
  make_person(1, "ann", "a,b");
  make_key(2, "ann", "a,b");
  good(st_store_key_create(store, ACT, NULL, &expiring, digest_of(3), error));
  for (unsigned maker = 1; maker <= 2; maker++) {
    good(make_with(maker, "a,b"));
    good(make_with(maker, "b"));
    good(make_with(maker, ""));
    assert_int_equal(make_with(maker, "a,c"), ST_STORE_DENIED);
    assert_int_equal(make_with(maker, "a,b,aa"), ST_STORE_DENIED);
    assert_int_equal(create_as(maker, false, "new", "c"), ST_STORE_DENIED);
  }
  assert_int_equal(make_with(3, "a"), ST_STORE_DENIED);  /* expired */
  assert_int_equal(make_with(40, "a"), ST_STORE_DENIED); /* never there */
  good(set_disabled("ann", true, NULL));
  assert_int_equal(make_with(1, "a"), ST_STORE_DENIED);
  assert_int_equal(make_with(2, "a"), ST_STORE_DENIED); /* suspended */
  good(set_disabled("ann", false, NULL));
  good(make_with(2, "a"));
  good(st_store_key_set_disabled(store, ACT, id_of(2), true, NULL, error));
  assert_int_equal(make_with(2, "a"), ST_STORE_DENIED);
  good(st_store_key_set_disabled(store, ACT, id_of(2), false, NULL, error));
  good(st_store_key_replace_sub(store, ACT, id_of(2), sub_of(70), NULL, error));
  assert_int_equal(make_with(2, "a"), ST_STORE_DENIED); /* another sub */
  assert_int_equal(create_as(2, false, "new", "a"), ST_STORE_DENIED);
  good(create_as(1, false, "new", "a"));
  good(st_store_user_delete(store, ACT, "ann", NULL, error));
  assert_int_equal(make_with(1, "a"), ST_STORE_DENIED);
}

static void a_key_for_a_disabled_person_is_made_suspended(void **state) {
  (void)state;
  st_key key;
  make_person(1, "ann", "a");
  good(set_disabled("ann", true, NULL));
  make_key(2, "ann", "a");
  assert_int_equal(found(2, &key), ST_STORE_OK);
  assert_true(key.suspended && !key.disabled && listed(2));
  good(set_disabled("ann", false, NULL));
  assert_int_equal(found(2, &key), ST_STORE_OK);
  assert_true(!key.suspended && !listed(2));
}

/* ---- permissions and passwords ---- */

/* ann: 1, her keys 2 (a), 3 (b) and 4 (a,ab), a login 5, logins of services 6 (2) and 7 (3);
 * bob: 11, his key 12, his login 15.
 */
static void make_two(void) {
  make_person(1, "ann", "a,ab,b");
  make_key(2, "ann", "a");
  make_key(3, "ann", "b");
  make_key(4, "ann", "a,ab");
  good(log_in(5, maker_of(1), NOW + 100));
  good(log_in(6, maker_of(2), NOW + 100));
  good(log_in(7, maker_of(3), NOW + 100));
  make_person(11, "bob", "a,ab,b");
  make_key(12, "bob", "a,ab,b");
  good(log_in(15, maker_of(11), NOW + 100));
}

static void assert_bob_is_unhurt(void) {
  assert_true(alive(11) && alive(12) && alive(15));
}

static void a_permission_that_is_added_is_there_at_once(void **state) {
  (void)state;
  st_key row;
  int64_t sequence = 0, before;
  make_two();
  before = method();
  good(set_permissions("ann", "b,ab,a,new", 80, &sequence));
  assert_int_equal(sequence, before);
  for (unsigned n = 1; n <= 7; n++) assert_true(alive(n) && !listed(n));
  assert_int_equal(found(1, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "b,ab,a,new");
  assert_int_equal(found(5, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "b,ab,a,new");
  assert_int_equal(found(6, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "a");
  assert_int_equal(found(15, &row), ST_STORE_OK);
  assert_string_equal(row.permissions, "a,ab,b");
  assert_line("user.permissions", "ann", "permissions b,ab,a,new; before a,ab,b");
}

static void what_holds_a_lost_permission_ends(void **state) {
  (void)state;
  st_user person;
  int64_t sequence = 0, before;
  make_two();
  before = method();
  good(set_permissions("ann", "ab,b", 80, &sequence));
  assert_int_equal(sequence, method());
  assert_true(sequence > before);
  /* The keys 2 and 4, the login 5 and that of key 2; and the old sub of the person. */
  ASSERT_CHANGED(before, true, 1, 2, 4, 5, 6);
  for (unsigned n = 1; n <= 7; n++) {
    bool ended = n != 3 && n != 7;
    assert_int_equal(alive(n), !ended);
    assert_int_equal(listed(n), ended);
  }
  good(find("ann", &person));
  assert_string_equal(person.key.sub, sub_of(80));
  assert_string_equal(person.key.permissions, "ab,b");
  assert_true(alive(80) && !listed(80));
  assert_bob_is_unhurt();
  assert_line("user.permissions", "ann",
              "keys ended: 2; sessions ended: 2; permissions ab,b; before a,ab,b");
  assert_int_equal(ask("SELECT count(*) FROM audit WHERE action = 'key.delete'"
                       " AND detail LIKE 'taken from user ann; name key _'"),
                   2);
  assert_int_equal(set_permissions("ann", "b", 11, NULL), ST_STORE_EXISTS); /* bob's sub */
  assert_int_equal(set_permissions("ann", "b", 2, NULL), ST_STORE_EXISTS);  /* was revoked */
  assert_int_equal(set_permissions("eve", "b", 81, NULL), ST_STORE_NOT_FOUND);
  good(find("ann", &person));
  assert_string_equal(person.key.permissions, "ab,b"); /* rolled back whole */
}

static void losing_all_permissions_ends_all_keys_that_have_any(void **state) {
  (void)state;
  make_two();
  good(set_permissions("ann", "", 80, NULL));
  for (unsigned n = 1; n <= 7; n++) assert_true(!alive(n) && listed(n));
  assert_bob_is_unhurt();
}

static void another_password_ends_logins_alone(void **state) {
  (void)state;
  st_user person;
  int64_t sequence = 0, before;
  make_two();
  before = method();
  good(st_store_user_set_password(store, ACT, "ann", "$other", sub_of(80), &sequence, error));
  ASSERT_CHANGED(before, true, 1, 5);
  assert_int_equal(sequence, method());
  assert_true(alive(2) && alive(3) && alive(4) && alive(6) && alive(7) && alive(80));
  assert_true(!alive(1) && !alive(5));
  assert_bob_is_unhurt();
  good(find("ann", &person));
  assert_string_equal(person.password, "$other");
  assert_line("user.password", "ann", "sessions ended: 1; another password");
  assert_int_equal(st_store_user_set_password(store, ACT, "eve", "$other", sub_of(81), NULL, error),
                   ST_STORE_NOT_FOUND);
}

/* Disabled before and after, with a new sub between. */
static void a_disabled_person_with_another_password_stays_listed(void **state) {
  (void)state;
  make_two();
  good(set_disabled("ann", true, NULL));
  good(st_store_user_set_password(store, ACT, "ann", "$other", sub_of(80), NULL, error));
  assert_true(listed(1) && listed(80));
  good(set_disabled("ann", false, NULL));
  assert_true(listed(1) && !listed(80));
}

static void the_same_password_hashed_anew_ends_nothing(void **state) {
  (void)state;
  st_user person;
  make_two();
  int64_t before = lines(), sequence = method();
  good(st_store_user_rehash(store, "ann", "$hash$1", "$anew", error));
  assert_int_equal(st_store_user_rehash(store, "ann", "$hash$1", "$late", error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_user_rehash(store, "eve", "$hash$1", "$late", error),
                   ST_STORE_NOT_FOUND);
  good(find("ann", &person));
  assert_string_equal(person.password, "$anew");
  assert_true(alive(1) && alive(5));
  assert_int_equal(lines(), before);
  assert_int_equal(method(), sequence);
}

/* ---- disabled, deleted ---- */

static void disabling_suspends_keys_and_ends_logins(void **state) {
  (void)state;
  st_key row;
  int64_t first = 0, again = 0, on = 0, before;
  make_two();
  before = method();
  good(set_disabled("ann", true, &first));
  assert_int_equal(first, method());
  ASSERT_CHANGED(before, true, 1, 2, 3, 4, 5, 6, 7);
  assert_line("user.disable", "ann", "sessions ended: 3");
  assert_int_equal(found(1, &row), ST_STORE_OK);
  assert_true(row.disabled && !row.suspended);
  for (unsigned n = 2; n <= 4; n++) {
    assert_int_equal(found(n, &row), ST_STORE_OK);
    assert_true(!row.disabled && row.suspended);
  }
  assert_true(!alive(5) && !alive(6) && !alive(7));
  assert_bob_is_unhurt();
  good(set_disabled("ann", true, &again));
  assert_int_equal(again, first);
  assert_line("user.disable", "ann", "");
  good(set_disabled("ann", false, &on));
  ASSERT_CHANGED(first, false, 1, 2, 3, 4);
  assert_line("user.enable", "ann", "");
  for (unsigned n = 1; n <= 4; n++) {
    assert_int_equal(found(n, &row), ST_STORE_OK);
    assert_true(!row.disabled && !row.suspended && !listed(n));
  }
  assert_true(listed(5) && listed(6) && listed(7));
  assert_int_equal(set_disabled("eve", true, NULL), ST_STORE_NOT_FOUND);
}

/* Listed while either is so; each is taken back by itself. */
static void suspended_and_disabled_do_not_mix(void **state) {
  (void)state;
  st_key row;
  make_person(1, "ann", "a");
  make_key(2, "ann", "a");
  for (int first_on = 0; first_on < 2; first_on++) {
    good(set_disabled("ann", true, NULL));
    good(st_store_key_set_disabled(store, ACT, id_of(2), true, NULL, error));
    assert_int_equal(found(2, &row), ST_STORE_OK);
    assert_true(row.disabled && row.suspended && listed(2));
    if (first_on == 0) good(set_disabled("ann", false, NULL));
    if (first_on == 1) good(st_store_key_set_disabled(store, ACT, id_of(2), false, NULL, error));
    assert_int_equal(found(2, &row), ST_STORE_OK);
    assert_true(row.disabled == (first_on == 0) && row.suspended == (first_on == 1));
    assert_true(listed(2));
    if (first_on == 0) good(st_store_key_set_disabled(store, ACT, id_of(2), false, NULL, error));
    if (first_on == 1) good(set_disabled("ann", false, NULL));
    assert_int_equal(found(2, &row), ST_STORE_OK);
    assert_true(!row.disabled && !row.suspended && !listed(2));
  }
  /* A suspended key with a new sub is so with that. */
  good(set_disabled("ann", true, NULL));
  good(st_store_key_replace_sub(store, ACT, id_of(2), sub_of(80), NULL, error));
  assert_true(listed(2) && listed(80));
}

static void with_a_person_all_ends(void **state) {
  (void)state;
  st_user person;
  int64_t sequence = 0, before;
  make_two();
  before = method();
  good(st_store_user_delete(store, ACT, "ann", &sequence, error));
  ASSERT_CHANGED(before, true, 1, 2, 3, 4, 5, 6, 7);
  assert_int_equal(sequence, method());
  assert_line("user.delete", "ann", "keys ended: 3; sessions ended: 3");
  assert_int_equal(ask("SELECT count(*) FROM audit WHERE action = 'key.delete'"
                       " AND detail LIKE 'deleted with user ann; name key _'"),
                   3);
  for (unsigned n = 1; n <= 7; n++) assert_false(alive(n));
  assert_bob_is_unhurt();
  assert_int_equal(find("ann", &person), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_user_delete(store, ACT, "ann", NULL, error), ST_STORE_NOT_FOUND);
  reopen();
  good(create_as(0, true, "ann", "")); /* the login is free again; nothing comes back with it */
  assert_false(alive(2));
}

/* ---- import ---- */

/* As an import takes them up: known by their logins, and seen just now. */
static st_store_status import(st_user *persons, size_t count, unsigned first) {
  static st_user_import users[4];
  int64_t sequence = 0;
  st_user there;
  for (size_t i = 0; i < count; i++) {
    unsigned n = first + (unsigned)i;
    users[i] = (st_user_import){.mode = ST_IMPORT_CREATE};
    memcpy(users[i].digest, digest_of(n), 32);
    memcpy(persons[i].key.id, id_of(n), sizeof persons[i].key.id);
    memcpy(persons[i].key.sub, sub_of(n), sizeof persons[i].key.sub);
    users[i].user = persons[i];
    if (find(persons[i].key.owner, &there) == ST_STORE_OK) {
      users[i].mode = ST_IMPORT_UPDATE;
      assert_true(st_store_user_fingerprint(&there, users[i].seen));
    }
  }
  return st_store_user_import(store, ACT, users, count, &sequence, error);
}

static void imports_all_or_none(void **state) {
  (void)state;
  st_user all[3] = {person_of(0, "*", "a"), person_of(0, "carl", "a"), person_of(0, "ann", "b")},
          got;
  make_person(1, "ann", "a");
  assert_int_equal(import(all, 3, 20), ST_STORE_DENIED);
  assert_non_null(strstr(error, "ann"));
  assert_int_equal(find("carl", &got), ST_STORE_NOT_FOUND);
  assert_false(alive(20));
  snprintf(all[0].imported, sizeof all[0].imported, "*");
  snprintf(all[1].imported, sizeof all[1].imported, "salted");
  good(import(all, 2, 20));
  good(find("carl", &got));
  assert_string_equal(got.imported, "salted");
  assert_string_equal(got.password, "$hash$0");
  assert_line("user.import", "carl", "permissions a; expires never; source test");
  all[1].key.kind = ST_KIND_KEY;
  assert_int_equal(import(all, 2, 30), ST_STORE_FAILED);
  good(import(all, 0, 30));
}

static void imports_again(void **state) {
  (void)state;
  st_user carl = person_of(0, "carl", "a,b"), got;
  carl.imported[0] = '\0'; /* and yet imported */
  good(import(&carl, 1, 20));
  make_key(2, "carl", "b");
  good(log_in(3, maker_of(20), NOW + 100));
  int64_t before = method();
  carl.password[0] = '\0';
  good(import(&carl, 1, 21)); /* as it is */
  assert_true(alive(20) && alive(3));
  assert_int_equal(method(), before);
  good(find("carl", &got));
  assert_string_equal(got.password, "$hash$0");

  snprintf(carl.password, sizeof carl.password, "$new");
  snprintf(carl.imported, sizeof carl.imported, "new");
  good(import(&carl, 1, 22)); /* another password */
  ASSERT_CHANGED(before, true, 20, 3);
  assert_true(alive(2) && alive(22));
  good(find("carl", &got));
  assert_string_equal(got.password, "$new");
  assert_string_equal(got.imported, "new");

  /* What a person chose is not what the file brought: that stays known. */
  good(st_store_user_set_password(store, ACT, "carl", "$own", sub_of(23), NULL, error));
  good(find("carl", &got));
  assert_string_equal(got.imported, "new");

  carl = person_of(0, "carl", "a");
  carl.password[0] = '\0';
  good(import(&carl, 1, 24)); /* a permission less */
  assert_true(!alive(23) && !alive(2) && alive(24));
  good(find("carl", &got));
  assert_string_equal(got.password, "$own");
  assert_string_equal(got.key.permissions, "a");
}

/* G1: a user is imported as the caller saw him, or nothing is done. */
static void imports_only_what_was_seen(void **state) {
  (void)state;
  st_user_import user = {.user = person_of(30, "carl", "a"), .mode = ST_IMPORT_CREATE};
  st_user carl = person_of(0, "carl", "a"), got;
  int64_t sequence;
  bool deleted = true;
  memcpy(user.digest, digest_of(30), 32);
  snprintf(carl.imported, sizeof carl.imported, "salted");
  good(st_store_user_was_deleted(store, (subtoken_text){"carl", 4}, &deleted, error));
  assert_false(deleted);
  good(import(&carl, 1, 20));
  good(find("carl", &got));
  assert_int_equal(st_store_user_import(store, ACT, &user, 1, &sequence, error), ST_STORE_DENIED);
  assert_non_null(strstr(error, "carl has changed meanwhile"));
  user.mode = ST_IMPORT_UPDATE;
  assert_true(st_store_user_fingerprint(&got, user.seen));
  good(set_permissions("carl", "a,b", 80, NULL)); /* between looking and doing */
  assert_int_equal(st_store_user_import(store, ACT, &user, 1, &sequence, error), ST_STORE_DENIED);
  good(find("carl", &got));
  assert_string_equal(got.key.permissions, "a,b");
  assert_true(st_store_user_fingerprint(&got, user.seen));
  good(st_store_user_set_password(store, ACT, "carl", "$own", sub_of(81), NULL, error));
  assert_int_equal(st_store_user_import(store, ACT, &user, 1, &sequence, error), ST_STORE_DENIED);
  good(find("carl", &got));
  assert_true(got.own_password);
  good(st_store_user_delete(store, ACT, "carl", NULL, error));
  good(st_store_user_was_deleted(store, (subtoken_text){"carl", 4}, &deleted, error));
  assert_true(deleted);
  /* One who was deleted comes back by RESTORE alone. */
  assert_int_equal(st_store_user_import(store, ACT, &user, 1, &sequence, error), ST_STORE_DENIED);
  user.mode = ST_IMPORT_CREATE;
  assert_int_equal(st_store_user_import(store, ACT, &user, 1, &sequence, error), ST_STORE_DENIED);
  assert_non_null(strstr(error, "carl was deleted here"));
  user.mode = ST_IMPORT_RESTORE;
  good(st_store_user_import(store, ACT, &user, 1, &sequence, error));
  good(find("carl", &got));
  assert_true(!got.own_password && alive(30) && !alive(20));
}

/* ---- an older database ---- */

static void a_database_of_schema_2_is_brought_up(void **state) {
  (void)state;
  char text[1024];
  st_key key;
  st_user person;
  size_t count = 0;
  st_store_close(store);
  assert_int_equal(unlink(db), 0);
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
  assert_int_equal(chmod(db, 0600), 0);
  good(st_store_open(db, false, &store, error));
  good(st_store_key_find(store, id_of(1), &key, error));
  assert_true(key.kind == ST_KIND_KEY && key.parent[0] == '\0' && !key.suspended);
  assert_int_equal(key.used_at, 0);
  assert_true(alive(1) && alive(2) && !alive(3));
  st_key page[3];
  good(st_store_key_list(store, "ann", "", 3, page, &count, error));
  assert_int_equal(count, 2);
  assert_string_equal(page[1].id, id_of(2));
  make_person(11, "ann", "a");
  good(find("ann", &person));
  good(log_in(5, maker_of(11), NOW + 5));
  good(set_disabled("ann", true, NULL));
  assert_true(listed(1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(keeps_every_field),
      TEST(is_no_key),
      TEST(lists_in_the_order_of_logins),
      TEST(a_login_is_somebodys_once),
      TEST(an_owner_is_made_a_person),
      TEST(what_cannot_be_read_back_is_not_written),
      TEST(a_maker_must_be_in_force),
      TEST(a_key_for_a_disabled_person_is_made_suspended),
      TEST(a_permission_that_is_added_is_there_at_once),
      TEST(what_holds_a_lost_permission_ends),
      TEST(losing_all_permissions_ends_all_keys_that_have_any),
      TEST(another_password_ends_logins_alone),
      TEST(a_disabled_person_with_another_password_stays_listed),
      TEST(the_same_password_hashed_anew_ends_nothing),
      TEST(disabling_suspends_keys_and_ends_logins),
      TEST(suspended_and_disabled_do_not_mix),
      TEST(with_a_person_all_ends),
      TEST(imports_all_or_none),
      TEST(imports_again),
      TEST(imports_only_what_was_seen),
      TEST(a_database_of_schema_2_is_brought_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
