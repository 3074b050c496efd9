/* ring - the signing secrets, and the secret that a kid names. */
#ifndef ST_CORE_RING_H
#define ST_CORE_RING_H

#include "base/bytes.h"
#include "subtoken/mac.h"

/* NULL when the ring has no secret of this name; kid.len 0 asks for the unnamed one. */
const subtoken_secret *st_ring_find(const subtoken_ring *ring, subtoken_text kid);

/* Set a secret from a key of any length and quality. The kid is valid. */
void st_ring_fill_secret(subtoken_secret *secret, subtoken_text kid, const void *key, size_t len);

/* The secret that is derived of a plain one for an audience, which is valid. False when its kid
 * would be too long. */
bool st_ring_derive_secret(const subtoken_secret *secret, subtoken_text audience,
                           subtoken_secret *out) __attribute__((warn_unused_result));

/* 1 to 64 characters A-Za-z0-9_-, or that of a derived secret: 0 or more of these, a dot, and an
 * audience. */
bool st_ring_kid_valid(subtoken_text kid);

/* The two parts of a valid kid. audience is absent for that of a plain secret. */
void st_ring_split_kid(subtoken_text kid, subtoken_text *plain, subtoken_text *audience);

static inline subtoken_text st_ring_kid(const subtoken_secret *secret) {
  return (subtoken_text){secret->kid, secret->kid_len};
}

/* Absent for a plain secret. */
static inline subtoken_text st_ring_secret_audience(const subtoken_secret *secret) {
  size_t len = secret->audience_len;
  bool derived = len > 0 && len <= secret->kid_len && secret->kid_len <= SUBTOKEN_KID_MAX;
  return derived ? (subtoken_text){secret->kid + secret->kid_len - len, len}
                 : (subtoken_text){NULL, 0};
}

/* Is the secret easy to guess: one short piece repeated, or printed in documentation? */
bool st_ring_secret_weak(const void *secret, size_t len);

#endif
