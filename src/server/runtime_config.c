/* The settings, the ring and the policy that are in force. Each request acquires the configuration
 * that is current when it begins, and keeps it until its end; a change puts another one in its
 * place, and the last request that releases the old one frees it. A worker does so without a lock
 * and writes to memory of its own alone: it names the configuration in its slot, and looks whether
 * it is still the current one. Whoever replaces it looks through the slots afterwards, so that one
 * of the two sees the other; others count references. The ring's file is looked at on
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

/* What a worker uses; NULL between its requests. */
typedef struct slot {
  _Atomic(st_runtime_config *) config;
  bool linked;
  struct slot *previous, *next; /* under the lock */
} slot;
static _Thread_local slot own __attribute__((aligned(64)));

static struct {
  pthread_mutex_t lock;    /* over the slots and the retired, and whoever changes current */
  pthread_mutex_t loading; /* one at a time reads files */
  _Atomic(st_runtime_config *) current;
  slot *slots;
  st_runtime_config *retired; /* replaced, and perhaps in use */
  atomic_bool retired_any;
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

/* ---- what is in use ---- */

void st_runtime_config_thread_start(void) {
  pthread_mutex_lock(&runtime.lock);
  own.next = runtime.slots;
  own.previous = NULL;
  if (own.next != NULL) own.next->previous = &own;
  runtime.slots = &own;
  own.linked = true;
  pthread_mutex_unlock(&runtime.lock);
}

void st_runtime_config_thread_end(void) {
  if (!own.linked) return;
  pthread_mutex_lock(&runtime.lock);
  *(own.previous != NULL ? &own.previous->next : &runtime.slots) = own.next;
  if (own.next != NULL) own.next->previous = own.previous;
  own.linked = false;
  pthread_mutex_unlock(&runtime.lock);
}

static void free_config(st_runtime_config *config) {
  release_policy(config->policy);
  st_secret_memory_free(config, sizeof *config);
}

/* Under the lock. */
static bool is_in_use(const st_runtime_config *config) {
  if (atomic_load(&config->references) > 0) return true;
  for (const slot *each = runtime.slots; each != NULL; each = each->next) {
    if (atomic_load(&each->config) == config) return true;
  }
  return false;
}

/* Under the lock. */
static void free_unused(void) {
  st_runtime_config **at = &runtime.retired;
  while (*at != NULL) {
    st_runtime_config *config = *at;
    if (is_in_use(config)) {
      at = &config->next_retired;
      continue;
    }
    *at = config->next_retired;
    free_config(config);
  }
  atomic_store(&runtime.retired_any, runtime.retired != NULL);
}

static void retire(st_runtime_config *config) {
  config->next_retired = runtime.retired;
  runtime.retired = config;
  atomic_store(&runtime.retired_any, true);
  atomic_fetch_sub(&config->references, 1);
  free_unused();
}

static void runtime_replace(st_runtime_config *config) {
  pthread_mutex_lock(&runtime.lock);
  st_runtime_config *old = atomic_exchange(&runtime.current, config);
  if (old != NULL) retire(old);
  pthread_mutex_unlock(&runtime.lock);
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

static bool is_retired(const st_runtime_config *config) {
  const st_runtime_config *each = runtime.retired;
  while (each != NULL && each != config) each = each->next_retired;
  return each != NULL;
}

/* One that was never in force is not among the retired. */
static void release_counted(st_runtime_config *config) {
  pthread_mutex_lock(&runtime.lock);
  if (atomic_fetch_sub(&config->references, 1) == 1 && !is_retired(config)) {
    free_config(config);
  } else {
    free_unused();
  }
  pthread_mutex_unlock(&runtime.lock);
}

void st_runtime_config_release(st_runtime_config *config) {
  if (atomic_load_explicit(&own.config, memory_order_relaxed) != config) {
    release_counted(config);
    return;
  }
  atomic_store(&own.config, NULL);
  if (!atomic_load(&runtime.retired_any)) return;
  pthread_mutex_lock(&runtime.lock);
  free_unused();
  pthread_mutex_unlock(&runtime.lock);
}

/* By a thread that has no slot, or uses another configuration already. */
static st_runtime_config *acquire_counted(void) {
  pthread_mutex_lock(&runtime.lock);
  st_runtime_config *config = atomic_load(&runtime.current);
  atomic_fetch_add(&config->references, 1);
  pthread_mutex_unlock(&runtime.lock);
  return config;
}

static st_runtime_config *acquire_current(void) {
  if (!own.linked || atomic_load_explicit(&own.config, memory_order_relaxed) != NULL) {
    return acquire_counted();
  }
  st_runtime_config *config = atomic_load(&runtime.current);
  for (;;) {
    atomic_store(&own.config, config);
    st_runtime_config *now = atomic_load(&runtime.current);
    if (now == config) return config;
    config = now;
  }
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
