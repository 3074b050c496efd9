/* What `verify`, `feed status` and others print about the revocation data of an edge: which file
 * cannot be used, and why.
 */
#include "cli/feed_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "subtoken/feed.h"
#include "subtoken/revocations.h"

/* What is wrong with FILE or FILE.alive. */
static void feed_text_explain_files(const char *path, const subtoken_feed_file *file, char *error) {
  if (file->last != SUBTOKEN_FEED_IO) {
    snprintf(error, ST_ERROR_MAX, "%.300s: %s", path, subtoken_feed_result_text(file->last));
    return;
  }
  /* The snapshot is read first: when it is there, the heartbeat is not. */
  const char *suffix = st_file_exists(path) && file->error == ENOENT ? ".alive" : "";
  const char *reason = file->error == EINVAL ? "it is not a regular file" : strerror(file->error);
  snprintf(error, ST_ERROR_MAX, "cannot read %.300s%s: %s", path, suffix, reason);
}

void st_feed_text_add_mount(const subtoken_feed_file *file, char *error) {
  size_t len = strlen(error);
  if (!file->mounted) return;
  snprintf(error + len, ST_ERROR_MAX - len,
           "; it is a mount point, so a file that replaces it is never seen: mount its directory "
           "instead");
}

void st_feed_text_error(const char *path, const subtoken_feed_file *file, char *error) {
  feed_text_explain_files(path, file, error);
  st_feed_text_add_mount(file, error);
}

void st_feed_text_age(const subtoken_feed *feed, int64_t now, int64_t monotonic, char *error) {
  snprintf(error, ST_ERROR_MAX, "the last heartbeat is %lld s old, and the maximum is %lld s",
           (long long)subtoken_feed_age(feed, now, monotonic), (long long)feed->max_age);
}

int64_t st_feed_text_monotonic(void) {
  return st_clock_monotonic_us() / 1000000;
}
