/* What lies in DATA of all that was vouched for: see vouched.h. The order in which it is written is
 * what it is worth by: first the snapshot, then the record that it was vouched for, then the edges.
 * Whole snapshots are written seldom where they are large; in between it is the changes since.
 */
#include "operations/vouched.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "core/revocations_format.h"
#include "core/vouched.h"
#include "domain/key.h"
#include "domain/store.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/log.h"
#include "os/replace.h"
#include "subtoken/feed.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

#define NAME_ROOM 1100
#define WHOLE_MAX ((size_t)65536) /* a snapshot of up to this is always written whole */
#define CHANGED_MAX 16            /* so is one of which more than a 16th has changed */

typedef struct names {
  char vouched[NAME_ROOM], snapshot[NAME_ROOM], changes[NAME_ROOM];
} names;

/* What the snapshot in DATA is known to be. */
typedef struct written {
  int64_t sequence; /* 0: not known */
  size_t len;
  uint8_t digest[SUBTOKEN_MAC_LEN];
} written;

static struct {
  st_store *store; /* NULL: nothing is kept */
  char dir[NAME_ROOM];
  names files;
  st_vouched last; /* as it was written or read last */
  written base;
  bool behind; /* the store never gave what was vouched for, and could not be helped */
} all;

static void vouched_name_files(const char *dir, names *files) {
  snprintf(files->vouched, sizeof files->vouched, "%.1000s/vouched", dir);
  snprintf(files->snapshot, sizeof files->snapshot, "%.1000s/snapshot", dir);
  snprintf(files->changes, sizeof files->changes, "%.1000s/snapshot.changes", dir);
}

/* ---- a snapshot in a file ---- */

/* A whole file; NULL and error when there is none, or none that can be read. To be freed. */
static uint8_t *vouched_read_whole_file(const char *path, size_t *len, char *error) {
  uint8_t *bytes;
  st_file_stamp stamp;
  return st_file_load(path, SIZE_MAX, &bytes, len, &stamp, error) ? bytes : NULL;
}

/* Changes that lead from it are taken; others are of a snapshot before it. */
static void vouched_apply_changes(st_snapshot_copy *copy, const char *path) {
  char error[ST_ERROR_MAX];
  size_t len, made = 0;
  uint8_t *changes = vouched_read_whole_file(path, &len, error);
  size_t size = changes != NULL ? subtoken_changes_size(changes, len) : 0;
  uint8_t *next = size > 0 ? malloc(size) : NULL;
  if (next != NULL && subtoken_changes_apply(copy->bytes, copy->len, changes, len, next, size,
                                             &made) == SUBTOKEN_FEED_OK) {
    free(copy->bytes);
    *copy = (st_snapshot_copy){.bytes = next, .len = made};
  } else {
    free(next);
  }
  free(changes);
}

bool st_snapshot_load(const subtoken_ring *ring, const char *path, const char *changes,
                      st_snapshot_copy *copy, char *error) {
  memset(copy, 0, sizeof *copy);
  copy->bytes = vouched_read_whole_file(path, &copy->len, error);
  if (copy->bytes == NULL) return false;
  if (changes != NULL) vouched_apply_changes(copy, changes);
  subtoken_feed_result result =
      subtoken_revocations_open(ring, copy->bytes, copy->len, &copy->view);
  if (result == SUBTOKEN_FEED_OK) return true;
  snprintf(error, ST_ERROR_MAX, "%.400s: %s", path, subtoken_feed_result_text(result));
  return false;
}

void st_snapshot_drop(st_snapshot_copy *copy) {
  free(copy->bytes);
  memset(copy, 0, sizeof *copy);
}

/* To be freed. */
static uint64_t *vouched_hashes_of(const subtoken_revocations *view) {
  uint64_t *hashes = malloc(8 * (size_t)view->count + 8);
  for (uint32_t i = 0; hashes != NULL && i < view->count; i++) {
    hashes[i] = st_load64(view->hashes + 8 * (size_t)i);
  }
  return hashes;
}

static void vouched_hash_key_of(const st_snapshot_copy *copy, uint8_t key[SUBTOKEN_HASH_KEY_LEN]) {
  memcpy(key, copy->bytes + ST_SNAPSHOT_KEY, SUBTOKEN_HASH_KEY_LEN);
}

st_store_status st_snapshot_take_over(st_store *store, const st_audit_context *act,
                                      const st_snapshot_copy *copy, int64_t at_least, int64_t life,
                                      st_restore_report *report, char *error) {
  uint64_t *hashes = vouched_hashes_of(&copy->view);
  st_revocation_snapshot from = {
      .sequence = copy->view.sequence > at_least ? copy->view.sequence : at_least,
      .hashes = hashes,
      .count = copy->view.count,
      .life = life};
  vouched_hash_key_of(copy, from.hash_key);
  st_store_status stored = ST_STORE_FAILED;
  if (hashes == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory for the hashes of the snapshot");
  } else {
    stored = st_store_restore_revocations(store, act, &from, report, error);
  }
  free(hashes);
  return stored;
}

/* ---- the record ---- */

/* *there: false when there is none, which is no fault. */
static bool vouched_read_record(const char *path, const subtoken_ring *ring, st_vouched *record,
                                bool *there, char *error) {
  uint8_t bytes[ST_VOUCHED_LEN + 1];
  size_t len;
  *record = (st_vouched){0, 0};
  *there = st_file_exists(path);
  if (!*there && errno == ENOENT) return true;
  if (!st_file_read(path, bytes, sizeof bytes, &len, error)) return false;
  subtoken_feed_result result = st_vouched_read(ring, bytes, len, record);
  if (result == SUBTOKEN_FEED_OK) return true;
  snprintf(error, ST_ERROR_MAX,
           "%.300s: %s; restore it, or the secret that it was made with, or move it and the "
           "snapshot beside it away (subtoken_revocation(7) says what is lost)",
           path, subtoken_feed_result_text(result));
  return false;
}

static bool vouched_write_record(const char *path, const subtoken_ring *ring,
                                 const st_vouched *record, char *error) {
  uint8_t bytes[ST_VOUCHED_LEN];
  if (st_vouched_write(ring, record, bytes) != SUBTOKEN_FEED_OK) {
    snprintf(error, ST_ERROR_MAX, "no secret can sign %.400s", path);
    return false;
  }
  return st_replace_file(path, bytes, sizeof bytes, error);
}

bool st_vouched_sequence(const char *dir, const subtoken_ring *ring, int64_t *sequence,
                         char *error) {
  names files = {.vouched = ""};
  st_vouched record;
  bool there;
  vouched_name_files(dir, &files);
  bool read = vouched_read_record(files.vouched, ring, &record, &there, error);
  *sequence = record.sequence;
  return read;
}

/* ---- writing ---- */

/* What two lists of ascending hashes do not share. The room is for so many of each. */
typedef struct difference {
  uint64_t *gone, *fresh;
  uint32_t gone_count, fresh_count, room;
} difference;

static bool vouched_diff(const subtoken_revocations *from, const subtoken_revocations *to,
                         difference *d) {
  uint32_t i = 0, j = 0;
  while (i < from->count || j < to->count) {
    uint64_t a = i < from->count ? st_load64(from->hashes + 8 * (size_t)i) : UINT64_MAX;
    uint64_t b = j < to->count ? st_load64(to->hashes + 8 * (size_t)j) : UINT64_MAX;
    bool only_from = j == to->count || (i < from->count && a < b);
    if (!only_from && i < from->count && a == b) {
      i++, j++;
      continue;
    }
    if (d->gone_count == d->room || d->fresh_count == d->room) return false;
    if (only_from) {
      d->gone[d->gone_count++] = a;
      i++;
    } else {
      d->fresh[d->fresh_count++] = b;
      j++;
    }
  }
  return true;
}

/* Where the hashes lie; the bytes are this process's own, or known to be what it has written. */
static subtoken_revocations vouched_view_unchecked(const uint8_t *bytes) {
  subtoken_revocations view = {.count = st_load32(bytes + ST_SNAPSHOT_COUNT)};
  view.hashes = bytes + st_snapshot_hashes_at(st_snapshot_bits(view.count));
  view.sequence = (int64_t)st_load64(bytes + ST_FEED_SEQUENCE);
  return view;
}

static bool vouched_is_base(const uint8_t *bytes, size_t len) {
  return all.base.sequence != 0 && len == all.base.len &&
         memcmp(bytes + len - SUBTOKEN_MAC_LEN, all.base.digest, SUBTOKEN_MAC_LEN) == 0;
}

static bool vouched_put_changes(const uint8_t *bytes, size_t len, const difference *d,
                                char *error) {
  size_t size = SUBTOKEN_CHANGES_LEN(d->gone_count, d->fresh_count), made = 0;
  uint8_t *out = malloc(size);
  bool ok = out != NULL &&
            subtoken_changes_write(bytes, len, all.base.sequence, d->gone, d->gone_count, d->fresh,
                                   d->fresh_count, out, size, &made) == SUBTOKEN_FEED_OK &&
            st_replace_file(all.files.changes, out, made, error);
  free(out);
  return ok;
}

/* False: write it whole. */
static bool vouched_write_changes(const uint8_t *bytes, size_t len, char *error) {
  size_t base_len = 0;
  if (len <= WHOLE_MAX || all.base.sequence == 0) return false;
  uint8_t *base = vouched_read_whole_file(all.files.snapshot, &base_len, error);
  difference d = {.room = (uint32_t)(len / 8 / CHANGED_MAX)};
  d.gone = malloc(16 * (size_t)d.room);
  d.fresh = d.gone != NULL ? d.gone + d.room : NULL;
  bool ok = false;
  if (base != NULL && d.gone != NULL && vouched_is_base(base, base_len)) {
    subtoken_revocations from = vouched_view_unchecked(base), to = vouched_view_unchecked(bytes);
    bool same_key =
        memcmp(base + ST_SNAPSHOT_KEY, bytes + ST_SNAPSHOT_KEY, SUBTOKEN_HASH_KEY_LEN) == 0;
    ok = same_key && vouched_diff(&from, &to, &d) && vouched_put_changes(bytes, len, &d, error);
  }
  free(d.gone);
  free(base);
  return ok;
}

static bool vouched_write_snapshot(const uint8_t *bytes, size_t len, int64_t sequence,
                                   char *error) {
  if (vouched_write_changes(bytes, len, error)) return true;
  all.base.sequence = 0;
  if (!st_replace_file(all.files.snapshot, bytes, len, error)) return false;
  all.base = (written){.sequence = sequence, .len = len};
  memcpy(all.base.digest, bytes + len - SUBTOKEN_MAC_LEN, SUBTOKEN_MAC_LEN);
  (void)unlink(all.files.changes); /* they lead on from another */
  return true;
}

/* Another server on the same DATA may have got there first. Under the lock of DATA. */
static bool vouched_write_all(const subtoken_ring *ring, const uint8_t *bytes, size_t len,
                              int64_t sequence, char *error) {
  st_vouched record, next = {.sequence = sequence, .life = all.last.life};
  bool there;
  if (!vouched_read_record(all.files.vouched, ring, &record, &there, error)) return false;
  if (record.sequence < sequence) {
    if (record.life > next.life) next.life = record.life;
    if (!vouched_write_snapshot(bytes, len, sequence, error) ||
        !vouched_write_record(all.files.vouched, ring, &next, error)) {
      return false;
    }
    record = next;
  }
  all.last = record;
  return true;
}

/* ---- a store that is behind ---- */

static bool vouched_has_caught_up(char *error) {
  st_store_status gave = st_store_issued_sequence(all.store, all.last.sequence, error);
  all.behind = gave != ST_STORE_OK;
  if (gave == ST_STORE_NOT_FOUND) {
    snprintf(error, ST_ERROR_MAX,
             "nothing is vouched for: the database never gave the sequence %" PRId64
             " that was vouched for; run `subtoken feed restore FILE` with the FILE of an edge",
             all.last.sequence);
  }
  return gave == ST_STORE_OK;
}

static void vouched_log_taken_over(const st_restore_report *report) {
  char text[ST_ERROR_MAX];
  snprintf(text, sizeof text,
           "the database was at sequence %" PRId64 ", and %" PRId64
           " was vouched for: it is a backup or a copy. Listed again: %" PRId64
           "; keys and users disabled: %" PRId64 "; sessions ended: %" PRId64
           ". A key that was made after the backup is revoked by one of its tokens: subtoken "
           "revoke",
           report->before, all.last.sequence, report->listed, report->keys, report->sessions);
  st_log_event("store_rolled_back", text);
}

static void vouched_log_behind(const char *reason) {
  char text[ST_ERROR_MAX];
  snprintf(text, sizeof text,
           "the database never gave the sequence %" PRId64
           " that was vouched for, and what was listed then is not known (%.200s): no revocation "
           "data is given out until `subtoken feed restore FILE` was given the FILE of an edge",
           all.last.sequence, reason);
  st_log_event("store_rolled_back", text);
}

/* By the last snapshot, if that is the one that was vouched for. */
static void vouched_bring_ahead(const subtoken_ring *ring) {
  char error[ST_ERROR_MAX] = "";
  st_audit_context act = {.now_us = st_clock_now_us(), .who = "server", .from = "start"};
  st_snapshot_copy copy;
  st_restore_report report;
  bool loaded = st_snapshot_load(ring, all.files.snapshot, all.files.changes, &copy, error);
  if (loaded && copy.view.sequence < all.last.sequence) {
    snprintf(error, sizeof error, "DATA/snapshot has the sequence %" PRId64, copy.view.sequence);
    loaded = false;
  }
  all.behind = !loaded || st_snapshot_take_over(all.store, &act, &copy, 0, all.last.life, &report,
                                                error) != ST_STORE_OK;
  st_snapshot_drop(&copy);
  if (all.behind) {
    vouched_log_behind(error);
  } else {
    vouched_log_taken_over(&report);
  }
}

/* ---- start, questions, end ---- */

bool st_vouched_start(const char *dir, st_store *store, const subtoken_ring *ring, char *error) {
  bool there;
  memset(&all, 0, sizeof all);
  snprintf(all.dir, sizeof all.dir, "%.1000s", dir);
  vouched_name_files(dir, &all.files);
  if (!vouched_read_record(all.files.vouched, ring, &all.last, &there, error)) return false;
  all.store = store;
  if (!there) return true;
  st_store_status gave = st_store_issued_sequence(store, all.last.sequence, error);
  if (gave == ST_STORE_NOT_FOUND) vouched_bring_ahead(ring);
  if (gave != ST_STORE_OK && gave != ST_STORE_NOT_FOUND) return false;
  return st_store_raise_setting(store, "max_life", all.last.life, error) == ST_STORE_OK;
}

void st_vouched_stop(void) {
  memset(&all, 0, sizeof all);
}

bool st_vouched_keep(const subtoken_ring *ring, const uint8_t *bytes, size_t len, int64_t sequence,
                     char *error) {
  int64_t life = 0;
  if (all.store == NULL) return true;
  if (all.behind && !vouched_has_caught_up(error)) return false;
  if (sequence <= all.last.sequence) return true;
  if (st_store_get_setting(all.store, "max_life", &life, error) == ST_STORE_FAILED) return false;
  if (life > all.last.life) all.last.life = life;
  int lock = st_lock_data_dir(all.dir, error);
  if (lock < 0) return false;
  bool kept = vouched_write_all(ring, bytes, len, sequence, error);
  st_lock_release(lock);
  return kept;
}

/* ---- another ring ---- */

static bool vouched_sign_snapshot(const names *files, const st_snapshot_copy *copy,
                                  const subtoken_ring *ring, char *error) {
  subtoken_revocations_header header = {.sequence = copy->view.sequence, .made = copy->view.made};
  vouched_hash_key_of(copy, header.hash_key);
  uint64_t *hashes = vouched_hashes_of(&copy->view);
  uint8_t *out = malloc(copy->len);
  bool ok = hashes != NULL && out != NULL &&
            subtoken_revocations_write(ring, &header, hashes, copy->view.count, out, copy->len,
                                       NULL) == SUBTOKEN_FEED_OK;
  if (ok) {
    ok = st_replace_file(files->snapshot, out, copy->len, error);
    (void)unlink(files->changes);
  } else {
    snprintf(error, ST_ERROR_MAX, "cannot sign %.400s again", files->snapshot);
  }
  free(hashes);
  free(out);
  return ok;
}

bool st_vouched_sign_anew(const char *dir, const subtoken_ring *before, const subtoken_ring *after,
                          char *error) {
  names files = {.vouched = ""};
  st_vouched record, again;
  st_snapshot_copy copy;
  bool there;
  vouched_name_files(dir, &files);
  if (!vouched_read_record(files.vouched, before, &record, &there, error)) return false;
  if (!there || vouched_read_record(files.vouched, after, &again, &there, error)) return true;
  bool ok = true;
  if (st_snapshot_load(before, files.snapshot, files.changes, &copy, error)) {
    ok = vouched_sign_snapshot(&files, &copy, after, error);
  }
  st_snapshot_drop(&copy);
  return ok && vouched_write_record(files.vouched, after, &record, error);
}
