/* The heartbeat, and the decision which snapshot an edge uses and until when it may decide with it.
 * It is pure: feed/feed_file.c reads the files, and times are arguments.
 */
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "base/impossible.h"
#include "core/revocations_format.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

/* ---- the heartbeat ---- */

#define HEARTBEAT_SIGNED (SUBTOKEN_HEARTBEAT_LEN - SUBTOKEN_MAC_LEN)

_Static_assert(HEARTBEAT_SIGNED == ST_FEED_HEAD_LEN, "a heartbeat is a head and its MAC");
_Static_assert(ST_BASE64URL_LEN(SUBTOKEN_HEARTBEAT_LEN) == SUBTOKEN_HEARTBEAT_TEXT_LEN,
               "the length of the text form");

static bool heartbeat_in_bounds(const subtoken_heartbeat *heartbeat) {
  return heartbeat->sequence >= 1 && heartbeat->time >= 1 && heartbeat->time <= SUBTOKEN_TIME_MAX;
}

subtoken_feed_result subtoken_heartbeat_write(const subtoken_ring *ring,
                                              const subtoken_heartbeat *heartbeat,
                                              uint8_t out[SUBTOKEN_HEARTBEAT_LEN]) {
  if (ring == NULL || heartbeat == NULL || out == NULL || !heartbeat_in_bounds(heartbeat)) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  if (ring->count == 0 || ring->secrets[0].header_len == 0) return SUBTOKEN_FEED_NO_SECRET;
  const subtoken_secret *secret = &ring->secrets[0];
  st_revocations_format_write_head(secret, ST_HEARTBEAT_MAGIC, heartbeat->sequence, heartbeat->time,
                                   out);
  memcpy(out + ST_HEARTBEAT_DIGEST, heartbeat->digest, SUBTOKEN_MAC_LEN);
  st_hmac(secret, out, HEARTBEAT_SIGNED, out + HEARTBEAT_SIGNED);
  return SUBTOKEN_FEED_OK;
}

subtoken_feed_result subtoken_heartbeat_read(const subtoken_ring *ring, const void *bytes,
                                             size_t len, subtoken_heartbeat *heartbeat) {
  st_feed_head head;
  const uint8_t *from = bytes;
  if (heartbeat == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  memset(heartbeat, 0, sizeof *heartbeat);
  if (ring == NULL || (bytes == NULL && len > 0)) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  if (len != SUBTOKEN_HEARTBEAT_LEN) return SUBTOKEN_FEED_LENGTH;
  subtoken_feed_result result =
      st_revocations_format_read_head(ring, ST_HEARTBEAT_MAGIC, from, &head);
  if (result != SUBTOKEN_FEED_OK) return result;
  if (from[ST_FEED_BITS] != 0 || head.time == 0) return SUBTOKEN_FEED_FORM;
  if (subtoken_mac_check(head.secret, from, HEARTBEAT_SIGNED, from + HEARTBEAT_SIGNED) !=
      SUBTOKEN_OK) {
    return SUBTOKEN_FEED_MAC;
  }
  heartbeat->sequence = head.sequence;
  heartbeat->time = head.time;
  memcpy(heartbeat->digest, from + ST_HEARTBEAT_DIGEST, SUBTOKEN_MAC_LEN);
  return SUBTOKEN_FEED_OK;
}

subtoken_feed_result subtoken_heartbeat_encode(const uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN],
                                               char out[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1]) {
  if (bytes == NULL || out == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  st_writer writer = st_writer_on(out, SUBTOKEN_HEARTBEAT_TEXT_LEN + 1);
  st_base64url_write(&writer, bytes, SUBTOKEN_HEARTBEAT_LEN);
  bool cut = !st_writer_end(&writer);
  return st_impossible(cut, "it has its length") ? SUBTOKEN_FEED_BUFFER_TOO_SMALL
                                                 : SUBTOKEN_FEED_OK;
}

subtoken_feed_result subtoken_heartbeat_decode(subtoken_text text,
                                               uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN]) {
  size_t len;
  if (bytes == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  memset(bytes, 0, SUBTOKEN_HEARTBEAT_LEN);
  if (text.data == NULL && text.len > 0) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  if (text.len != SUBTOKEN_HEARTBEAT_TEXT_LEN) return SUBTOKEN_FEED_LENGTH;
  if (st_base64url_decode(text, bytes, SUBTOKEN_HEARTBEAT_LEN, &len)) return SUBTOKEN_FEED_OK;
  memset(bytes, 0, SUBTOKEN_HEARTBEAT_LEN);
  return SUBTOKEN_FEED_TEXT;
}

/* ---- which data is accepted ---- */

/* Limits a time to its range, so that no sum or difference overflows. */
static int64_t clamp_time(int64_t time) {
  if (time < 0) return 0;
  return time > SUBTOKEN_TIME_MAX ? SUBTOKEN_TIME_MAX : time;
}

static int64_t later_time(int64_t a, int64_t b) {
  return a > b ? a : b;
}

subtoken_feed_result subtoken_feed_resume(subtoken_feed *feed, int64_t sequence, int64_t time,
                                          int64_t monotonic) {
  if (feed == NULL || sequence < 0 || time < 0 || time > SUBTOKEN_TIME_MAX) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  if (feed->sequence != 0 || feed->time != 0) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  feed->sequence = sequence;
  feed->time = time;
  feed->grew = clamp_time(monotonic);
  return SUBTOKEN_FEED_OK;
}

/* The leeway, limited to its range. */
static int64_t leeway_of(const subtoken_feed *feed) {
  int64_t leeway = clamp_time(feed->leeway);
  return leeway < SUBTOKEN_LEEWAY_MAX ? leeway : SUBTOKEN_LEEWAY_MAX;
}

/* Is T later than now plus the leeway? Then a clock was wrong when it was accepted, or is wrong
 * now, and it does not count. */
static bool is_void(const subtoken_feed *feed, int64_t now) {
  return feed->time > clamp_time(now) + leeway_of(feed);
}

/* Is a heartbeat with this time older than the accepted one? Not when T is ahead by more than the
 * leeway, or by more than max_age when the leeway is larger than that. */
static bool is_replay(const subtoken_feed *feed, int64_t time, int64_t now) {
  int64_t ahead = leeway_of(feed), age = clamp_time(feed->max_age);
  return time < feed->time && feed->time <= clamp_time(now) + (age < ahead ? age : ahead);
}

static void accept_snapshot(subtoken_feed *feed, const subtoken_revocations *snapshot,
                            const subtoken_heartbeat *heartbeat, int64_t monotonic) {
  if (snapshot != &feed->snapshot) feed->snapshot = *snapshot;
  feed->sequence = heartbeat->sequence;
  if (heartbeat->time != feed->time) feed->grew = clamp_time(monotonic);
  feed->time = heartbeat->time;
}

subtoken_feed_result subtoken_feed_take(subtoken_feed *feed, const subtoken_revocations *snapshot,
                                        const subtoken_heartbeat *heartbeat, int64_t now,
                                        int64_t monotonic) {
  if (feed == NULL || heartbeat == NULL || !heartbeat_in_bounds(heartbeat) ||
      (snapshot != NULL && snapshot->index == NULL)) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  if (snapshot == NULL) snapshot = &feed->snapshot;
  if (snapshot->index == NULL) return SUBTOKEN_FEED_ABSENT;
  if (heartbeat->sequence < feed->sequence || snapshot->sequence < feed->sequence) {
    return SUBTOKEN_FEED_ROLLBACK;
  }
  if (is_replay(feed, heartbeat->time, now)) return SUBTOKEN_FEED_REPLAY;
  if (heartbeat->time > clamp_time(now) + leeway_of(feed)) return SUBTOKEN_FEED_FUTURE;
  if (heartbeat->sequence != snapshot->sequence ||
      memcmp(heartbeat->digest, snapshot->digest, SUBTOKEN_MAC_LEN) != 0) {
    return SUBTOKEN_FEED_PAIR;
  }
  accept_snapshot(feed, snapshot, heartbeat, monotonic);
  return SUBTOKEN_FEED_OK;
}

/* ---- may the data decide now ---- */

int64_t subtoken_feed_now(const subtoken_feed *feed, int64_t now) {
  if (feed == NULL || is_void(feed, now)) return clamp_time(now);
  return later_time(clamp_time(now), feed->time);
}

/* Each request needs these two. They are static so that the call is direct, and not through the
 * table by which a program can replace exported functions. */
static inline int64_t feed_age(const subtoken_feed *feed, int64_t now, int64_t monotonic) {
  if (feed->time == 0) return SUBTOKEN_TIME_MAX;
  int64_t by_clock = clamp_time(now) - feed->time, by_growth = clamp_time(monotonic) - feed->grew;
  /* Only a T that is ahead can be void. */
  if (by_clock < 0 && is_void(feed, now)) return SUBTOKEN_TIME_MAX;
  return later_time(0, later_time(by_clock, by_growth));
}

static inline subtoken_feed_result check_feed(const subtoken_feed *feed, int64_t now,
                                              int64_t monotonic) {
  if (feed == NULL || feed->snapshot.index == NULL) return SUBTOKEN_FEED_ABSENT;
  int64_t old = feed_age(feed, now, monotonic);
  if (old <= feed->max_age && old < SUBTOKEN_TIME_MAX) return SUBTOKEN_FEED_OK;
  return feed->allow_old ? SUBTOKEN_FEED_OLD_ALLOWED : SUBTOKEN_FEED_OLD;
}

int64_t subtoken_feed_age(const subtoken_feed *feed, int64_t now, int64_t monotonic) {
  return feed == NULL ? SUBTOKEN_TIME_MAX : feed_age(feed, now, monotonic);
}

subtoken_feed_result subtoken_feed_check(const subtoken_feed *feed, int64_t now,
                                         int64_t monotonic) {
  return check_feed(feed, now, monotonic);
}

subtoken_result subtoken_feed_revoked(void *clock, const subtoken_text *names, size_t count) {
  const subtoken_feed_clock *at = clock;
  if (at == NULL) return SUBTOKEN_REVOCATION_UNKNOWN;
  subtoken_feed_result result = check_feed(at->feed, at->now, at->monotonic);
  if (result != SUBTOKEN_FEED_OK && result != SUBTOKEN_FEED_OLD_ALLOWED)
    return SUBTOKEN_REVOCATION_UNKNOWN;
  return subtoken_revocations_find_any(&at->feed->snapshot, names, count);
}

/* ---- names and sentences ---- */

static const char bad[] = "feed_bad", rollback[] = "feed_rollback", stale[] = "feed_stale";

static const struct {
  const char *name;
  const char *event;
  const char *text;
} results[] = {
    [SUBTOKEN_FEED_UNDECIDED] = {"undecided", NULL, "nothing was decided"},
    [SUBTOKEN_FEED_OK] = {"ok", NULL, "it is good"},
    [SUBTOKEN_FEED_MORE] = {"more", NULL, "it is not checked completely yet"},
    [SUBTOKEN_FEED_LENGTH] = {"length", bad, "it is cut short, or longer than it says"},
    [SUBTOKEN_FEED_MAGIC] = {"magic", bad, "it is another kind of file"},
    [SUBTOKEN_FEED_VERSION] = {"version", bad, "its version is not known"},
    [SUBTOKEN_FEED_FORM] = {"form", bad, "a field of its head is out of range"},
    [SUBTOKEN_FEED_KID] = {"kid", bad, "the ring has no secret with its kid"},
    [SUBTOKEN_FEED_MAC] = {"mac", bad, "it was changed, or made with another secret"},
    [SUBTOKEN_FEED_INDEX] = {"index", bad, "its index does not describe its hashes"},
    [SUBTOKEN_FEED_ORDER] = {"order", bad, "its hashes do not ascend"},
    [SUBTOKEN_FEED_TEXT] = {"text", bad, "it is not base64url"},
    [SUBTOKEN_FEED_IO] = {"io", bad, "a file cannot be read"},
    [SUBTOKEN_FEED_PAIR] = {"pair", bad, "the heartbeat names another snapshot"},
    [SUBTOKEN_FEED_FUTURE] = {"future", bad, "the heartbeat is from the future"},
    [SUBTOKEN_FEED_REPLAY] = {"replay", rollback, "the heartbeat is older than one before it"},
    [SUBTOKEN_FEED_ROLLBACK] = {"rollback", rollback, "its sequence is lower than one before it"},
    [SUBTOKEN_FEED_ABSENT] = {"absent", stale, "there is no snapshot with its heartbeat yet"},
    [SUBTOKEN_FEED_OLD] = {"old", stale, "the last heartbeat is too old"},
    [SUBTOKEN_FEED_OLD_ALLOWED] = {"old_allowed", stale,
                                   "the last heartbeat is too old, and old data is allowed"},
    [SUBTOKEN_FEED_INVALID_ARGUMENT] = {"invalid_argument", NULL, "invalid argument"},
    [SUBTOKEN_FEED_BUFFER_TOO_SMALL] = {"buffer_too_small", NULL, "it does not fit"},
    [SUBTOKEN_FEED_TOO_LARGE] = {"too_large", bad, "it is larger than the limit"},
    [SUBTOKEN_FEED_NO_SECRET] = {"no_secret", NULL, "the ring is empty"},
};

#define RESULTS (sizeof results / sizeof results[0])

const char *subtoken_feed_result_name(subtoken_feed_result result) {
  return (size_t)result < RESULTS ? results[result].name : "unknown";
}

const char *subtoken_feed_result_text(subtoken_feed_result result) {
  return (size_t)result < RESULTS ? results[result].text : "unknown";
}

const char *subtoken_feed_result_event(subtoken_feed_result result) {
  return (size_t)result < RESULTS ? results[result].event : NULL;
}
