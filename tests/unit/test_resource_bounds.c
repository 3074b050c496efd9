/* Characters at the borders of their classes, and resources and their documents at the ends of what
 * they may be. What good ones give is in test_resource.c.
 */
#include "policy_fixture.h"

#include "core/mcp_message.h"
#include "core/mcp_name.h"
#include "core/resource.h"

static const subtoken_text absent = {NULL, 0};

/* ---- characters ---- */

static size_t put_code(char *out, uint32_t code) {
  st_writer writer = st_writer_on(out, 8);
  if (code < 0x80) {
    st_write_char(&writer, (char)code);
  } else if (code < 0x800) {
    st_write_char(&writer, (char)(0xC0 | code >> 6));
  } else if (code < 0x10000) {
    st_write_char(&writer, (char)(0xE0 | code >> 12));
    st_write_char(&writer, (char)(0x80 | (code >> 6 & 0x3F)));
  } else {
    st_write_char(&writer, (char)(0xF0 | code >> 18));
    st_write_char(&writer, (char)(0x80 | (code >> 12 & 0x3F)));
    st_write_char(&writer, (char)(0x80 | (code >> 6 & 0x3F)));
  }
  if (code >= 0x80) st_write_char(&writer, (char)(0x80 | (code & 0x3F)));
  return writer.len;
}

static bool is_among(uint32_t code, const uint32_t (*ranges)[2], size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (code >= ranges[i][0] && code <= ranges[i][1]) return true;
  }
  return false;
}

/* Each code point of Unicode, at each end of a name. White_Space of Unicode 15, and U+FEFF, which
 * String.prototype.trim takes off. */
static void names_are_trimmed_and_clear_as_unicode_says(void **state) {
  (void)state;
  static const uint32_t spaces[][2] = {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},
                                       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                                       {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                       {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  static const uint32_t odd[][2] = {{0, 0x1F}, {0x7F, 0x9F}, {0x2028, 0x2029}, {0xFEFF, 0xFEFF}};
  for (uint32_t code = 0; code <= 0x10FFFF; code++) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    char text[10] = "a";
    size_t len = put_code(text + 1, code);
    text[len + 1] = 'a';
    bool space = is_among(code, spaces, COUNT(spaces));
    subtoken_text first = {text + 1, len + 1}, last = {text, len + 1}, whole = {text, len + 2};
    CHECK(st_mcp_name_trimmed(first) == !space, "U+%04X first", (unsigned)code);
    CHECK(st_mcp_name_trimmed(last) == !space, "U+%04X last", (unsigned)code);
    CHECK(st_mcp_name_trimmed(whole), "U+%04X within", (unsigned)code);
    CHECK(st_mcp_name_clear(whole) == !is_among(code, odd, COUNT(odd)), "U+%04X", (unsigned)code);
    CHECK(st_mcp_name_marked(first) == (code == 0xFEFF), "U+%04X", (unsigned)code);
  }
  assert_true(st_mcp_name_trimmed(ST_TEXT("")));
  assert_false(st_mcp_name_trimmed(ST_TEXT("\xFF")));
  assert_false(st_mcp_name_trimmed(ST_TEXT("a\xFF")));
  assert_false(st_mcp_name_trimmed(ST_TEXT("\x80\x80")));
  assert_false(st_mcp_name_clear(ST_TEXT("a\x80")));
  assert_false(st_mcp_name_marked(ST_TEXT("")));
}

static void a_uri_has_a_scheme_in_lower_case_or_none(void **state) {
  (void)state;
  static const struct {
    const char *uri;
    bool good;
  } rows[] = {{"file:///a", true},   {"File:///a", false}, {"filE:a", false}, {"a+b-c.d1:x", true},
              {"A+b-c.d1:x", false}, {"a1B:x", false},     {"1A:x", true},    {":A", true},
              {"A", true},           {"", true},           {"A_B:x", true},   {"A/B:x", true},
              {"[A:x", true},        {"@A:x", true},       {"`A:x", true},    {"{A:x", true},
              {"a[A:x", true},       {"a;A:x", true},      {"Z:x", false},    {"z:x", true},
              {"a b", false},        {"a\x7F", false},     {"a\tb", false},   {"a\xC3\xA4", true}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    bool good = st_mcp_uri_problem(st_text(rows[i].uri)) == NULL;
    CHECK(good == rows[i].good, "%s", rows[i].uri);
  }
}

static void a_method_is_visible(void **state) {
  (void)state;
  for (int c = 0; c < 256; c++) {
    char text[3] = {'a', (char)c, 'b'};
    CHECK(st_mcp_method_valid((subtoken_text){text, 3}) == (c > 0x20 && c < 0x7F), "%d", c);
  }
  assert_false(st_mcp_method_valid(ST_TEXT("")));
  subtoken_text most = repeated("", 'm', SUBTOKEN_POLICY_MCP_METHOD_MAX);
  subtoken_text more = repeated("", 'm', SUBTOKEN_POLICY_MCP_METHOD_MAX + 1);
  assert_true(st_mcp_method_valid(most));
  assert_false(st_mcp_method_valid(more));
  release(most);
  release(more);
}

/* ---- resources ---- */

static void a_resource_is_an_https_url_without_a_query(void **state) {
  (void)state;
  static const struct {
    const char *url;
    bool good;
  } rows[] = {
      {"https://h", true},         {"https://h/", true},        {"https://h/a", true},
      {"https://", false},         {"https:///a", false},       {"http://h", false},
      {"https://h?a", false},      {"https://h#a", false},      {"https://u@h", false},
      {"https://h:1", true},       {"https://h:65535", true},   {"https://h:65536", false},
      {"https://h:99999", false},  {"https://h:123456", false}, {"https://h:", false},
      {"https://h:a", false},      {"https://h:1a", false},     {"https://:1", false},
      {"https://123", true},       {"https://12345", true},     {"https://123456", true},
      {"https://123:45678", true}, {"https://[::1]", true},     {"https://[::1]:80", true},
      {"https://[::1]x", false},   {"https://[::1", false},     {"https://[:]", false},
      {"https://[a]", false},      {"https://[::g]", false},    {"https://[::1.2.3.4]", true},
      {"https://[::1/", false},    {"https://[::1]:", false},   {"https://[::1]:65536", false},
      {"https://a.b-c_d", true},   {"https://a~b", false},      {"https://h/a//b", false},
      {"https://h/..", false},     {"https://h:/", false},      {"https://h:+1", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    bool good = st_resource_problem(st_text(rows[i].url)) == NULL;
    CHECK(good == rows[i].good, "%s", rows[i].url);
  }
}

static void a_document_is_of_a_path(void **state) {
  (void)state;
  static const struct {
    const char *one, *other;
    bool same;
  } rows[] = {{"https://h", "https://h/", true},      {"https://h/a", "https://h/a", true},
              {"https://h/a", "https://i/a", true},   {"https://h/a", "https://h/b", false},
              {"https://h/a", "https://h/aa", false}, {"http://h/a", "https://h/a", false},
              {"https://h/a", "http://h/a", false},   {"https://h/..", "https://h/..", false},
              {"https://h/a", "https://h/..", false}, {"https://h/%61", "https://h/a", true}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_resource_same_document(st_text(rows[i].one), st_text(rows[i].other)) == rows[i].same,
          "row %zu", i);
  }
}

#define ISSUER "https://issuer.example"

static void a_challenge_names_a_document_that_is_there(void **state) {
  (void)state;
  char out[512], long_issuer[SUBTOKEN_ISSUER_MAX + 2];
  memset(long_issuer, 'i', sizeof long_issuer);
  memcpy(long_issuer, "https://", 8);
  subtoken_text bearer = ST_TEXT("Bearer"), resource = ST_TEXT("https://h/a"),
                issuer = ST_TEXT(ISSUER);
  const struct {
    subtoken_text challenge, resource, issuer;
    const char *want;
  } rows[] = {
      {bearer, resource, issuer,
       "Bearer resource_metadata=\"https://h/.well-known/oauth-protected-resource/a\""},
      {bearer, ST_TEXT("https://h/"), issuer,
       "Bearer resource_metadata=\"https://h/.well-known/oauth-protected-resource\""},
      {ST_TEXT("Bearer x=\"y\""), ST_TEXT("https://h"), issuer,
       "Bearer x=\"y\", resource_metadata=\"https://h/.well-known/oauth-protected-resource\""},
      {bearer, absent, issuer, "Bearer"},
      {bearer, resource, absent, "Bearer"},
      {bearer, resource, ST_TEXT("https:///a"), "Bearer"},
      {bearer, resource, ST_TEXT("http://a"), "Bearer"},
      {bearer, resource, {long_issuer, SUBTOKEN_ISSUER_MAX + 1}, "Bearer"},
      {bearer, ST_TEXT("http://h/a"), issuer, "Bearer"},
      {absent, resource, issuer, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = subtoken_resource_challenge(rows[i].challenge, rows[i].resource, rows[i].issuer,
                                             out, sizeof out);
    CHECK(len == (rows[i].want == NULL ? 0 : strlen(rows[i].want)), "row %zu: %zu", i, len);
    if (len > 0) CHECK(strcmp(out, rows[i].want) == 0, "row %zu: %s", i, out);
  }
  assert_int_equal(subtoken_resource_challenge(bearer, resource, issuer, NULL, 9), 0);
  assert_int_equal(subtoken_resource_challenge(bearer, resource, issuer, out, 0), 0);
  assert_int_equal(subtoken_resource_challenge(bearer, resource, issuer, out, 20), 0);
}

static void a_document_is_found_by_its_target(void **state) {
  (void)state;
  char out[512];
  const subtoken_policy *policy = brief_policy_of(
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"resource\":\"https://h/a\"},"
      "{\"path\":\"/b\",\"resource\":\"https://h/\"},{\"path\":\"/c\"}]}");
  static const struct {
    const char *target;
    bool found;
  } rows[] = {{"/.well-known/oauth-protected-resource/a", true},
              {"/.well-known/oauth-protected-resource/a?x", true},
              {"/.well-known/oauth-protected-resource", true},
              {"/.well-known/oauth-protected-resource/", false},
              {"/.well-known/oauth-protected-resource/b", false},
              {"/.well-known/oauth-protected-resource/..", false},
              {"/.well-known/oauth-protected-resourcea", false},
              {"/.well-known/oauth-protected-resourcf/a", false},
              {"/a", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len =
        subtoken_policy_metadata(policy, st_text(rows[i].target), ST_TEXT(ISSUER), out, sizeof out);
    CHECK((len > 0) == rows[i].found, "%s", rows[i].target);
  }
  subtoken_text target = st_text(rows[0].target), issuer = ST_TEXT(ISSUER);
  assert_int_equal(subtoken_policy_metadata(NULL, target, issuer, out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, absent, issuer, out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, absent, out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, NULL, 9), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, out, 0), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, out, 20), 0);
  static const struct {
    const char *url;
    bool listed;
  } listed[] = {{"https://h/a", true},  {"https://h", true},    {"https://h/", true},
                {"https://i/a", false}, {"https://h/c", false}, {"http://h/a", false}};
  for (size_t i = 0; i < COUNT(listed); i++) {
    CHECK(st_resource_is_listed(policy, st_text(listed[i].url)) == listed[i].listed, "%s",
          listed[i].url);
  }
  policy = brief_policy_of(MCP_POLICY);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, out, sizeof out), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_trimmed_and_clear_as_unicode_says),
      cmocka_unit_test(a_uri_has_a_scheme_in_lower_case_or_none),
      cmocka_unit_test(a_method_is_visible),
      cmocka_unit_test(a_resource_is_an_https_url_without_a_query),
      cmocka_unit_test(a_document_is_of_a_path),
      cmocka_unit_test(a_challenge_names_a_document_that_is_there),
      cmocka_unit_test(a_document_is_found_by_its_target),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
