/* Requests that are larger than what the service looks at by one, answers that do not fit, and
 * parameters and headers that cannot be read: each is refused with the right status, or told as far
 * as it fits.
 */
#include "service_fixture.h"

#include "service/made.h"
#include "service/reply.h"

#define AS_JSON_KEY AS_KEY AS_JSON

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void check_says(const char *part) {
  CHECK(says(part), "no %s in %.*s", part, (int)reply.body_len, reply.body);
}

static void a_path_that_is_longer_than_a_route_is_none(void **state) {
  (void)state;
  static const char *const fronts[] = {"/v1/user/", ("/v2/keys/" KEY_ID), "/page/", "/v2/keys/",
                                       "/.well-known/oauth-protected-resource/"};
  char target[2048];
  for (size_t i = 0; i < COUNT(fronts); i++) {
    size_t len = (size_t)snprintf(target, sizeof target, "%s", fronts[i]);
    memset(target + len, 'a', sizeof target - len - 1);
    target[sizeof target - 1] = '\0';
    CHECK(get(target, AS_KEY) == 404, "%s: %d", fronts[i], reply.status);
  }
  assert_int_equal(get("/v2/keys/01234567/89AB-CDEF-0123-456789ABCDEF", AS_KEY), 404);
}

/* Each key fills a quarter of a body: pages end early, and together have each key once. */
static void a_page_of_keys_ends_where_the_next_does_not_fit(void **state) {
  (void)state;
  static const char *const queries[] = {"", "&search=mass", "&search=mass&expiring=1d"};
  char target[128], next[64];
  for (unsigned i = 0; i < 12; i++) {
    char id[ST_KEY_ID_LEN + 1];
    snprintf(id, sizeof id, "F%07X-0000-0000-0000-000000000000", i + 1);
    (void)fixture_add(ST_KIND_KEY, id, "", "mass", too_many(), NOW + 60);
  }
  for (size_t i = 0; i < COUNT(queries); i++) {
    size_t pages = 0, found = 0;
    next[0] = '\0';
    do {
      snprintf(target, sizeof target, "/v2/keys?limit=100%s%s%s", queries[i],
               next[0] != '\0' ? "&after=" : "", next);
      CHECK(get(target, AS_KEY) == 200, "%s: %d", target, reply.status);
      const char *at = reply.body, *end = reply.body + reply.body_len;
      while ((at = memmem(at, (size_t)(end - at), "\"name\":\"mass\"", 13)) != NULL) {
        found++;
        at++;
      }
      snprintf(next, sizeof next, "%s", says("\"next\"") ? member("next") : "");
    } while (++pages < 20 && next[0] != '\0');
    CHECK(found == 12 && pages >= 3 && pages < 20, "%s: %zu in %zu", queries[i], found, pages);
  }
}

/* Four urls of which each is good, and more than a token holds; createsubtoken says the same. */
static void a_preview_of_too_much_tells_the_rest(void **state) {
  (void)state;
  static char body[ST_REQUEST_BODY_MAX + 1];
  static char one[SUBTOKEN_URL_MAX];
  st_writer writer = st_writer_on(body, sizeof body);
  memset(one, 'a', sizeof one - 2);
  st_write_literal(&writer, "{\"permissions\":[\"account\",\"bank\"],\"urls\":[");
  size_t count = 7000 / (sizeof one + 4);
  for (size_t i = 0; i < count && i < SUBTOKEN_URLS_MAX; i++) {
    st_write_literal(&writer, i == 0 ? "\"/" : ",\"/");
    st_write_int(&writer, (int64_t)(i % 10));
    st_write_view(&writer, (subtoken_text){one, sizeof one - 2});
    st_write_char(&writer, '"');
  }
  st_write_literal(&writer, "]}");
  assert_true(st_writer_end(&writer));
  assert_int_equal(post("/v2/previewsubtoken", AS_JSON_KEY, body), 200);
  check_body_starts("{\"ok\":false,\"permissions\":[\"account\"],\"left_out\":[\"bank\"],");
  check_says("the subtoken would be longer than 4096 bytes");
  assert_int_equal(post("/v2/createsubtoken", AS_JSON_KEY, body), 400);
}

/* As many problems as fit, and that there are more. */
static void a_preview_with_many_problems_stays_whole(void **state) {
  (void)state;
  static char body[ST_REQUEST_BODY_MAX + 1];
  st_writer writer = st_writer_on(body, sizeof body);
  st_write_literal(&writer, "{\"expire\":\"soon\",\"urls\":[");
  for (size_t i = 0; i < SUBTOKEN_URLS_MAX; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_literal(&writer, "\"");
    for (size_t j = 0; j < 110; j++) st_write_char(&writer, '\x7f');
    st_write_literal(&writer, "\"");
  }
  st_write_literal(&writer, "]}");
  assert_true(st_writer_end(&writer));
  assert_int_equal(post("/v2/previewsubtoken", AS_JSON_KEY, body), 200);
  check_says("\"parameter\":\"expire\"");
  check_says("\"index\":0,");
  CHECK(says("],\"more\":true}") != says("\"index\":63,"), "%.*s", (int)reply.body_len, reply.body);
}

static void a_header_that_came_twice_is_no_answer(void **state) {
  (void)state;
  assert_int_equal(get("/v2/tokeninfo", AS_KEY "X-Schema-Version: latest\n"), 200);
  assert_int_equal(
      get("/v2/tokeninfo", AS_KEY "X-Schema-Version: latest\nX-Schema-Version: latest\n"), 400);
  check_says("given more than once");
}

/* Headers whose names are short are none of ours. */
static void other_headers_are_passed_over(void **state) {
  (void)state;
  assert_int_equal(get("/v2/authorize/a", AS_KEY "te: x\nx: y\n"), 200);
  static const struct {
    const char *headers;
    bool page;
  } rows[] = {{"Accept-Language: text/html\n", false}, {"te: x\nAccept: text/html\n", true},
              {"Accept: text/html;q=0\n", false},      {"Accept: text/html;q=0.000\n", false},
              {"Accept: text/html;q=0.1\n", true},     {"Accept: text/html;q\n", true},
              {"Accept: text/html;qs=0\n", true},      {"Accept: text/html;level=0\n", true},
              {"Accept: */*, text/plain\n", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    (void)get("/", rows[i].headers);
    bool page = reply.content_type != NULL && strstr(reply.content_type, "text/html") != NULL;
    CHECK(page == rows[i].page, "row %zu: %d", i, reply.status);
  }
}

/* Half an escape, a span beyond all time, a string that is none. */
static void what_cannot_be_read_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *method, *target, *headers, *body;
  } rows[] = {
      {"GET", "/v2/createsubtoken?expire=%4z", AS_KEY, ""},
      {"GET", "/v2/createsubtoken?expire=%z4", AS_KEY, ""},
      {"GET", "/v2/createsubtoken?expire=%4", AS_KEY, ""},
      {"GET", "/v2/keys?expiring=99999999999d", AS_KEY, ""},
      {"POST", "/v2/keys/" KEY_ID "/rotate", AS_JSON_KEY, "{\"overlap\":\"\\ud800\"}"},
      {"POST", "/v2/keys/" KEY_ID "/rotate", AS_JSON_KEY, "{\"overlap\":\"soon\"}"},
      {"POST", "/v2/createsubtoken", AS_KEY AS_FORM, "  {\"urls\":[\"/a\"]}"},
      {"POST", "/v2/createsubtoken", AS_KEY AS_FORM, "\r\n [1]"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = fixture_ask(rows[i].method, rows[i].target, rows[i].headers, rows[i].body);
    CHECK(status == 400, "row %zu: %d %.*s", i, status, (int)reply.body_len, reply.body);
  }
  /* A preview goes on, tells of each once, and says that it is not good. */
  assert_int_equal(post("/v2/previewsubtoken", AS_KEY AS_FORM,
                        "expire=%zz&audience=a+b&permissions=account&urls=/a"),
                   200);
  check_body_starts("{\"ok\":false,\"permissions\":[\"account\"]");
  check_says("a % needs two hex digits behind it");
  check_says("\"parameter\":\"audience\"");
}

/* What does not fit is no body at all, never a half one. */
static void a_reply_is_whole_or_empty(void **state) {
  (void)state;
  st_writer writer = st_reply_begin(&reply);
  writer.size = 8;
  st_write_literal(&writer, "1234567");
  st_reply_end(&reply, 200, &writer);
  assert_int_equal(reply.body_len, 7);
  writer = st_reply_begin(&reply);
  writer.size = 8;
  st_write_literal(&writer, "12345678");
  st_reply_end(&reply, 200, &writer);
  assert_int_equal(reply.body_len, 0);
  /* Nor is a header: what was there stays. */
  memset(&reply, 0, sizeof reply);
  char long_value[ST_REPLY_HEADERS_MAX];
  memset(long_value, 'a', sizeof long_value);
  assert_true(st_reply_header_text(&reply, "X", ST_TEXT("y")));
  size_t len = reply.headers_len;
  assert_false(
      st_reply_header_text(&reply, "X", (subtoken_text){long_value, sizeof long_value - len}));
  assert_int_equal(reply.headers_len, len);
}

/* Other issuers' tokens under the same secret may have several audiences. */
static void each_audience_is_told(void **state) {
  (void)state;
  char payload[512], form[1024];
  st_key *row = &fixture_row_of(KEY_ID)->key;
  snprintf(row->permissions, sizeof row->permissions, "account,introspect");
  snprintf(payload, sizeof payload,
           "{\"sub\":\"%s\",\"iat\":1700000000,\"exp\":1700003600,\"permissions\":[\"account\"],"
           "\"aud\":[\"web\",\"api\",\"eu\"]}",
           row->sub);
  subtoken_text token = good_token(payload);
  snprintf(form, sizeof form, "token=%.*s", (int)token.len, token.data);
  release(token);
  assert_int_equal(post("/oauth/introspect", AS_KEY AS_FORM, form), 200);
  check_says("\"aud\":[\"web\",\"api\",\"eu\"]");
}

/* Of an address that is longer than any the audit line says nothing, rather than a part
 * (fixture_check_audit). */
static void an_address_is_told_whole_or_not(void **state) {
  (void)state;
  char address[sizeof((st_audit_buffers *)0)->from + 1] = "";
  memset(address, 'a', sizeof address - 2);
  fixture_remote = address;
  assert_int_equal(
      post("/v2/keys", AS_JSON_KEY, "{\"name\":\"one\",\"permissions\":[\"account\"]}"), 201);
  address[sizeof address - 2] = 'a';
  assert_int_equal(
      post("/v2/keys", AS_JSON_KEY, "{\"name\":\"two\",\"permissions\":[\"account\"]}"), 201);
  assert_string_equal(fixture.who, "key " KEY_ID);
}

/* What was made with it is not told of a reply that did not fit: it stays none. */
static void what_did_not_fit_is_not_mended(void **state) {
  (void)state;
  char text[16];
  const st_derived made = {.keys = 1, .users = 1};
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_truncated(&writer, "{\"a\":\"too long for it\"}");
  assert_true(writer.overflow);
  st_made_write(&writer, &made);
  assert_true(writer.overflow);
  writer = st_writer_on(text, sizeof text);
  st_made_write(&writer, &made);
  assert_true(writer.len == 0 && !writer.overflow);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_path_that_is_longer_than_a_route_is_none, fixture_set_up),
      cmocka_unit_test_setup(a_page_of_keys_ends_where_the_next_does_not_fit, fixture_set_up),
      cmocka_unit_test_setup(a_preview_of_too_much_tells_the_rest, fixture_set_up),
      cmocka_unit_test_setup(a_preview_with_many_problems_stays_whole, fixture_set_up),
      cmocka_unit_test_setup(a_header_that_came_twice_is_no_answer, fixture_set_up),
      cmocka_unit_test_setup(other_headers_are_passed_over, fixture_set_up),
      cmocka_unit_test_setup(what_cannot_be_read_is_refused, fixture_set_up),
      cmocka_unit_test_setup(a_reply_is_whole_or_empty, fixture_set_up),
      cmocka_unit_test_setup(each_audience_is_told, fixture_set_up),
      cmocka_unit_test_setup(an_address_is_told_whole_or_not, fixture_set_up),
      cmocka_unit_test(what_did_not_fit_is_not_mended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
