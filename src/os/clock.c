/* The wall clock and the monotonic clock. Waits on a condition: condition.c. */
#include "os/clock.h"

#include <time.h>

int64_t st_clock_now_us(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

int64_t st_clock_now(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

/* CLOCK_BOOTTIME: a machine that slept has not heard from its issuer either. */
int64_t st_clock_monotonic_us(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_BOOTTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
