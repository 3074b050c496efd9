/* The response to a request that is rejected: the same status, headers and JSON as the server
 * sends. Other files decide that a request is rejected and fill in *rejection here; this one
 * sends it, or leaves it to nginx's `satisfy any` and error_page.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_REPLY_RETRY_AFTER 5 /* seconds, where nothing else is known */

/* ---- what it says ---- */

void ngx_http_subtoken_reply_reject(ngx_http_subtoken_rejection_t *rejection, ngx_uint_t status,
                                    const char *result, const char *challenge, const char *text) {
  rejection->status = status;
  rejection->result = result;
  rejection->challenge = challenge;
  rejection->text = text;
  rejection->scope = rejection->body = (subtoken_text){NULL, 0};
  rejection->retry_after = 0;
}

void ngx_http_subtoken_reply_reject_result(ngx_http_subtoken_rejection_t *rejection,
                                           subtoken_result result) {
  const char *text = "Invalid access token";
  int status = subtoken_result_status(result);
  switch (status) {
    case 400: text = "the request target can be read in more than one way"; break;
    case 401: break;
    case 403: text = "this subtoken does not list this url"; break;
    default: status = 503; text = NGX_HTTP_SUBTOKEN_REPLY_UNDECIDED;
  }
  ngx_http_subtoken_reply_reject(rejection, (ngx_uint_t)status, subtoken_result_name(result),
                                 subtoken_result_challenge(result), text);
}

void ngx_http_subtoken_reply_reject_scope(ngx_http_subtoken_rejection_t *rejection,
                                          subtoken_text scope) {
  ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_PERM);
  rejection->text = "requires scope ";
  rejection->scope = scope;
}

const char *ngx_http_subtoken_reply_copy(ngx_pool_t *pool, subtoken_text text) {
  char *copy = ngx_pnalloc(pool, text.len + 1);
  if (copy == NULL) return NULL;
  ngx_memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  return copy;
}

/* ---- headers ---- */

/* Constants, so that their lengths are known when this is compiled. */
static const struct {
  ngx_str_t name;
  ngx_str_t value;
} ngx_http_subtoken_reply_headers[] = {
    {ngx_string("Cache-Control"), ngx_string("no-store")}, /* the first: see add_no_store */
    {ngx_string("X-Content-Type-Options"), ngx_string("nosniff")},
    {ngx_string("Access-Control-Allow-Origin"), ngx_string("*")},
    {ngx_string("Access-Control-Expose-Headers"), ngx_string("WWW-Authenticate, Retry-After")},
};

static ngx_table_elt_t *ngx_http_subtoken_reply_add_header(ngx_http_request_t *r, ngx_str_t name,
                                                           ngx_str_t value) {
  ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
  if (header == NULL) return NULL;
  ngx_memzero(header, sizeof *header);
  header->hash = 1;
  header->key = name;
  header->value = value;
  return header;
}

static ngx_int_t ngx_http_subtoken_reply_add_no_store(ngx_http_request_t *r) {
  ngx_table_elt_t *header = ngx_http_subtoken_reply_add_header(
      r, ngx_http_subtoken_reply_headers[0].name, ngx_http_subtoken_reply_headers[0].value);
  return header == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t ngx_http_subtoken_reply_add_challenge(
    ngx_http_request_t *r, const ngx_http_subtoken_rejection_t *rejection) {
  static const ngx_str_t name = ngx_string("WWW-Authenticate");
  if (rejection->challenge == NULL) return NGX_OK;
  ngx_str_t value = {ngx_strlen(rejection->challenge), (u_char *)rejection->challenge};
  r->headers_out.www_authenticate = ngx_http_subtoken_reply_add_header(r, name, value);
  return r->headers_out.www_authenticate == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t ngx_http_subtoken_reply_add_retry_after(
    ngx_http_request_t *r, const ngx_http_subtoken_rejection_t *rejection) {
  if (rejection->status != 503 && rejection->status != 429) return NGX_OK;
  static const ngx_str_t name = ngx_string("Retry-After");
  time_t seconds =
      rejection->retry_after > 0 ? rejection->retry_after : NGX_HTTP_SUBTOKEN_REPLY_RETRY_AFTER;
  ngx_str_t value = {0, ngx_pnalloc(r->pool, NGX_TIME_T_LEN)};
  if (value.data == NULL) return NGX_ERROR;
  value.len = (size_t)(ngx_sprintf(value.data, "%T", seconds) - value.data);
  return ngx_http_subtoken_reply_add_header(r, name, value) == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t ngx_http_subtoken_reply_add_headers(
    ngx_http_request_t *r, const ngx_http_subtoken_rejection_t *rejection) {
  size_t count = sizeof ngx_http_subtoken_reply_headers / sizeof ngx_http_subtoken_reply_headers[0];
  for (size_t i = 0; i < count; i++) {
    if (ngx_http_subtoken_reply_add_header(r, ngx_http_subtoken_reply_headers[i].name,
                                           ngx_http_subtoken_reply_headers[i].value) == NULL) {
      return NGX_ERROR;
    }
  }
  if (ngx_http_subtoken_reply_add_challenge(r, rejection) != NGX_OK) return NGX_ERROR;
  return ngx_http_subtoken_reply_add_retry_after(r, rejection);
}

/* ---- the response ---- */

/* Neither the texts nor the characters of a permission need an escape in JSON. */
static ngx_buf_t *ngx_http_subtoken_reply_create_body(
    ngx_http_request_t *r, const ngx_http_subtoken_rejection_t *rejection) {
  size_t text = ngx_strlen(rejection->text), whole = rejection->body.len;
  ngx_buf_t *body = ngx_create_temp_buf(
      r->pool, whole > 0 ? whole : sizeof "{\"text\":\"\"}" + text + rejection->scope.len);
  if (body == NULL) return NULL;
  if (whole > 0) {
    body->last = ngx_cpymem(body->last, rejection->body.data, whole);
  } else {
    body->last = ngx_cpymem(body->last, "{\"text\":\"", 9);
    body->last = ngx_cpymem(body->last, rejection->text, text);
    if (rejection->scope.len > 0) {
      body->last = ngx_cpymem(body->last, rejection->scope.data, rejection->scope.len);
    }
    body->last = ngx_cpymem(body->last, "\"}", 2);
  }
  body->last_buf = r == r->main;
  body->last_in_chain = 1;
  return body;
}

/* A client that waits for `100 Continue` gets none. It may send the body all the same, so the
 * connection is of no use for another request.
 */
static void ngx_http_subtoken_reply_refuse_body(ngx_http_request_t *r) {
  if (r->headers_in.expect != NULL && !r->expect_tested) r->keepalive = 0;
  r->expect_tested = 1;
}

static ngx_int_t ngx_http_subtoken_reply_respond(ngx_http_request_t *r,
                                                 const ngx_http_subtoken_rejection_t *rejection) {
  ngx_chain_t out;
  ngx_http_subtoken_reply_refuse_body(r);
  ngx_int_t rc = ngx_http_discard_request_body(r);
  if (rc != NGX_OK) return rc;
  ngx_http_clean_header(r); /* a response that redirected here may have left some */
  out.buf = ngx_http_subtoken_reply_create_body(r, rejection);
  out.next = NULL;
  if (out.buf == NULL || ngx_http_subtoken_reply_add_headers(r, rejection) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  r->err_status = 0; /* `error_page 404 =200` that led here must not make a 200 of a rejection */
  r->headers_out.status = rejection->status;
  r->headers_out.content_length_n = out.buf->last - out.buf->pos;
  ngx_str_set(&r->headers_out.content_type, "application/json; charset=utf-8");
  r->headers_out.content_type_len = sizeof "application/json" - 1;
  r->headers_out.content_type_lowcase = NULL;
  rc = ngx_http_send_header(r);
  if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) return rc;
  return ngx_http_output_filter(r, &out);
}

/* ---- what is left to nginx ---- */

static bool ngx_http_subtoken_reply_is_denial(ngx_uint_t status) {
  return status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN;
}

/* With `satisfy any` another module may let the request in all the same. */
static bool ngx_http_subtoken_reply_is_for_satisfy(ngx_http_request_t *r, ngx_uint_t status) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  return ngx_http_subtoken_reply_is_denial(status) && r == r->main &&
         core->satisfy == NGX_HTTP_SATISFY_ANY;
}

static bool ngx_http_subtoken_reply_has_error_page(const ngx_http_request_t *r, ngx_uint_t status) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  if (r->error_page || core->error_pages == NULL) return false;
  const ngx_http_err_page_t *pages = core->error_pages->elts;
  for (ngx_uint_t i = 0; i < core->error_pages->nelts; i++) {
    if (pages[i].status == (ngx_int_t)status) return true;
  }
  return false;
}

/* Once a request: where the error page is rejected as well, the module answers. */
static bool ngx_http_subtoken_reply_is_for_error_page(ngx_http_request_t *r, ngx_uint_t status) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
  if (!ngx_http_subtoken_reply_is_denial(status) || r != r->main || ctx == NULL ||
      ctx->error_page || !ngx_http_subtoken_reply_has_error_page(r, status)) {
    return false;
  }
  ctx->error_page = 1;
  return true;
}

ngx_int_t ngx_http_subtoken_reply_send(ngx_http_request_t *r,
                                       const ngx_http_subtoken_rejection_t *rejection) {
  bool satisfy = ngx_http_subtoken_reply_is_for_satisfy(r, rejection->status);
  if (!satisfy && !ngx_http_subtoken_reply_is_for_error_page(r, rejection->status)) {
    ngx_http_finalize_request(r, ngx_http_subtoken_reply_respond(r, rejection));
    return NGX_DONE;
  }
  if (rejection->status == 401 && ngx_http_subtoken_reply_add_challenge(r, rejection) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!satisfy && ngx_http_subtoken_reply_add_no_store(r) != NGX_OK) return NGX_ERROR;
  return (ngx_int_t)rejection->status;
}
