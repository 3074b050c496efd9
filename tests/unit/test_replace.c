/* Putting files in place, whole or not at all. */
#include "file_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "os/directory.h"
#include "os/replace.h"

static bool replace(const char *name, const char *text, bool only_new) {
  return only_new ? st_replace_create(name, text, strlen(text), error)
                  : st_replace_file(name, text, strlen(text), error);
}

static void a_file_is_replaced(void **state) {
  (void)state;
  mode_t old = umask(0);
  assert_true(replace(path, "one", false));
  umask(old);
  assert_int_equal(mode_of(path), 0600);
  assert_holds(path, "one");
  assert_true(replace(path, "", false));
  assert_holds(path, "");
  assert_int_equal(chmod(path, 0666), 0);
  assert_true(replace(path, "three", false));
  assert_int_equal(mode_of(path), 0640); /* what others were given is taken back */
  assert_holds(path, "three");
  assert_int_equal(chdir(home), 0);
  assert_true(replace("file", "here", false));
  assert_true(replace("new", "there", true));
  assert_int_equal(chdir("/"), 0);
  assert_holds(path, "here");
  assert_holds(in_home("new"), "there");
  assert_int_equal(count_files(), 2);
  assert_int_equal(mkfifo(in_home("fifo"), 0600), 0);
  assert_refusal(replace(in_home("fifo"), "x", false), "fifo", "Invalid argument");
}

/* Who may not give the group what it had must not lock it out: nothing is replaced. */
static void a_group_that_cannot_be_kept_keeps_the_file(void **state) {
  (void)state;
  if (geteuid() != 0) skip(); /* there is nobody else to be */
  assert_true(replace(path, "old", false));
  assert_int_equal(chown(path, 54321, 4321), 0);
  assert_int_equal(chmod(path, 0640), 0);
  assert_int_equal(chown(home, 54321, 0), 0);
  pid_t child = fork();
  if (child == 0) {
    REQUIRE(seteuid(54321) == 0);
    REQUIRE(!replace(path, "new", false) && strstr(error, "not permitted") != NULL);
    REQUIRE(!st_replace_shared(path, NULL, NULL, "new", 3, error));
    REQUIRE(chown(path, (uid_t)-1, getegid()) == 0); /* its own, which it may give */
    REQUIRE(replace(path, "new", false));
    _exit(0);
  }
  assert_child(child);
  assert_holds(path, "new");
  assert_int_equal(mode_of(path), 0640);
  assert_int_equal(count_files(), 1);
}

static void a_group_that_reads_goes_on_reading(void **state) {
  (void)state;
  struct stat status;
  assert_true(replace(path, "one", false));
  assert_int_equal(chmod(path, 0640), 0);
  if (geteuid() == 0) {
    assert_int_equal(chown(path, (uid_t)-1, 4321), 0);
  }
  assert_true(replace(path, "two", false));
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0640);
  if (geteuid() == 0) {
    assert_int_equal(status.st_gid, 4321);
  }
  assert_int_equal(chmod(path, 0400), 0);
  assert_true(replace(path, "three", false));
  assert_int_equal(mode_of(path), 0600);
}

/* What others read is made for the group, and keeps what it was allowed. */
static void a_shared_file_keeps_its_permissions(void **state) {
  (void)state;
  static const struct {
    mode_t before, after;
  } rows[] = {{0640, 0640}, {0644, 0644}, {0600, 0600}, {0666, 0644}, {0440, 0640}, {0777, 0644}};
  struct stat status;
  mode_t mask = umask(077);
  assert_true(st_replace_shared(path, NULL, NULL, "one", 3, error));
  assert_int_equal(mode_of(path), 0640);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    assert_int_equal(chmod(path, rows[i].before), 0);
    if (geteuid() == 0) assert_int_equal(chown(path, (uid_t)-1, 4321), 0);
    assert_true(st_replace_shared(path, NULL, NULL, "two", 3, error));
    assert_int_equal(mode_of(path), rows[i].after);
    assert_int_equal(stat(path, &status), 0);
    if (geteuid() == 0) assert_int_equal(status.st_gid, 4321);
  }
  (void)umask(mask);
  assert_int_equal(remove(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_false(st_replace_shared(path, NULL, NULL, "three", 5, error));
  assert_non_null(strstr(error, "cannot write"));
}

static void a_link_is_followed(void **state) {
  (void)state;
  char target[100] = {0};
  assert_int_equal(mkdir(in_home("sub"), 0700), 0);
  spill(in_home("sub/real"), "old");
  assert_int_equal(symlink("sub/real", in_home("middle")), 0);
  assert_int_equal(symlink("middle", path), 0);
  assert_true(replace(path, "new", false));
  assert_int_equal(readlink(path, target, sizeof target - 1), 6);
  assert_string_equal(target, "middle");
  assert_holds(in_home("sub/real"), "new");
  assert_refusal(replace(path, "x", true), "real", "already exists");
  assert_int_equal(unlink(in_home("sub/real")), 0);
  assert_refusal(replace(path, "x", false), path, "symbolic link");
  assert_refusal(replace(path, "x", true), path, "symbolic link");
  assert_int_equal(count_files(), 3);
}

static void a_file_is_created_once(void **state) {
  (void)state;
  assert_true(replace(path, "first", true));
  assert_int_equal(mode_of(path), 0600);
  assert_refusal(replace(path, "second", true), path, "already exists");
  assert_holds(path, "first");
  assert_int_equal(count_files(), 1);
}

static void one_process_creates_a_file(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    int start[2], won = 0;
    pid_t children[6];
    char text[2] = "?", data[8], byte;
    size_t len = 0;
    assert_int_equal(pipe(start), 0);
    for (int i = 0; i < 6; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        close(start[1]);
        text[0] = (char)('a' + i);
        REQUIRE(read(start[0], &byte, 1) == 0);
        _exit(replace(path, text, true) ? 7 : 8);
      }
    }
    close(start[0]);
    close(start[1]);
    for (int i = 0; i < 6; i++) {
      int status = -1;
      assert_int_equal(waitpid(children[i], &status, 0), children[i]);
      assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 7 || WEXITSTATUS(status) == 8));
      if (WEXITSTATUS(status) == 7) {
        text[0] = (char)('a' + i);
        won++;
      }
    }
    assert_int_equal(won, 1);
    assert_true(st_file_read(path, data, sizeof data, &len, error));
    assert_int_equal(len, 1);
    assert_int_equal(data[0], text[0]);
    assert_int_equal(count_files(), 1);
    assert_int_equal(unlink(path), 0);
  }
}

static void *replace_often(void *argument) {
  char data[5000], text[ST_ERROR_MAX];
  bool *ok = argument;
  for (int i = 0; i < 200; i++) {
    memset(data, 'a' + i % 26, sizeof data);
    *ok = *ok && st_replace_file(path, data, sizeof data, text);
  }
  return NULL;
}

static void a_reader_sees_one_version_or_the_other(void **state) {
  (void)state;
  pthread_t thread;
  bool ok = true;
  char data[5000];
  size_t len = 0;
  memset(data, 'a', sizeof data);
  assert_true(st_replace_file(path, data, sizeof data, error));
  assert_int_equal(pthread_create(&thread, NULL, replace_often, &ok), 0);
  for (int i = 0; i < 2000; i++) {
    assert_true(st_file_read(path, data, sizeof data, &len, error));
    assert_int_equal(len, sizeof data);
    assert_int_equal(memcmp(data, data + 1, sizeof data - 1), 0);
  }
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_true(ok);
  assert_int_equal(count_files(), 1);
}

static void a_failed_write_changes_nothing(void **state) {
  (void)state;
  assert_true(replace(path, "precious", false));
  pid_t child = fork();
  if (child == 0) {
    static char data[5000];
    const struct rlimit limit = {1000, 1000};
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    for (int only_new = 0; only_new < 2; only_new++) {
      const char *name = only_new ? in_home("new") : path;
      error[0] = 0;
      REQUIRE(only_new ? !st_replace_create(name, data, sizeof data, error)
                       : !st_replace_file(name, data, sizeof data, error));
      REQUIRE(strstr(error, name) != NULL && strstr(error, "cannot write") != NULL);
      REQUIRE(strstr(error, "File too large") != NULL);
    }
    _exit(0);
  }
  assert_child(child);
  assert_holds(path, "precious");
  assert_int_equal(count_files(), 1);
  assert_refusal(replace(in_home("no/file"), "x", false), "no/file", "No such file");
  assert_refusal(replace(home, "x", false), home, "cannot write");
  assert_int_equal(count_files(), 1);
}

static void long_names_fit_the_sentence(void **state) {
  (void)state;
  char name[3000];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = 0;
  assert_refusal(replace(name, "x", false), "nnnn", "File name too long");
  assert_refusal(st_directory_check(name, true, error), "nnnn", "File name too long");
}

/* What a killed replace leaves goes; what looks like it, a backup by hand, stays. */
static void only_leftovers_are_swept(void **state) {
  (void)state;
  static const char *const stay[] = {"file",           "file.backup",      "file.new",
                                     "file.new-12345", "file.new-1234567", "other.new-123456",
                                     "file.old-123456"};
  for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) {
    spill(in_home(stay[i]), "x");
  }
  spill(in_home("file.new-a1B2c3"), "a secret");
  spill(in_home("file.new-zzzzzz"), "a secret");
  st_replace_sweep(path);
  assert_int_equal(count_files(), sizeof stay / sizeof *stay);
  for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) {
    assert_int_equal(access(in_home(stay[i]), F_OK), 0);
  }
}

static const char *const beside[] = {"-journal", NULL};

static bool filled;

/* Writes the file, and one beside it, as a database does. */
static bool fill(void *context, const char *temporary, char *text) {
  char other[400];
  (void)text;
  assert_int_equal(mode_of(temporary), 0600);
  snprintf(other, sizeof other, "%s-journal", temporary);
  spill(temporary, "complete");
  filled = context != NULL; /* and it succeeds */
  if (!filled) spill(other, "half");
  return filled || st_error_set(text, "%s cannot be filled", path);
}

static void a_callback_writes_a_file(void **state) {
  (void)state;
  bool exists = true;
  assert_true(st_replace_fill_new(path, beside, fill, home, &exists, error));
  assert_false(exists);
  assert_holds(path, "complete");
  assert_int_equal(mode_of(path), 0600);
  assert_int_equal(count_files(), 1);
  assert_refusal(st_replace_fill_new(path, beside, fill, home, &exists, error), path,
                 "File exists");
  assert_true(exists);
  assert_int_equal(count_files(), 1);
  assert_int_equal(chdir(home), 0);
  assert_true(st_replace_fill_new("near", beside, fill, home, &exists, error));
  assert_int_equal(chdir("/"), 0);
  assert_holds(in_home("near"), "complete");
}

static void a_callback_that_fails_leaves_nothing(void **state) {
  (void)state;
  bool exists = true;
  assert_refusal(st_replace_fill_new(path, beside, fill, NULL, &exists, error), path, "filled");
  assert_false(exists);
  assert_int_equal(count_files(), 0);
  assert_refusal(st_replace_fill_new(in_home("no/file"), beside, fill, home, &exists, error),
                 "no/file", "No such file");
}

/* Also what lies beside the temporary file; only of this name, and not while another makes one. */
static void a_callback_finds_no_leftovers(void **state) {
  (void)state;
  static const char *const stay[] = {"other.subtoken-123456", "file.subtoken-123456-wal",
                                     "file.subtoken-12345"};
  bool exists;
  for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) spill(in_home(stay[i]), "x");
  spill(in_home("file.subtoken-a1B2c3"), "x");
  spill(in_home("file.subtoken-a1B2c3-journal"), "x");
  int shared = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct flock making = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  assert_int_equal(fcntl(shared, F_OFD_SETLK, &making), 0);
  assert_true(st_replace_fill_new(in_home("other"), beside, fill, home, &exists, error));
  assert_int_equal(count_files(), sizeof stay / sizeof *stay + 3);
  close(shared);
  assert_true(st_replace_fill_new(path, beside, fill, home, &exists, error));
  assert_int_equal(count_files(), sizeof stay / sizeof *stay + 2);
}

static bool fill_beside_another(void *name, const char *temporary, char *why) {
  int other = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool free = flock(other, LOCK_EX | LOCK_NB) == 0;
  close(other);
  return free && fill(name, temporary, why);
}

/* A backup into DATA takes long, and who changes the ring meanwhile locks DATA. */
static void a_callback_does_not_lock_the_directory(void **state) {
  (void)state;
  bool exists;
  assert_true(st_replace_fill_new(path, beside, fill_beside_another, home, &exists, error));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_file_is_replaced),
      TEST(a_group_that_reads_goes_on_reading),
      TEST(a_group_that_cannot_be_kept_keeps_the_file),
      TEST(a_shared_file_keeps_its_permissions),
      TEST(a_link_is_followed),
      TEST(a_file_is_created_once),
      TEST(one_process_creates_a_file),
      TEST(a_reader_sees_one_version_or_the_other),
      TEST(a_failed_write_changes_nothing),
      TEST(long_names_fit_the_sentence),
      TEST(only_leftovers_are_swept),
      TEST(a_callback_writes_a_file),
      TEST(a_callback_that_fails_leaves_nothing),
      TEST(a_callback_finds_no_leftovers),
      TEST(a_callback_does_not_lock_the_directory),
  };
  return cmocka_run_group_tests_name("replace", tests, NULL, NULL);
}
