/* The headers of a request as HAProxy's fetch req.hdrs writes them, and the target of a request of
 * HTTP/2: the first line is its url, the rest are the headers.
 *
 * What is read is within the text; what is found is what a plain search finds.
 */
#include "edge/haproxy/haproxy_head.c"

#include "fuzz.h"

static bool within(subtoken_text part, subtoken_text text) {
  return part.data >= text.data && part.data + part.len <= text.data + text.len;
}

static void check_values(const subtoken_text *values, size_t max, size_t count,
                         subtoken_text text) {
  for (size_t i = 0; i < count && i < max; i++) {
    HOLD(within(values[i], text));
    HOLD(memchr(values[i].data, '\n', values[i].len) == NULL);
  }
}

static void check_headers(subtoken_text text) {
  st_haproxy_head head;
  size_t at = 0, names = 0, before = 0;
  bool whole = st_haproxy_head_read(text, &head);
  check_values(head.authorization, ST_HAPROXY_VALUES_MAX, head.authorization_count, text);
  check_values(head.x_api_key, ST_HAPROXY_VALUES_MAX, head.x_api_key_count, text);
  check_values(head.mcp_method, ST_HAPROXY_MCP_MAX, head.mcp_method_count, text);
  check_values(head.mcp_name, ST_HAPROXY_MCP_MAX, head.mcp_name_count, text);
  check_values(head.mcp_version, ST_HAPROXY_MCP_MAX, head.mcp_version_count, text);
  for (;;) {
    subtoken_text name = st_haproxy_head_identity(text, &at);
    if (name.data == NULL) break;
    HOLD(within(name, text) && at > before && subtoken_edge_is_identity_header(name));
    before = at;
    names++;
  }
  if (!whole) return;
  /* HAProxy writes names in lower case: a capital X is no header that came. */
  HOLD(head.identity ? names > 0 : true);
  HOLD(text.len >= 2 && memcmp(text.data + text.len - 2, "\r\n", 2) == 0);
  /* A length is known only where one header says it, and nothing else says how long the body is. */
  const char *length = memmem(text.data, text.len, "content-length:", 15);
  HOLD(!head.has_length || length != NULL);
  HOLD(head.has_length || head.content_length == 0);
  /* What is not odd has one coding at most, and that is chunked. */
  HOLD(head.odd || memchr(text.data, '\0', text.len) == NULL);
  HOLD(!head.coded || head.chunked);
  HOLD(!head.coded || head.odd || memmem(text.data, text.len, "transfer-encoding:", 18) != NULL);
  HOLD(!head.encoded || memmem(text.data, text.len, "content-", 8) != NULL);
  HOLD(head.mcp_name_count == 0 || memmem(text.data, text.len, "mcp-name:", 9) != NULL);
  HOLD(head.authorization_count == 0 || memmem(text.data, text.len, "authorization:", 14) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  subtoken_text text = {(const char *)data, size};
  const char *end = memchr(text.data, '\n', size);
  if (size == 0 || end == NULL) return 0;
  subtoken_text url = {text.data, (size_t)(end - text.data)};
  subtoken_text target = st_haproxy_head_target(url, (subtoken_text)SUBTOKEN_TEXT("2.0"));
  HOLD(within(target, url));
  HOLD(target.data == url.data || target.data[0] == '/');
  target = st_haproxy_head_target(url, (subtoken_text)SUBTOKEN_TEXT("1.1"));
  HOLD(target.data == url.data && target.len == url.len);
  check_headers((subtoken_text){end + 1, size - url.len - 1});
  return 0;
}
