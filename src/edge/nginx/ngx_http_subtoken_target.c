/* The request target: whether it can be read in one way only, so that the upstream gets what is
 * evaluated; its slashes merged; and whether an internal redirect leads to a public path. What
 * the policy says of it otherwise is in ngx_http_subtoken_evaluate.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* Has no directive sent the request elsewhere? Then nginx found its location by this target. */
static ngx_flag_t ngx_http_subtoken_target_is_unchanged(const ngx_http_request_t *r) {
  return r == r->main && !r->internal && r->valid_unparsed_uri;
}

/* HTTP/2 sends scheme and host apart from the path, and nginx sets host_start for these. */
static bool ngx_http_subtoken_target_is_absolute(const ngx_http_request_t *r) {
  return r->http_version < NGX_HTTP_VERSION_20 && r->host_start != NULL;
}

/* Canonical paths have escapes in upper case. */
static int ngx_http_subtoken_target_hex_value(char c) {
  return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Is this canonical path, decoded, the path by which nginx found its location? */
static bool ngx_http_subtoken_target_is_uri(const char *path, size_t len, const ngx_str_t *uri) {
  size_t at = 0;
  for (size_t i = 0; i < len; i++) {
    char c = path[i];
    if (c == '%') {
      c = (char)(ngx_http_subtoken_target_hex_value(path[i + 1]) << 4 |
                 ngx_http_subtoken_target_hex_value(path[i + 2]));
      i += 2;
    }
    if (at == uri->len || uri->data[at] != (u_char)c) return false;
    at++;
  }
  return at == uri->len;
}

/* The policy reads the target too, before all else, and rejects one with several readings. Where
 * nginx uses the same path byte for byte, and without escapes, that reading is nginx's as well,
 * and a second one here would cost time for nothing. A path in which nginx found nothing to decode
 * or to merge is the start of the target itself, up to the query.
 */
static bool ngx_http_subtoken_target_is_read_by_policy(const ngx_http_request_t *r,
                                                       const ngx_http_subtoken_loc_conf_t *conf,
                                                       subtoken_text target) {
  const ngx_str_t *uri = &r->uri;
  if (conf->policy == NULL) return false;
  if (!ngx_http_subtoken_target_is_unchanged(r)) return true;
  if (uri->data == (const u_char *)target.data && uri->len <= target.len) return true;
  if (target.len < uri->len || (target.len > uri->len && target.data[uri->len] != '?')) {
    return false;
  }
  return ngx_memcmp(target.data, uri->data, uri->len) == 0 &&
         memchr(uri->data, '%', uri->len) == NULL && memchr(uri->data, '?', uri->len) == NULL;
}

/* Not inline, because of its long buffer: the check of most requests does not get here. */
static __attribute__((noinline)) subtoken_result ngx_http_subtoken_target_read(
    const ngx_http_request_t *r, subtoken_text target) {
  char path[3 * SUBTOKEN_PATH_MAX + 1];
  size_t len;
  subtoken_result result = subtoken_target_path(target, path, sizeof path, &len, NULL);
  if (result != SUBTOKEN_OK || !ngx_http_subtoken_target_is_unchanged(r)) return result;
  return ngx_http_subtoken_target_is_uri(path, len, &r->uri) ? SUBTOKEN_OK : SUBTOKEN_BAD_TARGET;
}

/* A target with scheme and host (RFC 9112 section 3.2.2) names the host twice. */
subtoken_result ngx_http_subtoken_target_check(const ngx_http_request_t *r,
                                               const ngx_http_subtoken_loc_conf_t *conf,
                                               subtoken_text target) {
  if (ngx_http_subtoken_target_is_absolute(r->main)) return SUBTOKEN_BAD_TARGET;
  if (ngx_http_subtoken_target_is_read_by_policy(r, conf, target)) return SUBTOKEN_OK;
  return ngx_http_subtoken_target_read(r, target);
}

/* Whoever may not have what he asked for may still see a public page, as he may ask for it. The
 * policy is asked about the page's own path.
 */
bool ngx_http_subtoken_target_is_public_redirect(const ngx_http_subtoken_loc_conf_t *conf,
                                                 const ngx_http_subtoken_original_t *original) {
  const ngx_http_subtoken_policy_t *policy = conf->policy;
  subtoken_decision decision;
  decision.size = sizeof decision;
  if (original->redirect.len == 0 || policy == NULL || policy->policy == NULL) return false;
  return subtoken_policy_find(policy->policy, original->redirect_method, original->redirect, 0,
                              &decision) == SUBTOKEN_OK &&
         decision.access == SUBTOKEN_ACCESS_PUBLIC;
}

static bool ngx_http_subtoken_target_has_slashes(const char *path, size_t len) {
  for (size_t i = 1; i < len; i++) {
    if (path[i] == '/' && path[i - 1] == '/') return true;
  }
  return false;
}

ngx_int_t ngx_http_subtoken_target_merge_slashes(ngx_pool_t *pool, subtoken_text *target) {
  const char *query = memchr(target->data, '?', target->len);
  size_t path = query == NULL ? target->len : (size_t)(query - target->data), len = 0;
  if (!ngx_http_subtoken_target_has_slashes(target->data, path)) return NGX_OK;
  char *out = ngx_pnalloc(pool, target->len);
  if (out == NULL) return NGX_ERROR;
  for (size_t i = 0; i < path; i++) {
    if (i > 0 && target->data[i] == '/' && target->data[i - 1] == '/') continue;
    out[len++] = target->data[i];
  }
  ngx_memcpy(out + len, target->data + path, target->len - path);
  *target = (subtoken_text){out, len + target->len - path};
  return NGX_OK;
}
