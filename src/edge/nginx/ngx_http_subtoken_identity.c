/* The X-Subtoken-* headers. Those that a caller sent under such a name are removed, and the
 * module's own are set. ngx_http_subtoken_headers.c finds them. They are put among the headers of
 * the request, so that every kind of upstream gets them and no proxy_set_header of a location
 * removes them. Whom a credential stands for is found elsewhere: see ngx_http_subtoken_evaluate.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

enum {
  NGX_HTTP_SUBTOKEN_IDENTITY_SUB,
  NGX_HTTP_SUBTOKEN_IDENTITY_KEY,
  NGX_HTTP_SUBTOKEN_IDENTITY_OWNER,
  NGX_HTTP_SUBTOKEN_IDENTITY_PERMISSIONS,
  NGX_HTTP_SUBTOKEN_IDENTITY_EXPIRES,
  NGX_HTTP_SUBTOKEN_IDENTITY_HEADERS,
};

/* As they are added, without a value. nginx finds by its hash a header that proxy_set_header
 * replaces.
 */
static ngx_table_elt_t ngx_http_subtoken_identity_headers[NGX_HTTP_SUBTOKEN_IDENTITY_HEADERS] = {
    {.key = ngx_string("X-Subtoken-Sub"), .lowcase_key = (u_char *)"x-subtoken-sub"},
    {.key = ngx_string("X-Subtoken-Key"), .lowcase_key = (u_char *)"x-subtoken-key"},
    {.key = ngx_string("X-Subtoken-Owner"), .lowcase_key = (u_char *)"x-subtoken-owner"},
    {.key = ngx_string("X-Subtoken-Permissions"),
     .lowcase_key = (u_char *)"x-subtoken-permissions"},
    {.key = ngx_string("X-Subtoken-Expires"), .lowcase_key = (u_char *)"x-subtoken-expires"},
};

void ngx_http_subtoken_identity_init(void) {
  for (size_t i = 0; i < NGX_HTTP_SUBTOKEN_IDENTITY_HEADERS; i++) {
    ngx_table_elt_t *header = &ngx_http_subtoken_identity_headers[i];
    header->hash = ngx_hash_key(header->lowcase_key, header->key.len);
  }
}

/* ---- what a caller sent ---- */

/* Each run of headers that stay becomes a part of the new list. */
static ngx_int_t ngx_http_subtoken_identity_keep_part(ngx_pool_t *pool, ngx_list_t *kept,
                                                      const ngx_list_part_t *part) {
  ngx_table_elt_t *each = part->elts;
  for (ngx_uint_t i = 0, start = 0; i <= part->nelts; i++) {
    if (i < part->nelts && !ngx_http_subtoken_headers_is_identity(&each[i].key)) continue;
    if (i > start) {
      if (kept->last->nelts > 0) {
        kept->last->next = ngx_pcalloc(pool, sizeof(ngx_list_part_t));
        kept->last = kept->last->next;
        if (kept->last == NULL) return NGX_ERROR;
      }
      kept->last->elts = &each[start];
      kept->last->nelts = i - start;
    }
    start = i + 1;
  }
  return NGX_OK;
}

/* nginx keeps pointers to single headers, so none may move. A subrequest shares the parts of its
 * parent's list, so none may change. Therefore the parts of the new list are views of the old
 * ones, and the last counts as full, so that a new header goes into memory of its own.
 */
static ngx_int_t ngx_http_subtoken_identity_remove(ngx_http_request_t *r) {
  ngx_list_t *headers = &r->headers_in.headers, kept = *headers;
  kept.part = (ngx_list_part_t){NULL, 0, NULL};
  kept.last = &kept.part;
  for (const ngx_list_part_t *part = &headers->part; part != NULL; part = part->next) {
    if (ngx_http_subtoken_identity_keep_part(r->pool, &kept, part) != NGX_OK) return NGX_ERROR;
  }
  if (kept.part.nelts == 0) {
    kept.part.elts = ngx_palloc(r->pool, kept.nalloc * kept.size);
    if (kept.part.elts == NULL) return NGX_ERROR;
  } else {
    kept.nalloc = kept.last->nelts;
  }
  bool single = kept.last == &kept.part;
  *headers = kept;
  if (single) headers->last = &headers->part;
  return NGX_OK;
}

/* ---- what the module sets ---- */

/* A request of HTTP/0.9 does not even have a list of headers. */
static ngx_int_t ngx_http_subtoken_identity_add(ngx_http_request_t *r, ngx_uint_t which,
                                                ngx_str_t value) {
  ngx_list_t *headers = &r->headers_in.headers;
  if (value.len == 0) return NGX_OK;
  if (headers->nalloc == 0 && ngx_list_init(headers, r->pool, NGX_HTTP_SUBTOKEN_IDENTITY_HEADERS,
                                            sizeof(ngx_table_elt_t)) != NGX_OK) {
    return NGX_ERROR;
  }
  ngx_list_part_t *last = headers->last;
  bool room = last->nelts < headers->nalloc; /* then ngx_list_push would do just this */
  ngx_table_elt_t *header =
      room ? (ngx_table_elt_t *)last->elts + last->nelts++ : ngx_list_push(headers);
  if (header == NULL) return NGX_ERROR;
  *header = ngx_http_subtoken_identity_headers[which];
  header->value = value;
  return NGX_OK;
}

/* Seconds since 1970, two digits at a time, because each division waits for the one before.
 * ngx_sprintf costs more than all the rest of this file.
 */
static ngx_int_t ngx_http_subtoken_identity_format_time(ngx_pool_t *pool, int64_t time,
                                                        ngx_str_t *text) {
  u_char digits[NGX_INT64_LEN + 2], *at = digits + sizeof digits;
  uint64_t left = time > 0 ? (uint64_t)time : 0;
  do {
    unsigned two = (unsigned)(left % 100);
    left /= 100;
    *--at = (u_char)('0' + two % 10);
    *--at = (u_char)('0' + two / 10);
  } while (left > 0);
  if (*at == '0') at++; /* a second digit follows */
  text->len = (size_t)(digits + sizeof digits - at);
  text->data = ngx_pnalloc(pool, text->len);
  if (text->data == NULL) return NGX_ERROR;
  ngx_memcpy(text->data, at, text->len);
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_identity_add_all(ngx_http_request_t *r,
                                                    const ngx_http_subtoken_identity_t *identity) {
  ngx_str_t values[NGX_HTTP_SUBTOKEN_IDENTITY_HEADERS];
  values[NGX_HTTP_SUBTOKEN_IDENTITY_SUB] = identity->sub;
  values[NGX_HTTP_SUBTOKEN_IDENTITY_KEY] = identity->key;
  values[NGX_HTTP_SUBTOKEN_IDENTITY_OWNER] = identity->owner;
  values[NGX_HTTP_SUBTOKEN_IDENTITY_PERMISSIONS] = identity->permissions;
  ngx_str_t *expires = &values[NGX_HTTP_SUBTOKEN_IDENTITY_EXPIRES];
  ngx_str_null(expires);
  if (identity->expires != SUBTOKEN_TIME_MAX && identity->sub.len > 0 &&
      ngx_http_subtoken_identity_format_time(r->pool, identity->expires, expires) != NGX_OK) {
    return NGX_ERROR;
  }
  for (ngx_uint_t i = 0; i < NGX_HTTP_SUBTOKEN_IDENTITY_HEADERS; i++) {
    if (ngx_http_subtoken_identity_add(r, i, values[i]) != NGX_OK) return NGX_ERROR;
  }
  return NGX_OK;
}

/* A subrequest begins with a view of its parent's list, which must not get its headers. A function
 * of its own, so that a request with nothing to change does not pay for it.
 */
static __attribute__((noinline)) ngx_int_t ngx_http_subtoken_identity_replace(
    ngx_http_request_t *r, bool came, const ngx_http_subtoken_identity_t *identity) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  if ((came || r != r->main) && ngx_http_subtoken_identity_remove(r) != NGX_OK) return NGX_ERROR;
  if (main->identity_variables.nelts > 0) {
    ngx_http_subtoken_request_reset_variables(r, &main->identity_variables);
  }
  return identity == NULL ? NGX_OK : ngx_http_subtoken_identity_add_all(r, identity);
}

/* Without a content handler the response is a file or an error, and no upstream needs the headers.
 * What such a location leads to (try_files, error_page, subrequests) gets here by itself.
 */
ngx_int_t ngx_http_subtoken_identity_set(ngx_http_request_t *r, bool came,
                                         const ngx_http_subtoken_identity_t *identity) {
  if (r->content_handler == NULL) identity = NULL;
  return came || identity != NULL ? ngx_http_subtoken_identity_replace(r, came, identity) : NGX_OK;
}
