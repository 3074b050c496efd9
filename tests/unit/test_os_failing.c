/* Files, directories and locks while a call of the system fails (failing.h): what is put in place
 * is there whole or not at all, what was there stays, nothing is left beside it, no more may read
 * it than before, and the error names the file. A call that is interrupted fails nothing.
 */
#include "file_fixture.h"

#include "failing.h"
#include "os/directory.h"
#include "os/lock.h"
#include "os/log.h"
#include "os/process_stats.h"
#include "os/replace.h"
#include "os/secret_file.h"

#define KINDS (FAIL_FILES | FAIL_MEMORY)

static void assert_named(void) {
  size_t len = strlen(error);
  if (strstr(error, home) == NULL || error[len - 1] == ' ' || strstr(error, "Success") != NULL) {
    fail_msg("the error says: \"%s\"", error);
  }
}

/* ---- put in place ---- */

static bool put_own(void) {
  return st_replace_file(path, "new", 3, error);
}

static bool put_shared(void) {
  return st_replace_shared(path, NULL, NULL, "new", 3, error) && st_replace_sync(path, error);
}

/* Whatever fails of the spare, the file is put in place without it. */
static bool put_by_spare(void) {
  static char name[sizeof path + 8];
  const st_spare spare = {.path = name, .extra = 1};
  snprintf(name, sizeof name, "%s.spare", path);
  st_spare_make(&spare, 3);
  bool ok = st_replace_with_spare(path, &spare, "new", 3, error);
  (void)unlink(name); /* it has one or not */
  return ok;
}

/* before: what is there already, for its owner alone; NULL: nothing. */
static void put_under(unsigned kinds, bool (*put)(void), const char *before) {
  bool ok = false;
  FAILING_EACH(
      kinds, 1,
      {
        failing_end();
        (void)unlink(path);
        if (before != NULL) spill(path, before);
        error[0] = '\0';
        failing_begin(kinds, nth);
        ok = put();
      },
      {
        assert_true(ok || failed);
        assert_true(ok || kinds != FAIL_SIGNALS);
        if (!ok) assert_named();
        if (ok || (st_file_exists(path) && mode_of(path) != 0600)) assert_holds(path, "new");
        if (before != NULL) assert_int_equal(mode_of(path) & 0077, 0);
        if (before != NULL) assert_true(st_file_exists(path));
        assert_int_equal(count_files(), st_file_exists(path));
        assert_true(put());
        assert_holds(path, "new");
      });
}

static void a_file_is_put_in_place_or_not(void **state) {
  (void)state;
  put_under(KINDS, put_own, NULL);
  put_under(KINDS, put_own, "old");
  put_under(KINDS, put_shared, NULL);
  put_under(KINDS, put_shared, "old");
  put_under(KINDS, put_by_spare, NULL);
  put_under(KINDS, put_by_spare, "old");
  put_under(FAIL_SIGNALS, put_own, "old");
  put_under(FAIL_SIGNALS, put_by_spare, "old");
  put_under(FAIL_SIGNALS, put_shared, "old");
}

static void a_new_file_replaces_none(void **state) {
  (void)state;
  bool ok = false;
  FAILING_EACH(
      KINDS, 1,
      {
        failing_end();
        (void)unlink(path);
        error[0] = '\0';
        failing_begin(KINDS, nth);
        ok = st_replace_create(path, "new", 3, error);
      },
      {
        assert_true(ok || failed);
        if (!ok) assert_named();
        if (ok) assert_holds(path, "new");
        assert_int_equal(count_files(), st_file_exists(path));
        if (ok) assert_false(st_replace_create(path, "other", 5, error));
        if (ok) assert_holds(path, "new");
      });
}

static bool fill(void *context, const char *temporary, char *told) {
  (void)context, (void)told;
  failing_here = false; /* what the callback itself does */
  spill(temporary, "filled");
  failing_here = true;
  return true;
}

static void a_filled_file_is_there_or_not(void **state) {
  (void)state;
  static const char *const suffixes[] = {"-journal", NULL};
  bool ok = false, exists = false;
  FAILING_EACH(
      KINDS & ~FAIL_MEMORY, 1,
      {
        failing_end();
        (void)unlink(path);
        error[0] = '\0';
        failing_begin(KINDS & ~FAIL_MEMORY, nth);
        ok = st_replace_fill_new(path, suffixes, fill, NULL, &exists, error);
      },
      {
        assert_true(ok || failed);
        assert_false(exists);
        if (!ok) assert_named();
        if (ok) assert_holds(path, "filled");
        assert_int_equal(count_files(), ok);
      });
}

static void sweeping_removes_or_leaves(void **state) {
  (void)state;
  char left[320];
  snprintf(left, sizeof left, "%s.new-abcdef", path);
  FAILING_EACH(
      KINDS, 1,
      {
        failing_end();
        spill(path, "new");
        spill(left, "a part");
        failing_begin(KINDS, nth);
        st_replace_sweep(path);
      },
      {
        assert_holds(path, "new");
        if (!failed) assert_int_equal(count_files(), 1);
        st_replace_sweep(path);
        assert_int_equal(count_files(), 1);
      });
}

/* ---- read ---- */

static bool read_it(void) {
  char data[100];
  size_t len = 77;
  bool ok = st_file_read(path, data, sizeof data, &len, error);
  assert_int_equal(len, ok ? 6 : 0);
  if (ok) assert_memory_equal(data, "secret", 6);
  return ok;
}

static bool read_secret(void) {
  char data[100];
  size_t len = 77;
  memset(data, 'x', sizeof data);
  bool ok = st_secret_file_read(path, data, sizeof data, &len, error);
  assert_int_equal(len, ok ? 6 : 0);
  if (!ok) assert_null(memchr(data, 's', sizeof data)); /* no part of it stays behind */
  return ok;
}

static bool load_it(void) {
  uint8_t *bytes = (uint8_t *)error;
  size_t len = 77;
  st_file_stamp stamp;
  bool ok = st_file_load(path, 100, &bytes, &len, &stamp, error);
  assert_int_equal(len, ok ? 6 : 0);
  if (!ok) assert_null(bytes);
  free(bytes);
  return ok;
}

static bool check_directory(void) {
  return st_directory_check(home, false, error);
}

static bool lock_directory(void) {
  int lock = st_lock_data_dir(home, error);
  st_lock_release(lock);
  return lock >= 0;
}

static bool claim(void) {
  int lock = st_lock_claim(in_home("lock"), error);
  st_lock_release(lock);
  return lock >= 0;
}

static void what_is_read_is_whole_or_nothing(void **state) {
  (void)state;
  bool (*const all[])(void) = {read_it,         read_secret,    load_it,
                               check_directory, lock_directory, claim};
  spill(path, "secret");
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    for (int signals = 0; signals < 2; signals++) {
      unsigned kinds = signals ? FAIL_SIGNALS : KINDS;
      bool ok = false;
      FAILING_EACH(
          kinds, 1,
          {
            error[0] = '\0';
            ok = all[i]();
          },
          {
            if (signals || !failed) assert_true(ok);
            if (!ok) assert_named();
            assert_true(all[i]());
          });
    }
  }
}

static void a_directory_is_made_or_not(void **state) {
  (void)state;
  const char *made = in_home("data");
  bool ok = false;
  FAILING_EACH(
      KINDS, 1,
      {
        (void)rmdir(made);
        error[0] = '\0';
        ok = st_directory_check(made, true, error);
      },
      {
        assert_true(ok || failed);
        if (!ok) assert_named();
        assert_int_equal(st_directory_exists(made), ok);
      });
}

static void what_the_system_does_not_tell_is_none(void **state) {
  (void)state;
  st_process_stats stats;
  failing_begin(FAIL_FILES, 1); /* opendir */
  st_process_stats_read(&stats);
  assert_true(failing_end());
  assert_int_equal(stats.open_files, -1);
  st_process_stats_read(&stats);
  assert_true(stats.open_files > 0 && stats.threads > 0 && stats.cpu_seconds >= 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_file_is_put_in_place_or_not, make_home, remove_home),
      cmocka_unit_test_setup_teardown(a_new_file_replaces_none, make_home, remove_home),
      cmocka_unit_test_setup_teardown(a_filled_file_is_there_or_not, make_home, remove_home),
      cmocka_unit_test_setup_teardown(sweeping_removes_or_leaves, make_home, remove_home),
      cmocka_unit_test_setup_teardown(what_is_read_is_whole_or_nothing, make_home, remove_home),
      cmocka_unit_test_setup_teardown(a_directory_is_made_or_not, make_home, remove_home),
      cmocka_unit_test(what_the_system_does_not_tell_is_none),
  };
  return cmocka_run_group_tests_name("os failing", tests, NULL, NULL);
}
