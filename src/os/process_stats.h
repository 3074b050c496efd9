/* process_stats - what the process uses, as the system counts it. */
#ifndef ST_OS_PROCESS_STATS_H
#define ST_OS_PROCESS_STATS_H

#include <stdint.h>

/* A number that the system does not tell is -1. */
typedef struct st_process_stats {
  double cpu_seconds;     /* user and system */
  int64_t resident_bytes; /* in memory */
  int64_t virtual_bytes;
  int64_t virtual_max_bytes; /* -1: without a limit */
  int64_t open_files, max_files;
  int64_t threads;
  double started; /* seconds since 1970; the same at each call */
} st_process_stats;

void st_process_stats_read(st_process_stats *stats);

#endif
