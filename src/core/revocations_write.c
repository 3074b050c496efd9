/* Sorts hashes, and writes a snapshot of them. subtoken/revocations.h describes the bytes;
 * revocations.c opens them.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/impossible.h"
#include "core/revocations_format.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

/* ---- sorting ---- */

#define FEW 32

static void sort_few(uint64_t *hashes, uint32_t count) {
  for (uint32_t i = 1; i < count; i++) {
    uint64_t hash = hashes[i];
    uint32_t at = i;
    for (; at > 0 && hashes[at - 1] > hash; at--) hashes[at] = hashes[at - 1];
    hashes[at] = hash;
  }
}

static inline size_t byte_of(uint64_t hash, unsigned shift) {
  return (size_t)(hash >> shift & 0xFF);
}

/* Groups the hashes by a byte, in place. end[b] is the end of the group of b. */
static void partition(uint64_t *hashes, uint32_t count, unsigned shift, uint32_t end[256]) {
  uint32_t next[256];
  uint32_t sum = 0;
  memset(end, 0, 256 * sizeof *end);
  for (uint32_t i = 0; i < count; i++) end[byte_of(hashes[i], shift)]++;
  for (size_t b = 0; b < 256; b++) {
    next[b] = sum;
    sum += end[b];
    end[b] = sum;
  }
  for (size_t b = 0; b < 256; b++) {
    while (next[b] < end[b]) {
      uint64_t hash = hashes[next[b]];
      for (size_t its = byte_of(hash, shift); its != b; its = byte_of(hash, shift)) {
        uint64_t there = hashes[next[its]];
        hashes[next[its]++] = hash;
        hash = there;
      }
      hashes[next[b]++] = hash;
    }
  }
}

/* Sorts by the byte at shift and those below it. It calls itself at most seven levels deep. */
static void sort_from(uint64_t *hashes, uint32_t count, unsigned shift) {
  uint32_t end[256];
  if (count <= FEW) {
    sort_few(hashes, count);
    return;
  }
  partition(hashes, count, shift, end);
  if (shift == 0) return;
  for (size_t b = 0; b < 256; b++) {
    uint32_t from = b == 0 ? 0 : end[b - 1];
    sort_from(hashes + from, end[b] - from, shift - 8);
  }
}

uint32_t subtoken_revocations_sort(uint64_t *hashes, uint32_t count) {
  if (hashes == NULL || count == 0) return 0;
  sort_from(hashes, count, 56);
  uint32_t kept = 1;
  for (uint32_t i = 1; i < count; i++) {
    if (hashes[i] != hashes[kept - 1]) hashes[kept++] = hashes[i];
  }
  return kept;
}

/* ---- writing ---- */

static subtoken_feed_result write_check(const subtoken_ring *ring,
                                        const subtoken_revocations_header *header,
                                        const uint64_t *hashes, uint32_t count, const void *out,
                                        size_t out_size) {
  if (ring == NULL || header == NULL || out == NULL || (hashes == NULL && count > 0)) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  if (header->sequence < 1 || header->made < 0 || header->made > SUBTOKEN_TIME_MAX) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  if (ring->count == 0 || ring->secrets[0].header_len == 0) return SUBTOKEN_FEED_NO_SECRET;
  size_t size = subtoken_revocations_size(count); /* 0: no memory is large enough */
  if (size - 1 >= out_size) return SUBTOKEN_FEED_BUFFER_TOO_SMALL;
  for (uint32_t i = 1; i < count; i++) {
    if (hashes[i] <= hashes[i - 1]) return SUBTOKEN_FEED_ORDER;
  }
  return SUBTOKEN_FEED_OK;
}

/* Writes the index and the hashes. */
static void write_lists(const uint64_t *hashes, uint32_t count, uint8_t bits, uint8_t *out) {
  uint8_t *at = out + ST_FEED_HEAD_LEN, *list = out + st_snapshot_hashes_at(bits);
  uint64_t prefix = 0;
  for (uint32_t i = 0; i < count; i++) {
    for (; prefix <= hashes[i] >> (64 - bits); prefix++, at += 4) st_store32(at, i);
    st_store64(list + 8 * (size_t)i, hashes[i]);
  }
  for (; prefix <= UINT64_C(1) << bits; prefix++, at += 4) st_store32(at, count);
  st_store32(at, 0);
}

subtoken_feed_result subtoken_revocations_write(const subtoken_ring *ring,
                                                const subtoken_revocations_header *header,
                                                const uint64_t *hashes, uint32_t count, void *out,
                                                size_t out_size, uint8_t digest[SUBTOKEN_MAC_LEN]) {
  subtoken_feed_result result = write_check(ring, header, hashes, count, out, out_size);
  if (result != SUBTOKEN_FEED_OK) return result;
  uint8_t *bytes = out, bits = st_snapshot_bits(count);
  size_t size = subtoken_revocations_size(count), signed_len = size - SUBTOKEN_MAC_LEN;
  const subtoken_secret *secret = &ring->secrets[0];
  st_revocations_format_write_head(secret, ST_SNAPSHOT_MAGIC, header->sequence, header->made,
                                   bytes);
  bytes[ST_FEED_BITS] = bits;
  st_store64(bytes + ST_SNAPSHOT_LEN, size);
  st_store32(bytes + ST_SNAPSHOT_COUNT, count);
  memcpy(bytes + ST_SNAPSHOT_KEY, header->hash_key, SUBTOKEN_HASH_KEY_LEN);
  write_lists(hashes, count, bits, bytes);
  subtoken_mac mac;
  bool set = subtoken_mac_start(&mac, secret) == SUBTOKEN_OK;
  if (st_impossible(!set, "write_check has seen that it is")) return SUBTOKEN_FEED_NO_SECRET;
  subtoken_mac_update(&mac, bytes, signed_len);
  subtoken_mac_finish(&mac, bytes + signed_len);
  if (digest != NULL) memcpy(digest, bytes + signed_len, SUBTOKEN_MAC_LEN);
  return SUBTOKEN_FEED_OK;
}

subtoken_feed_result st_revocations_write_resigned(const subtoken_secret *secret,
                                                   const uint8_t *bytes, size_t len,
                                                   uint8_t head[ST_FEED_HEAD_LEN],
                                                   uint8_t mac[SUBTOKEN_MAC_LEN]) {
  subtoken_mac state;
  if (len < ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN) return SUBTOKEN_FEED_LENGTH;
  if (subtoken_mac_start(&state, secret) != SUBTOKEN_OK) return SUBTOKEN_FEED_NO_SECRET;
  memcpy(head, bytes, ST_FEED_HEAD_LEN);
  head[ST_FEED_KID_LEN] = secret->kid_len;
  memset(head + ST_FEED_KID, 0, SUBTOKEN_KID_MAX);
  memcpy(head + ST_FEED_KID, secret->kid, secret->kid_len);
  subtoken_mac_update(&state, head, ST_FEED_HEAD_LEN);
  subtoken_mac_update(&state, bytes + ST_FEED_HEAD_LEN, len - ST_FEED_HEAD_LEN - SUBTOKEN_MAC_LEN);
  subtoken_mac_finish(&state, mac);
  return SUBTOKEN_FEED_OK;
}
