/* Remembers who asked for the revocation data, each key, address and audience once; of more than
 * fit it forgets whose last question is the longest ago. It is written as JSON by
 * feed_edges_status.
 */
#include "server/feed_edges.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "base/json.h"
#include "domain/store.h"
#include "os/error.h"
#include "server/snapshot_cache.h"

static struct {
  pthread_mutex_t lock;
  size_t count;
  uint64_t tags[ST_FEED_EDGES_MAX]; /* of who it is: looked at before the texts */
  st_feed_edge edges[ST_FEED_EDGES_MAX];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* FNV-1a. */
static uint64_t edge_hash(uint64_t tag, const char *text) {
  for (; *text != '\0'; text++) tag = (tag ^ (uint8_t)*text) * UINT64_C(1099511628211);
  return (tag ^ 0xFF) * UINT64_C(1099511628211);
}

static uint64_t edge_tag(const st_feed_edge *edge) {
  uint64_t tag = edge_hash(UINT64_C(14695981039346656037), edge->key_id);
  return edge_hash(edge_hash(tag, edge->address), edge->audience);
}

static bool edge_is(const st_feed_edge *one, const st_feed_edge *other) {
  return strcmp(one->key_id, other->key_id) == 0 && strcmp(one->address, other->address) == 0 &&
         strcmp(one->audience, other->audience) == 0;
}

/* Its place, or that of who is forgotten for it. Under the lock. */
static size_t edge_place(const st_feed_edge *edge, uint64_t tag) {
  size_t oldest = 0;
  for (size_t i = 0; i < seen.count; i++) {
    if (seen.tags[i] == tag && edge_is(&seen.edges[i], edge)) return i;
    if (seen.edges[i].last_asked < seen.edges[oldest].last_asked) oldest = i;
  }
  return seen.count < ST_FEED_EDGES_MAX ? seen.count++ : oldest;
}

void st_feed_edges_note(const st_feed_edge *edge) {
  uint64_t tag = edge_tag(edge);
  (void)pthread_mutex_lock(&seen.lock);
  size_t place = edge_place(edge, tag);
  seen.tags[place] = tag;
  seen.edges[place] = *edge;
  (void)pthread_mutex_unlock(&seen.lock);
}

/* ---- as JSON ---- */

static void status_text(st_writer *writer, const char *name, const char *text) {
  st_write_literal(writer, name);
  st_json_write_string(writer, st_text(text));
}

static void status_number(st_writer *writer, const char *name, int64_t number) {
  st_write_literal(writer, name);
  st_write_int(writer, number);
}

static void status_time(st_writer *writer, const char *name, int64_t at) {
  st_write_literal(writer, name);
  st_write_char(writer, '"');
  st_date_write(writer, at, false);
  st_write_char(writer, '"');
}

static void status_edge(st_writer *writer, const st_feed_edge *edge) {
  status_text(writer, "{\"key\":", edge->key_id);
  status_text(writer, ",\"name\":", edge->name);
  if (edge->audience[0] == '\0') {
    st_write_literal(writer, ",\"audience\":null");
  } else {
    status_text(writer, ",\"audience\":", edge->audience);
  }
  status_text(writer, ",\"address\":", edge->address);
  status_time(writer, ",\"last_asked\":", edge->last_asked);
  status_number(writer, ",\"sequence\":", edge->sequence);
  st_write_char(writer, '}');
}

/* Who asked last comes first. */
static int edge_compare(const void *one, const void *other) {
  int64_t a = ((const st_feed_edge *)one)->last_asked;
  int64_t b = ((const st_feed_edge *)other)->last_asked;
  return a == b ? 0 : a > b ? -1 : 1;
}

/* The sequence is the store's: a snapshot is made when an edge asks, and what changed since then is
 * what edges are behind by. Before anybody has asked there is none. */
static bool status_feed(st_writer *writer, st_store *store, int64_t now) {
  char error[ST_ERROR_MAX];
  st_snapshot_cache_state state;
  st_revocation_state stored;
  st_snapshot_cache_look(&state);
  if (st_store_revocation_state(store, &stored, error) != ST_STORE_OK) return false;
  status_number(writer, "{\"sequence\":",
                stored.sequence > state.sequence ? stored.sequence : state.sequence);
  if (state.sequence == 0) {
    st_write_literal(writer,
                     ",\"vouched_at\":null,\"age\":null,\"snapshot_bytes\":null,\"entries\":null");
    return true;
  }
  status_time(writer, ",\"vouched_at\":", state.vouched_at);
  status_number(writer, ",\"age\":", now > state.vouched_at ? now - state.vouched_at : 0);
  status_number(writer, ",\"snapshot_bytes\":", (int64_t)state.bytes);
  status_number(writer, ",\"entries\":", (int64_t)state.entries);
  return true;
}

#define EDGE_JSON_MAX (256 + 6 * sizeof(st_feed_edge))
#define STATUS_MAX (512 + ST_FEED_EDGES_MAX * EDGE_JSON_MAX)

static bool edge_is_in_view(const st_feed_edge *edge, const st_feed_view *view) {
  return (view->key_id == NULL || strcmp(view->key_id, edge->key_id) == 0) &&
         (view->audience.len == 0 || st_text_is(view->audience, edge->audience));
}

static size_t status_copy(st_feed_edge *edges, const st_feed_view *view) {
  size_t count = 0;
  (void)pthread_mutex_lock(&seen.lock);
  for (size_t i = 0; i < seen.count; i++) {
    if (edge_is_in_view(&seen.edges[i], view)) edges[count++] = seen.edges[i];
  }
  (void)pthread_mutex_unlock(&seen.lock);
  qsort(edges, count, sizeof *edges, edge_compare);
  return count;
}

bool st_feed_edges_status(void *store, int64_t now, const st_feed_view *view, st_payload *payload) {
  st_feed_edge *edges = malloc(ST_FEED_EDGES_MAX * sizeof *edges);
  char *text = malloc(STATUS_MAX);
  st_writer writer = st_writer_on(text, text != NULL ? STATUS_MAX : 0);
  bool good = edges != NULL && text != NULL && status_feed(&writer, store, now);
  if (good) {
    size_t count = status_copy(edges, view);
    st_write_literal(&writer, ",\"edges\":[");
    for (size_t i = 0; i < count; i++) {
      if (i > 0) st_write_char(&writer, ',');
      status_edge(&writer, &edges[i]);
    }
    st_write_literal(&writer, "]}");
  }
  free(edges);
  if (!good || writer.overflow) {
    free(text);
    return false;
  }
  *payload = (st_payload){.data = text, .len = writer.len, .release = free, .context = text};
  return true;
}
