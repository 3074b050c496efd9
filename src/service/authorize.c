/* The decision endpoint, /v2/authorize: a proxy tells of a request that it holds back and asks
 * whether it may pass. What tells of it is strict, because whoever sends the request may have
 * written some of it: two answers to the question which request it is are none.
 *
 * Whatever the answer, it carries the five X-Subtoken-* headers, empty where there is nothing to
 * say, so that a proxy which copies them overwrites what a caller sent.
 */
#include "service/authorize.h"

#include <string.h>

#include "base/bytes.h"
#include "core/claims.h"
#include "domain/key.h"
#include "service/authenticate.h"
#include "service/context.h"
#include "service/credential.h"
#include "service/identity.h"
#include "service/params.h"
#include "service/reply.h"
#include "service/service.h"
#include "subtoken/policy.h"

#define ROUTE "/v2/authorize"

/* ---- which request is it ---- */

/* What a proxy tells in headers. */
typedef enum told {
  ORIGINAL_URI = 0,
  ORIGINAL_URL,
  ORIGINAL_METHOD,
  FORWARDED_URI,
  FORWARDED_METHOD,
  NONCE,
  PARTIAL_BODY,
  TOLD_COUNT,
} told;

typedef struct st_question {
  subtoken_text value[TOLD_COUNT]; /* data NULL: not told */
  bool twice[TOLD_COUNT];          /* told more than once */
} st_question;

static void tell_header(st_question *question, const st_header *header) {
  static const char *const names[TOLD_COUNT] = {
      [ORIGINAL_URI] = "X-Original-URI",           [ORIGINAL_URL] = "X-Original-URL",
      [ORIGINAL_METHOD] = "X-Original-Method",     [FORWARDED_URI] = "X-Forwarded-Uri",
      [FORWARDED_METHOD] = "X-Forwarded-Method",   [NONCE] = "X-Subtoken-Nonce",
      [PARTIAL_BODY] = "X-Envoy-Auth-Partial-Body"};
  for (size_t i = 0; i < TOLD_COUNT; i++) {
    if (!st_text_is_nocase(header->name, names[i])) continue;
    question->twice[i] = question->value[i].data != NULL;
    if (!question->twice[i]) question->value[i] = header->value;
    return;
  }
}

/* In one pass: most headers are none of these by their first characters. */
static void read_question(const st_request *request, st_question *question) {
  memset(question, 0, sizeof *question);
  for (size_t i = 0; i < request->header_count; i++) {
    const st_header *header = &request->headers[i];
    if (header->name.len > 2 && (header->name.data[0] | 0x20) == 'x' &&
        header->name.data[1] == '-') {
      tell_header(question, header);
    }
  }
}

static bool has_header(const st_request *request, const char *name) {
  for (size_t i = 0; i < request->header_count; i++) {
    if (st_text_is_nocase(request->headers[i].name, name)) return true;
  }
  return false;
}

/* One more source. Byte by byte: what two of them spell differently, two programs may read
 * differently. */
static const char *agree(st_context *c, subtoken_text method, subtoken_text target) {
  if (method.len == 0 || target.len == 0) {
    return "the original request needs a target and a method";
  }
  if (target.len > SUBTOKEN_TARGET_MAX) return "the original target is longer than 8192 bytes";
  if (c->target.len > 0 &&
      (!st_text_equal(c->method, method) || !st_text_equal(c->target, target))) {
    return "the original request is told in two ways that disagree";
  }
  c->method = method;
  c->target = target;
  return NULL;
}

static const char *from_forwarded(st_context *c, const st_question *question) {
  subtoken_text target = question->value[FORWARDED_URI];
  subtoken_text method = question->value[FORWARDED_METHOD];
  if (target.data == NULL && method.data == NULL) return NULL;
  return agree(c, method, target);
}

/* A host with or without a port. Of what a URL can have there nothing else is understood: no
 * userinfo, no escapes, no backslash. nginx writes the caller's own Host into it.
 */
static bool is_authority_char(char c) {
  char lower = (char)(c | 0x20);
  return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_' || c == ':' || c == '[' || c == ']';
}

/* The target in an absolute URL: scheme, authority, and from the first slash on the target. */
static bool target_of_url(subtoken_text url, subtoken_text *target) {
  static const char *const schemes[] = {"http://", "https://"};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    subtoken_text scheme = st_text(schemes[i]);
    size_t at = scheme.len;
    if (url.len <= at || !st_text_equal((subtoken_text){url.data, at}, scheme)) continue;
    while (at < url.len && is_authority_char(url.data[at])) at++;
    if (at == scheme.len || at == url.len || url.data[at] != '/') return false;
    *target = (subtoken_text){url.data + at, url.len - at};
    return memchr(target->data, '#', target->len) == NULL;
  }
  return false;
}

/* X-Original-URI and X-Original-URL share their method. */
static const char *from_original(st_context *c, const st_question *question) {
  subtoken_text target = question->value[ORIGINAL_URI], url = question->value[ORIGINAL_URL];
  subtoken_text method = question->value[ORIGINAL_METHOD];
  const char *problem = NULL;
  if (target.data != NULL || (method.data != NULL && url.data == NULL)) {
    problem = agree(c, method, target);
  }
  if (problem != NULL || url.data == NULL) return problem;
  if (!target_of_url(url, &target)) {
    return "X-Original-URL: must be http:// or https://, a host, and a path";
  }
  return agree(c, method, target);
}

/* As it stands on the request line: no slash is collapsed here, because the API that gets the
 * original request may not do so. */
static const char *from_path(st_context *c) {
  static const char route[] = ROUTE "/";
  size_t front = sizeof ROUTE - 1;
  subtoken_text asked = c->request->target, start = asked;
  if (start.len > sizeof route - 1) start.len = sizeof route - 1;
  if (st_text_is(start, route)) {
    return agree(c, c->request->method, (subtoken_text){asked.data + front, asked.len - front});
  }
  /* It came here by slashes that were collapsed: where the original begins is a guess. */
  return c->path_len > front ? "the path in front of the original target must be " ROUTE : NULL;
}

/* Set method, target and query to those of the original request. NULL, or what is wrong. */
static const char *find_original(st_context *c, const st_question *question) {
  c->method = c->target = c->query = (subtoken_text){NULL, 0};
  for (size_t i = 0; i <= FORWARDED_METHOD; i++) {
    if (question->twice[i]) return "a header that tells of the original request is there twice";
  }
  const char *problem = from_original(c, question);
  if (problem == NULL) problem = from_forwarded(c, question);
  if (problem == NULL) problem = from_path(c);
  if (problem != NULL) return problem;
  if (c->target.len == 0) {
    return "no original request: send X-Original-URI and X-Original-Method";
  }
  st_cutter cutter = {c->target, false};
  subtoken_text path;
  if (st_cut(&cutter, '?', &path)) c->query = cutter.rest;
  return NULL;
}

/* ---- may it pass ---- */

/* A body that a proxy cut off (Envoy says so) says nothing of the rest. */
static unsigned policy_flags(const st_request *request, const st_question *question) {
  unsigned flags = 0;
  subtoken_text partial = question->value[PARTIAL_BODY];
  bool whole =
      !question->twice[PARTIAL_BODY] && (partial.data == NULL || st_text_is(partial, "false"));
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
static bool body_lacks(st_context *c, const subtoken_claims *grant, rpc_body *body,
                       subtoken_text *lacking) {
  if (subtoken_rpc_read(c->request->body, body->scratch, sizeof body->scratch, &body->rpc) !=
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
static bool find_lacking(st_context *c, const subtoken_decision *decision,
                         const subtoken_claims *grant, rpc_body *body, subtoken_text *lacking) {
  *lacking = lacks(grant, decision->needs, decision->needs_count);
  if (lacking->data != NULL || !decision->json_rpc || body_lacks(c, grant, body, lacking)) {
    return true;
  }
  st_reply_error(c->reply, 400, "bad_request", "the body is no JSON-RPC that can be judged");
  return false;
}

/* The grant is what the store says now, not what the token says. */
static bool policy_allows(st_context *c, const subtoken_decision *decision,
                          const subtoken_claims *grant) {
  rpc_body body;
  subtoken_text lacking;
  if (decision->access != SUBTOKEN_ACCESS_TOKEN) {
    st_reply_error(c->reply, 403, "url", "the route policy does not allow this request");
    st_reply_challenge(c->reply, subtoken_result_challenge(SUBTOKEN_URL));
    return false;
  }
  if (!find_lacking(c, decision, grant, &body, &lacking)) return false;
  if (lacking.data != NULL) st_reply_lacks(c->reply, lacking);
  return lacking.data == NULL;
}

/* ---- what is told with the answer ---- */

static void tell_permissions(st_reply *reply, const subtoken_claims *grant) {
  char list[ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(list, sizeof list);
  for (size_t i = 0; i < grant->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_view(&writer, subtoken_claims_text(grant, grant->permissions[i]));
  }
  bool whole = st_writer_end(&writer);
  st_reply_header(reply, "X-Subtoken-Permissions", (subtoken_text){list, whole ? writer.len : 0});
}

static void tell_expiry(st_reply *reply, int64_t expires) {
  char number[24];
  st_writer writer = st_writer_on(number, sizeof number);
  if (expires != ST_NEVER) st_write_int(&writer, expires);
  bool whole = st_writer_end(&writer);
  st_reply_header(reply, "X-Subtoken-Expires", (subtoken_text){number, whole ? writer.len : 0});
}

/* Who it is, in headers for the API behind the proxy. */
static void tell_identity(st_reply *reply, const st_identity *identity) {
  const subtoken_claims *grant = &identity->grant;
  st_reply_header(reply, "X-Subtoken-Sub", subtoken_claims_text(grant, grant->sub));
  st_reply_header(reply, "X-Subtoken-Key", st_text(identity->key.id));
  st_reply_header(reply, "X-Subtoken-Owner", st_text(identity->key.owner));
  tell_permissions(reply, grant);
  tell_expiry(reply, grant->exp);
}

/* Nobody, with what anyone may do, or with nothing: grant NULL. */
static void tell_nobody(st_reply *reply, const subtoken_claims *grant) {
  st_reply_header(reply, "X-Subtoken-Sub", st_text(""));
  st_reply_header(reply, "X-Subtoken-Key", st_text(""));
  st_reply_header(reply, "X-Subtoken-Owner", st_text(""));
  if (grant != NULL) {
    tell_permissions(reply, grant);
  } else {
    st_reply_header(reply, "X-Subtoken-Permissions", st_text(""));
  }
  tell_expiry(reply, ST_NEVER);
}

#define NONCE_MAX 64

/* What the asker wants to see again, so that it knows the answer for its own: visible ASCII, and
 * no % because a header's value is escaped with it. Anything else is as if it were not there.
 */
static bool has_nonce(const st_question *question) {
  subtoken_text nonce = question->value[NONCE];
  if (question->twice[NONCE] || nonce.len == 0 || nonce.len > NONCE_MAX) return false;
  for (size_t i = 0; i < nonce.len; i++) {
    char c = nonce.data[i];
    if (c < 0x21 || c > 0x7E || c == '%') return false;
  }
  return true;
}

/* ---- the decision ---- */

static void refuse_target(st_context *c) {
  st_reply_error(c->reply, 400, subtoken_result_name(SUBTOKEN_BAD_TARGET),
                 "the request target can be read in more than one way");
}

static bool is_open(const subtoken_decision *decision) {
  return decision->access == SUBTOKEN_ACCESS_PUBLIC ||
         decision->access == SUBTOKEN_ACCESS_PREFLIGHT;
}

/* Without a policy every good credential may do everything. False: the target is ambiguous. */
static bool find_decision(const st_context *c, const st_question *question,
                          subtoken_decision *decision) {
  const subtoken_policy *policy = c->service->policy;
  decision->access = SUBTOKEN_ACCESS_TOKEN;
  decision->json_rpc = false;
  decision->needs_count = 0;
  return policy == NULL ||
         subtoken_policy_find(policy, c->method, c->target, policy_flags(c->request, question),
                              decision) == SUBTOKEN_OK;
}

/* Nobody in particular: what anyone may do needs no credential. Told with a refusal as well, for
 * an edge that knows better than we what the request needs; never with a sub.
 * decision NULL: the target is ambiguous.
 */
static void decide_for_anyone(st_context *c, const subtoken_decision *decision) {
  st_key anyone;
  subtoken_claims grant;
  subtoken_text lacking;
  rpc_body body;
  st_store_status found = st_identity_anonymous(c->service, &anyone);
  if (found == ST_STORE_FAILED || (found == ST_STORE_OK && !st_key_grant(&anyone, &grant))) {
    st_reply_unavailable(c->reply, "store_error", "the key store cannot be read; try again later");
    return;
  }
  if (found == ST_STORE_OK) tell_nobody(c->reply, &grant);
  bool open = decision != NULL && is_open(decision);
  /* A route that needs a token and no permission is not one that anyone's permissions open. */
  bool may = found == ST_STORE_OK && decision != NULL &&
             decision->access == SUBTOKEN_ACCESS_TOKEN &&
             (decision->needs_count > 0 || decision->json_rpc);
  if (may && !find_lacking(c, decision, &grant, &body, &lacking)) return;
  if (open || (may && lacking.data == NULL)) {
    c->reply->status = 200;
  } else {
    st_authenticate_refuse_missing(c);
  }
}

/* An edge that has the policy itself asks who a credential is, with a nonce. It is told so in
 * refusals, too, and the credential is looked at even where the policy would not need one: more
 * than without a nonce nobody gets by this. Without one a refusal tells of nobody, because some
 * proxies hand its headers on to the caller, who may know less of the owner than they say.
 */
static void decide(st_context *c, const st_question *question) {
  st_identity identity;
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  bool readable = find_decision(c, question, &decision), asks_who = has_nonce(question);
  if (!asks_who && !readable) {
    refuse_target(c);
    return;
  }
  if (!asks_who && is_open(&decision)) {
    c->reply->status = 200;
    return;
  }
  /* All credentials come in here, whatever their kind. */
  if (!st_credential_find(c)) return;
  if (c->credential.len == 0) {
    decide_for_anyone(c, readable ? &decision : NULL);
    return;
  }
  if (!st_authenticate_found(c, &identity)) return;
  if (!readable) {
    refuse_target(c);
  } else if (is_open(&decision) || policy_allows(c, &decision, &identity.grant)) {
    c->reply->status = 200;
  }
  if (c->reply->status == 200 || asks_who) tell_identity(c->reply, &identity);
}

/* nginx takes a 400 of auth_request for an error of its own: whoever asks in its ways gets 403. */
static void soften_for_nginx(st_context *c, const st_question *question) {
  bool nginx =
      question->value[ORIGINAL_URI].data != NULL || question->value[ORIGINAL_URL].data != NULL;
  if (c->reply->status != 400 || !nginx) return;
  c->reply->status = 403;
  c->reply->challenge[0] = '\0';
}

void st_authorize_answer(st_context *c) {
  st_question question;
  read_question(c->request, &question);
  const char *problem = find_original(c, &question);
  if (problem != NULL) {
    st_reply_error(c->reply, 400, "bad_request", problem);
  } else {
    decide(c, &question);
  }
  soften_for_nginx(c, &question);
  if (c->reply->headers_len == 0) tell_nobody(c->reply, NULL);
  if (has_nonce(&question)) st_reply_header(c->reply, "X-Subtoken-Nonce", question.value[NONCE]);
}
