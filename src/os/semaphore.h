/* semaphore - so many at a time, so many who wait, and these are served in the order in which
 * they came, each until its own deadline. What a request waits for behind others is bounded with
 * it: the store's writer, the computing of passwords. Any thread may call. Its clock is that of
 * st_request.now_us: monotonic, in microseconds.
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
  size_t waiting_max; /* who comes when so many wait is turned away */
  size_t inside;
  size_t waiting;
  size_t most;      /* that were ever inside at once */
  int64_t close_us; /* 0, or when every wait ends: st_semaphore_close */
  struct st_semaphore_waiter *first, *last;
} st_semaphore;

/* Needs no other start and no end. limit: at least 1. */
#define ST_SEMAPHORE(limit_, waiting_max_) \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .limit = (limit_), .waiting_max = (waiting_max_) }

/* Waits for its turn. False at once when too many wait already, and at until_us. */
bool st_semaphore_enter(st_semaphore *semaphore, int64_t until_us)
    __attribute__((warn_unused_result));
/* For each that entered. */
void st_semaphore_leave(st_semaphore *semaphore);
void st_semaphore_limit(st_semaphore *semaphore, size_t limit);
/* Who waits already goes on waiting. */
void st_semaphore_waiting_limit(st_semaphore *semaphore, size_t waiting_max);

/* From now on no wait goes on after a time, whatever its own deadline: the process ends. Who
 * finds it free enters all the same. 0: opens it again.
 */
void st_semaphore_close(st_semaphore *semaphore, int64_t at_us);

/* How many wait, and how many were ever inside at once, for those who watch. */
void st_semaphore_look(st_semaphore *semaphore, size_t *waiting, size_t *most);

/* The clock: microseconds that never step back, and go on while the machine sleeps. */
int64_t st_semaphore_now_us(void);

#endif
