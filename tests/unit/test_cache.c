/* cache: what is kept and what is not, that only the same bytes are found again, that a ring which
 * changes empties it, and that a verifier with a cache says what one without says. Each memory is a
 * heap block of its exact size. test_cache_threads.c has several of them at once.
 */
#include "cache_fixture.h"

#include "core/decide.h"

static subtoken_verifier verifier_with(subtoken_cache *cache) {
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  verifier.cache = cache;
  return verifier;
}

/* The number of it stands in the token; more: characters that it is longer by. */
static subtoken_text token_number(size_t number, size_t more) {
  char payload[6200];
  int len = snprintf(payload, sizeof payload,
                     "{" GOOD_CLAIMS
                     ",\"permissions\":[\"p%zu\",\"account\"],\"urls\":[\"/v2/%zu/"
                     "*\",\"/v2/account\"],\"x\":\"%0*d\"}",
                     number, number, (int)more + 1, 0);
  return signed_token(TEST_SECRET, st_text(HEADER), (subtoken_text){payload, (size_t)len});
}

/* With the cache and without; the same result and claims, which is returned. */
static subtoken_result verify_both(const subtoken_verifier *verifier, subtoken_text token,
                                   const subtoken_request *request) {
  subtoken_verifier without = *verifier;
  without.cache = NULL;
  memset(&claims, 0x55, sizeof claims);
  memset(&plain, 0x55, sizeof plain);
  subtoken_result result = subtoken_verify(verifier, token, request, &claims);
  subtoken_result want = subtoken_verify(&without, token, request, &plain);
  CHECK(result == want, "%s, not %s", subtoken_result_name(result), subtoken_result_name(want));
  if (result == SUBTOKEN_OK) {
    CHECK(claims_are_same(&claims, &plain), "claims differ");
  } else {
    CHECK(claims_are_zero(&claims), "claims are left");
  }
  return result;
}

/* ---- what is kept ---- */

static void what_was_good_is_found(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  subtoken_text token = token_number(7, 100);
  assert_false(finds(&cache, token));
  memset(&claims, 0x55, sizeof claims);
  assert_int_equal(subtoken_authenticate(&ring, &cache, token, &claims), SUBTOKEN_OK);
  assert_true(claims.text_len % 16 != 0);
  assert_true(finds(&cache, token));
  memset(&plain, 0x55, sizeof plain);
  assert_int_equal(subtoken_authenticate(&ring, &cache, token, &plain), SUBTOKEN_OK);
  assert_true(claims_are_same(&claims, &plain));
  assert_int_equal(plain.permission_count, 2);
  assert_int_equal(plain.url_count, 2);
  subtoken_cache_wipe(&cache);
  assert_false(finds(&cache, token));
  end_cache(&cache);
  release(token);
}

/* What nobody has initialised but the system, at any address. */
static void zeroed_memory_is_an_empty_cache(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = token_number(1, 0);
  for (size_t skip = 0; skip < 70; skip++) {
    size_t size = SUBTOKEN_CACHE_MIN + skip * 37;
    char *block = calloc(1, skip + size);
    if (block == NULL) abort();
    subtoken_cache cache = {sizeof cache, block + skip, size};
    subtoken_verifier verifier = verifier_with(&cache);
    subtoken_request request = {
        .size = sizeof request, .now = NOW, .target = ST_TEXT("/v2/account")};
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_OK);
    assert_true(finds(&cache, token));
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_OK);
    free(block);
  }
  release(token);
}

static void what_is_refused_is_never_kept(void **state) {
  (void)state;
  static const char *const payloads[] = {"{}", "[]", "{" GOOD_CLAIMS "}",
                                         "{" GOOD_CLAIMS ",\"permissions\":[\"a b\"]}"};
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  uint32_t used;
  for (size_t i = 0; i < 3 * COUNT(payloads); i++) {
    const char *payload = i < COUNT(payloads) ? payloads[i] : GOOD_PAYLOAD;
    subtoken_text token =
        i < COUNT(payloads) ? good_token(payload)
        : i < 2 * COUNT(payloads)
            ? signed_token(OTHER_SECRET, st_text(HEADER), st_text(payload))
            : signed_token(TEST_SECRET, ST_TEXT("{\"alg\":\"none\"}"), st_text(payload));
    CHECK(subtoken_authenticate(&ring, &cache, token, &claims) != SUBTOKEN_OK, "row %zu", i);
    CHECK(claims_are_zero(&claims), "row %zu", i);
    CHECK(!finds(&cache, token), "row %zu", i);
    memcpy(&used, (char *)cache.memory + start_of(&cache), sizeof used);
    CHECK(used == 0, "row %zu: the log was written", i);
    release(token);
  }
  end_cache(&cache);
}

/* It is authenticated, so it is kept; it is decided anew, so it is refused. */
static void what_is_decided_is_not_remembered(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(SUBTOKEN_CACHE_MIN);
  subtoken_verifier verifier = verifier_with(&cache);
  subtoken_text token = good_token("{" GOOD_CLAIMS
                                   ",\"permissions\":[\"account\"],\"urls\":[\"/v2/account\"],"
                                   "\"iss\":\"me\",\"aud\":[\"you\",\"us\"],\"nbf\":1700000002}");
  subtoken_text needs[2] = {ST_TEXT("account"), ST_TEXT("wallet")};
  subtoken_request request = {.size = sizeof request,
                              .now = NOW,
                              .target = ST_TEXT("/v2/account"),
                              .needs = needs,
                              .needs_count = 1};
  for (int round = 0; round < 3; round++) {
    request.now = NOW;
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_OK);
    assert_false(claims.aud_named);
    assert_true(finds(&cache, token));
    request.now = NOW + 3600 + 60;
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_EXPIRED);
    request.now = NOW - 59;
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_NOT_YET);
    request.now = NOW - 61;
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_IAT_FUTURE);
    request.now = NOW;
    request.target = ST_TEXT("/v2/items");
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_URL);
    request.target = ST_TEXT("/v2/account");
    request.needs_count = 2;
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_PERM);
    request.needs_count = 1;
    verifier.max_life = 3599;
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_TTL);
    verifier.max_life = 3600;
    verifier.iss = ST_TEXT("you");
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_ISS);
    verifier.iss = ST_TEXT("me");
    verifier.aud = ST_TEXT("them");
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_AUD);
    verifier.aud = ST_TEXT("us");
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_OK);
    assert_true(claims.aud_named);
    verifier.without_revocations = false;
    assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_REVOCATION_UNKNOWN);
    verifier = verifier_with(&cache);
  }
  end_cache(&cache);
  release(token);
}

/* ---- what is found ---- */

/* Every byte of a cached token, as every other byte; and it shorter and longer. */
static void one_byte_less_or_another_is_another_token(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  subtoken_verifier verifier = verifier_with(&cache);
  subtoken_request request = {.size = sizeof request, .now = NOW, .target = ST_TEXT("/v2/account")};
  subtoken_text token = token_number(1, 0), longer = exact(token.data, token.len);
  assert_int_equal(verify_both(&verifier, token, &request), SUBTOKEN_OK);
  char *bytes = (char *)(uintptr_t)longer.data;
  for (size_t i = 0; i < token.len; i++) {
    for (int change = 1; change < 256; change++) {
      bytes[i] = (char)(token.data[i] ^ change);
      CHECK(!finds(&cache, longer), "byte %zu, change %d", i, change);
      CHECK(verify_both(&verifier, longer, &request) != SUBTOKEN_OK, "byte %zu, change %d", i,
            change);
    }
    bytes[i] = token.data[i];
    CHECK(finds(&cache, longer), "byte %zu", i);
  }
  for (size_t len = 0; len < token.len; len++) {
    subtoken_text front = exact(token.data, len), back = exact(token.data + token.len - len, len);
    CHECK(!finds(&cache, front) && !finds(&cache, back), "%zu", len);
    CHECK(verify_both(&verifier, front, &request) != SUBTOKEN_OK, "%zu", len);
    CHECK(verify_both(&verifier, back, &request) != SUBTOKEN_OK, "%zu", len);
    release(front);
    release(back);
  }
  end_cache(&cache);
  release(token);
  release(longer);
}

/* The same length, the same end, and the same claims but the sub: through the public face. A
 * secret each makes no difference to the rest of the text. */
static void a_verdict_is_for_its_own_token(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(SUBTOKEN_CACHE_MIN);
  subtoken_verifier verifier = verifier_with(&cache);
  uint64_t seed = 11;
  subtoken_text tokens[60];
  for (size_t i = 0; i < COUNT(tokens); i++) tokens[i] = token_number(i, i % 3);
  for (size_t i = 0; i < 3000; i++) {
    size_t which = random_below(&seed, COUNT(tokens)), other = random_below(&seed, COUNT(tokens));
    char target[40];
    snprintf(target, sizeof target, "/v2/%zu/x", other);
    subtoken_request request = {.size = sizeof request, .now = NOW, .target = st_text(target)};
    subtoken_result result = verify_both(&verifier, tokens[which], &request);
    CHECK(result == (which == other ? SUBTOKEN_OK : SUBTOKEN_URL), "%zu %zu", which, other);
  }
  for (size_t i = 0; i < COUNT(tokens); i++) release(tokens[i]);
  end_cache(&cache);
}

/* ---- the ring ---- */

static subtoken_result verify_here(const subtoken_verifier *verifier, subtoken_text token) {
  subtoken_request request = {.size = sizeof request, .now = NOW, .target = ST_TEXT("/v2/account")};
  return verify_both(verifier, token, &request);
}

static void a_ring_that_changes_empties_it(void **state) {
  (void)state;
  enum { ADDED, REMOVED, OTHER_SECRET_OF_A_KID, REORDERED, EMPTIED, CHANGES };
  subtoken_text token = token_number(1, 30);
  subtoken_text second =
      signed_token(OTHER_SECRET, ST_TEXT("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"two\"}"),
                   ST_TEXT("{" GOOD_CLAIMS ",\"permissions\":[]}"));
  for (int change = 0; change < CHANGES; change++) {
    ring_with(&ring, "", TEST_SECRET);
    assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("two"), OTHER_SECRET, 32), SUBTOKEN_OK);
    subtoken_cache cache = start_cache(MEGABYTE);
    subtoken_verifier verifier = verifier_with(&cache);
    subtoken_result want[2] = {SUBTOKEN_OK, SUBTOKEN_OK};
    assert_int_equal(verify_here(&verifier, token), SUBTOKEN_OK);
    assert_int_equal(verify_here(&verifier, second), SUBTOKEN_OK);
    assert_true(finds(&cache, token) && finds(&cache, second));
    subtoken_secret first = ring.secrets[0];
    if (change == ADDED) {
      assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("three"), TEST_SECRET, 32), SUBTOKEN_OK);
    } else if (change == REMOVED) {
      ring_with(&ring, "two", OTHER_SECRET);
      want[0] = SUBTOKEN_KID;
    } else if (change == OTHER_SECRET_OF_A_KID) {
      ring.count = 1;
      assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("two"), TEST_SECRET, 32), SUBTOKEN_OK);
      want[1] = SUBTOKEN_MAC;
    } else if (change == REORDERED) {
      ring.secrets[0] = ring.secrets[1];
      ring.secrets[1] = first;
    } else {
      memset(&ring, 0, sizeof ring);
      want[0] = want[1] = SUBTOKEN_KID;
    }
    assert_int_equal(verify_here(&verifier, second), want[1]);
    CHECK(!finds(&cache, token), "change %d", change);
    assert_int_equal(verify_here(&verifier, token), want[0]);
    CHECK(finds(&cache, token) == (want[0] == SUBTOKEN_OK), "change %d", change);
    end_cache(&cache);
  }
  release(token);
  release(second);
}

static void a_ring_that_is_full_has_a_cache(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 1; i < SUBTOKEN_RING_MAX; i++) {
    char kid[2] = {(char)('a' + i), '\0'};
    assert_int_equal(subtoken_ring_add(&ring, st_text(kid), OTHER_SECRET, 32), SUBTOKEN_OK);
  }
  subtoken_cache cache = start_cache(SUBTOKEN_CACHE_MIN);
  subtoken_text token = token_number(1, 0);
  assert_int_equal(subtoken_authenticate(&ring, &cache, token, &claims), SUBTOKEN_OK);
  assert_true(finds(&cache, token));
  ring.secrets[SUBTOKEN_RING_MAX - 1].kid[0] ^= 1;
  assert_false(finds(&cache, token));
  end_cache(&cache);
  release(token);
}

/* Each byte of each secret that the ring has, and its count; back again, it is still empty. */
static void each_byte_of_the_ring_counts(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  for (int i = 0; i < 3; i++) {
    char kid[2] = {(char)('a' + i), '\0'};
    assert_int_equal(subtoken_ring_add(&ring, st_text(kid), OTHER_SECRET, 32), SUBTOKEN_OK);
  }
  subtoken_cache cache = start_cache(SUBTOKEN_CACHE_MIN);
  subtoken_text token = token_number(1, 0);
  unsigned char *bytes = (unsigned char *)ring.secrets;
  for (size_t at = 0; at < ring.count * sizeof *ring.secrets; at++) {
    assert_int_equal(subtoken_authenticate(&ring, &cache, token, &claims), SUBTOKEN_OK);
    assert_true(finds(&cache, token));
    bytes[at] ^= 1;
    CHECK(!finds(&cache, token), "byte %zu", at);
    bytes[at] ^= 1;
    CHECK(!finds(&cache, token), "byte %zu", at);
  }
  assert_int_equal(subtoken_authenticate(&ring, &cache, token, &claims), SUBTOKEN_OK);
  static const size_t counts[] = {
    0,
    1,
    2,
    3,
    5,
    16,
    17,
    260,
    SIZE_MAX,
#if SIZE_MAX > UINT32_MAX
    ((size_t)1 << 32) + 4
#endif
  };
  for (size_t i = 0; i < COUNT(counts); i++) {
    assert_int_equal(subtoken_authenticate(&ring, &cache, token, &claims), SUBTOKEN_OK);
    assert_true(finds(&cache, token));
    ring.count = counts[i];
    CHECK(!finds(&cache, token), "count %zu", counts[i]);
    ring.count = 4;
    CHECK(!finds(&cache, token), "count %zu", counts[i]);
  }
  end_cache(&cache);
  release(token);
}

/* ---- what is replaced ---- */

static void a_megabyte_keeps_well_over_1024_ordinary_tokens(void **state) {
  (void)state;
  enum { TOKENS = 1500 };
  static subtoken_text tokens[TOKENS];
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(MEGABYTE);
  size_t found = 0;
  for (size_t i = 0; i < TOKENS; i++) {
    tokens[i] = token_number(1000 + i, 81);
    assert_int_equal(tokens[i].len, 360);
    assert_int_equal(subtoken_authenticate(&ring, &cache, tokens[i], &claims), SUBTOKEN_OK);
  }
  for (size_t i = 0; i < TOKENS; i++) found += finds(&cache, tokens[i]);
  CHECK(found >= 1400, "%zu of %d", found, TOKENS);
  end_cache(&cache);
  /* As many as subtoken_cache_size is asked for: nearly all. */
  for (size_t asked = 20; asked <= TOKENS; asked = asked * 3 / 2) {
    cache = start_cache(subtoken_cache_size(asked));
    found = 0;
    for (size_t i = 0; i < asked; i++) {
      assert_int_equal(subtoken_authenticate(&ring, &cache, tokens[i], &claims), SUBTOKEN_OK);
    }
    for (size_t i = 0; i < asked; i++) found += finds(&cache, tokens[i]);
    CHECK(found >= asked - asked / 20, "%zu of %zu", found, asked);
    end_cache(&cache);
  }
  for (size_t i = 0; i < TOKENS; i++) release(tokens[i]);
}

/* A hundred that come again and again, among ten thousand that come once. */
static void tokens_that_come_once_do_not_replace_those_that_come_again(void **state) {
  (void)state;
  enum { AGAIN = 100 };
  static subtoken_text again[AGAIN];
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(subtoken_cache_size(200));
  size_t found = 0, asked = 0;
  for (size_t i = 0; i < AGAIN; i++) {
    again[i] = token_number(i, 80);
    assert_int_equal(subtoken_authenticate(&ring, &cache, again[i], &claims), SUBTOKEN_OK);
  }
  for (size_t i = 0; i < 10000; i++) {
    subtoken_text once = token_number(AGAIN + i, 80);
    assert_int_equal(subtoken_authenticate(&ring, &cache, once, &claims), SUBTOKEN_OK);
    release(once);
    asked++;
    found += finds(&cache, again[i % AGAIN]);
    assert_int_equal(subtoken_authenticate(&ring, &cache, again[i % AGAIN], &claims), SUBTOKEN_OK);
  }
  CHECK(found >= asked - asked / 100, "%zu of %zu", found, asked);
  for (size_t i = 0; i < AGAIN; i++) release(again[i]);
  end_cache(&cache);
}

/* Of any length, at random, in a small cache: what is found is right, and what is too large for it
 * is not kept, and does not push others out. */
static void tokens_of_any_length_share_the_memory(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  uint64_t seed = 5;
  size_t hits = 0;
  subtoken_text tokens[80];
  for (size_t i = 0; i < COUNT(tokens); i++) tokens[i] = token_number(i, random_below(&seed, 600));
  release(tokens[7]);
  tokens[7] = token_number(7, 5000);
  for (size_t size = SUBTOKEN_CACHE_MIN; size < SUBTOKEN_CACHE_MIN + 4000; size += 1111) {
    subtoken_cache cache = start_cache(size);
    subtoken_verifier verifier = verifier_with(&cache);
    for (size_t i = 0; i < 2000; i++) {
      size_t which = random_below(&seed, i % 2 == 0 ? COUNT(tokens) : 6);
      hits += finds(&cache, tokens[which]);
      assert_int_equal(verify_here(&verifier, tokens[which]), SUBTOKEN_OK);
      assert_true(finds(&cache, tokens[which]) == (which != 7));
    }
    end_cache(&cache);
  }
  assert_true(hits > 700);
  for (size_t i = 0; i < COUNT(tokens); i++) release(tokens[i]);
}

/* ---- arguments ---- */

static void a_cache_that_was_not_made_is_an_invalid_argument(void **state) {
  (void)state;
  static char memory[SUBTOKEN_CACHE_MIN];
  subtoken_cache cache, zero = {0, NULL, 0};
  assert_int_equal(subtoken_cache_init(NULL, memory, sizeof memory), SUBTOKEN_INVALID_ARGUMENT);
  memset(&cache, 0x55, sizeof cache);
  assert_int_equal(subtoken_cache_init(&cache, NULL, sizeof memory), SUBTOKEN_INVALID_ARGUMENT);
  assert_memory_equal(&cache, &zero, sizeof cache);
  memset(&cache, 0x55, sizeof cache);
  assert_int_equal(subtoken_cache_init(&cache, memory, sizeof memory - 1),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_memory_equal(&cache, &zero, sizeof cache);
  subtoken_cache_wipe(NULL);
  subtoken_cache_wipe(&zero);

  const subtoken_cache bad[] = {{0, NULL, 0},
                                {0, memory, sizeof memory},
                                {sizeof cache + 8, memory, sizeof memory},
                                {sizeof cache, NULL, sizeof memory},
                                {sizeof cache, memory, sizeof memory - 1}};
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = token_number(1, 0);
  for (size_t i = 0; i < COUNT(bad); i++) {
    cache = bad[i];
    subtoken_verifier verifier = verifier_with(&cache);
    subtoken_request request = {.size = sizeof request, .now = NOW};
    CHECK(subtoken_authenticate(&ring, &cache, token, &claims) == SUBTOKEN_INVALID_ARGUMENT,
          "row %zu", i);
    CHECK(claims_are_zero(&claims), "row %zu", i);
    CHECK(subtoken_verify(&verifier, token, &request, &claims) == SUBTOKEN_INVALID_ARGUMENT,
          "row %zu", i);
  }
  for (size_t i = 0; i < sizeof memory; i++) CHECK(memory[i] == 0, "byte %zu", i);
  subtoken_text none = {NULL, 0};
  assert_int_equal(subtoken_authenticate(NULL, NULL, token, &claims), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_authenticate(&ring, NULL, none, &claims), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_authenticate(&ring, NULL, token, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_authenticate(&ring, NULL, token, &claims), SUBTOKEN_OK);
  release(token);
}

static void a_token_that_is_too_long_is_not_looked_at(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_cache cache = start_cache(SUBTOKEN_CACHE_MIN);
  static const size_t lens[] = {SUBTOKEN_TOKEN_MAX + 1, SIZE_MAX / 2, SIZE_MAX};
  subtoken_text byte = exact("x", 1);
  for (size_t i = 0; i < COUNT(lens); i++) {
    subtoken_text token = {byte.data, lens[i]};
    CHECK(subtoken_authenticate(&ring, &cache, token, &claims) == SUBTOKEN_TOO_LARGE, "row %zu", i);
  }
  release(byte);
  end_cache(&cache);
}

static void the_size_is_for_so_many_tokens(void **state) {
  (void)state;
  assert_int_equal(subtoken_cache_size(0), SUBTOKEN_CACHE_MIN);
  assert_true(subtoken_cache_size(1024) < MEGABYTE);
  /* 720 bytes, two lines of the table; the copy of the ring and what is left over, once. */
  size_t more = (16 + SUBTOKEN_RING_MAX * sizeof *ring.secrets + 63) / 64 * 64 + 4096;
  assert_int_equal(subtoken_cache_size(1000), 1000 * 848 + more);
  size_t most = (SIZE_MAX - more) / 848;
  assert_int_equal(subtoken_cache_size(most), most * 848 + more);
  assert_int_equal(subtoken_cache_size(most + 1), 0);
  assert_int_equal(subtoken_cache_size(SIZE_MAX), 0);
  assert_int_equal(subtoken_cache_size(SIZE_MAX / 100), 0);
  for (size_t n = 1; n < 100000; n += 99) {
    assert_true(subtoken_cache_size(n) >= subtoken_cache_size(n - 1));
  }
}

/* Whatever the memory holds, nothing is read or written outside of it, and it ends. What was not
 * written by the library may be found; the claims that come of it are still within themselves. */
static void memory_of_any_bytes_is_not_left(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  uint64_t seed = 3;
  subtoken_text tokens[30];
  for (size_t i = 0; i < COUNT(tokens); i++) tokens[i] = token_number(i, 40 * i);
  for (size_t round = 0; round < 400; round++) {
    subtoken_cache cache = start_cache(SUBTOKEN_CACHE_MIN + round);
    unsigned char *bytes = cache.memory;
    for (size_t i = 0; i < COUNT(tokens); i++) {
      assert_int_equal(subtoken_authenticate(&ring, &cache, tokens[i], &claims), SUBTOKEN_OK);
      /* Any bytes but those of the ring's copy, which would empty it. */
      for (size_t n = round % 8; n-- > 0;) {
        size_t at = random_below(&seed, cache.memory_size), start = start_of(&cache);
        if (at >= start + 12 && at < start + 16 + sizeof *ring.secrets) continue;
        if (n % 4 == 3) at = start + random_below(&seed, 12);
        bytes[at] = (unsigned char)random_next(&seed);
      }
      for (size_t j = 0; j <= i; j++) {
        if (!st_cache_find(&cache, &ring, tokens[j], &claims)) continue;
        assert_true(claims.permission_count <= SUBTOKEN_PERMISSIONS_MAX &&
                    claims.url_count <= SUBTOKEN_URLS_MAX && claims.text_len <= sizeof claims.text);
      }
    }
    end_cache(&cache);
  }
  for (size_t i = 0; i < COUNT(tokens); i++) release(tokens[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_good_is_found),
      cmocka_unit_test(zeroed_memory_is_an_empty_cache),
      cmocka_unit_test(what_is_refused_is_never_kept),
      cmocka_unit_test(what_is_decided_is_not_remembered),
      cmocka_unit_test(one_byte_less_or_another_is_another_token),
      cmocka_unit_test(a_verdict_is_for_its_own_token),
      cmocka_unit_test(a_ring_that_changes_empties_it),
      cmocka_unit_test(a_ring_that_is_full_has_a_cache),
      cmocka_unit_test(each_byte_of_the_ring_counts),
      cmocka_unit_test(a_megabyte_keeps_well_over_1024_ordinary_tokens),
      cmocka_unit_test(tokens_that_come_once_do_not_replace_those_that_come_again),
      cmocka_unit_test(tokens_of_any_length_share_the_memory),
      cmocka_unit_test(a_cache_that_was_not_made_is_an_invalid_argument),
      cmocka_unit_test(a_token_that_is_too_long_is_not_looked_at),
      cmocka_unit_test(the_size_is_for_so_many_tokens),
      cmocka_unit_test(memory_of_any_bytes_is_not_left),
  };
  return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
