/* upkeep - what the server does by itself: a thread that writes which keys were used, and purges.
 */
#ifndef ST_SERVER_UPKEEP_H
#define ST_SERVER_UPKEEP_H

#include "domain/store.h"

/* False without a thread or Argon2; error says which. */
bool st_upkeep_start(st_store *store, char *error) __attribute__((warn_unused_result));

/* Writes down what is left. After the last request has been answered. */
void st_upkeep_stop(void);

#endif
