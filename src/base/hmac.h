/* hmac - SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104): the only file that uses
 * mbedTLS. A keyed state is the pair of SHA-256 states after the padded key.
 */
#ifndef ST_BASE_HMAC_H
#define ST_BASE_HMAC_H

#include "base/bytes.h"
#include "subtoken/mac.h"

#define ST_HASH_LEN SUBTOKEN_MAC_LEN

void st_sha256(const void *data, size_t len, uint8_t out[ST_HASH_LEN]);

/* The same for large data, with the instructions that a secret uses (subtoken_secret.cpu). */
void st_sha256_on(uint8_t cpu, const void *data, size_t len, uint8_t out[ST_HASH_LEN]);

/* The hash of some pieces as if they lay one behind the other. */
void st_sha256_pieces(uint8_t cpu, const subtoken_text *pieces, size_t count,
                      uint8_t out[ST_HASH_LEN]);

/* Fill secret->inner, ->outer and ->cpu from a key of any length. */
void st_hmac_key(subtoken_secret *secret, const void *key, size_t len);

/* The same without asking the processor, which takes as long as many MACs where a machine is
 * virtual: cpu is that of a secret that st_hmac_key has filled. */
void st_hmac_key_by(uint8_t cpu, subtoken_secret *secret, const void *key, size_t len);

/* Hash whole blocks of 64 bytes into a state. */
void st_hmac_blocks(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks);

void st_hmac(const subtoken_secret *secret, const void *data, size_t len, uint8_t out[ST_HASH_LEN]);

#endif
