/* Which credential a request brought, read as the server reads it: from Authorization, X-API-Key
 * and, already decoded, access_token= of the query. ngx_http_subtoken_headers.c finds the headers.
 * Whether it is good is not decided here: see ngx_http_subtoken_evaluate.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

static inline subtoken_text ngx_http_subtoken_credential_trim(ngx_str_t value) {
  while (value.len > 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
    value.data++;
    value.len--;
  }
  while (value.len > 0 && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t')) {
    value.len--;
  }
  return ngx_http_subtoken_text(value);
}

/* Is this the scheme of Authorization? Then *rest is what follows it. */
static inline bool ngx_http_subtoken_credential_has_scheme(subtoken_text value, const char *scheme,
                                                           subtoken_text *rest) {
  size_t i = ngx_strlen(scheme);
  if (value.len < i || (value.len > i && value.data[i] != ' ')) return false;
  ngx_str_t first = {i, (u_char *)value.data};
  if (!ngx_http_subtoken_credential_is_word(first, scheme)) return false;
  while (i < value.len && value.data[i] == ' ') i++;
  *rest = (subtoken_text){value.data + i, value.len - i};
  return true;
}

/* An empty credential is none. The same one in two forms is one, but for HTTP Basic. */
static inline void ngx_http_subtoken_credential_take(ngx_http_subtoken_credential_t *credential,
                                                     subtoken_text text, uint8_t form) {
  if (text.len == 0) return;
  if (credential->state == NGX_HTTP_SUBTOKEN_CREDENTIAL_NONE) {
    credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_ONE;
    credential->text = text;
  } else if (form == NGX_HTTP_SUBTOKEN_IN_BASIC ||
             credential->forms == NGX_HTTP_SUBTOKEN_IN_BASIC || credential->text.len != text.len ||
             ngx_memcmp(credential->text.data, text.data, text.len) != 0) {
    credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS;
  }
  credential->forms |= form;
}

void ngx_http_subtoken_credential_take_authorization(ngx_http_subtoken_credential_t *credential,
                                                     ngx_str_t raw, ngx_uint_t forms) {
  subtoken_text value = ngx_http_subtoken_credential_trim(raw), rest;
  if (ngx_http_subtoken_credential_has_scheme(value, "bearer", &rest)) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_BEARER) == 0) return;
    ngx_http_subtoken_credential_take(credential, rest, NGX_HTTP_SUBTOKEN_IN_BEARER);
  } else if (ngx_http_subtoken_credential_has_scheme(value, "basic", &rest) && rest.len > 0) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_BASIC) == 0) return;
    ngx_http_subtoken_credential_take(credential, value, NGX_HTTP_SUBTOKEN_IN_BASIC);
  }
}

void ngx_http_subtoken_credential_take_key(ngx_http_subtoken_credential_t *credential,
                                           ngx_str_t raw) {
  ngx_http_subtoken_credential_take(credential, ngx_http_subtoken_credential_trim(raw),
                                    NGX_HTTP_SUBTOKEN_IN_KEY_HEADER);
}

void ngx_http_subtoken_credential_take_query(ngx_http_subtoken_credential_t *credential,
                                             const ngx_http_subtoken_ctx_t *ctx) {
  if (credential->state == NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS) return;
  ngx_http_subtoken_credential_take(credential, ngx_http_subtoken_text(ctx->query_credential),
                                    NGX_HTTP_SUBTOKEN_IN_QUERY);
  if (ctx->query_ambiguous) credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS;
  if (ctx->query_unreadable) credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_UNREADABLE;
}
