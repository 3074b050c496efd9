/* oauth: the bounds of a form and of what a client says of itself, in each call that reads them.
 * What the calls are for is in test_token_exchange.c, test_client_credentials.c,
 * test_refresh_token.c, test_introspect.c and test_revoke.c.
 */
#include "oauth_fixture.h"

#include "subtoken/policy.h"

#define GRANT "grant_type=client_credentials"
#define IN_BODY "&client_id=" KEY_ID "&client_secret=" KEY
#define EXCHANGE "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
#define JWT "urn:ietf:params:oauth:token-type:jwt"
#define SUBJECT \
  "&subject_token=" KEY "&subject_token_type=urn:ietf:params:oauth:token-type:access_token"
#define BOTH KEY_ID ":" KEY

static int ask(const char *lines, const char *body) {
  return post(TOKEN_ENDPOINT, form_with(lines), body);
}

static void a_form_has_8192_bytes(void **state) {
  (void)state;
  static char body[ST_REQUEST_BODY_MAX + 2];
  memset(body, 'x', sizeof body - 1);
  memcpy(body, GRANT IN_BODY "&", sizeof(GRANT IN_BODY "&") - 1);
  assert_int_equal(ask("", body), 400);
  check_oauth_error(400, "invalid_request", "the body is too long");
  body[ST_REQUEST_BODY_MAX] = '\0';
  assert_int_equal(ask("", body), 200);
  assert_int_equal(post(TOKEN_ENDPOINT, AS_JSON, "x"), 400);
  check_oauth_error(400, "invalid_request",
                    "Content-Type: must be application/x-www-form-urlencoded");
  assert_int_equal(post(TOKEN_ENDPOINT, AS_JSON, ""), 400);
  check_oauth_error(400, "invalid_request", "grant_type: is missing");
}

/* What has no value is not there, and is no second one. */
static void a_parameter_without_a_value_is_none(void **state) {
  (void)state;
  assert_int_equal(ask("", GRANT IN_BODY "&scope=account&scope="), 200);
  check_permissions(claims_of(member("access_token")), "account");
  assert_int_equal(ask("", GRANT IN_BODY "&scope=&scope=account&audience="), 200);
  check_permissions(claims_of(member("access_token")), "account");
  assert_int_equal(ask("", GRANT IN_BODY "&scope=account&scope=account"), 400);
}

static void a_client_is_named_as_it_authenticates(void **state) {
  (void)state;
  static const struct {
    const char *basic, *body; /* basic NULL: there is none */
    int status;
    const char *error, *text; /* of 400 */
  } rows[] = {
      {NULL, GRANT "&client_secret=x", 400, "invalid_request", "client_id: is missing"},
      {NULL, GRANT "&client_id=" KEY_ID "0&client_secret=" KEY, 400, "invalid_client",
       CLIENT_REFUSED},
      {NULL, GRANT "&client_id=0&client_secret=" KEY, 400, "invalid_client", CLIENT_REFUSED},
      {BOTH, GRANT "&client_id=0", 400, "invalid_request",
       "client_id: is not the client that has authenticated by Basic"},
      {BOTH, GRANT "&client_secret=x", 400, "invalid_request",
       "client_secret: the client has authenticated by Basic, too"},
      {BOTH, GRANT "&client_id=" KEY_ID, 200, NULL, NULL},
      {"%zz:" KEY, GRANT, 401, "invalid_client", CLIENT_REFUSED},
      {KEY_ID ":" KEY "%", GRANT, 401, "invalid_client", CLIENT_REFUSED},
      {KEY_ID, GRANT, 401, "invalid_client", CLIENT_REFUSED},
      {KEY_ID "0:" KEY, GRANT, 401, "invalid_client", CLIENT_REFUSED},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = ask(rows[i].basic != NULL ? basic_line(rows[i].basic) : "", rows[i].body);
    CHECK(status == rows[i].status, "row %zu: %d", i, status);
    if (status != 200) check_oauth_error(status, rows[i].error, rows[i].text);
  }
  fixture.broken = true;
  assert_int_equal(ask("", GRANT IN_BODY), 503);
  check_event("store_error");
}

static void a_short_audience_is_one(void **state) {
  (void)state;
  size_t at = 0;
  assert_int_equal(ask("", GRANT IN_BODY "&audience=e"), 200);
  static subtoken_claims claims;
  assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(member("access_token")), &claims),
                   SUBTOKEN_OK);
  assert_true(st_text_is(subtoken_claims_audience(&claims, &at), "e"));
  /* Of a client that is bound, and of a session that is. */
  st_key *row = &fixture_row_of(KEY_ID)->key;
  snprintf(row->audience, sizeof row->audience, "eu");
  assert_int_equal(ask("", GRANT IN_BODY "&audience=e"), 400);
  check_oauth_error(400, "invalid_target", "audience: must be that of the key");
  assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
  char body[256];
  snprintf(body, sizeof body, "grant_type=refresh_token&refresh_token=%s&audience=e",
           member("refresh_token"));
  assert_int_equal(ask("", body), 400);
  check_oauth_error(400, "invalid_target", "audience: must be that of the session");
}

static uint8_t policy_memory[16384] __attribute__((aligned(16)));

static void use_policy(const char *text) {
  assert_true(subtoken_policy_size(strlen(text)) <= sizeof policy_memory);
  assert_int_equal(subtoken_policy_read(policy_memory, sizeof policy_memory, st_text(text),
                                        &service.policy, NULL),
                   SUBTOKEN_OK);
}

/* Where the policy has none, any is one. */
static void a_resource_is_one_of_the_policy(void **state) {
  (void)state;
  static const char plain[] = "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\"}]}";
  static const char named[] =
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"resource\":\"https://api.example.com/"
      "a\"}]}";
#define AT(path) "&resource=https://api.example.com" path
  service.policy = NULL;
  assert_int_equal(ask("", GRANT IN_BODY AT("/a")), 200);
  use_policy(plain);
  assert_int_equal(ask("", GRANT IN_BODY AT("/a")), 200);
  use_policy(named);
  assert_int_equal(ask("", GRANT IN_BODY AT("/a")), 200);
  assert_int_equal(ask("", GRANT IN_BODY AT("/b")), 400);
  assert_int_equal(ask("", GRANT IN_BODY AT("/a") AT("/a")), 400);
  service.policy = NULL;
}

/* ---- token exchange ---- */

static void an_exchange_is_read_strictly(void **state) {
  (void)state;
  static const struct {
    const char *body, *error, *text;
  } rows[] = {
      {EXCHANGE SUBJECT "&resource=x", "invalid_target", "resource: not supported"},
      {EXCHANGE SUBJECT "&actor_token=x", "invalid_request",
       "actor_token: delegation is not supported"},
      {EXCHANGE SUBJECT "&actor_token_type=x", "invalid_request",
       "actor_token: delegation is not supported"},
      {EXCHANGE "&subject_token=" KEY "&subject_token_type=urn:ietf:params:oauth:token-typE:jwt",
       "invalid_request",
       "subject_token_type: must be urn:ietf:params:oauth:token-type:access_token "
       "or " JWT},
      {EXCHANGE "&subject_token=" KEY "&subject_token_type=urn:ietf:params:oauth:token-type:",
       "invalid_request",
       "subject_token_type: must be urn:ietf:params:oauth:token-type:access_token "
       "or " JWT},
      {EXCHANGE SUBJECT "&requested_token_type=x", "invalid_request",
       "requested_token_type: must be urn:ietf:params:oauth:token-type:access_token or " JWT},
      {EXCHANGE "&subject_token=" KEY "&subject_token_type=" JWT, "invalid_request",
       "subject_token: not accepted"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(ask("", rows[i].body) == 400, "row %zu: %d", i, reply.status);
    check_oauth_error(400, rows[i].error, rows[i].text);
  }
  assert_int_equal(ask("", EXCHANGE SUBJECT), 200);
}

static void exchanges_of_a_key_have_a_rate(void **state) {
  (void)state;
  settings.rate_per_second = settings.rate_burst = 1;
  assert_int_equal(ask("", EXCHANGE SUBJECT), 200);
  assert_int_equal(ask("", EXCHANGE SUBJECT), 429);
  check_event("rate");
  assert_string_equal(member("error"), "temporarily_unavailable");
  assert_true(reply.retry_after > 0);
  fixture.broken = true;
  assert_int_equal(ask("", EXCHANGE SUBJECT), 503);
  assert_string_equal(member("error"), "temporarily_unavailable");
}

/* ---- refresh tokens ---- */

static size_t looked_up;

static st_store_status find_refresh(void *context, subtoken_text token, int64_t now,
                                    st_key *session) {
  looked_up++;
  return fixture_find_refresh(context, token, now, session);
}

/* Only where more is asked for than to go on is the session looked up before. */
static void a_session_goes_on_by_one_look(void **state) {
  (void)state;
  st_users users = fixture_users;
  users.find_refresh = find_refresh;
  char body[256];
  for (int scope = 0; scope < 2; scope++) {
    assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
    snprintf(body, sizeof body, "grant_type=refresh_token&refresh_token=%s%s",
             member("refresh_token"), scope == 1 ? "&scope=account" : "");
    service.users = &users;
    looked_up = 0;
    int status = ask("", body);
    service.users = &fixture_users;
    assert_int_equal(status, 200);
    assert_int_equal(looked_up, scope == 1 ? 2 : 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_form_has_8192_bytes, fixture_set_up),
      cmocka_unit_test_setup(a_parameter_without_a_value_is_none, fixture_set_up),
      cmocka_unit_test_setup(a_client_is_named_as_it_authenticates, fixture_set_up),
      cmocka_unit_test_setup(a_short_audience_is_one, fixture_set_up),
      cmocka_unit_test_setup(a_resource_is_one_of_the_policy, fixture_set_up),
      cmocka_unit_test_setup(an_exchange_is_read_strictly, fixture_set_up),
      cmocka_unit_test_setup(exchanges_of_a_key_have_a_rate, fixture_set_up),
      cmocka_unit_test_setup(a_session_goes_on_by_one_look, fixture_set_up),
  };
  return cmocka_run_group_tests_name("oauth", tests, NULL, NULL);
}
