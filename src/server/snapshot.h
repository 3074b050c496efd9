/* snapshot - a snapshot of the revocation data with what is known of it, made of what the store
 * lists. Its bytes never change once it is made; whoever uses them holds a reference.
 */
#ifndef ST_SERVER_SNAPSHOT_H
#define ST_SERVER_SNAPSHOT_H

#include <stdatomic.h>

#include "domain/store.h"
#include "server/snapshot_changes.h"
#include "service/service.h"
#include "subtoken/revocations.h"

typedef struct st_snapshot {
  atomic_int references;
  atomic_bool retired; /* who still sends it is to stop */
  uint8_t *bytes;
  size_t len;
  uint32_t count;
  int64_t sequence;
  uint8_t digest[SUBTOKEN_MAC_LEN];
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
  uint8_t signer[SUBTOKEN_HEARTBEAT_LEN]; /* of the secret that its MAC is under */
  char etag[ST_SNAPSHOT_TAG_LEN + 1];
  /* The snapshot cache's, under its lock: */
  int64_t time;             /* T: it was vouched for then, last */
  int64_t sending_since_us; /* when the first of those who are sent it whole began */
  int readers;              /* that are sent it whole */
} st_snapshot;

/* One more reference; snapshot may be NULL. The last release frees it. */
st_snapshot *st_snapshot_acquire(st_snapshot *snapshot);
void st_snapshot_release(st_snapshot *snapshot, int references);

/* What tells the signing secret of a ring, and its name, from another without being it. */
bool st_snapshot_describe_signer(const subtoken_ring *ring, uint8_t signer[SUBTOKEN_HEARTBEAT_LEN])
    __attribute__((warn_unused_result));

/* snapshot may be NULL: false. */
bool st_snapshot_signed_by(const st_snapshot *snapshot, const uint8_t *signer);

/* Is it what the store lists, under the secret of that signer? */
bool st_snapshot_matches(const st_snapshot *snapshot, const uint8_t *signer,
                         const st_revocation_state *state);

/* What a snapshot is made of: what the store lists at one moment. */
typedef struct st_snapshot_contents {
  st_revocation_state state;
  uint64_t *hashes; /* ascending */
  uint32_t count;
  st_snapshot_step *steps; /* from the snapshot before, or the whole log */
  size_t step_count;
  bool whole; /* read anew: the log is, too, and goes back to since */
  int64_t since;
} st_snapshot_contents;

/* What comes after base, which is NULL when all is to be read. To be freed, also when it fails.
 * error says what is behind ST_FEED_STORE_ERROR.
 */
st_feed_status st_snapshot_read(st_store *store, const st_snapshot *base,
                                st_snapshot_contents *contents, char *error)
    __attribute__((warn_unused_result));
void st_snapshot_contents_free(st_snapshot_contents *contents);

/* The snapshot of them. It is durable in DATA, and the log of changes (snapshot_changes.h) leads to
 * it, before *fresh is set. One thread at a time, in the order in which the contents were read.
 */
st_feed_status st_snapshot_make(const subtoken_ring *ring, const uint8_t *signer,
                                const st_snapshot_contents *contents, st_snapshot **fresh,
                                char *error) __attribute__((warn_unused_result));

#endif
