/* context - one request while it is answered: what came, what is known about it so far, and the
 * reply that is being written. It lives on the stack of st_router_answer.
 */
#ifndef ST_SERVICE_CONTEXT_H
#define ST_SERVICE_CONTEXT_H

#include "domain/user.h"
#include "service/problem.h"
#include "service/service.h"

#define ST_ROUTE_MAX 800 /* longer than any path of our own: one ends with a username, escaped */

/* The one credential that a request carries (credential.h). router.c wipes it. */
typedef struct st_credential {
  subtoken_text text; /* of Basic: username:password; empty: there is none */
  unsigned forms;     /* ST_FORM_*: those in which it came */
  char basic[ST_NAME_MAX + ST_PASSWORD_MAX + 2];
  char query[SUBTOKEN_TARGET_MAX];
  size_t query_len; /* of query: what was decoded into it */
} st_credential;

typedef struct st_context {
  const st_service *service;
  const st_request *request;
  st_reply *reply;
  char path[ST_ROUTE_MAX]; /* repeated slashes collapsed */
  size_t path_len;
  bool path_truncated; /* longer than any route */
  subtoken_text query; /* where access_token is looked for */
  /* What a subtoken's urls have to list: this request, or the one that is asked about. */
  subtoken_text method, target;
  const subtoken_text *edge_audience; /* of st_identity_use; NULL but for the decision endpoint */
  st_credential credential;
  st_problem_buffer problem; /* the latest that was made */
} st_context;

#endif
