/* run_tests - cmocka, and the one way in which the unit tests run: all tests of a file, or those
 * whose names match the pattern (* and ?) in the environment variable SUBTOKEN_TESTS_NAME. A
 * pattern that matches none is a failure.
 */
#ifndef TESTS_UNIT_RUN_TESTS_H
#define TESTS_UNIT_RUN_TESTS_H

/* cmocka.h wants these before it. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In a build that counts, a child's part counts, too (make coverage). */
#ifdef ST_COUNTED
void __gcov_dump(void);
void _exit(int code) {
  __gcov_dump();
  for (;;) syscall(SYS_exit_group, code);
}
#endif

static inline int run_chosen(const char *file, const struct CMUnitTest *tests, size_t count,
                             CMFixtureFunction setup, CMFixtureFunction teardown) {
  const char *pattern = getenv("SUBTOKEN_TESTS_NAME");
  if (pattern == NULL || pattern[0] == '\0') {
    return _cmocka_run_group_tests(file, tests, count, setup, teardown);
  }
  size_t matches = 0;
  for (size_t i = 0; i < count; i++) matches += fnmatch(pattern, tests[i].name, 0) == 0;
  if (matches == 0) {
    fprintf(stderr, "no test is named %s; there are:\n", pattern);
    for (size_t i = 0; i < count; i++) fprintf(stderr, "  %s\n", tests[i].name);
    return 1;
  }
  cmocka_set_test_filter(pattern);
  return _cmocka_run_group_tests(file, tests, count, setup, teardown);
}

#undef cmocka_run_group_tests
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests(tests, setup, teardown) \
  cmocka_run_group_tests_name(#tests, tests, setup, teardown)
#define cmocka_run_group_tests_name(file, tests, setup, teardown) \
  run_chosen(file, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#endif
