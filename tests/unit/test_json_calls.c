/* The JSON reader call by call: what each one gives while all is well, where it does not belong,
 * and after a failure. What is JSON and what is not, test_json.c tells.
 */
#include "support.h"

#include "base/json.h"

/* A caller that goes on, or asks for what it is not in, is told so. */
static void items_are_only_in_what_is_open(void **state) {
  (void)state;
  st_json json;
  subtoken_text name;
  char none[] = "]}1";
  st_json_start(&json, none, sizeof none - 1);
  assert_true(!st_json_element(&json) && json.failed);
  st_json_start(&json, none + 1, 1);
  assert_true(!st_json_member(&json, &name) && json.failed);

  char bad[] = "[1 2,3]";
  st_json_start(&json, bad, sizeof bad - 1);
  assert_true(st_json_array(&json) && st_json_element(&json) && st_json_skip(&json));
  assert_true(!st_json_element(&json) && json.failed);
  json.at = sizeof "[1 2" - 1; /* a good item follows */
  assert_false(st_json_element(&json) || st_json_array(&json));

  char open[] = "[";
  st_json_start(&json, open, 1);
  assert_true(st_json_array(&json));
  assert_false(st_json_end(&json));
}

/* Skipping says itself that it has failed, at every depth. */
static void what_cannot_be_skipped_is_told(void **state) {
  (void)state;
  static const char *const rows[] = {"\"\\x\"", "tru", "fals", "nul",      "-",
                                     "]",       "",    "\"a",  "{\"\\x:1}"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i]);
    st_json json;
    st_json_start(&json, (char *)(uintptr_t)text.data, text.len);
    CHECK(!st_json_skip(&json) && json.failed, "%s", rows[i]);
    release(text);
  }
  static const char *const last[] = {"{}", "[]"};
  for (size_t i = 0; i < COUNT(last); i++) {
    subtoken_text text = repeated("", '[', ST_JSON_DEPTH_MAX + 2);
    st_json json;
    memcpy((char *)(uintptr_t)text.data + ST_JSON_DEPTH_MAX, last[i], 2);
    st_json_start(&json, (char *)(uintptr_t)text.data, text.len);
    for (size_t depth = 0; depth < ST_JSON_DEPTH_MAX; depth++) {
      assert_true(st_json_array(&json) && st_json_element(&json));
    }
    CHECK(!st_json_skip(&json) && json.failed, "%s", last[i]);
    release(text);
  }
  char name[] = "{\"\\x:1}";
  subtoken_text read;
  st_json json;
  st_json_start(&json, name, sizeof name - 1);
  assert_true(st_json_object(&json));
  assert_false(st_json_member(&json, &read));
}

/* A name's place is kept in 32 bits. */
static void four_gibibytes_are_refused(void **state) {
  (void)state;
  st_json json;
  char text[] = "1";
  st_json_start(&json, text, UINT32_MAX);
  assert_false(json.failed);
  st_json_start(&json, text, (size_t)UINT32_MAX + 1);
  assert_true(json.failed);
}

static void values_are_taken_one_by_one(void **state) {
  (void)state;
  char text[] = " {\"a\":[1,2],\"b\":true,\"c\":{\"d\":[[{}]],\"e\":\"x\"},\"f\":false} ";
  st_json json;
  subtoken_text name, value;
  int64_t number = 0;
  bool flag = false;
  st_json_start(&json, text, sizeof text - 1);
  assert_int_equal(st_json_peek(&json), '{');
  assert_true(st_json_object(&json));
  assert_true(st_json_member(&json, &name) && st_text_is(name, "a") && st_json_array(&json));
  assert_true(st_json_element(&json) && st_json_uint(&json, &number) && number == 1);
  assert_true(st_json_element(&json) && st_json_uint(&json, &number) && number == 2);
  assert_false(st_json_element(&json));
  assert_false(json.failed);
  assert_true(st_json_member(&json, &name) && st_json_bool(&json, &flag) && flag);
  assert_true(st_json_member(&json, &name) && st_json_skip(&json) && st_text_is(name, "c"));
  assert_true(st_json_member(&json, &name) && st_text_is(name, "f"));
  assert_false(st_json_end(&json)); /* not at the end */
  assert_true(st_json_bool(&json, &flag) && !flag);
  assert_false(st_json_member(&json, &name));
  assert_true(st_json_end(&json));
  assert_false(st_json_string(&json, &value)); /* nothing is left */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(items_are_only_in_what_is_open),
      cmocka_unit_test(what_cannot_be_skipped_is_told),
      cmocka_unit_test(four_gibibytes_are_refused),
      cmocka_unit_test(values_are_taken_one_by_one),
  };
  return cmocka_run_group_tests_name("json_calls", tests, NULL, NULL);
}
