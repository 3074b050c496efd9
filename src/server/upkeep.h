/* upkeep - what the server does by itself. */
#ifndef ST_SERVER_UPKEEP_H
#define ST_SERVER_UPKEEP_H

#include "domain/store.h"

/* False without a thread or Argon2; why says which. */
bool st_people_start(st_store *store, char *why) __attribute__((warn_unused_result));

/* Writes down what is left. After the last request has been answered. */
void st_people_stop(void);

#endif
