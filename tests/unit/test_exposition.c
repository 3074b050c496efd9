/* exposition: the same metrics in both formats. */
#include "support.h"

#include "operations/exposition.h"

static void write_all(st_exposition *e) {
  st_exposition_family(e, "x_bytes", ST_METRIC_COUNTER, "Bytes.");
  st_exposition_begin(e, "");
  st_exposition_label(e, "a", "b\\c\"d\ne");
  st_exposition_label(e, "f", "");
  st_exposition_int(e, 9223372036854775807);
  st_exposition_family(e, "x_build", ST_METRIC_INFO, "Which.");
  st_exposition_begin(e, "");
  st_exposition_label(e, "version", "1");
  st_exposition_int(e, 1);
  st_exposition_family(e, "x_duration_seconds", ST_METRIC_HISTOGRAM, "How long.");
  st_exposition_begin(e, "_bucket");
  st_exposition_label(e, "le", "+Inf");
  st_exposition_int(e, 3);
  st_exposition_begin(e, "_sum");
  st_exposition_seconds(e, 12000034);
  st_exposition_begin(e, "_count");
  st_exposition_int(e, 3);
  st_exposition_family(e, "x_load", ST_METRIC_GAUGE, "Load.");
  st_exposition_begin(e, "");
  st_exposition_double(e, 1.5);
  st_exposition_one(e, "x_up", ST_METRIC_GAUGE, "Up.", -1);
}

static void check_text(bool open, const char *expected) {
  st_exposition e = {.open_metrics = open};
  write_all(&e);
  assert_true(st_exposition_end(&e));
  assert_int_equal(e.len, strlen(expected));
  assert_memory_equal(e.text, expected, e.len);
  free(e.text);
}

static void open_metrics_has_units_info_and_an_end(void **state) {
  (void)state;
  check_text(true,
             "# TYPE x_bytes counter\n# UNIT x_bytes bytes\n# HELP x_bytes Bytes.\n"
             "x_bytes_total{a=\"b\\\\c\\\"d\\ne\",f=\"\"} 9223372036854775807\n"
             "# TYPE x_build info\n# HELP x_build Which.\nx_build_info{version=\"1\"} 1\n"
             "# TYPE x_duration_seconds histogram\n# UNIT x_duration_seconds seconds\n"
             "# HELP x_duration_seconds How long.\nx_duration_seconds_bucket{le=\"+Inf\"} 3\n"
             "x_duration_seconds_sum 12.000034\nx_duration_seconds_count 3\n"
             "# TYPE x_load gauge\n# HELP x_load Load.\nx_load 1.500\n"
             "# TYPE x_up gauge\n# HELP x_up Up.\nx_up -1\n# EOF\n");
}

static void the_text_format_names_families_as_their_samples(void **state) {
  (void)state;
  check_text(
      false,
      "# TYPE x_bytes_total counter\n# HELP x_bytes_total Bytes.\n"
      "x_bytes_total{a=\"b\\\\c\\\"d\\ne\",f=\"\"} 9223372036854775807\n"
      "# TYPE x_build_info gauge\n# HELP x_build_info Which.\nx_build_info{version=\"1\"} 1\n"
      "# TYPE x_duration_seconds histogram\n"
      "# HELP x_duration_seconds How long.\nx_duration_seconds_bucket{le=\"+Inf\"} 3\n"
      "x_duration_seconds_sum 12.000034\nx_duration_seconds_count 3\n"
      "# TYPE x_load gauge\n# HELP x_load Load.\nx_load 1.500\n"
      "# TYPE x_up gauge\n# HELP x_up Up.\nx_up -1\n");
}

static void it_grows_as_long_as_it_must(void **state) {
  (void)state;
  st_exposition e = {.open_metrics = true};
  st_exposition_family(&e, "x", ST_METRIC_GAUGE, "X.");
  size_t begin = e.len;
  for (int i = 0; i < 100000; i++) {
    st_exposition_begin(&e, "");
    st_exposition_int(&e, 7);
  }
  assert_true(st_exposition_end(&e));
  assert_int_equal(e.len, begin + 100000 * strlen("x 7\n") + strlen("# EOF\n"));
  assert_memory_equal(e.text + e.len - 10, "x 7\n# EOF\n", 10);
  free(e.text);
}

/* Nothing is written any more, and nothing is to be freed. */
static void without_memory_it_is_no_text(void **state) {
  (void)state;
  st_exposition e = {.failed = true};
  write_all(&e);
  assert_false(st_exposition_end(&e));
  assert_null(e.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(open_metrics_has_units_info_and_an_end),
      cmocka_unit_test(the_text_format_names_families_as_their_samples),
      cmocka_unit_test(it_grows_as_long_as_it_must),
      cmocka_unit_test(without_memory_it_is_no_text),
  };
  return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
