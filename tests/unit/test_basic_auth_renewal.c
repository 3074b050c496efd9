/* basic: a credential that is remembered is checked anew by one request, shortly before it is
 * forgotten; and what a failure leaves.
 */
#include "service_fixture.h"

#include "service/basic_auth.h"

#define INFO "/v2/tokeninfo"
#define ALICE_ID "A11CE000-0000-0000-0000-000000000000"
#define ALICE "alice:" PASSWORD
#define LATE (NOW_US + ST_BASIC_KEPT_US - ST_BASIC_RENEW_US + 1)

static size_t entered, left; /* locks */
static int64_t entered_until;
static bool locks_are_taken;
static void (*meanwhile)(void); /* what another request does before the lock is had */

static bool enter(size_t lock, int64_t until_us) {
  assert_true(lock < ST_BASIC_LOCKS);
  entered_until = until_us;
  if (locks_are_taken) return false;
  entered++;
  if (meanwhile != NULL) meanwhile();
  return true;
}

static void leave(size_t lock) {
  assert_true(lock < ST_BASIC_LOCKS);
  left++;
}

static int set_up(void **state) {
  static const uint8_t random[33] = "this test has these 32 bytes....";
  if (fixture_set_up(state) != 0) return -1;
  entered = left = 0;
  locks_are_taken = false;
  meanwhile = NULL;
  return st_basic_auth_start(&basic, random, (st_basic_locks){enter, leave}) ? 0 : -1;
}

static int ask_at(int64_t now_us) {
  return fixture_ask_at("GET", INFO, AS_ALICE, "", now_us);
}

/* Of the one credential that is remembered. */
static int64_t *slot_until(void) {
  for (size_t i = 0; i < COUNT(basic.slots); i++) {
    if (basic.slots[i].until_us != 0) return &basic.slots[i].until_us;
  }
  fail();
  return NULL;
}

static void a_renewal_waits_for_nobody(void **state) {
  (void)state;
  assert_int_equal(ask_at(NOW_US), 200);
  assert_true(entered == 1 && left == 1 && entered_until == UNTIL_US);
  assert_int_equal(ask_at(LATE - 1), 200);
  assert_true(entered == 1 && fixture.checks == 1);
  locks_are_taken = true;
  assert_int_equal(ask_at(LATE), 200);
  assert_true(entered == 1 && left == 1 && entered_until == 0 && fixture.checks == 1);
  locks_are_taken = false;
  assert_int_equal(ask_at(LATE), 200);
  assert_true(entered == 2 && left == 2 && entered_until == 0 && fixture.checks == 2);
}

static void another_renews(void) {
  *slot_until() = LATE + ST_BASIC_RENEW_US;
}

static void another_takes_the_slot(void) {
  *slot_until() = 0;
}

static void a_renewal_looks_once_more(void **state) {
  (void)state;
  assert_int_equal(ask_at(NOW_US), 200);
  meanwhile = another_renews;
  assert_int_equal(ask_at(LATE), 200);
  assert_true(entered == 2 && left == 2 && fixture.checks == 1);
  *slot_until() = LATE + 1;
  meanwhile = another_takes_the_slot;
  assert_int_equal(ask_at(LATE), 200);
  assert_true(entered == 3 && left == 3 && fixture.checks == 1);
}

static size_t by_sub_calls;

/* Whoever asks first has the permission, and the next has lost it. */
static st_store_status loses_permissions(void *store, subtoken_text sub, st_key *key) {
  st_store_status found = fixture_by_sub(store, sub, key);
  if (by_sub_calls++ > 0) key->permissions[0] = '\0';
  return found;
}

static void a_renewal_is_for_the_next_request(void **state) {
  (void)state;
  assert_int_equal(ask_at(NOW_US), 200);
  by_sub_calls = 0;
  service.keys.by_sub = loses_permissions;
  int status = ask_at(LATE);
  service.keys.by_sub = fixture_by_sub;
  assert_int_equal(status, 200);
  assert_true(by_sub_calls > 1 && fixture.checks == 2);
  assert_non_null(memmem(reply.body, reply.body_len, "\"account\"", 9));
}

static void nothing_is_renewed_while_the_store_fails(void **state) {
  (void)state;
  assert_int_equal(ask_at(NOW_US), 200);
  fixture.broken = true;
  assert_int_equal(ask_at(LATE), 503);
  check_event("store_error");
  assert_true(entered == 1 && fixture.checks == 1);
}

static void a_sub_of_another_kind_is_no_user(void **state) {
  (void)state;
  assert_int_equal(ask_at(NOW_US), 200);
  fixture_row_of(ALICE_ID)->key.kind = ST_KIND_SESSION;
  assert_int_equal(ask_at(NOW_US), 401);
  check_unauthorized("login_failed");
}

static void the_last_second_of_a_limit_counts(void **state) {
  (void)state;
  fixture.status_forced = true;
  fixture.status = ST_PASSWORD_WRONG;
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) assert_int_equal(ask_at(NOW_US), 401);
  assert_int_equal(ask_at(NOW_US + ST_THROTTLE_USERNAME_US - 1), 429);
  assert_int_equal(reply.retry_after, 1);
  assert_int_equal(ask_at(NOW_US + ST_THROTTLE_USERNAME_US), 401);
}

/* A credential that is refused leaves no identity of one that was there before. */
static void a_failure_leaves_no_identity(void **state) {
  (void)state;
  static const char *const texts[] = {"alice", "*:x", "alice:wrong", "bob:" PASSWORD};
  st_request request = {
      .remote = ST_TEXT(REMOTE), .now = NOW, .now_us = NOW_US, .until_us = UNTIL_US};
  st_identity identity;
  for (size_t i = 0; i < COUNT(texts); i++) {
    memset(&identity, 0x5A, sizeof identity);
    st_auth_result result = st_basic_auth_check(&service, st_text(texts[i]), &request, &identity);
    assert_int_equal(result.status, ST_AUTH_STATUS_REJECTED);
    assert_true(claims_are_empty(&identity.grant) && identity.key.id[0] == '\0');
  }
  assert_int_equal(st_basic_auth_check(&service, ST_TEXT(ALICE), &request, &identity).status,
                   ST_AUTH_STATUS_OK);
  /* Without its key nothing is looked up. */
  memset(&basic.key, 0, sizeof basic.key);
  assert_int_equal(st_basic_auth_check(&service, ST_TEXT(ALICE), &request, &identity).status,
                   ST_AUTH_STATUS_STORE_ERROR);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_renewal_waits_for_nobody, set_up),
      cmocka_unit_test_setup(a_renewal_looks_once_more, set_up),
      cmocka_unit_test_setup(a_renewal_is_for_the_next_request, set_up),
      cmocka_unit_test_setup(nothing_is_renewed_while_the_store_fails, set_up),
      cmocka_unit_test_setup(a_sub_of_another_kind_is_no_user, set_up),
      cmocka_unit_test_setup(the_last_second_of_a_limit_counts, set_up),
      cmocka_unit_test_setup(a_failure_leaves_no_identity, set_up),
  };
  return cmocka_run_group_tests_name("basic_auth_renewal", tests, NULL, NULL);
}
