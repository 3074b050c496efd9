/* snapshot_version - what is given out of a snapshot: its ETag, a heartbeat, and its bytes; for an
 * audience under the secret that is derived for it. The bytes are those of the snapshot all the
 * same, and of the changes that lead to it, with other ones in two places.
 */
#ifndef ST_SERVER_SNAPSHOT_VERSION_H
#define ST_SERVER_SNAPSHOT_VERSION_H

#include "server/audience_cache.h"
#include "server/snapshot.h"

/* The bytes for an audience, and where they stand. It lives as long as what is given out. */
typedef struct st_snapshot_patches {
  bool needed;
  st_audience_version audience;
  st_payload_patch snapshot, changes;
} st_snapshot_patches;

/* Everything but who releases it. time: T of the heartbeat. Otherwise than ST_FEED_READY nothing
 * is to be sent: see st_audience_cache_derive and st_audience_cache_find.
 */
st_feed_status st_snapshot_version_describe(const st_feed_question *question, st_snapshot *snapshot,
                                            int64_t time, st_snapshot_patches *patches,
                                            st_snapshot_version *out)
    __attribute__((warn_unused_result));

/* What is to be patched in changes that lead to the snapshot, or NULL. */
const st_payload_patch *st_snapshot_version_patch_changes(const st_snapshot_patches *patches);

#endif
