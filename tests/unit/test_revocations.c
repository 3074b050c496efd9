/* revocations: the hash of a sub, opening a snapshot, and looking up in it. */
#include "revocations_fixture.h"

#include <inttypes.h>

/* From a program of our own in Python: key 00..0f, data 00.. of each length. */
static void the_vectors_of_the_hash_hold(void **state) {
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

static void the_hash_is_as_the_header_says(void **state) {
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

static void the_hash_spreads_counters(void **state) {
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

static void each_bit_changes_half_of_the_hash(void **state) {
  (void)state;
  static const size_t lens[] = {1, 7, 8, 15, 16, 17, 32, 33, 43, 128};
  uint64_t random = 11;
  for (size_t i = 0; i < COUNT(lens); i++) avalanche(lens[i], &random);
}

static void a_truncated_snapshot_is_refused(void **state) {
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

static void each_changed_bit_is_found(void **state) {
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
      {INDEX + 20, 4, UINT32_C(1) << 24, SUBTOKEN_FEED_INDEX},
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
static void empty_buckets_are_read(void **state) {
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

/* The shortest that is looked at is as long as a head and a MAC. */
static void a_start_that_fails_leaves_nothing(void **state) {
  (void)state;
  static const subtoken_revocations_opening none;
  subtoken_revocations_opening opening;
  snapshot s = small();
  assert_int_equal(subtoken_revocations_start(&opening, &ring, NULL, 1),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  memset(&opening, 0x55, sizeof opening);
  assert_int_equal(subtoken_revocations_start(&opening, &ring, s.bytes, INDEX + 31),
                   SUBTOKEN_FEED_LENGTH);
  assert_memory_equal(&opening, &none, sizeof opening);
  for (size_t len = s.len - 1; len <= s.len; len++) { /* after all of its head was read */
    if (len == s.len) s.bytes[INDEX - 1] ^= 1;
    memset(&opening, 0x55, sizeof opening);
    subtoken_feed_result got = subtoken_revocations_start(&opening, &ring, s.bytes, len);
    assert_int_equal(got, len == s.len ? SUBTOKEN_FEED_FORM : SUBTOKEN_FEED_LENGTH);
    assert_memory_equal(&opening, &none, sizeof opening);
  }
  memset(s.bytes, 0, s.len);
  subtoken_feed_result longer = subtoken_revocations_start(&opening, &ring, s.bytes, INDEX + 33);
  assert_int_not_equal(longer, SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_revocations_start(&opening, &ring, s.bytes, INDEX + 32), longer);
  free(s.bytes);
}

/* No step looks at more than went into the MAC: each has its share of the time. */
static void a_step_looks_at_what_it_has(void **state) {
  (void)state;
  subtoken_revocations_opening opening;
  subtoken_revocations view;
  snapshot s = small();
  assert_int_equal(subtoken_revocations_start(&opening, &ring, s.bytes, s.len), SUBTOKEN_FEED_MORE);
  for (size_t done = 1; done < s.len - SUBTOKEN_MAC_LEN; done++) {
    assert_int_equal(subtoken_revocations_step(&opening, 1, &view), SUBTOKEN_FEED_MORE);
    size_t index = done < INDEX ? 0 : (done - INDEX) / 4;
    size_t listed = done < INDEX + 24 ? 0 : (done - INDEX - 24) / 8;
    CHECK(opening.indexed == (index < 6 ? index : 6), "%zu: %u", done, opening.indexed);
    CHECK(opening.listed == listed, "%zu: %u", done, opening.listed);
  }
  assert_int_equal(subtoken_revocations_step(&opening, 1, &view), SUBTOKEN_FEED_OK);
  free(s.bytes);
}

static void a_lookup_agrees_with_a_sorted_array(void **state) {
  (void)state;
  static uint64_t hashes[2000], model[2000];
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
    for (uint32_t above = below % 3; above < 80; above += below % 16 == 0 ? 1 : 9) {
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

static void none_of_a_million_others_is_found(void **state) {
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_vectors_of_the_hash_hold),
      cmocka_unit_test(the_hash_is_as_the_header_says),
      cmocka_unit_test(the_hash_spreads_counters),
      cmocka_unit_test(each_bit_changes_half_of_the_hash),
      cmocka_unit_test(a_truncated_snapshot_is_refused),
      cmocka_unit_test(each_changed_bit_is_found),
      cmocka_unit_test(index_and_hashes_are_checked),
      cmocka_unit_test(empty_buckets_are_read),
      cmocka_unit_test(slices_of_any_length_agree),
      cmocka_unit_test(another_ring_does_not_open_it),
      cmocka_unit_test(a_start_that_fails_leaves_nothing),
      cmocka_unit_test(a_step_looks_at_what_it_has),
      cmocka_unit_test(a_lookup_agrees_with_a_sorted_array),
      cmocka_unit_test(crowded_hashes_are_found),
      cmocka_unit_test(none_of_a_million_others_is_found),
  };
  return cmocka_run_group_tests_name("revocations", tests, setup, NULL);
}
