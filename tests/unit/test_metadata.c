/* The metadata of the authorization server, and the authorization endpoint that they name. */
#include "oauth_fixture.h"
#include "policy_fixture.h"

#define RESOURCE "/.well-known/oauth-protected-resource"
#define SERVER "/.well-known/oauth-authorization-server"
#define METADATA(issuer, token, introspection)                                            \
  "{\"issuer\":\"" issuer "\",\"authorization_endpoint\":\"" issuer                       \
  "/oauth/authorize\",\"token_endpoint\":\"" issuer                                       \
  "/oauth/token\",\"token_endpoint_auth_methods_supported\":[" token                      \
  "],\"grant_types_supported\":[\"client_credentials\",\"refresh_token\","                \
  "\"urn:ietf:params:oauth:grant-type:token-exchange\"],\"response_types_supported\":[]," \
  "\"revocation_endpoint\":\"" issuer                                                     \
  "/oauth/revoke\",\"revocation_endpoint_auth_methods_supported\":[\"none\"],"            \
  "\"introspection_endpoint\":\"" issuer                                                  \
  "/oauth/introspect\",\"introspection_endpoint_auth_methods_supported\":[" introspection "]}"

static void set_issuer(const char *issuer) {
  snprintf(settings.issuer, sizeof settings.issuer, "%s", issuer);
}

static void it_is_there_once_the_issuer_is(void **state) {
  (void)state;
  assert_int_equal(get(SERVER, ""), 404);
  check_body("{\"text\":\"there is no such endpoint\"}");
  assert_int_equal(get("/oauth/authorize", ""), 404);
  set_issuer("https://auth.example");
  assert_int_equal(get(SERVER, ""), 200);
  check_body(METADATA("https://auth.example",
                      "\"client_secret_basic\",\"client_secret_post\",\"none\"",
                      "\"client_secret_basic\",\"client_secret_post\",\"Bearer\""));
  assert_int_equal(get(SERVER "?x=1", ""), 200);
  assert_int_equal(fixture_ask("HEAD", SERVER, "", ""), 200);
  assert_int_equal(post(SERVER, AS_FORM, ""), 405);
  assert_string_equal(reply.allow, "GET, HEAD, OPTIONS");
}

/* Names what the settings let in, and no more. */
static void it_says_what_is_supported(void **state) {
  (void)state;
  set_issuer("https://[::1]:8443/a/b");
  settings.credentials = ST_FORM_API_KEY;
  assert_int_equal(get(SERVER, ""), 200);
  check_body(METADATA("https://[::1]:8443/a/b", "\"client_secret_post\",\"none\"",
                      "\"client_secret_post\""));
}

static void a_path_of_the_issuer_stands_behind(void **state) {
  (void)state;
  char target[512];
  static const struct {
    const char *issuer, *behind;
    int status;
  } rows[] = {
      {"https://auth.example", "/", 404},      {"https://auth.example", "/a", 404},
      {"https://auth.example/a", "/a", 200},   {"https://auth.example/a", "", 200},
      {"https://auth.example/a", "/a/", 404},  {"https://auth.example/a", "/b", 404},
      {"https://auth.example/a", "/A", 404},   {"https://auth.example/a/b", "/a/b?x=/c", 200},
      {"https://auth.example/a/b", "/a", 404}, {"https://auth.example/a/b", "a/b", 404},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    set_issuer(rows[i].issuer);
    snprintf(target, sizeof target, SERVER "%s", rows[i].behind);
    CHECK(get(target, "") == rows[i].status, "%zu: %d", i, reply.status);
  }
  /* One that is longer than any route of ours. */
  snprintf(settings.issuer, sizeof settings.issuer, "https://a/%0200d", 7);
  snprintf(target, sizeof target, SERVER "/%0200d", 7);
  assert_int_equal(get(target, ""), 200);
  snprintf(target, sizeof target, SERVER "/%0201d", 7);
  assert_int_equal(get(target, ""), 404);
}

/* The longest issuer fits the reply. */
static void the_longest_issuer_fits(void **state) {
  (void)state;
  snprintf(settings.issuer, sizeof settings.issuer, "https://%0*d", ST_ISSUER_MAX - 8, 1);
  assert_int_equal(get(SERVER, ""), 200);
  assert_string_equal(member("issuer"), settings.issuer);
}

/* What the document says is tested in test_resource.c. */
static void the_resources_of_the_policy_are_described(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"token\",\"routes\":[{\"path\":\"/mcp\",\"needs\":[\"mcp\",\"docs\"],"
      "\"resource\":\"https://api.example/mcp\"}]}";
  assert_int_equal(get(RESOURCE "/mcp", ""), 404);
  service.policy = policy_of(text);
  assert_int_equal(get(RESOURCE "/mcp", ""), 404);
  check_body("{\"text\":\"there is no such endpoint\"}");
  set_issuer("https://auth.example");
  for (int i = 0; i < 3; i++) {
    assert_int_equal(fixture_ask(i == 2 ? "HEAD" : "GET",
                                 i == 1 ? RESOURCE "/mcp?x=1" : RESOURCE "/mcp", "", ""),
                     200);
    assert_string_equal(member("resource"), "https://api.example/mcp");
    assert_non_null(memmem(reply.body, reply.body_len,
                           "\"authorization_servers\":[\"https://auth.example\"]", 48));
  }
  static const char *const others[] = {RESOURCE, RESOURCE "/", RESOURCE "/mcp/", RESOURCE "/x",
                                       RESOURCE "/mcp%2F"};
  for (size_t i = 0; i < COUNT(others); i++) {
    CHECK(get(others[i], "") == 404, "%s: %d", others[i], reply.status);
  }
  assert_int_equal(post(RESOURCE "/mcp", AS_FORM, ""), 405);
  drop(service.policy);
}

static void there_are_no_authorization_requests(void **state) {
  (void)state;
  set_issuer("https://auth.example");
  for (int i = 0; i < 2; i++) {
    assert_int_equal(i == 0 ? get("/oauth/authorize?response_type=code&client_id=x", "")
                            : post("/oauth/authorize", AS_FORM, "response_type=token"),
                     400);
    check_oauth_error(400, "unsupported_response_type",
                      "response_type: none is supported; a token comes from /oauth/token");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(it_is_there_once_the_issuer_is, fixture_set_up),
      cmocka_unit_test_setup(it_says_what_is_supported, fixture_set_up),
      cmocka_unit_test_setup(a_path_of_the_issuer_stands_behind, fixture_set_up),
      cmocka_unit_test_setup(the_longest_issuer_fits, fixture_set_up),
      cmocka_unit_test_setup(the_resources_of_the_policy_are_described, fixture_set_up),
      cmocka_unit_test_setup(there_are_no_authorization_requests, fixture_set_up),
  };
  return cmocka_run_group_tests_name("metadata", tests, NULL, NULL);
}
