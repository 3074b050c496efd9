/* libjwt: jwt_decode checks the signature by the algorithm that the token names;
 * which one that was, and exp, are for the caller to look at. */
#include <jwt.h>

#include "peer.h"

static unsigned char key[32];

static bool prepare(const unsigned char *secret, size_t len) {
  memcpy(key, secret, len);
  return true;
}

static bool verify(const char *token, size_t len) {
  (void)len;
  jwt_t *jwt;
  if (jwt_decode(&jwt, token, key, sizeof key) != 0) return false;
  bool good = jwt_get_alg(jwt) == JWT_ALG_HS256 && jwt_get_grant_int(jwt, "exp") > time(NULL) &&
              jwt_get_grant(jwt, "sub") != NULL;
  jwt_free(jwt);
  return good;
}
