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

#define AGAIN_US INT64_C(1000000)

static struct {
  pthread_mutex_t lock;    /* over current */
  pthread_mutex_t loading; /* one at a time reads files */
  st_runtime_config *current;
  const char *secrets;
  st_file_stamp refused; /* a file that was looked at and cannot be used */
  int64_t again_at_us;   /* when to look at it again all the same */
} all = {.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, .loading = PTHREAD_MUTEX_INITIALIZER};

/* ---- the route policy ---- */

/* Shared by all pairs that came of the same settings. */
struct st_runtime_config_policy {
  atomic_int uses;
  st_policy_file file;
};

static void give_policy(struct st_runtime_config_policy *policy) {
  if (policy == NULL || atomic_fetch_sub(&policy->uses, 1) != 1) return;
  st_policy_file_drop(&policy->file);
  free(policy);
}

/* *policy is NULL when none is set. */
static bool load_policy(const char *path, struct st_runtime_config_policy **policy, char *why) {
  *policy = NULL;
  if (path[0] == '\0') return true;
  struct st_runtime_config_policy *fresh = calloc(1, sizeof *fresh);
  if (fresh == NULL) {
    snprintf(why, ST_ERROR_MAX, "out of memory");
    return false;
  }
  atomic_init(&fresh->uses, 1);
  bool looked = st_policy_file_load(path, &fresh->file, why);
  if (looked && fresh->file.policy != NULL) {
    *policy = fresh;
    return true;
  }
  const subtoken_policy_error *error = &fresh->file.error;
  if (looked) {
    snprintf(why, ST_ERROR_MAX, "%.130s: line %zu, column %zu: %s", path, error->line,
             error->column, error->text);
  }
  give_policy(fresh);
  return false;
}

const subtoken_policy *st_runtime_config_policy(const st_runtime_config *live) {
  return live->policy != NULL ? live->policy->file.policy : NULL;
}

/* ---- what is in force ---- */

/* The stamp is taken before the file is read: a change in between is seen next time. */
static st_runtime_config *load(const st_settings *settings, struct st_runtime_config_policy *policy,
                               const char **event, char *error) {
  st_runtime_config *live = st_secret_memory_alloc(sizeof *live);
  if (live == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory");
    *event = "oom";
    return NULL;
  }
  live->settings = *settings;
  atomic_init(&live->uses, 1);
  if (!st_file_stamp_of(all.secrets, &live->stamp)) memset(&live->stamp, 0, sizeof live->stamp);
  *event = st_keyring_file_load(all.secrets, &live->ring, error);
  if (*event == NULL) {
    live->policy = policy;
    if (policy != NULL) atomic_fetch_add(&policy->uses, 1);
    return live;
  }
  st_secret_memory_free(live, sizeof *live);
  return NULL;
}

static void put_in_force(st_runtime_config *live) {
  pthread_mutex_lock(&all.lock);
  st_runtime_config *old = all.current;
  all.current = live;
  pthread_mutex_unlock(&all.lock);
  if (old != NULL) st_runtime_config_release(old);
}

bool st_runtime_config_start(const char *secrets, const st_settings *settings, char *error) {
  all.secrets = secrets;
  st_runtime_config *live = st_runtime_config_load(settings, error);
  if (live == NULL) return false;
  put_in_force(live);
  return true;
}

void st_runtime_config_stop(void) {
  put_in_force(NULL);
}

void st_runtime_config_release(st_runtime_config *live) {
  if (atomic_fetch_sub(&live->uses, 1) != 1) return;
  give_policy(live->policy);
  st_secret_memory_free(live, sizeof *live);
}

static st_runtime_config *current(void) {
  pthread_mutex_lock(&all.lock);
  st_runtime_config *live = all.current;
  atomic_fetch_add(&live->uses, 1);
  pthread_mutex_unlock(&all.lock);
  return live;
}

static bool same(const st_file_stamp *a, const st_file_stamp *b) {
  return memcmp(a, b, sizeof *a) == 0;
}

/* A file that cannot be used is said once, and the ring in use is kept. It is looked
 * at again a second later, because the fault may not be the file's: no descriptor,
 * no memory.
 */
static void try_ring(const st_file_stamp *seen, const st_runtime_config *live) {
  char error[ST_ERROR_MAX];
  const char *event;
  st_runtime_config *fresh = load(&live->settings, live->policy, &event, error);
  if (fresh != NULL) {
    put_in_force(fresh);
    st_log_event("ring_loaded", NULL);
    return;
  }
  if (!same(seen, &all.refused)) st_log_event(event, error);
  all.refused = *seen;
  all.again_at_us = st_clock_monotonic_us() + AGAIN_US;
}

/* Another thread may have done it meanwhile: look again under the lock. */
static void reload_ring(const st_file_stamp *seen) {
  pthread_mutex_lock(&all.loading);
  st_runtime_config *live = current();
  bool known_bad = same(seen, &all.refused) && st_clock_monotonic_us() < all.again_at_us;
  if (!same(seen, &live->stamp) && !known_bad) try_ring(seen, live);
  pthread_mutex_unlock(&all.loading);
  st_runtime_config_release(live);
}

st_runtime_config *st_runtime_config_acquire(void) {
  st_file_stamp stamp;
  st_runtime_config *live = current();
  if (!st_file_stamp_of(all.secrets, &stamp) || same(&stamp, &live->stamp)) return live;
  st_runtime_config_release(live);
  reload_ring(&stamp);
  return current();
}

st_runtime_config *st_runtime_config_load(const st_settings *settings, char *error) {
  const char *event;
  struct st_runtime_config_policy *policy;
  if (!load_policy(settings->policy, &policy, error)) return NULL;
  st_runtime_config *live = load(settings, policy, &event, error);
  give_policy(policy);
  return live;
}

/* Not while another thread makes a new pair of the old settings. */
void st_runtime_config_activate(st_runtime_config *live) {
  pthread_mutex_lock(&all.loading);
  put_in_force(live);
  pthread_mutex_unlock(&all.loading);
}

bool st_runtime_config_change(const st_settings *settings, char *error) {
  st_runtime_config *fresh = st_runtime_config_load(settings, error);
  if (fresh != NULL) st_runtime_config_activate(fresh);
  return fresh != NULL;
}
