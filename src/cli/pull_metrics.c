/* The loop's thread notes, the listener's thread tells: what they share is behind a lock that both
 * hold for a moment. The age is what an edge reckons: the larger of now - T and of what has passed
 * since T last grew; before there is a heartbeat, what has passed since the start.
 */
#include "cli/pull_metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "operations/process_metrics.h"
#include "os/clock.h"
#include "os/directory.h"
#include "os/log.h"

static const char *const pull_metrics_outcomes[] = {
    [ST_PULL_CURRENT] = "current",   [ST_PULL_FAILED] = "failed", [ST_PULL_REFUSED] = "refused",
    [ST_PULL_BEHIND] = "behind",     [ST_PULL_STOPPED] = NULL,    [ST_PULL_BAD] = "bad",
    [ST_PULL_ROLLBACK] = "rollback",
};
#define OUTCOMES (sizeof pull_metrics_outcomes / sizeof pull_metrics_outcomes[0])

static struct {
  pthread_mutex_t lock;
  int64_t rounds[OUTCOMES];
  size_t server;
  int64_t sequence, entries, bytes; /* of FILE; sequence 0: there is none */
  char path[ST_PULL_NAME_MAX];      /* FILE */
  int64_t time, grew_us;            /* T, and when it last grew, or the start */
  int64_t current_at;               /* seconds since 1970 of the last good round; 0: none */
} pulled = {.lock = PTHREAD_MUTEX_INITIALIZER};

void st_pull_metrics_start(const st_pull_files *files) {
  static const char *const events[] = {"pull_failed", "pull_refused", "feed_bad", "feed_rollback"};
  for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) st_log_count_from_zero(events[i]);
  memcpy(pulled.path, files->path, sizeof pulled.path);
  pulled.grew_us = st_clock_monotonic_us();
}

void st_pull_metrics_note(st_pull_outcome outcome, const st_pull_files *files) {
  (void)pthread_mutex_lock(&pulled.lock);
  pulled.rounds[outcome]++;
  if (outcome == ST_PULL_CURRENT) pulled.current_at = st_clock_now();
  pulled.sequence = files->have.sequence;
  pulled.entries = (int64_t)files->have.count;
  pulled.bytes = (int64_t)files->have.len;
  if (files->time != pulled.time) {
    pulled.time = files->time;
    pulled.grew_us = st_clock_monotonic_us();
  }
  (void)pthread_mutex_unlock(&pulled.lock);
}

void st_pull_metrics_note_server(size_t server) {
  (void)pthread_mutex_lock(&pulled.lock);
  pulled.server = server;
  (void)pthread_mutex_unlock(&pulled.lock);
}

static int64_t pull_metrics_age(void) {
  int64_t since_us = st_clock_monotonic_us() - pulled.grew_us;
  int64_t by_clock = pulled.time != 0 ? st_clock_now() - pulled.time : 0;
  int64_t age = since_us / 1000000;
  return by_clock > age ? by_clock : age;
}

static void pull_metrics_gauge(st_exposition *e, const char *name, const char *help,
                               int64_t value) {
  st_exposition_one(e, name, ST_METRIC_GAUGE, help, value);
}

/* Under the lock. */
static void pull_metrics_write_files(st_exposition *e) {
  pull_metrics_gauge(e, "subtoken_pull_age_seconds",
                     "Since the server vouched for the revocation data here; without any, since "
                     "the start.",
                     pull_metrics_age());
  if (pulled.sequence == 0) return;
  pull_metrics_gauge(e, "subtoken_pull_sequence", "Of the revocation data here.", pulled.sequence);
  pull_metrics_gauge(e, "subtoken_pull_entries", "Hashes that it lists.", pulled.entries);
  pull_metrics_gauge(e, "subtoken_pull_snapshot_bytes", "Its length.", pulled.bytes);
}

static void pull_metrics_write_disk(st_exposition *e) {
  char *directory = st_directory_of(pulled.path);
  int64_t room = directory != NULL ? st_directory_room(directory) : -1;
  free(directory);
  if (room < 0) return;
  pull_metrics_gauge(e, "subtoken_pull_disk_free_bytes",
                     "What may still be written on the disk of the file.", room);
}

void st_pull_metrics_write(st_exposition *e) {
  (void)pthread_mutex_lock(&pulled.lock);
  pull_metrics_write_files(e);
  st_exposition_family(e, "subtoken_pull_rounds", ST_METRIC_COUNTER,
                       "Requests for revocation data, by what came of them.");
  for (size_t i = 0; i < OUTCOMES; i++) {
    if (pull_metrics_outcomes[i] == NULL) continue;
    st_exposition_begin(e, "");
    st_exposition_label(e, "outcome", pull_metrics_outcomes[i]);
    st_exposition_int(e, pulled.rounds[i]);
  }
  pull_metrics_gauge(e, "subtoken_pull_server", "Which --from is asked first, counted from 0.",
                     (int64_t)pulled.server);
  pull_metrics_gauge(e, "subtoken_pull_last_success_timestamp_seconds",
                     "When the files were current last, in seconds since 1970; 0: never.",
                     pulled.current_at);
  (void)pthread_mutex_unlock(&pulled.lock);
  pull_metrics_write_disk(e);
  st_process_metrics_write(e);
}
