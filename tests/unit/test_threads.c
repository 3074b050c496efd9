/* The threads and the memory that civetweb is given (server/threads.c), with this test in
 * civetweb's place.
 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "os/error.h"
#include "server/threads.h"
#define ST_NET_PROTOTYPES_ONLY
#include "civetweb_net.h"

static atomic_int begun, ended, run;
static int begin_fails_at; /* that worker has no memory; 0: none */

static bool worker_begin(void) {
  return atomic_fetch_add(&begun, 1) + 1 != begin_fails_at;
}

static void worker_end(void) {
  atomic_fetch_add(&ended, 1);
}

static int forget(void **state) {
  (void)state;
  atomic_store(&begun, 0);
  atomic_store(&ended, 0);
  atomic_store(&run, 0);
  begin_fails_at = 0;
  return 0;
}

static void *count_run(void *argument) {
  atomic_fetch_add(&run, 1);
  return argument;
}

static void each_thread_runs_what_it_is_given(void **state) {
  char error[ST_ERROR_MAX];
  pthread_t ids[4];
  int values[4];
  (void)state;
  assert_true(st_threads_start(3, worker_begin, worker_end, error));
  assert_int_equal(atomic_load(&begun), 3); /* the one that accepts is no worker */
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(st_net_thread(&ids[i], NULL, count_run, &values[i]), 0);
  }
  pthread_t none;
  assert_int_equal(st_net_thread(&none, NULL, count_run, NULL), EAGAIN);
  for (size_t i = 0; i < 4; i++) {
    void *result = NULL;
    assert_int_equal(pthread_join(ids[i], &result), 0);
    assert_ptr_equal(result, &values[i]);
  }
  assert_int_equal(atomic_load(&run), 4);
  assert_int_equal(atomic_load(&ended), 3);
  st_threads_stop();
}

static void those_that_are_given_nothing_end(void **state) {
  char error[ST_ERROR_MAX];
  pthread_t id;
  (void)state;
  assert_true(st_threads_start(5, worker_begin, worker_end, error));
  assert_int_equal(st_net_thread(&id, NULL, count_run, NULL), 0);
  assert_int_equal(pthread_join(id, NULL), 0);
  st_threads_stop();
  assert_int_equal(atomic_load(&run), 1);
  assert_int_equal(atomic_load(&begun), 5);
  assert_int_equal(atomic_load(&ended), 5);
}

static void a_worker_without_memory_makes_the_start_fail(void **state) {
  char error[ST_ERROR_MAX] = "";
  (void)state;
  begin_fails_at = 2;
  assert_false(st_threads_start(4, worker_begin, worker_end, error));
  assert_string_equal(error, "out of memory for 4 threads");
  assert_int_equal(atomic_load(&ended), 3); /* all but that one */
  pthread_t none;
  assert_int_equal(st_net_thread(&none, NULL, count_run, NULL), EAGAIN);
  /* And another start is well. */
  begin_fails_at = 0;
  assert_true(st_threads_start(4, worker_begin, worker_end, error));
  st_threads_stop();
}

static void memory_is_cut_off_and_is_apart(void **state) {
  char error[ST_ERROR_MAX];
  uint8_t *pieces[64];
  (void)state;
  assert_true(st_threads_start(1, worker_begin, worker_end, error));
  for (size_t i = 0; i < 64; i++) { /* more than was reckoned with: from malloc */
    size_t size = 1 + i * 97;
    pieces[i] = i % 2 == 0 ? st_net_malloc(size) : st_net_calloc(size, 1);
    assert_non_null(pieces[i]);
    assert_int_equal((uintptr_t)pieces[i] % 16, 0);
    for (size_t b = 0; i % 2 == 1 && b < size; b++) assert_int_equal(pieces[i][b], 0);
    memset(pieces[i], (int)i, size);
  }
  for (size_t i = 0; i < 64; i++) {
    for (size_t b = 0; b < 1 + i * 97; b++) assert_int_equal(pieces[i][b], i);
    st_net_free(pieces[i]);
  }
  assert_null(st_net_calloc(SIZE_MAX / 2, 3));
  void *grown = st_net_realloc(NULL, 10);
  assert_non_null(grown);
  assert_null(st_net_realloc(grown, 20)); /* it was cut off */
  st_net_free(NULL);
  st_threads_stop();
}

/* What a worker does for each connection. */
static void *copy_paths(void *argument) {
  void **copies = argument;
  copies[0] = st_net_malloc(2);
  copies[1] = st_net_malloc(2); /* while it has the first: from malloc */
  st_net_free(copies[0]);
  void *again = st_net_malloc(16);
  st_net_free(copies[1]);
  copies[1] = again;
  st_net_free(again);
  return NULL;
}

static void a_worker_has_a_small_piece_of_its_own(void **state) {
  char error[ST_ERROR_MAX];
  void *copies[2] = {NULL, NULL};
  pthread_t id;
  (void)state;
  assert_true(st_threads_start(1, worker_begin, worker_end, error));
  assert_int_equal(st_net_thread(&id, NULL, copy_paths, copies), 0);
  assert_int_equal(pthread_join(id, NULL), 0);
  assert_non_null(copies[0]);
  assert_ptr_equal(copies[0], copies[1]);
  st_threads_stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(each_thread_runs_what_it_is_given, forget),
      cmocka_unit_test_setup(those_that_are_given_nothing_end, forget),
      cmocka_unit_test_setup(a_worker_without_memory_makes_the_start_fail, forget),
      cmocka_unit_test_setup(memory_is_cut_off_and_is_apart, forget),
      cmocka_unit_test_setup(a_worker_has_a_small_piece_of_its_own, forget),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
