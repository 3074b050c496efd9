/* The names of results and faults, and what they are in HTTP; the version. The results of the
 * revocation data have theirs in revocations_feed.c.
 */
#include "subtoken/common.h"

/* One row a result: its name, and the HTTP status of a verifier's answer. */
static const struct {
  const char *name;
  int status;
} results[] = {
    [SUBTOKEN_UNDECIDED] = {"undecided", 500},
    [SUBTOKEN_OK] = {"ok", 200},
    [SUBTOKEN_TOO_LARGE] = {"too_large", 401},
    [SUBTOKEN_MALFORMED] = {"malformed", 401},
    [SUBTOKEN_ALG] = {"alg", 401},
    [SUBTOKEN_HEADER] = {"header", 401},
    [SUBTOKEN_KID] = {"kid", 401},
    [SUBTOKEN_MAC] = {"mac", 401},
    [SUBTOKEN_CLAIMS] = {"claims", 401},
    [SUBTOKEN_EXP_BEFORE_IAT] = {"exp_before_iat", 401},
    [SUBTOKEN_TTL] = {"ttl", 401},
    [SUBTOKEN_IAT_FUTURE] = {"iat_future", 401},
    [SUBTOKEN_NOT_YET] = {"not_yet", 401},
    [SUBTOKEN_EXPIRED] = {"expired", 401},
    [SUBTOKEN_ISS] = {"iss", 401},
    [SUBTOKEN_AUD] = {"aud", 401},
    [SUBTOKEN_REVOKED] = {"revoked", 401},
    [SUBTOKEN_REVOCATION_UNKNOWN] = {"feed_stale", 503},
    [SUBTOKEN_BAD_TARGET] = {"bad_target", 400},
    [SUBTOKEN_URL] = {"url", 403},
    [SUBTOKEN_PERM] = {"perm", 403},
    [SUBTOKEN_INVALID_ARGUMENT] = {"invalid_argument", 500},
    [SUBTOKEN_BUFFER_TOO_SMALL] = {"buffer_too_small", 500},
    [SUBTOKEN_NO_SECRET] = {"no_secret", 500},
    [SUBTOKEN_BAD_SECRET] = {"weak_secret", 500},
    [SUBTOKEN_BAD_KID] = {"bad_kid", 500},
    [SUBTOKEN_KID_TAKEN] = {"kid_taken", 500},
    [SUBTOKEN_RING_FULL] = {"ring_full", 500},
    [SUBTOKEN_EXPIRE_PAST] = {"expire_past", 500},
    [SUBTOKEN_PARENT_EXPIRED] = {"parent_expired", 500},
    [SUBTOKEN_TOO_MANY_PERMISSIONS] = {"too_many_permissions", 500},
    [SUBTOKEN_TOO_MANY_URLS] = {"too_many_urls", 500},
    [SUBTOKEN_BAD_URL] = {"bad_url", 500},
    [SUBTOKEN_URL_WIDER] = {"url_wider", 500},
    [SUBTOKEN_BAD_AUD] = {"bad_aud", 500},
    [SUBTOKEN_AUD_WIDER] = {"aud_wider", 500},
    [SUBTOKEN_TOO_DEEP] = {"too_deep", 500},
    [SUBTOKEN_RING_MIXED] = {"ring_mixed", 500},
    [SUBTOKEN_RING_DERIVED] = {"ring_derived", 500},
    [SUBTOKEN_MCP_MISMATCH] = {"mcp_mismatch", 400},
};

#define RESULTS (sizeof results / sizeof results[0])

const char *subtoken_result_name(subtoken_result result) {
  return (size_t)result < RESULTS ? results[result].name : "unknown";
}

int subtoken_result_status(subtoken_result result) {
  return (size_t)result < RESULTS ? results[result].status : 500;
}

const char *subtoken_result_challenge(subtoken_result result) {
  switch (subtoken_result_status(result)) {
    case 401: return "Bearer error=\"invalid_token\"";
    case 403: return "Bearer error=\"insufficient_scope\"";
    default: return NULL;
  }
}

const char *subtoken_version(void) {
  return SUBTOKEN_VERSION;
}

uint32_t subtoken_version_number(void) {
  return SUBTOKEN_VERSION_NUMBER;
}

static const struct {
  const char *name;
  const char *text;
} faults[] = {
    [SUBTOKEN_FAULT_NONE] = {"none", "nothing is wrong with it"},
    [SUBTOKEN_FAULT_NOT_ORIGIN_FORM] = {"not-origin-form", "a path starts with /"},
    [SUBTOKEN_FAULT_TOO_LONG] = {"too-long", "it is too long"},
    [SUBTOKEN_FAULT_BAD_CHAR] = {"bad-char",
                                 "it has a character that a path cannot hold unescaped"},
    [SUBTOKEN_FAULT_FRAGMENT] = {"fragment", "it has a #"},
    [SUBTOKEN_FAULT_BAD_ESCAPE] = {"bad-escape", "a % needs two hex digits behind it"},
    [SUBTOKEN_FAULT_ENCODED_PERCENT] = {"encoded-percent", "it is escaped twice (%25)"},
    [SUBTOKEN_FAULT_ENCODED_SLASH] = {"encoded-slash", "it has an escaped / or \\"},
    [SUBTOKEN_FAULT_ENCODED_DELIMITER] = {"encoded-delimiter", "it has an escaped ?, # or ;"},
    [SUBTOKEN_FAULT_ENCODED_CONTROL] = {"encoded-control", "it has an escaped control character"},
    [SUBTOKEN_FAULT_BAD_UTF8] = {"bad-utf8", "its escapes are not UTF-8"},
    [SUBTOKEN_FAULT_DOT_SEGMENT] = {"dot-segment", "it has a segment of only dots and spaces"},
    [SUBTOKEN_FAULT_EMPTY_SEGMENT] = {"empty-segment", "it has two slashes in a row"},
    [SUBTOKEN_FAULT_STAR] = {"star", "a * must be a whole segment"},
    [SUBTOKEN_FAULT_QUERY_IN_ENTRY] = {"query-in-entry", "it has a ? or #"},
    [SUBTOKEN_FAULT_METHOD] = {"method", "a method in front of the colon is upper-case letters"},
    [SUBTOKEN_FAULT_COUNT] = {"count", "a list has 1 to 64 entries"},
};

#define FAULTS (sizeof faults / sizeof faults[0])

const char *subtoken_fault_name(subtoken_fault fault) {
  return (size_t)fault < FAULTS ? faults[fault].name : "unknown";
}

const char *subtoken_fault_text(subtoken_fault fault) {
  return (size_t)fault < FAULTS ? faults[fault].text : "unknown";
}
