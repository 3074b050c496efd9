/* Policies at the ends of what they may be: arguments that are absent or out of range, and paths
 * whose hashes collide. What good ones decide is in the test of each source file.
 */
#include "policy_fixture.h"

/* ---- the policy's arguments ---- */

static void a_policy_is_asked_with_all_that_it_needs(void **state) {
  (void)state;
  const subtoken_policy *policy = brief_policy_of(MCP_POLICY);
  subtoken_ring ring, empty;
  static subtoken_claims claims;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  ring_with(&ring, "", TEST_SECRET);
  memset(&empty, 0, sizeof empty);
  for (int i = 0; i < 8; i++) {
    subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
    subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
    const subtoken_verifier *given = &verifier;
    const subtoken_policy *asked = policy;
    const subtoken_request *of = &request;
    subtoken_result want = SUBTOKEN_INVALID_ARGUMENT;
    verifier.ring = &ring;
    verifier.without_revocations = true;
    request.now = NOW;
    request.method = ST_TEXT("GET");
    request.target = ST_TEXT("/none");
    switch (i) {
      case 1: given = NULL; break;
      case 2: verifier.ring = NULL; break;
      case 3: asked = NULL; break;
      case 4: of = NULL; break;
      case 5: request.needs_count = 1; break;
      case 6:
        verifier.ring = &empty;
        want = SUBTOKEN_KID;
        break;
      case 7: verifier.size = 3; break;
      default: want = SUBTOKEN_OK;
    }
    memset(&claims, 0x55, sizeof claims);
    subtoken_result got = subtoken_policy_verify(given, asked, token, of, 0, &claims, NULL);
    CHECK(got == want, "%d: %s", i, subtoken_result_name(got));
    if (i > 0) CHECK(claims_are_zero(&claims), "%d", i);
  }
  release(token);
}

#define ROUTE(members) "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\"," members "}]}"
#define MCP(members) ROUTE("\"mcp\":{" members "}")

static void what_is_wrong_with_a_policy_is_told(void **state) {
  (void)state;
  static const struct {
    const char *text, *error;
  } rows[] = {
      {"{\"default\":\"deny\",\"preflight\":1}", "must be true or false"},
      {"{\"default\":\"deny\",\"routes\":[]}", "must not be empty"},
      {"{\"default\":\"deny\",}", "not strict JSON"},
      {"{\"default\":\"deny\",1:1,\"routes\":[]}", "not strict JSON"},
      {"{\"default\":\"deny\",\"default\":1}", "\"default\" is a duplicate"},
      {"{\"default\":\"deny\",\"de", "unexpected end"},
      {ROUTE("\"needs\":[]"), "must not be empty"},
      {ROUTE("\"public\":0"), "must be true or false"},
      {ROUTE("\"json_rpc\":true,\"resource\":\"https://h\",\"resource\":1"),
       "\"resource\" is a duplicate"},
      {MCP("\"a\":[\"x\"],\"b\":[\"x\"],\"b\":1"), "\"b\" is a duplicate"},
      {MCP("\"aa\":[\"x\"],\"b\":[\"x\"],\"b\":1"), "\"b\" is a duplicate"},
      {MCP("\"a\":[\"x\"],"), "not strict JSON"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"mcp\":{\"tools/call a\":[\"x\"],",
       "unexpected end"},
      {ROUTE("\"mcp\":{\"a\":[\"x\"]},\"mcp_headers\":\"x\""), "must be \""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const subtoken_policy *policy;
    subtoken_policy_error error;
    subtoken_text text = exact_string(rows[i].text);
    size_t size = subtoken_policy_size(text.len);
    void *memory = malloc(size);
    assert_non_null(memory);
    CHECK(subtoken_policy_read(memory, size, text, &policy, &error) == SUBTOKEN_MALFORMED,
          "row %zu", i);
    CHECK(strstr(error.text, rows[i].error) != NULL, "row %zu: %s", i, error.text);
    free(memory);
    release(text);
  }
}

/* One document of each, however often it is named. */
static void so_many_resources_are_listed(void **state) {
  (void)state;
  static char text[1 << 16];
  for (int count = 256; count <= 257; count++) {
    const subtoken_policy *policy;
    subtoken_policy_error error;
    st_writer writer = st_writer_on(text, sizeof text);
    st_write_literal(&writer, "{\"default\":\"deny\",\"routes\":[");
    for (int i = 0; i < 2 * count; i++) {
      char route[96];
      snprintf(route, sizeof route, "%s{\"path\":\"/%d\",\"resource\":\"https://h/%d\"}",
               i == 0 ? "" : ",", i, i % count);
      st_write_literal(&writer, route);
    }
    st_write_literal(&writer, "]}");
    size_t size = subtoken_policy_size(writer.len);
    void *memory = malloc(size);
    assert_non_null(memory);
    subtoken_result got =
        subtoken_policy_read(memory, size, (subtoken_text){text, writer.len}, &policy, &error);
    assert_int_equal(got, count == 256 ? SUBTOKEN_OK : SUBTOKEN_MALFORMED);
    if (count == 256) assert_int_equal(policy->resource_count, 256);
    if (count == 257) assert_non_null(strstr(error.text, "too many different resources"));
    free(memory);
  }
}

/* From 63 segments on, paths are counted alike: a star behind the end of a path is not one of its
 * segments. */
static void a_star_far_behind_is_no_part_of_a_shorter_path(void **state) {
  (void)state;
  char text[512], target[256];
  st_writer writer = st_writer_on(text, sizeof text), to = st_writer_on(target, sizeof target);
  st_write_literal(&writer, "{\"default\":\"deny\",\"routes\":[{\"path\":\"");
  for (int i = 0; i < 72; i++) st_write_literal(&writer, i == 68 ? "/*" : "/a");
  st_write_literal(&writer, "\"}]}");
  assert_true(st_writer_end(&writer));
  const subtoken_policy *policy = brief_policy_of(text);
  for (size_t segments = 1; segments <= 74; segments++) {
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    st_write_literal(&to, "/a");
    assert_int_equal(
        subtoken_policy_find(policy, ST_TEXT("GET"), (subtoken_text){target, to.len}, 0, &decision),
        SUBTOKEN_OK);
    CHECK((decision.access == SUBTOKEN_ACCESS_TOKEN) == (segments == 72), "%zu segments", segments);
  }
}

/* GET, HEAD and DELETE of a route with mcp need what the route needs, and no call. */
static void what_calls_nothing_needs_the_route_alone(void **state) {
  (void)state;
  const subtoken_policy *policy = brief_policy_of(MCP_POLICY);
  static const struct {
    const char *method;
    bool token;
  } rows[] = {{"GET", true},   {"HEAD", true}, {"DELETE", true},  {"POST", false},
              {"GETX", false}, {"HEA", false}, {"DELETF", false}, {"PUT", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    assert_int_equal(
        subtoken_policy_find(policy, st_text(rows[i].method), ST_TEXT("/mcp"), 0, &decision),
        SUBTOKEN_OK);
    CHECK((decision.access == SUBTOKEN_ACCESS_TOKEN) == rows[i].token, "%s", rows[i].method);
    subtoken_ring ring;
    static subtoken_claims claims;
    subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
    subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
    ring_with(&ring, "", TEST_SECRET);
    verifier.ring = &ring;
    verifier.without_revocations = true;
    request.now = NOW;
    request.method = st_text(rows[i].method);
    request.target = ST_TEXT("/mcp");
    subtoken_text token = good_token("{" GOOD_CLAIMS ",\"permissions\":[\"user\"]}");
    subtoken_result got =
        subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, NULL);
    CHECK(got == (rows[i].token ? SUBTOKEN_OK : SUBTOKEN_URL), "%s", rows[i].method);
    release(token);
  }
}

/* ---- a table in which hashes collide ---- */

typedef struct hashed {
  uint32_t hash;
  uint32_t number;
} hashed;

static int by_hash(const void *a, const void *b) {
  const hashed *x = a, *y = b;
  return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Paths of two kinds, of several lengths: /p123 exactly, and /q123 with anything behind it. */
static uint32_t hash_of_path(uint32_t number, char text[24]) {
  bool wild = number % 2 != 0;
  snprintf(text, 24, "/%c%u%.*s%s", wild ? 'q' : 'p', (unsigned)number, (int)(number / 2 % 4),
           "xxx", wild ? "/" : "");
  st_policy_sums sums;
  const subtoken_policy *policy = NULL;
  static void *memory;
  static const char plain[] =
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/as-long-as-the-longest-of-these\"}]}";
  if (memory == NULL) {
    size_t size = subtoken_policy_size(sizeof plain - 1);
    memory = malloc(size);
    assert_int_equal(subtoken_policy_read(memory, size, st_text(plain), &policy, NULL),
                     SUBTOKEN_OK);
  }
  policy = memory;
  size_t len = strlen(text) - wild;
  st_policy_sum(policy, (subtoken_text){text, len}, &sums);
  assert_true(sums.count == 1);
  return st_policy_hash_end(sums.sum[1], wild);
}

#define PATHS (1U << 19)

/* Two routes whose paths have the same hash are two routes; and a path that has the hash of a
 * route, and no other likeness, has none. */
static void paths_that_share_a_hash_are_told_apart(void **state) {
  (void)state;
  hashed *all = malloc(PATHS * sizeof *all);
  char one[24], other[24], text[256], target[32];
  unsigned pairs[2] = {0, 0}; /* of the same kind; of both kinds */
  assert_non_null(all);
  for (uint32_t i = 0; i < PATHS; i++) all[i] = (hashed){hash_of_path(i, one), i};
  qsort(all, PATHS, sizeof *all, by_hash);
  for (uint32_t i = 1; i < PATHS; i++) {
    if (all[i].hash != all[i - 1].hash) continue;
    (void)hash_of_path(all[i - 1].number, one);
    (void)hash_of_path(all[i].number, other);
    bool one_wild = all[i - 1].number % 2 != 0, other_wild = all[i].number % 2 != 0;
    pairs[one_wild != other_wild]++;
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    /* One route, asked for the other's path; and the other way round. */
    snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"%s%s\"}]}", other,
             other_wild ? "*" : "");
    snprintf(target, sizeof target, "%s%s", one, one_wild ? "x" : "");
    assert_int_equal(
        subtoken_policy_find(brief_policy_of(text), ST_TEXT("GET"), st_text(target), 0, &decision),
        SUBTOKEN_OK);
    CHECK(decision.access == SUBTOKEN_ACCESS_DENIED, "%s by %s", target, text);
    snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"%s%s\"}]}", one,
             one_wild ? "*" : "");
    snprintf(target, sizeof target, "%s%s", other, other_wild ? "x" : "");
    assert_int_equal(
        subtoken_policy_find(brief_policy_of(text), ST_TEXT("GET"), st_text(target), 0, &decision),
        SUBTOKEN_OK);
    CHECK(decision.access == SUBTOKEN_ACCESS_DENIED, "%s by %s", target, text);
    /* Both routes, each with a need of its own. */
    snprintf(text, sizeof text,
             "{\"default\":\"deny\",\"routes\":[{\"path\":\"%s%s\",\"needs\":[\"one\"]},"
             "{\"path\":\"%s%s\",\"needs\":[\"other\"]}]}",
             one, one_wild ? "*" : "", other, other_wild ? "*" : "");
    const subtoken_policy *both = brief_policy_of(text);
    assert_int_equal(subtoken_policy_find(both, ST_TEXT("GET"), st_text(target), 0, &decision),
                     SUBTOKEN_OK);
    CHECK(decision.needs_count == 1 && st_text_is(decision.needs[0], "other"), "%s", text);
    snprintf(target, sizeof target, "%s%s", one, one_wild ? "x" : "");
    assert_int_equal(subtoken_policy_find(both, ST_TEXT("GET"), st_text(target), 0, &decision),
                     SUBTOKEN_OK);
    CHECK(decision.needs_count == 1 && st_text_is(decision.needs[0], "one"), "%s", text);
  }
  free(all);
  assert_true(pairs[0] > 0 && pairs[1] > 0);
  print_message("# %u pairs of one kind, %u of both\n", pairs[0], pairs[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_policy_is_asked_with_all_that_it_needs),
      cmocka_unit_test(what_is_wrong_with_a_policy_is_told),
      cmocka_unit_test(so_many_resources_are_listed),
      cmocka_unit_test(a_star_far_behind_is_no_part_of_a_shorter_path),
      cmocka_unit_test(what_calls_nothing_needs_the_route_alone),
      cmocka_unit_test(paths_that_share_a_hash_are_told_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
