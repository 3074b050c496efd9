/* subtoken_0_3 - the headers of 0.3 as one file without comments, as a program saw them that was
 * built against an earlier version: the structures with a size lack members that are there today
 * (without_revocations, url and fault of the report, max_size). earlier.c is built against it, and
 * runs with today's library. What stands here stays as it is for as long as the SONAME does.
 */
// clang-format off
#ifndef SUBTOKEN_0_3_H
#define SUBTOKEN_0_3_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define SUBTOKEN_VERSION "0.3.0"
#define SUBTOKEN_VERSION_NUMBER 3000
#define SUBTOKEN_TOKEN_MAX 8192
#define SUBTOKEN_ISSUED_MAX 4096
#define SUBTOKEN_HEADER_MAX 1024
#define SUBTOKEN_PERMISSIONS_MAX 64
#define SUBTOKEN_PERMISSION_MAX 64
#define SUBTOKEN_URLS_MAX 64
#define SUBTOKEN_URL_MAX 1024
#define SUBTOKEN_TARGET_MAX 8192
#define SUBTOKEN_PATH_MAX 4096
#define SUBTOKEN_SUB_MAX 128
#define SUBTOKEN_SID_MAX 64
#define SUBTOKEN_AUD_MAX 32
#define SUBTOKEN_TID_LEN 16
#define SUBTOKEN_VIA_MAX 8
#define SUBTOKEN_KID_MAX 64
#define SUBTOKEN_SECRET_MIN 32
#define SUBTOKEN_SECRET_MAX 64
#define SUBTOKEN_RING_MAX 16
#define SUBTOKEN_TIME_MAX 9007199254740991
#define SUBTOKEN_LEEWAY_MAX 3600
#if defined(__GNUC__) || defined(__clang__)
#define SUBTOKEN_MUST_USE __attribute__((warn_unused_result))
#define SUBTOKEN_EXPORT __attribute__((visibility("default")))
#else
#define SUBTOKEN_MUST_USE
#define SUBTOKEN_EXPORT
#endif
typedef struct subtoken_text {
  const char *data;
  size_t len;
} subtoken_text;
#define SUBTOKEN_TEXT(literal) \
  { "" literal, sizeof(literal) - 1 }
typedef struct subtoken_slice {
  uint16_t at;
  uint16_t len;
} subtoken_slice;
typedef enum subtoken_result {
  SUBTOKEN_UNDECIDED = 0,
  SUBTOKEN_OK = 1,
  SUBTOKEN_TOO_LARGE,
  SUBTOKEN_MALFORMED,
  SUBTOKEN_ALG,
  SUBTOKEN_HEADER,
  SUBTOKEN_KID,
  SUBTOKEN_MAC,
  SUBTOKEN_CLAIMS,
  SUBTOKEN_EXP_BEFORE_IAT,
  SUBTOKEN_TTL,
  SUBTOKEN_IAT_FUTURE,
  SUBTOKEN_NOT_YET,
  SUBTOKEN_EXPIRED,
  SUBTOKEN_ISS,
  SUBTOKEN_AUD,
  SUBTOKEN_REVOKED,
  SUBTOKEN_REVOCATION_UNKNOWN,
  SUBTOKEN_BAD_TARGET,
  SUBTOKEN_URL,
  SUBTOKEN_PERM,
  SUBTOKEN_INVALID_ARGUMENT,
  SUBTOKEN_BUFFER_TOO_SMALL,
  SUBTOKEN_NO_SECRET,
  SUBTOKEN_BAD_SECRET,
  SUBTOKEN_BAD_KID,
  SUBTOKEN_KID_TAKEN,
  SUBTOKEN_RING_FULL,
  SUBTOKEN_EXPIRE_PAST,
  SUBTOKEN_PARENT_EXPIRED,
  SUBTOKEN_TOO_MANY_PERMISSIONS,
  SUBTOKEN_TOO_MANY_URLS,
  SUBTOKEN_BAD_URL,
  SUBTOKEN_URL_WIDER,
  SUBTOKEN_BAD_AUD,
  SUBTOKEN_AUD_WIDER,
  SUBTOKEN_TOO_DEEP,
  SUBTOKEN_RING_MIXED,
  SUBTOKEN_RING_DERIVED,
} subtoken_result;
typedef enum subtoken_fault {
  SUBTOKEN_FAULT_NONE = 0,
  SUBTOKEN_FAULT_NOT_ORIGIN_FORM,
  SUBTOKEN_FAULT_TOO_LONG,
  SUBTOKEN_FAULT_BAD_CHAR,
  SUBTOKEN_FAULT_FRAGMENT,
  SUBTOKEN_FAULT_BAD_ESCAPE,
  SUBTOKEN_FAULT_ENCODED_PERCENT,
  SUBTOKEN_FAULT_ENCODED_SLASH,
  SUBTOKEN_FAULT_ENCODED_DELIMITER,
  SUBTOKEN_FAULT_ENCODED_CONTROL,
  SUBTOKEN_FAULT_BAD_UTF8,
  SUBTOKEN_FAULT_DOT_SEGMENT,
  SUBTOKEN_FAULT_EMPTY_SEGMENT,
  SUBTOKEN_FAULT_STAR,
  SUBTOKEN_FAULT_QUERY_IN_ENTRY,
  SUBTOKEN_FAULT_METHOD,
  SUBTOKEN_FAULT_COUNT,
} subtoken_fault;
typedef struct subtoken_claims {
  int64_t iat;
  int64_t exp;
  int64_t nbf;
  bool every_url;
  bool aud_named;
  bool aud_derived;
  uint16_t permission_count;
  uint16_t url_count;
  uint16_t text_len;
  uint16_t via_count;
  subtoken_slice sub;
  subtoken_slice tid;
  subtoken_slice aud;
  subtoken_slice iss;
  subtoken_slice sid;
  subtoken_slice permissions[SUBTOKEN_PERMISSIONS_MAX];
  subtoken_slice urls[SUBTOKEN_URLS_MAX];
  subtoken_slice via[SUBTOKEN_VIA_MAX];
  char text[SUBTOKEN_TOKEN_MAX / 4 * 3];
} subtoken_claims;
static inline subtoken_text subtoken_claims_text(const subtoken_claims *claims,
                                                 subtoken_slice slice) {
  subtoken_text text = {claims->text + slice.at, slice.len};
  return text;
}
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_permission_valid(subtoken_text permission);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_sub_valid(subtoken_text sub);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE bool subtoken_claims_has_permission(const subtoken_claims *claims,
                                                                      subtoken_text permission);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_claims_check_needs(const subtoken_claims *claims, const subtoken_text *needs,
                            size_t needs_count, subtoken_text *lacking);
typedef struct subtoken_secret {
  uint32_t inner[8];
  uint32_t outer[8];
  uint32_t derive_inner[8];
  uint32_t derive_outer[8];
  uint8_t cpu;
  uint8_t kid_len;
  uint8_t header_len;
  uint8_t audience_len;
  char kid[SUBTOKEN_KID_MAX];
  char header[SUBTOKEN_KID_MAX + 72];
} subtoken_secret;
typedef struct subtoken_ring {
  size_t count;
  subtoken_secret secrets[SUBTOKEN_RING_MAX];
} subtoken_ring;
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_ring_add(subtoken_ring *ring,
                                                                    subtoken_text kid,
                                                                    const void *secret,
                                                                    size_t secret_len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_ring_read(subtoken_ring *ring,
                                                                     subtoken_text text,
                                                                     size_t *line);
SUBTOKEN_EXPORT const char *subtoken_ring_error(subtoken_text text, size_t line,
                                                subtoken_result result);
SUBTOKEN_EXPORT const char *subtoken_result_name(subtoken_result result);
SUBTOKEN_EXPORT int subtoken_result_status(subtoken_result result);
SUBTOKEN_EXPORT const char *subtoken_result_challenge(subtoken_result result);
#define SUBTOKEN_CHALLENGE "Bearer"
SUBTOKEN_EXPORT const char *subtoken_fault_name(subtoken_fault fault);
SUBTOKEN_EXPORT const char *subtoken_fault_text(subtoken_fault fault);
SUBTOKEN_EXPORT const char *subtoken_version(void);
SUBTOKEN_EXPORT uint32_t subtoken_version_number(void);
SUBTOKEN_EXPORT void subtoken_wipe(void *memory, size_t len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_target_path(subtoken_text target,
                                                                       char *out, size_t out_size,
                                                                       size_t *out_len,
                                                                       subtoken_fault *fault);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_canonical(subtoken_text entry,
                                                                         char *out, size_t out_size,
                                                                         size_t *out_len,
                                                                         subtoken_fault *fault);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_allows(subtoken_text entry,
                                                                      subtoken_text method,
                                                                      subtoken_text target);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_covers(subtoken_text outer,
                                                                      subtoken_text inner);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_match(const subtoken_claims *claims,
                                                                     subtoken_text method,
                                                                     subtoken_text target);
typedef subtoken_result subtoken_revoked_fn(void *context, const subtoken_text *names,
                                            size_t count);
typedef struct subtoken_verifier {
  size_t size;
  const subtoken_ring *ring;
  int64_t leeway;
  int64_t max_life;
  subtoken_text iss;
  subtoken_text aud;
  subtoken_revoked_fn *revoked;
  void *revoked_context;
} subtoken_verifier;
#define SUBTOKEN_VERIFIER_DEFAULT \
  { sizeof(subtoken_verifier), NULL, 60, INT64_C(365) * 86400, {NULL, 0}, {NULL, 0}, \
    NULL, NULL }
typedef struct subtoken_request {
  size_t size;
  int64_t now;
  subtoken_text method;
  subtoken_text target;
  const subtoken_text *needs;
  size_t needs_count;
} subtoken_request;
#define SUBTOKEN_REQUEST_DEFAULT \
  { sizeof(subtoken_request), 0, {NULL, 0}, {NULL, 0}, NULL, 0 }
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_verify(const subtoken_verifier *verifier,
                                                                  subtoken_text token,
                                                                  const subtoken_request *request,
                                                                  subtoken_claims *claims);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_from_identity(
    subtoken_claims *claims, subtoken_text sub, subtoken_text permissions, int64_t expires);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_inspect(subtoken_text token,
                                                                   char *header, size_t header_size,
                                                                   subtoken_claims *claims);
#define SUBTOKEN_EXPLAIN_MAX 1024
SUBTOKEN_EXPORT size_t subtoken_explain(const subtoken_verifier *verifier, subtoken_text token,
                                        const subtoken_request *request, subtoken_result result,
                                        char *out, size_t out_size);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_set_sub(subtoken_claims *claims,
                                                                          subtoken_text sub);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_set_sid(subtoken_claims *claims,
                                                                          subtoken_text sid);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_claims_add_permission(subtoken_claims *claims, subtoken_text permission);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_claims_add_url(subtoken_claims *claims,
                                                                          subtoken_text entry,
                                                                          subtoken_fault *fault);
typedef struct subtoken_issue_request {
  size_t size;
  bool has_expire;
  int64_t expire;
  const subtoken_text *permissions;
  size_t permission_count;
  bool has_urls;
  const subtoken_text *urls;
  size_t url_count;
} subtoken_issue_request;
#define SUBTOKEN_ISSUE_REQUEST_DEFAULT \
  { sizeof(subtoken_issue_request), false, 0, NULL, 0, false, NULL, 0 }
typedef struct subtoken_limits {
  size_t size;
  int64_t default_life;
  int64_t max_life;
} subtoken_limits;
#define SUBTOKEN_LIMITS_DEFAULT \
  { sizeof(subtoken_limits), INT64_C(30) * 86400, INT64_C(365) * 86400 }
typedef struct subtoken_narrow_report {
  size_t size;
  size_t dropped;
  bool clamped;
} subtoken_narrow_report;
#define SUBTOKEN_NARROW_REPORT_DEFAULT \
  { sizeof(subtoken_narrow_report), 0, false }
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_narrow(const subtoken_claims *parent, const subtoken_issue_request *request,
                const subtoken_limits *limits, int64_t now, subtoken_claims *child,
                subtoken_narrow_report *report);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_issue(const subtoken_ring *ring,
                                                                 const subtoken_claims *claims,
                                                                 char *out, size_t out_size,
                                                                 size_t *out_len);
#define SUBTOKEN_MAC_LEN 32
typedef struct subtoken_mac {
  uint32_t state[8];
  uint32_t outer[8];
  uint64_t len;
  uint8_t block[64];
  uint8_t cpu;
} subtoken_mac;
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_secret_set(subtoken_secret *secret,
                                                                      subtoken_text kid,
                                                                      const void *bytes,
                                                                      size_t len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_mac_compute(
    const subtoken_secret *secret, const void *data, size_t len, uint8_t mac[SUBTOKEN_MAC_LEN]);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_mac_check(const subtoken_secret *secret, const void *data, size_t len,
                   const uint8_t mac[SUBTOKEN_MAC_LEN]);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_mac_start(subtoken_mac *state,
                                                                     const subtoken_secret *secret);
SUBTOKEN_EXPORT void subtoken_mac_update(subtoken_mac *state, const void *data, size_t len);
SUBTOKEN_EXPORT void subtoken_mac_finish(subtoken_mac *state, uint8_t mac[SUBTOKEN_MAC_LEN]);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_jws_open(const subtoken_ring *ring,
                                                                    subtoken_text token, void *out,
                                                                    size_t out_size,
                                                                    size_t *out_len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_jws_seal(const subtoken_ring *ring,
                                                                    const void *payload, size_t len,
                                                                    char *out, size_t out_size,
                                                                    size_t *out_len);
#define SUBTOKEN_HASH_KEY_LEN 16
#define SUBTOKEN_HEARTBEAT_LEN 160
#define SUBTOKEN_HEARTBEAT_TEXT_LEN 214
typedef enum subtoken_feed_result {
  SUBTOKEN_FEED_UNDECIDED = 0,
  SUBTOKEN_FEED_OK = 1,
  SUBTOKEN_FEED_MORE,
  SUBTOKEN_FEED_LENGTH,
  SUBTOKEN_FEED_MAGIC,
  SUBTOKEN_FEED_VERSION,
  SUBTOKEN_FEED_FORM,
  SUBTOKEN_FEED_KID,
  SUBTOKEN_FEED_MAC,
  SUBTOKEN_FEED_INDEX,
  SUBTOKEN_FEED_ORDER,
  SUBTOKEN_FEED_TEXT,
  SUBTOKEN_FEED_IO,
  SUBTOKEN_FEED_PAIR,
  SUBTOKEN_FEED_FUTURE,
  SUBTOKEN_FEED_REPLAY,
  SUBTOKEN_FEED_ROLLBACK,
  SUBTOKEN_FEED_ABSENT,
  SUBTOKEN_FEED_OLD,
  SUBTOKEN_FEED_OLD_ALLOWED,
  SUBTOKEN_FEED_INVALID_ARGUMENT,
  SUBTOKEN_FEED_BUFFER_TOO_SMALL,
  SUBTOKEN_FEED_NO_SECRET,
  SUBTOKEN_FEED_TOO_LARGE,
} subtoken_feed_result;
SUBTOKEN_EXPORT const char *subtoken_feed_result_name(subtoken_feed_result result);
SUBTOKEN_EXPORT const char *subtoken_feed_result_text(subtoken_feed_result result);
SUBTOKEN_EXPORT const char *subtoken_feed_result_event(subtoken_feed_result result);
SUBTOKEN_EXPORT uint64_t subtoken_revocations_hash(const uint8_t key[SUBTOKEN_HASH_KEY_LEN],
                                                   subtoken_text sub);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE uint32_t subtoken_revocations_sort(uint64_t *hashes,
                                                                     uint32_t count);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_revocations_size(uint32_t count);
typedef struct subtoken_revocations_header {
  int64_t sequence;
  int64_t made;
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
} subtoken_revocations_header;
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_write(
    const subtoken_ring *ring, const subtoken_revocations_header *header, const uint64_t *hashes,
    uint32_t count, void *out, size_t out_size, uint8_t digest[SUBTOKEN_MAC_LEN]);
typedef struct subtoken_revocations {
  const uint8_t *index;
  const uint8_t *hashes;
  uint64_t key[2];
  int64_t sequence;
  int64_t made;
  subtoken_text kid;
  uint32_t count;
  uint8_t shift;
  uint8_t digest[SUBTOKEN_MAC_LEN];
  const uint64_t *filter;
  uint32_t filter_words;
} subtoken_revocations;
typedef struct subtoken_revocations_opening {
  subtoken_revocations view;
  subtoken_mac mac;
  const uint8_t *bytes;
  size_t signed_len;
  size_t done;
  uint64_t last;
  uint32_t indexed;
  uint32_t listed;
  bool misindexed;
  bool disordered;
  bool open;
} subtoken_revocations_opening;
#define SUBTOKEN_REVOCATIONS_SLICE 131072
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_revocations_start(subtoken_revocations_opening *opening, const subtoken_ring *ring,
                           const void *bytes, size_t len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_step(
    subtoken_revocations_opening *opening, size_t at_most, subtoken_revocations *view);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_open(
    const subtoken_ring *ring, const void *bytes, size_t len, subtoken_revocations *view);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_revocations_find(const subtoken_revocations *view, subtoken_text sub);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_revocations_filter_size(uint32_t count);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_revocations_filter_build(
    subtoken_revocations *view, void *memory, size_t size, uint32_t *done, uint32_t at_most);
typedef struct subtoken_heartbeat {
  int64_t sequence;
  int64_t time;
  uint8_t digest[SUBTOKEN_MAC_LEN];
} subtoken_heartbeat;
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_heartbeat_write(const subtoken_ring *ring, const subtoken_heartbeat *heartbeat,
                         uint8_t out[SUBTOKEN_HEARTBEAT_LEN]);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_heartbeat_read(
    const subtoken_ring *ring, const void *bytes, size_t len, subtoken_heartbeat *heartbeat);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_heartbeat_encode(
    const uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN], char out[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1]);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_heartbeat_decode(subtoken_text text, uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN]);
typedef struct subtoken_feed {
  int64_t leeway;
  int64_t max_age;
  bool allow_old;
  int64_t sequence;
  int64_t time;
  int64_t grew;
  subtoken_revocations snapshot;
} subtoken_feed;
#define SUBTOKEN_FEED_DEFAULT \
  { 60, 300, false, 0, 0, 0, {NULL, NULL, {0, 0}, 0, 0, {NULL, 0}, 0, 0, {0}, NULL, 0} }
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_resume(subtoken_feed *feed,
                                                                            int64_t sequence,
                                                                            int64_t time,
                                                                            int64_t monotonic);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_feed_take(subtoken_feed *feed, const subtoken_revocations *snapshot,
                   const subtoken_heartbeat *heartbeat, int64_t now, int64_t monotonic);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE int64_t subtoken_feed_age(const subtoken_feed *feed, int64_t now,
                                                            int64_t monotonic);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_feed_check(const subtoken_feed *feed, int64_t now, int64_t monotonic);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE int64_t subtoken_feed_now(const subtoken_feed *feed, int64_t now);
typedef struct subtoken_feed_clock {
  const subtoken_feed *feed;
  int64_t now;
  int64_t monotonic;
} subtoken_feed_clock;
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_feed_revoked(void *clock,
                                                                        const subtoken_text *names,
                                                                        size_t count);
#define SUBTOKEN_POLICY_TEXT_MAX 16777216
#define SUBTOKEN_POLICY_METHODS_MAX 64
#define SUBTOKEN_POLICY_METHOD_MAX 32
#define SUBTOKEN_POLICY_NEEDS_MAX 64
#define SUBTOKEN_POLICY_PATTERNS_MAX 256
#define SUBTOKEN_POLICY_ERROR_MAX 320
typedef struct subtoken_policy subtoken_policy;
typedef struct subtoken_policy_error {
  size_t line;
  size_t column;
  char text[SUBTOKEN_POLICY_ERROR_MAX];
} subtoken_policy_error;
SUBTOKEN_EXPORT size_t subtoken_policy_size(size_t text_len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_read(void *memory, size_t size, subtoken_text text, const subtoken_policy **policy,
                     subtoken_policy_error *error);
typedef enum subtoken_access {
  SUBTOKEN_ACCESS_DENIED = 0,
  SUBTOKEN_ACCESS_TOKEN,
  SUBTOKEN_ACCESS_PUBLIC,
  SUBTOKEN_ACCESS_PREFLIGHT,
} subtoken_access;
typedef struct subtoken_decision {
  size_t size;
  subtoken_access access;
  bool json_rpc;
  bool not_listed;
  bool no_token;
  uint32_t line;
  size_t needs_count;
  subtoken_text needs[SUBTOKEN_POLICY_NEEDS_MAX];
  bool mcp;
  uint32_t route;
  subtoken_text resource;
} subtoken_decision;
#define SUBTOKEN_DECISION_DEFAULT \
  { sizeof(subtoken_decision), SUBTOKEN_ACCESS_DENIED, false, false, false, 0, 0, {{NULL, 0}}, \
    false, 0, {NULL, 0} }
enum {
  SUBTOKEN_POLICY_PREFLIGHT = 1,
  SUBTOKEN_POLICY_BODY = 2,
};
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_find(const subtoken_policy *policy, subtoken_text method, subtoken_text target,
                     unsigned flags, subtoken_decision *decision);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_verify(const subtoken_verifier *verifier, const subtoken_policy *policy,
                       subtoken_text token, const subtoken_request *request, unsigned flags,
                       subtoken_claims *claims, subtoken_decision *decision);
SUBTOKEN_EXPORT size_t subtoken_policy_explain(const subtoken_verifier *verifier,
                                               const subtoken_policy *policy, subtoken_text token,
                                               const subtoken_request *request, unsigned flags,
                                               subtoken_result result, char *out, size_t out_size);
#define SUBTOKEN_RPC_BODY_MAX 262144
#define SUBTOKEN_RPC_NEEDS_MAX 64
typedef struct subtoken_rpc {
  size_t count;
  subtoken_slice needs[SUBTOKEN_RPC_NEEDS_MAX];
  char text[SUBTOKEN_RPC_NEEDS_MAX * SUBTOKEN_PERMISSION_MAX];
} subtoken_rpc;
static inline subtoken_text subtoken_rpc_need(const subtoken_rpc *rpc, size_t i) {
  subtoken_text text = {rpc->text + rpc->needs[i].at, rpc->needs[i].len};
  return text;
}
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_rpc_read(subtoken_text body,
                                                                    void *scratch,
                                                                    size_t scratch_size,
                                                                    subtoken_rpc *rpc);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_rpc_allowed(
    const subtoken_rpc *rpc, const subtoken_claims *claims, subtoken_text *lacking);
#define SUBTOKEN_FEED_PATH_MAX 1024
#define SUBTOKEN_FEED_SIZE_DEFAULT ((size_t)1 << 30)
typedef struct subtoken_feed_settings {
  size_t size;
  int64_t leeway;
  int64_t max_age;
  bool allow_old;
} subtoken_feed_settings;
#define SUBTOKEN_FEED_SETTINGS_DEFAULT \
  { sizeof(subtoken_feed_settings), 60, 300, false }
typedef struct subtoken_feed_file {
  subtoken_feed feed;
  subtoken_feed_result last;
  int error;
  size_t size;
  bool filling;
  bool mounted;
  subtoken_revocations_opening opening;
  subtoken_revocations view;
  char path[SUBTOKEN_FEED_PATH_MAX + 8];
  size_t path_len;
  void *current, *fresh, *old;
  size_t fresh_len, fresh_read, old_len;
  size_t mapped, fresh_mapped;
  uint32_t filled;
  subtoken_feed_result found;
  uint64_t ring;
  int descriptor;
  int state;
  size_t max_size;
  int64_t stamps[4][5];
} subtoken_feed_file;
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_start(
    subtoken_feed_file *file, const char *path, const subtoken_feed_settings *settings);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_poll(
    subtoken_feed_file *file, const subtoken_ring *ring, int64_t now, int64_t monotonic);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_feed_file_load(
    subtoken_feed_file *file, const subtoken_ring *ring, int64_t now, int64_t monotonic);
SUBTOKEN_EXPORT void subtoken_feed_file_stop(subtoken_feed_file *file);
#define SUBTOKEN_CHANGES_HEAD_LEN 160
#define SUBTOKEN_CHANGES_LEN(gone, fresh) \
  (SUBTOKEN_CHANGES_HEAD_LEN + 8 * ((size_t)(gone) + (size_t)(fresh)) + SUBTOKEN_MAC_LEN)
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result subtoken_changes_write(
    const void *to, size_t to_len, int64_t since, const uint64_t *gone, uint32_t gone_count,
    const uint64_t *fresh, uint32_t fresh_count, void *out, size_t out_size, size_t *out_len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE size_t subtoken_changes_size(const void *changes, size_t len);
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_feed_result
subtoken_changes_apply(const void *snapshot, size_t snapshot_len, const void *changes, size_t len,
                       void *out, size_t out_size, size_t *out_len);
#endif
