/* The state of a request, and in it the original request: what the client asked for, and what
 * each including page asked for of a subrequest, before `rewrite` and `error_page` change it.
 * The state is found and made here; other files fill it in: see ngx_http_subtoken_outcome.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* ---- the state ---- */

/* An internal redirect clears the contexts of all modules, so the state is a cleanup of the pool
 * of the main request, and this function marks it.
 */
static void ngx_http_subtoken_request_cleanup(void *data) {
  (void)data;
}

ngx_http_subtoken_ctx_t *ngx_http_subtoken_request_find_ctx(ngx_http_request_t *r) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_get_module_ctx(r->main, ngx_http_subtoken_module);
  if (ctx != NULL) return ctx;
  for (ngx_pool_cleanup_t *each = r->pool->cleanup; each != NULL; each = each->next) {
    if (each->handler != ngx_http_subtoken_request_cleanup) continue;
    ngx_http_set_ctx(r->main, each->data, ngx_http_subtoken_module);
    return each->data;
  }
  return NULL;
}

/* Piece by piece, which the compiler makes a few stores of; what an outcome and a walk over the
 * headers write before it is read stays as it is.
 */
static void ngx_http_subtoken_request_clear_ctx(ngx_http_subtoken_ctx_t *ctx) {
  ctx->original = (ngx_http_subtoken_original_t){0};
  ngx_str_null(&ctx->query_credential);
  ctx->fallbacks = NULL;
  ctx->query_token = ctx->query_ambiguous = ctx->query_unreadable = ctx->body_read = ctx->granted =
      0;
  ctx->error_page = ctx->rejected = ctx->blocked = ctx->decided = ctx->ended = 0;
  ctx->result = NULL;
  ctx->result_conf = NULL;
  ctx->denied = NULL;
  ctx->identity = (ngx_http_subtoken_identity_t){0};
  ctx->headers.elts = NULL;
  ctx->outcome.conf = NULL;
  ctx->outcome.skipped_in = NULL;
  ctx->outcome.passes = ctx->outcome.allowed = ctx->outcome.as_redirect = ctx->outcome.early = 0;
}

ngx_http_subtoken_ctx_t *ngx_http_subtoken_request_make_ctx(ngx_http_request_t *r) {
  ngx_http_request_t *main = r->main;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
  if (ctx != NULL) return ctx;
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(main->pool, sizeof *ctx);
  if (cleanup == NULL) return NULL;
  ctx = cleanup->data;
  ngx_http_subtoken_request_clear_ctx(ctx);
  ctx->original.request = main;
  ctx->original.method = ngx_http_subtoken_text(main->method_name);
  ctx->original.target = ngx_http_subtoken_text(main->unparsed_uri);
  if (!ngx_http_subtoken_query_is_absent(main) &&
      ngx_http_subtoken_query_read_token(main, ctx) != NGX_OK) {
    return NULL;
  }
  cleanup->handler = ngx_http_subtoken_request_cleanup;
  ngx_http_set_ctx(main, ctx, ngx_http_subtoken_module);
  return ctx;
}

/* ---- the original request ---- */

/* The path as it would stand in a request for it. */
static ngx_int_t ngx_http_subtoken_request_escape_path(const ngx_http_request_t *r,
                                                       subtoken_text *target) {
  size_t escaped = 2 * (size_t)ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
  u_char *out = ngx_pnalloc(r->pool, r->uri.len + escaped + 1);
  if (out == NULL) return NGX_ERROR;
  (void)ngx_escape_uri(out, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
  *target = (subtoken_text){(const char *)out, r->uri.len + escaped};
  return NGX_OK;
}

ngx_http_subtoken_original_t *ngx_http_subtoken_request_find_original(
    const ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx) {
  ngx_http_subtoken_original_t *each = &ctx->original;
  while (each != NULL && each->request != r) each = each->next;
  return each;
}

/* Nothing has rewritten the path of a new subrequest yet. */
ngx_http_subtoken_original_t *ngx_http_subtoken_request_get_original(ngx_http_request_t *r,
                                                                     ngx_http_subtoken_ctx_t *ctx) {
  ngx_http_subtoken_original_t *original = ngx_http_subtoken_request_find_original(r, ctx);
  if (original != NULL) return original;
  original = ngx_pcalloc(r->pool, sizeof *original);
  if (original == NULL || ngx_http_subtoken_request_escape_path(r, &original->target) != NGX_OK) {
    return NULL;
  }
  original->request = r;
  original->method = ngx_http_subtoken_text(r->method_name);
  original->next = ctx->original.next;
  ctx->original.next = original;
  return original;
}

ngx_int_t ngx_http_subtoken_request_note_redirect(ngx_http_request_t *r,
                                                  ngx_http_subtoken_original_t *original) {
  original->redirect_method = ngx_http_subtoken_text(r->method_name);
  return ngx_http_subtoken_request_escape_path(r, &original->redirect);
}

/* ---- what nginx's variables show ---- */

void ngx_http_subtoken_request_reset_variables(ngx_http_request_t *r,
                                               const ngx_array_t *variables) {
  const ngx_uint_t *indices = variables->elts;
  for (ngx_uint_t i = 0; i < variables->nelts; i++) {
    r->variables[indices[i]].valid = 0;
    r->variables[indices[i]].not_found = 0;
  }
}

/* Otherwise `proxy_pass http://api$request_uri` in the location of a public login page would send
 * the API the request that was rejected.
 */
ngx_int_t ngx_http_subtoken_request_become_redirect(ngx_http_request_t *r,
                                                    const ngx_http_subtoken_original_t *original) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  size_t len = original->redirect.len + 1 + r->args.len;
  u_char *out = ngx_pnalloc(r->pool, len);
  if (out == NULL) return NGX_ERROR;
  r->unparsed_uri.data = out;
  out = ngx_cpymem(out, original->redirect.data, original->redirect.len);
  if (r->args.len > 0) {
    *out++ = '?';
    out = ngx_cpymem(out, r->args.data, r->args.len);
  }
  r->unparsed_uri.len = (size_t)(out - r->unparsed_uri.data);
  ngx_http_subtoken_request_reset_variables(r, &main->target_variables);
  return NGX_OK;
}
