#include "support.h"

#include "base/x86.h"
#include "core/paths.h"
#include "plain_path.h"
#include "subtoken/url.h"

static subtoken_fault target_fault(const char *data, size_t len) {
  subtoken_text target = exact(data, len);
  st_path path;
  subtoken_fault fault = st_target_read(target, &path);
  release(target);
  return fault;
}

static void a_target_is_read_in_one_way_or_refused(void **state) {
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

static void an_entry_is_canonical_or_refused(void **state) {
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
      {"/*/", "/*/", 0}, /* a star that is a segment, and then an empty one */
      {"/*/*", "/*/*", 0},
      {"/*/a", "/*/a", 0},
      {"/*/*/*", "/*/*/*", 0},
      {"/a/*/b", "/a/*/b", 0},
      {"/a/*/%2a/*/%62", "/a/*/%2A/*/b", 0},
      {"GET:/*/%c3%a9/*", "GET:/*/%C3%A9/*", 0},
      {"", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"*", NULL, SUBTOKEN_FAULT_STAR},
      {"**", NULL, SUBTOKEN_FAULT_STAR},
      {"*/a", NULL, SUBTOKEN_FAULT_STAR},
      {"a/*/b", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"/**", NULL, SUBTOKEN_FAULT_STAR},
      {"/**/a", NULL, SUBTOKEN_FAULT_STAR},
      {"/a*/b", NULL, SUBTOKEN_FAULT_STAR},
      {"/*a/b", NULL, SUBTOKEN_FAULT_STAR},
      {"/*%20/b", NULL, SUBTOKEN_FAULT_STAR},
      {"/%61*/b", NULL, SUBTOKEN_FAULT_STAR},
      {"/*?", NULL, SUBTOKEN_FAULT_STAR},
      {"/*//a", NULL, SUBTOKEN_FAULT_EMPTY_SEGMENT},
      {"/*/../a", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/*/%01/a", NULL, SUBTOKEN_FAULT_ENCODED_CONTROL}, /* whatever stands for it inside */
      {"/*/\x01/a", NULL, SUBTOKEN_FAULT_BAD_CHAR},
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
  for (int i = 0; i < 342; i++) st_write_literal(&writer, "%61");
  assert_int_equal(writer.len, 1027);
  assert_int_equal(st_entry_read((subtoken_text){text, writer.len}, &entry),
                   SUBTOKEN_FAULT_TOO_LONG);
  assert_int_equal(st_entry_read((subtoken_text){text, writer.len - 3}, &entry),
                   SUBTOKEN_FAULT_NONE);
}

static void entries_match_segment_by_segment(void **state) {
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
      {"/a/*/c", "GET", "/a/b/c", true},
      {"/a/*/c", "GET", "/a/*/c", true}, /* a star in a target is data */
      {"/a/*/c", "GET", "/a/%2A/c", true},
      {"/a/*/c", "GET", "/a/**/c", true},
      {"/a/*/c", "GET", "/a/*b/c", true},
      {"/a/*/c", "GET", "/a/Zo%C3%AB%20b/c", true},
      {"/a/*/c", "GET", "/a/b/c/", false},
      {"/a/*/c", "GET", "/a/b/d", false},
      {"/a/*/c", "GET", "/a/b", false},
      {"/a/*/c", "GET", "/a/b/", false},
      {"/a/*/c", "GET", "/a/c", false}, /* exactly one */
      {"/a/*/c", "GET", "/a/b/b/c", false},
      {"/a/*/c", "GET", "/a/b/c/d", false},
      {"/a/*/c", "GET", "/x/b/c", false},
      {"/a/*/", "GET", "/a/b/", true},
      {"/a/*/", "GET", "/a/b", false},
      {"/a/*/", "GET", "/a/", false},
      {"/*/b", "GET", "/a/b", true},
      {"/*/b", "GET", "/*/b", true},
      {"/*/b", "GET", "/b", false},
      {"/*/*", "GET", "/a", false},
      {"/*/*", "GET", "/a/", false},
      {"/*/*", "GET", "/a/b", true},
      {"/*/*", "GET", "/a/b/c", true},
      {"/a/*/*", "GET", "/a/b", false},
      {"/a/*/c/*", "GET", "/a/b/c", false},
      {"/a/*/c/*", "GET", "/a/b/c/d/e", true},
      {"/a/*/c/*", "GET", "/a/b/c/d/", false},
      {"/%2A/*/c", "GET", "/*/b/c", true},
      {"/%2A/*/c", "GET", "/a/b/c", false}, /* one is a star as data */
      {"/*/%2A", "GET", "/a/*", true},
      {"/*/%2A", "GET", "/a/b", false},
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

static void an_entry_covers_what_it_matches(void **state) {
  (void)state;
  static const struct {
    const char *outer, *inner;
    bool covers;
  } rows[] = {
      {"/a", "/a", true},
      {"/a", "/a/", false},
      {"/a/", "/a", false},
      {"/a", "/a/b", false},
      {"/a", "/a/*", false},
      {"/a", "/*", false},
      {"/a/*", "/a/b", true},
      {"/a/*", "/a/b/c", true},
      {"/a/*", "/a", false},
      {"/a/*", "/a/", false},
      {"/a/*", "/a/b/", false},
      {"/a/*", "/ab", false},
      {"/a/*", "/a/*", true},
      {"/a/*", "/a/b/*", true},
      {"/a/b/*", "/a/*", false},
      {"/a/*", "/*", false},
      {"/a/*", "/ab/*", false},
      {"/*", "/a/*", true},
      {"/*", "/*", true},
      {"/*", "/", false},
      {"/*", "/a", true},
      {"/a/*", "/a/%2A", true},
      {"/a/%2A", "/a/*", false},
      {"/a/%2A", "/a/b", false},
      {"/a/%2A", "/a/%2A", true},
      {"/a", "GET:/a", true},
      {"GET:/a", "/a", false},
      {"GET:/a", "GET:/a", true},
      {"GET:/a", "POST:/a", false},
      {"GET:/a", "HEAD:/a", false},
      {"HEAD:/a", "GET:/a", false},
      {"GET:/a/*", "GET:/a/b", true},
      {"GET:/a/*", "/a/b", false},
      {"/a/*", "PUT:/a/b/*", true},
      {"/%61", "/a", true},
      {"/a", "/A", false},
      {"/a/*/c", "/a/*/c", true},
      {"/a/*/c", "/a/b/c", true},
      {"/a/*/c", "/a/%2A/c", true},
      {"/a/b/c", "/a/*/c", false},
      {"/a/%2A/c", "/a/*/c", false}, /* a plain segment covers itself alone */
      {"/a/*/c", "/a/*/*", false},
      {"/a/*/c", "/a/*", false},
      {"/a/*", "/a/*/c", true},
      {"/a/*", "/a/*/", false},
      {"/a/*/", "/a/*/", true},
      {"/a/*/", "/a/b/", true},
      {"/a/*/*", "/a/*", false},
      {"/a/*/*", "/a/b/*", true},
      {"/a/*/*", "/a/*/*", true},
      {"/a/*", "/a/*/*", true},
      {"/a/b/*", "/a/*/*", false},
      {"/a/*/*", "/a/*/b", true},
      {"/a/*/*", "/a/b", false},
      {"/*/b", "/*/%62", true},
      {"/*/*/c", "/a/*/c", true},
      {"/a/*/c", "/*/*/c", false},
      {"/*/b", "/a/*", false},
      {"/*/b/*", "/a/b/*/d", true},
      {"/*/b/*", "/*/*/c", false},
      {"GET:/*/b", "GET:/a/b", true},
      {"GET:/*/b", "/a/b", false},
      {"/*/b", "PUT:/*/b", true},
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

/* ---- by its prefix, and plainly ---- */

static uint8_t this_cpu;

/* A target, read by both kinds of processor, is what the plain reading says. */
static bool target_holds(const char *text, size_t len) {
  static plain_path plain;
  static st_path path;
  subtoken_text target = exact(text, len);
  subtoken_fault want = plain_target(text, len, &plain);
  for (int twice = 0; twice < 2; twice++) {
    subtoken_fault got = st_target_read_by(twice == 0 ? 0 : this_cpu, target, &path);
    CHECK(got == want, "%.*s: %s, not %s", (int)len, text, subtoken_fault_name(got),
          subtoken_fault_name(want));
    if (want != SUBTOKEN_FAULT_NONE) continue;
    CHECK(path.len == plain.len && memcmp(path.bytes, plain.bytes, plain.len) == 0, "%.*s: %.*s",
          (int)len, text, (int)path.len, path.bytes);
  }
  release(target);
  return want == SUBTOKEN_FAULT_NONE;
}

/* And an entry; what is passed by its prefix is an entry too, and no shorter one is. */
static bool entry_holds(const char *text, size_t len) {
  static plain_entry plain;
  static st_entry entry;
  subtoken_text given = exact(text, len);
  subtoken_fault want = plain_entry_read(text, len, &plain), got = st_entry_read(given, &entry);
  CHECK(got == want && st_entry_check(given) == want, "%.*s: %s, not %s", (int)len, text,
        subtoken_fault_name(got), subtoken_fault_name(want));
  if (want == SUBTOKEN_FAULT_NONE) {
    CHECK(entry.wild == plain.wild && entry.method.len == plain.method_len &&
              (plain.method_len == 0 ||
               memcmp(entry.method.data, plain.method, plain.method_len) == 0),
          "%.*s", (int)len, text);
    CHECK(plain_is(&plain, entry.path.bytes, entry.path.len, ST_PATH_ANY), "%.*s", (int)len, text);
  }
  size_t passed = st_entry_scan_prefix(0, given);
  CHECK(passed == st_entry_scan_prefix(this_cpu, given), "%.*s: %zu", (int)len, text, passed);
  CHECK(passed <= len, "%.*s: %zu", (int)len, text, passed);
  if (passed > 0 && passed <= SUBTOKEN_URL_MAX) {
    CHECK(plain_entry_read(text, passed, &plain) == SUBTOKEN_FAULT_NONE, "%.*s of %.*s",
          (int)passed, text, (int)len, text);
  }
  release(given);
  return want == SUBTOKEN_FAULT_NONE;
}

/* All texts of up to four of these behind a slash, alone and where the steps of 16
 * characters meet. */
static void all_short_paths(void **state) {
  (void)state;
  static const char *const pieces[] = {"/",   ".",   "a",      "%",      "2",         "E",
                                       "5",   "*",   "?",      "#",      " ",         ";",
                                       "%20", "%2e", "%C3%A9", "%C2%85", "%e2%82%ac", ":"};
  static const size_t before[] = {0, 10, 13, 14, 15, 30, 31};
  char text[100];
  size_t good = 0;
  for (size_t n = 0; n < COUNT(pieces) * COUNT(pieces) * COUNT(pieces) * COUNT(pieces); n++) {
    char middle[40] = "";
    for (size_t i = 0, rest = n; i < 4; i++, rest /= COUNT(pieces)) {
      strcat(middle, pieces[rest % COUNT(pieces)]);
    }
    size_t b = n % 7 == 0 ? COUNT(before) : 2;
    for (size_t i = 0; i < b; i++) {
      memset(text, 'a', sizeof text);
      text[0] = '/';
      size_t len = 1 + before[i], more = strlen(middle);
      memcpy(text + len, middle, more);
      good += target_holds(text, len + more);
      good += entry_holds(text, len + more);
      good += target_holds(text, len + more + 20);
      good += entry_holds(text, len + more + 20);
    }
  }
  assert_true(good > 100000);
}

/* Bytes of a good path changed, cut out and put in. */
static void mutated_paths(void **state) {
  (void)state;
  static const char *const bases[] = {
      "/v2/account",
      "/v2/characters/My%20Cool%20Character/inventory?access=1",
      "/v2/account/bank/*",
      "/v2/*/home/%2A/*/cats/*",
      "GET:/v2/items/%2A/%e2%82%ac",
      "/%C3%A9%C3%A8/%F0%9F%98%80%20.b/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/a.b.c/..d",
      "/aaaaaaaaaaaaaa/b/ccccccccccccc/d/eeeeeeeeeeeee/%41%42%43",
      "DELETE:/aaaaaaa/aaaaaaaaaaaaaaaa/",
  };
  char text[200];
  for (size_t n = 0; n < COUNT(bases); n++) {
    size_t len = strlen(bases[n]);
    memcpy(text, bases[n], len);
    for (size_t at = 0; at < len; at++) {
      for (int c = 0; c < 256; c++) {
        text[at] = (char)c;
        (void)target_holds(text, len);
        (void)entry_holds(text, len);
      }
      text[at] = bases[n][at];
    }
    for (size_t cut = 1; cut <= 4; cut++) {
      for (size_t at = 0; at + cut <= len; at++) {
        memcpy(text, bases[n], at);
        memcpy(text + at, bases[n] + at + cut, len - at - cut);
        (void)target_holds(text, len - cut);
        (void)entry_holds(text, len - cut);
      }
    }
    for (size_t at = 0; at <= len; at++) {
      memcpy(text, bases[n], at);
      memcpy(text + at + 1, bases[n] + at, len - at);
      for (int c = 0; c < 256; c++) {
        text[at] = (char)c;
        (void)target_holds(text, len + 1);
        (void)entry_holds(text, len + 1);
      }
    }
  }
}

static void random_paths(void **state) {
  (void)state;
  static const char *const pieces[] = {
      "/",         "/",
      "/",         "a",
      "bc",        "v2",
      "account",   "~!$&'()+,=:@-_",
      ".",         "..",
      "%20",       "%2e",
      "%2E",       "%41",
      "%7e",       "%C3%A9",
      "%c3",       "%A9",
      "%C2%9f",    "%C2%a0",
      "%E2%82%AC", "%F0%9F%98%80",
      "%ED%A0%80", "%00",
      "%2F",       "%5c",
      "%25",       "%3b",
      "%",         "*",
      "/*",        "?",
      "#",         ";",
      "\\",        " ",
      "\x80",      "GET:",
      ":",         "aaaaaaaaaaaaaaaaa",
  };
  uint64_t seed = 9;
  char text[600];
  size_t good = 0;
  for (int round = 0; round < 300000; round++) {
    st_writer writer = st_writer_on(text, sizeof text);
    if (round % 8 != 0) st_write_literal(&writer, round % 8 == 1 ? "GET:/" : "/");
    size_t count = random_below(&seed, 14);
    /* Mostly what may stand in a path, or nearly all would be refused. */
    size_t most = round % 3 == 0 ? COUNT(pieces) : round % 3 == 1 ? 22 : 8;
    for (size_t i = 0; i < count; i++) {
      st_write_literal(&writer, pieces[random_below(&seed, most)]);
    }
    good += target_holds(text, writer.len);
    good += entry_holds(text, writer.len);
  }
  assert_true(good > 50000);
}

/* At the limits of length, whether plain, escaped, with a query or with a star. */
static void long_paths(void **state) {
  (void)state;
  static char text[3 * SUBTOKEN_TARGET_MAX];
  static const char *const fills[] = {"a", "%41", "%C3%A9", "/a", "*", "/*"};
  static const char *const ends[] = {"", "/", "/*", "?", "?x", "%20", "/.", "#"};
  static const size_t limits[] = {SUBTOKEN_URL_MAX, SUBTOKEN_PATH_MAX, SUBTOKEN_TARGET_MAX};
  for (size_t n = 0; n < COUNT(limits) * COUNT(fills) * COUNT(ends); n++) {
    size_t limit = limits[n % COUNT(limits)];
    const char *fill = fills[n / COUNT(limits) % COUNT(fills)];
    const char *end = ends[n / COUNT(limits) / COUNT(fills)];
    for (size_t len = limit - 8; len <= limit + 8; len++) {
      st_writer writer = st_writer_on(text, sizeof text);
      st_write_char(&writer, '/');
      while (writer.len + strlen(fill) + strlen(end) <= len) st_write_literal(&writer, fill);
      st_write_literal(&writer, end);
      (void)target_holds(text, writer.len);
      (void)entry_holds(text, writer.len);
    }
  }
}

/* ---- each entry against each target ---- */

#define LIST_MAX 700

typedef struct named {
  subtoken_text text; /* exact */
  plain_entry plain;
  plain_path path;
} named;

static named *list_of(size_t *count, bool entries_wanted) {
  static const char *const segments[] = {
      "a",   "b",     "A",      "ab",        "%61",          "%41",
      "%2A", "%2a",   "%C3%A9", "%c3%a9",    "a+b",          "a%2Bb",
      "%7e", "~",     "a%20b",  "a.",        ".a",           "%2ea",
      "x:y", "x%3Ay", "a=b",    "%E2%82%AC", "%F0%9F%98%80", "long-segment-of-more-than-16",
      "%22", "a%20",  "*"};
  static const char *const methods[] = {"", "", "", "GET:", "HEAD:", "POST:", "G:"};
  static const char *const ends[] = {"", "/", "/*", "", "/*"};
  named *list = calloc(LIST_MAX, sizeof *list);
  if (list == NULL) abort();
  uint64_t seed = entries_wanted ? 10 : 11;
  *count = 0;
  while (*count < LIST_MAX) {
    char text[200];
    st_writer writer = st_writer_on(text, sizeof text);
    if (entries_wanted) st_write_literal(&writer, methods[random_below(&seed, COUNT(methods))]);
    /* Each segment alone first, then few enough of them that paths meet. */
    size_t depth = *count < 3 * COUNT(segments) ? 1 : random_below(&seed, 4);
    size_t most = *count % 2 == 0 ? COUNT(segments) : 6;
    for (size_t i = 0; i < depth; i++) {
      size_t which = depth == 1 ? *count % COUNT(segments) : random_below(&seed, most);
      st_write_char(&writer, '/');
      st_write_literal(&writer, segments[which]);
    }
    const char *end = ends[random_below(&seed, COUNT(ends))];
    if (depth == 0 && *end == '\0') end = "/";
    st_write_literal(&writer, end);
    named *to = &list[(*count)++];
    to->text = exact(text, writer.len);
    subtoken_fault fault = entries_wanted ? plain_entry_read(text, writer.len, &to->plain)
                                          : plain_target(text, writer.len, &to->path);
    CHECK(fault == SUBTOKEN_FAULT_NONE, "%.*s", (int)writer.len, text);
  }
  return list;
}

static void entries_and_targets(void **state) {
  (void)state;
  static const char *const methods[] = {"", "GET", "HEAD", "POST", "get", "G", "GETS"};
  static st_entry entry, other;
  static st_path path;
  size_t entry_count, target_count, matched = 0, covered = 0;
  named *some = list_of(&entry_count, true), *all = list_of(&target_count, false);
  for (size_t i = 0; i < entry_count; i++) {
    assert_int_equal(st_entry_read(some[i].text, &entry), SUBTOKEN_FAULT_NONE);
    for (size_t j = 0; j < target_count; j++) {
      assert_int_equal(st_target_read_by(j % 2 == 0 ? 0 : this_cpu, all[j].text, &path), 0);
      for (size_t m = 0; m < COUNT(methods); m++) {
        subtoken_text method = st_text(methods[m]);
        bool want = plain_matches(&some[i].plain, method.data, method.len, &all[j].path);
        CHECK(st_entry_matches(&entry, method, &path) == want, "%s %.*s under %.*s: not %d",
              methods[m], (int)all[j].text.len, all[j].text.data, (int)some[i].text.len,
              some[i].text.data, want);
        CHECK(st_entry_text_matches(some[i].text, method, &path) == want,
              "%s %.*s under the text %.*s: not %d", methods[m], (int)all[j].text.len,
              all[j].text.data, (int)some[i].text.len, some[i].text.data, want);
        matched += want;
      }
    }
    for (size_t j = 0; j < entry_count; j++) {
      assert_int_equal(st_entry_read(some[j].text, &other), SUBTOKEN_FAULT_NONE);
      bool want = plain_covers(&some[i].plain, &some[j].plain);
      CHECK(st_entry_covers(&entry, &other) == want, "%.*s over %.*s: not %d",
            (int)some[i].text.len, some[i].text.data, (int)some[j].text.len, some[j].text.data,
            want);
      covered += want;
    }
  }
  assert_true(matched > 10000 && covered > 5000);
  for (size_t i = 0; i < entry_count; i++) release(some[i].text);
  for (size_t i = 0; i < target_count; i++) release(all[i].text);
  free(some);
  free(all);
}

/* ---- url.h ---- */

static void public_canonical(void **state) {
  (void)state;
  static const struct {
    const char *entry, *canonical;
    subtoken_fault fault;
  } rows[] = {
      {"/", "/", 0},
      {"/%7Ea%20b", "/~a%20b", 0},
      {"GET:/%c3%a9/*", "GET:/%C3%A9/*", 0},
      {"/a/%2a", "/a/%2A", 0},
      {"", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {"/a*", NULL, SUBTOKEN_FAULT_STAR},
      {"/..", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"get:/a", NULL, SUBTOKEN_FAULT_METHOD},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text entry = exact_string(rows[i].entry);
    size_t most = rows[i].canonical != NULL ? strlen(rows[i].canonical) + 1 : 3;
    for (size_t room = 0; room <= most; room++) {
      char *out = malloc(room);
      size_t len = 99;
      subtoken_fault fault = SUBTOKEN_FAULT_COUNT;
      memset(out, 'x', room);
      subtoken_result want = rows[i].canonical == NULL ? SUBTOKEN_BAD_URL
                             : room < most             ? SUBTOKEN_BUFFER_TOO_SMALL
                                                       : SUBTOKEN_OK;
      subtoken_result got = subtoken_url_canonical(entry, out, room, &len, &fault);
      CHECK(got == want && fault == rows[i].fault, "%s in %zu: %s", rows[i].entry, room,
            subtoken_result_name(got));
      if (got == SUBTOKEN_OK) {
        CHECK(strcmp(out, rows[i].canonical) == 0 && len == strlen(out), "%s", out);
      } else {
        CHECK(len == 0 && (room == 0 || out[0] == '\0'), "%s in %zu", rows[i].entry, room);
      }
      assert_int_equal(subtoken_url_canonical(entry, out, room, &len, NULL), want);
      free(out);
    }
    release(entry);
  }
  char out[8];
  size_t len = 9;
  subtoken_fault fault = SUBTOKEN_FAULT_STAR;
  assert_int_equal(subtoken_url_canonical(ST_TEXT("/a"), NULL, 8, &len, &fault),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(len == 0 && fault == SUBTOKEN_FAULT_NONE);
  fault = SUBTOKEN_FAULT_STAR;
  out[0] = 'x';
  assert_int_equal(subtoken_url_canonical(ST_TEXT("/a"), out, 8, NULL, &fault),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(fault == SUBTOKEN_FAULT_NONE && out[0] == '\0');
  assert_int_equal(subtoken_url_canonical(ST_TEXT("/a"), NULL, 0, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_url_canonical((subtoken_text){NULL, 0}, out, 8, &len, &fault),
                   SUBTOKEN_BAD_URL);
  assert_int_equal(fault, SUBTOKEN_FAULT_NOT_ORIGIN_FORM);
  len = 9;
  assert_int_equal(subtoken_target_path(ST_TEXT("/a"), NULL, 8, &len, &fault),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(len == 0 && fault == SUBTOKEN_FAULT_NONE);
  out[0] = 'x';
  assert_int_equal(subtoken_target_path(ST_TEXT("/a"), out, 8, NULL, &fault),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(out[0], '\0');
  assert_int_equal(subtoken_target_path(ST_TEXT("/a"), NULL, 0, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_target_path((subtoken_text){NULL, 0}, out, 8, &len, &fault),
                   SUBTOKEN_BAD_TARGET);
  assert_int_equal(fault, SUBTOKEN_FAULT_NOT_ORIGIN_FORM);
}

/* The longest entries, as given and canonical. */
static void public_canonical_limit(void **state) {
  (void)state;
  static char text[3 * SUBTOKEN_URL_MAX], out[SUBTOKEN_URL_MAX + 1], want[SUBTOKEN_URL_MAX + 1];
  static plain_entry plain;
  for (size_t len = 1000; len <= 1030; len++) {
    st_writer writer = st_writer_on(text, sizeof text);
    st_write_char(&writer, '/');
    while (writer.len + 9 <= len) st_write_literal(&writer, "%c3%a9%61");
    while (writer.len < len) st_write_char(&writer, 'a');
    subtoken_text entry = exact(text, len);
    size_t out_len, want_len;
    subtoken_fault fault = plain_entry_read(text, len, &plain), got_fault;
    subtoken_result got = subtoken_url_canonical(entry, out, sizeof out, &out_len, &got_fault);
    CHECK(got_fault == fault && (got == SUBTOKEN_OK) == (len <= 1024), "%zu", len);
    if (got == SUBTOKEN_OK) {
      want_len = plain_write(&plain, want);
      CHECK(out_len == want_len && memcmp(out, want, want_len) == 0, "%zu", len);
      assert_int_equal(subtoken_url_canonical(entry, out, out_len, &out_len, NULL),
                       SUBTOKEN_BUFFER_TOO_SMALL);
    }
    release(entry);
  }
}

static const subtoken_text absent = {NULL, 0};

static void public_allows(void **state) {
  (void)state;
  static const struct {
    const char *entry, *method, *target;
    subtoken_result want;
  } rows[] = {
      {"/a", "GET", "/a", SUBTOKEN_OK},
      {"/a", NULL, "/a", SUBTOKEN_OK},
      {"/a", "", "/a", SUBTOKEN_OK},
      {"/a", "GET", "/a?b=/..", SUBTOKEN_OK},
      {"/%61/*", "PUT", "/a/b/c", SUBTOKEN_OK},
      {"GET:/a", "HEAD", "/a", SUBTOKEN_OK},
      {"GET:/a", NULL, "/a", SUBTOKEN_URL},
      {"GET:/a", "", "/a", SUBTOKEN_URL},
      {"GET:/a", "POST", "/a", SUBTOKEN_URL},
      {"/a", "GET", "/b", SUBTOKEN_URL},
      {"/a/*", "GET", "/a", SUBTOKEN_URL},
      {"/a/*", "GET", "/a/", SUBTOKEN_URL},
      {"/a", "GET", "/a/../a", SUBTOKEN_BAD_TARGET},
      {"/a", "GET", "", SUBTOKEN_BAD_TARGET},
      {"/a", "GET", NULL, SUBTOKEN_BAD_TARGET},
      {"/..", "GET", "/a", SUBTOKEN_BAD_URL},
      {"", "GET", "/a", SUBTOKEN_BAD_URL},
      {NULL, "GET", "/a", SUBTOKEN_BAD_URL},
      {"", "GET", "/..", SUBTOKEN_BAD_URL},
      {NULL, NULL, NULL, SUBTOKEN_BAD_URL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text entry = rows[i].entry != NULL ? exact_string(rows[i].entry) : absent;
    subtoken_text method = rows[i].method != NULL ? exact_string(rows[i].method) : absent;
    subtoken_text target = rows[i].target != NULL ? exact_string(rows[i].target) : absent;
    subtoken_result got = subtoken_url_allows(entry, method, target);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    release(entry);
    release(method);
    release(target);
  }
}

static void public_covers(void **state) {
  (void)state;
  static const struct {
    const char *outer, *inner;
    subtoken_result want;
  } rows[] = {
      {"/a/*", "/a/b", SUBTOKEN_OK},        {"/a", "/%61", SUBTOKEN_OK},
      {"/a", "GET:/a", SUBTOKEN_OK},        {"/*", "/a/*", SUBTOKEN_OK},
      {"GET:/a", "/a", SUBTOKEN_URL_WIDER}, {"GET:/a", "HEAD:/a", SUBTOKEN_URL_WIDER},
      {"/a/*", "/a", SUBTOKEN_URL_WIDER},   {"/a/b", "/a/*", SUBTOKEN_URL_WIDER},
      {"/a/*", "/a/", SUBTOKEN_URL_WIDER},  {"", "/a", SUBTOKEN_BAD_URL},
      {"/a", "", SUBTOKEN_BAD_URL},         {NULL, "/a", SUBTOKEN_BAD_URL},
      {"/a", NULL, SUBTOKEN_BAD_URL},       {NULL, NULL, SUBTOKEN_BAD_URL},
      {"/a", "/..", SUBTOKEN_BAD_URL},      {"/a*", "/a", SUBTOKEN_BAD_URL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text outer = rows[i].outer != NULL ? exact_string(rows[i].outer) : absent;
    subtoken_text inner = rows[i].inner != NULL ? exact_string(rows[i].inner) : absent;
    subtoken_result got = subtoken_url_covers(outer, inner);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    release(outer);
    release(inner);
  }
}

static int setup(void **state) {
  (void)state;
  this_cpu = st_cpu_features();
  if (this_cpu == 0) print_message("this processor has no SSE4.1: only plain C is tested\n");
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_target_is_read_in_one_way_or_refused),
      cmocka_unit_test(every_byte),
      cmocka_unit_test(target_limits),
      cmocka_unit_test(an_entry_is_canonical_or_refused),
      cmocka_unit_test(entry_limits),
      cmocka_unit_test(entries_match_segment_by_segment),
      cmocka_unit_test(an_entry_covers_what_it_matches),
      cmocka_unit_test(all_short_paths),
      cmocka_unit_test(mutated_paths),
      cmocka_unit_test(random_paths),
      cmocka_unit_test(long_paths),
      cmocka_unit_test(entries_and_targets),
      cmocka_unit_test(public_canonical),
      cmocka_unit_test(public_canonical_limit),
      cmocka_unit_test(public_allows),
      cmocka_unit_test(public_covers),
  };
  return cmocka_run_group_tests_name("paths", tests, setup, NULL);
}
