/* subtoken/feed.h - keeping an edge's revocation data fresh: FILE and FILE.alive, as
 * `subtoken pull` writes them, taken up by themselves whenever they change.
 *
 * Everything else in this library is pure; this part opens and reads files. It never
 * blocks for longer than reading one slice (SUBTOKEN_REVOCATIONS_SLICE bytes) takes, so an
 * event loop may hold it. No thread, no malloc, no log, no clock.
 *
 *   static subtoken_feed_file file;
 *   subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
 *   if (subtoken_feed_file_start(&file, "/var/lib/subtoken/revoked", &settings) !=
 *       SUBTOKEN_FEED_OK) stop();
 *   (void)subtoken_feed_file_load(&file, &ring, now, monotonic);    // at start, may block
 *
 *   timer, every 250 ms:                                            // and as it goes on
 *     result = subtoken_feed_file_poll(&file, &ring, now, monotonic);
 *     if (result == SUBTOKEN_FEED_MORE) call_me_again_at_once();
 *
 *   request:
 *     subtoken_feed_clock clock = {&file.feed, now, monotonic};
 *     verifier.revoked = subtoken_feed_revoked;
 *     verifier.revoked_context = &clock;
 *     request.now = subtoken_feed_now(&file.feed, now);
 *
 * What was checked is a copy of the file in memory of our own (anonymous pages), never the
 * file's pages themselves: whoever may write the file could otherwise change it after its
 * MAC was checked, or cut it short under us, which ends a process with SIGBUS.
 *
 * It is taken as it is read, no more than the file really is (a file with holes is
 * SUBTOKEN_FEED_LENGTH) and no more than max_size (SUBTOKEN_FEED_TOO_LARGE).
 *
 * FILE.next is the heartbeat that a pull puts there before it replaces FILE, and takes away when
 * FILE.alive has it. It is looked at only when FILE.alive does not go with FILE, so that a pull
 * which is ended in between leaves a pair.
 *
 * FILE.seen, where there is one, is the highest sequence that a pull has seen, as decimal
 * digits and a newline: nothing below it is taken, so that putting back an old pair of files
 * and starting again undoes no revocation. It has no MAC; whoever forges it can only make
 * the data too old, which anybody can who may write there. One that says anything else, or
 * cannot be read, says 0.
 */
#ifndef SUBTOKEN_FEED_H
#define SUBTOKEN_FEED_H

#include "subtoken/revocations.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBTOKEN_FEED_PATH_MAX 1024                  /* bytes of FILE's path, without a suffix */
#define SUBTOKEN_FEED_SIZE_DEFAULT ((size_t)1 << 30) /* bytes that a snapshot may have */

typedef struct subtoken_feed_settings {
  size_t size;     /* of this structure (common.h, Sizes) */
  int64_t leeway;  /* seconds by which the issuer's clock may be ahead: 0 to SUBTOKEN_LEEWAY_MAX */
  int64_t max_age; /* seconds after which the data is too old to decide by */
  bool allow_old;  /* go on with data that is too old */
  size_t max_size; /* bytes: a larger FILE is not read. 0: SUBTOKEN_FEED_SIZE_DEFAULT */
} subtoken_feed_settings;

// clang-format off
#define SUBTOKEN_FEED_SETTINGS_DEFAULT \
  { sizeof(subtoken_feed_settings), 60, 300, false, SUBTOKEN_FEED_SIZE_DEFAULT }
// clang-format on

/* One pair of files, kept fresh for one thread (or one worker process). */
typedef struct subtoken_feed_file {
  subtoken_feed feed;        /* what is in force: read it, and pass it to subtoken_feed_* */
  subtoken_feed_result last; /* what became of the files as they were last found */
  int error;                 /* errno, with SUBTOKEN_FEED_IO; EINVAL: no regular file */
  size_t size;               /* bytes of the snapshot in force */
  bool filling;              /* what is on disk is in force, and what is left to do makes lookups
                                faster: the filter (revocations.h) of a large snapshot */
  bool mounted;              /* a file of it is a mount of its own (a single-file bind mount): what
                                replaces it is never seen here. Mount its directory instead */

  /* The library's. */
  subtoken_revocations_opening opening;
  subtoken_revocations view; /* of fresh, once it is checked */
  char path[SUBTOKEN_FEED_PATH_MAX + 8];
  size_t path_len;
  void *current, *fresh, *old; /* the bytes in force, those that may follow, those that go */
  size_t fresh_len, fresh_read, old_len;
  size_t mapped, fresh_mapped; /* bytes of memory, with those of the filter */
  uint32_t filled;             /* hashes that are in the filter */
  subtoken_feed_result found;  /* what became of FILE alone */
  uint64_t ring;               /* under which it was looked at */
  int descriptor;              /* of the file that is being read */
  int state;
  size_t max_size;
  int64_t stamps[4][5]; /* what the files were when they were last read */
} subtoken_feed_file;

/* Says where the files are; reads nothing yet. SUBTOKEN_FEED_INVALID_ARGUMENT when path is
 * empty or too long, or a setting is out of its range.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_start(
    subtoken_feed_file *file, const char *path, const subtoken_feed_settings *settings);

/* One step: look whether the files have changed, read a slice, check a slice, or take them.
 *   SUBTOKEN_FEED_OK     what is on disk is in force; nothing to do until the next look
 *   SUBTOKEN_FEED_MORE   there is more to do: call again, at once if you can
 *   anything else        what is on disk is not taken, what was in force still is; with
 *                        SUBTOKEN_FEED_IO a file cannot be read (.error, ENOENT among others).
 *                        Call again at the next look: a pair that was just being replaced,
 *                        or a ring that had not come yet, is read again then.
 * When nothing has changed it costs three stat() calls; a snapshot that was refused is not
 * read again before it, or the ring, changes. A heartbeat for the snapshot in force is
 * taken whatever became of FILE since. ring is the one in force now, and may go when the
 * call returns. now and monotonic are as in revocations.h.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_poll(
    subtoken_feed_file *file, const subtoken_ring *ring, int64_t now, int64_t monotonic);

/* The same until what is on disk is in force or not taken, for starting and for programs that may
 * block; a pair that does not match has up to a second to be replaced.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_load(
    subtoken_feed_file *file, const subtoken_ring *ring, int64_t now, int64_t monotonic);

/* Give back its memory and descriptor; nothing is in force afterwards. */
SUBTOKEN_EXPORT void subtoken_feed_file_stop(subtoken_feed_file *file);

/* ---- changes: what brings one snapshot to the next, for whoever carries them ---- */

/* THE CHANGES, version 1; numbers as in revocations.h. The server answers with them when it is
 * asked since a sequence that it knows:
 *
 *     0      8  "ST-DELTA"
 *     8      4  version: 1
 *    12      4  0
 *    16      8  sequence of the snapshot that they are to be applied to
 *    24      4  count of the hashes that are gone
 *    28      4  count of the hashes that are new
 *    32    128  the first 128 bytes of the new snapshot
 *   160  8 * gone, strictly ascending
 *     .  8 * new, strictly ascending, none of them gone
 *     .     32  the MAC of the new snapshot
 *
 * They have no MAC of their own: what they lead to has one.
 */
#define SUBTOKEN_CHANGES_HEAD_LEN 160
#define SUBTOKEN_CHANGES_LEN(gone, fresh) \
  (SUBTOKEN_CHANGES_HEAD_LEN + 8 * ((size_t)(gone) + (size_t)(fresh)) + SUBTOKEN_MAC_LEN)

/* Write them: to is a whole snapshot, since the sequence of the one they start from. *out_len
 * is SUBTOKEN_CHANGES_LEN(gone_count, fresh_count). SUBTOKEN_FEED_ORDER when a list does not
 * strictly ascend, or both name one hash.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_changes_write(
    const void *to, size_t to_len, int64_t since, const uint64_t *gone, uint32_t gone_count,
    const uint64_t *fresh, uint32_t fresh_count, void *out, size_t out_size, size_t *out_len);

/* How long the snapshot is that they lead to; 0 when they are no changes. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_changes_size(const void *changes, size_t len);

/* Apply changes to a snapshot, without the ring: neither is trusted, and the result is no
 * more worth than who opens it finds. SUBTOKEN_FEED_PAIR when they start from another
 * sequence, or a hash that is gone was not listed, or one that is new was: fetch it whole.
 * out must not overlap; *out_len is set on SUBTOKEN_FEED_OK. Linear in both.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_changes_apply(const void *snapshot, size_t snapshot_len, const void *changes, size_t len,
                       void *out, size_t out_size, size_t *out_len);

#ifdef __cplusplus
}
#endif

#endif
