/* sessions - a session goes on, for the two calls that let it: /v1/auth/refresh and the grant
 * refresh_token of /oauth/token.
 */
#ifndef ST_SERVICE_SESSIONS_H
#define ST_SERVICE_SESSIONS_H

#include "service/context.h"
#include "service/issuing.h"

/* A refresh token for its successor and an access token, with the permissions in scope or, where it
 * is NULL, with all of the session. 401: the token is unknown or has been used (which ends the
 * session); the event says which. 400, where the access token cannot be made: the refresh token is
 * not used up. Wipe access and successor.
 */
const st_problem *st_sessions_continue(st_context *c, subtoken_text token,
                                       const subtoken_text *scope, size_t scope_count,
                                       st_access_token *access, char successor[ST_REFRESH_LEN + 1])
    __attribute__((warn_unused_result));

/* The session of a refresh token, used or not. 401: there is none. Nothing is changed. */
const st_problem *st_sessions_of_refresh(st_context *c, subtoken_text token, st_key *session)
    __attribute__((warn_unused_result));

#endif
