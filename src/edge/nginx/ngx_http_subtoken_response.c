/* A response of the decision endpoint: the identity that it tells, if it is genuine. It is
 * genuine when it repeats the nonce of its request, so that no cache can have given it. What is
 * asked, and what becomes of a response without an identity, is in ngx_http_subtoken_fallback.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* False when it comes twice. An absent header leaves *value as it is. */
static bool ngx_http_subtoken_response_find_header(ngx_list_t *headers, const char *name,
                                                   ngx_str_t *value) {
  size_t len = ngx_strlen(name);
  ngx_uint_t count = 0;
  for (ngx_list_part_t *part = &headers->part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (each[i].hash == 0 || each[i].key.len != len ||
          ngx_strncasecmp(each[i].key.data, (u_char *)name, len) != 0) {
        continue;
      }
      count++;
      *value = each[i].value;
    }
  }
  return count <= 1;
}

/* Views of the headers. False: one comes twice. */
static bool ngx_http_subtoken_response_find_identity(ngx_list_t *headers,
                                                     ngx_http_subtoken_identity_t *identity,
                                                     ngx_str_t *expires) {
  ngx_memzero(identity, sizeof *identity);
  ngx_str_null(expires);
  return ngx_http_subtoken_response_find_header(headers, "X-Subtoken-Sub", &identity->sub) &&
         ngx_http_subtoken_response_find_header(headers, "X-Subtoken-Key", &identity->key) &&
         ngx_http_subtoken_response_find_header(headers, "X-Subtoken-Owner", &identity->owner) &&
         ngx_http_subtoken_response_find_header(headers, "X-Subtoken-Permissions",
                                                &identity->permissions) &&
         ngx_http_subtoken_response_find_header(headers, "X-Subtoken-Expires", expires);
}

static bool ngx_http_subtoken_response_copy(ngx_pool_t *pool, ngx_str_t *text) {
  u_char *copy = ngx_pnalloc(pool, text->len + 1);
  if (copy == NULL) return false;
  if (text->len > 0) ngx_memcpy(copy, text->data, text->len);
  text->data = copy;
  return true;
}

bool ngx_http_subtoken_response_claims(const ngx_http_subtoken_identity_t *identity,
                                       subtoken_claims *claims) {
  return subtoken_claims_from_identity(claims, ngx_http_subtoken_text(identity->sub),
                                       ngx_http_subtoken_text(identity->permissions),
                                       identity->expires) == SUBTOKEN_OK;
}

/* A copy in the subrequest's pool, which is that of the main request. NULL: it claims nothing. */
static ngx_http_subtoken_identity_t *ngx_http_subtoken_response_keep(
    ngx_pool_t *pool, const ngx_http_subtoken_identity_t *found) {
  subtoken_claims claims;
  ngx_http_subtoken_identity_t *identity = ngx_palloc(pool, sizeof *identity);
  if (identity == NULL || !ngx_http_subtoken_response_claims(found, &claims)) return NULL;
  *identity = *found;
  bool good = ngx_http_subtoken_response_copy(pool, &identity->sub) &&
              ngx_http_subtoken_response_copy(pool, &identity->key) &&
              ngx_http_subtoken_response_copy(pool, &identity->owner) &&
              ngx_http_subtoken_response_copy(pool, &identity->permissions);
  return good ? identity : NULL;
}

/* NULL when it cannot be read: then nothing is granted. */
static ngx_http_subtoken_identity_t *ngx_http_subtoken_response_read_identity(
    ngx_http_request_t *sr) {
  ngx_http_subtoken_identity_t found;
  ngx_str_t expires;
  if (!ngx_http_subtoken_response_find_identity(&sr->upstream->headers_in.headers, &found,
                                                &expires) ||
      found.sub.len == 0) {
    return NULL;
  }
  found.expires = SUBTOKEN_TIME_MAX;
  if (expires.len > 16) return NULL;
  if (expires.len > 0) found.expires = ngx_atotm(expires.data, expires.len);
  return ngx_http_subtoken_response_keep(sr->pool, &found);
}

/* A response that names a user says that an anonymous one has no permissions: none was sent, so
 * it is not about this request.
 */
static ngx_http_subtoken_identity_t *ngx_http_subtoken_response_read_anonymous(
    ngx_http_request_t *sr) {
  ngx_http_subtoken_identity_t found;
  ngx_str_t expires;
  if (!ngx_http_subtoken_response_find_identity(&sr->upstream->headers_in.headers, &found,
                                                &expires)) {
    return NULL;
  }
  ngx_http_subtoken_identity_t anonymous = {.expires = SUBTOKEN_TIME_MAX};
  if (found.sub.len == 0 && found.key.len == 0) anonymous.permissions = found.permissions;
  return ngx_http_subtoken_response_keep(sr->pool, &anonymous);
}

static bool ngx_http_subtoken_response_has_nonce(ngx_http_request_t *sr,
                                                 const ngx_http_subtoken_fallback_t *fallback) {
  ngx_str_t nonce = ngx_null_string;
  if (sr->upstream == NULL || !ngx_http_subtoken_response_find_header(
                                  &sr->upstream->headers_in.headers, "X-Subtoken-Nonce", &nonce)) {
    return false;
  }
  return nonce.len == NGX_HTTP_SUBTOKEN_NONCE_LEN &&
         ngx_memcmp(nonce.data, fallback->nonce, NGX_HTTP_SUBTOKEN_NONCE_LEN) == 0;
}

static time_t ngx_http_subtoken_response_read_retry_after(ngx_http_request_t *sr) {
  ngx_str_t text = ngx_null_string;
  if (!ngx_http_subtoken_response_find_header(&sr->upstream->headers_in.headers, "Retry-After",
                                              &text)) {
    return 0;
  }
  ngx_int_t seconds = text.len <= 6 ? ngx_atoi(text.data, text.len) : NGX_ERROR;
  return seconds > 0 ? (time_t)seconds : 0;
}

/* A 403 or 400 of the endpoint's own policy tells the identity as well: what the credential may
 * do is evaluated here.
 */
void ngx_http_subtoken_response_read(ngx_http_request_t *sr,
                                     ngx_http_subtoken_fallback_t *fallback) {
  ngx_uint_t status = fallback->status;
  fallback->genuine = ngx_http_subtoken_response_has_nonce(sr, fallback);
  if (!fallback->genuine) return;
  fallback->retry_after = ngx_http_subtoken_response_read_retry_after(sr);
  if (fallback->anonymous) {
    if (status == NGX_HTTP_OK || status == NGX_HTTP_UNAUTHORIZED) {
      fallback->identity = ngx_http_subtoken_response_read_anonymous(sr);
    }
  } else if (status == NGX_HTTP_OK || status == NGX_HTTP_FORBIDDEN ||
             status == NGX_HTTP_BAD_REQUEST) {
    fallback->identity = ngx_http_subtoken_response_read_identity(sr);
  }
  if (fallback->identity != NULL && fallback->has_cache_key) {
    ngx_http_subtoken_cache_put(fallback->cache, fallback->cache_key, fallback->identity);
  }
}
