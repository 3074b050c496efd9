#include "base/hmac.h"

#include "mbedtls/sha256.h"

#define BLOCK 64

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(((subtoken_secret *)0)->inner),
               "subtoken_secret has no room for mbedTLS's SHA-256 state");
_Static_assert(_Alignof(mbedtls_sha256_context) <= _Alignof(uint64_t), "alignment");

bool st_sha256(const void *data, size_t len, uint8_t out[ST_HASH_LEN]) {
  return mbedtls_sha256(data, len, out, 0) == 0;
}

/* The state after one block of key XOR pad. */
static bool start(uint64_t state[16], const uint8_t key[BLOCK], uint8_t pad) {
  uint8_t block[BLOCK];
  for (size_t i = 0; i < BLOCK; i++) block[i] = key[i] ^ pad;
  mbedtls_sha256_context context;
  mbedtls_sha256_init(&context);
  bool ok =
      mbedtls_sha256_starts(&context, 0) == 0 && mbedtls_sha256_update(&context, block, BLOCK) == 0;
  if (ok) memcpy(state, &context, sizeof context);
  mbedtls_sha256_free(&context);
  subtoken_wipe(block, sizeof block);
  return ok;
}

bool st_hmac_key(subtoken_secret *secret, const void *key, size_t len) {
  uint8_t padded[BLOCK] = {0};
  bool ok = true;
  if (len > BLOCK) {
    ok = st_sha256(key, len, padded);
  } else if (len > 0) {
    memcpy(padded, key, len);
  }
  ok = ok && start(secret->inner, padded, 0x36) && start(secret->outer, padded, 0x5C);
  subtoken_wipe(padded, sizeof padded);
  return ok;
}

static bool finish(const uint64_t state[16], const void *data, size_t len,
                   uint8_t out[ST_HASH_LEN]) {
  mbedtls_sha256_context context;
  memcpy(&context, state, sizeof context);
  bool ok =
      mbedtls_sha256_update(&context, data, len) == 0 && mbedtls_sha256_finish(&context, out) == 0;
  mbedtls_sha256_free(&context);
  return ok;
}

bool st_hmac(const subtoken_secret *secret, const void *data, size_t len,
             uint8_t out[ST_HASH_LEN]) {
  uint8_t inner[ST_HASH_LEN];
  bool ok =
      finish(secret->inner, data, len, inner) && finish(secret->outer, inner, sizeof inner, out);
  subtoken_wipe(inner, sizeof inner);
  return ok;
}
