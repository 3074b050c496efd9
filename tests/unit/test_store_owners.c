/* Who owns, made and disabled keys and users: a key for an owner who registered (fault G2), who may
 * enable what (G5), and what was made with a key or by a user (G3).
 */
#include "store_contract.h"

#include "base/bytes.h"

/* What the row n does; as_owner: a user who manages the user's own keys alone. */
static const st_audit_context *context_by(unsigned n, bool as_owner) {
  static char id[ST_KEY_ID_LEN + 1];
  static st_audit_context context;
  snprintf(id, sizeof id, "%s", id_of(n));
  context = (st_audit_context){.now_us = NOW * US, .who = "key 0", .from = "127.0.0.1", .row = id};
  context.as_owner = as_owner;
  return &context;
}

static void register_user(unsigned n, const char *username) {
  st_user user = user_of(n, username, "");
  assert_ok(st_store_user_create(store, CONTEXT, NULL, true, &user, digest_of(n), error));
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

/* ---- how many keys an owner has ---- */

static st_store_status create_of_at_most(unsigned n, unsigned grantor, const char *owner,
                                         int64_t most) {
  st_key key = row_of(n, owner, "");
  st_audit_context context = grantor != 0 ? *context_by(grantor, false) : *CONTEXT;
  context.most_keys = most;
  return st_store_key_create(store, &context, grantor != 0 ? grantor_of(grantor) : NULL, &key,
                             digest_of(n), error);
}

static void an_owner_has_so_many_keys(void **state) {
  (void)state;
  make_key(1, "team", "keys");
  make_user(2, "ann", "keys");
  for (unsigned n = 10; n < 13; n++) assert_ok(create_of_at_most(n, 1, "ann", 3));
  int64_t before = lines();
  for (unsigned by = 0; by <= 2; by++) {
    assert_int_equal(create_of_at_most(13, by, "ann", 3), ST_STORE_FULL);
  }
  assert_int_equal(lines(), before);
  assert_false(alive(13));
  assert_ok(create_of_at_most(13, 1, "ann", 4));
  assert_ok(create_of_at_most(14, 1, "ann", 0)); /* any number */
  assert_ok(create_of_at_most(17, 0, "o", 1));   /* a short name is one, too */
  assert_int_equal(create_of_at_most(18, 0, "o", 1), ST_STORE_FULL);
  assert_ok(create_of_at_most(15, 1, "team", 2)); /* the other owner has one */
  assert_int_equal(create_of_at_most(16, 1, "team", 2), ST_STORE_FULL);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(15), true, NULL, error));
  assert_int_equal(create_of_at_most(16, 1, "team", 2), ST_STORE_FULL);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(15), NULL, error));
  assert_ok(create_of_at_most(16, 1, "team", 2)); /* what was deleted leaves room */
}

/* Of these it counts who made them. */
static void keys_without_an_owner_are_bounded(void **state) {
  (void)state;
  make_key(1, "", "keys");
  make_key(2, "", "keys");
  assert_ok(create_of_at_most(10, 1, "", 2));
  assert_ok(create_of_at_most(11, 1, "", 2));
  assert_int_equal(create_of_at_most(12, 1, "", 2), ST_STORE_FULL);
  assert_ok(create_of_at_most(12, 1, "ann", 2));
  assert_ok(create_of_at_most(13, 2, "", 2));
  assert_ok(create_of_at_most(14, 0, "", 2)); /* the command line has none to count for */
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(11), NULL, error));
  assert_ok(create_of_at_most(15, 1, "", 2));
  assert_int_equal(create_of_at_most(16, 1, "", 2), ST_STORE_FULL);
}

/* ---- G2: the owner of a new key ---- */

static void an_owner_who_registered_has_to_be_meant(void **state) {
  (void)state;
  st_user ops;
  register_user(1, "ops");
  assert_ok(st_store_user_find(store, ST_TEXT("ops"), &ops, error));
  assert_true(ops.registered);
  make_key(2, "team", "keys");
  int64_t before = lines();
  for (unsigned grantor = 0; grantor <= 2; grantor += 2) {
    assert_int_equal(create_for(3, grantor, "ops", false), ST_STORE_OWNER_REGISTERED);
    assert_int_equal(create_for(3, grantor, "nobody", true), ST_STORE_OWNER_NOT_USER);
    assert_int_equal(create_for(3, grantor, "", true), ST_STORE_OWNER_NOT_USER);
  }
  assert_int_equal(lines(), before);
  assert_false(alive(3));
  assert_ok(create_for(3, 2, "ops", true));
  assert_ok(create_for(4, 0, "ops", true));
  assert_ok(create_for(5, 0, "nobody", false));
  assert_ok(create_for(6, 1, "ops", false)); /* he makes it himself */
  assert_ok(begin_session(7, grantor_of(1), NOW + 100));
  assert_ok(create_for(8, 7, "ops", false));
  /* A key of his is not the user. */
  assert_int_equal(create_for(9, 4, "ops", false), ST_STORE_OWNER_REGISTERED);
}

static void a_user_who_was_made_here_is_known(void **state) {
  (void)state;
  st_user user;
  make_user(1, "ann", "");
  assert_ok(st_store_user_find(store, ST_TEXT("ann"), &user, error));
  assert_false(user.registered);
  assert_ok(create_for(2, 0, "ann", false));
  assert_ok(create_for(3, 0, "ann", true));
}

/* Who deletes a user ends the keys; whoever registers the name then has none of them, and is not
 * the user that was known.
 */
static void a_username_that_is_registered_again_is_another_user(void **state) {
  (void)state;
  st_key page[4];
  size_t count = 9;
  make_user(1, "ann", "");
  assert_ok(create_for(2, 0, "ann", false));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  register_user(3, "ann");
  assert_ok(st_store_key_list(store, "ann", "", 4, page, &count, error));
  assert_int_equal(count, 0);
  assert_false(alive(2));
  assert_int_equal(create_for(4, 0, "ann", false), ST_STORE_OWNER_REGISTERED);
}

static void the_audit_log_says_that_a_new_user_owns_keys(void **state) {
  (void)state;
  make_key(2, "ops", "");
  make_key(3, "ops", "");
  make_user(1, "ops", "");
  assert_line("user.create", "ops", "keys owned: 2; no permissions; expires never; source test");
}

/* ---- who made it ---- */

static void what_made_a_key_is_kept(void **state) {
  (void)state;
  make_user(1, "ann", "keys");
  assert_ok(create_for(2, 1, "ann", false));
  assert_ok(create_for(3, 2, "", false));
  make_key(4, "", "");
  assert_string_equal(listed_key(2).made_by, id_of(1));
  assert_string_equal(listed_key(3).made_by, id_of(2));
  assert_string_equal(listed_key(4).made_by, "");
}

/* ---- G5: who disabled it ---- */

static st_store_status set_disabled(unsigned by, bool as_owner, unsigned n, bool disabled) {
  return st_store_key_set_disabled(store, by != 0 ? context_by(by, as_owner) : CONTEXT, id_of(n),
                                   disabled, NULL, error);
}

static void an_owner_enables_what_he_disabled(void **state) {
  (void)state;
  make_user(1, "ann", "");
  make_key(2, "ann", "");
  assert_ok(set_disabled(1, true, 2, true));
  assert_true(listed_key(2).disabled_by_owner);
  assert_ok(set_disabled(1, true, 2, true)); /* and again */
  assert_ok(set_disabled(1, true, 2, false));
  assert_false(listed_key(2).disabled || listed_key(2).disabled_by_owner);
  assert_ok(set_disabled(1, true, 2, false)); /* was so before */
  /* With the permission keys he is an administrator and the owner: what he did stays his. */
  assert_ok(set_disabled(1, false, 2, true));
  assert_ok(set_disabled(1, true, 2, false));
}

static void an_owner_does_not_enable_what_another_disabled(void **state) {
  (void)state;
  make_user(1, "ann", "");
  make_key(2, "ann", "");
  make_key(3, "team", "keys");
  for (unsigned by = 0; by <= 3; by += 3) {
    assert_ok(set_disabled(by, false, 2, true));
    assert_false(listed_key(2).disabled_by_owner);
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_DISABLED_BY_OTHER);
    /* Nor by disabling it once more, himself. */
    assert_ok(set_disabled(1, true, 2, true));
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_DISABLED_BY_OTHER);
    assert_true(listed(2) && listed_key(2).disabled);
    /* Nor with another sub. */
    assert_ok(st_store_key_replace_sub(store, context_by(1, true), id_of(2), sub_of(70 + by), NULL,
                                       error));
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_DISABLED_BY_OTHER);
    assert_ok(set_disabled(by, false, 2, false));
    /* What the owner disabled first is the other's as soon as he does the same. */
    assert_ok(set_disabled(1, true, 2, true));
    assert_ok(set_disabled(by, false, 2, true));
    assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_DISABLED_BY_OTHER);
    assert_ok(set_disabled(0, false, 2, false)); /* the command line always */
    assert_ok(set_disabled(1, true, 2, true));
    assert_ok(set_disabled(3, false, 2, false)); /* and who holds keys */
  }
}

/* A user is disabled and enabled with the keys; one that was disabled by itself stays so. */
static void with_a_user_enabled_a_disabled_key_stays_so(void **state) {
  (void)state;
  make_user(1, "ann", "");
  make_key(2, "ann", "");
  assert_ok(set_disabled(0, false, 2, true));
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", false, NULL, error));
  assert_int_equal(set_disabled(1, true, 2, false), ST_STORE_DISABLED_BY_OTHER);
}

/* ---- G3: what was made with it, for others ---- */

static st_derived made;

/* What the command line does; what it is told goes to `made`. */
static const st_audit_context *telling(bool end) {
  static st_audit_context context;
  context = *CONTEXT;
  memset(&made, 0, sizeof made);
  made.end = end;
  context.made = &made;
  return &context;
}

static st_store_status make_with(unsigned n, unsigned grantor, const char *owner,
                                 const char *permissions) {
  st_key key = row_of(n, owner, permissions);
  return st_store_key_create(store, context_by(grantor, false), grantor_of(grantor), &key,
                             digest_of(n), error);
}

static void make_user_with(unsigned n, unsigned grantor, const char *username,
                           const char *permissions) {
  st_user user = user_of(n, username, permissions);
  assert_ok(st_store_user_create(store, context_by(grantor, false), grantor_of(grantor), false,
                                 &user, digest_of(n), error));
}

/* ann, who has keys, users and a: her keys 2 (all of it) and 3 (a); for others key 4 (a), 5 (keys)
 * without an owner, made in a session; with her key 2 key 6 (none) and the user bob, 20, with a key
 * 21 of his own; with 5 key 7 (none). carl, 30, and his key 31 are nobody's business.
 */
static void make_many(void) {
  make_user(1, "ann", "keys,users,a");
  assert_ok(make_with(2, 1, "ann", "keys,users,a"));
  assert_ok(make_with(3, 1, "ann", "a"));
  assert_ok(make_with(4, 1, "other", "a"));
  assert_ok(begin_session(10, grantor_of(1), NOW + 100));
  st_key five = row_of(5, "", "keys");
  st_audit_context context = *context_by(1, false); /* as a session is told by its root */
  assert_ok(st_store_key_create(store, &context, grantor_of(10), &five, digest_of(5), error));
  assert_ok(make_with(6, 2, "third", ""));
  make_user_with(20, 2, "bob", "");
  assert_ok(make_with(21, 20, "bob", ""));
  assert_ok(make_with(7, 5, "", ""));
  make_user(30, "carl", "keys");
  assert_ok(make_with(31, 30, "", "keys"));
}

static void assert_made(int64_t keys, int64_t users, const char *first) {
  assert_int_equal(made.keys, keys);
  assert_int_equal(made.users, users);
  assert_int_equal(made.count, keys + users > ST_DERIVED_LISTED ? ST_DERIVED_LISTED : keys + users);
  if (made.count > 0) assert_string_equal(made.items[0].name, first);
}

static void assert_alive(bool yes, const unsigned *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (alive(rows[i]) != yes) fail_msg("row %u is %s", rows[i], yes ? "gone" : "there");
  }
}
#define ASSERT_ALIVE(yes, ...)                       \
  assert_alive(yes, (const unsigned[]){__VA_ARGS__}, \
               sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void a_user_who_loses_keys_is_told_what_lives_on(void **state) {
  (void)state;
  make_many();
  assert_ok(st_store_user_set_permissions(store, telling(false), "ann", "users,a", sub_of(80), NULL,
                                          error));
  /* What keys made, and what that made; bob was made with users, which she has still. */
  assert_made(4, 0, id_of(4));
  assert_string_equal(made.items[3].name, id_of(7));
  ASSERT_ALIVE(true, 3, 4, 5, 6, 7, 20, 21, 31);
  ASSERT_ALIVE(false, 1, 2, 10);
  char detail[1024];
  snprintf(
      detail, sizeof detail,
      "keys ended: 1; sessions ended: 1; made with it, still valid: 4 keys, 0 users: %s, %s, %s, "
      "%s; permissions users,a; before keys,users,a",
      id_of(4), id_of(5), id_of(6), id_of(7));
  assert_line("user.permissions", "ann", detail);
}

static void a_user_who_loses_users_is_told_of_users(void **state) {
  (void)state;
  make_many();
  assert_ok(st_store_user_set_permissions(store, telling(false), "ann", "keys,a", sub_of(80), NULL,
                                          error));
  assert_made(1, 1, id_of(21));
  assert_true(made.items[1].user);
  assert_string_equal(made.items[1].name, "bob");
  ASSERT_ALIVE(true, 4, 5, 6, 7, 20, 21);
}

/* Whoever made a key has seen it: also one with another permission that is lost. */
static void a_key_that_has_what_is_lost_is_told(void **state) {
  (void)state;
  make_many();
  assert_ok(st_store_user_set_permissions(store, telling(false), "ann", "keys,users", sub_of(80),
                                          NULL, error));
  assert_made(1, 0, id_of(4));
  /* nothing is lost, nothing is told */
  assert_ok(st_store_user_set_permissions(store, telling(false), "ann", "keys,users,b", sub_of(81),
                                          NULL, error));
  assert_made(0, 0, NULL);
}

/* Later, too: what he has not now is what counts. */
static void what_was_made_ends_when_it_is_asked_for(void **state) {
  (void)state;
  make_many();
  assert_ok(begin_session(11, grantor_of(20), NOW + 100));
  assert_ok(
      st_store_user_set_permissions(store, CONTEXT, "ann", "users,a", sub_of(80), NULL, error));
  int64_t before = sequence_now(), sequence = 0;
  assert_ok(st_store_user_set_permissions(store, telling(true), "ann", "users,a", sub_of(81),
                                          &sequence, error));
  assert_made(4, 0, id_of(4));
  ASSERT_CHANGED(before, true, 4, 5, 6, 7);
  assert_int_equal(sequence, sequence_now());
  ASSERT_ALIVE(true, 3, 20, 21, 11, 31);
  before = sequence_now();
  assert_ok(
      st_store_user_set_permissions(store, telling(true), "ann", "", sub_of(82), NULL, error));
  assert_made(1, 1, id_of(21));
  ASSERT_ALIVE(false, 3, 20, 21, 11);
  ASSERT_ALIVE(true, 30, 31);
  st_user bob;
  assert_int_equal(st_store_user_find(store, ST_TEXT("bob"), &bob, error), ST_STORE_NOT_FOUND);
  assert_int_equal(count_lines("user.delete", "made with user ann"), 1);
  assert_int_equal(count_lines("key.delete", "made with user ann; name key "), 5);
}

static void so_do_disabling_and_deleting(void **state) {
  (void)state;
  make_many();
  assert_ok(st_store_user_set_disabled(store, telling(false), "ann", true, NULL, error));
  assert_made(5, 1, id_of(4)); /* 4 5 6 7 21, bob */
  assert_ok(st_store_user_set_disabled(store, telling(false), "ann", false, NULL, error));
  assert_made(0, 0, NULL);
  assert_ok(st_store_key_set_disabled(store, telling(false), id_of(2), true, NULL, error));
  assert_made(2, 1, id_of(6)); /* 6 21, bob */
  assert_non_null(strstr(last_line().detail, "made with it, still valid: 2 keys, 1 user: "));
  assert_non_null(strstr(last_line().detail, ", \"bob\"; permissions"));
  assert_ok(st_store_key_set_disabled(store, telling(false), id_of(2), false, NULL, error));
  assert_made(0, 0, NULL);
  assert_ok(st_store_key_delete(store, telling(false), id_of(5), NULL, error));
  assert_made(1, 0, id_of(7));
  /* what was made with a key that has gone is still known */
  assert_ok(st_store_user_delete(store, telling(true), "ann", NULL, error));
  assert_made(4, 1, id_of(4)); /* 4 6 7 21, bob */
  ASSERT_ALIVE(false, 1, 2, 3, 4, 5, 6, 7, 20, 21);
  ASSERT_ALIVE(true, 30, 31);
}

static void what_is_over_is_not_told(void **state) {
  (void)state;
  make_user(1, "ann", "keys");
  st_key over = row_of(2, "", "");
  over.expires_at = NOW;
  assert_ok(
      st_store_key_create(store, context_by(1, false), grantor_of(1), &over, digest_of(2), error));
  assert_ok(st_store_user_set_disabled(store, telling(false), "ann", true, NULL, error));
  assert_made(0, 0, NULL);
}

static void of_many_some_are_listed(void **state) {
  (void)state;
  make_user(1, "ann", "keys");
  for (unsigned n = 100; n < 125; n++) assert_ok(make_with(n, 1, "", ""));
  assert_ok(
      st_store_user_set_permissions(store, telling(false), "ann", "", sub_of(80), NULL, error));
  assert_made(25, 0, id_of(100));
  assert_false(made.more);
  assert_non_null(strstr(last_line().detail, "25 keys, 0 users: "));
  assert_non_null(strstr(last_line().detail, ", ...; no permissions"));
}

/* ---- an older database ---- */

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_owner_has_so_many_keys),
      TEST(keys_without_an_owner_are_bounded),
      TEST(an_owner_who_registered_has_to_be_meant),
      TEST(a_user_who_was_made_here_is_known),
      TEST(a_username_that_is_registered_again_is_another_user),
      TEST(the_audit_log_says_that_a_new_user_owns_keys),
      TEST(what_made_a_key_is_kept),
      TEST(an_owner_enables_what_he_disabled),
      TEST(an_owner_does_not_enable_what_another_disabled),
      TEST(with_a_user_enabled_a_disabled_key_stays_so),
      TEST(a_user_who_loses_keys_is_told_what_lives_on),
      TEST(a_user_who_loses_users_is_told_of_users),
      TEST(a_key_that_has_what_is_lost_is_told),
      TEST(what_was_made_ends_when_it_is_asked_for),
      TEST(so_do_disabling_and_deleting),
      TEST(what_is_over_is_not_told),
      TEST(of_many_some_are_listed),
  };
  return RUN_ON_EVERY_STORE(tests);
}
