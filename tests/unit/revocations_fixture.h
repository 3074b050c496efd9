/* revocations_fixture - snapshots in heap blocks of their exact sizes, rings and the golden
 * snapshot. */
#ifndef TESTS_UNIT_REVOCATIONS_FIXTURE_H
#define TESTS_UNIT_REVOCATIONS_FIXTURE_H

#include "core/revocations_format.h"
#include "subtoken/revocations.h"
#include "support.h"

static __attribute__((unused)) subtoken_ring ring;  /* signs with "two" */
static __attribute__((unused)) subtoken_ring other; /* has other secrets under the same names */

static __attribute__((unused))
const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static __attribute__((unused)) const subtoken_revocations_header header = {
    1700000000000001, 1700000000, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

#define SMALL 20 /* hashes in a small snapshot: b is 2 */
#define INDEX 128

typedef struct snapshot {
  uint8_t *bytes;
  size_t len;
} snapshot;

/* Sorts the hashes. Release with free(bytes). */
static inline snapshot written(uint64_t *hashes, uint32_t count) {
  count = subtoken_revocations_sort(hashes, count);
  snapshot s = {NULL, subtoken_revocations_size(count)};
  s.bytes = malloc(s.len);
  if (s.bytes == NULL) abort();
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, count, s.bytes, s.len, NULL),
                   SUBTOKEN_FEED_OK);
  return s;
}

static inline snapshot small(void) {
  uint64_t hashes[SMALL], random = 1;
  for (size_t i = 0; i < SMALL; i++) hashes[i] = random_next(&random);
  return written(hashes, SMALL);
}

static inline void sign(uint8_t *bytes, size_t len, const subtoken_secret *secret) {
  st_hmac(secret, bytes, len - SUBTOKEN_MAC_LEN, bytes + len - SUBTOKEN_MAC_LEN);
}

/* In a block of its exact size, in slices (0: at once). */
static inline subtoken_feed_result opened(const uint8_t *bytes, size_t len, size_t slice) {
  subtoken_text copy = exact(bytes, len);
  subtoken_revocations view;
  static const subtoken_revocations none;
  memset(&view, 0x55, sizeof view);
  subtoken_feed_result result;
  if (slice == 0) {
    result = subtoken_revocations_open(&ring, copy.data, len, &view);
  } else {
    subtoken_revocations_opening opening;
    result = subtoken_revocations_start(&opening, &ring, copy.data, len);
    if (result != SUBTOKEN_FEED_MORE) memset(&view, 0, sizeof view);
    size_t steps = 0;
    while (result == SUBTOKEN_FEED_MORE) {
      result = subtoken_revocations_step(&opening, slice, &view);
      steps++;
      if (result == SUBTOKEN_FEED_MORE) assert_memory_equal(&view, &none, sizeof view);
    }
    if (steps > 0) assert_int_equal(steps, (len - SUBTOKEN_MAC_LEN - 1) / slice + 1);
    /* It is over, whatever the answer was. */
    subtoken_revocations again;
    assert_int_equal(subtoken_revocations_step(&opening, slice, &again),
                     SUBTOKEN_FEED_INVALID_ARGUMENT);
  }
  if (result != SUBTOKEN_FEED_OK) assert_memory_equal(&view, &none, sizeof view);
  release(copy);
  return result;
}

static inline void random_sub(uint64_t *random, char sub[44]) {
  uint8_t bytes[32];
  for (size_t i = 0; i < 4; i++) st_store64(bytes + 8 * i, random_next(random));
  st_writer writer = st_writer_on(sub, 44);
  st_base64url_write(&writer, bytes, sizeof bytes);
  assert_true(st_writer_end(&writer));
}

static inline int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static inline subtoken_text from_hex(const char *hex) {
  size_t len = strlen(hex) / 2;
  char *bytes = malloc(len);
  if (bytes == NULL) abort();
  for (size_t i = 0; i < len; i++) {
    bytes[i] = (char)(st_hex_value(hex[2 * i]) << 4 | st_hex_value(hex[2 * i + 1]));
  }
  return (subtoken_text){bytes, len};
}

/* What a program of our own in another language wrote (its numbers and its MAC Python's),
 * byte by byte. */
static __attribute__((unused)) const char golden_snapshot[] =
    "53542d5245564f43010000000103000001401e18240a060000f1536500000000d000000000000000"
    "0400000000000000000102030405060708090a0b0c0d0e0f74776f00000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000030000000400000000000000b317adbeadc6854c8d647cd30eb7d84c"
    "5658e168d9b50b52f9fffeba6ac070c05d3b763200fd2cbec16715b3cd30f5591667171bece879e3"
    "88321da984d0d5d6";
static __attribute__((unused)) const char golden_heartbeat[] =
    "U1QtQUxJVkUBAAAAAAMAAAFAHhgkCgYAPPFTZQAAAABdO3YyAP0svsFnFbPNMPVZFmcXG-zoeeOIMh2phN"
    "DV1nR3bwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAABM27wlIDQ1DUmEzIxhOi-5iilwE2mhAb86Av28EGsbhw";
static __attribute__((unused)) const char *const golden_subs[] = {
    "parent", "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k", "a",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};

typedef struct change {
  size_t at;
  size_t len;
  uint64_t value;
  subtoken_feed_result want;
} change;

/* Each change alone, under a right MAC: what stands behind the MAC is checked too. */
static inline void changed(const snapshot *s, const change *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    subtoken_text copy = exact(s->bytes, s->len);
    uint8_t *bytes = (uint8_t *)(uintptr_t)copy.data, value[8];
    st_store64(value, rows[i].value);
    memcpy(bytes + rows[i].at, value, rows[i].len);
    sign(bytes, s->len, &ring.secrets[0]);
    for (size_t slice = 0; slice < 70; slice++) {
      subtoken_feed_result got = opened(bytes, s->len, slice);
      CHECK(got == rows[i].want, "row %zu, slice %zu: %s", i, slice,
            subtoken_feed_result_name(got));
    }
    release(copy);
  }
}

static inline int setup(void **state) {
  (void)state;
  ring_with(&ring, "two", TEST_SECRET);
  ring_with(&other, "two", OTHER_SECRET);
  return subtoken_ring_add(&ring, ST_TEXT("one"), OTHER_SECRET, 32) == SUBTOKEN_OK ? 0 : 1;
}

#endif
