/* visit - one request on its way through the service, and the step that all routes share:
 * finding the one credential, and who it is.
 */
#ifndef ST_SERVICE_CONTEXT_H
#define ST_SERVICE_CONTEXT_H

#include "service/params.h"
#include "service/service.h"

#define ST_ROUTE_MAX 96 /* longer than any path of our own */

typedef struct st_visit {
  const st_service *service;
  const st_request *request;
  st_reply *reply;
  char path[ST_ROUTE_MAX]; /* repeated slashes collapsed */
  size_t path_len;
  bool path_cut;       /* longer than any route */
  subtoken_text query; /* where access_token is looked for */
  /* What a subtoken's urls have to list: this request, or the one that is asked about. */
  subtoken_text method, target;
  subtoken_text credential;  /* of Basic: login:password */
  bool credential_in_query;  /* and in no header */
  bool credential_elsewhere; /* than in X-API-Key */
  bool is_basic;
  char basic[ST_NAME_MAX + ST_PASSWORD_MAX + 2];
  char query_credential[SUBTOKEN_TARGET_MAX];
} st_visit;

/* Find the credential and who it is, or reply why not. */
bool st_visit_identify(st_visit *v, st_identity *identity) __attribute__((warn_unused_result));

/* Find the credential; false after replying that there is more than one. With v->credential.len 0
 * there is none. The second step, which wants one, goes on from there.
 */
bool st_visit_find_credential(st_visit *v) __attribute__((warn_unused_result));
bool st_visit_identify_found(st_visit *v, st_identity *identity)
    __attribute__((warn_unused_result));
/* 401 for none. */
void st_visit_refuse_missing(st_visit *v);

/* May its key make one more token now? 429 with a reply if not. */
bool st_visit_within_rate(st_visit *v, const st_identity *identity)
    __attribute__((warn_unused_result));

/* The same for calls that manage something: 403 for what is derived, whatever it holds. */
bool st_visit_manager(st_visit *v, st_identity *identity) __attribute__((warn_unused_result));
/* Has it the permission? 403 with a reply if not. */
bool st_visit_holds(st_visit *v, const st_identity *identity, const char *permission)
    __attribute__((warn_unused_result));
/* Does it hold each of a list joined by commas? Otherwise 403: more than it was made with. */
bool st_visit_covers(st_visit *v, const st_identity *identity, subtoken_text permissions)
    __attribute__((warn_unused_result));

/* How long what somebody makes may last: as long as the key or person at the root of it, which a
 * login is not, but its parent. NULL: nobody that is known, for ever. False when it cannot be told.
 */
bool st_visit_find_end(st_visit *v, const st_identity *maker, int64_t *end)
    __attribute__((warn_unused_result));

/* Who does this, for the audit log; identity NULL: nobody that is known. Texts live in who. */
typedef struct st_actor {
  char who[ST_NAME_MAX + 16];
  char from[64];
} st_actor;
st_act st_visit_act(const st_visit *v, const st_identity *identity, st_actor *actor);
static inline st_maker st_maker_of(const st_identity *identity) {
  return (st_maker){identity->key.id, identity->key.sub};
}

/* 503 with Retry-After. */
void st_reply_unchanged(st_reply *reply, st_changed changed); /* for ST_CHANGE_FAILED and _BUSY */
void st_reply_unavailable(st_reply *reply, const char *event, const char *text);
/* 429. */
void st_reply_wait(st_reply *reply, const char *event, const char *text, int64_t seconds);
/* 401 for a login, password or refresh token that is not good. */
void st_reply_unauthorized(st_reply *reply, const char *event, const char *text);
void st_reply_no_method(st_reply *reply, const char *allow);
void st_reply_preflight(st_reply *reply, const char *allow);
/* The header Subtoken-Seq. */
void st_reply_sequence(st_reply *reply, int64_t sequence);

/* A number of a query, from 1 to most; as it was when it is not given. False after a reply. */
bool st_query_number(st_visit *v, const char *name, int64_t most, int64_t *value)
    __attribute__((warn_unused_result));
/* A text of a query, into out; empty when it is not given. False after a reply. */
bool st_query_text(st_visit *v, const char *name, char *out, size_t size)
    __attribute__((warn_unused_result));

/* Routes, a file each or two. */
void st_manage_keys(st_visit *v);     /* /v2/keys: manage.c */
void st_manage_key(st_visit *v);      /* /v2/keys/ID... */
void st_audit_answer(st_visit *v);    /* /v2/audit: audit.c */
void st_user_create(st_visit *v);     /* /v1/user: login.c */
void st_login_begin(st_visit *v);     /* /v1/auth/login */
void st_login_service(st_visit *v);   /* /v1/auth/token */
void st_login_refresh(st_visit *v);   /* /v1/auth/refresh */
void st_login_end(st_visit *v);       /* /v1/auth/logout */
void st_exchange_oauth(st_visit *v);  /* /oauth/token: exchange.c */
void st_exchange_vendor(st_visit *v); /* /m42Services/...: exchange.c */
void st_hash_string(st_visit *v);     /* /utils/hash/secure: exchange.c */

/* The decision endpoint: authorize.c. */
void st_visit_authorize(st_visit *v);

/* By its one Content-Type, without parameters (RFC 9110 section 8.3.1); ST_BODY_NONE for
 * another type, for two, and for none.
 */
st_body_kind st_request_body_kind(const st_request *request);

/* WWW-Authenticate. */
void st_reply_challenge(st_reply *reply, const char *text);

/* 403 for a permission that is lacking (RFC 6750 section 3.1). */
void st_reply_lacks(st_reply *reply, subtoken_text permission);

/* The route /v2/revocations (feed.c). */
void st_feed_answer(st_visit *v);

#endif
