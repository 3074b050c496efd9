#include "shell/turns.h"

/* On the stack of the thread that waits. */
typedef struct st_turns_waiter {
  pthread_cond_t called;
  bool in;
  struct st_turns_waiter *next;
} waiter;

/* Each call below holds the lock. */

static void count_in(st_turns *turns) {
  turns->inside++;
  if (turns->inside > turns->most) turns->most = turns->inside;
}

/* Places are given to those who wait, so that nobody who comes later takes one. */
static void call_in(st_turns *turns) {
  while (turns->first != NULL && turns->inside < turns->limit) {
    waiter *next = turns->first;
    turns->first = next->next;
    if (turns->first == NULL) turns->last = NULL;
    turns->waiting--;
    count_in(turns);
    next->in = true;
    (void)pthread_cond_signal(&next->called);
  }
}

/* It leaves the line, by whoever calls it, before it returns. */
static void wait_in_line(st_turns *turns) {
  waiter me = {.called = PTHREAD_COND_INITIALIZER};
  if (turns->last != NULL) {
    turns->last->next = &me;
  } else {
    turns->first = &me; /* cppcheck-suppress autoVariables */
  }
  turns->last = &me; /* cppcheck-suppress autoVariables */
  turns->waiting++;
  while (!me.in) (void)pthread_cond_wait(&me.called, &turns->lock);
  (void)pthread_cond_destroy(&me.called);
}

bool st_turns_enter(st_turns *turns) {
  bool entered = true;
  (void)pthread_mutex_lock(&turns->lock);
  if (turns->first == NULL && turns->inside < turns->limit) {
    count_in(turns);
  } else if (turns->waiting < turns->waiting_max) {
    wait_in_line(turns);
  } else {
    entered = false;
  }
  (void)pthread_mutex_unlock(&turns->lock);
  return entered;
}

void st_turns_leave(st_turns *turns) {
  (void)pthread_mutex_lock(&turns->lock);
  turns->inside--;
  call_in(turns);
  (void)pthread_mutex_unlock(&turns->lock);
}

void st_turns_limit(st_turns *turns, size_t limit) {
  (void)pthread_mutex_lock(&turns->lock);
  turns->limit = limit;
  call_in(turns);
  (void)pthread_mutex_unlock(&turns->lock);
}

void st_turns_look(st_turns *turns, size_t *waiting, size_t *most) {
  (void)pthread_mutex_lock(&turns->lock);
  *waiting = turns->waiting;
  *most = turns->most;
  (void)pthread_mutex_unlock(&turns->lock);
}
