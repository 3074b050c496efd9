/* rate_limit - how often a key may make subtokens: a token bucket a key, in a table of
 * fixed size. Any thread may ask.
 */
#ifndef ST_SERVICE_RATE_LIMIT_H
#define ST_SERVICE_RATE_LIMIT_H

#include <pthread.h>

#include "domain/config.h"

#define ST_RATE_SLOTS 4096

typedef struct st_rate_limit {
  pthread_mutex_t lock;
  int64_t full_at_us[ST_RATE_SLOTS]; /* when the bucket will be full again */
} st_rate_limit;

bool st_rate_limit_start(st_rate_limit *rate) __attribute__((warn_unused_result));

/* Take one; otherwise the whole seconds, at least 1, until there is one. Two keys
 * that fall on one bucket share it, which errs on the side of refusing.
 */
int64_t st_rate_limit_take(st_rate_limit *rate, const st_settings *settings, const char *key_id,
                           int64_t now_us);

#endif
