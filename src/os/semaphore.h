/* semaphore - a number of threads at a time, a bounded queue of waiters, first come, first served,
 * and a deadline for each. It bounds what a request waits for behind others: the store's writer,
 * the computing of password hashes. Any thread may call. Deadlines are those of
 * st_clock_monotonic_us.
 */
#ifndef ST_OS_SEMAPHORE_H
#define ST_OS_SEMAPHORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ST_WAIT_NOT INT64_C(1)     /* a deadline that is over: enter at once or not at all */
#define ST_WAIT_FOR_EVER INT64_MAX /* until it is closed */

struct st_semaphore_waiter;

typedef struct st_semaphore {
  pthread_mutex_t lock;
  size_t limit;       /* at a time */
  size_t waiting_max; /* with so many in the queue, the next one is refused */
  size_t inside;
  size_t waiting;
  size_t most;      /* that were ever inside at once */
  int64_t close_us; /* 0, or when every wait ends: st_semaphore_close */
  struct st_semaphore_waiter *first, *last;
} st_semaphore;

/* Needs no other start and no end. limit: at least 1. */
#define ST_SEMAPHORE(limit_, waiting_max_) \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .limit = (limit_), .waiting_max = (waiting_max_) }

/* Waits for its turn. False at once when the queue is full, and at until_us. */
bool st_semaphore_enter(st_semaphore *semaphore, int64_t until_us)
    __attribute__((warn_unused_result));
/* For each that entered. */
void st_semaphore_leave(st_semaphore *semaphore);
void st_semaphore_limit(st_semaphore *semaphore, size_t limit);
/* Those in the queue stay in it. */
void st_semaphore_waiting_limit(st_semaphore *semaphore, size_t waiting_max);

/* The process ends: no wait goes on after this time, whatever its own deadline. A semaphore that is
 * free can still be entered. 0 opens it again.
 */
void st_semaphore_close(st_semaphore *semaphore, int64_t at_us);

/* How many are inside, and how many wait. */
void st_semaphore_count(st_semaphore *semaphore, size_t *inside, size_t *waiting);

/* For tests: how many wait, and how many were ever inside at once. */
void st_semaphore_look(st_semaphore *semaphore, size_t *waiting, size_t *most);

#endif
