/* The body of a request whose token `subtoken verify` looks at (--body): read from a file, checked
 * by the library, told in a sentence. cmd_verify.c has the options.
 */
#include "cli/verify_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/print.h"
#include "os/error.h"
#include "os/file.h"

bool st_verify_call_load(const char *path, st_verify_call *call, char *error) {
  size_t len, most = SUBTOKEN_RPC_BODY_MAX + 1; /* so that the verdict is that it is too long */
  memset(call, 0, sizeof *call);
  call->memory = malloc(2 * most);
  if (call->memory == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory");
    return false;
  }
  if (!st_file_read_start(path, call->memory, most, &len, error)) return false;
  call->body = (subtoken_text){call->memory, len};
  call->given = true;
  return true;
}

void st_verify_call_free(st_verify_call *call) {
  free(call->memory);
  memset(call, 0, sizeof *call);
}

unsigned st_verify_call_flags(const st_verify_call *call) {
  return call->given ? SUBTOKEN_POLICY_BODY | SUBTOKEN_POLICY_MCP : 0;
}

static subtoken_result verify_call_check_rpc(st_verify_call *call, const subtoken_claims *claims) {
  subtoken_result result =
      subtoken_rpc_read(call->body, call->memory + call->body.len, call->body.len, &call->rpc);
  return result == SUBTOKEN_OK ? subtoken_rpc_allowed(&call->rpc, claims, &call->lacking) : result;
}

subtoken_result st_verify_call_check(st_verify_call *call, const subtoken_policy *policy,
                                     const subtoken_request *request,
                                     const subtoken_claims *claims) {
  call->mcp_route = call->decision.mcp;
  call->decided = call->given && (call->decision.mcp || call->decision.json_rpc);
  if (!call->decided) return SUBTOKEN_OK;
  if (!call->mcp_route) return verify_call_check_rpc(call, claims);
  subtoken_mcp_call came = SUBTOKEN_MCP_CALL_DEFAULT;
  came.has_body = call->body.len > 0;
  came.body = call->body;
  came.scratch = call->memory + call->body.len;
  came.scratch_size = call->body.len;
  call->mcp = (subtoken_mcp)SUBTOKEN_MCP_DEFAULT;
  return subtoken_mcp_check(policy, &call->decision, request, claims, &came, &call->mcp);
}

int st_verify_call_status(const st_verify_call *call, subtoken_result result, const char **word) {
  *word = subtoken_result_name(result);
  if (!call->decided) return subtoken_result_status(result);
  if (result == SUBTOKEN_TOO_LARGE) {
    *word = "limit";
    return 413;
  }
  if (result == SUBTOKEN_MALFORMED) {
    *word = "bad_request";
    return 400;
  }
  return subtoken_result_status(result);
}

static void verify_call_print_rpc(const st_verify_call *call, subtoken_result result) {
  if (result == SUBTOKEN_OK) {
    fputs("the body calls", stdout);
    for (size_t i = 0; i < call->rpc.count; i++) {
      fputs(i > 0 ? ", " : " ", stdout);
      st_print_text(stdout, subtoken_rpc_need(&call->rpc, i));
    }
  } else if (result == SUBTOKEN_PERM) {
    fputs("the body needs ", stdout);
    st_print_text(stdout, call->lacking);
  } else {
    fputs("the body is no JSON-RPC request that can be read in one way only", stdout);
  }
}

void st_verify_call_print(const st_verify_call *call, const subtoken_policy *policy,
                          subtoken_result result) {
  static char text[8 * SUBTOKEN_POLICY_MCP_NAME_MAX];
  if (result == SUBTOKEN_TOO_LARGE) {
    fputs("the body is longer than 262144 bytes", stdout);
  } else if (call->mcp_route) {
    (void)subtoken_mcp_explain(policy, &call->decision, result, &call->mcp, text, sizeof text);
    fputs(text, stdout);
  } else {
    verify_call_print_rpc(call, result);
  }
}
