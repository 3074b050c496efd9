/* original_request - which request a proxy asks about: it says so in headers, or in the path after
 * /v2/authorize.
 */
#ifndef ST_SERVICE_ORIGINAL_REQUEST_H
#define ST_SERVICE_ORIGINAL_REQUEST_H

#include "service/context.h"

/* Headers that a proxy sends. The first five describe the original request. */
typedef enum st_original_header {
  ST_ORIGINAL_URI = 0,
  ST_ORIGINAL_URL,
  ST_ORIGINAL_METHOD,
  ST_ORIGINAL_FORWARDED_URI,
  ST_ORIGINAL_FORWARDED_METHOD,
  ST_ORIGINAL_NONCE,
  ST_ORIGINAL_AUDIENCE,
  ST_ORIGINAL_PARTIAL_BODY,
  ST_ORIGINAL_HEADERS,
} st_original_header;

typedef struct st_original_headers {
  subtoken_text value[ST_ORIGINAL_HEADERS]; /* data NULL: not sent */
  bool repeated[ST_ORIGINAL_HEADERS];       /* sent more than once */
} st_original_headers;

void st_original_request_headers(const st_request *request, st_original_headers *sent);

/* Set method, target and query of the context to those of the original request. */
const st_problem *st_original_request_find(st_context *c, const st_original_headers *sent)
    __attribute__((warn_unused_result));

#endif
