/* The grant refresh_token. The rules of a refresh are tested in test_sessions.c and
 * test_store_sessions.c. */
#include "oauth_fixture.h"

#define GRANT "grant_type=refresh_token"

static char refresh[ST_REFRESH_LEN + 1]; /* alice's */

static void log_in(void) {
  assert_int_equal(
      post("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"), 200);
  snprintf(refresh, sizeof refresh, "%s", member("refresh_token"));
}

static int ask(const char *lines, const char *more) {
  char body[512];
  snprintf(body, sizeof body, GRANT "&refresh_token=%s%s", refresh, more);
  return post(TOKEN_ENDPOINT, form_with(lines), body);
}

static void a_session_goes_on(void **state) {
  (void)state;
  char whole[2048], access[1024];
  log_in();
  assert_int_equal(ask("", ""), 200);
  snprintf(access, sizeof access, "%s", member("access_token"));
  const subtoken_claims *claims = claims_of(access);
  check_permissions(claims, "account,guilds,users,audit");
  assert_true(claims->exp == NOW + 900 && claims->sid.len == ST_KEY_ID_LEN);
  snprintf(refresh, sizeof refresh, "%s", member("refresh_token"));
  snprintf(whole, sizeof whole,
           "{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":900,"
           "\"scope\":\"account guilds users audit\",\"refresh_token\":\"%s\"}",
           access, refresh);
  check_body(whole);
  check_header("Pragma: no-cache\r\n");
  assert_int_equal(fixture.refresh_retry, 30);
  assert_true(fixture.asked_until == NOW + settings.refresh_life);
  /* A client's authentication is ignored: a session belongs to no client. */
  assert_int_equal(ask(basic_line("client:secret"), ""), 200);
  snprintf(refresh, sizeof refresh, "%s", member("refresh_token"));
  assert_int_equal(ask(AS_POOR, "&client_id=a&client_secret=b&resource="), 200);
}

static void a_scope_narrows_the_access_token(void **state) {
  (void)state;
  log_in();
  assert_int_equal(ask("", "&scope=guilds"), 200);
  check_permissions(claims_of(member("access_token")), "guilds");
  assert_string_equal(member("scope"), "guilds");
  snprintf(refresh, sizeof refresh, "%s", member("refresh_token"));
  static const char *const wider[] = {"&scope=inventories", "&scope=guilds+keys", "&scope=a++b"};
  for (size_t i = 0; i < COUNT(wider); i++) {
    assert_int_equal(ask("", wider[i]), 400);
    check_oauth_error(400, "invalid_scope", "scope: must not exceed that of the session");
  }
  /* None of them has cost the token, and the session has all that it had. */
  assert_int_equal(fixture.refreshes, 1);
  assert_int_equal(ask("", ""), 200);
  check_permissions(claims_of(member("access_token")), "account,guilds,users,audit");
}

/* What the session has not, its tokens do not get. */
static void an_audience_is_that_of_the_session(void **state) {
  (void)state;
  log_in();
  assert_int_equal(ask("", "&audience=eu"), 400);
  check_oauth_error(400, "invalid_target", "audience: must be that of the session");
  assert_int_equal(ask("", "&audience=a%20b"), 400);
  check_oauth_error(400, "invalid_target", "audience: must be 1 to 32 characters A-Za-z0-9_-");
  assert_int_equal(fixture.refreshes, 0);
  snprintf(fixture.rows[fixture.row_count - 1].key.audience, ST_AUDIENCE_MAX, "eu");
  assert_int_equal(ask("", "&audience=us"), 400);
  assert_int_equal(ask("", "&audience=eu"), 200);
}

static void a_token_that_is_not_good_is_an_invalid_grant(void **state) {
  (void)state;
  static const char text[] = "refresh_token: not accepted";
  static const char *const bad[] = {"x", KEY, "0000000000000000000000000000000000000099000",
                                    "000000000000000000000000000000000000009900%00"};
  log_in();
  for (size_t i = 0; i < COUNT(bad) * 2; i++) {
    char body[256];
    snprintf(body, sizeof body, GRANT "&refresh_token=%s%s", bad[i / 2],
             i % 2 == 0 ? "" : "&scope=guilds");
    assert_int_equal(post(TOKEN_ENDPOINT, AS_FORM, body), 400);
    check_oauth_error(400, "invalid_grant", text);
    check_event("refresh_unknown");
  }
  assert_int_equal(ask("", ""), 200);
  assert_int_equal(ask("", ""), 400); /* used before: the fixture grants no retry */
  check_oauth_error(400, "invalid_grant", text);
  check_event("refresh_reused");
}

static void what_is_wrong_with_the_form_is_told(void **state) {
  (void)state;
  log_in();
  assert_int_equal(post(TOKEN_ENDPOINT, AS_FORM, GRANT "&refresh_token="), 400);
  check_oauth_error(400, "invalid_request", "refresh_token: is missing");
  static const char *const twice[] = {"&refresh_token=x", "&scope=guilds&scope=guilds"};
  for (size_t i = 0; i < COUNT(twice); i++) {
    assert_int_equal(ask("", twice[i]), 400);
    check_oauth_error(400, "invalid_request", "a parameter is given more than once");
  }
  fixture.broken = true;
  assert_int_equal(ask("", "&scope=guilds"), 503);
  check_oauth_error(503, "temporarily_unavailable",
                    "the session cannot be looked up; try again later");
  assert_int_equal(ask("", ""), 503);
  assert_int_equal(fixture.refreshes, 0);
  fixture.broken = false;
  fixture.outcome = ST_STORE_BUSY;
  assert_int_equal(ask("", ""), 503);
  check_oauth_error(503, "temporarily_unavailable",
                    "the store is being written to; nothing was changed; try again later");
  assert_true(reply.retry_after > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_session_goes_on, fixture_set_up),
      cmocka_unit_test_setup(a_scope_narrows_the_access_token, fixture_set_up),
      cmocka_unit_test_setup(an_audience_is_that_of_the_session, fixture_set_up),
      cmocka_unit_test_setup(a_token_that_is_not_good_is_an_invalid_grant, fixture_set_up),
      cmocka_unit_test_setup(what_is_wrong_with_the_form_is_told, fixture_set_up),
  };
  return cmocka_run_group_tests_name("refresh_token", tests, NULL, NULL);
}
