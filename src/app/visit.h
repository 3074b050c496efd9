/* visit - one request on its way through the service, and the step that all routes share:
 * finding the one credential, and who it is.
 */
#ifndef ST_APP_VISIT_H
#define ST_APP_VISIT_H

#include "app/params.h"
#include "app/service.h"

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
  subtoken_text credential;
  bool credential_in_query; /* and in no header */
  char query_credential[SUBTOKEN_TARGET_MAX];
} st_visit;

/* Find the credential and who it is, or reply why not. */
bool st_visit_identify(st_visit *v, st_identity *identity) __attribute__((warn_unused_result));

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
