/* The body of a JSON-RPC call: it names the APIs that it calls, and each needs a permission.
 * json_rpc.c reads it; that the body is needed at all is found in edge.c.
 */
#include "core/edge_reply.h"

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

/* The user `*`, who brought no credential, may bring one. */
static void edge_body_read(const subtoken_claims *claims, subtoken_text body, void *scratch,
                           size_t scratch_size, subtoken_edge_reply *reply) {
  subtoken_rpc rpc;
  subtoken_result result =
      body.len == 0 ? SUBTOKEN_MALFORMED : subtoken_rpc_read(body, scratch, scratch_size, &rpc);
  switch (result) {
    case SUBTOKEN_OK:
      edge_body_decide(claims, &rpc, reply);
      if (reply->status == 403 && claims->sub.len == 0) {
        st_edge_reply_credential(reply, ST_EDGE_CREDENTIAL_NONE);
      }
      break;
    case SUBTOKEN_MALFORMED: st_edge_reply_body_unreadable(reply); break;
    case SUBTOKEN_TOO_LARGE: st_edge_reply_body_too_long(reply); break;
    default: st_edge_reply_result(reply, SUBTOKEN_INVALID_ARGUMENT);
  }
}

subtoken_edge_step subtoken_edge_decide_body(const subtoken_claims *claims, subtoken_text body,
                                             void *scratch, size_t scratch_size,
                                             subtoken_edge_reply *reply) {
  if (claims == NULL || !st_edge_reply_fits(reply)) {
    return subtoken_edge_refuse(SUBTOKEN_INVALID_ARGUMENT, reply);
  }
  edge_body_read(claims, body, scratch, scratch_size, reply);
  return reply->status == 200 ? SUBTOKEN_EDGE_ALLOW : SUBTOKEN_EDGE_REFUSE;
}
