/* The variables of the module: whom a request stands for and why it was rejected, which an earlier
 * phase may evaluate it for (ngx_http_subtoken_outcome.c), and the state of the revocation data.
 * Also which of nginx's own variables show what the module removes from a request.
 */
#include <openssl/sha.h>

#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_VARIABLES_TAG_LEN \
  8 /* hex digits of the SHA-256, as in the server's log */

enum {
  NGX_HTTP_SUBTOKEN_VARIABLES_SUB,
  NGX_HTTP_SUBTOKEN_VARIABLES_PERMISSIONS,
  NGX_HTTP_SUBTOKEN_VARIABLES_TID,
};

enum {
  NGX_HTTP_SUBTOKEN_VARIABLES_TRACE_ID,
  NGX_HTTP_SUBTOKEN_VARIABLES_SPAN_ID,
};

enum {
  NGX_HTTP_SUBTOKEN_VARIABLES_FEED_AGE,
  NGX_HTTP_SUBTOKEN_VARIABLES_FEED_SEQUENCE,
  NGX_HTTP_SUBTOKEN_VARIABLES_FEED_COUNT,
};

static ngx_int_t ngx_http_subtoken_variables_identity(ngx_http_request_t *r,
                                                      ngx_http_variable_value_t *value,
                                                      uintptr_t data);
static ngx_int_t ngx_http_subtoken_variables_result(ngx_http_request_t *r,
                                                    ngx_http_variable_value_t *value,
                                                    uintptr_t data);
static ngx_int_t ngx_http_subtoken_variables_credential(ngx_http_request_t *r,
                                                        ngx_http_variable_value_t *value,
                                                        uintptr_t data);
static ngx_int_t ngx_http_subtoken_variables_trace(ngx_http_request_t *r,
                                                   ngx_http_variable_value_t *value,
                                                   uintptr_t data);
static ngx_int_t ngx_http_subtoken_variables_feed(ngx_http_request_t *r,
                                                  ngx_http_variable_value_t *value, uintptr_t data);

static ngx_http_variable_t ngx_http_subtoken_variables[] = {
    {ngx_string("subtoken_sub"), NULL, ngx_http_subtoken_variables_identity,
     NGX_HTTP_SUBTOKEN_VARIABLES_SUB, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_permissions"), NULL, ngx_http_subtoken_variables_identity,
     NGX_HTTP_SUBTOKEN_VARIABLES_PERMISSIONS, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_tid"), NULL, ngx_http_subtoken_variables_identity,
     NGX_HTTP_SUBTOKEN_VARIABLES_TID, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_result"), NULL, ngx_http_subtoken_variables_result, 0,
     NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_credential"), NULL, ngx_http_subtoken_variables_credential, 0,
     NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_trace_id"), NULL, ngx_http_subtoken_variables_trace,
     NGX_HTTP_SUBTOKEN_VARIABLES_TRACE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_span_id"), NULL, ngx_http_subtoken_variables_trace,
     NGX_HTTP_SUBTOKEN_VARIABLES_SPAN_ID, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_feed_age"), NULL, ngx_http_subtoken_variables_feed,
     NGX_HTTP_SUBTOKEN_VARIABLES_FEED_AGE, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_feed_sequence"), NULL, ngx_http_subtoken_variables_feed,
     NGX_HTTP_SUBTOKEN_VARIABLES_FEED_SEQUENCE, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_feed_count"), NULL, ngx_http_subtoken_variables_feed,
     NGX_HTTP_SUBTOKEN_VARIABLES_FEED_COUNT, NGX_HTTP_VAR_NOCACHEABLE, 0},
};

ngx_int_t ngx_http_subtoken_variables_add(ngx_conf_t *cf) {
  size_t count = sizeof ngx_http_subtoken_variables / sizeof ngx_http_subtoken_variables[0];
  for (size_t i = 0; i < count; i++) {
    ngx_http_variable_t *variable = &ngx_http_subtoken_variables[i];
    ngx_http_variable_t *added = ngx_http_add_variable(cf, &variable->name, variable->flags);
    if (added == NULL) return NGX_ERROR;
    added->get_handler = variable->get_handler;
    added->data = variable->data;
  }
  return NGX_OK;
}

/* ---- handlers ---- */

static ngx_int_t ngx_http_subtoken_variables_set(ngx_http_variable_value_t *value, ngx_str_t text) {
  value->valid = 1;
  value->no_cacheable = 1;
  value->not_found = 0;
  value->escape = 0;
  value->len = (unsigned)text.len & 0x0FFFFFFF;
  value->data = text.data;
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_variables_set_empty(ngx_http_variable_value_t *value) {
  value->not_found = 1;
  return NGX_OK;
}

/* Whom the log line of a request that was refused names: nothing else may take him for one who was
 * let in, so the variables are empty before.
 */
static const ngx_http_subtoken_identity_t *ngx_http_subtoken_variables_denied(
    ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx) {
  if (!ctx->ended || ctx->granted || ctx->result == NULL) return &ctx->identity;
  if (ctx->denied == NULL) ctx->denied = ngx_http_subtoken_evaluate_denied(r, ctx);
  return ctx->denied != NULL ? ctx->denied : &ctx->identity;
}

static ngx_int_t ngx_http_subtoken_variables_identity(ngx_http_request_t *r,
                                                      ngx_http_variable_value_t *value,
                                                      uintptr_t data) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_outcome_find(r);
  if (ctx == NULL) return ngx_http_subtoken_variables_set_empty(value);
  const ngx_http_subtoken_identity_t *identity = ngx_http_subtoken_variables_denied(r, ctx);
  ngx_str_t text = identity->permissions;
  if (data == NGX_HTTP_SUBTOKEN_VARIABLES_SUB) text = identity->sub;
  if (data == NGX_HTTP_SUBTOKEN_VARIABLES_TID) text = identity->tid;
  if (text.len == 0) return ngx_http_subtoken_variables_set_empty(value);
  return ngx_http_subtoken_variables_set(value, text);
}

/* Of a subrequest its own, but only in its log line (log_subrequest). */
static const char *ngx_http_subtoken_variables_find_result(const ngx_http_request_t *r,
                                                           ngx_http_subtoken_ctx_t *ctx) {
  if (r == r->main) return ctx->result;
  const ngx_http_subtoken_original_t *original = ngx_http_subtoken_request_find_original(r, ctx);
  return original != NULL && original->ended ? original->result : ctx->result;
}

static ngx_int_t ngx_http_subtoken_variables_result(ngx_http_request_t *r,
                                                    ngx_http_variable_value_t *value,
                                                    uintptr_t data) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_outcome_find(r);
  const char *result = ctx == NULL ? NULL : ngx_http_subtoken_variables_find_result(r, ctx);
  (void)data;
  if (result == NULL) return ngx_http_subtoken_variables_set_empty(value);
  ngx_str_t text = {ngx_strlen(result), (u_char *)result};
  return ngx_http_subtoken_variables_set(value, text);
}

/* Empty for HTTP Basic, which holds a password, and for a credential that cannot be read: so does
 * the server's log.
 */
static ngx_int_t ngx_http_subtoken_variables_credential(ngx_http_request_t *r,
                                                        ngx_http_variable_value_t *value,
                                                        uintptr_t data) {
  ngx_http_subtoken_loc_conf_t *conf =
      ngx_http_get_module_loc_conf(r->main, ngx_http_subtoken_module);
  ngx_http_subtoken_headers_t headers;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_outcome_find(r);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  ngx_str_t text;
  (void)data;
  if (ctx == NULL) return ngx_http_subtoken_variables_set_empty(value);
  const ngx_http_subtoken_credential_t *credential =
      ngx_http_subtoken_headers_credential(r, ctx, conf->credentials, &headers);
  if (credential->state != NGX_HTTP_SUBTOKEN_CREDENTIAL_ONE ||
      credential->forms == NGX_HTTP_SUBTOKEN_IN_BASIC) {
    return ngx_http_subtoken_variables_set_empty(value);
  }
  text.data = ngx_pnalloc(r->pool, NGX_HTTP_SUBTOKEN_VARIABLES_TAG_LEN);
  if (text.data == NULL) return NGX_ERROR;
  (void)SHA256((const unsigned char *)credential->text.data, credential->text.len, digest);
  u_char *end = ngx_hex_dump(text.data, digest, NGX_HTTP_SUBTOKEN_VARIABLES_TAG_LEN / 2);
  text.len = (size_t)(end - text.data);
  return ngx_http_subtoken_variables_set(value, text);
}

static ngx_int_t ngx_http_subtoken_variables_trace(ngx_http_request_t *r,
                                                   ngx_http_variable_value_t *value,
                                                   uintptr_t data) {
  ngx_str_t trace = ngx_http_subtoken_trace_find(r);
  if (trace.len == 0) return ngx_http_subtoken_variables_set_empty(value);
  return ngx_http_subtoken_variables_set(value, data == NGX_HTTP_SUBTOKEN_VARIABLES_TRACE_ID
                                                    ? ngx_http_subtoken_trace_id(trace)
                                                    : ngx_http_subtoken_trace_span(trace));
}

static ngx_int_t ngx_http_subtoken_variables_feed(ngx_http_request_t *r,
                                                  ngx_http_variable_value_t *value,
                                                  uintptr_t data) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (conf->feed == NULL || conf->feed->file == NULL) {
    return ngx_http_subtoken_variables_set_empty(value);
  }
  const subtoken_feed *feed = &conf->feed->file->feed;
  if (feed->time == 0) return ngx_http_subtoken_variables_set_empty(value);
  /* Not feed->sequence: FILE.seen may be ahead of what is in use. */
  int64_t number = feed->snapshot.sequence;
  if (data == NGX_HTTP_SUBTOKEN_VARIABLES_FEED_AGE) {
    number = subtoken_feed_age(feed, ngx_time(), ngx_http_subtoken_feed_monotonic());
  } else if (data == NGX_HTTP_SUBTOKEN_VARIABLES_FEED_COUNT) {
    number = (int64_t)feed->snapshot.count;
  }
  ngx_str_t text;
  text.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
  if (text.data == NULL) return NGX_ERROR;
  text.len = (size_t)(ngx_sprintf(text.data, "%L", number) - text.data);
  return ngx_http_subtoken_variables_set(value, text);
}

/* ---- LOG ---- */

/* The first handler of LOG. A log reads what an earlier phase found in a variable, if one read it:
 * that may have been before anything was decided.
 */
ngx_int_t ngx_http_subtoken_variables_log_handler(ngx_http_request_t *r) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
  ngx_http_subtoken_log_end(r);
  ngx_http_subtoken_request_reset_variables(r, &main->own_variables);
  if (ctx == NULL) return NGX_OK;
  if (r == r->main) {
    ctx->ended = 1;
    ngx_http_subtoken_counters_end(r);
  } else {
    ngx_http_subtoken_original_t *original = ngx_http_subtoken_request_find_original(r, ctx);
    if (original != NULL) original->ended = true;
  }
  return NGX_OK;
}

/* ---- nginx's own variables ---- */

static bool ngx_http_subtoken_variables_is_own(const ngx_str_t *name) {
  size_t count = sizeof ngx_http_subtoken_variables / sizeof ngx_http_subtoken_variables[0];
  for (size_t i = 0; i < count; i++) {
    const ngx_str_t *own = &ngx_http_subtoken_variables[i].name;
    if (name->len == own->len && ngx_memcmp(name->data, own->data, own->len) == 0) return true;
  }
  return false;
}

/* The list into which this variable belongs, or NULL. */
static ngx_array_t *ngx_http_subtoken_variables_list(ngx_http_subtoken_main_conf_t *main,
                                                     const ngx_str_t *name) {
  static const char *const targets[] = {"request_uri",  "request", "args",
                                        "query_string", "is_args", "arg_access_token"};
  static const char identity[] = "http_x_subtoken_";
  for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
    if (name->len != ngx_strlen(targets[i])) continue;
    if (ngx_memcmp(name->data, targets[i], name->len) == 0) return &main->target_variables;
  }
  if (ngx_http_subtoken_variables_is_own(name)) return &main->own_variables;
  bool is_identity = name->len >= sizeof identity - 1 &&
                     ngx_memcmp(name->data, identity, sizeof identity - 1) == 0;
  return is_identity ? &main->identity_variables : NULL;
}

ngx_int_t ngx_http_subtoken_variables_find(ngx_conf_t *cf, ngx_http_subtoken_main_conf_t *main) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  const ngx_http_variable_t *variables = core->variables.elts;
  for (ngx_uint_t i = 0; i < core->variables.nelts; i++) {
    ngx_array_t *list = ngx_http_subtoken_variables_list(main, &variables[i].name);
    if (list == NULL) continue;
    ngx_uint_t *index = ngx_array_push(list);
    if (index == NULL) return NGX_ERROR;
    *index = i;
  }
  return NGX_OK;
}
