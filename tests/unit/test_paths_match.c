/* paths_match: entries against targets, and entries against each other. */
#include "base/cpu.h"
#include "core/paths.h"

#include "plain_path.h"
#include "support.h"

static uint8_t this_cpu;

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
      {"/v2/accounts/*/c", "GET", "/v2/accounts/b/c", true},
      {"/v2/accounts/*/c", "GET", "/v2/accounts/b/d", false},
      {"/a/b", "GET", "/a/b/b", false},
      {"/a", "GET", "/b", false},
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
    assert_int_equal(st_paths_read_entry(text, &entry), 0);
    assert_int_equal(st_paths_read_target(target, &path), 0);
    CHECK(st_paths_match_entry(&entry, st_text(rows[i].method), &path) == rows[i].match,
          "%s %s under %s", rows[i].method, rows[i].target, rows[i].entry);
    CHECK(st_paths_match_text(text, st_text(rows[i].method), &path) == rows[i].match,
          "%s %s under the text %s", rows[i].method, rows[i].target, rows[i].entry);
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
      {"G:/a", "/a", false},
      {"G:/a", "G:/a", true},
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
    assert_int_equal(st_paths_read_entry(a, &outer), 0);
    assert_int_equal(st_paths_read_entry(b, &inner), 0);
    CHECK(st_paths_match_covers(&outer, &inner) == rows[i].covers, "%s over %s", rows[i].outer,
          rows[i].inner);
    release(a);
    release(b);
  }
}

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

static void all_entries_and_targets_agree_with_the_plain_reader(void **state) {
  (void)state;
  static const char *const methods[] = {"", "GET", "HEAD", "POST", "get", "G", "GETS"};
  static st_entry entry, other;
  static st_path path;
  size_t entry_count, target_count, matched = 0, covered = 0;
  named *some = list_of(&entry_count, true), *all = list_of(&target_count, false);
  for (size_t i = 0; i < entry_count; i++) {
    assert_int_equal(st_paths_read_entry(some[i].text, &entry), SUBTOKEN_FAULT_NONE);
    for (size_t j = 0; j < target_count; j++) {
      assert_int_equal(st_paths_read_target_by(j % 2 == 0 ? 0 : this_cpu, all[j].text, &path), 0);
      for (size_t m = 0; m < COUNT(methods); m++) {
        subtoken_text method = st_text(methods[m]);
        bool want = plain_matches(&some[i].plain, method.data, method.len, &all[j].path);
        CHECK(st_paths_match_entry(&entry, method, &path) == want, "%s %.*s under %.*s: not %d",
              methods[m], (int)all[j].text.len, all[j].text.data, (int)some[i].text.len,
              some[i].text.data, want);
        CHECK(st_paths_match_text(some[i].text, method, &path) == want,
              "%s %.*s under the text %.*s: not %d", methods[m], (int)all[j].text.len,
              all[j].text.data, (int)some[i].text.len, some[i].text.data, want);
        matched += want;
      }
    }
    for (size_t j = 0; j < entry_count; j++) {
      assert_int_equal(st_paths_read_entry(some[j].text, &other), SUBTOKEN_FAULT_NONE);
      bool want = plain_covers(&some[i].plain, &some[j].plain);
      CHECK(st_paths_match_covers(&entry, &other) == want, "%.*s over %.*s: not %d",
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

static int setup(void **state) {
  (void)state;
  this_cpu = st_cpu_features();
  if (this_cpu == 0) print_message("this processor has no SSE4.1: only plain C is tested\n");
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_match_segment_by_segment),
      cmocka_unit_test(an_entry_covers_what_it_matches),
      cmocka_unit_test(all_entries_and_targets_agree_with_the_plain_reader),
  };
  return cmocka_run_group_tests_name("paths_match", tests, setup, NULL);
}
