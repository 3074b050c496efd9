/* users - users, their sessions, the audit log and last uses, for the service. */
#ifndef ST_OPERATIONS_USERS_H
#define ST_OPERATIONS_USERS_H

#include "domain/store.h"
#include "domain/user.h"

/* The table of functions that the service calls. Failures of the store go to the log. */
st_users st_users_of(st_store *store);

#endif
