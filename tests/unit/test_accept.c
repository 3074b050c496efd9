/* accept: which format of metrics an Accept header asks for. */
#include "support.h"

#include "service/accept.h"

typedef struct row {
  const char *first, *second; /* two Accept headers, or NULL */
  bool open;
} row;

static bool asks_for_open(const row *r) {
  st_header headers[] = {{ST_TEXT("Host"), ST_TEXT("text/plain")},
                         {ST_TEXT("aCCept"), st_text(r->first)},
                         {ST_TEXT("Accept"), st_text(r->second != NULL ? r->second : "")}};
  return st_accept_open_metrics(headers, r->second != NULL ? 3 : 2);
}

static void check_rows(const row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    CHECK(asks_for_open(&rows[i]) == rows[i].open, "%s, %s", rows[i].first,
          rows[i].second != NULL ? rows[i].second : "-");
  }
}

static void nothing_asked_is_open_metrics(void **state) {
  (void)state;
  assert_true(st_accept_open_metrics(NULL, 0));
}

static void the_format_that_is_preferred_is_found(void **state) {
  (void)state;
  static const row rows[] = {
      {"application/openmetrics-text", NULL, true},
      {"application/openmetrics-text; version=1.0.0", NULL, true},
      {"APPLICATION/OpenMetrics-Text;VERSION=\"1.0.0\"", NULL, true},
      {"text/plain", NULL, false},
      {"text/plain;version=0.0.4", NULL, false},
      {"text/plain;version=1.0.0;escaping=allow-utf-8", NULL, false},
      {"text/*", NULL, false},
      {"text/plain;q=0.5,application/openmetrics-text;q=0.4", NULL, false},
      {"text/plain;q=0.5,application/openmetrics-text;q=0.50", NULL, true},
      {"text/plain;q=0.5", "application/openmetrics-text;q=0.6", true},
      {"text/plain, */*", NULL, true},
      {"text/plain;q=1.-, application/openmetrics-text;q=0.5", NULL, true},
      {"text/plain;q=1.-, application/openmetrics-text;q=0.9", NULL, true},
      {"text/plain;q=0.9, application/openmetrics-text;q=1.-", NULL, false},
      {"text/plain;q=0.1, application/openmetrics-text;q=1.-", NULL, false},
      {"text/plain, */*;q=0.1", NULL, false},
      {"*/*", NULL, true},
      {"application/*", NULL, true},
      {"application/json", NULL, true},
      {"", NULL, true},
  };
  check_rows(rows, COUNT(rows));
}

/* The most specific range decides, though another has a higher quality. */
static void the_most_specific_range_decides(void **state) {
  (void)state;
  static const row rows[] = {
      {"*/*;q=1, application/openmetrics-text;q=0.1", NULL, false},
      {"text/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.2", NULL, true},
      {"application/openmetrics-text;q=0, */*", NULL, false},
      {"application/openmetrics-text;q=0", NULL, true},
      {"text/plain;q=0.001", NULL, false},
      {"text/plain ;q=0.5, application/openmetrics-text;q=0.1", NULL, false},
      /* of two that are alike, the higher quality */
      {"application/openmetrics-text;q=0.1, application/openmetrics-text;q=0.9, text/plain;q=0.5",
       NULL, true},
      {"application/openmetrics-text;q=0.9, application/openmetrics-text;q=0.1, text/plain;q=0.5",
       NULL, true},
      {"application/openmetrics-text;q=0.9, application/openmetrics-text;version=\"1.0.0\";q=0.1, "
       "text/plain;q=0.5",
       NULL, false},
      {"application/openmetrics-text;q=0.9, application/openmetrics-text;version=\"1.0.0x;q=0.1, "
       "text/plain;q=0.5",
       NULL, true},
      {"application/openmetrics-text;q=0.9, application/openmetrics-text;version=x1.0.0\";q=0.1, "
       "text/plain;q=0.5",
       NULL, true},
      {"application/openmetrics-text;q=0.9, application/openmetrics-text;version=1.0.0;q=0.1, "
       "text/plain;q=0.5",
       NULL, false},
      {"*/*;q=0", NULL, true}, /* nothing is acceptable: the usual one, and not an error */
  };
  check_rows(rows, COUNT(rows));
}

static void a_quality_has_three_digits(void **state) {
  (void)state;
  static const row rows[] = {
      {"text/plain;q=1, application/openmetrics-text", NULL, true},
      {"text/plain, application/openmetrics-text;q=1", NULL, true},
      {"text/plain;q=1.000, application/openmetrics-text;q=1.", NULL, true},
      {"text/plain;q=0.999, application/openmetrics-text;q=0.998", NULL, false},
      {"text/plain;q=0.5, application/openmetrics-text;q=0.999", NULL, true},
      {"text/plain;q=0.1, application/openmetrics-text;q=0.099", NULL, false},
      {"text/plain;q=0.001, application/openmetrics-text;q=0", NULL, false},
  };
  check_rows(rows, COUNT(rows));
  static const st_header one = {ST_TEXT("Accept"), ST_TEXT("text/plain")};
  assert_false(st_accept_open_metrics(&one, 1));
}

/* It is neither the least nor any other: another range decides. */
static void a_bad_quality_is_none(void **state) {
  (void)state;
  static const char *const rows[] = {"x",   "",    "1.001", "1.1", "0.1234", "-1", "2",  "0.a",
                                     "0./", "0.:", "0x",    "0x5", "1x",     "01", ".5", "9"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char least[200], none[200];
    snprintf(least, sizeof least, "application/openmetrics-text;q=%s, text/plain;q=0.001", rows[i]);
    snprintf(none, sizeof none, "application/openmetrics-text;q=%s, */*;q=0.5, text/plain;q=0.1",
             rows[i]);
    CHECK(!asks_for_open(&(row){.first = least}), "%s", least);
    CHECK(asks_for_open(&(row){.first = none}), "%s", none);
  }
}

/* What follows the header in memory is none of it. */
static void a_quality_ends_with_its_header(void **state) {
  (void)state;
  static const char text[] = "text/plain;q=1";
  for (size_t cut = 0; cut < 3; cut++) {
    st_header header = {ST_TEXT("Accept"), {text, sizeof text - 1 - cut}};
    /* `q=` is none that can be read, and `q` alone says nothing */
    CHECK(st_accept_open_metrics(&header, 1) == (cut == 1), "%zu", cut);
  }
}

/* As if it were not there. */
static void what_cannot_be_read_is_passed_over(void **state) {
  (void)state;
  static const row rows[] = {
      {"application/openmetrics-text;q=x, text/plain;q=0.1", NULL, false},
      {"application/openmetrics-text;q=1.001, text/plain;q=0.1", NULL, false},
      {"application/openmetrics-text;q=0.1234, text/plain;q=0.1", NULL, false},
      {"application/openmetrics-text;q=, text/plain;q=0.1", NULL, false},
      {"application/openmetrics-text;q=-1, text/plain;q=0.1", NULL, false},
      {"application/openmetrics-text;q=2, text/plain;q=0.1", NULL, false},
      {"application/openmetrics-text;version=2.0.0, text/plain;q=0.1", NULL, false},
      {"text/plain;version=0.0.3, application/openmetrics-text;q=0.1", NULL, true},
      {";;;,,,=;q=1", NULL, true},
      {"text/plain;;;version", NULL, false},
  };
  check_rows(rows, COUNT(rows));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_asked_is_open_metrics),
      cmocka_unit_test(the_format_that_is_preferred_is_found),
      cmocka_unit_test(the_most_specific_range_decides),
      cmocka_unit_test(a_quality_has_three_digits),
      cmocka_unit_test(a_bad_quality_is_none),
      cmocka_unit_test(a_quality_ends_with_its_header),
      cmocka_unit_test(what_cannot_be_read_is_passed_over),
  };
  return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
