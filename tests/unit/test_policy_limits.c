/* policy: texts that end anywhere, errors behind which the reader goes on or does not, and policies
 * of as many routes, shapes and segments as there may be. The tests of each source file have the
 * ordinary ones.
 */
#include "policy_fixture.h"

#define DENY "{\"default\":\"deny\",\"routes\":["

/* `line:column text`, or "" for a policy that can be read. */
static const char *error_of(const char *text, size_t len) {
  static char out[SUBTOKEN_POLICY_ERROR_MAX + 64];
  subtoken_result result;
  subtoken_policy_error error;
  const subtoken_policy *policy = try_read(text, len, &result, &error);
  if (policy != NULL) {
    drop(policy);
    return "";
  }
  snprintf(out, sizeof out, "%zu:%zu %s", error.line, error.column, error.text);
  return out;
}

#define X47 X10 X10 X10 X10 "xxxxxxx"
#define M32 "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF"
#define M128 M32 M32 M32 M32

static void errors_say_what_is_wrong_and_no_more(void **state) {
  (void)state;
  static const struct {
    const char *text, *error;
  } rows[] = {
      /* what is a duplicate, and what only stands where one could be */
      {"{\"default\":\"deny\" \"routes\":[]}", "1:19 not strict JSON"},
      {"{\"default\":\"deny\",xdefault\":\"deny\"}", "1:19 not strict JSON"},
      {"{\"preflight\":true,\"preflight\":true}", "1:19 \"preflight\" is a duplicate"},
      {ONE("\"needs\":[\"a\"] \"path\":\"/a\""), "1:44 routes[0]: not strict JSON"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":[\"b\"]},\"mcp_headers\":\"2026-07-28\","
           "\"mcp_headers\":\"2026-07-28\""),
       "1:87 routes[0]: \"mcp_headers\" is a duplicate"},
      {ONE("\"mcp\":{\"ping\":[\"a\"],\"pingx\":[\"b\"],\"pingx\":[\"c\"]}"),
       "1:64 routes[0].mcp: \"pingx\" is a duplicate"},
      {ONE("\"mcp\":{\"ping\":[\"a\"],xping\":[\"b\"]}"), "1:50 routes[0].mcp: not strict JSON"},
      /* places */
      {"\n\n" DENY "\n{\"path\":\"/a\"},\n{\"path\":\"/a\"}]}",
       "5:9 routes[1].path: same path and method as in line 4"},
      {DENY "{\"path\":\"/a\"} x]}", "1:43 routes[1]: not strict JSON"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"ping\":[\"" X60 "xxxxx\"]}"),
       "1:57 routes[0].mcp.\"ping\"[0]: \"xxxxxxxxxxxxxxxxxxxx...\" must not be longer than 64 "
       "characters"},
      /* values are cut behind a character */
      {"{\"default\":\"" X47 "\xC3\xA9\"}",
       "1:12 default: \"" X47 "...\" must be deny, token or public"},
      {"{\"default\":\"" X47 "xx\"}",
       "1:12 default: \"" X47 "x...\" must be deny, token or public"},
      {"{\"default\":\"" X47 "x\"}", "1:12 default: \"" X47 "x\" must be deny, token or public"},
      {"{\"default\":\"xx" X10 X10 X10 X10 "xxxx\xF0\x9F\x98\x80y\"}",
       "1:12 default: \"xx" X10 X10 X10 X10 "xxxx...\" must be deny, token or public"},
      /* methods of a route, with those of others of its path */
      {DENY "{\"path\":\"/a\"},{\"path\":\"/a\",\"methods\":[\"GET\"]}]}",
       "1:51 routes[1].path: same path and method as in line 1"},
      {DENY "{\"path\":\"/a\",\"methods\":[\"GET\"]},{\"path\":\"/a\"}]}",
       "1:69 routes[1].path: same path and method as in line 1"},
      {DENY "{\"path\":\"/a\",\"methods\":[\"POST\"]},{\"path\":\"/a\",\"methods\":[\"POST\"]}]}",
       "1:70 routes[1].path: same path and method as in line 1"},
      {DENY "{\"path\":\"/a\",\"methods\":[\"POST\"]},{\"path\":\"/a\",\"methods\":[\"GET\"]}]}",
       ""},
      {ONE("\"path\":\"/a\",\"methods\":[\"" M32 "\"]"), ""},
      {ONE("\"path\":\"/a\",\"methods\":[\"" M32 "A\"]"),
       "1:53 routes[0].methods[0]: \"" M32 "A\" must not be longer than 32 letters"},
      {ONE("\"path\":\"G:/a\""),
       "1:37 routes[0].path: \"G:/a\" must not start with a method: use methods"},
      /* what is switched off excludes nothing */
      {ONE("\"path\":\"/a\",\"json_rpc\":false,\"public\":true"), ""},
      {ONE("\"path\":\"/a\",\"json_rpc\":false,\"mcp\":{\"ping\":[\"a\"]}"), ""},
      {ONE("\"path\":\"/a\",\"public\":false,\"needs\":[\"a\"]"), ""},
      /* members of mcp */
      {ONE("\"path\":\"/a\",\"mcp\":{\"INITIALIZE\":[\"a\"]}"),
       "1:49 routes[0].mcp: \"INITIALIZE\" is a method of MCP in another case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call A:b c\":[\"a\"]}"), ""},
      {ONE("\"path\":\"/a\",\"mcp\":{\"resources/read A:b\":[\"a\"]}"),
       "1:49 routes[0].mcp: \"resources/read A:b\" has a URI whose scheme is not in lower case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a*\":[\"a\"]}"),
       "1:49 routes[0].mcp: \"a*\" must not have a * within the method"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"" M128 "\":[\"a\"]}"), ""},
      {ONE("\"path\":\"/a\",\"mcp\":{\"" M128 "A\":[\"a\"]}"),
       "1:49 routes[0].mcp: \"" M32 "ABCDEFGHIJKLMNOP...\" has a method of more than 128 "
       "characters"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *error = error_of(rows[i].text, strlen(rows[i].text));
    CHECK(strcmp(error, rows[i].error) == 0, "row %zu: %s", i, error);
  }
}

/* Wherever it ends: nothing behind it is read, and it is said to have ended, or what was there. */
static void a_text_may_end_anywhere(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"mcp\":{\"tools/call x\":[\"a\"],"
      "\"tools/call x\":[\"b\"]},\"path\":\"/b\"}],\"default\":\"deny\"}";
  static const char again[] = "{\"preflight\":true,\"default\":\"deny\",\"default\":\"deny\"}";
  for (size_t len = 0; len < sizeof text; len++) {
    CHECK(error_of(text, len)[0] != '\0', "%zu", len);
  }
  for (size_t len = 0; len < sizeof again; len++) {
    const char *error = error_of(again, len);
    CHECK(error[0] != '\0', "%zu", len);
    if (len >= 44) CHECK(strstr(error, "\"default\" is a duplicate") != NULL, "%zu %s", len, error);
  }
}

/* Many of the characters that are counted to plan the memory are no more than the text is long. */
static void a_text_of_one_character_needs_no_more_memory(void **state) {
  (void)state;
  static const char characters[] = "{\"[";
  for (size_t i = 0; i < sizeof characters - 1; i++) {
    for (size_t len = 1; len <= 5000; len = 2 * len + 1) {
      subtoken_text text = repeated("", characters[i], len);
      const char *error = error_of(text.data, len);
      CHECK(strstr(error, "1:1 ") == error || strstr(error, "not strict JSON") != NULL ||
                strstr(error, "unexpected end") != NULL,
            "%zu %c: %s", len, characters[i], error);
      release(text);
    }
  }
  for (size_t len = 0; len <= SUBTOKEN_POLICY_TEXT_MAX; len = 3 * len + 1) {
    CHECK(subtoken_policy_size(len) <= 14 * len + (size_t)80 * 1024, "%zu", len);
  }
}

static void arguments_are_looked_at(void **state) {
  (void)state;
  static char memory[4096] __attribute__((aligned(8)));
  static const char text[] = "{\"default\":\"deny\"}";
  const subtoken_policy *policy;
  subtoken_policy_error error;
  subtoken_text absent = {NULL, 1}, good = {text, sizeof text - 1};
  assert_int_equal(subtoken_policy_read(memory, sizeof memory, absent, &policy, &error),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_read(memory + 1, sizeof memory - 1, good, &policy, &error),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_string_equal(error.text, "invalid argument: the memory must be aligned to 8 bytes");
  /* The least size that is enough is all used: the text is at its end. */
  size_t size = 0;
  while (subtoken_policy_read(memory, size, good, &policy, NULL) != SUBTOKEN_OK) {
    assert_true(size < sizeof memory);
    memset(memory, 0x5A, sizeof memory);
    size++;
  }
  assert_int_equal(memory[size - 1], '}');
  assert_int_equal(memory[size], 0x5A);
  /* The longest text has a size, which this memory has not. */
  subtoken_text zeros = {calloc(1, SUBTOKEN_POLICY_TEXT_MAX), SUBTOKEN_POLICY_TEXT_MAX};
  assert_non_null(zeros.data);
  assert_int_equal(subtoken_policy_read(memory, sizeof memory, zeros, &policy, &error),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  zeros.len++;
  assert_int_equal(subtoken_policy_read(memory, sizeof memory, zeros, &policy, &error),
                   SUBTOKEN_TOO_LARGE);
  free((void *)(uintptr_t)zeros.data);
}

/* ---- look-ups ---- */

/* So that the table has each size, and nothing lies over another thing. */
static void each_of_some_routes_is_found(void **state) {
  (void)state;
  static char text[4096];
  for (int count = 1; count <= 40; count++) {
    int len = snprintf(text, sizeof text, DENY);
    for (int i = 0; i < count; i++) {
      len += snprintf(text + len, sizeof text - (size_t)len, "%s\n{\"path\":\"/p%d\"}",
                      i > 0 ? "," : "", i);
    }
    snprintf(text + len, sizeof text - (size_t)len, "]}");
    const subtoken_policy *policy = policy_of(text);
    for (int i = 0; i <= count; i++) {
      char target[16], want[16];
      snprintf(target, sizeof target, "/p%d", i);
      snprintf(want, sizeof want, i < count ? "token %d" : "denied", i + 2);
      CHECK(strcmp(said(policy, "GET", target, 0), want) == 0, "%s of %d", target, count);
    }
    drop(policy);
  }
}

static void methods_and_characters_of_a_path_are_told_apart(void **state) {
  (void)state;
  const subtoken_policy *policy =
      policy_of(DENY
                "\n{\"path\":\"/post\",\"methods\":[\"POST\"]},\n{\"path\":\"/get\",\"methods\":"
                "[\"GET\"]},\n{\"path\":\"/s/*/t\"},\n{\"path\":\"/%61/b\"}]}");
  static const struct {
    const char *method, *target, *want;
  } rows[] = {
      {"POST", "/post", "token 2"},
      {"HEAD", "/post", "denied 2 not listed"},
      {"HEAD", "/get", "token 3"},
      {"GET", "/s/na%C3%AFve/t", "token 4"}, /* its second byte is a slash with another top bit */
      {"GET", "/s/%C3%AF/t", "token 4"},
      {"GET", "/s/aaaaaaa%C3%AFaaaaaaaa/t", "token 4"},
      {"GET", "/a/b", "token 5"}, /* behind the decoded path there is still a slash */
      {"GET", "/a", "denied"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *got = said(policy, rows[i].method, rows[i].target, 0);
    CHECK(strcmp(got, rows[i].want) == 0, "%s %s: %s", rows[i].method, rows[i].target, got);
  }
  drop(policy);
}

/* A path alone lies in the first slot that is looked at. */
static void slots_are_counted(void **state) {
  (void)state;
  const subtoken_policy *policy = policy_of(DENY "{\"path\":\"/a\"}]}");
  size_t slots = 7;
  st_path path;
  assert_int_equal(st_paths_read_target(ST_TEXT("/a"), &path), SUBTOKEN_FAULT_NONE);
  assert_int_equal(st_policy_lookup(policy, &path, &slots), 1);
  assert_int_equal(slots, 8);
  drop(policy);
}

/* A path of 511 segments, and a star in one of them. */
static void a_star_is_found_in_any_segment(void **state) {
  (void)state;
  static const size_t stars[] = {0, 1, 62, 63, 64, 65, 127, 128, 129, 192, 447, 448, 449, 509};
  static char text[2600], target[1100], other[1100];
  for (size_t i = 0; i < COUNT(stars); i++) {
    int len = snprintf(text, sizeof text, DENY "{\"path\":\"");
    for (size_t n = 0; n < 510; n++) {
      memcpy(text + len + 2 * n, n == stars[i] ? "/*" : "/a", 2);
      memcpy(target + 2 * n, n == stars[i] ? "/b" : "/a", 2);
    }
    memcpy(text + len + 1020, "/z\"}]}", 7);
    memcpy(target + 1020, "/z", 3);
    const subtoken_policy *policy = policy_of(text);
    CHECK(strcmp(said(policy, "GET", target, 0), "token 1") == 0, "%zu", stars[i]);
    memcpy(other, target, sizeof other);
    other[2 * (stars[i] == 0 ? 1 : 0) + 1] = 'c';
    CHECK(strcmp(said(policy, "GET", other, 0), "denied") == 0, "%zu", stars[i]);
    drop(policy);
  }
  /* Of two paths the one whose first star comes later is the more specific. */
  for (size_t first = 62; first <= 66; first++) {
    int len = snprintf(text, sizeof text, DENY);
    for (int route = 0; route < 2; route++) {
      len += snprintf(text + len, sizeof text - (size_t)len, "%s\n{\"path\":\"", route ? "," : "");
      for (size_t n = 0; n < 70; n++) {
        bool star = n == first + (route == 0 ? 0 : 1) || n == 69;
        len += snprintf(text + len, sizeof text - (size_t)len, n < 69 && star ? "/*" : "/a");
      }
      len += snprintf(text + len, sizeof text - (size_t)len, "\"}");
    }
    snprintf(text + len, sizeof text - (size_t)len, "]}");
    for (size_t n = 0; n < 70; n++) memcpy(target + 2 * n, "/a", 3);
    const subtoken_policy *policy = policy_of(text);
    CHECK(strcmp(said(policy, "GET", target, 0), "token 3") == 0, "%zu", first);
    drop(policy);
  }
}

/* ---- as many as there may be ---- */

static char many[400000];

/* `number` in binary, as segments of which those of a one are stars. */
static int write_combination(char *to, size_t size, unsigned number) {
  int len = snprintf(to, size, "{\"path\":\"");
  for (int bit = 0; bit < 9; bit++) {
    len += snprintf(to + len, size - (size_t)len, number >> bit & 1 ? "/*" : "/a");
  }
  return len + snprintf(to + len, size - (size_t)len, "/z\"}");
}

static void so_many_combinations_of_stars_are_read(void **state) {
  (void)state;
  for (unsigned count = 256; count <= 257; count++) {
    int len = snprintf(many, sizeof many, DENY), last = 0;
    for (unsigned i = 1; i <= count; i++) {
      len += snprintf(many + len, sizeof many - (size_t)len, i > 1 ? ",\n" : "\n");
      last = len;
      len += write_combination(many + len, sizeof many - (size_t)len, i);
    }
    /* One that is there already, and one without a star, are no further ones. */
    len += snprintf(many + len, sizeof many - (size_t)len,
                    ",\n{\"path\":\"/*/b/a/a/a/a/a/a/a/z\"},"
                    "{\"path\":\"/a\"},{\"path\":\"/b/*\"}]}");
    const char *error = error_of(many, (size_t)len);
    (void)last;
    CHECK(strcmp(error, count == 256
                            ? ""
                            : "258:9 routes[256].path: too many combinations of places for stars "
                              "(maximum 256)") == 0,
          "%s", error);
  }
}

/* Final stars alone, at as many depths, are no such combinations. */
static void final_stars_may_be_at_any_depth(void **state) {
  (void)state;
  int len = snprintf(many, sizeof many, DENY);
  for (int depth = 0; depth < 300; depth++) {
    len += snprintf(many + len, sizeof many - (size_t)len, "%s\n{\"path\":\"", depth ? "," : "");
    for (int i = 0; i < depth; i++) len += snprintf(many + len, sizeof many - (size_t)len, "/a");
    len += snprintf(many + len, sizeof many - (size_t)len, "/*\"}");
  }
  snprintf(many + len, sizeof many - (size_t)len, "]}");
  const subtoken_policy *policy = policy_of(many);
  assert_string_equal(said(policy, "GET", "/a/a/b/c", 0), "token 4");
  drop(policy);
}

static void calls_are_counted_for_each_route(void **state) {
  (void)state;
  for (int more = 0; more < 2; more++) {
    int len = snprintf(many, sizeof many, DENY);
    for (int route = 0; route < 2; route++) {
      int calls = route == 0 ? 512 : 1024 + more;
      len += snprintf(many + len, sizeof many - (size_t)len, "%s{\"path\":\"/%d\",\"mcp\":{",
                      route ? "," : "", route);
      for (int i = 0; i < calls; i++) {
        len +=
            snprintf(many + len, sizeof many - (size_t)len, "%s\"m%d\":[\"a\"]", i ? "," : "", i);
      }
      len += snprintf(many + len, sizeof many - (size_t)len, "}}");
    }
    len += snprintf(many + len, sizeof many - (size_t)len, "]}");
    const char *error = error_of(many, (size_t)len);
    const char *want = "routes[1].mcp: too many entries (maximum 1024)";
    CHECK(more == 0 ? error[0] == '\0' : strcmp(strchr(error, ' ') + 1, want) == 0, "%s", error);
  }
}

static void so_many_needs_and_resources_are_read(void **state) {
  (void)state;
  for (int count = 64; count <= 65; count++) {
    int len = snprintf(many, sizeof many, DENY "{\"path\":\"/a\",\"needs\":[");
    for (int i = 0; i < count; i++) {
      len += snprintf(many + len, sizeof many - (size_t)len, "%s\"a%d\"", i ? "," : "", i);
    }
    len += snprintf(many + len, sizeof many - (size_t)len, "]}]}");
    const char *error = error_of(many, (size_t)len);
    const char *want = "1:425 routes[0].needs[64]: too many entries (maximum 64)";
    CHECK(strcmp(error, count == 64 ? "" : want) == 0, "%s", error);
  }
  for (int count = 256; count <= 257; count++) {
    int len = snprintf(many, sizeof many, DENY "{\"path\":\"/none\"},");
    for (int i = 0; i < count; i++) {
      len += snprintf(many + len, sizeof many - (size_t)len,
                      "%s\n{\"path\":\"/%d\",\"resource\":\"https://h/%d\"}", i ? "," : "", i, i);
    }
    /* The first once more is no other one. */
    len += snprintf(many + len, sizeof many - (size_t)len,
                    ",\n{\"path\":\"/x\",\"resource\":\"https://h/0\"}]}");
    const char *error = error_of(many, (size_t)len);
    CHECK(strcmp(error, count == 256 ? ""
                                     : "258:9 routes[257].resource: too many different resources "
                                       "(maximum 256)") == 0,
          "%s", error);
  }
}

/* ---- decisions that were there before ---- */

static void a_decision_starts_anew(void **state) {
  (void)state;
  subtoken_ring ring;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  subtoken_decision decision;
  subtoken_claims claims;
  const subtoken_policy *policy = brief_policy_of(MCP_POLICY);
  ring_with(&ring, "", TEST_SECRET);
  verifier.ring = &ring;
  verifier.without_revocations = true;
  request.now = NOW;
  request.method = ST_TEXT("POST");
  request.target = ST_TEXT("/plain");
  memset(&decision, 0xA5, sizeof decision);
  decision.size = sizeof decision;
  decision.access = SUBTOKEN_ACCESS_PUBLIC;
  assert_int_equal(
      subtoken_policy_verify(&verifier, NULL, ST_TEXT("x"), &request, 0, &claims, &decision),
      SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(decision.access, SUBTOKEN_ACCESS_DENIED);
  assert_true(decision.resource.data == NULL && decision.resource.len == 0);
  memset(&decision, 0xA5, sizeof decision);
  decision.size = sizeof decision;
  assert_int_equal(subtoken_policy_verify(&verifier, policy, (subtoken_text){NULL, 5}, &request, 0,
                                          &claims, &decision),
                   SUBTOKEN_MALFORMED);
  assert_true(decision.resource.data == NULL && decision.resource.len == 0);
  assert_true(decision.access == SUBTOKEN_ACCESS_TOKEN && decision.no_token);
  /* A call that is not read here is denied. */
  subtoken_text token = good_token(GOOD_PAYLOAD);
  request.target = ST_TEXT("/mcp");
  assert_int_equal(
      subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, &decision),
      SUBTOKEN_URL);
  assert_int_equal(subtoken_policy_verify(&verifier, policy, token, &request, SUBTOKEN_POLICY_MCP,
                                          &claims, &decision),
                   SUBTOKEN_OK);
  release(token);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_say_what_is_wrong_and_no_more),
      cmocka_unit_test(a_text_may_end_anywhere),
      cmocka_unit_test(a_text_of_one_character_needs_no_more_memory),
      cmocka_unit_test(arguments_are_looked_at),
      cmocka_unit_test(each_of_some_routes_is_found),
      cmocka_unit_test(methods_and_characters_of_a_path_are_told_apart),
      cmocka_unit_test(slots_are_counted),
      cmocka_unit_test(a_star_is_found_in_any_segment),
      cmocka_unit_test(so_many_combinations_of_stars_are_read),
      cmocka_unit_test(final_stars_may_be_at_any_depth),
      cmocka_unit_test(calls_are_counted_for_each_route),
      cmocka_unit_test(so_many_needs_and_resources_are_read),
      cmocka_unit_test(a_decision_starts_anew),
  };
  return cmocka_run_group_tests_name("policy_limits", tests, NULL, NULL);
}
