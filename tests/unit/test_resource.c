/* resource: the challenge that names the metadata of a protected resource (RFC 9728), and the
 * metadata.
 */
#include "policy_fixture.h"

#include "core/resource.h"

#define ISSUER "https://auth.example.com"
#define WELL_KNOWN "/.well-known/oauth-protected-resource"

static void a_401_names_the_document(void **state) {
  (void)state;
  static const struct {
    const char *challenge, *resource, *issuer, *expected;
  } rows[] = {
      {"Bearer", "https://api.example.com/mcp", ISSUER,
       "Bearer resource_metadata=\"https://api.example.com" WELL_KNOWN "/mcp\""},
      {"Bearer error=\"invalid_token\"", "https://api.example.com/mcp", ISSUER,
       "Bearer error=\"invalid_token\", resource_metadata=\"https://api.example.com" WELL_KNOWN
       "/mcp\""},
      {"Bearer", "https://api.example.com", ISSUER,
       "Bearer resource_metadata=\"https://api.example.com" WELL_KNOWN "\""},
      {"Bearer", "https://api.example.com/", ISSUER,
       "Bearer resource_metadata=\"https://api.example.com" WELL_KNOWN "\""},
      {"Bearer", "https://api.example.com:8443/a/b/", ISSUER,
       "Bearer resource_metadata=\"https://api.example.com:8443" WELL_KNOWN "/a/b/\""},
      {"Bearer", "https://[::1]:1/a", ISSUER,
       "Bearer resource_metadata=\"https://[::1]:1" WELL_KNOWN "/a\""},
      {"Bearer", "https://a/%62", ISSUER,
       "Bearer resource_metadata=\"https://a" WELL_KNOWN "/%62\""},
      {"Bearer", "https://a/b", "", "Bearer"},
      {"Bearer", "https://a/b", "http://auth.example.com", "Bearer"},
      {"Bearer", "https://a/b", "https://", "Bearer"},
      {"Bearer", "http://a/b", ISSUER, "Bearer"},
      {"Bearer", "https://a/b\"", ISSUER, "Bearer"},
      {"Bearer", "https://a\r\n/b", ISSUER, "Bearer"},
      {"Bearer", "", ISSUER, "Bearer"},
      {"Bearer", "https://a/b", "https://i",
       "Bearer resource_metadata=\"https://a" WELL_KNOWN "/b\""},
  };
  char out[SUBTOKEN_CHALLENGE_MAX];
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = subtoken_resource_challenge(st_text(rows[i].challenge), st_text(rows[i].resource),
                                             st_text(rows[i].issuer), out, sizeof out);
    CHECK(len == strlen(rows[i].expected) && strcmp(out, rows[i].expected) == 0, "row %zu: %s", i,
          out);
    assert_int_equal(
        subtoken_resource_challenge(st_text(rows[i].challenge), st_text(rows[i].resource),
                                    st_text(rows[i].issuer), out, len),
        0);
  }
  subtoken_text none = {NULL, 0};
  assert_int_equal(subtoken_resource_challenge(st_text("Bearer"), none, none, out, sizeof out), 6);
  assert_int_equal(subtoken_resource_challenge(none, none, none, out, sizeof out), 0);
  /* The longest resource fits. */
  static char url[SUBTOKEN_POLICY_RESOURCE_MAX + 2];
  memset(url, 'a', sizeof url - 1);
  memcpy(url, "https://", 8);
  assert_int_equal(subtoken_resource_challenge(st_text("Bearer"), st_text(url), st_text(ISSUER),
                                               out, sizeof out),
                   6); /* it is too long, and no policy has it */
  /* The longest issuer, and one character more. */
  static char issuer[SUBTOKEN_ISSUER_MAX + 2];
  memset(issuer, 'i', sizeof issuer - 1);
  memcpy(issuer, "https://", 8);
  subtoken_text bearer = st_text("Bearer"), short_url = st_text("https://a");
  assert_int_equal(subtoken_resource_challenge(bearer, short_url, st_text(issuer), out, sizeof out),
                   6);
  issuer[SUBTOKEN_ISSUER_MAX] = '\0';
  assert_true(subtoken_resource_challenge(bearer, short_url, st_text(issuer), out, sizeof out) > 6);
  url[SUBTOKEN_POLICY_RESOURCE_MAX] = '\0';
  assert_true(subtoken_resource_challenge(st_text("Bearer"), st_text(url), st_text(ISSUER), out,
                                          sizeof out) > SUBTOKEN_POLICY_RESOURCE_MAX);
}

static void the_document_is_found_by_its_path(void **state) {
  (void)state;
  static const char mcp[] =
      "{\"resource\":\"https://api.example.com/mcp\",\"authorization_servers\":[\"" ISSUER
      "\"],\"bearer_methods_supported\":[\"header\"],\"scopes_supported\":[\"mcp\",\"docs\"]}";
  static const char root[] =
      "{\"resource\":\"https://api.example.com/\",\"authorization_servers\":[\"" ISSUER
      "\"],\"bearer_methods_supported\":[\"header\"]}";
  static const char one[] =
      "{\"resource\":\"https://api.example.com/one\",\"authorization_servers\":[\"" ISSUER
      "\"],\"bearer_methods_supported\":[\"header\"],\"scopes_supported\":[\"o\"]}";
  static const struct {
    const char *target, *expected;
  } rows[] = {
      {WELL_KNOWN "/mcp", mcp},
      {WELL_KNOWN "/mcp?a=b", mcp},
      {WELL_KNOWN "/%6dcp", mcp},
      {WELL_KNOWN, root},
      {WELL_KNOWN "?a", root},
      {WELL_KNOWN "/", NULL},
      {WELL_KNOWN "/one", one},
      {WELL_KNOWN "/mcp/", NULL},
      {WELL_KNOWN "/mcp%2f", NULL},
      {WELL_KNOWN "/mcp%2", NULL},
      {WELL_KNOWN "/MCP", NULL},
      {WELL_KNOWN "/mcp/x", NULL},
      {WELL_KNOWN "//mcp", NULL},
      {WELL_KNOWN "/a/../mcp", NULL},
      {WELL_KNOWN "mcp", NULL},
      {WELL_KNOWN "/elsewhere", NULL},
      {"/.well-known/oauth-authorization-server", NULL},
      {"/.well%2dknown/oauth-protected-resource/mcp", NULL},
      {"https://api.example.com" WELL_KNOWN "/mcp", NULL},
      {"/mcp", NULL},
      {"", NULL},
  };
  const subtoken_policy *policy = policy_of(
      "{\"default\":\"deny\",\"routes\":["
      "{\"path\":\"/mcp\",\"needs\":[\"mcp\",\"docs\"],\"mcp\":{\"*\":[\"x\"]},"
      "\"resource\":\"https://api.example.com/mcp\"},"
      "{\"path\":\"/other\",\"needs\":[\"z\"],\"resource\":\"https://api.example.com/mcp\"},"
      "{\"path\":\"/one\",\"needs\":[\"o\"],\"resource\":\"https://api.example.com/one\"},"
      "{\"path\":\"/\",\"resource\":\"https://api.example.com/\"},{\"path\":\"/none\"}]}");
  char out[SUBTOKEN_METADATA_MAX];
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text target = exact_string(rows[i].target);
    size_t want = rows[i].expected == NULL ? 0 : strlen(rows[i].expected);
    size_t len = subtoken_policy_metadata(policy, target, st_text(ISSUER), out, sizeof out);
    CHECK(len == want && (len == 0 || strcmp(out, rows[i].expected) == 0), "%s: %s", rows[i].target,
          len > 0 ? out : "none");
    assert_int_equal(subtoken_policy_metadata(policy, target, st_text(ISSUER), out, want), 0);
    assert_int_equal(subtoken_policy_metadata(policy, target, st_text(""), out, sizeof out), 0);
    release(target);
  }
  subtoken_text target = st_text(WELL_KNOWN "/mcp"), none = {NULL, 0};
  assert_int_equal(subtoken_policy_metadata(NULL, target, st_text(ISSUER), out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, none, st_text(ISSUER), out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, none, out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, st_text(ISSUER), NULL, 9), 0);
  drop(policy);
}

static void what_is_wrong_with_a_url_is_told(void **state) {
  (void)state;
  static const char https[] = "must be an https URL", query[] = "must not have a query",
                    fragment[] = "must not have a fragment",
                    host[] = "must have a host, and no name or password before it",
                    port[] = "must not have a port above 65535",
                    path[] = "has a path that can be read in more than one way";
  static const struct {
    const char *url, *problem;
  } rows[] = {
      {"https://h", NULL},           {"https://h/", NULL},       {"https://h.example:9/a", NULL},
      {"https://h:99", NULL},        {"https://h:65535", NULL},  {"https://h:65536", port},
      {"https://h:99999", port},     {"https://a99999", NULL}, /* no port */
      {"https://99999", NULL},       {"https://999999", NULL},   {"https://9", NULL},
      {"https://[::0]", NULL},       {"https://[::]", NULL},     {"https://[::1]:0", NULL},
      {"https://[::1]:65536", port}, {"https://[::1]180", host}, {"https://[::1]:", host},
      {"https://[g::1]", host},      {"https://[::g]", host},    {"https://[:]", host},
      {"https://[]", host},          {"https://[::1", host},     {"https://[", host},
      {"https://h:-1", host},        {"https://h:1a", host},     {"https://h:", host},
      {"https://h:123456", host},    {"https://:1", host},       {"https:///a", host},
      {"https://u@h", host},         {"https://", https},        {"https:/h", https},
      {"http://h", https},           {"HTTPS://h", https},       {"", https},
      {"https://h?a", query},        {"https://h/a?", query},    {"https://h#a", fragment},
      {"https://h/a#", fragment},    {"https://h/a//b", path},   {"https://h/%2f", path},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text url = exact_string(rows[i].url);
    const char *got = st_resource_problem(url);
    CHECK(rows[i].problem == NULL ? got == NULL : got != NULL && strcmp(got, rows[i].problem) == 0,
          "%s: %s", rows[i].url, got == NULL ? "good" : got);
    release(url);
  }
}

static void documents_and_resources_are_compared(void **state) {
  (void)state;
  static const struct {
    const char *one, *other;
    bool document, listed; /* the other, in a policy with the one, if that is good */
  } rows[] = {
      {"https://h/a", "https://h/a", true, true},
      {"https://h/a", "https://i/a", true, false},
      {"https://h/a", "https://h/b", false, false},
      {"https://h/a", "https://h", false, false},
      {"https://h", "https://h/a", false, false},
      {"https://h", "https://h/", true, true},
      {"https://h/", "https://h", true, true},
      {"https://h/a", "https://h/%61", true, false},
      {"https://h/a", "https://h/a%2f", false, false},
      {"https://h/a%2f", "https://h/a", false, false},
      {"https://h/a", "http://h/a", false, false},
      {"http://h/a", "https://h/a", false, false},
      {"http://h/a", "http://h/a", false, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text one = st_text(rows[i].one), other = st_text(rows[i].other);
    CHECK(st_resource_same_document(one, other) == rows[i].document, "row %zu", i);
    if (st_resource_problem(one) != NULL) continue;
    char text[200];
    snprintf(text, sizeof text,
             "{\"default\":\"deny\",\"routes\":[{\"path\":\"/p\",\"resource\":\"%s\"}]}",
             rows[i].one);
    const subtoken_policy *policy = policy_of(text);
    CHECK(st_resource_is_listed(policy, other) == rows[i].listed, "row %zu", i);
    drop(policy);
  }
}

/* With as many as there may be, and one more. */
static void resources_have_a_limit(void **state) {
  (void)state;
  static char text[1 << 16];
  subtoken_result result;
  subtoken_policy_error error;
  char out[SUBTOKEN_METADATA_MAX];
  for (int count = 256; count <= 257; count++) {
    int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[");
    for (int i = 0; i < 2 * count; i++) {
      len += snprintf(text + len, 128, "%s{\"path\":\"/%d\",\"resource\":\"https://h/%d\"}",
                      i > 0 ? ",\n" : "", i, i / 2);
    }
    len += snprintf(text + len, 8, "]}");
    const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
    CHECK((policy != NULL) == (count == 256), "%s", error.text);
    if (policy == NULL) {
      assert_string_equal(error.text,
                          "routes[512].resource: too many different resources (maximum 256)");
      assert_int_equal(error.line, 513);
      continue;
    }
    assert_true(subtoken_policy_metadata(policy, st_text(WELL_KNOWN "/255"), st_text(ISSUER), out,
                                         sizeof out) > 0);
    drop(policy);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_401_names_the_document),
      cmocka_unit_test(the_document_is_found_by_its_path),
      cmocka_unit_test(what_is_wrong_with_a_url_is_told),
      cmocka_unit_test(documents_and_resources_are_compared),
      cmocka_unit_test(resources_have_a_limit),
  };
  return cmocka_run_group_tests_name("resource", tests, NULL, NULL);
}
