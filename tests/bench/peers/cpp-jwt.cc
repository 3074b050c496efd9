// cpp-jwt: jwt::decode does all of it, exp too. The form with an error_code, as an
// exception would only make refusals slower.
#include <jwt/jwt.hpp>

#include "peer.h"

static std::string key;

static bool prepare(const unsigned char *secret, size_t len) {
  key.assign(reinterpret_cast<const char *>(secret), len);
  return true;
}

static bool verify(const char *token, size_t len) {
  using namespace jwt::params;
  std::error_code ec;
  auto decoded = jwt::decode(jwt::string_view(token, len), algorithms({"HS256"}), ec, secret(key),
                             jwt::params::verify(true));
  return !ec && decoded.has_claim("exp") && decoded.has_claim("sub");
}
