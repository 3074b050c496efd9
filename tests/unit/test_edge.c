/* edge: what an edge decides about one request, held against what /v2/authorize answers about it.
 */
#include "edge_fixture.h"

#define INVALID "Invalid access token"
#define TARGET "the request target can be read in more than one way"
#define NOT_LISTED "this subtoken does not list this url"
#define DENIED "the route policy does not allow this request"
#define UNDECIDED "this cannot be decided now; try again later"
#define AMBIGUOUS "more than one credential"
#define ESCAPE "access_token: a % needs two hex digits behind it"
#define RPC "the body is no JSON-RPC request that can be read in one way only"
#define SCOPE(permission) "requires scope " permission
#define PREFLIGHT "Origin: https://a\nAccess-Control-Request-Method: GET\n"
#define CALL(api) \
  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call\",\"params\":[\"" api "\",\"x\"]}"
/* alice:correct horse: battery */
#define BASIC "Basic YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ=="

/* text NULL: it passes. server: where /v2/authorize cannot say the same, its status. */
typedef struct edge_row {
  const char *method, *target, *headers, *body;
  int status;
  const char *name, *text;
  int server;
} edge_row;

static const char *challenge_of(int status, const char *name) {
  if (strcmp(name, "auth_missing") == 0) return "Bearer";
  if (strcmp(name, "auth_ambiguous") == 0) return "Bearer error=\"invalid_request\"";
  if (status == 401) return "Bearer error=\"invalid_token\"";
  return status == 403 ? "Bearer error=\"insufficient_scope\"" : NULL;
}

static void check_edge_body(size_t row, const char *text) {
  char body[200];
  snprintf(body, sizeof body, "{\"text\":\"%s\"}", text);
  CHECK(strcmp(edge_reply.body, body) == 0 && edge_reply.body_len == strlen(body),
        "row %zu: the body is %s", row, edge_reply.body);
}

static void check_challenge(size_t row, const char *expected) {
  const char *is = edge_reply.challenge_len > 0 ? edge_reply.challenge : NULL;
  bool same = (is == NULL) == (expected == NULL) && (is == NULL || strcmp(is, expected) == 0);
  CHECK(same, "row %zu: the challenge is %s", row, is == NULL ? "none" : is);
  assert_true(edge_reply.challenge_len == (is == NULL ? 0 : strlen(is)));
}

/* The same question put to the server in the form of a path, with the same policy. */
static void check_server(size_t row, const edge_row *want, const char *target,
                         const char *headers) {
  char path[SUBTOKEN_TARGET_MAX + 20], body[200];
  snprintf(path, sizeof path, "/v2/authorize%s", target);
  int status = fixture_ask(want->method, path, headers, want->body);
  int expected = want->server != 0 ? want->server : want->status;
  CHECK(status == expected, "row %zu: the server says %d %.*s", row, status, (int)reply.body_len,
        reply.body);
  if (want->server != 0 || want->text == NULL) return;
  snprintf(body, sizeof body, "{\"text\":\"%s\"}", want->text);
  if (strcmp(want->text, RPC) != 0) check_body(body);
  const char *challenge = reply.challenge == NULL ? "" : reply.challenge;
  CHECK(strcmp(challenge, edge_reply.challenge) == 0, "row %zu: the server's challenge is %s", row,
        challenge);
}

static void check_row(size_t i, const edge_row *row, bool server) {
  const char *target = edge_expand(row->target), *headers = edge_expand(row->headers);
  bool passes = edge_passes(row->method, target, headers, row->body);
  CHECK(edge_reply.status == row->status && strcmp(edge_reply.name, row->name) == 0,
        "row %zu: %s %s %s is %d %s %s", i, row->method, row->target, row->headers,
        edge_reply.status, edge_reply.name, edge_reply.body);
  CHECK(passes == (row->text == NULL) && passes == (row->status == 200), "row %zu", i);
  if (passes) {
    assert_true(edge_reply.body_len == 0 && edge_reply.body[0] == '\0');
    assert_int_equal(edge_reply.result, SUBTOKEN_OK);
  } else {
    check_edge_body(i, row->text);
  }
  bool escape = row->text != NULL && strcmp(row->text, ESCAPE) == 0;
  check_challenge(
      i, escape ? "Bearer error=\"invalid_request\"" : challenge_of(row->status, row->name));
  assert_true((edge_reply.retry_after == 5) == (row->status == 503));
  if (server) check_server(i, row, target, headers);
}

/* ---- the table ---- */

#define B(token) "Authorization: Bearer " token "\n"

static const edge_row rows[] = {
    /* tokens and the policy */
    {"GET", "/v2/account", B("$G"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?x=1", B("$G"), "", 200, "ok", NULL, 0},
    {"HEAD", "/v2/account", B("$G"), "", 200, "ok", NULL, 0},
    {"POST", "/v2/account", B("$G"), "", 403, "url", DENIED, 0},
    {"GET", "/v2/nothing", B("$G"), "", 403, "url", DENIED, 0},
    {"GET", "/v2/bank", B("$G"), "", 403, "perm", SCOPE("inventories"), 0},
    {"GET", "/v2/bank", B("$P"), "", 403, "perm", SCOPE("account"), 0},
    {"GET", "/v2/open/x", B("$P"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", B("$U"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/open/x", B("$U"), "", 403, "url", NOT_LISTED, 0},
    {"GET", "/v2/nothing", B("$U"), "", 403, "url", DENIED, 403},
    {"GET", "/v2/account", B("$X"), "", 401, "expired", INVALID, 0},
    {"GET", "/v2/account", B("$F"), "", 401, "mac", INVALID, 0},
    {"GET", "/v2/account", B("$R"), "", 401, "revoked", INVALID, 0},
    {"GET", "/v2/nothing", B("$X"), "", 401, "expired", INVALID, 0},
    {"GET", "/v2/account", B("$Gx"), "", 401, "mac", INVALID, 0},
    {"GET", "/v2/account", B("a.b.c"), "", 401, "malformed", INVALID, 0},
    {"GET", "/v2/account", B(".."), "", 401, "malformed", INVALID, 0},
    {"GET", "/v2/account", B("$G $G"), "", 401, "malformed", INVALID, 0},
    /* public, and preflights: no credential is read */
    {"GET", "/v2/items", "", "", 200, "public", NULL, 0},
    {"GET", "/v2/items", B("$X"), "", 200, "public", NULL, 0},
    {"GET", "/v2/items", B("$G") B("$X"), "", 200, "public", NULL, 0},
    {"GET", "/v2/items?access_token=%zz", "", "", 200, "public", NULL, 0},
    {"GET", "/v2/items", "Authorization: " BASIC "\n", "", 200, "public", NULL, 0},
    {"OPTIONS", "/v2/bank", PREFLIGHT, "", 200, "public", NULL, 0},
    {"OPTIONS", "/v2/nothing", PREFLIGHT, "", 200, "public", NULL, 0},
    {"OPTIONS", "/v2//x", PREFLIGHT, "", 400, "bad_target", TARGET, 0},
    {"OPTIONS", "/v2/bank", "Origin: https://a\n", "", 401, "auth_missing", INVALID, 0},
    {"OPTIONS", "/v2/bank", "Access-Control-Request-Method: GET\n", "", 401, "auth_missing",
     INVALID, 0},
    {"GET", "/v2/bank", PREFLIGHT, "", 401, "auth_missing", INVALID, 0},
    /* targets */
    {"GET", "/v2//account", B("$G"), "", 400, "bad_target", TARGET, 0},
    {"GET", "/v2/x/../account", B("$G"), "", 400, "bad_target", TARGET, 0},
    {"GET", "/v2/%2e%2e/account", "", "", 400, "bad_target", TARGET, 0},
    {"GET", "/v2%2Faccount", B("$X"), "", 400, "bad_target", TARGET, 0},
    {"GET", "/v2/account;x", B("$G"), "", 400, "bad_target", TARGET, 0},
    {"GET", "/v2/acc%6Funt", B("$G"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/account/", B("$G"), "", 403, "url", DENIED, 0},
    {"GET", "/V2/account", B("$G"), "", 403, "url", DENIED, 0},
    /* forms */
    {"GET", "/v2/account", "authorization: bearer $G\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", "AUTHORIZATION: BEARER   $G\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", "X-API-Key: $G\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token=$G", "", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?a=b&access_token=$G&c", "", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?%61ccess%5Ftoken=$G", "", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?%61%63%63%65%73%73%5f%74%6f%6b%65%6e=$G", "", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token", "", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account?access_token=", "", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account?Access_Token=$G", "", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account?access_token=%zz", "", "", 400, "bad_request", ESCAPE, 0},
    {"GET", "/v2/account?access_token=x%", "", "", 400, "bad_request", ESCAPE, 0},
    {"GET", "/v2/account?access_token=%7", B("$G"), "", 400, "bad_request", ESCAPE, 0},
    {"GET", "/v2/account?access%zz=x", B("$G"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token=a+b", "", "", 401, "malformed", INVALID, 0},
    {"GET", "/v2/account?access_token=$G&access_token=$G", "", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token=$G&access_token=", "", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token=$G&access_token=$P", "", "", 400, "auth_ambiguous", AMBIGUOUS,
     0},
    {"GET", "/v2/account?access_token=$G", B("$G"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token=$G", B("$P"), "", 400, "auth_ambiguous", AMBIGUOUS, 0},
    {"GET", "/v2/account", B("$G") "X-API-Key: $G\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", B("$G") "X-API-Key: $P\n", "", 400, "auth_ambiguous", AMBIGUOUS, 0},
    {"GET", "/v2/account", "X-API-Key: $G\nX-API-Key: $G\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", "X-API-Key: $G\nX-API-Key: $P\n", "", 400, "auth_ambiguous", AMBIGUOUS,
     0},
    {"GET", "/v2/account", B("$G") B("$G"), "", 400, "auth_ambiguous", AMBIGUOUS, 0},
    {"GET", "/v2/account", B("$G") "Authorization: Digest x\n", "", 400, "auth_ambiguous",
     AMBIGUOUS, 0},
    {"GET", "/v2/account", B("$G") "Authorization: " BASIC "\n", "", 400, "auth_ambiguous",
     AMBIGUOUS, 0},
    {"GET", "/v2/account", "Authorization: " BASIC "\nX-API-Key: $K\n", "", 400, "auth_ambiguous",
     AMBIGUOUS, 0},
    {"GET", "/v2/nothing", B("$G") B("$G"), "", 400, "auth_ambiguous", AMBIGUOUS, 0},
    {"GET", "/v2/account", "", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/nothing", "", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/open/x", "", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account", "Authorization: \n", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account", "Authorization: Bearer\n", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account", "Authorization: Bearer \n", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account", "Authorization: Digest $G\n", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account", "Authorization: Basic\n", "", 401, "auth_missing", INVALID, 0},
    {"GET", "/v2/account", "X-API-Key: \n", "", 401, "auth_missing", INVALID, 0},
    /* whole keys, and Basic: the server says whose they are */
    {"GET", "/v2/account", B("$K"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", "X-API-Key: $K\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token=$K", "", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account?access_token=$K", B("$K") "X-API-Key: $K\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", "Authorization: " BASIC "\n", "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", "Authorization: basic YWxpY2U6d3Jvbmc=\n", "", 401, "key_unknown",
     INVALID, 0},
    {"GET", "/v2/account", "Authorization: Basic !\n", "", 401, "key_unknown", INVALID, 0},
    {"GET", "/v2/bank", B("$K"), "", 403, "perm", SCOPE("inventories"), 0},
    {"GET", "/v2/nothing", B("$K"), "", 403, "url", DENIED, 0},
    {"POST", "/v2/account", B("$K"), "", 403, "url", DENIED, 0},
    {"GET", "/v2//account", B("$K"), "", 400, "bad_target", TARGET, 0},
    {"GET", "/v2/items", B("$K"), "", 200, "public", NULL, 0},
    {"GET", "/v2/account", B("$k"), "", 200, "ok", NULL, 0},
    {"GET", "/v2/account", B("nobody"), "", 401, "key_unknown", INVALID, 0},
    {"GET", "/v2/account", B("dot.ted"), "", 401, "key_unknown", INVALID, 0},
    {"GET", "/v2/account", B("a.b.c.d"), "", 401, "key_unknown", INVALID, 0},
    {"GET", "/v2/account", B("a.b.c!"), "", 401, "key_unknown", INVALID, 0},
    {"GET", "/v2/nothing", B("nobody"), "", 401, "key_unknown", INVALID, 0},
    /* JSON-RPC */
    {"POST", "/rpc", B("$H"), CALL("history"), 200, "ok", NULL, 0},
    {"POST", "/rpc", B("$H"), CALL("network"), 403, "perm", SCOPE("network_api"), 0},
    {"POST", "/rpc", B("$H"), "[" CALL("history") "," CALL("database") "]", 403, "perm",
     SCOPE("database_api"), 0},
    {"POST", "/rpc", B("$H"), "{\"method\":", 400, "bad_request", RPC, 0},
    {"POST", "/rpc", B("$H"), "[]", 400, "bad_request", RPC, 0},
    /* The server denies where it gets no body. */
    {"POST", "/rpc", B("$H"), "", 400, "bad_request", RPC, 403},
    {"POST", "/rpc", B("$X"), CALL("history"), 401, "expired", INVALID, 0},
    {"POST", "/rpc", "", CALL("history"), 401, "auth_missing", INVALID, 0},
    {"GET", "/rpc", B("$H"), CALL("history"), 403, "url", DENIED, 0},
    {"POST", "/rpc", B("$K"), CALL("history"), 200, "ok", NULL, 0},
    {"POST", "/rpc", B("$K"), CALL("network"), 403, "perm", SCOPE("network_api"), 0},
    {"POST", "/rpc", B("$H") "Content-Encoding: gzip\n", CALL("history"), 415, "bad_request",
     "the body must be sent as it is, in UTF-8", 403},
    {"POST", "/rpc", B("$H") "Content-Encoding: identity\n", CALL("history"), 200, "ok", NULL, 0},
    {"POST", "/rpc", B("$H") "Content-Length: 262145\n", CALL("history"), 413, "limit",
     "the body is longer than 262144 bytes", 200},
    {"POST", "/rpc", B("$X") "Content-Length: 262145\n", CALL("history"), 401, "expired", INVALID,
     0},
};

static void each_request_is_decided_as_the_server_does(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(rows); i++) check_row(i, &rows[i], true);
}

/* What an anonymous user may do. */
static void the_anonymous_user_is_asked_about(void **state) {
  static const edge_row table[] = {
      {"GET", "/v2/account", "", "", 200, "ok", NULL, 0},
      {"GET", "/v2/bank", "", "", 401, "auth_missing", INVALID, 0},
      {"GET", "/v2/open/x", "", "", 401, "auth_missing", INVALID, 0},
      {"GET", "/v2/nothing", "", "", 401, "auth_missing", INVALID, 0},
      {"POST", "/rpc", "", CALL("history"), 200, "ok", NULL, 0},
      {"POST", "/rpc", "", CALL("network"), 401, "auth_missing", INVALID, 0},
      {"POST", "/rpc", "", "{", 400, "bad_request", RPC, 0},
      {"GET", "/v2/account", B("$X"), "", 401, "expired", INVALID, 0},
      {"GET", "/v2/account", B("nobody"), "", 401, "key_unknown", INVALID, 0},
  };
  (void)state;
  edge_add_anonymous("account,history_api");
  for (size_t i = 0; i < COUNT(table); i++) check_row(i, &table[i], true);
  assert_true(edge_passes("GET", "/v2/account", "", ""));
  assert_true(edge_asked == 1 && edge_claims.sub.len == 0 && edge_claims.permission_count == 2);
  assert_false(edge_passes("GET", "/v2/open/x", "", ""));
  assert_int_equal(edge_asked, 0);
}

/* ---- settings ---- */

static void who_may_not_ask_refuses(void **state) {
  static const edge_row table[] = {
      {"GET", "/v2/account", B("$G"), "", 200, "ok", NULL, 0},
      {"GET", "/v2/account", B("$K"), "", 401, "malformed", INVALID, 0},
      {"GET", "/v2/account", B("dot.ted"), "", 401, "malformed", INVALID, 0},
      {"GET", "/v2/nothing", B("$K"), "", 401, "malformed", INVALID, 0},
      {"GET", "/v2/account", "Authorization: " BASIC "\n", "", 401, "malformed", INVALID, 0},
      {"GET", "/v2/account", "", "", 401, "auth_missing", INVALID, 0},
      {"GET", "/v2/items", B("$K"), "", 200, "public", NULL, 0},
  };
  (void)state;
  edge.may_ask = false;
  for (size_t i = 0; i < COUNT(table); i++) check_row(i, &table[i], false);
}

static void who_reads_no_bodies_refuses(void **state) {
  static const edge_row table[] = {
      {"POST", "/rpc", B("$H"), "", 403, "url", DENIED, 0},
      {"POST", "/rpc", B("$K"), "", 403, "url", DENIED, 0},
      {"POST", "/rpc", "", "", 401, "auth_missing", INVALID, 0},
      {"GET", "/v2/account", B("$G"), "", 200, "ok", NULL, 0},
  };
  (void)state;
  edge.reads_bodies = false;
  for (size_t i = 0; i < COUNT(table); i++) check_row(i, &table[i], true);
}

static void forms_that_are_left_out_are_not_read(void **state) {
  static const struct {
    unsigned forms;
    edge_row row;
  } table[] = {
      {SUBTOKEN_EDGE_BEARER, {"GET", "/v2/account", B("$G"), "", 200, "ok", NULL, 0}},
      {SUBTOKEN_EDGE_BEARER,
       {"GET", "/v2/account", "X-API-Key: $G\n", "", 401, "auth_missing", INVALID, 0}},
      {SUBTOKEN_EDGE_BEARER,
       {"GET", "/v2/account?access_token=%zz", B("$G") "X-API-Key: x\n", "", 200, "ok", NULL, 0}},
      {SUBTOKEN_EDGE_BEARER,
       {"GET", "/v2/account", "Authorization: " BASIC "\n", "", 401, "auth_missing", INVALID, 0}},
      {SUBTOKEN_EDGE_BASIC,
       {"GET", "/v2/account", "Authorization: " BASIC "\n", "", 200, "ok", NULL, 0}},
      {SUBTOKEN_EDGE_BASIC, {"GET", "/v2/account", B("$G"), "", 401, "auth_missing", INVALID, 0}},
      {SUBTOKEN_EDGE_X_API_KEY,
       {"GET", "/v2/account", B("x") B("y") "X-API-Key: $G\n", "", 200, "ok", NULL, 0}},
      {SUBTOKEN_EDGE_QUERY,
       {"GET", "/v2/account?access_token=$G", B("x") "X-API-Key: y\n", "", 200, "ok", NULL, 0}},
      {SUBTOKEN_EDGE_X_API_KEY | SUBTOKEN_EDGE_QUERY,
       {"GET", "/v2/account?access_token=$G", "X-API-Key: $P\n", "", 400, "auth_ambiguous",
        AMBIGUOUS, 0}},
      {0, {"GET", "/v2/account?access_token=$G", B("$G"), "", 401, "auth_missing", INVALID, 0}},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(table); i++) {
    edge.forms = table[i].forms;
    check_row(i, &table[i].row, false);
  }
}

static void without_a_policy_each_target_needs_a_token(void **state) {
  static const edge_row table[] = {
      {"GET", "/anything", B("$G"), "", 200, "ok", NULL, 0},
      {"GET", "/v2/items", "", "", 401, "auth_missing", INVALID, 0},
      {"OPTIONS", "/v2/items", PREFLIGHT, "", 401, "auth_missing", INVALID, 0},
      {"GET", "/v2/account", B("$U"), "", 200, "ok", NULL, 0},
      {"GET", "/v2/items", B("$U"), "", 403, "url", NOT_LISTED, 0},
      {"GET", "/v2//items", B("$G"), "", 400, "bad_target", TARGET, 0},
      {"GET", "/v2//items", "", "", 400, "bad_target", TARGET, 401},
      {"GET", "/anything", B("$K"), "", 200, "ok", NULL, 0},
      {"GET", "/anything", B("nobody"), "", 401, "key_unknown", INVALID, 0},
  };
  (void)state;
  edge.policy = service.policy = NULL;
  for (size_t i = 0; i < COUNT(table); i++) {
    bool same = table[i].server == 0 && table[i].status != 400;
    check_row(i, &table[i], same);
  }
}

static void the_needs_of_the_edge_come_after_the_policys(void **state) {
  static const subtoken_text needs[] = {SUBTOKEN_TEXT("guilds"), SUBTOKEN_TEXT("wvw")};
  static const subtoken_text odd[] = {SUBTOKEN_TEXT("\"}\r\n<script>")};
  static const edge_row table[] = {
      {"GET", "/v2/bank", B("$U"), "", 403, "url", NOT_LISTED, 0},
      {"GET", "/v2/bank", B("$G"), "", 403, "perm", SCOPE("inventories"), 0},
      {"GET", "/v2/account", B("$U"), "", 403, "perm", SCOPE("guilds"), 0},
      {"GET", "/v2/account", B("$G"), "", 403, "perm", SCOPE("wvw"), 0},
      {"GET", "/v2/account", B("$K"), "", 403, "perm", SCOPE("wvw"), 0},
      {"GET", "/v2/open/x", "", "", 401, "auth_missing", INVALID, 0},
  };
  (void)state;
  edge.needs = needs;
  edge.needs_count = 2;
  for (size_t i = 0; i < COUNT(table); i++) check_row(i, &table[i], false);
  assert_int_equal(edge_asked, 1); /* the last row: an anonymous user may have them */
  edge.needs_count = 1;
  assert_true(edge_passes("GET", "/v2/account", edge_expand(B("$G")), ""));
  edge.needs = odd;
  assert_false(edge_passes("GET", "/v2/account", edge_expand(B("$G")), ""));
  assert_int_equal(edge_reply.status, 403);
  check_edge_body(0, NOT_LISTED);
}

/* ---- the server's answer ---- */

static int answered(const subtoken_edge_answer *answer, const char *headers) {
  edge_lines lines;
  edge_lines_read(&lines, "GET", "/v2/account", headers);
  memset(&edge_claims, 0xA5, sizeof edge_claims);
  subtoken_text nonce = ST_TEXT(EDGE_NONCE);
  subtoken_edge_step step =
      subtoken_edge_decide_answer(&edge, &lines.request, nonce, answer, &edge_claims, &edge_reply);
  bool usable = subtoken_edge_answer_usable(&edge, &lines.request, nonce, answer);
  assert_true(step == SUBTOKEN_EDGE_ALLOW || claims_are_zero(&edge_claims));
  assert_true(step == SUBTOKEN_EDGE_ALLOW || step == SUBTOKEN_EDGE_REFUSE);
  assert_true(usable || edge_reply.status != 200);
  edge_lines_release(&lines);
  return edge_reply.status;
}

#define T(literal) SUBTOKEN_TEXT(literal)
#define ABSENT \
  { NULL, 0 }

static void only_a_genuine_answer_counts(void **state) {
  static const struct {
    int status;
    bool repeated;
    subtoken_text nonce, sub, permissions, expires, retry_after;
    int expected;
    const char *name;
    uint32_t wait;
  } table[] = {
      {200, false, T(EDGE_NONCE), T("s"), T("account"), T("1700000001"), ABSENT, 200, "ok", 0},
      {200, false, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 200, "ok", 0},
      {200, false, T(EDGE_NONCE), T("s"), T("account"), T(""), ABSENT, 200, "ok", 0},
      {403, false, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 200, "ok", 0},
      {400, false, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 200, "ok", 0},
      {200, false, T(EDGE_NONCE), T("s"), T("guilds"), ABSENT, ABSENT, 403, "perm", 0},
      {200, false, T(EDGE_NONCE), T("s"), ABSENT, ABSENT, ABSENT, 403, "perm", 0},
      {200, false, T(EDGE_NONCE), T("s"), T("account"), T("1700000000"), ABSENT, 401, "expired", 0},
      {200, false, T(EDGE_NONCE), T(EDGE_ENDED_SUB), T("account"), ABSENT, ABSENT, 401, "revoked",
       0},
      {200, false, T(EDGE_NONCE), T("unsure"), T("account"), ABSENT, ABSENT, 503, "feed_stale", 5},
      {401, false, T(EDGE_NONCE), ABSENT, ABSENT, ABSENT, ABSENT, 401, "key_unknown", 0},
      {429, false, T(EDGE_NONCE), ABSENT, ABSENT, ABSENT, T("17"), 429, "login_throttled", 17},
      {429, false, T(EDGE_NONCE), ABSENT, ABSENT, ABSENT, T("1"), 429, "login_throttled", 1},
      {200, false, T(EDGE_NONCE), T("s"), T("account"), T("0"), ABSENT, 401, "expired", 0},
      {429, false, T(EDGE_NONCE), ABSENT, ABSENT, ABSENT, T("soon"), 429, "login_throttled", 5},
      {429, false, T(EDGE_NONCE), ABSENT, ABSENT, ABSENT, T("1000000"), 429, "login_throttled", 5},
      {429, false, T(EDGE_NONCE), ABSENT, ABSENT, ABSENT, ABSENT, 429, "login_throttled", 5},
      /* another's, a cache's, or one that cannot be read */
      {200, false, T("nonce-0123456788"), T("s"), T("account"), ABSENT, ABSENT, 503, "store_error",
       5},
      {200, false, T("nonce-012345678"), T("s"), T("account"), ABSENT, ABSENT, 503, "store_error",
       5},
      {200, false, ABSENT, T("s"), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {401, false, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, 503, "store_error", 5},
      {429, false, ABSENT, ABSENT, ABSENT, ABSENT, T("17"), 503, "store_error", 5},
      {200, true, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {0, false, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {500, false, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {204, false, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {404, false, T(EDGE_NONCE), T("s"), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {200, false, T(EDGE_NONCE), ABSENT, T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {200, false, T(EDGE_NONCE), T(""), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {200, false, T(EDGE_NONCE), T("s s"), T("account"), ABSENT, ABSENT, 503, "store_error", 5},
      {200, false, T(EDGE_NONCE), T("s"), T("account,"), ABSENT, ABSENT, 503, "store_error", 5},
      {200, false, T(EDGE_NONCE), T("s"), T("account"), T("never"), ABSENT, 503, "store_error", 5},
      {200, false, T(EDGE_NONCE), T("s"), T("account"), T("-1"), ABSENT, 503, "store_error", 5},
      {200, false, T(EDGE_NONCE), T("s"), T("account"), T("17000000010000000"), ABSENT, 503,
       "store_error", 5},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(table); i++) {
    subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
    answer.status = table[i].status;
    answer.repeated = table[i].repeated;
    answer.nonce = table[i].nonce;
    answer.sub = table[i].sub;
    answer.permissions = table[i].permissions;
    answer.expires = table[i].expires;
    answer.retry_after = table[i].retry_after;
    int status = answered(&answer, B(KEY));
    CHECK(status == table[i].expected && strcmp(edge_reply.name, table[i].name) == 0,
          "row %zu: %d %s", i, status, edge_reply.name);
    assert_int_equal(edge_reply.retry_after, table[i].wait);
  }
}

static void an_answer_about_nobody_tells_what_anonymous_users_may(void **state) {
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  (void)state;
  answer.nonce = ST_TEXT(EDGE_NONCE);
  answer.permissions = ST_TEXT("account");
  answer.status = 401;
  assert_int_equal(answered(&answer, ""), 200);
  assert_true(edge_claims.sub.len == 0 && edge_claims.exp == SUBTOKEN_TIME_MAX);
  answer.status = 403;
  assert_int_equal(answered(&answer, ""), 503);
  answer.status = 200;
  assert_int_equal(answered(&answer, ""), 200);
  /* One that names somebody is about another request. */
  answer.sub = ST_TEXT("s");
  assert_int_equal(answered(&answer, ""), 401);
  assert_string_equal(edge_reply.name, "auth_missing");
  answer.sub = (subtoken_text){NULL, 0};
  answer.key = ST_TEXT("k");
  assert_int_equal(answered(&answer, ""), 401);
}

/* An answer cannot make a subtoken good, nor one of two credentials. */
static void an_answer_is_for_keys_alone(void **state) {
  (void)state;
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  answer.status = 200;
  answer.nonce = ST_TEXT(EDGE_NONCE);
  answer.sub = ST_TEXT("s");
  answer.permissions = ST_TEXT("account");
  assert_int_equal(answered(&answer, edge_expand(B("$X"))), 401);
  assert_string_equal(edge_reply.name, "expired");
  assert_int_equal(answered(&answer, edge_expand(B("$K") "X-API-Key: $k\n")), 400);
  edge.may_ask = false;
  assert_int_equal(answered(&answer, B(KEY)), 401);
}

static void a_question_repeats_nothing_else(void **state) {
  static char memory[SUBTOKEN_EDGE_QUESTION_MEMORY];
  static const struct {
    const char *target, *headers, *expected;
  } table[] = {
      {"/v2/account", B("$K"),
       "X-Subtoken-Nonce=" EDGE_NONCE
       "|X-Subtoken-Audience=|X-Original-Method=GET|X-Original-URI=/v2/account|"
       "Authorization=Bearer $K|"},
      {"/v2/account?a&access_token=$K", "X-API-Key: $K\n",
       "X-Subtoken-Nonce=" EDGE_NONCE
       "|X-Subtoken-Audience=|X-Original-Method=GET|X-Original-URI=/v2/account?a|"
       "X-API-Key=$K|Authorization=Bearer $K|"},
      {"/v2/account", "X-API-Key: $K\n",
       "X-Subtoken-Nonce=" EDGE_NONCE
       "|X-Subtoken-Audience=|X-Original-Method=GET|X-Original-URI=/v2/account|"
       "X-API-Key=$K|"},
      {"/v2/account", "Authorization:  " BASIC " \n",
       "X-Subtoken-Nonce=" EDGE_NONCE
       "|X-Subtoken-Audience=|X-Original-Method=GET|X-Original-URI=/v2/account|"
       "Authorization=" BASIC "|"},
      {"/v2/account", "",
       "X-Subtoken-Nonce=" EDGE_NONCE
       "|X-Subtoken-Audience=|X-Original-Method=GET|X-Original-URI=/v2/account|"},
      {"/v2/account?access_token=%0d%0aX:%20y", "", ""},
      {"/v2/account?access_token=%zz", "", ""},
      {"/v2/account", B("$K") "X-API-Key: x\n", ""},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(table); i++) {
    edge_lines lines;
    subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
    char out[2000] = "";
    edge_lines_read(&lines, "GET", edge_expand(table[i].target), edge_expand(table[i].headers));
    size_t count = subtoken_edge_question(&edge, &lines.request, ST_TEXT(EDGE_NONCE), memory,
                                          sizeof memory, headers);
    for (size_t n = 0, at = 0; n < count; n++) {
      at +=
          (size_t)snprintf(out + at, sizeof out - at, "%.*s=%.*s|", (int)headers[n].name.len,
                           headers[n].name.data, (int)headers[n].value.len, headers[n].value.data);
    }
    CHECK(strcmp(out, edge_expand(table[i].expected)) == 0, "row %zu: %s", i, out);
    if (count > 4) {
      assert_int_equal(
          subtoken_edge_question(&edge, &lines.request, ST_TEXT(EDGE_NONCE), memory, 8, headers),
          0);
    }
    subtoken_text bad[] = {ST_TEXT(""), ST_TEXT("a b"), ST_TEXT("a\r\nb"), {NULL, 0}};
    for (size_t n = 0; n < COUNT(bad); n++) {
      assert_int_equal(
          subtoken_edge_question(&edge, &lines.request, bad[n], memory, sizeof memory, headers), 0);
    }
    edge_lines_release(&lines);
  }
}

static subtoken_text audience_asked_for(const subtoken_edge *asking) {
  static char memory[SUBTOKEN_EDGE_QUESTION_MEMORY];
  subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
  edge_lines lines;
  edge_lines_read(&lines, "GET", "/v2/account", "X-API-Key: key\n");
  size_t count = subtoken_edge_question(asking, &lines.request, ST_TEXT(EDGE_NONCE), memory,
                                        sizeof memory, headers);
  edge_lines_release(&lines);
  for (size_t i = 0; i < count; i++) {
    if (st_text_is(headers[i].name, "X-Subtoken-Audience")) return headers[i].value;
  }
  return (subtoken_text){NULL, 0};
}

/* A bound key is good at an edge of its audience alone, and the server is who knows. */
static void a_question_says_for_which_audience(void **state) {
  subtoken_edge asking = edge;
  subtoken_verifier verifier = *edge.verifier;
  subtoken_ring derived;
  (void)state;
  asking.verifier = &verifier;
  assert_true(st_text_is(audience_asked_for(&asking), ""));
  verifier.aud = (subtoken_text)SUBTOKEN_TEXT("eu");
  assert_true(st_text_is(audience_asked_for(&asking), "eu"));
  verifier.aud = (subtoken_text)SUBTOKEN_TEXT("https://api.example"); /* no key is bound to it */
  assert_true(st_text_is(audience_asked_for(&asking), ""));
  verifier.aud = (subtoken_text){NULL, 0};
  assert_int_equal(subtoken_ring_derive(edge.verifier->ring, ST_TEXT("us"), &derived), SUBTOKEN_OK);
  verifier.ring = &derived;
  assert_true(st_text_is(audience_asked_for(&asking), "us"));
}

/* ---- headers ---- */

static void headers_of_an_identity_are_known(void **state) {
  static const struct {
    const char *name;
    bool is;
  } table[] = {
      {"X-Subtoken-Sub", true},      {"x-subtoken-sub", true},  {"X_SUBTOKEN_SUB", true},
      {"x.subtoken.anything", true}, {"X-Subtoken-", true},     {"X Subtoken~x", true},
      {"X-Subtoken", false},         {"X-Subtokens-x", false},  {"XSubtoken-Sub-x", false},
      {"Y-Subtoken-Sub", false},     {"X1Subtoken-Sub", false}, {"", false},
      {"X-\xC3subtoken-x", false},   {"X\xC3subtoken-x", true},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(table); i++) {
    subtoken_text name = exact_string(table[i].name);
    CHECK(subtoken_edge_is_identity_header(name) == table[i].is, "%s", table[i].name);
    release(name);
  }
  assert_false(subtoken_edge_is_identity_header((subtoken_text){NULL, 0}));
}

static const char *identity_of(const subtoken_edge_answer *answer) {
  static char out[1000];
  char memory[SUBTOKEN_EDGE_IDENTITY_MEMORY];
  subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  size_t at = 0;
  out[0] = '\0';
  assert_int_equal(
      subtoken_edge_identity_headers(&edge_claims, answer, memory, sizeof memory, headers),
      SUBTOKEN_OK);
  for (size_t i = 0; i < COUNT(headers); i++) {
    assert_true(subtoken_edge_is_identity_header(headers[i].name));
    at += (size_t)snprintf(out + at, sizeof out - at, "%.*s=%.*s\n", (int)headers[i].name.len,
                           headers[i].name.data, (int)headers[i].value.len, headers[i].value.data);
  }
  return out;
}

#define IDENTITY(sub, key, owner, permissions, expires)                     \
  "X-Subtoken-Sub=" sub "\nX-Subtoken-Key=" key "\nX-Subtoken-Owner=" owner \
  "\nX-Subtoken-Permissions=" permissions "\nX-Subtoken-Expires=" expires "\n"
#define SUB1 "0000000000000000000000000000000000000000001"

static void the_api_is_told_whom_a_request_stands_for(void **state) {
  (void)state;
  assert_true(edge_passes("GET", "/v2/account", edge_expand(B("$G")), ""));
  assert_string_equal(identity_of(NULL), IDENTITY(SUB1, "", "", "account,guilds", "1700000060"));
  assert_true(edge_passes("GET", "/v2/account", B(KEY), ""));
  assert_string_equal(identity_of(&edge_answer),
                      IDENTITY(SUB1, KEY_ID, "operations", "account,guilds,history_api", ""));
  assert_true(edge_passes("GET", "/v2/account", B(POOR_KEY), ""));
  assert_string_equal(identity_of(&edge_answer),
                      IDENTITY("0000000000000000000000000000000000000000002", POOR_ID, "operations",
                               "account", "1700000600"));
  assert_true(edge_passes("GET", "/v2/items", B(KEY), ""));
  assert_string_equal(identity_of(&edge_answer), IDENTITY("", "", "", "", ""));
  edge_add_anonymous("account");
  assert_true(edge_passes("GET", "/v2/account", "", ""));
  edge_answer.key = edge_answer.owner = ST_TEXT("x");
  assert_string_equal(identity_of(&edge_answer), IDENTITY("", "", "", "account", ""));
}

static void an_identity_that_does_not_fit_is_none(void **state) {
  subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  char memory[SUBTOKEN_EDGE_IDENTITY_MEMORY];
  (void)state;
  edge_claims = grant_of("account,guilds", NULL);
  edge_claims.exp = NOW;
  for (size_t size = 0; size < 26; size++) {
    subtoken_result result =
        subtoken_edge_identity_headers(&edge_claims, NULL, memory, size, headers);
    CHECK(result == (size < 25 ? SUBTOKEN_BUFFER_TOO_SMALL : SUBTOKEN_OK), "%zu", size);
    for (size_t i = 0; i < COUNT(headers) && size < 25; i++) {
      assert_int_equal(headers[i].value.len, 0);
    }
  }
  edge_claims.permissions[1].at = UINT16_MAX;
  assert_int_equal(
      subtoken_edge_identity_headers(&edge_claims, NULL, memory, sizeof memory, headers),
      SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(headers[0].value.len, 0);
  /* The largest that there can be. */
  memset(&edge_claims, 0, sizeof edge_claims);
  for (size_t i = 0; i < SUBTOKEN_PERMISSIONS_MAX; i++) {
    char name[SUBTOKEN_PERMISSION_MAX + 1];
    snprintf(name, sizeof name, "%064zu", i);
    assert_true(st_claims_add_permission(&edge_claims, st_text(name)));
  }
  assert_true(st_claims_set_sub(&edge_claims, ST_TEXT("s")));
  edge_claims.exp = SUBTOKEN_TIME_MAX - 1;
  assert_int_equal(
      subtoken_edge_identity_headers(&edge_claims, NULL, memory, sizeof memory, headers),
      SUBTOKEN_OK);
  assert_int_equal(headers[3].value.len, 64 * 65 - 1);
}

static void a_reply_has_its_headers(void **state) {
  static const struct {
    subtoken_result result;
    const char *expected;
  } table[] = {
      {SUBTOKEN_BAD_TARGET, ""},
      {SUBTOKEN_EXPIRED, "WWW-Authenticate: Bearer error=\"invalid_token\"\n"},
      {SUBTOKEN_PERM, "WWW-Authenticate: Bearer error=\"insufficient_scope\"\n"},
      {SUBTOKEN_REVOCATION_UNKNOWN, "Retry-After: 5\n"},
      {SUBTOKEN_NO_SECRET, "Retry-After: 5\n"},
      {SUBTOKEN_OK, "Retry-After: 5\n"}, /* a refusal is never a 200 */
  };
  (void)state;
  for (size_t i = 0; i < COUNT(table); i++) {
    subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS];
    char out[600] = "", expected[600];
    size_t at = 0;
    subtoken_edge_reply one = SUBTOKEN_EDGE_REPLY_DEFAULT;
    assert_int_equal(subtoken_edge_refuse(table[i].result, &one), SUBTOKEN_EDGE_REFUSE);
    const char *challenge = subtoken_result_challenge(table[i].result);
    assert_true((challenge == NULL) == (one.challenge_len == 0) &&
                (challenge == NULL || strcmp(challenge, one.challenge) == 0));
    size_t count = subtoken_edge_reply_headers(&one, headers);
    for (size_t n = 0; n < count; n++) {
      at +=
          (size_t)snprintf(out + at, sizeof out - at, "%.*s: %.*s\n", (int)headers[n].name.len,
                           headers[n].name.data, (int)headers[n].value.len, headers[n].value.data);
    }
    snprintf(expected, sizeof expected,
             "Content-Type: application/json; charset=utf-8\nCache-Control: no-store\n"
             "X-Content-Type-Options: nosniff\nAccess-Control-Allow-Origin: *\n"
             "Access-Control-Expose-Headers: WWW-Authenticate, Retry-After\n%s",
             table[i].expected);
    assert_string_equal(out, expected);
  }
}

/* ---- the query ---- */

static void a_target_is_passed_on_without_its_token(void **state) {
  static const struct {
    const char *target, *expected; /* NULL: the same bytes */
  } table[] = {
      {"/a", NULL},
      {"/a?", NULL},
      {"/a?b=c&&d", NULL},
      {"/a?access_tokens=x", NULL},
      {"/a?access%zztoken=x", NULL},
      {"/access_token=x", NULL},
      {"/a?access_token=x", "/a"},
      {"/a?access_token", "/a"},
      {"/a?access_token=x&", "/a"},
      {"/a?&access_token=x", "/a"},
      {"/a?&access_token=x&", "/a?&"},
      {"/a?b&access_token=x&c=d", "/a?b&c=d"},
      {"/a?access_token=x&b&access_token=y", "/a?b"},
      {"/a?%61ccess_token=x&b=%61", "/a?b=%61"},
      {"/a?b=?&access_token=x", "/a?b=?"},
      {"?access_token=x", ""},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(table); i++) {
    subtoken_text target = exact_string(table[i].target), stripped;
    char *out = malloc(target.len + 1);
    assert_int_equal(subtoken_edge_strip_query(target, out, target.len, &stripped), SUBTOKEN_OK);
    if (table[i].expected == NULL) {
      assert_true(stripped.data == target.data && stripped.len == target.len);
    } else {
      CHECK(stripped.data == out && st_text_is(stripped, table[i].expected), "%s: %.*s",
            table[i].target, (int)stripped.len, stripped.data);
      assert_int_equal(out[stripped.len], '\0');
      assert_int_equal(subtoken_edge_strip_query(target, out, stripped.len, &stripped),
                       SUBTOKEN_BUFFER_TOO_SMALL);
      assert_null(stripped.data);
    }
    release(target);
    free(out);
  }
}

/* ---- arguments ---- */

static void wrong_arguments_never_pass(void **state) {
  edge_lines lines;
  (void)state;
  edge_lines_read(&lines, "GET", "/v2/items", "");
  subtoken_edge_request *request = &lines.request;
  assert_int_equal(subtoken_edge_decide(NULL, request, &edge_claims, &edge_reply), 0);
  assert_int_equal(edge_reply.status, 503);
  assert_string_equal(edge_reply.name, "invalid_argument");
  assert_int_equal(subtoken_edge_decide(&edge, NULL, &edge_claims, &edge_reply), 0);
  assert_int_equal(subtoken_edge_decide(&edge, request, NULL, &edge_reply), 0);
  assert_int_equal(subtoken_edge_decide(&edge, request, &edge_claims, NULL), 0);
  assert_int_equal(
      subtoken_edge_decide_answer(&edge, request, ST_TEXT("n"), NULL, &edge_claims, &edge_reply),
      0);
  assert_int_equal(
      subtoken_edge_decide_body(&edge, request, NULL, ST_TEXT("x"), NULL, 0, &edge_reply), 0);
  request->size--;
  assert_int_equal(subtoken_edge_decide(&edge, request, &edge_claims, &edge_reply), 0);
  request->size++;
  request->authorization = NULL;
  request->authorization_count = 1;
  assert_int_equal(subtoken_edge_decide(&edge, request, &edge_claims, &edge_reply), 0);
  request->authorization_count = 0;
  edge_reply.size = 8;
  edge_reply.status = 77;
  assert_int_equal(subtoken_edge_decide(&edge, request, &edge_claims, &edge_reply), 0);
  assert_int_equal(edge_reply.status, 77);
  edge_reply.size = sizeof edge_reply;
  subtoken_ring none = {0};
  edge_verifier.ring = &none;
  assert_int_equal(subtoken_edge_decide(&edge, request, &edge_claims, &edge_reply), 0);
  assert_string_equal(edge_reply.name, "no_secret");
  edge_verifier.ring = NULL;
  assert_int_equal(subtoken_edge_decide(&edge, request, &edge_claims, &edge_reply), 0);
  assert_int_equal(edge_reply.status, 503);
  edge_verifier.ring = &ring;
  edge_verifier.leeway = SUBTOKEN_LEEWAY_MAX + 1;
  assert_false(edge_passes("GET", "/v2/account", edge_expand(B("$G")), ""));
  assert_int_equal(edge_reply.status, 503);
  edge_lines_release(&lines);
}

/* A verifier of an earlier version has no cache, and its list of the revoked counts. */
static void an_earlier_verifier_serves(void **state) {
  (void)state;
  edge_verifier.size = offsetof(subtoken_verifier, cache);
  assert_true(edge_passes("GET", "/v2/account", edge_expand(B("$G")), ""));
  assert_false(edge_passes("GET", "/v2/account", edge_expand(B("$R")), ""));
  assert_string_equal(edge_reply.name, "revoked");
  assert_true(edge_passes("GET", "/v2/account", B(KEY), ""));
  edge_verifier.revoked = NULL;
  assert_false(edge_passes("GET", "/v2/account", B(KEY), ""));
  assert_string_equal(edge_reply.name, "feed_stale");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(each_request_is_decided_as_the_server_does, edge_set_up),
      cmocka_unit_test_setup(the_anonymous_user_is_asked_about, edge_set_up),
      cmocka_unit_test_setup(who_may_not_ask_refuses, edge_set_up),
      cmocka_unit_test_setup(who_reads_no_bodies_refuses, edge_set_up),
      cmocka_unit_test_setup(forms_that_are_left_out_are_not_read, edge_set_up),
      cmocka_unit_test_setup(without_a_policy_each_target_needs_a_token, edge_set_up),
      cmocka_unit_test_setup(the_needs_of_the_edge_come_after_the_policys, edge_set_up),
      cmocka_unit_test_setup(only_a_genuine_answer_counts, edge_set_up),
      cmocka_unit_test_setup(an_answer_about_nobody_tells_what_anonymous_users_may, edge_set_up),
      cmocka_unit_test_setup(an_answer_is_for_keys_alone, edge_set_up),
      cmocka_unit_test_setup(a_question_repeats_nothing_else, edge_set_up),
      cmocka_unit_test_setup(a_question_says_for_which_audience, edge_set_up),
      cmocka_unit_test(headers_of_an_identity_are_known),
      cmocka_unit_test_setup(the_api_is_told_whom_a_request_stands_for, edge_set_up),
      cmocka_unit_test(an_identity_that_does_not_fit_is_none),
      cmocka_unit_test(a_reply_has_its_headers),
      cmocka_unit_test(a_target_is_passed_on_without_its_token),
      cmocka_unit_test_setup(wrong_arguments_never_pass, edge_set_up),
      cmocka_unit_test_setup(an_earlier_verifier_serves, edge_set_up),
  };
  return cmocka_run_group_tests_name("edge", tests, NULL, NULL);
}
