/* audience_cache - a snapshot under the secrets that are derived for audiences: what differs from
 * the snapshot itself, which is its head, its MAC and so its ETag. To make that is to hash all of
 * the snapshot twice, so it is remembered, for a bounded number of audiences; one thread at a time
 * makes it, and each key may have so much made for audiences that are not remembered.
 */
#ifndef ST_SERVER_AUDIENCE_CACHE_H
#define ST_SERVER_AUDIENCE_CACHE_H

#include "core/revocations_format.h"
#include "server/snapshot.h"

typedef struct st_audience_version {
  uint8_t head[ST_FEED_HEAD_LEN];
  uint8_t digest[SUBTOKEN_MAC_LEN];
  char etag[ST_SNAPSHOT_TAG_LEN + 1];
} st_audience_version;

/* The secret of the ring that signs, for that audience: a ring with it alone, to be wiped.
 * ST_FEED_AUDIENCE, ST_FEED_STORE_ERROR: the ring is wiped.
 */
st_feed_status st_audience_cache_derive(const subtoken_ring *ring, subtoken_text audience,
                                        subtoken_ring *derived) __attribute__((warn_unused_result));

/* What the snapshot is under the secret that a derived ring signs with; key_id: who asks.
 * ST_FEED_AUDIENCES, ST_FEED_BUSY after nine seconds, ST_FEED_STORE_ERROR.
 */
st_feed_status st_audience_cache_find(const subtoken_ring *derived, const st_snapshot *snapshot,
                                      const char *key_id, st_audience_version *out)
    __attribute__((warn_unused_result));

/* Takes what so many bytes cost from the bucket of a key; false when it has not got that much. One
 * that is full has got enough for any number of them. now_us: monotonic.
 */
bool st_audience_cache_charge(const char *key_id, size_t len, int64_t now_us)
    __attribute__((warn_unused_result));

void st_audience_cache_start(void);
/* Forgets all of it. */
void st_audience_cache_stop(void);

#endif
