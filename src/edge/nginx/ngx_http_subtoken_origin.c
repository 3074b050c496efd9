/* What was asked for, before the configuration rewrote it; and the state of a request that it
 * lies in. A request is judged by its target as it came, a subrequest by the path that the
 * including page wrote, whatever `rewrite` and `error_page` make of them afterwards.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* ---- the state of a request ---- */

/* It hangs on the pool, because an internal redirect clears what modules keep. */
static void ngx_http_subtoken_marks_ctx(void *data) {
  (void)data;
}

ngx_http_subtoken_ctx_t *ngx_http_subtoken_ctx_if_any(ngx_http_request_t *r) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_get_module_ctx(r->main, ngx_http_subtoken_module);
  if (ctx != NULL) return ctx;
  for (ngx_pool_cleanup_t *each = r->pool->cleanup; each != NULL; each = each->next) {
    if (each->handler != ngx_http_subtoken_marks_ctx) continue;
    ngx_http_set_ctx(r->main, each->data, ngx_http_subtoken_module);
    return each->data;
  }
  return NULL;
}

ngx_http_subtoken_ctx_t *ngx_http_subtoken_ctx(ngx_http_request_t *r) {
  ngx_http_request_t *whole = r->main;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  if (ctx != NULL) return ctx;
  ngx_pool_cleanup_t *mark = ngx_pool_cleanup_add(whole->pool, sizeof *ctx);
  if (mark == NULL) return NULL;
  ctx = mark->data;
  ngx_memzero(ctx, sizeof *ctx);
  ctx->origin.request = whole;
  ctx->origin.method = ngx_http_subtoken_text(whole->method_name);
  ctx->origin.target = ngx_http_subtoken_text(whole->unparsed_uri);
  if (ngx_http_subtoken_read_query(whole, ctx) != NGX_OK) return NULL;
  mark->handler = ngx_http_subtoken_marks_ctx;
  ngx_http_set_ctx(whole, ctx, ngx_http_subtoken_module);
  return ctx;
}

/* ---- what is asked for ---- */

/* The path as it would stand in a request for it. */
static ngx_int_t ngx_http_subtoken_escape_path(const ngx_http_request_t *r, subtoken_text *target) {
  size_t escaped = 2 * (size_t)ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
  u_char *out = ngx_pnalloc(r->pool, r->uri.len + escaped + 1);
  if (out == NULL) return NGX_ERROR;
  (void)ngx_escape_uri(out, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
  *target = (subtoken_text){(const char *)out, r->uri.len + escaped};
  return NGX_OK;
}

static ngx_http_subtoken_origin_t *ngx_http_subtoken_find_origin(const ngx_http_request_t *r,
                                                                 ngx_http_subtoken_ctx_t *ctx) {
  ngx_http_subtoken_origin_t *each = &ctx->origin;
  while (each != NULL && each->request != r) each = each->next;
  return each;
}

/* A subrequest that is new goes where its path, which nothing has rewritten yet, leads. */
static ngx_http_subtoken_origin_t *ngx_http_subtoken_add_origin(ngx_http_request_t *r,
                                                                ngx_http_subtoken_ctx_t *ctx) {
  ngx_http_subtoken_origin_t *origin = ngx_pcalloc(r->pool, sizeof *origin);
  if (origin == NULL || ngx_http_subtoken_escape_path(r, &origin->target) != NGX_OK) return NULL;
  origin->request = r;
  origin->method = ngx_http_subtoken_text(r->method_name);
  origin->next = ctx->origin.next;
  ctx->origin.next = origin;
  return origin;
}

ngx_http_subtoken_origin_t *ngx_http_subtoken_origin(ngx_http_request_t *r,
                                                     ngx_http_subtoken_ctx_t *ctx) {
  ngx_http_subtoken_origin_t *origin = ngx_http_subtoken_find_origin(r, ctx);
  return origin != NULL ? origin : ngx_http_subtoken_add_origin(r, ctx);
}

/* An error page of a request that was refused, wherever it lies, sees nothing of that request:
 * not even where subtoken is off, and whatever it makes of $request_uri.
 */
static ngx_int_t ngx_http_subtoken_enter_page(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx) {
  const ngx_http_subtoken_judged_t *judged = &ctx->judged;
  bool let_in = judged->passes || judged->let_in || judged->unasked_in != NULL;
  if (judged->conf != NULL && !let_in) ctx->refused = 1;
  ctx->judged.conf = NULL;
  if (!ctx->refused) return NGX_DECLINED;
  return ngx_http_subtoken_become_page(r, &ctx->origin) == NGX_OK ? NGX_DECLINED
                                                                  : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* Subrequests start in this phase, and internal redirects start anew in it: it is the first to
 * see what they lead to, and `rewrite` the second.
 */
ngx_int_t ngx_http_subtoken_note_origin(ngx_http_request_t *r) {
  if (!r->internal || ngx_http_subtoken_is_question(r)) return NGX_DECLINED;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  ngx_http_subtoken_origin_t *origin = ngx_http_subtoken_find_origin(r, ctx);
  if (origin == NULL) {
    origin = ngx_http_subtoken_add_origin(r, ctx);
    return origin == NULL ? NGX_HTTP_INTERNAL_SERVER_ERROR : NGX_DECLINED;
  }
  if (ngx_http_subtoken_escape_path(r, &origin->page) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  origin->page_method = ngx_http_subtoken_text(r->method_name);
  return r == r->main ? ngx_http_subtoken_enter_page(r, ctx) : NGX_DECLINED;
}

/* ---- what is passed on ---- */

void ngx_http_subtoken_forget(ngx_http_request_t *r, const ngx_array_t *variables) {
  const ngx_uint_t *indices = variables->elts;
  for (ngx_uint_t i = 0; i < variables->nelts; i++) {
    r->variables[indices[i]].valid = 0;
    r->variables[indices[i]].not_found = 0;
  }
}

/* Without this `proxy_pass http://api$request_uri` at a public login page would send the API
 * what was refused.
 */
ngx_int_t ngx_http_subtoken_become_page(ngx_http_request_t *r,
                                        const ngx_http_subtoken_origin_t *origin) {
  ngx_http_subtoken_main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  size_t len = origin->page.len + 1 + r->args.len;
  u_char *out = ngx_pnalloc(r->pool, len);
  if (out == NULL) return NGX_ERROR;
  r->unparsed_uri.data = out;
  out = ngx_cpymem(out, origin->page.data, origin->page.len);
  if (r->args.len > 0) {
    *out++ = '?';
    out = ngx_cpymem(out, r->args.data, r->args.len);
  }
  r->unparsed_uri.len = (size_t)(out - r->unparsed_uri.data);
  ngx_http_subtoken_forget(r, &all->target_variables);
  return NGX_OK;
}

static bool ngx_http_subtoken_has_slashes(const char *path, size_t len) {
  for (size_t i = 1; i < len; i++) {
    if (path[i] == '/' && path[i - 1] == '/') return true;
  }
  return false;
}

ngx_int_t ngx_http_subtoken_merge_slashes(ngx_pool_t *pool, subtoken_text *target) {
  const char *query = memchr(target->data, '?', target->len);
  size_t path = query == NULL ? target->len : (size_t)(query - target->data), len = 0;
  if (!ngx_http_subtoken_has_slashes(target->data, path)) return NGX_OK;
  char *out = ngx_pnalloc(pool, target->len);
  if (out == NULL) return NGX_ERROR;
  for (size_t i = 0; i < path; i++) {
    if (i == 0 || target->data[i] != '/' || target->data[i - 1] != '/')
      out[len++] = target->data[i];
  }
  ngx_memcpy(out + len, target->data + path, target->len - path);
  *target = (subtoken_text){out, len + target->len - path};
  return NGX_OK;
}
