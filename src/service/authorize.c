/* The decision endpoint, /v2/authorize: a proxy asks whether a request that it holds back may pass.
 * Which request that is, original_request.c reads; what it needs, the route policy says.
 *
 * Every answer carries the five X-Subtoken-* headers, empty where there is nothing to say, so that
 * a proxy which copies them overwrites what a caller sent.
 */
#include "base/impossible.h"
#include "core/claims.h"
#include "service/authenticate.h"
#include "service/authorize_call.h"
#include "service/credential.h"
#include "service/endpoints.h"
#include "service/original_request.h"
#include "service/reply.h"

/* ---- what the request needs ---- */

/* The grant is what the store says now, not what the token says. */
static const st_problem *authorize_by_policy(st_context *c, const subtoken_claims *grant,
                                             st_authorize_call *call) {
  static const st_problem not_allowed = {.status = 403,
                                         .event = "url",
                                         .text = "the route policy does not allow this request",
                                         .challenge = ST_CHALLENGE_INSUFFICIENT_SCOPE};
  if (call->decision.access != SUBTOKEN_ACCESS_TOKEN) return &not_allowed;
  return st_authorize_call_check(c, grant, call) ? NULL : st_authorize_call_problem(c, call);
}

/* ---- headers of the answer ---- */

static void authorize_tell_permissions(st_reply *reply, const subtoken_claims *grant) {
  char list[ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(list, sizeof list);
  for (size_t i = 0; i < grant->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_view(&writer, subtoken_claims_text(grant, grant->permissions[i]));
  }
  if (st_impossible(!st_writer_end(&writer), "64 of 64 characters fit")) writer.len = 0;
  /* An edge compares each with what a policy needs: a % of a permission stays one. */
  st_reply_header_visible(reply, "X-Subtoken-Permissions", (subtoken_text){list, writer.len});
}

static void authorize_tell_expiry(st_reply *reply, int64_t expires) {
  char number[24];
  st_writer writer = st_writer_on(number, sizeof number);
  if (expires != ST_NEVER) st_write_int(&writer, expires);
  if (st_impossible(!st_writer_end(&writer), "a number fits")) writer.len = 0;
  st_reply_header(reply, "X-Subtoken-Expires", (subtoken_text){number, writer.len});
}

/* The identity, in headers for the API behind the proxy. */
static void authorize_tell_identity(st_reply *reply, const st_identity *identity) {
  const subtoken_claims *grant = &identity->grant;
  st_reply_header(reply, "X-Subtoken-Sub", subtoken_claims_text(grant, grant->sub));
  st_reply_header(reply, "X-Subtoken-Key", st_text(identity->key.id));
  st_reply_header(reply, "X-Subtoken-Owner", st_text(identity->key.owner));
  authorize_tell_permissions(reply, grant);
  authorize_tell_expiry(reply, st_identity_ends(identity));
}

/* No identity; the permissions of the user `*`, or none when grant is NULL. */
static void authorize_tell_anonymous(st_reply *reply, const subtoken_claims *grant) {
  st_reply_header(reply, "X-Subtoken-Sub", st_text(""));
  st_reply_header(reply, "X-Subtoken-Key", st_text(""));
  st_reply_header(reply, "X-Subtoken-Owner", st_text(""));
  if (grant != NULL) {
    authorize_tell_permissions(reply, grant);
  } else {
    st_reply_header(reply, "X-Subtoken-Permissions", st_text(""));
  }
  authorize_tell_expiry(reply, ST_NEVER);
}

#define NONCE_MAX 64

/* What the asker wants to see again, so that it knows the answer for its own: visible ASCII, and
 * no % because a header's value is escaped with it. Anything else is as if it were not there.
 */
static bool authorize_has_nonce(const st_original_headers *sent) {
  subtoken_text nonce = sent->value[ST_ORIGINAL_NONCE];
  if (sent->repeated[ST_ORIGINAL_NONCE] || nonce.len == 0 || nonce.len > NONCE_MAX) return false;
  for (size_t i = 0; i < nonce.len; i++) {
    char c = nonce.data[i];
    if (c < 0x21 || c > 0x7E || c == '%') return false;
  }
  return true;
}

/* ---- the decision ---- */

static const st_problem authorize_bad_target = {
    .status = 400,
    .event = "bad_target",
    .text = "the request target can be read in more than one way"};

static bool authorize_is_open(const subtoken_decision *decision) {
  return decision->access == SUBTOKEN_ACCESS_PUBLIC ||
         decision->access == SUBTOKEN_ACCESS_PREFLIGHT;
}

/* Without a policy every good credential may do everything. False: the target is ambiguous. */
static bool authorize_find_decision(const st_context *c, st_authorize_call *call) {
  const subtoken_policy *policy = c->service->policy;
  call->decision.access = SUBTOKEN_ACCESS_TOKEN;
  return policy == NULL ||
         subtoken_policy_find(policy, c->method, c->target, st_authorize_call_flags(c, call->sent),
                              &call->decision) == SUBTOKEN_OK;
}

/* Without a credential: what the user `*` may do. Told with a refusal as well, for an edge that
 * knows better than we what the request needs; never with a sub. call NULL: the target is
 * ambiguous.
 */
static const st_problem *authorize_anonymous(st_context *c, st_authorize_call *call) {
  static const st_problem store_error = {.status = 503,
                                         .event = "store_error",
                                         .text = "the key store cannot be read; try again later",
                                         .retry_after = 5};
  st_key anonymous;
  subtoken_claims grant;
  st_store_status found = st_identity_anonymous(c->service, &anonymous);
  if (found != ST_STORE_OK && found != ST_STORE_NOT_FOUND) return &store_error;
  if (found == ST_STORE_OK) {
    if (!st_key_grant(&anonymous, &grant)) return &store_error;
    authorize_tell_anonymous(c->reply, &grant);
  }
  if (call != NULL && authorize_is_open(&call->decision)) return NULL;
  /* A route that needs a token and no permission is not one that these permissions open. */
  bool may = found == ST_STORE_OK && call != NULL && grant.permission_count > 0 &&
             call->decision.access == SUBTOKEN_ACCESS_TOKEN &&
             (call->decision.needs_count > 0 || call->decision.json_rpc || call->decision.mcp);
  if (!may) return st_authenticate_missing(c);
  if (st_authorize_call_check(c, &grant, call)) return NULL;
  const st_problem *problem = st_authorize_call_problem(c, call);
  return problem->status == 403 ? st_authenticate_missing(c) : problem;
}

/* ---- for which audience ---- */

static const st_problem *authorize_check_asker(st_context *c, const st_original_headers *sent) {
  subtoken_text audience = sent->value[ST_ORIGINAL_AUDIENCE];
  bool valid = audience.len == 0 || subtoken_audience_valid(audience);
  if (valid && !sent->repeated[ST_ORIGINAL_AUDIENCE]) return NULL;
  return st_problem_parameter(&c->problem, "X-Subtoken-Audience",
                              "must be given once, with the audience of the edge, or empty");
}

/* Of a whole key, for a token was verified as at an edge for that audience (identity.h): one that
 * is bound is good there alone, and one that is not is good everywhere. Who says nothing has none.
 */
static bool authorize_is_for(subtoken_text audience, const st_identity *identity) {
  if (!st_identity_is_whole(identity) || !st_identity_is_bound(identity)) return true;
  return audience.len > 0 && subtoken_claims_has_audience(&identity->grant, audience);
}

static const st_problem *authorize_check_audience(st_context *c, const st_identity *identity) {
  static const st_problem other = {.status = 401,
                                   .event = "aud",
                                   .text = "Invalid access token",
                                   .challenge = ST_CHALLENGE_INVALID_TOKEN};
  if (authorize_is_for(*c->edge_audience, identity)) return NULL;
  st_problem *problem = st_problem_copy(&c->problem, &other);
  problem->basic_challenge = c->service->settings->basic_challenge;
  return problem;
}

/* An edge that has the policy itself asks, with a nonce, whose a credential is. The answer says so
 * even when the request is denied, and the credential is authenticated even where the policy would
 * not need one; without a nonce nothing more is allowed. Without a nonce a denial names no
 * identity, because some proxies pass its headers on to the caller, who may know less of the owner
 * than they say.
 */
static const st_problem *authorize_decide(st_context *c, st_authorize_call *call) {
  st_identity identity;
  const st_original_headers *sent = call->sent;
  bool readable = authorize_find_decision(c, call), asks_who = authorize_has_nonce(sent);
  if (!asks_who && !readable) return &authorize_bad_target;
  if (!asks_who && authorize_is_open(&call->decision)) return NULL;
  /* Credentials of every form. */
  const st_problem *problem = st_credential_find(c);
  if (problem != NULL) return problem;
  if (c->credential.text.len == 0) return authorize_anonymous(c, readable ? call : NULL);
  c->edge_audience = &sent->value[ST_ORIGINAL_AUDIENCE];
  problem = st_authenticate_found(c, &identity);
  if (problem == NULL) problem = authorize_check_audience(c, &identity);
  if (problem != NULL) return problem;
  if (!readable) {
    problem = &authorize_bad_target;
  } else if (!authorize_is_open(&call->decision)) {
    problem = authorize_by_policy(c, &identity.grant, call);
  }
  if (problem == NULL || asks_who) authorize_tell_identity(c->reply, &identity);
  return problem;
}

/* nginx takes a 400 of auth_request for an error of its own: whoever asks in its ways gets 403. */
static const st_problem *authorize_for_nginx(st_context *c, const st_original_headers *sent,
                                             const st_problem *problem) {
  bool nginx =
      sent->value[ST_ORIGINAL_URI].data != NULL || sent->value[ST_ORIGINAL_URL].data != NULL;
  if (problem == NULL || problem->status != 400 || !nginx) return problem;
  st_problem *changed = st_problem_copy(&c->problem, problem);
  changed->status = 403;
  changed->challenge = ST_CHALLENGE_NONE;
  return changed;
}

const st_problem *st_authorize_answer(st_context *c) {
  st_original_headers sent;
  st_authorize_call call;
  st_original_request_headers(c->request, &sent);
  call.sent = &sent;
  call.result = SUBTOKEN_UNDECIDED;
  call.decision = (subtoken_decision)SUBTOKEN_DECISION_DEFAULT;
  const st_problem *problem = st_original_request_find(c, &sent);
  if (problem == NULL) problem = authorize_check_asker(c, &sent);
  if (problem == NULL) problem = authorize_decide(c, &call);
  if (problem == NULL) c->reply->status = 200;
  if (c->reply->headers_len == 0) authorize_tell_anonymous(c->reply, NULL);
  if (authorize_has_nonce(&sent)) {
    st_reply_header(c->reply, "X-Subtoken-Nonce", sent.value[ST_ORIGINAL_NONCE]);
  } else {
    problem = st_authorize_call_challenge(c, &call, problem);
  }
  return authorize_for_nginx(c, &sent, problem);
}
