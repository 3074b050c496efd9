/* `R` and a JSON-RPC body, or: a method, a target and a policy, on a line each. A policy
 * that is refused says where; one that is accepted decides as one who looks at each route
 * in turn. A body that is accepted names the same APIs to another JSON reader.
 */
#include <strings.h>

#include "cJSON.h"
#include "core/claims.h"
#include "core/mcp_find.h"
#include "core/resource.h"
#include "fuzz.h"

/* ---- policies ---- */

static void check_error(const subtoken_policy_error *error, subtoken_text text) {
  size_t lines = 1;
  for (size_t i = 0; i < text.len; i++) lines += text.data[i] == '\n';
  HOLD(error->line >= 1 && error->line <= lines);
  HOLD(error->column >= 1 && error->column <= text.len + 1);
  size_t len = strnlen(error->text, sizeof error->text);
  HOLD(len > 0 && len < sizeof error->text);
  for (size_t i = 0; i < len;) {
    uint32_t code;
    size_t step = st_utf8_next(error->text + i, len - i, &code);
    HOLD(step > 0 && !st_utf8_is_control(code));
    i += step;
  }
}

static void check_route(const subtoken_policy *policy, const st_policy_route *route) {
  static st_entry entry, back;
  char out[SUBTOKEN_URL_MAX + 1];
  subtoken_text path = st_policy_path(policy, route);
  HOLD(path.len > 0 && path.data[0] == '/' && route->shape < policy->shape_count);
  HOLD(!route->open || (route->need_count == 0 && !route->json_rpc));
  HOLD(route->method_count <= SUBTOKEN_POLICY_METHODS_MAX);
  HOLD(route->need_count <= SUBTOKEN_POLICY_NEEDS_MAX);
  for (uint32_t i = 0; i < route->need_count; i++) {
    HOLD(subtoken_permission_valid(st_policy_text(policy, route->needs + i)));
  }
  memset(&entry.method, 0, sizeof entry.method);
  entry.wild = route->wild;
  entry.pattern = route->pattern;
  entry.path.bytes = path.data;
  entry.path.len = path.len;
  st_writer writer = st_writer_on(out, sizeof out);
  st_paths_write_entry(&writer, &entry);
  HOLD(st_writer_end(&writer));
  HOLD(st_paths_read_entry((subtoken_text){out, writer.len}, &back) == SUBTOKEN_FAULT_NONE);
  HOLD(st_paths_match_covers(&back, &entry) && st_paths_match_covers(&entry, &back));
}

static bool matches(const subtoken_policy *policy, const st_policy_route *route,
                    const st_path *path) {
  static st_entry entry;
  memset(&entry.method, 0, sizeof entry.method);
  entry.wild = route->wild;
  entry.pattern = route->pattern;
  subtoken_text decoded = st_policy_path(policy, route);
  entry.path.bytes = decoded.data;
  entry.path.len = decoded.len;
  return st_paths_match_entry(&entry, (subtoken_text){NULL, 0}, path);
}

static bool lists(const subtoken_policy *policy, const st_policy_route *route,
                  subtoken_text method) {
  for (uint32_t i = 0; i < route->method_count; i++) {
    subtoken_text listed = st_policy_text(policy, route->methods + i);
    if (st_text_equal(listed, method)) return true;
    if (st_text_is(listed, "GET") && st_text_is(method, "HEAD")) return true;
  }
  return route->method_count == 0;
}

/* What stands at a segment: 3 it is plain, 2 a star for one, 1 a final star, 0 nothing. */
static int segment_kind(subtoken_text path, bool wild, size_t n) {
  st_cutter cutter = {{path.data + 1, path.len - 1}, false};
  subtoken_text segment;
  do {
    if (!st_cut(&cutter, '/', &segment)) return 0;
  } while (n-- > 0);
  if (wild && cutter.done) return 1;
  return segment.len == 1 && segment.data[0] == ST_PATH_ANY ? 2 : 3;
}

/* More than 0 when a is more specific than b, of two that stand for the same path. */
static int order(const subtoken_policy *policy, const st_policy_route *a,
                 const st_policy_route *b) {
  for (size_t n = 0;; n++) {
    int one = segment_kind(st_policy_path(policy, a), a->wild, n);
    int other = segment_kind(st_policy_path(policy, b), b->wild, n);
    if (one != other || one == 0) return one - other;
  }
}

/* The only route of the most specific path that lists the method; *any whether there is
 * such a path at all. */
static const st_policy_route *look(const subtoken_policy *policy, subtoken_text method,
                                   const st_path *path, bool *any) {
  const st_policy_route *routes = st_policy_routes(policy), *found = NULL, *best = NULL;
  for (uint32_t i = 0; i < policy->route_count; i++) {
    if (!matches(policy, &routes[i], path)) continue;
    if (best == NULL || order(policy, &routes[i], best) > 0) best = &routes[i];
  }
  *any = best != NULL;
  for (uint32_t i = 0; *any && i < policy->route_count; i++) {
    if (!matches(policy, &routes[i], path) || order(policy, &routes[i], best) != 0) continue;
    if (!lists(policy, &routes[i], method)) continue;
    HOLD(found == NULL);
    found = &routes[i];
  }
  return found;
}

/* The calls of a route are in order, each is found, and none twice. */
static void check_calls(const subtoken_policy *policy, const st_policy_route *route) {
  size_t count;
  const st_policy_call *calls = st_policy_route_calls(policy, route, &count), *found;
  HOLD((count > 0) == route->mcp && (!route->mcp_headers || route->mcp));
  HOLD(count <= SUBTOKEN_POLICY_MCP_MAX && !(route->open && count > 0));
  subtoken_text text = {(const char *)policy + policy->text_at, 0};
  for (size_t i = 0; i < count; i++) {
    st_mcp_key key = st_mcp_key_of(text, &calls[i]);
    HOLD(st_mcp_method_valid(key.method) && calls[i].need_count > 0 && calls[i].line > 0);
    for (uint32_t n = 0; n < calls[i].need_count; n++) {
      HOLD(subtoken_permission_valid(st_policy_text(policy, calls[i].needs + n)));
    }
    if (i > 0) {
      st_mcp_key before = st_mcp_key_of(text, &calls[i - 1]);
      HOLD(st_mcp_compare(&before, &key) < 0);
    }
    if (calls[i].kind == ST_POLICY_CALL_ANY) continue;
    if (!st_mcp_find(policy, route, key.method, key.name, &found)) continue;
    HOLD(found == &calls[i]);
  }
}

/* The document of each resource is found at its own path. */
static void check_resource(const subtoken_policy *policy, const st_policy_route *route) {
  char challenge[SUBTOKEN_CHALLENGE_MAX], out[SUBTOKEN_METADATA_MAX];
  subtoken_text resource = st_policy_resource(policy, route), issuer = ST_TEXT("https://i");
  if (resource.data == NULL) return;
  HOLD(st_resource_problem(resource) == NULL && !route->open);
  size_t len =
      subtoken_resource_challenge(ST_TEXT("Bearer"), resource, issuer, challenge, sizeof challenge);
  const char *front = "Bearer resource_metadata=\"https://";
  HOLD(len > strlen(front) && strncmp(challenge, front, strlen(front)) == 0);
  const char *path = strchr(challenge + strlen(front), '/');
  HOLD(path != NULL && challenge[len - 1] == '"');
  subtoken_text target = {path, (size_t)(challenge + len - 1 - path)};
  len = subtoken_policy_metadata(policy, target, issuer, out, sizeof out);
  HOLD(len > 13 + resource.len && memcmp(out + 13, resource.data, resource.len) == 0);
}

static bool calls_nothing(subtoken_text method) {
  return st_text_is(method, "GET") || st_text_is(method, "HEAD") || st_text_is(method, "DELETE");
}

static subtoken_access expected(const subtoken_policy *policy, const st_policy_route *route,
                                bool any, subtoken_text method, unsigned flags) {
  if (route == NULL) {
    return any ? SUBTOKEN_ACCESS_DENIED : (subtoken_access)policy->standard;
  }
  if (route->open) return SUBTOKEN_ACCESS_PUBLIC;
  if (route->json_rpc && (flags & SUBTOKEN_POLICY_BODY) == 0) return SUBTOKEN_ACCESS_DENIED;
  if (route->mcp && (flags & SUBTOKEN_POLICY_MCP) == 0 && !calls_nothing(method)) {
    return SUBTOKEN_ACCESS_DENIED;
  }
  return SUBTOKEN_ACCESS_TOKEN;
}

/* Whole, and cut off somewhere. */
static void check_explanation(const subtoken_verifier *verifier, const subtoken_policy *policy,
                              subtoken_text token, const subtoken_request *request, unsigned flags,
                              subtoken_result result) {
  static char out[8 * SUBTOKEN_TARGET_MAX];
  size_t whole = sizeof out;
  for (int i = 0; i < 2; i++) {
    size_t size = i == 0 ? sizeof out : 1 + request->target.len * 7 % whole;
    size_t len =
        subtoken_policy_explain(verifier, policy, token, request, flags, result, out, size);
    HOLD(len < size && out[len] == '\0' && (i == 0 || len <= whole));
    if (i == 0) whole = len + 1;
    for (size_t at = 0; at < len;) {
      uint32_t code;
      size_t step = st_utf8_next(out + at, len - at, &code);
      HOLD(step > 0 && !st_utf8_is_control(code));
      at += step;
    }
  }
}

/* No token, and one that is none: only what is open lets them through. */
static void verdicts(const subtoken_policy *policy, subtoken_text method, subtoken_text target,
                     unsigned flags, const subtoken_decision *found) {
  static const subtoken_text tokens[] = {{NULL, 0}, SUBTOKEN_TEXT("a.b.c")};
  static const subtoken_ring ring;
  static subtoken_claims claims;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = {.size = sizeof request, .now = 1, .method = method, .target = target};
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  verifier.ring = &ring;
  bool open = found->access == SUBTOKEN_ACCESS_PUBLIC || found->access == SUBTOKEN_ACCESS_PREFLIGHT;
  for (size_t i = 0; i < 2; i++) {
    subtoken_result result =
        subtoken_policy_verify(&verifier, policy, tokens[i], &request, flags, &claims, &decision);
    HOLD(open ? result == SUBTOKEN_OK : subtoken_result_status(result) == 401);
    HOLD(decision.access == found->access && decision.line == found->line);
    HOLD(decision.no_token == (!open && i == 0));
    HOLD(!claims.every_url && claims.permission_count == 0);
    check_explanation(&verifier, policy, tokens[i], &request, flags, result);
    check_explanation(&verifier, policy, tokens[i], &request, flags, SUBTOKEN_URL);
  }
}

static void ask(const subtoken_policy *policy, subtoken_text method, subtoken_text target,
                unsigned flags) {
  static st_path path;
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_result result = subtoken_policy_find(policy, method, target, flags, &decision);
  bool good = st_paths_read_target(target, &path) == SUBTOKEN_FAULT_NONE, any;
  HOLD(result == (good ? SUBTOKEN_OK : SUBTOKEN_BAD_TARGET));
  if (!good) {
    HOLD(decision.access == SUBTOKEN_ACCESS_DENIED && decision.needs_count == 0);
    return;
  }
  if ((flags & SUBTOKEN_POLICY_PREFLIGHT) != 0 && policy->preflight &&
      st_text_is(method, "OPTIONS")) {
    HOLD(decision.access == SUBTOKEN_ACCESS_PREFLIGHT);
    return;
  }
  const st_policy_route *route = look(policy, method, &path, &any);
  verdicts(policy, method, target, flags, &decision);
  HOLD(decision.access == expected(policy, route, any, method, flags));
  HOLD(decision.not_listed == (any && route == NULL));
  if (route == NULL) return;
  HOLD(decision.line == route->line && decision.json_rpc == route->json_rpc);
  HOLD(decision.mcp == route->mcp);
  if (decision.access != SUBTOKEN_ACCESS_TOKEN) return;
  HOLD(decision.needs_count == route->need_count);
  for (uint32_t i = 0; i < route->need_count; i++) {
    HOLD(st_text_equal(decision.needs[i], st_policy_text(policy, route->needs + i)));
  }
}

static void one_policy(subtoken_text rest) {
  subtoken_text method = fuzz_line(&rest), target = fuzz_line(&rest);
  size_t size = subtoken_policy_size(rest.len);
  void *memory = malloc(size);
  const subtoken_policy *policy;
  subtoken_policy_error error;
  if (memory == NULL) abort();
  memset(memory, 0xA5, size);
  char *text = fuzz_copy(rest.data, rest.len);
  subtoken_result result =
      subtoken_policy_read(memory, size, (subtoken_text){text, rest.len}, &policy, &error);
  HOLD(memcmp(text, rest.data, rest.len) == 0);
  free(text);
  HOLD(result == SUBTOKEN_OK || result == SUBTOKEN_MALFORMED);
  if (result != SUBTOKEN_OK) {
    HOLD(policy == NULL);
    check_error(&error, rest);
    free(memory);
    return;
  }
  for (uint32_t i = 0; i < policy->route_count; i++) {
    const st_policy_route *route = &st_policy_routes(policy)[i];
    check_route(policy, route);
    check_calls(policy, route);
    check_resource(policy, route);
    subtoken_text path = st_policy_path(policy, route); /* often a target, too */
    for (unsigned flags = 0; flags < 8; flags++) ask(policy, method, path, flags);
  }
  for (unsigned flags = 0; flags < 8; flags++) {
    ask(policy, method, target, flags);
    ask(policy, (subtoken_text){NULL, 0}, target, flags);
  }
  free(memory);
}

/* ---- JSON-RPC ---- */

/* What another reader sees in a request. Member names regardless of case, as cJSON looks
 * for them when it is not told otherwise, and `call` too. */
static subtoken_text api_of(const cJSON *request) {
  const cJSON *method = cJSON_GetObjectItem(request, "method");
  HOLD(cJSON_IsObject(request) && cJSON_IsString(method) && method->valuestring[0] != '\0');
  const char *dot = strchr(method->valuestring, '.');
  if (dot != NULL) {
    HOLD(dot == strrchr(method->valuestring, '.') && strcasecmp(dot + 1, "call") != 0);
    return (subtoken_text){method->valuestring, (size_t)(dot - method->valuestring)};
  }
  if (strcasecmp(method->valuestring, "call") != 0) return ST_TEXT("database");
  const cJSON *params = cJSON_GetObjectItem(request, "params");
  HOLD(cJSON_IsArray(params) && strcmp(method->valuestring, "call") == 0);
  const cJSON *first = cJSON_GetArrayItem(params, 0), *second = cJSON_GetArrayItem(params, 1);
  HOLD(first != NULL);
  HOLD(!cJSON_IsString(second) || strcasecmp(second->valuestring, "call") != 0);
  if (cJSON_IsString(first)) return st_text(first->valuestring);
  HOLD(cJSON_IsNumber(first) && first->valuedouble == 0);
  return ST_TEXT("database");
}

static size_t index_of(const subtoken_rpc *rpc, subtoken_text api) {
  char name[SUBTOKEN_PERMISSION_MAX + 8];
  HOLD(api.len > 0 && api.len <= SUBTOKEN_PERMISSION_MAX);
  size_t digits = 0;
  for (size_t i = 0; i < api.len; i++) digits += api.data[i] >= '0' && api.data[i] <= '9';
  HOLD(digits < api.len && memchr(api.data, '.', api.len) == NULL);
  snprintf(name, sizeof name, "%.*s", (int)api.len, api.data);
  if (api.len < 4 || strcmp(name + api.len - 4, "_api") != 0) strcat(name, "_api");
  for (size_t i = 0; i < rpc->count; i++) {
    if (st_text_is(subtoken_rpc_need(rpc, i), name)) return i;
  }
  return rpc->count;
}

static void check_needs(const subtoken_rpc *rpc, const cJSON *root) {
  bool seen[SUBTOKEN_RPC_NEEDS_MAX] = {false};
  const cJSON *request = cJSON_IsArray(root) ? root->child : root;
  for (; request != NULL; request = request->next) {
    size_t i = index_of(rpc, api_of(request));
    HOLD(i < rpc->count);
    seen[i] = true;
  }
  HOLD(rpc->count > 0 && rpc->count <= SUBTOKEN_RPC_NEEDS_MAX);
  for (size_t i = 0; i < rpc->count; i++) {
    HOLD(seen[i] && subtoken_permission_valid(subtoken_rpc_need(rpc, i)));
    for (size_t j = 0; j < i; j++) {
      HOLD(!st_text_equal(subtoken_rpc_need(rpc, i), subtoken_rpc_need(rpc, j)));
    }
  }
}

static void one_body(subtoken_text body) {
  static subtoken_rpc rpc;
  static subtoken_claims none;
  char *scratch = fuzz_copy(body.data, body.len);
  subtoken_result result = subtoken_rpc_read(body, scratch, body.len, &rpc);
  HOLD(result == SUBTOKEN_OK || result == SUBTOKEN_MALFORMED);
  if (result == SUBTOKEN_OK) {
    cJSON *root = cJSON_ParseWithLength(body.data, body.len);
    HOLD(root != NULL);
    check_needs(&rpc, root);
    cJSON_Delete(root);
    HOLD(subtoken_rpc_allowed(&rpc, &none, NULL) == SUBTOKEN_PERM);
  } else {
    HOLD(rpc.count == 0 && subtoken_rpc_allowed(&rpc, &none, NULL) == SUBTOKEN_INVALID_ARGUMENT);
  }
  free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > SUBTOKEN_RPC_BODY_MAX) return 0;
  bool body = size > 0 && data[0] == 'R';
  char *copy = fuzz_copy(data + body, size - body);
  if (body) {
    one_body((subtoken_text){copy, size - body});
  } else {
    one_policy((subtoken_text){copy, size});
  }
  free(copy);
  return 0;
}
