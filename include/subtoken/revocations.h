/* subtoken/revocations.h - which `sub`s are refused, as bytes that anybody may carry.
 *
 * The issuer writes two files. The snapshot lists the refused subs as keyed 64-bit
 * hashes; the heartbeat says that the issuer vouched for that snapshot at a time T.
 * Both carry a MAC of the ring: whoever stands in between can delay, and no more.
 * Nothing here reads a file or a clock. An edge:
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
 * THE SNAPSHOT, version 1. Numbers are little-endian and without sign. One set of
 * hashes has one spelling: what is not as said here is refused.
 *
 *    at  bytes
 *     0      8  "ST-REVOC"
 *     8      4  version: 1
 *    12      1  b, the bits of the prefix: the least number from 1 on for which
 *               count <= 8 * 2^b, so that a prefix has 8 hashes at most on average
 *    13      1  length of the kid, 0 to 64; 0 is the unnamed secret
 *    14      2  0
 *    16      8  sequence: 1 to 2^63-1, never falling
 *    24      8  when it was made, seconds since 1970, 0 to 2^53-1; for people
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
 * So the last 16 bytes go in once more where they are no piece of their own. With a key of
 * 0 to 15, "" is 0xC489B865A6AE64E8, "parent" 0xC070C06ABAFEFFF9, and
 * "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k" 0x4CD8B70ED37C648D. It spreads
 * what was not chosen with the key in hand; who has that could find two subs of one hash. It is the
 * issuer who draws subs, and a hash is looked up only behind a good MAC.
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
 * No token can be taken for either, nor they for a token: what a token's MAC is over has
 * no zero byte, and these have one at 9.
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

/* The one result channel of this header: SUBTOKEN_FEED_OK is 1, SUBTOKEN_FEED_MORE asks
 * for another step, every other value is a refusal. Towards tokens the answer stays a
 * subtoken_result.
 */
typedef enum subtoken_feed_result {
  SUBTOKEN_FEED_UNDECIDED = 0, /* never an answer of the library */
  SUBTOKEN_FEED_OK = 1,
  SUBTOKEN_FEED_MORE, /* good so far, and nothing is to be believed yet */

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

  /* Why good bytes are not taken. */
  SUBTOKEN_FEED_PAIR,     /* the heartbeat names another snapshot */
  SUBTOKEN_FEED_FUTURE,   /* its T is later than now and the leeway */
  SUBTOKEN_FEED_REPLAY,   /* its T is earlier than one that was taken */
  SUBTOKEN_FEED_ROLLBACK, /* a lower sequence than one that was taken */

  /* Why what was taken decides nothing, or does so only because it was told to. */
  SUBTOKEN_FEED_ABSENT,      /* nothing was taken yet */
  SUBTOKEN_FEED_OLD,         /* older than max_age */
  SUBTOKEN_FEED_OLD_ALLOWED, /* older than max_age, and told to go on */

  /* Why something could not be made. */
  SUBTOKEN_FEED_INVALID_ARGUMENT, /* a NULL or a number out of range: the caller's fault */
  SUBTOKEN_FEED_BUFFER_TOO_SMALL, /* the output does not fit */
  SUBTOKEN_FEED_NO_SECRET,        /* the ring is empty */

  SUBTOKEN_FEED_TOO_LARGE, /* bytes again: more than the limit that the reader has set (feed.h) */
} subtoken_feed_result;

/* Its name, "rollback"; a sentence for people; and the word under which it is logged:
 * "feed_bad", "feed_rollback" or "feed_stale", NULL for what is no event of the feed.
 */
SUBTOKEN_EXPORT const char *subtoken_feed_result_name(subtoken_feed_result result);
SUBTOKEN_EXPORT const char *subtoken_feed_result_text(subtoken_feed_result result);
SUBTOKEN_EXPORT const char *subtoken_feed_result_event(subtoken_feed_result result);

/* ---- the snapshot: writing ---- */

/* The hash under which a sub is listed. sub.data may be NULL when its length is 0. */
SUBTOKEN_EXPORT uint64_t subtoken_revocations_hash(const uint8_t key[SUBTOKEN_HASH_KEY_LEN],
                                                   subtoken_text sub);

/* Sort hashes in place and drop repeats; returns how many are left. Linear (radix, highest
 * byte first), at most 24 KiB of stack, no other memory.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE uint32_t subtoken_revocations_sort(uint64_t *hashes,
                                                                     uint32_t count);

/* The length of a snapshot of so many hashes; 0 when no memory here can be that large. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_revocations_size(uint32_t count);

typedef struct subtoken_revocations_header {
  int64_t sequence; /* 1 to 2^63-1 */
  int64_t made;     /* 0 to SUBTOKEN_TIME_MAX */
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
} subtoken_revocations_header;

/* Write a snapshot of hashes that subtoken_revocations_sort has left (SUBTOKEN_FEED_ORDER
 * when they do not strictly ascend) under the first secret of the ring. out may be
 * anywhere but over the hashes; subtoken_revocations_size says how long it has to be.
 * digest (may be NULL) is what a heartbeat names it by. Nothing is written on failure.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_write(
    const subtoken_ring *ring, const subtoken_revocations_header *header, const uint64_t *hashes,
    uint32_t count, void *out, size_t out_size, uint8_t digest[SUBTOKEN_MAC_LEN]);

/* ---- the snapshot: reading ---- */

/* A snapshot that was checked, whole. Points into the bytes it was opened on, which may
 * lie anywhere, have to stay, and may not change (a file is replaced by rename, never
 * written over). Read-only: one serves all threads. All zero, it decides nothing.
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

/* Opening under way. Its members are the library's. */
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

/* How much of a snapshot is checked without a pause: some 0.1 ms with SHA instructions,
 * less than 1 ms without.
 */
#define SUBTOKEN_REVOCATIONS_SLICE 131072

/* Open a snapshot in steps, so that an event loop is never held. start looks at the header
 * alone and says SUBTOKEN_FEED_MORE, or what is wrong; each step checks at_most bytes more
 * (0: SUBTOKEN_REVOCATIONS_SLICE) and says SUBTOKEN_FEED_MORE until the last one says
 * SUBTOKEN_FEED_OK and fills *view, or what is wrong. Until then *view is zero. The work of
 * all steps is linear in len. What is wrong behind the header is said only when the MAC is
 * right, else SUBTOKEN_FEED_MAC. An opening that is given up needs no call; wipe it.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_revocations_start(subtoken_revocations_opening *opening, const subtoken_ring *ring,
                           const void *bytes, size_t len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_step(
    subtoken_revocations_opening *opening, size_t at_most, subtoken_revocations *view);

/* The same without pauses. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_open(
    const subtoken_ring *ring, const void *bytes, size_t len, subtoken_revocations *view);

/* Is this sub listed? SUBTOKEN_REVOKED when it is, SUBTOKEN_OK when not,
 * SUBTOKEN_REVOCATION_UNKNOWN when the view was never opened. Constant expected time, no memory
 * but the view's. A sub that was never revoked is taken for one that was once in
 * some 2^63 / count: an issuer that draws a new sub asks here first, and draws again.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_revocations_find(const subtoken_revocations *view, subtoken_text sub);

/* ---- a filter, for views that are large ---- */

/* Nearly every sub that is looked up is not listed. A filter says so for 31 of 32 of them from one
 * cache line, instead of two far apart in memory; the others are looked up as ever. It is worth
 * its memory from some hundred hashes on, and most in large pages.
 *
 *   size_t size = subtoken_revocations_filter_size(view.count);
 *   void *memory = calloc(1, size);
 *   uint32_t done = 0;
 *   while (memory != NULL && subtoken_revocations_filter_build(&view, memory, size, &done, 0) ==
 *          SUBTOKEN_FEED_MORE) {}
 *
 * subtoken_feed_file_poll (feed.h) does that by itself.
 */

/* Bytes for the filter of so many hashes: one a hash, and up to 8 more; 0 when no memory here can
 * be that large.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_revocations_filter_size(uint32_t count);

/* Build it for a view that was opened, at_most hashes a call (0: SUBTOKEN_REVOCATIONS_SLICE / 8).
 * memory is the caller's, aligned for uint64_t, zeroed before the first call (what else is in it
 * makes the filter worse, never wrong), of subtoken_revocations_filter_size(view->count) bytes at
 * least, and stays as long as the view and its copies are in use. *done: how many hashes are in it,
 * 0 before the first call.
 *   SUBTOKEN_FEED_MORE              call again; until it is whole the view does without
 *   SUBTOKEN_FEED_OK                the view uses it from now on
 *   SUBTOKEN_FEED_INVALID_ARGUMENT, SUBTOKEN_FEED_BUFFER_TOO_SMALL: nothing was done
 * No threads may be reading the view meanwhile.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_filter_build(
    subtoken_revocations *view, void *memory, size_t size, uint32_t *done, uint32_t at_most);

/* ---- the heartbeat ---- */

typedef struct subtoken_heartbeat {
  int64_t sequence; /* of the snapshot, 1 to 2^63-1 */
  int64_t time;     /* T: the issuer vouched for it then; 1 to SUBTOKEN_TIME_MAX */
  uint8_t digest[SUBTOKEN_MAC_LEN];
} subtoken_heartbeat;

/* Write one under the first secret of the ring. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_heartbeat_write(const subtoken_ring *ring, const subtoken_heartbeat *heartbeat,
                         uint8_t out[SUBTOKEN_HEARTBEAT_LEN]);

/* Check one: form and MAC. *heartbeat is zero unless it is SUBTOKEN_FEED_OK; whether it is to
 * be taken is for subtoken_feed_take to say.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_heartbeat_read(
    const subtoken_ring *ring, const void *bytes, size_t len, subtoken_heartbeat *heartbeat);

/* Between the bytes and the text form; neither trusts nor checks what they say. encode adds
 * a NUL; decode is strict (SUBTOKEN_FEED_LENGTH, SUBTOKEN_FEED_TEXT) and zeroes on failure.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_heartbeat_encode(
    const uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN], char out[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1]);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_heartbeat_decode(subtoken_text text, uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN]);

/* ---- what an edge keeps, and when it believes it ---- */

/* The snapshot in use and what is known of its freshness. Plain data. Set the first three
 * members, leave the others to the functions below. While threads read one, change a copy
 * and let them have that. All zero, it decides nothing.
 */
typedef struct subtoken_feed {
  int64_t leeway;   /* seconds by which the issuer's clock may be ahead; more than
                       SUBTOKEN_LEEWAY_MAX counts as that */
  int64_t max_age;  /* seconds after which data is too old to decide by */
  bool allow_old;   /* go on with data that is too old, instead of SUBTOKEN_REVOCATION_UNKNOWN */
  int64_t sequence; /* the highest that was taken; 0: none */
  int64_t time;     /* T of the last heartbeat; 0: none */
  int64_t grew;     /* monotonic time at which T last grew */
  subtoken_revocations snapshot; /* the one in use */
} subtoken_feed;

/* 60 s of leeway, 300 s of age; data that is older decides nothing. */
// clang-format off
#define SUBTOKEN_FEED_DEFAULT \
  { 60, 300, false, 0, 0, 0, {NULL, NULL, {0, 0}, 0, 0, {NULL, 0}, 0, 0, {0}, NULL, 0} }
// clang-format on

/* Times: now is the wall clock, monotonic a clock in seconds that never goes back
 * (CLOCK_BOOTTIME, or CLOCK_MONOTONIC). Both are taken as 0 to SUBTOKEN_TIME_MAX; so is
 * the leeway.
 */

/* After a restart: nothing below this sequence and this T is taken. For a feed that has
 * taken nothing yet (else SUBTOKEN_FEED_INVALID_ARGUMENT). Both may be 0.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_resume(subtoken_feed *feed,
                                                                            int64_t sequence,
                                                                            int64_t time,
                                                                            int64_t monotonic);

/* Take a snapshot with the heartbeat that names it, or with snapshot NULL a heartbeat for
 * the snapshot in use. In this order: SUBTOKEN_FEED_ABSENT (no snapshot at all),
 * SUBTOKEN_FEED_ROLLBACK, SUBTOKEN_FEED_REPLAY, SUBTOKEN_FEED_FUTURE, SUBTOKEN_FEED_PAIR (as
 * when one of the two files was just replaced: read both again). Anything but
 * SUBTOKEN_FEED_OK leaves *feed as it was. The same pair again is fine and changes nothing but
 * where the snapshot lies: *feed points into the bytes of the one given last.
 *
 * A T that lies further ahead than the leeway at the time of a call is void, though it was taken
 * before (a clock was wrong then, or is wrong now): it makes no later heartbeat a
 * SUBTOKEN_FEED_REPLAY, the functions below take no notice of it, and the data decides nothing
 * (SUBTOKEN_FEED_OLD) until a heartbeat is taken or that time has come. The sequence stays.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_feed_take(subtoken_feed *feed, const subtoken_revocations *snapshot,
                   const subtoken_heartbeat *heartbeat, int64_t now, int64_t monotonic);

/* Seconds, 0 or more: the larger of now - T and the monotonic time since T last grew, so
 * that neither a clock that stands nor heartbeats that were held back make it younger.
 * SUBTOKEN_TIME_MAX when nothing was taken, or T is void.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE int64_t subtoken_feed_age(const subtoken_feed *feed, int64_t now,
                                                            int64_t monotonic);

/* May it decide? SUBTOKEN_FEED_OK, SUBTOKEN_FEED_OLD_ALLOWED (yes, but say so),
 * SUBTOKEN_FEED_OLD, SUBTOKEN_FEED_ABSENT.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_feed_check(const subtoken_feed *feed, int64_t now, int64_t monotonic);

/* The time to judge tokens at (subtoken_request.now): now, but never earlier than T (unless that
 * is void), so that a clock set back does not bring expired tokens to life.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE int64_t subtoken_feed_now(const subtoken_feed *feed, int64_t now);

/* A feed and the time at which it is asked: what subtoken_feed_revoked is asked with. One a thread.
 */
typedef struct subtoken_feed_clock {
  const subtoken_feed *feed;
  int64_t now;
  int64_t monotonic;
} subtoken_feed_clock;

/* A subtoken_revoked_fn (verify.h); clock is a subtoken_feed_clock. SUBTOKEN_REVOCATION_UNKNOWN
 * when the feed may not decide, else what subtoken_revocations_find says.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_feed_revoked(void *clock,
                                                                        subtoken_text sub);

#ifdef __cplusplus
}
#endif

#endif
