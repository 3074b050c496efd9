/* process - the process itself. */
#ifndef ST_OS_PROCESS_H
#define ST_OS_PROCESS_H

#include <stddef.h>

/* No core dumps, and no tracing by others: secrets are in memory. And a place for each standard
 * descriptor that is closed: what is opened next would get its number, and a connection to a
 * database what is printed. Reading and writing them fails as before.
 */
void st_process_harden(void);

/* How many processors this process may run on; at least 1. */
size_t st_process_processors(void);

#endif
