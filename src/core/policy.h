/* policy - how a route policy lies in memory once it was read: in front this struct, then
 * routes, slices, slots and a copy of the text, in which strings are unescaped and paths
 * decoded where they stood. Everything refers to everything by number.
 */
#ifndef ST_CORE_POLICY_H
#define ST_CORE_POLICY_H

#include "core/paths.h"
#include "subtoken/policy.h"

typedef struct st_policy_slice {
  uint32_t at; /* in the text */
  uint32_t len;
} st_policy_slice;

typedef struct st_policy_route {
  uint32_t line;
  uint32_t path;    /* in the text: decoded, behind where its quote stood */
  uint32_t methods; /* its first slice */
  uint32_t needs;
  uint32_t next; /* 1 + the next route of the same path, or 0 */
  uint16_t path_len;
  uint8_t method_count; /* 0: every method */
  uint8_t need_count;
  bool wild; /* everything under path, which ends with a slash */
  bool open; /* public */
  bool json_rpc;
} st_policy_route;

/* A slot of the hash table: hash is not compared for an empty one. */
typedef struct st_policy_slot {
  uint32_t hash;
  uint32_t route; /* 1 + the first route of the path, or 0 */
} st_policy_slot;

struct subtoken_policy {
  uint64_t star_depths; /* bit n: a star stands behind n slashes; bit 63: or more */
  uint32_t routes_at;   /* in bytes from here on */
  uint32_t slices_at;
  uint32_t slots_at;
  uint32_t text_at;
  uint32_t route_count;
  uint32_t slot_count; /* 0 or a power of two */
  uint16_t longest;    /* of all decoded paths */
  uint8_t standard;    /* the default, a subtoken_access */
  bool preflight;
};

static inline const st_policy_route *st_policy_routes(const subtoken_policy *policy) {
  return (const st_policy_route *)(const void *)((const char *)policy + policy->routes_at);
}
static inline const st_policy_slice *st_policy_slices(const subtoken_policy *policy) {
  return (const st_policy_slice *)(const void *)((const char *)policy + policy->slices_at);
}
static inline const st_policy_slot *st_policy_slots(const subtoken_policy *policy) {
  return (const st_policy_slot *)(const void *)((const char *)policy + policy->slots_at);
}
/* The text of a slice, by its number: of route->methods or route->needs and up. */
static inline subtoken_text st_policy_text(const subtoken_policy *policy, uint32_t slice) {
  st_policy_slice found = st_policy_slices(policy)[slice];
  return (subtoken_text){(const char *)policy + policy->text_at + found.at, found.len};
}
/* Decoded. */
static inline subtoken_text st_policy_path(const subtoken_policy *policy,
                                           const st_policy_route *route) {
  return (subtoken_text){(const char *)policy + policy->text_at + route->path, route->path_len};
}

/* FNV-1a, a byte at a time, so that a path gives the hashes of its prefixes on the way. */
#define ST_POLICY_HASH_START UINT64_C(0xCBF29CE484222325)
static inline uint64_t st_policy_hash(uint64_t hash, char c) {
  return (hash ^ (uint8_t)c) * UINT64_C(0x100000001B3);
}
static inline uint32_t st_policy_hash_end(uint64_t hash, bool wild) {
  hash ^= wild ? UINT64_C(0x9E3779B97F4A7C15) : 0;
  hash = (hash ^ hash >> 32) * UINT64_C(0xD6E8FEB86659FD93);
  return (uint32_t)(hash >> 32);
}
static inline uint64_t st_policy_depth_bit(size_t slashes) {
  return UINT64_C(1) << (slashes < 63 ? slashes : 63);
}

/* 1 + the first route of a path, or 0. *slots grows by how many slots were looked at. */
uint32_t st_policy_probe(const subtoken_policy *policy, uint32_t hash, subtoken_text path,
                         bool wild, size_t *slots);
/* The same for the most specific path that a target's is, or is under. */
uint32_t st_policy_lookup(const subtoken_policy *policy, const st_path *path, size_t *slots);

#endif
