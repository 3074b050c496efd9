/* request_head - the request line and header lines of HTTP/1 (RFC 9112), strictly: what two
 * readers could frame differently is refused, never guessed.
 */
#ifndef ST_SERVICE_REQUEST_HEAD_H
#define ST_SERVICE_REQUEST_HEAD_H

#include "service/problem.h"
#include "service/service.h"

#define ST_HEAD_MAX 16384 /* bytes of request line and headers */
#define ST_HEADERS_MAX 64

/* Views into the bytes that were read. */
typedef struct st_request_head {
  subtoken_text method;
  subtoken_text target; /* path and query, also where an absolute one came; `*` of OPTIONS */
  bool keep_alive;      /* as the client asks; by default that of its version */
  bool version_1_0;
  bool expect_continue; /* waits for 100 before it sends the body */
  bool chunked;         /* the body has no length: see chunked.h */
  size_t content_length;
  size_t len; /* of the head, with its empty line */
  size_t header_count;
  st_header headers[ST_HEADERS_MAX];
} st_request_head;

typedef enum st_request_head_state {
  ST_HEAD_MORE = 0, /* good so far, but not all of it is there */
  ST_HEAD_GOOD,
  ST_HEAD_BAD, /* answer with the problem, and close */
} st_request_head_state;

/* RFC 9110 section 5.6.2. */
bool st_request_head_is_token(subtoken_text text);
st_request_head_state st_request_head_read(subtoken_text bytes, st_request_head *head,
                                           st_problem *fault) __attribute__((warn_unused_result));

#endif
