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

/* What is given out now. sequence 0: nobody has asked for anything yet. */
typedef struct st_snapshot_cache_state {
  int64_t sequence;
  int64_t vouched_at; /* T of the last heartbeat, in seconds since 1970 */
  uint32_t entries;
  size_t bytes;
} st_snapshot_cache_state;
void st_snapshot_cache_look(st_snapshot_cache_state *state);

/* What the service asks. */
st_feed st_snapshot_cache_feed(void);

#endif
