/* file_fixture - a directory of the test's own, made anew for each test, and what tests of files
 * say about it. For the tests of src/os.
 */
#ifndef TESTS_UNIT_FILE_FIXTURE_H
#define TESTS_UNIT_FILE_FIXTURE_H

#include "home_fixture.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[300]; /* of a file in home */

static inline int make_home(void **state) {
  (void)state;
  return make_home_with("file", path);
}

static inline int count_files(void) {
  DIR *dir = opendir(home);
  int count = -2; /* . and .. */
  assert_non_null(dir);
  while (readdir(dir) != NULL) {
    count++;
  }
  closedir(dir);
  return count;
}

static inline void spill(const char *name, const char *text) {
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static inline void assert_holds(const char *name, const char *text) {
  char data[100];
  size_t len = 99;
  if (!st_file_read(name, data, sizeof data, &len, error)) {
    fail_msg("%s", error);
  }
  assert_int_equal(len, strlen(text));
  assert_memory_equal(data, text, len);
}

/* It said no, and about which file and error. */
static inline void assert_refusal(bool ok, const char *name, const char *text) {
  assert_false(ok);
  if (strstr(error, name) == NULL || strstr(error, text) == NULL) {
    fail_msg("\"%s\" does not name \"%s\" and say \"%s\"", error, name, text);
  }
  error[0] = 0;
}

static inline mode_t mode_of(const char *name) {
  struct stat status;
  assert_int_equal(stat(name, &status), 0);
  return status.st_mode & 07777;
}

static inline void assert_child(pid_t child) {
  int status = -1;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

typedef bool (*reader)(const char *path, void *out, size_t size, size_t *len, char *error);

static inline void assert_reads(reader read_file) {
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)

#endif
