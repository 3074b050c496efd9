/* The ring, the policies and the revocation data: checked while the configuration is read, then
 * read by each process for itself, and again when they change. A thread of the process does that;
 * requests read under a lock that it takes for what it has prepared, and for a slice of revocation
 * data. What is good stays in use until something good replaces it.
 */
#include <ap_mpm.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "edge/apache/subtoken_apache.h"

#define FILES_SECRETS_MAX 8192
#define FILES_POLL_MS 50
#define FILES_POLLS 10 /* between two looks at ring and policies */
#define FILES_NS INT64_C(1000000000)

/* Of the configuration: they last until the next one is read. */
static apr_array_header_t *files_secrets, *files_policies, *files_feeds;

static pthread_rwlock_t files_lock;
static pthread_mutex_t files_end_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t files_end_signal;
static pthread_t files_thread;
static bool files_wanted, files_ending;
static atomic_bool files_running;
static _Atomic int64_t files_tried_at; /* to start the thread */
static server_rec *files_server;

static void files_start_thread_again(void);

int64_t mod_subtoken_files_monotonic(void) {
  struct timespec at = {0, 0};
  (void)clock_gettime(CLOCK_BOOTTIME, &at);
  return at.tv_sec;
}

static int64_t files_now(void) {
  return (int64_t)time(NULL);
}

void mod_subtoken_files_lock(void) {
  if (!atomic_load_explicit(&files_running, memory_order_relaxed)) files_start_thread_again();
  (void)pthread_rwlock_rdlock(&files_lock);
}

void mod_subtoken_files_unlock(void) {
  (void)pthread_rwlock_unlock(&files_lock);
}

/* ---- the ring ---- */

static bool files_read_ring(mod_subtoken_secrets *secrets, subtoken_ring *ring, char *error) {
  char text[FILES_SECRETS_MAX];
  size_t len, line = 0;
  subtoken_result result = SUBTOKEN_UNDECIDED;
  int fd = mod_subtoken_file_open(&secrets->file, sizeof text, &len, error);
  if (fd < 0) return false;
  bool good = mod_subtoken_file_read(&secrets->file, fd, text, len, error);
  (void)close(fd);
  if (good) result = subtoken_ring_read(ring, (subtoken_text){text, len}, &line);
  if (good && result != SUBTOKEN_OK) {
    const char *problem = subtoken_ring_error((subtoken_text){text, len}, line, result);
    good = line > 0 ? mod_subtoken_file_fail(error, "\"%s\" line %lu %s", secrets->file.path,
                                             (unsigned long)line, problem)
                    : mod_subtoken_file_fail(error, "\"%s\" %s", secrets->file.path, problem);
  }
  subtoken_wipe(text, sizeof text);
  return good;
}

/* Pages of its own, so that they can be kept out of core dumps and, where that is allowed, out of
 * swap.
 */
static subtoken_ring *files_map_ring(void) {
  void *memory =
      mmap(NULL, sizeof(subtoken_ring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  (void)madvise(memory, sizeof(subtoken_ring), MADV_DONTDUMP);
  (void)mlock(memory, sizeof(subtoken_ring));
  return memory;
}

/* Requests may read it already. */
static bool files_has_memory(mod_subtoken_secrets *secrets) {
  if (secrets->ring != NULL) return true;
  subtoken_ring *ring = files_map_ring();
  if (ring == NULL) return false;
  (void)pthread_rwlock_wrlock(&files_lock);
  secrets->ring = ring;
  mod_subtoken_files_unlock();
  return true;
}

static bool files_has_ring(const mod_subtoken_secrets *secrets) {
  return secrets->ring != NULL && secrets->ring->count > 0;
}

static void files_poll_secrets(mod_subtoken_secrets *secrets) {
  char error[MOD_SUBTOKEN_ERROR_MAX];
  subtoken_ring fresh;
  mod_subtoken_file before = secrets->file;
  if (!files_has_memory(secrets) || !mod_subtoken_file_has_changed(&secrets->file)) return;
  bool good = files_read_ring(secrets, &fresh, error);
  if (good) {
    (void)pthread_rwlock_wrlock(&files_lock);
    *secrets->ring = fresh;
    mod_subtoken_files_unlock();
  }
  subtoken_wipe(&fresh, sizeof fresh);
  if (good || (before.tried && before.error != 0 && before.error == secrets->file.error)) return;
  ap_log_error(
      APLOG_MARK, APLOG_ERR, 0, files_server, "SubtokenSecrets: %s; %s", error,
      files_has_ring(secrets) ? "what is loaded stays in use" : "requests are answered with 503");
}

/* ---- policies ---- */

/* *memory is the caller's to free. */
static bool files_read_policy(mod_subtoken_policy *policy, void **memory,
                              const subtoken_policy **fresh, char *error) {
  size_t len;
  subtoken_policy_error fault = {0};
  *memory = NULL;
  int fd = mod_subtoken_file_open(&policy->file, SUBTOKEN_POLICY_TEXT_MAX, &len, error);
  if (fd < 0) return false;
  char *text = malloc(len + 1);
  size_t size = subtoken_policy_size(len);
  *memory = malloc(size);
  bool good = false;
  if (text != NULL && *memory != NULL) {
    good = mod_subtoken_file_read(&policy->file, fd, text, len, error);
  } else {
    policy->file.error = ENOMEM; /* so that it is tried again */
    (void)mod_subtoken_file_fail(error, "\"%s\": no memory", policy->file.path);
  }
  (void)close(fd);
  if (good && subtoken_policy_read(*memory, size, (subtoken_text){text, len}, fresh, &fault) !=
                  SUBTOKEN_OK) {
    good =
        mod_subtoken_file_fail(error, "\"%s\" line %lu column %lu: %s", policy->file.path,
                               (unsigned long)fault.line, (unsigned long)fault.column, fault.text);
  }
  free(text);
  if (good) return true;
  free(*memory);
  *memory = NULL;
  return false;
}

static void files_poll_policy(mod_subtoken_policy *policy) {
  char error[MOD_SUBTOKEN_ERROR_MAX];
  mod_subtoken_file before = policy->file;
  const subtoken_policy *fresh;
  void *memory, *old;
  if (!mod_subtoken_file_has_changed(&policy->file)) return;
  if (files_read_policy(policy, &memory, &fresh, error)) {
    (void)pthread_rwlock_wrlock(&files_lock);
    old = policy->memory;
    policy->memory = memory;
    policy->policy = fresh;
    mod_subtoken_files_unlock();
    free(old);
    return;
  }
  if (before.tried && before.error != 0 && before.error == policy->file.error) return;
  ap_log_error(
      APLOG_MARK, APLOG_ERR, 0, files_server, "SubtokenPolicy: %s; %s", error,
      policy->policy != NULL ? "what is loaded stays in use" : "requests are answered with 503");
}

/* ---- revocation data ---- */

static const char *files_feed_event(subtoken_feed_result result) {
  const char *event = subtoken_feed_result_event(result);
  return event == NULL ? "feed_bad" : event;
}

/* Once for each kind of error, and once when it is over. A pair that does not match is usually one
 * that is just being replaced.
 */
static void files_log_feed(mod_subtoken_feed *feed, subtoken_feed_result result) {
  if (result != feed->logged && result != SUBTOKEN_FEED_MORE) {
    feed->logged = result;
    ap_log_error(
        APLOG_MARK,
        result == SUBTOKEN_FEED_OK || result == SUBTOKEN_FEED_PAIR ? APLOG_NOTICE : APLOG_ERR, 0,
        files_server, "SubtokenRevocations \"%s\": %s: %s", feed->path,
        result == SUBTOKEN_FEED_OK ? "loaded" : files_feed_event(result),
        subtoken_feed_result_text(result));
  }
  int64_t now = files_now(), monotonic = mod_subtoken_files_monotonic();
  subtoken_feed_result age = subtoken_feed_check(&feed->file.feed, now, monotonic);
  if (age == feed->age_logged) return;
  bool first = feed->age_logged == SUBTOKEN_FEED_UNDECIDED;
  feed->age_logged = age;
  if (age == SUBTOKEN_FEED_OK) {
    if (first) return;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, files_server,
                 "SubtokenRevocations \"%s\" is fresh again", feed->path);
    return;
  }
  ap_log_error(APLOG_MARK, APLOG_ERR, 0, files_server, "SubtokenRevocations \"%s\": feed_stale: %s",
               feed->path, subtoken_feed_result_text(age));
}

/* True: there is more to do. */
static bool files_poll_feed(mod_subtoken_feed *feed) {
  if (!feed->started || !files_has_ring(feed->secrets)) return false;
  (void)pthread_rwlock_wrlock(&files_lock);
  subtoken_feed_result result = subtoken_feed_file_poll(
      &feed->file, feed->secrets->ring, files_now(), mod_subtoken_files_monotonic());
  mod_subtoken_files_unlock();
  if (result == SUBTOKEN_FEED_MORE) return true;
  files_log_feed(feed, result);
  return false;
}

static bool files_start_feed(mod_subtoken_feed *feed, subtoken_feed_file *file) {
  subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  settings.leeway = feed->leeway;
  settings.max_age = feed->max_age;
  settings.allow_old = feed->allow_old;
  return subtoken_feed_file_start(file, feed->path, &settings) == SUBTOKEN_FEED_OK;
}

/* ---- the lists of the configuration ---- */

void mod_subtoken_files_begin(apr_pool_t *pconf) {
  files_secrets = apr_array_make(pconf, 2, sizeof(mod_subtoken_secrets *));
  files_policies = apr_array_make(pconf, 4, sizeof(mod_subtoken_policy *));
  files_feeds = apr_array_make(pconf, 2, sizeof(mod_subtoken_feed *));
}

mod_subtoken_secrets *mod_subtoken_files_add_secrets(apr_pool_t *pool, const char *path,
                                                     bool trusted_group) {
  for (int i = 0; i < files_secrets->nelts; i++) {
    mod_subtoken_secrets *each = APR_ARRAY_IDX(files_secrets, i, mod_subtoken_secrets *);
    if (strcmp(each->file.path, path) == 0 && each->file.trusted_group == trusted_group) {
      return each;
    }
  }
  mod_subtoken_secrets *secrets = apr_pcalloc(pool, sizeof *secrets);
  secrets->file.path = apr_pstrdup(pool, path);
  secrets->file.secret = true;
  secrets->file.trusted_group = trusted_group;
  APR_ARRAY_PUSH(files_secrets, mod_subtoken_secrets *) = secrets;
  return secrets;
}

mod_subtoken_policy *mod_subtoken_files_add_policy(apr_pool_t *pool, const char *path) {
  for (int i = 0; i < files_policies->nelts; i++) {
    mod_subtoken_policy *each = APR_ARRAY_IDX(files_policies, i, mod_subtoken_policy *);
    if (strcmp(each->file.path, path) == 0) return each;
  }
  mod_subtoken_policy *policy = apr_pcalloc(pool, sizeof *policy);
  policy->file.path = apr_pstrdup(pool, path);
  APR_ARRAY_PUSH(files_policies, mod_subtoken_policy *) = policy;
  return policy;
}

mod_subtoken_feed *mod_subtoken_files_add_feed(apr_pool_t *pool, const mod_subtoken_feed *wanted) {
  for (int i = 0; i < files_feeds->nelts; i++) {
    mod_subtoken_feed *each = APR_ARRAY_IDX(files_feeds, i, mod_subtoken_feed *);
    if (strcmp(each->path, wanted->path) == 0 && each->secrets == wanted->secrets &&
        each->leeway == wanted->leeway && each->max_age == wanted->max_age &&
        each->allow_old == wanted->allow_old) {
      return each;
    }
  }
  mod_subtoken_feed *feed = apr_pmemdup(pool, wanted, sizeof *wanted);
  APR_ARRAY_PUSH(files_feeds, mod_subtoken_feed *) = feed;
  return feed;
}

/* Ring and policies must be good to start with. Revocation data may come later: until then requests
 * are answered with 503.
 */
bool mod_subtoken_files_check(server_rec *server) {
  char error[MOD_SUBTOKEN_ERROR_MAX];
  for (int i = 0; i < files_secrets->nelts; i++) {
    mod_subtoken_secrets *secrets = APR_ARRAY_IDX(files_secrets, i, mod_subtoken_secrets *);
    subtoken_ring ring;
    bool good = files_read_ring(secrets, &ring, error);
    subtoken_wipe(&ring, sizeof ring);
    secrets->file.tried = false; /* each process reads it for itself */
    if (good) continue;
    ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, server, "SubtokenSecrets: %s", error);
    return false;
  }
  for (int i = 0; i < files_policies->nelts; i++) {
    mod_subtoken_policy *policy = APR_ARRAY_IDX(files_policies, i, mod_subtoken_policy *);
    void *memory;
    const subtoken_policy *fresh;
    bool good = files_read_policy(policy, &memory, &fresh, error);
    free(memory);
    policy->file.tried = false;
    if (good) continue;
    ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, server, "SubtokenPolicy: %s", error);
    return false;
  }
  for (int i = 0; i < files_feeds->nelts; i++) {
    mod_subtoken_feed *feed = APR_ARRAY_IDX(files_feeds, i, mod_subtoken_feed *);
    subtoken_feed_file file;
    bool good = files_start_feed(feed, &file);
    if (good) {
      subtoken_feed_file_stop(&file);
      continue;
    }
    ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, server,
                 "SubtokenRevocations: \"%s\", SubtokenLeeway or SubtokenMaxAge is out of range",
                 feed->path);
    return false;
  }
  return true;
}

/* ---- in a process ---- */

static bool files_wait(int milliseconds) {
  struct timespec until;
  (void)clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += (long)milliseconds * 1000000;
  until.tv_sec += until.tv_nsec / FILES_NS;
  until.tv_nsec %= FILES_NS;
  (void)pthread_mutex_lock(&files_end_lock);
  if (!files_ending && milliseconds > 0) {
    (void)pthread_cond_timedwait(&files_end_signal, &files_end_lock, &until);
  }
  bool ending = files_ending;
  (void)pthread_mutex_unlock(&files_end_lock);
  return !ending;
}

static void *files_run(void *unused) {
  (void)unused;
  for (unsigned n = 1; files_wait(FILES_POLL_MS); n++) {
    if (n % FILES_POLLS == 0) {
      for (int i = 0; i < files_secrets->nelts; i++) {
        mod_subtoken_secrets *secrets = APR_ARRAY_IDX(files_secrets, i, mod_subtoken_secrets *);
        files_poll_secrets(secrets);
      }
      for (int i = 0; i < files_policies->nelts; i++) {
        mod_subtoken_policy *policy = APR_ARRAY_IDX(files_policies, i, mod_subtoken_policy *);
        files_poll_policy(policy);
      }
    }
    for (int i = 0; i < files_feeds->nelts; i++) {
      mod_subtoken_feed *feed = APR_ARRAY_IDX(files_feeds, i, mod_subtoken_feed *);
      while (files_poll_feed(feed) && files_wait(0)) continue;
    }
  }
  return NULL;
}

/* Requests that are still under way are refused from now on. */
static apr_status_t files_stop(void *unused) {
  (void)unused;
  (void)pthread_mutex_lock(&files_end_lock);
  files_ending = true;
  (void)pthread_cond_signal(&files_end_signal);
  (void)pthread_mutex_unlock(&files_end_lock);
  if (atomic_load(&files_running)) (void)pthread_join(files_thread, NULL);
  atomic_store(&files_running, false);
  (void)pthread_rwlock_wrlock(&files_lock);
  for (int i = 0; i < files_secrets->nelts; i++) {
    mod_subtoken_secrets *secrets = APR_ARRAY_IDX(files_secrets, i, mod_subtoken_secrets *);
    if (secrets->ring != NULL) subtoken_wipe(secrets->ring, sizeof *secrets->ring);
  }
  for (int i = 0; i < files_feeds->nelts; i++) {
    mod_subtoken_feed *feed = APR_ARRAY_IDX(files_feeds, i, mod_subtoken_feed *);
    if (feed->started) subtoken_feed_file_stop(&feed->file);
  }
  mod_subtoken_files_unlock();
  mod_subtoken_caches_end();
  return APR_SUCCESS;
}

static void files_load(void) {
  for (int i = 0; i < files_secrets->nelts; i++) {
    mod_subtoken_secrets *secrets = APR_ARRAY_IDX(files_secrets, i, mod_subtoken_secrets *);
    files_poll_secrets(secrets);
  }
  for (int i = 0; i < files_policies->nelts; i++) {
    mod_subtoken_policy *policy = APR_ARRAY_IDX(files_policies, i, mod_subtoken_policy *);
    files_poll_policy(policy);
  }
  for (int i = 0; i < files_feeds->nelts; i++) {
    mod_subtoken_feed *feed = APR_ARRAY_IDX(files_feeds, i, mod_subtoken_feed *);
    feed->started = files_start_feed(feed, &feed->file);
    feed->logged = SUBTOKEN_FEED_OK;
    if (!feed->started || !files_has_ring(feed->secrets)) continue;
    files_log_feed(feed, subtoken_feed_file_load(&feed->file, feed->secrets->ring, files_now(),
                                                 mod_subtoken_files_monotonic()));
  }
}

/* The thread keeps the mask, because signals are httpd's to take. */
static bool files_start_thread(void) {
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  bool running = pthread_create(&files_thread, NULL, files_run, NULL) == 0;
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (running) atomic_store(&files_running, true);
  return running;
}

/* By a request, once a second, in a process that could not start it. */
static void files_start_thread_again(void) {
  int64_t now = mod_subtoken_files_monotonic();
  if (atomic_load(&files_tried_at) == now) return;
  (void)pthread_mutex_lock(&files_end_lock);
  bool due = files_wanted && !files_ending && !atomic_load(&files_running) &&
             atomic_exchange(&files_tried_at, now) != now;
  bool started = due && files_start_thread();
  (void)pthread_mutex_unlock(&files_end_lock);
  if (started) {
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, files_server,
                 "subtoken: changed files are read again");
  }
}

/* A reader that always comes first would keep the thread from ever taking up a revocation. */
static void files_init_locks(void) {
  pthread_rwlockattr_t readers;
  pthread_condattr_t clock;
  (void)pthread_rwlockattr_init(&readers);
  (void)pthread_rwlockattr_setkind_np(&readers, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  (void)pthread_rwlock_init(&files_lock, &readers);
  (void)pthread_condattr_init(&clock);
  (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&files_end_signal, &clock);
}

/* A child that is told to end while it starts ends in the handler of that signal, which clears the
 * pool: not in the middle of this.
 */
void mod_subtoken_files_start(apr_pool_t *pchild, server_rec *server, size_t cache_size) {
  sigset_t all, before;
  int threads = 0;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  files_server = server;
  files_init_locks();
  if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 1) threads = 1;
  mod_subtoken_caches_begin(pchild, (size_t)threads, cache_size);
  if (files_secrets->nelts + files_policies->nelts > 0) {
    files_load();
    apr_pool_cleanup_register(pchild, NULL, files_stop, apr_pool_cleanup_null);
    files_wanted = true;
    atomic_store(&files_tried_at, mod_subtoken_files_monotonic());
    if (!files_start_thread()) {
      ap_log_error(APLOG_MARK, APLOG_ERR, 0, files_server,
                   "subtoken: cannot start a thread: changed files are not read until it can");
    }
  }
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}
