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
  st_live *current;
  const char *secrets;
  st_world_stamp refused; /* a file that was looked at and cannot be used */
  int64_t again_at_us;    /* when to look at it again all the same */
} all = {.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, .loading = PTHREAD_MUTEX_INITIALIZER};

/* ---- the route policy ---- */

/* Shared by all pairs that came of the same settings. */
struct st_live_policy {
  atomic_int uses;
  st_policy_file file;
};

static void give_policy(struct st_live_policy *policy) {
  if (policy == NULL || atomic_fetch_sub(&policy->uses, 1) != 1) return;
  st_policy_file_drop(&policy->file);
  free(policy);
}

/* *policy is NULL when none is set. */
static bool load_policy(const char *path, struct st_live_policy **policy, char *why) {
  *policy = NULL;
  if (path[0] == '\0') return true;
  struct st_live_policy *fresh = calloc(1, sizeof *fresh);
  if (fresh == NULL) {
    snprintf(why, ST_WHY_MAX, "out of memory");
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
    snprintf(why, ST_WHY_MAX, "%.130s: line %zu, column %zu: %s", path, error->line, error->column,
             error->text);
  }
  give_policy(fresh);
  return false;
}

const subtoken_policy *st_live_policy(const st_live *live) {
  return live->policy != NULL ? live->policy->file.policy : NULL;
}

/* ---- what is in force ---- */

/* The stamp is taken before the file is read: a change in between is seen next time. */
static st_live *load(const st_settings *settings, struct st_live_policy *policy, const char **event,
                     char *why) {
  st_live *live = st_world_private(sizeof *live);
  if (live == NULL) {
    snprintf(why, ST_WHY_MAX, "out of memory");
    *event = "oom";
    return NULL;
  }
  live->settings = *settings;
  atomic_init(&live->uses, 1);
  if (!st_world_stamp_of(all.secrets, &live->stamp)) memset(&live->stamp, 0, sizeof live->stamp);
  *event = st_ring_load(all.secrets, &live->ring, why);
  if (*event == NULL) {
    live->policy = policy;
    if (policy != NULL) atomic_fetch_add(&policy->uses, 1);
    return live;
  }
  st_world_private_free(live, sizeof *live);
  return NULL;
}

static void put_in_force(st_live *live) {
  pthread_mutex_lock(&all.lock);
  st_live *old = all.current;
  all.current = live;
  pthread_mutex_unlock(&all.lock);
  if (old != NULL) st_live_give(old);
}

bool st_live_start(const char *secrets, const st_settings *settings, char *why) {
  all.secrets = secrets;
  st_live *live = st_live_load(settings, why);
  if (live == NULL) return false;
  put_in_force(live);
  return true;
}

void st_live_stop(void) {
  put_in_force(NULL);
}

void st_live_give(st_live *live) {
  if (atomic_fetch_sub(&live->uses, 1) != 1) return;
  give_policy(live->policy);
  st_world_private_free(live, sizeof *live);
}

static st_live *current(void) {
  pthread_mutex_lock(&all.lock);
  st_live *live = all.current;
  atomic_fetch_add(&live->uses, 1);
  pthread_mutex_unlock(&all.lock);
  return live;
}

static bool same(const st_world_stamp *a, const st_world_stamp *b) {
  return memcmp(a, b, sizeof *a) == 0;
}

/* A file that cannot be used is said once, and the ring in use is kept. It is looked
 * at again a second later, because the fault may not be the file's: no descriptor,
 * no memory.
 */
static void try_ring(const st_world_stamp *seen, const st_live *live) {
  char why[ST_WHY_MAX];
  const char *event;
  st_live *fresh = load(&live->settings, live->policy, &event, why);
  if (fresh != NULL) {
    put_in_force(fresh);
    st_log_event("ring_loaded", NULL);
    return;
  }
  if (!same(seen, &all.refused)) st_log_event(event, why);
  all.refused = *seen;
  all.again_at_us = st_world_monotonic_us() + AGAIN_US;
}

/* Another thread may have done it meanwhile: look again under the lock. */
static void reload_ring(const st_world_stamp *seen) {
  pthread_mutex_lock(&all.loading);
  st_live *live = current();
  bool known_bad = same(seen, &all.refused) && st_world_monotonic_us() < all.again_at_us;
  if (!same(seen, &live->stamp) && !known_bad) try_ring(seen, live);
  pthread_mutex_unlock(&all.loading);
  st_live_give(live);
}

st_live *st_live_take(void) {
  st_world_stamp stamp;
  st_live *live = current();
  if (!st_world_stamp_of(all.secrets, &stamp) || same(&stamp, &live->stamp)) return live;
  st_live_give(live);
  reload_ring(&stamp);
  return current();
}

st_live *st_live_load(const st_settings *settings, char *why) {
  const char *event;
  struct st_live_policy *policy;
  if (!load_policy(settings->policy, &policy, why)) return NULL;
  st_live *live = load(settings, policy, &event, why);
  give_policy(policy);
  return live;
}

/* Not while another thread makes a new pair of the old settings. */
void st_live_use(st_live *live) {
  pthread_mutex_lock(&all.loading);
  put_in_force(live);
  pthread_mutex_unlock(&all.loading);
}

bool st_live_change(const st_settings *settings, char *why) {
  st_live *fresh = st_live_load(settings, why);
  if (fresh != NULL) st_live_use(fresh);
  return fresh != NULL;
}
