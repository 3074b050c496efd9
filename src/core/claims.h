/* claims - payload text to claims and back (RFC 7519 section 4). */
#ifndef ST_CORE_CLAIMS_H
#define ST_CORE_CLAIMS_H

#include "base/bytes.h"

#define ST_CLAIMS_NAMES_MAX (SUBTOKEN_VIA_MAX + 2)
#define ST_CLAIMS_MAC_CHARS 43 /* of a signature in base64url */

/* Read claims->text, of claims->text_len bytes, into the other members, which are empty; strings
 * are unescaped in place. cpu: subtoken_secret.cpu, or 0. On failure the claims are unspecified:
 * zero them. With SUBTOKEN_CLAIMS *fault (may be NULL) is the name of the claim that is wrong or
 * missing. */
subtoken_result st_claims_read(uint8_t cpu, subtoken_claims *claims, subtoken_text *fault)
    __attribute__((warn_unused_result));

/* The same for any JSON, without the shortcut of claims_fast.h. */
subtoken_result st_claims_read_any(subtoken_claims *claims, subtoken_text *fault)
    __attribute__((warn_unused_result));

/* subtoken_claims_has_audience for claims whose slices are in bounds. */
bool st_claims_has_audience(const subtoken_claims *claims, subtoken_text aud);

/* Have they this audience and no other? */
bool st_claims_only_audience(const subtoken_claims *claims, subtoken_text audience);

/* Append the tid of this token, whose signature has ST_CLAIMS_MAC_CHARS characters. False when the
 * claims are full, which those of a token of SUBTOKEN_TOKEN_MAX bytes never are. */
static inline bool st_claims_set_tid(subtoken_claims *claims, subtoken_text token) {
  size_t at = claims->text_len;
  if (at > sizeof claims->text - SUBTOKEN_TID_LEN) return false;
  memcpy(claims->text + at, token.data + token.len - ST_CLAIMS_MAC_CHARS, SUBTOKEN_TID_LEN);
  claims->tid = (subtoken_slice){(uint16_t)at, SUBTOKEN_TID_LEN};
  claims->text_len = (uint16_t)(at + SUBTOKEN_TID_LEN);
  return true;
}

/* The names that revocation data is asked for: the sub, the tid and each of via. Returns their
 * number. The slices are in bounds. */
static inline size_t st_claims_names(const subtoken_claims *claims,
                                     subtoken_text names[ST_CLAIMS_NAMES_MAX]) {
  size_t count = 1;
  names[0] = subtoken_claims_text(claims, claims->sub);
  names[1] = subtoken_claims_text(claims, claims->tid);
  count += claims->tid.len > 0;
  for (size_t i = 0; i < claims->via_count && i < SUBTOKEN_VIA_MAX; i++) {
    names[count++] = subtoken_claims_text(claims, claims->via[i]);
  }
  return count;
}

/* Write valid claims, with one audience at most, as JSON. */
void st_claims_write(st_writer *writer, const subtoken_claims *claims);

/* Are the counts and slices of these claims within them? claims may be NULL. */
bool st_claims_in_bounds(const subtoken_claims *claims);

/* And all else that the rules read, for claims of any bytes? */
bool st_claims_decidable(const subtoken_claims *claims);

/* Append text. False when the claims are full. */
bool st_claims_add_permission(subtoken_claims *claims, subtoken_text permission)
    __attribute__((warn_unused_result));
bool st_claims_add_url(subtoken_claims *claims, subtoken_text url)
    __attribute__((warn_unused_result));
bool st_claims_set_sub(subtoken_claims *claims, subtoken_text sub)
    __attribute__((warn_unused_result));
bool st_claims_set_sid(subtoken_claims *claims, subtoken_text sid)
    __attribute__((warn_unused_result));
bool st_claims_set_aud(subtoken_claims *claims, subtoken_text audience)
    __attribute__((warn_unused_result));
bool st_claims_add_via(subtoken_claims *claims, subtoken_text tid)
    __attribute__((warn_unused_result));

bool st_claims_has_permission(const subtoken_claims *claims, subtoken_text permission);
bool st_claims_has_url(const subtoken_claims *claims, subtoken_text url);

/* The first of these permissions that the claims do not have, or NULL. */
const subtoken_text *st_claims_find_lacking(const subtoken_claims *claims,
                                            const subtoken_text *needs, size_t count);

/* SUBTOKEN_TID_LEN characters A-Za-z0-9_-. */
bool st_claims_tid_valid(subtoken_text tid);

/* 1 to 64 characters A-Za-z0-9_-. */
bool st_claims_sid_valid(subtoken_text sid);

#endif
