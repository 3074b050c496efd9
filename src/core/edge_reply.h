/* edge_reply - what an edge answers. */
#ifndef ST_CORE_EDGE_REPLY_H
#define ST_CORE_EDGE_REPLY_H

#include "core/edge_credential.h"

bool st_edge_reply_fits(const subtoken_edge_reply *reply);

/* 200, without a body. */
void st_edge_reply_allow(subtoken_edge_reply *reply, const char *name);
void st_edge_reply_result(subtoken_edge_reply *reply, subtoken_result result);
/* 403: this permission is lacking. */
void st_edge_reply_scope(subtoken_edge_reply *reply, subtoken_text permission);
/* 403, by no fault of the credential. */
void st_edge_reply_policy(subtoken_edge_reply *reply);
/* 401 or 400: there is no credential, or more than one, or one that cannot be read. */
void st_edge_reply_credential(subtoken_edge_reply *reply, st_edge_credential_state state);

void st_edge_reply_body_too_long(subtoken_edge_reply *reply);
void st_edge_reply_body_encoded(subtoken_edge_reply *reply);
void st_edge_reply_body_unreadable(subtoken_edge_reply *reply);

/* What subtoken_mcp_check refused. */
void st_edge_reply_mcp(subtoken_edge_reply *reply, subtoken_result result, const subtoken_mcp *mcp);
/* Add to a 401 where the metadata of the resource are (RFC 9728 section 5.1). */
void st_edge_reply_add_resource(subtoken_edge_reply *reply, subtoken_text resource,
                                subtoken_text issuer);

/* The server does not know the credential; has seen too many wrong passwords; cannot say. */
void st_edge_reply_unknown_key(subtoken_edge_reply *reply);
void st_edge_reply_throttled(subtoken_edge_reply *reply, uint32_t retry_after);
void st_edge_reply_unanswered(subtoken_edge_reply *reply);

#endif
