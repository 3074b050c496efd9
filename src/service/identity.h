/* identity - who a credential is, and what it may do now. */
#ifndef ST_SERVICE_IDENTITY_H
#define ST_SERVICE_IDENTITY_H

#include "domain/key.h"
#include "service/service.h"

/* As what somebody comes, which is more than what they may do: only the first is worth less than
 * what it was made from, and manages nothing.
 */
typedef enum st_auth_method {
  ST_AUTH_DERIVED = 0,     /* a subtoken, or an access token that was exchanged for a key */
  ST_AUTH_KEY,             /* a whole key */
  ST_AUTH_SESSION,         /* the access token of a person's login that is alive */
  ST_AUTH_SERVICE_SESSION, /* the same of a login that was made with a key */
  ST_AUTH_BASIC,           /* a person's login and password (RFC 7617) */
} st_auth_method;

/* Who a credential is, and what it may do now. */
typedef struct st_identity {
  st_auth_method method;
  st_key key;            /* the row that it rests on: also a subtoken's parent key */
  subtoken_claims grant; /* a subtoken's, cut down to what the key grants now */
} st_identity;

/* Is it the row itself, and no token made from it? */
static inline bool st_auth_method_is_whole(st_auth_method method) {
  return method == ST_AUTH_KEY || method == ST_AUTH_BASIC;
}

/* SUBTOKEN_OK, a reason of section 4, or for a key SUBTOKEN_REVOKED (unknown,
 * deleted, disabled: *event says) or SUBTOKEN_EXPIRED.
 */
subtoken_result st_identity_find(const st_service *service, subtoken_text credential,
                                 subtoken_text method, subtoken_text target, int64_t now,
                                 st_identity *identity, const char **event)
    __attribute__((warn_unused_result));

/* The same for a string that came as X-API-Key alone and is neither a key nor a token: it may be
 * registered by its hash.
 */
subtoken_result st_identity_find_registered(const st_service *service, subtoken_text string,
                                            int64_t now, st_identity *identity, const char **event)
    __attribute__((warn_unused_result));

/* What anyone may do without a credential: the row of the person `*`. ST_STORE_NOT_FOUND also when
 * that is disabled.
 */
st_store_status st_identity_anonymous(const st_service *service, st_key *key);

/* Its digest, by which it is found as quickly as a key. */
bool st_identity_anonymous_digest(uint8_t digest[32]) __attribute__((warn_unused_result));

/* The id of the row at the root of it: of a session, the key or user that began it. */
const char *st_identity_row(const st_identity *identity);

#endif
