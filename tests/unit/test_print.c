/* What commands print: nothing that a terminal would obey. */
#include "support.h"

#include "base/json.h"
#include "cli/print.h"

static const char *print(void (*how)(FILE *out, subtoken_text text), subtoken_text text) {
  static char out[8192];
  FILE *file = tmpfile();
  assert_non_null(file);
  how(file, text);
  rewind(file);
  out[fread(out, 1, sizeof out - 1, file)] = '\0';
  fclose(file);
  return out;
}

static void control_characters_are_escaped(void **state) {
  (void)state;
  static const struct {
    const char *text, *shown;
  } rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"Zo\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80", "Zo\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80"},
      {"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"},
      {"a\nb\rc\td\x08", "a\\x0ab\\x0dc\\x09d\\x08"},
      {"\x7F", "\\x7f"},
      {"\xC2\x9B"
       "31m",
       "\\xc2\\x9b31m"}, /* C1's CSI, which some terminals obey */
      {"\xC2\xA0", "\xC2\xA0"},
      {"\x9B"
       "31m",
       "\\x9b31m"},
      {"\xFF\xC3", "\\xff\\xc3"},
      {"\xC0\xAF", "\\xc0\\xaf"},
      {"\xED\xA0\x80", "\\xed\\xa0\\x80"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    const char *shown = print(st_print_text, text);
    CHECK(strcmp(shown, rows[i].shown) == 0, "row %zu: %s", i, shown);
    release(text);
  }
  assert_string_equal(print(st_print_text, (subtoken_text){"a\0b", 3}), "a\\x00b");
}

/* No byte of any kind reaches a terminal that would obey it. */
static void no_bytes_reach_a_terminal_that_obeys_them(void **state) {
  (void)state;
  uint64_t seed = 6;
  for (int i = 0; i < 500; i++) {
    char bytes[64];
    for (size_t j = 0; j < sizeof bytes; j++) bytes[j] = (char)random_next(&seed);
    const char *shown = print(st_print_text, (subtoken_text){bytes, sizeof bytes});
    assert_true(st_utf8_valid(st_text(shown)));
    for (; *shown != '\0'; shown++) assert_true((uint8_t)*shown >= 0x20 && *shown != 0x7F);
  }
}

static void json_is_read_back_as_it_was(void **state) {
  (void)state;
  static const char *const rows[] = {"", "plain", "\"\\/\n\t\x01\x1b[31m\x7F",
                                     "Zo\xC3\xAB \xF0\x9F\x98\x80"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text value_read, text = exact_string(rows[i]);
    char shown[256];
    snprintf(shown, sizeof shown, "%s", print(st_print_json, text));
    st_json json;
    st_json_start(&json, shown, strlen(shown));
    CHECK(st_json_string(&json, &value_read) && st_json_end(&json), "row %zu", i);
    CHECK(st_text_is(value_read, rows[i]), "row %zu: %s", i, shown);
    release(text);
  }
  assert_null(strchr(print(st_print_json, st_text("\x1b\x7F")), '\x1b'));
}

static void print_list(FILE *out, subtoken_text text) {
  st_print_list_json(out, text.data);
}

static void a_list_is_printed_as_an_array(void **state) {
  (void)state;
  assert_string_equal(print(print_list, st_text("")), "[]");
  assert_string_equal(print(print_list, st_text("a")), "[\"a\"]");
  assert_string_equal(print(print_list, st_text("a,b c,d")), "[\"a\",\"b c\",\"d\"]");
}

static void a_time_is_printed_in_utc(void **state) {
  (void)state;
  FILE *file = tmpfile();
  char out[100];
  st_print_time(file, NOW);
  rewind(file);
  out[fread(out, 1, sizeof out - 1, file)] = '\0';
  fclose(file);
  assert_string_equal(out, "2023-11-14T22:13:20Z");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(control_characters_are_escaped),
      cmocka_unit_test(no_bytes_reach_a_terminal_that_obeys_them),
      cmocka_unit_test(json_is_read_back_as_it_was),
      cmocka_unit_test(a_list_is_printed_as_an_array),
      cmocka_unit_test(a_time_is_printed_in_utc),
  };
  return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
