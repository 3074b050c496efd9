/* A key's secret replaced, with an overlap or without (st_store_key_rotate), and the audience that
 * a key is bound to.
 */
#include "store_contract.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

/* The overlap is over by the system's clock. */
static int64_t seconds_now(void) {
  return st_clock_now_us() / US;
}

/* As digest_of, for many threads. */
static const uint8_t *digest_in(unsigned n) {
  static _Thread_local uint8_t digest[32];
  memset(digest, 0xd1, sizeof digest);
  memcpy(digest, &n, sizeof n);
  return digest;
}

static st_store_status rotate_to(unsigned row, unsigned digest, int64_t until) {
  char id[ST_KEY_ID_LEN + 1];
  snprintf(id, sizeof id, "%08X-ABCD-ABCD-ABCD-%012X", row, row);
  return st_store_key_rotate(store, CONTEXT, NULL, id, digest_in(digest), until, NULL, error);
}

static st_store_status found_in(st_store *of, unsigned digest, st_key *key) {
  return st_store_by_digest(of, digest_in(digest), key, error);
}

/* By the old secret, or by the one of now? */
static bool good_in(st_store *of, unsigned digest, bool old) {
  st_key key;
  return found_in(of, digest, &key) == ST_STORE_OK && key.by_old_digest == old;
}

static bool good(unsigned digest) {
  return good_in(store, digest, false);
}

static bool good_still(unsigned digest) {
  return good_in(store, digest, true);
}

static bool refused(unsigned digest) {
  st_key key;
  return found_in(store, digest, &key) == ST_STORE_REVOKED && key.id[0] == '\0';
}

static st_key listing_of(unsigned row) {
  st_key key;
  assert_ok(st_store_key_find(store, id_of(row), &key, error));
  return key;
}

static void another_secret_opens_the_same_key(void **state) {
  (void)state;
  st_key key, rotated;
  make_key(1, "ann", "a,b");
  assert_ok(begin_session(5, grantor_of(1), NOW + DAY));
  assert_true(good(1) && listing_of(1).rotated_at == 0 && listing_of(1).old_until == 0);
  int64_t before = sequence_now();
  st_audit_context later = *CONTEXT_AT(NOW + 9);
  assert_ok(st_store_key_rotate(store, &later, NULL, id_of(1), digest_of(101), 0, &rotated, error));
  assert_line("key.rotate", id_of(1),
              "the secret before is no longer valid; owner ann; name key 1");
  assert_true(refused(1) && good(101));
  assert_ok(found_in(store, 101, &key));
  assert_string_equal(key.id, id_of(1));
  assert_string_equal(key.sub, sub_of(1));
  assert_string_equal(key.permissions, "a,b");
  assert_true(rotated.rotated_at == NOW + 9 && rotated.old_until == 0);
  assert_string_equal(rotated.name, "key 1");
  assert_string_equal(rotated.sub, sub_of(1));
  /* Everything made from it lives on, and edges have nothing to be told. */
  assert_true(alive(1) && alive(5) && listed_count() == 0 && sequence_now() == before);
  assert_true(listing_of(1).rotated_at == NOW + 9 && listing_of(1).old_until == 0);
  reopen();
  assert_true(refused(1) && good(101) && alive(1));
}

static void the_old_secret_is_good_for_the_overlap(void **state) {
  (void)state;
  st_key key;
  int64_t until = seconds_now() + DAY;
  make_key(1, "", "a");
  assert_ok(rotate_to(1, 101, until));
  assert_non_null(strstr(last_line().detail, "the secret before is valid until 20"));
  for (int i = 0; i < 3; i++) { /* read, then remembered */
    assert_true(good(101) && good_still(1));
    assert_ok(found_in(store, 1, &key));
    assert_true(key.old_until == until && strcmp(key.id, id_of(1)) == 0);
    assert_ok(row_by_sub(1, &key));
    assert_true(!key.by_old_digest && key.old_until == until);
  }
  assert_true(listing_of(1).old_until == until && listing_of(1).rotated_at == NOW);
  /* Once more: the one before the last is no longer good. */
  assert_ok(rotate_to(1, 102, until + 5));
  assert_true(refused(1) && good_still(101) && good(102));
  assert_int_equal(listing_of(1).old_until, until + 5);
  /* And without an overlap. */
  assert_ok(rotate_to(1, 103, 0));
  assert_true(refused(1) && refused(101) && refused(102) && good(103));
  /* One that is over already. */
  assert_ok(rotate_to(1, 104, seconds_now() - 1));
  assert_true(refused(103) && good(104));
}

/* Nobody writes anything when it ends. */
static void the_overlap_ends_by_time(void **state) {
  (void)state;
  st_store *other = NULL;
  st_key key;
  make_key(1, "", "a");
  make_key(2, "", "a");
  assert_ok(st_store_open(location, false, &other, error));
  int64_t until = seconds_now() + 2;
  assert_ok(rotate_to(1, 101, until));
  assert_ok(rotate_to(2, 102, until + DAY));
  SEEN(good_in(other, 1, true));
  for (int i = 0; i < 3; i++) {
    assert_true(good_still(1) || seconds_now() >= until);
    assert_true(good_in(other, 1, true) || seconds_now() >= until);
  }
  int64_t last_us = st_clock_monotonic_us() + 60 * US;
  while (!refused(1) && st_clock_monotonic_us() < last_us) usleep(5000);
  assert_true(seconds_now() >= until && refused(1));
  assert_int_equal(found_in(other, 1, &key), ST_STORE_REVOKED);
  assert_true(good(101) && good_in(other, 101, false));
  assert_true(good_still(2) && good_in(other, 2, true));
  assert_int_equal(listing_of(1).old_until, until);
  st_store_close(other);
}

/* What is remembered under the old secret is forgotten with the key. */
static void a_change_reaches_who_uses_the_old_secret(void **state) {
  (void)state;
  st_key key;
  st_store *other = NULL;
  int64_t until = seconds_now() + DAY;
  for (unsigned n = 1; n <= 4; n++) {
    make_key(n, "ann", "a");
    assert_ok(rotate_to(n, 100 + n, until));
  }
  assert_ok(st_store_open(location, false, &other, error));
  for (unsigned n = 1; n <= 4; n++) {
    for (int i = 0; i < 2; i++) assert_true(good_still(n) && good_in(other, n, true));
  }
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  assert_true(found_in(store, 1, &key) == ST_STORE_OK && key.disabled);
  SEEN(found_in(other, 1, &key) == ST_STORE_OK && key.disabled && key.by_old_digest);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_true(refused(2) && refused(102));
  SEEN(found_in(other, 2, &key) == ST_STORE_REVOKED);
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(3), sub_of(33), NULL, error));
  assert_true(found_in(store, 3, &key) == ST_STORE_OK && strcmp(key.sub, sub_of(33)) == 0);
  SEEN(found_in(other, 3, &key) == ST_STORE_OK && strcmp(key.sub, sub_of(33)) == 0);
  assert_ok(rotate_to(4, 204, 0));
  assert_true(refused(4) && refused(104) && good(204));
  SEEN(found_in(other, 4, &key) == ST_STORE_REVOKED);
  SEEN(found_in(other, 104, &key) == ST_STORE_REVOKED);
  /* All of an owner's at once. */
  make_user(50, "bob", "a");
  st_key owned = row_of(51, "bob", "a");
  owned.owner_is_user = true;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &owned, digest_of(51), error));
  assert_ok(rotate_to(51, 151, until));
  for (int i = 0; i < 2; i++) assert_true(good_still(51));
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "bob", true, NULL, error));
  assert_true(found_in(store, 51, &key) == ST_STORE_OK && key.suspended);
  st_store_close(other);
}

static void no_secret_comes_again(void **state) {
  (void)state;
  int64_t until = seconds_now() + DAY;
  make_key(1, "", "");
  make_key(2, "", "");
  assert_ok(rotate_to(1, 101, until));
  assert_ok(rotate_to(1, 102, until));
  int64_t all = lines();
  const unsigned taken[] = {1, 101, 102, 2};
  for (size_t i = 0; i < 4; i++) assert_int_equal(rotate_to(1, taken[i], 0), ST_STORE_EXISTS);
  for (size_t i = 0; i < 4; i++) {
    st_key key = row_of(30, "", "");
    assert_int_equal(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(taken[i]), error),
                     ST_STORE_EXISTS);
  }
  assert_true(lines() == all && good(102) && good_still(101) && refused(1) && good(2));
  /* Nor when the key is gone. */
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  for (size_t i = 0; i < 4; i++) assert_int_equal(rotate_to(2, taken[i], 0), ST_STORE_EXISTS);
  assert_int_equal(listed_count(), 1);
}

static void only_a_living_key_is_rotated(void **state) {
  (void)state;
  make_user(1, "ann", "a");
  make_key(2, "", "");
  assert_ok(begin_session(3, grantor_of(1), NOW + DAY));
  assert_int_equal(rotate_to(1, 101, 0), ST_STORE_NOT_FOUND);
  assert_int_equal(rotate_to(3, 101, 0), ST_STORE_NOT_FOUND);
  assert_int_equal(rotate_to(9, 101, 0), ST_STORE_NOT_FOUND);
  assert_int_equal(rotate_to(2, 101, -1), ST_STORE_FAILED);
  assert_int_equal(rotate_to(2, 101, SUBTOKEN_TIME_MAX + 1), ST_STORE_FAILED);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_ok(rotate_to(2, 101, 0)); /* for when it is enabled */
  st_key key;
  assert_true(found_in(store, 101, &key) == ST_STORE_OK && key.disabled && listed(2));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_int_equal(rotate_to(2, 102, 0), ST_STORE_NOT_FOUND);
}

static void is_in_every_copy(void **state) {
  (void)state;
  static char to[2][sizeof location + 8];
  int64_t until = seconds_now() + DAY;
  st_copy_report report;
  st_key key;
  snprintf(to[0], sizeof to[0], "%s/copy.db", folder);
  kind->locate(1, to[1]);
  make_key(1, "", "");
  assert_ok(rotate_to(1, 101, until));
  assert_ok(rotate_to(1, 102, until));
  key = row_of(2, "", "");
  snprintf(key.audience, sizeof key.audience, "eu");
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(2), error));
  for (size_t i = 0; i < 2; i++) {
    st_store *copy = NULL, *mine = store;
    assert_ok(st_store_copy(store, to[i], NULL, &report, error));
    assert_int_equal(report.keys, 2);
    assert_ok(st_store_open(to[i], false, &copy, error));
    store = copy;
    assert_true(refused(1) && good_still(101) && good(102));
    assert_true(listing_of(1).rotated_at == NOW && listing_of(1).old_until == until);
    assert_string_equal(listing_of(2).audience, "eu");
    assert_int_equal(rotate_to(2, 1, 0), ST_STORE_EXISTS);
    assert_ok(rotate_to(1, 103, 0));
    assert_true(refused(101) && refused(102));
    store = mine;
    st_store_close(copy);
  }
}

/* ---- at once ---- */

static atomic_bool rotating;
static _Atomic unsigned newest; /* the digest of the last rotation that was answered */

/* Asks by the newest secret: it is good until the overlap of the rotation after it, which is long.
 */
static void *use_newest(void *failures) {
  while (atomic_load(&rotating)) {
    unsigned digest = atomic_load(&newest);
    st_key key;
    st_store_status found = found_in(store, digest, &key);
    /* Only two more rotations end it. */
    if (found != ST_STORE_OK && atomic_load(&newest) < digest + 1) (*(unsigned *)failures)++;
    if (found == ST_STORE_OK && strncmp(key.id, "00000001", 8) != 0) (*(unsigned *)failures)++;
  }
  return NULL;
}

static void no_request_fails_while_secrets_are_replaced(void **state) {
  (void)state;
  pthread_t threads[3];
  unsigned failures[3] = {0};
  int64_t until = seconds_now() + DAY;
  make_key(1, "", "");
  atomic_store(&newest, 1);
  atomic_store(&rotating, true);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, use_newest, &failures[i]), 0);
  }
  for (unsigned n = 2; n < 60; n++) {
    unsigned digest = 1000 + n;
    assert_ok(rotate_to(1, digest, until));
    atomic_store(&newest, digest);
    assert_true(good(digest));
    if (n > 2) assert_true(good_still(digest - 1));
    if (n > 3) assert_true(refused(digest - 2));
  }
  atomic_store(&rotating, false);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(failures[i], 0);
  }
}

typedef struct rotating_one {
  unsigned digest;
  st_store_status status;
} rotating_one;

static void *rotate_one(void *context) {
  rotating_one *r = context;
  do {
    r->status = rotate_to(1, r->digest, seconds_now() + DAY);
  } while (r->status == ST_STORE_BUSY);
  return NULL;
}

/* Rotations at once come one after the other: the last two secrets are good. */
static void rotations_at_once_leave_two_secrets(void **state) {
  (void)state;
  pthread_t threads[4];
  rotating_one all[4];
  unsigned now = 0, still = 0;
  make_key(1, "", "");
  for (unsigned i = 0; i < 4; i++) {
    all[i] = (rotating_one){.digest = 100 + i};
    assert_int_equal(pthread_create(&threads[i], NULL, rotate_one, &all[i]), 0);
  }
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_ok(all[i].status);
  }
  for (unsigned i = 0; i < 4; i++) {
    now += good(100 + i);
    still += good_still(100 + i);
  }
  assert_true(now == 1 && still == 1 && refused(1));
  assert_int_equal(count_lines("key.rotate", ""), 4);
}

/* ---- killed ---- */

static _Noreturn void rotate_until_killed(int pipe) {
  st_store *mine = NULL;
  if (st_store_open(location, false, &mine, error) != ST_STORE_OK) _exit(1);
  store = mine;
  for (unsigned n = 1001;; n++) {
    if (rotate_to(1, n, 0) != ST_STORE_OK) _exit(2);
    if (write(pipe, &n, sizeof n) != sizeof n) _exit(3);
  }
}

static void an_acknowledged_rotation_survives_a_kill(void **state) {
  (void)state;
  int pipes[2];
  unsigned n = 0, last = 0;
  make_key(1, "", "");
  st_store_close(store); /* no connection of this process is shared */
  store = NULL;
  assert_int_equal(pipe(pipes), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(pipes[0]); /* or it would outlive a parent that failed */
    rotate_until_killed(pipes[1]);
  }
  assert_int_equal(close(pipes[1]), 0);
  for (int i = 0; i < 20; i++) assert_int_equal(read(pipes[0], &last, sizeof last), sizeof last);
  assert_int_equal(kill(child, SIGKILL), 0);
  while (read(pipes[0], &n, sizeof n) == sizeof n) last = n; /* what was answered by then */
  assert_int_equal(close(pipes[0]), 0);
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_ok(st_store_open(location, false, &store, error));
  /* After this change of the same key the database has ended that of who was killed. */
  assert_ok(st_store_key_rename(store, CONTEXT, id_of(1), "renamed", error));
  /* The last that was answered, or the one after it, and no other. */
  assert_true(good(last) != good(last + 1));
  assert_int_equal(count_lines("key.rotate", ""), last - 1000 + good(last + 1));
  for (n = 1001; n < last; n++) assert_true(refused(n));
  assert_true(refused(1));
}

/* Who may not have it is not told that it has expired. */
static void an_expired_key_is_rotated_by_nobody(void **state) {
  (void)state;
  st_key key = row_of(2, "", "a");
  key.expires_at = NOW;
  make_key(1, "", "keys");
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(2), error));
  assert_int_equal(
      st_store_key_rotate(store, CONTEXT, grantor_of(1), id_of(2), digest_of(3), 0, NULL, error),
      ST_STORE_DENIED);
  st_key before;
  memset(&before, 0x5a, sizeof before);
  key = before;
  assert_int_equal(
      st_store_key_rotate(store, CONTEXT, NULL, id_of(2), digest_of(3), 0, &key, error),
      ST_STORE_EXPIRED);
  assert_memory_equal(&key, &before, sizeof key);
}

/* ---- the audience of a key ---- */

static st_store_status create_for(unsigned n, unsigned grantor, const char *audience) {
  st_key key = row_of(n, "", "keys");
  snprintf(key.audience, sizeof key.audience, "%s", audience);
  return st_store_key_create(store, CONTEXT, grantor != 0 ? grantor_of(grantor) : NULL, &key,
                             digest_of(n), error);
}

static void a_key_is_bound_for_good(void **state) {
  (void)state;
  st_key key;
  char longest[ST_AUDIENCE_MAX + 2];
  memset(longest, 'A', sizeof longest);
  longest[ST_AUDIENCE_MAX] = '\0';
  assert_ok(create_for(1, 0, "eu-1_X"));
  assert_ok(create_for(2, 0, longest));
  make_key(3, "", "");
  for (int i = 0; i < 2; i++) {
    assert_ok(found_in(store, 1, &key));
    assert_string_equal(key.audience, "eu-1_X");
    assert_ok(row_by_sub(2, &key));
    assert_string_equal(key.audience, longest);
    assert_ok(row_by_sub(3, &key));
    assert_string_equal(key.audience, "");
  }
  assert_ok(rotate_to(1, 101, 0));
  assert_ok(st_store_key_rename(store, CONTEXT, id_of(1), "other", error));
  assert_string_equal(listing_of(1).audience, "eu-1_X");
  const char *const none[] = {"eu.1", "a b", "\xc3\xa4", "a,b", "="};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    assert_int_equal(create_for(9, 0, none[i]), ST_STORE_FAILED);
  }
  key = row_of(9, "", "");
  memset(key.audience, 'A', sizeof key.audience);
  assert_int_equal(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(9), error),
                   ST_STORE_FAILED);
}

static void what_a_bound_key_makes_is_bound(void **state) {
  (void)state;
  st_key key;
  assert_ok(create_for(1, 0, "eu"));
  assert_ok(create_for(2, 1, "eu"));
  assert_int_equal(create_for(3, 1, ""), ST_STORE_DENIED);
  assert_int_equal(create_for(3, 1, "us"), ST_STORE_DENIED);
  assert_int_equal(create_for(3, 1, "EU"), ST_STORE_DENIED);
  assert_int_equal(create_for(3, 2, "e"), ST_STORE_DENIED);
  assert_ok(create_for(9, 0, "e"));
  assert_int_equal(create_for(3, 9, ""), ST_STORE_DENIED);
  assert_ok(create_for(4, 0, ""));
  assert_ok(create_for(5, 4, "us")); /* one that is not bound makes any */
  assert_ok(begin_session(6, grantor_of(1), NOW + DAY));
  assert_ok(row_by_sub(6, &key));
  assert_string_equal(key.audience, "eu");
  assert_ok(begin_session(7, grantor_of(4), NOW + DAY));
  assert_ok(row_by_sub(7, &key));
  assert_string_equal(key.audience, "");
  st_user user = user_of(8, "ann", "keys");
  assert_int_equal(
      st_store_user_create(store, CONTEXT, grantor_of(1), false, &user, digest_of(8), error),
      ST_STORE_DENIED);
  assert_ok(st_store_user_create(store, CONTEXT, grantor_of(4), false, &user, digest_of(8), error));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(another_secret_opens_the_same_key),
      TEST(the_old_secret_is_good_for_the_overlap),
      TEST(the_overlap_ends_by_time),
      TEST(a_change_reaches_who_uses_the_old_secret),
      TEST(no_secret_comes_again),
      TEST(only_a_living_key_is_rotated),
      TEST(an_expired_key_is_rotated_by_nobody),
      TEST(is_in_every_copy),
      TEST(no_request_fails_while_secrets_are_replaced),
      TEST(rotations_at_once_leave_two_secrets),
      TEST(an_acknowledged_rotation_survives_a_kill),
      TEST(a_key_is_bound_for_good),
      TEST(what_a_bound_key_makes_is_bound),
  };
  return RUN_ON_EVERY_STORE(tests);
}
