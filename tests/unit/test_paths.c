#include "support.h"

#include "core/paths.h"

static subtoken_fault target_fault(const char *data, size_t len) {
  subtoken_text target = exact(data, len);
  st_path path;
  subtoken_fault fault = st_target_read(target, &path);
  release(target);
  return fault;
}

static void targets(void **state) {
  (void)state;
  static const struct {
    const char *target;
    const char *canonical; /* NULL: refused for */
    subtoken_fault fault;
  } rows[] = {
      {"/", "/", 0},
      {"/v2/account", "/v2/account", 0},
      {"/v2/account/", "/v2/account/", 0},
      {"/v2/account?x=/..;&y=%zz", "/v2/account", 0}, /* the query takes no part */
      {"/v2/account?", "/v2/account", 0},
      {"/v2/account??", "/v2/account", 0},
      {"/?", "/", 0},
      {"/%61", "/a", 0},
      {"/%7e%7E~", "/~~~", 0},
      {"/a%20b", "/a%20b", 0},
      {"/%c3%a9", "/%C3%A9", 0},
      {"/%e2%82%ac", "/%E2%82%AC", 0},
      {"/%F0%9F%98%80", "/%F0%9F%98%80", 0},
      {"/a+b", "/a+b", 0},
      {"/a%2Bb", "/a+b", 0},
      {"/*", "/%2A", 0}, /* a star is data in a target */
      {"/%2a", "/%2A", 0},
      {"/a:b@c", "/a:b@c", 0},
      {"/-._~!$&'()+,=:@", "/-._~!$&'()+,=:@", 0},
      {"/%3C%3E%22%60%7B%7D%7C%5E%5B%5D", "/%3C%3E%22%60%7B%7D%7C%5E%5B%5D", 0},
      {"/..a", "/..a", 0},
      {"/a..", "/a..", 0},
      {"/.a", "/.a", 0},
      {"/a.", "/a.", 0},
      {"/. a", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/.%20a", "/.%20a", 0},
      {"/%C2%A0", "/%C2%A0", 0}, /* U+00A0 is the first after the C1 controls */
      {"", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"?", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"*", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"%2Fa", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"\\a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {" /a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"http://h/a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"GET:/a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"/a b", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\tb", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\rb", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\nb", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\\b", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a;b", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a;", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\"", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a<", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a^", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\x7F", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\x80", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/\xC3\xA9", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a#", NULL, SUBTOKEN_FAULT_FRAGMENT},
      {"/#a", NULL, SUBTOKEN_FAULT_FRAGMENT},
      {"/a?x#y", NULL, SUBTOKEN_FAULT_FRAGMENT},
      {"/a?x y", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a?\xFF", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a?\x7F", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a?\n", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/%", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%4", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%4?1", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%g0", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%0g", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%%41", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%u002e", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%+1", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%-1", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
      {"/%25", NULL, SUBTOKEN_FAULT_ENCODED_PERCENT},
      {"/%252e", NULL, SUBTOKEN_FAULT_ENCODED_PERCENT},
      {"/%2f", NULL, SUBTOKEN_FAULT_ENCODED_SLASH},
      {"/%5C", NULL, SUBTOKEN_FAULT_ENCODED_SLASH},
      {"/%3f", NULL, SUBTOKEN_FAULT_ENCODED_DELIMITER},
      {"/%23", NULL, SUBTOKEN_FAULT_ENCODED_DELIMITER},
      {"/%3B", NULL, SUBTOKEN_FAULT_ENCODED_DELIMITER},
      {"/%00", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL},
      {"/%1f", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL},
      {"/%7f", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL},
      {"/%0d%0a", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL},
      {"/%C2%80", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL},
      {"/%C2%9F", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL},
      {"/%80", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%ff", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%c0%af", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%c0%ae", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%e2%82", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%e2%82/%ac", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%ed%a0%80", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%f4%90%80%80", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/.", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/..", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/...", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/./", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/a/../b", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/%2e", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/.%2E/a", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/%20", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/..%20", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/%20../", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/..?x", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"//", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
      {"//a", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
      {"/a//", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
      {"/a//b", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text target = exact_string(rows[i].target);
    size_t room = 3 * target.len + 1, len = 99;
    char *out = malloc(room);
    subtoken_fault fault = SUBTOKEN_FAULT_COUNT;
    assert_non_null(out);
    subtoken_result got = subtoken_target_path(target, out, room, &len, &fault);
    CHECK(fault == rows[i].fault, "%s: %s", rows[i].target, subtoken_fault_name(fault));
    if (rows[i].canonical == NULL) {
      CHECK(got == SUBTOKEN_BAD_TARGET && len == 0 && out[0] == '\0', "%s", rows[i].target);
    } else {
      CHECK(got == SUBTOKEN_OK && len == strlen(out), "%s", rows[i].target);
      CHECK(strcmp(out, rows[i].canonical) == 0, "%s: %s", rows[i].target, out);
    }
    CHECK(subtoken_target_path(target, out, room, &len, NULL) == got, "%s", rows[i].target);
    free(out);
    release(target);
  }
  assert_int_equal(target_fault("/a\0", 3), SUBTOKEN_FAULT_BAD_CHAR);
  assert_int_equal(target_fault("/a?\0", 4), SUBTOKEN_FAULT_BAD_CHAR);
}

/* Each byte alone in a segment, raw and escaped. */
static void every_byte(void **state) {
  (void)state;
  int raw = 0, escaped = 0;
  for (int c = 0; c < 256; c++) {
    char text[8] = {'/', 'a', (char)c, 'b'};
    raw += target_fault(text, 4) == SUBTOKEN_FAULT_NONE;
    snprintf(text, sizeof text, "/a%%%02x", (unsigned)c);
    escaped += target_fault(text, 5) == SUBTOKEN_FAULT_NONE;
  }
  /* 62 letters and digits, -._~ , the 11 sub-delims without ; (10), : @ / and the ? of
   * a query. */
  assert_int_equal(raw, 62 + 4 + 10 + 2 + 1 + 1);
  /* 0x20 to 0x7E but for / \ % ? # ; */
  assert_int_equal(escaped, 95 - 6);
}

static void target_limits(void **state) {
  (void)state;
  st_path path;
  for (size_t len = SUBTOKEN_PATH_MAX - 1; len <= SUBTOKEN_PATH_MAX + 1; len++) {
    subtoken_text target = repeated("/", 'a', len - 1);
    CHECK(st_target_read(target, &path) ==
              (len <= SUBTOKEN_PATH_MAX ? SUBTOKEN_FAULT_NONE : SUBTOKEN_FAULT_TOO_LONG),
          "%zu", len);
    release(target);
  }
  for (size_t len = SUBTOKEN_TARGET_MAX - 1; len <= SUBTOKEN_TARGET_MAX + 1; len++) {
    subtoken_text target = repeated("/?", 'a', len - 2);
    CHECK(st_target_read(target, &path) ==
              (len <= SUBTOKEN_TARGET_MAX ? SUBTOKEN_FAULT_NONE : SUBTOKEN_FAULT_TOO_LONG),
          "%zu", len);
    release(target);
  }
  /* The most that the canonical text can grow: stars become three characters. */
  subtoken_text stars = repeated("/", '*', SUBTOKEN_PATH_MAX - 1);
  static char out[3 * SUBTOKEN_PATH_MAX + 1];
  size_t len;
  assert_int_equal(subtoken_target_path(stars, out, sizeof out, &len, NULL), SUBTOKEN_OK);
  assert_int_equal(len, 3 * (SUBTOKEN_PATH_MAX - 1) + 1);
  assert_int_equal(subtoken_target_path(stars, out, len, &len, NULL), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_true(len == 0 && out[0] == '\0');
  assert_int_equal(subtoken_target_path(stars, out, 0, &len, NULL), SUBTOKEN_BUFFER_TOO_SMALL);
  release(stars);
}

static void entries(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *canonical;
    subtoken_fault fault;
  } rows[] = {
      {"/", "/", 0},
      {"/*", "/*", 0},
      {"/a", "/a", 0},
      {"/a/", "/a/", 0},
      {"/a/*", "/a/*", 0},
      {"GET:/a", "GET:/a", 0},
      {"DELETE:/*", "DELETE:/*", 0},
      {"X:/", "X:/", 0},
      {"/a:b", "/a:b", 0},
      {"GET:/a:b", "GET:/a:b", 0},
      {"/GET:/a", "/GET:/a", 0},
      {"/%61%2f", NULL, SUBTOKEN_FAULT_ENCODED_SLASH},
      {"/%7Ea%20b", "/~a%20b", 0},
      {"/%c3%a9/*", "/%C3%A9/*", 0},
      {"/%2A", "/%2A", 0}, /* a star as data */
      {"/%2a/*", "/%2A/*", 0},
      {"/a%2a", "/a%2A", 0},
      {"", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"*", NULL, SUBTOKEN_FAULT_STAR},
      {"**", NULL, SUBTOKEN_FAULT_STAR},
      {"/**", NULL, SUBTOKEN_FAULT_STAR},
      {"/*/", NULL, SUBTOKEN_FAULT_STAR},
      {"/*/*", NULL, SUBTOKEN_FAULT_STAR},
      {"/*/a", NULL, SUBTOKEN_FAULT_STAR},
      {"/a*", NULL, SUBTOKEN_FAULT_STAR},
      {"/*a", NULL, SUBTOKEN_FAULT_STAR},
      {"/a/*b", NULL, SUBTOKEN_FAULT_STAR},
      {"*:/a", NULL, SUBTOKEN_FAULT_STAR},
      {"/a?", NULL, SUBTOKEN_FAULT_QUERY_IN_ENTRY},
      {"/a?b", NULL, SUBTOKEN_FAULT_QUERY_IN_ENTRY},
      {"/a#b", NULL, SUBTOKEN_FAULT_QUERY_IN_ENTRY},
      {":/a", NULL, SUBTOKEN_FAULT_METHOD},
      {"get:/a", NULL, SUBTOKEN_FAULT_METHOD},
      {"Get:/a", NULL, SUBTOKEN_FAULT_METHOD},
      {"GET1:/a", NULL, SUBTOKEN_FAULT_METHOD},
      {"M-SEARCH:/a", NULL, SUBTOKEN_FAULT_METHOD},
      {"GET :/a", NULL, SUBTOKEN_FAULT_METHOD},
      {" GET:/a", NULL, SUBTOKEN_FAULT_METHOD},
      {"GET,POST:/a", NULL, SUBTOKEN_FAULT_METHOD},
      {"GET:", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"GET:a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"GET: /a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"GET:POST:/a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"GET:*", NULL, SUBTOKEN_FAULT_STAR},
      {"https://h/a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"HTTPS://h/a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"h:80/a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"//a", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
      {"/a//*", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
      {"//*", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
      {"/../*", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/a/./b", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/%2e%2e", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/a b", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a;b", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/a\\b", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/\xC3\xA9", NULL, SUBTOKEN_FAULT_BAD_CHAR},
      {"/%25", NULL, SUBTOKEN_FAULT_ENCODED_PERCENT},
      {"/%3f", NULL, SUBTOKEN_FAULT_ENCODED_DELIMITER},
      {"/%0a", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL},
      {"/%ff", NULL, SUBTOKEN_FAULT_BAD_UTF8},
      {"/%", NULL, SUBTOKEN_FAULT_BAD_ESCAPE},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    st_entry entry, again;
    subtoken_fault fault = st_entry_read(text, &entry);
    CHECK(fault == rows[i].fault, "%s: %s", rows[i].text, subtoken_fault_name(fault));
    if (fault == SUBTOKEN_FAULT_NONE) {
      char out[SUBTOKEN_URL_MAX + 1];
      st_writer writer = st_writer_on(out, sizeof out);
      st_entry_write(&writer, &entry);
      assert_true(st_writer_end(&writer));
      CHECK(strcmp(out, rows[i].canonical) == 0, "%s: %s", rows[i].text, out);
      assert_int_equal(st_entry_read((subtoken_text){out, writer.len}, &again), 0);
      CHECK(st_entry_covers(&entry, &again) && st_entry_covers(&again, &entry), "%s", rows[i].text);
    }
    release(text);
  }
}

/* 1,024 bytes, both as given and canonical. */
static void entry_limits(void **state) {
  (void)state;
  st_entry entry;
  for (size_t len = 1023; len <= 1025; len++) {
    subtoken_fault want = len <= 1024 ? SUBTOKEN_FAULT_NONE : SUBTOKEN_FAULT_TOO_LONG;
    subtoken_text plain = repeated("/", 'a', len - 1);
    CHECK(st_entry_read(plain, &entry) == want, "%zu", len);
    release(plain);
    subtoken_text method = repeated("GET:/", 'a', len - 5);
    CHECK(st_entry_read(method, &entry) == want, "%zu", len);
    release(method);
    subtoken_text wild = repeated("/", 'a', len - 1);
    char *bytes = (char *)(uintptr_t)wild.data;
    bytes[len - 1] = '*';
    bytes[len - 2] = '/';
    CHECK(st_entry_read(wild, &entry) == want, "%zu", len);
    if (want == SUBTOKEN_FAULT_NONE) {
      char out[SUBTOKEN_URL_MAX + 1];
      st_writer writer = st_writer_on(out, sizeof out);
      st_entry_write(&writer, &entry);
      assert_true(st_writer_end(&writer));
      assert_int_equal(writer.len, len);
    }
    release(wild);
  }
  /* Short as given can be long only by stars, and those are refused raw; but as
   * given it may be longer than canonical: that counts too. */
  static char text[3 * 400 + 2];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_char(&writer, '/');
  for (int i = 0; i < 342; i++) st_write_string(&writer, "%61");
  assert_int_equal(writer.len, 1027);
  assert_int_equal(st_entry_read((subtoken_text){text, writer.len}, &entry),
                   SUBTOKEN_FAULT_TOO_LONG);
  assert_int_equal(st_entry_read((subtoken_text){text, writer.len - 3}, &entry),
                   SUBTOKEN_FAULT_NONE);
}

static void matching(void **state) {
  (void)state;
  static const struct {
    const char *entry, *method, *target;
    bool match;
  } rows[] = {
      {"/v2/account", "GET", "/v2/account", true},
      {"/v2/account", "", "/v2/account", true},
      {"/v2/account", "GET", "/v2/account/", false},
      {"/v2/account", "GET", "/v2/account/home", false},
      {"/v2/account", "GET", "/v2/accoun", false},
      {"/v2/account", "GET", "/v2/accounts", false},
      {"/v2/account", "GET", "/V2/account", false},
      {"/v2/account", "GET", "/", false},
      {"/v2/account/", "GET", "/v2/account", false},
      {"/v2/account/", "GET", "/v2/account/", true},
      {"/v2/%61ccount", "GET", "/v2/a%63count", true},
      {"/a+b", "GET", "/a%20b", false},
      {"/a/*", "GET", "/a/b", true},
      {"/a/*", "GET", "/a/b/c", true},
      {"/a/*", "GET", "/a", false},
      {"/a/*", "GET", "/a/", false},
      {"/a/*", "GET", "/a/b/", false}, /* whole, non-empty segments */
      {"/a/*", "GET", "/ab", false},
      {"/a/*", "GET", "/ab/c", false},
      {"/a/*", "GET", "/a/*", true},
      {"/*", "GET", "/", false},
      {"/*", "GET", "/a", true},
      {"/*", "GET", "/a/b/c", true},
      {"/", "GET", "/", true},
      {"/", "GET", "/a", false},
      {"/a/%2A", "GET", "/a/b", false},
      {"/a/%2A", "GET", "/a/*", true},
      {"/a/%2A", "GET", "/a/%2a", true},
      {"GET:/a", "GET", "/a", true},
      {"GET:/a", "HEAD", "/a", true},
      {"GET:/a/*", "HEAD", "/a/b", true},
      {"GET:/a", "POST", "/a", false},
      {"GET:/a", "", "/a", false},
      {"GET:/a", "get", "/a", false},
      {"GET:/a", "GE", "/a", false},
      {"GET:/a", "GETS", "/a", false},
      {"GET:/a", "GET", "/b", false},
      {"HEAD:/a", "GET", "/a", false},
      {"HEAD:/a", "HEAD", "/a", true},
      {"POST:/a", "HEAD", "/a", false},
      {"POST:/a", "POST", "/a", true},
      {"/a", "BREW", "/a", true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].entry), target = exact_string(rows[i].target);
    st_entry entry;
    st_path path;
    assert_int_equal(st_entry_read(text, &entry), 0);
    assert_int_equal(st_target_read(target, &path), 0);
    CHECK(st_entry_matches(&entry, st_text(rows[i].method), &path) == rows[i].match,
          "%s %s under %s", rows[i].method, rows[i].target, rows[i].entry);
    release(text);
    release(target);
  }
}

static void covering(void **state) {
  (void)state;
  static const struct {
    const char *outer, *inner;
    bool covers;
  } rows[] = {
      {"/a", "/a", true},           {"/a", "/a/", false},
      {"/a/", "/a", false},         {"/a", "/a/b", false},
      {"/a", "/a/*", false},        {"/a", "/*", false},
      {"/a/*", "/a/b", true},       {"/a/*", "/a/b/c", true},
      {"/a/*", "/a", false},        {"/a/*", "/a/", false},
      {"/a/*", "/a/b/", false},     {"/a/*", "/ab", false},
      {"/a/*", "/a/*", true},       {"/a/*", "/a/b/*", true},
      {"/a/b/*", "/a/*", false},    {"/a/*", "/*", false},
      {"/a/*", "/ab/*", false},     {"/*", "/a/*", true},
      {"/*", "/*", true},           {"/*", "/", false},
      {"/*", "/a", true},           {"/a/*", "/a/%2A", true},
      {"/a/%2A", "/a/*", false},    {"/a/%2A", "/a/b", false},
      {"/a/%2A", "/a/%2A", true},   {"/a", "GET:/a", true},
      {"GET:/a", "/a", false},      {"GET:/a", "GET:/a", true},
      {"GET:/a", "POST:/a", false}, {"GET:/a", "HEAD:/a", false},
      {"HEAD:/a", "GET:/a", false}, {"GET:/a/*", "GET:/a/b", true},
      {"GET:/a/*", "/a/b", false},  {"/a/*", "PUT:/a/b/*", true},
      {"/%61", "/a", true},         {"/a", "/A", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text a = exact_string(rows[i].outer), b = exact_string(rows[i].inner);
    st_entry outer, inner;
    assert_int_equal(st_entry_read(a, &outer), 0);
    assert_int_equal(st_entry_read(b, &inner), 0);
    CHECK(st_entry_covers(&outer, &inner) == rows[i].covers, "%s over %s", rows[i].outer,
          rows[i].inner);
    release(a);
    release(b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(targets),  cmocka_unit_test(every_byte),   cmocka_unit_test(target_limits),
      cmocka_unit_test(entries),  cmocka_unit_test(entry_limits), cmocka_unit_test(matching),
      cmocka_unit_test(covering),
  };
  return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
