/* pull_loop - when `subtoken pull` asks, and which of its servers. */
#ifndef ST_CLI_PULL_LOOP_H
#define ST_CLI_PULL_LOOP_H

#include "cli/pull_round.h"
#include "domain/listen.h"

typedef struct st_pull_loop_settings {
  const char *const *urls; /* those of the st_puller's st_fetch */
  size_t url_count;
  int64_t every;            /* seconds */
  const st_listen *metrics; /* where metrics are told, by st_pull_loop_run; NULL: nowhere */
} st_pull_loop_settings;

/* Until a signal comes, or once; the exit code. What has gone wrong is logged, or printed. */
int st_pull_loop_run(st_puller *p, const st_pull_loop_settings *settings);
int st_pull_loop_once(st_puller *p, const st_pull_loop_settings *settings, bool json);

#endif
