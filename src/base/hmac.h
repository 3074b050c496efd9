/* hmac - SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104): the only door to
 * mbedTLS. A keyed state is the pair of SHA-256 states after the padded key.
 */
#ifndef ST_BASE_HMAC_H
#define ST_BASE_HMAC_H

#include "base/bytes.h"

#define ST_HASH_LEN 32

bool st_sha256(const void *data, size_t len, uint8_t out[ST_HASH_LEN])
    __attribute__((warn_unused_result));

/* Fill secret->inner and ->outer from a key of any length. */
bool st_hmac_key(subtoken_secret *secret, const void *key, size_t len)
    __attribute__((warn_unused_result));

bool st_hmac(const subtoken_secret *secret, const void *data, size_t len, uint8_t out[ST_HASH_LEN])
    __attribute__((warn_unused_result));

#endif
