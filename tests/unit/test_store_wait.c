/* Waiting for the next sequence: a commit ends it, through this handle or another, and so does the
 * time, or the end of the process. The deadlines are far away: a wait that only ends with its own
 * is found out by the clock.
 */
#include "store_contract.h"

#include <pthread.h>

#include "os/clock.h"

#define FAR_US (60 * US)

typedef struct waiter {
  pthread_t thread;
  int64_t sequence, until_us;
} waiter;

static void *wait_for_another(void *context) {
  waiter *w = context;
  st_store_wait(store, w->sequence, w->until_us);
  return NULL;
}

static void begin_waiting(waiter *w, int64_t sequence) {
  w->sequence = sequence;
  w->until_us = st_clock_monotonic_us() + FAR_US;
  assert_int_equal(pthread_create(&w->thread, NULL, wait_for_another, w), 0);
}

static void assert_ended_early(waiter *w) {
  assert_int_equal(pthread_join(w->thread, NULL), 0);
  assert_true(st_clock_monotonic_us() < w->until_us);
}

static void what_is_past_is_not_waited_for(void **state) {
  (void)state;
  int64_t before = sequence_now(), until_us = st_clock_monotonic_us() + FAR_US;
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, NULL, error));
  st_store_wait(store, before, until_us);
  assert_true(st_clock_monotonic_us() < until_us);
}

static void it_ends_with_its_time(void **state) {
  (void)state;
  int64_t until_us = st_clock_monotonic_us() + 50000;
  while (st_clock_monotonic_us() < until_us) st_store_wait(store, sequence_now(), until_us);
}

static void a_commit_here_ends_it(void **state) {
  (void)state;
  waiter w[3];
  for (size_t i = 0; i < 3; i++) begin_waiting(&w[i], sequence_now());
  make_key(1, "", "a"); /* takes no sequence */
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, NULL, error));
  for (size_t i = 0; i < 3; i++) assert_ended_early(&w[i]);
}

static void a_commit_through_another_handle_ends_it(void **state) {
  (void)state;
  st_store *other;
  waiter w;
  assert_ok(st_store_open(location, false, &other, error));
  begin_waiting(&w, sequence_now());
  assert_ok(st_store_bump_sequence(other, NOW * US, 0, NULL, error));
  assert_ended_early(&w);
  st_store_close(other);
}

static void at_the_end_nobody_waits(void **state) {
  (void)state;
  waiter w;
  begin_waiting(&w, sequence_now());
  st_store_stop_waiting(store, st_clock_monotonic_us());
  assert_ended_early(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_is_past_is_not_waited_for), TEST(it_ends_with_its_time),
      TEST(a_commit_here_ends_it),          TEST(a_commit_through_another_handle_ends_it),
      TEST(at_the_end_nobody_waits),
  };
  return RUN_ON_EVERY_STORE(tests);
}
