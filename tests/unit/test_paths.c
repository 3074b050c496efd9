/* paths: a target and an entry are read in one way or refused, by the scan of a prefix too. */
#include "base/cpu.h"
#include "core/paths.h"

#include "plain_path.h"
#include "support.h"

static subtoken_fault target_fault(const char *data, size_t len) {
  subtoken_text target = exact(data, len);
  st_path path;
  subtoken_fault fault = st_paths_read_target(target, &path);
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
static void each_byte_is_allowed_or_refused(void **state) {
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

static void targets_at_their_limits_are_read(void **state) {
  (void)state;
  st_path path;
  for (size_t len = SUBTOKEN_PATH_MAX - 1; len <= SUBTOKEN_PATH_MAX + 1; len++) {
    subtoken_text target = repeated("/", 'a', len - 1);
    CHECK(st_paths_read_target(target, &path) ==
              (len <= SUBTOKEN_PATH_MAX ? SUBTOKEN_FAULT_NONE : SUBTOKEN_FAULT_TOO_LONG),
          "%zu", len);
    release(target);
  }
  for (size_t len = SUBTOKEN_TARGET_MAX - 1; len <= SUBTOKEN_TARGET_MAX + 1; len++) {
    subtoken_text target = repeated("/?", 'a', len - 2);
    CHECK(st_paths_read_target(target, &path) ==
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
    subtoken_fault fault = st_paths_read_entry(text, &entry);
    CHECK(fault == rows[i].fault, "%s: %s", rows[i].text, subtoken_fault_name(fault));
    if (fault == SUBTOKEN_FAULT_NONE) {
      char out[SUBTOKEN_URL_MAX + 1];
      st_writer writer = st_writer_on(out, sizeof out);
      st_paths_write_entry(&writer, &entry);
      assert_true(st_writer_end(&writer));
      CHECK(strcmp(out, rows[i].canonical) == 0, "%s: %s", rows[i].text, out);
      assert_int_equal(st_paths_read_entry((subtoken_text){out, writer.len}, &again), 0);
      CHECK(st_paths_match_covers(&entry, &again) && st_paths_match_covers(&again, &entry), "%s",
            rows[i].text);
    }
    release(text);
  }
}

/* 1,024 bytes, both as given and canonical. */
static void entries_at_their_limits_are_read(void **state) {
  (void)state;
  st_entry entry;
  for (size_t len = 1023; len <= 1025; len++) {
    subtoken_fault want = len <= 1024 ? SUBTOKEN_FAULT_NONE : SUBTOKEN_FAULT_TOO_LONG;
    subtoken_text plain = repeated("/", 'a', len - 1);
    CHECK(st_paths_read_entry(plain, &entry) == want, "%zu", len);
    release(plain);
    subtoken_text method = repeated("GET:/", 'a', len - 5);
    CHECK(st_paths_read_entry(method, &entry) == want, "%zu", len);
    release(method);
    subtoken_text wild = repeated("/", 'a', len - 1);
    char *bytes = (char *)(uintptr_t)wild.data;
    bytes[len - 1] = '*';
    bytes[len - 2] = '/';
    CHECK(st_paths_read_entry(wild, &entry) == want, "%zu", len);
    if (want == SUBTOKEN_FAULT_NONE) {
      char out[SUBTOKEN_URL_MAX + 1];
      st_writer writer = st_writer_on(out, sizeof out);
      st_paths_write_entry(&writer, &entry);
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
  assert_int_equal(st_paths_read_entry((subtoken_text){text, writer.len}, &entry),
                   SUBTOKEN_FAULT_TOO_LONG);
  assert_int_equal(st_paths_read_entry((subtoken_text){text, writer.len - 3}, &entry),
                   SUBTOKEN_FAULT_NONE);
}

static uint8_t this_cpu;

/* A target, read by both kinds of processor, is what the plain reading says. */
static bool target_holds(const char *text, size_t len) {
  static plain_path plain;
  static st_path path;
  subtoken_text target = exact(text, len);
  subtoken_fault want = plain_target(text, len, &plain);
  for (int twice = 0; twice < 2; twice++) {
    subtoken_fault got = st_paths_read_target_by(twice == 0 ? 0 : this_cpu, target, &path);
    CHECK(got == want, "%.*s: %s, not %s", (int)len, text, subtoken_fault_name(got),
          subtoken_fault_name(want));
    if (want != SUBTOKEN_FAULT_NONE) continue;
    CHECK(path.len == plain.len && memcmp(path.bytes, plain.bytes, plain.len) == 0, "%.*s: %.*s",
          (int)len, text, (int)path.len, path.bytes);
  }
  release(target);
  return want == SUBTOKEN_FAULT_NONE;
}

/* And an entry; a prefix that is accepted is an entry, and no shorter one is. */
static bool entry_holds(const char *text, size_t len) {
  static plain_entry plain;
  static st_entry entry;
  subtoken_text given = exact(text, len);
  subtoken_fault want = plain_entry_read(text, len, &plain),
                 got = st_paths_read_entry(given, &entry);
  CHECK(got == want && st_paths_check_entry(given) == want, "%.*s: %s, not %s", (int)len, text,
        subtoken_fault_name(got), subtoken_fault_name(want));
  if (want == SUBTOKEN_FAULT_NONE) {
    CHECK(entry.wild == plain.wild && entry.method.len == plain.method_len &&
              (plain.method_len == 0 ||
               memcmp(entry.method.data, plain.method, plain.method_len) == 0),
          "%.*s", (int)len, text);
    CHECK(plain_is(&plain, entry.path.bytes, entry.path.len, ST_PATH_ANY), "%.*s", (int)len, text);
  }
  size_t passed = st_paths_scan_entry(0, given);
  CHECK(passed == st_paths_scan_entry(this_cpu, given), "%.*s: %zu", (int)len, text, passed);
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
static void the_scan_agrees_on_all_short_paths(void **state) {
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
static void the_scan_agrees_on_mutated_paths(void **state) {
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

static void the_scan_agrees_on_random_paths(void **state) {
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
static void the_scan_agrees_on_long_paths(void **state) {
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

static int setup(void **state) {
  (void)state;
  this_cpu = st_cpu_features();
  if (this_cpu == 0) print_message("this processor has no SSE4.1: only plain C is tested\n");
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_target_is_read_in_one_way_or_refused),
      cmocka_unit_test(each_byte_is_allowed_or_refused),
      cmocka_unit_test(targets_at_their_limits_are_read),
      cmocka_unit_test(an_entry_is_canonical_or_refused),
      cmocka_unit_test(entries_at_their_limits_are_read),
      cmocka_unit_test(the_scan_agrees_on_all_short_paths),
      cmocka_unit_test(the_scan_agrees_on_mutated_paths),
      cmocka_unit_test(the_scan_agrees_on_random_paths),
      cmocka_unit_test(the_scan_agrees_on_long_paths),
  };
  return cmocka_run_group_tests_name("paths", tests, setup, NULL);
}
