/* Small calls of the service, word by word: what each header, member and value of one character
 * does, and the last second of a limit.
 */
#include "service_fixture.h"

#include "page/files.h"

#define ALICE "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"

static st_users users;

static int set_up(void **state) {
  if (fixture_set_up(state) != 0) return -1;
  users = fixture_users;
  service.users = &users;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  service.users = &fixture_users;
  service.secret_first_seen = NULL;
  return 0;
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void check_says(const char *part) {
  CHECK(reply.status == 200 && says(part), "%d, no %s in %.*s", reply.status, part,
        (int)reply.body_len, reply.body);
}

/* ---- sessions ---- */

static void a_log_in_waits_for_the_last_second(void **state) {
  (void)state;
  static const char wrong[] = "{\"login\":\"alice\",\"password\":\"x\"}";
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(post("/v1/auth/login", AS_JSON, wrong), 401);
  }
  int64_t last = NOW_US + ST_THROTTLE_USERNAME_US - 1;
  assert_int_equal(fixture_ask_at("POST", "/v1/auth/login", AS_JSON, wrong, last), 429);
  assert_int_equal(reply.retry_after, 1);
  assert_int_equal(fixture_ask_at("POST", "/v1/auth/login", AS_JSON, wrong, last + 1), 401);
}

/* Whether there is such a user is not told by what comes of a password that is not checked. */
static void an_unknown_user_waits_as_others_do(void **state) {
  (void)state;
  fixture.status_forced = true;
  fixture.status = ST_PASSWORD_BUSY;
  assert_int_equal(post("/v1/auth/login", AS_JSON, "{\"login\":\"nobody\",\"password\":\"x\"}"),
                   503);
  check_event("passwords_busy");
  assert_int_equal(post("/v1/auth/login", AS_JSON, ALICE), 503);
  check_event("passwords_busy");
  fixture.status = ST_PASSWORD_OK;
  assert_int_equal(post("/v1/auth/login", AS_JSON, "{\"login\":\"nobody\",\"password\":\"x\"}"),
                   401);
}

/* It writes whom it does not find. */
static st_store_status find_nobody(void *context, subtoken_text username, st_user *user) {
  assert_int_equal(fixture_find(context, ST_TEXT("alice"), user), ST_STORE_OK);
  return st_text_is(username, "alice") ? ST_STORE_OK : ST_STORE_NOT_FOUND;
}

/* Alice's password is not that of a user who is not there. */
static void who_is_not_found_does_not_log_in(void **state) {
  (void)state;
  static const char nobody[] = "{\"login\":\"nobody\",\"password\":\"" PASSWORD "\"}";
  users.find = find_nobody;
  assert_int_equal(post("/v1/auth/login", AS_JSON, nobody), 401);
  assert_true(fixture.checks == 1 && fixture.checked_nobody);
  assert_int_equal(post("/v1/auth/login", AS_JSON, ALICE), 200);
  assert_true(fixture.checks == 2 && !fixture.checked_nobody);
}

/* The row has changed between the look at it and the change. */
static st_store_status refresh_and_grow(void *context, const st_audit_context *audit,
                                        subtoken_text token, int64_t expires_at, int64_t retry,
                                        st_key *session, char successor[ST_REFRESH_LEN + 1]) {
  st_store_status status =
      fixture_refresh(context, audit, token, expires_at, retry, session, successor);
  snprintf(session->permissions, sizeof session->permissions, "%s", too_many());
  return status;
}

static void a_session_that_grows_meanwhile_gets_no_token(void **state) {
  (void)state;
  char body[128];
  assert_int_equal(post("/v1/auth/login", AS_JSON, ALICE), 200);
  snprintf(body, sizeof body, "{\"token\":\"%s\"}", member("refresh_token"));
  users.refresh_session = refresh_and_grow;
  assert_int_equal(post("/v1/auth/refresh", AS_JSON, body), 400);
  check_event("issue_denied");
  assert_false(says("access_token"));
}

/* ---- credentials ---- */

/* A scheme that is switched off is no credential; one that is none of ours counts. */
static void a_form_that_is_off_is_none(void **state) {
  (void)state;
  settings.credentials = ST_FORM_BEARER | ST_FORM_API_KEY;
  assert_int_equal(get("/v2/whoami", AS_ALICE AS_KEY), 200);
  assert_int_equal(get("/v2/whoami", "Authorization: Digest a\n" AS_KEY), 400);
  check_event("auth_ambiguous");
  assert_int_equal(get("/v2/whoami?access_token=" KEY, ""), 401);
  settings.credentials = ST_FORM_BASIC | ST_FORM_QUERY;
  assert_int_equal(get("/v2/whoami", AS_KEY), 401);
  assert_int_equal(get("/v2/whoami", "X-API-Key: " KEY "\n"), 401);
  assert_int_equal(get("/v2/whoami", AS_ALICE), 200);
  assert_int_equal(get("/v2/whoami?access_token=" KEY, ""), 200);
  assert_int_equal(get("/v2/whoami", "Authorization: Basic \n"), 401);
  check_event("auth_missing");
  /* The first that is wrong is told, whatever follows. */
  assert_int_equal(get("/v2/whoami?access_token=a&access_token=b&access_token=%", ""), 400);
  check_event("auth_ambiguous");
  assert_int_equal(get("/v2/whoami?access_token=%&access_token=a&access_token=b", ""), 400);
  check_event("bad_request");
}

static void the_first_header_counts(void **state) {
  (void)state;
  assert_int_equal(get("/v2/tokeninfo", "X-Schema-Version: latest\n" AS_KEY), 200);
  check_says("\"type\":\"APIKey\"");
  assert_int_equal(get("/v2/tokeninfo", AS_KEY), 200);
  assert_false(says("\"type\""));
  settings.basic_challenge = true;
  assert_int_equal(get("/v2/tokeninfo", ""), 401);
  assert_true(reply.basic_challenge);
  settings.basic_challenge = false;
}

static void a_body_has_one_type(void **state) {
  (void)state;
  static const struct {
    const char *types;
    int status;
  } rows[] = {
      {"Content-Type: application/json\n", 200},
      {"Content-Type: application/json \t\n", 200},
      {"Content-Type: application/json\t ; charset=utf-8\n", 200},
      {"Content-Type: Application/JSON\n", 200},
      {"Content-Type: application/jsonx\n", 415},
      {"Content-Type: a/b\nContent-Type: application/json\n", 415},
      {"Content-Type: application/json\nContent-Type: application/json\n", 415},
      {"Content-Type: \n", 415},
      {"", 415},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char headers[256];
    snprintf(headers, sizeof headers, "%s" AS_KEY, rows[i].types);
    int status = post("/v2/createsubtoken", headers, "{\"permissions\":[\"account\"]}");
    CHECK(status == rows[i].status, "row %zu: %d", i, status);
  }
}

/* ---- who it is ---- */

static void whoami_tells_what_a_holder_may_know(void **state) {
  (void)state;
  assert_int_equal(get("/v2/createsubtoken?permissions=account&urls=/v2/whoami,/x", AS_KEY), 200);
  assert_int_equal(get("/v2/whoami", bearer(member("subtoken"))), 200);
  check_says("{\"auth\":\"subtoken\",\"login\":null,\"key\":\"" KEY_ID "\"");
  check_says("\"urls\":[\"/v2/whoami\",\"/x\"]");
  /* Of a session that a key began, the key; of what was made from it, no key. */
  assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
  const char *session = bearer(member("access_token"));
  assert_int_equal(get("/v2/whoami", session), 200);
  check_says("{\"auth\":\"service\",\"login\":null,\"key\":\"" KEY_ID "\"");
  check_says("\"owner\":\"operations\"");
  assert_int_equal(get("/v2/createsubtoken?permissions=account", session), 200);
  assert_int_equal(get("/v2/whoami", bearer(member("subtoken"))), 200);
  check_says("{\"auth\":\"subtoken\",\"login\":null,\"key\":null");
  check_says("\"owner\":null");
  /* A session's token for an audience may be made up by an edge for it. */
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "eu");
  assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
  assert_int_equal(get("/v2/whoami", bearer(member("access_token"))), 200);
  check_says("{\"auth\":\"service\",\"login\":null,\"key\":null");
  check_says("\"owner\":null");
}

/* ---- answers that are always there ---- */

static void nothing_is_there_without_an_issuer(void **state) {
  (void)state;
  static const char *const paths[] = {"/.well-known/oauth-authorization-server",
                                      "/oauth/authorize"};
  for (size_t i = 0; i < COUNT(paths); i++) {
    settings.issuer[0] = '\0';
    CHECK(get(paths[i], "") == 404, "%s: %d", paths[i], reply.status);
    snprintf(settings.issuer, sizeof settings.issuer, "https://a");
    CHECK(get(paths[i], "") == (i == 0 ? 200 : 400), "%s: %d", paths[i], reply.status);
  }
  assert_int_equal(get("/page/settings.json", ""), 200);
  check_says("https://a");
  settings.issuer[0] = '\0';
  assert_int_equal(get("/page/settings.json", ""), 200);
  assert_false(says("issuer"));
}

static int64_t first_seen;

static int64_t seen_at(void *store, const subtoken_ring *of, size_t i) {
  (void)store;
  (void)of;
  assert_int_equal(i, 0);
  return first_seen;
}

static void a_secret_has_an_age_from_its_first_second(void **state) {
  (void)state;
  service.secret_first_seen = seen_at;
  static const struct {
    int64_t seen;
    const char *says;
  } rows[] = {{0, "\"first_seen\":null,\"age\":null"},
              {1, "\"first_seen\":\"1970-01-01T00:00:01Z\",\"age\":1699999999}"},
              {NOW, ",\"age\":0}"},
              {NOW + 1, ",\"age\":0}"},
              {NOW - 1, ",\"age\":1}"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    first_seen = rows[i].seen;
    assert_int_equal(get("/v2/ring", AS_KEY), 200);
    check_says(rows[i].says);
  }
}

static void files_have_the_tag_of_all(void **state) {
  (void)state;
  char line[64];
  snprintf(line, sizeof line, "ETag: \"%s\"\r\n", st_page_files_tag());
  assert_int_equal(get("/openapi.json", ""), 200);
  check_header(line);
  snprintf(line, sizeof line, "If-None-Match: \"%s\"\n", st_page_files_tag());
  assert_int_equal(get("/openapi.json", line), 304);
}

/* Each route is counted as itself, and what is none as another. */
static void a_request_names_its_route(void **state) {
  (void)state;
  static const struct {
    const char *target, *path;
  } rows[] = {
      {"/v2/createsubtoken?permissions=account", "/v2/createsubtoken"},
      {"/v2/whoami", "/v2/whoami"},
      {"/v2/keys", "/v2/keys"},
      {"/v2/keys/" KEY_ID, "/v2/keys/"},
      {"/v2//keys///" KEY_ID, "/v2/keys/"},
      {"/metrics", "/metrics"},
      {"/", "/"},
      {"/v2/nothing", "other"},
      {"/v2/whoami/", "other"},
      {"//v2/whoami", "other"},
      {"/utils/hash/secure/", "other"},
      {"/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken",
       "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"},
      {"/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken/",
       "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"},
      {"/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken/x", "other"},
      {"/m42Services/api/ApiToken/GenerateAccessTokenFromApiTokenx", "other"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    (void)get(rows[i].target, AS_KEY);
    const char *is = st_router_route(reply.route).path;
    CHECK(strcmp(is, rows[i].path) == 0, "%s is %s", rows[i].target, is);
  }
  assert_string_equal(st_router_route(st_router_count() + 1).path, "other");
  assert_string_equal(st_router_route(1).path, "/v2/createsubtoken");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_log_in_waits_for_the_last_second),
      TEST(an_unknown_user_waits_as_others_do),
      TEST(who_is_not_found_does_not_log_in),
      TEST(a_session_that_grows_meanwhile_gets_no_token),
      TEST(a_form_that_is_off_is_none),
      TEST(the_first_header_counts),
      TEST(a_body_has_one_type),
      TEST(whoami_tells_what_a_holder_may_know),
      TEST(nothing_is_there_without_an_issuer),
      TEST(a_secret_has_an_age_from_its_first_second),
      TEST(files_have_the_tag_of_all),
      TEST(a_request_names_its_route),
  };
#undef TEST
  return cmocka_run_group_tests_name("service_words", tests, NULL, NULL);
}
