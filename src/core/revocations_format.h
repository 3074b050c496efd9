/* revocations - what the parts that read and write a snapshot share: where things stand
 * in its bytes (subtoken/revocations.h says it byte by byte), and what the hash is made of.
 */
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

/* The two halves of a product of 128 bits, one over the other: what the hash is made of.
 * In halves of the factors where the machine has no such product. */
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

/* The prefix bits that a snapshot of so many hashes has: 1 to 29. */
static inline uint8_t st_snapshot_bits(uint32_t count) {
  uint8_t bits = 1;
  while (count > UINT64_C(8) << bits) bits++;
  return bits;
}
/* How many numbers its index has, with the 0 at the end. */
static inline uint32_t st_snapshot_numbers(uint8_t bits) {
  return (UINT32_C(1) << bits) + 2;
}
static inline size_t st_snapshot_hashes_at(uint8_t bits) {
  return ST_FEED_HEAD_LEN + 4 * (size_t)st_snapshot_numbers(bits);
}

/* The filter: words of 64 bits, 8 hashes to each on average. Which word, and which four of its
 * bits, a hash says by bits that are far apart in it. Ascending hashes ascend in the words, too.
 */
static inline size_t st_filter_word(uint64_t hash, uint32_t words) {
  return (size_t)((hash >> 32) * words >> 32);
}
static inline uint64_t st_filter_bits(uint64_t hash) {
  return UINT64_C(1) << (hash & 63) | UINT64_C(1) << (hash >> 6 & 63) |
         UINT64_C(1) << (hash >> 12 & 63) | UINT64_C(1) << (hash >> 18 & 63);
}

/* The first 128 bytes, as far as both kinds have them alike. */
typedef struct st_feed_head {
  int64_t sequence;
  int64_t time;
  subtoken_text kid; /* in the bytes */
  const subtoken_secret *secret;
} st_feed_head;

/* bytes are ST_FEED_HEAD_LEN at least. */
subtoken_feed_result st_feed_head_read(const subtoken_ring *ring, const char *magic,
                                       const uint8_t *bytes, st_feed_head *head)
    __attribute__((warn_unused_result));

/* Writes zeros where the kinds differ. */
void st_feed_head_write(const subtoken_secret *secret, const char *magic, int64_t sequence,
                        int64_t time, uint8_t *bytes);

bool st_revocations_format_is_zero(const uint8_t *bytes, size_t len);

#endif
