/* sessions - /v1/auth: login, refresh, logout. */
#ifndef ST_SERVICE_SESSIONS_H
#define ST_SERVICE_SESSIONS_H

#include "service/context.h"

void st_sessions_login(st_context *c); /* /v1/auth/login */

void st_sessions_login_service(st_context *c); /* /v1/auth/token */

void st_sessions_refresh(st_context *c); /* /v1/auth/refresh */

void st_sessions_logout(st_context *c); /* /v1/auth/logout */

#endif
