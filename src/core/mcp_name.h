/* mcp_name - is the name of a call the same text for an edge and for the server behind it? Between
 * them it may be decoded, trimmed, or read as a URI.
 */
#ifndef ST_CORE_MCP_NAME_H
#define ST_CORE_MCP_NAME_H

#include "base/bytes.h"

/* Is it UTF-8 without control characters, separators of lines and byte-order marks? */
bool st_mcp_name_clear(subtoken_text name);
/* Is there no white space at an end, of Unicode either? */
bool st_mcp_name_trimmed(subtoken_text name);
/* Does it start with a byte-order mark, which decoders take off? */
bool st_mcp_name_marked(subtoken_text name);

/* NULL, or what parsers of URIs would change: they take blanks and controls off or encode them, and
 * write the scheme in lower case. */
const char *st_mcp_uri_problem(subtoken_text uri);

#endif
