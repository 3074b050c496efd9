/* cjose is about JWS: it checks the signature and gives the bytes of the payload.
 * The claims are read with jansson, which cjose itself uses for the header. */
#include <cjose/cjose.h>
#include <jansson.h>

#include "peer.h"

static cjose_jwk_t *key;

static bool prepare(const unsigned char *secret, size_t len) {
  cjose_err err;
  key = cjose_jwk_create_oct_spec(secret, len, &err);
  return key != NULL;
}

static bool claims_good(const uint8_t *text, size_t len) {
  json_t *claims = json_loadb((const char *)text, len, 0, NULL);
  bool good = json_integer_value(json_object_get(claims, "exp")) > time(NULL) &&
              json_is_string(json_object_get(claims, "sub"));
  json_decref(claims);
  return good;
}

static bool verify(const char *token, size_t len) {
  cjose_err err;
  uint8_t *text;
  size_t text_len;
  cjose_jws_t *jws = cjose_jws_import(token, len, &err);
  if (jws == NULL) return false;
  const char *alg = cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, &err);
  bool good = alg != NULL && strcmp(alg, CJOSE_HDR_ALG_HS256) == 0 &&
              cjose_jws_verify(jws, key, &err) &&
              cjose_jws_get_plaintext(jws, &text, &text_len, &err) && claims_good(text, text_len);
  cjose_jws_release(jws);
  return good;
}
