/* Who owns, made and disabled keys and users, as the store keeps it: a key for an owner who
 * registered (fault G2), who may enable what (G5), and an older database, of which the audit log
 * knows these things.
 */
#include "base/bytes.h"
#include "old_schemas.h"
#include "stores.h"

/* What the row n does; as_owner: a user who manages the user's own keys alone. */
static const st_act *act_by(unsigned n, bool as_owner) {
  static char id[ST_KEY_ID_LEN + 1];
  static st_act act;
  snprintf(id, sizeof id, "%s", id_of(n));
  act = (st_act){.now_us = NOW * US, .who = "key 0", .from = "127.0.0.1", .row = id};
  act.as_owner = as_owner;
  return &act;
}

static void register_user(unsigned n, const char *login) {
  st_person person = person_of(n, login, "");
  good(st_store_person_create(store, ACT, NULL, true, &person, digest_of(n), why));
}

/* maker 0: the command line. */
static st_stored create_for(unsigned n, unsigned maker, const char *owner, bool owner_is_user) {
  st_key key = row_of(n, owner, "");
  key.owner_is_user = owner_is_user;
  return st_store_create(store, maker != 0 ? act_by(maker, false) : ACT,
                         maker != 0 ? maker_of(maker) : NULL, &key, digest_of(n), why);
}

static st_key listed_key(unsigned n) {
  st_key key;
  good(st_store_find(store, id_of(n), &key, why));
  return key;
}

/* ---- G2: the owner of a new key ---- */

static void an_owner_who_registered_has_to_be_meant(void **state) {
  (void)state;
  st_person ops;
  register_user(1, "ops");
  good(st_store_person_find(store, ST_TEXT("ops"), &ops, why));
  assert_true(ops.registered);
  make_key(2, "team", "keys");
  int64_t before = lines();
  for (unsigned maker = 0; maker <= 2; maker += 2) {
    assert_int_equal(create_for(3, maker, "ops", false), ST_STORE_OWNER_REGISTERED);
    assert_int_equal(create_for(3, maker, "nobody", true), ST_STORE_OWNER_NO_USER);
    assert_int_equal(create_for(3, maker, "", true), ST_STORE_OWNER_NO_USER);
  }
  assert_int_equal(lines(), before);
  assert_false(alive(3));
  good(create_for(3, 2, "ops", true));
  good(create_for(4, 0, "ops", true));
  good(create_for(5, 0, "nobody", false));
  good(create_for(6, 1, "ops", false)); /* he makes it himself */
  good(log_in(7, maker_of(1), NOW + 100));
  good(create_for(8, 7, "ops", false));
  /* A key of his is not the user. */
  assert_int_equal(create_for(9, 4, "ops", false), ST_STORE_OWNER_REGISTERED);
}

static void a_user_who_was_made_here_is_known(void **state) {
  (void)state;
  st_person person;
  make_person(1, "ann", "");
  good(st_store_person_find(store, ST_TEXT("ann"), &person, why));
  assert_false(person.registered);
  good(create_for(2, 0, "ann", false));
  good(create_for(3, 0, "ann", true));
}

/* Who deletes a user ends the keys; whoever registers the login then has none of them, and is not
 * the user that was known.
 */
static void a_login_that_is_registered_again_is_a_stranger(void **state) {
  (void)state;
  st_key page[4];
  size_t count = 9;
  make_person(1, "ann", "");
  good(create_for(2, 0, "ann", false));
  good(st_store_set_disabled(store, ACT, id_of(2), true, NULL, why));
  good(st_store_person_delete(store, ACT, "ann", NULL, why));
  register_user(3, "ann");
  good(st_store_list(store, "ann", "", 4, page, &count, why));
  assert_int_equal(count, 0);
  assert_false(alive(2));
  assert_int_equal(create_for(4, 0, "ann", false), ST_STORE_OWNER_REGISTERED);
}

static void the_audit_log_says_that_a_new_user_owns_keys(void **state) {
  (void)state;
  make_key(2, "ops", "");
  make_key(3, "ops", "");
  make_person(1, "ops", "");
  assert_line("user.create", "ops", "keys owned: 2; no permissions; expires never; source test");
}

/* ---- who made it ---- */

static void what_made_a_key_is_kept(void **state) {
  (void)state;
  make_person(1, "ann", "keys");
  good(create_for(2, 1, "ann", false));
  good(create_for(3, 2, "", false));
  make_key(4, "", "");
  assert_string_equal(listed_key(2).made_by, id_of(1));
  assert_string_equal(listed_key(3).made_by, id_of(2));
  assert_string_equal(listed_key(4).made_by, "");
}

/* ---- G5: who disabled it ---- */

static st_stored set_disabled(unsigned by, bool as_owner, unsigned n, bool disabled) {
  return st_store_set_disabled(store, by != 0 ? act_by(by, as_owner) : ACT, id_of(n), disabled,
                               NULL, why);
}

static void an_owner_enables_what_he_disabled(void **state) {
  (void)state;
  make_person(1, "ann", "");
  make_key(2, "ann", "");
  good(set_disabled(1, true, 2, true));
  assert_true(listed_key(2).disabled_by_owner);
  good(set_disabled(1, true, 2, true)); /* and again */
  good(set_disabled(1, true, 2, false));
  assert_false(listed_key(2).disabled || listed_key(2).disabled_by_owner);
  good(set_disabled(1, true, 2, false)); /* was so before */
  /* With the permission keys he is an administrator and the owner: what he did stays his. */
  good(set_disabled(1, false, 2, true));
  good(set_disabled(1, true, 2, false));
}

static void an_owner_does_not_enable_what_another_disabled(void **state) {
  (void)state;
  make_person(1, "ann", "");
  make_key(2, "ann", "");
  make_key(3, "team", "keys");
  for (unsigned by = 0; by <= 3; by += 3) {
    good(set_disabled(by, false, 2, true));
    assert_false(listed_key(2).disabled_by_owner);
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_REFUSED);
    /* Nor by disabling it once more, himself. */
    good(set_disabled(1, true, 2, true));
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_REFUSED);
    assert_true(listed(2) && listed_key(2).disabled);
    /* Nor with another sub. */
    good(st_store_replace_sub(store, act_by(1, true), id_of(2), sub_of(70 + by), NULL, why));
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_REFUSED);
    good(set_disabled(by, false, 2, false));
    /* What the owner disabled first is the other's as soon as he does the same. */
    good(set_disabled(1, true, 2, true));
    good(set_disabled(by, false, 2, true));
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_REFUSED);
    good(set_disabled(0, false, 2, false)); /* the command line always */
    good(set_disabled(1, true, 2, true));
    good(set_disabled(3, false, 2, false)); /* and who holds keys */
  }
}

/* A user is disabled and enabled with the keys; one that was disabled by itself stays so. */
static void with_a_user_enabled_a_disabled_key_stays_so(void **state) {
  (void)state;
  make_person(1, "ann", "");
  make_key(2, "ann", "");
  good(set_disabled(0, false, 2, true));
  good(st_store_person_set_disabled(store, ACT, "ann", true, NULL, why));
  good(st_store_person_set_disabled(store, ACT, "ann", false, NULL, why));
  assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_REFUSED);
}

/* ---- an older database ---- */

static void add_old_row(unsigned n, int kind, const char *owner, bool disabled, bool deleted) {
  char text[1024];
  snprintf(text, sizeof text,
           "INSERT INTO keys VALUES ('%s', randomblob(32), '%s', 'n', '%s', '', %u, NULL, %d, 1,"
           " %s, %d, NULL, 0)",
           id_of(n), sub_of(n), owner, n, disabled, deleted ? "9" : "NULL", kind);
  sql(text);
  if (kind == ST_KIND_PERSON && !deleted) {
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
  st_person person;
  st_store_close(store);
  assert_int_equal(unlink(db), 0);
  sql(old_schema_1);
  sql(old_schema_2);
  sql(old_schema_3);
  add_old_row(1, ST_KIND_PERSON, "ann", false, true); /* deleted, and there again: */
  add_old_row(10, ST_KIND_PERSON, "ann", false, false);
  add_old_row(11, ST_KIND_PERSON, "eve", false, false);
  add_old_row(12, ST_KIND_PERSON, "bob", false, false);
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
  assert_int_equal(chmod(db, 0600), 0);
  good(st_store_open(db, false, &store, why));
  assert_string_equal(listed_key(2).made_by, id_of(1));
  assert_string_equal(listed_key(20).made_by, id_of(10));
  assert_string_equal(listed_key(21).made_by, id_of(20));
  assert_string_equal(listed_key(22).made_by, "");
  assert_true(listed_key(22).disabled_by_owner && !listed_key(23).disabled_by_owner);
  good(st_store_person_find(store, ST_TEXT("ann"), &person, why));
  assert_false(person.registered);
  good(st_store_person_find(store, ST_TEXT("bob"), &person, why));
  assert_true(!person.registered && !person.own_password); /* no import made him */
  assert_string_equal(person.key.made_by, id_of(20));
  good(st_store_person_find(store, ST_TEXT("eve"), &person, why));
  assert_true(person.registered);
  assert_int_equal(create_for(40, 0, "eve", false), ST_STORE_OWNER_REGISTERED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_owner_who_registered_has_to_be_meant),
      TEST(a_user_who_was_made_here_is_known),
      TEST(a_login_that_is_registered_again_is_a_stranger),
      TEST(the_audit_log_says_that_a_new_user_owns_keys),
      TEST(what_made_a_key_is_kept),
      TEST(an_owner_enables_what_he_disabled),
      TEST(an_owner_does_not_enable_what_another_disabled),
      TEST(with_a_user_enabled_a_disabled_key_stays_so),
      TEST(a_database_of_schema_3_is_brought_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
