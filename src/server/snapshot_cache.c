/* The revocation data as the server gives it out. An edition is a snapshot with what is known of
 * it. One thread at a time makes the next edition, the lock open: see make. Who asks meanwhile
 * waits for it, as only what was read from the store after the question may be vouched for then,
 * but not for long: see find_edition. Two editions are kept, the current one and the one that is
 * lent to those who take it whole: see lend. The changes from one to the next are in
 * feed_changes.c.
 */
#include "server/snapshot_cache.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "core/revocations_format.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/vouched.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"
#include "os/semaphore.h"
#include "server/connection.h"
#include "server/snapshot_changes.h"
#include "service/service.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

/* A clock that was set back by more than this is followed: else a moment in which it was
 * years ahead would have edges refuse every heartbeat until a restart.
 */
#define BACK_MOST INT64_C(60)

/* How long a request waits for an edition that is being made. */
#define WAIT_US INT64_C(2000000)
/* What is freed beyond this goes back to the system at once. */
#define OWN_PAGES (1 << 20)

/* A snapshot. Its bytes never change once it is made; whoever sends them holds a use. */
typedef struct edition {
  atomic_int uses;
  atomic_bool retired; /* who still sends it is to stop */
  uint8_t *bytes;
  size_t len;
  uint32_t count;
  int64_t sequence;
  uint8_t digest[SUBTOKEN_MAC_LEN];
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
  uint8_t signer[SUBTOKEN_HEARTBEAT_LEN]; /* of the secret that its MAC is under */
  char etag[ST_SNAPSHOT_TAG_LEN + 1];
  /* Under the lock: */
  int64_t time;    /* T: it was vouched for then, last */
  int64_t lent_us; /* when the first of those who take it whole began */
  int takers;      /* that take it whole */
} edition;

/* The requests of one key that are being answered. */
typedef struct share {
  struct share *next;
  char key_id[ST_KEY_ID_LEN + 1];
  int64_t count;
} share;

/* What an answer holds until it is sent. */
typedef struct lease {
  int uses;    /* under the lock, as the next three */
  edition *of; /* NULL: none */
  bool taker;  /* takes it whole */
  share *share;
  st_payload changes; /* or without data */
} lease;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t made; /* on the monotonic clock */
  st_store *store;
  edition *current; /* NULL: none was asked for yet */
  edition *lent;    /* to those who take it whole; NULL, the current one or one before it */
  bool making;
  uint64_t begun, done, failed; /* the numbers of the last makings that did */
  st_feed_status failure;       /* of the last that failed */
  char error[ST_ERROR_MAX];
  bool advanced; /* this start has taken its sequence */
  int64_t time;  /* T of the last heartbeat */
  share *shares;
  int64_t answering, answering_max, share_max; /* requests at a time, of all and of a key */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .answering_max = 256, .share_max = 128};

/* ---- editions ---- */

static edition *use_edition(edition *e) {
  if (e != NULL) atomic_fetch_add(&e->uses, 1);
  return e;
}

static void give_uses(edition *e, int uses) {
  if (e == NULL || atomic_fetch_sub(&e->uses, uses) != uses) return;
  free(e->bytes);
  free(e);
}

static void give_edition(edition *e) {
  give_uses(e, 1);
}

/* What tells one signing secret, and its name, from another without being it. */
static bool describe_signer(const subtoken_ring *ring, uint8_t signer[SUBTOKEN_HEARTBEAT_LEN]) {
  subtoken_heartbeat nothing = {.sequence = 1, .time = 1};
  return subtoken_heartbeat_write(ring, &nothing, signer) == SUBTOKEN_FEED_OK;
}

static bool fill_edition(edition *e, const subtoken_ring *ring, const st_revocation_state *listing,
                         const uint64_t *hashes) {
  uint8_t hash[ST_HASH_LEN];
  /* Not the time it is: two servers on one store write the same bytes. */
  subtoken_revocations_header header = {.sequence = listing->sequence,
                                        .made = listing->sequence / 1000000};
  memcpy(header.hash_key, listing->hash_key, sizeof header.hash_key);
  if (subtoken_revocations_write(ring, &header, hashes, e->count, e->bytes, e->len, e->digest) !=
      SUBTOKEN_FEED_OK) {
    return false;
  }
  st_sha256_on(ring->secrets[0].cpu, e->bytes, e->len, hash);
  st_writer writer = st_writer_on(e->etag, sizeof e->etag);
  st_base64url_write(&writer, hash, sizeof hash);
  return st_writer_end(&writer);
}

/* NULL when there is no memory for it. */
static edition *make_edition(const subtoken_ring *ring, const uint8_t *signer,
                             const st_revocation_state *listing, const uint64_t *hashes,
                             uint32_t count) {
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

/* ---- the next edition ---- */

static int by_hash(const void *a, const void *b) {
  const st_revocation_change *x = a, *y = b;
  return (x->hash > y->hash) - (x->hash < y->hash);
}

/* What an edition is made of; to be freed. */
typedef struct contents {
  st_revocation_state listing;
  uint64_t *hashes; /* ascending */
  uint32_t count;
  st_snapshot_step *steps; /* from the edition before, or the whole log */
  size_t step_count;
  bool whole; /* read anew: the log is, too, and goes back to since */
  int64_t since;
} contents;

/* The hashes of an edition with changes, which ascend, in them. */
static void merge(const edition *base, const st_revocation_change *changes, uint32_t count,
                  contents *out) {
  const uint8_t *at = base->bytes + st_snapshot_hashes_at(st_snapshot_bits(base->count));
  const uint8_t *end = at + 8 * (size_t)base->count;
  for (uint32_t i = 0; i < count; i++) {
    const st_revocation_change *c = &changes[i];
    for (; at < end && st_load64(at) < c->hash; at += 8) out->hashes[out->count++] = st_load64(at);
    bool was_listed = at < end && st_load64(at) == c->hash;
    if (was_listed) at += 8;
    if (c->listed) out->hashes[out->count++] = c->hash;
    if (c->listed != was_listed) {
      out->steps[out->step_count++] = (st_snapshot_step){c->hash, c->sequence, c->listed, false};
    }
  }
  for (; at < end; at += 8) out->hashes[out->count++] = st_load64(at);
}

static bool make_room(contents *out, uint64_t hashes, size_t steps) {
  if (hashes > UINT32_MAX) return false;
  out->hashes = malloc(8 * (size_t)hashes + 8);
  out->steps = malloc((steps + 1) * sizeof *out->steps);
  return out->hashes != NULL && out->steps != NULL;
}

static st_feed_status read_changes(const edition *base, contents *now, bool *known, char *error) {
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  st_store_status stored =
      st_store_changes(all.store, base->sequence, &now->listing, &changes, &count, error);
  *known = stored == ST_STORE_OK;
  if (stored == ST_STORE_NOT_FOUND) return ST_FEED_READY;
  if (stored != ST_STORE_OK) return ST_FEED_STORE_ERROR;
  bool room = make_room(now, (uint64_t)base->count + count, count);
  if (room) {
    if (count > 1) qsort(changes, count, sizeof *changes, by_hash);
    merge(base, changes, count, now);
  }
  free(changes);
  return room ? ST_FEED_READY : ST_FEED_NO_MEMORY;
}

static st_feed_status read_whole(contents *now, char *error) {
  st_revoked_hashes listed = {.hashes = NULL};
  if (st_store_revoked_hashes_and_changes(all.store, &listed, error) != ST_STORE_OK)
    return ST_FEED_STORE_ERROR;
  now->listing = listed.listing;
  now->hashes = listed.hashes;
  now->count = subtoken_revocations_sort(listed.hashes, listed.count);
  now->whole = true;
  now->since = listed.since;
  now->steps = malloc((listed.change_count + (size_t)1) * sizeof *now->steps);
  for (uint32_t i = 0; now->steps != NULL && i < listed.change_count; i++) {
    const st_revocation_change *c = &listed.changes[i];
    now->steps[now->step_count++] = (st_snapshot_step){c->hash, c->sequence, c->listed, true};
  }
  free(listed.changes);
  return now->steps != NULL ? ST_FEED_READY : ST_FEED_NO_MEMORY;
}

/* The edition after base, which is NULL when all is to be read. */
static st_feed_status read_edition(const subtoken_ring *ring, const uint8_t *signer,
                                   const edition *base, edition **fresh, char *error) {
  contents now = {.hashes = NULL};
  bool known = false;
  st_feed_status fed = base != NULL ? read_changes(base, &now, &known, error) : ST_FEED_READY;
  if (fed == ST_FEED_READY && !known) fed = read_whole(&now, error);
  if (fed == ST_FEED_READY) {
    *fresh = make_edition(ring, signer, &now.listing, now.hashes, now.count);
    if (*fresh == NULL) fed = ST_FEED_NO_MEMORY;
  }
  /* Durable before anybody sees it, and before the log goes on from it. */
  if (fed == ST_FEED_READY &&
      !st_vouched_keep(ring, (*fresh)->bytes, (*fresh)->len, (*fresh)->sequence, error)) {
    give_edition(*fresh);
    *fresh = NULL;
    fed = ST_FEED_STORE_ERROR;
  }
  if (*fresh != NULL && now.whole) {
    st_snapshot_changes_load(now.steps, now.step_count, now.since);
  } else if (*fresh != NULL) {
    st_snapshot_changes_append(now.steps, now.step_count);
  }
  free(now.hashes);
  free(now.steps);
  return fed;
}

/* Who asks for the feed waits for this: it waits for nobody, but at the start. */
static bool advance(int64_t until_us, char *error) {
  int64_t sequence;
  return st_store_bump_sequence(all.store, st_clock_now_us(), until_us, &sequence, error) ==
         ST_STORE_OK;
}

/* Not at all, or later, is no harm: a hash that stays listed refuses what has expired. Each hour it
 * is done again by the thread that writes what was used (people.c): a request waits for no change.
 */
static void purge(void) {
  char error[ST_ERROR_MAX];
  if (st_store_purge(all.store, st_clock_now_us(), st_clock_monotonic_us(), error) != ST_STORE_OK) {
    st_log_event("store_error", error);
  }
}

static bool is_same(const edition *e, const uint8_t *signer, const st_revocation_state *listing) {
  return listing->sequence == e->sequence &&
         memcmp(e->hash_key, listing->hash_key, sizeof e->hash_key) == 0 &&
         memcmp(e->signer, signer, sizeof e->signer) == 0;
}

/* By the one thread that makes it; base is the current edition or NULL. */
static st_feed_status make_next(const subtoken_ring *ring, const uint8_t *signer,
                                const edition *base, edition **fresh, char *error) {
  st_revocation_state listing;
  all.advanced = all.advanced || advance(ST_WAIT_NOT, error);
  if (!all.advanced) return ST_FEED_STORE_ERROR;
  if (base == NULL) return read_edition(ring, signer, NULL, fresh, error);
  if (st_store_revocation_state(all.store, &listing, error) != ST_STORE_OK)
    return ST_FEED_STORE_ERROR;
  bool same_key = memcmp(base->hash_key, listing.hash_key, sizeof base->hash_key) == 0;
  bool same_signer = memcmp(base->signer, signer, sizeof base->signer) == 0;
  /* Edges hold what has this sequence, or a higher one; other bytes are to have another. When
   * that cannot be written, edges that take the same sequence again are served all the same.
   */
  if ((listing.sequence < base->sequence || (listing.sequence == base->sequence && !same_signer)) &&
      !advance(ST_WAIT_NOT, error)) {
    st_log_event("store_error", error);
  }
  bool follows = same_key && listing.sequence >= base->sequence;
  return read_edition(ring, signer, follows ? base : NULL, fresh, error);
}

/* Who still takes it goes on to; it is freed with the last of them. Under the lock. */
static void replace_current(edition *fresh) {
  edition *before = all.current;
  bool was_lent = before != NULL && before == all.lent && before->takers == 0;
  all.current = fresh;
  if (was_lent) all.lent = NULL;
  give_uses(before, was_lent ? 2 : 1);
}

/* Under the lock, which is open meanwhile. */
static st_feed_status make(const subtoken_ring *ring, const uint8_t *signer, char *error) {
  edition *fresh = NULL, *base = use_edition(all.current);
  uint64_t number = ++all.begun;
  all.making = true;
  (void)pthread_mutex_unlock(&all.lock);
  st_feed_status fed = make_next(ring, signer, base, &fresh, error);
  (void)pthread_mutex_lock(&all.lock);
  give_edition(base);
  if (fed == ST_FEED_READY) {
    replace_current(fresh);
    all.done = number;
  } else {
    all.failed = number;
    all.failure = fed;
    memcpy(all.error, error, sizeof all.error);
  }
  all.making = false;
  (void)pthread_cond_broadcast(&all.made);
  return fed;
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
  return pthread_cond_timedwait(&all.made, &all.lock, &until) == 0;
}

/* Is the current edition what the store lists now? ST_FEED_BUSY: no. Under the lock, as nobody
 * reads the store for long then: whoever does is making.
 */
static st_feed_status compare(const uint8_t *signer, char *error) {
  st_revocation_state listing;
  if (!all.advanced || all.current == NULL) return ST_FEED_BUSY;
  if (st_store_revocation_state(all.store, &listing, error) != ST_STORE_OK)
    return ST_FEED_STORE_ERROR;
  return is_same(all.current, signer, &listing) ? ST_FEED_READY : ST_FEED_BUSY;
}

static bool signed_by(const edition *e, const uint8_t *signer) {
  return e != NULL && memcmp(e->signer, signer, sizeof e->signer) == 0;
}

/* The edition to answer with is the current one afterwards. *fresh: it may be vouched for at the
 * time of the question, as what was read after it may, whoever read it and whatever has changed
 * since. When that takes too long it is what was vouched for before. Under the lock.
 */
static st_feed_status find_edition(const subtoken_ring *ring, const uint8_t *signer, bool *fresh,
                                   char *error) {
  uint64_t begun = all.begun;
  int64_t until_us = st_clock_monotonic_us() + WAIT_US;
  *fresh = true;
  for (;;) {
    if (all.done > begun && signed_by(all.current, signer)) return ST_FEED_READY;
    if (all.failed > begun) {
      memcpy(error, all.error, sizeof all.error);
      return all.failure;
    }
    if (!all.making) break;
    if (!wait_for_maker(until_us)) {
      *fresh = false;
      return signed_by(all.current, signer) ? ST_FEED_READY : ST_FEED_BUSY;
    }
  }
  st_feed_status fed = compare(signer, error);
  return fed == ST_FEED_BUSY ? make(ring, signer, error) : fed;
}

/* ---- what an answer holds ---- */

/* Under the lock. */
static share *find_share(const char *key_id) {
  share *s = all.shares;
  while (s != NULL && strcmp(s->key_id, key_id) != 0) s = s->next;
  if (s != NULL) return s;
  s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  snprintf(s->key_id, sizeof s->key_id, "%s", key_id);
  s->next = all.shares;
  all.shares = s;
  return s;
}

/* Under the lock. */
static void leave_share(share *left) {
  share **at = &all.shares;
  if (left->count > 0) return;
  while (*at != left) at = &(*at)->next;
  *at = left->next;
  free(left);
}

/* Under the lock. */
static st_feed_status enter_share(const char *key_id, share **entered) {
  if (all.answering >= all.answering_max) return ST_FEED_BUSY;
  share *s = find_share(key_id);
  if (s == NULL) return ST_FEED_NO_MEMORY;
  if (s->count >= all.share_max) return ST_FEED_KEY_BUSY;
  s->count++;
  all.answering++;
  *entered = s;
  return ST_FEED_READY;
}

static st_feed_status begin_lease(const char *key_id, lease **begun) {
  lease *l = calloc(1, sizeof *l);
  if (l == NULL) return ST_FEED_NO_MEMORY;
  l->uses = 1;
  (void)pthread_mutex_lock(&all.lock);
  st_feed_status fed = enter_share(key_id, &l->share);
  (void)pthread_mutex_unlock(&all.lock);
  if (fed != ST_FEED_READY) {
    free(l);
    l = NULL;
  }
  *begun = l;
  return fed;
}

/* Under the lock. */
static void end_lease(lease *l) {
  if (--l->uses > 0) return;
  l->share->count--;
  all.answering--;
  leave_share(l->share);
  free(l);
}

/* Under the lock. Nobody takes it any more: then it is lent only while it is the current one. */
static void drop_edition(lease *l) {
  edition *e = l->of;
  l->of = NULL;
  if (e == NULL) return;
  bool last = l->taker && --e->takers == 0 && e == all.lent && e != all.current;
  if (last) all.lent = NULL;
  l->taker = false;
  give_uses(e, last ? 2 : 1);
}

static void release_snapshot(void *context) {
  lease *l = context;
  (void)pthread_mutex_lock(&all.lock);
  drop_edition(l);
  end_lease(l);
  (void)pthread_mutex_unlock(&all.lock);
}

static void release_changes(void *context) {
  lease *l = context;
  l->changes.release(l->changes.context);
  (void)pthread_mutex_lock(&all.lock);
  end_lease(l);
  (void)pthread_mutex_unlock(&all.lock);
}

/* False after it was released. */
static bool tell_edition(const subtoken_ring *ring, lease *l, int64_t time,
                         st_snapshot_version *out) {
  const edition *e = l->of;
  if (!write_heartbeat(ring, e, time, out->heartbeat)) {
    release_snapshot(l);
    return false;
  }
  out->sequence = e->sequence;
  memcpy(out->etag, e->etag, sizeof out->etag);
  out->snapshot = (st_payload){e->bytes, e->len, release_snapshot, l, &e->retired};
  return true;
}

/* ---- what the service asks ---- */

static st_feed_status current(void *context, const subtoken_ring *ring, int64_t now,
                              const char *key_id, st_snapshot_version *out) {
  char error[ST_ERROR_MAX] = "no secret can sign the revocation data";
  uint8_t signer[SUBTOKEN_HEARTBEAT_LEN];
  lease *l = NULL;
  int64_t time = 0;
  bool fresh = false;
  (void)context;
  if (st_connection_client_left()) return ST_FEED_CLIENT_LEFT;
  st_feed_status fed =
      describe_signer(ring, signer) ? begin_lease(key_id, &l) : ST_FEED_STORE_ERROR;
  if (l != NULL) {
    (void)pthread_mutex_lock(&all.lock);
    fed = find_edition(ring, signer, &fresh, error);
    if (fed == ST_FEED_READY) {
      l->of = use_edition(all.current);
      if (fresh) l->of->time = vouch(now);
      time = l->of->time;
    } else {
      end_lease(l);
    }
    (void)pthread_mutex_unlock(&all.lock);
  }
  if (fed == ST_FEED_STORE_ERROR) st_log_event("store_error", error);
  if (fed != ST_FEED_READY) return fed;
  return tell_edition(ring, l, time, out) ? ST_FEED_READY : ST_FEED_STORE_ERROR;
}

/* Most ask from the current one, or from one shortly before it. */
static st_feed_status gave(void *context, int64_t since) {
  char error[ST_ERROR_MAX];
  (void)context;
  (void)pthread_mutex_lock(&all.lock);
  bool current = all.current != NULL && all.current->sequence == since;
  (void)pthread_mutex_unlock(&all.lock);
  if (current) return ST_FEED_READY;
  switch (st_store_gave_sequence(all.store, since, error)) {
    case ST_STORE_OK: return ST_FEED_READY;
    case ST_STORE_NOT_FOUND: return ST_FEED_NEVER;
    default: st_log_event("store_error", error); return ST_FEED_STORE_ERROR;
  }
}

static bool changes(void *context, const st_snapshot_version *wanted, int64_t since,
                    st_payload *payload) {
  lease *l = wanted->snapshot.context;
  const edition *e = l->of;
  st_snapshot_target to = {e->bytes, e->len, e->sequence};
  (void)context;
  if (!st_snapshot_changes_find(&to, since, &l->changes)) return false;
  (void)pthread_mutex_lock(&all.lock);
  l->uses++;
  (void)pthread_mutex_unlock(&all.lock);
  *payload = (st_payload){l->changes.data, l->changes.len, release_changes, l, l->changes.retired};
  return true;
}

/* Is what is lent good enough for who asks? It must be newer than what they have; the next one
 * is lent when whoever took this one first has had time enough.
 */
static bool may_join(const edition *e, int64_t since, int64_t now_us) {
  const edition *l = all.lent;
  if (l == NULL || l == e || l->takers == 0 || !signed_by(l, e->signer)) return l == e;
  bool has_it = since >= l->sequence && since <= e->sequence;
  return !has_it && now_us - l->lent_us < st_snapshot_patience_us(l->len);
}

/* At most one edition besides the current one is sent: those who come while some still take it get
 * it, too, and then the next one is lent. Who has not finished by then is cut and asks again.
 */
static edition *lend(edition *e, int64_t since) {
  int64_t now_us = st_clock_monotonic_us();
  if (!may_join(e, since, now_us)) {
    if (all.lent != NULL) {
      atomic_store(&all.lent->retired, true);
      give_edition(all.lent);
    }
    all.lent = use_edition(e);
  }
  if (all.lent->takers == 0) all.lent->lent_us = now_us;
  return all.lent;
}

static bool whole(void *context, const subtoken_ring *ring, int64_t since,
                  st_snapshot_version *edition_out) {
  lease *l = edition_out->snapshot.context;
  (void)context;
  (void)pthread_mutex_lock(&all.lock);
  edition *e = lend(l->of, since);
  int64_t time = e->time;
  e->takers++;
  if (e != l->of) {
    edition *other = l->of;
    l->of = use_edition(e);
    give_edition(other);
  }
  l->taker = true;
  (void)pthread_mutex_unlock(&all.lock);
  return tell_edition(ring, l, time, edition_out);
}

/* ---- start and end ---- */

static void start_condition(void) {
  pthread_condattr_t monotonic;
  (void)pthread_condattr_init(&monotonic);
  (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&all.made, &monotonic);
  (void)pthread_condattr_destroy(&monotonic);
}

void st_snapshot_cache_share(int64_t threads) {
  all.answering_max = threads / 2 > 1 ? threads / 2 : 1;
  all.share_max = threads / 4 > 1 ? threads / 4 : 1;
}

void st_snapshot_cache_start(st_store *store) {
  char error[ST_ERROR_MAX];
  (void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES);
  start_condition();
  all.store = store;
  all.time = 0;
  all.advanced = advance(0, error);
  if (!all.advanced) st_log_event("store_error", error);
  purge();
}

void st_snapshot_cache_stop(void) {
  char error[ST_ERROR_MAX];
  if (st_store_count_lived(all.store, st_clock_monotonic_us(), error) != ST_STORE_OK) {
    st_log_event("store_error", error);
  }
  (void)pthread_mutex_lock(&all.lock);
  give_edition(all.lent);
  give_edition(all.current);
  all.lent = all.current = NULL;
  (void)pthread_mutex_unlock(&all.lock);
  (void)pthread_cond_destroy(&all.made);
  st_snapshot_changes_stop();
}

st_feed st_snapshot_cache_feed(void) {
  return (st_feed){NULL, current, changes, whole, gave};
}
