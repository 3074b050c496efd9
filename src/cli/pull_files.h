/* pull_files - the files that `subtoken pull` keeps for an edge: FILE (a snapshot), FILE.alive (its
 * heartbeat) and FILE.seen (the highest sequence ever seen). Each is replaced whole; FILE.next has
 * the heartbeat of what is to be FILE, so that FILE has its heartbeat in one of the two whenever
 * the process is killed. FILE.spare and FILE.alive.spare are what they are written to, so that a
 * full disk is no hindrance (os/spare.h). Whether a snapshot is true is for those to find out who
 * have the ring.
 */
#ifndef ST_CLI_PULL_FILES_H
#define ST_CLI_PULL_FILES_H

#include "cli/fetch.h"
#include "os/file.h"
#include "subtoken/feed.h"

#define ST_PULL_NAME_MAX (SUBTOKEN_FEED_PATH_MAX + 16)

/* A snapshot in memory. */
typedef struct st_pull_snapshot {
  uint8_t *bytes;
  size_t len;
  int64_t sequence; /* 0: there is none */
  uint32_t count;
  char etag[ST_ETAG_LEN + 1];
  uint8_t digest[SUBTOKEN_MAC_LEN];
} st_pull_snapshot;

typedef struct st_pull_files {
  char path[ST_PULL_NAME_MAX], alive[ST_PULL_NAME_MAX], next[ST_PULL_NAME_MAX],
      seen[ST_PULL_NAME_MAX], lock[ST_PULL_NAME_MAX], spare_file[ST_PULL_NAME_MAX],
      spare_small[ST_PULL_NAME_MAX];
  size_t max_size;       /* a larger snapshot is as one that cannot be read */
  st_pull_snapshot have; /* what FILE holds, with its bytes, so that changes find them in memory */
  uint8_t *spare;        /* memory for the next one, or NULL: fresh pages cost as much as hashing */
  st_file_stamp stamp;   /* of FILE when it was read last */
  int64_t highest;       /* sequence that was ever seen */
  int64_t time; /* T of the heartbeat in FILE.alive, when it was written or found; 0: none */
} st_pull_files;

/* False: path is empty or too long. */
bool st_pull_files_name(st_pull_files *files, const char *path) __attribute__((warn_unused_result));

/* Remove what killed pulls have left. Under the lock. */
void st_pull_files_sweep(const st_pull_files *files);

/* Look at FILE and FILE.seen as they are now; others may have changed them. */
void st_pull_files_refresh(st_pull_files *files);

/* Memory of at least that size for the next snapshot, to be freed or written; NULL: there is none.
 */
uint8_t *st_pull_files_allocate(st_pull_files *files, size_t size)
    __attribute__((warn_unused_result));

/* Put a snapshot, or NULL for the one that is there, and its heartbeat in place. The bytes of the
 * snapshot go over to files when it is in place; then they are NULL.
 */
bool st_pull_files_write(st_pull_files *files, st_pull_snapshot *fresh,
                         const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN], char *error)
    __attribute__((warn_unused_result));

/* Fills the rest by bytes and len; false when they are no snapshot. */
bool st_pull_files_describe(st_pull_snapshot *snapshot) __attribute__((warn_unused_result));
void st_pull_files_free(st_pull_snapshot *snapshot);

/* Is the heartbeat that of the snapshot? */
bool st_pull_files_heartbeat_matches(const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN],
                                     const st_pull_snapshot *snapshot)
    __attribute__((warn_unused_result));

#endif
