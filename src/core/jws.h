/* jws - JSON Web Signature, compact form (RFC 7515 section 3.1): split, check the
 * MAC, join. Knows headers and bytes, no claims.
 */
#ifndef ST_CORE_JWS_H
#define ST_CORE_JWS_H

#include "base/base64url.h"
#include "base/hmac.h"

typedef struct st_jws {
  subtoken_text header; /* the three parts, as they stand in the token */
  subtoken_text payload;
  subtoken_text mac;
  subtoken_text signed_part;     /* header, dot, payload: what the MAC is over */
  const subtoken_secret *secret; /* when the header is the one that it writes, else NULL */
} st_jws;

/* Bounds and the outer two dots; nothing is decoded, so payload may hold further
 * dots still. ring may be NULL. */
subtoken_result st_jws_split(subtoken_text token, const subtoken_ring *ring, st_jws *jws)
    __attribute__((warn_unused_result));

/* Is this the name of a header member that would change what the token means? */
bool st_jws_forbidden(subtoken_text name);

/* Check all three parts, the header, and the MAC under the secret that the header
 * names; alg selects nothing. out receives the payload, and is trusted only with
 * SUBTOKEN_OK.
 */
subtoken_result st_jws_open(const subtoken_ring *ring, subtoken_text token, void *out,
                            size_t out_size, size_t *out_len) __attribute__((warn_unused_result));

/* `header.payload.mac` under the first secret of a ring that has one, and a NUL. A token
 * of more than `most` bytes is SUBTOKEN_TOO_LARGE. Nothing is written on failure.
 */
subtoken_result st_jws_seal(const subtoken_ring *ring, subtoken_text payload, size_t most,
                            char *out, size_t out_size, size_t *out_len)
    __attribute__((warn_unused_result));

#endif
