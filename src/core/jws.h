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
  subtoken_text signed_part; /* header, dot, payload: what the MAC is over */
  uint8_t mac[ST_HASH_LEN];
  bool mac_whole; /* the third part is 32 bytes long */
} st_jws;

/* Bounds, dots, and canonical base64url in the third part; nothing is parsed. */
subtoken_result st_jws_split(subtoken_text token, st_jws *jws) __attribute__((warn_unused_result));

/* Parse the header and find the secret that it names. alg selects nothing. */
subtoken_result st_jws_secret(const st_jws *jws, const subtoken_ring *ring,
                              const subtoken_secret **secret) __attribute__((warn_unused_result));

subtoken_result st_jws_check(const st_jws *jws, const subtoken_secret *secret)
    __attribute__((warn_unused_result));

/* `header.payload.mac`; the writer needs room for it all. */
subtoken_result st_jws_write(st_writer *writer, const subtoken_secret *secret,
                             subtoken_text payload) __attribute__((warn_unused_result));

#endif
