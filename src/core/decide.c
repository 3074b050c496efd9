/* The rules of a token after its signature: times, issuer, audience, revocation, URLs and
 * permissions, in the order of subtoken_result. It trusts the claims; verify.c checks the signature
 * first.
 */
#include "core/decide.h"

#include "core/claims.h"
#include "core/paths.h"

/* The times, in the order of subtoken_result. No sum can overflow: each number is at most 2^53-1.
 */
static subtoken_result decide_times(const subtoken_verifier *verifier, int64_t now,
                                    const subtoken_claims *claims) {
  if (claims->exp <= claims->iat) return SUBTOKEN_EXP_BEFORE_IAT;
  if (claims->exp - claims->iat > verifier->max_life) return SUBTOKEN_TTL;
  if (claims->iat > now + verifier->leeway) return SUBTOKEN_IAT_FUTURE;
  if (claims->nbf > now + verifier->leeway) return SUBTOKEN_NOT_YET;
  if (now >= claims->exp + verifier->leeway) return SUBTOKEN_EXPIRED;
  return SUBTOKEN_OK;
}

static subtoken_result decide_parties(const subtoken_verifier *verifier,
                                      const subtoken_claims *claims) {
  if (verifier->iss.data != NULL &&
      !st_text_equal(subtoken_claims_text(claims, claims->iss), verifier->iss)) {
    return SUBTOKEN_ISS;
  }
  if (verifier->any_audience) return SUBTOKEN_OK;
  if (verifier->aud.data != NULL) {
    return st_claims_has_audience(claims, verifier->aud) ? SUBTOKEN_OK : SUBTOKEN_AUD;
  }
  /* A derived ring has authenticated nothing but tokens for its own audience. */
  return !claims->aud_derived || subtoken_ring_audience(verifier->ring).data != NULL ? SUBTOKEN_OK
                                                                                     : SUBTOKEN_AUD;
}

static subtoken_result decide_revoked(const subtoken_verifier *verifier,
                                      const subtoken_claims *claims) {
  if (verifier->without_revocations) return SUBTOKEN_OK;
  if (verifier->revoked == NULL) return SUBTOKEN_REVOCATION_UNKNOWN;
  subtoken_text names[ST_CLAIMS_NAMES_MAX];
  size_t count = st_claims_names(claims, names);
  subtoken_result result = verifier->revoked(verifier->revoked_context, names, count);
  return result == SUBTOKEN_OK || result == SUBTOKEN_REVOKED ? result : SUBTOKEN_REVOCATION_UNKNOWN;
}

/* The rule for URLs, for claims whose entries were checked by st_claims_read. */
static subtoken_result decide_path(const subtoken_claims *claims, subtoken_text method,
                                   const st_path *path) {
  if (claims->every_url) return SUBTOKEN_OK;
  for (size_t i = 0; i < claims->url_count; i++) {
    subtoken_text url = subtoken_claims_text(claims, claims->urls[i]);
    if (st_paths_match_text(url, method, path)) return SUBTOKEN_OK;
  }
  return SUBTOKEN_URL;
}

static subtoken_result decide_url(uint8_t cpu, const subtoken_claims *claims, subtoken_text method,
                                  subtoken_text target) {
  st_path path;
  if (target.data == NULL) return claims->every_url ? SUBTOKEN_OK : SUBTOKEN_URL;
  if (st_paths_read_target_by(cpu, target, &path) != SUBTOKEN_FAULT_NONE)
    return SUBTOKEN_BAD_TARGET;
  return decide_path(claims, method, &path);
}

/* No verifier would accept claims with other entries. */
static bool entries_valid(uint8_t cpu, const subtoken_claims *claims) {
  for (size_t i = 0; i < claims->url_count; i++) {
    subtoken_text url = subtoken_claims_text(claims, claims->urls[i]);
    bool usual =
        url.len > 0 && url.len <= SUBTOKEN_URL_MAX && st_paths_scan_entry(cpu, url) == url.len;
    if (!usual && st_paths_check_entry(url) != SUBTOKEN_FAULT_NONE) return false;
  }
  return true;
}

subtoken_result subtoken_url_match(const subtoken_claims *claims, subtoken_text method,
                                   subtoken_text target) {
  if (!st_claims_in_bounds(claims)) return SUBTOKEN_INVALID_ARGUMENT;
  if (!entries_valid(0, claims)) return SUBTOKEN_URL;
  return decide_url(0, claims, method, target);
}

static subtoken_result decide_needs(const subtoken_request *request,
                                    const subtoken_claims *claims) {
  for (size_t i = 0; i < request->needs_count; i++) {
    if (!st_claims_has_permission(claims, request->needs[i])) return SUBTOKEN_PERM;
  }
  return SUBTOKEN_OK;
}

subtoken_result st_decide(const subtoken_verifier *verifier, const subtoken_request *request,
                          const st_path *path, const subtoken_claims *claims) {
  subtoken_result result = decide_times(verifier, request->now, claims);
  if (result == SUBTOKEN_OK) result = decide_parties(verifier, claims);
  if (result == SUBTOKEN_OK) result = decide_revoked(verifier, claims);
  if (result == SUBTOKEN_OK && path != NULL) {
    result = decide_path(claims, request->method, path);
  } else if (result == SUBTOKEN_OK) {
    result = decide_url(verifier->ring->secrets[0].cpu, claims, request->method, request->target);
  }
  if (result == SUBTOKEN_OK) result = decide_needs(request, claims);
  return result;
}

subtoken_result st_decide_any(const subtoken_verifier *verifier, const subtoken_request *request,
                              const subtoken_claims *claims) {
  if (!entries_valid(verifier->ring->secrets[0].cpu, claims)) return SUBTOKEN_CLAIMS;
  return st_decide(verifier, request, NULL, claims);
}
