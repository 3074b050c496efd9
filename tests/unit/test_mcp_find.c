/* mcp_find: the order of calls, and the one that is found among many. test_mcp.c has what a call
 * of each kind needs.
 */
#include "core/mcp_find.h"

#include "policy_fixture.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_are_in_one_order),
      cmocka_unit_test(each_call_is_found_among_all),
      cmocka_unit_test(a_call_is_found_among_others_like_it),
      cmocka_unit_test(a_method_has_its_characters),
  };
  return cmocka_run_group_tests_name("mcp_find", tests, NULL, NULL);
}
