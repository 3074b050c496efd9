/* The settings, the ring and the policy that are in force. Each request acquires the configuration
 * that is current when it begins, and keeps it until its end; a change puts another one in its
 * place, and the last request that releases the old one frees it. The ring's file is looked at on
 * each request: st_runtime_config_acquire reads it again when its stamp has changed. The text of
 * the settings is read by domain/config.c.
 */
#include "server/runtime_config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/config.h"
#include "operations/keyring_file.h"
#include "operations/policy_file.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "os/log.h"
#include "os/secret_memory.h"
#include "subtoken/policy.h"

#define RETRY_US INT64_C(1000000)

static struct {
  pthread_mutex_t lock;    /* over current */
  pthread_mutex_t loading; /* one at a time reads files */
  st_runtime_config *current;
  const char *secrets;
  st_file_stamp refused; /* a file that was looked at and cannot be used */
  int64_t retry_at_us;   /* when to look at it again all the same */
} runtime = {.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, .loading = PTHREAD_MUTEX_INITIALIZER};

/* ---- the route policy ---- */

/* Shared by all configurations of the same settings. */
struct st_runtime_config_policy {
  atomic_int references;
  st_policy_file file;
};

static void release_policy(struct st_runtime_config_policy *policy) {
  if (policy == NULL || atomic_fetch_sub(&policy->references, 1) != 1) return;
  st_policy_file_free(&policy->file);
  free(policy);
}

/* *policy is NULL when none is set. */
static bool runtime_load_policy(const char *path, struct st_runtime_config_policy **policy,
                                char *error) {
  *policy = NULL;
  if (path[0] == '\0') return true;
  struct st_runtime_config_policy *fresh = calloc(1, sizeof *fresh);
  if (fresh == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory");
    return false;
  }
  atomic_init(&fresh->references, 1);
  bool looked = st_policy_file_load(path, &fresh->file, error);
  if (looked && fresh->file.policy != NULL) {
    *policy = fresh;
    return true;
  }
  const subtoken_policy_error *fault = &fresh->file.error;
  if (looked) {
    snprintf(error, ST_ERROR_MAX, "%.130s: line %zu, column %zu: %s", path, fault->line,
             fault->column, fault->text);
  }
  release_policy(fresh);
  return false;
}

const subtoken_policy *st_runtime_config_policy(const st_runtime_config *config) {
  return config->policy != NULL ? config->policy->file.policy : NULL;
}

/* ---- what is in force ---- */

/* The stamp is taken before the file is read: a change in between is seen next time. */
static st_runtime_config *load_config(const st_settings *settings,
                                      struct st_runtime_config_policy *policy, const char **event,
                                      char *error) {
  st_runtime_config *config = st_secret_memory_alloc(sizeof *config);
  if (config == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory");
    *event = "oom";
    return NULL;
  }
  config->settings = *settings;
  atomic_init(&config->references, 1);
  if (!st_file_stamp_of(runtime.secrets, &config->stamp))
    memset(&config->stamp, 0, sizeof config->stamp);
  *event = st_keyring_file_load(runtime.secrets, &config->ring, error);
  if (*event == NULL) {
    config->policy = policy;
    if (policy != NULL) atomic_fetch_add(&policy->references, 1);
    return config;
  }
  st_secret_memory_free(config, sizeof *config);
  return NULL;
}

static void runtime_replace(st_runtime_config *config) {
  pthread_mutex_lock(&runtime.lock);
  st_runtime_config *old = runtime.current;
  runtime.current = config;
  pthread_mutex_unlock(&runtime.lock);
  if (old != NULL) st_runtime_config_release(old);
}

bool st_runtime_config_start(const char *secrets, const st_settings *settings, char *error) {
  runtime.secrets = secrets;
  st_runtime_config *config = st_runtime_config_load(settings, error);
  if (config == NULL) return false;
  runtime_replace(config);
  return true;
}

void st_runtime_config_stop(void) {
  runtime_replace(NULL);
}

void st_runtime_config_release(st_runtime_config *config) {
  if (atomic_fetch_sub(&config->references, 1) != 1) return;
  release_policy(config->policy);
  st_secret_memory_free(config, sizeof *config);
}

static st_runtime_config *acquire_current(void) {
  pthread_mutex_lock(&runtime.lock);
  st_runtime_config *config = runtime.current;
  atomic_fetch_add(&config->references, 1);
  pthread_mutex_unlock(&runtime.lock);
  return config;
}

/* A file that cannot be used is logged once, and the ring in use is kept. It is looked at again a
 * second later, because the fault may not be the file's: no descriptor, no memory.
 */
static void try_ring(const st_file_stamp *seen, const st_runtime_config *config) {
  char error[ST_ERROR_MAX];
  const char *event;
  st_runtime_config *fresh = load_config(&config->settings, config->policy, &event, error);
  if (fresh != NULL) {
    runtime_replace(fresh);
    st_log_event("ring_loaded", NULL);
    return;
  }
  if (!st_file_stamp_equal(seen, &runtime.refused)) st_log_event(event, error);
  runtime.refused = *seen;
  runtime.retry_at_us = st_clock_monotonic_us() + RETRY_US;
}

/* Another thread may have done it meanwhile: look again under the lock. */
static void reload_ring(const st_file_stamp *seen) {
  pthread_mutex_lock(&runtime.loading);
  st_runtime_config *config = acquire_current();
  bool known_bad =
      st_file_stamp_equal(seen, &runtime.refused) && st_clock_monotonic_us() < runtime.retry_at_us;
  if (!st_file_stamp_equal(seen, &config->stamp) && !known_bad) try_ring(seen, config);
  pthread_mutex_unlock(&runtime.loading);
  st_runtime_config_release(config);
}

st_runtime_config *st_runtime_config_acquire(void) {
  st_file_stamp stamp;
  st_runtime_config *config = acquire_current();
  if (!st_file_stamp_of(runtime.secrets, &stamp) || st_file_stamp_equal(&stamp, &config->stamp))
    return config;
  st_runtime_config_release(config);
  reload_ring(&stamp);
  return acquire_current();
}

st_runtime_config *st_runtime_config_load(const st_settings *settings, char *error) {
  const char *event;
  struct st_runtime_config_policy *policy;
  if (!runtime_load_policy(settings->policy, &policy, error)) return NULL;
  st_runtime_config *config = load_config(settings, policy, &event, error);
  release_policy(policy);
  return config;
}

/* Not while another thread makes a new configuration of the old settings. */
void st_runtime_config_activate(st_runtime_config *config) {
  pthread_mutex_lock(&runtime.loading);
  runtime_replace(config);
  pthread_mutex_unlock(&runtime.loading);
}

bool st_runtime_config_change(const st_settings *settings, char *error) {
  st_runtime_config *fresh = st_runtime_config_load(settings, error);
  if (fresh != NULL) st_runtime_config_activate(fresh);
  return fresh != NULL;
}
