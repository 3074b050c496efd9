/* Settings that are refused: values, lengths and names, and what is said of them. What is read is
 * in test_config.c.
 */
#include "config_fixture.h"

static void a_bad_value_is_named(void **state) {
  (void)state;
  static const char whole[] = "must be whole seconds";
  static const char count[] = "must be a whole number";
  static const char string[] = "must be a string";
  static const char rate[] = "must be \"off\" or";
  static const char place[] = "must be ADDRESS:PORT";
  static const char forms[] = "must be an array of at least one of";
  static const char proxies[] = "must be an array";
  static const char uri[] = "must be a URI of libpq";
  static const char password[] = "must not hold a password";
  static const struct {
    const char *name, *value, *reason;
  } rows[] = {
      {"listen", "8080", place},
      {"listen", "\"\"", place},
      {"listen", "null", place},
      {"listen", "[]", place},
      {"listen", "{}", place},
      {"listen", "{\"a\":\"127.0.0.1:1\"}", place},
      {"listen", "[\"127.0.0.1:1\",2]", place},
      {"listen", "[\"127.0.0.1:1\",\"nonsense\"]", place},
      {"listen", "[[\"127.0.0.1:1\"]]", place},
      {"behind_tls", "\"true\"", "must be true or false"},
      {"behind_tls", "1", "must be true or false"},
      {"behind_tls", "null", "must be true or false"},
      {"threads", "0", count},
      {"threads", "-1", count},
      {"threads", "1.5", count},
      {"threads", "16385", count},
      {"threads", "1e300", count},
      {"threads", "\"64\"", count},
      {"threads", "null", count},
      {"leeway", "-1", whole},
      {"leeway", "3601", whole},
      {"leeway", "\"61m\"", whole},
      {"leeway", "0.5", whole},
      {"leeway", "\"\"", whole},
      {"leeway", "\"1w\"", whole},
      {"leeway", "\" 1\"", whole},
      {"leeway", "\"-1\"", whole},
      {"leeway", "true", whole},
      {"leeway", "[60]", whole},
      {"default_life", "0", whole},
      {"default_life", "\"36501d\"", whole},
      {"max_life", "0", whole},
      {"max_life", "1e18", whole},
      {"max_life", "1e999", whole},
      {"access_life", "0", whole},
      {"refresh_life", "0", whole},
      {"refresh_life", "\"x\"", whole},
      {"refresh_retry", "61", whole},
      {"sessions_per_key", "100001", count},
      {"keys_per_owner", "1000001", count},
      {"idle_timeout", "3601", whole},
      {"idle_timeout", "0", whole},
      {"credentials", "[]", forms},
      {"credentials", "\"bearer\"", forms},
      {"credentials", "[\"Bearer\"]", forms},
      {"credentials", "[\"bearer\",\"cookie\"]", forms},
      {"credentials", "[\"bearer\",\"bearer\"]", forms},
      {"credentials", "[1]", forms},
      {"credentials", "null", forms},
      {"credentials", "{\"bearer\":true}", forms},
      {"credentials", "{\"a\":\"bearer\"}", forms},
      {"basic_challenge", "\"true\"", "must be true or false"},
      {"basic_challenge", "1", "must be true or false"},
      {"data_group", "\"www-data\"", "must be true or false"},
      {"page", "\"off\"", "must be true or false"},
      {"permission_texts", "[]", "must be an object of sentences"},
      {"permission_texts", "{\"docs\":1}", "must be an object of sentences"},
      {"permission_texts", "{\"docs\":\"\"}", "must be an object of sentences"},
      {"permission_texts", "{\"a b\":\"x\"}", "must be an object of sentences"},
      {"permission_texts", "{\"\":\"x\"}", "must be an object of sentences"},
      {"permission_texts", "{\"docs\":\"a\\u0007\"}", "must be an object of sentences"},
      {"idle_timeout", "\"61m\"", whole},
      {"log", "1", string},
      {"log", "\"\"", string},
      {"policy", "null", string},
      {"policy", "\"\"", string},
      {"registration", "\"Open\"", "must be \"closed\" or \"open\""},
      {"registration", "\"\"", "must be \"closed\" or \"open\""},
      {"registration", "true", "must be \"closed\" or \"open\""},
      {"store", "1", string},
      {"store", "\"\"", string},
      {"store", "\"sqlite\"", uri},
      {"store", "\"var/subtoken.db\"", uri},
      {"store", "\"postgresql://a:hush@db/d\"", password},
      {"store", "\"postgresql://db/d?p%61ssword=hush\"", password},
      {"store", "\"postgresql://db/d?\\u0070assword=hush\"", password},
      {"store", "\"postgresql://db/d?requiressl=1\"", "has a parameter"},
      {"store_staleness", "0", whole},
      {"store_staleness", "0.1", whole},
      {"store_staleness", "61", whole},
      {"store_staleness", "\"100ms\"", whole},
      {"store_cache", "0", count},
      {"store_cache", "65537", count},
      {"store_cache", "\"64M\"", count},
      {"rate", "\"on\"", rate},
      {"rate", "10", rate},
      {"rate", "{}", rate},
      {"rate", "{\"per_second\":1}", rate},
      {"rate", "{\"burst\":1}", rate},
      {"rate", "{\"per_second\":0,\"burst\":1}", rate},
      {"rate", "{\"per_second\":1,\"burst\":0}", rate},
      {"rate", "{\"per_second\":1000001,\"burst\":1}", rate},
      {"rate", "{\"per_second\":1,\"burst\":1000001}", rate},
      {"rate", "{\"per_second\":1,\"burst\":1,\"more\":1}", rate},
      {"rate", "{\"per_second\":1,\"Burst\":1}", rate},
      {"rate", "[1,2]", rate},
      {"trusted_proxies", "\"10.0.0.1\"", proxies},
      {"trusted_proxies", "[1]", proxies},
      {"trusted_proxies", "[\"10.0.0.1\",\"host.example\"]", proxies},
      {"trusted_proxies", "[\"10.0.0.0/33\"]", proxies},
      {"trusted_proxies", "[\"2001:db8::/1m\"]", proxies},
      {"trusted_proxies", "{}", proxies},
      {"trusted_proxies", "[\"unix:/run/x\"]", proxies},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[200], expected[200];
    snprintf(text, sizeof text, "{\"%s\":2,\n  \"%s\":%s}",
             strcmp(rows[i].name, "threads") == 0 ? "leeway" : "threads", rows[i].name,
             rows[i].value);
    snprintf(expected, sizeof expected, "line 2, column 3: \"%s\" %s", rows[i].name,
             rows[i].reason);
    must_refuse(text, expected);
    CHECK(strstr(error, "hush") == NULL, "%s", error);
  }
}

static void long_values_have_limits(void **state) {
  (void)state;
  char text[2 * ST_PATH_TEXT_MAX];
  static const struct {
    const char *name;
    int most;
  } rows[] = {{"log", ST_PATH_TEXT_MAX - 1}, {"policy", ST_PATH_TEXT_MAX - 1}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(text, sizeof text, "{\"%s\":\"%0*d\"}", rows[i].name, rows[i].most, 7);
    must_read(text);
    snprintf(text, sizeof text, "{\"%s\":\"%0*d\"}", rows[i].name, rows[i].most + 1, 7);
    must_refuse(text, "line 1, column 2: ");
  }
}

static void an_unknown_name_is_an_error(void **state) {
  (void)state;
  must_refuse("{\"listne\":\"x\"}", "line 1, column 2: \"listne\" is not a setting");
  must_refuse("{\"leeway\":1,\n \"Leeway\":1}", "line 2, column 2: \"Leeway\" is not a setting");
  must_refuse("{\r\n\r\n   \"x\":{\"leeway\":1}}", "line 3, column 4: \"x\" is not a setting");
  must_refuse("{\"\":1}", "line 1, column 2: is not a setting");
  must_refuse("{\"listen \":\"x\"}", "line 1, column 2: \"listen \" is not a setting");
  must_refuse("{\"\\u001b[31m\":1}", "line 1, column 2: \"\\u001b[31m\" is not a setting");
  /* However long or odd the name is, the place is right. */
  char text[300];
  for (int count = 1; count < 200; count++) {
    memset(text, '\x7F', sizeof text);
    memcpy(text, "{\"", 2);
    memcpy(text + 2 + count, "\":1}", 5);
    must_refuse(text, "line 1, column 2: ");
    CHECK(strstr(error, "is not a setting") != NULL, "%d: %s", count, error);
    CHECK((strstr(error, "\x7F") != NULL || strstr(error, "u007f") != NULL) == (count <= 32), "%d",
          count);
  }
}

static void errors_name_line_and_column(void **state) {
  (void)state;
  enum { TOLD = 7 }; /* so many have an error of their own */
  static const struct {
    const char *text, *expected;
  } rows[] = {
      {"", "line 1, column 1: "},
      {" \n\n", "line 3, column 1: "},
      {"[]", "line 1, column 1: "},
      {"null", "line 1, column 1: "},
      {"\"x\"", "line 1, column 1: "},
      {"\xEF\xBB\xBF{}", "line 1, column 1: "},
      {"{", "line 1, column 2: "},
      {"{}\n{}", "line 2, column 1: "},
      {"{\"leeway\":1,}", "line 1, column "},
      {"{\n\"leeway\":01}", "line 2, column "},
      {"{\n\"leeway\":.5}", "line 2, column "},
      {"{\"leeway\" 1}", "line 1, column "},
      {"{'leeway':1}", "line 1, column 2: "},
      {"{\n// no comments\n}", "line 2, column 1: "},
      {"{\"leeway\":1,\"leeway\":2}", "line 1, column "},
      {"{\"leeway\":1,\"leewa\\u0079\":1}", "line 1, column "},
      {"{\"rate\":{\"burst\":1,\"burst\":2}}", "line 1, column "},
      {"{\"log\":\"a\\u0000b\"}", "line 1, column "},
      {"{\"log\":\"\xFF\"}", "line 1, column "},
      {"{\"x\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", "line 1, column "},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    must_refuse(rows[i].text, rows[i].expected);
    CHECK(i < TOLD || strstr(error, "not valid JSON, or a duplicate name in an object") != NULL,
          "%s: %s", rows[i].text, error);
  }
}

static void default_life_is_within_max_life(void **state) {
  (void)state;
  must_refuse("{\"default_life\":\"2d\",\"max_life\":\"1d\"}",
              "line 1, column 38: default_life is longer than max_life");
  must_refuse("{\"credentials\":[\"bearer\"],\"basic_challenge\":true}",
              "line 1, column 50: basic_challenge needs");
  must_refuse("{\"max_life\":\"29d\"}", "line 1, column 19: default_life is longer");
}

static void bounds_and_marks_are_told(void **state) {
  (void)state;
  static const struct {
    const char *text, *expected;
  } rows[] = {
      {"{\"threads\":0}", "\"threads\" must be a whole number from 1 to 16384"},
      {"{\"sessions_per_key\":0}", "must be a whole number from 1 to 100000"},
      {"{\"keys_per_owner\":0}", "must be a whole number from 1 to 1000000"},
      {"{\"store_cache\":0}", "must be a whole number from 1 to 65536"},
      {"{\"rate\":5}", "each a whole number from 1 to 1000000"},
      {"{\"leeway\":\"2h\"}", "with s, m, h or d: 0 to 1 hour"},
      {"{\"idle_timeout\":0}", "with s, m, h or d: 1 second to 1 hour"},
      {"{\"refresh_retry\":\"2m\"}", "with s, m, h or d: 0 to 60 seconds"},
      {"{\"store_staleness\":0}", "with s, m, h or d: 1 to 60 seconds"},
      {"{\"max_life\":0}", "with s, m, h or d: 1 second to 36500 days"},
      {"{\"audit_keep\":\"1h\"}", "or a time of 1 to 36500 days"},
      {"", "column 1: unexpected end of the text"},
      {" \r\n\t", "unexpected end of the text"},
      {" \r\n\t{\"a\":x", "not valid JSON"},
      {"[]", "column 1: must be an object"},
      {"null", "column 1: must be an object"},
      {"\xEF\xBB\xBF{}", "column 1: starts with a byte-order mark: save the file without one"},
      {"\xFF\xFE{}", "starts with the byte-order mark of UTF-16"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    must_refuse(rows[i].text, "line ");
    CHECK(strstr(error, rows[i].expected) != NULL, "%s: %s", rows[i].text, error);
  }
}

/* What comes before a mistake is not taken either. */
static void a_mistake_changes_nothing(void **state) {
  (void)state;
  must_refuse("{\"leeway\":5,\"threads\":3,\"log\":\"/x\",\"listen\":\"a:1\",\"rate\":1}",
              "line 1, column ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_bad_value_is_named),
      cmocka_unit_test(long_values_have_limits),
      cmocka_unit_test(an_unknown_name_is_an_error),
      cmocka_unit_test(errors_name_line_and_column),
      cmocka_unit_test(default_life_is_within_max_life),
      cmocka_unit_test(bounds_and_marks_are_told),
      cmocka_unit_test(a_mistake_changes_nothing),
  };
  return cmocka_run_group_tests_name("config_bad", tests, NULL, NULL);
}
