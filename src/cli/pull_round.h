/* pull_round - one request of `subtoken pull`, and what becomes of it. */
#ifndef ST_CLI_PULL_ROUND_H
#define ST_CLI_PULL_ROUND_H

#include "cli/fetch.h"
#include "cli/pull_files.h"

typedef enum st_pull_outcome {
  ST_PULL_FAILED = 0, /* for each but CURRENT and STOPPED, error says why */
  ST_PULL_CURRENT,
  ST_PULL_STOPPED,
  ST_PULL_REFUSED,
  ST_PULL_BEHIND,   /* by less than the clocks of two servers may differ: nothing was taken */
  ST_PULL_ROLLBACK, /* older than what was seen, or of another history */
  ST_PULL_BAD
} st_pull_outcome;

typedef struct st_puller {
  const char *key_file;
  const char *audience; /* NULL: whatever the credential gets */
  int64_t leeway;
  st_fetch *fetch;
  st_pull_files files;
  int stop;     /* SIGTERM and SIGINT arrive here */
  bool changed; /* the last round has put another FILE in place */
} st_puller;

typedef struct st_pull_question {
  size_t server;    /* which URL */
  int64_t wait;     /* as in st_fetch_request */
  int64_t patience; /* as well */
} st_pull_question;

/* error has ST_ERROR_MAX bytes. */
st_pull_outcome st_pull_round(st_puller *p, const st_pull_question *question, char *error)
    __attribute__((warn_unused_result));

/* st_fetch_settings.length, whose context is the st_puller. */
size_t st_pull_round_length(void *context, const uint8_t *head, const char *type);

#endif
