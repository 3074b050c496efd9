/* How often a key may make tokens: one bucket a slot, and a key falls on a slot by its id. What a
 * key is allowed is in the settings.
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

/* FNV-1a is enough: the ids are random, so that callers cannot choose a slot. */
static size_t rate_limit_slot(const char *key_id) {
  uint32_t hash = 2166136261U;
  for (size_t i = 0; i < ST_KEY_ID_LEN; i++) hash = (hash ^ (uint8_t)key_id[i]) * 16777619U;
  return hash % ST_RATE_SLOTS;
}

int64_t st_rate_limit_take(st_rate_limit *rate, const st_settings *settings, const char *key_id,
                           int64_t now_us) {
  if (settings->rate_per_second == 0) return 0;
  int64_t each = INT64_C(1000000) / settings->rate_per_second;
  int64_t *full_at = &rate->full_at_us[rate_limit_slot(key_id)];
  pthread_mutex_lock(&rate->lock);
  int64_t wait = st_token_bucket_wait(*full_at, now_us, each, settings->rate_burst);
  if (wait == 0) st_token_bucket_take(full_at, now_us, each);
  pthread_mutex_unlock(&rate->lock);
  return st_token_bucket_seconds(wait);
}
