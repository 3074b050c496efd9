/* mcp: what calls of the Model Context Protocol need, by body and by headers; what is refused, and
 * with which error; and what is answered.
 */
#include "policy_fixture.h"
#include "subtoken/policy.h"

#define POLICY                                                                       \
  "{\"default\":\"deny\",\"routes\":[\n"                                             \
  "{\"path\":\"/mcp\",\"needs\":[\"mcp\"],\"mcp\":{\n"                               \
  "\"tools/call search\":[\"docs\"],\n"                                              \
  "\"tools/call *\":[\"admin\"],\n"                                                  \
  "\"tools/call\":[\"never\"],\n"                                                    \
  "\"resources/read\":[\"files\"],\n"                                                \
  "\"resources/read file:///a+b\":[\"docs\",\"space\"],\n"                           \
  "\"prompts/get \xC3\xA9\":[\"docs\"],\n"                                           \
  "\"logging/setLevel\":[\"admin\"]}},\n"                                            \
  "{\"path\":\"/all\",\"mcp\":{\"*\":[\"other\"],\"tools/list\":[\"docs\"]}},\n"     \
  "{\"path\":\"/by\",\"needs\":[\"mcp\"],\"mcp\":{\"tools/call search\":[\"docs\"]," \
  "\"tools/call *\":[\"admin\"]},\"mcp_headers\":\"2026-07-28\"},\n"                 \
  "{\"path\":\"/no\",\"needs\":[\"mcp\"]}]}"

#define M(method, params) "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\"" params "}"
#define NAME(name) ",\"params\":{\"name\":\"" name "\"}"
#define URI(uri) ",\"params\":{\"uri\":\"" uri "\"}"
#define SEARCH M("tools/call", NAME("search"))
#define DROP M("tools/call", NAME("drop"))
#define OK SUBTOKEN_OK
#define PERM SUBTOKEN_PERM
#define BAD SUBTOKEN_MALFORMED
#define MISMATCH SUBTOKEN_MCP_MISMATCH
#define BY_NAME "v2026-07-28\nmtools/call\nn"

/* ---- one call ---- */

static const subtoken_policy *policy;
static subtoken_mcp mcp;
static subtoken_decision decision;

static void decide(const char *method, const char *path) {
  decision = (subtoken_decision)SUBTOKEN_DECISION_DEFAULT;
  assert_int_equal(
      subtoken_policy_find(policy, st_text(method), st_text(path), SUBTOKEN_POLICY_MCP, &decision),
      SUBTOKEN_OK);
}

/* headers: lines `m value`, `n value`, `v value`. */
typedef struct headers {
  subtoken_text method[3], name[3], version[3];
} headers;

static void read_headers(const char *lines, headers *into, subtoken_mcp_call *call) {
  st_cutter cutter = {st_text(lines), lines[0] == '\0'};
  subtoken_text line;
  call->mcp_method = into->method;
  call->mcp_name = into->name;
  call->mcp_version = into->version;
  while (st_cut(&cutter, '\n', &line)) {
    subtoken_text value = {line.data + 1, line.len - 1};
    if (line.data[0] == 'm') into->method[call->mcp_method_count++] = value;
    if (line.data[0] == 'n') into->name[call->mcp_name_count++] = value;
    if (line.data[0] == 'v') into->version[call->mcp_version_count++] = value;
  }
}

/* body NULL: none. */
static subtoken_result check_bytes(const char *method, const char *path, const char *permissions,
                                   const char *lines, const char *body, size_t len) {
  subtoken_mcp_call call = SUBTOKEN_MCP_CALL_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  subtoken_claims claims = grant_of(permissions, NULL);
  headers values;
  decide(method, path);
  request.method = st_text(method);
  read_headers(lines, &values, &call);
  call.has_body = body != NULL;
  if (body != NULL) call.body = exact(body, len);
  char *scratch = malloc(len > 0 ? len : 1);
  if (scratch == NULL) abort();
  call.scratch = scratch;
  call.scratch_size = len;
  memset(&mcp, 0x5A, sizeof mcp);
  mcp.size = sizeof mcp;
  subtoken_result result = subtoken_mcp_check(policy, &decision, &request, &claims, &call, &mcp);
  CHECK(body == NULL || memcmp(call.body.data, body, len) == 0, "%s", body);
  free(scratch);
  if (body != NULL) release(call.body);
  return result;
}

static subtoken_result check(const char *path, const char *permissions, const char *lines,
                             const char *body) {
  return check_bytes("POST", path, permissions, lines, body, body == NULL ? 0 : strlen(body));
}

static const char *lacking(void) {
  static char out[8192];
  st_writer writer = st_writer_on(out, sizeof out);
  for (size_t i = 0; i < mcp.lacking_count; i++) {
    if (i > 0) st_write_char(&writer, ' ');
    st_write_view(&writer, mcp.lacking[i]);
  }
  assert_true(st_writer_end(&writer));
  return out;
}

static int set_up(void **state) {
  (void)state;
  policy = policy_of(POLICY);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  drop(policy);
  return 0;
}

/* ---- which member decides ---- */

static void the_most_specific_member_decides(void **state) {
  (void)state;
  static const struct {
    const char *path, *body, *lacking; /* with the permission `x` alone */
    uint32_t line;
  } rows[] = {
      {"/mcp", SEARCH, "mcp docs", 3},
      {"/mcp", DROP, "mcp admin", 4},
      {"/mcp", M("tools/call", NAME("")), "mcp admin", 4},
      {"/mcp", M("tools/call", NAME("*")), "mcp admin", 4},
      {"/mcp", M("tools/call", NAME("Search")), "mcp admin", 4},
      {"/mcp", M("tools/call", NAME("search ")), "mcp admin", 4},
      {"/mcp", M("tools/call", NAME("sear\\u0063h")), "mcp docs", 3},
      {"/mcp", M("tools\\/call", NAME("search")), "mcp docs", 3},
      {"/mcp", M("tools/list", ""), "mcp", 0},
      {"/mcp", M("tools/list", NAME("search")), "mcp", 0},
      {"/mcp", M("initialize", ",\"params\":{}"), "mcp", 0},
      {"/mcp", M("notifications/initialized", ""), "mcp", 0},
      {"/mcp", M("resources/read", URI("file:///a+b")), "mcp docs space", 7},
      {"/mcp", M("resources/read", URI("file:///a%2Bb")), "mcp files", 6},
      {"/mcp", M("resources/subscribe", URI("file:///a+b")), "mcp", 0},
      {"/mcp", M("prompts/get", NAME("\xC3\xA9")), "mcp docs", 8},
      {"/mcp", M("prompts/get", NAME("e\xCC\x81")), "mcp", 0},
      {"/mcp", M("logging/setLevel", ",\"params\":{\"level\":\"debug\"}"), "mcp admin", 9},
      {"/mcp", M("*", ""), "mcp", 0},
      {"/all", M("*", ""), "other", 10},
      {"/all", SEARCH, "other", 10},
      {"/all", M("tools/list", ""), "docs", 10},
      {"/all", M("anything", ""), "other", 10},
      /* responses have no method */
      {"/mcp", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", "mcp", 0},
      {"/mcp", "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"\"}}", "mcp", 0},
      /* batches need what all of their messages need */
      {"/mcp", "[" SEARCH "]", "mcp docs", 3},
      {"/mcp", "[" M("ping", "") "," SEARCH "," DROP "," SEARCH "]", "mcp docs admin", 3},
      {"/mcp", "[{\"id\":1,\"result\":1}," DROP "]", "mcp admin", 4},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result = check(rows[i].path, "x", "", rows[i].body);
    CHECK(result == PERM && strcmp(lacking(), rows[i].lacking) == 0, "%s: %s, lacking %s",
          rows[i].body, subtoken_result_name(result), lacking());
    CHECK(mcp.line == rows[i].line, "%s: line %u", rows[i].body, mcp.line);
    result = check(rows[i].path, "space,files,other,docs,mcp,admin", "", rows[i].body);
    CHECK(result == OK && mcp.lacking_count == 0, "%s", rows[i].body);
  }
  /* A batch tells the member of the first message that lacks something. */
  assert_int_equal(check("/mcp", "mcp,docs", "", "[" SEARCH "," DROP "," SEARCH "]"), PERM);
  assert_int_equal(mcp.line, 4);
  assert_true(st_text_is(mcp.member, "tools/call *"));
  assert_string_equal(lacking(), "admin");
}

/* ---- what is refused ---- */

static void bodies_that_can_be_read_otherwise_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *body;
    int code;
    const char *id;
  } rows[] = {
      {"x", -32700, "null"},
      {"{", -32700, "null"},
      {"{\"method\":", -32700, "null"},
      {"{\"method\":7", -32700, "null"},
      {"{\"method\":7,\"id\":}", -32700, "null"},
      {"{\"id\":7,\"method\":\"ping\",\"Method\":1", -32700, "null"},
      {"{\"id\":7,\"method\":\"ping\",\"params\":", -32700, "null"},
      {"[7", -32700, "null"},
      {"[", -32700, "null"},
      {"[" SEARCH ",", -32700, "null"},
      {"7x", -32700, "null"},
      {SEARCH "x", -32700, "7"},
      {SEARCH SEARCH, -32700, "7"},
      {"\xEF\xBB\xBF" SEARCH, -32700, "null"},
      {"{\"method\":\"ping\",\"method\":\"tools/call\"}", -32700, "null"},
      {"{\"method\":\"ping\",\"m\\u0065thod\":\"tools/call\"}", -32700, "null"},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"search\",\"name\":\"drop\"}}", -32700,
       "null"},
      {"{\"method\":\"ping\",\"params\":{\"a\":{\"b\":1,\"b\":2}}}", -32700, "null"},
      {"{'method':'ping'}", -32700, "null"},
      {"{\"method\":\"ping\",}", -32700, "null"},
      {"{\"method\":\"pi\\u0000ng\"}", -32700, "null"},
      {"{\"method\":\"\\ud800\"}", -32700, "null"},
      {"7", -32600, "null"},
      {"null", -32600, "null"},
      {"\"tools/call\"", -32600, "null"},
      {"{}", -32600, "null"},
      {"[]", -32600, "null"},
      {"[[]]", -32600, "null"},
      {"[[" SEARCH "]]", -32600, "null"},
      {"[7]", -32600, "null"},
      {"[" SEARCH ",{}]", -32600, "null"},
      {"{\"id\":3}", -32600, "null"},
      {"{\"id\":3,\"params\":{\"name\":\"search\"}}", -32600, "null"},
      {"{\"id\":3,\"method\":7}", -32600, "null"},
      {"{\"id\":3,\"method\":null}", -32600, "null"},
      {"{\"id\":3,\"method\":[\"ping\"]}", -32600, "null"},
      {M("", ""), -32600, "7"},
      {M("tools/call ", NAME("search")), -32600, "7"},
      {M("tools/call search", ""), -32600, "7"},
      {M("t\\u00e9st", ""), -32600, "7"},
      {M("a\\tb", ""), -32600, "7"},
      {M("Tools/call", NAME("search")), -32600, "7"},
      {M("tools/CALL", NAME("search")), -32600, "7"},
      {M("resources/Subscribe", URI("x")), -32600, "7"},
      {M("tasks/Get", ""), -32600, "7"},
      {M("logging/setlevel", ""), -32600, "7"},
      {M("LOGGING/setLevel", ""), -32600, "7"},
      {M("ping", ",\"result\":{}"), -32600, "7"},
      {M("ping", ",\"error\":{}"), -32600, "7"},
      {"{\"id\":3,\"method\":\"ping\",\"Method\":\"tools/call\"}", -32600, "3"},
      {"{\"METHOD\":\"ping\"}", -32600, "null"},
      {M("tools/call", NAME("search") ",\"Params\":{\"name\":\"drop\"}"), -32600, "7"},
      {M("ping", ",\"ID\":1"), -32600, "7"},
      {M("ping", ",\"Result\":1"), -32600, "7"},
      {M("ping", ",\"\\u017fth\":1"), -32600, "7"},
      {M("tools/call", ""), -32600, "7"},
      {M("tools/call", ",\"params\":null"), -32600, "7"},
      {M("tools/call", ",\"params\":[\"search\"]"), -32600, "7"},
      {M("tools/call", ",\"params\":{}"), -32600, "7"},
      {M("tools/call", ",\"params\":{\"name\":7}"), -32600, "7"},
      {M("tools/call", ",\"params\":{\"name\":null}"), -32600, "7"},
      {M("tools/call", ",\"params\":{\"uri\":\"search\"}"), -32600, "7"},
      {M("tools/call", ",\"params\":{\"name\":\"search\",\"Name\":\"drop\"}"), -32600, "7"},
      {M("tools/call", ",\"params\":{\"name\":\"search\",\"n\\u0430me\":\"drop\"}"), -32600, "7"},
      {M("resources/read", ",\"params\":{\"uri\":\"a\",\"URI\":\"b\"}"), -32600, "7"},
      {M("resources/read", ",\"params\":{\"uri\":\"a\",\"ur\\u0131\":\"b\"}"), -32600, "7"},
      /* what parsers of URIs change */
      {M("resources/read", URI(" doc:a")), -32600, "7"},
      {M("resources/read", URI("doc:a ")), -32600, "7"},
      {M("resources/read", URI("doc:a b")), -32600, "7"},
      {M("resources/read", URI("d\\noc:a")), -32600, "7"},
      {M("resources/subscribe", URI("doc:a\\t")), -32600, "7"},
      {M("resources/unsubscribe", URI("doc:\\u0001a")), -32600, "7"},
      {M("resources/read", URI("doc:a\\u007f")), -32600, "7"},
      {M("resources/read", URI("DOC://a")), -32600, "7"},
      {M("resources/read", URI("dOc:a")), -32600, "7"},
      {M("resources/subscribe", URI("Web+d.o-c1:a")), -32600, "7"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result = check("/mcp", "mcp,docs,admin,files,space", "", rows[i].body);
    CHECK(result == BAD && mcp.code == rows[i].code, "%s: %s %d", rows[i].body,
          subtoken_result_name(result), mcp.code);
    CHECK(mcp.lacking_count == 0, "%s", rows[i].body);
    if (strcmp(rows[i].id, "null") == 0 && rows[i].code == -32600) continue;
    CHECK(mcp.id_len == strlen(rows[i].id) || rows[i].code == -32700, "%s: %.*s", rows[i].body,
          (int)mcp.id_len, mcp.id);
  }
  assert_int_equal(check_bytes("POST", "/mcp", "mcp", "", "{\"method\":\"p\0\"}", 14), BAD);
}

/* What another method says of its own is its own. */
static void bodies_that_are_strange_and_clear_are_read(void **state) {
  (void)state;
  static const char *const rows[] = {
      M("ping", ",\"params\":{\"Name\":\"a\",\"name\":\"b\"}"),
      M("x/y", ",\"params\":[1,2]"),
      M("x/y", ",\"params\":\"a\""),
      M("resources/subscribe", URI("doc:A:B")),
      M("resources/subscribe", URI("Doc")),
      M("resources/subscribe", URI("")),
      M("resources/subscribe", URI("D/c:a")),
      M("resources/subscribe", URI("1D:a")),
      M("resources/subscribe", URI("doc://\xC3\xA9")),
      M("tools/call", ",\"params\":{\"name\":\"search\",\"uri\":\"A:B C\"}"),
      M("x/y", ",\"params\":{\"\xC3\xA9\":1}"),
      M("ping", ",\"extra\":{\"method\":\"tools/call\"}"),
      M("tools/call", NAME("search") ",\"_meta\":{\"Method\":\"x\"}"),
      M("tools/call",
        ",\"params\":{\"arguments\":{\"name\":\"drop\",\"Name\":1},\"name\":\"search\"}"),
      " \n" SEARCH "\r\n\t",
      "{\"params\":{\"name\":\"search\"},\"method\":\"tools/call\"}",
      "{\"method\":\"ping\",\"id\":{\"a\":1}}",
      "{\"method\":\"ping\",\"id\":null}",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(check("/mcp", "mcp,docs", "", rows[i]) == OK, "%s", rows[i]);
  }
}

static void limits_hold(void **state) {
  (void)state;
  static char body[SUBTOKEN_RPC_BODY_MAX + 2];
  for (int count = SUBTOKEN_MCP_BATCH_MAX; count <= SUBTOKEN_MCP_BATCH_MAX + 1; count++) {
    int len = snprintf(body, sizeof body, "[");
    for (int i = 0; i < count; i++) {
      len += snprintf(body + len, 128, "%s" SEARCH, i > 0 ? "," : "");
    }
    snprintf(body + len, 8, "]");
    assert_int_equal(check("/mcp", "mcp,docs", "", body),
                     count == SUBTOKEN_MCP_BATCH_MAX ? OK : BAD);
  }
  for (size_t len = SUBTOKEN_RPC_BODY_MAX; len <= SUBTOKEN_RPC_BODY_MAX + 1; len++) {
    memset(body, ' ', len);
    memcpy(body, SEARCH, strlen(SEARCH));
    assert_int_equal(check_bytes("POST", "/mcp", "mcp,docs", "", body, len),
                     len == SUBTOKEN_RPC_BODY_MAX ? OK : SUBTOKEN_TOO_LARGE);
  }
  for (int len = SUBTOKEN_POLICY_MCP_METHOD_MAX; len <= SUBTOKEN_POLICY_MCP_METHOD_MAX + 1; len++) {
    snprintf(body, sizeof body, "{\"method\":\"%0*d\"}", len, 0);
    assert_int_equal(check("/mcp", "mcp", "", body),
                     len == SUBTOKEN_POLICY_MCP_METHOD_MAX ? OK : BAD);
  }
  /* a name may be as long as a body; no member has such a name */
  snprintf(body, sizeof body, "{\"method\":\"tools/call\",\"params\":{\"name\":\"%0*d\"}}", 100000,
           0);
  assert_int_equal(check("/mcp", "mcp,admin", "", body), OK);
  assert_int_equal(mcp.line, 4);
}

/* ---- headers beside a body ---- */

static void headers_must_agree_with_the_body(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body;
    bool agrees;
  } rows[] = {
      {"mtools/call\nnsearch", SEARCH, true},
      {"m \ttools/call \nn  search\t", SEARCH, true},
      {"mtools/call", SEARCH, true},
      {"nsearch", SEARCH, true},
      {"v2025-11-25", SEARCH, true},
      {"vnonsense", SEARCH, true},
      {"n=?base64?c2VhcmNo?=", SEARCH, true},
      {"m", SEARCH, false},
      {"n", SEARCH, false},
      {"mTools/call", SEARCH, false},
      {"mtools/list", SEARCH, false},
      {"mtools/call, tools/call", SEARCH, false},
      {"m=?base64?dG9vbHMvY2FsbA==?=", SEARCH, false},
      {"nSearch", SEARCH, false},
      {"ndrop", SEARCH, false},
      {"nsearch, search", SEARCH, false},
      {"n\"search\"", SEARCH, false},
      {"n=?BASE64?c2VhcmNo?=", SEARCH, false},
      {"n=?base64?c2VhcmNo=?=", SEARCH, false},
      {"n=?base64?c2VhcmN?=", SEARCH, false},
      {"n=?base64?c2Vh cmNo?=", SEARCH, false},
      {"n=?base64?c2VhcmNo?= x", SEARCH, false},
      {"n=?base64?ZHJvcA==?=", SEARCH, false},
      {"mtools/call\nmtools/call", SEARCH, false},
      {"nsearch\nnsearch", SEARCH, false},
      {"v2026-07-28\nv2026-07-28", SEARCH, false},
      /* names that a header cannot have */
      {"n=?base64?w6k=?=", M("prompts/get", NAME("\xC3\xA9")), true},
      {"n=?base64?w6l=?=", M("prompts/get", NAME("\xC3\xA9")), false}, /* bits behind the end */
      {"n=?base64?w6k?=", M("prompts/get", NAME("\xC3\xA9")), false},
      {"n\xC3\xA9", M("prompts/get", NAME("\xC3\xA9")), false},
      {"n=?base64?IGE=?=", M("tools/call", NAME(" a")), true},
      {"n=?base64?YQpi?=", M("tools/call", NAME("a\\nb")), true},
      /* a byte-order mark, which a decoder takes off */
      {"n=?base64?77u/c2VhcmNo?=", SEARCH, false},
      {"n=?base64?77u/c2VhcmNo?=", M("tools/call", NAME("\\ufeffsearch")), false},
      {"n=?base64?77u/?=", M("tools/call", NAME("\\ufeff")), false},
      {"n a", M("tools/call", NAME(" a")), false},
      {"n=?base64?"
       "?=",
       M("tools/call", NAME("")), true},
      {"n", M("tools/call", NAME("")), true},
      {"n=?base64?=", M("tools/call", NAME("")), false},
      {"n=?base64?=", M("tools/call", NAME("=?base64?=")), false},
      {"n=?base64?a", M("tools/call", NAME("=?base64?a")), true},
      {"n=?base64?literal?=", M("tools/call", NAME("=?base64?literal?=")), false},
      {"n=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", M("tools/call", NAME("=?base64?literal?=")), true},
      {"nfile:///a+b", M("resources/read", URI("file:///a+b")), true},
      {"na b", M("tools/call", ",\"params\":{\"uri\":\"a b\",\"name\":\"c\"}"), false},
      /* the name of a task is its id */
      {"mtasks/get\nnt1", M("tasks/get", ",\"params\":{\"taskId\":\"t1\"}"), true},
      {"nt2", M("tasks/cancel", ",\"params\":{\"taskId\":\"t1\"}"), false},
      {"nt1", M("tasks/update", ",\"params\":{\"name\":\"t1\"}"), false},
      /* nothing to agree with */
      {"nsearch", M("tools/list", NAME("search")), false},
      {"mtools/list", "{\"id\":1,\"result\":{}}", false},
      {"nsearch", "{\"id\":1,\"result\":{}}", false},
      {"", "{\"id\":1,\"result\":{}}", true},
      /* all messages of a batch */
      {"mtools/call\nnsearch", "[" SEARCH "," SEARCH "]", true},
      {"mtools/call", "[" SEARCH "," DROP "]", true},
      {"mtools/call\nnsearch", "[" SEARCH "," DROP "]", false},
      {"mtools/call", "[" M("ping", "") "," SEARCH "]", false},
  };
  static const char all[] = "mcp,docs,admin,files,space";
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (int path = 0; path < 2; path++) { /* with mcp_headers the body decides, too */
      subtoken_result result = check(path ? "/by" : "/mcp", all, rows[i].headers, rows[i].body);
      CHECK(result == (rows[i].agrees ? OK : MISMATCH), "row %zu: %s, %s: %s", i, rows[i].headers,
            rows[i].body, subtoken_result_name(result));
      CHECK(mcp.code == (rows[i].agrees ? 0 : -32020), "row %zu: %d", i, mcp.code);
    }
    /* before what is lacking */
    if (!rows[i].agrees)
      CHECK(check("/mcp", "x", rows[i].headers, rows[i].body) == MISMATCH, "%zu", i);
  }
}

/* ---- without a body ---- */

static void without_a_body_the_headers_decide_where_they_may(void **state) {
  (void)state;
  static const struct {
    const char *path, *headers;
    subtoken_result result; /* with mcp and docs */
  } rows[] = {
      {"/mcp", "", SUBTOKEN_URL},
      {"/mcp", "v2026-07-28\nmtools/call\nnsearch", SUBTOKEN_URL},
      {"/by", "", SUBTOKEN_URL},
      {"/by", "mtools/call\nnsearch", SUBTOKEN_URL},
      {"/by", "v2025-11-25\nmtools/call\nnsearch", SUBTOKEN_URL},
      {"/by", "v2026-07-28\nv2026-07-28\nmtools/call\nnsearch", SUBTOKEN_URL},
      {"/by", "v2026-07-28, 2026-07-28\nmtools/call\nnsearch", SUBTOKEN_URL},
      {"/by", "v2026-07-29\nmtools/call\nnsearch", SUBTOKEN_URL},
      {"/by", "v2026-07-28\nmtools/call\nnsearch", OK},
      {"/by", "v \t2026-07-28 \nm tools/call\nn search ", OK},
      {"/by", "v2026-07-28\nmtools/call\nn=?base64?c2VhcmNo?=", OK},
      {"/by", "v2026-07-28\nmtools/list", OK},
      {"/by", "v2026-07-28\nmserver/discover", OK},
      {"/by", "v2026-07-28\nmtasks/get\nnsearch", OK},
      {"/by", "v2026-07-28\nmtools/call\nndrop", PERM},
      {"/by", "v2026-07-28\nmtools/call\nn=?base64?ZHJvcA==?=", PERM},
      {"/by", "v2026-07-28", MISMATCH},
      {"/by", "v2026-07-28\nnsearch", MISMATCH},
      {"/by", "v2026-07-28\nmtools/call", MISMATCH},
      {"/by", "v2026-07-28\nmtools/list\nnsearch", MISMATCH},
      {"/by", "v2026-07-28\nmTools/list", OK}, /* no member, no method with names */
      {"/by", "v2026-07-28\nmTools/call\nnsearch", MISMATCH},
      {"/by", "v2026-07-28\nmtools/Call", MISMATCH},
      {"/by", "v2026-07-28\nmtools/call, tools/list\nnsearch", MISMATCH},
      {"/by", "v2026-07-28\nmtools/call\nmtools/call\nnsearch", MISMATCH},
      {"/by", "v2026-07-28\nmtools/call\nnsearch\nndrop", MISMATCH},
      {"/by", "v2026-07-28\nm\nnsearch", MISMATCH},
      {"/by", "v2026-07-28\nmt\xC3\xA9st", MISMATCH},
      {"/by", "v2026-07-28\nmtools/call\nn=?base64?c2VhcmNo=?=", MISMATCH},
      {"/by", "v2026-07-28\nmtools/call\nn=?base64?/w==?=", MISMATCH}, /* not UTF-8 */
      {"/by", "v2026-07-28\nmtools/call\nn\xC3\xA9", MISMATCH},
      {"/by", "v2026-07-28\nmtools/call\nn=?base64?=", MISMATCH},
      /* what a decoder or a parser may change: U+FEFF, white space at the ends, controls */
      {"/by", BY_NAME "=?base64?77u/c2VhcmNo?=", MISMATCH},
      {"/by", BY_NAME "=?base64?77u/?=", MISMATCH},
      {"/by", BY_NAME "=?base64?c2VhcmNo77u/?=", MISMATCH},
      {"/by", BY_NAME "=?base64?c2Vh77u/cmNo?=", MISMATCH},
      {"/by", BY_NAME "=?base64?IHNlYXJjaA==?=", MISMATCH},
      {"/by", BY_NAME "=?base64?c2VhcmNoIA==?=", MISMATCH},
      {"/by", BY_NAME "=?base64?wqBzZWFyY2g=?=", MISMATCH}, /* U+00A0 */
      {"/by", BY_NAME "=?base64?c2VhcmNo44CA?=", MISMATCH}, /* U+3000 */
      {"/by", BY_NAME "=?base64?c2VhcmNoAA==?=", MISMATCH},
      {"/by", BY_NAME "=?base64?c2VhCnJjaA==?=", MISMATCH},
      {"/by", BY_NAME "=?base64?c2VhcmNoDQ==?=", MISMATCH},
      {"/by", BY_NAME "=?base64?c2VhcmNofw==?=", MISMATCH},
      {"/by", BY_NAME "=?base64?c2Vhwp9yY2g=?=", MISMATCH}, /* U+009F */
      {"/by", BY_NAME "=?base64?c2Vh4oCocmNo?=", MISMATCH}, /* U+2028 */
      {"/by", BY_NAME "=?base64?7aCA?=", MISMATCH},         /* a surrogate */
      {"/by", BY_NAME "=?base64?wIA=?=", MISMATCH},         /* NUL, too long */
      {"/by", BY_NAME "=?base64?ZHJvcO+/vQ==?=", PERM},     /* U+FFFD is itself */
      {"/by", BY_NAME "=?base64?c2Vhcm Noe?=", MISMATCH},
      {"/by", BY_NAME "=?BASE64?c2VhcmNo?=", MISMATCH},
      {"/by", BY_NAME "=?utf-8?b?c2VhcmNo?=", MISMATCH},
      {"/by", BY_NAME "sea\trch", MISMATCH},
      {"/by", BY_NAME "sea rch", PERM},
      {"/by", BY_NAME "sear\x7F", MISMATCH},
      {"/by", BY_NAME "", MISMATCH},
      {"/by",
       BY_NAME "=?base64?"
               "?=",
       MISMATCH},
      {"/by", "v2026-07-28\nmtasks/get\nn=?base64?77u/YQ==?=", MISMATCH},
      {"/by", "v2026-07-28\nmresources/read\nndoc:a", OK},
      {"/by", "v2026-07-28\nmresources/read\nnDoc:a", MISMATCH},
      {"/by", "v2026-07-28\nmresources/read\nndoc:a b", MISMATCH},
      {"/by", "v2026-07-28\nmresources/subscribe\nn=?base64?RE9DOmE=?=", MISMATCH},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result = check(rows[i].path, "mcp,docs", rows[i].headers, NULL);
    CHECK(result == rows[i].result, "row %zu: %s: %s", i, rows[i].headers,
          subtoken_result_name(result));
    result = check_bytes("POST", rows[i].path, "mcp,docs", rows[i].headers, "", 0);
    CHECK(result == rows[i].result, "row %zu, with an empty body", i);
    assert_true(mcp.id_len == 4 && memcmp(mcp.id, "null", 4) == 0);
  }
  assert_int_equal(check("/by", "docs", "v2026-07-28\nmtools/call\nnsearch", NULL), PERM);
  assert_string_equal(lacking(), "mcp");
}

static void streams_and_ends_of_sessions_call_nothing(void **state) {
  (void)state;
  static const struct {
    const char *method;
    bool nothing;
  } rows[] = {{"GET", true},      {"HEAD", true}, {"DELETE", true},
              {"POST", false},    {"PUT", false}, {"PATCH", false},
              {"OPTIONS", false}, {"get", false}, {"TRACE", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result want = rows[i].nothing ? OK : SUBTOKEN_URL;
    CHECK(check_bytes(rows[i].method, "/mcp", "mcp", "", NULL, 0) == want, "%s", rows[i].method);
    want = rows[i].nothing ? PERM : SUBTOKEN_URL;
    CHECK(check_bytes(rows[i].method, "/mcp", "docs", "", NULL, 0) == want, "%s", rows[i].method);
    /* a body is read wherever it comes */
    CHECK(check_bytes(rows[i].method, "/mcp", "mcp", "", DROP, strlen(DROP)) == PERM, "%s",
          rows[i].method);
    CHECK(check_bytes(rows[i].method, "/mcp", "mcp", "", "", 0) == SUBTOKEN_URL, "%s",
          rows[i].method);
  }
}

/* Without the flag a route with mcp is closed, but for what calls nothing. */
static void who_does_not_look_at_calls_lets_none_pass(void **state) {
  (void)state;
  assert_string_equal(said(policy, "POST", "/mcp", 0), "denied 2");
  assert_string_equal(said(policy, "POST", "/mcp", SUBTOKEN_POLICY_BODY), "denied 2");
  assert_string_equal(said(policy, "POST", "/by", SUBTOKEN_POLICY_BODY), "denied 11");
  assert_string_equal(said(policy, NULL, "/mcp", 0), "denied 2");
  assert_string_equal(said(policy, "GET", "/mcp", 0), "token 2 mcp mcp");
  assert_string_equal(said(policy, "DELETE", "/mcp", 0), "token 2 mcp mcp");
  assert_string_equal(said(policy, "POST", "/mcp", SUBTOKEN_POLICY_MCP), "token 2 mcp mcp");
  decide("POST", "/no");
  assert_false(decision.mcp);
  decide("POST", "/mcp");
  assert_true(decision.mcp && decision.resource.data == NULL);
}

static void arguments_are_checked(void **state) {
  (void)state;
  subtoken_mcp_call call = SUBTOKEN_MCP_CALL_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  subtoken_claims claims = grant_of("mcp,docs", NULL);
  char scratch[256];
  decide("POST", "/mcp");
  call.has_body = true;
  call.body = st_text(SEARCH);
  call.scratch = scratch;
  call.scratch_size = call.body.len;
  mcp = (subtoken_mcp)SUBTOKEN_MCP_DEFAULT;
#define ASK() subtoken_mcp_check(policy, &decision, &request, &claims, &call, &mcp)
  assert_int_equal(ASK(), OK);
  call.scratch_size--;
  assert_int_equal(ASK(), SUBTOKEN_BUFFER_TOO_SMALL);
  call.scratch_size++;
  call.scratch = NULL;
  assert_int_equal(ASK(), SUBTOKEN_BUFFER_TOO_SMALL);
  call.scratch = scratch;
  call.mcp_name_count = 1;
  assert_int_equal(ASK(), SUBTOKEN_INVALID_ARGUMENT);
  call.mcp_name_count = 0;
  request.needs_count = 1;
  assert_int_equal(ASK(), SUBTOKEN_INVALID_ARGUMENT);
  subtoken_text more[] = {SUBTOKEN_TEXT("docs"), SUBTOKEN_TEXT("more")};
  request.needs = more;
  request.needs_count = 2;
  assert_int_equal(ASK(), PERM);
  assert_string_equal(lacking(), "more");
  request.needs_count = 0;
  static const subtoken_access others[] = {SUBTOKEN_ACCESS_DENIED, SUBTOKEN_ACCESS_PUBLIC,
                                           SUBTOKEN_ACCESS_PREFLIGHT};
  for (size_t i = 0; i < COUNT(others); i++) {
    decision.access = others[i];
    assert_int_equal(ASK(), SUBTOKEN_INVALID_ARGUMENT);
  }
  decision.access = SUBTOKEN_ACCESS_TOKEN;
  decision.route = 99;
  assert_int_equal(ASK(), SUBTOKEN_INVALID_ARGUMENT);
  decide("POST", "/no");
  assert_int_equal(ASK(), SUBTOKEN_INVALID_ARGUMENT);
  decide("POST", "/mcp");
  assert_int_equal(subtoken_mcp_check(NULL, &decision, &request, &claims, &call, &mcp),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mcp_check(policy, NULL, &request, &claims, &call, &mcp),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mcp_check(policy, &decision, NULL, &claims, &call, &mcp),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mcp_check(policy, &decision, &request, NULL, &call, &mcp),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mcp_check(policy, &decision, &request, &claims, NULL, &mcp),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mcp_check(policy, &decision, &request, &claims, &call, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  call.size--;
  assert_int_equal(ASK(), SUBTOKEN_INVALID_ARGUMENT);
  memset(&claims, 0, sizeof claims); /* zeroed claims allow nothing */
  call.size++;
  assert_int_equal(ASK(), PERM);
}

/* ---- answers ---- */

static void answers_repeat_the_id_and_name_all_that_lacks(void **state) {
  (void)state;
  static const struct {
    const char *permissions, *headers, *body, *reply, *challenge;
  } rows[] = {
      {"x", "", SEARCH, "{\"text\":\"requires scope mcp docs\"}",
       "Bearer error=\"insufficient_scope\", scope=\"mcp docs\""},
      {"mcp", "", "[" SEARCH "," DROP "]", "{\"text\":\"requires scope docs admin\"}",
       "Bearer error=\"insufficient_scope\", scope=\"docs admin\""},
      {"x", "mping", SEARCH,
       "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32020,\"message\":\"Mcp-Method and "
       "Mcp-Name must agree with the request, and come once\"}}",
       ""},
      {"x", "", "{\"id\":\"a\\\"b\",\"method\":\"Tools/call\"}",
       "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\",\"error\":{\"code\":-32600,\"message\":\"the body "
       "is no JSON-RPC message that can be read in one way only\"}}",
       ""},
      {"x", "", "{",
       "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"the "
       "body is not JSON that can be read in one way only\"}}",
       ""},
      {"mcp", "", NULL, "{\"text\":\"no body came by which this call could be allowed\"}", ""},
  };
  char out[SUBTOKEN_MCP_REPLY_MAX], challenge[SUBTOKEN_CHALLENGE_MAX];
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result = check("/mcp", rows[i].permissions, rows[i].headers, rows[i].body);
    size_t len = subtoken_mcp_reply(result, &mcp, out, sizeof out);
    CHECK(len == strlen(rows[i].reply) && strcmp(out, rows[i].reply) == 0, "row %zu: %s", i, out);
    len = subtoken_mcp_challenge(result, &mcp, challenge, sizeof challenge);
    CHECK(len == strlen(rows[i].challenge) && strcmp(challenge, rows[i].challenge) == 0,
          "row %zu: %s", i, challenge);
    assert_int_equal(subtoken_mcp_reply(result, &mcp, out, strlen(rows[i].reply)), 0);
    assert_int_equal(subtoken_mcp_reply(result, NULL, out, sizeof out), 0);
  }
}

static void ids_are_repeated_when_they_are_short(void **state) {
  (void)state;
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define Q10 "\\u0001\\u0001\\u0001\\u0001\\u0001\\n\\n\\n\\n\\n"
  static const struct {
    const char *id, *repeated;
  } rows[] = {
      {"7", "7"},
      {"-0", "-0"},
      {"1.5e3", "1.5e3"},
      {"18446744073709551617", "18446744073709551617"},
      {"\"\"", "\"\""},
      {"\"" X64 "\"", "\"" X64 "\""},
      {"\"" X64 "x\"", "null"},
      {"\"" Q10 Q10 Q10 "\"", "null"}, /* its JSON text would be long */
      {"\"</script>\\n\"", "\"</script>\\u000a\""},
      {"\"\xC2\x85\"", "\"\\u0085\""},
      {"null", "null"},
      {"true", "null"},
      {"[1]", "null"},
      {"{\"a\":1}", "null"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char body[512];
    for (int after = 0; after < 2; after++) {
      static const char call[] = "\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}";
      snprintf(body, sizeof body, after ? "{%s,\"id\":%s}" : "{\"id\":%s,%s}",
               after ? call : rows[i].id, after ? rows[i].id : call);
      assert_int_equal(check("/mcp", "x", "", body), PERM);
      CHECK(mcp.id_len == strlen(rows[i].repeated) &&
                memcmp(mcp.id, rows[i].repeated, mcp.id_len) == 0,
            "%s: %.*s", rows[i].id, (int)mcp.id_len, mcp.id);
    }
  }
  char number[256];
  snprintf(number, sizeof number, "{\"method\":\"ping\",\"id\":1%0*d}", 150, 0);
  assert_int_equal(check("/mcp", "mcp", "", number), OK);
  assert_true(mcp.id_len == 4 && memcmp(mcp.id, "null", 4) == 0);
  /* a notification has none; a response has the id of another; a batch has several */
  static const char *const none[] = {"{\"method\":\"ping\"}", "{\"id\":7,\"result\":1}",
                                     "[" SEARCH "]"};
  for (size_t i = 0; i < COUNT(none); i++) {
    assert_int_equal(check("/mcp", "x", "", none[i]), PERM);
    assert_true(mcp.id_len == 4 && memcmp(mcp.id, "null", 4) == 0);
  }
}

/* The most that can lack: a challenge names all, a sentence some. */
static void the_longest_answers_fit(void **state) {
  (void)state;
  static char text[8192], out[SUBTOKEN_MCP_REPLY_MAX], challenge[SUBTOKEN_CHALLENGE_MAX];
  int len =
      snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/\",\"mcp\":{");
  len += snprintf(text + len, sizeof text - (size_t)len, "\"a\":[");
  for (int i = 0; i < 64; i++) {
    len += snprintf(text + len, sizeof text - (size_t)len, "%s\"%064d\"", i > 0 ? "," : "", i);
  }
  snprintf(text + len, sizeof text - (size_t)len, "],\"b\":[\"b\"]}}]}");
  const subtoken_policy *before = policy;
  policy = policy_of(text);
  assert_int_equal(check("/", "", "", "[{\"method\":\"a\"},{\"method\":\"b\"}]"), PERM);
  assert_int_equal(mcp.lacking_count, 64); /* no token has 65 */
  size_t wrote = subtoken_mcp_challenge(PERM, &mcp, challenge, sizeof challenge);
  assert_int_equal(wrote, strlen("Bearer error=\"insufficient_scope\", scope=\"\"") + 64 * 65 - 1);
  wrote = subtoken_mcp_reply(PERM, &mcp, out, sizeof out);
  assert_true(wrote > 400 && wrote < 460);
  assert_non_null(strstr(out, " and 58 more\"}"));
  drop(policy);
  policy = before;
}

static void explanations_name_the_member(void **state) {
  (void)state;
  static const struct {
    const char *permissions, *headers, *body, *text;
  } rows[] = {
      {"mcp,docs", "", SEARCH, "line 3 of the policy, member \"tools/call search\""},
      {"mcp", "", DROP, "line 4 of the policy, member \"tools/call *\"; lacking [admin]"},
      {"mcp", "", M("tools/list", ""),
       "line 2 of the policy: no member of mcp has this call, and needs alone decide"},
      {"mcp", "mx", M("ping", ""),
       "Mcp-Method and Mcp-Name must agree with the request, and come "
       "once"},
      {"mcp", "", "[]", "the body is no JSON-RPC message that can be read in one way only"},
      {"mcp", "", NULL, "no body came by which this call could be allowed"},
  };
  char out[512];
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result = check("/mcp", rows[i].permissions, rows[i].headers, rows[i].body);
    size_t len = subtoken_mcp_explain(policy, &decision, result, &mcp, out, sizeof out);
    CHECK(len == strlen(out) && strcmp(out, rows[i].text) == 0, "row %zu: %s", i, out);
    assert_int_equal(subtoken_mcp_explain(policy, &decision, result, &mcp, out, 10), 9);
  }
}

/* ---- a naive second look ---- */

static const char *const methods[] = {
    "tools/call", "prompts/get", "resources/read", "ping", "a", "ab", "B"};
static const char *const names[] = {"x", "y", "xy", "X", "x y", "*", ""};

typedef struct naive_member {
  size_t method, name; /* name COUNT(names): none; COUNT(names) + 1: `*` */
  bool star;           /* the member `*` */
} naive_member;

/* Which member decides, by looking at all of them four times. */
static size_t naive_find(const naive_member *members, size_t count, size_t method, size_t name) {
  for (int round = 0; round < 4; round++) {
    for (size_t i = 0; i < count; i++) {
      bool same = !members[i].star && members[i].method == method;
      if (round == 0 && same && members[i].name == name && name < COUNT(names)) return i;
      if (round == 1 && same && members[i].name == COUNT(names) + 1 && name < COUNT(names))
        return i;
      if (round == 2 && same && members[i].name == COUNT(names)) return i;
      if (round == 3 && members[i].star) return i;
    }
  }
  return count;
}

/* A URI has no blanks. */
static bool naive_no_uri(size_t method, size_t name) {
  return method == 2 && name < COUNT(names) && strchr(names[name], ' ') != NULL;
}

static size_t naive_draw(naive_member *members, uint64_t *seed, char *text, size_t size) {
  size_t count = 0, wanted = 1 + random_below(seed, 12);
  int len = snprintf(text, size, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/\",\"mcp\":{");
  for (size_t tries = 0; count < wanted && tries < 100; tries++) {
    naive_member one = {random_below(seed, COUNT(methods)), COUNT(names),
                        random_below(seed, 10) == 0};
    if (one.method < 3) one.name = random_below(seed, COUNT(names) + 2);
    bool bad =
        one.name < COUNT(names) && (names[one.name][0] == '\0' || names[one.name][0] == '*' ||
                                    naive_no_uri(one.method, one.name));
    for (size_t i = 0; i < count; i++) {
      bad |= members[i].star && one.star;
      bad |= !members[i].star && !one.star && members[i].method == one.method &&
             members[i].name == one.name;
    }
    if (bad) continue;
    len += snprintf(text + len, size - (size_t)len, "%s\"%s%s%s\":[\"p%zu\"]", count > 0 ? "," : "",
                    one.star ? "*" : methods[one.method],
                    one.star || one.name == COUNT(names) ? "" : " ",
                    one.star || one.name == COUNT(names) ? ""
                    : one.name == COUNT(names) + 1       ? "*"
                                                         : names[one.name],
                    count);
    members[count++] = one;
  }
  snprintf(text + len, size - (size_t)len, "}}]}");
  return count;
}

static void the_look_up_agrees_with_a_naive_one(void **state) {
  (void)state;
  static char text[4096];
  uint64_t seed = 20260728;
  const subtoken_policy *before = policy;
  for (int round = 0; round < 400; round++) {
    naive_member members[12];
    size_t count = naive_draw(members, &seed, text, sizeof text);
    policy = policy_of(text);
    for (size_t method = 0; method < COUNT(methods); method++) {
      for (size_t name = 0; name < COUNT(names); name++) {
        char body[256], want[32] = "";
        snprintf(body, sizeof body,
                 "{\"method\":\"%s\",\"params\":{\"name\":\"%s\",\"uri\":\"%s\"}}", methods[method],
                 names[name], names[name]);
        size_t found = naive_find(members, count, method, method < 3 ? name : COUNT(names));
        if (found < count) snprintf(want, sizeof want, "p%zu", found);
        subtoken_result result = check("/", "", "", body), wanted = found < count ? PERM : OK;
        if (naive_no_uri(method, name)) {
          assert_int_equal(result, BAD);
          continue;
        }
        CHECK(result == wanted && strcmp(lacking(), want) == 0, "%s\n%s: %s", text, body,
              lacking());
      }
    }
    drop(policy);
  }
  policy = before;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_most_specific_member_decides),
      cmocka_unit_test(bodies_that_can_be_read_otherwise_are_refused),
      cmocka_unit_test(bodies_that_are_strange_and_clear_are_read),
      cmocka_unit_test(limits_hold),
      cmocka_unit_test(headers_must_agree_with_the_body),
      cmocka_unit_test(without_a_body_the_headers_decide_where_they_may),
      cmocka_unit_test(streams_and_ends_of_sessions_call_nothing),
      cmocka_unit_test(who_does_not_look_at_calls_lets_none_pass),
      cmocka_unit_test(arguments_are_checked),
      cmocka_unit_test(answers_repeat_the_id_and_name_all_that_lacks),
      cmocka_unit_test(ids_are_repeated_when_they_are_short),
      cmocka_unit_test(the_longest_answers_fit),
      cmocka_unit_test(explanations_name_the_member),
      cmocka_unit_test(the_look_up_agrees_with_a_naive_one),
  };
  return cmocka_run_group_tests_name("mcp", tests, set_up, tear_down);
}
