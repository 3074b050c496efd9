/* A cache whose memory others write to: what is damaged is not found, and nothing outside of it is
 * read or written.
 */
#include "support.h"

#include <sys/mman.h>

#include "core/cache.h"

/* ---- a cache whose memory was damaged ---- */

/* As core/cache.c lays it out: the state, the table, the log. An entry is a hash, its units of 16
 * bytes, the length of its token and the head of its claims; then comes the token. */
enum { WRITE, LIMIT, END, RING_COUNT };
#define CACHE_SIZE (1 << 16)
#define CACHE_STATE ((16 + sizeof(subtoken_secret) * SUBTOKEN_RING_MAX + 63) / 64 * 64)
#define CACHE_ENTRY ((16 + offsetof(subtoken_claims, permissions) + 8 + 15) / 16 * 16)

/* The shortest text that a cache looks at: as long as a signature. */
#define SIGNATURE "0123456789012345678901234567890123456789012"

static char cache_memory[CACHE_SIZE] __attribute__((aligned(64)));
static subtoken_cache cache;
static subtoken_ring cache_ring;
static subtoken_text cache_token;

static uint32_t *cache_words(void) {
  return (uint32_t *)(void *)cache_memory;
}

/* A cache with one token. */
static int cache_set_up(void **state) {
  static subtoken_claims claims;
  (void)state;
  ring_with(&cache_ring, "", TEST_SECRET);
  if (subtoken_cache_init(&cache, cache_memory, CACHE_SIZE) != SUBTOKEN_OK) return -1;
  cache_token = good_token(GOOD_PAYLOAD);
  if (subtoken_authenticate(&cache_ring, &cache, cache_token, &claims) != SUBTOKEN_OK) return -1;
  return st_cache_find(&cache, &cache_ring, cache_token, &claims) ? 0 : -1;
}

static int cache_tear_down(void **state) {
  (void)state;
  release(cache_token);
  return 0;
}

static bool cache_has_it(void) {
  static subtoken_claims claims;
  return st_cache_find(&cache, &cache_ring, cache_token, &claims);
}

static uint32_t *cache_entry_words(void) {
  char *token = memmem(cache_memory, CACHE_SIZE, cache_token.data, cache_token.len);
  assert_non_null(token);
  return (uint32_t *)(void *)(token - CACHE_ENTRY);
}

/* The one slot of the table: a tag, and the place. */
static uint32_t *cache_slot_words(void) {
  uint32_t *at = (uint32_t *)(void *)(cache_memory + CACHE_STATE);
  while (at[1] == 0) at += 2;
  assert_int_equal(at[1], 1);
  return at;
}

static void a_damaged_entry_is_not_found(void **state) {
  (void)state;
  uint32_t *entry = cache_entry_words(), units = entry[2], len = entry[3];
  const struct {
    uint32_t units, len;
  } rows[] = {{0, len},         {1, len},         {UINT32_MAX, len}, {CACHE_SIZE, len},
              {units + 1, len}, {units - 1, len}, {units, len - 1},  {CACHE_ENTRY / 16 + 1, len}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    entry[2] = rows[i].units;
    entry[3] = rows[i].len;
    CHECK(!cache_has_it(), "row %zu", i);
  }
  entry[2] = units;
  entry[3] = len;
  assert_true(cache_has_it());
}

static void a_damaged_slot_names_no_entry(void **state) {
  (void)state;
  uint32_t *slot = cache_slot_words();
  for (uint32_t place = 0; place <= CACHE_SIZE / 16; place++) {
    slot[1] = place;
    CHECK(cache_has_it() == (place == 1), "place %u", (unsigned)place);
  }
  slot[1] = UINT32_MAX;
  assert_false(cache_has_it());
  slot[1] = 1;
  assert_true(cache_has_it());
}

/* What says that it is an entry, in the last bytes of the memory: its token would lie behind. */
static void an_entry_that_would_leave_the_memory_is_none(void **state) {
  (void)state;
  static const uint32_t units[] = {UINT32_MAX, CACHE_SIZE, CACHE_ENTRY / 16 + 1, CACHE_ENTRY / 16};
  uint32_t *entry = (uint32_t *)(void *)(cache_memory + CACHE_SIZE - CACHE_ENTRY);
  uint32_t *slot = cache_slot_words();
  size_t log = CACHE_SIZE - (size_t)((char *)cache_entry_words() - cache_memory);
  slot[1] = (uint32_t)((log - CACHE_ENTRY) / 16 + 1);
  for (size_t i = 0; i < COUNT(units); i++) {
    entry[2] = units[i];
    entry[3] = (uint32_t)cache_token.len;
    CHECK(!cache_has_it(), "row %zu", i);
  }
}

/* As many permissions, URLs, characters and tids as claims have room for, and no more. */
static void an_entry_has_no_more_than_claims_have(void **state) {
  (void)state;
  subtoken_claims *none = NULL;
  const size_t most[4] = {SUBTOKEN_PERMISSIONS_MAX, SUBTOKEN_URLS_MAX, sizeof none->text,
                          SUBTOKEN_VIA_MAX};
  const size_t each[4] = {sizeof(subtoken_slice), sizeof(subtoken_slice), 1,
                          sizeof(subtoken_slice)};
  uint32_t *entry = cache_entry_words();
  for (size_t field = 0; field < 5; field++) {
    uint16_t counts[4];
    entry[2] = (uint32_t)(CACHE_ENTRY + (cache_token.len + 15) / 16 * 16) / 16;
    for (size_t i = 0; i < 4; i++) {
      counts[i] = (uint16_t)(most[i] + (i == field));
      entry[2] += (uint32_t)((counts[i] * each[i] + 15) / 16);
    }
    memcpy((char *)(entry + 4) + offsetof(subtoken_claims, permission_count), counts,
           sizeof counts);
    CHECK(cache_has_it() == (field == 4), "field %zu", field);
  }
}

static void no_ring_has_more_secrets_than_fit(void **state) {
  (void)state;
  cache_ring.count = cache_words()[RING_COUNT] = SUBTOKEN_RING_MAX + 1;
  assert_false(cache_has_it());
  cache_ring.count = cache_words()[RING_COUNT] = 0;
  assert_false(cache_has_it());
  cache_ring.count = 1;
  assert_false(cache_has_it()); /* it is another ring than before: the cache is empty */
}

/* Where the log says that an entry is cut off, all is forgotten, and later tokens are kept again.
 */
static void a_log_that_is_not_whole_is_emptied(void **state) {
  static subtoken_claims claims;
  static const uint32_t rows[][3] = {{0, 0, 1},          {0, 0, 5},          {5, 3, 9},
                                     {CACHE_SIZE, 0, 1}, {0, 0, CACHE_SIZE}, {0, 4000, UINT32_MAX}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    if (i > 0) {
      cache_tear_down(state);
      assert_int_equal(cache_set_up(state), 0);
    }
    memcpy(cache_words(), rows[i], sizeof rows[i]);
    memset(&claims, 0, sizeof claims);
    st_cache_keep(&cache, ST_TEXT(SIGNATURE), &claims);
    for (size_t at = 0; at < CACHE_SIZE; at++) CHECK(cache_memory[at] == 0, "row %zu: %zu", i, at);
    assert_false(cache_has_it());
    assert_int_equal(subtoken_authenticate(&cache_ring, &cache, cache_token, &claims), SUBTOKEN_OK);
    assert_true(cache_has_it());
  }
}

/* Nor may an entry reach over the end of the log, wherever it begins. */
static void an_entry_that_the_end_cuts_is_none(void **state) {
  static subtoken_claims claims;
  static char big[4000];
  (void)state;
  uint32_t *words = cache_words(), first = words[WRITE];
  memset(big, 'a', sizeof big);
  st_cache_keep(&cache, ST_TEXT(SIGNATURE), &claims);
  uint32_t second = words[WRITE] - first;
  for (uint32_t end = second - 1; end <= second; end++) {
    words[WRITE] = 0;
    words[LIMIT] = first;
    words[END] = first + end;
    st_cache_keep(&cache, (subtoken_text){big, sizeof big}, &claims);
    CHECK((words[WRITE] == 0) == (end < second), "%u units of %u", end, second);
    if (end == second) break;
    cache_tear_down(state);
    assert_int_equal(cache_set_up(state), 0);
    st_cache_keep(&cache, ST_TEXT(SIGNATURE), &claims);
  }
}

static void what_cannot_be_found_is_not_kept(void **state) {
  static char before[CACHE_SIZE], big[SUBTOKEN_TOKEN_MAX + 1];
  static subtoken_claims claims;
  (void)state;
  memset(big, 'a', sizeof big);
  memcpy(before, cache_memory, CACHE_SIZE);
  st_cache_keep(&cache, ((subtoken_text){SIGNATURE, sizeof SIGNATURE - 2}), &claims);
  assert_memory_equal(before, cache_memory, CACHE_SIZE);
  st_cache_keep(&cache, (subtoken_text){big, sizeof big}, &claims);
  assert_memory_equal(before, cache_memory, CACHE_SIZE);
  assert_false(st_cache_find(&cache, &cache_ring,
                             ((subtoken_text){SIGNATURE, sizeof SIGNATURE - 2}), &claims));
  assert_false(st_cache_find(&cache, &cache_ring, (subtoken_text){big, sizeof big}, &claims));
  st_cache_keep(&cache, ST_TEXT(SIGNATURE), &claims);
  assert_memory_not_equal(before, cache_memory, CACHE_SIZE);
  subtoken_text longest = {big, SUBTOKEN_TOKEN_MAX};
  st_cache_keep(&cache, longest, &claims);
  assert_true(st_cache_find(&cache, &cache_ring, longest, &claims));
  /* Before a ring was taken there is nothing to keep for. */
  subtoken_cache_wipe(&cache);
  memset(before, 0, CACHE_SIZE);
  st_cache_keep(&cache, ST_TEXT(SIGNATURE), &claims);
  assert_memory_equal(before, cache_memory, CACHE_SIZE);
}

/* More than positions can name: what is behind them is not used. What is not needed of so much may
 * not be written, or the machine would be out of memory. */
static void memory_may_be_larger_than_positions_reach(void **state) {
  (void)state;
  const size_t size = (size_t)40 << 30, front = ((size_t)2 << 30) + (1 << 20);
  void *memory = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) skip();
  assert_int_equal(mprotect(memory, front, PROT_READ | PROT_WRITE), 0); /* the table, and more */
  static subtoken_claims claims;
  cache = (subtoken_cache){sizeof cache, memory, size};
  assert_int_equal(subtoken_authenticate(&cache_ring, &cache, cache_token, &claims), SUBTOKEN_OK);
  assert_true(cache_has_it());
  st_cache_keep(&cache, ST_TEXT("more-than-the-next-" SIGNATURE), &claims);
  /* The log ends there: it goes on at its beginning, where the first entry stays. */
  uint32_t *words = memory;
  const uint32_t most = UINT32_MAX / 2, before = words[WRITE];
  words[WRITE] = words[LIMIT] = words[END] = most - 3;
  st_cache_keep(&cache, ST_TEXT(SIGNATURE), &claims);
  assert_int_equal(words[END], most - 3);
  assert_int_equal(words[LIMIT], before);
  assert_true(words[WRITE] < before);
  assert_true(st_cache_find(&cache, &cache_ring, ST_TEXT(SIGNATURE), &claims));
  assert_true(cache_has_it());
  assert_int_equal(munmap(memory, size), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_damaged_entry_is_not_found, cache_set_up, cache_tear_down),
      cmocka_unit_test_setup_teardown(a_damaged_slot_names_no_entry, cache_set_up, cache_tear_down),
      cmocka_unit_test_setup_teardown(an_entry_that_would_leave_the_memory_is_none, cache_set_up,
                                      cache_tear_down),
      cmocka_unit_test_setup_teardown(an_entry_has_no_more_than_claims_have, cache_set_up,
                                      cache_tear_down),
      cmocka_unit_test_setup_teardown(no_ring_has_more_secrets_than_fit, cache_set_up,
                                      cache_tear_down),
      cmocka_unit_test_setup_teardown(a_log_that_is_not_whole_is_emptied, cache_set_up,
                                      cache_tear_down),
      cmocka_unit_test_setup_teardown(an_entry_that_the_end_cuts_is_none, cache_set_up,
                                      cache_tear_down),
      cmocka_unit_test_setup_teardown(what_cannot_be_found_is_not_kept, cache_set_up,
                                      cache_tear_down),
      cmocka_unit_test_setup_teardown(memory_may_be_larger_than_positions_reach, cache_set_up,
                                      cache_tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
