/* The decision endpoint (interface section 10): a proxy tells of a request that it holds back
 * and asks whether it may pass. What tells of it is strict, because whoever sends the request
 * may have written some of it: two answers to the question which request it is are none.
 */
#include "app/params.h"
#include "app/visit.h"
#include "core/claims.h"

#define ROUTE "/v2/authorize"

/* ---- which request is it ---- */

/* *value is that of the one header of this name; data NULL when there is none. */
static bool one_header(const st_request *request, const char *name, subtoken_text *value) {
  *value = (subtoken_text){NULL, 0};
  for (size_t i = 0; i < request->header_count; i++) {
    const st_header *header = &request->headers[i];
    if (!st_text_is_nocase(header->name, name)) continue;
    if (value->data != NULL) return false;
    *value = header->value;
  }
  return true;
}

static bool has_header(const st_request *request, const char *name) {
  for (size_t i = 0; i < request->header_count; i++) {
    if (st_text_is_nocase(request->headers[i].name, name)) return true;
  }
  return false;
}

/* One more source. Byte by byte: what two of them spell differently, two programs may read
 * differently. */
static const char *agree(st_visit *v, subtoken_text method, subtoken_text target) {
  if (method.len == 0 || target.len == 0) {
    return "the original request needs a target and a method";
  }
  if (target.len > SUBTOKEN_TARGET_MAX) return "the original target is longer than 8192 bytes";
  if (v->target.len > 0 &&
      (!st_text_equal(v->method, method) || !st_text_equal(v->target, target))) {
    return "the original request is told in two ways that disagree";
  }
  v->method = method;
  v->target = target;
  return NULL;
}

static const char *from_headers(st_visit *v, const char *target_name, const char *method_name) {
  subtoken_text target, method;
  if (!one_header(v->request, target_name, &target) ||
      !one_header(v->request, method_name, &method)) {
    return "a header that tells of the original request is there twice";
  }
  if (target.data == NULL && method.data == NULL) return NULL;
  return agree(v, method, target);
}

/* As it stands on the request line: no slash is collapsed here, because the API that gets the
 * original request may not do so. */
static const char *from_path(st_visit *v) {
  static const char route[] = ROUTE "/";
  size_t front = sizeof ROUTE - 1;
  subtoken_text asked = v->request->target, start = asked;
  if (start.len > sizeof route - 1) start.len = sizeof route - 1;
  if (st_text_is(start, route)) {
    return agree(v, v->request->method, (subtoken_text){asked.data + front, asked.len - front});
  }
  /* It came here by slashes that were collapsed: where the original begins is a guess. */
  return v->path_len > front ? "the path in front of the original target must be " ROUTE : NULL;
}

/* Set method, target and query to those of the original request. NULL, or what is wrong. */
static const char *find_original(st_visit *v) {
  v->method = v->target = v->query = (subtoken_text){NULL, 0};
  const char *problem = from_headers(v, "X-Original-URI", "X-Original-Method");
  if (problem == NULL) problem = from_headers(v, "X-Forwarded-Uri", "X-Forwarded-Method");
  if (problem == NULL) problem = from_path(v);
  if (problem != NULL) return problem;
  if (v->target.len == 0) {
    return "which request? Neither headers nor a path behind " ROUTE " tell of one";
  }
  st_cutter cutter = {v->target, false};
  subtoken_text path;
  if (st_cut(&cutter, '?', &path)) v->query = cutter.rest;
  return NULL;
}

/* ---- may it pass ---- */

/* A body that a proxy cut off (Envoy says so) says nothing of the rest. */
static unsigned policy_flags(const st_request *request) {
  unsigned flags = 0;
  subtoken_text partial;
  bool known = one_header(request, "X-Envoy-Auth-Partial-Body", &partial);
  bool whole = known && (partial.data == NULL || st_text_is(partial, "false"));
  if (request->body.len > 0 && whole) flags |= SUBTOKEN_POLICY_BODY;
  if (has_header(request, "Origin") && has_header(request, "Access-Control-Request-Method")) {
    flags |= SUBTOKEN_POLICY_PREFLIGHT;
  }
  return flags;
}

/* What is lacking, or data NULL. */
static subtoken_text lacks(const subtoken_claims *grant, const subtoken_text *needs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!st_claims_has_permission(grant, needs[i])) return needs[i];
  }
  return (subtoken_text){NULL, 0};
}

/* A body as it is judged: what is found lacking is a view into it. */
typedef struct rpc_body {
  subtoken_rpc rpc;
  char scratch[ST_BODY_IN_MAX];
} rpc_body;

/* The permission that the body needs and the grant lacks; false: the body cannot be judged. */
static bool body_lacks(st_visit *v, const subtoken_claims *grant, rpc_body *body,
                       subtoken_text *lacking) {
  if (subtoken_rpc_read(v->request->body, body->scratch, sizeof body->scratch, &body->rpc) !=
      SUBTOKEN_OK) {
    return false;
  }
  for (size_t i = 0; i < body->rpc.count && lacking->data == NULL; i++) {
    subtoken_text need = subtoken_rpc_need(&body->rpc, i);
    *lacking = lacks(grant, &need, 1);
  }
  return true;
}

/* What the request needs and the grant lacks, or data NULL; false after a reply. */
static bool find_lacking(st_visit *v, const subtoken_decision *decision,
                         const subtoken_claims *grant, rpc_body *body, subtoken_text *lacking) {
  *lacking = lacks(grant, decision->needs, decision->needs_count);
  if (lacking->data != NULL || !decision->json_rpc || body_lacks(v, grant, body, lacking)) {
    return true;
  }
  st_reply_error(v->reply, 400, "bad_request", "the body is no JSON-RPC that can be judged");
  return false;
}

/* The grant is what the store says now, not what the token says. */
static bool policy_allows(st_visit *v, const subtoken_decision *decision,
                          const subtoken_claims *grant) {
  rpc_body body;
  subtoken_text lacking;
  if (decision->access != SUBTOKEN_ACCESS_TOKEN) {
    st_reply_error(v->reply, 403, "url", "the route policy does not allow this request");
    st_reply_challenge(v->reply, subtoken_result_challenge(SUBTOKEN_URL));
    return false;
  }
  if (!find_lacking(v, decision, grant, &body, &lacking)) return false;
  if (lacking.data != NULL) st_reply_lacks(v->reply, lacking);
  return lacking.data == NULL;
}

static void tell_permissions(st_reply *reply, const subtoken_claims *grant) {
  char list[ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(list, sizeof list);
  for (size_t i = 0; i < grant->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_text(&writer, subtoken_claims_text(grant, grant->permissions[i]));
  }
  if (st_writer_end(&writer)) {
    st_reply_header(reply, "X-Subtoken-Permissions", (subtoken_text){list, writer.len});
  }
}

/* Who it is, in headers for the API behind the proxy. */
static void tell(st_reply *reply, const st_identity *identity) {
  const subtoken_claims *grant = &identity->grant;
  char number[24];
  st_writer writer = st_writer_on(number, sizeof number);
  st_reply_header(reply, "X-Subtoken-Sub", subtoken_claims_text(grant, grant->sub));
  st_reply_header(reply, "X-Subtoken-Key", st_text(identity->key.id));
  if (identity->key.owner[0] != '\0') {
    st_reply_header(reply, "X-Subtoken-Owner", st_text(identity->key.owner));
  }
  tell_permissions(reply, grant);
  st_write_int(&writer, grant->exp);
  if (grant->exp != ST_NEVER && st_writer_end(&writer)) {
    st_reply_header(reply, "X-Subtoken-Expires", (subtoken_text){number, writer.len});
  }
  reply->status = 200;
}

/* Nobody in particular: what anyone may do needs no credential. Told with a refusal as well, for
 * an edge that knows better than we what the request needs; never with a sub.
 */
static void judge_anyone(st_visit *v, const subtoken_decision *decision) {
  st_key anyone;
  subtoken_claims grant;
  subtoken_text lacking;
  rpc_body body;
  st_found found = st_anyone(v->service, &anyone);
  if (found == ST_FOUND_ERROR || (found == ST_FOUND && !st_key_grant(&anyone, &grant))) {
    st_reply_unavailable(v->reply, "store_error", "the key store cannot be read; try again later");
    return;
  }
  if (found == ST_FOUND) tell_permissions(v->reply, &grant);
  /* A route that needs a token and no permission is not one that anyone's permissions open. */
  bool may = found == ST_FOUND && decision != NULL && decision->access == SUBTOKEN_ACCESS_TOKEN &&
             (decision->needs_count > 0 || decision->json_rpc);
  if (may && !find_lacking(v, decision, &grant, &body, &lacking)) return;
  if (may && lacking.data == NULL) {
    v->reply->status = 200;
  } else {
    st_visit_refuse_missing(v);
  }
}

static void judge(st_visit *v) {
  st_identity identity;
  subtoken_decision decision;
  const subtoken_policy *policy = v->service->policy;
  if (policy != NULL) {
    if (subtoken_policy_find(policy, v->method, v->target, policy_flags(v->request), &decision) !=
        SUBTOKEN_OK) {
      st_reply_error(v->reply, 400, subtoken_result_name(SUBTOKEN_BAD_TARGET),
                     "the request target can be read in more than one way");
      return;
    }
    if (decision.access == SUBTOKEN_ACCESS_PUBLIC || decision.access == SUBTOKEN_ACCESS_PREFLIGHT) {
      v->reply->status = 200;
      return;
    }
  }
  /* All credentials come in here, whatever their kind. */
  if (!st_visit_find_credential(v)) return;
  if (v->credential.len == 0) {
    judge_anyone(v, policy != NULL ? &decision : NULL);
    return;
  }
  if (!st_visit_identify_found(v, &identity)) return;
  if (policy == NULL || policy_allows(v, &decision, &identity.grant)) tell(v->reply, &identity);
}

void st_visit_authorize(st_visit *v) {
  const char *problem = find_original(v);
  if (problem != NULL) {
    st_reply_error(v->reply, 400, "bad_request", problem);
  } else {
    judge(v);
  }
  /* nginx takes a 400 of auth_request for an error of its own. */
  if (v->reply->status == 400 && has_header(v->request, "X-Original-URI")) {
    v->reply->status = 403;
    v->reply->challenge[0] = '\0';
  }
}
