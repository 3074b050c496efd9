/* ring - the signing secrets, and the secret that a kid names. */
#ifndef ST_CORE_RING_H
#define ST_CORE_RING_H

#include "base/bytes.h"

/* NULL when the ring has no secret of this name; kid.len 0 asks for the unnamed one. */
const subtoken_secret *st_ring_find(const subtoken_ring *ring, subtoken_text kid);

/* Set a secret from a key of any length and quality. */
bool st_ring_fill_secret(subtoken_secret *secret, subtoken_text kid, const void *key, size_t len)
    __attribute__((warn_unused_result));

/* 1 to 64 characters A-Za-z0-9_-. */
bool st_ring_kid_valid(subtoken_text kid);

/* Is the secret easy to guess: one short piece repeated, or printed in documentation? */
bool st_ring_secret_weak(const void *secret, size_t len);

#endif
