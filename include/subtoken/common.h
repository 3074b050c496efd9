/* subtoken/common.h - types, limits and results that all headers share.
 *
 * Conventions of all headers:
 *
 * Memory    The library does not allocate. An object is plain data: the caller places it
 *           anywhere, copies it with `=` and drops it without a call. It owns nothing and
 *           has no pointer into itself. One object is different: a subtoken_feed_file
 *           (feed.h) owns mapped memory and a file descriptor. It must not be copied, and
 *           subtoken_feed_file_stop must be called when it is no longer used.
 *           Wipe objects that held secrets with subtoken_wipe.
 * Pointers  A pointer may be NULL only where a header says so.
 * Text      A subtoken_text is a view: bytes that somebody else owns, and their number. It
 *           does not end with a NUL. Output buffers get a NUL behind the text; the length
 *           that is returned does not count it.
 * Time      Seconds since 1970-01-01T00:00:00Z (NumericDate, RFC 7519 section 2), 0 to
 *           SUBTOKEN_TIME_MAX. The time is always an argument: no function reads a clock.
 * Results   Functions that make a decision or can fail return a subtoken_result, or in
 *           revocations.h and feed.h a subtoken_feed_result. OK is 1 and every other value
 *           means no. 0 means undecided, so that a result which was never set denies.
 *           Outputs are written on OK only. Otherwise they are zeroed, and zeroed claims
 *           allow nothing.
 * Stack     A function uses less than 4 KiB of stack unless a header says more (x86-64,
 *           GCC, -O2).
 * Sizes     A structure that may get members in a later version has its own size as its
 *           first member: subtoken_verifier, subtoken_request, subtoken_issue_request,
 *           subtoken_limits, subtoken_narrow_report, subtoken_decision, subtoken_cache,
 *           subtoken_edge, subtoken_edge_request, subtoken_edge_reply, subtoken_edge_answer,
 *           subtoken_mcp_call, subtoken_mcp and subtoken_feed_settings. Start with its
 * SUBTOKEN_..._DEFAULT, or set .size to its sizeof. A program that was built with earlier headers
 * passes a shorter structure: members that it lacks have their default, and the library neither
 *           reads nor writes behind its end. A size that is 0, that no version has, or that
 *           is larger than the library's own is "invalid argument". All other structures
 *           stay as they are within a minor version (libsubtoken(3), Versions).
 * Threads   The library has no global state and no locks. Threads may use different objects
 *           at the same time, and may read the same object at the same time.
 */
#ifndef SUBTOKEN_COMMON_H
#define SUBTOKEN_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of these headers, MAJOR.MINOR.PATCH, and the same as a number:
 * 1000000 * MAJOR + 1000 * MINOR + PATCH. libsubtoken(3) says what each of them may change.
 */
#define SUBTOKEN_VERSION "0.3.0"
#define SUBTOKEN_VERSION_NUMBER 3000

/* Limits, in bytes unless said otherwise. */
#define SUBTOKEN_TOKEN_MAX 8192     /* a longer token is not read */
#define SUBTOKEN_ISSUED_MAX 4096    /* a longer token is not issued */
#define SUBTOKEN_HEADER_MAX 1024    /* the header part, in base64url characters */
#define SUBTOKEN_PERMISSIONS_MAX 64 /* permissions in a token, a count */
#define SUBTOKEN_PERMISSION_MAX 64  /* one permission */
#define SUBTOKEN_URLS_MAX 64        /* urls in a token, a count */
#define SUBTOKEN_URL_MAX 1024       /* one url entry, as given and canonical */
#define SUBTOKEN_TARGET_MAX 8192    /* a request target with its query */
#define SUBTOKEN_PATH_MAX 4096      /* the path of a request target */
#define SUBTOKEN_SUB_MAX 128        /* the sub claim */
#define SUBTOKEN_SID_MAX 64         /* the sid claim */
#define SUBTOKEN_AUD_MAX 32         /* an audience that secrets are derived for */
#define SUBTOKEN_TID_LEN 16         /* the id of a token, exactly */
#define SUBTOKEN_VIA_MAX 8          /* ids in the via claim, a count */
#define SUBTOKEN_KID_MAX 64         /* the name of a signing secret */
#define SUBTOKEN_SECRET_MIN 32      /* RFC 7518 section 3.2 */
#define SUBTOKEN_SECRET_MAX 64
#define SUBTOKEN_RING_MAX 16               /* secrets in a ring, a count */
#define SUBTOKEN_TIME_MAX 9007199254740991 /* 2^53-1, RFC 8259 section 6 */
#define SUBTOKEN_LEEWAY_MAX 3600           /* the largest leeway between clocks, seconds */

#if defined(__GNUC__) || defined(__clang__)
#define SUBTOKEN_MUST_USE __attribute__((warn_unused_result))
#define SUBTOKEN_EXPORT __attribute__((visibility("default")))
#else
#define SUBTOKEN_MUST_USE
#define SUBTOKEN_EXPORT
#endif

/* A view of bytes that somebody else owns. data is NULL only when the text is absent. */
typedef struct subtoken_text {
  const char *data;
  size_t len;
} subtoken_text;

/* The view of a string literal: subtoken_text name = SUBTOKEN_TEXT("account"); */
#define SUBTOKEN_TEXT(literal) \
  { "" literal, sizeof(literal) - 1 }

/* A piece of subtoken_claims.text: offset and length. */
typedef struct subtoken_slice {
  uint16_t at;
  uint16_t len;
} subtoken_slice;

typedef enum subtoken_result {
  SUBTOKEN_UNDECIDED = 0, /* the library never returns it */
  SUBTOKEN_OK = 1,

  /* Why a token is refused, in the order in which the rules are applied. */
  SUBTOKEN_TOO_LARGE,      /* longer than SUBTOKEN_TOKEN_MAX (or, issuing, SUBTOKEN_ISSUED_MAX) */
  SUBTOKEN_MALFORMED,      /* not three parts of canonical base64url, or not strict JSON */
  SUBTOKEN_ALG,            /* alg is not HS256 (RFC 7515 section 4.1.1, RFC 8725 section 3.1) */
  SUBTOKEN_HEADER,         /* typ is not JWT, or a header member that changes the meaning */
  SUBTOKEN_KID,            /* kid names no secret of the ring */
  SUBTOKEN_MAC,            /* the signature is not valid */
  SUBTOKEN_CLAIMS,         /* a claim is missing, or of the wrong type or form */
  SUBTOKEN_EXP_BEFORE_IAT, /* exp is not after iat */
  SUBTOKEN_TTL,            /* exp - iat is more than the maximum */
  SUBTOKEN_IAT_FUTURE,     /* iat is further ahead than the leeway */
  SUBTOKEN_NOT_YET,        /* nbf is further ahead than the leeway */
  SUBTOKEN_EXPIRED,        /* now is exp plus leeway, or later */
  SUBTOKEN_ISS,            /* iss is not the verifier's issuer */
  SUBTOKEN_AUD,            /* aud does not have the verifier's audience, or not the one whose
                              derived secret has signed the token */
  SUBTOKEN_REVOKED,        /* its sub, itself or a token that it was made from is revoked, or the
                              issuer does not know its sub */
  SUBTOKEN_REVOCATION_UNKNOWN, /* no trustworthy revocation data: cannot decide */
  SUBTOKEN_BAD_TARGET,         /* the request target can be read in more than one way */
  SUBTOKEN_URL,                /* the urls of the token do not list the target */
  SUBTOKEN_PERM,               /* a permission that the request needs is lacking */

  /* Why something could not be made. */
  SUBTOKEN_INVALID_ARGUMENT,     /* a NULL, a size or a number out of range: the caller's error */
  SUBTOKEN_BUFFER_TOO_SMALL,     /* the output does not fit */
  SUBTOKEN_NO_SECRET,            /* the ring is empty */
  SUBTOKEN_BAD_SECRET,           /* not 32 to 64 bytes, or easy to guess */
  SUBTOKEN_BAD_KID,              /* not 0 to 64 characters A-Za-z0-9_- */
  SUBTOKEN_KID_TAKEN,            /* the ring has a secret of that name */
  SUBTOKEN_RING_FULL,            /* more than SUBTOKEN_RING_MAX secrets */
  SUBTOKEN_EXPIRE_PAST,          /* the expiry asked for is now or earlier */
  SUBTOKEN_PARENT_EXPIRED,       /* the parent has expired, leeway not counted */
  SUBTOKEN_TOO_MANY_PERMISSIONS, /* more than SUBTOKEN_PERMISSIONS_MAX asked for */
  SUBTOKEN_TOO_MANY_URLS,        /* more than SUBTOKEN_URLS_MAX asked for, or none */
  SUBTOKEN_BAD_URL,              /* an entry that is no path (see subtoken_fault) */
  SUBTOKEN_URL_WIDER,            /* an entry that the parent does not allow */
  SUBTOKEN_BAD_AUD,              /* not 1 to 32 characters A-Za-z0-9_- */
  SUBTOKEN_AUD_WIDER,            /* an audience other than that of the parent */
  SUBTOKEN_TOO_DEEP,             /* made from too many tokens, one after the other: more than
                                    SUBTOKEN_VIA_MAX */
  SUBTOKEN_RING_MIXED,           /* plain and derived secrets in one ring, or derived ones for
                                    several audiences */
  SUBTOKEN_RING_DERIVED,         /* the ring is derived already: nothing is derived from it */

  SUBTOKEN_MCP_MISMATCH, /* headers of MCP that do not agree with the body (policy.h): 400 */
} subtoken_result;

/* What is wrong with a path or an entry of the URL allowlist. */
typedef enum subtoken_fault {
  SUBTOKEN_FAULT_NONE = 0,
  SUBTOKEN_FAULT_NOT_ORIGIN_FORM, /* does not start with a slash */
  SUBTOKEN_FAULT_TOO_LONG,
  SUBTOKEN_FAULT_BAD_CHAR,          /* a byte that RFC 3986 section 3.3 does not allow, or ; */
  SUBTOKEN_FAULT_FRAGMENT,          /* a # */
  SUBTOKEN_FAULT_BAD_ESCAPE,        /* % without two hex digits */
  SUBTOKEN_FAULT_ENCODED_PERCENT,   /* %25 */
  SUBTOKEN_FAULT_ENCODED_SLASH,     /* %2F or %5C */
  SUBTOKEN_FAULT_ENCODED_DELIMITER, /* %3F, %23 or %3B */
  SUBTOKEN_FAULT_ENCODED_CONTROL,   /* an escaped control character, U+0080 to U+009F too */
  SUBTOKEN_FAULT_BAD_UTF8,          /* escapes that are not UTF-8 */
  SUBTOKEN_FAULT_DOT_SEGMENT,       /* a segment made only of dots and spaces */
  SUBTOKEN_FAULT_EMPTY_SEGMENT,     /* two slashes in a row */
  SUBTOKEN_FAULT_STAR,              /* a * that is not a whole segment */
  SUBTOKEN_FAULT_QUERY_IN_ENTRY,    /* a ? or # in an entry */
  SUBTOKEN_FAULT_METHOD,            /* the part before the colon is not upper-case letters */
  SUBTOKEN_FAULT_COUNT,             /* an empty list, or one that is too long */
} subtoken_fault;

/* The claims of a token (RFC 7519 section 4), or what a parent key grants: one type, so that a
 * subtoken of a subtoken follows the rules of a subtoken of a key. About 7 KiB. Zeroed claims
 * allow nothing: "every path" is an explicit flag. Read the text with subtoken_claims_text, and the
 * audiences with subtoken_claims_audience.
 *
 * The id of a token, its tid, is the first SUBTOKEN_TID_LEN characters of its signature. It is no
 * claim: subtoken_authenticate and subtoken_inspect set it. The via claim has the tids of the
 * tokens that a token was made from, the oldest first. Revocation data lists a tid as it lists a
 * sub, and a verifier asks for the sub, the tid and each of via.
 */
typedef struct subtoken_claims {
  int64_t iat;
  int64_t exp;
  int64_t nbf;      /* 0 when absent (RFC 7519 section 4.1.5) */
  bool every_url;   /* no urls claim: any path */
  bool aud_named;   /* aud is, or lists, the audience that was asked for */
  bool aud_derived; /* signed under the secret that is derived for its only audience */
  uint16_t permission_count;
  uint16_t url_count;
  uint16_t text_len;
  uint16_t via_count;
  subtoken_slice sub;
  subtoken_slice tid; /* len 0: these are no claims of a token */
  subtoken_slice aud; /* packed: read it with subtoken_claims_audience. len 0 when absent */
  subtoken_slice iss; /* len 0 when absent */
  subtoken_slice sid; /* the session that the token belongs to; len 0 when absent. A subtoken of
                         such a token has none. The server checks it, a verifier does not */
  subtoken_slice permissions[SUBTOKEN_PERMISSIONS_MAX];
  subtoken_slice urls[SUBTOKEN_URLS_MAX];
  subtoken_slice via[SUBTOKEN_VIA_MAX];
  char text[SUBTOKEN_TOKEN_MAX / 4 * 3];
} subtoken_claims;

/* A view of one piece of claims; valid as long as the claims are. */
static inline subtoken_text subtoken_claims_text(const subtoken_claims *claims,
                                                 subtoken_slice slice) {
  subtoken_text text = {claims->text + slice.at, slice.len};
  return text;
}

/* Is this text of the form of a permission? 1 to 64 characters of RFC 6749 section 3.3's
 * scope-token without the comma, which stands between permissions in a list.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_permission_valid(subtoken_text permission);

/* Is this text of the form of a sub claim? 1 to 128 characters A-Za-z0-9_-. */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_sub_valid(subtoken_text sub);

/* Is this text of the form of an audience that secrets are derived for? 1 to 32 characters
 * A-Za-z0-9_-. The aud claim of a token that another issuer has made may have others.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_audience_valid(subtoken_text audience);

/* The audiences of these claims, one after the other: start with *at = 0. Absent (data is NULL)
 * behind the last one, and when claims is NULL or out of range.
 *
 *   size_t at = 0;
 *   for (subtoken_text audience; (audience = subtoken_claims_audience(claims, &at)).data != NULL;)
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_text
subtoken_claims_audience(const subtoken_claims *claims, size_t *at);

/* Is this one of the audiences of these claims, byte for byte? False when claims is NULL or out of
 * range.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_claims_has_audience(const subtoken_claims *claims,
                                                                    subtoken_text audience);

/* Do these claims have this permission, byte for byte? False when claims is NULL, or its counts
 * or slices are out of range.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_claims_has_permission(const subtoken_claims *claims,
                                                                      subtoken_text permission);

/* Do these claims have all of these permissions? This is the rule of subtoken_verify for
 * permissions. It returns SUBTOKEN_OK, also when needs_count is 0; SUBTOKEN_PERM when a permission
 * is lacking; SUBTOKEN_INVALID_ARGUMENT when claims is NULL or out of range, or needs is NULL with
 * a count. With SUBTOKEN_PERM *lacking (may be NULL) is the first of the needs that the claims do
 * not have, a view of the caller's text: a reply may name it as the scope (RFC 6750 section 3.1).
 * With any other result *lacking is absent.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_claims_check_needs(const subtoken_claims *claims, const subtoken_text *needs,
                            size_t needs_count, subtoken_text *lacking);

/* A signing secret, kept as the two SHA-256 states that HMAC starts from (RFC 2104 section 4), so
 * that the padded secret is hashed once. It names the processor's instructions that it uses: use it
 * on the machine that made it. Its members are the library's.
 *
 * For the audience A a secret K has a derived one, HKDF-SHA-256 (RFC 5869) of K without salt, with
 * the info `subtoken aud 1:` and A, 32 bytes. Its kid is that of K, a dot and A. Whoever has it can
 * make tokens for A, and can neither compute K nor the secret for another audience.
 */
typedef struct subtoken_secret {
  uint32_t inner[8];
  uint32_t outer[8];
  uint32_t derive_inner[8]; /* the same of HKDF's pseudorandom key; zero in a derived secret */
  uint32_t derive_outer[8];
  uint8_t cpu;     /* the instructions that it uses; 0: plain C, which every machine has */
  uint8_t kid_len; /* 0: the unnamed secret */
  uint8_t header_len;
  uint8_t audience_len; /* of its audience, the end of its kid; 0: it is a plain one */
  char kid[SUBTOKEN_KID_MAX];
  char header[SUBTOKEN_KID_MAX + 72]; /* the first part of each token that it signs */
} subtoken_secret;

/* The signing secrets: the first one signs, all of them verify. Wipe it after use. A ring is plain,
 * or all its secrets are derived for one audience.
 */
typedef struct subtoken_ring {
  size_t count;
  subtoken_secret secrets[SUBTOKEN_RING_MAX];
} subtoken_ring;

/* Add a secret of 32 to 64 bytes (RFC 7518 section 3.2) under a kid, or with kid.len 0 as the
 * unnamed one. A kid with a dot, such as `winter.eu` and `.eu`, is that of a derived secret, which
 * has 32 bytes. The bytes are copied in another form and not kept. SUBTOKEN_BAD_SECRET for another
 * length, for one pattern repeated and for secrets that are printed in documentation;
 * SUBTOKEN_BAD_KID; SUBTOKEN_KID_TAKEN; SUBTOKEN_RING_FULL; SUBTOKEN_RING_MIXED;
 * SUBTOKEN_INVALID_ARGUMENT when ring or secret is NULL. On failure the ring is as it was.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_ring_add(subtoken_ring *ring,
                                                                    subtoken_text kid,
                                                                    const void *secret,
                                                                    size_t secret_len);

/* Read a ring from the text of a secrets file: one `kid:base64url` a line. The first one signs.
 * SUBTOKEN_MALFORMED for a line of another form, SUBTOKEN_NO_SECRET for an empty text, else what
 * subtoken_ring_add returns. On failure the ring is empty, and *line (may be NULL) is the number of
 * the line with the error, from 1, or 0 when no line has it.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_ring_read(subtoken_ring *ring,
                                                                     subtoken_text text,
                                                                     size_t *line);

/* Make the ring of an edge for this audience: the secret that is derived of each secret of a plain
 * ring, in their order. out must be another object. SUBTOKEN_BAD_AUD; SUBTOKEN_NO_SECRET when the
 * ring is empty; SUBTOKEN_RING_DERIVED; SUBTOKEN_BAD_KID when a kid, a dot and the audience are
 * more than SUBTOKEN_KID_MAX characters; SUBTOKEN_INVALID_ARGUMENT. On failure *out is empty.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_ring_derive(const subtoken_ring *ring,
                                                                       subtoken_text audience,
                                                                       subtoken_ring *out);

/* The audience that the secrets of this ring are derived for, a view of the ring. Absent (data is
 * NULL) for a plain ring, an empty one and NULL.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_text subtoken_ring_audience(const subtoken_ring *ring);

/* What is wrong with that line, to print behind its number: `ends with a carriage return
 * (CRLF): lines end with a line feed alone`. With line 0, what is wrong with the whole text. Pass
 * the text and the result of subtoken_ring_read. Returns a string literal, which has nothing of the
 * text in it.
 */
SUBTOKEN_EXPORT const char *subtoken_ring_error(subtoken_text text, size_t line,
                                                subtoken_result result);

/* The name of a result, as logs and `subtoken verify` print it: "expired". A string literal. */
SUBTOKEN_EXPORT const char *subtoken_result_name(subtoken_result result);

/* The HTTP status that a verifier's result becomes: 200, 400, 401, 403 or 503.
 * Every other result of the library is 500.
 */
SUBTOKEN_EXPORT int subtoken_result_status(subtoken_result result);

/* The value of the WWW-Authenticate header for that status (RFC 6750 section 3.1), or NULL when
 * there is none: for 401 `Bearer error="invalid_token"`, for 403
 * `Bearer error="insufficient_scope"`. A request without any credential is answered with 401 and
 * SUBTOKEN_CHALLENGE. The strings are literals.
 */
SUBTOKEN_EXPORT const char *subtoken_result_challenge(subtoken_result result);
#define SUBTOKEN_CHALLENGE "Bearer"

/* The name of a fault, "dot-segment", and a sentence about it for people. Both are literals. */
SUBTOKEN_EXPORT const char *subtoken_fault_name(subtoken_fault fault);
SUBTOKEN_EXPORT const char *subtoken_fault_text(subtoken_fault fault);

/* SUBTOKEN_VERSION and SUBTOKEN_VERSION_NUMBER of the library that is loaded, not of the headers.
 */
SUBTOKEN_EXPORT const char *subtoken_version(void);
SUBTOKEN_EXPORT uint32_t subtoken_version_number(void);

/* Overwrite memory with zeros. The compiler does not remove it. */
SUBTOKEN_EXPORT void subtoken_wipe(void *memory, size_t len);

#ifdef __cplusplus
}
#endif

#endif
