/* subtoken/verify.h - all that an API edge needs.
 *
 * A subtoken is a JWS in compact form (RFC 7515 section 3.1) under HS256
 * (RFC 7518 section 3.2) whose claims (RFC 7519) say who it stands for, when
 * it was made, until when it is good, and which permissions and URLs it opens.
 *
 *   static subtoken_ring ring;               // once, from the secrets file
 *   if (subtoken_ring_read(&ring, file, NULL) != SUBTOKEN_OK) stop();
 *
 *   subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
 *   verifier.ring = &ring;
 *   verifier.revoked = ask_my_list;          // or .without_revocations = true
 *
 *   subtoken_text needs[] = {{"account", 7}};
 *   subtoken_request request = {.now = time(NULL), .method = method,
 *                               .target = target, .needs = needs, .needs_count = 1};
 *   subtoken_claims claims;
 *   subtoken_result result = subtoken_verify(&verifier, token, &request, &claims);
 *   if (result != SUBTOKEN_OK) return subtoken_result_status(result);
 */
#ifndef SUBTOKEN_VERIFY_H
#define SUBTOKEN_VERIFY_H

#include "subtoken/url.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Is this sub revoked? Answers SUBTOKEN_OK when it is known to be good,
 * SUBTOKEN_REVOKED, or SUBTOKEN_REVOCATION_UNKNOWN when it cannot be known (any other
 * answer is taken for that). Called on
 * the verifying thread, only for tokens whose signature and times are good.
 */
typedef subtoken_result subtoken_revoked_fn(void *context, subtoken_text sub);

/* How tokens are judged. Read-only while in use; one serves all threads. All
 * zero, it refuses everything.
 */
typedef struct subtoken_verifier {
  size_t size; /* of this structure (common.h, Sizes) */
  const subtoken_ring *ring;
  int64_t leeway;    /* seconds by which clocks may differ, both ways (RFC 7519 section 4.1.4), at
                        most SUBTOKEN_LEEWAY_MAX: an issuer keeps a revoked sub listed for no
                        longer leeway than that. More is SUBTOKEN_INVALID_ARGUMENT */
  int64_t max_life;  /* seconds from iat to exp at most */
  subtoken_text iss; /* absent: any issuer (RFC 7519 section 4.1.1) */
  subtoken_text aud; /* absent: any audience (RFC 7519 section 4.1.3) */
  subtoken_revoked_fn *revoked; /* NULL: SUBTOKEN_REVOCATION_UNKNOWN, unless: */
  void *revoked_context;
  bool without_revocations; /* accept that deleted parents are not noticed */
} subtoken_verifier;

/* 60 s of leeway, at most 365 days of life; set .ring and .revoked. */
// clang-format off
#define SUBTOKEN_VERIFIER_DEFAULT \
  { sizeof(subtoken_verifier), NULL, 60, INT64_C(365) * 86400, {NULL, 0}, {NULL, 0}, \
    NULL, NULL, false }
// clang-format on

/* The request that a token came with. */
typedef struct subtoken_request {
  size_t size; /* of this structure (common.h, Sizes) */
  int64_t now;
  subtoken_text method;       /* "GET"; absent: an entry that names a method does not match */
  subtoken_text target;       /* as it stood on the request line, with its query and undecoded
                                 (RFC 9112 section 3.2.1); absent: a token restricted by urls
                                 is SUBTOKEN_URL */
  const subtoken_text *needs; /* every one of these permissions is needed */
  size_t needs_count;
} subtoken_request;

/* At time 0, with nothing given and nothing needed; set .now and what there is. */
#define SUBTOKEN_REQUEST_DEFAULT \
  { sizeof(subtoken_request), 0, {NULL, 0}, {NULL, 0}, NULL, 0 }

/* Decide. The rules are applied in the order of subtoken_result and the first
 * that fails is the answer. Constant time in the MAC; no allocation; about
 * 16 KiB of stack. On SUBTOKEN_OK *claims are the token's (what lies past their
 * counts and text_len may be an earlier token's); otherwise they are zeroed. A target of `/path` is
 * judged by its path alone; the caller must route on the same bytes, or on subtoken_target_path
 * (url.h).
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_verify(const subtoken_verifier *verifier,
                                                                  subtoken_text token,
                                                                  const subtoken_request *request,
                                                                  subtoken_claims *claims);

/* What /v2/authorize says of a credential, as claims, so that an edge which asked the server
 * decides by the rules of subtoken_verify: the values of X-Subtoken-Sub (absent or empty: of
 * nobody), X-Subtoken-Permissions (a list with commas, without blanks; absent or empty: none) and
 * X-Subtoken-Expires (SUBTOKEN_TIME_MAX when it is not there). They open every path: that is for
 * the server to restrict. A repeated permission counts once. SUBTOKEN_CLAIMS for a value that is
 * not of its form (an empty item of the list is one), SUBTOKEN_TOO_MANY_PERMISSIONS,
 * SUBTOKEN_INVALID_ARGUMENT when claims is NULL. On failure *claims is zeroed. Less than 1 KiB of
 * stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_from_identity(
    subtoken_claims *claims, subtoken_text sub, subtoken_text permissions, int64_t expires);

/* Read a token without trusting it: no signature, no clock. For display only.
 * header, of header_size bytes, receives the decoded header text with a NUL;
 * SUBTOKEN_BUFFER_TOO_SMALL when it does not fit, which SUBTOKEN_HEADER_MAX has room
 * for in any token that a verifier would look at.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_inspect(subtoken_text token,
                                                                   char *header, size_t header_size,
                                                                   subtoken_claims *claims);

/* Say in words which rule gave this result and what it saw: `exp 2026-01-01T00:00:00Z
 * was 3 h ago`, `url /v2/account/bank is not in [/v2/tokeninfo]`. For people who run an
 * API, never for its callers. The arguments are those that subtoken_verify had. Nothing
 * that a terminal would obey (such bytes are shown as \xNN) and no part of the signature.
 * What does not fit is cut off behind a whole character. Returns the length without the
 * NUL that follows it, less than out_size; 0 when an argument is NULL.
 * SUBTOKEN_EXPLAIN_MAX has room for most. About 32 KiB of stack.
 */
#define SUBTOKEN_EXPLAIN_MAX 1024
SUBTOKEN_EXPORT size_t subtoken_explain(const subtoken_verifier *verifier, subtoken_text token,
                                        const subtoken_request *request, subtoken_result result,
                                        char *out, size_t out_size);

#ifdef __cplusplus
}
#endif

#endif
