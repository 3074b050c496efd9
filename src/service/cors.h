/* cors - the request headers that a preflight allows. */
#ifndef ST_SERVICE_CORS_H
#define ST_SERVICE_CORS_H

#include "base/bytes.h"
#include "service/service.h"

#define ST_CORS_HEADERS_MAX 64

/* The names for Access-Control-Allow-Headers, joined by commas: those of our own, and what the
 * request asks for in Access-Control-Request-Headers, as far as it is tokens, at most
 * ST_CORS_HEADERS_MAX of them. Any page may send them: a browser adds no credential of its own.
 */
void st_cors_write_headers(st_writer *out, const st_request *request);

#endif
