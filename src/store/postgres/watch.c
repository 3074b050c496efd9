/* A thread that knows what others write. At short intervals, and as soon as the database notifies,
 * it asks which rows were written since its last question, forgets them from the cache, and learns
 * the last sequence. Requests look at when it last succeeded: see st_postgres_watch_is_recent.
 *
 * The notification only makes it quicker. What counts is the question: each asks for what the
 * snapshot of the one before did not see, so that no commit is missed, however late it becomes
 * visible (README.md).
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/condition.h"
#include "os/log.h"
#include "os/thread.h"
#include "store/postgres/postgres.h"

#define GRACE_US INT64_C(10000000)  /* beyond the staleness, while a failover goes on */
#define CONNECT_US INT64_C(4000000) /* all hosts in turn */
#define ANSWER_US INT64_C(2000000)  /* then the connection is made anew */
#define AGAIN_US INT64_C(100000)    /* after a failure */
#define NOTIFIED_US INT64_C(5000)   /* between two questions, however many notifications */
#define LOOK_US INT64_C(200000)     /* who waits looks whether the process ends */
#define STANDBYS_EVERY_US INT64_C(2000000)
#define GAP_US INT64_C(60000000) /* what was written before may have been purged */
#define FORGET_MAX 20000         /* rows; of more everything is forgotten */
#define STANDBYS_MAX 256

struct st_postgres_watch {
  st_postgres *store;
  _Atomic int64_t good_us; /* when the last question began that was answered; 0: none */

  pthread_mutex_t lock;   /* guards the next part */
  pthread_cond_t changed; /* something of it, or good_us */
  bool started, running, stopping;
  int64_t sequence;
  uint64_t learnt; /* how often that was */
  bool synchronous;
  char standbys[STANDBYS_MAX]; /* that are not synchronous */
  char error[ST_ERROR_MAX];    /* of the last failure */

  pthread_t thread;
  int wake; /* an eventfd that ends the thread's wait */

  st_postgres_connection connection; /* from here on the thread's alone */
  st_postgres_confirmer confirmer;
  char *snapshot; /* of the last question; NULL: none on this connection */
  st_postgres_purger purger;
  int64_t begun_us;
  int64_t confirmed_us;
  int64_t standbys_us;
  bool lost;
};

static int64_t watch_interval_us(const st_postgres_watch *w) {
  int64_t quarter = w->store->staleness_us / 4;
  return quarter < 20000 ? 20000 : quarter > 1000000 ? 1000000 : quarter;
}

static bool watch_is_stopping(st_postgres_watch *w) {
  (void)pthread_mutex_lock(&w->lock);
  bool stopping = w->stopping;
  (void)pthread_mutex_unlock(&w->lock);
  return stopping;
}

/* ---- a question ---- */

static bool watch_fails(st_postgres_watch *w, const char *verb) {
  char error[ST_ERROR_MAX];
  (void)st_postgres_fail(&w->connection, verb, error);
  (void)pthread_mutex_lock(&w->lock);
  memcpy(w->error, error, sizeof w->error);
  (void)pthread_mutex_unlock(&w->lock);
  return false;
}

/* A new connection may be to another database: what was read from the one before is forgotten after
 * the first question on this one.
 */
static bool watch_connect(st_postgres_watch *w) {
  st_postgres_connection *c = &w->connection;
  if (st_postgres_is_current(c)) return true;
  free(w->snapshot);
  w->snapshot = NULL;
  st_postgres_purge_anew(&w->purger);
  w->confirmed_us = w->standbys_us = 0;
  int64_t until_us = st_clock_monotonic_us() + CONNECT_US;
  if (st_postgres_connect(c, until_us) &&
      st_postgres_do(c, ST_POSTGRES_LISTEN, ST_NO_VALUES, until_us)) {
    return true;
  }
  return watch_fails(w, "connect to");
}

static void watch_forget(st_postgres_watch *w, const PGresult *written) {
  int count = written != NULL ? PQntuples(written) : 0;
  uint64_t digests8[256];
  bool all =
      written == NULL || count > FORGET_MAX || w->begun_us - atomic_load(&w->good_us) > GAP_US;
  for (int i = 0; i < count && !all; i++) all = PQgetisnull(written, i, 0) != 0;
  if (all) {
    st_postgres_forget(w->store, NULL, 0);
    return;
  }
  for (int done = 0; done < count;) {
    size_t n = 0;
    while (n < 256 && done < count) {
      digests8[n++] = (uint64_t)st_postgres_number(written, done++, 0);
    }
    st_postgres_forget(w->store, digests8, n);
  }
}

/* Takes in the answer: what was written is forgotten before the question counts as answered. */
static bool watch_take(st_postgres_watch *w, const PGresult *moment, const PGresult *written) {
  char *snapshot = PQgetisnull(moment, 0, ST_POSTGRES_COL_POLL_SNAPSHOT) == 0
                       ? strdup(PQgetvalue(moment, 0, ST_POSTGRES_COL_POLL_SNAPSHOT))
                       : NULL;
  if (snapshot == NULL) return false;
  watch_forget(w, written);
  free(w->snapshot);
  w->snapshot = snapshot;
  (void)pthread_mutex_lock(&w->lock);
  w->sequence = st_postgres_number(moment, 0, ST_POSTGRES_COL_POLL_SEQUENCE);
  w->learnt++;
  w->synchronous = st_postgres_number(moment, 0, ST_POSTGRES_COL_POLL_SYNCHRONOUS) != 0;
  (void)pthread_cond_broadcast(&w->changed);
  (void)pthread_mutex_unlock(&w->lock);
  return true;
}

/* Everything that was committed up to begun_us is known. */
static void watch_succeed(st_postgres_watch *w) {
  atomic_store(&w->good_us, w->begun_us);
  (void)pthread_mutex_lock(&w->lock);
  w->error[0] = '\0';
  (void)pthread_cond_broadcast(&w->changed);
  (void)pthread_mutex_unlock(&w->lock);
  if (w->lost) st_log_event("store_found", st_db_name(&w->store->base));
  w->lost = false;
}

/* Only a commit after the question shows that it was asked of the database that may be written. */
static bool watch_confirm(st_postgres_watch *w) {
  if (w->synchronous) {
    if (w->begun_us - w->confirmed_us < w->store->staleness_us / 2) return true;
    if (!st_postgres_confirm(&w->connection, &w->confirmer, st_clock_monotonic_us() + ANSWER_US)) {
      return watch_fails(w, "confirm");
    }
    w->confirmed_us = w->begun_us;
  }
  watch_succeed(w);
  return true;
}

static bool watch_ask(st_postgres_watch *w) {
  st_postgres_connection *c = &w->connection;
  PGresult *moment = NULL, *written = NULL;
  w->begun_us = st_clock_monotonic_us();
  /* In this order: what is committed between the two is answered twice instead of never. */
  bool ok = st_postgres_send(c, ST_POSTGRES_POLL, ST_NO_VALUES, &moment);
  if (ok && w->snapshot != NULL) {
    ok = st_postgres_send(c, ST_POSTGRES_WRITTEN_SINCE,
                          ST_VALUES(st_db_text(w->snapshot), st_db_number(FORGET_MAX + 1)),
                          &written);
  }
  ok = ok && st_postgres_sync(c, w->begun_us + ANSWER_US) && watch_take(w, moment, written);
  if (!ok) (void)watch_fails(w, "read");
  PQclear(moment);
  PQclear(written);
  return ok && watch_confirm(w);
}

/* ---- standbys ---- */

/* Logged when it is the first time or has changed. Who may not read their state sees none. */
static bool watch_standbys(st_postgres_watch *w) {
  char standbys[STANDBYS_MAX] = "", text[STANDBYS_MAX + 100];
  if (w->standbys_us != 0 && w->begun_us - w->standbys_us < STANDBYS_EVERY_US) return true;
  w->standbys_us = w->begun_us;
  PGresult *rows = st_postgres_ask(&w->connection, ST_POSTGRES_STANDBYS, ST_NO_VALUES,
                                   st_clock_monotonic_us() + ANSWER_US);
  if (rows == NULL) return watch_fails(w, "read");
  if (PQntuples(rows) == 1 && !st_postgres_text(rows, 0, 0, standbys, sizeof standbys)) {
    memcpy(standbys, "many", sizeof "many");
  }
  PQclear(rows);
  (void)pthread_mutex_lock(&w->lock);
  bool others = strcmp(w->standbys, standbys) != 0;
  memcpy(w->standbys, standbys, sizeof w->standbys);
  (void)pthread_mutex_unlock(&w->lock);
  if (!others || standbys[0] == '\0') return true;
  (void)snprintf(text, sizeof text, "%s: a change may be lost if this standby is promoted",
                 standbys);
  st_log_event("store_not_synchronous", text);
  return true;
}

static bool watch_purge(st_postgres_watch *w) {
  if (st_postgres_purge(&w->connection, &w->purger, w->snapshot, w->begun_us,
                        st_clock_monotonic_us() + ANSWER_US)) {
    return true;
  }
  return watch_fails(w, "purge");
}

/* ---- the thread ---- */

static void watch_lose(st_postgres_watch *w) {
  char error[ST_ERROR_MAX];
  st_postgres_leave(&w->connection);
  (void)pthread_mutex_lock(&w->lock);
  memcpy(error, w->error, sizeof error);
  bool stopping = w->stopping;
  (void)pthread_mutex_unlock(&w->lock);
  if (!w->lost && !stopping) st_log_event("store_lost", error);
  w->lost = true;
}

/* Waits for a notification until then. False: it is time. */
static bool watch_listen(st_postgres_watch *w, int64_t until_us) {
  PGconn *pg = w->connection.pg;
  bool notified = false;
  struct pollfd of[2] = {{.fd = pg != NULL ? PQsocket(pg) : -1, .events = POLLIN},
                         {.fd = w->wake, .events = POLLIN}};
  int64_t left_us = until_us - st_clock_monotonic_us();
  if (left_us <= 0 || poll(of, 2, (int)(left_us / 1000) + 1) <= 0 || of[1].revents != 0) {
    return false;
  }
  if (PQconsumeInput(pg) == 0) return false;
  for (PGnotify *each; (each = PQnotifies(pg)) != NULL; notified = true) PQfreemem(each);
  return !notified;
}

static void watch_rest(st_postgres_watch *w, bool ok) {
  int64_t now_us = st_clock_monotonic_us();
  int64_t until_us = ok ? w->begun_us + watch_interval_us(w) : now_us + AGAIN_US;
  while (watch_listen(w, until_us)) continue;
  struct pollfd wake = {.fd = w->wake, .events = POLLIN};
  int64_t early_us = w->begun_us + NOTIFIED_US - st_clock_monotonic_us();
  if (early_us > 0) (void)poll(&wake, 1, (int)(early_us / 1000) + 1);
}

static void *watch_run(void *context) {
  st_postgres_watch *w = context;
  sigset_t all;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
  while (!watch_is_stopping(w)) {
    bool ok = watch_connect(w) && watch_ask(w) && watch_standbys(w) && watch_purge(w);
    if (!ok) watch_lose(w);
    watch_rest(w, ok);
  }
  st_postgres_disconnect(&w->connection);
  free(w->snapshot);
  st_postgres_purge_anew(&w->purger);
  return NULL;
}

/* ---- who asks ---- */

/* At the first question, so that a command that has none starts no thread. Under the lock. */
static bool watch_begin(st_postgres_watch *w) {
  if (w->running || w->stopping) return w->running;
  w->running = st_thread_start(&w->thread, watch_run, w, "the database", w->error);
  return w->running;
}

/* The first answer, or why there is none. */
static bool watch_first(st_postgres_watch *w, char *error) {
  int64_t until_us = st_clock_monotonic_us() + ST_POSTGRES_QUESTION_MS * INT64_C(1000);
  (void)pthread_mutex_lock(&w->lock);
  bool running = watch_begin(w);
  while (running && atomic_load(&w->good_us) == 0 && st_clock_monotonic_us() < until_us) {
    st_condition_wait(&w->changed, &w->lock, until_us);
  }
  bool ok = atomic_load(&w->good_us) != 0;
  if (!ok) {
    (void)st_db_fail(error, "%s", w->error[0] != '\0' ? w->error : "the database does not answer");
  }
  (void)pthread_mutex_unlock(&w->lock);
  return ok;
}

bool st_postgres_watch_age(st_postgres *store, int64_t *age_us, char *error) {
  st_postgres_watch *w = store->watch;
  int64_t good_us = atomic_load_explicit(&w->good_us, memory_order_acquire);
  if (good_us == 0) {
    if (!watch_first(w, error)) return false;
    good_us = atomic_load(&w->good_us);
  }
  *age_us = st_clock_monotonic_us() - good_us;
  return true;
}

bool st_postgres_watch_is_recent(st_postgres *store, char *error) {
  st_postgres_watch *w = store->watch;
  int64_t age_us = 0;
  if (!st_postgres_watch_age(store, &age_us, error)) return false;
  if (age_us <= store->staleness_us + GRACE_US) return true;
  (void)pthread_mutex_lock(&w->lock);
  (void)st_db_fail(error, "cannot read %s: without an answer for %lld s: %.200s",
                   st_db_name(&store->base), (long long)(age_us / 1000000), w->error);
  (void)pthread_mutex_unlock(&w->lock);
  return false;
}

/* A sequence that is below may be what was known before the caller's; then the next answer counts.
 */
void st_postgres_wait_for_sequence(st_store *base, int64_t sequence, int64_t until_us) {
  st_postgres_watch *w = ((st_postgres *)base)->watch;
  (void)pthread_mutex_lock(&w->lock);
  uint64_t known = w->learnt;
  if (!watch_begin(w)) until_us = 0;
  while (w->sequence <= sequence && (w->learnt == known || w->sequence == sequence)) {
    int64_t now_us = st_clock_monotonic_us(), close_us = atomic_load(&base->close_us);
    if (now_us >= until_us || (close_us != 0 && now_us >= close_us) || w->stopping) break;
    st_condition_wait(&w->changed, &w->lock,
                      now_us + LOOK_US < until_us ? now_us + LOOK_US : until_us);
  }
  (void)pthread_mutex_unlock(&w->lock);
}

void st_postgres_watch_committed(st_postgres *store, int64_t sequence) {
  st_postgres_watch *w = store->watch;
  (void)pthread_mutex_lock(&w->lock);
  if (w->sequence < sequence) {
    w->sequence = sequence;
    (void)pthread_cond_broadcast(&w->changed);
  }
  (void)pthread_mutex_unlock(&w->lock);
}

uint64_t st_postgres_epoch(st_store *base) {
  return atomic_load(&((st_postgres *)base)->epoch);
}

/* ---- start and end ---- */

bool st_postgres_watch_start(st_postgres *store, char *error) {
  st_postgres_watch *w = calloc(1, sizeof *w);
  int wake = w != NULL ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
  if (wake < 0) {
    free(w);
    (void)st_db_fail(error, "cannot open %s: %m", st_db_name(&store->base));
    return false;
  }
  w->store = store;
  w->wake = wake;
  w->connection.store = store;
  (void)pthread_mutex_init(&w->lock, NULL);
  st_condition_init(&w->changed);
  store->watch = w;
  return true;
}

void st_postgres_watch_end(st_postgres *store) {
  st_postgres_watch *w = store->watch;
  if (w == NULL) return;
  (void)pthread_mutex_lock(&w->lock);
  w->stopping = true;
  (void)pthread_mutex_unlock(&w->lock);
  (void)eventfd_write(w->wake, 1);
  if (w->running) (void)pthread_join(w->thread, NULL);
  (void)close(w->wake);
  (void)pthread_cond_destroy(&w->changed);
  (void)pthread_mutex_destroy(&w->lock);
  free(w);
  store->watch = NULL;
}
