/* Accept, as far as the two formats of `subtoken_status` need it, read as the server reads it
 * (service/accept.c). The most specific range that fits a format gives its weight (RFC 9110 section
 * 12.5.1); a version that we do not write does not fit. A range that cannot be read is passed over,
 * because a scrape should not fail for it.
 */
#include "edge/nginx/ngx_http_subtoken.h"

/* Of the most specific range so far. */
typedef struct {
  ngx_uint_t rank;  /* 0: none; 1: all types, 2: all of the type, 3: it, 4: it in this version */
  ngx_int_t weight; /* in thousandths */
} ngx_http_subtoken_accept_t;

typedef struct {
  const char *type;
  const char *group;
  const char *versions[2];
} ngx_http_subtoken_accept_format_t;

static const ngx_http_subtoken_accept_format_t ngx_http_subtoken_accept_open = {
    "application/openmetrics-text", "application/*", {"1.0.0", "0.0.1"}};
static const ngx_http_subtoken_accept_format_t ngx_http_subtoken_accept_plain = {
    "text/plain", "text/*", {"0.0.4", "1.0.0"}};

/* A weight in thousandths (RFC 9110 section 12.4.2); -1: it cannot be read. */
static ngx_int_t ngx_http_subtoken_accept_weight(ngx_str_t text) {
  ngx_int_t weight, scale = 1000;
  if (text.len == 0 || text.len > 5 || (text.data[0] != '0' && text.data[0] != '1')) return -1;
  if (text.len > 1 && text.data[1] != '.') return -1;
  weight = (text.data[0] - '0') * scale;
  for (size_t i = 2; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return -1;
    scale /= 10;
    weight += (text.data[i] - '0') * scale;
  }
  return weight <= 1000 ? weight : -1;
}

/* The part up to a separator, without the blanks around it; *rest is what follows. */
static ngx_str_t ngx_http_subtoken_accept_part(ngx_str_t *rest, u_char separator) {
  ngx_str_t part = *rest;
  u_char *end = ngx_strlchr(rest->data, rest->data + rest->len, separator);
  if (end != NULL) part.len = (size_t)(end - part.data);
  size_t used = end != NULL ? part.len + 1 : part.len;
  rest->data += used;
  rest->len -= used;
  while (part.len > 0 && (part.data[0] == ' ' || part.data[0] == '\t')) {
    part.data++;
    part.len--;
  }
  while (part.len > 0 && (part.data[part.len - 1] == ' ' || part.data[part.len - 1] == '\t')) {
    part.len--;
  }
  return part;
}

static bool ngx_http_subtoken_accept_is(ngx_str_t text, const char *word) {
  size_t len = ngx_strlen(word);
  return text.len == len && ngx_strncasecmp(text.data, (u_char *)word, len) == 0;
}

/* How well a range fits a format; 0: not at all. */
static ngx_uint_t ngx_http_subtoken_accept_rank(ngx_str_t type, ngx_str_t version,
                                                const ngx_http_subtoken_accept_format_t *format) {
  if (ngx_http_subtoken_accept_is(type, "*/*")) return 1;
  if (ngx_http_subtoken_accept_is(type, format->group)) return 2;
  if (!ngx_http_subtoken_accept_is(type, format->type)) return 0;
  if (version.data == NULL) return 3;
  return ngx_http_subtoken_accept_is(version, format->versions[0]) ||
                 ngx_http_subtoken_accept_is(version, format->versions[1])
             ? 4
             : 0;
}

static void ngx_http_subtoken_accept_take(ngx_http_subtoken_accept_t *known, ngx_uint_t rank,
                                          ngx_int_t weight) {
  if (rank == 0 || rank < known->rank) return;
  if (rank > known->rank || weight > known->weight) known->weight = weight;
  known->rank = rank;
}

static void ngx_http_subtoken_accept_read(ngx_str_t range, ngx_http_subtoken_accept_t *open,
                                          ngx_http_subtoken_accept_t *plain) {
  ngx_str_t type = ngx_http_subtoken_accept_part(&range, ';'), version = ngx_null_string;
  ngx_int_t weight = 1000;
  while (range.len > 0) {
    ngx_str_t value = ngx_http_subtoken_accept_part(&range, ';');
    ngx_str_t name = ngx_http_subtoken_accept_part(&value, '=');
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
      value.data++;
      value.len -= 2;
    }
    if (ngx_http_subtoken_accept_is(name, "version")) version = value;
    if (ngx_http_subtoken_accept_is(name, "q")) weight = ngx_http_subtoken_accept_weight(value);
  }
  if (weight < 0) return;
  ngx_http_subtoken_accept_take(
      open, ngx_http_subtoken_accept_rank(type, version, &ngx_http_subtoken_accept_open), weight);
  ngx_http_subtoken_accept_take(
      plain, ngx_http_subtoken_accept_rank(type, version, &ngx_http_subtoken_accept_plain), weight);
}

bool ngx_http_subtoken_accept_openmetrics(ngx_http_request_t *r) {
  ngx_http_subtoken_accept_t open = {0, 0}, plain = {0, 0};
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (!ngx_http_subtoken_credential_is_word(each[i].key, "accept")) continue;
      ngx_str_t rest = each[i].value;
      while (rest.len > 0) {
        ngx_http_subtoken_accept_read(ngx_http_subtoken_accept_part(&rest, ','), &open, &plain);
      }
    }
  }
  return open.weight >= plain.weight;
}
