/* A key's row as the claims that it grants, and what a key, a token and a registered string look
 * like. The records themselves are described in domain/key.h.
 */
#include "domain/key.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hmac.h"
#include "base/impossible.h"
#include "core/claims.h"
#include "subtoken/issue.h"

bool st_key_shaped(subtoken_text text) {
  static const char shape[] =
      "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXXXXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX";
  if (text.len != sizeof shape - 1) return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.data[i];
    bool hex = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
    if (shape[i] == '-' ? c != '-' : !hex) return false;
  }
  return true;
}

bool st_key_grant(const st_key *key, subtoken_claims *grant) {
  memset(grant, 0, offsetof(subtoken_claims, text));
  grant->exp = key->expires_at;
  grant->every_url = true;
  bool set = st_claims_set_sub(grant, st_text(key->sub));
  if (st_impossible(!set, "a sub fits empty claims")) return false;
  if (key->audience[0] != '\0' &&
      subtoken_claims_set_aud(grant, st_text(key->audience)) != SUBTOKEN_OK) {
    return false;
  }
  st_cutter cutter = {st_text(key->permissions), key->permissions[0] == '\0'};
  subtoken_text permission;
  while (st_cut(&cutter, ',', &permission)) {
    if (!st_claims_add_permission(grant, permission)) return false;
  }
  return true;
}

bool st_key_limit(const st_key *key, subtoken_claims *claims) {
  subtoken_claims most;
  if (!st_key_grant(key, &most)) return false;
  uint16_t kept = 0;
  for (uint16_t i = 0; i < claims->permission_count; i++) {
    subtoken_slice slice = claims->permissions[i];
    if (st_claims_has_permission(&most, subtoken_claims_text(claims, slice))) {
      claims->permissions[kept++] = slice;
    }
  }
  claims->permission_count = kept;
  if (claims->exp > most.exp) claims->exp = most.exp;
  return true;
}

st_key_token st_key_token_of(const subtoken_claims *claims) {
  st_key_token token = {.sub = subtoken_claims_text(claims, claims->sub),
                        .tid = subtoken_claims_text(claims, claims->tid),
                        .via_count = claims->via_count,
                        .exp = claims->exp};
  size_t at = 0;
  for (size_t i = 0; i < token.via_count; i++) {
    token.via[i] = subtoken_claims_text(claims, claims->via[i]);
  }
  if (claims->aud_derived) token.derived_for = subtoken_claims_audience(claims, &at);
  return token;
}

bool st_key_has_made(const st_key *key, const st_key_token *token) {
  return key->audience[0] == '\0' || st_text_is(token->derived_for, key->audience);
}

bool st_key_is_session_of(const st_key *key, const subtoken_claims *claims) {
  bool session = key->kind == ST_KIND_SESSION || key->kind == ST_KIND_SERVICE;
  return session && (claims->aud.len == 0 || key->audience[0] != '\0') &&
         st_text_is(subtoken_claims_text(claims, claims->sid), key->id);
}

bool st_key_token_shaped(subtoken_text text) {
  size_t dots = 0;
  for (size_t i = 0; i < text.len; i++) dots += text.data[i] == '.';
  return dots == 2;
}

/* The words in front keep it apart from the hash of any key. */
bool st_key_string_hash(subtoken_text string, uint8_t digest[32]) {
  char text[24 + ST_API_STRING_MAX];
  if (string.len < ST_API_STRING_MIN || string.len > ST_API_STRING_MAX) return false;
  if (st_key_shaped(string) || st_key_token_shaped(string)) return false;
  for (size_t i = 0; i < string.len; i++) {
    if (string.data[i] < 0x21 || string.data[i] > 0x7E) return false;
  }
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, "subtoken X-API-Key\n");
  st_write_view(&writer, string);
  st_sha256(text, writer.len, digest);
  subtoken_wipe(text, sizeof text);
  return true;
}
