/* Finds the place of a key by its sub: stripes with a lock each, of buckets of one line of the
 * processor's cache. A sub belongs into one of two buckets, so that they fill evenly, and is known
 * there by 8 bits of its hash; whoever looks there compares the whole. The cache is in
 * key_cache.c.
 */
#include "store/sub_index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define LINE 64
#define SLOTS ((size_t)ST_SUB_INDEX_FOUND_MAX / 2)

/* No tag is 0: such a slot is free. */
typedef struct bucket {
  uint32_t places[SLOTS];
  uint8_t tags[SLOTS];
  uint32_t unused;
} bucket;

typedef struct stripe {
  pthread_mutex_t lock; /* guards both below */
  uint64_t cleared;     /* the last clearing that was carried out */
  bucket *buckets;
} __attribute__((aligned(LINE))) stripe;

struct st_sub_index {
  _Atomic uint64_t cleared; /* how often */
  uint64_t seed;
  uint32_t stripe_count, bucket_count; /* buckets: of each stripe */
  stripe *stripes;
  bucket *buckets;
};

/* In each stripe. */
static size_t count_buckets(size_t subs, uint32_t stripes) {
  return (subs + (size_t)stripes * SLOTS - 1) / ((size_t)stripes * SLOTS);
}

size_t st_sub_index_bytes(size_t subs, uint32_t stripes) {
  return sizeof(st_sub_index) +
         stripes * (sizeof(stripe) + sizeof(bucket) * count_buckets(subs, stripes));
}

static void make_stripes(st_sub_index *index) {
  pthread_mutexattr_t spin;            /* a lock is held for less than a microsecond */
  (void)pthread_mutexattr_init(&spin); /* these cannot fail here */
  (void)pthread_mutexattr_settype(&spin, PTHREAD_MUTEX_ADAPTIVE_NP);
  for (size_t i = 0; i < index->stripe_count; i++) {
    index->stripes[i] = (stripe){.buckets = index->buckets + i * index->bucket_count};
    (void)pthread_mutex_init(&index->stripes[i].lock, &spin);
  }
  (void)pthread_mutexattr_destroy(&spin);
}

/* What calloc gives is not touched before it is used. */
st_sub_index *st_sub_index_new(size_t subs, uint32_t stripes, uint64_t seed) {
  st_sub_index *index = calloc(1, sizeof *index);
  if (index == NULL) return NULL;
  index->seed = seed;
  index->stripe_count = stripes;
  index->bucket_count = (uint32_t)count_buckets(subs, stripes);
  index->stripes = aligned_alloc(LINE, sizeof(stripe) * stripes);
  index->buckets = calloc((size_t)stripes * index->bucket_count, sizeof(bucket));
  if (index->stripes == NULL || index->buckets == NULL) {
    st_sub_index_free(index);
    return NULL;
  }
  make_stripes(index);
  return index;
}

/* Mutexes of Linux hold nothing that is to be given back. */
void st_sub_index_free(st_sub_index *index) {
  if (index == NULL) return;
  free(index->stripes);
  free(index->buckets);
  free(index);
}

/* ---- where a sub belongs ---- */

typedef struct home {
  stripe *stripe;
  bucket *buckets[2];
  uint8_t tag;
} home;

static home home_of(const st_sub_index *index, const char *sub) {
  uint8_t padded[48] = {0};
  uint64_t hash = index->seed;
  memcpy(padded, sub, ST_SUB_LEN);
  for (size_t i = 0; i < sizeof padded; i += 8) {
    hash = st_sub_index_mix(hash ^ st_load64(padded + i));
  }
  uint64_t more = st_sub_index_mix(hash ^ index->seed);
  stripe *s = &index->stripes[st_sub_index_below(hash >> 32, index->stripe_count)];
  return (home){.stripe = s,
                .buckets = {&s->buckets[st_sub_index_below(more, index->bucket_count)],
                            &s->buckets[st_sub_index_below(more >> 32, index->bucket_count)]},
                .tag = (uint8_t)(hash % 255 + 1)};
}

/* Locked, and cleared if that is still to be done. */
static void lock_home(st_sub_index *index, const home *h) {
  (void)pthread_mutex_lock(&h->stripe->lock);
  uint64_t cleared = atomic_load(&index->cleared);
  if (h->stripe->cleared == cleared) return;
  memset(h->stripe->buckets, 0, sizeof(bucket) * index->bucket_count);
  h->stripe->cleared = cleared;
}

static void unlock_home(const home *h) {
  (void)pthread_mutex_unlock(&h->stripe->lock);
}

/* ---- what the cache asks ---- */

static size_t count_free(const bucket *b) {
  size_t count = 0;
  for (size_t i = 0; i < SLOTS; i++) count += b->tags[i] == 0;
  return count;
}

/* Into the emptier bucket; when both are full, in the place of any. */
void st_sub_index_add(st_sub_index *index, const char *sub, uint32_t place) {
  home h = home_of(index, sub);
  size_t slot = 0;
  lock_home(index, &h);
  bucket *b = h.buckets[count_free(h.buckets[1]) > count_free(h.buckets[0])];
  while (slot < SLOTS && b->tags[slot] != 0) slot++;
  if (slot == SLOTS) slot = place % SLOTS;
  b->tags[slot] = h.tag;
  b->places[slot] = place;
  unlock_home(&h);
}

void st_sub_index_remove(st_sub_index *index, const char *sub, uint32_t place) {
  home h = home_of(index, sub);
  lock_home(index, &h);
  for (size_t i = 0; i < SLOTS * 2; i++) {
    bucket *b = h.buckets[i / SLOTS];
    size_t slot = i % SLOTS;
    if (b->tags[slot] == h.tag && b->places[slot] == place) b->tags[slot] = 0;
  }
  unlock_home(&h);
}

void st_sub_index_clear(st_sub_index *index) {
  atomic_fetch_add(&index->cleared, 1);
}

size_t st_sub_index_find(st_sub_index *index, const char *sub,
                         uint32_t places[ST_SUB_INDEX_FOUND_MAX]) {
  size_t count = 0;
  home h = home_of(index, sub);
  lock_home(index, &h);
  for (size_t i = 0; i < 2; i++) {
    const bucket *b = h.buckets[i];
    for (size_t slot = 0; slot < SLOTS; slot++) {
      if (b->tags[slot] == h.tag) places[count++] = b->places[slot];
    }
  }
  unlock_home(&h);
  return count;
}
