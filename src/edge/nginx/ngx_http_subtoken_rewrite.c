/* The handlers of SERVER_REWRITE and REWRITE, which run before those of nginx's rewrite module.
 * The first notes what a subrequest or an internal redirect asks for, before `rewrite` changes it.
 * The second removes from the request what the location and its upstream must not see. Whether the
 * request may pass is decided later, in ngx_http_subtoken_access.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* ---- SERVER_REWRITE ---- */

/* The error page of a request that was rejected sees nothing of that request, wherever it is: not
 * where subtoken is off either, and not in $request_uri.
 */
static ngx_int_t ngx_http_subtoken_rewrite_enter_redirect(ngx_http_request_t *r,
                                                          ngx_http_subtoken_ctx_t *ctx) {
  const ngx_http_subtoken_outcome_t *outcome = &ctx->outcome;
  bool passes = outcome->passes || outcome->allowed || outcome->skipped_in != NULL;
  if (outcome->conf != NULL && !passes) ctx->rejected = 1;
  ctx->outcome.conf = NULL;
  if (!ctx->rejected) return NGX_OK;
  return ngx_http_subtoken_request_become_redirect(r, &ctx->original);
}

/* A subrequest starts in this phase, and an internal redirect starts anew in it. */
ngx_int_t ngx_http_subtoken_server_rewrite_handler(ngx_http_request_t *r) {
  if (!r->internal || ngx_http_subtoken_fallback_is_subrequest(r)) return NGX_DECLINED;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_get_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  ngx_http_subtoken_original_t *original = ngx_http_subtoken_request_find_original(r, ctx);
  if (original == NULL) {
    original = ngx_http_subtoken_request_get_original(r, ctx);
    return original == NULL ? NGX_HTTP_INTERNAL_SERVER_ERROR : NGX_DECLINED;
  }
  ngx_int_t rc = ngx_http_subtoken_request_note_redirect(r, original);
  if (rc == NGX_OK && r == r->main) rc = ngx_http_subtoken_rewrite_enter_redirect(r, ctx);
  return rc == NGX_OK ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* ---- REWRITE ---- */

/* proxy_pass without a path sends the target as it came, with a path it sends the arguments. */
static ngx_int_t ngx_http_subtoken_rewrite_remove_token(ngx_http_request_t *r) {
  if (ngx_http_subtoken_query_clean_target(r->pool, r->unparsed_uri, &r->unparsed_uri) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!ngx_http_subtoken_query_has_token(r->args)) return NGX_OK;
  u_char *memory = ngx_pnalloc(r->pool, r->args.len);
  if (memory == NULL) return NGX_ERROR;
  r->args = ngx_http_subtoken_query_remove_token(r->args, memory);
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_rewrite_merge_slashes(ngx_http_request_t *r) {
  subtoken_text target = ngx_http_subtoken_text(r->unparsed_uri);
  if (ngx_http_subtoken_target_merge_slashes(r->pool, &target) != NGX_OK) return NGX_ERROR;
  r->unparsed_uri = ngx_http_subtoken_string(target);
  return NGX_OK;
}

/* If all that may be shown is the public page of an internal redirect, the request becomes one for
 * that page before the location reads its target. What is known without a wait decides; a request
 * that needs a wait gets the page, unless a location has let it in before.
 */
static ngx_int_t ngx_http_subtoken_rewrite_settle_redirect(ngx_http_request_t *r,
                                                           const ngx_http_subtoken_loc_conf_t *conf,
                                                           ngx_http_subtoken_ctx_t *ctx) {
  if (!ngx_http_subtoken_target_is_public_redirect(conf, &ctx->original)) return NGX_OK;
  if (!ctx->rejected) {
    ngx_int_t rc = ngx_http_subtoken_outcome_update(r, conf, ctx, false);
    if (rc != NGX_OK && rc != NGX_AGAIN) return NGX_ERROR;
    bool waits = rc == NGX_AGAIN && ctx->granted;
    bool passes = rc == NGX_OK && ctx->outcome.passes && !ctx->outcome.as_redirect;
    if (waits || passes) return NGX_OK;
    ctx->rejected = 1;
  }
  return ngx_http_subtoken_request_become_redirect(r, &ctx->original);
}

/* A variable that the server's own `if` or `set` read before shows the old target. ctx: NULL for a
 * subrequest.
 */
static ngx_int_t ngx_http_subtoken_rewrite_clean_request(ngx_http_request_t *r,
                                                         const ngx_http_subtoken_loc_conf_t *conf,
                                                         ngx_http_subtoken_ctx_t *ctx) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  const u_char *target = r->unparsed_uri.data, *args = r->args.data;
  if ((conf->credentials & NGX_HTTP_SUBTOKEN_IN_QUERY) != 0 &&
      ngx_http_subtoken_rewrite_remove_token(r) != NGX_OK) {
    return NGX_ERROR;
  }
  if (conf->merge_slashes && ctx != NULL && ngx_http_subtoken_rewrite_merge_slashes(r) != NGX_OK) {
    return NGX_ERROR;
  }
  if (target != r->unparsed_uri.data || args != r->args.data) {
    ngx_http_subtoken_request_reset_variables(r, &main->target_variables);
  }
  if (ctx == NULL || ctx->original.redirect.len == 0) return NGX_OK;
  return ngx_http_subtoken_rewrite_settle_redirect(r, conf, ctx);
}

/* The X-Subtoken-* headers of a caller are gone before any directive of the location reads them.
 * The module's own are set later. A request to the decision endpoint has one, its nonce.
 */
static ngx_int_t ngx_http_subtoken_rewrite_clean_identity(
    ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf) {
  if (!conf->identity || ngx_http_subtoken_fallback_is_subrequest(r)) return NGX_OK;
  bool came = ngx_http_subtoken_headers_have_identity(&r->headers_in.headers);
  return ngx_http_subtoken_identity_set(r, came, NULL);
}

/* What the server's own `if` and `set` found rejects nothing where subtoken is off. */
static void ngx_http_subtoken_rewrite_leave_server(ngx_http_request_t *r) {
  ngx_http_subtoken_ctx_t *ctx = r == r->main ? ngx_http_subtoken_request_find_ctx(r) : NULL;
  if (ctx != NULL && ctx->outcome.early) ctx->outcome.conf = NULL;
}

/* One walk over the headers finds the credential as well, for PREACCESS. */
static ngx_int_t ngx_http_subtoken_rewrite_main(ngx_http_request_t *r,
                                                const ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_get_ctx(r);
  if (ctx == NULL) return NGX_ERROR;
  ngx_http_subtoken_headers_read(r, ctx, conf->credentials, &ctx->headers);
  if (conf->identity && ctx->headers.identity &&
      ngx_http_subtoken_identity_set(r, true, NULL) != NGX_OK) {
    return NGX_ERROR;
  }
  bool plain = ngx_http_subtoken_query_is_absent(r) && r->args.len == 0 && !conf->merge_slashes &&
               ctx->original.redirect.len == 0;
  return plain ? NGX_OK : ngx_http_subtoken_rewrite_clean_request(r, conf, ctx);
}

ngx_int_t ngx_http_subtoken_rewrite_handler(ngx_http_request_t *r) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  ngx_int_t rc = NGX_OK;
  if (conf->enable && r == r->main) {
    rc = ngx_http_subtoken_rewrite_main(r, conf);
  } else {
    rc = ngx_http_subtoken_rewrite_clean_identity(r, conf);
    if (rc == NGX_OK && conf->enable) rc = ngx_http_subtoken_rewrite_clean_request(r, conf, NULL);
    if (!conf->enable) ngx_http_subtoken_rewrite_leave_server(r);
  }
  return rc == NGX_OK ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}
