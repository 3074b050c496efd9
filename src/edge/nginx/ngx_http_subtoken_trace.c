/* Trace context (W3C Trace Context, section 3.2): the traceparent of a request, for nginx's logs
 * and for the question to the decision endpoint. An upstream gets the header as it came, as nginx
 * passes on every other. One that is malformed, or comes twice, is as if there were none.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_TRACE_LEN \
  55 /* of version 00: 00-, 32 digits, -, 16 digits, -, 2 digits */
#define NGX_HTTP_SUBTOKEN_TRACE_ID 3
#define NGX_HTTP_SUBTOKEN_TRACE_SPAN 36
#define NGX_HTTP_SUBTOKEN_TRACE_FLAGS 53
#define NGX_HTTP_SUBTOKEN_TRACE_MAX 512 /* a version to come may be longer */

/* Digits in lower case; an id of zeros alone is none. */
static bool ngx_http_subtoken_trace_is_hex(const u_char *text, size_t len, bool zeros) {
  bool zero = true;
  for (size_t i = 0; i < len; i++) {
    if ((text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f')) return false;
    if (text[i] != '0') zero = false;
  }
  return zeros || !zero;
}

/* A later version may have more behind another hyphen; ff is none. */
static bool ngx_http_subtoken_trace_is_good(ngx_str_t value) {
  const u_char *text = value.data;
  if (value.len < NGX_HTTP_SUBTOKEN_TRACE_LEN || value.len > NGX_HTTP_SUBTOKEN_TRACE_MAX) {
    return false;
  }
  if (!ngx_http_subtoken_trace_is_hex(text, 2, true) || ngx_memcmp(text, "ff", 2) == 0) {
    return false;
  }
  if (text[2] != '-' || text[NGX_HTTP_SUBTOKEN_TRACE_SPAN - 1] != '-' ||
      text[NGX_HTTP_SUBTOKEN_TRACE_FLAGS - 1] != '-') {
    return false;
  }
  if (value.len > NGX_HTTP_SUBTOKEN_TRACE_LEN &&
      (ngx_memcmp(text, "00", 2) == 0 || text[NGX_HTTP_SUBTOKEN_TRACE_LEN] != '-')) {
    return false;
  }
  return ngx_http_subtoken_trace_is_hex(text + NGX_HTTP_SUBTOKEN_TRACE_ID, 32, false) &&
         ngx_http_subtoken_trace_is_hex(text + NGX_HTTP_SUBTOKEN_TRACE_SPAN, 16, false) &&
         ngx_http_subtoken_trace_is_hex(text + NGX_HTTP_SUBTOKEN_TRACE_FLAGS, 2, true);
}

ngx_str_t ngx_http_subtoken_trace_find(ngx_http_request_t *r) {
  ngx_str_t found = ngx_null_string, none = ngx_null_string;
  for (ngx_list_part_t *part = &r->main->headers_in.headers.part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (!ngx_http_subtoken_credential_is_word(each[i].key, "traceparent")) continue;
      if (found.data != NULL) return none;
      found = each[i].value;
    }
  }
  return found.data != NULL && ngx_http_subtoken_trace_is_good(found) ? found : none;
}

ngx_str_t ngx_http_subtoken_trace_id(ngx_str_t traceparent) {
  if (traceparent.len == 0) return traceparent;
  return (ngx_str_t){32, traceparent.data + NGX_HTTP_SUBTOKEN_TRACE_ID};
}

ngx_str_t ngx_http_subtoken_trace_span(ngx_str_t traceparent) {
  if (traceparent.len == 0) return traceparent;
  return (ngx_str_t){16, traceparent.data + NGX_HTTP_SUBTOKEN_TRACE_SPAN};
}
