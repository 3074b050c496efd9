/* revocations - what the parts that read and write a snapshot share: numbers in the
 * bytes, where they stand (subtoken/revocations.h says it byte by byte), and the hash.
 */
#ifndef ST_CORE_REVOCATIONS_H
#define ST_CORE_REVOCATIONS_H

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

/* Little-endian, at any address, on any machine; compilers make one load or store of each. */
static inline uint32_t st_load32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t st_load64(const uint8_t *p) {
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
         (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}
static inline void st_store32(uint8_t *p, uint32_t value) {
  p[0] = (uint8_t)value;
  p[1] = (uint8_t)(value >> 8);
  p[2] = (uint8_t)(value >> 16);
  p[3] = (uint8_t)(value >> 24);
}
static inline void st_store64(uint8_t *p, uint64_t value) {
  st_store32(p, (uint32_t)value);
  st_store32(p + 4, (uint32_t)(value >> 32));
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

#endif
