/* rate: a token bucket a key, with the clock as an argument. */
#include "support.h"

#include "domain/key.h"
#include "service/rate_limit.h"

#define SECOND INT64_C(1000000)
#define A "AAAAAAAA-0000-0000-0000-000000000000"
#define B "BBBBBBBB-0000-0000-0000-000000000000"

static st_rate_limit rate;
static st_settings settings;

static int set_up(void **state) {
  (void)state;
  st_config_default(&settings);
  return st_rate_limit_start(&rate) ? 0 : -1;
}

static void limit(int64_t per_second, int64_t burst) {
  settings.rate_per_second = per_second;
  settings.rate_burst = burst;
}

static int64_t take(const char *key, int64_t now_us) {
  return st_rate_limit_take(&rate, &settings, key, now_us);
}

static void off_limits_nothing(void **state) {
  (void)state;
  for (int i = 0; i < 1000; i++) assert_true(take(A, 0) == 0);
}

static void a_burst_is_let_through(void **state) {
  (void)state;
  limit(2, 5);
  for (int i = 0; i < 5; i++) assert_true(take(A, 10 * SECOND) == 0);
  assert_true(take(A, 10 * SECOND) == 1);
  assert_true(take(A, 10 * SECOND + SECOND / 2 - 1) == 1);
  assert_true(take(A, 10 * SECOND + SECOND / 2) == 0); /* one more each half second */
  assert_true(take(A, 10 * SECOND + SECOND / 2) == 1);
  /* After a long rest the burst is full again, and no more than full. */
  for (int i = 0; i < 5; i++) assert_true(take(A, 1000 * SECOND) == 0);
  assert_true(take(A, 1000 * SECOND) == 1);
}

/* Being refused costs nothing: whoever hammers is let in as soon as anybody. */
static void refusals_cost_nothing(void **state) {
  (void)state;
  limit(1, 1);
  assert_true(take(A, 0) == 0);
  for (int i = 0; i < 1000; i++) assert_true(take(A, 1) == 1);
  assert_true(take(A, SECOND) == 0);
}

static void a_steady_rate_is_kept(void **state) {
  (void)state;
  limit(10, 1);
  int taken = 0;
  for (int64_t at = 0; at < 20 * SECOND; at += SECOND / 1000) taken += take(A, at) == 0;
  assert_int_equal(taken, 200);
}

static void keys_have_buckets_of_their_own(void **state) {
  (void)state;
  limit(1, 1);
  assert_true(take(A, 0) == 0);
  assert_true(take(A, 0) == 1);
  assert_true(take(B, 0) == 0);
  assert_true(take(B, 0) == 1);
}

static void extreme_rates_hold(void **state) {
  (void)state;
  limit(1000000, 1);
  assert_true(take(A, 7) == 0);
  assert_true(take(A, 7) == 1);
  assert_true(take(A, 8) == 0);
  limit(1, 1000000);
  for (int i = 0; i < 1000000; i++) {
    if (take(B, SECOND) != 0) fail_msg("refused at %d", i);
  }
  assert_true(take(B, SECOND) == 1);
}

/* Whoever used up a long burst does not wait for that by other settings. */
static void after_a_reload_a_bucket_is_empty_at_most(void **state) {
  (void)state;
  limit(1, 3600);
  for (int i = 0; i < 3600; i++) assert_true(take(A, SECOND) == 0);
  assert_true(take(A, SECOND) == 1);
  limit(100, 50);
  assert_true(take(A, SECOND) == 1);
  assert_true(take(A, SECOND + SECOND / 100) == 0);
  assert_true(take(A, SECOND + SECOND / 100) == 1);
  limit(1, 1);
  assert_true(take(A, SECOND + SECOND / 100) == 1);
  assert_true(take(A, 2 * SECOND + SECOND / 100) == 0);
  /* Nor is one any fuller for it. */
  limit(1, 10);
  for (int i = 0; i < 9; i++) assert_true(take(A, 3 * SECOND) == 0);
  assert_true(take(A, 3 * SECOND) == 1);
  limit(0, 0);
  assert_true(take(A, 3 * SECOND) == 0);
  limit(1, 10);
  assert_true(take(A, 3 * SECOND) == 1);
}

static size_t taken_by_each(int count, int64_t now_us) {
  size_t taken = 0;
  for (int i = 0; i < count; i++) {
    char id[ST_KEY_ID_LEN + 1];
    snprintf(id, sizeof id, "%08X-0000-0000-0000-%012X", i, i);
    taken += take(id, now_us) == 0;
  }
  return taken;
}

static void what_one_key_takes_no_other_lacks(void **state) {
  (void)state;
  limit(1, 1);
  assert_int_equal(taken_by_each(1000, SECOND), 1000);
  assert_int_equal(taken_by_each(1000, SECOND), 0);
  assert_int_equal(taken_by_each(1000, 2 * SECOND), 1000);
}

/* More keys at a time than there are buckets share them: none has what another has taken. */
static void a_full_table_gives_what_it_holds(void **state) {
  (void)state;
  limit(1, 1);
  for (int64_t at = SECOND; at < 4 * SECOND; at += SECOND) {
    assert_int_equal(taken_by_each(131072, at), ST_RATE_SETS * ST_RATE_WAYS);
  }
}

/* Many threads draw from one bucket: it gives what it holds, not one more. */
static void *draw(void *unused) {
  (void)unused;
  intptr_t taken = 0;
  for (int i = 0; i < 5000; i++) taken += take(A, SECOND) == 0;
  return (void *)taken;
}

static void threads_share_the_limit(void **state) {
  (void)state;
  limit(1, 7777);
  pthread_t threads[4];
  intptr_t taken = 0;
  for (size_t i = 0; i < COUNT(threads); i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, draw, NULL), 0);
  }
  for (size_t i = 0; i < COUNT(threads); i++) {
    void *one;
    assert_int_equal(pthread_join(threads[i], &one), 0);
    taken += (intptr_t)one;
  }
  assert_int_equal(taken, 7777);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(off_limits_nothing, set_up),
      cmocka_unit_test_setup(a_burst_is_let_through, set_up),
      cmocka_unit_test_setup(refusals_cost_nothing, set_up),
      cmocka_unit_test_setup(a_steady_rate_is_kept, set_up),
      cmocka_unit_test_setup(keys_have_buckets_of_their_own, set_up),
      cmocka_unit_test_setup(extreme_rates_hold, set_up),
      cmocka_unit_test_setup(after_a_reload_a_bucket_is_empty_at_most, set_up),
      cmocka_unit_test_setup(what_one_key_takes_no_other_lacks, set_up),
      cmocka_unit_test_setup(a_full_table_gives_what_it_holds, set_up),
      cmocka_unit_test_setup(threads_share_the_limit, set_up),
  };
  return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
