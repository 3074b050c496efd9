/* subtoken/edge.h - the whole decision about one HTTP request: may it pass, and if not, what is
 * answered. For programs that stand in front of an API, and for middleware inside one. It answers
 * as the nginx module and /v2/authorize do: the same status, body and challenge.
 *
 *   subtoken_edge edge = SUBTOKEN_EDGE_DEFAULT;      // once
 *   edge.verifier = &verifier;                       // verify.h
 *   edge.policy = policy;                            // policy.h, or NULL
 *
 *   subtoken_edge_request request = SUBTOKEN_EDGE_REQUEST_DEFAULT;
 *   request.now = time(NULL);
 *   request.method = method;
 *   request.target = target;                         // as on the request line
 *   request.authorization = authorizations;          // the values of each Authorization header
 *   request.authorization_count = authorization_count;
 *   subtoken_claims claims;
 *   subtoken_edge_reply reply = SUBTOKEN_EDGE_REPLY_DEFAULT;
 *   if (subtoken_edge_decide(&edge, &request, &claims, &reply) != SUBTOKEN_EDGE_ALLOW) {
 *     count = subtoken_edge_reply_headers(&reply, headers);
 *     return answer(reply.status, headers, count, reply.body, reply.body_len);
 *   }
 *
 * What is left to the caller, for each request that passes:
 *   - remove each header of the request for which subtoken_edge_is_identity_header is true, also
 *     where this library is not asked, and set those of subtoken_edge_identity_headers;
 *   - remove access_token= from the target (subtoken_edge_strip_query) before the API gets it, and
 *     before a log does, from the Referer too;
 *   - route on the target that was decided about, byte for byte: no slashes merged, nothing decoded
 *     twice.
 * Of a request that is refused nothing goes to the API. Where the secrets or a policy that the
 * settings name are not there, answer with subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN).
 */
#ifndef SUBTOKEN_EDGE_H
#define SUBTOKEN_EDGE_H

#include "subtoken/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a request may carry its credential. What is left out is not read, and passed on. */
enum {
  SUBTOKEN_EDGE_BEARER = 1,    /* Authorization: Bearer (RFC 6750 section 2.1) */
  SUBTOKEN_EDGE_X_API_KEY = 2, /* X-API-Key */
  SUBTOKEN_EDGE_QUERY = 4,     /* access_token= in the query, however it is escaped */
  SUBTOKEN_EDGE_BASIC = 8,     /* Authorization: Basic (RFC 7617), which the server alone checks */
  SUBTOKEN_EDGE_ANY = 15,
};

/* How to decide. The library does not change it, and one serves all threads, unless its verifier
 * has a cache.
 */
typedef struct subtoken_edge {
  size_t size; /* of this structure (common.h, Sizes) */
  const subtoken_verifier *verifier;
  const subtoken_policy *policy; /* NULL: each good token may do what it lists */
  unsigned forms;                /* those above that are read, added */
  bool may_ask;      /* the caller can ask the server: see SUBTOKEN_EDGE_ASK. false: a credential
                        that is no subtoken is 401 */
  bool reads_bodies; /* the caller can read a body: see SUBTOKEN_EDGE_BODY. false: a route with
                        json_rpc is 403, and one with mcp is decided by headers or 403 (policy.h) */
  const subtoken_text *needs; /* permissions that each request needs, besides those of the policy */
  size_t needs_count;
  subtoken_text issuer; /* the https URL of the authorization server, the server's setting `issuer`;
                           absent: none. Where a route has "resource" a 401 then names the document
                           of subtoken_edge_metadata */
} subtoken_edge;

// clang-format off
/* All forms; nobody is asked, and no body is read. */
#define SUBTOKEN_EDGE_DEFAULT \
  { sizeof(subtoken_edge), NULL, NULL, SUBTOKEN_EDGE_ANY, false, false, NULL, 0, {NULL, 0} }
// clang-format on

/* The request. Values of headers come as they were sent; blanks and tabs around them do not count.
 * A header that came twice has two values: do not join them.
 */
typedef struct subtoken_edge_request {
  size_t size; /* of this structure (common.h, Sizes) */
  int64_t now; /* with a feed, what subtoken_feed_now (feed.h) makes of it */
  subtoken_text method;
  subtoken_text target; /* as on the request line, or :path of HTTP/2; with its query. A target with
                           scheme and host is 400 */
  const subtoken_text *authorization;
  size_t authorization_count;
  const subtoken_text *x_api_key;
  size_t x_api_key_count;
  bool origin;             /* it has Origin, and: */
  bool request_method;     /* Access-Control-Request-Method */
  bool body_encoded;       /* it has a Content-Encoding that is not `identity`, or a Content-Type
                              whose charset is not UTF-8: some servers decode a body by that */
  uint64_t content_length; /* 0 when it is not known */
  bool has_body;           /* it has a body: a Content-Length that is not 0, or Transfer-Encoding */
  const subtoken_text *mcp_method; /* Mcp-Method */
  size_t mcp_method_count;
  const subtoken_text *mcp_name; /* Mcp-Name */
  size_t mcp_name_count;
  const subtoken_text *mcp_version; /* MCP-Protocol-Version */
  size_t mcp_version_count;
} subtoken_edge_request;

// clang-format off
#define SUBTOKEN_EDGE_REQUEST_DEFAULT \
  { sizeof(subtoken_edge_request), 0, {NULL, 0}, {NULL, 0}, NULL, 0, NULL, 0, false, false, false, \
    0, false, NULL, 0, NULL, 0, NULL, 0 }
// clang-format on

typedef enum subtoken_edge_step {
  SUBTOKEN_EDGE_REFUSE = 0, /* answer with *reply */
  SUBTOKEN_EDGE_ALLOW,      /* let it pass */
  SUBTOKEN_EDGE_ASK,        /* ask the server whose the credential is, then call
                               subtoken_edge_decide_answer. Only with .may_ask */
  SUBTOKEN_EDGE_BODY,       /* read the body, then call subtoken_edge_decide_body. Only with
                               .reads_bodies */
} subtoken_edge_step;

/* The longest body: {"text":"requires scope ..."} and the like, or a JSON-RPC error. */
#define SUBTOKEN_EDGE_BODY_MAX SUBTOKEN_MCP_REPLY_MAX

/* What is answered. With SUBTOKEN_EDGE_ALLOW the status is 200 and there is no body. With
 * SUBTOKEN_EDGE_ASK and SUBTOKEN_EDGE_BODY it is the refusal for a caller that cannot go on. The
 * body repeats nothing of a request but the name of a permission that a JSON-RPC body needs, and
 * the id of a call that is answered with a JSON-RPC error. About 6 KiB.
 */
typedef struct subtoken_edge_reply {
  size_t size;            /* of this structure (common.h, Sizes) */
  int status;             /* 400, 401, 403, 413, 415, 429 or 503 */
  subtoken_result result; /* for subtoken_policy_explain; SUBTOKEN_MALFORMED without a credential */
  const char *name;       /* for the log: subtoken_result_name, or auth_missing, auth_ambiguous,
                             bad_request, limit, key_unknown, login_throttled, store_error. A
                             literal; with SUBTOKEN_EDGE_ALLOW "ok", or "public" where no
                             credential was needed */
  uint32_t challenge_len; /* 0: there is none */
  uint32_t retry_after;   /* Retry-After, seconds; 0: none */
  uint32_t body_len;
  uint32_t retry_len;
  char body[SUBTOKEN_EDGE_BODY_MAX];      /* JSON, and a NUL */
  char retry_text[16];                    /* the digits of .retry_after, and a NUL */
  char challenge[SUBTOKEN_CHALLENGE_MAX]; /* WWW-Authenticate, and a NUL */
} subtoken_edge_reply;

// clang-format off
#define SUBTOKEN_EDGE_REPLY_DEFAULT \
  { sizeof(subtoken_edge_reply), 0, SUBTOKEN_UNDECIDED, NULL, 0, 0, 0, 0, {0}, {0}, {0} }
// clang-format on

/* Decide about a request. The first of these that is true decides:
 *   the ring has no secret                                                     503
 *   the target can be read in more than one way                                400 bad_target
 *   it is public, or an allowed preflight; no credential is read               ALLOW
 *   more than one credential, or an access_token= that cannot be read          400
 *   it has a credential that is no subtoken (a whole key, Basic)               ASK, or 401
 *   it has none, may_ask, and the route needs a permission, which the user `*`
 *     may have                                                                 ASK
 *   it has none                                                                401 auth_missing
 *   what subtoken_policy_verify finds                                          401, 403, 503
 *   the route has json_rpc                                                     BODY, 413 or 415
 *   the route has mcp, the request a body, and the edge reads bodies           BODY, 413 or 415
 *   the route has mcp: what subtoken_mcp_check finds without a body            400, 403
 * *claims are those of the token with ALLOW and BODY, zeroed where the request is public and with
 * every other step. Whoever brought no credential gets 401, never 403: he may bring one. A text
 * with two dots that is base64url otherwise is a subtoken; a text with a blank or a control
 * character is neither that nor a key. The same credential in two headers is one.
 *
 * Never ALLOW unless subtoken_policy_verify, or without a policy subtoken_verify and
 * subtoken_target_path, say SUBTOKEN_OK. SUBTOKEN_EDGE_REFUSE with 503 when an argument is NULL or
 * has a size of no version. About 31 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_edge_step
subtoken_edge_decide(const subtoken_edge *edge, const subtoken_edge_request *request,
                     subtoken_claims *claims, subtoken_edge_reply *reply);

/* Write the reply of a verifier's result: 400, 401, 403 or 503. Returns SUBTOKEN_EDGE_REFUSE. */
SUBTOKEN_EXPORT subtoken_edge_step subtoken_edge_refuse(subtoken_result result,
                                                        subtoken_edge_reply *reply);

/* ---- headers ---- */

/* name is a literal; value is a view. */
typedef struct subtoken_edge_header {
  subtoken_text name;
  subtoken_text value;
} subtoken_edge_header;

/* The headers of a reply: Content-Type, Cache-Control, those of CORS, and WWW-Authenticate and
 * Retry-After where there are. Returns their number. The values are literals, or views of *reply.
 */
#define SUBTOKEN_EDGE_REPLY_HEADERS 7
SUBTOKEN_EXPORT size_t subtoken_edge_reply_headers(
    const subtoken_edge_reply *reply, subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS]);

/* Is this a header that tells the API whom a request stands for: X-Subtoken-*, in any case, and
 * with any character where the hyphens are, because an upstream may read another as one (`_` in
 * WSGI and CGI, `.` in PHP)? Those that a caller sent must not reach the API.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_edge_is_identity_header(subtoken_text name);

/* Remove access_token= from the query of a target, however it is escaped; other parameters stay
 * byte for byte, and a ? stays only where a query follows it. *stripped is the target itself when
 * there is nothing to remove, else a text in out, for which target.len bytes are enough
 * (SUBTOKEN_BUFFER_TOO_SMALL). A caller whose .forms leave SUBTOKEN_EDGE_QUERY out passes the
 * target on as it is. On failure *stripped is absent.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_edge_strip_query(
    subtoken_text target, char *out, size_t out_size, subtoken_text *stripped);

/* ---- whole keys: the server is asked ---- */

#define SUBTOKEN_EDGE_QUESTION_HEADERS 6
#define SUBTOKEN_EDGE_QUESTION_MEMORY (3 * SUBTOKEN_TARGET_MAX + 16)

/* The question is a request `HEAD /v2/authorize` (or GET) to the server, with these headers, none
 * of the caller's, and X-Forwarded-For with the client's address behind those that it sent. nonce
 * is 1 to 64 characters A-Za-z0-9_-, drawn at random for each question, so that no cache can answer
 * it. An answer may be used again for the credential that it was asked about, for a few seconds,
 * with the nonce that it was asked with. headers has the credential, in each form in which it came,
 * and X-Subtoken-Audience, the audience of the verifier or of its derived ring, empty for none: a
 * credential that is bound to another is 401.
 *
 * Returns the number of headers; 0 when memory is too small, an argument is NULL, or there is more
 * than one credential. Values are views of memory and of the request. Wipe memory after use: it may
 * hold the key. About 9 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_edge_question(
    const subtoken_edge *edge, const subtoken_edge_request *request, subtoken_text nonce,
    void *memory, size_t memory_size, subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS]);

/* What the server answered: values of its headers as they came, absent (data NULL) where there is
 * no such header.
 */
typedef struct subtoken_edge_answer {
  size_t size;               /* of this structure (common.h, Sizes) */
  int status;                /* 0: there is no answer */
  bool repeated;             /* one of these headers came twice */
  subtoken_text nonce;       /* X-Subtoken-Nonce */
  subtoken_text sub;         /* X-Subtoken-Sub */
  subtoken_text key;         /* X-Subtoken-Key */
  subtoken_text owner;       /* X-Subtoken-Owner */
  subtoken_text permissions; /* X-Subtoken-Permissions */
  subtoken_text expires;     /* X-Subtoken-Expires */
  subtoken_text retry_after; /* Retry-After */
} subtoken_edge_answer;

// clang-format off
#define SUBTOKEN_EDGE_ANSWER_DEFAULT \
  { sizeof(subtoken_edge_answer), 0, false, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, \
    {NULL, 0}, {NULL, 0} }
// clang-format on

/* Is this an answer that tells whom the credential of this request stands for, or without a
 * credential what the user `*` may do? Only such an answer may be kept for the next request. About
 * 16 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_edge_answer_usable(
    const subtoken_edge *edge, const subtoken_edge_request *request, subtoken_text nonce,
    const subtoken_edge_answer *answer);

/* Decide, after SUBTOKEN_EDGE_ASK, by the server's answer. nonce is that of the question: an answer
 * that does not repeat it is none. The server says whose the credential is; what that identity may
 * do is decided here, by the verifier's revocation data, the policy and the needs: ALLOW, BODY or
 * REFUSE, with 401 for a credential that the server does not know, 429 for a name with too many
 * wrong passwords, and 503 without a usable answer. *claims as in subtoken_edge_decide; they have
 * no sub for the user `*`. About 31 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_edge_step subtoken_edge_decide_answer(
    const subtoken_edge *edge, const subtoken_edge_request *request, subtoken_text nonce,
    const subtoken_edge_answer *answer, subtoken_claims *claims, subtoken_edge_reply *reply);

/* ---- JSON-RPC ---- */

/* Decide, after SUBTOKEN_EDGE_BODY, by the body, which is passed on as it came: ALLOW or REFUSE.
 * edge and request are those of the step before, and so are the claims. scratch is memory of the
 * body's length. Where the body took its time, decide anew first, because the token may have
 * expired meanwhile. Stop to read behind SUBTOKEN_RPC_BODY_MAX bytes: a longer text is 413. Of a
 * route with mcp a refusal with 400 is a JSON-RPC error, with the name mcp_mismatch for the log
 * where headers and body disagree. About 27 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_edge_step subtoken_edge_decide_body(
    const subtoken_edge *edge, const subtoken_edge_request *request, const subtoken_claims *claims,
    subtoken_text body, void *scratch, size_t scratch_size, subtoken_edge_reply *reply);

/* ---- protected resource metadata (RFC 9728) ---- */

/* The document for a target `/.well-known/oauth-protected-resource...`: subtoken_policy_metadata
 * with the edge's policy and issuer. Ask for each GET and HEAD before subtoken_edge_decide, and
 * answer 200 with it when the length is not 0: Content-Type application/json, Cache-Control
 * no-store, Access-Control-Allow-Origin *. About 9 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_edge_metadata(const subtoken_edge *edge,
                                                                subtoken_text target, char *out,
                                                                size_t out_size);

/* ---- whom the request stands for ---- */

#define SUBTOKEN_EDGE_IDENTITY_HEADERS 5
#define SUBTOKEN_EDGE_IDENTITY_MEMORY \
  (SUBTOKEN_PERMISSIONS_MAX * (SUBTOKEN_PERMISSION_MAX + 1) + 24)

/* The headers that tell the API: X-Subtoken-Sub, -Key, -Owner, -Permissions (a list with commas)
 * and -Expires (seconds since 1970), in this order. Set those whose value is not empty: zeroed
 * claims, which a public request has, have none. The owner and the key's id are the server's to
 * tell: answer is what subtoken_edge_decide_answer decided by, NULL for a subtoken. Returns
 * SUBTOKEN_OK, SUBTOKEN_BUFFER_TOO_SMALL, or SUBTOKEN_INVALID_ARGUMENT when claims are out of
 * range, and then all values are empty. Values are views of claims, answer and memory.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_edge_identity_headers(
    const subtoken_claims *claims, const subtoken_edge_answer *answer, void *memory,
    size_t memory_size, subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS]);

#ifdef __cplusplus
}
#endif

#endif
