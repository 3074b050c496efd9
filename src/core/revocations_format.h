/* revocations_format - what reading and writing a snapshot share: the offsets of its fields
 * (subtoken/revocations.h describes them), the parts of the hash, and the filter. */
#ifndef ST_CORE_REVOCATIONS_FORMAT_H
#define ST_CORE_REVOCATIONS_FORMAT_H

#include "base/bytes.h"
#include "subtoken/revocations.h"

#define ST_SNAPSHOT_MAGIC "ST-REVOC"
#define ST_HEARTBEAT_MAGIC "ST-ALIVE"

enum {
  /* of both */
  ST_FEED_VERSION = 8,
  ST_FEED_BITS = 12,
  ST_FEED_KID_LEN = 13,
  ST_FEED_ZERO = 14,
  ST_FEED_SEQUENCE = 16,
  ST_FEED_TIME = 24,
  ST_FEED_KID = 64,
  ST_FEED_HEAD_LEN = 128,
  /* of a heartbeat */
  ST_HEARTBEAT_DIGEST = 32,
  /* of a snapshot */
  ST_SNAPSHOT_LEN = 32,
  ST_SNAPSHOT_COUNT = 40,
  ST_SNAPSHOT_ZERO = 44,
  ST_SNAPSHOT_KEY = 48,
};

/* The upper half of a product of 128 bits xor its lower half, which the hash is made of. The second
 * function has it, with the first for machines without such a product. */
static inline uint64_t st_fold_by_halves(uint64_t a, uint64_t b) {
  uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
  uint64_t one = a1 * b0 + (a0 * b0 >> 32), two = a0 * b1 + (one & UINT32_MAX);
  return (a1 * b1 + (one >> 32) + (two >> 32)) ^ a * b;
}
static inline uint64_t st_fold(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)(product >> 64) ^ (uint64_t)product;
#else
  return st_fold_by_halves(a, b);
#endif
}

/* The bits of the prefix in a snapshot with this number of hashes: 1 to 29. */
static inline uint8_t st_snapshot_bits(uint32_t count) {
  uint8_t bits = 1;
  while (count > UINT64_C(8) << bits) bits++;
  return bits;
}
/* The number of numbers in its index, with the 0 at the end. */
static inline uint32_t st_snapshot_numbers(uint8_t bits) {
  return (UINT32_C(1) << bits) + 2;
}
static inline size_t st_snapshot_hashes_at(uint8_t bits) {
  return ST_FEED_HEAD_LEN + 4 * (size_t)st_snapshot_numbers(bits);
}

/* The filter: words of 64 bits, with 8 hashes each on average. A hash selects a word by its high
 * bits and four bits of it by its low bits. Ascending hashes select ascending words. */
static inline size_t st_filter_word(uint64_t hash, uint32_t words) {
  return (size_t)((hash >> 32) * words >> 32);
}
static inline uint64_t st_filter_bits(uint64_t hash) {
  return UINT64_C(1) << (hash & 63) | UINT64_C(1) << (hash >> 6 & 63) |
         UINT64_C(1) << (hash >> 12 & 63) | UINT64_C(1) << (hash >> 18 & 63);
}

/* The fields of the first 128 bytes that a snapshot and a heartbeat have in common. */
typedef struct st_feed_head {
  int64_t sequence;
  int64_t time;
  subtoken_text kid; /* in the bytes */
  const subtoken_secret *secret;
} st_feed_head;

/* bytes has ST_FEED_HEAD_LEN bytes or more. */
subtoken_feed_result st_revocations_format_read_head(const subtoken_ring *ring, const char *magic,
                                                     const uint8_t *bytes, st_feed_head *head)
    __attribute__((warn_unused_result));

/* Writes zeros for the other fields. */
void st_revocations_format_write_head(const subtoken_secret *secret, const char *magic,
                                      int64_t sequence, int64_t time, uint8_t *bytes);

/* A whole snapshot under another secret: the same bytes with this head in front, and this MAC,
 * which is its digest, at the end. SUBTOKEN_FEED_NO_SECRET for a secret that was never set.
 */
subtoken_feed_result st_revocations_write_resigned(const subtoken_secret *secret,
                                                   const uint8_t *bytes, size_t len,
                                                   uint8_t head[ST_FEED_HEAD_LEN],
                                                   uint8_t mac[SUBTOKEN_MAC_LEN])
    __attribute__((warn_unused_result));

bool st_revocations_format_is_zero(const uint8_t *bytes, size_t len);

#endif
