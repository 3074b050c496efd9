/* GET /openapi.json. What the document says is held against the server by
 * tests/e2e/test_openapi.py. */
#include "service_fixture.h"

#include "page/files.h"

static void the_document_is_served_as_it_is(void **state) {
  (void)state;
  static const char begin[] = "{\n  \"openapi\": \"3.1.";
  assert_int_equal(get("/openapi.json", ""), 200);
  assert_string_equal(reply.content_type, "application/json; charset=utf-8");
  assert_non_null(reply.payload.data);
  assert_true(reply.payload.len > 10000);
  assert_memory_equal(reply.payload.data, begin, sizeof begin - 1);
  assert_memory_equal((const char *)reply.payload.data + reply.payload.len - 2, "}\n", 2);
  assert_null(reply.payload.release);
}

static void it_is_there_without_the_page(void **state) {
  (void)state;
  settings.page = false;
  assert_int_equal(get("/openapi.json", ""), 200);
}

static void what_a_client_has_is_not_sent_again(void **state) {
  (void)state;
  char known[64];
  snprintf(known, sizeof known, "If-None-Match: \"%s\"\n", st_page_files_tag());
  assert_int_equal(get("/openapi.json", known), 304);
  assert_null(reply.payload.data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_document_is_served_as_it_is, fixture_set_up),
      cmocka_unit_test_setup(it_is_there_without_the_page, fixture_set_up),
      cmocka_unit_test_setup(what_a_client_has_is_not_sent_again, fixture_set_up),
  };
  return cmocka_run_group_tests_name("openapi", tests, NULL, NULL);
}
