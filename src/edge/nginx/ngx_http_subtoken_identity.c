/* The X-Subtoken-* headers: whatever a caller sent under such a name is taken off, and who it
 * is goes in its place. They are put among the request's own headers, so that every kind of
 * upstream gets them, and a location's own proxy_set_header takes none of them away.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_PREFIX "x-subtoken-"

enum {
  NGX_HTTP_SUBTOKEN_SUB,
  NGX_HTTP_SUBTOKEN_KEY,
  NGX_HTTP_SUBTOKEN_OWNER,
  NGX_HTTP_SUBTOKEN_PERMISSIONS,
  NGX_HTTP_SUBTOKEN_EXPIRES,
  NGX_HTTP_SUBTOKEN_HEADERS,
};

/* nginx finds a header that proxy_set_header replaces by its hash. */
static struct {
  ngx_str_t name;
  u_char *lower;
  ngx_uint_t hash;
} ngx_http_subtoken_headers[NGX_HTTP_SUBTOKEN_HEADERS] = {
    {ngx_string("X-Subtoken-Sub"), (u_char *)"x-subtoken-sub", 0},
    {ngx_string("X-Subtoken-Key"), (u_char *)"x-subtoken-key", 0},
    {ngx_string("X-Subtoken-Owner"), (u_char *)"x-subtoken-owner", 0},
    {ngx_string("X-Subtoken-Permissions"), (u_char *)"x-subtoken-permissions", 0},
    {ngx_string("X-Subtoken-Expires"), (u_char *)"x-subtoken-expires", 0},
};

void ngx_http_subtoken_hash_identity(void) {
  for (size_t i = 0; i < NGX_HTTP_SUBTOKEN_HEADERS; i++) {
    ngx_http_subtoken_headers[i].hash =
        ngx_hash_key(ngx_http_subtoken_headers[i].lower, ngx_http_subtoken_headers[i].name.len);
  }
}

/* ---- what a caller sent ---- */

/* An upstream may read every sign in a name as a hyphen: WSGI does so with `_`, PHP with `.`. */
static inline u_char ngx_http_subtoken_fold(u_char c) {
  u_char lower = c | 0x20;
  return (lower >= 'a' && lower <= 'z') ? lower : (c >= '0' && c <= '9') ? c : '-';
}

static bool ngx_http_subtoken_has_prefix(const ngx_str_t *name) {
  static const char prefix[] = NGX_HTTP_SUBTOKEN_PREFIX;
  for (size_t i = 0; i < sizeof prefix - 1; i++) {
    if (ngx_http_subtoken_fold(name->data[i]) != (u_char)prefix[i]) return false;
  }
  return true;
}

/* Every header of every request is looked at: most are none by their length, or two letters. */
static inline bool ngx_http_subtoken_is_identity(const ngx_str_t *name) {
  return name->len >= sizeof NGX_HTTP_SUBTOKEN_PREFIX - 1 && (name->data[0] | 0x20) == 'x' &&
         (name->data[2] | 0x20) == 's' && ngx_http_subtoken_has_prefix(name);
}

static bool ngx_http_subtoken_has_identity(const ngx_list_t *headers) {
  for (const ngx_list_part_t *part = &headers->part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts, *end = each + part->nelts;
    for (; each < end; each++) {
      if (ngx_http_subtoken_is_identity(&each->key)) return true;
    }
  }
  return false;
}

/* The runs of a part's headers that stay become parts of the new list. */
static ngx_int_t ngx_http_subtoken_keep_runs(ngx_pool_t *pool, ngx_list_t *kept,
                                             const ngx_list_part_t *part) {
  ngx_table_elt_t *each = part->elts;
  for (ngx_uint_t i = 0, start = 0; i <= part->nelts; i++) {
    if (i < part->nelts && !ngx_http_subtoken_is_identity(&each[i].key)) continue;
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

/* nginx points at single headers, so none may move; and the parts of a list may be those of the
 * parent as well, so none may change. The new list's parts are views of the old one's. The last
 * counts as full, so that what is added goes into memory of its own.
 */
static ngx_int_t ngx_http_subtoken_take_off(ngx_http_request_t *r) {
  ngx_list_t *headers = &r->headers_in.headers, kept = *headers;
  kept.part = (ngx_list_part_t){NULL, 0, NULL};
  kept.last = &kept.part;
  for (const ngx_list_part_t *part = &headers->part; part != NULL; part = part->next) {
    if (ngx_http_subtoken_keep_runs(r->pool, &kept, part) != NGX_OK) return NGX_ERROR;
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

/* ---- who it is ---- */

/* A request of HTTP/0.9 has no headers, and not even a list of them. */
static ngx_int_t ngx_http_subtoken_tell(ngx_http_request_t *r, ngx_uint_t which, ngx_str_t value) {
  ngx_list_t *headers = &r->headers_in.headers;
  if (value.len == 0) return NGX_OK;
  if (headers->nalloc == 0 && ngx_list_init(headers, r->pool, NGX_HTTP_SUBTOKEN_HEADERS,
                                            sizeof(ngx_table_elt_t)) != NGX_OK) {
    return NGX_ERROR;
  }
  ngx_table_elt_t *header = ngx_list_push(headers);
  if (header == NULL) return NGX_ERROR;
  header->hash = ngx_http_subtoken_headers[which].hash;
  header->key = ngx_http_subtoken_headers[which].name;
  header->lowcase_key = ngx_http_subtoken_headers[which].lower;
  header->value = value;
  return NGX_OK;
}

/* Seconds since 1970; nginx's own printing costs more than all the rest of this file. */
static ngx_int_t ngx_http_subtoken_write_time(ngx_pool_t *pool, int64_t time, ngx_str_t *text) {
  u_char digits[NGX_INT64_LEN], *at = digits + sizeof digits;
  uint64_t left = time > 0 ? (uint64_t)time : 0;
  do {
    *--at = (u_char)('0' + left % 10);
    left /= 10;
  } while (left > 0);
  text->len = (size_t)(digits + sizeof digits - at);
  text->data = ngx_pnalloc(pool, text->len);
  if (text->data == NULL) return NGX_ERROR;
  ngx_memcpy(text->data, at, text->len);
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_tell_all(ngx_http_request_t *r,
                                            const ngx_http_subtoken_identity_t *who) {
  ngx_str_t expires = ngx_null_string;
  if (who->expires != SUBTOKEN_TIME_MAX && who->sub.len > 0 &&
      ngx_http_subtoken_write_time(r->pool, who->expires, &expires) != NGX_OK) {
    return NGX_ERROR;
  }
  if (ngx_http_subtoken_tell(r, NGX_HTTP_SUBTOKEN_SUB, who->sub) != NGX_OK ||
      ngx_http_subtoken_tell(r, NGX_HTTP_SUBTOKEN_KEY, who->key) != NGX_OK ||
      ngx_http_subtoken_tell(r, NGX_HTTP_SUBTOKEN_OWNER, who->owner) != NGX_OK ||
      ngx_http_subtoken_tell(r, NGX_HTTP_SUBTOKEN_PERMISSIONS, who->permissions) != NGX_OK) {
    return NGX_ERROR;
  }
  return ngx_http_subtoken_tell(r, NGX_HTTP_SUBTOKEN_EXPIRES, expires);
}

/* A subrequest begins with a view of its parent's list: what is added must not go into it. Apart,
 * so that a request with nothing to change does not pay for it.
 */
static __attribute__((noinline)) ngx_int_t ngx_http_subtoken_change_identity(
    ngx_http_request_t *r, bool told, const ngx_http_subtoken_identity_t *who) {
  ngx_http_subtoken_main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  if ((told || r != r->main) && ngx_http_subtoken_take_off(r) != NGX_OK) return NGX_ERROR;
  ngx_http_subtoken_forget(r, &all->identity_variables);
  return who == NULL ? NGX_OK : ngx_http_subtoken_tell_all(r, who);
}

/* Without a content handler the answer is a file, or an error: no upstream is told of it. What
 * such a location leads to (try_files, error_page, subrequests) comes here by itself.
 */
ngx_int_t ngx_http_subtoken_set_identity(ngx_http_request_t *r,
                                         const ngx_http_subtoken_identity_t *who) {
  bool told = ngx_http_subtoken_has_identity(&r->headers_in.headers);
  if (r->content_handler == NULL) who = NULL;
  return told || who != NULL ? ngx_http_subtoken_change_identity(r, told, who) : NGX_OK;
}
