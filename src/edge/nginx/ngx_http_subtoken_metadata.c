/* Where clients get a token for a resource (RFC 9728): the document about it, which the module
 * serves without a credential, and the challenge of a 401, which names the document. Both need
 * "resource" in the policy and the directive subtoken_issuer. What they say is the library's
 * (subtoken/policy.h).
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_METADATA_PATH "/.well-known/oauth-protected-resource"

/* Few requests begin so, and each of these has to be looked for in the policy. */
static bool ngx_http_subtoken_metadata_is_path(subtoken_text target) {
  static const char path[] = NGX_HTTP_SUBTOKEN_METADATA_PATH;
  return target.len >= sizeof path - 1 && ngx_memcmp(target.data, path, sizeof path - 1) == 0;
}

static size_t ngx_http_subtoken_metadata_write(const ngx_http_subtoken_loc_conf_t *conf,
                                               const ngx_http_subtoken_ctx_t *ctx, char *out,
                                               size_t size) {
  return subtoken_policy_metadata(conf->policy->policy, ctx->original.target,
                                  ngx_http_subtoken_text(conf->issuer), out, size);
}

bool ngx_http_subtoken_metadata_is_asked(ngx_http_request_t *r,
                                         const ngx_http_subtoken_loc_conf_t *conf,
                                         const ngx_http_subtoken_ctx_t *ctx) {
  char out[SUBTOKEN_METADATA_MAX];
  if (conf->issuer.len == 0 || conf->policy == NULL || conf->policy->policy == NULL ||
      r != r->main || (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) ||
      !ngx_http_subtoken_metadata_is_path(ctx->original.target)) {
    return false;
  }
  return ngx_http_subtoken_metadata_write(conf, ctx, out, sizeof out) > 0;
}

/* The policy may have changed since it was evaluated: then there may be none any more. */
ngx_int_t ngx_http_subtoken_metadata_send(ngx_http_request_t *r,
                                          const ngx_http_subtoken_loc_conf_t *conf,
                                          const ngx_http_subtoken_ctx_t *ctx) {
  char *out = ngx_pnalloc(r->pool, SUBTOKEN_METADATA_MAX);
  if (out == NULL) return NGX_ERROR;
  size_t len = ngx_http_subtoken_metadata_write(conf, ctx, out, SUBTOKEN_METADATA_MAX);
  if (len == 0) return NGX_HTTP_NOT_FOUND;
  ngx_http_subtoken_rejection_t document;
  ngx_http_subtoken_reply_reject(&document, NGX_HTTP_OK, NULL, NULL, "");
  document.body = (subtoken_text){out, len};
  return ngx_http_subtoken_reply_send(r, &document);
}

ngx_int_t ngx_http_subtoken_metadata_name(const ngx_http_subtoken_evaluation_t *e,
                                          ngx_http_subtoken_rejection_t *rejection) {
  char out[SUBTOKEN_CHALLENGE_MAX];
  if (e->conf->issuer.len == 0 || e->decision.resource.len == 0 || rejection->challenge == NULL) {
    return NGX_DECLINED;
  }
  subtoken_text challenge = {rejection->challenge, ngx_strlen(rejection->challenge)};
  size_t len = subtoken_resource_challenge(
      challenge, e->decision.resource, ngx_http_subtoken_text(e->conf->issuer), out, sizeof out);
  if (len == 0) return NGX_DECLINED;
  rejection->challenge = ngx_http_subtoken_reply_copy(e->r->pool, (subtoken_text){out, len});
  return rejection->challenge == NULL ? NGX_ERROR : NGX_DECLINED;
}
