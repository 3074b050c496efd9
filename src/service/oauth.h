/* oauth - what the calls of OAuth share: the parameters of their form, who the client is, the scope
 * that is asked for, and refusals as RFC 6749 section 5.2 has them. Each call is a list of steps.
 */
#ifndef ST_SERVICE_OAUTH_H
#define ST_SERVICE_OAUTH_H

#include "service/context.h"
#include "service/identity.h"
#include "service/issuing.h"

typedef enum st_oauth_parameter {
  ST_OAUTH_GRANT_TYPE = 0,
  ST_OAUTH_SCOPE,
  ST_OAUTH_CLIENT_ID,
  ST_OAUTH_CLIENT_SECRET,
  ST_OAUTH_REFRESH_TOKEN,
  ST_OAUTH_SUBJECT_TOKEN,
  ST_OAUTH_SUBJECT_TOKEN_TYPE,
  ST_OAUTH_REQUESTED_TOKEN_TYPE,
  ST_OAUTH_ACTOR_TOKEN,
  ST_OAUTH_ACTOR_TOKEN_TYPE,
  ST_OAUTH_TOKEN,
  ST_OAUTH_RESOURCE, /* this one and the next may be there several times (RFC 8693 section 2.1) */
  ST_OAUTH_AUDIENCE,
  ST_OAUTH_PARAMETERS
} st_oauth_parameter;

/* One call; the views point into text and client. */
typedef struct st_oauth {
  st_context *context;
  subtoken_text given[ST_OAUTH_PARAMETERS]; /* empty: not there, or without a value */
  unsigned repeated;                        /* a bit each: given more than once */
  subtoken_text scope[SUBTOKEN_PERMISSIONS_MAX];
  size_t scope_count;
  st_identity identity; /* what the call is made with */
  st_access_token access;
  char refresh[ST_REFRESH_LEN + 1];
  char client[ST_NAME_MAX + ST_PASSWORD_MAX + 2];
  char text[ST_REQUEST_BODY_MAX];
} st_oauth;

/* A problem and its code in RFC 6749 section 5.2, RFC 8693 section 2.2.2 or RFC 7009 section 2.2.1;
 * without a code it is answered as other calls answer. No problem: the step is done.
 */
typedef struct st_oauth_error {
  const char *code;
  const st_problem *problem;
} st_oauth_error;

typedef st_oauth_error st_oauth_step(st_oauth *o);
extern const st_oauth_error st_oauth_ok;

/* Take the steps, up to the first that fails; the last one replies. steps ends with NULL. */
const st_problem *st_oauth_answer(st_context *c, st_oauth_step *const *steps)
    __attribute__((warn_unused_result));
/* The steps of one kind of grant, in the same way. */
st_oauth_error st_oauth_take(st_oauth *o, st_oauth_step *const *steps)
    __attribute__((warn_unused_result));

st_oauth_error st_oauth_fail(st_oauth *o, int status, const char *event, const char *code,
                             const char *text) __attribute__((warn_unused_result));
/* 400 invalid_request. */
st_oauth_error st_oauth_invalid(st_oauth *o, const char *text) __attribute__((warn_unused_result));
/* Of a problem that was made elsewhere: temporarily_unavailable for 429 and 503, else the code. */
st_oauth_error st_oauth_error_of(const st_problem *problem, const char *code)
    __attribute__((warn_unused_result));

/* A step: reads the form. What is no parameter of this list is ignored. */
st_oauth_step st_oauth_read_form;
/* A step: none of these may be there more than once; a bit each. */
st_oauth_error st_oauth_check_once(st_oauth *o, unsigned parameters)
    __attribute__((warn_unused_result));

/* Is there client authentication, in the body or, once the credential has been found, as Basic? */
bool st_oauth_has_client(const st_oauth *o);
/* Who the client is (RFC 6749 section 2.3.1): a whole key, by its public id. Writes identity.
 * token_endpoint: there alone a client that came in the body is refused with 400 and not 401. */
st_oauth_error st_oauth_authenticate_client(st_oauth *o, bool token_endpoint)
    __attribute__((warn_unused_result));

/* Reads the scope; each of it has to be held. text: what is told when it is not. */
st_oauth_error st_oauth_read_scope(st_oauth *o, const subtoken_claims *held, const char *text)
    __attribute__((warn_unused_result));
/* What is made when no scope is given. */
static inline const subtoken_text *st_oauth_scope(const st_oauth *o) {
  return o->scope_count > 0 ? o->scope : NULL;
}

/* The audience that is asked for: one, and of its form. */
st_oauth_step st_oauth_check_audience;
/* And that of what the call is made with, where that has one. text: what is told when it is not. */
st_oauth_error st_oauth_narrow_audience(st_oauth *o, const char *text)
    __attribute__((warn_unused_result));
/* A step: the resource (RFC 8707), where one is named, is a route's of this server's policy. */
st_oauth_step st_oauth_check_resource;

/* A step: makes the access token of identity, with the scope and for the audience. */
st_oauth_step st_oauth_issue;

/* The members of an answer with an access token (RFC 6749 section 5.1), and its headers:
 * {"access_token":…,extra "token_type":…,"expires_in":…,"scope":… */
st_writer st_oauth_begin_token(st_oauth *o, const char *extra);
/* ,"scope":"a b" */
void st_oauth_write_scope(st_writer *writer, const subtoken_claims *claims);
/* Ends an object with a token or with what is told of one, which no cache keeps. */
void st_oauth_end(st_oauth *o, st_writer *writer);

/* The kinds of grant that /oauth/token takes. */
st_oauth_step st_token_exchange_grant;     /* RFC 8693 */
st_oauth_step st_client_credentials_grant; /* RFC 6749 section 4.4 */
st_oauth_step st_refresh_token_grant;      /* RFC 6749 section 6 */

#endif
