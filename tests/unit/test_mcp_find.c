/* mcp_find, mcp_name, mcp_reply: the order of calls and the one that is found among many, each code
 * point at each end of a name, and how many permissions a sentence names. test_mcp.c has what comes
 * of whole calls.
 */
#include "core/mcp_find.h"

#include "core/mcp_name.h"

#include "policy_fixture.h"

/* ---- finding ---- */

/* In blocks of their exact sizes, which are released with the key. */
static st_mcp_key key(const char *method, const char *name, st_policy_call_kind kind) {
  return (st_mcp_key){exact_string(method), exact_string(name), kind};
}

static int sign(int order) {
  return (order > 0) - (order < 0);
}

/* Each is before all that follow. */
static void calls_are_in_one_order(void **state) {
  (void)state;
  const st_mcp_key keys[] = {
      key("*", "", ST_POLICY_CALL_METHOD),  key("@b", "", ST_POLICY_CALL_METHOD),
      key("[b", "", ST_POLICY_CALL_METHOD), key("`b", "", ST_POLICY_CALL_METHOD),
      key("A", "", ST_POLICY_CALL_METHOD),  key("a", "", ST_POLICY_CALL_METHOD),
      key("AB", "", ST_POLICY_CALL_METHOD), key("Ab", "", ST_POLICY_CALL_METHOD),
      key("aB", "", ST_POLICY_CALL_METHOD), key("ab", "", ST_POLICY_CALL_METHOD),
      key("ab", "", ST_POLICY_CALL_ANY),    key("ab", "a", ST_POLICY_CALL_NAME),
      key("ab", "aa", ST_POLICY_CALL_NAME), key("ab", "ab", ST_POLICY_CALL_NAME),
      key("ab", "b", ST_POLICY_CALL_NAME),  key("abc", "", ST_POLICY_CALL_METHOD),
      key("b", "", ST_POLICY_CALL_METHOD),  key("Z", "", ST_POLICY_CALL_METHOD),
      key("z", "", ST_POLICY_CALL_METHOD),  key("{b", "", ST_POLICY_CALL_METHOD),
  };
  for (size_t i = 0; i < COUNT(keys); i++) {
    for (size_t j = 0; j < COUNT(keys); j++) {
      CHECK(sign(st_mcp_compare(&keys[i], &keys[j])) == (i > j) - (i < j), "%zu %zu", i, j);
    }
  }
  for (size_t i = 0; i < COUNT(keys); i++) {
    release(keys[i].method);
    release(keys[i].name);
  }
}

#define METHODS 13

/* Of each method there are some names, in some of the spellings that a method can have. */
static void each_call_is_found_among_all(void **state) {
  (void)state;
  static const char *const methods[METHODS] = {"a/b", "a/c", "b", "c1", "c2",         "c3", "d",
                                               "e",   "f",   "g", "h",  "tools/call", "zz"};
  for (size_t count = 1; count <= METHODS; count++) {
    char text[1024];
    st_writer writer = st_writer_on(text, sizeof text);
    st_write_literal(&writer, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/m\",\"mcp\":{");
    for (size_t i = 0; i < count; i++) {
      if (i > 0) st_write_char(&writer, ',');
      st_write_literal(&writer, "\"");
      st_write_literal(&writer, methods[(i * 5) % METHODS]);
      if (strcmp(methods[(i * 5) % METHODS], "tools/call") == 0) st_write_literal(&writer, " x");
      st_write_literal(&writer, "\":[\"n\"]");
    }
    st_write_literal(&writer, "}}]}");
    assert_true(st_writer_end(&writer));
    const subtoken_policy *policy = policy_of(text);
    const st_policy_route *route = &st_policy_routes(policy)[0];
    for (size_t i = 0; i < METHODS; i++) {
      const char *method = methods[(i * 5) % METHODS];
      const st_policy_call *found = (const void *)"x";
      subtoken_text name =
          strcmp(method, "tools/call") == 0 ? ST_TEXT("x") : (subtoken_text){NULL, 0};
      assert_true(st_mcp_find(policy, route, st_text(method), name, &found));
      CHECK((found != NULL) == (i < count), "%s among %zu", method, count);
      if (found != NULL) {
        subtoken_text member = st_policy_call_member(policy, found);
        CHECK(member.len >= strlen(method) && memcmp(member.data, method, strlen(method)) == 0,
              "%s", method);
      }
      /* Another spelling of a method that the policy or the protocol has is none. */
      char other[16];
      snprintf(other, sizeof other, "%s", method);
      other[0] = (char)(other[0] - 'a' + 'A');
      bool known = i < count || strcmp(method, "tools/call") == 0;
      CHECK(st_mcp_find(policy, route, st_text(other), name, &found) == !known, "%s among %zu",
            other, count);
    }
    drop(policy);
  }
}

/* Two spellings of one method are two methods, and a name that is absent has no `*`. */
static void a_call_is_found_among_others_like_it(void **state) {
  (void)state;
  static const struct {
    const char *method, *name; /* NULL: absent */
    const char *member;        /* NULL: none */
    bool clear;
  } rows[] = {
      {"x/A", NULL, "x/A", true},
      {"x/a", NULL, "x/a", true},
      {"X/a", NULL, NULL, false},
      {"tools/call", NULL, NULL, true},
      {"tools/call", "n", "tools/call *", true},
      {"tools/call", "", "tools/call *", true},
      {"tools/call", "m", "tools/call m", true},
      {"tools/list", "m", NULL, true},
  };
  const subtoken_policy *policy = policy_of(
      ONE("\"path\":\"/m\",\"mcp\":{\"x/a\":[\"n\"],\"tools/call *\":[\"n\"],\"x/A\":[\"n\"],"
          "\"tools/call m\":[\"n\"]}"));
  for (size_t i = 0; i < COUNT(rows); i++) {
    const st_policy_call *found = (const void *)"x";
    subtoken_text name = {rows[i].name, rows[i].name == NULL ? 0 : strlen(rows[i].name)};
    bool clear =
        st_mcp_find(policy, &st_policy_routes(policy)[0], st_text(rows[i].method), name, &found);
    CHECK(clear == rows[i].clear && (found != NULL) == (rows[i].member != NULL), "row %zu", i);
    if (found != NULL) {
      CHECK(st_text_is(st_policy_call_member(policy, found), rows[i].member), "row %zu", i);
    }
  }
  drop(policy);
}

static void a_method_has_its_characters(void **state) {
  (void)state;
  static const struct {
    const char *method;
    bool valid;
  } rows[] = {{"!", true},    {"~", true},   {" ", false},     {"\x7F", false}, {"", false},
              {"a b", false}, {" a", false}, {"a\x80", false}, {"a~!", true}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_mcp_method_valid(st_text(rows[i].method)) == rows[i].valid, "row %zu", i);
  }
  subtoken_text most = repeated("", 'a', SUBTOKEN_POLICY_MCP_METHOD_MAX);
  subtoken_text more = repeated("", 'a', SUBTOKEN_POLICY_MCP_METHOD_MAX + 1);
  assert_true(st_mcp_method_valid(most));
  assert_false(st_mcp_method_valid(more));
  release(most);
  release(more);
}

/* ---- names ---- */

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

/* ---- replies ---- */

static subtoken_mcp mcp;

static void lack(const char *need) {
  mcp.lacking[mcp.lacking_count++] = st_text(need);
}

#define X64 X60 "xxxx"

static void start(void) {
  mcp = (subtoken_mcp)SUBTOKEN_MCP_DEFAULT;
  memcpy(mcp.id, "null", 5);
  mcp.id_len = 4;
}

/* Six of 64 characters and the blanks between them are 389: another one has 10 in 400, with its
 * blank. */
static void so_many_permissions_are_named(void **state) {
  (void)state;
  static const struct {
    const char *next, *end;
  } rows[] = {
      {X10, " " X10 "\"}"},
      {X10 "x", " and 1 more\"}"},
      {X10 "x,a,b", " and 3 more\"}"}, /* none behind one that was left out */
      {"a,b,c,d,e", " a b c d e\"}"},
      {"a,b,c,d,e,f", " a b c d e and 1 more\"}"},
  };
  char out[SUBTOKEN_MCP_REPLY_MAX];
  for (size_t i = 0; i < COUNT(rows); i++) {
    start();
    for (int j = 0; j < 6; j++) lack(X64);
    st_cutter cutter = {st_text(rows[i].next), false};
    subtoken_text need;
    while (st_cut(&cutter, ',', &need)) mcp.lacking[mcp.lacking_count++] = need;
    size_t len = subtoken_mcp_reply(SUBTOKEN_PERM, &mcp, out, sizeof out);
    size_t front = strlen("{\"text\":\"requires scope ") + 389;
    CHECK(len == strlen(out) && len > front && strcmp(out + front, rows[i].end) == 0, "%s", out);
  }
}

static void memory_that_is_too_small_is_not_used(void **state) {
  (void)state;
  const subtoken_policy *policy = brief_policy_of(MCP_POLICY);
  static subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  char out[SUBTOKEN_CHALLENGE_MAX];
  start();
  lack("docs");
  mcp.line = 1;
  mcp.member = ST_TEXT("m");
  decision.line = 9;
  size_t reply = subtoken_mcp_reply(SUBTOKEN_PERM, &mcp, out, sizeof out);
  size_t challenge = subtoken_mcp_challenge(SUBTOKEN_PERM, &mcp, out, sizeof out);
  size_t sentence = subtoken_mcp_explain(policy, &decision, SUBTOKEN_PERM, &mcp, out, sizeof out);
  assert_string_equal(out, "line 1 of the policy, member \"m\"; lacking [docs]");
  assert_true(reply > 0 && challenge > 0);
  for (size_t size = 1; size <= challenge + 1; size++) {
    char *to = malloc(size);
    if (to == NULL) abort();
    memset(to, 'x', size);
    CHECK(
        subtoken_mcp_challenge(SUBTOKEN_PERM, &mcp, to, size) == (size > challenge ? challenge : 0),
        "%zu", size);
    CHECK(to[size > challenge ? challenge : 0] == '\0', "%zu", size);
    CHECK(subtoken_mcp_reply(SUBTOKEN_PERM, &mcp, to, size) == (size > reply ? reply : 0), "%zu",
          size);
    memset(to, 'x', size);
    size_t len = subtoken_mcp_explain(policy, &decision, SUBTOKEN_PERM, &mcp, to, size);
    CHECK(len <= size - 1 && len <= sentence && to[len] == '\0', "%zu", size);
    free(to);
  }
  /* An id may fill its room. */
  memset(mcp.id, '7', sizeof mcp.id);
  mcp.id_len = sizeof mcp.id;
  mcp.code = -32600;
  assert_true(subtoken_mcp_reply(SUBTOKEN_MALFORMED, &mcp, out, sizeof out) > sizeof mcp.id);
  assert_true(subtoken_mcp_explain(policy, &decision, SUBTOKEN_EXPIRED, &mcp, out, sizeof out) > 0);
  assert_string_equal(out, "expired");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_are_in_one_order),
      cmocka_unit_test(each_call_is_found_among_all),
      cmocka_unit_test(a_call_is_found_among_others_like_it),
      cmocka_unit_test(a_method_has_its_characters),
      cmocka_unit_test(each_character_is_known_at_each_place),
      cmocka_unit_test(what_is_no_utf8_is_neither),
      cmocka_unit_test(a_uri_that_parsers_change_is_told),
      cmocka_unit_test(so_many_permissions_are_named),
      cmocka_unit_test(memory_that_is_too_small_is_not_used),
  };
  return cmocka_run_group_tests_name("mcp_find", tests, NULL, NULL);
}
