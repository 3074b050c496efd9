/* cache, in threads: with a cache each they share one ring, which is only read. By itself, so that
 * no thread runs where branches are counted (make coverage-held).
 */
#include <pthread.h>

#include "support.h"

#define TOKENS 20

static subtoken_ring ring;

/* The number of it stands in the token. */
static subtoken_text token_number(size_t number) {
  char payload[400];
  snprintf(payload, sizeof payload,
           "{" GOOD_CLAIMS
           ",\"permissions\":[\"p%zu\",\"account\"],\"urls\":[\"/v2/%zu/*\",\"/v2/account\"]}",
           number, number);
  return good_token(payload);
}

/* Returns its argument when each token was good each time. */
static void *verify_many(void *argument) {
  const subtoken_text *tokens = argument;
  size_t size = subtoken_cache_size(10), good = 0;
  void *memory = malloc(size);
  subtoken_claims *own = malloc(sizeof *own);
  subtoken_cache cache;
  if (own == NULL || memory == NULL) abort();
  if (subtoken_cache_init(&cache, memory, size) != SUBTOKEN_OK) abort();
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  verifier.cache = &cache;
  subtoken_request request = {.size = sizeof request, .now = NOW, .target = ST_TEXT("/v2/account")};
  for (size_t i = 0; i < 2000; i++) {
    good += subtoken_verify(&verifier, tokens[i % TOKENS], &request, own) == SUBTOKEN_OK;
    good += subtoken_verify(&verifier, tokens[i % 3], &request, own) == SUBTOKEN_OK;
  }
  subtoken_cache_wipe(&cache);
  free(memory);
  free(own);
  return good == 4000 ? argument : NULL;
}

static void threads_with_a_cache_each_share_a_ring(void **state) {
  (void)state;
  pthread_t threads[4];
  subtoken_text tokens[TOKENS];
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < COUNT(tokens); i++) tokens[i] = token_number(i);
  for (size_t i = 0; i < COUNT(threads); i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, verify_many, tokens), 0);
  }
  for (size_t i = 0; i < COUNT(threads); i++) {
    void *good = NULL;
    assert_int_equal(pthread_join(threads[i], &good), 0);
    assert_non_null(good);
  }
  for (size_t i = 0; i < COUNT(tokens); i++) release(tokens[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_with_a_cache_each_share_a_ring),
  };
  return cmocka_run_group_tests_name("cache_threads", tests, NULL, NULL);
}
