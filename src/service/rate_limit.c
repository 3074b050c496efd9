/* How often a key may make tokens: one bucket a key. A bucket that is full says no more than one
 * that nobody has, so the next key of its set may take it, and the table holds the keys that were
 * used within the last seconds. What a key is allowed is in the settings.
 */
#include "service/rate_limit.h"

#include <string.h>

#include "domain/config.h"
#include "domain/key.h"
#include "service/token_bucket.h"

bool st_rate_limit_start(st_rate_limit *rate) {
  memset(rate, 0, sizeof *rate);
  return pthread_mutex_init(&rate->lock, NULL) == 0;
}

/* FNV-1a is enough: the ids are random, so that callers cannot choose a set. */
static uint64_t rate_limit_hash(const char *key_id) {
  uint64_t hash = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < ST_KEY_ID_LEN; i++) {
    hash = (hash ^ (uint8_t)key_id[i]) * UINT64_C(1099511628211);
  }
  return hash;
}

/* The key's own bucket, or one that is full; without one, that of its set which is full first. */
static int64_t *rate_limit_find(st_rate_limit *rate, uint64_t key, int64_t now_us) {
  st_rate_bucket *set = rate->buckets[(key >> 32) % ST_RATE_SETS], *first = set;
  for (size_t i = 0; i < ST_RATE_WAYS; i++) {
    if (set[i].key == key) return &set[i].full_at_us;
    if (set[i].full_at_us < first->full_at_us) first = &set[i];
  }
  if (first->full_at_us <= now_us) first->key = key;
  return &first->full_at_us;
}

/* What a bucket lacks is kept as the time that it takes to fill it, which is another one now: a key
 * that had used up a long burst would wait for all of that.
 */
static void rate_limit_change(st_rate_limit *rate, const st_settings *settings, int64_t each,
                              int64_t now_us) {
  int64_t most_us = now_us + each * settings->rate_burst;
  for (size_t i = 0; i < ST_RATE_SETS; i++) {
    for (size_t j = 0; j < ST_RATE_WAYS; j++) {
      st_rate_bucket *bucket = &rate->buckets[i][j];
      if (bucket->full_at_us > most_us) bucket->full_at_us = most_us;
    }
  }
  rate->per_second = settings->rate_per_second;
  rate->burst = settings->rate_burst;
}

int64_t st_rate_limit_take(st_rate_limit *rate, const st_settings *settings, const char *key_id,
                           int64_t now_us) {
  if (settings->rate_per_second == 0) return 0;
  int64_t each = INT64_C(1000000) / settings->rate_per_second;
  uint64_t key = rate_limit_hash(key_id);
  pthread_mutex_lock(&rate->lock);
  if (rate->per_second != settings->rate_per_second || rate->burst != settings->rate_burst) {
    rate_limit_change(rate, settings, each, now_us);
  }
  int64_t *full_at = rate_limit_find(rate, key, now_us);
  int64_t wait = st_token_bucket_wait(*full_at, now_us, each, settings->rate_burst);
  if (wait == 0) st_token_bucket_take(full_at, now_us, each);
  pthread_mutex_unlock(&rate->lock);
  return st_token_bucket_seconds(wait);
}
