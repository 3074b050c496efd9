/* Opens a snapshot of the revocation data in steps, and looks up subs in it. subtoken/revocations.h
 * describes the bytes and the hash; revocations_write.c writes them, revocations_feed.c decides
 * whether a snapshot is fresh.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/impossible.h"
#include "core/revocations_format.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

/* ---- the hash ---- */

/* The constants are hexadecimal digits of pi. They keep the factors large when the key has many
 * zero bits. */
static inline void read_hash_key(const uint8_t key[SUBTOKEN_HASH_KEY_LEN], uint64_t words[2]) {
  words[0] = st_load64(key) ^ UINT64_C(0x243F6A8885A308D3);
  words[1] = st_load64(key + 8) ^ UINT64_C(0x13198A2E03707344);
}

typedef struct two_words {
  uint64_t low, high;
} two_words;

/* Loads fewer than 16 bytes, with zeros behind them. */
static two_words load_few(const uint8_t *data, size_t len) {
  two_words last = {0, 0};
  for (size_t i = 0; i < len && i < 8; i++) last.low |= (uint64_t)data[i] << (8 * i);
  for (size_t i = 8; i < len; i++) last.high |= (uint64_t)data[i] << (8 * (i - 8));
  return last;
}

/* The last 16 bytes are hashed last, also when some of them were hashed before. So all pieces have
 * 16 bytes unless the data is shorter, and the length tells the cases apart. */
static inline uint64_t hash_of(const uint64_t key[2], const uint8_t *data, size_t len) {
  uint64_t h = key[0];
  two_words last;
  if (len >= 16) {
    const uint8_t *end = data + len - 16;
    for (; data < end; data += 16) h = st_fold(st_load64(data) ^ key[1], st_load64(data + 8) ^ h);
    last = (two_words){st_load64(end), st_load64(end + 8)};
  } else {
    last = load_few(data, len);
  }
  h = st_fold(last.low ^ key[1], last.high ^ h);
  return st_fold(h ^ key[1], len ^ key[0]);
}

uint64_t subtoken_revocations_hash(const uint8_t key[SUBTOKEN_HASH_KEY_LEN], subtoken_text sub) {
  uint64_t words[2];
  read_hash_key(key, words);
  return hash_of(words, (const uint8_t *)sub.data, sub.len);
}

/* ---- the lookup ---- */

static inline bool filter_may_have(const subtoken_revocations *view, uint64_t hash) {
  uint64_t bits = st_filter_bits(hash);
  return (view->filter[st_filter_word(hash, view->filter_words)] & bits) == bits;
}

/* A linear search is faster than a binary one here, because the time is spent waiting for memory
 * and the next cache line is prefetched. Buckets of random hashes are short; for others, a binary
 * search first brings the range down to 32 hashes. */
static __attribute__((noinline)) bool is_listed(const subtoken_revocations *view, uint64_t hash) {
  const uint8_t *bucket = view->index + 4 * (size_t)(hash >> view->shift);
  const uint8_t *low = view->hashes + 8 * (size_t)st_load32(bucket);
  const uint8_t *high = view->hashes + 8 * (size_t)st_load32(bucket + 4);
  while (high - low > 256) {
    const uint8_t *middle = low + (high - low) / 16 * 8;
    if (st_load64(middle) <= hash) {
      low = middle;
    } else {
      high = middle;
    }
  }
  for (; low < high; low += 8) {
    uint64_t listed = st_load64(low);
    if (listed >= hash) return listed == hash;
  }
  return false;
}

static inline bool is_text(subtoken_text name) {
  return name.data != NULL || name.len == 0;
}

subtoken_result subtoken_revocations_find(const subtoken_revocations *view, subtoken_text sub) {
  if (view == NULL || view->index == NULL || !is_text(sub)) return SUBTOKEN_REVOCATION_UNKNOWN;
  uint64_t hash = hash_of(view->key, (const uint8_t *)sub.data, sub.len);
  if (view->filter != NULL && !filter_may_have(view, hash)) return SUBTOKEN_OK;
  return is_listed(view, hash) ? SUBTOKEN_REVOKED : SUBTOKEN_OK;
}

#define FIND_AT_ONCE (SUBTOKEN_VIA_MAX + 2) /* as many names as a token has */

/* Asks the memory for the buckets of all names before it looks into the first. */
static __attribute__((noinline)) subtoken_result find_in_index(const subtoken_revocations *view,
                                                               const subtoken_text *names,
                                                               size_t count) {
  uint64_t hashes[FIND_AT_ONCE];
  for (size_t i = 0; i < count; i++) {
    if (!is_text(names[i])) return SUBTOKEN_REVOCATION_UNKNOWN;
    hashes[i] = hash_of(view->key, (const uint8_t *)names[i].data, names[i].len);
    __builtin_prefetch(view->index + 4 * (size_t)(hashes[i] >> view->shift));
  }
  for (size_t i = 0; i < count; i++) {
    if (is_listed(view, hashes[i])) return SUBTOKEN_REVOKED;
  }
  return SUBTOKEN_OK;
}

/* hash_of for the length of a tid. */
static inline uint64_t hash_of_tid(const uint64_t key[2], const uint8_t *tid) {
  uint64_t h = st_fold(st_load64(tid) ^ key[1], st_load64(tid + 8) ^ key[0]);
  return st_fold(h ^ key[1], SUBTOKEN_TID_LEN ^ key[0]);
}

/* The words of a filter do not depend on each other: the processor asks for the next one while it
 * waits for the first. */
static inline subtoken_result find_in_filter(const subtoken_revocations *view,
                                             const subtoken_text *names, size_t count) {
  for (const subtoken_text *name = names, *end = names + count; name < end; name++) {
    const uint8_t *data = (const uint8_t *)name->data;
    if (!is_text(*name)) return SUBTOKEN_REVOCATION_UNKNOWN;
    uint64_t hash = name->len == SUBTOKEN_TID_LEN ? hash_of_tid(view->key, data)
                                                  : hash_of(view->key, data, name->len);
    if (filter_may_have(view, hash) && is_listed(view, hash)) return SUBTOKEN_REVOKED;
  }
  return SUBTOKEN_OK;
}

subtoken_result subtoken_revocations_find_any(const subtoken_revocations *view,
                                              const subtoken_text *names, size_t count) {
  subtoken_result result = SUBTOKEN_OK;
  if (view == NULL || view->index == NULL || (names == NULL && count > 0)) {
    return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  if (view->filter != NULL) return find_in_filter(view, names, count);
  for (size_t done = 0; done < count && result == SUBTOKEN_OK; done += FIND_AT_ONCE) {
    size_t left = count - done;
    result = find_in_index(view, names + done, left < FIND_AT_ONCE ? left : FIND_AT_ONCE);
  }
  return result;
}

/* ---- opening ---- */

/* Reads the fields that only a snapshot has, and checks its lengths against its count. */
static subtoken_feed_result read_snapshot_head(const subtoken_ring *ring, const uint8_t *bytes,
                                               size_t len, subtoken_revocations *view,
                                               st_feed_head *head) {
  subtoken_feed_result result =
      st_revocations_format_read_head(ring, ST_SNAPSHOT_MAGIC, bytes, head);
  if (result != SUBTOKEN_FEED_OK) return result;
  view->count = st_load32(bytes + ST_SNAPSHOT_COUNT);
  uint8_t bits = st_snapshot_bits(view->count);
  if (bytes[ST_FEED_BITS] != bits || !st_revocations_format_is_zero(bytes + ST_SNAPSHOT_ZERO, 4)) {
    return SUBTOKEN_FEED_FORM;
  }
  if (st_load64(bytes + ST_SNAPSHOT_LEN) != len || subtoken_revocations_size(view->count) != len) {
    return SUBTOKEN_FEED_LENGTH;
  }
  view->shift = (uint8_t)(64 - bits);
  view->sequence = head->sequence;
  view->made = head->time;
  view->kid = head->kid;
  read_hash_key(bytes + ST_SNAPSHOT_KEY, view->key);
  return SUBTOKEN_FEED_OK;
}

subtoken_feed_result subtoken_revocations_start(subtoken_revocations_opening *opening,
                                                const subtoken_ring *ring, const void *bytes,
                                                size_t len) {
  st_feed_head head;
  if (opening == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  memset(opening, 0, sizeof *opening);
  if (ring == NULL || (bytes == NULL && len > 0)) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  if (len < ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN) return SUBTOKEN_FEED_LENGTH;
  subtoken_feed_result result = read_snapshot_head(ring, bytes, len, &opening->view, &head);
  if (result != SUBTOKEN_FEED_OK) {
    memset(opening, 0, sizeof *opening);
    return result;
  }
  opening->bytes = bytes;
  opening->signed_len = len - SUBTOKEN_MAC_LEN;
  bool set = subtoken_mac_start(&opening->mac, head.secret) == SUBTOKEN_OK;
  if (st_impossible(!set, "a secret that is found is set")) return SUBTOKEN_FEED_KID;
  opening->open = true;
  return SUBTOKEN_FEED_MORE;
}

/* The number of whole items of this size, from offset `at` on, in the bytes that were processed. */
static uint32_t items_done(const subtoken_revocations_opening *opening, size_t at, size_t size,
                           uint32_t most) {
  if (opening->done < at) return 0;
  size_t items = (opening->done - at) / size;
  return items < most ? (uint32_t)items : most;
}

/* Checks that the index starts with 0, never falls, and ends with the count and a 0. */
static void check_index(subtoken_revocations_opening *opening, uint8_t bits) {
  const uint8_t *index = opening->bytes + ST_FEED_HEAD_LEN;
  uint32_t numbers = st_snapshot_numbers(bits), last = (uint32_t)opening->last;
  uint32_t to = items_done(opening, ST_FEED_HEAD_LEN, 4, numbers);
  if (opening->indexed == to) return;
  bool falls = opening->misindexed;
  for (uint32_t i = opening->indexed; i < to && i < numbers - 1; i++) {
    uint32_t next = st_load32(index + 4 * (size_t)i);
    falls |= next < last;
    last = next;
  }
  opening->misindexed = falls;
  opening->indexed = to;
  opening->last = last;
  if (to < numbers) return;
  const uint8_t *end = index + 4 * ((size_t)numbers - 2);
  opening->misindexed |=
      st_load32(index) != 0 || last != opening->view.count || st_load32(end + 4) != 0;
  opening->last = 0;
}

/* Checks that each hash is larger than the one before, and lies where the index says. The index is
 * read by the hash and not followed, so that a wrong one is safe. Reading stops at a hash that does
 * not ascend. */
static void check_hashes(subtoken_revocations_opening *opening, uint8_t bits) {
  size_t at = st_snapshot_hashes_at(bits);
  uint32_t to = items_done(opening, at, 8, opening->view.count);
  uint64_t last = opening->last;
  bool falls = opening->disordered, elsewhere = opening->misindexed;
  for (uint32_t i = opening->listed; i < to && !falls; i++) {
    uint64_t hash = st_load64(opening->bytes + at + 8 * (size_t)i);
    const uint8_t *bucket =
        opening->bytes + ST_FEED_HEAD_LEN + 4 * (size_t)(hash >> opening->view.shift);
    uint32_t low = st_load32(bucket), high = st_load32(bucket + 4);
    falls |= hash <= last && i > 0;
    elsewhere |= i < low || i >= high;
    last = hash;
  }
  if (opening->listed == to) return;
  opening->disordered = falls;
  opening->misindexed = elsewhere;
  opening->listed = to;
  opening->last = last;
}

static subtoken_feed_result opening_result(const subtoken_revocations_opening *opening,
                                           const uint8_t right[SUBTOKEN_MAC_LEN]) {
  const uint8_t *given = opening->bytes + opening->signed_len;
  if (!st_equal_secret(right, given, SUBTOKEN_MAC_LEN)) return SUBTOKEN_FEED_MAC;
  if (opening->disordered) return SUBTOKEN_FEED_ORDER;
  return opening->misindexed ? SUBTOKEN_FEED_INDEX : SUBTOKEN_FEED_OK;
}

static subtoken_feed_result finish_opening(subtoken_revocations_opening *opening, uint8_t bits,
                                           subtoken_revocations *view) {
  uint8_t right[SUBTOKEN_MAC_LEN];
  subtoken_mac_finish(&opening->mac, right);
  subtoken_feed_result result = opening_result(opening, right);
  if (result == SUBTOKEN_FEED_OK) {
    *view = opening->view;
    view->index = opening->bytes + ST_FEED_HEAD_LEN;
    view->hashes = opening->bytes + st_snapshot_hashes_at(bits);
    memcpy(view->digest, right, sizeof right);
  }
  subtoken_wipe(right, sizeof right); /* the right MAC of wrong data is a forgery */
  subtoken_wipe(opening, sizeof *opening);
  return result;
}

subtoken_feed_result subtoken_revocations_step(subtoken_revocations_opening *opening,
                                               size_t at_most, subtoken_revocations *view) {
  if (view == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  memset(view, 0, sizeof *view);
  if (opening == NULL || !opening->open) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  size_t left = opening->signed_len - opening->done;
  size_t slice = at_most > 0 ? at_most : SUBTOKEN_REVOCATIONS_SLICE;
  if (slice > left) slice = left;
  subtoken_mac_update(&opening->mac, opening->bytes + opening->done, slice);
  opening->done += slice;
  uint8_t bits = (uint8_t)(64 - opening->view.shift);
  check_index(opening, bits);
  check_hashes(opening, bits);
  return slice < left ? SUBTOKEN_FEED_MORE : finish_opening(opening, bits, view);
}

subtoken_feed_result subtoken_revocations_open(const subtoken_ring *ring, const void *bytes,
                                               size_t len, subtoken_revocations *view) {
  subtoken_revocations_opening opening;
  if (view == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  memset(view, 0, sizeof *view);
  subtoken_feed_result result = subtoken_revocations_start(&opening, ring, bytes, len);
  while (result == SUBTOKEN_FEED_MORE) result = subtoken_revocations_step(&opening, 0, view);
  return result;
}
