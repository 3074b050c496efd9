/* Asks the files that `subtoken pull` keeps about each sub, as an edge does, without the database
 * (verify_store.c). The files are read by the library; here is when, and what is printed about
 * them.
 */
#include "cli/verify_files.h"

#include <stdio.h>

#include "cli/feed_text.h"
#include "cli/print.h"
#include "os/error.h"
#include "subtoken/revocations.h"

/* For a time before the last heartbeat there is no data: an edge would not have had it. */
static bool verify_files_is_too_early(const st_verify_files *source) {
  return source->clock.now + source->file.feed.leeway < source->file.feed.time;
}

static subtoken_result verify_files_revoked(void *context, const subtoken_text *names,
                                            size_t count) {
  st_verify_files *source = context;
  return verify_files_is_too_early(source) ? SUBTOKEN_REVOCATION_UNKNOWN
                                           : subtoken_feed_revoked(&source->clock, names, count);
}

bool st_verify_files_start(st_verify_files *source, const char *path,
                           const subtoken_feed_settings *settings, int64_t now,
                           subtoken_verifier *verifier) {
  if (subtoken_feed_file_start(&source->file, path, settings) != SUBTOKEN_FEED_OK) return false;
  source->path = path;
  source->ring = verifier->ring;
  source->reported = SUBTOKEN_FEED_OK;
  verifier->revoked = verify_files_revoked;
  verifier->revoked_context = source;
  /* Waits for a pair that is just being replaced; a failure is printed when the files are asked. */
  subtoken_feed_result loaded =
      subtoken_feed_file_load(&source->file, source->ring, now, st_feed_text_monotonic());
  (void)loaded;
  return true;
}

void st_verify_files_stop(st_verify_files *source) {
  subtoken_feed_file_stop(&source->file);
}

static void verify_files_report(st_verify_files *source, subtoken_feed_result result) {
  char error[ST_ERROR_MAX];
  if (result != SUBTOKEN_FEED_OK && result != source->reported) {
    st_feed_text_error(source->path, &source->file, error);
    const char *what = source->file.feed.snapshot.index == NULL ? "no" : "no newer";
    st_print_error(0, "verify: %s revocation data: %s", what, error);
  }
  source->reported = result;
}

void st_verify_files_refresh(st_verify_files *source, int64_t now, bool now_was_given) {
  int64_t monotonic = st_feed_text_monotonic();
  subtoken_feed_result result = SUBTOKEN_FEED_MORE;
  /* The filter of the data in use is left to the next line, but before newer files are looked for,
   * it has to be built.
   */
  while (source->file.filling && result == SUBTOKEN_FEED_MORE) {
    result = subtoken_feed_file_poll(&source->file, source->ring, now, monotonic);
  }
  do {
    result = subtoken_feed_file_poll(&source->file, source->ring, now, monotonic);
  } while (result == SUBTOKEN_FEED_MORE && !source->file.filling);
  if (result == SUBTOKEN_FEED_MORE) result = source->file.last;
  source->clock = (subtoken_feed_clock){&source->file.feed, now, now_was_given ? 0 : monotonic};
  verify_files_report(source, result);
}

void st_verify_files_explain(const st_verify_files *source, char *error) {
  const subtoken_feed_clock *clock = &source->clock;
  subtoken_feed_result state = subtoken_feed_check(clock->feed, clock->now, clock->monotonic);
  if (state == SUBTOKEN_FEED_ABSENT) {
    st_feed_text_error(source->path, &source->file, error);
  } else if (verify_files_is_too_early(source)) {
    snprintf(error, ST_ERROR_MAX, "the last heartbeat is %lld s later than the time asked for",
             (long long)(clock->feed->time - clock->now));
  } else {
    st_feed_text_age(clock->feed, clock->now, clock->monotonic, error);
  }
}
