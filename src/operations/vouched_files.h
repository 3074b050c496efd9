/* vouched_files - what a server keeps in DATA of all that it vouched for: DATA/vouched (the record:
 * core/vouched.h), DATA/snapshot (the last snapshot or one before it) and DATA/snapshot.changes
 * (what leads from that to the last). A database that never issued the sequence of the record is a
 * backup or a copy, and is made to list again what the snapshot listed. The reasons are in
 * subtoken_revocation(7).
 */
#ifndef ST_OPERATIONS_VOUCHED_FILES_H
#define ST_OPERATIONS_VOUCHED_FILES_H

#include "domain/key.h"
#include "domain/store.h"
#include "subtoken/revocations.h"

/* The sequence in DATA/vouched, 0 when there is none; false when it cannot be believed. */
bool st_vouched_files_sequence(const char *dir, const subtoken_ring *ring, int64_t *sequence,
                               char *error) __attribute__((warn_unused_result));

/* Before the revocation data is asked for. False: DATA/vouched is damaged, or signed with a secret
 * that the ring does not have. A store that is behind is brought ahead, which is logged; when that
 * fails, nothing is vouched for until the store has caught up.
 */
bool st_vouched_files_start(const char *dir, st_store *store, const subtoken_ring *ring,
                            char *error) __attribute__((warn_unused_result));
void st_vouched_files_stop(void);

/* Before anything is vouched for: does the store know what was vouched for last? sequence: the last
 * of the store; other: it may be another one than at the last call. One that is behind is brought
 * ahead, which is logged, and *restored: ask it anew. False: nothing may be vouched for. One thread
 * at a time.
 */
bool st_vouched_files_check(const subtoken_ring *ring, int64_t sequence, bool other, bool *restored,
                            char *error) __attribute__((warn_unused_result));

/* Before this snapshot is given out: it is durable when this answers true. One thread at a time. */
bool st_vouched_files_keep(const subtoken_ring *ring, const uint8_t *bytes, size_t len,
                           int64_t sequence, char *error) __attribute__((warn_unused_result));

/* A secret is to leave the ring: what it signed is signed again. Under the lock of DATA. */
bool st_vouched_files_sign_again(const char *dir, const subtoken_ring *before,
                                 const subtoken_ring *after, char *error)
    __attribute__((warn_unused_result));

/* The ring of a running server may be another one now, copied from elsewhere perhaps: what lies in
 * DATA under another secret than the one that signs now is signed again, while it can be read by
 * this ring, or by the one before it. Takes the lock of DATA.
 */
bool st_vouched_files_follow(const subtoken_ring *before, const subtoken_ring *now, char *error)
    __attribute__((warn_unused_result));

#endif
