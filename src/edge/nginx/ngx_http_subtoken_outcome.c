/* The outcome of an evaluation of the main request: kept in the state of the request for the
 * settings of one location, and for a second, because limit_req may delay the request. Variables
 * and phase handlers get it here; ngx_http_subtoken_evaluate.c makes it. Subrequests have none:
 * they are answered at once, in ngx_http_subtoken_access.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_OUTCOME_MS 1000

/* ---- does it still hold? ---- */

static bool ngx_http_subtoken_outcome_is_same_conf(const ngx_http_subtoken_loc_conf_t *a,
                                                   const ngx_http_subtoken_loc_conf_t *b) {
  return a->enable == b->enable && a->merge_slashes == b->merge_slashes &&
         a->read_body == b->read_body && a->credentials == b->credentials &&
         a->secrets == b->secrets && a->policy == b->policy && a->feed == b->feed &&
         a->require == b->require && a->fallback.data == b->fallback.data &&
         a->audience.data == b->audience.data && a->issuer.data == b->issuer.data &&
         a->stale == b->stale && a->max_age == b->max_age && a->leeway == b->leeway &&
         a->max_life == b->max_life;
}

/* The location: its satisfy, allow, deny and auth_basic. */
static const void *ngx_http_subtoken_outcome_location(ngx_http_request_t *r) {
  return ngx_http_get_module_loc_conf(r, ngx_http_core_module);
}

/* set_real_ip_from of a location changes the address, by which allow and deny decide. */
static bool ngx_http_subtoken_outcome_is_for(ngx_http_request_t *r,
                                             const ngx_http_subtoken_ctx_t *ctx,
                                             const ngx_http_subtoken_loc_conf_t *conf) {
  const ngx_http_subtoken_outcome_t *outcome = &ctx->outcome;
  if (outcome->conf == NULL) return false;
  if (outcome->conf != conf && !ngx_http_subtoken_outcome_is_same_conf(outcome->conf, conf)) {
    return false;
  }
  if (outcome->address != r->connection->sockaddr) return false;
  return outcome->skipped_in == NULL ||
         outcome->skipped_in == ngx_http_subtoken_outcome_location(r);
}

bool ngx_http_subtoken_outcome_holds(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                                     const ngx_http_subtoken_loc_conf_t *conf) {
  return ngx_http_subtoken_outcome_is_for(r, ctx, conf) &&
         ngx_current_msec - ctx->outcome.time <= NGX_HTTP_SUBTOKEN_OUTCOME_MS;
}

/* ---- keeping it ---- */

/* The missing permission lies in a policy, which may be replaced before the response is sent. */
static ngx_int_t ngx_http_subtoken_outcome_keep_rejection(
    ngx_http_request_t *r, ngx_http_subtoken_rejection_t *kept,
    const ngx_http_subtoken_rejection_t *rejection) {
  *kept = *rejection;
  if (rejection->scope.len == 0) return NGX_OK;
  u_char *scope = ngx_pnalloc(r->pool, rejection->scope.len);
  if (scope == NULL) return NGX_ERROR;
  ngx_memcpy(scope, rejection->scope.data, rejection->scope.len);
  kept->scope.data = (const char *)scope;
  return NGX_OK;
}

/* A public route does not change the reason for which another location rejected the request. */
static ngx_int_t ngx_http_subtoken_outcome_keep(ngx_http_subtoken_evaluation_t *e, ngx_int_t rc,
                                                const ngx_http_subtoken_rejection_t *rejection) {
  ngx_http_subtoken_ctx_t *ctx = e->ctx;
  ngx_http_subtoken_outcome_t *outcome = &ctx->outcome;
  bool granted = rc == NGX_OK && e->granted;
  if (!granted) {
    if (ctx->granted) ctx->result = NULL;
    ngx_memzero(&ctx->identity, sizeof ctx->identity);
  } else if (ngx_http_subtoken_evaluate_copy_identity(e, &ctx->identity) != NGX_OK) {
    return NGX_ERROR;
  }
  if (rc != NGX_OK) {
    if (ngx_http_subtoken_outcome_keep_rejection(e->r, &outcome->rejection, rejection) != NGX_OK) {
      return NGX_ERROR;
    }
    ctx->result = rejection->result;
    ctx->result_conf = e->conf;
  }
  if (granted) ctx->result = subtoken_result_name(SUBTOKEN_OK);
  ctx->granted = granted;
  outcome->conf = e->conf;
  outcome->time = ngx_current_msec;
  outcome->passes = rc == NGX_OK;
  outcome->allowed = !e->may_ask;
  outcome->as_redirect = e->as_redirect;
  outcome->metadata = e->metadata;
  outcome->early = 0;
  outcome->skipped_in = e->skipped ? ngx_http_subtoken_outcome_location(e->r) : NULL;
  outcome->address = e->r->connection->sockaddr;
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_outcome_update(ngx_http_request_t *r,
                                           const ngx_http_subtoken_loc_conf_t *conf,
                                           ngx_http_subtoken_ctx_t *ctx, bool may_wait) {
  ngx_http_subtoken_evaluation_t e;
  ngx_http_subtoken_rejection_t rejection;
  bool may_ask = !ngx_http_subtoken_satisfy_allows(r);
  ngx_int_t rc = ngx_http_subtoken_evaluate(&e, r, conf, ctx, may_wait, may_ask, &rejection);
  if (rc != NGX_OK && rc != NGX_DECLINED) return rc;
  return ngx_http_subtoken_outcome_keep(&e, rc, &rejection);
}

/* ---- for variables ---- */

/* A variable is read by `if`, `set`, limit_req or another module. The log is too late to evaluate,
 * and so is a request whose response has begun.
 */
ngx_http_subtoken_ctx_t *ngx_http_subtoken_outcome_find(ngx_http_request_t *r) {
  ngx_http_request_t *main = r->main;
  ngx_http_core_main_conf_t *core = ngx_http_get_module_main_conf(r, ngx_http_core_module);
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(main, ngx_http_subtoken_module);
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
  if (!conf->enable || (ctx != NULL && ngx_http_subtoken_outcome_is_for(main, ctx, conf))) {
    return ctx;
  }
  bool running = main->phase_handler >= (ngx_int_t)core->phase_engine.server_rewrite_index;
  if (!running || main->header_sent || main->err_status != 0) return ctx;
  if (ngx_http_subtoken_satisfy_is_blocked_quietly(main)) return NULL;
  if (ctx == NULL) ctx = ngx_http_subtoken_request_get_ctx(r);
  if (ctx == NULL || ngx_http_subtoken_outcome_update(main, conf, ctx, false) != NGX_OK) {
    return NULL;
  }
  ctx->outcome.early = main->phase_handler < (ngx_int_t)core->phase_engine.location_rewrite_index;
  return ctx;
}
