/* verify_call - the body that `subtoken verify` was given: what it calls, and what that needs by
 * the policy. The rules are the library's (subtoken/policy.h).
 */
#ifndef ST_CLI_VERIFY_CALL_H
#define ST_CLI_VERIFY_CALL_H

#include "subtoken/policy.h"

typedef struct st_verify_call {
  bool given;   /* --body was */
  char *memory; /* the body, and as much behind it to read it in */
  subtoken_text body;
  bool decided;   /* the body was looked at */
  bool mcp_route; /* by the rules of mcp, else by those of json_rpc */
  subtoken_decision decision;
  subtoken_mcp mcp; /* of a route with mcp */
  subtoken_rpc rpc; /* of one with json_rpc */
  subtoken_text lacking;
} st_verify_call;

/* False, and error, of ST_ERROR_MAX bytes. An empty file is no body. */
bool st_verify_call_load(const char *path, st_verify_call *call, char *error)
    __attribute__((warn_unused_result));
void st_verify_call_free(st_verify_call *call);

/* For subtoken_policy_verify: 0 without a body. */
unsigned st_verify_call_flags(const st_verify_call *call);

/* After SUBTOKEN_OK of subtoken_policy_verify, whose decision is in call->decision. claims: what is
 * left of them when the database was asked, too.
 */
subtoken_result st_verify_call_check(st_verify_call *call, const subtoken_policy *policy,
                                     const subtoken_request *request, const subtoken_claims *claims)
    __attribute__((warn_unused_result));

/* The status of its result, and the word for it. */
int st_verify_call_status(const st_verify_call *call, subtoken_result result, const char **word);
/* Print the sentence about it. */
void st_verify_call_print(const st_verify_call *call, const subtoken_policy *policy,
                          subtoken_result result);

#endif
