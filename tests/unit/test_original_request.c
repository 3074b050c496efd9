/* original_request: why a request that is asked about is not found; which is found, and what it
 * may, is in test_authorize.c.
 */
#include "service_fixture.h"

#define ASK "/v2/authorize"
#define METHOD "X-Original-Method: GET\n"
#define URI(uri) "X-Original-URI: " uri "\n"
#define URL(url) "X-Original-URL: " url "\n"
#define FORWARDED(uri) "X-Forwarded-Method: GET\nX-Forwarded-Uri: " uri "\n"

#define HALF "the original request needs a target and a method"
#define TWO "the headers name two different original requests"
#define TWICE "a header with the original request is given more than once"
#define NO_URL "X-Original-URL: must be http:// or https://, a host, and a path"
#define NONE "no original request: send X-Original-URI and X-Original-Method"
#define LONG "the original target is longer than 8192 bytes"
#define DIRECTLY "the original target must directly follow /v2/authorize"

static void check(const char *target, const char *headers, const char *error) {
  char all[2 * SUBTOKEN_TARGET_MAX + 600], body[160];
  /* The last line may end with the value. */
  snprintf(all, sizeof all, AS_KEY "%s", headers);
  int status = get(target, all);
  if (error == NULL) {
    CHECK(status == 200, "%s is %d %.*s", headers, status, (int)reply.body_len, reply.body);
    return;
  }
  snprintf(body, sizeof body, "{\"text\":\"%s\"}", error);
  CHECK(status == 400 || status == 403, "%s is %d", headers, status);
  check_body(body);
}

static void each_fault_of_the_headers_is_told(void **state) {
  (void)state;
  static const struct {
    const char *headers, *error;
  } rows[] = {
      {"", NONE},
      {METHOD, HALF},
      {URI("/a"), HALF},
      {URL("http://h/a"), HALF},
      {URI("") METHOD, HALF},
      {METHOD URI("/"), NULL},
      {METHOD URI("/a") FORWARDED("/a"), NULL},
      {METHOD URI("/a") FORWARDED("/b"), TWO},
      {METHOD URI("/") FORWARDED("/b"), TWO},
      {METHOD URI("/") FORWARDED("/"), NULL},
      {METHOD URI("/a") URI("/a"), TWICE},
      {METHOD METHOD URI("/a"), TWICE},
      {METHOD URI("/a") METHOD URI("/a") URI("/a"), TWICE},
      {METHOD URI("/a") URL("http://h/a"), NULL},
      {METHOD URI("/a") URL("https://h/b"), TWO},
      {METHOD URI("/a") URL("ftp://h/a"), NO_URL},
      {METHOD URI("/a") URL("http:///a"), NO_URL},
      {METHOD URI("/a") URL("http://"), NO_URL},
      {METHOD URI("/a") URL("http"), NO_URL},
      {METHOD URI("/a") URL("http://h"), NO_URL},
      {METHOD URI("/a") URL("http://h?/a"), NO_URL},
      {METHOD URI("/a") URL("http://u@h/a"), NO_URL},
      {METHOD "X-Original-URL: http://h", NO_URL},
      {METHOD "X-Original-URL: https://", NO_URL},
      {METHOD "X-Original-URL: http://h/", NULL},
      {METHOD URL("http://az-AZ.09_[:]/a"), NULL},
      {METHOD URL("http://z/a"), NULL},
      {METHOD URL("http://9/a"), NULL},
      {METHOD URL("http://Z:80/a"), NULL},
      {METHOD URL("http://h`/a"), NO_URL},
      {METHOD URL("http://h{/a"), NO_URL},
      {METHOD URL("http://h;/a"), NO_URL},
      {METHOD URL("http://h/a#b"), NO_URL},
      {"x: a\nX: b\nx-: c\nXA: d\nY-Original-URI: /b\nX_Original-URI: /b\n" METHOD URI("/a"), NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) check(ASK, rows[i].headers, rows[i].error);
}

/* A target that is too long is told so, whatever else there is. */
static void a_long_target_is_no_other(void **state) {
  (void)state;
  static char headers[2 * SUBTOKEN_TARGET_MAX], long_target[SUBTOKEN_TARGET_MAX + 2];
  memset(long_target, 'a', sizeof long_target);
  long_target[0] = '/';
  long_target[SUBTOKEN_TARGET_MAX + 1] = '\0';
  snprintf(headers, sizeof headers, METHOD "X-Original-URI: %s\n", long_target);
  check(ASK, headers, LONG);
  snprintf(headers, sizeof headers, METHOD "X-Original-URI: %s\n" URL("http://h/a"), long_target);
  check(ASK, headers, LONG);
  long_target[SUBTOKEN_TARGET_MAX] = '\0';
  snprintf(headers, sizeof headers, METHOD "X-Original-URI: %s\n", long_target);
  check(ASK, headers, NULL);
}

static void a_target_follows_the_route(void **state) {
  (void)state;
  check(ASK "/a", "", NULL);
  check(ASK "/", "", NULL);
  check(ASK, "", NONE);
  check(ASK "?/a", "", NONE);
  check("/v2//authorize/a", "", DIRECTLY);
  check("/v2//authorize/", "", DIRECTLY);
  check("/v2//authorize", METHOD URI("/a"), NULL);
  check(ASK "/a", METHOD URI("/a"), NULL);
  check(ASK "/b", METHOD URI("/a"), TWO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(each_fault_of_the_headers_is_told, fixture_set_up),
      cmocka_unit_test_setup(a_long_target_is_no_other, fixture_set_up),
      cmocka_unit_test_setup(a_target_follows_the_route, fixture_set_up),
  };
  return cmocka_run_group_tests_name("original_request", tests, NULL, NULL);
}
