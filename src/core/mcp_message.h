/* mcp_message - one message of a body of the Model Context Protocol, as JSON-RPC has it. */
#ifndef ST_CORE_MCP_MESSAGE_H
#define ST_CORE_MCP_MESSAGE_H

#include "base/json.h"
#include "core/mcp_find.h"

/* Views are of the text that was read. */
typedef struct st_mcp_message {
  subtoken_text method; /* absent: a response */
  subtoken_text name;   /* of a method that has one; else absent */
  subtoken_text task;   /* params.taskId of tasks/get and its like, for Mcp-Name alone */
  size_t id_len;        /* 0: no id that is repeated */
  char id[SUBTOKEN_MCP_ID_MAX];
} st_mcp_message;

/* Reads the next value. False: it is no message that can be read in one way only. */
bool st_mcp_message_read(st_json *json, st_mcp_message *message)
    __attribute__((warn_unused_result));

#endif
