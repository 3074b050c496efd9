/* turns: so many at a time, so many who wait, first come first served. */
#include "support.h"

#include <pthread.h>
#include <unistd.h>

#include "shell/turns.h"

#define LINE 40

static st_turns turns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int order[LINE]; /* who came in, in the order of that */
static size_t came;
static size_t inside, most;

static int set_up(void **state) {
  (void)state;
  turns = (st_turns)ST_TURNS(1, LINE);
  came = inside = most = 0;
  return 0;
}

static size_t waiting(void) {
  size_t now, unused;
  st_turns_look(&turns, &now, &unused);
  return now;
}

static void wait_for_line(size_t len) {
  while (waiting() != len) usleep(100);
}

static void *come_once(void *number) {
  if (!st_turns_enter(&turns)) return NULL;
  pthread_mutex_lock(&lock);
  order[came++] = (int)(intptr_t)number;
  pthread_mutex_unlock(&lock);
  st_turns_leave(&turns);
  return number;
}

static void start(pthread_t *thread, void *(*run)(void *), intptr_t number) {
  assert_int_equal(pthread_create(thread, NULL, run, (void *)number), 0);
}

static void test_in_order(void **state) {
  (void)state;
  pthread_t threads[LINE];
  assert_true(st_turns_enter(&turns));
  for (intptr_t i = 0; i < LINE; i++) {
    start(&threads[i], come_once, i + 1);
    wait_for_line((size_t)i + 1);
  }
  assert_false(st_turns_enter(&turns)); /* one too many is turned away, and does not wait */
  assert_int_equal(came, 0);
  st_turns_leave(&turns);
  for (size_t i = 0; i < LINE; i++) {
    void *number;
    assert_int_equal(pthread_join(threads[i], &number), 0);
    assert_non_null(number);
  }
  for (int i = 0; i < LINE; i++) assert_int_equal(order[i], i + 1);
  assert_int_equal(turns.inside, 0);
  assert_int_equal(turns.most, 1);
  assert_int_equal(waiting(), 0);
}

static void test_no_line(void **state) {
  (void)state;
  turns = (st_turns)ST_TURNS(2, 0);
  assert_true(st_turns_enter(&turns));
  assert_true(st_turns_enter(&turns));
  assert_false(st_turns_enter(&turns));
  st_turns_leave(&turns);
  assert_true(st_turns_enter(&turns));
  assert_false(st_turns_enter(&turns));
}

/* Who waits is let in when there is more room, too. */
static void test_more_room(void **state) {
  (void)state;
  pthread_t threads[3];
  assert_true(st_turns_enter(&turns));
  for (size_t i = 0; i < COUNT(threads); i++) start(&threads[i], come_once, 1);
  wait_for_line(3);
  st_turns_limit(&turns, 2);
  for (size_t i = 0; i < COUNT(threads); i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(came, 3);
  assert_int_equal(turns.inside, 1);
  assert_int_equal(turns.most, 2);
  /* With less room than there are inside, nobody comes in until enough have left. */
  assert_true(st_turns_enter(&turns));
  st_turns_limit(&turns, 1);
  start(&threads[0], come_once, 1);
  wait_for_line(1);
  st_turns_leave(&turns);
  assert_int_equal(waiting(), 1);
  st_turns_leave(&turns);
  assert_int_equal(pthread_join(threads[0], NULL), 0);
}

static void *come_often(void *unused) {
  (void)unused;
  for (int i = 0; i < 2000; i++) {
    if (!st_turns_enter(&turns)) abort();
    pthread_mutex_lock(&lock);
    inside++;
    if (inside > most) most = inside;
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&lock);
    inside--;
    pthread_mutex_unlock(&lock);
    st_turns_leave(&turns);
  }
  return NULL;
}

static void test_many(void **state) {
  (void)state;
  pthread_t threads[8];
  st_turns_limit(&turns, 3);
  for (size_t i = 0; i < COUNT(threads); i++) start(&threads[i], come_often, 0);
  for (size_t i = 0; i < COUNT(threads); i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  size_t line, seen;
  st_turns_look(&turns, &line, &seen);
  assert_in_range(most, 1, 3);
  assert_in_range(seen, most, 3);
  assert_int_equal(line, 0);
  assert_int_equal(turns.inside, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_in_order, set_up),
      cmocka_unit_test_setup(test_no_line, set_up),
      cmocka_unit_test_setup(test_more_room, set_up),
      cmocka_unit_test_setup(test_many, set_up),
  };
  return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
