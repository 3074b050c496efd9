/* service - a request in, a reply out. No sockets, no clock: it can be fuzzed whole.
 *
 * The walk of a request through this room: route, credential, identity, url,
 * parameters, answer; the first that fails decides (interface section 6).
 */
#ifndef ST_SERVICE_SERVICE_H
#define ST_SERVICE_SERVICE_H

#include <stdatomic.h>

#include "service/basic_auth.h"
#include "domain/config.h"
#include "domain/user.h"
#include "service/rate_limit.h"
#include "service/throttle.h"
#include "subtoken/issue.h"
#include "subtoken/policy.h"
#include "subtoken/revocations.h"

#define ST_REPLY_BODY_MAX 24576
#define ST_REPLY_HEADERS_MAX 6144
#define ST_CREDENTIAL_TAG_LEN 8

typedef struct st_header {
  subtoken_text name;
  subtoken_text value; /* without the white space around it */
} st_header;

typedef struct st_request {
  subtoken_text method;
  subtoken_text target; /* as on the request line */
  const st_header *headers;
  size_t header_count;
  subtoken_text body;
  subtoken_text remote; /* the client's address, for the audit log and for throttling */
  int64_t now;
  int64_t now_us; /* monotonic, for throttling */
  /* On the same clock: until when it may wait behind others, all its waits together. */
  int64_t until_us;
} st_request;

/* What the log tells of a request besides its status. Never a credential. */
typedef struct st_event {
  const char *name;                           /* a word of threats.md, or NULL when all went well */
  char credential[ST_CREDENTIAL_TAG_LEN + 1]; /* hex of its SHA-256, or empty */
  char key_id[ST_KEY_ID_LEN + 1];
  size_t dropped;
  bool clamped;
  int64_t delta; /* seconds between the clocks, or 0 */
} st_event;

/* A body that lies elsewhere; whoever sends it calls release once, afterwards. */
typedef struct st_payload {
  const void *data;
  size_t len;
  void (*release)(void *context); /* NULL: nothing to do */
  void *context;
  const atomic_bool *retired; /* once it is true, stop sending and release; NULL: never */
} st_payload;

typedef struct st_reply {
  int status;
  const char *allow;    /* the Allow header, or NULL */
  bool preflight;       /* the CORS headers of a preflight */
  bool head;            /* send the headers alone */
  bool close;           /* end the connection */
  int64_t retry_after;  /* seconds, or 0 */
  char challenge[192];  /* WWW-Authenticate, or empty */
  bool basic_challenge; /* and another one that asks for Basic */
  st_event event;
  const char *content_type; /* NULL: JSON */
  st_payload payload;       /* instead of body, when it has data */
  size_t headers_len;
  size_t body_len;                    /* 0: no body and no Content-Type */
  char headers[ST_REPLY_HEADERS_MAX]; /* whole lines, see st_reply_header */
  char body[ST_REPLY_BODY_MAX];
} st_reply;

/* The revocation data as it stood when the store was asked; the heartbeat vouches for that time. */
#define ST_EDITION_TAG_LEN 43
typedef struct st_edition {
  int64_t sequence;
  char etag[ST_EDITION_TAG_LEN + 1]; /* SHA-256 of the snapshot, base64url, without quotes */
  char heartbeat[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  st_payload snapshot; /* to be released, whether it is sent or not */
} st_edition;

typedef enum st_fed {
  ST_FED_STORE_ERROR = 0, /* the store could not be read: answer 503 */
  ST_FED,
  ST_FED_NO_MEMORY,
  ST_FED_KEY_BUSY, /* too many requests of this key are being answered: 429 */
  ST_FED_BUSY,     /* too many are, or a first snapshot is still being made: 503 */
  ST_FED_LEFT,     /* the client is gone: nobody reads the answer */
  ST_FED_NEVER,    /* that sequence was never given here: 409 */
} st_fed;

/* Where the revocation data comes from. Any thread may ask. */
typedef struct st_feed {
  void *context;
  /* now: seconds since 1970, from before the call; key_id: who asks. Nothing is to be released
   * unless ST_FED.
   */
  st_fed (*current)(void *context, const subtoken_ring *ring, int64_t now, const char *key_id,
                    st_edition *edition);
  /* What brings the snapshot of that sequence to this edition; false when that is not known,
   * or not shorter than the whole.
   */
  bool (*changes)(void *context, const st_edition *edition, int64_t since, st_payload *changes);
  /* The edition is to be sent whole to who has that of `since` (0: none). It may become an
   * earlier one, with the heartbeat of its time, that others are still taking, so that few are
   * kept. False when nothing can sign: nothing is to be released.
   */
  bool (*whole)(void *context, const subtoken_ring *ring, int64_t since, st_edition *edition);
  /* Was that sequence ever given here? ST_FED, ST_FED_NEVER: the client was told another history,
   * or ST_FED_STORE_ERROR.
   */
  st_fed (*gave)(void *context, int64_t since);
} st_feed;

typedef struct st_service {
  const st_settings *settings;
  const subtoken_ring *ring;
  st_keys keys;
  st_rate *rate;
  bool (*ready)(void *store);
  const st_key_changes *changes;
  const st_people *people;
  st_throttle *throttle; /* of failed logins */
  st_basic *basic;       /* the HTTP Basic credentials that were found good */
  st_feed feed;
  const subtoken_policy *policy; /* of the decision endpoint; NULL: none */
} st_service;

void st_service_answer(const st_service *service, const st_request *request, st_reply *reply);

/* {"text":"…"}; text may be anything. */
void st_reply_error(st_reply *reply, int status, const char *event, const char *text);

/* One more header line. Bytes of value that are no visible ASCII, and '%', become %XX: it may
 * be anything. What does not fit is left out.
 */
void st_reply_header(st_reply *reply, const char *name, subtoken_text value);

/* The grant of a key as claims that never were in a token. False when it does not
 * fit, which a key of the store always does. */
bool st_key_grant(const st_key *key, subtoken_claims *grant) __attribute__((warn_unused_result));

/* Does it look like a whole key: 72 characters, upper-case hex and dashes? */
bool st_key_shaped(subtoken_text text);
/* Like a token: has it two dots? */
bool st_token_shaped(subtoken_text text);

/* Make a subtoken from a grant, the last step of createsubtoken and of `subtoken
 * issue`. Not OK: *why (of ST_ISSUE_WHY_MAX bytes) names the parameter.
 */
#define ST_ISSUE_WHY_MAX 256
subtoken_result st_issue(const st_service *service, const subtoken_claims *grant,
                         const subtoken_issue_request *request, int64_t now, char *token,
                         subtoken_narrow_report *report, char *why)
    __attribute__((warn_unused_result));

/* A short-lived access token, and what it says. Wipe it. */
typedef struct st_access {
  subtoken_claims claims;
  char token[SUBTOKEN_ISSUED_MAX + 1];
} st_access;

/* Make one from a grant, with the permissions of scope or, without, with all of them: the last
 * step of a login and of an exchange. sid: of the login that it belongs to, or NULL.
 */
subtoken_result st_issue_access(const st_service *service, const subtoken_claims *grant,
                                const subtoken_text *scope, size_t scope_count, const char *sid,
                                int64_t now, st_access *access) __attribute__((warn_unused_result));
/* Why not, and the status: 503 for what the caller could not mend, else 400. */
const char *st_access_problem(subtoken_result result, int *status);

/* As what somebody comes, which is more than what they may do: only the first is worth less than
 * what it was made from, and manages nothing.
 */
typedef enum st_standing {
  ST_DERIVED = 0,  /* a subtoken, or an access token that was exchanged for a key */
  ST_WITH_KEY,     /* a whole key */
  ST_WITH_LOGIN,   /* the access token of a person's login that is alive */
  ST_WITH_SERVICE, /* the same of a login that was made with a key */
  ST_WITH_BASIC,   /* a person's login and password (RFC 7617) */
} st_standing;

/* Who a credential is, and what it may do now. */
typedef struct st_identity {
  st_standing standing;
  st_key key;            /* the row that it rests on: also a subtoken's parent key */
  subtoken_claims grant; /* a subtoken's, cut down to what the key grants now */
} st_identity;

/* Is it the row itself, and no token made from it? */
static inline bool st_standing_whole(st_standing standing) {
  return standing == ST_WITH_KEY || standing == ST_WITH_BASIC;
}

/* SUBTOKEN_OK, a reason of section 4, or for a key SUBTOKEN_REVOKED (unknown,
 * deleted, disabled: *event says) or SUBTOKEN_EXPIRED.
 */
subtoken_result st_identify(const st_service *service, subtoken_text credential,
                            subtoken_text method, subtoken_text target, int64_t now,
                            st_identity *identity, const char **event)
    __attribute__((warn_unused_result));

/* The same for a string that came as X-API-Key alone and is neither a key nor a token: it may be
 * registered by its hash.
 */
subtoken_result st_identify_registered(const st_service *service, subtoken_text string, int64_t now,
                                       st_identity *identity, const char **event)
    __attribute__((warn_unused_result));

/* The same for HTTP Basic (basic.c). text is login:password, decoded. *wait: not 0 when there were
 * too many wrong ones; then the result is no success and they are the seconds to wait.
 */
subtoken_result st_identify_basic(const st_service *service, subtoken_text text,
                                  const st_request *request, st_identity *identity,
                                  const char **event, int64_t *wait)
    __attribute__((warn_unused_result));

/* The hash of such a string: what it is registered by. Never that of a whole key. False for one
 * that cannot be registered: shorter than 16 or longer than 255 characters, not all visible ASCII,
 * or of the shape of a key or token.
 */
#define ST_API_STRING_MIN 16
#define ST_API_STRING_MAX 255
bool st_api_string_hash(subtoken_text string, uint8_t digest[32])
    __attribute__((warn_unused_result));

/* What anyone may do without a credential: the row of the person `*`. ST_FOUND_NONE also when that
 * is disabled.
 */
st_found st_anyone(const st_service *service, st_key *key);
/* Its digest, by which it is found as quickly as a key. */
bool st_anyone_digest(uint8_t digest[32]) __attribute__((warn_unused_result));

#endif
