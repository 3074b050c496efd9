/* The revocation data of subtoken_revocations: checked while the configuration is read, then read
 * by each worker for itself and again when it changes, a slice at a time. The library does the
 * work (subtoken/feed.h); this file logs what becomes of it. When it is polled is in
 * ngx_http_subtoken_worker.c, how it is asked in ngx_http_subtoken_evaluate.c.
 */
#include <time.h>

#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_FEED_MOUNTED \
  "is a mount of its own, which never shows the file that replaces it: mount its directory"

/* nginx reads its own clocks once in a turn as well. */
int64_t ngx_http_subtoken_feed_monotonic(void) {
  static struct timespec at;
  static ngx_msec_t turn;
  if (at.tv_sec == 0 || turn != ngx_current_msec) {
    turn = ngx_current_msec;
    (void)clock_gettime(CLOCK_BOOTTIME, &at);
  }
  return at.tv_sec;
}

static const char *ngx_http_subtoken_feed_event(subtoken_feed_result result) {
  const char *event = subtoken_feed_result_event(result);
  return event == NULL ? "feed_bad" : event;
}

/* ---- while the configuration is read ---- */

/* Data that time alone can make good must not keep nginx from starting: until then it answers with
 * 503.
 */
static ngx_flag_t ngx_http_subtoken_feed_may_start(subtoken_feed_result result, int error) {
  switch (result) {
    case SUBTOKEN_FEED_OK:
    case SUBTOKEN_FEED_OLD:
    case SUBTOKEN_FEED_OLD_ALLOWED:
    case SUBTOKEN_FEED_PAIR:
    case SUBTOKEN_FEED_FUTURE: return 1;
    case SUBTOKEN_FEED_IO: return error == ENOENT;
    default: return 0;
  }
}

static subtoken_feed_result ngx_http_subtoken_feed_load_once(const ngx_http_subtoken_feed_t *feed,
                                                             const subtoken_ring *ring, int *error,
                                                             bool *mounted) {
  subtoken_feed_file file;
  subtoken_feed_settings settings = {sizeof settings, feed->leeway, feed->max_age, false,
                                     feed->max_size};
  int64_t now = ngx_time(), monotonic = ngx_http_subtoken_feed_monotonic();
  subtoken_feed_result result =
      subtoken_feed_file_start(&file, (const char *)feed->path.data, &settings);
  if (result == SUBTOKEN_FEED_OK) result = subtoken_feed_file_load(&file, ring, now, monotonic);
  if (result == SUBTOKEN_FEED_OK) result = subtoken_feed_check(&file.feed, now, monotonic);
  *error = result == SUBTOKEN_FEED_IO ? file.error : 0;
  *mounted = file.mounted;
  subtoken_feed_file_stop(&file);
  return result;
}

static ngx_int_t ngx_http_subtoken_feed_check(ngx_conf_t *cf,
                                              const ngx_http_subtoken_feed_t *feed) {
  char text[NGX_HTTP_SUBTOKEN_ERROR_MAX];
  subtoken_ring ring;
  int error;
  bool mounted;
  ngx_http_subtoken_file_t secrets = feed->secrets->file;
  if (ngx_http_subtoken_secrets_read(&secrets, &ring, text) != NGX_OK) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_secrets: %s", text);
    return NGX_ERROR;
  }
  subtoken_feed_result result = ngx_http_subtoken_feed_load_once(feed, &ring, &error, &mounted);
  subtoken_wipe(&ring, sizeof ring);
  if (mounted) {
    ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "subtoken_revocations \"%V\" %s", &feed->path,
                       NGX_HTTP_SUBTOKEN_FEED_MOUNTED);
  }
  if (result == SUBTOKEN_FEED_OK) return NGX_OK;
  ngx_flag_t may_start = ngx_http_subtoken_feed_may_start(result, error);
  ngx_conf_log_error(may_start ? NGX_LOG_WARN : NGX_LOG_EMERG, cf, error,
                     "subtoken_revocations \"%V\": %s: %s", &feed->path,
                     ngx_http_subtoken_feed_event(result), subtoken_feed_result_text(result));
  return may_start ? NGX_OK : NGX_ERROR;
}

static ngx_http_subtoken_feed_t *ngx_http_subtoken_feed_find(
    const ngx_http_subtoken_main_conf_t *main, const ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_feed_t **each = main->feeds.elts;
  for (ngx_uint_t i = 0; i < main->feeds.nelts; i++) {
    if (each[i]->secrets == conf->secrets && each[i]->leeway == conf->leeway &&
        each[i]->max_size == conf->revocations_max && each[i]->path.len == conf->revocations.len &&
        ngx_memcmp(each[i]->path.data, conf->revocations.data, each[i]->path.len) == 0) {
      return each[i];
    }
  }
  return NULL;
}

ngx_http_subtoken_feed_t *ngx_http_subtoken_feed_add(ngx_conf_t *cf,
                                                     ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_main_conf_t *main =
      ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
  ngx_http_subtoken_feed_t *feed = ngx_http_subtoken_feed_find(main, conf);
  if (feed != NULL) {
    if (conf->max_age < feed->max_age) feed->max_age = conf->max_age;
    return feed;
  }
  feed = ngx_http_subtoken_file_add(cf, &main->feeds, sizeof *feed);
  if (feed == NULL) return NULL;
  feed->path = conf->revocations;
  feed->secrets = conf->secrets;
  feed->leeway = conf->leeway;
  feed->max_size = conf->revocations_max;
  feed->max_age = conf->max_age;
  return ngx_http_subtoken_feed_check(cf, feed) == NGX_OK ? feed : NULL;
}

/* ---- what a worker logs ---- */

/* Once for each kind of error, and once when it is over. A pair that does not match is usually one
 * that is just being replaced.
 */
static void ngx_http_subtoken_feed_log_result(ngx_http_subtoken_feed_t *feed,
                                              subtoken_feed_result result, ngx_log_t *log) {
  if (result == feed->logged) return;
  feed->logged = result;
  if (result == SUBTOKEN_FEED_OK) {
    ngx_log_error(NGX_LOG_NOTICE, log, 0, "subtoken_revocations \"%V\": loaded", &feed->path);
    return;
  }
  ngx_uint_t level = result == SUBTOKEN_FEED_PAIR ? NGX_LOG_NOTICE : NGX_LOG_ERR;
  ngx_log_error(level, log, result == SUBTOKEN_FEED_IO ? feed->file->error : 0,
                "subtoken_revocations \"%V\": %s: %s; %s", &feed->path,
                ngx_http_subtoken_feed_event(result), subtoken_feed_result_text(result),
                feed->file->size > 0 ? "the loaded data stays in use" : "no data is loaded");
}

static void ngx_http_subtoken_feed_log_age(ngx_http_subtoken_feed_t *feed, int64_t now,
                                           int64_t monotonic, ngx_log_t *log) {
  subtoken_feed at = feed->file->feed;
  at.max_age = feed->max_age;
  at.allow_old = false;
  subtoken_feed_result age = subtoken_feed_check(&at, now, monotonic);
  if (age == feed->age_logged) return;
  bool first = feed->age_logged == SUBTOKEN_FEED_UNDECIDED;
  feed->age_logged = age;
  if (age == SUBTOKEN_FEED_OK) {
    if (first) return;
    ngx_log_error(NGX_LOG_NOTICE, log, 0, "subtoken_revocations \"%V\" is fresh again",
                  &feed->path);
  } else if (age == SUBTOKEN_FEED_ABSENT) {
    ngx_log_error(NGX_LOG_ERR, log, 0, "feed_stale: there is no revocation data in \"%V\" yet",
                  &feed->path);
  } else {
    ngx_log_error(NGX_LOG_ERR, log, 0, "feed_stale age=%L: \"%V\"",
                  subtoken_feed_age(&at, now, monotonic), &feed->path);
  }
}

/* Once: it does not change while nginx runs. */
static void ngx_http_subtoken_feed_log_mount(ngx_http_subtoken_feed_t *feed, ngx_log_t *log) {
  if (!feed->file->mounted || feed->mount_logged) return;
  feed->mount_logged = 1;
  ngx_log_error(NGX_LOG_ERR, log, 0, "subtoken_revocations \"%V\" %s", &feed->path,
                NGX_HTTP_SUBTOKEN_FEED_MOUNTED);
}

/* ---- in a worker ---- */

/* Without memory there is none yet: each poll tries again. */
static void ngx_http_subtoken_feed_open(ngx_http_subtoken_feed_t *feed) {
  subtoken_feed_settings settings = {sizeof settings, feed->leeway, feed->max_age, false,
                                     feed->max_size};
  feed->file = malloc(sizeof *feed->file);
  if (feed->file == NULL) return;
  if (subtoken_feed_file_start(feed->file, (const char *)feed->path.data, &settings) !=
      SUBTOKEN_FEED_OK) {
    free(feed->file);
    feed->file = NULL;
    return;
  }
  feed->logged = SUBTOKEN_FEED_OK;
}

void ngx_http_subtoken_feed_start(ngx_http_subtoken_feed_t *feed, ngx_log_t *log) {
  int64_t now = ngx_time(), monotonic = ngx_http_subtoken_feed_monotonic();
  subtoken_ring *ring = feed->secrets->ring;
  ngx_http_subtoken_feed_open(feed);
  if (feed->file == NULL) return;
  if (ring == NULL || ring->count == 0) return;
  ngx_http_subtoken_feed_log_result(feed, subtoken_feed_file_load(feed->file, ring, now, monotonic),
                                    log);
  ngx_http_subtoken_feed_log_age(feed, now, monotonic, log);
}

ngx_flag_t ngx_http_subtoken_feed_poll(ngx_http_subtoken_feed_t *feed, ngx_log_t *log) {
  int64_t now = ngx_time(), monotonic = ngx_http_subtoken_feed_monotonic();
  subtoken_ring *ring = feed->secrets->ring;
  if (feed->file == NULL) ngx_http_subtoken_feed_open(feed);
  if (feed->file == NULL || ring == NULL || ring->count == 0) return 0;
  subtoken_feed_result result = subtoken_feed_file_poll(feed->file, ring, now, monotonic);
  if (result == SUBTOKEN_FEED_MORE) return 1;
  ngx_http_subtoken_feed_log_result(feed, result, log);
  ngx_http_subtoken_feed_log_age(feed, now, monotonic, log);
  ngx_http_subtoken_feed_log_mount(feed, log);
  return 0;
}

void ngx_http_subtoken_feed_free(ngx_http_subtoken_feed_t *feed) {
  if (feed->file == NULL) return;
  subtoken_feed_file_stop(feed->file);
  free(feed->file);
  feed->file = NULL;
}
