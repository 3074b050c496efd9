#include "core/policy.h"

#include "core/claims.h"
#include "core/decide.h"

uint32_t st_policy_probe(const subtoken_policy *policy, uint32_t hash, subtoken_text path,
                         bool wild, size_t *slots) {
  const st_policy_slot *table = st_policy_slots(policy);
  if (policy->slot_count == 0) return 0;
  for (uint32_t i = hash;; i++) {
    const st_policy_slot *slot = &table[i & (policy->slot_count - 1)];
    (*slots)++;
    if (slot->route == 0) return 0;
    const st_policy_route *route = &st_policy_routes(policy)[slot->route - 1];
    if (slot->hash == hash && route->wild == wild &&
        st_text_equal(st_policy_path(policy, route), path)) {
      return slot->route;
    }
  }
}

/* A prefix that may stand in front of a star. */
typedef struct prefix {
  uint32_t hash;
  uint32_t len;
} prefix;
#define PREFIXES_MAX (SUBTOKEN_URL_MAX / 2 + 1) /* no two slashes stand side by side */

uint32_t st_policy_lookup(const subtoken_policy *policy, const st_path *path, size_t *slots) {
  prefix prefixes[PREFIXES_MAX];
  size_t count = 0, depth = 0;
  uint64_t hash = ST_POLICY_HASH_START;
  size_t reach = path->len < policy->longest ? path->len : policy->longest;
  for (size_t i = 0; i < reach; i++) {
    hash = st_policy_hash(hash, path->bytes[i]);
    if (path->bytes[i] != '/') continue;
    if ((policy->star_depths & st_policy_depth_bit(++depth)) == 0 || count == PREFIXES_MAX) {
      continue;
    }
    prefixes[count++] = (prefix){st_policy_hash_end(hash, true), (uint32_t)(i + 1)};
  }
  if (reach == path->len) {
    subtoken_text whole = {path->bytes, path->len};
    uint32_t exact = st_policy_probe(policy, st_policy_hash_end(hash, false), whole, false, slots);
    if (exact != 0) return exact;
  }
  if (path->bytes[path->len - 1] == '/') return 0; /* a star stands for no empty segment */
  while (count-- > 0) {
    subtoken_text front = {path->bytes, prefixes[count].len};
    uint32_t wild = st_policy_probe(policy, prefixes[count].hash, front, true, slots);
    if (wild != 0) return wild;
  }
  return 0;
}

static bool lists(const subtoken_policy *policy, const st_policy_route *route,
                  subtoken_text method) {
  bool head = st_text_is(method, "HEAD");
  for (uint32_t i = 0; i < route->method_count; i++) {
    subtoken_text listed = st_policy_text(policy, route->methods + i);
    if (st_text_equal(listed, method) || (head && st_text_is(listed, "GET"))) return true;
  }
  return route->method_count == 0;
}

static void decide_route(const subtoken_policy *policy, const st_policy_route *route,
                         unsigned flags, subtoken_decision *decision) {
  decision->line = route->line;
  decision->json_rpc = route->json_rpc;
  if (route->open) {
    decision->access = SUBTOKEN_ACCESS_PUBLIC;
    return;
  }
  if (route->json_rpc && (flags & SUBTOKEN_POLICY_BODY) == 0) return;
  decision->access = SUBTOKEN_ACCESS_TOKEN;
  decision->needs_count = route->need_count;
  for (uint32_t i = 0; i < route->need_count; i++) {
    decision->needs[i] = st_policy_text(policy, route->needs + i);
  }
}

static void decide_path(const subtoken_policy *policy, uint32_t first, subtoken_text method,
                        unsigned flags, subtoken_decision *decision) {
  const st_policy_route *routes = st_policy_routes(policy);
  for (uint32_t at = first; at != 0; at = routes[at - 1].next) {
    if (!lists(policy, &routes[at - 1], method)) continue;
    decide_route(policy, &routes[at - 1], flags, decision);
    return;
  }
  decision->line = routes[first - 1].line;
  decision->not_listed = true;
}

/* All but .needs, which is long and of which nothing counts yet. */
static void start(subtoken_decision *decision) {
  decision->access = SUBTOKEN_ACCESS_DENIED;
  decision->json_rpc = decision->not_listed = decision->no_token = false;
  decision->line = 0;
  decision->needs_count = 0;
}

static subtoken_result find(uint8_t cpu, const subtoken_policy *policy, subtoken_text method,
                            subtoken_text target, unsigned flags, st_path *path,
                            subtoken_decision *decision) {
  size_t slots = 0;
  start(decision);
  if (st_target_read_by(cpu, target, path) != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_TARGET;
  if (policy->preflight && (flags & SUBTOKEN_POLICY_PREFLIGHT) != 0 &&
      st_text_is(method, "OPTIONS")) {
    decision->access = SUBTOKEN_ACCESS_PREFLIGHT;
    return SUBTOKEN_OK;
  }
  uint32_t first = st_policy_lookup(policy, path, &slots);
  if (first == 0) {
    decision->access = (subtoken_access)policy->standard;
  } else {
    decide_path(policy, first, method, flags, decision);
  }
  return SUBTOKEN_OK;
}

subtoken_result subtoken_policy_find(const subtoken_policy *policy, subtoken_text method,
                                     subtoken_text target, unsigned flags,
                                     subtoken_decision *decision) {
  if (decision == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  st_path path;
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (policy != NULL) result = find(0, policy, method, target, flags, &path, decision);
  if (result != SUBTOKEN_OK) memset(decision, 0, sizeof *decision);
  return result;
}

/* The token; then what the route denies to everybody, or the policy's needs and behind them
 * the request's own. */
static subtoken_result verify(const subtoken_verifier *verifier, subtoken_text token,
                              const subtoken_request *request, const st_path *path,
                              subtoken_decision *decision, subtoken_claims *claims) {
  bool denied = decision->access != SUBTOKEN_ACCESS_TOKEN;
  decision->no_token = token.data == NULL || token.len == 0;
  if (decision->no_token) return SUBTOKEN_MALFORMED;
  subtoken_request asked = *request;
  asked.needs = decision->needs;
  asked.needs_count = decision->needs_count;
  subtoken_result result = st_verify(verifier, token, &asked, path, claims);
  if (result == SUBTOKEN_OK && denied) result = SUBTOKEN_URL;
  for (size_t i = 0; result == SUBTOKEN_OK && i < request->needs_count; i++) {
    if (!st_claims_has_permission(claims, request->needs[i])) result = SUBTOKEN_PERM;
  }
  return result;
}

static subtoken_result decide(const subtoken_verifier *verifier, const subtoken_policy *policy,
                              subtoken_text token, const subtoken_request *request, unsigned flags,
                              subtoken_claims *claims, subtoken_decision *decision) {
  st_path path; /* read once, for the routes and for the token's urls */
  uint8_t cpu = verifier->ring->count > 0 ? verifier->ring->secrets[0].cpu : 0;
  subtoken_result result =
      find(cpu, policy, request->method, request->target, flags, &path, decision);
  if (result != SUBTOKEN_OK) return result;
  if (decision->access != SUBTOKEN_ACCESS_PUBLIC && decision->access != SUBTOKEN_ACCESS_PREFLIGHT) {
    return verify(verifier, token, request, &path, decision, claims);
  }
  memset(claims, 0, sizeof *claims);
  return SUBTOKEN_OK;
}

static bool askable(const subtoken_verifier *verifier, const subtoken_policy *policy,
                    const subtoken_request *request) {
  return verifier != NULL && verifier->ring != NULL && policy != NULL && request != NULL &&
         (request->needs != NULL || request->needs_count == 0);
}

subtoken_result subtoken_policy_verify(const subtoken_verifier *verifier,
                                       const subtoken_policy *policy, subtoken_text token,
                                       const subtoken_request *request, unsigned flags,
                                       subtoken_claims *claims, subtoken_decision *decision) {
  subtoken_decision own;
  if (decision == NULL) {
    decision = &own;
    flags &= ~(unsigned)SUBTOKEN_POLICY_BODY; /* nobody could know that it is to be read */
  }
  start(decision);
  if (claims == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (askable(verifier, policy, request)) {
    result = decide(verifier, policy, token, request, flags, claims, decision);
  }
  if (result != SUBTOKEN_OK) memset(claims, 0, sizeof *claims);
  return result;
}
