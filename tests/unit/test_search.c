/* Text in text, whatever the case of letters, and whatever the bytes are. */
#include "support.h"

#include "domain/search.h"
#include "domain/store_search.h"

static bool finds(const char *text, const char *in) {
  st_search search;
  subtoken_text exact = exact_string(text);
  char *copy = strdup(in);
  assert_true(st_search_start(&search, exact));
  bool found = st_search_finds(&search, copy);
  release(exact);
  free(copy);
  return found;
}

static void case_of_letters_does_not_count(void **state) {
  (void)state;
  static const char *const same[][2] = {
      {"abcxyz", "ABCXYZ"}, {"àéîõüÿþ", "ÀÉÎÕÜŸÞ"},         {"āďżž", "ĀĎŻŽ"},
      {"ŉŋœ", "ŉŊŒ"},       {"αβγωάέήίόύώ", "ΑΒΓΩΆΈΉΊΌΎΏ"}, {"οδος", "ΟΔΟΣ"},
      {"абвёжя", "АБВЁЖЯ"}, {"ѐєіїџґ", "ЀЄІЇЏҐ"},           {"ӂӏӓ", "ӁӀӒ"},
  };
  for (size_t i = 0; i < COUNT(same); i++) {
    CHECK(finds(same[i][0], same[i][1]) && finds(same[i][1], same[i][0]), "%s", same[i][0]);
  }
  static const char *const others[][2] = {{"a", "b"}, {"[", "{"}, {"@", "`"},
                                          {"×", "÷"}, {"ı", "i"}, {"ß", "ss"},
                                          {"а", "a"}, {"ÿ", "þ"}, {"т", "€"}};
  for (size_t i = 0; i < COUNT(others); i++) {
    CHECK(!finds(others[i][0], others[i][1]), "%s", others[i][0]);
  }
}

static void write_two_bytes(char out[3], unsigned c) {
  out[0] = (char)(0xC0 | c >> 6);
  out[1] = (char)(0x80 | (c & 0x3F));
  out[2] = '\0';
}

/* Letters that end in the same byte; of these, two are the lower case of another: ό and ώ. */
static void letters_are_told_apart(void **state) {
  (void)state;
  char text[3], in[3];
  for (unsigned c = 0x80; c < 0x800; c++) {
    st_search search;
    write_two_bytes(text, c);
    assert_true(st_search_start(&search, st_text(text)));
    for (unsigned d = 0x80 + c % 64; d < 0x800; d += 64) {
      write_two_bytes(in, d);
      bool same = c == d || (c == 0x38C && d == 0x3CC) || (c == 0x3CC && d == 0x38C);
      CHECK(st_search_finds(&search, in) == same, "%x in %x", c, d);
    }
  }
}

static void text_is_found_anywhere(void **state) {
  (void)state;
  assert_true(finds("", "") && finds("", "a") && finds("b", "abc") && finds("C", "abc"));
  assert_false(finds("abcd", "abc") || finds("a", ""));
  st_search search;
  assert_true(st_search_start(&search, ST_TEXT("Ab")));
  assert_true(st_search_begins(&search, "aBc") && st_search_begins(&search, "AB"));
  assert_false(st_search_begins(&search, "a") || st_search_begins(&search, "cab"));
  assert_false(st_search_begins(&search, "") || st_search_finds(&search, "a"));
}

/* Keys that expire soon come in that order, but not those of one owner or audience. */
static void only_all_keys_come_in_the_order_in_which_they_expire(void **state) {
  (void)state;
  static const struct {
    st_key_filter filter;
    bool want;
  } rows[] = {{{.expires_until = NOW}, true},
              {{.expires_until = 0}, false},
              {{.expires_until = NOW, .owner = "alice"}, false},
              {{.expires_until = NOW, .audience = "web"}, false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_key_filter_is_by_expiry(&rows[i].filter) == rows[i].want, "row %zu", i);
  }
}

/* No length changes: what is not UTF-8 stays as it is. */
static void any_bytes_are_taken(void **state) {
  (void)state;
  char text[ST_NAME_MAX + 2];
  st_search search;
  for (unsigned seed = 1; seed < 2000; seed++) {
    size_t len = seed % ST_NAME_MAX;
    for (size_t i = 0; i < len; i++) text[i] = (char)(1 + (seed * 2654435761U >> (i % 24)) % 255);
    text[len] = '\0';
    assert_true(st_search_start(&search, (subtoken_text){text, len}));
    assert_true(st_search_finds(&search, text) && st_search_begins(&search, text));
  }
  memset(text, 'a', sizeof text);
  text[ST_NAME_MAX] = '\0';
  assert_true(st_search_start(&search, st_text(text)) && st_search_finds(&search, text));
  text[ST_NAME_MAX] = 'a';
  assert_false(st_search_start(&search, (subtoken_text){text, ST_NAME_MAX + 1}));
  assert_int_equal(search.len, 0);
  assert_true(finds("ab\xC3", "ab\xC3"));
  /* What follows in memory is none of the text, though both were another letter together. */
  assert_true(st_search_start(&search, (subtoken_text){"a\xD0\xA0", 2}));
  assert_true(st_search_finds(&search, "a\xD0"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_all_keys_come_in_the_order_in_which_they_expire),
      cmocka_unit_test(case_of_letters_does_not_count),
      cmocka_unit_test(letters_are_told_apart),
      cmocka_unit_test(text_is_found_anywhere),
      cmocka_unit_test(any_bytes_are_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
