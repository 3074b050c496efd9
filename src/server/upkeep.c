/* A thread that writes which keys were used, purges what has ended, shortens the audit log, tells
 * of keys that end soon, and does what a large change has left to do when whoever made it was ended
 * before. It never holds up a request longer than one
 * transaction.
 */
#include "server/upkeep.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/impossible.h"
#include "domain/store.h"
#include "operations/password.h"
#include "operations/ring_age.h"
#include "operations/settings.h"
#include "operations/uses.h"
#include "operations/vouched_files.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"
#include "os/thread.h"
#include "server/expiring_keys.h"
#include "server/runtime_config.h"

#define WRITE_EVERY_S 30   /* seconds between two writings of what was used */
#define PURGE_EVERY 120    /* of those: an hour */
#define USES_AT_ONCE 500   /* in one transaction */
#define CONTINUE_US 200000 /* so long a large change goes on before it is looked for the end */

static struct {
  st_store *store;
  pthread_t thread;
  bool running;
  int end;                  /* an eventfd that ends the thread */
  st_runtime_config *known; /* its ring can read what was vouched for */
} upkeep;

/* Other changes get their turn in between. What cannot be written is kept for the next time. */
static void write_uses(void) {
  char error[ST_ERROR_MAX];
  size_t count, done = 0;
  st_key_use *uses = st_uses_take(&count);
  st_store_status status = ST_STORE_OK;
  while (done < count && status == ST_STORE_OK) {
    size_t some = count - done < USES_AT_ONCE ? count - done : USES_AT_ONCE;
    status = st_store_key_mark_used(upkeep.store, uses + done, some, error);
    if (status == ST_STORE_OK) done += some;
  }
  if (status != ST_STORE_OK) st_log_event("store_error", error);
  for (; done < count; done++) st_uses_note(NULL, uses[done].id, uses[done].at);
  free(uses);
}

/* Drops what has ended long ago. Not at all, or later, is no harm: a hash that stays listed refuses
 * what has expired. A standby that was promoted may lack the longest life that was set here last,
 * and what is taken off the list is reckoned by it. True: there is more.
 */
static bool purge(void) {
  char error[ST_ERROR_MAX];
  bool left = false;
  st_runtime_config *config = st_runtime_config_acquire();
  bool set = st_settings_set_life(upkeep.store, &config->settings, error);
  st_runtime_config_release(config);
  if (!set || st_store_purge(upkeep.store, st_clock_now_us(), st_clock_monotonic_us(), &left,
                             error) != ST_STORE_OK) {
    st_log_event("store_error", error);
  }
  return left;
}

/* False at the end, which st_upkeep_stop signals. */
static bool wait_for(int ms) {
  struct pollfd end = {.fd = upkeep.end, .events = POLLIN};
  return poll(&end, 1, ms) <= 0;
}

static void log_cut(const st_audit_cut *cut) {
  char detail[64];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_audit_cut_write(&writer, cut);
  if (st_impossible(!st_writer_end(&writer), "two numbers fit")) return;
  st_log_event("audit_cut", detail);
}

/* The setting audit_keep. Others have their turn after each step. */
static void shorten_audit_log(void) {
  char error[ST_ERROR_MAX];
  st_audit_context context = {.now_us = st_clock_now_us(), .who = "server", .from = "audit_keep"};
  st_store_status status = ST_STORE_OK;
  st_runtime_config *config = st_runtime_config_acquire();
  st_audit_cut cut = {.keep = config->settings.audit_keep, .more = true};
  st_runtime_config_release(config);
  if (cut.keep == 0) return;
  while (status == ST_STORE_OK && cut.more && wait_for(0)) {
    status = st_store_audit_cut(upkeep.store, &context, &cut, error);
  }
  if (status == ST_STORE_FAILED) st_log_event("store_error", error);
  if (status == ST_STORE_OK && !cut.more && cut.removed > 0) log_cut(&cut);
}

static void continue_changes(void) {
  char error[ST_ERROR_MAX];
  bool left = true;
  while (left && wait_for(0)) {
    int64_t until_us = st_clock_monotonic_us() + CONTINUE_US;
    st_store_status status = st_store_continue(upkeep.store, until_us, &left, error);
    if (status == ST_STORE_OK) continue;
    if (status != ST_STORE_BUSY) st_log_event("store_error", error);
    left = false; /* the next time */
  }
}

/* Since when each secret is in the ring. */
static void note_secrets(void) {
  st_runtime_config *config = st_runtime_config_acquire();
  st_ring_age_note(upkeep.store, &config->ring);
  st_runtime_config_release(config);
}

/* A ring that was made on another machine may lack the secret under which this server has vouched.
 */
static void follow_ring(void) {
  char error[ST_ERROR_MAX];
  st_runtime_config *now = st_runtime_config_acquire();
  bool followed = st_vouched_files_follow(&upkeep.known->ring, &now->ring, error);
  if (!followed) st_log_event("store_error", error);
  st_runtime_config_release(followed ? upkeep.known : now);
  if (followed) upkeep.known = now;
}

static void *upkeep_run(void *unused) {
  (void)unused;
  follow_ring();
  note_secrets();
  continue_changes();
  bool left = purge(); /* then the next round goes on with it */
  shorten_audit_log();
  st_expiring_keys_log(upkeep.store, st_clock_now());
  for (unsigned round = 1; wait_for(WRITE_EVERY_S * 1000); round++) {
    write_uses();
    follow_ring();
    note_secrets();
    continue_changes();
    st_expiring_keys_log(upkeep.store, st_clock_now());
    if (left || round % PURGE_EVERY == 0) left = purge();
    if (round % PURGE_EVERY == 0) shorten_audit_log();
  }
  char error[ST_ERROR_MAX];
  if (st_store_ready(upkeep.store, error)) write_uses(); /* else it would hold the end up */
  follow_ring();
  return NULL;
}

static void upkeep_close(void) {
  st_runtime_config_release(upkeep.known);
  close(upkeep.end);
}

bool st_upkeep_start(st_store *store, char *error) {
  snprintf(error, ST_ERROR_MAX, "libargon2 failed its self-test");
  if (!st_password_start()) return false;
  upkeep.store = store;
  upkeep.end = eventfd(0, EFD_CLOEXEC);
  if (upkeep.end < 0) return st_error_set(error, "cannot make an eventfd: %m");
  upkeep.known = st_runtime_config_acquire();
  upkeep.running = st_thread_start(&upkeep.thread, upkeep_run, NULL, "the upkeep", error);
  if (!upkeep.running) upkeep_close();
  return upkeep.running;
}

void st_upkeep_stop(void) {
  if (!upkeep.running) return;
  upkeep.running = false;
  (void)eventfd_write(upkeep.end, 1);
  pthread_join(upkeep.thread, NULL);
  upkeep_close();
}
