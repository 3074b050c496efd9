/* people - persons, logins, the audit log and last use, as the office asks for them: the store
 * with passwords and randomness. One thread of its own writes down what was used, every half
 * minute, and purges the store every hour.
 */
#ifndef ST_OPERATIONS_USERS_H
#define ST_OPERATIONS_USERS_H

#include "domain/user.h"
#include "os/file.h"

/* False without a thread or Argon2; why says which. */
bool st_people_start(st_store *store, char *why) __attribute__((warn_unused_result));
/* Writes down what is left. After the last request has been answered. */
void st_people_stop(void);

st_people st_people_of(st_store *store);

/* Draw the id and sub of a row that no key opens, and a digest that is the hash of nothing. */
void st_people_draw(st_key *key, uint8_t digest[32]);

#endif
