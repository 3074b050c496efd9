/* What a request names besides its path, for the decision endpoint: a proxy such as Envoy sends the
 * body along, and others only the headers. The rules are the library's; authorize.c asks.
 */
#include "service/authorize_call.h"

#include "base/impossible.h"
#include "core/claims.h"
#include "service/reply.h"
#include "service/request.h"

#define AUTHORIZE_HEADER_VALUES 2 /* a header of MCP that came twice is refused */

/* ---- what came ---- */

/* Some servers decode a body by the charset that its Content-Type names. In another than UTF-8 it
 * is another body, and none that can be decided by.
 */
static bool authorize_call_is_utf8(const st_request *request) {
  static const char *const good[] = {"charset=utf-8", "charset=\"utf-8\""};
  bool seen = false;
  for (size_t i = 0; i < request->header_count; i++) {
    if (!st_text_is_nocase(request->headers[i].name, "Content-Type")) continue;
    if (seen) return false;
    seen = true;
    subtoken_text rest = request->headers[i].value;
    for (; rest.len >= 7; rest.data++, rest.len--) {
      if (!st_text_is_nocase((subtoken_text){rest.data, 7}, "charset")) continue;
      return st_text_is_nocase(rest, good[0]) || st_text_is_nocase(rest, good[1]);
    }
  }
  return true;
}

/* A server may unpack it, and read another text. */
static bool authorize_call_is_packed(const st_request *request) {
  for (size_t i = 0; i < request->header_count; i++) {
    const st_header *header = &request->headers[i];
    if (st_text_is_nocase(header->name, "Content-Encoding") &&
        !st_text_is_nocase(header->value, "identity")) {
      return true;
    }
  }
  return false;
}

/* Of a body that a proxy truncated (Envoy says so) the rest is unknown. */
static bool authorize_call_has_body(const st_request *request, const st_original_headers *sent) {
  if (!authorize_call_is_utf8(request) || authorize_call_is_packed(request)) return false;
  subtoken_text partial = sent->value[ST_ORIGINAL_PARTIAL_BODY];
  bool whole = !sent->repeated[ST_ORIGINAL_PARTIAL_BODY] &&
               (partial.data == NULL || st_text_is(partial, "false"));
  return request->body.len > 0 && whole;
}

unsigned st_authorize_call_flags(const st_context *c, const st_original_headers *sent) {
  unsigned flags = SUBTOKEN_POLICY_MCP;
  if (authorize_call_has_body(c->request, sent)) flags |= SUBTOKEN_POLICY_BODY;
  if (st_request_has_header(c->request, "Origin") &&
      st_request_has_header(c->request, "Access-Control-Request-Method")) {
    flags |= SUBTOKEN_POLICY_PREFLIGHT;
  }
  return flags;
}

typedef struct authorize_call_headers {
  subtoken_text method[AUTHORIZE_HEADER_VALUES], name[AUTHORIZE_HEADER_VALUES],
      version[AUTHORIZE_HEADER_VALUES];
} authorize_call_headers;

static void authorize_call_note(subtoken_text *values, size_t *count, subtoken_text value) {
  if (*count < AUTHORIZE_HEADER_VALUES) values[(*count)++] = value;
}

static void authorize_call_read_headers(const st_request *request, authorize_call_headers *into,
                                        subtoken_mcp_call *call) {
  call->mcp_method = into->method;
  call->mcp_name = into->name;
  call->mcp_version = into->version;
  for (size_t i = 0; i < request->header_count; i++) {
    subtoken_text name = request->headers[i].name, value = request->headers[i].value;
    if (st_text_is_nocase(name, "Mcp-Method")) {
      authorize_call_note(into->method, &call->mcp_method_count, value);
    } else if (st_text_is_nocase(name, "Mcp-Name")) {
      authorize_call_note(into->name, &call->mcp_name_count, value);
    } else if (st_text_is_nocase(name, "MCP-Protocol-Version")) {
      authorize_call_note(into->version, &call->mcp_version_count, value);
    }
  }
}

/* ---- what it needs ---- */

static subtoken_result authorize_call_check_mcp(const st_context *c, const subtoken_claims *grant,
                                                st_authorize_call *call) {
  char scratch[ST_REQUEST_BODY_MAX];
  authorize_call_headers values;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  subtoken_mcp_call came = SUBTOKEN_MCP_CALL_DEFAULT;
  request.method = c->method;
  memset(&values, 0, sizeof values);
  authorize_call_read_headers(c->request, &values, &came);
  came.has_body = c->request->body.len > 0;
  if (authorize_call_has_body(c->request, call->sent)) came.body = c->request->body;
  came.scratch = scratch;
  came.scratch_size = sizeof scratch;
  call->mcp.size = sizeof call->mcp;
  return subtoken_mcp_check(c->service->policy, &call->decision, &request, grant, &came,
                            &call->mcp);
}

static subtoken_result authorize_call_check_rpc(const st_context *c, const subtoken_claims *grant,
                                                st_authorize_call *call) {
  char scratch[ST_REQUEST_BODY_MAX];
  const subtoken_decision *decision = &call->decision;
  const subtoken_text *first =
      st_claims_find_lacking(grant, decision->needs, decision->needs_count);
  if (first != NULL) {
    call->lacking = *first;
    return SUBTOKEN_PERM;
  }
  if (!decision->json_rpc) return SUBTOKEN_OK;
  subtoken_result result = subtoken_rpc_read(c->request->body, scratch, sizeof scratch, &call->rpc);
  return result == SUBTOKEN_OK ? subtoken_rpc_allowed(&call->rpc, grant, &call->lacking) : result;
}

bool st_authorize_call_check(const st_context *c, const subtoken_claims *grant,
                             st_authorize_call *call) {
  call->result = call->decision.mcp ? authorize_call_check_mcp(c, grant, call)
                                    : authorize_call_check_rpc(c, grant, call);
  return call->result == SUBTOKEN_OK;
}

/* ---- refusals ---- */

static const st_problem *authorize_call_problem_mcp(st_context *c, const st_authorize_call *call) {
  char text[SUBTOKEN_MCP_REPLY_MAX];
  bool mismatch = call->result == SUBTOKEN_MCP_MISMATCH;
  bool denied = call->result == SUBTOKEN_PERM || call->result == SUBTOKEN_URL;
  const char *event = denied || mismatch ? subtoken_result_name(call->result) : "bad_request";
  size_t len = subtoken_mcp_reply(call->result, &call->mcp, text, sizeof text);
  if (st_impossible(len == 0, "there is room for every reply")) text[0] = '\0';
  return st_problem_json(&c->problem, denied ? 403 : 400, event, text,
                         denied ? ST_CHALLENGE_INSUFFICIENT_SCOPE : ST_CHALLENGE_NONE);
}

const st_problem *st_authorize_call_problem(st_context *c, const st_authorize_call *call) {
  static const st_problem bad_body = {
      .status = 400, .event = "bad_request", .text = "body: must be a JSON-RPC request or batch"};
  if (call->decision.mcp) return authorize_call_problem_mcp(c, call);
  return call->result == SUBTOKEN_PERM ? st_problem_permission(&c->problem, call->lacking)
                                       : &bad_body;
}

/* The problem without its challenge, in favour of this one. */
static const st_problem *authorize_call_tell(st_context *c, const st_problem *problem,
                                             const char *challenge, size_t len) {
  st_problem *changed = st_problem_copy(&c->problem, problem);
  if (st_impossible(len == 0 || !st_reply_header_text(c->reply, "WWW-Authenticate",
                                                      (subtoken_text){challenge, len}),
                    "it fits behind what is told of nobody, and of the user `*`")) {
    return changed;
  }
  changed->challenge = ST_CHALLENGE_NONE;
  return changed;
}

const st_problem *st_authorize_call_challenge(st_context *c, const st_authorize_call *call,
                                              const st_problem *problem) {
  char challenge[SUBTOKEN_CHALLENGE_MAX];
  size_t len;
  if (problem == NULL) return NULL;
  if (problem->status == 403 && call->decision.mcp && call->result == SUBTOKEN_PERM) {
    len = subtoken_mcp_challenge(call->result, &call->mcp, challenge, sizeof challenge);
    return authorize_call_tell(c, problem, challenge, len);
  }
  subtoken_text issuer = st_text(c->service->settings->issuer), given = ST_TEXT(SUBTOKEN_CHALLENGE);
  if (problem->status != 401 || issuer.len == 0 || call->decision.resource.data == NULL) {
    return problem;
  }
  if (problem->challenge == ST_CHALLENGE_INVALID_TOKEN) {
    given = st_text(subtoken_result_challenge(SUBTOKEN_REVOKED));
  }
  len = subtoken_resource_challenge(given, call->decision.resource, issuer, challenge,
                                    sizeof challenge);
  return authorize_call_tell(c, problem, challenge, len);
}
