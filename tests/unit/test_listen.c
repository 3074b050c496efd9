/* listen: the addresses and paths that the server can listen on (F4). */
#include "support.h"

#include "domain/listen.h"

static st_listen listen;

static void addresses_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text, *is;
    st_listen_kind kind;
    uint16_t port;
    bool local;
  } rows[] = {
      {"127.0.0.1:8080", "127.0.0.1:8080", ST_LISTEN_V4, 8080, true},
      {"127.9.9.9:0", "127.9.9.9:0", ST_LISTEN_V4, 0, true},
      {"0.0.0.0:65535", "0.0.0.0:65535", ST_LISTEN_V4, 65535, false},
      {"192.0.2.1:00080", "192.0.2.1:00080", ST_LISTEN_V4, 80, false},
      {"localhost:81", "127.0.0.1:81", ST_LISTEN_V4, 81, true},
      {"[::1]:80", "[::1]:80", ST_LISTEN_V6, 80, true},
      {"[::]:80", "[::]:80", ST_LISTEN_V6, 80, false},
      {"[2001:db8::1]:80", "[2001:db8::1]:80", ST_LISTEN_V6, 80, false},
      {"unix:/run/subtoken.sock", "unix:/run/subtoken.sock", ST_LISTEN_UNIX, 0, true},
      {"unix:/a:80", "unix:/a:80", ST_LISTEN_UNIX, 0, true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_listen_read(st_text(rows[i].text), &listen), "%s", rows[i].text);
    assert_string_equal(listen.text, rows[i].is);
    assert_int_equal(listen.kind, rows[i].kind);
    assert_int_equal(listen.port, rows[i].port);
    CHECK(st_listen_is_local(&listen) == rows[i].local, "%s", rows[i].text);
  }
  assert_string_equal(st_listen_path(&listen), "/a:80");
}

static void bad_addresses_are_refused(void **state) {
  (void)state;
  static const char *const rows[] = {
      "",
      "8080",
      ":8080",
      "127.0.0.1",
      "127.0.0.1:",
      "127.0.0.1:x",
      "127.0.0.1:+1",
      "127.0.0.1:65536",
      "127.0.0.1:000080",
      "127.0.0.1/8:80",
      "127.0.0.01:80",
      "127.0.0:80",
      " 127.0.0.1:80",
      "127.0.0.1:80 ",
      "[127.0.0.1]:80",
      "::1:80",
      "[::1]",
      "[::1]80",
      "[]:80",
      "[:80",
      "]:80",
      ":",
      "a:80",
      "1::1]:80",
      "unix",
      "[::1/128]:80",
      "[::g]:80",
      "example.com:80",
      "LOCALHOST:80",
      "localhost:",
      "http://127.0.0.1:80",
      "127.0.0.1:80,127.0.0.1:81",
      "unix:",
      "unix:/",
      "unix:run",
      "unix:/run/",
      "unix:@run",
      "UNIX:/run/x",
      "unix://run/x/",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i]);
    CHECK(!st_listen_read(text, &listen), "%s", rows[i]);
    CHECK(listen.kind == ST_LISTEN_NONE && !st_listen_is_local(&listen), "%s", rows[i]);
    release(text);
  }
  assert_false(st_listen_read(ST_TEXT("127.0.0.1\0:80"), &listen));
  assert_false(st_listen_read(ST_TEXT("unix:/a\0b"), &listen));
  char path[ST_LISTEN_PATH_MAX + 10] = "unix:/";
  memset(path + 6, 'a', ST_LISTEN_PATH_MAX);
  assert_true(st_listen_read((subtoken_text){path, 5 + ST_LISTEN_PATH_MAX}, &listen));
  assert_false(st_listen_read((subtoken_text){path, 6 + ST_LISTEN_PATH_MAX}, &listen));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_are_read),
                                     cmocka_unit_test(bad_addresses_are_refused)};
  return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
