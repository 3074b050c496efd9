/* nginx's logs without access_token=. The request line and the Referer are cleaned once, in
 * POST_READ, for every log. The error log also names the target that goes to an upstream, which
 * may hold a key where `subtoken` is off; that is hidden while the line is written. Of a request
 * that nginx refuses before POST_READ the access log gets no query at all. How the token is
 * found is in ngx_http_subtoken_query.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* nginx's own log handler, which has no public name. */
static ngx_http_log_handler_pt ngx_http_subtoken_log_next;

static ngx_str_t ngx_http_subtoken_log_without_query(ngx_str_t target) {
  u_char *mark = ngx_strlchr(target.data, target.data + target.len, '?');
  if (mark != NULL && ngx_http_subtoken_query_target_has_token(target)) {
    target.len = (size_t)(mark - target.data);
  }
  return target;
}

/* What nginx's handler prints is restored before anybody else sees it. */
static u_char *ngx_http_subtoken_log_request(ngx_http_request_t *r, ngx_http_request_t *sr,
                                             u_char *buf, size_t len) {
  ngx_str_t none = ngx_null_string;
  ngx_str_t *target = sr->upstream != NULL ? &sr->upstream->uri : &none;
  ngx_str_t *referer = r->headers_in.referer != NULL ? &r->headers_in.referer->value : &none;
  ngx_str_t full_target = *target, full_referer = *referer;
  *target = ngx_http_subtoken_log_without_query(*target);
  *referer = ngx_http_subtoken_log_without_query(*referer);
  u_char *end = ngx_http_subtoken_log_next(r, sr, buf, len);
  *target = full_target;
  *referer = full_referer;
  return end;
}

/* Another module may have set a handler of its own, which is left alone. */
static void ngx_http_subtoken_log_set_handler(ngx_http_request_t *r) {
  if (r->log_handler == ngx_http_subtoken_log_request) return;
  if (ngx_http_subtoken_log_next == NULL) ngx_http_subtoken_log_next = r->log_handler;
  if (ngx_http_subtoken_log_next == r->log_handler) r->log_handler = ngx_http_subtoken_log_request;
}

/* A browser sends the address of the page that led to this request. Neither this nor the next is
 * inline: most API requests have no Referer and no query.
 */
static __attribute__((noinline)) ngx_int_t ngx_http_subtoken_log_clean_referer(
    ngx_http_request_t *r) {
  ngx_table_elt_t *referer = r->headers_in.referer;
  return ngx_http_subtoken_query_clean_target(r->pool, referer->value, &referer->value);
}

/* nginx uses the request line for logs and $request alone. */
static __attribute__((noinline)) ngx_int_t ngx_http_subtoken_log_clean_line(ngx_http_request_t *r) {
  ngx_str_t target;
  if (ngx_http_subtoken_query_clean_target(r->pool, r->unparsed_uri, &target) != NGX_OK) {
    return NGX_ERROR;
  }
  if (target.data == r->unparsed_uri.data) return NGX_OK;
  size_t len = r->method_name.len + target.len + r->http_protocol.len + 2;
  u_char *line = ngx_pnalloc(r->pool, len);
  if (line == NULL) return NGX_ERROR;
  r->request_line.len =
      (size_t)(ngx_snprintf(line, len, "%V %V %V", &r->method_name, &target, &r->http_protocol) -
               line);
  r->request_line.data = line;
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_log_post_read_handler(ngx_http_request_t *r) {
  if (r != r->main) return NGX_DECLINED;
  ngx_http_subtoken_log_set_handler(r);
  if (r->headers_in.referer != NULL && ngx_http_subtoken_log_clean_referer(r) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  if (ngx_http_subtoken_query_is_absent(r)) return NGX_DECLINED;
  ngx_int_t rc = ngx_http_subtoken_log_clean_line(r);
  return rc == NGX_OK ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

static void ngx_http_subtoken_log_cut_query(ngx_str_t *text) {
  u_char *mark = text->len > 0 ? memchr(text->data, '?', text->len) : NULL;
  if (mark != NULL) text->len = (size_t)(mark - text->data);
}

/* nginx logs the line from here when it could not read it. */
static void ngx_http_subtoken_log_find_line(ngx_http_request_t *r) {
  if (r->request_line.data != NULL || r->request_start == NULL || r->header_in == NULL) return;
  u_char *end = r->request_start;
  while (end < r->header_in->last && *end != CR && *end != LF) end++;
  r->request_line.data = r->request_start;
  r->request_line.len = (size_t)(end - r->request_start);
}

void ngx_http_subtoken_log_end(ngx_http_request_t *r) {
  if (r != r->main || r->log_handler == ngx_http_subtoken_log_request) return;
  ngx_http_subtoken_log_find_line(r);
  ngx_http_subtoken_log_cut_query(&r->request_line);
  ngx_http_subtoken_log_cut_query(&r->unparsed_uri);
  r->args.len = 0;
}
