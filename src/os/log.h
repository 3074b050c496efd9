/* log - one JSON line a request or event, never a token or key in it. Lines are
 * handed to a thread of their own: a log that is slow or broken never holds up
 * an answer. What does not fit while it is, is counted and told later.
 */
#ifndef ST_OS_LOG_H
#define ST_OS_LOG_H

#include "base/bytes.h"

#define ST_LOG_LINE_MAX 4096

/* path empty: standard error. False when the file cannot be opened. */
bool st_log_start(const char *path, char *error) __attribute__((warn_unused_result));
/* Write what is left, and end. */
void st_log_stop(void);
/* Open the file again under its name, or another one (SIGHUP), in two steps, so that
 * nothing has changed yet when the first fails: open, then write to it from now on.
 * A file that is opened and not used is closed with st_log_use(file, false).
 */
bool st_log_open(const char *path, int *file, char *error) __attribute__((warn_unused_result));
void st_log_use(int file, bool use);

/* An event of the server itself; detail may be NULL, and is escaped. */
void st_log_event(const char *event, const char *detail);
void st_log_append(st_writer *writer);
void st_log_begin(st_writer *writer, int64_t now, const char *event);
void st_log_field(st_writer *writer, const char *name, subtoken_text value);
void st_log_number(st_writer *writer, const char *name, int64_t value);

#endif
