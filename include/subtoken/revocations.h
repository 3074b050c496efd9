/* subtoken/revocations.h - the revoked subs, as files that anybody may transfer.
 *
 * The issuer writes two files. The snapshot lists the revoked subs as keyed 64-bit hashes. The
 * heartbeat says that this snapshot was current at a time T. Both have a MAC of the ring: who
 * transfers them can delay them, and nothing else. These functions read no file and no clock;
 * feed.h reads the files. An edge:
 *
 *   static subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
 *   subtoken_revocations snapshot;
 *   subtoken_heartbeat heartbeat;
 *   if (subtoken_revocations_open(&ring, file, file_len, &snapshot) == SUBTOKEN_FEED_OK &&
 *       subtoken_heartbeat_read(&ring, alive, alive_len, &heartbeat) == SUBTOKEN_FEED_OK)
 *     result = subtoken_feed_take(&feed, &snapshot, &heartbeat, now, monotonic);
 *
 *   subtoken_feed_clock clock = {&feed, now, monotonic};   // a request
 *   verifier.revoked = subtoken_feed_revoked;
 *   verifier.revoked_context = &clock;
 *   request.now = subtoken_feed_now(&feed, now);
 *
 * THE SNAPSHOT, version 1. Numbers are little-endian and unsigned. A set of hashes has one
 * encoding: all others are refused.
 *
 *    at  bytes
 *     0      8  "ST-REVOC"
 *     8      4  version: 1
 *    12      1  b, the bits of the prefix: the least number from 1 on for which
 *               count <= 8 * 2^b, so that a prefix has 8 hashes at most on average
 *    13      1  length of the kid, 0 to 64; 0 is the unnamed secret
 *    14      2  0
 *    16      8  sequence: 1 to 2^63-1, never falling
 *    24      8  when it was made, seconds since 1970, 0 to 2^53-1; for display
 *    32      8  length of the whole, with the MAC
 *    40      4  count of the hashes, 0 to 2^32-1
 *    44      4  0
 *    48     16  key of the hash
 *    64     64  kid of the secret that the MAC is under, zeros behind it
 *   128  4 * (2^b + 2)
 *               index: at p how many hashes have a prefix (the b highest bits) less
 *               than p, for p from 0 to 2^b; a 0 at the end
 *     .  8 * count
 *               hashes of the subs, strictly ascending
 *     .     32  HMAC-SHA-256 of all before it; it is also the digest of the snapshot
 *
 * That is 8.5 to 9 bytes a sub. Both arrays begin at a multiple of 8.
 *
 * THE HASH of n bytes (a sub as it is, without a NUL) is a number of 64 bits. fold(a, b)
 * is the upper 64 bits of the product of a and b, which has 128, xor its lower 64. K and L
 * are the key as two little-endian numbers of 64 bits, each xor a constant of its own:
 *
 *   K = key[0..7] xor 0x243F6A8885A308D3     L = key[8..15] xor 0x13198A2E03707344
 *   h = K
 *   for i = 0, 16, 32, ... while i < n - 16:
 *     h = fold(data[i..i+7] xor L, data[i+8..i+15] xor h)
 *   h = fold(x xor L, y xor h)               x, y: data[n-16..n-9], data[n-8..n-1];
 *                                            when n < 16 those of the data and zeros
 *                                            behind it, 16 bytes in all
 *   hash = fold(h xor L, n xor K)
 *
 * So the last 16 bytes are hashed again unless they are a piece of their own. With the key bytes
 * 0 to 15, "" is 0xC489B865A6AE64E8, "parent" 0xC070C06ABAFEFFF9, and
 * "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k" 0x4CD8B70ED37C648D. The hash
 * distributes subs that were chosen without the key. Who has the key could find two subs with one
 * hash, but only the issuer makes subs, and a hash is looked up only after the MAC was verified.
 *
 * THE HEARTBEAT, version 1, 160 bytes; its text form, for a header, is their base64url.
 *
 *     0      8  "ST-ALIVE"
 *     8      4  version: 1
 *    12      1  0
 *    13      1  length of the kid
 *    14      2  0
 *    16      8  sequence of the snapshot
 *    24      8  T, seconds since 1970, 1 to 2^53-1
 *    32     32  digest of the snapshot
 *    64     64  kid, zeros behind it
 *   128     32  HMAC-SHA-256 of all before it
 *
 * Neither can be used as a token, nor a token as one of them: the bytes under the MAC of a token
 * have no zero byte, and these have one at offset 9.
 */
#ifndef SUBTOKEN_REVOCATIONS_H
#define SUBTOKEN_REVOCATIONS_H

#include "subtoken/mac.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBTOKEN_HASH_KEY_LEN 16
#define SUBTOKEN_HEARTBEAT_LEN 160
#define SUBTOKEN_HEARTBEAT_TEXT_LEN 214 /* as text, without a NUL */

/* The results of this header and of feed.h. SUBTOKEN_FEED_OK is 1, SUBTOKEN_FEED_MORE asks for
 * another step, every other value means no. Functions that decide about a token return a
 * subtoken_result.
 */
typedef enum subtoken_feed_result {
  SUBTOKEN_FEED_UNDECIDED = 0, /* the library never returns it */
  SUBTOKEN_FEED_OK = 1,
  SUBTOKEN_FEED_MORE, /* no error so far, and nothing is verified yet */

  /* What is wrong with the bytes. */
  SUBTOKEN_FEED_LENGTH,  /* cut short, or more than it says */
  SUBTOKEN_FEED_MAGIC,   /* another kind of file */
  SUBTOKEN_FEED_VERSION, /* of a version that this library does not read */
  SUBTOKEN_FEED_FORM,    /* a field out of its range, or bytes that are to be zero */
  SUBTOKEN_FEED_KID,     /* the ring has no secret of that name */
  SUBTOKEN_FEED_MAC,     /* not made with the ring */
  SUBTOKEN_FEED_INDEX,   /* the index does not describe the hashes */
  SUBTOKEN_FEED_ORDER,   /* the hashes do not strictly ascend */
  SUBTOKEN_FEED_TEXT,    /* not canonical base64url */
  SUBTOKEN_FEED_IO,      /* a file of it cannot be read (feed.h) */

  /* Why verified bytes are not accepted. */
  SUBTOKEN_FEED_PAIR,     /* the heartbeat names another snapshot */
  SUBTOKEN_FEED_FUTURE,   /* its T is later than now plus the leeway */
  SUBTOKEN_FEED_REPLAY,   /* its T is earlier than that of an accepted one */
  SUBTOKEN_FEED_ROLLBACK, /* its sequence is lower than that of an accepted one */

  /* Why accepted data does not decide, or decides although it is old. */
  SUBTOKEN_FEED_ABSENT,      /* nothing was accepted yet */
  SUBTOKEN_FEED_OLD,         /* older than max_age */
  SUBTOKEN_FEED_OLD_ALLOWED, /* older than max_age, and allow_old is set */

  /* Why something could not be made. */
  SUBTOKEN_FEED_INVALID_ARGUMENT, /* a NULL or a number out of range: the caller's error */
  SUBTOKEN_FEED_BUFFER_TOO_SMALL, /* the output does not fit */
  SUBTOKEN_FEED_NO_SECRET,        /* the ring is empty */

  SUBTOKEN_FEED_TOO_LARGE, /* the file is larger than max_size (feed.h) */
} subtoken_feed_result;

/* The name of a result, "rollback"; a sentence about it for people; and the event to log it as,
 * "feed_bad", "feed_rollback" or "feed_stale", or NULL when there is nothing to log. The strings
 * are literals.
 */
SUBTOKEN_EXPORT const char *subtoken_feed_result_name(subtoken_feed_result result);
SUBTOKEN_EXPORT const char *subtoken_feed_result_text(subtoken_feed_result result);
SUBTOKEN_EXPORT const char *subtoken_feed_result_event(subtoken_feed_result result);

/* ---- the snapshot: writing ---- */

/* The hash by which a sub is listed. sub.data may be NULL when its length is 0. */
SUBTOKEN_EXPORT uint64_t subtoken_revocations_hash(const uint8_t key[SUBTOKEN_HASH_KEY_LEN],
                                                   subtoken_text sub);

/* Sort hashes in place and remove repeats; returns the number that is left. It is a radix sort,
 * highest byte first, in linear time and without other memory. At most 24 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE uint32_t subtoken_revocations_sort(uint64_t *hashes,
                                                                     uint32_t count);

/* The bytes of a snapshot with this number of hashes; 0 when size_t cannot hold it. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_revocations_size(uint32_t count);

typedef struct subtoken_revocations_header {
  int64_t sequence; /* 1 to 2^63-1 */
  int64_t made;     /* 0 to SUBTOKEN_TIME_MAX */
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
} subtoken_revocations_header;

/* Write a snapshot of hashes that subtoken_revocations_sort has sorted, under the first secret of
 * the ring. out has subtoken_revocations_size(count) bytes or more, at any address, and must not
 * overlap the hashes. digest (may be NULL) gets the digest by which a heartbeat names the snapshot.
 * SUBTOKEN_FEED_ORDER when the hashes do not strictly ascend; SUBTOKEN_FEED_NO_SECRET;
 * SUBTOKEN_FEED_BUFFER_TOO_SMALL; SUBTOKEN_FEED_INVALID_ARGUMENT. On failure nothing is written.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_write(
    const subtoken_ring *ring, const subtoken_revocations_header *header, const uint64_t *hashes,
    uint32_t count, void *out, size_t out_size, uint8_t digest[SUBTOKEN_MAC_LEN]);

/* ---- the snapshot: reading ---- */

/* A view of a snapshot that was verified. It points to the bytes of the snapshot, which may lie at
 * any address, and which the caller keeps and does not change: a file is replaced by rename, never
 * overwritten. Lookups do not change it, and one serves all threads. A zeroed one does not decide.
 * Its members are the library's, but for .sequence, .made, .kid, .count and .digest, which may be
 * read.
 */
typedef struct subtoken_revocations {
  const uint8_t *index;
  const uint8_t *hashes;
  uint64_t key[2];
  int64_t sequence;
  int64_t made;
  subtoken_text kid; /* whose MAC it has; in the bytes */
  uint32_t count;
  uint8_t shift; /* 64 - b */
  uint8_t digest[SUBTOKEN_MAC_LEN];
  const uint64_t *filter; /* or NULL: see subtoken_revocations_filter_build */
  uint32_t filter_words;
} subtoken_revocations;

/* The state of opening a snapshot in steps. Its members are the library's. */
typedef struct subtoken_revocations_opening {
  subtoken_revocations view;
  subtoken_mac mac;
  const uint8_t *bytes;
  size_t signed_len; /* what the MAC is over */
  size_t done;       /* bytes that went into the MAC */
  uint64_t last;     /* the number before the next one to be looked at */
  uint32_t indexed;  /* numbers of the index that were looked at */
  uint32_t listed;   /* hashes that were looked at */
  bool misindexed;   /* what was found wrong so far */
  bool disordered;
  bool open;
} subtoken_revocations_opening;

/* The bytes that one step checks: about 0.1 ms with SHA instructions, less than 1 ms without. */
#define SUBTOKEN_REVOCATIONS_SLICE 131072

/* Open a snapshot in steps, so that an event loop does not wait. start checks the header and
 * returns SUBTOKEN_FEED_MORE, or what is wrong. Each step checks at_most bytes more (0:
 * SUBTOKEN_REVOCATIONS_SLICE) and returns SUBTOKEN_FEED_MORE; the last one returns SUBTOKEN_FEED_OK
 * and writes *view, or what is wrong. Until then *view is zeroed. The time of all steps is linear
 * in len. An error behind the header is returned only when the MAC is valid, else
 * SUBTOKEN_FEED_MAC. To stop early, wipe the opening; no call is needed.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_revocations_start(subtoken_revocations_opening *opening, const subtoken_ring *ring,
                           const void *bytes, size_t len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_step(
    subtoken_revocations_opening *opening, size_t at_most, subtoken_revocations *view);

/* The same in one call. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_open(
    const subtoken_ring *ring, const void *bytes, size_t len, subtoken_revocations *view);

/* Is this sub listed? SUBTOKEN_REVOKED when it is, SUBTOKEN_OK when it is not,
 * SUBTOKEN_REVOCATION_UNKNOWN when the view was never opened. The expected time is constant. A sub
 * that is not revoked has the hash of one that is with a probability of about count / 2^63: an
 * issuer checks a new sub here, and makes another one.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_revocations_find(const subtoken_revocations *view, subtoken_text sub);

/* Is one of these names, subs and tids, listed? As subtoken_revocations_find, but the accesses to
 * memory overlap. SUBTOKEN_OK when count is 0; SUBTOKEN_REVOCATION_UNKNOWN also when names is NULL
 * with a count.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_revocations_find_any(
    const subtoken_revocations *view, const subtoken_text *names, size_t count);

/* ---- a filter, for views that are large ---- */

/* Nearly every sub that is looked up is not listed. For 31 of 32 of these a filter answers from one
 * cache line instead of two that are far apart; the others are looked up as without it. It is worth
 * its memory from some hundred hashes on, and most in large pages.
 *
 *   size_t size = subtoken_revocations_filter_size(view.count);
 *   void *memory = calloc(1, size);
 *   uint32_t done = 0;
 *   while (memory != NULL && subtoken_revocations_filter_build(&view, memory, size, &done, 0) ==
 *          SUBTOKEN_FEED_MORE) {}
 *
 * subtoken_feed_file_poll (feed.h) does this itself.
 */

/* The bytes of a filter for this number of hashes: one a hash, and up to 8 more; 0 when size_t
 * cannot hold it.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_revocations_filter_size(uint32_t count);

/* Build the filter of an open view, at_most hashes a call (0: SUBTOKEN_REVOCATIONS_SLICE / 8). The
 * memory is the caller's: aligned for uint64_t, of subtoken_revocations_filter_size(view->count)
 * bytes or more, zeroed before the first call (other contents make the filter slower, never wrong),
 * and kept as long as the view and its copies are used. *done is the number of hashes in it; set it
 * to 0 before the first call.
 *   SUBTOKEN_FEED_MORE              call again; the view does not use the filter yet
 *   SUBTOKEN_FEED_OK                the view uses the filter
 *   SUBTOKEN_FEED_INVALID_ARGUMENT, SUBTOKEN_FEED_BUFFER_TOO_SMALL: nothing was changed
 * No thread may read the view during a call.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_filter_build(
    subtoken_revocations *view, void *memory, size_t size, uint32_t *done, uint32_t at_most);

/* ---- the heartbeat ---- */

typedef struct subtoken_heartbeat {
  int64_t sequence; /* of the snapshot, 1 to 2^63-1 */
  int64_t time;     /* T, when the snapshot was current; 1 to SUBTOKEN_TIME_MAX */
  uint8_t digest[SUBTOKEN_MAC_LEN];
} subtoken_heartbeat;

/* Write a heartbeat under the first secret of the ring. SUBTOKEN_FEED_NO_SECRET,
 * SUBTOKEN_FEED_INVALID_ARGUMENT; then out stays as it was.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_heartbeat_write(const subtoken_ring *ring, const subtoken_heartbeat *heartbeat,
                         uint8_t out[SUBTOKEN_HEARTBEAT_LEN]);

/* Verify the form and the MAC of a heartbeat. *heartbeat is zeroed unless the result is
 * SUBTOKEN_FEED_OK. subtoken_feed_take decides whether to accept it.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_heartbeat_read(
    const subtoken_ring *ring, const void *bytes, size_t len, subtoken_heartbeat *heartbeat);

/* Convert between the bytes and the text form; the contents are not checked. encode adds a NUL.
 * decode is strict (SUBTOKEN_FEED_LENGTH, SUBTOKEN_FEED_TEXT) and zeroes the bytes on failure.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_heartbeat_encode(
    const uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN], char out[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1]);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_heartbeat_decode(subtoken_text text, uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN]);

/* ---- what an edge keeps, and when it may decide with it ---- */

/* The snapshot in use, and how fresh it is. Plain data, which points to the snapshot. Set the first
 * three members; the functions below set the others. While threads read one, change a copy and give
 * them the copy. A zeroed one does not decide.
 */
typedef struct subtoken_feed {
  int64_t leeway;   /* seconds by which the issuer's clock may be ahead; more than
                       SUBTOKEN_LEEWAY_MAX counts as that */
  int64_t max_age;  /* seconds after which data is too old to decide with */
  bool allow_old;   /* decide with data that is too old, instead of SUBTOKEN_REVOCATION_UNKNOWN */
  int64_t sequence; /* the highest that was accepted; 0: none */
  int64_t time;     /* T of the last heartbeat; 0: none */
  int64_t grew;     /* the monotonic time at which T last increased */
  subtoken_revocations snapshot; /* the one in use */
} subtoken_feed;

/* 60 s of leeway and 300 s of age; older data does not decide. */
// clang-format off
#define SUBTOKEN_FEED_DEFAULT \
  { 60, 300, false, 0, 0, 0, {NULL, NULL, {0, 0}, 0, 0, {NULL, 0}, 0, 0, {0}, NULL, 0} }
// clang-format on

/* Times: now is the wall clock, monotonic a clock in seconds that never goes back (CLOCK_BOOTTIME,
 * or CLOCK_MONOTONIC). Values outside 0 to SUBTOKEN_TIME_MAX count as the nearest of these; so does
 * the leeway.
 */

/* After a restart: accept nothing with a lower sequence or an earlier T. Both may be 0.
 * SUBTOKEN_FEED_INVALID_ARGUMENT when the feed has accepted something already.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_resume(subtoken_feed *feed,
                                                                            int64_t sequence,
                                                                            int64_t time,
                                                                            int64_t monotonic);

/* Accept a snapshot with the heartbeat that names it; or, with snapshot NULL, a heartbeat for the
 * snapshot in use. The first of these that is true is the result: SUBTOKEN_FEED_ABSENT (there is no
 * snapshot), SUBTOKEN_FEED_ROLLBACK, SUBTOKEN_FEED_REPLAY, SUBTOKEN_FEED_FUTURE, SUBTOKEN_FEED_PAIR
 * (one of the two files was just replaced: read both again). With any result but SUBTOKEN_FEED_OK
 * *feed stays as it was. The same pair again is accepted, and *feed then points to the bytes of the
 * snapshot that was passed last.
 *
 * A T that is later than now plus the leeway at the time of a call is void, although it was
 * accepted before: a clock was wrong then, or is wrong now. A void T does not make a later
 * heartbeat SUBTOKEN_FEED_REPLAY, and the functions below ignore it. The data does not decide
 * (SUBTOKEN_FEED_OLD) until another heartbeat is accepted or that time has come. The sequence
 * stays.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_feed_take(subtoken_feed *feed, const subtoken_revocations *snapshot,
                   const subtoken_heartbeat *heartbeat, int64_t now, int64_t monotonic);

/* The age in seconds, 0 or more: the larger of now - T and the monotonic time since T last
 * increased, so that neither a stopped clock nor delayed heartbeats make the data look younger.
 * SUBTOKEN_TIME_MAX when nothing was accepted, or T is void.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE int64_t subtoken_feed_age(const subtoken_feed *feed, int64_t now,
                                                            int64_t monotonic);

/* May the data decide? SUBTOKEN_FEED_OK, SUBTOKEN_FEED_OLD_ALLOWED (yes, and log it),
 * SUBTOKEN_FEED_OLD, SUBTOKEN_FEED_ABSENT.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_feed_check(const subtoken_feed *feed, int64_t now, int64_t monotonic);

/* The time for subtoken_request.now: now, but not earlier than T unless T is void, so that expired
 * tokens stay expired when a clock is set back.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE int64_t subtoken_feed_now(const subtoken_feed *feed, int64_t now);

/* A feed and the time of a request: the context of subtoken_feed_revoked. One for each thread. */
typedef struct subtoken_feed_clock {
  const subtoken_feed *feed;
  int64_t now;
  int64_t monotonic;
} subtoken_feed_clock;

/* A subtoken_revoked_fn (verify.h); clock is a subtoken_feed_clock. SUBTOKEN_REVOCATION_UNKNOWN
 * when the feed may not decide, else what subtoken_revocations_find_any returns.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_feed_revoked(void *clock,
                                                                        const subtoken_text *names,
                                                                        size_t count);

#ifdef __cplusplus
}
#endif

#endif
