/* policy_parse_mcp - the members "mcp", "mcp_headers" and "resource" of a route. */
#ifndef ST_CORE_POLICY_PARSE_MCP_H
#define ST_CORE_POLICY_PARSE_MCP_H

#include "core/policy_reader.h"

/* The route that is being read, and the offsets of its members. */
typedef struct st_policy_draft {
  st_policy_route route;
  size_t path, needs, open, json_rpc, mcp, mcp_headers, resource; /* ST_POLICY_NONE when absent */
  st_policy_slice extra[ST_POLICY_EXTRA];
} st_policy_draft;

bool st_policy_parse_mcp(st_policy_reader *r, st_policy_draft *into, size_t name_at)
    __attribute__((warn_unused_result));
bool st_policy_parse_mcp_headers(st_policy_reader *r, st_policy_draft *into, size_t name_at)
    __attribute__((warn_unused_result));
bool st_policy_parse_mcp_resource(st_policy_reader *r, st_policy_draft *into, size_t name_at)
    __attribute__((warn_unused_result));
/* After all routes: the list of the resources. */
bool st_policy_parse_mcp_list_resources(st_policy_reader *r) __attribute__((warn_unused_result));

#endif
