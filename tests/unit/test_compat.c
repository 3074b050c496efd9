/* compat: an access token under a vendor's path, and the hash by which a string becomes a key. What
 * the token is worth is in test_token_exchange.c.
 */
#include "service_fixture.h"

#define EXCHANGE "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"
#define HASH "/utils/hash/secure"

static void nothing_is_asked_for_in_a_body(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body;
    int status;
  } rows[] = {
      {"", "", 200},
      {"", " ", 200},
      {"", "\t\r\n \r\n", 200},
      {AS_JSON, "{}", 200},
      {AS_JSON, " {\"a\":1}\n", 200},
      {AS_JSON, "[]", 400},
      {AS_JSON, "{", 400},
      {AS_JSON, " x", 400},
      {"", "{}", 415},
      {"", " x", 415},
      {"", "x ", 415},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char headers[300];
    snprintf(headers, sizeof headers, AS_KEY "%s", rows[i].headers);
    CHECK(post(EXCHANGE, headers, rows[i].body) == rows[i].status, "row %zu: %d", i, reply.status);
  }
  assert_int_equal(post(EXCHANGE, "", ""), 401);
}

static void tokens_of_a_key_have_a_rate(void **state) {
  (void)state;
  settings.rate_per_second = settings.rate_burst = 1;
  assert_int_equal(post(EXCHANGE, AS_KEY, ""), 200);
  assert_int_equal(post(EXCHANGE, AS_KEY, ""), 429);
  check_event("rate");
  assert_true(reply.retry_after > 0);
  assert_int_equal(post(EXCHANGE, AS_POOR, ""), 200);
  assert_int_equal(fixture_ask_at("POST", EXCHANGE, AS_KEY, "", NOW_US + 1000000), 200);
  settings.rate_per_second = 0;
}

static int hash(const char *name, const char *string) {
  char body[600];
  snprintf(body, sizeof body, "{\"%s\":\"%s\"}", name, string);
  return post(HASH, AS_KEY AS_JSON, body);
}

static void a_string_that_is_no_key_says_why(void **state) {
  (void)state;
  static const char least[] = "0123456789abcdef";
  char most[ST_API_STRING_MAX + 2];
  memset(most, 'a', sizeof most);
  most[ST_API_STRING_MAX] = '\0';
  static const struct {
    const char *string, *error;
  } rows[] = {
      {"0123456789abcde", "text: must be 16 to 255 characters"},
      {"", "text: must be 16 to 255 characters"},
      {" 123456789abcdef", "text: must have visible ASCII characters only"},
      {"0123456789 bcdef", "text: must have visible ASCII characters only"},
      {"0123456789abcde\x7F", "text: must have visible ASCII characters only"},
      {"0123456789abcd\xC3\xA4", "text: must have visible ASCII characters only"},
      {KEY, "text: must not look like a key or a token"},
      {"!123456789.bcdef.~", "text: must not look like a key or a token"},
      {"~123456789.bcdef.!", "text: must not look like a key or a token"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[128];
    assert_int_equal(hash("text", rows[i].string), 400);
    snprintf(text, sizeof text, "{\"text\":\"%s\"}", rows[i].error);
    check_body(text);
  }
  assert_int_equal(hash("string", least), 200);
  assert_int_equal(hash("value", most), 200);
  memset(most, 'a', sizeof most);
  most[ST_API_STRING_MAX] = '\0';
  most[0] = ' ';
  assert_int_equal(hash("value", most), 400);
  check_body("{\"text\":\"value: must have visible ASCII characters only\"}");
  memset(most, 'a', sizeof most);
  most[ST_API_STRING_MAX + 1] = '\0';
  assert_int_equal(hash("value", most), 400);
  check_body("{\"text\":\"value: must be 16 to 255 characters\"}");
  assert_int_equal(post(HASH, AS_KEY AS_JSON, "{\"text\":\"0123456789abcdef\",\"value\":null}"),
                   200);
  assert_int_equal(post(HASH, AS_KEY AS_JSON, "{\"text\":\"a\",\"value\":\"b\"}"), 400);
  check_body("{\"text\":\"text: must be given exactly once\"}");
  assert_int_equal(post(HASH, AS_KEY AS_JSON, "{}"), 400);
  assert_int_equal(post(HASH, AS_POOR AS_JSON, "{\"text\":\"0123456789abcdef\"}"), 403);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(nothing_is_asked_for_in_a_body, fixture_set_up),
      cmocka_unit_test_setup(tokens_of_a_key_have_a_rate, fixture_set_up),
      cmocka_unit_test_setup(a_string_that_is_no_key_says_why, fixture_set_up),
  };
  return cmocka_run_group_tests_name("compat", tests, NULL, NULL);
}
