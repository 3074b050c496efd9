/* turns - so many at a time, so many who wait, and these are served in the order in which
 * they came. Any thread may call.
 */
#ifndef ST_SHELL_TURNS_H
#define ST_SHELL_TURNS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct st_turns_waiter;

typedef struct st_turns {
  pthread_mutex_t lock;
  size_t limit;       /* at a time */
  size_t waiting_max; /* who comes when so many wait is turned away */
  size_t inside;
  size_t waiting;
  size_t most; /* that were ever inside at once */
  struct st_turns_waiter *first, *last;
} st_turns;

/* Needs no other start and no end. limit: at least 1. */
#define ST_TURNS(limit_, waiting_max_) \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .limit = (limit_), .waiting_max = (waiting_max_) }

/* Waits for its turn; false at once when too many wait already. */
bool st_turns_enter(st_turns *turns) __attribute__((warn_unused_result));
/* For each that entered. */
void st_turns_leave(st_turns *turns);

void st_turns_limit(st_turns *turns, size_t limit);
/* Who waits already goes on waiting. */
void st_turns_waiting_limit(st_turns *turns, size_t waiting_max);

/* How many wait, and how many were ever inside at once, for those who watch. */
void st_turns_look(st_turns *turns, size_t *waiting, size_t *most);

#endif
