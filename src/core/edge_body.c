/* The body of a call of JSON-RPC: it names what it calls, and that needs permissions. json_rpc.c
 * reads a body of a route with json_rpc, mcp.c one of a route with mcp; that a body is needed at
 * all is found in edge.c.
 */
#include "core/edge_body.h"

static void edge_body_decide(const subtoken_claims *claims, const subtoken_rpc *rpc,
                             subtoken_edge_reply *reply) {
  subtoken_text lacking;
  subtoken_result result = subtoken_rpc_allowed(rpc, claims, &lacking);
  if (result == SUBTOKEN_OK) {
    st_edge_reply_allow(reply, subtoken_result_name(SUBTOKEN_OK));
  } else if (result == SUBTOKEN_PERM) {
    st_edge_reply_scope(reply, lacking);
  } else {
    st_edge_reply_result(reply, SUBTOKEN_PERM);
  }
}

static void edge_body_read_rpc(const subtoken_claims *claims, subtoken_text body, void *scratch,
                               size_t scratch_size, subtoken_edge_reply *reply) {
  subtoken_rpc rpc;
  switch (subtoken_rpc_read(body, scratch, scratch_size, &rpc)) {
    case SUBTOKEN_OK: edge_body_decide(claims, &rpc, reply); break;
    case SUBTOKEN_MALFORMED: st_edge_reply_body_unreadable(reply); break;
    case SUBTOKEN_TOO_LARGE: st_edge_reply_body_too_long(reply); break;
    default: st_edge_reply_result(reply, SUBTOKEN_INVALID_ARGUMENT);
  }
}

void st_edge_body_check_mcp(const subtoken_edge *edge, const subtoken_edge_request *asked,
                            const subtoken_decision *decision, const subtoken_claims *claims,
                            const st_edge_body *body, subtoken_edge_reply *reply) {
  subtoken_mcp mcp;
  subtoken_request request = {sizeof request, asked->now,  asked->method,
                              asked->target,  edge->needs, edge->needs_count};
  subtoken_mcp_call call = {sizeof call,
                            asked->mcp_method,
                            asked->mcp_method_count,
                            asked->mcp_name,
                            asked->mcp_name_count,
                            asked->mcp_version,
                            asked->mcp_version_count,
                            asked->has_body,
                            body->text,
                            body->scratch,
                            body->scratch_size};
  mcp.size = sizeof mcp;
  subtoken_result result =
      subtoken_mcp_check(edge->policy, decision, &request, claims, &call, &mcp);
  if (result == SUBTOKEN_OK) {
    st_edge_reply_allow(reply, subtoken_result_name(SUBTOKEN_OK));
  } else {
    st_edge_reply_mcp(reply, result, &mcp);
  }
}

/* The user `*`, who brought no credential, may bring one. */
static void edge_body_end(const subtoken_edge *edge, const subtoken_decision *decision,
                          const subtoken_claims *claims, subtoken_edge_reply *reply) {
  if (reply->status == 403 && claims->sub.len == 0) {
    st_edge_reply_credential(reply, ST_EDGE_CREDENTIAL_NONE);
    st_edge_reply_add_resource(reply, decision->resource, edge->issuer);
  }
}

/* The route is looked up again, so that nothing is kept between the steps. */
static void edge_body_read(const subtoken_edge *edge, const subtoken_edge_request *request,
                           const subtoken_claims *claims, const st_edge_body *body,
                           subtoken_edge_reply *reply) {
  subtoken_decision decision;
  decision.size = sizeof decision;
  subtoken_result result =
      subtoken_policy_find(edge->policy, request->method, request->target,
                           SUBTOKEN_POLICY_BODY | SUBTOKEN_POLICY_MCP, &decision);
  if (result != SUBTOKEN_OK) {
    st_edge_reply_result(reply, result);
  } else if (decision.access != SUBTOKEN_ACCESS_TOKEN || (!decision.json_rpc && !decision.mcp)) {
    st_edge_reply_policy(reply);
  } else if (decision.mcp) {
    st_edge_body_check_mcp(edge, request, &decision, claims, body, reply);
  } else {
    edge_body_read_rpc(claims, body->text, body->scratch, body->scratch_size, reply);
  }
  edge_body_end(edge, &decision, claims, reply);
}

subtoken_edge_step subtoken_edge_decide_body(const subtoken_edge *edge,
                                             const subtoken_edge_request *request,
                                             const subtoken_claims *claims, subtoken_text body,
                                             void *scratch, size_t scratch_size,
                                             subtoken_edge_reply *reply) {
  if (!st_edge_credential_args_valid(edge, request) || edge->policy == NULL || claims == NULL ||
      (edge->needs == NULL && edge->needs_count > 0) || !st_edge_reply_fits(reply)) {
    return subtoken_edge_refuse(SUBTOKEN_INVALID_ARGUMENT, reply);
  }
  st_edge_body given = {body, scratch, scratch_size};
  edge_body_read(edge, request, claims, &given, reply);
  return reply->status == 200 ? SUBTOKEN_EDGE_ALLOW : SUBTOKEN_EDGE_REFUSE;
}
