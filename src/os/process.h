/* process - the process itself. */
#ifndef ST_OS_PROCESS_H
#define ST_OS_PROCESS_H

#include <stddef.h>

/* No core dumps, and no tracing by others: secrets are in memory. */
void st_process_harden(void);

/* How many processors this process may run on; at least 1. */
size_t st_process_processors(void);

#endif
