/* trace_context: what is a valid traceparent, and what is not. */
#include "support.h"

#include "service/trace_context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static bool find(const char *value, st_trace_context *found) {
  subtoken_text whole = exact_string(value);
  st_header headers[] = {{ST_TEXT("Host"), ST_TEXT("x")},
                         {ST_TEXT("TraceParent"), whole},
                         {ST_TEXT("tracestate"), ST_TEXT("x=y")}};
  st_request request = {.headers = headers, .header_count = COUNT(headers)};
  bool good = st_trace_context_find(&request, found);
  if (good) {
    assert_true(st_text_is(found->trace_id, TRACE));
    assert_true(st_text_is(found->span_id, SPAN));
  }
  release(whole);
  return good;
}

static void a_valid_one_is_read(void **state) {
  (void)state;
  static const char *const rows[] = {
      "00-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-00",       "00-" TRACE "-" SPAN "-ff",
      "01-" TRACE "-" SPAN "-01", "fe-" TRACE "-" SPAN "-01-later", "cc-" TRACE "-" SPAN "-01-",
  };
  st_trace_context found;
  for (size_t i = 0; i < COUNT(rows); i++) CHECK(find(rows[i], &found), "%s", rows[i]);
}

static void anything_else_is_ignored(void **state) {
  (void)state;
  static const char *const rows[] = {
      "",
      "-",
      "0",
      "00",
      "00-",
      "00-" TRACE,
      "00-" TRACE "-" SPAN,
      "00-" TRACE "-" SPAN "-",
      "00-" TRACE "-" SPAN "-0",
      "00-" TRACE "-" SPAN "-011",
      "00-" TRACE "-" SPAN "-01-",
      "00-" TRACE "-" SPAN "-01-x",
      "cc-" TRACE "-" SPAN "-01x",
      "ff-" TRACE "-" SPAN "-01",
      "FE-" TRACE "-" SPAN "-01",
      "0-" TRACE "-" SPAN "-01",
      "000-" TRACE "-" SPAN "-01",
      "00-00000000000000000000000000000000-" SPAN "-01",
      "00-" TRACE "-0000000000000000-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
      "00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-01",
      "00-4bf92f3577b34da6a3ce929d0e0e47361-" SPAN "-01",
      "00-4bf92f3577b34da6a3ce929d0e0e473g-" SPAN "-01",
      "00-" TRACE "-00f067aa0ba902b-01",
      "00_" TRACE "-" SPAN "-01",
      "00-" TRACE "_" SPAN "-01",
      "00-" TRACE "-" SPAN "_01",
      "00-" TRACE "-" SPAN "-0g",
      " 00-" TRACE "-" SPAN "-01",
      "-" TRACE "-" SPAN "-01",
      "00--" SPAN "-01",
      "00-" TRACE "--01",
      "00-" TRACE "-" SPAN "-01 ",
      "00-" TRACE "-" SPAN "-01,00-" TRACE "-" SPAN "-01",
      /* Of a later version, too. */
      "01-" TRACE "-" SPAN "-",
      "01-" TRACE "-" SPAN,
      "01" TRACE "-" SPAN "-01",
      "01-" TRACE SPAN "-01",
      "01-" TRACE "-" SPAN "01",
      "0x-" TRACE "-" SPAN "-01",
      "G1-" TRACE "-" SPAN "-01",
      "00-Gbf92f3577b34da6a3ce929d0e0e4736-" SPAN "-01",
      "00-4bf92f3577b34da6a3ce929d0e0e473/-" SPAN "-01",
      "00-+bf92f3577b34da6a3ce929d0e0e4736-" SPAN "-01",
      "00-" TRACE "-.0f067aa0ba902b7-01",
  };
  st_trace_context found;
  for (size_t i = 0; i < COUNT(rows); i++) CHECK(!find(rows[i], &found), "%s", rows[i]);
}

/* Not all zeros, though it begins or ends with them. */
static void zeros_may_be_in_it(void **state) {
  (void)state;
  st_header header = {ST_TEXT("traceparent"),
                      ST_TEXT("00-00000000000000000000000000000010-1000000000000000-00")};
  st_request request = {.headers = &header, .header_count = 1};
  st_trace_context found;
  assert_true(st_trace_context_find(&request, &found));
  assert_true(st_text_is(found.trace_id, "00000000000000000000000000000010"));
  assert_true(st_text_is(found.span_id, "1000000000000000"));
}

static void two_are_none(void **state) {
  (void)state;
  st_header headers[] = {{ST_TEXT("traceparent"), ST_TEXT("00-" TRACE "-" SPAN "-01")},
                         {ST_TEXT("Traceparent"), ST_TEXT("00-" TRACE "-" SPAN "-01")}};
  st_request request = {.headers = headers, .header_count = 2};
  st_trace_context found;
  assert_false(st_trace_context_find(&request, &found));
  request.header_count = 1;
  assert_true(st_trace_context_find(&request, &found));
  request.header_count = 0;
  assert_false(st_trace_context_find(&request, &found));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_valid_one_is_read),
      cmocka_unit_test(anything_else_is_ignored),
      cmocka_unit_test(zeros_may_be_in_it),
      cmocka_unit_test(two_are_none),
  };
  return cmocka_run_group_tests_name("trace_context", tests, NULL, NULL);
}
