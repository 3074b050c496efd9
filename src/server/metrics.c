/* Gauges are read when somebody asks. What costs the store work that grows with it, the number of
 * keys, is asked of it again after COUNT_EVERY_US at the earliest, however many scrape. A store
 * that does not answer is told as that, and its families are left out.
 */
#include "server/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "core/ring.h"
#include "operations/password.h"
#include "operations/process_metrics.h"
#include "operations/ring_age.h"
#include "os/clock.h"
#include "os/directory.h"
#include "os/error.h"
#include "os/log.h"
#include "server/connection_limit.h"
#include "server/held_requests.h"
#include "server/request_counters.h"
#include "server/runtime_config.h"
#include "server/snapshot_cache.h"

#define COUNT_EVERY_US INT64_C(60000000)
#define EXPIRING_WITHIN (INT64_C(30) * 86400) /* seconds */

static struct {
  st_store *store;
  char dir[1024];              /* DATA */
  _Atomic int64_t reloaded_at; /* seconds since 1970, of the last that was taken */
  atomic_bool reload_failed;
  pthread_mutex_t counting; /* over the next three */
  int64_t counted_us;       /* 0: never */
  int64_t keys, expiring;   /* -1: not known */
} metrics = {.counting = PTHREAD_MUTEX_INITIALIZER};

void st_metrics_start(st_store *store, const char *dir) {
  /* Those that somebody should look at. */
  static const char *const events[] = {
      "store_error",  "store_rolled_back", "store_not_synchronous", "reload_failed",
      "keyfile_perm", "weak_secret",       "accept_emfile",         "oom",
      "clock_step",   "timeout",           "drain_timeout"};
  for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) st_log_count_from_zero(events[i]);
  metrics.store = store;
  snprintf(metrics.dir, sizeof metrics.dir, "%.1000s", dir);
  metrics.counted_us = 0;
  st_metrics_note_reload(true);
}

void st_metrics_note_reload(bool taken) {
  if (taken) atomic_store(&metrics.reloaded_at, st_clock_now());
  atomic_store(&metrics.reload_failed, !taken);
}

static void metrics_gauge(st_exposition *e, const char *name, const char *help, int64_t value) {
  st_exposition_one(e, name, ST_METRIC_GAUGE, help, value);
}

/* ---- the server ---- */

static void metrics_write_connections(st_exposition *e, const st_settings *settings) {
  int64_t of_key;
  metrics_gauge(e, "subtoken_http_connections", "Connections that are open.",
                st_connection_limit_open());
  metrics_gauge(e, "subtoken_http_threads", "Connections that are served at a time, at most.",
                settings->threads);
  metrics_gauge(e, "subtoken_http_held_requests",
                "Requests for revocation data that wait until there is something newer.",
                st_held_requests_count("", &of_key));
}

static void metrics_write_passwords(st_exposition *e) {
  size_t computing, waiting;
  st_semaphore_count(st_password_semaphore(), &computing, &waiting);
  metrics_gauge(e, "subtoken_passwords_waiting", "Passwords that wait to be hashed.",
                (int64_t)waiting);
  metrics_gauge(e, "subtoken_passwords_computing", "Hashes of passwords under way.",
                (int64_t)computing);
  st_exposition_one(e, "subtoken_passwords_computed", ST_METRIC_COUNTER,
                    "Hashes of passwords that were computed.", (int64_t)st_password_computed());
}

static void metrics_write_configuration(st_exposition *e) {
  metrics_gauge(e, "subtoken_config_last_reload_successful",
                "Whether the configuration that was read last was taken.",
                atomic_load(&metrics.reload_failed) ? 0 : 1);
  metrics_gauge(e, "subtoken_config_last_reload_success_timestamp_seconds",
                "When a configuration was taken last, in seconds since 1970.",
                atomic_load(&metrics.reloaded_at));
}

static void metrics_write_disk(st_exposition *e) {
  int64_t room = st_directory_room(metrics.dir);
  if (room < 0) return;
  metrics_gauge(e, "subtoken_disk_free_bytes",
                "What this server may still write on the disk of its data directory.", room);
}

/* ---- the ring ---- */

int64_t st_metrics_secret_first_seen(void *store, const subtoken_ring *ring, size_t place) {
  return st_ring_age_first_seen(store, ring, place);
}

static void metrics_write_secret_age(st_exposition *e, const subtoken_ring *ring, size_t place) {
  char kid[SUBTOKEN_KID_MAX + 2];
  subtoken_text name = st_ring_kid(&ring->secrets[place]);
  int64_t seen = st_ring_age_first_seen(metrics.store, ring, place), now = st_clock_now();
  if (seen == 0) return;
  snprintf(kid, sizeof kid, "%.*s", (int)name.len, name.len > 0 ? name.data : "");
  st_exposition_begin(e, "");
  st_exposition_label(e, "kid", name.len > 0 ? kid : "-");
  st_exposition_label(e, "signs", place == 0 ? "true" : "false");
  st_exposition_int(e, now > seen ? now - seen : 0);
}

static void metrics_write_ring(st_exposition *e, const subtoken_ring *ring, bool store_up) {
  metrics_gauge(e, "subtoken_ring_secrets", "Signing secrets, of which the first signs.",
                (int64_t)ring->count);
  if (!store_up) return;
  st_exposition_family(e, "subtoken_ring_secret_age_seconds", ST_METRIC_GAUGE,
                       "Since a server of this store first saw the secret.");
  for (size_t i = 0; i < ring->count; i++) metrics_write_secret_age(e, ring, i);
}

/* ---- the store ---- */

/* Under the lock. */
static void metrics_count_keys(void) {
  char error[ST_ERROR_MAX];
  int64_t now_us = st_clock_monotonic_us();
  if (metrics.counted_us != 0 && now_us - metrics.counted_us < COUNT_EVERY_US) return;
  metrics.keys = metrics.expiring = -1;
  int64_t now = st_clock_now(), count;
  if (st_store_key_count(metrics.store, &count, error) == ST_STORE_OK) metrics.keys = count;
  if (st_store_key_count_expiring(metrics.store, now, now + EXPIRING_WITHIN, &count, error) ==
      ST_STORE_OK) {
    metrics.expiring = count;
  }
  metrics.counted_us = now_us;
}

static void metrics_write_keys(st_exposition *e) {
  (void)pthread_mutex_lock(&metrics.counting);
  metrics_count_keys();
  int64_t keys = metrics.keys, expiring = metrics.expiring;
  (void)pthread_mutex_unlock(&metrics.counting);
  if (keys >= 0) metrics_gauge(e, "subtoken_keys", "Keys that there are, in force or not.", keys);
  if (expiring >= 0) {
    metrics_gauge(e, "subtoken_keys_expiring", "Keys that end within 30 days.", expiring);
  }
}

static bool metrics_write_store(st_exposition *e, const st_settings *settings) {
  char error[ST_ERROR_MAX];
  bool up = st_store_ready(metrics.store, error);
  metrics_gauge(e, "subtoken_store_up", "Whether the store can be read and written.", up);
  st_exposition_family(e, "subtoken_store", ST_METRIC_INFO, "Which store it is.");
  st_exposition_begin(e, "");
  st_exposition_label(e, "kind", settings->store[0] != '\0' ? "postgresql" : "sqlite");
  st_exposition_int(e, 1);
  if (up) metrics_write_keys(e);
  return up;
}

/* ---- the revocation data ---- */

/* Nothing is told before an edge has asked for it. */
static void metrics_write_feed(st_exposition *e) {
  st_snapshot_cache_state state;
  st_snapshot_cache_look(&state);
  if (state.sequence == 0 || state.vouched_at == 0) return;
  int64_t age = st_clock_now() - state.vouched_at;
  metrics_gauge(e, "subtoken_feed_sequence", "Of the revocation data that was given out last.",
                state.sequence);
  metrics_gauge(e, "subtoken_feed_age_seconds",
                "Since this server vouched for the revocation data: it does when an edge asks.",
                age > 0 ? age : 0);
  metrics_gauge(e, "subtoken_feed_entries", "Hashes that the revocation data lists.",
                (int64_t)state.entries);
  metrics_gauge(e, "subtoken_feed_snapshot_bytes", "The length of the revocation data.",
                (int64_t)state.bytes);
}

/* ---- all ---- */

void st_metrics_write(st_exposition *e) {
  st_runtime_config *config = st_runtime_config_acquire();
  st_request_counters_write(e);
  metrics_write_connections(e, &config->settings);
  metrics_write_passwords(e);
  metrics_write_configuration(e);
  metrics_write_disk(e);
  bool up = metrics_write_store(e, &config->settings);
  metrics_write_ring(e, &config->ring, up);
  metrics_write_feed(e);
  st_process_metrics_write(e);
  st_runtime_config_release(config);
}

static void metrics_release(void *text) {
  free(text);
}

bool st_metrics_payload(bool open_metrics, st_payload *payload) {
  st_exposition e = {.open_metrics = open_metrics};
  st_metrics_write(&e);
  if (!st_exposition_end(&e)) return false;
  *payload =
      (st_payload){.data = e.text, .len = e.len, .release = metrics_release, .context = e.text};
  return true;
}
