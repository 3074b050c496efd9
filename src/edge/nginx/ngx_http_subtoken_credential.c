/* Which credential a request brought, read as the server reads it: from Authorization, X-API-Key
 * and, already decoded, access_token= of the query. Whether it is good is not decided here: see
 * ngx_http_subtoken_evaluate.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* Compare with a word in lower case. Inline, so that the compiler knows the length of a literal:
 * the length alone tells most headers apart.
 */
static inline ngx_flag_t ngx_http_subtoken_credential_is_word(ngx_str_t name, const char *word) {
  size_t len = ngx_strlen(word);
  if (name.len != len) return 0;
  unsigned differs = 0; /* the bit makes letters small, and leaves a hyphen alone */
  for (size_t i = 0; i < len; i++) differs |= (name.data[i] | 0x20U) ^ (u_char)word[i];
  return differs == 0;
}

static subtoken_text ngx_http_subtoken_credential_trim(ngx_str_t value) {
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
static inline ngx_flag_t ngx_http_subtoken_credential_has_scheme(subtoken_text value,
                                                                 const char *scheme,
                                                                 subtoken_text *rest) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  ngx_str_t first = {i, (u_char *)value.data};
  if (!ngx_http_subtoken_credential_is_word(first, scheme)) return 0;
  while (i < value.len && value.data[i] == ' ') i++;
  *rest = (subtoken_text){value.data + i, value.len - i};
  return 1;
}

/* An empty credential is none. The same one in two forms is one, but for HTTP Basic. */
static void ngx_http_subtoken_credential_take(ngx_http_subtoken_credential_t *credential,
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

static void ngx_http_subtoken_credential_take_authorization(
    ngx_http_subtoken_credential_t *credential, ngx_str_t raw, ngx_uint_t forms) {
  subtoken_text value = ngx_http_subtoken_credential_trim(raw), rest;
  if (ngx_http_subtoken_credential_has_scheme(value, "bearer", &rest)) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_BEARER) == 0) return;
    ngx_http_subtoken_credential_take(credential, rest, NGX_HTTP_SUBTOKEN_IN_BEARER);
  } else if (ngx_http_subtoken_credential_has_scheme(value, "basic", &rest) && rest.len > 0) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_BASIC) == 0) return;
    ngx_http_subtoken_credential_take(credential, value, NGX_HTTP_SUBTOKEN_IN_BASIC);
  }
}

/* The length alone rules most headers out. */
static inline bool ngx_http_subtoken_credential_is_candidate(size_t len) {
  static const uint32_t lengths = 1U << (sizeof "authorization" - 1) |
                                  1U << (sizeof "x-api-key" - 1) | 1U << (sizeof "origin" - 1) |
                                  1U << (sizeof "access-control-request-method" - 1);
  return len < 32 && (lengths >> len & 1U) != 0;
}

static inline void ngx_http_subtoken_credential_take_header(
    ngx_http_subtoken_credential_t *credential, const ngx_table_elt_t *header, ngx_uint_t forms,
    ngx_uint_t *authorizations) {
  if (ngx_http_subtoken_credential_is_word(header->key, "authorization")) {
    *authorizations += (forms & (NGX_HTTP_SUBTOKEN_IN_BEARER | NGX_HTTP_SUBTOKEN_IN_BASIC)) != 0;
    ngx_http_subtoken_credential_take_authorization(credential, header->value, forms);
  } else if (ngx_http_subtoken_credential_is_word(header->key, "x-api-key")) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_KEY_HEADER) == 0) return;
    ngx_http_subtoken_credential_take(credential, ngx_http_subtoken_credential_trim(header->value),
                                      NGX_HTTP_SUBTOKEN_IN_KEY_HEADER);
  }
}

void ngx_http_subtoken_credential_find(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                                       ngx_uint_t forms,
                                       ngx_http_subtoken_credential_t *credential) {
  ngx_uint_t authorizations = 0, origins = 0, methods = 0;
  ngx_memzero(credential, sizeof *credential);
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    ngx_table_elt_t *headers = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      ngx_str_t name = headers[i].key;
      if (!ngx_http_subtoken_credential_is_candidate(name.len)) continue;
      ngx_http_subtoken_credential_take_header(credential, &headers[i], forms, &authorizations);
      if (ngx_http_subtoken_credential_is_word(name, "origin")) origins++;
      if (ngx_http_subtoken_credential_is_word(name, "access-control-request-method")) methods++;
    }
  }
  credential->preflight = origins > 0 && methods > 0;
  if (authorizations > 1) credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS;
  if (credential->state == NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS ||
      (forms & NGX_HTTP_SUBTOKEN_IN_QUERY) == 0) {
    return;
  }
  ngx_http_subtoken_credential_take(credential, ngx_http_subtoken_text(ctx->query_credential),
                                    NGX_HTTP_SUBTOKEN_IN_QUERY);
  if (ctx->query_ambiguous) credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS;
  if (ctx->query_unreadable) credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_UNREADABLE;
}
