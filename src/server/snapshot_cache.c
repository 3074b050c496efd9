/* The revocation data as the server gives it out. One thread at a time makes the next snapshot,
 * with the lock open: see make_next_snapshot. Others who ask meanwhile wait for it, because only
 * what was read from the store after their question may be vouched for then; but not for long: see
 * find_snapshot. Two snapshots are kept, the current one and the one that is being sent whole: see
 * choose_to_send. What an answer holds until it is sent is a lease. How a snapshot is made is in
 * snapshot.c, the changes from one to the next are in snapshot_changes.c.
 */
#include "server/snapshot_cache.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/key.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"
#include "os/semaphore.h"
#include "server/connection.h"
#include "server/snapshot.h"
#include "server/snapshot_changes.h"
#include "server/upkeep.h"

/* A clock that was set back by more than this is followed: else a moment in which it was
 * years ahead would have edges refuse every heartbeat until a restart.
 */
#define BACK_MOST INT64_C(60)

/* How long a request waits for a snapshot that is being made. */
#define WAIT_US INT64_C(2000000)
/* What is freed beyond this goes back to the system at once. */
#define OWN_PAGES (1 << 20)

/* The requests of one key that are being answered. */
typedef struct share {
  struct share *next;
  char key_id[ST_KEY_ID_LEN + 1];
  int64_t count;
} share;

/* What an answer holds until it is sent. */
typedef struct lease {
  int references;  /* under the lock, as the next three */
  st_snapshot *of; /* NULL: none */
  bool reader;     /* is sent it whole */
  share *share;
  st_payload changes; /* or without data */
} lease;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t made; /* on the monotonic clock */
  st_store *store;
  st_snapshot *current; /* NULL: none was asked for yet */
  st_snapshot *sending; /* whole; NULL, the current one, or one before it */
  bool making;
  uint64_t begun, done, failed; /* the number of the last try that did */
  st_feed_status failure;       /* of the last that failed */
  char error[ST_ERROR_MAX];
  bool bumped;  /* this start has taken its sequence */
  int64_t time; /* T of the last heartbeat */
  share *shares;
  int64_t answering, answering_max, share_max; /* requests at a time, of all and of a key */
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .answering_max = 256, .share_max = 128};

/* ---- the next snapshot ---- */

/* Clients wait for this, so it waits for no other writer, except at the start. */
static bool bump_sequence(int64_t until_us, char *error) {
  int64_t sequence;
  return st_store_bump_sequence(cache.store, st_clock_now_us(), until_us, &sequence, error) ==
         ST_STORE_OK;
}

/* By the one thread that makes it; base is the current snapshot or NULL. */
static st_feed_status read_next_snapshot(const subtoken_ring *ring, const uint8_t *signer,
                                         const st_snapshot *base, st_snapshot **fresh,
                                         char *error) {
  st_revocation_state state;
  cache.bumped = cache.bumped || bump_sequence(ST_WAIT_NOT, error);
  if (!cache.bumped) return ST_FEED_STORE_ERROR;
  if (base == NULL) return st_snapshot_read(cache.store, ring, signer, NULL, fresh, error);
  if (st_store_revocation_state(cache.store, &state, error) != ST_STORE_OK)
    return ST_FEED_STORE_ERROR;
  bool same_key = memcmp(base->hash_key, state.hash_key, sizeof base->hash_key) == 0;
  bool same_signer = memcmp(base->signer, signer, sizeof base->signer) == 0;
  /* Edges hold what has this sequence, or a higher one; other bytes are to have another. When
   * that cannot be written, edges that take the same sequence again are served all the same.
   */
  if ((state.sequence < base->sequence || (state.sequence == base->sequence && !same_signer)) &&
      !bump_sequence(ST_WAIT_NOT, error)) {
    st_log_event("store_error", error);
  }
  bool follows = same_key && state.sequence >= base->sequence;
  return st_snapshot_read(cache.store, ring, signer, follows ? base : NULL, fresh, error);
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

/* Under the lock, which is open while the store is read. */
static st_feed_status make_next_snapshot(const subtoken_ring *ring, const uint8_t *signer,
                                         char *error) {
  st_snapshot *fresh = NULL, *base = st_snapshot_acquire(cache.current);
  uint64_t number = ++cache.begun;
  cache.making = true;
  (void)pthread_mutex_unlock(&cache.lock);
  st_feed_status status = read_next_snapshot(ring, signer, base, &fresh, error);
  (void)pthread_mutex_lock(&cache.lock);
  st_snapshot_release(base, 1);
  if (status == ST_FEED_READY) {
    replace_current(fresh);
    cache.done = number;
  } else {
    cache.failed = number;
    cache.failure = status;
    memcpy(cache.error, error, sizeof cache.error);
  }
  cache.making = false;
  (void)pthread_cond_broadcast(&cache.made);
  return status;
}

/* ---- answering ---- */

/* T never goes back, but for a clock that was set. Under the lock, after the store was asked:
 * whoever was given a later T has asked before.
 */
static int64_t vouch(int64_t now) {
  if (now >= cache.time || cache.time - now > BACK_MOST) cache.time = now;
  return cache.time;
}

static bool write_heartbeat(const subtoken_ring *ring, const st_snapshot *snapshot, int64_t time,
                            char *out) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_heartbeat heartbeat = {.sequence = snapshot->sequence, .time = time};
  memcpy(heartbeat.digest, snapshot->digest, sizeof heartbeat.digest);
  return subtoken_heartbeat_write(ring, &heartbeat, bytes) == SUBTOKEN_FEED_OK &&
         subtoken_heartbeat_encode(bytes, out) == SUBTOKEN_FEED_OK;
}

/* False at the end of the time for it. Under the lock. A condition knows the clock that stands
 * still while the machine sleeps, which is another than that of until_us.
 */
static bool wait_for_maker(int64_t until_us) {
  struct timespec until;
  int64_t left_us = until_us - st_clock_monotonic_us();
  (void)clock_gettime(CLOCK_MONOTONIC, &until);
  if (left_us <= 0) return false;
  left_us += until.tv_nsec / 1000;
  until.tv_sec += left_us / 1000000;
  until.tv_nsec = left_us % 1000000 * 1000;
  return pthread_cond_timedwait(&cache.made, &cache.lock, &until) == 0;
}

/* Is the current snapshot what the store lists now? ST_FEED_BUSY: no. Under the lock, as nobody
 * reads the store for long then: whoever does is making.
 */
static st_feed_status compare_with_store(const uint8_t *signer, char *error) {
  st_revocation_state state;
  if (!cache.bumped || cache.current == NULL) return ST_FEED_BUSY;
  if (st_store_revocation_state(cache.store, &state, error) != ST_STORE_OK)
    return ST_FEED_STORE_ERROR;
  return st_snapshot_matches(cache.current, signer, &state) ? ST_FEED_READY : ST_FEED_BUSY;
}

/* The snapshot to answer with is the current one afterwards. *fresh: it may be vouched for at the
 * time of the question, as what was read after it may, whoever read it and whatever has changed
 * since. When that takes too long it is what was vouched for before. Under the lock.
 */
static st_feed_status find_snapshot(const subtoken_ring *ring, const uint8_t *signer, bool *fresh,
                                    char *error) {
  uint64_t begun = cache.begun;
  int64_t until_us = st_clock_monotonic_us() + WAIT_US;
  *fresh = true;
  for (;;) {
    if (cache.done > begun && st_snapshot_signed_by(cache.current, signer)) return ST_FEED_READY;
    if (cache.failed > begun) {
      memcpy(error, cache.error, sizeof cache.error);
      return cache.failure;
    }
    if (!cache.making) break;
    if (!wait_for_maker(until_us)) {
      *fresh = false;
      return st_snapshot_signed_by(cache.current, signer) ? ST_FEED_READY : ST_FEED_BUSY;
    }
  }
  st_feed_status status = compare_with_store(signer, error);
  return status == ST_FEED_BUSY ? make_next_snapshot(ring, signer, error) : status;
}

/* ---- what an answer holds ---- */

/* Under the lock. */
static share *find_share(const char *key_id) {
  share *s = cache.shares;
  while (s != NULL && strcmp(s->key_id, key_id) != 0) s = s->next;
  if (s != NULL) return s;
  s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  snprintf(s->key_id, sizeof s->key_id, "%s", key_id);
  s->next = cache.shares;
  cache.shares = s;
  return s;
}

/* Under the lock. */
static void leave_share(share *left) {
  share **at = &cache.shares;
  if (left->count > 0) return;
  while (*at != left) at = &(*at)->next;
  *at = left->next;
  free(left);
}

/* Under the lock. */
static st_feed_status enter_share(const char *key_id, share **entered) {
  if (cache.answering >= cache.answering_max) return ST_FEED_BUSY;
  share *s = find_share(key_id);
  if (s == NULL) return ST_FEED_NO_MEMORY;
  if (s->count >= cache.share_max) return ST_FEED_KEY_BUSY;
  s->count++;
  cache.answering++;
  *entered = s;
  return ST_FEED_READY;
}

static st_feed_status begin_lease(const char *key_id, lease **begun) {
  lease *l = calloc(1, sizeof *l);
  if (l == NULL) return ST_FEED_NO_MEMORY;
  l->references = 1;
  (void)pthread_mutex_lock(&cache.lock);
  st_feed_status status = enter_share(key_id, &l->share);
  (void)pthread_mutex_unlock(&cache.lock);
  if (status != ST_FEED_READY) {
    free(l);
    l = NULL;
  }
  *begun = l;
  return status;
}

/* Under the lock. */
static void end_lease(lease *l) {
  if (--l->references > 0) return;
  l->share->count--;
  cache.answering--;
  leave_share(l->share);
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

/* False after it was released. */
static bool describe_snapshot(const subtoken_ring *ring, lease *l, int64_t time,
                              st_snapshot_version *out) {
  const st_snapshot *snapshot = l->of;
  if (!write_heartbeat(ring, snapshot, time, out->heartbeat)) {
    release_snapshot(l);
    return false;
  }
  out->sequence = snapshot->sequence;
  memcpy(out->etag, snapshot->etag, sizeof out->etag);
  out->snapshot =
      (st_payload){snapshot->bytes, snapshot->len, release_snapshot, l, &snapshot->retired};
  return true;
}

/* ---- what the service asks ---- */

static st_feed_status cache_current(void *context, const subtoken_ring *ring, int64_t now,
                                    const char *key_id, st_snapshot_version *out) {
  char error[ST_ERROR_MAX] = "no secret can sign the revocation data";
  uint8_t signer[SUBTOKEN_HEARTBEAT_LEN];
  lease *l = NULL;
  int64_t time = 0;
  bool fresh = false;
  (void)context;
  if (st_connection_client_left()) return ST_FEED_CLIENT_LEFT;
  st_feed_status status =
      st_snapshot_describe_signer(ring, signer) ? begin_lease(key_id, &l) : ST_FEED_STORE_ERROR;
  if (l != NULL) {
    (void)pthread_mutex_lock(&cache.lock);
    status = find_snapshot(ring, signer, &fresh, error);
    if (status == ST_FEED_READY) {
      l->of = st_snapshot_acquire(cache.current);
      if (fresh) l->of->time = vouch(now);
      time = l->of->time;
    } else {
      end_lease(l);
    }
    (void)pthread_mutex_unlock(&cache.lock);
  }
  if (status == ST_FEED_STORE_ERROR) st_log_event("store_error", error);
  if (status != ST_FEED_READY) return status;
  return describe_snapshot(ring, l, time, out) ? ST_FEED_READY : ST_FEED_STORE_ERROR;
}

/* Most ask from the current one, or from one shortly before it. */
static st_feed_status cache_gave(void *context, int64_t since) {
  char error[ST_ERROR_MAX];
  (void)context;
  (void)pthread_mutex_lock(&cache.lock);
  bool current = cache.current != NULL && cache.current->sequence == since;
  (void)pthread_mutex_unlock(&cache.lock);
  if (current) return ST_FEED_READY;
  switch (st_store_issued_sequence(cache.store, since, error)) {
    case ST_STORE_OK: return ST_FEED_READY;
    case ST_STORE_NOT_FOUND: return ST_FEED_NEVER;
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
  *payload = (st_payload){l->changes.data, l->changes.len, release_changes, l, l->changes.retired};
  return true;
}

/* Is the snapshot that is being sent good enough for a client that has the one of `since`? It must
 * be newer than that; and the next one is sent once the first reader of this has had enough time.
 */
static bool may_join(const st_snapshot *snapshot, int64_t since, int64_t now_us) {
  const st_snapshot *l = cache.sending;
  if (l == NULL || l == snapshot || l->readers == 0 || !st_snapshot_signed_by(l, snapshot->signer))
    return l == snapshot;
  bool has_it = since >= l->sequence && since <= snapshot->sequence;
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

static bool cache_whole(void *context, const subtoken_ring *ring, int64_t since,
                        st_snapshot_version *out) {
  lease *l = out->snapshot.context;
  (void)context;
  (void)pthread_mutex_lock(&cache.lock);
  st_snapshot *snapshot = choose_to_send(l->of, since);
  int64_t time = snapshot->time;
  snapshot->readers++;
  if (snapshot != l->of) {
    st_snapshot *other = l->of;
    l->of = st_snapshot_acquire(snapshot);
    st_snapshot_release(other, 1);
  }
  l->reader = true;
  (void)pthread_mutex_unlock(&cache.lock);
  return describe_snapshot(ring, l, time, out);
}

/* ---- start and end ---- */

static void start_condition(void) {
  pthread_condattr_t monotonic;
  (void)pthread_condattr_init(&monotonic);
  (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&cache.made, &monotonic);
  (void)pthread_condattr_destroy(&monotonic);
}

void st_snapshot_cache_share(int64_t threads) {
  cache.answering_max = threads / 2 > 1 ? threads / 2 : 1;
  cache.share_max = threads / 4 > 1 ? threads / 4 : 1;
}

void st_snapshot_cache_start(st_store *store) {
  char error[ST_ERROR_MAX];
  (void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES);
  start_condition();
  cache.store = store;
  cache.time = 0;
  cache.bumped = bump_sequence(0, error);
  if (!cache.bumped) st_log_event("store_error", error);
  st_upkeep_purge(store);
}

void st_snapshot_cache_stop(void) {
  char error[ST_ERROR_MAX];
  if (st_store_count_uptime(cache.store, st_clock_monotonic_us(), error) != ST_STORE_OK) {
    st_log_event("store_error", error);
  }
  (void)pthread_mutex_lock(&cache.lock);
  st_snapshot_release(cache.sending, 1);
  st_snapshot_release(cache.current, 1);
  cache.sending = cache.current = NULL;
  (void)pthread_mutex_unlock(&cache.lock);
  (void)pthread_cond_destroy(&cache.made);
  st_snapshot_changes_stop();
}

st_feed st_snapshot_cache_feed(void) {
  return (st_feed){NULL, cache_current, cache_changes, cache_whole, cache_gave};
}
