/* chunked - the body of a request that comes without a length (RFC 9112 section 7.1), strictly:
 * no extensions, no trailers, CRLF everywhere. What two readers could frame differently is
 * refused. The bytes may arrive in any pieces: the result is the same.
 */
#ifndef ST_SERVICE_CHUNKED_H
#define ST_SERVICE_CHUNKED_H

#include <stddef.h>

#include "service/service.h"

#define ST_CHUNK_DIGITS_MAX 8
/* A chunk holds at least one byte and has at most 12 around it, and the last one has 12: no body
 * takes more bytes than this on the wire.
 */
#define ST_CHUNKED_RAW_MAX \
  ((ST_REQUEST_BODY_MAX + 1) * (ST_CHUNK_DIGITS_MAX + 4) + ST_REQUEST_BODY_MAX)

typedef enum st_chunked_state {
  ST_CHUNKED_MORE = 0, /* good so far */
  ST_CHUNKED_DONE,
  ST_CHUNKED_BAD,      /* no such framing: 400 */
  ST_CHUNKED_TOO_LONG, /* more than ST_REQUEST_BODY_MAX bytes: 413 */
} st_chunked_state;

/* All zero before the first byte. */
typedef struct st_chunked {
  st_chunked_state state;
  int next;        /* what the next byte has to be */
  unsigned digits; /* of the size that is being read */
  size_t left;     /* bytes of this chunk that are still to come */
  size_t body_len; /* bytes decoded so far */
} st_chunked;

/* Decode in[0..len); answers how many of them belong to this body. What is decoded goes to
 * body + body_len, which may lie in the same buffer at or in front of in, and holds up to
 * ST_REQUEST_BODY_MAX bytes in all. While the state is MORE, every byte has been taken.
 */
size_t st_chunked_read(st_chunked *chunked, const char *in, size_t len, char *body)
    __attribute__((warn_unused_result));

#endif
