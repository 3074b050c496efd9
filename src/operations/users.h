/* people - persons, logins, the audit log and last use, as the office asks for them: the store
 * with passwords and randomness. One thread of its own writes down what was used, every half
 * minute, and purges the store every hour.
 */
#ifndef ST_OPERATIONS_USERS_H
#define ST_OPERATIONS_USERS_H

#include "domain/store.h"
#include "domain/user.h"

st_users st_users_of(st_store *store);

#endif
