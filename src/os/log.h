/* log - one JSON line for each event, never with a token or key in it. A thread of its own writes
 * the lines, so that a log that is slow or broken never delays an answer. Lines for which there is
 * no room meanwhile are dropped, counted, and reported later.
 */
#ifndef ST_OS_LOG_H
#define ST_OS_LOG_H

#include "base/bytes.h"

#define ST_LOG_LINE_MAX 4096

/* path empty: standard error. False when the file cannot be opened. */
bool st_log_start(const char *path, char *error) __attribute__((warn_unused_result));
/* Write what is left, and end. */
void st_log_stop(void);

/* Open the file again under its name, or another one (SIGHUP), in two steps, so that nothing has
 * changed when the first fails: open it, then write to it from now on. st_log_use(file, false)
 * closes a file that was opened and is not to be used.
 */
bool st_log_open(const char *path, int *file, char *error) __attribute__((warn_unused_result));
void st_log_use(int file, bool use);

/* An event without more than a detail, which may be NULL, and is escaped. event lives as long as
 * the process: it is counted.
 */
void st_log_event(const char *event, const char *detail);

/* How often each event came, and how many lines were lost since the start. The answer is how many
 * events there are.
 */
#define ST_LOG_EVENTS_MAX 64
typedef struct st_log_count {
  const char *event;
  int64_t count;
} st_log_count;
/* An event that has not come yet is told as 0 from now on, so that its first time is seen as a
 * change.
 */
void st_log_count_from_zero(const char *event);
size_t st_log_counts(st_log_count counts[ST_LOG_EVENTS_MAX], int64_t *lost);

/* A line with other members: begin it in a buffer of ST_LOG_LINE_MAX bytes, add members, append it
 * with the event, which is counted; NULL: it is counted elsewhere, as a request is.
 */
void st_log_begin(st_writer *writer, int64_t now, const char *event);
void st_log_field(st_writer *writer, const char *name, subtoken_text value);
void st_log_number(st_writer *writer, const char *name, int64_t value);
void st_log_append(st_writer *writer, const char *event);

#endif
