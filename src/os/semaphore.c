/* A queue of waiters, each with a condition of its own on the stack of its thread, so that a place
 * is given to the first of them and to nobody else.
 */
#include "os/semaphore.h"

#include "os/clock.h"
#include "os/condition.h"

typedef struct st_semaphore_waiter {
  pthread_cond_t changed; /* it was admitted, or the time to stop waiting has changed */
  bool admitted;
  struct st_semaphore_waiter *next;
} semaphore_waiter;

/* Each call below holds the lock. */

static void semaphore_count(st_semaphore *s) {
  s->inside++;
  if (s->inside > s->most) s->most = s->inside;
}

/* Places are given to those who wait, so that nobody who comes later takes one. */
static void semaphore_admit(st_semaphore *s) {
  while (s->first != NULL && s->inside < s->limit) {
    semaphore_waiter *next = s->first;
    s->first = next->next;
    if (s->first == NULL) s->last = NULL;
    s->waiting--;
    semaphore_count(s);
    next->admitted = true;
    (void)pthread_cond_signal(&next->changed);
  }
}

static void semaphore_enqueue(st_semaphore *s, semaphore_waiter *me) {
  if (s->last != NULL) {
    s->last->next = me;
  } else {
    s->first = me;
  }
  s->last = me;
  s->waiting++;
}

static void semaphore_dequeue(st_semaphore *s, const semaphore_waiter *me) {
  semaphore_waiter *before = NULL, *at = s->first;
  for (; at != me; at = at->next) before = at;
  if (before != NULL) {
    before->next = me->next;
  } else {
    s->first = me->next;
  }
  if (s->last == me) s->last = before;
  s->waiting--;
}

static void semaphore_wait(st_semaphore *s, semaphore_waiter *me, int64_t until_us) {
  semaphore_enqueue(s, me);
  while (!me->admitted) {
    int64_t until = s->close_us != 0 && s->close_us < until_us ? s->close_us : until_us;
    if (until <= st_clock_monotonic_us()) {
      semaphore_dequeue(s, me);
      return;
    }
    st_condition_wait(&me->changed, &s->lock, until);
  }
}

bool st_semaphore_enter(st_semaphore *s, int64_t until_us) {
  semaphore_waiter me = {.admitted = false};
  st_condition_init(&me.changed);
  (void)pthread_mutex_lock(&s->lock);
  if (s->first == NULL && s->inside < s->limit) {
    semaphore_count(s);
    me.admitted = true;
  } else if (s->waiting < s->waiting_max) {
    semaphore_wait(s, &me, until_us);
  }
  (void)pthread_mutex_unlock(&s->lock);
  (void)pthread_cond_destroy(&me.changed);
  return me.admitted;
}

void st_semaphore_leave(st_semaphore *s) {
  (void)pthread_mutex_lock(&s->lock);
  s->inside--;
  semaphore_admit(s);
  (void)pthread_mutex_unlock(&s->lock);
}

void st_semaphore_limit(st_semaphore *s, size_t limit) {
  (void)pthread_mutex_lock(&s->lock);
  s->limit = limit;
  semaphore_admit(s);
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
  for (semaphore_waiter *each = s->first; each != NULL; each = each->next) {
    (void)pthread_cond_signal(&each->changed);
  }
  (void)pthread_mutex_unlock(&s->lock);
}

void st_semaphore_look(st_semaphore *s, size_t *waiting, size_t *most) {
  (void)pthread_mutex_lock(&s->lock);
  *waiting = s->waiting;
  *most = s->most;
  (void)pthread_mutex_unlock(&s->lock);
}

void st_semaphore_count(st_semaphore *s, size_t *inside, size_t *waiting) {
  (void)pthread_mutex_lock(&s->lock);
  *inside = s->inside;
  *waiting = s->waiting;
  (void)pthread_mutex_unlock(&s->lock);
}
