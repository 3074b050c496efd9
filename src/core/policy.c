/* Looks up a request in a policy that was read, and verifies its token: subtoken_policy_find and
 * subtoken_policy_verify. core/policy.h describes the memory of a policy, policy_shape.c the order
 * in which paths with stars are tried.
 */
#include "core/policy.h"

#include "core/claims.h"
#include "core/decide.h"
#include "core/sized.h"

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Up to eight bytes of a segment, the first in the lowest byte; zeros for those behind its end. */
static inline uint64_t next_eight(subtoken_text path, size_t at, size_t *count) {
  size_t left = path.len - at;
  uint64_t eight = 0;
  if (left >= 8) {
    eight = st_load64((const uint8_t *)path.data + at);
  } else if (path.len >= 8 && left > 0) {
    eight = st_load64((const uint8_t *)path.data + path.len - 8) >> 8 * (8 - left);
  } else {
    for (size_t i = left; i-- > 0;) eight = eight << 8 | (uint8_t)path.data[at + i];
  }
  /* The lowest bit that is set is that of the first slash. */
  uint64_t others = eight ^ EACH_BYTE * '/',
           slash = (others - EACH_BYTE) & ~others & EACH_BYTE << 7;
  *count = slash != 0 ? (size_t)__builtin_ctzll(slash) / 8 : left < 8 ? left : 8;
  return *count < 8 ? eight & ((UINT64_C(1) << 8 * *count) - 1) : eight;
}

static inline void sum_segments(const subtoken_policy *policy, subtoken_text path,
                                st_policy_sums *sums) {
  uint64_t power = ST_POLICY_HASH_STEP, sum = 0;
  size_t at = 0, n = 0, count = 0;
  sums->sum[0] = 0;
  while (n < policy->deepest && at < path.len) {
    uint64_t hash = ST_POLICY_HASH_START;
    size_t start = ++at; /* behind the slash */
    do {
      hash = st_policy_hash(hash, next_eight(path, at, &count));
      at += count;
    } while (count == 8 && at - start <= policy->longest);
    if (count == 8) break; /* longer than any segment of a route */
    sum += hash * power;
    power *= ST_POLICY_HASH_STEP;
    sums->sum[++n] = sum;
  }
  sums->count = n;
  sums->whole = at == path.len && count < 8;
}

void st_policy_sum(const subtoken_policy *policy, subtoken_text path, st_policy_sums *sums) {
  sum_segments(policy, path, sums);
}

/* Does the path in a slot match this path? With a final star it matches all longer paths; in_reach
 * has checked that the last segment is not empty. */
static bool slot_matches(const subtoken_policy *policy, const st_policy_slot *slot,
                         const st_policy_shape *shape, const st_path *path) {
  subtoken_text front = {(const char *)policy + policy->text_at + slot->path, slot->path_len};
  size_t len = front.len;
  if (shape->words > 0) {
    len = st_paths_match_front(front, path);
  } else if (len > path->len || memcmp(front.data, path->bytes, len) != 0) {
    return false;
  }
  return shape->depth != ST_POLICY_EXACT ? len < path->len : len == path->len;
}

/* 1 + the first route whose path has this shape and matches, or 0. */
static uint32_t probe(const subtoken_policy *policy, size_t shape, uint32_t hash,
                      const st_path *path, size_t *slots) {
  const st_policy_slot *table = st_policy_slots(policy);
  for (uint32_t i = hash;; i++) {
    const st_policy_slot *slot = &table[i & (policy->slot_count - 1)];
    (*slots)++;
    if (slot->route == 0) return 0;
    if (slot->hash == hash && slot->shape == shape &&
        slot_matches(policy, slot, &st_policy_shapes(policy)[shape], path)) {
      return slot->route;
    }
  }
}

/* Can a path of this shape match these segments? *end is the number of its own segments, without a
 * final star. */
static inline bool in_reach(const st_policy_shape *shape, const st_policy_sums *sums, bool slash,
                            size_t *end) {
  if (shape->depth == ST_POLICY_EXACT) {
    *end = sums->count;
    return sums->whole && (shape->counts & st_policy_count_bit(sums->count)) != 0;
  }
  *end = shape->depth;
  /* A star does not match an empty segment. */
  return !slash && (shape->depth < sums->count || (shape->depth == sums->count && !sums->whole));
}

uint32_t st_policy_lookup(const subtoken_policy *policy, const st_path *path, size_t *slots) {
  const st_policy_shape *shapes = st_policy_shapes(policy);
  bool slash = path->bytes[path->len - 1] == '/';
  st_policy_sums sums;
  sum_segments(policy, (subtoken_text){path->bytes, path->len}, &sums);
  for (size_t i = 0; i < policy->shape_count; i++) {
    size_t end;
    if (!in_reach(&shapes[i], &sums, slash, &end)) continue;
    uint64_t sum = sums.sum[end] + shapes[i].any_sum;
    for (size_t word = 0; word < shapes[i].words; word++) {
      for (uint64_t any = shapes[i].any[word]; any != 0; any &= any - 1) {
        size_t segment = 64 * word + (size_t)__builtin_ctzll(any);
        if (segment < end) sum -= sums.sum[segment + 1] - sums.sum[segment];
      }
    }
    uint32_t hash = st_policy_hash_end(sum, shapes[i].depth != ST_POLICY_EXACT);
    uint32_t route = probe(policy, i, hash, path, slots);
    if (route != 0) return route;
  }
  return 0;
}

static bool route_lists(const subtoken_policy *policy, const st_policy_route *route,
                        subtoken_text method) {
  bool head = st_text_is(method, "HEAD");
  for (uint32_t i = 0; i < route->method_count; i++) {
    subtoken_text listed = st_policy_text(policy, route->methods + i);
    if (st_text_equal(listed, method) || (head && st_text_is(listed, "GET"))) return true;
  }
  return route->method_count == 0;
}

/* The methods that call nothing of MCP. */
static bool calls_nothing(subtoken_text method) {
  return st_text_is(method, "GET") || st_text_is(method, "HEAD") || st_text_is(method, "DELETE");
}

static void decide_by_route(const subtoken_policy *policy, const st_policy_route *route,
                            subtoken_text method, unsigned flags, subtoken_decision *decision) {
  decision->line = route->line;
  decision->route = (uint32_t)(route - st_policy_routes(policy)) + 1;
  decision->json_rpc = route->json_rpc;
  decision->mcp = route->mcp;
  decision->resource = st_policy_resource(policy, route);
  if (route->open) {
    decision->access = SUBTOKEN_ACCESS_PUBLIC;
    return;
  }
  if (route->json_rpc && (flags & SUBTOKEN_POLICY_BODY) == 0) return;
  if (route->mcp && (flags & SUBTOKEN_POLICY_MCP) == 0 && !calls_nothing(method)) return;
  decision->access = SUBTOKEN_ACCESS_TOKEN;
  decision->needs_count = route->need_count;
  for (uint32_t i = 0; i < route->need_count; i++) {
    decision->needs[i] = st_policy_text(policy, route->needs + i);
  }
}

static void decide_by_path(const subtoken_policy *policy, uint32_t first, subtoken_text method,
                           unsigned flags, subtoken_decision *decision) {
  const st_policy_route *routes = st_policy_routes(policy);
  for (uint32_t at = first; at != 0; at = routes[at - 1].next) {
    if (!route_lists(policy, &routes[at - 1], method)) continue;
    decide_by_route(policy, &routes[at - 1], method, flags, decision);
    return;
  }
  decision->line = routes[first - 1].line;
  decision->resource = st_policy_resource(policy, &routes[first - 1]);
  decision->not_listed = true;
}

/* Clears all but .needs, which is long and has a count of 0. */
static void clear_decision(subtoken_decision *decision) {
  decision->access = SUBTOKEN_ACCESS_DENIED;
  decision->json_rpc = decision->not_listed = decision->no_token = decision->mcp = false;
  decision->line = decision->route = 0;
  decision->needs_count = 0;
  decision->resource = (subtoken_text){NULL, 0};
}

static subtoken_result find_decision(uint8_t cpu, const subtoken_policy *policy,
                                     subtoken_text method, subtoken_text target, unsigned flags,
                                     st_path *path, subtoken_decision *decision) {
  size_t slots = 0;
  clear_decision(decision);
  if (st_paths_read_target_by(cpu, target, path) != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_TARGET;
  if (policy->preflight && (flags & SUBTOKEN_POLICY_PREFLIGHT) != 0 &&
      st_text_is(method, "OPTIONS")) {
    decision->access = SUBTOKEN_ACCESS_PREFLIGHT;
    return SUBTOKEN_OK;
  }
  uint32_t first = st_policy_lookup(policy, path, &slots);
  if (first == 0) {
    decision->access = (subtoken_access)policy->standard;
  } else {
    decide_by_path(policy, first, method, flags, decision);
  }
  return SUBTOKEN_OK;
}

/* No earlier version has a shorter decision yet. */
static bool decision_fits(const subtoken_decision *decision) {
  return st_sized_fits(decision->size, sizeof *decision, sizeof *decision);
}

subtoken_result subtoken_policy_find(const subtoken_policy *policy, subtoken_text method,
                                     subtoken_text target, unsigned flags,
                                     subtoken_decision *decision) {
  static const subtoken_decision denied = SUBTOKEN_DECISION_DEFAULT;
  if (decision == NULL || !decision_fits(decision)) return SUBTOKEN_INVALID_ARGUMENT;
  st_path path;
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (policy != NULL) result = find_decision(0, policy, method, target, flags, &path, decision);
  if (result != SUBTOKEN_OK) *decision = denied;
  return result;
}

/* Verifies the token, then applies what the route denies, then the needs of the policy and those of
 * the request. Those of a call of MCP are left to subtoken_mcp_check. */
static subtoken_result verify_by_route(const subtoken_verifier *verifier, subtoken_text token,
                                       const subtoken_request *request, unsigned flags,
                                       const st_path *path, subtoken_decision *decision,
                                       subtoken_claims *claims) {
  bool call = decision->mcp && (flags & SUBTOKEN_POLICY_MCP) != 0;
  bool denied = decision->access != SUBTOKEN_ACCESS_TOKEN;
  decision->no_token = token.data == NULL || token.len == 0;
  if (decision->no_token) return SUBTOKEN_MALFORMED;
  subtoken_request asked = *request;
  asked.needs = decision->needs;
  asked.needs_count = call ? 0 : decision->needs_count;
  subtoken_result result = st_verify(verifier, token, &asked, path, claims);
  if (result == SUBTOKEN_OK && denied) result = SUBTOKEN_URL;
  for (size_t i = 0; result == SUBTOKEN_OK && !call && i < request->needs_count; i++) {
    if (!st_claims_has_permission(claims, request->needs[i])) result = SUBTOKEN_PERM;
  }
  return result;
}

static subtoken_result decide_request(const subtoken_verifier *verifier,
                                      const subtoken_policy *policy, subtoken_text token,
                                      const subtoken_request *request, unsigned flags,
                                      subtoken_claims *claims, subtoken_decision *decision) {
  st_path path; /* read once, for the routes and for the token's urls */
  uint8_t cpu = verifier->ring->count > 0 ? verifier->ring->secrets[0].cpu : 0;
  subtoken_result result =
      find_decision(cpu, policy, request->method, request->target, flags, &path, decision);
  if (result != SUBTOKEN_OK) return result;
  if (decision->access != SUBTOKEN_ACCESS_PUBLIC && decision->access != SUBTOKEN_ACCESS_PREFLIGHT) {
    return verify_by_route(verifier, token, request, flags, &path, decision, claims);
  }
  memset(claims, 0, sizeof *claims);
  return SUBTOKEN_OK;
}

static bool policy_args_valid(const subtoken_verifier *verifier, const subtoken_policy *policy,
                              const subtoken_request *request) {
  return verifier != NULL && verifier->ring != NULL && policy != NULL && request != NULL &&
         (request->needs != NULL || request->needs_count == 0);
}

static subtoken_result policy_verify_current(const subtoken_verifier *verifier,
                                             const subtoken_policy *policy, subtoken_text token,
                                             const subtoken_request *request, unsigned flags,
                                             subtoken_claims *claims, subtoken_decision *decision) {
  if (claims == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (decision_fits(decision)) {
    clear_decision(decision);
    if (policy_args_valid(verifier, policy, request)) {
      result = decide_request(verifier, policy, token, request, flags, claims, decision);
    }
  }
  if (result != SUBTOKEN_OK) memset(claims, 0, sizeof *claims);
  return result;
}

/* For structures of an earlier version. Not inline, so that others do not pay for the copies. */
static __attribute__((noinline)) subtoken_result policy_verify_older(
    const subtoken_verifier *verifier, const subtoken_policy *policy, subtoken_text token,
    const subtoken_request *request, unsigned flags, subtoken_claims *claims,
    subtoken_decision *decision) {
  subtoken_verifier verifier_copy;
  subtoken_request request_copy;
  return policy_verify_current(st_sized_verifier(verifier, &verifier_copy), policy, token,
                               st_sized_request(request, &request_copy), flags, claims, decision);
}

subtoken_result subtoken_policy_verify(const subtoken_verifier *verifier,
                                       const subtoken_policy *policy, subtoken_text token,
                                       const subtoken_request *request, unsigned flags,
                                       subtoken_claims *claims, subtoken_decision *decision) {
  subtoken_decision own;
  if (decision == NULL) {
    own.size = sizeof own;
    decision = &own;
    /* the caller would not learn that the body must be read */
    flags &= ~(unsigned)(SUBTOKEN_POLICY_BODY | SUBTOKEN_POLICY_MCP);
  }
  return st_sized_current(verifier, request)
             ? policy_verify_current(verifier, policy, token, request, flags, claims, decision)
             : policy_verify_older(verifier, policy, token, request, flags, claims, decision);
}
