/* sessions - /v1/auth: login, refresh, logout. */
#ifndef ST_SERVICE_SESSIONS_H
#define ST_SERVICE_SESSIONS_H

#include "service/context.h"

void st_login_begin(st_visit *v); /* /v1/auth/login */

void st_login_service(st_visit *v); /* /v1/auth/token */

void st_login_refresh(st_visit *v); /* /v1/auth/refresh */

void st_login_end(st_visit *v); /* /v1/auth/logout */

#endif
