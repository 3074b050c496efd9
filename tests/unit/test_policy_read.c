/* policy_read: the memory that a policy needs, and the table of its routes. */
#include <stdalign.h>

#include "policy_fixture.h"

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

static void thousands_of_routes_are_found(void **state) {
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
      assert_int_equal(st_paths_read_target(st_text(target), &path), SUBTOKEN_FAULT_NONE);
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

/* A star stands for a segment of any length, beside plain ones that are short. */
static void long_segments_are_told_apart(void **state) {
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_policy_needs_no_more_memory_than_told),
      cmocka_unit_test(thousands_of_routes_are_found),
      cmocka_unit_test(long_segments_are_told_apart),
  };
  return cmocka_run_group_tests_name("policy_read", tests, NULL, NULL);
}
