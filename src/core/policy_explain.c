/* Sentences about a result under a policy: subtoken_policy_explain. explain.c writes what a token
 * alone decides.
 */
#include "core/explain.h"
#include "core/policy.h"
#include "core/sized.h"

/* `line 4 of the policy`. */
static void write_line(st_writer *w, const subtoken_decision *decision) {
  if (decision->line == 0) {
    st_write_truncated(w, "the default of the policy");
    return;
  }
  st_write_truncated(w, "line ");
  st_write_int(w, decision->line);
  st_write_truncated(w, " of the policy");
}

/* `line 4 of the policy needs [account, inventories]`. Permissions need no escape. */
static void write_needs(st_writer *w, const subtoken_decision *decision) {
  write_line(w, decision);
  if (decision->needs_count == 0) {
    st_write_truncated(w, " needs a good token");
  } else {
    st_write_truncated(w, " needs [");
    for (size_t i = 0; i < decision->needs_count; i++) {
      if (i > 0) st_write_truncated(w, ", ");
      st_write_view(w, decision->needs[i]);
    }
    st_write_char(w, ']');
  }
  if (decision->json_rpc) st_write_truncated(w, ", and the APIs that the body names");
  if (decision->mcp) st_write_truncated(w, ", and what the call of MCP needs");
}

/* `PUT /v2/account/bank: line 4 of the policy does not list this method`. */
static void write_denied(st_writer *w, const subtoken_request *request,
                         const subtoken_decision *decision) {
  st_explain_asked(w, request->method, request->target);
  st_write_truncated(w, ": ");
  if (decision->not_listed) {
    write_line(w, decision);
    if (request->method.data != NULL) {
      st_write_truncated(w, " does not list this method");
    } else {
      st_write_truncated(w, " lists methods, and none is given");
    }
  } else if (decision->json_rpc) {
    write_line(w, decision);
    st_write_truncated(w, " needs the APIs that the JSON-RPC body names, and no body is read here");
  } else if (decision->mcp) {
    write_line(w, decision);
    st_write_truncated(w, " needs what the call of MCP names, and no call is read here");
  } else {
    st_write_truncated(w, "no route of the policy has this path, and its default is deny");
  }
}

static void write_public(st_writer *w, const subtoken_decision *decision) {
  if (decision->access == SUBTOKEN_ACCESS_PREFLIGHT) {
    st_write_truncated(w, "a CORS preflight, which the policy lets pass");
  } else {
    st_write_truncated(w, "public, by ");
    write_line(w, decision);
  }
}

/* Is this a result that the route decided, alone or together with the token? */
static bool is_from_route(subtoken_result result) {
  return result == SUBTOKEN_OK || result == SUBTOKEN_URL || result == SUBTOKEN_PERM;
}

static void explain_policy(st_writer *w, const subtoken_verifier *verifier, subtoken_text token,
                           const subtoken_request *request, const subtoken_decision *decision,
                           subtoken_result result) {
  bool open =
      decision->access == SUBTOKEN_ACCESS_PUBLIC || decision->access == SUBTOKEN_ACCESS_PREFLIGHT;
  bool denied = decision->access == SUBTOKEN_ACCESS_DENIED;
  if (result == SUBTOKEN_OK && open) {
    write_public(w, decision);
  } else if (result == SUBTOKEN_URL && denied) {
    write_denied(w, request, decision);
  } else if (result == SUBTOKEN_MALFORMED && (token.data == NULL || token.len == 0)) {
    st_write_truncated(w, "no token came");
  } else {
    st_explain_token(w, verifier, token, request, decision, result);
    if (!is_from_route(result) || open || denied) return;
    st_write_truncated(w, "; ");
    write_needs(w, decision);
  }
}

size_t subtoken_policy_explain(const subtoken_verifier *verifier, const subtoken_policy *policy,
                               subtoken_text token, const subtoken_request *request, unsigned flags,
                               subtoken_result result, char *out, size_t out_size) {
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_verifier verifier_copy;
  subtoken_request request_copy;
  if (out == NULL || out_size == 0) return 0;
  out[0] = '\0';
  verifier = st_sized_verifier(verifier, &verifier_copy);
  request = st_sized_request(request, &request_copy);
  if (verifier == NULL || policy == NULL || request == NULL) return 0;
  st_writer writer = st_writer_on(out, out_size - 1);
  if (request->target.data == NULL) {
    st_write_truncated(&writer, "no target is given, and a policy goes by it");
  } else if (subtoken_policy_find(policy, request->method, request->target, flags, &decision) !=
             SUBTOKEN_OK) {
    st_explain_fault(&writer, request->target);
  } else {
    explain_policy(&writer, verifier, token, request, &decision, result);
  }
  out[writer.len] = '\0';
  return writer.len;
}
