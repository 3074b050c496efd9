/* What is read of an entry of the allowlist: method, path, stars, and its canonical text; the first
 * and last of each range, on the quick way and on the other. Requests against entries:
 * test_paths_match.c.
 */
#include "base/cpu.h"
#include "core/paths.h"
#include "support.h"

typedef struct row {
  const char *text;
  const char *canonical; /* NULL: refused */
  const char *method;
  bool wild, pattern;
  subtoken_fault fault;
} row;

#define GOOD(text, canonical, method, wild, pattern) \
  { text, canonical, method, wild, pattern, SUBTOKEN_FAULT_NONE }
#define BAD(text, fault) \
  { text, NULL, "", false, false, SUBTOKEN_FAULT_##fault }

static const row rows[] = {
    GOOD("/", "/", "", false, false),
    GOOD("/a", "/a", "", false, false),
    GOOD("/*", "/*", "", true, false),
    GOOD("/a/*", "/a/*", "", true, false),
    GOOD("/*/a", "/*/a", "", false, true),
    GOOD("/*/*", "/*/*", "", true, true),
    GOOD("/a/*/b/*/c", "/a/*/b/*/c", "", false, true),
    GOOD("/*/a/*", "/*/a/*", "", true, true),
    GOOD("A:/a", "A:/a", "A", false, false),
    GOOD("Z:/", "Z:/", "Z", false, false),
    GOOD("AZ:/a/*", "AZ:/a/*", "AZ", true, false),
    GOOD("GET:/*/b", "GET:/*/b", "GET", false, true),
    GOOD("/%41%5a%7E", "/AZ~", "", false, false),
    GOOD("/a%2Ab", "/a%2Ab", "", false, false), /* a star as data */
    /* A dot in front takes the way that is not quick, on which all else means the same. */
    GOOD("/.a", "/.a", "", false, false),
    GOOD("/.a/*", "/.a/*", "", true, false),
    GOOD("/*/.a/b", "/*/.a/b", "", false, true),
    GOOD("/.a/*/b/*", "/.a/*/b/*", "", true, true),
    GOOD("A:/.a", "A:/.a", "A", false, false),
    GOOD("Z:/.a/*", "Z:/.a/*", "Z", true, false),
    GOOD("GET:/.a/*/b/*", "GET:/.a/*/b/*", "GET", true, true),
    GOOD("POST:/*/.a", "POST:/*/.a", "POST", false, true),
    GOOD("/.%41%2a%7e", "/.A%2A~", "", false, false),
    GOOD("/.%C3%A9%C2%A0", "/.%C3%A9%C2%A0", "", false, false),
    GOOD("/.a/", "/.a/", "", false, false),
    GOOD("/.a:b", "/.a:b", "", false, false),
    BAD("/.a%C2%9F", ENCODED_CONTROL),
    BAD("/.a%C2%80", ENCODED_CONTROL),
    BAD("/.a%C3", BAD_UTF8),
    BAD("/.a%C3/%A9", BAD_UTF8),
    BAD("/.a%", BAD_ESCAPE),
    BAD("/.a*", STAR),
    BAD("/.a//b", EMPTY_SEGMENT),
    BAD("/.", DOT_SEGMENT),
    BAD("/%20", DOT_SEGMENT),
    BAD("/. ", BAD_CHAR),
    BAD("GET:/..", DOT_SEGMENT),
    BAD("get:/.a", METHOD),
    BAD("@:/.a", METHOD),
    BAD("[:/.a", METHOD),
    BAD(":/.a", METHOD),
    BAD("GET:.a", NOT_ORIGIN_FORM),
    BAD("GET://.a", NOT_ORIGIN_FORM),
    BAD("/\xC3\xA9", BAD_CHAR),
    GOOD("/%C3%A9/%e2%82%AC/%F0%9F%98%80", "/%C3%A9/%E2%82%AC/%F0%9F%98%80", "", false, false),
    GOOD("/*/%C3%A9/*", "/*/%C3%A9/*", "", true, true),
    GOOD("GET:/%C3%A9", "GET:/%C3%A9", "GET", false, false),
    GOOD("/%C2%A0", "/%C2%A0", "", false, false), /* the first that is no control */
    BAD("/%C2%80", ENCODED_CONTROL),
    BAD("/%C2%9F", ENCODED_CONTROL),
    BAD("/%1F", ENCODED_CONTROL),
    BAD("/%7F", ENCODED_CONTROL),
    BAD("@:/a", METHOD),
    BAD("[:/a", METHOD),
    BAD("a:/a", METHOD),
    BAD("GeT:/a", METHOD),
    BAD(":/a", METHOD),
    BAD("GET:", NOT_ORIGIN_FORM),
    BAD("GET:a", NOT_ORIGIN_FORM),
    BAD("GET://a", NOT_ORIGIN_FORM),
    BAD("https://a/b", NOT_ORIGIN_FORM),
    BAD("GETx/a", NOT_ORIGIN_FORM), /* no colon behind the method */
    BAD("GET;/a", NOT_ORIGIN_FORM),
    BAD("GET/a", NOT_ORIGIN_FORM),
    BAD("/a*", STAR),
    BAD("/*a", STAR),
    BAD("/*a/b", STAR),
    BAD("/a*/b", STAR),
    BAD("/**", STAR),
    BAD("/*/**", STAR),
    BAD("/a/*b/*", STAR),
    BAD("/a?", QUERY_IN_ENTRY),
    BAD("/*?x", STAR),
    BAD("/a#", QUERY_IN_ENTRY),
};

static void entries_are_read_as_they_are_meant(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    st_entry entry;
    memset(&entry, 0xA9, sizeof entry); /* so that a character could go on behind the end */
    subtoken_fault fault = st_paths_read_entry(text, &entry);
    CHECK(fault == rows[i].fault, "%s: %d", rows[i].text, (int)fault);
    CHECK(st_paths_check_entry(text) == rows[i].fault, "%s", rows[i].text);
    if (rows[i].canonical != NULL) {
      char out[64];
      st_writer writer = st_writer_on(out, sizeof out);
      CHECK(st_text_is(entry.method, rows[i].method), "%s", rows[i].text);
      CHECK(entry.wild == rows[i].wild, "%s", rows[i].text);
      CHECK(entry.pattern == rows[i].pattern, "%s", rows[i].text);
      st_paths_write_entry(&writer, &entry);
      CHECK(st_writer_end(&writer) && strcmp(out, rows[i].canonical) == 0, "%s: %s", rows[i].text,
            out);
    }
    release(text);
  }
}

/* What the scan accepts up to its end is an entry; of what is plain it takes all. */
static void the_scan_takes_what_is_plain(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t len;
  } scans[] = {
      {"", 0},
      {"a", 0},
      {"/", 1},
      {"/a", 2},
      {"/a/b", 4},
      {"/a//b", 2},
      {"/a/../b", 2},
      {"/*", 2},
      {"/a/*", 4},
      {"/*/b", 4},
      {"/*a", 2},
      {"/a*", 2},
      {"A:/a", 4},
      {"Z:/a", 4},
      {"@:/a", 0},
      {"[:/a", 0},
      {"GET", 0},
      {"GET:", 0},
      {":/a", 0},
      {"/%41", 4},
      {"/%C3%A9z", 8},
      {"/%C2%80", 0},
      {"/%C2%A0", 7},
      {"/%2F", 0},
      {"/%zz", 0},
      {"/a%4", 2},
      {"/%E2%82%AC", 10},
      {"/%E2%82", 0},
      {"/%F0%9F%98%80", 13},
      {"/%F0%9F%98%80%41", 16},
      {"/%F0%9F%98%80%C3%A9", 19},
      {"/a?b", 2},
      {"/abcdefghijklmnopq", 18},
  };
  for (size_t i = 0; i < COUNT(scans); i++) {
    subtoken_text text = exact_string(scans[i].text);
    size_t len = st_paths_scan_entry(0, text);
    CHECK(len == scans[i].len, "%s: %zu", scans[i].text, len);
    CHECK(st_paths_scan_entry(st_cpu_features(), text) == len, "%s", scans[i].text);
    release(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_are_read_as_they_are_meant),
      cmocka_unit_test(the_scan_takes_what_is_plain),
  };
  return cmocka_run_group_tests_name("paths_entry", tests, NULL, NULL);
}
