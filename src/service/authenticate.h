/* authenticate - whose the credential of a request is. */
#ifndef ST_SERVICE_AUTHENTICATE_H
#define ST_SERVICE_AUTHENTICATE_H

#include "service/context.h"
#include "service/identity.h"

/* Find the credential and who it is, or reply why not. */
bool st_authenticate(st_context *c, st_identity *identity) __attribute__((warn_unused_result));
bool st_authenticate_found(st_context *c, st_identity *identity)
    __attribute__((warn_unused_result));

/* 401 for none. */
void st_authenticate_refuse_missing(st_context *c);

/* May its key make one more token now? 429 with a reply if not. */
bool st_authenticate_within_rate(st_context *c, const st_identity *identity)
    __attribute__((warn_unused_result));

#endif
