/* Files, directories and locks while a call of the system fails (failing.h): what is put in place
 * is there whole or not at all, what was there stays, nothing is left beside it, no more may read
 * it than before, and the error names the file. A call that is interrupted fails nothing.
 */
#include "file_fixture.h"

#include "failing.h"
#include "os/directory.h"
#include "os/lock.h"
#include "os/notify.h"
#include "os/owner.h"
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
  for (int trusted = 0; trusted < 2; trusted++) {
    st_owner_trust_group(trusted);
    put_under(KINDS, put_own, NULL);
    put_under(KINDS, put_own, "old");
    put_under(KINDS, put_shared, NULL);
    put_under(KINDS, put_shared, "old");
  }
  st_owner_trust_group(false);
  /* What a file system says of room that it does not have, or of names that it cannot change. */
  static const int codes[] = {0, ENOSPC, EDQUOT, EINTR, ENOENT, ENOSYS};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    failing_files = codes[i];
    put_under(FAIL_FILES, put_by_spare, "old");
  }
  failing_files = 0;
  put_under(KINDS, put_by_spare, NULL);
  put_under(KINDS, put_by_spare, "old");
  put_under(FAIL_SIGNALS, put_own, "old");
  put_under(FAIL_SIGNALS, put_by_spare, "old");
  put_under(FAIL_SIGNALS, put_shared, "old");
}

/* One call, or two in a row. */
static void create_under(int code, long burst) {
  bool ok = false;
  failing_files = code;
  FAILING_EACH(
      KINDS, 1,
      {
        failing_end();
        (void)unlink(path);
        error[0] = '\0';
        failing_begin(KINDS, nth);
        atomic_store(&failing.burst, burst);
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
  failing_files = 0;
}

static void a_new_file_replaces_none(void **state) {
  (void)state;
  create_under(0, 0);
  create_under(0, 1);
  create_under(ENOSYS, 0);
}

/* What is mounted at a name cannot be replaced, but what it is in can be mounted. */
static void a_mount_point_is_told(void **state) {
  (void)state;
  bool ok = false, told = false;
  failing_files = EBUSY;
  FAILING_EACH(FAIL_FILES, 1, ok = st_replace_file(path, "new", 3, error),
               if (!ok) told = told || strstr(error, "mount its directory") != NULL);
  failing_files = 0;
  assert_true(told);
}

/* Whatever fails, what the spare is cut to is what is read. */
static void a_spare_is_cut_or_not_used(void **state) {
  (void)state;
  const st_spare spare = {.path = in_home("a-spare"), .extra = 1};
  bool ok = false;
  FAILING_EACH(
      FAIL_FILES, 1,
      {
        failing_end();
        (void)unlink(spare.path);
        assert_true(st_replace_file(path, "long before", 11, error));
        st_spare_make(&spare, 11);
        assert_true(st_replace_with_spare(path, &spare, "between", 7, error));
        failing_begin(FAIL_FILES, nth);
        ok = st_replace_with_spare(path, &spare, "new", 3, error);
        st_spare_make(&spare, 3);
      },
      {
        assert_true(ok || failed);
        /* Written, but perhaps not for good: the directory could not be synced. */
        assert_holds(path, ok || strstr(error, "is written") != NULL ? "new" : "between");
      });
}

/* The room of a spare that is in use is not given up while there is none for another. */
static void a_spare_in_use_stays_on_a_full_disk(void **state) {
  (void)state;
  const st_spare spare = {.path = in_home("a-spare"), .extra = 1};
  struct stat before, after;
  st_spare_make(&spare, 3);
  if (lstat(spare.path, &before) != 0) skip();
  int held = open(spare.path, O_RDONLY | O_CLOEXEC);
  failing_fill = 0;
  failing_begin(FAIL_LIES, 1);
  st_spare_make(&spare, 3);
  assert_true(failing_end());
  assert_int_equal(lstat(spare.path, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  assert_int_equal(mkfifo(in_home("fifo"), 0600), 0);
  assert_int_equal(symlink("missing", in_home("dangling")), 0);
  assert_refusal(st_replace_move(spare.path, in_home("fifo"), &spare, error), "a-spare", "rename");
  assert_refusal(st_replace_move(spare.path, in_home("dangling"), &spare, error), "dangling",
                 "symbolic link");
  assert_int_equal(lstat(spare.path, &after), 0);
  close(held);
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
      KINDS, 1,
      {
        failing_end();
        (void)unlink(path);
        error[0] = '\0';
        failing_begin(KINDS, nth);
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

/* Somebody says for longer than it takes that he removes: that is not waited for. */
static void a_file_is_filled_beside_a_lock(void **state) {
  (void)state;
  static const char *const suffixes[] = {"-journal", NULL};
  bool exists = false;
  int lock = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct flock removing = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
  assert_int_equal(fcntl(lock, F_OFD_SETLK, &removing), 0);
  failing_begin(FAIL_PAUSES, 1);
  atomic_store(&failing.burst, 100000);
  bool ok = st_replace_fill_new(path, suffixes, fill, NULL, &exists, error);
  assert_true(failing_end() && ok);
  assert_holds(path, "filled");
  close(lock);
}

static void sweep_under(long burst) {
  char left[320];
  snprintf(left, sizeof left, "%s.new-abcdef", path);
  FAILING_EACH(
      KINDS, 1,
      {
        failing_end();
        spill(path, "new");
        spill(left, "a part");
        failing_begin(KINDS, nth);
        atomic_store(&failing.burst, burst);
        st_replace_sweep(path);
      },
      {
        assert_holds(path, "new");
        if (!failed) assert_int_equal(count_files(), 1);
        st_replace_sweep(path);
        assert_int_equal(count_files(), 1);
      });
}

static void sweeping_removes_or_leaves(void **state) {
  (void)state;
  sweep_under(0);
  sweep_under(1);
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

/* systemd may restart who does not tell it that it is alive; the rest goes on. */
static void who_cannot_tell_systemd_goes_on(void **state) {
  (void)state;
  unsetenv("NOTIFY_SOCKET");
  st_notify_start();
  st_notify_ready(); /* to nobody */
  setenv("NOTIFY_SOCKET", path, 1);
  st_notify_start();
  FAILING_EACH(FAIL_SOCKETS, 1, st_notify_ready(), {});
  unsetenv("NOTIFY_SOCKET");
  st_notify_start();
}

static st_process_stats stats_of(const char *text) {
  st_process_stats stats;
  failing_text = text;
  failing_begin(FAIL_LIES, 1);
  st_process_stats_read(&stats);
  assert_true(failing_end());
  failing_text = NULL;
  return stats;
}

/* As a sandbox may show it; and a name of a process may look like the fields behind it. */
static void what_the_system_tells_otherwise_is_none(void **state) {
  (void)state;
  static const char *const rows[] = {"\n", "1 (x", "1 (x) R 2 3\n",
                                     "1 (x) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 a b c d e"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    st_process_stats stats = stats_of(rows[i]);
    assert_true(stats.threads == -1 && stats.virtual_bytes == -1 && stats.resident_bytes == -1);
    assert_true(stats.open_files > 0);
  }
  st_process_stats stats =
      stats_of("1 (x) R 99 ) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25\n");
  assert_int_equal(stats.threads, 20);
  assert_int_equal(stats.virtual_bytes, 23);
  assert_int_equal(stats.resident_bytes, 24 * sysconf(_SC_PAGESIZE));
}

static void what_the_system_does_not_tell_is_none(void **state) {
  (void)state;
  st_process_stats stats;
  failing_begin(FAIL_FILES, 2); /* fopen */
  st_process_stats_read(&stats);
  assert_true(failing_end());
  assert_true(stats.threads == -1 && stats.open_files > 0);
  failing_begin(FAIL_FILES, 1); /* opendir */
  st_process_stats_read(&stats);
  assert_true(failing_end());
  assert_int_equal(stats.open_files, -1);
  st_process_stats_read(&stats);
  assert_true(stats.open_files > 0 && stats.threads > 0 && stats.cpu_seconds >= 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_file_is_put_in_place_or_not),
      TEST(a_new_file_replaces_none),
      TEST(a_filled_file_is_there_or_not),
      TEST(sweeping_removes_or_leaves),
      TEST(what_is_read_is_whole_or_nothing),
      TEST(a_directory_is_made_or_not),
      TEST(a_mount_point_is_told),
      TEST(a_spare_is_cut_or_not_used),
      TEST(a_spare_in_use_stays_on_a_full_disk),
      TEST(a_file_is_filled_beside_a_lock),
      TEST(who_cannot_tell_systemd_goes_on),
      cmocka_unit_test(what_the_system_does_not_tell_is_none),
      cmocka_unit_test(what_the_system_tells_otherwise_is_none),
  };
  return cmocka_run_group_tests_name("os failing", tests, NULL, NULL);
}
