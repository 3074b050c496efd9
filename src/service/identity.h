/* identity - whose a credential is, and what it may do now. A whole key or a registered string is
 * looked up by its hash; a subtoken is verified as at any edge, and then limited to what the store
 * grants its sub now. HTTP Basic is in basic_auth.h.
 */
#ifndef ST_SERVICE_IDENTITY_H
#define ST_SERVICE_IDENTITY_H

#include "base/bytes.h"
#include "service/service.h"

/* How a caller has authenticated. It matters beyond the permissions: a derived token can be limited
 * below its parent, and may not manage anything.
 */
typedef enum st_auth_method {
  ST_AUTH_DERIVED = 0,     /* a subtoken, or an access token that was exchanged for a key */
  ST_AUTH_KEY,             /* a whole key */
  ST_AUTH_SESSION,         /* the access token of a user's session that is alive */
  ST_AUTH_SERVICE_SESSION, /* the same of a session that was made with a key */
  ST_AUTH_BASIC,           /* a user's name and password (RFC 7617) */
} st_auth_method;

typedef struct st_identity {
  st_auth_method method;
  st_key key;            /* the row that it rests on: also a subtoken's parent key */
  subtoken_claims grant; /* of a subtoken: limited to what the key grants now */
} st_identity;

/* The first three are about this server and this moment, not about the credential. */
typedef enum st_auth_status {
  ST_AUTH_STATUS_STORE_ERROR = 0, /* the store could not be read */
  ST_AUTH_STATUS_PASSWORDS_BUSY,  /* too many passwords are being checked */
  ST_AUTH_STATUS_THROTTLED,       /* too many wrong passwords came before it */
  ST_AUTH_STATUS_OK,              /* the identity has been written */
  ST_AUTH_STATUS_REJECTED,        /* reason and event say why */
} st_auth_status;

typedef struct st_auth_result {
  st_auth_status status;
  /* Of REJECTED. reason: the verifier's rule; of what is no token SUBTOKEN_REVOKED (unknown,
   * deleted, disabled, a wrong password) or SUBTOKEN_EXPIRED. event: the log's word. */
  subtoken_result reason;
  const char *event;
  int64_t retry_after; /* of THROTTLED, in seconds */
} st_auth_result;

/* Is it the row itself, and no token made from it? */
static inline bool st_identity_is_whole(const st_identity *identity) {
  return identity->method == ST_AUTH_KEY || identity->method == ST_AUTH_BASIC;
}
/* What is made with it is for one audience alone: a key that is bound to one, or a token for one.
 */
static inline bool st_identity_is_bound(const st_identity *identity) {
  return identity->grant.aud.len > 0;
}
/* A token for an audience. Whoever has the secret that is derived for it could have made it up. */
static inline bool st_identity_is_audience_token(const st_identity *identity) {
  return !st_identity_is_whole(identity) && st_identity_is_bound(identity);
}
/* When the credential itself ends: of the secret before a key's rotation, with the overlap. What is
 * made with that secret may live longer, as what was made with it before does.
 */
static inline int64_t st_identity_ends(const st_identity *identity) {
  const st_key *key = &identity->key;
  bool sooner = key->by_old_digest && key->old_until < identity->grant.exp;
  return sooner ? key->old_until : identity->grant.exp;
}
/* The buffers of its texts stay as they are: they are kilobytes. */
static inline void st_identity_clear(st_identity *identity) {
  memset(identity, 0, offsetof(st_identity, grant));
  memset(&identity->grant, 0, offsetof(subtoken_claims, text));
}
static inline st_auth_result st_auth_rejected(subtoken_result reason, const char *event) {
  return (st_auth_result){ST_AUTH_STATUS_REJECTED, reason, event, 0};
}

/* Where a credential is used. */
typedef struct st_identity_use {
  /* What a subtoken's urls must list; without a target (NULL) they may list whatever they do. */
  subtoken_text method, target;
  /* NULL: at this server itself, which takes tokens for every audience. Else at an edge with this
   * audience, or with none (empty): a token is taken as that edge would take it. */
  const subtoken_text *edge_audience;
} st_identity_use;

/* The identity of a key or a token. Of whole keys the use is not looked at. */
st_auth_result st_identity_find(const st_service *service, subtoken_text credential,
                                const st_identity_use *use, int64_t now, st_identity *identity)
    __attribute__((warn_unused_result));

/* The identity of a string that came as X-API-Key alone and is neither a key nor a token: it may be
 * registered by its hash.
 */
st_auth_result st_identity_find_registered(const st_service *service, subtoken_text string,
                                           int64_t now, st_identity *identity)
    __attribute__((warn_unused_result));

/* The row of the user `*`, whose permissions need no credential. ST_STORE_NOT_FOUND also when that
 * user is disabled.
 */
st_store_status st_identity_anonymous(const st_service *service, st_key *key)
    __attribute__((warn_unused_result));

/* Its digest, by which it is found as quickly as a key. */
void st_identity_anonymous_digest(uint8_t digest[32]);

#endif
