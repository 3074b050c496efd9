/* The headers of a request, as HAProxy's fetch req.hdrs writes them: names in lower case, `name:
 * value` and CR LF, an empty line at the end. One pass over the text finds what a decision needs;
 * nothing is copied. What is decided is in haproxy_action.c.
 */
#include <string.h>

#include "edge/haproxy/haproxy.h"

#define ST_HAPROXY_HEAD_IS(name, literal) \
  ((name).len == sizeof(literal) - 1 && memcmp((name).data, literal, sizeof(literal) - 1) == 0)

/* One line from *at on, which moves behind it. An absent name: the empty line. False: not whole. */
static bool st_haproxy_head_line(subtoken_text text, size_t *at, subtoken_text *name,
                                 subtoken_text *value) {
  const char *line = text.data + *at;
  const char *end = memchr(line, '\n', text.len - *at);
  if (end == NULL || end == line || end[-1] != '\r') return false;
  size_t len = (size_t)(end - 1 - line);
  *at += len + 2;
  *name = *value = (subtoken_text){NULL, 0};
  if (len == 0) return true;
  const char *colon = memchr(line, ':', len);
  if (colon == NULL || colon == line) return false;
  *name = (subtoken_text){line, (size_t)(colon - line)};
  *value = (subtoken_text){colon + 1, len - name->len - 1};
  return true;
}

static subtoken_text st_haproxy_head_trim(subtoken_text value) {
  while (value.len > 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
    value.data++;
    value.len--;
  }
  while (value.len > 0 && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t')) {
    value.len--;
  }
  return value;
}

/* In any case; the word is in small letters. */
static bool st_haproxy_head_is_word(subtoken_text value, const char *word) {
  size_t len = strlen(word);
  value = st_haproxy_head_trim(value);
  if (value.len != len) return false;
  for (size_t i = 0; i < len; i++) {
    if ((value.data[i] | 0x20) != word[i]) return false;
  }
  return true;
}

static bool st_haproxy_head_is_websocket(subtoken_text value) {
  return st_haproxy_head_is_word(value, "websocket");
}

/* Where the word, which is in small letters, stands in any case; absent (data NULL): nowhere. */
static subtoken_text st_haproxy_head_find(subtoken_text value, const char *word) {
  size_t len = strlen(word);
  for (; value.len >= len; value.data++, value.len--) {
    if (st_haproxy_head_is_word((subtoken_text){value.data, len}, word)) return value;
  }
  return (subtoken_text){NULL, 0};
}

/* Some servers decode a body by the charset that its Content-Type names. In another than UTF-8 it
 * is another body.
 */
static bool st_haproxy_head_is_utf8(subtoken_text type) {
  subtoken_text charset = st_haproxy_head_find(type, "charset");
  if (charset.data == NULL) return true;
  const char *end = memchr(charset.data, ';', charset.len);
  size_t len = end == NULL ? charset.len : (size_t)(end - charset.data);
  subtoken_text first = {charset.data, len}, behind = {charset.data + len, charset.len - len};
  return (st_haproxy_head_is_word(first, "charset=utf-8") ||
          st_haproxy_head_is_word(first, "charset=\"utf-8\"")) &&
         st_haproxy_head_find(behind, "charset").data == NULL;
}

static void st_haproxy_head_keep(subtoken_text *values, size_t max, size_t *count,
                                 subtoken_text value) {
  if (*count < max) values[*count] = value;
  (*count)++;
}

/* HAProxy has made one of several. Whatever is no number of at most 18 digits, a second one, or one
 * beside a coding, is odd: 2.6 takes 2^64, and loses count.
 */
static void st_haproxy_head_note_length(st_haproxy_head *head, subtoken_text value) {
  uint64_t length = 0;
  value = st_haproxy_head_trim(value);
  bool number = value.len > 0 && value.len <= 18 && !head->has_length && !head->chunked;
  for (size_t i = 0; number && i < value.len; i++) {
    number = value.data[i] >= '0' && value.data[i] <= '9';
    length = 10 * length + (uint64_t)(value.data[i] - '0');
  }
  head->has_length = number;
  head->content_length = number ? length : 0;
  if (!number) head->chunked = head->odd = true;
}

static void st_haproxy_head_note_content(st_haproxy_head *head, subtoken_text name,
                                         subtoken_text value) {
  if (ST_HAPROXY_HEAD_IS(name, "connection")) {
    if (st_haproxy_head_find(value, "subtoken").data != NULL) head->named = true;
  } else if (ST_HAPROXY_HEAD_IS(name, "content-length")) {
    st_haproxy_head_note_length(head, value);
  } else if (ST_HAPROXY_HEAD_IS(name, "content-encoding") &&
             !st_haproxy_head_is_word(value, "identity")) {
    head->encoded = true;
  } else if (ST_HAPROXY_HEAD_IS(name, "content-type")) {
    if (head->typed || !st_haproxy_head_is_utf8(value)) head->encoded = true;
    head->typed = true;
  }
}

/* HAProxy 2.6 passes on a list with empty members, and several lines, as they came. */
static void st_haproxy_head_note_coding(st_haproxy_head *head, subtoken_text value) {
  if (head->coded || head->has_length || !st_haproxy_head_is_word(value, "chunked")) {
    head->odd = true;
  }
  head->coded = head->chunked = true;
}

static void st_haproxy_head_note_mcp(st_haproxy_head *head, subtoken_text name,
                                     subtoken_text value) {
  if (ST_HAPROXY_HEAD_IS(name, "mcp-method")) {
    st_haproxy_head_keep(head->mcp_method, ST_HAPROXY_MCP_MAX, &head->mcp_method_count, value);
  } else if (ST_HAPROXY_HEAD_IS(name, "mcp-name")) {
    st_haproxy_head_keep(head->mcp_name, ST_HAPROXY_MCP_MAX, &head->mcp_name_count, value);
  } else if (ST_HAPROXY_HEAD_IS(name, "mcp-protocol-version")) {
    st_haproxy_head_keep(head->mcp_version, ST_HAPROXY_MCP_MAX, &head->mcp_version_count, value);
  }
}

/* The first letter rules most names out. */
static void st_haproxy_head_note(st_haproxy_head *head, subtoken_text name, subtoken_text value) {
  switch (name.data[0]) {
    case 'a':
      if (ST_HAPROXY_HEAD_IS(name, "authorization")) {
        st_haproxy_head_keep(head->authorization, ST_HAPROXY_VALUES_MAX, &head->authorization_count,
                             value);
      } else if (ST_HAPROXY_HEAD_IS(name, "access-control-request-method")) {
        head->request_method = true;
      }
      break;
    case 'c': st_haproxy_head_note_content(head, name, value); break;
    case 'm': st_haproxy_head_note_mcp(head, name, value); break;
    case 'o': head->origin = head->origin || ST_HAPROXY_HEAD_IS(name, "origin"); break;
    case 't':
      if (ST_HAPROXY_HEAD_IS(name, "transfer-encoding")) st_haproxy_head_note_coding(head, value);
      break;
    case 'u':
      if (ST_HAPROXY_HEAD_IS(name, "upgrade") && !st_haproxy_head_is_websocket(value)) {
        head->upgrade = true;
      }
      break;
    case 'x':
      if (ST_HAPROXY_HEAD_IS(name, "x-api-key")) {
        st_haproxy_head_keep(head->x_api_key, ST_HAPROXY_VALUES_MAX, &head->x_api_key_count, value);
      } else if (subtoken_edge_is_identity_header(name)) {
        head->identity = true;
      }
      break;
    default: break;
  }
}

bool st_haproxy_head_read(subtoken_text text, st_haproxy_head *head) {
  subtoken_text name, value;
  head->authorization_count = head->x_api_key_count = 0;
  head->mcp_method_count = head->mcp_name_count = head->mcp_version_count = 0;
  head->content_length = 0;
  head->has_length = head->chunked = head->open = head->encoded = head->typed = false;
  head->origin = head->request_method = head->identity = head->upgrade = head->named = false;
  head->coded = false;
  head->odd =
      text.len > 0 && memchr(text.data, '\0', text.len) != NULL; /* HAProxy takes one in a value */
  for (size_t at = 0; at < text.len;) {
    if (!st_haproxy_head_line(text, &at, &name, &value)) return false;
    if (name.data == NULL) return at == text.len; /* nothing is behind the empty line */
    st_haproxy_head_note(head, name, value);
  }
  return false;
}

subtoken_text st_haproxy_head_identity(subtoken_text text, size_t *at) {
  subtoken_text name, value;
  while (*at < text.len && st_haproxy_head_line(text, at, &name, &value) && name.data != NULL) {
    if (subtoken_edge_is_identity_header(name)) return name;
  }
  return (subtoken_text){NULL, 0};
}

static size_t st_haproxy_head_scheme(subtoken_text url) {
  static const char *const schemes[] = {"https://", "http://"};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    size_t len = strlen(schemes[i]);
    if (url.len >= len && memcmp(url.data, schemes[i], len) == 0) return len;
  }
  return 0;
}

/* HAProxy makes `https://authority/path` of what HTTP/2 sends in pieces, and sends the path on. But
 * a client of HTTP/1 may call itself HTTP/2.0: then its target is sent on as it came.
 */
subtoken_text st_haproxy_head_target(subtoken_text url, subtoken_text version) {
  if (url.len == 0 || url.data[0] == '/' || version.len == 0 || version.data[0] < '2') return url;
  size_t at = st_haproxy_head_scheme(url);
  if (at == 0) return url;
  while (at < url.len && strchr("/?#@\\", url.data[at]) == NULL) at++;
  if (at == url.len || url.data[at] != '/') return url;
  return (subtoken_text){url.data + at, url.len - at};
}

bool st_haproxy_head_is_open(subtoken_text version) {
  return version.len == 0 || version.data[0] >= '2';
}
