/* Rhonabwy (GnuTLS): R_PARSE_NONE follows no key in the header and takes no
 * unsigned token; exp is checked by r_jwt_validate_claims. */
#include <rhonabwy.h>

#include "peer.h"

static jwk_t *key;

static bool prepare(const unsigned char *secret, size_t len) {
  return r_global_init() == RHN_OK && r_jwk_init(&key) == RHN_OK &&
         r_jwk_import_from_symmetric_key(key, secret, len) == RHN_OK;
}

static bool verify(const char *token, size_t len) {
  jwt_t *jwt = r_jwt_quick_parsen(token, len, R_PARSE_NONE, 0);
  if (jwt == NULL) return false;
  bool good =
      r_jwt_get_sign_alg(jwt) == R_JWA_ALG_HS256 && r_jwt_verify_signature(jwt, key, 0) == RHN_OK &&
      r_jwt_validate_claims(jwt, R_JWT_CLAIM_EXP, R_JWT_CLAIM_NOW, R_JWT_CLAIM_NOP) == RHN_OK &&
      r_jwt_get_claim_str_value(jwt, "sub") != NULL;
  r_jwt_free(jwt);
  return good;
}
