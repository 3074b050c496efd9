/* subtoken_issue: checks claims as a verifier would, and signs them. narrow.c makes the claims of a
 * child; claims.c writes them; jws.c signs.
 */
#include "subtoken/issue.h"

#include "base/vector.h"
#include "core/claims.h"
#include "core/jws.h"
#include "core/paths.h"
#include "core/ring.h"

/* The longest payload whose token can be short enough. */
#define PAYLOAD_MAX ST_BASE64URL_BYTES(SUBTOKEN_ISSUED_MAX)

static bool all_in_class(uint8_t cpu, subtoken_text text, uint8_t class) {
  size_t passed = (cpu & ST_CPU_VECTOR) != 0 ? st_vector_span(text.data, text.len, class) : 0;
  return passed + st_text_span((subtoken_text){text.data + passed, text.len - passed}, class) ==
         text.len;
}

static bool permissions_valid(uint8_t cpu, const subtoken_claims *claims) {
  for (size_t i = 0; i < claims->permission_count; i++) {
    subtoken_text permission = subtoken_claims_text(claims, claims->permissions[i]);
    if (permission.len < 1 || permission.len > SUBTOKEN_PERMISSION_MAX ||
        !all_in_class(cpu, permission, ST_CHAR_SCOPE)) {
      return false;
    }
    for (size_t j = 0; j < i; j++) {
      subtoken_text other = subtoken_claims_text(claims, claims->permissions[j]);
      if (*other.data == *permission.data && st_text_equal(other, permission)) return false;
    }
  }
  return true;
}

static bool urls_valid(uint8_t cpu, const subtoken_claims *claims) {
  for (size_t i = 0; i < claims->url_count; i++) {
    subtoken_text url = subtoken_claims_text(claims, claims->urls[i]);
    bool plain = url.len <= SUBTOKEN_URL_MAX && st_paths_scan_entry(cpu, url) == url.len;
    if ((!plain || url.len == 0) && st_paths_check_entry(url) != SUBTOKEN_FAULT_NONE) return false;
  }
  return true;
}

/* An absent sid has no characters, so that all of them are valid. */
static bool sid_valid(uint8_t cpu, const subtoken_claims *claims) {
  subtoken_text sid = subtoken_claims_text(claims, claims->sid);
  return sid.len <= SUBTOKEN_SID_MAX && all_in_class(cpu, sid, ST_CHAR_NAME);
}

/* Checks the ids of the tokens that it was made from, and its audience. */
static bool origin_valid(const subtoken_claims *claims) {
  size_t at = 0;
  for (size_t i = 0; i < claims->via_count; i++) {
    if (!st_claims_tid_valid(subtoken_claims_text(claims, claims->via[i]))) return false;
  }
  subtoken_text audience = subtoken_claims_audience(claims, &at);
  return claims->aud.len == 0 || (subtoken_audience_valid(audience) && at == claims->aud.len);
}

/* Refuses claims that no verifier would accept. */
static subtoken_result issue_check(uint8_t cpu, const subtoken_claims *claims) {
  subtoken_text sub = subtoken_claims_text(claims, claims->sub);
  if (!claims->every_url && claims->url_count == 0) return SUBTOKEN_TOO_MANY_URLS;
  if (claims->iat < 0 || claims->exp <= claims->iat || claims->exp > SUBTOKEN_TIME_MAX ||
      claims->nbf > claims->iat) { /* nbf is not written, so it must have no effect */
    return SUBTOKEN_INVALID_ARGUMENT;
  }
  if (sub.len < 1 || sub.len > SUBTOKEN_SUB_MAX || !all_in_class(cpu, sub, ST_CHAR_NAME) ||
      !permissions_valid(cpu, claims) || !sid_valid(cpu, claims) || !origin_valid(claims)) {
    return SUBTOKEN_CLAIMS;
  }
  return claims->every_url || urls_valid(cpu, claims) ? SUBTOKEN_OK : SUBTOKEN_BAD_URL;
}

/* Claims for an audience are signed under the derived secret: of this ring, or derived here. */
static __attribute__((noinline)) subtoken_result seal_for(const subtoken_ring *ring,
                                                          const subtoken_claims *claims,
                                                          subtoken_text payload, char *out,
                                                          size_t out_size, size_t *out_len) {
  size_t at = 0;
  subtoken_secret derived;
  subtoken_text audience = subtoken_claims_audience(claims, &at);
  subtoken_text of_ring = subtoken_ring_audience(ring);
  if (of_ring.data != NULL) {
    if (!st_text_equal(of_ring, audience)) return SUBTOKEN_AUD;
    return st_jws_seal(&ring->secrets[0], payload, SUBTOKEN_ISSUED_MAX, out, out_size, out_len);
  }
  if (!st_ring_derive_secret(&ring->secrets[0], audience, &derived)) return SUBTOKEN_BAD_KID;
  subtoken_result result =
      st_jws_seal(&derived, payload, SUBTOKEN_ISSUED_MAX, out, out_size, out_len);
  subtoken_wipe(&derived, sizeof derived);
  return result;
}

subtoken_result subtoken_issue(const subtoken_ring *ring, const subtoken_claims *claims, char *out,
                               size_t out_size, size_t *out_len) {
  char payload[PAYLOAD_MAX];
  if (!st_empty_out(out, out_size, out_len)) return SUBTOKEN_INVALID_ARGUMENT;
  if (ring == NULL || !st_claims_in_bounds(claims)) return SUBTOKEN_INVALID_ARGUMENT;
  if (ring->count == 0 || ring->secrets[0].header_len == 0) return SUBTOKEN_NO_SECRET;
  st_vector_clean(ring->secrets[0].cpu);
  subtoken_result result = issue_check(ring->secrets[0].cpu, claims);
  if (result != SUBTOKEN_OK) return result;
  st_writer text = st_writer_on(payload, sizeof payload);
  st_claims_write(&text, claims);
  if (text.overflow) return SUBTOKEN_TOO_LARGE;
  subtoken_text written = {payload, text.len};
  if (claims->aud.len > 0) return seal_for(ring, claims, written, out, out_size, out_len);
  if (subtoken_ring_audience(ring).data != NULL) return SUBTOKEN_AUD;
  return st_jws_seal(&ring->secrets[0], written, SUBTOKEN_ISSUED_MAX, out, out_size, out_len);
}
