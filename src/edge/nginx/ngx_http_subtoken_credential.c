/* Which credential a request brought, read as the server reads it; and the query without it. */
#include "edge/nginx/ngx_http_subtoken.h"

#define IN_QUERY "access_token"

/* ---- the query ---- */

static int hex_value(u_char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded; out has room for all of it. False: a bad escape. */
static ngx_flag_t form_decode(ngx_str_t raw, ngx_str_t *out) {
  out->len = 0;
  for (size_t i = 0; i < raw.len; i++) {
    u_char c = raw.data[i];
    if (c == '+') {
      c = ' ';
    } else if (c == '%') {
      int high = raw.len - i >= 3 ? hex_value(raw.data[i + 1]) : -1;
      int low = raw.len - i >= 3 ? hex_value(raw.data[i + 2]) : -1;
      if (high < 0 || low < 0) return 0;
      c = (u_char)(high << 4 | low);
      i += 2;
    }
    out->data[out->len++] = c;
  }
  return 1;
}

/* Cut the next piece of a query off, without its &; False when nothing is left. */
static ngx_flag_t next_piece(ngx_str_t *rest, ngx_str_t *piece) {
  if (rest->data == NULL) return 0;
  u_char *end = memchr(rest->data, '&', rest->len);
  *piece = *rest;
  if (end == NULL) {
    rest->data = NULL;
    rest->len = 0;
    return 1;
  }
  piece->len = (size_t)(end - rest->data);
  rest->len -= piece->len + 1;
  rest->data = end + 1;
  return 1;
}

static ngx_str_t name_of(ngx_str_t piece) {
  u_char *equals = memchr(piece.data, '=', piece.len);
  if (equals != NULL) piece.len = (size_t)(equals - piece.data);
  return piece;
}

/* However it is escaped; a longer name cannot be it. */
static ngx_flag_t is_named_so(ngx_str_t piece) {
  u_char room[3 * sizeof IN_QUERY];
  ngx_str_t name = name_of(piece), decoded = {0, room};
  if (name.len > sizeof room || !form_decode(name, &decoded)) return 0;
  return decoded.len == sizeof IN_QUERY - 1 && ngx_memcmp(room, IN_QUERY, decoded.len) == 0;
}

/* Most pieces are not by their first character. */
static inline ngx_flag_t is_access_token(ngx_str_t piece) {
  return piece.len >= sizeof IN_QUERY - 1 && (*piece.data == IN_QUERY[0] || *piece.data == '%') &&
         is_named_so(piece);
}

static ngx_str_t query_of(ngx_str_t target) {
  ngx_str_t query = ngx_null_string;
  u_char *mark = memchr(target.data, '?', target.len);
  if (mark == NULL) return query;
  query.data = mark + 1;
  query.len = (size_t)(target.data + target.len - query.data);
  return query;
}

static ngx_int_t take_value(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx, ngx_str_t piece) {
  size_t before = name_of(piece).len + 1;
  if (before >= piece.len) return NGX_OK;
  ngx_str_t raw = {piece.len - before, piece.data + before}, value;
  value.data = ngx_pnalloc(r->pool, raw.len);
  if (value.data == NULL) return NGX_ERROR;
  if (!form_decode(raw, &value)) {
    ctx->query_unreadable = 1;
  } else if (ctx->query_credential.len == 0) {
    ctx->query_credential = value;
  } else if (value.len != ctx->query_credential.len ||
             ngx_memcmp(value.data, ctx->query_credential.data, value.len) != 0) {
    ctx->query_ambiguous = 1;
  }
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_read_query(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx) {
  ngx_str_t rest = query_of(r->unparsed_uri), piece;
  while (next_piece(&rest, &piece)) {
    if (is_access_token(piece) && take_value(r, ctx, piece) != NGX_OK) return NGX_ERROR;
  }
  return NGX_OK;
}

/* ---- what is logged and passed on ---- */

static ngx_flag_t has_access_token(ngx_str_t query) {
  ngx_str_t rest = query, piece;
  while (next_piece(&rest, &piece)) {
    if (is_access_token(piece)) return 1;
  }
  return 0;
}

ngx_flag_t ngx_http_subtoken_has_access_token(ngx_str_t target) {
  return has_access_token(query_of(target));
}

/* The other pieces, byte for byte, into room of the same size. */
static ngx_str_t without_access_token(ngx_str_t query, u_char *room) {
  ngx_str_t rest = query, piece, kept = {0, room};
  bool first = true;
  while (next_piece(&rest, &piece)) {
    if (is_access_token(piece)) continue;
    if (!first) kept.data[kept.len++] = '&';
    first = false;
    ngx_memcpy(kept.data + kept.len, piece.data, piece.len);
    kept.len += piece.len;
  }
  return kept;
}

/* The target, its ? only with a query behind it. */
static ngx_int_t clean(ngx_http_request_t *r, ngx_str_t target, ngx_str_t *out) {
  ngx_str_t query = query_of(target);
  size_t path = target.len - query.len - 1;
  out->data = ngx_pnalloc(r->pool, target.len);
  if (out->data == NULL) return NGX_ERROR;
  ngx_memcpy(out->data, target.data, path);
  ngx_str_t kept = without_access_token(query, out->data + path + 1);
  out->data[path] = '?';
  out->len = kept.len > 0 ? path + 1 + kept.len : path;
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_without_access_token(ngx_http_request_t *r, ngx_str_t target,
                                                 ngx_str_t *out) {
  *out = target;
  return ngx_http_subtoken_has_access_token(target) ? clean(r, target, out) : NGX_OK;
}

/* A page that was opened with it names it to every other page that it leads to. */
static ngx_int_t clean_referer(ngx_http_request_t *r) {
  ngx_table_elt_t *referer = r->headers_in.referer;
  if (referer == NULL || !has_access_token(query_of(referer->value))) return NGX_OK;
  return clean(r, referer->value, &referer->value);
}

/* The request line is for logs and $request alone. */
static ngx_int_t clean_request_line(ngx_http_request_t *r) {
  ngx_str_t target;
  if (!has_access_token(query_of(r->unparsed_uri))) return NGX_OK;
  if (clean(r, r->unparsed_uri, &target) != NGX_OK) return NGX_ERROR;
  size_t len = r->method_name.len + target.len + r->http_protocol.len + 2;
  u_char *line = ngx_pnalloc(r->pool, len);
  if (line == NULL) return NGX_ERROR;
  r->request_line.len =
      (size_t)(ngx_snprintf(line, len, "%V %V %V", &r->method_name, &target, &r->http_protocol) -
               line);
  r->request_line.data = line;
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_clean_log(ngx_http_request_t *r) {
  if (r != r->main) return NGX_DECLINED;
  ngx_http_subtoken_clean_error_log(r);
  bool done = clean_referer(r) == NGX_OK && clean_request_line(r) == NGX_OK;
  return done ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* Both forms of what an upstream is sent: proxy_pass without a path uses the target as it
 * came, the others use the arguments. */
static ngx_int_t clean_forms(ngx_http_request_t *r) {
  if (has_access_token(query_of(r->unparsed_uri)) &&
      clean(r, r->unparsed_uri, &r->unparsed_uri) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!has_access_token(r->args)) return NGX_OK;
  u_char *room = ngx_pnalloc(r->pool, r->args.len);
  if (room == NULL) return NGX_ERROR;
  r->args = without_access_token(r->args, room);
  return NGX_OK;
}

static ngx_int_t merge_target(ngx_http_request_t *r) {
  subtoken_text target = ngx_http_subtoken_text(r->unparsed_uri);
  if (ngx_http_subtoken_merge_slashes(r->pool, &target) != NGX_OK) return NGX_ERROR;
  r->unparsed_uri.data = (u_char *)target.data;
  r->unparsed_uri.len = target.len;
  return NGX_OK;
}

/* A variable that was read before, in the server's own `if` or `set`, holds what has changed. */
static ngx_int_t clean_location(ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  const u_char *target = r->unparsed_uri.data, *args = r->args.data;
  ngx_http_subtoken_ctx_t *ctx = r == r->main ? ngx_http_subtoken_ctx(r) : NULL;
  if (r == r->main && ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  if ((conf->credentials & NGX_HTTP_SUBTOKEN_IN_QUERY) != 0 && clean_forms(r) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  if (conf->merge_slashes && r == r->main && merge_target(r) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  if (target != r->unparsed_uri.data || args != r->args.data) {
    ngx_http_subtoken_forget(r, &all->target_variables);
  }
  if (ctx != NULL && ctx->origin.page.len > 0 &&
      ngx_http_subtoken_settle_page(r, conf, ctx) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  return NGX_DECLINED;
}

/* What a caller sent as X-Subtoken-* is gone before any directive of the location reads it; who it
 * is comes later. A question has one of its own.
 */
static ngx_int_t clean_identity(ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf) {
  if (!conf->identity || ngx_http_subtoken_is_question(r)) return NGX_OK;
  return ngx_http_subtoken_set_identity(r, NULL);
}

ngx_int_t ngx_http_subtoken_clean_target(ngx_http_request_t *r) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (clean_identity(r, conf) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  if (conf->enable) return clean_location(r, conf);
  if (r == r->main) ngx_http_subtoken_leave_server(r);
  return NGX_DECLINED;
}

/* ---- headers ---- */

/* Is it this word, which is in lower case? Inline, so that the length of a literal is known
 * when it is compiled: most headers are none of ours by their length alone. */
static inline ngx_flag_t is_nocase(ngx_str_t name, const char *word) {
  size_t len = ngx_strlen(word);
  if (name.len != len) return 0;
  unsigned differs = 0; /* the bit makes letters small, and leaves a hyphen alone */
  for (size_t i = 0; i < len; i++) differs |= (name.data[i] | 0x20U) ^ (u_char)word[i];
  return differs == 0;
}

static subtoken_text trim(ngx_str_t value) {
  while (value.len > 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
    value.data++;
    value.len--;
  }
  while (value.len > 0 && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t')) {
    value.len--;
  }
  return ngx_http_subtoken_text(value);
}

/* Is this the scheme? Then *rest is what stands behind it. */
static inline ngx_flag_t has_scheme(subtoken_text value, const char *scheme, subtoken_text *rest) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  if (!is_nocase((ngx_str_t){i, (u_char *)value.data}, scheme)) return 0;
  while (i < value.len && value.data[i] == ' ') i++;
  *rest = (subtoken_text){value.data + i, value.len - i};
  return 1;
}

/* An empty one is none, the same one twice is one. */
static void take(ngx_http_subtoken_credential_t *into, subtoken_text text, uint8_t form) {
  if (text.len == 0) return;
  if (into->found == NGX_HTTP_SUBTOKEN_NONE) {
    into->found = NGX_HTTP_SUBTOKEN_ONE;
    into->text = text;
  } else if (form == NGX_HTTP_SUBTOKEN_IN_BASIC || into->forms == NGX_HTTP_SUBTOKEN_IN_BASIC ||
             into->text.len != text.len || ngx_memcmp(into->text.data, text.data, text.len) != 0) {
    into->found = NGX_HTTP_SUBTOKEN_AMBIGUOUS;
  }
  into->forms |= form;
}

static void take_authorization(ngx_http_subtoken_credential_t *into, ngx_str_t raw,
                               ngx_uint_t forms) {
  subtoken_text value = trim(raw), rest;
  if (has_scheme(value, "bearer", &rest)) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_BEARER) != 0) take(into, rest, NGX_HTTP_SUBTOKEN_IN_BEARER);
  } else if (has_scheme(value, "basic", &rest) && rest.len > 0) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_BASIC) != 0) take(into, value, NGX_HTTP_SUBTOKEN_IN_BASIC);
  }
}

/* Most headers are none of ours by their length. */
static inline bool is_of_interest(size_t len) {
  static const uint32_t lengths = 1U << (sizeof "authorization" - 1) |
                                  1U << (sizeof "x-api-key" - 1) | 1U << (sizeof "origin" - 1) |
                                  1U << (sizeof "access-control-request-method" - 1);
  return len < 32 && (lengths >> len & 1U) != 0;
}

/* One header: of these forms alone. */
static inline void take_header(ngx_http_subtoken_credential_t *into, const ngx_table_elt_t *header,
                               ngx_uint_t forms, ngx_uint_t *authorizations) {
  if (is_nocase(header->key, "authorization")) {
    *authorizations += (forms & (NGX_HTTP_SUBTOKEN_IN_BEARER | NGX_HTTP_SUBTOKEN_IN_BASIC)) != 0;
    take_authorization(into, header->value, forms);
  } else if (is_nocase(header->key, "x-api-key")) {
    if ((forms & NGX_HTTP_SUBTOKEN_IN_KEY_HEADER) == 0) return;
    take(into, trim(header->value), NGX_HTTP_SUBTOKEN_IN_KEY_HEADER);
  }
}

void ngx_http_subtoken_find_credential(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                                       ngx_uint_t forms,
                                       ngx_http_subtoken_credential_t *credential) {
  ngx_uint_t authorizations = 0, origins = 0, methods = 0;
  ngx_memzero(credential, sizeof *credential);
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    ngx_table_elt_t *headers = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (!is_of_interest(headers[i].key.len)) continue;
      take_header(credential, &headers[i], forms, &authorizations);
      if (is_nocase(headers[i].key, "origin")) origins++;
      if (is_nocase(headers[i].key, "access-control-request-method")) methods++;
    }
  }
  credential->preflight = origins > 0 && methods > 0;
  if (authorizations > 1) credential->found = NGX_HTTP_SUBTOKEN_AMBIGUOUS;
  if (credential->found == NGX_HTTP_SUBTOKEN_AMBIGUOUS ||
      (forms & NGX_HTTP_SUBTOKEN_IN_QUERY) == 0) {
    return;
  }
  take(credential, ngx_http_subtoken_text(ctx->query_credential), NGX_HTTP_SUBTOKEN_IN_QUERY);
  if (ctx->query_ambiguous) credential->found = NGX_HTTP_SUBTOKEN_AMBIGUOUS;
  if (ctx->query_unreadable) credential->found = NGX_HTTP_SUBTOKEN_UNREADABLE;
}
