/* edge_fixture - an edge in front of the service of service_fixture: a request is decided by
 * subtoken_edge_decide, and the service is asked where that says so, as a program would.
 */
#ifndef TESTS_UNIT_EDGE_FIXTURE_H
#define TESTS_UNIT_EDGE_FIXTURE_H

#include "service_fixture.h"

#include "service/identity.h"
#include "subtoken/edge.h"

#define EDGE_NONCE "nonce-0123456789"
#define EDGE_ENDED_SUB "0000000000000000000000000000000000000000007" /* an ended row's */

static const char edge_policy_text[] =
    "{\"default\":\"deny\",\"preflight\":true,\"routes\":["
    "{\"path\":\"/v2/account\",\"methods\":[\"GET\"],\"needs\":[\"account\"]},"
    "{\"path\":\"/v2/bank\",\"needs\":[\"account\",\"inventories\"]},"
    "{\"path\":\"/v2/open/*\"},"
    "{\"path\":\"/rpc\",\"methods\":[\"POST\"],\"json_rpc\":true},"
    "{\"path\":\"/v2/items\",\"public\":true}]}";

static subtoken_verifier edge_verifier;
static subtoken_edge edge;
static subtoken_claims edge_claims;
static subtoken_edge_reply edge_reply;
static subtoken_edge_answer edge_answer; /* the last; its texts lie in the reply's copy */
static size_t edge_asked;                /* how often the service was */

static subtoken_result edge_revoked(void *context, const subtoken_text *names, size_t count) {
  assert_ptr_equal(context, &edge);
  subtoken_text sub = names[0];
  (void)count;
  if (st_text_is(sub, EDGE_ENDED_SUB)) return SUBTOKEN_REVOKED;
  return st_text_is(sub, "unsure") ? SUBTOKEN_REVOCATION_UNKNOWN : SUBTOKEN_OK;
}

static int edge_set_up(void **state) {
  static void *memory;
  subtoken_text text = {edge_policy_text, sizeof edge_policy_text - 1};
  size_t size = subtoken_policy_size(text.len);
  (void)fixture_set_up(state);
  free(memory);
  memory = malloc(size);
  assert_non_null(memory);
  edge_verifier = (subtoken_verifier)SUBTOKEN_VERIFIER_DEFAULT;
  edge_verifier.ring = &ring;
  edge_verifier.revoked = edge_revoked;
  edge_verifier.revoked_context = &edge;
  edge = (subtoken_edge)SUBTOKEN_EDGE_DEFAULT;
  edge_reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  edge.verifier = &edge_verifier;
  edge.may_ask = edge.reads_bodies = true;
  if (subtoken_policy_read(memory, size, text, &edge.policy, NULL) != SUBTOKEN_OK) return -1;
  service.policy = edge.policy;
  snprintf(fixture.rows[0].key.permissions, sizeof fixture.rows[0].key.permissions,
           "account,guilds,history_api");
  while (fixture.row_count < 6) {
    (void)fixture_add(ST_KIND_KEY, "none", "", "none", "account", ST_NEVER);
  }
  fixture_row *ended = fixture_add(ST_KIND_KEY, "ended", "", "ended", "account", ST_NEVER);
  assert_string_equal(ended->key.sub, EDGE_ENDED_SUB);
  ended->ended = true;
  return 0;
}

static void edge_add_anonymous(const char *permissions) {
  fixture_add_user(ST_ANONYMOUS, "A2EA1000-0000-0000-0000-000000000000", permissions);
  st_identity_anonymous_digest(fixture.rows[fixture.row_count - 1].digest);
}

/* ---- tokens ---- */

static const char *edge_issue(const char *secret, const char *sub, const char *permissions,
                              const char *urls, int64_t exp) {
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_ring other;
  size_t len;
  subtoken_claims claims = grant_of(permissions, urls);
  claims.iat = NOW - 1000;
  claims.exp = exp;
  ring_with(&other, "", secret);
  assert_true(st_claims_set_sub(&claims, st_text(sub)));
  assert_int_equal(subtoken_issue(&other, &claims, token, sizeof token, &len), SUBTOKEN_OK);
  return token;
}

/* What a $ and a letter stand for in a table. */
static inline const char *edge_expand_letter(char letter) {
  const char *sub = fixture.rows[0].key.sub;
  switch (letter) {
    case 'G': return edge_issue(TEST_SECRET, sub, "account,guilds", NULL, NOW + 60);
    case 'U': return edge_issue(TEST_SECRET, sub, "account", "GET:/v2/account", NOW + 60);
    case 'P': return edge_issue(TEST_SECRET, sub, "guilds", NULL, NOW + 60);
    case 'H': return edge_issue(TEST_SECRET, sub, "history_api", NULL, NOW + 60);
    case 'X': return edge_issue(TEST_SECRET, sub, "account", NULL, NOW - 61);
    case 'F': return edge_issue(OTHER_SECRET, sub, "account", NULL, NOW + 60);
    case 'R': return edge_issue(TEST_SECRET, EDGE_ENDED_SUB, "account", NULL, NOW + 60);
    case 'K': return KEY;
    case 'k': return POOR_KEY;
    case '$': return "$";
    default: fail(); return "";
  }
}

static inline const char *edge_expand(const char *format) {
  static char out[4][SUBTOKEN_TARGET_MAX];
  static size_t turn;
  char *to = out[turn++ % 4];
  st_writer writer = st_writer_on(to, sizeof out[0]);
  for (; *format != '\0'; format++) {
    if (*format != '$') {
      st_write_char(&writer, *format);
    } else {
      st_write_literal(&writer, edge_expand_letter(*++format));
    }
  }
  assert_true(st_writer_end(&writer));
  return to;
}

/* ---- a request, from lines of headers ---- */

typedef struct edge_lines {
  subtoken_edge_request request;
  subtoken_text authorization[4], x_api_key[4], mcp_method[4], mcp_name[4], mcp_version[4];
  subtoken_text method, target, headers; /* heap blocks of their exact size */
} edge_lines;

static void edge_lines_read_header(edge_lines *lines, subtoken_text name, subtoken_text value) {
  subtoken_edge_request *request = &lines->request;
  if (st_text_is_nocase(name, "Authorization")) {
    assert_true(request->authorization_count < 4);
    lines->authorization[request->authorization_count++] = value;
  } else if (st_text_is_nocase(name, "X-API-Key")) {
    assert_true(request->x_api_key_count < 4);
    lines->x_api_key[request->x_api_key_count++] = value;
  } else if (st_text_is_nocase(name, "Content-Encoding")) {
    request->body_encoded = !st_text_is_nocase(st_text_trim(value), "identity");
  } else if (st_text_is_nocase(name, "Content-Length")) {
    request->content_length = strtoull(value.data, NULL, 10);
    request->has_body = request->content_length > 0;
  } else if (st_text_is_nocase(name, "Mcp-Method")) {
    assert_true(request->mcp_method_count < 4);
    lines->mcp_method[request->mcp_method_count++] = value;
  } else if (st_text_is_nocase(name, "Mcp-Name")) {
    assert_true(request->mcp_name_count < 4);
    lines->mcp_name[request->mcp_name_count++] = value;
  } else if (st_text_is_nocase(name, "MCP-Protocol-Version")) {
    assert_true(request->mcp_version_count < 4);
    lines->mcp_version[request->mcp_version_count++] = value;
  }
  if (st_text_is_nocase(name, "Origin")) request->origin = true;
  if (st_text_is_nocase(name, "Access-Control-Request-Method")) request->request_method = true;
}

static void edge_lines_read(edge_lines *lines, const char *method, const char *target,
                            const char *headers) {
  subtoken_text line;
  memset(lines, 0, sizeof *lines);
  lines->request = (subtoken_edge_request)SUBTOKEN_EDGE_REQUEST_DEFAULT;
  lines->method = exact_string(method);
  lines->target = exact_string(target);
  lines->headers = exact_string(headers);
  lines->request.now = NOW;
  lines->request.method = lines->method;
  lines->request.target = lines->target;
  lines->request.authorization = lines->authorization;
  lines->request.x_api_key = lines->x_api_key;
  lines->request.mcp_method = lines->mcp_method;
  lines->request.mcp_name = lines->mcp_name;
  lines->request.mcp_version = lines->mcp_version;
  st_cutter cutter = {lines->headers, lines->headers.len == 0};
  while (st_cut(&cutter, '\n', &line) && line.len > 0) {
    st_cutter colon = {line, false};
    subtoken_text name;
    assert_true(st_cut(&colon, ':', &name));
    edge_lines_read_header(lines, name, colon.rest);
  }
}

static void edge_lines_release(edge_lines *lines) {
  release(lines->method);
  release(lines->target);
  release(lines->headers);
}

/* ---- asking the service ---- */

static subtoken_text edge_header_of_reply(const char *headers, const char *name) {
  const char *at = strstr(headers, name);
  if (at == NULL || strncmp(at + strlen(name), ": ", 2) != 0) return (subtoken_text){NULL, 0};
  at += strlen(name) + 2;
  return (subtoken_text){at, strcspn(at, "\r")};
}

static void edge_ask_service(const subtoken_edge_request *request, subtoken_text nonce) {
  static char memory[SUBTOKEN_EDGE_QUESTION_MEMORY], lines[4 * SUBTOKEN_TARGET_MAX];
  static char headers[sizeof reply.headers + 1];
  subtoken_edge_header question[SUBTOKEN_EDGE_QUESTION_HEADERS];
  size_t count = subtoken_edge_question(&edge, request, nonce, memory, sizeof memory, question);
  st_writer writer = st_writer_on(lines, sizeof lines);
  assert_true(count >= 3);
  for (size_t i = 0; i < count; i++) {
    st_write_view(&writer, question[i].name);
    st_write_literal(&writer, ": ");
    st_write_view(&writer, question[i].value);
    st_write_char(&writer, '\n');
  }
  assert_true(st_writer_end(&writer));
  edge_asked++;
  edge_answer = (subtoken_edge_answer)SUBTOKEN_EDGE_ANSWER_DEFAULT;
  edge_answer.status = fixture_ask("HEAD", "/v2/authorize", lines, "");
  memcpy(headers, reply.headers, reply.headers_len);
  headers[reply.headers_len] = '\0';
  edge_answer.nonce = edge_header_of_reply(headers, "X-Subtoken-Nonce");
  edge_answer.sub = edge_header_of_reply(headers, "X-Subtoken-Sub");
  edge_answer.key = edge_header_of_reply(headers, "X-Subtoken-Key");
  edge_answer.owner = edge_header_of_reply(headers, "X-Subtoken-Owner");
  edge_answer.permissions = edge_header_of_reply(headers, "X-Subtoken-Permissions");
  edge_answer.expires = edge_header_of_reply(headers, "X-Subtoken-Expires");
}

/* ---- the whole ---- */

static subtoken_edge_step edge_decide_bytes(const subtoken_edge_request *request,
                                            const char *body) {
  subtoken_text text = exact_string(body);
  void *scratch = malloc(text.len + 1);
  subtoken_edge_step step =
      subtoken_edge_decide_body(&edge, request, &edge_claims, text, scratch, text.len, &edge_reply);
  release(text);
  free(scratch);
  return step;
}

/* True: it may pass. Outputs are edge_reply, edge_claims, edge_asked. */
static bool edge_passes(const char *method, const char *target, const char *headers,
                        const char *body) {
  edge_lines lines;
  edge_lines_read(&lines, method, target, headers);
  edge_asked = 0;
  memset(&edge_claims, 0xA5, sizeof edge_claims);
  memset(&edge_reply, 0xA5, sizeof edge_reply);
  edge_reply.size = sizeof edge_reply;
  subtoken_edge_step step = subtoken_edge_decide(&edge, &lines.request, &edge_claims, &edge_reply);
  if (step == SUBTOKEN_EDGE_ASK) {
    subtoken_text nonce = ST_TEXT(EDGE_NONCE);
    assert_true(edge.may_ask && claims_are_zero(&edge_claims));
    assert_int_equal(edge_reply.status, 503);
    edge_ask_service(&lines.request, nonce);
    step = subtoken_edge_decide_answer(&edge, &lines.request, nonce, &edge_answer, &edge_claims,
                                       &edge_reply);
    assert_int_not_equal(step, SUBTOKEN_EDGE_ASK);
  }
  if (step == SUBTOKEN_EDGE_BODY) {
    assert_true(edge.reads_bodies);
    assert_int_equal(edge_reply.status, 400);
    step = edge_decide_bytes(&lines.request, body);
  } else {
    assert_true(step == SUBTOKEN_EDGE_ALLOW || claims_are_zero(&edge_claims));
  }
  edge_lines_release(&lines);
  return step == SUBTOKEN_EDGE_ALLOW;
}

#endif
