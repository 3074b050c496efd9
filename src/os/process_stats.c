/* Reads /proc/self, which a sandbox that hides other processes (ProcSubset=pid) leaves. */
#include "os/process_stats.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double stats_seconds(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static int64_t stats_limit(int resource) {
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  (void)getrlimit((__rlimit_resource_t)resource, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur;
}

static int64_t stats_count_files(void) {
  DIR *directory = opendir("/proc/self/fd");
  int64_t count = -1; /* its own descriptor is one of them */
  if (directory == NULL) return -1;
  for (const struct dirent *each; (each = readdir(directory)) != NULL;) {
    count += each->d_name[0] != '.';
  }
  (void)closedir(directory);
  return count;
}

/* proc(5) counts the fields from 1; the first to follow the name, which is in parentheses and may
 * have any character, is the third. -1: there is none.
 */
static int64_t stats_field(const char *behind_name, int number) {
  const char *at = behind_name;
  char *end;
  for (int field = 2; field < number; field++) {
    at = strchr(at, ' ');
    if (at == NULL) return -1;
    at++;
  }
  long long value = strtoll(at, &end, 10);
  return end != at ? value : -1;
}

static void stats_read_stat(st_process_stats *stats, int64_t *start_ticks) {
  char text[1024];
  FILE *file = fopen("/proc/self/stat", "re");
  if (file == NULL) return;
  size_t len = fread(text, 1, sizeof text - 1, file);
  (void)fclose(file);
  text[len] = '\0';
  const char *behind = strrchr(text, ')');
  if (behind == NULL) return;
  int64_t pages = stats_field(behind, 24);
  stats->threads = stats_field(behind, 20);
  *start_ticks = stats_field(behind, 22);
  stats->virtual_bytes = stats_field(behind, 23);
  if (pages >= 0) stats->resident_bytes = pages * sysconf(_SC_PAGESIZE);
}

/* By the two clocks as they are at the first call: it does not move when the clock is set. */
static double stats_started(int64_t ticks) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static double started;
  struct timespec now = {0}, since_boot = {0};
  (void)pthread_mutex_lock(&lock);
  if (started == 0 && ticks >= 0) {
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)clock_gettime(CLOCK_BOOTTIME, &since_boot);
    double boot =
        (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
    started = boot + (double)ticks / (double)sysconf(_SC_CLK_TCK);
  }
  double answer = started != 0 ? started : -1;
  (void)pthread_mutex_unlock(&lock);
  return answer;
}

void st_process_stats_read(st_process_stats *stats) {
  struct rusage usage = {0};
  int64_t ticks = -1;
  (void)getrusage(RUSAGE_SELF, &usage);
  double cpu = stats_seconds(usage.ru_utime) + stats_seconds(usage.ru_stime);
  *stats = (st_process_stats){.cpu_seconds = cpu,
                              .resident_bytes = -1,
                              .virtual_bytes = -1,
                              .virtual_max_bytes = stats_limit(RLIMIT_AS),
                              .open_files = stats_count_files(),
                              .max_files = stats_limit(RLIMIT_NOFILE),
                              .threads = -1};
  stats_read_stat(stats, &ticks);
  stats->started = stats_started(ticks);
}
