/* The filter of a view: it never says no of what is listed, whatever the hashes are, and answers as
 * a plain search does; it says no at once of nearly all that is not.
 */
#include "support.h"

#include "core/revocations_format.h"

#define SEQUENCE INT64_C(1700000000000001)

static subtoken_ring ring;
static const subtoken_revocations_header header = {SEQUENCE, NOW, {3, 1, 4, 1, 5, 9, 2, 6}};

static int setup(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  return 0;
}

/* A snapshot with its filter, built so many hashes at a time. */
typedef struct filtered {
  uint8_t *bytes;
  uint64_t *memory;
  subtoken_revocations plain, view;
} filtered;

static filtered filter(uint64_t *hashes, uint32_t count, uint32_t slice) {
  filtered f;
  count = subtoken_revocations_sort(hashes, count);
  size_t len = subtoken_revocations_size(count), size = subtoken_revocations_filter_size(count);
  uint32_t done = 0, steps = 1, each = slice > 0 ? slice : SUBTOKEN_REVOCATIONS_SLICE / 8;
  f.bytes = malloc(len);
  f.memory = calloc(1, size);
  assert_true(f.bytes != NULL && f.memory != NULL && size >= count && size <= (size_t)count + 8);
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, count, f.bytes, len, NULL),
                   SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_revocations_open(&ring, f.bytes, len, &f.plain), SUBTOKEN_FEED_OK);
  f.view = f.plain;
  assert_true(f.view.filter == NULL && f.view.filter_words == 0);
  while (subtoken_revocations_filter_build(&f.view, f.memory, size, &done, slice) ==
         SUBTOKEN_FEED_MORE) {
    assert_true(done == steps++ * each && f.view.filter == NULL);
  }
  assert_int_equal(steps, count > 0 ? (count - 1) / each + 1 : 1);
  assert_true(done == count && f.view.filter == f.memory && f.view.filter_words * 8 == size);
  return f;
}

static void drop(filtered *f) {
  free(f->bytes);
  free(f->memory);
}

static bool passes(const filtered *f, uint64_t hash) {
  uint64_t bits = st_filter_bits(hash);
  return (f->memory[st_filter_word(hash, f->view.filter_words)] & bits) == bits;
}

static void name_sub(uint64_t *random, char sub[44]) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (size_t i = 0; i < 43; i++) sub[i] = alphabet[random_below(random, 64)];
  sub[43] = '\0';
}

/* Random sets of random sizes: everything that is listed is found, and as many others answer as
 * without the filter.
 */
static void a_filter_agrees_with_a_search(void **state) {
  (void)state;
  static uint64_t hashes[8000];
  uint64_t dice = 11;
  for (size_t round = 0; round < 60; round++) {
    size_t limit = round % 10 == 0 ? 8000 : round % 2 == 0 ? 1000 : 20;
    uint32_t count = (uint32_t)random_below(&dice, limit);
    uint64_t random = 1000 + round, again = random;
    char sub[44];
    for (uint32_t i = 0; i < count; i++) {
      name_sub(&random, sub);
      hashes[i] = subtoken_revocations_hash(header.hash_key, st_text(sub));
    }
    filtered f = filter(hashes, count, 1 + (uint32_t)random_below(&dice, 5000));
    for (uint32_t i = 0; i < 3 * count + 500; i++) { /* those listed, then others */
      name_sub(&again, sub);
      subtoken_result want = subtoken_revocations_find(&f.plain, st_text(sub));
      CHECK(want == (i < count ? SUBTOKEN_REVOKED : SUBTOKEN_OK), "round %zu, sub %u", round, i);
      CHECK(subtoken_revocations_find(&f.view, st_text(sub)) == want, "round %zu, sub %u", round,
            i);
    }
    drop(&f);
  }
}

/* Several names at once: the answer is that of one after the other, with and without a filter, also
 * for more of them than a token has, of any length. */
static void names_are_found_in_any_number(void **state) {
  (void)state;
  enum { LISTED = 3000, NAMES = 25 };
  static uint64_t hashes[LISTED];
  static char known[LISTED][44];
  uint64_t random = 5;
  size_t revoked = 0;
  for (size_t i = 0; i < LISTED; i++) {
    name_sub(&random, known[i]);
    if (i % 2 == 0) known[i][16] = '\0'; /* as long as a tid */
    hashes[i] = subtoken_revocations_hash(header.hash_key, st_text(known[i]));
  }
  filtered f = filter(hashes, LISTED, 0);
  for (size_t round = 0; round < 4000; round++) {
    char other[NAMES][44];
    subtoken_text names[NAMES];
    size_t count = random_below(&random, NAMES + 1);
    subtoken_result want = SUBTOKEN_OK;
    for (size_t i = 0; i < count; i++) {
      name_sub(&random, other[i]);
      other[i][random_below(&random, 3) == 0 ? 16 : random_below(&random, 44)] = '\0';
      bool listed = random_below(&random, 12) == 0;
      names[i] = exact_string(listed ? known[random_below(&random, LISTED)] : other[i]);
      if (subtoken_revocations_find(&f.plain, names[i]) == SUBTOKEN_REVOKED) {
        want = SUBTOKEN_REVOKED;
      }
    }
    CHECK(subtoken_revocations_find_any(&f.plain, names, count) == want, "round %zu", round);
    CHECK(subtoken_revocations_find_any(&f.view, names, count) == want, "round %zu", round);
    revoked += want == SUBTOKEN_REVOKED;
    while (count > 0) release(names[--count]);
  }
  assert_in_range(revoked, 1000, 3500);
  static const subtoken_revocations never;
  subtoken_text absent[] = {ST_TEXT("a"), {NULL, 0}, {NULL, 1}};
  for (int i = 0; i < 2; i++) {
    const subtoken_revocations *view = i == 0 ? &f.plain : &f.view;
    assert_int_equal(subtoken_revocations_find_any(view, NULL, 0), SUBTOKEN_OK);
    assert_int_equal(subtoken_revocations_find_any(view, absent, 2), SUBTOKEN_OK);
    assert_int_equal(subtoken_revocations_find_any(view, absent, 3), SUBTOKEN_REVOCATION_UNKNOWN);
    assert_int_equal(subtoken_revocations_find_any(view, NULL, 1), SUBTOKEN_REVOCATION_UNKNOWN);
  }
  assert_int_equal(subtoken_revocations_find_any(&never, absent, 1), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_revocations_find_any(NULL, absent, 1), SUBTOKEN_REVOCATION_UNKNOWN);
  drop(&f);
}

/* Hashes that no random key gives: at the ends, side by side, alike in what chooses word or bits.
 */
static void no_hash_is_left_out(void **state) {
  (void)state;
  enum { COUNT = 4000 };
  static uint64_t hashes[COUNT];
  uint64_t random = 2;
  for (int kind = 0; kind < 6; kind++) {
    for (uint64_t i = 0; i < COUNT; i++) {
      uint64_t drawn = random_next(&random);
      hashes[i] = kind == 0   ? i
                  : kind == 1 ? UINT64_MAX - i
                  : kind == 2 ? drawn << 24
                  : kind == 3 ? drawn >> 40
                  : kind == 4 ? i << 52 | i
                              : drawn | UINT64_C(0xFFFFFFFF) << 32;
    }
    filtered f = filter(hashes, COUNT, 0);
    for (uint32_t i = 0; i < f.view.count; i++) {
      CHECK(passes(&f, hashes[i]), "kind %d, hash %u", kind, i);
    }
    drop(&f);
  }
}

/* What is not listed and passes is looked up as without: 1 in 30 is what four bits of 64 make. */
static void nearly_all_others_are_answered_by_the_filter(void **state) {
  (void)state;
  enum { COUNT = 200000, OTHERS = 1000000 };
  uint64_t *hashes = malloc(COUNT * sizeof *hashes), random = 3;
  size_t passed = 0;
  assert_non_null(hashes);
  for (size_t i = 0; i < COUNT; i++) hashes[i] = random_next(&random);
  filtered f = filter(hashes, COUNT, 65536);
  for (size_t i = 0; i < OTHERS; i++) passed += passes(&f, random_next(&random));
  assert_true(passed > OTHERS / 50 && passed < OTHERS / 25);
  drop(&f);
  free(hashes);
}

/* Memory that was not zeroed makes it worse, not wrong. */
static void memory_that_was_not_zeroed_gives_no_wrong_answer(void **state) {
  (void)state;
  uint64_t hashes[100], memory[14], random = 6;
  uint32_t done = 0;
  for (size_t i = 0; i < 100; i++) hashes[i] = random_next(&random);
  filtered f = filter(hashes, 100, 7);
  memset(memory, 0x5A, sizeof memory);
  subtoken_revocations view = f.plain;
  assert_int_equal(subtoken_revocations_filter_build(&view, memory, sizeof memory, &done, 0),
                   SUBTOKEN_FEED_OK);
  for (size_t i = 0; i < 100; i++) {
    uint64_t bits = st_filter_bits(hashes[i]);
    assert_true((memory[st_filter_word(hashes[i], view.filter_words)] & bits) == bits);
  }
  drop(&f);
}

/* Bit by bit: the words have those of the listed hashes, and no others. */
static void a_filter_has_the_bits_of_its_hashes(void **state) {
  (void)state;
  static uint64_t hashes[SUBTOKEN_REVOCATIONS_SLICE / 8 + 3], random = 1;
  static const uint32_t counts[] = {0, 1, 9, 100, SUBTOKEN_REVOCATIONS_SLICE / 8 + 3};
  for (size_t c = 0; c < COUNT(counts); c++) {
    static const uint32_t slices[] = {0, 1, 2, 200};
    for (size_t s = 0; s < COUNT(slices); s++) {
      if (counts[c] > 1000 && slices[s] > 0) continue; /* so many steps that they take long */
      for (uint32_t i = 0; i < counts[c]; i++) hashes[i] = random_next(&random);
      filtered f = filter(hashes, counts[c], slices[s]);
      uint64_t *want = calloc(f.view.filter_words, 8);
      for (uint32_t i = 0; i < counts[c]; i++) {
        want[st_filter_word(hashes[i], f.view.filter_words)] |= st_filter_bits(hashes[i]);
      }
      assert_memory_equal(f.memory, want, f.view.filter_words * (size_t)8);
      free(want);
      drop(&f);
    }
  }
}

static void bad_arguments_are_refused(void **state) {
  (void)state;
  uint64_t hash = 5, memory[4] = {0};
  filtered f = filter(&hash, 1, 0);
  subtoken_revocations view = f.plain, unopened = {.shift = 63};
  uint32_t done = 0, far = 2;
  const subtoken_feed_result bad = SUBTOKEN_FEED_INVALID_ARGUMENT;
  assert_int_equal(subtoken_revocations_filter_size(0), 8);
  assert_int_equal(subtoken_revocations_filter_size(7), 8);
  assert_int_equal(subtoken_revocations_filter_size(8), 16);
  assert_int_equal(subtoken_revocations_filter_size(UINT32_MAX), UINT64_C(1) << 32);
  assert_int_equal(subtoken_revocations_filter_build(NULL, memory, 32, &done, 0), bad);
  assert_int_equal(subtoken_revocations_filter_build(&unopened, memory, 32, &done, 0), bad);
  assert_int_equal(subtoken_revocations_filter_build(&view, NULL, 32, &done, 0), bad);
  assert_int_equal(subtoken_revocations_filter_build(&view, memory, 32, NULL, 0), bad);
  assert_int_equal(subtoken_revocations_filter_build(&view, memory, 32, &far, 0), bad);
  assert_int_equal(subtoken_revocations_filter_build(&view, (char *)memory + 4, 16, &done, 0), bad);
  assert_int_equal(subtoken_revocations_filter_build(&view, memory, 7, &done, 0),
                   SUBTOKEN_FEED_BUFFER_TOO_SMALL);
  assert_true(view.filter == NULL && done == 0 && memory[0] == 0);
  assert_int_equal(subtoken_revocations_filter_build(&view, memory, 8, &done, 0), SUBTOKEN_FEED_OK);
  assert_true(view.filter == memory && done == 1);
  drop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_filter_agrees_with_a_search),
      cmocka_unit_test(names_are_found_in_any_number),
      cmocka_unit_test(no_hash_is_left_out),
      cmocka_unit_test(nearly_all_others_are_answered_by_the_filter),
      cmocka_unit_test(memory_that_was_not_zeroed_gives_no_wrong_answer),
      cmocka_unit_test(a_filter_has_the_bits_of_its_hashes),
      cmocka_unit_test(bad_arguments_are_refused),
  };
  return cmocka_run_group_tests_name("revocations_filter", tests, setup, NULL);
}
