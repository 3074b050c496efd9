/* The text of FILE.seen: what is read, and what is refused. */
#include "support.h"

#include "feed/seen.h"

static void what_is_written_is_read_again(void **state) {
  (void)state;
  static const int64_t rows[] = {1, 9, 10, 1700000000000001, INT64_MAX - 1, INT64_MAX};
  char text[ST_SEEN_MAX + 1];
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = st_seen_write(rows[i], text);
    assert_true(len >= 2 && len <= ST_SEEN_MAX);
    assert_int_equal(text[len - 1], '\n');
    assert_int_equal(st_seen_read(text, len), rows[i]);
  }
  assert_int_equal(st_seen_write(INT64_MAX, text), ST_SEEN_MAX);
  assert_string_equal(text, "9223372036854775807\n");
}

static void anything_else_is_zero(void **state) {
  (void)state;
  static const char *const rows[] = {"",
                                     "\n",
                                     "1",
                                     "12",
                                     "0\n",
                                     "000\n",
                                     "1:\n", /* the character behind the digits */
                                     "/1\n",
                                     "1\n\n",
                                     "1\r\n",
                                     " 1\n",
                                     "1 \n",
                                     "+1\n",
                                     "-1\n",
                                     "0x1\n",
                                     "1e3\n",
                                     "1\n2\n",
                                     "\xB2\n",
                                     "9223372036854775808\n",
                                     "99999999999999999999\n",
                                     "00000000000000000001\n"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i]);
    CHECK(st_seen_read(text.data, text.len) == 0, "row %zu: %s", i, rows[i]);
    release(text);
  }
  assert_int_equal(st_seen_read("1\0\n", 3), 0);
  assert_int_equal(st_seen_read("0000000000000000001\n", 20),
                   1); /* leading zeros within the length */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read_again),
      cmocka_unit_test(anything_else_is_zero),
  };
  return cmocka_run_group_tests_name("seen", tests, NULL, NULL);
}
