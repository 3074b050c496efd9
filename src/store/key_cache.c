/* Remembers keys in a bounded number of bytes. Each stripe has a lock, a ring of packed keys
 * (key_pack.c) of any length, and an index of them by digest. New keys go to the head of the ring;
 * at its tail the oldest is dropped, or moved to the head when it was found since it came there.
 * sub_index.c says where among the digests a sub is to be looked for.
 *
 * A thread that holds the lock of a stripe takes no other one but within sub_index.c.
 */
#include "store/key_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/key_pack.h"
#include "store/sub_index.h"

#define STRIPE_BYTES (512 << 10) /* about, unless there are too many or too few */
#define STRIPES_MAX 4096         /* a power of two */
#define LINE 64                  /* bytes of a line of the processor's cache, and of a bucket */
#define SLOTS ((size_t)16)       /* of a bucket */
#define BYTES_PER_SLOT 92        /* of a ring: about the least that a key takes */
#define SUB_BYTES 7              /* that the sub of a slot takes, about */
#define FORGOTTEN 64             /* a power of two */
#define KEEP_MAX 32              /* keys that are moved to make room for one */

/* An entry of a ring: its length in two bytes, the digest, the packed key with its state. */
enum { STATE_LIVE = 0x40, STATE_FOUND = 0x80 };
enum { AT_DIGEST = 2, AT_KEY = 34, AT_STATE = AT_KEY + 1 };
static_assert((STATE_LIVE | STATE_FOUND) == ST_KEY_PACK_FREE_BITS, "the bits that are free");
#define ENTRY_MAX (AT_KEY + ST_KEY_PACK_MAX)
#define RING_START 1 /* no entry lies at 0 */

/* A slot is 0, or where the entry lies and, in the bits above that, a tag. */
typedef struct bucket {
  uint32_t slots[SLOTS];
} bucket;

typedef struct stripe {
  pthread_mutex_t lock; /* guards all below */
  uint64_t cleared;     /* the moment of the last clearing that was carried out */
  bucket *buckets;
  uint8_t *ring;
  uint32_t head, tail;           /* where the next entry goes; the oldest */
  uint32_t end;                  /* wrapped: where the entries end that follow the tail */
  bool wrapped;                  /* the head is before the tail */
  uint32_t count;                /* of entries that live */
  uint64_t forgotten[FORGOTTEN]; /* by place: when one was forgotten last */
} __attribute__((aligned(LINE))) stripe;

struct st_key_cache {
  _Atomic uint64_t moment;
  _Atomic uint64_t cleared; /* the moment of the last clearing */
  uint64_t seed;
  st_key_names *names;
  st_sub_index *subs;
  stripe *stripes;
  uint32_t stripe_count, bucket_count, ring_size; /* the last two: of each stripe */
  uint32_t at_mask;                               /* of a slot: the bits that say where */
  bucket *buckets;                                /* of all stripes */
  uint8_t *rings;
};

/* ---- made and freed ---- */

/* Of subs there are as many as slots are taken; an eighth more, so that their buckets never fill.
 */
static size_t sub_room(const st_key_cache *cache) {
  size_t slots = (size_t)cache->stripe_count * cache->bucket_count * SLOTS;
  return slots + slots / 8;
}

/* How the bytes are shared out. False: too many. */
static bool divide(st_key_cache *cache, size_t bytes) {
  uint32_t count = 1;
  if (bytes < ST_KEY_CACHE_MIN) bytes = ST_KEY_CACHE_MIN;
  if (bytes / STRIPES_MAX > UINT32_MAX / 4) return false;
  while (count < STRIPES_MAX && bytes / count > STRIPE_BYTES) count *= 2;
  size_t fixed = sizeof *cache + st_key_names_size() + st_sub_index_bytes(0, count);
  size_t share = (bytes - fixed) / count - sizeof(stripe);
  size_t per_bucket = sizeof(bucket) + SLOTS * BYTES_PER_SLOT + SLOTS * SUB_BYTES;
  cache->stripe_count = count;
  cache->bucket_count = (uint32_t)(share / per_bucket);
  size_t subs = st_sub_index_bytes(sub_room(cache), count) - st_sub_index_bytes(0, count);
  cache->ring_size = (uint32_t)(share - cache->bucket_count * sizeof(bucket) - subs / count);
  while (cache->at_mask < cache->ring_size) cache->at_mask = cache->at_mask << 1 | 1;
  return true;
}

/* What calloc gives is not touched before it is used. */
static bool make_stripes(st_key_cache *cache) {
  size_t count = cache->stripe_count, buckets = cache->bucket_count;
  cache->stripes = aligned_alloc(LINE, count * sizeof(stripe));
  cache->buckets = calloc(count * buckets, sizeof(bucket));
  cache->rings = calloc(count, cache->ring_size);
  if (cache->stripes == NULL || cache->buckets == NULL || cache->rings == NULL) return false;
  pthread_mutexattr_t spin;            /* a lock is held for less than a microsecond */
  (void)pthread_mutexattr_init(&spin); /* these cannot fail here */
  (void)pthread_mutexattr_settype(&spin, PTHREAD_MUTEX_ADAPTIVE_NP);
  for (size_t i = 0; i < count; i++) {
    cache->stripes[i] = (stripe){.buckets = cache->buckets + i * buckets,
                                 .ring = cache->rings + i * cache->ring_size,
                                 .head = RING_START,
                                 .tail = RING_START};
    (void)pthread_mutex_init(&cache->stripes[i].lock, &spin);
  }
  (void)pthread_mutexattr_destroy(&spin);
  return true;
}

st_key_cache *st_key_cache_new(size_t bytes) {
  st_key_cache *cache = calloc(1, sizeof *cache);
  if (cache == NULL || !divide(cache, bytes)) {
    free(cache);
    return NULL;
  }
  st_random_fill(&cache->seed, sizeof cache->seed);
  cache->names = st_key_names_new();
  cache->subs = st_sub_index_new(sub_room(cache), cache->stripe_count, cache->seed);
  if (cache->names == NULL || cache->subs == NULL || !make_stripes(cache)) {
    st_key_cache_free(cache);
    return NULL;
  }
  return cache;
}

/* Mutexes of Linux hold nothing that is to be given back. */
void st_key_cache_free(st_key_cache *cache) {
  if (cache == NULL) return;
  st_key_names_free(cache->names);
  st_sub_index_free(cache->subs);
  free(cache->stripes);
  free(cache->buckets);
  free(cache->rings);
  free(cache);
}

/* ---- where a digest belongs ---- */

/* Each entry is in one of two buckets. All of it follows from `bits`. */
typedef struct place {
  uint32_t bits;
  stripe *stripe;
  bucket *buckets[2];
  uint32_t tag;
} place;

static place place_at(const st_key_cache *cache, uint32_t bits) {
  stripe *s = &cache->stripes[st_sub_index_below(bits, cache->stripe_count)];
  uint64_t more = st_sub_index_mix(bits);
  return (place){.bits = bits,
                 .stripe = s,
                 .buckets = {&s->buckets[st_sub_index_below(more, cache->bucket_count)],
                             &s->buckets[st_sub_index_below(more >> 32, cache->bucket_count)]},
                 .tag = (uint32_t)more & ~cache->at_mask};
}

/* Nobody who does not know the seed can choose keys that fall on one place. That a key of this
 * place is there may show in the time; of its digest it says nothing to others. */
static place place_of(const st_key_cache *cache, uint64_t digest8) {
  uint32_t bits = (uint32_t)(st_sub_index_mix(digest8 ^ cache->seed) >> 32);
  ST_VERDICT(bits);
  return place_at(cache, bits);
}

uint64_t st_key_cache_digest8(const uint8_t first[8]) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; i++) number = number << 8 | first[i];
  return number;
}

static place place_of_entry(const st_key_cache *cache, const uint8_t *entry) {
  return place_of(cache, st_key_cache_digest8(entry + AT_DIGEST));
}

static size_t entry_len(const uint8_t *entry) {
  return (size_t)entry[0] | (size_t)entry[1] << 8;
}

/* ---- the index by digest: under the lock of the stripe ---- */

static void lock_stripe(st_key_cache *cache, stripe *s) {
  (void)pthread_mutex_lock(&s->lock);
  uint64_t cleared = atomic_load(&cache->cleared);
  if (s->cleared == cleared) return;
  memset(s->buckets, 0, sizeof(bucket) * cache->bucket_count);
  s->head = s->tail = RING_START;
  s->wrapped = false;
  s->count = 0;
  s->cleared = cleared;
}

static void unlock_stripe(stripe *s) {
  (void)pthread_mutex_unlock(&s->lock);
}

/* Is the entry what is asked for? */
typedef bool match_fn(const uint8_t *entry, const void *asked);

static bool has_digest(const uint8_t *entry, const void *digest) {
  return st_equal_secret(entry + AT_DIGEST, digest, 32);
}

static bool has_digest8(const uint8_t *entry, const void *digest8) {
  return st_key_cache_digest8(entry + AT_DIGEST) == *(const uint64_t *)digest8;
}

static bool has_sub(const uint8_t *entry, const void *sub) {
  return st_key_pack_has_sub(entry + AT_KEY, sub);
}

static bool is_same(const uint8_t *entry, const void *other) {
  return entry == other;
}

/* NULL: there is none. */
static uint32_t *find_slot(const st_key_cache *cache, const place *p, match_fn *match,
                           const void *asked) {
  const uint32_t at_mask = cache->at_mask;
  for (size_t b = 0; b < 2; b++) {
    uint32_t *slots = p->buckets[b]->slots;
    for (size_t i = 0; i < SLOTS; i++) {
      /* Of a slot that is free and a tag of zeros, where is 0. */
      uint32_t at = slots[i] ^ p->tag;
      if (at > at_mask || at == 0) continue;
      if (match(p->stripe->ring + at, asked)) return &slots[i];
    }
  }
  return NULL;
}

static void remove_entry(st_key_cache *cache, const place *p, uint32_t *slot) {
  char sub[ST_SUB_LEN + 1];
  uint8_t *entry = p->stripe->ring + (*slot & cache->at_mask);
  entry[AT_STATE] &= (uint8_t)~ST_KEY_PACK_FREE_BITS;
  *slot = 0;
  p->stripe->count--;
  st_key_unpack_sub(entry + AT_KEY, sub);
  st_sub_index_remove(cache->subs, sub, p->bits);
}

static uint32_t *free_slot(bucket *b) {
  for (size_t i = 0; i < SLOTS; i++) {
    if (b->slots[i] == 0) return &b->slots[i];
  }
  return NULL;
}

/* Of two full buckets, one that was not found lately, if there is such a one, is dropped. */
static uint32_t *empty_slot(st_key_cache *cache, const place *p) {
  uint32_t *slots = p->buckets[0]->slots, *victim = &slots[p->bits % SLOTS];
  for (size_t i = 0; i < SLOTS; i++) {
    const uint8_t *entry = p->stripe->ring + (slots[i] & cache->at_mask);
    if ((entry[AT_STATE] & STATE_FOUND) == 0) victim = &slots[i];
  }
  place its_place = place_of_entry(cache, p->stripe->ring + (*victim & cache->at_mask));
  remove_entry(cache, &its_place, victim);
  return victim;
}

static uint32_t *take_slot(st_key_cache *cache, const place *p) {
  size_t taken[2] = {0};
  for (size_t i = 0; i < 2 * SLOTS; i++)
    taken[i / SLOTS] += p->buckets[i / SLOTS]->slots[i % SLOTS] != 0;
  uint32_t *slot = free_slot(p->buckets[taken[1] < taken[0]]);
  return slot != NULL ? slot : empty_slot(cache, p);
}

/* ---- the ring: under the lock of the stripe ---- */

/* Takes the oldest entry off the tail, and to the head if it is to be kept. */
static void pass_oldest(st_key_cache *cache, stripe *s, size_t *kept) {
  uint8_t *entry = s->ring + s->tail;
  uint32_t len = (uint32_t)entry_len(entry);
  s->tail += len;
  if ((entry[AT_STATE] & STATE_LIVE) != 0) {
    place p = place_of_entry(cache, entry);
    uint32_t *slot = find_slot(cache, &p, is_same, entry);
    if ((entry[AT_STATE] & STATE_FOUND) != 0 && *kept < KEEP_MAX) {
      entry[AT_STATE] &= (uint8_t)~STATE_FOUND;
      memmove(s->ring + s->head, entry, len);
      *slot = p.tag | s->head;
      s->head += len;
      (*kept)++;
    } else {
      remove_entry(cache, &p, slot);
    }
  }
  if (s->tail != s->end) return;
  s->tail = RING_START;
  s->wrapped = false;
}

/* Until an entry of this length fits at the head. The one room that there is for it lies from the
 * head to the end of the ring or, while wrapped, to the tail.
 */
static void make_room(st_key_cache *cache, stripe *s, size_t len) {
  size_t kept = 0;
  for (;;) {
    if (s->wrapped) {
      if (s->tail - s->head >= len) return;
      pass_oldest(cache, s, &kept);
    } else {
      if (cache->ring_size - s->head >= len) return;
      s->end = s->head;
      s->head = RING_START;
      s->wrapped = true;
    }
  }
}

static void add_entry(st_key_cache *cache, const place *p, const uint8_t *entry, const char *sub) {
  stripe *s = p->stripe;
  size_t len = entry_len(entry);
  make_room(cache, s, len);
  uint32_t *slot = take_slot(cache, p);
  memcpy(s->ring + s->head, entry, len);
  *slot = p->tag | s->head;
  s->head += (uint32_t)len;
  s->count++;
  st_sub_index_add(cache->subs, sub, p->bits);
}

/* ---- found and put ---- */

static bool find_at(st_key_cache *cache, const place *p, match_fn *match, const void *asked,
                    st_key *key) {
  lock_stripe(cache, p->stripe);
  const uint32_t *slot = find_slot(cache, p, match, asked);
  if (slot != NULL) {
    uint8_t *entry = p->stripe->ring + (*slot & cache->at_mask);
    entry[AT_STATE] |= STATE_FOUND;
    st_key_unpack(cache->names, entry + AT_KEY, key);
  }
  unlock_stripe(p->stripe);
  return slot != NULL;
}

/* One that is good for a time: nobody writes anything when that is over. */
static bool is_over(const st_key *key) {
  return key->by_old_digest && key->old_until <= st_clock_now_us() / 1000000;
}

bool st_key_cache_find(st_key_cache *cache, bool by_sub, const void *bytes, st_key *key) {
  uint32_t bits[ST_SUB_INDEX_FOUND_MAX];
  if (!by_sub) {
    place p = place_of(cache, st_key_cache_digest8(bytes));
    return find_at(cache, &p, has_digest, bytes, key) && !is_over(key);
  }
  st_key_sub sub = st_key_sub_of(cache->names, bytes);
  size_t count = st_sub_index_find(cache->subs, bytes, bits);
  for (size_t i = 0; i < count; i++) {
    place p = place_at(cache, bits[i]);
    if (find_at(cache, &p, has_sub, &sub, key)) {
      key->by_old_digest = false;
      return true;
    }
  }
  return false;
}

uint64_t st_key_cache_moment(st_key_cache *cache) {
  return atomic_load(&cache->moment);
}

static uint64_t *forgotten_at(const place *p) {
  return &p->stripe->forgotten[p->bits % FORGOTTEN];
}

void st_key_cache_put(st_key_cache *cache, const uint8_t digest[32], const st_key *key,
                      uint64_t moment) {
  uint8_t entry[ENTRY_MAX];
  size_t len = st_key_pack(cache->names, key, entry + AT_KEY);
  if (len == 0 || AT_KEY + len > cache->ring_size / 4) return;
  len += AT_KEY;
  entry[0] = (uint8_t)len;
  entry[1] = (uint8_t)(len >> 8);
  entry[AT_STATE] |= STATE_LIVE;
  memcpy(entry + AT_DIGEST, digest, 32);
  place p = place_of_entry(cache, entry);
  lock_stripe(cache, p.stripe);
  if (p.stripe->cleared <= moment && *forgotten_at(&p) <= moment) {
    uint32_t *slot = find_slot(cache, &p, has_digest, digest);
    if (slot != NULL) remove_entry(cache, &p, slot);
    add_entry(cache, &p, entry, key->sub);
  }
  unlock_stripe(p.stripe);
}

/* ---- forgotten ---- */

/* Under the lock: what is put later and was read before sees the new moment. */
void st_key_cache_forget(st_key_cache *cache, const uint64_t *digest8, size_t count) {
  for (size_t i = 0; i < count; i++) {
    place p = place_of(cache, digest8[i]);
    lock_stripe(cache, p.stripe);
    *forgotten_at(&p) = atomic_fetch_add(&cache->moment, 1) + 1;
    uint32_t *slot = find_slot(cache, &p, has_digest8, &digest8[i]);
    for (; slot != NULL; slot = find_slot(cache, &p, has_digest8, &digest8[i])) {
      remove_entry(cache, &p, slot);
    }
    unlock_stripe(p.stripe);
  }
}

/* Each stripe is cleared when it is used next. */
void st_key_cache_forget_all(st_key_cache *cache) {
  uint64_t moment = atomic_fetch_add(&cache->moment, 1) + 1;
  uint64_t cleared = atomic_load(&cache->cleared);
  while (cleared < moment && !atomic_compare_exchange_weak(&cache->cleared, &cleared, moment)) {
  }
  st_sub_index_clear(cache->subs);
}

size_t st_key_cache_count(st_key_cache *cache) {
  size_t count = 0;
  for (size_t i = 0; i < cache->stripe_count; i++) {
    lock_stripe(cache, &cache->stripes[i]);
    count += cache->stripes[i].count;
    unlock_stripe(&cache->stripes[i]);
  }
  return count;
}
