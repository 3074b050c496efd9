/* semaphore: so many at a time, so many who wait, first come first served, and each until its
 * own time.
 */
#include "os/clock.h"
#include "support.h"

#include <pthread.h>
#include <unistd.h>

#include "os/semaphore.h"

#define LINE 40

static st_semaphore semaphore;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int order[LINE]; /* who came in, in the order of that */
static size_t came;
static size_t inside, most;

static int set_up(void **state) {
  (void)state;
  semaphore = (st_semaphore)ST_SEMAPHORE(1, LINE);
  came = inside = most = 0;
  return 0;
}

static size_t waiting(void) {
  size_t now, unused;
  st_semaphore_look(&semaphore, &now, &unused);
  return now;
}

static void wait_for_line(size_t len) {
  while (waiting() != len) usleep(100);
}

static void *come_once(void *number) {
  if (!st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER)) return NULL;
  pthread_mutex_lock(&lock);
  order[came++] = (int)(intptr_t)number;
  pthread_mutex_unlock(&lock);
  st_semaphore_leave(&semaphore);
  return number;
}

static void start(pthread_t *thread, void *(*run)(void *), intptr_t number) {
  assert_int_equal(pthread_create(thread, NULL, run, (void *)number), 0);
}

static void those_who_wait_enter_in_order(void **state) {
  (void)state;
  pthread_t threads[LINE];
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  for (intptr_t i = 0; i < LINE; i++) {
    start(&threads[i], come_once, i + 1);
    wait_for_line((size_t)i + 1);
  }
  assert_false(st_semaphore_enter(
      &semaphore, ST_WAIT_FOR_EVER)); /* one too many is turned away, and does not wait */
  assert_int_equal(came, 0);
  st_semaphore_leave(&semaphore);
  for (size_t i = 0; i < LINE; i++) {
    void *number;
    assert_int_equal(pthread_join(threads[i], &number), 0);
    assert_non_null(number);
  }
  for (int i = 0; i < LINE; i++) assert_int_equal(order[i], i + 1);
  assert_int_equal(semaphore.inside, 0);
  assert_int_equal(semaphore.most, 1);
  assert_int_equal(waiting(), 0);
}

/* The earlier of the two: its own time, or when the semaphore closes. */
static void nobody_waits_longer_than_for_its_own_time(void **state) {
  (void)state;
  size_t in = 9, line = 9;
  int64_t now = st_clock_monotonic_us();
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  st_semaphore_close(&semaphore, now + INT64_C(60000000));
  assert_false(st_semaphore_enter(&semaphore, now + 1000));
  st_semaphore_close(&semaphore, now + 2000);
  assert_false(st_semaphore_enter(&semaphore, now + INT64_C(60000000)));
  assert_true(st_clock_monotonic_us() - now < INT64_C(50000000));
  st_semaphore_count(&semaphore, &in, &line);
  assert_true(in == 1 && line == 0);
  st_semaphore_leave(&semaphore);
  st_semaphore_count(&semaphore, &in, &line);
  assert_true(in == 0 && line == 0);
}

static void without_a_line_nobody_waits(void **state) {
  (void)state;
  semaphore = (st_semaphore)ST_SEMAPHORE(2, 0);
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  assert_false(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  st_semaphore_leave(&semaphore);
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  assert_false(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
}

/* Who waits is let in when there is more room, too. */
static void more_room_lets_more_in(void **state) {
  (void)state;
  pthread_t threads[3];
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  for (size_t i = 0; i < COUNT(threads); i++) start(&threads[i], come_once, 1);
  wait_for_line(3);
  st_semaphore_limit(&semaphore, 2);
  for (size_t i = 0; i < COUNT(threads); i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(came, 3);
  assert_int_equal(semaphore.inside, 1);
  assert_int_equal(semaphore.most, 2);
  /* With less room than there are inside, nobody comes in until enough have left. */
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  st_semaphore_limit(&semaphore, 1);
  start(&threads[0], come_once, 1);
  wait_for_line(1);
  st_semaphore_leave(&semaphore);
  assert_int_equal(waiting(), 1);
  st_semaphore_leave(&semaphore);
  assert_int_equal(pthread_join(threads[0], NULL), 0);
}

static void *come_often(void *unused) {
  (void)unused;
  for (int i = 0; i < 2000; i++) {
    if (!st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER)) abort();
    pthread_mutex_lock(&lock);
    inside++;
    if (inside > most) most = inside;
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&lock);
    inside--;
    pthread_mutex_unlock(&lock);
    st_semaphore_leave(&semaphore);
  }
  return NULL;
}

static void never_more_than_the_limit_are_in(void **state) {
  (void)state;
  pthread_t threads[8];
  st_semaphore_limit(&semaphore, 3);
  for (size_t i = 0; i < COUNT(threads); i++) start(&threads[i], come_often, 0);
  for (size_t i = 0; i < COUNT(threads); i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  size_t line, seen;
  st_semaphore_look(&semaphore, &line, &seen);
  assert_in_range(most, 1, 3);
  assert_in_range(seen, most, 3);
  assert_int_equal(line, 0);
  assert_int_equal(semaphore.inside, 0);
}

static int64_t deadline; /* of who comes until then */

static void *come_until(void *number) {
  if (!st_semaphore_enter(&semaphore, deadline)) return NULL;
  st_semaphore_leave(&semaphore);
  return number;
}

/* C1: who has waited until its deadline leaves the line, wherever it stands in it. */
static void waiting_ends_at_the_deadline(void **state) {
  (void)state;
  pthread_t threads[3], impatient[2];
  void *number;
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_NOT)); /* free: nobody has to wait */
  assert_false(st_semaphore_enter(&semaphore, ST_WAIT_NOT));
  for (size_t i = 0; i < COUNT(threads); i++) {
    start(&threads[i], come_once, (intptr_t)i + 1);
    wait_for_line(2 * i + 1);
    if (i == 2) break;
    deadline = st_clock_monotonic_us() + 200000;
    start(&impatient[i], come_until, 9);
    wait_for_line(2 * i + 2);
  }
  for (size_t i = 0; i < COUNT(impatient); i++) {
    assert_int_equal(pthread_join(impatient[i], &number), 0);
    assert_null(number);
  }
  assert_true(st_clock_monotonic_us() >= deadline);
  assert_int_equal(waiting(), COUNT(threads));
  st_semaphore_leave(&semaphore);
  for (size_t i = 0; i < COUNT(threads); i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(order[i], (int)i + 1);
  }
  assert_int_equal(waiting(), 0);
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_NOT));
}

/* C1: at the end of the process nobody is waited for, whatever was agreed. */
static void closing_ends_all_waits(void **state) {
  (void)state;
  pthread_t threads[3];
  void *number;
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_NOT));
  for (size_t i = 0; i < COUNT(threads); i++) start(&threads[i], come_once, 1);
  wait_for_line(COUNT(threads));
  st_semaphore_close(&semaphore, st_clock_monotonic_us() + 20000);
  for (size_t i = 0; i < COUNT(threads); i++) {
    assert_int_equal(pthread_join(threads[i], &number), 0);
    assert_null(number);
  }
  assert_false(st_semaphore_enter(&semaphore, ST_WAIT_FOR_EVER));
  st_semaphore_leave(&semaphore);
  assert_true(st_semaphore_enter(&semaphore, ST_WAIT_NOT)); /* it was free */
  st_semaphore_close(&semaphore, 0);
  start(&threads[0], come_once, 1);
  wait_for_line(1);
  st_semaphore_leave(&semaphore);
  assert_int_equal(pthread_join(threads[0], &number), 0);
  assert_non_null(number);
}

static void *come_for_a_moment(void *unused) {
  (void)unused;
  for (int i = 0; i < 500; i++) {
    if (st_semaphore_enter(&semaphore, st_clock_monotonic_us() + i % 50)) {
      st_semaphore_leave(&semaphore);
    }
  }
  return NULL;
}

/* Who is called in at the moment in which it gives up has its place, and leaves it. */
static void a_call_at_the_deadline_is_not_lost(void **state) {
  (void)state;
  pthread_t threads[8];
  for (size_t i = 0; i < COUNT(threads); i++) start(&threads[i], come_for_a_moment, 0);
  for (size_t i = 0; i < COUNT(threads); i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(waiting(), 0);
  assert_int_equal(semaphore.inside, 0);
  assert_int_equal(semaphore.most, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(those_who_wait_enter_in_order, set_up),
      cmocka_unit_test_setup(without_a_line_nobody_waits, set_up),
      cmocka_unit_test_setup(nobody_waits_longer_than_for_its_own_time, set_up),
      cmocka_unit_test_setup(more_room_lets_more_in, set_up),
      cmocka_unit_test_setup(never_more_than_the_limit_are_in, set_up),
      cmocka_unit_test_setup(waiting_ends_at_the_deadline, set_up),
      cmocka_unit_test_setup(closing_ends_all_waits, set_up),
      cmocka_unit_test_setup(a_call_at_the_deadline_is_not_lost, set_up),
  };
  return cmocka_run_group_tests_name("semaphore", tests, NULL, NULL);
}
