/* Holds requests back until the store has another sequence. Each waits in its own thread, for its
 * client and for a wake-up (connection.c); held_watch asks the store for all of them, so that a
 * thousand cost as much as one. What they are answered with afterwards is for
 * service/revocations.c.
 */
#include "server/held_requests.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/error.h"
#include "os/thread.h"
#include "server/connection.h"

#define LOOK_US INT64_C(500000)    /* the store is asked as often as that, whatever it wakes for */
#define SILENT_US INT64_C(2000000) /* a store that has not answered for so long is away */
#define AWAY_MS 100                /* between two questions to one that is */

typedef struct held {
  struct held *older, *newer;
  const char *key_id;
  int64_t sequence; /* that the client was told */
  bool ended;
  int waker; /* ends its wait: st_connection_waker */
} held;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* somebody is held, or the end */
  st_store *store;
  pthread_t thread;
  bool running, ending, stopping;
  held *oldest, *newest;
  int64_t count, count_max, key_max;
  int64_t sequence;    /* the last that the store told */
  int64_t answered_us; /* when it did */
} requests = {.lock = PTHREAD_MUTEX_INITIALIZER,
              .changed = PTHREAD_COND_INITIALIZER,
              .count_max = 128,
              .key_max = 64};

void st_held_requests_limit(int64_t threads) {
  requests.count_max = threads / 4;
  requests.key_max = threads / 8;
}

/* ---- the list; each call holds the lock ---- */

static void held_link(held *h) {
  h->older = requests.newest;
  *(requests.newest != NULL ? &requests.newest->newer : &requests.oldest) = h;
  requests.newest = h;
  requests.count++;
}

static void held_unlink(held *h) {
  *(h->older != NULL ? &h->older->newer : &requests.oldest) = h->newer;
  *(h->newer != NULL ? &h->newer->older : &requests.newest) = h->older;
  requests.count--;
}

/* Its thread answers it. */
static void held_end(held *h) {
  held_unlink(h);
  h->ended = true;
  st_connection_wake(h->waker);
}

static int64_t held_count_of(const char *key_id, held **oldest) {
  int64_t count = 0;
  *oldest = NULL;
  for (held *h = requests.newest; h != NULL; h = h->older) {
    if (strcmp(h->key_id, key_id) != 0) continue;
    *oldest = h;
    count++;
  }
  return count;
}

static void held_make_room(const char *key_id) {
  held *oldest;
  while (requests.count > requests.count_max && requests.oldest != NULL) held_end(requests.oldest);
  if (held_count_of(key_id, &oldest) > requests.key_max && oldest != NULL) held_end(oldest);
}

int64_t st_held_requests_count(const char *key_id, int64_t *of_key) {
  held *oldest;
  (void)pthread_mutex_lock(&requests.lock);
  int64_t count = requests.count;
  *of_key = held_count_of(key_id, &oldest);
  (void)pthread_mutex_unlock(&requests.lock);
  return count;
}

/* ---- one request ---- */

/* False when it is over already. */
static bool held_begin(held *h) {
  (void)pthread_mutex_lock(&requests.lock);
  bool begun = requests.running && !requests.ending;
  if (begun) {
    if (requests.count == 0) {
      requests.answered_us = st_clock_monotonic_us(); /* to whoever told it its sequence */
      (void)pthread_cond_signal(&requests.changed);
    }
    held_link(h);
    held_make_room(h->key_id);
  }
  (void)pthread_mutex_unlock(&requests.lock);
  return begun;
}

/* Until when it waits now; 0: it is over. */
static int64_t held_next_look(const held *h, int64_t until_us) {
  (void)pthread_mutex_lock(&requests.lock);
  int64_t now_us = st_clock_monotonic_us(), silent_us = requests.answered_us + SILENT_US;
  int64_t next_us = silent_us < until_us ? silent_us : until_us;
  if (h->ended || now_us >= next_us) next_us = 0;
  (void)pthread_mutex_unlock(&requests.lock);
  return next_us;
}

void st_held_requests_wait(const char *key_id, int64_t sequence, int64_t until_us) {
  held h = {.key_id = key_id, .sequence = sequence, .waker = st_connection_waker()};
  if (h.waker < 0 || !held_begin(&h)) return;
  int64_t next_us = held_next_look(&h, until_us);
  while (next_us != 0 && st_connection_wait(next_us)) next_us = held_next_look(&h, until_us);
  (void)pthread_mutex_lock(&requests.lock);
  if (!h.ended) held_unlink(&h);
  (void)pthread_mutex_unlock(&requests.lock);
  st_connection_end_wait();
}

/* ---- the thread that asks for all ---- */

/* Under the lock. */
static void held_end_all_but(int64_t sequence) {
  for (held *h = requests.oldest, *next; h != NULL; h = next) {
    next = h->newer;
    if (h->sequence != sequence) held_end(h);
  }
}

/* Under the lock, which is open while the store is asked. */
static void held_ask(void) {
  char error[ST_ERROR_MAX];
  st_revocation_state state;
  int64_t sequence = requests.sequence;
  (void)pthread_mutex_unlock(&requests.lock);
  st_store_wait(requests.store, sequence, st_clock_monotonic_us() + LOOK_US);
  bool told = st_store_revocation_state(requests.store, &state, error) == ST_STORE_OK;
  if (!told) poll(NULL, 0, AWAY_MS);
  (void)pthread_mutex_lock(&requests.lock);
  if (told) {
    requests.sequence = state.sequence;
    requests.answered_us = st_clock_monotonic_us();
  }
  held_end_all_but(told ? state.sequence : 0);
}

static void *held_watch(void *unused) {
  (void)unused;
  (void)pthread_mutex_lock(&requests.lock);
  while (!requests.stopping) {
    if (requests.count == 0) {
      (void)pthread_cond_wait(&requests.changed, &requests.lock);
    } else {
      held_ask();
    }
  }
  (void)pthread_mutex_unlock(&requests.lock);
  return NULL;
}

/* ---- start and end ---- */

bool st_held_requests_start(st_store *store, char *error) {
  requests.store = store;
  requests.sequence = 0;
  requests.ending = requests.stopping = false;
  requests.running =
      st_thread_start(&requests.thread, held_watch, NULL, "requests that are held", error);
  return requests.running;
}

void st_held_requests_end(void) {
  (void)pthread_mutex_lock(&requests.lock);
  requests.ending = true;
  held_end_all_but(0);
  (void)pthread_mutex_unlock(&requests.lock);
}

void st_held_requests_stop(void) {
  if (!requests.running) return;
  (void)pthread_mutex_lock(&requests.lock);
  requests.stopping = true;
  (void)pthread_cond_signal(&requests.changed);
  (void)pthread_mutex_unlock(&requests.lock);
  (void)pthread_join(requests.thread, NULL);
  requests.running = false;
}
