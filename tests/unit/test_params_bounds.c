/* params: what is refused is not forgotten by what is read after it, names and values at their
 * bounds, and room that does not do. All else is in test_params.c.
 */
#include "support.h"

#include "service/params.h"

static st_params params;

static bool read_all(const char *query, st_body_kind kind, const char *body) {
  subtoken_text query_text = exact_string(query), body_text = exact_string(body);
  memset(&params, 0x5A, sizeof params);
  bool good = st_params_read(&params, query_text, kind, body_text);
  release(query_text);
  release(body_text);
  return good;
}

static void what_is_refused_stays_so(void **state) {
  (void)state;
  static const struct {
    const char *query, *body, *error; /* NULL: it is good */
  } rows[] = {
      {"", "{\"audience\":\"a b\",\"expire\":\"2027-01-01T00:00:00Z\"}", "audience: must be "},
      {"", "{\"audience\":\"a b\"}", "audience: must be "},
      {"", "{\"audience\":1,\"expire\":\"2027-01-01T00:00:00Z\"}", "audience: must be a string"},
      {"", "{\"urls\":1,\"audience\":\"a\"}", "urls: must be an array of strings"},
      {"", "{\"urls\":[1],\"audience\":\"a\"}", "urls: must be an array of strings"},
      {"", "{\"permissions\":{},\"audience\":\"a\"}", "permissions: must be an array of strings"},
      {"", "{\"urls\":[],\"audience\":\"a\"}", "urls: must not be empty"},
      {"", "{\"urls\":[", "body: must be one JSON object"},
      {"", "{\"urls\":[}", "body: must be one JSON object"},
      {"", "{\"urls\":[\"/a\"", "body: must be one JSON object"},
      {"", "{\"permissions\":[", "body: must be one JSON object"},
      {"", "{\"x\":[", "body: must be one JSON object"},
      {"", "{\"x\":[,\"audience\":\"a\"}", "body: must be one JSON object"},
      {"", "{\"audience\":\"a\"", "body: must be one JSON object"},
      {"", "{\"audience\":\"a\"}x", "body: must be one JSON object"},
      {"audience=a", "{\"audience\":\"a\"}", "audience: given more than once"},
      {"audience=a", "{\"audience\":\"a\",\"expire\":\"2027-01-01T00:00:00Z\"}",
       "audience: given more"},
      {"urls=/a", "{\"urls\":[\"/a\"]}", "urls: given more than once"},
      {"audience=a", "{\"audience\":null,\"expire\":\"2027-01-01T00:00:00Z\"}", NULL},
      {"", "{\"audience\":null,\"urls\":null,\"x\":{\"y\":[1]}}", NULL},
      {"[=1", "{}", "query: is JSON"},
      {"urls[=1", "{}", "urls: must not have []"},
      {"urlz[]=1", "{}", NULL},
      {"++={", "{}", NULL},
      {"++=+{", "{}", NULL},
      {"++{=1", "{}", "query: is JSON"},
      {"%0D%0A[=1", "{}", "query: is JSON"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    bool good = read_all(rows[i].query, ST_BODY_JSON, rows[i].body);
    CHECK(good == (rows[i].error == NULL), "row %zu: %s", i, good ? "good" : params.error);
    CHECK(good || strncmp(params.error, rows[i].error, strlen(rows[i].error)) == 0, "row %zu: %s",
          i, params.error);
  }
}

/* In JSON, too, where the rest of the list would follow. */
/* One reader after the other on the same memory: whether it goes on is for each call. */
static void problems_are_collected_where_they_are_asked_for(void **state) {
  (void)state;
  subtoken_text query = ST_TEXT("urls=%&audience=%"), none = {NULL, 0};
  for (int i = 0; i < 2; i++) {
    assert_false(st_params_read(&params, query, ST_BODY_NONE, none));
    assert_string_equal(params.error, "urls: a % needs two hex digits behind it");
    assert_true(st_params_read_all(&params, query, ST_BODY_NONE, none));
    assert_int_equal(params.problem_count, 2);
  }
}

static void a_list_has_64_entries(void **state) {
  (void)state;
  static const char *const names[] = {"permissions", "urls"};
  for (size_t i = 0; i < COUNT(names); i++) {
    char body[1024];
    for (int count = 63; count <= 66; count++) {
      size_t len = (size_t)snprintf(body, sizeof body, "{\"%s\":[", names[i]);
      for (int at = 0; at < count; at++) {
        len += (size_t)snprintf(body + len, sizeof body - len, "%s\"/%d\"", at > 0 ? "," : "", at);
      }
      snprintf(body + len, sizeof body - len, "]}");
      assert_true(read_all("", ST_BODY_JSON, body) == (count <= 64));
      if (count > 64) assert_non_null(strstr(params.error, "too many entries (maximum 64)"));
    }
  }
}

static void one_character_is_a_url(void **state) {
  (void)state;
  assert_true(read_all("urls=/", ST_BODY_NONE, ""));
  assert_true(params.request.has_urls && params.request.url_count == 1);
  assert_true(read_all("urls=", ST_BODY_NONE, ""));
  assert_false(params.request.has_urls);
}

/* As in a command line, which may be longer than any request. */
static void what_has_no_room_is_refused(void **state) {
  (void)state;
  assert_true(read_all("", ST_BODY_NONE, ""));
  params.writer = st_writer_on(params.text, 4);
  assert_true(st_params_add_url(&params, ST_TEXT("/ ")));
  assert_true(params.request.url_count == 1 && st_text_is(params.request.urls[0], "/%20"));
  assert_false(st_params_add_url(&params, ST_TEXT("/")));
  assert_string_equal(params.error, "urls: too long");
  assert_int_equal(params.request.url_count, 1);
  static char body[sizeof params.text + 2];
  memset(body, ' ', sizeof body - 1);
  memcpy(body, "{}", 2);
  assert_false(read_all("", ST_BODY_JSON, body));
  assert_string_equal(params.error, "body: too long");
  body[sizeof params.text] = '\0';
  assert_true(read_all("", ST_BODY_JSON, body));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_refused_stays_so),
      cmocka_unit_test(problems_are_collected_where_they_are_asked_for),
      cmocka_unit_test(a_list_has_64_entries),
      cmocka_unit_test(one_character_is_a_url),
      cmocka_unit_test(what_has_no_room_is_refused),
  };
  return cmocka_run_group_tests_name("params_bounds", tests, NULL, NULL);
}
