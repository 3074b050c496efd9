/* Keeps room for new connections. Each entry says itself how it waits (waits); who needs room goes
 * through all of them under the lock and chooses the one to close (find_victim). An eviction takes
 * the entry by its state, which its thread takes back when the wait is over: one of the two has it.
 * It shuts the socket down, and the thread that waits for it sees an end. Reads and writes nothing;
 * connection.c does that between two waits.
 *
 * Neither is overlooked: an entry that begins to wait says so first and then looks whether room is
 * wanted or the server ends; who wants room, or ends the server, says that first and then looks who
 * waits.
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

enum { BUSY, IDLE, BEGUN, EVICTED }; /* an entry waits for a request, in the middle of one */

static struct {
  pthread_mutex_t lock;
  st_connection_entry *oldest, *newest; /* held by a thread, and for how long nobody knows */
  int64_t held;                         /* so many */
  int64_t workers;                      /* threads that there really are */
  int64_t open;                         /* accepted and not yet closed */
  _Atomic int64_t staying;              /* of those, not told to close; changed under the lock */
  _Atomic int64_t threads;
  atomic_bool draining;
} connections = {.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP};

void st_connection_limit_start(int64_t threads) {
  atomic_store(&connections.threads, threads);
}

void st_connection_limit_count_workers(int change) {
  pthread_mutex_lock(&connections.lock);
  connections.workers += change;
  pthread_mutex_unlock(&connections.lock);
}

static bool limit_wants_room(void) {
  return atomic_load(&connections.staying) > atomic_load(&connections.threads);
}

/* ---- the entries; each call holds the lock ---- */

static void unlink_entry(st_connection_entry *entry) {
  if (!entry->held) return;
  *(entry->older != NULL ? &entry->older->newer : &connections.oldest) = entry->newer;
  *(entry->newer != NULL ? &entry->newer->older : &connections.newest) = entry->older;
  entry->held = false;
  connections.held--;
}

static void link_entry(st_connection_entry *entry) {
  entry->older = connections.newest;
  entry->newer = NULL;
  *(connections.newest != NULL ? &connections.newest->newer : &connections.oldest) = entry;
  connections.newest = entry;
  entry->held = true;
  connections.held++;
}

/* Ends a connection that waits: its thread reads what has come, then an end; one that writes to a
 * client that does not read fails. Nothing happens to one that has stopped waiting meanwhile.
 */
static void evict(st_connection_entry *entry) {
  int waits = atomic_load(&entry->waits);
  if (waits != IDLE && waits != BEGUN) return;
  if (!atomic_compare_exchange_strong(&entry->waits, &waits, EVICTED)) return;
  unlink_entry(entry);
  atomic_fetch_sub(&connections.staying, 1);
  shutdown(entry->fd, atomic_load(&entry->writing) ? SHUT_RDWR : SHUT_RD);
}

/* Those that wait: of each kind the one that has waited longest, and of those in the middle of a
 * request the one that has sent least. They may stop waiting at any moment.
 */
typedef struct candidates {
  st_connection_entry *idle, *begun, *least;
  int64_t idle_since_us, begun_since_us, least_since_us;
  size_t progress;
} candidates;

static void compare_begun(candidates *found, st_connection_entry *entry, int64_t since_us) {
  size_t progress = atomic_load_explicit(&entry->progress, memory_order_relaxed);
  if (found->begun == NULL || since_us < found->begun_since_us) {
    found->begun = entry;
    found->begun_since_us = since_us;
  }
  if (found->least == NULL || progress < found->progress ||
      (progress == found->progress && since_us < found->least_since_us)) {
    found->least = entry;
    found->least_since_us = since_us;
    found->progress = progress;
  }
}

static candidates find_candidates(void) {
  candidates found = {0};
  for (st_connection_entry *entry = connections.oldest; entry != NULL; entry = entry->newer) {
    int waits = atomic_load(&entry->waits);
    int64_t since_us = atomic_load_explicit(&entry->since_us, memory_order_relaxed);
    if (waits == BEGUN) {
      compare_begun(&found, entry, since_us);
    } else if (waits == IDLE && (found.idle == NULL || since_us < found.idle_since_us)) {
      found.idle = entry;
      found.idle_since_us = since_us;
    }
  }
  return found;
}

/* Which of those that wait to close when there are too many: the idle one that has waited longest;
 * without one that has had its grace, the one whose request or answer has taken longest, so that
 * nobody keeps a thread by sending much, slowly. A request on its way that is not late comes last,
 * and only when each thread is held by one of them or by a request: a thread that becomes free at
 * this moment, or has not looked at its new connection yet, is likely to find an idle one. Of those
 * that are not late the one goes that has sent least, and of these the oldest: so a client that
 * sends its request in two packets is safe from those who hold a thread for the price of a byte.
 */
static st_connection_entry *find_victim(void) {
  candidates found = find_candidates();
  int64_t now_us = st_clock_monotonic_us(), threads = atomic_load(&connections.threads);
  bool all_held =
      connections.held >= (threads < connections.workers ? threads : connections.workers);
  if (found.idle != NULL && now_us - found.idle_since_us > GRACE_US) return found.idle;
  if (found.begun != NULL && now_us - found.begun_since_us > PATIENCE_US && all_held) {
    return found.begun;
  }
  if (found.idle != NULL) return found.idle;
  return all_held ? found.least : NULL;
}

static void limit_make_room(void) {
  st_connection_entry *victim;
  while (limit_wants_room() && (victim = find_victim()) != NULL) evict(victim);
}

static void evict_all(int waits) {
  for (st_connection_entry *entry = connections.oldest, *next; entry != NULL; entry = next) {
    next = entry->newer;
    if (atomic_load(&entry->waits) == waits) evict(entry);
  }
}

/* ---- what connections do ---- */

void st_connection_limit_opened(void) {
  pthread_mutex_lock(&connections.lock);
  connections.open++;
  atomic_fetch_add(&connections.staying, 1);
  limit_make_room();
  pthread_mutex_unlock(&connections.lock);
}

void st_connection_limit_closed(st_connection_entry *entry) {
  pthread_mutex_lock(&connections.lock);
  connections.open--;
  if (entry != NULL) unlink_entry(entry);
  if (entry == NULL || atomic_load(&entry->waits) != EVICTED) {
    atomic_fetch_sub(&connections.staying, 1);
  }
  pthread_mutex_unlock(&connections.lock);
}

int64_t st_connection_limit_open(void) {
  pthread_mutex_lock(&connections.lock);
  int64_t open = connections.open;
  pthread_mutex_unlock(&connections.lock);
  return open;
}

/* False: it has been evicted. */
static bool limit_take_back(st_connection_entry *entry) {
  int waits = atomic_load_explicit(&entry->waits, memory_order_relaxed);
  return waits == BUSY ||
         (waits != EVICTED && atomic_compare_exchange_strong(&entry->waits, &waits, BUSY));
}

/* Once a connection, or while room is wanted. One that was evicted counts again when it has a
 * request all the same.
 */
static void limit_hold(st_connection_entry *entry, bool busy) {
  pthread_mutex_lock(&connections.lock);
  if (!entry->held && (busy || atomic_load(&entry->waits) != EVICTED)) link_entry(entry);
  limit_make_room();
  pthread_mutex_unlock(&connections.lock);
}

bool st_connection_limit_begin_wait(st_connection_entry *entry, bool writing, size_t progress,
                                    int64_t now_us) {
  int waits = atomic_load_explicit(&entry->waits, memory_order_relaxed);
  if (waits == EVICTED || (!entry->begun && st_connection_limit_is_draining())) return false;
  atomic_store_explicit(&entry->writing, writing, memory_order_relaxed);
  atomic_store_explicit(&entry->progress, writing ? SIZE_MAX : progress, memory_order_relaxed);
  if (waits != BUSY) return true;
  bool held = entry->held; /* nobody else changes it before it is evicted */
  atomic_store_explicit(&entry->since_us, now_us, memory_order_relaxed);
  atomic_store(&entry->waits, entry->begun ? BEGUN : IDLE);
  if (!held || limit_wants_room()) limit_hold(entry, false);
  return entry->begun || !st_connection_limit_is_draining();
}

bool st_connection_limit_wait(st_connection_entry *entry, short events, size_t progress,
                              int64_t until_us) {
  int64_t now_us = st_clock_monotonic_us(), left_us = until_us - now_us;
  if (left_us <= 0 || !st_connection_limit_begin_wait(entry, events == POLLOUT, progress, now_us)) {
    return false;
  }
  struct pollfd waiting = {.fd = entry->fd, .events = events};
  return poll(&waiting, 1, (int)(left_us / 1000) + 1) >= 0 || errno == EINTR;
}

void st_connection_limit_leave(st_connection_entry *entry, bool busy) {
  bool evicted = !limit_take_back(entry);
  if (busy && (evicted || !entry->held)) limit_hold(entry, true);
}

void st_connection_limit_set_begun(st_connection_entry *entry, bool begun) {
  if (entry->begun != begun) (void)limit_take_back(entry);
  entry->begun = begun;
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
  evict_all(IDLE);
  bool done = wait_until_closed(until_us);
  evict_all(IDLE);
  evict_all(BEGUN);
  pthread_mutex_unlock(&connections.lock);
  return done;
}
