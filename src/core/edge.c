/* The whole decision about one request, in the order of subtoken/edge.h: the target, the policy,
 * the credential, its permissions, the body. edge_credential.c reads the credential, edge_answer.c
 * what the server said of it, edge_reply.c writes what is answered. Nothing is kept between the
 * steps: each starts anew from the request, so that what holds then decides.
 */
#include "base/impossible.h"
#include "core/edge_answer.h"
#include "core/edge_body.h"
#include "core/edge_credential.h"
#include "core/edge_reply.h"
#include "core/paths.h"
#include "core/sized.h"

/* One evaluation. .decision.needs are long and not zeroed: nobody reads them before they are
 * written.
 */
typedef struct edge_evaluation {
  const subtoken_edge *edge;
  const subtoken_edge_request *asked;
  const subtoken_edge_answer *answer; /* NULL: the server was not asked yet */
  subtoken_text nonce;
  subtoken_claims *claims;
  subtoken_edge_reply *reply;
  subtoken_request request;
  st_edge_credential credential;
  subtoken_decision decision;
} edge_evaluation;

/* ---- what the rules say ---- */

/* As subtoken_policy_verify where there is no policy: each target needs a good token. */
static subtoken_result edge_verify_alone(edge_evaluation *e, subtoken_text token) {
  st_path path;
  e->decision.access = SUBTOKEN_ACCESS_TOKEN;
  e->decision.json_rpc = e->decision.mcp = false;
  e->decision.needs_count = 0;
  if (st_paths_read_target(e->request.target, &path) != SUBTOKEN_FAULT_NONE) {
    return SUBTOKEN_BAD_TARGET;
  }
  if (token.len == 0) return SUBTOKEN_MALFORMED;
  return subtoken_verify(e->edge->verifier, token, &e->request, e->claims);
}

/* Policy and token; token.len 0: the policy alone. */
static subtoken_result edge_verify(edge_evaluation *e, subtoken_text token) {
  unsigned flags = SUBTOKEN_POLICY_MCP | (e->edge->reads_bodies ? SUBTOKEN_POLICY_BODY : 0U);
  if (e->asked->origin && e->asked->request_method) flags |= SUBTOKEN_POLICY_PREFLIGHT;
  if (e->edge->policy == NULL) return edge_verify_alone(e, token);
  return subtoken_policy_verify(e->edge->verifier, e->edge->policy, token, &e->request, flags,
                                e->claims, &e->decision);
}

static bool edge_is_public(const edge_evaluation *e) {
  return e->decision.access == SUBTOKEN_ACCESS_PUBLIC ||
         e->decision.access == SUBTOKEN_ACCESS_PREFLIGHT;
}

/* *lacking: the first missing permission, of the policy's before those of the edge. Those of a call
 * of MCP are looked at with the call. */
static subtoken_result edge_check_needs(const edge_evaluation *e, subtoken_text *lacking) {
  const subtoken_edge *edge = e->edge;
  if (e->decision.mcp) return SUBTOKEN_OK;
  subtoken_result result =
      subtoken_claims_check_needs(e->claims, e->decision.needs, e->decision.needs_count, lacking);
  if (result != SUBTOKEN_OK || edge->needs_count == 0) return result;
  return subtoken_claims_check_needs(e->claims, edge->needs, edge->needs_count, lacking);
}

/* ---- refusing ---- */

static subtoken_edge_step edge_refuse(const edge_evaluation *e, subtoken_result result) {
  if (result == SUBTOKEN_URL && e->decision.access == SUBTOKEN_ACCESS_DENIED) {
    st_edge_reply_policy(e->reply);
  } else {
    st_edge_reply_result(e->reply, result);
  }
  return SUBTOKEN_EDGE_REFUSE;
}

static subtoken_edge_step edge_refuse_needs(const edge_evaluation *e) {
  subtoken_text lacking;
  st_edge_reply_result(e->reply, SUBTOKEN_PERM);
  bool none = edge_check_needs(e, &lacking) != SUBTOKEN_PERM;
  if (st_impossible(none, "a need that was lacking is lacking")) return SUBTOKEN_EDGE_REFUSE;
  st_edge_reply_scope(e->reply, lacking);
  return SUBTOKEN_EDGE_REFUSE;
}

/* A token that lacks a permission leaves no claims: it is verified again without needs, to name the
 * permission.
 */
static subtoken_edge_step edge_refuse_token(edge_evaluation *e) {
  subtoken_request bare = e->request;
  bare.needs = NULL;
  bare.needs_count = 0;
  if (subtoken_verify(e->edge->verifier, e->credential.text, &bare, e->claims) != SUBTOKEN_OK) {
    return edge_refuse(e, SUBTOKEN_PERM);
  }
  return edge_refuse_needs(e);
}

static subtoken_edge_step edge_refuse_credential(const edge_evaluation *e) {
  st_edge_reply_credential(e->reply, e->credential.state);
  return SUBTOKEN_EDGE_REFUSE;
}

/* ---- letting pass ---- */

/* A call of MCP of which no body is read. */
static subtoken_edge_step edge_grant_call(const edge_evaluation *e) {
  st_edge_body none = {{NULL, 0}, NULL, 0};
  st_edge_body_check_mcp(e->edge, e->asked, &e->decision, e->claims, &none, e->reply);
  return e->reply->status == 200 ? SUBTOKEN_EDGE_ALLOW : SUBTOKEN_EDGE_REFUSE;
}

/* The claims are those of a credential, or of the user `*`. */
static subtoken_edge_step edge_grant(const edge_evaluation *e) {
  if (e->decision.mcp && (!e->edge->reads_bodies || !e->asked->has_body)) return edge_grant_call(e);
  if (!e->decision.json_rpc && !e->decision.mcp) {
    st_edge_reply_allow(e->reply, subtoken_result_name(SUBTOKEN_OK));
    return SUBTOKEN_EDGE_ALLOW;
  }
  if (e->asked->content_length > SUBTOKEN_RPC_BODY_MAX) {
    st_edge_reply_body_too_long(e->reply);
    return SUBTOKEN_EDGE_REFUSE;
  }
  if (e->asked->body_encoded) {
    st_edge_reply_body_encoded(e->reply);
    return SUBTOKEN_EDGE_REFUSE;
  }
  st_edge_reply_body_unreadable(e->reply);
  return SUBTOKEN_EDGE_BODY;
}

/* ---- the server's answer ---- */

static subtoken_edge_step edge_ask(const edge_evaluation *e) {
  st_edge_reply_unanswered(e->reply);
  return SUBTOKEN_EDGE_ASK;
}

static subtoken_result edge_check_revoked(const edge_evaluation *e) {
  subtoken_verifier copy;
  const subtoken_verifier *verifier = st_sized_verifier(e->edge->verifier, &copy);
  if (st_impossible(verifier == NULL, "edge_verify has used it")) return SUBTOKEN_INVALID_ARGUMENT;
  if (verifier->without_revocations) return SUBTOKEN_OK;
  if (verifier->revoked == NULL) return SUBTOKEN_REVOCATION_UNKNOWN;
  subtoken_text sub = subtoken_claims_text(e->claims, e->claims->sub);
  subtoken_result result = verifier->revoked(verifier->revoked_context, &sub, 1);
  return result == SUBTOKEN_OK || result == SUBTOKEN_REVOKED ? result : SUBTOKEN_REVOCATION_UNKNOWN;
}

/* What subtoken_verify says of a token is said here of an identity. There is no leeway: the end of
 * a key is told by the clock that made it.
 */
static subtoken_result edge_check_identity(const edge_evaluation *e) {
  subtoken_result result = edge_check_revoked(e);
  if (result != SUBTOKEN_OK) return result;
  if (e->claims->exp <= e->asked->now) return SUBTOKEN_EXPIRED;
  return e->decision.access == SUBTOKEN_ACCESS_TOKEN ? SUBTOKEN_OK : SUBTOKEN_URL;
}

/* A whole key, or a name and password. */
static subtoken_edge_step edge_decide_key(const edge_evaluation *e) {
  if (!e->edge->may_ask) return edge_refuse(e, SUBTOKEN_MALFORMED);
  if (e->answer == NULL) return edge_ask(e);
  if (!st_edge_answer_claims(e->answer, e->nonce, false, e->claims)) {
    st_edge_answer_refuse(e->answer, e->nonce, false, e->reply);
    return SUBTOKEN_EDGE_REFUSE;
  }
  subtoken_result result = edge_check_identity(e);
  if (result != SUBTOKEN_OK) return edge_refuse(e, result);
  return edge_check_needs(e, NULL) == SUBTOKEN_OK ? edge_grant(e) : edge_refuse_needs(e);
}

/* No credential came: what the user `*` may do passes all the same. A route that needs no
 * permission needs a credential, and the server is not asked.
 */
static subtoken_edge_step edge_decide_anonymous(const edge_evaluation *e) {
  bool needs =
      e->decision.json_rpc || e->decision.mcp || e->decision.needs_count + e->edge->needs_count > 0;
  if (!e->edge->may_ask || e->decision.access != SUBTOKEN_ACCESS_TOKEN || !needs) {
    return edge_refuse_credential(e);
  }
  if (e->answer == NULL) return edge_ask(e);
  if (!st_edge_answer_claims(e->answer, e->nonce, true, e->claims)) {
    st_edge_answer_refuse(e->answer, e->nonce, true, e->reply);
    return SUBTOKEN_EDGE_REFUSE;
  }
  bool may = e->claims->permission_count > 0 && edge_check_needs(e, NULL) == SUBTOKEN_OK;
  return may ? edge_grant(e) : edge_refuse_credential(e);
}

/* ---- the whole ---- */

/* Public routes pass before any credential is looked at. A text without a dot is no subtoken, so
 * that a key costs no verification; a text with dots is verified first.
 */
static subtoken_edge_step edge_decide_credential(edge_evaluation *e) {
  const st_edge_credential *credential = &e->credential;
  subtoken_text text = credential->text, none = {NULL, 0};
  bool one = credential->state == ST_EDGE_CREDENTIAL_ONE, may_be_key = one;
  bool token = one && st_text_find(text, '.') < text.len;
  if (one && !token) {
    may_be_key = st_edge_credential_is_key(credential);
    token = !may_be_key;
  }
  subtoken_result result = edge_verify(e, token ? text : none);
  if (result == SUBTOKEN_OK) {
    if (!edge_is_public(e)) return edge_grant(e);
    st_edge_reply_allow(e->reply, "public");
    return SUBTOKEN_EDGE_ALLOW;
  }
  if (token && may_be_key && st_edge_credential_is_key(credential)) {
    token = false;
    result = edge_verify(e, none);
  }
  if (!token && result == SUBTOKEN_MALFORMED) {
    if (one) return edge_decide_key(e);
    return credential->state == ST_EDGE_CREDENTIAL_NONE ? edge_decide_anonymous(e)
                                                        : edge_refuse_credential(e);
  }
  return result == SUBTOKEN_PERM ? edge_refuse_token(e) : edge_refuse(e, result);
}

/* Whoever came without a credential may bring one: 401, never 403. */
static subtoken_edge_step edge_decide_request(edge_evaluation *e) {
  const subtoken_ring *ring = e->edge->verifier->ring;
  if (ring == NULL || ring->count == 0) return edge_refuse(e, SUBTOKEN_NO_SECRET);
  e->decision.access = SUBTOKEN_ACCESS_DENIED;
  e->decision.resource = (subtoken_text){NULL, 0};
  subtoken_edge_step step = edge_decide_credential(e);
  if (step == SUBTOKEN_EDGE_REFUSE && e->reply->status == 403 &&
      e->credential.state == ST_EDGE_CREDENTIAL_NONE) {
    step = edge_refuse_credential(e);
  }
  if (step == SUBTOKEN_EDGE_REFUSE) {
    st_edge_reply_add_resource(e->reply, e->decision.resource, e->edge->issuer);
  }
  return step;
}

static subtoken_edge_step edge_evaluate(const subtoken_edge *edge,
                                        const subtoken_edge_request *asked, subtoken_text nonce,
                                        const subtoken_edge_answer *answer, subtoken_claims *claims,
                                        subtoken_edge_reply *reply) {
  edge_evaluation e;
  e.edge = edge;
  e.asked = asked;
  e.answer = answer;
  e.nonce = nonce;
  e.claims = claims;
  memset(claims, 0, offsetof(subtoken_claims, permissions));
  e.reply = reply;
  e.request = (subtoken_request){sizeof e.request, asked->now,  asked->method,
                                 asked->target,    edge->needs, edge->needs_count};
  e.decision.size = sizeof e.decision;
  st_edge_credential_find(edge, asked, &e.credential);
  subtoken_edge_step step = edge_decide_request(&e);
  if (step != SUBTOKEN_EDGE_ALLOW && step != SUBTOKEN_EDGE_BODY) {
    memset(claims, 0, sizeof *claims);
  }
  st_edge_credential_wipe(&e.credential);
  return step;
}

static bool edge_args_valid(const subtoken_edge *edge, const subtoken_edge_request *request) {
  return st_edge_credential_args_valid(edge, request) && edge->verifier != NULL &&
         (edge->needs != NULL || edge->needs_count == 0);
}

static subtoken_edge_step edge_refuse_args(subtoken_claims *claims, subtoken_edge_reply *reply) {
  if (claims != NULL) memset(claims, 0, sizeof *claims);
  return subtoken_edge_refuse(SUBTOKEN_INVALID_ARGUMENT, reply);
}

subtoken_edge_step subtoken_edge_decide(const subtoken_edge *edge,
                                        const subtoken_edge_request *request,
                                        subtoken_claims *claims, subtoken_edge_reply *reply) {
  if (!edge_args_valid(edge, request) || claims == NULL || !st_edge_reply_fits(reply)) {
    return edge_refuse_args(claims, reply);
  }
  return edge_evaluate(edge, request, (subtoken_text){NULL, 0}, NULL, claims, reply);
}

subtoken_edge_step subtoken_edge_decide_answer(
    const subtoken_edge *edge, const subtoken_edge_request *request, subtoken_text nonce,
    const subtoken_edge_answer *answer, subtoken_claims *claims, subtoken_edge_reply *reply) {
  if (!edge_args_valid(edge, request) || answer == NULL || answer->size != sizeof *answer ||
      claims == NULL || !st_edge_reply_fits(reply)) {
    return edge_refuse_args(claims, reply);
  }
  return edge_evaluate(edge, request, nonce, answer, claims, reply);
}

size_t subtoken_edge_metadata(const subtoken_edge *edge, subtoken_text target, char *out,
                              size_t out_size) {
  if (edge == NULL || edge->size != sizeof *edge) return 0;
  return subtoken_policy_metadata(edge->policy, target, edge->issuer, out, out_size);
}
