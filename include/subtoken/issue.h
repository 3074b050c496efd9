/* subtoken/issue.h - all that an issuer needs.
 *
 * Making a token takes two steps: narrow what the parent grants down to what is
 * asked for, then sign it. Whatever the child may do, the parent may.
 */
#ifndef SUBTOKEN_ISSUE_H
#define SUBTOKEN_ISSUE_H

#include "subtoken/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Claims by hand, such as what a key of yours grants: start from all zero, set iat and
 * exp (SUBTOKEN_TIME_MAX when it never expires), then the strings by these, which
 * copy them. every_url = true opens every path; adding a url takes that back.
 * SUBTOKEN_CLAIMS: not of the form that a verifier takes (sub: 1 to 128 characters
 * A-Za-z0-9_-; sid, for a token that is made in a login: 1 to 64 of them; a permission: 1 to 64
 * characters of RFC 6749 section 3.3's scope-token without the comma). SUBTOKEN_TOO_LARGE: the text
 * is full. What is there already is not added again. An entry is stored in its canonical text; with
 * SUBTOKEN_BAD_URL *fault (may be NULL) says what is wrong.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_set_sub(subtoken_claims *claims,
                                                                          subtoken_text sub);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_set_sid(subtoken_claims *claims,
                                                                          subtoken_text sid);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_claims_add_permission(subtoken_claims *claims, subtoken_text permission);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_add_url(subtoken_claims *claims,
                                                                          subtoken_text entry,
                                                                          subtoken_fault *fault);

/* What somebody asks a new token to carry. All zero asks for no permission,
 * the parent's urls and the default life.
 */
typedef struct subtoken_issue_request {
  size_t size; /* of this structure (common.h, Sizes) */
  bool has_expire;
  int64_t expire;
  const subtoken_text *permissions;
  size_t permission_count;
  bool has_urls;             /* with url_count 0: an empty list, which is refused */
  const subtoken_text *urls; /* entries, percent-encoded; need not be canonical */
  size_t url_count;
} subtoken_issue_request;

#define SUBTOKEN_ISSUE_REQUEST_DEFAULT \
  { sizeof(subtoken_issue_request), false, 0, NULL, 0, false, NULL, 0 }

typedef struct subtoken_limits {
  size_t size;          /* of this structure (common.h, Sizes) */
  int64_t default_life; /* seconds, when no expiry is asked for */
  int64_t max_life;     /* seconds, at most */
} subtoken_limits;

#define SUBTOKEN_LIMITS_DEFAULT \
  { sizeof(subtoken_limits), INT64_C(30) * 86400, INT64_C(365) * 86400 }

/* What narrowing did, for logs and for error texts. Written on failure too. */
typedef struct subtoken_narrow_report {
  size_t size;          /* of this structure (common.h, Sizes) */
  size_t dropped;       /* permissions asked for and left out */
  bool clamped;         /* the expiry was brought down */
  size_t url;           /* on SUBTOKEN_BAD_URL, SUBTOKEN_URL_WIDER: which one, from 0 */
  subtoken_fault fault; /* on SUBTOKEN_BAD_URL: what is wrong with it */
} subtoken_narrow_report;

#define SUBTOKEN_NARROW_REPORT_DEFAULT \
  { sizeof(subtoken_narrow_report), 0, false, 0, SUBTOKEN_FAULT_NONE }

/* The claims of a child token. parent is a verified token's claims, or a key's
 * grant with exp SUBTOKEN_TIME_MAX when it never expires. Permissions that the
 * parent lacks are left out, repeats dropped, the order kept as asked; the
 * expiry is brought down to the parent's and to now + max_life; urls can only
 * narrow. A parent that is good only by the leeway (its exp is now or
 * earlier: SUBTOKEN_PARENT_EXPIRED; its nbf later: SUBTOKEN_NOT_YET) makes no child. The child's
 * iat is now, also when the parent's is ahead because it was made by a machine whose clock is. It
 * has no sid: a login is not handed on. report may be NULL.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_narrow(const subtoken_claims *parent, const subtoken_issue_request *request,
                const subtoken_limits *limits, int64_t now, subtoken_claims *child,
                subtoken_narrow_report *report);

/* Sign claims with the first secret of the ring. Claims that no verifier would take are
 * refused: SUBTOKEN_CLAIMS, SUBTOKEN_BAD_URL, SUBTOKEN_TOO_MANY_URLS (an empty list
 * without every_url), SUBTOKEN_INVALID_ARGUMENT (times out of order or range, or an
 * nbf after iat, which no token of ours can say); SUBTOKEN_NO_SECRET for a ring that is
 * empty or whose first secret was never set. The token, of *out_len bytes
 * at most SUBTOKEN_ISSUED_MAX, is followed by a NUL: out_size of
 * SUBTOKEN_ISSUED_MAX + 1 is always enough. SUBTOKEN_TOO_LARGE when it would
 * be longer.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_issue(const subtoken_ring *ring,
                                                                 const subtoken_claims *claims,
                                                                 char *out, size_t out_size,
                                                                 size_t *out_len);

#ifdef __cplusplus
}
#endif

#endif
