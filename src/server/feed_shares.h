/* feed_shares - how many requests for the revocation data are answered at a time: of all, and of
 * one key. Those that are held (held_requests.h) count, too.
 */
#ifndef ST_SERVER_FEED_SHARES_H
#define ST_SERVER_FEED_SHARES_H

#include <stdint.h>

#include "service/service.h"

/* The requests of one key that are being answered. */
typedef struct st_feed_share st_feed_share;

/* Of so many threads half answer or hold at most at a time, and a quarter for one key. Before the
 * first request.
 */
void st_feed_shares_limit(int64_t threads);

/* ST_FEED_READY, to be left; ST_FEED_BUSY, ST_FEED_KEY_BUSY or ST_FEED_NO_MEMORY: *share is NULL.
 */
st_feed_status st_feed_shares_enter(const char *key_id, st_feed_share **share)
    __attribute__((warn_unused_result));
void st_feed_shares_leave(st_feed_share *share);

#endif
