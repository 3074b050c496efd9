/* users - /v1/user: a user is made. */
#ifndef ST_SERVICE_USERS_H
#define ST_SERVICE_USERS_H

#include "service/context.h"

void st_users_create(st_context *c); /* /v1/user: login.c */

#endif
