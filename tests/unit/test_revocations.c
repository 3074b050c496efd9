#include "support.h"

#include <inttypes.h>

#include "core/revocations_format.h"

static subtoken_ring ring;  /* signs with "two" */
static subtoken_ring other; /* has other secrets under the same names */

static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const subtoken_revocations_header header = {
    1700000000000001, 1700000000, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

#define SMALL 20 /* hashes in a small snapshot: b is 2 */
#define INDEX 128

/* ---- helpers ---- */

typedef struct snapshot {
  uint8_t *bytes;
  size_t len;
} snapshot;

/* Sorts the hashes. Release with free(bytes). */
static snapshot written(uint64_t *hashes, uint32_t count) {
  count = subtoken_revocations_sort(hashes, count);
  snapshot s = {NULL, subtoken_revocations_size(count)};
  s.bytes = malloc(s.len);
  if (s.bytes == NULL) abort();
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, count, s.bytes, s.len, NULL),
                   SUBTOKEN_FEED_OK);
  return s;
}

static snapshot small(void) {
  uint64_t hashes[SMALL], random = 1;
  for (size_t i = 0; i < SMALL; i++) hashes[i] = random_next(&random);
  return written(hashes, SMALL);
}

static void sign(uint8_t *bytes, size_t len, const subtoken_secret *secret) {
  st_hmac(secret, bytes, len - SUBTOKEN_MAC_LEN, bytes + len - SUBTOKEN_MAC_LEN);
}

/* In a block of its exact size, in slices (0: at once). */
static subtoken_feed_result opened(const uint8_t *bytes, size_t len, size_t slice) {
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

static void random_sub(uint64_t *random, char sub[44]) {
  uint8_t bytes[32];
  for (size_t i = 0; i < 4; i++) st_store64(bytes + 8 * i, random_next(random));
  st_writer writer = st_writer_on(sub, 44);
  st_base64url_write(&writer, bytes, sizeof bytes);
  assert_true(st_writer_end(&writer));
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static subtoken_text from_hex(const char *hex) {
  size_t len = strlen(hex) / 2;
  char *bytes = malloc(len);
  if (bytes == NULL) abort();
  for (size_t i = 0; i < len; i++) {
    bytes[i] = (char)(st_hex_value(hex[2 * i]) << 4 | st_hex_value(hex[2 * i + 1]));
  }
  return (subtoken_text){bytes, len};
}

/* ---- the hash and the sorting ---- */

/* From a program of our own in Python: key 00..0f, data 00.. of each length. */
static void hash_vectors(void **state) {
  (void)state;
  // clang-format off
  static const uint64_t want[64] = {
    UINT64_C(0xc489b865a6ae64e8), UINT64_C(0x99a59243c83528ff), UINT64_C(0x9101df9033ddc88f), UINT64_C(0x135d940c145602de),
    UINT64_C(0x08931ef9f430abc2), UINT64_C(0xdfb7c223ad521d98), UINT64_C(0x2c25ac9c788b6dc8), UINT64_C(0x3e8b67abbe03ccdc),
    UINT64_C(0x77791ba53f12148b), UINT64_C(0xe36a92e25201a1c6), UINT64_C(0xa10edbff194fa8eb), UINT64_C(0xf9a93ff82a8f3032),
    UINT64_C(0xf235a1303c5b8ba3), UINT64_C(0xb60d191a5f861b99), UINT64_C(0x93aec76b959dff1e), UINT64_C(0x856a936a96244cd4),
    UINT64_C(0xea43693369f85158), UINT64_C(0xe9e31c26ec33212c), UINT64_C(0x438b4d53ad428b65), UINT64_C(0x066f8d152d821786),
    UINT64_C(0xe6a654b94bbb0c44), UINT64_C(0xb0307852b9b5bccc), UINT64_C(0xf22f64684dae4a93), UINT64_C(0xa9d4478cc5f04139),
    UINT64_C(0x4d5ed3ee66b9d77e), UINT64_C(0x732bedce53f37659), UINT64_C(0x601c55b2c559b70d), UINT64_C(0x33fb643754af91e0),
    UINT64_C(0x0d058bb4137d1e7e), UINT64_C(0xd2aa7189ed39faa4), UINT64_C(0xccb482a18c38f63a), UINT64_C(0x0d7768cc16ce78c8),
    UINT64_C(0x019b0295134f659f), UINT64_C(0x4d0a92c850d5480f), UINT64_C(0xe4604e8085fffb08), UINT64_C(0x6e44356d8497b03e),
    UINT64_C(0xcff6d4895237db9f), UINT64_C(0xb63f3eb9bda545e6), UINT64_C(0x83265d4da92a99cf), UINT64_C(0xa154007b7eea228f),
    UINT64_C(0xc5cab9474ebdf4da), UINT64_C(0x9b71b7f448115f5b), UINT64_C(0x427ff50fa16c9a7b), UINT64_C(0xc95a60c168c8ffb0),
    UINT64_C(0xd88545a87e26b1bc), UINT64_C(0x1cca4552663c8501), UINT64_C(0xb482c1b38736439f), UINT64_C(0xb7479076df8ea95c),
    UINT64_C(0xac2e28e1e119ca46), UINT64_C(0x557a94483bd5a7c1), UINT64_C(0xb4adfde316a5a87b), UINT64_C(0x6e2c54571e0dbfe1),
    UINT64_C(0xb511b5edf919b695), UINT64_C(0x60edeae1ea65902d), UINT64_C(0x6337f41157f47e7a), UINT64_C(0x70675165ca3d56e3),
    UINT64_C(0x396cbf1069d70d51), UINT64_C(0xcfa4a4552214e2f2), UINT64_C(0x3a7fb36e816499eb), UINT64_C(0xf1483a20800a1c10),
    UINT64_C(0x75bfb02cf0b90877), UINT64_C(0x26494bfb3bf5017c), UINT64_C(0xbea8f0597982abac), UINT64_C(0xac0edabf9a6b2b8d),
  };
  // clang-format on
  static const struct {
    size_t len;
    uint64_t want;
  } longer[] = {{127, UINT64_C(0xb1da479644b0421c)},
                {128, UINT64_C(0x2de8f75caa622fde)},
                {129, UINT64_C(0x39c0435368deb7c9)},
                {300, UINT64_C(0x2dc59c41bec657c0)}};
  static const uint8_t zeros[16];
  uint8_t data[300], ones[16];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)i;
  for (size_t i = 0; i < 64; i++) {
    subtoken_text text = exact(data, i);
    CHECK(subtoken_revocations_hash(key, text) == want[i], "%zu bytes", i);
    release(text);
  }
  for (size_t i = 0; i < COUNT(longer); i++) {
    subtoken_text text = exact(data, longer[i].len);
    CHECK(subtoken_revocations_hash(key, text) == longer[i].want, "%zu bytes", longer[i].len);
    release(text);
  }
  memset(ones, 0xFF, sizeof ones);
  assert_true(subtoken_revocations_hash(key, (subtoken_text){NULL, 0}) == want[0]);
  assert_true(subtoken_revocations_hash(zeros, ST_TEXT("")) == UINT64_C(0xef2eb64cd494cbc9));
  assert_true(subtoken_revocations_hash(ones, ST_TEXT("a")) == UINT64_C(0x3c938c40accc969b));
}

/* As the header says it, and slowly: the product bit by bit, as one does on paper. */
static uint64_t slow_fold(uint64_t a, uint64_t b) {
  uint64_t upper = 0, lower = 0;
  for (int bit = 63; bit >= 0; bit--) {
    upper = upper << 1 | lower >> 63;
    lower <<= 1;
    if ((b >> bit & 1) == 0) continue;
    lower += a;
    upper += lower < a;
  }
  return upper ^ lower;
}

static uint64_t slow_word(const uint8_t *data, size_t len, size_t at) {
  uint64_t word = 0;
  for (size_t i = 0; i < 8 && at + i < len; i++) {
    for (size_t bit = 0; bit < 8; bit++) {
      if (data[at + i] >> bit & 1) word |= UINT64_C(1) << (8 * i + bit);
    }
  }
  return word;
}

static uint64_t slow_hash(const uint8_t hash_key[16], const uint8_t *data, size_t len) {
  uint64_t k = slow_word(hash_key, 16, 0) ^ UINT64_C(0x243F6A8885A308D3);
  uint64_t l = slow_word(hash_key, 16, 8) ^ UINT64_C(0x13198A2E03707344);
  uint64_t h = k;
  size_t end = len < 16 ? 0 : len - 16;
  for (size_t i = 0; i < end; i += 16) {
    h = slow_fold(slow_word(data, len, i) ^ l, slow_word(data, len, i + 8) ^ h);
  }
  h = slow_fold(slow_word(data, len, end) ^ l, slow_word(data, len, end + 8) ^ h);
  return slow_fold(h ^ l, len ^ k);
}

static void hash_as_described(void **state) {
  (void)state;
  uint64_t random = 5;
  for (size_t round = 0; round < 20; round++) {
    for (size_t len = 0; len < 200; len++) {
      uint8_t data[200], any_key[16];
      for (size_t i = 0; i < 16; i++) any_key[i] = (uint8_t)random_next(&random);
      for (size_t i = 0; i < len; i++) data[i] = round == 0 ? 0 : (uint8_t)random_next(&random);
      subtoken_text text = exact(data, len);
      CHECK(subtoken_revocations_hash(any_key, text) == slow_hash(any_key, data, len),
            "round %zu, %zu bytes", round, len);
      release(text);
    }
  }
  /* What machines without such a product do. */
  static const uint64_t edges[] = {0,          1,          2,          UINT32_MAX,
                                   1ULL << 32, 1ULL << 63, UINT64_MAX, UINT64_MAX - 1};
  for (size_t i = 0; i < 20000; i++) {
    size_t edge = i % (COUNT(edges) + 1);
    uint64_t a = i < 64 ? edges[i / 8] : random_next(&random);
    uint64_t b = i < 64 ? edges[i % 8] : edge < COUNT(edges) ? edges[edge] : random_next(&random);
    CHECK(st_fold_by_halves(a, b) == slow_fold(a, b) && st_fold(a, b) == slow_fold(a, b),
          "%" PRIx64 " %" PRIx64, a, b);
  }
}

#define MANY 1000000

/* Subs that are as alike as can be, each another one. */
static subtoken_text alike(size_t kind, uint32_t i, char room[128]) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  memset(room, kind < 4 ? 'A' : '0', 128);
  if (kind == 0) return (subtoken_text){room, (size_t)snprintf(room, 128, "%u", i)};
  static const size_t lens[] = {0, 43, 43, 8, 128}, ats[] = {0, 39, 0, 4, 60};
  char *at = room + ats[kind];
  for (size_t digit = 0; digit < 4; digit++) at[digit] = alphabet[i >> 6 * digit & 63];
  return (subtoken_text){room, lens[kind]};
}

/* The sum of squared deviations, in what is expected of each: about cells - 1, with a
 * deviation of sqrt(2 * cells). */
static double chi_square(const uint64_t *hashes, unsigned shift, size_t cells) {
  uint32_t *in = calloc(cells, sizeof *in);
  if (in == NULL) abort();
  for (size_t i = 0; i < MANY; i++) in[hashes[i] >> shift & (cells - 1)]++;
  double expected = (double)MANY / (double)cells, sum = 0;
  for (size_t i = 0; i < cells; i++) {
    sum += ((double)in[i] - expected) * ((double)in[i] - expected) / expected;
  }
  free(in);
  return sum;
}

/* Pairs of a million that agree in 32 bits: 116 of random ones, with a deviation of 11. */
static size_t pairs(const uint64_t *hashes, bool upper, uint64_t *room) {
  for (size_t i = 0; i < MANY; i++) room[i] = upper ? hashes[i] >> 32 : hashes[i] & UINT32_MAX;
  return MANY - subtoken_revocations_sort(room, MANY);
}

static void hash_of_counters(void **state) {
  (void)state;
  static const uint8_t keys[][16] = {{0}, {1}, {0xe1, 0x5a, 0x0c, 0x77, 0x31, 0x9d, 0x42, 0xb8}};
  uint64_t *hashes = malloc(MANY * sizeof *hashes), *room = malloc(MANY * sizeof *room);
  if (hashes == NULL || room == NULL) abort();
  for (size_t kind = 0; kind < 5; kind++) {
    for (uint32_t i = 0; i < MANY; i++) {
      char text[128];
      hashes[i] = subtoken_revocations_hash(keys[kind % COUNT(keys)], alike(kind, i, text));
    }
    /* Five deviations to either side: what is too even is not random either. */
    for (unsigned shift = 0; shift <= 54; shift += 9) {
      double sum = chi_square(hashes, shift, 1024);
      CHECK(sum > 1023 - 226 && sum < 1023 + 226, "kind %zu at %u: %.0f", kind, shift, sum);
    }
    double sum = chi_square(hashes, 47, 1 << 17); /* the prefixes of a snapshot of these */
    CHECK(sum > 131071 - 2560 && sum < 131071 + 2560, "kind %zu: %.0f", kind, sum);
    size_t upper = pairs(hashes, true, room), lower = pairs(hashes, false, room);
    CHECK(upper > 61 && upper < 171, "kind %zu: %zu", kind, upper);
    CHECK(lower > 61 && lower < 171, "kind %zu: %zu", kind, lower);
    CHECK(subtoken_revocations_sort(hashes, MANY) == MANY, "kind %zu", kind);
  }
  free(hashes);
  free(room);
}

#define FLIPS 512

/* Each bit of sub or key changes each bit of the hash half of the time: 256 of 512, and
 * within six deviations of 11.3. */
static void avalanche(size_t len, uint64_t *random) {
  uint8_t data[16 + 128]; /* key and sub */
  for (size_t bit = 0; bit < 8 * (16 + len); bit++) {
    uint32_t changed[64] = {0};
    for (size_t i = 0; i < FLIPS; i++) {
      for (size_t at = 0; at < 16 + len; at++) data[at] = (uint8_t)random_next(random);
      subtoken_text sub = {(const char *)data + 16, len};
      uint64_t differs = subtoken_revocations_hash(data, sub);
      data[bit / 8] ^= (uint8_t)(1U << bit % 8);
      differs ^= subtoken_revocations_hash(data, sub);
      for (size_t out = 0; out < 64; out++) changed[out] += (uint32_t)(differs >> out) & 1;
    }
    for (size_t out = 0; out < 64; out++) {
      CHECK(changed[out] > 256 - 68 && changed[out] < 256 + 68, "%zu bytes, bit %zu: %zu, %u", len,
            bit, out, changed[out]);
    }
  }
}

static void hash_avalanche(void **state) {
  (void)state;
  static const size_t lens[] = {1, 7, 8, 15, 16, 17, 32, 33, 43, 128};
  uint64_t random = 11;
  for (size_t i = 0; i < COUNT(lens); i++) avalanche(lens[i], &random);
}

static void sorting_agrees_with_qsort(void **state) {
  (void)state;
  static uint64_t ours[70000], theirs[70000];
  uint64_t random = 7;
  /* Random; few values; one byte that differs; falling; all the same; close together. */
  for (size_t kind = 0; kind < 6; kind++) {
    for (size_t round = 0; round < 60; round++) {
      size_t count = round < 40 ? round : random_below(&random, round < 58 ? 3000 : COUNT(ours));
      for (size_t i = 0; i < count; i++) {
        uint64_t any = random_next(&random);
        ours[i] = kind == 0   ? any
                  : kind == 1 ? any % 5 << 60
                  : kind == 2 ? (any & 0xFF) << 8 * (round % 8)
                  : kind == 3 ? ~(uint64_t)i << 11
                  : kind == 4 ? UINT64_MAX
                              : (UINT64_C(77) << 50) + any % 4000;
        theirs[i] = ours[i];
      }
      qsort(theirs, count, sizeof *theirs, by_value);
      size_t kept = 0;
      for (size_t i = 0; i < count; i++) {
        if (kept == 0 || theirs[i] != theirs[kept - 1]) theirs[kept++] = theirs[i];
      }
      CHECK(subtoken_revocations_sort(ours, (uint32_t)count) == kept, "%zu %zu", kind, round);
      CHECK(memcmp(ours, theirs, kept * sizeof *ours) == 0, "%zu %zu", kind, round);
    }
  }
  assert_int_equal(subtoken_revocations_sort(NULL, 3), 0);
}

/* ---- writing ---- */

static void sizes_are_those_of_the_format(void **state) {
  (void)state;
  static const struct {
    uint32_t count;
    uint8_t bits;
  } rows[] = {{0, 1},
              {1, 1},
              {16, 1},
              {17, 2},
              {32, 2},
              {33, 3},
              {1000, 7},
              {1024, 7},
              {1025, 8},
              {1000000, 17},
              {10000000, 21},
              {UINT32_C(1) << 31, 28},
              {(UINT32_C(1) << 31) + 1, 29},
              {UINT32_MAX, 29}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    uint64_t want =
        128 + 4 * ((UINT64_C(1) << rows[i].bits) + 2) + UINT64_C(8) * rows[i].count + 32;
    CHECK(st_snapshot_bits(rows[i].count) == rows[i].bits, "%u", rows[i].count);
    if (want > SIZE_MAX / 2) want = 0;
    CHECK(subtoken_revocations_size(rows[i].count) == want, "%u", rows[i].count);
    if (rows[i].count >= 1000) {
      CHECK((double)want <= 9.2 * rows[i].count, "%u", rows[i].count);
    }
  }
}

/* What a program of our own in another language wrote (its numbers and its MAC Python's),
 * byte by byte. */
static const char golden_snapshot[] =
    "53542d5245564f43010000000103000001401e18240a060000f1536500000000d000000000000000"
    "0400000000000000000102030405060708090a0b0c0d0e0f74776f00000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000030000000400000000000000b317adbeadc6854c8d647cd30eb7d84c"
    "5658e168d9b50b52f9fffeba6ac070c05d3b763200fd2cbec16715b3cd30f5591667171bece879e3"
    "88321da984d0d5d6";
static const char golden_heartbeat[] =
    "U1QtQUxJVkUBAAAAAAMAAAFAHhgkCgYAPPFTZQAAAABdO3YyAP0svsFnFbPNMPVZFmcXG-zoeeOIMh2phN"
    "DV1nR3bwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAABM27wlIDQ1DUmEzIxhOi-5iilwE2mhAb86Av28EGsbhw";
static const char *const golden_subs[] = {
    "parent", "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k", "a",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};

static void the_golden_snapshot_is_written(void **state) {
  (void)state;
  uint64_t hashes[COUNT(golden_subs)];
  uint8_t digest[32], alive[SUBTOKEN_HEARTBEAT_LEN];
  char text[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  subtoken_text want = from_hex(golden_snapshot);
  for (size_t i = 0; i < COUNT(hashes); i++) {
    hashes[i] = subtoken_revocations_hash(key, st_text(golden_subs[i]));
  }
  snapshot s = written(hashes, COUNT(hashes));
  assert_int_equal(s.len, want.len);
  assert_memory_equal(s.bytes, want.data, want.len);
  assert_int_equal(
      subtoken_revocations_write(&ring, &header, hashes, COUNT(hashes), s.bytes, s.len, digest),
      SUBTOKEN_FEED_OK);
  assert_memory_equal(digest, s.bytes + s.len - 32, 32);

  subtoken_heartbeat heartbeat = {.sequence = header.sequence, .time = header.made + 60};
  memcpy(heartbeat.digest, digest, 32);
  assert_int_equal(subtoken_heartbeat_write(&ring, &heartbeat, alive), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_encode(alive, text), SUBTOKEN_FEED_OK);
  assert_string_equal(text, golden_heartbeat);

  subtoken_revocations view;
  assert_int_equal(subtoken_revocations_open(&ring, want.data, want.len, &view), SUBTOKEN_FEED_OK);
  assert_true(view.sequence == header.sequence && view.made == header.made && view.count == 4);
  assert_true(st_text_is(view.kid, "two"));
  assert_memory_equal(view.digest, digest, 32);
  for (size_t i = 0; i < COUNT(golden_subs); i++) {
    assert_int_equal(subtoken_revocations_find(&view, st_text(golden_subs[i])), SUBTOKEN_REVOKED);
  }
  assert_int_equal(subtoken_revocations_find(&view, ST_TEXT("b")), SUBTOKEN_OK);
  assert_int_equal(subtoken_revocations_find(&view, ST_TEXT("")), SUBTOKEN_OK);
  release(want);
  free(s.bytes);
}

/* What cannot be written leaves the room as it was. */
static void refused_writing(void **state) {
  (void)state;
  static const uint64_t sorted[] = {0, 5, UINT64_MAX}, twice[] = {1, 1, 2}, falling[] = {1, 3, 2};
  static const subtoken_ring empty;
  static subtoken_ring zero = {.count = 1};
  subtoken_revocations_header no_sequence = header, below = header, early = header, late = header;
  no_sequence.sequence = 0;
  below.sequence = -1;
  early.made = -1;
  late.made = SUBTOKEN_TIME_MAX + 1;
  size_t size = subtoken_revocations_size(3);
  const struct {
    const subtoken_ring *ring;
    const subtoken_revocations_header *header;
    const uint64_t *hashes;
    size_t room;
    subtoken_feed_result want;
  } rows[] = {
      {&ring, &header, sorted, size, SUBTOKEN_FEED_OK},
      {&ring, &header, twice, size, SUBTOKEN_FEED_ORDER},
      {&ring, &header, falling, size, SUBTOKEN_FEED_ORDER},
      {&ring, &header, sorted, size - 1, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&ring, &header, sorted, 0, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&empty, &header, sorted, size, SUBTOKEN_FEED_NO_SECRET},
      {&zero, &header, sorted, size, SUBTOKEN_FEED_NO_SECRET},
      {&ring, &no_sequence, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &below, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &early, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &late, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {NULL, &header, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, NULL, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &header, NULL, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uint8_t *out = malloc(rows[i].room + 1), digest[32];
    memset(out, 'x', rows[i].room + 1);
    memset(digest, 'x', sizeof digest);
    subtoken_feed_result got = subtoken_revocations_write(
        rows[i].ring, rows[i].header, rows[i].hashes, 3, out, rows[i].room, digest);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_feed_result_name(got));
    for (size_t j = 0; got != SUBTOKEN_FEED_OK && j < rows[i].room; j++) {
      CHECK(out[j] == 'x' && digest[j % 32] == 'x', "row %zu", i);
    }
    CHECK(out[rows[i].room] == 'x', "row %zu", i);
    if (got == SUBTOKEN_FEED_OK) assert_int_equal(opened(out, size, 0), SUBTOKEN_FEED_OK);
    free(out);
  }
  assert_int_equal(subtoken_revocations_write(&ring, &header, NULL, 0, NULL, 0, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
}

/* ---- opening ---- */

static void cut_short(void **state) {
  (void)state;
  snapshot s = small();
  assert_int_equal(opened(s.bytes, s.len, 0), SUBTOKEN_FEED_OK);
  for (size_t len = 0; len < s.len; len++) {
    CHECK(opened(s.bytes, len, 0) == SUBTOKEN_FEED_LENGTH, "%zu", len);
    if (len < 32) continue;
    subtoken_text copy = exact(s.bytes, len); /* even if somebody signed it so */
    sign((uint8_t *)(uintptr_t)copy.data, len, &ring.secrets[0]);
    CHECK(opened((const uint8_t *)copy.data, len, 0) == SUBTOKEN_FEED_LENGTH, "%zu", len);
    release(copy);
  }
  uint8_t *longer = calloc(1, s.len + 64);
  memcpy(longer, s.bytes, s.len);
  for (size_t more = 1; more <= 64; more++) {
    CHECK(opened(longer, s.len + more, 0) == SUBTOKEN_FEED_LENGTH, "%zu", more);
  }
  free(longer);
  free(s.bytes);
}

static void each_bit(void **state) {
  (void)state;
  snapshot s = small();
  for (size_t bit = 0; bit < 8 * s.len; bit++) {
    s.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    subtoken_feed_result got = opened(s.bytes, s.len, 0);
    CHECK(got != SUBTOKEN_FEED_OK && got != SUBTOKEN_FEED_MORE, "bit %zu", bit);
    CHECK(bit / 8 < 128 || got == SUBTOKEN_FEED_MAC, "bit %zu: %s", bit,
          subtoken_feed_result_name(got));
    CHECK(opened(s.bytes, s.len, 1 + bit % 300) == got, "bit %zu", bit);
    s.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
  }
  assert_int_equal(opened(s.bytes, s.len, 0), SUBTOKEN_FEED_OK);
  free(s.bytes);
}

typedef struct change {
  size_t at;
  size_t len;
  uint64_t value;
  subtoken_feed_result want;
} change;

/* Each change alone, under a right MAC: what stands behind the MAC is checked too. */
static void changed(const snapshot *s, const change *rows, size_t count) {
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

static void each_field_is_checked(void **state) {
  (void)state;
  snapshot s = small();
  uint64_t len = s.len;
  const change rows[] = {
      {0, 1, 'S', SUBTOKEN_FEED_OK},
      {0, 1, 's', SUBTOKEN_FEED_MAGIC},
      {7, 1, 'K', SUBTOKEN_FEED_MAGIC},
      {0, 8, UINT64_C(0x4556494c412d5453), SUBTOKEN_FEED_MAGIC}, /* ST-ALIVE */
      {8, 4, 0, SUBTOKEN_FEED_VERSION},
      {8, 4, 2, SUBTOKEN_FEED_VERSION},
      {8, 4, 0x01000000, SUBTOKEN_FEED_VERSION},
      {8, 4, UINT32_MAX, SUBTOKEN_FEED_VERSION},
      {12, 1, 0, SUBTOKEN_FEED_FORM},
      {12, 1, 1, SUBTOKEN_FEED_FORM},
      {12, 1, 3, SUBTOKEN_FEED_FORM},
      {12, 1, 64, SUBTOKEN_FEED_FORM},
      {12, 1, 255, SUBTOKEN_FEED_FORM},
      {13, 1, 0, SUBTOKEN_FEED_FORM}, /* bytes of a kid that is not there */
      {13, 1, 2, SUBTOKEN_FEED_FORM},
      {13, 1, 4, SUBTOKEN_FEED_FORM},
      {13, 1, 64, SUBTOKEN_FEED_FORM},
      {13, 1, 65, SUBTOKEN_FEED_FORM},
      {13, 1, 255, SUBTOKEN_FEED_FORM},
      {14, 1, 1, SUBTOKEN_FEED_FORM},
      {15, 1, 128, SUBTOKEN_FEED_FORM},
      {16, 8, 0, SUBTOKEN_FEED_FORM},
      {16, 8, 1, SUBTOKEN_FEED_OK},
      {16, 8, INT64_MAX, SUBTOKEN_FEED_OK},
      {16, 8, UINT64_C(1) << 63, SUBTOKEN_FEED_FORM},
      {16, 8, UINT64_MAX, SUBTOKEN_FEED_FORM},
      {24, 8, 0, SUBTOKEN_FEED_OK},
      {24, 8, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OK},
      {24, 8, UINT64_C(1) << 53, SUBTOKEN_FEED_FORM},
      {24, 8, UINT64_MAX, SUBTOKEN_FEED_FORM},
      {32, 8, 0, SUBTOKEN_FEED_LENGTH},
      {32, 8, len - 1, SUBTOKEN_FEED_LENGTH},
      {32, 8, len + 1, SUBTOKEN_FEED_LENGTH},
      {32, 8, len - 32, SUBTOKEN_FEED_LENGTH},
      {32, 8, len + (UINT64_C(1) << 32), SUBTOKEN_FEED_LENGTH},
      {32, 8, UINT64_MAX, SUBTOKEN_FEED_LENGTH},
      {40, 4, 0, SUBTOKEN_FEED_FORM}, /* another b would go with it */
      {40, 4, SMALL - 1, SUBTOKEN_FEED_LENGTH},
      {40, 4, SMALL + 1, SUBTOKEN_FEED_LENGTH},
      {40, 4, UINT32_MAX, SUBTOKEN_FEED_FORM},
      {40, 4, 1 << 29, SUBTOKEN_FEED_FORM}, /* times 8 is 0 in 32 bits */
      {44, 1, 1, SUBTOKEN_FEED_FORM},
      {47, 1, 1, SUBTOKEN_FEED_FORM},
      {64, 1, '/', SUBTOKEN_FEED_FORM},
      {65, 1, 0, SUBTOKEN_FEED_FORM},
      {64, 1, 'T', SUBTOKEN_FEED_KID},
      {67, 1, 'o', SUBTOKEN_FEED_FORM},
      {127, 1, 1, SUBTOKEN_FEED_FORM},
      {64, 3, 'o' | 'n' << 8 | 'e' << 16, SUBTOKEN_FEED_MAC}, /* a secret of the ring, not its */
  };
  changed(&s, rows, COUNT(rows));
  free(s.bytes);
}

/* Index {0, a, b, c, count} and 0, then the hashes. */
static void index_and_hashes_are_checked(void **state) {
  (void)state;
  snapshot s = small();
  const size_t hashes = INDEX + 4 * 6;
  uint64_t first = st_load64(s.bytes + hashes), second = st_load64(s.bytes + hashes + 8);
  uint64_t last = st_load64(s.bytes + hashes + 8 * (SMALL - 1));
  uint32_t a = st_load32(s.bytes + INDEX + 4), b = st_load32(s.bytes + INDEX + 8);
  assert_true(a > 0 && b > a && b + 1 < SMALL);
  const change rows[] = {
      {INDEX, 4, 1, SUBTOKEN_FEED_INDEX},
      {INDEX, 4, UINT32_MAX, SUBTOKEN_FEED_INDEX},
      {INDEX + 4, 4, 0, SUBTOKEN_FEED_INDEX},
      {INDEX + 4, 4, a - 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 4, 4, a + 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 4, 4, b + 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 8, 4, a - 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 8, 4, SMALL + 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 8, 4, UINT32_MAX, SUBTOKEN_FEED_INDEX},
      {INDEX + 16, 4, SMALL - 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 16, 4, SMALL + 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 16, 4, UINT32_MAX, SUBTOKEN_FEED_INDEX},
      {INDEX + 20, 4, 1, SUBTOKEN_FEED_INDEX},
      {INDEX + 20, 4, SMALL, SUBTOKEN_FEED_INDEX},
      {hashes, 8, second, SUBTOKEN_FEED_ORDER},
      {hashes, 8, second + 1, SUBTOKEN_FEED_ORDER},
      {hashes, 8, first ^ 1, SUBTOKEN_FEED_OK},
      {hashes, 8, 0, SUBTOKEN_FEED_OK},
      {hashes, 8, UINT64_MAX, SUBTOKEN_FEED_ORDER},
      {hashes + 8, 8, first, SUBTOKEN_FEED_ORDER},
      {hashes + 8, 8, first - 1, SUBTOKEN_FEED_ORDER},
      {hashes + 8 * (SMALL - 1), 8, UINT64_MAX, SUBTOKEN_FEED_OK},
      {hashes + 8 * (SMALL - 1), 8, last + 1, SUBTOKEN_FEED_OK},
      {hashes + 8 * (SMALL - 1), 8, 0, SUBTOKEN_FEED_ORDER},
  };
  changed(&s, rows, COUNT(rows));
  /* In order, but in another bucket than the index says. */
  const change elsewhere[] = {
      {hashes + 8 * ((size_t)a - 1), 8, (UINT64_C(1) << 62), SUBTOKEN_FEED_INDEX},
      {hashes + 8 * (size_t)a, 8, (UINT64_C(1) << 62) - 1, SUBTOKEN_FEED_INDEX},
  };
  assert_true(st_load64(s.bytes + hashes + 8 * (size_t)a) > UINT64_C(1) << 62);
  changed(&s, elsewhere, COUNT(elsewhere));
  free(s.bytes);
}

/* Prefixes without a hash: only the index itself can say that theirs is wrong. */
static void empty_buckets(void **state) {
  (void)state;
  uint64_t hashes[SMALL];
  for (uint64_t i = 0; i < SMALL; i++) hashes[i] = i < 9 ? i : (UINT64_C(3) << 62) + i;
  snapshot s = written(hashes, SMALL); /* index {0, 9, 9, 9, 20} and 0 */
  const change rows[] = {
      {INDEX + 8, 4, 9, SUBTOKEN_FEED_OK},
      {INDEX + 8, 4, 8, SUBTOKEN_FEED_INDEX},
      {INDEX + 8, 4, 0, SUBTOKEN_FEED_INDEX},
      {INDEX + 8, 4, 10, SUBTOKEN_FEED_INDEX},
      {INDEX + 8, 4, UINT32_MAX, SUBTOKEN_FEED_INDEX},
      {INDEX + 4, 4, UINT32_MAX, SUBTOKEN_FEED_INDEX},
      {INDEX + 12, 4, 10, SUBTOKEN_FEED_INDEX},
      {INDEX + 12, 4, 8, SUBTOKEN_FEED_INDEX},
  };
  changed(&s, rows, COUNT(rows));
  free(s.bytes);
}

/* All slices give the same verdict, and at any address. */
static void slices_of_any_length_agree(void **state) {
  (void)state;
  static const uint32_t counts[] = {0, 1, 2, 16, 17, 100};
  uint64_t hashes[100], random = 3;
  for (size_t c = 0; c < COUNT(counts); c++) {
    for (size_t i = 0; i < counts[c]; i++) hashes[i] = random_next(&random);
    snapshot s = written(hashes, counts[c]);
    for (size_t slice = 0; slice < s.len + 2; slice++) {
      CHECK(opened(s.bytes, s.len, slice) == SUBTOKEN_FEED_OK, "%u %zu", counts[c], slice);
    }
    assert_int_equal(opened(s.bytes, s.len, SIZE_MAX), SUBTOKEN_FEED_OK);
    s.bytes[s.len - 1] ^= 1;
    for (size_t slice = 0; slice < s.len + 2; slice++) {
      CHECK(opened(s.bytes, s.len, slice) == SUBTOKEN_FEED_MAC, "%u %zu", counts[c], slice);
    }
    s.bytes[s.len - 1] ^= 1;
    for (size_t shift = 1; shift < 8; shift++) {
      subtoken_revocations view;
      uint8_t *moved = malloc(s.len + shift);
      memcpy(moved + shift, s.bytes, s.len);
      CHECK(subtoken_revocations_open(&ring, moved + shift, s.len, &view) == SUBTOKEN_FEED_OK,
            "%zu", shift);
      CHECK(subtoken_revocations_find(&view, ST_TEXT("a")) == SUBTOKEN_OK, "%zu", shift);
      free(moved);
    }
    free(s.bytes);
  }
}

static void another_ring_does_not_open_it(void **state) {
  (void)state;
  static const subtoken_ring empty;
  subtoken_revocations view;
  snapshot s = small();
  assert_int_equal(subtoken_revocations_open(&other, s.bytes, s.len, &view), SUBTOKEN_FEED_MAC);
  assert_int_equal(subtoken_revocations_open(&empty, s.bytes, s.len, &view), SUBTOKEN_FEED_KID);
  assert_int_equal(subtoken_revocations_open(NULL, s.bytes, s.len, &view),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_open(&ring, NULL, s.len, &view),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_open(&ring, NULL, 0, &view), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_revocations_open(&ring, s.bytes, s.len, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_start(NULL, &ring, s.bytes, s.len),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  free(s.bytes);
  /* Each name that a secret may have, up to the longest. */
  for (size_t len = 0; len <= SUBTOKEN_KID_MAX; len++) {
    char kid[SUBTOKEN_KID_MAX + 1] = {0};
    subtoken_ring named;
    memset(kid, 'k', len);
    ring_with(&named, kid, OTHER_SECRET);
    size_t size = subtoken_revocations_size(1);
    uint8_t *bytes = malloc(size);
    uint64_t hash = 9;
    assert_int_equal(subtoken_revocations_write(&named, &header, &hash, 1, bytes, size, NULL),
                     SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_revocations_open(&named, bytes, size, &view), SUBTOKEN_FEED_OK);
    assert_true(st_text_equal(view.kid, st_text(kid)));
    free(bytes);
  }
}

/* ---- looking up ---- */

static void as_a_sorted_array(void **state) {
  (void)state;
  static uint64_t hashes[5000], model[5000];
  uint64_t random = 11;
  char sub[44];
  for (size_t round = 0; round < 60; round++) {
    size_t count = round < 20 ? round : random_below(&random, COUNT(hashes) + 1);
    uint64_t subs = random;
    for (size_t i = 0; i < count; i++) {
      random_sub(&random, sub);
      hashes[i] = model[i] = subtoken_revocations_hash(key, st_text(sub));
    }
    qsort(model, count, sizeof *model, by_value);
    snapshot s = written(hashes, (uint32_t)count);
    subtoken_revocations view;
    assert_int_equal(subtoken_revocations_open(&ring, s.bytes, s.len, &view), SUBTOKEN_FEED_OK);
    assert_int_equal(view.count, count);
    for (size_t i = 0; i < 2 * count + 100; i++) { /* those listed, then others */
      random_sub(&subs, sub);
      uint64_t hash = subtoken_revocations_hash(key, st_text(sub));
      bool listed = bsearch(&hash, model, count, sizeof hash, by_value) != NULL;
      CHECK(listed == (i < count), "round %zu, sub %zu", round, i);
      CHECK(subtoken_revocations_find(&view, st_text(sub)) ==
                (listed ? SUBTOKEN_REVOKED : SUBTOKEN_OK),
            "round %zu, sub %zu", round, i);
    }
    free(s.bytes);
  }
}

/* Hashes that crowd around that of a sub, as random ones never do: right all the same. */
static void crowded_hashes_are_found(void **state) {
  (void)state;
  static uint64_t hashes[5000];
  subtoken_text sub = ST_TEXT("wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k");
  uint64_t hash = subtoken_revocations_hash(key, sub);
  for (uint32_t below = 0; below < 80; below++) {
    for (uint32_t above = 0; above < 80; above++) {
      for (uint32_t with = 0; with < 2; with++) {
        uint32_t count = 0;
        for (uint32_t i = 1; i <= below; i++) hashes[count++] = hash - i;
        for (uint32_t i = 1; i <= above; i++) hashes[count++] = hash + i;
        if (with == 1) hashes[count++] = hash;
        snapshot s = written(hashes, count);
        subtoken_revocations view;
        assert_int_equal(subtoken_revocations_open(&ring, s.bytes, s.len, &view), SUBTOKEN_FEED_OK);
        CHECK(subtoken_revocations_find(&view, sub) == (with ? SUBTOKEN_REVOKED : SUBTOKEN_OK),
              "%u below, %u above, %u", below, above, with);
        free(s.bytes);
      }
    }
  }
}

static void a_million_others(void **state) {
  (void)state;
  enum { LISTED = 200000, OTHERS = 1000000 };
  uint64_t *hashes = malloc(LISTED * sizeof *hashes), random = 5, subs = 5;
  char sub[44];
  for (size_t i = 0; i < LISTED; i++) {
    random_sub(&random, sub);
    hashes[i] = subtoken_revocations_hash(key, st_text(sub));
  }
  snapshot s = written(hashes, LISTED);
  subtoken_revocations view;
  assert_int_equal(subtoken_revocations_open(&ring, s.bytes, s.len, &view), SUBTOKEN_FEED_OK);
  for (size_t i = 0; i < LISTED; i++) {
    random_sub(&subs, sub);
    CHECK(subtoken_revocations_find(&view, st_text(sub)) == SUBTOKEN_REVOKED, "%zu", i);
  }
  size_t found = 0;
  for (size_t i = 0; i < OTHERS; i++) {
    random_sub(&subs, sub);
    found += subtoken_revocations_find(&view, st_text(sub)) != SUBTOKEN_OK;
  }
  assert_int_equal(found, 0);
  free(hashes);
  free(s.bytes);
}

/* ---- the heartbeat ---- */

static subtoken_feed_result read_alive(const uint8_t *bytes, size_t len) {
  static const subtoken_heartbeat none;
  subtoken_heartbeat heartbeat;
  subtoken_text copy = exact(bytes, len);
  memset(&heartbeat, 0x55, sizeof heartbeat);
  subtoken_feed_result got = subtoken_heartbeat_read(&ring, copy.data, len, &heartbeat);
  if (got != SUBTOKEN_FEED_OK) assert_memory_equal(&heartbeat, &none, sizeof none);
  release(copy);
  return got;
}

static void a_heartbeat_is_read_as_written(void **state) {
  (void)state;
  subtoken_heartbeat in = {42, NOW, {1, 2, 3}}, out;
  uint8_t alive[SUBTOKEN_HEARTBEAT_LEN + 1] = {0}, changed_alive[SUBTOKEN_HEARTBEAT_LEN];
  assert_int_equal(subtoken_heartbeat_write(&ring, &in, alive), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_read(&ring, alive, 160, &out), SUBTOKEN_FEED_OK);
  assert_memory_equal(&in, &out, sizeof in);
  assert_int_equal(subtoken_heartbeat_read(&other, alive, 160, &out), SUBTOKEN_FEED_MAC);
  for (size_t len = 0; len <= 161; len++) {
    CHECK(read_alive(alive, len) == (len == 160 ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_LENGTH), "%zu",
          len);
  }
  for (size_t bit = 0; bit < 8 * 160; bit++) {
    alive[bit / 8] ^= (uint8_t)(1U << bit % 8);
    CHECK(read_alive(alive, 160) != SUBTOKEN_FEED_OK, "bit %zu", bit);
    alive[bit / 8] ^= (uint8_t)(1U << bit % 8);
  }
  static const change rows[] = {
      {0, 1, 'S', SUBTOKEN_FEED_OK},
      {0, 8, UINT64_C(0x434f5645522d5453), SUBTOKEN_FEED_MAGIC}, /* ST-REVOC */
      {8, 4, 0, SUBTOKEN_FEED_VERSION},
      {8, 4, 2, SUBTOKEN_FEED_VERSION},
      {12, 1, 1, SUBTOKEN_FEED_FORM},
      {13, 1, 0, SUBTOKEN_FEED_FORM},
      {13, 1, 65, SUBTOKEN_FEED_FORM},
      {14, 1, 1, SUBTOKEN_FEED_FORM},
      {15, 1, 1, SUBTOKEN_FEED_FORM},
      {16, 8, 0, SUBTOKEN_FEED_FORM},
      {16, 8, INT64_MAX, SUBTOKEN_FEED_OK},
      {16, 8, UINT64_C(1) << 63, SUBTOKEN_FEED_FORM},
      {24, 8, 0, SUBTOKEN_FEED_FORM},
      {24, 8, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OK},
      {24, 8, UINT64_C(1) << 53, SUBTOKEN_FEED_FORM},
      {64, 3, 'x', SUBTOKEN_FEED_FORM},
      {64, 1, 'T', SUBTOKEN_FEED_KID},
      {64, 3, 'o' | 'n' << 8 | 'e' << 16, SUBTOKEN_FEED_MAC},
      {127, 1, 1, SUBTOKEN_FEED_FORM},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uint8_t value[8];
    memcpy(changed_alive, alive, 160);
    st_store64(value, rows[i].value);
    memcpy(changed_alive + rows[i].at, value, rows[i].len);
    sign(changed_alive, 160, &ring.secrets[0]);
    CHECK(read_alive(changed_alive, 160) == rows[i].want, "row %zu", i);
  }
  static const subtoken_ring empty;
  static const subtoken_heartbeat bad[] = {
      {0, 1, {0}}, {-1, 1, {0}}, {1, 0, {0}}, {1, -1, {0}}, {1, SUBTOKEN_TIME_MAX + 1, {0}}};
  for (size_t i = 0; i < COUNT(bad); i++) {
    CHECK(subtoken_heartbeat_write(&ring, &bad[i], alive) == SUBTOKEN_FEED_INVALID_ARGUMENT, "%zu",
          i);
  }
  assert_int_equal(subtoken_heartbeat_write(&empty, &in, alive), SUBTOKEN_FEED_NO_SECRET);
  assert_int_equal(read_alive(alive, 160), SUBTOKEN_FEED_OK); /* untouched */
}

static subtoken_feed_result decoded(const char *text, size_t len) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  static const uint8_t none[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_text copy = exact(text, len);
  memset(bytes, 0x55, sizeof bytes);
  subtoken_feed_result got = subtoken_heartbeat_decode(copy, bytes);
  if (got != SUBTOKEN_FEED_OK) assert_memory_equal(bytes, none, sizeof bytes);
  release(copy);
  return got;
}

static void heartbeat_text(void **state) {
  (void)state;
  char text[SUBTOKEN_HEARTBEAT_TEXT_LEN + 3];
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  memcpy(text, golden_heartbeat, sizeof golden_heartbeat);
  memcpy(text + SUBTOKEN_HEARTBEAT_TEXT_LEN, "==", 3);
  assert_int_equal(decoded(text, 214), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_decode((subtoken_text){text, 214}, bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(read_alive(bytes, sizeof bytes), SUBTOKEN_FEED_OK);
  for (size_t len = 0; len <= 216; len++) {
    CHECK(decoded(text, len) == (len == 214 ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_LENGTH), "%zu", len);
  }
  for (size_t i = 0; i < 214; i++) {
    static const char wrong[] = "+/= \n.\0\xFF";
    char right = text[i];
    for (size_t j = 0; j < sizeof wrong; j++) {
      text[i] = wrong[j];
      CHECK(decoded(text, 214) == SUBTOKEN_FEED_TEXT, "%zu %zu", i, j);
    }
    text[i] = right;
  }
  text[213]++; /* stray bits: g is 32, h is 33 */
  assert_int_equal(decoded(text, 214), SUBTOKEN_FEED_TEXT);
}

/* ---- what an edge takes ---- */

/* A view that was opened, as far as the feed can see. */
static subtoken_revocations listing(int64_t sequence, uint8_t name) {
  static const uint8_t nothing[16];
  subtoken_revocations view = {
      .index = nothing, .hashes = nothing, .sequence = sequence, .shift = 63};
  memset(view.digest, name, sizeof view.digest);
  return view;
}

static subtoken_heartbeat beat(int64_t sequence, uint8_t name, int64_t time) {
  subtoken_heartbeat heartbeat = {.sequence = sequence, .time = time};
  memset(heartbeat.digest, name, sizeof heartbeat.digest);
  return heartbeat;
}

static bool same(const subtoken_feed *a, const subtoken_feed *b) {
  const subtoken_revocations *x = &a->snapshot, *y = &b->snapshot;
  return a->leeway == b->leeway && a->max_age == b->max_age && a->allow_old == b->allow_old &&
         a->sequence == b->sequence && a->time == b->time && a->grew == b->grew &&
         x->index == y->index && x->hashes == y->hashes && x->sequence == y->sequence &&
         memcmp(x->digest, y->digest, sizeof x->digest) == 0;
}

static subtoken_feed with(int64_t sequence, uint8_t name, int64_t time, int64_t monotonic) {
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  subtoken_revocations view = listing(sequence, name);
  subtoken_heartbeat heartbeat = beat(sequence, name, time);
  assert_int_equal(subtoken_feed_take(&feed, &view, &heartbeat, time, monotonic), SUBTOKEN_FEED_OK);
  return feed;
}

/* What is offered to an edge that has sequence 100 called 'a' with T = NOW, at NOW + 5. */
static void only_newer_data_is_taken(void **state) {
  (void)state;
  static const struct {
    int64_t sequence; /* of the snapshot; 0: none comes along */
    uint8_t name;
    int64_t named;
    uint8_t named_name;
    int64_t time;
    subtoken_feed_result want;
  } rows[] = {
      {0, 0, 100, 'a', NOW + 1, SUBTOKEN_FEED_OK},
      {0, 0, 100, 'a', NOW, SUBTOKEN_FEED_OK},
      {100, 'a', 100, 'a', NOW + 1, SUBTOKEN_FEED_OK},
      {101, 'b', 101, 'b', NOW + 1, SUBTOKEN_FEED_OK},
      {101, 'b', 101, 'b', NOW, SUBTOKEN_FEED_OK},
      {100, 'b', 100, 'b', NOW + 1, SUBTOKEN_FEED_OK}, /* the same under another secret */
      {INT64_MAX, 'b', INT64_MAX, 'b', NOW + 1, SUBTOKEN_FEED_OK},
      {0, 0, 100, 'a', NOW + 65, SUBTOKEN_FEED_OK},
      {0, 0, 100, 'a', NOW + 66, SUBTOKEN_FEED_FUTURE},
      {101, 'b', 101, 'b', NOW + 66, SUBTOKEN_FEED_FUTURE},
      {101, 'b', 101, 'b', SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_FUTURE},
      {0, 0, 100, 'a', NOW - 1, SUBTOKEN_FEED_REPLAY},
      {101, 'b', 101, 'b', NOW - 1, SUBTOKEN_FEED_REPLAY},
      {99, 'z', 99, 'z', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {99, 'z', 99, 'z', NOW - 1, SUBTOKEN_FEED_ROLLBACK},
      {99, 'z', 100, 'a', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {99, 'z', 101, 'b', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {101, 'b', 99, 'z', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {0, 0, 99, 'z', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {0, 0, 101, 'b', NOW + 1, SUBTOKEN_FEED_PAIR},
      {0, 0, 100, 'b', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 100, 'a', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 102, 'b', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 101, 'a', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 0, 'b', NOW + 1, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {101, 'b', 101, 'b', 0, SUBTOKEN_FEED_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed before = with(100, 'a', NOW, 7), feed = before;
    subtoken_revocations view = listing(rows[i].sequence, rows[i].name);
    subtoken_heartbeat heartbeat = beat(rows[i].named, rows[i].named_name, rows[i].time);
    subtoken_feed_result got =
        subtoken_feed_take(&feed, rows[i].sequence == 0 ? NULL : &view, &heartbeat, NOW + 5, 12);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_feed_result_name(got));
    if (got != SUBTOKEN_FEED_OK) {
      assert_true(same(&feed, &before));
    } else {
      CHECK(feed.sequence == rows[i].named && feed.time == rows[i].time, "row %zu", i);
      CHECK(feed.snapshot.digest[0] == rows[i].named_name, "row %zu", i);
      CHECK(feed.grew == (rows[i].time > NOW ? 12 : 7), "row %zu", i);
    }
  }
}

static void nothing_yet(void **state) {
  (void)state;
  static subtoken_feed zero;
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  subtoken_heartbeat heartbeat = beat(5, 'a', NOW);
  subtoken_revocations view = listing(5, 'a'), unopened;
  memset(&unopened, 0, sizeof unopened);
  subtoken_feed_clock clock = {&feed, NOW, 0}, none = {NULL, NOW, 0}, zeroed = {&zero, NOW, 0};
  assert_int_equal(subtoken_feed_take(&feed, NULL, &heartbeat, NOW, 0), SUBTOKEN_FEED_ABSENT);
  assert_int_equal(subtoken_feed_take(&feed, &unopened, &heartbeat, NOW, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_take(&feed, &view, NULL, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_take(NULL, &view, &heartbeat, NOW, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_check(&feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  assert_true(subtoken_feed_age(&feed, NOW, 0) == SUBTOKEN_TIME_MAX);
  assert_true(subtoken_feed_now(&feed, NOW) == NOW && subtoken_feed_now(NULL, NOW) == NOW);
  feed.allow_old = true; /* there is nothing old either */
  assert_int_equal(subtoken_feed_revoked(&clock, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_feed_revoked(&none, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_feed_revoked(&zeroed, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_feed_revoked(NULL, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_revocations_find(NULL, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_revocations_find(&unopened, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_revocations_find(&view, (subtoken_text){NULL, 3}),
                   SUBTOKEN_REVOCATION_UNKNOWN);
}

/* A restart with old files: what was remembered still refuses them. */
static void a_restart_refuses_older_data(void **state) {
  (void)state;
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&feed, 100, NOW, 3), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_check(&feed, NOW, 3), SUBTOKEN_FEED_ABSENT);
  subtoken_revocations old = listing(99, 'z'), last = listing(100, 'a');
  subtoken_heartbeat old_beat = beat(99, 'z', NOW - 10), early = beat(100, 'a', NOW - 1),
                     same = beat(100, 'a', NOW);
  assert_int_equal(subtoken_feed_take(&feed, &old, &old_beat, NOW + 2, 5), SUBTOKEN_FEED_ROLLBACK);
  assert_int_equal(subtoken_feed_take(&feed, &last, &early, NOW + 2, 5), SUBTOKEN_FEED_REPLAY);
  assert_int_equal(subtoken_feed_take(&feed, &last, &same, NOW + 2, 5), SUBTOKEN_FEED_OK);
  assert_true(feed.grew == 3 && subtoken_feed_age(&feed, NOW + 2, 50) == 47);
  assert_int_equal(subtoken_feed_resume(&feed, 1, 1, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed fresh = SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&fresh, -1, 0, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_resume(&fresh, 0, -1, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_resume(&fresh, 0, 0, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_resume(NULL, 0, 0, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
}

/* T is NOW, and it came at monotonic time 1000. */
static void data_is_old_by_either_clock(void **state) {
  (void)state;
  static const struct {
    int64_t now, monotonic, age;
    subtoken_feed_result want;
  } rows[] = {
      {NOW, 1000, 0, SUBTOKEN_FEED_OK},
      {NOW + 300, 1000, 300, SUBTOKEN_FEED_OK},
      {NOW + 301, 1000, 301, SUBTOKEN_FEED_OLD},
      {NOW, 1300, 300, SUBTOKEN_FEED_OK}, /* a clock that stands */
      {NOW, 1301, 301, SUBTOKEN_FEED_OLD},
      {NOW - 60, 1301, 301, SUBTOKEN_FEED_OLD}, /* or went back */
      {NOW - 60, 1010, 10, SUBTOKEN_FEED_OK},
      {NOW - 61, 1010, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OLD}, /* too far: T is void (C12) */
      {NOW + 20, 1010, 20, SUBTOKEN_FEED_OK},
      {NOW + 10, 1020, 20, SUBTOKEN_FEED_OK},
      {NOW, 999, 0, SUBTOKEN_FEED_OK}, /* read by another thread, just before */
      {INT64_MIN, INT64_MIN, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OLD},
      {INT64_MAX, 1000, SUBTOKEN_TIME_MAX - NOW, SUBTOKEN_FEED_OLD},
      {NOW, INT64_MAX, SUBTOKEN_TIME_MAX - 1000, SUBTOKEN_FEED_OLD},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed feed = with(100, 'a', NOW, 1000);
    subtoken_feed_clock clock = {&feed, rows[i].now, rows[i].monotonic};
    CHECK(subtoken_feed_age(&feed, rows[i].now, rows[i].monotonic) == rows[i].age, "row %zu", i);
    CHECK(subtoken_feed_check(&feed, rows[i].now, rows[i].monotonic) == rows[i].want, "row %zu", i);
    bool fine = rows[i].want == SUBTOKEN_FEED_OK;
    CHECK(subtoken_feed_revoked(&clock, ST_TEXT("a")) ==
              (fine ? SUBTOKEN_OK : SUBTOKEN_REVOCATION_UNKNOWN),
          "row %zu", i);
    int64_t at = subtoken_feed_now(&feed, rows[i].now);
    bool is_void = rows[i].now < NOW - feed.leeway;
    CHECK((at >= NOW || is_void) && (at == rows[i].now || at == NOW || at == SUBTOKEN_TIME_MAX ||
                                     (rows[i].now < 0 && at == 0)),
          "row %zu", i);
    feed.allow_old = true;
    CHECK(subtoken_feed_check(&feed, rows[i].now, rows[i].monotonic) ==
              (fine ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_OLD_ALLOWED),
          "row %zu", i);
    CHECK(subtoken_feed_revoked(&clock, ST_TEXT("a")) == SUBTOKEN_OK, "row %zu", i);
  }
}

/* C12: the clock of an edge set back by far, or all clocks ahead for a while and then right: what
 * was taken is void, what is right after it is taken, and nothing of it is left.
 */
static void clocks_that_were_wrong(void **state) {
  (void)state;
  const int64_t hour = 3600;
  subtoken_feed feed = with(100, 'a', NOW, 0);
  subtoken_heartbeat ahead = beat(100, 'a', NOW + hour), right = beat(100, 'a', NOW + 10);
  /* as long as all are wrong alike */
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + hour, 7), SUBTOKEN_FEED_OK);
  assert_true(subtoken_feed_now(&feed, NOW + hour - 60) == NOW + hour);
  assert_int_equal(subtoken_feed_check(&feed, NOW + hour - 60, 7), SUBTOKEN_FEED_OK);
  /* right again: beyond the leeway it is void */
  assert_true(subtoken_feed_now(&feed, NOW + hour - 61) == NOW + hour - 61);
  assert_true(subtoken_feed_age(&feed, NOW + 10, 8) == SUBTOKEN_TIME_MAX);
  assert_int_equal(subtoken_feed_check(&feed, NOW + 10, 8), SUBTOKEN_FEED_OLD);
  feed.max_age = SUBTOKEN_TIME_MAX; /* whatever age is allowed */
  assert_int_equal(subtoken_feed_check(&feed, NOW + 10, 8), SUBTOKEN_FEED_OLD);
  feed.max_age = 300;
  /* one more of the wrong clock is not taken, the right one is */
  ahead.time++;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 10, 8), SUBTOKEN_FEED_FUTURE);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &right, NOW + 10, 8), SUBTOKEN_FEED_OK);
  assert_true(feed.time == NOW + 10 && feed.grew == 8 && feed.sequence == 100);
  assert_true(subtoken_feed_now(&feed, NOW + 11) == NOW + 11);
  assert_int_equal(subtoken_feed_check(&feed, NOW + 310, 308), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_check(&feed, NOW + 311, 308), SUBTOKEN_FEED_OLD);
  /* the sequence is never void */
  subtoken_heartbeat lower = beat(99, 'a', NOW + 12);
  feed.time = NOW + DAY;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &lower, NOW + 12, 9), SUBTOKEN_FEED_ROLLBACK);
}

/* C12: a leeway that is longer than max_age leaves nothing behind, either; C13: it is an hour at
 * most, whatever the caller sets.
 */
static void large_leeways(void **state) {
  (void)state;
  subtoken_feed feed = with(100, 'a', NOW, 0);
  subtoken_heartbeat ahead = beat(100, 'a', NOW + 1800), right = beat(100, 'a', NOW + 1);
  feed.leeway = SUBTOKEN_TIME_MAX;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &right, NOW + 1, 1), SUBTOKEN_FEED_OK);
  ahead.time = NOW + 1 + SUBTOKEN_LEEWAY_MAX;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW, 1), SUBTOKEN_FEED_FUTURE);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 1, 1), SUBTOKEN_FEED_OK);
  feed.leeway = -5; /* is 0 */
  ahead.time = NOW + 3;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 2, 9), SUBTOKEN_FEED_FUTURE);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 3, 9), SUBTOKEN_FEED_OK);
}

/* What the issuer made so far: snapshot `sequence` was in force when it vouched at `time`. */
typedef struct vouched {
  int64_t sequence, time;
} vouched;

/* The rules once more, said otherwise. */
static bool model_takes(const subtoken_feed *feed, const subtoken_revocations *view,
                        const subtoken_heartbeat *heartbeat, int64_t now) {
  if (view == NULL && feed->snapshot.index == NULL) return false;
  const subtoken_revocations *which = view != NULL ? view : &feed->snapshot;
  int64_t binds = now + (feed->max_age < feed->leeway ? feed->max_age : feed->leeway);
  return which->sequence == heartbeat->sequence && which->digest[0] == heartbeat->digest[0] &&
         heartbeat->sequence >= feed->sequence &&
         (heartbeat->time >= feed->time || feed->time > binds) &&
         heartbeat->time - now <= feed->leeway;
}

/* An issuer vouches, somebody in between hands on anything that was ever made, in any
 * pairing and order, and the edge's clock jumps (or, honest, stays within the leeway).
 */
static void handed_on_by_an_enemy(void **state) {
  (void)state;
  static vouched made[6000];
  uint64_t random = 21;
  for (size_t run = 0; run < 40; run++) {
    bool honest_clock = run % 2 == 0;
    subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
    int64_t truth = NOW, offset = 0, sequence = 1, monotonic = 0, since = 0;
    size_t count = 0, taken = 0, refused = 0;
    for (size_t step = 0; step < 5000; step++) {
      int64_t pause = random_below(&random, 100) == 0 ? (int64_t)random_below(&random, 500)
                                                      : (int64_t)random_below(&random, 3);
      truth += pause;
      monotonic += pause;
      if (random_below(&random, 4) == 0) sequence += 1 + (int64_t)random_below(&random, 2);
      if (random_below(&random, 3) > 0) made[count++] = (vouched){sequence, truth};
      if (random_below(&random, 20) == 0) {
        offset = honest_clock ? (int64_t)random_below(&random, 121) - 60
                              : (int64_t)random_below(&random, 20001) - 10000;
      }
      if (count == 0) continue;
      size_t back = random_below(&random, 3) == 0 ? count : count < 5 ? count : 5;
      vouched a = made[count - 1 - random_below(&random, back)];
      vouched b = random_below(&random, 4) == 0 ? made[count - 1 - random_below(&random, back)] : a;
      subtoken_revocations view = listing(b.sequence, (uint8_t)b.sequence);
      subtoken_heartbeat heartbeat = beat(a.sequence, (uint8_t)a.sequence, a.time);
      subtoken_revocations *offered = random_below(&random, 5) == 0 ? NULL : &view;
      subtoken_feed before = feed;
      bool want = model_takes(&feed, offered, &heartbeat, truth + offset);
      subtoken_feed_result got =
          subtoken_feed_take(&feed, offered, &heartbeat, truth + offset, monotonic);
      CHECK((got == SUBTOKEN_FEED_OK) == want, "run %zu, step %zu: %s", run, step,
            subtoken_feed_result_name(got));
      if (got != SUBTOKEN_FEED_OK) assert_true(same(&feed, &before));
      if (feed.time != before.time) since = monotonic;
      taken += want;
      refused += !want;
      CHECK(feed.sequence >= before.sequence, "run %zu, step %zu", run, step);
      CHECK(!honest_clock || feed.time >= before.time, "run %zu, step %zu", run, step);
      if (feed.time == 0) continue;
      int64_t now = truth + offset, age = subtoken_feed_age(&feed, now, monotonic);
      int64_t by_clock = now - feed.time, by_growth = monotonic - since;
      int64_t older = by_clock > by_growth ? by_clock : by_growth;
      bool is_void = feed.time > now + feed.leeway;
      CHECK(age >= 0 && age == (is_void ? SUBTOKEN_TIME_MAX : older), "run %zu, step %zu", run,
            step);
      CHECK(feed.snapshot.sequence == feed.sequence, "run %zu, step %zu", run, step);
      CHECK(subtoken_feed_now(&feed, now) == (is_void || now > feed.time ? now : feed.time),
            "run %zu, step %zu", run, step);
      /* Nobody can delay a revocation by more. */
      if (honest_clock && subtoken_feed_check(&feed, now, monotonic) == SUBTOKEN_FEED_OK) {
        CHECK(truth - feed.time <= feed.max_age + feed.leeway, "run %zu, step %zu", run, step);
      }
    }
    CHECK(taken > 100 && refused > 100, "run %zu: %zu taken, %zu refused", run, taken, refused);
  }
}

/* All of it together, with a token. */
static void in_a_verifier(void **state) {
  (void)state;
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_feed_clock clock = {&feed, NOW, 50};
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_claims claims;
  subtoken_ring signing;
  uint8_t *in_use = NULL;
  ring_with(&signing, "", TEST_SECRET);
  verifier.ring = &signing;
  verifier.revoked = subtoken_feed_revoked;
  verifier.revoked_context = &clock;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims),
                   SUBTOKEN_REVOCATION_UNKNOWN);
  for (int listed = 0; listed < 2; listed++) {
    uint64_t hash = subtoken_revocations_hash(key, ST_TEXT("parent"));
    subtoken_revocations_header its = header;
    subtoken_revocations view;
    its.sequence += listed;
    size_t size = subtoken_revocations_size((uint32_t)listed);
    subtoken_heartbeat heartbeat = {.sequence = its.sequence, .time = NOW};
    uint8_t *bytes = malloc(size);
    assert_int_equal(subtoken_revocations_write(&ring, &its, &hash, (uint32_t)listed, bytes, size,
                                                heartbeat.digest),
                     SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_revocations_open(&ring, bytes, size, &view), SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_feed_take(&feed, &view, &heartbeat, NOW, 50), SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_verify(&verifier, token, &request, &claims),
                     listed ? SUBTOKEN_REVOKED : SUBTOKEN_OK);
    clock.monotonic = 351;
    assert_int_equal(subtoken_verify(&verifier, token, &request, &claims),
                     SUBTOKEN_REVOCATION_UNKNOWN);
    clock.monotonic = 50;
    free(in_use);
    in_use = bytes;
  }
  free(in_use);
  release(token);
}

static void each_result_has_its_words(void **state) {
  (void)state;
  for (int i = SUBTOKEN_FEED_UNDECIDED; i <= SUBTOKEN_FEED_NO_SECRET; i++) {
    const char *name = subtoken_feed_result_name((subtoken_feed_result)i);
    const char *event = subtoken_feed_result_event((subtoken_feed_result)i);
    CHECK(name[0] != '\0' && subtoken_feed_result_text((subtoken_feed_result)i)[0] != '\0', "%d",
          i);
    CHECK((event != NULL) == (i >= SUBTOKEN_FEED_LENGTH && i <= SUBTOKEN_FEED_OLD_ALLOWED), "%d",
          i);
    for (int j = 0; j < i; j++) {
      CHECK(strcmp(name, subtoken_feed_result_name((subtoken_feed_result)j)) != 0, "%d %d", i, j);
    }
  }
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_MAC), "feed_bad");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_FUTURE), "feed_bad");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_IO), "feed_bad");
  assert_string_equal(subtoken_feed_result_name(SUBTOKEN_FEED_IO), "io");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_REPLAY), "feed_rollback");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_ROLLBACK), "feed_rollback");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_OLD), "feed_stale");
  assert_string_equal(subtoken_feed_result_name((subtoken_feed_result)1000), "unknown");
  assert_string_equal(subtoken_feed_result_text((subtoken_feed_result)1000), "unknown");
  assert_null(subtoken_feed_result_event((subtoken_feed_result)1000));
}

static int setup(void **state) {
  (void)state;
  ring_with(&ring, "two", TEST_SECRET);
  ring_with(&other, "two", OTHER_SECRET);
  return subtoken_ring_add(&ring, ST_TEXT("one"), OTHER_SECRET, 32) == SUBTOKEN_OK ? 0 : 1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hash_vectors),
      cmocka_unit_test(hash_as_described),
      cmocka_unit_test(hash_of_counters),
      cmocka_unit_test(hash_avalanche),
      cmocka_unit_test(sorting_agrees_with_qsort),
      cmocka_unit_test(sizes_are_those_of_the_format),
      cmocka_unit_test(the_golden_snapshot_is_written),
      cmocka_unit_test(refused_writing),
      cmocka_unit_test(cut_short),
      cmocka_unit_test(each_bit),
      cmocka_unit_test(each_field_is_checked),
      cmocka_unit_test(index_and_hashes_are_checked),
      cmocka_unit_test(empty_buckets),
      cmocka_unit_test(slices_of_any_length_agree),
      cmocka_unit_test(another_ring_does_not_open_it),
      cmocka_unit_test(as_a_sorted_array),
      cmocka_unit_test(crowded_hashes_are_found),
      cmocka_unit_test(a_million_others),
      cmocka_unit_test(a_heartbeat_is_read_as_written),
      cmocka_unit_test(heartbeat_text),
      cmocka_unit_test(only_newer_data_is_taken),
      cmocka_unit_test(nothing_yet),
      cmocka_unit_test(a_restart_refuses_older_data),
      cmocka_unit_test(data_is_old_by_either_clock),
      cmocka_unit_test(clocks_that_were_wrong),
      cmocka_unit_test(large_leeways),
      cmocka_unit_test(handed_on_by_an_enemy),
      cmocka_unit_test(in_a_verifier),
      cmocka_unit_test(each_result_has_its_words),
  };
  return cmocka_run_group_tests_name("revocations", tests, setup, NULL);
}
