/* vouched - what a server keeps in DATA of all that it vouched for: DATA/vouched (core/vouched.h),
 * DATA/snapshot, the last snapshot or one before it, and DATA/snapshot.changes, what leads from
 * that to the last. A database that never gave the sequence in there is a backup or a copy, and is
 * made to list again what the snapshot listed. The argument is subtoken_revocation(7).
 */
#ifndef ST_OPERATIONS_VOUCHED_H
#define ST_OPERATIONS_VOUCHED_H

#include "domain/key.h"
#include "domain/store.h"
#include "subtoken/revocations.h"

/* A snapshot in a file, whose MAC was checked. */
typedef struct st_snapshot_copy {
  uint8_t *bytes;
  size_t len;
  subtoken_revocations view;
} st_snapshot_copy;

/* changes: the path of what leads on from it, or NULL. To be dropped, whatever the answer. */
bool st_snapshot_load(const subtoken_ring *ring, const char *path, const char *changes,
                      st_snapshot_copy *copy, char *error) __attribute__((warn_unused_result));
void st_snapshot_drop(st_snapshot_copy *copy);

/* Have the store take it over. at_least: what its sequence counts as, if that is more. */
st_store_status st_snapshot_take_over(st_store *store, const st_audit_context *act,
                                      const st_snapshot_copy *copy, int64_t at_least, int64_t life,
                                      st_restore_report *report, char *error)
    __attribute__((warn_unused_result));

/* The sequence in DATA/vouched, 0 when there is none; false when it cannot be believed. */
bool st_vouched_sequence(const char *dir, const subtoken_ring *ring, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));

/* Before the first question about the revocation data. False: DATA/vouched is damaged, or under a
 * secret that the ring has not. A store that is behind is brought ahead, which is logged; where
 * that cannot be, nothing is vouched for until the store has caught up.
 */
bool st_vouched_start(const char *dir, st_store *store, const subtoken_ring *ring, char *error)
    __attribute__((warn_unused_result));
void st_vouched_stop(void);

/* Before this snapshot is shown to anybody: durable when it answers true. One thread at a time. */
bool st_vouched_keep(const subtoken_ring *ring, const uint8_t *bytes, size_t len, int64_t sequence,
                     char *error) __attribute__((warn_unused_result));

/* A secret leaves the ring: what was made under it is made anew. Under the lock of DATA. */
bool st_vouched_sign_anew(const char *dir, const subtoken_ring *before, const subtoken_ring *after,
                          char *error) __attribute__((warn_unused_result));

#endif
