/* access_token= in a query: whether it is there, what it holds, and the query without it. The
 * name is found however it is escaped, and read as the server reads it. What becomes of nginx's
 * variables and logs is in ngx_http_subtoken_rewrite.c and ngx_http_subtoken_log.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_QUERY_NAME "access_token"

static int ngx_http_subtoken_query_hex_value(u_char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded; out has room for all of raw. False: a bad escape. */
static ngx_flag_t ngx_http_subtoken_query_decode(ngx_str_t raw, ngx_str_t *out) {
  out->len = 0;
  for (size_t i = 0; i < raw.len; i++) {
    u_char c = raw.data[i];
    if (c == '+') {
      c = ' ';
    } else if (c == '%') {
      int high = raw.len - i >= 3 ? ngx_http_subtoken_query_hex_value(raw.data[i + 1]) : -1;
      int low = raw.len - i >= 3 ? ngx_http_subtoken_query_hex_value(raw.data[i + 2]) : -1;
      if (high < 0 || low < 0) return 0;
      c = (u_char)(high << 4 | low);
      i += 2;
    }
    out->data[out->len++] = c;
  }
  return 1;
}

/* Cut the next parameter off a query, without its &. False: nothing is left. */
static ngx_flag_t ngx_http_subtoken_query_next(ngx_str_t *rest, ngx_str_t *parameter) {
  if (rest->data == NULL) return 0;
  u_char *end = memchr(rest->data, '&', rest->len);
  *parameter = *rest;
  if (end == NULL) {
    rest->data = NULL;
    rest->len = 0;
    return 1;
  }
  parameter->len = (size_t)(end - rest->data);
  rest->len -= parameter->len + 1;
  rest->data = end + 1;
  return 1;
}

static ngx_str_t ngx_http_subtoken_query_name(ngx_str_t parameter) {
  u_char *equals = memchr(parameter.data, '=', parameter.len);
  if (equals != NULL) parameter.len = (size_t)(equals - parameter.data);
  return parameter;
}

/* Each character may be escaped by three; a longer name cannot be the one. */
static ngx_flag_t ngx_http_subtoken_query_has_name(ngx_str_t parameter) {
  u_char buffer[3 * sizeof NGX_HTTP_SUBTOKEN_QUERY_NAME];
  ngx_str_t name = ngx_http_subtoken_query_name(parameter), decoded = {0, buffer};
  if (name.len > sizeof buffer || !ngx_http_subtoken_query_decode(name, &decoded)) return 0;
  return decoded.len == sizeof NGX_HTTP_SUBTOKEN_QUERY_NAME - 1 &&
         ngx_memcmp(buffer, NGX_HTTP_SUBTOKEN_QUERY_NAME, decoded.len) == 0;
}

/* The first character tells most parameters apart. */
static inline ngx_flag_t ngx_http_subtoken_query_is_token(ngx_str_t parameter) {
  return parameter.len >= sizeof NGX_HTTP_SUBTOKEN_QUERY_NAME - 1 &&
         (*parameter.data == NGX_HTTP_SUBTOKEN_QUERY_NAME[0] || *parameter.data == '%') &&
         ngx_http_subtoken_query_has_name(parameter);
}

static ngx_str_t ngx_http_subtoken_query_of_target(ngx_str_t target) {
  ngx_str_t query = ngx_null_string;
  u_char *mark = memchr(target.data, '?', target.len);
  if (mark == NULL) return query;
  query.data = mark + 1;
  query.len = (size_t)(target.data + target.len - query.data);
  return query;
}

ngx_flag_t ngx_http_subtoken_query_has_token(ngx_str_t query) {
  ngx_str_t rest = query, parameter;
  while (ngx_http_subtoken_query_next(&rest, &parameter)) {
    if (ngx_http_subtoken_query_is_token(parameter)) return 1;
  }
  return 0;
}

ngx_flag_t ngx_http_subtoken_query_target_has_token(ngx_str_t target) {
  return ngx_http_subtoken_query_has_token(ngx_http_subtoken_query_of_target(target));
}

/* The other parameters are kept byte for byte. */
ngx_str_t ngx_http_subtoken_query_remove_token(ngx_str_t query, u_char *memory) {
  ngx_str_t rest = query, parameter, kept = {0, memory};
  bool first = true;
  while (ngx_http_subtoken_query_next(&rest, &parameter)) {
    if (ngx_http_subtoken_query_is_token(parameter)) continue;
    if (!first) kept.data[kept.len++] = '&';
    first = false;
    ngx_memcpy(kept.data + kept.len, parameter.data, parameter.len);
    kept.len += parameter.len;
  }
  return kept;
}

/* A ? stays only where a query follows it. */
ngx_int_t ngx_http_subtoken_query_clean_target(ngx_pool_t *pool, ngx_str_t target, ngx_str_t *out) {
  ngx_str_t query = ngx_http_subtoken_query_of_target(target);
  *out = target;
  if (!ngx_http_subtoken_query_has_token(query)) return NGX_OK;
  size_t path = target.len - query.len - 1;
  u_char *memory = ngx_pnalloc(pool, target.len);
  if (memory == NULL) return NGX_ERROR;
  ngx_memcpy(memory, target.data, path);
  ngx_str_t kept = ngx_http_subtoken_query_remove_token(query, memory + path + 1);
  memory[path] = '?';
  out->data = memory;
  out->len = kept.len > 0 ? path + 1 + kept.len : path;
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_query_take_value(ngx_http_request_t *r,
                                                    ngx_http_subtoken_ctx_t *ctx,
                                                    ngx_str_t parameter) {
  size_t before = ngx_http_subtoken_query_name(parameter).len + 1;
  ctx->query_token = 1;
  if (before >= parameter.len) return NGX_OK;
  ngx_str_t raw = {parameter.len - before, parameter.data + before}, value;
  value.data = ngx_pnalloc(r->pool, raw.len);
  if (value.data == NULL) return NGX_ERROR;
  if (!ngx_http_subtoken_query_decode(raw, &value)) {
    ctx->query_unreadable = 1;
  } else if (ctx->query_credential.len == 0) {
    ctx->query_credential = value;
  } else if (value.len != ctx->query_credential.len ||
             ngx_memcmp(value.data, ctx->query_credential.data, value.len) != 0) {
    ctx->query_ambiguous = 1;
  }
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_query_read_token(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx) {
  ngx_str_t rest = ngx_http_subtoken_query_of_target(r->unparsed_uri), parameter;
  while (ngx_http_subtoken_query_next(&rest, &parameter)) {
    if (ngx_http_subtoken_query_is_token(parameter) &&
        ngx_http_subtoken_query_take_value(r, ctx, parameter) != NGX_OK) {
      return NGX_ERROR;
    }
  }
  return NGX_OK;
}
