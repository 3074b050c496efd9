/* home_fixture - a directory of the test's own, made anew for each test. For tests that need files
 * on a disk.
 */
#ifndef TESTS_UNIT_HOME_FIXTURE_H
#define TESTS_UNIT_HOME_FIXTURE_H

#include "os/error.h"
#include "run_tests.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In a child, where cmocka's assertions must not be used. */
#define REQUIRE(condition)                                            \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1);                                                       \
    }                                                                 \
  } while (0)

static char home[256];
static char error[ST_ERROR_MAX];

static inline int remove_one(const char *name, const struct stat *status, int type,
                             struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(name);
}

/* home and, in path (of 300 bytes), the name of a file in it. */
static inline int make_home_with(const char *file, char *path) {
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-test-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(path, 300, "%s/%s", home, file);
  memset(error, 0, sizeof error);
  return 0;
}

static inline int remove_home(void **state) {
  (void)state;
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The name of a file in it; four may be used at a time. */
static inline char *in_home(const char *name) {
  static char paths[4][400];
  static unsigned next;
  char *full = paths[next++ % 4];
  snprintf(full, sizeof paths[0], "%s/%s", home, name);
  return full;
}

/* Puts a file of it in place at once, as those do who rotate one. */
static inline void put_in_home(const char *name, const char *text, mode_t mode) {
  char fresh[600];
  snprintf(fresh, sizeof fresh, "%s.new", in_home(name));
  int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  assert_int_equal(fchmod(fd, mode), 0);
  close(fd);
  assert_int_equal(rename(fresh, in_home(name)), 0);
}

#endif
