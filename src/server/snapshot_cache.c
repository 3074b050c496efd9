/* The revocation data as the server gives it out. One thread asks the store, and makes the next
 * snapshot, with the lock open: see cache_answer. All who ask meanwhile wait for it, and share the
 * question that begins after theirs, because only what was read from the store then may be vouched
 * for; but not for long when the store does not answer: see find_snapshot. Two snapshots are kept,
 * the current one and the one that is being sent whole: see choose_to_send. What an answer holds
 * until it is sent is a lease. How the store is asked is in snapshot_source.c, how a snapshot is
 * made in snapshot.c, what leads from one to the next in snapshot_changes.c, and what is given out
 * of one, for an audience too, in snapshot_version.c.
 */
#include "server/snapshot_cache.h"

#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/condition.h"
#include "os/error.h"
#include "os/log.h"
#include "os/secret_memory.h"
#include "os/thread.h"
#include "server/audience_cache.h"
#include "server/connection.h"
#include "server/feed_shares.h"
#include "server/snapshot.h"
#include "server/snapshot_changes.h"
#include "server/snapshot_source.h"
#include "server/snapshot_version.h"

/* A clock that was set back by more than this is followed: else a moment in which it was
 * years ahead would have edges refuse every heartbeat until a restart.
 */
#define BACK_MOST INT64_C(60)

/* How long a request waits for a store that does not answer, and how long in all: while what is
 * listed is read and the next snapshot is made.
 */
#define WAIT_US INT64_C(2000000)
#define LAST_WAIT_US INT64_C(9000000)
/* What is freed beyond this goes back to the system at once. */
#define OWN_PAGES (1 << 20)
/* The last snapshots of which clients may ask what has changed since, without the store being asked
 * whether it issued their sequences.
 */
#define KNOWN 64
/* Between two lines in the log about clients with another history. */
#define NEVER_EVERY_US INT64_C(60000000)

/* What an answer holds until it is sent. */
typedef struct lease {
  int references;  /* under the lock, as the next two */
  st_snapshot *of; /* NULL: none */
  bool reader;     /* is sent it whole */
  st_feed_share *share;
  st_payload changes; /* or without data */
  st_snapshot_patches patches;
} lease;

/* What is signed with, for the thread that asks: two rings, in memory for secrets. */
typedef struct cache_rings {
  subtoken_ring next; /* of the request that came last; under the lock */
  subtoken_ring used; /* the thread's */
} cache_rings;

/* The store is asked; it has answered, and is read; the next snapshot is made of that. */
typedef enum cache_phase { CACHE_IDLE, CACHE_ASKING, CACHE_READING, CACHE_MAKING } cache_phase;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t asked, answered;
  pthread_t thread;
  st_store *store;
  cache_rings *rings;
  bool stopping;
  st_snapshot *current; /* NULL: none was asked for yet */
  st_snapshot *sending; /* whole; NULL, the current one, or one before it */
  cache_phase phase;    /* of the question under way */
  int64_t asked_us;     /* when it began */
  int64_t known[KNOWN]; /* the sequences of the current one and of those that led to it; or 0 */
  size_t known_next;
  uint64_t wanted, begun, done, failed; /* the number of the last question that did */
  st_feed_status failure;               /* of the last that failed */
  char error[ST_ERROR_MAX];
  int64_t store_time;       /* of the last that was done; 0: the store has no clock */
  int64_t time;             /* T of the last heartbeat */
  int64_t time_us;          /* when it was given, by the monotonic clock */
  _Atomic int64_t never_us; /* when the log was told of another history */
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the thread that asks the store ---- */

/* What did not follow from what was known before may be of another history. Under the lock. */
static void know_sequence(int64_t sequence, bool follows) {
  if (!follows) memset(cache.known, 0, sizeof cache.known);
  cache.known[cache.known_next++ % KNOWN] = sequence;
}

/* Under the lock. */
static bool is_known(int64_t sequence) {
  for (size_t i = 0; i < KNOWN; i++) {
    if (cache.known[i] == sequence) return true;
  }
  return false;
}

/* Who is still being sent the one before goes on with it; the last of them frees it. Under the
 * lock.
 */
static void replace_current(st_snapshot *fresh) {
  st_snapshot *before = cache.current;
  bool was_sent = before != NULL && before == cache.sending && before->readers == 0;
  cache.current = fresh;
  if (was_sent) cache.sending = NULL;
  st_snapshot_release(before, was_sent ? 2 : 1);
}

static void cache_set_phase(cache_phase phase) {
  (void)pthread_mutex_lock(&cache.lock);
  cache.phase = phase;
  (void)pthread_mutex_unlock(&cache.lock);
}

static void cache_reads(void) {
  cache_set_phase(CACHE_READING);
}

/* *fresh: the next snapshot; NULL when base is what the store lists now. *follows: it was made of
 * base and what changed.
 */
static st_feed_status ask_and_make(const st_snapshot *base, st_snapshot **fresh, bool *follows,
                                   int64_t *time, char *error) {
  uint8_t signer[SUBTOKEN_HEARTBEAT_LEN];
  const subtoken_ring *ring = &cache.rings->used;
  st_snapshot_answer answer;
  *fresh = NULL;
  if (!st_snapshot_describe_signer(ring, signer)) {
    snprintf(error, ST_ERROR_MAX, "no secret can sign the revocation data");
    return ST_FEED_STORE_ERROR;
  }
  st_feed_status status = st_snapshot_source_ask(ring, signer, base, cache_reads, &answer, error);
  if (status == ST_FEED_READY && !answer.current) {
    cache_set_phase(CACHE_MAKING);
    status = st_snapshot_make(ring, signer, &answer.contents, fresh, error);
  }
  *time = answer.time;
  *follows = !answer.contents.whole;
  st_snapshot_contents_free(&answer.contents);
  return status;
}

/* One question. Under the lock, which is open while the store is asked. */
static void cache_answer(void) {
  char error[ST_ERROR_MAX] = "";
  int64_t time = 0;
  bool follows = false;
  st_snapshot *fresh, *base = st_snapshot_acquire(cache.current);
  uint64_t number = ++cache.begun;
  cache.rings->used = cache.rings->next;
  cache.phase = CACHE_ASKING;
  cache.asked_us = st_clock_monotonic_us();
  (void)pthread_mutex_unlock(&cache.lock);
  st_feed_status status = ask_and_make(base, &fresh, &follows, &time, error);
  (void)pthread_mutex_lock(&cache.lock);
  st_snapshot_release(base, 1);
  cache.phase = CACHE_IDLE;
  if (status == ST_FEED_READY) {
    if (fresh != NULL) {
      know_sequence(fresh->sequence, follows);
      replace_current(fresh);
    }
    cache.done = number;
    cache.store_time = time;
  } else {
    cache.failed = number;
    cache.failure = status;
    memcpy(cache.error, error, sizeof cache.error);
  }
  (void)pthread_cond_broadcast(&cache.answered);
}

static void *cache_run(void *unused) {
  (void)unused;
  (void)pthread_mutex_lock(&cache.lock);
  while (!cache.stopping) {
    if (cache.wanted > cache.begun) {
      cache_answer();
    } else {
      (void)pthread_cond_wait(&cache.asked, &cache.lock);
    }
  }
  (void)pthread_mutex_unlock(&cache.lock);
  return NULL;
}

/* ---- answering ---- */

/* T never goes back, but for a clock that was set by more than BACK_MOST. One that is behind what
 * was vouched for by less, as that of a standby that was promoted may be, is caught up with at half
 * the speed: T goes on, so that edges do not take the data for old, and every server on that store
 * gives about the same. Under the lock, after the store was asked: whoever was given a later T has
 * asked before.
 */
static int64_t vouch(int64_t now) {
  int64_t now_us = st_clock_monotonic_us(), passed = (now_us - cache.time_us) / 2000000;
  if (now >= cache.time || cache.time - now > BACK_MOST) {
    cache.time = now;
    cache.time_us = now_us;
  } else if (passed > 0) {
    cache.time += passed;
    cache.time_us += passed * 2000000;
  }
  return cache.time;
}

/* Until when a request that came at came_us waits now. Under the lock. */
static int64_t wait_limit(int64_t came_us) {
  int64_t last_us = came_us + LAST_WAIT_US;
  if (cache.phase != CACHE_ASKING) return last_us;
  int64_t from_us = cache.asked_us > came_us ? cache.asked_us : came_us;
  return from_us + WAIT_US < last_us ? from_us + WAIT_US : last_us;
}

/* May what was vouched for before be given while the next snapshot is made? Not when that has just
 * begun, and not to a client that has something else: `since` may be of a history that was taken
 * over meanwhile. The store has answered: one that does not is never vouched for. Under the lock.
 */
static bool may_give_last(int64_t came_us, int64_t since) {
  return cache.phase == CACHE_MAKING && cache.current != NULL &&
         (since == 0 || since == cache.current->sequence) &&
         st_clock_monotonic_us() >= came_us + WAIT_US;
}

/* The snapshot to answer with is the current one afterwards. *fresh: it may be vouched for at the
 * time of the question, as what was read after it may, whatever has changed since. Under the lock.
 */
static st_feed_status find_snapshot(const subtoken_ring *ring, int64_t since, bool *fresh,
                                    char *error) {
  uint64_t begun = cache.begun;
  int64_t came_us = st_clock_monotonic_us();
  *fresh = true;
  cache.rings->next = *ring;
  cache.wanted = begun + 1;
  (void)pthread_cond_signal(&cache.asked);
  for (;;) {
    if (cache.done > begun) return ST_FEED_READY;
    if (cache.failed > begun) {
      memcpy(error, cache.error, sizeof cache.error);
      return cache.failure;
    }
    *fresh = !may_give_last(came_us, since);
    if (!*fresh) return ST_FEED_READY;
    int64_t now_us = st_clock_monotonic_us(), limit_us = wait_limit(came_us);
    if (now_us >= limit_us) return ST_FEED_BUSY;
    bool early = now_us < came_us + WAIT_US;
    st_condition_wait(&cache.answered, &cache.lock, early ? came_us + WAIT_US : limit_us);
  }
}

/* ---- what an answer holds ---- */

static st_feed_status begin_lease(const char *key_id, lease **begun) {
  *begun = NULL;
  lease *l = calloc(1, sizeof *l);
  if (l == NULL) return ST_FEED_NO_MEMORY;
  l->references = 1;
  st_feed_status status = st_feed_shares_enter(key_id, &l->share);
  if (status == ST_FEED_READY) *begun = l;
  if (status != ST_FEED_READY) free(l);
  return status;
}

/* Under the lock. */
static void end_lease(lease *l) {
  if (--l->references > 0) return;
  st_feed_shares_leave(l->share);
  free(l);
}

/* Under the lock. With its last reader a snapshot is no longer the one that is being sent, unless
 * it is the current one.
 */
static void drop_snapshot(lease *l) {
  st_snapshot *snapshot = l->of;
  l->of = NULL;
  if (snapshot == NULL) return;
  bool last = l->reader && --snapshot->readers == 0 && snapshot == cache.sending &&
              snapshot != cache.current;
  if (last) cache.sending = NULL;
  l->reader = false;
  st_snapshot_release(snapshot, last ? 2 : 1);
}

static void release_snapshot(void *context) {
  lease *l = context;
  (void)pthread_mutex_lock(&cache.lock);
  drop_snapshot(l);
  end_lease(l);
  (void)pthread_mutex_unlock(&cache.lock);
}

static void release_changes(void *context) {
  lease *l = context;
  l->changes.release(l->changes.context);
  (void)pthread_mutex_lock(&cache.lock);
  end_lease(l);
  (void)pthread_mutex_unlock(&cache.lock);
}

/* Unless ST_FEED_READY it was released. */
static st_feed_status describe_snapshot(const st_feed_question *question, lease *l, int64_t time,
                                        st_snapshot_version *out) {
  st_feed_status status = st_snapshot_version_describe(question, l->of, time, &l->patches, out);
  out->snapshot.release = release_snapshot;
  out->snapshot.context = l;
  if (status != ST_FEED_READY) release_snapshot(l);
  return status;
}

/* ---- what the service asks ---- */

static st_feed_status cache_current(void *context, const st_feed_question *question,
                                    st_snapshot_version *out) {
  char error[ST_ERROR_MAX] = "";
  lease *l;
  int64_t time = 0;
  bool fresh = false;
  (void)context;
  if (st_connection_client_left()) return ST_FEED_CLIENT_LEFT;
  st_feed_status status = begin_lease(question->key_id, &l);
  if (status != ST_FEED_READY) return status;
  (void)pthread_mutex_lock(&cache.lock);
  status = find_snapshot(question->ring, question->since, &fresh, error);
  if (status == ST_FEED_READY) {
    l->of = st_snapshot_acquire(cache.current);
    if (fresh) l->of->time = vouch(cache.store_time != 0 ? cache.store_time : question->now);
    time = l->of->time;
  } else {
    end_lease(l);
  }
  (void)pthread_mutex_unlock(&cache.lock);
  if (status == ST_FEED_STORE_ERROR) st_log_event("store_error", error);
  if (status != ST_FEED_READY) return status;
  return describe_snapshot(question, l, time, out);
}

/* For whoever runs the servers: the request's own line says no more than its event. */
static void log_never(int64_t since) {
  char text[ST_ERROR_MAX];
  int64_t now_us = st_clock_monotonic_us(), before_us = atomic_load(&cache.never_us);
  if ((before_us != 0 && now_us - before_us < NEVER_EVERY_US) ||
      !atomic_compare_exchange_strong(&cache.never_us, &before_us, now_us)) {
    return;
  }
  snprintf(text, sizeof text,
           "a client has the sequence %" PRId64
           ", which this database never issued: it, or the one that the client asked before, is a "
           "copy or a backup; see subtoken_revocation(7)",
           since);
  st_log_event("store_rolled_back", text);
}

/* Most ask from the current one, or from one shortly before it. */
static st_feed_status cache_gave(void *context, int64_t since) {
  char error[ST_ERROR_MAX];
  (void)context;
  (void)pthread_mutex_lock(&cache.lock);
  bool known = is_known(since);
  (void)pthread_mutex_unlock(&cache.lock);
  if (known) return ST_FEED_READY;
  switch (st_store_issued_sequence(cache.store, since, error)) {
    case ST_STORE_OK: return ST_FEED_READY;
    case ST_STORE_NOT_FOUND: log_never(since); return ST_FEED_NEVER;
    default: st_log_event("store_error", error); return ST_FEED_STORE_ERROR;
  }
}

static bool cache_changes(void *context, const st_snapshot_version *wanted, int64_t since,
                          st_payload *payload) {
  lease *l = wanted->snapshot.context;
  const st_snapshot *snapshot = l->of;
  st_snapshot_target to = {snapshot->bytes, snapshot->len, snapshot->sequence};
  (void)context;
  if (!st_snapshot_changes_find(&to, since, &l->changes)) return false;
  (void)pthread_mutex_lock(&cache.lock);
  l->references++;
  (void)pthread_mutex_unlock(&cache.lock);
  *payload = l->changes;
  payload->release = release_changes;
  payload->context = l;
  payload->patch = st_snapshot_version_patch_changes(&l->patches);
  return true;
}

/* Is the snapshot that is being sent good enough for a client that has the one of `since`? It must
 * be newer than that, and of a history that has it, as one from before another history was taken
 * over may not be; and the next one is sent once the first reader of this has had enough time.
 */
static bool may_join(const st_snapshot *snapshot, int64_t since, int64_t now_us) {
  const st_snapshot *l = cache.sending;
  if (l == NULL || l == snapshot || l->readers == 0 || !st_snapshot_signed_by(l, snapshot->signer))
    return l == snapshot;
  bool has_it = since >= l->sequence && since <= snapshot->sequence;
  if (since != 0 && !st_snapshot_changes_reach(l->sequence)) return false;
  return !has_it && now_us - l->sending_since_us < st_snapshot_patience_us(l->len);
}

/* At most one snapshot besides the current one is being sent: those who come while it is get it,
 * too, and then the next one is sent. Who has not finished by then is cut off and asks again.
 */
static st_snapshot *choose_to_send(st_snapshot *snapshot, int64_t since) {
  int64_t now_us = st_clock_monotonic_us();
  if (!may_join(snapshot, since, now_us)) {
    if (cache.sending != NULL) {
      atomic_store(&cache.sending->retired, true);
      st_snapshot_release(cache.sending, 1);
    }
    cache.sending = st_snapshot_acquire(snapshot);
  }
  if (cache.sending->readers == 0) cache.sending->sending_since_us = now_us;
  return cache.sending;
}

static st_feed_status cache_whole(void *context, const st_feed_question *question,
                                  st_snapshot_version *out) {
  lease *l = out->snapshot.context;
  (void)context;
  (void)pthread_mutex_lock(&cache.lock);
  st_snapshot *snapshot = choose_to_send(l->of, question->since);
  int64_t time = snapshot->time;
  snapshot->readers++;
  if (snapshot != l->of) {
    st_snapshot *other = l->of;
    l->of = st_snapshot_acquire(snapshot);
    st_snapshot_release(other, 1);
  }
  l->reader = true;
  (void)pthread_mutex_unlock(&cache.lock);
  return describe_snapshot(question, l, time, out);
}

/* ---- start and end ---- */

bool st_snapshot_cache_start(st_store *store, char *error) {
  (void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES);
  cache.store = store;
  cache.time = cache.time_us = 0;
  cache.stopping = false;
  cache.phase = CACHE_IDLE;
  cache.wanted = cache.begun;
  memset(cache.known, 0, sizeof cache.known);
  cache.rings = st_secret_memory_alloc(sizeof *cache.rings);
  if (cache.rings == NULL) return st_error_set(error, "out of memory");
  st_condition_init(&cache.asked);
  st_condition_init(&cache.answered);
  st_snapshot_source_start(store);
  st_audience_cache_start();
  bool started = st_thread_start(&cache.thread, cache_run, NULL, "the revocation data", error);
  if (!started) st_secret_memory_free(cache.rings, sizeof *cache.rings);
  return started;
}

void st_snapshot_cache_stop(void) {
  char error[ST_ERROR_MAX];
  (void)pthread_mutex_lock(&cache.lock);
  cache.stopping = true;
  (void)pthread_cond_signal(&cache.asked);
  (void)pthread_mutex_unlock(&cache.lock);
  (void)pthread_join(cache.thread, NULL);
  /* A store that does not answer would hold the end up; what is not counted does no harm. */
  if (st_store_ready(cache.store, error) &&
      st_store_count_uptime(cache.store, st_clock_monotonic_us(), error) != ST_STORE_OK) {
    st_log_event("store_error", error);
  }
  st_snapshot_release(cache.sending, 1);
  st_snapshot_release(cache.current, 1);
  cache.sending = cache.current = NULL;
  st_secret_memory_free(cache.rings, sizeof *cache.rings);
  (void)pthread_cond_destroy(&cache.asked);
  (void)pthread_cond_destroy(&cache.answered);
  st_snapshot_changes_stop();
  st_audience_cache_stop();
}

void st_snapshot_cache_look(st_snapshot_cache_state *state) {
  static const st_snapshot none;
  (void)pthread_mutex_lock(&cache.lock);
  const st_snapshot *s = cache.current != NULL ? cache.current : &none;
  *state = (st_snapshot_cache_state){s->sequence, cache.time, s->count, s->len};
  (void)pthread_mutex_unlock(&cache.lock);
}

st_feed st_snapshot_cache_feed(void) {
  return (st_feed){NULL, cache_current, cache_changes, cache_whole, cache_gave};
}
