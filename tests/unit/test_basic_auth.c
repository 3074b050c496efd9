/* basic: a login and password with each request, checked once a minute. */
#include "os/clock.h"
#include "service_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/base64url.h"
#include "os/semaphore.h"

#define INFO "/v2/tokeninfo"
#define ALICE_ID "A11CE000-0000-0000-0000-000000000000"
#define MINUTE ST_BASIC_KEPT_US

static int ask_at(const char *text, int64_t now_us) {
  char line[4096];
  st_writer writer = st_writer_on(line, sizeof line);
  st_write_literal(&writer, "Authorization: Basic ");
  st_base64_write(&writer, ST_PADDED, text, strlen(text));
  st_write_char(&writer, '\n');
  assert_true(st_writer_end(&writer));
  return fixture_ask_at("GET", INFO, line, "", now_us);
}

static int ask(const char *text) {
  return ask_at(text, NOW_US);
}

#define ALICE "alice:" PASSWORD

static st_user *alice(void) {
  return fixture_user(ST_TEXT("alice"));
}

static st_key *alice_row(void) {
  return &fixture_row_of(ALICE_ID)->key;
}

static void forget(void) {
  assert_true(st_basic_auth_start(&basic, (const uint8_t *)"another 32 bytes that it draws.",
                                  st_basic_locks_get()));
}

/* ---- right and wrong ---- */

static void a_right_password_is_let_in(void **state) {
  (void)state;
  assert_int_equal(ask(ALICE), 200);
  check_event("none");
  assert_string_equal(reply.event.key_id, ALICE_ID);
  check_body_starts("{\"id\":\"" ALICE_ID "\",\"name\":\"alice\"");
  assert_int_equal(fixture.checks, 1);
}

static void a_wrong_password_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t checks;
    bool nobody; /* checked as if there were no such user, which costs the same */
  } rows[] = {
      {ALICE "!", 1, false},
      {"alice:", 1, false},
      {"alice:correct horse", 1, false},
      {"alice:" PASSWORD ":", 1, false},
      {"bob:" PASSWORD, 1, true},
      {"Alice:" PASSWORD, 1, true},
      {"alice :" PASSWORD, 1, true},
      {":" PASSWORD, 1, true},
      {"al\nice:" PASSWORD, 1, true},
      {"\xFF:" PASSWORD, 1, true},
      {"alice:p\xE4ssword", 1, false},
      {"*:" PASSWORD, 0, false}, /* the user without a password */
      {"*:", 0, false},
      {"alice", 0, false},
      {PASSWORD, 1, true}, /* up to its colon it is a login */
  };
  fixture_add_user(ST_ANONYMOUS, "A2EA1000-0000-0000-0000-000000000000", "account");
  for (size_t i = 0; i < COUNT(rows); i++) {
    fixture.checks = 0;
    fixture.checked_nobody = false;
    assert_true(st_throttle_start(&throttle, (const uint8_t *)"sixteen bytes...."));
    CHECK(ask(rows[i].text) == 401, "row %zu: %d", i, reply.status);
    /* D12: Latin-1 has an event of its own, in the log alone. */
    bool utf8 = st_utf8_valid(st_text(rows[i].text));
    check_unauthorized(utf8 ? "login_failed" : "login_not_utf8");
    CHECK(fixture.checks == rows[i].checks && fixture.checked_nobody == rows[i].nobody,
          "row %zu: %zu checks", i, fixture.checks);
    assert_string_equal(reply.event.key_id, "");
  }
}

/* The right password of who may not come in is as good as a wrong one, and counts as one. */
static void a_disabled_user_looks_like_a_wrong_password(void **state) {
  (void)state;
  for (int over = 0; over < 2; over++) {
    fixture.checks = 0;
    assert_true(st_throttle_start(&throttle, (const uint8_t *)"sixteen bytes...."));
    alice()->key.disabled = alice_row()->disabled = over == 0;
    alice()->key.expires_at = alice_row()->expires_at = over == 0 ? ST_NEVER : NOW;
    for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) {
      assert_int_equal(ask(ALICE), 401);
      check_unauthorized("login_failed");
      assert_true(fixture.checked_nobody);
    }
    assert_int_equal(fixture.checks, ST_THROTTLE_USERNAME_BURST);
    assert_int_equal(ask(ALICE), 429);
    check_event("login_throttled");
    assert_int_equal(fixture.checks, ST_THROTTLE_USERNAME_BURST);
  }
  alice()->key.expires_at = alice_row()->expires_at = NOW + 1;
  assert_int_equal(ask_at(ALICE, NOW_US + 100 * ST_THROTTLE_USERNAME_US), 200);
}

/* ---- what is remembered ---- */

static void a_verified_pair_is_remembered(void **state) {
  (void)state;
  assert_int_equal(ask(ALICE), 200);
  for (int i = 0; i < 20; i++) assert_int_equal(ask_at(ALICE, NOW_US + i), 200);
  assert_int_equal(ask_at(ALICE, NOW_US + MINUTE - ST_BASIC_RENEW_US), 200);
  assert_int_equal(fixture.checks, 1);
  assert_int_equal(ask_at(ALICE, NOW_US + MINUTE), 200);
  assert_int_equal(fixture.checks, 2);
  assert_int_equal(ask_at(ALICE, NOW_US + MINUTE + 1), 200);
  assert_int_equal(fixture.checks, 2);
  /* that one, and no other */
  assert_int_equal(ask_at(ALICE "!", NOW_US + MINUTE + 1), 401);
  assert_int_equal(fixture.checks, 3);
  assert_int_equal(ask_at("alic:e" PASSWORD, NOW_US + MINUTE + 1), 401);
  assert_int_equal(fixture.checks, 4);
  /* a wrong one is not remembered */
  assert_int_equal(ask_at(ALICE "!", NOW_US + MINUTE + 1), 401);
  assert_int_equal(fixture.checks, 5);
}

/* Near its end it is checked once, and good for another minute; but never without the password. */
static void a_pair_is_renewed_by_its_password(void **state) {
  (void)state;
  int64_t late = NOW_US + MINUTE - ST_BASIC_RENEW_US + 1;
  assert_int_equal(ask(ALICE), 200);
  for (int i = 0; i < 20; i++) assert_int_equal(ask_at(ALICE, late + i), 200);
  assert_int_equal(fixture.checks, 2);
  assert_int_equal(ask_at(ALICE, late + MINUTE - ST_BASIC_RENEW_US), 200);
  assert_int_equal(fixture.checks, 2);
  assert_int_equal(ask_at(ALICE, late + MINUTE), 200);
  assert_int_equal(fixture.checks, 3);
}

/* Neither the password nor its plain hash, by which guesses could be tried. */
static void a_pair_is_kept_under_a_keyed_hash(void **state) {
  (void)state;
  uint8_t digest[ST_HASH_LEN];
  assert_int_equal(ask(ALICE), 200);
  st_sha256(ALICE, strlen(ALICE), digest);
  assert_null(memmem(&basic, sizeof basic, "horse", 5));
  assert_null(memmem(&basic, sizeof basic, digest, 8));
  assert_non_null(memmem(&basic, sizeof basic, alice_row()->sub, ST_SUB_LEN));
}

/* A change of the password, or a permission that was taken away, gives the row another sub. */
static size_t slot_of(const char *text) {
  uint8_t tag[SUBTOKEN_MAC_LEN];
  assert_int_equal(subtoken_mac_compute(&basic.key, text, strlen(text), tag), SUBTOKEN_OK);
  return (size_t)(tag[0] | tag[1] << 8) % ST_BASIC_SLOTS;
}

/* A slot has one pair. Who comes to that of another is not taken for them, and takes their place.
 */
static void a_slot_is_of_one_pair(void **state) {
  (void)state;
  char other[64];
  int number = 0;
  assert_int_equal(ask(ALICE), 200);
  do {
    snprintf(other, sizeof other, "alice:wrong %d", number++);
  } while (slot_of(other) != slot_of(ALICE));
  assert_int_equal(ask(other), 401);
  assert_int_equal(fixture.checks, 2);
  assert_int_equal(ask(ALICE), 200); /* a wrong one takes no place */
  assert_int_equal(fixture.checks, 2);
  fixture_add_user("bob", "B0B00000-0000-0000-0000-000000000000", "account");
  do {
    snprintf(other, sizeof other, "bob:%d", number++);
  } while (slot_of(other) != slot_of(ALICE));
  snprintf(fixture_user(ST_TEXT("bob"))->password, sizeof fixture.users[0].password, "hash of %s",
           other + 4);
  assert_int_equal(ask(other), 200);
  check_body_starts("{\"id\":\"B0B00000-0000-0000-0000-000000000000\",\"name\":\"bob\"");
  assert_int_equal(fixture.checks, 3);
  assert_int_equal(ask(ALICE), 200);
  check_body_starts("{\"id\":\"" ALICE_ID "\",\"name\":\"alice\"");
  assert_int_equal(fixture.checks, 4);
}

static void another_sub_forgets_the_pair(void **state) {
  (void)state;
  assert_int_equal(ask(ALICE), 200);
  alice_row()->sub[0] = alice()->key.sub[0] = 'x';
  assert_int_equal(ask(ALICE), 200);
  assert_int_equal(fixture.checks, 2);
  snprintf(alice()->password, sizeof alice()->password, "hash of another one");
  alice_row()->sub[0] = alice()->key.sub[0] = 'y';
  assert_int_equal(ask(ALICE), 401);
  assert_int_equal(fixture.checks, 3);
  assert_int_equal(ask("alice:another one"), 200);
}

static void the_store_is_asked_each_time(void **state) {
  (void)state;
  assert_int_equal(ask(ALICE), 200);
  snprintf(alice_row()->permissions, sizeof alice_row()->permissions, "wallet");
  assert_int_equal(ask(ALICE), 200);
  check_body("{\"id\":\"" ALICE_ID "\",\"name\":\"alice\",\"permissions\":[\"wallet\"]}");
  assert_int_equal(fixture.checks, 1);
  fixture.broken = true;
  assert_int_equal(ask(ALICE), 503);
  check_event("store_error");
  assert_int_equal(fixture.checks, 1);
  fixture.broken = false;
  assert_int_equal(ask(ALICE), 200);
  assert_int_equal(fixture.checks, 1);
  alice_row()->disabled = alice()->key.disabled = true;
  assert_int_equal(ask(ALICE), 401);
  check_unauthorized("login_failed");
  assert_true(fixture.checked_nobody);
  alice_row()->disabled = alice()->key.disabled = false;
  assert_int_equal(ask(ALICE), 200);
  alice_row()->expires_at = alice()->key.expires_at = NOW;
  assert_int_equal(ask(ALICE), 401);
  alice_row()->expires_at = alice()->key.expires_at = ST_NEVER;
  assert_int_equal(ask(ALICE), 200);
  fixture_row_of(ALICE_ID)->ended = true; /* deleted while the user could still be found */
  assert_int_equal(ask(ALICE), 401);
  check_unauthorized("login_failed");
}

/* ---- throttling ---- */

static void failed_passwords_are_limited(void **state) {
  (void)state;
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) assert_int_equal(ask(ALICE "!"), 401);
  assert_int_equal(ask(ALICE "!"), 429);
  check_event("login_throttled");
  assert_int_equal(reply.retry_after, 10);
  assert_int_equal(ask(ALICE), 429); /* even the right one */
  assert_int_equal(fixture.checks, ST_THROTTLE_USERNAME_BURST);
  assert_int_equal(ask_at(ALICE, NOW_US + ST_THROTTLE_USERNAME_US), 200);
  /* whoever is in stays in, however others guess */
  assert_int_equal(ask_at(ALICE "!", NOW_US + ST_THROTTLE_USERNAME_US), 401);
  assert_int_equal(ask_at(ALICE "!", NOW_US + ST_THROTTLE_USERNAME_US), 429);
  assert_int_equal(ask_at(ALICE, NOW_US + ST_THROTTLE_USERNAME_US), 200);
}

/* Nor is the owner kept out once the pair is no longer remembered. */
static void guesses_elsewhere_do_not_keep_the_owner_out(void **state) {
  (void)state;
  assert_int_equal(ask(ALICE), 200);
  fixture_remote = "198.51.100.1";
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(ask_at(ALICE "!", NOW_US + MINUTE), 401);
  }
  assert_int_equal(ask_at(ALICE, NOW_US + MINUTE), 429);
  fixture_remote = REMOTE;
  assert_int_equal(ask_at(ALICE, NOW_US + MINUTE), 200);
}

/* What is not the caller's fault costs none of the attempts. */
static void an_unchecked_password_is_no_attempt(void **state) {
  (void)state;
  for (int i = 0; i < 4 * ST_THROTTLE_USERNAME_BURST; i++) {
    forget();
    fixture.status_forced = i % 4 < 2;
    fixture.status = i % 4 == 0 ? ST_PASSWORD_BUSY : ST_PASSWORD_FAILED;
    fixture.broken = i % 4 == 2;
    int status = ask(ALICE);
    CHECK(status == (i % 4 == 3 ? 200 : 503), "%d: %d", i, status);
    check_event(i % 4 == 0 ? "passwords_busy" : i % 4 == 3 ? "none" : "store_error");
  }
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) assert_int_equal(ask(ALICE "!"), 401);
  assert_int_equal(ask(ALICE "!"), 429);
}

/* No password is computed for a user who does not exist, as if there were one. */
static void no_password_fits_an_unknown_user(void **state) {
  (void)state;
  fixture.status_forced = true;
  fixture.status = ST_PASSWORD_OK;
  assert_int_equal(ask("bob:" PASSWORD), 401);
  check_unauthorized("login_failed");
}

/* ---- many at a time ---- */

static atomic_int computed, let_in, turned_away;
static atomic_int wanted; /* how many have to be waiting before a password is computed */

static st_store_status find_alice(void *context, subtoken_text login, st_user *user) {
  (void)context, (void)login;
  *user = fixture.users[0];
  return ST_STORE_OK;
}

static st_password_status check_slowly(void *context, const st_user *user, subtoken_text password,
                                       int64_t until_us) {
  (void)context, (void)user, (void)until_us;
  atomic_fetch_add(&computed, 1);
  while (atomic_load(&basic.waiting) < wanted) sched_yield();
  return st_text_is(password, PASSWORD) ? ST_PASSWORD_OK : ST_PASSWORD_WRONG;
}

static const st_users slow_people = {.find = find_alice, .check = check_slowly};

static int64_t patience = UNTIL_US; /* of a request */

static st_auth_status identify(const char *text) {
  st_service slow = service;
  st_request request = {
      .remote = ST_TEXT(REMOTE), .now = NOW, .now_us = NOW_US, .until_us = patience};
  st_identity identity;
  slow.users = &slow_people;
  return st_basic_auth_check(&slow, st_text(text), &request, &identity).status;
}

static void *come_in(void *text) {
  st_auth_status status = identify(text);
  if (status == ST_AUTH_STATUS_OK) atomic_fetch_add(&let_in, 1);
  if (status == ST_AUTH_STATUS_REJECTED || status == ST_AUTH_STATUS_THROTTLED) {
    atomic_fetch_add(&turned_away, 1);
  }
  return NULL;
}

static void start_all(pthread_t threads[ST_BASIC_WAITING], char *text) {
  computed = let_in = turned_away = 0;
  for (size_t i = 0; i < ST_BASIC_WAITING; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, come_in, text), 0);
  }
}

static void join_all(pthread_t threads[ST_BASIC_WAITING]) {
  for (size_t i = 0; i < ST_BASIC_WAITING; i++) pthread_join(threads[i], NULL);
}

/* As many as may wait: the first computes when all are there, the others find it remembered. */
static void a_password_is_computed_once_for_all(void **state) {
  (void)state;
  static char text[] = ALICE;
  pthread_t threads[ST_BASIC_WAITING];
  wanted = ST_BASIC_WAITING;
  start_all(threads, text);
  join_all(threads);
  assert_int_equal(computed, 1);
  assert_int_equal(let_in, ST_BASIC_WAITING);
  assert_int_equal(basic.waiting, 0);
}

/* One more than may wait is answered at once; nobody waits for what is remembered. */
static void a_limited_number_waits(void **state) {
  (void)state;
  static char text[] = ALICE "!";
  pthread_t threads[ST_BASIC_WAITING];
  wanted = 0;
  assert_int_equal(identify(ALICE), ST_AUTH_STATUS_OK);
  wanted = ST_BASIC_WAITING + 1;
  start_all(threads, text);
  while (atomic_load(&basic.waiting) < ST_BASIC_WAITING) sched_yield();
  assert_int_equal(identify(ALICE), ST_AUTH_STATUS_OK);
  assert_int_equal(identify("alice:yet another"), ST_AUTH_STATUS_PASSWORDS_BUSY);
  assert_int_equal(basic.waiting, ST_BASIC_WAITING);
  wanted = 0;
  join_all(threads);
  assert_int_equal(turned_away, ST_BASIC_WAITING);
  assert_int_equal(computed, ST_THROTTLE_USERNAME_BURST); /* wrong ones, each by itself */
  assert_int_equal(basic.waiting, 0);
}

/* C1: who waits for another request's password waits until its own deadline. */
static void waiting_ends_at_the_deadline(void **state) {
  (void)state;
  static char text[] = ALICE "!";
  pthread_t thread;
  wanted = 3;
  computed = 0;
  assert_int_equal(pthread_create(&thread, NULL, come_in, text), 0);
  while (atomic_load(&computed) == 0) sched_yield();
  patience = st_clock_monotonic_us() + 20000;
  assert_int_equal(identify(text), ST_AUTH_STATUS_PASSWORDS_BUSY);
  assert_true(st_clock_monotonic_us() >= patience);
  patience = UNTIL_US;
  wanted = 0;
  pthread_join(thread, NULL);
  assert_int_equal(computed, 1);
  assert_int_equal(basic.waiting, 0);
}

static void its_secret_has_32_bytes(void **state) {
  (void)state;
  static st_basic_auth other;
  subtoken_text secret = exact_string("this test has these 32 bytes too");
  assert_int_equal(secret.len, 32);
  assert_true(st_basic_auth_start(&other, (const uint8_t *)secret.data, st_basic_locks_get()));
  release(secret);
  assert_int_equal(other.key.kid_len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_right_password_is_let_in, fixture_set_up),
      cmocka_unit_test_setup(a_wrong_password_is_refused, fixture_set_up),
      cmocka_unit_test_setup(a_disabled_user_looks_like_a_wrong_password, fixture_set_up),
      cmocka_unit_test_setup(a_verified_pair_is_remembered, fixture_set_up),
      cmocka_unit_test_setup(a_pair_is_renewed_by_its_password, fixture_set_up),
      cmocka_unit_test_setup(a_pair_is_kept_under_a_keyed_hash, fixture_set_up),
      cmocka_unit_test_setup(a_slot_is_of_one_pair, fixture_set_up),
      cmocka_unit_test_setup(another_sub_forgets_the_pair, fixture_set_up),
      cmocka_unit_test_setup(the_store_is_asked_each_time, fixture_set_up),
      cmocka_unit_test_setup(failed_passwords_are_limited, fixture_set_up),
      cmocka_unit_test_setup(guesses_elsewhere_do_not_keep_the_owner_out, fixture_set_up),
      cmocka_unit_test_setup(an_unchecked_password_is_no_attempt, fixture_set_up),
      cmocka_unit_test_setup(no_password_fits_an_unknown_user, fixture_set_up),
      cmocka_unit_test_setup(a_password_is_computed_once_for_all, fixture_set_up),
      cmocka_unit_test_setup(a_limited_number_waits, fixture_set_up),
      cmocka_unit_test(its_secret_has_32_bytes),
      cmocka_unit_test_setup(waiting_ends_at_the_deadline, fixture_set_up),
  };
  return cmocka_run_group_tests_name("basic", tests, NULL, NULL);
}
