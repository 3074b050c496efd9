#include "support.h"

static void texts_are_equal_byte_for_byte(void **state) {
  (void)state;
  assert_true(st_text_equal((subtoken_text){NULL, 0}, ST_TEXT("")));
  assert_true(st_text_equal(ST_TEXT("ab"), ST_TEXT("ab")));
  assert_false(st_text_equal(ST_TEXT("ab"), ST_TEXT("abc")));
  assert_false(st_text_equal(ST_TEXT("ab"), ST_TEXT("aB")));
  assert_true(st_text_equal(ST_TEXT("a\0b"), ST_TEXT("a\0b")));
  assert_false(st_text_equal(ST_TEXT("a\0b"), ST_TEXT("a\0c")));
}

static void a_text_is_compared_with_a_string(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t len;
    const char *string;
    bool is, nocase;
  } rows[] = {
      {"", 0, "", true, true},
      {"a", 1, "", false, false},
      {"", 0, "a", false, false},
      {"GET", 3, "GET", true, true},
      {"get", 3, "GET", false, true},
      {"GE", 2, "GET", false, false},
      {"GETS", 4, "GET", false, false},
      {"GET\0", 4, "GET", false, false},
      {"X-API", 5, "x-api", false, true},
      {"[", 1, "{", false, false},
      {"@", 1, "`", false, false},
      {"AZ", 2, "az", false, true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact(rows[i].text, rows[i].len);
    CHECK(st_text_is(text, rows[i].string) == rows[i].is, "row %zu", i);
    CHECK(st_text_is_nocase(text, rows[i].string) == rows[i].nocase, "row %zu", i);
    release(text);
  }
}

/* Four characters at a time, or one: the same as one after the other. */
static void classes_of_texts_are_those_of_their_characters(void **state) {
  (void)state;
  assert_int_equal(st_text_class(ST_TEXT("")), 0xFF);
  assert_int_equal(st_text_class(ST_TEXT("a")), st_class_of('a'));
  assert_int_equal(st_text_class(ST_TEXT("a/")), st_class_of('a') & st_class_of('/'));
  assert_int_equal(st_text_class(ST_TEXT("a\x01")), 0);
  for (size_t len = 0; len < 14; len++) {
    for (size_t odd = 0; odd <= len; odd++) {
      subtoken_text text = repeated("", 'a', len);
      if (odd < len) ((char *)(uintptr_t)text.data)[odd] = '"';
      CHECK(st_text_span(text, ST_CHAR_SEGMENT) == odd, "%zu of %zu", odd, len);
      CHECK(st_text_span(text, 0) == 0, "%zu of %zu", odd, len);
      release(text);
    }
  }
}

static void a_list_is_cut_at_its_separators(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t count;
    const char *pieces[4];
  } rows[] = {
      {"", 1, {""}},
      {"a", 1, {"a"}},
      {",", 2, {"", ""}},
      {"a,b", 2, {"a", "b"}},
      {"a,", 2, {"a", ""}},
      {",a", 2, {"", "a"}},
      {"a,,b", 3, {"a", "", "b"}},
      {",,,", 4, {"", "", "", ""}},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text), piece;
    st_cutter cutter = {text, false};
    size_t count = 0;
    while (st_cut(&cutter, ',', &piece)) {
      CHECK(count < rows[i].count && st_text_is(piece, rows[i].pieces[count]), "row %zu", i);
      count++;
    }
    CHECK(count == rows[i].count, "row %zu: %zu pieces", i, count);
    assert_false(st_cut(&cutter, ',', &piece));
    release(text);
  }
}

/* D3 */
static void items_lose_spaces_and_tabs(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t count;
    const char *items[4];
  } rows[] = {
      {"", 1, {""}},
      {" \t ", 1, {""}},
      {"a, b", 2, {"a", "b"}},
      {"\ta\t ,  b c , \t,d", 4, {"a", "b c", "", "d"}},
      {"a\n,\rb", 2, {"a\n", "\rb"}}, /* spaces and tabs alone */
      {"a,b ", 2, {"a", "b"}},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text), item;
    st_cutter cutter = {text, false};
    size_t count = 0;
    while (st_cut_item(&cutter, &item)) {
      CHECK(count < rows[i].count && st_text_is(item, rows[i].items[count]), "row %zu", i);
      count++;
    }
    CHECK(count == rows[i].count, "row %zu: %zu items", i, count);
    release(text);
  }
}

static void a_writer_remembers_an_overflow(void **state) {
  (void)state;
  char *out = malloc(4);
  assert_non_null(out);
  st_writer writer = st_writer_on(out, 4);
  st_write_literal(&writer, "abc");
  assert_true(st_writer_end(&writer));
  assert_int_equal(writer.len, 3);
  assert_string_equal(out, "abc");

  /* Four bytes fit, but not with the NUL. */
  writer = st_writer_on(out, 4);
  st_write_view(&writer, ST_TEXT("abcd"));
  assert_false(writer.overflow);
  assert_false(st_writer_end(&writer));
  assert_string_equal(out, "");

  /* Once over, nothing more is written, even what would fit. */
  writer = st_writer_on(out, 4);
  st_write_view(&writer, ST_TEXT("ab"));
  st_write_view(&writer, ST_TEXT("cde"));
  st_write_char(&writer, 'x');
  st_write_int(&writer, 1);
  assert_true(writer.overflow);
  assert_int_equal(writer.len, 2);
  assert_false(st_writer_end(&writer));

  writer = st_writer_on(out, 4);
  st_write(&writer, "x", SIZE_MAX); /* no sum wraps around */
  assert_true(writer.overflow);
  free(out);

  writer = st_writer_on(NULL, 0);
  st_write_view(&writer, ST_TEXT(""));
  assert_false(writer.overflow);
  assert_false(st_writer_end(&writer));
  assert_true(writer.overflow); /* who looks only here is told, too */

  char one[1] = {'x'};
  writer = st_writer_on(one, sizeof one);
  st_write_char(&writer, 'a');
  assert_false(st_writer_end(&writer));
  assert_int_equal(one[0], 0);
}

static void a_truncated_text_is_cut_anywhere(void **state) {
  (void)state;
  char out[5];
  st_writer writer = st_writer_on(out, 4);
  st_write_truncated(&writer, "");
  st_write_truncated(&writer, "ab");
  assert_true(writer.len == 2 && !writer.overflow);
  st_write_truncated(&writer, "cdef");
  st_write_truncated(&writer, "g");
  assert_true(writer.len == 4 && writer.overflow);
  assert_memory_equal(out, "abcd", 4);
}

static void integers_are_written_as_printf_does(void **state) {
  (void)state;
  static const int64_t values[] = {
      0, 1, -1, 9, 10, 99, 100, -100, 1700000000, SUBTOKEN_TIME_MAX, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < COUNT(values); i++) {
    char out[24], want[24];
    st_writer writer = st_writer_on(out, sizeof out);
    st_write_int(&writer, values[i]);
    assert_true(st_writer_end(&writer));
    snprintf(want, sizeof want, "%lld", (long long)values[i]);
    assert_string_equal(out, want);
  }
  char small[2];
  st_writer writer = st_writer_on(small, sizeof small);
  st_write_int(&writer, 100);
  assert_true(writer.overflow);
}

static void secrets_are_compared_and_wiped(void **state) {
  (void)state;
  uint8_t a[32], b[32];
  for (size_t i = 0; i < sizeof a; i++) a[i] = b[i] = (uint8_t)(i * 7);
  assert_true(st_equal_secret(a, b, sizeof a));
  assert_true(st_equal_secret(a, b, 0));
  for (size_t i = 0; i < sizeof a; i++) {
    for (unsigned bit = 0; bit < 8; bit++) {
      b[i] = (uint8_t)(b[i] ^ 1U << bit);
      assert_false(st_equal_secret(a, b, sizeof a));
      b[i] = a[i];
    }
  }
  /* Of any length, whether it is a multiple of a word or not. */
  for (size_t len = 1; len < sizeof a; len++) {
    assert_true(st_equal_secret(a, b, len));
    for (size_t i = 0; i < sizeof a; i++) {
      b[i] = (uint8_t)~b[i];
      CHECK(st_equal_secret(a, b, len) == (i >= len), "%zu bytes, byte %zu", len, i);
      b[i] = a[i];
    }
  }
  subtoken_wipe(a + 1, sizeof a - 2);
  assert_int_equal(a[31], 31 * 7);
  for (size_t i = 1; i < 31; i++) assert_int_equal(a[i], 0);
  subtoken_wipe(NULL, 0);
}

static void hex_digits_have_their_values(void **state) {
  (void)state;
  static const char digits[] = "0123456789abcdef0123456789ABCDEF";
  int good = 0;
  for (int c = 0; c < 256; c++) {
    const char *at = c == 0 ? NULL : strchr(digits, c);
    assert_int_equal(st_hex_value((char)c), at == NULL ? -1 : (at - digits) % 16);
    good += at != NULL;
  }
  assert_int_equal(good, 22);
}

static void utf8_is_decoded_or_refused(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t len;
    size_t step;
    uint32_t code;
  } rows[] = {
      {"a", 1, 1, 'a'},
      {"\0", 1, 1, 0},
      {"\x7F", 1, 1, 0x7F},
      {"\xC2\x80", 2, 2, 0x80},
      {"\xDF\xBF", 2, 2, 0x7FF},
      {"\xE0\xA0\x80", 3, 3, 0x800},
      {"\xED\x9F\xBF", 3, 3, 0xD7FF},
      {"\xEE\x80\x80", 3, 3, 0xE000},
      {"\xEF\xBF\xBF", 3, 3, 0xFFFF},
      {"\xF0\x90\x80\x80", 4, 4, 0x10000},
      {"\xF4\x8F\xBF\xBF", 4, 4, 0x10FFFF},
      {"", 0, 0, 0},
      {"\x80", 1, 0, 0}, /* a tail without a head */
      {"\xBF", 1, 0, 0},
      {"\xC0\x80", 2, 0, 0}, /* NUL in two bytes */
      {"\xC1\xBF", 2, 0, 0}, /* overlong */
      {"\xE0\x9F\xBF", 3, 0, 0},
      {"\xF0\x8F\xBF\xBF", 4, 0, 0},
      {"\xED\xA0\x80", 3, 0, 0}, /* surrogates */
      {"\xED\xBF\xBF", 3, 0, 0},
      {"\xF4\x90\x80\x80", 4, 0, 0}, /* past U+10FFFF */
      {"\xF5\x80\x80\x80", 4, 0, 0},
      {"\xF8\x90\x80\x80", 4, 0, 0},
      {"\xFC\xBF\x80\x80", 4, 0, 0},
      {"\xFF", 1, 0, 0},
      {"\xFE", 1, 0, 0},
      {"\xC2", 1, 0, 0}, /* cut short */
      {"\xE2\x82", 2, 0, 0},
      {"\xF0\x90\x80", 3, 0, 0},
      {"\xC2\x41", 2, 0, 0}, /* a head without its tail */
      {"\xE2\x82\x41", 3, 0, 0},
      {"\xF0\x90\x80\xC0", 4, 0, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact(rows[i].bytes, rows[i].len);
    uint32_t code = 'A';
    CHECK(st_utf8_next(text.data, text.len, &code) == rows[i].step, "row %zu", i);
    if (rows[i].step > 0) CHECK(code == rows[i].code, "row %zu", i);
    CHECK(st_utf8_valid(text) == (rows[i].step == text.len), "row %zu", i);
    release(text);
  }
  assert_int_equal(st_utf8_next("a", 0, &(uint32_t){0}), 0);
}

static void a_text_is_utf8_when_all_of_it_is(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool valid;
  } rows[] = {
      {"", true},
      {"abc", true},
      {"\xC3\xA9\xE2\x82\xAC!", true},
      {"ab\xFF", false},
      {"\xC3\xA9\xC3", false},
      {"a\x80z", false},
      {"ab\xE2\x82", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    CHECK(st_utf8_valid(text) == rows[i].valid, "row %zu", i);
    release(text);
  }
}

/* Each first and last of a range, and what stands beside it. */
static void controls_are_told_from_letters(void **state) {
  (void)state;
  static const struct {
    uint32_t first, last;
  } controls[] = {{0, 0x1F},        {0x7F, 0x9F},     {0x61C, 0x61C},
                  {0x200E, 0x200F}, {0x202A, 0x202E}, {0x2066, 0x2069}};
  for (uint32_t code = 0; code <= 0x10FFFF; code++) {
    bool control = false;
    for (size_t i = 0; i < COUNT(controls); i++) {
      control |= code >= controls[i].first && code <= controls[i].last;
    }
    CHECK(st_utf8_is_control(code) == control, "U+%04X", code);
  }
}

static void what_cannot_be_shown_is_written_escaped(void **state) {
  (void)state;
  static const struct {
    const char *text, *want;
  } rows[] = {
      {"", ""},
      {"plain text", "plain text"},
      {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80.", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80."},
      {"a\nb", "a\\x0ab"},
      {"\x1B[31m", "\\x1b[31m"},
      {"\x7F", "\\x7f"},
      {"\xC2\x9Bz", "\\xc2\\x9bz"},          /* C1 */
      {"\xE2\x80\xAEz", "\\xe2\\x80\\xaez"}, /* right to left from here */
      {"\xFFz\xC3", "\\xffz\\xc3"},          /* not UTF-8 */
      {"\xED\xA0\x80", "\\xed\\xa0\\x80"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    char out[64];
    st_writer writer = st_writer_on(out, sizeof out);
    st_write_escaped(&writer, text);
    CHECK(st_writer_end(&writer) && strcmp(out, rows[i].want) == 0, "row %zu: %s", i, out);
    release(text);
  }
}

/* Each code point has one spelling, and of all two- and three-byte texts no more
 * are sequences than there are code points of that length. */
static void all_of_utf8_agrees_with_a_plain_decoder(void **state) {
  (void)state;
  size_t two = 0, three = 0;
  uint32_t code;
  for (unsigned a = 0x80; a < 256; a++) {
    for (unsigned b = 0; b < 256; b++) {
      char text[3] = {(char)a, (char)b, 0};
      two += st_utf8_next(text, 2, &code) == 2;
      for (unsigned c = 0; c < 256; c++) {
        text[2] = (char)c;
        three += st_utf8_next(text, 3, &code) == 3;
      }
    }
  }
  assert_int_equal(two, 0x800 - 0x80);
  assert_int_equal(three, 0x10000 - 0x800 - 0x800);
}

static void the_first_of_a_character_is_found(void **state) {
  (void)state;
  assert_int_equal(st_text_find(ST_TEXT("a.b.c"), '.'), 1);
  assert_int_equal(st_text_find(ST_TEXT("abc"), '.'), 3);
  assert_int_equal(st_text_find((subtoken_text){NULL, 0}, '.'), 0);
}

static void an_output_is_emptied_or_absent(void **state) {
  (void)state;
  char out[2] = "x";
  size_t len = 7;
  assert_true(st_empty_out(out, sizeof out, &len));
  assert_int_equal(len, 0);
  assert_int_equal(out[0], '\0');
  out[0] = 'x';
  assert_false(st_empty_out(out, sizeof out, NULL));
  assert_int_equal(out[0], '\0');
  len = 7;
  assert_false(st_empty_out(NULL, 1, &len));
  assert_int_equal(len, 0);
  out[0] = 'x';
  assert_true(st_empty_out(out, 0, &len)); /* no room: nothing is written */
  assert_int_equal(out[0], 'x');
}

static void a_byte_order_mark_is_an_error(void **state) {
  (void)state;
  static const char bytes[] = "\xEF\xBB\xBF{", wide[] = "\xFF\xFE{", big[] = "\xFE\xFF";
  for (size_t len = 0; len <= 4; len++) {
    const char *error = st_text_mark_error((subtoken_text){bytes, len});
    CHECK((error != NULL) == (len >= 3), "%zu", len);
    error = st_text_mark_error((subtoken_text){wide, len < 3 ? len : 3});
    CHECK((error != NULL) == (len >= 2), "%zu", len);
    CHECK(error == NULL || strstr(error, "UTF-16") != NULL, "%zu", len);
  }
  assert_non_null(
      strstr(st_text_mark_error((subtoken_text){bytes, 3}), "save the file without one"));
  assert_non_null(strstr(st_text_mark_error((subtoken_text){big, 2}), "UTF-16"));
  assert_null(st_text_mark_error((subtoken_text){big, 1}));
  assert_null(st_text_mark_error(st_text("\xFF\xFF\xFE")));
  assert_null(st_text_mark_error(st_text("\xFE\xFE")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_byte_order_mark_is_an_error),
      cmocka_unit_test(texts_are_equal_byte_for_byte),
      cmocka_unit_test(a_text_is_compared_with_a_string),
      cmocka_unit_test(classes_of_texts_are_those_of_their_characters),
      cmocka_unit_test(a_list_is_cut_at_its_separators),
      cmocka_unit_test(items_lose_spaces_and_tabs),
      cmocka_unit_test(a_writer_remembers_an_overflow),
      cmocka_unit_test(a_truncated_text_is_cut_anywhere),
      cmocka_unit_test(integers_are_written_as_printf_does),
      cmocka_unit_test(the_first_of_a_character_is_found),
      cmocka_unit_test(an_output_is_emptied_or_absent),
      cmocka_unit_test(secrets_are_compared_and_wiped),
      cmocka_unit_test(hex_digits_have_their_values),
      cmocka_unit_test(utf8_is_decoded_or_refused),
      cmocka_unit_test(a_text_is_utf8_when_all_of_it_is),
      cmocka_unit_test(controls_are_told_from_letters),
      cmocka_unit_test(what_cannot_be_shown_is_written_escaped),
      cmocka_unit_test(all_of_utf8_agrees_with_a_plain_decoder),
  };
  return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
