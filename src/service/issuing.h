/* issuing - tokens made from a grant. */
#ifndef ST_SERVICE_ISSUING_H
#define ST_SERVICE_ISSUING_H

#include "service/service.h"
#include "subtoken/issue.h"

/* Make a subtoken from a grant, the last step of createsubtoken and of `subtoken
 * issue`. Not OK: *why (of ST_ISSUING_ERROR_MAX bytes) names the parameter.
 */
#define ST_ISSUING_ERROR_MAX 256

subtoken_result st_issuing_subtoken(const st_service *service, const subtoken_claims *grant,
                                    const subtoken_issue_request *request, int64_t now, char *token,
                                    subtoken_narrow_report *report, char *error)
    __attribute__((warn_unused_result));

/* A short-lived access token, and what it says. Wipe it. */
typedef struct st_access_token {
  subtoken_claims claims;
  char token[SUBTOKEN_ISSUED_MAX + 1];
} st_access_token;

/* Make one from a grant, with the permissions of scope or, without, with all of them: the last
 * step of a login and of an exchange. sid: of the login that it belongs to, or NULL.
 */
subtoken_result st_issuing_access_token(const st_service *service, const subtoken_claims *grant,
                                        const subtoken_text *scope, size_t scope_count,
                                        const char *sid, int64_t now, st_access_token *access)
    __attribute__((warn_unused_result));

/* Why not, and the status: 503 for what the caller could not mend, else 400. */
const char *st_issuing_access_problem(subtoken_result result, int *status);

/* A clock before 1970 or an empty ring is nothing that the caller could mend. */
int st_issuing_status(subtoken_result result);

#endif
