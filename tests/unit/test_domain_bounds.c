/* The records and rules of domain at the ends of what they may be: lists of permissions, addresses,
 * places to listen at, locations of a store, access files. What the settings and these mean is in
 * the test of each source file; keys and users are in test_key_bounds.c.
 */
#include "support.h"

#include <cJSON.h>
#include <errno.h>
#include <netinet/in.h>

#include "domain/access_file.h"
#include "domain/config.h"
#include "domain/listen.h"
#include "domain/names.h"
#include "domain/network.h"
#include "domain/permissions.h"
#include "domain/search.h"
#include "domain/store_location.h"

/* ---- permissions ---- */

static void lists_meet_in_what_both_have(void **state) {
  (void)state;
  static const struct {
    const char *one, *other;
    bool meet;
  } rows[] = {{"", "", false},   {"a", "", false},     {"", "a", false},   {"a", "a", true},
              {"a", "b", false}, {"b,a", "c,a", true}, {"a", "aa", false}, {"a,b", "c,d", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_permissions_meet(rows[i].one, rows[i].other) == rows[i].meet, "row %zu", i);
  }
}

static void a_list_is_within_another(void **state) {
  (void)state;
  static const struct {
    const char *inner, *outer;
    bool within;
  } rows[] = {{"", "", true},         {"", "a", true},       {"a", "", false},
              {"a", "a", true},       {"a", "aa", false},    {"a", "b", false},
              {"b,a", "c,a,b", true}, {"a,d", "a,b", false}, {"d,a", "a,b", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_permissions_within(rows[i].inner, rows[i].outer) == rows[i].within, "row %zu", i);
  }
  assert_false(st_permissions_contain("", ST_TEXT("")));
}

static void a_list_has_64_permissions(void **state) {
  (void)state;
  char list[1024], out[ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(list, sizeof list);
  for (int i = 0; i <= SUBTOKEN_PERMISSIONS_MAX; i++) {
    st_write_literal(&writer, i == 0 ? "p" : ", p");
    st_write_int(&writer, i);
    assert_true(st_writer_end(&writer));
    CHECK(st_permissions_read(list, out) == (i < SUBTOKEN_PERMISSIONS_MAX), "%d", i);
  }
  assert_false(st_permissions_read("a,a", out));
  assert_false(st_permissions_read("a,", out));
  assert_true(st_permissions_read("", out) && out[0] == '\0');
  assert_true(st_permissions_read("a,b", out));
  assert_string_equal(out, "a,b");
}

/* ---- addresses ---- */

static void an_address_or_a_network_is_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int bits; /* -1: none */
  } rows[] = {{"192.0.2.1", 128},
              {"192.0.2.0/24", 120},
              {"0.0.0.0/0", 96},
              {"192.0.2.1/32", 128},
              {"192.0.2.1/33", -1},
              {"2001:db8::1", 128},
              {"2001:db8::/32", 32},
              {"::/0", 0},
              {"::1/128", 128},
              {"::1/129", -1},
              {"::1/1280", -1},
              {"192.0.2.1/", -1},
              {"192.0.2.1/a", -1},
              {"192.0.2.1/-1", -1},
              {"192.0.2.1/8/8", -1},
              {"", -1},
              {"/8", -1},
              {"host", -1},
              {"192.0.2", -1},
              {"::g", -1},
              {"1111:2222:3333:4444:5555:6666:123.123.123.123", 128},
              {"1111:2222:3333:4444:5555:6666:123.123.123.1234567", -1}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_network network;
    subtoken_text text = exact_string(rows[i].text);
    bool good = st_network_read(text, &network);
    CHECK(good == (rows[i].bits >= 0), "%s", rows[i].text);
    if (good) CHECK(network.bits == rows[i].bits, "%s: %d", rows[i].text, network.bits);
    release(text);
  }
  st_network network, host;
  assert_false(st_network_read(ST_TEXT("192.0.2.1\0.5"), &network));
  subtoken_text longest = repeated("", '1', INET6_ADDRSTRLEN + 1);
  assert_false(st_network_read(longest, &network));
  release(longest);
  assert_true(st_network_read(ST_TEXT("192.0.2.128/25"), &network));
  assert_true(st_network_read(ST_TEXT("192.0.2.200"), &host));
  assert_true(st_network_holds(&network, host.address));
  assert_true(st_network_read(ST_TEXT("192.0.2.127"), &host));
  assert_false(st_network_holds(&network, host.address));
}

static void a_place_to_listen_at_is_read(void **state) {
  (void)state;
  char path[ST_LISTEN_PATH_MAX + 8];
  static const struct {
    const char *text;
    size_t len; /* 0: the string's own */
    st_listen_kind kind;
  } rows[] = {{"127.0.0.1:8080", 0, ST_LISTEN_V4},
              {"[::1]:8080", 0, ST_LISTEN_V6},
              {"localhost:0", 0, ST_LISTEN_V4},
              {"unix:/a", 0, ST_LISTEN_UNIX},
              {"", 0, ST_LISTEN_NONE},
              {"unix:/", 0, ST_LISTEN_NONE},
              {"unix:/a/", 0, ST_LISTEN_NONE},
              {"unix:a", 0, ST_LISTEN_NONE},
              {"unix:/a\0b", 9, ST_LISTEN_NONE},
              {"127.0.0.1", 0, ST_LISTEN_NONE},
              {":1", 0, ST_LISTEN_NONE},
              {"127.0.0.1:", 0, ST_LISTEN_NONE},
              {"127.0.0.1:65535", 0, ST_LISTEN_V4},
              {"127.0.0.1:65536", 0, ST_LISTEN_NONE},
              {"127.0.0.1:123456", 0, ST_LISTEN_NONE},
              {"127.0.0.1:8a", 0, ST_LISTEN_NONE},
              {"127.0.0.1\0:1", 12, ST_LISTEN_NONE},
              {"::1:80", 0, ST_LISTEN_NONE},
              {"[127.0.0.1]:80", 0, ST_LISTEN_NONE},
              {"[::1:80", 0, ST_LISTEN_NONE},
              {"::1]:80", 0, ST_LISTEN_NONE},
              {"[]:80", 0, ST_LISTEN_NONE},
              {"[1111:2222:3333:4444:5555:6666:123.123.123.1234567]:80", 0, ST_LISTEN_NONE}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_listen listen;
    memset(&listen, 0x55, sizeof listen);
    subtoken_text text = exact(rows[i].text, rows[i].len > 0 ? rows[i].len : strlen(rows[i].text));
    bool good = st_listen_read(text, &listen);
    CHECK(good == (rows[i].kind != ST_LISTEN_NONE) && listen.kind == rows[i].kind, "row %zu: %s", i,
          rows[i].text);
    release(text);
  }
  st_listen listen;
  memset(path, '1', sizeof path); /* an address too long by a byte */
  memcpy(path + INET6_ADDRSTRLEN + 1, ":80", 3);
  assert_false(st_listen_read((subtoken_text){path, INET6_ADDRSTRLEN + 4}, &listen));
  memset(path, 'a', sizeof path);
  memcpy(path, "unix:/", 6);
  assert_true(st_listen_read((subtoken_text){path, 5 + ST_LISTEN_PATH_MAX}, &listen));
  assert_int_equal(strlen(st_listen_path(&listen)), ST_LISTEN_PATH_MAX);
  assert_true(st_listen_is_local(&listen));
  assert_false(st_listen_read((subtoken_text){path, 6 + ST_LISTEN_PATH_MAX}, &listen));
  assert_false(st_listen_is_local(&listen));
}

/* ---- locations of a store ---- */

static void a_location_is_a_uri_in_all_its_parts(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool good;
  } rows[] = {
      {"postgresql://", true},
      {"postgres://", true},
      {"postgresql:/", false},
      {"mysql://h", false},
      {"", false},
      {"postgresql://a b", false},
      {"postgresql://a\x7F", false},
      {"postgresql://%41", true},
      {"postgresql://%4", false},
      {"postgresql://%4g", false},
      {"postgresql://%g4", false},
      {"postgresql://%1f", false},
      {"postgresql://%7F", false},
      {"postgresql://u@h", true},
      {"postgresql://%u@h", false},
      {"postgresql://@h", false},
      {"postgresql://u?x@h", false},
      {"postgresql://[::1]", true},
      {"postgresql://[::1", false},
      {"postgresql://[]", false},
      {"postgresql://[::1]x", false},
      {"postgresql://[%zz]", false},
      {"postgresql://h:1", true},
      {"postgresql://h:65535", true},
      {"postgresql://h:65536", false},
      {"postgresql://h:0", false},
      {"postgresql://h:123456", false},
      {"postgresql://h:a", false},
      {"postgresql://h:/", true},
      {"postgresql://h:+", false},
      {"postgresql://h:1+", false},
      {"postgresql://h:10", true},
      {"postgresql://h:9", true},
      {"postgresql://h:000001", false},
      {"postgresql://h,i:x", false},
      {"postgresql://h,[::1", false},
      {"postgresql://h~", true},
      {"postgresql://h\x80", false},
      {"postgresql://h/d\x80", false},
      {"postgresql://h,i:5,j/d", true},
      {"postgresql://h/%zz", false},
      {"postgresql://h/d?", false},
      {"postgresql://h/d?user", false},
      {"postgresql://h/d?user=a=b", false},
      {"postgresql://h/d?=a", false},
      {"postgresql://h/d?%zz=a", false},
      {"postgresql://h/d?user=%zz", false},
      {"postgresql://h/d?user=a", true},
      {"postgresql://h/d?user=a%3Ab", false},
      {"postgresql://h/d?port=%3A", true},
      {"postgresql://h/d?unknown=a", false},
      {"postgresql://h/d?user=a&user=b", true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    const char *problem = st_store_location_check(text);
    CHECK((problem == NULL) == rows[i].good, "%s: %s", rows[i].text, problem);
    release(text);
  }
  subtoken_text most = repeated("postgresql://", 'h', 1023 - 13);
  subtoken_text more = repeated("postgresql://", 'h', 1024 - 13);
  assert_null(st_store_location_check(most));
  assert_non_null(st_store_location_check(more));
  release(most);
  release(more);
  assert_true(st_store_location_is_uri(ST_TEXT("postgres://x")));
  assert_false(st_store_location_is_uri(ST_TEXT("/var/lib/subtoken")));
}

/* ---- settings ---- */

static bool read_settings(const char *string, st_settings *settings) {
  char error[ST_CONFIG_ERROR_MAX];
  subtoken_text text = exact_string(string);
  st_config_default(settings);
  bool good = st_config_read(text, settings, error);
  CHECK(good || error[0] != '\0', "%s", string);
  release(text);
  return good;
}

static void settings_have_their_form(void **state) {
  (void)state;
  static st_settings settings;
  static const struct {
    const char *text;
    bool good;
  } rows[] = {
      {"{\"metrics\":true}", true},
      {"{\"metrics\":1}", false},
      {"{\"metrics\":true,\"metrics_listen\":\"127.0.0.1:9464\"}", true},
      {"{\"metrics\":true,\"metrics_listen\":\"host:9464\"}", false},
      {"{\"metrics\":true,\"metrics_listen\":1}", false},
      {"{\"metrics_listen\":\"127.0.0.1:9464\",\"metrics\":false}", false},
      {"{\"audit_keep\":\"1d\"}", true},
      {"{\"audit_keep\":\"never\"}", true},
      {"{\"audit_keep\":\"1h\"}", false},
      {"{\"audit_keep\":1}", false},
      {"{\"listen\":[]}", false},
      {"{\"listen\":[1]}", false},
      {"{\"listen\":[\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\","
       "\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\","
       "\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\","
       "\"127.0.0.1:1\",\"127.0.0.1:1\"]}",
       true},
      {"{\"listen\":[\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\","
       "\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\","
       "\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\","
       "\"127.0.0.1:1\",\"127.0.0.1:1\",\"127.0.0.1:1\"]}",
       false},
      {"{\"issuer\":\"https://\"}", false},
      {"{\"issuer\":\"https://[::1]\"}", true},
      {"{\"issuer\":\"https://[::1\"}", false},
      {"{\"issuer\":\"https://[::1/\"}", false},
      {"{\"issuer\":\"https://[:]\"}", false},
      {"{\"credentials\":[]}", false},
      {"{\"credentials\":[\"bearer\",\"bearer\"]}", false},
      {"{\"trusted_proxies\":[]}", true},
      {"{\"permission_texts\":{}}", true},
      {"[]", false},
      {"{} x", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(read_settings(rows[i].text, &settings) == rows[i].good, "%s", rows[i].text);
  }
}

/* Sanitizers end a program that asks for so much. */
static void settings_without_memory_are_refused(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip();
#else
  static st_settings settings, before;
  char error[ST_CONFIG_ERROR_MAX];
  st_config_default(&settings);
  before = settings;
  volatile size_t len = (size_t)PTRDIFF_MAX;
  assert_false(st_config_read((subtoken_text){"{}", len}, &settings, error));
  assert_string_equal(error, "line 1, column 1: out of memory");
  assert_memory_equal(&settings, &before, sizeof settings);
#endif
}

static int allocations_left;

static void *allocate_some(size_t size) {
  if (allocations_left-- > 0) return malloc(size);
  errno = ENOMEM;
  return NULL;
}

/* What is well-formed is called nothing else because there was no memory to read it. */
static void settings_that_run_out_of_memory_say_so(void **state) {
  (void)state;
  static const char text[] = "{\"leeway\": 5,\n\"listen\": [\"127.0.0.1:1\", \"127.0.0.1:2\"]}";
  static st_settings settings, before;
  char error[ST_CONFIG_ERROR_MAX];
  bool read = false;
  st_config_default(&settings);
  before = settings;
  cJSON_InitHooks(&(cJSON_Hooks){allocate_some, free});
  for (int most = 0; !read; most++) {
    allocations_left = most;
    read = st_config_read(st_text(text), &settings, error);
    CHECK(read == (allocations_left >= 0), "call %d", most);
    CHECK(read || strstr(error, ": out of memory") != NULL, "call %d: %s", most, error);
    CHECK(read || memcmp(&settings, &before, sizeof before) == 0, "call %d", most);
    assert_true(read || most < 100);
  }
  cJSON_InitHooks(NULL);
}

/* ---- access files ---- */

static const char *access_error(const char *string) {
  static st_access_file file;
  static char text[4096];
  snprintf(text, sizeof text, "%s", string);
  memset(&file, 0x55, sizeof file);
  assert_false(st_access_file_start(&file, text, strlen(text)));
  assert_int_equal(file.count, 0);
  return file.error;
}

#define HASH "9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY="

static void an_access_file_is_refused_with_a_reason(void **state) {
  (void)state;
  static const struct {
    const char *text, *error;
  } rows[] = {
      {"{\"permission_map\":[[\"a\",{\"allowed_apis\":[\"x\"", "unexpected end"},
      {"{\"permission_map\":[[\"a\",{\"allowed_apis\":[\"x\",]", "not valid JSON"},
      {"{\"permission_map\":[[\"a\",{\"x\":tru}]]}", "not valid JSON"},
      {"{\"permission_map\":[[\"a\"", "unexpected end"},
      {"{\"permission_map\":[[", "unexpected end"},
      {"{\"permission_map\":[[\"a\",{\"password_hash_b64\":\"" HASH
       "\",\"password_salt_b64\":\"\",\"allowed_apis\":[]}",
       "unexpected end"},
      {"{\"permission_map\":[", "unexpected end"},
      {"{\"permission_map\":[[\"\",{}]]}", "a login is 1 to 256 bytes"},
      {"{\"permission_map\":[[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xC3\xA4zzz\",{}]]}",
       "aaaaaaaaaa...\"]: password_hash_b64 is missing"},
      {"{\"permission_map\":[[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",{}]]}",
       "aaaaaaaaaa\"]: password_hash_b64 is missing"},
      {"{} x", "permission_map is missing"},
      {"{\"permission_map\":[]} x", "unexpected text after the object"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *error = access_error(rows[i].text);
    CHECK(strstr(error, rows[i].error) != NULL, "row %zu: %s", i, error);
  }
}

/* Nothing of it is read. */
static void an_access_file_has_at_most_4_gib(void **state) {
  (void)state;
  st_access_file file;
  char text[] = "{";
  assert_false(st_access_file_start(&file, text, (size_t)UINT32_MAX + 1));
  assert_string_equal(file.error, "the file is larger than 4 GiB");
}

/* ---- looking for text ---- */

/* Two bytes are folded; three and four, and what is no UTF-8, are compared as they are. */
static void text_of_any_bytes_is_looked_for(void **state) {
  (void)state;
  static const struct {
    const char *text, *in;
    bool found;
  } rows[] = {{"\xC3\xA4", "x\xC3\x84y", true},
              {"\xE2\x82\xAC", "a\xE2\x82\xAC", true},
              {"\xE2\x82\xAC", "a\xE2\x82\xAD", false},
              {"\xF0\x9F\x98\x80", "a\xF0\x9F\x98\x80", true},
              {"a", "\xFF\x41", true},
              {"b", "\xC3", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_search search;
    assert_true(st_search_start(&search, st_text(rows[i].text)));
    CHECK(st_search_finds(&search, rows[i].in) == rows[i].found, "row %zu", i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_meet_in_what_both_have),
      cmocka_unit_test(a_list_is_within_another),
      cmocka_unit_test(a_list_has_64_permissions),
      cmocka_unit_test(an_address_or_a_network_is_read),
      cmocka_unit_test(a_place_to_listen_at_is_read),
      cmocka_unit_test(a_location_is_a_uri_in_all_its_parts),
      cmocka_unit_test(settings_have_their_form),
      cmocka_unit_test(settings_without_memory_are_refused),
      cmocka_unit_test(settings_that_run_out_of_memory_say_so),
      cmocka_unit_test(an_access_file_is_refused_with_a_reason),
      cmocka_unit_test(an_access_file_has_at_most_4_gib),
      cmocka_unit_test(text_of_any_bytes_is_looked_for),
  };
  return cmocka_run_group_tests_name("domain_bounds", tests, NULL, NULL);
}
