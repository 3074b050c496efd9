/* first_ring - the ring of a store that issuers on several machines share. */
#ifndef ST_CLI_FIRST_RING_H
#define ST_CLI_FIRST_RING_H

#include "domain/store.h"

/* Makes the file DATA/secrets (path), which is not there, if nobody has used the store. Under the
 * lock of DATA. */
bool st_first_ring_make(const char *path, st_store *store, char *error)
    __attribute__((warn_unused_result));

/* Once DATA/secrets is there: what a start has left that was killed just then. Under the lock. */
void st_first_ring_remove_rest(const char *path);

#endif
