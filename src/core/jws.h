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

/* Check the length and find the first and the last dot. Nothing is decoded, so payload may still
 * have a dot in it. ring may be NULL. */
subtoken_result st_jws_split(subtoken_text token, const subtoken_ring *ring, st_jws *jws)
    __attribute__((warn_unused_result));

/* Is this the name of a header member that would change what the token means? */
bool st_jws_forbidden(subtoken_text name);

/* Check the three parts, the header, and the MAC under the secret that the header names; alg
 * selects nothing. out gets the payload, which is verified only with SUBTOKEN_OK. */
subtoken_result st_jws_open(const subtoken_ring *ring, subtoken_text token, void *out,
                            size_t out_size, size_t *out_len) __attribute__((warn_unused_result));

/* Write `header.payload.mac` under the first secret of the ring, which must have one, and a NUL.
 * SUBTOKEN_TOO_LARGE for a token of more than `most` bytes. On failure nothing is written. */
subtoken_result st_jws_seal(const subtoken_ring *ring, subtoken_text payload, size_t most,
                            char *out, size_t out_size, size_t *out_len)
    __attribute__((warn_unused_result));

#endif
