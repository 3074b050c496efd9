/* The threads wait in the order in which they were started, and are handed out in it: civetweb asks
 * for its workers first and for the thread that accepts last. It joins what it was given. Its
 * memory is one block, of which pieces are cut off and none is taken back before the end: it gets
 * all of it once, at its start, but for two bytes a connection (PIECE). When it asks for more
 * than was reckoned with, it gets that from malloc.
 */
#include "server/threads.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ST_NET_PROTOTYPES_ONLY
#include "civetweb_net.h"
#include "os/error.h"

#define ALIGNED 16
#define SHARED_SIZE 65536 /* the context, its options, its queue */
#define WORKER_SIZE 8192  /* a connection and its buffer */
#define PIECE 16          /* a copy of the stand-in's path, for each connection */

typedef struct thread {
  pthread_t id;
  bool worker;
  bool given; /* what to run; under the lock, as are the next two */
  void *(*run)(void *);
  void *argument;
} thread;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  st_threads_begin *begin;
  st_threads_end *end;
  size_t count, ready, failed, given; /* the last three under the lock */
  bool ending;                        /* under the lock */
  thread *each;
  uint8_t *memory;
  size_t size, used; /* the second under the lock */
} threads = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local struct {
  bool mine, used; /* a worker has a piece of its own */
  _Alignas(ALIGNED) uint8_t bytes[PIECE];
} piece;

/* ---- threads ---- */

/* False: nothing was given to it. */
static bool thread_wait(thread *t, bool begun) {
  (void)pthread_mutex_lock(&threads.lock);
  threads.ready++;
  if (!begun) threads.failed++;
  (void)pthread_cond_broadcast(&threads.changed);
  while (begun && !t->given && !threads.ending) {
    (void)pthread_cond_wait(&threads.changed, &threads.lock);
  }
  bool given = t->given;
  (void)pthread_mutex_unlock(&threads.lock);
  return given;
}

static void *thread_run(void *context) {
  thread *t = context;
  void *result = NULL;
  bool begun = !t->worker || threads.begin();
  piece.mine = t->worker;
  if (thread_wait(t, begun)) result = t->run(t->argument);
  if (t->worker && begun) threads.end();
  return result;
}

static int threads_create(thread *t) {
  pthread_attr_t attributes;
  (void)pthread_attr_init(&attributes); /* these cannot fail here */
  (void)pthread_attr_setstacksize(&attributes, ST_NET_STACK_SIZE);
  int failure = pthread_create(&t->id, &attributes, thread_run, t);
  (void)pthread_attr_destroy(&attributes);
  return failure;
}

/* How many of those that were started have no memory. */
static size_t threads_wait_until_ready(void) {
  (void)pthread_mutex_lock(&threads.lock);
  while (threads.ready < threads.count) {
    (void)pthread_cond_wait(&threads.changed, &threads.lock);
  }
  size_t failed = threads.failed;
  (void)pthread_mutex_unlock(&threads.lock);
  return failed;
}

static bool threads_create_all(size_t workers, char *error) {
  int failure = 0;
  while (failure == 0 && threads.count <= workers) {
    thread *t = &threads.each[threads.count];
    t->worker = threads.count < workers;
    failure = threads_create(t);
    if (failure == 0) threads.count++;
  }
  if (threads_wait_until_ready() > 0) {
    return st_error_set(error, "out of memory for %zu threads", workers);
  }
  return failure == 0 || st_error_set(error, "cannot start thread %zu of %zu: %s",
                                      threads.count + 1, workers + 1, strerror(failure));
}

bool st_threads_start(size_t workers, st_threads_begin *begin, st_threads_end *end, char *error) {
  threads.begin = begin;
  threads.end = end;
  threads.size = SHARED_SIZE + workers * WORKER_SIZE;
  threads.memory = malloc(threads.size);
  threads.each = calloc(workers + 1, sizeof *threads.each);
  bool good = threads.memory != NULL && threads.each != NULL
                  ? threads_create_all(workers, error)
                  : st_error_set(error, "out of memory for %zu threads", workers);
  if (!good) st_threads_stop();
  return good;
}

void st_threads_stop(void) {
  (void)pthread_mutex_lock(&threads.lock);
  threads.ending = true;
  (void)pthread_cond_broadcast(&threads.changed);
  (void)pthread_mutex_unlock(&threads.lock);
  for (size_t i = threads.given; i < threads.count; i++) {
    (void)pthread_join(threads.each[i].id, NULL);
  }
  free(threads.each);
  free(threads.memory);
  threads.each = NULL;
  threads.memory = NULL;
  threads.size = threads.used = threads.count = threads.ready = threads.failed = threads.given = 0;
  threads.ending = false;
}

int st_net_thread(pthread_t *id, const pthread_attr_t *attributes, void *(*run)(void *),
                  void *argument) {
  (void)attributes;
  (void)pthread_mutex_lock(&threads.lock);
  bool left = threads.given < threads.count;
  if (left) {
    thread *t = &threads.each[threads.given++];
    t->run = run;
    t->argument = argument;
    t->given = true;
    *id = t->id;
    (void)pthread_cond_broadcast(&threads.changed);
  }
  (void)pthread_mutex_unlock(&threads.lock);
  return left ? 0 : EAGAIN;
}

/* ---- memory ---- */

/* NULL when there is no room for it. */
static void *threads_cut(size_t size) {
  void *cut = NULL;
  if (size > SIZE_MAX / 2) return NULL;
  size_t room = (size + ALIGNED - 1) / ALIGNED * ALIGNED;
  (void)pthread_mutex_lock(&threads.lock);
  if (threads.memory != NULL && room <= threads.size - threads.used) {
    cut = threads.memory + threads.used;
    threads.used += room;
  }
  (void)pthread_mutex_unlock(&threads.lock);
  return cut;
}

static bool threads_own(const void *memory) {
  uintptr_t at = (uintptr_t)memory, from = (uintptr_t)threads.memory;
  return threads.memory != NULL && at >= from && at - from < threads.size;
}

void *st_net_malloc(size_t size) {
  if (piece.mine && !piece.used && size <= PIECE) {
    piece.used = true;
    return piece.bytes;
  }
  void *cut = piece.mine && size <= PIECE ? NULL : threads_cut(size);
  return cut != NULL ? cut : malloc(size);
}

void *st_net_calloc(size_t count, size_t size) {
  size_t whole;
  if (__builtin_mul_overflow(count, size, &whole)) return NULL;
  void *cut = threads_cut(whole);
  return cut != NULL ? memset(cut, 0, whole) : calloc(count, size);
}

/* Of what was cut off the length is not known: civetweb, which makes one socket, does not ask. */
void *st_net_realloc(void *memory, size_t size) {
  if (memory == NULL) return st_net_malloc(size);
  return threads_own(memory) ? NULL : realloc(memory, size);
}

void st_net_free(void *memory) {
  if (memory == piece.bytes) {
    piece.used = false;
  } else if (!threads_own(memory)) {
    free(memory);
  }
}
