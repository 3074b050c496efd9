/* basic_locks - the locks behind which one request at a time checks an HTTP Basic credential
 * (service/basic_auth.h): those who wait are served in order, until their deadlines.
 */
#ifndef ST_SERVER_BASIC_LOCKS_H
#define ST_SERVER_BASIC_LOCKS_H

#include "service/basic_auth.h"

/* Those of this process. */
st_basic_locks st_basic_locks_get(void);

/* The process ends: from a time on (monotonic) nobody waits. */
void st_basic_locks_close(int64_t at_us);

#endif
