/* The headers of the Model Context Protocol that repeat what a body calls (revision 2026-07-28,
 * Streamable HTTP, Request Metadata). A name that a header cannot have is written as base64 between
 * `=?base64?` and `?=`.
 */
#include "core/mcp_header.h"

#include "base/base64url.h"
#include "core/mcp_name.h"

#define MCP_FRONT "=?base64?"
#define MCP_END "?="

static subtoken_text mcp_header_first(const subtoken_text *values, size_t count) {
  return count > 0 ? st_text_trim(values[0]) : (subtoken_text){NULL, 0};
}

void st_mcp_header_take(const subtoken_mcp_call *call, st_mcp_headers *headers) {
  headers->has_method = call->mcp_method_count > 0;
  headers->has_name = call->mcp_name_count > 0;
  headers->method = mcp_header_first(call->mcp_method, call->mcp_method_count);
  headers->name = mcp_header_first(call->mcp_name, call->mcp_name_count);
}

bool st_mcp_header_repeated(const subtoken_mcp_call *call) {
  return call->mcp_method_count > 1 || call->mcp_name_count > 1 || call->mcp_version_count > 1;
}

static bool mcp_header_starts(subtoken_text value, subtoken_text front) {
  return value.len >= front.len && memcmp(value.data, front.data, front.len) == 0;
}

static bool mcp_header_ends(subtoken_text value, subtoken_text end) {
  return value.len >= end.len && memcmp(value.data + value.len - end.len, end.data, end.len) == 0;
}

/* Visible ASCII, blanks and tabs (RFC 9110 section 5.5). */
static bool mcp_header_is_plain(subtoken_text value) {
  for (size_t i = 0; i < value.len; i++) {
    if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] > '~') return false;
  }
  return true;
}

bool st_mcp_header_read_name(subtoken_text value, char decoded[ST_MCP_HEADER_NAME_MAX],
                             subtoken_text *name) {
  size_t front = sizeof MCP_FRONT - 1, end = sizeof MCP_END - 1, len = 0;
  *name = value;
  if (!mcp_header_ends(value, ST_TEXT(MCP_END)) || !mcp_header_starts(value, ST_TEXT(MCP_FRONT))) {
    return mcp_header_is_plain(value);
  }
  if (value.len < front + end) return false; /* the two share a question mark */
  subtoken_text encoded = {value.data + front, value.len - front - end};
  *name = (subtoken_text){decoded, 0};
  if (!st_base64_read(encoded, ST_PADDED, decoded, ST_MCP_HEADER_NAME_MAX, &len)) return false;
  name->len = len;
  return st_utf8_valid(*name) && !st_mcp_name_marked(*name);
}

/* What begins as an encoded word of any kind is one, or nothing. */
bool st_mcp_header_is_sure(subtoken_text value, subtoken_text name) {
  bool decoded = name.data != value.data;
  return name.len > 0 && st_mcp_name_clear(name) && st_mcp_name_trimmed(name) &&
         (decoded || !mcp_header_starts(name, ST_TEXT("=?")));
}

bool st_mcp_header_agrees(const st_mcp_headers *headers, subtoken_text method, subtoken_text name) {
  char decoded[ST_MCP_HEADER_NAME_MAX];
  subtoken_text read;
  if (headers->has_method && (method.data == NULL || !st_text_equal(headers->method, method))) {
    return false;
  }
  if (!headers->has_name) return true;
  return name.data != NULL && st_mcp_header_read_name(headers->name, decoded, &read) &&
         st_text_equal(read, name);
}
