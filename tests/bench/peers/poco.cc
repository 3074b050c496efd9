// Poco::JWT: a Signer that knows HS256 only; exp is for the caller to look at.
#include <Poco/JWT/Signer.h>
#include <Poco/JWT/Token.h>

#include "peer.h"

static Poco::JWT::Signer signer;

static bool prepare(const unsigned char *secret, size_t len) {
  signer.setHMACKey(std::string(reinterpret_cast<const char *>(secret), len));
  signer.setAlgorithms({Poco::JWT::Signer::ALGO_HS256});
  return true;
}

static bool verify(const char *token, size_t len) {
  try {
    Poco::JWT::Token decoded = signer.verify(std::string(token, len));
    return decoded.getExpiration() > Poco::Timestamp() && !decoded.getSubject().empty();
  } catch (const Poco::Exception &) {
    return false;
  }
}
