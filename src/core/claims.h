/* claims - payload text to claims and back (RFC 7519 section 4). */
#ifndef ST_CORE_CLAIMS_H
#define ST_CORE_CLAIMS_H

#include "base/bytes.h"

/* Read claims->text, of claims->text_len bytes, into the other members, which are empty; strings
 * are unescaped in place. cpu: subtoken_secret.cpu, or 0. On failure the claims are unspecified:
 * zero them. With SUBTOKEN_CLAIMS *fault (may be NULL) is the name of the claim that is wrong or
 * missing. */
subtoken_result st_claims_read(uint8_t cpu, subtoken_claims *claims, subtoken_text *fault)
    __attribute__((warn_unused_result));

/* The same for any JSON, without the shortcut of claims_fast.h. */
subtoken_result st_claims_read_any(subtoken_claims *claims, subtoken_text *fault)
    __attribute__((warn_unused_result));

/* Is this one of their audiences? */
bool st_claims_has_audience(const subtoken_claims *claims, subtoken_text aud);

/* Write valid claims as JSON. */
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

bool st_claims_has_permission(const subtoken_claims *claims, subtoken_text permission);
bool st_claims_has_url(const subtoken_claims *claims, subtoken_text url);

/* The first of these permissions that the claims do not have, or NULL. */
const subtoken_text *st_claims_find_lacking(const subtoken_claims *claims,
                                            const subtoken_text *needs, size_t count);

/* 1 to 64 characters A-Za-z0-9_-. */
bool st_claims_sid_valid(subtoken_text sid);

#endif
