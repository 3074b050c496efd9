/* Private directories, whose files are trusted, and the lock on a directory. */
#include "file_fixture.h"

#include "failing.h"

#include <signal.h>
#include <time.h>

#include "os/directory.h"
#include "os/lock.h"
#include "os/owner.h"
#include "os/secret_file.h"

static void a_new_directory_is_private(void **state) {
  (void)state;
  const char *data = in_home("var");
  assert_refusal(st_directory_check(data, false, error), data, "No such file");
  mode_t old = umask(0);
  assert_true(st_directory_check(data, true, error));
  umask(old);
  assert_int_equal(mode_of(data), 0700);
  assert_true(st_directory_check(data, true, error));
  assert_true(st_directory_check(data, false, error));
  assert_int_equal(symlink(data, in_home("link")), 0);
  assert_true(st_directory_check(in_home("link"), true, error));
  assert_refusal(st_directory_check(in_home("no/var"), true, error), "no/var", "No such file");
}

static void an_open_directory_is_refused(void **state) {
  (void)state;
  static const mode_t modes[] = {0750, 0705, 0710, 0701, 0720, 0702, 0777};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    assert_int_equal(chmod(home, modes[i]), 0);
    assert_refusal(st_directory_check(home, true, error), home, "chmod 700");
    assert_int_equal(mode_of(home), modes[i]);
  }
  assert_int_equal(chmod(home, 0700), 0);
  spill(path, "x");
  assert_refusal(st_directory_check(path, true, error), path, "not a directory");
  if (geteuid() == 0) {
    assert_int_equal(chown(home, 12345, 0), 0);
    assert_refusal(st_directory_check(home, true, error), home, "belongs to user 12345");
  }
}

/* F3: as Kubernetes' fsGroup makes it. */
static void a_group_is_trusted_when_that_is_set(void **state) {
  (void)state;
  static const mode_t good[] = {02770, 0770, 0700, 0750}, bad[] = {0777, 02771, 0772, 0704};
  char data[32];
  size_t len;
  st_owner_trust_group(true);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(chmod(home, good[i]), 0);
    assert_true(st_directory_check(home, true, error));
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(chmod(home, bad[i]), 0);
    assert_refusal(st_directory_check(home, true, error), home, "chmod 2770");
  }
  spill(path, "secret");
  assert_int_equal(chmod(path, 0660), 0);
  assert_true(st_secret_file_read(path, data, sizeof data, &len, error));
  assert_int_equal(chmod(path, 0664), 0);
  assert_refusal(st_secret_file_read(path, data, sizeof data, &len, error), path, "chmod 600");
  if (geteuid() == 0) { /* somebody else's, for this group */
    assert_int_equal(chmod(home, 02770), 0);
    assert_int_equal(chown(home, 12345, getegid()), 0);
    assert_true(st_directory_check(home, true, error));
    assert_int_equal(chmod(home, 0750), 0);
    assert_refusal(st_directory_check(home, true, error), home, "belongs to user 12345");
    assert_int_equal(chown(home, 0, getegid()), 0);
  }
  st_owner_trust_group(false);
  assert_int_equal(chmod(home, 0770), 0);
  assert_refusal(st_directory_check(home, true, error), home, "data_group");
  assert_int_equal(chmod(path, 0660), 0);
  assert_refusal(st_secret_file_read(path, data, sizeof data, &len, error), path, "chmod 600");
  assert_int_equal(chmod(home, 0700), 0);
}

/* What a configuration in DATA has to be. */
static bool is_ours(const char *name) {
  int fd = open(name, O_PATH | O_CLOEXEC); /* whatever its mode */
  bool ours = st_owner_is_ours(fd, name);
  if (fd >= 0) close(fd);
  return ours;
}

static void a_file_is_ours_when_nobody_else_can_write_it(void **state) {
  (void)state;
  assert_false(is_ours(in_home("nothing")));
  assert_false(is_ours(home));
  spill(path, "x");
  for (mode_t mode = 0; mode <= 0777; mode++) {
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(is_ours(path), (mode & 022) == 0);
  }
  assert_int_equal(chmod(path, 0600), 0);
  assert_int_equal(symlink(path, in_home("link")), 0);
  assert_true(is_ours(in_home("link")));
  assert_int_equal(symlink("missing", in_home("dangling")), 0);
  assert_false(is_ours(in_home("dangling")));
  if (geteuid() == 0) {
    assert_int_equal(chown(path, 12345, getegid()), 0);
    assert_false(is_ours(in_home("link"))); /* ours, to a file that is not */
    assert_int_equal(chown(path, 0, getegid()), 0);
    pid_t child = fork();
    if (child == 0) { /* what is root's is as good as ours */
      REQUIRE(chmod(home, 0755) == 0 && seteuid(54321) == 0);
      REQUIRE(is_ours(path));
      _exit(0);
    }
    assert_child(child);
    assert_int_equal(lchown(in_home("link"), 12345, getegid()), 0);
    assert_false(is_ours(in_home("link"))); /* whoever made the link chose the file */
    assert_int_equal(chown(path, 12345, getegid()), 0);
    assert_false(is_ours(path));
    assert_int_equal(chown(path, 0, getegid()), 0);
  }
}

/* Whoever may rename it shows one file to a look at the name, and another one to the open. */
static void a_file_is_not_ours_by_the_name_of_another(void **state) {
  (void)state;
  spill(path, "x");
  assert_int_equal(symlink(path, in_home("link")), 0);
  int opened = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(st_owner_is_ours(opened, path));
  assert_true(st_owner_is_ours(opened, in_home("link")));
  assert_int_equal(rename(path, in_home("before")), 0);
  spill(path, "x");
  assert_false(st_owner_is_ours(opened, path));
  assert_false(st_owner_is_ours(opened, in_home("link")));
  assert_true(st_owner_is_ours(opened, in_home("before")));
  assert_int_equal(chmod(in_home("before"), 0620), 0);
  assert_false(st_owner_is_ours(opened, in_home("before")));
  close(opened);
}

static void a_lock_needs_no_file(void **state) {
  (void)state;
  int ready[2];
  char byte = 0;
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    struct timespec pause = {0, 100000000};
    int lock = st_lock_data_dir(home, error);
    REQUIRE(lock >= 0);
    REQUIRE(write(ready[1], "r", 1) == 1);
    nanosleep(&pause, NULL);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    REQUIRE(fd >= 0);
    st_lock_release(lock);
    _exit(0);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  int lock = st_lock_data_dir(home, error);
  assert_true(lock >= 0);
  assert_int_equal(access(path, F_OK), 0); /* the child was done */
  assert_int_equal(fcntl(lock, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  assert_child(child);
  st_lock_release(lock);
  assert_int_equal(count_files(), 1);
  lock = st_lock_data_dir(home, error); /* unlocked, or this would wait */
  st_lock_release(lock);
  st_lock_release(-1);
  assert_refusal(st_lock_data_dir(in_home("none"), error) >= 0, "none", "cannot lock");
  assert_refusal(st_lock_data_dir(path, error) >= 0, path, "cannot lock");
  close(ready[0]);
  close(ready[1]);
}

static void the_lock_of_a_killed_process_is_free(void **state) {
  (void)state;
  int ready[2];
  char byte = 0;
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    REQUIRE(st_lock_data_dir(home, error) >= 0);
    REQUIRE(write(ready[1], "r", 1) == 1);
    pause();
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, NULL, 0), child);
  int lock = st_lock_data_dir(home, error);
  assert_true(lock >= 0);
  st_lock_release(lock);
  close(ready[0]);
  close(ready[1]);
}

static void one_process_at_a_time_claims_a_file(void **state) {
  (void)state;
  int one = st_lock_claim(path, error);
  assert_true(one >= 0);
  assert_int_equal(mode_of(path), 0600);
  assert_int_equal(st_lock_claim(path, error), -1);
  assert_non_null(strstr(error, "another process has locked"));
  st_lock_release(one);
  one = st_lock_claim(path, error);
  assert_true(one >= 0);
  st_lock_release(one);
  snprintf(path, sizeof path, "%s/missing/file", home);
  assert_int_equal(st_lock_claim(path, error), -1);
  assert_non_null(strstr(error, "cannot lock"));
}

/* As statvfs(3) says it, for us: root may take what is kept back from others. */
static void the_room_of_a_disk_is_told(void **state) {
  (void)state;
  assert_true(st_directory_room(home) > 0);
  assert_int_equal(st_directory_room("/proc"), 0);
  assert_int_equal(st_directory_room(in_home("none")), -1);
  if (geteuid() == 0) {
    pid_t child = fork();
    if (child == 0) {
      struct statvfs disk;
      REQUIRE(seteuid(54321) == 0 && statvfs("/", &disk) == 0);
      /* It is not ours alone: others write to it meanwhile. */
      int64_t least = (int64_t)(disk.f_bavail * disk.f_frsize) - (INT64_C(1) << 30);
      REQUIRE(st_directory_room("/") >= least);
      REQUIRE(disk.f_bavail > 0 || st_directory_room("/") == 0);
      _exit(0);
    }
    assert_child(child);
  }
}

/* A file system may say anything: no number of it overflows. */
static void the_room_of_a_strange_disk_is_bounded(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    failing_fill = i == 0 ? 0 : (char)0x7f;
    failing_begin(FAIL_LIES, 1);
    int64_t room = st_directory_room(home);
    assert_true(failing_end());
    assert_int_equal(room, i == 0 ? 0 : INT64_MAX);
  }
  failing_fill = 0;
}

static void a_directory_is_named_by_what_is_in_it(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"file", "."}, {"/file", "/"}, {"/", "/"}, {"a/file", "a"}, {"/a/b/file", "/a/b"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char *of = st_directory_of(rows[i][0]);
    assert_string_equal(of, rows[i][1]);
    free(of);
  }
  assert_true(st_directory_exists(home));
  assert_false(st_directory_exists(path));
  spill(path, "x");
  assert_false(st_directory_exists(path));
  st_directory_remove(home); /* it is not empty */
  assert_true(st_directory_exists(home));
  assert_int_equal(mkdir(in_home("empty"), 0700), 0);
  st_directory_remove(in_home("empty"));
  assert_false(st_directory_exists(in_home("empty")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_new_directory_is_private),
      TEST(an_open_directory_is_refused),
      TEST(a_group_is_trusted_when_that_is_set),
      TEST(a_file_is_ours_when_nobody_else_can_write_it),
      TEST(a_file_is_not_ours_by_the_name_of_another),
      TEST(the_room_of_a_disk_is_told),
      TEST(the_room_of_a_strange_disk_is_bounded),
      TEST(a_directory_is_named_by_what_is_in_it),
      TEST(a_lock_needs_no_file),
      TEST(the_lock_of_a_killed_process_is_free),
      TEST(one_process_at_a_time_claims_a_file),
  };
  return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
