/* mcp_name: each code point at each end of a name, and the URIs that parsers would change. */
#include "core/mcp_name.h"

#include "support.h"

/* As standards list them; the functions compare ranges. */
static const uint32_t spaces[] = {
    0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
    0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
    0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF,
};

static bool is_space(uint32_t code) {
  for (size_t i = 0; i < COUNT(spaces); i++) {
    if (spaces[i] == code) return true;
  }
  return false;
}

static bool is_odd(uint32_t code) {
  bool control = code <= 0x1F || (code >= 0x7F && code <= 0x9F);
  return control || code == 0x2028 || code == 0x2029 || code == 0xFEFF;
}

static size_t utf8(uint32_t code, char *out) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = len - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
  out[0] = (char)((0xF00U >> len & 0xF0U) | code);
  return len;
}

static void check_code(uint32_t code) {
  static const char *const around[][2] = {{"", ""}, {"", "x"}, {"x", ""}, {"\xC3\xA9", "\xC3\xA9"}};
  for (size_t i = 0; i < COUNT(around); i++) {
    char name[12];
    size_t front = strlen(around[i][0]), len = front;
    memcpy(name, around[i][0], front);
    len += utf8(code, name + len);
    memcpy(name + len, around[i][1], strlen(around[i][1]));
    subtoken_text text = exact(name, len + strlen(around[i][1]));
    bool at_end = i < 3;
    CHECK(st_mcp_name_clear(text) == !is_odd(code), "U+%04X %zu", code, i);
    CHECK(st_mcp_name_trimmed(text) == !(at_end && is_space(code)), "U+%04X %zu", code, i);
    CHECK(st_mcp_name_marked(text) == (front == 0 && code == 0xFEFF), "U+%04X %zu", code, i);
    release(text);
  }
}

static void each_character_is_known_at_each_place(void **state) {
  (void)state;
  for (uint32_t code = 0; code <= 0x110; code++) check_code(code);
  for (uint32_t code = 0x167E; code <= 0x1682; code++) check_code(code);
  for (uint32_t code = 0x1FFE; code <= 0x2062; code++) check_code(code);
  for (uint32_t code = 0x2FFE; code <= 0x3002; code++) check_code(code);
  for (uint32_t code = 0xFEFE; code <= 0xFF01; code++) check_code(code);
  for (uint32_t code = 0x10FFFE; code <= 0x10FFFF; code++) check_code(code);
}

static void what_is_no_utf8_is_neither(void **state) {
  (void)state;
  static const char *const rows[] = {"\xFF", "\x80", "a\xC3", "\xC3", "\x80\x80\x80", "\xEF\xBB"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i]);
    CHECK(!st_mcp_name_clear(text), "row %zu", i);
    CHECK(!st_mcp_name_trimmed(text), "row %zu", i);
    CHECK(!st_mcp_name_marked(text), "row %zu", i);
    release(text);
  }
  assert_false(st_mcp_name_clear(ST_TEXT("a\x80")));
  subtoken_text none = exact("", 0);
  assert_true(st_mcp_name_clear(none) && st_mcp_name_trimmed(none) && !st_mcp_name_marked(none));
  release(none);
}

static void a_uri_that_parsers_change_is_told(void **state) {
  (void)state;
  static const struct {
    const char *uri;
    char problem; /* b: a blank; u: upper case; else none */
  } rows[] = {
      {"", 0},       {"a", 0},         {"A", 0},       {"a:", 0},          {"A:", 'u'},
      {"Z:x", 'u'},  {"z:x", 0},       {"zZ:x", 'u'},  {"aA:x", 'u'},      {"z0:X", 0},
      {"a0Z:", 'u'}, {"a9Z:", 'u'},    {"a/Z:", 0},    {"a;Z:", 0},        {"a+Z:", 'u'},
      {"a-Z:", 'u'}, {"a.Z:", 'u'},    {"a,Z:", 0},    {"a*Z:", 0},        {"0Z:", 0},
      {":Z", 0},     {"@Z:", 0},       {"[Z:", 0},     {"`Z:", 0},         {"{Z:", 0},
      {"a@Z:", 0},   {"a[Z:", 0},      {"a`Z:", 0},    {"a{Z:", 0},        {"z_Z:", 0},
      {"a b", 'b'},  {"a\x7F", 'b'},   {"a\x1F", 'b'}, {" ", 'b'},         {"a!", 0},
      {"a~", 0},     {"\xC3\xA9:", 0}, {"a:\x80", 0},  {"FILE:///x", 'u'}, {"file:///X", 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text uri = exact_string(rows[i].uri);
    const char *problem = st_mcp_uri_problem(uri);
    const char *want = rows[i].problem == 'b'   ? "has a URI with a blank or a control character"
                       : rows[i].problem == 'u' ? "has a URI whose scheme is not in lower case"
                                                : "";
    CHECK(strcmp(problem == NULL ? "" : problem, want) == 0, "%s", rows[i].uri);
    release(uri);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_character_is_known_at_each_place),
      cmocka_unit_test(what_is_no_utf8_is_neither),
      cmocka_unit_test(a_uri_that_parsers_change_is_told),
  };
  return cmocka_run_group_tests_name("mcp_name", tests, NULL, NULL);
}
