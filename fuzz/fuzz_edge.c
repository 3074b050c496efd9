/* One request to an edge, on lines: settings, method, target, headers (`A:` Authorization, `K:`
 * X-API-Key, `O:` and `M:` those of a preflight) up to an empty line, what the server answers
 * (status, sub, permissions, expires, with tabs between), and a JSON-RPC body. The bytes 1 to 5
 * stand for a good token, one restricted by urls, an expired one, a foreign one, and a whole key.
 *
 * What passes is what subtoken_policy_verify lets pass, or public, or was told of by a genuine
 * answer; no byte of a signature or of the key is in a reply; and the server reads the same
 * credential from the same request.
 */
#include "core/edge_credential.h"
#include "core/edge_query.h"
#include "fuzz.h"
#include "service/context.h"
#include "service/credential.h"
#include "subtoken/issue.h"

#define NOW INT64_C(1700000000)
#define TOKENS 4
#define KEY "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF"
#define NONCE "fuzz-nonce"
#define HEADERS 8

static const char policy_text[] =
    "{\"default\":\"deny\",\"preflight\":true,\"routes\":["
    "{\"path\":\"/a\",\"methods\":[\"GET\"],\"needs\":[\"account\"]},"
    "{\"path\":\"/b\",\"needs\":[\"account\",\"bank\"]},{\"path\":\"/c/*\"},"
    "{\"path\":\"/r\",\"json_rpc\":true},{\"path\":\"/p\",\"public\":true}]}";

static subtoken_ring ring, foreign;
static char tokens[TOKENS][SUBTOKEN_ISSUED_MAX + 1];
static const subtoken_policy *policy;
static subtoken_verifier verifier;
static subtoken_edge edge;
static subtoken_claims claims;
static st_settings settings;

/* One request, whose texts are in heap blocks of their exact sizes. */
static struct {
  subtoken_edge_request request;
  subtoken_text authorization[HEADERS], x_api_key[HEADERS];
  char *blocks[2 * HEADERS + 8];
  size_t block_count;
} one;

/* ---- before all ---- */

static subtoken_result is_revoked(void *context, const subtoken_text *names, size_t count) {
  subtoken_text sub = names[0];
  HOLD(context == &ring && count > 0 && subtoken_sub_valid(sub));
  return st_text_is(sub, "revoked") ? SUBTOKEN_REVOKED : SUBTOKEN_OK;
}

static void make_token(size_t i, const subtoken_ring *by, const char *sub, const char *url,
                       int64_t exp) {
  subtoken_claims made;
  size_t len;
  memset(&made, 0, sizeof made);
  made.iat = NOW - 100;
  made.exp = exp;
  made.every_url = url == NULL;
  HOLD(subtoken_claims_set_sub(&made, st_text(sub)) == SUBTOKEN_OK);
  HOLD(subtoken_claims_add_permission(&made, ST_TEXT("account")) == SUBTOKEN_OK);
  HOLD(subtoken_claims_add_permission(&made, ST_TEXT("history_api")) == SUBTOKEN_OK);
  HOLD(url == NULL || subtoken_claims_add_url(&made, st_text(url), NULL) == SUBTOKEN_OK);
  HOLD(subtoken_issue(by, &made, tokens[i], sizeof tokens[i], &len) == SUBTOKEN_OK);
}

static void set_up(void) {
  static uint64_t memory[20000];
  subtoken_text text = {policy_text, sizeof policy_text - 1}, none = {NULL, 0};
  if (policy != NULL) return;
  HOLD(subtoken_ring_add(&ring, none, "fuzz-edge-secret-0123456789-abcd", 32) == SUBTOKEN_OK);
  HOLD(subtoken_ring_add(&foreign, none, "fuzz-edge-secret-0123456789-wxyz", 32) == SUBTOKEN_OK);
  HOLD(subtoken_policy_size(text.len) <= sizeof memory);
  HOLD(subtoken_policy_read(memory, sizeof memory, text, &policy, NULL) == SUBTOKEN_OK);
  make_token(0, &ring, "good", NULL, NOW + 60);
  make_token(1, &ring, "urls", "GET:/a", NOW + 60);
  make_token(2, &ring, "expired", NULL, NOW - 61);
  make_token(3, &foreign, "foreign", NULL, NOW + 60);
  verifier = (subtoken_verifier)SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.revoked = is_revoked;
  verifier.revoked_context = &ring;
}

/* ---- the input ---- */

static subtoken_text keep(const void *data, size_t len) {
  char *block = fuzz_copy(data, len);
  HOLD(one.block_count < sizeof one.blocks / sizeof one.blocks[0]);
  one.blocks[one.block_count++] = block;
  return (subtoken_text){block, len};
}

static subtoken_text expand(subtoken_text raw) {
  static char out[1 << 16];
  st_writer writer = st_writer_on(out, sizeof out);
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if (c >= 1 && c <= TOKENS) {
      st_write_literal(&writer, tokens[c - 1]);
    } else if (c == TOKENS + 1) {
      st_write_literal(&writer, KEY);
    } else {
      st_write_char(&writer, c);
    }
  }
  return keep(out, writer.overflow ? 0 : writer.len);
}

static void read_settings(subtoken_text line) {
  unsigned bits = line.len > 0 ? (uint8_t)line.data[0] : 0x7F;
  edge = (subtoken_edge)SUBTOKEN_EDGE_DEFAULT;
  edge.verifier = &verifier;
  edge.policy = (bits & 64) != 0 ? policy : NULL;
  edge.may_ask = (bits & 1) != 0;
  edge.reads_bodies = (bits & 2) != 0;
  edge.forms = bits >> 2 & SUBTOKEN_EDGE_ANY;
}

static void read_headers(subtoken_text *rest) {
  subtoken_edge_request *request = &one.request;
  for (size_t i = 0; i < HEADERS; i++) {
    subtoken_text line = fuzz_line(rest);
    if (line.len < 2) return;
    subtoken_text value = expand((subtoken_text){line.data + 2, line.len - 2});
    switch (line.data[0]) {
      case 'A': one.authorization[request->authorization_count++] = value; break;
      case 'K': one.x_api_key[request->x_api_key_count++] = value; break;
      case 'O': request->origin = true; break;
      case 'M': request->request_method = true; break;
      default: break;
    }
  }
}

static void read_request(subtoken_text *rest) {
  memset(&one, 0, sizeof one);
  one.request = (subtoken_edge_request)SUBTOKEN_EDGE_REQUEST_DEFAULT;
  one.request.now = NOW;
  one.request.authorization = one.authorization;
  one.request.x_api_key = one.x_api_key;
  one.request.method = expand(fuzz_line(rest));
  one.request.target = expand(fuzz_line(rest));
  read_headers(rest);
}

/* ---- what has to hold ---- */

static bool has(const char *data, size_t len, const char *what, size_t what_len) {
  return memmem(data, len, what, what_len) != NULL;
}

/* repeats: it may name a permission that the body needs, and a body may call an API whatever it
 * likes. */
static void check_reply(subtoken_edge_step step, const subtoken_edge_reply *reply, bool repeats) {
  static const int statuses[] = {200, 400, 401, 403, 413, 415, 429, 503};
  bool known = false;
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
    known = known || statuses[i] == reply->status;
  }
  HOLD(known && (reply->status == 200) == (step == SUBTOKEN_EDGE_ALLOW));
  HOLD(reply->body_len == strnlen(reply->body, sizeof reply->body));
  HOLD((reply->body_len == 0) == (step == SUBTOKEN_EDGE_ALLOW));
  HOLD(step == SUBTOKEN_EDGE_ALLOW || strncmp(reply->body, "{\"text\":\"", 9) == 0);
  HOLD((reply->retry_after > 0) == (reply->status == 503 || reply->status == 429));
  for (size_t i = 0; i < TOKENS && !repeats; i++) {
    HOLD(!has(reply->body, reply->body_len, tokens[i] + strlen(tokens[i]) - 12, 12));
  }
  HOLD(repeats || !has(reply->body, reply->body_len, KEY, 12));
}

/* Is this the token that the request brought, so that it alone can have opened the door? */
static void check_token(const subtoken_claims *granted) {
  subtoken_text sub = subtoken_claims_text(granted, granted->sub);
  size_t i = st_text_is(sub, "good") ? 0 : 1;
  HOLD(i == 0 || st_text_is(sub, "urls"));
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  subtoken_claims again;
  subtoken_text token = st_text(tokens[i]);
  request.now = NOW;
  request.method = one.request.method;
  request.target = one.request.target;
  unsigned flags = edge.reads_bodies ? SUBTOKEN_POLICY_BODY : 0;
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_result result =
      edge.policy != NULL
          ? subtoken_policy_verify(&verifier, policy, token, &request, flags, &again, &decision)
          : subtoken_verify(&verifier, token, &request, &again);
  HOLD(result == SUBTOKEN_OK);
}

static void check_public(void) {
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  unsigned flags = one.request.origin && one.request.request_method ? SUBTOKEN_POLICY_PREFLIGHT : 0;
  HOLD(edge.policy != NULL && subtoken_policy_find(policy, one.request.method, one.request.target,
                                                   flags, &decision) == SUBTOKEN_OK);
  HOLD(decision.access == SUBTOKEN_ACCESS_PUBLIC || decision.access == SUBTOKEN_ACCESS_PREFLIGHT);
}

static bool is_zero(const subtoken_claims *given) {
  static const subtoken_claims zero;
  return memcmp(given, &zero, sizeof zero) == 0;
}

/* The server reads the same credential. */
static void check_credential(void) {
  static st_context c;
  st_edge_credential found;
  st_header headers[2 * HEADERS];
  st_service service = {.settings = &settings};
  st_request request = {.headers = headers};
  settings.credentials = SUBTOKEN_EDGE_ANY;
  subtoken_edge any = edge;
  any.forms = SUBTOKEN_EDGE_ANY;
  if (one.request.target.len > SUBTOKEN_TARGET_MAX) return;
  for (size_t i = 0; i < one.request.authorization_count; i++) {
    headers[request.header_count++] =
        (st_header){ST_TEXT("Authorization"), st_text_trim(one.authorization[i])};
  }
  for (size_t i = 0; i < one.request.x_api_key_count; i++) {
    headers[request.header_count++] =
        (st_header){ST_TEXT("X-API-Key"), st_text_trim(one.x_api_key[i])};
  }
  c.service = &service;
  c.request = &request;
  c.query = st_edge_query_of(one.request.target).rest;
  const st_problem *problem = st_credential_find(&c);
  st_edge_credential_find(&any, &one.request, &found);
  bool refused =
      found.state == ST_EDGE_CREDENTIAL_AMBIGUOUS || found.state == ST_EDGE_CREDENTIAL_UNREADABLE;
  HOLD(refused == (problem != NULL));
  if (refused) return;
  HOLD((found.state == ST_EDGE_CREDENTIAL_NONE) == (c.credential.text.len == 0));
  if (found.state == ST_EDGE_CREDENTIAL_NONE) return;
  HOLD(found.forms == c.credential.forms);
  HOLD(found.forms == SUBTOKEN_EDGE_BASIC || st_text_equal(found.text, c.credential.text));
}

static void check_stripped(void) {
  subtoken_text target = one.request.target, stripped, again, raw;
  char *out = fuzz_copy("", 0), *second = malloc(target.len + 1);
  free(out);
  out = malloc(target.len > 0 ? target.len : 1);
  if (out == NULL || second == NULL) abort();
  HOLD(subtoken_edge_strip_query(target, out, target.len, &stripped) == SUBTOKEN_OK);
  HOLD(stripped.len <= target.len);
  st_edge_query query = st_edge_query_of(stripped);
  HOLD(!st_edge_query_next(&query, &raw));
  HOLD(subtoken_edge_strip_query(stripped, second, target.len, &again) == SUBTOKEN_OK);
  HOLD(again.data == stripped.data && again.len == stripped.len);
  free(out);
  free(second);
}

/* A question has nothing that could start another header, and the credential in one of two. */
static void check_question(void) {
  static char memory[SUBTOKEN_EDGE_QUESTION_MEMORY];
  subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
  size_t count =
      subtoken_edge_question(&edge, &one.request, ST_TEXT(NONCE), memory, sizeof memory, headers);
  HOLD(count <= SUBTOKEN_EDGE_QUESTION_HEADERS && (count == 0 || count >= 3));
  for (size_t i = 0; i < count; i++) {
    for (size_t n = 0; n < headers[i].value.len; n++) {
      char c = headers[i].value.data[n];
      HOLD(c != '\r' && c != '\n' && c != '\0');
    }
  }
}

static void check_identity(const subtoken_edge_answer *answer) {
  char memory[SUBTOKEN_EDGE_IDENTITY_MEMORY];
  subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  HOLD(subtoken_edge_identity_headers(&claims, answer, memory, sizeof memory, headers) ==
       SUBTOKEN_OK);
  for (size_t i = 0; i < SUBTOKEN_EDGE_IDENTITY_HEADERS; i++) {
    HOLD(subtoken_edge_is_identity_header(headers[i].name));
    HOLD(claims.sub.len > 0 || i == 3 || headers[i].value.len == 0);
  }
}

/* ---- the steps ---- */

static void read_answer(subtoken_text line, subtoken_edge_answer *answer) {
  subtoken_text fields[4] = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  st_cutter cutter = {line, line.len == 0};
  for (size_t i = 0; i < 4 && st_cut(&cutter, '\t', &fields[i]); i++) continue;
  *answer = (subtoken_edge_answer)SUBTOKEN_EDGE_ANSWER_DEFAULT;
  for (size_t i = 0; i < fields[0].len && i < 3; i++) {
    answer->status = 10 * answer->status + (fields[0].data[i] & 15) % 10;
  }
  answer->nonce = ST_TEXT(NONCE);
  answer->sub = fields[1];
  answer->permissions = fields[2];
  answer->expires = fields[3];
  answer->retry_after = fields[3];
  answer->key = ST_TEXT("key");
}

/* An answer opens nothing for a subtoken, and nothing of which it does not speak. */
static subtoken_edge_step ask(const subtoken_edge_answer *answer, subtoken_edge_reply *reply) {
  subtoken_text nonce = ST_TEXT(NONCE), other = ST_TEXT("another-nonce");
  check_question();
  HOLD(subtoken_edge_decide_answer(&edge, &one.request, other, answer, &claims, reply) ==
       SUBTOKEN_EDGE_REFUSE);
  HOLD(reply->status == 503);
  subtoken_edge_step step =
      subtoken_edge_decide_answer(&edge, &one.request, nonce, answer, &claims, reply);
  HOLD(step != SUBTOKEN_EDGE_ASK);
  if (step == SUBTOKEN_EDGE_REFUSE) return step;
  HOLD(subtoken_edge_answer_usable(&edge, &one.request, nonce, answer));
  HOLD(claims.sub.len == 0 || (claims.exp > NOW && answer->sub.len == claims.sub.len));
  HOLD(claims.sub.len > 0 || claims.permission_count > 0);
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  if (edge.policy == NULL) return step;
  HOLD(subtoken_policy_find(policy, one.request.method, one.request.target,
                            edge.reads_bodies ? SUBTOKEN_POLICY_BODY : 0,
                            &decision) == SUBTOKEN_OK);
  HOLD(decision.access == SUBTOKEN_ACCESS_TOKEN);
  HOLD(subtoken_claims_check_needs(&claims, decision.needs, decision.needs_count, NULL) ==
       SUBTOKEN_OK);
  return step;
}

static void decide_body(subtoken_text body) {
  static subtoken_rpc rpc;
  subtoken_edge_reply reply = SUBTOKEN_EDGE_REPLY_DEFAULT;
  char *scratch = malloc(body.len + 1);
  if (scratch == NULL) abort();
  subtoken_edge_step step =
      subtoken_edge_decide_body(&edge, &one.request, &claims, body, scratch, body.len, &reply);
  check_reply(step, &reply, reply.status == 403);
  bool allowed = subtoken_rpc_read(body, scratch, body.len, &rpc) == SUBTOKEN_OK &&
                 subtoken_rpc_allowed(&rpc, &claims, NULL) == SUBTOKEN_OK;
  HOLD(allowed == (step == SUBTOKEN_EDGE_ALLOW));
  free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  subtoken_text rest = {(const char *)data, size};
  subtoken_edge_reply reply = SUBTOKEN_EDGE_REPLY_DEFAULT;
  subtoken_edge_answer answer;
  set_up();
  read_settings(fuzz_line(&rest));
  read_request(&rest);
  read_answer(fuzz_line(&rest), &answer);
  check_credential();
  if (one.request.target.len > 0) check_stripped();
  memset(&claims, 0xA5, sizeof claims);
  subtoken_edge_step step = subtoken_edge_decide(&edge, &one.request, &claims, &reply);
  check_reply(step, &reply, false);
  HOLD((step == SUBTOKEN_EDGE_ALLOW || step == SUBTOKEN_EDGE_BODY) || is_zero(&claims));
  bool asked = step == SUBTOKEN_EDGE_ASK;
  if (asked) {
    HOLD(edge.may_ask);
    step = ask(&answer, &reply);
    check_reply(step, &reply, false);
  } else if (step == SUBTOKEN_EDGE_ALLOW && claims.sub.len == 0) {
    HOLD(is_zero(&claims));
    check_public();
  } else if (step == SUBTOKEN_EDGE_ALLOW || step == SUBTOKEN_EDGE_BODY) {
    check_token(&claims);
  }
  if (step == SUBTOKEN_EDGE_ALLOW) check_identity(asked ? &answer : NULL);
  if (step == SUBTOKEN_EDGE_BODY) {
    HOLD(edge.reads_bodies);
    decide_body(keep(rest.data, rest.len));
  }
  for (size_t i = 0; i < one.block_count; i++) free(one.blocks[i]);
  return 0;
}
