/* Conditions wait by CLOCK_MONOTONIC, which stands still while the machine sleeps; deadlines are
 * those of st_clock_monotonic_us, which goes on. So what is left is computed at each wait.
 */
#include "os/condition.h"

#include <time.h>

#include "os/clock.h"

#define MOST_US INT64_C(3600000000)

void st_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t monotonic;
  (void)pthread_condattr_init(&monotonic); /* these cannot fail here */
  (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  (void)pthread_cond_init(condition, &monotonic);
  (void)pthread_condattr_destroy(&monotonic);
}

void st_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_us) {
  struct timespec at = {0};
  int64_t now_us = st_clock_monotonic_us();
  int64_t left_us = until_us > now_us ? until_us - now_us : 0;
  if (left_us > MOST_US) left_us = MOST_US;
  (void)clock_gettime(CLOCK_MONOTONIC, &at);
  left_us += at.tv_nsec / 1000;
  at.tv_sec += left_us / 1000000;
  at.tv_nsec = left_us % 1000000 * 1000;
  (void)pthread_cond_timedwait(condition, lock, &at);
}
