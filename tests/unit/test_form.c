/* form: what is decoded, into how much room, and what is left of what cannot be. The rest is held
 * by test_params.c and by the tests of each call.
 */
#include "support.h"

#include "service/form.h"

static char room[64];
static subtoken_text decoded;

/* From a heap block of its exact size into so many bytes, with one behind them that stays. */
static bool decode(const char *raw, size_t size, bool path) {
  subtoken_text text = exact_string(raw);
  st_writer out = st_writer_on(room, size);
  memset(room, '#', sizeof room);
  bool good =
      path ? st_form_decode_path(text, &out, &decoded) : st_form_decode(text, &out, &decoded);
  assert_int_equal(room[size], '#');
  assert_int_equal(out.len, good ? decoded.len : out.len);
  release(text);
  return good;
}

static void text_is_decoded_in_one_way(void **state) {
  (void)state;
  static const struct {
    const char *raw, *form, *path; /* NULL: it cannot be */
  } rows[] = {
      {"", "", ""},
      {"a", "a", "a"},
      {"a+b", "a b", "a+b"},
      {"%41", "A", "A"},
      {"%4a%4A", "JJ", "JJ"},
      {"%2B+", "+ ", "++"},
      {"a%20b", "a b", "a b"},
      {"%fF", "\xFF", "\xFF"},
      {"%", NULL, NULL},
      {"%4", NULL, NULL},
      {"a%4", NULL, NULL},
      {"%4g", NULL, NULL},
      {"%g4", NULL, NULL},
      {"%%41", NULL, NULL},
      {"%4%41", NULL, NULL},
      {"a%", NULL, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (int path = 0; path < 2; path++) {
      const char *want = path == 1 ? rows[i].path : rows[i].form;
      bool good = decode(rows[i].raw, 16, path == 1);
      CHECK(good == (want != NULL), "%s", rows[i].raw);
      CHECK(!good || st_text_is(decoded, want), "%s", rows[i].raw);
      /* Nothing is left of it. */
      for (size_t at = 0; !good && at < 16; at++) {
        CHECK(room[at] == '#' || room[at] == '\0', "%s: %c", rows[i].raw, room[at]);
      }
    }
  }
}

static void what_has_no_room_is_refused(void **state) {
  (void)state;
  assert_true(decode("abc", 3, false));
  assert_false(decode("abc", 2, false));
  assert_false(decode("a", 0, false));
  assert_true(decode("", 0, false));
  assert_true(decode("%41%42", 2, true));
  assert_false(decode("%41%42", 1, true));
}

static void pairs_have_names_and_values(void **state) {
  (void)state;
  static const struct {
    const char *name, *value;
    bool bad;
  } want[] = {{"a", "b", false},   {"c", "", false},      {"", "d", false},
              {"e", "f=g", false}, {"h i", "j k", false}, {"", "", true}};
  subtoken_text text = exact_string("a=b&&c&=d&e=f=g&h+i=j%20k&%=");
  st_cutter cutter = {text, false};
  st_writer out = st_writer_on(room, sizeof room);
  st_pair pair;
  for (size_t i = 0; i < COUNT(want); i++) {
    assert_true(st_form_next_pair(&cutter, &out, &pair));
    CHECK(pair.bad_escape == want[i].bad, "pair %zu", i);
    if (want[i].bad) continue;
    CHECK(st_text_is(pair.name, want[i].name) && st_text_is(pair.value, want[i].value), "pair %zu",
          i);
  }
  assert_false(st_form_next_pair(&cutter, &out, &pair));
  release(text);
}

/* What has another name is skipped, however that is written, and takes no room. */
static void a_name_is_found_however_it_is_written(void **state) {
  (void)state;
  subtoken_text text =
      exact_string("other=secret&ot%68er=secret&na%6De=1&name=2&name&nam=3&x%=4&=5");
  static const char *const values[] = {"1", "2", ""};
  st_cutter cutter = {text, false};
  st_writer out = st_writer_on(room, sizeof room);
  st_pair pair;
  memset(room, '#', sizeof room);
  for (size_t i = 0; i < COUNT(values); i++) {
    assert_true(st_form_next_named(&cutter, "name", &out, &pair));
    CHECK(st_text_is(pair.name, "name") && st_text_is(pair.value, values[i]), "%zu", i);
  }
  assert_false(st_form_next_named(&cutter, "name", &out, &pair));
  assert_int_equal(out.len, strlen("name1name2name"));
  assert_memory_equal(room, "name1name2name", out.len);
  assert_null(memmem(room, sizeof room, "secret", 6));
  for (size_t at = 32; at < sizeof room; at++) assert_int_equal(room[at], '#'); /* never had */
  release(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_is_decoded_in_one_way),
      cmocka_unit_test(what_has_no_room_is_refused),
      cmocka_unit_test(pairs_have_names_and_values),
      cmocka_unit_test(a_name_is_found_however_it_is_written),
  };
  return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
