/* hmac - SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104): the only door to
 * mbedTLS. A keyed state is the pair of SHA-256 states after the padded key.
 */
#ifndef ST_BASE_HMAC_H
#define ST_BASE_HMAC_H

#include "base/bytes.h"
#include "subtoken/mac.h"

#define ST_HASH_LEN SUBTOKEN_MAC_LEN

bool st_sha256(const void *data, size_t len, uint8_t out[ST_HASH_LEN])
    __attribute__((warn_unused_result));

/* What hashes: mbedTLS's C, or the SHA instructions of x86, where upper halves of
 * AVX registers may have to be cleared for them or not.
 */
enum { ST_KERNEL_C = 0, ST_KERNEL_SHA = 1, ST_KERNEL_SHA_AVX = 2 };

/* The fastest that this processor has. Asking costs tens of microseconds under a
 * hypervisor: once a secret, never once a token.
 */
uint8_t st_hmac_kernel(void);

/* Fill secret->inner, ->outer and ->kernel from a key of any length. */
bool st_hmac_key(subtoken_secret *secret, const void *key, size_t len)
    __attribute__((warn_unused_result));

/* Hash whole blocks of 64 bytes into a state. */
void st_hmac_blocks(uint8_t kernel, uint32_t state[8], const uint8_t *data, size_t blocks);

void st_hmac(const subtoken_secret *secret, const void *data, size_t len, uint8_t out[ST_HASH_LEN]);

#endif
