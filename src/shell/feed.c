#include "shell/feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64url.h"
#include "base/hmac.h"
#include "core/revocations.h"
#include "shell/log.h"
#include "subtoken/feed.h"

#define PURGE_EVERY_US INT64_C(3600000000)
/* A clock that was set back by more than this is followed: else a moment in which it was
 * years ahead would have edges refuse every heartbeat until a restart.
 */
#define BACK_MOST INT64_C(60)

enum { MARKS = 1024, STEPS = 65536 }; /* powers of two; what is remembered of the past */

/* A snapshot. Never changed once it is made; whoever sends it holds a use. */
typedef struct edition {
  atomic_int uses;
  uint8_t *bytes;
  size_t len;
  uint32_t count;
  int64_t sequence;
  uint8_t digest[SUBTOKEN_MAC_LEN];
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
  uint8_t signer[SUBTOKEN_HEARTBEAT_LEN]; /* of the secret that its MAC is under */
  char etag[ST_EDITION_TAG_LEN + 1];
} edition;

/* How many steps had been taken when an edition was made. */
typedef struct mark {
  int64_t sequence;
  uint64_t at;
} mark;

static struct {
  pthread_mutex_t lock;
  st_store *store;
  edition *current;    /* NULL: none was asked for yet */
  bool advanced;       /* this start has taken its sequence */
  int64_t purge_at_us; /* monotonic */
  int64_t time;        /* T of the last heartbeat */
  uint64_t marked;     /* marks that were ever made; those of the last MARKS are here */
  uint64_t stepped;    /* and steps */
  mark marks[MARKS];
  st_listing_change steps[STEPS]; /* what really changed from each edition to the next */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- editions ---- */

static void give_edition(void *context) {
  edition *e = context;
  if (atomic_fetch_sub(&e->uses, 1) != 1) return;
  free(e->bytes);
  free(e);
}

/* What tells one signing secret, and its name, from another without being it. */
static bool describe_signer(const subtoken_ring *ring, uint8_t signer[SUBTOKEN_HEARTBEAT_LEN]) {
  subtoken_heartbeat nothing = {.sequence = 1, .time = 1};
  return subtoken_heartbeat_write(ring, &nothing, signer) == SUBTOKEN_FEED_OK;
}

static bool fill_edition(edition *e, const subtoken_ring *ring, const st_listing *listing,
                         const uint64_t *hashes) {
  uint8_t hash[ST_HASH_LEN];
  /* Not the time it is: two servers on one store write the same bytes. */
  subtoken_revocations_facts facts = {.sequence = listing->sequence,
                                      .made = listing->sequence / 1000000};
  memcpy(facts.hash_key, listing->hash_key, sizeof facts.hash_key);
  if (subtoken_revocations_write(ring, &facts, hashes, e->count, e->bytes, e->len, e->digest) !=
          SUBTOKEN_FEED_OK ||
      !st_sha256(e->bytes, e->len, hash)) {
    return false;
  }
  st_writer writer = st_writer_on(e->etag, sizeof e->etag);
  st_base64url_write(&writer, hash, sizeof hash);
  return st_writer_end(&writer);
}

/* NULL when there is no memory for it. */
static edition *make_edition(const subtoken_ring *ring, const uint8_t *signer,
                             const st_listing *listing, const uint64_t *hashes, uint32_t count) {
  edition *e = calloc(1, sizeof *e);
  if (e == NULL) return NULL;
  atomic_init(&e->uses, 1);
  e->count = count;
  e->len = subtoken_revocations_size(count);
  e->sequence = listing->sequence;
  memcpy(e->hash_key, listing->hash_key, sizeof e->hash_key);
  memcpy(e->signer, signer, sizeof e->signer);
  e->bytes = e->len > 0 ? malloc(e->len) : NULL;
  if (e->bytes != NULL && fill_edition(e, ring, listing, hashes)) return e;
  give_edition(e);
  return NULL;
}

/* ---- what is remembered of the past ---- */

static void forget_past(void) {
  all.marked = 0;
}

static void mark_edition(const edition *e) {
  all.marks[all.marked++ % MARKS] = (mark){e->sequence, all.stepped};
}

static void take_step(uint64_t hash, bool listed) {
  all.steps[all.stepped++ % STEPS] = (st_listing_change){hash, listed};
}

static bool find_mark(int64_t sequence, uint64_t *at) {
  uint64_t kept = all.marked < MARKS ? all.marked : MARKS;
  for (uint64_t i = 1; i <= kept; i++) {
    const mark *found = &all.marks[(all.marked - i) % MARKS];
    *at = found->at;
    if (found->sequence == sequence) return all.stepped - found->at <= STEPS;
  }
  return false;
}

/* ---- the next edition ---- */

static int by_hash(const void *a, const void *b) {
  const st_listing_change *x = a, *y = b;
  return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* The hashes of an edition with changes, which ascend, in them. */
static uint32_t merge(const edition *base, const st_listing_change *changes, uint32_t count,
                      uint64_t *out) {
  const uint8_t *at = base->bytes + st_snapshot_hashes_at(st_snapshot_bits(base->count));
  const uint8_t *end = at + 8 * (size_t)base->count;
  uint32_t written = 0;
  for (uint32_t i = 0; i < count; i++) {
    for (; at < end && st_load64(at) < changes[i].hash; at += 8) out[written++] = st_load64(at);
    bool was_listed = at < end && st_load64(at) == changes[i].hash;
    if (was_listed) at += 8;
    if (changes[i].listed) out[written++] = changes[i].hash;
    if (changes[i].listed != was_listed) take_step(changes[i].hash, changes[i].listed);
  }
  for (; at < end; at += 8) out[written++] = st_load64(at);
  return written;
}

/* What the store lists now, ascending; to be freed. */
typedef struct listed {
  st_listing listing;
  uint64_t *hashes;
  uint32_t count;
} listed;

static st_fed read_changes(listed *now, bool *known, char *why) {
  st_listing_change *changes = NULL;
  const edition *base = all.current;
  uint32_t count = 0;
  st_stored stored =
      st_store_changes(all.store, base->sequence, &now->listing, &changes, &count, why);
  *known = stored == ST_STORED;
  if (stored == ST_STORE_NONE) return ST_FED;
  if (stored != ST_STORED) return ST_FED_STORE_ERROR;
  st_fed fed = ST_FED_NO_MEMORY;
  uint64_t most = (uint64_t)base->count + count;
  if (most <= UINT32_MAX) now->hashes = malloc(8 * (size_t)most + 8);
  if (now->hashes != NULL) {
    if (count > 1) qsort(changes, count, sizeof *changes, by_hash);
    now->count = merge(base, changes, count, now->hashes);
    fed = ST_FED;
  }
  free(changes);
  return fed;
}

static st_fed read_whole(listed *now, char *why) {
  forget_past();
  if (st_store_listed(all.store, &now->listing, &now->hashes, &now->count, why) != ST_STORED) {
    return ST_FED_STORE_ERROR;
  }
  now->count = subtoken_revocations_sort(now->hashes, now->count);
  return ST_FED;
}

static st_fed replace(const subtoken_ring *ring, const uint8_t *signer, bool from_current,
                      char *why) {
  listed now = {.hashes = NULL};
  bool known = false;
  edition *fresh = NULL;
  st_fed fed = from_current ? read_changes(&now, &known, why) : ST_FED;
  if (fed == ST_FED && !known) fed = read_whole(&now, why);
  if (fed == ST_FED) {
    fresh = make_edition(ring, signer, &now.listing, now.hashes, now.count);
    if (fresh == NULL) fed = ST_FED_NO_MEMORY;
  }
  free(now.hashes);
  if (fresh == NULL) {
    forget_past(); /* steps may have been taken that led nowhere */
    return fed;
  }
  if (all.current != NULL) give_edition(all.current);
  all.current = fresh;
  mark_edition(fresh);
  return ST_FED;
}

static bool advance(char *why) {
  int64_t sequence;
  return st_store_advance(all.store, st_world_now_us(), &sequence, why) == ST_STORED;
}

/* Not at all, or later, is no harm: a hash that stays listed refuses what has expired. */
static void purge_at_times(void) {
  char why[ST_WHY_MAX];
  int64_t now_us = st_world_monotonic_us();
  if (now_us < all.purge_at_us) return;
  all.purge_at_us = now_us + PURGE_EVERY_US;
  if (st_store_purge(all.store, st_world_now_us(), why) != ST_STORED) {
    st_log_event("store_error", why);
  }
}

/* Bring the edition to where the store is now. */
static st_fed refresh(const subtoken_ring *ring, char *why) {
  uint8_t signer[SUBTOKEN_HEARTBEAT_LEN];
  st_listing listing;
  snprintf(why, ST_WHY_MAX, "no secret can sign the revocation data");
  if (!describe_signer(ring, signer)) return ST_FED_STORE_ERROR;
  all.advanced = all.advanced || advance(why);
  if (!all.advanced) return ST_FED_STORE_ERROR;
  purge_at_times();
  if (st_store_listing(all.store, &listing, why) != ST_STORED) return ST_FED_STORE_ERROR;
  const edition *e = all.current;
  if (e == NULL) return replace(ring, signer, false, why);
  bool same_key = memcmp(e->hash_key, listing.hash_key, sizeof e->hash_key) == 0;
  bool same_signer = memcmp(e->signer, signer, sizeof signer) == 0;
  if (listing.sequence == e->sequence && same_key && same_signer) return ST_FED;
  /* Edges hold what has this sequence, or a higher one; other bytes are to have another. When
   * that cannot be written, edges that take the same sequence again are served all the same.
   */
  if ((listing.sequence < e->sequence || (listing.sequence == e->sequence && !same_signer)) &&
      !advance(why)) {
    st_log_event("store_error", why);
  }
  return replace(ring, signer, same_key && listing.sequence >= e->sequence, why);
}

/* ---- answering ---- */

/* T never goes back, but for a clock that was set. Under the lock, after the store was asked:
 * who was given a later T has asked before.
 */
static int64_t vouch(int64_t now) {
  if (now >= all.time || all.time - now > BACK_MOST) all.time = now;
  return all.time;
}

static bool write_heartbeat(const subtoken_ring *ring, const edition *e, int64_t time, char *out) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_heartbeat heartbeat = {.sequence = e->sequence, .time = time};
  memcpy(heartbeat.digest, e->digest, sizeof heartbeat.digest);
  return subtoken_heartbeat_write(ring, &heartbeat, bytes) == SUBTOKEN_FEED_OK &&
         subtoken_heartbeat_encode(bytes, out) == SUBTOKEN_FEED_OK;
}

static st_fed current(void *context, const subtoken_ring *ring, int64_t now, st_edition *out) {
  char why[ST_WHY_MAX];
  edition *e = NULL;
  int64_t time = 0;
  (void)context;
  pthread_mutex_lock(&all.lock);
  st_fed fed = refresh(ring, why);
  if (fed == ST_FED) {
    e = all.current;
    atomic_fetch_add(&e->uses, 1);
    time = vouch(now);
  }
  pthread_mutex_unlock(&all.lock);
  if (fed == ST_FED_STORE_ERROR) st_log_event("store_error", why);
  if (fed != ST_FED) return fed;
  if (!write_heartbeat(ring, e, time, out->heartbeat)) {
    give_edition(e);
    return ST_FED_STORE_ERROR;
  }
  out->sequence = e->sequence;
  memcpy(out->etag, e->etag, sizeof out->etag);
  out->snapshot = (st_payload){e->bytes, e->len, give_edition, e};
  return ST_FED;
}

/* ---- changes ---- */

/* The steps from one edition to another; to be freed. */
static bool steps_between(int64_t since, int64_t until, st_listing_change **list, size_t *count) {
  uint64_t from, to;
  if (!find_mark(since, &from) || !find_mark(until, &to) || from > to) return false;
  *count = (size_t)(to - from);
  *list = malloc((*count + 1) * sizeof **list);
  for (size_t i = 0; *list != NULL && i < *count; i++) (*list)[i] = all.steps[(from + i) % STEPS];
  return *list != NULL;
}

/* The store tells only how things are now: a hash that was taken off and on again since
 * counts as new. Who cannot apply that asks for the whole.
 */
static bool changes_in_store(int64_t since, const edition *e, st_listing_change **list,
                             size_t *count) {
  char why[ST_WHY_MAX];
  st_listing listing;
  uint32_t found = 0;
  if (st_store_changes(all.store, since, &listing, list, &found, why) != ST_STORED) return false;
  *count = found;
  return listing.sequence == e->sequence;
}

/* Hashes that come to be listed and cease to be take turns, so that their sum is what is left. */
static void sum_up(st_listing_change *list, size_t count, uint64_t *gone, uint32_t *gone_count,
                   uint64_t *fresh, uint32_t *fresh_count) {
  *gone_count = *fresh_count = 0;
  if (count > 1) qsort(list, count, sizeof *list, by_hash);
  for (size_t i = 0; i < count;) {
    uint64_t hash = list[i].hash;
    int sum = 0;
    for (; i < count && list[i].hash == hash; i++) sum += list[i].listed ? 1 : -1;
    if (sum < 0) gone[(*gone_count)++] = hash;
    if (sum > 0) fresh[(*fresh_count)++] = hash;
  }
}

static bool write_changes(const edition *e, int64_t since, st_listing_change *list, size_t count,
                          st_payload *payload) {
  uint64_t *gone = malloc(16 * (count + 1)); /* the new ones follow those that are gone */
  uint32_t gone_count, fresh_count;
  void *bytes = NULL;
  size_t len = 0;
  bool written = false;
  if (gone == NULL) return false;
  uint64_t *fresh = gone + count;
  sum_up(list, count, gone, &gone_count, fresh, &fresh_count);
  size_t size = SUBTOKEN_CHANGES_LEN(gone_count, fresh_count);
  if (size < e->len) bytes = malloc(size);
  if (bytes != NULL) {
    written = subtoken_changes_write(e->bytes, e->len, since, gone, gone_count, fresh, fresh_count,
                                     bytes, size, &len) == SUBTOKEN_FEED_OK;
  }
  free(gone);
  if (written) {
    *payload = (st_payload){bytes, len, free, bytes};
  } else {
    free(bytes);
  }
  return written;
}

static bool changes(void *context, const st_edition *wanted, int64_t since, st_payload *payload) {
  const edition *e = wanted->snapshot.context;
  size_t count = 0;
  (void)context;
  if (since > e->sequence) return false;
  pthread_mutex_lock(&all.lock);
  st_listing_change *list = NULL;
  bool known =
      steps_between(since, e->sequence, &list, &count) || changes_in_store(since, e, &list, &count);
  pthread_mutex_unlock(&all.lock);
  bool written = known && write_changes(e, since, list, count, payload);
  free(list);
  return written;
}

/* ---- start and end ---- */

void st_feed_start(st_store *store) {
  char why[ST_WHY_MAX];
  pthread_mutex_lock(&all.lock);
  all.store = store;
  all.purge_at_us = 0;
  all.time = 0;
  all.advanced = advance(why);
  if (!all.advanced) st_log_event("store_error", why);
  purge_at_times();
  pthread_mutex_unlock(&all.lock);
}

void st_feed_stop(void) {
  pthread_mutex_lock(&all.lock);
  if (all.current != NULL) give_edition(all.current);
  all.current = NULL;
  forget_past();
  pthread_mutex_unlock(&all.lock);
}

st_feed st_feed_door(void) {
  return (st_feed){NULL, current, changes};
}
