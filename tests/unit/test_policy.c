#include "support.h"

#include <stdalign.h>

#include "core/policy.h"
#include "subtoken/policy.h"

/* ---- reading ---- */

/* Read from and into heap blocks of their exact sizes; release with free(). */
static const subtoken_policy *try_read(const char *text, size_t len, subtoken_result *result,
                                       subtoken_policy_error *error) {
  subtoken_text copy = exact(text, len);
  size_t size = subtoken_policy_size(len);
  void *memory = malloc(size);
  const subtoken_policy *policy = (const void *)"x";
  if (memory == NULL) abort();
  memset(memory, 0xA5, size);
  *result = subtoken_policy_read(memory, size, copy, &policy, error);
  release(copy);
  if (*result == SUBTOKEN_OK) {
    CHECK(policy == memory && error->text[0] == '\0' && error->line == 0, "%s", text);
    return policy;
  }
  CHECK(policy == NULL, "%s", text);
  free(memory);
  return NULL;
}

static const subtoken_policy *policy_of(const char *text) {
  subtoken_result result;
  subtoken_policy_error error;
  const subtoken_policy *policy = try_read(text, strlen(text), &result, &error);
  CHECK(policy != NULL, "%s: %zu:%zu %s", text, error.line, error.column, error.text);
  return policy;
}

static void drop(const subtoken_policy *policy) {
  free((void *)(uintptr_t)policy);
}

/* A policy of one route with these members. */
#define ONE(members) "{\"default\":\"deny\",\"routes\":[{" members "}]}"
#define X10 "xxxxxxxxxx"
#define A10 "AAAAAAAAAA"
#define JSON "not strict JSON"
#define SHORT "unexpected end of the text"
#define EMPTY "must not be empty: remove it or add an entry"

static void errors_name_line_and_column(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t line, column;
    const char *why;
  } rows[] = {
      {"", 1, 1, SHORT},
      {" \n ", 2, 2, SHORT},
      {"nothing", 1, 1, "must be an object"}, /* starts as null does */
      {"[]", 1, 1, "must be an object"},
      {"\n \"deny\"", 2, 2, "must be an object"},
      {"\xEF\xBB\xBF{}", 1, 1, JSON},
      {"{}", 1, 1, "default is missing: deny, token or public"},
      {"\n\t{\"preflight\":true}", 2, 2, "default is missing: deny, token or public"},
      {"{", 1, 2, SHORT},
      {"{\"default\"", 1, 11, SHORT},
      {"{\"default\":\"deny\"", 1, 18, SHORT},
      {"{\"default\":\"deny\",}", 1, 19, JSON},
      {"{\"default\":\"deny\"} x", 1, 20, "unexpected text behind the policy"},
      {"{\"default\":\"deny\"}{}", 1, 19, "unexpected text behind the policy"},
      {"{\"default\":\"de\\ny\"}", 1, 12, "default: \"de\\x0ay\" must be deny, token or public"},
      {"{'default':'deny'}", 1, 2, JSON},
      {"{\"default\":deny}", 1, 12, "default: " JSON},
      {"{\"default\":null}", 1, 12, "default: must be a string"},
      {"{\"default\":1}", 1, 12, "default: must be a string"},
      {"{\"default\":\"\"}", 1, 12, "default: \"\" must be deny, token or public"},
      {"{\"default\":\n  \"allow\"}", 2, 3, "default: \"allow\" must be deny, token or public"},
      {"{\"default\":\"Deny\"}", 1, 12, "default: \"Deny\" must be deny, token or public"},
      {"{\"default\":\"deny\",\n \"default\":\"public\"}", 2, 2, "\"default\" is a duplicate"},
      {"{\"default\":\"deny\",\"def\\u0061ult\":\"public\"}", 1, 19, JSON}, /* twice, unseen */
      {"{\"defualt\":\"deny\"}", 1, 2, "\"defualt\" is not a known member"},
      {"{\"default\":\"deny\",\"path\":\"/\"}", 1, 19, "\"path\" is not a known member"},
      {"{\"\":1}", 1, 2, "\"\" is not a known member"},
      {"{\"a\\u202eb\":1}", 1, 2, "\"a\\xe2\\x80\\xaeb\" is not a known member"},
      {"{\"default\":\"deny\",\"preflight\":1}", 1, 31, "preflight: must be true or false"},
      {"{\"default\":\"deny\",\"preflight\":\"true\"}", 1, 31, "preflight: must be true or false"},
      {"{\"default\":\"deny\",\"preflight\":tru}", 1, 31, "preflight: " JSON},
      {"{\"default\":\"deny\",\"routes\":{}}", 1, 28, "routes: must be an array of objects"},
      {"{\"default\":\"deny\",\"routes\":[]}", 1, 28, "routes: " EMPTY},
      {"{\"default\":\"deny\",\"routes\":[", 1, 29, "routes[0]: " SHORT},
      {"{\"default\":\"deny\",\"routes\":[1]}", 1, 29, "routes[0]: must be an object"},
      {"{\"default\":\"deny\",\"routes\":[[]]}", 1, 29, "routes[0]: must be an object"},
      {ONE(""), 1, 29, "routes[0]: path is missing"},
      {ONE("\"needs\":[\"a\"]"), 1, 29, "routes[0]: path is missing"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/\"}\n{}]}", 2, 1, "routes[1]: " JSON},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/\"},\n{}]}", 2, 1,
       "routes[1]: path is missing"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/\"},]}", 1, 42, "routes[1]: " JSON},
      {ONE("\"path\":1"), 1, 37, "routes[0].path: must be a string"},
      {ONE("\"path\":[\"/\"]"), 1, 37, "routes[0].path: must be a string"},
      {ONE("\"path\":\"\""), 1, 37, "routes[0].path: \"\" a path starts with /"},
      {ONE("\"path\":\"a\""), 1, 37, "routes[0].path: \"a\" a path starts with /"},
      {ONE("\"path\":\"/a b\""), 1, 37,
       "routes[0].path: \"/a b\" it has a character that a path cannot hold unescaped"},
      {ONE("\"path\":\"/\\u00e9\""), 1, 37,
       "routes[0].path: \"/\xC3\xA9\" it has a character that a path cannot hold unescaped"},
      {ONE("\"path\":\"/a/../b\""), 1, 37,
       "routes[0].path: \"/a/../b\" it has a segment of only dots and spaces"},
      {ONE("\"path\":\"/a//b\""), 1, 37, "routes[0].path: \"/a//b\" it has two slashes in a row"},
      {ONE("\"path\":\"/a%2fb\""), 1, 37, "routes[0].path: \"/a%2fb\" it has an escaped / or \\"},
      {ONE("\"path\":\"/a*\""), 1, 37, "routes[0].path: \"/a*\" a * must be a whole segment"},
      {ONE("\"path\":\"/*a/b\""), 1, 37, "routes[0].path: \"/*a/b\" a * must be a whole segment"},
      {ONE("\"path\":\"/a?b\""), 1, 37, "routes[0].path: \"/a?b\" it has a ? or #"},
      {ONE("\"path\":\"get:/a\""), 1, 37,
       "routes[0].path: \"get:/a\" a method in front of the colon is upper-case letters"},
      {ONE("\"path\":\"GET:/a\""), 1, 37,
       "routes[0].path: \"GET:/a\" must not start with a method: use methods"},
      {ONE("\"path\":\"https://h/a\""), 1, 37,
       "routes[0].path: \"https://h/a\" a path starts with /"},
      {ONE("\"path\":\"/a\",\"path\":\"/b\""), 1, 42, "routes[0]: \"path\" is a duplicate"},
      {ONE("\"path\":\"/a\",\"Path\":\"/b\""), 1, 42, "routes[0]: \"Path\" is not a known member"},
      {ONE("\"path\":\"/a\",\"default\":\"deny\""), 1, 42,
       "routes[0]: \"default\" is not a known member"},
      {ONE("\"path\":\"/a\",\"method\":\"GET\""), 1, 42,
       "routes[0]: \"method\" is not a known member"},
      {ONE("\"path\":\"/\",\n\"methods\":\"GET\""), 2, 11,
       "routes[0].methods: must be an array of strings"},
      {ONE("\"path\":\"/\",\n\"methods\":[]"), 2, 11, "routes[0].methods: " EMPTY},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\" \"PUT\"]"), 2, 18, "routes[0].methods[1]: " JSON},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\",]"), 2, 18, "routes[0].methods[1]: " JSON},
      {ONE("\"path\":\"/\",\n\"methods\":[1]"), 2, 12, "routes[0].methods[0]: must be a string"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"\"]"), 2, 12,
       "routes[0].methods[0]: \"\" is not a method"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\",\"get\"]"), 2, 18,
       "routes[0].methods[1]: \"get\" must be upper-case letters"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"*\"]"), 2, 12,
       "routes[0].methods[0]: \"*\" must be upper-case letters"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"M-SEARCH\"]"), 2, 12,
       "routes[0].methods[0]: \"M-SEARCH\" must be upper-case letters"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\",\"PUT\",\"GET\"]"), 2, 24,
       "routes[0].methods[2]: \"GET\" is a duplicate"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"" A10 A10 A10 "AAA\"]"), 2, 12,
       "routes[0].methods[0]: \"" A10 A10 A10 "AAA\" must not be longer than 32 letters"},
      {ONE("\"path\":\"/\",\n\"needs\":[]"), 2, 9, "routes[0].needs: " EMPTY},
      {ONE("\"path\":\"/\",\n\"needs\":\"account\""), 2, 9,
       "routes[0].needs: must be an array of strings"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a\",null]"), 2, 14,
       "routes[0].needs[1]: must be a string"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a b\"]"), 2, 10,
       "routes[0].needs[0]: \"a b\" is not a permission"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a,b\"]"), 2, 10,
       "routes[0].needs[0]: \"a,b\" is not a permission"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"\"]"), 2, 10,
       "routes[0].needs[0]: \"\" is not a permission"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a\",\"b\",\n\"a\"]"), 3, 1,
       "routes[0].needs[2]: \"a\" is a duplicate"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"" X10 X10 X10 X10 X10 X10 "xxxxx\"]"), 2, 10,
       "routes[0].needs[0]: \"" X10 X10 X10 X10
       "xxxxxxxx...\" must not be longer than 64 characters"},
      {ONE("\"path\":\"/\",\"public\":\"yes\""), 1, 50, "routes[0].public: must be true or false"},
      {ONE("\"path\":\"/\",\"json_rpc\":0"), 1, 52, "routes[0].json_rpc: must be true or false"},
      {ONE("\"path\":\"/\",\"needs\":[\"a\"],\"public\":true"), 1, 55,
       "routes[0]: a public route must not have needs"},
      {ONE("\"public\":true,\"needs\":[\"a\"],\"path\":\"/\""), 1, 44,
       "routes[0]: a public route must not have needs"},
      {ONE("\"path\":\"/\",\"public\":true,\"json_rpc\":true"), 1, 55,
       "routes[0]: a public route must not have json_rpc"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a\"},\n{\"path\":\"/a\"}]}", 3, 9,
       "routes[1].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/%61%c3%a9\",\"methods\":[\"PUT\"]},\n"
       "{\"path\":\"/b\"},{\"path\":\"/a%C3%A9\"}]}",
       3, 23, "routes[2].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a/*\",\"methods\":[\"PUT\",\"GET\"]},\n"
       "{\"path\":\"/a/*\",\"methods\":[\"DELETE\"]},\n{\"path\":\"/a/"
       "*\",\"methods\":[\"HEAD\"]}]}",
       4, 9, "routes[2].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a\",\"methods\":[\"PUT\"]},\n"
       "{\"path\":\"/a\",\"methods\":[\"HEAD\"]},\n{\"path\":\"/a\",\"methods\":[\"GET\"]}]}",
       4, 9, "routes[2].path: same path and method as in line 3"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result;
    subtoken_policy_error error;
    const subtoken_policy *policy = try_read(rows[i].text, strlen(rows[i].text), &result, &error);
    CHECK(policy == NULL && result == SUBTOKEN_MALFORMED, "%s", rows[i].text);
    CHECK(error.line == rows[i].line && error.column == rows[i].column, "%s\n%zu:%zu %s",
          rows[i].text, error.line, error.column, error.text);
    CHECK(strcmp(error.text, rows[i].why) == 0, "%s\n%s\n%s", rows[i].text, error.text,
          rows[i].why);
  }
  subtoken_result result;
  subtoken_policy_error error;
  assert_null(try_read("{\"default\0\":1}", 14, &result, &error));
  assert_int_equal(error.column, 10);
}

/* Lists at their limits, and the longest errors that there are. */
static void lists_at_their_limits_are_read(void **state) {
  (void)state;
  static char text[1 << 16];
  subtoken_result result;
  subtoken_policy_error error;
  for (int methods = 0; methods < 2; methods++) {
    for (int count = 64; count <= 65; count++) {
      int len = snprintf(text, sizeof text,
                         "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\n\"%s\":[\"A\"",
                         methods ? "methods" : "needs");
      for (int i = 1; i < count; i++) {
        len += snprintf(text + len, sizeof text - (size_t)len, ",\"%c%c\"", 'A' + i / 26,
                        'A' + i % 26);
      }
      len += snprintf(text + len, sizeof text - (size_t)len, "]}]}");
      const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
      CHECK((policy != NULL) == (count == 64), "%d %d %s", methods, count, error.text);
      if (policy != NULL) {
        const st_policy_route *route = st_policy_routes(policy);
        assert_int_equal(methods ? route->method_count : route->need_count, 64);
        drop(policy);
        continue;
      }
      assert_non_null(strstr(error.text, "[64]: \"CM\" too many entries (maximum 64)"));
      assert_int_equal(error.line, 2);
    }
  }
  for (int each = 32; each <= 33; each++) { /* two routes of one path */
    int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[");
    for (int i = 0; i < 2 * each; i++) {
      if (i % each == 0) {
        len += snprintf(text + len, sizeof text - (size_t)len, "%s{\"path\":\"/a\",\"methods\":[",
                        i > 0 ? ",\n" : "");
      }
      len +=
          snprintf(text + len, sizeof text - (size_t)len, "%s\"%c%c\"%s", i % each > 0 ? "," : "",
                   'A' + i / 26, 'A' + i % 26, i % each == each - 1 ? "]}" : "");
    }
    len += snprintf(text + len, sizeof text - (size_t)len, "]}");
    const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
    CHECK((policy != NULL) == (each == 32), "%d %s", each, error.text);
    if (policy != NULL) drop(policy);
    if (policy == NULL) {
      assert_string_equal(error.text,
                          "routes[1].path: the routes of this path have too many methods "
                          "(maximum 64)");
      assert_true(error.line == 2 && error.column == 9);
    }
  }
  /* A path of 1,024 bytes, and one more. */
  for (int count = 1023; count <= 1024; count++) {
    int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/");
    for (int i = 0; i < count; i++) text[len++] = i % 2 == 0 ? 'a' : '/';
    len += snprintf(text + len, sizeof text - (size_t)len, "\"}]}");
    const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
    CHECK((policy != NULL) == (count == 1023), "%d %s", count, error.text);
    if (policy != NULL) drop(policy);
    if (policy == NULL) assert_non_null(strstr(error.text, "...\" it is too long"));
  }
  /* Values of which every byte is shown as four. */
  static const char *const fronts[] = {"\"path\":\"/a\",\"needs\":[\"", "\"path\":\"/\xC2\x80",
                                       "\""};
  for (size_t i = 0; i < COUNT(fronts); i++) {
    int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{%s", fronts[i]);
    for (int j = 0; j < 200; j++) len += snprintf(text + len, 8, "%s", "\xE2\x80\xAE");
    len += snprintf(text + len, 64, "\":1");
    assert_null(try_read(text, (size_t)len, &result, &error));
    CHECK(strstr(error.text, "\\xae...\" ") != NULL && error.text[strlen(error.text) - 1] != ' ',
          "%s", error.text);
  }
}

static void a_policy_needs_no_more_memory_than_told(void **state) {
  (void)state;
  static const char text[] = ONE("\"path\":\"/a/*\",\"methods\":[\"GET\"],\"needs\":[\"x\",\"y\"]");
  alignas(8) static char room[2][4096];
  const subtoken_policy *policy;
  subtoken_policy_error error;
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_text good = st_text(text);
  size_t size = subtoken_policy_size(good.len);
  assert_true(size > good.len && size < sizeof room[0]);
  assert_int_equal(subtoken_policy_read(room[0], 0, good, &policy, &error),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_true(policy == NULL && error.line == 0 && error.text[0] != '\0');
  size_t enough = 0;
  while (subtoken_policy_read(room[0], enough, good, &policy, NULL) != SUBTOKEN_OK) enough++;
  assert_true(enough <= size);
  for (size_t i = enough; i < sizeof room[0]; i++) assert_int_equal(room[0][i], 0);
  assert_int_equal(subtoken_policy_read(room[0] + 4, size, good, &policy, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_read(NULL, size, good, &policy, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_read(room[0], size, good, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_read(room[0], size, (subtoken_text){NULL, 3}, &policy, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(
      subtoken_policy_read(room[0], sizeof room[0], (subtoken_text){NULL, 0}, &policy, &error),
      SUBTOKEN_MALFORMED);
  assert_int_equal(subtoken_policy_size(SUBTOKEN_POLICY_TEXT_MAX + 1), 0);
  assert_true(subtoken_policy_size(SUBTOKEN_POLICY_TEXT_MAX) > SUBTOKEN_POLICY_TEXT_MAX);
  assert_int_equal(
      subtoken_policy_read(room[0], sizeof room[0],
                           (subtoken_text){text, SUBTOKEN_POLICY_TEXT_MAX + 1}, &policy, &error),
      SUBTOKEN_TOO_LARGE);
  assert_string_equal(error.text, "the policy is larger than 16 MiB");
  /* Elsewhere it is as good. */
  assert_int_equal(subtoken_policy_read(room[0], size, good, &policy, NULL), SUBTOKEN_OK);
  memcpy(room[1], room[0], sizeof room[0]);
  memset(room[0], 0xFF, sizeof room[0]);
  policy = (const void *)room[1];
  assert_int_equal(subtoken_policy_find(policy, ST_TEXT("HEAD"), ST_TEXT("/a/b"), 0, &decision),
                   SUBTOKEN_OK);
  assert_true(decision.needs_count == 2 && st_text_is(decision.needs[1], "y"));
  assert_true(decision.needs[1].data > room[1] && decision.needs[1].data < room[1] + size);
  for (size_t less = 0; less < 2; less++) { /* no byte more than is asked for is touched */
    void *exactly = malloc(enough - less), *moved = malloc(enough);
    if (exactly == NULL || moved == NULL) abort();
    memset(exactly, 0xA5, enough - less);
    subtoken_result result = subtoken_policy_read(exactly, enough - less, good, &policy, NULL);
    assert_int_equal(result, less == 0 ? SUBTOKEN_OK : SUBTOKEN_BUFFER_TOO_SMALL);
    if (less == 0) memcpy(moved, exactly, enough);
    free(exactly);
    policy = moved;
    if (less == 0) {
      assert_int_equal(subtoken_policy_find(policy, ST_TEXT("GET"), ST_TEXT("/a/b"), 0, &decision),
                       SUBTOKEN_OK);
      assert_true(decision.needs_count == 2 && st_text_is(decision.needs[0], "x"));
    }
    free(moved);
  }
  policy = (const void *)room[1];
  /* All zero, it denies. */
  memset(room[1], 0, sizeof room[1]);
  assert_int_equal(subtoken_policy_find(policy, ST_TEXT("GET"), ST_TEXT("/a/b"), 7, &decision),
                   SUBTOKEN_OK);
  assert_int_equal(decision.access, SUBTOKEN_ACCESS_DENIED);
}

/* ---- deciding ---- */

/* `denied`, `denied 3 not listed`, `token 4 a b`, `public 5`, `token 6 rpc`, `preflight`. */
static const char *said(const subtoken_policy *policy, const char *method, const char *target,
                        unsigned flags) {
  static char out[8192];
  static const char *const names[] = {"denied", "token", "public", "preflight"};
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_text at = exact_string(target), by = exact_string(method != NULL ? method : "");
  if (method == NULL) {
    release(by);
    by = (subtoken_text){NULL, 0};
  }
  memset(&decision, 0xEE, sizeof decision);
  decision.size = sizeof decision;
  subtoken_result result = subtoken_policy_find(policy, by, at, flags, &decision);
  release(at);
  if (method != NULL) release(by);
  if (result != SUBTOKEN_OK) {
    static const subtoken_decision denied = SUBTOKEN_DECISION_DEFAULT;
    CHECK(memcmp(&decision, &denied, sizeof denied) == 0, "%s", target);
    return subtoken_result_name(result);
  }
  int len = snprintf(out, sizeof out, "%s", names[decision.access]);
  if (decision.line > 0) len += snprintf(out + len, sizeof out - (size_t)len, " %u", decision.line);
  if (decision.json_rpc) len += snprintf(out + len, sizeof out - (size_t)len, " rpc");
  if (decision.not_listed) len += snprintf(out + len, sizeof out - (size_t)len, " not listed");
  for (size_t i = 0; i < decision.needs_count; i++) {
    len += snprintf(out + len, sizeof out - (size_t)len, " %.*s", (int)decision.needs[i].len,
                    decision.needs[i].data);
  }
  return out;
}

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

static void templates_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *why;
  } rows[] = {
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a/*/c\"},\n{\"path\":\"/a/*/%63\"}]}",
       "routes[1].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/*/*\"},\n{\"path\":\"/*/*\"}]}",
       "routes[1].path: same path and method as in line 2"},
      {ONE("\"path\":\"/a/**/c\""), "routes[0].path: \"/a/**/c\" a * must be a whole segment"},
      {ONE("\"path\":\"/a*/c\""), "routes[0].path: \"/a*/c\" a * must be a whole segment"},
      {ONE("\"path\":\"*/c\""), "routes[0].path: \"*/c\" a * must be a whole segment"},
      {ONE("\"path\":\"/a/%01/c\""),
       "routes[0].path: \"/a/%01/c\" it has an escaped control character"},
      {ONE("\"path\":\"/a/\\u0001/c\""),
       "routes[0].path: \"/a/\\x01/c\" it has a character that a path cannot hold unescaped"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result;
    subtoken_policy_error error;
    assert_null(try_read(rows[i].text, strlen(rows[i].text), &result, &error));
    CHECK(strcmp(error.text, rows[i].why) == 0, "%s\n%s", rows[i].text, error.text);
  }
  /* The same letters with a star as data, or in another place, are other paths. */
  drop(
      policy_of("{\"default\":\"deny\",\"routes\":[{\"path\":\"/a/*/c\"},{\"path\":\"/a/%2A/c\"},"
                "{\"path\":\"/a/*/*\"},{\"path\":\"/a/*\"},{\"path\":\"/*/*/c\"},"
                "{\"path\":\"/*/a/c\"},{\"path\":\"/a/*/\"}]}"));
}

static void defaults_and_preflight(void **state) {
  (void)state;
  static const char *const names[] = {"deny", "token", "public"};
  static const char *const says[] = {"denied", "token", "public"};
  char text[256];
  for (size_t i = 0; i < 3; i++) {
    for (int preflight = 0; preflight < 3; preflight++) { /* absent, false, true */
      snprintf(text, sizeof text,
               "{\"routes\":[{\"path\":\"/a\",\"methods\":[\"PUT\"]}]%s,\"default\":\"%s\"}",
               preflight == 0   ? ""
               : preflight == 1 ? ",\"preflight\":false"
                                : ",\"preflight\":true",
               names[i]);
      const subtoken_policy *policy = policy_of(text);
      const char *passes = preflight == 2 ? "preflight" : says[i];
      assert_string_equal(said(policy, "GET", "/", 0), says[i]);
      assert_string_equal(said(policy, "GET", "/a/", 0), says[i]);
      assert_string_equal(said(policy, "GET", "/a", 0), "denied 1 not listed");
      assert_string_equal(said(policy, "OPTIONS", "/b", 0), says[i]);
      assert_string_equal(said(policy, "GET", "/b", SUBTOKEN_POLICY_PREFLIGHT), says[i]);
      assert_string_equal(said(policy, NULL, "/b", SUBTOKEN_POLICY_PREFLIGHT), says[i]);
      assert_string_equal(said(policy, "options", "/b", SUBTOKEN_POLICY_PREFLIGHT), says[i]);
      assert_string_equal(said(policy, "OPTIONS", "/b", SUBTOKEN_POLICY_BODY), says[i]);
      assert_string_equal(said(policy, "OPTIONS", "/b", SUBTOKEN_POLICY_PREFLIGHT), passes);
      assert_string_equal(said(policy, "OPTIONS", "/a", SUBTOKEN_POLICY_PREFLIGHT),
                          preflight == 2 ? "preflight" : "denied 1 not listed");
      assert_string_equal(said(policy, "OPTIONS", "/b/..", SUBTOKEN_POLICY_PREFLIGHT),
                          "bad_target");
      drop(policy);
    }
    snprintf(text, sizeof text, "{\"default\":\"%s\"}", names[i]); /* no routes at all */
    const subtoken_policy *policy = policy_of(text);
    assert_string_equal(said(policy, "GET", "/", 0), says[i]);
    assert_string_equal(said(policy, "GET", "/.", 0), "bad_target");
    drop(policy);
  }
}

/* Final stars at depths up to the longest, and where words of bits end. */
static void final_stars_fit_at_any_depth(void **state) {
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

/* ---- many ---- */

static void many_routes(void **state) {
  (void)state;
  enum { COUNT_OF = 5000, SIZE = COUNT_OF * 96 };
  char *text = malloc(SIZE), target[96];
  if (text == NULL) abort();
  int len = snprintf(text, SIZE, "{\"default\":\"deny\",\"routes\":[");
  for (int i = 0; i < COUNT_OF; i++) {
    len += snprintf(text + len, 96, "%s\n{\"path\":\"/v%d/part%d/item%d%s\",\"needs\":[\"n%d\"]}",
                    i > 0 ? "," : "", i % 7, i % 31, i, i % 5 == 0 ? "/*" : "", i);
  }
  snprintf(text + len, 96, "]}");
  const subtoken_policy *policy = policy_of(text);
  size_t worst = 0, total = 0, asked = 0;
  for (int i = 0; i < COUNT_OF; i++) {
    char want[64];
    snprintf(want, sizeof want, "token %d n%d", i + 2, i);
    for (int j = 0; j < 3; j++) { /* the route, beside it, above it */
      const char *tail =
          i % 5 == 0 ? (const char *[]){"/x/y", "/", ""}[j] : (const char *[]){"", "/x", "/"}[j];
      snprintf(target, sizeof target, "/v%d/part%d/item%d%s", i % 7, i % 31, i, tail);
      const char *got = said(policy, "GET", target, 0);
      CHECK(strcmp(got, j == 0 ? want : "denied") == 0, "%s: %s", target, got);
      st_path path;
      size_t slots = 0;
      assert_int_equal(st_target_read(st_text(target), &path), SUBTOKEN_FAULT_NONE);
      (void)st_policy_lookup(policy, &path, &slots);
      worst = slots > worst ? slots : worst;
      total += slots;
      asked++;
    }
    snprintf(target, sizeof target, "/v%d/part%d/item%d", i % 7, i % 31, i + COUNT_OF);
    assert_string_equal(said(policy, "GET", target, 0), "denied");
  }
  print_message("# 5,000 routes: %zu slots at the most, %zu.%zu on average\n", worst, total / asked,
                total * 10 / asked % 10);
  assert_true(worst <= 64); /* two probes, each to the end of its run */
  assert_true(total <= 4 * asked);
  drop(policy);
  free(text);
}

/* ---- against one who compares all ---- */

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
    assert_int_equal(st_target_read(st_text(target), &path), SUBTOKEN_FAULT_NONE);
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

static void many_templates(void **state) {
  (void)state;
  many_templates_of(3, 6, 1);
  many_templates_of(5, 3, 2);
  many_templates_of(8, 2, 3);
  many_templates_of(16, 2, 4);
}

/* With so many ways to place stars as are allowed, all at the end of the longest paths, a look-up
 * asks the table once for each of them; one more is refused. */
static void ways_of_stars(void **state) {
  (void)state;
  static char text[1 << 20], target[SUBTOKEN_URL_MAX + 1];
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
      assert_int_equal(st_target_read(st_text(target), &path), SUBTOKEN_FAULT_NONE);
      (void)st_policy_lookup(policy, &path, &slots);
      CHECK(slots <= 4 * ways, "%zu slots", slots);
    }
    drop(policy);
  }
}

/* A star stands for a segment of any length, beside plain ones that are short. */
static void long_segments(void **state) {
  (void)state;
  static char target[SUBTOKEN_PATH_MAX + 1];
  const subtoken_policy *policy = policy_of(
      "{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a/*/c\"},\n{\"path\":\"/a/*\"}]}");
  const subtoken_policy *without = policy_of(
      "{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a/*\"},\n"
      "{\"path\":\"/abcdefgh/*\"},{\"path\":\"/abcdefgh\"},{\"path\":\"/*\"}]}");
  for (size_t len = 1; len + 6 <= SUBTOKEN_PATH_MAX; len += len < 40 ? 1 : 97) {
    memcpy(target, "/a/", 3);
    memset(target + 3, 'b', len);
    memcpy(target + 3 + len, "/c", 3);
    assert_string_equal(said(policy, "GET", target, 0), "token 2");
    assert_string_equal(said(without, "GET", target, 0), "token 2");
    target[3 + len] = '\0';
    assert_string_equal(said(policy, "GET", target, 0), "token 3");
    assert_string_equal(said(without, "GET", target, 0), "token 2");
    assert_string_equal(said(without, "GET", target + 2, 0), "token 3"); /* the last one: line 3 */
    memcpy(target, "/abcdefgh/", 10);
    if (len > 8) assert_string_equal(said(without, "GET", target, 0), "token 3");
  }
  assert_string_equal(said(without, "GET", "/abcdefgh", 0), "token 3");
  assert_string_equal(said(without, "GET", "/abcdefghi", 0), "token 3");
  drop(policy);
  drop(without);
}

/* ---- against a naive model ---- */

#define SEGMENTS_MAX 4
#define ROUTES_MAX 10

/* A path as its decoded segments: indices into this, of which the model knows nothing. */
static const char *const segments[] = {"a",   "b", "ab",  "\xC3\xA9",
                                       "x y", "*", "a.b", "\xF0\x9F\x98\x80"};
static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "OPTIONS"};

typedef struct model_path {
  size_t count;
  size_t segment[SEGMENTS_MAX];
  unsigned any; /* bits of segments that are a star for one; then segment is 0 */
  bool slash;   /* at the end; also with count 0 */
} model_path;

typedef struct model_route {
  model_path path;
  bool wild, open;
  unsigned methods; /* bits; 0: all */
  unsigned needs;
} model_route;

static model_path random_path(uint64_t *seed) {
  model_path path = {.count = random_below(seed, SEGMENTS_MAX + 1)};
  for (size_t i = 0; i < path.count; i++) {
    path.segment[i] = random_below(seed, random_below(seed, 3) > 0 ? 2 : COUNT(segments));
  }
  path.slash = path.count == 0 || random_below(seed, 8) == 0;
  return path;
}

/* Some segments become stars; the last one can only where something follows it. */
static void add_stars(model_path *path, bool wild, uint64_t *seed) {
  for (size_t i = 0; i < path->count; i++) {
    if (random_below(seed, 3) > 0 || (i + 1 == path->count && !wild && !path->slash)) continue;
    path->any |= 1U << i;
    path->segment[i] = 0;
  }
}

static void fill_stars(model_path *path, uint64_t *seed) {
  for (size_t i = 0; i < path->count; i++) {
    if (path->any >> i & 1) path->segment[i] = random_below(seed, COUNT(segments));
  }
  path->any = 0;
}

/* Each byte plain or escaped, as chance has it; a star never plain in an entry. */
static void write_path(st_writer *writer, const model_path *path, bool entry, uint64_t *seed) {
  for (size_t i = 0; i < path->count; i++) {
    bool any = path->any >> i & 1;
    st_write_literal(writer, any ? "/*" : "/");
    for (const char *c = any ? "" : segments[path->segment[i]]; *c != '\0'; c++) {
      char escape[4];
      bool must = (uint8_t)*c >= 0x80 || *c == ' ' || (entry && *c == '*');
      if (must || random_below(seed, 6) == 0) {
        snprintf(escape, sizeof escape, random_below(seed, 2) ? "%%%02x" : "%%%02X", (uint8_t)*c);
        for (int k = 1; k < 3; k++) must = must && escape[k] != '\0';
        st_write(writer, escape, 3);
      } else {
        st_write_char(writer, *c);
      }
    }
  }
  if (path->slash) st_write_char(writer, '/');
}

static bool same_path(const model_path *a, const model_path *b) {
  return a->count == b->count && a->slash == b->slash && a->any == b->any &&
         memcmp(a->segment, b->segment, a->count * sizeof a->segment[0]) == 0;
}

/* 0 not at all, 1 and more: the more the more specific. Read from the front on, a plain segment
 * is more than a star for one, and that more than a final star. */
static size_t model_matches(const model_route *route, const model_path *path) {
  const model_path *mine = &route->path;
  size_t how = 1;
  if (route->wild ? path->slash || path->count <= mine->count
                  : path->count != mine->count || path->slash != mine->slash) {
    return 0;
  }
  for (size_t i = 0; i <= SEGMENTS_MAX; i++) {
    bool any = i < mine->count && (mine->any >> i & 1) != 0;
    if (i < mine->count && !any && mine->segment[i] != path->segment[i]) return 0;
    how = 3 * how + (any ? 1 : i == mine->count && route->wild ? 0 : 2);
  }
  return how;
}

static unsigned with_head(unsigned bits) {
  if (bits == 0) return ~0U;
  return bits & 1 ? bits | 2 : bits;
}

static bool model_conflict(const model_route *routes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < i; j++) {
      if (routes[i].wild == routes[j].wild && same_path(&routes[i].path, &routes[j].path) &&
          (with_head(routes[i].methods) & with_head(routes[j].methods)) != 0) {
        return true;
      }
    }
  }
  return false;
}

/* What said() says, without flags. */
static const char *model_says(const model_route *routes, size_t count, size_t method,
                              const model_path *path, const char *otherwise) {
  static char out[256];
  size_t best = 0, first = 0;
  for (size_t i = 0; i < count; i++) {
    size_t how = model_matches(&routes[i], path);
    if (how > best) {
      best = how;
      first = i;
    }
  }
  if (best == 0) return otherwise;
  for (size_t i = 0; i < count; i++) {
    const model_route *route = &routes[i];
    if (model_matches(route, path) != best || (with_head(route->methods) >> method & 1) == 0) {
      continue;
    }
    int len = snprintf(out, sizeof out, "%s %zu", route->open ? "public" : "token", i + 2);
    for (int n = 0; n < 3; n++) {
      if (route->needs >> n & 1) len += snprintf(out + len, 8, " n%d", n);
    }
    return out;
  }
  snprintf(out, sizeof out, "denied %zu not listed", first + 2);
  return out;
}

static void write_bits(st_writer *writer, const char *name, const char *const *names, size_t count,
                       unsigned bits) {
  const char *before = "[";
  if (bits == 0) return;
  st_write_literal(writer, ",\"");
  st_write_literal(writer, name);
  st_write_literal(writer, "\":");
  for (size_t i = 0; i < count; i++) {
    if ((bits >> i & 1) == 0) continue;
    st_write_literal(writer, before);
    st_write_char(writer, '"');
    st_write_literal(writer, names[i]);
    st_write_char(writer, '"');
    before = ",";
  }
  st_write_char(writer, ']');
}

static void write_policy(st_writer *writer, const model_route *routes, size_t count,
                         const char *standard, uint64_t *seed) {
  static const char *const needs[] = {"n0", "n1", "n2"};
  st_write_literal(writer, "{\"default\":\"");
  st_write_literal(writer, standard);
  st_write_literal(writer, "\",\"routes\":[");
  for (size_t i = 0; i < count; i++) {
    st_write_literal(writer, i > 0 ? ",\n{\"path\":\"" : "\n{\"path\":\"");
    write_path(writer, &routes[i].path, true, seed);
    if (routes[i].wild) st_write_literal(writer, routes[i].path.slash ? "*" : "/*");
    st_write_char(writer, '"');
    write_bits(writer, "methods", methods, COUNT(methods), routes[i].methods);
    write_bits(writer, "needs", needs, COUNT(needs), routes[i].needs);
    if (routes[i].open) st_write_literal(writer, ",\"public\":true");
    st_write_char(writer, '}');
  }
  st_write_literal(writer, "]}");
}

static void naive_model(void **state) {
  (void)state;
  static const char *const names[] = {"deny", "token", "public"};
  static const char *const says[] = {"denied", "token", "public"};
  static char text[8192], target[512];
  uint64_t seed = 20261124;
  size_t read = 0, refused = 0, decided = 0;
  for (int round = 0; round < 4000; round++) {
    model_route routes[ROUTES_MAX];
    size_t count = 1 + random_below(&seed, ROUTES_MAX), standard = random_below(&seed, 3);
    for (size_t i = 0; i < count; i++) {
      routes[i] = (model_route){.path = random_path(&seed), .wild = random_below(&seed, 3) == 0};
      if (routes[i].wild) routes[i].path.slash = routes[i].path.count == 0;
      if (round % 4 > 0) add_stars(&routes[i].path, routes[i].wild, &seed);
      if (random_below(&seed, 3) > 0) routes[i].methods = (unsigned)random_below(&seed, 32);
      routes[i].open = random_below(&seed, 5) == 0;
      if (!routes[i].open) routes[i].needs = (unsigned)random_below(&seed, 8);
    }
    st_writer writer = st_writer_on(text, sizeof text);
    write_policy(&writer, routes, count, names[standard], &seed);
    assert_true(st_writer_end(&writer));
    subtoken_result result;
    subtoken_policy_error error;
    const subtoken_policy *policy = try_read(text, writer.len, &result, &error);
    CHECK((policy == NULL) == model_conflict(routes, count), "%s\n%s", text, error.text);
    if (policy == NULL) {
      CHECK(strstr(error.text, "same path and method as in line") != NULL, "%s", error.text);
      refused++;
      continue;
    }
    read++;
    for (int i = 0; i < 100; i++) {
      model_path path = random_path(&seed);
      if (random_below(&seed, 4) > 0) path = routes[random_below(&seed, count)].path;
      fill_stars(&path, &seed);
      if (random_below(&seed, 4) == 0 && path.count < SEGMENTS_MAX) path.segment[path.count++] = 0;
      if (path.count > 0 && path.slash && random_below(&seed, 2) > 0) path.slash = false;
      if (path.count == 0) path.slash = true;
      st_writer at = st_writer_on(target, sizeof target);
      write_path(&at, &path, false, &seed);
      if (random_below(&seed, 4) == 0) st_write_literal(&at, "?q=/../;");
      bool bad = random_below(&seed, 16) == 0;
      static const char *const bads[] = {";", "%00", "%2F", "#", "%25", "\xC3\xA9", "%C0", "%zz"};
      if (bad) {
        at.len = 0;
        write_path(&at, &path, false, &seed);
        st_write_literal(&at, bads[random_below(&seed, COUNT(bads))]);
      }
      assert_true(st_writer_end(&at));
      size_t method = random_below(&seed, COUNT(methods));
      const char *want =
          bad ? "bad_target" : model_says(routes, count, method, &path, says[standard]);
      const char *got = said(policy, methods[method], target, 0);
      CHECK(strcmp(got, want) == 0, "%s\n%s %s: %s, not %s", text, methods[method], target, got,
            want);
      decided++;
    }
    drop(policy);
  }
  print_message("# %zu policies, %zu with a conflict, %zu decisions\n", read, refused, decided);
  assert_true(read > 1000 && refused > 100);
}

/* ---- with a token ---- */

static subtoken_result never_asked(void *context, subtoken_text sub) {
  (void)sub;
  ++*(int *)context;
  return SUBTOKEN_OK;
}

static void in_order(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"deny\",\"preflight\":true,\"routes\":[\n"
      "{\"path\":\"/one\",\"needs\":[\"account\"]},\n"
      "{\"path\":\"/two\",\"needs\":[\"account\",\"guilds\"]},\n"
      "{\"path\":\"/three\",\"needs\":[\"account\",\"wallet\"]},\n"
      "{\"path\":\"/open\",\"public\":true},\n"
      "{\"path\":\"/any\",\"methods\":[\"GET\"]},\n"
      "{\"path\":\"/rpc\",\"json_rpc\":true}]}";
  enum { GOOD, OLD, LIMITED, FORGED, ABSENT, BLANK }; /* tokens */
  static const struct {
    int token;
    const char *method;
    const char *target;
    unsigned flags;
    subtoken_result result;
    uint32_t line;
  } rows[] = {
      {GOOD, "GET", "/one", 0, SUBTOKEN_OK, 2},
      {GOOD, "GET", "/two?x", 0, SUBTOKEN_OK, 3},
      {GOOD, "GET", "/three", 0, SUBTOKEN_PERM, 4},
      {GOOD, "GET", "/any", 0, SUBTOKEN_OK, 6},
      {GOOD, "PUT", "/any", 0, SUBTOKEN_URL, 6},
      {GOOD, "GET", "/none", 0, SUBTOKEN_URL, 0},
      {GOOD, "POST", "/rpc", 0, SUBTOKEN_URL, 7},
      {GOOD, "POST", "/rpc", SUBTOKEN_POLICY_BODY, SUBTOKEN_OK, 7},
      {GOOD, "GET", "/one/..", 0, SUBTOKEN_BAD_TARGET, 0},
      {OLD, "GET", "/one", 0, SUBTOKEN_EXPIRED, 2},
      {OLD, "GET", "/three", 0, SUBTOKEN_EXPIRED, 4},
      {OLD, "POST", "/rpc", SUBTOKEN_POLICY_BODY, SUBTOKEN_EXPIRED, 7},
      {OLD, "GET", "/none", 0, SUBTOKEN_EXPIRED, 0}, /* 401 before the route's 403 */
      {OLD, "PUT", "/any", 0, SUBTOKEN_EXPIRED, 6},
      {OLD, "POST", "/rpc", 0, SUBTOKEN_EXPIRED, 7},
      {OLD, "GET", "/one/..", 0, SUBTOKEN_BAD_TARGET, 0},
      {OLD, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {LIMITED, "GET", "/one", 0, SUBTOKEN_OK, 2},
      {LIMITED, "GET", "/two", 0, SUBTOKEN_URL, 3},
      {LIMITED, "GET", "/three", 0, SUBTOKEN_URL, 4}, /* its urls before its permissions */
      {LIMITED, "GET", "/none", 0, SUBTOKEN_URL, 0},
      {LIMITED, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {FORGED, "GET", "/one", 0, SUBTOKEN_MAC, 2},
      {FORGED, "GET", "/none", 0, SUBTOKEN_MAC, 0},
      {FORGED, "PUT", "/any", 0, SUBTOKEN_MAC, 6},
      {FORGED, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {FORGED, "GET", "/open;", 0, SUBTOKEN_BAD_TARGET, 0},
      {ABSENT, "GET", "/one", 0, SUBTOKEN_MALFORMED, 2},
      {ABSENT, "GET", "/any", 0, SUBTOKEN_MALFORMED, 6},
      {ABSENT, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {ABSENT, "GET", "/none", 0, SUBTOKEN_MALFORMED, 0},
      {ABSENT, "PUT", "/any", 0, SUBTOKEN_MALFORMED, 6},
      {ABSENT, "POST", "/rpc", 0, SUBTOKEN_MALFORMED, 7},
      {BLANK, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {BLANK, "GET", "/none", 0, SUBTOKEN_MALFORMED, 0},
      {ABSENT, "GET", "//", 0, SUBTOKEN_BAD_TARGET, 0},
      {ABSENT, "OPTIONS", "/one", SUBTOKEN_POLICY_PREFLIGHT, SUBTOKEN_OK, 0},
      {ABSENT, "OPTIONS", "/one", 0, SUBTOKEN_MALFORMED, 2},
      {BLANK, "GET", "/one", 0, SUBTOKEN_MALFORMED, 2},
  };
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  int asked = 0;
  verifier.ring = &ring;
  verifier.revoked = never_asked;
  verifier.revoked_context = &asked;
  subtoken_text tokens[] = {
      good_token(GOOD_PAYLOAD),
      good_token(
          "{\"sub\":\"p\",\"iat\":1600000000,\"exp\":1600003600,\"permissions\":[\"account\"]}"),
      good_token("{" GOOD_CLAIMS ",\"permissions\":[\"account\",\"guilds\"],\"urls\":[\"/one\"]}"),
      signed_token(OTHER_SECRET, st_text(HEADER), st_text(GOOD_PAYLOAD)),
      {NULL, 0},
      {"", 0}};
  const subtoken_policy *policy = policy_of(text);
  for (size_t i = 0; i < COUNT(rows); i++) {
    static subtoken_claims claims;
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    memset(&claims, 0x77, sizeof claims);
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = st_text(rows[i].method),
                                .target = st_text(rows[i].target)};
    asked = 0;
    subtoken_result got = subtoken_policy_verify(&verifier, policy, tokens[rows[i].token], &request,
                                                 rows[i].flags, &claims, &decision);
    CHECK(got == rows[i].result && decision.line == rows[i].line, "%d %s %s: %s %u", rows[i].token,
          rows[i].method, rows[i].target, subtoken_result_name(got), decision.line);
    bool open =
        decision.access == SUBTOKEN_ACCESS_PUBLIC || decision.access == SUBTOKEN_ACCESS_PREFLIGHT;
    CHECK(claims_are_zero(&claims) == (got != SUBTOKEN_OK || open), "%zu", i);
    CHECK(!open || asked == 0, "%zu", i); /* what is public asks for no token's sub */
    bool none = rows[i].token == ABSENT || rows[i].token == BLANK;
    CHECK(decision.no_token == (none && got == SUBTOKEN_MALFORMED), "%zu", i);
    subtoken_result alone = subtoken_policy_verify(&verifier, policy, tokens[rows[i].token],
                                                   &request, rows[i].flags, &claims, NULL);
    /* Who takes no decision cannot know that the body is to be read. */
    CHECK(alone == (got == SUBTOKEN_OK && decision.json_rpc ? SUBTOKEN_URL : got), "%zu", i);
    CHECK(claims_are_zero(&claims) == (alone != SUBTOKEN_OK || open), "%zu", i);
    CHECK((rows[i].target[1] == 'r' && rows[i].flags != 0) == decision.json_rpc ||
              rows[i].flags != SUBTOKEN_POLICY_BODY,
          "%zu", i);
  }
  /* Revocations that are stale: 503 before the route's 403, behind the token's 401. */
  static subtoken_claims claims;
  verifier.revoked = NULL;
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = st_text(rows[i].method),
                                .target = st_text(rows[i].target)};
    subtoken_result want = rows[i].result;
    if (rows[i].token == GOOD || rows[i].token == LIMITED) {
      bool early = want == SUBTOKEN_BAD_TARGET || strcmp(rows[i].target, "/open") == 0;
      if (!early) want = SUBTOKEN_REVOCATION_UNKNOWN;
    }
    subtoken_result got = subtoken_policy_verify(&verifier, policy, tokens[rows[i].token], &request,
                                                 rows[i].flags, &claims, NULL);
    CHECK(got == want, "%zu: %s", i, subtoken_result_name(got));
  }
  verifier.revoked = never_asked;
  subtoken_text more[] = {ST_TEXT("account"), ST_TEXT("wallet")};
  subtoken_request request = {
      .size = sizeof request, .now = NOW, .method = ST_TEXT("GET"), .target = ST_TEXT("/two")};
  request.needs = more;
  for (size_t count = 0; count <= 2; count++) { /* the request's own needs come on top */
    request.needs_count = count;
    assert_int_equal(
        subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
        count < 2 ? SUBTOKEN_OK : SUBTOKEN_PERM);
  }
  assert_true(claims_are_zero(&claims));
  request.target = (subtoken_text)ST_TEXT("/none"); /* a route's no goes before theirs */
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_URL);
  request.needs = NULL;
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  request.needs_count = 0;
  assert_int_equal(subtoken_policy_verify(NULL, policy, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_verify(&verifier, NULL, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], NULL, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  verifier.without_revocations = false; /* an empty ring signs and opens nothing */
  memset(&ring, 0, sizeof ring);
  assert_int_not_equal(
      subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
      SUBTOKEN_OK);
  for (size_t i = 0; i < 4; i++) release(tokens[i]);
  drop(policy);
}

/* All that a route and a caller can ask for at once: 64 and 64, and any one of them lacking. */
static void needs_at_their_most(void **state) {
  (void)state;
  static char text[8192], payload[8192];
  static char names[128][16];
  static subtoken_text needs[64];
  static subtoken_claims claims;
  int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",");
  for (int i = 0; i < 128; i++) snprintf(names[i], sizeof names[i], "p%d", i);
  for (int i = 0; i < 64; i++) {
    len += snprintf(text + len, 32, "%s\"%s\"", i == 0 ? "\"needs\":[" : ",", names[i]);
    needs[i] = st_text(names[63 - i]); /* the same again, backwards */
  }
  snprintf(text + len, 8, "]}]}");
  const subtoken_policy *policy = policy_of(text);
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  for (int lacking = -1; lacking < 65; lacking++) {
    len = snprintf(payload, sizeof payload, "{" GOOD_CLAIMS ",\"permissions\":[");
    for (int i = 0; i < 64; i++) {
      len += snprintf(payload + len, 32, "%s\"%s\"", i == 0 ? "" : ",",
                      i == lacking ? names[64 + i] : names[i]);
    }
    snprintf(payload + len, 8, "]}");
    subtoken_text token = good_token(payload);
    needs[63] = st_text(lacking == 64 ? names[64] : names[0]); /* one of the caller's own */
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = ST_TEXT("GET"),
                                .target = ST_TEXT("/a"),
                                .needs = needs,
                                .needs_count = 64};
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    subtoken_result got =
        subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, &decision);
    CHECK(got == (lacking < 0 ? SUBTOKEN_OK : SUBTOKEN_PERM), "%d", lacking);
    assert_int_equal(decision.needs_count, 64);
    static char error[SUBTOKEN_TOKEN_MAX];
    char want[64];
    (void)subtoken_policy_explain(&verifier, policy, token, &request, 0, got, error, sizeof error);
    snprintf(want, sizeof want, "it needs p%d, the token has [", lacking);
    CHECK(lacking < 0 || strncmp(error, want, strlen(want)) == 0, "%s", error);
    CHECK(strstr(error, "; line 1 of the policy needs [p0, p1, ") != NULL, "%s", error);
    release(token);
  }
  drop(policy);
}

/* Targets and routes that differ in nothing but how they are written, and in one thing more. */
static void escapes_and_the_root(void **state) {
  (void)state;
  static const struct {
    const char *method, *target, *said;
  } rows[] = {
      {"GET", "/", "token 3"},
      {"GET", "/?/a", "token 3"},
      {"HEAD", "/", "token 3"},
      {"OPTIONS", "/", "denied 3 not listed"},
      {"get", "/", "denied 3 not listed"},
      {"GET", "/x", "token 2 root"},
      {"GET", "/x/", "denied"},
      {"GET", "/x/y/z", "token 2 root"},
      {"GET", "/*", "token 2 root"},
      {"GET", "/%2A", "token 2 root"},
      {"GET", "/a+b", "token 4"},
      {"GET", "/a%2Bb", "token 4"},
      {"GET", "/a%20b", "token 5"},
      {"GET", "/a%2bb/", "token 6"},
      {"GET", "/a+b//", "bad_target"},
      {"GET", "/%61+b", "token 4"},
      {"GET", "/A+b", "token 2 root"},
      {"GET", "/a+b/%20", "bad_target"},
      {"GET", "/e%CC%81", "token 7"},
      {"GET", "/%C3%A9", "token 8"},
      {"GET", "/%c3%a9", "token 8"},
      {"GET", "/%C3%A9/", "denied"},
      {"GET", "/%C3%A9/%2A", "token 9"},
      {"GET", "/%C3%A9/*", "token 9"},
      {"GET", "/%C3%A9/**", "token 10"},
      {"GET", "/%C3%A9/*/", "denied"},
      {"HEAD", "/head", "token 11"},
      {"GET", "/head", "denied 11 not listed"},
      {"POST", "/head", "token 12"},
  };
  const subtoken_policy *policy = policy_of(
      "{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/*\",\"needs\":[\"root\"]},\n"
      "{\"path\":\"/\",\"methods\":[\"GET\"]},\n{\"path\":\"/a+b\"},\n"
      "{\"path\":\"/a%20b\"},\n{\"path\":\"/a+%62/\"},\n{\"path\":\"/e%cc%81\"},\n"
      "{\"path\":\"/%C3%a9\"},\n{\"path\":\"/%C3%a9/%2a\"},\n{\"path\":\"/%C3%A9/*\"},\n"
      "{\"path\":\"/head\",\"methods\":[\"HEAD\"]},\n"
      "{\"path\":\"/head\",\"methods\":[\"POST\"]}]}");
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *got = said(policy, rows[i].method, rows[i].target, 0);
    CHECK(strcmp(got, rows[i].said) == 0, "%s %s: %s, not %s", rows[i].method, rows[i].target, got,
          rows[i].said);
  }
  drop(policy);
}

/* ---- in words ---- */

/* Printable UTF-8 and nothing that turns the direction of writing. */
static bool harmless(const char *text, size_t len) {
  for (size_t i = 0; i < len;) {
    uint32_t code;
    size_t step = st_utf8_next(text + i, len - i, &code);
    if (step == 0 || st_utf8_is_control(code)) return false;
    i += step;
  }
  return true;
}

/* Also into blocks of each exact size: always ended, and never anything but the front. */
static const char *error(const subtoken_verifier *verifier, const subtoken_policy *policy,
                         subtoken_text token, const subtoken_request *request, unsigned flags,
                         subtoken_result result) {
  static char whole[8 * SUBTOKEN_TARGET_MAX];
  size_t len =
      subtoken_policy_explain(verifier, policy, token, request, flags, result, whole, sizeof whole);
  CHECK(len > 0 && len == strlen(whole) && harmless(whole, len), "%s", whole);
  for (size_t size = 0; size <= len + 2; size += size < 300 ? 1 : len / 7) {
    char *out = malloc(size);
    if (out == NULL) abort();
    if (size > 0) memset(out, 'x', size);
    size_t cut =
        subtoken_policy_explain(verifier, policy, token, request, flags, result, out, size);
    CHECK(size == 0 ? cut == 0 : cut < size && out[cut] == '\0', "%zu in %zu", cut, size);
    CHECK(size == 0 || (memcmp(out, whole, cut) == 0 && harmless(out, cut)), "%zu in %zu", cut,
          size);
    CHECK(size <= len || cut == len, "%zu in %zu", cut, size);
    free(out);
  }
  return whole;
}

static void explanations_name_the_route_and_the_need(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"deny\",\"preflight\":true,\"routes\":[\n"
      "{\"path\":\"/one\",\"methods\":[\"GET\"],\"needs\":[\"account\",\"guilds\"]},\n"
      "{\"path\":\"/two\",\"needs\":[\"account\",\"wallet\"]},\n"
      "{\"path\":\"/open\",\"public\":true},\n"
      "{\"path\":\"/any\"},\n"
      "{\"path\":\"/rpc\",\"json_rpc\":true},\n"
      "{\"path\":\"/both\",\"json_rpc\":true,\"needs\":[\"account\"]}]}";
  enum { GOOD, OLD, LIMITED, ABSENT, BLANK };
  static const struct {
    int token;
    const char *method; /* NULL: absent */
    const char *target;
    unsigned flags;
    subtoken_result result; /* UNDECIDED: as subtoken_policy_verify says */
    const char *words;
  } rows[] = {
      {GOOD, "GET", "/one", 0, 0,
       "good until 2023-11-14T23:13:20Z; line 2 of the policy needs [account, guilds]"},
      {GOOD, "HEAD", "/any?access_token=secret", 0, 0,
       "good until 2023-11-14T23:13:20Z; line 5 of the policy needs a good token"},
      {GOOD, "GET", "/rpc", SUBTOKEN_POLICY_BODY, 0,
       "good until 2023-11-14T23:13:20Z; line 6 of the policy needs a good token, and the APIs "
       "that the body names"},
      {GOOD, "GET", "/both", SUBTOKEN_POLICY_BODY, SUBTOKEN_PERM, /* subtoken_rpc_allowed */
       "it needs an API that the body names, the token has [account, guilds]; line 7 of the "
       "policy needs [account], and the APIs that the body names"},
      {GOOD, "GET", "/rpc", 0, 0,
       "GET /rpc: line 6 of the policy needs the APIs that the JSON-RPC body names, and no body "
       "is read here"},
      {GOOD, "GET", "/two?access_token=secret", 0, 0,
       "it needs wallet, the token has [account, guilds]; line 3 of the policy needs [account, "
       "wallet]"},
      {GOOD, "PUT", "/one?access_token=secret", 0, 0,
       "PUT /one: line 2 of the policy does not list this method"},
      {GOOD, "", "/one", 0, 0, "\"\" /one: line 2 of the policy does not list this method"},
      {GOOD, "\x1b[m", "/%C3%A9", 0, 0,
       "\\x1b[m /%C3%A9: no route of the policy has this path, and its default is deny"},
      {GOOD, NULL, "/one", 0, 0, "/one: line 2 of the policy lists methods, and none is given"},
      {GOOD, NULL, "/no", 0, 0,
       "/no: no route of the policy has this path, and its default is "
       "deny"},
      {OLD, "GET", "/one", 0, 0, "exp 2020-09-13T13:26:40Z was 1157 days ago"},
      {OLD, "GET", "/no", 0, 0, "exp 2020-09-13T13:26:40Z was 1157 days ago"},
      {LIMITED, "GET", "/any", 0, 0,
       "url GET /any is not in [/one]; line 5 of the policy needs a good token"},
      {ABSENT, "GET", "/one", 0, 0, "no token came"},
      {BLANK, "GET", "/no", 0, 0, "no token came"},
      {ABSENT, "GET", "/open", 0, 0, "public, by line 4 of the policy"},
      {OLD, "GET", "/open", 0, 0, "public, by line 4 of the policy"},
      {ABSENT, "OPTIONS", "/two", SUBTOKEN_POLICY_PREFLIGHT, 0,
       "a CORS preflight, which the policy lets pass"},
      {ABSENT, "GET", "/open/..", 0, 0,
       "target /open/.. is refused: it has a segment of only dots and spaces"},
      {OLD, "GET", "\x1b/", 0, 0, "target ... is refused: a path starts with /"},
      {GOOD, "GET", "/open?#", 0, 0, "target /open is refused: it has a #, in its query"},
      {GOOD, "GET", "", 0, 0, "target \"\" is refused: a path starts with /"},
      /* Results that these arguments did not give. */
      {ABSENT, "GET", "/one", 0, SUBTOKEN_OK, NULL},
      {GOOD, "GET", "/open", 0, SUBTOKEN_URL, NULL},
      {GOOD, "GET", "/one", 0, SUBTOKEN_URL, NULL},
      {OLD, "GET", "/no", 0, SUBTOKEN_PERM, NULL},
      {BLANK, "GET", "/no", 0, SUBTOKEN_MAC, NULL},
      {GOOD, "GET", "/no", 0, (subtoken_result)999, NULL},
  };
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  subtoken_text tokens[] = {
      good_token(GOOD_PAYLOAD),
      good_token("{\"sub\":\"p\",\"iat\":1600000000,\"exp\":1600003600,\"permissions\":[]}"),
      good_token("{" GOOD_CLAIMS ",\"permissions\":[\"account\"],\"urls\":[\"/one\"]}"),
      {NULL, 0},
      {"", 0}};
  const subtoken_policy *policy = policy_of(text);
  subtoken_request request = {.size = sizeof request, .now = NOW};
  for (size_t i = 0; i < COUNT(rows); i++) {
    static subtoken_claims claims;
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    subtoken_text token = tokens[rows[i].token], none = {NULL, 0};
    subtoken_result result = rows[i].result;
    request.method = rows[i].method != NULL ? st_text(rows[i].method) : none;
    request.target = st_text(rows[i].target);
    if (result == SUBTOKEN_UNDECIDED) {
      result = subtoken_policy_verify(&verifier, policy, token, &request, rows[i].flags, &claims,
                                      &decision);
    }
    const char *got = error(&verifier, policy, token, &request, rows[i].flags, result);
    CHECK(rows[i].words == NULL || strcmp(got, rows[i].words) == 0, "%zu: %s", i, got);
  }
  request.target = (subtoken_text){NULL, 0};
  assert_string_equal(error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_BAD_TARGET),
                      "no target is given, and a policy goes by it");
  request.target = (subtoken_text)ST_TEXT("/one");
  request.needs_count = 1; /* and no needs */
  assert_string_equal(
      error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_INVALID_ARGUMENT),
      "invalid argument");
  (void)error(&verifier, policy, tokens[ABSENT], &request, 0, SUBTOKEN_PERM);
  static char path[SUBTOKEN_PATH_MAX]; /* each byte of it is shown as four */
  memset(path, '\x80', sizeof path);
  path[0] = '/';
  request.target = (subtoken_text){path, sizeof path};
  request.method = request.target;
  (void)error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_BAD_TARGET);
  request.target = (subtoken_text)ST_TEXT("/one");
  (void)error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_URL);
  char out[8] = "x";
  assert_int_equal(subtoken_policy_explain(NULL, policy, tokens[0], &request, 0, 1, out, 8), 0);
  assert_int_equal(subtoken_policy_explain(&verifier, NULL, tokens[0], &request, 0, 1, out, 8), 0);
  assert_int_equal(subtoken_policy_explain(&verifier, policy, tokens[0], NULL, 0, 1, out, 8), 0);
  assert_int_equal(subtoken_policy_explain(&verifier, policy, tokens[0], &request, 0, 1, NULL, 8),
                   0);
  assert_string_equal(out, "");
  drop(policy);
  /* The default, which has no line. */
  policy = policy_of("{\"default\":\"token\"}");
  request = (subtoken_request){.size = sizeof(subtoken_request),
                               .now = NOW,
                               .method = ST_TEXT("GET"),
                               .target = ST_TEXT("/one")};
  assert_string_equal(error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_OK),
                      "good until 2023-11-14T23:13:20Z; the default of the policy needs a good "
                      "token");
  drop(policy);
  policy = policy_of("{\"default\":\"public\"}");
  assert_string_equal(error(&verifier, policy, tokens[ABSENT], &request, 0, SUBTOKEN_OK),
                      "public, by the default of the policy");
  drop(policy);
  for (size_t i = 0; i < 3; i++) release(tokens[i]);
}

/* ---- JSON-RPC ---- */

static subtoken_result rpc_of(const char *body, size_t len, subtoken_rpc *rpc) {
  subtoken_text text = exact(body, len);
  char *scratch = malloc(len > 0 ? len : 1);
  if (scratch == NULL) abort();
  memset(rpc, 0x55, sizeof *rpc);
  subtoken_result result = subtoken_rpc_read(text, scratch, len, rpc);
  CHECK(len == 0 || memcmp(text.data, body, len) == 0, "%s", body);
  free(scratch);
  release(text);
  return result;
}

#define X60 X10 X10 X10 X10 X10 X10

static void rpc_bodies(void **state) {
  (void)state;
  static const struct {
    const char *body;
    const char *needs; /* NULL: refused */
  } rows[] = {
      {"{\"method\":\"call\",\"params\":[\"history\",\"get\",[1,{\"a\":[]}]]}", "history_api"},
      {"{\"params\":[\"history\",\"get\",[]],\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"call\"}",
       "history_api"},
      {" \n{\"method\":\"call\",\"params\":[0,\"get\",[]]}\n", "database_api"},
      {"{\"method\":\"call\",\"params\":[\"database\",\"get\",[]]}", "database_api"},
      /* A6 */
      {"{\"method\":\"call\",\"params\":[\"database_api\"]}", "database_api"},
      {"{\"method\":\"call\",\"params\":[\"condenser_api\",\"get_accounts\",[[\"a\"]]]}",
       "condenser_api"},
      {"{\"method\":\"call\",\"params\":[\"network_broadcast_api\",\"broadcast_transaction\",[{}]]"
       "}",
       "network_broadcast_api"},
      {"{\"jsonrpc\":\"2.0\",\"method\":\"condenser_api.get_accounts\",\"params\":[[\"a\"]],\"id\":"
       "1}",
       "condenser_api"},
      {"{\"method\":\"network_broadcast_api.broadcast_transaction\",\"params\":{\"trx\":{}}}",
       "network_broadcast_api"},
      {"{\"method\":\"bridge.get_ranked_posts\",\"params\":{}}", "bridge_api"},
      {"{\"method\":\"jsonrpc.get_methods\"}", "jsonrpc_api"},
      {"{\"params\":[\"history\"],\"method\":\"block_api.get\"}", "block_api"},
      {"{\"method\":\"bl\\u006fck_api\\u002eget\"}", "block_api"},
      {"{\"method\":\"api.x\"}", "api_api"},
      {"{\"method\":\"_api.x\"}", "_api"},
      {"{\"method\":\"eth_call\"}", "database_api"},
      {"{\"method\":\"callback\"}", "database_api"},
      {"{\"method\":\"call.get\"}", "call_api"},
      {"{\"method\":\"" X60 "_api.x\"}", X60 "_api"},
      {"{\"method\":\"call\",\"params\":[\"" X60 "_api\"]}", X60 "_api"},
      {"[{\"method\":\"condenser_api.a\"},{\"method\":\"call\",\"params\":[\"condenser\"]},"
       "{\"method\":\"network_broadcast_api.b\"},{\"method\":\"c\"}]",
       "condenser_api network_broadcast_api database_api"},
      {"{\"method\":\"" X60 "x.x\"}", NULL},
      {"{\"method\":\"" X60 "x_api.x\"}", NULL},
      {"{\"method\":\".get\"}", NULL},
      {"{\"method\":\"block_api.\"}", NULL},
      {"{\"method\":\".\"}", NULL},
      {"{\"method\":\"steemd.block_api.get\"}", NULL},
      {"{\"method\":\"block_api..get\"}", NULL},
      {"{\"method\":\"0.get\"}", NULL},
      {"{\"method\":\"1.get\"}", NULL},
      {"{\"method\":\"\"}", NULL},
      {"{\"method\":\" call\",\"params\":[\"history\"]}", NULL},
      {"{\"method\":\"call \",\"params\":[\"history\"]}", NULL},
      {"{\"method\":\"block_api .get\"}", NULL},
      {"{\"method\":\"block_api,x.get\"}", NULL},
      {"{\"method\":\"get\\tx\"}", NULL},
      {"{\"method\":\"g\xC3\xA9t\"}", NULL},
      {"{\"method\":\"Call\",\"params\":[\"history\"]}", NULL}, /* somebody's call */
      {"{\"method\":\"CALL\",\"params\":[0]}", NULL},
      {"{\"method\":\"jsonrpc.call\",\"params\":[\"history\",\"get\",[]]}", NULL},
      {"{\"method\":\"condenser_api.Call\",\"params\":[]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"condenser_api\",\"call\",[\"network_broadcast_api\"]]}",
       NULL},
      {"{\"method\":\"call\",\"params\":[0,\"call\",[\"history\",\"x\",[]]]}", NULL},
      {"{\"method\":\"call\",\"params\":[2,\"get\",[]]}", NULL}, /* what a login gave it */
      {"{\"method\":\"call\",\"params\":[\"0\",\"get\",[]]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"2\",\"get\",[]]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"condenser_api.x\",\"get\",[]]}", NULL},
      {"{\"method\":\"get_objects\",\"params\":[[\"1.2.0\"]]}", "database_api"},
      {"{\"method\":\"get_objects\",\"params\":{\"method\":\"call\",\"params\":[]}}",
       "database_api"},
      {"{\"method\":\"get_objects\",\"params\":[\"history\"]}", "database_api"},
      {"{\"method\":\"get_objects\",\"params\":null}", "database_api"},
      {"{\"method\":\"get_objects\"}", "database_api"},
      {"{\"method\":\"c\\u0061ll\",\"params\":[\"hist\\u006fry\"]}", "history_api"},
      {"{\"m\\u0065thod\":\"call\",\"params\":[\"history\"]}", "history_api"},
      {"{\"method\":\"call\",\"params\":[\"" X60 "\"]}", X60 "_api"},
      {"[{\"method\":\"call\",\"params\":[\"b\"]}]", "b_api"},
      {"[{\"method\":\"call\",\"params\":[\"b\"]},{\"method\":\"call\",\"params\":[0]},"
       "{\"method\":\"call\",\"params\":[\"b\"]},{\"method\":\"x\"},"
       "{\"method\":\"call\",\"params\":[\"a\"]}]",
       "b_api database_api a_api"},
      {"{\"method\":\"call\",\"params\":[\"history\"],\"other\":{\"method\":1,\"params\":2}}",
       "history_api"},
      {"", NULL},
      {" ", NULL},
      {"null", NULL},
      {"0", NULL},
      {"\"call\"", NULL},
      {"{}", NULL},
      {"[]", NULL},
      {"[[]]", NULL},
      {"[[{\"method\":\"x\"}]]", NULL},
      {"[{\"method\":\"x\"},[]]", NULL},
      {"[{\"method\":\"x\"},1]", NULL},
      {"[{\"method\":\"x\"},{}]", NULL},
      {"[{\"method\":\"x\"},]", NULL},
      {"[{\"method\":\"x\"}", NULL},
      {"{\"method\":\"x\"}{\"method\":\"x\"}", NULL},
      {"{\"method\":\"x\"} x", NULL},
      {"{\"method\":\"x\"},", NULL},
      {"{\"id\":1,\"result\":{}}", NULL},
      {"{\"method\":null}", NULL},
      {"{\"method\":1}", NULL},
      {"{\"method\":[\"call\"]}", NULL},
      {"{\"method\":\"call\"}", NULL},
      {"{\"method\":\"call\",\"params\":null}", NULL},
      {"{\"method\":\"call\",\"params\":[]}", NULL},
      {"{\"method\":\"call\",\"params\":\"history\"}", NULL},
      {"{\"method\":\"call\",\"params\":{\"0\":\"history\"}}", NULL},
      {"{\"method\":\"call\",\"params\":[[\"history\"]]}", NULL},
      {"{\"method\":\"call\",\"params\":[null,0]}", NULL},
      {"{\"method\":\"call\",\"params\":[{},\"history\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[true]}", NULL},
      {"{\"method\":\"call\",\"params\":[1]}", NULL},
      {"{\"method\":\"call\",\"params\":[-0]}", NULL},
      {"{\"method\":\"call\",\"params\":[0.0]}", NULL},
      {"{\"method\":\"call\",\"params\":[0e1]}", NULL},
      {"{\"method\":\"call\",\"params\":[00]}", NULL},
      {"{\"method\":\"call\",\"params\":[0x0]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a b\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a,b\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\\\"\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\\u0000\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"\xC3\xA9\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"" X60 "x\"]}", NULL},
      {"{\"method\":\"x\",\"method\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\"],\"params\":[\"b\"]}", NULL},
      {"{\"method\":\"x\",\"m\\u0065thod\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"method\":\"x\",\"Method\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"METHOD\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\"],\"PARAMS\":[\"b\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\"],\"param\xC5\xBF\":[\"b\"]}", NULL},
      {"{\"method\":\"x\",\"id\":1,\"id\":2}", NULL},
      {"{\"method\":\"x\",\"params\":[{\"a\":1,\"a\":2}]}", NULL}, /* twice, deep down */
      {"{\"method\":\"x\",\"params\":[\"\xFF\"]}", NULL},
      {"{\"method\":\"x\",\"params\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", NULL},
      {"\xEF\xBB\xBF{\"method\":\"x\"}", NULL},
      {"{\"method\":\"x\"/**/}", NULL},
      {"{'method':'x'}", NULL},
  };
  static subtoken_rpc rpc;
  for (size_t i = 0; i < COUNT(rows); i++) {
    char got[512] = "";
    subtoken_result result = rpc_of(rows[i].body, strlen(rows[i].body), &rpc);
    for (size_t n = 0; n < rpc.count; n++) {
      subtoken_text need = subtoken_rpc_need(&rpc, n);
      snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", n > 0 ? " " : "",
               (int)need.len, need.data);
    }
    if (rows[i].needs == NULL) {
      CHECK(result == SUBTOKEN_MALFORMED && rpc.count == 0, "%s: %s", rows[i].body, got);
    } else {
      CHECK(result == SUBTOKEN_OK && strcmp(got, rows[i].needs) == 0, "%s: %s", rows[i].body, got);
    }
  }
  assert_int_equal(rpc_of("{\"method\":\"x\0\"}", 15, &rpc), SUBTOKEN_MALFORMED);
}

static void rpc_limits(void **state) {
  (void)state;
  static subtoken_rpc rpc;
  static char body[SUBTOKEN_RPC_BODY_MAX + 2], scratch[SUBTOKEN_RPC_BODY_MAX + 2];
  for (int count = 64; count <= 65; count++) {
    int len = snprintf(body, sizeof body, "[");
    for (int i = 0; i < 2 * count; i++) {
      len += snprintf(body + len, 64, "%s{\"method\":\"call\",\"params\":[\"a%d\",\"m\",[]]}",
                      i > 0 ? "," : "", i % count);
    }
    len += snprintf(body + len, 64, "]");
    assert_int_equal(rpc_of(body, (size_t)len, &rpc),
                     count == 64 ? SUBTOKEN_OK : SUBTOKEN_MALFORMED);
    assert_int_equal(rpc.count, count == 64 ? 64 : 0);
  }
  for (size_t len = SUBTOKEN_RPC_BODY_MAX; len <= SUBTOKEN_RPC_BODY_MAX + 1; len++) {
    memset(body, ' ', len);
    memcpy(body, "{\"method\":\"x\"}", 14);
    assert_int_equal(rpc_of(body, len, &rpc),
                     len == SUBTOKEN_RPC_BODY_MAX ? SUBTOKEN_OK : SUBTOKEN_TOO_LARGE);
  }
  subtoken_text good = ST_TEXT("{\"method\":\"x\"}");
  assert_int_equal(subtoken_rpc_read(good, scratch, good.len, &rpc), SUBTOKEN_OK);
  assert_int_equal(subtoken_rpc_read(good, scratch, good.len - 1, &rpc), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_rpc_read(good, NULL, good.len, &rpc), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_rpc_read(good, scratch, good.len, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_rpc_read((subtoken_text){NULL, 5}, scratch, 5, &rpc),
                   SUBTOKEN_MALFORMED);
}

static void rpc_needs_of_claims(void **state) {
  (void)state;
  static subtoken_rpc rpc;
  static const char body[] =
      "[{\"method\":\"call\",\"params\":[\"history\",\"m\",[]]},{\"method\":\"get\"}]";
  static const struct {
    const char *permissions;
    subtoken_result result;
    const char *lacking;
  } rows[] = {
      {"", SUBTOKEN_PERM, "history_api"},
      {"history_api", SUBTOKEN_PERM, "database_api"},
      {"database_api", SUBTOKEN_PERM, "history_api"},
      {"history,database", SUBTOKEN_PERM, "history_api"},
      {"database_api,x,history_api", SUBTOKEN_OK, ""},
  };
  assert_int_equal(rpc_of(body, strlen(body), &rpc), SUBTOKEN_OK);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims claims = grant_of(rows[i].permissions, NULL);
    subtoken_text lacking = ST_TEXT("?");
    CHECK(subtoken_rpc_allowed(&rpc, &claims, NULL) == rows[i].result, "%s", rows[i].permissions);
    CHECK(subtoken_rpc_allowed(&rpc, &claims, &lacking) == rows[i].result &&
              st_text_is(lacking, rows[i].lacking),
          "%s", rows[i].permissions);
  }
  subtoken_claims all = grant_of("database_api,history_api", NULL);
  subtoken_text lacking = ST_TEXT("?");
  assert_int_equal(subtoken_rpc_allowed(NULL, &all, &lacking), SUBTOKEN_INVALID_ARGUMENT);
  assert_null(lacking.data);
  assert_int_equal(subtoken_rpc_allowed(&rpc, NULL, NULL), SUBTOKEN_INVALID_ARGUMENT);
  subtoken_rpc broken = rpc;
  broken.needs[1].at = sizeof broken.text - 3;
  assert_int_equal(subtoken_rpc_allowed(&broken, &all, NULL), SUBTOKEN_INVALID_ARGUMENT);
  memset(&broken, 0, sizeof broken); /* what was not read lets nobody through */
  assert_int_equal(subtoken_rpc_allowed(&broken, &all, NULL), SUBTOKEN_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_name_line_and_column),
      cmocka_unit_test(lists_at_their_limits_are_read),
      cmocka_unit_test(a_policy_needs_no_more_memory_than_told),
      cmocka_unit_test(the_most_specific_path_decides),
      cmocka_unit_test(defaults_and_preflight),
      cmocka_unit_test(final_stars_fit_at_any_depth),
      cmocka_unit_test(the_first_plain_segment_decides),
      cmocka_unit_test(templates_refused),
      cmocka_unit_test(many_routes),
      cmocka_unit_test(many_templates),
      cmocka_unit_test(ways_of_stars),
      cmocka_unit_test(long_segments),
      cmocka_unit_test(naive_model),
      cmocka_unit_test(in_order),
      cmocka_unit_test(needs_at_their_most),
      cmocka_unit_test(escapes_and_the_root),
      cmocka_unit_test(explanations_name_the_route_and_the_need),
      cmocka_unit_test(rpc_bodies),
      cmocka_unit_test(rpc_limits),
      cmocka_unit_test(rpc_needs_of_claims),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
