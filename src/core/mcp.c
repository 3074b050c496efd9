/* May these claims make a call of the Model Context Protocol? By the body, with which the headers
 * must agree, or where none came by the headers alone. mcp_message.c reads the messages,
 * mcp_header.c the headers, mcp_find.c finds the member of the policy that decides.
 */
#include "core/mcp_find.h"

#include "base/impossible.h"
#include "core/claims.h"
#include "core/mcp_header.h"
#include "core/mcp_message.h"
#include "core/mcp_name.h"

#define MCP_ERROR_PARSE (-32700)
#define MCP_ERROR_REQUEST (-32600)
#define MCP_ERROR_MISMATCH (-32020)
#define MCP_REVISION "2026-07-28"

typedef struct mcp_evaluation {
  const subtoken_policy *policy;
  const st_policy_route *route;
  const subtoken_claims *claims;
  st_mcp_headers headers;
  const st_policy_call *last; /* that needs were looked up for; NULL: none */
  bool mismatch;
  subtoken_mcp *mcp;
} mcp_evaluation;

/* ---- what is lacking ---- */

static void mcp_add_lacking(mcp_evaluation *e, subtoken_text need) {
  subtoken_mcp *mcp = e->mcp;
  if (st_claims_has_permission(e->claims, need)) return;
  for (size_t i = 0; i < mcp->lacking_count; i++) {
    if (st_text_equal(mcp->lacking[i], need)) return;
  }
  if (mcp->lacking_count < SUBTOKEN_POLICY_NEEDS_MAX) mcp->lacking[mcp->lacking_count++] = need;
}

/* The member that is told is that of the first message that lacks something, or of the last. */
static void mcp_add_call(mcp_evaluation *e, const st_policy_call *call, bool *told) {
  bool lacks = false;
  if (call != NULL && call == e->last) return;
  e->last = call;
  for (uint32_t i = 0; call != NULL && i < call->need_count; i++) {
    subtoken_text need = st_policy_text(e->policy, call->needs + i);
    lacks |= !st_claims_has_permission(e->claims, need);
    mcp_add_lacking(e, need);
  }
  if (*told) return;
  e->mcp->line = call == NULL ? 0 : call->line;
  e->mcp->member = call == NULL ? (subtoken_text){NULL, 0} : st_policy_call_member(e->policy, call);
  *told = lacks;
}

/* ---- by the body ---- */

static bool mcp_take_message(mcp_evaluation *e, const st_mcp_message *message, bool *told) {
  const st_policy_call *call = NULL;
  subtoken_text name = message->task.data != NULL ? message->task : message->name;
  if (message->method.data != NULL &&
      !st_mcp_find(e->policy, e->route, message->method, message->name, &call)) {
    return false;
  }
  if (!st_mcp_header_agrees(&e->headers, message->method, name)) e->mismatch = true;
  mcp_add_call(e, call, told);
  return true;
}

static void mcp_keep_id(mcp_evaluation *e, const st_mcp_message *message) {
  if (message->id_len == 0 || message->method.data == NULL) return;
  e->mcp->id_len = message->id_len;
  memcpy(e->mcp->id, message->id, message->id_len);
}

/* Text behind the body makes all of it no JSON. */
static bool mcp_ends(st_json *json) {
  if (!st_json_end(json)) json->failed = true;
  return !json->failed;
}

static bool mcp_read_body(mcp_evaluation *e, st_json *json) {
  st_mcp_message message;
  bool told = false;
  if (st_json_peek(json) != '[') {
    bool good = st_mcp_message_read(json, &message);
    if (!json->failed) mcp_keep_id(e, &message);
    return good && mcp_take_message(e, &message, &told) && mcp_ends(json);
  }
  size_t count = 0;
  if (st_impossible(!st_json_array(json), "its bracket was seen, first of all")) return false;
  while (st_json_element(json)) {
    if (count++ == SUBTOKEN_MCP_BATCH_MAX) return false;
    if (!st_mcp_message_read(json, &message) || !mcp_take_message(e, &message, &told)) return false;
  }
  return count > 0 && mcp_ends(json);
}

static subtoken_result mcp_mismatch(const mcp_evaluation *e) {
  e->mcp->code = MCP_ERROR_MISMATCH;
  e->mcp->lacking_count = 0;
  return SUBTOKEN_MCP_MISMATCH;
}

static subtoken_result mcp_by_body(mcp_evaluation *e, const subtoken_mcp_call *call) {
  st_json json;
  if (call->body.len > SUBTOKEN_RPC_BODY_MAX) return SUBTOKEN_TOO_LARGE;
  if (call->scratch == NULL || call->scratch_size < call->body.len) {
    return SUBTOKEN_BUFFER_TOO_SMALL;
  }
  memcpy(call->scratch, call->body.data, call->body.len);
  st_json_start(&json, call->scratch, call->body.len);
  if (!mcp_read_body(e, &json)) {
    /* Reading stopped where it was no message: what is behind that may be no JSON. */
    memcpy(call->scratch, call->body.data, call->body.len);
    st_json_start(&json, call->scratch, call->body.len);
    bool valid = st_json_skip(&json) && st_json_end(&json);
    e->mcp->code = valid ? MCP_ERROR_REQUEST : MCP_ERROR_PARSE;
    e->mcp->lacking_count = 0;
    return SUBTOKEN_MALFORMED;
  }
  if (e->mismatch || st_mcp_header_repeated(call)) return mcp_mismatch(e);
  return e->mcp->lacking_count == 0 ? SUBTOKEN_OK : SUBTOKEN_PERM;
}

/* ---- by the headers ---- */

static bool mcp_read_header_name(const st_mcp_headers *headers, st_mcp_source source,
                                 char decoded[ST_MCP_HEADER_NAME_MAX], subtoken_text *name) {
  return st_mcp_header_read_name(headers->name, decoded, name) &&
         st_mcp_header_is_sure(headers->name, *name) &&
         (source != ST_MCP_URI || st_mcp_uri_problem(*name) == NULL);
}

static subtoken_result mcp_by_headers(mcp_evaluation *e) {
  char decoded[ST_MCP_HEADER_NAME_MAX];
  const st_policy_call *call = NULL;
  const st_mcp_headers *headers = &e->headers;
  subtoken_text name = {NULL, 0};
  st_mcp_source source = st_mcp_source_of(headers->method);
  bool told = false, named = source != ST_MCP_NONE;
  if (!st_mcp_method_valid(headers->method) || named != headers->has_name ||
      (named && !mcp_read_header_name(headers, source, decoded, &name))) {
    return mcp_mismatch(e);
  }
  if (!st_mcp_has_names(headers->method)) name = (subtoken_text){NULL, 0};
  if (!st_mcp_find(e->policy, e->route, headers->method, name, &call)) return mcp_mismatch(e);
  mcp_add_call(e, call, &told);
  return e->mcp->lacking_count == 0 ? SUBTOKEN_OK : SUBTOKEN_PERM;
}

/* GET opens the stream, DELETE ends the session. */
static bool mcp_calls_nothing(subtoken_text method) {
  return st_text_is(method, "GET") || st_text_is(method, "HEAD") || st_text_is(method, "DELETE");
}

static subtoken_result mcp_without_body(mcp_evaluation *e, subtoken_text method,
                                        const subtoken_mcp_call *call) {
  if (!call->has_body && mcp_calls_nothing(method)) {
    return e->mcp->lacking_count == 0 ? SUBTOKEN_OK : SUBTOKEN_PERM;
  }
  bool named =
      call->mcp_version_count == 1 && st_text_is(st_text_trim(call->mcp_version[0]), MCP_REVISION);
  if (!e->route->mcp_headers || !named) {
    e->mcp->lacking_count = 0;
    return SUBTOKEN_URL;
  }
  return st_mcp_header_repeated(call) ? mcp_mismatch(e) : mcp_by_headers(e);
}

/* ---- the whole ---- */

static bool mcp_args_valid(const subtoken_policy *policy, const subtoken_decision *decision,
                           const subtoken_request *request, const subtoken_claims *claims,
                           const subtoken_mcp_call *call) {
  return policy != NULL && decision != NULL && decision->size == sizeof *decision &&
         decision->access == SUBTOKEN_ACCESS_TOKEN && decision->mcp && decision->route > 0 &&
         decision->route <= policy->route_count &&
         decision->needs_count <= SUBTOKEN_POLICY_NEEDS_MAX && request != NULL &&
         request->size == sizeof *request &&
         (request->needs != NULL || request->needs_count == 0) && st_claims_in_bounds(claims) &&
         call != NULL && call->size == sizeof *call &&
         (call->mcp_method != NULL || call->mcp_method_count == 0) &&
         (call->mcp_name != NULL || call->mcp_name_count == 0) &&
         (call->mcp_version != NULL || call->mcp_version_count == 0);
}

static void mcp_clear(subtoken_mcp *mcp) {
  mcp->line = 0;
  mcp->member = (subtoken_text){NULL, 0};
  mcp->code = 0;
  mcp->lacking_count = 0;
  mcp->id_len = sizeof "null" - 1;
  memcpy(mcp->id, "null", sizeof "null");
}

subtoken_result subtoken_mcp_check(const subtoken_policy *policy, const subtoken_decision *decision,
                                   const subtoken_request *request, const subtoken_claims *claims,
                                   const subtoken_mcp_call *call, subtoken_mcp *mcp) {
  if (mcp == NULL || mcp->size != sizeof *mcp) return SUBTOKEN_INVALID_ARGUMENT;
  mcp_clear(mcp);
  if (!mcp_args_valid(policy, decision, request, claims, call)) return SUBTOKEN_INVALID_ARGUMENT;
  mcp_evaluation e = {.policy = policy,
                      .route = &st_policy_routes(policy)[decision->route - 1],
                      .claims = claims,
                      .mcp = mcp};
  st_mcp_header_take(call, &e.headers);
  for (size_t i = 0; i < decision->needs_count; i++) mcp_add_lacking(&e, decision->needs[i]);
  for (size_t i = 0; i < request->needs_count; i++) mcp_add_lacking(&e, request->needs[i]);
  bool body = call->body.data != NULL && call->body.len > 0;
  return body ? mcp_by_body(&e, call) : mcp_without_body(&e, request->method, call);
}
