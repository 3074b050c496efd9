/* subtoken/mac.h - the layer below the claims: HMAC-SHA-256 (RFC 2104, FIPS 180-4) with
 * precomputed states, and JWS in compact form (RFC 7515) with HS256 (RFC 7518 section 3.2) over any
 * payload.
 *
 * On x86-64 processors with SHA instructions the library uses these. Each time a secret is set, it
 * compares their output with that of mbedTLS, and uses mbedTLS when they differ.
 */
#ifndef SUBTOKEN_MAC_H
#define SUBTOKEN_MAC_H

#include "subtoken/common.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBTOKEN_MAC_LEN 32

/* The state of a MAC over data that comes in pieces. subtoken_mac_finish wipes it; wipe it yourself
 * when you do not finish. */
typedef struct subtoken_mac {
  uint32_t state[8];
  uint32_t outer[8];
  uint64_t len; /* bytes so far */
  uint8_t block[64];
  uint8_t cpu;
} subtoken_mac;

/* Set a secret of 32 to 64 bytes under a kid, or with kid.len 0 as an unnamed one. The bytes are
 * copied in another form and not kept. SUBTOKEN_BAD_SECRET for another length and for secrets that
 * are easy to guess, SUBTOKEN_BAD_KID, SUBTOKEN_INVALID_ARGUMENT. On failure *secret is zeroed.
 * Wipe it after use.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_secret_set(subtoken_secret *secret,
                                                                      subtoken_text kid,
                                                                      const void *bytes,
                                                                      size_t len);

/* The bytes of the secret that is derived of a secret for an audience (common.h, subtoken_secret),
 * to hand to an edge. SUBTOKEN_BAD_SECRET as subtoken_secret_set; SUBTOKEN_BAD_AUD;
 * SUBTOKEN_INVALID_ARGUMENT. On failure out is zeroed. Wipe it after use.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_secret_derive(
    const void *secret, size_t len, subtoken_text audience, uint8_t out[SUBTOKEN_MAC_LEN]);

/* The MAC of data. data may be NULL when len is 0. SUBTOKEN_INVALID_ARGUMENT for another NULL;
 * SUBTOKEN_NO_SECRET for a secret that was never set or has been wiped, because everybody knows
 * the zeroed one.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_mac_compute(
    const subtoken_secret *secret, const void *data, size_t len, uint8_t mac[SUBTOKEN_MAC_LEN]);

/* Is this the MAC of data? SUBTOKEN_OK, or SUBTOKEN_MAC when it is not, in a time that does not
 * depend on where they differ; else as subtoken_mac_compute.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_mac_check(const subtoken_secret *secret, const void *data, size_t len,
                   const uint8_t mac[SUBTOKEN_MAC_LEN]);

/* The MAC of data in pieces: start, update for each piece, finish, which writes the MAC and wipes
 * the state. subtoken_mac_start returns what subtoken_mac_compute does. Call the others only after
 * SUBTOKEN_OK. Of their arguments only data may be NULL, when len is 0.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_mac_start(subtoken_mac *state,
                                                                     const subtoken_secret *secret);
SUBTOKEN_EXPORT void subtoken_mac_update(subtoken_mac *state, const void *data, size_t len);
SUBTOKEN_EXPORT void subtoken_mac_finish(subtoken_mac *state, uint8_t mac[SUBTOKEN_MAC_LEN]);

/* Verify the signature of a JWS and write its payload to out. These are the rules of
 * subtoken_verify up to the MAC: a strict header, alg HS256 (it selects nothing, RFC 8725 section
 * 3.1), typ JWT or none, a kid of the ring as it stands: under a plain ring a token that was signed
 * under a derived secret is SUBTOKEN_KID, because its payload is not read and so its audience not
 * compared. SUBTOKEN_TOO_LARGE,
 * SUBTOKEN_MALFORMED, SUBTOKEN_ALG, SUBTOKEN_HEADER, SUBTOKEN_KID, SUBTOKEN_MAC,
 * SUBTOKEN_BUFFER_TOO_SMALL, SUBTOKEN_INVALID_ARGUMENT. An out_size of SUBTOKEN_TOKEN_MAX is always
 * enough; there is no NUL behind the payload. About 13 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_jws_open(const subtoken_ring *ring,
                                                                    subtoken_text token, void *out,
                                                                    size_t out_size,
                                                                    size_t *out_len);

/* Sign a payload with the first secret of the ring. out gets the token, *out_len bytes and a NUL.
 * SUBTOKEN_TOO_LARGE when the token would be longer than SUBTOKEN_TOKEN_MAX;
 * SUBTOKEN_BUFFER_TOO_SMALL; SUBTOKEN_NO_SECRET when the ring is empty or its first secret was
 * never set; SUBTOKEN_INVALID_ARGUMENT for a NULL and for an empty payload, which no verifier
 * accepts.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_jws_seal(const subtoken_ring *ring,
                                                                    const void *payload, size_t len,
                                                                    char *out, size_t out_size,
                                                                    size_t *out_len);

#ifdef __cplusplus
}
#endif

#endif
