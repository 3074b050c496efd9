/* A line of waiters, each with a condition of its own on the stack of its thread, so that a place
 * is given to the first of them and to nobody else. See semaphore.h.
 */
#include "os/semaphore.h"

#include <time.h>

typedef struct st_semaphore_waiter {
  pthread_cond_t called; /* it is in, or when to stop waiting has changed */
  bool in;
  struct st_semaphore_waiter *next;
} waiter;

static int64_t semaphore_clock_us(clockid_t clock) {
  struct timespec now = {0};
  (void)clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t st_semaphore_now_us(void) {
  return semaphore_clock_us(CLOCK_BOOTTIME);
}

/* Each call below holds the lock. */

static void semaphore_count_in(st_semaphore *s) {
  s->inside++;
  if (s->inside > s->most) s->most = s->inside;
}

/* Places are given to those who wait, so that nobody who comes later takes one. */
static void semaphore_call_in(st_semaphore *s) {
  while (s->first != NULL && s->inside < s->limit) {
    waiter *next = s->first;
    s->first = next->next;
    if (s->first == NULL) s->last = NULL;
    s->waiting--;
    semaphore_count_in(s);
    next->in = true;
    (void)pthread_cond_signal(&next->called);
  }
}

static void semaphore_join_line(st_semaphore *s, waiter *me) {
  if (s->last != NULL) {
    s->last->next = me;
  } else {
    s->first = me;
  }
  s->last = me;
  s->waiting++;
}

static void semaphore_leave_line(st_semaphore *s, const waiter *me) {
  waiter *before = NULL, *at = s->first;
  for (; at != me; at = at->next) before = at;
  if (before != NULL) {
    before->next = me->next;
  } else {
    s->first = me->next;
  }
  if (s->last == me) s->last = before;
  s->waiting--;
}

/* Conditions know the clock that stands still while the machine sleeps: until then at most. */
static void semaphore_wait_some(st_semaphore *s, waiter *me, int64_t left_us) {
  int64_t until = semaphore_clock_us(CLOCK_MONOTONIC) + left_us;
  struct timespec at = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
  (void)pthread_cond_timedwait(&me->called, &s->lock, &at);
}

static void semaphore_wait_in_line(st_semaphore *s, waiter *me, int64_t until_us) {
  semaphore_join_line(s, me);
  while (!me->in) {
    int64_t until = s->close_us != 0 && s->close_us < until_us ? s->close_us : until_us;
    int64_t left = until == ST_WAIT_FOR_EVER ? INT64_C(3600000000) : until - st_semaphore_now_us();
    if (left <= 0) {
      semaphore_leave_line(s, me);
      return;
    }
    semaphore_wait_some(s, me, left);
  }
}

bool st_semaphore_enter(st_semaphore *s, int64_t until_us) {
  waiter me = {.in = false};
  pthread_condattr_t monotonic;
  (void)pthread_condattr_init(&monotonic); /* these cannot fail here */
  (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&me.called, &monotonic);
  (void)pthread_mutex_lock(&s->lock);
  if (s->first == NULL && s->inside < s->limit) {
    semaphore_count_in(s);
    me.in = true;
  } else if (s->waiting < s->waiting_max) {
    semaphore_wait_in_line(s, &me, until_us);
  }
  (void)pthread_mutex_unlock(&s->lock);
  (void)pthread_cond_destroy(&me.called);
  (void)pthread_condattr_destroy(&monotonic);
  return me.in;
}

void st_semaphore_leave(st_semaphore *s) {
  (void)pthread_mutex_lock(&s->lock);
  s->inside--;
  semaphore_call_in(s);
  (void)pthread_mutex_unlock(&s->lock);
}

void st_semaphore_limit(st_semaphore *s, size_t limit) {
  (void)pthread_mutex_lock(&s->lock);
  s->limit = limit;
  semaphore_call_in(s);
  (void)pthread_mutex_unlock(&s->lock);
}

void st_semaphore_waiting_limit(st_semaphore *s, size_t waiting_max) {
  (void)pthread_mutex_lock(&s->lock);
  s->waiting_max = waiting_max;
  (void)pthread_mutex_unlock(&s->lock);
}

void st_semaphore_close(st_semaphore *s, int64_t at_us) {
  (void)pthread_mutex_lock(&s->lock);
  s->close_us = at_us;
  for (waiter *each = s->first; each != NULL; each = each->next) {
    (void)pthread_cond_signal(&each->called);
  }
  (void)pthread_mutex_unlock(&s->lock);
}

void st_semaphore_look(st_semaphore *s, size_t *waiting, size_t *most) {
  (void)pthread_mutex_lock(&s->lock);
  *waiting = s->waiting;
  *most = s->most;
  (void)pthread_mutex_unlock(&s->lock);
}
