/* authorize_call: what came with the request that is asked about, and what a refusal of a call
 * says. That each call of MCP needs the same here as at an edge is in test_edge_mcp.c.
 */
#include "service_fixture.h"

#include "service/authorize_call.h"
#include "subtoken/policy.h"

#define ISSUER "https://auth.example.com"
#define RESOURCE "https://api.example.com/mcp"
#define METADATA \
  "resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource/mcp\""
#define SEARCH \
  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"search\"}}"
#define HISTORY \
  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call\",\"params\":[\"history_api\",\"x\",[]]}"
#define DATABASE \
  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call\",\"params\":[\"database_api\",\"x\",[]]}"
#define AS_CALLER AS_KEY AS_JSON
#define BY_HEADERS "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: search\n"

static const char policy_text[] =
    "{\"default\":\"deny\",\"preflight\":true,\"routes\":["
    "{\"path\":\"/mcp\",\"needs\":[\"mcp\"],\"resource\":\"" RESOURCE
    "\",\"mcp\":{\"tools/call search\":[\"docs\"]}},"
    "{\"path\":\"/by\",\"needs\":[\"mcp\"],\"mcp_headers\":\"2026-07-28\",\"mcp\":{"
    "\"tools/call search\":[\"docs\"],\"tools/call *\":[\"admin\"]}},"
    "{\"path\":\"/rpc\",\"methods\":[\"POST\"],\"json_rpc\":true},"
    "{\"path\":\"/plain\",\"needs\":[\"admin\"]},"
    "{\"path\":\"/resource\",\"needs\":[\"admin\"],\"resource\":\"" RESOURCE "\"}]}";

static int set_up(void **state) {
  static void *memory;
  subtoken_text text = {policy_text, sizeof policy_text - 1};
  size_t size = subtoken_policy_size(text.len);
  (void)fixture_set_up(state);
  free(memory);
  memory = malloc(size);
  assert_non_null(memory);
  snprintf(settings.issuer, sizeof settings.issuer, ISSUER);
  snprintf(fixture.rows[0].key.permissions, sizeof fixture.rows[0].key.permissions,
           "mcp,docs,history_api");
  return subtoken_policy_read(memory, size, text, &service.policy, NULL) == SUBTOKEN_OK ? 0 : -1;
}

static int ask(const char *path, const char *headers, const char *body) {
  char target[64];
  snprintf(target, sizeof target, "/v2/authorize%s", path);
  int status = fixture_ask("POST", target, headers, body);
  reply.headers[reply.headers_len] = '\0';
  return status;
}

/* The body is decided by when it is UTF-8, not packed, and whole. Without it, a call of JSON-RPC
 * has no route.
 */
static void a_body_that_may_be_another_is_none(void **state) {
  (void)state;
  static const struct {
    const char *headers;
    int status;
  } rows[] = {
      {AS_KEY, 200},
      {AS_CALLER, 200},
      {AS_KEY "Content-Type: application/json; charset=utf-8\n", 200},
      {AS_KEY "Content-Type: application/json; charset=UTF-8\n", 200},
      {AS_KEY "Content-Type: application/json;charset=\"utf-8\"\n", 200},
      {AS_KEY "Content-Type: application/json;charset='utf-8'\n", 403},
      {AS_KEY "Content-Type: application/json; charset=utf-7\n", 403},
      {AS_KEY "Content-Type: application/json; charset\n", 403},
      {AS_KEY "Content-Type: charset\n", 403},
      {AS_KEY "Content-Type: charse\n", 200},
      {AS_KEY "Content-Type: application/json; charset=utf-8; charset=utf-7\n", 403},
      {"Content-Type: application/json; charset=utf-7\n" AS_KEY, 403},
      {"Content-Type: a/b\n" AS_CALLER, 403},
      {AS_JSON AS_JSON AS_CALLER, 403},
      {AS_KEY "Content-Encoding: identity\n", 200},
      {AS_KEY "content-encoding: IDENTITY\n", 200},
      {AS_KEY "Content-Encoding: gzip\n", 403},
      {AS_KEY "Content-Encoding: br\n", 403},
      {AS_KEY "Content-Encoding: identity, br\n", 403},
      {AS_KEY "Content-Encoding: \n", 403},
      {AS_KEY "Content-Encoding: identity\nContent-Encoding: br\n", 403},
      {"Content-Encoding: br\n" AS_KEY "Content-Encoding: identity\n", 403},
      {AS_KEY "X-Envoy-Auth-Partial-Body: false\n", 200},
      {AS_KEY "X-Envoy-Auth-Partial-Body: true\n", 403},
      {AS_KEY "X-Envoy-Auth-Partial-Body: False\n", 403},
      {AS_KEY "X-Envoy-Auth-Partial-Body: \n", 403},
      {AS_KEY "X-Envoy-Auth-Partial-Body: false\nX-Envoy-Auth-Partial-Body: false\n", 403},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(ask("/rpc", rows[i].headers, HISTORY) == rows[i].status, "row %zu: %d", i, reply.status);
    /* With the body unread there are headers alone, and this route is not decided by them. */
    int status = rows[i].status == 200 ? 200 : 403;
    CHECK(ask("/mcp", rows[i].headers, SEARCH) == status, "row %zu: %d", i, reply.status);
    if (status == 403) check_event("url");
  }
}

/* That there is a body is known of one that cannot be read, too: by headers it is decided all the
 * same, and what has no call in it needs a body or a method without one. */
static void a_body_counts_when_it_is_not_read(void **state) {
  (void)state;
  static const char unread[] = "X-Envoy-Auth-Partial-Body: true\n" AS_KEY;
  assert_int_equal(ask("/by", AS_KEY BY_HEADERS, ""), 200);
  assert_int_equal(ask("/by", "X-Envoy-Auth-Partial-Body: true\n" AS_KEY BY_HEADERS, "{"), 200);
  assert_int_equal(ask("/by", AS_KEY BY_HEADERS, "{"), 400);
  assert_int_equal(fixture_ask("GET", "/v2/authorize/by", AS_KEY, ""), 200);
  assert_int_equal(fixture_ask("GET", "/v2/authorize/by", unread, "{"), 403);
  check_event("url");
}

/* Of a header that came often two values are looked at, wherever they stand. */
static void headers_of_a_call_come_once(void **state) {
  (void)state;
#define METHOD "Mcp-Method: tools/call\n"
#define NAME "Mcp-Name: search\n"
#define VERSION "MCP-Protocol-Version: 2026-07-28\n"
  static const struct {
    const char *headers, *body;
    int status;
  } rows[] = {
      {METHOD NAME AS_KEY VERSION, "", 200},
      {NAME METHOD VERSION AS_KEY, "", 200},
      {VERSION NAME METHOD AS_KEY, "", 200},
      {METHOD METHOD NAME VERSION AS_KEY, "", 400},
      {METHOD METHOD METHOD METHOD NAME VERSION AS_KEY, "", 400},
      {NAME NAME NAME NAME METHOD VERSION AS_KEY, "", 400},
      {VERSION VERSION VERSION VERSION NAME METHOD AS_KEY, "", 403},
      {METHOD METHOD METHOD AS_KEY, SEARCH, 400},
      {METHOD AS_KEY NAME, SEARCH, 200},
      {"Mcp-Method: tools/list\n" AS_KEY, SEARCH, 400},
      {"Mcp-Name: find\n" AS_KEY, SEARCH, 400},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(ask("/by", rows[i].headers, rows[i].body) == rows[i].status, "row %zu: %d %.*s", i,
          reply.status, (int)reply.body_len, reply.body);
    if (rows[i].status == 400) check_event("mcp_mismatch");
  }
}

/* ---- refusals ---- */

typedef struct refusal {
  const char *path, *headers, *body;
  int status;
  const char *event, *challenge, *told; /* told: instead of challenge, as a header */
} refusal;

static void a_refusal_says_what_is_lacking(void **state) {
  (void)state;
  static const char scope[] = "Bearer error=\"insufficient_scope\"";
  static const refusal rows[] = {
      {"/mcp", AS_POOR, SEARCH, 403, "perm", NULL, ", scope=\"mcp docs\"\r\n"},
      {"/mcp", AS_KEY, "", 403, "url", scope, NULL},
      {"/mcp", AS_KEY, "{", 400, "bad_request", NULL, NULL},
      {"/mcp", AS_KEY "Mcp-Name: find\n", SEARCH, 400, "mcp_mismatch", NULL, NULL},
      {"/mcp", "", SEARCH, 401, "auth_missing", NULL, "Bearer " METADATA "\r\n"},
      {"/mcp", "Authorization: Bearer x\n", SEARCH, 401, NULL, NULL,
       "Bearer error=\"invalid_token\", " METADATA "\r\n"},
      {"/resource", AS_KEY, "", 403, "perm", scope, NULL},
      {"/resource", "", "", 401, "auth_missing", NULL, "Bearer " METADATA "\r\n"},
      {"/rpc", AS_KEY, DATABASE, 403, "perm", scope, NULL},
      {"/rpc", AS_KEY, "[]", 400, "bad_request", NULL, NULL},
      {"/rpc", AS_KEY, "{\"method\":\"a\",\"method\":\"b\"}", 400, "bad_request", NULL, NULL},
      {"/plain", AS_KEY, "", 403, "perm", scope, NULL},
      {"/plain", "", "", 401, "auth_missing", "Bearer", NULL},
      {"/none", AS_KEY, "", 403, "url", scope, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const refusal *row = &rows[i];
    CHECK(ask(row->path, row->headers, row->body) == row->status, "row %zu: %d", i, reply.status);
    if (row->event != NULL) check_event(row->event);
    assert_true(reply.body_len > 10);
    const char *line = strstr(reply.headers, "WWW-Authenticate: ");
    const char *is = reply.challenge != NULL ? reply.challenge : "none";
    CHECK((row->challenge == NULL) == (reply.challenge == NULL), "row %zu: %s", i, is);
    CHECK(row->challenge == NULL || strcmp(row->challenge, is) == 0, "row %zu: %s", i, is);
    CHECK((row->told == NULL) == (line == NULL), "row %zu: %s", i, reply.headers);
    CHECK(line == NULL || strstr(line, row->told) != NULL, "row %zu: %s", i, line);
    /* Without an issuer there is nothing to lead to. */
    settings.issuer[0] = '\0';
    (void)ask(row->path, row->headers, row->body);
    assert_true(reply.status == row->status && strstr(reply.headers, METADATA) == NULL);
    assert_true(reply.status != 401 || reply.challenge != NULL);
    snprintf(settings.issuer, sizeof settings.issuer, ISSUER);
  }
}

/* A subtoken that lists another url is refused before the call is looked at. */
static void a_url_that_is_not_listed_comes_before_the_call(void **state) {
  (void)state;
  const char *headers = bearer(subtoken_of_key("mcp", "/elsewhere", NOW + 60));
  assert_int_equal(ask("/mcp", headers, SEARCH), 403);
  check_event("url");
  assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
  assert_null(strstr(reply.headers, "WWW-Authenticate"));
}

static void a_preflight_has_both_headers(void **state) {
  (void)state;
#define ORIGIN "Origin: https://a.example\n"
#define METHOD_ASKED "Access-Control-Request-Method: GET\n"
  static const struct {
    const char *headers;
    int status;
  } rows[] = {{ORIGIN METHOD_ASKED, 200},
              {METHOD_ASKED ORIGIN, 200},
              {"A: b\n" ORIGIN "C: d\n" METHOD_ASKED, 200},
              {ORIGIN "A: b\n", 401},
              {METHOD_ASKED, 401},
              {"A: b\n", 401}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = fixture_ask("OPTIONS", "/v2/authorize/plain", rows[i].headers, "");
    CHECK(status == rows[i].status, "row %zu: %d", i, status);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_body_that_may_be_another_is_none, set_up),
      cmocka_unit_test_setup(a_body_counts_when_it_is_not_read, set_up),
      cmocka_unit_test_setup(headers_of_a_call_come_once, set_up),
      cmocka_unit_test_setup(a_refusal_says_what_is_lacking, set_up),
      cmocka_unit_test_setup(a_url_that_is_not_listed_comes_before_the_call, set_up),
      cmocka_unit_test_setup(a_preflight_has_both_headers, set_up),
  };
  return cmocka_run_group_tests_name("authorize_call", tests, NULL, NULL);
}
