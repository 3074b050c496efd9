/* What decoders, parsers of headers and parsers of URIs change in a name (WHATWG Encoding,
 * "decode"; RFC 9110 section 5.5; WHATWG URL section 4.4; String.prototype.trim of JavaScript).
 */
#include "core/mcp_name.h"

#define MCP_MARK 0xFEFFU /* the byte-order mark */

static bool mcp_name_is_odd(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
         code == MCP_MARK;
}

bool st_mcp_name_clear(subtoken_text name) {
  uint32_t code;
  for (size_t i = 0; i < name.len;) {
    size_t step = st_utf8_next(name.data + i, name.len - i, &code);
    if (step == 0 || mcp_name_is_odd(code)) return false;
    i += step;
  }
  return true;
}

static bool mcp_name_is_space(uint32_t code) {
  return code == ' ' || (code >= 0x09 && code <= 0x0D) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000 || code == MCP_MARK;
}

bool st_mcp_name_trimmed(subtoken_text name) {
  uint32_t code = 0;
  if (st_utf8_next(name.data, name.len, &code) == 0) return name.len == 0;
  if (mcp_name_is_space(code)) return false;
  size_t last = name.len - 1;
  while (last > 0 && ((uint8_t)name.data[last] & 0xC0) == 0x80) last--;
  return st_utf8_next(name.data + last, name.len - last, &code) > 0 && !mcp_name_is_space(code);
}

bool st_mcp_name_marked(subtoken_text name) {
  uint32_t code = 0;
  return st_utf8_next(name.data, name.len, &code) > 0 && code == MCP_MARK;
}

/* ---- URIs ---- */

static bool mcp_uri_is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A scheme of RFC 3986 section 3.1 with an upper-case letter, and the colon. */
static bool mcp_uri_has_upper_scheme(subtoken_text uri) {
  bool upper = false;
  size_t colon = st_text_find(uri, ':');
  if (colon == uri.len || colon == 0 || !mcp_uri_is_letter(uri.data[0])) return false;
  for (size_t i = 0; i < colon; i++) {
    char c = uri.data[i];
    if (!mcp_uri_is_letter(c) && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.') {
      return false;
    }
    upper |= c >= 'A' && c <= 'Z';
  }
  return upper;
}

const char *st_mcp_uri_problem(subtoken_text uri) {
  for (size_t i = 0; i < uri.len; i++) {
    if ((uint8_t)uri.data[i] <= ' ' || uri.data[i] == 0x7F) {
      return "has a URI with a blank or a control character";
    }
  }
  return mcp_uri_has_upper_scheme(uri) ? "has a URI whose scheme is not in lower case" : NULL;
}
