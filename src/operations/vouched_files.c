/* What a server keeps in DATA of all that it vouched for. The order of writing decides: first the
 * snapshot, then the record that it was vouched for, and only then do edges see it. A large
 * snapshot is written whole seldom; in between the changes since are. A database that never issued
 * what the record says is a backup, a copy, or a standby that was promoted without the last
 * changes, and is brought ahead of it: at the start, and whenever it may be another one than
 * before.
 */
#include "operations/vouched_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/revocations_format.h"
#include "core/vouched.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/settings.h"
#include "operations/snapshot_file.h"
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
#define GROWS 65536 /* bytes that a snapshot may grow by besides, while the disk is full */

/* A file, and what it is written to while the disk is full. */
typedef struct vouched_file {
  char path[NAME_ROOM], spare[NAME_ROOM];
  size_t grows;
} vouched_file;

typedef struct vouched_paths {
  vouched_file vouched, snapshot, changes;
} vouched_paths;

/* What the snapshot in DATA is known to be. */
typedef struct vouched_base {
  int64_t sequence; /* 0: not known */
  size_t len;
  uint8_t digest[SUBTOKEN_MAC_LEN];
} vouched_base;

static struct {
  st_store *store; /* NULL: nothing is kept */
  char dir[NAME_ROOM];
  vouched_paths files;
  st_vouched last; /* as it was written or read last */
  vouched_base base;
  bool behind; /* the store never issued what was vouched for, and could not be helped */
} vouched;

static void vouched_name_file(const char *dir, const char *name, size_t grows, vouched_file *file) {
  snprintf(file->path, sizeof file->path, "%.1000s/%s", dir, name);
  snprintf(file->spare, sizeof file->spare, "%.1000s/%s.spare", dir, name);
  file->grows = grows;
}

static void vouched_name_files(const char *dir, vouched_paths *files) {
  vouched_name_file(dir, "vouched", 0, &files->vouched);
  vouched_name_file(dir, "snapshot", GROWS, &files->snapshot);
  vouched_name_file(dir, "snapshot.changes", GROWS, &files->changes);
}

/* Behind one of len bytes; the record does not grow. A large snapshot is written whole when more of
 * it has changed than the changes may hold.
 */
static st_spare vouched_spare(const vouched_file *file, size_t len) {
  size_t extra = file->grows > 0 ? file->grows + len / CHANGED_MAX : 0;
  return (st_spare){.path = file->spare, .extra = extra};
}

static bool vouched_replace(const vouched_file *file, const void *data, size_t len, char *error) {
  st_spare spare = vouched_spare(file, len);
  bool ok = st_replace_with_spare(file->path, &spare, data, len, error);
  st_spare_make(&spare, len); /* else, too: another user's is of no use, but its room is */
  return ok;
}

/* Where a version before this one has left none. */
static void vouched_make_spare(const vouched_file *file) {
  st_file_stamp stamp;
  if (!st_file_stamp_of(file->path, &stamp)) return;
  st_spare spare = vouched_spare(file, (size_t)stamp.size);
  st_spare_make(&spare, (size_t)stamp.size);
}

/* They lead on from a snapshot that is not there any more. */
static void vouched_remove_changes(const vouched_paths *files) {
  st_spare spare = vouched_spare(&files->changes, 0);
  st_spare_take(&spare, files->changes.path);
}

/* ---- the record ---- */

/* *exists: false when there is none, which is no error. */
static bool vouched_read_record(const vouched_file *file, const subtoken_ring *ring,
                                st_vouched *record, bool *exists, char *error) {
  uint8_t bytes[ST_VOUCHED_LEN + 1];
  size_t len;
  *record = (st_vouched){0, 0};
  *exists = !st_file_is_missing(file->path);
  if (!*exists) return true;
  if (!st_file_read(file->path, bytes, sizeof bytes, &len, error)) return false;
  subtoken_feed_result result = st_vouched_read(ring, bytes, len, record);
  if (result == SUBTOKEN_FEED_OK) return true;
  snprintf(error, ST_ERROR_MAX,
           "%.300s: %s; restore it, or the secret that it was made with, or move it and the "
           "snapshot beside it away (subtoken_revocation(7) says what is lost)",
           file->path, subtoken_feed_result_text(result));
  return false;
}

static bool vouched_write_record(const vouched_file *file, const subtoken_ring *ring,
                                 const st_vouched *record, char *error) {
  uint8_t bytes[ST_VOUCHED_LEN];
  if (st_vouched_write(ring, record, bytes) != SUBTOKEN_FEED_OK) {
    snprintf(error, ST_ERROR_MAX, "no secret can sign %.400s", file->path);
    return false;
  }
  return vouched_replace(file, bytes, sizeof bytes, error);
}

bool st_vouched_files_sequence(const char *dir, const subtoken_ring *ring, int64_t *sequence,
                               char *error) {
  vouched_paths files;
  st_vouched record;
  bool exists;
  vouched_name_files(dir, &files);
  bool read = vouched_read_record(&files.vouched, ring, &record, &exists, error);
  *sequence = record.sequence;
  return read;
}

/* ---- writing ---- */

/* What two lists of ascending hashes do not share. The room is for so many of each. */
typedef struct vouched_difference {
  uint64_t *gone, *fresh;
  uint32_t gone_count, fresh_count, room;
} vouched_difference;

static bool vouched_diff(const subtoken_revocations *from, const subtoken_revocations *to,
                         vouched_difference *d) {
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
  return vouched.base.sequence != 0 && len == vouched.base.len &&
         memcmp(bytes + len - SUBTOKEN_MAC_LEN, vouched.base.digest, SUBTOKEN_MAC_LEN) == 0;
}

static bool vouched_put_changes(const uint8_t *bytes, size_t len, const vouched_difference *d,
                                char *error) {
  size_t size = SUBTOKEN_CHANGES_LEN(d->gone_count, d->fresh_count), made = 0;
  uint8_t *out = malloc(size);
  bool ok =
      out != NULL &&
      subtoken_changes_write(bytes, len, vouched.base.sequence, d->gone, d->gone_count, d->fresh,
                             d->fresh_count, out, size, &made) == SUBTOKEN_FEED_OK &&
      vouched_replace(&vouched.files.changes, out, made, error);
  free(out);
  return ok;
}

/* False: write it whole. */
static bool vouched_write_changes(const uint8_t *bytes, size_t len, char *error) {
  size_t base_len;
  uint8_t *base;
  st_file_stamp stamp;
  if (len <= WHOLE_MAX || vouched.base.sequence == 0 ||
      !st_file_load(vouched.files.snapshot.path, SIZE_MAX, &base, &base_len, &stamp, error)) {
    return false;
  }
  vouched_difference d = {.room = (uint32_t)(len / 8 / CHANGED_MAX)};
  d.gone = malloc(16 * (size_t)d.room);
  d.fresh = d.gone != NULL ? d.gone + d.room : NULL;
  bool ok = false;
  if (d.gone != NULL && vouched_is_base(base, base_len)) {
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
  vouched.base.sequence = 0;
  if (!vouched_replace(&vouched.files.snapshot, bytes, len, error)) return false;
  vouched.base = (vouched_base){.sequence = sequence, .len = len};
  memcpy(vouched.base.digest, bytes + len - SUBTOKEN_MAC_LEN, SUBTOKEN_MAC_LEN);
  vouched_remove_changes(&vouched.files);
  return true;
}

/* Another server on the same DATA may have got there first. Under the lock of DATA. */
static bool vouched_write_all(const subtoken_ring *ring, const uint8_t *bytes, size_t len,
                              int64_t sequence, char *error) {
  st_vouched record, next = {.sequence = sequence, .life = vouched.last.life};
  bool exists;
  if (!vouched_read_record(&vouched.files.vouched, ring, &record, &exists, error)) return false;
  if (record.sequence < sequence) {
    if (record.life > next.life) next.life = record.life;
    if (!vouched_write_snapshot(bytes, len, sequence, error) ||
        !vouched_write_record(&vouched.files.vouched, ring, &next, error)) {
      return false;
    }
    record = next;
  }
  vouched.last = record;
  return true;
}

/* ---- a store that is behind ---- */

static void vouched_log_taken_over(const st_restore_report *report) {
  char text[ST_ERROR_MAX];
  snprintf(text, sizeof text,
           "the database was at sequence %" PRId64 ", and %" PRId64
           " was vouched for: it is a backup, a copy, or a standby that lacked the last changes. "
           "Listed again: %" PRId64 "; keys and users disabled: %" PRId64
           "; sessions ended: %" PRId64
           ". A key that it lacks is revoked by one of its tokens: subtoken revoke",
           report->before, vouched.last.sequence, report->listed, report->keys, report->sessions);
  st_log_event("store_rolled_back", text);
}

static void vouched_log_behind(const char *reason) {
  char text[ST_ERROR_MAX];
  snprintf(text, sizeof text,
           "the database never issued the sequence %" PRId64
           " that was vouched for, and what was listed then is not known (%.200s): no revocation "
           "data is published until `subtoken feed restore FILE` has run with the FILE of an edge",
           vouched.last.sequence, reason);
  st_log_event("store_rolled_back", text);
}

/* What cannot be helped from here is logged once. */
static bool vouched_stay_behind(const char *reason, char *error) {
  if (!vouched.behind) vouched_log_behind(reason);
  vouched.behind = true;
  snprintf(error, ST_ERROR_MAX,
           "nothing is vouched for: the database never issued the sequence %" PRId64
           " that was vouched for; run `subtoken feed restore FILE` with the FILE of an edge",
           vouched.last.sequence);
  return false;
}

static st_store_status vouched_restore(const st_snapshot_file *copy, const char *from,
                                       char *error) {
  st_audit_context context = {.now_us = st_clock_now_us(), .who = "server", .from = from};
  st_restore_report report = {0};
  st_store_status status =
      st_snapshot_file_restore(vouched.store, &context, copy, 0, vouched.last.life, &report, error);
  if (status == ST_STORE_OK) vouched_log_taken_over(&report);
  return status;
}

/* By the last snapshot, if that is the one that was vouched for. */
static bool vouched_bring_ahead(const subtoken_ring *ring, const char *from, char *error) {
  char reason[ST_ERROR_MAX] = "";
  st_snapshot_file copy;
  st_store_status status = ST_STORE_DENIED;
  bool loaded = st_snapshot_file_load(ring, vouched.files.snapshot.path, vouched.files.changes.path,
                                      &copy, reason);
  if (loaded && copy.view.sequence < vouched.last.sequence) {
    snprintf(reason, sizeof reason, "DATA/snapshot has the sequence %" PRId64, copy.view.sequence);
  } else if (loaded) {
    status = vouched_restore(&copy, from, reason);
  }
  st_snapshot_file_free(&copy);
  if (status == ST_STORE_DENIED) return vouched_stay_behind(reason, error);
  vouched.behind = false;
  if (status != ST_STORE_OK) snprintf(error, ST_ERROR_MAX, "%s", reason);
  return status == ST_STORE_OK;
}

/* ---- start, keep, stop ---- */

bool st_vouched_files_start(const char *dir, st_store *store, const subtoken_ring *ring,
                            char *error) {
  bool exists;
  memset(&vouched, 0, sizeof vouched);
  snprintf(vouched.dir, sizeof vouched.dir, "%.1000s", dir);
  vouched_name_files(dir, &vouched.files);
  if (!vouched_read_record(&vouched.files.vouched, ring, &vouched.last, &exists, error)) {
    return false;
  }
  vouched.store = store;
  if (!exists) return true;
  vouched_make_spare(&vouched.files.vouched);
  vouched_make_spare(&vouched.files.snapshot);
  st_store_status issued = st_store_issued_sequence(store, vouched.last.sequence, error);
  if (issued != ST_STORE_OK && issued != ST_STORE_NOT_FOUND) return false;
  /* A server that vouches for nothing yet answers everything else. */
  if (issued == ST_STORE_NOT_FOUND && !vouched_bring_ahead(ring, "start", error) &&
      !vouched.behind) {
    st_log_event("store_error", error);
  }
  return st_settings_raise_to(store, "max_life", vouched.last.life, error);
}

void st_vouched_files_stop(void) {
  memset(&vouched, 0, sizeof vouched);
}

/* Another server on the same DATA may have vouched for more. */
bool st_vouched_files_check(const subtoken_ring *ring, int64_t sequence, bool other, bool *restored,
                            char *error) {
  st_vouched record;
  bool exists;
  *restored = false;
  if (vouched.store == NULL) return true;
  if (!other && !vouched.behind && sequence >= vouched.last.sequence) return true;
  if (!vouched_read_record(&vouched.files.vouched, ring, &record, &exists, error)) return false;
  if (vouched.last.life > record.life) record.life = vouched.last.life;
  vouched.last = record;
  switch (exists ? st_store_issued_sequence(vouched.store, record.sequence, error) : ST_STORE_OK) {
    case ST_STORE_OK:
      vouched.behind = false;
      return st_settings_raise_to(vouched.store, "max_life", record.life, error);
    case ST_STORE_NOT_FOUND:
      *restored = vouched_bring_ahead(ring, "failover", error);
      return *restored;
    default: return false;
  }
}

bool st_vouched_files_keep(const subtoken_ring *ring, const uint8_t *bytes, size_t len,
                           int64_t sequence, char *error) {
  int64_t life = 0;
  if (vouched.store == NULL) return true;
  if (sequence <= vouched.last.sequence) return true;
  if (st_store_get_setting(vouched.store, "max_life", &life, error) == ST_STORE_FAILED) {
    return false;
  }
  if (life > vouched.last.life) vouched.last.life = life;
  int lock = st_lock_data_dir(vouched.dir, error);
  if (lock < 0) return false;
  bool kept = vouched_write_all(ring, bytes, len, sequence, error);
  st_lock_release(lock);
  return kept;
}

/* ---- another ring ---- */

static bool vouched_sign_snapshot(const vouched_paths *files, const st_snapshot_file *copy,
                                  const subtoken_ring *ring, char *error) {
  subtoken_revocations_header header = {.sequence = copy->view.sequence, .made = copy->view.made};
  st_snapshot_file_hash_key(copy, header.hash_key);
  uint64_t *hashes = st_snapshot_file_hashes(&copy->view);
  uint8_t *out = malloc(copy->len);
  bool ok = hashes != NULL && out != NULL &&
            subtoken_revocations_write(ring, &header, hashes, copy->view.count, out, copy->len,
                                       NULL) == SUBTOKEN_FEED_OK;
  if (!ok) {
    snprintf(error, ST_ERROR_MAX, "cannot sign %.400s again", files->snapshot.path);
  } else {
    ok = vouched_replace(&files->snapshot, out, copy->len, error);
    if (ok) vouched_remove_changes(files);
  }
  free(hashes);
  free(out);
  return ok;
}

/* What was signed halfway, when this was tried before, is signed again, too. */
static bool vouched_sign_snapshot_again(const vouched_paths *files, const subtoken_ring *before,
                                        const subtoken_ring *after, char *error) {
  st_snapshot_file copy;
  bool ok = st_snapshot_file_load(after, files->snapshot.path, files->changes.path, &copy, error);
  st_snapshot_file_free(&copy);
  if (ok) return true;
  if (st_snapshot_file_load(before, files->snapshot.path, files->changes.path, &copy, error)) {
    ok = vouched_sign_snapshot(files, &copy, after, error);
  } else {
    /* One that is damaged is no loss; one that cannot be read now may be good. */
    ok = copy.bytes != NULL || st_file_is_missing(files->snapshot.path);
  }
  st_snapshot_file_free(&copy);
  return ok;
}

bool st_vouched_files_sign_again(const char *dir, const subtoken_ring *before,
                                 const subtoken_ring *after, char *error) {
  vouched_paths files;
  st_vouched record, again;
  bool exists;
  vouched_name_files(dir, &files);
  if (!vouched_read_record(&files.vouched, before, &record, &exists, error)) return false;
  if (!exists) return true;
  if (!vouched_sign_snapshot_again(&files, before, after, error)) return false;
  return vouched_read_record(&files.vouched, after, &again, &exists, error) ||
         vouched_write_record(&files.vouched, after, &record, error);
}

static bool vouched_can_read(const subtoken_ring *ring) {
  char unread[ST_ERROR_MAX];
  st_vouched record;
  bool exists;
  return vouched_read_record(&vouched.files.vouched, ring, &record, &exists, unread);
}

bool st_vouched_files_follow(const subtoken_ring *before, const subtoken_ring *now, char *error) {
  subtoken_ring signer = *now;
  bool ok = true;
  if (signer.count > 1) signer.count = 1;
  if (vouched.store != NULL && !vouched_can_read(&signer)) {
    int lock = st_lock_data_dir(vouched.dir, error);
    const subtoken_ring *reader = vouched_can_read(now) ? now : before;
    ok = lock >= 0 && st_vouched_files_sign_again(vouched.dir, reader, &signer, error);
    st_lock_release(lock);
  }
  subtoken_wipe(&signer, sizeof signer);
  return ok;
}
