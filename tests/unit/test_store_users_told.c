/* Who may make a user of which name, and all that a change of a user answers, ends and writes into
 * the audit log, to the letter.
 */
#include "store_contract.h"

#include "store/db.h"

static void assert_says(const char *text) {
  if (strstr(error, text) == NULL) fail_msg("\"%s\" does not say \"%s\"", error, text);
}

/* Made with a row (0: by the operator), or by registering. */
static st_store_status make(unsigned n, const char *username, unsigned grantor, bool registering) {
  st_user user = user_of(n, username, registering ? "" : "a");
  st_audit_context context = *CONTEXT;
  if (grantor != 0) context.row = id_of(grantor);
  error[0] = '\0';
  return st_store_user_create(store, &context, grantor == 0 ? NULL : grantor_of(grantor),
                              registering, &user, digest_of(n), error);
}

/* A user manages the keys under the username: so one that keys have is given by those alone who may
 * manage these keys.
 */
static void a_username_that_owns_keys_is_given_by_who_manages_them(void **state) {
  (void)state;
  make_key(1, "", "a,users");
  make_key(2, "", "a,users,keys");
  make_key(3, "ops", "a");
  assert_int_equal(make(4, "ops", 0, true), ST_STORE_EXISTS);
  assert_int_equal(make(4, "ops", 1, false), ST_STORE_EXISTS);
  assert_says(": already exists");
  assert_ok(make(5, "free", 1, false)); /* one that nobody has */
  assert_line("user.create", "free", "permissions a; expires never; source test");
  assert_ok(make(6, "eve", 0, true));
  assert_ok(make(4, "ops", 2, false));
  assert_line("user.create", "ops", "keys owned: 1; permissions a; expires never; source test");
  st_user bare = user_of(11, "bare", "a");
  snprintf(bare.source, sizeof bare.source, "s");
  assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &bare, digest_of(11), error));
  assert_line("user.create", "bare", "permissions a; expires never; source s");
  bare = user_of(12, "none", "");
  memset(bare.source, 0, sizeof bare.source);
  assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &bare, digest_of(12), error));
  assert_line("user.create", "none", "no permissions; expires never");
  assert_ok(st_store_user_set_permissions(store, CONTEXT, "none", "a", sub_of(13), NULL, error));
  assert_line("user.permissions", "none", "permissions a; before none");
  assert_ok(st_store_user_set_permissions(store, CONTEXT, "none", "a,b", sub_of(14), NULL, error));
  assert_line("user.permissions", "none", "permissions a,b; before a");
  assert_int_equal(make(7, "ops", 2, false), ST_STORE_EXISTS); /* a user has it */
  assert_int_equal(make(7, "ops", 0, false), ST_STORE_EXISTS);
  make_key(8, "ops2", "a");
  assert_ok(make(9, "ops2", 0, false)); /* the operator may */
  assert_line("user.create", "ops2", "keys owned: 1; permissions a; expires never; source test");
}

/* What is granted must be the grantor's, who must be in force. */
static void a_user_is_made_of_what_the_grantor_has(void **state) {
  (void)state;
  make_key(1, "", "users");
  make_key(2, "", "users,a");
  assert_int_equal(make(3, "ann", 1, false), ST_STORE_DENIED);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_int_equal(make(3, "ann", 2, false), ST_STORE_DENIED);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, NULL, error));
  assert_ok(make(3, "ann", 2, false));
  st_user user;
  assert_ok(st_store_user_find(store, ST_TEXT("ann"), &user, error));
  assert_string_equal(user.key.made_by, id_of(2));
  assert_false(user.registered || user.own_password);
  assert_string_equal(user.imported, "");
  st_user imported = user_of(4, "carl", "a");
  snprintf(imported.imported, sizeof imported.imported, "s");
  assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &imported, digest_of(4), error));
  assert_ok(st_store_user_find(store, ST_TEXT("carl"), &user, error));
  assert_string_equal(user.imported, "s");
  /* What is added to a user later must be the grantor's, too; what the user has stays. */
  static const struct {
    unsigned grantor;
    const char *permissions;
    st_store_status status;
  } cases[] = {{1, "a,b", ST_STORE_DENIED}, {2, "a,b", ST_STORE_DENIED}, {1, "a", ST_STORE_OK},
               {1, "a,users", ST_STORE_OK}, {1, "", ST_STORE_OK},        {1, "a", ST_STORE_DENIED},
               {2, "a", ST_STORE_OK}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    st_audit_context by = *CONTEXT;
    by.by = grantor_of(cases[i].grantor);
    assert_int_equal(st_store_user_set_permissions(store, &by, "carl", cases[i].permissions,
                                                   sub_of(30 + (unsigned)i), NULL, error),
                     cases[i].status);
  }
}

/* Enabling gives back what the user has. */
static void a_user_is_enabled_by_who_has_as_much(void **state) {
  (void)state;
  make_key(1, "", "users");
  make_key(2, "", "users,a");
  assert_ok(make(3, "ann", 0, false));
  st_audit_context by = *CONTEXT;
  by.by = grantor_of(1);
  assert_ok(
      st_store_user_set_disabled(store, &by, "ann", false, NULL, error)); /* nothing changes */
  assert_ok(st_store_user_set_disabled(store, &by, "ann", true, NULL, error));
  assert_int_equal(st_store_user_set_disabled(store, &by, "ann", false, NULL, error),
                   ST_STORE_DENIED);
  by.by = grantor_of(2);
  assert_ok(st_store_user_set_disabled(store, &by, "ann", false, NULL, error));
  /* Nothing is changed for who has ended. */
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  by.by = grantor_of(2);
  assert_int_equal(st_store_user_set_disabled(store, &by, "ann", true, NULL, error),
                   ST_STORE_DENIED);
  assert_int_equal(st_store_user_delete(store, &by, "ann", NULL, error), ST_STORE_DENIED);
  assert_true(alive(3) && !listed(3));
}

/* ann 1 with the keys 2 and 3, a session 4 of hers and 5 of key 2; made with key 2: bob 6. */
static void make_family(void) {
  st_user bob = user_of(6, "bob", "a");
  st_audit_context by = *CONTEXT;
  make_user(1, "ann", "a,users");
  make_key(2, "ann", "a,users");
  make_key(3, "ann", "a");
  assert_ok(begin_session(4, grantor_of(1), NOW + 100));
  assert_ok(begin_session(5, grantor_of(2), NOW + 100));
  by.row = id_of(2);
  assert_ok(st_store_user_create(store, &by, grantor_of(2), false, &bob, digest_of(6), error));
}

static void assert_alive(const char *which) {
  for (unsigned n = 1; n <= 6; n++) {
    if (alive(n) != (strchr(which, (int)('0' + n)) != NULL)) fail_msg("%u, of %s", n, which);
  }
}

/* In one step, and in many: the same lines. */
static void changes_of_a_user_are_told(void **state) {
  static const char made[] = "made with it, still valid: 0 keys, 1 user: \"bob\"";
  char detail[300];
  for (int large = 0; large < 2; large++) {
    if (large > 0) teardown(state), setup(state);
    make_family();
    store->large_change = large > 0 ? 1 : 500;
    int64_t sequence = 0;
    assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, &sequence, error));
    snprintf(detail, sizeof detail, "sessions ended: 2; %s", made);
    assert_line("user.disable", "ann", detail);
    assert_true(sequence > 0 && sequence == sequence_now());
    assert_alive("1236");
    for (unsigned n = 1; n <= 5; n++) assert_true(listed(n));
    assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", false, &sequence, error));
    assert_line("user.enable", "ann", "");
    assert_false(listed(1) || listed(2) || listed(3));
    assert_true(listed(4) && listed(5));
    assert_ok(
        st_store_user_set_permissions(store, CONTEXT, "ann", "a", sub_of(20), &sequence, error));
    snprintf(detail, sizeof detail, "keys ended: 1; %s; permissions a; before a,users", made);
    assert_line("user.permissions", "ann", detail);
    assert_alive("36");
    assert_int_equal(count_lines("key.delete", "taken from user ann; name key 2"),
                     large > 0 ? 0 : 1); /* else when it is reached */
    assert_ok(st_store_user_set_password(store, CONTEXT, "ann", "$x", sub_of(21), NULL, error));
    assert_line("user.password", "ann", "another password");
    assert_int_equal(count_lines("key.delete", "taken from user ann; name key 2"), 1);
    assert_ok(st_store_user_delete(store, CONTEXT, "ann", &sequence, error));
    assert_line("user.delete", "ann", "keys ended: 1"); /* bob was told of with the key 2 */
    assert_alive("6");
    bool left = true;
    assert_ok(st_store_continue(store, INT64_MAX, &left, error));
    assert_int_equal(count_lines("key.delete", "deleted with user ann; name key 3"), 1);
    for (unsigned n = 1; n <= 5; n++) assert_true(listed(n));
    assert_true(listed(20) && listed(21) && !listed(6));
  }
}

/* What does not fit is not written, nor half of it. */
static void a_change_of_a_user_has_to_fit(void **state) {
  (void)state;
  static char long_one[ST_PERMISSIONS_TEXT_MAX + 2];
  make_user(1, "ann", "a");
  memset(long_one, 'p', sizeof long_one - 1);
  assert_int_equal(
      st_store_user_set_permissions(store, CONTEXT, "ann", long_one, sub_of(2), NULL, error),
      ST_STORE_FAILED);
  assert_says(": incomplete user record");
  assert_int_equal(st_store_user_set_permissions(store, CONTEXT, "ann", "a", "short", NULL, error),
                   ST_STORE_FAILED);
  long_one[ST_PHC_MAX + 1] = '\0';
  error[0] = '\0';
  assert_int_equal(
      st_store_user_set_password(store, CONTEXT, "ann", long_one, sub_of(2), NULL, error),
      ST_STORE_FAILED);
  assert_says(": incomplete user record");
  error[0] = '\0';
  assert_int_equal(st_store_user_rehash(store, "ann", "$hash$1", long_one, error), ST_STORE_FAILED);
  assert_says(": incomplete user record");
  long_one[ST_PHC_MAX] = '\0';
  assert_ok(st_store_user_rehash(store, "ann", "$hash$1", long_one, error));
  assert_ok(st_store_user_set_password(store, CONTEXT, "ann", long_one, sub_of(2), NULL, error));
  /* Hashed anew only as long as the password is the one that was hashed. */
  assert_int_equal(st_store_user_rehash(store, "ann", "$hash$1", "$y", error), ST_STORE_NOT_FOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_username_that_owns_keys_is_given_by_who_manages_them),
      TEST(a_user_is_made_of_what_the_grantor_has),
      TEST(a_user_is_enabled_by_who_has_as_much),
      TEST(changes_of_a_user_are_told),
      TEST(a_change_of_a_user_has_to_fit),
  };
  return RUN_ON_EVERY_STORE(tests);
}
