/* clock - the time. Elsewhere it is an argument. */
#ifndef ST_OS_CLOCK_H
#define ST_OS_CLOCK_H

#include <stdint.h>

int64_t st_clock_now(void); /* seconds since 1970, the wall clock */

int64_t st_clock_now_us(void); /* the same in microseconds */

/* Microseconds that never step back, and go on while the machine sleeps: for deadlines. */
int64_t st_clock_monotonic_us(void);

#endif
