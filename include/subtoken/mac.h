/* subtoken/mac.h - the layer under the claims, on its own: HMAC-SHA-256 (RFC 2104,
 * FIPS 180-4) with the keyed states kept, and JWS in compact form (RFC 7515) with
 * HS256 (RFC 7518 section 3.2) under a ring, over a payload of any kind.
 *
 * x86-64 processors with SHA instructions use them; what they compute is compared
 * with mbedTLS's C each time a secret is set, and mbedTLS serves where they lack.
 */
#ifndef SUBTOKEN_MAC_H
#define SUBTOKEN_MAC_H

#include "subtoken/common.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBTOKEN_MAC_LEN 32

/* A MAC under way, for data that comes in pieces. Wipe it when it is given up. */
typedef struct subtoken_mac {
  uint32_t state[8];
  uint32_t outer[8];
  uint64_t len; /* bytes so far */
  uint8_t block[64];
  uint8_t cpu;
} subtoken_mac;

/* Set a secret of 32 to 64 bytes under a kid, or with kid.len 0 as an unnamed one.
 * SUBTOKEN_BAD_SECRET for another length and for what anybody can guess,
 * SUBTOKEN_BAD_KID. The bytes are not kept. Wipe *secret after use.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_secret_set(subtoken_secret *secret,
                                                                      subtoken_text kid,
                                                                      const void *bytes,
                                                                      size_t len);

/* The MAC of data. SUBTOKEN_INVALID_ARGUMENT when something is NULL that may not
 * be (data may be when len is 0); SUBTOKEN_NO_SECRET for a secret that was never set,
 * or has been wiped: all zero, it would be a key that everybody knows.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_mac_compute(
    const subtoken_secret *secret, const void *data, size_t len, uint8_t mac[SUBTOKEN_MAC_LEN]);

/* Is this the MAC of data? SUBTOKEN_OK or SUBTOKEN_MAC, in a time that does not
 * depend on where they differ; else as above.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_mac_check(const subtoken_secret *secret, const void *data, size_t len,
                   const uint8_t mac[SUBTOKEN_MAC_LEN]);

/* The same in pieces: start, update as often as wanted, finish (which wipes the
 * state). Start answers as subtoken_mac_compute does; only after SUBTOKEN_OK may the
 * others be called, and their arguments may not be NULL, but data with len 0.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_mac_start(subtoken_mac *state,
                                                                     const subtoken_secret *secret);
SUBTOKEN_EXPORT void subtoken_mac_update(subtoken_mac *state, const void *data, size_t len);
SUBTOKEN_EXPORT void subtoken_mac_finish(subtoken_mac *state, uint8_t mac[SUBTOKEN_MAC_LEN]);

/* Check the signature of a compact JWS under the ring and give out its payload:
 * the rules of subtoken_verify up to and with the MAC (header strict, alg HS256
 * selecting nothing, typ JWT or none, kid of the ring), and none about what the
 * payload says. out_size of SUBTOKEN_TOKEN_MAX is always enough.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_jws_open(const subtoken_ring *ring,
                                                                    subtoken_text token, void *out,
                                                                    size_t out_size,
                                                                    size_t *out_len);

/* Sign a payload with the first secret of the ring. A NUL follows the *out_len
 * bytes. SUBTOKEN_TOO_LARGE when the token would be longer than
 * SUBTOKEN_TOKEN_MAX, SUBTOKEN_BUFFER_TOO_SMALL, SUBTOKEN_NO_SECRET for a ring that is empty or
 * whose first secret was never set, SUBTOKEN_INVALID_ARGUMENT for an empty payload, which no
 * verifier takes.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_jws_seal(const subtoken_ring *ring,
                                                                    const void *payload, size_t len,
                                                                    char *out, size_t out_size,
                                                                    size_t *out_len);

#ifdef __cplusplus
}
#endif

#endif
