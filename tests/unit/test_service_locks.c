/* What threads of the service share is guarded: each call takes its mutex once and gives it back
 * once. A recursive mutex that the caller holds counts both.
 */
#include "service_fixture.h"

#include <pthread.h>

static void hold(pthread_mutex_t *lock) {
  pthread_mutexattr_t attributes;
  assert_int_equal(pthread_mutex_destroy(lock), 0);
  assert_int_equal(pthread_mutexattr_init(&attributes), 0);
  assert_int_equal(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE), 0);
  assert_int_equal(pthread_mutex_init(lock, &attributes), 0);
  pthread_mutexattr_destroy(&attributes);
  assert_int_equal(pthread_mutex_lock(lock), 0);
}

static void *try_it(void *lock) {
  if (pthread_mutex_trylock(lock) != 0) return NULL;
  pthread_mutex_unlock(lock);
  return lock;
}

/* Nothing less than what hold has taken is held, and nothing more: then others have it. */
static void check_held_once(pthread_mutex_t *lock) {
  pthread_t thread;
  void *had = NULL;
  assert_int_equal(pthread_mutex_unlock(lock), 0);
  assert_int_equal(pthread_create(&thread, NULL, try_it, lock), 0);
  assert_int_equal(pthread_join(thread, &had), 0);
  assert_ptr_equal(had, lock);
  assert_int_equal(pthread_mutex_lock(lock), 0);
}

static void attempts_are_counted_under_a_lock(void **state) {
  (void)state;
  hold(&throttle.lock);
  for (int i = 0; i <= ST_THROTTLE_USERNAME_BURST; i++) {
    int64_t wait = st_throttle_take(&throttle, ST_TEXT("anna"), ST_TEXT(REMOTE), NOW_US);
    assert_true((wait > 0) == (i == ST_THROTTLE_USERNAME_BURST));
    check_held_once(&throttle.lock);
  }
  st_throttle_give_back(&throttle, ST_TEXT("anna"), ST_TEXT(REMOTE));
  check_held_once(&throttle.lock);
  assert_int_equal(st_throttle_take(&throttle, ST_TEXT("anna"), ST_TEXT(REMOTE), NOW_US), 0);
}

static void tokens_are_counted_under_a_lock(void **state) {
  (void)state;
  settings.rate_per_second = settings.rate_burst = 1;
  hold(&rate.lock);
  assert_int_equal(st_rate_limit_take(&rate, &settings, KEY_ID, NOW_US), 0);
  check_held_once(&rate.lock);
  assert_int_equal(st_rate_limit_take(&rate, &settings, KEY_ID, NOW_US), 1);
  check_held_once(&rate.lock);
}

static void pairs_are_remembered_under_a_lock(void **state) {
  (void)state;
  hold(&basic.lock);
  for (int i = 0; i < 2; i++) { /* it is put there, and got from there */
    assert_int_equal(get("/v2/tokeninfo", AS_ALICE), 200);
    check_held_once(&basic.lock);
  }
  assert_int_equal(fixture.checks, 1);
}

/* Whatever was there before is not counted. */
static void what_is_started_is_empty(void **state) {
  (void)state;
  static const uint8_t random[33] = "this test has these 32 bytes....", zeros[33];
  memset(&rate, 0x7F, sizeof rate);
  assert_true(st_rate_limit_start(&rate));
  settings.rate_per_second = settings.rate_burst = 1;
  assert_int_equal(st_rate_limit_take(&rate, &settings, KEY_ID, NOW_US), 0);
  memset(&throttle, 0x7F, sizeof throttle);
  assert_true(st_throttle_start(&throttle, random));
  assert_int_equal(st_throttle_take(&throttle, ST_TEXT("anna"), ST_TEXT(REMOTE), NOW_US), 0);
  memset(&basic, 0x7F, sizeof basic);
  assert_true(st_basic_auth_start(&basic, random, st_basic_locks_get()));
  assert_int_equal(get("/v2/tokeninfo", AS_ALICE), 200);
  assert_int_equal(fixture.checks, 1);
  assert_false(st_basic_auth_start(&basic, zeros, st_basic_locks_get()));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(attempts_are_counted_under_a_lock, fixture_set_up),
      cmocka_unit_test_setup(tokens_are_counted_under_a_lock, fixture_set_up),
      cmocka_unit_test_setup(pairs_are_remembered_under_a_lock, fixture_set_up),
      cmocka_unit_test_setup(what_is_started_is_empty, fixture_set_up),
  };
  return cmocka_run_group_tests_name("service_locks", tests, NULL, NULL);
}
