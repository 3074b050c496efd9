/* condition - a condition of pthread that is waited for until a time of st_clock_monotonic_us. */
#ifndef ST_OS_CONDITION_H
#define ST_OS_CONDITION_H

#include <pthread.h>
#include <stdint.h>

void st_condition_init(pthread_cond_t *condition);

/* Returns when it is signalled, at until_us, or early: the caller looks at both. Under the lock. */
void st_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_us);

#endif
