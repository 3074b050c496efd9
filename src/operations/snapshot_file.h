/* snapshot_file - a revocation snapshot in a file. */
#ifndef ST_OPERATIONS_SNAPSHOT_FILE_H
#define ST_OPERATIONS_SNAPSHOT_FILE_H

#include "domain/store.h"
#include "subtoken/revocations.h"

/* A snapshot that was read from a file, and whose MAC was checked. */
typedef struct st_snapshot_file {
  uint8_t *bytes;
  size_t len;
  subtoken_revocations view;
} st_snapshot_file;

/* changes: the path of the changes that lead on from it, or NULL. To be freed, also when it fails.
 */
bool st_snapshot_file_load(const subtoken_ring *ring, const char *path, const char *changes,
                           st_snapshot_file *file, char *error) __attribute__((warn_unused_result));
void st_snapshot_file_free(st_snapshot_file *file);

/* Its hashes, in new memory, to be freed; NULL without memory. */
uint64_t *st_snapshot_file_hashes(const subtoken_revocations *view)
    __attribute__((warn_unused_result));
void st_snapshot_file_hash_key(const st_snapshot_file *file, uint8_t key[SUBTOKEN_HASH_KEY_LEN]);

/* Have the store list again what it lists. at_least: what its sequence counts as, if that is more.
 */
st_store_status st_snapshot_file_restore(st_store *store, const st_audit_context *context,
                                         const st_snapshot_file *file, int64_t at_least,
                                         int64_t life, st_restore_report *report, char *error)
    __attribute__((warn_unused_result));

#endif
