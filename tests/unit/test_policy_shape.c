/* policy_shape: which of several paths with stars decides, also against a search through all of
 * them. */
#include "policy_fixture.h"

static const char specific[] =
    "{\"default\":\"deny\",\"routes\":[\n"
    "{\"path\":\"/a/*\",\"needs\":[\"star\"]},\n"
    "{\"path\":\"/a/b/c/*\",\"needs\":[\"long\"]},\n"
    "{\"path\":\"/a/b\",\"methods\":[\"GET\"],\"needs\":[\"exact\",\"more\"]},\n"
    "{\"path\":\"/a/b\",\"methods\":[\"POST\",\"PUT\"]},\n"
    "{\"path\":\"/a/open\",\"public\":true,\"methods\":[\"GET\"]},\n"
    "{\"path\":\"/a/b/c/d\",\"needs\":[\"deep\"]},\n"
    "{\"path\":\"/slash/\",\"needs\":[\"slash\"]},\n"
    "{\"path\":\"/slash/*\",\"public\":true},\n"
    "{\"path\":\"/%c3%A9%20/%2A\",\"needs\":[\"data\"]},\n"
    "{\"path\":\"/%c3%A9%20/*\",\"needs\":[\"under\"],\"public\":false},\n"
    "{\"path\":\"/rpc\",\"methods\":[\"POST\"],\"json_rpc\":true,\"needs\":[\"r\"]},\n"
    "{\"path\":\"/a/b/c/only/*\",\"methods\":[\"HEAD\"]}]}";

static void the_most_specific_path_decides(void **state) {
  (void)state;
  static const struct {
    const char *method;
    const char *target;
    const char *said;
  } rows[] = {
      {"GET", "/", "denied"},
      {"GET", "/a", "denied"}, /* a star is not for the path itself */
      {"GET", "/a/", "denied"},
      {"GET", "/a/x", "token 2 star"},
      {"DELETE", "/a/x?y=/../", "token 2 star"},
      {NULL, "/a/x", "token 2 star"},
      {"GET", "/a/x/", "denied"}, /* nor for an empty segment */
      {"GET", "/A/x", "denied"},
      {"GET", "/ab/x", "denied"},
      {"GET", "/%61/%78", "token 2 star"},
      {"GET", "/a/b", "token 4 exact more"},
      {"HEAD", "/a/b", "token 4 exact more"},
      {"HEAD", "/%61/%62", "token 4 exact more"},
      {"POST", "/a/b", "token 5"},
      {"PUT", "/a/b", "token 5"},
      {"DELETE", "/a/b", "denied 4 not listed"}, /* and not the star's */
      {"get", "/a/b", "denied 4 not listed"},
      {"", "/a/b", "denied 4 not listed"},
      {NULL, "/a/b", "denied 4 not listed"},
      {"GETX", "/a/b", "denied 4 not listed"},
      {"OPTIONS", "/a/b", "denied 4 not listed"},
      {"GET", "/a/b/", "denied"},
      {"GET", "/a/b/x", "token 2 star"},
      {"GET", "/a/b/c", "token 2 star"},
      {"GET", "/a/b/c/x", "token 3 long"},
      {"GET", "/a/b/c/x/y/z", "token 3 long"},
      {"GET", "/a/b/c/d", "token 7 deep"},
      {"GET", "/a/b/c/d/e", "token 3 long"},
      {"GET", "/a/b/c/only", "token 3 long"},
      {"HEAD", "/a/b/c/only/x", "token 13"},
      {"GET", "/a/b/c/only/x", "denied 13 not listed"}, /* HEAD lets no GET through */
      {"GET", "/a/open", "public 6"},
      {"HEAD", "/a/open", "public 6"},
      {"POST", "/a/open", "denied 6 not listed"},
      {"GET", "/slash/", "token 8 slash"},
      {"GET", "/slash/x", "public 9"},
      {"GET", "/slash", "denied"},
      {"GET", "/%C3%A9%20/*", "token 10 data"}, /* a star is data in a target */
      {"GET", "/%C3%a9%20/%2a", "token 10 data"},
      {"GET", "/%C3%A9%20/**", "token 11 under"},
      {"POST", "/rpc", "denied 12 rpc"}, /* nobody promised to read the body */
      {"GET", "/rpc", "denied 12 not listed"},
      {"GET", "", "bad_target"},
      {"GET", "a", "bad_target"},
      {"GET", "//", "bad_target"},
      {"GET", "/a//b", "bad_target"},
      {"GET", "/a/open/../b", "bad_target"},
      {"GET", "/a/open;x", "bad_target"},
      {"GET", "/a/open%2f", "bad_target"},
      {"GET", "/nowhere/%2e", "bad_target"},
      {"GET", "http://h/a/open", "bad_target"},
      {"GET", "*", "bad_target"},
      {"OPTIONS", "*", "bad_target"},
  };
  const subtoken_policy *policy = policy_of(specific);
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *got = said(policy, rows[i].method, rows[i].target, 0);
    CHECK(strcmp(got, rows[i].said) == 0, "%s %s: %s, not %s", rows[i].method, rows[i].target, got,
          rows[i].said);
  }
  assert_string_equal(said(policy, "POST", "/rpc", SUBTOKEN_POLICY_BODY), "token 12 rpc r");
  assert_string_equal(said(policy, "OPTIONS", "/a/b", SUBTOKEN_POLICY_PREFLIGHT),
                      "denied 4 not listed");
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  assert_int_equal(
      subtoken_policy_find(policy, ST_TEXT("GET"), (subtoken_text){NULL, 0}, 0, &decision),
      SUBTOKEN_BAD_TARGET);
  assert_int_equal(subtoken_policy_find(NULL, ST_TEXT("GET"), ST_TEXT("/"), 0, &decision),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_find(policy, ST_TEXT("GET"), ST_TEXT("/"), 0, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  drop(policy);
}

/* Stars that are segments: of two paths that fit, the one decides that has a plain segment where
 * they first differ, then exact before a final star; wherever they stand in the file. */
static void the_first_plain_segment_decides(void **state) {
  (void)state;
  static const char *const routes[] = {"/v2/characters/*",
                                       "/v2/characters/*/inventory",
                                       "/v2/characters/*/*",
                                       "/v2/*/Zed/core",
                                       "/v2/characters/Zed/*",
                                       "/*/characters/Zed/inventory",
                                       "/*/*/*/*",
                                       "/v2/characters/*/",
                                       "/v2/characters/%2A/core",
                                       "/v2/*",
                                       "/v2/*/*/core/*",
                                       "/*/x"};
  static const struct {
    const char *target;
    int route; /* -1: none */
  } rows[] = {
      {"/v2/characters/Ann", 0},
      {"/v2/characters/inventory", 0},
      {"/v2/characters/Ann/inventory", 1},
      {"/v2/characters/*/inventory", 1}, /* a star in a target is data */
      {"/v2/characters/*/core", 8},
      {"/v2/characters/%2A/core", 8},
      {"/v2/characters/Ann/core", 2},
      {"/v2/characters/Ann/inventory/x", 2},
      {"/v2/characters/Zed/inventory", 4}, /* Zed before inventory: it stands further in front */
      {"/v2/characters/Zed/core", 4},      /* and characters before Zed */
      {"/v2/characters/Zed", 0},
      {"/v2/x/Zed/core", 3},
      {"/v2/x/Ann/core", 9}, /* v2 before whatever follows it in others */
      {"/v2/x/Ann/core/1", 10},
      {"/v3/characters/Zed/inventory", 5},
      {"/v3/characters/Zed/core", 6},
      {"/v3/a/b/c/d/e", 6},
      {"/v3/a/b", -1},
      {"/v2/characters/Ann/", 7},
      {"/v2/characters/Ann/inventory/", -1},
      {"/v2/characters/", -1},
      {"/v2/x", 9}, /* and not the last: v2 is plain */
      {"/v3/x", 11},
      {"/x", -1},
      {"/", -1},
  };
  uint64_t seed = 7;
  for (int round = 0; round < 200; round++) {
    int order[COUNT(routes)];
    char text[4096], want[64];
    size_t len = (size_t)snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[");
    for (size_t i = 0; i < COUNT(routes); i++) {
      size_t j = random_below(&seed, i + 1);
      order[i] = order[j];
      order[j] = (int)i;
    }
    for (size_t i = 0; i < COUNT(routes); i++) {
      len += (size_t)snprintf(text + len, sizeof text - len,
                              "%s\n{\"path\":\"%s\",\"needs\":[\"n%d\"]}", i > 0 ? "," : "",
                              routes[order[i]], order[i]);
    }
    snprintf(text + len, sizeof text - len, "]}");
    const subtoken_policy *policy = policy_of(text);
    for (size_t i = 0; i < COUNT(rows); i++) {
      const char *got = said(policy, "GET", rows[i].target, 0);
      snprintf(want, sizeof want, " n%d", rows[i].route);
      bool right = rows[i].route < 0
                       ? strcmp(got, "denied") == 0
                       : strstr(got, want) != NULL && strcmp(strstr(got, want), want) == 0;
      CHECK(right, "%s: %s, not%s\n%s", rows[i].target, got, want, text);
    }
    drop(policy);
  }
}

/* Final stars at depths up to the longest, and where words of bits end. */
static void final_stars_match_at_any_depth(void **state) {
  (void)state;
  static char text[4096], target[SUBTOKEN_PATH_MAX + 1];
  static const size_t depths[] = {1, 2, 61, 62, 63, 64, 65, 200, 511};
  for (size_t i = 0; i < COUNT(depths); i++) {
    int len = snprintf(text, sizeof text,
                       "{\"default\":\"deny\",\"routes\":[{\"path\":\"/*\"},\n{\"path\":\"");
    for (size_t d = 1; d < depths[i]; d++) len += snprintf(text + len, 4, "/a");
    snprintf(text + len, 64, "/*\",\"needs\":[\"x\"]}]}");
    if (depths[i] == 1) snprintf(text, sizeof text, ONE("\n\"path\":\"/*\",\"needs\":[\"x\"]"));
    const subtoken_policy *policy = policy_of(text);
    for (size_t segment_count = 1; segment_count <= 2000; segment_count++) {
      if (segment_count > depths[i] + 2 && segment_count > 70 && segment_count % 97 != 0) continue;
      for (size_t d = 0; d < segment_count; d++) memcpy(target + 2 * d, "/a", 3);
      const char *got = said(policy, "GET", target, 0);
      CHECK(strcmp(got, segment_count >= depths[i] ? "token 2 x" : "token 1") == 0, "%zu %zu: %s",
            depths[i], segment_count, got);
    }
    drop(policy);
  }
}

/* What a segment is at a place: 3 plain, 2 a star for one, 1 a final star, 0 nothing. */
static int token_at(const char *path, size_t n, const char **at, size_t *len) {
  path++;
  while (n-- > 0) {
    path = strchr(path, '/');
    if (path == NULL) return 0;
    path++;
  }
  *at = path;
  *len = strcspn(path, "/");
  if (*len != 1 || *path != '*') return 3;
  return path[1] == '/' ? 2 : 1;
}

/* Does the path of a route, without escapes, stand for the target? */
static bool fits(const char *path, const char *target) {
  const char *at, *other;
  size_t len, other_len;
  for (size_t n = 0;; n++) {
    int mine = token_at(path, n, &at, &len), its = token_at(target, n, &other, &other_len);
    if (mine == 0 || its == 0) return mine == its;
    if (mine == 1) return other_len > 0 && target[strlen(target) - 1] != '/';
    if (mine == 2 && other_len == 0) return false;
    if (mine == 3 && (len != other_len || memcmp(at, other, len) != 0)) return false;
  }
}

static bool more_specific(const char *path, const char *than) {
  const char *at;
  size_t len;
  for (size_t n = 0;; n++) {
    int mine = token_at(path, n, &at, &len), its = token_at(than, n, &at, &len);
    if (mine != its || mine == 0) return mine > its;
  }
}

/* Hundreds of paths with stars anywhere among up to `depth` segments, that overlap as few
 * policies do, held against all of them compared in turn. */
static void many_templates_of(size_t depth, size_t letters, uint64_t seed) {
  enum { ROUTES = 300, TEXT = 1 << 19 };
  static char paths[ROUTES][SUBTOKEN_URL_MAX], text[TEXT];
  size_t count = 0, len = (size_t)snprintf(text, TEXT, "{\"default\":\"deny\",\"routes\":[");
  size_t found = 0, worst = 0;
  while (count < ROUTES) {
    char *path = paths[count];
    size_t at = 0, stars = 0, segment_count = depth - random_below(&seed, depth < 6 ? depth : 6);
    for (size_t i = 0; i < segment_count; i++) {
      bool star = stars < 2 && random_below(&seed, segment_count) < 2;
      stars += star;
      path[at++] = '/';
      path[at++] = star ? '*' : (char)('a' + random_below(&seed, letters));
    }
    path[at] = '\0';
    if (random_below(&seed, 3) == 0) strcat(path, "/*");
    bool known = false;
    for (size_t i = 0; i < count; i++) known |= strcmp(paths[i], path) == 0;
    if (known) continue;
    len += (size_t)snprintf(text + len, TEXT - len, "%s\n{\"path\":\"%s\"}", count > 0 ? "," : "",
                            path);
    count++;
  }
  snprintf(text + len, TEXT - len, "]}");
  subtoken_result result;
  subtoken_policy_error error;
  const subtoken_policy *policy = try_read(text, strlen(text), &result, &error);
  CHECK(policy != NULL, "%zu segments: %s", depth, error.text);
  for (int i = 0; i < 20000; i++) {
    char target[SUBTOKEN_URL_MAX + 8];
    const char *best = NULL;
    snprintf(target, sizeof target, "%s", paths[random_below(&seed, ROUTES)]);
    for (char *c = target; *c != '\0'; c++) {
      bool change = *c == '*' ? random_below(&seed, 8) > 0 : random_below(&seed, 3 * depth) == 0;
      if (*c != '/' && change) *c = (char)('a' + random_below(&seed, letters));
    }
    if (random_below(&seed, 20) == 0) strcat(target, "/");
    if (random_below(&seed, 20) == 0) strcat(target, random_below(&seed, 2) ? "a" : "/a/b");
    if (strstr(target, "//") != NULL) continue;
    for (size_t j = 0; j < ROUTES; j++) {
      if (fits(paths[j], target) && (best == NULL || more_specific(paths[j], best)))
        best = paths[j];
    }
    st_path path;
    size_t slots = 0;
    assert_int_equal(st_paths_read_target(st_text(target), &path), SUBTOKEN_FAULT_NONE);
    uint32_t route = st_policy_lookup(policy, &path, &slots);
    const char *got = route > 0 ? paths[route - 1] : NULL;
    CHECK(got == best, "%s: %s, not %s", target, got, best);
    found += best != NULL;
    worst = slots > worst ? slots : worst;
  }
  print_message("# %zu segments: %u ways of stars, %zu targets found, %zu slots at the most\n",
                depth, policy->shape_count, found, worst);
  assert_true(found > 2000);
  drop(policy);
}

static void many_paths_with_stars_agree_with_a_search(void **state) {
  (void)state;
  many_templates_of(3, 6, 1);
  many_templates_of(5, 3, 2);
  many_templates_of(8, 2, 3);
  many_templates_of(16, 2, 4);
}

/* With so many ways to place stars as are allowed, all at the end of the longest paths, a look-up
 * asks the table once for each of them; one more is refused. */
static void no_more_than_256_places_of_stars_are_read(void **state) {
  (void)state;
  static char text[1 << 20], target[SUBTOKEN_URL_MAX + 16];
  subtoken_result result;
  subtoken_policy_error error;
  for (size_t ways = 255; ways <= 257; ways++) {
    size_t len = (size_t)snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[");
    for (size_t way = 1; way <= ways; way++) {
      len +=
          (size_t)snprintf(text + len, sizeof text - len, "%s\n{\"path\":\"", way > 1 ? "," : "");
      for (size_t i = 0; i < 510; i++) {
        bool star = i >= 500 && i < 509 && (way >> (i - 500) & 1) != 0;
        len += (size_t)snprintf(text + len, sizeof text - len, star ? "/*" : "/a");
      }
      len +=
          (size_t)snprintf(text + len, sizeof text - len, "/%zx\",\"needs\":[\"n%zu\"]}", way, way);
    }
    snprintf(text + len, sizeof text - len, "]}");
    const subtoken_policy *policy = try_read(text, strlen(text), &result, &error);
    CHECK((policy != NULL) == (ways <= 256), "%zu: %s", ways, error.text);
    if (policy == NULL) {
      assert_string_equal(
          error.text, "routes[256].path: too many combinations of places for stars (maximum 256)");
      assert_true(error.line == 258 && error.column == 9);
      continue;
    }
    for (size_t way = 0; way <= ways; way++) {
      char want[64];
      st_path path;
      size_t slots = 0, at = 0;
      for (size_t i = 0; i < 510; i++) at += (size_t)snprintf(target + at, 4, "/a");
      snprintf(target + at, 8, "/%zx", way);
      snprintf(want, sizeof want, "token %zu n%zu", way + 1, way);
      assert_string_equal(said(policy, "GET", target, 0), way > 0 ? want : "denied");
      assert_int_equal(st_paths_read_target(st_text(target), &path), SUBTOKEN_FAULT_NONE);
      (void)st_policy_lookup(policy, &path, &slots);
      CHECK(slots <= 4 * ways, "%zu slots", slots);
    }
    drop(policy);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_most_specific_path_decides),
      cmocka_unit_test(the_first_plain_segment_decides),
      cmocka_unit_test(final_stars_match_at_any_depth),
      cmocka_unit_test(many_paths_with_stars_agree_with_a_search),
      cmocka_unit_test(no_more_than_256_places_of_stars_are_read),
  };
  return cmocka_run_group_tests_name("policy_shape", tests, NULL, NULL);
}
