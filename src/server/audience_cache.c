/* Remembers what a snapshot is under the secrets that are derived for audiences. An audience has a
 * slot, which is that of the kid, with two versions: of the current snapshot, and of one before it
 * that is still being sent. The next version for a kid that has a slot costs whoever asks nothing,
 * as there are few slots; a kid that has none takes the slot that was used longest ago, and that
 * its key pays for by the length of the snapshot. The bytes in between are the snapshot's own
 * (snapshot_cache.c), so a slot is small.
 */
#include "server/audience_cache.h"

#include <pthread.h>
#include <string.h>

#include "base/base64url.h"
#include "base/hmac.h"
#include "domain/key.h"
#include "os/clock.h"
#include "os/condition.h"

enum {
  SLOTS = 64,
  BUCKETS = 1024,    /* a key falls on one by its id */
  BYTES_A_US = 32,   /* that a key may have hashed for audiences without a slot */
  BURST_US = 8000000 /* what it may have hashed at once, as time */
};
#define WAIT_US INT64_C(9000000)

typedef struct audience_slot {
  uint64_t used; /* the larger, the later; 0: empty */
  uint8_t kid_len;
  char kid[SUBTOKEN_KID_MAX];
  uint8_t of[2][SUBTOKEN_MAC_LEN]; /* the digests of the snapshots */
  st_audience_version versions[2];
  size_t next; /* which of both is replaced next */
} audience_slot;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t made;
  bool making;
  uint64_t uses;
  audience_slot slots[SLOTS];
  int64_t full_at_us[BUCKETS]; /* when the key's bucket will be full again */
} audiences = {.lock = PTHREAD_MUTEX_INITIALIZER};

st_feed_status st_audience_cache_derive(const subtoken_ring *ring, subtoken_text audience,
                                        subtoken_ring *derived) {
  subtoken_ring first = {.count = 0};
  subtoken_result result = SUBTOKEN_NO_SECRET;
  memset(derived, 0, sizeof *derived);
  if (ring->count > 0) {
    first.count = 1;
    first.secrets[0] = ring->secrets[0];
    result = subtoken_ring_derive(&first, audience, derived);
    subtoken_wipe(&first, sizeof first);
  }
  if (result == SUBTOKEN_OK) return ST_FEED_READY;
  subtoken_wipe(derived, sizeof *derived);
  return result == SUBTOKEN_BAD_KID ? ST_FEED_AUDIENCE : ST_FEED_STORE_ERROR;
}

/* ---- the slots; each call holds the lock ---- */

static audience_slot *audience_find(const subtoken_secret *secret) {
  for (size_t i = 0; i < SLOTS; i++) {
    audience_slot *slot = &audiences.slots[i];
    if (slot->used != 0 && slot->kid_len == secret->kid_len &&
        memcmp(slot->kid, secret->kid, secret->kid_len) == 0) {
      return slot;
    }
  }
  return NULL;
}

static bool audience_copy(audience_slot *slot, const uint8_t *digest, st_audience_version *out) {
  for (size_t i = 0; slot != NULL && i < 2; i++) {
    if (memcmp(slot->of[i], digest, SUBTOKEN_MAC_LEN) != 0) continue;
    *out = slot->versions[i];
    slot->used = ++audiences.uses;
    slot->next = 1 - i; /* the other one is replaced */
    return true;
  }
  return false;
}

static void audience_keep(const subtoken_secret *secret, const uint8_t *digest,
                          const st_audience_version *version) {
  audience_slot *slot = audience_find(secret);
  if (slot == NULL) {
    slot = &audiences.slots[0];
    for (size_t i = 1; i < SLOTS; i++) {
      if (audiences.slots[i].used < slot->used) slot = &audiences.slots[i];
    }
    memset(slot, 0, sizeof *slot);
    slot->kid_len = secret->kid_len;
    memcpy(slot->kid, secret->kid, secret->kid_len);
  }
  slot->used = ++audiences.uses;
  memcpy(slot->of[slot->next], digest, SUBTOKEN_MAC_LEN);
  slot->versions[slot->next] = *version;
  slot->next = 1 - slot->next;
}

/* ---- what a key may ask for ---- */

/* Under the lock. */
static bool audience_charge(const char *key_id, size_t len, int64_t now_us) {
  uint32_t hash = 2166136261U;
  for (size_t i = 0; i < ST_KEY_ID_LEN && key_id[i] != '\0'; i++) {
    hash = (hash ^ (uint8_t)key_id[i]) * 16777619U;
  }
  int64_t *full_at = &audiences.full_at_us[hash % BUCKETS];
  int64_t cost = 1 + (int64_t)(len / BYTES_A_US);
  if (*full_at > now_us && *full_at - now_us + cost > BURST_US) return false;
  *full_at = (*full_at > now_us ? *full_at : now_us) + cost;
  return true;
}

bool st_audience_cache_charge(const char *key_id, size_t len, int64_t now_us) {
  (void)pthread_mutex_lock(&audiences.lock);
  bool charged = audience_charge(key_id, len, now_us);
  (void)pthread_mutex_unlock(&audiences.lock);
  return charged;
}

/* ---- making one ---- */

static bool audience_make(const subtoken_secret *secret, const st_snapshot *snapshot,
                          st_audience_version *out) {
  uint8_t hash[ST_HASH_LEN];
  if (st_revocations_write_resigned(secret, snapshot->bytes, snapshot->len, out->head,
                                    out->digest) != SUBTOKEN_FEED_OK) {
    return false;
  }
  const char *between = (const char *)snapshot->bytes + ST_FEED_HEAD_LEN;
  const subtoken_text pieces[] = {
      {(const char *)out->head, sizeof out->head},
      {between, snapshot->len - ST_FEED_HEAD_LEN - SUBTOKEN_MAC_LEN},
      {(const char *)out->digest, sizeof out->digest},
  };
  st_sha256_pieces(secret->cpu, pieces, 3, hash);
  st_writer writer = st_writer_on(out->etag, sizeof out->etag);
  st_base64url_write(&writer, hash, sizeof hash);
  return st_writer_end(&writer);
}

/* Under the lock, which is open while it is made. */
static st_feed_status audience_make_alone(const subtoken_secret *secret,
                                          const st_snapshot *snapshot, const char *key_id,
                                          st_audience_version *out) {
  if (audience_find(secret) == NULL &&
      !audience_charge(key_id, snapshot->len, st_clock_monotonic_us())) {
    return ST_FEED_AUDIENCES;
  }
  audiences.making = true;
  (void)pthread_mutex_unlock(&audiences.lock);
  bool made = audience_make(secret, snapshot, out);
  (void)pthread_mutex_lock(&audiences.lock);
  audiences.making = false;
  if (made) audience_keep(secret, snapshot->digest, out);
  (void)pthread_cond_broadcast(&audiences.made);
  return made ? ST_FEED_READY : ST_FEED_STORE_ERROR;
}

st_feed_status st_audience_cache_find(const subtoken_ring *derived, const st_snapshot *snapshot,
                                      const char *key_id, st_audience_version *out) {
  const subtoken_secret *secret = &derived->secrets[0];
  int64_t until_us = st_clock_monotonic_us() + WAIT_US;
  st_feed_status status = ST_FEED_BUSY;
  (void)pthread_mutex_lock(&audiences.lock);
  for (;;) {
    if (audience_copy(audience_find(secret), snapshot->digest, out)) {
      status = ST_FEED_READY;
      break;
    }
    if (!audiences.making) {
      status = audience_make_alone(secret, snapshot, key_id, out);
      break;
    }
    if (st_clock_monotonic_us() >= until_us) break;
    st_condition_wait(&audiences.made, &audiences.lock, until_us);
  }
  (void)pthread_mutex_unlock(&audiences.lock);
  return status;
}

/* ---- start and end ---- */

void st_audience_cache_start(void) {
  st_condition_init(&audiences.made);
}

void st_audience_cache_stop(void) {
  memset(audiences.slots, 0, sizeof audiences.slots);
  memset(audiences.full_at_us, 0, sizeof audiences.full_at_us);
  (void)pthread_cond_destroy(&audiences.made);
}
