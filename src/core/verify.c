/* subtoken_verify, its two parts, and subtoken_inspect: opens a token (jws.c) and reads its claims
 * (claims.c), unless the cache knows it (cache.c), and applies the rules (decide.c). Nothing of the
 * payload is parsed before the MAC is checked.
 */
#include "subtoken/verify.h"

#include "base/impossible.h"
#include "core/cache.h"
#include "core/claims.h"
#include "core/decide.h"
#include "core/jws.h"
#include "core/sized.h"

static bool time_in_range(int64_t value) {
  return (uint64_t)value <= SUBTOKEN_TIME_MAX;
}

/* Makes claims as empty as zeroed ones: the text can be reached through these members only. */
static void clear_claims(subtoken_claims *claims) {
  claims->iat = claims->exp = claims->nbf = 0;
  claims->every_url = claims->aud_named = claims->aud_derived = false;
  claims->permission_count = claims->url_count = claims->via_count = claims->text_len = 0;
  claims->sub = claims->tid = claims->aud = claims->iss = claims->sid = (subtoken_slice){0, 0};
}

/* Not inline, so that a token which the cache has pays for none of it. */
static __attribute__((noinline)) subtoken_result open_token(const subtoken_ring *ring,
                                                            subtoken_text token,
                                                            subtoken_claims *claims) {
  size_t len;
  st_jws_audience audience;
  clear_claims(claims);
  subtoken_result result =
      st_jws_open(ring, token, claims->text, sizeof claims->text, &len, &audience);
  if (result != SUBTOKEN_OK) return result;
  claims->text_len = (uint16_t)len;
  result = st_claims_read(ring->secrets[0].cpu, claims, NULL);
  if (result != SUBTOKEN_OK) return result;
  if (st_impossible(!st_claims_set_tid(claims, token), "a payload leaves room for it")) {
    return SUBTOKEN_TOO_LARGE;
  }
  if (audience.len == 0) return SUBTOKEN_OK;
  claims->aud_derived = true;
  return st_claims_only_audience(claims, (subtoken_text){audience.text, audience.len})
             ? SUBTOKEN_OK
             : SUBTOKEN_AUD;
}

/* The rules for the token alone. The cache is valid or NULL; on failure the claims are unspecified.
 */
static inline subtoken_result authenticate(const subtoken_ring *ring, const subtoken_cache *cache,
                                           subtoken_text token, subtoken_claims *claims) {
  if (cache != NULL && st_cache_find(cache, ring, token, claims)) return SUBTOKEN_OK;
  subtoken_result result = open_token(ring, token, claims);
  if (result == SUBTOKEN_OK && cache != NULL) st_cache_keep(cache, token, claims);
  return result;
}

subtoken_result subtoken_authenticate(const subtoken_ring *ring, subtoken_cache *cache,
                                      subtoken_text token, subtoken_claims *claims) {
  if (claims == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (ring != NULL && token.data != NULL && (cache == NULL || st_cache_valid(cache)))
    result = authenticate(ring, cache, token, claims);
  if (result != SUBTOKEN_OK) memset(claims, 0, sizeof *claims);
  return result;
}

static bool verify_args_valid(const subtoken_verifier *verifier, const subtoken_request *request) {
  return verifier != NULL && verifier->ring != NULL && request != NULL &&
         (verifier->cache == NULL || st_cache_valid(verifier->cache)) && verifier->leeway >= 0 &&
         verifier->leeway <= SUBTOKEN_LEEWAY_MAX && time_in_range(verifier->max_life) &&
         time_in_range(request->now) && (request->needs != NULL || request->needs_count == 0);
}

/* The claims are const to the rules, and what was asked for is not theirs: so .aud_named is set
 * here, where the rule for it has held. */
static subtoken_result verify_token(const subtoken_verifier *verifier, subtoken_text token,
                                    const subtoken_request *request, const st_path *path,
                                    subtoken_claims *claims) {
  subtoken_result result = authenticate(verifier->ring, verifier->cache, token, claims);
  if (result == SUBTOKEN_OK) result = st_decide(verifier, request, path, claims);
  claims->aud_named = verifier->aud.data != NULL && !verifier->any_audience;
  return result;
}

subtoken_result st_verify(const subtoken_verifier *verifier, subtoken_text token,
                          const subtoken_request *request, const st_path *path,
                          subtoken_claims *claims) {
  if (claims == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (verify_args_valid(verifier, request) && token.data != NULL)
    result = verify_token(verifier, token, request, path, claims);
  if (result != SUBTOKEN_OK) memset(claims, 0, sizeof *claims);
  return result;
}

/* For structures of an earlier version. Not inline, so that others do not pay for the copies. */
static __attribute__((noinline)) subtoken_result verify_older(const subtoken_verifier *verifier,
                                                              subtoken_text token,
                                                              const subtoken_request *request,
                                                              subtoken_claims *claims) {
  subtoken_verifier verifier_copy;
  subtoken_request request_copy;
  return st_verify(st_sized_verifier(verifier, &verifier_copy), token,
                   st_sized_request(request, &request_copy), NULL, claims);
}

subtoken_result subtoken_verify(const subtoken_verifier *verifier, subtoken_text token,
                                const subtoken_request *request, subtoken_claims *claims) {
  if (!st_sized_current(verifier, request)) return verify_older(verifier, token, request, claims);
  return st_verify(verifier, token, request, NULL, claims);
}

subtoken_result subtoken_decide(const subtoken_verifier *verifier, const subtoken_request *request,
                                const subtoken_claims *claims) {
  subtoken_verifier verifier_copy;
  subtoken_request request_copy;
  verifier = st_sized_verifier(verifier, &verifier_copy);
  request = st_sized_request(request, &request_copy);
  bool valid = verify_args_valid(verifier, request) && st_claims_decidable(claims);
  return valid ? st_decide_any(verifier, request, claims) : SUBTOKEN_INVALID_ARGUMENT;
}

static subtoken_result inspect_token(subtoken_text token, char *header, size_t header_size,
                                     subtoken_claims *claims) {
  st_jws jws;
  size_t len;
  subtoken_result result = st_jws_split(token, NULL, &jws);
  if (result != SUBTOKEN_OK) return result;
  if (!st_base64url_valid(jws.mac)) return SUBTOKEN_MALFORMED;
  if (!st_base64url_valid(jws.header)) return SUBTOKEN_MALFORMED;
  if (!st_base64url_decode(jws.header, header, header_size - 1, &len)) {
    return SUBTOKEN_BUFFER_TOO_SMALL;
  }
  for (size_t i = 0; i < len; i++) {
    if (header[i] == '\0') return SUBTOKEN_MALFORMED; /* it would hide what follows */
  }
  header[len] = '\0';
  if (!st_base64url_decode(jws.payload, claims->text, sizeof claims->text, &len)) {
    return SUBTOKEN_MALFORMED;
  }
  claims->text_len = (uint16_t)len;
  result = st_claims_read(0, claims, NULL);
  if (result != SUBTOKEN_OK || jws.mac.len != ST_CLAIMS_MAC_CHARS) return result;
  bool fits = st_claims_set_tid(claims, token);
  return st_impossible(!fits, "a payload leaves room for it") ? SUBTOKEN_TOO_LARGE : SUBTOKEN_OK;
}

subtoken_result subtoken_inspect(subtoken_text token, char *header, size_t header_size,
                                 subtoken_claims *claims) {
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (claims != NULL) clear_claims(claims);
  if (claims != NULL && header != NULL && token.data != NULL) {
    result = header_size > 0 ? inspect_token(token, header, header_size, claims)
                             : SUBTOKEN_BUFFER_TOO_SMALL;
  }
  if (result != SUBTOKEN_OK) {
    if (claims != NULL) memset(claims, 0, sizeof *claims);
    if (header != NULL) memset(header, 0, header_size);
  }
  return result;
}
