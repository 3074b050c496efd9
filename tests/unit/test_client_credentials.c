/* The grant client_credentials, and who the client is (service/oauth.c). */
#include "oauth_fixture.h"
#include "policy_fixture.h"

#define GRANT "grant_type=client_credentials"
#define IN_BODY "&client_id=" KEY_ID "&client_secret=" KEY
#define BOTH KEY_ID ":" KEY

static int ask(const char *lines, const char *body) {
  return post(TOKEN_ENDPOINT, form_with(lines), body);
}

/* Claims of the access token: no session's, and short. */
static const subtoken_claims *check_granted(const char *permissions, int64_t life) {
  CHECK(reply.status == 200, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  const subtoken_claims *claims = claims_of(member("access_token"));
  CHECK(claims->exp == NOW + life, "%lld", (long long)(claims->exp - NOW));
  assert_int_equal(claims->sid.len, 0);
  check_permissions(claims, permissions);
  assert_true(claims->every_url);
  return claims;
}

static void a_key_in_the_body_is_given_a_token(void **state) {
  (void)state;
  char whole[2048];
  assert_int_equal(ask("", GRANT IN_BODY), 200);
  const subtoken_claims *claims = check_granted(KEY_PERMISSIONS, 900);
  check_text(claims, claims->sub, fixture_row_of(KEY_ID)->key.sub);
  snprintf(whole, sizeof whole,
           "{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":900,"
           "\"scope\":\"account guilds users keys services audit\"}",
           member("access_token"));
  check_body(whole);
  check_header("Pragma: no-cache\r\n");
  assert_string_equal(reply.event.key_id, KEY_ID);
  assert_int_equal(strlen(reply.event.credential), ST_CREDENTIAL_TAG_LEN);
  assert_null(reply.event.name);
  assert_string_equal(fixture.used, KEY_ID);
}

static void a_key_as_basic_is_given_a_token(void **state) {
  (void)state;
  static const char *const texts[] = {
      BOTH,
      /* Form-encoded, as RFC 6749 section 2.3.1 asks: some encode what they need not. */
      "01234567%2D89AB-CDEF-0123%2d456789ABCDEF:" KEY,
      KEY_ID
      ":01234567%2D89AB%2DCDEF%2D0123%2D456789ABCDEF01234567-89AB-CDEF-0123-%34%35"
      "6789ABCDEF"};
  for (size_t i = 0; i < COUNT(texts); i++) {
    CHECK(ask(basic_line(texts[i]), GRANT) == 200, "%zu: %d", i, reply.status);
    (void)check_granted(KEY_PERMISSIONS, 900);
    CHECK(ask(basic_line(texts[i]), GRANT "&client_id=" KEY_ID) == 200, "%zu", i);
  }
  assert_int_equal(fixture.checks, 0); /* no password was */
}

static void a_scope_narrows_and_never_widens(void **state) {
  (void)state;
  static const char text[] = "scope: must not exceed that of the key";
  assert_int_equal(ask("", GRANT IN_BODY "&scope=guilds+account"), 200);
  (void)check_granted("guilds,account", 900);
  assert_string_equal(member("scope"), "guilds account");
  static const char *const wider[] = {"inventories", "guilds+inventories", "guilds++account",
                                      "+",           "guilds,account",     "%22"};
  for (size_t i = 0; i < COUNT(wider); i++) {
    char body[512];
    snprintf(body, sizeof body, GRANT IN_BODY "&scope=%s", wider[i]);
    assert_int_equal(ask("", body), 400);
    check_oauth_error(400, "invalid_scope", text);
    check_event("perm");
  }
  assert_int_equal(ask("", GRANT "&client_id=" POOR_ID "&client_secret=" POOR_KEY), 200);
  (void)check_granted("account", 600); /* until the key expires */
}

/* What came as Basic is refused by a challenge, what came in the body without one. */
static void a_client_that_is_none_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *body, *event;
  } rows[] = {
      {KEY_ID ":" POOR_KEY, "&client_id=" KEY_ID "&client_secret=" POOR_KEY, "key_unknown"},
      {POOR_ID ":" KEY, "&client_id=" POOR_ID "&client_secret=" KEY, "key_unknown"},
      {"0123:" KEY, "&client_id=0123&client_secret=" KEY, "key_unknown"},
      {KEY_ID ":x", "&client_id=" KEY_ID "&client_secret=x", "key_unknown"},
      {KEY_ID ":" KEY "x", "&client_id=" KEY_ID "&client_secret=" KEY "x", "key_unknown"},
      {"alice:" PASSWORD, "&client_id=alice&client_secret=correct+horse:+battery", "key_unknown"},
      {KEY_ID ":01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEE",
       "&client_id=" KEY_ID
       "&client_secret=01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEE",
       "key_unknown"},
      {KEY_ID, NULL, "key_unknown"}, /* no colon */
      {":", NULL, "key_unknown"},
      {KEY_ID ":" KEY "%4", NULL, "key_unknown"},
      {"%zz:" KEY, NULL, "key_unknown"},
  };
  char body[SUBTOKEN_ISSUED_MAX + 512];
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(ask(basic_line(rows[i].text), GRANT) == 401, "%zu: %d", i, reply.status);
    check_oauth_error(401, "invalid_client", CLIENT_REFUSED);
    check_event(rows[i].event);
    if (rows[i].body == NULL) continue;
    snprintf(body, sizeof body, GRANT "%s", rows[i].body);
    CHECK(ask("", body) == 400, "%zu: %d", i, reply.status);
    check_oauth_error(400, "invalid_client", CLIENT_REFUSED);
    check_event(rows[i].event);
  }
  assert_int_equal(ask("Authorization: Basic %%\n", GRANT), 401); /* no base64 */
  check_oauth_error(401, "invalid_client", CLIENT_REFUSED);
  assert_int_equal(fixture.checks, 0);
  /* A subtoken is no client. */
  snprintf(body, sizeof body, GRANT "&client_id=" KEY_ID "&client_secret=%s",
           subtoken_of_key("account", NULL, NOW + 60));
  assert_int_equal(ask("", body), 400);
  check_oauth_error(400, "invalid_client", CLIENT_REFUSED);
}

static void a_key_that_is_not_in_force_is_no_client(void **state) {
  (void)state;
  fixture_row *row = fixture_row_of(KEY_ID);
  row->key.disabled = true;
  assert_int_equal(ask(basic_line(BOTH), GRANT), 401);
  check_oauth_error(401, "invalid_client", CLIENT_REFUSED);
  check_event("key_disabled");
  row->key.disabled = false;
  row->key.expires_at = NOW;
  assert_int_equal(ask("", GRANT IN_BODY), 400);
  check_event("key_expired");
  fixture.broken = true;
  assert_int_equal(ask(basic_line(BOTH), GRANT), 503);
  check_oauth_error(503, "temporarily_unavailable",
                    "the key store cannot be read; try again later");
  assert_true(reply.retry_after > 0);
}

/* RFC 6749 section 2.3: one way of authentication a request. */
static void two_ways_at_once_are_refused(void **state) {
  (void)state;
  static const char too[] = "client_secret: the client has authenticated by Basic, too";
  static const char other[] = "client_id: is not the client that has authenticated by Basic";
  static const char missing[] =
      "client authentication: is missing; client_id and client_secret come in the body or as Basic";
  static const char again[] = "a parameter is given more than once";
  static const struct {
    bool basic;
    const char *body, *error, *text;
  } rows[] = {
      {true, IN_BODY, "invalid_request", too},
      {true, "&client_secret=x", "invalid_request", too},
      {true, "&client_id=" POOR_ID, "invalid_request", other},
      {false, "", "invalid_client", missing},
      {false, "&client_id=" KEY_ID, "invalid_client", missing},
      {false, "&client_id=&client_secret=", "invalid_client", missing},
      {false, "&client_secret=" KEY, "invalid_request", "client_id: is missing"},
      {false, IN_BODY "&client_id=" KEY_ID, "invalid_request", again},
      {false, IN_BODY "&client_secret=" KEY, "invalid_request", again},
      {false, IN_BODY "&scope=account&scope=guilds", "invalid_request", again},
      {false, IN_BODY "&audience=a&audience=a", "invalid_target",
       "audience: a token is for one audience; ask for one token each"},
      {false, IN_BODY "&audience=https://a", "invalid_target",
       "audience: must be 1 to 32 characters A-Za-z0-9_-"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char body[512];
    snprintf(body, sizeof body, GRANT "%s", rows[i].body);
    CHECK(ask(rows[i].basic ? basic_line(BOTH) : "", body) == 400, "%zu: %d", i, reply.status);
    check_oauth_error(400, rows[i].error, rows[i].text);
  }
  char twice[2048];
  snprintf(twice, sizeof twice, "%sAuthorization: Basic x\n", basic_line(BOTH));
  assert_int_equal(ask(twice, GRANT), 400);
  check_oauth_error(400, "invalid_request", "more than one credential");
}

/* Credentials of another kind say nothing of the client, and neither does the query. */
static void other_credentials_are_ignored(void **state) {
  (void)state;
  assert_int_equal(ask(AS_POOR, GRANT IN_BODY), 200);
  (void)check_granted(KEY_PERMISSIONS, 900);
  assert_int_equal(ask("X-API-Key: x\n", GRANT IN_BODY), 200);
  assert_int_equal(post(TOKEN_ENDPOINT "?access_token=x&client_id=y", AS_FORM, GRANT IN_BODY), 200);
  assert_int_equal(ask(AS_KEY, GRANT), 400);
  check_event("auth_missing");
  settings.credentials =
      ST_FORM_BEARER; /* what is no form of this server is as if it were not there */
  assert_int_equal(ask(basic_line(BOTH), GRANT), 400);
  check_event("auth_missing");
  assert_int_equal(ask(basic_line("x:y"), GRANT IN_BODY), 200);
}

static void a_token_can_be_for_one_audience(void **state) {
  (void)state;
  static const char text[] = "audience: must be that of the key";
  assert_int_equal(ask("", GRANT IN_BODY "&audience=eu&scope=guilds"), 200);
  subtoken_claims claims;
  static char header[SUBTOKEN_HEADER_MAX];
  assert_int_equal(
      subtoken_inspect(st_text(member("access_token")), header, sizeof header, &claims),
      SUBTOKEN_OK);
  assert_true(subtoken_claims_has_audience(&claims, ST_TEXT("eu")));
  check_permissions(&claims, "guilds");
  snprintf(fixture_row_of(KEY_ID)->key.audience, ST_AUDIENCE_MAX, "us"); /* a bound key */
  assert_int_equal(ask("", GRANT IN_BODY "&audience=eu"), 400);
  check_oauth_error(400, "invalid_target", text);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(ask("", i == 0 ? GRANT IN_BODY : GRANT IN_BODY "&audience=us"), 200);
    assert_int_equal(
        subtoken_inspect(st_text(member("access_token")), header, sizeof header, &claims),
        SUBTOKEN_OK);
    assert_true(subtoken_claims_has_audience(&claims, ST_TEXT("us")));
  }
}

/* Where the policy has resources, one of them. */
static void a_resource_is_one_of_the_policy(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"token\",\"routes\":[{\"path\":\"/mcp\",\"needs\":[\"mcp\"],"
      "\"resource\":\"https://api.example/mcp\"},{\"path\":\"/x\"},"
      "{\"path\":\"/\",\"resource\":\"https://root.example\"}]}";
  static const struct {
    const char *resource;
    bool good;
  } rows[] = {{"https://api.example/mcp", true},
              {"", true},
              {"https%3A%2F%2Fapi.example%2Fmcp", true},
              {"https://root.example", true},
              {"https://root.example/", true},
              {"https://root.example/?", false},
              {"https://root.example//", false},
              {"https://root.example:443", false},
              {"https://", false},
              {"http://api.example/mcp", false},
              {"https://evil.example/mcp", false},
              {"https://api.example/mc", false},
              {"https://api.example/mcp/", false},
              {"https://api.example/mcp?x", false},
              {"https://api.example/x", false},
              {"https://api.example", false},
              {"/mcp", false},
              {"x", false},
              {"https://api.example/mcp\\", false},
              {"https://api.example/mcp&resource=https://api.example/mcp", false}};
  char body[512];
  snprintf(settings.issuer, sizeof settings.issuer, "https://auth.example");
  for (int with = 0; with < 2; with++) {
    if (with == 1) service.policy = policy_of(text);
    for (size_t i = 0; i < COUNT(rows); i++) {
      snprintf(body, sizeof body, GRANT IN_BODY "&resource=%s", rows[i].resource);
      bool good = rows[i].good || (with == 0 && i + 1 < COUNT(rows));
      CHECK(ask("", body) == (good ? 200 : 400), "%d %s: %d", with, rows[i].resource, reply.status);
      if (good) continue;
      check_oauth_error(400, "invalid_target",
                        "resource: must be one of the route policy of this server");
    }
  }
  drop(service.policy);
}

static void the_rate_of_the_key_is_kept(void **state) {
  (void)state;
  settings.rate_per_second = 1;
  settings.rate_burst = 2;
  for (int i = 0; i < 2; i++) assert_int_equal(ask("", GRANT IN_BODY), 200);
  assert_int_equal(ask("", GRANT IN_BODY), 429);
  check_oauth_error(429, "temporarily_unavailable",
                    "too many tokens from this key; try again later");
  assert_true(reply.retry_after > 0);
  assert_int_equal(ask("", GRANT "&client_id=" POOR_ID "&client_secret=" POOR_KEY), 200);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_key_in_the_body_is_given_a_token, fixture_set_up),
      cmocka_unit_test_setup(a_key_as_basic_is_given_a_token, fixture_set_up),
      cmocka_unit_test_setup(a_scope_narrows_and_never_widens, fixture_set_up),
      cmocka_unit_test_setup(a_client_that_is_none_is_refused, fixture_set_up),
      cmocka_unit_test_setup(a_key_that_is_not_in_force_is_no_client, fixture_set_up),
      cmocka_unit_test_setup(two_ways_at_once_are_refused, fixture_set_up),
      cmocka_unit_test_setup(other_credentials_are_ignored, fixture_set_up),
      cmocka_unit_test_setup(a_token_can_be_for_one_audience, fixture_set_up),
      cmocka_unit_test_setup(a_resource_is_one_of_the_policy, fixture_set_up),
      cmocka_unit_test_setup(the_rate_of_the_key_is_kept, fixture_set_up),
  };
  return cmocka_run_group_tests_name("client_credentials", tests, NULL, NULL);
}
