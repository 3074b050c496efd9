/* Finds the member of "mcp" that decides about a call: a binary search among the calls of a route,
 * which policy_parse_mcp.c has sorted. Methods that differ by case alone lie side by side, so that
 * the one search also tells that a method is another spelling of one that the policy knows.
 */
#include "core/mcp_find.h"

static const struct {
  subtoken_text method;
  st_mcp_source source;
} mcp_sources[] = {
    {SUBTOKEN_TEXT("tools/call"), ST_MCP_NAME},
    {SUBTOKEN_TEXT("prompts/get"), ST_MCP_NAME},
    {SUBTOKEN_TEXT("resources/read"), ST_MCP_URI},
    {SUBTOKEN_TEXT("resources/subscribe"), ST_MCP_URI},
    {SUBTOKEN_TEXT("resources/unsubscribe"), ST_MCP_URI},
    {SUBTOKEN_TEXT("tasks/get"), ST_MCP_TASK},
    {SUBTOKEN_TEXT("tasks/update"), ST_MCP_TASK},
    {SUBTOKEN_TEXT("tasks/cancel"), ST_MCP_TASK},
};

#define MCP_SOURCES (sizeof mcp_sources / sizeof mcp_sources[0])

st_mcp_source st_mcp_source_of(subtoken_text method) {
  for (size_t i = 0; i < MCP_SOURCES; i++) {
    if (st_text_equal(method, mcp_sources[i].method)) return mcp_sources[i].source;
  }
  return ST_MCP_NONE;
}

bool st_mcp_has_names(subtoken_text method) {
  st_mcp_source source = st_mcp_source_of(method);
  return source == ST_MCP_NAME || source == ST_MCP_URI;
}

bool st_mcp_method_valid(subtoken_text method) {
  if (method.len == 0 || method.len > SUBTOKEN_POLICY_MCP_METHOD_MAX) return false;
  for (size_t i = 0; i < method.len; i++) {
    if (method.data[i] < '!' || method.data[i] > '~') return false;
  }
  return true;
}

/* ---- the order of calls ---- */

static int mcp_lower(char c) {
  return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (uint8_t)c;
}

static int mcp_compare_nocase(subtoken_text a, subtoken_text b) {
  size_t len = a.len < b.len ? a.len : b.len;
  for (size_t i = 0; i < len; i++) {
    int order = mcp_lower(a.data[i]) - mcp_lower(b.data[i]);
    if (order != 0) return order;
  }
  return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

static int mcp_compare_bytes(subtoken_text a, subtoken_text b) {
  size_t len = a.len < b.len ? a.len : b.len;
  int order = len == 0 ? 0 : memcmp(a.data, b.data, len);
  if (order != 0) return order;
  return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

int st_mcp_compare(const st_mcp_key *a, const st_mcp_key *b) {
  int order = mcp_compare_nocase(a->method, b->method);
  if (order == 0) order = mcp_compare_bytes(a->method, b->method);
  if (order == 0) order = (int)a->kind - (int)b->kind;
  return order == 0 ? mcp_compare_bytes(a->name, b->name) : order;
}

st_mcp_key st_mcp_key_of(subtoken_text text, const st_policy_call *call) {
  st_mcp_key key = {{text.data + call->member, call->method_len}, {NULL, 0}, call->kind};
  if (call->kind == ST_POLICY_CALL_NAME) {
    key.name = (subtoken_text){key.method.data + call->method_len + 1, call->name_len};
  }
  return key;
}

/* ---- looking up ---- */

typedef struct mcp_calls {
  const st_policy_call *first;
  size_t count;
  subtoken_text text;
} mcp_calls;

static const st_policy_call *mcp_find_key(const mcp_calls *calls, const st_mcp_key *wanted) {
  size_t low = 0, high = calls->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    st_mcp_key key = st_mcp_key_of(calls->text, &calls->first[middle]);
    int order = st_mcp_compare(&key, wanted);
    if (order == 0) return &calls->first[middle];
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

/* Does a call of the policy have this method, in any case? *exact: and in this one. */
static bool mcp_find_spelling(const mcp_calls *calls, subtoken_text method, bool *exact) {
  size_t low = 0, high = calls->count;
  *exact = false;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    subtoken_text other = st_mcp_key_of(calls->text, &calls->first[middle]).method;
    int order = mcp_compare_nocase(other, method);
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  size_t first = low;
  for (; low < calls->count && !*exact; low++) {
    subtoken_text other = st_mcp_key_of(calls->text, &calls->first[low]).method;
    if (mcp_compare_nocase(other, method) != 0) break;
    *exact = st_text_equal(other, method);
  }
  return low > first;
}

static bool mcp_is_misleading(const mcp_calls *calls, subtoken_text method) {
  bool exact;
  for (size_t i = 0; i < MCP_SOURCES; i++) {
    subtoken_text known = mcp_sources[i].method;
    if (mcp_compare_nocase(known, method) == 0) return !st_text_equal(known, method);
  }
  return mcp_find_spelling(calls, method, &exact) && !exact;
}

bool st_mcp_find(const subtoken_policy *policy, const st_policy_route *route, subtoken_text method,
                 subtoken_text name, const st_policy_call **found) {
  mcp_calls calls = {NULL, 0, {(const char *)policy + policy->text_at, 0}};
  calls.first = st_policy_route_calls(policy, route, &calls.count);
  *found = NULL;
  if (mcp_is_misleading(&calls, method)) return false;
  st_mcp_key key = {method, name, ST_POLICY_CALL_NAME};
  if (name.data != NULL) {
    *found = mcp_find_key(&calls, &key);
    key.name = (subtoken_text){NULL, 0};
    key.kind = ST_POLICY_CALL_ANY;
    if (*found == NULL) *found = mcp_find_key(&calls, &key);
  }
  key = (st_mcp_key){method, {NULL, 0}, ST_POLICY_CALL_METHOD};
  if (*found == NULL) *found = mcp_find_key(&calls, &key);
  key.method = ST_TEXT("*");
  if (*found == NULL) *found = mcp_find_key(&calls, &key);
  return true;
}
