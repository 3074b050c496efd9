/* What is answered to a call of the Model Context Protocol that is refused, and sentences about the
 * member that decided. Clients read a JSON-RPC error from a 400 alone; of other statuses they show
 * the body as text, and of a 403 they read the challenge.
 */
#include "core/claims.h"
#include "core/explain.h"
#include "core/mcp_find.h"

#define MCP_SCOPES_SHOWN 400 /* bytes of the permissions that a sentence names */

static const char *mcp_reply_message(subtoken_result result, const subtoken_mcp *mcp) {
  if (result == SUBTOKEN_MCP_MISMATCH) {
    return "Mcp-Method and Mcp-Name must agree with the request, and come once";
  }
  if (mcp->code == -32700) return "the body is not JSON that can be read in one way only";
  return "the body is no JSON-RPC message that can be read in one way only";
}

static void mcp_reply_write_error(st_writer *writer, subtoken_result result,
                                  const subtoken_mcp *mcp) {
  st_write_literal(writer, "{\"jsonrpc\":\"2.0\",\"id\":");
  st_write(writer, mcp->id, mcp->id_len);
  st_write_literal(writer, ",\"error\":{\"code\":-");
  st_write_int(writer, -(int64_t)mcp->code);
  st_write_literal(writer, ",\"message\":\"");
  st_write_literal(writer, mcp_reply_message(result, mcp));
  st_write_literal(writer, "\"}}");
}

/* Permissions with blanks between them; those that are not of their form are left out. Returns how
 * many were not written, because `most` bytes are full. */
static size_t mcp_reply_write_scopes(st_writer *writer, const subtoken_mcp *mcp, size_t most) {
  size_t start = writer->len, left = 0;
  for (size_t i = 0; i < mcp->lacking_count; i++) {
    subtoken_text need = mcp->lacking[i];
    if (!subtoken_permission_valid(need)) continue;
    if (left > 0 || writer->len - start + need.len + 1 > most) {
      left++;
      continue;
    }
    if (writer->len > start) st_write_char(writer, ' ');
    st_write_view(writer, need);
  }
  return left;
}

static void mcp_reply_write_text(st_writer *writer, subtoken_result result,
                                 const subtoken_mcp *mcp) {
  st_write_literal(writer, "{\"text\":\"");
  if (result == SUBTOKEN_TOO_LARGE) {
    st_write_literal(writer, "the body is longer than 262144 bytes");
  } else if (result == SUBTOKEN_PERM) {
    st_write_literal(writer, "requires scope ");
    size_t left = mcp_reply_write_scopes(writer, mcp, MCP_SCOPES_SHOWN);
    if (left > 0) {
      st_write_literal(writer, " and ");
      st_write_int(writer, (int64_t)left);
      st_write_literal(writer, " more");
    }
  } else if (result == SUBTOKEN_URL) {
    st_write_literal(writer, "no body came by which this call could be allowed");
  } else {
    st_write_literal(writer, "this cannot be decided now; try again later");
  }
  st_write_literal(writer, "\"}");
}

static bool mcp_reply_args_valid(const subtoken_mcp *mcp, const char *out, size_t out_size) {
  return mcp != NULL && mcp->size == sizeof *mcp && out != NULL && out_size > 0 &&
         mcp->lacking_count <= SUBTOKEN_POLICY_NEEDS_MAX && mcp->id_len <= sizeof mcp->id;
}

size_t subtoken_mcp_reply(subtoken_result result, const subtoken_mcp *mcp, char *out,
                          size_t out_size) {
  if (!mcp_reply_args_valid(mcp, out, out_size)) return 0;
  st_writer writer = st_writer_on(out, out_size);
  if (mcp->code < 0 && (result == SUBTOKEN_MALFORMED || result == SUBTOKEN_MCP_MISMATCH)) {
    mcp_reply_write_error(&writer, result, mcp);
  } else {
    mcp_reply_write_text(&writer, result, mcp);
  }
  return st_writer_end(&writer) ? writer.len : 0;
}

size_t subtoken_mcp_challenge(subtoken_result result, const subtoken_mcp *mcp, char *out,
                              size_t out_size) {
  if (!mcp_reply_args_valid(mcp, out, out_size)) return 0;
  out[0] = '\0';
  if (result != SUBTOKEN_PERM) return 0;
  st_writer writer = st_writer_on(out, out_size);
  st_write_literal(&writer, "Bearer error=\"insufficient_scope\", scope=\"");
  (void)mcp_reply_write_scopes(&writer, mcp, SIZE_MAX);
  st_write_char(&writer, '"');
  return st_writer_end(&writer) ? writer.len : 0;
}

_Static_assert(SUBTOKEN_RPC_BODY_MAX == 262144, "a text above names it");
_Static_assert(SUBTOKEN_CHALLENGE_MAX >=
                   64 + SUBTOKEN_POLICY_NEEDS_MAX * (SUBTOKEN_PERMISSION_MAX + 1),
               "a challenge has room for all scopes");
_Static_assert(SUBTOKEN_MCP_REPLY_MAX >= SUBTOKEN_MCP_ID_MAX + 200 &&
                   SUBTOKEN_MCP_REPLY_MAX >= MCP_SCOPES_SHOWN + 100,
               "a reply has room for an id, and for scopes");

/* ---- sentences ---- */

static void mcp_reply_explain(st_writer *w, const subtoken_decision *decision,
                              const subtoken_mcp *mcp) {
  st_write_truncated(w, "line ");
  st_write_int(w, mcp->line > 0 ? mcp->line : decision->line);
  st_write_truncated(w, " of the policy");
  if (mcp->line > 0) {
    st_write_truncated(w, ", member \"");
    st_write_escaped(w, mcp->member);
    st_write_truncated(w, "\"");
  } else {
    st_write_truncated(w, ": no member of mcp has this call, and needs alone decide");
  }
}

size_t subtoken_mcp_explain(const subtoken_policy *policy, const subtoken_decision *decision,
                            subtoken_result result, const subtoken_mcp *mcp, char *out,
                            size_t out_size) {
  if (!mcp_reply_args_valid(mcp, out, out_size) || policy == NULL || decision == NULL) return 0;
  st_writer writer = st_writer_on(out, out_size - 1);
  switch (result) {
    case SUBTOKEN_OK: mcp_reply_explain(&writer, decision, mcp); break;
    case SUBTOKEN_PERM:
      mcp_reply_explain(&writer, decision, mcp);
      st_write_truncated(&writer, "; lacking [");
      for (size_t i = 0; i < mcp->lacking_count; i++) {
        if (i > 0) st_write_truncated(&writer, ", ");
        st_write_escaped(&writer, mcp->lacking[i]);
      }
      st_write_truncated(&writer, "]");
      break;
    case SUBTOKEN_MALFORMED:
    case SUBTOKEN_MCP_MISMATCH: st_write_truncated(&writer, mcp_reply_message(result, mcp)); break;
    case SUBTOKEN_URL:
      st_write_truncated(&writer, "no body came by which this call could be allowed");
      break;
    default: st_write_truncated(&writer, subtoken_result_name(result));
  }
  out[writer.len] = '\0';
  return writer.len;
}
