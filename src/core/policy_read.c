/* Reads a policy into the memory of the caller: plans the parts of it (core/policy.h), has
 * policy_parse.c fill in the routes, and enters them into the hash table that policy.c looks up.
 */
#include "core/policy_parse.h"

#include "base/impossible.h"

/* ---- the table ---- */

static bool methods_meet(const subtoken_policy *policy, const st_policy_route *a,
                         const st_policy_route *b) {
  if (a->method_count == 0 || b->method_count == 0) return true;
  for (uint32_t i = 0; i < a->method_count; i++) {
    subtoken_text one = st_policy_text(policy, a->methods + i);
    for (uint32_t j = 0; j < b->method_count; j++) {
      subtoken_text other = st_policy_text(policy, b->methods + j);
      if (st_text_equal(one, other) || (st_text_is(one, "GET") && st_text_is(other, "HEAD")) ||
          (st_text_is(one, "HEAD") && st_text_is(other, "GET"))) {
        return true;
      }
    }
  }
  return false;
}

/* Appends a route to the others of its path, of which `first` is the first. */
static bool append_route(st_policy_reader *r, st_policy_route *first, uint32_t number) {
  st_policy_route *route = &r->routes[number - 1], *at = first;
  size_t methods = route->method_count;
  r->route = number - 1;
  r->member = ST_TEXT("path");
  for (;; at = &r->routes[at->next - 1]) {
    methods += at->method_count;
    if (methods_meet(r->policy, at, route)) {
      return st_policy_reader_refuse(r, route->path - 1, "same path and method as in line ",
                                     at->line);
    }
    if (at->next == 0) break;
  }
  if (methods > SUBTOKEN_POLICY_METHODS_MAX) {
    return st_policy_reader_refuse(r, route->path - 1,
                                   "the routes of this path have too many methods (maximum 64)", 0);
  }
  at->next = number;
  return true;
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static size_t longest_segment(subtoken_text path) {
  st_cutter cutter = {path, false};
  subtoken_text segment;
  size_t longest = 0;
  while (st_cut(&cutter, '/', &segment)) longest = larger(longest, segment.len);
  return longest;
}

/* Counts how far a look-up has to read, and adds the shape of the route. */
static bool measure_route(st_policy_reader *r, uint32_t number) {
  const st_policy_route *route = &r->routes[number - 1];
  subtoken_policy *policy = r->policy;
  subtoken_text path = st_policy_path(policy, route);
  st_policy_shape shape;
  size_t at;
  policy->deepest =
      (uint16_t)larger(policy->deepest, st_policy_shape_of(path, route->wild, &shape));
  size_t longest = route->pattern ? UINT16_MAX : longest_segment(path);
  policy->longest = (uint16_t)larger(policy->longest, longest);
  if (st_policy_shape_find(r->shapes, policy->shape_count, &shape, &at)) {
    r->shapes[at].counts |= shape.counts;
    return true;
  }
  if (route->pattern && r->pattern_count++ == SUBTOKEN_POLICY_PATTERNS_MAX) {
    r->route = number - 1;
    r->member = ST_TEXT("path");
    return st_policy_reader_refuse(r, route->path - 1,
                                   "too many combinations of places for stars (maximum 256)", 0);
  }
  memmove(&r->shapes[at + 1], &r->shapes[at], (policy->shape_count - at) * sizeof shape);
  r->shapes[at] = shape;
  policy->shape_count++;
  return true;
}

/* 1 + the route in the table with the same path; or 0, and *slot is the slot for this one. */
static uint32_t find_path(const st_policy_reader *r, const st_policy_route *route, uint32_t hash,
                          st_policy_slot **slot) {
  subtoken_text path = st_policy_path(r->policy, route);
  for (uint32_t i = hash;; i++) {
    *slot = &r->slots[i & (r->policy->slot_count - 1)];
    if ((*slot)->route == 0) return 0;
    if ((*slot)->hash == hash && (*slot)->shape == route->shape &&
        st_text_equal(st_policy_path(r->policy, &r->routes[(*slot)->route - 1]), path)) {
      return (*slot)->route;
    }
  }
}

static bool enter_route(st_policy_reader *r, uint32_t number) {
  st_policy_route *route = &r->routes[number - 1];
  subtoken_text path = st_policy_path(r->policy, route);
  st_policy_shape shape;
  st_policy_slot *slot;
  st_policy_sums sums;
  size_t at, count = st_policy_shape_of(path, route->wild, &shape) - route->wild;
  bool found = st_policy_shape_find(r->shapes, r->policy->shape_count, &shape, &at);
  if (st_impossible(!found, "measure_route has put it there")) return false;
  route->shape = (uint16_t)at;
  st_policy_sum(r->policy, path, &sums);
  uint32_t hash = st_policy_hash_end(sums.sum[count], route->wild);
  uint32_t first = find_path(r, route, hash, &slot);
  if (first != 0) return append_route(r, &r->routes[first - 1], number);
  *slot = (st_policy_slot){hash, number, route->path, route->path_len, route->shape};
  return true;
}

static bool enter_routes(st_policy_reader *r) {
  uint32_t count = r->policy->route_count;
  if (count == 0) return true;
  r->policy->slot_count = 2;
  while (r->policy->slot_count < 2 * count) r->policy->slot_count *= 2;
  memset(r->slots, 0, r->policy->slot_count * sizeof *r->slots);
  for (uint32_t number = 1; number <= count; number++) {
    if (!measure_route(r, number)) return false;
  }
  for (uint32_t number = 1; number <= count; number++) {
    if (!enter_route(r, number)) return false;
  }
  return true;
}

/* ---- memory ---- */

/* One for paths without stars, one for each place of a final star alone, and the others. */
#define SHAPES_MAX (1 + ST_POLICY_SEGMENTS_MAX + SUBTOKEN_POLICY_PATTERNS_MAX)

typedef struct plan {
  size_t routes, slices, slots, calls; /* counts */
  size_t routes_at, slices_at, slots_at, calls_at, text_at, size;
} plan;

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static plan plan_for(size_t routes, size_t slices, size_t calls, size_t text_len) {
  plan p = {.routes = routes, .slices = slices, .slots = 2, .calls = calls};
  while (p.slots < 2 * routes) p.slots *= 2;
  p.routes_at = sizeof(subtoken_policy) + smaller(routes, SHAPES_MAX) * sizeof(st_policy_shape);
  p.slices_at = p.routes_at + p.routes * sizeof(st_policy_route);
  p.slots_at = p.slices_at + p.slices * sizeof(st_policy_slice);
  p.slots_at += p.slots_at % sizeof(st_policy_slot); /* none lies in two lines of the cache */
  p.calls_at = p.slots_at + p.slots * sizeof(st_policy_slot);
  p.text_at = p.calls_at + p.calls * sizeof(st_policy_call);
  p.size = p.text_at + text_len;
  return p;
}

size_t subtoken_policy_size(size_t text_len) {
  if (text_len > SUBTOKEN_POLICY_TEXT_MAX) return 0;
  return plan_for(text_len / ST_POLICY_ROUTE_LEAST + 1, text_len / ST_POLICY_ITEM_LEAST + 1,
                  text_len / ST_POLICY_CALL_LEAST + 1, text_len)
      .size;
}

/* Each route takes a brace, each item two quotes, and each call a bracket. Parts that lie close are
 * found faster. */
static plan plan_of(subtoken_text text) {
  size_t braces = 0, quotes = 0, brackets = 0;
  for (size_t i = 0; i < text.len; i++) {
    braces += text.data[i] == '{';
    quotes += text.data[i] == '"';
    brackets += text.data[i] == '[';
  }
  return plan_for(smaller(braces, text.len / ST_POLICY_ROUTE_LEAST + 1),
                  smaller(quotes / 2, text.len / ST_POLICY_ITEM_LEAST + 1),
                  smaller(brackets, text.len / ST_POLICY_CALL_LEAST + 1), text.len);
}

static void place_parts(st_policy_reader *r, void *memory, const plan *p) {
  char *front = memory;
  r->policy = memory;
  memset(r->policy, 0, sizeof *r->policy);
  r->policy->shapes_at = sizeof *r->policy;
  r->policy->routes_at = (uint32_t)p->routes_at;
  r->policy->slices_at = (uint32_t)p->slices_at;
  r->policy->slots_at = (uint32_t)p->slots_at;
  r->policy->calls_at = (uint32_t)p->calls_at;
  r->policy->text_at = (uint32_t)p->text_at;
  r->shapes = (st_policy_shape *)(void *)(front + sizeof *r->policy);
  r->routes = (st_policy_route *)(void *)(front + p->routes_at);
  r->slices = (st_policy_slice *)(void *)(front + p->slices_at);
  r->slots = (st_policy_slot *)(void *)(front + p->slots_at);
  r->calls = (st_policy_call *)(void *)(front + p->calls_at);
  r->route_capacity = p->routes;
  r->slice_capacity = p->slices;
  r->call_capacity = p->calls;
  if (r->text.len > 0) memcpy(front + p->text_at, r->text.data, r->text.len);
  st_json_start(&r->json, front + p->text_at, r->text.len);
}

static void write_error(subtoken_policy_error *error, const char *text) {
  st_writer writer = st_writer_on(error->text, sizeof error->text);
  st_write_truncated(&writer, text);
  if (st_impossible(!st_writer_end(&writer), "the texts below fit")) error->text[0] = '\0';
}

static subtoken_result read_policy(void *memory, size_t size, subtoken_text text,
                                   subtoken_policy_error *error) {
  st_policy_reader r;
  if (memory == NULL || (uintptr_t)memory % _Alignof(subtoken_policy) != 0 ||
      (text.data == NULL && text.len > 0)) {
    write_error(error, "invalid argument: the memory must be aligned to 8 bytes");
    return SUBTOKEN_INVALID_ARGUMENT;
  }
  if (text.len > SUBTOKEN_POLICY_TEXT_MAX) {
    write_error(error, "the policy is larger than 16 MiB");
    return SUBTOKEN_TOO_LARGE;
  }
  plan p = plan_of(text);
  if (p.size > size) {
    write_error(error, "the memory is smaller than subtoken_policy_size says");
    return SUBTOKEN_BUFFER_TOO_SMALL;
  }
  r.text = text;
  r.slice_count = r.call_count = r.pattern_count = 0;
  r.lines_at = 0;
  r.line = 1;
  r.route = r.item = ST_POLICY_NONE;
  r.member = r.call = (subtoken_text){NULL, 0};
  r.error = error;
  place_parts(&r, memory, &p);
  return st_policy_parse(&r) && enter_routes(&r) ? SUBTOKEN_OK : SUBTOKEN_MALFORMED;
}

subtoken_result subtoken_policy_read(void *memory, size_t size, subtoken_text text,
                                     const subtoken_policy **policy, subtoken_policy_error *error) {
  subtoken_policy_error own;
  if (error == NULL) error = &own;
  memset(error, 0, sizeof *error);
  if (policy == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  *policy = NULL;
  subtoken_result result = read_policy(memory, size, text, error);
  if (result == SUBTOKEN_OK) *policy = memory;
  return result;
}
