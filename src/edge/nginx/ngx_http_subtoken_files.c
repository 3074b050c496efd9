/* Secrets, policies and revocation data: checked while the configuration is read, then read
 * by each worker for itself and taken up as they change. What was good stays in force until
 * something good takes its place.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "edge/nginx/ngx_http_subtoken.h"

#define NS INT64_C(1000000000)
#define LOOK_MS 250
#define SECRETS_TEXT_MAX 8192

/* Read once in a turn of the event loop, as nginx reads its own clocks. */
int64_t ngx_http_subtoken_monotonic(void) {
  static struct timespec at;
  static ngx_msec_t turn;
  if (at.tv_sec == 0 || turn != ngx_current_msec) {
    turn = ngx_current_msec;
    (void)clock_gettime(CLOCK_BOOTTIME, &at);
  }
  return at.tv_sec;
}

/* ---- one file ---- */

static ngx_int_t fail(char *why, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  u_char *end = ngx_vslprintf((u_char *)why, (u_char *)why + NGX_HTTP_SUBTOKEN_WHY_MAX - 1, format,
                              arguments);
  va_end(arguments);
  *end = '\0';
  return NGX_ERROR;
}

static ngx_int_t fail_errno(ngx_http_subtoken_file_t *file, char *why) {
  file->error = errno;
  return fail(why, "cannot read \"%V\": %s", &file->path, strerror(file->error));
}

static void stamp_of(const struct stat *status, int64_t stamp[5]) {
  stamp[0] = (int64_t)status->st_dev;
  stamp[1] = (int64_t)status->st_ino;
  stamp[2] = (int64_t)status->st_size;
  stamp[3] = (int64_t)status->st_mtim.tv_sec * NS + status->st_mtim.tv_nsec;
  stamp[4] = (int64_t)status->st_ctim.tv_sec * NS + status->st_ctim.tv_nsec;
}

/* The rules for a ring: see DATA/secrets. Whoever could open a file that only its owner and
 * its group may read is one of them.
 */
static ngx_int_t check_secret(ngx_http_subtoken_file_t *file, const struct stat *status,
                              char *why) {
  ngx_flag_t foreign = status->st_uid != geteuid() && status->st_uid != 0;
  if (foreign && (status->st_mode & S_IRGRP) == 0) {
    return fail(why, "\"%V\" belongs to user %ui, and this runs as user %ui", &file->path,
                (ngx_uint_t)status->st_uid, (ngx_uint_t)geteuid());
  }
  if ((status->st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    return fail(why, "\"%V\" is open to others: chmod 600 it, or 640 for its group", &file->path);
  }
  return NGX_OK;
}

static ngx_int_t read_all(ngx_http_subtoken_file_t *file, int fd, char *out, size_t size,
                          char *why) {
  size_t len = 0;
  while (len < size) {
    ssize_t got = read(fd, out + len, size - len);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(file, why);
    if (got == 0) return fail(why, "\"%V\" was cut short while it was read", &file->path);
    len += (size_t)got;
  }
  return NGX_OK;
}

/* Open a regular file (a FIFO would make us wait); *size is its length, its stamp is kept. */
static int open_file(ngx_http_subtoken_file_t *file, size_t most, ngx_flag_t secret, size_t *size,
                     char *why) {
  struct stat status;
  file->tried = 1;
  file->error = 0;
  int fd = open((char *)file->path.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) != 0) {
    (void)fail_errno(file, why);
    if (fd >= 0) (void)close(fd);
    return -1;
  }
  stamp_of(&status, file->stamp);
  *size = (size_t)status.st_size;
  ngx_int_t good = NGX_OK;
  if (!S_ISREG(status.st_mode)) {
    good = fail(why, "\"%V\" is not a regular file", &file->path);
  } else if (secret) {
    good = check_secret(file, &status, why);
  }
  if (good == NGX_OK && (uint64_t)status.st_size > most) {
    good = fail(why, "\"%V\" is longer than %uz bytes", &file->path, most);
  }
  if (good == NGX_OK) return fd;
  (void)close(fd);
  return -1;
}

/* Has it to be read? A failure to look is to be said once; one to open it is tried again. */
static ngx_flag_t has_changed(ngx_http_subtoken_file_t *file) {
  struct stat status;
  int64_t stamp[5];
  if (!file->tried || file->error != 0) return 1;
  if (stat((char *)file->path.data, &status) != 0) return 1;
  stamp_of(&status, stamp);
  return memcmp(stamp, file->stamp, sizeof stamp) != 0;
}

/* ---- secrets ---- */

static ngx_int_t read_ring(ngx_http_subtoken_file_t *file, subtoken_ring *ring, char *why) {
  char text[SECRETS_TEXT_MAX];
  size_t len, line;
  int fd = open_file(file, sizeof text, 1, &len, why);
  if (fd < 0) return NGX_ERROR;
  ngx_int_t good = read_all(file, fd, text, len, why);
  (void)close(fd);
  if (good == NGX_OK) {
    subtoken_result result = subtoken_ring_read(ring, (subtoken_text){text, len}, &line);
    if (result != SUBTOKEN_OK) {
      const char *problem = subtoken_ring_error((subtoken_text){text, len}, line, result);
      good = line > 0 ? fail(why, "\"%V\" line %uz %s", &file->path, line, problem)
                      : fail(why, "\"%V\" %s", &file->path, problem);
    }
  }
  subtoken_wipe(text, sizeof text);
  return good;
}

/* Pages of its own, so that they can be kept out of core dumps and, where that is allowed,
 * out of swap. */
static subtoken_ring *ring_memory(void) {
  void *memory =
      mmap(NULL, sizeof(subtoken_ring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  (void)madvise(memory, sizeof(subtoken_ring), MADV_DONTDUMP);
  (void)mlock(memory, sizeof(subtoken_ring));
  return memory;
}

static ngx_int_t load_secrets(ngx_http_subtoken_secrets_t *secrets, char *why) {
  subtoken_ring fresh;
  if (secrets->ring == NULL) secrets->ring = ring_memory();
  if (secrets->ring == NULL) return fail_errno(&secrets->file, why);
  ngx_int_t good = read_ring(&secrets->file, &fresh, why);
  if (good == NGX_OK) *secrets->ring = fresh;
  subtoken_wipe(&fresh, sizeof fresh);
  return good;
}

static void drop_secrets(ngx_http_subtoken_secrets_t *secrets) {
  if (secrets->ring == NULL) return;
  subtoken_wipe(secrets->ring, sizeof *secrets->ring);
  (void)munmap(secrets->ring, sizeof *secrets->ring);
  secrets->ring = NULL;
}

/* ---- policies ---- */

static ngx_int_t parse_policy(ngx_http_subtoken_policy_t *policy, subtoken_text text, char *why) {
  subtoken_policy_error error;
  const subtoken_policy *fresh;
  size_t size = subtoken_policy_size(text.len);
  void *memory = malloc(size);
  if (memory == NULL) return fail_errno(&policy->file, why);
  if (subtoken_policy_read(memory, size, text, &fresh, &error) != SUBTOKEN_OK) {
    free(memory);
    return fail(why, "\"%V\" line %uz column %uz: %s", &policy->file.path, error.line, error.column,
                error.text);
  }
  free(policy->memory);
  policy->memory = memory;
  policy->policy = fresh;
  return NGX_OK;
}

static ngx_int_t load_policy(ngx_http_subtoken_policy_t *policy, char *why) {
  size_t len;
  int fd = open_file(&policy->file, SUBTOKEN_POLICY_TEXT_MAX, 0, &len, why);
  if (fd < 0) return NGX_ERROR;
  char *text = malloc(len + 1);
  ngx_int_t good =
      text == NULL ? fail_errno(&policy->file, why) : read_all(&policy->file, fd, text, len, why);
  (void)close(fd);
  if (good == NGX_OK) good = parse_policy(policy, (subtoken_text){text, len}, why);
  free(text);
  return good;
}

static void drop_policy(ngx_http_subtoken_policy_t *policy) {
  free(policy->memory);
  policy->memory = NULL;
  policy->policy = NULL;
}

/* ---- while the configuration is read ---- */

static void *known(ngx_array_t *list, const ngx_str_t *path) {
  void **each = list->elts;
  for (ngx_uint_t i = 0; i < list->nelts; i++) {
    const ngx_http_subtoken_file_t *file = each[i]; /* the first member of what is listed */
    if (file->path.len == path->len && ngx_memcmp(file->path.data, path->data, path->len) == 0) {
      return each[i];
    }
  }
  return NULL;
}

static void *add(ngx_conf_t *cf, ngx_array_t *list, size_t size) {
  void *made = ngx_pcalloc(cf->pool, size);
  void **place = made == NULL ? NULL : ngx_array_push(list);
  if (place != NULL) *place = made;
  return place == NULL ? NULL : made;
}

static ngx_http_subtoken_main_conf_t *main_conf(ngx_conf_t *cf) {
  return ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
}

ngx_http_subtoken_secrets_t *ngx_http_subtoken_add_secrets(ngx_conf_t *cf, ngx_str_t *path) {
  char why[NGX_HTTP_SUBTOKEN_WHY_MAX];
  subtoken_ring ring;
  ngx_http_subtoken_main_conf_t *all = main_conf(cf);
  if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) return NULL;
  ngx_http_subtoken_secrets_t *secrets = known(&all->secrets, path);
  if (secrets != NULL) return secrets;
  secrets = add(cf, &all->secrets, sizeof *secrets);
  if (secrets == NULL) return NULL;
  secrets->file.path = *path;
  ngx_int_t good = read_ring(&secrets->file, &ring, why);
  subtoken_wipe(&ring, sizeof ring);
  secrets->file.tried = 0;
  if (good == NGX_OK) return secrets;
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_secrets: %s", why);
  return NULL;
}

ngx_http_subtoken_policy_t *ngx_http_subtoken_add_policy(ngx_conf_t *cf, ngx_str_t *path) {
  char why[NGX_HTTP_SUBTOKEN_WHY_MAX];
  ngx_http_subtoken_main_conf_t *all = main_conf(cf);
  if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) return NULL;
  ngx_http_subtoken_policy_t *policy = known(&all->policies, path);
  if (policy != NULL) return policy;
  policy = add(cf, &all->policies, sizeof *policy);
  if (policy == NULL) return NULL;
  policy->file.path = *path;
  ngx_int_t good = load_policy(policy, why);
  drop_policy(policy);
  policy->file.tried = 0;
  if (good == NGX_OK) return policy;
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_policy: %s", why);
  return NULL;
}

static const char *event_of(subtoken_feed_result result) {
  const char *event = subtoken_feed_result_event(result);
  return event == NULL ? "feed_bad" : event;
}

/* What time alone can mend must not keep nginx from starting: its answer is 503 until then. */
static ngx_flag_t may_pass(subtoken_feed_result result, int error) {
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

#define MOUNTED_TEXT \
  "is a mount of its own, which never shows the file that replaces it: mount its directory"

static ngx_int_t check_feed(ngx_conf_t *cf, const ngx_http_subtoken_feed_t *feed) {
  char why[NGX_HTTP_SUBTOKEN_WHY_MAX];
  subtoken_ring ring;
  subtoken_feed_file file;
  subtoken_feed_settings settings = {sizeof settings, feed->leeway, feed->max_age, false,
                                     feed->max_size};
  int64_t now = ngx_time(), monotonic = ngx_http_subtoken_monotonic();
  ngx_http_subtoken_file_t secrets = feed->secrets->file;
  if (read_ring(&secrets, &ring, why) != NGX_OK) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_secrets: %s", why);
    return NGX_ERROR;
  }
  subtoken_feed_result result =
      subtoken_feed_file_start(&file, (const char *)feed->path.data, &settings);
  if (result == SUBTOKEN_FEED_OK) result = subtoken_feed_file_load(&file, &ring, now, monotonic);
  if (result == SUBTOKEN_FEED_OK) result = subtoken_feed_check(&file.feed, now, monotonic);
  int error = result == SUBTOKEN_FEED_IO ? file.error : 0;
  if (file.mounted) {
    ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "subtoken_revocations \"%V\" %s", &feed->path,
                       MOUNTED_TEXT);
  }
  subtoken_feed_file_stop(&file);
  subtoken_wipe(&ring, sizeof ring);
  if (result == SUBTOKEN_FEED_OK) return NGX_OK;
  ngx_uint_t level = may_pass(result, error) ? NGX_LOG_WARN : NGX_LOG_EMERG;
  ngx_conf_log_error(level, cf, error, "subtoken_revocations \"%V\": %s: %s", &feed->path,
                     event_of(result), subtoken_feed_result_text(result));
  return level == NGX_LOG_WARN ? NGX_OK : NGX_ERROR;
}

static ngx_http_subtoken_feed_t *known_feed(const ngx_http_subtoken_main_conf_t *all,
                                            const ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_feed_t **each = all->feeds.elts;
  for (ngx_uint_t i = 0; i < all->feeds.nelts; i++) {
    if (each[i]->secrets == conf->secrets && each[i]->leeway == conf->leeway &&
        each[i]->max_size == conf->revocations_max && each[i]->path.len == conf->revocations.len &&
        ngx_memcmp(each[i]->path.data, conf->revocations.data, each[i]->path.len) == 0) {
      return each[i];
    }
  }
  return NULL;
}

ngx_http_subtoken_feed_t *ngx_http_subtoken_add_feed(ngx_conf_t *cf,
                                                     ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_main_conf_t *all = main_conf(cf);
  ngx_http_subtoken_feed_t *feed = known_feed(all, conf);
  if (feed != NULL) {
    if (conf->max_age < feed->max_age) feed->max_age = conf->max_age;
    return feed;
  }
  feed = add(cf, &all->feeds, sizeof *feed);
  if (feed == NULL) return NULL;
  feed->path = conf->revocations;
  feed->secrets = conf->secrets;
  feed->leeway = conf->leeway;
  feed->max_size = conf->revocations_max;
  feed->max_age = conf->max_age;
  return check_feed(cf, feed) == NGX_OK ? feed : NULL;
}

/* ---- in a worker ---- */

static void look_at_secrets(ngx_http_subtoken_secrets_t *secrets, ngx_log_t *log) {
  char why[NGX_HTTP_SUBTOKEN_WHY_MAX];
  ngx_http_subtoken_file_t before = secrets->file;
  if (!has_changed(&secrets->file) || load_secrets(secrets, why) == NGX_OK) return;
  if (before.tried && before.error != 0 && before.error == secrets->file.error) return;
  ngx_log_error(NGX_LOG_ERR, log, 0, "subtoken_secrets: %s; %s", why,
                secrets->ring != NULL && secrets->ring->count > 0
                    ? "the one in use is kept"
                    : "until that is mended the answer is 503");
}

static void look_at_policy(ngx_http_subtoken_policy_t *policy, ngx_log_t *log) {
  char why[NGX_HTTP_SUBTOKEN_WHY_MAX];
  ngx_http_subtoken_file_t before = policy->file;
  if (!has_changed(&policy->file) || load_policy(policy, why) == NGX_OK) return;
  if (before.tried && before.error != 0 && before.error == policy->file.error) return;
  ngx_log_error(
      NGX_LOG_ERR, log, 0, "subtoken_policy: %s; %s", why,
      policy->policy != NULL ? "the one in use is kept" : "until that is mended the answer is 503");
}

/* Once for each kind of trouble, and once when it is over. A pair that does not fit is
 * mostly one that is just being replaced. */
static void tell_feed(ngx_http_subtoken_feed_t *feed, subtoken_feed_result result, ngx_log_t *log) {
  if (result == feed->said) return;
  feed->said = result;
  if (result == SUBTOKEN_FEED_OK) {
    ngx_log_error(NGX_LOG_NOTICE, log, 0, "subtoken_revocations \"%V\": what is there is in use",
                  &feed->path);
    return;
  }
  ngx_uint_t level = result == SUBTOKEN_FEED_PAIR ? NGX_LOG_NOTICE : NGX_LOG_ERR;
  ngx_log_error(level, log, result == SUBTOKEN_FEED_IO ? feed->file->error : 0,
                "subtoken_revocations \"%V\": %s: %s; what is in use is kept", &feed->path,
                event_of(result), subtoken_feed_result_text(result));
}

static void tell_age(ngx_http_subtoken_feed_t *feed, int64_t now, int64_t monotonic,
                     ngx_log_t *log) {
  subtoken_feed at = feed->file->feed;
  at.max_age = feed->max_age;
  at.allow_old = false;
  subtoken_feed_result age = subtoken_feed_check(&at, now, monotonic);
  if (age == feed->age_said) return;
  bool first = feed->age_said == SUBTOKEN_FEED_UNDECIDED;
  feed->age_said = age;
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
static void tell_mount(ngx_http_subtoken_feed_t *feed, ngx_log_t *log) {
  if (!feed->file->mounted || feed->mount_said) return;
  feed->mount_said = 1;
  ngx_log_error(NGX_LOG_ERR, log, 0, "subtoken_revocations \"%V\" %s", &feed->path, MOUNTED_TEXT);
}

static ngx_flag_t look_at_feed(ngx_http_subtoken_feed_t *feed, ngx_log_t *log) {
  int64_t now = ngx_time(), monotonic = ngx_http_subtoken_monotonic();
  subtoken_ring *ring = feed->secrets->ring;
  if (feed->file == NULL || ring == NULL || ring->count == 0) return 0;
  subtoken_feed_result result = subtoken_feed_file_poll(feed->file, ring, now, monotonic);
  if (result == SUBTOKEN_FEED_MORE) return 1;
  tell_feed(feed, result, log);
  tell_age(feed, now, monotonic, log);
  tell_mount(feed, log);
  return 0;
}

/* A slice of work a turn: whatever waits on a socket is served between two of them. */
static void look_again(ngx_event_t *event) {
  ngx_http_subtoken_main_conf_t *all = ((ngx_connection_t *)event->data)->data;
  ngx_http_subtoken_feed_t **feeds = all->feeds.elts;
  ngx_flag_t more = 0;
  if (event->timedout) {
    event->timedout = 0;
    ngx_http_subtoken_secrets_t **secrets = all->secrets.elts;
    ngx_http_subtoken_policy_t **policies = all->policies.elts;
    for (ngx_uint_t i = 0; i < all->secrets.nelts; i++) look_at_secrets(secrets[i], event->log);
    for (ngx_uint_t i = 0; i < all->policies.nelts; i++) look_at_policy(policies[i], event->log);
  }
  for (ngx_uint_t i = 0; i < all->feeds.nelts && !more; i++) {
    more = look_at_feed(feeds[i], event->log);
  }
  if (more) {
    ngx_post_event(event, &ngx_posted_next_events);
  } else {
    ngx_add_timer(event, LOOK_MS);
  }
}

static void start_feed(ngx_http_subtoken_feed_t *feed, ngx_log_t *log) {
  int64_t now = ngx_time(), monotonic = ngx_http_subtoken_monotonic();
  subtoken_feed_settings settings = {sizeof settings, feed->leeway, feed->max_age, false,
                                     feed->max_size};
  subtoken_ring *ring = feed->secrets->ring;
  feed->file = malloc(sizeof *feed->file);
  if (feed->file == NULL) return;
  if (subtoken_feed_file_start(feed->file, (const char *)feed->path.data, &settings) !=
      SUBTOKEN_FEED_OK) {
    free(feed->file);
    feed->file = NULL;
    return;
  }
  feed->said = SUBTOKEN_FEED_OK;
  if (ring == NULL || ring->count == 0) return;
  tell_feed(feed, subtoken_feed_file_load(feed->file, ring, now, monotonic), log);
  tell_age(feed, now, monotonic, log);
}

static void stop(void *data) {
  ngx_http_subtoken_main_conf_t *all = data;
  ngx_http_subtoken_secrets_t **secrets = all->secrets.elts;
  ngx_http_subtoken_policy_t **policies = all->policies.elts;
  ngx_http_subtoken_feed_t **feeds = all->feeds.elts;
  if (all->timer.timer_set) ngx_del_timer(&all->timer);
  if (all->timer.posted) {
    ngx_delete_posted_event(&all->timer); /* two statements */
  }
  for (ngx_uint_t i = 0; i < all->feeds.nelts; i++) {
    subtoken_feed_file_stop(feeds[i]->file);
    free(feeds[i]->file);
    feeds[i]->file = NULL;
  }
  for (ngx_uint_t i = 0; i < all->secrets.nelts; i++) drop_secrets(secrets[i]);
  for (ngx_uint_t i = 0; i < all->policies.nelts; i++) drop_policy(policies[i]);
}

ngx_int_t ngx_http_subtoken_start(ngx_cycle_t *cycle, ngx_http_subtoken_main_conf_t *all) {
  ngx_http_subtoken_secrets_t **secrets = all->secrets.elts;
  ngx_http_subtoken_policy_t **policies = all->policies.elts;
  ngx_http_subtoken_feed_t **feeds = all->feeds.elts;
  if (all->secrets.nelts + all->policies.nelts == 0) return NGX_OK;
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cycle->pool, 0);
  if (cleanup == NULL) return NGX_ERROR;
  cleanup->handler = stop;
  cleanup->data = all;
  if (all->fallback) all->cache = ngx_http_subtoken_cache_make(cycle->pool);
  for (ngx_uint_t i = 0; i < all->secrets.nelts; i++) look_at_secrets(secrets[i], cycle->log);
  for (ngx_uint_t i = 0; i < all->policies.nelts; i++) look_at_policy(policies[i], cycle->log);
  for (ngx_uint_t i = 0; i < all->feeds.nelts; i++) start_feed(feeds[i], cycle->log);
  all->timer_connection.fd = (ngx_socket_t)-1;
  all->timer_connection.data = all;
  all->timer.data = &all->timer_connection;
  all->timer.handler = look_again;
  all->timer.log = cycle->log;
  all->timer.cancelable = 1;
  ngx_add_timer(&all->timer, LOOK_MS);
  return NGX_OK;
}
