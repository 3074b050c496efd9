/* nginx's logs without access_token=. With each error of a request nginx writes down the target
 * that it passes on to an upstream, and the Referer; where `subtoken` is off, as for the server's
 * own calls, a key in a query is passed on all the same. The request line is cleaned for every
 * log (see ngx_http_subtoken_clean_log), but not that of a request which nginx refuses before any
 * module has seen it: of such a line the access log gets no query at all.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* nginx has one of its own, which it names nowhere. */
static ngx_http_log_handler_pt ngx_http_subtoken_next_handler;

static ngx_str_t ngx_http_subtoken_loggable(ngx_str_t target) {
  u_char *mark = ngx_strlchr(target.data, target.data + target.len, '?');
  if (mark != NULL && ngx_http_subtoken_has_access_token(target)) {
    target.len = (size_t)(mark - target.data);
  }
  return target;
}

/* What nginx's handler looks at is put back before anybody else sees it. */
static u_char *ngx_http_subtoken_log_request(ngx_http_request_t *r, ngx_http_request_t *sr,
                                             u_char *buf, size_t len) {
  ngx_str_t none = ngx_null_string;
  ngx_str_t *target = sr->upstream != NULL ? &sr->upstream->uri : &none;
  ngx_str_t *referer = r->headers_in.referer != NULL ? &r->headers_in.referer->value : &none;
  ngx_str_t target_as_it_is = *target, referer_as_it_is = *referer;
  *target = ngx_http_subtoken_loggable(*target);
  *referer = ngx_http_subtoken_loggable(*referer);
  u_char *end = ngx_http_subtoken_next_handler(r, sr, buf, len);
  *target = target_as_it_is;
  *referer = referer_as_it_is;
  return end;
}

void ngx_http_subtoken_clean_error_log(ngx_http_request_t *r) {
  if (r->log_handler == ngx_http_subtoken_log_request) return;
  if (ngx_http_subtoken_next_handler == NULL) ngx_http_subtoken_next_handler = r->log_handler;
  if (ngx_http_subtoken_next_handler == r->log_handler)
    r->log_handler = ngx_http_subtoken_log_request;
}

static void ngx_http_subtoken_cut_query(ngx_str_t *text) {
  u_char *mark = text->len > 0 ? memchr(text->data, '?', text->len) : NULL;
  if (mark != NULL) text->len = (size_t)(mark - text->data);
}

/* nginx takes the line from here when it could not even read it. */
static void ngx_http_subtoken_find_line(ngx_http_request_t *r) {
  if (r->request_line.data != NULL || r->request_start == NULL || r->header_in == NULL) return;
  u_char *end = r->request_start;
  while (end < r->header_in->last && *end != CR && *end != LF) end++;
  r->request_line.data = r->request_start;
  r->request_line.len = (size_t)(end - r->request_start);
}

ngx_int_t ngx_http_subtoken_clean_refused(ngx_http_request_t *r) {
  if (r != r->main || r->log_handler == ngx_http_subtoken_log_request) return NGX_OK;
  ngx_http_subtoken_find_line(r);
  ngx_http_subtoken_cut_query(&r->request_line);
  ngx_http_subtoken_cut_query(&r->unparsed_uri);
  r->args.len = 0;
  return NGX_OK;
}
