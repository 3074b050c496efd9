/* body: named fields of a JSON body, read strictly. */
#include "support.h"

#include "service/json_body.h"
#include "service/reply.h"

enum { TEXT, FLAG, LIST, SPAN, FIELDS };
static st_field fields[FIELDS];
static st_reply reply;
static char *scratch; /* a block of its exact size */

static int set_up(void **state) {
  (void)state;
  scratch = malloc(ST_BODY_SCRATCH);
  return scratch == NULL ? -1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  free(scratch);
  return 0;
}

static bool read_as(const char *const *types, size_t count, subtoken_text body) {
  st_header headers[3];
  static st_context context;
  for (size_t i = 0; i < count; i++) {
    headers[i] = (st_header){ST_TEXT("content-TYPE"), exact_string(types[i])};
  }
  st_request request = {
      .method = ST_TEXT("POST"), .headers = headers, .header_count = count, .body = body};
  memset(&context, 0, sizeof context);
  memset(&reply, 0, sizeof reply);
  memset(scratch, 0x5A, ST_BODY_SCRATCH);
  context.request = &request;
  context.reply = &reply;
  memset(fields, 0x5A, sizeof fields);
  fields[TEXT].name = "text";
  fields[TEXT].type = ST_FIELD_TEXT;
  fields[FLAG].name = "flag";
  fields[FLAG].type = ST_FIELD_BOOL;
  fields[LIST].name = "list";
  fields[LIST].type = ST_FIELD_PERMISSIONS;
  fields[SPAN].name = "span";
  fields[SPAN].type = ST_FIELD_DURATION;
  const st_problem *problem = st_json_body_read(&context, fields, FIELDS, scratch);
  for (size_t i = 0; i < count; i++) release(headers[i].value);
  if (problem != NULL) st_reply_problem(&reply, problem);
  return problem == NULL;
}

static bool read_body(const char *body) {
  static const char *const type = "application/json";
  subtoken_text text = exact_string(body);
  bool good = read_as(&type, 1, text);
  release(text);
  return good;
}

static void check_refused(const char *start) {
  char expected[200];
  snprintf(expected, sizeof expected, "{\"text\":\"%s", start);
  CHECK(reply.status == 400 && reply.body_len >= strlen(expected) &&
            memcmp(reply.body, expected, strlen(expected)) == 0,
        "%d %.*s, not %s", reply.status, (int)reply.body_len, reply.body, expected);
  assert_string_equal(reply.event.name, "bad_request");
}

static void check_text(const st_field *field, const char *expected) {
  CHECK(st_text_is(field->text, expected), "%.*s", (int)field->text.len, field->text.data);
}

static void all_fields_are_read(void **state) {
  (void)state;
  assert_true(
      read_body(" {\"other\":{\"text\":[1,{\"flag\":null}]},\"list\":[\"b\",\"a\"],"
                "\"text\":\"\\u00e9\\n\\\"\",\"flag\":true,\"span\":\"24h\"} "));
  for (size_t i = 0; i < FIELDS; i++) assert_true(fields[i].given);
  check_text(&fields[TEXT], "\xC3\xA9\n\"");
  assert_true(fields[FLAG].flag);
  check_text(&fields[LIST], "b,a");
  assert_int_equal(reply.status, 0);
  assert_true(read_body("{\"flag\":false,\"text\":\"\",\"list\":[]}"));
  assert_true(fields[FLAG].given && !fields[FLAG].flag);
  assert_true(fields[TEXT].given && fields[TEXT].text.len == 0);
  assert_true(fields[LIST].given && fields[LIST].text.len == 0);
}

static void missing_fields_are_not_given(void **state) {
  (void)state;
  static const char *const bodies[] = {"{}", "{\"Text\":\"a\",\"flag \":true,\"lis\":[\"a\"]}"};
  for (size_t i = 0; i < COUNT(bodies); i++) {
    assert_true(read_body(bodies[i]));
    for (size_t j = 0; j < FIELDS; j++) {
      CHECK(!fields[j].given && !fields[j].flag && fields[j].text.len == 0, "%s", fields[j].name);
    }
  }
}

static void a_wrong_type_is_named(void **state) {
  (void)state;
  static const char *const values[] = {"1",   "nul",     "true",     "\"x\"",  "{}",
                                       "[1]", "[[]]",    "[null]",   "[{}]",   "-1",
                                       "[]",  "[\"a\"]", "\"true\"", "[true]", "0"};
  static const char *const names[FIELDS] = {"text", "flag", "list", "span"};
  static const char *const texts[FIELDS] = {
      "text: must be a string\"}", "flag: must be true or false\"}",
      "list: must be an array of strings\"}", "span: must be a number of seconds, or "};
  char body[100];
  for (size_t i = 0; i < COUNT(values); i++) {
    for (size_t field = 0; field < FIELDS; field++) {
      bool good = field == TEXT   ? values[i][0] == '"'
                  : field == FLAG ? strcmp(values[i], "true") == 0
                  : field == SPAN ? values[i][0] == '0' || values[i][0] == '1'
                                  : strcmp(values[i], "[]") == 0 || values[i][1] == '"';
      if (field == LIST && values[i][0] != '[') good = false;
      snprintf(body, sizeof body, "{\"%s\":%s}", names[field], values[i]);
      CHECK(read_body(body) == good, "%s: %.*s", body, (int)reply.body_len, reply.body);
      assert_true(fields[field].given == good);
      bool json = strcmp(values[i], "nul") != 0;
      if (!good) check_refused(json ? texts[field] : "body: must be one JSON object");
    }
  }
}

static void spans_are_read_in_each_form(void **state) {
  (void)state;
  static const struct {
    const char *value;
    int64_t seconds; /* -1: refused */
  } rows[] = {{"0", 0},
              {"86400", 86400},
              {"\"0\"", 0},
              {"\"24h\"", 86400},
              {"\"30d\"", 2592000},
              {"\"90\"", 90},
              {"\"1m\"", 60},
              {"\"\"", -1},
              {"\"h\"", -1},
              {"\"1 h\"", -1},
              {"\"-1h\"", -1},
              {"\"1.5h\"", -1},
              {"1.5", -1},
              {"1e3", -1},
              {"-1", -1},
              {"\"1w\"", -1},
              {"9007199254740991", INT64_C(9007199254740991)},
              {"9007199254740992", -1},
              {"\"9007199254740991d\"", -1}};
  char body[100];
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(body, sizeof body, "{\"span\":%s}", rows[i].value);
    bool read = read_body(body);
    CHECK(read == (rows[i].seconds >= 0), "%s: %.*s", body, (int)reply.body_len, reply.body);
    if (read) {
      CHECK(fields[SPAN].given && fields[SPAN].number == rows[i].seconds, "%s", body);
    } else {
      check_refused("span: must be a number of seconds, or ");
    }
  }
}

/* D14: as Go, Jackson and System.Text.Json write what is not given. */
static void null_is_as_if_missing(void **state) {
  (void)state;
  assert_true(read_body("{\"text\":null,\"flag\":null,\"list\": null }"));
  for (size_t i = 0; i < FIELDS; i++) {
    assert_false(fields[i].given || fields[i].flag || fields[i].text.len > 0);
  }
  assert_true(read_body("{\"text\":\"a\",\"flag\":null,\"other\":null}"));
  assert_true(fields[TEXT].given && !fields[FLAG].given);
  static const char *const wrong[] = {"{\"text\":null,\"text\":\"a\"}",
                                      "{\"text\":Null}",
                                      "{\"text\":nulls}",
                                      "{\"text\":nil}",
                                      "{\"text\":n}",
                                      "null",
                                      "{\"text\":null"};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    CHECK(!read_body(wrong[i]), "%s", wrong[i]);
    check_refused("body: must be one JSON object");
  }
  assert_false(read_body("{\"list\":[null]}"));
  check_refused("list: must be an array of strings");
}

static void only_one_strict_object_is_read(void **state) {
  (void)state;
  static const char *const bodies[] = {"",
                                       " ",
                                       "[]",
                                       "\"text\"",
                                       "{",
                                       "{}{}",
                                       "{}x",
                                       "{\"text\":\"a\",\"text\":\"a\"}",
                                       "{\"text\":\"a\",\"\\u0074ext\":\"b\"}",
                                       "{\"flag\":true,\"flag\":true}",
                                       "{\"list\":[],\"list\":[]}",
                                       "{\"other\":1,\"other\":2}",
                                       "{\"text\":\"a\",}",
                                       "{\"text\":\"\\u0000\"}",
                                       "{\"text\":\"\xFF\"}",
                                       "{\"text\":\"a}",
                                       "{\"list\":[\"a\"}",
                                       "{\"list\":[\"a\",]}",
                                       "{\"list\":[\"a\"",
                                       "{'text':'a'}",
                                       "{\"text\":\"a\"/**/}",
                                       "{\"other\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}",
                                       "text=a&flag=true"};
  for (size_t i = 0; i < COUNT(bodies); i++) {
    CHECK(!read_body(bodies[i]), "%s", bodies[i]);
    check_refused("body: must be one JSON object without duplicate names\"}");
  }
  static const char *const type = "application/json";
  assert_false(read_as(&type, 1, (subtoken_text){NULL, 0})); /* as where there is none */
  check_refused("body: must be one JSON");
}

/* ---- permissions ---- */

static void permissions_are_read_as_a_list(void **state) {
  (void)state;
  static const char invalid[] =
      "list: each must be 1 to 64 characters without space, quote, comma or backslash\"}";
  static const char *const wrong[] = {"",     " ",        "a b",      "a,b",     "\\\"",
                                      "\\\\", "a\\u0001", "\xC3\xAB", "\\u007f", "a\\n"};
  char body[200];
  for (size_t i = 0; i < COUNT(wrong); i++) {
    snprintf(body, sizeof body, "{\"list\":[\"good\",\"%s\"]}", wrong[i]);
    CHECK(!read_body(body), "%s", wrong[i]);
    check_refused(invalid);
    assert_false(fields[LIST].given);
  }
  for (int len = 64; len <= 65; len++) {
    snprintf(body, sizeof body, "{\"list\":[\"%0*d\"]}", len, 7);
    assert_true(read_body(body) == (len == 64));
  }
  check_refused(invalid);
  assert_true(read_body("{\"list\":[\"b\",\"a\",\"b\",\"ab\",\"a\",\"b\"]}"));
  check_text(&fields[LIST], "b,a,ab");
  assert_true(read_body("{\"list\":[\"a\",\"\\u0061\",\"A\"]}"));
  check_text(&fields[LIST], "a,A");
}

/* {"list":[...]}: so many, of so many characters, the last of them as often again. */
static const char *many(int count, int width, int again) {
  static char body[16384];
  st_writer writer = st_writer_on(body, sizeof body);
  char one[100];
  st_write_literal(&writer, "{\"list\":[");
  for (int i = 0; i < count + again; i++) {
    snprintf(one, sizeof one, "%s\"%0*d\"", i == 0 ? "" : ",", width, i < count ? i : count - 1);
    st_write_truncated(&writer, one);
  }
  st_write_literal(&writer, "]}");
  assert_true(st_writer_end(&writer));
  return body;
}

/* One behind the other in the scratch, and neither has a part of the other. */
static void a_body_may_have_two_lists(void **state) {
  (void)state;
  static char both[] = "{\"first\":[\"a\",\"b\",\"a\"],\"second\":[\"b\",\"c\",\"c\",\"b\",\"d\"]}";
  static const st_header header = {ST_TEXT("Content-Type"), ST_TEXT("application/json")};
  static st_context context;
  st_field lists[] = {{.name = "first", .type = ST_FIELD_PERMISSIONS, .number = 7},
                      {.name = "second", .type = ST_FIELD_PERMISSIONS, .number = 7}};
  st_request request = {.method = ST_TEXT("POST"),
                        .headers = &header,
                        .header_count = 1,
                        .body = {both, sizeof both - 1}};
  context.request = &request;
  memset(scratch, 0x5A, ST_BODY_SCRATCH);
  assert_null(st_json_body_read(&context, lists, 2, scratch));
  check_text(&lists[0], "a,b");
  check_text(&lists[1], "b,c,d");
  assert_true(lists[0].given && lists[1].given);
  assert_true(lists[0].number == 0 && lists[1].number == 0);
}

static void the_longest_list_fits(void **state) {
  (void)state;
  assert_true(read_body(many(SUBTOKEN_PERMISSIONS_MAX, SUBTOKEN_PERMISSION_MAX, 0)));
  assert_int_equal(fields[LIST].text.len,
                   SUBTOKEN_PERMISSIONS_MAX * (SUBTOKEN_PERMISSION_MAX + 1) - 1);
  assert_true(fields[LIST].text.len <= ST_PERMISSIONS_TEXT_MAX);
  assert_true(read_body(many(SUBTOKEN_PERMISSIONS_MAX, SUBTOKEN_PERMISSION_MAX, 20)));
  assert_int_equal(fields[LIST].text.len,
                   SUBTOKEN_PERMISSIONS_MAX * (SUBTOKEN_PERMISSION_MAX + 1) - 1);
  assert_true(read_body(many(SUBTOKEN_PERMISSIONS_MAX, 3, 900)));
  assert_false(read_body(many(SUBTOKEN_PERMISSIONS_MAX + 1, SUBTOKEN_PERMISSION_MAX, 0)));
  check_refused("list: too many entries (maximum 64)\"}");
  assert_false(read_body(many(SUBTOKEN_PERMISSIONS_MAX + 1, 3, 0)));
  check_refused("list: too many entries (maximum 64)\"}");
}

/* ---- the body as a whole ---- */

static void a_body_has_8192_bytes_at_most(void **state) {
  (void)state;
  char body[ST_REQUEST_BODY_MAX + 2];
  for (size_t len = ST_REQUEST_BODY_MAX; len <= ST_REQUEST_BODY_MAX + 1; len++) {
    memset(body, 'x', len);
    memcpy(body, "{\"text\":\"", 9);
    memcpy(body + len - 2, "\"}", 3);
    assert_true(read_body(body) == (len == ST_REQUEST_BODY_MAX));
    if (len == ST_REQUEST_BODY_MAX) assert_int_equal(fields[TEXT].text.len, len - 11);
  }
  check_refused("body: too long\"}");
}

/* A browser sends others across origins without asking. */
static void only_json_is_taken(void **state) {
  (void)state;
  static const struct {
    const char *types[3];
    size_t count;
    bool good;
  } rows[] = {
      {{"application/json"}, 1, true},
      {{"APPLICATION/JSON; charset=utf-8"}, 1, true},
      {{"application/json\t;x=\"text/plain\""}, 1, true},
      {{NULL}, 0, false},
      {{""}, 1, false},
      {{" "}, 1, false},
      {{"text/plain"}, 1, false},
      {{"text/plain; application/json"}, 1, false},
      {{"application/x-www-form-urlencoded"}, 1, false},
      {{"multipart/form-data"}, 1, false},
      {{"application/jsonp"}, 1, false},
      {{"application/json, text/plain"}, 1, false},
      {{" application/json"}, 1, false},
      {{"application/json", "application/json"}, 2, false},
      {{"application/json", "text/plain"}, 2, false},
      {{"text/plain", "application/json"}, 2, false},
      {{"application/x-www-form-urlencoded", "application/json"}, 2, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    bool good = read_as(rows[i].types, rows[i].count, ST_TEXT("{\"text\":\"a\"}"));
    CHECK(good == rows[i].good, "row %zu", i);
    CHECK(reply.status == (good ? 0 : 415), "row %zu: %d", i, reply.status);
    assert_true(fields[TEXT].given == good);
  }
}

static bool takes_no_body(st_context *context) {
  const st_problem *problem = st_json_body_none(context);
  if (problem != NULL) st_reply_problem(&reply, problem);
  return problem == NULL;
}

static void an_empty_body_is_told(void **state) {
  (void)state;
  static st_context context;
  st_request request = {.method = ST_TEXT("POST")};
  context.request = &request;
  context.reply = &reply;
  memset(&reply, 0, sizeof reply);
  assert_true(takes_no_body(&context));
  assert_int_equal(reply.status, 0);
  /* D15: what axios sends for nothing. */
  static const st_header json = {SUBTOKEN_TEXT("Content-Type"), SUBTOKEN_TEXT("application/json")};
  static const st_header plain = {SUBTOKEN_TEXT("Content-Type"), SUBTOKEN_TEXT("text/plain")};
  static const char *const empty[] = {"{}", " {} ", "{ }", "\r\n{\n\t}\n"};
  static const char *const others[] = {" ",      "x",  "{",    "{}{}",
                                       "{}x",    "[]", "null", "{\"a\":1}",
                                       "\"{}\"", "}{", "{\v}", "{}\xEF\xBB\xBF"};
  request.header_count = 1;
  for (size_t i = 0; i < COUNT(empty); i++) {
    request.body = st_text(empty[i]);
    request.headers = &json;
    CHECK(takes_no_body(&context), "%s", empty[i]);
    request.headers = &plain; /* which a browser sends across origins unasked */
    assert_false(takes_no_body(&context));
    check_refused("this call takes no body, or {} with Content-Type: application/json\"}");
  }
  request.headers = &json;
  for (size_t i = 0; i < COUNT(others); i++) {
    request.body = st_text(others[i]);
    CHECK(!takes_no_body(&context), "%s", others[i]);
    check_refused("this call takes no body, or {} with Content-Type: application/json\"}");
  }
  request.body.len = 0;
  context.credential.forms = ST_FORM_QUERY;
  assert_false(takes_no_body(&context));
  check_refused("access_token: must be in a header for this call\"}");
}

/* What a browser knows it sends along, whichever page sends a form without fields. */
static void a_page_cannot_ride_on_a_password(void **state) {
  (void)state;
  static st_context context;
  static const st_header form[] = {
      {SUBTOKEN_TEXT("Content-Type"), SUBTOKEN_TEXT("application/x-www-form-urlencoded")},
      {SUBTOKEN_TEXT("origin"), SUBTOKEN_TEXT("null")}};
  static const st_header script[] = {
      {SUBTOKEN_TEXT("Origin"), SUBTOKEN_TEXT("https://example.com")},
      {SUBTOKEN_TEXT("Content-Type"), SUBTOKEN_TEXT("application/json")}};
  st_request request = {.method = ST_TEXT("POST"), .headers = form, .header_count = 2};
  context.request = &request;
  context.reply = &reply;
  memset(&reply, 0, sizeof reply);
  for (int both = 0; both < 2; both++) {
    context.credential.forms = ST_FORM_BASIC | (both != 0 ? ST_FORM_QUERY : 0);
    assert_false(takes_no_body(&context));
    check_refused("body: must be {} with Content-Type: application/json");
  }
  context.credential.forms = ST_FORM_BEARER;
  assert_true(takes_no_body(&context));
  context.credential.forms = ST_FORM_BASIC;
  request.header_count = 1; /* a program */
  assert_true(takes_no_body(&context));
  request.headers = script;
  request.header_count = 2;
  assert_false(takes_no_body(&context));
  request.body = ST_TEXT("{}"); /* for which it asks first, and is not told that it may */
  assert_true(takes_no_body(&context));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(all_fields_are_read),
      TEST(missing_fields_are_not_given),
      TEST(a_wrong_type_is_named),
      TEST(spans_are_read_in_each_form),
      TEST(null_is_as_if_missing),
      TEST(only_one_strict_object_is_read),
      TEST(permissions_are_read_as_a_list),
      TEST(a_body_may_have_two_lists),
      TEST(the_longest_list_fits),
      TEST(a_body_has_8192_bytes_at_most),
      TEST(only_json_is_taken),
      TEST(an_empty_body_is_told),
      TEST(a_page_cannot_ride_on_a_password),
  };
  return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
