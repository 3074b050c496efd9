/* cors: a preflight may send the headers that it asks for (D4). */
#include "support.h"

#include "service/cors.h"

#define OWN "Authorization, Content-Type, X-API-Key, X-Schema-Version"

static char text[40000];

/* values: one of Access-Control-Request-Headers a line. */
static const char *allowed(const char *values) {
  st_header headers[10];
  st_request request = {.headers = headers};
  st_cutter cutter = {st_text(values), values[0] == '\0'};
  subtoken_text value;
  while (st_cut(&cutter, '\n', &value)) {
    headers[request.header_count++] = (st_header){ST_TEXT("Accept"), ST_TEXT("x-accept")};
    headers[request.header_count++] = (st_header){ST_TEXT("access-control-request-headers"), value};
  }
  st_writer writer = st_writer_on(text, sizeof text);
  st_cors_write_headers(&writer, &request);
  assert_true(st_writer_end(&writer));
  return text;
}

static void asked_headers_are_allowed(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"", OWN},
      {" ", OWN},
      {"authorization,content-type", OWN},
      {"traceparent", OWN ", traceparent"},
      {"baggage, sentry-trace,\ttraceparent ", OWN ", baggage, sentry-trace, traceparent"},
      {"x-api-key,X-Requested-With", OWN ", X-Requested-With"},
      {"a\nb", OWN ", a, b"},
      {",,a,,", OWN ", a"},
      /* What is no token is not said again. */
      {"a b,c", OWN ", c"},
      {"\"a\",b;q=1,c:d,e/f,(g),h", OWN ", h"},
      {"\xC3\xA9t\xC3\xA9,x", OWN ", x"},
      {"a\tb,x", OWN ", x"},
      {"!#$%&'*+-.^_`|~0", OWN ", !#$%&'*+-.^_`|~0"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) assert_string_equal(allowed(rows[i][0]), rows[i][1]);
  /* It may be the only header. */
  static const st_header only = {ST_TEXT("Access-Control-Request-Headers"), ST_TEXT("a")};
  st_request request = {.headers = &only, .header_count = 1};
  st_writer writer = st_writer_on(text, sizeof text);
  st_cors_write_headers(&writer, &request);
  assert_true(st_writer_end(&writer));
  assert_string_equal(text, OWN ", a");
}

static void at_most_64_headers_are_allowed(void **state) {
  (void)state;
  char asked[1000] = "";
  for (int i = 0; i < 70; i++) {
    size_t len = strlen(asked);
    snprintf(asked + len, sizeof asked - len, "h%d,", i);
  }
  const char *is = allowed(asked);
  CHECK(strstr(is, ", h63") != NULL && strstr(is, "h64") == NULL, "%s", is);
  /* One name of any length that a head can hold. */
  static char one[ST_CORS_HEADERS_MAX + 16000];
  memset(one, 'a', sizeof one - 1);
  assert_int_equal(strlen(allowed(one)), strlen(OWN) + 2 + strlen(one));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(asked_headers_are_allowed),
                                     cmocka_unit_test(at_most_64_headers_are_allowed)};
  return cmocka_run_group_tests_name("cors", tests, NULL, NULL);
}
