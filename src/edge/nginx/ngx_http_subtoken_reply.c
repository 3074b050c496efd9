/* The answer when a request may not pass: what the server answers, header for header. */
#include "edge/nginx/ngx_http_subtoken.h"

#define RETRY_AFTER 5 /* seconds, where nothing else is known */

static ngx_table_elt_t *add_header(ngx_http_request_t *r, ngx_str_t name, ngx_str_t value) {
  ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
  if (header == NULL) return NULL;
  ngx_memzero(header, sizeof *header);
  header->hash = 1;
  header->key = name;
  header->value = value;
  return header;
}

/* Their lengths are known when this is compiled: each refusal sends all of them. */
static const struct {
  ngx_str_t name;
  ngx_str_t value;
} headers_of_refusals[] = {
    {ngx_string("Cache-Control"), ngx_string("no-store")},
    {ngx_string("X-Content-Type-Options"), ngx_string("nosniff")},
    {ngx_string("Access-Control-Allow-Origin"), ngx_string("*")},
    {ngx_string("Access-Control-Expose-Headers"), ngx_string("WWW-Authenticate, Retry-After")},
};

static ngx_int_t add_no_store(ngx_http_request_t *r) {
  return add_header(r, headers_of_refusals[0].name, headers_of_refusals[0].value) == NULL
             ? NGX_ERROR
             : NGX_OK;
}

static ngx_int_t add_challenge(ngx_http_request_t *r, const ngx_http_subtoken_verdict_t *verdict) {
  static const ngx_str_t name = ngx_string("WWW-Authenticate");
  if (verdict->challenge == NULL) return NGX_OK;
  ngx_str_t value = {ngx_strlen(verdict->challenge), (u_char *)verdict->challenge};
  r->headers_out.www_authenticate = add_header(r, name, value);
  return r->headers_out.www_authenticate == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t add_retry_after(ngx_http_request_t *r,
                                 const ngx_http_subtoken_verdict_t *verdict) {
  if (verdict->status != 503 && verdict->status != 429) return NGX_OK;
  static const ngx_str_t name = ngx_string("Retry-After");
  time_t seconds = verdict->retry_after > 0 ? verdict->retry_after : RETRY_AFTER;
  ngx_str_t value = {0, ngx_pnalloc(r->pool, NGX_TIME_T_LEN)};
  if (value.data == NULL) return NGX_ERROR;
  value.len = (size_t)(ngx_sprintf(value.data, "%T", seconds) - value.data);
  return add_header(r, name, value) == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t add_headers(ngx_http_request_t *r, const ngx_http_subtoken_verdict_t *verdict) {
  for (size_t i = 0; i < sizeof headers_of_refusals / sizeof headers_of_refusals[0]; i++) {
    if (add_header(r, headers_of_refusals[i].name, headers_of_refusals[i].value) == NULL) {
      return NGX_ERROR;
    }
  }
  return add_challenge(r, verdict) == NGX_OK ? add_retry_after(r, verdict) : NGX_ERROR;
}

/* Neither our sentences nor the characters of a permission need an escape in JSON. */
static ngx_buf_t *make_body(ngx_http_request_t *r, const ngx_http_subtoken_verdict_t *verdict) {
  size_t text = ngx_strlen(verdict->text);
  ngx_buf_t *body =
      ngx_create_temp_buf(r->pool, sizeof "{\"text\":\"\"}" + text + verdict->scope.len);
  if (body == NULL) return NULL;
  body->last = ngx_cpymem(body->last, "{\"text\":\"", 9);
  body->last = ngx_cpymem(body->last, verdict->text, text);
  if (verdict->scope.len > 0) {
    body->last = ngx_cpymem(body->last, verdict->scope.data, verdict->scope.len);
  }
  body->last = ngx_cpymem(body->last, "\"}", 2);
  body->last_buf = r == r->main;
  body->last_in_chain = 1;
  return body;
}

/* Whoever waits for leave to send a body gets none; whether he sends it all the same cannot be
 * known, so the connection is of no use for another request. */
static void refuse_body(ngx_http_request_t *r) {
  if (r->headers_in.expect != NULL && !r->expect_tested) r->keepalive = 0;
  r->expect_tested = 1;
}

static ngx_int_t send_answer(ngx_http_request_t *r, const ngx_http_subtoken_verdict_t *verdict) {
  ngx_chain_t out;
  refuse_body(r);
  ngx_int_t rc = ngx_http_discard_request_body(r);
  if (rc != NGX_OK) return rc;
  ngx_http_clean_header(r); /* an answer that redirected here may have left some */
  out.buf = make_body(r, verdict);
  out.next = NULL;
  if (out.buf == NULL || add_headers(r, verdict) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  r->err_status = 0; /* `error_page 404 =200` that led here must not make a 200 of a refusal */
  r->headers_out.status = verdict->status;
  r->headers_out.content_length_n = out.buf->last - out.buf->pos;
  ngx_str_set(&r->headers_out.content_type, "application/json; charset=utf-8");
  r->headers_out.content_type_len = sizeof "application/json" - 1;
  r->headers_out.content_type_lowcase = NULL;
  rc = ngx_http_send_header(r);
  if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) return rc;
  return ngx_http_output_filter(r, &out);
}

static bool has_error_page(const ngx_http_request_t *r, ngx_uint_t status) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  if (r->error_page || core->error_pages == NULL) return false;
  const ngx_http_err_page_t *pages = core->error_pages->elts;
  for (ngx_uint_t i = 0; i < core->error_pages->nelts; i++) {
    if (pages[i].status == (ngx_int_t)status) return true;
  }
  return false;
}

/* A 401 or 403, where others may let the request in all the same. */
static bool is_for_others(ngx_http_request_t *r, ngx_uint_t status) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  bool refused = status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN;
  return refused && r == r->main && core->satisfy == NGX_HTTP_SATISFY_ANY;
}

/* Once a request: where the page is refused as well, the answer is ours. */
static bool is_for_error_page(ngx_http_request_t *r, ngx_uint_t status) {
  bool refused = status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  if (!refused || r != r->main || ctx == NULL || ctx->error_page || !has_error_page(r, status)) {
    return false;
  }
  ctx->error_page = 1;
  return true;
}

ngx_int_t ngx_http_subtoken_reply(ngx_http_request_t *r,
                                  const ngx_http_subtoken_verdict_t *verdict) {
  bool others = is_for_others(r, verdict->status);
  if (!others && !is_for_error_page(r, verdict->status)) {
    ngx_http_finalize_request(r, send_answer(r, verdict));
    return NGX_DONE;
  }
  if (verdict->status == 401 && add_challenge(r, verdict) != NGX_OK) return NGX_ERROR;
  if (!others && add_no_store(r) != NGX_OK) return NGX_ERROR;
  return (ngx_int_t)verdict->status;
}
