/* What an edge holds: secrets, policy and revocation data, read as HAProxy reads its configuration,
 * and polled while it runs. What was good stays in use until another good one replaces it. The
 * library keeps the revocation data (subtoken/feed.h); this file says what becomes of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "edge/haproxy/haproxy.h"

#define ST_HAPROXY_EDGE_SECRETS_MAX 8192
/* The task of subtoken.lua polls each 50 ms; a request does where that has ended. */
#define ST_HAPROXY_EDGE_LATE_MS 1000
#define ST_HAPROXY_EDGE_MOUNTED \
  "is a mount of its own, which never shows the file that replaces it: mount its directory"

st_haproxy_edge *st_haproxy_edge_check(lua_State *L, int at) {
  return luaL_checkudata(L, at, ST_HAPROXY_EDGE_TYPE);
}

static int64_t st_haproxy_edge_clock_ms(void) {
  struct timespec at;
  (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &at);
  return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static int64_t st_haproxy_edge_clock(void) {
  struct timespec at;
  (void)clock_gettime(CLOCK_REALTIME_COARSE, &at);
  return (int64_t)at.tv_sec;
}

/* It counts what a machine sleeps, too. */
static int64_t st_haproxy_edge_monotonic(void) {
  struct timespec at;
  (void)clock_gettime(CLOCK_BOOTTIME, &at);
  return (int64_t)at.tv_sec;
}

/* Pages of its own, kept out of core dumps and, where that is allowed, out of swap. */
static void *st_haproxy_edge_map(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  (void)madvise(memory, size, MADV_DONTDUMP);
  (void)mlock(memory, size);
  return memory;
}

static void st_haproxy_edge_unmap(void *memory, size_t size) {
  if (memory == NULL) return;
  subtoken_wipe(memory, size);
  (void)munmap(memory, size);
}

/* ---- secrets ---- */

/* line 0: none of them is wrong. */
static void st_haproxy_edge_ring_error(const char *named, subtoken_text text, size_t line,
                                       subtoken_result result, char *error) {
  const char *problem = subtoken_ring_error(text, line, result);
  if (line > 0) {
    (void)st_haproxy_file_fail(error, "secrets: \"%s\" line %zu %s", named, line, problem);
  } else {
    (void)st_haproxy_file_fail(error, "secrets: \"%s\" %s", named, problem);
  }
}

static bool st_haproxy_edge_load_secrets(st_haproxy_edge *edge, char *error) {
  subtoken_ring fresh;
  size_t len, line;
  st_haproxy_file *file = &edge->secrets_file;
  char *text = st_haproxy_file_read(file, ST_HAPROXY_EDGE_SECRETS_MAX, &len, error);
  if (text == NULL) return false;
  subtoken_text view = {text, len};
  subtoken_result result = subtoken_ring_read(&fresh, view, &line);
  if (result == SUBTOKEN_OK) {
    *edge->ring = fresh;
  } else {
    st_haproxy_edge_ring_error(file->named, view, line, result, error);
  }
  subtoken_wipe(&fresh, sizeof fresh);
  subtoken_wipe(text, len);
  free(text);
  return result == SUBTOKEN_OK;
}

/* ---- policy ---- */

static bool st_haproxy_edge_read_policy(st_haproxy_edge *edge, subtoken_text text, char *error) {
  subtoken_policy_error problem;
  const subtoken_policy *fresh;
  size_t size = subtoken_policy_size(text.len);
  void *memory = malloc(size);
  if (memory == NULL) {
    edge->policy_file.error = ENOMEM; /* so that it is tried again */
    return st_haproxy_file_fail(error, "policy: no memory");
  }
  if (subtoken_policy_read(memory, size, text, &fresh, &problem) != SUBTOKEN_OK) {
    free(memory);
    return st_haproxy_file_fail(error, "policy: \"%s\" line %zu column %zu: %s",
                                edge->policy_file.named, problem.line, problem.column,
                                problem.text);
  }
  free(edge->policy_memory);
  edge->policy_memory = memory;
  edge->edge.policy = fresh;
  return true;
}

static bool st_haproxy_edge_load_policy(st_haproxy_edge *edge, char *error) {
  size_t len;
  char *text = st_haproxy_file_read(&edge->policy_file, SUBTOKEN_POLICY_TEXT_MAX, &len, error);
  if (text == NULL) return false;
  bool read = st_haproxy_edge_read_policy(edge, (subtoken_text){text, len}, error);
  free(text);
  return read;
}

/* ---- revocation data ---- */

static const char *st_haproxy_edge_event(subtoken_feed_result result) {
  const char *event = subtoken_feed_result_event(result);
  return event == NULL ? "feed_bad" : event;
}

/* Data that time alone can make good must not keep HAProxy from starting: until then it answers
 * with 503.
 */
static bool st_haproxy_edge_may_start(subtoken_feed_result result, int error) {
  switch (result) {
    case SUBTOKEN_FEED_OK:
    case SUBTOKEN_FEED_OLD:
    case SUBTOKEN_FEED_OLD_ALLOWED:
    case SUBTOKEN_FEED_PAIR:
    case SUBTOKEN_FEED_FUTURE: return true;
    case SUBTOKEN_FEED_IO: return error == ENOENT;
    default: return false;
  }
}

static void st_haproxy_edge_stop_feed(subtoken_feed_file *feed) {
  if (feed == NULL) return;
  subtoken_feed_file_stop(feed);
  free(feed);
}

static subtoken_feed_file *st_haproxy_edge_start_feed(const st_haproxy_edge *edge) {
  subtoken_feed_file *feed = malloc(sizeof *feed);
  if (feed == NULL) return NULL;
  if (subtoken_feed_file_start(feed, edge->feed_name.path, &edge->feed_settings) ==
      SUBTOKEN_FEED_OK) {
    return feed;
  }
  free(feed);
  return NULL;
}

static void st_haproxy_edge_use_feed(st_haproxy_edge *edge, subtoken_feed_file *feed) {
  st_haproxy_edge_stop_feed(edge->feed);
  edge->feed = feed;
  edge->clock.feed = &feed->feed;
  edge->verifier.revoked = subtoken_feed_revoked;
  edge->verifier.revoked_context = &edge->clock;
}

static bool st_haproxy_edge_open_feed(st_haproxy_edge *edge, char *error, char *warning) {
  int64_t now = st_haproxy_edge_clock(), monotonic = st_haproxy_edge_monotonic();
  subtoken_feed_file *feed = st_haproxy_edge_start_feed(edge);
  if (feed == NULL) return st_haproxy_file_fail(error, "revocations: no memory");
  st_haproxy_edge_use_feed(edge, feed);
  edge->feed_logged = SUBTOKEN_FEED_OK;
  subtoken_feed_result result = subtoken_feed_file_load(feed, edge->ring, now, monotonic);
  if (result == SUBTOKEN_FEED_OK) result = subtoken_feed_check(&feed->feed, now, monotonic);
  if (result == SUBTOKEN_FEED_OK) return true;
  bool may_start = st_haproxy_edge_may_start(result, edge->feed->error);
  (void)st_haproxy_file_fail(may_start ? warning : error, "revocations \"%s\": %s: %s",
                             edge->feed_name.named, st_haproxy_edge_event(result),
                             subtoken_feed_result_text(result));
  return may_start;
}

/* ---- opening and closing ---- */

static bool st_haproxy_edge_split_needs(st_haproxy_edge *edge, const char *require, char *error) {
  if (require == NULL || require[0] == '\0') return true;
  edge->require = strdup(require);
  if (edge->require == NULL) return st_haproxy_file_fail(error, "require: no memory");
  for (const char *at = edge->require; at != NULL;) {
    const char *comma = strchr(at, ',');
    size_t len = comma == NULL ? strlen(at) : (size_t)(comma - at);
    if (len == 0 || len > SUBTOKEN_PERMISSION_MAX) {
      return st_haproxy_file_fail(error, "require: a permission has 1 to %d characters",
                                  SUBTOKEN_PERMISSION_MAX);
    }
    if (edge->edge.needs_count == ST_HAPROXY_NEEDS_MAX) {
      return st_haproxy_file_fail(error, "require: too many entries (maximum %d)",
                                  ST_HAPROXY_NEEDS_MAX);
    }
    edge->needs[edge->edge.needs_count++] = (subtoken_text){at, len};
    at = comma == NULL ? NULL : comma + 1;
  }
  edge->edge.needs = edge->needs;
  return true;
}

static bool st_haproxy_edge_name(st_haproxy_edge *edge, const st_haproxy_settings *settings,
                                 char *error) {
  if (settings->secrets == NULL) return st_haproxy_file_fail(error, "secrets: must be given");
  edge->secrets_file.secret = true;
  edge->secrets_file.trusted_group = settings->trust_group;
  return st_haproxy_file_name(&edge->secrets_file, "secrets", settings->secrets, error) &&
         (settings->policy == NULL ||
          st_haproxy_file_name(&edge->policy_file, "policy", settings->policy, error)) &&
         (settings->revocations == NULL ||
          st_haproxy_file_name(&edge->feed_name, "revocations", settings->revocations, error));
}

/* NULL: it is not set. */
static bool st_haproxy_edge_copy(subtoken_text *to, char **memory, const char *text, char *error) {
  if (text == NULL) return true;
  *memory = strdup(text);
  if (*memory == NULL) return st_haproxy_file_fail(error, "no memory");
  *to = (subtoken_text){*memory, strlen(*memory)};
  return true;
}

static bool st_haproxy_edge_set_names(st_haproxy_edge *edge, const st_haproxy_settings *settings,
                                      char *error) {
  const char *audience = settings->audience, *issuer = settings->issuer;
  if (audience != NULL && audience[0] == '\0') {
    return st_haproxy_file_fail(error, "audience: must not be empty");
  }
  if (issuer != NULL &&
      (strncmp(issuer, "https://", 8) != 0 || strlen(issuer) > SUBTOKEN_ISSUER_MAX)) {
    return st_haproxy_file_fail(error, "issuer: must be an https URL");
  }
  return st_haproxy_edge_copy(&edge->verifier.aud, &edge->audience, audience, error) &&
         st_haproxy_edge_copy(&edge->edge.issuer, &edge->issuer, issuer, error);
}

static bool st_haproxy_edge_set(st_haproxy_edge *edge, const st_haproxy_settings *settings,
                                char *error) {
  if (settings->leeway < 0 || settings->leeway > SUBTOKEN_LEEWAY_MAX) {
    return st_haproxy_file_fail(error, "leeway: must be 0 to %d seconds", SUBTOKEN_LEEWAY_MAX);
  }
  if (settings->max_age < 0 || settings->max_life < 1 || settings->max_size < 0) {
    return st_haproxy_file_fail(error, "max_age, max_life or max_size: out of range");
  }
  edge->edge = (subtoken_edge)SUBTOKEN_EDGE_DEFAULT;
  edge->verifier = (subtoken_verifier)SUBTOKEN_VERIFIER_DEFAULT;
  edge->edge.verifier = &edge->verifier;
  edge->edge.may_ask = settings->ask;
  edge->edge.reads_bodies = settings->bodies;
  edge->verifier.ring = edge->ring;
  edge->verifier.leeway = settings->leeway;
  edge->verifier.max_life = settings->max_life;
  edge->verifier.without_revocations = settings->revocations == NULL;
  if (settings->cache > 0) edge->verifier.cache = &edge->cache;
  edge->feed_settings =
      (subtoken_feed_settings){sizeof edge->feed_settings, settings->leeway, settings->max_age,
                               settings->allow_old, (size_t)settings->max_size};
  return st_haproxy_edge_set_names(edge, settings, error) &&
         st_haproxy_edge_split_needs(edge, settings->require, error);
}

static bool st_haproxy_edge_make_cache(st_haproxy_edge *edge, lua_Integer size, char *error) {
  if (size == 0) return true;
  if (size < SUBTOKEN_CACHE_MIN) {
    return st_haproxy_file_fail(error, "cache: must be 0 or at least %d bytes", SUBTOKEN_CACHE_MIN);
  }
  edge->cache_size = (size_t)size;
  edge->cache_memory = st_haproxy_edge_map(edge->cache_size);
  if (edge->cache_memory != NULL &&
      subtoken_cache_init(&edge->cache, edge->cache_memory, edge->cache_size) == SUBTOKEN_OK) {
    return true;
  }
  return st_haproxy_file_fail(error, "cache: no memory");
}

bool st_haproxy_edge_open(st_haproxy_edge *edge, const st_haproxy_settings *settings, char *error,
                          char *warning) {
  warning[0] = '\0';
  memset(edge, 0, sizeof *edge);
  edge->ring = st_haproxy_edge_map(sizeof *edge->ring);
  if (edge->ring == NULL) return st_haproxy_file_fail(error, "no memory");
  edge->polled_ms = st_haproxy_edge_clock_ms();
  edge->clock.monotonic = st_haproxy_edge_monotonic();
  return st_haproxy_edge_name(edge, settings, error) &&
         st_haproxy_edge_set(edge, settings, error) &&
         st_haproxy_edge_make_cache(edge, settings->cache, error) &&
         st_haproxy_edge_load_secrets(edge, error) &&
         (settings->policy == NULL || st_haproxy_edge_load_policy(edge, error)) &&
         (settings->revocations == NULL || st_haproxy_edge_open_feed(edge, error, warning));
}

void st_haproxy_edge_close(st_haproxy_edge *edge) {
  st_haproxy_edge_stop_feed(edge->feed);
  st_haproxy_edge_unmap(edge->ring, sizeof *edge->ring);
  st_haproxy_edge_unmap(edge->cache_memory, edge->cache_size);
  free(edge->policy_memory);
  free(edge->require);
  free(edge->audience);
  free(edge->issuer);
  memset(edge, 0, sizeof *edge); /* a zeroed edge refuses */
}

/* ---- messages ---- */

static void st_haproxy_edge_say(const st_haproxy_log *log, int level, const char *text) {
  lua_pushvalue(log->L, log->function);
  lua_pushinteger(log->L, level);
  lua_pushstring(log->L, text);
  lua_call(log->L, 2, 0);
}

/* Once for each kind of error, and once when it is over. A pair that does not match is usually one
 * that is just being replaced.
 */
static void st_haproxy_edge_say_feed(st_haproxy_edge *edge, subtoken_feed_result result,
                                     const st_haproxy_log *log) {
  char text[ST_HAPROXY_ERROR_MAX];
  if (result == edge->feed_logged) return;
  edge->feed_logged = result;
  if (result == SUBTOKEN_FEED_OK) {
    (void)st_haproxy_file_fail(text, "revocations \"%s\": loaded", edge->feed_name.named);
    st_haproxy_edge_say(log, ST_HAPROXY_NOTICE, text);
    return;
  }
  (void)st_haproxy_file_fail(
      text, "revocations \"%s\": %s: %s%s%s; %s", edge->feed_name.named,
      st_haproxy_edge_event(result), subtoken_feed_result_text(result),
      result == SUBTOKEN_FEED_IO ? ": " : "",
      result == SUBTOKEN_FEED_IO ? strerror(edge->feed->error) : "",
      edge->feed->size > 0 ? "the loaded data stays in use" : "no data is loaded");
  st_haproxy_edge_say(log, result == SUBTOKEN_FEED_PAIR ? ST_HAPROXY_NOTICE : ST_HAPROXY_ERROR,
                      text);
}

static void st_haproxy_edge_say_age(st_haproxy_edge *edge, const st_haproxy_log *log) {
  char text[ST_HAPROXY_ERROR_MAX];
  int64_t now = st_haproxy_edge_clock();
  subtoken_feed at = edge->feed->feed;
  at.allow_old = false;
  subtoken_feed_result age = subtoken_feed_check(&at, now, edge->clock.monotonic);
  if (age == edge->age_logged) return;
  bool first = edge->age_logged == SUBTOKEN_FEED_UNDECIDED;
  edge->age_logged = age;
  if (age == SUBTOKEN_FEED_OK) {
    if (first) return;
    (void)st_haproxy_file_fail(text, "revocations \"%s\": fresh again", edge->feed_name.named);
    st_haproxy_edge_say(log, ST_HAPROXY_NOTICE, text);
    return;
  }
  (void)st_haproxy_file_fail(text, "feed_stale age=%lld: revocations \"%s\"",
                             (long long)subtoken_feed_age(&at, now, edge->clock.monotonic),
                             edge->feed_name.named);
  st_haproxy_edge_say(log, ST_HAPROXY_ERROR, text);
}

static void st_haproxy_edge_say_mount(st_haproxy_edge *edge, const st_haproxy_log *log) {
  char text[ST_HAPROXY_ERROR_MAX];
  if (!edge->feed->mounted || edge->mount_logged) return;
  edge->mount_logged = true;
  (void)st_haproxy_file_fail(text, "revocations \"%s\" " ST_HAPROXY_EDGE_MOUNTED,
                             edge->feed_name.named);
  st_haproxy_edge_say(log, ST_HAPROXY_ERROR, text);
}

/* ---- polling ---- */

static void st_haproxy_edge_poll_file(st_haproxy_edge *edge, st_haproxy_file *file,
                                      bool (*load)(st_haproxy_edge *, char *),
                                      const st_haproxy_log *log) {
  char error[ST_HAPROXY_ERROR_MAX], text[ST_HAPROXY_ERROR_MAX + 64];
  if (file->named[0] == '\0' || !st_haproxy_file_has_changed(file)) return;
  int before = file->error;
  if (load(edge, error) || (before != 0 && before == file->error)) return;
  (void)snprintf(text, sizeof text, "%s; what is loaded stays in use", error);
  st_haproxy_edge_say(log, ST_HAPROXY_ERROR, text);
}

static void st_haproxy_edge_rebase_file(st_haproxy_file *file, const char *consequence,
                                        const st_haproxy_log *log) {
  char text[ST_HAPROXY_ERROR_MAX];
  if (file->named[0] == '\0') return;
  file->tried = false; /* whether the user that HAProxy works as can read it, is to be seen now */
  if (st_haproxy_file_rebase(file)) return;
  (void)st_haproxy_file_fail(text, "%s: \"%s\" is outside of the chroot, so %s", file->what,
                             file->named, consequence);
  st_haproxy_edge_say(log, ST_HAPROXY_ERROR, text);
}

/* The name that the files have from here on: the end of the one before. What was loaded stays, with
 * its sequence and time, until there is something newer under that name.
 */
static void st_haproxy_edge_rebase_feed(st_haproxy_edge *edge) {
  size_t len = strlen(edge->feed_name.path);
  if (len > edge->feed->path_len) return;
  memcpy(edge->feed->path, edge->feed_name.path, len);
  edge->feed->path_len = len;
}

/* The first time that HAProxy works, with the root and the user that it has from here on. */
static void st_haproxy_edge_run(st_haproxy_edge *edge, const st_haproxy_log *log) {
  edge->running = true;
  (void)mlock(edge->ring, sizeof *edge->ring); /* a lock does not outlive a fork */
  if (edge->cache_memory != NULL) (void)mlock(edge->cache_memory, edge->cache_size);
  st_haproxy_edge_rebase_file(&edge->secrets_file, "a change is read at a reload alone", log);
  st_haproxy_edge_rebase_file(&edge->policy_file, "a change is read at a reload alone", log);
  st_haproxy_edge_rebase_file(
      &edge->feed_name, "it cannot be kept fresh: put it into a directory below the chroot", log);
  if (edge->feed != NULL && edge->feed_name.path[0] != '\0') st_haproxy_edge_rebase_feed(edge);
}

static bool st_haproxy_edge_poll_feed(st_haproxy_edge *edge, const st_haproxy_log *log) {
  if (edge->feed_name.path[0] != '\0') {
    subtoken_feed_result result = subtoken_feed_file_poll(
        edge->feed, edge->ring, st_haproxy_edge_clock(), edge->clock.monotonic);
    if (result == SUBTOKEN_FEED_MORE) return true;
    st_haproxy_edge_say_feed(edge, result, log);
    st_haproxy_edge_say_mount(edge, log);
  }
  st_haproxy_edge_say_age(edge, log);
  return false;
}

bool st_haproxy_edge_poll(st_haproxy_edge *edge, const st_haproxy_log *log) {
  edge->polled_ms = st_haproxy_edge_clock_ms();
  edge->clock.monotonic = st_haproxy_edge_monotonic();
  if (!edge->running) st_haproxy_edge_run(edge, log);
  st_haproxy_edge_poll_file(edge, &edge->secrets_file, st_haproxy_edge_load_secrets, log);
  st_haproxy_edge_poll_file(edge, &edge->policy_file, st_haproxy_edge_load_policy, log);
  return edge->feed != NULL && st_haproxy_edge_poll_feed(edge, log);
}

int64_t st_haproxy_edge_now(st_haproxy_edge *edge, const st_haproxy_log *log) {
  int64_t now = st_haproxy_edge_clock();
  if (st_haproxy_edge_clock_ms() - edge->polled_ms > ST_HAPROXY_EDGE_LATE_MS) {
    (void)st_haproxy_edge_poll(edge, log);
  }
  edge->clock.now = now;
  return edge->feed != NULL ? subtoken_feed_now(&edge->feed->feed, now) : now;
}
