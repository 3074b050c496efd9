/* policy_parse: what is wrong with the text of a policy, and where; lists at their limits. */
#include "policy_fixture.h"

#define A10 "AAAAAAAAAA"
#define JSON "not strict JSON"
#define SHORT "unexpected end of the text"
#define EMPTY "must not be empty: remove it or add an entry"

static void errors_name_line_and_column(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t line, column;
    const char *why;
  } rows[] = {
      {"", 1, 1, SHORT},
      {" \n ", 2, 2, SHORT},
      {"nothing", 1, 1, "must be an object"}, /* starts as null does */
      {"[]", 1, 1, "must be an object"},
      {"\n \"deny\"", 2, 2, "must be an object"},
      {"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"", 1, 1, "must be an object"},
      {"\xEF\xBB\xBF{}", 1, 1, "starts with a byte-order mark: save the file without one"},
      {"\xFF\xFE{", 1, 1,
       "starts with the byte-order mark of UTF-16: save the file as ASCII or UTF-8"},
      {"{}", 1, 1, "default is missing: deny, token or public"},
      {"\n\t{\"preflight\":true}", 2, 2, "default is missing: deny, token or public"},
      {"{", 1, 2, SHORT},
      {"{\"default\"", 1, 11, SHORT},
      {"{\"default\":\"deny\"", 1, 18, SHORT},
      {"{\"default\":\"deny\",}", 1, 19, JSON},
      {"{\"default\":\"deny\"} x", 1, 20, "unexpected text behind the policy"},
      {"{\"default\":\"deny\"}{}", 1, 19, "unexpected text behind the policy"},
      {"{\"default\":\"de\\ny\"}", 1, 12, "default: \"de\\x0ay\" must be deny, token or public"},
      {"{'default':'deny'}", 1, 2, JSON},
      {"{\"default\":deny}", 1, 12, "default: " JSON},
      {"{\"default\":null}", 1, 12, "default: must be a string"},
      {"{\"default\":1}", 1, 12, "default: must be a string"},
      {"{\"default\":\"\"}", 1, 12, "default: \"\" must be deny, token or public"},
      {"{\"default\":\n  \"allow\"}", 2, 3, "default: \"allow\" must be deny, token or public"},
      {"{\"default\":\"Deny\"}", 1, 12, "default: \"Deny\" must be deny, token or public"},
      {"{\"default\":\"deny\",\n \"default\":\"public\"}", 2, 2, "\"default\" is a duplicate"},
      {"{\"default\":\"deny\",\"def\\u0061ult\":\"public\"}", 1, 19, JSON}, /* twice, unseen */
      {"{\"defualt\":\"deny\"}", 1, 2, "\"defualt\" is not a known member"},
      {"{\"default\":\"deny\",\"path\":\"/\"}", 1, 19, "\"path\" is not a known member"},
      {"{\"\":1}", 1, 2, "\"\" is not a known member"},
      {"{\"a\\u202eb\":1}", 1, 2, "\"a\\xe2\\x80\\xaeb\" is not a known member"},
      {"{\"default\":\"deny\",\"preflight\":1}", 1, 31, "preflight: must be true or false"},
      {"{\"default\":\"deny\",\"preflight\":\"true\"}", 1, 31, "preflight: must be true or false"},
      {"{\"default\":\"deny\",\"preflight\":tru}", 1, 31, "preflight: " JSON},
      {"{\"default\":\"deny\",\"routes\":{}}", 1, 28, "routes: must be an array of objects"},
      {"{\"default\":\"deny\",\"routes\":[]}", 1, 28, "routes: " EMPTY},
      {"{\"default\":\"deny\",\"routes\":[", 1, 29, "routes[0]: " SHORT},
      {"{\"default\":\"deny\",\"routes\":[1]}", 1, 29, "routes[0]: must be an object"},
      {"{\"default\":\"deny\",\"routes\":[[]]}", 1, 29, "routes[0]: must be an object"},
      {ONE(""), 1, 29, "routes[0]: path is missing"},
      {ONE("\"needs\":[\"a\"]"), 1, 29, "routes[0]: path is missing"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/\"}\n{}]}", 2, 1, "routes[1]: " JSON},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/\"},\n{}]}", 2, 1,
       "routes[1]: path is missing"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/\"},]}", 1, 42, "routes[1]: " JSON},
      {ONE("\"path\":1"), 1, 37, "routes[0].path: must be a string"},
      {ONE("\"path\":[\"/\"]"), 1, 37, "routes[0].path: must be a string"},
      {ONE("\"path\":\"\""), 1, 37, "routes[0].path: \"\" a path starts with /"},
      {ONE("\"path\":\"a\""), 1, 37, "routes[0].path: \"a\" a path starts with /"},
      {ONE("\"path\":\"/a b\""), 1, 37,
       "routes[0].path: \"/a b\" it has a character that a path cannot hold unescaped"},
      {ONE("\"path\":\"/\\u00e9\""), 1, 37,
       "routes[0].path: \"/\xC3\xA9\" it has a character that a path cannot hold unescaped"},
      {ONE("\"path\":\"/a/../b\""), 1, 37,
       "routes[0].path: \"/a/../b\" it has a segment of only dots and spaces"},
      {ONE("\"path\":\"/a//b\""), 1, 37, "routes[0].path: \"/a//b\" it has two slashes in a row"},
      {ONE("\"path\":\"/a%2fb\""), 1, 37, "routes[0].path: \"/a%2fb\" it has an escaped / or \\"},
      {ONE("\"path\":\"/a*\""), 1, 37, "routes[0].path: \"/a*\" a * must be a whole segment"},
      {ONE("\"path\":\"/*a/b\""), 1, 37, "routes[0].path: \"/*a/b\" a * must be a whole segment"},
      {ONE("\"path\":\"/a?b\""), 1, 37, "routes[0].path: \"/a?b\" it has a ? or #"},
      {ONE("\"path\":\"get:/a\""), 1, 37,
       "routes[0].path: \"get:/a\" a method in front of the colon is upper-case letters"},
      {ONE("\"path\":\"GET:/a\""), 1, 37,
       "routes[0].path: \"GET:/a\" must not start with a method: use methods"},
      {ONE("\"path\":\"https://h/a\""), 1, 37,
       "routes[0].path: \"https://h/a\" a path starts with /"},
      /* mcp: column 42 is that of the member behind the path */
      {ONE("\"path\":\"/a\",\"mcp\":[]"), 1, 48, "routes[0].mcp: must be an object"},
      {ONE("\"path\":\"/a\",\"mcp\":{}"), 1, 48, "routes[0].mcp: " EMPTY},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":1}"), 1, 53,
       "routes[0].mcp.\"a\": must be an array of strings"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":[]}"), 1, 53, "routes[0].mcp.\"a\": " EMPTY},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":[\"b\",\"b\"]}"), 1, 58,
       "routes[0].mcp.\"a\"[1]: \"b\" is a duplicate"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":[\"b c\"]}"), 1, 54,
       "routes[0].mcp.\"a\"[0]: \"b c\" is not a permission"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":[\"b\"],\n\"a\":[\"c\"]}"), 2, 1,
       "routes[0].mcp: \"a\" is a duplicate"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call a\":[\"b\"],\n\"tools/call a\":[\"c\"]}"), 2, 1,
       "routes[0].mcp: \"tools/call a\" is a duplicate"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"mcp\":{\"a\":[\"b\"],\"a\"", 1, 59,
       "routes[0].mcp: \"a\" is a duplicate"}, /* the text ends there */
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"mcp\":{\"a\":[\"b\"],\"a", 1, 61,
       "routes[0].mcp: " SHORT},
      {ONE("\"path\":\"/a\",\"mcp\":{\"\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"\" must start with a method: visible ASCII"},
      {ONE("\"path\":\"/a\",\"mcp\":{\" a\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \" a\" must start with a method: visible ASCII"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"\u00e9\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"\xC3\xA9\" must start with a method: visible ASCII"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/*\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/*\" must not have a * within the method"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"* *\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"* *\" has a name, and calls of this method have none"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/list *\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/list *\" has a name, and calls of this method have none"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"Tools/call x\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"Tools/call x\" is a method of MCP in another case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/CALL\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/CALL\" is a method of MCP in another case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"Tools/List\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"Tools/List\" is a method of MCP in another case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"logging/setlevel\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"logging/setlevel\" is a method of MCP in another case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"TASKS/GET\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"TASKS/GET\" is a method of MCP in another case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call  x\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call  x\" has more than one blank before its name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call x \":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call x \" has a blank at an end of its name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call \xE3\x80\x80x\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call \xE3\x80\x80x\" has a blank at an end of its name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"prompts/get x\xC2\xA0\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"prompts/get x\xC2\xA0\" has a blank at an end of its name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call \xEF\xBB\xBFz\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call \xEF\xBB\xBFz\" has a control character or U+FEFF in its name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call x\\ny\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call x\\x0ay\" has a control character or U+FEFF in its name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call x*\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call x*\" must not have a * within the name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call **\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call **\" must not have a * within the name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"resources/read doc://a/*\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"resources/read doc://a/*\" must not have a * within the name"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"resources/read a b\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"resources/read a b\" has a URI with a blank or a control character"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"resources/read DOC://a\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"resources/read DOC://a\" has a URI whose scheme is not in lower case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"resources/subscribe dOc:a\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"resources/subscribe dOc:a\" has a URI whose scheme is not in lower case"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tasks/get x\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tasks/get x\" has a name, and calls of this method have none"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"tools/call \":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"tools/call \" has nothing behind the space"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"" X60 X60 "123456789\":[\"b\"]}"), 1, 49,
       "routes[0].mcp: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" has a method of "
       "more "
       "than 128 characters"},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":[\"b\"]"), 1, 59, "routes[0]: " JSON},
      {ONE("\"path\":\"/a\",\"mcp\":{\"a\":[\"b\"],}"), 1, 59, "routes[0].mcp: " JSON},
      {ONE("\"path\":\"/a\",\"public\":true,\"mcp\":{\"a\":[\"b\"]}"), 1, 56,
       "routes[0]: a public route must not have mcp"},
      {ONE("\"path\":\"/a\",\"json_rpc\":true,\"mcp\":{\"a\":[\"b\"]}"), 1, 58,
       "routes[0]: a route must not have both json_rpc and mcp"},
      {ONE("\"path\":\"/a\",\"mcp_headers\":\"2026-07-28\""), 1, 42,
       "routes[0]: mcp_headers needs mcp beside it"},
      {ONE("\"path\":\"/a\",\"mcp_headers\":true"), 1, 56,
       "routes[0].mcp_headers: must be \"2026-07-28\""},
      {ONE("\"path\":\"/a\",\"mcp_headers\":\"2025-11-25\""), 1, 56,
       "routes[0].mcp_headers: \"2025-11-25\" must be \"2026-07-28\""},
      {ONE("\"path\":\"/a\",\"resource\":1"), 1, 53, "routes[0].resource: must be a string"},
      {ONE("\"path\":\"/a\",\"public\":true,\"resource\":\"https://a\""), 1, 56,
       "routes[0]: a public route must not have resource"},
      {ONE("\"path\":\"/a\",\"resource\":\"http://a/b\""), 1, 53,
       "routes[0].resource: \"http://a/b\" must be an https URL"},
      {ONE("\"path\":\"/a\",\"resource\":\"https://a/b?c\""), 1, 53,
       "routes[0].resource: \"https://a/b?c\" must not have a query"},
      {ONE("\"path\":\"/a\",\"resource\":\"https://a/b#c\""), 1, 53,
       "routes[0].resource: \"https://a/b#c\" must not have a fragment"},
      {ONE("\"path\":\"/a\",\"resource\":\"https://u:p@a/b\""), 1, 53,
       "routes[0].resource: \"https://u:p@a/b\" must have a host, and no name or password before "
       "it"},
      {ONE("\"path\":\"/a\",\"resource\":\"https://a:65536/b\""), 1, 53,
       "routes[0].resource: \"https://a:65536/b\" must not have a port above 65535"},
      {ONE("\"path\":\"/a\",\"resource\":\"https://[::1]:99999\""), 1, 53,
       "routes[0].resource: \"https://[::1]:99999\" must not have a port above 65535"},
      {ONE("\"path\":\"/a\",\"resource\":\"https://a/../b\""), 1, 53,
       "routes[0].resource: \"https://a/../b\" has a path that can be read in more than one way"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"resource\":\"https://a/b\"},\n"
       "{\"path\":\"/b\",\"resource\":\"https://a/b\"},\n"
       "{\"path\":\"/c\",\"resource\":\"https://c/%62\"}]}",
       3, 25, "routes[2].resource: has the path of another resource, which is that of line 1"},
      {ONE("\"path\":\"/a\",\"path\":\"/b\""), 1, 42, "routes[0]: \"path\" is a duplicate"},
      {ONE("\"path\":\"/a\",\"Path\":\"/b\""), 1, 42, "routes[0]: \"Path\" is not a known member"},
      {ONE("\"path\":\"/a\",\"default\":\"deny\""), 1, 42,
       "routes[0]: \"default\" is not a known member"},
      {ONE("\"path\":\"/a\",\"method\":\"GET\""), 1, 42,
       "routes[0]: \"method\" is not a known member"},
      {ONE("\"path\":\"/\",\n\"methods\":\"GET\""), 2, 11,
       "routes[0].methods: must be an array of strings"},
      {ONE("\"path\":\"/\",\n\"methods\":[]"), 2, 11, "routes[0].methods: " EMPTY},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\" \"PUT\"]"), 2, 18, "routes[0].methods[1]: " JSON},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\",]"), 2, 18, "routes[0].methods[1]: " JSON},
      {ONE("\"path\":\"/\",\n\"methods\":[1]"), 2, 12, "routes[0].methods[0]: must be a string"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"\"]"), 2, 12,
       "routes[0].methods[0]: \"\" is not a method"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\",\"get\"]"), 2, 18,
       "routes[0].methods[1]: \"get\" must be upper-case letters"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"*\"]"), 2, 12,
       "routes[0].methods[0]: \"*\" must be upper-case letters"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"M-SEARCH\"]"), 2, 12,
       "routes[0].methods[0]: \"M-SEARCH\" must be upper-case letters"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"GET\",\"PUT\",\"GET\"]"), 2, 24,
       "routes[0].methods[2]: \"GET\" is a duplicate"},
      {ONE("\"path\":\"/\",\n\"methods\":[\"" A10 A10 A10 "AAA\"]"), 2, 12,
       "routes[0].methods[0]: \"" A10 A10 A10 "AAA\" must not be longer than 32 letters"},
      {ONE("\"path\":\"/\",\n\"needs\":[]"), 2, 9, "routes[0].needs: " EMPTY},
      {ONE("\"path\":\"/\",\n\"needs\":\"account\""), 2, 9,
       "routes[0].needs: must be an array of strings"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a\",null]"), 2, 14,
       "routes[0].needs[1]: must be a string"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a b\"]"), 2, 10,
       "routes[0].needs[0]: \"a b\" is not a permission"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a,b\"]"), 2, 10,
       "routes[0].needs[0]: \"a,b\" is not a permission"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"\"]"), 2, 10,
       "routes[0].needs[0]: \"\" is not a permission"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"a\",\"b\",\n\"a\"]"), 3, 1,
       "routes[0].needs[2]: \"a\" is a duplicate"},
      {ONE("\"path\":\"/\",\n\"needs\":[\"" X10 X10 X10 X10 X10 X10 "xxxxx\"]"), 2, 10,
       "routes[0].needs[0]: \"" X10 X10 X10 X10
       "xxxxxxxx...\" must not be longer than 64 characters"},
      {ONE("\"path\":\"/\",\"public\":\"yes\""), 1, 50, "routes[0].public: must be true or false"},
      {ONE("\"path\":\"/\",\"json_rpc\":0"), 1, 52, "routes[0].json_rpc: must be true or false"},
      {ONE("\"path\":\"/\",\"needs\":[\"a\"],\"public\":true"), 1, 55,
       "routes[0]: a public route must not have needs"},
      {ONE("\"public\":true,\"needs\":[\"a\"],\"path\":\"/\""), 1, 44,
       "routes[0]: a public route must not have needs"},
      {ONE("\"path\":\"/\",\"public\":true,\"json_rpc\":true"), 1, 55,
       "routes[0]: a public route must not have json_rpc"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a\"},\n{\"path\":\"/a\"}]}", 3, 9,
       "routes[1].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/%61%c3%a9\",\"methods\":[\"PUT\"]},\n"
       "{\"path\":\"/b\"},{\"path\":\"/a%C3%A9\"}]}",
       3, 23, "routes[2].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a/*\",\"methods\":[\"PUT\",\"GET\"]},\n"
       "{\"path\":\"/a/*\",\"methods\":[\"DELETE\"]},\n{\"path\":\"/a/"
       "*\",\"methods\":[\"HEAD\"]}]}",
       4, 9, "routes[2].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a\",\"methods\":[\"PUT\"]},\n"
       "{\"path\":\"/a\",\"methods\":[\"HEAD\"]},\n{\"path\":\"/a\",\"methods\":[\"GET\"]}]}",
       4, 9, "routes[2].path: same path and method as in line 3"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result;
    subtoken_policy_error error;
    const subtoken_policy *policy = try_read(rows[i].text, strlen(rows[i].text), &result, &error);
    CHECK(policy == NULL && result == SUBTOKEN_MALFORMED, "%s", rows[i].text);
    CHECK(error.line == rows[i].line && error.column == rows[i].column, "%s\n%zu:%zu %s",
          rows[i].text, error.line, error.column, error.text);
    CHECK(strcmp(error.text, rows[i].why) == 0, "%s\n%s\n%s", rows[i].text, error.text,
          rows[i].why);
  }
  subtoken_result result;
  subtoken_policy_error error;
  assert_null(try_read("{\"default\0\":1}", 14, &result, &error));
  assert_int_equal(error.column, 10);
}

/* Lists at their limits, and the longest errors that there are. */
static void lists_at_their_limits_are_read(void **state) {
  (void)state;
  static char text[1 << 16];
  subtoken_result result;
  subtoken_policy_error error;
  for (int methods = 0; methods < 2; methods++) {
    for (int count = 64; count <= 65; count++) {
      int len = snprintf(text, sizeof text,
                         "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\n\"%s\":[\"A\"",
                         methods ? "methods" : "needs");
      for (int i = 1; i < count; i++) {
        len += snprintf(text + len, sizeof text - (size_t)len, ",\"%c%c\"", 'A' + i / 26,
                        'A' + i % 26);
      }
      len += snprintf(text + len, sizeof text - (size_t)len, "]}]}");
      const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
      CHECK((policy != NULL) == (count == 64), "%d %d %s", methods, count, error.text);
      if (policy != NULL) {
        const st_policy_route *route = st_policy_routes(policy);
        assert_int_equal(methods ? route->method_count : route->need_count, 64);
        drop(policy);
        continue;
      }
      assert_non_null(strstr(error.text, "[64]: too many entries (maximum 64)"));
      assert_int_equal(error.line, 2);
    }
  }
  for (int each = 32; each <= 33; each++) { /* two routes of one path */
    int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[");
    for (int i = 0; i < 2 * each; i++) {
      if (i % each == 0) {
        len += snprintf(text + len, sizeof text - (size_t)len, "%s{\"path\":\"/a\",\"methods\":[",
                        i > 0 ? ",\n" : "");
      }
      len +=
          snprintf(text + len, sizeof text - (size_t)len, "%s\"%c%c\"%s", i % each > 0 ? "," : "",
                   'A' + i / 26, 'A' + i % 26, i % each == each - 1 ? "]}" : "");
    }
    len += snprintf(text + len, sizeof text - (size_t)len, "]}");
    const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
    CHECK((policy != NULL) == (each == 32), "%d %s", each, error.text);
    if (policy != NULL) drop(policy);
    if (policy == NULL) {
      assert_string_equal(error.text,
                          "routes[1].path: the routes of this path have too many methods "
                          "(maximum 64)");
      assert_true(error.line == 2 && error.column == 9);
    }
  }
  /* A path of 1,024 bytes, and one more. */
  for (int count = 1023; count <= 1024; count++) {
    int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/");
    for (int i = 0; i < count; i++) text[len++] = i % 2 == 0 ? 'a' : '/';
    len += snprintf(text + len, sizeof text - (size_t)len, "\"}]}");
    const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
    CHECK((policy != NULL) == (count == 1023), "%d %s", count, error.text);
    if (policy != NULL) drop(policy);
    if (policy == NULL) assert_non_null(strstr(error.text, "...\" it is too long"));
  }
  /* Values of which every byte is shown as four. */
  static const char *const fronts[] = {"\"path\":\"/a\",\"needs\":[\"", "\"path\":\"/\xC2\x80",
                                       "\""};
  for (size_t i = 0; i < COUNT(fronts); i++) {
    int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{%s", fronts[i]);
    for (int j = 0; j < 200; j++) len += snprintf(text + len, 8, "%s", "\xE2\x80\xAE");
    len += snprintf(text + len, 64, "\":1");
    assert_null(try_read(text, (size_t)len, &result, &error));
    CHECK(strstr(error.text, "\\xae...\" ") != NULL && error.text[strlen(error.text) - 1] != ' ',
          "%s", error.text);
  }
}

static void calls_at_their_limits_are_read(void **state) {
  (void)state;
  static char text[1 << 16];
  subtoken_result result;
  subtoken_policy_error error;
  for (int count = SUBTOKEN_POLICY_MCP_MAX; count <= SUBTOKEN_POLICY_MCP_MAX + 1; count++) {
    int len =
        snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"mcp\":{");
    for (int i = 0; i < count; i++) {
      len += snprintf(text + len, sizeof text - (size_t)len, "%s\"%d\":[\"b\"]", i > 0 ? "," : "",
                      i * 7919 % 4099);
    }
    len += snprintf(text + len, sizeof text - (size_t)len, "}}]}");
    const subtoken_policy *policy = try_read(text, (size_t)len, &result, &error);
    CHECK((policy != NULL) == (count == SUBTOKEN_POLICY_MCP_MAX), "%d %s", count, error.text);
    if (policy != NULL) drop(policy);
    if (policy == NULL) {
      assert_string_equal(error.text, "routes[0].mcp: too many entries (maximum 1024)");
    }
  }
  for (int len = SUBTOKEN_POLICY_MCP_NAME_MAX; len <= SUBTOKEN_POLICY_MCP_NAME_MAX + 1; len++) {
    int end =
        snprintf(text, sizeof text,
                 "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"mcp\":{\"tools/call %0*d"
                 "\":[\"b\"]}}]}",
                 len, 0);
    const subtoken_policy *policy = try_read(text, (size_t)end, &result, &error);
    CHECK((policy != NULL) == (len == SUBTOKEN_POLICY_MCP_NAME_MAX), "%d %s", len, error.text);
    if (policy != NULL) drop(policy);
  }
  /* A name and a value of which every byte is shown as four, far behind in the file. */
  int end = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[");
  for (int i = 0; i < 1000; i++) end += snprintf(text + end, 64, "{\"path\":\"/%d\"},", i);
  end += snprintf(text + end, 64, "{\"path\":\"/a\",\"mcp\":{\"prompts/get ");
  for (int j = 0; j < 30; j++) end += snprintf(text + end, 8, "%s", "\xE2\x80\xAE");
  end += snprintf(text + end, 64, "\":[\"b\",\"");
  for (int j = 0; j < 20; j++) end += snprintf(text + end, 8, "%s", "\xE2\x80\xAE");
  snprintf(text + end, 64, "\"]}}]}");
  assert_null(try_read(text, strlen(text), &result, &error));
  CHECK(strstr(error.text, "routes[1000].mcp.\"prompts/get \\xe2") != NULL &&
            strstr(error.text, "...\"[1]: \"\\xe2") != NULL &&
            strstr(error.text, "...\" is not a permission") != NULL,
        "%s", error.text);
  /* Places stay right wherever the members are. */
  const subtoken_policy *policy = policy_of(
      "{\"default\":\"deny\",\"routes\":[{\n\"path\":\"/a\",\n\"mcp\":{\n\n\"a\":[\"b\"]}"
      "},{\"mcp\":{\n\"c\":[\"d\"]},\n\"path\":\"/b\"}]}");
  const st_policy_route *routes = st_policy_routes(policy);
  assert_true(routes[0].line == 2 && routes[1].line == 7);
  assert_true(st_policy_calls(policy)[0].line == 5 && st_policy_calls(policy)[1].line == 6);
  drop(policy);
}

static void stars_in_bad_places_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *why;
  } rows[] = {
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/a/*/c\"},\n{\"path\":\"/a/*/%63\"}]}",
       "routes[1].path: same path and method as in line 2"},
      {"{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/*/*\"},\n{\"path\":\"/*/*\"}]}",
       "routes[1].path: same path and method as in line 2"},
      {ONE("\"path\":\"/a/**/c\""), "routes[0].path: \"/a/**/c\" a * must be a whole segment"},
      {ONE("\"path\":\"/a*/c\""), "routes[0].path: \"/a*/c\" a * must be a whole segment"},
      {ONE("\"path\":\"*/c\""), "routes[0].path: \"*/c\" a * must be a whole segment"},
      {ONE("\"path\":\"/a/%01/c\""),
       "routes[0].path: \"/a/%01/c\" it has an escaped control character"},
      {ONE("\"path\":\"/a/\\u0001/c\""),
       "routes[0].path: \"/a/\\x01/c\" it has a character that a path cannot hold unescaped"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result;
    subtoken_policy_error error;
    assert_null(try_read(rows[i].text, strlen(rows[i].text), &result, &error));
    CHECK(strcmp(error.text, rows[i].why) == 0, "%s\n%s", rows[i].text, error.text);
  }
  /* The same letters with a star as data, or in another place, are other paths. */
  drop(
      policy_of("{\"default\":\"deny\",\"routes\":[{\"path\":\"/a/*/c\"},{\"path\":\"/a/%2A/c\"},"
                "{\"path\":\"/a/*/*\"},{\"path\":\"/a/*\"},{\"path\":\"/*/*/c\"},"
                "{\"path\":\"/*/a/c\"},{\"path\":\"/a/*/\"}]}"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_name_line_and_column),
      cmocka_unit_test(lists_at_their_limits_are_read),
      cmocka_unit_test(calls_at_their_limits_are_read),
      cmocka_unit_test(stars_in_bad_places_are_refused),
  };
  return cmocka_run_group_tests_name("policy_parse", tests, NULL, NULL);
}
