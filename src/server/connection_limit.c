/* Keeps room for new connections: two lists of those that wait, and the choice of the one to close
 * (find_victim). Reads and writes nothing; connection.c does that between two waits. An eviction
 * shuts the socket down, and the thread that waits for it sees an end.
 */
#include "server/connection_limit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "os/clock.h"

#define GRACE_US INT64_C(100000)     /* in which a new connection sends its first byte */
#define PATIENCE_US INT64_C(1000000) /* in which a request comes, or its answer is taken */
#define COMPARED 64                  /* of those within that time, as many are compared */

/* Those that wait, in the order in which they began to. */
struct st_connection_list {
  st_connection_entry *oldest, *newest;
};

static struct {
  pthread_mutex_t lock;
  st_connection_list idle;  /* wait for a request */
  st_connection_list begun; /* in the middle of one, or of its answer */
  int64_t threads;
  int64_t workers;  /* threads that there really are */
  int64_t open;     /* accepted and not yet closed */
  int64_t evicting; /* of those, told to close */
  int64_t settled;  /* of those, held by a thread, and for how long nobody knows */
  atomic_bool draining;
} connections = {.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP};

void st_connection_limit_start(int64_t threads) {
  connections.threads = threads;
}

void st_connection_limit_count_workers(int change) {
  pthread_mutex_lock(&connections.lock);
  connections.workers += change;
  pthread_mutex_unlock(&connections.lock);
}

/* ---- the lists; each call holds the lock ---- */

static void unlink_entry(st_connection_entry *entry) {
  st_connection_list *list = entry->list;
  if (list == NULL) return;
  *(entry->older != NULL ? &entry->older->newer : &list->oldest) = entry->newer;
  *(entry->newer != NULL ? &entry->newer->older : &list->newest) = entry->older;
  entry->list = NULL;
}

static void link_entry(st_connection_entry *entry, st_connection_list *list) {
  entry->older = list->newest;
  entry->newer = NULL;
  *(list->newest != NULL ? &list->newest->newer : &list->oldest) = entry;
  list->newest = entry;
  entry->list = list;
  entry->since_us = st_clock_monotonic_us();
}

static void unsettle(st_connection_entry *entry) {
  connections.settled -= entry->settled;
  entry->settled = false;
}

/* Ends a connection that waits: its thread reads what has come, then an end; one that writes to a
 * client that does not read fails.
 */
static void evict(st_connection_entry *entry) {
  unlink_entry(entry);
  unsettle(entry);
  entry->evicted = true;
  connections.evicting++;
  shutdown(entry->fd, entry->writing ? SHUT_RDWR : SHUT_RD);
}

/* Of those that are not late yet: the one that has sent least, and of these the oldest. So a client
 * that sends its request in two packets is safe from those who hold a thread for the price of a
 * byte.
 */
static st_connection_entry *find_least(void) {
  st_connection_entry *least = connections.begun.oldest;
  st_connection_entry *entry = least != NULL ? least->newer : NULL;
  for (size_t i = 1; i < COMPARED && entry != NULL; i++, entry = entry->newer) {
    if (entry->progress < least->progress) least = entry;
  }
  return least;
}

static bool oldest_has_waited(const st_connection_list *list, int64_t now_us, int64_t most_us) {
  return list->oldest != NULL && now_us - list->oldest->since_us > most_us;
}

/* Which connection to close when there are too many: the idle one that has waited longest; without
 * one that has had its grace, the one whose request or answer has taken longest, so that nobody
 * keeps a thread by sending much, slowly. A request on its way that is not late comes last, and
 * only when each thread is held by one of them or by a request: a thread that becomes free at this
 * moment, or has not looked at its new connection yet, is likely to find an idle one.
 */
static st_connection_entry *find_victim(void) {
  int64_t now_us = st_clock_monotonic_us();
  int64_t most =
      connections.threads < connections.workers ? connections.threads : connections.workers;
  bool all_held = connections.settled >= most;
  if (oldest_has_waited(&connections.idle, now_us, GRACE_US)) return connections.idle.oldest;
  if (oldest_has_waited(&connections.begun, now_us, PATIENCE_US) && all_held) {
    return connections.begun.oldest;
  }
  if (connections.idle.oldest != NULL) return connections.idle.oldest;
  return all_held ? find_least() : NULL;
}

static void limit_make_room(void) {
  st_connection_entry *victim;
  while (connections.open - connections.evicting > connections.threads &&
         (victim = find_victim()) != NULL) {
    evict(victim);
  }
}

static void limit_settle(st_connection_entry *entry) {
  if (entry->settled) return;
  entry->settled = true;
  connections.settled++;
  limit_make_room();
}

/* ---- what connections do ---- */

void st_connection_limit_opened(void) {
  pthread_mutex_lock(&connections.lock);
  connections.open++;
  limit_make_room();
  pthread_mutex_unlock(&connections.lock);
}

void st_connection_limit_closed(st_connection_entry *entry) {
  pthread_mutex_lock(&connections.lock);
  connections.open--;
  if (entry != NULL) {
    unlink_entry(entry);
    unsettle(entry);
    if (entry->evicted) connections.evicting--;
  }
  pthread_mutex_unlock(&connections.lock);
}

bool st_connection_limit_wait(st_connection_entry *entry, short events, size_t progress,
                              int64_t until_us) {
  int64_t left_us = until_us - st_clock_monotonic_us();
  if (left_us <= 0) return false;
  pthread_mutex_lock(&connections.lock);
  entry->writing = events == POLLOUT;
  entry->progress = entry->writing ? SIZE_MAX : progress;
  bool ended = entry->evicted || (st_connection_limit_is_draining() && !entry->begun);
  if (!ended && entry->list == NULL) {
    link_entry(entry, entry->begun ? &connections.begun : &connections.idle);
    limit_settle(entry);
    limit_make_room();
  }
  pthread_mutex_unlock(&connections.lock);
  if (ended) return false;
  struct pollfd waiting = {.fd = entry->fd, .events = events};
  return poll(&waiting, 1, (int)(left_us / 1000) + 1) >= 0 || errno == EINTR;
}

void st_connection_limit_leave(st_connection_entry *entry, bool busy) {
  pthread_mutex_lock(&connections.lock);
  unlink_entry(entry);
  if (busy) limit_settle(entry);
  pthread_mutex_unlock(&connections.lock);
}

void st_connection_limit_set_begun(st_connection_entry *entry, bool begun) {
  pthread_mutex_lock(&connections.lock);
  if (entry->begun != begun) unlink_entry(entry);
  entry->begun = begun;
  pthread_mutex_unlock(&connections.lock);
}

/* ---- the end ---- */

bool st_connection_limit_is_draining(void) {
  return atomic_load(&connections.draining);
}

void st_connection_limit_begin_drain(void) {
  atomic_store(&connections.draining, true);
}

/* Under the lock, which is open while it sleeps. */
static bool wait_until_closed(int64_t until_us) {
  while (connections.open > 0) {
    if (st_clock_monotonic_us() >= until_us) return false;
    pthread_mutex_unlock(&connections.lock);
    poll(NULL, 0, 5);
    pthread_mutex_lock(&connections.lock);
  }
  return true;
}

bool st_connection_limit_drain(int64_t until_us) {
  pthread_mutex_lock(&connections.lock);
  while (connections.idle.oldest != NULL) evict(connections.idle.oldest);
  bool done = wait_until_closed(until_us);
  while (connections.idle.oldest != NULL) evict(connections.idle.oldest);
  while (connections.begun.oldest != NULL) evict(connections.begun.oldest);
  pthread_mutex_unlock(&connections.lock);
  return done;
}
