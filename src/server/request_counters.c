/* Each thread adds to a block of its own, which others only read: relaxed loads and stores are
 * enough, no instruction locks a bus, and no cache line is written by two. A block outlives its
 * thread, and is taken over by a later one.
 *
 * A pair of route, method and code gets a place in the blocks when it first occurs, so that a block
 * has room for those that do, and not for each that could. There are at most PLACES; what comes
 * after them, which the routes and codes there are do not reach, is counted as other. Reasons get
 * theirs likewise.
 *
 * When many connections take turns, a thread's lines are in no cache by the time its next request
 * comes. So all that a quick request without a reason adds to lies in one line: how many there were
 * is the sum of the buckets, and a route's times are those of its places.
 */
#include "server/request_counters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "service/router.h"

#define LINE 64
#define ROUTES 128 /* and place 0 for what is none of them */
#define PLACES 1024
#define REASONS 96
#define REASON_OTHER 0
#define REASON_OK 1

typedef _Atomic int64_t counter;

/* The upper bounds of the histogram, in microseconds, and as a label. */
static const struct {
  int64_t us;
  const char *le;
} bounds[] = {{50, "0.00005"},   {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},
              {1000, "0.001"},   {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
              {25000, "0.025"},  {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"},
              {500000, "0.5"},   {1000000, "1.0"}, {2500000, "2.5"}, {5000000, "5.0"},
              {10000000, "10.0"}};
#define BOUNDS (sizeof bounds / sizeof bounds[0])

static const char *const methods[] = {"other", "GET",    "HEAD",    "POST",
                                      "PUT",   "DELETE", "OPTIONS", "PATCH"};
#define METHODS (sizeof methods / sizeof methods[0])

/* Those that are answered; 0 for any other. */
static const int codes[] = {0,   200, 201, 202, 204, 206, 303, 304, 307, 308, 400,
                            401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 414,
                            415, 416, 417, 421, 422, 429, 431, 500, 501, 503, 505};
#define CODES (sizeof codes / sizeof codes[0])

/* Of a route, a method and a code: the first line has the buckets up to 5 ms. */
typedef struct cell {
  _Alignas(LINE) counter time_us;
  counter buckets[BOUNDS + 1];
} cell;

/* One thread's. */
typedef struct block {
  struct block *next;
  bool used; /* a thread has it; under the lock */
  cell cells[PLACES];
  counter refusals[REASONS];
  counter notices[REASONS];
  counter decisions[REASONS];
} block;

static _Thread_local block *own;

static struct {
  pthread_mutex_t lock;
  _Atomic(block *) blocks;
  _Atomic uint16_t places[ROUTES][METHODS][CODES]; /* 0: none yet */
  _Atomic size_t place_count;
  struct {
    uint8_t route, method, code;
  } triples[PLACES]; /* of places 1 to place_count */
  _Atomic size_t reason_count;
  const char *reasons[REASONS];
} counters = {.lock = PTHREAD_MUTEX_INITIALIZER,
              .reason_count = 2,
              .reasons = {[REASON_OTHER] = "other", [REASON_OK] = "ok"}};

_Static_assert(ROUTES <= UINT8_MAX + 1, "a route fits a triple");

/* ---- adding ---- */

/* Only the thread itself writes it. */
static void counter_add(counter *c, int64_t value) {
  atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + value,
                        memory_order_relaxed);
}

/* Zeroed and on lines of its own; NULL without memory. Pages that are never written to cost none,
 * so it is not cleared by hand. */
static block *counters_allocate(void) {
  char *memory = calloc(1, sizeof(block) + LINE);
  if (memory == NULL) return NULL;
  return (block *)(void *)(memory + (LINE - (uintptr_t)memory % LINE));
}

/* One that a thread has left, or a new one. */
static block *counters_take_block(void) {
  (void)pthread_mutex_lock(&counters.lock);
  block *b = atomic_load(&counters.blocks);
  while (b != NULL && b->used) b = b->next;
  if (b == NULL && (b = counters_allocate()) != NULL) {
    b->next = atomic_load(&counters.blocks);
    atomic_store(&counters.blocks, b);
  }
  if (b != NULL) b->used = true;
  (void)pthread_mutex_unlock(&counters.lock);
  return b;
}

void st_request_counters_thread_end(void) {
  if (own == NULL) return;
  (void)pthread_mutex_lock(&counters.lock);
  own->used = false;
  (void)pthread_mutex_unlock(&counters.lock);
  own = NULL;
}

static size_t counters_method(subtoken_text method) {
  for (size_t i = 1; i < METHODS; i++) {
    if (st_text_is(method, methods[i])) return i;
  }
  return 0;
}

static size_t counters_code(int status) {
  for (size_t i = 1; i < CODES; i++) {
    if (codes[i] == status) return i;
  }
  return 0;
}

static size_t counters_new_place(size_t route, size_t method, size_t code) {
  (void)pthread_mutex_lock(&counters.lock);
  size_t place = atomic_load(&counters.places[route][method][code]);
  size_t count = atomic_load(&counters.place_count);
  bool other = route == 0 && method == 0 && code == 0; /* as place 0 */
  if (place == 0 && !other && count + 1 < PLACES) {
    place = count + 1;
    counters.triples[place].route = (uint8_t)route;
    counters.triples[place].method = (uint8_t)method;
    counters.triples[place].code = (uint8_t)code;
    atomic_store(&counters.place_count, place);
    atomic_store(&counters.places[route][method][code], (uint16_t)place);
  }
  (void)pthread_mutex_unlock(&counters.lock);
  return place;
}

static size_t counters_place(size_t route, size_t method, size_t code) {
  size_t place = atomic_load_explicit(&counters.places[route][method][code], memory_order_relaxed);
  return place != 0 ? place : counters_new_place(route, method, code);
}

static size_t counters_known_reason(const char *name) {
  size_t count = atomic_load_explicit(&counters.reason_count, memory_order_acquire);
  size_t i = 1;
  while (i < count && strcmp(counters.reasons[i], name) != 0) i++;
  return i < count ? i : REASON_OTHER;
}

/* name is a literal of the service. */
static size_t counters_reason(const char *name) {
  size_t reason = counters_known_reason(name);
  if (reason != REASON_OTHER) return reason;
  (void)pthread_mutex_lock(&counters.lock);
  reason = counters_known_reason(name);
  size_t count = atomic_load(&counters.reason_count);
  if (reason == REASON_OTHER && count < REASONS) {
    reason = count;
    counters.reasons[reason] = name;
    atomic_store_explicit(&counters.reason_count, count + 1, memory_order_release);
  }
  (void)pthread_mutex_unlock(&counters.lock);
  return reason;
}

static void counters_add_time(cell *c, int64_t us) {
  size_t i = 0;
  while (i < BOUNDS && us > bounds[i].us) i++;
  counter_add(&c->buckets[i], 1);
  counter_add(&c->time_us, us);
}

void st_request_counters_add(const st_request *request, const st_reply *reply,
                             int64_t microseconds) {
  if (own == NULL) own = counters_take_block();
  block *b = own;
  if (b == NULL) return;
  size_t route = reply->route < ROUTES ? reply->route : 0;
  size_t place =
      counters_place(route, counters_method(request->method), counters_code(reply->status));
  counters_add_time(&b->cells[place], microseconds > 0 ? microseconds : 0);
  const char *name = reply->event.name;
  bool refused = reply->status >= 400;
  size_t reason = name != NULL ? counters_reason(name) : REASON_OTHER;
  if (refused) counter_add(&b->refusals[reason], 1);
  if (!refused && name != NULL) counter_add(&b->notices[reason], 1);
  if ((st_router_route(route).counts & ST_ROUTE_DECIDES) != 0) {
    counter_add(&b->decisions[refused ? reason : REASON_OK], 1);
  }
}

/* ---- summing ---- */

/* Of all blocks: offset is that of the counter in a block. */
static int64_t counters_sum(size_t offset) {
  int64_t sum = 0;
  for (block *b = atomic_load(&counters.blocks); b != NULL; b = b->next) {
    counter *c = (counter *)(void *)((char *)b + offset);
    sum += atomic_load_explicit(c, memory_order_relaxed);
  }
  return sum;
}

/* Of a place, or of several. */
typedef struct cell_sum {
  int64_t count, time_us, buckets[BOUNDS + 1];
} cell_sum;

static void counters_sum_cell(cell_sum *sum, size_t place) {
  for (block *b = atomic_load(&counters.blocks); b != NULL; b = b->next) {
    const cell *c = &b->cells[place];
    sum->time_us += atomic_load_explicit(&c->time_us, memory_order_relaxed);
    for (size_t i = 0; i <= BOUNDS; i++) {
      int64_t count = atomic_load_explicit(&c->buckets[i], memory_order_relaxed);
      sum->buckets[i] += count;
      sum->count += count;
    }
  }
}

static void counters_label_route(st_exposition *e, size_t route) {
  char label[ST_ROUTE_PATH_MAX + 2];
  const char *path = st_router_route(route).path;
  size_t len = strlen(path);
  bool prefix = len > 1 && path[len - 1] == '/';
  snprintf(label, sizeof label, "%s%s", path, prefix ? "*" : "");
  st_exposition_label(e, "route", label);
}

static void counters_write_requests(st_exposition *e, int64_t *issued) {
  size_t count = atomic_load(&counters.place_count);
  st_exposition_family(e, "subtoken_http_requests", ST_METRIC_COUNTER,
                       "Requests that were answered, by route, method and status.");
  for (size_t i = 0; i <= count; i++) {
    size_t route = counters.triples[i].route, code = counters.triples[i].code;
    cell_sum sum = {0};
    char status[16];
    counters_sum_cell(&sum, i);
    if (sum.count == 0) continue;
    snprintf(status, sizeof status, "%d", codes[code]);
    st_exposition_begin(e, "");
    counters_label_route(e, route);
    st_exposition_label(e, "method", methods[counters.triples[i].method]);
    st_exposition_label(e, "code", codes[code] != 0 ? status : "other");
    st_exposition_int(e, sum.count);
    bool issues = (st_router_route(route).counts & ST_ROUTE_ISSUES) != 0;
    if (issues && codes[code] == 200) *issued += sum.count;
  }
}

static void counters_write_route_times(st_exposition *e, size_t route) {
  size_t count = atomic_load(&counters.place_count);
  cell_sum sum = {0};
  int64_t seen = 0;
  for (size_t i = 0; i <= count; i++) {
    if (counters.triples[i].route == route) counters_sum_cell(&sum, i);
  }
  if (sum.count == 0) return;
  for (size_t i = 0; i <= BOUNDS; i++) {
    seen += sum.buckets[i];
    st_exposition_begin(e, "_bucket");
    counters_label_route(e, route);
    st_exposition_label(e, "le", i < BOUNDS ? bounds[i].le : "+Inf");
    st_exposition_int(e, seen);
  }
  st_exposition_begin(e, "_sum");
  counters_label_route(e, route);
  st_exposition_seconds(e, sum.time_us);
  st_exposition_begin(e, "_count");
  counters_label_route(e, route);
  st_exposition_int(e, sum.count);
}

/* always: the reason that is told also when it never occurred, or -1. */
static void counters_write_reasons(st_exposition *e, size_t array, int always) {
  size_t count = atomic_load_explicit(&counters.reason_count, memory_order_acquire);
  for (size_t i = 0; i < count; i++) {
    int64_t sum = counters_sum(array + i * sizeof(counter));
    if (sum == 0 && (int)i != always) continue;
    st_exposition_begin(e, "");
    st_exposition_label(e, "reason", counters.reasons[i]);
    st_exposition_int(e, sum);
  }
}

void st_request_counters_write(st_exposition *e) {
  int64_t issued = 0;
  counters_write_requests(e, &issued);
  st_exposition_one(e, "subtoken_tokens_issued", ST_METRIC_COUNTER,
                    "Subtokens and access tokens that were made.", issued);
  st_exposition_family(e, "subtoken_http_request_duration_seconds", ST_METRIC_HISTOGRAM,
                       "From the last byte of a request, or from when it was no longer held back, "
                       "to its answer.");
  size_t routes = st_router_count() + 1;
  for (size_t i = 0; i < routes && i < ROUTES; i++) counters_write_route_times(e, i);
  st_exposition_family(e, "subtoken_http_refusals", ST_METRIC_COUNTER,
                       "Requests that were refused, by the reason that the log names.");
  counters_write_reasons(e, offsetof(block, refusals), -1);
  st_exposition_family(e, "subtoken_http_notices", ST_METRIC_COUNTER,
                       "Requests that were not refused, though the log names a reason.");
  counters_write_reasons(e, offsetof(block, notices), -1);
  st_exposition_family(e, "subtoken_decisions", ST_METRIC_COUNTER,
                       "What the decision endpoint decided: ok, or why not.");
  counters_write_reasons(e, offsetof(block, decisions), REASON_OK);
}
