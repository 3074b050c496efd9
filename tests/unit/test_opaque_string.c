/* opaque_string: RFC 8265 section 4.2 as far as it is done, and what is left alone (D12). */
#include "support.h"

#include <dlfcn.h>
#include <utf8proc.h>

#include "operations/opaque_string.h"

static void must_be(subtoken_text typed, subtoken_text want) {
  char out[ST_OPAQUE_STRING_MAX];
  subtoken_text is = st_opaque_string_enforce(typed, out);
  CHECK(st_text_equal(is, want), "%.*s: %.*s, not %.*s", (int)typed.len, typed.data, (int)is.len,
        is.data, (int)want.len, want.data);
  /* What it gives, it gives again. */
  char kept[ST_OPAQUE_STRING_MAX], again[ST_OPAQUE_STRING_MAX];
  if (is.len > ST_PASSWORD_MAX) return;
  memcpy(kept, is.data, is.len);
  assert_true(st_text_equal(st_opaque_string_enforce((subtoken_text){kept, is.len}, again), want));
}

static void passwords_are_normalized(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"", ""},
      {"correct horse", "correct horse"},
      {"e\xCC\x81", "\xC3\xA9"},
      {"\xC3\xA9", "\xC3\xA9"},
      {"A\xCC\x8A", "\xC3\x85"},
      {"\xE2\x84\xAB", "\xC3\x85"},                             /* the sign for angstrom */
      {"q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87"},               /* accents in their order */
      {"\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"}, /* Hangul */
      {"\xEF\xAC\x81", "\xEF\xAC\x81"},         /* fi: compatibility is another thing */
      {"\xEF\xBC\xA1", "\xEF\xBC\xA1"},         /* and so is width */
      {"\xC3\x9F\xC4\xB0", "\xC3\x9F\xC4\xB0"}, /* and case */
      {"\xF0\x9D\x85\x9E", "\xF0\x9D\x85\x97\xF0\x9D\x85\xA5"}, /* composed by nobody */
      {"\xF0\x9F\x94\x91", "\xF0\x9F\x94\x91"},
      /* Spaces of every kind. */
      {"a\xC2\xA0"
       "b",
       "a b"},
      {"a\xE2\x80\x82\xE3\x80\x80"
       "b",
       "a  b"},
      {"\xE1\x9A\x80\xE2\x80\xAF\xE2\x81\x9F", "   "},
      {"a\xE2\x80\x8B"
       "b",
       "a\xE2\x80\x8B"
       "b"}, /* of no width: no space */
      /* Not UTF-8: as it is. */
      {"p\xE4ssword", "p\xE4ssword"},
      {"e\xCC\x81\xFF", "e\xCC\x81\xFF"},
      {"\xED\xA0\x80", "\xED\xA0\x80"},
      {"\xC0\x80", "\xC0\x80"},
      {"e\xCC", "e\xCC"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text typed = exact_string(rows[i][0]);
    must_be(typed, st_text(rows[i][1]));
    release(typed);
  }
  must_be(ST_TEXT("e\xCC\x81\0e\xCC\x81"), ST_TEXT("\xC3\xA9\0\xC3\xA9"));
}

static void fill(char *text, const char *piece, size_t size) {
  for (size_t at = 0; at + strlen(piece) <= size; at += strlen(piece)) {
    memcpy(text + at, piece, strlen(piece));
  }
}

/* The longest: what grows most, what is taken apart into most, and one byte too many. */
static void the_longest_password_fits(void **state) {
  (void)state;
  static const char *const pieces[] = {"\xF0\x9D\x85\x9E", "\xF0\x9D\x85\xA0", "\xCE\x90",
                                       "\xE1\xBE\x82",     "\xC7\x96",         "e\xCC\x81"};
  char typed[ST_PASSWORD_MAX + 8], out[ST_OPAQUE_STRING_MAX];
  for (size_t i = 0; i < COUNT(pieces); i++) {
    size_t len = ST_PASSWORD_MAX / strlen(pieces[i]) * strlen(pieces[i]);
    fill(typed, pieces[i], sizeof typed);
    subtoken_text is = st_opaque_string_enforce((subtoken_text){typed, len}, out);
    CHECK(is.data == out && is.len > 0 && is.len <= ST_OPAQUE_STRING_MAX, "%zu: %zu", i, is.len);
    assert_true(st_utf8_valid(is));
  }
  memset(typed, 'e', sizeof typed);
  memcpy(typed + ST_PASSWORD_MAX - 1, "\xCC\x81", 2);
  subtoken_text is = st_opaque_string_enforce((subtoken_text){typed, ST_PASSWORD_MAX + 1}, out);
  assert_ptr_equal(is.data, typed);
}

/* libutf8proc, which a test may have answer something else. */
static bool decompose_lies, reencode_lies;
static utf8proc_ssize_t lie;

utf8proc_ssize_t utf8proc_decompose(const utf8proc_uint8_t *text, utf8proc_ssize_t len,
                                    utf8proc_int32_t *points, utf8proc_ssize_t room,
                                    utf8proc_option_t options) {
  utf8proc_ssize_t (*real)(const utf8proc_uint8_t *, utf8proc_ssize_t, utf8proc_int32_t *,
                           utf8proc_ssize_t, utf8proc_option_t);
  *(void **)&real = dlsym(RTLD_NEXT, "utf8proc_decompose");
  return decompose_lies ? lie : real(text, len, points, room, options);
}

utf8proc_ssize_t utf8proc_reencode(utf8proc_int32_t *points, utf8proc_ssize_t count,
                                   utf8proc_option_t options) {
  utf8proc_ssize_t (*real)(utf8proc_int32_t *, utf8proc_ssize_t, utf8proc_option_t);
  *(void **)&real = dlsym(RTLD_NEXT, "utf8proc_reencode");
  return reencode_lies ? lie : real(points, count, options);
}

/* What it cannot do, or does wrongly, leaves the password as it was typed. */
static void without_the_library_a_password_stays(void **state) {
  (void)state;
  static const utf8proc_ssize_t lies[] = {UTF8PROC_ERROR_NOMEM, 0, 4 * ST_PASSWORD_MAX + 1};
  char out[ST_OPAQUE_STRING_MAX];
  const subtoken_text typed = ST_TEXT("e\xCC\x81");
  for (size_t i = 0; i < 2 * COUNT(lies); i++) {
    lie = lies[i / 2];
    decompose_lies = i % 2 == 0;
    reencode_lies = !decompose_lies;
    subtoken_text is = st_opaque_string_enforce(typed, out);
    CHECK(is.data == typed.data && is.len == typed.len, "lie %zu", i);
  }
  decompose_lies = reencode_lies = false;
  assert_ptr_equal(st_opaque_string_enforce(typed, out).data, out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(passwords_are_normalized),
                                     cmocka_unit_test(the_longest_password_fits),
                                     cmocka_unit_test(without_the_library_a_password_stays)};
  return cmocka_run_group_tests_name("opaque_string", tests, NULL, NULL);
}
