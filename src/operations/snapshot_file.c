/* A revocation snapshot that lies in a file, of this server (DATA/snapshot, with the changes since)
 * or of an edge, and how a store takes it over. Which snapshot that is, and when, is for
 * vouched_files.c and `subtoken feed restore`.
 */
#include "operations/snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/revocations_format.h"
#include "os/error.h"
#include "os/file.h"
#include "subtoken/feed.h"

/* A whole file; NULL and error when there is none, or none that can be read. To be freed. */
static uint8_t *snapshot_file_read(const char *path, size_t *len, char *error) {
  uint8_t *bytes;
  st_file_stamp stamp;
  return st_file_load(path, SIZE_MAX, &bytes, len, &stamp, error) ? bytes : NULL;
}

/* Changes that do not lead on from it belong to a snapshot before it, and are ignored. False: they
 * are there, and cannot be read now. Without them the snapshot is not what was vouched for.
 */
static bool snapshot_file_apply_changes(st_snapshot_file *file, const char *path, char *error) {
  size_t len, made = 0;
  if (st_file_is_missing(path)) return true;
  uint8_t *changes = snapshot_file_read(path, &len, error);
  if (changes == NULL) return false;
  size_t size = subtoken_changes_size(changes, len);
  uint8_t *next = size > 0 ? malloc(size) : NULL;
  bool read = size == 0 || next != NULL;
  if (!read) snprintf(error, ST_ERROR_MAX, "out of memory for %.400s", path);
  if (next != NULL && subtoken_changes_apply(file->bytes, file->len, changes, len, next, size,
                                             &made) == SUBTOKEN_FEED_OK) {
    free(file->bytes);
    *file = (st_snapshot_file){.bytes = next, .len = made};
  } else {
    free(next);
  }
  free(changes);
  return read;
}

bool st_snapshot_file_load(const subtoken_ring *ring, const char *path, const char *changes,
                           st_snapshot_file *file, char *error) {
  memset(file, 0, sizeof *file);
  file->bytes = snapshot_file_read(path, &file->len, error);
  if (file->bytes == NULL) return false;
  if (changes != NULL && !snapshot_file_apply_changes(file, changes, error)) {
    st_snapshot_file_free(file);
    return false;
  }
  subtoken_feed_result result =
      subtoken_revocations_open(ring, file->bytes, file->len, &file->view);
  if (result == SUBTOKEN_FEED_OK) return true;
  snprintf(error, ST_ERROR_MAX, "%.400s: %s", path, subtoken_feed_result_text(result));
  return false;
}

void st_snapshot_file_free(st_snapshot_file *file) {
  free(file->bytes);
  memset(file, 0, sizeof *file);
}

uint64_t *st_snapshot_file_hashes(const subtoken_revocations *view) {
  uint64_t *hashes = malloc(8 * (size_t)view->count + 8);
  for (uint32_t i = 0; hashes != NULL && i < view->count; i++) {
    hashes[i] = st_load64(view->hashes + 8 * (size_t)i);
  }
  return hashes;
}

void st_snapshot_file_hash_key(const st_snapshot_file *file, uint8_t key[SUBTOKEN_HASH_KEY_LEN]) {
  memcpy(key, file->bytes + ST_SNAPSHOT_KEY, SUBTOKEN_HASH_KEY_LEN);
}

st_store_status st_snapshot_file_restore(st_store *store, const st_audit_context *context,
                                         const st_snapshot_file *file, int64_t at_least,
                                         int64_t life, st_restore_report *report, char *error) {
  uint64_t *hashes = st_snapshot_file_hashes(&file->view);
  st_revocation_snapshot from = {
      .sequence = file->view.sequence > at_least ? file->view.sequence : at_least,
      .hashes = hashes,
      .count = file->view.count,
      .life = life};
  st_snapshot_file_hash_key(file, from.hash_key);
  st_store_status stored = ST_STORE_FAILED;
  if (hashes == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory for the hashes of the snapshot");
  } else {
    stored = st_store_restore_revocations(store, context, &from, report, error);
  }
  free(hashes);
  return stored;
}
