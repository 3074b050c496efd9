/* The settings, ring and policy in force, replaced while threads use them. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/error.h"
#include "server/runtime_config.h"

/* The secrets of the two rings, as lines of a file. */
#define LINE_A ":c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE\n"  /* TEST_SECRET */
#define LINE_B "b:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMj8\n" /* OTHER_SECRET */

static char dir[] = "/tmp/subtoken-config-XXXXXX";
static char path[100];
static char error[ST_ERROR_MAX];
static st_settings settings;

/* Another file under the same name, at once, as `secret rotate` does it. */
static void put(const char *text, mode_t mode) {
  char fresh[120];
  snprintf(fresh, sizeof fresh, "%s.new", path);
  FILE *file = fopen(fresh, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  fclose(file);
  assert_int_equal(chmod(fresh, mode), 0);
  assert_int_equal(rename(fresh, path), 0);
}

static int start(void **state) {
  (void)state;
  st_config_default(&settings);
  put(LINE_A, 0600);
  return st_runtime_config_start(path, &settings, error) ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  st_runtime_config_stop();
  return 0;
}

static bool mapped(const void *memory) {
  uintptr_t page = (uintptr_t)memory & ~(uintptr_t)4095;
  return msync((void *)page, 4096, MS_ASYNC) == 0;
}

/* Does the ring in force sign with the first or the second secret? */
static char ring_of(const st_runtime_config *config) {
  subtoken_ring a, b;
  ring_with(&a, "", TEST_SECRET);
  ring_with(&b, "b", OTHER_SECRET);
  if (config->ring.count == 0) return '0';
  if (memcmp(config->ring.secrets[0].inner, a.secrets[0].inner, sizeof a.secrets[0].inner) == 0) {
    return 'a';
  }
  bool is_b =
      memcmp(config->ring.secrets[0].inner, b.secrets[0].inner, sizeof b.secrets[0].inner) == 0;
  return is_b ? 'b' : '?';
}

static char ring_in_force(void) {
  st_runtime_config *config = st_runtime_config_acquire();
  char is = ring_of(config);
  st_runtime_config_release(config);
  return is;
}

/* ---- one thread ---- */

static void an_acquired_configuration_is_the_current_one(void **state) {
  (void)state;
  st_runtime_config *first = st_runtime_config_acquire(), *second = st_runtime_config_acquire();
  assert_ptr_equal(first, second);
  assert_int_equal(ring_of(first), 'a');
  assert_true(first->settings.leeway == 60);
  st_runtime_config_release(second);
  assert_true(mapped(first));
  st_runtime_config_release(first);
  assert_true(mapped(first)); /* still in force */
}

static void a_changed_ring_is_read(void **state) {
  (void)state;
  assert_int_equal(ring_in_force(), 'a');
  put(LINE_B LINE_A, 0600);
  assert_int_equal(ring_in_force(), 'b');
  put(LINE_A, 0640); /* its group may read it */
  assert_int_equal(ring_in_force(), 'a');
}

/* A request keeps what it began with, and its memory is gone when the last one is. */
static void an_old_configuration_lives_until_it_is_released(void **state) {
  (void)state;
  st_runtime_config *old = st_runtime_config_acquire(), *same = st_runtime_config_acquire();
  put(LINE_B, 0600);
  st_runtime_config *fresh = st_runtime_config_acquire();
  assert_ptr_not_equal(old, fresh);
  assert_int_equal(ring_of(old), 'a');
  assert_int_equal(ring_of(fresh), 'b');
  st_runtime_config_release(old);
  assert_int_equal(ring_of(same), 'a');
  assert_true(mapped(same));
  st_runtime_config_release(same);
  assert_false(mapped(old));
  st_runtime_config_release(fresh);
  assert_true(mapped(fresh));
}

/* The same by a worker, who takes the first without a lock and the others like anybody. */
static void a_worker_keeps_what_it_acquired(void **state) {
  st_runtime_config_thread_start();
  an_acquired_configuration_is_the_current_one(state);
  an_old_configuration_lives_until_it_is_released(state);
  st_runtime_config *first = st_runtime_config_acquire(), *second = st_runtime_config_acquire();
  put(LINE_A, 0600);
  assert_int_equal(ring_in_force(), 'a');
  assert_true(mapped(first));
  st_runtime_config_release(first);
  assert_true(mapped(second));
  st_runtime_config_release(second);
  assert_false(mapped(second));
  st_runtime_config_thread_end();
  st_runtime_config_thread_end(); /* of a thread that never began: nothing */
}

static void stopping_frees_the_last(void **state) {
  (void)state;
  st_runtime_config *config = st_runtime_config_acquire();
  st_runtime_config_stop();
  assert_true(mapped(config));
  assert_int_equal(ring_of(config), 'a');
  st_runtime_config_release(config);
  assert_false(mapped(config));
}

static void a_bad_ring_changes_nothing(void **state) {
  (void)state;
  static const struct {
    const char *text;
    mode_t mode;
  } rows[] = {
      {"", 0600},
      {"nonsense\n", 0600},
      {LINE_B ":short\n", 0600},
      {LINE_B LINE_B, 0600},
      {":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", 0600},
      {LINE_B, 0604}, /* readable by others */
      {LINE_B, 0660}, /* writable by its group */
  };
  st_runtime_config *before = st_runtime_config_acquire();
  for (size_t i = 0; i < COUNT(rows); i++) {
    put(rows[i].text, rows[i].mode);
    for (int j = 0; j < 3; j++) {
      st_runtime_config *config = st_runtime_config_acquire();
      CHECK(config == before, "row %zu was taken up", i);
      st_runtime_config_release(config);
    }
  }
  /* Made good without being written again. */
  assert_int_equal(chmod(path, 0600), 0);
  assert_int_equal(ring_in_force(), 'b');
  st_runtime_config_release(before);
}

/* Without a descriptor a good ring cannot be read. That is not the file's fault: it is
 * taken up later although it has not changed since.
 */
static void an_unreadable_ring_is_tried_again(void **state) {
  (void)state;
  struct rlimit before, none;
  put(LINE_B, 0600);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = before;
  none.rlim_cur = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  char meanwhile = ring_in_force();
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_int_equal(meanwhile, 'a');
  usleep(1100000);
  assert_int_equal(ring_in_force(), 'b');
}

static void a_missing_ring_changes_nothing(void **state) {
  (void)state;
  assert_int_equal(unlink(path), 0);
  assert_int_equal(ring_in_force(), 'a');
  put(LINE_B, 0600);
  assert_int_equal(ring_in_force(), 'b');
}

static void other_settings_take_effect(void **state) {
  (void)state;
  st_runtime_config *before = st_runtime_config_acquire();
  settings.leeway = 7;
  assert_true(st_runtime_config_change(&settings, error));
  st_runtime_config *after = st_runtime_config_acquire();
  assert_true(before->settings.leeway == 60);
  assert_true(after->settings.leeway == 7);
  assert_int_equal(ring_of(after), 'a');
  st_runtime_config_release(before);
  assert_false(mapped(before));
  st_runtime_config_release(after);
  /* A ring that is taken up later keeps the settings. */
  put(LINE_B, 0600);
  after = st_runtime_config_acquire();
  assert_int_equal(ring_of(after), 'b');
  assert_true(after->settings.leeway == 7);
  st_runtime_config_release(after);
}

/* Whole or not at all: with a ring that cannot be used the settings stay too. */
static void settings_with_a_bad_ring_change_nothing(void **state) {
  (void)state;
  put("nonsense\n", 0600);
  settings.leeway = 7;
  assert_false(st_runtime_config_change(&settings, error));
  assert_non_null(strstr(error, path));
  st_runtime_config *config = st_runtime_config_acquire();
  assert_true(config->settings.leeway == 60);
  assert_int_equal(ring_of(config), 'a');
  st_runtime_config_release(config);
}

/* ---- the route policy ---- */

static const char *policy_path(const char *text) {
  static char name[120];
  snprintf(name, sizeof name, "%s.policy", path);
  FILE *file = fopen(name, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  fclose(file);
  return name;
}

static subtoken_access access_in_force(void) {
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  st_runtime_config *config = st_runtime_config_acquire();
  assert_int_equal(subtoken_policy_find(st_runtime_config_policy(config), ST_TEXT("GET"),
                                        ST_TEXT("/a"), 0, &decision),
                   SUBTOKEN_OK);
  st_runtime_config_release(config);
  return decision.access;
}

static void a_policy_is_read_with_its_settings(void **state) {
  (void)state;
  st_runtime_config *none = st_runtime_config_acquire();
  assert_null(st_runtime_config_policy(none));
  st_runtime_config_release(none);
  snprintf(settings.policy, sizeof settings.policy, "%s", policy_path("{\"default\":\"public\"}"));
  assert_true(st_runtime_config_change(&settings, error));
  assert_int_equal(access_in_force(), SUBTOKEN_ACCESS_PUBLIC);
  st_runtime_config *before = st_runtime_config_acquire();
  /* The file is looked at when settings change, not with the ring. */
  (void)policy_path("{\"default\":\"token\"}");
  put(LINE_B, 0600);
  assert_int_equal(access_in_force(), SUBTOKEN_ACCESS_PUBLIC);
  assert_true(st_runtime_config_change(&settings, error));
  assert_int_equal(access_in_force(), SUBTOKEN_ACCESS_TOKEN);
  /* Whole or not at all. */
  settings.leeway = 7;
  (void)policy_path("{\"default\":\"token\",\n \"routes\":[]}");
  assert_false(st_runtime_config_change(&settings, error));
  assert_non_null(strstr(error, ".policy: line 2, column "));
  unlink(settings.policy);
  assert_false(st_runtime_config_change(&settings, error));
  assert_non_null(strstr(error, ".policy"));
  assert_int_equal(access_in_force(), SUBTOKEN_ACCESS_TOKEN);
  /* What was loaded and not used is gone; what is used is not. */
  (void)policy_path("{\"default\":\"deny\"}");
  st_runtime_config *unused = st_runtime_config_load(&settings, error);
  assert_non_null(unused);
  st_runtime_config_release(unused);
  assert_int_equal(access_in_force(), SUBTOKEN_ACCESS_TOKEN);
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  assert_int_equal(subtoken_policy_find(st_runtime_config_policy(before), ST_TEXT("GET"),
                                        ST_TEXT("/a"), 0, &decision),
                   SUBTOKEN_OK);
  assert_int_equal(decision.access, SUBTOKEN_ACCESS_PUBLIC);
  st_runtime_config_release(before);
  unlink(settings.policy);
}

/* ---- starting ---- */

static void a_start_without_a_ring_fails(void **state) {
  (void)state;
  static const struct {
    const char *text;
    mode_t mode;
    const char *says;
  } rows[] = {
      {"", 0600, "holds no secret"},
      {LINE_A "x\n", 0600, "line 2 is not `kid:base64url`"},
      {LINE_A ":c2hvcnQ\n", 0600, "line 2 "},
      {LINE_A LINE_A, 0600, "line 2 "},
      {"a/b" LINE_A, 0600, "line 1 has a kid"},
      {"a.b" LINE_A, 0600, "derived for the audience b"},
      {"\xEF\xBB\xBF" LINE_A, 0600, "line 1 starts with a byte-order mark"}, /* F6 */
      {LINE_A "\r\n", 0600, "line 2 ends with a carriage return (CRLF)"},
      {LINE_A, 0644, path},
      {LINE_A, 0602, path},
  };
  st_config_default(&settings);
  for (size_t i = 0; i < COUNT(rows); i++) {
    put(rows[i].text, rows[i].mode);
    memset(error, 0, sizeof error);
    CHECK(!st_runtime_config_start(path, &settings, error), "row %zu", i);
    CHECK(strstr(error, rows[i].says) != NULL && strstr(error, path) != NULL, "row %zu: %s", i,
          error);
    CHECK(strstr(error, "c3VidG9r") == NULL, "row %zu tells a secret: %s", i, error);
  }
  unlink(path);
  assert_false(st_runtime_config_start(path, &settings, error));
  assert_non_null(strstr(error, path));
}

/* ---- many threads ---- */

enum { THREADS = 4, SWAPS = 300 };
static atomic_bool over;
static atomic_long wrong, seen_a, seen_b;

/* Each pair that is taken is whole, and stays as it is until it is given back. */
static void *use(void *worker) {
  if (worker != NULL) st_runtime_config_thread_start();
  while (!atomic_load(&over)) {
    st_runtime_config *config = st_runtime_config_acquire();
    char first = ring_of(config);
    int64_t leeway = config->settings.leeway;
    if (first != 'a' && first != 'b') atomic_fetch_add(&wrong, 1);
    if (leeway != 60 && leeway != 7) atomic_fetch_add(&wrong, 1);
    sched_yield();
    if (ring_of(config) != first || config->settings.leeway != leeway) atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(first == 'a' ? &seen_a : &seen_b, 1);
    st_runtime_config_release(config);
  }
  if (worker != NULL) st_runtime_config_thread_end();
  return NULL;
}

static void threads_may_use_it_while_it_is_replaced(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  atomic_store(&over, false);
  for (size_t i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, use, i % 2 == 0 ? NULL : &over), 0);
  }
  for (int i = 0; i < SWAPS; i++) {
    put(i % 2 == 0 ? LINE_B LINE_A : LINE_A LINE_B, 0600);
    if (i % 5 == 0) put("not a ring\n", 0600);
    settings.leeway = i % 3 == 0 ? 7 : 60;
    (void)!st_runtime_config_change(&settings, error);
    usleep(1000);
  }
  put(LINE_B, 0600);
  assert_int_equal(ring_in_force(), 'b');
  atomic_store(&over, true);
  for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_true(atomic_load(&wrong) == 0);
  assert_true(atomic_load(&seen_a) > 0 && atomic_load(&seen_b) > 0);
  /* All have given back: only what is in force is left. */
  st_runtime_config *config = st_runtime_config_acquire();
  assert_int_equal(atomic_load(&config->references), 2);
  st_runtime_config_release(config);
}

static int make_dir(void **state) {
  (void)state;
  if (mkdtemp(dir) == NULL) return -1;
  snprintf(path, sizeof path, "%s/secrets", dir);
  return 0;
}

static int remove_dir(void **state) {
  (void)state;
  unlink(path);
  return rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(an_acquired_configuration_is_the_current_one, start, stop),
      cmocka_unit_test_setup_teardown(a_changed_ring_is_read, start, stop),
      cmocka_unit_test_setup_teardown(an_old_configuration_lives_until_it_is_released, start, stop),
      cmocka_unit_test_setup_teardown(a_worker_keeps_what_it_acquired, start, stop),
      cmocka_unit_test_setup(stopping_frees_the_last, start),
      cmocka_unit_test_setup_teardown(a_bad_ring_changes_nothing, start, stop),
      cmocka_unit_test_setup_teardown(an_unreadable_ring_is_tried_again, start, stop),
      cmocka_unit_test_setup_teardown(a_missing_ring_changes_nothing, start, stop),
      cmocka_unit_test_setup_teardown(other_settings_take_effect, start, stop),
      cmocka_unit_test_setup_teardown(settings_with_a_bad_ring_change_nothing, start, stop),
      cmocka_unit_test_setup_teardown(a_policy_is_read_with_its_settings, start, stop),
      cmocka_unit_test(a_start_without_a_ring_fails),
      cmocka_unit_test_setup_teardown(threads_may_use_it_while_it_is_replaced, start, stop),
  };
  return cmocka_run_group_tests_name("config", tests, make_dir, remove_dir);
}
