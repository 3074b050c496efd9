/* What an edge answers: the status, the JSON body, the challenge, the word for the log. The texts
 * are those of the server and of the nginx module. edge.c decides which of them it is.
 */
#include "core/edge_reply.h"

#include "base/impossible.h"

#define EDGE_REPLY_RETRY_AFTER 5 /* seconds, where the server said nothing else */

bool st_edge_reply_fits(const subtoken_edge_reply *reply) {
  return reply != NULL && reply->size == sizeof *reply;
}

/* ---- writing ---- */

static void edge_reply_write_retry(subtoken_edge_reply *reply, uint32_t seconds) {
  st_writer writer = st_writer_on(reply->retry_text, sizeof reply->retry_text);
  if (seconds > 0) st_write_int(&writer, seconds);
  bool cut = !st_writer_end(&writer);
  reply->retry_len = st_impossible(cut, "ten digits fit") ? 0 : (uint32_t)writer.len;
  reply->retry_after = seconds;
}

static void edge_reply_write_challenge(subtoken_edge_reply *reply, subtoken_text challenge) {
  st_writer writer = st_writer_on(reply->challenge, sizeof reply->challenge);
  st_write_view(&writer, challenge);
  bool cut = !st_writer_end(&writer);
  reply->challenge_len = st_impossible(cut, "it has its size") ? 0 : (uint32_t)writer.len;
}

/* Neither the texts here nor the characters of a permission need an escape in JSON. */
static void edge_reply_write(subtoken_edge_reply *reply, int status, subtoken_result result,
                             const char *name, subtoken_text challenge, subtoken_text text,
                             subtoken_text permission) {
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  st_write_literal(&writer, "{\"text\":\"");
  st_write_view(&writer, text);
  st_write_view(&writer, permission);
  st_write_literal(&writer, "\"}");
  reply->status = status;
  reply->result = result;
  reply->name = name;
  edge_reply_write_challenge(reply, challenge);
  bool cut = !st_writer_end(&writer);
  reply->body_len = st_impossible(cut, "the longest text fits") ? 0 : (uint32_t)writer.len;
  edge_reply_write_retry(reply, status == 503 || status == 429 ? EDGE_REPLY_RETRY_AFTER : 0);
}

static void edge_reply_write_text(subtoken_edge_reply *reply, int status, subtoken_result result,
                                  const char *name, subtoken_text challenge, subtoken_text text) {
  edge_reply_write(reply, status, result, name, challenge, text, (subtoken_text){NULL, 0});
}

/* ---- challenges (RFC 6750 section 3.1) ---- */

static const subtoken_text edge_reply_no_challenge = {NULL, 0};
static const subtoken_text edge_reply_invalid_request =
    SUBTOKEN_TEXT("Bearer error=\"invalid_request\"");
static const subtoken_text edge_reply_invalid_token =
    SUBTOKEN_TEXT("Bearer error=\"invalid_token\"");
static const subtoken_text edge_reply_insufficient_scope =
    SUBTOKEN_TEXT("Bearer error=\"insufficient_scope\"");

/* ---- replies ---- */

void st_edge_reply_allow(subtoken_edge_reply *reply, const char *name) {
  edge_reply_write_text(reply, 200, SUBTOKEN_OK, name, edge_reply_no_challenge, ST_TEXT(""));
  reply->body_len = 0;
  reply->body[0] = '\0';
}

/* What the library could not decide is 503 here, not 500: to try again may help. */
void st_edge_reply_result(subtoken_edge_reply *reply, subtoken_result result) {
  const char *name = subtoken_result_name(result);
  switch (subtoken_result_status(result)) {
    case 400:
      edge_reply_write_text(reply, 400, result, name, edge_reply_no_challenge,
                            ST_TEXT("the request target can be read in more than one way"));
      break;
    case 401:
      edge_reply_write_text(reply, 401, result, name, edge_reply_invalid_token,
                            ST_TEXT("Invalid access token"));
      break;
    case 403:
      edge_reply_write_text(reply, 403, result, name, edge_reply_insufficient_scope,
                            ST_TEXT("this subtoken does not list this url"));
      break;
    default:
      edge_reply_write_text(reply, 503, result, name, edge_reply_no_challenge,
                            ST_TEXT("this cannot be decided now; try again later"));
  }
}

/* The needs of subtoken_edge are the caller's: what is not of a permission's form is not repeated.
 */
void st_edge_reply_scope(subtoken_edge_reply *reply, subtoken_text permission) {
  st_edge_reply_result(reply, SUBTOKEN_PERM);
  if (!subtoken_permission_valid(permission)) return;
  edge_reply_write(reply, 403, SUBTOKEN_PERM, reply->name, edge_reply_insufficient_scope,
                   ST_TEXT("requires scope "), permission);
}

void st_edge_reply_policy(subtoken_edge_reply *reply) {
  edge_reply_write_text(reply, 403, SUBTOKEN_URL, subtoken_result_name(SUBTOKEN_URL),
                        edge_reply_insufficient_scope,
                        ST_TEXT("the route policy does not allow this request"));
}

void st_edge_reply_credential(subtoken_edge_reply *reply, st_edge_credential_state state) {
  switch (state) {
    case ST_EDGE_CREDENTIAL_AMBIGUOUS:
      edge_reply_write_text(reply, 400, SUBTOKEN_MALFORMED, "auth_ambiguous",
                            edge_reply_invalid_request, ST_TEXT("more than one credential"));
      break;
    case ST_EDGE_CREDENTIAL_UNREADABLE:
      edge_reply_write_text(reply, 400, SUBTOKEN_MALFORMED, "bad_request",
                            edge_reply_invalid_request,
                            ST_TEXT("access_token: a % needs two hex digits behind it"));
      break;
    default:
      edge_reply_write_text(reply, 401, SUBTOKEN_MALFORMED, "auth_missing",
                            (subtoken_text)SUBTOKEN_TEXT(SUBTOKEN_CHALLENGE),
                            ST_TEXT("Invalid access token"));
  }
}

void st_edge_reply_body_too_long(subtoken_edge_reply *reply) {
  edge_reply_write_text(reply, 413, SUBTOKEN_TOO_LARGE, "limit", edge_reply_no_challenge,
                        ST_TEXT("the body is longer than 262144 bytes"));
}

_Static_assert(SUBTOKEN_RPC_BODY_MAX == 262144, "the text above names it");

void st_edge_reply_body_encoded(subtoken_edge_reply *reply) {
  edge_reply_write_text(reply, 415, SUBTOKEN_MALFORMED, "bad_request", edge_reply_no_challenge,
                        ST_TEXT("the body must be sent as it is, in UTF-8"));
}

void st_edge_reply_body_unreadable(subtoken_edge_reply *reply) {
  edge_reply_write_text(
      reply, 400, SUBTOKEN_MALFORMED, "bad_request", edge_reply_no_challenge,
      ST_TEXT("the body is no JSON-RPC request that can be read in one way only"));
}

/* A 400 that is a JSON-RPC error, or a 403 that names all that lacks. */
void st_edge_reply_mcp(subtoken_edge_reply *reply, subtoken_result result,
                       const subtoken_mcp *mcp) {
  st_edge_reply_result(reply, result);
  switch (result) {
    case SUBTOKEN_MALFORMED:
      reply->status = 400;
      reply->name = "bad_request";
      break;
    case SUBTOKEN_TOO_LARGE: st_edge_reply_body_too_long(reply); return;
    case SUBTOKEN_MCP_MISMATCH:
    case SUBTOKEN_PERM:
    case SUBTOKEN_URL: break;
    default: return;
  }
  if (reply->status == 400) edge_reply_write_challenge(reply, edge_reply_no_challenge);
  reply->body_len = (uint32_t)subtoken_mcp_reply(result, mcp, reply->body, sizeof reply->body);
  if (result != SUBTOKEN_PERM) return;
  reply->challenge_len =
      (uint32_t)subtoken_mcp_challenge(result, mcp, reply->challenge, sizeof reply->challenge);
}

void st_edge_reply_add_resource(subtoken_edge_reply *reply, subtoken_text resource,
                                subtoken_text issuer) {
  char challenge[SUBTOKEN_CHALLENGE_MAX];
  subtoken_text given = {reply->challenge, reply->challenge_len};
  if (reply->status != 401 || given.len == 0 || resource.data == NULL) return;
  size_t len = subtoken_resource_challenge(given, resource, issuer, challenge, sizeof challenge);
  if (len > 0) edge_reply_write_challenge(reply, (subtoken_text){challenge, len});
}

void st_edge_reply_unknown_key(subtoken_edge_reply *reply) {
  st_edge_reply_result(reply, SUBTOKEN_REVOKED);
  reply->name = "key_unknown";
}

void st_edge_reply_throttled(subtoken_edge_reply *reply, uint32_t retry_after) {
  edge_reply_write_text(reply, 429, SUBTOKEN_REVOCATION_UNKNOWN, "login_throttled",
                        edge_reply_no_challenge,
                        ST_TEXT("too many wrong passwords; try again later"));
  if (retry_after > 0) edge_reply_write_retry(reply, retry_after);
}

void st_edge_reply_unanswered(subtoken_edge_reply *reply) {
  st_edge_reply_result(reply, SUBTOKEN_REVOCATION_UNKNOWN);
  reply->name = "store_error";
}

subtoken_edge_step subtoken_edge_refuse(subtoken_result result, subtoken_edge_reply *reply) {
  if (!st_edge_reply_fits(reply)) return SUBTOKEN_EDGE_REFUSE;
  st_edge_reply_result(reply, result == SUBTOKEN_OK ? SUBTOKEN_UNDECIDED : result);
  return SUBTOKEN_EDGE_REFUSE;
}

/* ---- headers ---- */

size_t subtoken_edge_reply_headers(const subtoken_edge_reply *reply,
                                   subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS]) {
  static const subtoken_edge_header always[] = {
      {SUBTOKEN_TEXT("Content-Type"), SUBTOKEN_TEXT("application/json; charset=utf-8")},
      {SUBTOKEN_TEXT("Cache-Control"), SUBTOKEN_TEXT("no-store")},
      {SUBTOKEN_TEXT("X-Content-Type-Options"), SUBTOKEN_TEXT("nosniff")},
      {SUBTOKEN_TEXT("Access-Control-Allow-Origin"), SUBTOKEN_TEXT("*")},
      {SUBTOKEN_TEXT("Access-Control-Expose-Headers"),
       SUBTOKEN_TEXT("WWW-Authenticate, Retry-After")},
  };
  size_t count = sizeof always / sizeof always[0];
  if (!st_edge_reply_fits(reply) || headers == NULL || reply->status == 200) return 0;
  memcpy(headers, always, sizeof always);
  if (reply->challenge_len > 0) {
    headers[count++] = (subtoken_edge_header){SUBTOKEN_TEXT("WWW-Authenticate"),
                                              {reply->challenge, reply->challenge_len}};
  }
  if (reply->retry_after > 0) {
    headers[count++] =
        (subtoken_edge_header){SUBTOKEN_TEXT("Retry-After"), {reply->retry_text, reply->retry_len}};
  }
  return count;
}
