/* token_bucket - the arithmetic of a token bucket that is kept as one number: when it will be full
 * again, in microseconds of a monotonic clock. each: how long one token takes to flow in; burst:
 * how many the bucket holds.
 */
#ifndef ST_SERVICE_TOKEN_BUCKET_H
#define ST_SERVICE_TOKEN_BUCKET_H

#include <stdint.h>

/* How long until there is a token, or 0. */
static inline int64_t st_token_bucket_wait(int64_t full_at, int64_t now, int64_t each,
                                           int64_t burst) {
  int64_t after = (full_at > now ? full_at : now) + each;
  return after - now > each * burst ? after - now - each * burst : 0;
}

static inline void st_token_bucket_take(int64_t *full_at, int64_t now, int64_t each) {
  *full_at = (*full_at > now ? *full_at : now) + each;
}

/* Whole seconds, rounded up, as Retry-After has them. */
static inline int64_t st_token_bucket_seconds(int64_t wait) {
  return (wait + 999999) / 1000000;
}

#endif
