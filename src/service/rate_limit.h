/* rate_limit - how often a key may make subtokens: a token bucket a key, in a table of
 * fixed size. Any thread may ask.
 */
#ifndef ST_SERVICE_RATE_LIMIT_H
#define ST_SERVICE_RATE_LIMIT_H

#include <pthread.h>

#include "domain/config.h"

/* A key falls on a set by its id, and finds or takes a bucket there. */
#define ST_RATE_SETS 2048
#define ST_RATE_WAYS 8

typedef struct st_rate_bucket {
  uint64_t key;       /* a hash of its id */
  int64_t full_at_us; /* when the bucket will be full again */
} st_rate_bucket;

typedef struct st_rate_limit {
  pthread_mutex_t lock;
  int64_t per_second, burst; /* by which the buckets were filled last */
  st_rate_bucket buckets[ST_RATE_SETS][ST_RATE_WAYS];
} st_rate_limit;

bool st_rate_limit_start(st_rate_limit *rate) __attribute__((warn_unused_result));

/* Take one; otherwise the whole seconds, at least 1, until there is one. A key shares a bucket
 * only while all of its set are other keys' and not full, which errs on the side of refusing. Under
 * other settings than before no bucket lacks more than it holds.
 */
int64_t st_rate_limit_take(st_rate_limit *rate, const st_settings *settings, const char *key_id,
                           int64_t now_us);

#endif
