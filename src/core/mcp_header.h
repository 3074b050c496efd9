/* mcp_header - the headers Mcp-Method and Mcp-Name. */
#ifndef ST_CORE_MCP_HEADER_H
#define ST_CORE_MCP_HEADER_H

#include "core/mcp_find.h"

#define ST_MCP_HEADER_NAME_MAX 8192 /* bytes of a name in Mcp-Name */

/* The first value of each, without the blanks around it. */
typedef struct st_mcp_headers {
  bool has_method, has_name;
  subtoken_text method, name;
} st_mcp_headers;

void st_mcp_header_take(const subtoken_mcp_call *call, st_mcp_headers *headers);
/* Did one of the headers of MCP come twice? */
bool st_mcp_header_repeated(const subtoken_mcp_call *call);

/* Do the headers agree with a message? method is absent for a response, name where it has none. */
bool st_mcp_header_agrees(const st_mcp_headers *headers, subtoken_text method, subtoken_text name);

/* The name in a value of Mcp-Name, a view of the value or of decoded. False: no name. */
bool st_mcp_header_read_name(subtoken_text value, char decoded[ST_MCP_HEADER_NAME_MAX],
                             subtoken_text *name) __attribute__((warn_unused_result));
/* Where no body is read: is a name that was read from a value the same text for every server? */
bool st_mcp_header_is_sure(subtoken_text value, subtoken_text name);

#endif
