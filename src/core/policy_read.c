/* The text of a policy to its place in memory. What goes wrong is told once, where it is
 * first seen; everything above only hands on the `false`.
 */
#include "base/json.h"
#include "core/claims.h"
#include "core/policy.h"

#define ROUTE_LEAST 12 /* {"path":"/"} */
#define ITEM_LEAST 4   /* "A", and the comma or bracket before it */
#define SHOWN_MAX 48   /* bytes of a value that an error repeats */
#define NONE SIZE_MAX

typedef struct reader {
  st_json json; /* over the copy of the text in the policy */
  subtoken_text text;
  subtoken_policy *policy;
  st_policy_shape *shapes;
  st_policy_route *routes;
  st_policy_slice *slices;
  st_policy_slot *slots;
  size_t route_room, slice_room, slice_count, pattern_count;
  size_t lines_at, line; /* the line of an offset, counted on from the last */
  /* Where reading is, for errors. */
  size_t route;         /* NONE outside of routes */
  subtoken_text member; /* data NULL: none */
  size_t item;
  subtoken_policy_error *error;
} reader;

/* Of the route that is being read: where its members stand. */
typedef struct draft {
  st_policy_route route;
  size_t path, needs, open, json_rpc; /* NONE when absent */
} draft;

/* ---- errors ---- */

static void write_where(st_writer *writer, const reader *r) {
  if (r->route != NONE) {
    st_write_literal(writer, "routes[");
    st_write_int(writer, (int64_t)r->route);
    st_write_char(writer, ']');
    if (r->member.data != NULL) st_write_char(writer, '.');
  }
  if (r->member.data != NULL) st_write_view(writer, r->member);
  if (r->item != NONE) {
    st_write_char(writer, '[');
    st_write_int(writer, (int64_t)r->item);
    st_write_char(writer, ']');
  }
  if (writer->len > 0) st_write_literal(writer, ": ");
}

/* No more of a long text than this, and only whole characters. */
static subtoken_text shortened(subtoken_text text) {
  if (text.len <= SHOWN_MAX) return text;
  size_t len = SHOWN_MAX;
  while (len > 0 && ((uint8_t)text.data[len] & 0xC0) == 0x80) len--;
  return (subtoken_text){text.data, len};
}

/* value (data NULL: none) and then problem; line > 0 ends the sentence. */
static bool refuse_with(reader *r, size_t at, subtoken_text value, const char *problem,
                        size_t line) {
  subtoken_policy_error *error = r->error;
  st_json_position(r->text.data, at < r->text.len ? at : r->text.len, &error->line, &error->column);
  st_writer writer = st_writer_on(error->text, sizeof error->text);
  write_where(&writer, r);
  if (value.data != NULL) {
    st_write_char(&writer, '"');
    st_write_escaped(&writer, shortened(value));
    if (value.len > SHOWN_MAX) st_write_literal(&writer, "...");
    st_write_literal(&writer, "\" ");
  }
  st_write_truncated(&writer, problem);
  if (line > 0) st_write_int(&writer, (int64_t)line);
  /* The longest there is fits: the tests hold that. */
  if (!st_writer_end(&writer)) error->text[0] = '\0';
  return false;
}

static bool refuse(reader *r, size_t at, const char *problem) {
  return refuse_with(r, at, (subtoken_text){NULL, 0}, problem, 0);
}

/* A call of the JSON reader failed; with another type than `wanted`, perhaps. */
static bool refuse_json(reader *r, const char *wanted) {
  bool ended = r->json.at >= r->text.len;
  const char *problem = ended ? "the text ends too early" : "this is not strict JSON";
  return refuse(r, r->json.at, r->json.wrong_type ? wanted : problem);
}

/* Where the next value stands. */
static size_t here(reader *r) {
  (void)st_json_peek(&r->json);
  return r->json.at;
}

/* Where the quote of a string stood that was read. */
static size_t quote_of(const reader *r, subtoken_text string) {
  return (size_t)(string.data - r->json.text) - 1;
}

/* ---- objects: a table of members ---- */

typedef struct member {
  subtoken_text name; /* data NULL ends the table */
  bool (*read)(reader *r, draft *into, size_t name_at);
} member;

/* The reader stopped at a name. Is it one that this object has already? */
static const member *twice(const reader *r, const member *table, uint32_t seen) {
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

static bool read_members(reader *r, const member *table, draft *into) {
  subtoken_text outer = r->member;
  subtoken_text name;
  uint32_t seen = 0;
  while (st_json_member(&r->json, &name)) {
    const member *row = table;
    while (row->name.data != NULL && !st_text_equal(name, row->name)) row++;
    if (row->name.data == NULL) {
      return refuse_with(r, quote_of(r, name), name, "is no member here", 0);
    }
    r->member = row->name;
    if (!row->read(r, into, quote_of(r, name))) return false;
    r->member = outer;
    seen |= 1U << (row - table);
  }
  if (!r->json.failed) return true;
  const member *row = twice(r, table, seen);
  if (row == NULL) return refuse_json(r, "this is not strict JSON");
  return refuse_with(r, r->json.at, row->name, "stands here twice", 0);
}

static bool read_bool(reader *r, bool *value) {
  return st_json_bool(&r->json, value) || refuse_json(r, "must be true or false");
}

/* ---- lists ---- */

static bool known(const reader *r, uint32_t first, subtoken_text item) {
  for (size_t i = first; i < r->slice_count; i++) {
    if (st_text_equal((subtoken_text){r->json.text + r->slices[i].at, r->slices[i].len}, item)) {
      return true;
    }
  }
  return false;
}

/* valid: NULL, or what is wrong with an item. */
static bool read_item(reader *r, const char *(*valid)(subtoken_text item), uint32_t first,
                      size_t most) {
  subtoken_text item;
  size_t at = here(r);
  if (!st_json_string(&r->json, &item)) return refuse_json(r, "must be a string");
  const char *problem = valid(item);
  if (problem == NULL && known(r, first, item)) problem = "stands here twice";
  if (problem == NULL && r->slice_count - first == most) problem = "is the 65th: 64 are allowed";
  if (problem != NULL) return refuse_with(r, at, item, problem, 0);
  if (r->slice_count == r->slice_room) return refuse(r, at, "there are too many");
  r->slices[r->slice_count++] =
      (st_policy_slice){(uint32_t)(item.data - r->json.text), (uint32_t)item.len};
  return true;
}

static bool read_list(reader *r, const char *(*valid)(subtoken_text item), size_t most,
                      uint32_t *first, uint8_t *count) {
  size_t at = here(r);
  *first = (uint32_t)r->slice_count;
  if (!st_json_array(&r->json)) return refuse_json(r, "must be an array of strings");
  for (r->item = 0; st_json_element(&r->json); r->item++) {
    if (!read_item(r, valid, *first, most)) return false;
  }
  if (r->json.failed) return refuse_json(r, "this is not strict JSON");
  r->item = NONE;
  *count = (uint8_t)(r->slice_count - *first);
  return *count > 0 || refuse(r, at, "is empty: leave it out, or list something");
}

static const char *method_problem(subtoken_text method) {
  for (size_t i = 0; i < method.len; i++) {
    if (method.data[i] < 'A' || method.data[i] > 'Z') return "is not upper-case letters";
  }
  if (method.len == 0) return "is no method";
  return method.len > SUBTOKEN_POLICY_METHOD_MAX ? "is longer than 32 letters" : NULL;
}

static const char *need_problem(subtoken_text need) {
  if (need.len > SUBTOKEN_PERMISSION_MAX) return "is longer than 64 characters";
  return subtoken_permission_valid(need) ? NULL : "is no permission";
}

/* ---- a route ---- */

static bool read_path(reader *r, draft *into, size_t name_at) {
  st_entry entry;
  subtoken_text text;
  (void)name_at;
  into->path = here(r);
  if (!st_json_string(&r->json, &text)) return refuse_json(r, "must be a string");
  subtoken_fault fault = st_entry_read(text, &entry);
  if (fault != SUBTOKEN_FAULT_NONE) {
    return refuse_with(r, into->path, text, subtoken_fault_text(fault), 0);
  }
  if (entry.method.len > 0) {
    return refuse_with(r, into->path, text, "has a method in front, which belongs into methods", 0);
  }
  /* Decoded where it stands: it is never longer than what it was decoded from. */
  size_t at = (size_t)(text.data - r->json.text);
  memmove(r->json.text + at, entry.path.bytes, entry.path.len);
  into->route.path = (uint32_t)at;
  into->route.path_len = (uint16_t)entry.path.len;
  into->route.wild = entry.wild;
  into->route.pattern = entry.pattern;
  return true;
}

static bool read_methods(reader *r, draft *into, size_t name_at) {
  (void)name_at;
  return read_list(r, method_problem, SUBTOKEN_POLICY_METHODS_MAX, &into->route.methods,
                   &into->route.method_count);
}

static bool read_needs(reader *r, draft *into, size_t name_at) {
  into->needs = name_at;
  return read_list(r, need_problem, SUBTOKEN_POLICY_NEEDS_MAX, &into->route.needs,
                   &into->route.need_count);
}

static bool read_public(reader *r, draft *into, size_t name_at) {
  into->open = name_at;
  return read_bool(r, &into->route.open);
}

static bool read_json_rpc(reader *r, draft *into, size_t name_at) {
  into->json_rpc = name_at;
  return read_bool(r, &into->route.json_rpc);
}

static size_t later(size_t a, size_t b) {
  return a > b ? a : b;
}

/* What its members say together; told at the later of two that contradict each other. */
static bool check_route(reader *r, const draft *read, size_t at) {
  if (read->path == NONE) return refuse(r, at, "has no path");
  if (read->route.open && read->needs != NONE) {
    return refuse(r, later(read->open, read->needs), "is public, and yet has needs");
  }
  if (read->route.open && read->route.json_rpc) {
    return refuse(r, later(read->open, read->json_rpc), "is public, and yet json_rpc");
  }
  return true;
}

static size_t line_of(reader *r, size_t at) {
  for (; r->lines_at < at; r->lines_at++) r->line += r->text.data[r->lines_at] == '\n';
  return r->line;
}

static bool read_route(reader *r) {
  static const member members[] = {
      {SUBTOKEN_TEXT("path"), read_path},         {SUBTOKEN_TEXT("methods"), read_methods},
      {SUBTOKEN_TEXT("needs"), read_needs},       {SUBTOKEN_TEXT("public"), read_public},
      {SUBTOKEN_TEXT("json_rpc"), read_json_rpc}, {{NULL, 0}, NULL}};
  draft read = {.path = NONE, .needs = NONE, .open = NONE, .json_rpc = NONE};
  size_t at = here(r);
  r->member = (subtoken_text){NULL, 0};
  if (!st_json_object(&r->json)) return refuse_json(r, "must be an object");
  if (!read_members(r, members, &read) || !check_route(r, &read, at)) return false;
  if (r->policy->route_count == r->route_room) return refuse(r, at, "there are too many");
  read.route.line = (uint32_t)line_of(r, read.path);
  r->routes[r->policy->route_count++] = read.route;
  return true;
}

/* ---- the whole ---- */

static bool read_default(reader *r, draft *into, size_t name_at) {
  subtoken_text value;
  size_t at = here(r);
  (void)name_at;
  into->path = at; /* of the whole, this says that it is there */
  if (!st_json_string(&r->json, &value)) return refuse_json(r, "must be a string");
  if (st_text_is(value, "deny")) {
    r->policy->standard = SUBTOKEN_ACCESS_DENIED;
  } else if (st_text_is(value, "token")) {
    r->policy->standard = SUBTOKEN_ACCESS_TOKEN;
  } else if (st_text_is(value, "public")) {
    r->policy->standard = SUBTOKEN_ACCESS_PUBLIC;
  } else {
    return refuse_with(r, at, value, "is not deny, token or public", 0);
  }
  return true;
}

static bool read_preflight(reader *r, draft *into, size_t name_at) {
  (void)into;
  (void)name_at;
  return read_bool(r, &r->policy->preflight);
}

static bool read_routes(reader *r, draft *into, size_t name_at) {
  size_t at = here(r);
  (void)into;
  (void)name_at;
  if (!st_json_array(&r->json)) return refuse_json(r, "must be an array of objects");
  for (r->route = 0; st_json_element(&r->json); r->route++) {
    if (!read_route(r)) return false;
  }
  r->member = (subtoken_text){NULL, 0};
  if (r->json.failed) return refuse_json(r, "this is not strict JSON");
  r->route = NONE;
  r->member = ST_TEXT("routes");
  return r->policy->route_count > 0 || refuse(r, at, "is empty: leave it out, or list something");
}

static bool read_policy(reader *r) {
  static const member members[] = {{SUBTOKEN_TEXT("default"), read_default},
                                   {SUBTOKEN_TEXT("preflight"), read_preflight},
                                   {SUBTOKEN_TEXT("routes"), read_routes},
                                   {{NULL, 0}, NULL}};
  draft read = {.path = NONE};
  size_t at = here(r);
  if (!st_json_object(&r->json)) return refuse_json(r, "a policy is an object");
  if (!read_members(r, members, &read)) return false;
  if (!st_json_end(&r->json)) return refuse(r, here(r), "something stands behind the policy");
  if (read.path == NONE) return refuse(r, at, "there is no default: deny, token or public");
  return true;
}

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

/* Behind the others of its path, whose first one is given. */
static bool append_route(reader *r, st_policy_route *first, uint32_t number) {
  st_policy_route *route = &r->routes[number - 1], *at = first;
  size_t methods = route->method_count;
  r->route = number - 1;
  r->member = ST_TEXT("path");
  for (;; at = &r->routes[at->next - 1]) {
    methods += at->method_count;
    if (methods_meet(r->policy, at, route)) {
      return refuse_with(r, route->path - 1, (subtoken_text){NULL, 0},
                         "this path, with a method in common, is also that of line ", at->line);
    }
    if (at->next == 0) break;
  }
  if (methods > SUBTOKEN_POLICY_METHODS_MAX) {
    return refuse(r, route->path - 1, "the routes of this path have more than 64 methods together");
  }
  at->next = number;
  return true;
}

static size_t longest_segment(subtoken_text path) {
  st_cutter cutter = {path, false};
  subtoken_text segment;
  size_t longest = 0;
  while (st_cut(&cutter, '/', &segment)) longest = later(longest, segment.len);
  return longest;
}

/* How far a look-up has to read, and the shapes through which it goes. */
static bool measure_route(reader *r, uint32_t number) {
  const st_policy_route *route = &r->routes[number - 1];
  subtoken_policy *policy = r->policy;
  subtoken_text path = st_policy_path(policy, route);
  st_policy_shape shape;
  size_t at;
  policy->deepest = (uint16_t)later(policy->deepest, st_policy_shape_of(path, route->wild, &shape));
  size_t longest = route->pattern ? UINT16_MAX : longest_segment(path);
  policy->longest = (uint16_t)later(policy->longest, longest);
  if (st_policy_shape_find(r->shapes, policy->shape_count, &shape, &at)) {
    r->shapes[at].counts |= shape.counts;
    return true;
  }
  if (route->pattern && r->pattern_count++ == SUBTOKEN_POLICY_PATTERNS_MAX) {
    r->route = number - 1;
    r->member = ST_TEXT("path");
    return refuse(r, route->path - 1, "too many combinations of places for stars (maximum 256)");
  }
  memmove(&r->shapes[at + 1], &r->shapes[at], (policy->shape_count - at) * sizeof shape);
  r->shapes[at] = shape;
  policy->shape_count++;
  return true;
}

/* The route of the same path that stands in the table, or 0 and the slot for this one. */
static uint32_t same_path(const reader *r, const st_policy_route *route, uint32_t hash,
                          st_policy_slot **slot) {
  subtoken_text path = st_policy_path(r->policy, route);
  for (uint32_t i = hash;; i++) {
    *slot = &r->slots[i & (r->policy->slot_count - 1)];
    if ((*slot)->route == 0) return 0;
    const st_policy_route *other = &r->routes[(*slot)->route - 1];
    if ((*slot)->hash == hash && other->shape == route->shape &&
        st_text_equal(st_policy_path(r->policy, other), path)) {
      return (*slot)->route;
    }
  }
}

static bool enter_route(reader *r, uint32_t number) {
  st_policy_route *route = &r->routes[number - 1];
  subtoken_text path = st_policy_path(r->policy, route);
  st_policy_shape shape;
  st_policy_slot *slot;
  st_policy_sums sums;
  size_t at, count = st_policy_shape_of(path, route->wild, &shape) - route->wild;
  if (!st_policy_shape_find(r->shapes, r->policy->shape_count, &shape, &at)) return false;
  route->shape = (uint16_t)at; /* measure_route has put it there */
  st_policy_sum(r->policy, path, &sums);
  uint32_t hash = st_policy_hash_end(sums.sum[count], route->wild);
  uint32_t first = same_path(r, route, hash, &slot);
  if (first != 0) return append_route(r, &r->routes[first - 1], number);
  *slot = (st_policy_slot){hash, number};
  return true;
}

static bool enter_routes(reader *r) {
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

/* Paths without stars, those with a final one alone, which has so many places, and the others. */
#define SHAPES_MAX (1 + ST_POLICY_SEGMENTS_MAX + SUBTOKEN_POLICY_PATTERNS_MAX)

typedef struct plan {
  size_t routes, slices, slots; /* counts */
  size_t routes_at, slices_at, slots_at, text_at, size;
} plan;

static size_t at_most(size_t a, size_t b) {
  return a < b ? a : b;
}

static plan plan_for(size_t routes, size_t slices, size_t text_len) {
  plan p = {.routes = routes, .slices = slices, .slots = 2};
  while (p.slots < 2 * routes) p.slots *= 2;
  p.routes_at = sizeof(subtoken_policy) + at_most(routes, SHAPES_MAX) * sizeof(st_policy_shape);
  p.slices_at = p.routes_at + p.routes * sizeof(st_policy_route);
  p.slots_at = p.slices_at + p.slices * sizeof(st_policy_slice);
  p.text_at = p.slots_at + p.slots * sizeof(st_policy_slot);
  p.size = p.text_at + text_len;
  return p;
}

size_t subtoken_policy_size(size_t text_len) {
  if (text_len > SUBTOKEN_POLICY_TEXT_MAX) return 0;
  return plan_for(text_len / ROUTE_LEAST + 1, text_len / ITEM_LEAST + 1, text_len).size;
}

/* Each route takes a brace and each item two quotes: what lies close is found faster. */
static plan plan_of(subtoken_text text) {
  size_t braces = 0, quotes = 0;
  for (size_t i = 0; i < text.len; i++) {
    braces += text.data[i] == '{';
    quotes += text.data[i] == '"';
  }
  return plan_for(at_most(braces, text.len / ROUTE_LEAST + 1),
                  at_most(quotes / 2, text.len / ITEM_LEAST + 1), text.len);
}

static void lay_out(reader *r, void *memory, const plan *p) {
  char *front = memory;
  r->policy = memory;
  memset(r->policy, 0, sizeof *r->policy);
  r->policy->shapes_at = sizeof *r->policy;
  r->policy->routes_at = (uint32_t)p->routes_at;
  r->policy->slices_at = (uint32_t)p->slices_at;
  r->policy->slots_at = (uint32_t)p->slots_at;
  r->policy->text_at = (uint32_t)p->text_at;
  r->shapes = (st_policy_shape *)(void *)(front + sizeof *r->policy);
  r->routes = (st_policy_route *)(void *)(front + p->routes_at);
  r->slices = (st_policy_slice *)(void *)(front + p->slices_at);
  r->slots = (st_policy_slot *)(void *)(front + p->slots_at);
  r->route_room = p->routes;
  r->slice_room = p->slices;
  if (r->text.len > 0) memcpy(front + p->text_at, r->text.data, r->text.len);
  st_json_start(&r->json, front + p->text_at, r->text.len);
}

static void say(subtoken_policy_error *error, const char *text) {
  st_writer writer = st_writer_on(error->text, sizeof error->text);
  st_write_truncated(&writer, text);
  if (!st_writer_end(&writer)) error->text[0] = '\0';
}

static subtoken_result read_into(void *memory, size_t size, subtoken_text text,
                                 subtoken_policy_error *error) {
  reader r;
  if (memory == NULL || (uintptr_t)memory % _Alignof(subtoken_policy) != 0 ||
      (text.data == NULL && text.len > 0)) {
    say(error, "the memory is missing, or not aligned to 8 bytes");
    return SUBTOKEN_INVALID_ARGUMENT;
  }
  if (text.len > SUBTOKEN_POLICY_TEXT_MAX) {
    say(error, "the policy is larger than 16 MiB");
    return SUBTOKEN_TOO_LARGE;
  }
  plan p = plan_of(text);
  if (p.size > size) {
    say(error, "the memory is not as large as subtoken_policy_size says");
    return SUBTOKEN_BUFFER_TOO_SMALL;
  }
  r.text = text;
  r.slice_count = r.pattern_count = 0;
  r.lines_at = 0;
  r.line = 1;
  r.route = r.item = NONE;
  r.member = (subtoken_text){NULL, 0};
  r.error = error;
  lay_out(&r, memory, &p);
  return read_policy(&r) && enter_routes(&r) ? SUBTOKEN_OK : SUBTOKEN_MALFORMED;
}

subtoken_result subtoken_policy_read(void *memory, size_t size, subtoken_text text,
                                     const subtoken_policy **policy, subtoken_policy_error *error) {
  subtoken_policy_error own;
  if (error == NULL) error = &own;
  memset(error, 0, sizeof *error);
  if (policy == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  *policy = NULL;
  subtoken_result result = read_into(memory, size, text, error);
  if (result == SUBTOKEN_OK) *policy = memory;
  return result;
}
