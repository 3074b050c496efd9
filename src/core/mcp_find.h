/* mcp_find - the calls of the Model Context Protocol that a policy knows: their methods and names,
 * and the member of "mcp" that decides about one. subtoken/policy.h has the rules.
 */
#ifndef ST_CORE_MCP_FIND_H
#define ST_CORE_MCP_FIND_H

#include "core/policy.h"

/* Where the name of a call is, in "params". */
typedef enum st_mcp_source {
  ST_MCP_NONE = 0,
  ST_MCP_NAME,
  ST_MCP_URI,
  ST_MCP_TASK, /* for Mcp-Name alone: no member of "mcp" has it */
} st_mcp_source;

st_mcp_source st_mcp_source_of(subtoken_text method);
/* Can a member of "mcp" have a name behind this method? */
bool st_mcp_has_names(subtoken_text method);
/* 1 to SUBTOKEN_POLICY_MCP_METHOD_MAX visible characters of ASCII. */
bool st_mcp_method_valid(subtoken_text method);

/* Less than 0 when a is before b: by method without regard to case, then by method, kind and name.
 * Both are of members: name is absent for a method alone and for any name. */
typedef struct st_mcp_key {
  subtoken_text method;
  subtoken_text name;
  st_policy_call_kind kind;
} st_mcp_key;
int st_mcp_compare(const st_mcp_key *a, const st_mcp_key *b);
st_mcp_key st_mcp_key_of(subtoken_text text, const st_policy_call *call);

/* The member that decides about a call, or NULL when `needs` of the route decide alone. name is
 * absent where the call has none. False: the method is misleading. */
bool st_mcp_find(const subtoken_policy *policy, const st_policy_route *route, subtoken_text method,
                 subtoken_text name, const st_policy_call **found)
    __attribute__((warn_unused_result));

#endif
