/* José: a JWS is a jansson object there, so the caller cuts the compact form into
 * its three parts. The JWK says HS256, and a header that says another is refused. */
#include <jose/b64.h>
#include <jose/jws.h>

#include "peer.h"

static json_t *key;

static bool prepare(const unsigned char *secret, size_t len) {
  key = json_pack("{s:s,s:s,s:o}", "kty", "oct", "alg", "HS256", "k", jose_b64_enc(secret, len));
  return key != NULL;
}

static json_t *jws_of(const char *token, size_t len) {
  const char *payload = (const char *)memchr(token, '.', len);
  const char *mac = (const char *)memrchr(token, '.', len);
  if (payload == NULL || mac == payload) return NULL;
  payload++;
  mac++;
  return json_pack("{s:s%,s:s%,s:s%}", "protected", token, (size_t)(payload - 1 - token), "payload",
                   payload, (size_t)(mac - 1 - payload), "signature", mac,
                   (size_t)(token + len - mac));
}

static bool verify(const char *token, size_t len) {
  json_t *claims = NULL;
  json_t *jws = jws_of(token, len);
  bool good = jws != NULL && jose_jws_ver(NULL, jws, NULL, key, false);
  if (good) {
    claims = jose_b64_dec_load(json_object_get(jws, "payload"));
    good = json_integer_value(json_object_get(claims, "exp")) > time(NULL) &&
           json_is_string(json_object_get(claims, "sub"));
  }
  json_decref(claims);
  json_decref(jws);
  return good;
}
