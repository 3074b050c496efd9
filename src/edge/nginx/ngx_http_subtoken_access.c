/* The handlers of PREACCESS and ACCESS. PREACCESS evaluates the main request, before limit_req
 * and limit_conn, and ACCESS answers it; a request that is rejected goes through both, so that
 * these count it and `satisfy any` works. Subrequests are evaluated and answered in PREACCESS. The
 * rules are in ngx_http_subtoken_evaluate.c, what is kept in ngx_http_subtoken_outcome.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

static ngx_int_t ngx_http_subtoken_access_reject(ngx_http_request_t *r,
                                                 const ngx_http_subtoken_rejection_t *rejection) {
  ngx_log_error(NGX_LOG_INFO, r->connection->log, 0, "subtoken: refused: %s", rejection->result);
  return ngx_http_subtoken_reply_send(r, rejection);
}

/* Where subtoken is off, what the server's own `if` and `set` found sets nothing. */
static ngx_int_t ngx_http_subtoken_access_set_identity(ngx_http_request_t *r,
                                                       const ngx_http_subtoken_loc_conf_t *conf,
                                                       const ngx_http_subtoken_ctx_t *ctx) {
  if (!conf->identity) return NGX_OK;
  bool granted = ctx != NULL && ctx->granted && !ctx->outcome.early;
  bool came = ctx != NULL && r == r->main && ngx_http_subtoken_headers_hold(&ctx->headers, r)
                  ? ctx->headers.identity
                  : ngx_http_subtoken_headers_have_identity(&r->headers_in.headers);
  return ngx_http_subtoken_identity_set(r, came, granted ? &ctx->identity : NULL);
}

/* ---- the main request ---- */

/* Evaluate it unless that is done, and set the headers for the upstream if it may get there.
 * NGX_OK, or as ngx_http_subtoken_outcome_update.
 */
static ngx_int_t ngx_http_subtoken_access_settle(ngx_http_request_t *r,
                                                 const ngx_http_subtoken_loc_conf_t *conf,
                                                 ngx_http_subtoken_ctx_t *ctx) {
  if (!ngx_http_subtoken_outcome_is_valid(r, ctx, conf)) {
    ngx_int_t rc = ngx_http_subtoken_outcome_update(r, conf, ctx, true);
    if (rc != NGX_OK) return rc;
  }
  ctx->outcome.early = 0;
  ctx->decided = 1;
  if (!ctx->outcome.passes && ngx_http_subtoken_satisfy_all(r)) return NGX_OK;
  if (ctx->outcome.as_redirect &&
      ngx_http_subtoken_request_become_redirect(r, &ctx->original) != NGX_OK) {
    return NGX_ERROR;
  }
  return ngx_http_subtoken_access_set_identity(r, conf, ctx);
}

static ngx_int_t ngx_http_subtoken_access_preaccess_main(ngx_http_request_t *r,
                                                         const ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_get_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  if (ngx_http_subtoken_satisfy_is_blocked(r)) {
    ctx->rejected = ctx->blocked = 1;
    return NGX_HTTP_FORBIDDEN;
  }
  ngx_int_t rc = ngx_http_subtoken_access_settle(r, conf, ctx);
  return rc == NGX_OK ? NGX_DECLINED : rc;
}

/* ---- subrequests ---- */

/* For its log line, and to be counted. reason: why it was refused, or NULL. */
static void ngx_http_subtoken_access_note_result(const ngx_http_subtoken_evaluation_t *e,
                                                 const char *reason) {
  if (reason == NULL && e->granted) reason = subtoken_result_name(SUBTOKEN_OK);
  if (e->original != NULL) e->original->result = reason;
  ngx_http_subtoken_counters_decision(e->r, reason != NULL ? reason : "public");
}

static ngx_int_t ngx_http_subtoken_access_evaluate_subrequest(
    ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf, ngx_http_subtoken_ctx_t *ctx) {
  ngx_http_subtoken_evaluation_t e;
  ngx_http_subtoken_rejection_t rejection;
  ngx_http_subtoken_identity_t identity;
  ngx_int_t rc = ngx_http_subtoken_evaluate(&e, r, conf, ctx, true, true, &rejection);
  if (rc != NGX_DECLINED && rc != NGX_OK) return rc;
  ngx_http_subtoken_access_note_result(&e, rc == NGX_OK ? NULL : rejection.result);
  if (rc == NGX_DECLINED) return ngx_http_subtoken_access_reject(r, &rejection);
  if (e.granted && ngx_http_subtoken_evaluate_copy_identity(&e, &identity) != NGX_OK) {
    return NGX_ERROR;
  }
  if (e.as_redirect && ngx_http_subtoken_request_become_redirect(r, e.original) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!conf->identity) return NGX_DECLINED;
  bool came = ngx_http_subtoken_headers_have_identity(&r->headers_in.headers);
  rc = ngx_http_subtoken_identity_set(r, came, e.granted ? &identity : NULL);
  return rc == NGX_OK ? NGX_DECLINED : NGX_ERROR;
}

/* An internal location is for the configuration's own use: no client can ask for it. Every other
 * location is evaluated as for a request from outside. The outcome of the main request stays as it
 * is, so the variables tell of that.
 */
static ngx_int_t ngx_http_subtoken_access_preaccess_subrequest(
    ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  if (ngx_http_subtoken_fallback_is_subrequest(r)) return NGX_DECLINED;
  if (core->internal || !conf->enable) {
    ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
    ngx_int_t rc = ngx_http_subtoken_access_set_identity(r, conf, ctx);
    return rc == NGX_OK ? NGX_DECLINED : NGX_ERROR;
  }
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_get_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  return ngx_http_subtoken_access_evaluate_subrequest(r, conf, ctx);
}

/* ---- handlers ---- */

ngx_int_t ngx_http_subtoken_preaccess_handler(ngx_http_request_t *r) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (r != r->main) return ngx_http_subtoken_access_preaccess_subrequest(r, conf);
  if (conf->enable) return ngx_http_subtoken_access_preaccess_main(r, conf);
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
  ngx_int_t rc = ngx_http_subtoken_access_set_identity(r, conf, ctx);
  return rc == NGX_OK ? NGX_DECLINED : rc;
}

ngx_int_t ngx_http_subtoken_access_handler(ngx_http_request_t *r) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (!conf->enable) return NGX_DECLINED;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_get_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  if (!ngx_http_subtoken_outcome_is_valid(r, ctx, conf)) {
    ngx_int_t rc = ngx_http_subtoken_access_settle(r, conf, ctx);
    if (rc != NGX_OK) return rc;
  }
  if (ctx->outcome.passes && ctx->outcome.metadata) {
    return ngx_http_subtoken_metadata_send(r, conf, ctx);
  }
  /* Where the endpoint was not asked, nginx lets the request in: it need not be asked now. */
  if (ctx->outcome.passes || ctx->outcome.skipped_in != NULL) return NGX_OK;
  return ngx_http_subtoken_access_reject(r, &ctx->outcome.rejection);
}
