/* mcp_message, mcp_header: members that some server reads as others, ids of each length, text that
 * ends in the middle; and names in headers, which agree with a message or not. test_mcp.c has what
 * comes of whole calls.
 */
#include "core/mcp_message.h"

#include "core/mcp_header.h"

#include "policy_fixture.h"

/* ---- messages ---- */

static bool reads(const char *text, size_t len, st_mcp_message *message, st_json *json) {
  static char *copy; /* views of the message are of it, until the next one is read */
  free(copy);
  copy = malloc(len > 0 ? len : 1);
  if (copy == NULL) abort();
  memcpy(copy, text, len);
  memset(message, 0x5A, sizeof *message);
  st_json_start(json, copy, len);
  return st_mcp_message_read(json, message);
}

static bool reads_string(const char *text, st_mcp_message *message) {
  st_json json;
  return reads(text, strlen(text), message, &json);
}

static void a_message_is_read_in_one_way_only(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool good;
    const char *id; /* as it is repeated; "" none */
  } rows[] = {
      {"{\"id\":1,\"method\":\"ping\"}", true, "1"},
      {"{\"id\":\"a\",\"method\":\"ping\"}", true, "\"a\""},
      {"{\"id\":null,\"method\":\"ping\"}", true, ""},
      {"{\"id\":[1],\"method\":\"ping\"}", true, ""},
      {"{\"id\":01,\"method\":\"ping\"}", false, ""},
      {"{\"id\":1e,\"method\":\"ping\"}", false, ""},
      {"{\"id\":\"\\x\",\"method\":\"ping\"}", false, ""},
      {"{\"id\":nul,\"method\":\"ping\"}", false, ""},
      {"{\"id\":0.000000000000000000000000000000000000000000000000000000000000000000000000000000000"
       "000000000000000000000000000000000000000000000000000000000000,\"method\":\"ping\"}",
       true, ""},
      {"{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123\",\"result\":1}",
       true, "\"0123456789012345678901234567890123456789012345678901234567890123\""},
      {"{\"id\":\"01234567890123456789012345678901234567890123456789012345678901234\",\"result\":"
       "1}",
       true, ""},
      {"{\"method\":1}", false, ""},
      {"{\"method\":\"\\x\"}", false, ""},
      {"{\"method\":\"ping\",\"result\":1}", false, ""},
      {"{\"method\":\"ping\",\"error\":1}", false, ""},
      {"{\"result\":1}", true, ""},
      {"{}", false, ""},
      {"[]", false, ""},
      {"1", false, ""},
      {"{\"method\":\"ping\",\"x\":tru}", false, ""},
      {"{\"method\":\"ping\",\"x\":true}", true, ""},
      {"{\"method\":\"ping\",\"METHOD\":1}", false, ""},
      {"{\"method\":\"ping\",\"jsonRpc\":1}", false, ""},
      {"{\"method\":\"ping\",\"jsonrpc\":1}", true, ""},
      {"{\"method\":\"ping\",\"\\u017f\":1}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}}", true, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"NAME\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"Uri\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"taskid\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"\\u0131\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"other\":1}}", true, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"other\":tru}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"\\x\"}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":tru}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"", false, ""},
      {"{\"method\":\"tools/call\",\"params\":[]}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":[}", false, ""},
      {"{\"method\":\"tools/call\"}", false, ""},
      {"{\"method\":\"tasks/get\",\"params\":{\"taskId\":\"a\"}}", true, ""},
      {"{\"method\":\"resources/read\",\"params\":{\"uri\":\"a:b\"}}", true, ""},
      {"{\"method\":\"resources/read\",\"params\":{\"uri\":\"A:b\"}}", false, ""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_json json;
    st_mcp_message message;
    subtoken_text text = exact_string(rows[i].text);
    st_json_start(&json, (char *)(uintptr_t)text.data, text.len);
    bool good = st_mcp_message_read(&json, &message);
    CHECK(good == rows[i].good, "row %zu: %s", i, rows[i].text);
    if (good) {
      CHECK(st_text_is((subtoken_text){message.id, message.id_len}, rows[i].id), "row %zu", i);
    }
    release(text);
  }
}

static void a_member_that_misleads_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool good;
  } rows[] = {
      {"{\"method\":\"x\"}", true},
      {"{\"method\":\"x\",\"a\":1}", true},
      {"{\"method\":\"x\",\"\":1}", true},
      {"{\"method\":\"x\",\"A\":1}", true},
      {"{\"method\":\"x\",\"\x7F\":1}", true},
      {"{\"method\":\"x\",\"\xC2\x80\":1}", false},
      {"{\"method\":\"x\",\"a\xC5\xBF\":1}", false},
      {"{\"method\":\"x\",\"jsonrpc\":\"2.0\"}", true},
      {"{\"method\":\"x\",\"jsonrpC\":\"2.0\"}", false},
      {"{\"method\":\"x\",\"Jsonrpc\":\"2.0\"}", false},
      {"{\"method\":\"x\",\"iD\":1}", false},
      {"{\"method\":\"x\",\"methoD\":1}", false},
      {"{\"method\":\"x\",\"Params\":1}", false},
      {"{\"method\":\"x\",\"resulT\":1}", false},
      {"{\"method\":\"x\",\"erroR\":1}", false},
      {"{\"method\":\"x\",\"eRror\":1}", false},
      {"{\"method\":\"x\",\"result\":1}", false},
      {"{\"method\":\"x\",\"error\":1}", false},
      {"{\"result\":1}", true},
      {"{\"error\":1}", true},
      {"{\"id\":1}", false},
      {"{\"method\":1}", false},
      {"{\"method\":null}", false},
      {"{\"method\":{}}", false},
      {"{\"method\":\"\"}", false},
      {"[]", false},
      {"1", false},
      {"\"\"", false},
      /* a name that is no string is none */
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"n\"}}", true},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":1}}", false},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":[\"n\"]}}", false},
      {"{\"method\":\"tools/call\",\"params\":[\"n\"]}", false},
      {"{\"method\":\"tools/call\",\"params\":null}", false},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"n\",\"\x7F\":1}}", true},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"n\",\"\xC2\x80\":1}}", false},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"n\",\"namE\":1}}", false},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"n\",\"Uri\":1}}", false},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"n\",\"taskid\":1}}", false},
      {"{\"method\":\"x\",\"params\":{\"namE\":1,\"\xC2\x80\":1}}", true},
      {"{\"method\":\"x\",\"params\":[1,{}]}", true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_mcp_message message;
    CHECK(reads_string(rows[i].text, &message) == rows[i].good, "%s", rows[i].text);
  }
}

/* What is wrong within any value makes all of it no message; so does any end but the last. */
static void a_value_that_is_no_json_is_refused(void **state) {
  (void)state;
  static const char *const fronts[] = {
      "\"method\":\"x",
      "\"method\":\"x\",\"id\":",
      "\"method\":\"x\",\"id\":\"",
      "\"method\":\"x\",\"params\":",
      "\"method\":\"x\",\"params\":{\"name\":",
      "\"method\":\"x\",\"params\":{\"name\":\"",
      "\"method\":\"x\",\"params\":{\"uri\":",
      "\"method\":\"x\",\"params\":{\"taskId\":",
      "\"method\":\"x\",\"params\":{\"b\":",
      "\"method\":\"x\",\"params\":{\"b\":1,",
      "\"method\":\"x\",\"other\":",
      "\"method\":\"x\",",
      "\"error\":",
  };
  static const char *const wrongs[] = {"",  "\x01", "tru", "-", "01",
                                       "[", "\\",   ",}",  "}", "\x01}}"};
  char text[200];
  st_mcp_message message;
  for (size_t i = 0; i < COUNT(fronts); i++) {
    for (size_t j = 0; j < COUNT(wrongs); j++) {
      snprintf(text, sizeof text, "{%s%s", fronts[i], wrongs[j]);
      CHECK(!reads_string(text, &message), "%s", text);
    }
  }
  static const char whole[] =
      "{\"params\":{\"name\":\"n\",\"x\":[1]},\"id\":\"\\u00e9\",\"method\":\"tools/call\","
      "\"other\":{\"a\":1}}";
  assert_true(reads_string(whole, &message));
  assert_true(st_text_is(message.name, "n") && st_text_is(message.method, "tools/call"));
  for (size_t len = 0; len < sizeof whole - 1; len++) {
    st_json json;
    CHECK(!reads(whole, len, &message, &json), "%zu", len);
  }
}

/* A number as it is written, a string as JSON writes it; what is too long is not repeated. */
static void an_id_is_repeated_or_left_out(void **state) {
  (void)state;
  char text[400];
  st_mcp_message message;
  for (size_t len = 1; len <= SUBTOKEN_MCP_ID_MAX + 4; len++) {
    int at = snprintf(text, sizeof text, "{\"method\":\"x\",\"id\":");
    memset(text + at, '7', len);
    memcpy(text + at + len, "}", 2);
    assert_true(reads_string(text, &message));
    size_t want = len < SUBTOKEN_MCP_ID_MAX ? len : 0;
    CHECK(message.id_len == want, "%zu: %zu", len, message.id_len);
    for (size_t i = 0; i < want; i++) assert_true(message.id[i] == '7');
  }
  /* Up to 64 bytes; these take two characters each in JSON, and the room ends one earlier. */
  for (size_t len = 0; len <= 70; len++) {
    for (size_t each = 1; each <= 2; each++) {
      int at = snprintf(text, sizeof text, "{\"id\":\"");
      for (size_t i = 0; i < each * len; i++) text[at + (int)i] = each == 2 ? '\\' : 'a';
      memcpy(text + at + each * len, "\",\"method\":\"x\"}", 16);
      assert_true(reads_string(text, &message));
      size_t want = len <= 64 && each * len + 2 < SUBTOKEN_MCP_ID_MAX ? each * len + 2 : 0;
      CHECK(message.id_len == want, "%zu: %zu", len, message.id_len);
      CHECK(memcmp(message.id, text + at - 1, want) == 0, "%zu", len);
    }
  }
  static const char *const none[] = {"null", "true", "[1]", "{}"};
  for (size_t i = 0; i < COUNT(none); i++) {
    snprintf(text, sizeof text, "{\"method\":\"x\",\"id\":%s}", none[i]);
    CHECK(reads_string(text, &message) && message.id_len == 0, "%s", text);
  }
}

/* ---- headers ---- */

static const subtoken_text absent = {NULL, 0};

static void a_name_in_a_header_is_plain_or_encoded(void **state) {
  (void)state;
  static const struct {
    const char *value, *name; /* NULL: none */
  } rows[] = {{"search", "search"},
              {"", ""},
              {"=", "="},
              {"?=", "?="},
              {"=?base64?=", NULL},
              {"=?base64?"
               "?=",
               ""},
              {"=?base64?YQ==?=", "a"},
              {"=?base64?YQ==?", "=?base64?YQ==?"},
              {"=?base64?YQ?=", NULL},
              {"=?base64?/w==?=", NULL},
              {"=?base64?77u/YQ==?=", NULL}, /* U+FEFF in front */
              {"a\tb", "a\tb"},
              {"~", "~"},
              {"\x7F", NULL},
              {"\x1F"
               "a",
               NULL},
              {"=?base64?", "=?base64?"},
              {"a\x1F", NULL},
              {"a\x7F", NULL}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char decoded[ST_MCP_HEADER_NAME_MAX];
    subtoken_text name, value = exact_string(rows[i].value);
    bool good = st_mcp_header_read_name(value, decoded, &name);
    CHECK(good == (rows[i].name != NULL), "row %zu", i);
    if (good) CHECK(st_text_is(name, rows[i].name), "row %zu", i);
    release(value);
  }
}

/* What could be an encoded word is one, or is not sure; what was decoded is no such word. */
static void a_name_is_sure_or_not(void **state) {
  (void)state;
  static const struct {
    const char *value;
    bool sure;
  } rows[] = {{"a", true},    {"", false},   {"=?", false},  {"=?a", false},
              {"=a", true},   {"?=a", true}, {"a=?b", true}, {"=?base64?PT9h?=", true},
              {"a\tb", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char decoded[ST_MCP_HEADER_NAME_MAX];
    subtoken_text name, value = exact_string(rows[i].value);
    assert_true(st_mcp_header_read_name(value, decoded, &name));
    CHECK(st_mcp_header_is_sure(value, name) == rows[i].sure, "%s", rows[i].value);
    release(value);
  }
}

/* An empty header says something; what is absent in a message agrees with none. */
static void a_header_agrees_with_what_is_there(void **state) {
  (void)state;
  const subtoken_text a = ST_TEXT("a"), empty = ST_TEXT("");
  st_mcp_headers headers = {false, false, absent, absent};
  assert_true(st_mcp_header_agrees(&headers, absent, absent));
  headers.has_method = true;
  headers.method = empty;
  assert_false(st_mcp_header_agrees(&headers, absent, absent));
  assert_true(st_mcp_header_agrees(&headers, empty, absent));
  headers.method = a;
  assert_true(st_mcp_header_agrees(&headers, a, absent));
  assert_false(st_mcp_header_agrees(&headers, empty, absent));
  headers.has_name = true;
  headers.name = empty;
  assert_false(st_mcp_header_agrees(&headers, a, absent));
  assert_true(st_mcp_header_agrees(&headers, a, empty));
  assert_false(st_mcp_header_agrees(&headers, a, a));
  headers.name = ST_TEXT("\x7F");
  assert_false(st_mcp_header_agrees(&headers, a, headers.name));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_message_is_read_in_one_way_only),
      cmocka_unit_test(a_member_that_misleads_is_refused),
      cmocka_unit_test(a_value_that_is_no_json_is_refused),
      cmocka_unit_test(an_id_is_repeated_or_left_out),
      cmocka_unit_test(a_name_in_a_header_is_plain_or_encoded),
      cmocka_unit_test(a_name_is_sure_or_not),
      cmocka_unit_test(a_header_agrees_with_what_is_there),
  };
  return cmocka_run_group_tests_name("mcp_message", tests, NULL, NULL);
}
