/* identity - who a credential is, and what it may do now. */
#ifndef ST_SERVICE_IDENTITY_H
#define ST_SERVICE_IDENTITY_H

#include "domain/key.h"
#include "service/service.h"

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

/* What anyone may do without a credential: the row of the person `*`. ST_FOUND_NONE also when that
 * is disabled.
 */
st_found st_anyone(const st_service *service, st_key *key);

/* Its digest, by which it is found as quickly as a key. */
bool st_anyone_digest(uint8_t digest[32]) __attribute__((warn_unused_result));

/* The id of the row at the root of it: of a session, the key or user that began it. */
const char *st_identity_row(const st_identity *identity);

#endif
