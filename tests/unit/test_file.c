/* Time, randomness, files and the process. Files are made in a directory of the
 * test's own.
 */
#include "os/clock.h"
#include "os/directory.h"
#include "os/error.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/owner.h"
#include "os/process.h"
#include "os/random.h"
#include "os/replace.h"
#include "os/secret_file.h"
#include "os/terminal.h"

#include "run_tests.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In a child, where cmocka's assertions must not be used. */
#define REQUIRE(condition)                                            \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1);                                                       \
    }                                                                 \
  } while (0)

static char home[256]; /* made anew for each test */
static char path[300]; /* of a file in it */
static char error[ST_ERROR_MAX];

/* ---- Helpers ---- */

static int remove_one(const char *name, const struct stat *status, int type, struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(name);
}

static int make_home(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-world-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) {
    return -1;
  }
  snprintf(path, sizeof path, "%s/file", home);
  memset(error, 0, sizeof error);
  return 0;
}

static int remove_home(void **state) {
  (void)state;
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static char *in_home(const char *name) {
  static char paths[4][400];
  static unsigned next;
  char *full = paths[next++ % 4];
  snprintf(full, sizeof paths[0], "%s/%s", home, name);
  return full;
}

static int count_files(void) {
  DIR *dir = opendir(home);
  int count = -2; /* . and .. */
  assert_non_null(dir);
  while (readdir(dir) != NULL) {
    count++;
  }
  closedir(dir);
  return count;
}

static void spill(const char *name, const char *text) {
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static void assert_holds(const char *name, const char *text) {
  char data[100];
  size_t len = 99;
  if (!st_file_read(name, data, sizeof data, &len, error)) {
    fail_msg("%s", error);
  }
  assert_int_equal(len, strlen(text));
  assert_memory_equal(data, text, len);
}

/* It said no, and about which file and error. */
static void assert_refusal(bool ok, const char *name, const char *text) {
  assert_false(ok);
  if (strstr(error, name) == NULL || strstr(error, text) == NULL) {
    fail_msg("\"%s\" does not name \"%s\" and say \"%s\"", error, name, text);
  }
  error[0] = 0;
}

static mode_t mode_of(const char *name) {
  struct stat status;
  assert_int_equal(stat(name, &status), 0);
  return status.st_mode & 07777;
}

static void assert_child(pid_t child) {
  int status = -1;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static bool replace(const char *name, const char *text, bool only_new) {
  return only_new ? st_replace_create(name, text, strlen(text), error)
                  : st_replace_file(name, text, strlen(text), error);
}

/* ---- Time, randomness, the process ---- */

static void tells_the_time(void **state) {
  (void)state;
  time_t before = time(NULL);
  int64_t now = st_clock_now();
  int64_t start = st_clock_monotonic_us();
  struct timespec pause = {0, 20000000};
  assert_in_range(now, before, time(NULL));
  nanosleep(&pause, NULL);
  assert_in_range(st_clock_monotonic_us() - start, 20000, 10000000);
}

static void counts_processors(void **state) {
  (void)state;
  cpu_set_t all, one;
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  assert_int_equal(st_process_processors(), CPU_COUNT(&all));
  CPU_ZERO(&one);
  for (size_t i = 0; CPU_COUNT(&one) == 0; i++) {
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  }
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(st_process_processors(), 1);
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void draws_other_bytes_each_time(void **state) {
  (void)state;
  static uint8_t a[100000], b[100000];
  unsigned seen[256] = {0};
  st_random_fill(a, sizeof a);
  st_random_fill(b, sizeof b);
  assert_memory_not_equal(a, b, sizeof a);
  assert_memory_not_equal(a + sizeof a - 32, b + sizeof b - 32, 32); /* filled to the end */
  for (size_t i = 0; i < sizeof a; i++) {
    seen[a[i]]++;
  }
  for (size_t i = 0; i < 256; i++) {
    assert_in_range(seen[i], 200, 600);
  }
  b[0] = 7;
  st_random_fill(b, 0);
  assert_int_equal(b[0], 7);
}

static void hardens_the_process(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    struct rlimit limit = {1, 1};
    st_process_harden();
    REQUIRE(getrlimit(RLIMIT_CORE, &limit) == 0);
    REQUIRE(limit.rlim_cur == 0 && limit.rlim_max == 0);
    REQUIRE(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    _exit(0);
  }
  assert_child(child);
}

/* ---- DATA ---- */

static void makes_a_private_directory(void **state) {
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

/* F3: as Kubernetes' fsGroup makes it. */
static void trusts_a_group_when_it_is_told_to(void **state) {
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
static void tells_whose_a_file_is(void **state) {
  (void)state;
  assert_false(st_owner_is_ours(in_home("nothing")));
  assert_false(st_owner_is_ours(home));
  spill(path, "x");
  for (mode_t mode = 0; mode <= 0777; mode++) {
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(st_owner_is_ours(path), (mode & 022) == 0);
  }
  assert_int_equal(chmod(path, 0600), 0);
  assert_int_equal(symlink(path, in_home("link")), 0);
  assert_true(st_owner_is_ours(in_home("link")));
  if (geteuid() == 0) {
    assert_int_equal(lchown(in_home("link"), 12345, getegid()), 0);
    assert_false(st_owner_is_ours(in_home("link"))); /* whoever made the link chose the file */
    assert_int_equal(chown(path, 12345, getegid()), 0);
    assert_false(st_owner_is_ours(path));
    assert_int_equal(chown(path, 0, getegid()), 0);
  }
}

static void refuses_an_open_directory(void **state) {
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

static void locks_without_a_file(void **state) {
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

/* ---- Reading ---- */

typedef bool (*reader)(const char *path, void *out, size_t size, size_t *len, char *error);

static void assert_reads(reader read_file) {
  char data[8];
  size_t len = 99;
  assert_refusal(read_file(path, data, sizeof data, &len, error), path, "No such file");
  assert_int_equal(len, 0);
  spill(path, "");
  assert_true(read_file(path, data, sizeof data, &len, error));
  assert_int_equal(len, 0);
  spill(path, "12345678");
  assert_true(read_file(path, data, 8, &len, error));
  assert_int_equal(len, 8);
  assert_memory_equal(data, "12345678", 8);
  memset(data, 'x', sizeof data);
  assert_refusal(read_file(path, data, 7, &len, error), path, "longer than 7 bytes");
  assert_int_equal(len, 0);
  assert_memory_equal(data, "\0\0\0\0\0\0\0x", 8); /* what was read is wiped */
  assert_refusal(read_file(home, data, 8, &len, error), home, "not a regular file");
  /* Nobody writes to it: to wait for that would be for ever. */
  assert_int_equal(mkfifo(in_home("fifo"), 0600), 0);
  assert_refusal(read_file(in_home("fifo"), data, 8, &len, error), "fifo", "not a regular file");
}

static void reads_a_whole_file(void **state) {
  (void)state;
  assert_reads(st_file_read);
}

static void reads_a_whole_secret(void **state) {
  (void)state;
  assert_reads(st_secret_file_read);
}

static void reads_only_a_private_secret(void **state) {
  (void)state;
  static const mode_t good[] = {0600, 0400, 0640, 0440};
  static const mode_t bad[] = {0644, 0604, 0602, 0601, 0620, 0660, 0666, 0777};
  char data[8];
  size_t len = 0;
  spill(path, "secret");
  assert_int_equal(symlink("file", in_home("link")), 0);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(chmod(path, good[i]), 0);
    assert_true(st_secret_file_read(path, data, sizeof data, &len, error));
    assert_true(st_secret_file_read(in_home("link"), data, sizeof data, &len, error));
    assert_int_equal(len, 6);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(chmod(path, bad[i]), 0);
    memset(data, 0, sizeof data);
    assert_refusal(st_secret_file_read(path, data, sizeof data, &len, error), path, "chmod 600");
    assert_refusal(st_secret_file_read(in_home("link"), data, sizeof data, &len, error), "link",
                   "chmod 600");
    assert_int_equal(len, 0);
    assert_int_equal(data[0], 0);
  }
  if (geteuid() == 0) {
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, 12345, 0), 0);
    assert_refusal(st_secret_file_read(path, data, sizeof data, &len, error), path,
                   "belongs to user 12345");
    assert_int_equal(chmod(path, 0640), 0);
    assert_true(st_secret_file_read(path, data, sizeof data, &len, error));
  }
}

/* Another user: what root, or the user who issues, shares with a group of ours. */
static void a_user_reads_what_root_shares(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("skipped: only root can become another user\n");
    skip();
  }
  spill(path, "secret");
  assert_int_equal(chown(path, 0, 4321), 0);
  assert_int_equal(chmod(path, 0640), 0);
  assert_int_equal(chmod(home, 0755), 0);
  pid_t child = fork();
  if (child == 0) {
    char data[8];
    size_t len = 0;
    REQUIRE(setgid(4321) == 0 && setuid(1234) == 0);
    REQUIRE(st_secret_file_read(path, data, sizeof data, &len, error) && len == 6);
    _exit(0);
  }
  assert_child(child);
  assert_int_equal(chown(path, 12345, 4321), 0);
  child = fork();
  if (child == 0) {
    char data[8];
    size_t len = 0;
    REQUIRE(setgid(4321) == 0 && setuid(1234) == 0);
    REQUIRE(st_secret_file_read(path, data, sizeof data, &len, error) && len == 6);
    _exit(0);
  }
  assert_child(child);
}

static void reads_standard_input(void **state) {
  (void)state;
  for (size_t size = 5; size <= 6; size++) {
    int in[2];
    assert_int_equal(pipe(in), 0);
    pid_t child = fork();
    if (child == 0) {
      char data[8] = "xxxxxxx";
      size_t len = 99;
      close(in[1]);
      REQUIRE(dup2(in[0], 0) == 0);
      bool ok = st_terminal_read_stdin(data, size, &len, error);
      REQUIRE(ok == (size == 6));
      REQUIRE(ok ? len == 6 && memcmp(data, "abcdef", 6) == 0
                 : len == 0 && data[0] == 0 && strstr(error, "standard input") != NULL);
      _exit(0);
    }
    close(in[0]);
    for (int i = 0; i < 3; i++) { /* in pieces */
      struct timespec pause = {0, 5000000};
      assert_int_equal(write(in[1], &"abcdef"[i * 2], 2), 2);
      nanosleep(&pause, NULL);
    }
    close(in[1]);
    assert_child(child);
  }
}

/* ---- Stamps ---- */

static bool changed(st_file_stamp *last) {
  st_file_stamp now;
  assert_true(st_file_stamp_of(path, &now));
  bool differs = memcmp(&now, last, sizeof now) != 0;
  *last = now;
  return differs;
}

static void a_stamp_tells_versions_apart(void **state) {
  (void)state;
  st_file_stamp stamp, zero = {0};
  struct timespec pause = {0, 20000000}; /* longer than the kernel's clock tick */
  memset(&stamp, 'x', sizeof stamp);
  assert_false(st_file_stamp_of(path, &stamp));
  assert_memory_equal(&stamp, &zero, sizeof stamp);
  assert_true(replace(path, "one", false));
  assert_true(changed(&stamp));
  assert_false(changed(&stamp));
  assert_int_equal(stamp.size, 3);
  assert_true(replace(path, "two", false)); /* at once, of the same size */
  assert_true(changed(&stamp));
  nanosleep(&pause, NULL);
  spill(path, "six"); /* in place, of the same size */
  assert_true(changed(&stamp));
  spill(path, "three");
  assert_true(changed(&stamp));
  nanosleep(&pause, NULL);
  const struct timespec old[2] = {{1, 0}, {1, 0}};
  assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
  assert_true(changed(&stamp));
  assert_int_equal(stamp.modified_ns, 1000000000);
}

/* ---- Into new memory ---- */

static void loads_a_whole_file(void **state) {
  (void)state;
  uint8_t *bytes = NULL;
  size_t len = 99;
  st_file_stamp stamp, now;
  assert_refusal(st_file_load(path, 100, &bytes, &len, &stamp, error), path, "No such file");
  assert_null(bytes);
  assert_int_equal(len, 0);
  spill(path, "");
  assert_refusal(st_file_load(path, 100, &bytes, &len, &stamp, error), path, "empty");
  spill(path, "12345678");
  assert_refusal(st_file_load(path, 7, &bytes, &len, &stamp, error), path, "longer than 7 bytes");
  assert_null(bytes);
  assert_true(st_file_load(path, 8, &bytes, &len, &stamp, error));
  assert_int_equal(len, 8);
  assert_memory_equal(bytes, "12345678", 8);
  free(bytes);
  assert_true(st_file_stamp_of(path, &now));
  assert_true(st_file_stamp_equal(&stamp, &now));
  assert_refusal(st_file_load(home, 100, &bytes, &len, &stamp, error), home, "not a regular file");
}

/* What the file says that it has must have been written. */
static void refuses_a_file_with_holes(void **state) {
  (void)state;
  uint8_t *bytes = NULL;
  size_t len = 0;
  st_file_stamp stamp;
  spill(path, "12345678");
  assert_int_equal(truncate(path, 1 << 20), 0);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  bool told = lseek(fd, 0, SEEK_HOLE) < 1 << 20;
  close(fd);
  if (!told) skip(); /* this file system does not tell */
  assert_refusal(st_file_load(path, SIZE_MAX, &bytes, &len, &stamp, error), path, "truncated");
  assert_null(bytes);
}

/* ---- Writing ---- */

static void replaces_a_file(void **state) {
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
}

static void keeps_the_group_that_reads_it(void **state) {
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
static void publishes_for_others(void **state) {
  (void)state;
  static const struct {
    mode_t before, after;
  } rows[] = {{0640, 0640}, {0644, 0644}, {0600, 0600}, {0666, 0644}, {0440, 0640}, {0777, 0644}};
  struct stat status;
  mode_t mask = umask(077);
  assert_true(st_replace_shared(path, NULL, "one", 3, error));
  assert_int_equal(mode_of(path), 0640);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    assert_int_equal(chmod(path, rows[i].before), 0);
    if (geteuid() == 0) assert_int_equal(chown(path, (uid_t)-1, 4321), 0);
    assert_true(st_replace_shared(path, NULL, "two", 3, error));
    assert_int_equal(mode_of(path), rows[i].after);
    assert_int_equal(stat(path, &status), 0);
    if (geteuid() == 0) assert_int_equal(status.st_gid, 4321);
  }
  (void)umask(mask);
  assert_int_equal(remove(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_false(st_replace_shared(path, NULL, "three", 5, error));
  assert_non_null(strstr(error, "cannot write"));
}

static void claimed_by_one_at_a_time(void **state) {
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

static void follows_links(void **state) {
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

static void only_new_means_it(void **state) {
  (void)state;
  assert_true(replace(path, "first", true));
  assert_int_equal(mode_of(path), 0600);
  assert_refusal(replace(path, "second", true), path, "already exists");
  assert_holds(path, "first");
  assert_int_equal(count_files(), 1);
}

static void only_one_makes_a_new_file(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    int gate[2], won = 0;
    pid_t children[6];
    char text[2] = "?", data[8], byte;
    size_t len = 0;
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < 6; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        close(gate[1]);
        text[0] = (char)('a' + i);
        REQUIRE(read(gate[0], &byte, 1) == 0);
        _exit(replace(path, text, true) ? 7 : 8);
      }
    }
    close(gate[0]);
    close(gate[1]);
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
static void sweeps_only_what_it_left(void **state) {
  (void)state;
  static const char *const stay[] = {"file",           "file.backup",      "file.new",
                                     "file.new-12345", "file.new-1234567", "other.new-123456"};
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

/* ---- A file that a callback writes ---- */

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

static void makes_a_file_that_a_callback_writes(void **state) {
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
  assert_int_equal(flock(shared, LOCK_SH), 0);
  assert_true(st_replace_fill_new(in_home("other"), beside, fill, home, &exists, error));
  assert_int_equal(count_files(), sizeof stay / sizeof *stay + 3);
  close(shared);
  assert_true(st_replace_fill_new(path, beside, fill, home, &exists, error));
  assert_int_equal(count_files(), sizeof stay / sizeof *stay + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(tells_the_time),
      TEST(counts_processors),
      TEST(draws_other_bytes_each_time),
      TEST(hardens_the_process),
      TEST(makes_a_private_directory),
      TEST(refuses_an_open_directory),
      TEST(trusts_a_group_when_it_is_told_to),
      TEST(tells_whose_a_file_is),
      TEST(locks_without_a_file),
      TEST(the_lock_of_a_killed_process_is_free),
      TEST(reads_a_whole_file),
      TEST(reads_a_whole_secret),
      TEST(reads_only_a_private_secret),
      TEST(a_user_reads_what_root_shares),
      TEST(reads_standard_input),
      TEST(a_stamp_tells_versions_apart),
      TEST(loads_a_whole_file),
      TEST(refuses_a_file_with_holes),
      TEST(replaces_a_file),
      TEST(keeps_the_group_that_reads_it),
      TEST(publishes_for_others),
      TEST(claimed_by_one_at_a_time),
      TEST(follows_links),
      TEST(only_new_means_it),
      TEST(only_one_makes_a_new_file),
      TEST(a_reader_sees_one_version_or_the_other),
      TEST(a_failed_write_changes_nothing),
      TEST(sweeps_only_what_it_left),
      TEST(long_names_fit_the_sentence),
      TEST(makes_a_file_that_a_callback_writes),
      TEST(a_callback_that_fails_leaves_nothing),
      TEST(a_callback_finds_no_leftovers),
  };
  return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
