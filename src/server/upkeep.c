/* A thread that writes which keys were used and purges what has ended. It never holds up a request
 * longer than one transaction.
 */
#include "server/upkeep.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "domain/store.h"
#include "operations/password.h"
#include "operations/uses.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"

#define WRITE_EVERY_S 30 /* seconds between two writings of what was used */
#define PURGE_EVERY 120  /* of those: an hour */

static struct {
  st_store *store;
  pthread_t thread;
  bool running;
  int end; /* an eventfd that ends the thread */
} upkeep;

static void write_uses(void) {
  char error[ST_ERROR_MAX];
  size_t count;
  st_key_use *uses = st_uses_take(&count);
  if (count > 0 && st_store_key_mark_used(upkeep.store, uses, count, error) != ST_STORE_OK) {
    st_log_event("store_error", error);
    /* For the next time. */
    for (size_t i = 0; i < count; i++) st_uses_note(NULL, uses[i].id, uses[i].at);
  }
  free(uses);
}

void st_upkeep_purge(st_store *store) {
  char error[ST_ERROR_MAX];
  if (st_store_purge(store, st_clock_now_us(), st_clock_monotonic_us(), error) != ST_STORE_OK) {
    st_log_event("store_error", error);
  }
}

/* Until the next writing; false at the end, which st_upkeep_stop signals. */
static bool wait_for_next(void) {
  struct pollfd end = {.fd = upkeep.end, .events = POLLIN};
  return poll(&end, 1, WRITE_EVERY_S * 1000) <= 0;
}

static void *upkeep_run(void *unused) {
  (void)unused;
  for (unsigned round = 1; wait_for_next(); round++) {
    write_uses();
    if (round % PURGE_EVERY == 0) st_upkeep_purge(upkeep.store);
  }
  write_uses();
  return NULL;
}

bool st_upkeep_start(st_store *store, char *error) {
  snprintf(error, ST_ERROR_MAX, "libargon2 failed its self-test");
  if (!st_password_start()) return false;
  upkeep.store = store;
  upkeep.end = eventfd(0, EFD_CLOEXEC);
  upkeep.running = upkeep.end >= 0 && pthread_create(&upkeep.thread, NULL, upkeep_run, NULL) == 0;
  if (upkeep.running) return true;
  snprintf(error, ST_ERROR_MAX, "cannot start a thread: %m");
  if (upkeep.end >= 0) close(upkeep.end);
  return false;
}

void st_upkeep_stop(void) {
  if (!upkeep.running) return;
  upkeep.running = false;
  (void)eventfd_write(upkeep.end, 1);
  pthread_join(upkeep.thread, NULL);
  close(upkeep.end);
}
