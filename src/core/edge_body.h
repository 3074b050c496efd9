/* edge_body - what a call names besides its path. */
#ifndef ST_CORE_EDGE_BODY_H
#define ST_CORE_EDGE_BODY_H

#include "core/edge_reply.h"

typedef struct st_edge_body {
  subtoken_text text; /* absent: it is not read */
  void *scratch;
  size_t scratch_size;
} st_edge_body;

/* Write 200, or what is answered to a call of MCP that is refused. */
void st_edge_body_check_mcp(const subtoken_edge *edge, const subtoken_edge_request *asked,
                            const subtoken_decision *decision, const subtoken_claims *claims,
                            const st_edge_body *body, subtoken_edge_reply *reply);

#endif
