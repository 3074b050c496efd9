/* What a change of a key is asked for with, which the store holds to what is in force within the
 * change: who rotates a key gets it, and who has ended changes none. Of what is made new:
 * test_store_owners.c.
 */
#include "store_contract.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- who rotates a key gets it ---- */

static void make_row(unsigned n, const char *permissions, const char *audience,
                     int64_t expires_at) {
  st_key key = row_of(n, "ann", permissions);
  key.expires_at = expires_at;
  snprintf(key.audience, sizeof key.audience, "%s", audience);
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error));
}

static bool good(unsigned digest) {
  st_key key;
  return st_store_by_digest(store, digest_of(digest), &key, error) == ST_STORE_OK;
}

static st_store_status rotate_by(const st_grantor *grantor, unsigned row, unsigned digest) {
  return st_store_key_rotate(store, CONTEXT, grantor, id_of(row), digest_of(digest), 0, NULL,
                             error);
}

/* The row 1 is rotated by others: only one that has as much as it, and as long, and is in force. */
static void who_rotates_has_as_much(void **state) {
  (void)state;
  static const struct {
    const char *permissions, *audience;
    int64_t expires_at;
    bool may;
  } rows[] = {{"keys,a,b", "eu", NOW + DAY, true},
              {"a,b", "", ST_NEVER, true},
              {"keys,a", "eu", ST_NEVER, false},
              {"", "", ST_NEVER, false},
              {"a,b", "us", ST_NEVER, false},
              {"a,b", "eu", NOW + DAY - 1, false},
              {"a,b", "", NOW, false},
              {"a,b", "", NOW - 1, false}};
  make_row(1, "a,b", "eu", NOW + DAY);
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    make_row(10 + i, rows[i].permissions, rows[i].audience, rows[i].expires_at);
    int64_t all = lines();
    st_store_status expected = rows[i].may ? ST_STORE_OK : ST_STORE_DENIED;
    st_store_status status = rotate_by(grantor_of(10 + i), 1, 100 + i);
    if (status != expected) fail_msg("row %u: %d, %s", i, (int)status, error);
    assert_true(lines() == all + rows[i].may && good(100 + i) == rows[i].may);
  }
  assert_true(good(101)); /* the last that was allowed */
}

static void who_rotates_is_in_force(void **state) {
  (void)state;
  make_key(1, "", "a");
  for (unsigned n = 2; n <= 5; n++) make_key(n, "", "a,keys");
  make_user(6, "ann", "a,keys");
  make_user(7, "bob", "a,keys");
  assert_ok(begin_session(8, grantor_of(6), NOW + DAY));
  assert_ok(begin_session(9, grantor_of(7), NOW + DAY));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(3), true, NULL, error));
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(4), sub_of(44), NULL, error));
  assert_ok(st_store_user_set_permissions(store, CONTEXT, "bob", "keys", sub_of(77), NULL, error));
  int64_t all = lines();
  const unsigned over[] = {2, 3, 4, 7, 9, 99};
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(rotate_by(grantor_of(over[i]), 1, 101), ST_STORE_DENIED);
  }
  assert_true(lines() == all && good(1));
  assert_ok(rotate_by(grantor_of(5), 1, 105));
  assert_ok(rotate_by(grantor_of(8), 1, 108)); /* a session: as long as its user */
  assert_ok(rotate_by(grantor_of(6), 1, 106));
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
  assert_int_equal(rotate_by(grantor_of(6), 1, 107), ST_STORE_DENIED);
  assert_int_equal(rotate_by(grantor_of(8), 1, 107), ST_STORE_DENIED);
  /* A key rotates itself, but not when it is over. */
  assert_ok(rotate_by(grantor_of(5), 5, 150));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(5), NULL, error));
  assert_int_equal(rotate_by(grantor_of(5), 5, 151), ST_STORE_DENIED);
  assert_true(good(106));
}

static void an_expired_key_is_not_rotated(void **state) {
  (void)state;
  make_row(1, "a", "", NOW);
  make_row(2, "a", "", NOW + 1);
  make_key(3, "", "a,keys");
  int64_t all = lines();
  assert_int_equal(rotate_by(NULL, 1, 101), ST_STORE_EXPIRED);
  assert_non_null(strstr(error, "the key has expired: make a new one"));
  assert_int_equal(rotate_by(grantor_of(3), 1, 101), ST_STORE_EXPIRED);
  assert_int_equal(rotate_by(grantor_of(1), 1, 101), ST_STORE_DENIED);
  assert_true(lines() == all && good(1));
  assert_ok(rotate_by(NULL, 2, 102));
}

/* ---- who asks for a change of a key ---- */

/* Each change, asked for by the row n. */
static st_store_status change_by(unsigned n, unsigned which) {
  st_audit_context by = *CONTEXT;
  by.by = n != 0 ? grantor_of(n) : NULL;
  switch (which) {
    case 0: return st_store_key_rename(store, &by, id_of(1), "renamed", error);
    case 1: return st_store_key_set_disabled(store, &by, id_of(1), true, NULL, error);
    case 2: return st_store_key_set_disabled(store, &by, id_of(1), false, NULL, error);
    case 3: return st_store_key_replace_sub(store, &by, id_of(1), sub_of(11), NULL, error);
    default: return st_store_key_delete(store, &by, id_of(1), NULL, error);
  }
}

static void who_has_ended_changes_no_key(void **state) {
  (void)state;
  make_key(1, "", "a");
  for (unsigned n = 2; n <= 5; n++) make_key(n, "", "keys");
  make_row(6, "keys", "", NOW);
  make_user(7, "bob", "keys");
  assert_ok(begin_session(8, grantor_of(7), NOW + DAY));
  assert_ok(st_store_session_end(store, CONTEXT, id_of(8), NULL, error));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(3), true, NULL, error));
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(4), sub_of(44), NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  int64_t all = lines(), sequence = sequence_now();
  const unsigned over[] = {2, 3, 4, 6, 8, 99};
  for (size_t i = 0; i < 6; i++) {
    for (unsigned which = 0; which < 5; which++) {
      assert_int_equal(change_by(over[i], which), ST_STORE_DENIED);
      assert_non_null(strstr(error, "the credential you used has expired"));
    }
  }
  st_key key;
  assert_ok(st_store_key_find(store, id_of(1), &key, error));
  assert_true(lines() == all && sequence_now() == sequence && key.disabled);
  assert_string_equal(key.name, "key 1");
  for (unsigned which = 0; which < 5; which++) assert_ok(change_by(which % 2 == 0 ? 5 : 7, which));
  /* A key may end itself. */
  st_audit_context itself = *CONTEXT;
  itself.by = grantor_of(5);
  assert_ok(st_store_key_delete(store, &itself, id_of(5), NULL, error));
}

/* ---- at once ---- */

/* One deletes the manager, by another handle; nobody rotates with it afterwards. */
typedef struct manager {
  pthread_t thread;
  st_store *store;
  unsigned first; /* digest */
  unsigned after; /* rotations that were begun after the deletion was answered, and made */
  unsigned made;
} manager;

static atomic_bool manager_gone;
static _Atomic unsigned rotations_made;

static void *rotate_as_manager(void *context) {
  manager *m = context;
  char ids[2][ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  uint8_t digest[32] = {0};
  for (unsigned i = 0; i < 2; i++) {
    snprintf(ids[i], sizeof ids[i], "%08X-ABCD-ABCD-ABCD-%012X", i + 1, i + 1);
  }
  snprintf(sub, sizeof sub, "%043u", 2U);
  for (unsigned n = 0, late = 0; late < 5; n++) {
    bool gone = atomic_load(&manager_gone);
    unsigned number = m->first + n;
    memcpy(digest, &number, sizeof number);
    late += gone;
    st_store_status status = st_store_key_rotate(m->store, CONTEXT, &(st_grantor){ids[1], sub},
                                                 ids[0], digest, 0, NULL, error);
    m->made += status == ST_STORE_OK;
    m->after += gone && status == ST_STORE_OK;
    if (status == ST_STORE_OK) atomic_fetch_add(&rotations_made, 1);
  }
  return NULL;
}

static void a_deleted_manager_rotates_nothing(void **state) {
  (void)state;
  st_store *other = NULL;
  manager managers[4];
  unsigned made = 0;
  make_key(1, "", "a");
  make_key(2, "", "a,keys");
  atomic_store(&manager_gone, false);
  atomic_store(&rotations_made, 0);
  assert_ok(st_store_open(location, false, &other, error));
  for (unsigned i = 0; i < 4; i++) {
    managers[i] = (manager){.store = i % 2 == 0 ? store : other, .first = 10000 * (i + 1)};
    assert_int_equal(pthread_create(&managers[i].thread, NULL, rotate_as_manager, &managers[i]), 0);
  }
  int64_t last_us = st_clock_monotonic_us() + 60 * US;
  while (atomic_load(&rotations_made) < 8 && st_clock_monotonic_us() < last_us) usleep(1000);
  st_store_status deleted = ST_STORE_BUSY;
  while (deleted == ST_STORE_BUSY) {
    deleted = st_store_key_delete(store, CONTEXT, id_of(2), NULL, error);
  }
  atomic_store(&manager_gone, true);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_join(managers[i].thread, NULL), 0);
    assert_int_equal(managers[i].after, 0);
    made += managers[i].made;
  }
  assert_ok(deleted);
  assert_true(made >= 8);
  assert_int_equal(count_lines("key.rotate", ""), made);
  st_store_close(other);
}

/* Over HTTP a user is changed by somebody, who must be in force; and what is added, theirs. */
static void who_adds_permissions_has_them(void **state) {
  (void)state;
  make_key(1, "", "a,users");
  make_user(2, "bob", "b");
  st_key key = row_of(3, "", "a,users");
  key.expires_at = NOW + DAY;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(3), error));
  st_audit_context by = *CONTEXT;
  by.by = grantor_of(1);
#define SET(list) st_store_user_set_permissions(store, &by, "bob", list, sub_of(9), NULL, error)
  assert_int_equal(SET("b,c"), ST_STORE_DENIED);
  assert_ok(SET("b,a")); /* what the user has the grantor need not have */
  by.by = grantor_of(3);
  assert_ok(SET("b,a"));
  assert_int_equal(SET("b,a,users"), ST_STORE_DENIED); /* it ends before the user */
  by.by = grantor_of(1);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  assert_int_equal(SET("b,a"), ST_STORE_DENIED);
  assert_int_equal(st_store_user_set_disabled(store, &by, "bob", true, NULL, error),
                   ST_STORE_DENIED);
  assert_int_equal(st_store_user_delete(store, &by, "bob", NULL, error), ST_STORE_DENIED);
#undef SET
  st_user user;
  assert_ok(st_store_user_find(store, ST_TEXT("bob"), &user, error));
  assert_string_equal(user.key.permissions, "b,a");
  assert_false(user.key.disabled);
}

/* Who enables a user has what the user has; the operator may enable anybody. */
static void who_enables_a_user_has_as_much(void **state) {
  (void)state;
  make_key(1, "", "a,users");
  make_user(2, "bob", "a,b");
  make_user(3, "ann", "a");
  st_key key = row_of(4, "", "a,users");
  key.expires_at = NOW + DAY;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(4), error));
  st_audit_context by = *CONTEXT;
#define SET(name, disabled) st_store_user_set_disabled(store, &by, name, disabled, NULL, error)
  by.by = grantor_of(1);
  assert_ok(SET("bob", false)); /* was so before */
  assert_ok(SET("bob", true));
  int64_t before = lines();
  assert_int_equal(SET("bob", false), ST_STORE_DENIED);
  assert_int_equal(lines(), before);
  assert_ok(SET("ann", true));
  by.by = grantor_of(4);
  assert_int_equal(SET("ann", false), ST_STORE_DENIED); /* it ends before the user */
  by.by = grantor_of(1);
  assert_ok(SET("ann", false));
  by.by = NULL;
  st_user user;
  assert_ok(st_store_user_find(store, ST_TEXT("bob"), &user, error));
  assert_true(user.key.disabled);
  assert_ok(SET("bob", false));
#undef SET
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(who_rotates_has_as_much),           TEST(who_rotates_is_in_force),
      TEST(an_expired_key_is_not_rotated),     TEST(who_has_ended_changes_no_key),
      TEST(a_deleted_manager_rotates_nothing), TEST(who_adds_permissions_has_them),
      TEST(who_enables_a_user_has_as_much),
  };
  return RUN_ON_EVERY_STORE(tests);
}
