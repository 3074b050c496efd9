/* remote: whom X-Forwarded-For tells of, in every spelling that proxies use (D5). */
#include "support.h"

#include "service/remote.h"

static st_settings settings;

/* headers: a value of X-Forwarded-For a line. */
static subtoken_text remote_of(const char *headers, const char *peer) {
  static st_header list[8];
  st_request request = {.headers = list};
  st_cutter cutter = {st_text(headers), headers[0] == '\0'};
  while (st_cut(&cutter, '\n', &list[request.header_count].value)) {
    list[request.header_count].name =
        request.header_count % 2 == 0 ? ST_TEXT("X-Forwarded-For") : ST_TEXT("x-forwarded-for");
    request.header_count++;
  }
  return st_remote_of(&settings, &request, st_text(peer));
}

static void must_be(const char *headers, const char *want) {
  subtoken_text is = remote_of(headers, "127.0.0.1");
  CHECK(st_text_is(is, want), "%s: %.*s, not %s", headers, (int)is.len, is.data, want);
}

static void spellings_of_an_address_are_read(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"203.0.113.9", "203.0.113.9"},
      {"203.0.113.9:54321", "203.0.113.9"},
      {"203.0.113.9:0", "203.0.113.9"},
      {"203.0.113.9:9", "203.0.113.9"},
      {"2001:db8::1", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"[2001:db8::1]:443", "2001:db8::1"},
      {"::ffff:203.0.113.9", "::ffff:203.0.113.9"},
      {"[::ffff:203.0.113.9]:80", "::ffff:203.0.113.9"},
      {" \t203.0.113.9 \t", "203.0.113.9"},
      {"198.51.100.1:1, 203.0.113.9:2", "203.0.113.9"},
      {"198.51.100.1:1,203.0.113.9:2\t,127.0.0.1:3", "203.0.113.9"},
      {"203.0.113.9, [::1]:80, 10.1.2.3:4", "203.0.113.9"},
      {"198.51.100.1\n203.0.113.9:1", "203.0.113.9"}, /* the last line first */
      {"203.0.113.9:1\n127.0.0.1, 10.0.0.1", "203.0.113.9"},
      {"10.0.0.7:80, 10.0.0.1", "10.0.0.7"}, /* nobody but proxies: the first of them */
      {"198.51.100.1, [fe80::1]", "fe80::1"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) must_be(rows[i][0], rows[i][1]);
}

static void a_nul_is_no_part_of_an_address(void **state) {
  (void)state;
  st_network network;
  assert_true(st_network_read(ST_TEXT("::1"), &network));
  assert_false(st_network_read(ST_TEXT("::1\0"), &network));
  assert_false(st_network_read(ST_TEXT("10.0.0.1\0x"), &network));
}

/* An empty element is none; a header with nothing in it neither. */
static void an_empty_element_is_none(void **state) {
  (void)state;
  must_be("", "127.0.0.1");
  must_be(" ", "127.0.0.1");
  must_be(",, ,", "127.0.0.1");
  must_be("203.0.113.9,", "203.0.113.9");
  must_be("203.0.113.9, ,127.0.0.1,,", "203.0.113.9");
  must_be("203.0.113.9\n,", "203.0.113.9");
}

/* A proxy that does not say for whom it asks: that is neither the proxy, nor whom somebody in front
 * of it has written there.
 */
static void an_unnamed_client_is_unknown(void **state) {
  (void)state;
  static const char *const rows[] = {
      "unknown",
      "x",
      "_hidden",
      "host.example",
      "localhost",
      "203.0.113.9:",
      "203.0.113.9:x",
      "203.0.113.9:-1",
      "203.0.113.9:123456",
      "203.0.113.9:1:2",
      "203.0.113.9 :1",
      "203.0.113",
      "203.0.113.256",
      "0203.0.113.9",
      "10.0.0.0/8",
      "::/0",
      "[2001:db8::1",
      "[2001:db8::1]x",
      "[2001:db8::1]443",
      "[2001:db8::1]:",
      "[203.0.113.9]",
      "[]",
      "[::1]]",
      "2001:db8::1]",
      "2001:db8::g",
      "\"203.0.113.9\"",
      "for=203.0.113.9",
      "203.0.113.9;proto=https",
      "203.0.113.9 198.51.100.1",
      "unix:",
      "2001:0db8:0000:0000:0000:0000:0000:0001:0000:0000:0000:0000:0000:0000:0000",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  };
  char text[200];
  for (size_t i = 0; i < COUNT(rows); i++) {
    must_be(rows[i], ST_REMOTE_UNKNOWN);
    snprintf(text, sizeof text, "198.51.100.1, %s", rows[i]);
    must_be(text, ST_REMOTE_UNKNOWN);
    snprintf(text, sizeof text, "198.51.100.1,%s,10.0.0.1", rows[i]);
    must_be(text, ST_REMOTE_UNKNOWN);
    snprintf(text, sizeof text, "%s, 203.0.113.9", rows[i]); /* what a caller writes is not read */
    must_be(text, "203.0.113.9");
  }
}

static void only_a_trusted_proxy_is_believed(void **state) {
  (void)state;
  assert_true(st_text_is(remote_of("203.0.113.9", "192.0.2.1"), "192.0.2.1"));
  assert_true(st_text_is(remote_of("203.0.113.9", "unix:"), "unix:"));
  settings.trusts_unix = true;
  assert_true(st_text_is(remote_of("203.0.113.9:1", "unix:"), "203.0.113.9"));
  assert_true(st_text_is(remote_of("203.0.113.9, 10.0.0.1", "unix:"), "203.0.113.9"));
  assert_true(st_text_is(remote_of("unix:", "unix:"), ST_REMOTE_UNKNOWN));
  settings.trusts_unix = false;
  assert_true(st_text_is(remote_of("203.0.113.9", "::ffff:127.0.0.1"), "203.0.113.9"));
  assert_true(st_text_is(remote_of("203.0.113.9", ""), ""));
}

/* Of the headers in front of a trusted proxy only the list of addresses tells who asked. */
static void no_other_header_says_where_a_request_is_from(void **state) {
  (void)state;
  static const st_header headers[] = {{ST_TEXT("X-Forwarded-For"), ST_TEXT("203.0.113.9, ,")},
                                      {ST_TEXT("X-Forwarded-Foo"), ST_TEXT("192.0.2.66")},
                                      {ST_TEXT("Forwarded"), ST_TEXT("for=192.0.2.66")},
                                      {ST_TEXT("X-Real-IP"), ST_TEXT("192.0.2.66")}};
  st_request request = {.headers = headers, .header_count = COUNT(headers)};
  subtoken_text is = st_remote_of(&settings, &request, ST_TEXT("127.0.0.1"));
  CHECK(st_text_is(is, "203.0.113.9"), "%.*s", (int)is.len, is.data);
  request.headers++; /* without that list it is the proxy itself */
  request.header_count--;
  assert_true(st_text_is(st_remote_of(&settings, &request, ST_TEXT("127.0.0.1")), "127.0.0.1"));
}

static int set_up(void **state) {
  (void)state;
  char error[ST_CONFIG_ERROR_MAX];
  static const char text[] = "{\"trusted_proxies\":[\"127.0.0.1\",\"::1\",\"10.0.0.0/8\"]}";
  return st_config_read(st_text(text), &settings, error) ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(spellings_of_an_address_are_read),
      cmocka_unit_test(a_nul_is_no_part_of_an_address),
      cmocka_unit_test(an_empty_element_is_none),
      cmocka_unit_test(an_unnamed_client_is_unknown),
      cmocka_unit_test(only_a_trusted_proxy_is_believed),
      cmocka_unit_test(no_other_header_says_where_a_request_is_from),
  };
  return cmocka_run_group_tests_name("remote", tests, set_up, NULL);
}
