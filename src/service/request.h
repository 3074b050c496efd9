/* request - parameters of a query, one at a time, whether a header came, and the kind of a body.
 * The parameters of createsubtoken are params.h's.
 */
#ifndef ST_SERVICE_REQUEST_H
#define ST_SERVICE_REQUEST_H

#include "service/context.h"

/* A number of a query, from 1 to most; *value stays as it is when it is not given. */
const st_problem *st_request_query_number(st_context *c, const char *name, int64_t most,
                                          int64_t *value) __attribute__((warn_unused_result));
/* A text of a query, into out; empty when it is not given. */
const st_problem *st_request_query_text(st_context *c, const char *name, char *out, size_t size)
    __attribute__((warn_unused_result));

/* Did a header of this name come, with any value? */
bool st_request_has_header(const st_request *request, const char *name);

/* By its one Content-Type, without parameters (RFC 9110 section 8.3.1); ST_BODY_NONE for
 * another type, for two, and for none.
 */
st_body_kind st_request_body_kind(const st_request *request);

/* The same of a call whose parameters may be in the query, too: ST_BODY_NONE when there is no body,
 * or the method is another one than POST. False: a body of another type.
 */
bool st_request_params_kind(const st_request *request, st_body_kind *kind)
    __attribute__((warn_unused_result));

#endif
