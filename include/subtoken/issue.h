/* subtoken/issue.h - issue tokens.
 *
 * A token is made in two steps: subtoken_narrow restricts the parent's claims to what is requested,
 * and subtoken_issue signs the result. A child is never allowed what its parent is not.
 */
#ifndef SUBTOKEN_ISSUE_H
#define SUBTOKEN_ISSUE_H

#include "subtoken/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Make claims by hand, such as the grant of a key: start with zeroed claims, set iat, exp
 * (SUBTOKEN_TIME_MAX: never) and every_url, and add the strings with these functions, which copy
 * them. every_url = true allows every path; adding a url sets it to false.
 *
 * sub        1 to 128 characters A-Za-z0-9_- (subtoken_sub_valid)
 * sid        the session that the token belongs to: 1 to 64 of the same characters
 * audience   the only one (subtoken_audience_valid); the token is signed under the secret that is
 *            derived for it
 * permission 1 to 64 characters of a scope-token (RFC 6749 section 3.3) without the comma
 *            (subtoken_permission_valid)
 * entry      of the URL allowlist (url.h); its canonical text is stored
 *
 * A permission or entry that the claims have already is not added again. SUBTOKEN_CLAIMS for a
 * text of another form; SUBTOKEN_BAD_AUD; SUBTOKEN_BAD_URL, with what is wrong in *fault (may be
 * NULL); SUBTOKEN_TOO_MANY_PERMISSIONS; SUBTOKEN_TOO_MANY_URLS; SUBTOKEN_TOO_LARGE when the text of
 * the claims is full; SUBTOKEN_INVALID_ARGUMENT when claims or the text is absent, or the claims
 * are out of range. On failure the claims are as they were. subtoken_claims_add_url uses about 6
 * KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_set_sub(subtoken_claims *claims,
                                                                          subtoken_text sub);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_set_sid(subtoken_claims *claims,
                                                                          subtoken_text sid);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_set_aud(subtoken_claims *claims,
                                                                          subtoken_text audience);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_claims_add_permission(subtoken_claims *claims, subtoken_text permission);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_add_url(subtoken_claims *claims,
                                                                          subtoken_text entry,
                                                                          subtoken_fault *fault);

/* What a new token is requested to have. The default requests no permission, the urls of the
 * parent, its audience and the default life. It points to the caller's texts.
 */
typedef struct subtoken_issue_request {
  size_t size; /* of this structure (common.h, Sizes) */
  bool has_expire;
  int64_t expire;
  const subtoken_text *permissions;
  size_t permission_count;
  bool has_urls;             /* false: the parent's. true with url_count 0 is refused */
  const subtoken_text *urls; /* entries, percent-encoded; they need not be canonical */
  size_t url_count;
  subtoken_text audience; /* absent: the parent's */
} subtoken_issue_request;

#define SUBTOKEN_ISSUE_REQUEST_DEFAULT                                   \
  {                                                                      \
    sizeof(subtoken_issue_request), false, 0, NULL, 0, false, NULL, 0, { \
      NULL, 0                                                            \
    }                                                                    \
  }

typedef struct subtoken_limits {
  size_t size;          /* of this structure (common.h, Sizes) */
  int64_t default_life; /* seconds from now to exp when no expiry is requested; 1 or more */
  int64_t max_life;     /* the most seconds from now to exp; 1 or more */
} subtoken_limits;

#define SUBTOKEN_LIMITS_DEFAULT \
  { sizeof(subtoken_limits), INT64_C(30) * 86400, INT64_C(365) * 86400 }

/* What subtoken_narrow did, for logs and error messages. It is written on failure too. */
typedef struct subtoken_narrow_report {
  size_t size;          /* of this structure (common.h, Sizes) */
  size_t dropped;       /* the number of requested permissions that the parent lacks */
  bool clamped;         /* the requested expiry was reduced */
  size_t url;           /* with SUBTOKEN_BAD_URL and SUBTOKEN_URL_WIDER: the index of the entry */
  subtoken_fault fault; /* with SUBTOKEN_BAD_URL: what is wrong with it */
} subtoken_narrow_report;

#define SUBTOKEN_NARROW_REPORT_DEFAULT \
  { sizeof(subtoken_narrow_report), 0, false, 0, SUBTOKEN_FAULT_NONE }

/* Make the claims of a child token. parent is the claims of a verified token, or the grant of a
 * key, with exp SUBTOKEN_TIME_MAX when the key never expires. child must be another object.
 *
 * permissions  those requested, in the order of the request, without repeats and without those
 *              that the parent lacks
 * exp          at most the parent's, and at most now + max_life
 * urls         each requested entry must be covered by one of the parent's (subtoken_url_covers)
 * iat          now, also when the iat of the parent is later because a clock differs
 * sid          none: a child does not belong to the session of its parent
 * aud          the one that is requested, else the parent's. From a parent that has one, only the
 *              same
 * via          of a parent with a tid, its via and its tid; of the grant of a key, none
 *
 * The leeway of a verifier does not count here: SUBTOKEN_PARENT_EXPIRED when the exp of the parent
 * is now or earlier, SUBTOKEN_NOT_YET when its nbf is later. SUBTOKEN_EXPIRE_PAST when the
 * requested expiry is now or earlier; SUBTOKEN_TOO_MANY_PERMISSIONS; SUBTOKEN_TOO_MANY_URLS, also
 * for an empty list; SUBTOKEN_BAD_URL; SUBTOKEN_URL_WIDER; SUBTOKEN_BAD_AUD; SUBTOKEN_AUD_WIDER,
 * also when the parent has several audiences or one of another form; SUBTOKEN_TOO_DEEP;
 * SUBTOKEN_TOO_LARGE; SUBTOKEN_INVALID_ARGUMENT. On failure *child is zeroed. report may be NULL.
 * About 10 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_narrow(const subtoken_claims *parent, const subtoken_issue_request *request,
                const subtoken_limits *limits, int64_t now, subtoken_claims *child,
                subtoken_narrow_report *report);

/* Sign claims with the first secret of the ring; claims with an audience, with the secret that is
 * derived of it for that audience. A derived ring signs nothing but claims for its own. out gets
 * the token, *out_len bytes and a NUL; an out_size of SUBTOKEN_ISSUED_MAX + 1 is always enough.
 *
 * Claims that no verifier would accept are refused: SUBTOKEN_CLAIMS, also for several audiences;
 * SUBTOKEN_AUD when a derived ring is of another audience; SUBTOKEN_BAD_KID when the kid of the
 * derived secret is longer than SUBTOKEN_KID_MAX; SUBTOKEN_BAD_URL;
 * SUBTOKEN_TOO_MANY_URLS for an empty list without every_url; SUBTOKEN_INVALID_ARGUMENT for times
 * that are out of order or out of range, and for an nbf later than iat, because the token has no
 * nbf. SUBTOKEN_NO_SECRET when the ring is empty or its first secret was never set;
 * SUBTOKEN_TOO_LARGE when the token would be longer than SUBTOKEN_ISSUED_MAX;
 * SUBTOKEN_BUFFER_TOO_SMALL. On failure out is the empty string. About 8 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_issue(const subtoken_ring *ring,
                                                                 const subtoken_claims *claims,
                                                                 char *out, size_t out_size,
                                                                 size_t *out_len);

#ifdef __cplusplus
}
#endif

#endif
