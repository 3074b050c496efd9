/* url: the public functions of subtoken/url.h. */
#include "subtoken/url.h"

#include "plain_path.h"
#include "support.h"

static void canonical_text_is_written_or_refused(void **state) {
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
static void the_longest_canonical_text_fits(void **state) {
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

static void an_entry_allows_a_target(void **state) {
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

static void an_entry_covers_another(void **state) {
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

static void a_path_is_written_decoded_once(void **state) {
  (void)state;
  static const struct {
    const char *target, *path;
    subtoken_fault fault;
  } rows[] = {
      {"/a/%62?c", "/a/b", SUBTOKEN_FAULT_NONE},
      {"/%c3%a9", "/%C3%A9", SUBTOKEN_FAULT_NONE},
      {"/a/../b", NULL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"a", NULL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text target = exact_string(rows[i].target);
    size_t most = rows[i].path != NULL ? strlen(rows[i].path) + 1 : 3;
    for (size_t room = 1; room <= most; room++) {
      char *out = malloc(room);
      size_t len = 99;
      subtoken_fault fault = SUBTOKEN_FAULT_COUNT;
      subtoken_result want = rows[i].path == NULL ? SUBTOKEN_BAD_TARGET
                             : room == most       ? SUBTOKEN_OK
                                                  : SUBTOKEN_BUFFER_TOO_SMALL;
      CHECK(subtoken_target_path(target, out, room, &len, &fault) == want, "row %zu, %zu", i, room);
      CHECK(fault == rows[i].fault, "row %zu, %zu", i, room);
      CHECK(len == (want == SUBTOKEN_OK ? most - 1 : 0), "row %zu, %zu", i, room);
      if (want == SUBTOKEN_OK) assert_string_equal(out, rows[i].path);
      CHECK(subtoken_target_path(target, out, room, &len, NULL) == want, "row %zu, %zu", i, room);
      free(out);
    }
    release(target);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(canonical_text_is_written_or_refused),
      cmocka_unit_test(the_longest_canonical_text_fits),
      cmocka_unit_test(an_entry_allows_a_target),
      cmocka_unit_test(an_entry_covers_another),
      cmocka_unit_test(a_path_is_written_decoded_once),
  };
  return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
