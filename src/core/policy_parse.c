/* Parses the text of a policy: strict JSON, checked member by member against tables of what is
 * allowed. Strings stay in the copy of the text that the policy keeps, unescaped and decoded in
 * place. subtoken_policy(5) describes the text, core/policy.h the result.
 */
#include "core/policy_parse.h"

#include "base/impossible.h"
#include "core/policy_parse_mcp.h"

static bool parse_refuse(st_policy_reader *r, size_t at, const char *problem) {
  return st_policy_reader_refuse(r, at, problem, 0);
}

/* ---- objects: a table of members ---- */

typedef struct member {
  subtoken_text name; /* data NULL ends the table */
  bool (*read)(st_policy_reader *r, st_policy_draft *into, size_t name_at);
} member;

/* The reader failed at a name. Returns the member when the object has it already. */
static const member *find_duplicate(const st_policy_reader *r, const member *table, uint32_t seen) {
  for (; table->name.data != NULL; table++, seen >>= 1) {
    subtoken_text name = table->name;
    if ((seen & 1) == 0 || r->json.at + name.len + 2 > r->text.len) continue;
    const char *at = r->text.data + r->json.at;
    if (*at == '"' && at[name.len + 1] == '"' && memcmp(at + 1, name.data, name.len) == 0) {
      return table;
    }
  }
  return NULL;
}

static bool parse_members(st_policy_reader *r, const member *table, st_policy_draft *into) {
  subtoken_text outer = r->member;
  subtoken_text name;
  uint32_t seen = 0;
  while (st_json_member(&r->json, &name)) {
    const member *row = table;
    while (row->name.data != NULL && !st_text_equal(name, row->name)) row++;
    if (row->name.data == NULL) {
      return st_policy_reader_refuse_value(r, st_policy_reader_string_offset(r, name), name,
                                           "is not a known member", 0);
    }
    r->member = row->name;
    if (!row->read(r, into, st_policy_reader_string_offset(r, name))) return false;
    r->member = outer;
    seen |= 1U << (row - table);
  }
  if (!r->json.failed) return true;
  const member *row = find_duplicate(r, table, seen);
  if (row == NULL) return st_policy_reader_refuse_syntax(r, "not strict JSON");
  return st_policy_reader_refuse_value(r, r->json.at, row->name, "is a duplicate", 0);
}

static bool parse_bool(st_policy_reader *r, bool *value) {
  if (st_json_bool(&r->json, value)) return true;
  return st_policy_reader_refuse_syntax(r, "must be true or false");
}

static const char *method_problem(subtoken_text method) {
  for (size_t i = 0; i < method.len; i++) {
    if (method.data[i] < 'A' || method.data[i] > 'Z') return "must be upper-case letters";
  }
  if (method.len == 0) return "is not a method";
  return method.len > SUBTOKEN_POLICY_METHOD_MAX ? "must not be longer than 32 letters" : NULL;
}

/* ---- a route ---- */

static bool parse_path(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  st_entry entry;
  subtoken_text text;
  (void)name_at;
  into->path = st_policy_reader_value_offset(r);
  into->route.line = (uint32_t)st_policy_reader_line(r, into->path);
  if (!st_json_string(&r->json, &text))
    return st_policy_reader_refuse_syntax(r, "must be a string");
  subtoken_fault fault = st_paths_read_entry(text, &entry);
  if (fault != SUBTOKEN_FAULT_NONE) {
    return st_policy_reader_refuse_value(r, into->path, text, subtoken_fault_text(fault), 0);
  }
  if (entry.method.len > 0) {
    return st_policy_reader_refuse_value(r, into->path, text,
                                         "must not start with a method: use methods", 0);
  }
  /* Decoded in place: decoding makes no path longer. */
  size_t at = (size_t)(text.data - r->json.text);
  memmove(r->json.text + at, entry.path.bytes, entry.path.len);
  into->route.path = (uint32_t)at;
  into->route.path_len = (uint16_t)entry.path.len;
  into->route.wild = entry.wild;
  into->route.pattern = entry.pattern;
  return true;
}

static bool parse_methods(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  (void)name_at;
  return st_policy_reader_list(r, method_problem, SUBTOKEN_POLICY_METHODS_MAX, &into->route.methods,
                               &into->route.method_count);
}

static bool parse_needs(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  into->needs = name_at;
  return st_policy_reader_needs(r, &into->route.needs, &into->route.need_count);
}

static bool parse_public(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  bool value = false;
  into->open = name_at;
  bool good = parse_bool(r, &value);
  into->route.open = value;
  return good;
}

static bool parse_json_rpc(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  bool value = false;
  into->json_rpc = name_at;
  bool good = parse_bool(r, &value);
  into->route.json_rpc = value;
  return good;
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

/* Of two members that exclude each other, both there: the error is placed at the later one. */
static bool check_pair(st_policy_reader *r, size_t one, size_t other, const char *problem) {
  if (one == ST_POLICY_NONE || other == ST_POLICY_NONE) return true;
  return parse_refuse(r, larger(one, other), problem);
}

static bool check_route(st_policy_reader *r, const st_policy_draft *read, size_t at) {
  const st_policy_route *route = &read->route;
  size_t open = route->open ? read->open : ST_POLICY_NONE;
  size_t json_rpc = route->json_rpc ? read->json_rpc : ST_POLICY_NONE;
  if (read->path == ST_POLICY_NONE) return parse_refuse(r, at, "path is missing");
  if (read->mcp_headers != ST_POLICY_NONE && read->mcp == ST_POLICY_NONE) {
    return parse_refuse(r, read->mcp_headers, "mcp_headers needs mcp beside it");
  }
  return check_pair(r, open, read->needs, "a public route must not have needs") &&
         check_pair(r, open, json_rpc, "a public route must not have json_rpc") &&
         check_pair(r, open, read->mcp, "a public route must not have mcp") &&
         check_pair(r, open, read->resource, "a public route must not have resource") &&
         check_pair(r, json_rpc, read->mcp, "a route must not have both json_rpc and mcp");
}

/* Has an entry of its own for what few routes have: its slices. */
static bool has_extra(const st_policy_draft *read) {
  return read->mcp != ST_POLICY_NONE || read->resource != ST_POLICY_NONE;
}

static void keep_extra(st_policy_reader *r, st_policy_draft *read) {
  read->route.extra = (uint32_t)r->slice_count + 1;
  for (size_t i = 0; i < ST_POLICY_EXTRA; i++) r->slices[r->slice_count++] = read->extra[i];
}

static bool parse_route(st_policy_reader *r) {
  static const member members[] = {{SUBTOKEN_TEXT("path"), parse_path},
                                   {SUBTOKEN_TEXT("methods"), parse_methods},
                                   {SUBTOKEN_TEXT("needs"), parse_needs},
                                   {SUBTOKEN_TEXT("public"), parse_public},
                                   {SUBTOKEN_TEXT("json_rpc"), parse_json_rpc},
                                   {SUBTOKEN_TEXT("mcp"), st_policy_parse_mcp},
                                   {SUBTOKEN_TEXT("mcp_headers"), st_policy_parse_mcp_headers},
                                   {SUBTOKEN_TEXT("resource"), st_policy_parse_mcp_resource},
                                   {{NULL, 0}, NULL}};
  st_policy_draft read = {.path = ST_POLICY_NONE,
                          .needs = ST_POLICY_NONE,
                          .open = ST_POLICY_NONE,
                          .json_rpc = ST_POLICY_NONE,
                          .mcp = ST_POLICY_NONE,
                          .mcp_headers = ST_POLICY_NONE,
                          .resource = ST_POLICY_NONE};
  size_t at = st_policy_reader_value_offset(r);
  r->member = (subtoken_text){NULL, 0};
  if (!st_json_object(&r->json)) return st_policy_reader_refuse_syntax(r, "must be an object");
  if (!parse_members(r, members, &read) || !check_route(r, &read, at)) return false;
  bool full = r->policy->route_count == r->route_capacity;
  if (st_impossible(full, "each takes a brace")) return parse_refuse(r, at, "too many entries");
  full = r->slice_capacity - r->slice_count < ST_POLICY_EXTRA;
  if (has_extra(&read)) {
    if (st_impossible(full, "its text has more quotes")) return false;
    keep_extra(r, &read);
  }
  r->routes[r->policy->route_count++] = read.route;
  return true;
}

/* ---- the policy ---- */

static bool parse_default(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  subtoken_text value;
  size_t at = st_policy_reader_value_offset(r);
  (void)name_at;
  into->path = at; /* in the policy itself, this says that default was read */
  if (!st_json_string(&r->json, &value))
    return st_policy_reader_refuse_syntax(r, "must be a string");
  if (st_text_is(value, "deny")) {
    r->policy->standard = SUBTOKEN_ACCESS_DENIED;
  } else if (st_text_is(value, "token")) {
    r->policy->standard = SUBTOKEN_ACCESS_TOKEN;
  } else if (st_text_is(value, "public")) {
    r->policy->standard = SUBTOKEN_ACCESS_PUBLIC;
  } else {
    return st_policy_reader_refuse_value(r, at, value, "must be deny, token or public", 0);
  }
  return true;
}

static bool parse_preflight(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  (void)into;
  (void)name_at;
  return parse_bool(r, &r->policy->preflight);
}

static bool parse_routes(st_policy_reader *r, st_policy_draft *into, size_t name_at) {
  size_t at = st_policy_reader_value_offset(r);
  (void)into;
  (void)name_at;
  if (!st_json_array(&r->json))
    return st_policy_reader_refuse_syntax(r, "must be an array of objects");
  for (r->route = 0; st_json_element(&r->json); r->route++) {
    if (!parse_route(r)) return false;
  }
  r->member = (subtoken_text){NULL, 0};
  if (r->json.failed) return st_policy_reader_refuse_syntax(r, "not strict JSON");
  r->route = ST_POLICY_NONE;
  r->member = ST_TEXT("routes");
  if (r->policy->route_count > 0) return true;
  return parse_refuse(r, at, "must not be empty: remove it or add an entry");
}

bool st_policy_parse(st_policy_reader *r) {
  static const member members[] = {{SUBTOKEN_TEXT("default"), parse_default},
                                   {SUBTOKEN_TEXT("preflight"), parse_preflight},
                                   {SUBTOKEN_TEXT("routes"), parse_routes},
                                   {{NULL, 0}, NULL}};
  st_policy_draft read = {.path = ST_POLICY_NONE};
  size_t at = st_policy_reader_value_offset(r);
  if (!st_json_object(&r->json)) return st_policy_reader_refuse_syntax(r, "must be an object");
  if (!parse_members(r, members, &read)) return false;
  if (!st_json_end(&r->json))
    return parse_refuse(r, st_policy_reader_value_offset(r), "unexpected text behind the policy");
  if (read.path == ST_POLICY_NONE)
    return parse_refuse(r, at, "default is missing: deny, token or public");
  return st_policy_parse_mcp_list_resources(r);
}
