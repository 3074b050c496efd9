/* random - randomness from the system. */
#ifndef ST_OS_RANDOM_H
#define ST_OS_RANDOM_H

#include <stddef.h>

/* From getrandom(2). There is no fallback: without randomness the process ends. */
void st_random_fill(void *out, size_t len);

#endif
