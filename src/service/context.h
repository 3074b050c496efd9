/* visit - one request on its way through the service, and the step that all routes share:
 * finding the one credential, and who it is.
 */
#ifndef ST_SERVICE_CONTEXT_H
#define ST_SERVICE_CONTEXT_H

#include "domain/key.h"
#include "domain/password.h"
#include "service/service.h"

#define ST_ROUTE_MAX 96 /* longer than any path of our own */

typedef struct st_context {
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
} st_context;

#endif
