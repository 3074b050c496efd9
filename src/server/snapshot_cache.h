/* snapshot_cache - the revocation data that the server gives out: the snapshot of what the store
 * lists now, kept in memory, and made anew when the store has moved.
 */
#ifndef ST_SERVER_SNAPSHOT_CACHE_H
#define ST_SERVER_SNAPSHOT_CACHE_H

#include "domain/store.h"
#include "service/service.h"

/* Before the first request. Takes a sequence, so that the data of a database that was restored from
 * a backup goes on where its edges are. When that cannot be written it is tried again at each
 * question, which fails until then. False without a thread.
 */
bool st_snapshot_cache_start(st_store *store, char *error) __attribute__((warn_unused_result));
/* After the last request has been answered. */
void st_snapshot_cache_stop(void);

/* What the service asks. */
st_feed st_snapshot_cache_feed(void);

#endif
