/* policy - the layout of a route policy in memory: this structure, then shapes, routes, slices,
 * slots, calls of MCP, and a copy of the text in which strings are unescaped and paths decoded in
 * place. All references are numbers and offsets, so that the memory can be moved. */
#ifndef ST_CORE_POLICY_H
#define ST_CORE_POLICY_H

#include "core/paths.h"
#include "subtoken/policy.h"

typedef struct st_policy_slice {
  uint32_t at; /* in the text */
  uint32_t len;
} st_policy_slice;

#define ST_POLICY_SEGMENTS_MAX (SUBTOKEN_URL_MAX / 2) /* no two slashes stand side by side */
#define ST_POLICY_WORDS (ST_POLICY_SEGMENTS_MAX / 64)
#define ST_POLICY_EXACT UINT16_MAX

/* The positions of stars in a path (policy_shape.c). */
typedef struct st_policy_shape {
  uint64_t any[ST_POLICY_WORDS]; /* bit n: segment n, from 0, is a star that stands for one */
  uint64_t any_sum;              /* the part of these stars in the sum of the segments */
  uint64_t counts;               /* with ST_POLICY_EXACT: bit n for paths of n segments */
  uint16_t depth;                /* segments in front of a final star, or ST_POLICY_EXACT */
  uint16_t words;                /* the number of words of .any up to the last that is not 0 */
} st_policy_shape;

typedef struct st_policy_route {
  uint32_t line;
  uint32_t path;    /* in the text: decoded, behind its quote */
  uint32_t methods; /* its first slice */
  uint32_t needs;
  uint32_t next; /* 1 + the next route of the same path, or 0 */
  uint16_t path_len;
  uint16_t shape;
  uint8_t method_count; /* 0: every method */
  uint8_t need_count;
  bool wild : 1;    /* everything under path, which ends with a slash */
  bool pattern : 1; /* path has segments that are ST_PATH_ANY */
  bool open : 1;    /* public */
  bool json_rpc : 1;
  bool mcp : 1;
  bool mcp_headers : 1; /* "2026-07-28" */
  uint32_t extra; /* 1 + the first of its ST_POLICY_EXTRA slices, or 0; most routes have none */
} st_policy_route;

/* What few routes have, as slices. */
enum {
  ST_POLICY_EXTRA_CALLS,    /* not of the text: .at is the first call, .len their number */
  ST_POLICY_EXTRA_RESOURCE, /* .len 0: none */
  ST_POLICY_EXTRA,
};

/* Which calls a member of "mcp" is about; the more specific has the larger number. */
typedef enum st_policy_call_kind {
  ST_POLICY_CALL_METHOD, /* `method`, and `*` */
  ST_POLICY_CALL_ANY,    /* `method *` */
  ST_POLICY_CALL_NAME,   /* `method name` */
} st_policy_call_kind;

/* A member of "mcp". The calls of a route are sorted by st_policy_call_compare. */
typedef struct st_policy_call {
  uint32_t line;
  uint32_t member; /* in the text: the whole member */
  uint32_t needs;  /* its first slice */
  uint16_t method_len;
  uint16_t name_len; /* behind the method and a space */
  uint8_t kind;
  uint8_t need_count;
} st_policy_call;

/* A slot of the hash table. It has what a look-up compares, so that this waits for no route: the
 * text of the path and the route are read from memory at the same time. */
typedef struct st_policy_slot {
  uint32_t hash;
  uint32_t route;    /* 1 + the first route of the path, or 0 */
  uint32_t path;     /* as in the route */
  uint16_t path_len; /* as in the route */
  uint16_t shape;    /* as in the route */
} st_policy_slot;

struct subtoken_policy {
  _Alignas(8) uint32_t shapes_at; /* offsets in bytes from the start of this structure */
  uint32_t routes_at;
  uint32_t slices_at;
  uint32_t slots_at;
  uint32_t calls_at;
  uint32_t text_at;
  uint32_t shape_count; /* sorted, the most specific first */
  uint32_t route_count;
  uint32_t slot_count; /* 0 or a power of two */
  uint32_t resources;  /* the first of the slices that list the resources: .at is the number of the
                          first route that has it */
  uint32_t resource_count;
  uint16_t deepest; /* the most segments of a path */
  uint16_t longest; /* of all their segments, in bytes; UINT16_MAX when one is a star */
  uint8_t standard; /* the default, a subtoken_access */
  bool preflight;
};

static inline const st_policy_shape *st_policy_shapes(const subtoken_policy *policy) {
  return (const st_policy_shape *)(const void *)((const char *)policy + policy->shapes_at);
}
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
/* The decoded path of a route. */
static inline subtoken_text st_policy_path(const subtoken_policy *policy,
                                           const st_policy_route *route) {
  return (subtoken_text){(const char *)policy + policy->text_at + route->path, route->path_len};
}

static inline const st_policy_call *st_policy_calls(const subtoken_policy *policy) {
  return (const st_policy_call *)(const void *)((const char *)policy + policy->calls_at);
}
static inline subtoken_text st_policy_call_member(const subtoken_policy *policy,
                                                  const st_policy_call *call) {
  size_t len = call->method_len + (call->kind == ST_POLICY_CALL_METHOD ? 0U : 1U + call->name_len);
  return (subtoken_text){(const char *)policy + policy->text_at + call->member, len};
}
/* The calls of a route; *count is 0 when it has no "mcp". */
static inline const st_policy_call *st_policy_route_calls(const subtoken_policy *policy,
                                                          const st_policy_route *route,
                                                          size_t *count) {
  *count = 0;
  if (route->extra == 0) return NULL;
  st_policy_slice calls = st_policy_slices(policy)[route->extra - 1 + ST_POLICY_EXTRA_CALLS];
  *count = calls.len;
  return st_policy_calls(policy) + calls.at;
}
/* The resource of a route; absent when it has none. */
static inline subtoken_text st_policy_resource(const subtoken_policy *policy,
                                               const st_policy_route *route) {
  if (route->extra == 0) return (subtoken_text){NULL, 0};
  subtoken_text resource = st_policy_text(policy, route->extra - 1 + ST_POLICY_EXTRA_RESOURCE);
  return resource.len > 0 ? resource : (subtoken_text){NULL, 0};
}

/* The hash of a path is made from the sum of its segments, each hashed and multiplied by a power
 * for its place. So the sum for the same path with stars in some places takes a few additions. */
#define ST_POLICY_HASH_START UINT64_C(0xCBF29CE484222325)
#define ST_POLICY_HASH_STEP UINT64_C(0x9E3779B97F4A7C15)
static inline uint64_t st_policy_hash(uint64_t hash, uint64_t eight) {
  hash = (hash ^ eight) * UINT64_C(0xA0761D6478BD642F);
  return hash ^ hash >> 29;
}
/* The hash of the segment that is a star. */
static inline uint64_t st_policy_hash_any(void) {
  return st_policy_hash(ST_POLICY_HASH_START, ST_PATH_ANY);
}
static inline uint32_t st_policy_hash_end(uint64_t sum, bool wild) {
  sum ^= wild ? UINT64_C(0xE7037ED1A0B428DB) : 0;
  sum = (sum ^ sum >> 32) * UINT64_C(0xD6E8FEB86659FD93);
  return (uint32_t)(sum >> 32);
}
static inline uint64_t st_policy_count_bit(size_t segments) {
  return UINT64_C(1) << (segments < 63 ? segments : 63);
}

/* The sums of the segments of a path, of as many as the deepest path of the policy has. */
typedef struct st_policy_sums {
  size_t count;                             /* of segments */
  bool whole;                               /* the path has no more segments */
  uint64_t sum[ST_POLICY_SEGMENTS_MAX + 1]; /* of the first n */
} st_policy_sums;
void st_policy_sum(const subtoken_policy *policy, subtoken_text path, st_policy_sums *sums);

/* Writes the shape of a path; returns the number of its segments. */
size_t st_policy_shape_of(subtoken_text path, bool wild, st_policy_shape *shape);
/* Finds a shape among sorted ones. *at is its place, or the place to insert it. */
bool st_policy_shape_find(const st_policy_shape *shapes, size_t count, const st_policy_shape *shape,
                          size_t *at) __attribute__((warn_unused_result));

/* 1 + the first route of the most specific path that matches, or 0. Adds the number of slots that
 * were read to *slots. */
uint32_t st_policy_lookup(const subtoken_policy *policy, const st_path *path, size_t *slots);

#endif
