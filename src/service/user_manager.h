/* user_manager - who manages users over HTTP. */
#ifndef ST_SERVICE_USER_MANAGER_H
#define ST_SERVICE_USER_MANAGER_H

#include "service/access.h"

/* Authenticate a caller who manages users: one with the permission `users`, and bound to no
 * audience. */
const st_problem *st_user_manager_find(st_context *c, st_identity *identity)
    __attribute__((warn_unused_result));

#endif
