/* All that a change of a key answers, ends and writes into the audit log, to the letter: one life
 * of some keys, with their sessions and what was made with them.
 */
#include "store_contract.h"

#include "store/db.h"

#define SOON (NOW + 3600)

/* A key n of this owner, which ends soon, made in the name of a row. */
static st_store_status make(unsigned n, const char *owner, const st_grantor *grantor,
                            int64_t most_keys, const char *by) {
  st_key key = row_of(n, owner, "a,b");
  st_audit_context context = *CONTEXT;
  key.expires_at = SOON;
  context.most_keys = most_keys;
  context.row = by;
  error[0] = '\0';
  return st_store_key_create(store, &context, grantor, &key, digest_of(n), error);
}

static void assert_says(const char *text) {
  if (strstr(error, text) == NULL) fail_msg("\"%s\" does not say \"%s\"", error, text);
}

static void the_life_of_a_key_is_told(void **state) {
  (void)state;
  int64_t sequence = 1;
  make_key(2, "", "a,b,users");
  assert_line("key.create", id_of(2), "permissions a,b,users; expires never; name key 2");
  /* With a session, a user and a key that were made with it. */
  st_key session = row_of(3, "", "");
  uint8_t seed[32] = {3};
  session.expires_at = SOON;
  assert_ok(st_store_session_begin(store, CONTEXT, grantor_of(2), 100, &session, digest_of(3), seed,
                                   refresh_of(3), error));
  st_user bob = user_of(4, "bob", "a");
  st_audit_context by = *CONTEXT;
  by.row = id_of(2);
  assert_ok(st_store_user_create(store, &by, grantor_of(2), false, &bob, digest_of(4), error));
  st_key other = row_of(5, "", "a");
  assert_ok(st_store_key_create(store, &by, grantor_of(2), &other, digest_of(5), error));
  char made[200], detail[300];
  snprintf(made, sizeof made, "made with it, still valid: 1 key, 1 user: %s, \"bob\"", id_of(5));
  /* Renamed. */
  char name[ST_NAME_MAX + 2];
  memset(name, 'n', sizeof name);
  name[ST_NAME_MAX + 1] = '\0';
  assert_int_equal(st_store_key_rename(store, CONTEXT, id_of(2), name, error), ST_STORE_FAILED);
  assert_says(": the name is too long");
  name[ST_NAME_MAX] = '\0';
  assert_ok(st_store_key_rename(store, CONTEXT, id_of(2), name, error));
  assert_ok(st_store_key_rename(store, CONTEXT, id_of(2), "two", error));
  assert_int_equal(strlen(last_line().detail), strlen("name two; before ") + ST_NAME_MAX);
  /* Its subtokens and its session end; what was made with it lives on. */
  char sub[ST_SUB_LEN + 2];
  snprintf(sub, sizeof sub, "%044u", 20U);
  assert_int_equal(st_store_key_replace_sub(store, CONTEXT, id_of(2), sub, &sequence, error),
                   ST_STORE_FAILED);
  assert_says(": incomplete sub");
  sub[ST_SUB_LEN - 1] = '\0';
  assert_int_equal(st_store_key_replace_sub(store, CONTEXT, id_of(2), sub, &sequence, error),
                   ST_STORE_FAILED);
  int64_t before = sequence_now();
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(2), sub_of(20), &sequence, error));
  assert_line("key.revoke_subtokens", id_of(2),
              "sessions ended: 1; permissions a,b,users; expires never; name two");
  assert_true(sequence > before && sequence == sequence_now());
  assert_false(alive(2) || alive(3));
  assert_true(alive(20) && listed(2) && listed(3));
  /* Disabled, with another session, and enabled. */
  memcpy(session.id, id_of(6), sizeof session.id);
  memcpy(session.sub, sub_of(6), sizeof session.sub);
  const st_grantor now = {id_of(2), sub_of(20)};
  assert_ok(st_store_session_begin(store, CONTEXT, &now, 100, &session, digest_of(6), seed,
                                   refresh_of(6), error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, &sequence, error));
  snprintf(detail, sizeof detail,
           "sessions ended: 1; %s; permissions a,b,users; expires never; name two", made);
  assert_line("key.disable", id_of(2), detail);
  assert_true(listed(20) && listed(6) && !alive(6));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, &sequence, error));
  assert_line("key.enable", id_of(2), "permissions a,b,users; expires never; name two");
  assert_false(listed(20));
  /* Deleted. */
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), &sequence, error));
  snprintf(detail, sizeof detail, "%s; permissions a,b,users; expires never; name two", made);
  assert_line("key.delete", id_of(2), detail);
  assert_true(sequence == sequence_now() && listed(20) && alive(5) && alive(4));
  assert_int_equal(st_store_key_delete(store, CONTEXT, id_of(2), &sequence, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(sequence, 0);
}

static void a_rotation_is_told(void **state) {
  (void)state;
  st_key key = {.kind = ST_KIND_SESSION};
  assert_ok(make(1, "ann", NULL, 0, NULL));
  const uint8_t *digest = digest_of(11);
  assert_ok(
      st_store_key_rotate(store, CONTEXT_AT(NOW + 5), NULL, id_of(1), digest, 0, &key, error));
  assert_line("key.rotate", id_of(1),
              "the secret before is no longer valid; owner ann; name key 1");
  assert_string_equal(key.id, id_of(1));
  assert_int_equal(key.rotated_at, NOW + 5);
  assert_ok(st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(12), 1, NULL, error));
  assert_line("key.rotate", id_of(1),
              "the secret before is valid until 1970-01-01T00:00:01Z; owner ann; name key 1");
  assert_int_equal(st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(13),
                                       SUBTOKEN_TIME_MAX + 1, &key, error),
                   ST_STORE_FAILED);
  assert_says(": the overlap is out of range");
  assert_int_equal(
      st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(13), -1, &key, error),
      ST_STORE_FAILED);
  assert_ok(st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(13), SUBTOKEN_TIME_MAX,
                                NULL, error));
  /* Not when it has expired, nor with a secret that it had. What is refused writes no key. */
  memset(&key, 0, sizeof key);
  assert_int_equal(
      st_store_key_rotate(store, CONTEXT_AT(SOON), NULL, id_of(1), digest_of(14), 0, &key, error),
      ST_STORE_EXPIRED);
  assert_int_equal(
      st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(11), 0, &key, error),
      ST_STORE_EXISTS);
  assert_string_equal(key.id, "");
  assert_ok(st_store_key_rotate(store, CONTEXT_AT(SOON - 1), NULL, id_of(1), digest_of(14), 0, &key,
                                error));
  /* Without an owner and a name. */
  st_key bare = row_of(2, "", "a");
  memset(bare.name, 0, sizeof bare.name);
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &bare, digest_of(2), error));
  assert_line("key.create", id_of(2), "permissions a; expires never");
  assert_ok(st_store_key_rotate(store, CONTEXT, NULL, id_of(2), digest_of(15), 0, NULL, error));
  assert_line("key.rotate", id_of(2), "the secret before is no longer valid");
}

static void who_has_enough_keys_is_told(void **state) {
  (void)state;
  make_user(1, "ann", "a,b");
  assert_ok(make(2, "ann", NULL, 1, NULL));
  assert_int_equal(make(3, "ann", NULL, 1, NULL), ST_STORE_FULL);
  assert_says(": the owner has as many keys as one may have");
  assert_ok(make(3, "ann", NULL, 2, NULL));
  assert_ok(make(4, "ann", NULL, 0, NULL)); /* no bound */
  /* Keys without an owner count for the row that made them; where none did, for nobody. */
  assert_ok(make(5, "", NULL, 1, id_of(2)));
  assert_int_equal(make(6, "", NULL, 1, id_of(2)), ST_STORE_FULL);
  assert_ok(make(6, "", NULL, 1, id_of(3)));
  assert_ok(make(7, "", NULL, 1, NULL));
  assert_ok(make(8, "", NULL, 1, NULL));
  /* What is refused for another reason says that. */
  assert_int_equal(make(8, "", NULL, 1, NULL), ST_STORE_EXISTS);
  assert_says(": already exists");
  st_key key = row_of(9, "", "a");
  memcpy(key.parent, id_of(2), sizeof key.parent);
  assert_int_equal(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(9), error),
                   ST_STORE_FAILED);
  assert_says(": incomplete key record");
}

/* A user who registered manages what is under the username: only that user may put a key there. */
static void the_owner_is_told(void **state) {
  (void)state;
  st_user eve = user_of(1, "eve", "");
  assert_ok(st_store_user_create(store, CONTEXT, NULL, true, &eve, digest_of(1), error));
  assert_ok(st_store_user_set_permissions(store, CONTEXT, "eve", "a,b", sub_of(21), NULL, error));
  make_user(2, "ann", "a,b");
  assert_int_equal(make(3, "eve", NULL, 0, NULL), ST_STORE_OWNER_REGISTERED);
  assert_int_equal(make(3, "eve", grantor_of(2), 0, NULL), ST_STORE_OWNER_REGISTERED);
  assert_ok(make(4, "nobody", grantor_of(2), 0, NULL));
  assert_ok(make(5, "ann", grantor_of(2), 0, NULL));
  st_grantor by_eve = {id_of(1), sub_of(1)};
  assert_ok(make(6, "eve", &by_eve, 0, NULL)); /* in a session of her own, or by her password */
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
  assert_ok(make(7, "ann", NULL, 0, NULL));
  st_key key;
  assert_ok(st_store_key_find(store, id_of(7), &key, error));
  assert_true(key.suspended && listed(7));
  assert_ok(st_store_key_find(store, id_of(4), &key, error));
  assert_false(key.suspended || listed(4));
  key = row_of(8, "nobody", "a");
  key.owner_is_user = true;
  assert_int_equal(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(8), error),
                   ST_STORE_OWNER_NOT_USER);
}

/* Of a large change the rows that are not reached yet are as it left them, and a change of one of
 * them is made on top of that.
 */
static void a_key_that_is_not_reached_yet_is_changed(void **state) {
  (void)state;
  make_user(1, "ann", "a,b");
  for (unsigned n = 2; n < 6; n++) make_key(n, "ann", "a");
  st_key session = row_of(6, "", "");
  uint8_t seed[32] = {6};
  assert_ok(st_store_session_begin(store, CONTEXT, grantor_of(2), 100, &session, digest_of(6), seed,
                                   refresh_of(6), error));
  store->large_change = 1;
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(3), sub_of(30), NULL, error));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(4), NULL, error));
  st_key key;
  assert_ok(st_store_key_find(store, id_of(2), &key, error));
  assert_true(key.disabled && key.suspended);
  assert_ok(st_store_key_find(store, id_of(3), &key, error));
  assert_true(key.suspended && !key.disabled);
  assert_string_equal(key.sub, sub_of(30));
  for (unsigned n = 2; n < 7; n++) assert_true(listed(n));
  assert_true(listed(30) && !alive(6));
  bool left = true;
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", false, NULL, error));
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_ok(st_store_key_find(store, id_of(3), &key, error));
  assert_false(key.suspended || listed(30) || listed(5));
  assert_true(listed(2) && listed(3) && listed(4) && listed(6));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_life_of_a_key_is_told),
      TEST(a_rotation_is_told),
      TEST(who_has_enough_keys_is_told),
      TEST(the_owner_is_told),
      TEST(a_key_that_is_not_reached_yet_is_changed),
  };
  return RUN_ON_EVERY_STORE(tests);
}
