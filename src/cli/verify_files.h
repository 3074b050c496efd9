/* verify_files - the files of an edge as the source of what is revoked, for `subtoken verify`. */
#ifndef ST_CLI_VERIFY_FILES_H
#define ST_CLI_VERIFY_FILES_H

#include "subtoken/feed.h"
#include "subtoken/verify.h"

/* Revocation data in files, and the time at which it is asked. */
typedef struct st_verify_files {
  const char *path;
  const subtoken_ring *ring;
  subtoken_feed_file file;
  subtoken_feed_clock clock;
  subtoken_feed_result reported; /* what was printed last */
} st_verify_files;

/* Loads the files; the verifier, which has its ring already, asks them from now on. source must
 * live as long as it does. False: the path is empty or too long. That the files are not good is
 * printed by st_verify_files_refresh.
 */
bool st_verify_files_start(st_verify_files *source, const char *path,
                           const subtoken_feed_settings *settings, int64_t now,
                           subtoken_verifier *verifier) __attribute__((warn_unused_result));
void st_verify_files_stop(st_verify_files *source);

/* Before each token: takes up what has changed, and sets the time. A time that was given stands
 * still. That the files are not good is printed once, and again when something else is wrong.
 */
void st_verify_files_refresh(st_verify_files *source, int64_t now, bool now_was_given);

/* Why they could not tell what is revoked, in error, of ST_ERROR_MAX bytes. */
void st_verify_files_explain(const st_verify_files *source, char *error);

#endif
