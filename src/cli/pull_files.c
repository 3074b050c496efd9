/* The order of writing: first the heartbeat of the new snapshot under a name of its own, then the
 * snapshot, then the heartbeat in its place, then what was seen. So FILE has its heartbeat in
 * FILE.alive or in FILE.next at every moment, and the next pull completes what one that was killed,
 * or had no room, has left. What is written over is on the disk before it is put in place, all else
 * is synced when edges can use it already: the power that fails in between costs FILE at most,
 * which its MAC shows and the next pull replaces.
 */
#include "cli/pull_files.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64url.h"
#include "base/cpu.h"
#include "base/hmac.h"
#include "core/revocations_format.h"
#include "feed/seen.h"
#include "os/error.h"
#include "os/replace.h"

#define GROWS ((size_t)65536) /* bytes that FILE may grow by while the disk is full */

bool st_pull_files_name(st_pull_files *files, const char *path) {
  if (path[0] == '\0' || strlen(path) > SUBTOKEN_FEED_PATH_MAX) return false;
  snprintf(files->path, sizeof files->path, "%s", path);
  snprintf(files->alive, sizeof files->alive, "%s.alive", path);
  snprintf(files->next, sizeof files->next, "%s.next", path);
  snprintf(files->seen, sizeof files->seen, "%s.seen", path);
  snprintf(files->lock, sizeof files->lock, "%s.lock", path);
  snprintf(files->spare_file, sizeof files->spare_file, "%s.spare", path);
  snprintf(files->spare_small, sizeof files->spare_small, "%s.alive.spare", path);
  return true;
}

/* Of FILE. */
static st_spare pull_files_spare(const st_pull_files *files) {
  return (st_spare){.path = files->spare_file, .extra = GROWS};
}

/* Of all others: none of them is written while another is being. */
static st_spare pull_files_small_spare(const st_pull_files *files) {
  return (st_spare){.path = files->spare_small};
}

void st_pull_files_sweep(const st_pull_files *files) {
  st_replace_sweep(files->path);
  st_replace_sweep(files->alive);
  st_replace_sweep(files->next);
  st_replace_sweep(files->seen);
}

/* ---- a snapshot ---- */

bool st_pull_files_describe(st_pull_snapshot *snapshot) {
  uint8_t hash[ST_HASH_LEN];
  const uint8_t *bytes = snapshot->bytes;
  if (snapshot->len < ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN ||
      memcmp(bytes, ST_SNAPSHOT_MAGIC, 8) != 0) {
    return false;
  }
  uint64_t sequence = st_load64(bytes + ST_FEED_SEQUENCE);
  snapshot->count = st_load32(bytes + ST_SNAPSHOT_COUNT);
  if (sequence == 0 || sequence > INT64_MAX ||
      subtoken_revocations_size(snapshot->count) != snapshot->len) {
    return false;
  }
  st_sha256_on(st_cpu_features(), bytes, snapshot->len, hash);
  snapshot->sequence = (int64_t)sequence;
  memcpy(snapshot->digest, bytes + snapshot->len - SUBTOKEN_MAC_LEN, SUBTOKEN_MAC_LEN);
  st_writer writer = st_writer_on(snapshot->etag, sizeof snapshot->etag);
  st_base64url_write(&writer, hash, sizeof hash);
  return st_writer_end(&writer);
}

void st_pull_files_free(st_pull_snapshot *snapshot) {
  free(snapshot->bytes);
  memset(snapshot, 0, sizeof *snapshot);
}

bool st_pull_files_heartbeat_matches(const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN],
                                     const st_pull_snapshot *snapshot) {
  return st_load64(heartbeat + ST_FEED_SEQUENCE) == (uint64_t)snapshot->sequence &&
         memcmp(heartbeat + ST_HEARTBEAT_DIGEST, snapshot->digest, SUBTOKEN_MAC_LEN) == 0;
}

/* ---- reading ---- */

static bool pull_files_read_stamped(const st_pull_files *files, st_pull_snapshot *into,
                                    st_file_stamp *stamp) {
  char error[ST_ERROR_MAX];
  memset(into, 0, sizeof *into);
  if (st_file_load(files->path, files->max_size, &into->bytes, &into->len, stamp, error) &&
      st_pull_files_describe(into)) {
    return true;
  }
  st_pull_files_free(into);
  return false;
}

static void pull_files_refresh_snapshot(st_pull_files *files) {
  st_file_stamp stamp;
  st_pull_snapshot found;
  if (st_file_stamp_of(files->path, &stamp) && st_file_stamp_equal(&stamp, &files->stamp)) return;
  st_pull_files_free(&files->have);
  memset(&files->stamp, 0, sizeof files->stamp);
  if (!pull_files_read_stamped(files, &found, &stamp)) return;
  files->have = found;
  files->stamp = stamp;
}

static int64_t pull_files_read_seen(const st_pull_files *files) {
  char text[ST_SEEN_MAX], error[ST_ERROR_MAX];
  size_t len;
  return st_file_read(files->seen, text, sizeof text, &len, error) ? st_seen_read(text, len) : 0;
}

/* T of the heartbeat for FILE at a path; 0: there is none. */
static int64_t pull_files_read_time_at(const st_pull_files *files, const char *path) {
  uint8_t left[SUBTOKEN_HEARTBEAT_LEN];
  char error[ST_ERROR_MAX];
  size_t len;
  bool found = files->have.sequence != 0 && st_file_read(path, left, sizeof left, &len, error) &&
               len == sizeof left && st_pull_files_heartbeat_matches(left, &files->have);
  uint64_t time = found ? st_load64(left + ST_FEED_TIME) : 0;
  return time <= SUBTOKEN_TIME_MAX ? (int64_t)time : 0;
}

/* T of the heartbeat that a pull before this one has left for FILE; 0: there is none. */
static int64_t pull_files_read_time(const st_pull_files *files) {
  int64_t alive = pull_files_read_time_at(files, files->alive);
  int64_t next = pull_files_read_time_at(files, files->next);
  return alive > next ? alive : next;
}

void st_pull_files_refresh(st_pull_files *files) {
  pull_files_refresh_snapshot(files);
  if (files->time == 0) files->time = pull_files_read_time(files);
  int64_t seen = pull_files_read_seen(files);
  if (seen > files->highest) files->highest = seen;
}

/* ---- writing ---- */

uint8_t *st_pull_files_allocate(st_pull_files *files, size_t size) {
  uint8_t *memory = files->spare;
  files->spare = NULL;
  if (memory != NULL && malloc_usable_size(memory) >= size) return memory;
  free(memory);
  return malloc(size + size / 64); /* the next is often a little longer */
}

/* What was FILE until now is memory for the next. */
static void pull_files_take_over(st_pull_files *files, st_pull_snapshot *fresh) {
  free(files->spare);
  files->spare = files->have.bytes;
  files->have = *fresh;
  fresh->bytes = NULL;
}

/* Written when it says less than what was just put in place. */
static bool pull_files_write_seen(st_pull_files *files, char *error) {
  char text[ST_SEEN_MAX + 1];
  if (files->have.sequence > files->highest) files->highest = files->have.sequence;
  if (pull_files_read_seen(files) >= files->highest) return true;
  size_t len = st_seen_write(files->highest, text);
  st_spare spare = pull_files_small_spare(files);
  return st_replace_shared(files->seen, &spare, NULL, text, len, error) &&
         st_replace_sync(files->seen, error);
}

/* Not written again when it is the same. next: FILE.next has it, and takes its place. */
static bool pull_files_write_alive(st_pull_files *files,
                                   const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN], bool next,
                                   bool *written, char *error) {
  uint8_t there[SUBTOKEN_HEARTBEAT_LEN];
  char unread[ST_ERROR_MAX];
  size_t len;
  files->time = (int64_t)st_load64(heartbeat + ST_FEED_TIME);
  if (st_file_read(files->alive, there, sizeof there, &len, unread) && len == sizeof there &&
      memcmp(there, heartbeat, len) == 0) {
    return true;
  }
  st_spare spare = pull_files_small_spare(files);
  *written =
      (next && st_replace_move(files->next, files->alive, &spare, unread)) ||
      st_replace_shared(files->alive, &spare, NULL, heartbeat, SUBTOKEN_HEARTBEAT_LEN, error);
  return *written;
}

/* The sequence and the digest of the file that is FILE now; sequence 0: there is none, or it is no
 * snapshot. False and an error: it is there, but what it is cannot be found out now.
 */
static bool pull_files_identify(const st_pull_files *files, st_pull_snapshot *found, char *error) {
  struct stat status;
  uint8_t head[ST_FEED_HEAD_LEN];
  memset(found, 0, sizeof *found);
  int fd = st_file_open(files->path, O_RDONLY | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return true;
  bool told = fd >= 0 && fstat(fd, &status) == 0;
  if (told && S_ISREG(status.st_mode) && status.st_size >= ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN) {
    told = pread(fd, head, sizeof head, 0) == sizeof head &&
           pread(fd, found->digest, sizeof found->digest, status.st_size - SUBTOKEN_MAC_LEN) ==
               sizeof found->digest;
    found->sequence = told ? (int64_t)st_load64(head + ST_FEED_SEQUENCE) : 0;
  }
  if (!told) (void)st_error_set(error, "cannot read %s: %m", st_error_path(files->path));
  if (fd >= 0) (void)close(fd);
  return told;
}

/* Is the heartbeat in FILE.next that of FILE? False and an error: that cannot be found out now. */
static bool pull_files_look_at_next(const st_pull_files *files, bool *belongs, char *error) {
  struct stat status;
  uint8_t left[SUBTOKEN_HEARTBEAT_LEN];
  size_t len = 0;
  st_pull_snapshot there;
  *belongs = false;
  if (stat(files->next, &status) != 0) {
    return errno == ENOENT || st_error_set(error, "cannot read %s: %m", st_error_path(files->next));
  }
  if (!S_ISREG(status.st_mode) || status.st_size != sizeof left) return true;
  if (!st_file_read(files->next, left, sizeof left, &len, error) ||
      !pull_files_identify(files, &there, error)) {
    return false;
  }
  *belongs =
      len == sizeof left && there.sequence != 0 && st_pull_files_heartbeat_matches(left, &there);
  return true;
}

static void pull_files_remove_next(const st_pull_files *files) {
  st_spare spare = pull_files_small_spare(files);
  st_spare_take(&spare, files->next);
}

/* A pull that ended between FILE and FILE.alive has left the only heartbeat of FILE in FILE.next:
 * it becomes FILE.alive before FILE.next is needed again. While that cannot be done, or it is not
 * known whether it has to be, nothing may be written to FILE.next. It is the room for the next one
 * when it is nothing else.
 */
static bool pull_files_settle_next(const st_pull_files *files, char *error) {
  bool belongs;
  st_spare spare = pull_files_small_spare(files);
  if (!pull_files_look_at_next(files, &belongs, error)) return false;
  if (belongs) return st_replace_move(files->next, files->alive, &spare, error);
  pull_files_remove_next(files);
  return true;
}

/* Of a snapshot that was not put in place. Not when FILE is the new one all the same, as on a file
 * system that reports a failure of what it has done.
 */
static void pull_files_discard_next(const st_pull_files *files) {
  bool belongs;
  char unknown[ST_ERROR_MAX];
  if (pull_files_look_at_next(files, &belongs, unknown) && !belongs) {
    pull_files_remove_next(files);
  }
}

static bool pull_files_write_snapshot(st_pull_files *files, st_pull_snapshot *fresh,
                                      const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN],
                                      char *error) {
  st_spare spare = pull_files_spare(files), small = pull_files_small_spare(files);
  bool put = st_replace_shared(files->next, &small, files->alive, heartbeat, SUBTOKEN_HEARTBEAT_LEN,
                               error) &&
             st_replace_shared(files->path, &spare, NULL, fresh->bytes, fresh->len, error);
  if (!put) {
    pull_files_discard_next(files);
    return false;
  }
  pull_files_take_over(files, fresh);
  if (!st_file_stamp_of(files->path, &files->stamp)) {
    memset(&files->stamp, 0, sizeof files->stamp);
  }
  return true;
}

static void pull_files_make_spares(const st_pull_files *files) {
  st_spare spare = pull_files_spare(files), small = pull_files_small_spare(files);
  st_spare_make(&small, SUBTOKEN_HEARTBEAT_LEN);
  st_spare_make(&spare, files->have.len);
}

/* What a killed pull has left as FILE.next is settled first: it is the room for the next
 * FILE.alive. */
static bool pull_files_write_all(st_pull_files *files, st_pull_snapshot *fresh,
                                 const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN], char *error) {
  bool alive = false, settled = pull_files_settle_next(files, error);
  if (fresh != NULL && !(settled && pull_files_write_snapshot(files, fresh, heartbeat, error))) {
    return false;
  }
  if (!pull_files_write_alive(files, heartbeat, fresh != NULL, &alive, error)) return false;
  pull_files_remove_next(files); /* if it stays, it says the same */
  return (fresh == NULL || st_replace_sync(files->path, error)) &&
         (!alive || st_replace_sync(files->alive, error)) && pull_files_write_seen(files, error);
}

/* The spares are made last, for FILE.seen may take one when it is new; and also when nothing could
 * be written, so that those of another user, which are of no use, make room.
 */
bool st_pull_files_write(st_pull_files *files, st_pull_snapshot *fresh,
                         const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN], char *error) {
  bool ok = pull_files_write_all(files, fresh, heartbeat, error);
  pull_files_make_spares(files);
  return ok;
}
