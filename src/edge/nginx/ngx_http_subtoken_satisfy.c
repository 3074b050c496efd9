/* What nginx's own allow, deny and auth_basic say of a request, under `satisfy`. Their handlers
 * are called before the access phase, to learn whether a request must be evaluated at all. They
 * answer the request themselves, in that phase.
 */
#include "edge/nginx/ngx_http_subtoken.h"

static ngx_int_t ngx_http_subtoken_satisfy_call_quietly(ngx_http_request_t *r,
                                                        ngx_http_handler_pt handler) {
  ngx_log_t *log = r->connection->log;
  ngx_uint_t level = log->log_level;
  log->log_level = NGX_LOG_STDERR;
  ngx_int_t rc = handler(r);
  log->log_level = level;
  return rc;
}

bool ngx_http_subtoken_satisfy_all(ngx_http_request_t *r) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  return core->satisfy == NGX_HTTP_SATISFY_ALL;
}

bool ngx_http_subtoken_satisfy_is_blocked(ngx_http_request_t *r) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  return main->allow_deny != NULL && ngx_http_subtoken_satisfy_all(r) &&
         main->allow_deny(r) == NGX_HTTP_FORBIDDEN;
}

bool ngx_http_subtoken_satisfy_is_blocked_quietly(ngx_http_request_t *r) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  return main->allow_deny != NULL && ngx_http_subtoken_satisfy_all(r) &&
         ngx_http_subtoken_satisfy_call_quietly(r, main->allow_deny) == NGX_HTTP_FORBIDDEN;
}

bool ngx_http_subtoken_satisfy_allows(ngx_http_request_t *r) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  return main->allow_deny != NULL && !ngx_http_subtoken_satisfy_all(r) &&
         main->allow_deny(r) == NGX_OK;
}

/* The challenge that auth_basic sets for a wrong password is taken back: it sets its own when its
 * turn comes.
 */
bool ngx_http_subtoken_satisfy_auth_basic(ngx_http_request_t *r) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  if (core->satisfy != NGX_HTTP_SATISFY_ANY || main->auth_basic == NULL || r != r->main) {
    return false;
  }
  ngx_int_t rc = ngx_http_subtoken_satisfy_call_quietly(r, main->auth_basic);
  if (r->headers_out.www_authenticate != NULL) r->headers_out.www_authenticate->hash = 0;
  r->headers_out.www_authenticate = NULL;
  return rc == NGX_OK;
}
