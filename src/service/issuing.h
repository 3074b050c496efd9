/* issuing - subtokens and access tokens made from a grant: the last step of createsubtoken, of
 * `subtoken issue`, of a session and of an exchange.
 */
#ifndef ST_SERVICE_ISSUING_H
#define ST_SERVICE_ISSUING_H

#include "service/problem.h"
#include "service/service.h"
#include "subtoken/issue.h"

/* Each takes the row that the grant rests on. A token with the same claims as one that has been
 * revoked would be that one: instead, it expires a second earlier.
 */

/* token: SUBTOKEN_ISSUED_MAX + 1 bytes. Not OK: error, of ST_ISSUING_ERROR_MAX bytes, names the
 * parameter.
 */
#define ST_ISSUING_ERROR_MAX 256
subtoken_result st_issuing_subtoken(const st_service *service, const st_key *row,
                                    const subtoken_claims *grant,
                                    const subtoken_issue_request *request, int64_t now, char *token,
                                    subtoken_narrow_report *report, char *error)
    __attribute__((warn_unused_result));

/* Could these claims be signed, and be told from those that are revoked? Nothing is made of them.
 */
subtoken_result st_issuing_try(const st_service *service, const st_key *row,
                               const subtoken_claims *claims) __attribute__((warn_unused_result));
/* The sentence for what narrowing or signing refused, into ST_ISSUING_ERROR_MAX bytes: the name of
 * the parameter, a colon, and what is wrong; or a sentence alone. */
void st_issuing_explain(subtoken_result result, const subtoken_narrow_report *report, char *error);

/* A short-lived access token, and what it says. Wipe it. */
typedef struct st_access_token {
  subtoken_claims claims;
  char token[SUBTOKEN_ISSUED_MAX + 1];
} st_access_token;

/* What an access token is asked to have. scope NULL: all permissions of the grant. audience:
 * absent: that of the grant; from a grant that has one, only the same: the caller has checked it.
 */
typedef struct st_access_request {
  const subtoken_text *scope;
  size_t scope_count;
  subtoken_text audience;
} st_access_request;
const st_problem *st_issuing_requested_token(const st_service *service, const st_key *row,
                                             const subtoken_claims *grant,
                                             const st_access_request *asked, int64_t now,
                                             st_access_token *access)
    __attribute__((warn_unused_result));

/* Make an access token with the permissions in scope or, where it is NULL, with all of the grant,
 * for its audience.
 */
const st_problem *st_issuing_access_token(const st_service *service, const st_key *row,
                                          const subtoken_claims *grant, const subtoken_text *scope,
                                          size_t scope_count, int64_t now, st_access_token *access)
    __attribute__((warn_unused_result));
/* Make the access token of a session, from its row, in the same way. */
const st_problem *st_issuing_session_token(const st_service *service, const st_key *session,
                                           const subtoken_text *scope, size_t scope_count,
                                           int64_t now, st_access_token *access)
    __attribute__((warn_unused_result));

/* The status where a subtoken cannot be made: 503 for what the caller cannot mend, else 400. */
int st_issuing_status(subtoken_result result);

#endif
