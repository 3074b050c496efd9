/* subtoken/verify.h - verify tokens offline, at the edge of an API.
 *
 * A subtoken is a JWS in compact form (RFC 7515 section 3.1), signed with HS256 (RFC 7518 section
 * 3.2). Its claims (RFC 7519) say whom it stands for, when it was made, when it expires, and which
 * permissions and URLs it has.
 *
 *   static subtoken_ring ring;               // once, from the secrets file
 *   if (subtoken_ring_read(&ring, file, NULL) != SUBTOKEN_OK) stop();
 *
 *   subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
 *   verifier.ring = &ring;
 *   verifier.revoked = ask_my_list;          // or .without_revocations = true
 *
 *   subtoken_text needs[] = {SUBTOKEN_TEXT("account")};
 *   subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
 *   request.now = time(NULL);
 *   request.method = method;
 *   request.target = target;
 *   request.needs = needs;
 *   request.needs_count = 1;
 *   subtoken_claims claims;
 *   subtoken_result result = subtoken_verify(&verifier, token, &request, &claims);
 *   if (result != SUBTOKEN_OK) return subtoken_result_status(result);
 */
#ifndef SUBTOKEN_VERIFY_H
#define SUBTOKEN_VERIFY_H

#include "subtoken/cache.h"
#include "subtoken/url.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Is one of these revoked? names[0] is the sub of the token; behind it come its tid and each of its
 * via (common.h, subtoken_claims), so that count is 1 to SUBTOKEN_VIA_MAX + 2, and 1 when the
 * claims are of a whole key. Return SUBTOKEN_OK when none is known to be, SUBTOKEN_REVOKED when one
 * is, and SUBTOKEN_REVOCATION_UNKNOWN when that cannot be known; every other value counts as the
 * last. It is called on the thread that verifies, at most once a token, and only when the
 * signature, the times, the issuer and the audience are good. subtoken_feed_revoked (revocations.h)
 * is one.
 */
typedef subtoken_result subtoken_revoked_fn(void *context, const subtoken_text *names,
                                            size_t count);

/* How to verify tokens. The library does not change it, and without a cache one serves all threads.
 * It points to the ring, to what .revoked_context is and to the cache: the caller keeps them. A
 * zeroed verifier refuses every token.
 */
typedef struct subtoken_verifier {
  size_t size; /* of this structure (common.h, Sizes) */
  const subtoken_ring *ring;
  int64_t leeway;    /* seconds by which clocks may differ, both ways (RFC 7519 section 4.1.4): 0
                        to SUBTOKEN_LEEWAY_MAX, because an issuer lists a revoked sub for no longer
                        than the expiry and that. Else SUBTOKEN_INVALID_ARGUMENT */
  int64_t max_life;  /* the largest exp - iat, seconds */
  subtoken_text iss; /* absent: any issuer (RFC 7519 section 4.1.1) */
  subtoken_text aud; /* absent: any audience (RFC 7519 section 4.1.3), but a token that is signed
                        under a derived secret is taken by a plain ring only with its audience here.
                        A derived ring takes tokens for its own audience alone, with or without */
  subtoken_revoked_fn *revoked; /* NULL: SUBTOKEN_REVOCATION_UNKNOWN, unless: */
  void *revoked_context;
  bool without_revocations; /* true: revocation is not checked */
  subtoken_cache *cache; /* of authenticated tokens (cache.h), or NULL. A verifier that has one is
                            used by one thread at a time */
  bool any_audience;     /* true: of tokens under derived secrets, those for every audience are
                            taken, as the issuer itself does; .aud is not compared */
} subtoken_verifier;

/* 60 s of leeway, at most 365 days of life; set .ring and .revoked. */
// clang-format off
#define SUBTOKEN_VERIFIER_DEFAULT \
  { sizeof(subtoken_verifier), NULL, 60, INT64_C(365) * 86400, {NULL, 0}, {NULL, 0}, \
    NULL, NULL, false, NULL, false }
// clang-format on

/* The request that a token came with. */
typedef struct subtoken_request {
  size_t size; /* of this structure (common.h, Sizes) */
  int64_t now;
  subtoken_text method;       /* "GET"; absent: an entry with a method does not match */
  subtoken_text target;       /* as on the request line, not decoded, with its query (RFC 9112
                                 section 3.2.1); absent: a token with urls is SUBTOKEN_URL */
  const subtoken_text *needs; /* the permissions that the request needs, all of them */
  size_t needs_count;
} subtoken_request;

/* Set .now, and the method, the target and the needs that there are. */
#define SUBTOKEN_REQUEST_DEFAULT \
  { sizeof(subtoken_request), 0, {NULL, 0}, {NULL, 0}, NULL, 0 }

/* Verify a token for a request. The rules are applied in the order of subtoken_result, and the
 * result is the first rule that fails. The MAC is compared in constant time (RFC 8725 section 3.2).
 * On SUBTOKEN_OK *claims are the claims of the token; bytes behind its counts and its text_len are
 * unspecified. On failure *claims is zeroed. Of the target only the path counts: the caller must
 * route on the same bytes, or on what subtoken_target_path (url.h) writes. About 16 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_verify(const subtoken_verifier *verifier,
                                                                  subtoken_text token,
                                                                  const subtoken_request *request,
                                                                  subtoken_claims *claims);

/* The two parts of subtoken_verify, which is the one after the other.
 *
 * subtoken_authenticate applies what depends on the token and the ring alone: the results from
 * SUBTOKEN_TOO_LARGE to SUBTOKEN_CLAIMS, and SUBTOKEN_AUD for a token under a derived secret whose
 * aud is not exactly that audience. On SUBTOKEN_OK *claims are those of subtoken_verify but
 * for .aud_named, which is false; they say nothing yet about a request. cache may be NULL. When the
 * cache has the token, its signature is not computed again (cache.h says what that depends on);
 * when not, and the token is good, the cache gets it. SUBTOKEN_INVALID_ARGUMENT when another
 * pointer is NULL, or the cache is one that subtoken_cache_init has not made. On failure *claims is
 * zeroed. About 16 KiB of stack.
 *
 * subtoken_decide applies the rest, from SUBTOKEN_EXP_BEFORE_IAT to SUBTOKEN_PERM, to claims that
 * subtoken_authenticate has written under the verifier's ring. It trusts them: claims from anywhere
 * else, such as those of subtoken_inspect, prove nothing. Whatever they hold, it reads nothing
 * outside of them: SUBTOKEN_INVALID_ARGUMENT when a count, a slice or a time is out of range, and
 * SUBTOKEN_CLAIMS for an entry of urls that no token may have. It does not use the cache. About 5
 * KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_authenticate(const subtoken_ring *ring,
                                                                        subtoken_cache *cache,
                                                                        subtoken_text token,
                                                                        subtoken_claims *claims);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_decide(const subtoken_verifier *verifier,
                                                                  const subtoken_request *request,
                                                                  const subtoken_claims *claims);

/* Make claims from a reply of /v2/authorize, so that an edge which asked the server decides by the
 * rules of subtoken_verify. sub is the value of X-Subtoken-Sub (absent or empty: nobody);
 * permissions that of X-Subtoken-Permissions, a list with commas and without spaces (absent or
 * empty: none); expires that of X-Subtoken-Expires, or SUBTOKEN_TIME_MAX when the reply has none. A
 * permission that is listed twice counts once. The claims allow every path: the server has checked
 * the path. SUBTOKEN_CLAIMS for a value that is not of its form, an empty item of the list among
 * them; SUBTOKEN_TOO_MANY_PERMISSIONS; SUBTOKEN_INVALID_ARGUMENT when claims is NULL. On failure
 * *claims is zeroed.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_from_identity(
    subtoken_claims *claims, subtoken_text sub, subtoken_text permissions, int64_t expires);

/* Read a token without verifying it: neither the signature nor the times are checked. Use it for
 * display only. header gets the decoded header and a NUL, in header_size bytes.
 * SUBTOKEN_BUFFER_TOO_SMALL when it does not fit; a header_size of SUBTOKEN_HEADER_MAX is enough
 * for each token that a verifier accepts. SUBTOKEN_TOO_LARGE, SUBTOKEN_MALFORMED, SUBTOKEN_CLAIMS.
 * About 16 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_inspect(subtoken_text token,
                                                                   char *header, size_t header_size,
                                                                   subtoken_claims *claims);

/* Write a sentence that says which rule gave this result, and why: `exp 2026-01-01T00:00:00Z was
 * 3 h ago`, `url /v2/account/bank is not in [/v2/tokeninfo]`. It is for the people who run an API,
 * not for its callers. Pass the arguments of subtoken_verify and its result. Control characters are
 * escaped as \xNN, and of the signature no more than the tid is written. With SUBTOKEN_REVOKED
 * .revoked is called again, to learn which name it was. A sentence that does not fit is cut
 * behind a whole character; SUBTOKEN_EXPLAIN_MAX is enough for most. Returns the length without the
 * NUL, less than out_size; 0 when an argument is NULL or has a size of no version. About 40 KiB of
 * stack.
 */
#define SUBTOKEN_EXPLAIN_MAX 1024
SUBTOKEN_EXPORT size_t subtoken_explain(const subtoken_verifier *verifier, subtoken_text token,
                                        const subtoken_request *request, subtoken_result result,
                                        char *out, size_t out_size);

#ifdef __cplusplus
}
#endif

#endif
