/* The server's cache of tokens: its parts, and threads that share it. That a token which is
 * remembered is still decided about anew, the tests of the service show, which all have a cache.
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "server/token_cache.h"

#define TOKENS 24
#define ROUNDS 400

static subtoken_ring ring;
static char tokens[TOKENS][SUBTOKEN_ISSUED_MAX + 1];

static subtoken_text token_of(size_t i) {
  return st_text(tokens[i]);
}

static int set_up(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < TOKENS; i++) {
    char sub[40];
    size_t len;
    subtoken_claims claims = {.every_url = true};
    snprintf(sub, sizeof sub, "sub-%zu", i);
    claims.iat = 1700000000;
    claims.exp = 1700000000 + (int64_t)i + 1;
    if (subtoken_claims_set_sub(&claims, st_text(sub)) != SUBTOKEN_OK ||
        subtoken_issue(&ring, &claims, tokens[i], sizeof tokens[i], &len) != SUBTOKEN_OK) {
      return -1;
    }
  }
  return st_token_cache_start() ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  st_token_cache_stop();
  return 0;
}

static void a_part_is_used_once_at_a_time(void **state) {
  (void)state;
  st_token_caches caches = st_token_cache_get();
  subtoken_cache *part = caches.acquire(token_of(0));
  assert_non_null(part);
  assert_null(caches.acquire(token_of(0)));
  caches.release(part);
  assert_ptr_equal(caches.acquire(token_of(0)), part); /* the same token, the same part */
  caches.release(part);
  assert_null(caches.acquire(st_text("short")));
  assert_null(caches.acquire(st_text("")));
}

static void tokens_are_spread_over_the_parts(void **state) {
  (void)state;
  st_token_caches caches = st_token_cache_get();
  subtoken_cache *parts[TOKENS];
  size_t count = 0;
  for (size_t i = 0; i < TOKENS; i++) {
    subtoken_cache *part = caches.acquire(token_of(i));
    if (part != NULL) parts[count++] = part;
  }
  assert_true(count >= 8); /* of 16 */
  while (count > 0) caches.release(parts[--count]);
}

static void *authenticate(void *seed) {
  st_token_caches caches = st_token_cache_get();
  size_t at = (uintptr_t)seed;
  for (int i = 0; i < ROUNDS * TOKENS; i++) {
    subtoken_claims claims;
    char sub[40];
    at = (at * 5 + 7) % TOKENS;
    subtoken_cache *cache = caches.acquire(token_of(at));
    subtoken_result result = subtoken_authenticate(&ring, cache, token_of(at), &claims);
    if (cache != NULL) caches.release(cache);
    snprintf(sub, sizeof sub, "sub-%zu", at);
    if (result != SUBTOKEN_OK || claims.exp != 1700000000 + (int64_t)at + 1 ||
        !st_text_is(subtoken_claims_text(&claims, claims.sub), sub)) {
      return "the claims of another token";
    }
  }
  return NULL;
}

static void threads_that_share_it_get_their_own_tokens(void **state) {
  (void)state;
  pthread_t threads[4];
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, authenticate, (void *)(uintptr_t)i), 0);
  }
  for (size_t i = 0; i < 4; i++) {
    void *wrong = NULL;
    assert_int_equal(pthread_join(threads[i], &wrong), 0);
    if (wrong != NULL) fail_msg("%s", (const char *)wrong);
  }
}

static void without_memory_there_is_none(void **state) {
  (void)state;
  st_token_cache_stop();
  assert_null(st_token_cache_get().acquire(token_of(0)));
  assert_true(st_token_cache_start());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_part_is_used_once_at_a_time),
      cmocka_unit_test(tokens_are_spread_over_the_parts),
      cmocka_unit_test(threads_that_share_it_get_their_own_tokens),
      cmocka_unit_test(without_memory_there_is_none),
  };
  return cmocka_run_group_tests_name("token_cache", tests, set_up, tear_down);
}
