/* authenticate - find out whose the credential of a request is, as almost every route does first.
 */
#ifndef ST_SERVICE_AUTHENTICATE_H
#define ST_SERVICE_AUTHENTICATE_H

#include "service/context.h"
#include "service/identity.h"

/* Find the credential and its identity. No credential is a problem, too (401). */
const st_problem *st_authenticate(st_context *c, st_identity *identity)
    __attribute__((warn_unused_result));
/* The second half: c->credential has been found. */
const st_problem *st_authenticate_found(st_context *c, st_identity *identity)
    __attribute__((warn_unused_result));
/* 401 because no credential came. */
const st_problem *st_authenticate_missing(st_context *c) __attribute__((warn_unused_result));

#endif
