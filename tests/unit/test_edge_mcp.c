/* edge, of calls of the Model Context Protocol: what an edge answers with and without the body, and
 * that the decision endpoint answers the same where a proxy sends it the same; protected resources.
 */
#include "edge_fixture.h"

#define ISSUER "https://auth.example.com"
#define RESOURCE "https://api.example.com/mcp"
#define METADATA \
  "resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource/mcp\""
#define CALL(id, name)                                                                        \
  "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{\"name\":\"" name \
  "\""                                                                                        \
  "}}"
#define LIST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}"
#define V "MCP-Protocol-Version: 2026-07-28\n"
#define SCOPE(list) "Bearer error=\"insufficient_scope\", scope=\"" list "\""
#define INVALID "{\"text\":\"Invalid access token\"}"
#define NO_BODY "{\"text\":\"no body came by which this call could be allowed\"}"
#define MISMATCH(id)                                          \
  "{\"jsonrpc\":\"2.0\",\"id\":" id                           \
  ",\"error\":{\"code\":-32020,\"message\":\"Mcp-Method and " \
  "Mcp-Name must agree with the request, and come once\"}}"
#define UNREADABLE(id, code, what)                               \
  "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"error\":{\"code\":" code \
  ",\"message\":\"the body is " what " that can be read in one way only\"}}"

static const char policy_text[] =
    "{\"default\":\"deny\",\"routes\":["
    "{\"path\":\"/mcp\",\"needs\":[\"mcp\"],\"resource\":\"" RESOURCE
    "\",\"mcp\":{"
    "\"tools/call search\":[\"docs\"],\"tools/call *\":[\"docs\",\"admin\"]}},"
    "{\"path\":\"/by\",\"needs\":[\"mcp\"],\"mcp_headers\":\"2026-07-28\",\"mcp\":{"
    "\"tools/call search\":[\"docs\"],\"tools/call *\":[\"admin\"]}},"
    "{\"path\":\"/get\",\"methods\":[\"GET\"],\"resource\":\"" RESOURCE
    "\"},"
    "{\"path\":\"/plain\",\"needs\":[\"mcp\"]}]}";

static int set_up(void **state) {
  static void *memory;
  subtoken_text text = {policy_text, sizeof policy_text - 1};
  size_t size = subtoken_policy_size(text.len);
  if (edge_set_up(state) != 0) return -1;
  free(memory);
  memory = malloc(size);
  assert_non_null(memory);
  if (subtoken_policy_read(memory, size, text, &edge.policy, NULL) != SUBTOKEN_OK) return -1;
  service.policy = edge.policy;
  snprintf(fixture.rows[0].key.permissions, sizeof fixture.rows[0].key.permissions,
           "mcp,docs,admin");
  return 0;
}

/* permissions NULL: no credential; `!`: a token that is none; `key`: the whole key. */
static const char *headers_of(const char *permissions, const char *more, const char *body) {
  static char out[SUBTOKEN_TARGET_MAX];
  const char *token = permissions;
  if (permissions == NULL) {
    snprintf(out, sizeof out, "%s", more);
  } else {
    if (strcmp(permissions, "key") == 0) token = KEY;
    if (strcmp(permissions, "!") == 0) token = "a.b.c";
    if (token == permissions) {
      token = edge_issue(TEST_SECRET, fixture.rows[0].key.sub, permissions, NULL, NOW + 60);
    }
    snprintf(out, sizeof out, "Authorization: Bearer %s\n%s", token, more);
  }
  size_t len = strlen(out);
  if (body[0] != '\0') {
    snprintf(out + len, sizeof out - len, "Content-Length: %zu\n", strlen(body));
  }
  return out;
}

typedef struct row {
  const char *method, *path, *permissions, *headers, *body;
  int status;
  const char *name, *text, *challenge; /* the server's, too */
} row;

static void check_server(size_t i, const row *want, const char *headers) {
  char path[64];
  snprintf(path, sizeof path, "/v2/authorize%s", want->path);
  int status = fixture_ask(want->method, path, headers, want->body);
  CHECK(status == want->status, "row %zu: the server says %d %.*s", i, status, (int)reply.body_len,
        reply.body);
  if (status == 200) return;
  if (reply.body_len > 0) check_body(want->text);
  reply.headers[reply.headers_len] = '\0';
  subtoken_text told = edge_header_of_reply(reply.headers, "WWW-Authenticate");
  if (told.data == NULL) told = st_text(reply.challenge == NULL ? "" : reply.challenge);
  CHECK(st_text_is(told, want->challenge), "row %zu: the server's challenge is %.*s", i,
        (int)told.len, told.data);
}

static void check_rows(const row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const row *want = &rows[i];
    const char *headers = headers_of(want->permissions, want->headers, want->body);
    bool passes = edge_passes(want->method, want->path, headers, want->body);
    CHECK(passes == (want->status == 200) && edge_reply.status == want->status &&
              strcmp(edge_reply.name, want->name) == 0,
          "row %zu: %d %s %s", i, edge_reply.status, edge_reply.name, edge_reply.body);
    CHECK(strcmp(edge_reply.body, want->text) == 0 && edge_reply.body_len == strlen(want->text),
          "row %zu: %s", i, edge_reply.body);
    CHECK(strcmp(edge_reply.challenge, want->challenge) == 0 &&
              edge_reply.challenge_len == strlen(want->challenge),
          "row %zu: %s", i, edge_reply.challenge);
    check_server(i, want, headers);
  }
}

static void calls_are_decided_by_their_body(void **state) {
  static const row rows[] = {
      {"POST", "/mcp", "mcp", "", LIST, 200, "ok", "", ""},
      {"POST", "/mcp", "mcp,docs", "", CALL("1", "search"), 200, "ok", "", ""},
      {"POST", "/mcp", "mcp,docs,admin", "", CALL("1", "drop"), 200, "ok", "", ""},
      {"POST", "/mcp", "key", "", CALL("1", "drop"), 200, "ok", "", ""},
      {"PUT", "/mcp", "mcp", "", CALL("1", "search"), 403, "perm",
       "{\"text\":\"requires scope docs\"}", SCOPE("docs")},
      /* all that lacks for the call, of the route and of the call */
      {"POST", "/mcp", "x", "", CALL("1", "search"), 403, "perm",
       "{\"text\":\"requires scope mcp docs\"}", SCOPE("mcp docs")},
      {"POST", "/mcp", "x", "", "[" CALL("1", "search") "," CALL("2", "drop") "]", 403, "perm",
       "{\"text\":\"requires scope mcp docs admin\"}", SCOPE("mcp docs admin")},
      {"POST", "/mcp", "mcp,docs", "", CALL("1", "drop"), 403, "perm",
       "{\"text\":\"requires scope admin\"}", SCOPE("admin")},
      {"POST", "/mcp", "x", "", LIST, 403, "perm", "{\"text\":\"requires scope mcp\"}",
       SCOPE("mcp")},
      /* JSON-RPC errors, because clients read those from a 400 */
      {"POST", "/mcp", "mcp,docs", "Mcp-Method: tools/list\n", CALL("7", "search"), 400,
       "mcp_mismatch", MISMATCH("7"), ""},
      {"POST", "/mcp", "x", "Mcp-Name: drop\n", CALL("\"a\"", "search"), 400, "mcp_mismatch",
       MISMATCH("\"a\""), ""},
      {"POST", "/mcp", "mcp,docs", "Mcp-Method: tools/call\nMcp-Method: tools/call\n",
       CALL("7", "search"), 400, "mcp_mismatch", MISMATCH("7"), ""},
      {"POST", "/mcp", "mcp,docs", "Mcp-Method: tools/call\nMcp-Name: =?base64?c2VhcmNo?=\n",
       CALL("7", "search"), 200, "ok", "", ""},
      {"POST", "/mcp", "mcp", "", "{", 400, "bad_request", UNREADABLE("null", "-32700", "not JSON"),
       ""},
      {"POST", "/mcp", "mcp", "", "{\"id\":5,\"method\":\"Tools/call\"}", 400, "bad_request",
       UNREADABLE("5", "-32600", "no JSON-RPC message"), ""},
      /* no body */
      {"POST", "/mcp", "mcp,docs", "", "", 403, "url", NO_BODY,
       "Bearer error=\"insufficient_scope\""},
      {"POST", "/mcp", "mcp,docs", V "Mcp-Method: tools/list\n", "", 403, "url", NO_BODY,
       "Bearer error=\"insufficient_scope\""},
      {"GET", "/mcp", "mcp", "", "", 200, "ok", "", ""},
      {"DELETE", "/mcp", "mcp", "", "", 200, "ok", "", ""},
      {"GET", "/mcp", "docs", "", "", 403, "perm", "{\"text\":\"requires scope mcp\"}",
       SCOPE("mcp")},
      {"GET", "/mcp", "mcp", "", CALL("1", "drop"), 403, "perm",
       "{\"text\":\"requires scope docs admin\"}", SCOPE("docs admin")},
      /* another route is as ever */
      {"POST", "/plain", "x", "", "", 403, "perm", "{\"text\":\"requires scope mcp\"}",
       "Bearer error=\"insufficient_scope\""},
  };
  (void)state;
  check_rows(rows, COUNT(rows));
}

/* What lies in front of a call comes first, and an edge that cannot read bodies goes by headers. */
static void headers_decide_where_no_body_is_read(void **state) {
  static const row rows[] = {
      {"POST", "/by", "mcp,docs", V "Mcp-Method: tools/call\nMcp-Name: search\n", "", 200, "ok", "",
       ""},
      {"POST", "/by", "mcp", V "Mcp-Method: tools/list\n", "", 200, "ok", "", ""},
      {"POST", "/by", "x", V "Mcp-Method: tools/call\nMcp-Name: drop\n", "", 403, "perm",
       "{\"text\":\"requires scope mcp admin\"}", SCOPE("mcp admin")},
      {"POST", "/by", "mcp,docs", "Mcp-Method: tools/call\nMcp-Name: search\n", "", 403, "url",
       NO_BODY, "Bearer error=\"insufficient_scope\""},
      {"POST", "/by", "mcp,docs", V V "Mcp-Method: tools/call\nMcp-Name: search\n", "", 403, "url",
       NO_BODY, "Bearer error=\"insufficient_scope\""},
      {"POST", "/by", "mcp,docs", V, "", 400, "mcp_mismatch", MISMATCH("null"), ""},
      {"POST", "/by", "mcp,docs", V "Mcp-Method: tools/call\nMcp-Name: a\nMcp-Name: a\n", "", 400,
       "mcp_mismatch", MISMATCH("null"), ""},
      {"POST", "/mcp", "mcp,docs", V "Mcp-Method: tools/call\nMcp-Name: search\n", "", 403, "url",
       NO_BODY, "Bearer error=\"insufficient_scope\""},
      {"GET", "/by", "mcp", "", "", 200, "ok", "", ""},
  };
  (void)state;
  for (int reads = 0; reads < 2; reads++) {
    edge.reads_bodies = reads;
    check_rows(rows, COUNT(rows));
  }
  /* With a body that is not read, headers decide, and never for GET alone. */
  edge.reads_bodies = false;
  edge_lines lines;
  edge_lines_read(&lines, "POST", "/by",
                  headers_of("mcp", V "Mcp-Method: tools/list\n", CALL("1", "drop")));
  assert_int_equal(subtoken_edge_decide(&edge, &lines.request, &edge_claims, &edge_reply),
                   SUBTOKEN_EDGE_ALLOW);
  edge_lines_release(&lines);
  edge_lines_read(&lines, "GET", "/mcp", headers_of("mcp", "", CALL("1", "drop")));
  assert_int_equal(subtoken_edge_decide(&edge, &lines.request, &edge_claims, &edge_reply),
                   SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(edge_reply.status, 403);
  edge_lines_release(&lines);
}

static void a_401_names_the_metadata(void **state) {
  static const row with[] = {
      {"POST", "/mcp", NULL, "", LIST, 401, "auth_missing", INVALID, "Bearer " METADATA},
      {"GET", "/mcp", NULL, "", "", 401, "auth_missing", INVALID, "Bearer " METADATA},
      {"POST", "/mcp", NULL, "", "", 401, "auth_missing", INVALID, "Bearer " METADATA},
      {"POST", "/get", NULL, "", "", 401, "auth_missing", INVALID, "Bearer " METADATA},
      {"GET", "/get", NULL, "", "", 401, "auth_missing", INVALID, "Bearer " METADATA},
      {"POST", "/mcp", "!", "", LIST, 401, "malformed", INVALID,
       "Bearer error=\"invalid_token\", " METADATA},
      {"POST", "/plain", NULL, "", "", 401, "auth_missing", INVALID, "Bearer"},
      {"POST", "/by", NULL, "", LIST, 401, "auth_missing", INVALID, "Bearer"},
      {"POST", "/elsewhere", NULL, "", "", 401, "auth_missing", INVALID, "Bearer"},
      {"POST", "/mcp", "x", "", LIST, 403, "perm", "{\"text\":\"requires scope mcp\"}",
       SCOPE("mcp")},
  };
  static st_settings issued;
  (void)state;
  issued = *service.settings;
  snprintf(issued.issuer, sizeof issued.issuer, "%s", ISSUER);
  const st_settings *before = service.settings;
  service.settings = &issued;
  edge.issuer = st_text(ISSUER);
  edge.may_ask = false;
  check_rows(with, COUNT(with));
  char out[SUBTOKEN_METADATA_MAX];
  subtoken_text target = ST_TEXT("/.well-known/oauth-protected-resource/mcp");
  size_t len = subtoken_edge_metadata(&edge, target, out, sizeof out);
  assert_string_equal(out, "{\"resource\":\"" RESOURCE "\",\"authorization_servers\":[\"" ISSUER
                           "\"],\"bearer_methods_supported\":[\"header\"],\"scopes_supported\":["
                           "\"mcp\"]}");
  assert_int_equal(len, strlen(out));
  edge.issuer = (subtoken_text){NULL, 0};
  assert_int_equal(subtoken_edge_metadata(&edge, target, out, sizeof out), 0);
  service.settings = before;
  static const row without[] = {
      {"POST", "/mcp", NULL, "", LIST, 401, "auth_missing", INVALID, "Bearer"},
  };
  check_rows(without, COUNT(without));
}

/* The user `*` may call what his permissions open, and is asked to log in for the rest. */
static void the_anonymous_user_may_call_what_is_his(void **state) {
  static const row rows[] = {
      {"POST", "/mcp", NULL, "", LIST, 200, "ok", "", ""},
      {"GET", "/mcp", NULL, "", "", 200, "ok", "", ""},
      {"POST", "/mcp", NULL, "", CALL("1", "search"), 401, "auth_missing", INVALID, "Bearer"},
      {"POST", "/mcp", NULL, "", "", 401, "auth_missing", INVALID, "Bearer"},
      {"POST", "/mcp", NULL, "", "[]", 400, "bad_request",
       UNREADABLE("null", "-32600", "no JSON-RPC message"), ""},
  };
  (void)state;
  edge_add_anonymous("mcp");
  check_rows(rows, COUNT(rows));
}

static void the_needs_of_the_edge_are_named_too(void **state) {
  static const subtoken_text needs[] = {SUBTOKEN_TEXT("docs"), SUBTOKEN_TEXT("more")};
  (void)state;
  edge.needs = needs;
  edge.needs_count = 2;
  for (int key = 0; key < 2; key++) {
    assert_false(
        edge_passes("POST", "/mcp", headers_of(key ? "key" : "docs,admin", "", LIST), LIST));
    assert_int_equal(edge_reply.status, 403);
    assert_string_equal(edge_reply.challenge, key ? SCOPE("more") : SCOPE("mcp more"));
  }
}

/* Of the limits of a body the edge answers as for JSON-RPC. */
static void bodies_that_are_too_long_or_encoded_are_not_read(void **state) {
  (void)state;
  assert_false(edge_passes("POST", "/mcp", headers_of("mcp", "Content-Length: 262145\n", ""), ""));
  assert_int_equal(edge_reply.status, 413);
  assert_false(
      edge_passes("POST", "/mcp", headers_of("mcp", "Content-Encoding: gzip\n", LIST), LIST));
  assert_int_equal(edge_reply.status, 415);
  static char body[SUBTOKEN_RPC_BODY_MAX + 2];
  memset(body, ' ', sizeof body - 1);
  memcpy(body, LIST, strlen(LIST));
  assert_false(edge_passes("POST", "/mcp", headers_of("mcp", "", LIST), body));
  assert_int_equal(edge_reply.status, 413);
  body[SUBTOKEN_RPC_BODY_MAX] = '\0';
  assert_true(edge_passes("POST", "/mcp", headers_of("mcp", "", LIST), body));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(calls_are_decided_by_their_body, set_up),
      cmocka_unit_test_setup(headers_decide_where_no_body_is_read, set_up),
      cmocka_unit_test_setup(a_401_names_the_metadata, set_up),
      cmocka_unit_test_setup(the_anonymous_user_may_call_what_is_his, set_up),
      cmocka_unit_test_setup(the_needs_of_the_edge_are_named_too, set_up),
      cmocka_unit_test_setup(bodies_that_are_too_long_or_encoded_are_not_read, set_up),
  };
  return cmocka_run_group_tests_name("edge_mcp", tests, NULL, NULL);
}
