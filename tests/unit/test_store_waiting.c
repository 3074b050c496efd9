/* Changes that take a sequence are made one after the other: who waits for a turn, for how long,
 * and who is turned away. A change is held in the middle, so that no test depends on time.
 */
#include "store_contract.h"

#include <pthread.h>

#include "os/clock.h"
#include "store/db.h"

/* ---- a change that stands still at its first statement ---- */

static const st_db_ops *working;
static st_db_ops standing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool stands, goes_on; /* under the lock */

static st_store_status standing_run(st_db *db, st_sql which, const st_value *values,
                                    int64_t *count) {
  pthread_mutex_lock(&lock);
  stands = true;
  pthread_cond_broadcast(&changed);
  while (!goes_on) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return working->run(db, which, values, count);
}

static void *bump_for_long(void *status) {
  char why[ST_ERROR_MAX];
  *(st_store_status *)status = st_store_bump_sequence(store, NOW * US, ST_WAIT_FOR_EVER, NULL, why);
  return NULL;
}

static pthread_t holder;
static st_store_status held;

static void hold_the_turn(void) {
  st_db *db = store->driver->change_db(store);
  working = db->ops;
  standing = *working;
  standing.run = standing_run;
  db->ops = &standing;
  working->rollback(db); /* gives it back: the next change gets it again */
  stands = goes_on = false;
  assert_int_equal(pthread_create(&holder, NULL, bump_for_long, &held), 0);
  pthread_mutex_lock(&lock);
  while (!stands) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static void release_the_turn(void) {
  pthread_mutex_lock(&lock);
  goes_on = true;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  assert_int_equal(pthread_join(holder, NULL), 0);
  assert_int_equal(held, ST_STORE_OK);
}

static st_store_status bump_until(int64_t until_us) {
  return st_store_bump_sequence(store, NOW * US, until_us, NULL, error);
}

static void who_cannot_wait_is_told_so(void **state) {
  (void)state;
  hold_the_turn();
  int64_t before = sequence_now(); /* reading waits for nobody */
  assert_int_equal(bump_until(ST_WAIT_NOT), ST_STORE_BUSY);
  assert_non_null(strstr(error, "too many changes wait"));
  assert_int_equal(bump_until(st_clock_monotonic_us() + 1000), ST_STORE_BUSY);
  assert_int_equal(sequence_now(), before);
  release_the_turn();
  assert_ok(bump_until(ST_WAIT_NOT));
  assert_true(sequence_now() > before);
}

static void wait_until_waiting(size_t wanted) {
  size_t waiting = 0, most = 0;
  st_semaphore *turns = store->concurrent ? &store->ordering : &store->writing;
  while (waiting < wanted) st_semaphore_look(turns, &waiting, &most);
}

static void those_who_wait_get_their_turn(void **state) {
  (void)state;
  enum { WAITERS = 3 };
  pthread_t threads[WAITERS];
  st_store_status statuses[WAITERS];
  int64_t before = sequence_now();
  hold_the_turn();
  for (size_t i = 0; i < WAITERS; i++) {
    statuses[i] = ST_STORE_FAILED;
    assert_int_equal(pthread_create(&threads[i], NULL, bump_for_long, &statuses[i]), 0);
  }
  wait_until_waiting(WAITERS);
  release_the_turn();
  for (size_t i = 0; i < WAITERS; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(statuses[i], ST_STORE_OK);
  }
  assert_true(sequence_now() >= before + WAITERS);
}

/* Of 8 threads 2 may wait: the third is turned away at once. */
static void when_too_many_wait_the_next_is_turned_away(void **state) {
  (void)state;
  pthread_t threads[2];
  st_store_status statuses[2];
  st_store_limit_waiting(store, 8);
  hold_the_turn();
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, bump_for_long, &statuses[i]), 0);
  }
  wait_until_waiting(2);
  assert_int_equal(bump_until(ST_WAIT_FOR_EVER), ST_STORE_BUSY);
  release_the_turn();
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(statuses[i], ST_STORE_OK);
  }
}

/* Of those who register themselves one at a time, so that they take no place of others. */
static void who_registers_waits_behind_nobody_who_registers(void **state) {
  (void)state;
  st_user user = user_of(2, "eve", "");
  st_store_limit_waiting(store, 8);
  assert_true(st_semaphore_enter(&store->unauthenticated, ST_WAIT_NOT)); /* one is at it */
  assert_int_equal(st_store_user_create(store, CONTEXT, NULL, true, &user, digest_of(2), error),
                   ST_STORE_BUSY);
  make_user(3, "ann", "a"); /* whom somebody makes waits for none of them */
  st_semaphore_leave(&store->unauthenticated);
  assert_ok(st_store_user_create(store, CONTEXT, NULL, true, &user, digest_of(2), error));
}

static void at_the_end_nobody_waits(void **state) {
  (void)state;
  pthread_t thread;
  st_store_status status = ST_STORE_OK;
  hold_the_turn();
  assert_int_equal(pthread_create(&thread, NULL, bump_for_long, &status), 0);
  wait_until_waiting(1);
  st_store_stop_waiting(store, st_clock_monotonic_us());
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(status, ST_STORE_BUSY);
  release_the_turn();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(who_cannot_wait_is_told_so),
      TEST(those_who_wait_get_their_turn),
      TEST(when_too_many_wait_the_next_is_turned_away),
      TEST(who_registers_waits_behind_nobody_who_registers),
      TEST(at_the_end_nobody_waits),
  };
  return RUN_ON_EVERY_STORE(tests);
}
