/* May this request pass? All rules, once, in their order: the target, the policy, the credential,
 * its permissions, the body. It starts anew whenever something that was waited for has come, so
 * that a body which took a minute is checked against what holds then. Nothing is kept here: see
 * ngx_http_subtoken_outcome.c; and nothing is answered: see ngx_http_subtoken_access.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* ---- preparation ---- */

/* The worker's own, unless this location has other settings. */
static const subtoken_feed *ngx_http_subtoken_evaluate_prepare_feed(
    ngx_http_subtoken_evaluation_t *e) {
  static const subtoken_feed none = {0};
  const ngx_http_subtoken_loc_conf_t *conf = e->conf;
  bool allow_old = conf->stale == NGX_HTTP_SUBTOKEN_STALE_ALLOW;
  const subtoken_feed *feed = conf->feed->file != NULL ? &conf->feed->file->feed : &none;
  if (feed->max_age == conf->max_age && feed->allow_old == allow_old) return feed;
  e->feed = *feed;
  e->feed.max_age = conf->max_age;
  e->feed.allow_old = allow_old;
  return &e->feed;
}

static void ngx_http_subtoken_evaluate_prepare_clock(ngx_http_subtoken_evaluation_t *e) {
  int64_t now = ngx_time();
  e->request.now = now;
  if (e->conf->feed == NULL) {
    e->verifier.without_revocations = true;
    return;
  }
  const subtoken_feed *feed = ngx_http_subtoken_evaluate_prepare_feed(e);
  e->clock = (subtoken_feed_clock){feed, now, ngx_http_subtoken_feed_monotonic()};
  e->verifier.revoked = subtoken_feed_revoked;
  e->verifier.revoked_context = &e->clock;
  e->request.now = subtoken_feed_now(feed, now);
}

/* That of the keyring, if there is one and this location uses it. */
static subtoken_cache *ngx_http_subtoken_evaluate_prepare_cache(
    const ngx_http_subtoken_loc_conf_t *conf) {
  subtoken_cache *cache = &conf->secrets->tokens.cache;
  return conf->cache > 0 && cache->memory != NULL ? cache : NULL;
}

static void ngx_http_subtoken_evaluate_prepare(ngx_http_subtoken_evaluation_t *e,
                                               ngx_http_request_t *r,
                                               const ngx_http_subtoken_loc_conf_t *conf,
                                               ngx_http_subtoken_ctx_t *ctx) {
  e->r = r;
  e->conf = conf;
  e->ctx = ctx;
  e->identity = NULL;
  e->original = NULL;
  e->skipped = e->as_redirect = e->granted = e->metadata = false;
  e->request = (subtoken_request){.size = sizeof e->request};
  e->verifier.size = sizeof e->verifier;
  e->verifier.ring = conf->secrets->ring;
  e->verifier.leeway = conf->leeway;
  e->verifier.max_life = conf->max_life;
  e->verifier.iss = e->verifier.aud = (subtoken_text){NULL, 0};
  if (conf->audience.len > 0) e->verifier.aud = ngx_http_subtoken_text(conf->audience);
  e->verifier.any_audience = false;
  e->verifier.revoked = NULL;
  e->verifier.revoked_context = NULL;
  e->verifier.without_revocations = false;
  e->verifier.cache = ngx_http_subtoken_evaluate_prepare_cache(conf);
  e->verifier.any_audience = false;
  e->decision.size = sizeof e->decision;
  e->decision.access = SUBTOKEN_ACCESS_TOKEN;
  e->decision.json_rpc = e->decision.mcp = false;
  e->decision.resource = (subtoken_text){NULL, 0};
  e->decision.needs_count = 0;
  if (conf->require != NULL) {
    e->request.needs = conf->require->elts;
    e->request.needs_count = conf->require->nelts;
  }
  ngx_http_subtoken_evaluate_prepare_clock(e);
  e->credential = ngx_http_subtoken_headers_credential(r, ctx, conf->credentials, &e->headers);
}

static ngx_int_t ngx_http_subtoken_evaluate_prepare_target(ngx_http_subtoken_evaluation_t *e) {
  e->original =
      e->r == e->r->main ? &e->ctx->original : ngx_http_subtoken_request_get_original(e->r, e->ctx);
  if (e->original == NULL) return NGX_ERROR;
  e->request.method = e->original->method;
  e->request.target = e->original->target;
  if (!e->conf->merge_slashes || e->r != e->r->main) return NGX_OK;
  return ngx_http_subtoken_target_merge_slashes(e->r->pool, &e->request.target);
}

/* ---- what the rules say ---- */

/* A preflight is told what it may ask for, and nothing else: it is none after `error_page 405
 * =200 $uri` or X-Accel-Redirect made a GET of it.
 */
static bool ngx_http_subtoken_evaluate_is_preflight(const ngx_http_subtoken_evaluation_t *e) {
  return e->credential->preflight && e->r->method == NGX_HTTP_OPTIONS;
}

/* Policy and token; token.len 0: the policy alone. */
static subtoken_result ngx_http_subtoken_evaluate_decide(ngx_http_subtoken_evaluation_t *e,
                                                         subtoken_text token) {
  const ngx_http_subtoken_policy_t *policy = e->conf->policy;
  unsigned flags = 0;
  if (e->r == e->r->main) flags |= SUBTOKEN_POLICY_MCP;
  if (e->r == e->r->main && e->conf->read_body) flags |= SUBTOKEN_POLICY_BODY;
  if (ngx_http_subtoken_evaluate_is_preflight(e)) flags |= SUBTOKEN_POLICY_PREFLIGHT;
  if (policy != NULL) {
    return subtoken_policy_verify(&e->verifier, policy->policy, token, &e->request, flags,
                                  &e->claims, &e->decision);
  }
  if (token.len == 0) return SUBTOKEN_MALFORMED;
  return subtoken_verify(&e->verifier, token, &e->request, &e->claims);
}

static bool ngx_http_subtoken_evaluate_is_public(const ngx_http_subtoken_evaluation_t *e) {
  return e->decision.access == SUBTOKEN_ACCESS_PUBLIC ||
         e->decision.access == SUBTOKEN_ACCESS_PREFLIGHT;
}

/* *lacking: the first missing permission, of the policy's before those of subtoken_require. Those
 * of an MCP route are checked with those of the call.
 */
static subtoken_result ngx_http_subtoken_evaluate_needs(const ngx_http_subtoken_evaluation_t *e,
                                                        subtoken_text *lacking) {
  if (e->decision.mcp) return SUBTOKEN_OK;
  subtoken_result result =
      subtoken_claims_check_needs(&e->claims, e->decision.needs, e->decision.needs_count, lacking);
  if (result != SUBTOKEN_OK || e->request.needs_count == 0) return result;
  return subtoken_claims_check_needs(&e->claims, e->request.needs, e->request.needs_count, lacking);
}

/* ---- rejections ---- */

/* A policy that denies is no fault of the credential. */
static void ngx_http_subtoken_evaluate_reject(const ngx_http_subtoken_evaluation_t *e,
                                              subtoken_result result,
                                              ngx_http_subtoken_rejection_t *rejection) {
  ngx_http_subtoken_reply_reject_result(rejection, result);
  if (result == SUBTOKEN_URL && e->conf->policy != NULL &&
      e->decision.access == SUBTOKEN_ACCESS_DENIED) {
    rejection->text = "the route policy does not allow this request";
  }
}

static void ngx_http_subtoken_evaluate_reject_needs(const ngx_http_subtoken_evaluation_t *e,
                                                    ngx_http_subtoken_rejection_t *rejection) {
  subtoken_text lacking;
  ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_PERM);
  if (ngx_http_subtoken_evaluate_needs(e, &lacking) == SUBTOKEN_PERM) {
    ngx_http_subtoken_reply_reject_scope(rejection, lacking);
  }
}

/* A token that lacks a permission leaves no claims: verify it again without needs, to name the
 * permission.
 */
static void ngx_http_subtoken_evaluate_reject_token(ngx_http_subtoken_evaluation_t *e,
                                                    ngx_http_subtoken_rejection_t *rejection) {
  subtoken_request bare = e->request;
  bare.needs = NULL;
  bare.needs_count = 0;
  ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_PERM);
  if (subtoken_verify(&e->verifier, e->credential->text, &bare, &e->claims) == SUBTOKEN_OK) {
    ngx_http_subtoken_evaluate_reject_needs(e, rejection);
  }
}

/* There is no credential, or not one that can be read. */
static void ngx_http_subtoken_evaluate_reject_credential(const ngx_http_subtoken_evaluation_t *e,
                                                         ngx_http_subtoken_rejection_t *rejection) {
  switch (e->credential->state) {
    case NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS:
      ngx_http_subtoken_reply_reject(rejection, 400, "auth_ambiguous",
                                     "Bearer error=\"invalid_request\"",
                                     "more than one credential");
      break;
    case NGX_HTTP_SUBTOKEN_CREDENTIAL_UNREADABLE:
      ngx_http_subtoken_reply_reject(rejection, 400, "bad_request",
                                     "Bearer error=\"invalid_request\"",
                                     "access_token: a % needs two hex digits behind it");
      break;
    default:
      ngx_http_subtoken_reply_reject(rejection, 401, "auth_missing", SUBTOKEN_CHALLENGE,
                                     "Invalid access token");
  }
}

/* ---- the decision endpoint ---- */

/* As ngx_http_subtoken_fallback_ask. A caller that may not wait for a response has none yet. A
 * request that nginx lets in for another reason is not asked about.
 */
static ngx_int_t ngx_http_subtoken_evaluate_ask(ngx_http_subtoken_evaluation_t *e,
                                                ngx_http_subtoken_rejection_t *rejection) {
  if (e->ctx->blocked) return NGX_DECLINED;
  if (e->may_ask && !e->may_wait) return NGX_AGAIN;
  if (!e->may_ask || (e->credential->forms == NGX_HTTP_SUBTOKEN_IN_BASIC &&
                      ngx_http_subtoken_satisfy_auth_basic(e->r))) {
    e->skipped = true;
    return NGX_DECLINED;
  }
  return ngx_http_subtoken_fallback_ask(e->r, e->ctx, e->credential, rejection, &e->identity);
}

/* What subtoken_verify says of a token is said here of an identity. */
static subtoken_result ngx_http_subtoken_evaluate_check_identity(
    ngx_http_subtoken_evaluation_t *e) {
  if (!ngx_http_subtoken_response_claims(e->identity, &e->claims)) {
    return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  if (!e->verifier.without_revocations) {
    subtoken_text sub = subtoken_claims_text(&e->claims, e->claims.sub);
    subtoken_result result = subtoken_feed_revoked(&e->clock, &sub, 1);
    if (result != SUBTOKEN_OK) return result;
  }
  if (e->claims.exp <= e->request.now) return SUBTOKEN_EXPIRED;
  return e->decision.access == SUBTOKEN_ACCESS_TOKEN ? SUBTOKEN_OK : SUBTOKEN_URL;
}

/* A key, or a name and password. */
static ngx_int_t ngx_http_subtoken_evaluate_identity(ngx_http_subtoken_evaluation_t *e,
                                                     ngx_http_subtoken_rejection_t *rejection) {
  subtoken_text lacking;
  ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_MALFORMED);
  if (e->conf->fallback.len == 0) return NGX_DECLINED;
  ngx_int_t rc = ngx_http_subtoken_evaluate_ask(e, rejection);
  if (rc != NGX_OK) return rc;
  subtoken_result result = ngx_http_subtoken_evaluate_check_identity(e);
  if (result != SUBTOKEN_OK) {
    ngx_http_subtoken_evaluate_reject(e, result, rejection);
    return NGX_DECLINED;
  }
  if (ngx_http_subtoken_evaluate_needs(e, &lacking) == SUBTOKEN_OK) return NGX_OK;
  ngx_http_subtoken_evaluate_reject_needs(e, rejection);
  return NGX_DECLINED;
}

/* No credential came: what an anonymous user may do passes all the same. A route that needs no
 * permission needs a credential, and the endpoint is not asked.
 */
static ngx_int_t ngx_http_subtoken_evaluate_anonymous(ngx_http_subtoken_evaluation_t *e,
                                                      ngx_http_subtoken_rejection_t *rejection) {
  bool needs = e->decision.json_rpc || e->decision.mcp ||
               e->decision.needs_count + e->request.needs_count > 0;
  ngx_http_subtoken_evaluate_reject_credential(e, rejection);
  if (e->conf->fallback.len == 0 || e->decision.access != SUBTOKEN_ACCESS_TOKEN || !needs) {
    return NGX_DECLINED;
  }
  ngx_int_t rc = ngx_http_subtoken_evaluate_ask(e, rejection);
  if (rc != NGX_OK) return rc;
  e->granted = ngx_http_subtoken_response_claims(e->identity, &e->claims) &&
               e->claims.permission_count > 0 &&
               ngx_http_subtoken_evaluate_needs(e, NULL) == SUBTOKEN_OK;
  return e->granted ? NGX_OK : NGX_DECLINED;
}

/* ---- the credential ---- */

/* Two dots, and base64url otherwise. */
static bool ngx_http_subtoken_evaluate_is_subtoken(subtoken_text text) {
  size_t dots = 0;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.data[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c == '.') dots++;
    if (!letter && c != '-' && c != '_' && c != '.') return false;
  }
  return dots == 2;
}

/* Visible ASCII, so that the endpoint reads the same bytes: with a blank in front a subtoken would
 * be none here and one there, and the end of a line would start another header.
 */
static bool ngx_http_subtoken_evaluate_is_visible(subtoken_text text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] <= ' ' || text.data[i] > '~') return false;
  }
  return true;
}

static bool ngx_http_subtoken_evaluate_is_key(const ngx_http_subtoken_credential_t *credential) {
  if (credential->state != NGX_HTTP_SUBTOKEN_CREDENTIAL_ONE) return false;
  return credential->forms == NGX_HTTP_SUBTOKEN_IN_BASIC ||
         (ngx_http_subtoken_evaluate_is_visible(credential->text) &&
          !ngx_http_subtoken_evaluate_is_subtoken(credential->text));
}

/* Public routes pass before any credential is read. A text without a dot is no subtoken, so that a
 * key costs no verification. A text with dots is verified first, and asked about if it is not good
 * and has not the form of a subtoken.
 */
static ngx_int_t ngx_http_subtoken_evaluate_credential(ngx_http_subtoken_evaluation_t *e,
                                                       ngx_http_subtoken_rejection_t *rejection) {
  bool one = e->credential->state == NGX_HTTP_SUBTOKEN_CREDENTIAL_ONE;
  subtoken_text text = e->credential->text, none = {NULL, 0};
  bool key = one && memchr(text.data, '.', text.len) == NULL &&
             ngx_http_subtoken_evaluate_is_key(e->credential);
  subtoken_result result = ngx_http_subtoken_evaluate_decide(e, one && !key ? text : none);
  if (result == SUBTOKEN_OK) {
    e->granted = !ngx_http_subtoken_evaluate_is_public(e);
    return NGX_OK;
  }
  if (!key && ngx_http_subtoken_evaluate_is_key(e->credential)) {
    key = true;
    result = ngx_http_subtoken_evaluate_decide(e, none);
  }
  if (key && result == SUBTOKEN_MALFORMED) {
    ngx_int_t rc = ngx_http_subtoken_evaluate_identity(e, rejection);
    e->granted = rc == NGX_OK;
    return rc;
  }
  if (e->credential->state == NGX_HTTP_SUBTOKEN_CREDENTIAL_NONE && result == SUBTOKEN_MALFORMED) {
    return ngx_http_subtoken_evaluate_anonymous(e, rejection);
  }
  if (!one && result == SUBTOKEN_MALFORMED) {
    ngx_http_subtoken_evaluate_reject_credential(e, rejection);
  } else if (result == SUBTOKEN_PERM) {
    ngx_http_subtoken_evaluate_reject_token(e, rejection);
  } else {
    ngx_http_subtoken_evaluate_reject(e, result, rejection);
  }
  return NGX_DECLINED;
}

/* ---- the whole ---- */

/* What the body of a request needs, or of MCP its headers. */
static ngx_int_t ngx_http_subtoken_evaluate_calls(ngx_http_subtoken_evaluation_t *e,
                                                  ngx_http_subtoken_rejection_t *rejection) {
  if (e->decision.mcp) return ngx_http_subtoken_mcp_check(e, rejection);
  if (!e->decision.json_rpc) return NGX_OK;
  return ngx_http_subtoken_body_check(e->r, e->ctx, &e->claims, e->may_wait, rejection);
}

/* Whoever came without a credential may bring one: 401, never 403. */
static ngx_int_t ngx_http_subtoken_evaluate_original(ngx_http_subtoken_evaluation_t *e,
                                                     ngx_http_subtoken_rejection_t *rejection) {
  if (ngx_http_subtoken_target_check(e->r, e->conf, e->request.target) != SUBTOKEN_OK) {
    ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_BAD_TARGET);
    return NGX_DECLINED;
  }
  if (ngx_http_subtoken_metadata_is_asked(e->r, e->conf, e->ctx)) {
    e->metadata = true;
    return NGX_OK;
  }
  ngx_int_t rc = ngx_http_subtoken_evaluate_credential(e, rejection);
  if (rc == NGX_OK && e->granted) rc = ngx_http_subtoken_evaluate_calls(e, rejection);
  if (rc == NGX_DECLINED && rejection->status == 403 &&
      e->credential->state == NGX_HTTP_SUBTOKEN_CREDENTIAL_NONE) {
    ngx_http_subtoken_evaluate_reject_credential(e, rejection);
  }
  if (rc == NGX_DECLINED && rejection->status == 401) {
    return ngx_http_subtoken_metadata_name(e, rejection);
  }
  return rc;
}

/* A user who may have what he asked for keeps his identity on a public page. For a request that was
 * rejected such a page is shown without a look at what it asked for.
 */
ngx_int_t ngx_http_subtoken_evaluate(ngx_http_subtoken_evaluation_t *e, ngx_http_request_t *r,
                                     const ngx_http_subtoken_loc_conf_t *conf,
                                     ngx_http_subtoken_ctx_t *ctx, bool may_wait, bool may_ask,
                                     ngx_http_subtoken_rejection_t *rejection) {
  ngx_http_subtoken_evaluate_prepare(e, r, conf, ctx);
  e->may_wait = may_wait;
  e->may_ask = may_ask;
  const subtoken_ring *ring = e->verifier.ring;
  ngx_http_subtoken_reply_reject(rejection, 503, "undecided", NULL,
                                 NGX_HTTP_SUBTOKEN_REPLY_UNDECIDED);
  if (ring == NULL || ring->count == 0) {
    ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_NO_SECRET);
    return NGX_DECLINED;
  }
  if (conf->policy != NULL && conf->policy->policy == NULL) {
    ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_REVOCATION_UNKNOWN);
    return NGX_DECLINED;
  }
  if (ngx_http_subtoken_evaluate_prepare_target(e) != NGX_OK) return NGX_ERROR;
  bool page = e->original->redirect.len > 0 &&
              ngx_http_subtoken_target_is_public_redirect(conf, e->original);
  ngx_int_t rc =
      page && ctx->rejected ? NGX_DECLINED : ngx_http_subtoken_evaluate_original(e, rejection);
  if (rc != NGX_DECLINED || !page) return rc;
  e->granted = false;
  e->as_redirect = true;
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_evaluate_copy_identity(const ngx_http_subtoken_evaluation_t *e,
                                                   ngx_http_subtoken_identity_t *identity) {
  const subtoken_claims *claims = &e->claims;
  subtoken_text sub = subtoken_claims_text(claims, claims->sub);
  subtoken_text tid = subtoken_claims_text(claims, claims->tid);
  size_t len = sub.len + tid.len;
  for (size_t i = 0; i < claims->permission_count; i++) len += claims->permissions[i].len + 1U;
  u_char *out = ngx_pnalloc(e->r->pool, len + 1);
  if (out == NULL) return NGX_ERROR;
  identity->sub.data = out;
  identity->sub.len = sub.len;
  out = ngx_cpymem(out, sub.data, sub.len);
  identity->tid.data = out;
  identity->tid.len = tid.len;
  if (tid.len > 0) out = ngx_cpymem(out, tid.data, tid.len);
  identity->permissions.data = out;
  for (size_t i = 0; i < claims->permission_count; i++) {
    subtoken_text permission = subtoken_claims_text(claims, claims->permissions[i]);
    if (i > 0) *out++ = ',';
    out = ngx_cpymem(out, permission.data, permission.len);
  }
  identity->permissions.len = (size_t)(out - identity->permissions.data);
  identity->expires = claims->exp;
  ngx_str_set(&identity->key, "");
  ngx_str_set(&identity->owner, "");
  if (e->identity != NULL) {
    identity->key = e->identity->key;
    identity->owner = e->identity->owner;
  }
  return NGX_OK;
}

/* ---- for the logs ---- */

/* What the decision endpoint told of a credential of this request. */
static const ngx_http_subtoken_identity_t *ngx_http_subtoken_evaluate_told(
    const ngx_http_subtoken_ctx_t *ctx, subtoken_text text) {
  const ngx_http_subtoken_fallback_t *each = ctx->fallbacks;
  while (each != NULL && (each->identity == NULL || each->credential.len != text.len ||
                          ngx_memcmp(each->credential.data, text.data, text.len) != 0)) {
    each = each->next;
  }
  return each == NULL ? NULL : each->identity;
}

/* Only when the log asks: it costs a signature. The rest of what was decided is not done again. */
ngx_http_subtoken_identity_t *ngx_http_subtoken_evaluate_denied(ngx_http_request_t *r,
                                                                ngx_http_subtoken_ctx_t *ctx) {
  const ngx_http_subtoken_loc_conf_t *conf = ctx->result_conf;
  ngx_http_subtoken_evaluation_t e = {.r = r, .conf = conf, .ctx = ctx};
  if (conf == NULL || conf->secrets->ring == NULL) return NULL;
  e.credential = ngx_http_subtoken_headers_credential(r->main, ctx, conf->credentials, &e.headers);
  if (e.credential->state != NGX_HTTP_SUBTOKEN_CREDENTIAL_ONE) return NULL;
  e.identity = ngx_http_subtoken_evaluate_told(ctx, e.credential->text);
  bool certain = e.identity != NULL
                     ? ngx_http_subtoken_response_claims(e.identity, &e.claims)
                     : subtoken_authenticate(conf->secrets->ring,
                                             ngx_http_subtoken_evaluate_prepare_cache(conf),
                                             e.credential->text, &e.claims) == SUBTOKEN_OK;
  if (!certain) return NULL;
  ngx_http_subtoken_identity_t *denied = ngx_pcalloc(r->pool, sizeof *denied);
  if (denied == NULL || ngx_http_subtoken_evaluate_copy_identity(&e, denied) != NGX_OK) return NULL;
  return denied;
}
