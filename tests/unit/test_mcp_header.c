/* mcp_header: a name in a header is plain or encoded, and agrees with the message or not. */
#include "core/mcp_header.h"

#include "support.h"

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
      cmocka_unit_test(a_name_in_a_header_is_plain_or_encoded),
      cmocka_unit_test(a_name_is_sure_or_not),
      cmocka_unit_test(a_header_agrees_with_what_is_there),
  };
  return cmocka_run_group_tests_name("mcp_header", tests, NULL, NULL);
}
