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

/* The audience of the derived secret that a token was signed under; len 0: of a plain one. */
typedef struct st_jws_audience {
  uint8_t len;
  char text[SUBTOKEN_AUD_MAX];
} st_jws_audience;

/* Check the three parts, the header, and the MAC under the secret that the header names; alg
 * selects nothing. out gets the payload, which is verified only with SUBTOKEN_OK. With audience, a
 * plain ring derives the secret that the header names; it says for which audience, and the payload
 * is worth nothing but for that. Without (NULL), the ring has to have the secret itself. */
subtoken_result st_jws_open(const subtoken_ring *ring, subtoken_text token, void *out,
                            size_t out_size, size_t *out_len, st_jws_audience *audience)
    __attribute__((warn_unused_result));

/* Write `header.payload.mac` under a secret that is set, and a NUL.
 * SUBTOKEN_TOO_LARGE for a token of more than `most` bytes. On failure nothing is written. */
subtoken_result st_jws_seal(const subtoken_secret *secret, subtoken_text payload, size_t most,
                            char *out, size_t out_size, size_t *out_len)
    __attribute__((warn_unused_result));

#endif
