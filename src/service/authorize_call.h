/* authorize_call - what a call needs besides its path: the APIs that a body of JSON-RPC names, and
 * what a call of the Model Context Protocol needs, by its body or by its headers.
 */
#ifndef ST_SERVICE_AUTHORIZE_CALL_H
#define ST_SERVICE_AUTHORIZE_CALL_H

#include "service/original_request.h"
#include "subtoken/policy.h"

/* What was found about the request. */
typedef struct st_authorize_call {
  const st_original_headers *sent;
  subtoken_decision decision;
  subtoken_result result; /* SUBTOKEN_UNDECIDED: nothing was checked */
  subtoken_text lacking;  /* of a route without mcp, with SUBTOKEN_PERM */
  subtoken_rpc rpc;
  subtoken_mcp mcp;
} st_authorize_call;

/* What st_authorize_call_check will do, as flags of subtoken_policy_find. */
unsigned st_authorize_call_flags(const st_context *c, const st_original_headers *sent);

/* Does the grant have all that the request needs? For a decision with SUBTOKEN_ACCESS_TOKEN. */
bool st_authorize_call_check(const st_context *c, const subtoken_claims *grant,
                             st_authorize_call *call) __attribute__((warn_unused_result));
/* Why it does not. */
const st_problem *st_authorize_call_problem(st_context *c, const st_authorize_call *call)
    __attribute__((warn_unused_result));

/* Write a challenge that names what a call of MCP lacks, or where the metadata of the resource are,
 * and return the problem without its own. Other problems are returned as they are. */
const st_problem *st_authorize_call_challenge(st_context *c, const st_authorize_call *call,
                                              const st_problem *problem)
    __attribute__((warn_unused_result));

#endif
