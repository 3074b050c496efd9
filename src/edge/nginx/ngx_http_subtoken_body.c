/* The body of a JSON-RPC call: it names the APIs that it calls, and each needs a permission. It
 * is read after the credential was found good, and the evaluation starts anew when it is there:
 * see ngx_http_subtoken_evaluate.c. It is passed on as it came. The bodies of MCP are read here as
 * well; ngx_http_subtoken_mcp.c checks them.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* ---- reading it ---- */

static void ngx_http_subtoken_body_post_handler(ngx_http_request_t *r) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
  if (ctx != NULL) ctx->body_read = 1;
  r->preserve_body = 1;
  r->write_event_handler = ngx_http_core_run_phases;
  ngx_http_core_run_phases(r);
}

/* NGX_DONE: it is waited for, or the request has ended. */
static ngx_int_t ngx_http_subtoken_body_start(ngx_http_request_t *r) {
  ngx_int_t rc = ngx_http_read_client_request_body(r, ngx_http_subtoken_body_post_handler);
  if (rc >= NGX_HTTP_SPECIAL_RESPONSE) return rc;
  ngx_http_finalize_request(r, NGX_DONE);
  return NGX_DONE;
}

/* Copy the body into one text: its buffers may lie in memory and in a temporary file. */
static ngx_int_t ngx_http_subtoken_body_collect(ngx_http_request_t *r, subtoken_text *body) {
  off_t len = 0;
  ngx_chain_t *first = r->request_body == NULL ? NULL : r->request_body->bufs;
  *body = (subtoken_text){"", 0};
  for (ngx_chain_t *each = first; each != NULL; each = each->next) len += ngx_buf_size(each->buf);
  if (len > SUBTOKEN_RPC_BODY_MAX) return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
  if (len == 0) return NGX_OK;
  u_char *out = ngx_pnalloc(r->pool, (size_t)len), *end = out;
  if (out == NULL) return NGX_ERROR;
  for (ngx_chain_t *each = first; each != NULL; each = each->next) {
    ngx_buf_t *buf = each->buf;
    size_t size = (size_t)ngx_buf_size(buf);
    if (size == 0) continue; /* a buffer that only marks the end */
    if (!ngx_buf_in_memory(buf)) {
      if (ngx_read_file(buf->file, end, size, buf->file_pos) != (ssize_t)size) return NGX_ERROR;
    } else {
      ngx_memcpy(end, buf->pos, size);
    }
    end += size;
  }
  *body = (subtoken_text){(const char *)out, (size_t)len};
  return NGX_OK;
}

/* ---- what it may be ---- */

static void ngx_http_subtoken_body_reject_length(ngx_http_subtoken_rejection_t *rejection) {
  ngx_http_subtoken_reply_reject(rejection, 413, "limit", NULL,
                                 "the body is longer than 262144 bytes");
}

static bool ngx_http_subtoken_body_is_packed(const ngx_table_elt_t *header) {
  return ngx_http_subtoken_credential_is_word(header->key, "content-encoding") &&
         !ngx_http_subtoken_credential_is_word(header->value, "identity");
}

/* Some servers decode a body by the charset that its Content-Type names. In another than UTF-8,
 * such as UTF-7, the same bytes are another text.
 */
static bool ngx_http_subtoken_body_is_utf8(ngx_str_t type) {
  static const char word[] = "charset";
  u_char *end = type.data + type.len;
  u_char *at = ngx_strlcasestrn(type.data, end, (u_char *)word, sizeof word - 2);
  if (at == NULL) return true;
  at += sizeof word - 1;
  if (at == end || *at++ != '=') return false;
  bool quoted = at < end && *at == '"';
  if (quoted) at++;
  if (end - at < 5 || ngx_strncasecmp(at, (u_char *)"utf-8", 5) != 0) return false;
  at += 5;
  if (quoted && (at == end || *at++ != '"')) return false;
  while (at < end && (*at == ' ' || *at == '\t')) at++;
  if (at == end) return true;
  return *at == ';' && ngx_strlcasestrn(at, end, (u_char *)word, sizeof word - 2) == NULL;
}

/* A body whose length is known can be rejected before it is read. */
static ngx_int_t ngx_http_subtoken_body_check_headers(ngx_http_request_t *r,
                                                      ngx_http_subtoken_rejection_t *rejection) {
  ngx_uint_t types = 0;
  if (r->headers_in.content_length_n > SUBTOKEN_RPC_BODY_MAX) {
    ngx_http_subtoken_body_reject_length(rejection);
    return NGX_DECLINED;
  }
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    const ngx_table_elt_t *headers = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      bool type = ngx_http_subtoken_credential_is_word(headers[i].key, "content-type");
      bool other = type && (types++ > 0 || !ngx_http_subtoken_body_is_utf8(headers[i].value));
      if (!other && !ngx_http_subtoken_body_is_packed(&headers[i])) continue;
      ngx_http_subtoken_reply_reject(rejection, 415, "bad_request", NULL,
                                     "the body must be sent as it is, in UTF-8");
      return NGX_DECLINED;
    }
  }
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_body_read(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                      bool may_wait, subtoken_text *body,
                                      ngx_http_subtoken_rejection_t *rejection) {
  ngx_int_t rc = ngx_http_subtoken_body_check_headers(r, rejection);
  if (rc != NGX_OK) return rc;
  if (!ctx->body_read) return may_wait ? ngx_http_subtoken_body_start(r) : NGX_AGAIN;
  rc = ngx_http_subtoken_body_collect(r, body);
  if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
    ngx_http_subtoken_body_reject_length(rejection);
    return NGX_DECLINED;
  }
  return rc == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* ---- JSON-RPC ---- */

/* The missing permission is copied, because it lies in *rpc. */
static ngx_int_t ngx_http_subtoken_body_check_calls(ngx_http_request_t *r,
                                                    const subtoken_claims *claims,
                                                    subtoken_text body,
                                                    ngx_http_subtoken_rejection_t *rejection) {
  subtoken_rpc rpc;
  subtoken_text lacking;
  void *scratch = ngx_pnalloc(r->pool, body.len + 1);
  if (scratch == NULL) return NGX_ERROR;
  if (subtoken_rpc_read(body, scratch, body.len + 1, &rpc) != SUBTOKEN_OK) {
    ngx_http_subtoken_reply_reject(rejection, 400, "bad_request", NULL,
                                   "the body is no JSON-RPC request that can be read in one way "
                                   "only");
    return NGX_DECLINED;
  }
  subtoken_result result = subtoken_rpc_allowed(&rpc, claims, &lacking);
  if (result == SUBTOKEN_OK) return NGX_OK;
  if (result != SUBTOKEN_PERM || lacking.len == 0) {
    ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_PERM);
    return NGX_DECLINED;
  }
  const char *scope = ngx_http_subtoken_reply_copy(r->pool, lacking);
  if (scope == NULL) return NGX_ERROR;
  ngx_http_subtoken_reply_reject_scope(rejection, (subtoken_text){scope, lacking.len});
  return NGX_DECLINED;
}

ngx_int_t ngx_http_subtoken_body_check(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                       const subtoken_claims *claims, bool may_wait,
                                       ngx_http_subtoken_rejection_t *rejection) {
  subtoken_text body;
  ngx_int_t rc = ngx_http_subtoken_body_read(r, ctx, may_wait, &body, rejection);
  return rc == NGX_OK ? ngx_http_subtoken_body_check_calls(r, claims, body, rejection) : rc;
}
