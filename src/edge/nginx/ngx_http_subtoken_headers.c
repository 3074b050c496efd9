/* One walk over the headers of a request finds all that the module reads of them: the credential,
 * whether they are those of a CORS preflight, and whether a caller sent X-Subtoken-* headers. What
 * the walk of REWRITE found is kept for PREACCESS, and used there while the list is the same: a
 * module such as Lua's may change a header in between. What a credential may look like is in
 * ngx_http_subtoken_credential.c, how headers are removed in ngx_http_subtoken_identity.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_HEADERS_PREFIX "x-subtoken-"

/* ---- names ---- */

/* An upstream may read other characters as a hyphen: WSGI does so with `_`, PHP with `.`. */
static inline u_char ngx_http_subtoken_headers_fold(u_char c) {
  u_char lower = c | 0x20;
  return (lower >= 'a' && lower <= 'z') ? lower : (c >= '0' && c <= '9') ? c : '-';
}

static bool ngx_http_subtoken_headers_has_prefix(const ngx_str_t *name) {
  static const char prefix[] = NGX_HTTP_SUBTOKEN_HEADERS_PREFIX;
  for (size_t i = 0; i < sizeof prefix - 1; i++) {
    if (ngx_http_subtoken_headers_fold(name->data[i]) != (u_char)prefix[i]) return false;
  }
  return true;
}

/* The length or two letters rule most headers out. */
static inline bool ngx_http_subtoken_headers_is_own(const ngx_str_t *name) {
  return name->len >= sizeof NGX_HTTP_SUBTOKEN_HEADERS_PREFIX - 1 &&
         (name->data[0] | 0x20) == 'x' && (name->data[2] | 0x20) == 's' &&
         ngx_http_subtoken_headers_has_prefix(name);
}

bool ngx_http_subtoken_headers_is_identity(const ngx_str_t *name) {
  return ngx_http_subtoken_headers_is_own(name);
}

bool ngx_http_subtoken_headers_have_identity(const ngx_list_t *headers) {
  for (const ngx_list_part_t *part = &headers->part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts; /* NULL in a request of HTTP/0.9 */
    for (ngx_uint_t left = part->nelts; left > 0; left--, each++) {
      if (ngx_http_subtoken_headers_is_own(&each->key)) return true;
    }
  }
  return false;
}

/* The length alone rules most headers out. */
static inline bool ngx_http_subtoken_headers_is_candidate(size_t len) {
  static const uint32_t lengths = 1U << (sizeof "authorization" - 1) |
                                  1U << (sizeof "x-api-key" - 1) | 1U << (sizeof "origin" - 1) |
                                  1U << (sizeof "access-control-request-method" - 1);
  return len < 32 && (lengths >> len & 1U) != 0;
}

/* ---- the walk ---- */

/* How often each header came. */
typedef struct {
  ngx_uint_t authorizations;
  ngx_uint_t keys;
  ngx_uint_t origins;
  ngx_uint_t methods;
} ngx_http_subtoken_headers_count_t;

static void ngx_http_subtoken_headers_take(ngx_http_subtoken_headers_t *headers,
                                           const ngx_table_elt_t *header, ngx_uint_t forms,
                                           ngx_http_subtoken_headers_count_t *count) {
  const ngx_str_t name = header->key;
  if (ngx_http_subtoken_credential_is_word(name, "authorization")) {
    if ((forms & (NGX_HTTP_SUBTOKEN_IN_BEARER | NGX_HTTP_SUBTOKEN_IN_BASIC)) == 0) return;
    count->authorizations++;
    headers->source = header;
    ngx_http_subtoken_credential_take_authorization(&headers->credential, header->value, forms);
  } else if (ngx_http_subtoken_credential_is_word(name, "x-api-key")) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_KEY_HEADER) == 0) return;
    count->keys++;
    headers->source = header;
    ngx_http_subtoken_credential_take_key(&headers->credential, header->value);
  } else if (ngx_http_subtoken_credential_is_word(name, "origin")) {
    count->origins++;
  } else if (ngx_http_subtoken_credential_is_word(name, "access-control-request-method")) {
    count->methods++;
  }
}

/* What may be used again: a list of one part, in which at most one header could hold a credential.
 * A module that puts another header into such a list makes it longer, or a list of two parts, or
 * takes off the last first.
 */
static void ngx_http_subtoken_headers_note(ngx_http_subtoken_headers_t *headers,
                                           const ngx_list_part_t *part, ngx_uint_t forms,
                                           const ngx_http_subtoken_headers_count_t *count) {
  const ngx_table_elt_t *each = part->elts;
  if (part->next != NULL || part->nelts == 0) return;
  if (count->authorizations + count->keys > 1) return;
  headers->elts = each;
  headers->nelts = part->nelts;
  headers->last = each[part->nelts - 1].key.data;
  if (headers->source == NULL) headers->source = each;
  headers->value = headers->source->value;
  headers->forms = forms;
}

void ngx_http_subtoken_headers_read(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                                    ngx_uint_t forms, ngx_http_subtoken_headers_t *headers) {
  ngx_http_subtoken_headers_count_t count = {0, 0, 0, 0};
  const ngx_list_part_t *first = &r->headers_in.headers.part;
  ngx_http_subtoken_credential_t *credential = &headers->credential;
  *credential = (ngx_http_subtoken_credential_t){0};
  headers->elts = headers->source = NULL;
  headers->identity = false;
  const ngx_list_part_t *part = first;
  do {
    const ngx_table_elt_t *each = part->elts; /* NULL in a request of HTTP/0.9 */
    for (ngx_uint_t left = part->nelts; left > 0; left--, each++) {
      if (ngx_http_subtoken_headers_is_candidate(each->key.len)) {
        ngx_http_subtoken_headers_take(headers, each, forms, &count);
      }
      if (ngx_http_subtoken_headers_is_own(&each->key)) headers->identity = true;
    }
    part = part->next;
  } while (part != NULL);
  credential->preflight = count.origins > 0 && count.methods > 0;
  if (count.authorizations > 1) credential->state = NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS;
  ngx_http_subtoken_headers_note(headers, first, forms, &count);
  if (ctx->query_token && (forms & NGX_HTTP_SUBTOKEN_IN_QUERY) != 0) {
    ngx_http_subtoken_credential_take_query(credential, ctx);
  }
}

const ngx_http_subtoken_credential_t *ngx_http_subtoken_headers_credential(
    ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx, ngx_uint_t forms,
    ngx_http_subtoken_headers_t *fresh) {
  if (ctx->headers.forms == forms && ngx_http_subtoken_headers_hold(&ctx->headers, r->main)) {
    return &ctx->headers.credential;
  }
  ngx_http_subtoken_headers_read(r->main, ctx, forms, fresh);
  return &fresh->credential;
}
