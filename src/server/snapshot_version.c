/* What is given out of a snapshot, which is made in snapshot.c, and under a derived secret in
 * audience_cache.c. Who holds it until it is sent: snapshot_cache.c.
 */
#include "server/snapshot_version.h"

#include <string.h>

#include "subtoken/feed.h"

static bool version_write_heartbeat(const subtoken_ring *ring, const uint8_t *digest, int64_t time,
                                    st_snapshot_version *out) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_heartbeat heartbeat = {.sequence = out->sequence, .time = time};
  memcpy(heartbeat.digest, digest, sizeof heartbeat.digest);
  return subtoken_heartbeat_write(ring, &heartbeat, bytes) == SUBTOKEN_FEED_OK &&
         subtoken_heartbeat_encode(bytes, out->heartbeat) == SUBTOKEN_FEED_OK;
}

/* In changes the head of the snapshot that they lead to lies behind their own. */
static void version_set_patches(st_snapshot_patches *patches) {
  const st_audience_version *audience = &patches->audience;
  patches->snapshot = (st_payload_patch){0,
                                         {(const char *)audience->head, sizeof audience->head},
                                         {(const char *)audience->digest, sizeof audience->digest}};
  patches->changes = patches->snapshot;
  patches->changes.piece_at = SUBTOKEN_CHANGES_HEAD_LEN - ST_FEED_HEAD_LEN;
  patches->needed = true;
}

static st_feed_status version_describe_for(const st_feed_question *question,
                                           const st_snapshot *snapshot, int64_t time,
                                           st_snapshot_patches *patches, st_snapshot_version *out) {
  subtoken_ring derived;
  st_feed_status status = st_audience_cache_derive(question->ring, question->audience, &derived);
  if (status == ST_FEED_READY) {
    status = st_audience_cache_find(&derived, snapshot, question->key_id, &patches->audience);
  }
  if (status == ST_FEED_READY &&
      !version_write_heartbeat(&derived, patches->audience.digest, time, out)) {
    status = ST_FEED_STORE_ERROR;
  }
  subtoken_wipe(&derived, sizeof derived);
  if (status != ST_FEED_READY) return status;
  version_set_patches(patches);
  memcpy(out->etag, patches->audience.etag, sizeof out->etag);
  out->snapshot.patch = &patches->snapshot;
  return ST_FEED_READY;
}

st_feed_status st_snapshot_version_describe(const st_feed_question *question, st_snapshot *snapshot,
                                            int64_t time, st_snapshot_patches *patches,
                                            st_snapshot_version *out) {
  out->sequence = snapshot->sequence;
  out->snapshot =
      (st_payload){.data = snapshot->bytes, .len = snapshot->len, .retired = &snapshot->retired};
  if (question->audience.len > 0) {
    return version_describe_for(question, snapshot, time, patches, out);
  }
  memcpy(out->etag, snapshot->etag, sizeof out->etag);
  return version_write_heartbeat(question->ring, snapshot->digest, time, out) ? ST_FEED_READY
                                                                              : ST_FEED_STORE_ERROR;
}

const st_payload_patch *st_snapshot_version_patch_changes(const st_snapshot_patches *patches) {
  return patches->needed ? &patches->changes : NULL;
}
