/* process_stats: what the system says of the process, beside what this one knows. */
#include "support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "os/process.h"
#include "os/process_stats.h"

static void the_numbers_are_those_of_this_process(void **state) {
  (void)state;
  st_process_stats stats, later;
  struct rlimit limit;
  st_process_harden(); /* as the program does: /proc/self is root's then */
  st_process_stats_read(&stats);
  assert_true(stats.cpu_seconds >= 0 && stats.cpu_seconds < 3600);
  assert_true(stats.resident_bytes > 100000 && stats.resident_bytes < stats.virtual_bytes);
  assert_true(stats.threads >= 1);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_true(limit.rlim_cur == RLIM_INFINITY || stats.max_files == (int64_t)limit.rlim_cur);
  double age = (double)time(NULL) - stats.started;
  assert_true(age > -5 && age < 3600);
  int fd = open("/dev/null", O_RDONLY);
  assert_true(fd >= 0);
  st_process_stats_read(&later);
  assert_int_equal(later.open_files, stats.open_files + 1);
  assert_true(later.started == stats.started);
  (void)close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_numbers_are_those_of_this_process),
  };
  return cmocka_run_group_tests_name("process_stats", tests, NULL, NULL);
}
