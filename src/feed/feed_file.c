/* Keeps the revocation data of an edge fresh from FILE and FILE.alive, in steps that do not block:
 * subtoken/feed.h. A snapshot is copied into memory, checked, and used only as a whole. What is
 * decided with it is in core/revocations_feed.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "core/sized.h"
#include "feed/seen.h"
#include "subtoken/feed.h"

#define NS INT64_C(1000000000)
#define LARGE_PAGE ((size_t)2 << 20)
/* Unmapping takes time, too: about 100 us for this much. */
#define RELEASED_AT_ONCE LARGE_PAGE
#define FILTER_FROM 256      /* hashes; a filter does not pay for fewer */
#define FILLED_AT_ONCE 65536 /* hashes; about 100 us, too */
#define HEAD_LEN 128
#define PAIR_TRIES 50
#define PAIR_PAUSE_NS 20000000

enum { STOPPED, IDLE, READING, CHECKING, FILLING };
enum { SNAPSHOT, HEARTBEAT, SEEN, NEXT };

/* The arguments of a poll. */
typedef struct poll_args {
  const subtoken_ring *ring;
  int64_t now;
  int64_t monotonic;
} poll_args;

/* ---- files ---- */

/* The path of a file. It is in file->path until the next call. */
static const char *file_name(subtoken_feed_file *file, int which) {
  static const char suffixes[][8] = {"", ".alive", ".seen", ".next"};
  memcpy(file->path + file->path_len, suffixes[which], sizeof suffixes[which]);
  return file->path;
}

/* Returns 0 or an errno. Only regular files: opening another file could block, or have an effect.
 * The five numbers are those of st_file_stamp in os/file.h, which the library does not see.
 */
static int stamp_of(const struct stat *status, int64_t stamp[5]) {
  if (S_ISDIR(status->st_mode)) return EISDIR;
  if (!S_ISREG(status->st_mode)) return EINVAL;
  stamp[0] = (int64_t)status->st_dev;
  stamp[1] = (int64_t)status->st_ino;
  stamp[2] = (int64_t)status->st_size;
  stamp[3] = (int64_t)status->st_mtim.tv_sec * NS + status->st_mtim.tv_nsec;
  stamp[4] = (int64_t)status->st_ctim.tv_sec * NS + status->st_ctim.tv_nsec;
  return 0;
}

static bool changed(const subtoken_feed_file *file, int which, const int64_t stamp[5]) {
  return memcmp(file->stamps[which], stamp, sizeof file->stamps[which]) != 0;
}

/* Stats a file. A path that leads to the same file without a link again is a mount of its own, in
 * which a new file is never seen. */
static int check_file(subtoken_feed_file *file, int which, int64_t stamp[5]) {
  struct stat status;
  if (stat(file_name(file, which), &status) != 0) return errno;
  int failure = stamp_of(&status, stamp);
  if (failure == 0 && status.st_nlink == 0 && !changed(file, which, stamp)) file->mounted = true;
  return failure;
}

static void forget_stamp(subtoken_feed_file *file, int which) {
  memset(file->stamps[which], 0, sizeof file->stamps[which]);
}

/* Is the open file the root of a mount, as a file is that is mounted by itself? */
static bool is_mount(int descriptor) {
  struct statx status = {0};
  return statx(descriptor, "", AT_EMPTY_PATH, STATX_TYPE, &status) == 0 &&
         (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* Opens a regular file. The stamp that is kept is that of the open file before it is read, so that
 * a change during reading is seen at the next check. */
static int open_for_reading(subtoken_feed_file *file, int which, int *descriptor) {
  struct stat status;
  int failure;
  do {
    *descriptor = open(file_name(file, which), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  } while (*descriptor < 0 && errno == EINTR);
  if (*descriptor < 0) return errno;
  failure = fstat(*descriptor, &status) != 0 ? errno : stamp_of(&status, file->stamps[which]);
  if (failure == 0) {
    if (is_mount(*descriptor)) file->mounted = true;
    return 0;
  }
  (void)close(*descriptor);
  *descriptor = -1;
  forget_stamp(file, which);
  return failure;
}

/* Reads some bytes: of a small file one more than it may have. -1 with errno on failure. */
static ssize_t read_bytes(int descriptor, void *out, size_t size, size_t at) {
  ssize_t got;
  do {
    got = pread(descriptor, out, size, (off_t)at);
  } while (got < 0 && errno == EINTR);
  return got;
}

static int read_small(subtoken_feed_file *file, int which, void *out, size_t size, size_t *len) {
  int descriptor;
  int failure = open_for_reading(file, which, &descriptor);
  *len = 0;
  if (failure != 0) return failure;
  ssize_t got;
  do { /* a file system may give less than there is */
    got = read_bytes(descriptor, (uint8_t *)out + *len, size - *len, *len);
    failure = got < 0 ? errno : 0;
    if (got > 0) *len += (size_t)got;
  } while (got > 0 && *len < size);
  (void)close(descriptor);
  if (failure != 0) forget_stamp(file, which);
  return failure;
}

/* ---- memory ---- */

/* Keeps memory to unmap. At the start of a poll there is none, so that one place is enough. */
static void release_later(subtoken_feed_file *file, void *memory, size_t len) {
  if (memory == NULL) return;
  file->old = memory;
  file->old_len = len;
}

static void drop_fresh(subtoken_feed_file *file) {
  release_later(file, file->fresh, file->fresh_mapped);
  file->fresh = NULL;
  subtoken_wipe(&file->opening, sizeof file->opening);
  memset(&file->view, 0, sizeof file->view);
}

/* Unmaps a part. False when more is left. */
static bool release_some(subtoken_feed_file *file) {
  if (file->old == NULL) return true;
  size_t len = file->old_len < RELEASED_AT_ONCE ? file->old_len : RELEASED_AT_ONCE;
  (void)munmap(file->old, len);
  file->old = len < file->old_len ? (uint8_t *)file->old + len : NULL;
  file->old_len -= len;
  return file->old == NULL;
}

static void close_descriptor(subtoken_feed_file *file) {
  if (file->descriptor >= 0) (void)close(file->descriptor);
  file->descriptor = -1;
}

/* ---- the heartbeat ---- */

static subtoken_feed_result io_error(subtoken_feed_file *file, int failure) {
  file->error = failure;
  return SUBTOKEN_FEED_IO;
}

static void use_snapshot(subtoken_feed_file *file) {
  void *old = file->current;
  size_t old_len = file->mapped;
  file->current = file->fresh;
  file->size = file->fresh_len;
  file->mapped = file->fresh_mapped;
  file->fresh = NULL;
  memset(&file->view, 0, sizeof file->view);
  release_later(file, old, old_len);
  file->filled = 0;
  file->filling = file->feed.snapshot.count >= FILTER_FROM;
  if (file->filling) file->state = FILLING;
}

/* Uses the new snapshot when there is one and the heartbeat names it. Else the heartbeat may be for
 * the snapshot in use, which then stays fresh. */
static subtoken_feed_result use_heartbeat(subtoken_feed_file *file,
                                          const subtoken_heartbeat *heartbeat,
                                          const poll_args *at) {
  subtoken_feed *feed = &file->feed;
  if (file->fresh == NULL) {
    return subtoken_feed_take(feed, NULL, heartbeat, at->now, at->monotonic);
  }
  subtoken_feed_result result =
      subtoken_feed_take(feed, &file->view, heartbeat, at->now, at->monotonic);
  if (result == SUBTOKEN_FEED_OK) {
    use_snapshot(file);
    return result;
  }
  if (file->view.sequence < feed->sequence) {
    file->found = SUBTOKEN_FEED_ROLLBACK;
    drop_fresh(file);
  }
  subtoken_feed_result for_current =
      subtoken_feed_take(feed, NULL, heartbeat, at->now, at->monotonic);
  (void)for_current;
  return result;
}

static subtoken_feed_result read_heartbeat(subtoken_feed_file *file, int which,
                                           const poll_args *at) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN + 1];
  size_t len;
  subtoken_heartbeat heartbeat;
  int failure = read_small(file, which, bytes, sizeof bytes, &len);
  if (failure != 0) return io_error(file, failure);
  subtoken_feed_result result = subtoken_heartbeat_read(at->ring, bytes, len, &heartbeat);
  return result == SUBTOKEN_FEED_OK ? use_heartbeat(file, &heartbeat, at) : result;
}

/* A pull that was interrupted between its two files has left the heartbeat of FILE in FILE.next. */
static bool use_next_heartbeat(subtoken_feed_file *file, const poll_args *at) {
  int64_t stamp[5];
  return file->fresh != NULL && check_file(file, NEXT, stamp) == 0 &&
         read_heartbeat(file, NEXT, at) == SUBTOKEN_FEED_OK;
}

/* Reads the heartbeat unless it is the one in use. One that was refused is read again, because it
 * is short, and the ring may have changed or its T may have come. */
static subtoken_feed_result check_heartbeat(subtoken_feed_file *file, const poll_args *at) {
  int64_t stamp[5];
  int failure = check_file(file, HEARTBEAT, stamp);
  if (failure == 0 && file->last == SUBTOKEN_FEED_OK && file->fresh == NULL &&
      !changed(file, HEARTBEAT, stamp)) {
    return SUBTOKEN_FEED_OK;
  }
  subtoken_feed_result result =
      failure != 0 ? io_error(file, failure) : read_heartbeat(file, HEARTBEAT, at);
  int error = file->error;
  if (result != SUBTOKEN_FEED_OK && use_next_heartbeat(file, at)) return SUBTOKEN_FEED_OK;
  file->error = error;
  return result;
}

/* ---- the snapshot ---- */

/* A hash of the ring, to see whether it has changed: of the states that its MACs start from. */
static uint64_t ring_tag(const subtoken_ring *ring) {
  static const uint8_t key[SUBTOKEN_HASH_KEY_LEN];
  struct {
    uint64_t before;
    uint32_t inner[8];
    uint8_t kid_len;
    char kid[SUBTOKEN_KID_MAX];
  } piece;
  uint64_t tag = ring->count;
  for (size_t i = 0; i < ring->count && i < SUBTOKEN_RING_MAX; i++) {
    const subtoken_secret *secret = &ring->secrets[i];
    memset(&piece, 0, sizeof piece);
    piece.before = tag;
    memcpy(piece.inner, secret->inner, sizeof piece.inner);
    piece.kid_len = secret->kid_len;
    memcpy(piece.kid, secret->kid, sizeof piece.kid);
    tag = subtoken_revocations_hash(key, (subtoken_text){(const char *)&piece, sizeof piece});
  }
  subtoken_wipe(&piece, sizeof piece);
  return tag;
}

/* FILE is refused. The snapshot in use stays, and may get a new heartbeat. */
static subtoken_feed_result refuse_file(subtoken_feed_file *file, const poll_args *at,
                                        subtoken_feed_result result, int failure) {
  subtoken_feed_result alive = SUBTOKEN_FEED_ABSENT;
  close_descriptor(file);
  drop_fresh(file);
  file->state = IDLE;
  file->found = result;
  /* The error may not be in the file: read it again at the next check. */
  if (result == SUBTOKEN_FEED_IO) forget_stamp(file, SNAPSHOT);
  if (file->current != NULL) alive = check_heartbeat(file, at);
  (void)alive; /* the result is that of FILE */
  file->error = failure;
  return result;
}

static subtoken_feed_result refuse_unreadable(subtoken_feed_file *file, const poll_args *at,
                                              int failure) {
  return refuse_file(file, at, SUBTOKEN_FEED_IO, failure);
}

static subtoken_feed_result check_slice(subtoken_feed_file *file, const poll_args *at) {
  subtoken_feed_result result = subtoken_revocations_step(&file->opening, 0, &file->view);
  if (result == SUBTOKEN_FEED_MORE) return result;
  if (result != SUBTOKEN_FEED_OK) return refuse_file(file, at, result, 0);
  file->state = IDLE;
  file->found = SUBTOKEN_FEED_OK;
  return check_heartbeat(file, at);
}

/* Reads a slice. The head is checked as soon as it was read, so that no more than a slice is read
 * of a file that is not a snapshot, or whose secret the ring does not have. */
static subtoken_feed_result read_slice(subtoken_feed_file *file, const poll_args *at) {
  size_t before = file->fresh_read, left = file->fresh_len - before;
  size_t size = left < SUBTOKEN_REVOCATIONS_SLICE ? left : SUBTOKEN_REVOCATIONS_SLICE;
  ssize_t got = read_bytes(file->descriptor, (uint8_t *)file->fresh + before, size, before);
  if (got < 0) return refuse_unreadable(file, at, errno);
  if (got == 0)
    return refuse_file(file, at, SUBTOKEN_FEED_LENGTH, 0); /* it was longer when it was opened */
  file->fresh_read += (size_t)got;
  if (before < HEAD_LEN && file->fresh_read >= HEAD_LEN) {
    subtoken_feed_result result =
        subtoken_revocations_start(&file->opening, at->ring, file->fresh, file->fresh_len);
    if (result != SUBTOKEN_FEED_MORE) return refuse_file(file, at, result, 0);
  }
  if (file->fresh_read == file->fresh_len) {
    close_descriptor(file);
    file->state = CHECKING;
  }
  return SUBTOKEN_FEED_MORE;
}

/* A file must have blocks for all of its size: a hole costs its writer nothing, but the reader
 * memory. A file system that does not know holes says that all is data; then max_size is the only
 * limit. */
static bool has_holes(int descriptor, int64_t size) {
  off_t hole = lseek(descriptor, 0, SEEK_HOLE);
  return hole >= 0 && hole < size;
}

static subtoken_feed_result check_size(const subtoken_feed_file *file, int64_t size) {
  if (size < HEAD_LEN + SUBTOKEN_MAC_LEN) return SUBTOKEN_FEED_LENGTH;
  if ((uint64_t)size > file->max_size) return SUBTOKEN_FEED_TOO_LARGE;
  return has_holes(file->descriptor, size) ? SUBTOKEN_FEED_LENGTH : SUBTOKEN_FEED_OK;
}

/* The offset of the filter behind a snapshot of this size, and the most bytes that it may have. */
static size_t filter_at(size_t size) {
  size_t unit = size < LARGE_PAGE ? sizeof(uint64_t) : LARGE_PAGE;
  return (size + unit - 1) / unit * unit;
}

static size_t filter_most(size_t size) {
  size_t hashes = size / 8;
  return subtoken_revocations_filter_size(hashes < UINT32_MAX ? (uint32_t)hashes : UINT32_MAX);
}

/* Maps memory for a snapshot and its filter. The system gives pages when they are written to, so
 * that a file which claims more than it has costs nothing. For much memory the pages are large
 * ones, where the system has them, because lookups are at random addresses. NULL with errno on
 * failure. */
static void *map_memory(size_t size, size_t *mapped) {
  size_t len = filter_at(size) + filter_most(size), more = size < LARGE_PAGE ? 0 : LARGE_PAGE;
  uint8_t *memory = mmap(NULL, len + more, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  size_t before = more > 0 ? (LARGE_PAGE - (uintptr_t)memory % LARGE_PAGE) % LARGE_PAGE : 0;
  if (before > 0) (void)munmap(memory, before);
  *mapped = len + more - before;
  if (more > 0) (void)madvise(memory + before, *mapped, MADV_HUGEPAGE);
  return memory + before;
}

/* Builds a part of the filter. When that fails, lookups do without it. */
static subtoken_feed_result fill_slice(subtoken_feed_file *file) {
  uint8_t *memory = (uint8_t *)file->current + filter_at(file->size);
  subtoken_feed_result result = subtoken_revocations_filter_build(
      &file->feed.snapshot, memory, filter_most(file->size), &file->filled, FILLED_AT_ONCE);
  if (result == SUBTOKEN_FEED_MORE) return result;
  file->state = IDLE;
  file->filling = false;
  return SUBTOKEN_FEED_OK;
}

static subtoken_feed_result begin_reading(subtoken_feed_file *file, const poll_args *at) {
  drop_fresh(file);
  if (!release_some(file)) return SUBTOKEN_FEED_MORE;
  file->ring = ring_tag(at->ring);
  int failure = open_for_reading(file, SNAPSHOT, &file->descriptor);
  if (failure != 0) return refuse_unreadable(file, at, failure);
  int64_t size = file->stamps[SNAPSHOT][2];
  subtoken_feed_result result = check_size(file, size);
  if (result != SUBTOKEN_FEED_OK) return refuse_file(file, at, result, 0);
  file->fresh = map_memory((size_t)size, &file->fresh_mapped);
  if (file->fresh == NULL) return refuse_unreadable(file, at, errno);
  file->fresh_len = (size_t)size;
  file->fresh_read = 0;
  file->state = READING;
  return read_slice(file, at);
}

/* ---- a check of all files ---- */

static void check_seen(subtoken_feed_file *file) {
  int64_t stamp[5];
  char text[ST_SEEN_MAX + 1];
  size_t len;
  if (check_file(file, SEEN, stamp) != 0 || !changed(file, SEEN, stamp)) return;
  if (read_small(file, SEEN, text, sizeof text, &len) != 0) return;
  int64_t seen = st_seen_read(text, len);
  if (seen > file->feed.sequence) file->feed.sequence = seen;
}

static subtoken_feed_result check_files(subtoken_feed_file *file, const poll_args *at) {
  int64_t stamp[5];
  check_seen(file);
  int failure = check_file(file, SNAPSHOT, stamp);
  if (failure != 0) return refuse_unreadable(file, at, failure);
  if (changed(file, SNAPSHOT, stamp)) return begin_reading(file, at);
  if (file->found == SUBTOKEN_FEED_OK) return check_heartbeat(file, at);
  if (file->ring != ring_tag(at->ring)) return begin_reading(file, at);
  return refuse_file(file, at, file->found, 0);
}

/* ---- the public functions ---- */

subtoken_feed_result subtoken_feed_file_start(subtoken_feed_file *file, const char *path,
                                              const subtoken_feed_settings *settings) {
  static const subtoken_feed_settings standard = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  subtoken_feed_settings copy;
  if (file == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  memset(file, 0, sizeof *file);
  file->descriptor = -1;
  if (settings != NULL && settings->size != sizeof *settings) {
    settings = st_sized_fill(settings, offsetof(subtoken_feed_settings, max_size), sizeof *settings,
                             &standard, &copy);
  }
  if (path == NULL || settings == NULL || settings->leeway < 0 ||
      settings->leeway > SUBTOKEN_LEEWAY_MAX || settings->max_age < 0) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  size_t len = strnlen(path, SUBTOKEN_FEED_PATH_MAX + 1);
  if (len == 0 || len > SUBTOKEN_FEED_PATH_MAX) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  memcpy(file->path, path, len);
  file->path_len = len;
  file->feed.leeway = settings->leeway;
  file->feed.max_age = settings->max_age;
  file->feed.allow_old = settings->allow_old;
  file->max_size = settings->max_size > 0 ? settings->max_size : SUBTOKEN_FEED_SIZE_DEFAULT;
  file->state = IDLE;
  return SUBTOKEN_FEED_OK;
}

subtoken_feed_result subtoken_feed_file_poll(subtoken_feed_file *file, const subtoken_ring *ring,
                                             int64_t now, int64_t monotonic) {
  const poll_args at = {ring, now, monotonic};
  subtoken_feed_result result = SUBTOKEN_FEED_INVALID_ARGUMENT;
  if (file == NULL || ring == NULL || file->state == STOPPED) return result;
  if (!release_some(file)) return SUBTOKEN_FEED_MORE;
  file->error = 0;
  if (file->state == READING) {
    result = read_slice(file, &at);
  } else if (file->state == CHECKING) {
    result = check_slice(file, &at);
  } else if (file->state == FILLING) {
    return fill_slice(file);
  } else {
    result = check_files(file, &at);
  }
  if (result != SUBTOKEN_FEED_MORE) file->last = result;
  return file->filling ? SUBTOKEN_FEED_MORE : result;
}

subtoken_feed_result subtoken_feed_file_load(subtoken_feed_file *file, const subtoken_ring *ring,
                                             int64_t now, int64_t monotonic) {
  const struct timespec pause = {0, PAIR_PAUSE_NS};
  subtoken_feed_result result = SUBTOKEN_FEED_MORE;
  for (int tries = 0; tries <= PAIR_TRIES; tries++) {
    do {
      result = subtoken_feed_file_poll(file, ring, now, monotonic);
    } while (result == SUBTOKEN_FEED_MORE && !file->filling);
    if (result == SUBTOKEN_FEED_MORE) return file->last;
    /* EWOULDBLOCK: it is being written to be FILE again, by whoever replaces it. */
    bool again = result == SUBTOKEN_FEED_IO && file->error == EWOULDBLOCK;
    if (result != SUBTOKEN_FEED_PAIR && !again) return result;
    (void)nanosleep(&pause, NULL);
  }
  return result;
}

void subtoken_feed_file_stop(subtoken_feed_file *file) {
  if (file == NULL || file->state == STOPPED) return;
  close_descriptor(file);
  if (file->old != NULL) (void)munmap(file->old, file->old_len);
  if (file->fresh != NULL) (void)munmap(file->fresh, file->fresh_mapped);
  if (file->current != NULL) (void)munmap(file->current, file->mapped);
  subtoken_wipe(file, sizeof *file);
}
