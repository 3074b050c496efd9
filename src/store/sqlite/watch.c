/* Waits for another sequence than one: a commit of this handle wakes all who wait at once; those of
 * other processes are seen because one of those who wait reads the sequence at short intervals, on
 * a connection of its own. While nobody waits nothing is read.
 */
#include "os/clock.h"
#include "os/condition.h"
#include "store/sqlite/sqlite.h"

#define LOOK_US INT64_C(25000)
#define LOOK_FAILED_US INT64_C(250000) /* after one that failed */

void st_sqlite_watch_start(st_sqlite_watch *watch) {
  (void)pthread_mutex_init(&watch->lock, NULL);
  st_condition_init(&watch->changed);
}

static void watch_disconnect(st_sqlite_watch *watch) {
  (void)sqlite3_finalize(watch->statement);
  (void)sqlite3_close(watch->connection);
  watch->statement = NULL;
  watch->connection = NULL;
}

void st_sqlite_watch_end(st_sqlite_watch *watch) {
  watch_disconnect(watch);
  (void)pthread_cond_destroy(&watch->changed);
  (void)pthread_mutex_destroy(&watch->lock);
}

uint64_t st_sqlite_epoch(st_store *store) {
  (void)store;
  return 0;
}

void st_sqlite_watch_committed(st_sqlite *store, int64_t sequence) {
  st_sqlite_watch *watch = &store->watch;
  (void)pthread_mutex_lock(&watch->lock);
  watch->sequence = sequence;
  watch->learnt++;
  (void)pthread_cond_broadcast(&watch->changed);
  (void)pthread_mutex_unlock(&watch->lock);
}

/* ---- what other processes commit ---- */

static bool watch_connect(st_sqlite *store) {
  char error[ST_ERROR_MAX];
  st_sqlite_watch *watch = &store->watch;
  if (watch->connection != NULL) return true;
  bool ok = st_sqlite_connect(store->base.name, &watch->connection, error) == ST_STORE_OK &&
            st_sqlite_set_read_wait(watch->connection, &watch->wait) &&
            sqlite3_prepare_v3(watch->connection, st_sqlite_watch_sql, -1,
                               SQLITE_PREPARE_PERSISTENT, &watch->statement, NULL) == SQLITE_OK;
  if (!ok) watch_disconnect(watch);
  return ok;
}

/* By the one thread that is looking. */
static bool watch_read(st_sqlite *store, int64_t *sequence) {
  if (!watch_connect(store)) return false;
  sqlite3_stmt *row = store->watch.statement;
  bool read = sqlite3_step(row) == SQLITE_ROW;
  if (read) *sequence = sqlite3_column_int64(row, 0);
  (void)sqlite3_reset(row);
  return read;
}

/* Under the lock, which is open while the database is read. */
static void watch_look(st_sqlite *store) {
  st_sqlite_watch *watch = &store->watch;
  int64_t sequence = 0;
  watch->looking = true;
  (void)pthread_mutex_unlock(&watch->lock);
  bool read = watch_read(store, &sequence);
  (void)pthread_mutex_lock(&watch->lock);
  watch->looking = false;
  watch->look_at_us = st_clock_monotonic_us() + (read ? LOOK_US : LOOK_FAILED_US);
  if (read) {
    watch->sequence = sequence;
    watch->learnt++;
  }
  (void)pthread_cond_broadcast(&watch->changed);
}

/* ---- waiting ---- */

/* Under the lock. */
static void watch_sleep(st_sqlite_watch *watch, int64_t until_us) {
  int64_t wake_us = !watch->looking && watch->look_at_us < until_us ? watch->look_at_us : until_us;
  st_condition_wait(&watch->changed, &watch->lock, wake_us);
}

/* What is known when it begins may be older than what the caller knows: the database is read first.
 */
void st_sqlite_wait_for_sequence(st_store *base, int64_t sequence, int64_t until_us) {
  st_sqlite *store = (st_sqlite *)base;
  st_sqlite_watch *watch = &store->watch;
  (void)pthread_mutex_lock(&watch->lock);
  uint64_t known = watch->learnt;
  watch->look_at_us = 0;
  for (;;) {
    int64_t now_us = st_clock_monotonic_us(), close_us = atomic_load(&base->close_us);
    if (now_us >= until_us || (close_us != 0 && now_us >= close_us)) break;
    if (!watch->looking && now_us >= watch->look_at_us) {
      watch_look(store);
    } else {
      watch_sleep(watch, until_us);
    }
    if (watch->learnt != known && watch->sequence != sequence) break;
  }
  (void)pthread_mutex_unlock(&watch->lock);
}
