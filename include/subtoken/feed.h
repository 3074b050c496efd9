/* subtoken/feed.h - keep the revocation data of an edge fresh: load FILE and FILE.alive, as
 * `subtoken pull` writes them, again whenever they change.
 *
 * This is the only part of the library that uses the operating system: it opens and reads files,
 * maps memory, and sets errno. A call takes no longer than to read one slice
 * (SUBTOKEN_REVOCATIONS_SLICE bytes), so that an event loop may make it. It starts no thread, calls
 * no malloc, logs nothing and reads no clock.
 *
 *   static subtoken_feed_file file;
 *   subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
 *   if (subtoken_feed_file_start(&file, "/var/lib/subtoken/revoked", &settings) !=
 *       SUBTOKEN_FEED_OK) stop();
 *   (void)subtoken_feed_file_load(&file, &ring, now, monotonic);    // at start, may block
 *
 *   timer, every 50 ms:                                             // and as it goes on
 *     result = subtoken_feed_file_poll(&file, &ring, now, monotonic);
 *     if (result == SUBTOKEN_FEED_MORE) call_me_again_at_once();
 *
 *   request:
 *     subtoken_feed_clock clock = {&file.feed, now, monotonic};
 *     verifier.revoked = subtoken_feed_revoked;
 *     verifier.revoked_context = &clock;
 *     request.now = subtoken_feed_now(&file.feed, now);
 *
 * The file is copied into anonymous memory before it is checked. Who may write the file could
 * otherwise change it after its MAC was checked, or truncate it, which ends a process with SIGBUS.
 * No more memory is used than the file has blocks (a file with holes is SUBTOKEN_FEED_LENGTH), and
 * no more than max_size (SUBTOKEN_FEED_TOO_LARGE).
 *
 * FILE.next is the next heartbeat. A pull writes it before it replaces FILE, and removes it when
 * FILE.alive has it. It is read only when FILE.alive does not belong to FILE, so that a pull which
 * is interrupted in between leaves a pair.
 *
 * FILE.seen, where it exists, has the highest sequence that a pull has seen, as decimal digits and
 * a newline. Data with a lower sequence is not loaded, so that an old pair of files that is put
 * back before a restart does not undo a revocation. It has no MAC: who forges it can only make the
 * data too old, as everybody can who may write there. A file that has anything else, or cannot be
 * read, counts as 0.
 */
#ifndef SUBTOKEN_FEED_H
#define SUBTOKEN_FEED_H

#include "subtoken/revocations.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBTOKEN_FEED_PATH_MAX 1024           /* bytes of FILE's path, without a suffix */
#define SUBTOKEN_FEED_SIZE_DEFAULT 1073741824 /* bytes that a snapshot may have, 1 GiB */

typedef struct subtoken_feed_settings {
  size_t size;     /* of this structure (common.h, Sizes) */
  int64_t leeway;  /* seconds by which the issuer's clock may be ahead: 0 to SUBTOKEN_LEEWAY_MAX */
  int64_t max_age; /* seconds after which the data is too old to decide with; 0 or more */
  bool allow_old;  /* true: decide with data that is too old, too */
  size_t max_size; /* bytes: a larger FILE is not read. 0: SUBTOKEN_FEED_SIZE_DEFAULT */
} subtoken_feed_settings;

// clang-format off
#define SUBTOKEN_FEED_SETTINGS_DEFAULT \
  { sizeof(subtoken_feed_settings), 60, 300, false, SUBTOKEN_FEED_SIZE_DEFAULT }
// clang-format on

/* One pair of files, kept fresh for one thread or one worker process. It owns mapped memory and a
 * file descriptor: do not copy it, and call subtoken_feed_file_stop. */
typedef struct subtoken_feed_file {
  subtoken_feed feed;        /* the data in use: read it, and pass it to subtoken_feed_* */
  subtoken_feed_result last; /* the result for the files as they were last found */
  int error;                 /* errno, with SUBTOKEN_FEED_IO; EINVAL: no regular file */
  size_t size;               /* bytes of the snapshot in use */
  bool filling;              /* the files on disk are in use, and the filter (revocations.h) of a
                                large snapshot, which makes lookups faster, is being built */
  bool mounted;              /* a file is a mount of its own (a single-file bind mount): a new file
                                is never seen here. Mount the directory instead */

  /* The library's. */
  subtoken_revocations_opening opening;
  subtoken_revocations view; /* of fresh, once it is checked */
  char path[SUBTOKEN_FEED_PATH_MAX + 8];
  size_t path_len;
  void *current, *fresh, *old; /* the bytes in use, those being read, those being unmapped */
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

/* Set up *file for the files at a path, which is copied. It does not read them yet.
 * SUBTOKEN_FEED_INVALID_ARGUMENT when an argument is NULL, the path is empty or longer than
 * SUBTOKEN_FEED_PATH_MAX, or a setting is out of range.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_start(
    subtoken_feed_file *file, const char *path, const subtoken_feed_settings *settings);

/* Do one step: check whether the files have changed, read a slice, check a slice, or use them.
 *   SUBTOKEN_FEED_OK     the files on disk are in use; call again at the next interval
 *   SUBTOKEN_FEED_MORE   there is more to do; call again, at once if possible
 *   any other            the files on disk are not used, and the data in use stays. With
 *                        SUBTOKEN_FEED_IO a file cannot be read (.error has errno, such as ENOENT).
 *                        Call again at the next interval: a pair that was being replaced, or a ring
 *                        without the secret, is read again then.
 * When nothing has changed, a call costs three stat() calls. A snapshot that was refused is read
 * again only when it or the ring changes. A heartbeat for the snapshot in use is used whatever
 * happened to FILE. The ring is needed during the call only. now and monotonic are as in
 * revocations.h.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_poll(
    subtoken_feed_file *file, const subtoken_ring *ring, int64_t now, int64_t monotonic);

/* Poll until the files on disk are in use or refused. For the start, and for programs that may
 * block: it waits up to a second for the other file of a pair that does not match.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_load(
    subtoken_feed_file *file, const subtoken_ring *ring, int64_t now, int64_t monotonic);

/* Release the memory and the file descriptor. No data is in use afterwards. file may be NULL. */
SUBTOKEN_EXPORT void subtoken_feed_file_stop(subtoken_feed_file *file);

/* ---- changes: the difference of two snapshots, for programs that transfer them ---- */

/* THE CHANGES, version 1; numbers as in revocations.h. The server sends them to a client that names
 * the sequence of its snapshot, when the server knows that sequence:
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
 * They have no MAC of their own: the snapshot that they lead to has one.
 */
#define SUBTOKEN_CHANGES_HEAD_LEN 160
#define SUBTOKEN_CHANGES_LEN(gone, fresh) \
  (SUBTOKEN_CHANGES_HEAD_LEN + 8 * ((size_t)(gone) + (size_t)(fresh)) + SUBTOKEN_MAC_LEN)

/* Write changes. to is the whole new snapshot, since the sequence of the old one; gone and fresh
 * are the hashes that the new one lacks and adds. *out_len is SUBTOKEN_CHANGES_LEN(gone_count,
 * fresh_count). SUBTOKEN_FEED_ORDER when a list does not strictly ascend or both have one hash;
 * SUBTOKEN_FEED_INVALID_ARGUMENT; SUBTOKEN_FEED_BUFFER_TOO_SMALL; else what is wrong with the head
 * of to.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_changes_write(
    const void *to, size_t to_len, int64_t since, const uint64_t *gone, uint32_t gone_count,
    const uint64_t *fresh, uint32_t fresh_count, void *out, size_t out_size, size_t *out_len);

/* The length of the snapshot that changes lead to; 0 when the bytes are not changes. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_changes_size(const void *changes, size_t len);

/* Apply changes to a snapshot. No MAC is checked: the result is unverified, open it to check its
 * MAC. SUBTOKEN_FEED_PAIR when the changes start from another sequence, remove a hash that is not
 * listed or add one that is: get the whole snapshot then. out must not overlap the inputs; *out_len
 * is set on SUBTOKEN_FEED_OK. The time is linear in both lengths.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_changes_apply(const void *snapshot, size_t snapshot_len, const void *changes, size_t len,
                       void *out, size_t out_size, size_t *out_len);

#ifdef __cplusplus
}
#endif

#endif
