/* upkeep - what the server does by itself: a thread that writes which keys were used, and purges.
 */
#ifndef ST_SERVER_UPKEEP_H
#define ST_SERVER_UPKEEP_H

#include "domain/store.h"

/* False without a thread or Argon2; error says which. */
bool st_upkeep_start(st_store *store, char *error) __attribute__((warn_unused_result));

/* Drops what has ended long ago. Not at all, or later, is no harm: a hash that stays listed refuses
 * what has expired. The thread does it each hour, so that a request waits for no change; true:
 * there is more, with which it goes on sooner.
 */
bool st_upkeep_purge(st_store *store);

/* Writes down what is left. After the last request has been answered. */
void st_upkeep_stop(void);

#endif
