/* Parses what a route says of calls of the Model Context Protocol, "mcp" and "mcp_headers", and of
 * itself as a protected resource, "resource". subtoken/policy.h has the rules.
 */
#include "core/policy_parse_mcp.h"

#include "base/impossible.h"
#include "core/mcp_find.h"
#include "core/mcp_name.h"
#include "core/resource.h"

#define MCP_REVISION "2026-07-28"

/* ---- mcp ---- */

static bool parse_mcp_refuse(st_policy_reader *r, size_t at, const char *problem) {
  return st_policy_reader_refuse(r, at, problem, 0);
}

/* What clients call. A member in another case than these guards nothing. */
static const subtoken_text parse_mcp_methods[] = {
    SUBTOKEN_TEXT("initialize"),
    SUBTOKEN_TEXT("ping"),
    SUBTOKEN_TEXT("server/discover"),
    SUBTOKEN_TEXT("tools/list"),
    SUBTOKEN_TEXT("tools/call"),
    SUBTOKEN_TEXT("prompts/list"),
    SUBTOKEN_TEXT("prompts/get"),
    SUBTOKEN_TEXT("resources/list"),
    SUBTOKEN_TEXT("resources/templates/list"),
    SUBTOKEN_TEXT("resources/read"),
    SUBTOKEN_TEXT("resources/subscribe"),
    SUBTOKEN_TEXT("resources/unsubscribe"),
    SUBTOKEN_TEXT("subscriptions/listen"),
    SUBTOKEN_TEXT("completion/complete"),
    SUBTOKEN_TEXT("logging/setLevel"),
    SUBTOKEN_TEXT("tasks/get"),
    SUBTOKEN_TEXT("tasks/list"),
    SUBTOKEN_TEXT("tasks/result"),
    SUBTOKEN_TEXT("tasks/update"),
    SUBTOKEN_TEXT("tasks/cancel"),
    SUBTOKEN_TEXT("notifications/initialized"),
    SUBTOKEN_TEXT("notifications/cancelled"),
    SUBTOKEN_TEXT("notifications/progress"),
    SUBTOKEN_TEXT("notifications/roots/list_changed"),
};

static bool parse_mcp_is_misspelt(subtoken_text method) {
  for (size_t i = 0; i < sizeof parse_mcp_methods / sizeof parse_mcp_methods[0]; i++) {
    subtoken_text known = parse_mcp_methods[i];
    if (st_text_is_nocase(method, known.data)) return !st_text_equal(method, known);
  }
  return false;
}

/* Of another name than `*`: a server may not be asked for it, or not by this text. */
static const char *parse_mcp_name_problem(subtoken_text method, subtoken_text name) {
  if (name.data[0] == ' ') return "has more than one blank before its name";
  if (!st_mcp_name_clear(name)) return "has a control character or U+FEFF in its name";
  if (!st_mcp_name_trimmed(name)) return "has a blank at an end of its name";
  if (st_text_find(name, '*') < name.len) return "must not have a * within the name";
  return st_mcp_source_of(method) == ST_MCP_URI ? st_mcp_uri_problem(name) : NULL;
}

/* Cuts a member into method and name. NULL, or what is wrong with it. */
static const char *parse_mcp_member(subtoken_text text, st_policy_call *call) {
  size_t space = st_text_find(text, ' ');
  subtoken_text method = {text.data, space};
  if (method.len > SUBTOKEN_POLICY_MCP_METHOD_MAX)
    return "has a method of more than 128 characters";
  if (!st_mcp_method_valid(method)) return "must start with a method: visible ASCII";
  if (parse_mcp_is_misspelt(method)) return "is a method of MCP in another case";
  call->method_len = (uint16_t)method.len;
  call->kind = ST_POLICY_CALL_METHOD;
  bool star = st_text_find(method, '*') < method.len;
  if (space == text.len) {
    return star && method.len > 1 ? "must not have a * within the method" : NULL;
  }
  subtoken_text name = {text.data + space + 1, text.len - space - 1};
  if (!st_mcp_has_names(method)) return "has a name, and calls of this method have none";
  if (name.len == 0) return "has nothing behind the space";
  if (name.len > SUBTOKEN_POLICY_MCP_NAME_MAX) return "has a name of more than 2048 bytes";
  call->kind = st_text_is(name, "*") ? ST_POLICY_CALL_ANY : ST_POLICY_CALL_NAME;
  call->name_len = (uint16_t)name.len;
  return call->kind == ST_POLICY_CALL_ANY ? NULL : parse_mcp_name_problem(method, name);
}

/* Keeps the calls of a route sorted. The JSON reader has refused one that is there already. */
static void parse_mcp_insert(st_policy_reader *r, size_t first, const st_policy_call *call) {
  subtoken_text text = {r->json.text, r->text.len};
  st_mcp_key key = st_mcp_key_of(text, call);
  size_t low = first, high = r->call_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    st_mcp_key other = st_mcp_key_of(text, &r->calls[middle]);
    if (st_mcp_compare(&other, &key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  memmove(&r->calls[low + 1], &r->calls[low], (r->call_count - low) * sizeof *call);
  r->calls[low] = *call;
  r->call_count++;
}

static bool parse_mcp_call(st_policy_reader *r, size_t first, subtoken_text member) {
  st_policy_call call = {0};
  size_t at = st_policy_reader_string_offset(r, member);
  const char *problem = parse_mcp_member(member, &call);
  if (problem != NULL) return st_policy_reader_refuse_value(r, at, member, problem, 0);
  if (r->call_count - first == SUBTOKEN_POLICY_MCP_MAX) {
    return parse_mcp_refuse(r, at, "too many entries (maximum 1024)");
  }
  bool full = r->call_count == r->call_capacity;
  if (st_impossible(full, "each takes a bracket"))
    return parse_mcp_refuse(r, at, "too many entries");
  call.line = (uint32_t)st_policy_reader_line(r, at);
  call.member = (uint32_t)(member.data - r->json.text);
  r->call = member;
  if (!st_policy_reader_needs(r, &call.needs, &call.need_count)) return false;
  r->call = (subtoken_text){NULL, 0};
  parse_mcp_insert(r, first, &call);
  return true;
}

/* The reader failed at a name. Is it, in the same spelling, a member that was read? */
static bool parse_mcp_refuse_end(st_policy_reader *r, size_t first) {
  for (size_t i = first; i < r->call_count; i++) {
    const st_policy_call *call = &r->calls[i];
    size_t len =
        call->method_len + (call->kind == ST_POLICY_CALL_METHOD ? 0U : 1U + call->name_len);
    subtoken_text member = {r->json.text + call->member, len};
    if (r->json.at + len + 2 > r->text.len) continue;
    const char *at = r->text.data + r->json.at;
    if (*at == '"' && at[len + 1] == '"' && memcmp(at + 1, member.data, len) == 0) {
      return st_policy_reader_refuse_value(r, r->json.at, member, "is a duplicate", 0);
    }
  }
  return st_policy_reader_refuse_syntax(r, "not strict JSON");
}

bool st_policy_parse_mcp(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  size_t first = r->call_count, at = st_policy_reader_value_offset(r);
  subtoken_text member;
  into->mcp = name_at;
  into->route.mcp = true;
  if (!st_json_object(&r->json)) return st_policy_reader_refuse_syntax(r, "must be an object");
  while (st_json_member(&r->json, &member)) {
    if (!parse_mcp_call(r, first, member)) return false;
  }
  if (r->json.failed) return parse_mcp_refuse_end(r, first);
  if (r->call_count == first) {
    return parse_mcp_refuse(r, at, "must not be empty: remove it or add an entry");
  }
  into->extra[ST_POLICY_EXTRA_CALLS] =
      (st_policy_slice){(uint32_t)first, (uint32_t)(r->call_count - first)};
  return true;
}

bool st_policy_parse_mcp_headers(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  subtoken_text value;
  size_t at = st_policy_reader_value_offset(r);
  into->mcp_headers = name_at;
  into->route.mcp_headers = true;
  if (!st_json_string(&r->json, &value)) {
    return st_policy_reader_refuse_syntax(r, "must be \"" MCP_REVISION "\"");
  }
  if (st_text_is(value, MCP_REVISION)) return true;
  return st_policy_reader_refuse_value(r, at, value, "must be \"" MCP_REVISION "\"", 0);
}

/* ---- resource ---- */

bool st_policy_parse_mcp_resource(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  subtoken_text value;
  size_t at = st_policy_reader_value_offset(r);
  into->resource = name_at;
  if (!st_json_string(&r->json, &value))
    return st_policy_reader_refuse_syntax(r, "must be a string");
  const char *problem = st_resource_problem(value);
  if (problem != NULL) return st_policy_reader_refuse_value(r, at, value, problem, 0);
  into->extra[ST_POLICY_EXTRA_RESOURCE] =
      (st_policy_slice){(uint32_t)(value.data - r->json.text), (uint32_t)value.len};
  return true;
}

/* Compares the resource of a route with those that are listed. */
static bool parse_resource_enter(st_policy_reader *r, size_t route, bool *known) {
  subtoken_policy *policy = r->policy;
  subtoken_text resource = st_policy_resource(policy, &r->routes[route]);
  *known = false;
  for (size_t i = 0; i < policy->resource_count && !*known; i++) {
    const st_policy_route *other = &r->routes[r->slices[policy->resources + i].at];
    subtoken_text listed = st_policy_resource(policy, other);
    *known = st_text_equal(listed, resource);
    if (*known || !st_resource_same_document(listed, resource)) continue;
    r->route = route;
    r->member = ST_TEXT("resource");
    return st_policy_reader_refuse(r, (size_t)(resource.data - r->json.text) - 1,
                                   "has the path of another resource, which is that of line ",
                                   other->line);
  }
  return true;
}

bool st_policy_parse_mcp_list_resources(st_policy_reader *r) {
  subtoken_policy *policy = r->policy;
  policy->resources = (uint32_t)r->slice_count;
  for (size_t i = 0; i < policy->route_count; i++) {
    bool known;
    if (st_policy_resource(policy, &r->routes[i]).len == 0) continue;
    if (!parse_resource_enter(r, i, &known)) return false;
    if (known) continue;
    if (policy->resource_count == ST_POLICY_RESOURCES_MAX) {
      r->route = i;
      r->member = ST_TEXT("resource");
      return st_policy_reader_refuse(r, r->routes[i].path - 1,
                                     "too many different resources (maximum 256)", 0);
    }
    if (st_impossible(r->slice_count == r->slice_capacity, "its text has more quotes"))
      return false;
    r->slices[r->slice_count++] = (st_policy_slice){(uint32_t)i, 0};
    policy->resource_count++;
  }
  return true;
}
