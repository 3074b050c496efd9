/* A store is opened, made, copied or backed up while something fails (failing.h): that succeeds or
 * leaves nothing, and the store is well afterwards.
 */
#include "store_contract.h"

#include <dirent.h>

#include "failing.h"
#include "store/copy.h"
#include "store/key_cache.h"
#include "store_failing.h"

static int count_files(void) {
  DIR *dir = opendir(folder);
  int files = 0;
  assert_non_null(dir);
  while (readdir(dir) != NULL) files++;
  closedir(dir);
  return files;
}

/* Of some hundred statements that are prepared a few, of all else each call. */
static void fail_to_open(unsigned kinds, long step) {
  FAILING_EACH(
      kinds, step,
      {
        st_store *other = (st_store *)error;
        error[0] = '\0';
        failing_begin(kinds, nth);
        st_store_status status = st_store_open(location, false, &other, error);
        bool hurt = failing_end();
        if (!hurt || status == ST_STORE_OK) assert_ok(status);
        if (status != ST_STORE_OK) assert_told("open", nth);
        if (status != ST_STORE_OK) assert_null(other);
        st_store_close(other);
        atomic_store(&failing.failed, hurt);
      },
      assert_true(alive(1)));
}

static void a_store_is_opened_or_not(void **state) {
  (void)state;
  make_key(1, "", "a");
  fail_to_open(kinds_of_store() & ~(unsigned)FAIL_PREPARE, failing_step(2));
  if (kind->make == make_folder) fail_to_open(FAIL_PREPARE, failing_step(29));
}

/* Whole, or not there. The first calls make the tables, of which each fails. */
static void fail_to_make(unsigned kinds, long each, long step) {
  char beside[sizeof location];
  kind->locate(1, beside);
  int files = count_files();
  FAILING_EACH(
      kinds, nth < each ? 1 : step,
      {
        st_store *other = (st_store *)error;
        error[0] = '\0';
        failing_begin(kinds, nth);
        st_store_status status = st_store_open(beside, true, &other, error);
        bool hurt = failing_end();
        if (!hurt || status == ST_STORE_OK) assert_ok(status);
        if (status != ST_STORE_OK) assert_null(other);
        if (status != ST_STORE_OK) assert_told("make", nth);
        if (status != ST_STORE_OK) assert_ok(st_store_open(beside, true, &other, error));
        assert_true(st_store_ready(other, error));
        st_store_close(other);
        atomic_store(&failing.failed, hurt);
      },
      {
        if (kind->make == make_folder) {
          assert_int_equal(unlink(beside), 0);
          assert_int_equal(count_files(), files);
        } else {
          assert_int_equal(run_in_postgres(beside,
                                           "SET client_min_messages = error;"
                                           " DROP SCHEMA IF EXISTS subtoken CASCADE"),
                           0);
        }
      });
}

static void a_store_is_made_or_not(void **state) {
  (void)state;
  bool in_file = kind->make == make_folder;
  fail_to_make(kinds_of_store() & ~(unsigned)FAIL_PREPARE, in_file ? 40 : 0,
               failing_step(in_file ? 7 : 13));
  if (in_file) fail_to_make(FAIL_PREPARE, 12, failing_step(97));
  if (!in_file) fail_to_make(FAIL_TEXTS, 0, 1); /* each step of the schema */
}

/* The calls up to the end of a run that meets no failure. */
static long count_calls(unsigned kinds, st_store_status (*run)(const char *path),
                        const char *path) {
  long most = 1000000;
  failing_begin(kinds, most);
  assert_ok(run(path));
  long calls = most - atomic_load(&failing.left);
  assert_false(failing_end());
  assert_int_equal(unlink(path), 0);
  return calls;
}

static long step_of(long nth, long all, long step, long edge) {
  if (nth < edge / 4 || nth > all - edge) return 1;
  return nth + step < all - edge ? step : all - edge + 1 - nth;
}

/* run: into the file that is named; once it was written it is a store with all that was in it. Each
 * of the first calls fails, by which a moment is begun, and of the last, by which the file is
 * closed and put in place.
 */
static void assert_whole_or_nothing(const char *name, long step, long edge,
                                    st_store_status (*run)(const char *path)) {
  char path[sizeof location];
  unsigned kinds = kinds_of_store() | FAIL_SQLITE;
  snprintf(path, sizeof path, "%s/copy.db", folder);
  fill();
  int files = count_files();
  long all = count_calls(kinds, run, path);
  FAILING_EACH(
      kinds, step_of(nth, all, step, edge),
      {
        error[0] = '\0';
        failing_begin(kinds, nth);
        st_store_status status = run(path);
        bool hurt = failing_end();
        if (!hurt || status == ST_STORE_OK) assert_ok(status);
        if (status != ST_STORE_OK) {
          assert_told(name, nth);
          if (count_files() != files) fail_msg("%s, call %ld: a file is left", name, nth);
          assert_ok(run(path));
        }
        atomic_store(&failing.failed, hurt);
      },
      {
        st_store *copy = NULL;
        st_key key;
        assert_ok(st_store_open(path, false, &copy, error));
        assert_ok(st_store_by_digest(copy, digest_of(2), &key, error));
        st_store_close(copy);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(count_files(), files);
      });
}

static st_store_status copy(const char *path) {
  st_copy_report report;
  return st_store_copy(store, path, NULL, &report, error);
}

static st_store_status backup(const char *path) {
  return st_store_backup(store, path, NULL, error);
}

static void a_copy_is_whole_or_not_there(void **state) {
  (void)state;
  assert_whole_or_nothing("copy", failing_step(61), kind->make == make_folder ? 28 : 0, copy);
}

static void a_cache_is_made_or_not(void **state) {
  (void)state;
  st_key_cache *cache = NULL;
  for (long nth = 1; cache == NULL; nth++) {
    assert_true(nth < 20);
    failing_begin(FAIL_MEMORY, nth);
    cache = st_key_cache_new(ST_KEY_CACHE_MIN);
    assert_int_equal(failing_end(), cache == NULL);
  }
  assert_int_equal(st_key_cache_count(cache), 0);
  st_key_cache_free(cache);
}

static void without_memory_nothing_is_copied(void **state) {
  (void)state;
  char beside[sizeof location];
  st_store *other = NULL;
  st_copy_report report;
  kind->locate(1, beside);
  assert_ok(st_store_open(beside, true, &other, error));
  failing_begin(FAIL_MEMORY, 1);
  st_store_status status = st_copy_all(store, other, NULL, &report, error);
  assert_true(failing_end());
  st_store_close(other);
  assert_int_equal(status, ST_STORE_FAILED);
  assert_non_null(strstr(error, ": out of memory"));
}

static void a_backup_is_whole_or_not_there(void **state) {
  (void)state;
  bool in_file = kind->make == make_folder;
  assert_whole_or_nothing("backup", failing_step(in_file ? 3 : 61), 0, backup);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_store_is_opened_or_not),         TEST(a_store_is_made_or_not),
      TEST(a_copy_is_whole_or_not_there),     TEST(a_cache_is_made_or_not),
      TEST(without_memory_nothing_is_copied), TEST(a_backup_is_whole_or_not_there),
  };
  return RUN_ON_EVERY_STORE(tests);
}
