/* The Model Context Protocol: what a request calls, which its body says, and its headers where they
 * came, against what the policy wants for that. The rules are the library's (subtoken/policy.h);
 * this file hands it the headers and the body, and makes a rejection of what it says. What clients
 * make of the rejections is in subtoken_mcp(7).
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* ---- headers ---- */

/* The values of a header. Two are as bad as more. */
typedef struct {
  subtoken_text values[2];
  size_t count;
} ngx_http_subtoken_mcp_header_t;

typedef struct {
  ngx_http_subtoken_mcp_header_t method;
  ngx_http_subtoken_mcp_header_t name;
  ngx_http_subtoken_mcp_header_t version;
} ngx_http_subtoken_mcp_headers_t;

static void ngx_http_subtoken_mcp_add(ngx_http_subtoken_mcp_header_t *header, ngx_str_t value) {
  if (header->count == 2) return;
  header->values[header->count++] = ngx_http_subtoken_text(value);
}

static void ngx_http_subtoken_mcp_read_headers(const ngx_http_request_t *r,
                                               ngx_http_subtoken_mcp_headers_t *headers) {
  headers->method.count = headers->name.count = headers->version.count = 0;
  for (const ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts; /* NULL in a request of HTTP/0.9 */
    for (ngx_uint_t left = part->nelts; left > 0; left--, each++) {
      if (ngx_http_subtoken_credential_is_word(each->key, "mcp-method")) {
        ngx_http_subtoken_mcp_add(&headers->method, each->value);
      } else if (ngx_http_subtoken_credential_is_word(each->key, "mcp-name")) {
        ngx_http_subtoken_mcp_add(&headers->name, each->value);
      } else if (ngx_http_subtoken_credential_is_word(each->key, "mcp-protocol-version")) {
        ngx_http_subtoken_mcp_add(&headers->version, each->value);
      }
    }
  }
}

/* ---- rejections ---- */

/* A 400 is a JSON-RPC error, because clients read one from it, and from no other status. */
static ngx_int_t ngx_http_subtoken_mcp_reject(ngx_http_request_t *r, subtoken_result result,
                                              const subtoken_mcp *mcp,
                                              ngx_http_subtoken_rejection_t *rejection) {
  char out[SUBTOKEN_CHALLENGE_MAX];
  ngx_http_subtoken_reply_reject_result(rejection, result);
  if (result == SUBTOKEN_MALFORMED) {
    ngx_http_subtoken_reply_reject(rejection, 400, "bad_request", NULL, "");
  }
  size_t len = subtoken_mcp_challenge(result, mcp, out, sizeof out);
  if (len > 0) {
    rejection->challenge = ngx_http_subtoken_reply_copy(r->pool, (subtoken_text){out, len});
    if (rejection->challenge == NULL) return NGX_ERROR;
  }
  len = subtoken_mcp_reply(result, mcp, out, sizeof out);
  if (len == 0) return NGX_DECLINED;
  rejection->body.data = ngx_http_subtoken_reply_copy(r->pool, (subtoken_text){out, len});
  rejection->body.len = len;
  return rejection->body.data == NULL ? NGX_ERROR : NGX_DECLINED;
}

/* ---- the check ---- */

/* With chunked, and in HTTP/2, nginx does not know the length. */
static bool ngx_http_subtoken_mcp_has_body(const ngx_http_request_t *r) {
  return r->headers_in.content_length_n > 0 || r->headers_in.chunked;
}

ngx_int_t ngx_http_subtoken_mcp_check(ngx_http_subtoken_evaluation_t *e,
                                      ngx_http_subtoken_rejection_t *rejection) {
  ngx_http_request_t *r = e->r;
  ngx_http_subtoken_mcp_headers_t headers;
  subtoken_mcp_call call = SUBTOKEN_MCP_CALL_DEFAULT;
  subtoken_mcp mcp = SUBTOKEN_MCP_DEFAULT;
  call.has_body = ngx_http_subtoken_mcp_has_body(r);
  if (call.has_body && e->conf->read_body) {
    ngx_int_t rc = ngx_http_subtoken_body_read(r, e->ctx, e->may_wait, &call.body, rejection);
    if (rc != NGX_OK) return rc;
    call.scratch_size = call.body.len + 1;
    call.scratch = ngx_pnalloc(r->pool, call.scratch_size);
    if (call.scratch == NULL) return NGX_ERROR;
  }
  ngx_http_subtoken_mcp_read_headers(r, &headers);
  call.mcp_method = headers.method.values;
  call.mcp_method_count = headers.method.count;
  call.mcp_name = headers.name.values;
  call.mcp_name_count = headers.name.count;
  call.mcp_version = headers.version.values;
  call.mcp_version_count = headers.version.count;
  subtoken_result result = subtoken_mcp_check(e->conf->policy->policy, &e->decision, &e->request,
                                              &e->claims, &call, &mcp);
  if (result == SUBTOKEN_OK) return NGX_OK;
  return ngx_http_subtoken_mcp_reject(r, result, &mcp, rejection);
}
