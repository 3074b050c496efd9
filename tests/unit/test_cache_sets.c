/* The table of a cache: where an entry lies is said by the signature of its token, whose bytes are
 * all compared, and of a set that is full what was not used is replaced. No MAC is right here: the
 * cache is told what is good.
 */
#include "cache_fixture.h"

/* Of each length modulo the step in which they are compared: the bytes at the end. */
static void the_last_bytes_count_whatever_the_length(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  static subtoken_claims made;
  assert_false(finds(&cache, ST_TEXT("the ring is taken before")));
  for (size_t len = 43; len < 120; len++) {
    char text[120];
    for (size_t i = 0; i < len; i++) text[i] = (char)('a' + i % 26);
    subtoken_text token = exact(text, len);
    st_cache_keep(&cache, token, &made);
    CHECK(finds(&cache, token), "%zu", len);
    char *bytes = (char *)(uintptr_t)token.data;
    for (size_t i = 0; i < len; i++) {
      bytes[i] ^= 1;
      CHECK(!finds(&cache, token), "byte %zu of %zu", i, len);
      bytes[i] ^= 1;
    }
    release(token);
  }
  end_cache(&cache);
}

/* Where a token lies is said by so many characters at its end: a signature. */
#define SAME_END "all-43-characters-of-the-signature-are-alike"

/* The front of a token that ends as the whole does is found in the same slots. */
static void a_front_with_the_same_end_is_another_token(void **state) {
  (void)state;
  static const char whole[] = "header.payload." SAME_END ".and.more." SAME_END;
  size_t front = sizeof "header.payload." SAME_END - 1;
  ring_with(&ring, "", TEST_SECRET);
  for (int turn = 0; turn < 2; turn++) {
    subtoken_cache cache = start_cache(SUBTOKEN_CACHE_MIN);
    static subtoken_claims made;
    subtoken_text kept = exact(whole, turn == 0 ? sizeof whole - 1 : front);
    subtoken_text asked = exact(whole, turn == 0 ? front : sizeof whole - 1);
    assert_false(finds(&cache, kept));
    st_cache_keep(&cache, kept, &made);
    assert_true(finds(&cache, kept));
    assert_false(finds(&cache, asked));
    release(kept);
    release(asked);
    end_cache(&cache);
  }
}

/* Two that differ only where the hash does not look, in the same slots; so do more than a set
 * has. No MAC is right here: the cache is told what is good. */
static void tokens_that_share_a_slot_are_kept_apart(void **state) {
  (void)state;
  char text[100];
  static subtoken_claims made;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  assert_false(finds(&cache, ST_TEXT("the ring is taken before")));
  for (int64_t i = 0; i < 40; i++) {
    int len = snprintf(text, sizeof text, "%08lld." SAME_END, (long long)i);
    subtoken_text token = exact(text, (size_t)len);
    memset(&made, 0, sizeof made);
    made.iat = i;
    made.permission_count = (uint16_t)i;
    assert_false(finds(&cache, token));
    st_cache_keep(&cache, token, &made);
    release(token);
    int64_t kept = 0;
    for (int64_t j = 0; j <= i; j++) {
      len = snprintf(text, sizeof text, "%08lld." SAME_END, (long long)j);
      token = exact(text, (size_t)len);
      bool found = st_cache_find(&cache, &ring, token, &claims);
      CHECK(!found || (claims.iat == j && claims.permission_count == j), "%lld", (long long)j);
      kept += found;
      CHECK(found || j < i, "the newest is there: %lld", (long long)j);
      release(token);
    }
    CHECK(kept == (i < 8 ? i + 1 : 8), "%lld of %lld", (long long)kept, (long long)i);
  }
  end_cache(&cache);
}

/* Signatures that differ in one character lie in sets of their own: none replaces another. */
static void each_character_of_a_signature_says_where(void **state) {
  (void)state;
  enum { OTHERS = 24 };
  static subtoken_claims made;
  char text[] = "header.payload." SAME_END;
  size_t first = sizeof "header.payload." SAME_END - 1 - 43;
  ring_with(&ring, "", TEST_SECRET);
  for (size_t at = first; text[at] != '\0'; at++) {
    subtoken_cache cache = start_cache(MEGABYTE / 4);
    char was = text[at];
    assert_false(finds(&cache, st_text(text)));
    for (int i = 0; i < OTHERS; i++) {
      text[at] = (char)('A' + i);
      st_cache_keep(&cache, st_text(text), &made);
    }
    for (int i = 0; i < OTHERS; i++) {
      text[at] = (char)('A' + i);
      CHECK(finds(&cache, st_text(text)), "%zu: %d", at, i);
    }
    text[at] = was;
    free(cache.memory);
  }
}

/* Memory behind the first entry that is not zero, as when the log was used before. */
static void use_log(subtoken_cache *cache) {
  static const subtoken_claims none;
  subtoken_text first = ST_TEXT("first." SAME_END);
  st_cache_keep(cache, first, &none);
  char *at = memmem(cache->memory, cache->memory_size, first.data, first.len);
  assert_non_null(at);
  at += (first.len + 15) / 16 * 16;
  memset(at, 0x55, (size_t)((char *)cache->memory + cache->memory_size - at));
}

/* Nothing of an entry lies in the next one, or is left of one before, whatever lists it has. */
static void each_list_of_an_entry_has_its_own_place(void **state) {
  (void)state;
  enum { KEPT = 40 };
  static subtoken_claims made[KEPT];
  char text[80];
  uint64_t seed = 21;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  assert_false(finds(&cache, ST_TEXT("the ring is taken before")));
  use_log(&cache);
  for (size_t i = 0; i < KEPT; i++) {
    unsigned char *bytes = (unsigned char *)&made[i];
    for (size_t at = 0; at < sizeof made[i]; at++) bytes[at] = (unsigned char)random_next(&seed);
    made[i].permission_count = (uint16_t)(i % 2 * random_below(&seed, 65));
    made[i].url_count = (uint16_t)(i / 2 % 2 * random_below(&seed, 65));
    made[i].via_count = (uint16_t)(i / 4 % 2 * (1 + random_below(&seed, 8)));
    made[i].text_len = (uint16_t)(i / 8 % 2 * random_below(&seed, 600));
    snprintf(text, sizeof text, "%02zu" SAME_END, i);
    text[2 + i % 7] = (char)('A' + i / 7);
    st_cache_keep(&cache, st_text(text), &made[i]);
  }
  for (size_t i = 0; i < KEPT; i++) {
    snprintf(text, sizeof text, "%02zu" SAME_END, i);
    text[2 + i % 7] = (char)('A' + i / 7);
    assert_true(finds(&cache, st_text(text)));
    assert_true(st_cache_find(&cache, &ring, st_text(text), &claims));
    CHECK(memcmp(&claims, &made[i], offsetof(subtoken_claims, permissions)) == 0, "%zu", i);
    CHECK(memcmp(claims.text, made[i].text, made[i].text_len) == 0, "%zu", i);
    CHECK(memcmp(claims.permissions, made[i].permissions,
                 made[i].permission_count * sizeof(subtoken_slice)) == 0 &&
              memcmp(claims.urls, made[i].urls, made[i].url_count * sizeof(subtoken_slice)) == 0 &&
              memcmp(claims.via, made[i].via, made[i].via_count * sizeof(subtoken_slice)) == 0,
          "%zu", i);
  }
  end_cache(&cache);
}

#define WAYS 8

/* A cache with a set that is full: its tokens differ in their first two characters. */
static subtoken_cache start_full_set(const char *end) {
  static const subtoken_claims made;
  char text[80];
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  assert_false(finds(&cache, ST_TEXT("the ring is taken before")));
  for (int i = 0; i < WAYS; i++) {
    snprintf(text, sizeof text, "%02d.%s", i, end);
    st_cache_keep(&cache, st_text(text), &made);
  }
  return cache;
}

static bool finds_numbered(const subtoken_cache *cache, int number, const char *end) {
  char text[80];
  snprintf(text, sizeof text, "%02d.%s", number, end);
  return finds(cache, st_text(text));
}

/* Of a set that is full, the one that was not used is replaced. */
static void of_those_that_share_a_slot_the_used_ones_stay(void **state) {
  (void)state;
  static const subtoken_claims made;
  for (int unused = 0; unused < WAYS; unused++) {
    subtoken_cache cache = start_full_set(SAME_END);
    for (int i = 0; i < WAYS; i++) {
      if (i != unused) assert_true(finds_numbered(&cache, i, SAME_END));
    }
    st_cache_keep(&cache, ST_TEXT("08." SAME_END), &made);
    for (int i = 0; i <= WAYS; i++) {
      CHECK(finds_numbered(&cache, i, SAME_END) == (i != unused), "%d of %d", i, unused);
    }
    end_cache(&cache);
  }
}

/* When all were used, any is replaced, and what they were used for is forgotten: else the next one
 * would replace the newest, always. */
static void a_set_of_which_all_were_used_begins_anew(void **state) {
  (void)state;
  static const subtoken_claims made;
  int stayed = 0;
  for (char c = 'A'; c < 'Q'; c++) {
    char end[] = SAME_END, text[80];
    end[20] = c;
    subtoken_cache cache = start_full_set(end);
    for (int i = 0; i < WAYS; i++) assert_true(finds_numbered(&cache, i, end));
    for (int number = WAYS; number < WAYS + 2; number++) {
      snprintf(text, sizeof text, "%02d.%s", number, end);
      st_cache_keep(&cache, st_text(text), &made);
    }
    stayed += finds_numbered(&cache, WAYS, end);
    assert_true(finds_numbered(&cache, WAYS + 1, end));
    int found = 0;
    for (int i = 0; i < WAYS; i++) found += finds_numbered(&cache, i, end);
    assert_in_range(found, WAYS - 2, WAYS - 1);
    free(cache.memory);
  }
  assert_in_range(stayed, 8, 16);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_last_bytes_count_whatever_the_length),
      cmocka_unit_test(a_front_with_the_same_end_is_another_token),
      cmocka_unit_test(tokens_that_share_a_slot_are_kept_apart),
      cmocka_unit_test(each_character_of_a_signature_says_where),
      cmocka_unit_test(each_list_of_an_entry_has_its_own_place),
      cmocka_unit_test(of_those_that_share_a_slot_the_used_ones_stay),
      cmocka_unit_test(a_set_of_which_all_were_used_begins_anew),
  };
  return cmocka_run_group_tests_name("cache_sets", tests, NULL, NULL);
}
