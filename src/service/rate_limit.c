#include "service/rate_limit.h"

#include <string.h>

#include "domain/config.h"
#include "domain/key.h"

#define SECOND INT64_C(1000000)

bool st_rate_limit_start(st_rate_limit *rate) {
  memset(rate, 0, sizeof *rate);
  return pthread_mutex_init(&rate->lock, NULL) == 0;
}

/* FNV-1a; the ids are random, nobody chooses where they fall. */
static size_t slot_of(const char *key_id) {
  uint32_t hash = 2166136261U;
  for (size_t i = 0; i < ST_KEY_ID_LEN; i++) hash = (hash ^ (uint8_t)key_id[i]) * 16777619U;
  return hash % ST_RATE_SLOTS;
}

int64_t st_rate_limit_take(st_rate_limit *rate, const st_settings *settings, const char *key_id,
                           int64_t now_us) {
  if (settings->rate_per_second == 0) return 0;
  int64_t each = SECOND / settings->rate_per_second;
  int64_t wait = 0;
  size_t at = slot_of(key_id);
  pthread_mutex_lock(&rate->lock);
  int64_t full_at = rate->full_at_us[at];
  if (full_at < now_us) full_at = now_us;
  int64_t after = full_at + each;
  if (after - now_us > each * settings->rate_burst) {
    wait = after - now_us - each * settings->rate_burst;
  } else {
    rate->full_at_us[at] = after;
  }
  pthread_mutex_unlock(&rate->lock);
  return (wait + SECOND - 1) / SECOND;
}
